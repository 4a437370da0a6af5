/** The tree of pending LPIs against a list of them that is searched. */
import fc from 'fast-check'
import { Gic, ICC_EOIR1_EL1, ICC_HPPIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICD, HostMemory } from '../its/its-programs.ts'

const GICR = 0x080a_0000
const CONFIG = 0x4000_0000
const SPURIOUS = 1023

const happening = fc.record({
  k: fc.constantFrom('set', 'set', 'set', 'clear', 'ack', 'configure', 'invalidate', 'invalidate all'),
  n: fc.nat(0xffff),
  byte: fc.nat(0xff),
})

/** The LPIs of one redistributor, each with its configuration as it was last read. */
class Model {
  readonly pending = new Set<number>()
  readonly cached = new Map<number, number>()
  readonly memory = new Map<number, number>()

  use(lpi: number): void {
    if (!this.cached.has(lpi)) this.cached.set(lpi, this.memory.get(lpi) ?? 0)
  }

  invalidate(lpi: number): void {
    this.cached.delete(lpi)
    if (this.pending.has(lpi)) this.use(lpi)
  }

  /** The INTID of the highest priority one that is enabled. */
  get highest(): number {
    const enabled = [...this.pending].filter((lpi) => (this.cached.get(lpi) ?? 0) & 1)
    const rank = (lpi: number) => ((this.cached.get(lpi) ?? 0) & 0xf8) * 2 ** 24 + lpi
    enabled.sort((a, b) => rank(a) - rank(b))
    return enabled.length === 0 ? SPURIOUS : 8192 + enabled[0]
  }
}

describe.each([4, 64, 4096, 0x1_0000, 1 << 20])('%i LPIs', (lpis) => {
  it('the highest priority pending one is what a search of all finds, after every change', () => {
    fc.assert(
      fc.property(
        fc.array(happening, { maxLength: 120, size: 'max' }),
        fc.constantFrom(1, 37, 1024, 5000, 40_961),
        (happenings, spread) => {
          const memory = new HostMemory()
          const gic = new Gic({ cpus: 1, lpis, directLpis: true }, { memory })
          const model = new Model()
          gic.writeMmio(GICD, 4, 2)
          gic.writeMmio(GICR + 0x14, 4, 0)
          gic.writeMmio64(GICR + 0x70, BigInt(CONFIG) | 23n)
          gic.writeMmio(GICR, 4, 1)
          const count = lpis === 0x1_0000 ? 57_344 : lpis
          gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1, 1)
          gic.writeSysreg(0, ICC_PMR_EL1, 0xff, 1)
          for (const { k, n, byte } of happenings) {
            const lpi = ((n % 24) * spread) % count
            const [intid, at] = [8192 + lpi, CONFIG + lpi]
            if (k === 'set') {
              gic.writeMmio(GICR + 0x40, 4, intid)
              model.use(lpi)
              model.pending.add(lpi)
            } else if (k === 'clear') {
              gic.writeMmio(GICR + 0x48, 4, intid)
              model.pending.delete(lpi)
            } else if (k === 'ack') {
              // At the running priority of the one before nothing is acknowledged: each is ended first.
              const got = gic.readSysreg(0, ICC_IAR1_EL1, 1)
              expect(got).toBe(model.highest)
              model.pending.delete(got - 8192)
              if (got !== SPURIOUS) gic.writeSysreg(0, ICC_EOIR1_EL1, got, 1)
            } else if (k === 'configure') {
              // A priority that the mask lets through.
              model.memory.set(lpi, byte & 0x7f)
              const shift = 8 * (at % 4)
              const word = memory.read(at - (at % 4))
              memory.write(at - (at % 4), ((word & ~(0xff << shift)) | ((byte & 0x7f) << shift)) >>> 0)
            } else if (k === 'invalidate') {
              gic.writeMmio(GICR + 0xa0, 4, intid)
              model.invalidate(lpi)
            } else {
              gic.writeMmio(GICR + 0xb0, 4, 0)
              model.cached.clear()
              for (const each of model.pending) model.use(each)
            }
            expect(gic.readSysreg(0, ICC_HPPIR1_EL1, 1)).toBe(model.highest)
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})
