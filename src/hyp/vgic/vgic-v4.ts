/**
 * Direct injection for a VM (KVM's vgic-v4.c): each vCPU has a vPE, which is resident on the vCPU's PE from the load of
 * its thread to the put, so that interrupts of assigned devices that are forwarded as vLPIs, and vSGIs, reach the guest
 * without an exit. What such an interrupt does to a resident vPE no software sees: only a put tells, by PendingLast, or
 * later the doorbell. So a vCPU that waits must have put its vPE with a doorbell before it asks whether it is runnable.
 */
import { FIRST_LPI, type Intid } from '../../arch/intid.ts'
import {
  COMMAND_VMOVI_D,
  COMMAND_VSGI_Clear,
  COMMAND_VSGI_Enable,
  COMMAND_VSGI_Group,
  ITS_CLEAR,
  ITS_INT,
  ITS_INV,
  ITS_VMAPTI,
  ITS_VMOVI,
} from '../../arch/its-commands.ts'
import { VPE_RESIDENCY, VPE_VPT } from '../../gic/vpe/vpe-offsets.ts'
import { NOT_RESIDENT } from '../../gic/vpe/vpe-records.ts'
import { VLPI_CONFIGURATION } from '../host/host-memory.ts'
import { ItsVpes, NO_DOORBELL } from '../host/its-vpes.ts'
import type { Seam } from '../host/seam.ts'
import {
  FORWARD_ATTACHED,
  FORWARD_BOUND,
  FORWARD_DEVICE,
  FORWARD_DOORBELL,
  FORWARD_EVENT,
  FORWARD_STRIDE,
  FORWARD_VINTID,
  FORWARD_VPE,
  HOST_ITS_NESTING,
  VPE_CPU,
  VPE_DOORBELL,
  VPE_LAST,
  VPE_MAPPED,
  VPE_PENDING_LAST,
  VPE_RESIDENT,
  VPE_VLPIS,
} from '../records/its-vpe.ts'
import { LPI_FORWARD } from '../records/lpi-record.ts'
import {
  THREAD_COMMIT_VPE,
  THREAD_RELOAD_VPE,
  VCPU_INDEX,
  VCPU_IRQ,
  VCPU_LAST_CPU,
  VCPU_THREAD,
  type Vcpu,
} from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_ENABLED,
  IRQ_GROUP1,
  IRQ_LATCH,
  type Irq,
  irqApListOf,
  irqPriority,
  irqTarget,
} from '../records/vgic-irq.ts'
import { VM_ENABLED, VM_NASSGIREQ } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'
import type { ForwardedLpis, VgicIts } from './vgic-its.ts'
import type { Vsgis } from './vgic-mmio-irqs.ts'

/** Bits of an event of a device that is assigned. */
export const FORWARDED_EVENT_BITS = 12
/** The configuration byte of a vLPI: group 1, priority, enable. */
const LPI_GROUP1 = 2
const SGIS = 16
/** The byte offset in a virtual pending table of the vSGIs that are pending. */
const VPT_SGI_PENDING = 4

export class VgicV4 implements ForwardedLpis, Vsgis {
  readonly words: Int32Array
  readonly vpes: ItsVpes
  /** GICD_CTLR.nASSGIreq can be set: vSGIs are there. */
  readonly hasVsgis: boolean
  private readonly vm: number

  constructor(
    readonly seam: Seam,
    readonly apLists: ApLists,
    readonly its: VgicIts,
  ) {
    this.words = seam.words
    this.vpes = new ItsVpes(seam, apLists.layout.direct)
    this.hasVsgis = this.vpes.isV41
    this.vm = apLists.layout.vm
  }

  /** vgic_v4_init: the host's ITS, and a vPE for each vCPU, which the ITS has on CPU 0. */
  init(): void {
    const { vpes, apLists } = this
    const v = apLists.vcpuOf(0)
    vpes.driver.boot(v)
    for (let vpe = 0; vpe < apLists.layout.vcpuCount; vpe++) vpes.map(v, vpe)
  }

