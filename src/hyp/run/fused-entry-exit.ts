/**
 * The superinstructions of the entry and of the exit: `entry` and `exit`, and those around rows of a design's own.
 * fused-steps.ts has the others, and says what a method returns.
 */
import { HCR_En } from '../../arch/ich-registers.ts'
import { HOST_LINES, LINE_IRQ, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import { returnFromEl2 } from '../../gic/cpu-interface/pcpu.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
import {
  asPc,
  MODE_IN_GUEST,
  type Pc,
  REQ_PRUNE,
  REQ_SIGNAL,
  REQ_SLEEP,
  THREAD_COMMIT_VPE,
  THREAD_IRQS_OFF,
  THREAD_MODE,
  THREAD_RELOAD_VPE,
  THREAD_REQUESTS,
  VCPU_AP_COUNT,
  VCPU_LOADED,
  VCPU_PC,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_USED_LRS,
  VCPU_VMCR,
  type Vcpu,
  withMode,
  withPreemptOff,
  withPreemptOn,
} from '../records/vcpu.ts'
import { HCR_IN_USE } from '../vgic/vgic-v3.ts'
import { flushWritingHcr, foldIgnoringEoiCount, foldNone, foldSavingVmcr } from '../vgic/vgic-v3-linux.ts'
import { GapSteps } from './gap-steps.ts'
import * as linux from './linux-steps.ts'
import {
  type NextPc,
  type Program,
  TABLE_ANY,
  TABLE_ELSE_1,
  TABLE_ELSE_2,
  TABLE_GAPS,
  TABLE_LAST,
  TABLE_OPEN,
  TABLE_SHIFT,
} from './program.ts'
import { performStep } from './step-dispatch.ts'
import {
  STEP_FLUSH,
  STEP_FLUSH_ACTIVE_FIRST,
  STEP_FLUSH_WRITING_HCR,
  STEP_FOLD,
  STEP_FOLD_IGNORING_EOI_COUNT,
  STEP_FOLD_SAVING_VMCR,
  STEP_NOT_LOADED,
  STEP_SAVE_VMCR,
} from './step-numbers.ts'
import { fusedAt } from './superinstructions.ts'
import { THREAD_IN_GUEST, THREAD_WAITS_FOR_VCPUS } from './thread-states.ts'
import type { StepParts } from './thread-steps.ts'

/** The gaps of `entryAround`, in the order of its sequence, and those of `exitAround`. */
const AFTER_REQUESTS = 0
const AFTER_PREEMPT_OFF = 1
const BEFORE_FLUSH = 2
const AFTER_FLUSH = 3
const AFTER_PUBLISH = 4
const BEFORE_OUTSIDE = 0
const BEFORE_FOLD = 1
const AFTER_FOLD = 2
const BEFORE_REASON = 3

export class FusedEntryExit extends GapSteps {
  /**
   * The steps that fill and fold the list registers between gaps. 0 for those that need not settle the maintenance interrupt
   * then: `flush` and `fold` as in `entry` and `exit`, and those of Linux 7.2. Nor need Linux 6.1's fold, and its flush of one
   * interrupt, which enable none.
   */
  private readonly flushing: number
  private readonly folding: number
  /**
   * 1, the length of the ap_lists that `flushOnly` is for, if the row that fills is `flush` or Linux 6.1's; otherwise -1, which
   * none has. And ICH_HCR_EL2 then.
   */
  private readonly onlyCount: number
  private readonly onlyHcr: number
  /** The program counter of the `guest` that ends `entryAround`. */
  protected readonly aroundEnteredPc: number
  /** 1 if every entry accesses the hardware; if every exit does; and if it is Linux 7.2's fold alone that does. */
  readonly writesHcr: number
  private readonly accessesAtExit: number
  private readonly savesVmcr: number
  /** Whether the gaps of `exitAround` have nothing but `saveVmcr` before the fold, and the host injects nothing. */
  private readonly savesFirst: boolean
  /** The gaps of `entryAround`, and of `exitAround`, that have rows. */
  readonly entryGaps: number
  private readonly exitGaps: number
  /** The gap of `entryAround` that has rows, if there is one before the flush, with one row of one result; else -1. */
  private readonly entryGap: number
  /** The step of that row, and what a thread's word has more while it is taken: preemption off, and interrupts. */
  private readonly entryStep: number
  private readonly entryPreempt: number
  private readonly entryIrqs: number
  /** Whether the gaps of `entryAround` have nothing but what `notLoaded?` asks for. */
  private readonly reloads: boolean
  /** Whether the host injects nothing, and the gaps of `exitAround` have no rows but that of {@link savesFirst}. */
  readonly exitsPlainly: boolean
  /**
   * The gap of `exitAround` that has rows, if that is one before the reason, with one row that is another, and the host injects
   * nothing; else -1.
   */
  private readonly exitGap: number
  /** The step of that row. */
  private readonly exitStep: number
  /** Whether the host injects interrupts that it takes: those of timers, and of mapped SPIs. */
  private readonly injects: boolean

  constructor(program: Program, parts: StepParts) {
    super(program, parts)
    const injects = parts.timers.present || parts.apLists.layout.mappedCount > 0
    const flushing = this.wordOf('entryAround', TABLE_ANY)
    const folding = this.wordOf('exitAround', TABLE_ANY)
    const isPlain =
      flushing === STEP_FLUSH || (flushing === STEP_FLUSH_WRITING_HCR && folding === STEP_FOLD_SAVING_VMCR)
    this.flushing = isPlain ? 0 : flushing
    const isActiveFirst = flushing === STEP_FLUSH_ACTIVE_FIRST
    this.onlyCount = flushing === 0 || flushing === STEP_FLUSH || isActiveFirst ? 1 : -1
    this.onlyHcr = isActiveFirst ? HCR_En : HCR_IN_USE
    this.aroundEnteredPc = this.wordOf('entryAround', TABLE_LAST)
    this.entryGaps = this.wordOf('entryAround', TABLE_OPEN)
    this.exitGaps = this.wordOf('exitAround', TABLE_OPEN)
    this.entryGap = this.gapOfRow('entryAround', this.entryGaps, [
      AFTER_REQUESTS,
      AFTER_PREEMPT_OFF,
      BEFORE_FLUSH,
    ])
    this.entryStep = this.stepIn('entryAround', this.entryGap)
    this.entryPreempt = this.entryGap === AFTER_REQUESTS ? 0 : withPreemptOff(0)
    this.entryIrqs = this.entryGap === BEFORE_FLUSH ? THREAD_IRQS_OFF : 0
    this.reloads = this.entryGaps === 1 << AFTER_PREEMPT_OFF && this.asksForReload()
    const exitGap = injects
      ? -1
      : this.gapOfRow('exitAround', this.exitGaps, [BEFORE_OUTSIDE, BEFORE_FOLD, AFTER_FOLD])
    this.exitStep = this.stepIn('exitAround', exitGap)
    this.savesFirst = this.exitStep === STEP_SAVE_VMCR && exitGap !== AFTER_FOLD
    this.exitGap = this.savesFirst ? -1 : exitGap
    this.exitsPlainly = !injects && (this.exitGaps === 0 || this.savesFirst)
    const isFused = this.exitsPlainly || exitGap >= 0
    this.folding = folding === STEP_FOLD && isFused && !this.savesFirst ? 0 : folding
    this.injects = injects
    this.writesHcr = flushing === STEP_FLUSH_WRITING_HCR ? 1 : 0
    this.savesVmcr = folding === STEP_FOLD_SAVING_VMCR && !this.savesFirst ? 1 : 0
    this.accessesAtExit = this.savesFirst ? 1 : this.savesVmcr
  }

  /** A word of the row at which a superinstruction begins; 0 if it begins nowhere. */
  private wordOf(name: string, word: number): number {
    const { table, program } = this
    const pc = program.steps.findIndex((_, each) => fusedAt(table, each as NextPc)?.name === name)
    return pc < 0 ? 0 : table[(pc << TABLE_SHIFT) + word]
  }

  /** That of some gaps which is the only one of `open`, and has one row of one result; else -1. */
  private gapOfRow(name: string, open: number, gaps: readonly number[]): number {
    return gaps.find((gap) => open === 1 << gap && this.wordOf(name, TABLE_GAPS + 2 * gap + 1) < 0) ?? -1
  }

  private stepIn(name: string, gap: number): number {
    return gap < 0 ? 0 : ~this.wordOf(name, TABLE_GAPS + 2 * gap + 1)
  }

  private asksForReload(): boolean {
    const { table } = this
    const row = this.wordOf('entryAround', TABLE_GAPS + 2 * AFTER_PREEMPT_OFF)
    const end = this.wordOf('entryAround', TABLE_GAPS + 2 * AFTER_PREEMPT_OFF + 1)
    return table[row] === STEP_NOT_LOADED && table[row + 1] << TABLE_SHIFT === end
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
   * `fusedExit` asks: with nothing to do, the calls would be a third of a hypercall. `flush` comes last, unlike in the
   * rows, since V8 reads anew what it needs after a call; it does not look at what `guest` writes.
   * @inline
   */
  fusedEntry(v: Vcpu, pe: Pe, thread: number): void {
    const { words } = this
    const kept = withPreemptOff(thread) & ~(THREAD_REQUESTS | THREAD_MODE)
    words[v + VCPU_THREAD] = kept | (THREAD_IRQS_OFF | MODE_IN_GUEST)
    returnFromEl2(words, pe)
    this.fill(v, pe)
  }

  /**
   * The row of the design that fills the list registers, without a call where there is nothing to do, as at most entries.
   * @inline
   */
  private fill(v: Vcpu, pe: Pe): void {
    const { words } = this
    const count = words[v + VCPU_AP_COUNT]
    if (this.writesHcr !== 0) this.fillWritingHcr(v, pe, count)
    else if (count !== 0) this.fillSome(v, pe, count)
  }

  private fillWritingHcr(v: Vcpu, pe: Pe, count: number): void {
    if (this.flushing === 0) flushWritingHcr(this.vgic, v, pe, count)
    else this.flushOfDesign(v)
  }

  /** @inline */
  private fillSome(v: Vcpu, pe: Pe, count: number): void {
    if (count === this.onlyCount) this.vgic.flushOnly(v, pe, this.onlyHcr)
    else this.fillOtherwise(v, pe, count)
  }

  private fillOtherwise(v: Vcpu, pe: Pe, count: number): void {
    if (this.flushing !== 0) this.flushOfDesign(v)
    else this.vgic.flushSome(v, pe, count)
  }

  /** @noinline */
  private flushOfDesign(v: Vcpu): void {
    if (this.flushing === STEP_FLUSH_ACTIVE_FIRST) linux.flushActiveFirst(this, v)
    else performStep(this, this.flushing, v)
  }

  entryAround(v: Vcpu, at: number): number {
    const { words, table } = this
    const thread = words[v + VCPU_THREAD]
    if (thread & REQ_SIGNAL) return table[at + TABLE_ELSE_1]
    if (thread & REQ_SLEEP) return restAt(words, v, asPc(table[at + 1]), THREAD_WAITS_FOR_VCPUS)
    if (thread & REQ_PRUNE) return this.singleSteps(v, at)
    this.enterAround(v, asPe(words[v + VCPU_PE]), at, thread)
    const pc = words[v + VCPU_PC]
    return pc === this.aroundEnteredPc ? ~THREAD_IN_GUEST : pc
  }

  /**
   * The rows of the entry, as for `fusedEntry`, up to `guest`; or to where a request leads that one of the design's own made.
   * No step that fills the list registers looks where its thread is.
   * @inline
   */
  enterAround(v: Vcpu, pe: Pe, at: number, before: number): void {
    const { words } = this
    let thread = before
    if (this.entryGap >= 0) {
      this.takeEntryRow(v, before)
      thread = (words[v + VCPU_THREAD] - this.entryPreempt) | 0
      if (thread & THREAD_REQUESTS) {
        this.abortEntry(v, pe, at, thread)
        return
      }
    } else if (this.entryGaps !== 0 && !(this.reloads === true && words[v + VCPU_LOADED] !== 0)) {
      this.enterThroughGaps(v, pe, at, before)
      return
    }
    words[v + VCPU_PC] = this.aroundEnteredPc
    this.fusedEntry(v, pe, thread)
  }

  /**
   * Takes the only row of a design's own, with the thread's word as it is at that place of the entry.
   * @inline
   */
  private takeEntryRow(v: Vcpu, before: number): void {
    const { words } = this
    words[v + VCPU_THREAD] = ((before & ~THREAD_REQUESTS) + this.entryPreempt) | this.entryIrqs
    this.takeRow(this.entryStep, v)
  }

  /** The rest of an entry whose thread has a request again. */
  private abortEntry(v: Vcpu, pe: Pe, at: number, thread: number): void {
    const { words, table } = this
    words[v + VCPU_THREAD] = withMode(withPreemptOff(thread) | THREAD_IRQS_OFF, MODE_IN_GUEST)
    words[v + VCPU_PC] = table[at + TABLE_ELSE_2]
    this.fill(v, pe)
  }

  /**
   * The thread's word is in a variable between gaps, since no step that fills the list registers writes it.
   * @noinline
   */
  private enterThroughGaps(v: Vcpu, pe: Pe, at: number, before: number): void {
    const { words, table, entryGaps: open } = this
    let thread = before & ~THREAD_REQUESTS
    if (open & (1 << AFTER_REQUESTS)) thread = this.throughGap(v, at, AFTER_REQUESTS, thread)
    thread = withPreemptOff(thread)
    if (open & (1 << AFTER_PREEMPT_OFF)) thread = this.throughGap(v, at, AFTER_PREEMPT_OFF, thread)
    thread |= THREAD_IRQS_OFF
    if (open & (1 << BEFORE_FLUSH)) thread = this.throughGap(v, at, BEFORE_FLUSH, thread)
    words[v + VCPU_THREAD] = thread
    this.fill(v, pe)
    if (open & (1 << AFTER_FLUSH)) thread = this.throughGap(v, at, AFTER_FLUSH, thread)
    thread = withMode(thread, MODE_IN_GUEST)
    if (open & (1 << AFTER_PUBLISH)) thread = this.throughGap(v, at, AFTER_PUBLISH, thread)
    words[v + VCPU_THREAD] = thread
    if (thread & THREAD_REQUESTS) {
      words[v + VCPU_PC] = table[at + TABLE_ELSE_2]
      return
    }
    words[v + VCPU_PC] = this.aroundEnteredPc
    returnFromEl2(words, pe)
  }

  /**
   * The row of the design that folds them, without a call where there is nothing to do, as at most exits. Every step
   * that changes list registers has settled the maintenance interrupt, so that one that finds none need not.
   * @inline
   */
  private foldBack(words: Int32Array, v: Vcpu, pe: Pe): void {
    if ((words[v + VCPU_AP_COUNT] | words[v + VCPU_USED_LRS]) !== 0) this.foldRow(v, pe)
    else if (this.accessesAtExit !== 0) this.foldNone(v, pe)
  }

  private foldNone(v: Vcpu, pe: Pe): void {
    if (this.savesFirst === true) this.saveAndFoldNone(v, pe)
    else foldNone(this.vgic, v, pe)
  }

  private saveAndFoldNone(v: Vcpu, pe: Pe): void {
    this.saveBeforeFold(v, pe)
    if (this.folding === STEP_FOLD_SAVING_VMCR) foldNone(this.vgic, v, pe)
  }

  /**
   * `saveVmcr` without its calls, which are too many for V8.
   * @inline
   */
  private saveBeforeFold(v: Vcpu, pe: Pe): void {
    const { words } = this
    if (words[v + VCPU_LOADED] !== 0) words[v + VCPU_VMCR] = this.seam.readVmcr(words, v, pe)
  }

  /** @inline */
  private foldRow(v: Vcpu, pe: Pe): void {
    if (this.folding === 0) this.vgic.fold(v)
    else this.foldOtherwise(v, pe)
  }

  private foldOtherwise(v: Vcpu, pe: Pe): void {
    if (this.savesVmcr !== 0) foldSavingVmcr(this.vgic, v, pe)
    else this.foldByStep(v, pe)
  }

  private foldByStep(v: Vcpu, pe: Pe): void {
    if (this.savesFirst === true) this.saveBeforeFold(v, pe)
    if (this.folding === STEP_FOLD_IGNORING_EOI_COUNT) foldIgnoringEoiCount(this.vgic, v)
    else if (this.folding === STEP_FOLD_SAVING_VMCR) foldSavingVmcr(this.vgic, v, pe)
    else if (this.folding === STEP_FOLD && this.savesFirst === true) this.vgic.fold(v)
    else this.foldOfDesign(v)
  }

  /** @noinline */
  private foldOfDesign(v: Vcpu): void {
    if (this.folding === STEP_FOLD) this.fold(v)
    else performStep(this, this.folding, v)
  }

  exitAroundToReason(v: Vcpu, at: number): number {
    const { table } = this
    this.exitAround(v, asPe(this.words[v + VCPU_PE]), at)
    return table[(table[at + TABLE_LAST] << TABLE_SHIFT) + 1 + this.takeExitReason(v)]
  }

  /**
   * The rows of the exit, as `fusedExit`, without the result of the last.
   * @inline
   */
  exitAround(v: Vcpu, pe: Pe, at: number): void {
    const { words, exitGap: gap } = this
    if (gap >= 0) {
      if (gap !== BEFORE_OUTSIDE) words[v + VCPU_THREAD] &= ~THREAD_MODE
      if (gap === AFTER_FOLD) {
        this.exitWithRowAfterFold(v, pe)
        return
      }
      this.takeRow(this.exitStep, v)
    } else if (this.exitsPlainly === false) {
      this.exitThroughGaps(v, pe, at)
      return
    }
    this.fusedExit(v, pe)
  }

  /** @inline */
  private exitWithRowAfterFold(v: Vcpu, pe: Pe): void {
    const { words } = this
    this.foldBack(words, v, pe)
    if (words[pe + PE_LINES] & LINE_IRQ) this.seam.settleMaintenance(words, pe)
    this.takeRow(this.exitStep, v)
    let thread = words[v + VCPU_THREAD] & ~THREAD_IRQS_OFF
    if (words[pe + PE_LINES] & HOST_LINES) thread = this.takenInterrupts(v, thread)
    words[v + VCPU_THREAD] = withPreemptOn(thread)
  }

  private exitThroughGaps(v: Vcpu, pe: Pe, at: number): void {
    // As in `enterThroughGaps`: a fold notifies other vCPUs only.
    const { words, exitGaps: open } = this
    let thread = words[v + VCPU_THREAD]
    if (open & (1 << BEFORE_OUTSIDE)) thread = this.throughGap(v, at, BEFORE_OUTSIDE, thread)
    thread &= ~THREAD_MODE
    if (open & (1 << BEFORE_FOLD)) thread = this.throughGap(v, at, BEFORE_FOLD, thread)
    words[v + VCPU_THREAD] = thread
    this.foldBack(words, v, pe)
    // Linux 7.2's leaves ICH_HCR_EL2 zero, so that the maintenance interrupt falls.
    if (words[pe + PE_LINES] & LINE_IRQ) this.seam.settleMaintenance(words, pe)
    if (open & (1 << AFTER_FOLD)) thread = this.throughGap(v, at, AFTER_FOLD, thread)
    thread &= ~THREAD_IRQS_OFF
    if (words[pe + PE_LINES] & HOST_LINES) thread = this.takenInterrupts(v, thread)
    words[v + VCPU_THREAD] = withPreemptOn(thread)
    if (open & (1 << BEFORE_REASON)) this.takeGap(v, at, BEFORE_REASON)
  }

  /** The host takes its interrupts from a thread whose word is `thread` by now; returns what that becomes. */
  private takenInterrupts(v: Vcpu, thread: number): number {
    this.words[v + VCPU_THREAD] = thread
    this.irqOn(v)
    return this.words[v + VCPU_THREAD]
  }

  /** After `saveVmcr` the thread goes on by single rows, since `fusedExit` has that, too. */
  exitToReason(v: Vcpu, at: number): number {
    const { table } = this
    if (this.savesFirst === true) return table[at + 1 + performStep(this, table[at], v)]
    return this.exitPlainly(v, at)
  }

  /** All rows of an exit that `fusedExit` takes, and the last. */
  exitPlainly(v: Vcpu, at: number): number {
    const { table } = this
    this.fusedExit(v, asPe(this.words[v + VCPU_PE]))
    return table[(table[at + TABLE_LAST] << TABLE_SHIFT) + 1 + this.takeExitReason(v)]
  }

  /**
   * The rows of the exit, with `saveVmcr` before the fold if the design has that there, without the result of the last. If
   * the host injects nothing, there is no timer for `timerSync` to sample. V8 does not know that a field is a boolean, and tests
   * it for being true in 11 instructions.
   * @inline
   */
  fusedExit(v: Vcpu, pe: Pe): void {
    const { words } = this
    if (this.injects === true || words[pe + PE_LINES] & LINE_IRQ) {
      this.exitTakingInterrupts(v, pe)
      return
    }
    words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD]) & ~(THREAD_MODE | THREAD_IRQS_OFF)
    this.foldBack(words, v, pe)
  }

  /**
   * The rows of the exit if the host has an interrupt, or injects those that it takes: interrupts are turned on only after
   * the fold, which may make the maintenance interrupt fall.
   * @noinline
   */
  private exitTakingInterrupts(v: Vcpu, pe: Pe): void {
    const { words } = this
    words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD]) & ~THREAD_MODE
    this.foldBack(words, v, pe)
    this.takeInterrupts(v, pe)
  }

  private takeInterrupts(v: Vcpu, pe: Pe): void {
    const { words } = this
    this.timers.sync(v)
    if ((words[pe + PE_LINES] & LINE_IRQ) === 0) {
      words[v + VCPU_THREAD] &= ~THREAD_IRQS_OFF
      return
    }
    this.seam.settleMaintenance(words, pe)
    this.irqOn(v)
  }
}

/** The thread comes to rest at a program counter, in a THREAD_ state. */
export function restAt(words: Int32Array, v: Vcpu, pc: Pc, state: number): number {
  words[v + VCPU_PC] = pc
  return ~state
}
