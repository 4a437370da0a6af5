/**
 * The set of states that an exploration has seen, by 63 bits of two hash lanes; the last bit says whether the state is
 * open: on the search's stack or, if the search looks for them, in a cycle through one that is. It holds hashes, not
 * states: two states of a table whose bits agree count as one.
 *
 * It is many hash tables with open addressing. A state's table is chosen by its table key, the sum of words that seldom
 * change (slow-words.ts), so that states that the search meets one after the other are in a few tables, and those share
 * pages and lines of the processor's caches. How many states a table gets nobody knows beforehand: each grows by itself.
 */

import { zeros } from '../state/zeros.ts'

/** Tables of a large set: what says where they are is not to fill a cache, either. */
const MOST_TABLES = 1 << 12
/** Words of a table at first: a line of a cache. */
const FIRST_WORDS = 16
/** A table with less grows fourfold: of few states it is not much that they are put into the next. */
const MANY_WORDS = 64
/** Words that there is room for once a set is larger than most: those that no state has touched cost nothing. */
const MOST_ROOM = 1 << 23
/** About how many words a state takes, in tables that are a third to two thirds full. */
const STATE_WORDS = 5
/** The most words of a set, 8 GiB: a table begins at an offset of 32 bits with its sign. */
const MOST_WORDS = 2 ** 31
/** About how many states a set has room for. */
export const MOST_STATES = Math.floor(MOST_WORDS / STATE_WORDS)

/** Words for each table: where in the slots it begins; its number of words, a power of two, less one; its states. */
const BEGIN = 0
const MASK = 1
const STATES = 2
const TABLE_BITS = 2

export class VisitedSet {
  /** States in the set. */
  size = 0
  /** Whether there was no room for a table that was to grow. All states are in the set, but nobody may put in more. */
  isFull = false
  private readonly tables: Int32Array
  /** What a table key is shifted by to be the number of a table: the top bits, since lane a's low ones choose a slot. */
  private readonly shift: number
  /** Lane a, then lane b with its lowest bit for open states; two zeros are a free slot. */
  private slots: Int32Array
  /** Where the slots end that tables have or had. */
  private end: number
  /** Words of the slots that are enough for the states that are expected. */
  private readonly enough: number
  /** By binary logarithm of a table's words, where tables of that size were that have grown: room for others, all zero. */
  private readonly left: number[][] = Array.from({ length: 32 }, () => [])

  /** Makes an empty set; about how many states are expected says how many tables it has. */
  constructor(
    expected: number,
    private readonly mostWords = MOST_WORDS,
  ) {
    const bits = 31 - Math.clz32(Math.max(2, Math.min(MOST_TABLES, expected >> 6)))
    const count = 1 << bits
    this.shift = 32 - bits
    this.tables = new Int32Array(count << TABLE_BITS)
    for (let i = 0; i < count; i++) {
      this.tables[(i << TABLE_BITS) + BEGIN] = FIRST_WORDS * i
      this.tables[(i << TABLE_BITS) + MASK] = FIRST_WORDS - 1
    }
    this.end = FIRST_WORDS * count
    this.enough = Math.min(MOST_ROOM, STATE_WORDS * expected)
    this.slots = new Int32Array(Math.min(mostWords, 4 * this.end))
  }

  /** The slot of a state, or the free one where it belongs. */
  find(a: number, b: number, tableKey: number): number {
    const { slots, tables } = this
    const table = this.tableOf(tableKey)
    const begin = tables[table + BEGIN]
    const mask = tables[table + MASK]
    for (let at = (2 * a) & mask; ; at = (at + 2) & mask) {
      const slot = (begin + at) | 0
      const there = slots[slot]
      if (there === a && ((slots[slot + 1] ^ b) | 1) === 1) return slot
      if (there === 0 && slots[slot + 1] === 0) return slot
    }
  }

  /** Whether a slot is free. */
  isFree(slot: number): boolean {
    return this.slots[slot] === 0 && this.slots[slot + 1] === 0
  }

  /** Whether the state in a slot is open. */
  isOpen(slot: number): boolean {
    return (this.slots[slot + 1] & 1) === 1
  }

  /** Puts an open state into the free slot that `find` gave, of a set that is not full. */
  enter(slot: number, a: number, b: number, tableKey: number): void {
    const { slots, tables } = this
    slots[slot] = a
    slots[slot + 1] = b | 1
    this.size++
    const table = this.tableOf(tableKey)
    const states = tables[table + STATES] + 1
    tables[table + STATES] = states
    if (3 * states > tables[table + MASK]) this.grow(table)
  }

  /** The state in a slot is open again. */
  reopen(slot: number): void {
    this.slots[slot + 1] |= 1
  }

  /** A state of the set is open no more; `hint` is the slot it was put into, unless its table has grown since. */
  close(hint: number, a: number, b: number, tableKey: number): void {
    const { slots } = this
    const isThere = slots[hint] === a && ((slots[hint + 1] ^ b) | 1) === 1
    const slot = isThere ? hint : this.find(a, b, tableKey)
    // Both lanes zero would read as a free slot. Such a state stays marked as open, at the cost of a futile
    // search for a cycle.
    if (a !== 0 || (b & ~1) !== 0) slots[slot + 1] &= ~1
  }

  private tableOf(tableKey: number): number {
    return (tableKey >>> this.shift) << TABLE_BITS
  }

  /** Has a table more slots; if there is no room for them, it keeps those that it has. */
  private grow(table: number): void {
    const { tables } = this
    const from = tables[table + BEGIN]
    const words = tables[table + MASK] + 1
    const larger = words < MANY_WORDS ? 4 * words : 2 * words
    const begin = this.room(larger)
    if (begin < 0) {
      this.isFull = true
      return
    }
    const mask = larger - 1
    tables[table + BEGIN] = begin
    tables[table + MASK] = mask
    const { slots } = this
    for (let slot = from; slot < from + words; slot += 2) {
      const a = slots[slot]
      const b = slots[slot + 1]
      if (a === 0 && b === 0) continue
      let at = (2 * a) & mask
      while (slots[begin + at] !== 0 || slots[begin + at + 1] !== 0) at = (at + 2) & mask
      slots[begin + at] = a
      slots[begin + at + 1] = b
    }
    slots.fill(0, from, from + words)
    this.left[31 - Math.clz32(words)].push(from)
  }

  /** Where there are so many words for a table, all zero; -1 if there is no room for them. */
  private room(words: number): number {
    const left = this.left[31 - Math.clz32(words)].pop()
    if (left !== undefined) return left
    const begin = this.end
    const end = begin + words
    if (end > this.slots.length && !this.hasSlots(end)) return -1
    this.end = end
    return begin
  }

  /** Has the set at least so many slots; false if it cannot. */
  private hasSlots(words: number): boolean {
    const { mostWords, enough } = this
    if (words > mostWords) return false
    const larger = zeros(Math.min(mostWords, Math.max(enough, Math.floor(1.5 * words))))
    if (larger === undefined) return false
    larger.set(this.slots)
    this.slots = larger
    return true
  }
}