  /**
   * vgic_v4_teardown, and a host that goes down (L06): no vPE is resident, then the ITS has none, so that nothing writes
   * to their tables any more.
   */
  teardown(): void {
    const { words, vpes, apLists } = this
    for (let i = 0; i < apLists.layout.vcpuCount; i++) {
      const v = apLists.vcpuOf(i)
      if (words[vpes.of(v) + VPE_RESIDENT] !== 0) this.put(v, false)
    }
    for (let vpe = 0; vpe < apLists.layout.vcpuCount; vpe++)
      if (words[vpes.recordOf(vpe) + VPE_MAPPED] !== 0) vpes.unmap(apLists.vcpuOf(vpe), vpe)
  }

  /** vgic_v4_load: makes the vPE resident where its vCPU is; does nothing if it is. */
  load(v: Vcpu): void {
    const { words, vpes } = this
    if (words[vpes.of(v) + VPE_RESIDENT] !== 0) return
    vpes.move(v)
    vpes.makeResident(v, words[this.vm + VM_ENABLED] !== 0 ? 2 : 0)
  }

  /** A load that takes the vPE to be where its vCPU is without moving it there (catalogue 14). */
  loadUnmoved(v: Vcpu): void {
    const { words, vpes } = this
    const record = vpes.of(v)
    if (words[record + VPE_RESIDENT] !== 0) return
    words[record + VPE_CPU] = words[v + VCPU_LAST_CPU]
    vpes.makeResident(v, words[this.vm + VM_ENABLED] !== 0 ? 2 : 0)
  }

  /** Waits until it may leave. */
  settle(v: Vcpu): void {
    if (this.words[this.vpes.of(v) + VPE_RESIDENT] !== 0) this.vpes.settleResident(v)
  }

  /** vgic_v4_put: makes the vPE leave, with its doorbell if that is asked for; does nothing if it is not resident. */
  put(v: Vcpu, doorbell: boolean): void {
    const record = this.vpes.of(v)
    if (this.words[record + VPE_RESIDENT] === 0) return
    this.words[record + VPE_PENDING_LAST] = 0
    this.armDoorbell(v, record, doorbell)
    this.vpes.settleResident(v)
    this.leave(v, record, doorbell)
  }

  /**
   * Clears Valid and stores what is known then. A doorbell of GICv4.0 that rang long ago may come to another CPU only now
   * that it is enabled: its handler waits for the lock, and what it stores comes last.
   */
  private leave(v: Vcpu, record: number, doorbell: boolean): void {
    const last = this.vpes.clearValid(v, doorbell)
    this.vpes.storePendingLast(record, last || this.words[record + VPE_PENDING_LAST] !== 0)
  }

  /** On GICv4.0 the doorbell is enabled first: one that rings before the vPE has left is pending then. */
  private armDoorbell(v: Vcpu, record: number, doorbell: boolean): void {
    const { words, vpes } = this
    if (doorbell && !vpes.isV41 && words[record + VPE_DOORBELL] === 0) vpes.enableDoorbell(v, record, true)
  }

  /** A put without the wait before it: Valid is cleared while the pending table may still be read (catalogue 06). */
  putAtOnce(v: Vcpu, doorbell: boolean): void {
    const record = this.vpes.of(v)
    if (this.words[record + VPE_RESIDENT] === 0) return
    this.words[record + VPE_PENDING_LAST] = 0
    this.armDoorbell(v, record, doorbell)
    this.leave(v, record, doorbell)
  }

  /** A put that reads PendingLast, and leaves it to {@link storeLast} to store it (catalogue 05). */
  putUnstored(v: Vcpu): void {
    const { words, vpes } = this
    const record = vpes.of(v)
    if (words[record + VPE_RESIDENT] === 0) return
    this.armDoorbell(v, record, true)
    vpes.settleResident(v)
    words[record + VPE_LAST] = vpes.clearValid(v, true) ? 2 : 1
  }

  /** A put that does not look whether the vPE is resident: the register has what the last put left (catalogue 13). */
  putAnyway(v: Vcpu, doorbell: boolean): void {
    const record = this.vpes.of(v)
    this.armDoorbell(v, record, doorbell)
    this.vpes.settleResident(v)
    this.vpes.storePendingLast(record, this.vpes.clearValid(v, doorbell))
  }

  storeLast(v: Vcpu): void {
    const { words, vpes } = this
    const record = vpes.of(v)
    if (words[record + VPE_LAST] !== 0) vpes.storePendingLast(record, words[record + VPE_LAST] === 2)
  }

