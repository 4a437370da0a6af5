/**
 * The host's own interrupts come through the modelled GIC: how it sets the GIC up, and what its kicks, its tick, the
 * guest's timers, mapped SPIs and the maintenance interrupt look like there.
 */

import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_PMR_EL1, ICC_SGI1R_EL1 } from 'vgic'
import {
  designs,
  edit,
  ownStep,
  type Scenario,
  type ScenarioMachine,
  type StepEvent,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { sgiHigh, sgiLow } from '../../../../src/gic/distributor/sgi.ts'
import { actor, exits, fire, go, goTo, happen, inGuest, physicalActive } from '../../../kit/driving.ts'
import { SGI_BASE } from '../../../kit/frames.ts'
import { busy, handle } from '../../../kit/guest-lists.ts'
import { explore } from '../../explore/checked.ts'

const KICK = 0
const MAINTENANCE = 25
const TICK = 26
const VIRTUAL_TIMER = 27

const read = ({ hypervisor }: ScenarioMachine, address: number): number =>
  hypervisor.silicon.mmio.read(address, 4)
/** A register of a CPU's redistributor, in its frame SGI_base. */
const readSgiBase = (machine: ScenarioMachine, cpu: number, offset: number): number =>
  read(machine, machine.hypervisor.silicon.mmio.rdBase(cpu) + SGI_BASE + offset)
/** Private interrupts that are pending at a CPU. */
const pending = (machine: ScenarioMachine, cpu = 0): number[] => {
  const bits = readSgiBase(machine, cpu, 0x200)
  return Array.from({ length: 32 }, (_, n) => n).filter((n) => (bits >>> n) & 1)
}
const irqLine = ({ hypervisor: { silicon } }: ScenarioMachine, cpu = 0): boolean =>
  silicon.pcpu.physicalLines(silicon.peOf(cpu)) !== 0

const physicalNames = new Map([
  [ICC_SGI1R_EL1, 'SGI1R'],
  [ICC_IAR1_EL1, 'IAR1'],
  [ICC_EOIR1_EL1, 'EOIR1'],
  [ICC_DIR_EL1, 'DIR'],
])
/** The accesses to the physical CPU interface: `IAR1 27`. */
const physical = (events: readonly StepEvent[]): string[] =>
  events.flatMap(({ accesses }) =>
    accesses.flatMap(({ register, low }) => {
      const name = physicalNames.get(register)
      return name === undefined ? [] : [`${name} ${low}`]
    }),
  )

const running = (): Scenario =>
  scenario('running')
    .spi({ intid: 40 })
    .guest(0, (guest) => busy(guest.onIrq(handle).unmask()))
    .device('uart', (device) => device.pulse(40).pulse(40))

describe('the host sets up the GIC', () => {
  const machine = scenario('boot')
    .gic({ cpus: 3, spis: 64 })
    .vm({ vcpus: 3 })
    .spi({ intid: 40, trigger: 'level', physical: 50, vcpu: 2 })
    .spi({ intid: 41, physical: 51, vcpu: 1 })
    .machine()
  const { config, silicon } = machine.hypervisor

  it.each([0, 1, 2])('of CPU %i: its IPI, the maintenance interrupt, its tick and the timers', (cpu) => {
    const enabled = (1 << KICK) | (1 << MAINTENANCE) | (1 << TICK) | (1 << VIRTUAL_TIMER) | (1 << 30)
    expect(readSgiBase(machine, cpu, 0x100)).toBe(enabled)
    expect(readSgiBase(machine, cpu, 0x80)).toBe(-1)
    expect(readSgiBase(machine, cpu, 0x418)).toBe(0xa0a0a000 | 0)
    expect(read(machine, silicon.mmio.rdBase(cpu) + 0x14)).toBe(0)
    const { systemRegisters } = silicon
    expect(systemRegisters.read(silicon.peOf(cpu), ICC_PMR_EL1, 2)).toBe(0xf0)
  })

  it('and the distributor: mapped SPIs, to the CPUs where their vCPUs begin', () => {
    expect(read(machine, config.gicd) & 3).toBe(2)
    expect(read(machine, config.gicd + 0x104)).toBe(3 << 18)
    expect(read(machine, config.gicd + 0xc0c) >>> 4).toBe(0b1000)
    expect(read(machine, config.gicd + 0x6000 + 8 * 50)).toBe(2)
    expect(read(machine, config.gicd + 0x6000 + 8 * 51)).toBe(1)
  })

  it('whose effects lag, and waits for them', () => {
    const lagging = scenario('lagging').gic({ writeEffects: 'lagging' }).machine()
    const { mmio } = lagging.hypervisor.silicon
    expect(read(lagging, mmio.rdBase(0) + 0x14)).toBe(0)
    expect(read(lagging, config.gicd) >>> 31).toBe(0)
  })
})

describe('a kick', () => {
  it('is an SGI at the PE of the vCPU, until the host has taken it', () => {
    const machine = inGuest(running())
    const sent = fire(machine, 'uart')
    expect(physical(sent)).toEqual([`SGI1R ${1}`])
    expect(pending(machine)).toEqual([KICK])
    expect(irqLine(machine)).toBe(true)
    const taken = goTo(machine, 'vcpu0', 'irqOn')
    expect(taken[0].what).toBe('interrupted by a kick -> exit (irq)')
    expect(physical(taken)).toEqual(['IAR1 0', 'EOIR1 0', 'DIR 0'])
    expect(pending(machine)).toEqual([])
    expect(irqLine(machine)).toBe(false)
    expect(physicalActive(machine, KICK)).toBe(false)
  })

  it('goes to the PE that the vCPU’s thread is on', () => {
    const machine = scenario('second')
      .gic({ cpus: 2 })
      .vm({ vcpus: 2 })
      .guest(0, (guest) => guest.sgi({ intid: 3, vcpus: [1] }))
      .guest(1, (guest) => busy(guest))
      .machine()
    goTo(machine, 'vcpu1', 'enters the guest')
    const sent = goTo(machine, 'vcpu0', 'emulateSysreg')
    expect(physical(sent)).toEqual([`SGI1R ${1 << 1}`])
    expect(pending(machine, 0)).toEqual([])
    expect(pending(machine, 1)).toEqual([KICK])
  })

  it('is not sent to a vCPU outside of its guest, nor twice', () => {
    const machine = running().machine()
    goTo(machine, 'vcpu0', 'preemptOff')
    expect(physical(fire(machine, 'uart'))).toEqual([])
    goTo(machine, 'vcpu0', 'publishInGuest')
    expect(physical(fire(machine, 'uart'))).toHaveLength(1)
    expect(pending(machine)).toEqual([KICK])
  })

  it('is taken where the entry is aborted', () => {
    const machine = running().machine()
    goTo(machine, 'vcpu0', 'publishInGuest')
    fire(machine, 'uart')
    const back = goTo(machine, 'vcpu0', 'irqOn')
    expect(back[0].what).toBe('requestPending? yes')
    expect(physical(back)).toEqual(['IAR1 0', 'EOIR1 0', 'DIR 0'])
  })

  it('is taken at once by a host that has its interrupts on', () => {
    const careless = edit(designs.wfiHandler).omitAll('irqOff').design()
    const machine = running().design(careless).machine()
    goTo(machine, 'vcpu0', 'publishInGuest')
    expect(physical(fire(machine, 'uart'))).toEqual(['SGI1R 1', 'IAR1 0', 'EOIR1 0', 'DIR 0'])
    expect(pending(machine)).toEqual([])
  })

  it('names its target by affinity, with a range selector where Aff0 is above 15', () => {
    expect([sgiLow(5, 0), sgiHigh(5)]).toEqual([1 << 5, 0])
    const affinity = 0x1234_5678
    expect(sgiLow(affinity, 7)).toBe((7 << 24) | (0x56 << 16) | (1 << 8))
    expect(sgiHigh(affinity)).toBe((0x12 << 16) | (7 << 12) | 0x34)
    const machine = inGuest(running().gic({ cpus: 1, affinities: [affinity] }))
    fire(machine, 'uart')
    expect(pending(machine)).toEqual([KICK])
  })
})

describe('the tick', () => {
  it('is the PPI of the host’s timer, whose handler lowers the line', () => {
    const machine = inGuest(running())
    happen(machine, 'tick of vcpu0')
    expect(pending(machine)).toEqual([TICK])
    expect(machine.stateOf(actor(machine, 'tick of vcpu0'))).toBe('asleep')
    const taken = goTo(machine, 'vcpu0', 'irqOn')
    expect(taken[0].what).toBe("interrupted by the host's tick -> exit (irq)")
    expect(physical(taken)).toEqual([`IAR1 ${TICK}`, `EOIR1 ${TICK}`, `DIR ${TICK}`])
    expect(pending(machine)).toEqual([])
  })

  it('and a kick are taken by one exit, the lower INTID first', () => {
    const machine = inGuest(running())
    happen(machine, 'tick of vcpu0')
    fire(machine, 'uart')
    expect(physical(goTo(machine, 'vcpu0', 'irqOn')).filter((what) => what.startsWith('IAR1'))).toEqual([
      'IAR1 0',
      `IAR1 ${TICK}`,
    ])
  })
})

describe('a timer of the guest', () => {
  const timed = (): Scenario =>
    scenario('timer')
      .vm({ vcpus: 1, timers: true, haltPolling: { limit: 10 } })
      .guest(0, (guest) =>
        busy(
          guest
            .onIrq((list) => list.ack().stopTimer().eoi())
            .unmask()
            .timer(500)
            .wfi(),
        ),
      )

  it('is the line of its PPI while it is loaded', () => {
    const machine = timed().machine()
    goTo(machine, 'vcpu0', 'virtual timer in 500')
    happen(machine, 'virtual timer of vcpu0')
    expect(pending(machine)).toEqual([VIRTUAL_TIMER])
    const taken = goTo(machine, 'vcpu0', 'irqOn')
    expect(taken[0].what).toBe('interrupted by its timer -> exit (irq)')
    expect(physical(taken)).toEqual([`IAR1 ${VIRTUAL_TIMER}`, `EOIR1 ${VIRTUAL_TIMER}`])
    expect(physicalActive(machine, VIRTUAL_TIMER)).toBe(true)
    expect(irqLine(machine)).toBe(false)
    goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
    expect(physicalActive(machine, VIRTUAL_TIMER)).toBe(false)
    expect(pending(machine)).toEqual([])
  })

  it('that expires while its vCPU polls in a halt is taken at once: the timers are still the PE’s', () => {
    const machine = timed().machine()
    goTo(machine, 'vcpu0', 'pollBegin')
    const expiry = machine.trace(actor(machine, 'virtual timer of vcpu0'))
    expect(physical([expiry])).toEqual([`IAR1 ${VIRTUAL_TIMER}`, `EOIR1 ${VIRTUAL_TIMER}`])
    const rest = go(machine, 'vcpu0', ({ acknowledged }) => acknowledged === VIRTUAL_TIMER)
    expect(exits({ events: rest })).toEqual([])
    expect(rest.at(-1)?.acknowledged).toBe(VIRTUAL_TIMER)
  })

  it('stays the PE’s whatever an edit does to the flag and the put of the halt', () => {
    const unflagged = edit(designs.wfiFullPut).omitAll('setWaiting').design()
    const machine = timed().design(unflagged).machine()
    goTo(machine, 'vcpu0', 'pollBegin')
    machine.trace(actor(machine, 'virtual timer of vcpu0'))
    expect(physicalActive(machine, VIRTUAL_TIMER)).toBe(true)
    const rest = go(machine, 'vcpu0', ({ acknowledged }) => acknowledged === VIRTUAL_TIMER)
    expect(rest.at(-1)?.acknowledged).toBe(VIRTUAL_TIMER)
  })

  it('is nobody’s line while its vCPU is in userspace: the next load samples it', () => {
    const machine = scenario('userspace')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) =>
        busy(
          guest
            .onIrq((list) => list.ack().stopTimer().eoi())
            .unmask()
            .timer(500)
            .userspace(),
        ),
      )
      .machine()
    goTo(machine, 'vcpu0', 'userspace')
    happen(machine, 'virtual timer of vcpu0')
    expect(pending(machine)).toEqual([])
    const rest = go(machine, 'vcpu0', ({ acknowledged }) => acknowledged === VIRTUAL_TIMER)
    expect(physical(rest)).toEqual([])
    expect(rest.at(-1)?.acknowledged).toBe(VIRTUAL_TIMER)
  })

  it('is nobody’s line while its vCPU is off the PE', () => {
    const machine = timed().machine()
    goTo(machine, 'vcpu0', 'virtual timer in 500')
    happen(machine, 'tick of vcpu0')
    goTo(machine, 'vcpu0', 'preemptOn')
    happen(machine, 'preempt vcpu0')
    goTo(machine, 'vcpu0', 'giveUpCpu')
    happen(machine, 'virtual timer of vcpu0')
    expect(pending(machine)).toEqual([])
    expect(irqLine(machine)).toBe(false)
    goTo(machine, 'vcpu0', 'timerLoad')
    expect(pending(machine)).toEqual([VIRTUAL_TIMER])
    expect(irqLine(machine)).toBe(false)
  })
})

