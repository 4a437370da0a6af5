/** One schedule of a machine under search, step by step, checked as an exploration checks it. */
import { livelock } from './livelock.ts'
import type { Search } from './search.ts'
import type { ViolatedInvariant } from './step-checks.ts'
import { keyOf } from './sum-hash.ts'

export class Walk {
  /** The hashes of the walk's states. */
  private readonly met = new Set<number>()

  constructor(readonly search: Search) {}

  /** Goes back to the first state. */
  begin(): void {
    this.met.clear()
    this.search.begin()
    this.enter()
  }

  /** Takes a step of an actor that can step; the step is the last if it violates an invariant. */
  take(actor: number): ViolatedInvariant | undefined {
    const { search } = this
    search.step(actor)
    const violation = search.check()
    if (violation) return violation
    const closesCycle = this.met.has(keyOf(search.key, search.hash.b))
    const cycle = closesCycle && search.checks.checked.L4 ? livelock(search) : undefined
    if (!cycle) this.enter()
    return cycle
  }

  /** Checks a state from which no actor can step. */
  end(): ViolatedInvariant | undefined {
    return this.search.checks.atEnd()
  }

  private enter(): void {
    const { search, met } = this
    search.push(0)
    met.add(keyOf(search.key, search.hash.b))
  }
}
