/**
 * The pending LPIs of a redistributor, and the highest priority one of them that is enabled. Over the bitmap of pending
 * LPIs stands a tree, 32 children a node and up to 64 at its top: a node knows which of its children have any pending
 * LPI, and the best rank among them. A rank is the priority above the LPI's number: the lowest wins, of equal priorities
 * the lowest INTID (IMPLEMENTATION DEFINED); what is disabled has none.
 *
 * An LPI that becomes pending, or no longer is, changes the nodes above it and no other; mostly not even all of these.
 * So nothing is searched: 65,536 LPIs have one level more than 64.
 */
import { lowestBit } from '../../state/bits.ts'
import { LPI_PENDING, levelsOf, NO_RANK } from './lpi-records.ts'

/** What gives an LPI its rank: a cache of the configuration, by its handle. */
export interface LpiRanks {
  rankOf(cache: number, lpi: number): number
}

export class PendingTree {
  /** The highest level; it has one node. */
  private readonly top: number
  /** By level: where a redistributor's record has the best ranks of the nodes, and the bitmaps of their children. */
  private readonly best: Int32Array
  private readonly children: Int32Array
  /** By level: how many nodes, and how many words of bitmaps, there are. The children of level 0 are LPIs. */
  private readonly nodes: Int32Array
  private readonly bitmaps: Int32Array
  /** Words of a redistributor's tree. */
  readonly size: number

  constructor(
    readonly words: Int32Array,
    readonly ranks: LpiRanks,
    lpis: number,
    /** Where a record has its pending bitmap, with the tree's words behind it. */
    private readonly pendingAt = LPI_PENDING,
  ) {
    const levels = levelsOf(lpis)
    this.top = levels.length - 1
    this.nodes = Int32Array.from(levels, ({ nodes }) => nodes)
    this.bitmaps = Int32Array.from(levels, (level) => level.words)
    this.size = levels.reduce((size, { nodes, words }) => size + nodes + words, 0)
    this.best = Int32Array.from(levels, ({ best }) => pendingAt + best)
    this.children = Int32Array.from(levels, ({ children }) => pendingAt + children)
  }

  /** Whether an LPI is pending. */
  has(record: number, lpi: number): boolean {
    return ((this.words[record + this.pendingAt + (lpi >> 5)] >>> (lpi & 31)) & 1) === 1
  }

  /** The rank of the highest priority pending LPI that is enabled; {@link NO_RANK} if there is none. */
  highest(record: number): number {
    return this.words[record + this.best[this.top]]
  }

  /** An LPI of a rank becomes pending. Returns whether the highest priority one has changed. */
  insert(record: number, lpi: number, rank: number): boolean {
    const { words, best, children, top } = this
    let isBetter = true
    for (let level = 0, child = lpi; level < top; level++, child >>= 5) {
      const at = record + best[level] + (child >> 5)
      isBetter = isBetter && rank < words[at]
      if (isBetter) words[at] = rank
      const bits = record + children[level] + (child >> 5)
      const hadAny = words[bits] !== 0
      words[bits] |= 1 << (child & 31)
      // A node with a child already is known to the node above.
      if (hadAny && !isBetter) return false
    }
    return this.insertAtTop(record, lpi >> (5 * top), isBetter ? rank : NO_RANK)
  }

  private insertAtTop(record: number, child: number, rank: number): boolean {
    const { words, best, children, top } = this
    words[record + children[top] + (child >> 5)] |= 1 << (child & 31)
    const at = record + best[top]
    if (rank >= words[at]) return false
    words[at] = rank
    return true
  }

  /** An LPI is no longer pending. Returns whether the highest priority one may have changed. */
  remove(cache: number, record: number, lpi: number): boolean {
    this.words[record + this.pendingAt + (lpi >> 5)] &= ~(1 << (lpi & 31))
    return this.update(cache, record, lpi)
  }

  /**
   * After the rank of an LPI has changed, or it is no longer pending: the nodes above it. Returns whether the highest
   * priority one may have changed.
   */
  update(cache: number, record: number, lpi: number): boolean {
    const { words, best, children, top } = this
    for (let level = 0, node = lpi >> 5; level < top; level++, node >>= 5) {
      const at = record + best[level] + node
      const isEmpty = words[record + children[level] + node] === 0
      const before = words[at]
      const after = isEmpty ? NO_RANK : this.bestOf(cache, record, level, node)
      words[at] = after
      const bits = record + children[level + 1] + (node >> 5)
      const bit = 1 << (node & 31)
      const had = words[bits]
      words[bits] = isEmpty ? had & ~bit : had | bit
      if (before === after && words[bits] === had) return false
    }
    return this.updateTop(cache, record)
  }

