/**
 * A hypervisor's side of GICv4.1, as small as it can be: it boots the GIC and an ITS, maps vPEs and the events of a device
 * to their vLPIs, and makes vPEs resident. Its tables are in memory that the GIC keeps itself (`memoryLines`).
 */
import {
  Gic,
  type GicConfig,
  HCR_EL2,
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
} from 'vgic'

const EL1 = 1
const EL2 = 2
const GICD = 0x0800_0000
/** Three frames: registers, GITS_TRANSLATER, GITS_SGIR. */
const GITS = 0x0808_0000
/** Four frames a redistributor: RD, SGI, VLPI, and a reserved one. */
const GICR = 0x0810_0000
const GICR_STRIDE = 0x4_0000
const VLPI_FRAME = 0x2_0000
/** The INTID that is none. */
const NONE = 1023

const MEMORY = {
  lpiConfiguration: 0x4000_0000,
  lpiPending: 0x4010_0000,
  devices: 0x4020_0000,
  collections: 0x4021_0000,
  vpes: 0x4022_0000,
  queue: 0x4023_0000,
  eventTable: 0x4024_0000,
  virtualConfiguration: 0x4030_0000,
  virtualPending: 0x4040_0000,
} as const
const PAGE = 0x1_0000
const QUEUE_BYTES = 0x1000
/** INTIDs and vINTIDs have 14 bits: LPIs 8192 to 16,383. Registers and commands have the number less one. */
const INTID_BITS = 14n - 1n

const VALID = 1n << 63n
/** Page_Size of 64 KiB in GITS_BASER<n> and in GICR_VPROPBASER. */
const BASER_64K = 2n << 8n
const VPROPBASER_64K = 2n << 53n
const PENDING_TABLE_ZERO = 1n << 62n
const DIRTY = 1n << 60n
const PENDING_LAST = 1n << 61n
const DOORBELL = 1n << 62n
const VGRP1EN = 1n << 58n

const vpendbaser = (cpu: number): number => GICR + cpu * GICR_STRIDE + VLPI_FRAME + 0x78

export class VpeHost {
  readonly gic: Gic
  private writer = 0

  /** `options` replace what is configured here: `{ writeEffects: 'lagging' }`. */
  constructor(cpus: number, options: Partial<GicConfig> = {}) {
    this.gic = new Gic({
      version: '4.1',
      cpus,
      lpis: 8192,
      vpeBits: 8,
      memoryLines: 1024,
      gicd: GICD,
      gicr: [{ base: GICR, count: cpus }],
      its: [{ base: GITS }],
      ...options,
    })
    for (let cpu = 0; cpu < cpus; cpu++) this.bootCpu(cpu)
    this.bootIts()
  }

  /** A CPU whose host takes doorbells, whose guest has the virtual CPU interface, and whose redistributor knows the vPE table. */
  private bootCpu(cpu: number): void {
    const { gic } = this
    const rd = GICR + cpu * GICR_STRIDE
    gic.writeMmio(GICD, 4, 0x12) // GICD_CTLR: ARE, EnableGrp1
    gic.writeMmio(rd + 0x14, 4, 0) // GICR_WAKER
    gic.writeMmio64(rd + 0x70, BigInt(MEMORY.lpiConfiguration) | INTID_BITS) // GICR_PROPBASER
    gic.writeMmio64(rd + 0x78, BigInt(MEMORY.lpiPending + cpu * PAGE) | PENDING_TABLE_ZERO) // GICR_PENDBASER
    gic.writeMmio(rd, 4, 1) // GICR_CTLR.EnableLPIs
    gic.writeMmio64(rd + VLPI_FRAME + 0x70, VALID | VPROPBASER_64K | BigInt(MEMORY.vpes)) // GICR_VPROPBASER
    gic.writeSysreg(cpu, ICC_PMR_EL1, 0xf0, EL2)
    gic.writeSysreg(cpu, ICC_IGRPEN1_EL1, 1, EL2)
    gic.writeSysreg(cpu, HCR_EL2, 0x18, EL2) // FMO and IMO
    gic.writeSysreg(cpu, ICH_HCR_EL2, 1, EL2) // En
    gic.writeSysreg(cpu, ICH_VMCR_EL2, 0xf000_0002, EL2) // VPMR and VENG1, as the guest has set them
  }

  private bootIts(): void {
    const { gic } = this
    gic.writeMmio64(GITS + 0x100, VALID | BASER_64K | BigInt(MEMORY.devices)) // GITS_BASER0
    gic.writeMmio64(GITS + 0x108, VALID | BASER_64K | BigInt(MEMORY.collections)) // GITS_BASER1
    gic.writeMmio64(GITS + 0x110, VALID | BASER_64K | BigInt(MEMORY.vpes)) // GITS_BASER2: the same table
    gic.writeMmio64(GITS + 0x80, VALID | BigInt(MEMORY.queue)) // GITS_CBASER: one page of 4 KiB
    gic.writeMmio(GITS, 4, 1) // GITS_CTLR.Enabled
  }

