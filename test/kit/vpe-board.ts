/**
 * A machine with GICv4.0 or 4.1, and a hypervisor's driver of its vPEs: it owns memory, tables and command queues, maps
 * vPEs and vLPIs, and makes vPEs resident. It does what it is told, right or wrong, and waits for nothing unless it says
 * so.
 */
import {
  Gic,
  type GicConfig,
  type GicErrorEvent,
  type GicMemory,
  HCR_EL2,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_HPPIR0_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_RPR_EL1,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ichLr,
  type UnpredictableEvent,
} from 'vgic'
import { DIRTY, DOORBELL, GICD, PENDING_LAST, VALID } from './frames.ts'

const GICR = 0x0a00_0000
const GITS = 0x0c00_0000
const FRAMES = 0x4_0000
const PAGE = 0x1_0000

export { DIRTY, DOORBELL, PENDING_LAST, VALID }

const IDAI = 1n << 62n
const V41_GROUP_SHIFT = { 0: 59n, 1: 58n } as const
/** The INTID that is none. */
export const NONE = 1023
export const DEVICE = 1
const INTID_BITS = 16
const GUEST = 1
const HOST = 2

/** Where the driver has put things. */
export const place = {
  configuration: 0x4000_0000,
  pending: (cpu: number): number => 0x4010_0000 + cpu * PAGE,
  devices: (its: number): number => 0x4100_0000 + its * 0x10_0000,
  collections: (its: number): number => 0x4101_0000 + its * 0x10_0000,
  queue: (its: number): number => 0x4102_0000 + its * 0x10_0000,
  itt: (its: number, device: number): number => 0x4103_0000 + its * 0x10_0000 + device * 0x1000,
  /** The vPE table of an ITS that shares none, and of GICv4.0. */
  itsVpes: (its: number): number => 0x4108_0000 + its * 0x10_0000,
  /** The vPE configuration table of a group of redistributors. */
  vpes: (group = 0): number => 0x4200_0000 + group * PAGE,
  virtualConfiguration: (vpe: number): number => 0x4300_0000 + vpe * PAGE,
  virtualPending: (vpe: number): number => 0x4400_0000 + vpe * PAGE,
} as const

/** Memory that reads as zero until it is written. */
export class VpeRam implements GicMemory {
  words = new Map<number, number>()
  reads = 0

  read32(address: number): number {
    this.reads++
    return this.words.get(address) ?? 0
  }

  write32(address: number, value: number): void {
    if (value === 0) this.words.delete(address)
    else this.words.set(address, value >>> 0)
  }

  byte(address: number, value: number): void {
    const at = address - (address % 4)
    const shift = 8 * (address % 4)
    this.write32(at, (this.read32(at) & ~(0xff << shift)) | (value << shift))
  }

  doubleword(address: number, value: bigint): void {
    this.write32(address, Number(value & 0xffff_ffffn))
    this.write32(address + 4, Number((value >> 32n) & 0xffff_ffffn))
  }

  bit(address: number, n: number): boolean {
    return ((this.read32(address + 4 * (n >> 5)) >>> (n & 31)) & 1) === 1
  }

  setBit(address: number, n: number): void {
    const at = address + 4 * (n >> 5)
    this.write32(at, this.read32(at) | (1 << (n & 31)))
  }
}

const vpeOf = (vpe: number): bigint => BigInt(vpe) << 32n
const target = (cpu: number): bigint => BigInt(cpu) << 16n
const event = (opcode: number, device: number): bigint => (BigInt(device) << 32n) | BigInt(opcode)

export interface VpeMapping {
  readonly doorbell?: number
  readonly alloc?: boolean
  readonly ptz?: boolean
  /** VPT_size: bits of a vINTID less one. */
  readonly size?: number
  readonly its?: number
  readonly vpt?: number
}

export interface VlpiMapping {
  readonly doorbell?: number
  readonly priority?: number
  readonly enabled?: boolean
  readonly its?: number
  readonly device?: number
}

export interface Configured {
  readonly enabled?: boolean
  readonly group?: 0 | 1
  readonly priority?: number
}

export class VpeBoard {
  readonly gic: Gic
  private errorEvents: GicErrorEvent[] = []
  private uses: UnpredictableEvent[] = []
  /** Of each ITS: where the driver writes the next command. */
  readonly offsets: number[]

