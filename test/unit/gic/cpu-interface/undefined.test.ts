/** Accesses that are UNDEFINED: no such register, not in that direction, not at that level. */
import {
  encodeSysreg,
  HCR_EL2,
  ICC_IGRPEN1_EL1,
  ICC_SRE_EL1,
  ICC_SRE_EL2,
  ICH_EISR_EL2,
  ICH_ELRSR_EL2,
  ICH_HCR_EL2,
  ICH_MISR_EL2,
  ICH_VMCR_EL2,
  ICH_VTR_EL2,
  ISR_EL1,
  iccRegisters,
  ichRegisters,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { Machine, Software, UNDEFINED, VIRQ } from '../../../kit/virtual-interface.ts'

const widest = { listRegisters: 16, priorityBits: 8, preemptionBits: 7, version: '4.1' } as const
const ALL_ONES = 0xffff_ffff_ffff_ffffn

/** All accesses to all encodings are UNDEFINED, read 0 and change nothing. */
function expectUndefined(m: Machine, software: Software, encodings: readonly number[], how = 'rw'): void {
  const before = m.gic.hash()
  for (const encoding of encodings) {
    if (how.includes('r')) {
      expect(software.read(encoding)).toBe(0n)
      expect(m.gic.lastTrap).toBe(UNDEFINED)
      expect(m.gic.lastWasUndefined).toBe(true)
    }
    if (how.includes('w')) expect(software.syndromeOfWrite(encoding, ALL_ONES)).toBe(UNDEFINED)
  }
  expect(m.gic.hash()).toBe(before)
}

describe('UNDEFINED accesses', () => {
  it('at EL1: every ICH_* register, HCR_EL2 and ICC_SRE_EL2', () => {
    const m = new Machine(widest)
    expectUndefined(m, m.guest, [...ichRegisters.map(({ encoding }) => encoding), HCR_EL2, ICC_SRE_EL2])
  })

  it('at EL0: everything', () => {
    const m = new Machine(widest).enabled().list({ group: 1, priority: 0x20, vintid: 40 })
    const user = new Software(m.gic, 0, 0)
    const all = [...iccRegisters, ...ichRegisters].map(({ encoding }) => encoding)
    expectUndefined(m, user, [...all, HCR_EL2])
  })

  it('at EL0: even with all traps to EL2 set', () => {
    const m = new Machine(widest)
    m.hypervisor.write(ICH_HCR_EL2, 0x5c01)
    expectUndefined(m, new Software(m.gic, 0, 0), [ICC_IGRPEN1_EL1])
  })

  it('read-only registers written, at EL2', () => {
    const m = new Machine(widest)
    expectUndefined(m, m.hypervisor, [ICH_VTR_EL2, ICH_MISR_EL2, ICH_EISR_EL2, ICH_ELRSR_EL2, ISR_EL1], 'w')
    for (const register of [ICH_VTR_EL2, ICH_MISR_EL2, ICH_EISR_EL2, ICH_ELRSR_EL2, ISR_EL1]) {
      expect(m.hypervisor.syndromeOfRead(register)).toBe(0)
    }
  })

  it('read-only registers written and write-only registers read, at EL1', () => {
    const m = new Machine(widest)
    const of = (access: string) =>
      iccRegisters.filter((r) => r.access === access).map(({ encoding }) => encoding)
    expect([of('RO').length, of('WO').length]).toEqual([7, 6])
    expectUndefined(m, m.guest, of('RO'), 'w')
    expectUndefined(m, m.guest, of('WO'), 'r')
  })

  it('the registers of EL3, at EL1 and EL2', () => {
    const m = new Machine(widest)
    const el3 = iccRegisters.filter(({ name }) => name.endsWith('_EL3')).map(({ encoding }) => encoding)
    expect(el3).toHaveLength(3)
    expectUndefined(m, m.guest, el3)
    expectUndefined(m, m.hypervisor, el3)
  })

  it('the NMI acknowledge register, for there is no FEAT_GICv3_NMI', () => {
    const m = new Machine(widest)
    expectUndefined(m, m.guest, [encodeSysreg(3, 0, 12, 9, 5)])
  })

  it('nothing of the physical CPU interface at EL2, but in the direction that does not exist', () => {
    const m = new Machine(widest).enabled().list({ group: 1, priority: 0x20, vintid: 40 })
    const physical = iccRegisters.filter(
      ({ name, feature }) => /^ICC_.*_EL1$/.test(name) && feature === undefined,
    )
    expect(physical).toHaveLength(26)
    for (const { encoding, access } of physical) {
      expect(m.hypervisor.syndromeOfRead(encoding)).toBe(access === 'WO' ? UNDEFINED : 0)
      expect(m.hypervisor.syndromeOfWrite(encoding, 0)).toBe(access === 'RO' ? UNDEFINED : 0)
    }
    // The guest's interrupt is still there: the hypervisor has acknowledged a physical one, if any.
    expect(m.lines).toEqual(VIRQ)
  })

  it('every encoding that names no register of the GIC, at EL1 and EL2', () => {
    const m = new Machine(widest)
    const known = new Set([...iccRegisters, ...ichRegisters].map(({ encoding }) => encoding).concat(HCR_EL2))
    const unknown: number[] = []
    for (const op1 of [0, 3, 4, 6]) {
      for (const crn of [0, 1, 4, 12, 15]) {
        for (let crm = 0; crm < 16; crm++) {
          for (let op2 = 0; op2 < 8; op2++) unknown.push(encodeSysreg(3, op1, crn, crm, op2))
        }
      }
    }
    for (const software of [m.guest, m.hypervisor]) {
      expectUndefined(
        m,
        software,
        unknown.filter((encoding) => !known.has(encoding)),
      )
    }
  })

  it('numbers that are no encodings', () => {
    const m = new Machine(widest)
    const nonsense = [
      -1,
      0,
      0x10000,
      2 ** 31,
      2 ** 32,
      2 ** 53,
      ICH_HCR_EL2 + 2 ** 32,
      ICH_HCR_EL2 + 0.5,
      Number.NaN,
    ]
    expectUndefined(m, m.hypervisor, [...nonsense, Number.POSITIVE_INFINITY])
  })

  it('leave what is defined as it was: the next access goes through', () => {
    const m = new Machine(widest)
    expect(m.hypervisor.syndromeOfRead(0)).toBe(UNDEFINED)
    expect(m.hypervisor.syndromeOfRead(ICH_VMCR_EL2)).toBe(0)
    expect(m.gic.lastWasUndefined).toBe(false)
    expect(m.guest.syndromeOfRead(ICC_SRE_EL1)).toBe(0)
  })
})

describe('the upper half of a register', () => {
  it('is not left over from the last 64-bit read', () => {
    const m = new Machine(widest).list({ group: 1, priority: 0x20, vintid: 40 })
    expect(
      m.hypervisor.read(ichRegisters.find(({ name }) => name === 'ICH_LR0_EL2')?.encoding ?? 0) >> 32n,
    ).not.toBe(0n)
    expect(m.hypervisor.read(ICH_VTR_EL2) >> 32n).toBe(0n)
    expect(m.hypervisor.read(0)).toBe(0n)
  })
})
