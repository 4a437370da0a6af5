/**
 * An exploration as a whole: one search after the other, each with one more intervention; then, if that is asked for,
 * searches for the shortest schedule. It goes on in slices, between which others can work, see how far it is, and end it.
 */
import { argumentInteger } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { checkScenario, type Scenario } from '../scenario/builder.ts'
import {
  type Bounds,
  type CheckedBounds,
  checkBounds,
  interventionsIn,
  type Progress,
  type Report,
  type Violation,
} from './bounds.ts'
import { Explorer } from './explorer.ts'
import { minimised } from './minimise.ts'

/** Steps between two calls of `onProgress`. */
const SLICE = 0x1_0000

/**
 * Explores every interleaving of a scenario within `bounds`, until one violates an invariant: first those without
 * interventions of the environment, then with one, and so on. Throws a `VgicError` for bounds that are out of range; and
 * with the schedule in its message for what a step or an invariant of your own throws, and for a step of your own that
 * depends on more than the machine.
 */
export function explore(scenario: Scenario, bounds: Bounds = {}): Report {
  const exploration = new Exploration(scenario, bounds)
  for (;;) {
    const report = exploration.goOn(SLICE)
    if (report) return report
  }
}

/** Returns after what else there is to do: timers, messages, a page's events. Every host of JavaScript has it. */
declare const setTimeout: (act: () => void, milliseconds: number) => unknown

/**
 * Explores as {@link explore} does, in slices of so many steps, between which it waits for a turn of the event loop: a
 * page does not freeze, and `signal` may be aborted by anybody.
 */
export async function exploreAsync(
  scenario: Scenario,
  bounds: Bounds = {},
  slice: number = SLICE >> 2,
): Promise<Report> {
  const exploration = new Exploration(scenario, bounds)
  argumentInteger('slice', slice, 1, 0x3fff_ffff)
  for (;;) {
    const report = exploration.goOn(slice)
    if (report) return report
    await new Promise<void>((done) => setTimeout(done, 0))
  }
}

/** An exploration that is gone on with in slices; `explore` and `exploreAsync` do that by themselves. */
export class Exploration {
  private readonly explorer: Explorer
  private readonly bounds: CheckedBounds
  private readonly searches: Generator<undefined, Report, boolean>
  private readonly begun: number | undefined
  private slice = 0
  private untilProgress = SLICE
  private ended: Report | undefined

  /** Throws an `argument` error for bounds that are out of range. */
  constructor(scenario: Scenario, bounds: Bounds = {}) {
    this.bounds = checkBounds(bounds)
    this.explorer = new Explorer(checkScenario(scenario).machine().internals, this.bounds)
    this.searches = this.all()
    this.begun = this.bounds.now?.()
  }

  /**
   * Goes on for so many steps of the search, 1 to 2^30 - 1. Returns the report at the end, and again when it is called after
   * that; undefined before. An exploration that has thrown is over: another call throws a `scenario` error.
   */
  goOn(steps: number): Report | undefined {
    argumentInteger('steps', steps, 1, 0x3fff_ffff)
    if (this.ended) return this.ended
    this.slice = steps
    const { done, value } = this.searches.next(this.bounds.signal?.aborted ?? false)
    this.untilProgress -= steps
    if (this.untilProgress <= 0 && !done) {
      this.untilProgress = SLICE
      this.bounds.onProgress?.(this.progress)
    }
    if (!done) return undefined
    // A generator that has thrown is done without a value.
    if ((value as Report | undefined) === undefined)
      throw new VgicError('scenario', 'This exploration has thrown, and is over: make a new one.')
    const { elapsed } = this.progress
    this.ended = elapsed === undefined ? value : { ...value, elapsed }
    return this.ended
  }

  /** How far it has come. */
  get progress(): Progress {
    const progress = this.explorer.progress()
    const now = this.bounds.now?.()
    if (now === undefined || this.begun === undefined) return progress
    const elapsed = now - this.begun
    return { ...progress, elapsed, perSecond: elapsed > 0 ? (1000 * progress.transitions) / elapsed : 0 }
  }

  /** All searches. What it is sent says whether to end. */
  private *all(): Generator<undefined, Report, boolean> {
    const { bounds, explorer } = this
    const most = interventionsIn(bounds.budget)
    for (let interventions = bounds.raise ? 0 : most; ; interventions++) {
      const report = yield* this.search(interventions, bounds.depth)
      if (report.violation && bounds.shortest)
        return yield* this.shortest(interventions, report, report.violation)
      const isLast = interventions >= most || !explorer.withheld
      if (report.violation || isEnded(report) || isLast)
        return withCovered(report, bounds, interventions, this.wasCut)
    }
  }

  private wasCut = false

  private *search(interventions: number, depth: number): Generator<undefined, Report, boolean> {
    const { explorer } = this
    explorer.begin(interventions, depth)
    for (;;) {
      const report = explorer.goOn(this.slice)
      if (report?.bound === 'depth') this.wasCut = true
      if (report) return report
      if (yield) return explorer.stopped()
    }
  }

  /**
   * The shortest schedule with so many interventions that violates an invariant: what was found first is shortened as
   * far as that is cheap, and then the bound on depth halved between what is too short and what is long enough.
   */
  private *shortest(
    interventions: number,
    found: Report,
    first: Violation,
  ): Generator<undefined, Report, boolean> {
    let best = { ...found, violation: minimised(this.explorer.search, first) }
    let tooFew = 0
    while (best.violation.steps - tooFew > 1) {
      const depth = (tooFew + best.violation.steps) >> 1
      const { violation, ...report } = yield* this.search(interventions, depth)
      if (violation) best = { ...report, violation }
      else if (report.bound === 'states' || report.bound === 'signal') return { ...best, shortest: false }
      else tooFew = depth
    }
    return { ...best, shortest: true }
  }
}

/** Whether a bound has ended a search, so that none with more interventions follows. That on depth only cuts schedules off. */
export const isEnded = ({ bound }: Report): boolean => bound === 'states' || bound === 'signal'

/**
 * The report of the last search, with so many interventions, and what it and those before it have covered. `wasCut` says whether
 * the bound on depth has cut schedules off in any of them.
 */
export function withCovered(
  report: Report,
  { budget, raise, depth }: CheckedBounds,
  interventions: number,
  wasCut: boolean,
): Report {
  if (report.bound === 'depth')
    return { ...report, covered: { interventions: interventionsIn(budget), depth } }
  if (!isEnded(report) || !raise || interventions === 0) return report
  const before = interventions - 1
  return { ...report, covered: wasCut ? { interventions: before, depth } : { interventions: before } }
}
