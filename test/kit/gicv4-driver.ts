/**
 * A hypervisor that drives a GIC with LPIs, an ITS and vPEs: its tables, its command queue, and what its host hears of
 * UNPREDICTABLE uses and missing barriers.
 */
import { Gic, type GicConfig, type GicHost, type MissingBarrierEvent, type UnpredictableEvent } from 'vgic'
import { type Command, its, Ram } from '../unit/gic/its/its-board.ts'
import { DIRTY, DOORBELL, GICD, GITS, PENDING_LAST, VALID } from './frames.ts'

export { GICD, GITS }

const GICR = 0x0900_0000

export const at = {
  config: 0x5000_0000,
  pending: (cpu: number): number => 0x5010_0000 + cpu * 0x1_0000,
  devices: 0x5020_0000,
  collections: 0x5030_0000,
  vpes: 0x5040_0000,
  queue: 0x5050_0000,
  itt: (device: number): number => 0x5060_0000 + device * 0x1_0000,
  vpt: (vpe: number): number => 0x5200_0000 + vpe * 0x1_0000,
  vconf: (vpe: number): number => 0x5300_0000 + vpe * 0x1_0000,
} as const

/** GICR_VPENDBASER. */
export const VGRPS = 3n << 58n
export { DIRTY, DOORBELL, PENDING_LAST }

const vpeId = (vpe: number): bigint => BigInt(vpe) << 32n
const event = (device: number, opcode: number): bigint => (BigInt(device) << 32n) | BigInt(opcode)

/** The fields of VMAPP that have a default. */
interface Mapping {
  readonly alloc?: boolean
  readonly ptz?: boolean
  readonly doorbell?: number
  readonly vpt?: number
}

/** Commands about vPEs; `rd` is a Processor_Number. Tables are for 16 bits of INTIDs. */
export const vpes = {
  vmapp: (
    vpe: number,
    rd: number,
    { alloc = true, ptz = true, doorbell = 1023, vpt = at.vpt(vpe) }: Mapping = {},
  ): Command => [
    0x29n | (alloc ? 0x100n : 0n) | (ptz ? 0x200n : 0n) | BigInt(at.vconf(vpe)),
    BigInt(doorbell) | vpeId(vpe),
    (BigInt(rd) << 16n) | VALID,
    BigInt(vpt) | 15n,
  ],
  vunmap: (vpe: number): Command => [0x129n, vpeId(vpe)],
  vmapti: (device: number, id: number, vintid: number, vpe: number): Command => [
    event(device, 0x2a),
    BigInt(id) | vpeId(vpe),
    BigInt(vintid) | (1023n << 32n),
  ],
  vmovi: (device: number, id: number, vpe: number): Command => [
    event(device, 0x21),
    BigInt(id) | vpeId(vpe),
    1023n << 32n,
  ],
  vmovp: (vpe: number, rd: number): Command => [0x22n, 1n | vpeId(vpe), BigInt(rd) << 16n, 1023n],
  vsgi: (vpe: number, sgi: number): Command => [
    0x23n | 0x100n | 0x400n | (BigInt(sgi) << 32n) | (0xan << 20n),
    vpeId(vpe),
  ],
  vsync: (vpe: number): Command => [0x25n, vpeId(vpe)],
  vinvall: (vpe: number): Command => [0x2dn, vpeId(vpe)],
  invdb: (vpe: number): Command => [0x2en, vpeId(vpe)],
} as const

/** A report in a line: `B1 INT cpu 0 its 0`. */
export const lineOf = ({ rule, access, cpu, its: number }: MissingBarrierEvent): string =>
  `${rule} ${access}${cpu === undefined ? '' : ` cpu ${cpu}`}${number === undefined ? '' : ` its ${number}`}`

export class Gicv4Driver {
  readonly gic: Gic
  readonly ram = new Ram()
  private readonly barriers: MissingBarrierEvent[] = []
  private readonly uses: UnpredictableEvent[] = []
  private offset = 0
  private readonly stride: number

  /** One that goes on from another is at the same place, with a GIC and memory of its own. */
  constructor(config: Partial<GicConfig> = {}, from?: Gicv4Driver) {
    const { version = '4.1', cpus = 2 } = config
    this.stride = version === '3' ? 0x2_0000 : 0x4_0000
    const host: GicHost = {
      memory: this.ram,
      onMissingBarrier: (report) => this.barriers.push(report),
      onUnpredictable: (use) => this.uses.push(use),
    }
    if (from) {
      this.offset = from.offset
      for (const [address, word] of from.ram.words) this.ram.words.set(address, word)
      this.gic = Gic.from(from.gic.snapshot(), host)
      return
    }
    const frames = { gicr: [{ base: GICR, count: cpus }], its: [{ base: GITS }] }
    this.gic = new Gic({ version, cpus, ...frames, ...config }, host)
    this.boot()
  }

  private get isGicv4(): boolean {
    return this.gic.config.version !== '3'
  }

