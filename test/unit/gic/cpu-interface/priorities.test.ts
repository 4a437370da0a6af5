/** The guest's priority mask, binary points, control register and group enables, and where ICH_VMCR_EL2 has them. */
import {
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_RPR_EL1,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ichLr,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { lr, Machine, NO_LINE, VIRQ } from '../../../kit/virtual-interface.ts'

const ALL_ONES = 0xffff_ffff_ffff_ffffn
const vmcr = (m: Machine, hi: number, lo: number): number =>
  Number((m.hypervisor.read(ICH_VMCR_EL2) >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n))

const priorityMasks = [
  { priorityBits: 5, mask: 0xf8 },
  { priorityBits: 6, mask: 0xfc },
  { priorityBits: 7, mask: 0xfe },
  { priorityBits: 8, mask: 0xff },
] as const

describe.each(priorityMasks)('with $priorityBits priority bits', ({ priorityBits, mask }) => {
  const machine = () => new Machine({ priorityBits, preemptionBits: 5 })

  it('hard case 2: ICC_PMR_EL1 keeps the implemented bits of 7:0, and reads nothing above them', () => {
    const m = machine()
    for (const value of [0n, 0xffn, 0xa5n, 0x07n, 0x100n, 0xff00n, 0xffff_ff80n, ALL_ONES]) {
      m.guest.write(ICC_PMR_EL1, value)
      expect(m.guest.read(ICC_PMR_EL1)).toBe(value & BigInt(mask))
      expect(vmcr(m, 31, 24)).toBe(Number(value & BigInt(mask)))
    }
  })

  it('hard case 2: ICH_VMCR_EL2.VPMR has the same bits', () => {
    const m = machine()
    m.hypervisor.write(ICH_VMCR_EL2, 0xff00_0000n)
    expect(vmcr(m, 31, 24)).toBe(mask)
    expect(m.guest.read(ICC_PMR_EL1)).toBe(BigInt(mask))
  })

  it('hard case 2: the mask compares without its unimplemented bits', () => {
    const m = machine().enabled().list({ group: 1, priority: 0x80, vintid: 40 })
    m.guest.write(ICC_PMR_EL1, 0x80 | (0xff & ~mask))
    expect(m.lines).toEqual(NO_LINE)
    m.guest.write(ICC_PMR_EL1, 0x80 + (0x100 - mask))
    expect(m.lines).toEqual(VIRQ)
  })

  it('a list register keeps the implemented bits of its priority', () => {
    const m = machine()
    m.hypervisor.write(ichLr(0), lr({ priority: 0xff, vintid: 40 }))
    expect((m.hypervisor.read(ichLr(0)) >> 48n) & 0xffn).toBe(BigInt(mask))
  })

  it('hard case 8: ICC_CTLR_EL1.PRIbits is that of the virtual interface, less one', () => {
    const m = machine()
    expect((m.guest.read(ICC_CTLR_EL1) >> 8n) & 7n).toBe(BigInt(priorityBits - 1))
    m.guest.write(ICC_CTLR_EL1, 0)
    expect((m.guest.read(ICC_CTLR_EL1) >> 8n) & 7n).toBe(BigInt(priorityBits - 1))
  })
})

describe.each([5, 6, 7])('with %i preemption bits', (preemptionBits) => {
  const least0 = 7 - preemptionBits
  const least1 = 8 - preemptionBits
  const machine = () => new Machine({ priorityBits: 8, preemptionBits })

  it('hard case 6: binary points read their minimum before any write', () => {
    const m = machine()
    expect(m.guest.read(ICC_BPR0_EL1)).toBe(BigInt(least0))
    expect(m.guest.read(ICC_BPR1_EL1)).toBe(BigInt(least1))
    expect([vmcr(m, 23, 21), vmcr(m, 20, 18)]).toEqual([least0, least1])
  })

  it('hard case 6: a binary point written below its minimum reads back the minimum', () => {
    const m = machine()
    for (let point = 0; point < 8; point++) {
      m.guest.write(ICC_BPR0_EL1, point)
      m.guest.write(ICC_BPR1_EL1, point)
      expect(m.guest.read(ICC_BPR0_EL1)).toBe(BigInt(Math.max(point, least0)))
      expect(m.guest.read(ICC_BPR1_EL1)).toBe(BigInt(Math.max(point, least1)))
      expect([vmcr(m, 23, 21), vmcr(m, 20, 18)]).toEqual([Math.max(point, least0), Math.max(point, least1)])
    }
  })

  it('hard case 6: the same holds for what the hypervisor writes to ICH_VMCR_EL2', () => {
    const m = machine()
    for (let point = 0; point < 8; point++) {
      m.hypervisor.write(ICH_VMCR_EL2, (BigInt(point) << 21n) | (BigInt(point) << 18n))
      expect([vmcr(m, 23, 21), vmcr(m, 20, 18)]).toEqual([Math.max(point, least0), Math.max(point, least1)])
    }
  })

  it('bits 63:3 of a binary point are ignored', () => {
    const m = machine()
    for (const register of [ICC_BPR0_EL1, ICC_BPR1_EL1]) {
      m.guest.write(register, 0xffff_ffff_ffff_fffdn)
      expect(m.guest.read(register)).toBe(5n)
      m.guest.write(register, 0x8000_0006)
      expect(m.guest.read(register)).toBe(6n)
    }
  })
})

describe('ICC_CTLR_EL1 of the guest', () => {
  it('has its read-only fields from ICH_VTR_EL2, and keeps EOImode and CBPR alone', () => {
    for (const { intidBits, fixed } of [
      { intidBits: 24, fixed: 0x8c00n },
      { intidBits: 16, fixed: 0x8400n },
    ] as const) {
      const m = new Machine({ intidBits })
      expect(m.guest.read(ICC_CTLR_EL1)).toBe(fixed)
      m.guest.write(ICC_CTLR_EL1, ALL_ONES)
      expect(m.guest.read(ICC_CTLR_EL1)).toBe(fixed | 3n)
      expect(vmcr(m, 9, 0)).toBe(0x218)
      m.guest.write(ICC_CTLR_EL1, ~3n & ALL_ONES)
      expect(m.guest.read(ICC_CTLR_EL1)).toBe(fixed)
    }
  })

  it('leaves the group enables alone: only ICC_IGRPEN<n>_EL1 has them', () => {
    const m = new Machine().enabled()
    m.guest.write(ICC_CTLR_EL1, 0)
    expect([m.guest.read(ICC_IGRPEN0_EL1), m.guest.read(ICC_IGRPEN1_EL1)]).toEqual([1n, 1n])
  })
})

describe('CBPR', () => {
  const withCbpr = (point: number) => {
    const m = new Machine({ priorityBits: 8, preemptionBits: 7 }).enabled()
    m.guest.write(ICC_BPR1_EL1, 3)
    m.guest.write(ICC_BPR0_EL1, point)
    m.guest.write(ICC_CTLR_EL1, 1)
    return m
  }

  it('makes ICC_BPR1_EL1 read as ICC_BPR0_EL1 plus one, saturated at 7', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((point) => Number(withCbpr(point).guest.read(ICC_BPR1_EL1)))).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 7],
    )
  })

  it('makes writes of ICC_BPR1_EL1 ignored, and its own value comes back afterwards', () => {
    const m = withCbpr(5)
    m.guest.write(ICC_BPR1_EL1, 7)
    expect(m.guest.read(ICC_BPR1_EL1)).toBe(6n)
    expect(vmcr(m, 20, 18)).toBe(3)
    m.guest.write(ICC_CTLR_EL1, 0)
    expect(m.guest.read(ICC_BPR1_EL1)).toBe(3n)
  })

  it('is bit 0 of ICC_CTLR_EL1 and bit 4 of ICH_VMCR_EL2', () => {
    const m = new Machine()
    m.guest.write(ICC_CTLR_EL1, 1)
    expect(vmcr(m, 9, 0)).toBe(0x18)
    m.hypervisor.write(ICH_VMCR_EL2, 0)
    expect(m.guest.read(ICC_CTLR_EL1) & 3n).toBe(0n)
    m.hypervisor.write(ICH_VMCR_EL2, 0x10)
    expect(m.guest.read(ICC_CTLR_EL1) & 3n).toBe(1n)
  })
})

