/** One schedule of a machine under search, step by step, checked as an exploration checks it. */
import { livelock } from './livelock.ts'
import type { Search } from './search.ts'
import type { ViolatedInvariant } from './step-checks.ts'

export class Walk {
  /** The hashes of the walk's states. */
  private readonly met = new Set<number>()

  /** Whether the last step has led back to a state of the walk. */
  closedCycle = false
  private ended = false

  constructor(private readonly search: Search) {}

  /** Goes back to the first state. */
  begin(): void {
    this.met.clear()
    this.closedCycle = false
    this.ended = false
    this.search.begin()
    this.enter()
  }

  /** Takes a step of an actor that can step; the step is the last if it violates an invariant. */
  take(actor: number): ViolatedInvariant | undefined {
    const { search } = this
    search.step(actor)
    const violation = search.check()
    if (violation) return violation
    this.closedCycle = this.met.has(search.key)
    const cycle = this.closedCycle && search.checks.checked.L4 ? this.livelock() : undefined
    if (!cycle) this.enter()
    return cycle
  }

  /** Checks a state from which no actor can step. */
  end(): ViolatedInvariant | undefined {
    this.ended = true
    return this.search.atEnd()
  }

  /** The steps of the walk, an actor a step; with the one that violates an invariant, if one does. */
  taken(): number[] {
    const taken = this.search.stack.actors()
    return this.ended ? taken.slice(0, -1) : taken
  }

  private livelock(): ViolatedInvariant | undefined {
    const { search } = this
    const { stack } = search
    const first = stack.depthOf(stack.next.keyA, stack.next.keyB)
    return first < 0 ? undefined : livelock(search, first)
  }

  private enter(): void {
    const { search, met } = this
    met.add(search.key)
    search.push(0)
  }
}
