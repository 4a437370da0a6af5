/**
 * States beneath which schedules were cut off because they had as many steps as they may, and after how many steps each
 * of them was explored. One that fewer steps lead to is explored again: what was cut off there may be in reach now.
 */
export class CutStates {
  /** Whether any schedule was cut off. */
  any = false
  private readonly depths = new Map<number, number>()
  /** Of the states on the search's stack, those with less depth have something cut off beneath them. */
  private below = 0

  /** Something is cut off beneath the state at a depth, which is the top of the stack, and so beneath all of it. */
  cutOff(depth: number): void {
    this.any = true
    this.below = depth + 1
  }

  /** The search comes to a state, by the lanes of its hash, that was explored before; now `depth` steps lead there. */
  isNearer(a: number, b: number, depth: number): boolean {
    return this.any && depth < (this.depths.get(keyOf(a, b)) ?? 0)
  }

  /** It does not explore it again: what was cut off there is cut off beneath the state before it, too. */
  skip(a: number, b: number, depth: number): void {
    if (this.any && this.depths.has(keyOf(a, b))) this.cutOff(depth - 1)
  }

  /** All steps from the state at a depth were taken: it leaves the stack. */
  leave(a: number, b: number, depth: number): void {
    if (!this.any) return
    if (depth < this.below) this.depths.set(keyOf(a, b), depth)
    else this.depths.delete(keyOf(a, b))
    this.below = Math.min(this.below, depth)
  }
}

/** 53 bits of the two lanes. */
const keyOf = (a: number, b: number): number => (a >>> 0) * 0x20_0000 + (b >>> 11)
