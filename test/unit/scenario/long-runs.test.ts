/** A run keeps no record of its steps, and tells them when it is asked: all of a short one, any part of a long one. */
import { replay } from 'vgic/explore'
import {
  defineDesign,
  halt,
  ownStep,
  type Run,
  type Scenario,
  ScenarioMachine,
  scenario,
} from 'vgic/scenario'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { writeSchedule } from '../../../src/explore/schedule.ts'

/** The guest sends itself an SGI, acknowledges and ends it, and calls the hypervisor, again and again. */
const rounds = (count: number): Scenario =>
  scenario('rounds').guest(0, (guest) =>
    guest.loop(count, (list) =>
      list
        .sgi({ intid: 3, vcpus: [0] })
        .ack()
        .eoi()
        .hvc(),
    ),
  )

const traced = vi.spyOn(ScenarioMachine.prototype, 'tell')
afterEach(() => traced.mockClear())

describe('a long run', () => {
  const TOLD = 100_000
  const run = rounds(4_000).run({ steps: 1_000_000 })

  it('keeps no event, and tells of none, until it is asked', () => {
    const other = rounds(4_000).run({ steps: 1_000_000 })
    expect(other.steps).toBeGreaterThan(TOLD)
    expect(other.end).toBe('done')
    expect(other.cost().find(({ exit }) => exit === 'hvc')?.exits).toBe(4_000)
    expect(traced).not.toHaveBeenCalled()
    // It has no list: what each vCPU acknowledged is in a typed array.
    expect(Object.values(other).filter(Array.isArray)).toEqual([])
    expect(other.acknowledged(0)).toHaveLength(4_000)
  })

  it('has all that its guest acknowledged', () => {
    expect(run.acknowledged(0)).toEqual(Array.from({ length: 4_000 }, () => 3))
    expect(traced).not.toHaveBeenCalled()
  })

  it('tells of its last 100,000 steps, once', () => {
    const { events } = run
    expect(events).toHaveLength(TOLD)
    expect(traced).toHaveBeenCalledTimes(TOLD)
    expect(events[0].time).toBe(run.steps - TOLD)
    expect(events.at(-1)).toMatchObject({ time: run.steps - 1, place: 'off', what: 'stop' })
    expect(run.events).toBe(events)
    expect(traced).toHaveBeenCalledTimes(TOLD)
  })

  it('says in its timeline what is left out', () => {
    const [header, note, first] = run.timeline().split('\n', 3)
    expect(header.trim()).toMatch(/^time {2}actor {2}place +step$/)
    expect(note).toBe(`  ...  ${run.steps - TOLD} steps are left out: timeline({ from, to }) shows any part`)
    expect(first.trim().split(/\s+/)[0]).toBe(`${run.steps - TOLD}`)
  })

  it('has any part of its timeline, and of its events', () => {
    const short = rounds(1).run()
    expect(run.timeline({ to: 20 })).toBe(short.timeline({ from: 0, to: 20 }))
    expect(run.eventsIn({ from: 100, to: 104 }).map(({ time }) => time)).toEqual([100, 101, 102, 103])
    expect(run.eventsIn({ from: run.steps - 3 })).toEqual(run.events.slice(-3))
    expect(run.eventsIn({ from: 7, to: 7 })).toEqual([])
    expect(run.eventsIn({})).toHaveLength(run.steps)
  })
})

describe('a run of the usual length', () => {
  it('tells of every step, and leaves nothing out', () => {
    const run = rounds(10).run()
    expect(run.events.map(({ time }) => time)).toEqual(Array.from({ length: run.steps }, (_, i) => i))
    expect(run.timeline()).not.toContain('left out')
    expect(run.timeline({})).toBe(run.timeline())
  })

  it('tells of what it did, whatever becomes of its scenario and its machine', () => {
    const recipe = rounds(1)
    const run = recipe.run({ steps: 5 })
    const told = recipe.run({ steps: 5 }).timeline()
    recipe.guest(0, (guest) => guest.hvc()).device('nic', (device) => device.pulse(40))
    for (let i = 0; i < 10; i++) run.machine.step(run.machine.actors[0])
    expect(run.timeline()).toBe(told)
    expect(run.machine.time).toBe(15)
  })

  it('has time that passes while nobody can go on', () => {
    const run = scenario('sleeps')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) => guest.timer(5_000).wfi())
      .run()
    expect(run.machine.time).toBeGreaterThan(5_000)
    const [expiry] = run.eventsIn({ from: 4_000 })
    expect(expiry).toMatchObject({ actor: { kind: 'timer' } })
    expect(run.timeline({ from: 4_000 })).toContain(`${expiry.time}  virtual timer of vcpu0`)
  })

  it('refuses times that are none', () => {
    const run = rounds(1).run()
    expect(() => run.timeline({ from: -1 })).toThrow('from must be an integer from 0')
    expect(() => run.eventsIn({ to: 0.5 })).toThrow('to must be an integer from 0')
  })
})

describe('a step of the design’s own that depends on more than the machine', () => {
  it('is found out when the run is told', () => {
    let calls = 0
    const impure = ownStep('impure', (context, vcpu) => {
      context.set(vcpu, 'calls', ++calls)
      return 0
    })
    const design = defineDesign('impure', { wfi: [halt()], afterExit: [impure], words: ['calls'] })
    const run: Run = rounds(1).design(design).run()
    expect(run.acknowledged(0)).toEqual([3])
    expect(() => run.timeline()).toThrow(expect.objectContaining({ name: 'VgicError', code: 'scenario' }))
    expect(() => run.timeline()).toThrow("The run's steps cannot be told")
  })
})

describe('a replay', () => {
  it('keeps no events either, and tells any part', () => {
    const recipe = rounds(2)
    const token = writeSchedule(
      recipe.machine().internals.digest,
      Array.from({ length: 40 }, () => 0),
    )
    const run = replay(recipe, token)
    expect(traced).not.toHaveBeenCalled()
    expect(run.steps).toBe(40)
    expect(run.events).toEqual(recipe.run({ steps: 40 }).events)
    expect(replay(recipe, token, { before: 12 }).events).toEqual(run.eventsIn({ to: 12 }))
  })
})
