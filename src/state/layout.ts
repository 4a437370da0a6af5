/**
 * The layout of a machine's words. All mutable state of a machine, program counters included, lives in one fixed-size
 * ArrayBuffer of 32-bit words. A part of the machine declares its words once as rows (rows.ts), each with a class and
 * who may write it; the literal offsets of hot code (`words[pe + ICH_HCR]`) are generated from them. The records are
 * placed in the buffer one after another, as many of each as the configuration says. The size of an image, the ranges
 * that are hashed, and the names that a diff prints follow from the same declarations.
 */
import type { RegisterView } from '../arch/field.ts'
import { VgicError } from '../errors/vgic-error.ts'

/**
 * How a word is treated by hash and comparison. Words of all classes are saved and restored.
 * - `authoritative`: architectural or software state; hashed and compared.
 * - `normalised`: as authoritative, and kept canonical so that equal situations are equal words (a freed slot is
 *   zero).
 * - `derived`: recomputable from the others; neither hashed nor compared.
 * - `observational`: counters, the virtual clock, the last trap; neither hashed nor compared.
 */
export type WordClass = 'authoritative' | 'normalised' | 'derived' | 'observational'

/**
 * The kinds of steps that may write a word; a step of no kind may write every word.
 * - `thread`, `vcpu`, `pe`: steps of a thread that write its own words; its vCPU's, too; its PE's, too, but of its vCPU's
 *   none that only guests and userspace write.
 * - `load`, `put`: loads and puts of the CPU interface.
 * - `sched`: steps by which a thread gets its PE, enters the guest or leaves the PE.
 * - `lists`: steps on the interrupts of its ap_list.
 * - `guest`: a guest's.
 * - `queue`, `notify`: a device's that queues an interrupt, or that notifies a vCPU.
 */
export type Writer =
  | 'thread'
  | 'vcpu'
  | 'pe'
  | 'load'
  | 'put'
  | 'sched'
  | 'lists'
  | 'guest'
  | 'queue'
  | 'notify'

/** One or several words of one meaning at a fixed offset in a record. */
export interface WordDeclaration {
  /**
   * What it holds, by the register's name if it is one. If there are several, `<n>` stands for which:
   * `ICH_LR<n>_EL2`.
   */
  readonly name: string
  /**
   * What `<n>` is replaced by, from the word's number in the declaration and the record's number among those of its
   * type; the word's number if left out.
   */
  readonly n?: (element: number, index: number) => number | string
  /** Word offset in the record: the literal that hot code adds to the record's base. */
  readonly at: number
  /** The number of adjacent words or, with `wide`, pairs of words; 1 if left out. */
  readonly count?: number
  /** Two adjacent words, low half first, 8-byte aligned. */
  readonly wide?: true
  readonly class: WordClass
  /** How its bits are printed; a function of the upper word where that decides. */
  readonly view?: RegisterView | ((upper: number) => RegisterView)
  /** Its fields are registers, or fields of registers, with names of their own: `ICC_PMR_EL1`. */
  readonly packed?: true
  /**
   * How its value is printed if it is not a quantity: as the name of the `record` or the `word` whose handle it is, 0
   * for none; or as what a function returns, undefined for the plain number.
   */
  readonly means?: 'record' | 'word' | ((value: number, index: number) => string | undefined)
  /** The kinds of steps that may write it, besides those that may write every word; none if left out. */
  readonly by?: readonly Writer[]
}

/** How a record and the words in it are named. */
export interface RecordName {
  /** The record's name. `pe[<n>]` is always numbered; a name without `<n>` only if there are several such records. */
  readonly name: string
  /** What `<n>` is replaced by, from the record's number among those of its type; that number if left out. */
  readonly n?: (index: number) => number | string
  /** The prefix of its words' names; the name and a dot if left out, empty for words whose names need none. */
  readonly prefix?: string
}

/** A type of record: the words of one PE, one vCPU, the distributor. */
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

/** The size of a declaration in words. */
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
  return { name, n, prefix, words, size: (next + (next % 2)) | 0 }
}

/**
 * What a word index points at: the placement, the record's number in it, the declaration, and the number of the word
 * in that.
 */
export interface Location {
  readonly placement: Placement
  readonly index: number
  readonly word: WordDeclaration
  readonly element: number
  /** Whether it is the upper half of a wide word. */
  readonly upper: boolean
}

/** The placement of all records of a machine. Built once from a configuration, and immutable. */
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
      // V8 keeps a sum with a power or a quotient in it as a double, and then every handle of the machine is one.
      base = (base + count * record.size) | 0
    }
    this.placements = placements
    this.length = base
    this.compared = this.rangesOf(['authoritative', 'normalised'])
  }

  /** Pairs `start, end` of the ranges of words of these classes, adjacent ones merged, from word `from` on. */
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

  /** Pairs `start, end` of the ranges within a record of the words of these classes that `writer` may write. */
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
    const placement = this.placements.find(({ base, count }) => base === at && count > 0)
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

  /** The name of a field of a `packed` word, which is a register of its own. */
  fieldNameOf(at: number, field: string): string {
    const location = this.locate(at)
    return location ? this.prefixOf(location.placement, location.index) + field : field
  }

  /** The printed form of a value of the word at an index, by its `means`; undefined for the plain number. */
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

/** Replaces `<n>` in a name. */
const numbered = (name: string, n: number | string): string => name.replace('<n>', () => String(n))
