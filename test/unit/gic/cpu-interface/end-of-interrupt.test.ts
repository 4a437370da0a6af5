/** Priority drop and deactivation by the guest: ICV_EOIR<n>, ICV_DIR and EOImode. */
import {
  ICC_CTLR_EL1,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_RPR_EL1,
  ICH_AP0R0_EL2,
  ICH_AP1R0_EL2,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ichLr,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { type ListRegister, lr, Machine, NO_LINE, VIRQ } from '../../../kit/virtual-interface.ts'

const EOIMODE = 2

/** The guest has acknowledged everything that it was given, which must be in order of rising priority. */
function running(...registers: readonly (ListRegister & { group: 0 | 1 })[]): Machine {
  const m = new Machine().enabled()
  for (const [n, register] of registers.entries()) {
    m.hypervisor.write(ichLr(n), lr(register))
    expect(m.guest.read(register.group === 0 ? ICC_IAR0_EL1 : ICC_IAR1_EL1)).toBe(
      BigInt(register.vintid ?? 0),
    )
  }
  return m
}
const eoiCount = (m: Machine): bigint => m.hypervisor.read(ICH_HCR_EL2) >> 27n

describe('with EOImode 0, a write of ICC_EOIR<n>_EL1', () => {
  it('drops the priority and deactivates', () => {
    const m = running({ group: 1, priority: 0x80, vintid: 33 })
    m.guest.write(ICC_EOIR1_EL1, 33)
    expect(m.state(0)).toBe('invalid')
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
    expect(m.hypervisor.read(ICH_AP1R0_EL2)).toBe(0n)
    expect(eoiCount(m)).toBe(0n)
  })

  it('leaves the other bits of the list register as they were', () => {
    const written = { group: 1, priority: 0x80, vintid: 33, eoi: true } as const
    const m = running(written)
    m.guest.write(ICC_EOIR1_EL1, 33)
    expect(m.hypervisor.read(ichLr(0))).toBe(lr({ ...written, state: 'invalid' }))
  })

  it('unwinds nested interrupts of both groups, highest priority first', () => {
    const m = running(
      { group: 1, priority: 0xc0, vintid: 33 },
      { group: 0, priority: 0x80, vintid: 34 },
      { group: 1, priority: 0x40, vintid: 35 },
    )
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0x40n)
    m.guest.write(ICC_EOIR1_EL1, 35)
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0x80n)
    m.guest.write(ICC_EOIR0_EL1, 34)
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xc0n)
    expect(m.hypervisor.read(ICH_AP0R0_EL2)).toBe(0n)
    m.guest.write(ICC_EOIR1_EL1, 33)
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
    expect([m.state(0), m.state(1), m.state(2)]).toEqual(['invalid', 'invalid', 'invalid'])
  })

  it('makes a pending and active interrupt pending, which is signalled again at once', () => {
    const m = running({ group: 1, priority: 0x80, vintid: 33 })
    m.list({ state: 'pending+active', group: 1, priority: 0x80, vintid: 33 })
    expect(m.lines).toEqual(NO_LINE)
    m.guest.write(ICC_EOIR1_EL1, 33)
    expect(m.state(0)).toBe('pending')
    expect(m.lines).toEqual(VIRQ)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(33n)
  })

  it('lets what it held back be signalled at once', () => {
    const m = running({ group: 1, priority: 0x40, vintid: 33 })
    m.hypervisor.write(ichLr(1), lr({ group: 1, priority: 0x60, vintid: 34 }))
    expect(m.lines).toEqual(NO_LINE)
    m.guest.write(ICC_EOIR1_EL1, 33)
    expect(m.lines).toEqual(VIRQ)
  })

  it('hard case 4: with nothing active is tolerated and changes nothing', () => {
    const m = new Machine().enabled().list({ group: 1, priority: 0x80, vintid: 33 })
    const before = m.gic.hash()
    for (const intid of [33, 40, 0, 1019, 8192]) {
      m.guest.write(ICC_EOIR0_EL1, intid)
      m.guest.write(ICC_EOIR1_EL1, intid)
    }
    expect(m.gic.hash()).toBe(before)
    expect(m.lines).toEqual(VIRQ)
  })

  it('hard case 4: with nothing active is tolerated in EOImode 1 as well', () => {
    const m = new Machine().enabled()
    m.guest.write(ICC_CTLR_EL1, EOIMODE)
    const before = m.gic.hash()
    m.guest.write(ICC_EOIR0_EL1, 33)
    m.guest.write(ICC_EOIR1_EL1, 33)
    expect(m.gic.hash()).toBe(before)
  })

  it('of a special INTID does not even drop the priority', () => {
    const m = running({ group: 1, priority: 0x80, vintid: 33 })
    const before = m.gic.hash()
    for (const intid of [1020, 1021, 1022, 1023]) m.guest.write(ICC_EOIR1_EL1, intid)
    expect(m.gic.hash()).toBe(before)
  })

  it('that names another interrupt than the one of the dropped priority deactivates nothing: a choice', () => {
    const m = running({ group: 1, priority: 0xc0, vintid: 33 }, { group: 1, priority: 0x80, vintid: 34 })
    m.guest.write(ICC_EOIR1_EL1, 33)
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xc0n)
    expect([m.state(0), m.state(1)]).toEqual(['active', 'active'])
    expect(eoiCount(m)).toBe(0n)
  })

  it('through the register of the other group drops the priority and deactivates nothing: a choice', () => {
    for (const group of [0, 1] as const) {
      const m = running({ group, priority: 0x80, vintid: 33 })
      m.guest.write(group === 0 ? ICC_EOIR1_EL1 : ICC_EOIR0_EL1, 33)
      expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
      expect(m.state(0)).toBe('active')
      expect(eoiCount(m)).toBe(0n)
    }
  })

  it('takes the INTID from bits 23:0', () => {
    const m = running({ group: 1, priority: 0x80, vintid: 33 })
    m.guest.write(ICC_EOIR1_EL1, 0xffff_ffff_ff00_0021n)
    expect(m.state(0)).toBe('invalid')
  })

  it('takes the INTID from bits 15:0 where the interface has 16 bits', () => {
    const m = new Machine({ intidBits: 16 }).enabled().list({ group: 1, priority: 0x80, vintid: 33 })
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(33n)
    m.guest.write(ICC_EOIR1_EL1, 0xff_0021)
    expect(m.state(0)).toBe('invalid')
  })
})

