/** Replays a schedule that an exploration printed. */
import { argumentInteger, argumentOptions, argumentString } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { checkScenario, type Scenario } from '../scenario/builder.ts'
import { type Course, follow, type Run } from '../scenario/run.ts'
import { checkBounds, type OwnInvariant, type Violation } from './bounds.ts'
import type { InvariantId } from './invariants.ts'
import { violationOf } from './minimise.ts'
import { readSchedule } from './schedule.ts'

/** How much of a schedule is replayed. */
export interface ReplayOptions {
  /** Stops before this step, counted from 0; default after the last. */
  readonly before?: number
  /** The invariants that are checked, as for the exploration that found the schedule; default all. */
  readonly invariants?: readonly InvariantId[]
  /** Invariants of your own, as for that exploration; default none. */
  readonly own?: readonly OwnInvariant[]
}

/**
 * Takes the steps of a schedule token on a new machine of the scenario, which must be the one that was explored, with
 * the same design. The run's machine is as the last step left it. If that violates an invariant, the run's `end` is
 * `violated`, its `violation` says what is broken, and so does the last line of its timeline. The schedule may be the
 * violation of a report, too. Throws an `argument` error for a token that is
 * damaged, or that is of another scenario.
 */
export function replay(scenario: Scenario, schedule: string | Violation, options: ReplayOptions = {}): Run {
  const { before, ...checked } = argumentOptions('replay', options, {
    before: true,
    invariants: true,
    own: true,
  })
  checkBounds(checked)
  const token = typeof schedule === 'object' && schedule !== null ? schedule.schedule : schedule
  const machine = checkScenario(scenario).machine()
  const actorCount = machine.actors.length + machine.environment.length
  const taken = readSchedule(machine.internals.digest, actorCount, token)
  const end = before === undefined ? taken.length : argumentInteger('before', before, 0, taken.length)
  const run = follow(machine, courseOf(taken), end)
  if (end < taken.length) return run
  const violation =
    typeof schedule === 'object' ? checkedViolation(schedule) : violationOf(scenario, taken, checked)
  return violation ? run.violating(violation) : run
}

function checkedViolation(violation: Violation): Violation {
  for (const name of ['invariant', 'name', 'says', 'what'] as const)
    argumentString(`violation.${name}`, violation[name])
  return violation
}

const courseOf =
  (taken: readonly number[]): Course =>
  (machine) => {
    machine.prepareExploration()
    const actors = [...machine.actors, ...machine.environment]
    let step = 0
    return () => {
      const actor = actors[taken[step]]
      if (machine.stateOf(actor) !== 'ready') {
        throw new VgicError(
          'argument',
          `The schedule does not fit: at step ${step} ${actor.name} is not ready.`,
        )
      }
      step++
      return actor
    }
  }
