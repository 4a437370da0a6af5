/**
 * No wake-up is lost: machines driven by hand, with the interrupt raised between every two steps of the vCPU
 * that may be about to sleep.
 */
import { ICC_PMR_EL1 } from 'vgic'
import {
  type Actor,
  designs,
  type GuestBuilder,
  type Scenario,
  type ScenarioMachine,
  type StepEvent,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { handle } from '../../kit/guest-lists.ts'

function actor(machine: ScenarioMachine, name: string): Actor {
  const found = machine.actors.find((candidate) => candidate.name === name)
  if (!found) throw new Error(`no actor ${name}`)
  return found
}

/** Takes steps of an actor until it cannot go on, or `count` of them. */
function go(machine: ScenarioMachine, name: string, count = 2000): StepEvent[] {
  const who = actor(machine, name)
  const events: StepEvent[] = []
  while (events.length < count && machine.stateOf(who) === 'ready') events.push(machine.trace(who))
  return events
}

const acknowledged = (events: readonly StepEvent[]): number[] =>
  events.flatMap((event) => (event.acknowledged === undefined ? [] : [event.acknowledged]))

/** One injection of a device: it queues the interrupt, posts the request and kicks. */
const fire = (machine: ScenarioMachine, name: string): StepEvent[] => go(machine, name, 3)

/** How many steps vCPU 0 takes until it sleeps with nobody disturbing it. */
const stepsToSleep = (s: Scenario): number => go(s.machine(), 'vcpu0').length

const waits = (guest: GuestBuilder): GuestBuilder => guest.onIrq(handle).unmask().wfi()

describe('a wake-up between announcing the sleep and sleeping', () => {
  /** vCPU 0 has announced that it will sleep, has looked for the last time, and is about to. */
  function aboutToSleep(): { machine: ScenarioMachine; vcpu0: Actor } {
    const machine = scenario('about to sleep')
      .spi({ intid: 40 })
      .spi({ intid: 41, priority: 0xf0 })
      .guest(0, waits)
      .device('uart', (device) => device.pulse(40))
      .device('masked', (device) => device.pulse(41))
      .machine()
    const vcpu0 = actor(machine, 'vcpu0')
    const start = machine.snapshot()
    const steps = go(machine, 'vcpu0').map(({ what }) => what)
    const asleep = ['sleep', 'put', 'giveUpCpu']
    expect(steps.slice(-5)).toEqual(['setSleeping', 'runnable? no', ...asleep])
    machine.restore(start)
    go(machine, 'vcpu0', steps.length - asleep.length)
    return { machine, vcpu0 }
  }

  it('is not lost: the thread goes on without sleeping', () => {
    const { machine, vcpu0 } = aboutToSleep()
    go(machine, 'uart')
    expect(machine.stateOf(vcpu0)).toBe('ready')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
    expect(machine.counts(0).sleeps).toBe(0)
    expect(machine.stateOf(vcpu0)).toBe('done')
  })

  it.each([1, 2, 3])('nor while the thread sleeps, after %i steps of that', (steps) => {
    const { machine, vcpu0 } = aboutToSleep()
    go(machine, 'vcpu0', steps)
    expect(machine.stateOf(vcpu0)).toBe(steps === 3 ? 'asleep' : 'ready')
    go(machine, 'uart')
    expect(machine.stateOf(vcpu0)).toBe('ready')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
    expect(machine.stateOf(vcpu0)).toBe('done')
  })

  it('that the guest’s mask does not admit makes it look again, and sleep', () => {
    const { machine, vcpu0 } = aboutToSleep()
    go(machine, 'masked')
    const steps = go(machine, 'vcpu0').map(({ what }) => what)
    expect(steps).toEqual(['sleep', 'setSleeping', 'runnable? no', 'sleep', 'put', 'giveUpCpu'])
    expect(machine.stateOf(vcpu0)).toBe('asleep')
  })

  it('just after the announcement is seen by the last look', () => {
    const machine = scenario('last look')
      .spi({ intid: 40 })
      .guest(0, waits)
      .device('uart', (device) => device.pulse(40))
      .machine()
    const vcpu0 = actor(machine, 'vcpu0')
    const start = machine.snapshot()
    const announced = go(machine, 'vcpu0').findIndex(({ what }) => what === 'setSleeping')
    machine.restore(start)
    go(machine, 'vcpu0', announced + 1)
    go(machine, 'uart')
    expect(machine.trace(vcpu0).what).toBe('runnable? yes')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
    expect(machine.counts(0).sleeps).toBe(0)
  })
})

describe('an interrupt raised between any two steps of the vCPU', () => {
  const guests: readonly { name: string; guest: (guest: GuestBuilder) => GuestBuilder }[] = [
    { name: 'that waits', guest: waits },
    { name: 'that exits before it waits', guest: (guest) => waits(guest.hvc()) },
    { name: 'that sends itself an SGI', guest: (guest) => waits(guest.sgi({ intid: 3, vcpus: [0] })) },
    { name: 'that waits with interrupts masked', guest: (guest) => guest.onIrq(handle).wfi().unmask().wfi() },
    { name: 'that computes', guest: (guest) => waits(guest.loop(5, (list) => list.read(ICC_PMR_EL1))) },
    { name: 'that waits for an event', guest: (guest) => waits(guest.wfe().wfe()) },
    {
      name: 'that enables group 1 late',
      guest: (guest) => waits(guest.enableGroup(1, false).hvc().enableGroup(1)),
    },
    {
      name: 'that opens its mask late',
      guest: (guest) => waits(guest.priorityMask(0x20).hvc().priorityMask(0xf0)),
    },
  ]

  it.each(guests)('$name is delivered exactly once', ({ guest }) => {
    const s = scenario('every moment')
      .spi({ intid: 40 })
      .guest(0, guest)
      .device('uart', (device) => device.pulse(40))
    for (let moment = 0; moment <= stepsToSleep(s); moment++) {
      const machine = s.machine()
      const events = go(machine, 'vcpu0', moment)
      go(machine, 'uart')
      events.push(...go(machine, 'vcpu0'))
      expect(
        acknowledged(events).filter((intid) => intid === 40),
        `raised after ${moment} steps`,
      ).toEqual([40])
    }
  })

  it.each([
    { kind: 'a level SPI', intid: 40 },
    { kind: 'a level PPI', intid: 27 },
  ])('as $kind that its handler lowers is delivered exactly once', ({ intid }) => {
    const s = scenario('every moment, level')
      .spi({ intid: 40, trigger: 'level' })
      .ppi({ intid: 27 })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().quiesce(intid).eoi())
          .hvc()
          .unmask()
          .wfi(),
      )
      .device('board', (device) => device.raise(intid))
    for (let moment = 0; moment <= stepsToSleep(s); moment++) {
      const machine = s.machine()
      const events = go(machine, 'vcpu0', moment)
      go(machine, 'board')
      events.push(...go(machine, 'vcpu0'))
      expect(acknowledged(events), `raised after ${moment} steps`).toEqual([intid])
    }
  })

  it('with a second one between any two later steps: both are delivered, equal ones once or twice', () => {
    const s = scenario('two moments')
      .gic({ listRegisters: 2 })
      .spi({ intid: 40 })
      .spi({ intid: 41, priority: 0x40 })
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi().wfi())
      .device('uart', (device) => device.pulse(40).pulse(40))
      .device('disk', (device) => device.pulse(41))
    const machine = s.machine()
    const start = machine.snapshot()
    for (const second of ['uart', 'disk']) {
      for (let first = 0; first <= stepsToSleep(s); first++) {
        machine.restore(start)
        const events = go(machine, 'vcpu0', first)
        fire(machine, 'uart')
        for (;;) {
          const moment = machine.snapshot()
          const before = acknowledged(events)
          fire(machine, second)
          const all = acknowledged([...events, ...go(machine, 'vcpu0')])
          // An edge is merged with another one only while that waits to be acknowledged.
          const expected = second === 'disk' ? [40, 41] : before.length === 0 ? [40] : [40, 40]
          expect(all.sort(), `${second} after ${first}, then ${machine.time}`).toEqual(expected)
          machine.restore(moment)
          const further = go(machine, 'vcpu0', 1)
          if (further.length === 0) break
          events.push(...further)
        }
      }
    }
  })
})

