/** What people ask of an exploration: how far it is, to stop, what is known when it stops, and who is at fault. */
import { VgicError } from 'vgic'
import { Exploration, explore, exploreAsync, type OwnInvariant, type Progress, replay } from 'vgic/explore'
import {
  type Design,
  defineDesign,
  designs,
  edit,
  halt,
  type OwnStep,
  ownStep,
  type Scenario,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it, vi } from 'vitest'
import { wokenSleeper } from '../../kit/guest-lists.ts'

const wake = (design: Design): Scenario => wokenSleeper('the guest unmasks, sleeps, and is woken', design)

const good = wake(designs.wfiHandler)
const stale = wake(edit(designs.wfiHandler).omit('wfi/saveVmcr').design('stale'))
const bounds = { preemptions: 1, ticks: 1 }
/** A million milliseconds pass with each look at it. */
const clock = (): (() => number) => {
  let time = 0
  return () => {
    time += 1000
    return time
  }
}

describe('an exploration', () => {
  it('has a verdict', () => {
    expect(explore(good, bounds)).toMatchObject({ verdict: 'holds', complete: true })
    expect(explore(stale, bounds)).toMatchObject({ verdict: 'violated', complete: false })
    expect(explore(good, { ...bounds, states: 50 })).toMatchObject({ verdict: 'bounded', bound: 'states' })
  })

  it('says what is known if a bound ends it', () => {
    const none = explore(good, { ...bounds, states: 50 })
    expect(none.covered).toBeUndefined()
    const withoutAny = explore(good).states
    const some = explore(good, { ...bounds, states: withoutAny + 1 })
    expect(some).toMatchObject({ bound: 'states', covered: { interventions: 0 } })
    expect(explore(good, { ...bounds, depth: 30 })).toMatchObject({
      verdict: 'bounded',
      bound: 'depth',
      covered: { interventions: 2, depth: 30 },
    })
    expect(explore(good, bounds).covered).toBeUndefined()
  })

  it('ends as by its bound on states if there is no memory for more', () => {
    const scarce = new Proxy(Int32Array, {
      construct(array, args) {
        if (args[0] > 1 << 16) throw new RangeError('Array buffer allocation failed')
        return Reflect.construct(array, args)
      },
    })
    const more = { ...bounds, states: 1 << 14 }
    expect(explore(good, more).verdict).toBe('holds')
    vi.stubGlobal('Int32Array', scarce)
    try {
      const report = explore(good, more)
      expect(report).toMatchObject({ verdict: 'bounded', bound: 'states' })
      expect(report.states).toBeGreaterThan(100)
    } finally {
      vi.unstubAllGlobals()
    }
  })

  it('goes on in slices of any size to the same report', () => {
    for (const slice of [1, 7, 1000, 0x3fff_ffff]) {
      const exploration = new Exploration(stale, { ...bounds, shortest: true })
      let report = exploration.goOn(slice)
      for (let i = 0; !report; i++) {
        expect(i).toBeLessThan(100_000)
        report = exploration.goOn(slice)
      }
      expect(report).toEqual(explore(stale, { ...bounds, shortest: true }))
      expect(exploration.goOn(slice)).toBe(report)
    }
  })

  it('that has thrown is over, and says so', () => {
    const check = (): never => {
      throw new Error('no such field')
    }
    const exploration = new Exploration(good, { now: clock(), own: [{ name: 'broken', says: '', check }] })
    expect(() => exploration.goOn(100)).toThrow(/no such field/)
    expect(() => exploration.goOn(100)).toThrow('This exploration has thrown, and is over: make a new one.')
  })

  it('tells how far it is between slices', () => {
    const exploration = new Exploration(good, bounds)
    expect(exploration.progress).toMatchObject({ states: 0, transitions: 0 })
    let last: Progress = exploration.progress
    for (let report = exploration.goOn(100); !report; report = exploration.goOn(100)) {
      const { progress } = exploration
      expect(progress.transitions).toBeGreaterThanOrEqual(last.transitions)
      expect(progress.interventions).toBeGreaterThanOrEqual(last.interventions)
      last = progress
    }
    expect(last.interventions).toBe(2)
    expect(last.perSecond).toBeUndefined()
  })

  it('tells the time by the clock that it is given, and no time without one', () => {
    expect(explore(good, bounds).elapsed).toBeUndefined()
    expect(explore(good, { ...bounds, now: clock() }).elapsed).toBeGreaterThan(0)
  })

  it('calls onProgress, and ends when that aborts it', () => {
    const controller = new AbortController()
    const told: Progress[] = []
    const many = scenario('many states')
      .vm({ vcpus: 3, spis: 1 })
      .gic({ cpus: 3 })
      .guest(0, (guest) => guest.hvc().hvc().hvc())
      .guest(1, (guest) => guest.hvc().hvc().hvc())
      .guest(2, (guest) => guest.hvc().hvc().hvc())
    const report = explore(many, {
      states: 300_000,
      now: clock(),
      signal: controller.signal,
      onProgress: (progress) => {
        told.push(progress)
        controller.abort()
      },
    })
    expect(told).toHaveLength(1)
    expect(told[0]).toMatchObject({ interventions: 0 })
    expect(told[0].states).toBeGreaterThan(10_000)
    expect(told[0].perSecond).toBeGreaterThan(0)
    expect(report).toMatchObject({ verdict: 'bounded', bound: 'signal', complete: false })
  })

  it('lets others work between its slices', async () => {
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 0)
    const report = await exploreAsync(good, { ...bounds, signal: controller.signal }, 1)
    expect(report).toMatchObject({ verdict: 'bounded', bound: 'signal' })
    expect(await exploreAsync(good, bounds, 5000)).toEqual(explore(good, bounds))
  })
})

