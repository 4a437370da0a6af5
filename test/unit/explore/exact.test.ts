/** States that are kept whole, and invariants of a user's own. */
import { explore, exploreRandom, invariantName, invariants, minimise, museum, replay } from 'vgic/explore'
import { designs } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { ExactStates } from '../../../src/explore/exact-states.ts'
import { sleeperOn } from '../../kit/guest-lists.ts'

const sleeper = () => sleeperOn(designs.wfiHandler).device('nic', (d) => d.pulse(32))

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

  it('are told apart though their hashes agree', () => {
    const words = new Int32Array([1, 2, 3])
    const states = new ExactStates(words, Int32Array.from([0, 1, 2, 3]))
    expect([0, 0, 1].map((budget) => states.numberOf(5, 6, budget))).toEqual([0, 0, 1])
    words[2] = 4
    expect([0, 1].map((budget) => states.numberOf(5, 6, budget))).toEqual([2, 3])
    // Not in the ranges.
    words[1] = 9
    expect(states.numberOf(5, 6, 1)).toBe(3)
    expect(states.collisions).toBe(3)
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
