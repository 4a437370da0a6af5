/**
 * Every interleaving of a scenario, by depth-first search over its states. A transition is one step of one
 * actor: a vCPU's thread or guest, a device, or the environment (a timer expires, a thread is preempted, a tick
 * interrupts a guest, a waiting thread gets another PE). The environment's interventions are bounded, timers
 * expire at any moment after they were armed. States that were seen are not explored again.
 *
 * The search keeps a second copy of the state on top of its stack. A step's changes are found by comparing with it;
 * they update the hash, which is a sum over the words, and go into a journal, from which the step is undone.
 */
import { TIMER_WFIT } from '../hyp/arch-timer.ts'
import { VCPU_IRQ } from '../hyp/vcpu.ts'
import { argumentInteger, VgicError } from '../state/vgic-error.ts'
import { Changes } from './changes.ts'
import { InvariantChecker, type InvariantId, invariants } from './invariants.ts'
import type { Actor, ScenarioMachine } from './machine.ts'
import type { Scenario } from './scenario.ts'
import { writeSchedule } from './schedule.ts'
import {
  ASKS,
  ASKS_OWN_RUNNABLE,
  ENTERS,
  REACH,
  REACH_ALL,
  REACH_PE,
  REACH_QUEUE,
  StepKinds,
} from './step-kind.ts'
import { VisitedSet } from './visited.ts'

/** How far an exploration goes. */
export interface Bounds {
  /** How often threads are preempted in one schedule; default 0. */
  readonly preemptions?: number
  /** How often the host's tick interrupts a guest in one schedule; default 0. */
  readonly ticks?: number
  /** How often a waiting thread gets another PE than its last in one schedule; default 0. */
  readonly migrations?: number
  /** The most states; default 1,000,000. */
  readonly states?: number
  /** The most steps of a schedule; default 20,000. */
  readonly depth?: number
  /** The invariants that are checked; default all. */
  readonly invariants?: readonly InvariantId[]
  /** Whether equal states are explored once; default true. Without it every schedule is taken to its end. */
  readonly merge?: boolean
}

/** A schedule that breaks an invariant. */
export interface Violation {
  /** The invariant. */
  readonly invariant: InvariantId
  /** What it says. */
  readonly says: string
  /** What is wrong in the last state. */
  readonly what: string
  /** The schedule token, for `replay`. */
  readonly schedule: string
  /** How many steps it has. */
  readonly steps: number
}

/** What an exploration found. */
export interface Report {
  /** Whether everything within the bounds was explored and nothing is wrong. */
  readonly complete: boolean
  /** Distinct states. */
  readonly states: number
  /** Steps taken. */
  readonly transitions: number
  /** Schedules that were taken to an end: to a state from which nothing can happen, or that was seen before. */
  readonly schedules: number
  /** The bound that ended the exploration, if one did. */
  readonly bound?: 'states' | 'depth'
  /** The first violation found, if any. */
  readonly violation?: Violation
}

const DEFAULT_STATES = 1_000_000
const DEFAULT_DEPTH = 20_000

/** Explores a scenario; `bounds` limit what the environment does and how far the search goes. */
export function explore(scenario: Scenario, bounds: Bounds = {}): Report {
  return new Explorer(scenario.machine(), bounds).run()
}

/** A step's interventions of each bounded kind. */
const budgetKinds = ['preempt', 'tick', 'migrate'] as const

export class Explorer {
  private readonly actors: readonly Actor[]
  private readonly budgets: readonly number[]
  /** By actor, the index in `budgets` of what it uses up; -1 if nothing. */
  private readonly uses: Int8Array
  private readonly words: Int32Array
  private readonly visited: VisitedSet
  private readonly kinds: StepKinds
  /** What the last step changed. */
  private readonly changes: Changes
  private readonly checker: InvariantChecker
  private readonly checks: Readonly<Record<InvariantId, boolean>>
  private readonly maxStates: number
  private readonly maxDepth: number
  private readonly merge: boolean
  /** The state on top of the stack. */
  private readonly top: Int32Array
  /** By depth, FRAME words: the state's hash, what is left of the budgets, and how far it was explored. */
  private frames: Int32Array
  /** Pairs of a word offset and the value it had before; a frame knows where its step's pairs begin. */
  private journal = new Int32Array(1 << 12)
  private journalEnd = 0
  private transitions = 0
  private schedules = 0