  constructor(
    config: Partial<GicConfig> = {},
    readonly ram = new VpeRam(),
    /** By CPU: which vPE configuration table its redistributor has. */
    readonly groupOf: (cpu: number) => number = () => 0,
  ) {
    const { version = '4.1', cpus = 2, its = [{ base: 0 }] } = config
    this.gic = new Gic(
      {
        version,
        cpus,
        spis: 32,
        gicr: [{ base: GICR, count: cpus }],
        unpredictable: 'report',
        ...config,
        its: its.map((each, n) => ({ ...each, base: GITS + n * FRAMES })),
      },
      this.host,
    )
    this.offsets = its.map(() => 0)
  }

  /** The host of this board's GIC, or of another that goes on with its memory. */
  get host() {
    return {
      memory: this.ram,
      onError: (each: GicErrorEvent) => this.errorEvents.push(each),
      onUnpredictable: (each: UnpredictableEvent) => this.uses.push(each),
    }
  }

  get isV41(): boolean {
    return this.gic.config.version === '4.1'
  }

  rd(cpu: number): number {
    return GICR + cpu * FRAMES
  }

  /** In the VLPI frame. */
  vlpi(cpu: number, offset: number): number {
    return this.rd(cpu) + 0x2_0000 + offset
  }

  gits(offset: number, its = 0): number {
    return GITS + its * FRAMES + offset
  }

  /** All that is before the first vPE: interrupts enabled, LPIs, ITSs, collection n on CPU n, a device of 32 events on ITS 0. */
  booted(): this {
    const { gic } = this
    gic.writeMmio(GICD, 4, 2)
    for (let cpu = 0; cpu < gic.config.cpus; cpu++) this.bootCpu(cpu)
    for (let its = 0; its < gic.config.its.length; its++) this.bootIts(its)
    this.wait()
    this.errors()
    return this
  }

  private bootCpu(cpu: number): void {
    const { gic } = this
    gic.writeMmio(this.rd(cpu) + 0x14, 4, 0)
    gic.writeMmio64(this.rd(cpu) + 0x70, BigInt(place.configuration) | BigInt(INTID_BITS - 1))
    gic.writeMmio64(this.rd(cpu) + 0x78, BigInt(place.pending(cpu)))
    gic.writeMmio(this.rd(cpu), 4, 1)
    if (this.isV41) this.vpropbaser(cpu)
    gic.writeSysreg(cpu, ICC_PMR_EL1, 0xff, HOST)
    gic.writeSysreg(cpu, ICC_IGRPEN1_EL1, 1, HOST)
    gic.writeSysreg(cpu, HCR_EL2, 0x18, HOST)
    gic.writeSysreg(cpu, ICH_HCR_EL2, 1, HOST)
    gic.writeSysreg(cpu, ICH_VMCR_EL2, 0xff00_0003, HOST)
  }

  /** GICv4.1: a flat table of `pages` of 64 KiB. */
  vpropbaser(cpu: number, pages = 1): void {
    const table = BigInt(place.vpes(this.groupOf(cpu)))
    this.gic.writeMmio64(this.vlpi(cpu, 0x70), VALID | (2n << 53n) | table | BigInt(pages - 1))
  }

  private bootIts(its: number): void {
    const { gic } = this
    const shares = this.isV41 && gic.config.its[its].svpet !== 0
    const vpes = shares ? place.vpes() : place.itsVpes(its)
    gic.writeMmio64(this.gits(0x100, its), VALID | 0x200n | BigInt(place.devices(its)))
    gic.writeMmio64(this.gits(0x108, its), VALID | 0x200n | BigInt(place.collections(its)))
    gic.writeMmio64(this.gits(0x110, its), VALID | 0x200n | BigInt(vpes))
    gic.writeMmio64(this.gits(0x80, its), VALID | BigInt(place.queue(its)))
    gic.writeMmio(this.gits(0, its), 4, 1)
    for (let cpu = 0; cpu < gic.config.cpus; cpu++)
      this.send(its, 0x09n, 0n, VALID | target(cpu) | BigInt(cpu))
    this.mapDevice(DEVICE, its)
  }

  mapDevice(device: number, its = 0, bits = 5): this {
    return this.send(its, event(0x08, device), BigInt(bits - 1), VALID | BigInt(place.itt(its, device)))
  }

