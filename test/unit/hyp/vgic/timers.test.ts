/** The guest's timers: expiry in the guest, at EL2, while blocked and while preempted; and WFIT's timeout. */
import { ICC_EOIR1_EL1, ICC_PMR_EL1, ISR_EL1 } from 'vgic'
import {
  type Design,
  designs,
  edit,
  type GuestBuilder,
  kvm61,
  kvm72,
  type Scenario,
  type ScenarioMachine,
  scenario,
  steps,
  type TimerName,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { allDesigns } from '../../../kit/designs.ts'
import { acknowledged, exits, fire, go, goTo, happen, isReady, physicalActive } from '../../../kit/driving.ts'
import { ICACTIVER, ICPENDR, ISACTIVER, ISPENDR, sgiBase } from '../../../kit/frames.ts'
import { handle, ISR_I, self } from '../../../kit/guest-lists.ts'
import { vmOf } from '../../../kit/vm.ts'

const timers = [
  { which: 'virtual', intid: 27 },
  { which: 'physical', intid: 30 },
] as const

/** A vCPU whose handler turns the timer off. */
const timed = (
  which: TimerName,
  write: (guest: GuestBuilder) => unknown,
  design: Design = designs.wfiFullPut,
) =>
  scenario('timer')
    .design(design)
    .vm({ vcpus: 1, timers: true })
    .guest(0, (guest) => write(guest.onIrq((handler) => handler.ack().stopTimer(which).eoi())))

const busy = (guest: GuestBuilder, rounds = 20) => guest.loop(rounds, (list) => list.read(ICC_PMR_EL1))
const expire = (machine: ScenarioMachine, which: TimerName) => happen(machine, `${which} timer of vcpu0`)
const isArmed = (machine: ScenarioMachine, which: TimerName) => isReady(machine, `${which} timer of vcpu0`)

describe.each(timers)('the $which timer', ({ which, intid }) => {
  it('that expires in the guest makes it exit, and comes as its PPI', () => {
    const run = timed(which, (guest) => busy(guest.unmask().timer(10, which))).run()
    expect(run.acknowledged(0)).toEqual([intid])
    expect(exits(run)).toEqual(['irq: its timer', 'off'])
    expect(run.end).toBe('done')
  })

  it('expires no sooner than it was set to', () => {
    const run = timed(which, (guest) => busy(guest.unmask().timer(10, which))).run()
    const at = (what: string) => run.events.find((event) => event.what === what)?.time ?? 0
    const name = `${which} timer of vcpu0`
    expect(at(name) - at(`${which} timer in 10`)).toBeGreaterThanOrEqual(10)
  })

  it('that expires while the vCPU is blocked wakes it by the background timer', () => {
    const run = timed(which, (guest) => guest.unmask().timer(500, which).wfi()).run()
    expect(run.acknowledged(0)).toEqual([intid])
    expect(run.counts(0).sleeps).toBe(1)
    expect(exits(run)).toEqual(['wfi', 'off'])
    expect(run.end).toBe('done')
  })

  it('that expires while the vCPU is preempted is noticed by its next load', () => {
    const machine = timed(which, (guest) => busy(guest.unmask().timer(10, which).hvc())).machine()
    goTo(machine, 'vcpu0', 'exitReason? hvc')
    happen(machine, 'preempt vcpu0')
    goTo(machine, 'vcpu0', 'giveUpCpu')
    expire(machine, which)
    const events = go(machine, 'vcpu0')
    expect(acknowledged(events)).toEqual([intid])
    expect(exits({ events })).toEqual(['off'])
  })

  it('wakes a vCPU whose masks are set: its WFI ends, and nothing is taken (W13, W14)', () => {
    const run = timed(which, (guest) => guest.timer(20, which).wfi().poll(ISR_EL1, ISR_I, ISR_I)).run({
      steps: 1000,
    })
    expect(run.end).toBe('done')
    expect(run.acknowledged(0)).toEqual([])
  })

  it('is not taken when it is turned off after the host took it, before the guest did', () => {
    const machine = timed(which, (guest) =>
      guest.timer(10, which).read(ICC_PMR_EL1).stopTimer(which).hvc().unmask().hvc(),
    ).machine()
    goTo(machine, 'vcpu0', `${which} timer in 10`)
    expire(machine, which)
    goTo(machine, 'vcpu0', 'read ICC_PMR_EL1')
    expect(physicalActive(machine, intid)).toBe(true)
    const events = go(machine, 'vcpu0')
    expect(events.map(({ what }) => what)).not.toContain('takes a virtual IRQ')
    expect(physicalActive(machine, intid)).toBe(false)
    expect(machine.stateOf(machine.actors[0])).toBe('done')
  })

  it('is not taken when it is turned off before its interrupt got into a list register', () => {
    const machine = timed(which, (guest) =>
      guest.timer(10, which).hvc().unmask().stopTimer(which).hvc().ack(),
    )
      .ppi({ intid, priority: 0xf8, enabled: false })
      .machine()
    goTo(machine, 'vcpu0', `${which} timer in 10`)
    expire(machine, which)
    goTo(machine, 'vcpu0', `${which} timer off`)
    expect(physicalActive(machine, intid)).toBe(true)
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([1023])
    expect(physicalActive(machine, intid)).toBe(false)
  })

  it('with kvm61 still counts if it waits behind four active ones then: there it is sampled at a load', () => {
    const turnedOff = (design: Design, between: (guest: GuestBuilder) => unknown) => {
      const s = timed(
        which,
        (guest) => {
          for (const sgi of [1, 2, 3, 4]) guest.sgi(self(sgi)).ack()
          between(guest.timer(0, which).hvc().stopTimer(which).hvc())
          for (const sgi of [4, 3, 2]) guest.write(ICC_EOIR1_EL1, sgi)
          guest.ack()
        },
        design,
      ).ppi({ intid, priority: 0x20 })
      for (const sgi of [1, 2, 3, 4]) s.sgi({ intid: sgi, priority: 0xf0 - 0x10 * sgi })
      const machine = s.machine()
      goTo(machine, 'vcpu0', `${which} timer in 0`)
      expire(machine, which)
      return acknowledged(go(machine, 'vcpu0')).slice(-1)
    }
    const old = kvm61(designs.wfiHandler)
    const withSync = edit(old).insertBefore('exit/irqOn', steps.timerSync).design('with timerSync')
    const stays = (guest: GuestBuilder) => guest
    expect(turnedOff(old, stays)).toEqual([intid])
    expect(turnedOff(old, (guest) => guest.userspace())).toEqual([1023])
    expect(turnedOff(withSync, stays)).toEqual([1023])
  })

  it('does not expire once it is turned off', () => {
    const machine = timed(which, (guest) => guest.timer(10, which).stopTimer(which).hvc()).machine()
    goTo(machine, 'vcpu0', `${which} timer in 10`)
    expect(isArmed(machine, which)).toBe(true)
    goTo(machine, 'vcpu0', `${which} timer off`)
    expect(isArmed(machine, which)).toBe(false)
  })

  it('can be set again in its handler, and comes again', () => {
    const run = scenario('periodic')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().timer(300, which).eoi())
          .unmask()
          .timer(300, which)
          .loop(5, (list) => list.wfi())
          .mask()
          .stopTimer(which),
      )
      .run()
    expect(run.acknowledged(0)).toEqual([intid, intid, intid, intid, intid])
    expect(run.counts(0).sleeps).toBe(5)
    expect(run.end).toBe('done')
  })

  it.each(allDesigns)('that expires between any two steps comes once: $name', ({ design }) => {
    const s = timed(which, (guest) => busy(guest.unmask().timer(1000, which).hvc(), 3).wfi(), design)
    const machine = s.machine()
    const armed = goTo(machine, 'vcpu0', `${which} timer in 1000`).length
    const total = armed + go(machine, 'vcpu0').length
    expect(isReady(machine, 'vcpu0')).toBe(false)
    const start = s.machine().snapshot()
    for (let moment = armed; moment <= total; moment++) {
      machine.restore(start)
      const events = go(machine, 'vcpu0', undefined, moment)
      expire(machine, which)
      events.push(...go(machine, 'vcpu0'))
      expect(acknowledged(events), `expired after ${moment} steps`).toEqual([intid])
      // The WFI that comes after it has nothing to wait for.
      const before = events.findIndex(({ what }) => what === 'takes a virtual IRQ')
      const waits = events.findIndex(({ what }) => what === 'wfi -> exit (wfi)')
      const slept = waits < 0 || before < waits ? 'asleep' : 'done'
      expect(machine.stateOf(machine.actors[0]), `expired after ${moment} steps`).toBe(slept)
      expect(physicalActive(machine, intid)).toBe(false)
    }
  })
})

