/** What the explorer knows of a step before it is taken: what it can change, and whether it is a question. */
import type { Step } from '../hyp/design.ts'
import {
  flush,
  flushActiveFirst,
  fold,
  foldIgnoringEoiCount,
  irqOn,
  STEP_RUNNABLE,
  STEP_RUNNABLE_ON_DEMAND,
  timerLoad,
  timerSync,
} from '../hyp/steps.ts'

/** Bits: it changes only words of its own thread. */
export const LOCAL = 1
/** A question, and the one that a halt asks of its own vCPU. */
export const ASKS = 2
export const ASKS_OWN_RUNNABLE = 4
/** A step of the guest, and one of the thread on its PE. */
export const GUEST = 8
export const ON_PE = 16
/** A flush or a fold, and a step that only looks at the timers. */
export const ON_LISTS = 32
export const ON_TIMERS = 64

const listSteps: readonly Step[] = [flush, flushActiveFirst, fold, foldIgnoringEoiCount]
const timerSteps: readonly Step[] = [irqOn, timerLoad, timerSync]

/** The bits of a step; none for the end. */
export function kindOf(step: Step | undefined): number {
  if (!step) return 0
  const own = step.op === STEP_RUNNABLE || step.op === STEP_RUNNABLE_ON_DEMAND
  const asksOwnRunnable = own || ('perform' in step && step.name.startsWith('runnable'))
  return (
    (step.reach === 'thread' ? LOCAL : step.reach === 'pe' ? ON_PE : 0) |
    (step.outcomes.length > 1 ? ASKS : 0) |
    (asksOwnRunnable ? ASKS_OWN_RUNNABLE : 0) |
    (listSteps.includes(step) ? ON_LISTS : 0) |
    (timerSteps.includes(step) ? ON_TIMERS : 0)
  )
}
