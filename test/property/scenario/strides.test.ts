/**
 * A run takes many steps at once where nobody else could take one; it ends where one ends that takes them one by one, as
 * those do that its events tell of: in the same words, counters and clock too, after as many steps.
 */
import fc from 'fast-check'
import {
  baselines,
  designs,
  edit,
  kvm61,
  kvm72,
  ownStep,
  type Scenario,
  scenario,
  steps,
  when,
} from 'vgic/scenario'
import { describe, expect, it, vi } from 'vitest'
import type { Machine } from '../../../src/scenario/machine.ts'
import { Strides } from '../../../src/scenario/strides.ts'
import { commanding } from '../../kit/commanding.ts'
import { scenarios } from './any-scenario.ts'
import { cook, type Recipe, recipesWith } from './recipe.ts'

const strides = vi.spyOn(Strides.prototype, 'take')

/** Runs it, and takes the run's steps again. Returns how many of them were taken in strides. */
function stridesOf(scenario: Scenario, bound: number): number {
  strides.mockClear()
  const run = scenario.run({ steps: bound })
  const inStrides = strides.mock.results.reduce((sum, { value }) => sum + Number(value), 0)
  const acknowledged = Array.from({ length: run.machine.hypervisor.setup.vcpus }, (): number[] => [])
  const machines = new Set<Machine>()
  let taken = 0
  run.retake(0, Number.MAX_SAFE_INTEGER, (event, machine) => {
    machines.add(machine)
    taken++
    if (event.acknowledged !== undefined) acknowledged[event.actor.index].push(event.acknowledged)
  })
  expect(taken).toBe(run.steps)
  expect(acknowledged.map((_, vcpu) => run.acknowledged(vcpu))).toEqual(acknowledged)
  for (const again of machines)
    expect(new Int32Array(again.snapshot())).toEqual(new Int32Array(run.machine.snapshot()))
  return inStrides
}

/** With devices whose steps are due at a time. */
const timely = (recipe: Recipe, times: readonly number[]): Scenario =>
  cook(recipe).device('clock', (device) => {
    for (const time of times) device.at(time).pulse(40)
  })

const times = fc.array(fc.nat(600), { maxLength: 8 }).map((all) => [...all].sort((one, other) => one - other))

