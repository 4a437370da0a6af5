/**
 * A halting vCPU: whether it would run, and halt polling (kvm_vcpu_halt). Before it sleeps it repeats the check for a
 * while; this window grows when a slightly longer one would have avoided a sleep, and shrinks when polling was in
 * vain. The window and its limits count checks, and a check is a step of virtual time.
 */
import type { Pe } from '../../gic/records/pe.ts'
import type { Seam } from '../host/seam.ts'
import { COST_POLLS } from '../records/cost-row.ts'
import {
  REQ_SIGNAL,
  REQ_UNHALT,
  THREAD_RELOAD_VPE,
  VCPU_COST,
  VCPU_HALT_START,
  VCPU_POLL_LEFT,
  VCPU_POLL_WINDOW,
  VCPU_POLLS_ATTEMPTED,
  VCPU_POLLS_SUCCESSFUL,
  VCPU_THREAD,
  VCPU_VMCR,
  type Vcpu,
} from '../records/vcpu.ts'
import { copyTime, timeOf } from '../records/virtual-time.ts'
import { VM_ENABLED, VM_TIME } from '../records/vm.ts'
import type { ApLists } from '../vgic/ap-list.ts'
import type { ArchTimers } from '../vgic/arch-timer.ts'
import type { VgicV4 } from '../vgic/vgic-v4.ts'

/** Parameters of halt polling, in checks: KVM's halt_poll_ns, halt_poll_ns_grow_start, _grow and _shrink. */
export interface HaltPolling {
  /** The longest window; 0 turns polling off. */
  readonly limit: number
  /** The first window. */
  readonly growStart: number
  /** The factor by which a window grows. */
  readonly grow: number
  /** The divisor by which it shrinks; 0 makes the window 0. */
  readonly shrink: number
}

/** No halt polling. */
export const NO_POLLING: HaltPolling = { limit: 0, growStart: 1, grow: 2, shrink: 0 }

export class Halt {
  /** Whether halts change the window. In an exploration they do not: how long they take is not part of the state. */
  adapts = true
  readonly words: Int32Array
  private readonly vm: number

  constructor(
    readonly seam: Seam,
    readonly apLists: ApLists,
    readonly timers: ArchTimers,
    readonly polling: HaltPolling,
    /** Undefined without GICv4. */
    readonly v4: VgicV4 | undefined,
  ) {
    this.words = seam.words
    this.vm = apLists.layout.vm
  }

  /**
   * Whether a vCPU would run, by its shadow registers, and by what is known of its vPE. Nothing is known of one that is
   * resident.
   */
  runnable(words: Int32Array, v: Vcpu): boolean {
    if (this.v4 !== undefined && this.isPendingLast(words, v, this.v4)) return true
    return this.apLists.hasPendingIrq(words, v)
  }

  private isPendingLast(words: Int32Array, v: Vcpu, v4: VgicV4): boolean {
    return words[this.vm + VM_ENABLED] !== 0 && v4.isPendingLast(v)
  }

  /**
   * kvm_vcpu_check_block: whether a halt ends, because the vCPU is runnable (then KVM_REQ_UNHALT is set), because a
   * timer has expired, because of a signal, or because its vPE is to be told that the guest's distributor was switched:
   * its doorbell was requested for the groups of before, and would not ring. KVM does not see to the last.
   */
  checkBlock(words: Int32Array, v: Vcpu): boolean {
    if (this.runnable(words, v) === true) {
      words[v + VCPU_THREAD] |= REQ_UNHALT
      return true
    }
    return (
      this.timers.hasPending(words, v) || (words[v + VCPU_THREAD] & (REQ_SIGNAL | THREAD_RELOAD_VPE)) !== 0
    )
  }

  /** Refreshes a vCPU's shadow of ICH_VMCR_EL2 from the asker's PE, even if the vCPU is not there. */
  readMaskOnDemand(v: Vcpu, pe: Pe): void {
    this.words[v + VCPU_VMCR] = this.seam.readVmcr(this.words, v, pe)
  }

  /** Gives every vCPU the longest window. */
  openWindows(): void {
    const { vcpus, vcpuSize, vcpuCount } = this.apLists.layout
    for (let i = 0; i < vcpuCount; i++)
      this.words[vcpus + i * vcpuSize + VCPU_POLL_WINDOW] = this.polling.limit
  }

  begin(words: Int32Array, v: Vcpu): void {
    if (this.polling.limit !== 0) this.open(words, v, 0)
  }

  /** `begin`, and the first {@link pollAgain}. */
  beginAndPoll(words: Int32Array, v: Vcpu): boolean {
    if (this.polling.limit === 0) return this.pollAgain(words, v)
    if (this.open(words, v, 1) === 0) return false
    this.countCheck(words, v)
    return true
  }

  /** Begins a halt with as many checks as the window has, of which some are used up; returns the window. */
  private open(words: Int32Array, v: Vcpu, used: number): number {
    copyTime(words, v + VCPU_HALT_START, this.vm + VM_TIME)
    const window = words[v + VCPU_POLL_WINDOW]
    words[v + VCPU_POLL_LEFT] = window - used
    if (window !== 0) words[v + VCPU_POLLS_ATTEMPTED]++
    return window
  }

  /** Whether another check is left in the window; uses it up. Below 0 the window is over. */
  pollAgain(words: Int32Array, v: Vcpu): boolean {
    const left = words[v + VCPU_POLL_LEFT] - 1
    words[v + VCPU_POLL_LEFT] = left
    if (left < 0) return false
    this.countCheck(words, v)
    return true
  }

  private countCheck(words: Int32Array, v: Vcpu): void {
    const row = words[v + VCPU_COST]
    words[row + COST_POLLS]++
  }

  /** Ends a halt, which slept if nothing is left of its window: grows or shrinks the window by how long it took. */
  end(words: Int32Array, v: Vcpu): void {
    const window = words[v + VCPU_POLL_WINDOW]
    const left = words[v + VCPU_POLL_LEFT]
    words[v + VCPU_POLL_LEFT] = 0
    if (window !== 0 && left >= 0) words[v + VCPU_POLLS_SUCCESSFUL]++
    else if (this.polling.limit !== 0 && this.adapts) this.adjust(v, window)
  }

  /**
   * Adjusts the window after a halt that slept: it grows if the halt was shorter than the longest window, and shrinks
   * if it was longer.
   */
  private adjust(v: Vcpu, window: number): void {
    const { words, polling } = this
    const { limit, grow, growStart } = polling
    const halted = timeOf(words, this.vm + VM_TIME) - timeOf(words, v + VCPU_HALT_START)
    if (window !== 0 && halted > limit) words[v + VCPU_POLL_WINDOW] = this.shrunk(window)
    else if (window < limit && halted < limit) {
      words[v + VCPU_POLL_WINDOW] = Math.min(limit, Math.max(window * grow, growStart)) | 0
    }
  }

  private shrunk(window: number): number {
    const { shrink, growStart } = this.polling
    const smaller = shrink === 0 ? 0 : Math.floor(window / shrink)
    return smaller < growStart ? 0 : smaller
  }
}
