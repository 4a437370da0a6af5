/** Assertions for any test runner: they throw an error whose message is all that there is to read. */
import { argumentWith } from '../errors/arguments.ts'
import { hex } from '../errors/printed.ts'
import { type Bounds, checkBounds, type Report } from '../explore/bounds.ts'
import { exploreAsync } from '../explore/exploration.ts'
import { replay } from '../explore/replay.ts'
import type { Scenario } from '../scenario/builder.ts'
import type { Difference } from '../state/machine-state.ts'

/** What a failed expectation throws. Test runners know an assertion by its name. */
export class ExpectationError extends Error {
  /** Always `AssertionError`. */
  override readonly name = 'AssertionError'

  constructor(
    message: string,
    /** Of `expectHolds`: what the exploration has found. */
    readonly report?: Report,
  ) {
    super(message)
  }
}

/**
 * Explores a scenario, and returns its report if its invariants hold. Otherwise the promise is rejected with an
 * {@link ExpectationError}: with the timeline of a schedule that violates one, which says at its end what is broken; or with
 * the bound that was reached before all was explored, which is a failure too. `bounds` are those of `explore`, with
 * `shortest: true` unless they say otherwise.
 */
export async function expectHolds(scenario: Scenario, bounds: Bounds = {}): Promise<Report> {
  checkBounds(bounds)
  const report = await exploreAsync(scenario, { shortest: true, ...bounds })
  const { verdict, violation, bound, states, transitions } = report
  if (verdict === 'holds') return report
  if (violation) {
    const { invariants, own } = bounds
    const checked = { ...(invariants && { invariants }), ...(own && { own }) }
    const run = replay(scenario, violation, checked)
    throw new ExpectationError(
      `${scenario.name}: ${violation.name} is violated after ${violation.steps} steps.\n\n${run.timeline()}\n\nschedule: ${violation.schedule}`,
      report,
    )
  }
  throw new ExpectationError(
    `${scenario.name}: nothing was found in ${states} states and ${transitions} steps, but the bound on ${bound} was reached. Raise it, or make the scenario smaller.`,
    report,
  )
}

/** What has a state that can be compared: a Gic, a VirtualMachine, the machine of a scenario or of a run. */
export interface Comparable {
  /** A copy of the state. */
  snapshot(): ArrayBuffer
  /** What differs from a state, by name. */
  diff(image: ArrayBuffer): Difference[]
}

const placeOf = ({ name, field }: Difference): string => (field === undefined ? name : `${name}.${field}`)
const valueText = (value: number | string): string => (typeof value === 'number' ? hex(value) : value)

/** The most differences that a message lists. */
const MOST_LISTED = 40

/**
 * Expects two machines of the same configuration to be in the same state, counters and virtual time left out as `diff` does.
 * Throws an {@link ExpectationError} with the names of the registers and fields that differ; a `VgicError` if they are not
 * of the same configuration.
 */
export function expectSameState(actual: Comparable, expected: Comparable): void {
  const what = 'a Gic, a VirtualMachine or a machine of a scenario'
  argumentWith('actual', actual, 'diff', what)
  argumentWith('expected', expected, 'snapshot', what)
  const differences = actual.diff(expected.snapshot())
  if (differences.length === 0) return
  const lines = differences
    .slice(0, MOST_LISTED)
    .map((each) => `  ${placeOf(each)}: expected ${valueText(each.before)}, but is ${valueText(each.after)}`)
  const more = differences.length > MOST_LISTED ? `\n  and ${differences.length - MOST_LISTED} more` : ''
  throw new ExpectationError(`The states differ:\n${lines.join('\n')}${more}`)
}
