/** Several explorers that share the states that they have done with. Here they take turns, in one thread. */
import { type Bounds, explore, museum, type Report } from 'vgic/explore'
import { type Scenario, scenario } from 'vgic/scenario'
import { exploreInWorkers } from 'vgic/workers'
import { describe, expect, it } from 'vitest'
import { checkBounds } from '../../../src/explore/bounds.ts'
import { ClosedStates, closedStatesBytes } from '../../../src/explore/closed-states.ts'
import { withCovered } from '../../../src/explore/exploration.ts'
import { explorePart, type PoolSearch, reportOfParts } from '../../../src/explore/part-of-pool.ts'
import work from '../../../src/worker.ts'

const STATES = 200_000

function together(make: () => Scenario, bounds: Bounds, count: number): Report {
  const buffer = new SharedArrayBuffer(closedStatesBytes(STATES))
  const search = { bounds: { states: STATES, ...bounds }, interventions: 510, buffer }
  const parts = Array.from({ length: count }, (_, index) => explorePart(make(), search, index))
  return reportOfParts(parts, new ClosedStates(buffer).size)
}

describe('several explorers', () => {
  it.each(museum.map((entry) => [entry.id, entry] as const))(
    'have the verdict of one, and visit the same states: entry %s',
    (_, { scenario, bug, good, bounds: { reduce: __, ...bounds }, invariant }) => {
      const alone = explore(scenario(good), { ...bounds, raise: false })
      const { states, complete } = together(() => scenario(good), bounds, 3)
      expect({ states, complete }).toEqual({ states: alone.states, complete: true })
      const broken = together(() => scenario(bug), { ...bounds, invariants: [invariant] }, 2)
      expect(broken.violation?.invariant).toBe(invariant)
    },
  )

  const reduced = museum.filter(
    ({ invariant, id }) => ['01', '04', '09', '12', '13', '21'].includes(id) && invariant !== 'L4',
  )

  it.each(reduced.map((entry) => [entry.id, entry] as const))(
    'have the verdict of one with `reduce`, too: entry %s',
    (_, { scenario, bug, good, bounds: { invariants: __, ...bounds }, invariant }) => {
      const reduce = { ...bounds, raise: false, reduce: true }
      expect(together(() => scenario(good), reduce, 3).complete).toBe(true)
      const broken = together(() => scenario(bug), { ...reduce, invariants: [invariant] }, 3)
      expect(broken.violation?.invariant).toBe(invariant)
    },
  )

  it('visit one state of each orbit, with symmetry', () => {
    const make = () => {
      const recipe = scenario('alike').vm({ vcpus: 1, spis: 8 }).symmetric('a', 'b')
      for (const [name, intid] of [
        ['a', 32],
        ['b', 33],
      ] as const)
        recipe.spi({ intid }).device(name, (device) => device.pulse(intid))
      return recipe.guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().eoi())
          .unmask()
          .wfi(),
      )
    }
    for (const reduce of [false, true]) {
      const bounds = { preemptions: 1, raise: false, symmetry: true, reduce }
      const alone = explore(make(), bounds)
      const { complete, states } = together(make, bounds, 3)
      expect(complete).toBe(true)
      if (!reduce) expect(states).toBe(alone.states)
    }
  })

  it('leave a state that another has done with, and what follows from it', () => {
    const [{ scenario, good, bounds }] = museum
    const buffer = new SharedArrayBuffer(closedStatesBytes(STATES))
    const search = { bounds: { ...bounds, states: STATES }, interventions: 510, buffer }
    const [first, second] = [0, 1].map((index) => explorePart(scenario(good), search, index).report)
    expect(first.complete).toBe(true)
    expect(second.transitions).toBeLessThan(first.transitions / 100)
  })

  it('stop together at the bound on states', () => {
    const [{ scenario, good, bounds }] = museum
    const report = together(() => scenario(good), { ...bounds, states: 500 }, 2)
    expect(report).toMatchObject({ bound: 'states' })
    // As after searches without interventions, and with one.
    const checked = checkBounds({ preemptions: 2 })
    expect(withCovered(report, checked, 0, false).covered).toBeUndefined()
    expect(withCovered(report, checked, 2, false).covered).toEqual({ interventions: 1 })
  })

  it('say how deep they have looked where the bound on depth cuts schedules off', () => {
    const [{ scenario, good, bounds }] = museum
    const report = together(() => scenario(good), { ...bounds, depth: 30 }, 2)
    const checked = checkBounds({ preemptions: 2, depth: 30 })
    expect(withCovered(report, checked, 2, true).covered).toEqual({ interventions: 2, depth: 30 })
  })
})

describe('the set of closed states', () => {
  it('has what was put in, also lanes of zeros and slots that meet', () => {
    const closed = new ClosedStates(new SharedArrayBuffer(closedStatesBytes(100)))
    const lanes = Array.from({ length: 60 }, (_, i) => [(i % 3) * 256, i * 2] as const)
    for (const [a, b] of lanes) expect(closed.has(a, b)).toBe(false)
    for (const [a, b] of [...lanes, ...lanes]) closed.add(a, b)
    expect(closed.size).toBe(60)
    for (const [a, b] of lanes) expect([closed.has(a, b), closed.has(a, b + 2000)]).toEqual([true, false])
  })

  it('takes no more when it is full', () => {
    const closed = new ClosedStates(new SharedArrayBuffer(closedStatesBytes(10)))
    for (let i = 1; i < 1000; i++) closed.add(i, i << 1)
    expect(closed.size).toBeLessThan(64)
    expect(closed.has(1, 2)).toBe(true)
    expect(closed.has(999, 1998)).toBe(false)
  })
})

describe('what an exploration in threads is given', () => {
  const source = { module: 'file:///scenario.js' }

  it.each([
    [{ module: 1 }, { workers: 2 }, /module must be a string/],
    [
      { module: './s.js' },
      { workers: 2 },
      /module must be an address, but is ".\/s.js": new URL\(".\/s.js", import.meta.url\).href is one/,
    ],
    [{ ...source, exports: 'x' }, { workers: 2 }, /exports/],
    [source, { workers: 0 }, /workers must be an integer from 1 to 256/],
    [source, { workers: 2, exact: true }, /exact/],
    [source, { workers: 2, states: 0 }, /states must be an integer/],
  ])('is checked: %j, %j', async (wrong, bounds, message) => {
    await expect(exploreInWorkers(wrong as never, bounds as never)).rejects.toThrow(message)
  })
})

describe('a thread', () => {
  it('says which module cannot be loaded', async () => {
    const search: PoolSearch = {
      bounds: {},
      interventions: 0,
      buffer: new SharedArrayBuffer(closedStatesBytes(10)),
    }
    const answer = await work({ source: { module: 'file:///nowhere.js' }, search, index: 0 })
    expect(answer).toEqual({
      code: 'argument',
      message: expect.stringMatching(/^file:\/\/\/nowhere\.js cannot be loaded: /),
    })
  })
})
