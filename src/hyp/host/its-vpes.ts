/**
 * The host's driver of vPEs (the its_vpe of Linux's irq-gic-v3-its.c and irq-gic-v4.c): maps them, makes them resident and
 * not, and controls their doorbells. vCPU n has vPE n, with vPEID n. A method is one critical section, under the lock of
 * the vPE: its doorbell's handler and an invalidation wait for it, and it is not moved meanwhile.
 *
 * Doorbells. On GICv4.1 a vPE has one of its own, which is always enabled and rings once after a put that asked for it. On
 * GICv4.0 it is the LPI that events ring; it is enabled by a put that asks for it and disabled by the next load. To
 * disable, clear or move an LPI that no event of a device is mapped to, the driver uses the redistributor's registers
 * where there are such (GICR_TYPER.DirectLPI), and otherwise a proxy device that has an event for each doorbell.
 */
import {
  GICR_VPENDBASER_HIGH_Dirty,
  GICR_VPENDBASER_HIGH_Doorbell,
  GICR_VPENDBASER_HIGH_IDAI,
  GICR_VPENDBASER_HIGH_PendingLast,
  GICR_VPENDBASER_HIGH_Valid,
  GICR_VPENDBASER_HIGH_VGrp1En,
} from '../../arch/gicr-registers.ts'
import { FIRST_LPI, type Intid } from '../../arch/intid.ts'
import {
  COMMAND_VMAPP_Alloc,
  COMMAND_VMAPP_PTZ,
  ITS_INVDB,
  ITS_VINVALL,
  ITS_VMAPP,
  ITS_VMOVP,
  ITS_VSGI,
} from '../../arch/its-commands.ts'
import {
  type DirectLayout,
  VPE_CPU,
  VPE_DOORBELL,
  VPE_LAST,
  VPE_MAPPED,
  VPE_PENDING_LAST,
  VPE_PROXY,
  VPE_RESIDENT,
  VPE_STRIDE,
  VPE_VMAPP,
} from '../records/its-vpe.ts'
import { THREAD_COMMIT_VPE, VCPU_INDEX, VCPU_LAST_CPU, VCPU_THREAD, type Vcpu } from '../records/vcpu.ts'
import { HOST_PAGE, VIRTUAL_PENDING_TABLES, VLPI_CONFIGURATION } from './host-memory.ts'
import { GICR_VPROPBASER, IDBITS, ItsDriver, VALID } from './its-driver.ts'
import type { Seam } from './seam.ts'

/** From RD_base. */
const GICR_SETLPIR = 0x40
const GICR_CLRLPIR = 0x48
const GICR_INVLPIR = 0xa0
const GICR_SYNCR = 0xc0
const GICR_VPENDBASER = 0x2_0078
const GICR_VSGIR = 0x2_0080
const GICR_VSGIPENDR = 0x2_0088
/** V of GICR_INVLPIR, with the vPEID in the upper word. */
const INVLPIR_V = 0x8000_0000 | 0
const VSGIPENDR_BUSY = 0x8000_0000 | 0
/** DB of VMOVP: the doorbell goes along. */
const VMOVP_DB = 0x8000_0000 | 0
/** Where the next event rings no doorbell. */
export const NO_DOORBELL = 1023

/** How the poll of Dirty ends: Linux gives up after a millisecond. */
export interface DirtyPolls {
  /** Reads of GICR_VPENDBASER until Dirty is 0. Effects that lag are complete by then. */
  readonly takes: number
  /** Reads after which software gives up. */
  readonly limit: number
}

export const DIRTY_POLLS: DirtyPolls = { takes: 1, limit: 500 }

export class ItsVpes {
  readonly words: Int32Array
  readonly driver: ItsDriver
  /** Whether the silicon is GICv4.1. */
  readonly isV41: boolean
  /** Whether doorbells are controlled by the redistributor's registers. */
  private readonly hasDirectLpis: boolean

  constructor(
    readonly seam: Seam,
    readonly layout: DirectLayout,
    readonly polls: DirtyPolls = DIRTY_POLLS,
  ) {
    this.words = seam.words
    this.driver = new ItsDriver(seam, layout.its)
    const { version, directLpis } = seam.silicon.config
    this.isV41 = version === '4.1'
    this.hasDirectLpis = directLpis
  }

  /** The record of the vPE with a number. */
  recordOf(vpe: number): number {
    return this.layout.vpes + vpe * VPE_STRIDE
  }

