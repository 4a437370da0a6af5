/**
 * Every interleaving of a scenario, by depth-first search over its states. A transition is one step of one actor: a
 * vCPU's thread or guest, a device, or the environment (a timer expires, a thread is preempted, a tick interrupts a
 * guest, a waiting thread gets another PE). Preemptions, ticks and migrations are bounded; an armed timer may expire
 * at any step. A state that was seen before is not explored again.
 */

import { argumentBoolean, argumentInteger, argumentOptions, type Fields } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { VCPU_NOTIFIER, VCPU_PC } from '../hyp/records/vcpu.ts'
import { THREAD_IN_GUEST } from '../hyp/run/thread-states.ts'
import { TIMER_WFIT } from '../hyp/vgic/arch-timer.ts'
import { checkScenario, type Scenario } from '../scenario/builder.ts'
import type { Actor, Machine } from '../scenario/machine.ts'
import { Changes } from './changes.ts'
import { CutStates } from './cut-states.ts'
import { type InvariantId, invariants } from './invariants.ts'
import { writeSchedule } from './schedule.ts'
import {
  FRAME_ACTOR,
  FRAME_BUDGET,
  FRAME_HASH_A,
  FRAME_HASH_B,
  FRAME_NEXT,
  FRAME_SLOT,
  FRAME_STEPS,
  SearchStack,
} from './search-stack.ts'
import { StepChecks, type ViolatedInvariant } from './step-checks.ts'
import { StepKinds } from './step-kind.ts'
import { SumHash, withExtra } from './sum-hash.ts'
import { VisitedSet } from './visited.ts'

/** How far an exploration goes. */
export interface Bounds {
  /** Most preemptions of threads in one schedule; default 0. */
  readonly preemptions?: number
  /** Most ticks of the host that interrupt a guest in one schedule; default 0. */
  readonly ticks?: number
  /** Most migrations in one schedule, of a waiting thread to another PE than its last; default 0. */
  readonly migrations?: number
  /** Most distinct states; default 1,000,000. The exploration ends there. */
  readonly states?: number
  /** Most steps of a schedule; default 20,000. A longer one is cut off, and the exploration goes on with others. */
  readonly depth?: number
  /** The invariants that are checked; default all. */
  readonly invariants?: readonly InvariantId[]
  /**
   * Whether equal states are explored only once; default true. If false, every schedule is followed to its end, or
   * until it returns to a state of its own.
   */
  readonly merge?: boolean
  /**
   * Whether every word is compared after every step, to check that the step wrote only what its row, or the `writes`
   * of a design's own step, allows; default false. It takes a few times as long. A write beyond that throws an
   * `argument` error that names the step and the word; unchecked, it would be neither hashed nor undone.
   */
  readonly checkWrites?: boolean
}

/** A schedule that violates an invariant. */
export interface Violation {
  /** The invariant. */
  readonly invariant: InvariantId
  /** The invariant as a sentence, from {@link invariants}. */
  readonly says: string
  /** What is wrong after the last step. */
  readonly what: string
  /** The schedule token, for `replay`. */
  readonly schedule: string
  /** Steps of the schedule. */
  readonly steps: number
}

/** The result of an exploration. */
export interface Report {
  /** Whether everything within the bounds was explored and no invariant was violated. */
  readonly complete: boolean
  /** Distinct states visited. */
  readonly states: number
  /** Steps taken. */
  readonly transitions: number
  /** Schedules followed to an end: a state in which no actor can step, or one that was seen before. */
  readonly schedules: number
  /** `states` if that bound ended the exploration, `depth` if it cut schedules off; left out if neither did. */
  readonly bound?: 'states' | 'depth'
  /** The first violation found, if any. */
  readonly violation?: Violation
}

const boundFields: Fields<Bounds> = {
  preemptions: true,
  ticks: true,
  migrations: true,
  states: true,
  depth: true,
  invariants: true,
  merge: true,
  checkWrites: true,
}

const DEFAULT_STATES = 1_000_000
const DEFAULT_DEPTH = 20_000

/**
 * Explores every interleaving of a scenario within `bounds`, until one violates an invariant. Throws a `VgicError`
 * for bounds that are out of range.
 */
export function explore(scenario: Scenario, bounds: Bounds = {}): Report {
  argumentOptions('bounds', bounds, boundFields)
  return new Explorer(checkScenario(scenario).machine().internals, bounds).run()
}

/** The bounded interventions of the environment; a budget has a byte for each, with how many are left. */
const budgetKinds = ['preempt', 'tick', 'migrate'] as const

class Explorer {
  private readonly actors: readonly Actor[]
  /** By actor, the shift of its byte in a budget; -1 if its steps are not bounded. */
  private readonly uses: Int8Array
  private readonly words: Int32Array
  private readonly stack: SearchStack
  private readonly kinds: StepKinds
  private readonly changes: Changes
  private readonly hash = new SumHash()
  private readonly visited: VisitedSet
  private readonly cut = new CutStates()
  private readonly checks: StepChecks
  private readonly budget: number
  private readonly maxStates: number
  private readonly maxDepth: number
  private readonly merge: boolean
  private readonly checkWrites: boolean
  private transitions = 0
  private schedules = 0

