/**
 * A machine under search: it takes steps of its actors, each of which is hashed and checked, and can undo them. What a
 * search does with the states (explorer.ts, walk.ts) is not known here.
 */
import { shown } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { hasOperation, OP_WFIT } from '../hyp/records/guest-program.ts'
import { VCPU_NOTIFIER, VCPU_PC } from '../hyp/records/vcpu.ts'
import { TIMER_WFIT } from '../hyp/vgic/arch-timer.ts'
import type { Actor, Machine } from '../scenario/machine.ts'
import { ScenarioMachine } from '../scenario/scenario-machine.ts'
import { budgetKinds, type CheckedBounds, type OwnInvariant, SHARED_STEP, type Violation } from './bounds.ts'
import { CanonicalStates } from './canonical-states.ts'
import { Changes } from './changes.ts'
import { ExactStates } from './exact-states.ts'
import type { Frame } from './frame.ts'
import { invariantName } from './invariant-names.ts'
import { invariants } from './invariants.ts'
import { RandomNumbers } from './random-numbers.ts'
import { writeSchedule } from './schedule.ts'
import { SearchStack } from './search-stack.ts'
import { slowWords } from './slow-words.ts'
import { StepChecks, type ViolatedInvariant } from './step-checks.ts'
import { IS_OWN, StepKinds } from './step-kind.ts'
import { keyOf, SumHash, withExtra } from './sum-hash.ts'

/** Steps of other actors than vCPUs that all shards share; the last of them says whose everything after it is. */
const SHARED_STEPS = 1

export class Search {
  /** The actors that can ever step within the bounds: the machine's, then those of its environment. */
  readonly actors: readonly Actor[]
  /** By actor, the shift of its byte in a budget; -1 if its steps are not bounded. */
  readonly uses: Int8Array
  /** By actor, what its step takes from a budget. */
  private readonly costs: Int32Array
  readonly stack: SearchStack
  readonly changes: Changes
  readonly checks: StepChecks
  private readonly sums: SumHash
  /** The states, if they are kept whole. */
  readonly exact: ExactStates | undefined
  /** With symmetry. */
  private readonly canonical: CanonicalStates | undefined
  /** With symmetry and states that are kept whole, the state as it is kept. */
  private readonly kept: Int32Array
  /** The machine as a user's invariants see it. */
  private readonly face: ScenarioMachine
  private readonly words: Int32Array
  private readonly kinds: StepKinds
  private kind = 0
  /** What a budget adds to lane a of the key, kept as most steps take nothing from it. */
  private termOf = 0
  private term = withExtra(0, 0)
  /** Whether a state may be known by something else than its hash and its budget. */
  private readonly isKnownOtherwise: boolean
  private readonly hasOwnInvariants: boolean

  /** With a `seed` other than 0 the actors are in another order, in which they are tried. */
  constructor(
    readonly machine: Machine,
    private readonly bounds: CheckedBounds,
    seed = 0,
  ) {
    machine.prepareExploration()
    this.face = new ScenarioMachine(machine)
    const actors = [...machine.actors, ...machine.environment].filter((actor) =>
      possible(machine, actor, bounds.budget),
    )
    this.actors = seed === 0 ? actors : new RandomNumbers(seed).shuffled(actors)
    this.uses = Int8Array.from(this.actors, ({ kind }) => useOf(kind))
    this.costs = Int32Array.from(this.actors, ({ kind }, i) => costOf(kind, this.uses[i]))
    this.words = machine.hypervisor.words
    this.sums = new SumHash(slowWords(machine))
    this.stack = new SearchStack(this.words)
    this.kinds = new StepKinds(machine)
    this.changes = new Changes(machine, this.stack.top)
    const { ranges } = this.changes
    this.canonical = bounds.symmetry ? new CanonicalStates(machine, ranges) : undefined
    this.kept = this.canonical && bounds.exact ? this.words.slice() : this.words
    this.exact = bounds.exact ? new ExactStates(this.kept, ranges) : undefined
    this.isKnownOtherwise = bounds.symmetry || bounds.exact
    this.hasOwnInvariants = bounds.own.length > 0
    this.checks = new StepChecks(machine, this.changes, this.stack.top, bounds.invariants)
  }

  /** Goes back to the first state, which is hashed. It is not pushed. */
  begin(): void {
    const { stack, changes, bounds } = this
    stack.clear()
    changes.count = 0
    this.hashAll(stack.next, bounds.budget + (bounds.shard ? SHARED_STEPS * SHARED_STEP : 0))
  }

  /** Hashes the state in the words, with a budget. */
  private hashAll(frame: Frame, budget: number): void {
    this.sums.hashAll(frame, this.words, this.changes.ranges)
    this.canonical?.hashAll(this.stack.depth + 1)
    frame.budget = budget
    this.identify(frame, false)
  }

