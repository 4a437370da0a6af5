/**
 * The vCPU run loop: does the steps of a compiled design for a vCPU's thread. Each step is atomic; between two
 * steps anything else may happen. `perform` is the list of all steps with what they do. `step` does one of
 * them; `run` does as many as it can without anybody else, and the frequent sequences at once: a
 * superinstruction stands for a run of rows that the table has exactly so, and does the same.
 */
import { ICC_ASGI1R_EL1, ICC_DIR_EL1, ICC_SGI0R_EL1, ICC_SGI1R_EL1 } from '../arch/icc.ts'
import { HCR_TDIR } from '../arch/ich.ts'
import { sysregSyndrome } from '../arch/syndrome.ts'
import { HCR_EL2_FMO, HCR_EL2_IMO, HCR_EL2_TWE, HCR_EL2_TWI, PCPU_DAIF, type Pcpu } from '../gic/pcpu.ts'
import type { ApLists } from './ap-list.ts'
import type { ArchTimers } from './arch-timer.ts'
import { COST_EXITS, COST_STRIDE } from './cost.ts'
import { ENDED, type Program, TABLE_FUSED, TABLE_SHIFT } from './design.ts'
import { FUSED_ENTRY, FUSED_EXIT, FUSED_HALT, FUSED_LAST, FUSED_YES_1, FUSED_YES_2, fuse } from './fuse.ts'
import { GUEST_PC } from './guest.ts'
import type { Halt } from './halt.ts'
import type { OnSpin } from './on-spin.ts'
import type { OwnSteps } from './own-steps.ts'
import type { Scheduler } from './scheduler.ts'
import type { Seam } from './seam.ts'
import { sendSgi } from './sgi.ts'
import * as op from './steps.ts'
import {
  MODE_IN_GUEST,
  MODE_OUTSIDE,
  REQ_SIGNAL,
  REQ_UNHALT,
  TASK_BLOCKED,
  TASK_OFF,
  TASK_RUNNING,
  TASK_SLEEPING,
  VCPU_COST,
  VCPU_DAIF,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_EXIT,
  VCPU_HOST_IRQ,
  VCPU_IRQS_OFF,
  VCPU_LOADED,
  VCPU_MODE,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  VCPU_PREEMPT_OFF,
  VCPU_REQUESTS,
  VCPU_SLEEPS,
  VCPU_TASK,
  VCPU_WAITING,
  VCPU_WFIT,
} from './vcpu.ts'
import type { VgicV3 } from './vgic-v3.ts'

/** Virtual interrupts to EL1, and WFI and WFE trapped. */
const GUEST_HCR_EL2 = HCR_EL2_IMO | HCR_EL2_FMO | HCR_EL2_TWI | HCR_EL2_TWE

const ESR_SGI1R = sysregSyndrome(ICC_SGI1R_EL1, false) | 0
const ESR_SGI0R = sysregSyndrome(ICC_SGI0R_EL1, false) | 0
const ESR_ASGI1R = sysregSyndrome(ICC_ASGI1R_EL1, false) | 0
const ESR_DIR = sysregSyndrome(ICC_DIR_EL1, false) | 0

/** What a vCPU's thread can do next. */
export const THREAD_STEPS = 0
/** It is in the guest: the guest's step is next. */
export const THREAD_IN_GUEST = 1
/** It sleeps until it is woken. */
export const THREAD_SLEEPS = 2
/** It waits for a PE. */
export const THREAD_WAITS_FOR_CPU = 3
export const THREAD_ENDED = 4

/** Where a fused halt ends. */
const HALT_SLEEPS = 0
const HALT_POLLS = 1
const HALT_ENDS = 2

/** What the run loop's steps are made of. */
export interface RunLoopParts {
  readonly seam: Seam
  readonly apLists: ApLists
  readonly vgic: VgicV3
  readonly timers: ArchTimers
  readonly scheduler: Scheduler
  readonly halt: Halt
  readonly onSpin: OnSpin
  readonly own: OwnSteps
}

export class RunLoop {
  readonly words: Int32Array
  readonly table: Int32Array
  readonly head: number
  readonly pcpu: Pcpu
  readonly seam: Seam
  readonly apLists: ApLists
  readonly vgic: VgicV3
  readonly timers: ArchTimers
  readonly scheduler: Scheduler
  readonly halt: Halt
  readonly onSpin: OnSpin
  readonly own: OwnSteps
  readonly costTable: number

