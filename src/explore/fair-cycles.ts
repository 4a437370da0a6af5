/**
 * L4 on all cycles. Under weak fairness, an actor that can always step does so some time. A schedule that goes on
 * forever stays, from some step on, in one strongly connected component of the graph of states; so there is a fair
 * cycle without progress if and only if some component has one through all its states. Such a cycle takes each of the
 * component's steps and meets each of its states, and is fair if no actor that never steps in the component is ready
 * in all of it. A single cycle that the search closes need not be fair where several together are.
 *
 * The components are Tarjan's (SIAM J. Comput. 1, 1972). A state's component is open while a state of it is on the
 * stack; states that have left the stack with an open component are few, since most components are one state.
 */

import { THREAD_IN_GUEST } from '../hyp/run/thread-states.ts'
import { doubled } from '../state/doubled.ts'
import type { Frame } from './frame.ts'
import type { Search } from './search.ts'
import { keyOf } from './sum-hash.ts'

/**
 * Words for each depth, which have a meaning once a step in the component leads from its state: whether one of those steps
 * is a thread's.
 */
const HAS_THREAD = 0
/**
 * Three masks with a bit for each actor: it is ready in the state; it steps in the component; it is not ready in some
 * other state of it.
 */
const READY = 1

/** A state that has left the stack with an open component: its keys, and its number in the order of visits. */
interface Left {
  readonly a: number
  readonly b: number
  readonly tableKey: number
  readonly visit: number
}

export class FairCycles {
  private words: Int32Array
  private readonly size: number
  /** Words of a bit for each actor. */
  private readonly masks: number
  private visits = 0
  /** The states that have left the stack with an open component, in that order, and the number of each. */
  private left: Left[] = []
  private readonly numbers = new Map<number, number>()

  constructor(private readonly search: Search) {
    this.masks = Math.ceil(search.actors.length / 32)
    this.size = READY + 3 * this.masks
    this.words = new Int32Array(64 * this.size)
  }

  /** The state of a frame was pushed. */
  enter(frame: Frame): void {
    const visit = ++this.visits
    frame.visit = visit
    frame.low = visit
    frame.isCyclic = false
  }

  /**
   * A step of an actor from the state on top, which the machine is in again, leads to a state of an open component:
   * that at depth `to`, or -1 and then one that has left the stack.
   */
  closes(actor: number, to: number, keyA: number, keyB: number): void {
    const { stack } = this.search
    const visit = to < 0 ? this.numbers.get(keyOf(keyA, keyB)) : stack.frameAt(to).visit
    if (visit === undefined) return
    const { frame, depth } = stack
    frame.low = Math.min(frame.low, visit)
    this.steps(frame, depth * this.size, actor)
  }

  /** The state of a frame is about to be popped: whether it is the last of its component that is on the stack. */
  isRoot({ low, visit }: Frame): boolean {
    return low === visit
  }

  /** The state of a frame was popped, and its component stays open: the state on top is of it, too. */
  stays({ keyA: a, keyB: b, tableKey, visit, low }: Frame): void {
    const { size, masks, search } = this
    const { frame, depth } = search.stack
    const to = depth * size
    const at = to + size
    this.prepare(frame, to)
    const { words } = this
    this.left.push({ a, b, tableKey, visit })
    this.numbers.set(keyOf(a, b), visit)
    frame.low = Math.min(frame.low, low)
    words[to + HAS_THREAD] |= words[at + HAS_THREAD]
    for (let i = READY; i < READY + masks; i++) {
      words[to + masks + i] |= words[at + masks + i]
      words[to + 2 * masks + i] |= words[at + 2 * masks + i] | ~words[at + i]
    }
    this.steps(frame, to, frame.actor)
  }

  /** Takes the other states of the component of the state on top, which is its root: their component is closed. */
  close(): readonly Left[] {
    const { left, numbers } = this
    if (left.length === 0) return left
    const { visit } = this.search.stack.frame
    const first = left.findIndex((one) => one.visit > visit)
    if (first < 0) return []
    const others = left.slice(first)
    this.left = left.slice(0, first)
    for (const { a, b } of others) numbers.delete(keyOf(a, b))
    return others
  }

  /** Whether the component of the state on top, its root, is a livelock. */
  isLivelock(): boolean {
    const { words, size, masks, search } = this
    const { frame, depth } = search.stack
    const at = depth * size
    if (!frame.isCyclic || words[at + HAS_THREAD] === 0) return false
    for (let i = at + READY; i < at + READY + masks; i++)
      if (words[i] & ~words[masks + i] & ~words[2 * masks + i]) return false
    return true
  }

  /**
   * The state of a frame, which the machine is in and whose words begin at `at`, has turned out to be on a cycle, as few
   * are: notes which actors can step.
   */
  private prepare(frame: Frame, at: number): void {
    if (frame.isCyclic) return
    frame.isCyclic = true
    const { size, search } = this
    while (at + size > this.words.length) this.words = doubled(this.words)
    const { words } = this
    words.fill(0, at, at + size)
    const { actors, uses, machine } = search
    for (let actor = 0; actor < actors.length; actor++) {
      const isReady = uses[actor] < 0 && machine.stateOfOwn(actors[actor]) === 'ready'
      if (isReady) words[at + READY + (actor >> 5)] |= 1 << (actor & 31)
    }
  }

  /** Notes a step in the component from the state of a frame, which the machine is in and whose words begin at `at`. */
  private steps(frame: Frame, at: number, actor: number): void {
    const { masks, search } = this
    this.prepare(frame, at)
    const { words } = this
    words[at + READY + masks + (actor >> 5)] |= 1 << (actor & 31)
    if (isThreadStep(search, actor)) words[at + HAS_THREAD] = 1
  }
}

/** Whether the step of an actor from the state that the machine is in is one of a vCPU's thread, not of its guest. */
export function isThreadStep({ actors, machine }: Search, actor: number): boolean {
  const { kind, index } = actors[actor]
  const { runLoop } = machine.hypervisor
  return kind === 'vcpu' && runLoop.threadState(machine.hypervisor.vcpu(index)) !== THREAD_IN_GUEST
}
