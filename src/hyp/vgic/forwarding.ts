/**
 * Interrupts of assigned devices, which are forwarded as vLPIs (irqbypass, and the half of KVM's vgic-v4.c that it calls):
 * the host's ITS has a device's event either as an LPI of the host, whose handler sends the message on to the guest's
 * ITS, or as the vLPI that the guest's ITS translates that message to. What the guest's commands do to it then is told to
 * the host's ITS.
 */
import { FIRST_LPI, type Intid } from '../../arch/intid.ts'
import {
  COMMAND_VMOVI_D,
  ITS_CLEAR,
  ITS_INT,
  ITS_INV,
  ITS_VMAPTI,
  ITS_VMOVI,
} from '../../arch/its-commands.ts'
import { VLPI_CONFIGURATION } from '../host/host-memory.ts'
import { type ItsVpes, NO_DOORBELL } from '../host/its-vpes.ts'
import {
  FORWARD_ATTACHED,
  FORWARD_BOUND,
  FORWARD_DEVICE,
  FORWARD_DOORBELL,
  FORWARD_EVENT,
  FORWARD_STRIDE,
  FORWARD_VINTID,
  FORWARD_VPE,
  VPE_MAPPED,
  VPE_VLPIS,
} from '../records/its-vpe.ts'
import { LPI_FORWARD } from '../records/lpi-record.ts'
import type { Vcpu } from '../records/vcpu.ts'
import { IRQ_ENABLED, IRQ_LATCH, type Irq, irqPriority, irqTarget, TARGET_NONE } from '../records/vgic-irq.ts'
import type { ApLists } from './ap-list.ts'
import type { ForwardedLpis, VgicIts } from './vgic-its.ts'

/** Bits of an event of a device that is assigned. */
export const FORWARDED_EVENT_BITS = 12
/** The configuration byte of a vLPI: group 1, priority, enable. */
const LPI_GROUP1 = 2

/** The methods whose names are participles are what the guest's ITS tells of the LPIs that hardware delivers. */
export class Forwarding implements ForwardedLpis {
  private readonly words: Int32Array

  constructor(
    private readonly vpes: ItsVpes,
    private readonly apLists: ApLists,
    readonly its: VgicIts,
  ) {
    this.words = apLists.words
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

  /** The LPI that a device's interrupt is forwarded as; 0 if it is not. */
  lpiOf(n: number): Irq | 0 {
    const { lpis } = this.its
    for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot)) {
      const irq = lpis.at(slot)
      if (this.words[irq + LPI_FORWARD] === n + 1) return irq
    }
    return 0
  }

  /** Whether hardware delivers an LPI, and has its pending state. */
  isForwardedLpi(irq: Irq): boolean {
    return this.words[irq + LPI_FORWARD] !== 0
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

  /** The handler of a device's interrupt that is not forwarded: it sends the device's message to the guest's ITS. */
  injectByHost(n: number): void {
    const at = this.forwardAt(n)
    const irq = this.its.translate(0, this.words[at + FORWARD_DEVICE], this.words[at + FORWARD_EVENT])
    if (irq !== 0 && !this.its.raiseForwarded(irq)) this.apLists.inject(irq, 1)
  }

  /**
   * kvm_vgic_v4_set_forwarding: a device's interrupt becomes the vLPI that its message means to the guest's ITS, if it means
   * one; the pending state of the LPI moves along. The VM is stopped. Returns whether it is forwarded. An LPI has no vCPU if
   * another event made it, in a collection that was not mapped: then there is no vPE for it.
   */
  forward(v: Vcpu, n: number): boolean {
    const { words, vpes, its } = this
    const at = this.forwardAt(n)
    const [device, event] = [words[at + FORWARD_DEVICE], words[at + FORWARD_EVENT]]
    const irq = its.resolve(0, device, event)
    if (irq === 0 || words[at + FORWARD_VINTID] !== 0 || words[irq + LPI_FORWARD] !== 0) return false
    const vpe = irqTarget(words[irq])
    if (vpe === TARGET_NONE) return false
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
    const holder = apLists.holderOf(irq)
    if (holder !== 0) apLists.notify(holder)
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
    if (isPending && words[at + FORWARD_BOUND] !== 0) this.apLists.store(irq, words[irq] | IRQ_LATCH)
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

  /** The bit of a forwarded LPI in the virtual pending table of its vPE, which is unmapped. */
  pendingBit(irq: Irq): boolean {
    const { words, vpes, its } = this
    const intid = its.lpis.intidOf(irq)
    const address = vpes.tableOf(irqTarget(words[irq])) + 4 * (intid >>> 5)
    return (((vpes.seam.silicon.pool?.read32(address) ?? 0) >>> (intid & 31)) & 1) === 1
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
    if (vpes.isV41 && vpes.seam.silicon.config.directLpis)
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

  /** Dbell_pINTID of the event; on GICv4.1 the vPE's own doorbell rings. */
  private doorbellOf(at: number): Intid {
    const { words, vpes } = this
    return vpes.isV41 || words[at + FORWARD_DOORBELL] === 0
      ? NO_DOORBELL
      : vpes.doorbellOf(words[at + FORWARD_VPE])
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

  /** The guest's commands count for the vCPU whose exit they are handled in. */
  private get accessing(): Vcpu {
    return this.apLists.accessing
  }
}

const configurationOf = (word: number): number =>
  (irqPriority(word) & 0xfc) | LPI_GROUP1 | (word & IRQ_ENABLED ? 1 : 0)
