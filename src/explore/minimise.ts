/**
 * Shortens schedules that violate an invariant, by delta debugging: parts are left out, ever smaller ones, as long as
 * what is left still violates it. A step whose actor is not ready is passed over; where a schedule ends too early, the
 * actors go on in turn without interventions. The result is one from which no single step can be left out, which need
 * not be the shortest: `explore` with `shortest` finds that.
 */
import { argumentOptions } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { checkScenario, type Scenario } from '../scenario/builder.ts'
import type { Machine } from '../scenario/machine.ts'
import { budgetKinds, checkBounds, type Interventions, type OwnInvariant, type Violation } from './bounds.ts'
import type { InvariantId } from './invariants.ts'
import { readSchedule } from './schedule.ts'
import { Search } from './search.ts'
import type { ViolatedInvariant } from './step-checks.ts'
import { Walk } from './walk.ts'

/** What counts when a schedule is shortened. */
export interface MinimiseOptions {
  /** The invariants that are checked, as for the exploration that found the schedule; default all. */
  readonly invariants?: readonly InvariantId[]
  /** Invariants of your own, as for that exploration; default none. */
  readonly own?: readonly OwnInvariant[]
}

/** The most steps that are taken to shorten a schedule. */
const EFFORT = 4_000_000

/**
 * Shortens a schedule token that `explore` or `exploreRandom` has printed, of the same scenario, to one that violates
 * the same invariant in fewer steps, if it can, and never with more interventions. Throws an `argument` error for a
 * token that is damaged, is of another scenario, or violates no invariant.
 */
export function minimise(scenario: Scenario, schedule: string, options: MinimiseOptions = {}): Violation {
  argumentOptions('minimise', options, { invariants: true, own: true })
  const machine = checkScenario(scenario).machine().internals
  const count = machine.actors.length + machine.environment.length
  const taken = readSchedule(machine.digest, count, schedule)
  const search = searchFor(machine, taken, options)
  const found = new Shrinker(search).first(search.actorsOf(taken))
  if (found) return new Shrinker(search, found.violated).shrink(found)
  throw new VgicError('argument', 'The schedule violates no invariant: give those that it was found with.')
}

/** What the last step of a schedule violates, an actor of the machine's a step; undefined if it violates nothing. */
export function violationOf(
  scenario: Scenario,
  taken: readonly number[],
  options: MinimiseOptions,
): Violation | undefined {
  const search = searchFor(scenario.machine().internals, taken, options)
  const found = new Shrinker(search).first(search.actorsOf(taken))
  return found?.taken.length === taken.length ? search.violation(found.violated, found.taken) : undefined
}

/** A search whose budget is what a schedule uses. */
function searchFor(machine: Machine, taken: readonly number[], options: MinimiseOptions): Search {
  const all = [...machine.actors, ...machine.environment]
  const used: Record<string, number> = {}
  for (const { kind, bound } of budgetKinds)
    used[bound] = Math.min(taken.filter((actor) => all[actor].kind === kind).length, 255)
  return new Search(machine, checkBounds({ ...(used as Interventions), ...options }))
}

/** The violation that an exploration has found, shortened. */
export function minimised(search: Search, violation: Violation): Violation {
  const { machine } = search
  const count = machine.actors.length + machine.environment.length
  const taken = search.actorsOf(readSchedule(machine.digest, count, violation.schedule))
  const found = new Shrinker(search).first(taken)
  return found ? new Shrinker(search, found.violated).shrink(found) : violation
}

interface Found {
  readonly taken: readonly number[]
  readonly violated: ViolatedInvariant
}

class Shrinker {
  private readonly walk: Walk
  private effort = EFFORT

  /** With `wanted` a schedule is to violate the same invariant; without, it may violate any. */
  constructor(
    private readonly search: Search,
    private readonly wanted?: ViolatedInvariant,
  ) {
    this.walk = new Walk(search)
  }

  /** Follows a schedule up to its first violation. */
  first(taken: readonly number[]): Found | undefined {
    return this.follow(taken, taken.length)
  }

  shrink(found: Found): Violation {
    let best = found
    let length: number
    do {
      length = best.taken.length
      best = this.pass(best)
    } while (best.taken.length < length)
    return this.search.violation(best.violated, best.taken)
  }

  /** Leaves out parts, ever smaller ones; of what that leaves a larger part may be one too many again. */
  private pass(found: Found): Found {
    let best = found
    for (let size = Math.max(best.taken.length >> 1, 1); size > 0; size >>= 1) {
      let before: number
      do {
        before = best.taken.length
        best = this.without(best, Math.min(size, before))
      } while (best.taken.length < before)
    }
    return best
  }

  /** Leaves out each part of `size` steps that can be left out. */
  private without(found: Found, size: number): Found {
    let best = found
    for (let from = 0; from < best.taken.length && this.effort > 0; ) {
      const { taken } = best
      const shorter = this.follow([...taken.slice(0, from), ...taken.slice(from + size)], taken.length - 1)
      if (shorter) best = shorter
      else from += size
    }
    return best
  }

  /** Follows a schedule, in at most so many steps, to a violation. */
  private follow(schedule: readonly number[], limit: number): Found | undefined {
    const { search, walk } = this
    const { stack } = search
    walk.begin()
    let at = 0
    for (;;) {
      while (at < schedule.length && !search.canStep(schedule[at])) at++
      const actor = at < schedule.length ? schedule[at++] : search.nextInTurn()
      if (actor < 0) return this.found(walk.end())
      if (stack.depth >= limit) return undefined
      const violated = walk.take(actor)
      if (violated) return this.found(violated)
      this.effort--
    }
  }

  private found(violated: ViolatedInvariant | undefined): Found | undefined {
    const { wanted } = this
    if (!violated || (wanted && (violated[0] !== wanted[0] || violated[2] !== wanted[2]))) return undefined
    return { taken: this.walk.taken(), violated }
  }
}
