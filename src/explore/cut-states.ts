/**
 * States below which the depth bound cut schedules off, each with the number of steps after which it was explored. A
 * state that is found again after fewer steps is explored again, since the search may now get further.
 */
import { keyOf } from './sum-hash.ts'

/** A Map has room for 2^24 states, and all that are on a stack, 10^6 at most, may come in between two questions. */
const MOST = 2 ** 24 - 2 ** 20

export class CutStates {
  /** Whether any schedule was cut off. */
  any = false
  private readonly depths = new Map<number, number>()
  /** Of the states on the search's stack, those at less than this depth have something cut off below them. */
  private below = 0

  /** Whether there are as many as can be known. */
  get isFull(): boolean {
    return this.depths.size >= MOST
  }

  /**
   * Records that schedules are cut off below the state at `depth`, the top of the stack, and so below every state on
   * it.
   */
  cutOff(depth: number): void {
    this.any = true
    this.below = depth + 1
  }

  /** Whether a state that was explored before, given by the lanes of its hash, is now found after fewer steps. */
  isNearer(a: number, b: number, depth: number): boolean {
    return this.any && depth < (this.depths.get(keyOf(a, b)) ?? 0)
  }

  /** The search does not explore the state again: what was cut off below it is cut off below its predecessor too. */
  skip(a: number, b: number, depth: number): void {
    if (this.any && this.depths.has(keyOf(a, b))) this.cutOff(depth - 1)
  }

  /** All steps from the state at `depth` were taken: it leaves the stack. */
  leave(a: number, b: number, depth: number): void {
    if (!this.any) return
    if (depth < this.below) this.depths.set(keyOf(a, b), depth)
    else this.depths.delete(keyOf(a, b))
    this.below = Math.min(this.below, depth)
  }
}
