/**
 * The vCPU run loop: does the steps of a compiled design for a vCPU's thread. Each step is atomic; between two
 * steps anything else may happen. thread-steps.ts has what each of them does. `step` does one; `run` does as many
 * as it can without anybody else, and the frequent sequences at once: a superinstruction stands for a run of rows
 * that the table has exactly so, and does the same.
 */

import { VgicError } from '../../errors/vgic-error.ts'
import { LINE_IRQ, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import { returnFromEl2, takeExceptionToEl2 } from '../../gic/cpu-interface/pcpu.ts'
import { COST_EXITS, COST_STRIDE } from '../records/cost-row.ts'
import {
  MODE_IN_GUEST,
  REQ_SIGNAL,
  REQ_SLEEP,
  REQ_UNHALT,
  TASK_BLOCKED,
  TASK_RUNNING,
  TASK_SLEEPING,
  THREAD_IRQS_OFF,
  THREAD_MODE,
  THREAD_REQUESTS,
  THREAD_WAITING,
  taskOf,
  VCPU_AP_COUNT,
  VCPU_COST,
  VCPU_EXIT,
  VCPU_LOADED,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_USED_LRS,
  withPreemptOff,
  withPreemptOn,
  withTask,
} from '../records/vcpu.ts'
import { MMIO_DONE } from '../vgic/vgic-mmio.ts'
import { ENDED, type Program, TABLE_FUSED, TABLE_SHIFT } from './program.ts'
import { performStep } from './step-dispatch.ts'
import * as op from './step-numbers.ts'
import {
  FUSED_AFTER_HALT,
  FUSED_ELSE_1,
  FUSED_ELSE_2,
  FUSED_ENTRY,
  FUSED_EXIT,
  FUSED_LAST,
  FUSED_LOAD_AFTER_HALT,
  FUSED_MMIO,
  FUSED_NEXT,
  FUSED_POLL,
  FUSED_PUT_FOR_HALT,
  FUSED_SAVE_VMCR,
  FUSED_SCHED_IN,
  FUSED_SCHED_IN_WAITING,
  FUSED_SCHED_OUT,
  FUSED_SLEEP,
  FUSED_SYSREG,
  FUSED_WAKE,
  fuse,
} from './superinstructions.ts'
import { type StepParts, ThreadSteps } from './thread-steps.ts'

/** What a vCPU's thread can do next. */
export const THREAD_STEPS = 0
/** It is in the guest: the guest's step is next. */
export const THREAD_IN_GUEST = 1
/** It sleeps until it is woken. */
export const THREAD_SLEEPS = 2
/** It waits for a PE. */
export const THREAD_WAITS_FOR_CPU = 3
export const THREAD_ENDED = 4
/** It polls in a halt, and has just looked in vain. Only {@link RunLoop.run} says so: others may act before the next look. */
export const THREAD_POLLS = 5
/** It waits for other vCPUs: to leave the guest, or to let it enter. */
export const THREAD_WAITS_FOR_VCPUS = 6

/** Single steps of a thread without coming to rest, after which it never will. */
const MAX_STEPS = 100_000

export class RunLoop extends ThreadSteps {
  readonly table: Int32Array
  readonly head: number
  private readonly costTable: number
  /** The head of the loop if {@link FUSED_ENTRY} begins there, and where that is in the guest; else -1. */
  private readonly entry: number
  private readonly entered: number
  /** The guest's only row if {@link FUSED_EXIT} follows it, and the table's word of what follows reason 0; else -1. */
  private readonly guest: number
  private readonly reasons: number

  /** Whether the host injects interrupts that it takes: the timers', and those of devices that are the VM's. */
  private readonly injects: boolean

  constructor(
    readonly program: Program,
    parts: StepParts,
  ) {
    super(parts)
    this.injects = parts.timers.present || parts.apLists.place.mappedCount > 0
    this.table = fuse(program)
    this.head = program.head
    this.costTable = parts.apLists.place.costTable
    const { table } = this
    const guests = [...program.steps.keys()].filter((pc) => table[pc << TABLE_SHIFT] === op.STEP_GUEST)
    const exit = table[(guests[0] << TABLE_SHIFT) + 1] << TABLE_SHIFT
    const fusedExit = guests.length === 1 && table[exit + TABLE_FUSED] === FUSED_EXIT
    this.guest = fusedExit ? guests[0] : -1
    this.reasons = fusedExit ? (table[exit + FUSED_LAST] << TABLE_SHIFT) + 1 : -1
    const head = this.head << TABLE_SHIFT
    // A fused entry finds the list registers empty, as a fused exit leaves them.
    if (!fusedExit && table[head + TABLE_FUSED] === FUSED_ENTRY) table[head + TABLE_FUSED] = 0
    this.entry = table[head + TABLE_FUSED] === FUSED_ENTRY ? this.head : -1
    this.entered = this.entry < 0 ? -1 : table[head + FUSED_LAST]
  }

  /** A THREAD_ value. */
  threadState(v: number): number {
    const { words } = this
    const pc = words[v + VCPU_PC]
    if (pc === ENDED) return THREAD_ENDED
    const pe = words[v + VCPU_PE]
    if (pe === 0) return this.offCpu(v)
    const next = this.table[pc << TABLE_SHIFT]
    if (words[v + VCPU_NOTIFIER] !== 0) return THREAD_STEPS
    if (next !== op.STEP_GUEST) return this.stopVm.waits(v, next) ? THREAD_WAITS_FOR_VCPUS : THREAD_STEPS
    return this.pcpu.isInGuest(pe) ? THREAD_IN_GUEST : THREAD_STEPS
  }

  /** Whether a thread that has a PE, or would get one, could do nothing there but wait for other vCPUs. */
  waitsForVcpus(v: number): boolean {
    return this.stopVm.waits(v, this.table[this.words[v + VCPU_PC] << TABLE_SHIFT])
  }

  private offCpu(v: number): number {
    return taskOf(this.words[v + VCPU_THREAD]) === TASK_BLOCKED ? THREAD_SLEEPS : THREAD_WAITS_FOR_CPU
  }

  /** Does the step of a number for a vCPU, whatever its thread is about to do, and returns its result. */
  perform(step: number, v: number): number {
    return performStep(this, step, v)
  }

  /** Does the next step of a vCPU's thread, or of its notifier, and returns its result. */
  step(v: number): number {
    const { words, table } = this
    const notifier = words[v + VCPU_NOTIFIER]
    const at = (notifier !== 0 ? notifier : words[v + VCPU_PC]) << TABLE_SHIFT
    const next = table[at]
    if (next === op.STEP_SLEEP && taskOf(words[v + VCPU_THREAD]) === TASK_SLEEPING) {
      this.block(v)
      return 0
    }
    const result = performStep(this, next, v)
    if (notifier !== 0) words[v + VCPU_NOTIFIER] = table[at + 1 + result]
    else if (next !== op.STEP_GUEST) words[v + VCPU_PC] = table[at + 1 + result]
    return result
  }

  /**
   * Runs a vCPU's thread until it is in the guest, sleeps, has ended, has looked in vain while it polls, or has dealt
   * with an exit and is about to enter again. Returns its THREAD_ state.
   */
  run(v: number): number {
    if (this.words[v + VCPU_NOTIFIER] !== 0) this.notifier(v)
    if (this.words[v + VCPU_PE] === 0) return this.threadState(v)
    return this.runFrom(v, this.words[v + VCPU_PC])
  }

  /** `run` for a thread that is about to enter, most often. */
  enter(v: number): number {
    const { words } = this
    const pe = words[v + VCPU_PE]
    const thread = words[v + VCPU_THREAD]
    const isAtEntry = words[v + VCPU_PC] === this.entry && words[v + VCPU_NOTIFIER] === 0
    if (!isAtEntry || pe === 0 || thread & (REQ_SIGNAL | REQ_SLEEP)) return this.run(v)
    this.fusedEntry(v, pe, thread)
    words[v + VCPU_PC] = this.entered
    return THREAD_IN_GUEST
  }

  /** The guest leaves for an EXIT_ reason, and the thread runs: `exit` and `run` in one. */
  leave(v: number, reason: number): number {
    const { words } = this
    if (words[v + VCPU_PC] !== this.guest) return this.exitAndRun(v, reason)
    const pe = words[v + VCPU_PE]
    this.leaveGuest(v, pe, reason)
    this.fusedExit(v, pe)
    const pc = this.table[this.reasons + reason]
    if (pc !== this.head && pc !== ENDED) return this.runFrom(v, pc)
    return parkedAt(words, v, pc)
  }

  private exitAndRun(v: number, reason: number): number {
    this.exit(v, reason)
    return this.run(v)
  }

  private runFrom(v: number, from: number): number {
    const { words, table, program } = this
    let pc = from
    let left = MAX_STEPS
    do {
      const at = pc << TABLE_SHIFT
      const fused = table[at + TABLE_FUSED]
      switch (fused) {
        case FUSED_ENTRY:
          if (words[v + VCPU_THREAD] & REQ_SIGNAL) {
            pc = table[at + FUSED_ELSE_1]
            break
          }
          if (words[v + VCPU_THREAD] & REQ_SLEEP) return waitingAt(words, v, table[at + 1])
          this.fusedEntry(v, words[v + VCPU_PE], words[v + VCPU_THREAD])
          words[v + VCPU_PC] = table[at + FUSED_LAST]
          return THREAD_IN_GUEST
        case FUSED_EXIT:
          this.fusedExit(v, words[v + VCPU_PE])
          pc = table[(table[at + FUSED_LAST] << TABLE_SHIFT) + 1 + this.takeExitReason(v)]
          break
        case FUSED_PUT_FOR_HALT:
        case FUSED_SAVE_VMCR:
        case FUSED_POLL:
          if (fused !== FUSED_POLL) this.beginHalt(v, fused)
          pc = this.look(v, at)
          if (pc < 0) return THREAD_POLLS
          break
        case FUSED_SLEEP:
          words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_SLEEPING)
          if (this.halt.checkBlock(v)) {
            pc = table[at + FUSED_ELSE_1]
            break
          }
          words[v + VCPU_PC] = table[at + FUSED_LAST]
          return this.sleep(v)
        case FUSED_WAKE:
          if (taskOf(words[v + VCPU_THREAD]) === TASK_SLEEPING) {
            words[v + VCPU_PC] = pc
            return this.sleep(v)
          }
          if (this.halt.checkBlock(v)) {
            words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_RUNNING)
            pc = table[at + FUSED_NEXT]
          } else {
            words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_SLEEPING)
            pc = table[at + FUSED_ELSE_1]
          }
          break
        case FUSED_LOAD_AFTER_HALT:
          this.halt.end(v)
          words[v + VCPU_THREAD] &= ~(REQ_UNHALT | THREAD_WAITING)
          this.load(v)
          this.trapDir(v)
          this.skipInstruction(v)
          pc = table[at + FUSED_NEXT]
          break
        case FUSED_AFTER_HALT:
          this.halt.end(v)
          words[v + VCPU_THREAD] &= ~REQ_UNHALT
          this.skipInstruction(v)
          pc = table[at + FUSED_NEXT]
          break
        case FUSED_MMIO: {
          const outcome = this.mmio.access(v, table[at] === op.STEP_EMULATE_MMIO)
          if (outcome === MMIO_DONE) {
            this.skipInstruction(v)
            pc = table[at + FUSED_NEXT]
          } else pc = table[at + 1 + outcome]
          break
        }
        case FUSED_SYSREG:
          this.emulateSysreg(v)
          this.skipInstruction(v)
          pc = table[at + FUSED_NEXT]
          break
        default: {
          if (--left === 0) throw spinning(program)
          const next = table[at]
          if (next === op.STEP_SLEEP && taskOf(words[v + VCPU_THREAD]) === TASK_SLEEPING) {
            words[v + VCPU_PC] = pc
            return this.sleep(v)
          }
          if (this.stopVm.waits(v, next)) return waitingAt(words, v, pc)
          const result = performStep(this, next, v)
          if (next === op.STEP_GUEST) {
            words[v + VCPU_PC] = pc
            return THREAD_IN_GUEST
          }
          const after = table[at + 1 + result]
          if (after < pc && table[after << TABLE_SHIFT] === op.STEP_POLL_AGAIN) {
            words[v + VCPU_PC] = after
            return THREAD_POLLS
          }
          pc = after
        }
      }
    } while (pc !== this.head && pc !== ENDED)
    return parkedAt(this.words, v, pc)
  }

  /** What precedes the first look of halt polling. */
  private beginHalt(v: number, fused: number): void {
    if (fused === FUSED_SAVE_VMCR) this.saveVmcr(v)
    else {
      this.words[v + VCPU_THREAD] |= THREAD_WAITING
      this.put(v)
    }
    this.halt.begin(v)
  }

  /**
   * A look of halt polling, with which the superinstruction of the row at `at` ends. Returns where the thread goes on;
   * -1 if it has looked in vain, and stops before its next look.
   */
  private look(v: number, at: number): number {
    const { table } = this
    if (!this.halt.pollAgain(v)) return table[at + FUSED_ELSE_1]
    if (this.halt.checkBlock(v)) return table[at + FUSED_ELSE_2]
    this.words[v + VCPU_PC] = table[at + FUSED_NEXT]
    return -1
  }

  private sleep(v: number): number {
    this.block(v)
    this.notifier(v)
    return this.offCpu(v)
  }

  /** Runs the scheduler's notifier to its end. */
  private notifier(v: number): void {
    const { words, table } = this
    switch (table[(words[v + VCPU_NOTIFIER] << TABLE_SHIFT) + TABLE_FUSED]) {
      case FUSED_SCHED_OUT:
        this.put(v)
        this.giveUpCpu(v)
        words[v + VCPU_NOTIFIER] = 0
        return
      case FUSED_SCHED_IN:
        this.vcpuLoad(v)
        words[v + VCPU_NOTIFIER] = 0
        return
      case FUSED_SCHED_IN_WAITING:
        if (words[v + VCPU_THREAD] & THREAD_WAITING && words[v + VCPU_LOADED] === 0) {
          this.timers.load(v)
          words[v + VCPU_NOTIFIER] = 0
        } else this.stepNotifier(v)
        return
      default:
        this.stepNotifier(v)
    }
  }

  private stepNotifier(v: number): void {
    while (this.words[v + VCPU_NOTIFIER] !== 0) this.step(v)
  }

  /**
   * Rows of {@link FUSED_ENTRY}. `flush` asks for the same count, as `fold` does for what `fusedExit` asks: with
   * nothing to do, the calls would be a third of a hypercall. Nobody comes in between, so no request is pending when
   * they are looked at again.
   */
  private fusedEntry(v: number, pe: number, thread: number): void {
    const { words } = this
    const kept = withPreemptOff(thread) & ~(THREAD_REQUESTS | THREAD_MODE)
    words[v + VCPU_THREAD] = kept | THREAD_IRQS_OFF | MODE_IN_GUEST
    const count = words[v + VCPU_AP_COUNT]
    if (count !== 0) this.vgic.flushSome(v, pe, count)
    returnFromEl2(words, pe)
  }

  /** Rows of {@link FUSED_EXIT}, but for what the last of them returns. */
  private fusedExit(v: number, pe: number): void {
    if (this.injects) {
      this.exitInjecting(v, pe)
      return
    }
    const { words } = this
    words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD]) & ~(THREAD_MODE | THREAD_IRQS_OFF)
    const used = words[v + VCPU_USED_LRS]
    if (used !== 0) this.vgic.foldSome(v, pe, used)
    const count = words[v + VCPU_AP_COUNT]
    if (count !== 0) this.apLists.prune(v, count)
    if (words[pe + PE_LINES] & LINE_IRQ) this.takeInterrupts(v, pe)
  }

  /** The same where the host injects interrupts that it takes: what the fold lets through waits until they are on. */
  private exitInjecting(v: number, pe: number): void {
    const { words } = this
    words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD]) & ~THREAD_MODE
    this.vgic.fold(v)
    this.timers.sync(v)
    this.takeInterrupts(v, pe)
  }

  private takeInterrupts(v: number, pe: number): void {
    this.seam.settleMaintenance(this.words, pe)
    this.irqOn(v)
  }

  /** The guest leaves: an exception to EL2 for an EXIT_ reason. The thread goes on after `guest`. */
  exit(v: number, reason: number): void {
    const { words, table } = this
    this.leaveGuest(v, words[v + VCPU_PE], reason)
    words[v + VCPU_EXIT] = reason
    words[v + VCPU_PC] = table[(words[v + VCPU_PC] << TABLE_SHIFT) + 1]
  }

  /** From now on its accesses count as those of this exit. */
  private leaveGuest(v: number, pe: number, reason: number): void {
    const { words } = this
    const cost = this.costTable + reason * COST_STRIDE
    words[v + VCPU_COST] = cost
    words[cost + COST_EXITS]++
    takeExceptionToEl2(words, pe)
  }
}

const spinning = ({ design }: Program): VgicError =>
  new VgicError(
    'scenario',
    `A thread of design ${design.name} does not come to rest: its loops must end, or lead to its head or a sleep.`,
  )

/** The thread cannot take the step at a program counter yet. */
function waitingAt(words: Int32Array, v: number, pc: number): number {
  words[v + VCPU_PC] = pc
  return THREAD_WAITS_FOR_VCPUS
}

/** The thread has come to the head of the loop, or to its end. */
function parkedAt(words: Int32Array, v: number, pc: number): number {
  words[v + VCPU_PC] = pc
  return pc === ENDED ? THREAD_ENDED : THREAD_STEPS
}
