/** Replays a schedule that an exploration printed. */
import { argumentInteger, argumentOptions } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { checkScenario, type Scenario } from '../scenario/builder.ts'
import { type Course, follow, type Run } from '../scenario/run.ts'
import { readSchedule } from './schedule.ts'

/** How much of a schedule is replayed. */
export interface ReplayOptions {
  /** Stops before this step, counted from 0; default after the last. */
  readonly before?: number
}

/**
 * Takes the steps of a schedule token on a new machine of the scenario, which must be the one that was explored, with
 * the same design. The run's machine is as the last step left it. Throws an `argument` error for a token that is
 * damaged, or that is of another scenario.
 */
export function replay(scenario: Scenario, schedule: string, options: ReplayOptions = {}): Run {
  const { before } = argumentOptions('replay', options, { before: true })
  const machine = checkScenario(scenario).machine()
  const actorCount = machine.actors.length + machine.environment.length
  const taken = readSchedule(machine.internals.digest, actorCount, schedule)
  const end = before === undefined ? taken.length : argumentInteger('before', before, 0, taken.length)
  return follow(machine, courseOf(taken), end)
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
