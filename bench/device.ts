/**
 * The benchmark of the GIC as a device, through its public interface: an MMIO read, an SPI that raises the IRQ line,
 * an acknowledge with its end of interrupt; with few SPIs and with nearly all there can be. The highest pending
 * interrupt must not be searched for, so the two should cost the same, whatever else is pending.
 */
import { Gic, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
import { header, Progress } from '../test/command-line.ts'
import { median, quantile } from './statistics.ts'

const SIZES = [32, 987] as const
/** Many and short, about a millisecond each: most are over before another process gets the core. */
const ROUNDS = 301
const ITERATIONS = 5_000

const GICD = 0x0800_0000
const GICD_CTLR = GICD
const GICD_IGROUPR = GICD + 0x80
const GICD_ISENABLER = GICD + 0x100
const GICD_IPRIORITYR = GICD + 0x400
const GICR_WAKER = 0x080a_0014
const FIRST_SPI = 32
/** The SPI that is measured; every other one has a lower priority. */
const SPI = 40
const HIGH = 0x40
const LOW = 0xa0
/** Masks priority {@link LOW}, lets {@link HIGH} through. */
const PMR_BETWEEN = 0x80
const PMR_ALL = 0xf8

/** A GIC whose driver has enabled every SPI, group 1, for CPU 0. */
class Bench {
  readonly gic: Gic
  /** How often the IRQ line went up. */
  private raised = 0

  constructor(readonly spis: number) {
    this.gic = new Gic(
      { cpus: 4, spis },
      {
        setLine: (_cpu, _line, level) => {
          this.raised += level
        },
      },
    )
    const { gic } = this
    gic.writeMmio(GICR_WAKER, 4, 0)
    gic.writeMmio(GICD_CTLR, 4, 0x12)
    for (let intid = FIRST_SPI; intid < FIRST_SPI + spis; intid++) {
      gic.writeMmio(GICD_IPRIORITYR + intid, 1, intid === SPI ? HIGH : LOW)
    }
    for (let word = 1; word <= Math.ceil(spis / 32); word++) {
      gic.writeMmio(GICD_IGROUPR + 4 * word, 4, 0xffff_ffff)
      gic.writeMmio(GICD_ISENABLER + 4 * word, 4, 0xffff_ffff)
    }
    gic.writeSysreg(0, ICC_PMR_EL1, PMR_ALL)
    gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1)
  }

  /** Drives the line of every SPI but the measured one; while they are pending, the CPU masks their priority. */
  others(level: 0 | 1): void {
    this.gic.writeSysreg(0, ICC_PMR_EL1, level === 1 ? PMR_BETWEEN : PMR_ALL)
    for (let intid = FIRST_SPI; intid < FIRST_SPI + this.spis; intid++) {
      if (intid !== SPI) this.gic.setSpi(intid, level)
    }
  }

  /** Reads of GICD_ISENABLER, one register after the other. */
  read(iterations: number): number {
    const words = Math.ceil(this.spis / 32)
    let sum = 0
    for (let i = 0, word = 1; i < iterations; i++) {
      sum = (sum + this.gic.readMmio(GICD_ISENABLER + 4 * word, 4)) | 0
      word = word === words ? 1 : word + 1
    }
    if (sum === 0) throw new Error('nothing is enabled')
    return iterations
  }

  /** An SPI's line up, and so the IRQ line; and both down again, which is as much work. */
  raise(iterations: number): number {
    const before = this.raised
    for (let i = 0; i < iterations; i++) {
      this.gic.setSpi(SPI, 1)
      this.gic.setSpi(SPI, 0)
    }
    if (this.raised - before !== iterations) throw new Error('the IRQ line did not follow the SPI')
    return 2 * iterations
  }

  /** Acknowledges and ends an interrupt whose line stays high. */
  acknowledge(iterations: number): number {
    const { gic } = this
    gic.setSpi(SPI, 1)
    for (let i = 0; i < iterations; i++) {
      const intid = gic.readSysreg(0, ICC_IAR1_EL1)
      if (intid !== SPI) throw new Error(`acknowledged ${intid}`)
      gic.writeSysreg(0, ICC_EOIR1_EL1, intid)
    }
    gic.setSpi(SPI, 0)
    return iterations
  }
}

