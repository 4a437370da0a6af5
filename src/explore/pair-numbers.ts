/** Numbers for pairs of words: from 1, in the order in which the pairs were first asked for. */
import { doubled } from '../state/doubled.ts'
import { mixA } from './sum-hash.ts'

/** Pairs that there is room for at first. */
const FIRST = 1 << 8

export class PairNumbers {
  /** How many pairs have a number. */
  count = 0
  /** By number, both words of the pair. Number 0 is no pair's, and has zeros. */
  private pairs = new Int32Array(2 * FIRST)
  /** A hash table with open addressing of the numbers; 0 is a free slot. */
  private slots = new Int32Array(FIRST)

  /** Bytes that it takes. */
  get bytes(): number {
    return this.pairs.byteLength + this.slots.byteLength
  }

  left(number: number): number {
    return this.pairs[2 * number]
  }

  right(number: number): number {
    return this.pairs[2 * number + 1]
  }

  /** The number of a pair, which gets the next one if it is new. */
  numberOf(left: number, right: number): number {
    const { pairs, slots } = this
    const mask = slots.length - 1
    for (let at = mixA(left, right) & mask; ; at = (at + 1) & mask) {
      const number = slots[at]
      if (number === 0) return this.add(at, left, right)
      if (pairs[2 * number] === left && pairs[2 * number + 1] === right) return number
    }
  }

  private add(slot: number, left: number, right: number): number {
    const number = ++this.count
    if (2 * number === this.pairs.length) this.pairs = doubled(this.pairs)
    this.slots[slot] = number
    this.pairs[2 * number] = left
    this.pairs[2 * number + 1] = right
    if (4 * number > 3 * this.slots.length) this.growSlots()
    return number
  }

  private growSlots(): void {
    const { pairs, count } = this
    const slots = new Int32Array(2 * this.slots.length)
    const mask = slots.length - 1
    for (let number = 1; number <= count; number++) {
      let at = mixA(pairs[2 * number], pairs[2 * number + 1]) & mask
      while (slots[at] !== 0) at = (at + 1) & mask
      slots[at] = number
    }
    this.slots = slots
  }
}
