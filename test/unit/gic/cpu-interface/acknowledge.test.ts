/** Acknowledging: ICV_IAR<n>, ICV_HPPIR<n> and the virtual interrupt lines. */
import {
  ICC_AP1R0_EL1,
  ICC_HPPIR0_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_RPR_EL1,
  ICH_AP0R0_EL2,
  ICH_AP1R0_EL2,
  ICH_HCR_EL2,
  ISR_EL1,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { Machine, NO_LINE, SPURIOUS, VFIQ, VIRQ } from '../../../kit/virtual-interface.ts'

const enabled = () => new Machine().enabled()

describe('a read of ICC_IAR<n>_EL1 by the guest', () => {
  it('makes a pending group 1 interrupt active, raises the running priority and drops the line', () => {
    const m = enabled().list({ group: 1, priority: 0xa0, vintid: 40 })
    expect(m.lines).toEqual(VIRQ)
    expect(m.guest.read(ISR_EL1)).toBe(0x80n)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(40n)
    expect(m.state(0)).toBe('active')
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xa0n)
    expect(m.hypervisor.read(ICH_AP1R0_EL2)).toBe(1n << 20n)
    expect(m.hypervisor.read(ICH_AP0R0_EL2)).toBe(0n)
    expect(m.lines).toEqual(NO_LINE)
  })

  it('makes a pending group 0 interrupt active in the group 0 active priorities', () => {
    const m = enabled().list({ group: 0, priority: 0x08, vintid: 27 })
    expect(m.lines).toEqual(VFIQ)
    expect(m.guest.read(ISR_EL1)).toBe(0x40n)
    expect(m.guest.read(ICC_IAR0_EL1)).toBe(27n)
    expect(m.state(0)).toBe('active')
    expect(m.hypervisor.read(ICH_AP0R0_EL2)).toBe(0x2n)
    expect(m.hypervisor.read(ICH_AP1R0_EL2)).toBe(0n)
    expect(m.lines).toEqual(NO_LINE)
  })

  it('gives 1023 and changes nothing where there is nothing', () => {
    const m = enabled()
    const before = m.gic.hash()
    expect(m.guest.read(ICC_IAR0_EL1)).toBe(SPURIOUS)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
    expect(m.gic.hash()).toBe(before)
  })

  it('gives 1023 through the register of the other group', () => {
    for (const group of [0, 1] as const) {
      const m = enabled().list({ group, priority: 0x80, vintid: 33 })
      const before = m.gic.hash()
      expect(m.guest.read(group === 0 ? ICC_IAR1_EL1 : ICC_IAR0_EL1)).toBe(SPURIOUS)
      expect(m.gic.hash()).toBe(before)
    }
  })

  it('gives 1023 when the highest priority pending interrupt is of the other group, even with one of its own below', () => {
    const m = enabled().list(
      { group: 1, priority: 0x90, vintid: 33 },
      { group: 0, priority: 0x80, vintid: 34 },
    )
    expect(m.lines).toEqual(VFIQ)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
    expect(m.guest.read(ICC_IAR0_EL1)).toBe(34n)
    expect(m.state(0)).toBe('pending')
  })

  it('gives 1023 while ICH_HCR_EL2.En is 0, and the lines are low', () => {
    const m = enabled().list({ group: 1, priority: 0x80, vintid: 33 })
    m.hypervisor.write(ICH_HCR_EL2, 0)
    expect(m.lines).toEqual(NO_LINE)
    expect(m.guest.read(ISR_EL1)).toBe(0n)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
    expect(m.state(0)).toBe('pending')
    m.hypervisor.write(ICH_HCR_EL2, 1)
    expect(m.lines).toEqual(VIRQ)
  })

  it('gives 1023 for an interrupt that the priority mask hides: the mask must be strictly lower priority', () => {
    const m = enabled().list({ group: 1, priority: 0x80, vintid: 33 })
    m.guest.write(ICC_PMR_EL1, 0x80)
    expect(m.lines).toEqual(NO_LINE)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
    m.guest.write(ICC_PMR_EL1, 0x88)
    expect(m.lines).toEqual(VIRQ)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(33n)
  })

  it('gives 1023 for an interrupt that does not preempt the running one', () => {
    const m = enabled().list({ group: 1, priority: 0x80, vintid: 33 })
    m.guest.write(ICC_AP1R0_EL1, 1 << 16)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
    expect(m.lines).toEqual(NO_LINE)
    m.guest.write(ICC_AP1R0_EL1, 1 << 17)
    expect(m.lines).toEqual(VIRQ)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(33n)
    expect(m.hypervisor.read(ICH_AP1R0_EL2)).toBe(0x30000n)
  })

  it('never signals the lowest priority, for no mask lets it through', () => {
    const m = new Machine({ priorityBits: 8 }).enabled().list({ group: 1, priority: 0xff, vintid: 33 })
    expect(m.guest.read(ICC_PMR_EL1)).toBe(0xffn)
    expect(m.lines).toEqual(NO_LINE)
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(33n)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
  })

  it.each([1020, 1021, 1022, 1023])(
    'of %i, which is special, empties the list register; no priority becomes active',
    (vintid) => {
      const m = enabled().list({ group: 1, priority: 0xa0, vintid })
      expect(m.guest.read(ICC_IAR1_EL1)).toBe(BigInt(vintid))
      expect(m.state(0)).toBe('invalid')
      expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
      expect(m.lines).toEqual(NO_LINE)
    },
  )

  it.each([1019, 1024, 8191])(
    'of %i, which has the rules of an SPI, makes it active at its priority',
    (vintid) => {
      const m = enabled().list({ group: 1, priority: 0xa0, vintid })
      expect(m.guest.read(ICC_IAR1_EL1)).toBe(BigInt(vintid))
      expect(m.state(0)).toBe('active')
      expect(m.guest.read(ICC_RPR_EL1)).toBe(0xa0n)
    },
  )

  it('of LPI 8192 leaves its priority active and nothing in the list register', () => {
    const m = enabled().list({ group: 1, priority: 0xa0, vintid: 8192 })
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(8192n)
    expect(m.state(0)).toBe('invalid')
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xa0n)
  })

  it('hard case 10: never gives an interrupt that is active, or pending and active, a second time', () => {
    const m = enabled()
    for (const state of ['active', 'pending+active'] as const) {
      m.list({ state, group: 1, priority: 0x10, vintid: 33 })
      expect(m.lines).toEqual(NO_LINE)
      expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(SPURIOUS)
      expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
      expect(m.state(0)).toBe(state)
    }
  })

  it('hard case 10: an acknowledged interrupt does not come back while another of lower priority waits', () => {
    const m = enabled().list(
      { group: 1, priority: 0x10, vintid: 33 },
      { group: 1, priority: 0x20, vintid: 34 },
    )
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(33n)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(34n)
    expect([m.state(0), m.state(1)]).toEqual(['active', 'pending'])
  })

  it('hard case 11: re-evaluates both lines at once', () => {
    const m = enabled().list(
      { group: 1, priority: 0x80, vintid: 33 },
      { group: 0, priority: 0x20, vintid: 34 },
    )
    expect(m.lines).toEqual(VFIQ)
    expect(m.guest.read(ICC_IAR0_EL1)).toBe(34n)
    expect(m.lines).toEqual(NO_LINE)
    expect(m.guest.read(ISR_EL1)).toBe(0n)
    // One that preempts arrives: its line rises, and falls with its own acknowledge.
    m.list({ group: 1, priority: 0x10, vintid: 33 })
    expect(m.lines).toEqual(VIRQ)
    expect(m.guest.read(ISR_EL1)).toBe(0x80n)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(33n)
    expect(m.lines).toEqual(NO_LINE)
    expect(m.guest.read(ISR_EL1)).toBe(0n)
  })
})

