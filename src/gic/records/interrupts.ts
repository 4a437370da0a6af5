/** The records of interrupts: a block of 32, the distributor, and what each PE derives from them. */
import { AFFINITY_VIEW, GICD_CTLR_VIEW } from '../../arch/gicd-registers.ts'
import { type RecordType, recordType, type Writer } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'

export * from './interrupts-offsets.ts'

/** The steps of a thread or of its guest on the PE, and the IPI of a kick that is sent there. */
const PE: readonly Writer[] = ['pe', 'lists', 'guest', 'notify']

/**
 * The rows of a block of 32 interrupts: their configuration, then, from LATCH to CANDIDATES, their state. Register
 * names begin with `prefix`. `blockOf` says which 32 interrupts a record has, as the number of their `IGROUPR<n>`.
 */
export function blockRows(prefix: string, blockOf: (index: number) => number) {
  const bitmap = (_: number, index: number): number => blockOf(index)
  const twoBits = (_: number, index: number): string => `${2 * blockOf(index)}, ${2 * blockOf(index) + 1}`
  const bytes = (element: number, index: number): number => 8 * blockOf(index) + element
  const intids = (_: number, index: number): string => `${32 * blockOf(index)} to ${32 * blockOf(index) + 31}`
  return {
    GROUP: {
      name: `${prefix}_IGROUPR<n>`,
      n: bitmap,
      class: 'authoritative',
      by: [],
      says: 'Interrupts of group 1.',
    },
    ENABLE: {
      name: `${prefix}_ISENABLER<n>`,
      n: bitmap,
      class: 'authoritative',
      by: [],
      says: 'Interrupts that are enabled.',
    },
    EDGE: {
      name: `${prefix}_ICFGR<n> (edge)`,
      n: twoBits,
      class: 'authoritative',
      by: [],
      says: 'Edge-triggered interrupts; SGIs always are.',
    },
    DISABLING: {
      name: `${prefix}_ICENABLER<n> (lagging)`,
      n: bitmap,
      class: 'authoritative',
      by: [],
      says: 'Interrupts that were disabled while the effect of that still lags: they are forwarded as if enabled (RWP).',
    },
    LATCH: {
      name: `${prefix}_ISPENDR<n> (latch)`,
      n: bitmap,
      class: 'authoritative',
      by: PE,
      says: 'Interrupts that an edge, a write of ISPENDR or an SGI has made pending.',
    },
    LINE: {
      name: `${prefix} input lines <n>`,
      n: intids,
      class: 'authoritative',
      by: PE,
      says: 'The levels of the input lines.',
    },
    ACTIVE: {
      name: `${prefix}_ISACTIVER<n>`,
      n: bitmap,
      class: 'authoritative',
      by: PE,
      says: 'Active interrupts.',
    },
    CANDIDATES: {
      name: `${prefix} candidates <n>`,
      n: intids,
      class: 'derived',
      by: PE,
      says: 'Derived: what may be forwarded to a CPU interface, {@link candidatesOf}.',
    },
    PRIORITY: {
      name: `${prefix}_IPRIORITYR<n>`,
      n: bytes,
      count: 8,
      class: 'authoritative',
      by: [],
      says: 'Eight words, a byte an interrupt, as `IPRIORITYR<n>` has them.',
    },
  } as const satisfies Rows
}

/** SPIs begin at INTID 32, in block 1. */
const spiBlockOf = (index: number): number => index + 1

export const spiBlockRows = {
  ...blockRows('GICD', spiBlockOf),
  ROUTE: {
    name: 'GICD_IROUTER<n>',
    n: (element, index) => 32 * spiBlockOf(index) + element,
    count: 32,
    class: 'authoritative',
    by: [],
    says: 'SPIs only: a word an interrupt, its affinity Aff3.Aff2.Aff1.Aff0.',
    view: AFFINITY_VIEW,
  },
} as const satisfies Rows

/** The distributor's record for 32 SPIs. */
export const SPI_BLOCK: RecordType = recordType(
  { name: 'spiBlock[<n>]', prefix: '' },
  wordsOf(spiBlockRows, undefined),
)

export const distributorRows = {
  GICD_CTLR: {
    name: 'GICD_CTLR',
    class: 'authoritative',
    by: [],
    says: "GICD_CTLR's enables and RWP; DS and ARE are always one.",
    view: GICD_CTLR_VIEW,
  },
  GICD_DISABLING_GROUPS: {
    name: 'GICD_CTLR (lagging)',
    class: 'authoritative',
    by: [],
    says: 'Groups whose disabling still lags.',
  },
  SPI_CANDIDATES: {
    name: 'spiCandidates',
    class: 'derived',
    by: [],
    says: 'Derived: bit n is set if SPI block n has candidates.',
  },
  CHANGED: {
    name: 'changed',
    count: (cpus) => (cpus + 31) >> 5,
    class: 'derived',
    by: [],
    says: 'Derived, a bit a CPU: it has to look for its highest priority pending interrupt. All clear between accesses.',
  },
} as const satisfies Rows<number>

export const distributorRecord = (cpus: number): RecordType =>
  recordType({ name: 'distributor', prefix: '' }, wordsOf(distributorRows, cpus))

/** Blocks of a PE: its own, and those of the SPIs. */
export const blocksOf = (spis: number): number => 1 + ((spis + 31) >> 5)

/**
 * Derived, for each PE: of each block of 32 interrupts the one with the highest priority that may be forwarded to it.
 * After a change in a block only that block is searched again, so the cost of finding the highest priority pending
 * interrupt does not depend on the number of interrupts, and hardly on how many are pending.
 */
export const pendingSummaryRows = {
  STALE: {
    name: 'stale',
    class: 'derived',
    by: [],
    says: 'Blocks to be searched again, all clear between accesses: bit 0 the SGIs and PPIs, bit n + 1 SPI block n.',
  },
  BEST: {
    name: 'best',
    count: blocksOf,
    class: 'derived',
    by: PE,
    says: 'By number of the block, as in {@link STALE}: the rank of its highest priority interrupt, as highest-pending.ts has it.',
  },
} as const satisfies Rows<number>

export const pendingSummaryRecord = (spis: number): RecordType =>
  recordType('pendingSummary[<n>]', wordsOf(pendingSummaryRows, spis))
