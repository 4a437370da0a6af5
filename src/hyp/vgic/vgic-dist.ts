/**
 * The emulated GIC (KVM's struct vgic_dist), on which the registers of its frames act: the VM's interrupts, and the
 * other state of a guest's distributor, redistributors and ITS. vgic-mmio.ts decodes accesses.
 */

import { GICD_CTLR_EnableGrp1, GICD_CTLR_nASSGIreq } from '../../arch/gicd-registers.ts'
import { FIRST_SPI, type Intid } from '../../arch/intid.ts'
import type { RedistributorRegion } from '../../gic/config/config.ts'
import type { Memory } from '../../gic/config/memory.ts'
import { indexOfAffinity } from '../records/affinity.ts'
import { VCPU_LPIS_ENABLED, VCPU_PENDBASER, type Vcpu } from '../records/vcpu.ts'
import { asIrq, IRQ_TARGET, IRQ_TARGET_SHIFT, irqAfter, TARGET_NONE } from '../records/vgic-irq.ts'
import { VM_ENABLED, VM_NASSGIREQ, VM_PROPBASER, VM_REVISION, type VmLayout } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'
import {
  LPI_TABLE_RESET,
  PENDBASER_PTZ,
  pendbaserHigh,
  pendbaserLow,
  propbaserHigh,
  propbaserLow,
} from './lpi-tables.ts'
import type { MappedInterrupts } from './mapped-interrupts.ts'
import { VgicIts } from './vgic-its.ts'
import { type ItsWays, VgicItsCommands } from './vgic-its-commands.ts'
import { VgicMmioIrqs } from './vgic-mmio-irqs.ts'
import type { VgicV4 } from './vgic-v4.ts'

/** Sizes in bytes of the distributor's frame, and of a redistributor's two frames. */
export const VGIC_GICD_SIZE = 0x1_0000
export const VGIC_GICR_SIZE = 0x2_0000

/** The addresses of a guest's GIC: intermediate physical addresses. */
export interface GuestFrames {
  /** The distributor, 64 KiB. */
  readonly gicd: number
  /** Redistributor regions, in the order of the vCPUs. */
  readonly gicr: readonly RedistributorRegion[]
  /** The ITSs, 128 KiB each. */
  readonly its?: readonly number[]
}

/** KVM's GICD_IIDR without its revision, GICR_IIDR and GITS_IIDR: the implementer is Arm, the product 'K'. */
export const VGIC_IIDR = 0x4b00_043b
/** The newest revision of KVM's vGIC (KVM_VGIC_IMP_REV_LATEST), which a VM begins with. */
export const VGIC_REVISION = 3

export class VgicDist {
  /** Set when the VM is made, if it has direct injection. */
  private direct: VgicV4 | null = null
  readonly words: Int32Array
  readonly layout: VmLayout
  readonly irqs: VgicMmioIrqs
  readonly its: VgicIts
  readonly commands: VgicItsCommands
  /** Whether the VM has an ITS, and so LPIs. */
  readonly hasIts: boolean
  /** By vCPU, the address of its redistributor, and whether no other follows at the next address: GICR_TYPER.Last. */
  readonly redistributors: readonly number[]
  readonly isLast: readonly boolean[]

  constructor(
    readonly apLists: ApLists,
    mapped: MappedInterrupts,
    frames: GuestFrames,
    /** The guest's. */
    memory: Memory,
    { carryOut, isLinux61 }: ItsWays,
  ) {
    this.words = apLists.words
    this.its = new VgicIts(apLists, memory, isLinux61)
    this.commands = new VgicItsCommands(this.its, carryOut)
    this.layout = apLists.layout
    this.irqs = new VgicMmioIrqs(apLists, mapped)
    this.hasIts = (frames.its ?? []).length > 0
    const bases = basesOf(frames.gicr).slice(0, this.layout.vcpuCount)
    this.redistributors = bases
    this.isLast = bases.map((base) => !bases.includes(base + VGIC_GICR_SIZE))
  }

  /** GICv4's direct injection. */
  get v4(): VgicV4 | null {
    return this.direct
  }

  /** Gives the VM direct injection, when it is made. */
  inject(v4: VgicV4): void {
    this.direct = v4
    this.its.forwarded = v4.forwarding
    this.irqs.vsgis = v4.vsgis
  }

