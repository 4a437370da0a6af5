/** Notes of what a driver has asked for and nothing has synchronised yet: commands, GICR_INVLPIR and GICR_INVALLR. */
import { commandName } from '../../arch/its-commands.ts'
import { RecordList } from '../../state/record-list.ts'
import {
  COMMAND_CAPACITY,
  COMMAND_NOTE,
  COMMAND_NOTE_WORDS,
  COMMAND_NOTES,
  NOTE_ADDRESS,
  NOTE_BYTES,
  NOTE_DEVICE,
  NOTE_EVENT,
  NOTE_FLAG,
  NOTE_INVALLR,
  NOTE_INVLPIR,
  NOTE_KIND,
  NOTE_OWNER_SHIFT,
  NOTE_TARGET,
} from './barrier-records.ts'

const HIGH = 0x1_0000_0000
/** Memory beyond it is not looked at: no machine has as long an ITT. */
const MOST_BYTES = 0x7fff_ffff

/** A note, as an object. */
export interface Note {
  /** An opcode, or NOTE_INVLPIR or NOTE_INVALLR. */
  readonly kind: number
  /** The ITS; of the two registers the CPU. */
  readonly owner: number
  readonly device: number
  readonly event: number
  readonly target: number
  readonly address: number
  readonly bytes: number
  /** Whether it unmaps, or is about a virtual interrupt. */
  readonly flag: boolean
}

/** What a note has that is not said. */
export const BLANK = { device: 0, event: 0, target: -1, address: 0, bytes: 0, flag: false } as const

/** What software calls it. */
export const noteName = ({ kind }: Note): string =>
  kind === NOTE_INVLPIR ? 'GICR_INVLPIR' : kind === NOTE_INVALLR ? 'GICR_INVALLR' : (commandName(kind) ?? '')

export class CommandNotes {
  private readonly list: RecordList

  constructor(
    readonly words: Int32Array,
    /** The record BARRIERS. */
    at: number,
  ) {
    const [count, first] = [at + COMMAND_NOTES, at + COMMAND_NOTE_WORDS]
    this.list = new RecordList(words, count, first, COMMAND_NOTE, COMMAND_CAPACITY)
  }

  /** Adds one; an equal one is not kept, and a full list forgets its oldest. */
  add(note: Note): void {
    this.drop((other) => isSame(note, other))
    const { kind, owner, device, event, target, address, bytes, flag } = note
    const head = [kind | (owner << NOTE_OWNER_SHIFT), device, event, target]
    const memory = [(address % HIGH) | 0, Math.floor(address / HIGH), Math.min(bytes, MOST_BYTES)]
    if (this.list.isFull) this.list.remove(0)
    this.words.set([...head, ...memory, flag ? 1 : 0], this.list.add())
  }

  /** Forgets those that a test holds for. */
  drop(test: (note: Note) => boolean): void {
    this.list.removeWhere((at) => test(this.noteAt(at)))
  }

  /** Forgets them, and returns them. */
  take(test: (note: Note) => boolean): Note[] {
    const taken: Note[] = []
    this.drop((note) => {
      const isTaken = test(note)
      if (isTaken) taken.unshift(note)
      return isTaken
    })
    return taken
  }

  private noteAt(at: number): Note {
    const { words } = this
    return {
      kind: words[at + NOTE_KIND] & 0xffff,
      owner: words[at + NOTE_KIND] >>> NOTE_OWNER_SHIFT,
      device: words[at + NOTE_DEVICE],
      event: words[at + NOTE_EVENT],
      target: words[at + NOTE_TARGET],
      address: (words[at + NOTE_ADDRESS] >>> 0) + words[at + NOTE_ADDRESS + 1] * HIGH,
      bytes: words[at + NOTE_BYTES],
      flag: words[at + NOTE_FLAG] !== 0,
    }
  }
}

const isSame = (a: Note, b: Note): boolean =>
  a.kind === b.kind &&
  a.owner === b.owner &&
  a.device === b.device &&
  a.event === b.event &&
  a.target === b.target &&
  a.flag === b.flag