describe('a run in strides is the run step by step', () => {
  it.each(
    Object.entries(designs).flatMap(([name, design]) => [
      { name, design: baselines.fixed(design) },
      { name: `${name} (kvm61)`, design: kvm61(design) },
      { name: `${name} (kvm72)`, design: kvm72(design) },
    ]),
  )('in $name', ({ design }) => {
    let inStrides = 0
    const recipes = fc.oneof(recipesWith({ timers: true }), recipesWith({}))
    fc.assert(
      fc.property(recipes, times, (recipe, due) => {
        inStrides += stridesOf(timely({ ...recipe, design }, due), 2_000)
      }),
      { numRuns: 15 },
    )
    expect(inStrides).toBeGreaterThan(1_000)
  })

  it('and goes on after a guest has programmed a timer that is not due for long, beside another vCPU that has ended', () => {
    const recipe = scenario('a timer far away')
      .gic({ cpus: 2 })
      .vm({ vcpus: 2, timers: true })
      .design(designs.wfiFlag)
      .guest(0, (guest) => guest.loop(500, (body) => body.timer(1_000_000)))
      .guest(1, (guest) => guest)
    expect(stridesOf(recipe, 10_000)).toBeGreaterThan(900)
    expect(strides.mock.calls.length).toBeLessThan(100)
  })

  it('with steps between, which no superinstruction has', () => {
    const design = edit(designs.wfiHandler).insertAfter('exit/fold', steps.saveVmcr).design('apart')
    fc.assert(
      fc.property(recipesWith({ timers: true }), times, (recipe, due) => {
        stridesOf(timely({ ...recipe, design }, due), 2_000)
      }),
      { numRuns: 15 },
    )
  })

  it('of one vCPU with steps and questions of a design’s own, up to any bound', () => {
    const count = ownStep('count', (context, vcpu) => {
      context.set(vcpu, 'passed', (context.get(vcpu, 'passed') + 1) & 0xff)
      return 0
    })
    const whether = ownStep('whether?', (context, vcpu) => context.get(vcpu, 'passed') & 1, ['no', 'yes'])
    const asks = ownStep('asks?', (context, vcpu) => (context.checkBlock(vcpu) ? 1 : 0), ['no', 'yes'], {
      asks: 'runnable',
    })
    const own = fc.constantFrom(designs.wfiFullPut, designs.wfiHandler, designs.vmcrOnExit).chain((base) => {
      const counting = () => edit({ ...base, words: ['passed'] }).insertAfter('exit/fold', count)
      return fc.constantFrom(
        counting().insertBefore('wfi/halt/pollBegin', count).design('counting'),
        counting().insertAfter('exit/publishOutside', when(whether, steps.saveVmcr)).design('asking'),
        counting().replaceAll('runnable?', asks).design('with a question of its own'),
      )
    })
    const alone = fc
      .oneof(recipesWith({ timers: true }), recipesWith({}))
      .filter(({ guests }) => guests.length === 1)
    fc.assert(
      fc.property(alone, own, times, fc.integer({ min: 1, max: 400 }), (recipe, design, due, bound) => {
        stridesOf(timely({ ...recipe, design }, due), bound)
      }),
      { numRuns: 60 },
    )
  })

  it('of one vCPU whose timers expire while it runs and while it sleeps, beside devices with and without a time', () => {
    const alone = recipesWith({ timers: true }).filter(({ guests }) => guests.length === 1)
    const steps = fc.array(fc.option(fc.nat(600)), { maxLength: 5 })
    fc.assert(
      fc.property(alone, steps, fc.integer({ min: 1, max: 2_000 }), (recipe, due, bound) => {
        const whenever = cook(recipe).device('whenever', (device) => {
          for (const time of due) (time === null ? device : device.at(time)).pulse(40)
        })
        stridesOf(whenever, bound)
      }),
      { numRuns: 30 },
    )
  })

  it('of a vCPU that sleeps until its timer expires, again and again, in one stride', () => {
    const sleeper = scenario('sleeper')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) =>
        guest
          .onIrq((list) => list.ack().stopTimer().eoi())
          .unmask()
          .loop(100, (body) => body.timer(100).wfi()),
      )
    const taken = stridesOf(sleeper, 100_000)
    expect(taken).toBeGreaterThan(4_000)
    expect(strides.mock.calls.length).toBeLessThan(4)
    const run = sleeper.run()
    expect(run.end).toBe('done')
    expect(run.steps).toBeLessThan(taken + 4)
    expect(run.acknowledged(0)).toEqual(Array(100).fill(27))
    expect(run.counts(0).sleeps).toBe(100)
  })

  it('of three timers, two due at the same time and one when the first of those has expired, up to any bound', () => {
    for (let bound = 1; bound < 100; bound++) {
      const three = scenario('three timers')
        .vm({ vcpus: 1, timers: true })
        .guest(0, (guest) => guest.timer(101).timer(99, 'physical').wfit(98).hvc())
      stridesOf(three, bound)
    }
  })

  it('with interrupts of physical devices, SEV, WFIT and every other operation', () => {
    fc.assert(
      fc.property(scenarios, (scenario) => {
        stridesOf(scenario, 2_000)
      }),
      { numRuns: 30 },
    )
  })

  it.each([1, 2])('with an ITS whose commands two vCPUs send, on %i PEs', (cpus) => {
    expect(stridesOf(commanding(cpus), 20_000)).toBeGreaterThan(100)
  })

  it.each([1, 2, 7, 8, 9, 50, 101])('up to a bound of %i steps', (bound) => {
    stridesOf(commanding(1), bound)
  })
})