  constructor(
    readonly program: Program,
    parts: RunLoopParts,
  ) {
    this.words = parts.seam.words
    this.table = fuse(program)
    this.head = program.head
    this.pcpu = parts.seam.silicon.pcpu
    this.seam = parts.seam
    this.apLists = parts.apLists
    this.vgic = parts.vgic
    this.timers = parts.timers
    this.scheduler = parts.scheduler
    this.halt = parts.halt
    this.onSpin = parts.onSpin
    this.own = parts.own
    this.costTable = parts.apLists.place.costTable
  }

  /** A THREAD_ value. */
  threadState(v: number): number {
    const { words } = this
    const pc = words[v + VCPU_PC]
    if (pc === ENDED) return THREAD_ENDED
    const pe = words[v + VCPU_PE]
    if (pe === 0) return words[v + VCPU_TASK] === TASK_BLOCKED ? THREAD_SLEEPS : THREAD_WAITS_FOR_CPU
    if (words[v + VCPU_NOTIFIER] !== 0 || this.table[pc << TABLE_SHIFT] !== op.STEP_GUEST) return THREAD_STEPS
    return this.pcpu.isInGuest(pe) ? THREAD_IN_GUEST : THREAD_STEPS
  }

  /** Does the next step of a vCPU's thread, or of its notifier, and returns its result. */
  step(v: number): number {
    const { words, table } = this
    const notifier = words[v + VCPU_NOTIFIER]
    const at = (notifier !== 0 ? notifier : words[v + VCPU_PC]) << TABLE_SHIFT
    const next = table[at]
    if (next === op.STEP_SLEEP && words[v + VCPU_TASK] === TASK_SLEEPING) {
      this.block(v)
      return 0
    }
    const result = this.perform(next, v)
    if (notifier !== 0) words[v + VCPU_NOTIFIER] = table[at + 1 + result]
    else if (next !== op.STEP_GUEST) words[v + VCPU_PC] = table[at + 1 + result]
    return result
  }

  /**
   * Runs a vCPU's thread until it is in the guest, sleeps, has ended, or has dealt with an exit and is about to
   * enter again. Returns its THREAD_ state.
   */
  run(v: number): number {
    const { words, table, head } = this
    while (words[v + VCPU_NOTIFIER] !== 0) this.step(v)
    if (words[v + VCPU_PE] === 0) return this.threadState(v)
    let pc = words[v + VCPU_PC]
    do {
      const at = pc << TABLE_SHIFT
      const fused = table[at + TABLE_FUSED]
      if (fused === FUSED_ENTRY) {
        if (words[v + VCPU_REQUESTS] & REQ_SIGNAL) {
          pc = table[at + FUSED_YES_1]
          continue
        }
        if (this.fusedEntry(v)) {
          words[v + VCPU_PC] = table[at + FUSED_LAST]
          return THREAD_IN_GUEST
        }
        pc = table[at + FUSED_YES_2]
        continue
      }
      if (fused === FUSED_EXIT) {
        const reason = this.fusedExit(v)
        pc = table[(table[at + FUSED_LAST] << TABLE_SHIFT) + 1 + reason]
        continue
      }
      if (fused === FUSED_HALT) {
        const state = this.fusedHalt(v)
        if (state === HALT_SLEEPS) {
          words[v + VCPU_PC] = table[at + FUSED_LAST]
          return this.sleep(v)
        }
        pc = table[at + (state === HALT_POLLS ? FUSED_YES_1 : FUSED_YES_2)]
        continue
      }
      const next = table[at]
      if (next === op.STEP_SLEEP && words[v + VCPU_TASK] === TASK_SLEEPING) {
        words[v + VCPU_PC] = pc
        return this.sleep(v)
      }
      const result = this.perform(next, v)
      if (next === op.STEP_GUEST) {
        words[v + VCPU_PC] = pc
        return THREAD_IN_GUEST
      }
      pc = table[at + 1 + result]
    } while (pc !== head && pc !== ENDED)
    words[v + VCPU_PC] = pc
    return pc === ENDED ? THREAD_ENDED : THREAD_STEPS
  }

  private sleep(v: number): number {
    this.block(v)
    while (this.words[v + VCPU_NOTIFIER] !== 0) this.step(v)
    return this.threadState(v)
  }

  /** Rows of {@link FUSED_ENTRY}; false if a request came in between, before the guest is entered. */
  private fusedEntry(v: number): boolean {
    const { words } = this
    words[v + VCPU_REQUESTS] &= REQ_SIGNAL
    words[v + VCPU_PREEMPT_OFF]++
    words[v + VCPU_IRQS_OFF] = 1
    this.vgic.flush(v)
    words[v + VCPU_MODE] = MODE_IN_GUEST
    if (words[v + VCPU_REQUESTS] !== 0) return false
    this.enterGuest(v)
    return true
  }

