/** What a step is: the unit of what designs are made of, of what is explored, and of what interleaves. */
import type { Vcpu } from '../records/vcpu.ts'

/** A design's own steps are numbered from here on. */
export const STEP_OWN = 64

/** The most results that a step can have: a row of the table has room for so many. */
export const MAX_OUTCOMES = 10

/** A step: one atomic action of the hypervisor on behalf of a vCPU. Its result chooses what comes next. */
export interface Step {
  /** What kind of node it is. */
  readonly kind: 'step'
  /** What it does, in a word; a test ends in a question mark. */
  readonly name: string
  /** Number that the run loop knows it by. */
  readonly op: number
  /** The names of its results; a step with one result has none. */
  readonly outcomes: readonly string[]
  /** Nothing follows it: the thread ends. */
  readonly ends?: true
  /**
   * What it may write: `thread` is the words of its thread in the vCPU's record; `vcpu` is these, the vCPU's shadow
   * registers, timers and guest; `pe` is these, the thread's PE and which PEs are free. Left out, it may write anything.
   */
  readonly writes?: 'thread' | 'vcpu' | 'pe'
  /** `runnable` if it is the question by which a halt asks whether its own vCPU would run. */
  readonly asks?: 'runnable'
}

/** In which lists of a design a step may stand; `end` is put at the end of a notifier when a design is compiled. */
export type StepPlace = 'thread' | 'inject' | 'end'

/** What a step must find when it is taken; the explorer knows how that is seen. */
export type StepNeed =
  | 'candidate'
  | 'exitDone'
  | 'folded'
  | 'freshShadow'
  | 'guestOff'
  | 'interruptsOff'
  | 'loaded'
  | 'maySleep'
  | 'maySleepIfItDoes'
  | 'mmioAccess'
  | 'notTheGics'
  | 'ownInterface'
  | 'preemptionCounted'
  | 'preemptionOff'
  | 'sysregAccess'
  | 'unloaded'
  | 'vmStopped'

/** What the library knows of one of its steps. */
export interface StepRow {
  readonly step: Step
  /** The method of ThreadSteps that does it. An injection's steps have none: Injection does them. */
  readonly does?: string
  /** Left out: in the thread and in the notifiers. */
  readonly stands?: StepPlace
  /** `runnable` is the question by which a halt asks whether its own vCPU would run. */
  readonly asks?: 'question' | 'runnable'
  /** What it may write in a VM for which the host injects no interrupts, where that is less than anything. */
  readonly writesUninjected?: 'vcpu' | 'pe'
  /** What it does with the list registers. */
  readonly lists?: 'flush' | 'fold'
  /** The thread enters the guest. */
  readonly enters?: true
  /** Takes the host's interrupts. */
  readonly takesInterrupts?: true
  /** In the order in which they are looked for. */
  readonly needs?: readonly StepNeed[]
}

/** A step of a design's own, see {@link ownStep}. */
export interface OwnStep extends Step {
  /** Does it, and returns the index of its outcome; 0 if it has none. */
  readonly perform: (context: StepContext, vcpu: Vcpu) => number
}

/** Whether a step is a design's own. */
export const isOwnStep = (step: Step): step is OwnStep => 'perform' in step

/**
 * What a design's own step can reach. A vCPU is the handle that the step was called with, or that {@link candidate}
 * returns; anything else, and a word that the design does not have, throws an `argument` error.
 */
export interface StepContext {
  /** A word of the design's own, by the name it has in the design's `words`. */
  get(vcpu: Vcpu, word: string): number
  /** Sets a word of the design's own, as a 32-bit integer. */
  set(vcpu: Vcpu, word: string, value: number): void
  /** Whether the vCPU's CPU interface state is in the hardware. */
  loaded(vcpu: Vcpu): boolean
  /** How many list registers the last flush filled and no fold has read. */
  usedListRegisters(vcpu: Vcpu): number
  /** The shadow of ICH_VMCR_EL2. */
  shadowVmcr(vcpu: Vcpu): number
  /**
   * Reads ICH_VMCR_EL2 of the PE that `asker`, by default `vcpu`, is on, whoever's it is, into the shadow of `vcpu`.
   */
  saveVmcr(vcpu: Vcpu, asker?: Vcpu): void
  /** vcpu_load of the vGIC, whether or not it has been done, on the PE that the vCPU is on. */
  load(vcpu: Vcpu): void
  /** vcpu_put of the vGIC, whether or not it has been done, from the PE that the vCPU is on. */
  put(vcpu: Vcpu): void
  /** Reads ICH_ELRSR_EL2 of the PE that the vCPU is on: bit n is set if list register n holds nothing. */
  readElrsr(vcpu: Vcpu): number
  /**
   * Folds the list registers of the PE that the vCPU is on back, taking those whose bits are set in `empty` for empty,
   * and prunes.
   */
  fold(vcpu: Vcpu, empty: number): void
  /** Whether the vCPU would run, by its shadow registers. */
  runnable(vcpu: Vcpu): boolean
  /** kvm_vcpu_check_block: whether its halt ends, because it is runnable, of a timer, or of a signal. */
  checkBlock(vcpu: Vcpu): boolean
  /** The vCPU that the directed yield of a vCPU looks at. Throws an `argument` error before `noCandidate?` has said no. */
  candidate(vcpu: Vcpu): Vcpu
}
