/** Livelocks by components, on graphs that are enumerated another way: states with a step or none for each actor. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Changes } from '../../../src/explore/changes.ts'
import { FairCycles } from '../../../src/explore/fair-cycles.ts'
import type { Search } from '../../../src/explore/search.ts'
import { SearchStack } from '../../../src/explore/search-stack.ts'

/** By state and actor, the state that its step leads to; -1 if it is not ready. */
type Graph = readonly (readonly number[])[]

const graphs = fc
  .tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 3 }))
  .chain(([states, actors]) =>
    fc.array(
      fc.array(fc.oneof(fc.constant(-1), fc.nat(states - 1)), { minLength: actors, maxLength: actors }),
      { minLength: states, maxLength: states },
    ),
  )

/** Whether depth-first search finds a livelock; all actors are threads of vCPUs. */
function finds(graph: Graph): boolean {
  const actors = graph[0].map((_, index) => ({ kind: 'vcpu', index, detail: 0, name: `vcpu${index}` }))
  const stack = new SearchStack(new Int32Array(0))
  const nothing = { at: new Int32Array(0), count: 0 } as Changes
  const hypervisor = { runLoop: { threadState: () => 0 }, vcpu: (index: number) => index }
  let here = 0
  const machine = {
    hypervisor,
    stateOfOwn: ({ index }: { index: number }) => (graph[here][index] < 0 ? 'asleep' : 'ready'),
  }
  const uses = actors.map(() => -1)
  const cycles = new FairCycles({ actors, uses, stack, machine } as unknown as Search)
  const depths = new Map<number, number>()
  const [open, closed] = [new Set<number>(), new Set<number>()]
  let found = false
  const visit = (state: number, from: number): void => {
    stack.next.keyA = state
    stack.push(nothing, 0)
    const { frame } = stack
    depths.set(state, stack.depth)
    open.add(state)
    cycles.enter(frame)
    for (const [actor, to] of graph[state].entries()) {
      if (to < 0) continue
      here = state
      if (open.has(to)) cycles.closes(actor, depths.get(to) ?? -1, to, 0)
      else if (!closed.has(to)) {
        frame.actor = actor
        visit(to, state)
      }
    }
    const isOpen = !cycles.isRoot(frame)
    if (!isOpen) {
      for (const { a } of [{ a: state }, ...cycles.close()]) {
        open.delete(a)
        closed.add(a)
      }
      found ||= cycles.isLivelock()
    }
    depths.delete(state)
    stack.pop()
    here = from
    if (isOpen) cycles.stays(frame)
  }
  visit(0, 0)
  return found
}

/** By definition: some set of states that all reach each other by its steps, and in which no actor starves. */
function exists(graph: Graph): boolean {
  const reach = graph.map(() => new Set<number>())
  for (let round = 0; round <= graph.length; round++) {
    for (const [from, steps] of graph.entries())
      for (const to of steps) if (to >= 0) for (const next of [to, ...reach[to]]) reach[from].add(next)
  }
  const reachable = new Set([0, ...reach[0]])
  return [...reachable].some((root) => {
    if (!reach[root].has(root)) return false
    const component = [...reachable].filter((state) => reach[root].has(state) && reach[state].has(root))
    return graph[0].every((_, actor) =>
      component.some((state) => graph[state][actor] < 0 || component.includes(graph[state][actor])),
    )
  })
}

describe('a livelock', () => {
  it('is found in a graph if and only if there is one', () => {
    const outcomes = new Set<boolean>()
    fc.assert(
      fc.property(graphs, (graph) => {
        const expected = exists(graph)
        outcomes.add(expected)
        expect(finds(graph)).toBe(expected)
      }),
      { numRuns: 3000 },
    )
    expect(outcomes.size).toBe(2)
  })

  it('is found where each cycle that a step closes starves an actor, and two together do not', () => {
    // Actor 0 goes round by itself over state 1, actor 1 over state 2; on the other's way each leaves for good.
    const eight = [
      [1, 2],
      [0, 3],
      [3, 0],
      [-1, -1],
    ]
    expect(finds(eight)).toBe(true)
    expect(finds(eight.map(([first, second], state) => (state === 0 ? [first, 3] : [first, second])))).toBe(
      false,
    )
  })
})