describe('the maintenance interrupt', () => {
  it('is PPI 25, whose line falls when the list registers are folded back', () => {
    const machine = scenario('level')
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) => busy(guest.onIrq((list) => list.ack().quiesce(40).eoi()).unmask()))
      .device('uart', (device) => device.at(0).raise(40))
      .machine()
    fire(machine, 'uart')
    goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
    expect(pending(machine)).toContain(MAINTENANCE)
    expect(irqLine(machine)).toBe(true)
    const left = goTo(machine, 'vcpu0', 'fold')
    expect(left[0].what).toContain('-> exit (irq)')
    expect(pending(machine)).not.toContain(MAINTENANCE)
  })

  it('that nobody silences is taken once for each time that interrupts are turned on', () => {
    const forgetful = edit(designs.wfiHandler).omitAll('fold').design()
    const machine = scenario('storm')
      .design(forgetful)
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) => busy(guest.onIrq((list) => list.ack().quiesce(40).eoi()).unmask()))
      .device('uart', (device) => device.at(0).raise(40))
      .machine()
    fire(machine, 'uart')
    const events = go(machine, 'vcpu0', undefined, 200)
    const storm = events.filter(({ what }) => what === 'irqOn').map((event) => physical([event]))
    const taken = [`IAR1 ${MAINTENANCE}`, `EOIR1 ${MAINTENANCE}`, `DIR ${MAINTENANCE}`]
    expect(storm.length).toBeGreaterThan(5)
    expect(storm.at(-1)).toEqual(taken)
  })
})