  constructor(
    readonly machine: ScenarioMachine,
    bounds: Bounds,
  ) {
    machine.prepareExploration()
    this.actors = [...machine.actors, ...machine.environment].filter((actor) =>
      possible(machine, actor, bounds),
    )
    this.budgets = [bounds.preemptions ?? 0, bounds.ticks ?? 0, bounds.migrations ?? 0].map((budget, i) =>
      argumentInteger(['preemptions', 'ticks', 'migrations'][i], budget, 0, 255),
    )
    this.uses = Int8Array.from(this.actors, ({ kind }) => (budgetKinds as readonly string[]).indexOf(kind))
    this.words = machine.hypervisor.words
    this.top = this.words.slice()
    this.kinds = new StepKinds(machine)
    this.changes = new Changes(machine, this.top)
    this.checker = new InvariantChecker(machine)
    this.checks = chosen(bounds.invariants)
    this.maxStates = argumentInteger('states', bounds.states ?? DEFAULT_STATES, 1, 0x7fff_ffff)
    this.maxDepth = argumentInteger('depth', bounds.depth ?? DEFAULT_DEPTH, 1, 1_000_000)
    this.visited = new VisitedSet(Math.min(this.maxStates, 1 << 19))
    this.merge = bounds.merge ?? true
    this.frames = new Int32Array(64 * FRAME)
  }

  run(): Report {
    const [a, b] = this.hashAll()
    const budget = this.budgets[0] | (this.budgets[1] << 8) | (this.budgets[2] << 16)
    const keyA = (a + mixA(-1, budget)) | 0
    this.visited.insert(this.visited.find(keyA, b), keyA, b)
    this.push(0, a, b, budget)
    let depth = 0
    while (depth >= 0) {
      const frame = depth * FRAME
      const actor = this.nextActor(frame)
      if (actor < 0) {
        const found = this.frames[frame + STEPS] === 0 ? this.atEnd(depth) : undefined
        if (found) return found
        this.pop(depth)
        depth--
        continue
      }
      const found = this.take(depth, actor)
      if (found) return found
      if (this.pushed) depth++
    }
    return this.report()
  }

  /** Whether the last step led to a new state, which is now on top of the stack. */
  private pushed = false

  /** Takes a step from the state on top; goes on there if it leads to a new one, undoes it otherwise. */
  private take(depth: number, actor: number): Report | undefined {
    const { frames, visited } = this
    const frame = depth * FRAME
    frames[frame + ACTOR] = actor
    frames[frame + STEPS]++
    this.pushed = false
    const stepping = this.actors[actor]
    const kind = this.kinds.next(stepping)
    this.machine.perform(stepping)
    this.transitions++
    this.changes.find(stepping, kind)
    const wrong = this.violated(stepping.index, kind)
    if (wrong) return this.report({ violation: this.violation(depth, wrong) })
    this.rehash(depth)
    const left = this.budgetAfter(frames[frame + BUDGET], actor)
    const keyA = (this.hashA + mixA(-1, left)) | 0
    const slot = visited.find(keyA, this.hashB)
    const isNew = visited.isFree(slot)
    if (!isNew && this.merge) {
      this.schedules++
      const cycle = visited.isOnStack(slot) && this.checks.L4 ? this.livelock(depth, left) : undefined
      if (cycle) return cycle
      this.undo()
      return undefined
    }
    if (visited.size >= this.maxStates) return this.report({ bound: 'states' })
    if (depth + 1 >= this.maxDepth) return this.report({ bound: 'depth' })
    if (isNew) visited.insert(slot, keyA, this.hashB)
    this.push(depth + 1, this.hashA, this.hashB, left)
    this.frames[(depth + 1) * FRAME + SLOT] = slot
    this.pushed = true
    return undefined
  }

