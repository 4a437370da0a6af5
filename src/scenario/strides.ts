/**
 * A stride: steps of one vCPU, one after another, that the scheduling policy would choose whatever it is asked, since
 * nobody else can take one and nothing is due. They are the steps that the policy would have chosen, and virtual time
 * passes as if each had been taken alone; the way into the guest and out of it is taken at once where the run loop has a
 * superinstruction for it.
 */
import { GUEST_RUNS, type Guest } from '../hyp/guest/guest.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { OP_TIMER, OP_WFIT, OP_WORDS } from '../hyp/records/guest-program.ts'
import { GUEST_PC } from '../hyp/records/guest-record.ts'
import {
  peOf,
  VCPU_AP_COUNT,
  VCPU_INDEX,
  VCPU_PC,
  VCPU_PE,
  VCPU_USED_LRS,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { pass, tick } from '../hyp/records/virtual-time.ts'
import { VM_TIME } from '../hyp/records/vm.ts'
import type { RunLoop } from '../hyp/run/run-loop.ts'
import { THREAD_STEPS } from '../hyp/run/thread-states.ts'
import type { Ghosts } from './ghosts.ts'
import type { Machine } from './machine.ts'

export class Strides {
  private readonly hypervisor: Hypervisor
  private readonly runLoop: RunLoop
  private readonly guest: Guest
  private readonly ghosts: Ghosts
  private readonly words: Int32Array
  private readonly now: number
  /** Whether there is no other vCPU, for which steps of this one could be of interest. */
  private readonly isAlone: boolean
  /** Whether the stride's last step may have made something due. */
  private isOver = false

  constructor(private readonly machine: Machine) {
    this.hypervisor = machine.hypervisor
    this.runLoop = machine.hypervisor.runLoop
    this.guest = machine.hypervisor.guest
    this.ghosts = machine.ghosts
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
    this.isOver = false
    while (taken < most && !this.isOver) {
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
    if (this.words[v + VCPU_PE] === 0) return 0
    if (this.runLoop.isInGuest(v)) return this.takeGuest(v, most)
    return this.takeEntry(v, most) || this.takeExit(v, most) || this.takeThreadSteps(v, most)
  }

  /** Steps of the guest, and if it exits and nobody else is there, the way out. */
  private takeGuest(v: Vcpu, most: number): number {
    const taken = this.takeGuestSteps(v, most)
    return this.isAlone && taken > 0 ? taken + this.takeExit(v, most - taken) : taken
  }

  private takeEntry(v: Vcpu, most: number): number {
    const { runLoop } = this
    if (runLoop.entryRows > most || !runLoop.entersAtOnce(v)) return 0
    pass(this.words, this.now, runLoop.entryRows)
    return runLoop.entryRows
  }

  private takeExit(v: Vcpu, most: number): number {
    const { runLoop } = this
    if (runLoop.exitRows > most || !this.concernsNobody(v) || !runLoop.exitsAtOnce(v)) return 0
    pass(this.words, this.now, runLoop.exitRows)
    return runLoop.exitRows
  }

  /** Steps of the thread, one by one, up to where it may enter the guest or has left it. */
  private takeThreadSteps(v: Vcpu, most: number): number {
    const { words, now, runLoop, ghosts } = this
    const bound = this.isAlone ? most : 1
    let taken = 0
    while (taken < bound && runLoop.threadState(v) === THREAD_STEPS) {
      tick(words, now)
      ghosts.stepThread(v)
      taken++
      if (words[v + VCPU_PC] === runLoop.head) break
    }
    return taken
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
   * Steps of the guest up to its exit; up to where it waits in its PE, or programs a timer. One step where there are other
   * vCPUs: it may have sent them an event, or deactivated what the host waits for.
   */
  private takeGuestSteps(v: Vcpu, most: number): number {
    const { words, runLoop, guest, ghosts } = this
    if (guest.isWaiting(v)) return 0
    const program = this.hypervisor.setup.guests[words[v + VCPU_INDEX]]
    const { ops } = program
    let op = ops[OP_WORDS * words[v + GUEST_PC]]
    if (programsTimer(op)) return this.programTimer(v)
    const pe = peOf(words, v)
    const bound = this.isAlone ? most : 1
    let taken = 0
    let result = GUEST_RUNS
    while (taken < bound && result === GUEST_RUNS && !programsTimer(op)) {
      result = ghosts.stepProgram(v, program, op)
      taken++
      op = ops[OP_WORDS * words[v + GUEST_PC]]
    }
    ghosts.recordVmcr(v, pe)
    pass(words, this.now, taken)
    if (result > 0) runLoop.exit(v, result - 1)
    return taken
  }

  /** A step of the guest that may program a timer: by the time that it is, and the timer may be due soon. */
  private programTimer(v: Vcpu): number {
    tick(this.words, this.now)
    this.ghosts.stepGuest(v)
    this.isOver = true
    return 1
  }
}

const programsTimer = (op: number): boolean => op === OP_TIMER || op === OP_WFIT
