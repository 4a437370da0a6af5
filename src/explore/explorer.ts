/**
 * Every interleaving of a scenario, by depth-first search over its states. A transition is one step of one
 * actor: a vCPU's thread or guest, a device, or the environment (a timer expires, a thread is preempted, a tick
 * interrupts a guest, a waiting thread gets another PE). The environment's interventions are bounded, timers
 * expire at any moment after they were armed. States that were seen are not explored again.
 *
 * A state is hashed as a sum over its words, so that a step's few changed words update the hash; the changes are
 * found by comparing with the state before, and undone from it.
 */
import { TIMER_WFIT } from '../hyp/arch-timer.ts'
import { TABLE_SHIFT } from '../hyp/design.ts'
import { THREAD_IN_GUEST } from '../hyp/run-loop.ts'
import { STEP_GUEST, STEP_OWN, STEP_RUNNABLE, STEP_RUNNABLE_ON_DEMAND } from '../hyp/steps.ts'
import { VCPU_NOTIFIER, VCPU_PC, VCPU_PE } from '../hyp/vcpu.ts'
import { argumentInteger } from '../state/vgic-error.ts'
import { InvariantChecker, type InvariantId, invariants, type TakenStep } from './invariants.ts'
import type { Actor, ScenarioMachine } from './machine.ts'
import type { Scenario } from './scenario.ts'
import { writeSchedule } from './schedule.ts'
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

/** Marks in the visited set. */
const ON_STACK = 1
const DONE = 2

/** A step's interventions of each bounded kind. */
const budgetKinds = ['preempt', 'tick', 'migrate'] as const

export class Explorer {
  private readonly actors: readonly Actor[]
  private readonly budgets: readonly number[]
  /** By actor, the index in `budgets` of what it uses up; -1 if nothing. */
  private readonly uses: Int8Array
  private readonly words: Int32Array
  /** Pairs `start, end` of the words that are state, and how many words that is. */
  private readonly ranges: Int32Array
  private readonly size: number
  private readonly visited = new VisitedSet()
  private readonly checker: InvariantChecker
  private readonly checked: ReadonlySet<InvariantId>
  private readonly maxStates: number
  private readonly maxDepth: number
  private readonly merge: boolean
  /** By depth: the state before, its hash, what is left of the budgets, the next actor to try, the one under way. */
  private states: Int32Array
  private frames: Int32Array
  /** By word offset, where it is in a saved state. */
  private readonly slots: Int32Array
  /** What the last step changed: word offsets. */
  private readonly changed: Int32Array
  private transitions = 0
  private schedules = 0

  constructor(
    readonly machine: ScenarioMachine,
    bounds: Bounds,
  ) {
    this.actors = [...machine.actors, ...machine.environment].filter((actor) =>
      possible(machine, actor, bounds),
    )
    this.budgets = [bounds.preemptions ?? 0, bounds.ticks ?? 0, bounds.migrations ?? 0].map((budget, i) =>
      argumentInteger(['preemptions', 'ticks', 'migrations'][i], budget, 0, 255),
    )
    this.uses = Int8Array.from(this.actors, ({ kind }) => budgetKinds.findIndex((name) => name === kind))
    this.words = machine.hypervisor.words
    const { layout, fixed } = machine.hypervisor.state
    this.ranges = layout.rangesOf(['authoritative', 'normalised', 'derived'], fixed)
    this.slots = new Int32Array(layout.length)
    let size = 0
    for (let r = 0; r < this.ranges.length; r += 2) {
      for (let at = this.ranges[r]; at < this.ranges[r + 1]; at++) this.slots[at] = size++
    }
    this.size = size
    this.checker = new InvariantChecker(machine)
    this.checked = new Set(bounds.invariants ?? (Object.keys(invariants) as InvariantId[]))
    this.maxStates = argumentInteger('states', bounds.states ?? DEFAULT_STATES, 1, 0x7fff_ffff)
    this.maxDepth = argumentInteger('depth', bounds.depth ?? DEFAULT_DEPTH, 1, 1_000_000)
    this.merge = bounds.merge ?? true
    this.states = new Int32Array(64 * this.size)
    this.frames = new Int32Array(64 * FRAME)
    this.changed = new Int32Array(this.size)
  }