  /** The hash after the last step: that of the state before, with the changed words' parts exchanged. */
  private hashA = 0
  private hashB = 0

  private rehash(depth: number): void {
    const { words, top, frames } = this
    const { at: changed, count } = this.changes
    let a = frames[depth * FRAME + HASH_A]
    let b = frames[depth * FRAME + HASH_B]
    for (let i = 0; i < count; i++) {
      const at = changed[i]
      const old = top[at]
      const now = words[at]
      a = (a + mixA(at, now) - mixA(at, old)) | 0
      b = (b + mixB(at, now) - mixB(at, old)) | 0
    }
    this.hashA = a
    this.hashB = b
  }

  private report(more: Pick<Report, 'bound' | 'violation'> = {}): Report {
    const { transitions, schedules, visited } = this
    const complete = more.bound === undefined && more.violation === undefined
    return { complete, states: visited.size, transitions, schedules, ...more }
  }

  private violated(index: number, kind: number): readonly [InvariantId, string] | undefined {
    const { checker, checks } = this
    if (kind & (ASKS | ASKS_OWN_RUNNABLE)) {
      const wrong = this.violatedByQuestion(index, kind)
      if (wrong) return wrong
    }
    if (!canViolate(kind)) return undefined
    if (kind & ENTERS && checks.S8) {
      const what = checker.distinctIntids(this.machine.hypervisor.vcpu(index))
      if (what !== undefined) return ['S8', what]
    }
    if (canTouchLists(kind) && checks.S17 && this.touchesLists()) {
      const what = checker.oneList()
      if (what !== undefined) return ['S17', what]
    }
    if (checks.S21) {
      const what = checker.requestSeen()
      if (what !== undefined) return ['S21', what]
    }
    if (checks.L3) {
      const what = checker.missing()
      if (what !== undefined) return ['L3', what]
    }
    return undefined
  }

  private violatedByQuestion(index: number, kind: number): readonly [InvariantId, string] | undefined {
    const { checker, checks } = this
    const v = this.machine.hypervisor.vcpu(index)
    if (kind & ASKS && checks.S20) {
      const what = this.touchesOthers(v)
      if (what !== undefined) return ['S20', what]
    }
    if (kind & ASKS_OWN_RUNNABLE && checks.S11) {
      const what = checker.freshShadow(v)
      if (what !== undefined) return ['S11', what]
    }
    return undefined
  }

  /** Whether the last step changed an interrupt's word or an ap_list. */
  private touchesLists(): boolean {
    const { vcpus, vcpuSize, vcpuCount, spis, spiCount } = this.machine.hypervisor.place
    const { at: changed, count } = this.changes
    const end = vcpus + vcpuCount * vcpuSize
    for (let i = 0; i < count; i++) {
      const at = changed[i]
      if (at >= spis && at < spis + spiCount) return true
      if (at >= vcpus && at < end && (at - vcpus) % vcpuSize >= VCPU_IRQ) return true
    }
    return false
  }

  /** S20: a question has changed a word of another vCPU's record. */
  private touchesOthers(v: number): string | undefined {
    const { vcpus, vcpuSize, vcpuCount } = this.machine.hypervisor.place
    const { at: changed, count } = this.changes
    for (let i = 0; i < count; i++) {
      const at = changed[i]
      if (at < vcpus || at >= vcpus + vcpuCount * vcpuSize || (at >= v && at < v + vcpuSize)) continue
      return `the question changed ${this.machine.hypervisor.state.layout.nameOf(at)}`
    }
    return undefined
  }

  /** A state from which nothing can happen, or nothing within the bounds. */
  private atEnd(depth: number): Report | undefined {
    this.schedules++
    if (!this.checks.L1) return undefined
    const what = this.checker.lostWakeUp()
    if (what === undefined) return undefined
    return this.report({ violation: this.violation(depth - 1, ['L1', what]) })
  }

