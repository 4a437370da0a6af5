/**
 * What the detector remembers of a driver, where it is on: commands and invalidations that nothing has synchronised yet,
 * configuration bytes as redistributors may know them, and writes whose effect was not waited for. The lists are bounded:
 * a full one forgets its oldest note.
 */
import { type RecordType, recordType } from '../../state/layout.ts'

/** Which rules were broken: bit n for rule n of missing-barriers.ts. */
export const BARRIERS_SEEN = 0
/** GICD_CTLR has disabled groups, and its RWP was not read as 0 since: 1. */
export const GROUPS_DISABLED = 1
/** Bit n of word m: SPI 32 m + n was disabled so. Word 0 is not used. */
export const SPIS_DISABLED = 2
const SPI_WORDS = 32

/** Notes of commands. */
export const COMMAND_NOTES = SPIS_DISABLED + SPI_WORDS
export const COMMAND_CAPACITY = 64
/** Words of such a note. The opcode or, from {@link NOTE_INVLPIR} on, the register; above it the ITS, or the CPU. */
export const NOTE_KIND = 0
export const NOTE_OWNER_SHIFT = 16
/** The DeviceID; of GICR_INVLPIR the INTID. */
export const NOTE_DEVICE = 1
/** The EventID; of VSGI the vINTID. */
export const NOTE_EVENT = 2
/** The vPEID, the collection, or the CPU; -1 for none. */
export const NOTE_TARGET = 3
/** Memory that the command gave away or took, in two words, and how many bytes of it. */
export const NOTE_ADDRESS = 4
export const NOTE_BYTES = 6
/** Whether the command unmaps: 1. Of INV: whether its interrupt is virtual. */
export const NOTE_FLAG = 7
export const COMMAND_NOTE = 8
/** Kinds of notes that are no commands. */
export const NOTE_INVLPIR = 0x100
export const NOTE_INVALLR = 0x101

/** Notes of configuration bytes: the address in two words, and the byte. */
export const BYTE_NOTES = COMMAND_NOTES + 1 + COMMAND_CAPACITY * COMMAND_NOTE
export const BYTE_CAPACITY = 256
export const BYTE_NOTE = 3
const END = BYTE_NOTES + 1 + BYTE_CAPACITY * BYTE_NOTE

export const BARRIERS: RecordType = recordType('barriers', [
  { name: 'seen', at: BARRIERS_SEEN, class: 'authoritative' },
  { name: 'groupsDisabled', at: GROUPS_DISABLED, class: 'authoritative' },
  { name: 'spisDisabled', at: SPIS_DISABLED, count: SPI_WORDS, class: 'authoritative' },
  { name: 'commands', at: COMMAND_NOTES, class: 'normalised' },
  {
    name: 'command',
    at: COMMAND_NOTES + 1,
    count: COMMAND_CAPACITY * COMMAND_NOTE,
    class: 'normalised',
  },
  { name: 'bytes', at: BYTE_NOTES, class: 'normalised' },
  { name: 'byte', at: BYTE_NOTES + 1, count: END - BYTE_NOTES - 1, class: 'normalised' },
])

/** Of a CPU's redistributor: writes that were not waited for, as flags, and the SGIs and PPIs that were disabled so. */
export const WRITES_UNPOLLED = 0
export const PRIVATE_DISABLED = 1
/** Flags: GICR_VPENDBASER.Valid was set, or cleared; GICR_CTLR.EnableLPIs was cleared; so was GICR_VPROPBASER.Valid. */
export const VALID_SET = 1
export const VALID_CLEARED = 2
export const LPIS_DISABLED = 4
export const VPROPBASER_CLEARED = 8

export const BARRIERS_CPU: RecordType = recordType('barriers[<n>]', [
  { name: 'unpolled', at: WRITES_UNPOLLED, class: 'authoritative' },
  { name: 'disabled', at: PRIVATE_DISABLED, class: 'authoritative' },
])