  constructor(
    readonly machine: Machine,
    bounds: Bounds,
  ) {
    this.budget = (['preemptions', 'ticks', 'migrations'] as const)
      .map((name) => argumentInteger(name, bounds[name] ?? 0, 0, 255))
      .reduce((budget, most, i) => budget | (most << (8 * i)), 0)
    machine.prepareExploration()
    this.actors = [...machine.actors, ...machine.environment].filter((actor) =>
      possible(machine, actor, bounds),
    )
    this.uses = Int8Array.from(this.actors, ({ kind }) => {
      const bounded = (budgetKinds as readonly string[]).indexOf(kind)
      return bounded < 0 ? -1 : 8 * bounded
    })
    this.words = machine.hypervisor.words
    this.stack = new SearchStack(this.words)
    this.kinds = new StepKinds(machine)
    this.changes = new Changes(machine, this.stack.top)
    this.checks = new StepChecks(machine, this.changes, this.stack.top, bounds.invariants)
    this.maxStates = argumentInteger('states', bounds.states ?? DEFAULT_STATES, 1, 0x7fff_ffff)
    this.maxDepth = argumentInteger('depth', bounds.depth ?? DEFAULT_DEPTH, 1, 1_000_000)
    this.visited = new VisitedSet(Math.min(this.maxStates, 1 << 19))
    this.merge = argumentBoolean('merge', bounds.merge ?? true)
    this.checkWrites = argumentBoolean('checkWrites', bounds.checkWrites ?? false)
  }

  run(): Report {
    const { stack, hash, visited } = this
    hash.hashAll(this.words, this.changes.ranges)
    const key = withExtra(hash.a, this.budget)
    const slot = visited.find(key, hash.b)
    visited.enterStack(slot, key, hash.b)
    stack.push(hash.a, hash.b, this.budget, slot, this.changes)
    while (stack.depth >= 0) {
      const actor = this.nextActor()
      const found = actor < 0 ? this.leave() : stack.depth < this.maxDepth ? this.take(actor) : this.cutOff()
      if (found) return found
    }
    return this.report(this.cut.any ? { bound: 'depth' } : {})
  }

  /** The next actor to try in the state on top; -1 if none is left. */
  private nextActor(): number {
    const { actors, uses, machine } = this
    const { frames, frame } = this.stack
    for (let actor = frames[frame + FRAME_NEXT]; actor < actors.length; actor++) {
      if (uses[actor] >= 0 && ((frames[frame + FRAME_BUDGET] >> uses[actor]) & 0xff) === 0) continue
      if (machine.stateOf(actors[actor]) !== 'ready') continue
      frames[frame + FRAME_NEXT] = actor + 1
      return actor
    }
    return -1
  }

  /**
   * Takes a step from the state on top. Pushes the state that it leads to if that is new; undoes the step otherwise.
   */
  private take(actor: number): Report | undefined {
    const { stack, changes, hash, visited, words } = this
    const { frames, frame } = stack
    frames[frame + FRAME_ACTOR] = actor
    frames[frame + FRAME_STEPS]++
    const stepping = this.actors[actor]
    const kind = this.kinds.next(stepping)
    this.machine.perform(stepping)
    this.transitions++
    changes.find(stepping, kind)
    if (this.checkWrites) this.refuseOtherWrites(stepping)
    hash.follow(frames[frame + FRAME_HASH_A], frames[frame + FRAME_HASH_B], words, stack.top, changes)
    const left = this.budgetAfter(frames[frame + FRAME_BUDGET], actor)
    const key = withExtra(hash.a, left)
    visited.prefetch(key)
    const violation = this.checks.afterStep(stepping, kind)
    if (violation) return this.violated(violation, stack.actors())
    const slot = visited.find(key, hash.b)
    const isNew = visited.isFree(slot)
    const closesCycle = !isNew && visited.isOnStack(slot)
    if (closesCycle || (!isNew && this.isExplored(key, hash.b))) {
      this.schedules++
      const livelock = closesCycle && this.checks.checked.L4 ? this.livelock(left) : undefined
      if (livelock) return livelock
      this.cut.skip(key, hash.b, stack.depth + 1)
      stack.undo(changes)
      return undefined
    }
    if (isNew && visited.size >= this.maxStates) return this.report({ bound: 'states' })
    visited.enterStack(slot, key, hash.b)
    stack.push(hash.a, hash.b, left, slot, changes)
    return undefined
  }

