/**
 * Superinstructions: sequences of rows that designs have in common, each done by one method of FusedSteps. They are
 * matched in a design's table: a row begins one only if the rows that follow, with the expected results, are exactly
 * the sequence. A design with other rows there is executed step by step, slower and with the same results. A test
 * records which design fuses what.
 */
import { asPc, type Pc, type Vcpu } from '../records/vcpu.ts'
import { VCPU_USED_LRS } from '../records/vcpu-offsets.ts'
import {
  type NextPc,
  type Program,
  TABLE_ELSE_1,
  TABLE_ELSE_2,
  TABLE_FUSED,
  TABLE_LAST,
  TABLE_NEXT,
  TABLE_SHIFT,
} from './program.ts'
import type { Step } from './step.ts'
import * as step from './steps.ts'

/** A question in a sequence whose expected answer is yes; that of others is no. */
interface Yes {
  readonly yes: Step
}
const yes = (question: Step): Yes => ({ yes: question })

/** A sequence of rows, and the method that does it. */
export interface Superinstruction {
  readonly name: string
  /** The method of FusedSteps. For a question that is answered otherwise, it follows the table. */
  readonly does: string
  readonly rows: readonly (Step | Yes)[]
  /** The superinstruction that must follow the guest wherever the design enters it; {@link admits} relies on that. */
  readonly after?: string
  /** Whether the method has the effect of the rows, for a vCPU that is about to do the first; always if left out. */
  readonly admits?: (words: Int32Array, v: Vcpu) => boolean
}

/** All superinstructions; the i-th has number i + 1. */
export const superinstructions: readonly Superinstruction[] = [
  {
    // From the head of the loop into the guest.
    name: 'entry',
    does: 'entry',
    rows: [
      step.signalPending,
      step.handleRequests,
      step.preemptOff,
      step.irqOff,
      step.flush,
      step.publishInGuest,
      step.requestPending,
      step.guest,
    ],
    // It fills list registers that it takes for empty, as a fused exit leaves them.
    after: 'exit',
    admits: (words, v) => words[v + VCPU_USED_LRS] === 0,
  },
  {
    // The same with GICv4.
    name: 'entryDirect',
    does: 'entryDirect',
    rows: [
      step.signalPending,
      step.handleRequests,
      step.vpeReload,
      step.preemptOff,
      step.irqOff,
      step.flush,
      step.vpeCommit,
      step.publishInGuest,
      step.requestPending,
      step.guest,
    ],
    after: 'exit',
    admits: (words, v) => words[v + VCPU_USED_LRS] === 0,
  },
  {
    // From the guest's exit to the question why it left.
    name: 'exit',
    does: 'exitToReason',
    rows: [step.publishOutside, step.fold, step.timerSync, step.irqOn, step.preemptOn, step.exitReason],
  },
  {
    // Another look of halt polling.
    name: 'poll',
    does: 'look',
    rows: [yes(step.pollAgain), step.runnable],
  },
  {
    // A halting thread goes to sleep.
    name: 'sleep',
    does: 'lookAndSleep',
    rows: [step.setSleeping, step.runnable, step.sleep],
  },
  {
    // A thread that was woken looks whether it may go on.
    name: 'wake',
    does: 'lookAwake',
    rows: [step.sleep, step.setSleeping, yes(step.runnable), step.setRunning],
  },
  {
    // A halt with a put, with the flag that says so, and its first look.
    name: 'putForHalt',
    does: 'putForHalt',
    rows: [
      step.preemptOff,
      step.setWaiting,
      step.put,
      step.preemptOn,
      step.pollBegin,
      yes(step.pollAgain),
      step.runnable,
    ],
  },
  {
    // Its end, with the load.
    name: 'loadAfterHalt',
    does: 'loadAfterHalt',
    rows: [
      step.pollEnd,
      step.clearUnhalt,
      step.preemptOff,
      step.clearWaiting,
      step.load,
      step.trapDir,
      step.preemptOn,
      step.skipInstruction,
    ],
  },
  {
    // A halt with a VMCR sync, and its first look.
    name: 'saveVmcrForHalt',
    does: 'saveVmcrForHalt',
    rows: [
      step.preemptOff,
      step.saveVmcr,
      step.preemptOn,
      step.pollBegin,
      yes(step.pollAgain),
      step.runnable,
    ],
  },
  {
    // The end of a halt where nothing was put.
    name: 'afterHalt',
    does: 'afterHalt',
    rows: [step.pollEnd, step.clearUnhalt, step.skipInstruction],
  },
  {
    name: 'sysreg',
    does: 'emulateSysregAndSkip',
    rows: [step.emulateSysreg, step.skipInstruction],
  },
  {
    name: 'mmio',
    does: 'emulateMmioAndSkip',
    rows: [step.emulateMmio, step.skipInstruction],
  },
  {
    // A command of an ITS: its_lock is free, since this vCPU has cmd_lock.
    name: 'command',
    does: 'carryOut',
    rows: [step.noCommand, step.lockIts, step.invalidateCache, step.executeCommand, step.unlockIts],
  },
  {
    name: 'mmioFromMemory',
    does: 'emulateMmioFromMemoryAndSkip',
    rows: [step.emulateMmioFromMemory, step.skipInstruction],
  },
  {
    name: 'schedOut',
    does: 'schedOut',
    rows: [step.put, step.giveUpCpu],
  },
  {
    // With GICv4.
    name: 'schedOutDirect',
    does: 'schedOutDirect',
    rows: [step.vpePutByFlag, step.put, step.giveUpCpu],
  },
  {
    name: 'schedInDirect',
    does: 'schedInDirect',
    rows: [step.load, step.trapDir, step.vpeLoadUnlessWaiting, step.timerLoad, step.resume],
  },
  {
    name: 'schedIn',
    does: 'schedIn',
    rows: [step.load, step.trapDir, step.timerLoad, step.resume],
  },
  {
    // Of a vCPU that waits in its WFI.
    name: 'schedInWaiting',
    does: 'schedInWaiting',
    rows: [step.loadUnlessWaiting, yes(step.notLoaded), step.timerLoad, step.resume],
  },
]

