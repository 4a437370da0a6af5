/** Two CPUs of an emulator: one brings the GIC up and sends the other an SGI, which takes it and ends. */
import {
  type Encoding,
  Gic,
  type GicHost,
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_SGI1R_EL1,
  VgicError,
} from 'vgic'

const GICD = 0x0800_0000
const GICR = 0x080a_0000
/** From the redistributor of one CPU to the next. */
const STRIDE = 0x2_0000

/** What an emulator has of a CPU, as far as its interrupts go. */
class Cpu {
  /** The IRQ input, which the GIC drives. */
  irq = false
  readonly taken: number[] = []

  constructor(
    private readonly gic: Gic,
    readonly index: number,
  ) {}

  msr(register: Encoding, value: bigint): void {
    this.gic.writeSysreg64(this.index, register, value, 1)
  }

  /** What the kernel of this CPU does first. */
  boot(): void {
    const rd = GICR + this.index * STRIDE
    this.gic.writeMmio(rd + 0x14, 4, 0) // GICR_WAKER: this CPU is awake
    this.gic.writeMmio(rd + 0x1_0080, 4, 0xffff_ffff) // GICR_IGROUPR0: group 1
    this.gic.writeMmio(rd + 0x1_0100, 4, 0xffff) // GICR_ISENABLER0: the SGIs
    this.msr(ICC_PMR_EL1, 0xf0n)
    this.msr(ICC_IGRPEN1_EL1, 1n)
  }

  /** Its handler. */
  serve(): void {
    const intid = this.gic.readSysreg(this.index, ICC_IAR1_EL1, 1)
    this.taken.push(intid)
    this.msr(ICC_EOIR1_EL1, BigInt(intid))
  }
}

const cpus: Cpu[] = []
const host: GicHost = {
  // The GIC calls this when an output moves; the emulator's loop looks at it before the next instruction.
  setLine: (cpu, line, level) => {
    if (line === 'irq') cpus[cpu].irq = level === 1
  },
}
const gic = new Gic({ cpus: 2, gicd: GICD, gicr: [{ base: GICR, count: 2 }] }, host)
cpus.push(new Cpu(gic, 0), new Cpu(gic, 1))

gic.writeMmio(GICD, 4, 0x12) // GICD_CTLR: affinity routing, group 1
for (const cpu of cpus) cpu.boot()

cpus[0].msr(ICC_SGI1R_EL1, (5n << 24n) | 0b10n) // SGI 5, to the CPU with Aff0 = 1
if (!cpus[1].irq) throw new Error(gic.explain(5, 1).toString())
cpus[1].serve()
console.log(cpus[1].taken, cpus[1].irq, cpus[0].taken) // [ 5 ] false []

// The library throws for wrong use alone, and the error says what to do.
try {
  gic.setSpi(5, 1)
} catch (error) {
  if (error instanceof VgicError) console.log(error.code) // argument
}
