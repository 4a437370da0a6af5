/**
 * Free-running and stepped are equal: the run loop's fast path, with its superinstructions, brings a machine to the
 * state that single steps bring it to, at every place where it parks: in the guest, asleep, at the head of the
 * loop, without a PE, ended.
 */
import fc from 'fast-check'
import { type Actor, baselines, designs, kvm61, kvm72, type ScenarioMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { VCPU_PE } from '../../../src/hyp/records/vcpu.ts'
import {
  THREAD_ENDED,
  THREAD_IN_GUEST,
  THREAD_POLLS,
  THREAD_SLEEPS,
  THREAD_STEPS,
} from '../../../src/hyp/run/thread-states.ts'
import { runToPark, stepToPark } from '../../kit/parking.ts'
import { cook, type Recipe, recipesWith } from './recipe.ts'

const wordsOf = (machine: ScenarioMachine): Int32Array => new Int32Array(machine.snapshot())

/** What is done with both machines: a step of an actor, or a thread's way to its next park, by either means. */
interface Move {
  readonly pick: number
  /** Whether the first machine runs free and the second is stepped, or the other way round. */
  readonly first: boolean
  /** Single steps that both threads take before. */
  readonly steps: number
  /** Whether the environment has its say. */
  readonly environment: boolean
}

const moves = fc.array(
  fc.record({
    pick: fc.nat(255),
    first: fc.boolean(),
    steps: fc.constantFrom(0, 0, 0, 1, 2, 5, 9),
    environment: fc.constantFrom(false, false, false, true),
  }),
  { minLength: 40, maxLength: 150, size: 'max' },
)

type Count = Record<'inGuest' | 'asleep' | 'polling' | 'atHead' | 'ended' | 'waiting', number>

function drive(recipe: Recipe, script: readonly Move[], count: Count): void {
  const s = cook(recipe)
  const machines = [s.machine(), s.machine()]
  const [one, other] = machines
  const { runLoop } = one.hypervisor
  for (const { hypervisor } of machines) hypervisor.halt.openWindows()
  const ready = (actors: readonly Actor[]) => actors.filter((actor) => one.stateOf(actor) === 'ready')
  for (const { pick, first, steps, environment } of script) {
    const happens = environment ? ready(one.environment) : []
    const actors = happens.length > 0 ? happens : ready(one.actors)
    if (actors.length === 0) break
    const actor = actors[pick % actors.length]
    const v = one.hypervisor.vcpu(actor.kind === 'vcpu' ? actor.index : 0)
    const hasPe = one.hypervisor.words[v + VCPU_PE] !== 0
    if (actor.kind !== 'vcpu' || !hasPe || runLoop.threadState(v) === THREAD_IN_GUEST) {
      for (const machine of machines) machine.step(actor)
      continue
    }
    for (let i = 0; i < steps && runLoop.threadState(v) === THREAD_STEPS; i++) {
      for (const machine of machines) machine.hypervisor.runLoop.step(v)
    }
    if (runLoop.threadState(v) !== THREAD_STEPS) continue
    const [free, stepped] = first ? [one, other] : [other, one]
    const parked = runToPark(free, v)
    expect(stepToPark(stepped, v)).toBe(parked)
    expect(free.hash()).toBe(stepped.hash())
    if (parked === THREAD_IN_GUEST) count.inGuest++
    else if (parked === THREAD_SLEEPS) count.asleep++
    else if (parked === THREAD_ENDED) count.ended++
    else if (parked === THREAD_STEPS) count.atHead++
    else if (parked === THREAD_POLLS) count.polling++
    else count.waiting++
  }
  // Counters, the clock and what is derived too.
  expect(wordsOf(one)).toEqual(wordsOf(other))
}

const none = (): Count => ({ inGuest: 0, asleep: 0, polling: 0, atHead: 0, ended: 0, waiting: 0 })

describe('free-running and stepped machines are equal at every park', () => {
  it.each(
    Object.entries(designs).flatMap(([name, design]) => [
      { name, design: baselines.fixed(design) },
      { name: `${name} (kvm61)`, design: kvm61(design) },
      { name: `${name} (kvm72)`, design: kvm72(design) },
    ]),
  )('$name', ({ design }) => {
    const count = none()
    fc.assert(
      fc.property(recipesWith({ timers: true }), moves, (recipe, script) => {
        drive({ ...recipe, design }, script, count)
      }),
      { numRuns: 60 },
    )
    expect(count.inGuest).toBeGreaterThan(300)
    expect(count.atHead).toBeGreaterThan(100)
    expect(count.asleep).toBeGreaterThan(0)
    expect(count.polling).toBeGreaterThan(0)
    expect(count.ended).toBeGreaterThan(0)
  })

  it('with an edit that breaks the superinstructions apart', async () => {
    const { edit, ownStep } = await import('vgic/scenario')
    const mark = ownStep('mark', () => 0)
    const design = edit(designs.wfiFlag)
      .insertBefore('entry/flush', mark)
      .insertAfter('exit/fold', mark)
      .insertAfter('wfi/halt/pollBegin', mark)
      .swap('entry/irqOff', 'entry/handleRequests')
      .design('apart')
    const count = none()
    fc.assert(
      fc.property(recipesWith({ timers: true }), moves, (recipe, script) => {
        drive({ ...recipe, design }, script, count)
      }),
      { numRuns: 40 },
    )
    expect(count.inGuest).toBeGreaterThan(200)
  })
})
