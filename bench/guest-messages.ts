/**
 * The benchmark of a guest's message-signalled interrupts, through the public interface of a VM: from a device's message
 * to the guest's end of interrupt, with the translation cache and without; with few LPIs and with nearly all of 16 bits
 * of INTIDs. Nothing may be searched for, so the two should cost the same.
 */
import { ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
import { designs, VirtualMachine } from 'vgic/scenario'
import { LPI_SIZES, Ram } from './messages.ts'
import { measure, type Row, type Scenario } from './pairs.ts'

const GICD_CTLR = 0x0800_0000
const GITS = 0x0808_0000
const GITS_CBASER = GITS + 0x80
const GITS_CWRITER = GITS + 0x88
const GITS_BASER = GITS + 0x100
const GICR = 0x080a_0000
const GICR_PROPBASER = GICR + 0x70
const GICR_PENDBASER = GICR + 0x78
const VALID = 1n << 63n

/** The guest's memory of 2 MiB: configuration, pending table, device and collection tables, queue, ITT. */
const BASE = 0x4000_0000
const PENDING = BASE + 0x2_0000
const DEVICES = BASE + 0x4_0000
const COLLECTIONS = BASE + 0x5_0000
const QUEUE = BASE + 0x6_0000
const QUEUE_BYTES = 0x1_0000
const ITT = BASE + 0x10_0000

const FIRST_LPI = 8192
const DEVICE = 7
const MAPD = 0x08
const MAPC = 0x09
const MAPTI = 0x0a

/** A VM whose guest has mapped every LPI to an event of one device. */
class GuestMessageBench {
  private readonly vm: VirtualMachine
  private readonly ram = new Ram(BASE)
  private writer = 0
  private event = 0
  private readonly events: number

  constructor(lpis: number, translations: number) {
    this.events = Math.min(lpis, 0x1_0000 - FIRST_LPI)
    this.vm = new VirtualMachine({
      vcpus: 4,
      spis: 32,
      timers: false,
      design: designs.wfiFullPut,
      frames: { its: GITS },
      memory: this.ram,
      lpis,
      itsDevices: 1,
      itsCollections: 1,
      translations,
    })
    this.boot()
  }

  private boot(): void {
    const { vm, ram, events } = this
    vm.writeMmio(0, GICD_CTLR, 4, 2)
    vm.writeSysreg(0, ICC_PMR_EL1, 0xf8)
    vm.writeSysreg(0, ICC_IGRPEN1_EL1, 1)
    for (let at = 0; at < events; at += 4) ram.write32(BASE + at, 0xa1a1_a1a1 | 0)
    vm.writeMmio(0, GICR_PROPBASER, 8, BASE + 15)
    vm.writeMmio(0, GICR_PENDBASER, 8, PENDING)
    vm.writeMmio(0, GICR, 4, 1)
    vm.writeMmio(0, GITS_CBASER, 8, VALID | BigInt(QUEUE) | 0xfn)
    vm.writeMmio(0, GITS_BASER, 8, VALID | BigInt(DEVICES))
    vm.writeMmio(0, GITS_BASER + 8, 8, VALID | BigInt(COLLECTIONS))
    vm.writeMmio(0, GITS, 4, 1)
    this.send(MAPC, 0, 0, 0, 0, 0x8000_0000 | 0)
    this.send(MAPD, DEVICE, 15, 0, ITT, 0x8000_0000 | 0)
    for (let event = 0; event < events; event++) this.send(MAPTI, DEVICE, event, FIRST_LPI + event, 0, 0)
  }

  private send(
    opcode: number,
    device: number,
    event: number,
    intid: number,
    low: number,
    high: number,
  ): void {
    const words = [opcode, device, event, intid, low, high]
    for (const [i, word] of words.entries()) this.ram.write32(QUEUE + this.writer + 4 * i, word)
    this.writer = (this.writer + 32) % QUEUE_BYTES
    this.vm.writeMmio(0, GITS_CWRITER, 8, this.writer)
  }

  /** Messages of `spread` events in turn, far from one another, each acknowledged and ended. */
  served(iterations: number, spread: number): number {
    const { vm, events } = this
    const stride = Math.floor(events / spread)
    for (let i = 0; i < iterations; i++) {
      this.event = (this.event + stride) % (spread * stride)
      vm.signalMsi(DEVICE, this.event)
      const intid = vm.readSysreg(0, ICC_IAR1_EL1)
      if (intid !== FIRST_LPI + this.event) throw new Error(`acknowledged ${intid}`)
      vm.writeSysreg(0, ICC_EOIR1_EL1, intid)
    }
    return iterations
  }
}

/** Events whose translations fit into the cache of a VM of four vCPUs, and as many as the small VM has. */
const scenarios: readonly [translations: number, Scenario<GuestMessageBench>][] = [
  [64, { name: "a guest's MSI, IAR + EOIR, 4 events", run: (bench, n) => bench.served(n, 4) }],
  [64, { name: "a guest's MSI, IAR + EOIR, 64 events", run: (bench, n) => bench.served(n, 64) }],
  [0, { name: "a guest's MSI, IAR + EOIR, no cache", run: (bench, n) => bench.served(n, 64) }],
]

/** How many rows {@link benchGuestMessages} has. */
export const GUEST_MESSAGES = scenarios.length

/** The rows with few and with many LPIs; `progress` hears the name of each before it is measured. */
export function benchGuestMessages(progress: (name: string) => void): Row[] {
  const [small, large] = LPI_SIZES
  return scenarios.map(([translations, scenario]) => {
    progress(scenario.name)
    return measure(
      scenario,
      new GuestMessageBench(small, translations),
      new GuestMessageBench(large, translations),
    )
  })
}
