/** Threads that get and lose PEs: preemption at every point, migration, vCPUs that share a CPU, directed yield. */
import { ICC_CTLR_EL1, ICC_PMR_EL1, ICC_RPR_EL1 } from 'vgic'
import {
  type Design,
  designs,
  type GuestBuilder,
  kvm61,
  type Scenario,
  type ScenarioMachine,
  type StepEvent,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { acknowledged, actor, exits, fire, go, goTo, happen, isReady } from '../../../kit/driving.ts'
import { EOI_MODE_1, handle } from '../../../kit/guest-lists.ts'

const allDesigns = Object.entries(designs).flatMap(([name, design]) => [
  { name, design },
  { name: `${name} (kvm61)`, design: kvm61(design) },
])

const PREEMPT = 'preempt vcpu0'

/** The counts of steps of vCPU 0, undisturbed, after which it can be preempted. */
function preemptible(s: Scenario): { moments: number[]; total: number } {
  const machine = s.machine()
  const moments: number[] = []
  for (let taken = 0; ; taken++) {
    if (isReady(machine, PREEMPT)) moments.push(taken)
    if (!isReady(machine, 'vcpu0')) return { moments, total: taken }
    machine.step(actor(machine, 'vcpu0'))
  }
}

describe('a preemption', () => {
  /**
   * The guest opens its mask late, so that a stale shadow of it would keep it asleep, and waits twice: for the device
   * and for its timer.
   */
  const guest = (list: GuestBuilder): GuestBuilder =>
    list
      .onIrq((handler) => handler.ack().stopTimer().eoi())
      .priorityMask(0xf0)
      .hvc()
      .unmask()
      .wfi()
      .hvc()
  const one = (design: Design): Scenario =>
    scenario('preempted')
      .design(design)
      .gic({ cpus: 2 })
      .vm({ vcpus: 1, timers: true })
      .cpuInterface(0, { priorityMask: 0x20 })
      .spi({ intid: 40, priority: 0x80 })
      .guest(0, guest)
      .device('uart', (device) => device.pulse(40))

  it.each(allDesigns)(
    'at any point where it can happen costs no interrupt that comes after it: $name',
    ({ design }) => {
      const s = one(design)
      const { moments } = preemptible(s)
      expect(moments.length).toBeGreaterThan(10)
      const machine = s.machine()
      const start = machine.snapshot()
      for (const moment of moments) {
        machine.restore(start)
        go(machine, 'vcpu0', undefined, moment)
        happen(machine, PREEMPT)
        const events = go(machine, 'vcpu0')
        fire(machine, 'uart')
        events.push(...go(machine, 'vcpu0'))
        expect(acknowledged(events), `preempted after ${moment} steps`).toEqual([40])
        expect(machine.stateOf(machine.actors[0]), `preempted after ${moment} steps`).toBe('done')
        expect(machine.counts(0).preemptions).toBe(1)
      }
    },
  )

  it.each(allDesigns)('costs none that comes between any two steps of it: $name', ({ design }) => {
    const s = one(design)
    const machine = s.machine()
    const start = machine.snapshot()
    for (const moment of preemptible(s).moments) {
      for (let later = 0; later <= 6; later++) {
        machine.restore(start)
        const events = go(machine, 'vcpu0', undefined, moment)
        happen(machine, PREEMPT)
        events.push(...go(machine, 'vcpu0', undefined, later))
        const before = events.some(({ what }) => what === 'wfi -> exit (wfi)')
        fire(machine, 'uart')
        events.push(...go(machine, 'vcpu0'))
        const when = `preempted after ${moment} steps, raised ${later} later`
        expect(acknowledged(events), when).toEqual([40])
        if (before) expect(machine.stateOf(machine.actors[0]), when).toBe('done')
      }
    }
  })

  it.each(allDesigns)('costs none that came before it: $name', ({ design }) => {
    const s = one(design)
    const machine = s.machine()
    const start = machine.snapshot()
    for (const moment of preemptible(s).moments) {
      for (let earlier = 1; earlier <= 4; earlier++) {
        machine.restore(start)
        const events = go(machine, 'vcpu0', undefined, Math.max(moment - earlier, 0))
        fire(machine, 'uart')
        events.push(...go(machine, 'vcpu0', () => isReady(machine, PREEMPT), earlier))
        if (isReady(machine, PREEMPT)) happen(machine, PREEMPT)
        events.push(...go(machine, 'vcpu0'))
        expect(acknowledged(events), `preempted after ${moment} steps, raised ${earlier} before`).toEqual([
          40,
        ])
      }
    }
  })

  it.each(allDesigns)('with its timer expiring while it is off its PE costs nothing: $name', ({ design }) => {
    const s = scenario('timer')
      .design(design)
      .vm({ vcpus: 1, timers: true })
      .guest(0, (list) =>
        list
          .onIrq((handler) => handler.ack().stopTimer().eoi())
          .unmask()
          .timer(2000)
          .hvc()
          .wfi(),
      )
    const machine = s.machine()
    const start = machine.snapshot()
    const set = goTo(machine, 'vcpu0', 'virtual timer in 2000').length
    for (const moment of preemptible(s).moments.filter((taken) => taken >= set)) {
      machine.restore(start)
      const events = go(machine, 'vcpu0', undefined, moment)
      happen(machine, PREEMPT)
      events.push(...goTo(machine, 'vcpu0', 'giveUpCpu'))
      happen(machine, 'virtual timer of vcpu0')
      events.push(...go(machine, 'vcpu0'))
      expect(acknowledged(events), `preempted after ${moment} steps`).toEqual([27])
    }
  })

  it('does not happen in the guest, nor with preemption off; a tick makes the guest leave', () => {
    const machine = one(designs.wfiFullPut).machine()
    goTo(machine, 'vcpu0', 'enters the guest')
    expect(isReady(machine, PREEMPT)).toBe(false)
    expect(isReady(machine, 'tick of vcpu0')).toBe(true)
    happen(machine, 'tick of vcpu0')
    const events = goTo(machine, 'vcpu0', 'exitReason?')
    expect(events[0].what).toBe("interrupted by the host's tick -> exit (irq)")
    expect(isReady(machine, 'tick of vcpu0')).toBe(false)
    expect(isReady(machine, PREEMPT)).toBe(true)
  })

  it('does not interrupt a notifier', () => {
    const machine = one(designs.wfiFullPut).machine()
    happen(machine, PREEMPT)
    expect(isReady(machine, PREEMPT)).toBe(false)
    goTo(machine, 'vcpu0', 'gets cpu0')
    expect(isReady(machine, PREEMPT)).toBe(false)
    goTo(machine, 'vcpu0', 'resume')
    expect(isReady(machine, PREEMPT)).toBe(true)
  })

  it('of a thread that is not there cannot be told', () => {
    const machine = one(designs.wfiFullPut).machine()
    goTo(machine, 'vcpu0', 'enters the guest')
    expect(() => happen(machine, PREEMPT)).toThrow(
      'preempt vcpu0 cannot take a step now: ask stateOf() first.',
    )
  })
})

describe('a migration', () => {
  /** SGI 1 is active with its priority; the guest then checks its mask, its running priority and EOImode. */
  const checks = (design: Design): ScenarioMachine =>
    scenario('migration')
      .design(design)
      .gic({ cpus: 3 })
      .vm({ vcpus: 1 })
      .spi({ intid: 40, priority: 0x40 })
      .guest(0, (guest) =>
        guest
          .onIrq(handle)
          .write(ICC_CTLR_EL1, EOI_MODE_1)
          .priorityMask(0xb0)
          .sgi({ intid: 1, vcpus: [0] })
          .ack()
          .hvc()
          .poll(ICC_PMR_EL1, 0xff, 0xb0)
          .poll(ICC_RPR_EL1, 0xff, 0xa0)
          .poll(ICC_CTLR_EL1, EOI_MODE_1, EOI_MODE_1)
          .write(ICC_CTLR_EL1, 0)
          .eoi()
          .poll(ICC_RPR_EL1, 0xff, 0xff)
          .unmask()
          .wfi(),
      )
      .device('uart', (device) => device.pulse(40))
      .machine()

  it.each(allDesigns)(
    'keeps the guest’s mask, its EOImode and its active priorities: $name',
    ({ design }) => {
      const machine = checks(design)
      goTo(machine, 'vcpu0', 'exitReason? hvc')
      happen(machine, PREEMPT)
      goTo(machine, 'vcpu0', 'giveUpCpu')
      happen(machine, 'migrate vcpu0 to cpu2')
      const events = go(machine, 'vcpu0', undefined, 400)
      expect(events.map(({ what }) => what)).toContain('wfi -> exit (wfi)')
      fire(machine, 'uart')
      expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
      expect(machine.stateOf(machine.actors[0])).toBe('done')
    },
  )

  it.each(allDesigns)('of a vCPU that is woken brings its interrupt along: $name', ({ design }) => {
    const machine = checks(design)
    go(machine, 'vcpu0')
    fire(machine, 'uart')
    happen(machine, 'migrate vcpu0 to cpu1')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
    expect(machine.stateOf(machine.actors[0])).toBe('done')
  })

  it('is to another CPU that is free, of a thread that waits for one', () => {
    const machine = checks(designs.wfiFullPut)
    const targets = () => [0, 1, 2].filter((cpu) => isReady(machine, `migrate vcpu0 to cpu${cpu}`))
    expect(targets()).toEqual([])
    go(machine, 'vcpu0')
    expect(targets()).toEqual([])
    fire(machine, 'uart')
    expect(targets()).toEqual([1, 2])
    happen(machine, 'migrate vcpu0 to cpu1')
    expect(targets()).toEqual([])
  })

  it('does not happen in a plain run when the vCPU’s own CPU is free', () => {
    const run = scenario('home')
      .vm({ vcpus: 2 })
      .spi({ intid: 40 })
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi())
      .guest(1, (guest) => guest.wfi())
      .device('uart', (device) => device.pulse(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40])
    expect(run.events.filter(({ actor: { kind } }) => kind === 'migrate')).toEqual([])
  })

  it('happens in a plain run when it is taken and another is free', () => {
    const run = scenario('away')
      .gic({ cpus: 2 })
      .vm({ vcpus: 3 })
      .guest(0, (guest) => guest.loop(100, (list) => list.hvc()))
      .guest(2, (guest) => guest.hvc())
      .run()
    expect(run.end).toBe('done')
    const moves = run.events
      .filter(({ actor: { kind } }) => kind === 'migrate')
      .map(({ actor: who }) => who.name)
    expect(moves).toEqual(['migrate vcpu2 to cpu1'])
  })

  it.each(allDesigns)('of two vCPUs that change places mixes nothing up: $name', ({ design }) => {
    const s = scenario('change places').design(design).gic({ cpus: 3 }).vm({ vcpus: 2 })
    for (const vcpu of [0, 1]) {
      const priorityMask = vcpu === 0 ? 0xb0 : 0xc0
      s.sgi({ intid: 1, vcpu, priority: vcpu === 0 ? 0xa0 : 0x80 }).guest(vcpu, (guest) =>
        guest
          .priorityMask(priorityMask)
          .sgi({ intid: 1, vcpus: [vcpu] })
          .ack()
          .hvc()
          .poll(ICC_PMR_EL1, 0xff, priorityMask)
          .poll(ICC_RPR_EL1, 0xff, vcpu === 0 ? 0xa0 : 0x80)
          .eoi()
          .poll(ICC_RPR_EL1, 0xff, 0xff),
      )
    }
    const machine = s.machine()
    for (const vcpu of ['vcpu0', 'vcpu1']) {
      goTo(machine, vcpu, 'exitReason? hvc')
      happen(machine, `preempt ${vcpu}`)
      goTo(machine, vcpu, 'giveUpCpu')
    }
    happen(machine, 'migrate vcpu0 to cpu1')
    happen(machine, 'migrate vcpu1 to cpu0')
    for (const vcpu of ['vcpu0', 'vcpu1']) {
      go(machine, vcpu, undefined, 400)
      expect(machine.stateOf(actor(machine, vcpu))).toBe('done')
    }
  })
})