  /** Puts a command into a queue, and tells the ITS. */
  send(its: number, ...doublewords: readonly bigint[]): this {
    this.put(its, ...doublewords)
    this.gic.writeMmio(this.gits(0x88, its), 4, this.offsets[its])
    return this
  }

  put(its: number, ...doublewords: readonly bigint[]): void {
    for (let n = 0; n < 4; n++)
      this.ram.doubleword(place.queue(its) + this.offsets[its] + 8 * n, doublewords[n] ?? 0n)
    this.offsets[its] = (this.offsets[its] + 32) % 0x1000
  }

  /** Whether an ITS has carried out all that it was told. */
  isIdle(its = 0): boolean {
    return this.gic.readMmio(this.gits(0x90, its), 4) === this.offsets[its]
  }

  /** A queue that has stalled goes on: GITS_CWRITER.Retry. */
  retry(its = 0): this {
    this.gic.writeMmio(this.gits(0x88, its), 4, this.offsets[its] | 1)
    return this
  }

  /** Time passes: all effects that lag are there. */
  wait(): this {
    this.gic.completeWrites()
    return this
  }

  /** VMAPP. On GICv4.0 there is no Alloc, PTZ, or doorbell. */
  mapVpe(
    vpe: number,
    cpu: number,
    {
      doorbell = NONE,
      alloc = true,
      ptz = true,
      size = 15,
      its = 0,
      vpt = place.virtualPending(vpe),
    }: VpeMapping = {},
  ): this {
    const { isV41 } = this
    const flags = isV41 ? (alloc ? 0x100n : 0n) | (ptz ? 0x200n : 0n) : 0n
    return this.send(
      its,
      0x29n | flags | (isV41 ? BigInt(place.virtualConfiguration(vpe)) : 0n),
      vpeOf(vpe) | (isV41 ? BigInt(doorbell) : 0n),
      VALID | target(cpu),
      BigInt(vpt) | BigInt(size),
    )
  }

  unmapVpe(vpe: number, { alloc = true, its = 0 }: VpeMapping = {}): this {
    return this.send(its, 0x29n | (this.isV41 && alloc ? 0x100n : 0n), vpeOf(vpe))
  }

  /** VMAPTI, with the byte of the vLPI, and INV. */
  mapVlpi(
    id: number,
    vpe: number,
    vintid: number,
    { doorbell = NONE, priority = 0xa0, enabled = true, its = 0, device = DEVICE }: VlpiMapping = {},
  ): this {
    this.configure(vpe, vintid, priority, enabled)
    this.send(its, event(0x2a, device), vpeOf(vpe) | BigInt(id), (BigInt(doorbell) << 32n) | BigInt(vintid))
    return this.inv(id, its)
  }

  configure(vpe: number, vintid: number, priority = 0xa0, enabled = true): this {
    this.ram.byte(place.virtualConfiguration(vpe) + vintid - 8192, priority | (enabled ? 1 : 0))
    return this
  }

  /** The byte of a physical LPI. */
  configureLpi(intid: number, priority = 0xa0, enabled = true): this {
    this.ram.byte(place.configuration + intid - 8192, priority | (enabled ? 1 : 0))
    return this
  }

  int(id: number, its = 0): this {
    return this.send(its, event(0x03, DEVICE), BigInt(id))
  }

  clear(id: number, its = 0): this {
    return this.send(its, event(0x04, DEVICE), BigInt(id))
  }

  inv(id: number, its = 0): this {
    return this.send(its, event(0x0c, DEVICE), BigInt(id))
  }

  discard(id: number, its = 0): this {
    return this.send(its, event(0x0f, DEVICE), BigInt(id))
  }

  movi(id: number, collection: number): this {
    return this.send(0, event(0x01, DEVICE), BigInt(id), BigInt(collection))
  }

  /** VMOVI; a doorbell is with D = 1. */
  vmovi(id: number, vpe: number, doorbell?: number, its = 0): this {
    const bits = doorbell === undefined ? 0n : (BigInt(doorbell) << 32n) | 1n
    return this.send(its, event(0x21, DEVICE), vpeOf(vpe) | BigInt(id), bits)
  }

  /** VMOVP; a doorbell is with DB = 1. */
  vmovp(
    vpe: number,
    cpu: number,
    { doorbell, its = 0, list = 0, sequence = 0 }: VpeMapping & { list?: number; sequence?: number } = {},
  ): this {
    return this.send(
      its,
      0x22n | (BigInt(sequence) << 32n),
      vpeOf(vpe) | BigInt(list),
      target(cpu) | (doorbell === undefined ? 0n : VALID),
      BigInt(doorbell ?? 0),
    )
  }

