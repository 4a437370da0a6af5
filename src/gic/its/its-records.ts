/** The words of an ITS. Its tables are in memory, and it caches nothing of them. */
import {
  GITS_BASER_VIEW,
  GITS_CBASER_VIEW,
  GITS_CREADR_VIEW,
  GITS_CTLR_VIEW,
  GITS_CWRITER_VIEW,
} from '../../arch/gits-registers.ts'
import { type RecordType, recordType } from '../../state/layout.ts'

export const GITS_CTLR = 0
/** Messages that are accepted and not translated, where that lags; they are the first of {@link ITS_MSIS}. */
export const ITS_MSI_COUNT = 1
export const GITS_CBASER = 2
export const GITS_CWRITER = 4
export const GITS_CREADR = 6
/** Eight registers of two words. */
export const GITS_BASER = 8
/** DeviceID and EventID of each message. */
export const ITS_MSIS = 24
/** How many there can be. */
export const MSI_CAPACITY = 16
/** The command under way, eight words; and what a look into the tables found. They mean something within an access only. */
export const ITS_COMMAND = 56
/** The table, or the page of it, that an entry is in: its address. */
export const ITS_ENTRY = 64
/** The device's ITT: its address, with the number of EventID bits, less one, in bits 4:0. */
export const ITS_ITT = 66
/** The interrupt: its INTID and its collection; and the CPU of a collection. */
export const ITS_FOUND_INTID = 68
export const ITS_FOUND_ICID = 69
export const ITS_FOUND_CPU = 70
/** Of a virtual interrupt ITS_FOUND_ICID is the vPEID, and this its doorbell's INTID; -1 for a physical one. */
export const ITS_FOUND_DOORBELL = 71
/** The lower half of a write of GITS_SGIR, until the upper one comes: both are one access. */
export const ITS_SGIR = 72

export const ITS: RecordType = recordType('its', [
  { name: 'GITS_CTLR', at: GITS_CTLR, class: 'authoritative', view: GITS_CTLR_VIEW },
  { name: 'messages', at: ITS_MSI_COUNT, class: 'normalised' },
  { name: 'GITS_CBASER', at: GITS_CBASER, wide: true, class: 'authoritative', view: GITS_CBASER_VIEW },
  { name: 'GITS_CWRITER', at: GITS_CWRITER, wide: true, class: 'authoritative', view: GITS_CWRITER_VIEW },
  { name: 'GITS_CREADR', at: GITS_CREADR, wide: true, class: 'authoritative', view: GITS_CREADR_VIEW },
  { name: 'GITS_BASER', at: GITS_BASER, count: 8, wide: true, class: 'authoritative', view: GITS_BASER_VIEW },
  { name: 'message', at: ITS_MSIS, count: 2 * MSI_CAPACITY, class: 'normalised' },
  { name: 'command', at: ITS_COMMAND, count: 8, class: 'observational' },
  { name: 'entry', at: ITS_ENTRY, wide: true, class: 'observational' },
  { name: 'itt', at: ITS_ITT, wide: true, class: 'observational' },
  { name: 'foundIntid', at: ITS_FOUND_INTID, class: 'observational' },
  { name: 'foundIcid', at: ITS_FOUND_ICID, class: 'observational' },
  { name: 'foundCpu', at: ITS_FOUND_CPU, class: 'observational' },
  { name: 'foundDoorbell', at: ITS_FOUND_DOORBELL, class: 'observational' },
  { name: 'GITS_SGIR', at: ITS_SGIR, class: 'observational' },
])

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
