import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_PMR_EL1 } from 'vgic'
import {
  baselines,
  type Design,
  designs,
  kvm61,
  kvm72,
  type OpList,
  type Run,
  type ScenarioMachine,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { acknowledged, fire, go, goTo, happen, isActive, physicalActive } from '../../../kit/driving.ts'
import { bitOf, GICD, ICACTIVER, IROUTER, ISENABLER, sgiBase, wordOf } from '../../../kit/frames.ts'
import { busy, EOI_MODE_1, handle, self } from '../../../kit/guest-lists.ts'
import { acknowledge, boot, enable, end, setTrigger, vmOf } from '../../../kit/vm.ts'

describe('dir() when ICC_DIR_EL1 traps', () => {
  it('18: deactivates what was acknowledged', () => {
    const run = scenario('dir')
      .guest(0, (guest) =>
        guest.write(ICC_CTLR_EL1, EOI_MODE_1).sgi(self(1)).ack().eoi().dir().sgi(self(1)).ack(),
      )
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([1, 1])
  })
})

describe('hard case 20: a mapped SPI whose line stays high', () => {
  it('20: is taken again after the end of interrupt', () => {
    const machine = scenario('high')
      .gic({ spis: 64 })
      .spi({ intid: 40, trigger: 'level', physical: 50 })
      .guest(0, (guest) => busy(guest.onIrq(handle).unmask(), 50).hvc().hvc().quiesce(40))
      .device('nic', (device) => device.raise(40))
      .machine()
    fire(machine, 'nic')
    expect(acknowledged(go(machine, 'vcpu0', undefined, 300)).length).toBeGreaterThan(1)
  })

  it('20: wakes the guest from a WFI after the end of interrupt', () => {
    const machine = scenario('high')
      .gic({ spis: 64 })
      .spi({ intid: 40, trigger: 'level', physical: 50 })
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi().wfi())
      .device('nic', (device) => device.raise(40))
      .machine()
    go(machine, 'vcpu0')
    fire(machine, 'nic')
    expect(acknowledged(go(machine, 'vcpu0', undefined, 300)).length).toBeGreaterThan(1)
  })
})

describe('hard case 18: DIR of another vCPU’s SPI', () => {
  /** vCPU 0 has acknowledged a mapped SPI and is about to end it; vCPU 1 will deactivate it. */
  function acknowledgedMapped(design = designs.wfiFullPut): ScenarioMachine {
    const machine = scenario('mapped')
      .design(design)
      .gic({ spis: 64 })
      .vm({ vcpus: 2 })
      .spi({ intid: 40, trigger: 'level', physical: 50 })
      .guest(0, (guest) => busy(guest.write(ICC_CTLR_EL1, EOI_MODE_1).wfi().ack().quiesce(40).eoi()))
      .guest(1, (guest) => guest.write(ICC_CTLR_EL1, EOI_MODE_1).write(ICC_DIR_EL1, 40))
      .device('nic', (device) => device.raise(40))
      .machine()
    go(machine, 'vcpu0')
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
    return machine
  }

  it('E: 18, 20: a mapped SPI in a list register of a running guest becomes inactive at the GIC too', () => {
    const machine = acknowledgedMapped()
    go(machine, 'vcpu1')
    goTo(machine, 'vcpu0', 'fold')
    expect(isActive(machine, 40)).toBe(false)
    expect(physicalActive(machine, 50)).toBe(false)
  })

  it('E: 18, 20: and so it does in Linux 7.2 if that vCPU has lost its CPU while the VM is stopped for it', () => {
    const machine = acknowledgedMapped(kvm72(designs.wfiFullPut))
    goTo(machine, 'vcpu1', 'stopVcpus')
    goTo(machine, 'vcpu0', 'preemptOn')
    happen(machine, 'preempt vcpu0')
    goTo(machine, 'vcpu0', 'giveUpCpu')
    expect(physicalActive(machine, 50)).toBe(true)
    go(machine, 'vcpu1')
    expect(isActive(machine, 40)).toBe(false)
    expect(physicalActive(machine, 50)).toBe(false)
  })

  it('F: 18: an SPI that is in none of the running guest’s list registers becomes inactive', () => {
    const machine = scenario('outside')
      .gic({ listRegisters: 1 })
      .vm({ vcpus: 2 })
      .spi({ intid: 40, priority: 0x40 })
      .spi({ intid: 41, priority: 0x80 })
      .guest(0, (guest) => busy(guest.write(ICC_CTLR_EL1, EOI_MODE_1).wfi().ack().eoi()))
      .guest(1, (guest) => guest.write(ICC_CTLR_EL1, EOI_MODE_1).write(ICC_DIR_EL1, 40))
      .device('board', (device) => device.pulse(40).pulse(41))
      .machine()
    go(machine, 'vcpu0')
    fire(machine, 'board')
    goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
    fire(machine, 'board')
    goTo(machine, 'vcpu0', 'enters the guest')
    go(machine, 'vcpu1')
    goTo(machine, 'vcpu0', 'fold')
    expect(isActive(machine, 40)).toBe(false)
  })
})

