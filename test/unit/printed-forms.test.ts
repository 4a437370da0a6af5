/** How machines print: short, whoever prints them, and without a look into what they are made of. */
import { inspect } from 'node:util'
import { Gic, HCR_EL2, ICH_VTR_EL2 } from 'vgic'
import { type Design, designs, Run, ScenarioMachine, scenario, VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { counted, listed } from '../../src/errors/printed.ts'
import { GICD, IGROUPR, ISENABLER, redistributor, WAKER, wordOf } from '../kit/frames.ts'

const GICR_WAKER = redistributor(0) + WAKER
const design: Design = designs.wfiHandler
const run = () =>
  scenario('a pulse')
    .vm({ vcpus: 2 })
    .design(design)
    .spi({ intid: 40 })
    .guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().eoi())
        .unmask()
        .wfi()
        .wfi(),
    )
    .device('nic', (device) => device.pulse(40))
    .run()

describe.each([
  { name: 'Gic', make: () => new Gic({ cpus: 512, spis: 988 }) },
  { name: 'VirtualMachine', make: () => new VirtualMachine({ vcpus: 255, spis: 988, design }) },
  { name: 'ScenarioMachine', make: () => scenario('x').vm({ vcpus: 255, spis: 988 }).machine() },
  { name: 'Run', make: run },
])('a $name', ({ name, make }) => {
  it('prints as one short line that begins with its name, here and within something else', () => {
    const machine = make()
    expect(String(machine)).toMatch(new RegExp(`^${name} \\(`))
    expect(String(machine).length).toBeLessThan(250)
    expect(inspect(machine)).toBe(String(machine))
    expect(inspect({ machine })).toBe(`{\n  machine: ${machine}\n}`)
    expect(machine.constructor.name).toBe(name)
  })

  it('prints so where an expectation fails', () => {
    const machine = make()
    let message = ''
    try {
      expect(machine).toBeNull()
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toContain(`${name} (`)
    expect(message.length).toBeLessThan(400)
  })

  it('is plain data as JSON, and not changed by that', () => {
    const machine = make()
    const state = machine instanceof Run ? machine.machine : machine
    const hash = state.hash()
    const text = JSON.stringify(machine)
    expect(JSON.parse(text)).toEqual(machine.toJSON())
    expect(text.length).toBeLessThan(20_000)
    expect(state.hash()).toBe(hash)
  })
})

describe('a Gic', () => {
  const gic = () => new Gic({ version: '4.1', cpus: 3, spis: 64 })

  it('tells which CPUs sleep and which outputs are high', () => {
    const some = gic()
    some.writeMmio(GICR_WAKER, 4, 0)
    some.writeSysreg(1, HCR_EL2, 0x80, 2)
    expect(some.toJSON()).toEqual({
      version: '4.1',
      cpus: 3,
      spis: 64,
      listRegisters: 4,
      asleep: [1, 2],
      high: { virq: [1] },
    })
    expect(String(some)).toBe('Gic (version 4.1, 3 CPUs, 64 SPIs): asleep: cpu1, cpu2; virq: cpu1')
  })

  it('has nothing more to tell where none does', () => {
    expect(String(new Gic({ cpus: 1, spis: 0, profile: 'qemu-7.2' }))).toBe('Gic (version 3, 1 CPU, 0 SPIs)')
  })
})

describe('a CPU of a Gic', () => {
  it('tells that its redistributor sleeps, and that it is awake once GICR_WAKER was written', () => {
    const gic = new Gic({ cpus: 2 })
    expect(String(gic.inspectCpu(0))).toBe(
      'cpu0 at EL2, IRQ and FIQ masked; no output is high; its redistributor sleeps (GICR_WAKER.ProcessorSleep, ChildrenAsleep) and forwards nothing to it',
    )
    gic.writeMmio(GICR_WAKER, 4, 0)
    expect(inspect(gic.inspectCpu(0))).toBe(
      'cpu0 at EL2, IRQ and FIQ masked; no output is high; its redistributor is awake',
    )
    expect([gic.inspectCpu(0).asleep, gic.inspectCpu(1).asleep]).toEqual([false, true])
  })

  it('tells of an interrupt that a sleeping redistributor holds back', () => {
    const gic = new Gic({ cpus: 1 })
    gic.writeMmio(GICD, 4, 2)
    gic.writeMmio(wordOf(IGROUPR, 32), 4, 1 << 8)
    gic.writeMmio(wordOf(ISENABLER, 32), 4, 1 << 8)
    gic.setSpi(40, 1)
    expect(gic.inspectCpu(0)).toMatchObject({ outputs: ['wakeRequest'], asleep: true })
    expect(String(gic)).toBe('Gic (version 3, 1 CPU, 32 SPIs): asleep: cpu0; wakeRequest: cpu0')
  })

  it('tells its level, its masks and that it waits', () => {
    const gic = new Gic({ cpus: 1, choices: { waker: 'ignored' } })
    gic.setExceptionLevel(0, 1)
    gic.setMasks(0, { irq: false, fiq: true })
    gic.wfe(0)
    gic.wfi(0)
    expect(JSON.parse(JSON.stringify(gic.inspectCpu(0)))).toEqual({
      cpu: 0,
      el: 1,
      masks: { irq: false, fiq: true },
      waits: true,
      outputs: [],
      waker: { ProcessorSleep: true, ChildrenAsleep: true },
      asleep: false,
    })
    expect(String(gic.inspectCpu(0))).toBe(
      'cpu0 at EL1, waiting, FIQ masked; no output is high; its redistributor is awake, GICR_WAKER is ignored',
    )
    gic.wake(0)
    gic.setMasks(0, { irq: false, fiq: false })
    gic.writeSysreg(0, HCR_EL2, 0xc0, 2)
    expect(String(gic.inspectCpu(0))).toBe(
      'cpu0 at EL1, waiting, nothing masked; high: virq, vfiq; its redistributor is awake, GICR_WAKER is ignored',
    )
  })

  it('follows a handshake with GICR_WAKER that takes its time', () => {
    const gic = new Gic({ cpus: 1, writeEffects: 'lagging' })
    gic.writeMmio(GICR_WAKER, 4, 0)
    expect(gic.inspectCpu(0)).toMatchObject({ waker: { ProcessorSleep: false, ChildrenAsleep: true } })
    expect(String(gic.inspectCpu(0))).toContain('sleeps (GICR_WAKER.ChildrenAsleep) and forwards nothing')
    gic.completeWrites()
    expect(gic.inspectCpu(0).asleep).toBe(false)
  })

  it('that there is not is refused', () => {
    expect(() => new Gic({ cpus: 2 }).inspectCpu(2)).toThrow('cpu must be an integer from 0 to 1')
  })
})

it('a Gic has no inspect() that a printer would call with arguments of its own', () => {
  expect('inspect' in new Gic({ cpus: 1 })).toBe(false)
  expect(String(new Gic({ cpus: 1 }).inspectSysreg(0, ICH_VTR_EL2))).toContain('ICH_VTR_EL2 0x90b80003')
})

describe('a VirtualMachine', () => {
  it('tells where its vCPUs are', () => {
    const vm = new VirtualMachine({ vcpus: 3, timers: false, design })
    vm.enter(0)
    vm.wfi(0)
    vm.enter(2)
    expect(vm.toJSON()).toEqual({
      design: 'wfi-handler',
      spis: 32,
      timers: false,
      vcpus: ['asleep', 'outside', 'guest'],
    })
    expect(String(vm)).toBe(
      'VirtualMachine (design wfi-handler, 3 vCPUs, 32 SPIs): guest: vcpu2; outside: vcpu1; asleep: vcpu0',
    )
  })
})

describe('a run and its machine', () => {
  it('tell how it ended and what everybody is up to', () => {
    const { time } = run().machine
    expect(String(run())).toBe(
      `Run (asleep): ScenarioMachine (design wfi-handler, time ${time}): vcpu0 asleep, vcpu1 done, nic done`,
    )
    expect(run().machine).toBeInstanceOf(ScenarioMachine)
    expect(run().toJSON()).toEqual({
      end: 'asleep',
      machine: {
        design: 'wfi-handler',
        time,
        actors: [
          { name: 'vcpu0', state: 'asleep' },
          { name: 'vcpu1', state: 'done' },
          { name: 'nic', state: 'done' },
        ],
      },
    })
  })
})

describe('lists in printed forms', () => {
  const names = (count: number) => listed(Array.from({ length: count }).fill('x'), String)

  it('have eight names, and say how many more there are', () => {
    expect([names(0), names(1), names(2)]).toEqual(['', 'x', 'x, x'])
    expect(names(8)).toBe('x, x, x, x, x, x, x, x')
    expect(names(9)).toBe('x, x, x, x, x, x, x, x and 1 more')
  })

  it('count one thing and several', () => {
    expect([0, 1, 2].map((n) => counted(n, 'CPU'))).toEqual(['0 CPUs', '1 CPU', '2 CPUs'])
  })
})