  /**
   * What the state in the words is known by together with its budget: the lanes of the hash of both or, if states are
   * kept whole, of their number. `afterStep`: a step from the state on top has led to it.
   */
  private identify(frame: Frame, afterStep: boolean): void {
    const { budget } = frame
    if (budget !== this.termOf) {
      this.termOf = budget
      this.term = withExtra(0, budget)
    }
    frame.keyA = (frame.a + this.term) | 0
    frame.keyB = frame.b
    frame.tableKey = frame.slow
    if (this.isKnownOtherwise) this.identifyOtherwise(frame, afterStep)
  }

  private identifyOtherwise(frame: Frame, afterStep: boolean): void {
    const { canonical, exact, stack, changes } = this
    if (canonical !== undefined) {
      if (afterStep) canonical.follow(stack.depth + 1, stack.top, changes)
      canonical.choose(stack.depth + 1, frame)
      frame.keyA = (canonical.least.a + this.term) | 0
      frame.keyB = canonical.least.b
      // Permutations of a state have other slow words, but must be looked up in the same table.
      frame.tableKey = canonical.least.b
    }
    if (exact === undefined) return
    const number = this.numberOf(exact, frame.budget, afterStep)
    // Odd multiplication is one to one. The lowest bit of lane b is not compared.
    frame.keyA = Math.imul(number, 0x9e3779b1)
    frame.keyB = number << 1
  }

  private numberOf(exact: ExactStates, budget: number, afterStep: boolean): number {
    const { canonical, stack, changes } = this
    if (afterStep && canonical === undefined) return exact.follow(stack.frame.keyB >>> 1, changes, budget)
    canonical?.write(this.kept)
    return exact.numberOf(budget)
  }

  /** How many permutations a state is looked up by; 1 without symmetry. */
  get permutations(): number {
    return this.canonical?.permutations ?? 1
  }

  /** What the state that the last step has led to is known by with its budget, as a key of a Map. */
  get key(): number {
    const { keyA, keyB } = this.stack.next
    return keyOf(keyA, keyB)
  }

  /** The same of the state in the words with a budget. */
  keyHere(budget: number): number {
    this.hashAll(this.stack.next, budget)
    return this.key
  }

  /** Pushes the state that the last step has led to; `slot` is its slot in a visited set. */
  push(slot: number): void {
    this.stack.push(this.changes, slot)
  }

  /** Whether the state that the last step has led to is the first of another shard's part. */
  isElsewhere(): boolean {
    const { frame, next } = this.stack
    const { shard } = this.bounds
    if (!shard || frame.budget < SHARED_STEP || next.budget >= SHARED_STEP) return false
    return ((this.canonical?.least ?? next).a >>> 0) % shard.count !== shard.index
  }

  /** Whether the budget in the state on top lets an actor step. */
  allows(actor: number): boolean {
    const shift = this.uses[actor]
    if (shift < 0) return true
    return ((this.stack.frame.budget >> shift) & 0xff) !== 0
  }

  /** Whether an actor, -1 for none, can step from the state on top. */
  canStep(actor: number): boolean {
    return actor >= 0 && this.allows(actor) && this.machine.stateOfOwn(this.actors[actor]) === 'ready'
  }

  /** The first actor that can step from the state on top, one that is bounded only if no other can; -1 if none. */
  nextInTurn(): number {
    let bounded = -1
    for (let actor = 0; actor < this.actors.length; actor++) {
      if (!this.canStep(actor)) continue
      if (this.uses[actor] < 0) return actor
      if (bounded < 0) bounded = actor
    }
    return bounded
  }

  /** The actors of a schedule by their numbers here, from those of a token; -1 for one that the bounds leave out. */
  actorsOf(taken: readonly number[]): number[] {
    const all = [...this.machine.actors, ...this.machine.environment]
    return taken.map((number) => this.actors.indexOf(all[number]))
  }

  /** Takes a step of an actor that can step from the state on top; returns the frame of the state that it leads to, hashed. */
  step(actor: number): Frame {
    const { stack, changes } = this
    const { frame, next } = stack
    const stepping = this.actors[actor]
    frame.actor = actor
    frame.isEnd = false
    const kind = this.kinds.next(stepping)
    this.kind = kind
    this.machine.perform(stepping)
    changes.find(stepping, kind)
    if (this.bounds.checkWrites) this.refuseOtherWrites(stepping)
    this.sums.follow(next, frame, this.words, stack.top, changes)
    if (kind & IS_OWN) this.repeat(stepping)
    const { budget } = frame
    const cost = this.costs[actor]
    next.budget = budget - (budget < SHARED_STEP ? cost & (SHARED_STEP - 1) : cost)
    this.identify(next, true)
    return next
  }

