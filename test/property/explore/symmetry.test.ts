/** Symmetry: what it relies on, step by step, and what it says, beside the whole search. */
import fc from 'fast-check'
import { type Bounds, explore, type InvariantId, invariants, type Report, replay } from 'vgic/explore'
import type { Actor, Scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { checkBounds } from '../../../src/explore/bounds.ts'
import { CanonicalStates } from '../../../src/explore/canonical-states.ts'
import { Changes } from '../../../src/explore/changes.ts'
import { Explorer } from '../../../src/explore/explorer.ts'
import { renamingsOf } from '../../../src/explore/symmetry/declaration.ts'
import { cookSymmetric, mutants, symmetricScenarios } from './symmetric-scenarios.ts'

const choices = fc.array(fc.nat(), { minLength: 200, maxLength: 600, size: 'max' })

describe('a permutation of what is symmetric', () => {
  it('takes each step of an actor to the step of the actor that takes its place', () => {
    let steps = 0
    fc.assert(
      fc.property(symmetricScenarios(3, 4), choices, (one, schedule) => {
        const machine = cookSymmetric(one).machine().internals
        machine.prepareExploration()
        const { words, state } = machine.hypervisor
        const { ranges } = new Changes(machine, words.slice())
        const renamings = renamingsOf(machine, ranges)
        const [before, after, permuted, expected] = [
          words.slice(),
          words.slice(),
          words.slice(),
          words.slice(),
        ]
        const all = [...machine.actors, ...machine.environment]
        const readyOf = (actors: readonly Actor[]) =>
          actors.filter((actor) => machine.stateOf(actor) === 'ready')
        for (const choice of schedule) {
          // The environment could keep the vCPUs from coming anywhere.
          const own = choice % 8 === 0 ? [] : readyOf(machine.actors)
          const ready = own.length === 0 ? readyOf(all) : own
          if (ready.length === 0) return
          const actor = ready[choice % ready.length]
          const renaming = renamings[choice % renamings.length]
          const other = renaming.actorOf(actor)
          before.set(words)
          renaming.apply(permuted)
          machine.step(actor)
          after.set(words)
          renaming.apply(expected)
          words.set(permuted)
          expect([actor.name, other.name, machine.stateOf(other)]).toEqual([actor.name, other.name, 'ready'])
          machine.step(other)
          const wrong: string[] = []
          for (let r = 0; r < ranges.length; r += 2)
            for (let at = ranges[r]; at < ranges[r + 1]; at++)
              if (words[at] !== expected[at])
                wrong.push(`${state.layout.nameOf(at)}: ${words[at]} not ${expected[at]}`)
          expect([actor.name, other.name, wrong]).toEqual([actor.name, other.name, []])
          words.set(after)
          steps++
        }
      }),
      { numRuns: 150 },
    )
    expect(steps).toBeGreaterThan(5000)
  })
})

/** More states than that are too many for a test. */
const STATES = 20_000
const ids = (Object.keys(invariants) as InvariantId[]).filter((id) => id !== 'L4')

/** How many states a search without symmetry visits, and how many of them are no permutations of one another. */
function visited(recipe: Scenario, bounds: Bounds): { report: Report; states: number; orbits: number } {
  const explorer = new Explorer(recipe.machine().internals, checkBounds(bounds))
  const { search } = explorer
  const canonical = new CanonicalStates(search.machine, search.changes.ranges)
  const states = new Set<string>()
  const orbits = new Set<string>()
  const push = search.push.bind(search)
  search.push = (slot) => {
    const { next } = search.stack
    states.add(`${next.keyA} ${next.keyB}`)
    canonical.hashAll(0)
    canonical.choose(0, next)
    orbits.add(`${canonical.least.a} ${canonical.least.b} ${next.budget}`)
    push(slot)
  }
  const report = explorer.run(510, 20_000)
  return { report, states: states.size, orbits: orbits.size }
}

/** Two devices of one vCPU, or two vCPUs with a device each. */
const like = {
  timers: false,
  alone: false,
  listRegisters: 2,
  devices: 1,
  level: false,
  priorities: [0x80, 0x80],
  handler: [],
  ops: ['mask', 'wfi'],
  acts: ['pulse'],
  vlpi: false,
} as const

describe('a search with symmetry', () => {
  it('visits one state of each orbit', () => {
    const seen = { states: 0, orbits: 0 }
    fc.assert(
      fc.property(symmetricScenarios(2, 2), fc.nat(1), fc.nat(1), (one, preemptions, ticks) => {
        const bounds: Bounds = { preemptions, ticks, states: STATES, invariants: [], raise: false }
        const { complete, states } = explore(cookSymmetric(one), { ...bounds, symmetry: true })
        if (!complete) return
        const whole = visited(cookSymmetric(one), { ...bounds, states: 2 * STATES })
        expect([whole.report.complete, whole.orbits]).toEqual([true, states])
        expect(explore(cookSymmetric(one), { ...bounds, exact: true, symmetry: true }).states).toBe(states)
        expect(explore(cookSymmetric(one), { ...bounds, reduce: true, symmetry: true })).toMatchObject({
          complete: true,
        })
        seen.states += whole.states
        seen.orbits += whole.orbits
      }),
      // Whatever the seed, one search is small enough to be complete.
      { numRuns: 20, examples: [[{ ...like, design: 'wfi-handler', vcpus: 1, swapsVcpus: false }, 0, 0]] },
    )
    expect(seen.orbits).toBeLessThan(seen.states)
  })

  it.each(
    mutants.flatMap(({ name }) => [
      { design: name, what: 'devices', vcpus: 1, swapsVcpus: false },
      { design: name, what: 'vCPUs', vcpus: 2, swapsVcpus: true },
    ]),
  )(
    'violates what the whole search does, by a schedule that replays: $design, $what',
    ({ what: _, ...one }) => {
      const make = () => cookSymmetric({ ...like, ...one })
      const bounds: Bounds = { preemptions: 1, states: 400_000 }
      const { violation } = explore(make(), { ...bounds, invariants: ids })
      expect(violation).toBeDefined()
      const { invariant = 'own', interventions } = violation ?? {}
      if (invariant === 'own') return
      const found = explore(make(), { ...bounds, invariants: [invariant], symmetry: true }).violation
      expect(found).toMatchObject({ invariant, interventions })
      const run = replay(make(), found?.schedule ?? '', { invariants: [invariant] })
      expect([run.end, run.violation?.invariant]).toEqual(['violated', invariant])
      const shortest = explore(make(), { ...bounds, invariants: [invariant], shortest: true }).violation
      const alike = explore(make(), { ...bounds, invariants: [invariant], shortest: true, symmetry: true })
      expect(alike.violation).toMatchObject({ invariant, steps: shortest?.steps })
    },
  )
})
