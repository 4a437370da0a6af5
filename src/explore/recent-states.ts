/**
 * Those of the visited states that the search has left last, in a table that the processor's caches hold. Most steps that
 * commute with others lead to one of them: it need not be looked up in the set of all, which misses the caches, and was
 * checked when it was new. Of states with the same place in the table it keeps the last.
 */

/** Larger tables find few more, and do not fit beside what else a step needs. */
const STATES = 1 << 14

export class RecentStates {
  /** Lane a, then lane b with its lowest bit set: two zeros are none. */
  private readonly slots = new Int32Array(2 * STATES)

  /** Whether a state, given by the lanes of its hash, is here. */
  has(a: number, b: number): boolean {
    const { slots } = this
    const slot = 2 * (a & (STATES - 1))
    return slots[slot] === a && slots[slot + 1] === (b | 1)
  }

  /** The search has left a state with all that follows from it. */
  add(a: number, b: number): void {
    const { slots } = this
    const slot = 2 * (a & (STATES - 1))
    slots[slot] = a
    slots[slot + 1] = b | 1
  }

  /** The search explores a state once more, which may be here: it has not left it any more. */
  remove(a: number, b: number): void {
    if (!this.has(a, b)) return
    const slot = 2 * (a & (STATES - 1))
    this.slots.fill(0, slot, slot + 2)
  }
}