  run(): Report {
    const [a, b] = this.hashAll()
    const budget = this.budgets[0] | (this.budgets[1] << 8) | (this.budgets[2] << 16)
    const keyA = (a + mixA(-1, budget)) | 0
    this.visited.insert(this.visited.find(keyA, b), keyA, b, ON_STACK)
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
    const { frames } = this
    const frame = depth * FRAME
    frames[frame + ACTOR] = actor
    frames[frame + STEPS]++
    this.pushed = false
    const step = this.describe(actor)
    this.machine.perform(this.actors[actor])
    this.transitions++
    const count = this.changes(depth)
    const wrong = this.violated(depth, step, count)
    if (wrong) return this.report({ violation: this.violation(depth, wrong) })
    let a = frames[frame + HASH_A]
    let b = frames[frame + HASH_B]
    const base = depth * this.size
    for (let i = 0; i < count; i++) {
      const at = this.changed[i]
      const old = this.states[base + this.slots[at]]
      const now = this.words[at]
      a = (a + mixA(at, now) - mixA(at, old)) | 0
      b = (b + mixB(at, now) - mixB(at, old)) | 0
    }
    const left = this.budgetAfter(frames[frame + BUDGET], actor)
    const keyA = (a + mixA(-1, left)) | 0
    const slot = this.visited.find(keyA, b)
    const mark = this.visited.markOf(slot)
    if (mark !== 0 && this.merge) {
      this.schedules++
      const cycle = mark === ON_STACK && this.checked.has('L4') ? this.livelock(depth, a, b, left) : undefined
      if (cycle) return cycle
      this.undo(depth, count)
      return undefined
    }
    if (this.visited.size >= this.maxStates) return this.report({ bound: 'states' })
    if (depth + 1 >= this.maxDepth) return this.report({ bound: 'depth' })
    if (mark === 0) this.visited.insert(slot, keyA, b, ON_STACK)
    this.push(depth + 1, a, b, left)
    this.pushed = true
    return undefined
  }

  private report(more: Pick<Report, 'bound' | 'violation'> = {}): Report {
    const { transitions, schedules, visited } = this
    const complete = more.bound === undefined && more.violation === undefined
    return { complete, states: visited.size, transitions, schedules, ...more }
  }

