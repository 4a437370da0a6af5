/**
 * The benchmark of GICv4.1, through the public interface: vLPIs of a resident vPE, from the device's write to the virtual
 * IRQ line; of one that is not resident, with and without its doorbell; a vPE that becomes resident and leaves; vSGIs.
 * With few vLPIs and with nearly all of 16 bits of INTIDs. Only a load and put of a vPE may depend on how many are pending.
 */
import {
  Gic,
  HCR_EL2,
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
} from 'vgic'
import { LPI_SIZES, Ram } from './messages.ts'
import { measure, type Row, type Scenario } from './pairs.ts'

const GICD_CTLR = 0x0800_0000
const GITS = 0x0808_0000
const GITS_BASER = GITS + 0x100
const GITS_CBASER = GITS + 0x80
const GITS_CWRITER = GITS + 0x88
const GITS_SGIR = GITS + 0x2_0020
const GICR = 0x0810_0000
const GICR_WAKER = GICR + 0x14
const GICR_PROPBASER = GICR + 0x70
const GICR_PENDBASER = GICR + 0x78
const GICR_VPROPBASER = GICR + 0x2_0070
/** The upper half of GICR_VPENDBASER: the vPEID below is 0. */
const GICR_VPENDBASER = GICR + 0x2_007c
const VALID = 1n << 63n
const EL1 = 1
const EL2 = 2

/** What a write of the upper half says: Valid and VGrp1En; or Doorbell. */
const RESIDENT = 0x8400_0000
const LEAVES = 0x4000_0000

/** Offsets in the bench's memory. */
const CONFIGURATION = 0
const PENDING = 0x2_0000
const DEVICES = 0x4_0000
const VPES = 0x5_0000
const QUEUE = 0x6_0000
const QUEUE_BYTES = 0x1_0000
const VIRTUAL_CONFIGURATION = 0x8_0000
const VIRTUAL_PENDING = 0xa_0000
const ITT = 0x10_0000
const BASE = 0x4000_0000

const DEVICE = 7
const DOORBELL = 8200
const SGI = 5
const CLEAR = 0x04
const MAPD = 0x08
const VSGI = 0x23
const VMAPP = 0x29
const VMAPTI = 0x2a
/** Fields of VMAPP and of VSGI; V is bit 63 of the third doubleword. */
const ALLOC = 0x100
const PTZ = 0x200
const ENABLE = 0x100
const GROUP = 0x400
const VALID_HIGH = 0x8000_0000 | 0
const NONE = 1023

/** A GIC whose driver has mapped every event of a device to a vLPI of vPE 0, all of the lowest priority but the last one. */
class VpeBench {
  readonly gic: Gic
  private readonly ram = new Ram(BASE)
  /** How often the virtual IRQ line went up. */
  private raised = 0
  private writer = 0
  /** The event that is measured, whose vLPI is the last one. */
  private readonly event: number

  constructor(readonly lpis: number) {
    this.gic = new Gic(
      { version: '4.1', cpus: 4, lpis, vpeBits: 8, gicr: [{ base: GICR, count: 4 }], its: [{ base: GITS }] },
      {
        memory: this.ram,
        setLine: (_cpu, line, level) => {
          if (line === 'virq') this.raised += level
        },
      },
    )
    const events = Math.min(lpis, 57_344)
    this.event = events - 1
    for (let at = 0; at < events; at += 4)
      this.ram.write32(BASE + VIRTUAL_CONFIGURATION + at, 0xa1a1_a1a1 | 0)
    this.bootCpu()
    this.bootIts()
    this.send(MAPD, DEVICE, 15, 0, BASE + ITT, VALID_HIGH)
    const configuration = VMAPP | ALLOC | PTZ | (BASE + VIRTUAL_CONFIGURATION)
    this.send(configuration, 0, DOORBELL, 0, 0, VALID_HIGH, (BASE + VIRTUAL_PENDING) | 15)
    for (let event = 0; event < events; event++) this.send(VMAPTI, DEVICE, event, 0, 8192 + event, NONE)
    this.send(VSGI | ENABLE | GROUP | (4 << 20), SGI)
    this.load()
  }

