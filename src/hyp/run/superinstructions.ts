/**
 * Superinstructions: sequences of rows that designs have in common, each done by one method of FusedSteps. They are
 * matched in a design's table: a row begins one only if the rows that follow, with the expected results, are exactly
 * the sequence. Some may be any of several steps, and a sequence with gaps allows a design rows of its own there, which
 * are taken one by one, so that an edit costs what it adds. Other rows are taken step by step, slower and with the same
 * results. A test records which design fuses what.
 */
import { asPc, type Pc } from '../records/vcpu.ts'
import {
  type NextPc,
  type Program,
  TABLE_ANY,
  TABLE_ELSE_1,
  TABLE_ELSE_2,
  TABLE_FUSED,
  TABLE_GAPS,
  TABLE_LAST,
  TABLE_NEXT,
  TABLE_OPEN,
  TABLE_SHIFT,
} from './program.ts'
import { isOwnStep, type Step } from './step.ts'
import * as step from './steps.ts'

/** Where a design may have more rows: any of {@link inGaps}. */
const GAP = 'gap'

/** The question by which a halt asks whether its own vCPU would run: the library's, or one of a design's own. */
const CAN_RUN = 'canRun'

/** A question in a sequence whose expected answer is yes; that of others is no. */
interface Yes {
  readonly yes: Step | typeof CAN_RUN
}
const yes = (question: Yes['yes']): Yes => ({ yes: question })

/** A row that is any of several steps, none of which is a question. */
type OneOf = readonly Step[]

type SequenceRow = Step | Yes | OneOf | typeof CAN_RUN | typeof GAP

/** The rows that take the requests: what a request asks for is not done by the superinstruction. */
const anyHandling: OneOf = [step.handleRequests, step.handleRequestsPruning]
/** The rows that fill the list registers before an entry, and those that fold them after an exit. */
const anyFlush: OneOf = [step.flush, step.flushActiveFirst, step.flushUnheld, step.flushWritingHcr]
const anyFold: OneOf = [
  step.fold,
  step.foldUnheld,
  step.foldIgnoringEoiCount,
  step.foldSavingVmcr,
  step.foldListRegisters,
]