  private refuseOtherWrites({ kind, index, name }: Actor): void {
    const word = this.changes.missed()
    if (word < 0) return
    const before = this.stack.top
    const { runLoop, state } = this.machine.hypervisor
    const v = this.machine.hypervisor.vcpu(index)
    const path = kind === 'vcpu' && runLoop.program.paths[before[v + VCPU_NOTIFIER] || before[v + VCPU_PC]]
    throw new VgicError(
      'argument',
      `A step of ${name}${path ? `, ${path},` : ''} wrote ${state.layout.nameOf(word)}, which it may not: say so in the step's \`writes\` or the word's \`by\`.`,
    )
  }

  /** Whether a state that was seen before, given by the lanes of its hash, need not be explored again. */
  private isExplored(a: number, b: number): boolean {
    return this.merge && !this.cut.isNearer(a, b, this.stack.depth + 1)
  }

  /** Cuts the schedule off at the state on top, although an actor could step there. */
  private cutOff(): undefined {
    const { frames, frame, depth } = this.stack
    frames[frame + FRAME_NEXT] = this.actors.length
    frames[frame + FRAME_STEPS]++
    this.cut.cutOff(depth)
  }

  private budgetAfter(left: number, actor: number): number {
    const shift = this.uses[actor]
    return shift < 0 ? left : left - (1 << shift)
  }

  /** Leaves the state on top, from which all steps were taken; if none could be, a schedule has ended. */
  private leave(): Report | undefined {
    const { stack, visited } = this
    const { frames, frame } = stack
    if (frames[frame + FRAME_STEPS] === 0) {
      this.schedules++
      const violation = this.checks.atEnd()
      if (violation) return this.violated(violation, stack.actors().slice(0, -1))
    }
    const key = withExtra(frames[frame + FRAME_HASH_A], frames[frame + FRAME_BUDGET])
    visited.leaveStack(frames[frame + FRAME_SLOT], key, frames[frame + FRAME_HASH_B])
    this.cut.leave(key, frames[frame + FRAME_HASH_B], stack.depth)
    stack.pop()
    return undefined
  }

  /**
   * The last step has closed a cycle of states. It is a livelock (L4) if a vCPU's thread steps in it, since its guest
   * then makes no progress, and if the cycle is fair: no actor is ready throughout it and never steps. A guest that
   * spins by itself is no livelock.
   */
  private livelock(budget: number): Report | undefined {
    const { stack, hash } = this
    const first = stack.depthOf(hash.a, hash.b, budget)
    if (first < 0 || !this.hasThread(first) || !this.isFair(first)) return undefined
    const what = `the last ${stack.depth - first + 1} steps repeat forever, and the guest makes no progress`
    return this.violated(['L4', what], stack.actors())
  }

  /**
   * Whether a vCPU's thread steps in the cycle. No cycle has a guest's progress in it, which moves its program
   * counter.
   */
  private hasThread(first: number): boolean {
    const { runLoop } = this.machine.hypervisor
    let found = false
    this.stack.visitDownTo(first, (actor) => {
      const { kind, index } = this.actors[actor]
      if (kind === 'vcpu' && runLoop.threadState(this.machine.hypervisor.vcpu(index)) !== THREAD_IN_GUEST)
        found = true
    })
    return found
  }

  /** Whether every actor that is ready in all states of a cycle takes a step in it. */
  private isFair(first: number): boolean {
    const left = new Set<number>([...this.actors.keys()].filter((actor) => this.uses[actor] < 0))
    this.stack.visitDownTo(first, (actor) => {
      left.delete(actor)
      for (const other of left) if (this.machine.stateOf(this.actors[other]) !== 'ready') left.delete(other)
    })
    return left.size === 0
  }

  private report(more: Pick<Report, 'bound' | 'violation'> = {}): Report {
    const { transitions, schedules, visited } = this
    const complete = more.bound === undefined && more.violation === undefined
    return { complete, states: visited.size, transitions, schedules, ...more }
  }

  /** The report of a violated invariant; `taken` is the schedule, an actor a step. */
  private violated([invariant, what]: ViolatedInvariant, taken: readonly number[]): Report {
    const all = [...this.machine.actors, ...this.machine.environment]
    const numbers = taken.map((actor) => all.indexOf(this.actors[actor]))
    const schedule = writeSchedule(this.machine.digest, numbers)
    return this.report({
      violation: { invariant, says: invariants[invariant], what, schedule, steps: taken.length },
    })
  }
}

/** Whether an actor can ever take a step within the bounds. */
function possible({ hypervisor, setup }: Machine, { kind, detail }: Actor, bounds: Bounds): boolean {
  switch (kind) {
    case 'timer':
      return setup.timers || detail === TIMER_WFIT
    case 'preempt':
      return (bounds.preemptions ?? 0) > 0
    case 'tick':
      return (bounds.ticks ?? 0) > 0
    case 'migrate':
      return (bounds.migrations ?? 0) > 0 && hypervisor.config.cpus > 1
    default:
      return true
  }
}
