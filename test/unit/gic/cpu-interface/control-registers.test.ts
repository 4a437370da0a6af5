/** ICH_HCR_EL2, ICH_VMCR_EL2 and ICH_VTR_EL2: which bits exist in which configuration. */
import {
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_SRE_EL1,
  ICC_SRE_EL2,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ICH_VTR_EL2,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { Machine, UNDEFINED } from '../../../kit/virtual-interface.ts'

const ALL_ONES = 0xffff_ffff_ffff_ffffn
/** EOIcount, TDIR, TALL1, TALL0, TC, the four group interrupts, NPIE, LRENPIE, UIE, En. */
const HCR_BITS = 0xf800_5cffn
const HCR_TSEI = 0x2000n
const HCR_DVIM = 0x8000n
const HCR_vSGIEOICount = 0x100n

describe('ICH_HCR_EL2', () => {
  it('is 0 after reset', () => {
    expect(new Machine().hypervisor.read(ICH_HCR_EL2)).toBe(0n)
  })

  it.each([
    { version: '3', dvim: false, more: 0n },
    { version: '4.0', dvim: false, more: 0n },
    { version: '4.0', dvim: true, more: HCR_DVIM },
    { version: '4.1', dvim: false, more: HCR_vSGIEOICount },
    { version: '4.1', dvim: true, more: HCR_vSGIEOICount | HCR_DVIM },
  ] as const)('of version $version, dvim $dvim, keeps the bits that exist', ({ version, dvim, more }) => {
    const m = new Machine({ version, dvim })
    m.hypervisor.write(ICH_HCR_EL2, ALL_ONES)
    // ICH_VTR_EL2.SEIS is 0, so that TSEI is RES0, which may be stateful: it is not asserted here.
    expect(m.hypervisor.read(ICH_HCR_EL2) & ~HCR_TSEI).toBe(HCR_BITS | more)
    m.hypervisor.write(ICH_HCR_EL2, 0)
    expect(m.hypervisor.read(ICH_HCR_EL2)).toBe(0n)
  })

  it('keeps each bit by itself', () => {
    const m = new Machine()
    for (let bit = 0n; bit < 64n; bit++) {
      if (1n << bit === HCR_TSEI) continue
      m.hypervisor.write(ICH_HCR_EL2, 1n << bit)
      expect(m.hypervisor.read(ICH_HCR_EL2)).toBe((1n << bit) & HCR_BITS)
    }
  })
})

describe('ICH_VMCR_EL2', () => {
  it('after reset has the minimum binary points, and bit 3, which is RES1 with system registers', () => {
    expect(new Machine().hypervisor.read(ICH_VMCR_EL2)).toBe(0x4c_0008n)
    const finest = new Machine({ priorityBits: 8, preemptionBits: 7 })
    expect(finest.hypervisor.read(ICH_VMCR_EL2)).toBe(0x04_0008n)
  })

  it('keeps VPMR, VBPR0, VBPR1, VEOIM, VCBPR, VENG1 and VENG0; bit 3 is RES1 and VAckCtl RES0', () => {
    const m = new Machine({ priorityBits: 8, preemptionBits: 7 })
    m.hypervisor.write(ICH_VMCR_EL2, ALL_ONES)
    expect(m.hypervisor.read(ICH_VMCR_EL2)).toBe(0xfffc_021bn)
    m.hypervisor.write(ICH_VMCR_EL2, 0)
    expect(m.hypervisor.read(ICH_VMCR_EL2)).toBe(0x04_0008n)
    for (const bit of [0n, 1n, 4n, 9n, 24n, 25n, 26n, 27n, 28n, 29n, 30n, 31n]) {
      m.hypervisor.write(ICH_VMCR_EL2, 1n << bit)
      expect(m.hypervisor.read(ICH_VMCR_EL2)).toBe((1n << bit) | 0x04_0008n)
    }
  })

  it('RES0 bits read as zero', () => {
    const m = new Machine()
    for (const bit of [2n, 5n, 6n, 7n, 8n, 10n, 11n, 12n, 13n, 14n, 15n, 16n, 17n, 32n, 63n]) {
      m.hypervisor.write(ICH_VMCR_EL2, 1n << bit)
      expect(m.hypervisor.read(ICH_VMCR_EL2)).toBe(0x4c_0008n)
    }
  })

  it("is the guest's own registers, written from either side", () => {
    const m = new Machine()
    m.guest.write(ICC_PMR_EL1, 0xf0)
    m.guest.write(ICC_IGRPEN1_EL1, 1)
    expect(m.hypervisor.read(ICH_VMCR_EL2)).toBe(0xf04c_000an)
    m.hypervisor.write(ICH_VMCR_EL2, 0x8000_0000n)
    expect([m.guest.read(ICC_PMR_EL1), m.guest.read(ICC_IGRPEN1_EL1)]).toEqual([0x80n, 0n])
  })
})

describe('ICH_VTR_EL2', () => {
  const configurations = (['3', '4.0', '4.1'] as const).flatMap((version) =>
    [false, ...(version === '3' ? [] : [true])].flatMap((dvim) =>
      ([16, 24] as const).flatMap((intidBits) =>
        [5, 6, 7, 8].flatMap((priorityBits) =>
          [5, 6, 7]
            .filter((preemptionBits) => preemptionBits <= priorityBits)
            .map((preemptionBits) => ({ version, dvim, intidBits, priorityBits, preemptionBits })),
        ),
      ),
    ),
  )

  it('has PRIbits, PREbits, IDbits, A3V, nV4, TDS, DVIM and ListRegs of every configuration', () => {
    for (const { version, dvim, intidBits, priorityBits, preemptionBits } of configurations) {
      for (const listRegisters of [1, 4, 15, 16]) {
        const m = new Machine({ version, dvim, intidBits, priorityBits, preemptionBits, listRegisters })
        const vtr = m.hypervisor.read(ICH_VTR_EL2)
        const bits = (hi: number, lo: number) =>
          Number((vtr >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n))
        expect(bits(63, 32)).toBe(0)
        expect(bits(31, 29)).toBe(priorityBits - 1)
        expect(bits(28, 26)).toBe(preemptionBits - 1)
        expect(bits(25, 23)).toBe(intidBits === 24 ? 1 : 0)
        expect(bits(22, 22)).toBe(0)
        expect(bits(21, 21)).toBe(1)
        expect(bits(20, 20)).toBe(version === '3' ? 1 : 0)
        expect(bits(19, 19)).toBe(1)
        expect(bits(18, 18)).toBe(dvim ? 1 : 0)
        expect(bits(17, 5)).toBe(0)
        expect(bits(4, 0)).toBe(listRegisters - 1)
      }
    }
  })

  it('reads 0x90b80003 as the recorded machine did', () => {
    expect(new Machine().hypervisor.read(ICH_VTR_EL2)).toBe(0x90b8_0003n)
  })

  it('cannot be written', () => {
    const m = new Machine()
    expect(m.hypervisor.syndromeOfWrite(ICH_VTR_EL2, 0)).toBe(UNDEFINED)
    expect(m.hypervisor.read(ICH_VTR_EL2)).toBe(0x90b8_0003n)
  })
})

describe('ICC_SRE_EL1 and ICC_SRE_EL2', () => {
  it('are all ones, and stay so: system registers are always on', () => {
    const m = new Machine()
    for (const value of [0n, ALL_ONES]) {
      m.guest.write(ICC_SRE_EL1, value)
      m.hypervisor.write(ICC_SRE_EL1, value)
      m.hypervisor.write(ICC_SRE_EL2, value)
      expect(m.guest.read(ICC_SRE_EL1)).toBe(7n)
      expect(m.hypervisor.read(ICC_SRE_EL1)).toBe(7n)
      expect(m.hypervisor.read(ICC_SRE_EL2)).toBe(0xfn)
    }
  })
})
