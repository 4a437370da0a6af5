/**
 * L4: cycles of states in which no guest makes progress. A cycle is a livelock if a vCPU's thread steps in it, since
 * its guest then makes no progress, and if it is fair: no actor is ready throughout it and never steps. A guest that
 * spins by itself is no livelock.
 */
import { THREAD_IN_GUEST } from '../hyp/run/thread-states.ts'
import type { Search } from './search.ts'
import type { ViolatedInvariant } from './step-checks.ts'

/** Whether the last step, which has led back to a state on the stack, has closed a livelock. */
export function livelock(search: Search): ViolatedInvariant | undefined {
  const { stack, hash, left } = search
  const first = stack.depthOf(hash.a, hash.b, left)
  if (first < 0 || !hasThread(search, first) || !isFair(search, first)) return undefined
  return ['L4', repeats(stack.depth - first + 1)]
}

const repeats = (steps: number): string =>
  `the last ${steps} steps repeat forever, and the guest makes no progress`

/** Whether a vCPU's thread steps in the cycle. No cycle has a guest's progress in it, which moves its program counter. */
function hasThread({ machine, stack, actors }: Search, first: number): boolean {
  const { runLoop } = machine.hypervisor
  let found = false
  stack.visitDownTo(first, (actor) => {
    const { kind, index } = actors[actor]
    if (kind === 'vcpu' && runLoop.threadState(machine.hypervisor.vcpu(index)) !== THREAD_IN_GUEST)
      found = true
  })
  return found
}

/** Whether every actor that is ready in all states of a cycle takes a step in it. */
function isFair({ machine, stack, actors, uses }: Search, first: number): boolean {
  const left = new Set<number>([...actors.keys()].filter((actor) => uses[actor] < 0))
  stack.visitDownTo(first, (actor) => {
    left.delete(actor)
    for (const other of left) if (machine.stateOf(actors[other]) !== 'ready') left.delete(other)
  })
  return left.size === 0
}
