/** Numbers for pairs of words: from 1, in the order in which the pairs were first asked for. */
import { zeros } from '../state/zeros.ts'
import { mixA } from './sum-hash.ts'

/** Pairs that there is room for at first, and at most. */
const FIRST = 1 << 8
const MOST = 1 << 30

export class PairNumbers {
  /** How many pairs have a number. */
  count = 0
  /** Whether there was no room for more than those that are in reserve. */
  isFull = false
  /** By number, both words of the pair. Number 0 is no pair's, and has zeros. */
  private pairs: Int32Array
  /** A hash table with open addressing of the numbers; 0 is a free slot. It is twice as long as there is room for pairs. */
  private slots: Int32Array

  constructor(
    /** Pairs that are kept in reserve: as many may get a number before somebody asks whether it {@link isFull}. */
    private readonly reserve = 0,
    private readonly most = MOST,
  ) {
    let room = FIRST
    while (room <= reserve + 1) room *= 2
    this.pairs = new Int32Array(2 * room)
    this.slots = new Int32Array(2 * room)
  }

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
    this.slots[slot] = number
    this.pairs[2 * number] = left
    this.pairs[2 * number + 1] = right
    if (2 * (number + this.reserve + 1) >= this.pairs.length && !this.isFull) this.isFull = !this.grows()
    return number
  }

  /** Makes room for twice as many pairs; false if it cannot. */
  private grows(): boolean {
    const { pairs, count } = this
    const words = 2 * pairs.length
    const [larger, slots] = words > 2 * this.most ? [] : [zeros(words), zeros(words)]
    if (larger === undefined || slots === undefined) return false
    larger.set(pairs)
    const mask = words - 1
    for (let number = 1; number <= count; number++) {
      let at = mixA(pairs[2 * number], pairs[2 * number + 1]) & mask
      while (slots[at] !== 0) at = (at + 1) & mask
      slots[at] = number
    }
    this.pairs = larger
    this.slots = slots
    return true
  }
}