describe('both timers', () => {
  it('come in the order in which they expire', () => {
    const run = scenario('both')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) =>
        busy(
          guest
            .onIrq((handler) => handler.ack().stopTimer('virtual').stopTimer('physical').eoi())
            .unmask()
            .timer(30, 'virtual')
            .timer(10, 'physical'),
          60,
        ),
      )
      .run()
    expect(run.acknowledged(0)).toEqual([30])
  })

  it('wake a blocked vCPU at the earlier of the two', () => {
    const run = timed('physical', (guest) =>
      guest.unmask().timer(5000, 'virtual').timer(1000, 'physical').wfi().stopTimer('virtual'),
    ).run()
    expect(run.acknowledged(0)).toEqual([30])
    expect(run.machine.time).toBeLessThan(3000)
    expect(run.machine.time).toBeGreaterThan(1000)
  })

  it('are each vCPU’s own', () => {
    const s = scenario('two vCPUs').vm({ vcpus: 2, timers: true })
    for (const vcpu of [0, 1]) {
      s.guest(vcpu, (guest) =>
        guest
          .onIrq((handler) => handler.ack().stopTimer().eoi())
          .unmask()
          .timer(vcpu === 0 ? 300 : 900)
          .wfi(),
      )
    }
    const run = s.run()
    expect([run.acknowledged(0), run.acknowledged(1)]).toEqual([[27], [27]])
    const taken = run.events.filter(({ acknowledged: intid }) => intid === 27)
    expect(taken.map(({ actor }) => actor.name)).toEqual(['vcpu0', 'vcpu1'])
    expect(taken[1].time - taken[0].time).toBeGreaterThan(400)
  })
})

