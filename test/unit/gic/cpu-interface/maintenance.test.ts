/** The maintenance interrupt: ICH_MISR_EL2 and the level that it makes. */
import {
  Gic,
  ICC_AP1R0_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICH_EISR_EL2,
  ICH_HCR_EL2,
  ICH_MISR_EL2,
  ichLr,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { type ListRegister, lr, Machine } from '../../../kit/virtual-interface.ts'

const EN = 0x1
const UIE = 0x2
const LRENPIE = 0x4
const NPIE = 0x8

/** A machine whose hypervisor has written ICH_HCR_EL2. */
function machine(hcr: number, config = {}): Machine {
  const m = new Machine(config)
  m.hypervisor.write(ICH_HCR_EL2, hcr)
  return m
}
const misr = (m: Machine): number => Number(m.hypervisor.read(ICH_MISR_EL2))
const invalid: ListRegister = { state: 'invalid' }
const pending: ListRegister = { state: 'pending', vintid: 40 }
const active: ListRegister = { state: 'active', vintid: 41 }
const both: ListRegister = { state: 'pending+active', vintid: 42 }

describe('ICH_MISR_EL2', () => {
  it('is 0 after reset, and the interrupt is low', () => {
    const m = new Machine()
    expect(misr(m)).toBe(0)
    expect(m.maintenance).toBe(false)
  })

  it.each([
    { registers: [], underflow: true },
    { registers: [pending], underflow: true },
    { registers: [active], underflow: true },
    { registers: [both], underflow: true },
    { registers: [{ state: 'invalid', eoi: true }, active], underflow: true },
    { registers: [pending, active], underflow: false },
    { registers: [invalid, both, invalid, active], underflow: false },
    { registers: [pending, pending, pending, pending], underflow: false },
  ] as { registers: ListRegister[]; underflow: boolean }[])(
    'U (bit 1): with UIE, none or one list register is valid: $registers',
    ({ registers, underflow }) => {
      const m = machine(EN | UIE).list(...registers)
      expect((misr(m) & 2) !== 0).toBe(underflow)
      m.hypervisor.write(ICH_HCR_EL2, EN)
      expect(misr(m) & 2).toBe(0)
    },
  )

  it('U is always so with a single list register', () => {
    const m = machine(EN | UIE, { listRegisters: 1 }).list(pending)
    expect(misr(m)).toBe(2)
  })

  it.each([
    { registers: [], none: true },
    { registers: [active, active], none: true },
    { registers: [both], none: true },
    { registers: [pending], none: false },
    { registers: [active, both, invalid, pending], none: false },
  ] as { registers: ListRegister[]; none: boolean }[])(
    'NP (bit 3): with NPIE, no list register is pending: $registers',
    ({ registers, none }) => {
      const m = machine(EN | NPIE).list(...registers)
      expect(misr(m)).toBe(none ? 8 : 0)
      m.hypervisor.write(ICH_HCR_EL2, EN)
      expect(misr(m)).toBe(0)
    },
  )

  it('hard case 13: LRENP (bit 2) needs LRENPIE and an EOIcount that is not 0', () => {
    for (let count = 0; count < 32; count++) {
      const counted = count * 2 ** 27
      expect(misr(machine(counted + EN))).toBe(0)
      expect(misr(machine(counted + EN + LRENPIE))).toBe(count === 0 ? 0 : 4)
      expect(machine(counted + EN + LRENPIE).maintenance).toBe(count !== 0)
    }
  })

  it.each([
    {
      enable: 0x10,
      bit: 0x10,
      register: ICC_IGRPEN0_EL1,
      when: 1,
      name: 'VGrp0E (bit 4): group 0 is enabled',
    },
    {
      enable: 0x20,
      bit: 0x20,
      register: ICC_IGRPEN0_EL1,
      when: 0,
      name: 'VGrp0D (bit 5): group 0 is disabled',
    },
    {
      enable: 0x40,
      bit: 0x40,
      register: ICC_IGRPEN1_EL1,
      when: 1,
      name: 'VGrp1E (bit 6): group 1 is enabled',
    },
    {
      enable: 0x80,
      bit: 0x80,
      register: ICC_IGRPEN1_EL1,
      when: 0,
      name: 'VGrp1D (bit 7): group 1 is disabled',
    },
  ])('$name, and it follows no other group', ({ enable, bit, register, when }) => {
    const other = register === ICC_IGRPEN0_EL1 ? ICC_IGRPEN1_EL1 : ICC_IGRPEN0_EL1
    for (const own of [0, 1]) {
      for (const others of [0, 1]) {
        const m = machine(EN | enable)
        m.guest.write(register, own)
        m.guest.write(other, others)
        expect(misr(m)).toBe(own === when ? bit : 0)
        expect(m.maintenance).toBe(own === when)
        m.hypervisor.write(ICH_HCR_EL2, EN)
        expect(misr(m)).toBe(0)
      }
    }
  })

  it('EOI (bit 0) needs no enable in ICH_HCR_EL2: that of the list register is enough', () => {
    const m = machine(EN).list({ state: 'invalid', eoi: true })
    expect(misr(m)).toBe(1)
    expect(m.maintenance).toBe(true)
  })

  it('shows its bits while En is 0, but the interrupt is low', () => {
    const m = machine(UIE | NPIE | 0xa0).list({ state: 'invalid', eoi: true })
    expect(misr(m)).toBe(0xab)
    expect(m.maintenance).toBe(false)
    m.hypervisor.write(ICH_HCR_EL2, EN | UIE | NPIE | 0xa0)
    expect(m.maintenance).toBe(true)
  })

  it('VGrp0D follows the enable of group 0; on QEMU that of group 1', () => {
    const VGrp0DIE = 0x20
    const enabled = (profile: 'arch' | 'qemu-7.2' | 'qemu-11.1' | 'qemu-11.1-fixed') =>
      [ICC_IGRPEN0_EL1, ICC_IGRPEN1_EL1].map((register) => {
        const m = machine(EN | VGrp0DIE, { profile })
        m.guest.write(register, 1)
        return misr(m)
      })
    for (const profile of ['arch', 'qemu-11.1-fixed'] as const)
      expect(enabled(profile)).toEqual([0, VGrp0DIE])
    for (const profile of ['qemu-7.2', 'qemu-11.1'] as const) expect(enabled(profile)).toEqual([VGrp0DIE, 0])
  })

  it('gathers all its bits at once', () => {
    const m = machine(0x8000_0000 + 0xff)
    m.list({ state: 'invalid', eoi: true })
    m.guest.write(ICC_IGRPEN0_EL1, 1)
    expect(misr(m)).toBe(0x9f)
    m.guest.write(ICC_IGRPEN1_EL1, 1)
    m.guest.write(ICC_IGRPEN0_EL1, 0)
    expect(misr(m)).toBe(0x6f)
  })
})

describe('hard case 13: the maintenance interrupt is a level that drops when its cause goes', () => {
  it('underflow: rises when the guest ends the second last interrupt, falls when the hypervisor refills', () => {
    const m = new Machine().enabled()
    m.hypervisor.write(ICH_HCR_EL2, EN | UIE)
    m.list({ group: 1, priority: 0x40, vintid: 40 }, { group: 1, priority: 0x80, vintid: 41 })
    expect(m.maintenance).toBe(false)
    m.guest.read(ICC_IAR1_EL1)
    expect(m.maintenance).toBe(false)
    m.guest.write(ICC_EOIR1_EL1, 40)
    expect(m.maintenance).toBe(true)
    m.hypervisor.write(ichLr(0), lr({ group: 1, priority: 0x40, vintid: 42 }))
    expect(m.maintenance).toBe(false)
  })

  it('no pending: rises with the acknowledge of the last one, falls with the next', () => {
    const m = new Machine().enabled()
    m.hypervisor.write(ICH_HCR_EL2, EN | NPIE)
    m.list({ group: 1, priority: 0x40, vintid: 40 })
    expect(m.maintenance).toBe(false)
    m.guest.read(ICC_IAR1_EL1)
    expect(m.maintenance).toBe(true)
    m.hypervisor.write(ichLr(1), lr({ group: 1, priority: 0x80, vintid: 41 }))
    expect(m.maintenance).toBe(false)
  })

  it('EOI: rises with the EOIR, falls when the hypervisor clears the list register', () => {
    const m = new Machine().enabled().list({ group: 1, priority: 0x40, vintid: 40, eoi: true })
    expect(m.maintenance).toBe(false)
    m.guest.read(ICC_IAR1_EL1)
    expect(m.maintenance).toBe(false)
    m.guest.write(ICC_EOIR1_EL1, 40)
    expect(m.hypervisor.read(ICH_EISR_EL2)).toBe(1n)
    expect(m.maintenance).toBe(true)
    m.hypervisor.write(ichLr(0), 0)
    expect(m.hypervisor.read(ICH_EISR_EL2)).toBe(0n)
    expect(m.maintenance).toBe(false)
  })

  it('EOIcount: rises with the EOIR, falls when the hypervisor writes 0, or when the count wraps', () => {
    const m = new Machine().enabled()
    m.hypervisor.write(ICH_HCR_EL2, EN | LRENPIE)
    const end = () => {
      m.guest.write(ICC_AP1R0_EL1, 1)
      m.guest.write(ICC_EOIR1_EL1, 40)
      return m.maintenance
    }
    expect(end()).toBe(true)
    m.hypervisor.write(ICH_HCR_EL2, EN | LRENPIE)
    expect(m.maintenance).toBe(false)
    expect(Array.from({ length: 32 }, end)).toEqual([...Array.from({ length: 31 }, () => true), false])
  })

  it('group enables: follow the guest', () => {
    const m = new Machine()
    m.hypervisor.write(ICH_HCR_EL2, EN | 0x40)
    const seen = [0, 1, 1, 0].map((enable) => {
      m.guest.write(ICC_IGRPEN1_EL1, enable)
      return m.maintenance
    })
    expect(seen).toEqual([false, true, true, false])
  })
})

describe('a maintenance interrupt that lags', () => {
  const MAINTENANCE = 'maintenance interrupt[0]'
  const gic = (): Gic => {
    const silicon = new Gic({ cpus: 1, maintenanceInterrupt: 'lagging' })
    silicon.writeSysreg(0, ICH_HCR_EL2, EN | UIE, 2)
    return silicon
  }
  const isPending = (silicon: Gic): boolean => ((silicon.readMmio(0x080b_0200, 4) >>> 25) & 1) === 1

  it('rises when it is completed', () => {
    const silicon = gic()
    expect(silicon.line(0, 'maintenance')).toBe(1)
    expect(isPending(silicon)).toBe(false)
    expect([silicon.writesPending, silicon.effects()]).toEqual([true, [MAINTENANCE]])
    silicon.complete(MAINTENANCE)
    expect(isPending(silicon)).toBe(true)
    expect([silicon.writesPending, silicon.effects()]).toEqual([false, []])
  })

  it('rises with all that lags', () => {
    const silicon = gic()
    silicon.completeWrites()
    expect(isPending(silicon)).toBe(true)
  })

  it('falls at once, and does not rise any more if its cause went first', () => {
    const silicon = gic()
    silicon.complete(MAINTENANCE)
    silicon.writeSysreg(0, ICH_HCR_EL2, 0, 2)
    expect(isPending(silicon)).toBe(false)
    silicon.writeSysreg(0, ICH_HCR_EL2, EN | UIE, 2)
    silicon.writeSysreg(0, ICH_HCR_EL2, 0, 2)
    expect(silicon.effects()).toEqual([])
  })
})
