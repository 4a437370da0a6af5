/**
 * The superinstructions: a method for each row of superinstructions.ts, which names it. No other actor comes in
 * between, so what one row has asked or set still holds for the next, and what one row would undo of another is left
 * out.
 *
 * A method returns the program counter at which the thread, or its notifier, goes on; if the thread comes to rest, ~
 * its THREAD_ value, with the program counter in VCPU_PC. `at` is the row of the table at which the superinstruction
 * begins.
 */
import { LINE_FIQ, LINE_IRQ, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import { returnFromEl2 } from '../../gic/cpu-interface/pcpu.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
import {
  asPc,
  MODE_IN_GUEST,
  MODE_OUTSIDE,
  type Pc,
  REQ_SIGNAL,
  REQ_SLEEP,
  REQ_UNHALT,
  TASK_RUNNING,
  TASK_SLEEPING,
  THREAD_COMMIT_VPE,
  THREAD_IRQS_OFF,
  THREAD_MODE,
  THREAD_RELOAD_VPE,
  THREAD_REQUESTS,
  THREAD_WAITING,
  taskOf,
  VCPU_AP_COUNT,
  VCPU_LOADED,
  VCPU_PC,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_USED_LRS,
  type Vcpu,
  withMode,
  withPreemptOff,
  withPreemptOn,
  withTask,
} from '../records/vcpu.ts'
import { MMIO_DONE } from '../vgic/vgic-mmio.ts'
import * as linux from './linux-steps.ts'
import {
  ENDED,
  type Program,
  TABLE_ELSE_1,
  TABLE_ELSE_2,
  TABLE_LAST,
  TABLE_NEXT,
  TABLE_SHIFT,
} from './program.ts'
import { STEP_OWN } from './step.ts'
import { performStep } from './step-dispatch.ts'
import {
  STEP_CLEAR_UNHALT,
  STEP_FLUSH,
  STEP_FLUSH_ACTIVE_FIRST,
  STEP_FLUSH_WRITING_HCR,
  STEP_FOLD,
  STEP_FOLD_IGNORING_EOI_COUNT,
  STEP_FOLD_SAVING_VMCR,
  STEP_NOT_LOADED,
  STEP_POLL_AGAIN,
  STEP_POLL_BEGIN,
  STEP_PREEMPT_OFF,
  STEP_PREEMPT_ON,
  STEP_RUNNABLE,
  STEP_SAVE_VMCR,
  STEP_SKIP_INSTRUCTION,
  STEP_TIMER_SYNC,
} from './step-numbers.ts'
import { fuse, gapsOf } from './superinstructions.ts'
import { THREAD_IN_GUEST, THREAD_POLLS, THREAD_SLEEPS, THREAD_WAITS_FOR_VCPUS } from './thread-states.ts'
import { type StepParts, ThreadSteps } from './thread-steps.ts'

/** The gaps of the ways into the guest and out of it, in the order of the sequences. */
const AFTER_REQUESTS = 0
const AFTER_PREEMPT_OFF = 1
const BEFORE_FLUSH = 2
const AFTER_FLUSH = 3
const AFTER_PUBLISH = 4
const BEFORE_OUTSIDE = 5
const BEFORE_FOLD = 6
const AFTER_FOLD = 7
const BEFORE_REASON = 8
/** No rows for all of the first five. */
const NO_ENTRY_GAPS: readonly number[] = Array.from({ length: 2 * BEFORE_OUTSIDE }, () => 0)

export class FusedSteps extends ThreadSteps {
  readonly table: Int32Array
  /** Whether the host injects interrupts that it takes: those of timers, and of mapped SPIs. */
  private readonly injects: boolean
  /** Where each gap begins and ends in the table. */
  private readonly gaps: readonly number[]
  /** A bit for each gap that has rows. */
  private readonly openGaps: number
  /** Whether no gap on the way is open; on the way out, and the host injects nothing. */
  readonly entersPlainly: boolean
  private readonly exitsPlainly: boolean
  /** The steps that fill and fold the list registers between gaps; 0 where there are none, and they are `flush` and `fold`. */
  private readonly flushing: number
  private readonly folding: number
  /** 1 if every entry accesses the hardware. */
  private readonly writesHcr: number

  constructor(
    readonly program: Program,
    parts: StepParts,
  ) {
    super(parts)
    this.table = fuse(program)
    this.injects = parts.timers.present || parts.apLists.layout.mappedCount > 0
    const [entry, exit] = [gapsOf(program, 'entryAround'), gapsOf(program, 'exitAround')]
    const gaps = [...(entry.length > 0 ? entry : NO_ENTRY_GAPS), ...exit]
    this.flushing = entry.length > 0 ? this.stepAfter(gaps, BEFORE_FLUSH) : 0
    this.folding = exit.length > 0 ? this.stepAfter(gaps, BEFORE_FOLD) : 0
    this.writesHcr = this.flushing === STEP_FLUSH_WRITING_HCR ? 1 : 0
    this.gaps = gaps.map((pc, i) => (i % 2 === 0 ? pc : this.endOfGap(gaps[i - 1], pc)) << TABLE_SHIFT)
    this.openGaps = openOf(this.gaps)
    this.entersPlainly = (this.openGaps & ((1 << BEFORE_OUTSIDE) - 1)) === 0
    this.exitsPlainly = !this.injects && this.openGaps >> BEFORE_OUTSIDE === 0
  }

  private stepAfter(gaps: readonly number[], gap: number): number {
    return this.table[gaps[2 * gap + 1] << TABLE_SHIFT]
  }

  /** Where a gap ends for this machine: without timers, before a `timerSync` at its end. */
  private endOfGap(from: number, to: number): number {
    const { table, program } = this
    for (let pc = from; pc !== to; pc = table[(pc << TABLE_SHIFT) + 1]) {
      if ((program.steps[pc]?.outcomes.length ?? 0) > 1) return to
      const isLast = table[(pc << TABLE_SHIFT) + 1] === to
      if (isLast && table[pc << TABLE_SHIFT] === STEP_TIMER_SYNC && !this.timers.present) return pc
    }
    return to
  }

  entry(v: Vcpu, at: number): number {
    const { words, table } = this
    const thread = words[v + VCPU_THREAD]
    if (thread & REQ_SIGNAL) return table[at + TABLE_ELSE_1]
    if (thread & REQ_SLEEP) return restAt(words, v, asPc(table[at + 1]), THREAD_WAITS_FOR_VCPUS)
    this.fusedEntry(v, asPe(words[v + VCPU_PE]), thread)
    return restAt(words, v, asPc(table[at + TABLE_LAST]), THREAD_IN_GUEST)
  }

  entryDirect(v: Vcpu, at: number): number {
    const { words, table } = this
    const thread = words[v + VCPU_THREAD]
    if (thread & REQ_SIGNAL) return table[at + TABLE_ELSE_1]
    if (thread & REQ_SLEEP) return restAt(words, v, asPc(table[at + 1]), THREAD_WAITS_FOR_VCPUS)
    if (thread & THREAD_RELOAD_VPE) return this.singleSteps(v, at)
    if (thread & THREAD_COMMIT_VPE) this.v4?.commit(v)
    this.fusedEntry(v, asPe(words[v + VCPU_PE]), words[v + VCPU_THREAD])
    return restAt(words, v, asPc(table[at + TABLE_LAST]), THREAD_IN_GUEST)
  }

  /** Takes the first row alone, after which no superinstruction begins. */
  private singleSteps(v: Vcpu, at: number): number {
    return this.table[at + 1 + (this.signalPending(v) ? 1 : 0)]
  }

  /**
   * The rows of the entry, for a thread that was not sent a signal or told to stay outside: then `handleRequests`
   * clears all requests, and `requestPending?` finds none. `flush` asks for the same count, as `fold` does for what
   * `fusedExit` asks: with nothing to do, the calls would be a third of a hypercall.
   */
  fusedEntry(v: Vcpu, pe: Pe, thread: number): void {
    const { words } = this
    const kept = withPreemptOff(thread) & ~(THREAD_REQUESTS | THREAD_MODE)
    words[v + VCPU_THREAD] = kept | THREAD_IRQS_OFF | MODE_IN_GUEST
    const count = words[v + VCPU_AP_COUNT]
    if ((count | this.writesHcr) !== 0) this.fillSome(v, pe, count)
    returnFromEl2(words, pe)
  }

  private fillSome(v: Vcpu, pe: Pe, count: number): void {
    if (this.flushing === 0) this.vgic.flushSome(v, pe, count)
    else this.fill(v)
  }

  entryAround(v: Vcpu, at: number): number {
    const { words, table } = this
    const thread = words[v + VCPU_THREAD]
    if (thread & REQ_SIGNAL) return table[at + TABLE_ELSE_1]
    if (thread & REQ_SLEEP) return restAt(words, v, asPc(table[at + 1]), THREAD_WAITS_FOR_VCPUS)
    if (!this.entersAround(v, asPe(words[v + VCPU_PE]), thread)) return table[at + TABLE_ELSE_2]
    return restAt(words, v, asPc(table[at + TABLE_LAST]), THREAD_IN_GUEST)
  }

  /** The rows of the entry, as for `fusedEntry`; false, without the last, if one of the design's own made a request. */
  entersAround(v: Vcpu, pe: Pe, thread: number): boolean {
    if (this.entersPlainly) {
      this.fusedEntry(v, pe, thread)
      return true
    }
    if (!this.takeEntryGaps(v, thread)) return false
    returnFromEl2(this.words, pe)
    return true
  }

  /** The rows to `requestPending?`; whether that finds none. */
  private takeEntryGaps(v: Vcpu, thread: number): boolean {
    const { words } = this
    words[v + VCPU_THREAD] = thread & ~THREAD_REQUESTS
    this.takeGap(v, AFTER_REQUESTS)
    words[v + VCPU_THREAD] = withPreemptOff(words[v + VCPU_THREAD])
    this.takeGap(v, AFTER_PREEMPT_OFF)
    words[v + VCPU_THREAD] |= THREAD_IRQS_OFF
    this.takeGap(v, BEFORE_FLUSH)
    this.fill(v)
    this.takeGap(v, AFTER_FLUSH)
    words[v + VCPU_THREAD] = withMode(words[v + VCPU_THREAD], MODE_IN_GUEST)
    this.takeGap(v, AFTER_PUBLISH)
    return (words[v + VCPU_THREAD] & THREAD_REQUESTS) === 0
  }

  /**
   * The row of the design that fills the list registers, without a call where there is nothing to do, as at most
   * entries. Every step that changes list registers has settled the maintenance interrupt, so that one that finds none
   * need not.
   */
  private fill(v: Vcpu): void {
    const { flushing } = this
    if (flushing === STEP_FLUSH_WRITING_HCR) linux.flushWritingHcr(this, v)
    else if (this.words[v + VCPU_AP_COUNT] === 0) return
    else if (flushing === STEP_FLUSH) this.flush(v)
    else if (flushing === STEP_FLUSH_ACTIVE_FIRST) linux.flushActiveFirst(this, v)
    else performStep(this, flushing, v)
  }

  /** The row of the design that folds them. */
  private foldBack(v: Vcpu): void {
    const { words, folding } = this
    if (folding === STEP_FOLD_SAVING_VMCR) linux.foldSavingVmcr(this, v)
    else if ((words[v + VCPU_AP_COUNT] | words[v + VCPU_USED_LRS]) === 0) return
    else if (folding === STEP_FOLD) this.fold(v)
    else if (folding === STEP_FOLD_IGNORING_EOI_COUNT) linux.foldIgnoringEoiCount(this, v)
    else performStep(this, folding, v)
  }

  exitAroundToReason(v: Vcpu, at: number): number {
    const { table } = this
    this.exitAround(v, asPe(this.words[v + VCPU_PE]))
    return table[(table[at + TABLE_LAST] << TABLE_SHIFT) + 1 + this.takeExitReason(v)]
  }

  /** The rows of the exit, as `fusedExit`, without the result of the last. */
  exitAround(v: Vcpu, pe: Pe): void {
    const { words } = this
    if (!this.exitsPlainly) {
      this.takeExitGaps(v)
      return
    }
    words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD]) & ~(THREAD_MODE | THREAD_IRQS_OFF)
    this.foldBack(v)
    if (words[pe + PE_LINES] & (LINE_IRQ | LINE_FIQ)) this.irqOn(v)
  }

  private takeExitGaps(v: Vcpu): void {
    const { words } = this
    this.takeGap(v, BEFORE_OUTSIDE)
    words[v + VCPU_THREAD] = withMode(words[v + VCPU_THREAD], MODE_OUTSIDE)
    this.takeGap(v, BEFORE_FOLD)
    this.foldBack(v)
    this.takeGap(v, AFTER_FOLD)
    this.irqOn(v)
    words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD])
    this.takeGap(v, BEFORE_REASON)
  }

  private takeGap(v: Vcpu, gap: number): void {
    if ((this.openGaps >> gap) & 1) this.takeRows(v, this.gaps[2 * gap], this.gaps[2 * gap + 1])
  }

  private takeRows(v: Vcpu, from: number, to: number): void {
    const { table } = this
    let at = from
    while (at !== to) at = table[at + 1 + this.takeRow(table[at], v)] << TABLE_SHIFT
  }

  /** `performStep`, and without its switch for the rows that the library's designs, and users', mostly have in gaps. */
  private takeRow(step: number, v: Vcpu): number {
    if (step >= STEP_OWN) return this.ownSteps.perform(step, v)
    if (step === STEP_NOT_LOADED) return this.isUnloaded(v) ? 1 : 0
    if (step !== STEP_SAVE_VMCR) return performStep(this, step, v)
    this.saveVmcr(v)
    return 0
  }

  exitToReason(v: Vcpu, at: number): number {
    const { table } = this
    this.fusedExit(v, asPe(this.words[v + VCPU_PE]))
    return table[(table[at + TABLE_LAST] << TABLE_SHIFT) + 1 + this.takeExitReason(v)]
  }

  /**
   * The rows of the exit, without the result of the last. If the host injects nothing, there is no timer for
   * `timerSync` to sample.
   */
  fusedExit(v: Vcpu, pe: Pe): void {
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

  /**
   * The rows of the exit if the host injects interrupts that it takes: those that the fold makes pending wait until
   * interrupts are on.
   */
  private exitInjecting(v: Vcpu, pe: Pe): void {
    const { words } = this
    words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD]) & ~THREAD_MODE
    if ((words[v + VCPU_USED_LRS] | words[v + VCPU_AP_COUNT]) !== 0) this.vgic.fold(v)
    this.timers.sync(v)
    if (words[pe + PE_LINES] & LINE_IRQ) this.takeInterrupts(v, pe)
    else words[v + VCPU_THREAD] &= ~THREAD_IRQS_OFF
  }

  private takeInterrupts(v: Vcpu, pe: Pe): void {
    this.seam.settleMaintenance(this.words, pe)
    this.irqOn(v)
  }

  putForHalt(v: Vcpu, at: number): number {
    this.setWaiting(v)
    this.put(v)
    this.halt.begin(v)
    return this.look(v, at)
  }

  saveVmcrForHalt(v: Vcpu, at: number): number {
    this.saveVmcr(v)
    this.halt.begin(v)
    return this.look(v, at)
  }

  loadAfterHalt(v: Vcpu, at: number): number {
    this.halt.end(v)
    this.words[v + VCPU_THREAD] &= ~(REQ_UNHALT | THREAD_WAITING)
    this.load(v)
    this.trapDir(v)
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  beginHalt(v: Vcpu, at: number): number {
    this.preemptOff(v)
    const on = this.takeUntil(v, at, STEP_PREEMPT_ON)
    this.preemptOn(v)
    const begin = this.takeUntil(v, on, STEP_POLL_BEGIN)
    this.halt.begin(v)
    this.takeUntil(v, begin, STEP_POLL_AGAIN)
    return this.look(v, at)
  }

  /** Takes the rows after the one at `at` up to one with a step; returns that. Both are rows of the table. */
  private takeUntil(v: Vcpu, at: number, step: number): number {
    const { table } = this
    let next = table[at + 1] << TABLE_SHIFT
    while (table[next] !== step) next = table[next + 1 + this.takeRow(table[next], v)] << TABLE_SHIFT
    return next
  }

  /** A check of halt polling. If it fails, the thread stops before its next check, since others may act. */
  look(v: Vcpu, at: number): number {
    const { words, table } = this
    if (!this.halt.pollAgain(v)) return table[at + TABLE_ELSE_1]
    if (this.canRun(v, table[at + TABLE_LAST])) return table[at + TABLE_ELSE_2]
    return restAt(words, v, asPc(table[at + TABLE_NEXT]), THREAD_POLLS)
  }

  /** Asks the question of a halt that is at a program counter. */
  private canRun(v: Vcpu, pc: number): boolean {
    const question = this.table[pc << TABLE_SHIFT]
    return question === STEP_RUNNABLE ? this.halt.checkBlock(v) : this.takeRow(question, v) !== 0
  }

  lookAndSleep(v: Vcpu, at: number): number {
    const { words, table } = this
    words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_SLEEPING)
    if (this.canRun(v, table[at + 1])) return table[at + TABLE_ELSE_1]
    return restAt(words, v, asPc(table[at + TABLE_LAST]), THREAD_SLEEPS)
  }

  lookAwake(v: Vcpu, at: number): number {
    const { words, table } = this
    const thread = words[v + VCPU_THREAD]
    if (taskOf(thread) === TASK_SLEEPING) return restAt(words, v, asPc(at >> TABLE_SHIFT), THREAD_SLEEPS)
    const isAwake = this.canRun(v, table[(table[at + 1] << TABLE_SHIFT) + 1])
    words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], isAwake ? TASK_RUNNING : TASK_SLEEPING)
    return table[at + (isAwake ? TABLE_NEXT : TABLE_ELSE_1)]
  }

  endHaltSection(v: Vcpu, at: number): number {
    const clear = this.endPolling(v, at)
    const off = this.takeUntil(v, clear, STEP_PREEMPT_OFF)
    this.preemptOff(v)
    const on = this.takeUntil(v, off, STEP_PREEMPT_ON)
    this.preemptOn(v)
    return this.skipAfter(v, at, on)
  }

  endHalt(v: Vcpu, at: number): number {
    this.halt.end(v)
    this.words[v + VCPU_THREAD] &= ~REQ_UNHALT
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  endHaltAround(v: Vcpu, at: number): number {
    return this.skipAfter(v, at, this.endPolling(v, at))
  }

  private endPolling(v: Vcpu, at: number): number {
    this.halt.end(v)
    const clear = this.takeUntil(v, at, STEP_CLEAR_UNHALT)
    this.clearUnhalt(v)
    return clear
  }

  private skipAfter(v: Vcpu, at: number, last: number): number {
    this.takeUntil(v, last, STEP_SKIP_INSTRUCTION)
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  emulateSysregAndSkip(v: Vcpu, at: number): number {
    this.emulateSysreg(v)
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  emulateSysregByShadowAndSkip(v: Vcpu, at: number): number {
    linux.emulateSysregByShadow(this, v)
    if (linux.deactivationLeft(this, v)) return this.table[at + TABLE_ELSE_1]
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  emulateMmioAndSkip(v: Vcpu, at: number): number {
    if (this.mmio.mustWait(v)) return restAt(this.words, v, asPc(at >> TABLE_SHIFT), THREAD_WAITS_FOR_VCPUS)
    return this.skipIfDone(v, at, this.emulateMmio(v))
  }

  emulateMmioFromMemoryAndSkip(v: Vcpu, at: number): number {
    if (this.mmio.mustWait(v)) return restAt(this.words, v, asPc(at >> TABLE_SHIFT), THREAD_WAITS_FOR_VCPUS)
    return this.skipIfDone(v, at, linux.emulateMmioFromMemory(this, v))
  }

  private skipIfDone(v: Vcpu, at: number, outcome: number): number {
    if (outcome !== MMIO_DONE) return this.table[at + 1 + outcome]
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  carryOut(v: Vcpu, at: number): number {
    const { commands, table } = this
    const n = commands.lockedBy(v)
    if (n < 0 || !commands.take(n)) return table[at + TABLE_ELSE_1]
    commands.invalidateFor(n)
    commands.execute(n)
    return table[at + TABLE_NEXT]
  }

  schedOut(v: Vcpu, _at: number): number {
    this.put(v)
    this.giveUpCpu(v)
    return ENDED
  }

  schedOutDirect(v: Vcpu, _at: number): number {
    this.vpePutByFlag(v)
    this.put(v)
    this.giveUpCpu(v)
    return ENDED
  }

  schedInDirect(v: Vcpu, _at: number): number {
    this.load(v)
    this.trapDir(v)
    this.vpeLoadUnlessWaiting(v)
    this.timers.load(v)
    return ENDED
  }

  schedIn(v: Vcpu, _at: number): number {
    this.vcpuLoad(v)
    return ENDED
  }

  schedInWaiting(v: Vcpu, at: number): number {
    this.loadUnlessWaiting(v)
    if (this.words[v + VCPU_LOADED] !== 0) return this.table[at + TABLE_ELSE_1]
    this.timers.load(v)
    return ENDED
  }
}

/** A bit for each of the gaps that is not empty. */
const openOf = (gaps: readonly number[]): number =>
  gaps.reduce((open, at, i) => (i % 2 === 1 && at !== gaps[i - 1] ? open | (1 << (i >> 1)) : open), 0)

/** The thread comes to rest at a program counter, in a THREAD_ state. */
function restAt(words: Int32Array, v: Vcpu, pc: Pc, state: number): number {
  words[v + VCPU_PC] = pc
  return ~state
}