describe('physical active states at a load', () => {
  const loads = (s: Scenario): string[] =>
    s
      .run()
      .events.filter(({ what }) => what === 'timerLoad')
      .map(({ accesses }) =>
        accesses
          .filter(({ kind, direction }) => kind === 'mmio' && direction === 'write')
          .map(({ name, low }) => `${name} ${31 - Math.clz32(low)}`)
          .join(', '),
      )

  it('are cleared for timers that are off, and set for one that asserts (W1)', () => {
    const s = timed('virtual', (guest) => guest.unmask().timer(500).wfi(), kvm61(designs.wfiHandler))
    expect(loads(s)).toEqual([
      'GICR_ICACTIVER0 27, GICR_ICACTIVER0 30',
      'GICR_ISACTIVER0 27, GICR_ICACTIVER0 30',
    ])
  })

  it('stays set for one that is off by now, if the guest has its interrupt active', () => {
    const machine = timed('virtual', (guest) => guest.unmask().timer(10).wfi())
      .guest(0, (guest) => guest.timer(10).wfi().ack().stopTimer().hvc().eoi().hvc())
      .machine()
    goTo(machine, 'vcpu0', 'virtual timer in 10')
    go(machine, 'vcpu0')
    expire(machine, 'virtual')
    goTo(machine, 'vcpu0', 'exitReason? hvc')
    happen(machine, 'preempt vcpu0')
    goTo(machine, 'vcpu0', 'timerLoad')
    expect(physicalActive(machine, 27)).toBe(true)
    goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
    expect(physicalActive(machine, 27)).toBe(false)
  })

  it('are not touched for a VM without timers', () => {
    expect(loads(scenario('none').guest(0, (guest) => guest.hvc()))).toEqual([''])
  })
})