  /** vgic_v4_commit: what is pending for the vPE is presented, if it is resident. */
  commit(v: Vcpu): void {
    if ((this.words[v + VCPU_THREAD] & THREAD_COMMIT_VPE) !== 0) this.vpes.commit(v)
  }

  /** Whether an interrupt may be pending for a vPE that is not resident. */
  isPendingLast(v: Vcpu): boolean {
    return this.words[this.vpes.of(v) + VPE_PENDING_LAST] !== 0
  }

  isResident(v: Vcpu): boolean {
    return this.words[this.vpes.of(v) + VPE_RESIDENT] !== 0
  }

  /** Whether interrupts reach a vCPU's guest directly, so that its WFI need not exit. */
  isDirect(v: Vcpu): boolean {
    return this.words[this.vpes.of(v) + VPE_VLPIS] !== 0 || this.words[this.vm + VM_NASSGIREQ] !== 0
  }

  /** Records that a design has loaded a vPE that is resident, or put one that is not, where it expected otherwise. */
  checkNesting(v: Vcpu, resident: boolean): void {
    const { words, vpes, apLists } = this
    if ((words[vpes.of(v) + VPE_RESIDENT] !== 0) === resident) return
    const at = apLists.layout.direct.its + HOST_ITS_NESTING
    if (words[at] === 0) words[at] = words[v + VCPU_INDEX] + 1
  }

  /**
   * The host has taken an LPI on the PE of `v`: the doorbell of a vPE, or the interrupt of a device that is not forwarded,
   * whose handler sends its message to the guest's ITS.
   */
  interrupt(v: Vcpu, intid: Intid): void {
    const { layout } = this.apLists
    const n = intid - FIRST_LPI
    if (n < layout.vcpuCount) this.ring(v, n)
    else if (n < layout.vcpuCount + layout.direct.forwardCount)
      this.injectByHost(this.forwardAt(n - layout.vcpuCount))
  }

  /** The handler of a doorbell. One rings once: GICv4.0's is disabled until it is asked for again. */
  private ring(v: Vcpu, vpe: number): void {
    const { words, vpes, apLists } = this
    const record = vpes.recordOf(vpe)
    if (!vpes.isV41 && words[record + VPE_DOORBELL] !== 0) vpes.enableDoorbell(v, record, false)
    words[record + VPE_PENDING_LAST] = 1
    apLists.notify(apLists.vcpuOf(vpe))
  }

  private injectByHost(at: number): void {
    const irq = this.its.translate(0, this.words[at + FORWARD_DEVICE], this.words[at + FORWARD_EVENT])
    if (irq !== 0) this.apLists.inject(irq, 1)
  }

  /** The record of a device's interrupt. */
  forwardAt(n: number): number {
    return this.apLists.layout.direct.forwards + n * FORWARD_STRIDE
  }

  private numberOf(at: number): number {
    return (at - this.apLists.layout.direct.forwards) / FORWARD_STRIDE
  }

  /** The host's LPI of a device's interrupt. */
  private hostLpi(at: number): Intid {
    return FIRST_LPI + this.apLists.layout.vcpuCount + this.numberOf(at)
  }

  /** The number of a device's interrupt, by its message; -1 if it is not that of an assigned device. */
  find(deviceId: number, eventId: number): number {
    const { forwardCount } = this.apLists.layout.direct
    for (let n = 0; n < forwardCount; n++) {
      const at = this.forwardAt(n)
      if (this.words[at + FORWARD_DEVICE] === deviceId && this.words[at + FORWARD_EVENT] === eventId) return n
    }
    return -1
  }

  /** Whether the message of a device's interrupt goes to the host's ITS, as the device's driver has enabled it. */
  isBound(n: number): boolean {
    return n >= 0 && this.words[this.forwardAt(n) + FORWARD_BOUND] !== 0
  }

  /** Whether it is forwarded. */
  isForwarded(n: number): boolean {
    return this.words[this.forwardAt(n) + FORWARD_VINTID] !== 0
  }

  /** MAPD of the device of an interrupt, if the ITS does not have it. */
  attach(v: Vcpu, n: number): void {
    const { words } = this
    const { driver } = this.vpes
    const device = words[this.forwardAt(n) + FORWARD_DEVICE]
    const first = this.firstOf(device)
    if (words[this.forwardAt(first) + FORWARD_ATTACHED] !== 0) return
    driver.mapDevice(v, device, FORWARDED_EVENT_BITS, driver.ittOf(first))
    words[this.forwardAt(first) + FORWARD_ATTACHED] = 1
  }

