/** ICH_LR<n>_EL2: how many there are, and which of their bits. */
import { ICC_HPPIR1_EL1, ICC_IAR1_EL1, ICH_ELRSR_EL2, ICH_VTR_EL2, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { lr, Machine, UNDEFINED } from '../../../kit/virtual-interface.ts'

const ALL_ONES = 0xffff_ffff_ffff_ffffn
const counts = Array.from({ length: 16 }, (_, i) => i + 1)

describe.each(counts)('with %i list registers', (listRegisters) => {
  it('those exist and the others are UNDEFINED', () => {
    const m = new Machine({ listRegisters })
    expect(Number(m.hypervisor.read(ICH_VTR_EL2) & 0x1fn) + 1).toBe(listRegisters)
    for (let n = 0; n < 16; n++) {
      const value = lr({ group: 1, priority: 8 * n, vintid: 32 + n })
      const expected = n < listRegisters ? 0 : UNDEFINED
      expect(m.hypervisor.syndromeOfWrite(ichLr(n), value)).toBe(expected)
      expect(m.hypervisor.syndromeOfRead(ichLr(n))).toBe(expected)
      expect(m.hypervisor.read(ichLr(n))).toBe(n < listRegisters ? value : 0n)
    }
    for (let n = 0; n < listRegisters; n++) {
      expect(m.hypervisor.read(ichLr(n))).toBe(lr({ group: 1, priority: 8 * n, vintid: 32 + n }))
    }
    expect(m.hypervisor.read(ICH_ELRSR_EL2)).toBe(0n)
  })

  it('the last one is as good as the first', () => {
    const m = new Machine({ listRegisters }).enabled()
    m.hypervisor.write(ichLr(listRegisters - 1), lr({ group: 1, priority: 0x80, vintid: 40 }))
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(40n)
    expect(m.state(listRegisters - 1)).toBe('active')
  })
})

describe('ICH_LR15_EL2', () => {
  it('exists with 16 list registers and is UNDEFINED with 15', () => {
    const [sixteen, fifteen] = [16, 15].map((listRegisters) => new Machine({ listRegisters }))
    expect(sixteen.hypervisor.syndromeOfWrite(ichLr(15), ALL_ONES)).toBe(0)
    expect(sixteen.hypervisor.read(ichLr(15)) >> 62n).toBe(3n)
    const before = fifteen.gic.hash()
    expect(fifteen.hypervisor.syndromeOfWrite(ichLr(15), ALL_ONES)).toBe(UNDEFINED)
    expect(fifteen.hypervisor.syndromeOfRead(ichLr(15))).toBe(UNDEFINED)
    expect(fifteen.gic.hash()).toBe(before)
  })
})

describe('the bits of a list register', () => {
  it('are zero after reset', () => {
    const m = new Machine({ listRegisters: 16 })
    for (let n = 0; n < 16; n++) expect(m.hypervisor.read(ichLr(n))).toBe(0n)
  })

  it('59:56 and 47:45 are RES0, and so are unimplemented bits of Priority', () => {
    for (const [priorityBits, priority] of [
      [5, 0xf8n],
      [6, 0xfcn],
      [7, 0xfen],
      [8, 0xffn],
    ] as const) {
      const m = new Machine({ priorityBits, preemptionBits: 5 })
      m.hypervisor.write(ichLr(0), ALL_ONES)
      expect(m.hypervisor.read(ichLr(0)) >> 45n).toBe((0xfn << 15n) | (priority << 3n))
    }
  })

  it('vINTID has the implemented INTID bits', () => {
    for (const intidBits of [16, 24] as const) {
      const m = new Machine({ intidBits })
      m.hypervisor.write(ichLr(0), ALL_ONES)
      expect(m.hypervisor.read(ichLr(0)) & 0xffff_ffffn).toBe((1n << BigInt(intidBits)) - 1n)
    }
  })

  it('with HW, pINTID is bits 44:32', () => {
    const m = new Machine()
    for (const pintid of [0x1fff, 0x1555, 0x0aaa, 1019]) {
      m.hypervisor.write(ichLr(0), lr({ hw: true, pintid }))
      expect(m.hypervisor.read(ichLr(0))).toBe(lr({ hw: true, pintid }))
    }
  })

  it('without HW, EOI is bit 41', () => {
    const m = new Machine()
    for (const eoi of [true, false]) {
      m.hypervisor.write(ichLr(0), lr({ eoi, vintid: 40 }))
      expect(m.hypervisor.read(ichLr(0))).toBe(lr({ eoi, vintid: 40 }))
    }
  })

  it('each of the others is kept by itself', () => {
    const kept = [...range(0, 23), ...range(48, 55), 41, 60, 61, 62, 63]
    const m = new Machine({ priorityBits: 8 })
    for (const bit of kept) {
      m.hypervisor.write(ichLr(2), 1n << BigInt(bit))
      expect(m.hypervisor.read(ichLr(2))).toBe(1n << BigInt(bit))
    }
    expect([ichLr(0), ichLr(1), ichLr(3)].map((register) => m.hypervisor.read(register))).toEqual([
      0n,
      0n,
      0n,
    ])
  })

  it('a vINTID of 24 bits comes out of ICC_IAR1_EL1 and ICC_HPPIR1_EL1 whole', () => {
    const m = new Machine().enabled().list({ group: 1, priority: 0x80, vintid: 0xfffffe })
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(0xfffffen)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(0xfffffen)
  })
})

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}