  vinvall(vpe: number, its = 0): this {
    return this.send(its, 0x2dn, vpeOf(vpe))
  }

  vsync(vpe: number, its = 0): this {
    return this.send(its, 0x25n, vpeOf(vpe))
  }

  invdb(vpe: number, its = 0): this {
    return this.send(its, 0x2en, vpeOf(vpe))
  }

  /** VSGI with Clear = 0. */
  configureSgi(
    vpe: number,
    sgi: number,
    { enabled = true, group = 1, priority = 0xa0 }: Configured = {},
    its = 0,
  ): this {
    const bits = (enabled ? 0x100n : 0n) | (group === 1 ? 0x400n : 0n) | (BigInt(priority >> 4) << 20n)
    return this.send(its, 0x23n | bits | (BigInt(sgi) << 32n), vpeOf(vpe))
  }

  /** VSGI with Clear = 1. */
  clearSgi(vpe: number, sgi: number): this {
    return this.send(0, 0x23n | 0x200n | (BigInt(sgi) << 32n), vpeOf(vpe))
  }

  /** GITS_SGIR. */
  sendSgi(vpe: number, sgi: number, its = 0): this {
    this.gic.writeMmio64(this.gits(0x2_0020, its), vpeOf(vpe) | BigInt(sgi))
    return this
  }

  /** GICR_VPENDBASER.Valid is set; on GICv4.0 GICR_VPROPBASER comes before. */
  startLoad(vpe: number, cpu: number, groups: readonly (0 | 1)[] = [0, 1], more = 0n): this {
    const { gic, isV41 } = this
    if (isV41) {
      const enables = groups.map((group) => 1n << V41_GROUP_SHIFT[group]).reduce((a, b) => a | b, 0n)
      gic.writeMmio64(this.vlpi(cpu, 0x78), VALID | enables | more | BigInt(vpe))
    } else {
      gic.writeMmio64(
        this.vlpi(cpu, 0x70),
        BigInt(place.virtualConfiguration(vpe)) | 0x780n | BigInt(INTID_BITS - 1),
      )
      gic.writeMmio64(this.vlpi(cpu, 0x78), VALID | more | 0x780n | BigInt(place.virtualPending(vpe)))
    }
    return this
  }

  load(vpe: number, cpu: number, groups?: readonly (0 | 1)[], more?: bigint): this {
    return this.startLoad(vpe, cpu, groups, more).wait()
  }

  /** GICv4.0: with IDAI. */
  loadUnbelieved(vpe: number, cpu: number): this {
    return this.load(vpe, cpu, [], IDAI)
  }

  /** Valid is cleared and, on GICv4.1, a doorbell asked for. */
  startPut(cpu: number, { doorbell = true, pendingLast = false } = {}): this {
    const { gic } = this
    const kept = gic.readMmio64(this.vlpi(cpu, 0x78)) & ~(VALID | DOORBELL | PENDING_LAST | DIRTY)
    const asked = this.isV41 ? (doorbell ? DOORBELL : 0n) | (pendingLast ? PENDING_LAST : 0n) : 0n
    gic.writeMmio64(this.vlpi(cpu, 0x78), kept | asked)
    return this
  }

  /** Returns PendingLast. */
  leave(cpu: number, options?: { doorbell?: boolean; pendingLast?: boolean }): boolean {
    this.startPut(cpu, options).wait()
    return this.pendingLast(cpu)
  }

  pendingLast(cpu: number): boolean {
    return (this.gic.readMmio64(this.vlpi(cpu, 0x78)) & PENDING_LAST) !== 0n
  }

  isDirty(cpu: number): boolean {
    return (this.gic.readMmio64(this.vlpi(cpu, 0x78)) & DIRTY) !== 0n
  }

  /** GICR_VSGIR and GICR_VSGIPENDR. */
  pendingSgis(vpe: number, cpu: number): number {
    this.gic.writeMmio(this.vlpi(cpu, 0x80), 4, vpe)
    this.wait()
    return this.gic.readMmio(this.vlpi(cpu, 0x88), 4)
  }

