/** An exploration in parts: together they are the whole. */
import { explore, exploreRandom, mergeReports, museum, type Report, type Violation } from 'vgic/explore'
import { describe, expect, it } from 'vitest'

const shards = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}/${count}`)

describe('the parts of an exploration', () => {
  it.each(museum.map((entry) => [entry.id, entry] as const))(
    'find in entry %s what the whole finds',
    (_, { scenario, bug, good, bounds }) => {
      const whole = explore(scenario(bug), bounds)
      const parts = shards(3).map((shard) => explore(scenario(bug), { ...bounds, shard }))
      const merged = mergeReports([...parts].reverse())
      expect(merged.complete).toBe(false)
      expect(merged.violation?.interventions).toBe(whole.violation?.interventions)
      expect(mergeReports(parts)).toEqual(merged)
      const held = shards(3).map((shard) => explore(scenario(good), { ...bounds, shard }))
      expect(mergeReports(held)).toMatchObject({ complete: true })
      const { states } = explore(scenario(good), bounds)
      for (const part of held) expect(part.states).toBeLessThan(2 * states)
      expect(mergeReports(held).states).toBeGreaterThanOrEqual(states)
    },
  )

  it('of random schedules are disjoint, and all', () => {
    const { scenario, good } = museum[0]
    const whole = exploreRandom(scenario(good), { runs: 50 })
    const parts = shards(4).map((shard) => exploreRandom(scenario(good), { runs: 50, shard }))
    expect(parts.map(({ schedules }) => schedules)).toEqual([13, 13, 12, 12])
    const { schedules, transitions } = mergeReports(parts)
    expect({ schedules, transitions }).toEqual({ schedules: 50, transitions: whole.transitions })
  })

  it('survive JSON', () => {
    const { scenario, bug, bounds } = museum[0]
    const parts = shards(2).map((shard) => explore(scenario(bug), { ...bounds, shard }))
    expect(mergeReports(JSON.parse(JSON.stringify(parts)) as Report[])).toEqual(mergeReports(parts))
  })
})

describe('merging', () => {
  const part = (shard: string, more: Partial<Report> = {}): Report => ({
    verdict: 'holds',
    complete: true,
    states: 1,
    transitions: 2,
    schedules: 3,
    omission: 0,
    shard,
    ...more,
  })

  it('adds up, and names the parts that are missing', () => {
    expect(mergeReports([part('0/3'), part('2/3', { complete: false, bound: 'states' })])).toEqual({
      verdict: 'bounded',
      complete: false,
      states: 2,
      transitions: 4,
      schedules: 6,
      omission: 0,
      bound: 'states',
      missing: ['1/3'],
    })
  })

  it('calls a schedule the shortest only if every part has looked for a shorter one', () => {
    const violation: Violation = {
      invariant: 'S11',
      name: 'stale-shadow',
      says: '',
      what: '',
      schedule: '0~0',
      steps: 1,
      interventions: 0,
    }
    const found = part('0/2', { verdict: 'violated', complete: false, shortest: true, violation })
    const shortest = (...others: Report[]) => mergeReports([found, ...others]).shortest
    expect(shortest(part('1/2'))).toBe(true)
    expect(shortest({ ...found, shard: '1/2' })).toBe(true)
    expect(shortest(part('1/2', { complete: false, bound: 'depth' }))).toBe(true)
    expect(shortest(part('1/2', { complete: false, bound: 'states' }))).toBe(false)
    expect(shortest({ ...found, shard: '1/2', shortest: false })).toBe(false)
    expect(shortest()).toBe(false)
  })

  it('says how long the slowest part took', () => {
    expect(mergeReports([part('0/2', { elapsed: 10 }), part('1/2', { elapsed: 30 })]).elapsed).toBe(30)
  })

  it.each([
    [[], /reports is empty/],
    [[part('0/2'), part('0/2')], /is there twice/],
    [[part('0/2'), part('1/3')], /is not one of 2 shards/],
    [[part('2/2')], /shard must be 'i\/n'/],
    [[{ ...part('0/1'), shard: undefined }], /is of no shard/],
    [[{ ...part('0/1'), states: -1 }], /states must be an integer/],
  ])('refuses %j', (reports, message) => {
    expect(() => mergeReports(reports as Report[])).toThrow(message)
  })
})