describe('hard case 5: EOImode', () => {
  it('is bit 1 of ICC_CTLR_EL1 and bit 9 of ICH_VMCR_EL2', () => {
    const m = new Machine().enabled()
    expect(m.hypervisor.read(ICH_VMCR_EL2) & 0x210n).toBe(0n)
    m.guest.write(ICC_CTLR_EL1, 2)
    expect(m.guest.read(ICC_CTLR_EL1) & 0x3n).toBe(2n)
    expect(m.hypervisor.read(ICH_VMCR_EL2) & 0x210n).toBe(0x200n)
    m.guest.write(ICC_CTLR_EL1, 0x200)
    expect(m.guest.read(ICC_CTLR_EL1) & 0x3n).toBe(0n)
    expect(m.hypervisor.read(ICH_VMCR_EL2) & 0x210n).toBe(0n)
    m.hypervisor.write(ICH_VMCR_EL2, 0x200)
    expect(m.guest.read(ICC_CTLR_EL1) & 0x3n).toBe(2n)
    m.hypervisor.write(ICH_VMCR_EL2, 0x2)
    expect(m.guest.read(ICC_CTLR_EL1) & 0x3n).toBe(0n)
  })

  it('1: EOIR only drops the priority, in both groups', () => {
    for (const group of [0, 1] as const) {
      const m = running({ group, priority: 0x80, vintid: 33 })
      m.guest.write(ICC_CTLR_EL1, EOIMODE)
      m.guest.write(group === 0 ? ICC_EOIR0_EL1 : ICC_EOIR1_EL1, 33)
      expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
      expect(m.state(0)).toBe('active')
      expect(eoiCount(m)).toBe(0n)
    }
  })

  it('1: DIR only deactivates, in both groups and in any order', () => {
    const m = running({ group: 1, priority: 0xc0, vintid: 33 }, { group: 0, priority: 0x80, vintid: 34 })
    m.guest.write(ICC_CTLR_EL1, EOIMODE)
    m.guest.write(ICC_DIR_EL1, 33)
    expect([m.state(0), m.state(1)]).toEqual(['invalid', 'active'])
    m.guest.write(ICC_DIR_EL1, 34)
    expect([m.state(0), m.state(1)]).toEqual(['invalid', 'invalid'])
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0x80n)
    expect(m.hypervisor.read(ICH_AP0R0_EL2)).toBe(1n << 16n)
    expect(m.hypervisor.read(ICH_AP1R0_EL2)).toBe(1n << 24n)
  })

  it('1: DIR makes a pending and active interrupt pending', () => {
    const m = running({ group: 1, priority: 0x80, vintid: 33 })
    m.guest.write(ICC_CTLR_EL1, EOIMODE)
    m.guest.write(ICC_EOIR1_EL1, 33)
    m.list({ state: 'pending+active', group: 1, priority: 0x80, vintid: 33 })
    expect(m.lines).toEqual(NO_LINE)
    m.guest.write(ICC_DIR_EL1, 33)
    expect(m.lines).toEqual(VIRQ)
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(33n)
  })

  it('1: after the drop an interrupt of equal priority is signalled although the first is still active', () => {
    const m = running({ group: 1, priority: 0x80, vintid: 33 })
    m.guest.write(ICC_CTLR_EL1, EOIMODE)
    m.hypervisor.write(ichLr(1), lr({ group: 1, priority: 0x80, vintid: 34 }))
    expect(m.lines).toEqual(NO_LINE)
    m.guest.write(ICC_EOIR1_EL1, 33)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(34n)
    expect([m.state(0), m.state(1)]).toEqual(['active', 'active'])
  })

  it('0: DIR is ignored', () => {
    const m = running({ group: 1, priority: 0x80, vintid: 33 })
    const before = m.gic.hash()
    m.guest.write(ICC_DIR_EL1, 33)
    m.guest.write(ICC_DIR_EL1, 50)
    expect(m.gic.hash()).toBe(before)
  })

  it('1: DIR of what is pending or invalid is one of an interrupt in no list register', () => {
    const m = new Machine()
      .enabled()
      .list({ group: 1, priority: 0x80, vintid: 33 }, { state: 'invalid', vintid: 34 })
    m.guest.write(ICC_CTLR_EL1, EOIMODE)
    m.guest.write(ICC_DIR_EL1, 33)
    expect(m.state(0)).toBe('pending')
    expect(eoiCount(m)).toBe(1n)
    m.guest.write(ICC_DIR_EL1, 34)
    expect(eoiCount(m)).toBe(2n)
  })
})
