/** What one explorer of a pool does, and what all of them have done: src/workers.ts starts them, src/worker.ts is one. */
import type { VgicError } from '../errors/vgic-error.ts'
import { checkScenario, type Scenario } from '../scenario/builder.ts'
import {
  type Bounds,
  type CheckedBounds,
  checkBounds,
  interventionsIn,
  omissionOf,
  type Report,
  verdictOf,
} from './bounds.ts'
import { ClosedStates } from './closed-states.ts'
import { Explorer } from './explorer.ts'
import { byViolation } from './merge-reports.ts'

/** What all explorers of a search are given, besides the scenario. */
export interface PoolSearch {
  readonly bounds: Bounds
  /** The interventions of this search. */
  readonly interventions: number
  /** Of {@link ClosedStates}. */
  readonly buffer: SharedArrayBuffer
}

/** What one explorer reports of a search. */
export interface PoolPart {
  readonly report: Report
  /** Whether interventions that the bounds allow were left to another search. */
  readonly withheld: boolean
  /** The permutations that a state is looked up by. */
  readonly permutations: number
}

/**
 * Where a scenario comes from. A scenario has functions, which no thread can be sent: each loads the module and calls
 * the function.
 */
export interface ScenarioSource {
  /** The module's address: `new URL('./scenario.js', import.meta.url).href`. */
  readonly module: string
  /** The name of its export, a function that returns a new scenario; default `'default'`. */
  readonly export?: string
  /** What the function is called with; copied to the threads. Default nothing. */
  readonly args?: readonly unknown[]
}

/**
 * What a thread is given.
 */
export interface Task {
  readonly source: ScenarioSource
  readonly search: PoolSearch
  readonly index: number
}

/**
 * What a thread gives back: its part, or a `VgicError`, which loses its code on the way otherwise.
 */
export type Answer = PoolPart | Pick<VgicError, 'code' | 'message'>

/** Does the part of explorer `index` of a search. */
export function explorePart(scenario: Scenario, search: PoolSearch, index: number): PoolPart {
  const { bounds, interventions, buffer } = search
  const checked = checkBounds(bounds)
  const closed = new ClosedStates(buffer)
  const explorer = new Explorer(checkScenario(scenario).machine().internals, checked, { index, closed })
  const report = explorer.run(interventions, checked.depth)
  if (report.violation) closed.stop()
  return { report, withheld: explorer.withheld, permutations: explorer.search.permutations }
}

/**
 * The report of a search that several explorers have shared; `closed` are the states that they have done with, which
 * are all if nothing has ended the search.
 */
export function reportOfParts(parts: readonly PoolPart[], closed: number): Report {
  const reports = parts.map(({ report }) => report)
  const states = Math.max(closed, ...reports.map((report) => report.states))
  const [found] = reports.filter(({ violation }) => violation).sort(byViolation)
  const bound = (['states', 'depth'] as const).find((name) => reports.some((one) => one.bound === name))
  const complete = !found && bound === undefined
  return {
    verdict: verdictOf(complete, found?.violation),
    complete,
    states,
    transitions: reports.reduce((sum, { transitions }) => sum + transitions, 0),
    schedules: reports.reduce((sum, { schedules }) => sum + schedules, 0),
    omission: omissionOf(states, parts[0].permutations),
    ...(found?.violation ? { violation: found.violation } : bound ? { bound } : {}),
  }
}

/** The numbers of interventions to search with, one after the other. */
export function rounds({ budget, raise }: CheckedBounds): number[] {
  const most = interventionsIn(budget)
  return raise ? Array.from({ length: most + 1 }, (_, i) => i) : [most]
}