  /**
   * The step closes a cycle. It is a livelock if the guest is entered in it and gets nowhere, and if nobody who
   * could have taken a step all the way round was left out.
   */
  private livelock(depth: number, left: number): Report | undefined {
    const { frames, hashA: a, hashB: b } = this
    let first = depth
    while (first >= 0) {
      const frame = first * FRAME
      if (frames[frame + HASH_A] === a && frames[frame + HASH_B] === b && frames[frame + BUDGET] === left)
        break
      first--
    }
    if (first < 0 || !this.entersWithoutProgress(first, depth) || !this.isFair(first, depth)) return undefined
    const what = `the ${depth - first + 1} last steps repeat for ever, and the guest gets nowhere`
    return this.report({ violation: this.violation(depth, ['L4', what]) })
  }

  /** A guest's progress moves its program counter, which no cycle can undo: a cycle that enters is without any. */
  private entersWithoutProgress(first: number, last: number): boolean {
    let enters = false
    this.along(first, last, (actor) => {
      if (this.kinds.next(this.actors[actor]) & ENTERS) enters = true
    })
    return enters
  }

  /** Whether every actor that is ready in all states of a cycle takes a step in it. */
  private isFair(first: number, last: number): boolean {
    const left = new Set<number>([...this.actors.keys()].filter((actor) => this.uses[actor] < 0))
    this.along(first, last, (actor) => {
      left.delete(actor)
      for (const other of left) if (this.machine.stateOf(this.actors[other]) !== 'ready') left.delete(other)
    })
    return left.size === 0
  }

  /** Visits the states of the stack from `last` down to `first` with the actor that steps there, and comes back. */
  private along(first: number, last: number, visit: (actor: number) => void): void {
    const here = this.words.slice()
    this.words.set(this.top)
    for (let depth = last; depth >= first; depth--) {
      visit(this.frames[depth * FRAME + ACTOR])
      const begin = this.frames[depth * FRAME + JOURNAL]
      const end = depth === last ? this.journalEnd : this.frames[(depth + 1) * FRAME + JOURNAL]
      for (let i = end - 2; i >= begin; i -= 2) this.words[this.journal[i]] = this.journal[i + 1]
    }
    this.words.set(here)
  }

  private violation(depth: number, [invariant, what]: readonly [InvariantId, string]): Violation {
    const taken = Array.from({ length: depth + 1 }, (_, i) => this.numberOf(this.frames[i * FRAME + ACTOR]))
    const schedule = writeSchedule(this.machine.digest, taken)
    return { invariant, says: invariants[invariant], what, schedule, steps: taken.length }
  }

  /** The number of an actor among all of the machine, as a schedule has it. */
  private numberOf(actor: number): number {
    const all = [...this.machine.actors, ...this.machine.environment]
    return all.indexOf(this.actors[actor])
  }

  /** The next actor to try in the state on top; -1 if none is left. */
  private nextActor(frame: number): number {
    const { frames, actors, uses } = this
    for (let actor = frames[frame + NEXT]; actor < actors.length; actor++) {
      const budget = uses[actor]
      if (budget >= 0 && ((frames[frame + BUDGET] >> (8 * budget)) & 0xff) === 0) continue
      if (this.machine.stateOf(actors[actor]) !== 'ready') continue
      frames[frame + NEXT] = actor + 1
      return actor
    }
    return -1
  }

  private budgetAfter(left: number, actor: number): number {
    const budget = this.uses[actor]
    return budget < 0 ? left : left - (1 << (8 * budget))
  }

  /** Puts the state that the last step led to on top of the stack. */
  private push(depth: number, a: number, b: number, budget: number): void {
    if ((depth + 1) * FRAME > this.frames.length) this.frames = grown(this.frames)
    const { at: changed, count } = this.changes
    if (this.journalEnd + 2 * count > this.journal.length) this.journal = grown(this.journal)
    const { frames, journal, top, words } = this
    const frame = depth * FRAME
    frames[frame + HASH_A] = a
    frames[frame + HASH_B] = b
    frames[frame + BUDGET] = budget
    frames[frame + NEXT] = 0
    frames[frame + STEPS] = 0
    frames[frame + JOURNAL] = this.journalEnd
    let end = this.journalEnd
    for (let i = 0; i < count; i++) {
      const at = changed[i]
      journal[end++] = at
      journal[end++] = top[at]
      top[at] = words[at]
    }
    this.journalEnd = end
  }

