/** The active priorities registers, ICH_AP<m>R<n>_EL2 and the guest's ICC_AP<m>R<n>_EL1, and the running priority. */
import {
  ICC_AP0R0_EL1,
  ICC_AP0R1_EL1,
  ICC_AP0R2_EL1,
  ICC_AP0R3_EL1,
  ICC_AP1R0_EL1,
  ICC_AP1R1_EL1,
  ICC_AP1R2_EL1,
  ICC_AP1R3_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_RPR_EL1,
  ichApr,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { Machine, UNDEFINED, VIRQ } from '../../../kit/virtual-interface.ts'

const guestRegisters = [
  [ICC_AP0R0_EL1, ICC_AP0R1_EL1, ICC_AP0R2_EL1, ICC_AP0R3_EL1],
  [ICC_AP1R0_EL1, ICC_AP1R1_EL1, ICC_AP1R2_EL1, ICC_AP1R3_EL1],
] as const

const sizes = [
  { preemptionBits: 5, registers: 1 },
  { preemptionBits: 6, registers: 2 },
  { preemptionBits: 7, registers: 4 },
] as const

describe.each(sizes)('with $preemptionBits preemption bits', ({ preemptionBits, registers }) => {
  const machine = () => new Machine({ priorityBits: 8, preemptionBits })
  const step = 256 / 2 ** preemptionBits
  const exist = [0, 1, 2, 3].slice(0, registers)

  it(`${registers} registers a group exist, the same to the guest and to the hypervisor, 32 bits wide`, () => {
    const m = machine()
    for (const group of [0, 1] as const) {
      for (const n of exist) {
        const value = 0x8000_0001n + BigInt(16 * group + n)
        expect(m.hypervisor.syndromeOfWrite(ichApr(group, n), value | (0xffff_ffffn << 32n))).toBe(0)
        expect(m.hypervisor.read(ichApr(group, n))).toBe(value)
        expect(m.guest.read(guestRegisters[group][n])).toBe(value)
        expect(m.guest.syndromeOfWrite(guestRegisters[group][n], ~value & 0xffff_ffff_ffff_ffffn)).toBe(0)
        expect(m.hypervisor.read(ichApr(group, n))).toBe(~value & 0xffff_ffffn)
      }
    }
  })

  it('the others are UNDEFINED at EL1 and EL2, read and written', () => {
    const m = machine()
    const before = m.gic.hash()
    for (const group of [0, 1] as const) {
      for (const n of [0, 1, 2, 3].slice(registers)) {
        expect(m.hypervisor.syndromeOfRead(ichApr(group, n))).toBe(UNDEFINED)
        expect(m.hypervisor.syndromeOfWrite(ichApr(group, n), 1)).toBe(UNDEFINED)
        expect(m.guest.syndromeOfRead(guestRegisters[group][n])).toBe(UNDEFINED)
        expect(m.guest.syndromeOfWrite(guestRegisters[group][n], 1)).toBe(UNDEFINED)
      }
    }
    expect(m.gic.hash()).toBe(before)
  })

  it('bit n of register i is preemption level 32 i + n: ICC_RPR_EL1 gives its priority', () => {
    for (const group of [0, 1] as const) {
      for (let level = 0; level < 2 ** preemptionBits; level++) {
        const m = machine()
        m.guest.write(guestRegisters[group][level >> 5], 1n << BigInt(level & 31))
        expect(m.guest.read(ICC_RPR_EL1)).toBe(BigInt(level * step))
      }
    }
  })

  it('an acknowledge sets the bit of its group priority and an EOIR clears it, at every level', () => {
    for (const group of [0, 1] as const) {
      const m = machine().enabled()
      // 0xff, which the last level ends with, is never signalled; its first priority is.
      for (let level = 0; level < 2 ** preemptionBits; level++) {
        m.list({ group, priority: level * step, vintid: 40 })
        expect(m.guest.read(group === 0 ? ICC_IAR0_EL1 : ICC_IAR1_EL1)).toBe(40n)
        const bits = exist.map((n) => m.hypervisor.read(ichApr(group, n)))
        expect(bits).toEqual(exist.map((n) => (n === level >> 5 ? 1n << BigInt(level & 31) : 0n)))
        expect(exist.map((n) => m.hypervisor.read(ichApr(group === 0 ? 1 : 0, n)))).toEqual(
          exist.map(() => 0n),
        )
        m.guest.write(group === 0 ? ICC_EOIR0_EL1 : ICC_EOIR1_EL1, 40)
        expect(exist.map((n) => m.hypervisor.read(ichApr(group, n)))).toEqual(exist.map(() => 0n))
      }
    }
  })

  it('the running priority is the highest of both groups and all registers, and drops in that order', () => {
    const m = machine()
    const last = registers - 1
    m.hypervisor.write(ichApr(0, last), 0x8000_0000n)
    m.hypervisor.write(ichApr(1, last), 0x4000_0010n)
    m.hypervisor.write(ichApr(0, 0), 0x2n | (last === 0 ? 0x8000_0000n : 0n))
    const expected: number[] = [1, 32 * last + 4, 32 * last + 30, 32 * last + 31]
    for (const level of expected) {
      expect(m.guest.read(ICC_RPR_EL1)).toBe(BigInt(level * step))
      m.guest.write(ICC_EOIR1_EL1, 8192)
    }
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
  })
})

describe('the running priority', () => {
  it('is 0xff when idle, which no active priority gives', () => {
    const m = new Machine({ priorityBits: 8, preemptionBits: 7 })
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
    m.guest.write(ICC_AP1R3_EL1, 0x8000_0000)
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xfen)
  })

  it.each(sizes)(
    'with $preemptionBits preemption bits, is idle and stays so while an interrupt is signalled',
    ({ preemptionBits }) => {
      const m = new Machine({ priorityBits: 8, preemptionBits }).enabled()
      m.list({ group: 1, priority: 0x80, vintid: 40 })
      const before = m.gic.hash()
      expect(m.lines).toEqual(VIRQ)
      expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
      m.guest.write(ICC_EOIR1_EL1, 40)
      expect([m.lines, m.gic.hash()]).toEqual([VIRQ, before])
    },
  )
})
