/** The words of a device: how far its program has come, and the injection or message that is under way. */
import { type RecordType, recordType } from '../state/layout.ts'
import { type Rows, wordsOf } from '../state/rows.ts'

export * from './device-offsets.ts'

/** What its program counters mean. */
interface Programs {
  /** The name of the device with a number. */
  readonly nameOf: (index: number) => string | undefined
  /** A step of its program, by name. */
  readonly stepOf: (index: number, pc: number) => string | undefined
  /** The design's step at a program counter. */
  readonly stepAt: (pc: number) => string
}

export const deviceRows = ({ stepOf, stepAt }: Pick<Programs, 'stepOf' | 'stepAt'>) =>
  ({
    DEVICE_PC: {
      name: 'pc',
      class: 'authoritative',
      by: ['queue', 'notify'],
      says: 'The next step of its program.',
      means: (pc: number, index: number) => `${pc}: ${stepOf(index, pc) ?? 'done'}`,
    },
    DEVICE_INJECT: {
      name: 'inject',
      class: 'authoritative',
      by: ['queue', 'notify'],
      says: 'The program counter of its injection or message.',
      means: (pc: number) => (pc === 0 ? 'none' : stepAt(pc)),
    },
    DEVICE_TARGET: {
      name: 'target',
      class: 'normalised',
      by: ['queue', 'notify'],
      says: 'The vCPU that this is for.',
      means: 'record',
    },
    DEVICE_LPI: {
      name: 'LPI',
      class: 'normalised',
      by: ['queue', 'notify'],
      says: 'The words of its message, as message.ts has them: the LPI to which it was translated.',
      means: 'word',
    },
    DEVICE_HOLDS: {
      name: 'holds it',
      class: 'normalised',
      by: [],
      says: '1 if the message has a reference to that.',
    },
    DEVICE_IMAGE: {
      name: 'image',
      class: 'normalised',
      by: [],
      says: 'What the save that is under way has of the timers of the first vCPUs: SAVED_ bits, four a vCPU.',
    },
  }) as const satisfies Rows

/** The record of a device. */
export const deviceRecord = (programs: Programs): RecordType =>
  recordType(
    { name: 'device <n>', n: (index) => programs.nameOf(index) ?? index },
    wordsOf(deviceRows(programs), undefined),
  )