/** Marks the superinstructions in a program's table and returns the table. */
export function fuse(program: Program): Int32Array {
  const { table, steps } = program
  for (let pc = 1; pc < steps.length; pc++) {
    const found = superinstructions.findIndex((fused) => mark(program, asPc(pc), fused))
    if (found >= 0) table[(pc << TABLE_SHIFT) + TABLE_FUSED] = found + 1
  }
  return table
}

/** The superinstruction that begins at a program counter of a table that is fused. */
export const fusedAt = (table: Int32Array, pc: NextPc): Superinstruction | undefined =>
  superinstructions[table[(pc << TABLE_SHIFT) + TABLE_FUSED] - 1]

/** Fills in the row at `pc` if the sequence begins there; false if it does not. */
function mark(program: Program, pc: Pc, { rows, after }: Superinstruction): boolean {
  const { table } = program
  const others: number[] = []
  let [last, next]: [number, number] = [pc, pc]
  for (const row of rows) {
    last = next
    const at = last << TABLE_SHIFT
    const [{ op, outcomes }, expected] = 'yes' in row ? [row.yes, 1] : [row, 0]
    if (table[at] !== op) return false
    next = table[at + 1 + expected]
    if (outcomes.length === 2) others.push(table[at + 2 - expected])
  }
  if (after !== undefined && !followsEveryGuest(program, after)) return false
  const at = pc << TABLE_SHIFT
  table[at + TABLE_LAST] = last
  table[at + TABLE_NEXT] = next
  table[at + TABLE_ELSE_1] = others[0] ?? 0
  table[at + TABLE_ELSE_2] = others[1] ?? 0
  return true
}

/** Whether the rows of a superinstruction follow the guest wherever the design enters it. */
function followsEveryGuest(program: Program, name: string): boolean {
  const fused = superinstructions.find((other) => other.name === name)
  const { table, steps } = program
  return [...steps.keys()]
    .filter((pc) => table[pc << TABLE_SHIFT] === step.guest.op)
    .every((pc) => fused !== undefined && mark(program, asPc(table[(pc << TABLE_SHIFT) + 1]), fused))
}