/** A sequence of rows, and the method that does it. */
export interface Superinstruction {
  readonly name: string
  /** The method of FusedSteps. For a question that is answered otherwise, it follows the table. */
  readonly does: string
  readonly rows: readonly SequenceRow[]
  /**
   * The only place where it may begin, if there is one: the head of the loop, after the only guest, or where a notifier
   * begins.
   */
  readonly begins?: 'head' | 'afterGuest' | 'schedOut' | 'schedIn'
  /** It fills list registers that it takes for empty, and so is only for designs that {@link foldsEachFlush}. */
  readonly fills?: true
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
    fills: true,
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
    fills: true,
  },
  {
    // From the guest's exit to the question why it left.
    name: 'exit',
    does: 'exitToReason',
    rows: [step.publishOutside, step.fold, step.timerSync, step.irqOn, step.preemptOn, step.exitReason],
  },
  {
    // Into the guest, where a design does more than that, or fills the list registers in another way.
    name: 'entryAround',
    does: 'entryAround',
    begins: 'head',
    rows: [
      step.signalPending,
      anyHandling,
      GAP,
      step.preemptOff,
      GAP,
      step.irqOff,
      GAP,
      anyFlush,
      GAP,
      step.publishInGuest,
      GAP,
      step.requestPending,
      step.guest,
    ],
    fills: true,
  },
  {
    // And out of it.
    name: 'exitAround',
    does: 'exitAroundToReason',
    begins: 'afterGuest',
    rows: [GAP, step.publishOutside, GAP, anyFold, GAP, step.irqOn, step.preemptOn, GAP, step.exitReason],
  },
  {
    // Another look of halt polling.
    name: 'poll',
    does: 'look',
    rows: [yes(step.pollAgain), CAN_RUN],
  },
  {
    // A halting thread goes to sleep.
    name: 'sleep',
    does: 'lookAndSleep',
    rows: [step.setSleeping, CAN_RUN, step.sleep],
  },
  {
    // A thread that was woken looks whether it may go on.
    name: 'wake',
    does: 'lookAwake',
    rows: [step.sleep, step.setSleeping, yes(CAN_RUN), step.setRunning],
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
      CAN_RUN,
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
    // As Linux 7.2 has both.
    name: 'putAgainForHalt',
    does: 'putAgainForHalt',
    rows: [
      step.preemptOff,
      step.setWaiting,
      step.putAgain,
      step.preemptOn,
      step.pollBegin,
      yes(step.pollAgain),
      CAN_RUN,
    ],
  },
  {
    name: 'loadAgainAfterHalt',
    does: 'loadAgainAfterHalt',
    rows: [
      step.pollEnd,
      step.clearUnhalt,
      step.preemptOff,
      step.clearWaiting,
      step.loadAgain,
      step.preemptOn,
      step.skipInstruction,
    ],
  },
  {
    // A halt with a VMCR sync, and its first look.
    name: 'saveVmcrForHalt',
    does: 'saveVmcrForHalt',
    rows: [step.preemptOff, step.saveVmcr, step.preemptOn, step.pollBegin, yes(step.pollAgain), CAN_RUN],
  },
  {
    // The begin of a halt, what a design does before it with preemption off, and its first look.
    name: 'halt',
    does: 'beginHalt',
    rows: [step.preemptOff, GAP, step.preemptOn, GAP, step.pollBegin, GAP, yes(step.pollAgain), CAN_RUN],
  },
  {
    // The begin of a halt before which a design does nothing.
    name: 'haltAtOnce',
    does: 'beginHaltAtOnce',
    rows: [step.pollBegin, yes(step.pollAgain), CAN_RUN],
  },
  {
    // The end of a halt, and what a design does after it with preemption off.
    name: 'afterHaltSection',
    does: 'endHaltSection',
    rows: [
      step.pollEnd,
      GAP,
      step.clearUnhalt,
      GAP,
      step.preemptOff,
      GAP,
      step.preemptOn,
      GAP,
      step.skipInstruction,
    ],
  },
  {
    // The end of a halt after which a design does nothing so.
    name: 'afterHalt',
    does: 'endHalt',
    rows: [step.pollEnd, step.clearUnhalt, step.skipInstruction],
  },
  {
    name: 'afterHaltAround',
    does: 'endHaltAround',
    rows: [step.pollEnd, GAP, step.clearUnhalt, GAP, step.skipInstruction],
  },
  {
    name: 'sysreg',
    does: 'emulateSysregAndSkip',
    rows: [step.emulateSysreg, step.skipInstruction],
  },
  {
    // As Linux 7.2 has it.
    name: 'sysregByShadow',
    does: 'emulateSysregByShadowAndSkip',
    rows: [step.emulateSysregByShadow, step.deactivationLeft, step.skipInstruction],
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
    name: 'commandAsLinux61',
    does: 'carryOutAsLinux61',
    rows: [step.noCommand, step.lockIts, step.invalidateCache, step.executeCommandAsLinux61, step.unlockIts],
  },
  {
    // As Linux has it.
    name: 'mmioFromMemory',
    does: 'emulateMmioFromMemoryAndSkip',
    rows: [[step.emulateMmioFromMemory, step.emulateMmioAsLinux61], step.skipInstruction],
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
    // As Linux 7.2 has it.
    name: 'schedInAgain',
    does: 'schedInAgain',
    rows: [step.timerLoad, step.loadAgain, step.resume],
  },
  {
    // Of a vCPU that waits in its WFI.
    name: 'schedInWaiting',
    does: 'schedInWaiting',
    rows: [step.loadUnlessWaiting, yes(step.notLoaded), step.timerLoad, step.resume],
  },
  {
    // Notifiers that do something else.
    name: 'schedOutAround',
    does: 'schedOutAround',
    begins: 'schedOut',
    rows: [GAP, step.giveUpCpu],
  },
  {
    name: 'schedInAround',
    does: 'schedInAround',
    begins: 'schedIn',
    rows: [GAP, step.resume],
  },
]

/**
 * The steps that may be in a gap: they wait for nobody, do not end the thread's turn, and read neither its program counter
 * nor its exit's reason. A design's own may be there too.
 */
const inGaps: ReadonlySet<number> = new Set(
  [
    ...[step.load, step.loadAgain, step.loadUnlessWaiting, step.trapDir, step.timerLoad],
    ...[step.put, step.putAgain, step.timerPut, step.timerSync, step.saveVmcr, step.notLoaded],
    ...anyFold,
    ...[step.setWaiting, step.clearWaiting, step.vpeCommit, step.vpeReload, step.vpeEnable, step.vpeDisable],
    ...[step.vpePut, step.vpePutDoorbell, step.vpePutByFlag],
  ].map(({ op }) => op),
)

const canRun: ReadonlySet<number> = new Set([step.runnable.op, step.runnableOnDemand.op])

/** Rows in a gap, at most; and steps from one end to the other. */
const LONGEST_GAP = 16

