/**
 * A stride: steps of one vCPU, one after another, that the scheduling policy would choose whatever it is asked, since
 * nobody else can take one and nothing is due. They are the steps that the policy would have chosen, and virtual time
 * passes as if each had been taken alone. With one vCPU they are taken as the run loop takes them, by superinstructions,
 * and expiries of its timers are among them; with others, only the way into the guest and out of it is.
 */
import { GUEST_RUNS, type Guest } from '../hyp/guest/guest.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import type { GuestProgram } from '../hyp/records/guest-program.ts'
import {
  peOf,
  VCPU_AP_COUNT,
  VCPU_INDEX,
  VCPU_LAST_CPU,
  VCPU_PC,
  VCPU_PE,
  VCPU_USED_LRS,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { NEVER, pass, setTime, tick, timeOf } from '../hyp/records/virtual-time.ts'
import { VM_TIME } from '../hyp/records/vm.ts'
import { CountedRows } from '../hyp/run/counted-rows.ts'
import type { RunLoop } from '../hyp/run/run-loop.ts'
import { THREAD_STEPS } from '../hyp/run/thread-states.ts'
import type { ArchTimers } from '../hyp/vgic/arch-timer.ts'
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
  /** Steps that are left until something is due, of those that are being taken. */
  private left = 0
  /** The timer that will expire first, -1 if none will, and when it is due: as of the last {@link findTimer}. */
  private timer = -1
  private timerDue = NEVER

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
   * 0 if its next step is one for the policy. The first device is due at `devicesDue`, the first timer at `timersDue`. The
   * timers of a vCPU that has no other beside it expire in its stride.
   */
  take(v: Vcpu, most: number, devicesDue: number, timersDue: number): number {
    if (this.isAlone) return this.takeAlone(v, most, devicesDue)
    return this.takeBesideOthers(v, this.stepsUntil(Math.min(devicesDue, timersDue), most))
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

  /** How many steps there are until a moment, at most `most`; 0 if it has come. */
  private stepsUntil(due: number, most: number): number {
    const left = due - timeOf(this.words, this.now)
    return left < most ? Math.max(left, 0) | 0 : most
  }

  private takeAlone(v: Vcpu, most: number, devicesDue: number): number {
    let taken = 0
    while (taken < most) {
      taken += this.takeUntilDue(v, most - taken, devicesDue)
      if (taken === most) break
      const expiries = this.takeExpiry(v, devicesDue)
      if (expiries === 0) break
      taken += expiries
    }
    return taken
  }

  /** Steps of the only vCPU, until something is due. */
  private takeUntilDue(v: Vcpu, most: number, devicesDue: number): number {
    this.findTimer(v)
    this.left = this.stepsUntil(Math.min(this.timerDue, devicesDue), most)
    let taken = 0
    let steps = 1
    while (steps > 0 && this.left > 0) {
      steps = this.takeSome(v, this.left)
      taken += steps
      this.left -= steps
    }
    return taken
  }

  /** Steps of a vCPU that has a PE, or one by which it gets one. */
  private takeSome(v: Vcpu, most: number): number {
    if (this.words[v + VCPU_PE] === 0) return this.switchIn(v)
    if (this.runLoop.isInGuest(v)) return this.guest.isWaiting(v) ? 0 : this.takeOnCpu(v, most, true)
    return this.takeOnCpu(v, most, false) || this.takeThreadStep(v)
  }

  /**
   * Lets the first timer expire: one that is due, or if the vCPU can do nothing until then, one to whose deadline time
   * advances.
   */
  private takeExpiry(v: Vcpu, devicesDue: number): number {
    const { words, now, timers } = this
    this.findTimer(v)
    const time = timeOf(words, now)
    if (this.timer < 0 || Math.max(this.timerDue, time) >= devicesDue) return 0
    if (this.timerDue > time) {
      if (this.machine.isReady(v) || this.hasUntimedDevice()) return 0
      setTime(words, now, this.timerDue)
    }
    tick(words, now)
    timers.expire(v, this.timer)
    return 1
  }

  /** Finds the timer that will expire first. */
  private findTimer(v: Vcpu): void {
    const { timers } = this
    this.timer = timers.first(v)
    this.timerDue = this.timer < 0 ? NEVER : timers.deadline(v, this.timer)
  }

  /** Whether there is a device that acts once no vCPU can go on. */
  private hasUntimedDevice(): boolean {
    const { devices, deviceSteps } = this.machine
    for (let i = 0; i < devices.length; i++) {
      const next = deviceSteps.next(i)
      if (next && next.notBefore === undefined) return true
    }
    return false
  }

  /** A thread that waits for its PE, which nobody else has, gets it. */
  private switchIn(v: Vcpu): number {
    const { words, hypervisor, machine } = this
    if (!hypervisor.scheduler.wantsCpu(v) || !machine.isReady(v)) return 0
    tick(words, this.now)
    hypervisor.scheduler.switchIn(v, words[v + VCPU_LAST_CPU])
    return 1
  }

  private takeBesideOthers(v: Vcpu, most: number): number {
    let taken = 0
    this.left = most
    while (this.left > 0) {
      const steps = this.takeBeside(v, this.left)
      if (steps === 0) break
      taken += steps
      this.left -= steps
      if (!this.othersRest(v)) break
    }
    return taken
  }

  /**
   * One step, or the way into the guest or out of it: other steps may concern other vCPUs. A guest may send them an event,
   * or deactivate what the host waits for.
   */
  private takeBeside(v: Vcpu, most: number): number {
    if (this.words[v + VCPU_PE] === 0) return 0
    if (this.runLoop.isInGuest(v)) return this.guest.isWaiting(v) ? 0 : this.takeOnCpu(v, 1, true)
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
   * Steps of the guest up to where it waits in its PE, its exits, and the superinstructions of its thread that lead out of the
   * guest and into it again; at most `most`, and none once a timer is due that the guest has programmed meanwhile. 0 if no
   * superinstruction begins where the thread is.
   */
  private takeOnCpu(v: Vcpu, most: number, startsInGuest: boolean): number {
    const { words, now, ghosts, guest, runLoop } = this
    const program = this.guests[words[v + VCPU_INDEX]]
    const pe = peOf(words, v)
    let taken = 0
    let passed = 0
    let end = most
    let isInGuest = startsInGuest
    let isRecorded = !startsInGuest
    for (;;) {
      if (isInGuest === true) {
        if (taken >= end) break
        taken += guest.run(v, program, end - taken, taken - passed)
        isRecorded = false
        if (guest.wasTimed === true) {
          passed = taken
          end = this.endWithTimers(v, taken, end)
        }
        const { result } = guest
        if (result === GUEST_RUNS) continue
        const rows = result > 0 ? this.exit(v, result - 1, end - taken) : 0
        if (rows === 0) break
        taken += rows
      }
      if (words[v + VCPU_PC] !== runLoop.entryPc) {
        if (ghosts.mayEndEdges(v) === true) break
        if (!isRecorded) ghosts.recordVmcr(v, pe)
        isRecorded = true
        // A halt looks at the time when it begins.
        pass(words, now, taken - passed)
        taken += this.countedRows.take(v, end - taken)
        passed = taken
      }
      if (runLoop.entryRows <= end - taken && runLoop.entersAtOnce(v) === true) {
        taken += runLoop.entryRows
        isInGuest = true
        continue
      }
      isInGuest = runLoop.isInGuest(v)
      if (isInGuest === false) break
    }
    // No superinstruction between the guest's steps writes ICH_VMCR_EL2, so that once is enough for all of them.
    if (!isRecorded) ghosts.recordVmcr(v, pe)
    pass(words, now, taken - passed)
    return taken
  }

  /**
   * The guest may have programmed a timer, in the last of the steps taken: how many there are until one is due, at most
   * `end`.
   */
  private endWithTimers(v: Vcpu, taken: number, end: number): number {
    this.findTimer(v)
    const due = taken + this.stepsUntil(this.timerDue, this.left - taken)
    this.left = Math.min(this.left, due)
    return Math.min(end, due)
  }

  /** The guest exits; with room for the way out and the next one in, up to the question why. Returns the rows of that. */
  private exit(v: Vcpu, reason: number, most: number): number {
    const { runLoop } = this
    if (runLoop.exitRows + runLoop.entryRows <= most) return runLoop.leaveAtOnce(v, reason)
    runLoop.exit(v, reason)
    return 0
  }
}
