/** ICH_HCR_EL2.EOIcount: deactivations of interrupts that are in no list register; and LPIs, which it ignores. */
import {
  ICC_AP0R0_EL1,
  ICC_AP1R0_EL1,
  ICC_CTLR_EL1,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_RPR_EL1,
  ICH_AP1R0_EL2,
  ICH_HCR_EL2,
  ICH_MISR_EL2,
  ichLr,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { lr, Machine } from '../../../kit/virtual-interface.ts'

const EOIMODE = 2
const eoiCount = (m: Machine): number => Number(m.hypervisor.read(ICH_HCR_EL2) >> 27n)
const setCount = (m: Machine, count: number, rest = 1): void =>
  m.hypervisor.write(ICH_HCR_EL2, (BigInt(count) << 27n) | BigInt(rest))

/** Ends an interrupt that is in no list register, in either EOImode. */
function end(m: Machine, intid: number): void {
  if (m.guest.read(ICC_CTLR_EL1) & 2n) {
    m.guest.write(ICC_DIR_EL1, intid)
    return
  }
  m.guest.write(ICC_AP1R0_EL1, 1 << 16)
  m.guest.write(ICC_EOIR1_EL1, intid)
  expect(m.guest.read(ICC_AP1R0_EL1)).toBe(0n)
}
const inMode = (mode: number, config = {}): Machine => {
  const m = new Machine(config).enabled()
  m.guest.write(ICC_CTLR_EL1, mode === 1 ? EOIMODE : 0)
  return m
}

describe.each([0, 1])('EOIcount in EOImode %i', (mode) => {
  it('counts each interrupt that was ended and is in no list register', () => {
    const m = inMode(mode)
    for (const [i, intid] of [0, 15, 16, 31, 32, 1019].entries()) {
      end(m, intid)
      expect(eoiCount(m)).toBe(i + 1)
    }
  })

  it('hard case 12: counts INTIDs up to 1019 however few SPIs exist, and none of 1020 to 1023', () => {
    for (const spis of [0, 1, 32, 988]) {
      const m = inMode(mode, { spis })
      for (const intid of [32 + spis, 100, 1018, 1019].filter((i) => i < 1020)) {
        const before = eoiCount(m)
        end(m, intid)
        expect(eoiCount(m)).toBe(before + 1)
      }
      const before = m.gic.hash()
      for (const intid of [1020, 1021, 1022, 1023]) {
        m.guest.write(ICC_EOIR1_EL1, intid)
        m.guest.write(ICC_EOIR0_EL1, intid)
        m.guest.write(ICC_DIR_EL1, intid)
      }
      expect(m.gic.hash()).toBe(before)
    }
  })

  it('is 5 bits wide: from 31 it wraps to 0 and leaves the other bits of ICH_HCR_EL2 alone', () => {
    const m = inMode(mode)
    const others = 0x20fe | 1
    setCount(m, 30, others)
    end(m, 40)
    expect(m.hypervisor.read(ICH_HCR_EL2)).toBe(BigInt(others) | 0xf800_0000n)
    end(m, 40)
    expect(m.hypervisor.read(ICH_HCR_EL2)).toBe(BigInt(others))
    end(m, 40)
    expect(eoiCount(m)).toBe(1)
  })

  it('does not count what is active in a list register', () => {
    const m = inMode(mode)
    m.hypervisor.write(ichLr(3), lr({ group: 1, priority: 0x80, vintid: 40 }))
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(40n)
    m.guest.write(ICC_EOIR1_EL1, 40)
    if (mode === 1) m.guest.write(ICC_DIR_EL1, 40)
    expect(eoiCount(m)).toBe(0)
    expect(m.state(3)).toBe('invalid')
  })

  it('leaves SGIs out with vSGIEOICount, which only version 4.1 has', () => {
    for (const version of ['3', '4.0', '4.1'] as const) {
      const m = inMode(mode, { version })
      m.hypervisor.write(ICH_HCR_EL2, 0x101)
      expect(m.hypervisor.read(ICH_HCR_EL2)).toBe(version === '4.1' ? 0x101n : 0x1n)
      const counts = [0, 15, 16, 40].map((intid) => {
        end(m, intid)
        return eoiCount(m)
      })
      expect(counts).toEqual(version === '4.1' ? [0, 0, 1, 2] : [1, 2, 3, 4])
    }
  })

  it('counts SGIs on version 4.1 while vSGIEOICount is 0', () => {
    const m = inMode(mode, { version: '4.1' })
    end(m, 0)
    end(m, 15)
    expect(eoiCount(m)).toBe(2)
  })
})

describe('EOIcount', () => {
  it('in EOImode 1 does not count the EOIR, only the DIR', () => {
    const m = inMode(1)
    m.guest.write(ICC_AP1R0_EL1, 1 << 16)
    m.guest.write(ICC_EOIR1_EL1, 40)
    expect(eoiCount(m)).toBe(0)
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
    m.guest.write(ICC_DIR_EL1, 40)
    expect(eoiCount(m)).toBe(1)
  })

  it('counts group 0 as well', () => {
    const m = inMode(0)
    m.guest.write(ICC_AP0R0_EL1, 1 << 16)
    m.guest.write(ICC_EOIR0_EL1, 40)
    expect(eoiCount(m)).toBe(1)
  })

  it('is what the hypervisor writes, and reports LRENP only with LRENPIE', () => {
    const m = inMode(0)
    setCount(m, 17, 5)
    expect(eoiCount(m)).toBe(17)
    expect(m.hypervisor.read(ICH_MISR_EL2)).toBe(4n)
    setCount(m, 17, 1)
    expect(m.hypervisor.read(ICH_MISR_EL2)).toBe(0n)
  })
})

describe('hard case 14: an LPI', () => {
  it.each([0, 1])(
    'has no active state: its list register is invalid once it is acknowledged (EOImode %i)',
    (mode) => {
      const m = inMode(mode).list({ group: 1, priority: 0x80, vintid: 8192 })
      expect(m.guest.read(ICC_IAR1_EL1)).toBe(8192n)
      expect(m.state(0)).toBe('invalid')
      expect(m.guest.read(ICC_RPR_EL1)).toBe(0x80n)
      expect(m.hypervisor.read(ICH_AP1R0_EL2)).toBe(1n << 16n)
      m.guest.write(ICC_EOIR1_EL1, 8192)
      expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
      expect(eoiCount(m)).toBe(0)
    },
  )

  it.each([0, 1])('that is in no list register is never counted (EOImode %i)', (mode) => {
    const m = inMode(mode)
    for (const intid of [8192, 65535, 0xff_ffff]) {
      m.guest.write(ICC_AP1R0_EL1, 1)
      m.guest.write(ICC_EOIR1_EL1, intid)
      expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
      m.guest.write(ICC_DIR_EL1, intid)
      expect(eoiCount(m)).toBe(0)
    }
  })

  it.each([0, 1])('that is active in a list register is deactivated by EOIR at once (EOImode %i)', (mode) => {
    for (const config of [{ profile: 'qemu-7.2' as const }, { choices: { lpiActive: 'active' as const } }]) {
      const m = inMode(mode, config).list({ group: 1, priority: 0x80, vintid: 8192 })
      expect(m.guest.read(ICC_IAR1_EL1)).toBe(8192n)
      expect(m.state(0)).toBe('active')
      m.guest.write(ICC_EOIR1_EL1, 8192)
      expect(m.state(0)).toBe('invalid')
      expect(eoiCount(m)).toBe(0)
    }
  })

  it('that the hypervisor wrote as active is deactivated by EOIR at once, in EOImode 1 too', () => {
    const m = inMode(1).list({ state: 'active', group: 1, priority: 0x80, vintid: 8192 })
    m.guest.write(ICC_AP1R0_EL1, 1 << 16)
    m.guest.write(ICC_EOIR1_EL1, 8192)
    expect(m.state(0)).toBe('invalid')
  })

  it('an SPI in EOImode 1 is not deactivated by EOIR', () => {
    const m = inMode(1).list({ group: 1, priority: 0x80, vintid: 1019 })
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(1019n)
    m.guest.write(ICC_EOIR1_EL1, 1019)
    expect(m.state(0)).toBe('active')
  })
})

describe('an EOIR in EOImode 1 of an interrupt in no list register', () => {
  it.each([
    ['arch', [0, 1]],
    ['qemu-11.1-fixed', [0, 1]],
    ['qemu-11.1', [1, 2]],
    ['qemu-7.2', [1, 2]],
  ] as const)('%s: EOIcount after it, and after the DIR', (profile, counts) => {
    const m = inMode(1, { profile })
    m.guest.write(ICC_AP1R0_EL1, 1 << 16)
    m.guest.write(ICC_EOIR1_EL1, 40)
    const dropped = eoiCount(m)
    m.guest.write(ICC_DIR_EL1, 40)
    expect([dropped, eoiCount(m)]).toEqual(counts)
  })
})
