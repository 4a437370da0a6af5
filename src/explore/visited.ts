/**
 * The set of states that an exploration has seen: open addressing on 63 bits of two hash lanes; the last bit says
 * whether the state is open: on the search's stack or, if the search looks for them, in a cycle through one that is. It
 * holds hashes, not states: two states whose bits agree count as one.
 */
export class VisitedSet {
  /** States in the set. */
  size = 0
  /** Keeps what {@link prefetch} read, so that the read is not optimised away. */
  prefetched = 0
  private mask: number
  /** Lane a, then lane b with its lowest bit for open states; two zeros are a free slot. */
  private slots: Int32Array

  /** Makes an empty set that `expected` states fit into without growing. */
  constructor(expected: number) {
    const capacity = 2 ** Math.ceil(Math.log2(1.5 * expected + 16))
    this.mask = capacity - 1
    this.slots = new Int32Array(2 * capacity)
  }

  /**
   * Reads the slot where lane a belongs ahead of `find`. The set is larger than the caches, so that the caller has
   * the miss overlap with other work.
   */
  prefetch(a: number): void {
    this.prefetched = this.slots[2 * (a & this.mask)]
  }

  /** The slot of a state, or the free one where it belongs. */
  find(a: number, b: number): number {
    const { slots, mask } = this
    let slot = 2 * (a & mask)
    for (;;) {
      const there = slots[slot + 1]
      if ((there === 0 && slots[slot] === 0) || (slots[slot] === a && ((there ^ b) | 1) === 1)) return slot
      slot = (slot + 2) & (2 * mask + 1)
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

  /** Puts an open state into the slot that `find` gave, unless it is there. */
  enter(slot: number, a: number, b: number): void {
    const isNew = this.isFree(slot)
    this.slots[slot] = a
    this.slots[slot + 1] = b | 1
    if (!isNew) return
    this.size++
    if (3 * this.size > 2 * this.mask) this.grow()
  }

  /** A state of the set is open no more; `hint` is the slot it was put into, unless the set has grown since. */
  close(hint: number, a: number, b: number): void {
    const { slots } = this
    const slot = slots[hint] === a && ((slots[hint + 1] ^ b) | 1) === 1 ? hint : this.find(a, b)
    // Both lanes zero would read as a free slot. Such a state stays marked as open, at the cost of a futile
    // search for a cycle.
    if (a !== 0 || (b & ~1) !== 0) slots[slot + 1] &= ~1
  }

  private grow(): void {
    const old = this.slots
    this.mask = 2 * this.mask + 1
    this.slots = new Int32Array(2 * (this.mask + 1))
    for (let slot = 0; slot < old.length; slot += 2) {
      if (old[slot] === 0 && old[slot + 1] === 0) continue
      const to = this.find(old[slot], old[slot + 1])
      this.slots[to] = old[slot]
      this.slots[to + 1] = old[slot + 1]
    }
  }
}
