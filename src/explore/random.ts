/**
 * Random schedules, for scenarios with more states than can be explored. Two strategies choose who steps:
 *
 * - `pct`: probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with
 *   Probabilistic Guarantees of Finding Bugs, ASPLOS 2010). The actors get random priorities, and the one with the
 *   highest that can step does; at d - 1 random steps the one that would step falls below all others. A violation that
 *   needs d ordering constraints between steps of n actors in a schedule of at most k steps is found by one schedule
 *   with a probability of at least 1 / (n k^(d-1)).
 * - `uniform`: each actor that can step is as likely as any other.
 *
 * A preemption, a tick and a migration are actors among the others while the budget has some left. One departure from
 * the paper: an actor whose step leads back to a state of the same schedule falls below all others, since a guest that
 * spins with the highest priority would spin to the bound on steps.
 */
import {
  argumentBoolean,
  argumentInteger,
  argumentOneOf,
  argumentOptions,
  type Fields,
} from '../errors/arguments.ts'
import { checkScenario, type Scenario } from '../scenario/builder.ts'
import { checkBounds, type Interventions, type OwnInvariant, type Report, verdictOf } from './bounds.ts'
import type { InvariantId } from './invariants.ts'
import { minimised } from './minimise.ts'
import { RandomNumbers } from './random-numbers.ts'
import { Search } from './search.ts'
import { isOfShard, type Shard, shardOf } from './shard.ts'
import type { ViolatedInvariant } from './step-checks.ts'
import { whereItThrows } from './thrown.ts'
import { VisitedSet } from './visited.ts'
import { Walk } from './walk.ts'

/** How a random exploration goes. */
export interface RandomBounds extends Interventions {
  /** Who steps is chosen by priorities or uniformly; default `'pct'`. */
  readonly strategy?: 'pct' | 'uniform'
  /** Of `pct`: ordering constraints that a violation needs, d; from 1 to 16, default 3. */
  readonly constraints?: number
  /**
   * Of `pct`: steps that a schedule is taken to have, k; the points of change are among so many. Default those of
   * the schedule in which the actors take turns.
   */
  readonly length?: number
  /** The seed of the first schedule, 0 to 2^31 - 1; each further one has the next. Default 0. */
  readonly seed?: number
  /** Schedules that are taken; default 1000. */
  readonly runs?: number
  /** Most steps of a schedule; default 20,000. A longer one is cut off. */
  readonly depth?: number
  /** The invariants that are checked; default all. */
  readonly invariants?: readonly InvariantId[]
  /** Invariants of your own; see `Bounds.own`. */
  readonly own?: readonly OwnInvariant[]
  /** Whether every word is compared after every step; see `Bounds.checkWrites`. Default false. */
  readonly checkWrites?: boolean
  /** Whether the schedule of a violation is shortened, as `minimise` does; default true. */
  readonly minimise?: boolean
  /** `'i/n'`: takes every n-th schedule, from the i-th on, counted from 0; default all. */
  readonly shard?: string
}

/** The result of a random exploration, which is never complete. `schedules` are those taken. */
export interface RandomReport extends Report {
  /** The seed of the schedule that violates an invariant: with `runs: 1` it is found at once. */
  readonly seed?: number
  /** What `pct` promises. */
  readonly pct?: PctGuarantee
}

/** What PCT promises of each schedule. */
export interface PctGuarantee {
  /** Actors, n: vCPUs, devices and those of the environment that the bounds allow. */
  readonly actors: number
  /** Steps, k. */
  readonly length: number
  /** Ordering constraints, d. */
  readonly constraints: number
  /** 1 / (n k^(d-1)): the least probability that a schedule of at most k steps shows a violation that needs d. */
  readonly probability: number
}

const fields: Fields<RandomBounds> = {
  preemptions: true,
  ticks: true,
  migrations: true,
  strategy: true,
  constraints: true,
  length: true,
  seed: true,
  runs: true,
  depth: true,
  invariants: true,
  own: true,
  checkWrites: true,
  minimise: true,
  shard: true,
}

const MOST_SEEDS = 0x8000_0000

/**
 * Takes random schedules of a scenario until one violates an invariant. The same bounds give the same report. Throws
 * an `argument` error for bounds that are out of range.
 */
export function exploreRandom(scenario: Scenario, bounds: RandomBounds = {}): RandomReport {
  argumentOptions('bounds', bounds, fields)
  return new RandomExplorer(scenario, bounds).run()
}

class RandomExplorer {
  private readonly search: Search
  private readonly walk: Walk
  private readonly visited = new VisitedSet(1 << 12)
  private readonly pct: PctGuarantee | undefined
  private readonly seed: number
  private readonly runs: number
  private readonly depth: number
  private readonly minimise: boolean
  private readonly shard: Shard | undefined
  private schedules = 0
  private transitions = 0
  private wasCut = false

