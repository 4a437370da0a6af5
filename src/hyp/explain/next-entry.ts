/**
 * The list registers and the CPU interface that a vCPU's guest will run with: the current ones if it is in the guest
 * and stays there, otherwise those that its next entry will make. The latter are made on the machine itself, by the
 * hypervisor's own fold and flush, and undone, counters included.
 */
import { clearLr, lrAt } from '../../gic/cpu-interface/ich.ts'
import { DAIF_F, DAIF_I } from '../../gic/cpu-interface/pcpu.ts'
import type { Hypervisor } from '../hypervisor.ts'
import {
  peOf,
  THREAD_REQUESTS,
  VCPU_LAST_CPU,
  VCPU_LOADED,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_USED_LRS,
  type Vcpu,
} from '../records/vcpu.ts'
import { TABLE_SHIFT } from '../run/program.ts'
import {
  STEP_GUEST,
  STEP_IRQ_ON,
  STEP_LOAD,
  STEP_REQUEST_PENDING,
  STEP_TIMER_LOAD,
  STEP_TIMER_SYNC,
} from '../run/step-numbers.ts'
import { stepRows } from '../run/steps.ts'
import { THREAD_IN_GUEST } from '../run/thread-states.ts'

/** Calls `look`, which may change the machine, and undoes what it changed. */
export function peek<T>({ words, seam }: Hypervisor, look: () => T): T {
  const before = words.slice()
  const { observer } = seam
  seam.observer = null
  try {
    return look()
  } finally {
    words.set(before)
    seam.observer = observer
  }
}

/**
 * Whether a vCPU's guest continues with its current list registers: it is in the guest and no interrupt of the host
 * makes it exit, or its list registers are filled and it is about to enter.
 */
export function keepsListRegisters(hypervisor: Hypervisor, v: Vcpu): boolean {
  const { words, runLoop, guest } = hypervisor
  const pe = peOf(words, v)
  if (pe === 0) return false
  const isThere = runLoop.threadState(v) === THREAD_IN_GUEST
  const isNext =
    comesTo(hypervisor, v, STEP_GUEST, [...flushes, ...folds]) &&
    (words[v + VCPU_THREAD] & THREAD_REQUESTS) === 0
  return (isThere || isNext) && !guest.isInterrupted(v)
}

/**
 * Whether a thread will come to a step with none of `others` before it, and no question but `requestPending?`, whose
 * answer is taken to be no.
 */
function comesTo({ words, runLoop }: Hypervisor, v: Vcpu, op: number, others: readonly number[]): boolean {
  if (words[v + VCPU_NOTIFIER] !== 0) return false
  const { table, steps } = runLoop.program
  for (let pc = words[v + VCPU_PC], taken = 0; taken < steps.length; taken++) {
    const step = steps[pc]
    if (!step || others.includes(step.op)) return false
    if (step.op === op) return true
    if (step.outcomes.length > 0 && step.op !== STEP_REQUEST_PENDING) return false
    pc = table[(pc << TABLE_SHIFT) + 1]
  }
  return false
}

const [flushes, folds] = (['flush', 'fold'] as const).map((what) =>
  stepRows.filter(({ lists }) => lists === what).map(({ step }) => step.op),
)

/** Inside {@link peek}: folds a vCPU's list registers, as its design does after an exit. */
export function foldBack(hypervisor: Hypervisor, v: Vcpu): void {
  const { words, runLoop } = hypervisor
  if (words[v + VCPU_PE] !== 0 && words[v + VCPU_USED_LRS] !== 0)
    runLoop.perform(stepOf(hypervisor, folds), v)
}

/**
 * Inside {@link peek}: prepares a vCPU for filling its list registers. It exits from its guest, or gets the PE that
 * it ran on last, whichever vCPU is there now.
 */
export function prepareEntry(hypervisor: Hypervisor, v: Vcpu): void {
  const { words, runLoop } = hypervisor
  const isAtExit =
    runLoop.threadState(v) === THREAD_IN_GUEST || comesTo(hypervisor, v, STEP_TIMER_SYNC, [STEP_GUEST])
  foldBack(hypervisor, v)
  if (words[v + VCPU_PE] === 0) takePe(hypervisor, v)
  if (words[v + VCPU_LOADED] === 0) {
    runLoop.perform(STEP_LOAD, v)
    runLoop.perform(STEP_TIMER_LOAD, v)
  }
  if (isAtExit) runLoop.perform(STEP_TIMER_SYNC, v)
  runLoop.perform(STEP_IRQ_ON, v)
}

/** Gives the thread the PE that it ran on last, and removes the state of the vCPU that runs there. */
function takePe({ words, seam, config, scheduler, silicon }: Hypervisor, v: Vcpu): void {
  const cpu = words[v + VCPU_LAST_CPU]
  const pe = silicon.peOf(cpu)
  if (silicon.pcpu.isInGuest(pe)) silicon.pcpu.leaveGuest(pe)
  scheduler.place(v, cpu)
  seam.beginFold(words, pe, 0, config.listRegisters, 0)
  for (let n = 0; n < config.listRegisters; n++) clearLr(words, lrAt(pe, n))
}

/** Inside {@link peek}, after {@link prepareEntry}: fills the list registers. */
export function fillListRegisters(hypervisor: Hypervisor, v: Vcpu): void {
  hypervisor.runLoop.perform(stepOf(hypervisor, flushes), v)
}

/** The one of these steps that the design has, else the first. */
function stepOf({ runLoop }: Hypervisor, numbers: readonly number[]): number {
  return runLoop.program.steps.find((step) => step && numbers.includes(step.op))?.op ?? numbers[0]
}

/** PSTATE.I and F of a vCPU's guest, DAIF_ bits, also while its PE is at EL2. */
export function guestMasks({ words, silicon }: Hypervisor, v: Vcpu): number {
  const { pcpu } = silicon
  const pe = peOf(words, v)
  return pcpu.isInGuest(pe) ? pcpu.masks(pe) : pcpu.readSpsr(pe) & (DAIF_I | DAIF_F)
}
