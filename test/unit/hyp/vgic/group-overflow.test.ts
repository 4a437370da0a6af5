/**
 * More interrupts than list registers while the guest has a group off: what it cannot take does not keep out what it
 * can. `fixed` sorts by it and hears of it when the guest switches a group; Linux 6.1 does neither.
 */

import {
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICH_VMCR_EL2,
} from 'vgic'
import {
  baselines,
  type Design,
  designs,
  type GuestBuilder,
  kvm61,
  type Scenario,
  type StepEvent,
  scenario,
  VirtualMachine,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { HCR_VGrp0DIE, HCR_VGrp0EIE, HCR_VGrp1DIE, HCR_VGrp1EIE } from '../../../../src/arch/ich-registers.ts'
import { onFixed } from '../../../kit/designs.ts'
import {
  acknowledged,
  exits,
  fire,
  flushes,
  go,
  goTo,
  HCR_En,
  HCR_LRENPIE,
  HCR_NPIE,
  HCR_TDIR,
  HCR_UIE,
} from '../../../kit/driving.ts'
import { GICD, IGROUPR, IPRIORITYR, ISPENDR, sgiBase } from '../../../kit/frames.ts'
import { busy, handle, self } from '../../../kit/guest-lists.ts'
import { explore } from '../../explore/checked.ts'

const every = Object.values(designs).map((design) => ({ name: design.name, design: baselines.fixed(design) }))
const GROUP_1_ONLY = { groups: [1] } as const
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

/** SPIs of both groups, in the order in which a device fires them. */
interface Spi {
  readonly intid: number
  readonly group?: 0 | 1
  readonly priority: number
}
function withSpis(s: Scenario, spis: readonly Spi[]): Scenario {
  for (const spi of spis) s.spi(spi)
  return s.device('board', (device) => {
    for (const { intid } of spis) device.at(0).pulse(intid)
  })
}
const presented = (events: readonly StepEvent[]): (number[] | undefined)[] =>
  flushes(events).map(({ lrs }) => lrs.map(({ intid }) => intid))
const readsVmcr = ({ what, accesses }: StepEvent): boolean =>
  what === 'flush' &&
  accesses.some(({ direction, register }) => direction === 'read' && register === ICH_VMCR_EL2)

describe('list registers for more interrupts than fit, with group 0 off', () => {
  const urgentButOff = [
    { intid: 40, group: 0, priority: 0x20 },
    { intid: 41, group: 0, priority: 0x40 },
  ] as const

  it('go to what the guest can take first, by priority, and then to what it cannot, by priority', () => {
    const spis = [
      { intid: 44, priority: 0xa0 },
      ...urgentButOff,
      { intid: 42, priority: 0x60 },
      { intid: 43, priority: 0x80 },
    ]
    const run = withSpis(onFixed('five of them'), spis)
      .cpuInterface(0, GROUP_1_ONLY)
      .guest(0, (guest) => guest.hvc())
      .run()
    expect(presented(run.events)[0]).toEqual([42, 43, 44, 40])
  })

  it('go to active ones before what the guest cannot take', () => {
    const s = withSpis(onFixed('an active one too').gic({ listRegisters: 2 }), [
      ...urgentButOff,
      { intid: 42, priority: 0x60 },
    ])
    const run = s
      .sgi({ intid: 1, priority: 0x80 })
      .cpuInterface(0, GROUP_1_ONLY)
      .guest(0, (guest) => guest.priorityMask(0xf0).ack().sgi(self(1)).hvc().eoi().ack())
      .run()
    expect(presented(run.events).at(-2)).toEqual([1, 42])
    expect(run.acknowledged(0)).toEqual([42, 1])
  })

  it.each([
    { what: 'some of those outside can be taken', intids: [42, 43, 44], hcr: HCR_NPIE | HCR_UIE },
    { what: 'none can', intids: [42, 43], hcr: 0 },
  ])('make the guest leave when it switches a group, if $what', ({ intids, hcr }) => {
    const spis = [...urgentButOff, ...intids.map((intid) => ({ intid, priority: 0x80 }))]
    const run = withSpis(onFixed('overflow').gic({ listRegisters: 2 }), spis)
      .cpuInterface(0, GROUP_1_ONLY)
      .guest(0, (guest) => guest.hvc())
      .run()
    expect(flushes(run.events)[0].hcr).toBe(HCR_En | HCR_TDIR | HCR_VGrp0EIE | HCR_VGrp1DIE | hcr)
  })

  it('leave alone a guest that has active ones outside and nothing pending', () => {
    const s = onFixed('active only')
      .gic({ listRegisters: 2 })
      .cpuInterface(0, { groups: [0, 1] })
    for (const [i, group] of ([0, 1, 1] as const).entries())
      s.sgi({ intid: i + 1, group, priority: 0xc0 - 0x20 * i })
    const run = s
      .guest(0, (guest) =>
        guest
          .sgi({ ...self(1), group: 0 })
          .ack(0)
          .sgi(self(2))
          .ack()
          .sgi(self(3))
          .ack()
          .hvc(),
      )
      .run()
    expect(run.acknowledged(0)).toEqual([1, 2, 3])
    expect(flushes(run.events).at(-1)?.hcr).toBe(HCR_En | HCR_TDIR | HCR_LRENPIE | HCR_UIE)
  })
})

describe('what it costs to know which groups are off', () => {
  const overflow = (groups: readonly (0 | 1)[], listRegisters: number) => {
    const spis = groups.map((group, i) => ({ intid: 40 + i, group, priority: 0x80 }))
    return withSpis(onFixed('cost').gic({ listRegisters }), spis)
      .guest(0, (guest) => guest.hvc())
      .run()
  }

  it('is nothing while all fit, and while all are of one group', () => {
    for (const run of [overflow([0, 1], 2), overflow([1, 1, 1], 2), overflow([0, 0, 0], 2)]) {
      expect(run.events.some(readsVmcr)).toBe(false)
      const switches = HCR_VGrp0DIE | HCR_VGrp0EIE | HCR_VGrp1DIE | HCR_VGrp1EIE
      for (const { hcr } of flushes(run.events)) expect(hcr & switches).toBe(0)
    }
  })

  it('is a read of ICH_VMCR_EL2 with interrupts of both', () => {
    const { events } = overflow([1, 0, 1], 2)
    expect(events.filter(readsVmcr)).toHaveLength(2)
    expect(flushes(events)[0].hcr).toBe(HCR_En | HCR_TDIR | HCR_VGrp0DIE | HCR_VGrp1DIE | HCR_NPIE | HCR_UIE)
  })

  it('with kvm61 is nothing: active ones first, then by priority alone', () => {
    const spis = [
      { intid: 40, group: 0, priority: 0x40 },
      { intid: 41, priority: 0x80 },
    ] as const
    const run = withSpis(scenario('kvm61').gic({ listRegisters: 1 }), spis)
      .design(kvm61(designs.wfiHandler))
      .cpuInterface(0, GROUP_1_ONLY)
      .guest(0, (guest) => guest.hvc())
      .run({ steps: 1000 })
    expect(run.events.some(readsVmcr)).toBe(false)
    expect(presented(run.events)[0]).toEqual([40])
    expect(flushes(run.events)[0].hcr).toBe(HCR_En | HCR_UIE)
    expect(run.acknowledged(0)).toEqual([])
  })
})

describe('a guest that switches a group with interrupts outside the list registers', () => {
  const both = [
    { intid: 40, group: 0, priority: 0x40 },
    { intid: 41, priority: 0x80 },
  ] as const
  const switching = (write: (guest: GuestBuilder) => unknown, groups: readonly (0 | 1)[]) =>
    withSpis(onFixed('switches').gic({ listRegisters: 1 }), both)
      .cpuInterface(0, { groups })
      .guest(0, write)

  it('on, leaves at once, and has what is more urgent now', () => {
    const run = switching((guest) => guest.enableGroup(0).ack(0).eoi(0).ack(), [1]).run()
    expect(exits(run)[0]).toBe('irq: the maintenance interrupt')
    expect(run.acknowledged(0)).toEqual([40, 41])
  })

  it('off, leaves at once, and has what the other group has waiting', () => {
    const run = switching((guest) => guest.enableGroup(0, false).ack().eoi().ack(0), [0, 1]).run()
    expect(exits(run)[0]).toBe('irq: the maintenance interrupt')
    expect(run.acknowledged(0)).toEqual([41, 1023])
  })

  it('off and on again, has all of them in the end', () => {
    const run = switching(
      (guest) => {
        guest.onIrq(handle).onFiq((handler) => handler.ack(0).eoi(0))
        guest.enableGroup(0, false).unmask().hvc().enableGroup(0).hvc()
      },
      [0, 1],
    ).run()
    expect(run.acknowledged(0)).toEqual([41, 40])
    expect(run.end).toBe('done')
  })

  it('once they fit, does not leave for it', () => {
    const run = switching((guest) => guest.ack().eoi().hvc().enableGroup(0).enableGroup(0, false), [1]).run()
    expect(run.acknowledged(0)).toEqual([41])
    expect(exits(run)).toEqual(['hvc', 'off'])
  })
})

describe('all 16 SGIs pending, with some in a group that is off', () => {
  /** Takes one interrupt a stay in the guest, as often as there are; then of the other group. */
  function taken(design: Design, listRegisters: number, disabled: number) {
    const vm = new VirtualMachine({ vcpus: 1, design, silicon: { listRegisters } })
    vm.writeMmio(0, GICD, 4, 2)
    vm.writeMmio(0, sgiBase(0) + IGROUPR, 4, (0xffff_ffff << disabled) >>> 0)
    for (let intid = 0; intid < 16; intid++)
      vm.writeMmio(0, sgiBase(0) + IPRIORITYR + intid, 1, (intid + 1) * 8)
    vm.writeSysreg(0, ICC_PMR_EL1, 0xf0)
    vm.writeSysreg(0, ICC_IGRPEN1_EL1, 1)
    vm.writeMmio(0, sgiBase(0) + ISPENDR, 4, 0xffff)
    const take = (iar: number, eoir: number): number => {
      vm.enter(0)
      const intid = vm.readSysreg(0, iar)
      if (intid < 1020) vm.writeSysreg(0, eoir, intid)
      return intid
    }
    const group1 = Array.from({ length: 17 - disabled }, () => take(ICC_IAR1_EL1, ICC_EOIR1_EL1))
    const left = vm.readMmio(0, sgiBase(0) + ISPENDR, 4)
    vm.writeSysreg(0, ICC_IGRPEN0_EL1, 1)
    const group0 = Array.from({ length: disabled + 1 }, () => take(ICC_IAR0_EL1, ICC_EOIR0_EL1))
    return { group1, left, group0 }
  }
  it.each(every)('the others are all taken, and these when it is switched on: $name', ({ design }) => {
    for (const listRegisters of [1, 2, 4, 16])
      for (const disabled of [1, listRegisters, 8, 15])
        expect(taken(design, listRegisters, disabled), `${listRegisters}, ${disabled}`).toEqual({
          group1: [...range(disabled, 16), 1023],
          left: 2 ** disabled - 1,
          group0: [...range(0, disabled), 1023],
        })
  })

  it('with kvm61 as many as there are list registers keep all others out', () => {
    expect(taken(kvm61(designs.wfiHandler), 4, 4).group1).toEqual(Array.from({ length: 13 }, () => 1023))
  })
})

describe('interrupts that the priority mask hides', () => {
  it('keep none out that it admits, and come when it is opened', () => {
    const spis = range(40, 46).map((intid, i) => ({ intid, priority: 0xe0 - 0x20 * i }))
    const run = withSpis(onFixed('masked').gic({ listRegisters: 2 }), spis)
      .cpuInterface(0, { priorityMask: 0x80 })
      .guest(0, (guest) => guest.onIrq(handle).unmask().hvc().priorityMask(0xf0).hvc())
      .run()
    expect(run.acknowledged(0)).toEqual([45, 44, 43, 42, 41, 40])
  })
})

describe('explain()', () => {
  it('of one that has no list register because its group is off says so', () => {
    const s = withSpis(onFixed('explained').gic({ listRegisters: 1 }), [
      { intid: 40, group: 0, priority: 0x40 },
      { intid: 41, priority: 0x80 },
    ])
    const machine = s
      .cpuInterface(0, GROUP_1_ONLY)
      .guest(0, (guest) => busy(guest))
      .machine()
    fire(machine, 'board')
    fire(machine, 'board')
    goTo(machine, 'vcpu0', 'enters the guest')
    expect(machine.explain(41).reason).toBe('pstate-masked')
    expect(machine.explain(40).reason).toBe('group-off')
    go(machine, 'vcpu0', undefined, 1)
    expect(machine.explain(40).reason).toBe('group-off')
  })
})

describe('L3, explored', () => {
  /** As many interrupts of the disabled group as list registers, more urgent than one that the guest would take. */
  const starving = (design: Design, listRegisters: number): Scenario => {
    const s = scenario('starving').gic({ listRegisters }).design(design).cpuInterface(0, GROUP_1_ONLY)
    for (let i = 0; i < listRegisters; i++) s.spi({ intid: 50 + i, group: 0, priority: 0x40 })
    return s
      .spi({ intid: 41, priority: 0x80 })
      .guest(0, (guest) =>
        guest
          .onIrq(handle)
          .unmask()
          .loop(2, (list) => list.hvc()),
      )
      .device('board', (device) => {
        for (let i = 0; i < listRegisters; i++) device.pulse(50 + i)
        device.pulse(41)
      })
  }

  it.each(every)('holds: $name', ({ design }) => {
    for (const listRegisters of [1, 2])
      expect(explore(starving(design, listRegisters))).toMatchObject({ complete: true })
  })

  it.each(every)('is broken by kvm61($name)', ({ design }) => {
    for (const listRegisters of [1, 2]) {
      const { violation } = explore(starving(kvm61(design), listRegisters))
      expect(violation?.invariant).toBe('L3')
      expect(violation?.what).toContain('vcpu0 is in the guest without SPI 41')
    }
  })

  it('is broken by kvm61 too where active ones keep out what is more urgent, and holds with fixed', () => {
    const nested = (design: Design): Scenario =>
      scenario('nested')
        .gic({ listRegisters: 2 })
        .design(design)
        .sgi({ intid: 1, priority: 0xa0 })
        .sgi({ intid: 2, priority: 0x80 })
        .sgi({ intid: 3, priority: 0x60 })
        .guest(0, (guest) => {
          for (const intid of [1, 2, 3]) guest.sgi(self(intid)).ack()
          return guest.hvc()
        })
    expect(explore(nested(baselines.fixed(designs.wfiHandler)))).toMatchObject({ complete: true })
    expect(explore(nested(kvm61(designs.wfiHandler))).violation).toMatchObject({
      invariant: 'L3',
      what: 'vcpu0 is in the guest without SGI 3, and nothing makes it leave',
    })
  })

  it('holds with kvm61 where the active ones keep out what is less urgent than they are', () => {
    const nested = scenario('waits its turn')
      .gic({ listRegisters: 2 })
      .design(kvm61(designs.wfiHandler))
      .sgi({ intid: 1, priority: 0xa0 })
      .sgi({ intid: 2, priority: 0x80 })
      .sgi({ intid: 3, priority: 0xc0 })
      .guest(0, (guest) => {
        for (const intid of [1, 2, 3]) guest.sgi(self(intid)).ack()
        return guest.write(ICC_EOIR1_EL1, 2).write(ICC_EOIR1_EL1, 1).ack()
      })
    expect(explore(nested)).toMatchObject({ complete: true })
  })

  it('holds while the guest switches its groups', () => {
    const switches = onFixed('switches')
      .gic({ listRegisters: 1 })
      .spi({ intid: 40, group: 0, priority: 0x40 })
      .spi({ intid: 41, priority: 0x80 })
      .guest(0, (guest) =>
        guest
          .onIrq(handle)
          .onFiq((handler) => handler.ack(0).eoi(0))
          .enableGroup(0, false)
          .unmask()
          .enableGroup(1, false)
          .enableGroup(0)
          .enableGroup(1),
      )
      .device('board', (device) => device.pulse(40).pulse(41))
    expect(explore(switches, { preemptions: 1 })).toMatchObject({ complete: true })
  })

  it('of an interrupt that is made more urgent beside a vCPU that runs without it: kvm61 leaves it there', () => {
    const raised = (design: Design): Scenario =>
      scenario('raised')
        .gic({ listRegisters: 1 })
        .vm({ vcpus: 2 })
        .design(design)
        .spi({ intid: 40, priority: 0x80 })
        .spi({ intid: 41, priority: 0xa0 })
        .guest(0, (guest) => busy(guest, 2))
        .guest(1, (guest) => guest.writeMmio(GICD + IPRIORITYR + 41, 0x20, 1))
        .device('board', (device) => device.pulse(40).pulse(41))
    expect(explore(raised(baselines.fixed(designs.wfiHandler)))).toMatchObject({ complete: true })
    const old = raised(kvm61(designs.wfiHandler)).gic({ listRegisters: 2 }).spi({ intid: 42, priority: 0x90 })
    old.device('another', (device) => device.pulse(42))
    expect(explore(old).violation?.invariant).toBe('L3')
  })
})

describe('two vCPUs', () => {
  it('each have their own groups', () => {
    const s = scenario('two').gic({ listRegisters: 1 }).vm({ vcpus: 2 })
    s.spi({ intid: 40, group: 0, priority: 0x40 }).spi({ intid: 41, priority: 0x80 })
    s.spi({ intid: 42, group: 0, priority: 0x40, vcpu: 1 }).spi({ intid: 43, priority: 0x80, vcpu: 1 })
    const machine = s
      .cpuInterface(0, { groups: [1] })
      .cpuInterface(1, { groups: [0] })
      .guest(0, (guest) => guest.onIrq(handle).unmask().hvc())
      .guest(1, (guest) =>
        guest
          .onFiq((handler) => handler.ack(0).eoi(0))
          .unmask()
          .hvc(),
      )
      .device('board', (device) => device.pulse(40).pulse(41).pulse(42).pulse(43))
      .machine()
    for (let i = 0; i < 4; i++) fire(machine, 'board')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([41])
    expect(acknowledged(go(machine, 'vcpu1'))).toEqual([42])
  })
})
