/**
 * A stride: steps of one vCPU, one after another, that the scheduling policy would choose whatever it is asked, since
 * nobody else can take one and nothing is due. They are the steps that the policy would have chosen, and virtual time
 * passes as if each had been taken alone; the way into the guest and out of it is taken at once where the run loop has a
 * superinstruction for it.
 */
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { OP_TIMER, OP_WFIT, OP_WORDS } from '../hyp/records/guest-program.ts'
import { GUEST_PC } from '../hyp/records/guest-record.ts'
import { VCPU_AP_COUNT, VCPU_INDEX, VCPU_PE, VCPU_USED_LRS, type Vcpu } from '../hyp/records/vcpu.ts'
import { pass } from '../hyp/records/virtual-time.ts'
import { VM_TIME } from '../hyp/records/vm.ts'
import { THREAD_STEPS } from '../hyp/run/thread-states.ts'
import type { Machine } from './machine.ts'

export class Strides {
  private readonly hypervisor: Hypervisor
  private readonly words: Int32Array
  private readonly now: number
  /** Whether there is no other vCPU, for which steps of this one could be of interest. */
  private readonly isAlone: boolean

  constructor(private readonly machine: Machine) {
    this.hypervisor = machine.hypervisor
    this.words = machine.hypervisor.words
    this.now = machine.hypervisor.layout.vm + VM_TIME
    this.isAlone = machine.setup.vcpus === 1
  }

  /**
   * Takes steps of a vCPU, at most `most`, up to one after which somebody else may have something to do; returns how many.
   * 0 if its next step is one for the policy.
   */
  take(v: Vcpu, most: number): number {
    let taken = 0
    while (taken < most) {
      const steps = this.takeSome(v, most - taken)
      if (steps === 0) break
      taken += steps
      if (!this.isAlone && !this.othersRest(v)) break
    }
    return taken
  }

  /** Whether all vCPUs but one have nothing to do, and want no PE. */
  othersRest(v: Vcpu): boolean {
    const { hypervisor, machine } = this
    for (let i = 0; i < machine.setup.vcpus; i++) {
      const other = hypervisor.vcpu(i)
      if (other !== v && (hypervisor.scheduler.wantsCpu(other) || machine.isReady(other))) return false
    }
    return true
  }

  private takeSome(v: Vcpu, most: number): number {
    const { words, hypervisor, now } = this
    const { runLoop } = hypervisor
    if (words[v + VCPU_PE] === 0) return 0
    if (runLoop.isInGuest(v)) return this.takeGuestSteps(v, most)
    if (runLoop.entryRows <= most && runLoop.entersAtOnce(v)) {
      pass(words, now, runLoop.entryRows)
      return runLoop.entryRows
    }
    if (runLoop.exitRows <= most && this.concernsNobody(v) && runLoop.exitsAtOnce(v)) {
      pass(words, now, runLoop.exitRows)
      return runLoop.exitRows
    }
    if (runLoop.threadState(v) !== THREAD_STEPS) return 0
    pass(words, now, 1)
    this.machine.ghosts.stepThread(v)
    return 1
  }

  /** Whether an exit cannot give an interrupt to another vCPU, which would have something to do before its last step. */
  private concernsNobody(v: Vcpu): boolean {
    const { words, hypervisor } = this
    if (this.isAlone) return true
    return (
      words[v + VCPU_AP_COUNT] === 0 && words[v + VCPU_USED_LRS] === 0 && !hypervisor.guest.isInterrupted(v)
    )
  }

  /**
   * Steps of the guest up to its exit; up to where it waits in its PE, or arms a timer, which may be due soon. One step where
   * there are other vCPUs: it may have sent them an event, or deactivated what the host waits for.
   */
  private takeGuestSteps(v: Vcpu, most: number): number {
    const { words, hypervisor, machine } = this
    const { ops } = hypervisor.setup.guests[words[v + VCPU_INDEX]]
    const bound = this.isAlone ? most : 1
    let taken = 0
    while (taken < bound) {
      const op = ops[OP_WORDS * words[v + GUEST_PC]]
      if (op === OP_TIMER || op === OP_WFIT || hypervisor.guest.isWaiting(v)) break
      taken++
      if (machine.ghosts.stepGuest(v) >= 0) break
    }
    if (taken > 0) pass(words, this.now, taken)
    return taken
  }
}
