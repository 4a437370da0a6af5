/** An image of somebody who keeps nothing of what a GIC derives from its state: it is the same GIC all the same. */
import {
  Gic,
  type GicConfig,
  HCR_EL2,
  ICC_EOIR1_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR1_EL1,
  ICH_ELRSR_EL2,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ichLr,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { Board } from '../../kit/board.ts'
import { lr } from '../../kit/virtual-interface.ts'

/** The image with a value in every derived word. */
function without(gic: Gic, value: number): ArrayBuffer {
  const image = gic.snapshot()
  const words = new Int32Array(image)
  const ranges = gic['state'].layout.rangesOf(['derived'])
  for (let i = 0; i < ranges.length; i += 2) words.fill(value, ranges[i], ranges[i + 1])
  return image
}

/** Every CPU has a PPI pending, an SPI routed to it in a register of its own, and list registers. */
function busy(config: Partial<GicConfig> = {}): Gic {
  const board = new Board({ cpus: 3, spis: 96, ...config }).booted()
  const { gic } = board
  for (const cpu of [0, 1, 2]) {
    gic.setPpi(cpu, 27, 1)
    board.priority(27, 0x80, cpu)
    const spi = 40 + 32 * cpu
    board.priority(spi, 0x40)
    board.route(spi, cpu)
    gic.setSpi(spi, 1)
    gic.writeSysreg(cpu, HCR_EL2, 0x18, 2)
    gic.writeSysreg(cpu, ICH_HCR_EL2, 1, 2)
    gic.writeSysreg64(cpu, ICH_VMCR_EL2, 0xff00_0003n, 2)
    gic.writeSysreg64(cpu, ichLr(cpu), lr({ group: 1, priority: 0x80, vintid: 40 }), 2)
    gic.writeSysreg64(cpu, ichLr(3), lr({ state: 'active', vintid: 41 }), 2)
  }
  return gic
}

/** What software and the host see of each CPU. */
function seen(gic: Gic): unknown {
  return [0, 1, 2].map((cpu) => {
    const lines = (['irq', 'fiq', 'virq', 'vfiq', 'maintenance'] as const).map((line) => gic.line(cpu, line))
    const empty = gic.readSysreg(cpu, ICH_ELRSR_EL2, 2)
    const pending = [1, 2].map((el) => gic.readSysreg(cpu, ICC_HPPIR1_EL1, el))
    return { lines, empty, pending }
  })
}

describe.each([
  ['without the derived words', 0],
  ['with wrong derived words', -1],
])('an image %s', (_what, value) => {
  it('opens as the same GIC', () => {
    const gic = busy()
    const heard: string[] = []
    const setLine = (cpu: number, line: string, level: number) => void heard.push(`${cpu} ${line} ${level}`)
    const opened = Gic.from(without(gic, value), { setLine })
    expect(seen(opened)).toEqual(seen(gic))
    expect(heard).toEqual([0, 1, 2].flatMap((cpu) => [`${cpu} virq 1`, `${cpu} irq 1`]))
  })

  it('is gone back to as the same GIC, and the host hears what moves', () => {
    const gic = busy()
    const image = without(gic, value)
    const heard: string[] = []
    const setLine = (cpu: number, line: string, level: number) => void heard.push(`${cpu} ${line} ${level}`)
    const other = new Gic(gic.config, { setLine })
    other.writeSysreg(1, HCR_EL2, 0x18 | 0x40, 2)
    heard.length = 0
    other.restore(image)
    expect(seen(other)).toEqual(seen(gic))
    expect(heard).toEqual(['0 virq 1', '0 irq 1', '1 virq 1', '1 vfiq 0', '1 irq 1', '2 virq 1', '2 irq 1'])
  })

  it('still has each CPU’s interrupts in their order', () => {
    const gic = Gic.from(without(busy(), value))
    for (const cpu of [0, 1, 2]) {
      gic.writeSysreg(cpu, HCR_EL2, 0, 2)
      const spi = 40 + 32 * cpu
      expect(gic.readSysreg(cpu, ICC_IAR1_EL1, 1)).toBe(spi)
      gic.setSpi(spi, 0)
      gic.writeSysreg(cpu, ICC_EOIR1_EL1, spi, 1)
      expect([1, 2].map(() => gic.readSysreg(cpu, ICC_IAR1_EL1, 1))).toEqual([27, 1023])
    }
  })
})