  /** Rows of {@link FUSED_EXIT}; returns the result of the last of them, the reason of the exit. */
  private fusedExit(v: number): number {
    const { words } = this
    words[v + VCPU_MODE] = MODE_OUTSIDE
    this.vgic.fold(v)
    this.timers.sync(v)
    this.irqOn(v)
    words[v + VCPU_PREEMPT_OFF]--
    return this.takeExitReason(v)
  }

  /** Rows of {@link FUSED_HALT}: whether the thread sleeps now, is to poll first, or is runnable. */
  private fusedHalt(v: number): number {
    this.halt.begin(v)
    if (this.halt.pollAgain(v)) return HALT_POLLS
    this.words[v + VCPU_TASK] = TASK_SLEEPING
    return this.halt.checkBlock(v) ? HALT_ENDS : HALT_SLEEPS
  }

  /** The guest leaves: an exception to EL2 for an EXIT_ reason. The thread goes on after `guest`. */
  exit(v: number, reason: number): void {
    const { words, table } = this
    const pe = words[v + VCPU_PE]
    const cost = this.costTable + reason * COST_STRIDE
    words[v + VCPU_COST] = cost
    words[cost + COST_EXITS]++
    words[v + VCPU_EXIT] = reason
    words[v + VCPU_DAIF] = words[pe + PCPU_DAIF]
    this.pcpu.leaveGuest(pe)
    words[v + VCPU_PC] = table[(words[v + VCPU_PC] << TABLE_SHIFT) + 1]
  }

  private perform(step: number, v: number): number {
    const { words } = this
    switch (step) {
      case op.STEP_LOAD:
        this.load(v)
        return 0
      case op.STEP_LOAD_UNLESS_WAITING:
        if (words[v + VCPU_WAITING] === 0) this.load(v)
        return 0
      case op.STEP_TRAP_DIR:
        this.seam.writeHcr(v, words[v + VCPU_PE], HCR_TDIR)
        return 0
      case op.STEP_TIMER_LOAD:
        this.timers.load(v)
        return 0
      case op.STEP_PUT:
        if (words[v + VCPU_LOADED] !== 0) this.vgic.put(v)
        return 0
      case op.STEP_HANDLE_REQUESTS:
        words[v + VCPU_REQUESTS] &= REQ_SIGNAL
        return 0
      case op.STEP_PREEMPT_OFF:
        words[v + VCPU_PREEMPT_OFF]++
        return 0
      case op.STEP_PREEMPT_ON:
        words[v + VCPU_PREEMPT_OFF]--
        return 0
      case op.STEP_IRQ_OFF:
        words[v + VCPU_IRQS_OFF] = 1
        return 0
      case op.STEP_IRQ_ON:
        this.irqOn(v)
        return 0
      case op.STEP_FLUSH:
        this.vgic.flush(v)
        return 0
      case op.STEP_FLUSH_ACTIVE_FIRST:
        this.vgic.flushActiveFirst(v)
        return 0
      case op.STEP_FOLD:
        this.vgic.fold(v)
        return 0
      case op.STEP_FOLD_IGNORING_EOI_COUNT:
        this.vgic.foldIgnoringEoiCount(v)
        return 0
      case op.STEP_TIMER_SYNC:
        this.timers.sync(v)
        return 0
      case op.STEP_PUBLISH_IN_GUEST:
        words[v + VCPU_MODE] = MODE_IN_GUEST
        return 0
      case op.STEP_PUBLISH_OUTSIDE:
        words[v + VCPU_MODE] = MODE_OUTSIDE
        return 0
      case op.STEP_REQUEST_PENDING:
        return words[v + VCPU_REQUESTS] !== 0 ? 1 : 0
      case op.STEP_SIGNAL_PENDING:
        return words[v + VCPU_REQUESTS] & REQ_SIGNAL ? 1 : 0
      case op.STEP_GUEST:
        this.enterGuest(v)
        return 0
      case op.STEP_EXIT_REASON:
        return this.takeExitReason(v)
      case op.STEP_SKIP_INSTRUCTION:
        words[v + GUEST_PC]++
        words[v + VCPU_ESR] = 0
        words[v + VCPU_WFIT] = 0
        return 0
      case op.STEP_EMULATE_SYSREG:
        this.emulateSysreg(v)
        return 0
      case op.STEP_USERSPACE:
        words[v + VCPU_REQUESTS] &= ~REQ_SIGNAL
        return 0
      case op.STEP_SET_WAITING:
        words[v + VCPU_WAITING] = 1
        return 0
      case op.STEP_CLEAR_WAITING:
        words[v + VCPU_WAITING] = 0
        return 0
      case op.STEP_SAVE_VMCR:
        if (words[v + VCPU_LOADED] !== 0) this.vgic.saveVmcr(v)
        return 0
      case op.STEP_RUNNABLE:
        return this.halt.checkBlock(v) ? 1 : 0
      case op.STEP_RUNNABLE_ON_DEMAND:
        this.halt.readMaskOnDemand(v, words[v + VCPU_PE])
        return this.halt.checkBlock(v) ? 1 : 0
      case op.STEP_NOT_LOADED:
        return words[v + VCPU_LOADED] === 0 ? 1 : 0
      case op.STEP_POLL_BEGIN:
        this.halt.begin(v)
        return 0
      case op.STEP_POLL_AGAIN:
        return this.halt.pollAgain(v) ? 1 : 0
      case op.STEP_POLL_END:
        this.halt.end(v)
        return 0
      case op.STEP_CLEAR_UNHALT:
        words[v + VCPU_REQUESTS] &= ~REQ_UNHALT
        return 0
      case op.STEP_SET_SLEEPING:
        words[v + VCPU_TASK] = TASK_SLEEPING
        return 0
      case op.STEP_SET_RUNNING:
        words[v + VCPU_TASK] = TASK_RUNNING
        return 0
      case op.STEP_SLEEP:
        return 0
      case op.STEP_NO_CANDIDATE:
        return this.onSpin.next(v) ? 0 : 1
      case op.STEP_CANDIDATE_BLOCKED:
        return this.onSpin.isBlocked(v) ? 1 : 0
      case op.STEP_DY_RUNNABLE:
        return this.onSpin.isBlocked(v) && this.halt.runnable(this.onSpin.candidate(v)) ? 1 : 0
      case op.STEP_CANDIDATE_RUNNABLE:
        return this.halt.runnable(this.onSpin.candidate(v)) ? 1 : 0
      case op.STEP_YIELD_TO:
        this.onSpin.yieldTo(v)
        return 0
      case op.STEP_STOP:
        words[v + VCPU_TASK] = TASK_OFF
        this.scheduler.release(v)
        return 0
      case op.STEP_GIVE_UP_CPU:
        if (words[v + VCPU_TASK] === TASK_BLOCKED) this.timers.startBackground(v)
        this.scheduler.release(v)
        return 0
      case op.STEP_RESUME:
        return 0
      default:
        return this.own.perform(step, v)
    }
  }

