/**
 * The invariants of GICv4 residency (src/hyp/vgic/vgic-v4.ts). While a vPE is resident no software sees what is pending for
 * it: so a vCPU that waits must have put it, with a doorbell that rings for whatever comes after that. Each method is one
 * rule and returns a text that says what is wrong, or undefined. Without GICv4 there is nothing to check.
 */
import { GICR_VPENDBASER_HIGH_VGrp1En } from '../arch/gicr-registers.ts'
import { HCR_En, LR_State } from '../arch/ich-registers.ts'
import { FIRST_LPI, intidName } from '../arch/intid.ts'
import { type UnpredictableRule, unpredictableRules } from '../gic/config/unpredictable.ts'
import { ICH_HCR } from '../gic/cpu-interface/virtual-interface.ts'
import { ENTRY_FLAGS, VPE_ENTRY_SHIFT, VPE_REQUESTED } from '../gic/vpe/vpe-entry.ts'
import {
  GICR_VPENDBASER,
  VPE_PRESENTED_1,
  VPE_RESIDENCY,
  VPE_VPT,
  VPES_UNPREDICTABLE,
} from '../gic/vpe/vpe-offsets.ts'
import { BECOMING_RESIDENT, LEAVING, NOT_RESIDENT } from '../gic/vpe/vpe-records.ts'
import { VPE_TABLE } from '../hyp/host/host-memory.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { VPE_DOORBELL, VPE_PENDING_LAST, VPE_RESIDENT } from '../hyp/records/its-vpe.ts'
import { LPI_FORWARD } from '../hyp/records/lpi-record.ts'
import {
  peOf,
  privateIrq,
  THREAD_PREEMPT_OFF,
  THREAD_REQUESTS,
  THREAD_WAITING,
  VCPU_INDEX,
  VCPU_LOADED,
  VCPU_NOTIFIER,
  VCPU_PE,
  VCPU_THREAD,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { IRQ_ENABLED, IRQ_LATCH, type Irq, irqTarget } from '../hyp/records/vgic-irq.ts'
import { VM_ENABLED, VM_NASSGIREQ } from '../hyp/records/vm.ts'
import { THREAD_IN_GUEST, THREAD_SLEEPS } from '../hyp/run/thread-states.ts'
import type { VgicV4 } from '../hyp/vgic/vgic-v4.ts'
import type { Machine } from '../scenario/machine.ts'
import { vsgisInHardware } from './hardware-pending.ts'

/** What of GICR_VPENDBASER may not be written while Valid or Dirty is set. */
const RESIDENCY_RULES: readonly UnpredictableRule[] = [
  'valid-while-dirty',
  'field-while-valid',
  'vpropbaser-while-resident',
]
/** Uses of a vPE where it is not, or not mapped. */
const MAPPING_RULES: readonly UnpredictableRule[] = [
  'vpropbaser-invalid',
  'resident-unmapped',
  'resident-elsewhere',
  'map-mapped',
  'map-without-allocation',
  'unmap-resident',
  'move-resident',
  'command-unmapped',
]
const SGIS = 16

export class ResidencyInvariants {
  /** Whether vCPUs have vPEs. */
  readonly present: boolean
  private readonly words: Int32Array
  private readonly hypervisor: Hypervisor
  private readonly v4: VgicV4 | undefined

  constructor(machine: Machine) {
    this.hypervisor = machine.hypervisor
    this.words = machine.hypervisor.words
    this.v4 = machine.hypervisor.v4
    this.present = this.v4 !== undefined
  }

  /**
   * S1: a vPE is resident on one redistributor at most, that of the PE where its vCPU's thread is; and once that can be
   * preempted, it is loaded.
   */
  readonly onePlace = this.ofVcpus((v, v4) => {
    const { silicon } = this.hypervisor
    const own = this.words[v + VCPU_PE]
    let places = 0
    for (let cpu = 0; cpu < silicon.config.cpus; cpu++) {
      if (!this.isHeldBy(v, v4, cpu)) continue
      if (silicon.peOf(cpu) !== own)
        return `the vPE of ${this.name(v)} is resident on cpu${cpu}, where its thread is not`
      places++
    }
    if (places > 0 && this.isPreemptible(v) && this.words[v + VCPU_LOADED] === 0)
      return `the vPE of ${this.name(v)} is resident, and ${this.name(v)} is not loaded`
    return places > 1 ? `the vPE of ${this.name(v)} is resident on ${places} redistributors` : undefined
  })

  /** S2: a vCPU in its guest has its vPE resident there and, on GICv4.1, its pending table read: Dirty is 0. */
  readonly residentInGuest = this.ofVcpus((v, v4) => {
    if (!this.isInGuest(v)) return undefined
    const cpu = this.hypervisor.silicon.cpuOf(peOf(this.words, v))
    if (!this.isHeldBy(v, v4, cpu)) return `${this.name(v)} is in its guest, and its vPE is not resident`
    const isDirty = v4.vpes.isV41 && this.residency(cpu) === BECOMING_RESIDENT
    return isDirty ? `${this.name(v)} is in its guest, and GICR_VPENDBASER.Dirty is 1` : undefined
  })

  /** S3: a vCPU that waits, once it can be preempted, has no resident vPE. */
  readonly awayWhileWaiting = this.ofVcpus((v, v4) =>
    this.waits(v) && v4.isResident(v) ? `${this.name(v)} waits, and its vPE is resident` : undefined,
  )

  /** S4: nothing but Valid is written while a vPE is resident, and Valid is not cleared while Dirty is 1. */
  residencyRegisters(): string | undefined {
    return this.used(RESIDENCY_RULES)
  }

  /** S5: no ITS command and no redistributor operation names a vPE that is not mapped there. */
  mappedVpes(): string | undefined {
    const { silicon } = this.hypervisor
    if (this.present && silicon.its[0].queue.isStalled)
      return "the host's ITS has stalled at a command in error"
    return this.used(MAPPING_RULES)
  }

  /** S11 with GICv4: a vCPU does not ask runnable() in its halt while its vPE is resident, of which nothing is known. */
  askedWhileResident(v: Vcpu): string | undefined {
    if (this.v4?.isResident(v) !== true) return undefined
    return `${this.name(v)} asks whether it is runnable, and its vPE is resident`
  }

  /**
   * S6, first half: when a vCPU is about to wait, or waits, and nothing is known to be pending for its vPE, a doorbell was
   * asked for, or is on its way.
   */
  announced(v: Vcpu): string | undefined {
    const { v4, words } = this
    if (v4 === undefined || words[this.hypervisor.layout.vm + VM_ENABLED] === 0) return undefined
    if (v4.isResident(v) || this.isArmed(v, v4) || this.isRinging(v, v4)) return undefined
    if (v4.isPendingLast(v) && !this.isAsleep(v)) return undefined
    return `${this.name(v)} waits, and no doorbell will tell of what becomes pending for its vPE`
  }

  /** The same for all vCPUs that sleep. */
  readonly announcedAsleep = this.ofVcpus((v) => (this.isAsleep(v) ? this.announced(v) : undefined))

  /** S6, second half: what is known to be pending is not forgotten while the vPE is away, by what a put has read before. */
  notOverwritten(before: Int32Array): string | undefined {
    const { v4, words, hypervisor } = this
    for (let i = 0; v4 !== undefined && i < hypervisor.layout.vcpuCount; i++) {
      const v = hypervisor.vcpu(i)
      const record = v4.vpes.of(v)
      const wasKnown = before[record + VPE_RESIDENT] === 0 && before[record + VPE_PENDING_LAST] !== 0
      if (wasKnown && words[record + VPE_PENDING_LAST] === 0)
        return `pending_last of ${this.name(v)} was set, and is overwritten`
    }
    return undefined
  }

  /**
   * S7: no doorbell rings for a vCPU that is in its guest. One of GICv4.0 that rang before its vPE became resident may come
   * late, and is not taken, since a load disables it.
   */
  readonly noDoorbellInGuest = this.ofVcpus((v, v4) => {
    if (!this.isInGuest(v) || !this.isRinging(v, v4)) return undefined
    const isTaken = v4.vpes.isV41 || this.words[v4.vpes.of(v) + VPE_DOORBELL] !== 0
    return isTaken ? `${this.name(v)} is in its guest, and its doorbell rings` : undefined
  })

  /** S8 with GICv4: an interrupt is not in a list register and pending as a direct one at once. */
  oneWay(): string | undefined {
    return this.used(['list-register-direct'])
  }

  /** S19 with GICv4: what is pending is the hardware's for an interrupt that is injected directly, not software's. */
  oneOwner(): string | undefined {
    const { words, hypervisor } = this
    const { lpis } = hypervisor.mmio.dist.its
    for (let slot = this.present ? lpis.firstSlot : 0; slot !== 0; slot = lpis.next(slot)) {
      const irq = lpis.at(slot)
      if (words[irq + LPI_FORWARD] !== 0 && words[irq] & IRQ_LATCH)
        return `${intidName(lpis.intidOf(irq))} is forwarded, and pending in software`
    }
    return words[hypervisor.layout.vm + VM_NASSGIREQ] === 0 ? undefined : this.noVsgiInSoftware()
  }

  private readonly noVsgiInSoftware = this.ofVcpus((v) => {
    for (let sgi = 0; sgi < SGIS; sgi++)
      if (this.words[privateIrq(v, sgi)] & IRQ_LATCH)
        return `SGI ${sgi} of ${this.name(v)} is a vSGI, and pending in software`
    return undefined
  })

  /** L2: while a vCPU sleeps, what is pending for its vPE has a doorbell on its way. */
  readonly doorbellOnItsWay = this.ofVcpus((v, v4) => {
    if (!this.isAsleep(v) || this.words[this.hypervisor.layout.vm + VM_ENABLED] === 0) return undefined
    if (this.isRinging(v, v4)) return undefined
    const intid = this.pendingOf(v, v4)
    return intid < 0
      ? undefined
      : `${this.name(v)} sleeps, ${intidName(intid)} is pending for its vPE, and no doorbell rings`
  })

  /** L3 with GICv4: what a redistributor presents reaches the guest, whose virtual CPU interface is enabled. */
  readonly presented = this.ofVcpus((v, v4) => {
    if (!this.isInGuest(v)) return undefined
    const { words, hypervisor } = this
    const pe = peOf(words, v)
    const cpu = hypervisor.silicon.cpuOf(pe)
    if (!this.isHeldBy(v, v4, cpu) || words[pe + ICH_HCR] & HCR_En) return undefined
    const at = this.recordOf(cpu) + VPE_PRESENTED_1
    return LR_State(words[at + 1]) === 0
      ? undefined
      : `${this.name(v)} is in its guest with a direct interrupt, and ICH_HCR_EL2.En is 0`
  })

  /**
   * L3 on GICv4.1: a guest that is left alone runs with its vPE told which groups its distributor has enabled, as otherwise
   * nothing of them is presented.
   */
  readonly groupsToldToVpe = this.ofVcpus((v, v4) => {
    if (!v4.vpes.isV41 || !this.isInGuest(v)) return undefined
    const { words, hypervisor } = this
    const pe = peOf(words, v)
    const cpu = hypervisor.silicon.cpuOf(pe)
    const isTold = (words[this.recordOf(cpu) + GICR_VPENDBASER + 1] & GICR_VPENDBASER_HIGH_VGrp1En) !== 0
    const isEnabled = words[hypervisor.layout.vm + VM_ENABLED] !== 0
    if (isTold === isEnabled || words[v + VCPU_THREAD] & THREAD_REQUESTS) return undefined
    return hypervisor.guest.isInterrupted(v)
      ? undefined
      : `${this.name(v)} is in its guest, and its vPE was not told that the distributor was switched`
  })

  /** A rule about each vCPU: it says what is wrong with the first of which there is something to say. */
  private ofVcpus(says: (v: Vcpu, v4: VgicV4) => string | undefined): () => string | undefined {
    return () => {
      const { v4, hypervisor } = this
      for (let i = 0; v4 !== undefined && i < hypervisor.layout.vcpuCount; i++) {
        const what = says(hypervisor.vcpu(i), v4)
        if (what !== undefined) return what
      }
      return undefined
    }
  }

  /** An UNPREDICTABLE use of the silicon, of some kinds. */
  private used(rules: readonly UnpredictableRule[]): string | undefined {
    const { vpes } = this.hypervisor.silicon
    const bits = vpes && this.v4 ? this.words[vpes.resident.layout.common + VPES_UNPREDICTABLE] : 0
    if (bits === 0) return undefined
    const rule = unpredictableRules.find((name, n) => (bits >>> n) & 1 && rules.includes(name))
    return rule && `the hypervisor does what is UNPREDICTABLE: ${rule}`
  }

  private name(v: Vcpu): string {
    return `vcpu${this.words[v + VCPU_INDEX]}`
  }

  private isInGuest(v: Vcpu): boolean {
    return this.hypervisor.runLoop.threadState(v) === THREAD_IN_GUEST
  }

  private isAsleep(v: Vcpu): boolean {
    return this.hypervisor.runLoop.threadState(v) === THREAD_SLEEPS
  }

  /** Whether a vCPU is marked as waiting and can be preempted, or sleeps. */
  private waits(v: Vcpu): boolean {
    const { words } = this
    if (this.isAsleep(v)) return true
    return (words[v + VCPU_THREAD] & THREAD_WAITING) !== 0 && this.isPreemptible(v)
  }

  private isPreemptible(v: Vcpu): boolean {
    return (this.words[v + VCPU_THREAD] & THREAD_PREEMPT_OFF) === 0 && this.words[v + VCPU_NOTIFIER] === 0
  }

  private recordOf(cpu: number): number {
    return this.hypervisor.silicon.vpes?.resident.recordOf(cpu) ?? 0
  }

  private residency(cpu: number): number {
    return this.words[this.recordOf(cpu) + VPE_RESIDENCY]
  }

  /** Whether a redistributor has the vPE of a vCPU, and it does not leave. */
  private isHeldBy(v: Vcpu, v4: VgicV4, cpu: number): boolean {
    const residency = this.residency(cpu)
    if (residency === NOT_RESIDENT || residency === LEAVING) return false
    return this.words[this.recordOf(cpu) + VPE_VPT] === v4.vpes.tableOf(this.words[v + VCPU_INDEX])
  }

  /** Whether the next vLPI rings the doorbell of a vPE that is away. */
  private isArmed(v: Vcpu, v4: VgicV4): boolean {
    const { words, hypervisor } = this
    if (!v4.vpes.isV41) return words[v4.vpes.of(v) + VPE_DOORBELL] !== 0
    const entry = VPE_TABLE + (words[v + VCPU_INDEX] << VPE_ENTRY_SHIFT)
    return ((hypervisor.silicon.pool?.read32(entry + ENTRY_FLAGS) ?? 0) & VPE_REQUESTED) !== 0
  }

  /** Whether a doorbell was rung and the host has not taken it, or the host has it recorded and the vCPU is woken. */
  private isRinging(v: Vcpu, v4: VgicV4): boolean {
    const { silicon } = this.hypervisor
    const doorbell = v4.vpes.doorbellOf(this.words[v + VCPU_INDEX])
    for (let cpu = 0; cpu < silicon.config.cpus; cpu++) {
      if (silicon.vpes?.doorbells.isUnderWay(cpu, doorbell)) return true
      if (silicon.lpis?.isPending(cpu, doorbell - FIRST_LPI)) return true
    }
    return false
  }

  /** An enabled interrupt that is pending in the table of a vPE that is away; -1 if there is none. */
  private pendingOf(v: Vcpu, v4: VgicV4): number {
    const { words, hypervisor } = this
    const { lpis } = hypervisor.mmio.dist.its
    for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot)) {
      const irq: Irq = lpis.at(slot)
      const isItsOwn = words[irq + LPI_FORWARD] !== 0 && irqTarget(words[irq]) === words[v + VCPU_INDEX]
      if (isItsOwn && words[irq] & IRQ_ENABLED && v4.forwarding.pendingBit(irq)) return lpis.intidOf(irq)
    }
    const sgis = vsgisInHardware(this.hypervisor, v)
    for (let sgi = 0; sgi < SGIS; sgi++)
      if ((sgis >>> sgi) & 1 && words[privateIrq(v, sgi)] & IRQ_ENABLED) return sgi
    return -1
  }
}
