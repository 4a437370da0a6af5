/**
 * Direct injection for a VM (KVM's vgic-v4.c): each vCPU has a vPE, which is resident on the vCPU's PE from the load of
 * its thread to the put, so that interrupts of assigned devices that are forwarded as vLPIs, and vSGIs, reach the guest
 * without an exit. What such an interrupt does to a resident vPE no software sees: only a put tells, by PendingLast, or
 * later the doorbell. So a vCPU that waits must have put its vPE with a doorbell before it asks whether it is runnable.
 */
import { FIRST_LPI, type Intid } from '../../arch/intid.ts'
import { ItsVpes } from '../host/its-vpes.ts'
import type { Seam } from '../host/seam.ts'
import {
  HOST_ITS_NESTING,
  VPE_DOORBELL,
  VPE_MAPPED,
  VPE_PENDING_LAST,
  VPE_RESIDENT,
  VPE_VLPIS,
} from '../records/its-vpe.ts'
import { THREAD_COMMIT_VPE, THREAD_RELOAD_VPE, VCPU_INDEX, VCPU_THREAD, type Vcpu } from '../records/vcpu.ts'
import { VM_ENABLED, VM_NASSGIREQ } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'
import { Forwarding } from './forwarding.ts'
import type { VgicIts } from './vgic-its.ts'
import { Vsgis } from './vsgis.ts'

export class VgicV4 {
  readonly words: Int32Array
  readonly vpes: ItsVpes
  /** Interrupts of assigned devices. */
  readonly forwarding: Forwarding
  /** SGIs that hardware delivers: GICD_CTLR.nASSGIreq can be set. Null on GICv4.0, and where they are not supported. */
  readonly vsgis: Vsgis | null
  private readonly vm: number

  constructor(
    readonly seam: Seam,
    readonly apLists: ApLists,
    its: VgicIts,
    hasVsgis: boolean,
  ) {
    this.words = seam.words
    this.vpes = new ItsVpes(seam, apLists.layout.direct)
    this.forwarding = new Forwarding(this.vpes, apLists, its)
    this.vsgis = hasVsgis && this.vpes.isV41 ? new Vsgis(this.vpes, apLists) : null
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
   * vgic_v4_teardown, and a host that goes down (L06): no vPE is resident, then the ITS has none, then the redistributors
   * forget where they were, so that nothing reads or writes their tables any more.
   */
  teardown(): void {
    const { words, vpes, apLists } = this
    for (let i = 0; i < apLists.layout.vcpuCount; i++) {
      const v = apLists.vcpuOf(i)
      if (words[vpes.of(v) + VPE_RESIDENT] !== 0) this.put(v, false)
    }
    for (let vpe = 0; vpe < apLists.layout.vcpuCount; vpe++)
      if (words[vpes.recordOf(vpe) + VPE_MAPPED] !== 0) vpes.unmap(apLists.vcpuOf(vpe), vpe)
    vpes.forgetTables(apLists.vcpuOf(0))
  }

  /** vgic_v4_load: makes the vPE resident where its vCPU is; does nothing if it is. */
  load(v: Vcpu): void {
    const { words, vpes } = this
    if (words[vpes.of(v) + VPE_RESIDENT] !== 0) return
    vpes.move(v)
    this.makeResident(v)
  }

  /** The guest has group 1 only; GICv4.1 is told with that whether its distributor has it enabled. */
  makeResident(v: Vcpu): void {
    this.vpes.makeResident(v, this.words[this.vm + VM_ENABLED] !== 0)
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
  leave(v: Vcpu, record: number, doorbell: boolean): void {
    const last = this.vpes.clearValid(v, doorbell)
    this.vpes.storePendingLast(record, last || this.words[record + VPE_PENDING_LAST] !== 0)
  }

  /** On GICv4.0 the doorbell is enabled first: one that rings before the vPE has left is pending then. */
  armDoorbell(v: Vcpu, record: number, doorbell: boolean): void {
    const { words, vpes } = this
    if (doorbell && !vpes.isV41 && words[record + VPE_DOORBELL] === 0) vpes.enableDoorbell(v, record, true)
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
      this.forwarding.injectByHost(n - layout.vcpuCount)
  }

  /** The handler of a doorbell. One rings once: GICv4.0's is disabled until it is asked for again. */
  private ring(v: Vcpu, vpe: number): void {
    const { words, vpes, apLists } = this
    const record = vpes.recordOf(vpe)
    if (!vpes.isV41 && words[record + VPE_DOORBELL] !== 0) vpes.enableDoorbell(v, record, false)
    words[record + VPE_PENDING_LAST] = 1
    apLists.notify(apLists.vcpuOf(vpe))
  }

  /** Unmaps all vPEs, which are not resident, so that {@link pendingBit} can be asked: GICv4.1 only. */
  unmapAll(): void {
    for (let vpe = 0; vpe < this.apLists.layout.vcpuCount; vpe++)
      this.vpes.unmap(this.apLists.vcpuOf(vpe), vpe)
  }

  mapAll(): void {
    for (let vpe = 0; vpe < this.apLists.layout.vcpuCount; vpe++) this.vpes.map(this.apLists.vcpuOf(vpe), vpe)
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
}
