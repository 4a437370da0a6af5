/**
 * The states that some of several explorers have done with, in memory that they share: whoever comes to one of them
 * need not go on. An explorer puts a state here when it leaves it with all that follows from it, and so with the
 * whole component of the graph of states that it is in: the first to put in a state of a component has seen all of
 * it, so that a livelock, which is in one component, is not missed between two explorers.
 *
 * Open addressing as in visited.ts. A state's lane b is written first, with its lowest bit set, and claims the slot;
 * lane a follows, and is never 0 then.
 */
const COUNT = 0
const STOPPED = 1
const SLOTS = 2

export class ClosedStates {
  private readonly words: Int32Array
  private readonly mask: number

  /** Opens the set in a buffer of {@link closedStatesBytes}, all zero at first. */
  constructor(readonly buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer)
    this.mask = (this.words.length - SLOTS) / 2 - 1
  }

  /** States in the set. */
  get size(): number {
    return Atomics.load(this.words, COUNT)
  }

  /** Whether the explorers are to stop. */
  get isStopped(): boolean {
    return Atomics.load(this.words, STOPPED) !== 0
  }

  /** Has the other explorers stop. */
  stop(): void {
    Atomics.store(this.words, STOPPED, 1)
  }

  /** Whether a state is in the set. */
  has(a: number, b: number): boolean {
    return this.find(a || 1, b | 1, this.slotOf(a)) < 0
  }

  /** Puts a state into the set. In a set that is full it is left out, and may be explored again. */
  add(a: number, b: number): void {
    const { words, mask } = this
    if (this.size > mask - (mask >> 3)) return
    for (let slot = this.slotOf(a); ; ) {
      slot = this.find(a || 1, b | 1, slot)
      if (slot < 0) return
      if (Atomics.compareExchange(words, slot + 1, 0, b | 1) !== 0) continue
      Atomics.store(words, slot, a || 1)
      Atomics.add(words, COUNT, 1)
      return
    }
  }

  private slotOf(a: number): number {
    return SLOTS + 2 * (a & this.mask)
  }

  /** From a slot on, the free slot where a state belongs; -1 if it is there. */
  private find(a: number, b: number, from: number): number {
    const { words } = this
    for (let slot = from; ; ) {
      const there = Atomics.load(words, slot + 1)
      if (there === 0) return slot
      if (there === b) {
        // Whoever has claimed the slot is about to write lane a.
        let first = 0
        while (first === 0) first = Atomics.load(words, slot)
        if (first === a) return -1
      }
      slot = slot + 2 === words.length ? SLOTS : slot + 2
    }
  }
}

/** The size of a set that so many states fit into. */
export const closedStatesBytes = (states: number): number =>
  4 * (SLOTS + 2 * 2 ** Math.ceil(Math.log2(1.5 * states + 16)))
