/**
 * Records in a fixed number of slots, found by two key words: what would be objects on a heap and a lookup table beside
 * them. Slots are counted from 1, so that 0 is none. A free slot is all zero, its first key too; the lowest one is
 * taken first, so that the same history gives the same words.
 */
import { lowestBit } from './bits.ts'
import { KeyTree, type PoolLayout, treeWords } from './key-tree.ts'
import type { Rows } from './rows.ts'

export type { PoolLayout } from './key-tree.ts'

/** The words beside the records. */
export const slotPoolRows = {
  POOL_FREE: {
    name: 'free',
    class: 'normalised',
    by: [],
    says: 'The lowest slot that may be free, less one.',
  },
  POOL_INDEX: { name: 'index', count: treeWords, class: 'normalised', by: [], says: 'The tree of slots.' },
  POOL_IN_USE: {
    name: 'inUse',
    count: (slots) => Math.ceil(slots / 32),
    class: 'normalised',
    by: [],
    says: 'Bit n of word m is set if slot 32 m + n + 1 is in use.',
  },
} as const satisfies Rows<number>

export class SlotPool {
  private readonly index: KeyTree
  /** Where the bitmap of slots in use is. */
  private readonly inUse: number

  constructor(
    readonly words: Int32Array,
    readonly layout: PoolLayout,
  ) {
    this.index = new KeyTree(words, layout)
    this.inUse = layout.index + 1 + treeWords(layout.count)
  }

  /** The record of a slot. */
  recordOf(slot: number): number {
    return this.layout.records + (slot - 1) * this.layout.size
  }

  /** The slot of a record. */
  slotOf(record: number): number {
    return ((record - this.layout.records) / this.layout.size + 1) | 0
  }

  /** The slot whose keys these are; 0 if there is none. */
  find(key0: number, key1: number): number {
    return this.index.find(key0, key1)
  }

  /** The slot with the lowest keys, as unsigned numbers; 0 if none is in use. */
  first(): number {
    return this.index.first()
  }

  /** The slot whose keys follow those of another; 0 after the last. */
  next(slot: number): number {
    return this.index.next(slot)
  }

  /** Takes a free slot for a record with these keys; 0 if all are in use. */
  add(key0: number, key1: number): number {
    const { words, layout } = this
    const slot = this.firstFree()
    words[layout.index] = slot === 0 ? layout.count : slot
    if (slot === 0) return 0
    const record = this.recordOf(slot)
    words[record + layout.key0] = key0
    words[record + layout.key1] = key1
    words[this.inUse + ((slot - 1) >> 5)] |= 1 << (slot - 1)
    this.index.add(slot)
    return slot
  }

  /** The lowest slot that is free; 0 if all are in use. */
  private firstFree(): number {
    const { words, inUse, layout } = this
    for (let word = words[layout.index] >> 5; 32 * word < layout.count; word++) {
      const free = ~words[inUse + word]
      const slot = (word << 5) + lowestBit(free) + 1
      if (free !== 0) return slot <= layout.count ? slot : 0
    }
    return 0
  }

  /** Frees a slot. */
  remove(slot: number): void {
    this.unlink(slot)
    this.release(slot)
  }

  /** A slot is found no more by its keys, and stays in use until {@link release}. */
  unlink(slot: number): void {
    this.index.remove(slot)
  }

  /** Frees a slot that was unlinked. */
  release(slot: number): void {
    const { words, layout } = this
    const record = this.recordOf(slot)
    words.fill(0, record, record + layout.size)
    words[this.inUse + ((slot - 1) >> 5)] &= ~(1 << (slot - 1))
    words[layout.index] = Math.min(words[layout.index], slot - 1)
  }

  /** Whether a slot is in use. */
  isUsed(slot: number): boolean {
    return this.words[this.recordOf(slot) + this.layout.key0] !== 0
  }
}