  /** GICR_INVLPIR and GICR_INVALLR with V = 1, and SYNCR. */
  invlpir(cpu: number, vpe: number, intid: number): this {
    this.gic.writeMmio64(this.rd(cpu) + 0xa0, VALID | vpeOf(vpe) | BigInt(intid))
    return this
  }

  invallr(cpu: number, vpe: number): this {
    this.gic.writeMmio64(this.rd(cpu) + 0xb0, VALID | vpeOf(vpe))
    return this
  }

  /** Whether the virtual pending table in memory has a vLPI. */
  inTable(vpe: number, vintid: number): boolean {
    return this.ram.bit(place.virtualPending(vpe), vintid)
  }

  // The guest, and the host.

  ack(cpu = 0, group: 0 | 1 = 1): number {
    return this.gic.readSysreg(cpu, group === 1 ? ICC_IAR1_EL1 : ICC_IAR0_EL1, GUEST)
  }

  eoi(intid: number, cpu = 0, group: 0 | 1 = 1): this {
    this.gic.writeSysreg(cpu, group === 1 ? ICC_EOIR1_EL1 : ICC_EOIR0_EL1, intid, GUEST)
    return this
  }

  dir(intid: number, cpu = 0): this {
    this.gic.writeSysreg(cpu, ICC_DIR_EL1, intid, GUEST)
    return this
  }

  hppi(cpu = 0, group: 0 | 1 = 1): number {
    return this.gic.readSysreg(cpu, group === 1 ? ICC_HPPIR1_EL1 : ICC_HPPIR0_EL1, GUEST)
  }

  running(cpu = 0): number {
    return this.gic.readSysreg(cpu, ICC_RPR_EL1, GUEST)
  }

  /** The guest acknowledges and ends all of group 1. */
  drain(cpu = 0): number[] {
    return this.drainAt(cpu, GUEST)
  }

  /** The host does: doorbells. */
  doorbells(cpu = 0): number[] {
    return this.drainAt(cpu, HOST)
  }

  private drainAt(cpu: number, el: 1 | 2): number[] {
    const taken: number[] = []
    for (;;) {
      const intid = this.gic.readSysreg(cpu, ICC_IAR1_EL1, el)
      if (intid === NONE) return taken
      this.gic.writeSysreg(cpu, ICC_EOIR1_EL1, intid, el)
      taken.push(intid)
    }
  }

  virq(cpu = 0): 0 | 1 {
    return this.gic.line(cpu, 'virq')
  }

  vfiq(cpu = 0): 0 | 1 {
    return this.gic.line(cpu, 'vfiq')
  }

  hcr(value: number, cpu = 0): this {
    this.gic.writeSysreg(cpu, ICH_HCR_EL2, value, HOST)
    return this
  }

  readHcr(cpu = 0): number {
    return this.gic.readSysreg(cpu, ICH_HCR_EL2, HOST)
  }

  /** VPMR in bits 31:24, VEOIM 9, VENG1 1, VENG0 0. */
  vmcr(value: number, cpu = 0): this {
    this.gic.writeSysreg(cpu, ICH_VMCR_EL2, value, HOST)
    return this
  }

  /** A list register with a pending interrupt. */
  list(n: number, intid: number, priority: number, { cpu = 0, group = 1 } = {}): this {
    const value = (1n << 62n) | (BigInt(group) << 60n) | (BigInt(priority) << 48n) | BigInt(intid)
    this.gic.writeSysreg64(cpu, ichLr(n), value, HOST)
    return this
  }

  readList(n: number, cpu = 0): bigint {
    return this.gic.readSysreg64(cpu, ichLr(n), HOST)
  }

  /** The names of command errors since this was last asked. */
  errors(): string[] {
    const events = this.errorEvents
    this.errorEvents = []
    return events.flatMap((each) => (each.kind === 'command' ? [each.name] : []))
  }

  /** Why messages were dropped since {@link errors} was last asked. */
  dropped(): string[] {
    const events = this.errorEvents
    this.errorEvents = []
    return events.flatMap((each) => (each.kind === 'msi' ? [each.reason] : []))
  }

  /** The rules of UNPREDICTABLE uses since this was last asked. */
  unpredictable(): string[] {
    const { uses } = this
    this.uses = []
    return uses.map(({ rule }) => rule)
  }
}

/** A board that is booted. */
export const vpeBoard = (config: Partial<GicConfig> = {}): VpeBoard => new VpeBoard(config).booted()