describe('a mapped level-sensitive interrupt that software deactivates for the guest', () => {
  /** The guest has taken its timer's interrupt, was put and loaded since, and has turned the timer off: `last` ends it. */
  const reloaded = (design: Design, last: (list: OpList) => OpList): Run =>
    scenario('reloaded')
      .design(design)
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) =>
        guest
          .write(ICC_CTLR_EL1, EOI_MODE_1)
          .onIrq((list) => last(list.ack().userspace().stopTimer().eoi()))
          .timer(5)
          .unmask()
          .loop(20, (list) => list.hvc()),
      )
      .run({ steps: 5000 })
  const clearActive = (list: OpList): OpList => list.writeMmio(sgiBase(0) + ICACTIVER, bitOf(27))
  const clearAll = (list: OpList): OpList => list.writeMmio(sgiBase(0) + ICACTIVER, 0xffff_ffff)
  const ways = [
    { way: 'ICC_DIR_EL1', last: (list: OpList): OpList => list.dir() },
    { way: 'GICR_ICACTIVER0', last: clearActive },
    { way: 'GICR_ICACTIVER0, as that of all interrupts', last: clearAll },
  ]
  const every = Object.values(designs).map((design) => ({
    name: design.name,
    design: baselines.fixed(design),
  }))

  it.each(ways)('by $way is not taken again if its line has fallen', ({ last }) => {
    for (const { design } of every) {
      const run = reloaded(design, last)
      expect(run.acknowledged(0), design.name).toEqual([27])
      expect(run.end).toBe('done')
      expect(physicalActive(run.machine, 27)).toBe(false)
    }
  })

  it('with kvm61 by GICR_ICACTIVER0 is taken again: the write does not ask the timer', () => {
    const run = reloaded(kvm61(designs.wfiHandler), clearActive)
    expect(run.acknowledged(0)).toEqual([27, 27])
  })

  it('with kvm61 also if another vCPU writes it, which stops the VM', () => {
    const taken = (design: Design): number[] => {
      const vm = boot(vmOf({ design, timers: true }))
      vm.writeMmio(1, sgiBase(1) + ISENABLER, 4, bitOf(27))
      vm.setTimer(1, 'virtual', true)
      const first = acknowledge(vm, 1)
      vm.preempt(1)
      vm.setTimer(1, 'virtual', false)
      vm.writeSysreg(1, ICC_CTLR_EL1, EOI_MODE_1)
      end(vm, 1, 27)
      vm.writeMmio(0, sgiBase(1) + ICACTIVER, 4, bitOf(27))
      return [first, acknowledge(vm, 1)]
    }
    expect(taken(baselines.fixed(designs.wfiHandler))).toEqual([27, 1023])
    expect(taken(kvm61(designs.wfiHandler))).toEqual([27, 27])
  })

  it.each(ways.slice(0, 2))('by $way is taken again if its line is high', ({ last }) => {
    const run = scenario('still high')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) => {
        guest.write(ICC_CTLR_EL1, EOI_MODE_1).timer(5).wfi()
        last(guest.ack().userspace().eoi())
        return guest.ack().stopTimer().eoi().dir().hvc().ack()
      })
      .run({ steps: 2000 })
    expect(run.acknowledged(0)).toEqual([27, 27, 1023])
  })

  /** An SPI of a physical device; the guest looks at its enable meanwhile, which samples the line. */
  const physicalSpi = (design: Design, last: (list: OpList) => OpList) => {
    const machine = scenario('mapped SPI')
      .gic({ spis: 64 })
      .design(design)
      .spi({ intid: 40, trigger: 'level', physical: 50 })
      .guest(0, (guest) => {
        guest.write(ICC_CTLR_EL1, EOI_MODE_1).wfi().ack().writeMmio(wordOf(ISENABLER, 40), bitOf(40))
        return last(guest.quiesce(40).eoi()).ack()
      })
      .device('nic', (device) => device.raise(40).raise(40))
      .machine()
    go(machine, 'vcpu0')
    fire(machine, 'nic')
    return machine
  }

  it.each([
    { way: 'ICC_DIR_EL1', last: (list: OpList): OpList => list.dir() },
    { way: 'GICD_ICACTIVER1', last: (list: OpList) => list.writeMmio(wordOf(ICACTIVER, 40), bitOf(40)) },
  ])('an SPI, by $way, is not taken again, but is when its line rises anew', ({ last }) => {
    const machine = physicalSpi(baselines.fixed(designs.wfiHandler), last)
    const events = goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
    events.push(...goTo(machine, 'vcpu0', 'enters the guest'))
    expect(physicalActive(machine, 50)).toBe(false)
    fire(machine, 'nic')
    expect(acknowledged([...events, ...go(machine, 'vcpu0')])).toEqual([40, 40])
    const quiet = physicalSpi(baselines.fixed(designs.wfiHandler), last)
    expect(acknowledged(go(quiet, 'vcpu0'))).toEqual([40, 1023])
  })

  it('by another vCPU’s ICC_DIR_EL1, while it is in a list register of a running guest, is not taken again', () => {
    const machine = scenario('elsewhere')
      .gic({ spis: 64 })
      .vm({ vcpus: 2 })
      .spi({ intid: 40, trigger: 'level', physical: 50 })
      .guest(0, (guest) =>
        busy(guest.write(ICC_CTLR_EL1, EOI_MODE_1).wfi().ack().writeMmio(wordOf(ISENABLER, 40), bitOf(40)))
          .eoi()
          .ack(),
      )
      .guest(1, (guest) => guest.write(ICC_CTLR_EL1, EOI_MODE_1).quiesce(40).write(ICC_DIR_EL1, 40))
      .device('nic', (device) => device.raise(40))
      .machine()
    go(machine, 'vcpu0')
    fire(machine, 'nic')
    const events = goTo(machine, 'vcpu0', 'read ICC_PMR_EL1')
    go(machine, 'vcpu1')
    expect(acknowledged([...events, ...go(machine, 'vcpu0')])).toEqual([40, 1023])
    expect(physicalActive(machine, 50)).toBe(false)
  })

  it('by an EOI that EOIcount tells of, in no list register, is not taken again', () => {
    const run = scenario('counted')
      .gic({ listRegisters: 1, spis: 64 })
      .design(baselines.fixed(designs.wfiHandler))
      .spi({ intid: 40, trigger: 'level', physical: 50 })
      .sgi({ intid: 1, priority: 0xc0 })
      .guest(0, (guest) =>
        guest
          .wfi()
          .ack()
          .writeMmio(wordOf(ISENABLER, 40), bitOf(40))
          .quiesce(40)
          .sgi(self(1))
          .write(ICC_EOIR1_EL1, 40)
          .ack()
          .eoi()
          .ack(),
      )
      .device('nic', (device) => device.raise(40))
      .run({ steps: 2000 })
    expect(run.acknowledged(0)).toEqual([40, 1, 1023])
    expect(physicalActive(run.machine, 50)).toBe(false)
  })
})