  /** What a step is, before it is taken. */
  private describe(actor: number): TakenStep {
    const { kind, index } = this.actors[actor]
    if (kind !== 'vcpu') return NO_STEP
    const { words } = this
    const { runLoop } = this.machine.hypervisor
    const v = this.machine.hypervisor.vcpu(index)
    if (words[v + VCPU_PE] === 0 || runLoop.threadState(v) === THREAD_IN_GUEST) return NO_STEP
    const pc = words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]
    return this.stepsAt(v, pc)
  }

  private readonly known = new Map<number, TakenStep>()

  private stepsAt(v: number, pc: number): TakenStep {
    const key = v * 4096 + pc
    let step = this.known.get(key)
    if (!step) {
      const { program } = this.machine.hypervisor.runLoop
      const op = program.table[pc << TABLE_SHIFT]
      const asks = (program.steps[pc]?.outcomes.length ?? 0) > 1
      const ownQuestion = op >= STEP_OWN && asks && /^runnable/.test(program.steps[pc]?.name ?? '')
      const asksOwnRunnable = op === STEP_RUNNABLE || op === STEP_RUNNABLE_ON_DEMAND || ownQuestion
      step = { v, op, asks, asksOwnRunnable }
      this.known.set(key, step)
    }
    return step
  }

  private violated(
    depth: number,
    step: TakenStep,
    count: number,
  ): readonly [InvariantId, string] | undefined {
    const { checker, checked } = this
    const check = (id: InvariantId, what: string | undefined) =>
      what === undefined ? undefined : ([id, what] as const)
    return (
      (checked.has('S8') && step.op === STEP_GUEST ? check('S8', checker.distinctIntids(step)) : undefined) ??
      (checked.has('S20') && step.asks ? check('S20', this.touchesOthers(depth, step, count)) : undefined) ??
      (checked.has('S11') && step.asksOwnRunnable ? check('S11', checker.freshShadow(step)) : undefined) ??
      (checked.has('S17') ? check('S17', checker.oneList()) : undefined) ??
      (checked.has('S21') ? check('S21', checker.requestSeen()) : undefined) ??
      (checked.has('L3') ? check('L3', checker.missing()) : undefined)
    )
  }

  /** S20: a question has changed a word of another vCPU's record. */
  private touchesOthers(_depth: number, { v }: TakenStep, count: number): string | undefined {
    const { vcpus, vcpuSize, vcpuCount } = this.machine.hypervisor.place
    for (let i = 0; i < count; i++) {
      const at = this.changed[i]
      if (at < vcpus || at >= vcpus + vcpuCount * vcpuSize || (at >= v && at < v + vcpuSize)) continue
      return `the question changed ${this.machine.hypervisor.state.layout.nameOf(at)}`
    }
    return undefined
  }

  /** A state from which nothing can happen, or nothing within the bounds. */
  private atEnd(depth: number): Report | undefined {
    this.schedules++
    if (!this.checked.has('L1')) return undefined
    const what = this.checker.lostWakeUp()
    if (what === undefined) return undefined
    return this.report({ violation: this.violation(depth - 1, ['L1', what]) })
  }

  /**
   * The step closes a cycle. It is a livelock if the guest is entered in it and gets nowhere, and if nobody who
   * could have taken a step all the way round was left out.
   */
  private livelock(depth: number, a: number, b: number, left: number): Report | undefined {
    const { frames } = this
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

  private entersWithoutProgress(first: number, last: number): boolean {
    let enters = false
    this.along(first, last, (actor) => {
      const step = this.describe(actor)
      if (step.op === STEP_GUEST) enters = true
    })
    return enters
  }

  /** Whether every actor that is ready in all states of a cycle takes a step in it. */
  private isFair(first: number, last: number): boolean {
    const left = new Set<number>(this.actors.keys())
    for (const [i, { kind }] of this.actors.entries())
      if (budgetKinds.some((name) => name === kind)) left.delete(i)
    this.along(first, last, (actor) => {
      left.delete(actor)
      for (const other of left) if (this.machine.stateOf(this.actors[other]) !== 'ready') left.delete(other)
    })
    return left.size === 0
  }

  /** Visits the states of the stack from `first` to `last` with the actor that steps there, and comes back. */
  private along(first: number, last: number, visit: (actor: number) => void): void {
    const here = this.machine.snapshot()
    for (let depth = first; depth <= last; depth++) {
      this.restore(depth)
      visit(this.frames[depth * FRAME + ACTOR])
    }
    this.machine.restore(here)
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

  private push(depth: number, a: number, b: number, budget: number): void {
    if ((depth + 1) * FRAME > this.frames.length) {
      this.frames = grown(this.frames)
      this.states = grown(this.states)
    }
    this.frames.set([a, b, budget, 0, 0, 0], depth * FRAME)
    let to = depth * this.size
    for (let r = 0; r < this.ranges.length; r += 2) {
      for (let at = this.ranges[r]; at < this.ranges[r + 1]; at++) this.states[to++] = this.words[at]
    }
  }

  /** Leaves the state on top for the one below. */
  private pop(depth: number): void {
    const frame = depth * FRAME
    const { frames } = this
    const keyA = (frames[frame + HASH_A] + mixA(-1, frames[frame + BUDGET])) | 0
    this.visited.mark(keyA, frames[frame + HASH_B], DONE)
    if (depth > 0) this.restore(depth - 1)
  }

  /** Puts the state of a depth in place. */
  private restore(depth: number): void {
    let from = depth * this.size
    for (let r = 0; r < this.ranges.length; r += 2) {
      for (let at = this.ranges[r]; at < this.ranges[r + 1]; at++) this.words[at] = this.states[from++]
    }
  }

  /** Finds the words that differ from the state of a depth; returns how many there are. */
  private changes(depth: number): number {
    const { words, states, ranges, changed } = this
    let from = depth * this.size
    let count = 0
    for (let r = 0; r < ranges.length; r += 2) {
      const end = ranges[r + 1]
      for (let at = ranges[r]; at < end; at++) {
        if (words[at] !== states[from++]) changed[count++] = at
      }
    }
    return count
  }

  private undo(depth: number, count: number): void {
    const base = depth * this.size
    for (let i = 0; i < count; i++) {
      const at = this.changed[i]
      this.words[at] = this.states[base + this.slots[at]]
    }
  }

  private hashAll(): [number, number] {
    let a = 0
    let b = 0
    for (let r = 0; r < this.ranges.length; r += 2) {
      for (let at = this.ranges[r]; at < this.ranges[r + 1]; at++) {
        a = (a + mixA(at, this.words[at])) | 0
        b = (b + mixB(at, this.words[at])) | 0
      }
    }
    return [a, b]
  }
}

/** Words of a frame: the hash without the budgets, what is left of them, the next actor to try, the one under way, steps taken. */
const FRAME = 6
const HASH_A = 0
const HASH_B = 1
const BUDGET = 2
const NEXT = 3
const ACTOR = 4
const STEPS = 5

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

const NO_STEP: TakenStep = { v: 0, op: 0, asks: false, asksOwnRunnable: false }
