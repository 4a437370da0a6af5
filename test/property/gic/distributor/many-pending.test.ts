/**
 * Many SPIs pending at once: the highest priority pending interrupt of each CPU is kept by blocks of 32, and after any
 * operation it must be what a GIC finds that looks at everything anew.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  Gic,
  ICC_HPPIR0_EL1,
  ICC_HPPIR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
} from '../../../../src/index.ts'
import {
  GICD,
  ICENABLER,
  IGROUPR,
  IPRIORITYR,
  IROUTER,
  ISENABLER,
  redistributor,
  WAKER,
} from '../../../kit/frames.ts'

const CPUS = 2
const SPIS = 987
const GICD_IGROUPR = GICD + IGROUPR
const GICD_ISENABLER = GICD + ISENABLER
const GICD_ICENABLER = GICD + ICENABLER
const GICD_IPRIORITYR = GICD + IPRIORITYR
const GICD_IROUTER = GICD + IROUTER
const wakerOf = (cpu: number) => redistributor(cpu) + WAKER

const cpu = fc.nat(CPUS - 1)
const intid = fc.integer({ min: 32, max: 32 + SPIS - 1 })
const bit = fc.nat(1)
const word = fc.integer({ min: 1, max: 31 })
const bits = fc.nat(0xffff_ffff)

/** What devices, drivers and CPUs do that moves a highest priority pending interrupt. */
const operation: fc.Arbitrary<(gic: Gic) => void> = fc.oneof(
  fc.tuple(intid, bit).map(
    ([spi, level]) =>
      (gic: Gic) =>
        gic.setSpi(spi, level),
  ),
  fc.tuple(word, bits).map(([n, lines]) => (gic: Gic) => {
    for (let i = 0; i < 32; i++) {
      if (32 * n + i < 32 + SPIS) gic.setSpi(32 * n + i, (lines >>> i) & 1)
    }
  }),
  fc.tuple(intid, fc.nat(0xff)).map(
    ([spi, priority]) =>
      (gic: Gic) =>
        gic.writeMmio(GICD_IPRIORITYR + spi, 1, priority),
  ),
  fc.tuple(intid, fc.nat(CPUS)).map(
    ([spi, target]) =>
      (gic: Gic) =>
        gic.writeMmio64(GICD_IROUTER + 8 * spi, BigInt(target)),
  ),
  fc.tuple(fc.constantFrom(GICD_IGROUPR, GICD_ISENABLER, GICD_ICENABLER), word, bits).map(
    ([register, n, value]) =>
      (gic: Gic) =>
        gic.writeMmio(register + 4 * n, 4, value),
  ),
  fc.tuple(cpu, bit, bit).map(([n, group0, group1]) => (gic: Gic) => {
    gic.writeSysreg(n, ICC_IGRPEN0_EL1, group0)
    gic.writeSysreg(n, ICC_IGRPEN1_EL1, group1)
  }),
  fc.nat(3).map((groups) => (gic: Gic) => gic.writeMmio(GICD, 4, groups)),
  fc.tuple(cpu, bit).map(
    ([n, sleep]) =>
      (gic: Gic) =>
        gic.writeMmio(wakerOf(n), 4, 2 * sleep),
  ),
)

/** A machine in which interrupts arrive: all enabled, in both groups, half of the lines high. */
function busy(): Gic {
  const gic = new Gic({ cpus: CPUS, spis: SPIS })
  gic.writeMmio(GICD, 4, 3)
  for (let n = 1; n < 32; n++) {
    gic.writeMmio(GICD_IGROUPR + 4 * n, 4, 0x5a5a_5a5a)
    gic.writeMmio(GICD_ISENABLER + 4 * n, 4, 0xffff_ffff)
  }
  for (let spi = 32; spi < 32 + SPIS; spi++) {
    gic.writeMmio(GICD_IPRIORITYR + spi, 1, (spi * 37) & 0xf8)
    gic.writeMmio64(GICD_IROUTER + 8 * spi, BigInt((spi >> 2) % CPUS))
    gic.setSpi(spi, spi & 1)
  }
  for (let n = 0; n < CPUS; n++) {
    gic.writeMmio(wakerOf(n), 4, 0)
    gic.writeSysreg(n, ICC_PMR_EL1, 0xf8)
    gic.writeSysreg(n, ICC_IGRPEN0_EL1, 1)
    gic.writeSysreg(n, ICC_IGRPEN1_EL1, 1)
  }
  return gic
}

const seen = (gic: Gic) =>
  Array.from({ length: CPUS }, (_, n) => [
    gic.readSysreg(n, ICC_HPPIR0_EL1),
    gic.readSysreg(n, ICC_HPPIR1_EL1),
    gic.line(n, 'irq'),
    gic.line(n, 'fiq'),
    gic.line(n, 'wakeRequest'),
  ])

it('what is kept is what a GIC finds that looks at everything anew', () => {
  const image = busy().snapshot()
  fc.assert(
    fc.property(fc.array(operation, { minLength: 1, maxLength: 30 }), (operations) => {
      const gic = Gic.from(image.slice(0))
      for (const operate of operations) {
        operate(gic)
        expect(seen(gic)).toEqual(seen(Gic.from(gic.snapshot())))
      }
    }),
    { numRuns: 100 },
  )
})
