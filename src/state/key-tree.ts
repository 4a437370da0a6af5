/**
 * An index over records of fixed slots: the slot that has two key words, found in as many looks as keys have bits, at most,
 * whatever keys a guest chooses. It is a crit-bit tree: a node has the first bit in which the keys below it differ, and the
 * two children by that bit. A child is a slot, counted from 1, or ~ the number of a node; the root of an empty tree is 0.
 *
 * A slot's node is the one that has the slot as the highest among its lower keys. Each slot has one but that of the highest
 * key of all. So the same keys in the same slots are the same words, in whatever order they came, and the lowest among a
 * node's higher keys is the one that follows its slot's.
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
  /** The tree, of `treeWords(count)` words, and in front of it where a free slot may be: slot-pool.ts. */
  readonly index: number
}

/** Words of a node: its bit, from 0 for bit 31 of the first key to 63 for bit 0 of the second; and its children. */
const NODE_BIT = 0
const NODE_LOWER = 1
const NODE_HIGHER = 2
const NODE_SIZE = 3

/** Words of a tree over `count` slots: the root, and a node for each slot. */
export const treeWords = (count: number): number => 1 + NODE_SIZE * count

const { clz32 } = Math

export class KeyTree {
  private readonly root: number
  /** Where slot 0, which is none, would have its node, and its keys. */
  private readonly nodes: number
  private readonly keys0: number
  private readonly keys1: number
  private readonly recordSize: number

  constructor(
    readonly words: Int32Array,
    { records, size, key0, key1, index }: PoolLayout,
  ) {
    this.root = index + 1
    this.nodes = index + 2 - NODE_SIZE
    this.keys0 = records - size + key0
    this.keys1 = records - size + key1
    this.recordSize = size
  }

  find(key0: number, key1: number): number {
    const slot = this.endOf(key0, key1)
    return slot !== 0 && this.key0(slot) === key0 && this.key1(slot) === key1 ? slot : 0
  }

  /** The slot at the end of the way to two keys, which alone may have them; 0 in an empty tree. */
  private endOf(key0: number, key1: number): number {
    const { words } = this
    let child = words[this.root]
    while (child < 0) child = words[this.towards(~child, key0, key1)]
    return child
  }

  /** A slot, whose keys are in its record and no other's, comes into the tree. */
  add(slot: number): void {
    const { words, root } = this
    const key0 = this.key0(slot)
    const key1 = this.key1(slot)
    const nearest = this.endOf(key0, key1)
    if (nearest === 0) {
      words[root] = slot
      return
    }
    const bit = firstBit(key0 ^ this.key0(nearest), key1 ^ this.key1(nearest))
    let link = root
    // The link to the last node of whose children the way takes the lower one.
    let turn = 0
    for (
      let child = words[root];
      child < 0 && words[this.nodeOf(~child) + NODE_BIT] < bit;
      child = words[link]
    ) {
      const next = this.towards(~child, key0, key1)
      if (next === this.nodeOf(~child) + NODE_LOWER) turn = link
      link = next
    }
    const other = words[link]
    if (bitOf(key0, key1, bit) === 0) {
      this.setNode(slot, bit, slot, other)
      words[link] = ~slot
      return
    }
    // Below the turn the slot is the highest, and takes over the node of the one that was: that gets the new node.
    const highest = this.outermost(other, NODE_HIGHER)
    if (turn !== 0) {
      this.moveNode(highest, slot)
      words[turn] = ~slot
      if (link === this.nodeOf(highest) + NODE_LOWER) link = this.nodeOf(slot) + NODE_LOWER
    }
    this.setNode(highest, bit, other, slot)
    words[link] = ~highest
  }

  /** A slot, whose keys are still in its record, leaves the tree. */
  remove(slot: number): void {
    const { words, root } = this
    const key0 = this.key0(slot)
    const key1 = this.key1(slot)
    let link = root
    let parent = 0
    let turn = 0
    let child = words[root]
    for (let at = root; child < 0; child = words[at]) {
      link = at
      parent = ~child
      at = this.towards(parent, key0, key1)
      if (at === this.nodeOf(parent) + NODE_LOWER) turn = link
    }
    if (parent === 0) {
      words[root] = 0
      return
    }
    const node = this.nodeOf(parent)
    if (parent === slot) words[link] = words[node + NODE_HIGHER]
    else {
      words[link] = words[node + NODE_LOWER]
      this.setNode(parent, 0, 0, 0)
      // Below the turn the parent's slot is the highest now, and takes over the node there.
      if (turn !== 0) {
        this.moveNode(slot, parent)
        words[turn] = ~parent
      }
    }
    this.setNode(slot, 0, 0, 0)
  }

  /** The slot of the lowest key; 0 in an empty tree. */
  first(): number {
    return this.outermost(this.words[this.root], NODE_LOWER)
  }

  /** The slot of the key that follows that of a slot in the tree; 0 after the last. */
  next(slot: number): number {
    return this.outermost(this.words[this.nodeOf(slot) + NODE_HIGHER], NODE_LOWER)
  }

  private key0(slot: number): number {
    return this.words[this.keys0 + slot * this.recordSize]
  }

  private key1(slot: number): number {
    return this.words[this.keys1 + slot * this.recordSize]
  }

  private nodeOf(slot: number): number {
    return this.nodes + NODE_SIZE * slot
  }

  /** Where the node of a slot has the child on the way to two keys. */
  private towards(slot: number, key0: number, key1: number): number {
    const node = this.nodeOf(slot)
    return node + NODE_LOWER + bitOf(key0, key1, this.words[node + NODE_BIT])
  }

  /** The slot of the lowest key in a subtree, by NODE_LOWER, or of the highest, by NODE_HIGHER. */
  private outermost(subtree: number, side: number): number {
    let child = subtree
    while (child < 0) child = this.words[this.nodeOf(~child) + side]
    return child
  }

  private setNode(slot: number, bit: number, lower: number, higher: number): void {
    const { words } = this
    const node = this.nodeOf(slot)
    words[node + NODE_BIT] = bit
    words[node + NODE_LOWER] = lower
    words[node + NODE_HIGHER] = higher
  }

  private moveNode(from: number, to: number): void {
    const { words } = this
    const node = this.nodeOf(from)
    this.setNode(to, words[node + NODE_BIT], words[node + NODE_LOWER], words[node + NODE_HIGHER])
  }
}

/** A bit of two keys. */
const bitOf = (key0: number, key1: number, bit: number): number =>
  ((bit < 32 ? key0 : key1) >>> (~bit & 31)) & 1

/** The first bit that is set, of two words. */
const firstBit = (word0: number, word1: number): number => (word0 !== 0 ? clz32(word0) : 32 + clz32(word1))