  /** The host takes doorbells at CPU 0, and its guest has the virtual CPU interface. */
  private bootCpu(): void {
    const { gic } = this
    gic.writeMmio(GICR_WAKER, 4, 0)
    gic.writeMmio(GICD_CTLR, 4, 0x12)
    this.ram.write32(BASE + CONFIGURATION + DOORBELL - 8192, 0xa1)
    gic.writeMmio64(GICR_PROPBASER, BigInt(BASE + CONFIGURATION) | 15n)
    gic.writeMmio64(GICR_PENDBASER, BigInt(BASE + PENDING))
    gic.writeMmio(GICR, 4, 1)
    gic.writeMmio64(GICR_VPROPBASER, VALID | (2n << 53n) | BigInt(BASE + VPES))
    gic.writeSysreg(0, ICC_PMR_EL1, 0xf8, EL2)
    gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1, EL2)
    gic.writeSysreg(0, HCR_EL2, 0x18, EL2)
    gic.writeSysreg(0, ICH_HCR_EL2, 1, EL2)
    gic.writeSysreg(0, ICH_VMCR_EL2, 0xf800_0002, EL2)
  }

  private bootIts(): void {
    const { gic } = this
    gic.writeMmio64(GITS_BASER, VALID | BigInt(BASE + DEVICES) | 0x200n)
    gic.writeMmio64(GITS_BASER + 0x10, VALID | BigInt(BASE + VPES) | 0x200n)
    gic.writeMmio64(GITS_CBASER, VALID | BigInt(BASE + QUEUE) | 0xfn)
    gic.writeMmio(GITS, 4, 1)
  }

  /** Writes a command into the queue by its first seven words, and GITS_CWRITER. */
  private send(w0: number, w1: number, w2 = 0, w3 = 0, w4 = 0, w5 = 0, w6 = 0): void {
    const { ram, writer } = this
    const at = BASE + QUEUE + writer
    ram.write32(at, w0)
    ram.write32(at + 4, w1)
    ram.write32(at + 8, w2)
    ram.write32(at + 12, w3)
    ram.write32(at + 16, w4)
    ram.write32(at + 20, w5)
    ram.write32(at + 24, w6)
    this.writer = (writer + 32) % QUEUE_BYTES
    this.gic.writeMmio(GITS_CWRITER, 4, this.writer)
  }

  private load(): void {
    this.gic.writeMmio(GICR_VPENDBASER, 4, RESIDENT)
  }

  put(): void {
    this.gic.writeMmio(GICR_VPENDBASER, 4, LEAVES)
  }

  /** Has `count` vLPIs pending for the vPE, which is not resident. */
  pending(count: number): void {
    this.put()
    for (let n = 0; n < count; n++) this.gic.sendMsi(DEVICE, Math.floor((n * this.event) / count))
  }

  private take(el: 1 | 2, expected: number): void {
    const intid = this.gic.readSysreg(0, ICC_IAR1_EL1, el)
    if (intid !== expected) throw new Error(`acknowledged ${intid}`)
    this.gic.writeSysreg(0, ICC_EOIR1_EL1, intid, el)
  }

  /** A message raises the virtual IRQ line, and a CLEAR by command, which is not counted, lowers it. */
  message(iterations: number): number {
    const before = this.raised
    for (let i = 0; i < iterations; i++) {
      this.gic.sendMsi(DEVICE, this.event)
      this.send(CLEAR, DEVICE, this.event)
    }
    if (this.raised - before !== iterations)
      throw new Error('the virtual IRQ line did not follow the message')
    return iterations
  }

  /** A message that the guest acknowledges and ends. */
  served(iterations: number): number {
    for (let i = 0; i < iterations; i++) {
      this.gic.sendMsi(DEVICE, this.event)
      this.take(EL1, 8192 + this.event)
    }
    return iterations
  }

  /** A message that goes into the virtual pending table, and a CLEAR that takes it out. */
  stored(iterations: number): number {
    for (let i = 0; i < iterations; i++) {
      this.gic.sendMsi(DEVICE, this.event)
      this.send(CLEAR, DEVICE, this.event)
    }
    return iterations
  }

  /** What a vCPU that sleeps costs: it leaves, a message rings its doorbell, which the host takes, and it is back. */
  woken(iterations: number): number {
    for (let i = 0; i < iterations; i++) {
      this.put()
      this.gic.sendMsi(DEVICE, this.event)
      this.take(EL2, DOORBELL)
      this.load()
      this.take(EL1, 8192 + this.event)
    }
    return iterations
  }

  /** A vPE becomes resident and leaves: fewer times, the more is pending. */
  loadAndPut(iterations: number, pending: number): number {
    const times = Math.ceil(iterations / (pending + 1))
    for (let i = 0; i < times; i++) {
      this.load()
      this.put()
    }
    return times
  }

  /** A write of GITS_SGIR that the guest acknowledges and ends. */
  sgi(iterations: number): number {
    for (let i = 0; i < iterations; i++) {
      this.gic.writeMmio(GITS_SGIR, 8, SGI)
      this.take(EL1, SGI)
    }
    return iterations
  }
}

const loadAndPut = (name: string, pending: (bench: VpeBench) => number): Scenario<VpeBench> => ({
  name,
  prepare: (bench) => bench.pending(pending(bench)),
  run: (bench, n) => bench.loadAndPut(n, pending(bench)),
})

const [, LARGE] = LPI_SIZES
const scenarios: readonly Scenario<VpeBench>[] = [
  { name: 'MSI to virtual IRQ line, CLEAR', run: (bench, n) => bench.message(n) },
  { name: 'MSI to virtual IRQ line, IAR + EOIR', run: (bench, n) => bench.served(n) },
  { name: 'GITS_SGIR to virtual IRQ line, IAR + EOIR', run: (bench, n) => bench.sgi(n) },
  {
    name: 'MSI to pending table, CLEAR',
    prepare: (bench) => bench.put(),
    run: (bench, n) => bench.stored(n),
  },
  { name: 'put, MSI, doorbell, load, IAR + EOIR', run: (bench, n) => bench.woken(n) },
  loadAndPut('load + put, 0 pending', () => 0),
  loadAndPut('load + put, 16 pending', () => 16),
  loadAndPut('load + put, 60 and 1,000 pending', (bench) => (bench.lpis === LARGE ? 1000 : 60)),
]

/** How many rows {@link benchVpes} has. */
export const VPE_ROWS = scenarios.length

/** The rows with few and with many vLPIs; `progress` hears the name of each before it is measured. */
export function benchVpes(progress: (name: string) => void): Row[] {
  const [small, large] = LPI_SIZES
  return scenarios.map((scenario) => {
    progress(scenario.name)
    return measure(scenario, new VpeBench(small), new VpeBench(large))
  })
}
