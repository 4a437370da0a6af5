/**
 * The host's driver of its ITS (Linux, irq-gic-v3-its.c): it boots the ITS and sends it commands by the queue in memory.
 * The host has one ITS. LPIs have the configuration that is written here, and all tables are where host-memory.ts says.
 *
 * A command and the SYNC or VSYNC that waits for it are one entry into the queue: GITS_CWRITER is written once, and
 * GITS_CREADR is read until it is there. Where the ITS's commands lag, they are carried out while software reads.
 */
import { FIRST_LPI, type Intid } from '../../arch/intid.ts'
import {
  COMMAND_SIZE,
  ITS_CLEAR,
  ITS_DISCARD,
  type ITS_INT,
  ITS_INV,
  ITS_MAPC,
  ITS_MAPD,
  ITS_MAPTI,
  ITS_MOVI,
  ITS_SYNC,
  ITS_VSYNC,
} from '../../arch/its-commands.ts'
import { HOST_ITS_COMMAND, HOST_ITS_WRITER } from '../records/its-vpe.ts'
import type { Vcpu } from '../records/vcpu.ts'
import {
  COLLECTION_TABLE,
  COMMAND_QUEUE,
  DEVICE_TABLE,
  HOST_PAGE,
  ITTS,
  LPI_CONFIGURATION,
  PENDING_TABLES,
  PROXY_ITT,
  VPE_TABLE,
} from './host-memory.ts'
import type { Seam } from './seam.ts'

/** Offsets of GITS_ registers. */
const GITS_CTLR = 0
const GITS_CBASER = 0x80
const GITS_CWRITER = 0x88
const GITS_CREADR = 0x90
const GITS_BASER = 0x100
/** From RD_base. */
const GICR_CTLR = 0
const GICR_PROPBASER = 0x70
const GICR_PENDBASER = 0x78
export const GICR_VPROPBASER = 0x2_0070
const QUEUE_BYTES = 0x1000
/** Valid of a register's upper word, and V of a command's. */
export const VALID = 0x8000_0000 | 0
const PAGE_64K = 0x200
const VPROPBASER_64K_HIGH = 2 << 21
const PENDING_TABLE_ZERO = 0x4000_0000
/** INTIDs and vINTIDs of 16 bits, less one: IDbits of GICR_PROPBASER and GICR_VPROPBASER, VPT_size. */
export const IDBITS = 15

/** Linux's configuration of an LPI: priority 0xa0, group 1; and whether it is enabled. */
const LPI_BYTE = 0xa2
export const LPI_ENABLED = 1

export class ItsDriver {
  readonly words: Int32Array
  /** The DeviceID of the device that stands for the doorbells of GICv4.0: the last that there can be. */
  readonly proxy: number
  /** In an exploration a queue that is empty goes back to its beginning: how many commands there were is no state. */
  rewinds = false
  private readonly gits: number

  constructor(
    readonly seam: Seam,
    /** The record of the host's ITS. */
    readonly record: number,
  ) {
    this.words = seam.words
    const [its] = seam.silicon.config.its
    this.gits = its.base
    this.proxy = 2 ** Math.min(its.deviceBits, 16) - 1
  }

  /** Boots the ITS and the LPIs of every CPU; on GICv4.1 the redistributors get the vPE table, too. */
  boot(v: Vcpu): void {
    const { silicon } = this.seam
    const { cpus, version } = silicon.config
    for (let cpu = 0; cpu < cpus; cpu++) {
      const rd = this.rdAddress(cpu)
      this.write64(rd + GICR_PROPBASER, LPI_CONFIGURATION | IDBITS, 0)
      this.write64(rd + GICR_PENDBASER, PENDING_TABLES + cpu * HOST_PAGE, PENDING_TABLE_ZERO)
      silicon.mmio.write(rd + GICR_CTLR, 4, 1, 0)
      if (version === '4.1') this.write64(rd + GICR_VPROPBASER, VPE_TABLE, VALID | VPROPBASER_64K_HIGH)
    }
    silicon.completeWrites()
    this.write64(this.gits + GITS_BASER, DEVICE_TABLE | PAGE_64K | 7, VALID)
    this.write64(this.gits + GITS_BASER + 8, COLLECTION_TABLE | PAGE_64K, VALID)
    this.write64(this.gits + GITS_BASER + 16, VPE_TABLE | PAGE_64K, VALID)
    this.write64(this.gits + GITS_CBASER, COMMAND_QUEUE, VALID)
    silicon.mmio.write(this.gits + GITS_CTLR, 4, 1, 0)
    for (let cpu = 0; cpu < cpus; cpu++) {
      this.command(v, ITS_MAPC, 0, 0, 0, cpu | this.rdLow(cpu), VALID | this.rdHigh(cpu), 0)
      this.sync(v, cpu)
    }
    if (version === '4.0') this.mapDevice(v, this.proxy, 8, PROXY_ITT)
  }

  private write64(address: number, low: number, high: number): void {
    this.seam.silicon.mmio.write(address, 8, low, high)
  }

  /** RDbase of a command, bits 51:16 of a doubleword: the processor number, or with GITS_TYPER.PTA the address. */
  rdLow(cpu: number): number {
    return this.isByAddress ? this.rdAddress(cpu) & ~0xffff : cpu << 16
  }

  rdHigh(cpu: number): number {
    return this.isByAddress ? Math.floor(this.rdAddress(cpu) / 0x1_0000_0000) : 0
  }

  private get isByAddress(): boolean {
    return this.seam.silicon.config.its[0].pta === 1
  }

  rdAddress(cpu: number): number {
    return this.seam.silicon.mmio.rdBase(cpu)
  }

