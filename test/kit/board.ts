/**
 * A GIC that software drives on its physical side: a kernel's set-up at boot, and the outputs as a CPU emulator sees
 * them.
 */
import {
  Gic,
  type GicConfig,
  ICC_CTLR_EL1,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_HPPIR0_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_RPR_EL1,
  ICC_SGI1R_EL1,
  type OutputLine,
} from 'vgic'
import {
  type Bitmap,
  bitmaps,
  bitOf,
  GICD,
  ICFGR,
  IGROUPR,
  IPRIORITYR,
  IROUTER,
  ISENABLER,
  ONES,
  redistributor,
  sgiBase,
  WAKER,
  wordOf,
} from './frames.ts'

/** The INTID that IAR and HPPIR return when no interrupt is pending. */
export const SPURIOUS = 1023

/** A change of an output: `1 irq`, `0 wakeRequest low`. */
export type Change = `${number} ${OutputLine}${'' | ' low'}`

export class Board {
  readonly gic: Gic
  /** The changes of outputs since {@link heard} was last called. */
  private changes: Change[] = []

  /** `answer` is called by the host on each change. */
  constructor(config: Partial<GicConfig> = {}, answer?: (change: Change, gic: Gic) => void) {
    this.gic = new Gic(
      { cpus: 4, spis: 64, ...config },
      {
        setLine: (cpu, line, level) => {
          const change: Change = level === 1 ? `${cpu} ${line}` : `${cpu} ${line} low`
          this.changes.push(change)
          answer?.(change, this.gic)
        },
      },
    )
  }

  /** Everything enabled: both groups at the distributor and at every CPU, all interrupts group 1, enabled, on CPU 0. */
  booted(): this {
    const { gic } = this
    gic.writeMmio(GICD, 4, 3)
    for (let word = 1; word < 32; word++) {
      gic.writeMmio(GICD + IGROUPR + 4 * word, 4, ONES)
      gic.writeMmio(GICD + ISENABLER + 4 * word, 4, ONES)
    }
    for (let cpu = 0; cpu < gic.config.cpus; cpu++) {
      this.wake(cpu)
      this.write('IGROUPR', 0, ONES, cpu)
      this.write('ISENABLER', 0, ONES, cpu)
      gic.writeSysreg(cpu, ICC_PMR_EL1, 0xff, 1)
      gic.writeSysreg(cpu, ICC_IGRPEN0_EL1, 1, 1)
      gic.writeSysreg(cpu, ICC_IGRPEN1_EL1, 1, 1)
    }
    return this
  }

  /** The handshake by which software wakes a redistributor. */
  wake(cpu: number): void {
    this.gic.writeMmio(redistributor(cpu) + WAKER, 4, 0)
  }

  /** The address of a register of interrupt `intid`: of a CPU's redistributor for SGIs and PPIs. */
  at(register: Bitmap, intid: number, cpu = 0): number {
    return intid < 32 ? sgiBase(cpu) + bitmaps[register] : wordOf(bitmaps[register], intid)
  }

  /** Writes a whole word of a bitmap: that of interrupt `intid`. */
  write(register: Bitmap, intid: number, value: number, cpu = 0): void {
    this.gic.writeMmio(this.at(register, intid, cpu), 4, value)
  }

  /** Writes the bit of one interrupt, the others as 0. */
  set(register: Bitmap, intid: number, cpu = 0): void {
    this.write(register, intid, bitOf(intid), cpu)
  }

  /** Whether the bit of an interrupt is set. */
  is(register: Bitmap, intid: number, cpu = 0): boolean {
    return Math.floor(this.gic.readMmio(this.at(register, intid, cpu), 4) / bitOf(intid)) % 2 === 1
  }

  /** Puts an interrupt into group 0. */
  group0(intid: number, cpu = 0): void {
    const at = this.at('IGROUPR', intid, cpu)
    this.gic.writeMmio(at, 4, this.gic.readMmio(at, 4) - (this.is('IGROUPR', intid, cpu) ? bitOf(intid) : 0))
  }

  priority(intid: number, value: number, cpu = 0): void {
    const base = intid < 32 ? sgiBase(cpu) : GICD
    this.gic.writeMmio(base + IPRIORITYR + intid, 1, value)
  }

  /** Makes an interrupt edge-triggered. */
  edge(intid: number, cpu = 0): void {
    const base = intid < 32 ? sgiBase(cpu) : GICD
    const at = base + ICFGR + 4 * (intid >> 4)
    const bit = 2 ** (2 * (intid & 15) + 1)
    const value = this.gic.readMmio(at, 4)
    if (Math.floor(value / bit) % 2 === 0) this.gic.writeMmio(at, 4, value + bit)
  }

  /** Routes an SPI to an affinity, Aff3.Aff2.Aff1.Aff0 as GICD_IROUTER has it. */
  route(intid: number, affinity: bigint | number): void {
    this.gic.writeMmio64(GICD + IROUTER + 8 * intid, BigInt(affinity))
  }

  /** ICC_SGI1R_EL1 of a CPU. */
  sgi(cpu: number, intid: number, targets: number, more = 0n): void {
    this.gic.writeSysreg64(cpu, ICC_SGI1R_EL1, (BigInt(intid) << 24n) | BigInt(targets) | more, 1)
  }

  /** Reads ICC_IAR1_EL1, or ICC_IAR0_EL1. */
  ack(cpu = 0, group: 0 | 1 = 1): number {
    return this.gic.readSysreg(cpu, group === 1 ? ICC_IAR1_EL1 : ICC_IAR0_EL1, 1)
  }

  eoi(intid: number, cpu = 0, group: 0 | 1 = 1): void {
    this.gic.writeSysreg(cpu, group === 1 ? ICC_EOIR1_EL1 : ICC_EOIR0_EL1, intid, 1)
  }

  dir(intid: number, cpu = 0): void {
    this.gic.writeSysreg(cpu, ICC_DIR_EL1, intid, 1)
  }

  /** EOIMode and CBPR. */
  ctlr(value: number, cpu = 0): void {
    this.gic.writeSysreg(cpu, ICC_CTLR_EL1, value, 1)
  }

  running(cpu = 0): number {
    return this.gic.readSysreg(cpu, ICC_RPR_EL1, 1)
  }

  hppi(cpu = 0, group: 0 | 1 = 1): number {
    return this.gic.readSysreg(cpu, group === 1 ? ICC_HPPIR1_EL1 : ICC_HPPIR0_EL1, 1)
  }

  irq(cpu = 0): 0 | 1 {
    return this.gic.line(cpu, 'irq')
  }

  fiq(cpu = 0): 0 | 1 {
    return this.gic.line(cpu, 'fiq')
  }

  /** Returns the changes of outputs since the last call. */
  heard(): readonly Change[] {
    const { changes } = this
    this.changes = []
    return changes
  }
}
