/**
 * The rows that a design has in the gaps of superinstructions. They are taken one by one, by the table, as any rows; a
 * gap without rows costs a look at a bit.
 */
import { VCPU_THREAD, type Vcpu } from '../records/vcpu.ts'
import * as linux from './linux-steps.ts'
import { type NextPc, type Program, TABLE_GAPS, TABLE_SHIFT } from './program.ts'
import { STEP_OWN } from './step.ts'
import { performStep } from './step-dispatch.ts'
import {
  STEP_CLEAR_WAITING,
  STEP_LOAD_AGAIN,
  STEP_NOT_LOADED,
  STEP_PUT,
  STEP_PUT_AGAIN,
  STEP_SAVE_VMCR,
  STEP_SET_WAITING,
  STEP_TIMER_SYNC,
} from './step-numbers.ts'
import { fuse, fusedAt } from './superinstructions.ts'
import { type StepParts, ThreadSteps } from './thread-steps.ts'

export class GapSteps extends ThreadSteps {
  readonly table: Int32Array

  constructor(
    readonly program: Program,
    parts: StepParts,
  ) {
    super(parts)
    this.table = fuse(program, parts.timers.present ? [] : [STEP_TIMER_SYNC])
  }

  /** A word of the row at which a superinstruction begins; 0 if it begins nowhere. */
  protected wordOf(name: string, word: number): number {
    const { table, program } = this
    const pc = program.steps.findIndex((_, each) => fusedAt(table, each as NextPc)?.name === name)
    return pc < 0 ? 0 : table[(pc << TABLE_SHIFT) + word]
  }

  /** That of some gaps which is the only one of `open`, and has one row of one result; else -1. */
  protected gapOfRow(name: string, open: number, gaps: readonly number[]): number {
    return gaps.find((gap) => open === 1 << gap && this.wordOf(name, TABLE_GAPS + 2 * gap + 1) < 0) ?? -1
  }

  /** The step of the row in a gap that {@link gapOfRow} has found; 0 for none. */
  protected stepIn(name: string, gap: number): number {
    return gap < 0 ? 0 : ~this.wordOf(name, TABLE_GAPS + 2 * gap + 1)
  }

  /** Takes the rows in a gap, which has some, of the superinstruction at `at`. */
  takeGap(v: Vcpu, at: number, gap: number): void {
    const { table } = this
    const gaps = at + TABLE_GAPS + 2 * gap
    const end = table[gaps + 1]
    if (end < 0) this.takeRow(~end, v)
    else this.takeRows(v, table[gaps], end)
  }

  private takeRows(v: Vcpu, from: number, end: number): void {
    const { table } = this
    let row = from
    do row = table[row + 1 + this.takeRow(table[row], v)] << TABLE_SHIFT
    while (row !== end)
  }

  /** `takeGap` for a thread whose word is `thread` by now; returns what the rows make of that. */
  throughGap(v: Vcpu, at: number, gap: number, thread: number): number {
    // V8 cannot tell that the sum of a thread's bits has 32 bits, and would keep it as a floating-point number.
    this.words[v + VCPU_THREAD] = thread | 0
    this.takeGap(v, at, gap)
    return this.words[v + VCPU_THREAD]
  }

  takeRow(step: number, v: Vcpu): number {
    return step >= STEP_OWN ? this.ownSteps.perform(step, v) : this.takeLibraryRow(step, v)
  }

  /** `performStep`, without its switch for the rows that the library's designs mostly have in gaps. */
  private takeLibraryRow(step: number, v: Vcpu): number {
    if (step === STEP_NOT_LOADED) return this.isUnloaded(v) ? 1 : 0
    if (step === STEP_SAVE_VMCR) this.saveVmcr(v)
    else if (step === STEP_SET_WAITING) this.setWaiting(v)
    else if (step === STEP_CLEAR_WAITING) this.clearWaiting(v)
    else if (step === STEP_PUT) this.put(v)
    else if (step === STEP_PUT_AGAIN) linux.putAgain(this, v)
    else if (step === STEP_LOAD_AGAIN) linux.loadAgain(this, v)
    else return performStep(this, step, v)
    return 0
  }
}
