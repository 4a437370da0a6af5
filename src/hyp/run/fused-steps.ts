/**
 * The superinstructions: a method for each row of superinstructions.ts, which names it. No other actor comes in
 * between, so what one row has asked or set still holds for the next, and what one row would undo of another is left
 * out. Those of entries are in fused-entry.ts, and those of exits in fused-exit.ts.
 *
 * A method returns the program counter at which the thread, or its notifier, goes on; if the thread comes to rest, ~
 * its THREAD_ value, with the program counter in VCPU_PC. `at` is the row of the table at which the superinstruction
 * begins.
 */

import { asPe } from '../../gic/records/pe.ts'
import {
  asPc,
  REQ_UNHALT,
  TASK_RUNNING,
  TASK_SLEEPING,
  THREAD_WAITING,
  taskOf,
  VCPU_LOADED,
  VCPU_PE,
  VCPU_THREAD,
  type Vcpu,
  withPreemptOff,
  withPreemptOn,
  withTask,
} from '../records/vcpu.ts'
import { MMIO_DONE } from '../vgic/vgic-mmio.ts'
import { putActivePriorities } from '../vgic/vgic-v3-linux.ts'
import { FusedEntry, restAt } from './fused-entry.ts'
import * as linux from './linux-steps.ts'
import {
  ENDED,
  TABLE_ANY,
  TABLE_ELSE_1,
  TABLE_ELSE_2,
  TABLE_LAST,
  TABLE_NEXT,
  TABLE_OPEN,
  TABLE_SHIFT,
} from './program.ts'
import { STEP_RUNNABLE, STEP_RUNNABLE_ON_DEMAND } from './step-numbers.ts'
import { THREAD_POLLS, THREAD_SLEEPS, THREAD_WAITS_FOR_VCPUS } from './thread-states.ts'

/** Those of `halt`, of `afterHaltSection`, and of `afterHaltAround`, which has the first two of the latter. */
const BEFORE_HALT = 0
const BEFORE_BEGIN = 1
const AFTER_BEGIN = 2
const BEFORE_UNHALT = 0
const AFTER_UNHALT = 1
const IN_SECTION = 2
const AFTER_SECTION = 3

export class FusedSteps extends FusedEntry {
  /** @noinline */
  putForHalt(v: Vcpu, at: number): number {
    const { words, table } = this
    const next = table[at + TABLE_NEXT]
    const question = table[at + TABLE_ANY]
    words[v + VCPU_THREAD] |= THREAD_WAITING
    if (words[v + VCPU_LOADED] !== 0) this.vgic.put(words, v, asPe(words[v + VCPU_PE]))
    return this.firstLook(v, at, question, next)
  }

  /** @noinline */
  putAgainForHalt(v: Vcpu, at: number): number {
    const { words, table } = this
    const next = table[at + TABLE_NEXT]
    const question = table[at + TABLE_ANY]
    words[v + VCPU_THREAD] |= THREAD_WAITING
    putActivePriorities(this.vgic, v)
    return this.firstLook(v, at, question, next)
  }

  /**
   * `pollBegin` and the rows of `look`, a call of which would be 50 instructions.
   * @inline
   */
  private firstLook(v: Vcpu, at: number, question: number, next: number): number {
    const { words, table } = this
    if (this.halt.beginAndPoll(words, v) === false) return table[at + TABLE_ELSE_1]
    if (this.canRun(words, v, question) === true) return table[at + TABLE_ELSE_2]
    return restAt(words, v, asPc(next), THREAD_POLLS)
  }

  saveVmcrForHalt(v: Vcpu, at: number): number {
    this.saveVmcr(v)
    this.halt.begin(this.words, v)
    return this.look(v, at)
  }

  /** @noinline */
  loadAfterHalt(v: Vcpu, at: number): number {
    const { words } = this
    this.halt.end(words, v)
    words[v + VCPU_THREAD] &= ~(REQ_UNHALT | THREAD_WAITING)
    this.loadAndTrapDir(words, v, asPe(words[v + VCPU_PE]))
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  /** @noinline */
  loadAgainAfterHalt(v: Vcpu, at: number): number {
    this.halt.end(this.words, v)
    this.words[v + VCPU_THREAD] &= ~(REQ_UNHALT | THREAD_WAITING)
    linux.loadAgain(this, v)
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  beginHalt(v: Vcpu, at: number): number {
    const { words } = this
    const open = this.table[at + TABLE_OPEN]
    if (open & (1 << BEFORE_HALT)) {
      words[v + VCPU_THREAD] = withPreemptOff(words[v + VCPU_THREAD])
      this.takeGap(v, at, BEFORE_HALT)
      words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD])
    }
    if (open & (1 << BEFORE_BEGIN)) this.takeGap(v, at, BEFORE_BEGIN)
    this.halt.begin(this.words, v)
    if (open & (1 << AFTER_BEGIN)) this.takeGap(v, at, AFTER_BEGIN)
    return this.look(v, at)
  }

  beginHaltAtOnce(v: Vcpu, at: number): number {
    this.halt.begin(this.words, v)
    return this.look(v, at)
  }

  /**
   * A check of halt polling. If it fails, the thread stops before its next check, since others may act.
   * @noinline
   */
  look(v: Vcpu, at: number): number {
    const { words, table } = this
    if (this.halt.pollAgain(words, v) === false) return table[at + TABLE_ELSE_1]
    if (this.canRun(words, v, table[at + TABLE_ANY]) === true) return table[at + TABLE_ELSE_2]
    return restAt(words, v, asPc(table[at + TABLE_NEXT]), THREAD_POLLS)
  }