describe('a read of ICC_HPPIR<n>_EL1 by the guest', () => {
  it('hard case 1: gives 1023 when the group is disabled, and the interrupt again when it is enabled', () => {
    const groups = [
      { group: 0, hppir: ICC_HPPIR0_EL1, iar: ICC_IAR0_EL1, enable: ICC_IGRPEN0_EL1 },
      { group: 1, hppir: ICC_HPPIR1_EL1, iar: ICC_IAR1_EL1, enable: ICC_IGRPEN1_EL1 },
    ] as const
    for (const { group, hppir, iar, enable } of groups) {
      const m = enabled().list({ group, priority: 0x80, vintid: 50 })
      expect(m.guest.read(hppir)).toBe(50n)
      m.guest.write(enable, 0)
      expect(m.guest.read(hppir)).toBe(SPURIOUS)
      expect(m.guest.read(iar)).toBe(SPURIOUS)
      expect(m.lines).toEqual(NO_LINE)
      expect(m.state(0)).toBe('pending')
      m.guest.write(enable, 1)
      expect(m.guest.read(hppir)).toBe(50n)
      expect(m.guest.read(iar)).toBe(50n)
    }
  })

  it('hard case 1: a disabled group does not hide the interrupt of lower priority in the other group', () => {
    const m = enabled().list(
      { group: 0, priority: 0x10, vintid: 50 },
      { group: 1, priority: 0x80, vintid: 51 },
    )
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(SPURIOUS)
    m.guest.write(ICC_IGRPEN0_EL1, 0)
    expect(m.guest.read(ICC_HPPIR0_EL1)).toBe(SPURIOUS)
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(51n)
    expect(m.lines).toEqual(VIRQ)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(51n)
  })

  it('has no side effect and looks neither at the priority mask nor at the running priority', () => {
    const m = enabled().list({ group: 1, priority: 0x80, vintid: 50 })
    m.guest.write(ICC_PMR_EL1, 0)
    m.guest.write(ICC_AP1R0_EL1, 1)
    const before = m.gic.hash()
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(50n)
    expect(m.guest.read(ICC_HPPIR1_EL1)).toBe(50n)
    expect(m.lines).toEqual(NO_LINE)
    expect(m.gic.hash()).toBe(before)
  })
})
