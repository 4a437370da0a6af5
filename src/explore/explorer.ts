/**
 * Every interleaving of a scenario, by depth-first search over its states. A transition is one step of one actor: a
 * vCPU's thread or guest, a device, or the environment (a timer expires, a thread is preempted, a tick interrupts a
 * guest, a waiting thread gets another PE). Preemptions, ticks and migrations are bounded; an armed timer may expire
 * at any step. A state that was seen before is not explored again.
 */

import type { Machine } from '../scenario/machine.ts'
import { lowestBit } from '../state/bits.ts'
import {
  type CheckedBounds,
  interventionsIn,
  omissionOf,
  type Progress,
  type Report,
  verdictOf,
} from './bounds.ts'
import type { ClosedStates } from './closed-states.ts'
import { CutStates } from './cut-states.ts'
import { FairCycles } from './fair-cycles.ts'
import { fairCycle, livelock } from './livelock.ts'
import { LocalSteps } from './local-steps.ts'
import { ACTORS_OF_SET, ReadyActors } from './ready-actors.ts'
import { RecentStates } from './recent-states.ts'
import { Search } from './search.ts'
import {
  FRAME_BUDGET,
  FRAME_KEY_A,
  FRAME_KEY_B,
  FRAME_NEXT,
  FRAME_READY,
  FRAME_REDUCED,
  FRAME_SLOT,
  FRAME_STEPS,
  FRAME_TABLE_KEY,
} from './search-stack.ts'
import type { ViolatedInvariant } from './step-checks.ts'
import { keyOf } from './sum-hash.ts'
import { whereItThrows } from './thrown.ts'
import { VisitedSet } from './visited.ts'

/** One of several explorers of the same scenario: its number, and what they share. */
export interface Share {
  readonly index: number
  readonly closed: ClosedStates
}

/** A frame in which one local step stands for all; one in which all actors are explored after all. */
const REDUCED = 1
const FULL = 2

/** The most that a search does before it looks up. */
const MOST_SLICE = 0x3fff_ffff

export class Explorer {
  readonly search: Search
  /** Whether the last search withheld interventions that the bounds allow. */
  withheld = false
  private visited = new VisitedSet(0)
  private recent = new RecentStates()
  private cut = new CutStates()
  /** Undefined if cycles are not looked for, or only those that one step closes. */
  private cycles: FairCycles | undefined
  /** Undefined if the search is not reduced. */
  private readonly local: LocalSteps | undefined
  private readonly ready: ReadyActors
  /** The vCPUs among the actors. */
  private readonly vcpus: readonly number[]
  /** The interventions that are left when the search has used up its own. */
  private reserve = 0
  private depth = 0
  /** The interventions of the search that is under way. */
  private interventions = 0
  /** Steps of the searches before. */
  private former = 0
  private transitions = 0
  private schedules = 0

  constructor(
    machine: Machine,
    private readonly bounds: CheckedBounds,
    private readonly share?: Share,
  ) {
    this.search = new Search(machine, bounds, share?.index ?? 0)
    this.local = bounds.reduce ? new LocalSteps(machine) : undefined
    const { actors, uses } = this.search
    this.ready = new ReadyActors(machine, actors, uses)
    this.vcpus = [...actors.keys()].filter((actor) => actors[actor].kind === 'vcpu')
  }

  /** Searches the schedules with at most so many interventions and steps. */
  run(interventions: number, depth: number): Report {
    this.begin(interventions, depth)
    for (;;) {
      const report = this.goOn(MOST_SLICE)
      if (report) return report
    }
  }

  /** Begins that search. */
  begin(interventions: number, depth: number): void {
    const { search, bounds } = this
    this.visited = new VisitedSet(Math.min(bounds.states, 1 << 19))
    this.recent = new RecentStates()
    this.cut = new CutStates()
    this.cycles = bounds.merge && search.checks.checked.L4 ? new FairCycles(search) : undefined
    this.reserve = interventionsIn(bounds.budget) - interventions
    this.interventions = interventions
    this.depth = depth
    this.former += this.transitions
    this.transitions = 0
    this.schedules = 0
    // A state that is left out might have been where an intervention was withheld.
    this.withheld = bounds.reduce && this.reserve > 0
    search.begin()
    this.enter(this.visited.find(search.keyA, search.keyB, search.tableKey))
  }

  /** Goes on with the search for so many steps; the report at its end, and undefined if it pauses before. */
  goOn(slice: number): Report | undefined {
    return whereItThrows(this.search, () => this.searchAll(slice))
  }

  /** How far it has come. */
  progress(): Progress {
    const { visited, search, former, transitions, interventions } = this
    return {
      states: visited.size,
      depth: Math.max(search.stack.depth, 0),
      transitions: former + transitions,
      interventions,
    }
  }

  /** The report of a search that is ended while it pauses. */
  stopped(): Report {
    return this.report({ bound: 'signal' })
  }

