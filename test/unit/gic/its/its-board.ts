/** A machine with an ITS: memory, a driver that sets the ITS and LPIs up and sends commands, and devices. */
import {
  Gic,
  type GicConfig,
  type GicErrorEvent,
  type GicMemory,
  ICC_EOIR1_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
} from 'vgic'
import { GICD, GICR, GITS, VALID } from '../../../kit/frames.ts'

export { GICD, GICR, GITS, VALID }
/** Where redistributors lie behind a GICv4.1 ITS, which has a frame more. */
export const GICR_V41 = 0x0810_0000
export const SPURIOUS = 1023

export const gits = {
  CTLR: GITS,
  IIDR: GITS + 0x4,
  TYPER: GITS + 0x8,
  CBASER: GITS + 0x80,
  CWRITER: GITS + 0x88,
  CREADR: GITS + 0x90,
  BASER0: GITS + 0x100,
  BASER1: GITS + 0x108,
  BASER2: GITS + 0x110,
  TRANSLATER: GITS + 0x1_0040,
} as const

/** Where the driver has put things. */
export const place = {
  config: 0x5000_0000,
  pending: (cpu: number): number => 0x5010_0000 + cpu * 0x1_0000,
  devices: 0x5020_0000,
  collections: 0x5030_0000,
  vpes: 0x5040_0000,
  queue: 0x5050_0000,
  virtualPending: 0x5070_0000,
  itt: (device: number): number => 0x5060_0000 + device * 0x1000,
} as const

const INNER_SHAREABLE_WRITE_BACK = 0xb800_0000_0000_0400n

/** Memory that reads as zero until it is written, and refuses what a test says. */
export class Ram implements GicMemory {
  readonly words = new Map<number, number>()
  /** Addresses at which nothing answers. */
  refuses: (address: number, access: 'read' | 'write') => boolean = () => false
  reads = 0

  read32(address: number): number | undefined {
    this.reads++
    return this.refuses(address, 'read') ? undefined : (this.words.get(address) ?? 0)
  }

  write32(address: number, value: number): boolean {
    if (this.refuses(address, 'write')) return false
    this.words.set(address, value)
    return true
  }

  byte(address: number, value: number): void {
    const at = address - (address % 4)
    const shift = 8 * (address % 4)
    this.words.set(at, (((this.words.get(at) ?? 0) & ~(0xff << shift)) | (value << shift)) >>> 0)
  }

  doubleword(address: number, value: bigint): void {
    this.words.set(address, Number(value & 0xffff_ffffn))
    this.words.set(address + 4, Number((value >> 32n) & 0xffff_ffffn))
  }
}

/** A command as its doublewords. */
export type Command = readonly [bigint, bigint?, bigint?, bigint?]

const device = (opcode: number, id: number): bigint => (BigInt(id) << 32n) | BigInt(opcode)
const target = (rd: number): bigint => BigInt(rd) << 16n

/** Commands by their fields; `rd` is what PTA 0 means: a Processor_Number. */
export const its = {
  movi: (id: number, event: number, icid: number): Command => [device(0x01, id), BigInt(event), BigInt(icid)],
  int: (id: number, event: number): Command => [device(0x03, id), BigInt(event)],
  clear: (id: number, event: number): Command => [device(0x04, id), BigInt(event)],
  sync: (rd: number): Command => [0x05n, 0n, target(rd)],
  mapd: (id: number, size: number, itt = place.itt(id), valid = true): Command => [
    device(0x08, id),
    BigInt(size),
    BigInt(itt) | (valid ? VALID : 0n),
  ],
  mapc: (icid: number, rd: number, valid = true): Command => [
    0x09n,
    0n,
    target(rd) | BigInt(icid) | (valid ? VALID : 0n),
  ],
  mapti: (id: number, event: number, intid: number, icid: number): Command => [
    device(0x0a, id),
    (BigInt(intid) << 32n) | BigInt(event),
    BigInt(icid),
  ],
  mapi: (id: number, event: number, icid: number): Command => [device(0x0b, id), BigInt(event), BigInt(icid)],
  inv: (id: number, event: number): Command => [device(0x0c, id), BigInt(event)],
  invall: (icid: number): Command => [0x0dn, 0n, BigInt(icid)],
  movall: (from: number, to: number): Command => [0x0en, 0n, target(from), target(to)],
  discard: (id: number, event: number): Command => [device(0x0f, id), BigInt(event)],
  vmapti: (id: number, event: number, intid: number, vpe: number, doorbell = SPURIOUS): Command => [
    device(0x2a, id),
    (BigInt(vpe) << 32n) | BigInt(event),
    (BigInt(doorbell) << 32n) | BigInt(intid),
  ],
  /** As on GICv4.1: allocated, nothing pending. */
  vmapp: (vpe: number, rd: number, doorbell = SPURIOUS): Command => [
    0x329n,
    (BigInt(vpe) << 32n) | BigInt(doorbell),
    target(rd) | VALID,
    BigInt(place.virtualPending) | 13n,
  ],
} as const

export class ItsBoard {
  readonly gic: Gic
  readonly ram: Ram
  /** What the host heard of since {@link errors} was last asked. */
  private events: GicErrorEvent[] = []
  /** Where the driver writes the next command, in bytes, and bytes of the queue. */
  private offset = 0
  private queueSize = 0

  constructor(config: Partial<GicConfig> = {}, ram = new Ram(), gic?: (board: ItsBoard) => Gic) {
    this.ram = ram
    this.gic = gic?.(this) ?? new Gic({ cpus: 2, spis: 64, its: [{ base: GITS }], ...config }, this.host)
  }

