/**
 * The benchmark of the GIC as a device, through its public interface: an MMIO read, an SPI that raises the IRQ line,
 * an acknowledge with its end of interrupt; with few SPIs and with nearly all there can be; and message-signalled
 * interrupts, those of GICv4.1's vPEs, and those of a VM. The highest pending interrupt must not be searched for, so the
 * two should cost the same, whatever else is pending.
 */
import { Gic, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
import { header, Progress } from '../test/command-line.ts'
import { benchGuestMessages, GUEST_MESSAGES } from './guest-messages.ts'
import { benchMessages, LPI_SIZES, MESSAGES } from './messages.ts'
import { measure, print, ROUNDS, type Row, type Scenario } from './pairs.ts'
import { benchVpes, VPE_ROWS } from './vpes.ts'

const SIZES = [32, 987] as const

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

const scenarios: readonly Scenario<Bench>[] = [
  { name: 'GICD_ISENABLER read', run: (bench, n) => bench.read(n) },
  { name: 'SPI raise to IRQ line', run: (bench, n) => bench.raise(n) },
  { name: 'IAR + EOIR', run: (bench, n) => bench.acknowledge(n) },
  {
    name: 'SPI raise to IRQ line, all others pending',
    prepare: (bench) => bench.others(1),
    run: (bench, n) => bench.raise(n),
  },
  {
    name: 'IAR + EOIR, all others pending',
    prepare: (bench) => bench.others(1),
    run: (bench, n) => bench.acknowledge(n),
  },
]

/** Runs the benchmark and prints it. */
export function benchDevice(json: boolean): void {
  if (!json) {
    const legend = `medians of ${ROUNDS} rounds: nanoseconds; bytes of heap and ratio of the larger GIC (quartiles)`
    console.log(header('bench: the GIC as a device, through its public interface', legend))
  }
  const [small, large] = SIZES
  const progress = new Progress(scenarios.length + MESSAGES + VPE_ROWS + GUEST_MESSAGES)
  const spis: Row[] = scenarios.map((scenario) => {
    progress.next(scenario.name)
    return measure(scenario, new Bench(small), new Bench(large))
  })
  const lpis = benchMessages((name) => progress.next(name))
  const vlpis = benchVpes((name) => progress.next(name))
  const guests = benchGuestMessages((name) => progress.next(name))
  progress.clear()
  if (json) {
    console.log(JSON.stringify([...spis, ...lpis, ...vlpis, ...guests], null, 2))
    return
  }
  print(spis, [`${small} SPIs`, `${large} SPIs`])
  console.log()
  print(lpis, [`${LPI_SIZES[0]} LPIs`, `${LPI_SIZES[1]} LPIs`])
  console.log()
  print(vlpis, [`${LPI_SIZES[0]} vLPIs`, `${LPI_SIZES[1]} vLPIs`])
  console.log()
  print(guests, [`${LPI_SIZES[0]} LPIs`, `${LPI_SIZES[1]} LPIs`])
}
