/**
 * Stopping a VM's vCPUs (kvm_arm_halt_guest): the state of an interrupt that a guest accesses may be in a list
 * register of a running vCPU, where it cannot be read or changed. One vCPU at a time stops the others: it asks each
 * of them to leave its guest and stay outside, waits until all are outside with their list registers folded, does its
 * access, and lets them continue.
 */

import { postRequest } from '../host/kick.ts'
import {
  MODE_OUTSIDE,
  REQ_SLEEP,
  THREAD_IRQS_OFF,
  THREAD_MODE,
  VCPU_INDEX,
  VCPU_THREAD,
  type Vcpu,
} from '../records/vcpu.ts'
import { VM_STOPPER } from '../records/vm.ts'
import type { ApLists } from '../vgic/ap-list.ts'
import {
  STEP_ACCESS_OUTSIDE,
  STEP_ACCESS_STOPPED,
  STEP_ACCESS_STOPPED_FROM_MEMORY,
  STEP_DEACTIVATE_STOPPED,
  STEP_HANDLE_REQUESTS,
  STEP_HANDLE_REQUESTS_PRUNING,
  STEP_STOP_VCPUS,
} from './step-numbers.ts'

/** The steps before which a thread may have to wait for other vCPUs: those that {@link StopVm.waits} asks about. */
export const waitingSteps: readonly number[] = [
  STEP_HANDLE_REQUESTS,
  STEP_HANDLE_REQUESTS_PRUNING,
  STEP_STOP_VCPUS,
  STEP_ACCESS_STOPPED,
  STEP_ACCESS_STOPPED_FROM_MEMORY,
  STEP_DEACTIVATE_STOPPED,
  STEP_ACCESS_OUTSIDE,
]

export class StopVm {
  readonly words: Int32Array
  private readonly stopper: number

  constructor(readonly apLists: ApLists) {
    this.words = apLists.words
    this.stopper = apLists.layout.vm + VM_STOPPER
  }

  /** Whether a thread must wait for other vCPUs before its next step. */
  waits(v: Vcpu, step: number): boolean {
    switch (step) {
      case STEP_HANDLE_REQUESTS:
      case STEP_HANDLE_REQUESTS_PRUNING:
        return (this.words[v + VCPU_THREAD] & REQ_SLEEP) !== 0
      case STEP_STOP_VCPUS:
        return this.words[this.stopper] !== 0
      case STEP_ACCESS_STOPPED:
      case STEP_ACCESS_STOPPED_FROM_MEMORY:
      case STEP_DEACTIVATE_STOPPED:
        return this.someoneInside(v)
      case STEP_ACCESS_OUTSIDE:
        return this.someoneSaysInside(v)
      default:
        return false
    }
  }

  /** Asks all other vCPUs to leave their guests and stay outside. One that sleeps is not woken. */
  stop(v: Vcpu): void {
    const { words, apLists } = this
    words[this.stopper] = words[v + VCPU_INDEX] + 1
    for (let i = 0; i < apLists.layout.vcpuCount; i++) {
      const other = apLists.vcpuOf(i)
      if (other === v) continue
      postRequest(words, other, REQ_SLEEP)
      apLists.kicks.kickOutside(other)
    }
  }

  resume(): void {
    const { words, apLists } = this
    words[this.stopper] = 0
    for (let i = 0; i < apLists.layout.vcpuCount; i++) words[apLists.vcpuOf(i) + VCPU_THREAD] &= ~REQ_SLEEP
  }

  private someoneSaysInside(v: Vcpu): boolean {
    const { words, apLists } = this
    for (let i = 0; i < apLists.layout.vcpuCount; i++) {
      const other = apLists.vcpuOf(i)
      if (other !== v && (words[other + VCPU_THREAD] & THREAD_MODE) !== MODE_OUTSIDE) return true
    }
    return false
  }

  /**
   * Whether another vCPU is between its flush and its fold, which is one section with interrupts off: it acknowledges
   * the IPI that it was sent only after that.
   */
  private someoneInside(v: Vcpu): boolean {
    const { words, apLists } = this
    for (let i = 0; i < apLists.layout.vcpuCount; i++) {
      const other = apLists.vcpuOf(i)
      if (other !== v && words[other + VCPU_THREAD] & THREAD_IRQS_OFF) return true
    }
    return false
  }
}
