/**
 * States that differ only by a permutation of what the scenario declares to be symmetric, as one. A state is known by the
 * least of the hashes of its permutations. The hash is a sum over the words, so that of a permuted state is known from
 * the state's words without permuting them, and after a step from those that it has changed. Kept are the differences to
 * the hash of the state itself, to which only words count that change places or name somebody.
 */
import type { Machine } from '../scenario/machine.ts'
import type { Changes } from './changes.ts'
import { mixA, mixB, type Sums } from './sum-hash.ts'
import { renamingsOf } from './symmetry/declaration.ts'
import { NAMES_BY_REGISTER, namedWords } from './symmetry/named-words.ts'
import type { Renaming } from './symmetry/renaming.ts'

/** What a word counts for: it changes places in some permutation, or what it names does. */
const MOVED = 1
const NAMED = 2

export class CanonicalStates {
  /** The least hash of the permutations of the state that {@link choose} was called in. */
  readonly least = { a: 0, b: 0 }
  private readonly renamings: readonly Renaming[]
  private readonly words: Int32Array
  /** By offset, whether a permutation may change what the word adds to the hash: {@link MOVED} or {@link NAMED}; else 0. */
  private readonly counts: Uint8Array
  /** The words whose renaming depends on another, which may change without them: they are counted anew each time. */
  private readonly late: readonly number[]
  /** By depth on the stack, and there by permutation, both lanes of the difference. */
  private lanes = new Int32Array(64)
  /** Number of lanes of a state. */
  private readonly size: number

  private chosen: Renaming | undefined

  /** The machine is in its first state. Throws what {@link renamingsOf} throws. */
  constructor(
    machine: Machine,
    private readonly ranges: Int32Array,
  ) {
    const { words } = machine.hypervisor
    this.words = words
    this.renamings = renamingsOf(machine, ranges)
    const names = namedWords(machine)
    const isMoved = (at: number): boolean => this.renamings.some(({ to }) => to[at] !== at)
    this.counts = names.map((name, at) => (name !== 0 ? NAMED : isMoved(at) ? MOVED : 0))
    this.late = [...names.keys()].filter((at) => names[at] === NAMES_BY_REGISTER)
    for (const at of this.late) this.counts[at] = 0
    this.size = 2 * this.renamings.length
  }

  /** How many permutations there are, with the one that leaves everything in its place. */
  get permutations(): number {
    return this.renamings.length + 1
  }

  /** Hashes the permutations of the state in the words, which is at a depth. */
  hashAll(depth: number): void {
    const { words, ranges, counts } = this
    this.grow(depth)
    this.lanes.fill(0, depth * this.size, (depth + 1) * this.size)
    for (let r = 0; r < ranges.length; r += 2)
      for (let at = ranges[r]; at < ranges[r + 1]; at++)
        if (counts[at] !== 0) this.count(depth, at, words[at], 1)
  }

  /** Hashes the permutations of the state in the words, at a depth, from those of the state before the last step. */
  follow(depth: number, before: Int32Array, { at, count }: Changes): void {
    const { words, counts, size } = this
    this.grow(depth)
    this.lanes.copyWithin(depth * size, (depth - 1) * size, depth * size)
    for (let i = 0; i < count; i++) {
      const word = at[i]
      if (counts[word] === 0) continue
      this.count(depth, word, before[word], -1)
      this.count(depth, word, words[word], 1)
    }
  }

  /** Chooses the permutation of the state in the words, at a depth, with the least hash; `own` is the state's hash. */
  choose(depth: number, own: Sums): void {
    const { least, renamings, lanes, size } = this
    least.a = own.a
    least.b = own.b
    this.chosen = undefined
    for (let p = 0; p < renamings.length; p++) {
      const at = depth * size + 2 * p
      this.compare(renamings[p], (own.a + lanes[at]) | 0, (own.b + lanes[at + 1]) | 0)
    }
  }

  /** Writes the permutation of the state that was chosen. */
  write(words: Int32Array): void {
    if (this.chosen) this.chosen.apply(words)
    else words.set(this.words)
  }

  /** Chooses a renaming if the hash, once the words are in it that are counted last, is less than the least so far. */
  private compare(renaming: Renaming, hashA: number, hashB: number): void {
    const { words, late, least } = this
    const { to } = renaming
    let [a, b] = [hashA, hashB]
    for (let i = 0; i < late.length; i++) {
      const at = late[i]
      const word = words[at] === 0 ? 0 : renaming.valueOf(at, words[at])
      if (to[at] === at && word === words[at]) continue
      a = (a + mixA(to[at], word) - mixA(at, words[at])) | 0
      b = (b + mixB(to[at], word) - mixB(at, words[at])) | 0
    }
    if (a > least.a || (a === least.a && b >= least.b)) return
    least.a = a
    least.b = b
    this.chosen = renaming
  }

  /** Adds what a word with a value changes in the hashes of the permutations, or takes it away. */
  private count(depth: number, at: number, word: number, sign: 1 | -1): void {
    const { renamings, lanes, size } = this
    const isNamed = this.counts[at] === NAMED
    const ownA = mixA(at, word)
    const ownB = mixB(at, word)
    for (let p = 0; p < renamings.length; p++) {
      const renaming = renamings[p]
      const place = renaming.to[at]
      const value = isNamed ? renaming.valueOf(at, word) : word
      if (place === at && value === word) continue
      const lane = depth * size + 2 * p
      lanes[lane] += sign * (mixA(place, value) - ownA)
      lanes[lane + 1] += sign * (mixB(place, value) - ownB)
    }
  }

  private grow(depth: number): void {
    if ((depth + 1) * this.size <= this.lanes.length) return
    const larger = new Int32Array(2 * (depth + 1) * this.size)
    larger.set(this.lanes)
    this.lanes = larger
  }
}
