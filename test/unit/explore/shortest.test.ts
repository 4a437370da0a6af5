/** Counterexamples: with the fewest interventions, the shortest, and shortened ones. */
import { explore, minimise, museum, replay } from 'vgic/explore'
import { designs, edit } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { sleeperOn } from '../../kit/guest-lists.ts'

const stale = edit(designs.wfiHandler).omit('wfi/saveVmcr').design('stale')
const sleeper = () => sleeperOn(stale).device('nic', (d) => d.pulse(32))

const entries = museum.map((entry) => [entry.id, entry] as const)

describe('interventions of the environment', () => {
  it('are raised one by one: a bug that needs two is not found with three', () => {
    const bounds = { preemptions: 3, ticks: 2, invariants: ['L1'] } as const
    const { violation } = explore(sleeper(), bounds)
    const needed = violation?.interventions ?? 0
    expect(needed).toBeGreaterThan(0)
    for (const preemptions of [0, 1, 2, 3]) {
      for (const ticks of [0, 1, 2]) {
        if (preemptions + ticks >= needed) continue
        const less = explore(sleeper(), { ...bounds, preemptions, ticks, raise: false })
        expect(less).toMatchObject({ complete: true })
      }
    }
  })

  it('make no difference to what is visited in the end', () => {
    const good = () => sleeperOn(designs.wfiHandler).device('nic', (d) => d.pulse(32))
    for (const bounds of [{}, { preemptions: 1 }, { preemptions: 1, ticks: 1 }]) {
      const raised = explore(good(), bounds)
      expect(raised).toMatchObject({ complete: true })
      expect(explore(good(), { ...bounds, raise: false })).toEqual(raised)
    }
  })

  it('that are held back are no end: a thread that waits for a PE may still be moved', () => {
    const bounds = { preemptions: 1, migrations: 1 }
    const recipe = () => sleeperOn(designs.wfiHandler).gic({ cpus: 2, listRegisters: 1 })
    expect(explore(recipe(), bounds)).toMatchObject({ complete: true })
  })
})

describe('the shortest counterexample', () => {
  it.each(entries)('of entry %s: no shorter schedule violates anything', (_, { scenario, bug, bounds }) => {
    const report = explore(scenario(bug), { ...bounds, shortest: true })
    expect(report).toMatchObject({ complete: false, shortest: true })
    const { steps = 0, schedule = '' } = report.violation ?? {}
    expect(replay(scenario(bug), schedule).events).toHaveLength(steps)
    const first = explore(scenario(bug), bounds).violation
    expect(report.violation?.interventions).toBe(first?.interventions)
    expect(steps).toBeLessThanOrEqual(first?.steps ?? 0)
    expect(explore(scenario(bug), { ...bounds, shortest: true })).toEqual(report)
    const fewer = explore(scenario(bug), { ...bounds, depth: steps - 1 }).violation
    if (fewer) expect(fewer.interventions).toBeGreaterThan(report.violation?.interventions ?? 0)
  })

  it('says if the bound on states ended the search for it', () => {
    const [, entry] = entries[0]
    const { states } = explore(entry.scenario(entry.bug), entry.bounds)
    const report = explore(entry.scenario(entry.bug), { ...entry.bounds, shortest: true, states: states + 1 })
    expect(report.violation).toBeDefined()
    expect(report.shortest).toBe(false)
  })
})

describe('a schedule', () => {
  it.each(entries)(
    'of entry %s is shortened, and violates the same',
    (_, { scenario, bug, bounds, invariant }) => {
      const invariants = bounds.invariants ? { invariants: bounds.invariants } : {}
      const long = explore(scenario(bug), { ...bounds, raise: false }).violation
      const short = minimise(scenario(bug), long?.schedule ?? '', invariants)
      expect(short.invariant).toBe(invariant)
      expect(short.steps).toBeLessThanOrEqual(long?.steps ?? 0)
      expect(short.interventions).toBeLessThanOrEqual(long?.interventions ?? 0)
      expect(replay(scenario(bug), short.schedule).events).toHaveLength(short.steps)
      // It is as short as it gets.
      expect(minimise(scenario(bug), short.schedule, invariants)).toEqual(short)
    },
  )

  it('that violates nothing is refused', () => {
    const { schedule = '' } =
      explore(sleeper(), { preemptions: 1, ticks: 1, invariants: ['L1'] }).violation ?? {}
    expect(() => minimise(sleeper(), schedule, { invariants: ['S8'] })).toThrow(/violates no invariant/)
  })
})
