/**
 * What the detector remembers of a driver, where it is on: commands and invalidations that nothing has synchronised yet,
 * configuration bytes as redistributors may know them, and writes whose effect was not waited for. The lists are bounded:
 * a full one forgets its oldest note.
 */
import { type RecordType, recordType } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'

export * from './barrier-offsets.ts'

/** Kinds of notes that are no commands. */
export const NOTE_INVLPIR = 0x100
export const NOTE_INVALLR = 0x101
/** In the word of a note's kind: the ITS, or the CPU, is above it. */
export const NOTE_OWNER_SHIFT = 16

/** A note of a command. */
export const commandNoteRows = {
  NOTE_KIND: {
    name: 'kind',
    class: 'normalised',
    by: [],
    says: 'The opcode or, from {@link NOTE_INVLPIR} on, the register; above it the ITS, or the CPU.',
  },
  NOTE_DEVICE: {
    name: 'device',
    class: 'normalised',
    by: [],
    says: 'The DeviceID; of GICR_INVLPIR the INTID.',
  },
  NOTE_EVENT: { name: 'event', class: 'normalised', by: [], says: 'The EventID; of VSGI the vINTID.' },
  NOTE_TARGET: {
    name: 'target',
    class: 'normalised',
    by: [],
    says: 'The vPEID, the collection, or the CPU; -1 for none.',
  },
  NOTE_ADDRESS: {
    name: 'address',
    count: 2,
    class: 'normalised',
    by: [],
    says: 'Memory that the command gave away or took, in two words.',
  },
  NOTE_BYTES: { name: 'bytes', class: 'normalised', by: [], says: 'How many bytes of it.' },
  NOTE_FLAG: {
    name: 'flag',
    class: 'normalised',
    by: [],
    says: 'Whether the command unmaps: 1. Of INV: whether its interrupt is virtual.',
  },
} as const satisfies Rows

const COMMAND_NOTE_TYPE = recordType('commandNote', wordsOf(commandNoteRows, undefined))

export const COMMAND_CAPACITY = 64
export const BYTE_CAPACITY = 256
/** Words of a note of a configuration byte: its address in two, and the byte. */
export const BYTE_NOTE = 3

export const barrierRows = {
  BARRIERS_SEEN: {
    name: 'seen',
    class: 'authoritative',
    by: [],
    says: 'Which rules were broken: bit n for rule n of missing-barriers.ts.',
  },
  GROUPS_DISABLED: {
    name: 'groupsDisabled',
    class: 'authoritative',
    by: [],
    says: 'GICD_CTLR has disabled groups, and its RWP was not read as 0 since: 1.',
  },
  SPIS_DISABLED: {
    name: 'spisDisabled',
    count: 32,
    class: 'authoritative',
    by: [],
    says: 'Bit n of word m: SPI 32 m + n was disabled so. Word 0 is not used.',
  },
  COMMAND_NOTES: {
    name: 'commands',
    class: 'normalised',
    by: [],
    says: 'Notes of commands: how many there are, then the notes.',
  },
  COMMAND_NOTE_WORDS: {
    name: 'command',
    count: COMMAND_CAPACITY * COMMAND_NOTE_TYPE.size,
    class: 'normalised',
    by: [],
    says: 'The notes of commands.',
  },
  BYTE_NOTES: {
    name: 'bytes',
    class: 'normalised',
    by: [],
    says: 'Notes of configuration bytes: how many there are, then the notes.',
  },
  BYTE_NOTE_WORDS: {
    name: 'byte',
    count: BYTE_CAPACITY * BYTE_NOTE,
    class: 'normalised',
    by: [],
    says: 'The notes of configuration bytes.',
  },
} as const satisfies Rows

export const BARRIERS: RecordType = recordType('barriers', wordsOf(barrierRows, undefined))

/** Flags of {@link WRITES_UNPOLLED}. */
export const VALID_SET = 1
export const VALID_CLEARED = 2
export const LPIS_DISABLED = 4
export const VPROPBASER_CLEARED = 8

/** Of a CPU's redistributor. */
export const barrierCpuRows = {
  WRITES_UNPOLLED: {
    name: 'unpolled',
    class: 'authoritative',
    by: [],
    says: 'Writes that were not waited for, as flags: GICR_VPENDBASER.Valid was set, or cleared; GICR_CTLR.EnableLPIs was cleared; so was GICR_VPROPBASER.Valid.',
  },
  PRIVATE_DISABLED: {
    name: 'disabled',
    class: 'authoritative',
    by: [],
    says: 'Bit n: SGI or PPI n was disabled, and that was not waited for.',
  },
} as const satisfies Rows

export const BARRIERS_CPU: RecordType = recordType('barriers[<n>]', wordsOf(barrierCpuRows, undefined))