  /** The address of GITS_SGIR. */
  get sgir(): number {
    return this.gits + 0x2_0020
  }

  /** Puts a command into the queue; {@link sync}, {@link vsync} or {@link submit} must follow. */
  command(
    v: Vcpu,
    opcode: number,
    deviceId: number,
    word2: number,
    word3: number,
    word4: number,
    word5: number,
    word6: number,
  ): void {
    const { words, record, seam } = this
    const at = record + HOST_ITS_COMMAND
    words[at] = opcode
    words[at + 1] = deviceId
    words[at + 2] = word2
    words[at + 3] = word3
    words[at + 4] = word4
    words[at + 5] = word5
    words[at + 6] = word6
    words[at + 7] = 0
    const offset = words[record + HOST_ITS_WRITER]
    seam.writeCommand(v, COMMAND_QUEUE + offset, at)
    words[record + HOST_ITS_WRITER] = (offset + COMMAND_SIZE) % QUEUE_BYTES
  }

  /** SYNC for a CPU's redistributor, and waits for it. */
  sync(v: Vcpu, cpu: number): void {
    this.command(v, ITS_SYNC, 0, 0, 0, this.rdLow(cpu), this.rdHigh(cpu), 0)
    this.submit(v)
  }

  /** VSYNC for a vPE, and waits for it. */
  vsync(v: Vcpu, vpe: number): void {
    this.command(v, ITS_VSYNC, 0, 0, vpe, 0, 0, 0)
    this.submit(v)
  }

  /** Writes GITS_CWRITER and reads GITS_CREADR until the ITS has carried out all commands. */
  submit(v: Vcpu): void {
    const { words, record, seam } = this
    const [its] = seam.silicon.its
    const end = words[record + HOST_ITS_WRITER]
    seam.writeRegister(v, this.gits + GITS_CWRITER, 8, end, 0)
    if (its.isPending) {
      its.completeMessages()
      its.completeCommands()
      seam.silicon.settle()
    }
    seam.readWord(v, this.gits + GITS_CREADR)
    if (this.rewinds) this.rewind(end)
  }

  /** Makes {@link rewinds} true. */
  beginRewinding(): void {
    this.rewinds = true
    this.rewind(QUEUE_BYTES)
  }

  /** What is behind in the queue is no state either. */
  private rewind(end: number): void {
    const { pool, its } = this.seam.silicon
    for (let offset = 0; offset < end; offset += 4) pool?.write32(COMMAND_QUEUE + offset, 0)
    its[0].rewindQueue()
    this.words[this.record + HOST_ITS_WRITER] = 0
  }

  /** MAPD: a device has 2^bits events. There is no redistributor to wait for. */
  mapDevice(v: Vcpu, deviceId: number, bits: number, itt: number): void {
    this.command(v, ITS_MAPD, deviceId, bits - 1, 0, itt, VALID, 0)
    this.submit(v)
  }

  /** The address of the ITT of a device, by its number. */
  ittOf(n: number): number {
    return ITTS + n * HOST_PAGE
  }

  /** MAPTI: an event is an LPI, in a collection; each CPU has one of its number. */
  mapEvent(v: Vcpu, deviceId: number, eventId: number, intid: Intid, cpu: number): void {
    this.command(v, ITS_MAPTI, deviceId, eventId, intid, cpu, 0, 0)
    this.sync(v, cpu)
  }

  /** MOVI: an event goes to another CPU. */
  moveEvent(v: Vcpu, deviceId: number, eventId: number, cpu: number): void {
    this.command(v, ITS_MOVI, deviceId, eventId, 0, cpu, 0, 0)
    this.sync(v, cpu)
  }

  /** DISCARD of an event that goes to a CPU, or went there. */
  discard(v: Vcpu, deviceId: number, eventId: number, cpu: number): void {
    this.command(v, ITS_DISCARD, deviceId, eventId, 0, 0, 0, 0)
    this.sync(v, cpu)
  }

  /** INV of a physical LPI. */
  invalidate(v: Vcpu, deviceId: number, eventId: number, cpu: number): void {
    this.command(v, ITS_INV, deviceId, eventId, 0, 0, 0, 0)
    this.sync(v, cpu)
  }

  /** CLEAR of a physical LPI. */
  clear(v: Vcpu, deviceId: number, eventId: number, cpu: number): void {
    this.command(v, ITS_CLEAR, deviceId, eventId, 0, 0, 0, 0)
    this.sync(v, cpu)
  }

  /** INV, INT or CLEAR of a vLPI, for which VSYNC waits (catalogue 18). */
  ofVlpi(v: Vcpu, opcode: typeof ITS_INV | typeof ITS_INT | typeof ITS_CLEAR, at: number, vpe: number): void {
    this.command(v, opcode, this.words[at], this.words[at + 1], 0, 0, 0, 0)
    this.vsync(v, vpe)
  }

  /** Writes the configuration byte of a host LPI to the table; an invalidation must follow. */
  configure(v: Vcpu, intid: Intid, enabled: boolean): void {
    this.writeByte(v, LPI_CONFIGURATION, intid, LPI_BYTE | (enabled ? LPI_ENABLED : 0))
  }

  /** Writes the byte of an LPI in a configuration table. */
  writeByte(v: Vcpu, table: number, intid: Intid, byte: number): void {
    const { pool } = this.seam.silicon
    const offset = intid - FIRST_LPI
    const address = table + (offset & ~3)
    const shift = (offset & 3) << 3
    const word = pool?.read32(address) ?? 0
    this.seam.writeTable(v, address, (word & ~(0xff << shift)) | (byte << shift))
  }
}