  /** Takes so many steps and leaves of states, unless the search ends before. */
  private searchAll(slice: number): Report | undefined {
    const { stack } = this.search
    for (let left = slice; stack.depth >= 0; left--) {
      if (left === 0) return undefined
      if (this.share !== undefined && this.isStopped(this.share)) return this.report({ bound: 'states' })
      const actor = this.nextActor()
      const found = actor < 0 ? this.leave() : stack.depth < this.depth ? this.take(actor) : this.cutOff()
      if (found !== undefined) return found
    }
    return this.report(this.cut.any ? { bound: 'depth' } : {})
  }

  /** Whether all explorers together have come to a bound or a violation. It is not asked at every step. */
  private isStopped({ closed }: Share): boolean {
    if ((this.transitions & 0xff) !== 0) return false
    if (closed.size >= this.bounds.states) closed.stop()
    return closed.isStopped
  }

  /** The next actor to try in the state on top; -1 if none is left. */
  private nextActor(): number {
    const { actors, stack } = this.search
    const { frames, frame } = stack
    if (this.local !== undefined && frames[frame + FRAME_NEXT] === 0 && frames[frame + FRAME_REDUCED] === 0) {
      const actor = this.localActor(this.local, frames[frame + FRAME_BUDGET])
      if (actor >= 0) {
        frames[frame + FRAME_NEXT] = actors.length
        frames[frame + FRAME_REDUCED] = REDUCED
        return actor
      }
    }
    while (frames[frame + FRAME_READY] === 0) {
      if (frames[frame + FRAME_NEXT] >= actors.length) return -1
      this.prepareActors(frames, frame)
    }
    const ready = frames[frame + FRAME_READY]
    frames[frame + FRAME_READY] = ready & (ready - 1)
    return frames[frame + FRAME_NEXT] - ACTORS_OF_SET + lowestBit(ready)
  }

  /** Says which of the next actors can step from the state on top, without those that this search withholds. */
  private prepareActors(frames: Int32Array, frame: number): void {
    const first = frames[frame + FRAME_NEXT]
    const budget = frames[frame + FRAME_BUDGET]
    frames[frame + FRAME_NEXT] = first + ACTORS_OF_SET
    frames[frame + FRAME_READY] = this.ready.from(first, budget)
    if (this.reserve !== 0) this.withhold(frames, frame, this.ready.boundedFrom(first))
  }

  /** Has none of the actors in a set step if this search has no interventions left. */
  private withhold(frames: Int32Array, frame: number, bounded: number): void {
    const withheld = frames[frame + FRAME_READY] & bounded
    if (withheld === 0 || interventionsIn(frames[frame + FRAME_BUDGET]) > this.reserve) return
    this.withheld = true
    frames[frame + FRAME_READY] ^= withheld
    // The state is no end: the next search goes on from here.
    frames[frame + FRAME_STEPS]++
  }

  /** An actor whose step stands for those of all in the state on top; -1 if there is none. */
  private localActor(local: LocalSteps, budget: number): number {
    const { actors, machine } = this.search
    const preempts = (budget & 0xff) !== 0 && interventionsIn(budget) > this.reserve
    for (let i = 0; i < this.vcpus.length; i++) {
      const actor = this.vcpus[i]
      if (machine.stateOfOwn(actors[actor]) === 'ready' && local.isLocal(actors[actor], preempts))
        return actor
    }
    return -1
  }

  /** The one step that was to stand for all has closed a cycle, in which the others might be put off forever. */
  private exploreAll(): void {
    const { frames, frame } = this.search.stack
    if (frames[frame + FRAME_REDUCED] !== REDUCED) return
    frames[frame + FRAME_REDUCED] = FULL
    frames[frame + FRAME_NEXT] = 0
    frames[frame + FRAME_READY] = 0
  }

  /**
   * Takes a step from the state on top. Pushes the state that it leads to if that is new; undoes the step otherwise.
   */
  private take(actor: number): Report | undefined {
    const { search, visited, recent } = this
    const { stack } = search
    stack.frames[stack.frame + FRAME_STEPS]++
    search.step(actor)
    this.transitions++
    const { keyA, keyB, tableKey } = search
    const isRecent = recent.has(keyA, keyB)
    const isDone = isRecent && this.isExplored(keyA, keyB)
    const slot = isDone ? -1 : visited.find(keyA, keyB, tableKey)
    const isNew = !isDone && visited.isFree(slot)
    const violation = search.check(!isNew)
    if (violation) return this.violated(violation, stack.actors())
    if (search.isElsewhere()) {
      stack.undo(search.changes)
      return undefined
    }
    if (isDone) return this.meet(actor, -1, false)
    if (!isNew) {
      const isOpen = visited.isOpen(slot)
      const cycle = isOpen ? stack.depthOf(keyA, keyB) : -1
      if (cycle >= 0 || this.isExplored(keyA, keyB)) return this.meet(actor, cycle, isOpen)
    }
    if (isNew && this.share?.closed.has(keyA, keyB)) return this.meet(actor, -1, false)
    if (isNew && visited.size >= this.bounds.states) return this.report({ bound: 'states' })
    // It is on the stack again: a step that leads back to it closes a cycle.
    if (isRecent) recent.remove(keyA)
    this.enter(slot)
    return undefined
  }