describe('vCPUs that share a CPU', () => {
  it.each(allDesigns)('pass SGIs to each other and both end: $name', ({ design }) => {
    const rounds = 5
    const s = scenario('ping and pong').design(design).gic({ cpus: 1 }).vm({ vcpus: 2 })
    for (const vcpu of [0, 1]) {
      const send = { intid: 3, vcpus: [1 - vcpu] }
      s.guest(vcpu, (guest) =>
        guest.loop(rounds, (list) =>
          vcpu === 0 ? handle(list.sgi(send).wfi()) : handle(list.wfi()).sgi(send),
        ),
      )
    }
    const run = s.run({ steps: 10_000 })
    expect(run.end).toBe('done')
    const threes = Array.from({ length: rounds }, () => 3)
    expect([run.acknowledged(0), run.acknowledged(1)]).toEqual([threes, threes])
  })

  it.each(allDesigns)('keep their CPU interfaces apart: $name', ({ design }) => {
    const s = scenario('apart').design(design).gic({ cpus: 1 }).vm({ vcpus: 3 })
    for (const vcpu of [0, 1, 2]) {
      const mask = 0xb0 + 0x10 * vcpu
      s.guest(vcpu, (guest) =>
        guest
          .priorityMask(mask)
          .sgi({ intid: 1, vcpus: [vcpu] })
          .ack()
          .loop(30, (list) => list.hvc().poll(ICC_PMR_EL1, 0xff, mask).poll(ICC_RPR_EL1, 0xff, 0xa0))
          .eoi(),
      )
    }
    const run = s.run({ steps: 20_000 })
    expect(run.end).toBe('done')
    expect([0, 1, 2].map((vcpu) => run.acknowledged(vcpu))).toEqual([[1], [1], [1]])
  })

  it('one that sleeps leaves the CPU to the other, and gets it back when that sleeps', () => {
    const run = scenario('sleepers')
      .gic({ cpus: 1 })
      .vm({ vcpus: 2 })
      .spi({ intid: 40 })
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi())
      .guest(1, (guest) => guest.onIrq(handle).unmask().wfi())
      .spi({ intid: 41, vcpu: 1 })
      .device('board', (device) => device.pulse(40).pulse(41))
      .run()
    expect(run.end).toBe('done')
    expect([run.counts(0), run.counts(1)].map(({ preemptions }) => preemptions)).toEqual([0, 0])
    expect([run.acknowledged(0), run.acknowledged(1)]).toEqual([[40], [41]])
  })

  it('a vCPU beyond the CPUs waits for its first turn, and gets what came meanwhile', () => {
    const machine = scenario('late start')
      .gic({ cpus: 1 })
      .vm({ vcpus: 2 })
      .spi({ intid: 40, vcpu: 1 })
      .guest(1, (guest) => guest.onIrq(handle).unmask().hvc())
      .device('uart', (device) => device.pulse(40))
      .machine()
    expect(isReady(machine, 'vcpu1')).toBe(false)
    fire(machine, 'uart')
    go(machine, 'vcpu0')
    const events = go(machine, 'vcpu1')
    expect(events[0].what).toBe('gets cpu0')
    expect(acknowledged(events)).toEqual([40])
  })
})

