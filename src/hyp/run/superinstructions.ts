/**
 * Superinstructions: sequences of rows that designs have in common, done by one piece of code in run-loop.ts.
 * Here they are found in a table: a row begins one only if the rows that follow it by the expected results are
 * exactly the sequence. An edited design that has other rows there goes step by step, slower and still right.
 */
import { type Program, TABLE_FUSED, TABLE_SHIFT } from './program.ts'
import * as op from './step-numbers.ts'

/** From the head of the loop into the guest. */
export const FUSED_ENTRY = 1
/** From the guest's exit to the question why it left. */
export const FUSED_EXIT = 2
/** A halt with a put, with the flag that says so, and its first look; and its end, with the load. */
export const FUSED_PUT_FOR_HALT = 3
export const FUSED_LOAD_AFTER_HALT = 4
/** A halt with a VMCR sync and its first look; and the end of one where nothing was put. */
export const FUSED_SAVE_VMCR = 5
export const FUSED_AFTER_HALT = 6
/** Another look of halt polling. */
export const FUSED_POLL = 7
/** A halting thread goes to sleep, and a woken one looks whether it may go on. */
export const FUSED_SLEEP = 8
export const FUSED_WAKE = 9
/** A trapped system register access, and an MMIO access to the emulated GIC. */
export const FUSED_SYSREG = 10
export const FUSED_MMIO = 11
/** The scheduler's notifiers. */
export const FUSED_SCHED_OUT = 12
export const FUSED_SCHED_IN = 13
export const FUSED_SCHED_IN_WAITING = 14

/** A question in a sequence that is expected to be answered with yes; others are with no. */
interface Yes {
  readonly yes: number
}
const yes = (question: number): Yes => ({ yes: question })

const sequences: readonly (readonly [number, readonly (number | Yes)[]])[] = [
  [
    FUSED_ENTRY,
    [
      op.STEP_SIGNAL_PENDING,
      op.STEP_HANDLE_REQUESTS,
      op.STEP_PREEMPT_OFF,
      op.STEP_IRQ_OFF,
      op.STEP_FLUSH,
      op.STEP_PUBLISH_IN_GUEST,
      op.STEP_REQUEST_PENDING,
      op.STEP_GUEST,
    ],
  ],
  [
    FUSED_EXIT,
    [
      op.STEP_PUBLISH_OUTSIDE,
      op.STEP_FOLD,
      op.STEP_TIMER_SYNC,
      op.STEP_IRQ_ON,
      op.STEP_PREEMPT_ON,
      op.STEP_EXIT_REASON,
    ],
  ],
  [FUSED_POLL, [yes(op.STEP_POLL_AGAIN), op.STEP_RUNNABLE]],
  [FUSED_SLEEP, [op.STEP_SET_SLEEPING, op.STEP_RUNNABLE, op.STEP_SLEEP]],
  [FUSED_WAKE, [op.STEP_SLEEP, op.STEP_SET_SLEEPING, yes(op.STEP_RUNNABLE), op.STEP_SET_RUNNING]],
  [
    FUSED_PUT_FOR_HALT,
    [
      op.STEP_PREEMPT_OFF,
      op.STEP_SET_WAITING,
      op.STEP_PUT,
      op.STEP_PREEMPT_ON,
      op.STEP_POLL_BEGIN,
      yes(op.STEP_POLL_AGAIN),
      op.STEP_RUNNABLE,
    ],
  ],
  [
    FUSED_LOAD_AFTER_HALT,
    [
      op.STEP_POLL_END,
      op.STEP_CLEAR_UNHALT,
      op.STEP_PREEMPT_OFF,
      op.STEP_CLEAR_WAITING,
      op.STEP_LOAD,
      op.STEP_TRAP_DIR,
      op.STEP_PREEMPT_ON,
      op.STEP_SKIP_INSTRUCTION,
    ],
  ],
  [
    FUSED_SAVE_VMCR,
    [
      op.STEP_PREEMPT_OFF,
      op.STEP_SAVE_VMCR,
      op.STEP_PREEMPT_ON,
      op.STEP_POLL_BEGIN,
      yes(op.STEP_POLL_AGAIN),
      op.STEP_RUNNABLE,
    ],
  ],
  [FUSED_AFTER_HALT, [op.STEP_POLL_END, op.STEP_CLEAR_UNHALT, op.STEP_SKIP_INSTRUCTION]],
  [FUSED_SYSREG, [op.STEP_EMULATE_SYSREG, op.STEP_SKIP_INSTRUCTION]],
  [FUSED_MMIO, [op.STEP_EMULATE_MMIO, op.STEP_SKIP_INSTRUCTION]],
  [FUSED_MMIO, [op.STEP_EMULATE_MMIO_FROM_MEMORY, op.STEP_SKIP_INSTRUCTION]],
  [FUSED_SCHED_OUT, [op.STEP_PUT, op.STEP_GIVE_UP_CPU]],
  [FUSED_SCHED_IN, [op.STEP_LOAD, op.STEP_TRAP_DIR, op.STEP_TIMER_LOAD, op.STEP_RESUME]],
  [
    FUSED_SCHED_IN_WAITING,
    [op.STEP_LOAD_UNLESS_WAITING, yes(op.STEP_NOT_LOADED), op.STEP_TIMER_LOAD, op.STEP_RESUME],
  ],
]

/** Where a marked row keeps the sequence's last row, and where that leads by result 0. */
export const FUSED_LAST = 14
export const FUSED_NEXT = 13
/** Where its questions, but the last row, lead if they are not answered as expected. */
export const FUSED_ELSE_1 = 12
export const FUSED_ELSE_2 = 11

/** Marks the superinstructions in a program's table and returns the table. */
export function fuse({ table, steps }: Program): Int32Array {
  for (let pc = 1; pc < steps.length; pc++) {
    const found = sequences.find(([, sequence]) => mark(table, steps, pc, sequence))
    if (found) table[(pc << TABLE_SHIFT) + TABLE_FUSED] = found[0]
  }
  return table
}

/** Fills in the row at `pc` if the sequence begins there; false if it does not. */
function mark(
  table: Int32Array,
  steps: Program['steps'],
  pc: number,
  sequence: readonly (number | Yes)[],
): boolean {
  const others: number[] = []
  let [last, next] = [pc, pc]
  for (const step of sequence) {
    last = next
    const row = last << TABLE_SHIFT
    const [number, expected] = typeof step === 'number' ? [step, 0] : [step.yes, 1]
    if (table[row] !== number) return false
    next = table[row + 1 + expected]
    if (steps[last]?.outcomes.length === 2) others.push(table[row + 2 - expected])
  }
  const row = pc << TABLE_SHIFT
  table.set([next, last], row + FUSED_NEXT)
  if (others.length > 0) table[row + FUSED_ELSE_1] = others[0]
  if (others.length > 1) table[row + FUSED_ELSE_2] = others[1]
  return true
}
