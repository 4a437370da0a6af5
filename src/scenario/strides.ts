/**
 * A stride: steps of one vCPU, one after another, that the scheduling policy would choose whatever it is asked, since
 * nobody else can take one and nothing is due. They are the steps that the policy would have chosen, and virtual time
 * passes as if each had been taken alone. With one vCPU they are taken as the run loop takes them, by superinstructions;
 * with others, only the way into the guest and out of it is.
 */
import { GUEST_RUNS, type Guest } from '../hyp/guest/guest.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { type GuestProgram, OP_ACK, OP_TIMER, OP_WFIT, OP_WORDS } from '../hyp/records/guest-program.ts'
import { GUEST_PC } from '../hyp/records/guest-record.ts'
import {
  peOf,
  VCPU_AP_COUNT,
  VCPU_INDEX,
  VCPU_LAST_CPU,
  VCPU_PE,
  VCPU_USED_LRS,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { pass, tick, timeOf } from '../hyp/records/virtual-time.ts'
import { VM_TIME } from '../hyp/records/vm.ts'
import { CountedRows } from '../hyp/run/counted-rows.ts'
import type { RunLoop } from '../hyp/run/run-loop.ts'
import { THREAD_STEPS } from '../hyp/run/thread-states.ts'
import { type ArchTimers, TIMER_WFIT } from '../hyp/vgic/arch-timer.ts'
import type { Ghosts } from './ghosts.ts'
import type { Machine } from './machine.ts'

export class Strides {
  private readonly hypervisor: Hypervisor
  private readonly runLoop: RunLoop
  private readonly guest: Guest
  private readonly ghosts: Ghosts
  private readonly timers: ArchTimers
  private readonly countedRows: CountedRows
  private readonly guests: readonly GuestProgram[]
  private readonly words: Int32Array
  private readonly now: number
  /** Whether there is no other vCPU, for which steps of this one could be of interest. */
  private readonly isAlone: boolean
  /** Steps that are left of a stride. */
  private left = 0

  constructor(private readonly machine: Machine) {
    this.hypervisor = machine.hypervisor
    this.runLoop = machine.hypervisor.runLoop
    this.guest = machine.hypervisor.guest
    this.ghosts = machine.ghosts
    this.timers = machine.hypervisor.timers
    this.countedRows = new CountedRows(machine.hypervisor.runLoop)
    this.guests = machine.setup.guests
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
    this.left = most
    while (this.left > 0) {
      const steps = this.isAlone ? this.takeAlone(v, this.left) : this.takeBesideOthers(v, this.left)
      if (steps === 0) break
      taken += steps
      this.left -= steps
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

  /** Steps of the guest, its exit and the next entry; or a superinstruction, or else a step of the thread. */
  private takeAlone(v: Vcpu, most: number): number {
    if (this.runLoop.isInGuest(v)) return this.takeGuestSteps(v, most)
    if (this.words[v + VCPU_PE] === 0) return this.switchIn(v)
    const taken = this.ghosts.mayEndEdges(v) ? 0 : this.countedRows.take(v, most)
    return taken > 0 ? taken : this.takeThreadStep(v)
  }

  /** A thread that waits for its PE, which nobody else has, gets it. */
  private switchIn(v: Vcpu): number {
    const { words, hypervisor, machine } = this
    if (!machine.isReady(v)) return 0
    tick(words, this.now)
    hypervisor.scheduler.switchIn(v, words[v + VCPU_LAST_CPU])
    return 1
  }

  /**
   * One step, or the way into the guest or out of it: other steps may concern other vCPUs. A guest may send them an event,
   * or deactivate what the host waits for.
   */
  private takeBesideOthers(v: Vcpu, most: number): number {
    if (this.words[v + VCPU_PE] === 0) return 0
    if (this.runLoop.isInGuest(v)) return this.takeGuestSteps(v, 1)
    return this.takeEntry(v, most) || this.takeExit(v, most) || this.takeThreadStep(v)
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

  private takeThreadStep(v: Vcpu): number {
    if (this.runLoop.threadState(v) !== THREAD_STEPS) return 0
    tick(this.words, this.now)
    this.ghosts.stepThread(v)
    return 1
  }

  /** Whether an exit cannot give an interrupt to another vCPU, which would have something to do before its last step. */
  private concernsNobody(v: Vcpu): boolean {
    const { words, guest } = this
    return words[v + VCPU_AP_COUNT] === 0 && words[v + VCPU_USED_LRS] === 0 && !guest.isInterrupted(v)
  }

  /**
   * Steps of the guest up to where it waits in its PE, or to one that may program a timer; and its exits, for as long as
   * superinstructions lead out of the guest and into it again.
   */
  private takeGuestSteps(v: Vcpu, most: number): number {
    const { words, ghosts, guest, runLoop } = this
    if (guest.isWaiting(v)) return 0
    const program = this.guests[words[v + VCPU_INDEX]]
    const pe = peOf(words, v)
    let taken = 0
    let isInGuest = true
    while (isInGuest && taken < most) {
      const steps = this.runGuest(v, program, most - taken)
      if (steps === 0) break
      taken += steps
      const { result } = guest
      if (result === GUEST_RUNS) continue
      ghosts.recordVmcr(v, pe)
      const rows = result > 0 ? this.exit(v, result - 1, most - taken) : 0
      isInGuest = rows > 0 && runLoop.entersAtOnce(v)
      taken += isInGuest ? rows + runLoop.entryRows : rows
    }
    if (isInGuest) ghosts.recordVmcr(v, pe)
    pass(words, this.now, taken)
    return taken > 0 ? taken : this.programTimer(v)
  }

  /** Steps of the guest of which the ghosts keep nothing, or one that acknowledges; none before one with a timer. */
  private runGuest(v: Vcpu, program: GuestProgram, most: number): number {
    const { words, guest, ghosts } = this
    const steps = guest.run(v, program, most, WATCHED)
    if (steps > 0 || program.ops[OP_WORDS * words[v + GUEST_PC]] !== OP_ACK) return steps
    guest.result = ghosts.stepAcknowledge(v, program)
    return 1
  }

  /** The guest exits; with room for the way out and the next one in, up to the question why. Returns the rows of that. */
  private exit(v: Vcpu, reason: number, most: number): number {
    const { runLoop } = this
    if (runLoop.exitRows + runLoop.entryRows <= most) return runLoop.leaveAtOnce(v, reason)
    runLoop.exit(v, reason)
    return 0
  }

  /** A step of the guest that may program a timer: by the time that it is. The stride ends when a timer is due. */
  private programTimer(v: Vcpu): number {
    const { words, now, timers } = this
    tick(words, now)
    this.ghosts.stepGuest(v)
    for (let timer = 0; timer <= TIMER_WFIT; timer++) {
      if (!timers.isArmed(v, timer)) continue
      this.left = Math.min(this.left, 1 + timers.deadline(v, timer) - timeOf(words, now))
    }
    return 1
  }
}

/** A bit for each operation that a guest does not take with others: its time, or the edge that it takes, counts. */
const WATCHED = (1 << OP_ACK) | (1 << OP_TIMER) | (1 << OP_WFIT)
