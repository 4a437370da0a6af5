/**
 * Partial-order reduction: in a state in which the next step of a vCPU's thread is local, that step alone is explored,
 * and not the steps of all other actors before it. (Ample sets of one step: Clarke, Grumberg, Peled, "Model Checking",
 * chapter 10.)
 *
 * A step is local if it commutes with whatever other actors do until it is taken, and neither side can hinder the
 * other. Those listed here read and write words of their own thread's record that nobody else reads or writes, or bits
 * of its thread word that nobody else does: the counts of preemption and interrupts off, the flag that it waits,
 * KVM_REQ_UNHALT, what is left of halt polling, the exit reason, its program counters. Requests, the mode and the
 * task's state, which a kick reads or writes in the same word, are other bits.
 *
 * Only a preemption of this very thread looks at those counts. It does not commute, and what may still be taken of
 * interventions is part of the state: so a step is local only if the thread cannot be preempted, which only the
 * thread itself can change, or if no intervention is left. The budget itself is not touched.
 *
 * No invariant tells the states apart that are left out: none that is checked after a step of another actor depends on
 * what a local step writes, except those of GICv4's residency, and L4, which is about schedules without end. L4 is not
 * checked. Those of residency look at whether a thread can be preempted and whether its vCPU waits, and of a vCPU that
 * does they ask more: what breaks them in a state that is left out breaks them after preemptOn and setWaiting, too, but
 * not after preemptOff and clearWaiting. So with GICv4 these two are not local. Neither are irqOff and irqOn there, since
 * a doorbell interrupts the host at once, nor what touches the CPU interface or the vPE. Where a local
 * step leads back to a state on the stack, all actors are explored, so that none is put off forever. States in which
 * no actor can step are all kept.
 *
 * The same goes for several explorers that leave the states that another has done with (closed-states.ts). Suppose a
 * cycle of states from each of which only the local step was taken, by whomever. One of them was done with first: its
 * explorer had found the next one on its own stack, since nobody was done with that, and then took all steps. With
 * symmetry, read orbits for states: a step is local in all states of an orbit, of the actor that takes the place.
 */
import {
  MODE_OUTSIDE,
  peOf,
  THREAD_MODE,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_WFIT,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import * as op from '../hyp/run/step-numbers.ts'
import type { Actor, Machine } from '../scenario/machine.ts'

/** Local always; while no kick can send an IPI, and none is pending; while no WFIT's timeout is set. */
const ALWAYS = 1
const IF_QUIET = 2
const IF_NO_TIMEOUT = 3

const always = [
  op.STEP_PREEMPT_ON,
  op.STEP_EXIT_REASON,
  op.STEP_SET_WAITING,
  op.STEP_POLL_BEGIN,
  op.STEP_POLL_AGAIN,
  op.STEP_POLL_END,
  op.STEP_CLEAR_UNHALT,
  op.STEP_RESUME,
]
/** Without GICv4: their states ask less of a resident vPE than those before them. */
const withoutVpes = [op.STEP_PREEMPT_OFF, op.STEP_CLEAR_WAITING]
/** Without timers they do nothing. */
const ofTimers = [op.STEP_TIMER_LOAD, op.STEP_TIMER_PUT, op.STEP_TIMER_SYNC]
/** The CPU interface of a VM's only vCPU, which is on the PE: devices look at neither. */
const alone = [op.STEP_LOAD, op.STEP_LOAD_UNLESS_WAITING, op.STEP_PUT, op.STEP_SAVE_VMCR, op.STEP_NOT_LOADED]

export class LocalSteps {
  private readonly words: Int32Array
  /** By program counter, when the step is local; 0 for never. */
  private readonly rows: Uint8Array

  constructor(private readonly machine: Machine) {
    const { hypervisor } = machine
    this.words = hypervisor.words
    const { program } = hypervisor.runLoop
    const kinds = kindsFor(machine)
    this.rows = Uint8Array.from(program.steps, (step) => (step && kinds.get(step.op)) ?? 0)
  }

  /**
   * Whether the next step of an actor that can step is local; `preempts` says whether an intervention is left that
   * preempts a thread.
   */
  isLocal({ kind, index }: Actor, preempts: boolean): boolean {
    if (kind !== 'vcpu') return false
    const { words } = this
    const { hypervisor } = this.machine
    const v = hypervisor.vcpu(index)
    if (words[v + VCPU_PE] === 0 || (preempts && hypervisor.scheduler.canPreempt(v))) return false
    switch (this.rows[words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]]) {
      case ALWAYS:
        return true
      case IF_QUIET:
        return this.isQuiet(v)
      case IF_NO_TIMEOUT:
        return words[v + VCPU_WFIT] === 0
      default:
        return false
    }
  }

  private isQuiet(v: Vcpu): boolean {
    const { words } = this
    const { pcpu } = this.machine.hypervisor.silicon
    return (words[v + VCPU_THREAD] & THREAD_MODE) === MODE_OUTSIDE && pcpu.physicalLines(peOf(words, v)) === 0
  }
}

/** Which steps are ever local on a machine, by number. */
function kindsFor({ hypervisor, setup, isSaved }: Machine): ReadonlyMap<number, number> {
  const kinds = new Map<number, number>()
  // A save waits until threads have come to a certain step.
  if (isSaved) return kinds
  for (const step of always) kinds.set(step, ALWAYS)
  kinds.set(op.STEP_SKIP_INSTRUCTION, IF_NO_TIMEOUT)
  if (hypervisor.v4 !== undefined) return kinds
  for (const step of withoutVpes) kinds.set(step, ALWAYS)
  // A timer or a mapped SPI interrupts the host at once, if interrupts are on.
  if (setup.timers || hypervisor.layout.mappedCount > 0) return kinds
  for (const step of ofTimers) kinds.set(step, ALWAYS)
  kinds.set(op.STEP_IRQ_OFF, ALWAYS)
  kinds.set(op.STEP_IRQ_ON, IF_QUIET)
  if (setup.vcpus > 1) return kinds
  for (const step of alone) kinds.set(step, ALWAYS)
  return kinds
}
