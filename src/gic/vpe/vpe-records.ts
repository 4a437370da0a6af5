/**
 * Where GICv4's vPEs are, as far as redistributors have them (IHI 0069, "vPE residency"). Each has a record of its own
 * for the vPE that is resident on it: its pending vLPIs and vSGIs while it is. That of other vPEs is in memory, in their
 * virtual pending tables.
 *
 * Virtual LPIs are counted from 0, as physical ones are: vLPI n has INTID 8192 + n.
 */
import {
  GICR_VPENDBASER_V4_0_VIEW,
  GICR_VPENDBASER_V4_1_VIEW,
  GICR_VPROPBASER_V4_0_VIEW,
  GICR_VPROPBASER_V4_1_VIEW,
  GICR_VSGIPENDR_VIEW,
} from '../../arch/gicr-registers.ts'
import { type RecordType, recordType, type WordDeclaration, type Writer } from '../../state/layout.ts'
import { offsetOf, type Rows, wordsOf } from '../../state/rows.ts'
import { levelsOf, pendingTreeWords } from '../lpi/lpi-records.ts'

export * from './vpe-offsets.ts'

/** Values of VPE_RESIDENCY: the effects of writing GICR_VPENDBASER.Valid may lag, and Dirty is set meanwhile. */
export const NOT_RESIDENT = 0
export const BECOMING_RESIDENT = 1
export const RESIDENT = 2
export const LEAVING = 3

/** In the lower word of what is presented: the INTID is a direct interrupt's and not a list register's. */
export const DIRECT = 0x40000000

/** The names of words that a version has a view of its own for. */
const VPENDBASER = 'GICR_VPENDBASER'
const VPROPBASER = 'GICR_VPROPBASER'

/** What changes as a guest acknowledges a direct interrupt. */
const ACKNOWLEDGE: readonly Writer[] = ['guest']

export const vpeRows = {
  VPE_PRESENTED_0: {
    name: 'presented group 0',
    wide: true,
    class: 'derived',
    by: ACKNOWLEDGE,
    says: 'Derived: the highest priority vSGI of group 0 that is presented to the virtual CPU interface, as a list register would have it: its INTID with {@link DIRECT}, and an upper word that is 0 if there is none.',
  },
  VPE_PRESENTED_1: {
    name: 'presented group 1',
    wide: true,
    class: 'derived',
    by: ACKNOWLEDGE,
    says: 'Derived: the highest priority vSGI or vLPI of group 1 that is presented, in that form.',
  },
  GICR_VPENDBASER: {
    name: VPENDBASER,
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GICR_VPENDBASER; Dirty follows from VPE_RESIDENCY.',
    view: GICR_VPENDBASER_V4_1_VIEW,
  },
  GICR_VPROPBASER: {
    name: VPROPBASER,
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GICR_VPROPBASER.',
    view: GICR_VPROPBASER_V4_1_VIEW,
  },
  VPE_RESIDENCY: {
    name: 'residency',
    class: 'authoritative',
    by: [],
    says: 'How far a vPE is resident: {@link NOT_RESIDENT} to {@link LEAVING}.',
  },
  VPE_ID: {
    name: 'resident vPEID',
    class: 'normalised',
    by: [],
    says: 'GICv4.1: the vPEID of the vPE that is resident. 0 while none is.',
  },
  VPE_VPT: {
    name: 'virtual pending table',
    wide: true,
    class: 'normalised',
    by: [],
    says: 'Its virtual pending table: the address. 0 while no vPE is resident.',
  },
  VPE_VCONF: {
    name: 'virtual configuration table',
    wide: true,
    class: 'normalised',
    by: [],
    says: 'Its virtual LPI configuration table: the address. 0 while no vPE is resident.',
  },
  VPE_COUNT: {
    name: 'vLPIs',
    class: 'normalised',
    by: [],
    says: 'vLPIs that it has, from the first on: as many as its tables are for. 0 while no vPE is resident.',
  },
  VPE_LEAVING: {
    name: 'leaving',
    class: 'normalised',
    by: [],
    says: 'While a vPE leaves: the upper word of GICR_VPENDBASER that cleared Valid, for its Doorbell and PendingLast.',
  },
  VPE_SGI_CONFIG: {
    name: 'vSGI enables and groups',
    class: 'normalised',
    by: [],
    says: 'The vSGIs of the vPE that is resident: bit n is set if vSGI n is enabled, bit 16 + n if it is in group 1.',
  },
  VPE_SGI_PENDING: {
    name: 'pending vSGIs',
    class: 'normalised',
    by: ACKNOWLEDGE,
    says: 'Bit n: vSGI n is pending.',
  },
  VPE_SGI_PRIORITY: {
    name: 'vSGI priorities',
    count: 2,
    class: 'normalised',
    by: [],
    says: 'Bits 7:4 of the priorities of vSGIs 0 to 7, from bit 0 on, and of vSGIs 8 to 15.',
  },
  GICR_VSGIPENDR: {
    name: 'GICR_VSGIPENDR',
    class: 'authoritative',
    by: [],
    says: 'GICR_VSGIPENDR.',
    view: GICR_VSGIPENDR_VIEW,
  },
  VPE_SGI_QUERY: {
    name: 'queried vPEID',
    class: 'normalised',
    by: [],
    says: 'While GICR_VSGIPENDR.Busy is set: the vPEID that was written to GICR_VSGIR.',
  },
  VPE_HELD: {
    name: 'held',
    class: 'observational',
    by: [],
    says: 'The lower half of a write of GICR_INVLPIR, until the upper one comes: both are one access.',
  },
  VPE_PENDING: {
    name: 'pending',
    count: (vlpis) => levelsOf(vlpis)[0].words,
    class: 'authoritative',
    by: ACKNOWLEDGE,
    says: 'The pending bitmap: bit n of word m is vLPI 32 m + n. Behind it is what is derived from it: pending-tree.ts.',
  },
} as const satisfies Rows<number>

