/** The words of an ITS. Its tables are in memory, and it caches nothing of them. */
import {
  GITS_BASER_VIEW,
  GITS_CBASER_VIEW,
  GITS_CREADR_VIEW,
  GITS_CTLR_VIEW,
  GITS_CWRITER_VIEW,
} from '../../arch/gits-registers.ts'
import { type RecordType, recordType } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'

export * from './gits-offsets.ts'

/** Messages that can be accepted and not translated, where that lags. */
export const MSI_CAPACITY = 16

export const itsRows = {
  GITS_CTLR: { name: 'GITS_CTLR', class: 'authoritative', by: [], says: 'GITS_CTLR.', view: GITS_CTLR_VIEW },
  ITS_MSI_COUNT: {
    name: 'messages',
    class: 'normalised',
    by: [],
    says: 'Messages that are accepted and not translated, where that lags; they are the first of {@link ITS_MSIS}.',
  },
  GITS_CBASER: {
    name: 'GITS_CBASER',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GITS_CBASER.',
    view: GITS_CBASER_VIEW,
  },
  GITS_CWRITER: {
    name: 'GITS_CWRITER',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GITS_CWRITER.',
    view: GITS_CWRITER_VIEW,
  },
  GITS_CREADR: {
    name: 'GITS_CREADR',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GITS_CREADR.',
    view: GITS_CREADR_VIEW,
  },
  GITS_BASER: {
    name: 'GITS_BASER',
    count: 8,
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'Eight registers of two words.',
    view: GITS_BASER_VIEW,
  },
  ITS_STARTED: {
    name: 'started',
    class: 'authoritative',
    by: [],
    says: 'Whether an access to the control frame carries out what is in the queue: one that starts the ITS does, and the next ones if it leaves commands.',
  },
  ITS_MSIS: {
    name: 'message',
    count: 2 * MSI_CAPACITY,
    class: 'normalised',
    by: [],
    says: 'DeviceID and EventID of each message.',
  },
  ITS_COMMAND: {
    name: 'command',
    count: 8,
    class: 'observational',
    by: [],
    says: 'The command under way. It and the following, what a look into the tables found, mean nothing between accesses.',
  },
  ITS_ENTRY: {
    name: 'entry',
    wide: true,
    class: 'observational',
    by: [],
    says: 'The table, or the page of it, that an entry is in: its address.',
  },
  ITS_ITT: {
    name: 'itt',
    wide: true,
    class: 'observational',
    by: [],
    says: "The device's ITT: its address, with the number of EventID bits, less one, in bits 4:0.",
  },
  ITS_FOUND_INTID: { name: 'foundIntid', class: 'observational', by: [], says: "The interrupt's INTID." },
  ITS_FOUND_ICID: {
    name: 'foundIcid',
    class: 'observational',
    by: [],
    says: "The interrupt's collection; of a virtual interrupt, the vPEID.",
  },
  ITS_FOUND_CPU: { name: 'foundCpu', class: 'observational', by: [], says: 'The CPU of a collection.' },
  ITS_FOUND_DOORBELL: {
    name: 'foundDoorbell',
    class: 'observational',
    by: [],
    says: "The INTID of a virtual interrupt's doorbell; -1 for a physical interrupt.",
  },
  ITS_SGIR: {
    name: 'GITS_SGIR',
    class: 'observational',
    by: [],
    says: 'The lower half of a write of GITS_SGIR, until the upper one comes: both are one access.',
  },
} as const satisfies Rows

export const ITS: RecordType = recordType('its', wordsOf(itsRows, undefined))

/** Numbers of the tables: that of vPEs is there on GICv4. */
export const DEVICE_TABLE = 0
export const COLLECTION_TABLE = 1
export const VPE_TABLE = 2

/** Limits of an ITS. */
export interface ItsLimits {
  readonly deviceBits: number
  readonly eventBits: number
  readonly collectionBits: number
  /** On GICv4. */
  readonly vpeBits: number
  /** An entry of the vPE table has 2^vpeEntryShift bytes; 0 where there is no such table. */
  readonly vpeEntryShift: number
  /** PEs that there are: from 0 on, what a collection can go to. */
  readonly cpus: number
}