  /** The record of a vCPU's vPE. */
  of(v: Vcpu): number {
    return this.layout.vpes + this.words[v + VCPU_INDEX] * VPE_STRIDE
  }

  /** The INTID of a vPE's doorbell. */
  doorbellOf(vpe: number): Intid {
    return FIRST_LPI + vpe
  }

  /** VMAPP with V = 1, and VINVALL. On GICv4.1 its doorbell is enabled from now on. */
  map(v: Vcpu, vpe: number): void {
    const { words, driver } = this
    const record = this.recordOf(vpe)
    this.sendVmapp(v, vpe, true)
    driver.vsync(v, vpe)
    words[record + VPE_MAPPED] = 1
    words[record + VPE_VMAPP] = 1
    this.invalidateAll(v, vpe)
    if (this.isV41) this.enableDoorbell(v, record, true)
  }

  /**
   * VMAPP with V = 0, after which its pending table is in memory. On GICv4.1 that waits by itself, and no command may
   * name the vPE then (catalogue 16).
   */
  unmap(v: Vcpu, vpe: number): void {
    this.sendVmapp(v, vpe, false)
    if (this.isV41) this.driver.submit(v)
    else this.driver.vsync(v, vpe)
    this.words[this.recordOf(vpe) + VPE_MAPPED] = 0
  }

  /** No redistributor has the tables of vPEs any more. None of them is resident, and the ITS has none. */
  forgetTables(v: Vcpu): void {
    const { seam, driver } = this
    for (let cpu = 0; cpu < seam.silicon.config.cpus; cpu++)
      seam.writeRegister(v, driver.rdAddress(cpu) + GICR_VPROPBASER, 8, 0, 0)
  }

  private sendVmapp(v: Vcpu, vpe: number, valid: boolean): void {
    const { words, driver, isV41 } = this
    const record = this.recordOf(vpe)
    const cpu = words[record + VPE_CPU]
    const isFirst = words[record + VPE_VMAPP] === 0
    const alloc = COMMAND_VMAPP_Alloc | (valid && isFirst ? COMMAND_VMAPP_PTZ : 0)
    driver.command(
      v,
      ITS_VMAPP | (isV41 ? alloc | VLPI_CONFIGURATION : 0),
      0,
      isV41 ? this.doorbellOf(vpe) : 0,
      vpe,
      driver.rdLow(cpu),
      driver.rdHigh(cpu) | (valid ? VALID : 0),
      this.tableOf(vpe) | IDBITS,
    )
  }

  /** The address of a vPE's pending table. */
  tableOf(vpe: number): number {
    return VIRTUAL_PENDING_TABLES + vpe * HOST_PAGE
  }

  /** VINVALL: the configuration of all its vLPIs. */
  invalidateAll(v: Vcpu, vpe: number): void {
    this.driver.command(v, ITS_VINVALL, 0, 0, vpe, 0, 0, 0)
    this.driver.vsync(v, vpe)
  }

  /** Moves a vPE to the CPU that its vCPU is on, if it is not there: VMOVP, and its doorbell. It is not resident. */
  move(v: Vcpu): void {
    const { words, driver } = this
    const vpe = words[v + VCPU_INDEX]
    const record = this.recordOf(vpe)
    const from = words[record + VPE_CPU]
    const cpu = words[v + VCPU_LAST_CPU]
    if (cpu === from) return
    words[record + VPE_CPU] = cpu
    if (words[record + VPE_MAPPED] === 0) return
    const doorbell = this.isV41 ? this.doorbellOf(vpe) : 0
    driver.command(
      v,
      ITS_VMOVP,
      0,
      // ITSList: the one ITS that there is, where each has to be named.
      this.seam.silicon.config.its[0].vmovp === 1 ? 0 : 1,
      vpe,
      driver.rdLow(cpu),
      driver.rdHigh(cpu) | (this.isV41 ? VMOVP_DB : 0),
      doorbell,
    )
    driver.vsync(v, vpe)
    if (this.isV41) return
    if (this.hasDirectLpis) this.clearDirectly(v, from, this.doorbellOf(vpe))
    else {
      this.mapAtProxy(v, record, cpu)
      driver.moveEvent(v, driver.proxy, vpe, cpu)
    }
  }