  /**
   * The last step has led to a state that is not explored again, since it is on the stack, at depth `cycle`, or was
   * explored. Undoes the step.
   */
  private meet(actor: number, cycle: number, isOpen: boolean): Report | undefined {
    const { search, cut } = this
    const { stack, keyA, keyB } = search
    this.schedules++
    const violation = cycle >= 0 && search.checks.checked.L4 ? livelock(search, cycle) : undefined
    if (violation) return this.violated(violation, stack.actors())
    cut.skip(keyA, keyB, stack.depth + 1)
    stack.undo(search.changes)
    if (cycle >= 0) this.exploreAll()
    if (isOpen) this.cycles?.closes(actor, cycle, keyA, keyB)
    return undefined
  }

  /** Puts the state that the last step has led to on the stack, and into its slot of the visited set. */
  private enter(slot: number): void {
    const { search } = this
    this.visited.enter(slot, search.keyA, search.keyB, search.tableKey)
    search.push(slot)
    this.cycles?.enter(search.stack.depth)
  }

  /** Whether a state that was seen before, given by the lanes of its hash, need not be explored again. */
  private isExplored(a: number, b: number): boolean {
    return this.bounds.merge && !this.cut.isNearer(a, b, this.search.stack.depth + 1)
  }

  /** Cuts the schedule off at the state on top, although an actor could step there. */
  private cutOff(): undefined {
    const { frames, frame, depth } = this.search.stack
    frames[frame + FRAME_NEXT] = this.search.actors.length
    frames[frame + FRAME_READY] = 0
    frames[frame + FRAME_STEPS]++
    this.cut.cutOff(depth)
  }

  /** Leaves the state on top, from which all steps were taken; if none could be, a schedule has ended. */
  private leave(): Report | undefined {
    const { search } = this
    const { stack } = search
    const { frames, frame } = stack
    if (frames[frame + FRAME_STEPS] === 0) {
      this.schedules++
      const violation = search.atEnd()
      if (violation) return this.violated(violation, stack.actors().slice(0, -1))
    }
    const keyA = frames[frame + FRAME_KEY_A]
    const keyB = frames[frame + FRAME_KEY_B]
    const tableKey = frames[frame + FRAME_TABLE_KEY]
    const { cycles } = this
    const { depth } = stack
    const isOpen = cycles !== undefined && !cycles.isRoot()
    if (!isOpen) {
      this.closeState(frames[frame + FRAME_SLOT], keyA, keyB, tableKey)
      const livelock = cycles && this.closeComponent(cycles, keyA, keyB)
      if (livelock) return livelock
    }
    this.cut.leave(keyA, keyB, depth)
    stack.pop()
    if (isOpen) cycles.stays(depth, keyA, keyB, tableKey)
    return undefined
  }

  private closeState(slot: number, a: number, b: number, tableKey: number): void {
    this.visited.close(slot, a, b, tableKey)
    this.recent.add(a, b)
    // What follows from a state is not all explored where the bound on depth cuts.
    if (this.share && !this.cut.any) this.share.closed.add(a, b)
  }

  /** Closes the component of the state on top, its root, with this key. */
  private closeComponent(cycles: FairCycles, a: number, b: number): Report | undefined {
    if (!cycles.isCyclic()) return undefined
    const { search, visited } = this
    const others = cycles.close()
    for (const other of others) {
      const slot = visited.find(other.a, other.b, other.tableKey)
      this.closeState(slot, other.a, other.b, other.tableKey)
    }
    // Where the bound on depth cuts, states are visited again, and components are not to be relied on.
    if (this.cut.any || !cycles.isLivelock()) return undefined
    const { frames, frame } = search.stack
    search.keyHere(frames[frame + FRAME_BUDGET])
    const members = new Set([keyOf(a, b), ...others.map((other) => keyOf(other.a, other.b))])
    const path = search.stack.actors().slice(0, -1)
    const [violation, cycle] = fairCycle(search, members)
    return this.violated(violation, [...path, ...cycle])
  }

  private report(more: Pick<Report, 'bound' | 'violation'> = {}): Report {
    const { transitions, schedules, visited } = this
    const complete = more.bound === undefined && more.violation === undefined
    const { shard } = this.bounds
    const part = shard ? { shard: shard.name } : {}
    const states = visited.size
    const omission = this.bounds.exact ? 0 : omissionOf(states, this.search.permutations)
    const verdict = verdictOf(complete, more.violation)
    return { verdict, complete, states, transitions, schedules, omission, ...part, ...more }
  }

  /** The report of a violated invariant; `taken` is the schedule, an actor a step. */
  private violated(violation: ViolatedInvariant, taken: readonly number[]): Report {
    return this.report({ violation: this.search.violation(violation, taken) })
  }
}
