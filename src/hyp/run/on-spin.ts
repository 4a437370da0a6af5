/**
 * Directed yield (kvm_vcpu_on_spin): a vCPU that spins, as its WFE shows, looks for another vCPU of the VM that could
 * run. Each question about a candidate is a step, so the candidate can change between two questions.
 */

import type { Scheduler } from '../host/scheduler.ts'
import {
  isAsleep,
  TASK_OFF,
  taskOf,
  VCPU_INDEX,
  VCPU_SPIN,
  VCPU_THREAD,
  VCPU_YIELDS,
  type Vcpu,
} from '../records/vcpu.ts'
import type { ApLists } from '../vgic/ap-list.ts'

export class OnSpin {
  readonly words: Int32Array

  constructor(
    readonly apLists: ApLists,
    readonly scheduler: Scheduler,
  ) {
    this.words = apLists.words
  }

  /** Goes on to the next other vCPU that is not off; false, and the scan is over, if there is none. */
  next(v: Vcpu): boolean {
    const { words, apLists } = this
    for (let index = words[v + VCPU_SPIN]; index < apLists.layout.vcpuCount; index++) {
      words[v + VCPU_SPIN] = index + 1
      if (index !== words[v + VCPU_INDEX] && taskOf(words[apLists.vcpuOf(index) + VCPU_THREAD]) !== TASK_OFF)
        return true
    }
    words[v + VCPU_SPIN] = 0
    return false
  }

  /** The candidate of a vCPU's scan; 0 outside of one. */
  candidate(v: Vcpu): Vcpu | 0 {
    const { words, apLists } = this
    return words[v + VCPU_SPIN] === 0 ? 0 : apLists.vcpuOf(words[v + VCPU_SPIN] - 1)
  }

  /** Whether the candidate is blocked now. */
  isBlocked(v: Vcpu): boolean {
    const candidate = this.candidate(v)
    return candidate !== 0 && isAsleep(this.words[candidate + VCPU_THREAD])
  }

  /**
   * Ends the scan with this candidate. If its thread waits for a PE, the scheduler is to give it this one next; a
   * thread that runs or sleeps does not need it. Without a candidate nothing happens.
   */
  yieldTo(v: Vcpu): void {
    const { words } = this
    const candidate = this.candidate(v)
    if (candidate === 0) return
    if (this.scheduler.wantsCpu(candidate)) this.scheduler.prefer(candidate)
    words[v + VCPU_YIELDS]++
    words[v + VCPU_SPIN] = 0
  }
}