/**
 * Marks the superinstructions in a program's table and returns the table. `idle` are steps that do nothing on the
 * machine, which a gap need not take at its end.
 */
export function fuse(program: Program, idle: readonly number[] = []): Int32Array {
  const { table, steps } = program
  for (let pc = 1; pc < steps.length; pc++) {
    const found = superinstructions.findIndex((fused) => mark(program, asPc(pc), fused, idle))
    if (found >= 0) table[(pc << TABLE_SHIFT) + TABLE_FUSED] = found + 1
  }
  return table
}

/** The superinstruction that begins at a program counter of a table that is fused. */
export const fusedAt = (table: Int32Array, pc: NextPc): Superinstruction | undefined =>
  superinstructions[table[(pc << TABLE_SHIFT) + TABLE_FUSED] - 1]

/**
 * The rows of the superinstruction that begins at a program counter, those in gaps too; none if there is no
 * superinstruction, or a row in a gap asks a question, so that others may follow.
 */
export function rowsOf(program: Program, pc: number): readonly number[] {
  const fused = fusedAt(program.table, pc as NextPc)
  const gaps = [...((fused && match(program, asPc(pc), fused)?.gaps) || [])]
  const rows: number[] = []
  let at = pc
  for (const row of fused?.rows ?? []) {
    const end = row === GAP ? gaps.shift()?.[1] : at
    for (; at !== end; at = program.table[(at << TABLE_SHIFT) + 1]) {
      if ((program.steps[at]?.outcomes.length ?? 0) > 1) return []
      rows.push(at)
    }
    if (row === GAP) continue
    rows.push(at)
    at = program.table[(at << TABLE_SHIFT) + (isYes(row) ? 2 : 1)]
  }
  return rows
}

/** Where the rows of a superinstruction are. */
interface Match {
  /** Its last row, and the one after that for result 0. */
  readonly last: number
  readonly next: number
  /** Where questions lead that are answered otherwise. */
  readonly others: readonly number[]
  /** Where each gap begins and ends. */
  readonly gaps: readonly (readonly [number, number])[]
  /** The step that is the row which may be any of several; 0 if there is none. */
  readonly any: number
}

/** Finds the rows of a superinstruction that begins at `pc`; undefined if it does not. */
function match(program: Program, pc: Pc, { rows, begins }: Superinstruction): Match | undefined {
  const { table } = program
  if (begins !== undefined && pc !== (begins === 'afterGuest' ? afterOnlyGuest(program) : program[begins]))
    return undefined
  // Most do not begin here: it is asked before anything is allocated.
  const first = program.steps[pc]
  if (first === undefined || (rows[0] !== GAP && !mayBe(rows[0], first))) return undefined
  const others: number[] = []
  const gaps: [number, number][] = []
  let any = 0
  let [last, next]: [number, number] = [pc, pc]
  for (const [i, row] of rows.entries()) {
    if (row === GAP) {
      const end = endOfGap(program, next, rows[i + 1])
      if (end < 0) return undefined
      gaps.push([next, end])
      next = end
      continue
    }
    last = next
    const at = last << TABLE_SHIFT
    const found = program.steps[last]
    if (found === undefined || !mayBe(row, found)) return undefined
    if (isAnyOfSeveral(row)) any = table[at]
    const expected = isYes(row) ? 1 : 0
    next = table[at + 1 + expected]
    if (found.outcomes.length === 2) others.push(table[at + 2 - expected])
  }
  return { last, next, others, gaps, any }
}

const isYes = (row: SequenceRow): row is Yes => typeof row === 'object' && 'yes' in row
const isOneOf = (row: SequenceRow): row is OneOf => Array.isArray(row)
const isAnyOfSeveral = (row: SequenceRow): boolean =>
  isOneOf(row) || row === CAN_RUN || (isYes(row) && row.yes === CAN_RUN)

const asksRunnable = ({ asks, outcomes }: Step): boolean => asks === 'runnable' && outcomes.length === 2

/** Whether a row of a sequence may be a step. */
function mayBe(row: SequenceRow, found: Step): boolean {
  if (row === GAP) return false
  if (row === CAN_RUN) return isOwnStep(found) ? asksRunnable(found) : canRun.has(found.op)
  if (isOneOf(row)) return row.some((each) => mayBe(each, found))
  return isYes(row) ? mayBe(row.yes, found) : row.op === found.op
}

/** Whether a row is a question that may be answered otherwise. */
export const isQuestion = (row: SequenceRow): boolean =>
  row === CAN_RUN || isYes(row) || (row !== GAP && !isOneOf(row) && row.outcomes.length === 2)