  /**
   * Makes a vCPU's vPE resident on the redistributor of the CPU that it is mapped to: the vCPU's. `group1` is EnableGrp1 of
   * the guest's distributor, which is a field of GICv4.1's register.
   */
  makeResident(v: Vcpu, group1: boolean): void {
    const { words, seam } = this
    const vpe = words[v + VCPU_INDEX]
    const record = this.recordOf(vpe)
    const rd = this.driver.rdAddress(words[record + VPE_CPU])
    if (this.isV41) {
      const enables = group1 ? GICR_VPENDBASER_HIGH_VGrp1En : 0
      seam.writeRegister(v, rd + GICR_VPENDBASER, 8, vpe, GICR_VPENDBASER_HIGH_Valid | enables)
    } else {
      if (words[record + VPE_DOORBELL] !== 0) this.enableDoorbell(v, record, false)
      seam.writeRegister(v, rd + GICR_VPROPBASER, 8, VLPI_CONFIGURATION | IDBITS, 0)
      // PendingLast and IDAI: whether the table is empty cannot be known, as its doorbell may ring at any time.
      const high = GICR_VPENDBASER_HIGH_Valid | GICR_VPENDBASER_HIGH_PendingLast | GICR_VPENDBASER_HIGH_IDAI
      seam.writeRegister(v, rd + GICR_VPENDBASER, 8, this.tableOf(vpe), high)
      this.clearDoorbell(v, record)
    }
    words[record + VPE_RESIDENT] = 1
    words[v + VCPU_THREAD] |= THREAD_COMMIT_VPE
  }

  /** On GICv4.1, waits until a vPE's pending table is read and what is in it is presented. */
  commit(v: Vcpu): void {
    const record = this.of(v)
    if (this.isV41) this.waitWhileDirty(v, record)
    this.words[v + VCPU_THREAD] &= ~THREAD_COMMIT_VPE
  }

  /** Waits until a vPE may be made to leave: it must not while its table is read (catalogue 06). */
  settleResident(v: Vcpu): void {
    this.waitWhileDirty(v, this.of(v))
  }

  /**
   * Makes a vPE leave, and returns PendingLast. With `doorbell` that asks for its doorbell; without, on GICv4.1 it is
   * taken to be pending, so that nothing is to be computed. A poll that times out counts as pending.
   */
  clearValid(v: Vcpu, doorbell: boolean): boolean {
    const { words, seam } = this
    const vpe = words[v + VCPU_INDEX]
    const record = this.recordOf(vpe)
    const rd = this.driver.rdAddress(words[record + VPE_CPU])
    if (this.isV41) {
      const high = doorbell ? GICR_VPENDBASER_HIGH_Doorbell : GICR_VPENDBASER_HIGH_PendingLast
      seam.writeRegister(v, rd + GICR_VPENDBASER, 8, vpe, high)
    } else {
      const high = GICR_VPENDBASER_HIGH_PendingLast | GICR_VPENDBASER_HIGH_IDAI
      seam.writeRegister(v, rd + GICR_VPENDBASER, 8, this.tableOf(vpe), high)
    }
    words[record + VPE_RESIDENT] = 0
    words[v + VCPU_THREAD] &= ~THREAD_COMMIT_VPE
    const high = this.waitWhileDirty(v, record)
    if (this.isV41 && !doorbell) return true
    return (high & (GICR_VPENDBASER_HIGH_Dirty | GICR_VPENDBASER_HIGH_PendingLast)) !== 0
  }

  /** Stores whether an interrupt may be pending for a vPE that is not resident. */
  storePendingLast(record: number, last: boolean): void {
    this.words[record + VPE_PENDING_LAST] = last ? 1 : 0
    this.words[record + VPE_LAST] = 0
  }

  /**
   * Reads GICR_VPENDBASER until Dirty is 0, or for too long; returns its upper word. Time passes while software polls:
   * what lags is complete when the read is the last one that it takes.
   */
  private waitWhileDirty(v: Vcpu, record: number): number {
    const { seam, polls } = this
    const cpu = this.words[record + VPE_CPU]
    const address = this.driver.rdAddress(cpu) + GICR_VPENDBASER
    for (let n = 1; ; n++) {
      if (n >= polls.takes && n <= polls.limit) this.completeResidency(cpu)
      const high = seam.pollDirty(v, address)
      if ((high & GICR_VPENDBASER_HIGH_Dirty) === 0 || n >= polls.limit) return high
    }
  }

  private completeResidency(cpu: number): void {
    const { silicon } = this.seam
    if (!silicon.residency?.isLagging(cpu)) return
    silicon.residency.complete(cpu)
    silicon.settle()
  }

