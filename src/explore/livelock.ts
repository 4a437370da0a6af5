/**
 * L4: cycles of states in which no guest makes progress. A cycle is a livelock if a vCPU's thread steps in it, since
 * its guest then makes no progress, and if it is fair: no actor is ready throughout it and never steps. A guest that
 * spins by itself is no livelock. No cycle has a guest's progress in it, which moves its program counter.
 */
import { FIRST_SPI, type Intid, intidName } from '../arch/intid.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { OP_ACK, OP_WORDS } from '../hyp/records/guest-program.ts'
import { GUEST_PC } from '../hyp/records/guest-record.ts'
import { peOf, VCPU_PE, VCPU_USED_LRS } from '../hyp/records/vcpu.ts'
import { IRQ_EDGE, IRQ_LINE } from '../hyp/records/vgic-irq.ts'
import { THREAD_IN_GUEST } from '../hyp/run/thread-states.ts'
import { isThreadStep } from './fair-cycles.ts'
import type { Search } from './search.ts'
import type { ViolatedInvariant } from './step-checks.ts'

/** Whether the last step, which has led back to the state at depth `first`, has closed a livelock. */
export function livelock(search: Search, first: number): ViolatedInvariant | undefined {
  if (!hasThread(search, first) || !isFair(search, first)) return undefined
  const taken = new Set<Intid>()
  search.stack.visitDownTo(first, (actor) => addTaken(search, actor, taken))
  return repeats(search, search.stack.depth - first + 1, taken)
}

function repeats({ machine }: Search, steps: number, taken: ReadonlySet<Intid>): ViolatedInvariant {
  const what = `the last ${steps} steps repeat forever, and the guest makes no progress`
  const high = [...taken].filter((intid) => isHigh(machine.hypervisor, intid)).map(intidName)
  if (high.length === 0) return ['L4', what]
  return [
    'L4',
    `${what}. The guest itself is at fault: it takes ${high.join(', ')} each time, and its handler never lowers the line`,
  ]
}

/** Adds the interrupt that a guest acknowledges, if that is what an actor does next in this state. */
function addTaken({ machine, actors }: Search, actor: number, taken: Set<Intid>): void {
  const { kind, index } = actors[actor]
  const { hypervisor } = machine
  const { words, runLoop, silicon, setup } = hypervisor
  const v = hypervisor.vcpu(index)
  if (kind !== 'vcpu' || words[v + VCPU_PE] === 0 || runLoop.threadState(v) !== THREAD_IN_GUEST) return
  const { ops } = setup.guests[index]
  if (ops[words[v + GUEST_PC] * OP_WORDS] !== OP_ACK) return
  for (let n = 0; n < words[v + VCPU_USED_LRS]; n++) taken.add(silicon.ich.readLrLow(peOf(words, v), n))
}

/** Whether an interrupt is level-sensitive, and its line is high, at some vCPU. */
function isHigh({ words, apLists, layout, timers }: Hypervisor, intid: Intid): boolean {
  if (intid >= FIRST_SPI + layout.spiCount) return false
  for (let i = 0; i < layout.vcpuCount; i++) {
    const v = apLists.vcpuOf(i)
    if ((words[apLists.irqOf(v, intid)] & (IRQ_LINE | IRQ_EDGE)) === IRQ_LINE) return true
    // A timer's line is its output.
    if (timers.present && timers.outputOf(v, intid)) return true
  }
  return false
}

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
  const root = search.key
  const goals: Goal[] = [{ step: (actor) => isThreadStep(search, actor) }]
  for (const actor of actors.keys()) {
    if (uses[actor] >= 0) continue
    goals.push({ state: () => !search.canStep(actor), step: (next) => next === actor })
  }
  goals.push({ state: () => search.key === root })
  let path: Path = { taken: [], words: stack.top.slice() }
  const begin = path.words
  for (const goal of goals) path = onTo(search, members, path, goal)
  const taken = new Set<Intid>()
  search.machine.hypervisor.words.set(begin)
  for (const actor of path.taken) {
    addTaken(search, actor, taken)
    search.machine.perform(actors[actor])
  }
  return [repeats(search, path.taken.length, taken), path.taken]
}

/** The shortest way on from the end of a path to a goal, within the component. */
function onTo(search: Search, members: ReadonlySet<number>, from: Path, { state, step }: Goal): Path {
  const { machine, actors, uses, stack } = search
  const { words } = machine.hypervisor
  const { budget } = stack.next
  const paths = [from]
  const seen = new Set<number>()
  for (const path of paths) {
    words.set(path.words)
    search.keyHere(budget)
    if (state?.()) return path
    for (const actor of actors.keys()) {
      words.set(path.words)
      if (uses[actor] >= 0 || !search.canStep(actor)) continue
      const isGoal = step?.(actor) ?? false
      machine.perform(actors[actor])
      const key = search.keyHere(budget)
      if (!members.has(key) || (seen.has(key) && !isGoal)) continue
      seen.add(key)
      const next = { taken: [...path.taken, actor], words: words.slice() }
      if (isGoal) return next
      paths.push(next)
    }
  }
  return from
}
