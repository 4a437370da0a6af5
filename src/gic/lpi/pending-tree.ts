/**
 * The pending LPIs of a redistributor, and the highest priority one of them that is enabled. Over the bitmap of pending
 * LPIs stands a tree, 32 children a node: a node knows which of its children have any pending LPI, and the best rank
 * among them. A rank is the priority above the LPI's number: the lowest wins, of equal priorities the lowest INTID
 * (IMPLEMENTATION DEFINED); what is disabled has none.
 *
 * An LPI that becomes pending, or no longer is, changes the nodes above it and no other; mostly not even all of these.
 * So nothing is searched: 65,536 LPIs have two levels more than 64.
 */
import { lowestBit } from '../cpu-interface.ts'
import { LPI_PENDING, levelsOf, NO_RANK } from './lpi-records.ts'

/** What gives an LPI its rank: a cache of the configuration, by its handle. */
export interface LpiRanks {
  rankOf(cache: number, lpi: number): number
}

export class PendingTree {
  /** The highest level; it has one node. */
  private readonly top: number
  /** By level: where a redistributor's record has the best ranks, and the bitmaps of children; level 0 has LPIs as children. */
  private readonly best: Int32Array
  private readonly children: Int32Array
  private readonly nodes: Int32Array

  constructor(
    readonly words: Int32Array,
    readonly ranks: LpiRanks,
    lpis: number,
  ) {
    const levels = levelsOf(lpis)
    this.nodes = Int32Array.from(levels)
    this.top = levels.length - 1
    this.best = new Int32Array(levels.length)
    this.children = new Int32Array(levels.length)
    this.children[0] = LPI_PENDING
    let at = LPI_PENDING + levels[0]
    for (const [level, count] of levels.entries()) {
      this.best[level] = at
      at += count
      if (level === 0) continue
      this.children[level] = at
      at += count
    }
  }

  /** Whether an LPI is pending. */
  has(record: number, lpi: number): boolean {
    return ((this.words[record + LPI_PENDING + (lpi >> 5)] >>> (lpi & 31)) & 1) === 1
  }

  /** The rank of the highest priority pending LPI that is enabled; {@link NO_RANK} if there is none. */
  highest(record: number): number {
    return this.words[record + this.best[this.top]]
  }

  /** An LPI of a rank becomes pending. Returns whether the highest priority one has changed. */
  insert(record: number, lpi: number, rank: number): boolean {
    const { words, best, children, top } = this
    let isBetter = true
    for (let level = 0, child = lpi; ; level++, child >>= 5) {
      const node = child >> 5
      const at = record + best[level] + node
      if (isBetter) {
        isBetter = rank < words[at]
        if (isBetter) words[at] = rank
      }
      const bits = record + children[level] + node
      const hadAny = words[bits] !== 0
      words[bits] |= 1 << (child & 31)
      if (level === top) return isBetter
      // A node with a child already is known to the node above.
      if (hadAny && !isBetter) return false
    }
  }

  /** An LPI is no longer pending. Returns whether the highest priority one may have changed. */
  remove(cache: number, record: number, lpi: number): boolean {
    this.words[record + LPI_PENDING + (lpi >> 5)] &= ~(1 << (lpi & 31))
    return this.update(cache, record, lpi)
  }

  /**
   * After the rank of an LPI has changed, or it is no longer pending: the nodes above it. Returns whether the highest
   * priority one may have changed.
   */
  update(cache: number, record: number, lpi: number): boolean {
    const { words, best, children, top } = this
    for (let level = 0, node = lpi >> 5; ; level++, node >>= 5) {
      const at = record + best[level] + node
      const before = words[at]
      const after = this.bestOf(cache, record, level, node)
      words[at] = after
      if (level === top) return before !== after
      const bits = record + children[level + 1] + (node >> 5)
      const bit = 1 << (node & 31)
      const had = words[bits] & bit
      if (words[record + children[level] + node] === 0) words[bits] &= ~bit
      else words[bits] |= bit
      if (before === after && (words[bits] & bit) === had) return false
    }
  }

  /** The best rank among the children of a node. */
  private bestOf(cache: number, record: number, level: number, node: number): number {
    const { words, ranks } = this
    let result = NO_RANK
    for (let left = words[record + this.children[level] + node]; left !== 0; left &= left - 1) {
      const child = (node << 5) | lowestBit(left)
      const rank = level === 0 ? ranks.rankOf(cache, child) : words[record + this.best[level - 1] + child]
      if (rank < result) result = rank
    }
    return result
  }

  /** The first pending LPI from `from` on; -1 if there is none. */
  next(record: number, from: number): number {
    const { words, children, top, nodes } = this
    for (let level = 0, child = from; level <= top; level++, child = (child >> 5) + 1) {
      const node = child >> 5
      if (node >= nodes[level]) continue
      const left = words[record + children[level] + node] & (-1 << (child & 31))
      if (left === 0) continue
      let found = (node << 5) | lowestBit(left)
      for (let below = level - 1; below >= 0; below--) {
        found = (found << 5) | lowestBit(words[record + children[below] + found])
      }
      return found
    }
    return -1
  }

  /** Recomputes the whole tree from the bitmap and the configuration. */
  rebuild(cache: number, record: number): void {
    const { words, best, children, nodes } = this
    for (let level = 0; level < nodes.length; level++) {
      if (level > 0) words.fill(0, record + children[level], record + children[level] + nodes[level])
      for (let node = 0; level > 0 && node < nodes[level - 1]; node++) {
        if (words[record + children[level - 1] + node] === 0) continue
        words[record + children[level] + (node >> 5)] |= 1 << (node & 31)
      }
      for (let node = 0; node < nodes[level]; node++) {
        words[record + best[level] + node] = this.bestOf(cache, record, level, node)
      }
    }
  }
}
