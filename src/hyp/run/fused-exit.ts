/**
 * The superinstructions of the exit: `exit`, and `exitAround`, which has rows of a design's own. fused-steps.ts says what a
 * method returns.
 */
import { HOST_LINES, LINE_IRQ, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
import {
  THREAD_IRQS_OFF,
  THREAD_MODE,
  VCPU_AP_COUNT,
  VCPU_LOADED,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_USED_LRS,
  VCPU_VMCR,
  type Vcpu,
  withPreemptOn,
} from '../records/vcpu.ts'
import { foldIgnoringEoiCount, foldNone, foldSavingVmcr } from '../vgic/vgic-v3-linux.ts'
import { GapSteps } from './gap-steps.ts'
import { type Program, TABLE_ANY, TABLE_LAST, TABLE_OPEN, TABLE_SHIFT } from './program.ts'
import { performStep } from './step-dispatch.ts'
import {
  STEP_FOLD,
  STEP_FOLD_IGNORING_EOI_COUNT,
  STEP_FOLD_SAVING_VMCR,
  STEP_SAVE_VMCR,
} from './step-numbers.ts'
import type { StepParts } from './thread-steps.ts'

/** The gaps of `exitAround`, in the order of its sequence. */
const BEFORE_OUTSIDE = 0
const BEFORE_FOLD = 1
const AFTER_FOLD = 2
const BEFORE_REASON = 3

export class FusedExit extends GapSteps {
  /**
   * The step that folds the list registers; 0 for `fold` without `saveVmcr` before it. It need not settle the maintenance
   * interrupt then, which it does not enable; nor need Linux 6.1's and 7.2's.
   */
  private readonly folding: number
  /** 1 if every exit accesses the hardware; and if it is Linux 7.2's fold alone that does. */
  private readonly accessesAtExit: number
  private readonly savesVmcr: number
  /** Whether the gaps of `exitAround` have nothing but `saveVmcr` before the fold, and the host injects nothing. */
  private readonly savesFirst: boolean
  /** The gaps of `exitAround` that have rows. */
  private readonly exitGaps: number
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
    const folding = this.wordOf('exitAround', TABLE_ANY)
    this.exitGaps = this.wordOf('exitAround', TABLE_OPEN)
    const exitGap = injects
      ? -1
      : this.gapOfRow('exitAround', this.exitGaps, [BEFORE_OUTSIDE, BEFORE_FOLD, AFTER_FOLD])
    this.exitStep = this.stepIn('exitAround', exitGap)
    this.savesFirst = this.exitStep === STEP_SAVE_VMCR && exitGap !== AFTER_FOLD
    this.exitGap = this.savesFirst ? -1 : exitGap
    this.exitsPlainly = !injects && (this.exitGaps === 0 || this.savesFirst)
    this.folding = folding === STEP_FOLD && !this.savesFirst ? 0 : folding
    this.injects = injects
    this.savesVmcr = folding === STEP_FOLD_SAVING_VMCR && !this.savesFirst ? 1 : 0
    this.accessesAtExit = this.savesFirst ? 1 : this.savesVmcr
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

  /**
   * The row of the design that folds the list registers, without a call where there is nothing to do, as at most exits.
   * Every step that changes list registers has settled the maintenance interrupt, so that one that finds none need not.
   * @inline
   */
  private foldBack(words: Int32Array, v: Vcpu, pe: Pe): void {
    if (words[v + VCPU_AP_COUNT] | words[v + VCPU_USED_LRS]) this.foldRow(v, pe)
    else if (this.accessesAtExit !== 0) this.foldNone(v, pe)
  }

  private foldNone(v: Vcpu, pe: Pe): void {
    if (this.savesFirst === true) this.saveAndFoldNone(v, pe)
    else foldNone(this.vgic, v, pe, 0)
  }

  private saveAndFoldNone(v: Vcpu, pe: Pe): void {
    if (this.folding === STEP_FOLD_SAVING_VMCR) foldNone(this.vgic, v, pe, this.words[v + VCPU_LOADED])
    else this.saveBeforeFold(v, pe)
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
    else if (this.folding === STEP_FOLD) this.vgic.fold(v)
    else performStep(this, this.folding, v)
  }
}