describe('an invariant of one’s own', () => {
  it('may be about the end of schedules alone', () => {
    const ends: OwnInvariant = {
      name: 'ends',
      says: 'The guest ends.',
      atEnd: (machine) => (machine.stateOf(machine.actors[0]) === 'done' ? undefined : 'vcpu0 is not done'),
    }
    const sleeps = scenario('a guest that nobody wakes').guest(0, (guest) => guest.wfi())
    const { violation } = explore(sleeps, { own: [ends] })
    expect(violation).toMatchObject({ invariant: 'own', name: 'ends', what: 'vcpu0 is not done' })
    const goesOn = scenario('a guest that does not sleep').guest(0, (guest) => guest.hvc())
    expect(explore(goesOn, { own: [ends] }).verdict).toBe('holds')
  })

  it.each([
    [false, 'false'],
    [Promise.resolve(), 'an object'],
  ])('is refused if it answers %s', (answer, shown) => {
    const says = `of the invariant own returned ${shown}: return what is wrong as a string, undefined if nothing is.`
    const own = (asked: 'check' | 'atEnd'): OwnInvariant => ({
      name: 'own',
      says: '',
      [asked]: () => answer as unknown as string,
    })
    for (const asked of ['check', 'atEnd'] as const)
      expect(messageOf(() => explore(good, { own: [own(asked)] }))).toContain(`${asked} ${says}`)
  })

  it('is refused if it checks nothing', () => {
    expect(() => explore(good, { own: [{ name: 'none', says: '' }] })).toThrow(
      /checks nothing: give it check/,
    )
  })
})

/** A design that asks its own step before it sleeps. */
const asking = (perform: OwnStep['perform']): Scenario =>
  wake(
    defineDesign('asks', {
      wfi: [ownStep('ask', perform), halt()],
      words: ['count'],
    }),
  )

const messageOf = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    if (error instanceof VgicError) return error.message
  }
  throw new Error('nothing was thrown')
}

describe('a step of one’s own', () => {
  it('that depends on more than the machine is found out', () => {
    let calls = 0
    const fickle = asking((context, vcpu) => {
      context.set(vcpu, 'count', calls++)
      return 0
    })
    expect(messageOf(() => explore(fickle))).toMatch(
      /^The step wfi\/ask of vcpu0, taken twice from the same state, did two things/,
    )
    const counting = asking((context, vcpu) => {
      context.set(vcpu, 'count', 1)
      return 0
    })
    expect(() => explore(counting)).not.toThrow()
  })

  it('that throws carries the schedule, which replays up to it', () => {
    const failing = asking(() => {
      throw new TypeError('x is not a function')
    })
    const message = messageOf(() => explore(failing))
    const [, said, steps, token] =
      /^(.*) It is thrown in or after the last of the (\d+) steps of the schedule (\S+)$/.exec(message) ?? []
    expect(said).toBe('TypeError: x is not a function.')
    expect(() => replay(failing, token)).toThrow('x is not a function')
    expect(replay(failing, token, { before: Number(steps) - 1 }).steps).toBe(Number(steps) - 1)
  })

  it('and an invariant that throws carries it too', () => {
    const check = (): never => {
      throw new Error('no such field')
    }
    const own = { name: 'broken', says: '', check }
    expect(messageOf(() => explore(good, { own: [own] }))).toMatch(
      /no such field\. It is thrown .* schedule \S+$/,
    )
  })
})

describe('a counterexample', () => {
  const { violation } = explore(stale, bounds)
  const token = violation?.schedule ?? ''

  it('ends with the line that says what is broken and why, and its end says so', () => {
    const run = replay(stale, token)
    expect(run.end).toBe('violated')
    expect(run.violation).toMatchObject({ invariant: 'S11', name: 'stale-shadow', what: violation?.what })
    expect(run.timeline().split('\n').at(-1)).toMatch(/^violated: stale-shadow \(S11\)\. .+ Here: .+\.$/)
  })

  it('says the same if it is replayed from the report', () => {
    if (!violation) throw new Error('nothing was found')
    expect(replay(stale, violation).timeline()).toBe(replay(stale, token).timeline())
  })

  it('says nothing of it before its end, nor about invariants that are not asked for', () => {
    expect(replay(stale, token, { before: 5 })).toMatchObject({ end: 'bound', violation: undefined })
    expect(replay(stale, token, { invariants: ['S17'] }).end).toBe('bound')
  })
})

describe('a livelock', () => {
  it('is the guest’s own fault if its handler never quiets its timer', () => {
    const loud = scenario('a handler that leaves its timer as it is')
      .vm({ vcpus: 1, spis: 1, timers: true })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().eoi())
          .unmask()
          .timer(10)
          .wfi(),
      )
    const { violation } = explore(loud, { invariants: ['L4'] })
    expect(violation?.what).toMatch(
      /repeat forever.* The guest itself is at fault: it takes PPI 27 each time, and its handler never lowers the line$/,
    )
    const quiet = scenario('a handler that stops it')
      .vm({ vcpus: 1, spis: 1, timers: true })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().stopTimer().eoi())
          .unmask()
          .timer(10)
          .wfi(),
      )
    expect(explore(quiet).verdict).toBe('holds')
  })
})
