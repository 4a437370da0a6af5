/** What the worker does for the page: explores in slices, replays, and films what was found. */
import { type Bounds, Exploration, museum, type Progress, type Report, replay } from 'vgic/explore'
import type { Scenario, StepEvent } from 'vgic/scenario'
import { filmOf } from './film.ts'
import type { EntryFacts, Film, Finding, Overrides, Subject } from './messages.ts'
import type { UserModule } from './user-module.ts'

/** What the session needs of its host. */
export interface SessionHost {
  /** Imports a module's text. */
  load(text: string): Promise<UserModule>
  /** Lets messages in between two slices. */
  breathe(): Promise<void>
  now(): number
  onProgress(progress: Progress): void
}

/** What is shown of a subject. */
export interface Shown {
  readonly finding: Finding
  readonly film: Film
}

/** Milliseconds that a slice of a search is to take, and its steps: as many as that takes. */
const SLICE_TIME = 30
const LEAST_STEPS = 500
const MOST_STEPS = 50_000
/** Milliseconds between two messages about progress. */
const PROGRESS_EVERY = 100

/** The museum, as a page lists it. */
export const museumFacts = (): EntryFacts[] =>
  museum.map(({ id, name, story, invariant, bug, good, bounds }) => ({
    id,
    name,
    story,
    invariant,
    bug: bug.name,
    good: good.name,
    bounds: {
      preemptions: bounds.preemptions ?? 0,
      ticks: bounds.ticks ?? 0,
      migrations: bounds.migrations ?? 0,
    },
  }))

export class Session {
  private isStopped = false

  constructor(private readonly host: SessionHost) {}

  /** Ends the exploration that is under way; its report says what was covered. */
  stop(): void {
    this.isStopped = true
  }

  /** Explores, and films the counterexample, or a plain run if there is none. */
  async explore(subject: Subject, overrides: Overrides): Promise<Shown> {
    this.isStopped = false
    const { scenario, bounds } = await this.module(subject)
    const all = { ...bounds, ...overrides }
    const report = await this.search(scenario, all)
    const { violation } = report
    if (violation) {
      const run = replay(scenario, violation)
      const film = filmOf(atFirst(scenario, violation.schedule), run.events)
      return { finding: { ...findingOf(report), token: violation.schedule }, film }
    }
    return { finding: findingOf(report), film: plainFilm(scenario) }
  }

  /** Films a schedule, which is checked as it goes. */
  async replay(subject: Subject, token: string): Promise<Shown> {
    const { scenario, bounds } = await this.module(subject)
    const { invariants, own } = bounds
    const run = replay(scenario, token, { ...(invariants && { invariants }), ...(own && { own }) })
    const film = filmOf(atFirst(scenario, token), run.events)
    const looked = `${steps(run.steps)}, replayed`
    if (!run.violation) return { finding: { verdict: 'run', looked, token }, film }
    const { invariant, name, says, what } = run.violation
    return {
      finding: { verdict: 'violated', rule: `${name} (${invariant})`, says, what, looked, token },
      film,
    }
  }

  private async module(subject: Subject): Promise<UserModule> {
    if (subject.kind === 'text') return this.host.load(subject.text)
    const entry = museum.find(({ id }) => id === subject.entry)
    if (!entry) throw new Error(`The museum has no entry ${subject.entry}.`)
    return { scenario: entry.scenario(entry[subject.side]), bounds: entry.bounds }
  }

  private async search(scenario: Scenario, bounds: Bounds): Promise<Report> {
    const { host } = this
    const session = this
    const signal = {
      get aborted() {
        return session.isStopped
      },
    }
    const exploration = new Exploration(scenario, { ...bounds, signal, now: () => host.now() })
    let told = host.now()
    for (let slice = LEAST_STEPS; ; ) {
      const begun = host.now()
      const report = exploration.goOn(slice)
      if (report) return report
      const now = host.now()
      slice = now - begun > SLICE_TIME ? Math.max(LEAST_STEPS, slice >> 1) : Math.min(MOST_STEPS, slice << 1)
      if (now - told >= PROGRESS_EVERY) {
        told = now
        host.onProgress(exploration.progress)
      }
      await host.breathe()
    }
  }
}

/** The machine of an exploration before its first step. */
const atFirst = (scenario: Scenario, token: string) => replay(scenario, token, { before: 0 }).machine

/** The most steps of a plain run that is shown. */
const PLAIN_STEPS = 1000

function plainFilm(scenario: Scenario): Film {
  const events: readonly StepEvent[] = scenario.run({ steps: PLAIN_STEPS }).events
  return filmOf(scenario.machine(), events)
}

const counted = (count: number, noun: string): string =>
  `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
const steps = (count: number): string => counted(count, 'step')

function findingOf(report: Report): Finding {
  const { verdict, states, elapsed = 0, violation, shortest } = report
  const size = `${counted(states, 'state')} in ${(elapsed / 1000).toFixed(2)} s`
  if (violation) {
    const { invariant, name, says, what, interventions } = violation
    const length = `${steps(violation.steps)}${shortest ? ', the fewest,' : ''} with ${counted(interventions, 'intervention')}`
    return { verdict, rule: `${name} (${invariant})`, says, what, looked: `${length}; ${size}` }
  }
  if (verdict === 'holds') return { verdict, looked: `Every interleaving within the bounds: ${size}` }
  return { verdict, looked: `${boundText(report)}; ${size}` }
}

function boundText({ bound, covered }: Report): string {
  const why = bound === 'signal' ? 'Stopped' : `The bound on ${bound} was reached`
  if (!covered) return `${why}, and nothing is covered entirely`
  const depth = covered.depth === undefined ? '' : `, of their first ${steps(covered.depth)}`
  return `${why}; covered: all schedules with at most ${counted(covered.interventions, 'intervention')}${depth}`
}
