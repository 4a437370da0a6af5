import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1 } from 'vgic'
import { scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  acknowledged,
  busy,
  EOI_MODE_1,
  fire,
  go,
  goTo,
  handle,
  isActive,
  physicalActive,
  self,
} from './hyp-machine.ts'

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
  it('E: 18, 20: a mapped SPI in a list register of a running guest becomes inactive at the GIC too', () => {
    const machine = scenario('mapped')
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
    go(machine, 'vcpu1')
    goTo(machine, 'vcpu0', 'fold')
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
