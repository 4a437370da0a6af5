/** Random schedules: reproducible by seed, true to their guarantee, and shortened. */
import { exploreRandom, museum, replay } from 'vgic/explore'
import { type Design, designs, type Scenario, scenario, steps } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { sleeperOn } from '../../kit/guest-lists.ts'

const entry = (id: string) => {
  const found = museum.find((one) => one.id === id)
  if (!found) throw new Error(id)
  return found
}
const sleeper = (): Scenario => sleeperOn(designs.wfiHandler).device('nic', (d) => d.pulse(32))

describe('a random exploration', () => {
  it('is the same every time, and another with another seed', () => {
    const [first, second, other] = [7, 7, 700].map((seed) =>
      exploreRandom(sleeper(), { preemptions: 1, strategy: 'uniform', seed, runs: 20 }),
    )
    expect(second).toEqual(first)
    expect(other).not.toEqual(first)
    expect(first).toMatchObject({ complete: false, schedules: 20 })
  })

  it.each(['pct', 'uniform'] as const)('by %s finds a bug, whose seed alone finds it again', (strategy) => {
    const { scenario: make, bug, invariant } = entry('12')
    const report = exploreRandom(make(bug), { strategy })
    expect(report.violation?.invariant).toBe(invariant)
    expect(replay(make(bug), report.violation?.schedule ?? '').events).toHaveLength(
      report.violation?.steps ?? 0,
    )
    const again = exploreRandom(make(bug), { strategy, seed: report.seed ?? 0, runs: 1 })
    expect(again.violation).toEqual(report.violation)
  })

  it('shortens what it finds, unless it is told not to', () => {
    const { scenario: make, bug } = entry('12')
    const [short, long] = [true, false].map((minimise) => exploreRandom(make(bug), { minimise }))
    expect(short.seed).toBe(long.seed)
    expect(short.violation?.steps).toBeLessThan(long.violation?.steps ?? 0)
  })

  it('says that schedules were cut off, and goes on with others', () => {
    expect(exploreRandom(sleeper(), { depth: 5, runs: 3 })).toMatchObject({
      schedules: 3,
      transitions: 15,
      bound: 'depth',
    })
  })

  it('keeps to the bounds on interventions', () => {
    const { scenario: make, bug, bounds } = entry('13')
    const invariants = bounds.invariants ?? []
    expect(exploreRandom(make(bug), { invariants, runs: 300 }).violation).toBeUndefined()
    const { violation } = exploreRandom(make(bug), { invariants, preemptions: 1 })
    expect(violation).toMatchObject({ invariant: 'S11', interventions: 1 })
  })
})

describe('PCT', () => {
  /** Devices of one step each: a schedule of n steps, in which each is first in one of n. */
  const atOnce: Design = {
    name: 'at once',
    thread: [steps.stop],
    schedOut: [],
    schedIn: [],
    inject: [steps.queueInterrupt],
    msi: [steps.translate, steps.queueInterrupt],
  }
  const devices = (count: number): Scenario => {
    const recipe = scenario('devices').vm({ vcpus: 1, spis: 16 }).design(atOnce)
    for (let n = 0; n < count; n++) recipe.device(`device ${n}`, (d) => d.pulse(32 + n))
    return recipe
  }

  it('states what it promises: n actors, k steps, d constraints', () => {
    const { pct } = exploreRandom(devices(3), { constraints: 2, runs: 1 })
    expect(pct).toEqual({ actors: 4, length: 4, constraints: 2, probability: 1 / (4 * 4) })
    expect(exploreRandom(devices(3), { strategy: 'uniform', runs: 1 }).pct).toBeUndefined()
  })

  it('of one constraint lets every order of priorities come up: all 16 states of four actors', () => {
    expect(exploreRandom(devices(3), { constraints: 1, runs: 200 }).states).toBe(16)
  })

  it('lets a guest that spins not keep the others from their steps', () => {
    const recipe = scenario('spins')
      .vm({ vcpus: 2, spis: 1 })
      .spi({ intid: 32 })
      .guest(0, (g) => g.quiesce(32))
      .device('nic', (d) => d.pulse(32))
    const { bound } = exploreRandom(recipe, { runs: 20, depth: 500 })
    expect(bound).toBeUndefined()
  })
})