describe('a directed yield', () => {
  const scan = (events: readonly StepEvent[]): string[] =>
    events.filter(({ place }) => place === 'wfe').map(({ what }) => what)

  /** vCPU 0 spins; vCPU 1 is as the test has it. */
  const spinning = (cpus: number, one: (guest: GuestBuilder) => unknown): ScenarioMachine =>
    scenario('spin')
      .gic({ cpus })
      .vm({ vcpus: 2 })
      .guest(0, (guest) => guest.wfe().wfe().hvc())
      .guest(1, one)
      .spi({ intid: 40, vcpu: 1 })
      .device('uart', (device) => device.pulse(40))
      .machine()

  it('prefers a vCPU that waits for the busy PE', () => {
    const machine = spinning(1, (guest) => guest.hvc())
    const events = goTo(machine, 'vcpu0', 'hvc')
    expect(scan(events)).toEqual(['noCandidate? no', 'candidateBlocked? no', 'yieldTo', 'skipInstruction'])
    expect(machine.counts(0).yields).toBe(1)
    const { scheduler } = machine.hypervisor
    expect(scheduler.preferred).toBe(machine.hypervisor.vcpu(1))
    go(machine, 'vcpu0', () => isReady(machine, PREEMPT))
    happen(machine, PREEMPT)
    goTo(machine, 'vcpu0', 'giveUpCpu')
    goTo(machine, 'vcpu1', 'gets cpu0')
    expect(scheduler.preferred).toBe(0)
  })

  it('to a vCPU that runs changes nothing', () => {
    const machine = spinning(2, (guest) => guest.hvc())
    goTo(machine, 'vcpu0', 'hvc')
    expect(machine.counts(0).yields).toBe(1)
    expect(machine.hypervisor.scheduler.preferred).toBe(0)
  })

  it('passes over one that sleeps and has nothing to run for', () => {
    const machine = spinning(2, (guest) => guest.wfi())
    go(machine, 'vcpu1')
    const events = goTo(machine, 'vcpu0', 'hvc')
    expect(scan(events)).toEqual([
      'noCandidate? no',
      'candidateBlocked? yes',
      'dyRunnable? no',
      'noCandidate? yes',
      'skipInstruction',
    ])
    expect(machine.counts(0).yields).toBe(0)
  })

  it('finds one that is about to sleep with an interrupt pending runnable', () => {
    const machine = spinning(2, (guest) => guest.wfi())
    goTo(machine, 'vcpu1', 'setSleeping')
    // The interrupt is queued, and its request and kick are still to come.
    go(machine, 'uart', undefined, 1)
    const events = goTo(machine, 'vcpu0', 'hvc')
    expect(scan(events)).toContain('dyRunnable? yes')
    expect(machine.counts(0).yields).toBe(1)
  })

  it('passes over one that is off', () => {
    const machine = spinning(2, (guest) => guest.hvc())
    go(machine, 'vcpu1')
    const events = goTo(machine, 'vcpu0', 'hvc')
    expect(scan(events)).toEqual(['noCandidate? yes', 'skipInstruction'])
  })

  it('of a single vCPU finds nobody', () => {
    const run = scenario('alone')
      .guest(0, (guest) => guest.wfe().wfe())
      .run()
    expect(scan(run.events)).toEqual(['noCandidate? yes', 'skipInstruction'])
    expect(exits(run)).toEqual(['wfe', 'off'])
  })

  it('looks at each of the others once before it gives up', () => {
    const s = scenario('many').vm({ vcpus: 5 })
    for (const vcpu of [0, 1, 3, 4]) s.guest(vcpu, (guest) => guest.wfi())
    const machine = s.guest(2, (guest) => guest.wfe().wfe().hvc()).machine()
    for (const vcpu of [0, 1, 3, 4]) go(machine, `vcpu${vcpu}`)
    const events = goTo(machine, 'vcpu2', 'hvc')
    expect(scan(events).filter((what) => what === 'dyRunnable? no')).toHaveLength(4)
  })
})
