/**
 * Where every word of a machine is. All mutable state of a machine, program counters included, lives in one
 * fixed-size ArrayBuffer of 32-bit words. A part of the machine declares its words once, each with a class and
 * who may write it, as rows of which follow the literal offsets that hot code uses (`words[pe + ICH_HCR]`): rows.ts.
 * Records of words are then placed in the buffer, one after another, as often as the configuration says. From the
 * same declarations come the reset image's size, what is hashed, and the names that a diff prints.
 */
import type { RegisterView } from '../arch/field.ts'
import { VgicError } from '../errors/vgic-error.ts'

/**
 * What a word is to snapshots and comparison. All classes are saved and restored.
 * - `authoritative`: architectural or software state; hashed and compared.
 * - `normalised`: the same, and kept canonical so that equal situations are equal words (a freed slot is zero).
 * - `derived`: recomputable from the others; neither hashed nor compared.
 * - `observational`: counters, the virtual clock, the last trap; neither hashed nor compared.
 */
export type WordClass = 'authoritative' | 'normalised' | 'derived' | 'observational'

/**
 * Who may write a word, as kinds of steps: those of a thread that stay with the thread, or with its vCPU, or with its
 * PE; a guest's; a device's that queues an interrupt, or that notifies a vCPU. Other steps may write every word.
 */
export type Writer = 'thread' | 'vcpu' | 'pe' | 'guest' | 'queue' | 'notify'

/** Words of one meaning at a fixed offset in a record. */
export interface WordDeclaration {
  /** What it holds; a register's name where it is one. Of many, `<n>` says which: `ICH_LR<n>_EL2`. */
  readonly name: string
  /**
   * What `<n>` stands for, by the word's number in the declaration and the record's among its like: a register's number,
   * or an interrupt. Left out it is the former.
   */
  readonly n?: (element: number, index: number) => number | string
  /** Word offset in the record: the literal that hot code adds to the record's base. */
  readonly at: number
  /** How many words or, with `wide`, pairs of words follow each other; 1 if left out. */
  readonly count?: number
  /** Two adjacent words, low half first, 8-byte aligned. */
  readonly wide?: true
  readonly class: WordClass
  /** How its bits read, for people; by its upper word where that decides. */
  readonly view?: RegisterView | ((upper: number) => RegisterView)
  /** Its fields are registers, or fields of such, that have a name of their own: `ICC_PMR_EL1`. */
  readonly packed?: true
  /**
   * What its value means, for people, where the number says nothing: the handle of a `record` or of a `word`, 0 if of
   * none; or what a function calls it, undefined for no more than the number.
   */
  readonly means?: 'record' | 'word' | ((value: number, index: number) => string | undefined)
  /** Who may write it besides the steps that may write every word; nobody else if left out. */
  readonly by?: readonly Writer[]
}

/** What a record, and the words in it, are called. */
export interface RecordName {
  /** What it is. `pe[<n>]` is numbered also where there is one; a name without `<n>` only where there are several. */
  readonly name: string
  /** What `<n>` stands for, by the record's number among its like; that number if left out. */
  readonly n?: (index: number) => number | string
  /** What its words' names begin with; the name and a dot if left out, nothing for words that say it all themselves. */
  readonly prefix?: string
}

/** A group of words that belong to one thing (a PE, a vCPU, the distributor). */
export interface RecordType extends Required<RecordName> {
  readonly words: readonly WordDeclaration[]
  /** Size in words, rounded up to a pair. */
  readonly size: number
}

/** A record type placed `count` times from word `base` on. */
export interface Placement {
  readonly record: RecordType
  readonly base: number
  readonly count: number
}

/** Words of a declaration. */
export const sizeOf = ({ count = 1, wide }: WordDeclaration): number => (wide ? 2 * count : count)

/** Makes a record type; its words must follow each other without gap or overlap, in ascending order. */
export function recordType(
  called: string | RecordName,
  ...parts: readonly (readonly WordDeclaration[])[]
): RecordType {
  const {
    name,
    n = (index: number) => index,
    prefix = `${name}.`,
  } = typeof called === 'string' ? { name: called } : called
  const words = parts.flat().sort((a, b) => a.at - b.at)
  let next = 0
  for (const word of words) {
    if (word.at !== next || (word.wide && word.at % 2 !== 0)) {
      throw new VgicError(
        'argument',
        `${name}.${word.name} is at word ${word.at}, but the next free word is ${next}.`,
      )
    }
    next += sizeOf(word)
  }
  return { name, n, prefix, words, size: next + (next % 2) }
}

/** Where a word index points: the record, which of its placements, the declaration, which of its words. */
export interface Location {
  readonly placement: Placement
  readonly index: number
  readonly word: WordDeclaration
  readonly element: number
  /** The upper half of a wide word. */
  readonly upper: boolean
}

