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
import type { Frame } from './frame.ts'
import { fairCycle, livelock } from './livelock.ts'
import { LocalSteps } from './local-steps.ts'
import { ACTORS_OF_SET, ReadyActors } from './ready-actors.ts'
import { RecentStates } from './recent-states.ts'
import { Search } from './search.ts'
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

/** Instead of a slot: the state is one of those that the search has left last. */
const DONE = -1

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
  /** Whether states are left to other shards, and whether those seen before are explored again. */
  private readonly isShard: boolean
  private readonly isUnmerged: boolean
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
    this.isShard = bounds.shard !== undefined
    this.isUnmerged = !bounds.merge
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
    this.visited = new VisitedSet(bounds.states)
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
    const { next } = search.stack
    const slot = this.visited.find(next.keyA, next.keyB, next.tableKey)
    this.enter(slot, next)
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
    const { frame } = stack
    if (this.local !== undefined && frame.nextActor === 0 && frame.reduced === 0) {
      const actor = this.localActor(this.local, frame.budget)
      if (actor >= 0) {
        frame.nextActor = actors.length
        frame.reduced = REDUCED
        return actor
      }
    }
    while (frame.ready === 0) {
      if (frame.nextActor >= actors.length) return -1
      this.prepareActors(frame)
    }
    const { ready } = frame
    frame.ready = ready & (ready - 1)
    return frame.nextActor - ACTORS_OF_SET + lowestBit(ready)
  }

  /** Says which of the next actors can step from the state on top, without those that this search withholds. */
  private prepareActors(frame: Frame): void {
    const first = frame.nextActor
    frame.nextActor = first + ACTORS_OF_SET
    frame.ready = this.ready.from(first, frame.budget)
    if (this.reserve !== 0) this.withhold(frame, this.ready.boundedFrom(first))
  }

  /** Has none of the actors in a set step if this search has no interventions left. */
  private withhold(frame: Frame, bounded: number): void {
    const withheld = frame.ready & bounded
    if (withheld === 0 || interventionsIn(frame.budget) > this.reserve) return
    this.withheld = true
    frame.ready ^= withheld
    // The state is no end: the next search goes on from here.
    frame.isEnd = false
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
    const { frame } = this.search.stack
    if (frame.reduced !== REDUCED) return
    frame.reduced = FULL
    frame.nextActor = 0
    frame.ready = 0
  }

  /**
   * Takes a step from the state on top. Pushes the state that it leads to if that is new; undoes the step otherwise.
   */
  private take(actor: number): Report | undefined {
    const { search, visited, recent } = this
    const { stack } = search
    if (search.exact?.isFull) return this.report({ bound: 'states' })
    const next = search.step(actor)
    this.transitions++
    const { keyA, keyB, tableKey } = next
    const isDone = recent.has(keyA, keyB) && this.isExplored(keyA, keyB)
    const slot = isDone ? DONE : visited.find(keyA, keyB, tableKey)
    const isNew = slot !== DONE && visited.isFree(slot)
    const violation = search.check(!isNew)
    if (violation !== undefined) return this.violated(violation, stack.actors())
    if (this.isShard && search.isElsewhere()) {
      stack.undo(search.changes)
      return undefined
    }
    if (slot === DONE || (isNew && this.share?.closed.has(keyA, keyB))) return this.skip(next)
    if (!isNew) return this.meet(actor, slot, next)
    const isFull = visited.isFull || this.cut.isFull || visited.size >= this.bounds.states
    if (isFull) return this.report({ bound: 'states' })
    this.enter(slot, next)
    return undefined
  }

  /** The last step has led to a state that is not explored again, which has this frame. Undoes the step. */
  private skip({ keyA, keyB }: Frame): undefined {
    const { search, cut } = this
    this.schedules++
    if (cut.any) cut.skip(keyA, keyB, search.stack.depth + 1)
    search.stack.undo(search.changes)
  }

  /** A step of an actor has led to a state that was visited, which has this slot and this frame. */
  private meet(actor: number, slot: number, frame: Frame): Report | undefined {
    const { search, visited } = this
    const { keyA, keyB } = frame
    const isOpen = visited.isOpen(slot)
    const cycle = isOpen ? search.stack.depthOf(keyA, keyB) : -1
    if (cycle >= 0 || this.isExplored(keyA, keyB))
      return isOpen ? this.closeCycle(actor, cycle, frame) : this.skip(frame)
    // It is on the stack again: a step that leads back to it closes a cycle.
    this.recent.remove(keyA, keyB)
    visited.reopen(slot)
    this.push(slot, frame)
    return undefined
  }

  /**
   * A step of an actor has led to a state, which has this frame, of a component that is open: the state is on the stack, at
   * depth `cycle`, or was and then that is -1.
   */
  private closeCycle(actor: number, cycle: number, frame: Frame): Report | undefined {
    const { search } = this
    const violation = cycle >= 0 && search.checks.checked.L4 ? livelock(search, cycle) : undefined
    if (violation) {
      this.schedules++
      return this.violated(violation, search.stack.actors())
    }
    this.skip(frame)
    if (cycle >= 0) this.exploreAll()
    this.cycles?.closes(actor, cycle, frame.keyA, frame.keyB)
    return undefined
  }

  /**
   * Puts the new state that the last step has led to, which has this frame, into its slot of the visited set and on the
   * stack.
   */
  private enter(slot: number, frame: Frame): void {
    this.visited.enter(slot, frame.keyA, frame.keyB, frame.tableKey)
    this.push(slot, frame)
  }

  private push(slot: number, frame: Frame): void {
    this.search.push(slot)
    this.cycles?.enter(frame)
  }

  /** Whether a state that was seen before, given by the lanes of its hash, need not be explored again. */
  private isExplored(a: number, b: number): boolean {
    return !(this.isUnmerged || (this.cut.any && this.cut.isNearer(a, b, this.search.stack.depth + 1)))
  }

  /** Cuts the schedule off at the state on top, although an actor could step there. */
  private cutOff(): undefined {
    const { frame, depth } = this.search.stack
    frame.nextActor = this.search.actors.length
    frame.ready = 0
    frame.isEnd = false
    this.cut.cutOff(depth)
  }

  /** Leaves the state on top, from which all steps were taken; if none could be, a schedule has ended. */
  private leave(): Report | undefined {
    const { search, cycles, cut } = this
    const { stack } = search
    const { frame } = stack
    if (frame.isEnd) {
      this.schedules++
      const violation = search.atEnd()
      if (violation) return this.violated(violation, stack.actors().slice(0, -1))
    }
    const isOpen = cycles !== undefined && !cycles.isRoot(frame)
    if (!isOpen) {
      this.closeState(frame.slot, frame.keyA, frame.keyB, frame.tableKey)
      if (cycles !== undefined && frame.isCyclic) {
        const livelock = this.closeComponent(cycles, frame)
        if (livelock) return livelock
      }
    }
    if (cut.any) cut.leave(frame.keyA, frame.keyB, stack.depth)
    stack.pop()
    if (isOpen) cycles.stays(frame)
    return undefined
  }

  private closeState(slot: number, a: number, b: number, tableKey: number): void {
    this.visited.close(slot, a, b, tableKey)
    this.recent.add(a, b)
    // What follows from a state is not all explored where the bound on depth cuts.
    if (this.share && !this.cut.any) this.share.closed.add(a, b)
  }

  /** Closes the component of the state on top, its root, which is on a cycle. */
  private closeComponent(cycles: FairCycles, { keyA, keyB, budget }: Frame): Report | undefined {
    const { search, visited } = this
    const others = cycles.close()
    for (const other of others) {
      const slot = visited.find(other.a, other.b, other.tableKey)
      this.closeState(slot, other.a, other.b, other.tableKey)
    }
    // Where the bound on depth cuts, states are visited again, and components are not to be relied on.
    if (this.cut.any || !cycles.isLivelock()) return undefined
    search.keyHere(budget)
    const members = new Set([keyOf(keyA, keyB), ...others.map((other) => keyOf(other.a, other.b))])
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