  /** Enables or disables a vPE's doorbell: its configuration, and an invalidation. */
  enableDoorbell(v: Vcpu, record: number, enabled: boolean): void {
    const { words, driver } = this
    const vpe = this.indexOf(record)
    const intid = this.doorbellOf(vpe)
    driver.configure(v, intid, enabled)
    words[record + VPE_DOORBELL] = enabled ? 1 : 0
    const cpu = words[record + VPE_CPU]
    if (this.isV41) {
      driver.command(v, ITS_INVDB, 0, 0, vpe, 0, 0, 0)
      driver.vsync(v, vpe)
    } else if (this.hasDirectLpis) {
      this.seam.writeRegister(v, driver.rdAddress(cpu) + GICR_INVLPIR, 8, intid, 0)
      this.seam.readWord(v, driver.rdAddress(cpu) + GICR_SYNCR)
    } else {
      this.mapAtProxy(v, record, cpu)
      driver.invalidate(v, driver.proxy, vpe, cpu)
    }
  }

  /** Takes back a doorbell of GICv4.0 that was rung before the vPE became resident. */
  private clearDoorbell(v: Vcpu, record: number): void {
    const { words, driver } = this
    const cpu = words[record + VPE_CPU]
    const vpe = this.indexOf(record)
    if (this.hasDirectLpis) this.clearDirectly(v, cpu, this.doorbellOf(vpe))
    else {
      this.mapAtProxy(v, record, cpu)
      driver.clear(v, driver.proxy, vpe, cpu)
    }
  }

  private clearDirectly(v: Vcpu, cpu: number, intid: Intid): void {
    const rd = this.driver.rdAddress(cpu)
    this.seam.writeRegister(v, rd + GICR_CLRLPIR, 8, intid, 0)
    this.seam.readWord(v, rd + GICR_SYNCR)
  }

  /** Gives a doorbell an event of the proxy device, when it needs one first. */
  private mapAtProxy(v: Vcpu, record: number, cpu: number): void {
    const { words, driver } = this
    if (words[record + VPE_PROXY] !== 0) return
    words[record + VPE_PROXY] = 1
    const vpe = this.indexOf(record)
    driver.mapEvent(v, driver.proxy, vpe, this.doorbellOf(vpe), cpu)
  }

  indexOf(record: number): number {
    return (record - this.layout.vpes) / VPE_STRIDE
  }

  /**
   * Invalidates the configuration of a vLPI by the redistributor that its vPE is mapped to, which it stays at until that
   * is done (catalogue 17). Only GICv4.1 has this.
   */
  invalidateDirectly(v: Vcpu, vpe: number, vintid: Intid): void {
    const rd = this.driver.rdAddress(this.words[this.recordOf(vpe) + VPE_CPU])
    this.seam.writeRegister(v, rd + GICR_INVLPIR, 8, vintid, INVLPIR_V | vpe)
    this.seam.readWord(v, rd + GICR_SYNCR)
  }

  /** VSGI: the configuration of a vSGI, COMMAND_VSGI_ bits; with COMMAND_VSGI_Clear its pending state goes instead. */
  configureSgi(v: Vcpu, vpe: number, sgi: number, fields: number): void {
    this.driver.command(v, ITS_VSGI | fields, sgi, 0, vpe, 0, 0, 0)
    this.driver.vsync(v, vpe)
  }

  /** GITS_SGIR: a vSGI becomes pending. */
  sendSgi(v: Vcpu, vpe: number, sgi: number): void {
    this.seam.writeRegister(v, this.driver.sgir, 8, sgi, vpe)
  }

  /** GICR_VSGIR and GICR_VSGIPENDR: which vSGIs of a vPE are pending, a bit each. */
  pendingSgis(v: Vcpu, vpe: number): number {
    const { seam } = this
    const cpu = this.words[this.recordOf(vpe) + VPE_CPU]
    const rd = this.driver.rdAddress(cpu)
    seam.writeRegister(v, rd + GICR_VSGIR, 4, vpe, 0)
    const { vpes } = seam.silicon
    if (vpes?.isQueryPending(cpu)) vpes.completeQuery(cpu)
    return seam.readWord(v, rd + GICR_VSGIPENDR) & ~VSGIPENDR_BUSY
  }

  /** A host LPI becomes pending at a CPU, as an interrupt that is resent does. Only direct LPIs have this. */
  resend(v: Vcpu, cpu: number, intid: Intid): void {
    this.seam.writeRegister(v, this.driver.rdAddress(cpu) + GICR_SETLPIR, 8, intid, 0)
  }
}