  /** Checks the last step; `isKnown` says that the state it has led to was checked before. */
  check(isKnown = false): ViolatedInvariant | undefined {
    const { checks, kind } = this
    const violated = checks.skips(kind, isKnown)
      ? undefined
      : checks.afterStep(this.actors[this.stack.frame.actor], kind, isKnown)
    return violated !== undefined || !this.hasOwnInvariants ? violated : this.checkOwn()
  }

  private checkOwn(): ViolatedInvariant | undefined {
    for (const own of this.bounds.own) {
      const what = own.check?.(this.face)
      if (what !== undefined) return ['own', asSaid(own, 'check', what), own]
    }
    return undefined
  }

  /** Checks a state in which no actor can step, or none within the bounds. */
  atEnd(): ViolatedInvariant | undefined {
    const violated = this.checks.atEnd()
    if (violated) return violated
    for (const own of this.bounds.own) {
      const what = own.atEnd?.(this.face)
      if (what !== undefined) return ['own', asSaid(own, 'atEnd', what), own]
    }
    return undefined
  }

  /** A violated invariant as a report has it; `taken` is the schedule, an actor a step. */
  violation(violated: ViolatedInvariant, taken: readonly number[]): Violation {
    const [invariant, what, own] = violated
    return {
      invariant,
      name: own?.name ?? invariantName(invariant),
      says: own?.says ?? (invariant === 'own' ? '' : invariants[invariant]),
      what,
      schedule: this.scheduleOf(taken),
      steps: taken.length,
      interventions: taken.filter((actor) => this.uses[actor] >= 0).length,
    }
  }

  /** The token of a schedule, an actor a step. */
  scheduleOf(taken: readonly number[]): string {
    const all = [...this.machine.actors, ...this.machine.environment]
    return writeSchedule(
      this.machine.digest,
      taken.map((actor) => all.indexOf(this.actors[actor])),
    )
  }

  /**
   * Takes a step of the design's own once more from the same state: it must lead to the same one, or the search would
   * not be of anything that a replay does again.
   */
  private repeat(stepping: Actor): void {
    const { stack, changes, words } = this
    const { frame, next } = stack
    const { a, b } = next
    stack.undo(changes)
    const path = this.pathOf(stepping)
    this.machine.perform(stepping)
    changes.find(stepping, this.kind)
    this.sums.follow(next, frame, words, stack.top, changes)
    if (next.a === a && next.b === b) return
    throw new VgicError(
      'argument',
      `The step ${path} of ${stepping.name}, taken twice from the same state, did two things: let it depend on nothing but the machine, and keep what it remembers in the design's words.`,
    )
  }

  /** The path of the step that a vCPU's thread has taken from the state on top. */
  private pathOf({ index }: Actor): string {
    const { runLoop } = this.machine.hypervisor
    const v = this.machine.hypervisor.vcpu(index)
    const before = this.stack.top
    return runLoop.program.paths[before[v + VCPU_NOTIFIER] || before[v + VCPU_PC]]
  }

  private refuseOtherWrites(stepping: Actor): void {
    const word = this.changes.missed()
    if (word < 0) return
    const { state } = this.machine.hypervisor
    const path = stepping.kind === 'vcpu' && this.pathOf(stepping)
    throw new VgicError(
      'argument',
      `A step of ${stepping.name}${path ? `, ${path},` : ''} wrote ${state.layout.nameOf(word)}, which it may not: say so in the step's \`writes\` or the word's \`by\`.`,
    )
  }
}

/** What a user's invariant says is wrong: `false`, a promise and the like are no answers. */
function asSaid({ name }: OwnInvariant, asked: 'check' | 'atEnd', what: string): string {
  if (typeof what === 'string') return what
  throw new VgicError(
    'argument',
    `${asked} of the invariant ${name} returned ${shown(what)}: return what is wrong as a string, undefined if nothing is.`,
  )
}

/** What a step of an actor takes from a budget: of its own byte, and of the steps that all shards share. */
const costOf = (kind: Actor['kind'], use: number): number =>
  (use < 0 ? 0 : 1 << use) + (kind === 'vcpu' ? 0 : SHARED_STEP)

/** The shift of a kind of actor's byte in a budget; -1 if it is not bounded. */
function useOf(kind: Actor['kind']): number {
  const bounded = budgetKinds.findIndex((one) => one.kind === kind)
  return bounded < 0 ? -1 : 8 * bounded
}

/** Whether an actor can ever take a step within a budget. */
function possible({ hypervisor, setup }: Machine, { kind, index, detail }: Actor, budget: number): boolean {
  if (kind === 'timer')
    return detail === TIMER_WFIT ? hasOperation(setup.guests[index], OP_WFIT) : setup.timers
  if (kind === 'migrate' && hypervisor.config.cpus === 1) return false
  const shift = useOf(kind)
  return shift < 0 || ((budget >> shift) & 0xff) !== 0
}
