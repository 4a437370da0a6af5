/**
 * States kept whole, so that no two are taken for one because their hashes agree: each distinct state, with its budget,
 * gets a number. It takes as many bytes for each state as the state has.
 */
import { keyOf } from './sum-hash.ts'

/** Words of a block of kept states. */
const BLOCK = 1 << 20

export class ExactStates {
  /** States whose hashes have agreed though they differ. */
  collisions = 0
  private count = 0
  /** By hash, the numbers of the states that have it. */
  private readonly numbers = new Map<number, number[]>()
  private readonly blocks: Int32Array[] = []
  /** Words of a kept state: the budget, then those in the ranges. */
  private readonly size: number
  private readonly perBlock: number

  /** `ranges`: pairs `start, end` of the words that tell states apart. */
  constructor(
    private readonly words: Int32Array,
    private readonly ranges: Int32Array,
  ) {
    let size = 1
    for (let r = 0; r < ranges.length; r += 2) size += ranges[r + 1] - ranges[r]
    this.size = size
    this.perBlock = Math.max(1, Math.floor(BLOCK / size))
  }

  /** The number of the state in the words with a budget; `a` and `b` are the lanes of the hash of both. */
  numberOf(a: number, b: number, budget: number): number {
    const key = keyOf(a, b)
    const known = this.numbers.get(key) ?? []
    for (const number of known) if (this.isKept(number, budget)) return number
    if (known.length > 0) this.collisions++
    const number = this.count++
    this.numbers.set(key, [...known, number])
    this.keep(number, budget)
    return number
  }

  private isKept(number: number, budget: number): boolean {
    const { words, ranges, perBlock, size } = this
    const block = this.blocks[Math.floor(number / perBlock)]
    let at = (number % perBlock) * size
    if (block[at++] !== budget) return false
    for (let r = 0; r < ranges.length; r += 2)
      for (let word = ranges[r]; word < ranges[r + 1]; word++) if (block[at++] !== words[word]) return false
    return true
  }

  private keep(number: number, budget: number): void {
    const { words, ranges, perBlock, size, blocks } = this
    if (number % perBlock === 0) blocks.push(new Int32Array(perBlock * size))
    const block = blocks[blocks.length - 1]
    let at = (number % perBlock) * size
    block[at++] = budget
    for (let r = 0; r < ranges.length; r += 2)
      for (let word = ranges[r]; word < ranges[r + 1]; word++) block[at++] = words[word]
  }
}
