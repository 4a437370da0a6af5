/**
 * The benchmark of message-signalled interrupts, through the public interface: from the device's write to the IRQ line,
 * the same with acknowledge and end of interrupt, and commands; with few LPIs and with nearly all of 16 bits of INTIDs.
 * Nothing may be searched for, so the two should cost the same.
 */
import { Gic, type GicMemory, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
import { measure, type Row, type Scenario } from './pairs.ts'

export const LPI_SIZES = [64, 65_536] as const

const GICD_CTLR = 0x0800_0000
const GITS = 0x0808_0000
const GITS_BASER = GITS + 0x100
const GITS_CBASER = GITS + 0x80
const GITS_CWRITER = GITS + 0x88
const GICR = 0x080a_0000
const GICR_WAKER = GICR + 0x14
const GICR_PROPBASER = GICR + 0x70
const GICR_PENDBASER = GICR + 0x78
const VALID = 1n << 63n

/** Memory of 2 MiB: configuration, pending table, device and collection tables, queue, ITT. */
const MEBIBYTE = 0x10_0000
const PENDING = 0x2_0000
const DEVICES = 0x4_0000
const COLLECTIONS = 0x5_0000
const QUEUE = 0x6_0000
const QUEUE_BYTES = 0x1_0000
const ITT = MEBIBYTE
const DEVICE = 7
const EVENT_BITS = 16

const INT = 0x03
const CLEAR = 0x04
const MAPD = 0x08
const MAPC = 0x09
const MAPTI = 0x0a

/** Memory of 2 MiB as an emulator has it. */
export class Ram implements GicMemory {
  private readonly words = new Int32Array(MEBIBYTE / 2)

  constructor(readonly base: number) {}

  read32(address: number): number {
    return this.words[(address - this.base) >> 2]
  }

  write32(address: number, value: number): void {
    this.words[(address - this.base) >> 2] = value
  }
}

/** A GIC whose driver has mapped every LPI to an event of one device, all of the lowest priority but the last one. */
class MessageBench {
  readonly gic: Gic
  private readonly ram: Ram
  private raised = 0
  private writer = 0
  /** The event that is measured, whose LPI is the last one. */
  private readonly event: number

  constructor(
    readonly lpis: number,
    base = 0x4000_0000,
  ) {
    this.ram = new Ram(base)
    this.gic = new Gic(
      { cpus: 4, lpis, its: [{ base: GITS }] },
      {
        memory: this.ram,
        setLine: (_cpu, _line, level) => {
          this.raised += level
        },
      },
    )
    const { gic } = this
    gic.writeMmio(GICR_WAKER, 4, 0)
    gic.writeMmio(GICD_CTLR, 4, 0x12)
    gic.writeSysreg(0, ICC_PMR_EL1, 0xf8)
    gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1)
    const events = Math.min(lpis, 57_344)
    this.event = events - 1
    for (let at = 0; at < events; at += 4) this.ram.write32(base + at, 0xa1a1_a1a1 | 0)
    gic.writeMmio64(GICR_PROPBASER, BigInt(base) | 0x78fn)
    gic.writeMmio64(GICR_PENDBASER, BigInt(base + PENDING) | 0x780n)
    gic.writeMmio(GICR, 4, 1)
    gic.writeMmio64(GITS_BASER, VALID | BigInt(base + DEVICES) | 0x200n)
    gic.writeMmio64(GITS_BASER + 8, VALID | BigInt(base + COLLECTIONS) | 0x200n)
    gic.writeMmio64(GITS_CBASER, VALID | BigInt(base + QUEUE) | 0xfn)
    gic.writeMmio(GITS, 4, 1)
    this.send(MAPC, 0, 0, 0, 0, 0x8000_0000 | 0)
    this.send(MAPD, DEVICE, EVENT_BITS - 1, 0, (base + ITT) | 0, 0x8000_0000 | 0)
    for (let event = 0; event < events; event++) this.send(MAPTI, DEVICE, event, 8192 + event, 0, 0)
  }

  /** Writes a command into the queue, and GITS_CWRITER. */
  private send(
    opcode: number,
    device: number,
    event: number,
    intid: number,
    low: number,
    high: number,
  ): void {
    const { ram, writer } = this
    const at = ram.base + QUEUE + writer
    ram.write32(at, opcode)
    ram.write32(at + 4, device)
    ram.write32(at + 8, event)
    ram.write32(at + 12, intid)
    ram.write32(at + 16, low)
    ram.write32(at + 20, high)
    this.writer = (writer + 32) % QUEUE_BYTES
    this.gic.writeMmio(GITS_CWRITER, 4, this.writer)
  }

  /** Has `count` other LPIs pending, behind a priority mask that lets only the measured one through. */
  others(count: number): void {
    const { gic, event } = this
    this.ram.write32(this.ram.base + (event & ~3), 0x41a1_a1a1)
    gic.writeSysreg(0, ICC_PMR_EL1, 0x80)
    for (let n = 0; n < count; n++) gic.sendMsi(DEVICE, Math.floor((n * event) / count))
  }

  /** A message raises the IRQ line, and a CLEAR by command, which is not counted, lowers it. */
  message(iterations: number): number {
    const before = this.raised
    for (let i = 0; i < iterations; i++) {
      this.gic.sendMsi(DEVICE, this.event)
      this.send(CLEAR, DEVICE, this.event, 0, 0, 0)
    }
    if (this.raised - before !== iterations) throw new Error('the IRQ line did not follow the message')
    return iterations
  }

  /** A message that is acknowledged and ended. */
  served(iterations: number): number {
    const { gic, event } = this
    for (let i = 0; i < iterations; i++) {
      gic.sendMsi(DEVICE, event)
      const intid = gic.readSysreg(0, ICC_IAR1_EL1)
      if (intid !== 8192 + event) throw new Error(`acknowledged ${intid}`)
      gic.writeSysreg(0, ICC_EOIR1_EL1, intid)
    }
    return iterations
  }

  /** INT by command, acknowledged and ended. */
  interrupt(iterations: number): number {
    const { gic, event } = this
    for (let i = 0; i < iterations; i++) {
      this.send(INT, DEVICE, event, 0, 0, 0)
      const intid = gic.readSysreg(0, ICC_IAR1_EL1)
      if (intid !== 8192 + event) throw new Error(`acknowledged ${intid}`)
      gic.writeSysreg(0, ICC_EOIR1_EL1, intid)
    }
    return iterations
  }

  /** Maps the measured event again. */
  map(iterations: number): number {
    const { event } = this
    for (let i = 0; i < iterations; i++) this.send(MAPTI, DEVICE, event, 8192 + event, 0, 0)
    return iterations
  }
}

