/** The declaration of a step: the unit of designs, of exploration and of interleaving. */
import type { Vcpu } from '../records/vcpu.ts'

/**
 * A design's own steps are numbered from here on, and the library's below (steps.ts), of which there are somewhat more than
 * 128. The number of a step has a word of the table to itself (program.ts), so nothing but this says how many there can be.
 * No image has it: a thread's place is its program counter.
 */
export const STEP_OWN = 256

/** The most results of a step, for which a row of the table has room. */
export const MAX_OUTCOMES = 10

/** A step: one atomic action of the hypervisor on behalf of a vCPU. Its result chooses what comes next. */
export interface Step {
  /** The kind of node. */
  readonly kind: 'step'
  /** Its name; that of a test ends in a question mark. */
  readonly name: string
  /** Its number in the run loop's table. */
  readonly op: number
  /** The names of its results; a step with one result has none. */
  readonly outcomes: readonly string[]
  /** Set if nothing follows it: the thread or the notifier ends. */
  readonly ends?: true
  /**
   * The words that one of a design's own may write: with `thread`, those of its thread in the vCPU's record, and the
   * design's words; with `vcpu`, also the vCPU's shadow registers, timers and guest; with `pe`, also the thread's PE and the
   * run queue. If left out, all words.
   */
  readonly writes?: 'thread' | 'vcpu' | 'pe'
  /** `runnable` if it is the question by which a halt asks whether its own vCPU would run. */
  readonly asks?: 'runnable'
}

/**
 * The lists of a design that a step may be in: one of an injection may also be in that of a message, and one with `end` is
 * appended to a notifier when a design is compiled.
 */
export type StepPlace = 'thread' | 'inject' | 'msi' | 'save' | 'restore' | 'end'

/** A precondition of a step, which the explorer checks (step-context.ts). */
export type StepNeed =
  | 'candidate'
  | 'exitDone'
  | 'folded'
  | 'freshShadow'
  | 'guestOff'
  | 'interruptsOff'
  | 'itsStarted'
  | 'loaded'
  | 'maySleep'
  | 'maySleepIfItDoes'
  | 'mmioAccess'
  | 'notTheGics'
  | 'othersFolded'
  | 'ownInterface'
  | 'preemptionCounted'
  | 'preemptionOff'
  | 'sysregAccess'
  | 'trappedInstruction'
  | 'unloaded'
  | 'vmStopped'
  | 'vpeResident'

/** The writers of words that steps of a thread are. */
export type ThreadWriter = 'thread' | 'vcpu' | 'pe' | 'load' | 'put' | 'sched'

/** The row of one of the library's steps. */
export interface StepRow {
  readonly step: Step
  /** The method of ThreadSteps that does it. Steps of a device have none: Injection, Messages, Saves and Restores do them. */
  readonly does?: string
  /** If set, `does` is a function of linux-steps.ts or museum-steps.ts instead. */
  readonly of?: 'linux' | 'museum'
  /** The list that it may be in; in the thread and in the notifiers if left out. */
  readonly stands?: StepPlace
  /** `runnable` is the question by which a halt asks whether its own vCPU would run. */
  readonly asks?: 'question' | 'runnable'
  /** What it may write, if not all words: those whose rows name this. */
  readonly writes?: ThreadWriter
  /** The same in a VM for which the host injects no interrupts. */
  readonly writesUninjected?: ThreadWriter
  /** The same while no interrupt is signalled to the PE, for a step by which the host may take those that are. */
  readonly writesUninterrupted?: ThreadWriter
  /** What it does with the list registers. */
  readonly lists?: 'flush' | 'fold'
  /** It is about vPEs: a machine without GICv4 does not have it. */
  readonly gicv4?: true
  /** It accesses the hardware even with empty lists. */
  readonly alwaysAccesses?: true
  /** The thread enters the guest. */
  readonly enters?: true
  /** Carries out a command of an ITS. */
  readonly carriesOut?: true
  /** May complete the guest's access to memory. */
  readonly endsAccess?: true
  /** Its preconditions, in the order in which they are checked. */
  readonly needs?: readonly StepNeed[]
}

/** A step of a design's own, see {@link ownStep}. */
export interface OwnStep extends Step {
  /** Executes the step, and returns the index of its outcome; 0 if it has none. */
  readonly perform: (context: StepContext, vcpu: Vcpu) => number
}

/** Whether a step is a design's own. */
export const isOwnStep = (step: Step): step is OwnStep => 'perform' in step

/**
 * The view of the machine that a design's own step gets. `vcpu` is the handle that the step was called with, or one
 * that {@link candidate} returns; any other value, and a word that the design does not have, throws an `argument`
 * error.
 */
export interface StepContext {
  /** Reads one of the design's own words, by its name in the design's `words`. */
  get(vcpu: Vcpu, word: string): number
  /** Writes one of the design's own words, as a 32-bit integer. */
  set(vcpu: Vcpu, word: string, value: number): void
  /** Whether the vCPU's CPU interface state is in the hardware. */
  loaded(vcpu: Vcpu): boolean
  /** The number of list registers that the last flush filled and no fold has read. */
  usedListRegisters(vcpu: Vcpu): number
  /** The shadow of ICH_VMCR_EL2. */
  shadowVmcr(vcpu: Vcpu): number
  /**
   * Reads ICH_VMCR_EL2 of the PE that `asker`, by default `vcpu`, is on, into the shadow of `vcpu`, whichever vCPU's
   * value it is.
   */
  saveVmcr(vcpu: Vcpu, asker?: Vcpu): void
  /** vcpu_load of the vGIC on the PE that the vCPU is on, even if it is loaded already. */
  load(vcpu: Vcpu): void
  /** vcpu_put of the vGIC from the PE that the vCPU is on, even if it is not loaded. */
  put(vcpu: Vcpu): void
  /** Reads ICH_ELRSR_EL2 of the PE that the vCPU is on: bit n is set if list register n is empty. */
  readElrsr(vcpu: Vcpu): number
  /**
   * Folds the list registers of the PE that the vCPU is on, except those whose bits are set in `empty`, which are
   * taken to be empty, and prunes the ap_list.
   */
  fold(vcpu: Vcpu, empty: number): void
  /** Whether the vCPU would run, by its shadow registers. */
  runnable(vcpu: Vcpu): boolean
  /** kvm_vcpu_check_block: whether its halt ends, because it is runnable, or because of a timer or a signal. */
  checkBlock(vcpu: Vcpu): boolean
  /** The candidate of a vCPU's directed yield. Throws an `argument` error before `noCandidate?` has said no. */
  candidate(vcpu: Vcpu): Vcpu
}