  /** The device's driver enables its interrupt: MAPTI and INV. It goes to the host. */
  bind(v: Vcpu, n: number): void {
    const at = this.forwardAt(n)
    if (this.words[at + FORWARD_BOUND] !== 0) return
    this.attach(v, n)
    this.words[at + FORWARD_BOUND] = 1
    this.giveToHost(v, at)
  }

  /** The number of the first interrupt of a device. */
  private firstOf(deviceId: number): number {
    const { forwardCount } = this.apLists.layout.direct
    for (let n = 0; n < forwardCount; n++)
      if (this.words[this.forwardAt(n) + FORWARD_DEVICE] === deviceId) return n
    return 0
  }

  /** MAPTI and INV: the event is the host's LPI, on CPU 0. */
  private giveToHost(v: Vcpu, at: number): void {
    const { words } = this
    const { driver } = this.vpes
    const [device, event] = [words[at + FORWARD_DEVICE], words[at + FORWARD_EVENT]]
    driver.mapEvent(v, device, event, this.hostLpi(at), 0)
    driver.configure(v, this.hostLpi(at), true)
    driver.invalidate(v, device, event, 0)
  }

  /**
   * kvm_vgic_v4_set_forwarding: a device's interrupt becomes the vLPI that its message means to the guest's ITS, if it means
   * one; the pending state of the LPI moves along. The VM is stopped. Returns whether it is forwarded.
   */
  forward(v: Vcpu, n: number): boolean {
    const { words, vpes, its } = this
    const at = this.forwardAt(n)
    const [device, event] = [words[at + FORWARD_DEVICE], words[at + FORWARD_EVENT]]
    const irq = its.resolve(0, device, event)
    if (irq === 0 || words[at + FORWARD_VINTID] !== 0 || words[irq + LPI_FORWARD] !== 0) return false
    const vpe = irqTarget(words[irq])
    const vintid = its.lpis.intidOf(irq)
    words[at + FORWARD_VINTID] = vintid
    words[at + FORWARD_VPE] = vpe
    words[at + FORWARD_DOORBELL] = 1
    words[irq + LPI_FORWARD] = n + 1
    words[vpes.recordOf(vpe) + VPE_VLPIS]++
    vpes.driver.writeByte(v, VLPI_CONFIGURATION, vintid, configurationOf(words[irq]))
    vpes.driver.discard(v, device, event, 0)
    const doorbell = this.doorbellOf(at)
    vpes.driver.command(v, ITS_VMAPTI, device, event, vpe, vintid, doorbell, 0)
    vpes.driver.vsync(v, vpe)
    this.handOver(v, irq, at)
    return true
  }

  /** The pending state has one owner: what software has goes to the hardware. */
  private handOver(v: Vcpu, irq: Irq, at: number): void {
    const { words, apLists } = this
    if ((words[irq] & IRQ_LATCH) === 0) return
    this.vpes.driver.ofVlpi(v, ITS_INT, at, words[at + FORWARD_VPE])
    words[irq] &= ~IRQ_LATCH
    if (irqApListOf(words[irq]) !== 0) apLists.notify(apLists.vcpuOf(irqApListOf(words[irq]) - 1))
  }

  /** Dbell_pINTID of the event; on GICv4.1 the vPE's own doorbell rings. */
  private doorbellOf(at: number): Intid {
    const { words, vpes } = this
    return vpes.isV41 || words[at + FORWARD_DOORBELL] === 0
      ? NO_DOORBELL
      : vpes.doorbellOf(words[at + FORWARD_VPE])
  }

  /**
   * kvm_vgic_v4_unset_forwarding: what was forwarded for a device's interrupt is undone, whatever the guest has mapped its
   * message to meanwhile (L03), and the interrupt goes to the host. A pending vLPI becomes software's. On GICv4.0 it
   * cannot be known whether it is: then it is, as a spurious message does no harm and a lost one does. The VM is stopped.
   */
  unforward(v: Vcpu, n: number): void {
    const { words } = this
    const at = this.forwardAt(n)
    const irq = this.lpiOf(n)
    if (irq === 0) return
    const isPending = !this.vpes.isV41 || this.readPending(v, irq)
    this.undo(v, irq)
    if (isPending && words[at + FORWARD_BOUND] !== 0) this.its.store(irq, words[irq] | IRQ_LATCH)
  }