describe('a guest that reaches the physical CPU interface, since its vCPU was not loaded', () => {
  it('cannot make the host take one interrupt for ever', () => {
    const machine = scenario('unloaded')
      .design(edit(designs.wfiHandler).omitAll('load').design())
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) => busy(guest.write(ICC_CTLR_EL1, 0).timer(500)))
      .machine()
    goTo(machine, 'vcpu0', 'virtual timer in 500')
    happen(machine, 'virtual timer of vcpu0')
    const taken = goTo(machine, 'vcpu0', 'irqOn')
    expect(physical(taken)).toEqual([`IAR1 ${VIRTUAL_TIMER}`, `EOIR1 ${VIRTUAL_TIMER}`])
    expect(irqLine(machine)).toBe(true)
  })
})

describe('a mapped SPI', () => {
  const mapped = (trigger: 'edge' | 'level', cpus = 2): Scenario =>
    scenario('mapped')
      .gic({ cpus, spis: 64 })
      .vm({ vcpus: 2 })
      .spi({ intid: 40, trigger, physical: 50, vcpu: 1 })
      .guest(0, (guest) => busy(guest))
      .guest(1, (guest) => busy(guest.onIrq((list) => list.ack().quiesce(40).eoi()).unmask()))
      .device('nic', (device) => device.raise(40))

  it.each(['edge', 'level'] as const)('%s: makes the guest on its CPU leave, and stays active', (trigger) => {
    const machine = mapped(trigger).machine()
    goTo(machine, 'vcpu0', 'enters the guest')
    goTo(machine, 'vcpu1', 'enters the guest')
    fire(machine, 'nic')
    expect([irqLine(machine, 0), irqLine(machine, 1)]).toEqual([false, true])
    const taken = goTo(machine, 'vcpu1', 'irqOn')
    expect(taken[0].what).toBe('interrupted by its device -> exit (irq)')
    expect(physical(taken)).toEqual(['IAR1 50', 'EOIR1 50'])
    expect(physicalActive(machine, 50)).toBe(true)
    goTo(machine, 'vcpu1', 'eoi: ICC_EOIR1_EL1')
    expect(physicalActive(machine, 50)).toBe(false)
    expect(irqLine(machine, 1)).toBe(false)
  })

  it('is taken at once on a CPU that nobody has', () => {
    const machine = mapped('level').machine()
    go(machine, 'vcpu1', ({ what }) => what === 'stop' || what.startsWith('giveUpCpu'), 2000)
    const raised = fire(machine, 'nic')
    expect(physical(raised)).toEqual(['IAR1 50', 'EOIR1 50'])
    expect(physicalActive(machine, 50)).toBe(true)
  })

  it('edge: that comes again while it is active is taken after its end', () => {
    const machine = scenario('again')
      .gic({ spis: 64 })
      .spi({ intid: 40, physical: 50 })
      .guest(0, (guest) => busy(guest.onIrq(handle).unmask()))
      .device('nic', (device) => device.pulse(40).pulse(40))
      .machine()
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'ack: ICC_IAR1_EL1')
    fire(machine, 'nic')
    expect(irqLine(machine)).toBe(false)
    goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
    expect(irqLine(machine)).toBe(true)
    const again = go(machine, 'vcpu0', ({ acknowledged }) => acknowledged === 40)
    expect(again[0].what).toBe('interrupted by its device -> exit (irq)')
  })

  it.each(['edge', 'level'] as const)(
    '%s: is not lost at the distributor, in any interleaving',
    (trigger) => {
      const pulses = scenario('pulses')
        .gic({ spis: 64 })
        .design(designs.wfiFlag)
        .spi({ intid: 33, trigger, physical: 40 })
        .guest(0, (guest) =>
          guest
            .onIrq((list) => list.ack().quiesce(33).eoi())
            .unmask()
            .wfi()
            .wfi(),
        )
        .device('nic', (device) =>
          trigger === 'edge' ? device.pulse(33).pulse(33) : device.raise(33).raise(33),
        )
      expect(explore(pulses, { preemptions: 1, ticks: 1 })).toMatchObject({ complete: true })
    },
  )

  it('that stays active at the distributor, while its guest sleeps without it, is a lost wake-up', () => {
    const blindly = ownStep('foldBlindly', (context, vcpu) => {
      context.fold(vcpu, 0xffff)
      return 0
    })
    const bug = edit(designs.wfiHandler).replaceAll('fold', blindly).design()
    const raised = scenario('raised')
      .gic({ spis: 64 })
      .spi({ intid: 33, trigger: 'level', physical: 40 })
      .guest(0, (guest) =>
        guest
          .onIrq((list) => list.ack().quiesce(33).eoi())
          .wfe()
          .unmask()
          .wfi(),
      )
      .device('nic', (device) => device.raise(33))
    expect(explore(raised, { ticks: 1 })).toMatchObject({ complete: true })
    expect(explore(raised.design(bug), { ticks: 1 }).violation?.invariant).toBe('L1')
  })
})
