/** A GIC whose physical side software drives: what a kernel does at boot, and the outputs as a CPU emulator sees them. */
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

export const GICD = 0x0800_0000
export const GICR = 0x080a_0000
export const GICR_STRIDE = 0x2_0000
const SGI_BASE = 0x1_0000
export const ONES = 0xffff_ffff
/** What IAR and HPPIR read when they have nothing. */
export const SPURIOUS = 1023

/** Offsets of the registers with a bit an interrupt, in GICD and in SGI_base. */
export const offsets = {
  IGROUPR: 0x80,
  ISENABLER: 0x100,
  ICENABLER: 0x180,
  ISPENDR: 0x200,
  ICPENDR: 0x280,
  ISACTIVER: 0x300,
  ICACTIVER: 0x380,
} as const
export type Bitmap = keyof typeof offsets

/** A change of an output: `1 irq`, `0 wakeRequest low`. */
export type Change = `${number} ${OutputLine}${'' | ' low'}`

export class Board {
  readonly gic: Gic
  /** The changes of outputs since {@link heard} was last asked. */
  private changes: Change[] = []

  /** `answer` is what the host does on a change. */
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
      gic.writeMmio(GICD + offsets.IGROUPR + 4 * word, 4, ONES)
      gic.writeMmio(GICD + offsets.ISENABLER + 4 * word, 4, ONES)
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
    this.gic.writeMmio(this.redistributor(cpu) + 0x14, 4, 0)
  }

  redistributor(cpu: number): number {
    return GICR + cpu * GICR_STRIDE
  }

  /** The address of a register of interrupt `intid`: of a CPU's redistributor for SGIs and PPIs. */
  at(register: Bitmap, intid: number, cpu = 0): number {
    if (intid < 32) return this.redistributor(cpu) + SGI_BASE + offsets[register]
    return GICD + offsets[register] + 4 * (intid >> 5)
  }

  /** Writes a whole word of a bitmap: that of interrupt `intid`. */
  write(register: Bitmap, intid: number, value: number, cpu = 0): void {
    this.gic.writeMmio(this.at(register, intid, cpu), 4, value)
  }

  /** Writes the bit of one interrupt, the others as 0. */
  set(register: Bitmap, intid: number, cpu = 0): void {
    this.write(register, intid, 2 ** (intid & 31), cpu)
  }

  /** Whether the bit of an interrupt is set. */
  is(register: Bitmap, intid: number, cpu = 0): boolean {
    return Math.floor(this.gic.readMmio(this.at(register, intid, cpu), 4) / 2 ** (intid & 31)) % 2 === 1
  }

  /** Takes an interrupt out of group 1. */
  group0(intid: number, cpu = 0): void {
    const at = this.at('IGROUPR', intid, cpu)
    this.gic.writeMmio(
      at,
      4,
      this.gic.readMmio(at, 4) - (this.is('IGROUPR', intid, cpu) ? 2 ** (intid & 31) : 0),
    )
  }

  priority(intid: number, value: number, cpu = 0): void {
    const base = intid < 32 ? this.redistributor(cpu) + SGI_BASE : GICD
    this.gic.writeMmio(base + 0x400 + intid, 1, value)
  }

  /** Makes an interrupt edge-triggered. */
  edge(intid: number, cpu = 0): void {
    const base = intid < 32 ? this.redistributor(cpu) + SGI_BASE : GICD
    const at = base + 0xc00 + 4 * (intid >> 4)
    const bit = 2 ** (2 * (intid & 15) + 1)
    const value = this.gic.readMmio(at, 4)
    if (Math.floor(value / bit) % 2 === 0) this.gic.writeMmio(at, 4, value + bit)
  }

  /** Routes an SPI to an affinity, Aff3.Aff2.Aff1.Aff0 as GICD_IROUTER has it. */
  route(intid: number, affinity: bigint | number): void {
    this.gic.writeMmio64(GICD + 0x6000 + 8 * intid, BigInt(affinity))
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

  /** The changes of outputs since this was last asked. */
  heard(): readonly Change[] {
    const { changes } = this
    this.changes = []
    return changes
  }
}