  /** Asks the question of a halt. */
  protected canRun(words: Int32Array, v: Vcpu, question: number): boolean {
    return question === STEP_RUNNABLE ? this.halt.checkBlock(words, v) : this.canRunOtherwise(v, question)
  }

  private canRunOtherwise(v: Vcpu, question: number): boolean {
    if (question === STEP_RUNNABLE_ON_DEMAND) return this.checkBlockOnDemand(v)
    return this.ownSteps.perform(question, v) !== 0
  }

  lookAndSleep(v: Vcpu, at: number): number {
    const { words, table } = this
    words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_SLEEPING)
    if (this.canRun(words, v, table[at + TABLE_ANY]) === true) return table[at + TABLE_ELSE_1]
    return restAt(words, v, asPc(table[at + TABLE_LAST]), THREAD_SLEEPS)
  }

  lookAwake(v: Vcpu, at: number): number {
    const { words, table } = this
    const thread = words[v + VCPU_THREAD]
    if (taskOf(thread) === TASK_SLEEPING) return restAt(words, v, asPc(at >> TABLE_SHIFT), THREAD_SLEEPS)
    const isAwake = this.canRun(words, v, table[at + TABLE_ANY])
    words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], isAwake ? TASK_RUNNING : TASK_SLEEPING)
    return table[at + (isAwake ? TABLE_NEXT : TABLE_ELSE_1)]
  }

  endHaltSection(v: Vcpu, at: number): number {
    const { words } = this
    const open = this.table[at + TABLE_OPEN]
    this.endPolling(v, at, open)
    if (open & (1 << IN_SECTION)) {
      words[v + VCPU_THREAD] = withPreemptOff(words[v + VCPU_THREAD])
      this.takeGap(v, at, IN_SECTION)
      words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD])
    }
    if (open & (1 << AFTER_SECTION)) this.takeGap(v, at, AFTER_SECTION)
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  endHalt(v: Vcpu, at: number): number {
    this.halt.end(this.words, v)
    this.words[v + VCPU_THREAD] &= ~REQ_UNHALT
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  endHaltAround(v: Vcpu, at: number): number {
    this.endPolling(v, at, this.table[at + TABLE_OPEN])
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  private endPolling(v: Vcpu, at: number, open: number): void {
    this.halt.end(this.words, v)
    if (open & (1 << BEFORE_UNHALT)) this.takeGap(v, at, BEFORE_UNHALT)
    this.words[v + VCPU_THREAD] &= ~REQ_UNHALT
    if (open & (1 << AFTER_UNHALT)) this.takeGap(v, at, AFTER_UNHALT)
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
    if (this.mmio.mustWait(v)) return this.waitForVcpus(v, at)
    return this.skipIfDone(v, at, this.emulateMmio(v))
  }

  emulateMmioFromMemoryAndSkip(v: Vcpu, at: number): number {
    if (this.mmio.mustWait(v)) return this.waitForVcpus(v, at)
    return this.skipIfDone(v, at, linux.emulateMmioFromMemory(this, v))
  }

  private waitForVcpus(v: Vcpu, at: number): number {
    return restAt(this.words, v, asPc(at >> TABLE_SHIFT), THREAD_WAITS_FOR_VCPUS)
  }

  private skipIfDone(v: Vcpu, at: number, outcome: number): number {
    if (outcome !== MMIO_DONE) return this.table[at + 1 + outcome]
    this.skipInstruction(v)
    return this.table[at + TABLE_NEXT]
  }

  carryOut(v: Vcpu, at: number): number {
    const n = this.takeCommand(v)
    if (n < 0) return this.table[at + TABLE_ELSE_1]
    this.commands.execute(n)
    return this.table[at + TABLE_NEXT]
  }

  carryOutAsLinux61(v: Vcpu, at: number): number {
    if (this.takeCommand(v) < 0) return this.table[at + TABLE_ELSE_1]
    linux.executeCommandAsLinux61(this, v)
    return this.table[at + TABLE_NEXT]
  }

  /** Takes the next command of the ITS whose queue a vCPU has locked, and says which ITS; -1 if there is none. */
  private takeCommand(v: Vcpu): number {
    const n = this.commands.lockedBy(v)
    if (n < 0 || !this.commands.take(n)) return -1
    this.commands.invalidateFor(n)
    return n
  }

  schedOut(v: Vcpu, _at: number): number {
    this.put(v)
    this.giveUpCpu(v)
    return ENDED
  }

  schedOutAround(v: Vcpu, at: number): number {
    if (this.table[at + TABLE_OPEN] !== 0) this.takeGap(v, at, 0)
    this.giveUpCpu(v)
    return ENDED
  }

  schedInAround(v: Vcpu, at: number): number {
    if (this.table[at + TABLE_OPEN] !== 0) this.takeGap(v, at, 0)
    return ENDED
  }

  schedOutDirect(v: Vcpu, _at: number): number {
    this.vpePutByFlag(v)
    this.put(v)
    this.giveUpCpu(v)
    return ENDED
  }

  schedInDirect(v: Vcpu, _at: number): number {
    const { words } = this
    this.loadAndTrapDir(words, v, asPe(words[v + VCPU_PE]))
    this.vpeLoadUnlessWaiting(v)
    this.timers.load(v)
    return ENDED
  }

  schedIn(v: Vcpu, _at: number): number {
    this.vcpuLoad(v)
    return ENDED
  }

  schedInAgain(v: Vcpu, _at: number): number {
    this.timers.load(v)
    linux.loadAgain(this, v)
    return ENDED
  }

  schedInWaiting(v: Vcpu, at: number): number {
    this.loadUnlessWaiting(v)
    if (this.words[v + VCPU_LOADED] !== 0) return this.table[at + TABLE_ELSE_1]
    this.timers.load(v)
    return ENDED
  }
}