  /** Puts a command into the queue, and waits until the ITS has carried it out: time passes in `completeWrites`. */
  private command(...doublewords: readonly bigint[]): void {
    const { gic } = this
    for (const [n, value] of doublewords.entries()) {
      const at = MEMORY.queue + this.writer + 8 * n
      gic.writeMemory(at, Number(value & 0xffff_ffffn))
      gic.writeMemory(at + 4, Number(value >> 32n))
    }
    this.writer = (this.writer + 32) % QUEUE_BYTES
    gic.writeMmio(GITS + 0x88, 4, this.writer) // GITS_CWRITER
    while (gic.readMmio(GITS + 0x90, 4) !== this.writer) gic.completeWrites() // GITS_CREADR
  }

  /** MAPD: a device with 32 events. */
  mapDevice(device: number): void {
    this.command((BigInt(device) << 32n) | 0x08n, 4n, VALID | BigInt(MEMORY.eventTable), 0n)
  }

  /** VMAPP: a vPE with nothing pending, its tables, and its doorbell, which is enabled. */
  mapVpe(vpe: number, cpu: number, doorbell: number): void {
    this.configure(MEMORY.lpiConfiguration, doorbell, 0xa1)
    const [alloc, zero] = [1n << 8n, 1n << 9n]
    this.command(
      0x29n | alloc | zero | BigInt(MEMORY.virtualConfiguration + vpe * PAGE),
      (BigInt(vpe) << 32n) | BigInt(doorbell),
      VALID | (BigInt(cpu) << 16n),
      BigInt(MEMORY.virtualPending + vpe * PAGE) | INTID_BITS,
    )
  }

  /** VMAPTI and INV: a message of the device is a vLPI of the vPE. VSYNC: from now on. */
  mapEvent(device: number, event: number, vpe: number, vlpi: number, priority = 0xa0, enabled = true): void {
    this.configure(MEMORY.virtualConfiguration + vpe * PAGE, vlpi, priority | (enabled ? 1 : 0))
    const [deviceOf, vpeOf] = [BigInt(device) << 32n, BigInt(vpe) << 32n]
    this.command(deviceOf | 0x2an, vpeOf | BigInt(event), (BigInt(NONE) << 32n) | BigInt(vlpi), 0n)
    this.command(deviceOf | 0x0cn, BigInt(event), 0n, 0n)
    this.sync(vpe)
  }

  /** VMOVP, with the doorbell, and VSYNC. */
  moveVpe(vpe: number, cpu: number, doorbell: number): void {
    this.command(0x22n, BigInt(vpe) << 32n, VALID | (BigInt(cpu) << 16n), BigInt(doorbell))
    this.sync(vpe)
  }

  /** VSYNC. */
  private sync(vpe: number): void {
    this.command(0x25n, BigInt(vpe) << 32n, 0n, 0n)
  }

  /** The byte of an LPI in a configuration table. */
  private configure(table: number, intid: number, byte: number): void {
    const { gic } = this
    const at = table + intid - 8192
    const word = at - (at % 4)
    const shift = 8 * (at % 4)
    gic.writeMemory(word, ((gic.readMemory(word) & ~(0xff << shift)) | (byte << shift)) >>> 0)
  }

  /** GITS_SGIR: an SGI of a vPE becomes pending. */
  sendSgi(vpe: number, sgi: number): void {
    this.gic.writeMmio64(GITS + 0x2_0020, (BigInt(vpe) << 32n) | BigInt(sgi))
  }

  /** Makes a vPE resident on the CPU that it is mapped to. */
  load(vpe: number, cpu: number): void {
    this.startLoad(vpe, cpu)
    this.waitWhileDirty(cpu)
  }

  /** Begins to. */
  startLoad(vpe: number, cpu: number): void {
    this.gic.writeMmio64(vpendbaser(cpu), VALID | VGRP1EN | BigInt(vpe))
  }

  /** Makes it leave, and asks for a doorbell. Returns GICR_VPENDBASER.PendingLast: whether the vCPU is to run on. */
  put(vpe: number, cpu: number): boolean {
    this.startPut(vpe, cpu)
    return (this.waitWhileDirty(cpu) & PENDING_LAST) !== 0n
  }

  /** Begins to. */
  startPut(vpe: number, cpu: number): void {
    this.gic.writeMmio64(vpendbaser(cpu), DOORBELL | BigInt(vpe))
  }

  /** Polls GICR_VPENDBASER until Dirty reads 0: only then are PendingLast, and what is presented, as they should be. */
  private waitWhileDirty(cpu: number): bigint {
    const { gic } = this
    while ((gic.readMmio64(vpendbaser(cpu)) & DIRTY) !== 0n) gic.completeWrites()
    return gic.readMmio64(vpendbaser(cpu))
  }

  /** The guest of a CPU acknowledges and ends all that its virtual IRQ line brings. */
  guestTakes(cpu: number): number[] {
    return this.takeAll(cpu, EL1)
  }

  /** So does the host, which takes doorbells. */
  hostTakes(cpu: number): number[] {
    return this.takeAll(cpu, EL2)
  }

  private takeAll(cpu: number, el: 1 | 2): number[] {
    const { gic } = this
    const taken: number[] = []
    for (;;) {
      const intid = gic.readSysreg(cpu, ICC_IAR1_EL1, el)
      if (intid === NONE) return taken
      gic.writeSysreg(cpu, ICC_EOIR1_EL1, intid, el)
      taken.push(intid)
    }
  }
}