const scenarios: readonly Scenario<MessageBench>[] = [
  { name: 'MSI to IRQ line, CLEAR', run: (bench, n) => bench.message(n) },
  { name: 'MSI to IRQ line, IAR + EOIR', run: (bench, n) => bench.served(n) },
  { name: 'INT by command, IAR + EOIR', run: (bench, n) => bench.interrupt(n) },
  { name: 'MAPTI by command', run: (bench, n) => bench.map(n) },
]

/** How many rows {@link benchMessages} has. */
export const MESSAGES = scenarios.length + 2

/** The rows with few and with many LPIs; `progress` hears the name of each before it is measured. */
export function benchMessages(progress: (name: string) => void): Row[] {
  const [small, large] = LPI_SIZES
  const among = {
    name: 'MSI, IAR + EOIR, 60 and 1,000 others pending',
    prepare: (bench: MessageBench) => bench.others(bench.lpis === large ? 1000 : 60),
    run: (bench: MessageBench, n: number) => bench.served(n),
  }
  const high = { name: 'MSI, IAR + EOIR, memory above 2 GiB', run: among.run }
  const row = (scenario: Scenario<MessageBench>, base?: number): Row => {
    progress(scenario.name)
    return measure(scenario, new MessageBench(small, base), new MessageBench(large, base))
  }
  return [...scenarios.map((scenario) => row(scenario)), row(among), row(high, 0x8000_0000)]
}
