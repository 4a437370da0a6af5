/**
 * States kept whole, so that no two are taken for one because their hashes agree: each distinct state, with its budget,
 * gets a number. A state is a balanced binary tree over its words and the budget, and what is kept is not the tree but the
 * pairs of its nodes' children: each distinct pair has a number, which stands for the subtree. So subtrees at the same
 * place are the same if and only if their numbers are, from the words up to the root. What states have in common is there
 * once: a state costs one or two pairs, however many words it has that do not change (the tree compression of LTSmin:
 * Laarman, van de Pol, Weber, "Parallel Recursive State Compression for Free", SPIN 2011).
 */
import type { Changes } from './changes.ts'
import { PairNumbers } from './pair-numbers.ts'

/** What a leaf has instead of the offset of a word: it is the budget's. */
const BUDGET = -1

export class ExactStates {
  /** The pairs of the roots: their numbers are those of the states. */
  private readonly roots: PairNumbers
  /** The pairs of the nodes below. */
  private readonly nodes: PairNumbers
  /** Words of a state, and its budget. */
  private readonly size: number
  /**
   * Leaves of the tree, a power of two; those that are left over are 0. The root is at place 1, the children of place n are
   * at 2n and 2n + 1, and the leaves begin at place `room`.
   */
  private readonly room: number
  /** By leaf, the offset of its word; by offset, the place of the word's leaf. */
  private readonly offsets: Int32Array
  private readonly places: Int32Array
  /** By place, whether a leaf there or below has changed. */
  private readonly changed: Uint8Array
  private budget = 0
  /** The words that {@link numberOf} was called with last, and the number that it gave them; 0 before. */
  private readonly last: Int32Array
  private lastNumber = 0

  /** `ranges`: pairs `start, end` of the words that tell states apart. */
  constructor(
    private readonly words: Int32Array,
    private readonly ranges: Int32Array,
  ) {
    let size = 1
    for (let r = 0; r < ranges.length; r += 2) size += ranges[r + 1] - ranges[r]
    this.size = size
    this.room = 1 << (32 - Math.clz32(size))
    this.roots = new PairNumbers(1)
    this.nodes = new PairNumbers(this.room)
    this.offsets = new Int32Array(this.room)
    this.places = new Int32Array(words.length)
    this.changed = new Uint8Array(2 * this.room)
    this.last = words.slice()
    let i = 0
    for (let r = 0; r < ranges.length; r += 2) {
      for (let at = ranges[r]; at < ranges[r + 1]; at++) {
        this.places[at] = this.placeOf(i++)
        this.offsets[this.places[at] - this.room] = at
      }
    }
    this.offsets[this.placeOf(size - 1) - this.room] = BUDGET
  }

  /** Whether there is room for one state more only, and for none after that. */
  get isFull(): boolean {
    return this.roots.isFull || this.nodes.isFull
  }

  /** How many states are kept. */
  get count(): number {
    return this.roots.count
  }

  /** Bytes that they take. */
  get bytes(): number {
    return this.roots.bytes + this.nodes.bytes
  }

  /** The number, from 1, of the state in the words with a budget. */
  numberOf(budget: number): number {
    const { words, ranges, places, last, lastNumber } = this
    for (let r = 0; r < ranges.length; r += 2) {
      for (let at = ranges[r]; at < ranges[r + 1]; at++) {
        if (words[at] === last[at] && lastNumber !== 0) continue
        last[at] = words[at]
        this.change(places[at])
      }
    }
    this.lastNumber = this.numberAfter(lastNumber, budget)
    return this.lastNumber
  }

  /** The same of the state that a step has led to, by what it has changed in the state with a number. */
  follow(number: number, { at, count }: Pick<Changes, 'at' | 'count'>, budget: number): number {
    for (let i = 0; i < count; i++) this.change(this.places[at[i]])
    return this.numberAfter(number, budget)
  }

  /** The words of the state with a number, in the order of the ranges, and its budget. */
  read(number: number): Int32Array {
    return Int32Array.from({ length: this.size }, (_, i) => this.leafOf(number, this.placeOf(i)))
  }

  /** The leaves that are used are spread, so that both subtrees of a node have about as many words. */
  private placeOf(i: number): number {
    return this.room + Math.floor((i * this.room) / this.size)
  }

  private change(leaf: number): void {
    const { changed } = this
    for (let place = leaf; place > 1 && changed[place] === 0; place >>= 1) changed[place] = 1
  }

  /** The number of the state that differs from the one with a number by the leaves that have changed and its budget. */
  private numberAfter(number: number, budget: number): number {
    const { roots, size } = this
    this.budget = budget
    const leaf = this.placeOf(size - 1)
    // Number 0 is no state's: whatever the budget is, it has no leaf there.
    if (number === 0 || this.leafOf(number, leaf) !== budget) this.change(leaf)
    const left = this.subtree(2, roots.left(number))
    return roots.numberOf(left, this.subtree(3, roots.right(number)))
  }

  /** The subtree at a place, which was `before` until leaves have changed. */
  private subtree(place: number, before: number): number {
    const { changed, nodes, room } = this
    if (changed[place] === 0) return before
    changed[place] = 0
    if (place >= room) {
      const at = this.offsets[place - room]
      return at === BUDGET ? this.budget : this.words[at]
    }
    const left = this.subtree(2 * place, nodes.left(before))
    return nodes.numberOf(left, this.subtree(2 * place + 1, nodes.right(before)))
  }

  private leafOf(number: number, leaf: number): number {
    const { roots, nodes } = this
    let bit = this.room >> 1
    let below = leaf & bit ? roots.right(number) : roots.left(number)
    for (bit >>= 1; bit > 0; bit >>= 1) below = leaf & bit ? nodes.right(below) : nodes.left(below)
    return below
  }
}