describe('an SGI sent between any two steps of its target', () => {
  const s = scenario('SGI at every moment')
    .vm({ vcpus: 2 })
    .guest(0, waits)
    .guest(1, (guest) => guest.sgi({ intid: 6, vcpus: [0] }))

  it('is delivered exactly once', () => {
    for (let moment = 0; moment <= stepsToSleep(s); moment++) {
      const machine = s.machine()
      const events = go(machine, 'vcpu0', moment)
      go(machine, 'vcpu1')
      events.push(...go(machine, 'vcpu0'))
      expect(acknowledged(events), `sent after ${moment} steps`).toEqual([6])
      expect(machine.stateOf(actor(machine, 'vcpu1'))).toBe('done')
    }
  })

  it('is delivered exactly once however far the sender has come before', () => {
    const senderSteps = go(s.machine(), 'vcpu1').length
    for (let sender = 0; sender <= senderSteps; sender++) {
      for (let moment = 0; moment <= stepsToSleep(s); moment++) {
        const machine = s.machine()
        go(machine, 'vcpu1', sender)
        const events = go(machine, 'vcpu0', moment)
        go(machine, 'vcpu1')
        events.push(...go(machine, 'vcpu0'))
        expect(acknowledged(events), `sender ${sender}, target ${moment}`).toEqual([6])
      }
    }
  })
})

describe('an injection whose steps lie apart', () => {
  /** Takes silent steps of an actor: all it can, or `count`. */
  function run(machine: ScenarioMachine, name: string, count = 2000): void {
    const who = actor(machine, name)
    for (let i = 0; i < count && machine.stateOf(who) === 'ready'; i++) machine.step(who)
  }

  it.each(Object.entries(designs))('wakes a vCPU wherever that is between two of them: %s', (_, design) => {
    const s = scenario('three steps')
      .design(design)
      .spi({ intid: 40 })
      .guest(0, (guest) => handle(guest.wfi()))
      .device('uart', (device) => device.pulse(40))
    const machine = s.machine()
    const start = machine.snapshot()
    const total = stepsToSleep(s)
    for (let queued = 0; queued <= total; queued++) {
      for (let posted = 0; posted <= 8; posted++) {
        for (let kicked = 0; kicked <= 8; kicked++) {
          machine.restore(start)
          run(machine, 'vcpu0', queued)
          run(machine, 'uart', 1)
          run(machine, 'vcpu0', posted)
          run(machine, 'uart', 1)
          run(machine, 'vcpu0', kicked)
          run(machine, 'uart', 1)
          run(machine, 'vcpu0')
          const state = machine.stateOf(actor(machine, 'vcpu0'))
          if (state !== 'done') expect(state, `queued after ${queued}, ${posted}, ${kicked}`).toBe('done')
        }
      }
    }
  })
})