  /**
   * Whether a write to GICD_CTLR makes SGIs into vSGIs, or vSGIs into SGIs, for which the VM is stopped. nASSGIreq cannot
   * be changed while the distributor is and stays enabled.
   */
  switchesSgis(value: number): boolean {
    const { words, layout, direct } = this
    if (!direct?.vsgis) return false
    if (words[layout.vm + VM_ENABLED] !== 0 && value & GICD_CTLR_EnableGrp1) return false
    return (words[layout.vm + VM_NASSGIREQ] !== 0) !== ((value & GICD_CTLR_nASSGIreq) !== 0)
  }

  /** Resets the registers, except those that are set up when the VM is made. */
  reset(): void {
    const { words, layout } = this
    words[layout.vm + VM_PROPBASER] = LPI_TABLE_RESET
    words[layout.vm + VM_REVISION] = VGIC_REVISION
    for (let i = 0; i < layout.vcpuCount; i++)
      words[this.apLists.vcpuOf(i) + VCPU_PENDBASER] = LPI_TABLE_RESET
  }

  /** Bits 31:0 of `GICD_IROUTER<intid>`. */
  router(intid: Intid): number {
    const { layout } = this
    const spi = intid - FIRST_SPI
    return spi >= 0 && spi < layout.spiCount ? this.words[layout.irouters + spi] : 0
  }

  /**
   * Writes bits 31:0 of `GICD_IROUTER<intid>`: Aff2.Aff1.Aff0, also of a vCPU that does not exist. An interrupt that
   * is on another vCPU's list leaves it at that vCPU's next exit.
   */
  setRouter(intid: Intid, value: number): void {
    const { words, layout } = this
    const spi = intid - FIRST_SPI
    if (spi < 0 || spi >= layout.spiCount) return
    const affinity = value & 0xff_ffff
    const index = indexOfAffinity(affinity, layout.vcpuCount)
    const irq = irqAfter(asIrq(layout.spis), spi)
    words[layout.irouters + spi] = affinity
    words[irq] = (words[irq] & ~IRQ_TARGET) | ((index < 0 ? TARGET_NONE : index) << IRQ_TARGET_SHIFT)
  }

  /**
   * Writes half of GICR_PROPBASER, which is the same for every redistributor; ignored while the accessed one has LPIs
   * enabled.
   */
  setPropbaser(owner: Vcpu, half: number, value: number): void {
    const { words, layout } = this
    if (words[owner + VCPU_LPIS_ENABLED] !== 0) return
    const [low, high] = [layout.vm + VM_PROPBASER, layout.vm + VM_PROPBASER + 1]
    words[low] = propbaserLow(half === 0 ? value : words[low])
    words[high] = propbaserHigh(half === 0 ? words[high] : value)
  }

  /** Writes half of GICR_PENDBASER; ignored while LPIs are enabled. */
  setPendbaser(owner: Vcpu, half: number, value: number): void {
    const { words } = this
    if (words[owner + VCPU_LPIS_ENABLED] !== 0) return
    const [low, high] = [owner + VCPU_PENDBASER, owner + VCPU_PENDBASER + 1]
    words[low] = pendbaserLow(half === 0 ? value : words[low])
    words[high] = half === 0 ? words[high] : pendbaserHigh(value) | (value & PENDBASER_PTZ)
  }

  /** GICR_CTLR.EnableLPIs of a vCPU. */
  writeLpisEnabled(owner: Vcpu, enabled: boolean): void {
    const { words } = this
    if (!this.hasIts || enabled === (words[owner + VCPU_LPIS_ENABLED] !== 0)) return
    words[owner + VCPU_LPIS_ENABLED] = enabled ? 1 : 0
    if (enabled) this.its.enableLpis(owner)
    else this.its.disableLpis(owner)
  }

  /** PTZ is write only. */
  pendbaser(owner: Vcpu, half: number): number {
    const value = this.words[owner + VCPU_PENDBASER + half]
    return half === 1 ? value & ~PENDBASER_PTZ : value
  }
}

/** The addresses of redistributors, in the order of the vCPUs. */
const basesOf = (regions: readonly RedistributorRegion[]): number[] =>
  regions.flatMap(({ base, count }) => Array.from({ length: count }, (_, i) => base + i * VGIC_GICR_SIZE))
