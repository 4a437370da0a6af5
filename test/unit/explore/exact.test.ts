/** States that are kept whole, and invariants of a user's own. */
import { explore, exploreRandom, invariantName, invariants, minimise, museum, replay } from 'vgic/explore'
import { designs, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { checkBounds } from '../../../src/explore/bounds.ts'
import { ExactStates } from '../../../src/explore/exact-states.ts'
import { Explorer } from '../../../src/explore/explorer.ts'
import type { Search } from '../../../src/explore/search.ts'
import { keyOf, SumHash, withExtra } from '../../../src/explore/sum-hash.ts'
import { collisions } from '../../kit/collisions.ts'
import { handle, sleeperOn } from '../../kit/guest-lists.ts'

const sleeper = () => sleeperOn(designs.wfiHandler).device('nic', (d) => d.pulse(32))

/** The search of a vCPU with two devices, in a VM and a machine that may have more. */
function keptOf({ spis, vcpus, cpus }: { spis: number; vcpus: number; cpus: number }) {
  const recipe = scenario('kept whole')
    .gic({ cpus, listRegisters: 4 })
    .vm({ vcpus, spis })
    .design(designs.wfiFullPut)
    .guest(0, (guest) => guest.onIrq(handle).unmask().wfi().wfi())
  for (const intid of [32, 33])
    recipe.spi({ intid }).device(`nic${intid}`, (d) => d.pulse(intid).pulse(intid))
  const bounds = checkBounds({ preemptions: 2, states: 50_000, exact: true, raise: false })
  const explorer = new Explorer(recipe.machine().internals, bounds)
  return { search: explorer.search, report: explorer.run(2, bounds.depth) }
}

/** The hash that states are known by that are not kept whole, of a state as {@link ExactStates.read} gives it. */
function hashOf({ machine, changes: { ranges } }: Search): (state: Int32Array) => number {
  const words = machine.hypervisor.words.slice()
  const hash = new SumHash(new Int32Array(words.length))
  const sums = { a: 0, b: 0, slow: 0 }
  return (state) => {
    let i = 0
    for (let r = 0; r < ranges.length; r += 2)
      for (let at = ranges[r]; at < ranges[r + 1]; at++) words[at] = state[i++]
    hash.hashAll(sums, words, ranges)
    return keyOf(withExtra(sums.a, state[i]), sums.b)
  }
}

describe('states that are kept whole', () => {
  it.each(museum.map((entry) => [entry.id, entry] as const))(
    'are as many as those told apart by their hashes: entry %s',
    (_, { scenario, good, bounds }) => {
      const hashed = explore(scenario(good), bounds)
      const exact = explore(scenario(good), { ...bounds, exact: true })
      expect(exact).toEqual({ ...hashed, omission: 0 })
      expect(hashed.omission).toBe((hashed.states * (hashed.states - 1)) / 2 ** 64)
    },
  )

  it('are told apart though a hash of them agrees', () => {
    const words = new Int32Array([1, 2, 3])
    const states = new ExactStates(words, Int32Array.from([0, 1, 2, 3]))
    expect([0, 0, 1].map((budget) => states.numberOf(budget))).toEqual([1, 1, 2])
    words[2] = 4
    expect([0, 1].map((budget) => states.numberOf(budget))).toEqual([3, 4])
    // Not in the ranges.
    words[1] = 9
    expect(states.numberOf(1)).toBe(4)
    expect(collisions(states, () => 5)).toBe(3)
    expect(collisions(states, ([a, b, budget]) => a + b + budget)).toBe(1)
  })

  it.each([
    { spis: 4, vcpus: 1, cpus: 2 },
    { spis: 987, vcpus: 1, cpus: 2 },
    { spis: 4, vcpus: 8, cpus: 2 },
    { spis: 987, vcpus: 8, cpus: 8 },
  ])('take few bytes whatever is there and not used: $spis SPIs, $vcpus vCPUs, $cpus CPUs', (config) => {
    const { search, report } = keptOf(config)
    expect(report).toMatchObject({ states: 50_000, omission: 0 })
    expect((search.exact?.bytes ?? 0) / report.states).toBeLessThan(48)
  })

  it('have hashes of which no two agree', () => {
    const { search, report } = keptOf({ spis: 4, vcpus: 1, cpus: 2 })
    expect(search.exact?.count).toBeGreaterThanOrEqual(report.states)
    expect(search.exact && collisions(search.exact, hashOf(search))).toBe(0)
  })
})

describe('an invariant', () => {
  it('has a plain name, which reports give', () => {
    expect(invariantName('S11')).toBe('stale-shadow')
    for (const id of Object.keys(invariants))
      expect(invariantName(id)).toMatch(/^[a-z]+(-[a-z0-9]+)+$|^livelock$/)
    const [{ scenario, bug, bounds }] = museum
    expect(explore(scenario(bug), bounds).violation?.name).toBe('lost-wake-up')
  })

  it('of one’s own is checked after every step, and its schedule shortened', () => {
    const own = [
      {
        name: 'never-sleeps',
        says: 'No vCPU sleeps.',
        check: (machine: { stateOf: (actor: never) => string; actors: readonly unknown[] }) =>
          machine.stateOf(machine.actors[0] as never) === 'asleep' ? 'vcpu0 sleeps' : undefined,
      },
    ]
    const { violation } = explore(sleeper(), { own })
    expect(violation).toMatchObject({ invariant: 'own', name: 'never-sleeps', what: 'vcpu0 sleeps' })
    const { machine } = replay(sleeper(), violation?.schedule ?? '')
    expect(machine.stateOf(machine.actors[0])).toBe('asleep')
    expect(minimise(sleeper(), violation?.schedule ?? '', { own })).toMatchObject({ name: 'never-sleeps' })
    expect(exploreRandom(sleeper(), { own, runs: 5 }).violation).toMatchObject({ name: 'never-sleeps' })
    expect(explore(sleeper()).violation).toBeUndefined()
  })
})