describe('a WFIT', () => {
  const waiting = (ticks: number, after: (guest: GuestBuilder) => unknown = (guest) => guest) =>
    scenario('WFIT')
      .spi({ intid: 40 })
      .guest(0, (guest) => after(guest.onIrq(handle).unmask().wfit(ticks)))
  const timeout = 'WFIT timeout of vcpu0'

  it('times out: the guest goes on with nothing pending, in a VM with or without timers', () => {
    for (const present of [true, false]) {
      const run = waiting(700).vm({ vcpus: 1, timers: present }).run()
      expect(run.end).toBe('done')
      expect(run.acknowledged(0)).toEqual([])
      expect(run.counts(0).sleeps).toBe(1)
      expect(run.machine.time).toBeGreaterThan(700)
      expect(exits(run)).toEqual(['wfi', 'off'])
    }
  })

  it.each(allDesigns)('is woken by an interrupt before, and its timeout is no more: $name', ({ design }) => {
    const machine = waiting(100_000, (guest) => guest.wfi())
      .design(design)
      .device('uart', (device) => device.pulse(40))
      .machine()
    go(machine, 'vcpu0')
    expect(isReady(machine, timeout)).toBe(true)
    fire(machine, 'uart')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
    expect(isReady(machine, timeout)).toBe(false)
    expect(isReady(machine, 'vcpu0')).toBe(false)
  })

  it.each(allDesigns)('times out between any two steps once it has begun to wait: $name', ({ design }) => {
    const s = waiting(1000).design(design)
    const machine = s.machine()
    const begun = goTo(machine, 'vcpu0', 'wfit 1000').length
    const total = begun + go(machine, 'vcpu0').length
    const start = s.machine().snapshot()
    for (let moment = begun; moment <= total; moment++) {
      machine.restore(start)
      go(machine, 'vcpu0', undefined, moment)
      happen(machine, timeout)
      go(machine, 'vcpu0')
      expect(machine.stateOf(machine.actors[0]), `timed out after ${moment} steps`).toBe('done')
    }
  })

  it('completes in hardware with an interrupt pending', () => {
    const run = scenario('pending')
      .guest(0, (guest) => guest.sgi({ intid: 1, vcpus: [0] }).wfit(10))
      .run()
    expect(exits(run)).toEqual(['sysreg', 'off'])
  })

  it('waits anew each time', () => {
    const run = scenario('twice')
      .guest(0, (guest) => guest.loop(3, (list) => list.wfit(400)))
      .run()
    expect(run.counts(0).sleeps).toBe(3)
    expect(run.machine.time).toBeGreaterThan(1200)
    expect(run.end).toBe('done')
  })

  it('with a timer that expires before is woken by the timer', () => {
    const run = timed('virtual', (guest) => guest.unmask().timer(300).wfit(9000)).run()
    expect(run.acknowledged(0)).toEqual([27])
    expect(run.machine.time).toBeLessThan(9000)
  })
})

describe('the physical PPI of a timer, when another vCPU writes to the registers of its redistributor', () => {
  it.each([
    { name: 'the library', design: designs.wfiHandler, cpu: 0 },
    { name: 'kvm61', design: kvm61(designs.wfiHandler), cpu: 1 },
    { name: 'kvm72', design: kvm72(designs.wfiFullPut), cpu: 1 },
  ])(
    'is that of CPU $cpu with $name, where Linux takes the CPU that executes the access',
    ({ design, cpu }) => {
      const machine = vmOf({ design, timers: true })
      const actives = (): boolean[] => [0, 1].map((each) => physicalActive(machine, 27, each))
      const only = [0, 1].map((each) => each === cpu)
      machine.enter(0)
      machine.enter(1)
      expect(actives()).toEqual([false, false])
      const write = (offset: number) => machine.writeMmio(1, sgiBase(0) + offset, 4, 1 << 27)
      write(ISPENDR)
      expect(actives()).toEqual(only)
      write(ICPENDR)
      expect(actives()).toEqual([false, false])
      write(ISACTIVER)
      expect(actives()).toEqual(only)
      write(ICACTIVER)
      expect(actives()).toEqual([false, false])
    },
  )

  it('is changed by Linux even while the timer’s vCPU is on no CPU', () => {
    const machine = vmOf({ design: kvm72(designs.wfiFullPut), timers: true })
    machine.preempt(0)
    machine.writeMmio(1, sgiBase(0) + ISACTIVER, 4, 1 << 27)
    expect(physicalActive(machine, 27, 1)).toBe(true)
  })
})