  /** CPUs awake, group 1, LPIs and the ITS enabled, a collection for each CPU, device 1 with 32 events. */
  private boot(): void {
    const { gic } = this
    gic.writeMmio(GICD, 4, 2)
    for (let cpu = 0; cpu < gic.config.cpus; cpu++) {
      gic.writeMmio(this.rd(cpu) + 0x14, 4, 0)
      gic.writeMmio64(this.rd(cpu) + 0x70, BigInt(at.config) | 0x78fn)
      gic.writeMmio64(this.rd(cpu) + 0x78, BigInt(at.pending(cpu)))
      gic.writeMmio(this.rd(cpu), 4, 1)
      if (this.isGicv4) gic.writeMmio64(this.vpropbaser(cpu), this.vpropbaserValue)
    }
    gic.writeMmio64(GITS + 0x100, VALID | BigInt(at.devices) | 0x200n)
    gic.writeMmio64(GITS + 0x108, VALID | BigInt(at.collections) | 0x200n)
    if (this.isGicv4) gic.writeMmio64(GITS + 0x110, VALID | BigInt(at.vpes) | 0x200n)
    gic.writeMmio64(GITS + 0x80, VALID | BigInt(at.queue))
    gic.writeMmio(GITS, 4, 1)
    gic.completeWrites()
    for (let cpu = 0; cpu < gic.config.cpus; cpu++) this.send(its.mapc(cpu, cpu), its.sync(cpu))
    this.send(its.mapd(1, 4, at.itt(1)), its.sync(0))
  }

  /** GICv4.0: configuration table and INTID bits; GICv4.1: the vPE table, one page of 64 KiB. */
  get vpropbaserValue(): bigint {
    return this.gic.config.version === '4.1'
      ? VALID | (2n << 53n) | BigInt(at.vpes)
      : BigInt(at.vconf(0)) | 15n
  }

  rd(cpu: number): number {
    return GICR + cpu * this.stride
  }

  vpropbaser(cpu: number): number {
    return this.rd(cpu) + 0x2_0070
  }

  vpendbaser(cpu: number): number {
    return this.rd(cpu) + 0x2_0078
  }

  /** Puts commands into the queue, tells the ITS of all at once, and lets it carry them out. */
  send(...commands: readonly Command[]): void {
    this.post(...commands)
    this.gic.completeWrites()
  }

  /** The same, where effects lag, without waiting. */
  post(...commands: readonly Command[]): void {
    for (const command of commands) {
      for (let n = 0; n < 4; n++) this.ram.doubleword(at.queue + this.offset + 8 * n, command[n] ?? 0n)
      this.offset = (this.offset + 32) % 0x1000
    }
    this.gic.writeMmio(GITS + 0x88, 4, this.offset)
  }

  /** The configuration byte of an LPI: priority 0xa0. */
  configure(intid: number, enabled = true): void {
    this.ram.byte(at.config + intid - 8192, 0xa0 | (enabled ? 1 : 0))
  }

  /** That of a vLPI. */
  configureVirtual(vpe: number, vintid: number, enabled = true): void {
    this.ram.byte(at.vconf(vpe) + vintid - 8192, 0xa0 | (enabled ? 1 : 0))
  }

  /** A vPE mapped to a CPU, its vLPI 8192 enabled behind event 0 of device 1, all of it synchronised. */
  mapVpe(vpe = 0, cpu = 0, doorbell = 1023): void {
    this.configureVirtual(vpe, 8192)
    this.send(vpes.vmapp(vpe, cpu, { doorbell }), vpes.vmapti(1, vpe, 8192, vpe), vpes.vsync(vpe))
  }

  /** Sets GICR_VPENDBASER.Valid for a vPE. */
  enter(vpe = 0, cpu = 0): void {
    const value = this.gic.config.version === '4.1' ? BigInt(vpe) | VGRPS : BigInt(at.vpt(vpe))
    this.gic.writeMmio64(this.vpendbaser(cpu), VALID | value)
  }

  /** Clears it. */
  leave(cpu = 0, doorbell = false): void {
    const low = BigInt(this.gic.readMmio(this.vpendbaser(cpu), 4))
    this.gic.writeMmio64(this.vpendbaser(cpu), low | VGRPS | (doorbell ? DOORBELL : 0n))
  }

  /** Reads GICR_VPENDBASER once what lags is done: whether Dirty is 0 then. */
  poll(cpu = 0): boolean {
    this.gic.completeWrites()
    return (this.gic.readMmio64(this.vpendbaser(cpu)) & DIRTY) === 0n
  }

  /** Reads a register once what lags is done: RWP or Busy is 0 then. */
  wait(address: number): void {
    this.gic.completeWrites()
    this.gic.readMmio(address, 4)
  }

  pendingLast(cpu = 0): boolean {
    return (this.gic.readMmio64(this.vpendbaser(cpu)) & PENDING_LAST) !== 0n
  }

  /** The reports of missing barriers since this was last asked, a line each. */
  missing(): string[] {
    return this.barriers.splice(0).map(lineOf)
  }

  /** The UNPREDICTABLE uses since this was last asked. */
  unpredictable(): string[] {
    return this.uses
      .splice(0)
      .map(({ rule, access, cpu }) => `${rule} ${access}${cpu === undefined ? '' : ` cpu ${cpu}`}`)
  }
}