/** The record of a redistributor where vPEs have up to `vlpis` vLPIs. */
export function vpeRecord(vlpis: number, version: '4.0' | '4.1'): RecordType {
  const words = wordsOf(vpeRows, vlpis).map((word) => viewed(word, version))
  const derived = pendingTreeWords(vlpis, offsetOf(vpeRows, 'VPE_PENDING', vlpis), ACKNOWLEDGE)
  return recordType('vpe[<n>]', words, derived)
}

const viewed = (word: WordDeclaration, version: '4.0' | '4.1'): WordDeclaration => {
  if (version === '4.1') return word
  if (word.name === VPENDBASER) return { ...word, view: GICR_VPENDBASER_V4_0_VIEW }
  return word.name === VPROPBASER ? { ...word, view: GICR_VPROPBASER_V4_0_VIEW } : word
}

/** Doorbells that may be under way, where they lag. */
export const DOORBELL_CAPACITY = 16

/** What is one for all redistributors. */
export const vpeCommonRows = {
  VPES_DOORBELLS: {
    name: 'doorbells',
    class: 'normalised',
    by: [],
    says: 'Doorbells that were rung and are not delivered yet, where that lags.',
  },
  VPES_UNPREDICTABLE: {
    name: 'unpredictable',
    class: 'authoritative',
    by: [],
    says: 'Which UNPREDICTABLE uses there were, unless they are ignored: bit n for rule n of unpredictable.ts.',
  },
  VPES_DOORBELL: {
    name: 'doorbell',
    count: 2 * DOORBELL_CAPACITY,
    class: 'normalised',
    by: [],
    says: 'The CPU and the INTID of each.',
  },
  NAMED_ID: {
    name: 'named vPEID',
    class: 'observational',
    by: [],
    says: 'The vPE that the access under way is about; this and the following mean nothing between accesses.',
  },
  NAMED_COUNT: { name: 'named vLPIs', class: 'observational', by: [], says: 'How many vLPIs it has.' },
  NAMED_VPT: {
    name: 'named virtual pending table',
    wide: true,
    class: 'observational',
    by: [],
    says: 'The address of its virtual pending table.',
  },
  NAMED_ENTRY: {
    name: 'named entry',
    wide: true,
    class: 'observational',
    by: [],
    says: 'GICv4.1: the page of the vPE configuration table that its entry is in.',
  },
  NAMED_OFFSET: {
    name: 'named offset',
    class: 'observational',
    by: [],
    says: 'GICv4.1: the offset of its entry in that page.',
  },
  NAMED_FLAGS: {
    name: 'named flags',
    class: 'observational',
    by: [],
    says: 'GICv4.1: the word of its entry with the flags: vpe-entry.ts.',
  },
} as const satisfies Rows

export const VPE_COMMON = recordType('vpeCommon', wordsOf(vpeCommonRows, undefined))