  private updateTop(cache: number, record: number): boolean {
    const { words, top, children, bitmaps } = this
    const at = record + this.best[top]
    const before = words[at]
    let after = NO_RANK
    for (let word = 0; word < bitmaps[top]; word++) {
      if (words[record + children[top] + word] === 0) continue
      after = Math.min(after, this.bestOf(cache, record, top, word))
    }
    words[at] = after
    return before !== after
  }

  /**
   * All that is pending at one redistributor is pending at another instead. If both go by the same configuration the best
   * of two nodes is the better one's; if not, the ranks there have to be looked at again. A MOVALL costs the same however
   * many LPIs are pending.
   */
  moveAll(from: number, to: number): void {
    const { words, best, children, nodes, bitmaps, top } = this
    for (let level = 0; level <= top; level++) {
      for (let at = children[level], end = at + bitmaps[level]; at < end; at++) {
        words[to + at] |= words[from + at]
        words[from + at] = 0
      }
      for (let at = best[level], end = at + nodes[level]; at < end; at++) {
        if (words[from + at] < words[to + at]) words[to + at] = words[from + at]
        words[from + at] = NO_RANK
      }
    }
  }

  /**
   * Of 32 LPIs those that are pending at one redistributor, LPI `first` among them, are so at another instead, whose ranks
   * have to be looked at again.
   */
  moveWord(cache: number, from: number, to: number, first: number): void {
    const { words } = this
    const at = this.pendingAt + (first >> 5)
    this.insert(to, first, NO_RANK)
    words[to + at] |= words[from + at]
    words[from + at] = 0
    this.update(cache, from, first)
  }

  /** 32 LPIs from `first` on are no longer pending. The ranks above them say so only when nothing else is pending. */
  removeWord(record: number, first: number): void {
    const { words, best, children, top } = this
    words[record + children[0] + (first >> 5)] = 0
    for (let level = 0, node = first >> 5; level < top; level++, node >>= 5) {
      words[record + best[level] + node] = NO_RANK
      if (words[record + children[level] + node] !== 0) continue
      words[record + children[level + 1] + (node >> 5)] &= ~(1 << (node & 31))
    }
    words[record + best[top]] = NO_RANK
  }

  /** The 32 LPIs from `first` on: bit n is set if LPI `first` + n is pending. */
  wordAt(record: number, first: number): number {
    return this.words[record + this.pendingAt + (first >> 5)]
  }

  /** The best rank among the children in a word of bitmaps, which is a node but at the top. */
  private bestOf(cache: number, record: number, level: number, word: number): number {
    const { words, ranks } = this
    let result = NO_RANK
    for (let left = words[record + this.children[level] + word]; left !== 0; left &= left - 1) {
      const child = (word << 5) | lowestBit(left)
      const rank = level === 0 ? ranks.rankOf(cache, child) : words[record + this.best[level - 1] + child]
      if (rank < result) result = rank
    }
    return result
  }

  /** The first pending LPI from `from` on; -1 if there is none. */
  next(record: number, from: number): number {
    for (let level = 0, child = from; level <= this.top; level++, child = (child >> 5) + 1) {
      const found = this.nextChild(record, level, child)
      if (found >= 0) return this.firstBelow(record, level, found)
    }
    return -1
  }

  /** The first child from `from` on that has a pending LPI, of the same word; at the top of any. */
  private nextChild(record: number, level: number, from: number): number {
    const { words, bitmaps, top } = this
    const last = level === top ? bitmaps[top] - 1 : Math.min(from >> 5, bitmaps[level] - 1)
    for (let word = from >> 5, mask = -1 << (from & 31); word <= last; word++, mask = -1) {
      const left = words[record + this.children[level] + word] & mask
      if (left !== 0) return (word << 5) | lowestBit(left)
    }
    return -1
  }

  /** The first pending LPI below a child of a level. */
  private firstBelow(record: number, level: number, child: number): number {
    let found = child
    for (let below = level - 1; below >= 0; below--) {
      found = (found << 5) | lowestBit(this.words[record + this.children[below] + found])
    }
    return found
  }

  /** Recomputes the whole tree from the bitmap and the configuration. */
  rebuild(cache: number, record: number): void {
    const { words, best, children, nodes, bitmaps, top } = this
    for (let level = 0; level < top; level++) {
      words.fill(0, record + children[level + 1], record + children[level + 1] + bitmaps[level + 1])
      for (let node = 0; node < nodes[level]; node++) {
        words[record + best[level] + node] = this.bestOf(cache, record, level, node)
        if (words[record + children[level] + node] === 0) continue
        words[record + children[level + 1] + (node >> 5)] |= 1 << (node & 31)
      }
    }
    this.updateTop(cache, record)
  }
}
