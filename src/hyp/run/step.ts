/** What a step is: the unit of what designs are made of, of what is explored, and of what interleaves. */

/** A design's own steps are numbered from here on. */
export const STEP_OWN = 64

/** The most results that a step can have. */
export const MAX_OUTCOMES = 14

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
   * How far its changes reach in the vCPU's record: `thread` is the words before the shadow registers, `vcpu` those
   * before the interrupts; `pe` is these, the thread's PE and which PEs are free. Left out, they can reach anything.
   */
  readonly reach?: 'thread' | 'vcpu' | 'pe'
}

/** A step of a design's own, see {@link ownStep}. */
export interface OwnStep extends Step {
  /** Does it, and returns the index of its outcome; 0 if it has none. */
  readonly perform: (context: StepContext, vcpu: number) => number
}

/** Whether a step is a design's own. */
export const isOwnStep = (step: Step): step is OwnStep => 'perform' in step

/**
 * What a design's own step can reach. A vCPU is the handle that the step was called with, or that {@link candidate}
 * returns; anything else, and a word that the design does not have, throws an `argument` error.
 */
export interface StepContext {
  /** A word of the design's own, by the name it has in the design's `words`. */
  get(vcpu: number, word: string): number
  /** Sets a word of the design's own, as a 32-bit integer. */
  set(vcpu: number, word: string, value: number): void
  /** Whether the vCPU's CPU interface state is in the hardware. */
  loaded(vcpu: number): boolean
  /** How many list registers the last flush filled and no fold has read. */
  usedListRegisters(vcpu: number): number
  /** The shadow of ICH_VMCR_EL2. */
  shadowVmcr(vcpu: number): number
  /**
   * Reads ICH_VMCR_EL2 of the PE that `asker`, by default `vcpu`, is on, whoever's it is, into the shadow of `vcpu`.
   */
  saveVmcr(vcpu: number, asker?: number): void
  /** vcpu_load of the vGIC, whether or not it has been done, on the PE that the vCPU is on. */
  load(vcpu: number): void
  /** vcpu_put of the vGIC, whether or not it has been done, from the PE that the vCPU is on. */
  put(vcpu: number): void
  /** Reads ICH_ELRSR_EL2 of the PE that the vCPU is on: bit n is set if list register n holds nothing. */
  readElrsr(vcpu: number): number
  /**
   * Folds the list registers of the PE that the vCPU is on back, taking those whose bits are set in `empty` for empty,
   * and prunes.
   */
  fold(vcpu: number, empty: number): void
  /** Whether the vCPU would run, by its shadow registers. */
  runnable(vcpu: number): boolean
  /** kvm_vcpu_check_block: whether its halt ends, because it is runnable, of a timer, or of a signal. */
  checkBlock(vcpu: number): boolean
  /** The vCPU that the directed yield of a vCPU looks at. Throws an `argument` error before `noCandidate?` has said no. */
  candidate(vcpu: number): number
}