  /** The host of this board's GIC, or of another that goes on with its memory. */
  get host() {
    return { memory: this.ram, onError: (event: GicErrorEvent) => this.events.push(event) }
  }

  /** CPUs awake, group 1 forwarded, every priority let through. */
  wake(): this {
    const { gic } = this
    gic.writeMmio(GICD, 4, 2)
    for (let cpu = 0; cpu < gic.config.cpus; cpu++) {
      gic.writeMmio(this.redistributor(cpu) + 0x14, 4, 0)
      gic.writeSysreg(cpu, ICC_PMR_EL1, 0xff, 1)
      gic.writeSysreg(cpu, ICC_IGRPEN1_EL1, 1, 1)
    }
    return this
  }

  /** The tables of LPIs, with `bits` of INTIDs, and EnableLPIs at every CPU. */
  enableLpis(bits = 16): this {
    for (let cpu = 0; cpu < this.gic.config.cpus; cpu++) {
      this.tablesOf(cpu, bits)
      this.gic.writeMmio(this.redistributor(cpu), 4, 1)
    }
    return this
  }

  /** GICR_PROPBASER and GICR_PENDBASER, with PTZ if the pending table is known to be zero. */
  tablesOf(cpu: number, bits = 16, ptz = false): void {
    const { gic } = this
    gic.writeMmio64(this.redistributor(cpu) + 0x70, BigInt(place.config) | 0x780n | BigInt(bits - 1))
    gic.writeMmio64(
      this.redistributor(cpu) + 0x78,
      BigInt(place.pending(cpu)) | 0x780n | (ptz ? 1n << 62n : 0n),
    )
  }

  /** Device, collection and on GICv4 vPE tables of one 64 KiB page, a queue of `pages` of 4 KiB, and the ITS enabled. */
  enableIts(pages = 1): this {
    const { gic } = this
    gic.writeMmio64(gits.BASER0, VALID | BigInt(place.devices) | 0x200n)
    gic.writeMmio64(gits.BASER1, VALID | BigInt(place.collections) | 0x200n)
    gic.writeMmio64(gits.BASER2, VALID | BigInt(place.vpes) | 0x200n)
    this.queueOf(pages)
    gic.writeMmio(gits.CTLR, 4, 1)
    return this
  }

  queueOf(pages: number): void {
    this.gic.writeMmio64(gits.CBASER, INNER_SHAREABLE_WRITE_BACK | BigInt(place.queue) | BigInt(pages - 1))
    this.gic.writeMmio(gits.CWRITER, 4, 0)
    this.offset = 0
    this.queueSize = pages * 0x1000
  }

  /** All of it, every collection n on CPU n, and device 1 with 32 events. */
  booted(bits = 16): this {
    this.wake().enableLpis(bits).enableIts()
    for (let cpu = 0; cpu < this.gic.config.cpus; cpu++) this.send(its.mapc(cpu, cpu))
    return this.send(its.mapd(1, 4))
  }

  /** Puts commands into the queue, and tells the ITS of all of them at once. */
  send(...commands: readonly Command[]): this {
    for (const command of commands) this.put(command)
    this.gic.writeMmio(gits.CWRITER, 4, this.offset)
    return this
  }

  /** Puts a command into the queue. */
  put(command: Command): void {
    for (let n = 0; n < 4; n++) {
      this.ram.doubleword(place.queue + this.offset + 8 * n, command[n] ?? 0n)
    }
    this.offset = (this.offset + 32) % this.queueSize
  }

  /** Configures LPIs: the byte of the table; INV is the caller's. */
  configure(intid: number, priority: number, enabled = true): this {
    this.ram.byte(place.config + intid - 8192, priority | (enabled ? 1 : 0))
    return this
  }

  redistributor(cpu: number): number {
    const { version, gicr } = this.gic.config
    return gicr[0].base + cpu * (version === '3' ? 0x2_0000 : 0x4_0000)
  }

  get creadr(): number {
    return this.gic.readMmio(gits.CREADR, 4)
  }

  ack(cpu = 0): number {
    return this.gic.readSysreg(cpu, ICC_IAR1_EL1, 1)
  }

  eoi(intid: number, cpu = 0): void {
    this.gic.writeSysreg(cpu, ICC_EOIR1_EL1, intid, 1)
  }

  hppi(cpu = 0): number {
    return this.gic.readSysreg(cpu, ICC_HPPIR1_EL1, 1)
  }

  irq(cpu = 0): 0 | 1 {
    return this.gic.line(cpu, 'irq')
  }

  /** Acknowledges and ends all that comes. */
  drain(cpu = 0): number[] {
    const taken: number[] = []
    for (let intid = this.ack(cpu); intid !== SPURIOUS; intid = this.ack(cpu)) {
      taken.push(intid)
      this.eoi(intid, cpu)
    }
    return taken
  }

  /** What the host heard of since this was last asked. */
  errors(): readonly GicErrorEvent[] {
    const { events } = this
    this.events = []
    return events
  }

  /** The names of the command errors among them. */
  commandErrors(): string[] {
    return this.errors().flatMap((event) => (event.kind === 'command' ? [event.name] : []))
  }
}

/** A board on which event n of device 1 is LPI 8192 + n of CPU 0, priority 0xa0. */
export function mapped(config = {}, events = 2): ItsBoard {
  const board = new ItsBoard(config).booted()
  for (let n = 0; n < events; n++) board.configure(8192 + n, 0xa0).send(its.mapti(1, n, 8192 + n, 0))
  return board
}
