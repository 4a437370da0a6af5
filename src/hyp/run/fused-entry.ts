/**
 * The superinstructions of the entry: `entry`, with GICv4 `entryDirect`, and `entryAround`, which has rows of a design's own.
 * fused-steps.ts says what a method returns.
 */
import { HCR_En } from '../../arch/ich-registers.ts'
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
  type Vcpu,
  withMode,
  withPreemptOff,
} from '../records/vcpu.ts'
import { HCR_IN_USE } from '../vgic/vgic-v3.ts'
import { flushWritingHcr } from '../vgic/vgic-v3-linux.ts'
import { FusedExit } from './fused-exit.ts'
import * as linux from './linux-steps.ts'
import {
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
  STEP_FOLD_SAVING_VMCR,
  STEP_NOT_LOADED,
} from './step-numbers.ts'
import { THREAD_IN_GUEST, THREAD_WAITS_FOR_VCPUS } from './thread-states.ts'
import type { StepParts } from './thread-steps.ts'

/** The gaps of `entryAround`, in the order of its sequence. */
const AFTER_REQUESTS = 0
const AFTER_PREEMPT_OFF = 1
const BEFORE_FLUSH = 2
const AFTER_FLUSH = 3
const AFTER_PUBLISH = 4

export class FusedEntry extends FusedExit {
  /**
   * The step that fills the list registers between gaps. 0 if it need not settle the maintenance interrupt then: `flush` as in
   * `entry`, and Linux 7.2's with its fold. Nor need Linux 6.1's for one interrupt, which enables none.
   */
  private readonly flushing: number
  /**
   * 1, the length of the ap_lists that `flushOnly` is for, if the row that fills is `flush` or Linux 6.1's; otherwise -1, which
   * none has. And ICH_HCR_EL2 then.
   */
  private readonly onlyCount: number
  private readonly onlyHcr: number
  /** The program counter of the `guest` that ends `entryAround`. */
  protected readonly aroundEnteredPc: number
  /** 1 if every entry accesses the hardware. */
  readonly writesHcr: number
  /** The gaps of `entryAround` that have rows. */
  readonly entryGaps: number
  /** The gap of `entryAround` that has rows, if there is one before the flush, with one row of one result; else -1. */
  private readonly entryGap: number
  /** The step of that row, and what a thread's word has more while it is taken: preemption off, and interrupts. */
  private readonly entryStep: number
  private readonly entryPreempt: number
  private readonly entryIrqs: number
  /** Whether the gaps of `entryAround` have nothing but what `notLoaded?` asks for. */
  private readonly reloads: boolean

  constructor(program: Program, parts: StepParts) {
    super(program, parts)
    const flushing = this.wordOf('entryAround', TABLE_ANY)
    const folding = this.wordOf('exitAround', TABLE_ANY)
    const isPlain =
      flushing === STEP_FLUSH || (flushing === STEP_FLUSH_WRITING_HCR && folding === STEP_FOLD_SAVING_VMCR)
    this.flushing = isPlain ? 0 : flushing
    const isActiveFirst = flushing === STEP_FLUSH_ACTIVE_FIRST
    this.onlyCount = flushing === 0 || flushing === STEP_FLUSH || isActiveFirst ? 1 : -1
    this.onlyHcr = isActiveFirst ? HCR_En : HCR_IN_USE
    this.writesHcr = flushing === STEP_FLUSH_WRITING_HCR ? 1 : 0
    this.aroundEnteredPc = this.wordOf('entryAround', TABLE_LAST)
    this.entryGaps = this.wordOf('entryAround', TABLE_OPEN)
    this.entryGap = this.gapOfRow('entryAround', this.entryGaps, [
      AFTER_REQUESTS,
      AFTER_PREEMPT_OFF,
      BEFORE_FLUSH,
    ])
    this.entryStep = this.stepIn('entryAround', this.entryGap)
    this.entryPreempt = this.entryGap === AFTER_REQUESTS ? 0 : withPreemptOff(0)
    this.entryIrqs = this.entryGap === BEFORE_FLUSH ? THREAD_IRQS_OFF : 0
    this.reloads = this.entryGaps === 1 << AFTER_PREEMPT_OFF && this.asksForReload()
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
}

/** The thread comes to rest at a program counter, in a THREAD_ state. */
export function restAt(words: Int32Array, v: Vcpu, pc: Pc, state: number): number {
  words[v + VCPU_PC] = pc
  return ~state
}