interface Scenario {
  readonly name: string
  /** Every other SPI is pending, below the priority mask. */
  readonly amongPending: boolean
  /** Returns how many of what is measured it did. */
  run(bench: Bench, iterations: number): number
}

const scenarios: readonly Scenario[] = [
  { name: 'GICD_ISENABLER read', amongPending: false, run: (bench, n) => bench.read(n) },
  ...[false, true].flatMap((amongPending) => [
    { name: 'SPI raise to IRQ line', amongPending, run: (bench: Bench, n: number) => bench.raise(n) },
    { name: 'IAR + EOIR', amongPending, run: (bench: Bench, n: number) => bench.acknowledge(n) },
  ]),
]

interface Row {
  readonly name: string
  /** Nanoseconds, by number of SPIs. */
  readonly ns: Readonly<Record<number, number>>
  /** Bytes of heap that one takes on the larger GIC: 0, but for the box that V8 makes of a number from 2^31 on. */
  readonly bytes: number
  /** The larger GIC's time as a multiple of the smaller's: the median of the rounds and its quartiles. */
  readonly ratio: number
  readonly quartiles: readonly [number, number]
}

const nameOf = ({ name, amongPending }: Scenario): string =>
  amongPending ? `${name}, all others pending` : name

function measure(scenario: Scenario): Row {
  const { amongPending, run } = scenario
  const benches = SIZES.map((spis) => new Bench(spis))
  for (const bench of benches) bench.others(amongPending ? 1 : 0)
  const round = (bench: Bench): number => {
    const start = performance.now()
    const done = run(bench, ITERATIONS)
    return ((performance.now() - start) * 1e6) / done
  }
  for (let warm = 0; warm < 20; warm++) for (const bench of benches) round(bench)
  // In turn, so that what the machine does meanwhile hits both.
  const rounds = Array.from({ length: ROUNDS }, () => benches.map(round))
  const heap = process.memoryUsage().heapUsed
  const done = run(benches[1], 20 * ITERATIONS)
  const bytes = (process.memoryUsage().heapUsed - heap) / done
  const ratios = rounds.map(([small, large]) => large / small)
  return {
    name: nameOf(scenario),
    ns: Object.fromEntries(SIZES.map((spis, i) => [spis, median(rounds.map((times) => times[i]))])),
    bytes,
    ratio: median(ratios),
    quartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
  }
}

/** Runs the benchmark and prints it. */
export function benchDevice(json: boolean): void {
  if (!json) {
    const legend = `medians of ${ROUNDS} rounds: nanoseconds; bytes of heap and ratio of the larger GIC (quartiles)`
    console.log(header('bench: the GIC as a device, through its public interface', legend))
  }
  const progress = new Progress(scenarios.length)
  const rows = scenarios.map((each) => {
    progress.next(nameOf(each))
    return measure(each)
  })
  progress.clear()
  if (json) {
    console.log(JSON.stringify(rows, null, 2))
    return
  }
  const [small, large] = SIZES
  console.log(`${''.padEnd(44)}${SIZES.map((spis) => `${spis} SPIs`.padStart(12)).join('')}  bytes  ratio`)
  for (const { name, ns, bytes, ratio, quartiles } of rows) {
    const times = [small, large].map((spis) => `${ns[spis].toFixed(1)} ns`.padStart(12)).join('')
    const range = quartiles.map((each) => each.toFixed(2)).join(' to ')
    console.log(`${name.padEnd(44)}${times}${bytes.toFixed(1).padStart(7)}  ${ratio.toFixed(2)} (${range})`)
  }
}
