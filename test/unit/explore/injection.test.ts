/**
 * An injection's three steps in every order, and with some left out: what goes wrong is found. Designs with a step
 * where it could do nothing are refused.
 */

import { VgicError } from 'vgic'
import { type Report, replay } from 'vgic/explore'
import {
  type Design,
  type DesignNode,
  defineDesign,
  designs,
  edit,
  halt,
  ownStep,
  part,
  type Scenario,
  type Step,
  scenario,
  steps,
  VirtualMachine,
  when,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { STEP_OWN } from '../../../src/hyp/run/step.ts'
import { STEP_GIVE_UP_CPU, STEP_RESUME } from '../../../src/hyp/run/step-numbers.ts'
import { fire, go, isReady } from '../../kit/driving.ts'
import { GICD, IPRIORITYR, ISENABLER, wordOf } from '../../kit/frames.ts'
import { explore } from './checked.ts'

const { queueInterrupt, postRequest, kickVcpu } = steps
const three = [queueInterrupt, postRequest, kickVcpu]

/** All lists of some of the items in any order. */
const arrangements = (items: readonly Step[]): Step[][] => [
  [],
  ...items.flatMap((item) =>
    arrangements(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  ),
]
const named = (inject: readonly Step[]): string => inject.map(({ name }) => name).join(', ')
const all = arrangements(three).map((inject) => [named(inject), inject] as const)
const wrong = all.filter(([name, inject]) => inject.includes(queueInterrupt) && name !== named(three))
const empty = all.filter(([, inject]) => !inject.includes(queueInterrupt))

const injecting = (inject: readonly DesignNode[]): Design => ({
  ...designs.wfiHandler,
  name: 'injecting',
  inject,
})

const inputs = [
  ['an edge', { intid: 32, trigger: 'edge' }],
  ['a level', { intid: 32, trigger: 'level' }],
  ['a PPI', { intid: 20, trigger: 'edge' }],
] as const
type Input = (typeof inputs)[number][1]

/** A vCPU that sleeps until a device wakes it. */
function sleeper(design: Design, input: Input = inputs[0][1]): Scenario {
  const recipe = scenario('sleeper').vm({ vcpus: 1, spis: 1 }).design(design)
  const set = input.intid < 32 ? recipe.ppi(input) : recipe.spi(input)
  return set
    .guest(0, (g) =>
      g
        .onIrq((h) =>
          h
            .ack()
            .on(32, (list) => (input.trigger === 'level' ? list.quiesce(32) : list))
            .eoi(),
        )
        .unmask()
        .wfi(),
    )
    .device('nic', (d) => (input.trigger === 'level' ? d.raise(input.intid) : d.pulse(input.intid)))
}

const explored = (design: Design, input?: Input): Report =>
  explore(sleeper(design, input), { preemptions: 1 })

describe.each(inputs)('%s that is injected by', (_, input) => {
  it('queue, postRequest, kick is never lost', () => {
    expect(explored(injecting(three), input)).toMatchObject({ complete: true })
    expect(sleeper(injecting(three), input).run().acknowledged(0)).toEqual([input.intid])
  })

  it.each(wrong)('%s is lost by some schedule, which replays', (_name, inject) => {
    const { complete, violation } = explored(injecting(inject), input)
    expect(complete).toBe(false)
    expect(['L1', 'L3', 'S21']).toContain(violation?.invariant)
    const run = replay(sleeper(injecting(inject), input), violation?.schedule ?? '')
    expect(run.events).toHaveLength(violation?.steps ?? 0)
  })
})

describe('an injection', () => {
  it('is lost in a plain run as well, where the kick comes before there is anything', () => {
    for (const [, inject] of wrong.filter(([name]) => /kick.*queue/.test(name))) {
      const run = sleeper(injecting(inject)).run()
      expect([run.end, run.acknowledged(0)]).toEqual(['asleep', []])
      expect(run.explain(32).reason).toBe('asleep')
    }
  })

  it('that kicks first wakes the vCPU that the interrupt is routed to', () => {
    const machine = sleeper(injecting([kickVcpu, postRequest, queueInterrupt])).machine()
    go(machine, 'vcpu0')
    expect(isReady(machine, 'vcpu0')).toBe(false)
    const [kick] = go(machine, 'nic', undefined, 1)
    expect(kick.what).toBe('kick')
    expect(isReady(machine, 'vcpu0')).toBe(true)
    go(machine, 'vcpu0')
    expect(go(machine, 'nic').map(({ what }) => what)).toEqual(['postRequest', 'pulses SPI 32'])
  })

  it('that kicks first tells nobody of an interrupt that nobody gets, and stores it', () => {
    const machine = scenario('disabled')
      .vm({ vcpus: 1, spis: 1 })
      .design(injecting([kickVcpu, queueInterrupt]))
      .spi({ intid: 32, enabled: false })
      .guest(0, (g) => g.wfi())
      .device('nic', (d) => d.pulse(32))
      .machine()
    go(machine, 'vcpu0')
    expect(fire(machine, 'nic').map(({ what }) => what)).toEqual(['kick', 'pulses SPI 32'])
    expect(isReady(machine, 'vcpu0')).toBe(false)
    expect(machine.explain(32).conditions.find(({ name }) => name === 'pending')?.holds).toBe(true)
  })

  it('of a mapped SPI is the hardware’s: its order is no design’s', () => {
    const recipe = (inject: readonly Step[]): Scenario =>
      sleeper(injecting(inject)).spi({ intid: 32, physical: 40 })
    for (const [, inject] of [...wrong, ['right', three] as const]) {
      expect(explore(recipe(inject))).toMatchObject({ complete: true })
      expect(recipe(inject).run().acknowledged(0)).toEqual([32])
    }
  })

  it('by userspace of a VM without a run of its own has the design’s steps too', () => {
    const wakes = (inject: readonly Step[]): boolean => {
      const vm = new VirtualMachine({ vcpus: 1, timers: false, design: injecting(inject) })
      vm.writeMmio(0, GICD, 4, 2)
      vm.writeMmio(0, wordOf(ISENABLER, 32), 4, 1)
      vm.writeMmio(0, GICD + IPRIORITYR + 32, 1, 0x20)
      vm.writeSysreg(0, 0xc230, 0xf0)
      expect(vm.wfi(0)).toBe(false)
      vm.setLine(32, 1)
      return vm.enter(0)
    }
    expect(wakes(three)).toBe(true)
    expect(wakes([queueInterrupt, postRequest])).toBe(false)
    // Nobody comes in between here.
    expect(wakes([kickVcpu, queueInterrupt, postRequest])).toBe(true)
  })
})

describe('a design is refused', () => {
  function refused(make: () => unknown, message: RegExp): void {
    expect(make).toThrow(VgicError)
    expect(make).toThrow(message)
  }
  const wfi = [halt()]
  const asks = ownStep('asks?', () => 0, ['no', 'yes'])

  it.each(empty)('whose injection stores nothing: %s', (_, inject) => {
    const message = /has no queueInterrupt in inject/
    refused(() => sleeper(injecting(inject)).machine(), message)
    refused(() => sleeper(injecting(inject)).run(), message)
    refused(() => explored(injecting(inject)), message)
    refused(() => defineDesign('stores nothing', { wfi, inject }), message)
  })

  it('when an edit takes the queue out', () => {
    refused(() => edit(designs.wfiFlag).omit('inject/queue').design(), /has no queueInterrupt in inject/)
    const moved = edit(designs.wfiFlag).omit('inject/queue').insertAfter('inject/kick', queueInterrupt)
    expect(moved.design('moved').inject).toEqual([postRequest, kickVcpu, queueInterrupt])
  })

  it.each([
    ['a step of the thread', [queueInterrupt, steps.put], /has put in inject: an injection is made of/],
    ['a step of its own', [queueInterrupt, ownStep('mine', () => 0)], /has mine in inject/],
    ['a question', [queueInterrupt, when(asks, kickVcpu)], /has a branch in inject/],
    ['a question in a part', [queueInterrupt, part('tell', when(asks, kickVcpu))], /has a branch in inject/],
  ] as const)('whose injection has %s', (_, inject, message) => {
    refused(() => defineDesign('asks', { wfi, inject }), message)
  })

  it('not for a part in its injection', () => {
    const inject = [queueInterrupt, part('tell', postRequest, kickVcpu)]
    expect(explored(injecting(inject))).toMatchObject({ complete: true })
  })

  it.each(three.map((step) => [step.name, step] as const))(
    'that has %s outside of its injection',
    (name, step) => {
      const message = new RegExp(`has ${name} in the wrong list: it belongs into inject`)
      refused(() => defineDesign('kicks', { wfi: [step, ...wfi] }), message)
      refused(() => defineDesign('kicks', { wfi, schedIn: [step] }), message)
      refused(() => edit(designs.wfiFlag).insertBefore('schedOut/put', step).design(), message)
    },
  )

  it.each([
    steps.guest,
    steps.sleep,
    steps.stop,
    steps.handleRequests,
    steps.exitReason,
    steps.skipInstruction,
    steps.emulateMmio,
    steps.accessStopped,
    steps.userspace,
    steps.setRunning,
    steps.yieldTo,
  ])('whose notifier does what only a thread can: $name', (step) => {
    const message = /in the wrong list: it belongs into the thread/
    refused(() => defineDesign('notified', { wfi, schedOut: [step] }), message)
    refused(() => defineDesign('notified', { wfi, schedIn: [part('p', when(asks, step))] }), message)
  })

  it('with a step that is none of the library’s', () => {
    const { thread } = designs.wfiHandler
    for (const op of [0, STEP_GIVE_UP_CPU, STEP_RESUME, STEP_OWN - 1, 1000]) {
      const step: Step = { kind: 'step', name: 'odd', op, outcomes: [] }
      const message = /^odd.op must be an integer from 1 to|has a step odd that is not this library's/
      refused(() => defineDesign('odd', { wfi: [step] }), message)
      refused(() => sleeper({ ...designs.wfiHandler, thread: [step, ...thread] }).machine(), message)
    }
  })

  it('whose thread comes to the end of its list', () => {
    const ends: Design = {
      ...designs.wfiHandler,
      name: 'ends',
      thread: [steps.preemptOff, when(asks, steps.stop)],
    }
    refused(() => sleeper(ends).machine(), /thread of ends comes to an end after asks\?: end it with stop/)
    const stops: Design = { ...ends, thread: [when(asks, steps.preemptOff), steps.stop] }
    expect(sleeper(stops).machine()).toBeDefined()
  })
})
