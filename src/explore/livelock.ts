/**
 * L4: cycles of states in which no guest makes progress. A cycle is a livelock if a vCPU's thread steps in it, since
 * its guest then makes no progress, and if it is fair: no actor is ready throughout it and never steps. A guest that
 * spins by itself is no livelock. No cycle has a guest's progress in it, which moves its program counter.
 */
import { isThreadStep } from './fair-cycles.ts'
import type { Search } from './search.ts'
import type { ViolatedInvariant } from './step-checks.ts'
import { keyOf } from './sum-hash.ts'

/** Whether the last step, which has led back to the state at depth `first`, has closed a livelock. */
export function livelock(search: Search, first: number): ViolatedInvariant | undefined {
  if (!hasThread(search, first) || !isFair(search, first)) return undefined
  return repeats(search.stack.depth - first + 1)
}

const repeats = (steps: number): ViolatedInvariant => [
  'L4',
  `the last ${steps} steps repeat forever, and the guest makes no progress`,
]

/** Whether a vCPU's thread steps in the cycle. */
function hasThread(search: Search, first: number): boolean {
  let found = false
  search.stack.visitDownTo(first, (actor) => {
    if (isThreadStep(search, actor)) found = true
  })
  return found
}

/** Whether every actor that is ready in all states of a cycle takes a step in it. */
function isFair({ machine, stack, actors, uses }: Search, first: number): boolean {
  const left = new Set<number>([...actors.keys()].filter((actor) => uses[actor] < 0))
  stack.visitDownTo(first, (actor) => {
    left.delete(actor)
    for (const other of left) if (machine.stateOfOwn(actors[other]) !== 'ready') left.delete(other)
  })
  return left.size === 0
}

/** A walk through a component: its steps, and the words of the state that they lead to. */
interface Path {
  readonly taken: readonly number[]
  readonly words: Int32Array
}

/** What a walk goes to: a state, the one that the machine is in; or a step of an actor from there. */
interface Goal {
  readonly state?: () => boolean
  readonly step?: (actor: number) => boolean
}

/**
 * A fair cycle through a component that is a livelock, from the state on top, its root, back to it; `members` has what
 * the component's states are known by. It goes from one thing that fairness asks for to the nearest that is next.
 */
export function fairCycle(
  search: Search,
  members: ReadonlySet<number>,
): readonly [ViolatedInvariant, readonly number[]] {
  const { stack, uses, actors } = search
  const root = keyOf(search.keyA, search.keyB)
  const goals: Goal[] = [{ step: (actor) => isThreadStep(search, actor) }]
  for (const actor of actors.keys()) {
    if (uses[actor] >= 0) continue
    goals.push({ state: () => !search.canStep(actor), step: (next) => next === actor })
  }
  goals.push({ state: () => keyOf(search.keyA, search.keyB) === root })
  let path: Path = { taken: [], words: stack.top.slice() }
  for (const goal of goals) path = onTo(search, members, path, goal)
  return [repeats(path.taken.length), path.taken]
}

/** The shortest way on from the end of a path to a goal, within the component. */
function onTo(search: Search, members: ReadonlySet<number>, from: Path, { state, step }: Goal): Path {
  const { machine, actors, uses, left } = search
  const { words } = machine.hypervisor
  const paths = [from]
  const seen = new Set<number>()
  for (const path of paths) {
    words.set(path.words)
    search.keyHere(left)
    if (state?.()) return path
    for (const actor of actors.keys()) {
      words.set(path.words)
      if (uses[actor] >= 0 || !search.canStep(actor)) continue
      const isGoal = step?.(actor) ?? false
      machine.perform(actors[actor])
      const key = search.keyHere(left)
      if (!members.has(key) || (seen.has(key) && !isGoal)) continue
      seen.add(key)
      const next = { taken: [...path.taken, actor], words: words.slice() }
      if (isGoal) return next
      paths.push(next)
    }
  }
  return from
}
