/** Which of several pending virtual interrupts is the highest priority one. */
import {
  ICC_HPPIR0_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { type ListRegister, Machine, NO_LINE, SPURIOUS, VFIQ, VIRQ } from '../../../kit/virtual-interface.ts'

const sixteen = () => new Machine({ listRegisters: 16, priorityBits: 8, preemptionBits: 5 }).enabled()

describe('the highest priority pending virtual interrupt', () => {
  it('is found in whichever list register it stands', () => {
    for (let n = 0; n < 16; n++) {
      const registers = Array.from(
        { length: 16 },
        (_, i): ListRegister => ({ group: 1, priority: i === n ? 0x20 : 0x80 + i, vintid: 32 + i }),
      )
      const m = sixteen().list(...registers)
      expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(BigInt(32 + n))
      expect(m.guest.read(ICC_IAR1_EL1)).toBe(BigInt(32 + n))
      expect(m.state(n)).toBe('active')
    }
  })

  it('of equal priorities is the one in the lowest-numbered list register, whatever their INTIDs', () => {
    const m = sixteen().list(
      { group: 1, priority: 0x90, vintid: 32 },
      { group: 1, priority: 0x40, vintid: 300 },
      { group: 1, priority: 0x40, vintid: 33 },
      { group: 1, priority: 0x40, vintid: 8192 },
    )
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(300n)
    expect(m.lines).toEqual(NO_LINE)
  })

  it('of equal priorities in both groups is the one in the lowest-numbered list register', () => {
    for (const first of [0, 1] as const) {
      const second = first === 0 ? 1 : 0
      const m = sixteen().list(
        { group: first, priority: 0x40, vintid: 40 },
        { group: second, priority: 0x40, vintid: 41 },
      )
      expect(m.lines).toEqual(first === 0 ? VFIQ : VIRQ)
      expect(m.guest.read(first === 0 ? ICC_HPPIR0_EL1 : ICC_HPPIR1_EL1)).toBe(40n)
      expect(m.guest.read(first === 0 ? ICC_HPPIR1_EL1 : ICC_HPPIR0_EL1)).toBe(SPURIOUS)
    }
  })

  it('is chosen by all implemented priority bits, those of the subpriority too', () => {
    const m = sixteen().list(
      { group: 1, priority: 0x43, vintid: 40 },
      { group: 1, priority: 0x41, vintid: 41 },
      { group: 1, priority: 0x42, vintid: 42 },
    )
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(41n)
    // The others have the same group priority: they wait, though 0x42 is the higher one of them.
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(42n)
  })

  it('does not count what is invalid, active, or pending and active', () => {
    const m = sixteen().list(
      { state: 'invalid', group: 1, priority: 0x00, vintid: 40 },
      { state: 'active', group: 1, priority: 0x08, vintid: 41 },
      { state: 'pending+active', group: 1, priority: 0x10, vintid: 42 },
      { state: 'pending', group: 1, priority: 0xe0, vintid: 43 },
    )
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(43n)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(43n)
  })

  it('drives one line only: the other group waits behind it', () => {
    const m = sixteen().list(
      { group: 1, priority: 0x20, vintid: 40 },
      { group: 0, priority: 0x30, vintid: 41 },
    )
    expect(m.lines).toEqual(VIRQ)
    m.guest.write(ICC_IGRPEN1_EL1, 0)
    expect(m.lines).toEqual(VFIQ)
    m.guest.write(ICC_IGRPEN1_EL1, 1)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(40n)
    expect(m.lines).toEqual(NO_LINE)
    expect(m.guest.read(ICC_HPPIR0_EL1)).toBe(41n)
  })

  it('is masked as a whole when the priority mask hides it: nothing of lower priority is signalled instead', () => {
    const m = sixteen().list(
      { group: 1, priority: 0x80, vintid: 40 },
      { group: 0, priority: 0xa0, vintid: 41 },
    )
    m.guest.write(ICC_PMR_EL1, 0x80)
    expect(m.lines).toEqual(NO_LINE)
    expect(m.guest.read(ICC_IAR0_EL1)).toBe(SPURIOUS)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
  })
})

describe('the interfaces of two CPUs', () => {
  it('know nothing of each other', () => {
    const m = new Machine({ cpus: 2 }, 1).enabled().list({ group: 1, priority: 0x20, vintid: 40 })
    expect([m.gic.line(0, 'virq'), m.gic.line(1, 'virq')]).toEqual([0, 1])
    expect(m.gic.readSysreg(0, ICC_PMR_EL1, 1)).toBe(0)
    m.gic.writeSysreg(0, ICC_PMR_EL1, 0x30, 1)
    expect(m.guest.read(ICC_PMR_EL1)).toBe(0xf8n)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(40n)
  })
})