  /** The LPI that a device's interrupt is forwarded as; 0 if it is not. */
  lpiOf(n: number): Irq | 0 {
    const { lpis } = this.its
    for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot)) {
      const irq = lpis.at(slot)
      if (this.words[irq + LPI_FORWARD] === n + 1) return irq
    }
    return 0
  }

  /** DISCARD, MAPTI and INV. */
  private undo(v: Vcpu, irq: Irq): void {
    const { words, vpes } = this
    const at = this.forwardAt(words[irq + LPI_FORWARD] - 1)
    vpes.driver.discard(v, words[at + FORWARD_DEVICE], words[at + FORWARD_EVENT], 0)
    words[vpes.recordOf(words[at + FORWARD_VPE]) + VPE_VLPIS]--
    words[at + FORWARD_VINTID] = 0
    words[at + FORWARD_VPE] = 0
    words[at + FORWARD_DOORBELL] = 0
    words[irq + LPI_FORWARD] = 0
    this.giveToHost(v, at)
  }

  /** The guest has discarded the event of a forwarded LPI. */
  discarded(irq: Irq): void {
    this.undo(this.accessing, irq)
  }

  /** The guest's commands count for the vCPU whose exit they are handled in. */
  private get accessing(): Vcpu {
    return this.apLists.accessing
  }

  /** A forwarded LPI goes to another vCPU: VMOVI. */
  moved(irq: Irq, target: number): void {
    const { words, vpes } = this
    const at = this.forwardAt(words[irq + LPI_FORWARD] - 1)
    words[vpes.recordOf(words[at + FORWARD_VPE]) + VPE_VLPIS]--
    words[at + FORWARD_VPE] = target
    words[vpes.recordOf(target) + VPE_VLPIS]++
    this.moveEvent(at)
  }

  /** VMOVI, with the doorbell. */
  private moveEvent(at: number): void {
    const { words, vpes } = this
    const vpe = words[at + FORWARD_VPE]
    const [device, event] = [words[at + FORWARD_DEVICE], words[at + FORWARD_EVENT]]
    vpes.driver.command(
      this.accessing,
      ITS_VMOVI,
      device,
      event,
      vpe,
      COMMAND_VMOVI_D,
      this.doorbellOf(at),
      0,
    )
    vpes.driver.vsync(this.accessing, vpe)
  }

  /**
   * The configuration of a forwarded LPI was read from the guest's memory; `invalidate` if that is to count at once. On
   * GICv4.0 one that is disabled must not ring its doorbell.
   */
  configured(irq: Irq, invalidate: boolean): void {
    const { words, vpes } = this
    const v = this.accessing
    const at = this.forwardAt(words[irq + LPI_FORWARD] - 1)
    vpes.driver.writeByte(v, VLPI_CONFIGURATION, words[at + FORWARD_VINTID], configurationOf(words[irq]))
    if (invalidate) this.invalidate(v, at)
    const enabled = words[irq] & IRQ_ENABLED ? 1 : 0
    if (vpes.isV41 || words[at + FORWARD_DOORBELL] === enabled) return
    words[at + FORWARD_DOORBELL] = enabled
    this.moveEvent(at)
  }

  private invalidate(v: Vcpu, at: number): void {
    const { words, vpes } = this
    const vpe = words[at + FORWARD_VPE]
    if (vpes.isV41 && this.seam.silicon.config.directLpis)
      vpes.invalidateDirectly(v, vpe, words[at + FORWARD_VINTID])
    else vpes.driver.ofVlpi(v, ITS_INV, at, vpe)
  }

  /** The guest's INVALL, of the collection that goes to a vCPU: VINVALL. */
  invalidatedAll(index: number): void {
    if (this.words[this.vpes.recordOf(index) + VPE_MAPPED] !== 0)
      this.vpes.invalidateAll(this.accessing, index)
  }

  /** The guest's INT, or a message that software injects, for a forwarded LPI. */
  raised(irq: Irq): void {
    this.command(irq, ITS_INT)
  }

  /** The guest's CLEAR. */
  cleared(irq: Irq): void {
    this.command(irq, ITS_CLEAR)
  }

  private command(irq: Irq, opcode: typeof ITS_INT | typeof ITS_CLEAR): void {
    const at = this.forwardAt(this.words[irq + LPI_FORWARD] - 1)
    this.vpes.driver.ofVlpi(this.accessing, opcode, at, this.words[at + FORWARD_VPE])
  }

  /**
   * Whether a forwarded LPI is pending: its vPE, which is not resident, is unmapped, so that its table is in memory, and
   * mapped again. Only GICv4.1 says that the table has it then.
   */
  private readPending(v: Vcpu, irq: Irq): boolean {
    const vpe = irqTarget(this.words[irq])
    this.vpes.unmap(v, vpe)
    const isPending = this.pendingBit(irq)
    this.vpes.map(v, vpe)
    return isPending
  }

  /** Unmaps all vPEs, which are not resident, so that {@link pendingBit} can be asked: GICv4.1 only. */
  unmapAll(): void {
    for (let vpe = 0; vpe < this.apLists.layout.vcpuCount; vpe++)
      this.vpes.unmap(this.apLists.vcpuOf(vpe), vpe)
  }

  mapAll(): void {
    for (let vpe = 0; vpe < this.apLists.layout.vcpuCount; vpe++) this.vpes.map(this.apLists.vcpuOf(vpe), vpe)
  }

  /** The bit of a forwarded LPI in the virtual pending table of its vPE, which is unmapped. */
  pendingBit(irq: Irq): boolean {
    const { words, vpes, its, seam } = this
    const intid = its.lpis.intidOf(irq)
    const address = vpes.tableOf(irqTarget(words[irq])) + 4 * (intid >>> 5)
    return (((seam.silicon.pool?.read32(address) ?? 0) >>> (intid & 31)) & 1) === 1
  }

  /**
   * Whether a forwarded LPI is pending in the hardware: at the redistributor where its vPE is resident, in its table, or as
   * a message that the ITS has not translated yet. It is the model's own question.
   */
  isPendingInHardware(irq: Irq): boolean {
    const { words, vpes, its, seam } = this
    const { silicon } = seam
    const at = this.forwardAt(words[irq + LPI_FORWARD] - 1)
    const { messages } = silicon.its[0]
    for (let n = 0; n < messages.count; n++) {
      const isIts = messages.deviceIdOf(n) === words[at + FORWARD_DEVICE]
      if (isIts && messages.eventIdOf(n) === words[at + FORWARD_EVENT]) return true
    }
    const table = vpes.tableOf(words[at + FORWARD_VPE])
    for (let cpu = 0; cpu < silicon.config.cpus && silicon.vpes; cpu++) {
      const record = silicon.vpes.resident.recordOf(cpu)
      if (words[record + VPE_RESIDENCY] === NOT_RESIDENT || words[record + VPE_VPT] !== table) continue
      return silicon.vpes.resident.has(cpu, its.lpis.intidOf(irq) - FIRST_LPI)
    }
    return this.pendingBit(irq)
  }

  /** Whether a restored VM's pending LPI is the hardware's. */
  isForwardedLpi(irq: Irq): boolean {
    return this.words[irq + LPI_FORWARD] !== 0
  }

  /**
   * The guest's distributor has been enabled or disabled. The fields of GICR_VPENDBASER that say so are written when a
   * vPE becomes resident: KVM_REQ_RELOAD_GICv4 (GICv4.1).
   */
  distributorSwitched(): void {
    if (!this.vpes.isV41) return
    for (let i = 0; i < this.apLists.layout.vcpuCount; i++) {
      const v = this.apLists.vcpuOf(i)
      this.words[v + VCPU_THREAD] |= THREAD_RELOAD_VPE
      this.apLists.notify(v)
    }
  }

  /** The request: puts the vPE and loads it again. */
  reload(v: Vcpu): void {
    this.words[v + VCPU_THREAD] &= ~THREAD_RELOAD_VPE
    if (!this.isResident(v)) return
    this.put(v, false)
    this.load(v)
  }

  /** GICD_CTLR.nASSGIreq has changed: vgic_v4_configure_vsgis. All SGIs become vSGIs, or software's again. */
  configureVsgis(direct: boolean): void {
    const { apLists } = this
    this.words[this.vm + VM_NASSGIREQ] = direct ? 1 : 0
    for (let i = 0; i < apLists.layout.vcpuCount; i++) {
      const v = apLists.vcpuOf(i)
      if (direct) this.enableVsgis(v)
      else this.disableVsgis(v)
    }
  }

  private enableVsgis(v: Vcpu): void {
    const { words } = this
    for (let sgi = 0; sgi < SGIS; sgi++) {
      const irq = asIrq(v + VCPU_IRQ + sgi)
      this.updateVsgi(v, sgi)
      if ((words[irq] & IRQ_LATCH) === 0) continue
      words[irq] &= ~IRQ_LATCH
      this.sendVsgi(this.accessing, v, sgi)
    }
  }

  /** A VSGI either configures or clears, so there are two. */
  private disableVsgis(v: Vcpu): void {
    const { words, vpes } = this
    const vpe = words[v + VCPU_INDEX]
    const pending = vpes.pendingSgis(this.accessing, vpe)
    for (let sgi = 0; sgi < SGIS; sgi++) {
      const irq = asIrq(v + VCPU_IRQ + sgi)
      vpes.configureSgi(this.accessing, vpe, sgi, 0)
      vpes.configureSgi(this.accessing, vpe, sgi, COMMAND_VSGI_Clear)
      if ((pending >>> sgi) & 1) this.its.store(irq, words[irq] | IRQ_LATCH)
    }
  }

  /** Whether an interrupt is a vSGI: an SGI while GICD_CTLR.nASSGIreq is set. */
  isVsgi(v: Vcpu, irq: Irq): boolean {
    if (this.words[this.vm + VM_NASSGIREQ] === 0) return false
    return irq >= v + VCPU_IRQ && irq < v + VCPU_IRQ + SGIS
  }

  /** The configuration of a vSGI is that of its word. */
  updateVsgi(v: Vcpu, sgi: number): void {
    const word = this.words[v + VCPU_IRQ + sgi]
    const fields =
      (word & IRQ_ENABLED ? COMMAND_VSGI_Enable : 0) |
      (word & IRQ_GROUP1 ? COMMAND_VSGI_Group : 0) |
      ((irqPriority(word) >> 4) << 20)
    this.vpes.configureSgi(this.accessing, this.words[v + VCPU_INDEX], sgi, fields)
  }

  /** A vSGI of `v` becomes pending, by what `by` does. */
  sendVsgi(by: Vcpu, v: Vcpu, sgi: number): void {
    this.vpes.sendSgi(by, this.words[v + VCPU_INDEX], sgi)
  }

  clearVsgi(v: Vcpu, sgi: number): void {
    this.vpes.configureSgi(this.accessing, this.words[v + VCPU_INDEX], sgi, COMMAND_VSGI_Clear)
  }

  /** Which vSGIs of a vCPU are pending, a bit each. */
  pendingVsgis(v: Vcpu): number {
    return this.vpes.pendingSgis(this.accessing, this.words[v + VCPU_INDEX])
  }

  /** Which vSGIs of a vCPU are pending in the hardware, a bit each. It is the model's own question. */
  vsgisInHardware(v: Vcpu): number {
    const { words, vpes, seam } = this
    const { silicon } = seam
    if (words[this.vm + VM_NASSGIREQ] === 0) return 0
    const table = vpes.tableOf(words[v + VCPU_INDEX])
    for (let cpu = 0; cpu < silicon.config.cpus && silicon.vpes; cpu++) {
      const record = silicon.vpes.resident.recordOf(cpu)
      if (words[record + VPE_RESIDENCY] !== NOT_RESIDENT && words[record + VPE_VPT] === table)
        return silicon.vpes.resident.pendingSgis(cpu)
    }
    return silicon.pool?.read32(table + VPT_SGI_PENDING) ?? 0
  }

  /** The CPU that a vCPU's vPE is mapped to. */
  cpuOf(v: Vcpu): number {
    return this.words[this.vpes.of(v) + VPE_CPU]
  }
}

const configurationOf = (word: number): number =>
  (irqPriority(word) & 0xfc) | LPI_GROUP1 | (word & IRQ_ENABLED ? 1 : 0)