/** The row, of those that `wanted` may be, to which all ways lead by rows that may be in a gap; -1 if there is none. */
function endOfGap(program: Program, from: number, wanted: SequenceRow): number {
  const { table, steps } = program
  let end = from
  for (let left = LONGEST_GAP; ; left--) {
    const found = steps[end]
    if (found === undefined || left === 0) return -1
    if (mayBe(wanted, found)) break
    end = table[(end << TABLE_SHIFT) + 1]
  }
  return allLeadTo(program, from, end, LONGEST_GAP) ? end : -1
}

function allLeadTo(program: Program, from: number, end: number, left: number): boolean {
  if (from === end) return true
  const found = program.steps[from]
  if (left === 0 || found === undefined || !(isOwnStep(found) || inGaps.has(found.op))) return false
  return nextsOf(program, from).every((next) => allLeadTo(program, next, end, left - 1))
}

/** Where a row may lead. */
function nextsOf({ table, steps }: Program, pc: number): Int32Array {
  const at = (pc << TABLE_SHIFT) + 1
  return table.subarray(at, at + Math.max(steps[pc]?.outcomes.length ?? 0, 1))
}

/** Fills in the row at `pc` if the sequence begins there; false if it does not. */
function mark(program: Program, pc: Pc, fused: Superinstruction, idle: readonly number[]): boolean {
  const found = match(program, pc, fused)
  if (found === undefined || (fused.fills && !foldsEachFlush(program))) return false
  const { table } = program
  const at = pc << TABLE_SHIFT
  table[at + TABLE_LAST] = found.last
  table[at + TABLE_NEXT] = found.next
  table[at + TABLE_ELSE_1] = found.others[0] ?? 0
  table[at + TABLE_ELSE_2] = found.others[1] ?? 0
  table[at + TABLE_ANY] = found.any
  for (const [i, [from, to]] of found.gaps.entries()) {
    const end = endOfWork(program, from, to, idle)
    table[at + TABLE_GAPS + 2 * i] = from << TABLE_SHIFT
    table[at + TABLE_GAPS + 2 * i + 1] = hasOneRow(program, from, end)
      ? ~table[from << TABLE_SHIFT]
      : end << TABLE_SHIFT
    if (end !== from) table[at + TABLE_OPEN] |= 1 << i
  }
  return true
}

/** Whether a gap has one row, which has one result. */
const hasOneRow = ({ table, steps }: Program, from: number, end: number): boolean =>
  steps[from]?.outcomes.length === 0 && from !== end && table[(from << TABLE_SHIFT) + 1] === end

/** Where a gap ends if an idle step at its end is not taken. */
function endOfWork({ table, steps }: Program, from: number, to: number, idle: readonly number[]): number {
  for (let pc = from; pc !== to; pc = table[(pc << TABLE_SHIFT) + 1]) {
    if ((steps[pc]?.outcomes.length ?? 0) > 1) return to
    if (table[(pc << TABLE_SHIFT) + 1] === to && idle.includes(table[pc << TABLE_SHIFT])) return pc
  }
  return to
}

/** The row after the guest of a design that enters it in one place; 0 for any other. */
function afterOnlyGuest({ table, steps }: Program): number {
  let only = 0
  for (let pc = 1; pc < steps.length; pc++) {
    if (table[pc << TABLE_SHIFT] !== step.guest.op) continue
    if (only !== 0) return 0
    only = pc
  }
  return only === 0 ? 0 : table[(only << TABLE_SHIFT) + 1]
}

/**
 * Whether each flush of a design is followed by a fold before the next, whichever way the thread takes: also where the
 * entry is given up. Otherwise the guest would have list registers of two flushes, of which the fold empties those of the
 * last, and one that is left, and that the guest has ended, asserts the maintenance interrupt when the next flush enables
 * the interface. The row `flush` settles that, a superinstruction does not.
 */
function foldsEachFlush(program: Program): boolean {
  const { steps } = program
  const ahead = [...steps.keys()]
    .filter((pc) => isFlush(steps[pc]))
    .flatMap((pc) => [...nextsOf(program, pc)])
  const seen = new Set<number>()
  for (const pc of ahead) {
    if (seen.has(pc)) continue
    seen.add(pc)
    const found = steps[pc]
    if (found === undefined || isFlush(found)) return false
    if (!mayBe(anyFold, found)) ahead.push(...nextsOf(program, pc))
  }
  return true
}

const isFlush = (found: Step | undefined): boolean => step.rowOf(found?.op ?? 0)?.lists === 'flush'
