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
import type { Search } from './search.ts'
import { FRAME_ACTOR } from './search-stack.ts'
import { keyOf } from './sum-hash.ts'

/** Words for each depth: the number in the order of visits, the least that the state leads back to, and flags. */
const INDEX = 0
const LOW = 1
/**
 * Whether a step in the component leads from a state of it, and only then the rest has a meaning; whether one of those
 * steps is a thread's.
 */
const CYCLIC = 2
const HAS_THREAD = 3
/**
 * Three masks with a bit for each actor: it is ready in the state; it steps in the component; it is not ready in some
 * other state of it.
 */
const READY = 4

/** A state that has left the stack with an open component: its key and its table key in the visited set, and its number. */
interface Left {
  readonly a: number
  readonly b: number
  readonly tableKey: number
  readonly index: number
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

  /** A state was pushed. */
  enter(depth: number): void {
    const { size } = this
    const at = depth * size
    if (at + size > this.words.length) this.words = doubled(this.words)
    const { words } = this
    const index = ++this.visits
    words[at + INDEX] = index
    words[at + LOW] = index
    words[at + CYCLIC] = 0
  }

  /**
   * A step of an actor from the state on top, which the machine is in again, leads to a state of an open component:
   * that at depth `to`, or -1 and then one that has left the stack.
   */
  closes(actor: number, to: number, keyA: number, keyB: number): void {
    const { words, size } = this
    const index = to < 0 ? this.numbers.get(keyOf(keyA, keyB)) : words[to * size + INDEX]
    if (index === undefined) return
    const at = this.search.stack.depth * size
    words[at + LOW] = Math.min(words[at + LOW], index)
    this.steps(at, actor)
  }

  /** Whether a step leads from a state of the component of the state on top, as far as it is known, to one of it. */
  isCyclic(): boolean {
    return this.words[this.search.stack.depth * this.size + CYCLIC] !== 0
  }

  /** The state on top is about to be popped. Whether it is the last of its component that is on the stack. */
  isRoot(): boolean {
    const at = this.search.stack.depth * this.size
    return this.words[at + LOW] === this.words[at + INDEX]
  }

  /** The state at `depth`, with these keys, was popped, and its component stays open: the state on top is of it, too. */
  stays(depth: number, a: number, b: number, tableKey: number): void {
    const { words, size, masks, search } = this
    const at = depth * size
    const to = at - size
    this.prepare(to)
    this.left.push({ a, b, tableKey, index: words[at + INDEX] })
    this.numbers.set(keyOf(a, b), words[at + INDEX])
    words[to + LOW] = Math.min(words[to + LOW], words[at + LOW])
    words[to + HAS_THREAD] |= words[at + HAS_THREAD]
    for (let i = READY; i < READY + masks; i++) {
      words[to + masks + i] |= words[at + masks + i]
      words[to + 2 * masks + i] |= words[at + 2 * masks + i] | ~words[at + i]
    }
    const { frames, frame } = search.stack
    this.steps(to, frames[frame + FRAME_ACTOR])
  }

  /** Takes the other states of the component of the state on top, which is its root: their component is closed. */
  close(): readonly Left[] {
    const { left, numbers, words, size } = this
    if (left.length === 0) return left
    const index = words[this.search.stack.depth * size + INDEX]
    const first = left.findIndex((one) => one.index > index)
    if (first < 0) return []
    const others = left.slice(first)
    this.left = left.slice(0, first)
    for (const { a, b } of others) numbers.delete(keyOf(a, b))
    return others
  }

  /** Whether the component of the state on top, its root, is a livelock. */
  isLivelock(): boolean {
    const { words, size, masks, search } = this
    const at = search.stack.depth * size
    if (words[at + CYCLIC] === 0 || words[at + HAS_THREAD] === 0) return false
    for (let i = at + READY; i < at + READY + masks; i++)
      if (words[i] & ~words[masks + i] & ~words[2 * masks + i]) return false
    return true
  }

  /** The state that the machine is in has turned out to be on a cycle, as few are: notes which actors can step. */
  private prepare(at: number): void {
    const { words, size, search } = this
    if (words[at + CYCLIC] !== 0) return
    words.fill(0, at + HAS_THREAD, at + size)
    words[at + CYCLIC] = 1
    const { actors, uses, machine } = search
    for (let actor = 0; actor < actors.length; actor++) {
      const isReady = uses[actor] < 0 && machine.stateOfOwn(actors[actor]) === 'ready'
      if (isReady) words[at + READY + (actor >> 5)] |= 1 << (actor & 31)
    }
  }

  /** Notes a step in the component from the state that the machine is in. */
  private steps(at: number, actor: number): void {
    const { words, masks, search } = this
    this.prepare(at)
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