  /** schedule() of a thread that has announced its sleep: it is off the run queue, and loses its PE. */
  private block(v: number): void {
    this.words[v + VCPU_SLEEPS]++
    this.words[v + VCPU_TASK] = TASK_BLOCKED
    this.scheduler.switchOut(v)
  }

  private load(v: number): void {
    const { words } = this
    if (words[v + VCPU_LOADED] !== 0) return
    this.seam.writeHcrEl2(words[v + VCPU_PE], GUEST_HCR_EL2)
    this.vgic.load(v)
  }

  private enterGuest(v: number): void {
    const { words } = this
    const pe = words[v + VCPU_PE]
    words[pe + PCPU_DAIF] = words[v + VCPU_DAIF]
    words[v + VCPU_DAIF] = 0
    this.pcpu.enterGuest(pe)
  }

  /** The host takes what is pending for it on this PE: a kick's IPI, its tick, the guest's timers. */
  private irqOn(v: number): void {
    const { words } = this
    words[v + VCPU_IRQS_OFF] = 0
    words[v + VCPU_HOST_IRQ] = 0
    if (this.timers.present) this.timers.takeInterrupts(v)
  }

  private takeExitReason(v: number): number {
    const reason = this.words[v + VCPU_EXIT]
    this.words[v + VCPU_EXIT] = 0
    return reason
  }

  private emulateSysreg(v: number): void {
    const { words, apLists } = this
    const esr = words[v + VCPU_ESR]
    const [low, high] = [words[v + VCPU_DATA], words[v + VCPU_DATA + 1]]
    if (esr === ESR_SGI1R || esr === ESR_SGI0R || esr === ESR_ASGI1R) {
      sendSgi(apLists, v, low, high, esr === ESR_SGI1R)
    } else if (esr === ESR_DIR) {
      this.vgic.deactivateByDir(v, low & this.seam.virtualInterface.intidMask)
    }
    words[v + VCPU_DATA] = 0
    words[v + VCPU_DATA + 1] = 0
  }
}
