/**
 * The set of states that an exploration has seen: open addressing on two 32-bit hash lanes and a mark. It holds
 * hashes, not states: two states whose 64 bits agree count as one.
 */
export class VisitedSet {
  /** States in the set. */
  size = 0
  private mask: number
  /** Lane a, lane b, mark; a mark of 0 is a free slot. */
  private slots: Int32Array

  constructor(capacity = 1 << 16) {
    this.mask = capacity - 1
    this.slots = new Int32Array(3 * capacity)
  }

  /** The slot of a state; its mark is 0 if the state is not in the set. */
  find(a: number, b: number): number {
    const { slots, mask } = this
    let at = a & mask
    for (;;) {
      const slot = 3 * at
      if (slots[slot + 2] === 0 || (slots[slot] === a && slots[slot + 1] === b)) return slot
      at = (at + 1) & mask
    }
  }

  /** The mark of the state in a slot. */
  markOf(slot: number): number {
    return this.slots[slot + 2]
  }

  /** Puts a state into the free slot that `find` gave, with a mark other than 0. */
  insert(slot: number, a: number, b: number, mark: number): void {
    this.slots[slot] = a
    this.slots[slot + 1] = b
    this.slots[slot + 2] = mark
    this.size++
    if (2 * this.size > this.mask) this.grow()
  }

  /** Changes the mark of a state that is in the set. */
  mark(a: number, b: number, mark: number): void {
    this.slots[this.find(a, b) + 2] = mark
  }

  private grow(): void {
    const old = this.slots
    this.mask = 2 * this.mask + 1
    this.slots = new Int32Array(3 * (this.mask + 1))
    for (let slot = 0; slot < old.length; slot += 3) {
      if (old[slot + 2] === 0) continue
      const to = this.find(old[slot], old[slot + 1])
      this.slots.set(old.subarray(slot, slot + 3), to)
    }
  }
}