  /** Leaves the state on top for the one below. */
  private pop(depth: number): void {
    const frame = depth * FRAME
    const { frames, journal, top, words } = this
    const keyA = (frames[frame + HASH_A] + mixA(-1, frames[frame + BUDGET])) | 0
    this.visited.leaveStack(frames[frame + SLOT], keyA, frames[frame + HASH_B])
    const begin = frames[frame + JOURNAL]
    for (let i = this.journalEnd - 2; i >= begin; i -= 2) {
      const at = journal[i]
      top[at] = journal[i + 1]
      words[at] = journal[i + 1]
    }
    this.journalEnd = begin
  }

  /** Takes the last step back. */
  private undo(): void {
    const { words, top } = this
    const { at: changed, count } = this.changes
    for (let i = 0; i < count; i++) words[changed[i]] = top[changed[i]]
  }

  private hashAll(): [number, number] {
    let a = 0
    let b = 0
    const { ranges } = this.changes
    for (let r = 0; r < ranges.length; r += 2) {
      for (let at = ranges[r]; at < ranges[r + 1]; at++) {
        a = (a + mixA(at, this.words[at])) | 0
        b = (b + mixB(at, this.words[at])) | 0
      }
    }
    return [a, b]
  }
}

/** Words of a frame: the hash without the budgets, what is left of them, the next actor to try, the one under way, steps taken. */
const FRAME = 8
const HASH_A = 0
const HASH_B = 1
const BUDGET = 2
const NEXT = 3
const ACTOR = 4
const STEPS = 5
/** Where the changes of the step that led to the state begin in the journal. */
const JOURNAL = 6
/** Where the state is in the visited set. */
const SLOT = 7

/** What a word adds to the hash, by its place. */
function mixA(at: number, word: number): number {
  let h = Math.imul(word ^ Math.imul(at, 0x9e3779b1), 0x85ebca6b)
  h ^= h >>> 15
  h = Math.imul(h, 0x2c1b3c6d)
  return h ^ (h >>> 13)
}

function mixB(at: number, word: number): number {
  let h = Math.imul(word + Math.imul(at, 0x27d4eb2f), 0xcc9e2d51)
  h ^= h >>> 16
  h = Math.imul(h, 0x1b873593)
  return h ^ (h >>> 14)
}

function grown(old: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * old.length)
  larger.set(old)
  return larger
}

/**
 * Whether a step can break S8, S17, S21 or L3: not one that changes only its thread's and its vCPU's words, or its
 * PE's without entering.
 */
const canViolate = (kind: number): boolean => {
  const reach = kind & REACH
  return reach === REACH_ALL || reach > REACH_PE || (kind & ENTERS) !== 0
}

/** Whether a step can change an interrupt's word or an ap_list. */
const canTouchLists = (kind: number): boolean => {
  const reach = kind & REACH
  return reach === REACH_ALL || reach === REACH_QUEUE
}

/** Which invariants are checked. */
function chosen(ids: readonly InvariantId[] | undefined): Readonly<Record<InvariantId, boolean>> {
  const known = Object.keys(invariants) as InvariantId[]
  const unknown = ids?.find((id) => !known.includes(id))
  if (unknown !== undefined) {
    throw new VgicError('argument', `There is no invariant ${unknown}: there are ${known.join(', ')}.`)
  }
  return Object.fromEntries(known.map((id) => [id, !ids || ids.includes(id)])) as Record<InvariantId, boolean>
}

/** Whether an actor can ever do anything within the bounds. */
function possible({ hypervisor, setup }: ScenarioMachine, { kind, detail }: Actor, bounds: Bounds): boolean {
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
