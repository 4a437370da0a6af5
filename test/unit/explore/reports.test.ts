import { ISR_EL1, VgicError } from 'vgic'
import { type Bounds, invariants, museum, replay } from 'vgic/explore'
import { defineDesign, designs, edit, halt, ownStep, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { ISR_I, sleeperOn } from '../../kit/guest-lists.ts'
import { explore } from './checked.ts'

const stale = edit(designs.wfiHandler).omit('wfi/saveVmcr').design('stale')

/** A vCPU that unmasks and sleeps, and a device. */
const sleeper = (design = designs.wfiHandler): Scenario => sleeperOn(design).device('nic', (d) => d.pulse(32))

const bounds: Bounds = { preemptions: 1, ticks: 1 }

describe('a report', () => {
  it('of a design that holds is complete, and the same every time', () => {
    const report = explore(sleeper(), bounds)
    expect(report).toMatchObject({ complete: true })
    expect(report.violation).toBeUndefined()
    expect(explore(sleeper(), bounds)).toEqual(report)
  })

  it('of one that does not names the invariant, and its schedule replays to what is wrong', () => {
    const { complete, violation } = explore(sleeper(stale), { ...bounds, invariants: ['L1'] })
    expect(complete).toBe(false)
    expect(violation).toMatchObject({ invariant: 'L1', says: invariants.L1 })
    const run = replay(sleeper(stale), violation?.schedule ?? '')
    expect(run.events).toHaveLength(violation?.steps ?? 0)
    expect(run.machine.stateOf(run.machine.actors[0])).toBe('asleep')
    expect(run.acknowledged(0)).toEqual([])
    expect(run.timeline()).toContain('runnable? no')
  })

  it('with all invariants names the first that breaks: the stale shadow, before the sleep', () => {
    const { violation } = explore(sleeper(stale), bounds)
    expect(violation).toMatchObject({ invariant: 'S11' })
    expect(violation?.what).toMatch(/asks with priority mask 0x0, its guest has 0xf0/)
  })

  it('of an exploration that was cut short says by which bound, and is not complete', () => {
    expect(explore(sleeper(), { ...bounds, states: 100 })).toMatchObject({ complete: false, bound: 'states' })
    expect(explore(sleeper(), { ...bounds, depth: 10 })).toMatchObject({ complete: false, bound: 'depth' })
  })
})

describe('a replay', () => {
  const schedule = explore(sleeper(stale), { ...bounds, invariants: ['L1'] }).violation?.schedule ?? ''

  it('stops before any step', () => {
    const whole = replay(sleeper(stale), schedule)
    for (const before of [0, 1, 17, whole.events.length]) {
      const part = replay(sleeper(stale), schedule, { before })
      expect(part.events).toEqual(whole.events.slice(0, before))
    }
  })

  it.each([
    ['', /has no single ~/],
    ['what is this', /has no single ~/],
    [schedule.replace(/^./, (c) => (c === '1' ? '2' : '1')), /is of another scenario/],
    [`${schedule}.`, /has no actor/],
    [`${schedule}.zz`, /has no actor/],
    [schedule.replace('~', '~1x9.'), /is not ready/],
  ])('refuses %j', (token, message) => {
    expect(() => replay(sleeper(stale), token)).toThrow(message)
  })

  it('of another design is refused', () => {
    expect(() => replay(sleeper(), schedule)).toThrow(/another scenario, design/)
  })

  it('cannot stop after its end', () => {
    expect(() => replay(sleeper(stale), schedule, { before: 10_000 })).toThrow(
      /before must be an integer from 0 to/,
    )
  })
})

describe('bounds', () => {
  it.each([
    [{ preemptions: -1 }, /preemptions must be an integer from 0 to 255/],
    [{ ticks: 1.5 }, /ticks must be an integer/],
    [{ states: 0 }, /states must be an integer from 1/],
    [{ states: 2 ** 31 }, /there is room for 429496729 at most: explore fewer, with `symmetry`/],
    [{ depth: 0 }, /depth must be an integer from 1/],
    [{ invariants: ['S99' as 'S8'] }, /There is no invariant S99: there are S1, /],
    [
      { invariants: ['stale-shadow' as 'S11'] },
      /There is no invariant stale-shadow: that is the name of S11\./,
    ],
  ] as const)('%j are refused', (wrong, message) => {
    expect(() => explore(sleeper(), wrong)).toThrow(message)
  })
})

describe('the livelock check', () => {
  it('finds a guest that is entered for ever and gets nowhere', () => {
    // The exit for a WFI never moves the guest past it, and the interrupt that ends the halt is masked by PSTATE.
    const stuck = edit(designs.vmcrOnExit).omit('wfi/skipInstruction').design('stuck')
    const recipe = scenario('stuck')
      .gic({ listRegisters: 1 })
      .vm({ vcpus: 1, spis: 1 })
      .design(stuck)
      .spi({ intid: 32, group: 0 })
      .cpuInterface(0, { groups: [1] })
      .guest(0, (g) => g.wfi())
      .device('nic', (d) => d.pulse(32))
    const { violation } = explore(recipe, { invariants: ['L4'] })
    expect(violation).toMatchObject({ invariant: 'L4' })
    // Before it comes round, the entry itself is found wrong.
    expect(explore(recipe).violation).toMatchObject({ invariant: 'S23' })
  })

  it('finds a thread that goes round and never enters its guest', () => {
    for (const [address, by] of [
      ['entry/requestPending?', 1],
      ['wfi/halt/pollAgain?', 1],
    ] as const) {
      const always = ownStep('always', () => by, ['no', 'yes'])
      const round = edit(designs.wfiHandler).replace(address, always).design('round')
      const { violation } = explore(sleeper(round))
      expect(violation).toMatchObject({ invariant: 'L4' })
      expect(violation?.what).toMatch(/last \d+ steps repeat forever/)
    }
    const { violation } = explore(sleeper(edit(designs.wfiHandler).omit('entry/handleRequests').design()))
    expect(violation).toMatchObject({ invariant: 'L4' })
  })

  it('does not take a guest that spins by itself', () => {
    const recipe = scenario('spins')
      .vm({ vcpus: 1, spis: 1 })
      .guest(0, (g) => g.poll(ISR_EL1, ISR_I, ISR_I))
    expect(explore(recipe)).toMatchObject({ complete: true })
  })

  it('does not take a guest that waits for a device that could step', () => {
    const recipe = sleeper()
    expect(explore(recipe, { invariants: ['L4'] })).toMatchObject({ complete: true })
  })
})

describe('the museum', () => {
  it.each(museum.map((entry) => [entry.id, entry] as const))(
    'entry %s breaks with its bug and holds without',
    (_, entry) => {
      const bug = explore(entry.scenario(entry.bug), entry.bounds)
      expect(bug.violation?.invariant).toBe(entry.invariant)
      expect(explore(entry.scenario(entry.good), entry.bounds)).toMatchObject({ complete: true })
    },
  )
})

describe('what a step may write', () => {
  const liar = {
    ...ownStep('liar', (context, vcpu) => {
      context.put(vcpu)
      return 0
    }),
    writes: 'thread' as const,
  }
  const design = defineDesign('lying', { wfi: [liar, halt()] })

  it('is checked word by word: a step of the design’s own that writes more than it says is named, and the word', () => {
    expect(() => explore(sleeper(design))).toThrow(VgicError)
    expect(() => explore(sleeper(design))).toThrow(
      'A step of vcpu0, wfi/liar, wrote vcpu[0].loaded, which it may not',
    )
  })

  it('is anything if it does not say', () => {
    const { writes: _, ...honest } = liar
    expect(() => explore(sleeper(defineDesign('honest', { wfi: [honest, halt()] })))).not.toThrow()
  })
})