/** The placement of all records of a machine. Built once from a configuration and never changed. */
export class Layout {
  readonly placements: readonly Placement[]
  /** Size of the machine in words. */
  readonly length: number
  /** Pairs `start, end` of the word ranges that are hashed and compared, adjacent ones merged. */
  readonly compared: Int32Array

  constructor(records: readonly (readonly [RecordType, number])[]) {
    const placements: Placement[] = []
    let base = 0
    for (const [record, count] of records) {
      placements.push({ record, base, count })
      base += count * record.size
    }
    this.placements = placements
    this.length = base
    this.compared = this.rangesOf(['authoritative', 'normalised'])
  }

  /** Pairs `start, end` of the ranges of words of some classes, adjacent ones merged, from word `from` on. */
  rangesOf(classes: readonly WordClass[], from = 0): Int32Array {
    const ranges: number[] = []
    for (const { record, base, count } of this.placements) {
      for (let i = 0; i < count; i++) {
        for (const word of record.words) {
          const start = base + i * record.size + word.at
          if (!classes.includes(word.class) || start < from) continue
          if (ranges.at(-1) === start) ranges.pop()
          else ranges.push(start)
          ranges.push(start + sizeOf(word))
        }
      }
    }
    return Int32Array.from(ranges)
  }

  /** Pairs `start, end` of the ranges within a record of the words of some classes that a writer may write. */
  rangesBy(record: RecordType, writer: Writer, classes: readonly WordClass[]): Int32Array {
    const ranges: number[] = []
    for (const word of record.words) {
      if (!classes.includes(word.class) || !word.by?.includes(writer)) continue
      if (ranges.at(-1) === word.at) ranges.pop()
      else ranges.push(word.at)
      ranges.push(word.at + sizeOf(word))
    }
    return Int32Array.from(ranges)
  }

  /** The type of the record that begins at a word. */
  recordTypeAt(at: number): RecordType {
    const placement = this.placements.find(({ base }) => base === at)
    if (!placement) throw new VgicError('argument', `This layout has no record that begins at word ${at}.`)
    return placement.record
  }

  /** The word offset of the first placement of a record type. */
  baseOf(record: RecordType): number {
    const placement = this.placements.find((p) => p.record === record)
    if (!placement) throw new VgicError('argument', `This layout has no record ${record.name}.`)
    return placement.base
  }

  /** What a word index points at; undefined for the padding word of an odd-sized record. */
  locate(at: number): Location | undefined {
    const placement = this.placements.find(
      ({ base, count, record }) => at >= base && at < base + count * record.size,
    )
    if (!placement) return undefined
    const index = Math.floor((at - placement.base) / placement.record.size)
    const offset = (at - placement.base) % placement.record.size
    const word = placement.record.words.find((w) => offset >= w.at && offset < w.at + sizeOf(w))
    if (!word) return undefined
    const inWord = offset - word.at
    return {
      placement,
      index,
      word,
      element: word.wide ? inWord >> 1 : inWord,
      upper: word.wide === true && inWord % 2 === 1,
    }
  }

  /** `pe[0].ICH_LR2_EL2`: the name of what a word index points at. */
  nameOf(at: number): string {
    const location = this.locate(at)
    if (!location) return `word ${at}`
    const { placement, index, word, element } = location
    const { n = () => element, count = 1 } = word
    const name = word.name.includes('<n>') || count === 1 ? word.name : `${word.name}[<n>]`
    return this.prefixOf(placement, index) + numbered(name, n(element, index))
  }

  /** The name of a field of the word, where the field is a register itself. */
  fieldNameOf(at: number, field: string): string {
    const location = this.locate(at)
    return location ? this.prefixOf(location.placement, location.index) + field : field
  }

  /** What a value of the word that an index points at means; undefined where the number says it. */
  meaningOf(at: number, value: number): string | undefined {
    const { word, index } = this.locate(at) ?? {}
    const means = word?.means
    if (means === undefined) return undefined
    if (typeof means === 'function') return means(value, index ?? 0)
    if (value === 0) return 'none'
    return means === 'word' ? this.nameOf(value) : this.recordAt(value)
  }

  /** `pe[0]`: the name of the record that begins at a word. */
  private recordAt(at: number): string | undefined {
    const { placement, index } = this.locate(at) ?? {}
    if (!placement || index === undefined) return undefined
    const { record, base } = placement
    return at === base + index * record.size ? numbered(record.name, record.n(index)) : undefined
  }

  private prefixOf({ record, count }: Placement, index: number): string {
    const { name, prefix, n } = record
    if (count > 1 && !name.includes('<n>')) return `${name}[${index}].`
    return numbered(prefix, n(index))
  }
}

/** Says which of several a name means. */
const numbered = (name: string, n: number | string): string => name.replace('<n>', () => String(n))