  constructor(scenario: Scenario, bounds: RandomBounds) {
    const { strategy, constraints, length, seed, runs, minimise, shard, ...others } = bounds
    const checked = checkBounds(others)
    argumentOneOf('strategy', strategy ?? 'pct', ['pct', 'uniform'] as const)
    const d = argumentInteger('constraints', constraints ?? 3, 1, 16)
    this.seed = argumentInteger('seed', seed ?? 0, 0, MOST_SEEDS - 1)
    this.runs = argumentInteger('runs', runs ?? 1000, 1, MOST_SEEDS - this.seed)
    this.minimise = argumentBoolean('minimise', minimise ?? true)
    this.shard = shardOf(shard)
    this.depth = checked.depth
    const k = length === undefined ? undefined : argumentInteger('length', length, 1, 1_000_000)
    this.search = new Search(checkScenario(scenario).machine().internals, checked)
    this.walk = new Walk(this.search)
    if (strategy === 'uniform') return
    const n = this.search.actors.length
    const steps = k ?? this.stepsInTurn()
    this.pct = { actors: n, length: steps, constraints: d, probability: 1 / (n * steps ** (d - 1)) }
  }

  run(): RandomReport {
    for (let run = 0; run < this.runs; run++) {
      if (!isOfShard(this.shard, run)) continue
      const numbers = new RandomNumbers(this.seed + run)
      const strategy = this.pct ? new Priorities(numbers, this.pct) : new Uniform(numbers)
      const violated = whereItThrows(this.search, () => this.schedule(strategy))
      this.schedules++
      if (violated) return this.violated(violated, this.seed + run)
    }
    return this.report(this.wasCut ? { bound: 'depth' } : {})
  }

  /** Takes one schedule, to its end or to a violation. */
  private schedule(strategy: Strategy): ViolatedInvariant | undefined {
    const { walk, search } = this
    walk.begin()
    for (let step = 0; ; step++) {
      this.visit()
      const actor = strategy.choose(search, step)
      if (actor < 0) return walk.end()
      if (step >= this.depth) {
        this.wasCut = true
        return undefined
      }
      this.transitions++
      const violated = walk.take(actor)
      if (violated) return violated
      if (walk.closedCycle) strategy.spins(actor)
    }
  }

  /** Counts the state on top if it is new, and there is room for it. */
  private visit(): void {
    const { visited } = this
    const { keyA, keyB, tableKey } = this.search.stack.frame
    const slot = visited.find(keyA, keyB, tableKey)
    if (visited.isFree(slot) && !visited.isFull) visited.enter(slot, keyA, keyB, tableKey)
  }

  /** The steps of the schedule in which the actors that are not bounded take turns, up to where it repeats itself. */
  private stepsInTurn(): number {
    const { walk, search, depth } = this
    const { length } = search.actors
    walk.begin()
    for (let step = 0, last = -1; ; step++) {
      const next = Array.from({ length }, (_, i) => (last + 1 + i) % length)
      last = next.find((actor) => search.uses[actor] < 0 && search.canStep(actor)) ?? -1
      if (last < 0 || step >= depth || walk.take(last) || walk.closedCycle) return Math.max(step, 1)
    }
  }

  private report(more: Partial<RandomReport>): RandomReport {
    const { schedules, transitions, visited, pct, shard } = this
    return {
      verdict: verdictOf(false, more.violation),
      complete: false,
      states: visited.size,
      transitions,
      schedules,
      omission: 0,
      ...(pct ? { pct } : {}),
      ...(shard ? { shard: shard.name } : {}),
      ...more,
    }
  }

  private violated(violated: ViolatedInvariant, seed: number): RandomReport {
    const { search, walk } = this
    const found = search.violation(violated, walk.taken())
    return this.report({ seed, violation: this.minimise ? minimised(search, found) : found })
  }
}

/** Chooses who takes the steps of one schedule. */
interface Strategy {
  /** The actor that takes a step, counted from 0, from the state on top; -1 if none can. */
  choose(search: Search, step: number): number
  /** The last step of this actor has led back to a state of the schedule. */
  spins(actor: number): void
}

class Uniform implements Strategy {
  constructor(private readonly numbers: RandomNumbers) {}

  choose(search: Search): number {
    const ready: number[] = []
    for (let actor = 0; actor < search.actors.length; actor++) if (search.canStep(actor)) ready.push(actor)
    return ready.length === 0 ? -1 : ready[this.numbers.below(ready.length)]
  }

  spins(): void {}
}

class Priorities implements Strategy {
  /** The actors, the one with the highest priority first. */
  private readonly order: number[]
  private readonly changes = new Set<number>()

  constructor(numbers: RandomNumbers, { actors, length, constraints }: PctGuarantee) {
    this.order = numbers.shuffled(Array.from({ length: actors }, (_, actor) => actor))
    for (let i = 1; i < constraints; i++) this.changes.add(numbers.below(length))
  }

  choose(search: Search, step: number): number {
    const first = this.order.find((actor) => search.canStep(actor)) ?? -1
    if (first < 0 || !this.changes.has(step)) return first
    this.spins(first)
    return this.order.find((actor) => search.canStep(actor)) ?? -1
  }

  spins(actor: number): void {
    this.order.splice(this.order.indexOf(actor), 1)
    this.order.push(actor)
  }
}
