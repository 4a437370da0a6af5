/** List registers with the HW bit: deactivating the virtual interrupt deactivates the physical one. */
import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICH_HCR_EL2, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICD, GICR, GICR_STRIDE, ICACTIVER, ISACTIVER, SGI_BASE } from '../../../kit/frames.ts'
import { lr, Machine } from '../../../kit/virtual-interface.ts'

const isactiver = (word: number): number => GICD + ISACTIVER + 4 * word
const icactiver = (word: number): number => GICD + ICACTIVER + 4 * word
const isactiver0 = (cpu: number, stride = GICR_STRIDE): number => GICR + cpu * stride + SGI_BASE + ISACTIVER

/** Everything is active; list register 0 of the machine's CPU has acknowledged an interrupt that stands for `pintid`. */
function acknowledged(m: Machine, pintid: number): Machine {
  m.enabled()
  for (let cpu = 0; cpu < m.gic.config.cpus; cpu++) {
    m.gic.writeMmio(isactiver0(cpu, m.gic.config.version === '3' ? 0x2_0000 : 0x4_0000), 4, 0xffff_ffff)
  }
  for (let word = 0; word < 32; word++) m.gic.writeMmio(isactiver(word), 4, 0xffff_ffff)
  m.list({ group: 1, priority: 0x80, vintid: 100, hw: true, pintid })
  expect(m.guest.read(ICC_IAR1_EL1)).toBe(100n)
  return m
}
const activeOf = (m: Machine, intid: number, cpu = m.cpu): boolean => {
  const stride = m.gic.config.version === '3' ? 0x2_0000 : 0x4_0000
  const word = m.gic.readMmio(intid < 32 ? isactiver0(cpu, stride) : isactiver(intid >> 5), 4)
  return Math.floor(word / 2 ** (intid & 31)) % 2 === 1
}
/** INTIDs that are inactive although `acknowledged` made all active. */
function inactive(m: Machine): number[] {
  return Array.from({ length: 32 + m.gic.config.spis }, (_, i) => i).filter((intid) => !activeOf(m, intid))
}

describe('an interrupt with the HW bit', () => {
  it('that is ended deactivates its physical PPI, and nothing else', () => {
    for (const ppi of [16, 25, 27, 30, 31]) {
      const m = acknowledged(new Machine(), ppi)
      expect(inactive(m)).toEqual([])
      m.guest.write(ICC_EOIR1_EL1, 100)
      expect(inactive(m)).toEqual([ppi])
      expect(m.state(0)).toBe('invalid')
    }
  })

  it('deactivates the PPI at GICR_ISACTIVER0 of CPU 0, 0x080b0300', () => {
    const m = acknowledged(new Machine(), 27)
    m.guest.write(ICC_EOIR1_EL1, 100)
    expect(m.gic.readMmio(0x080b_0300, 4)).toBe(0xf7ff_ffff)
    expect(m.gic.readMmio(0x080b_0380, 4)).toBe(0xf7ff_ffff)
  })

  it('deactivates the SPI at GICD_ISACTIVER1, 0x08000304', () => {
    const m = acknowledged(new Machine(), 63)
    m.guest.write(ICC_EOIR1_EL1, 100)
    expect(m.gic.readMmio(0x0800_0304, 4)).toBe(0x7fff_ffff)
    expect(m.gic.readMmio(0x0800_0384, 4)).toBe(0x7fff_ffff)
  })

  it('that is ended deactivates any physical SPI that exists, and nothing else', () => {
    for (const spi of [32, 33, 63, 64, 500, 1018, 1019]) {
      const m = acknowledged(new Machine({ spis: 988 }), spi)
      m.guest.write(ICC_EOIR1_EL1, 100)
      expect(inactive(m)).toEqual([spi])
    }
  })

  it('deactivates the PPI of this PE only, and an SPI for all', () => {
    for (const version of ['3', '4.1'] as const) {
      const ppi = acknowledged(new Machine({ cpus: 3, version }, 1), 27)
      ppi.guest.write(ICC_EOIR1_EL1, 100)
      expect([0, 1, 2].map((cpu) => activeOf(ppi, 27, cpu))).toEqual([true, false, true])

      const spi = acknowledged(new Machine({ cpus: 3, version }, 2), 40)
      spi.guest.write(ICC_EOIR1_EL1, 100)
      expect(inactive(spi)).toEqual([40])
    }
  })

  it('whose pINTID does not exist deactivates nothing, and does not disturb', () => {
    for (const pintid of [64, 65, 1019, 1020, 1023, 1024, 4096, 0x1fff]) {
      const m = acknowledged(new Machine(), pintid)
      m.guest.write(ICC_EOIR1_EL1, 100)
      expect(m.state(0)).toBe('invalid')
      expect(inactive(m)).toEqual([])
    }
  })

  it('in EOImode 1 deactivates with DIR, not with EOIR', () => {
    const m = acknowledged(new Machine(), 27)
    m.guest.write(ICC_CTLR_EL1, 2)
    m.guest.write(ICC_EOIR1_EL1, 100)
    expect(inactive(m)).toEqual([])
    m.guest.write(ICC_DIR_EL1, 100)
    expect(inactive(m)).toEqual([27])
    expect(m.hypervisor.read(ICH_HCR_EL2) >> 27n).toBe(0n)
  })

  it('without HW deactivates nothing physical: those bits are the EOI request then', () => {
    const m = acknowledged(new Machine(), 40)
    m.hypervisor.write(ichLr(0), lr({ state: 'active', group: 1, priority: 0x80, vintid: 100, pintid: 40 }))
    m.guest.write(ICC_EOIR1_EL1, 100)
    expect(m.state(0)).toBe('invalid')
    expect(inactive(m)).toEqual([])
  })

  it('that the hypervisor takes out of its list register stays physically active', () => {
    const m = acknowledged(new Machine(), 40)
    m.hypervisor.write(ichLr(0), 0)
    expect(inactive(m)).toEqual([])
    expect(m.gic.readMmio(icactiver(1), 4)).toBe(0xffff_ffff)
  })
})
