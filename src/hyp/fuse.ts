/**
 * Superinstructions: sequences of rows that nearly every design has, done by one piece of code in run-loop.ts.
 * Here they are found in a table: a row begins one only if the rows that follow it by result 0 are exactly the
 * sequence. An edited design that has other rows there goes step by step, slower and still right.
 */
import { type Program, TABLE_FUSED, TABLE_SHIFT } from './design.ts'
import {
  STEP_EXIT_REASON,
  STEP_FLUSH,
  STEP_FOLD,
  STEP_GUEST,
  STEP_HANDLE_REQUESTS,
  STEP_IRQ_OFF,
  STEP_IRQ_ON,
  STEP_POLL_AGAIN,
  STEP_POLL_BEGIN,
  STEP_PREEMPT_OFF,
  STEP_PREEMPT_ON,
  STEP_PUBLISH_IN_GUEST,
  STEP_PUBLISH_OUTSIDE,
  STEP_REQUEST_PENDING,
  STEP_RUNNABLE,
  STEP_SET_SLEEPING,
  STEP_SIGNAL_PENDING,
  STEP_SLEEP,
  STEP_TIMER_SYNC,
} from './steps.ts'

/** From the head of the loop into the guest; ends early at the first and at the last question. */
export const FUSED_ENTRY = 1
/** From the guest's exit to the question why it left. */
export const FUSED_EXIT = 2
/** A halt that does not poll, to its sleep. */
export const FUSED_HALT = 3

const sequences: readonly (readonly [number, readonly number[]])[] = [
  [
    FUSED_ENTRY,
    [
      STEP_SIGNAL_PENDING,
      STEP_HANDLE_REQUESTS,
      STEP_PREEMPT_OFF,
      STEP_IRQ_OFF,
      STEP_FLUSH,
      STEP_PUBLISH_IN_GUEST,
      STEP_REQUEST_PENDING,
      STEP_GUEST,
    ],
  ],
  [
    FUSED_EXIT,
    [STEP_PUBLISH_OUTSIDE, STEP_FOLD, STEP_TIMER_SYNC, STEP_IRQ_ON, STEP_PREEMPT_ON, STEP_EXIT_REASON],
  ],
  [FUSED_HALT, [STEP_POLL_BEGIN, STEP_POLL_AGAIN, STEP_SET_SLEEPING, STEP_RUNNABLE, STEP_SLEEP]],
]

/** The program counters of a sequence that begins at `pc`; undefined if the table does not have it there. */
function match(table: Int32Array, pc: number, sequence: readonly number[]): number[] | undefined {
  const pcs: number[] = []
  let at = pc
  for (const op of sequence) {
    if (table[at << TABLE_SHIFT] !== op) return undefined
    pcs.push(at)
    at = table[(at << TABLE_SHIFT) + 1]
  }
  return pcs
}

/** Where a marked row keeps the sequence's last row, and where its questions but the last lead if they say yes. */
export const FUSED_LAST = TABLE_FUSED - 1
export const FUSED_YES_1 = TABLE_FUSED - 2
export const FUSED_YES_2 = TABLE_FUSED - 3

/** Marks the superinstructions in a program's table and returns the table. */
export function fuse({ table, steps }: Program): Int32Array {
  for (let pc = 1; pc < steps.length; pc++) {
    for (const [fused, sequence] of sequences) {
      const rows = match(table, pc, sequence)
      if (!rows) continue
      const at = pc << TABLE_SHIFT
      const questions = rows.slice(0, -1).filter((row) => (steps[row]?.outcomes.length ?? 0) > 1)
      table[at + TABLE_FUSED] = fused
      table[at + FUSED_LAST] = rows[rows.length - 1]
      for (const [i, row] of questions.entries())
        table[at + FUSED_YES_1 - i] = table[(row << TABLE_SHIFT) + 2]
    }
  }
  return table
}
