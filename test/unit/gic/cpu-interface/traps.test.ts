/** Which guest accesses ICH_HCR_EL2 and HCR_EL2 trap, with which syndrome. */
import {
  encodeSysreg,
  HCR_EL2,
  ICC_IAR1_EL1,
  ICC_SGI1R_EL1,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ISR_EL1,
  ichApr,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { Machine, UNDEFINED } from '../../../kit/virtual-interface.ts'

type Encoding = readonly [op0: number, op1: number, crn: number, crm: number, op2: number]
interface Register {
  readonly name: string
  readonly at: Encoding
  readonly access: 'RO' | 'WO' | 'RW'
  /** ICH_HCR_EL2 bits that trap it. */
  readonly traps: number
}

const TC = 0x400
const TALL0 = 0x800
const TALL1 = 0x1000
const TDIR = 0x4000
const IMO = 0x10
const FMO = 0x8

const group0: readonly Register[] = [
  { name: 'ICC_IAR0_EL1', at: [3, 0, 12, 8, 0], access: 'RO', traps: TALL0 },
  { name: 'ICC_EOIR0_EL1', at: [3, 0, 12, 8, 1], access: 'WO', traps: TALL0 },
  { name: 'ICC_HPPIR0_EL1', at: [3, 0, 12, 8, 2], access: 'RO', traps: TALL0 },
  { name: 'ICC_BPR0_EL1', at: [3, 0, 12, 8, 3], access: 'RW', traps: TALL0 },
  { name: 'ICC_AP0R0_EL1', at: [3, 0, 12, 8, 4], access: 'RW', traps: TALL0 },
  { name: 'ICC_AP0R1_EL1', at: [3, 0, 12, 8, 5], access: 'RW', traps: TALL0 },
  { name: 'ICC_AP0R2_EL1', at: [3, 0, 12, 8, 6], access: 'RW', traps: TALL0 },
  { name: 'ICC_AP0R3_EL1', at: [3, 0, 12, 8, 7], access: 'RW', traps: TALL0 },
  { name: 'ICC_IGRPEN0_EL1', at: [3, 0, 12, 12, 6], access: 'RW', traps: TALL0 },
]
const group1: readonly Register[] = [
  { name: 'ICC_IAR1_EL1', at: [3, 0, 12, 12, 0], access: 'RO', traps: TALL1 },
  { name: 'ICC_EOIR1_EL1', at: [3, 0, 12, 12, 1], access: 'WO', traps: TALL1 },
  { name: 'ICC_HPPIR1_EL1', at: [3, 0, 12, 12, 2], access: 'RO', traps: TALL1 },
  { name: 'ICC_BPR1_EL1', at: [3, 0, 12, 12, 3], access: 'RW', traps: TALL1 },
  { name: 'ICC_AP1R0_EL1', at: [3, 0, 12, 9, 0], access: 'RW', traps: TALL1 },
  { name: 'ICC_AP1R1_EL1', at: [3, 0, 12, 9, 1], access: 'RW', traps: TALL1 },
  { name: 'ICC_AP1R2_EL1', at: [3, 0, 12, 9, 2], access: 'RW', traps: TALL1 },
  { name: 'ICC_AP1R3_EL1', at: [3, 0, 12, 9, 3], access: 'RW', traps: TALL1 },
  { name: 'ICC_IGRPEN1_EL1', at: [3, 0, 12, 12, 7], access: 'RW', traps: TALL1 },
]
const common: readonly Register[] = [
  { name: 'ICC_PMR_EL1', at: [3, 0, 4, 6, 0], access: 'RW', traps: TC },
  { name: 'ICC_RPR_EL1', at: [3, 0, 12, 11, 3], access: 'RO', traps: TC },
  { name: 'ICC_CTLR_EL1', at: [3, 0, 12, 12, 4], access: 'RW', traps: TC },
  { name: 'ICC_DIR_EL1', at: [3, 0, 12, 11, 1], access: 'WO', traps: TC | TDIR },
]
const sgi: readonly Register[] = [
  { name: 'ICC_SGI1R_EL1', at: [3, 0, 12, 11, 5], access: 'WO', traps: TC },
  { name: 'ICC_ASGI1R_EL1', at: [3, 0, 12, 11, 6], access: 'WO', traps: TC },
  { name: 'ICC_SGI0R_EL1', at: [3, 0, 12, 11, 7], access: 'WO', traps: TC },
]
const virtual = [...group0, ...group1, ...common]

const encoding = ({ at }: Register): number => encodeSysreg(...at)

/** ESR_EL2 of a trapped MSR, MRS: EC 0x18, IL, then Op0, Op2, Op1, CRn, Rt (0 here), CRm and the direction. */
function syndrome({ at: [op0, op1, crn, crm, op2] }: Register, direction: 0 | 1): number {
  const iss = (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (crm << 1) | direction
  return 0x18 * 2 ** 26 + 2 ** 25 + iss
}

const machine = (hcr: number, hcrEl2 = IMO | FMO): Machine => {
  const m = new Machine({ priorityBits: 8, preemptionBits: 7 }).enabled()
  m.hypervisor.write(ICH_HCR_EL2, hcr | 1)
  m.hypervisor.write(HCR_EL2, hcrEl2)
  return m
}

/** What an access is answered with in each direction; one that does not exist is UNDEFINED before all traps. */
function expectBoth(m: Machine, register: Register, answer: (direction: 0 | 1) => number): void {
  const read = register.access === 'WO' ? UNDEFINED : answer(1)
  const write = register.access === 'RO' ? UNDEFINED : answer(0)
  expect([m.guest.syndromeOfRead(encoding(register)), `${register.name} read`]).toEqual([
    read,
    `${register.name} read`,
  ])
  expect([m.guest.syndromeOfWrite(encoding(register), 0), `${register.name} write`]).toEqual([
    write,
    `${register.name} write`,
  ])
}

describe('ICH_HCR_EL2', () => {
  it.each([
    { bit: 0, name: 'none of the trap bits' },
    { bit: TC, name: 'TC' },
    { bit: TALL0, name: 'TALL0' },
    { bit: TALL1, name: 'TALL1' },
    { bit: TDIR, name: 'TDIR' },
    { bit: TC | TALL0 | TALL1 | TDIR, name: 'all of the trap bits' },
  ])('$name: traps its registers in both directions, and no others', ({ bit }) => {
    for (const register of virtual) {
      expectBoth(machine(bit), register, (direction) =>
        (register.traps & bit) !== 0 ? syndrome(register, direction) : 0,
      )
    }
  })

  it('traps whatever HCR_EL2.IMO and FMO say', () => {
    for (const register of [...virtual, ...sgi]) {
      expectBoth(machine(TC | TALL0 | TALL1, 0), register, (direction) => syndrome(register, direction))
    }
  })

  it('traps while En is 0 as well', () => {
    const m = machine(0)
    m.hypervisor.write(ICH_HCR_EL2, TALL1)
    expect(m.guest.syndromeOfRead(ICC_IAR1_EL1)).toBe(0x6230_3019)
  })

  it('does not trap the hypervisor, nor ISR_EL1', () => {
    const m = machine(TC | TALL0 | TALL1 | TDIR)
    for (const register of [...virtual, ...sgi]) {
      if (register.access !== 'WO') expect(m.hypervisor.syndromeOfRead(encoding(register))).toBe(0)
      if (register.access !== 'RO') expect(m.hypervisor.syndromeOfWrite(encoding(register), 0)).toBe(0)
    }
    expect(m.hypervisor.syndromeOfRead(ICH_HCR_EL2)).toBe(0)
    expect(m.guest.syndromeOfRead(ISR_EL1)).toBe(0)
  })
})

describe('a trapped access', () => {
  it('reads 0 and has no effect', () => {
    const m = machine(TC | TALL0 | TALL1).list({ group: 1, priority: 0x20, vintid: 40 })
    const before = m.gic.hash()
    for (const register of virtual) {
      expect(m.guest.read(encoding(register))).toBe(0n)
      m.guest.write(encoding(register), 0xffff_ffff)
    }
    expect(m.gic.hash()).toBe(before)
    expect(m.lines.virq).toBe(true)
  })

  it('is reported as the last one only', () => {
    const m = machine(TALL1)
    expect(m.guest.syndromeOfRead(ICC_IAR1_EL1)).toBe(0x6230_3019)
    expect(m.gic.lastWasUndefined).toBe(false)
    expect(m.guest.syndromeOfRead(ISR_EL1)).toBe(0)
    expect(m.gic.lastWasUndefined).toBe(false)
    m.guest.read(ICH_HCR_EL2)
    expect(m.gic.lastWasUndefined).toBe(true)
  })
})

describe('the SGI registers, which have no virtual counterpart', () => {
  it.each([
    { hcrEl2: IMO, traps: true },
    { hcrEl2: FMO, traps: true },
    { hcrEl2: IMO | FMO, traps: true },
    { hcrEl2: 0, traps: false },
  ])('trap with HCR_EL2.IMO or FMO ($hcrEl2); else they are the physical ones', ({ hcrEl2, traps }) => {
    for (const register of sgi) {
      expectBoth(machine(0, hcrEl2), register, () => (traps ? syndrome(register, 0) : 0))
    }
  })

  it('trap with TC as well', () => {
    expect(machine(TC).guest.syndromeOfWrite(ICC_SGI1R_EL1, 0)).toBe(0x623a_3016)
  })
})

/** ICH_VMCR_EL2 and the active priorities: what a guest's registers stand for. */
const hypervisorState = (m: Machine): string =>
  [ICH_VMCR_EL2, ...[0, 1, 2, 3].flatMap((n) => [ichApr(0, n), ichApr(1, n)])]
    .map((register) => m.hypervisor.read(register))
    .join()

describe('HCR_EL2', () => {
  it('IMO alone gives the virtual registers of group 1, FMO those of group 0, either one the common ones', () => {
    for (const hcrEl2 of [0, IMO, FMO, IMO | FMO]) {
      for (const register of virtual) {
        const bits = group0.includes(register) ? FMO : group1.includes(register) ? IMO : IMO | FMO
        const m = machine(0, hcrEl2)
        expectBoth(m, register, () => 0)
        if (register.access !== 'RW') continue
        // Each interface has a register of its own: only the virtual one's is among the ICH_* state.
        const before = hypervisorState(m)
        const value = m.guest.read(encoding(register))
        m.guest.write(encoding(register), value ^ 3n)
        const isVirtual = hypervisorState(m) !== before
        expect([register.name, isVirtual]).toEqual([register.name, (hcrEl2 & bits) !== 0])
      }
    }
  })
})