describe('DIR of an SPI that was routed elsewhere since it was acknowledged', () => {
  it.each([
    { where: 'its own vCPU', by: 0 },
    { where: 'the vCPU that it is routed to', by: 1 },
  ])('by $where hands it over at once, although the vCPU that had it never runs again', ({ by }) => {
    const vm = boot(vmOf())
    for (const vcpu of [0, 1]) vm.writeSysreg(vcpu, ICC_CTLR_EL1, EOI_MODE_1)
    setTrigger(vm, 40, 'level')
    enable(vm, 40)
    vm.setLine(40, 1)
    expect(acknowledge(vm, 0)).toBe(40)
    end(vm, 0, 40)
    vm.writeMmio(1, GICD + IROUTER + 8 * 40, 8, 1)
    if (by === 1) {
      // It admits nothing that could wake it.
      vm.writeSysreg(0, ICC_PMR_EL1, 0)
      expect(vm.wfi(0)).toBe(false)
    } else expect(vm.wfi(1)).toBe(false)
    vm.writeSysreg(by, ICC_DIR_EL1, 40)
    expect(vm.enter(1)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(40)
  })
})

describe('hard case 17: EOIcount with several active ones outside', () => {
  it('17: deactivates the most urgent one, which is the one that the guest completes first', () => {
    const s = scenario('reverse').gic({ listRegisters: 2 })
    s.sgi({ intid: 1, priority: 0x80 }).sgi({ intid: 2, priority: 0x40 })
    s.sgi({ intid: 3, priority: 0xc0 }).sgi({ intid: 4, priority: 0xc0 })
    const machine = s
      .guest(0, (guest) => {
        guest.sgi(self(1)).ack().sgi(self(2)).ack().sgi(self(3)).sgi(self(4))
        return guest.write(ICC_EOIR1_EL1, 2).sgi(self(2)).ack()
      })
      .machine()
    const events = goTo(machine, 'vcpu0', 'ICC_EOIR1_EL1 := 0x2')
    events.push(...goTo(machine, 'vcpu0', 'fold'))
    expect([1, 2].map((intid) => isActive(machine, intid))).toEqual([true, false])
    expect(acknowledged([...events, ...go(machine, 'vcpu0')])).toEqual([1, 2, 2])
  })
})

describe('hard case 20: a mapped edge that comes while the guest has the one before', () => {
  it('20: is pending at the GIC, and taken after the end of interrupt', () => {
    const machine = scenario('edges')
      .gic({ spis: 64 })
      .spi({ intid: 40, physical: 50 })
      .guest(0, (guest) => busy(busy(guest.wfi().ack(), 20).eoi(), 20).hvc().ack())
      .device('nic', (device) => device.pulse(40).pulse(40))
      .machine()
    go(machine, 'vcpu0')
    fire(machine, 'nic')
    const events = goTo(machine, 'vcpu0', 'read ICC_PMR_EL1')
    fire(machine, 'nic')
    events.push(...go(machine, 'vcpu0'))
    expect(acknowledged(events)).toEqual([40, 40])
  })
})

describe('DIR with EOImode 0', () => {
  it('is ignored, as the silicon does when it does not trap', () => {
    const run = scenario('EOImode 0')
      .guest(0, (guest) => guest.sgi(self(1)).ack().write(ICC_DIR_EL1, 1).sgi(self(1)).hvc().ack())
      .run()
    expect(run.acknowledged(0)).toEqual([1, 1023])
    expect(isActive(run.machine, 1)).toBe(true)
  })
})
