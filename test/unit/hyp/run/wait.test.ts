/** Other ways to wait and to leave the guest: WFET, PSCI CPU_SUSPEND, userspace, signals; and halt polling. */
import { ICC_CTLR_EL1, ICC_PMR_EL1, ICC_RPR_EL1 } from 'vgic'
import {
  designs,
  type GuestBuilder,
  kvm61,
  type Run,
  type Scenario,
  type ScenarioMachine,
  type StepEvent,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { VCPU_POLL_WINDOW } from '../../../../src/hyp/records/vcpu.ts'
import { allDesigns } from '../../../kit/designs.ts'
import { acknowledged, exits, fire, go, goTo, isReady } from '../../../kit/driving.ts'
import { GICD } from '../../../kit/frames.ts'
import { EOI_MODE_1, handle } from '../../../kit/guest-lists.ts'

/** Steps of a place, and of those within it. */
const stepsAt = (run: Pick<Run, 'events'>, place: string): string[] =>
  run.events.filter((event) => event.place.split('/')[0] === place).map(({ what }) => what)

describe('PSCI CPU_SUSPEND', () => {
  const wait = (instruction: 'wfi' | 'suspend', s = scenario('wait')): Scenario =>
    s.spi({ intid: 40 }).guest(0, (guest) => guest.onIrq(handle).unmask()[instruction]().hvc())
  const fired = (s: Scenario): Run => s.device('uart', (device) => device.pulse(40)).run()

  it.each(allDesigns)('sleeps and is woken as a WFI does, step by step: $name', ({ design }) => {
    const [wfi, suspend] = [fired(wait('wfi').design(design)), fired(wait('suspend').design(design))]
    expect(suspend.acknowledged(0)).toEqual([40])
    expect(suspend.counts(0)).toEqual(wfi.counts(0))
    expect(exits(suspend)).toEqual(['suspend', 'hvc', 'off'])
    expect(stepsAt(suspend, 'suspend')).toEqual(
      stepsAt(wfi, 'wfi').filter((what) => what !== 'skipInstruction'),
    )
    expect(stepsAt(wfi, 'wfi')).toContain('sleep')
  })

  it('exits even with an interrupt pending, and does not sleep then', () => {
    const run = scenario('pending')
      .guest(0, (guest) =>
        guest
          .sgi({ intid: 1, vcpus: [0] })
          .suspend()
          .ack(),
      )
      .run()
    expect(exits(run)).toEqual(['sysreg', 'suspend', 'off'])
    expect(run.counts(0).sleeps).toBe(0)
    expect(run.acknowledged(0)).toEqual([1])
  })
})

describe('a halting vCPU with an interrupt on its list', () => {
  const asked = (events: readonly StepEvent[]): string[] =>
    events.map(({ what }) => what).filter((what) => what.startsWith('runnable'))

  it.each([
    { priority: 0x78, sleeps: 0 },
    { priority: 0x80, sleeps: 1 },
    { priority: 0x88, sleeps: 1 },
  ])('of priority $priority and a mask of 0x80 sleeps $sleeps times', ({ priority, sleeps }) => {
    for (const { design } of allDesigns) {
      const run = scenario('equal priority')
        .design(design)
        .spi({ intid: 40, priority })
        .guest(0, (guest) => guest.priorityMask(0x80).suspend().priorityMask(0xf0).ack())
        .device('uart', (device) => device.at(0).pulse(40))
        .device('later', (device) => device.signal())
        .run()
      expect(run.counts(0).sleeps, design.name).toBe(sleeps)
      expect(run.acknowledged(0)).toEqual([40])
    }
  })

  it('is not runnable while the distributor is off, though nobody has taken the interrupt off it (kvm61)', () => {
    const machine = scenario('switched off')
      .design(kvm61(designs.wfiHandler))
      .vm({ vcpus: 2 })
      .spi({ intid: 40, vcpu: 1 })
      .guest(0, (guest) => guest.writeMmio(GICD, 0))
      .guest(1, (guest) => guest.onIrq(handle).unmask().wfi())
      .device('uart', (device) => device.pulse(40))
      .machine()
    goTo(machine, 'vcpu1', 'exitReason? wfi')
    fire(machine, 'uart')
    go(machine, 'vcpu0')
    const events = go(machine, 'vcpu1')
    expect(asked(events)).toEqual(['runnable? no'])
    expect(isReady(machine, 'vcpu1')).toBe(false)
    expect(acknowledged(events)).toEqual([])
  })
})

describe('a WFET', () => {
  it('is a WFE: completes with the event register set, and else exits and goes on', () => {
    const run = scenario('WFET')
      .guest(0, (guest) => guest.wfet().wfet().sev().wfet())
      .run()
    expect(exits(run)).toEqual(['wfe', 'off'])
    expect(run.end).toBe('done')
    expect(run.counts(0).sleeps).toBe(0)
  })
})

describe('an exit to userspace', () => {
  it('puts before it, and loads when KVM_RUN is called again', () => {
    const run = scenario('userspace')
      .guest(0, (guest) => guest.userspace().hvc())
      .run()
    expect(stepsAt(run, 'userspace')).toEqual([
      'preemptOff',
      'timerPut',
      'put',
      'preemptOn',
      'userspace',
      'skipInstruction',
      'preemptOff',
      'load',
      'trapDir',
      'timerLoad',
      'preemptOn',
    ])
    expect(exits(run)).toEqual(['userspace', 'hvc', 'off'])
  })

  it.each(allDesigns)('brings the guest’s CPU interface back as it was: $name', ({ design }) => {
    const run = scenario('state')
      .design(design)
      .guest(0, (guest) =>
        guest
          .write(ICC_CTLR_EL1, EOI_MODE_1)
          .priorityMask(0xb0)
          .sgi({ intid: 1, vcpus: [0] })
          .ack()
          .userspace()
          .poll(ICC_PMR_EL1, 0xff, 0xb0)
          .poll(ICC_RPR_EL1, 0xff, 0xa0)
          .poll(ICC_CTLR_EL1, EOI_MODE_1, EOI_MODE_1)
          .eoi()
          .poll(ICC_RPR_EL1, 0xff, 0xff),
      )
      .run({ steps: 1000 })
    expect(run.end).toBe('done')
  })

  it.each(allDesigns)(
    'loses no interrupt that is raised between any two steps around it: $name',
    ({ design }) => {
      const s = scenario('every moment')
        .design(design)
        .spi({ intid: 40 })
        .guest(0, (guest) => guest.onIrq(handle).unmask().userspace().read(ICC_PMR_EL1).wfi())
        .device('uart', (device) => device.pulse(40))
      const machine = s.machine()
      const total = go(machine, 'vcpu0').length
      const start = s.machine().snapshot()
      for (let moment = 0; moment <= total; moment++) {
        machine.restore(start)
        const events = go(machine, 'vcpu0', undefined, moment)
        fire(machine, 'uart')
        events.push(...go(machine, 'vcpu0'))
        expect(acknowledged(events), `raised after ${moment} steps`).toEqual([40])
      }
    },
  )
})

describe('a signal', () => {
  const signalled = (write: Parameters<Scenario['guest']>[1]): ScenarioMachine =>
    scenario('signal')
      .spi({ intid: 40 })
      .guest(0, write)
      .device('vmm', (device) => device.signal(0))
      .device('uart', (device) => device.pulse(40))
      .machine()
  const returns = (events: readonly { place: string; what: string }[]): string[] =>
    events.filter(({ place }) => place === 'signal').map(({ what }) => what)
  const around = [
    'preemptOff',
    'timerPut',
    'put',
    'preemptOn',
    'userspace',
    'preemptOff',
    'load',
    'trapDir',
    'timerLoad',
    'preemptOn',
  ]

  it('kicks a vCPU out of its guest, which returns to userspace once', () => {
    const machine = signalled((guest) => guest.loop(20, (list) => list.read(ICC_PMR_EL1)).hvc())
    goTo(machine, 'vcpu0', 'read ICC_PMR_EL1')
    const [event] = go(machine, 'vmm')
    expect(event.what).toBe('signals vcpu0')
    const events = go(machine, 'vcpu0')
    expect(events[0].what).toBe('interrupted by a kick -> exit (irq)')
    expect(returns(events)).toEqual(around)
    expect(machine.stateOf(machine.actors[0])).toBe('done')
  })

  it.each(allDesigns)('ends a halt; the WFI is over when the guest comes back: $name', ({ design }) => {
    const machine = scenario('signal')
      .design(design)
      .guest(0, (guest) => guest.wfi().hvc())
      .device('vmm', (device) => device.signal(0))
      .machine()
    go(machine, 'vcpu0')
    expect(isReady(machine, 'vcpu0')).toBe(false)
    go(machine, 'vmm')
    const events = go(machine, 'vcpu0')
    expect(returns(events)).toEqual(around)
    expect(machine.counts(0).sleeps).toBe(1)
    expect(machine.stateOf(machine.actors[0])).toBe('done')
  })

  it('before the first step of the thread is seen before the first entry', () => {
    const machine = signalled((guest) => guest.hvc())
    go(machine, 'vmm')
    const events = go(machine, 'vcpu0')
    expect(returns(events)).toEqual(around)
    const told = events.map(({ what }) => what)
    expect(told.indexOf('userspace')).toBeLessThan(told.indexOf('enters the guest'))
  })

  it.each(allDesigns)('between any two steps is not lost: $name', ({ design }) => {
    const writes: readonly ((guest: GuestBuilder) => unknown)[] = [
      (guest) =>
        guest
          .hvc()
          .loop(30, (list) => list.read(ICC_PMR_EL1))
          .hvc(),
      (guest) => guest.wfi().hvc(),
    ]
    for (const write of writes) {
      const s = scenario('every moment').design(design).guest(0, write)
      const machine = s.device('vmm', (device) => device.signal(0)).machine()
      const start = machine.snapshot()
      const steps = go(machine, 'vcpu0').map(({ what }) => what)
      // A guest that is done does not come back to look.
      const off = steps.findIndex((what) => what.endsWith('exit (off)'))
      const total = off < 0 ? steps.length : off - 1
      for (let moment = 0; moment <= total; moment++) {
        machine.restore(start)
        go(machine, 'vcpu0', undefined, moment)
        go(machine, 'vmm')
        const told = go(machine, 'vcpu0').map(({ what }) => what)
        expect(told, `signalled after ${moment} steps`).toContain('userspace')
      }
    }
  })

  it('loses no interrupt that comes with it', () => {
    for (const order of [
      ['vmm', 'uart'],
      ['uart', 'vmm'],
    ]) {
      const machine = signalled((guest) => guest.onIrq(handle).unmask().wfi())
      go(machine, 'vcpu0')
      for (const device of order) go(machine, device)
      expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
    }
  })
})

describe('halt polling', () => {
  const polling = { limit: 200, growStart: 10, grow: 3, shrink: 2 }
  /** A vCPU that waits again and again. */
  const waits = (haltPolling: Partial<typeof polling>, halts = 40): ScenarioMachine =>
    scenario('halt polling')
      .vm({ vcpus: 1, haltPolling })
      .spi({ intid: 40 })
      .guest(0, (guest) => {
        guest.onIrq(handle).unmask()
        return guest.loop(halts, (list) => list.wfi())
      })
      .device('uart', (device) => {
        for (let i = 0; i < halts; i++) device.pulse(40)
      })
      .machine()
  const window = ({ hypervisor }: ScenarioMachine): number =>
    hypervisor.words[hypervisor.vcpu(0) + VCPU_POLL_WINDOW]
  /** One halt from the WFI on that sleeps before it is woken, and `late` ticks longer; the window after it. */
  function halt(machine: ScenarioMachine, late = 0): number {
    go(machine, 'vcpu0')
    expect(isReady(machine, 'vcpu0')).toBe(false)
    machine.passTime(machine.time + late)
    fire(machine, 'uart')
    goTo(machine, 'vcpu0', 'pollEnd')
    return window(machine)
  }
  /** The vCPU polls, and the interrupt comes before its `look`-th look. */
  function successful(machine: ScenarioMachine, look: number): string[] {
    goTo(machine, 'vcpu0', 'pollBegin')
    for (let i = 1; i < look; i++) goTo(machine, 'vcpu0', 'pollAgain? yes')
    fire(machine, 'uart')
    return goTo(machine, 'vcpu0', 'pollEnd').map(({ what }) => what)
  }

  it('is off unless asked for', () => {
    const machine = waits({})
    expect([halt(machine), halt(machine)]).toEqual([0, 0])
    expect(machine.counts(0)).toMatchObject({ sleeps: 2, pollsAttempted: 0, pollsSuccessful: 0 })
  })

  it('begins with growStart after a short halt, and grows by its factor', () => {
    const machine = waits({ ...polling, limit: 1000 })
    expect([halt(machine), halt(machine), halt(machine)]).toEqual([10, 30, 90])
    expect(machine.counts(0)).toMatchObject({ sleeps: 3, pollsAttempted: 2, pollsSuccessful: 0 })
  })

  it('is capped by the limit', () => {
    const machine = waits({ ...polling, grow: 100 })
    expect([halt(machine), halt(machine)]).toEqual([10, 200])
  })

  it('does not begin after a long halt', () => {
    expect(halt(waits(polling), 1000)).toBe(0)
  })

  it('shrinks after a long one, to nothing below growStart', () => {
    const machine = waits({ ...polling, limit: 1000, grow: 5 })
    expect([halt(machine), halt(machine), halt(machine)]).toEqual([10, 50, 250])
    expect([2000, 2000, 2000, 2000, 2000].map((late) => halt(machine, late))).toEqual([125, 62, 31, 15, 0])
  })

  it('with shrink 0 shrinks to nothing at once', () => {
    const machine = waits({ ...polling, limit: 1000, shrink: 0 })
    expect([halt(machine), halt(machine), halt(machine, 2000)]).toEqual([10, 30, 0])
  })

  it('looks as often as the window says before it sleeps', () => {
    const machine = waits({ ...polling, limit: 1000 })
    halt(machine)
    const events = go(machine, 'vcpu0')
    const looks = events.filter(({ what }) => what === 'pollAgain? yes')
    expect(looks).toHaveLength(10)
    expect(events.filter(({ what }) => what === 'pollAgain? no')).toHaveLength(1)
    expect(machine.cost().find(({ exit }) => exit === 'wfi')?.polls).toBe(10)
  })

  it.each([1, 5, 9, 10])('succeeds when the interrupt comes before look %i: no sleep, no growth', (look) => {
    const machine = waits(polling)
    halt(machine)
    const steps = successful(machine, look)
    expect(steps).toContain('runnable? yes')
    expect(steps).not.toContain('sleep')
    expect(machine.counts(0)).toMatchObject({ sleeps: 1, pollsAttempted: 1, pollsSuccessful: 1 })
    expect(window(machine)).toBe(10)
    expect(acknowledged(goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1'))).toEqual([40])
  })

  it.each(allDesigns)('loses no interrupt that comes between any two steps: $name', ({ design }) => {
    const s = scenario('every moment')
      .design(design)
      .vm({ vcpus: 1, haltPolling: { limit: 100, growStart: 3 } })
      .spi({ intid: 40 })
      .spi({ intid: 41, priority: 0xf0 })
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi().wfi())
      .device('uart', (device) => device.pulse(40).pulse(40))
    const machine = s.machine()
    go(machine, 'vcpu0')
    fire(machine, 'uart')
    const start = machine.snapshot()
    const total = go(machine, 'vcpu0').length
    expect(machine.counts(0).pollsAttempted).toBe(1)
    for (let moment = 0; moment <= total; moment++) {
      machine.restore(start)
      const events = go(machine, 'vcpu0', undefined, moment)
      const taken = acknowledged(events).length
      fire(machine, 'uart')
      events.push(...go(machine, 'vcpu0'))
      // An edge that comes before the first one is acknowledged is merged with it.
      expect(acknowledged(events), `raised after ${moment} steps`).toEqual(taken === 0 ? [40] : [40, 40])
    }
  })
})
