/**
 * The vCPU run loop: takes the steps of a compiled design for a vCPU's thread. Each step is atomic; between two steps
 * any other actor may step. thread-steps.ts has their code. `step` takes one; `run` takes as many as it can without
 * other actors, and frequent sequences at once: a superinstruction has the effect of a run of rows that the table has
 * exactly so.
 */

import { VgicError } from '../../errors/vgic-error.ts'
import { HOST_LINES, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import { PCPU_PSTATE, PSTATE_EL, PSTATE_EL2, takeExceptionToEl2 } from '../../gic/cpu-interface/pcpu.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
import { COST_EXITS, COST_STRIDE } from '../records/cost-row.ts'
import { EXIT_MMIO, EXIT_SYSREG, EXIT_WFI } from '../records/exits.ts'
import {
  asPc,
  REQ_PRUNE,
  REQ_SIGNAL,
  REQ_SLEEP,
  TASK_BLOCKED,
  TASK_SLEEPING,
  THREAD_COMMIT_VPE,
  THREAD_RELOAD_VPE,
  taskOf,
  VCPU_COST,
  VCPU_EXIT,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  VCPU_THREAD,
  type Vcpu,
} from '../records/vcpu.ts'
import { performFused } from './fused-dispatch.ts'
import { FusedSteps } from './fused-steps.ts'
import {
  ENDED,
  type NextPc,
  type Program,
  TABLE_ANY,
  TABLE_ELSE_1,
  TABLE_ELSE_2,
  TABLE_FUSED,
  TABLE_LAST,
  TABLE_NEXT,
  TABLE_SHIFT,
} from './program.ts'
import { MAX_OUTCOMES } from './step.ts'
import { performStep } from './step-dispatch.ts'
import * as op from './step-numbers.ts'
import { waitingSteps } from './stop-vm.ts'
import { fusedAt } from './superinstructions.ts'
import {
  THREAD_ENDED,
  THREAD_IN_GUEST,
  THREAD_POLLS,
  THREAD_SLEEPS,
  THREAD_STEPS,
  THREAD_WAITS_FOR_CPU,
  THREAD_WAITS_FOR_VCPUS,
} from './thread-states.ts'
import type { StepParts } from './thread-steps.ts'

/** Bits of a thread that has more to do than the rows of an entry mostly do. */
const TO_DO = REQ_SIGNAL | REQ_SLEEP | THREAD_RELOAD_VPE | THREAD_COMMIT_VPE
/** The superinstructions that enter the guest. */
const ENTRIES: readonly (string | undefined)[] = ['entry', 'entryDirect', 'entryAround']
/** In {@link TABLE_FUSED}: no superinstruction, and a row at which the thread may come to rest. */
const WITH_CARE = -1
/** Whether a step emulates an access to the guest's GIC, which may have to wait for another vCPU. */
const emulatesMmio = (step: number): boolean =>
  step === op.STEP_EMULATE_MMIO ||
  step === op.STEP_EMULATE_MMIO_FROM_MEMORY ||
  step === op.STEP_EMULATE_MMIO_AS_LINUX61
/** The other steps before which, or after which, it may. */
const comesToRest: ReadonlySet<number> = new Set([op.STEP_SLEEP, op.STEP_GUEST, ...waitingSteps])
/**
 * Steps and superinstructions of a thread without coming to rest, after which it is taken never to: more than the longest
 * queue of an ITS has, of 32,768 commands. A notifier is taken never to end after as many.
 */
const MAX_STEPS = 1_000_000

export class RunLoop extends FusedSteps {
  readonly head: NextPc
  private readonly costTable: number
  /**
   * The head of the loop, if the superinstruction `entry` or `entryDirect` begins there, or `entryAround` without rows in its
   * gaps; if `entryAround` does with rows, or accesses the hardware at every entry; and the program counter of `guest` at the
   * end of the former. Otherwise -1.
   */
  readonly entryPc: number
  private readonly aroundEntryPc: number
  private readonly enteredPc: number
  /**
   * The guest's only row, if the superinstruction `exit` follows it, or `exitAround` that does as much, and if any other
   * `exitAround` does; the row after it in the first case, and where that begins in the table in the other; and the table
   * word with the successor for reason 0 after either. Otherwise -1.
   */
  private readonly guestPc: number
  private readonly aroundGuestPc: number
  private readonly exitPc: number
  private readonly aroundExitAt: number
  private readonly reasonsAt: number
  /**
   * Where the superinstruction begins that a WFI leads to, if that is `putForHalt` or `putAgainForHalt`, and whether it is the
   * latter; that an access to a system register leads to, if it is `sysreg` or `sysregByShadow`; and that of MMIO, if it is
   * `mmio` or `mmioFromMemory`. Otherwise -1.
   */
  private readonly haltPc: number
  private readonly putsAgain: boolean
  private readonly sysregPc: number
  private readonly sysregByShadowPc: number
  private readonly mmioPc: number
  private readonly mmioFromMemoryPc: number
  /**
   * The `poll` of the next looks after `haltPc`, if a look in vain leads to itself and the last one to `loadAfterHalt` or
   * `loadAgainAfterHalt`; where that begins, and whether it is the latter. Otherwise -1.
   */
  private readonly pollPc: number
  private readonly loadPc: number
  private readonly loadsAgain: boolean
  /** The question of this `poll`, and where it leads when the window is over. */
  private readonly pollsFor: number
  private readonly pollsOver: number
  /** The rows of the superinstructions at the head and after the guest; 0 for none. */
  readonly entryRows: number
  readonly exitRows: number

  constructor(program: Program, parts: StepParts) {
    super(program, parts)
    this.head = program.head
    this.costTable = parts.apLists.layout.costTable
    const { table, head } = this
    markCare(table)
    const guests = [...program.steps.keys()].filter((pc) => table[pc << TABLE_SHIFT] === op.STEP_GUEST)
    const exit = table[(guests[0] << TABLE_SHIFT) + 1]
    const fusedExit = guests.length === 1 ? fusedAt(table, asPc(exit))?.name : undefined
    const last = (pc: number): number => table[(pc << TABLE_SHIFT) + TABLE_LAST]
    const isExit = fusedExit === 'exit' || (fusedExit === 'exitAround' && this.exitsPlainly)
    const isAroundExit = fusedExit === 'exitAround' && !isExit
    this.guestPc = isExit ? guests[0] : -1
    this.aroundGuestPc = isAroundExit ? guests[0] : -1
    this.exitPc = isExit ? exit : -1
    this.aroundExitAt = isAroundExit ? exit << TABLE_SHIFT : -1
    this.reasonsAt = isExit || isAroundExit ? (last(exit) << TABLE_SHIFT) + 1 : -1
    const begins = (name: string, at: number): number =>
      at >= 0 && fusedAt(table, asPc(table[at]))?.name === name ? table[at] : -1
    const after = (reason: number): number => (this.reasonsAt < 0 ? -1 : this.reasonsAt + reason)
    const putAgainPc = begins('putAgainForHalt', after(EXIT_WFI))
    this.putsAgain = putAgainPc >= 0
    this.haltPc = this.putsAgain ? putAgainPc : begins('putForHalt', after(EXIT_WFI))
    this.sysregPc = begins('sysreg', after(EXIT_SYSREG))
    this.sysregByShadowPc = begins('sysregByShadow', after(EXIT_SYSREG))
    this.mmioPc = begins('mmio', after(EXIT_MMIO))
    this.mmioFromMemoryPc = begins('mmioFromMemory', after(EXIT_MMIO))
    const polling = begins('poll', (this.haltPc << TABLE_SHIFT) + TABLE_NEXT)
    const poll = polling << TABLE_SHIFT
    const loadAgainPc = begins('loadAgainAfterHalt', poll + TABLE_ELSE_2)
    this.loadsAgain = loadAgainPc >= 0
    this.loadPc = this.loadsAgain ? loadAgainPc : begins('loadAfterHalt', poll + TABLE_ELSE_2)
    this.pollPc = this.loadPc >= 0 && table[poll + TABLE_NEXT] === polling ? polling : -1
    this.pollsFor = table[poll + TABLE_ANY]
    this.pollsOver = table[poll + TABLE_ELSE_1]
    const fusedEntry = fusedAt(table, head)?.name
    const isAround = fusedEntry === 'entryAround'
    this.entryPc = ENTRIES.includes(fusedEntry) && !(isAround && this.entryGaps !== 0) ? head : -1
    this.aroundEntryPc = isAround && (this.entryGaps !== 0 || this.writesHcr !== 0) ? head : -1
    this.enteredPc = this.entryPc < 0 ? -1 : last(head)
    this.entryRows = rowsBetween(table, this.entryPc, this.enteredPc)
    this.exitRows = rowsBetween(table, this.exitPc, last(exit))
  }

  /** The state of a vCPU's thread, a THREAD_ value. */
  threadState(v: Vcpu): number {
    const { words } = this
    const pc = words[v + VCPU_PC]
    if (pc === ENDED) return THREAD_ENDED
    const pe = asPe(words[v + VCPU_PE])
    if (pe === 0) return this.offCpu(v)
    const next = this.table[pc << TABLE_SHIFT]
    if (words[v + VCPU_NOTIFIER] !== 0) return THREAD_STEPS
    if (next !== op.STEP_GUEST) return this.waits(v, next) === true ? THREAD_WAITS_FOR_VCPUS : THREAD_STEPS
    return this.pcpu.isInGuest(pe) === true ? THREAD_IN_GUEST : THREAD_STEPS
  }

  /** Whether `threadState` is THREAD_IN_GUEST: its PE is below EL2, where no other step of a thread is taken. */
  isInGuest(v: Vcpu): boolean {
    const { words } = this
    const pe = words[v + VCPU_PE]
    return pe !== 0 && (words[pe + PCPU_PSTATE] & PSTATE_EL) < PSTATE_EL2
  }

  /** Whether a vCPU is in its guest, and no interrupt of the host is about to make it exit. */
  staysInGuest(v: Vcpu): boolean {
    const { words } = this
    const pe = words[v + VCPU_PE]
    if (pe === 0 || (words[pe + PE_LINES] & HOST_LINES) !== 0) return false
    return (words[pe + PCPU_PSTATE] & PSTATE_EL) < PSTATE_EL2
  }

  /** Whether a thread that has a PE, or would get one, could do nothing there but wait for other vCPUs. */
  waitsForVcpus(v: Vcpu): boolean {
    return this.waits(v, this.table[this.words[v + VCPU_PC] << TABLE_SHIFT])
  }

  private waits(v: Vcpu, step: number): boolean {
    return emulatesMmio(step) ? this.mmio.mustWait(v) : this.stopVm.waits(v, step)
  }

  private offCpu(v: Vcpu): number {
    return taskOf(this.words[v + VCPU_THREAD]) === TASK_BLOCKED ? THREAD_SLEEPS : THREAD_WAITS_FOR_CPU
  }

  /** Takes the step with a number for a vCPU, whatever its thread's next step is, and returns its result. */
  perform(step: number, v: Vcpu): number {
    return performStep(this, step, v)
  }

  /** Takes the next step of a vCPU's thread, or of its notifier, and returns its result. */
  step(v: Vcpu): number {
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
   * Runs a vCPU's thread until it is in the guest, sleeps, has ended, has made a check of halt polling in vain, or
   * has handled an exit and is about to enter again. Returns its THREAD_ state.
   */
  run(v: Vcpu): number {
    if (this.words[v + VCPU_NOTIFIER] !== 0) this.runNotifier(v)
    if (this.words[v + VCPU_PE] === 0) return this.threadState(v)
    const pc = asPc(this.words[v + VCPU_PC])
    return pc === this.pollPc ? this.polls(v) : this.runFrom(v, pc)
  }

  /**
   * `run` for a thread that is about to enter, most often. The comparison, as some elsewhere, is for V8, which tests what a
   * call returns for being true in 11 instructions otherwise.
   */
  enter(v: Vcpu): number {
    if (this.aroundEntryPc >= 0) return this.entersAround(v)
    return this.entersAtOnce(v) === true ? THREAD_IN_GUEST : this.run(v)
  }

  /**
   * The same for a thread at which `entryAround` is next: one call that has all rows in it, where V8 would inline only some.
   * @noinline
   * @masked
   */
  private entersAround(v: Vcpu): number {
    const { words } = this
    const pe = asPe(words[v + VCPU_PE])
    const thread = words[v + VCPU_THREAD]
    const isAtEntry = words[v + VCPU_PC] === this.aroundEntryPc && words[v + VCPU_NOTIFIER] === 0
    if (!isAtEntry || pe === 0 || thread & (REQ_SIGNAL | REQ_SLEEP | REQ_PRUNE)) return this.run(v)
    this.enterAround(v, pe, this.aroundEntryPc << TABLE_SHIFT, thread)
    const pc = words[v + VCPU_PC]
    return pc === this.aroundEnteredPc ? THREAD_IN_GUEST : this.runOn(v, pc)
  }

  /**
   * Enters the guest by the superinstruction, if all of its rows are taken; otherwise does nothing.
   * @masked
   */
  entersAtOnce(v: Vcpu): boolean {
    const { words } = this
    const pe = asPe(words[v + VCPU_PE])
    const thread = words[v + VCPU_THREAD]
    const isAtEntry = words[v + VCPU_PC] === this.entryPc && words[v + VCPU_NOTIFIER] === 0
    if (!isAtEntry || pe === 0 || thread & TO_DO) return false
    words[v + VCPU_PC] = this.enteredPc
    this.fusedEntry(v, pe, thread)
    return true
  }

  /** Takes a thread whose guest has exited to where its reason leads, if a superinstruction does; otherwise does nothing. */
  exitsAtOnce(v: Vcpu): boolean {
    const { words } = this
    if (words[v + VCPU_PC] !== this.exitPc || words[v + VCPU_NOTIFIER] !== 0) return false
    words[v + VCPU_PC] = this.exitPlainly(v, this.exitPc << TABLE_SHIFT)
    return true
  }

  /**
   * Makes the guest exit for an EXIT_ reason, and takes the thread to where that leads, if a superinstruction does.
   * Returns the rows of that; 0 if there is none.
   */
  leaveAtOnce(v: Vcpu, reason: number): number {
    const { words } = this
    if (words[v + VCPU_PC] !== this.guestPc) {
      this.exit(v, reason)
      return 0
    }
    const pe = asPe(words[v + VCPU_PE])
    this.leaveGuest(v, pe, reason)
    this.fusedExit(v, pe)
    words[v + VCPU_PC] = this.table[this.reasonsAt + reason]
    return this.exitRows
  }

  /**
   * Makes the guest exit for an EXIT_ reason and runs the thread: `exit` and `run` in one.
   * @masked
   */
  leave(v: Vcpu, reason: number): number {
    const { words } = this
    let pc: number
    if (words[v + VCPU_PC] !== this.guestPc) pc = this.leaveOtherwise(v, reason)
    else {
      const pe = asPe(words[v + VCPU_PE])
      pc = this.table[this.reasonsAt + reason]
      // Before the rows of the exit, none of which looks where its thread is: after a call V8 reads anew what it needs.
      words[v + VCPU_PC] = pc
      this.leaveGuest(v, pe, reason)
      this.fusedExit(v, pe)
    }
    return pc === this.head ? THREAD_STEPS : this.runOn(v, this.takeAfter(v, pc))
  }

  /**
   * Makes the guest exit where not `exit` follows it but `exitAround`, or a row; returns where the thread goes on.
   * @noinline
   */
  private leaveOtherwise(v: Vcpu, reason: number): number {
    const { words } = this
    if (words[v + VCPU_PC] === this.aroundGuestPc) {
      const pe = asPe(words[v + VCPU_PE])
      const pc = this.table[this.reasonsAt + reason]
      this.leaveGuest(v, pe, reason)
      this.exitAround(v, pe, this.aroundExitAt)
      words[v + VCPU_PC] = pc
      return pc
    }
    this.exit(v, reason)
    return words[v + VCPU_PC]
  }

  /**
   * `takeAt` of a row that the reason of an exit leads to, without the dispatcher for the superinstructions that most exits
   * lead to.
   */
  private takeAfter(v: Vcpu, pc: number): number {
    const at = pc << TABLE_SHIFT
    if (pc === this.haltPc)
      return this.putsAgain === true ? this.putAgainForHalt(v, at) : this.putForHalt(v, at)
    if (pc === this.sysregPc) return this.emulateSysregAndSkip(v, at)
    if (pc === this.mmioPc) return this.emulateMmioAndSkip(v, at)
    if (pc === this.sysregByShadowPc) return this.emulateSysregByShadowAndSkip(v, at)
    if (pc === this.mmioFromMemoryPc) return this.emulateMmioFromMemoryAndSkip(v, at)
    return pc === ENDED ? ENDED : this.takeAt(v, pc)
  }

  /** Takes a row, or a superinstruction that begins there, and goes on until the thread comes to rest, or to the head. */
  private runFrom(v: Vcpu, from: number): number {
    let pc = from
    for (let left = MAX_STEPS; left > 0; left--) {
      pc = this.takeAt(v, pc)
      if (pc < 0 || pc === this.head || pc === ENDED) return this.runOn(v, pc)
    }
    throw spinning(this.program)
  }

  /** Goes on with a thread after a row or a superinstruction has returned `to`. */
  private runOn(v: Vcpu, to: number): number {
    if (to !== this.head) return to < 0 && to !== ~THREAD_SLEEPS ? ~to : this.runOnOtherwise(v, to)
    this.words[v + VCPU_PC] = to
    return THREAD_STEPS
  }

  private runOnOtherwise(v: Vcpu, to: number): number {
    if (to < 0) return this.fallAsleep(v)
    if (to !== ENDED) return this.runFrom(v, to)
    this.words[v + VCPU_PC] = ENDED
    return THREAD_ENDED
  }

  /** Takes the superinstruction that begins at a row, or the row's step if none does; returns as the former. */
  private takeAt(v: Vcpu, pc: number): number {
    const { table } = this
    const at = pc << TABLE_SHIFT
    const fused = table[at + TABLE_FUSED]
    if (fused > 0) return performFused(this, fused, v, at)
    if (fused === WITH_CARE) return this.takeWithCare(v, pc)
    return table[at + 1 + performStep(this, table[at], v)]
  }

  /**
   * `look` at `pollPc`, where the thread is, by fields instead of the table; and what follows if the halt has ended.
   * @noinline
   */
  private polls(v: Vcpu): number {
    const { words } = this
    if (this.halt.pollAgain(words, v) === false) return this.runOn(v, this.pollsOver)
    if (this.canRun(words, v, this.pollsFor) === false) return THREAD_POLLS
    const at = this.loadPc << TABLE_SHIFT
    return this.runOn(
      v,
      this.loadsAgain === true ? this.loadAgainAfterHalt(v, at) : this.loadAfterHalt(v, at),
    )
  }

  /** Takes the step of a row after which, or before which, the thread may come to rest; returns as a superinstruction does. */
  private takeWithCare(v: Vcpu, pc: number): number {
    const { words, table } = this
    const at = pc << TABLE_SHIFT
    const next = table[at]
    words[v + VCPU_PC] = pc
    if (next === op.STEP_SLEEP && taskOf(words[v + VCPU_THREAD]) === TASK_SLEEPING) return ~THREAD_SLEEPS
    if (this.waits(v, next)) return ~THREAD_WAITS_FOR_VCPUS
    const after = table[at + 1 + performStep(this, next, v)]
    if (next === op.STEP_GUEST) return ~THREAD_IN_GUEST
    if (!isNextPoll(table, pc, after)) return after
    words[v + VCPU_PC] = after
    return ~THREAD_POLLS
  }

  private fallAsleep(v: Vcpu): number {
    this.block(v)
    this.runNotifier(v)
    return this.offCpu(v)
  }

  /** Runs the scheduler's notifier to its end. */
  private runNotifier(v: Vcpu): void {
    const { words, table } = this
    let pc = words[v + VCPU_NOTIFIER]
    for (let left = MAX_STEPS; pc !== ENDED; left--) {
      if (left === 0) throw endless(this.program)
      const at = pc << TABLE_SHIFT
      const fused = table[at + TABLE_FUSED]
      pc = fused > 0 ? performFused(this, fused, v, at) : table[at + 1 + performStep(this, table[at], v)]
      words[v + VCPU_NOTIFIER] = pc
    }
  }

  /** Makes the guest exit for an EXIT_ reason: an exception to EL2. The thread goes on after `guest`. */
  exit(v: Vcpu, reason: number): void {
    const { words, table } = this
    this.leaveGuest(v, asPe(words[v + VCPU_PE]), reason)
    words[v + VCPU_EXIT] = reason
    words[v + VCPU_PC] = table[(words[v + VCPU_PC] << TABLE_SHIFT) + 1]
  }

  /**
   * Records the exit; from now on the vCPU's accesses count for it.
   * @inline
   */
  private leaveGuest(v: Vcpu, pe: Pe, reason: number): void {
    const { words } = this
    const cost = this.costTable + reason * COST_STRIDE
    words[v + VCPU_COST] = cost
    words[cost + COST_EXITS]++
    takeExceptionToEl2(words, pe)
  }
}

/** How many rows a thread takes from one row to another if all its questions have their first answer; 0 if `from` is none. */
function rowsBetween(table: Int32Array, from: number, to: number): number {
  if (from < 0) return 0
  let rows = 1
  for (let pc = from; pc !== to; pc = table[(pc << TABLE_SHIFT) + 1]) rows++
  return rows
}

/** Marks the rows of a table that no superinstruction begins at and that are to be taken with care. */
function markCare(table: Int32Array): void {
  for (let at = 1 << TABLE_SHIFT; at < table.length; at += 1 << TABLE_SHIFT) {
    const nexts = table.subarray(at + 1, at + 1 + MAX_OUTCOMES)
    const mayPoll = nexts.some((next) => isNextPoll(table, at >> TABLE_SHIFT, next))
    if (table[at + TABLE_FUSED] === 0 && (mayPoll || comesToRest.has(table[at]) || emulatesMmio(table[at])))
      table[at + TABLE_FUSED] = WITH_CARE
  }
}

/** Whether the row after another is the next check of halt polling. */
const isNextPoll = (table: Int32Array, pc: number, next: number): boolean =>
  next < pc && table[next << TABLE_SHIFT] === op.STEP_POLL_AGAIN

const spinning = ({ design }: Program): VgicError =>
  new VgicError(
    'scenario',
    `A thread of design ${design.name} does not come to rest: its loops must end, or lead to its head or a sleep.`,
  )

const endless = ({ design }: Program): VgicError =>
  new VgicError('scenario', `A notifier of design ${design.name} does not end: its loops must.`)
