/**
 * An index over records of fixed slots: the slot that has two key words, found without a search. Open addressing with
 * linear probing; a removal moves up what is behind it, so that no mark of a removed entry stays. An entry is a slot
 * counted from 1; 0 is free. At most half of the entries are in use.
 */
/** Where a pool lies, and what its records have. */
export interface PoolLayout {
  /** The first record, the distance to the next, and how many there are. */
  readonly records: number
  readonly size: number
  readonly count: number
  /** Offsets of the two keys in a record; a record with one has it twice. The first is not 0 in a record in use. */
  readonly key0: number
  readonly key1: number
  /** The index, of `indexSlots(count)` words, and in front of it where a free slot may be: slot-pool.ts. */
  readonly index: number
}

/** Entries of an index over `count` slots: a power of two. */
export const indexSlots = (count: number): number => (count === 0 ? 1 : 2 << Math.ceil(Math.log2(count)))

const { imul } = Math

/** Mixes two words. */
function mixed(a: number, b: number): number {
  let h = imul(a ^ imul(b, 0x9e3779b1), 0x85ebca6b)
  h ^= h >>> 15
  h = imul(h, 0xc2b2ae35)
  return h ^ (h >>> 13)
}

export class HashIndex {
  private readonly mask: number
  private readonly at: number
  /** Where a record of slot 0, which is none, would have its keys. */
  private readonly keys0: number
  private readonly keys1: number
  private readonly recordSize: number

  constructor(
    readonly words: Int32Array,
    { records, size, count, key0, key1, index }: PoolLayout,
  ) {
    this.mask = indexSlots(count) - 1
    this.at = index + 1
    this.recordSize = size
    this.keys0 = records - size + key0
    this.keys1 = records - size + key1
  }

  private home(slot: number): number {
    const { words, recordSize } = this
    return mixed(words[this.keys0 + slot * recordSize], words[this.keys1 + slot * recordSize]) & this.mask
  }

  find(key0: number, key1: number): number {
    const { words, at, mask, keys0, keys1, recordSize } = this
    for (let i = mixed(key0, key1) & mask; words[at + i] !== 0; i = (i + 1) & mask) {
      const offset = words[at + i] * recordSize
      if (words[keys0 + offset] === key0 && words[keys1 + offset] === key1) return words[at + i]
    }
    return 0
  }

  /** A slot, whose keys are in its record, comes into the index. */
  add(slot: number): void {
    const { words, at, mask } = this
    let i = this.home(slot)
    while (words[at + i] !== 0) i = (i + 1) & mask
    words[at + i] = slot
  }

  /** A slot, whose keys are still in its record, leaves the index. */
  remove(slot: number): void {
    const { words, at, mask } = this
    let hole = this.home(slot)
    while (words[at + hole] !== slot) hole = (hole + 1) & mask
    for (let i = (hole + 1) & mask; words[at + i] !== 0; i = (i + 1) & mask) {
      // An entry whose home is between the hole and itself is still reached where it is.
      if (((i - this.home(words[at + i])) & mask) < ((i - hole) & mask)) continue
      words[at + hole] = words[at + i]
      hole = i
    }
    words[at + hole] = 0
  }
}