describe('the group enables', () => {
  it('are bit 0 of ICC_IGRPEN<n>_EL1 and bits 0 and 1 of ICH_VMCR_EL2', () => {
    const m = new Machine()
    m.guest.write(ICC_IGRPEN0_EL1, ALL_ONES)
    expect([m.guest.read(ICC_IGRPEN0_EL1), m.guest.read(ICC_IGRPEN1_EL1), vmcr(m, 2, 0)]).toEqual([1n, 0n, 1])
    m.guest.write(ICC_IGRPEN1_EL1, ALL_ONES)
    expect([m.guest.read(ICC_IGRPEN0_EL1), m.guest.read(ICC_IGRPEN1_EL1), vmcr(m, 2, 0)]).toEqual([1n, 1n, 3])
    m.guest.write(ICC_IGRPEN0_EL1, 0xffff_fffe)
    m.guest.write(ICC_IGRPEN1_EL1, 2)
    expect(vmcr(m, 2, 0)).toBe(0)
    m.hypervisor.write(ICH_VMCR_EL2, 2)
    expect([m.guest.read(ICC_IGRPEN0_EL1), m.guest.read(ICC_IGRPEN1_EL1)]).toEqual([0n, 1n])
  })

  it('leave an active interrupt and the running priority alone', () => {
    const m = new Machine().enabled().list({ group: 1, priority: 0x80, vintid: 40 })
    m.guest.read(ICC_IAR1_EL1)
    m.guest.write(ICC_IGRPEN1_EL1, 0)
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0x80n)
    expect(m.state(0)).toBe('active')
  })
})

describe("the guest's registers", () => {
  it('are there while ICH_HCR_EL2.En is 0, and HPPIR too looks at the list registers', () => {
    const m = new Machine().enabled().list({ group: 1, priority: 0x80, vintid: 40 })
    m.hypervisor.write(ICH_HCR_EL2, 0)
    m.guest.write(ICC_PMR_EL1, 0x40)
    expect(m.guest.read(ICC_PMR_EL1)).toBe(0x40n)
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(40n)
  })
})
