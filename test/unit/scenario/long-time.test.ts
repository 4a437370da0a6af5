/** Virtual time goes on where 31 and 32 bits end: timers, WFIT, devices and halt polling come late and do the same. */

import {
  designs,
  type GuestBuilder,
  type OpList,
  type Run,
  type Scenario,
  scenario,
  type TimerName,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { pass, setTime, tick, timeOf } from '../../../src/hyp/records/virtual-time.ts'
import { runMachine } from '../../../src/scenario/run.ts'

const LONGEST = 2 ** 30 - 1
const ENDS = [2 ** 31, 2 ** 32, 2 ** 33]

const timed = (guest: (guest: GuestBuilder) => unknown): Scenario =>
  scenario('late')
    .vm({ vcpus: 1, timers: true })
    .design(designs.wfiHandler)
    .guest(0, (builder) => {
      const off = (which: TimerName) => (list: OpList) => list.stopTimer(which)
      builder.onIrq((list) => list.ack().on(27, off('virtual')).on(30, off('physical')).eoi())
      guest(builder.unmask())
    })

const outcome = (run: Run) => [run.end, run.acknowledged(0), run.counts(0).sleeps]

describe('a moment in two words', () => {
  it.each([
    [0, 1],
    [2 ** 31 - 1, 2 ** 31],
    [2 ** 32 - 2, 2 ** 32 - 1],
    [2 ** 32 - 1, 2 ** 32],
    [2 ** 33 - 1, 2 ** 33],
  ])('%i is followed by %i', (before, after) => {
    const words = new Int32Array(4).fill(-7)
    setTime(words, 1, before)
    tick(words, 1)
    expect(timeOf(words, 1)).toBe(after)
    expect([words[0], words[3]]).toEqual([-7, -7])
  })

  it.each([
    [5, 7, 12],
    [2 ** 32 - 10, 9, 2 ** 32 - 1],
    [2 ** 32 - 10, 10, 2 ** 32],
    [2 ** 32 - 10, 11, 2 ** 32 + 1],
    [2 ** 33 - 1, 2 ** 31, 2 ** 33 + 2 ** 31 - 1],
  ])('%i and %i steps are %i', (before, steps, after) => {
    const words = new Int32Array(4).fill(-7)
    setTime(words, 1, before)
    pass(words, 1, steps)
    expect(timeOf(words, 1)).toBe(after)
    expect([words[0], words[3]]).toEqual([-7, -7])
  })
})

describe('timers of the longest length, one after another', () => {
  it.each([1, 2, 3, 4, 5, 9])('wake the guest each time: %i of them', (count) => {
    const run = timed((guest) => guest.loop(count, (list) => list.timer(LONGEST).wfi())).run()
    expect(outcome(run)).toEqual(['done', Array(count).fill(27), count])
    expect(run.machine.time).toBeGreaterThanOrEqual(count * LONGEST)
    expect(run.machine.time).toBeLessThan(count * LONGEST + 1000)
  })

  it('time out a WFIT each time', () => {
    const run = timed((guest) => guest.loop(5, (list) => list.wfit(LONGEST))).run()
    expect(outcome(run)).toEqual(['done', [], 5])
    expect(run.machine.time).toBeGreaterThanOrEqual(5 * LONGEST)
  })

  it('expire in the order of their deadlines when a later one is beyond an end and the first is not', () => {
    const run = timed((guest) =>
      guest
        .loop(2, (list) => list.wfit(LONGEST))
        .timer(LONGEST, 'physical')
        .timer(100)
        .wfi()
        .wfi(),
    ).run()
    expect(outcome(run)).toEqual(['done', [27, 30], 4])
  })
})

describe('at a moment where so many bits end', () => {
  /** What a run from a moment on does and when, by that moment; a pulse comes 700 later. */
  function runFrom(start: number): unknown {
    const machine = timed((guest) =>
      guest
        .wfi()
        .timer(40)
        .wfi()
        .timer(60)
        .wfit(30)
        .wfi()
        .hvc()
        .loop(3, (list) => list.timer(25).wfi()),
    )
      .vm({ vcpus: 1, timers: true, haltPolling: { limit: 40, growStart: 5 } })
      .spi({ intid: 40 })
      .device('nic', (device) => device.at(start + 700).pulse(40))
      .machine()
    machine.passTime(start)
    const run = runMachine(machine, {})
    const events = run.events.map(({ time, actor, what }) => [time - start, actor.name, what])
    return { events, outcome: outcome(run), counts: run.counts(0), took: machine.time - start }
  }

  it.each(ENDS)('%i: everything happens as it does from 0 on', (end) => {
    const first = runFrom(0)
    expect(first).toMatchObject({ outcome: ['done', [40, 27, 27, 27, 27, 27], expect.any(Number)] })
    for (const early of [0, 1, 2, 50, 400, 690, 699, 700, 701, 720, 750, 800, 850, 900]) {
      expect(runFrom(end - early), `begun ${early} before`).toEqual(first)
    }
  })
})

describe('a device', () => {
  it.each(ENDS)('that names the moment %i acts then', (moment) => {
    const run = timed((guest) => guest.wfi())
      .spi({ intid: 40 })
      .device('nic', (device) =>
        device
          .at(moment - 1)
          .pulse(40)
          .at(moment)
          .pulse(40),
      )
      .run()
    const pulses = run.events.filter(({ actor, what }) => actor.name === 'nic' && /SPI 40|queue/.test(what))
    expect(pulses.map(({ time }) => time)[0]).toBe(moment - 1)
    expect(outcome(run)[0]).toBe('done')
  })

  it('that names a moment that never comes is refused', () => {
    for (const time of [2 ** 52 + 1, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      const late = () => scenario('x').device('nic', (device) => device.at(time).pulse(40))
      expect(late, String(time)).toThrow('time must be an integer from 0 to 4503599627370496')
    }
  })
})

describe('the clock', () => {
  it('does not go back, and takes whole steps', () => {
    const machine = timed((guest) => guest.wfi()).machine()
    machine.passTime(2 ** 33 + 7)
    machine.passTime(2 ** 32)
    expect(machine.time).toBe(2 ** 33 + 7)
    machine.step(machine.actors[0])
    expect(machine.time).toBe(2 ** 33 + 8)
    for (const until of [-1, 0.5, Number.NaN, 2 ** 53])
      expect(() => machine.passTime(until), String(until)).toThrow('until must be an integer from 0 to')
  })

  it('is in snapshots and not in hashes', () => {
    const machine = timed((guest) => guest.wfi()).machine()
    const [hash, early] = [machine.hash(), machine.snapshot()]
    machine.passTime(2 ** 40)
    const late = machine.snapshot()
    expect([machine.hash(), machine.diff(early)]).toEqual([hash, []])
    machine.restore(early)
    expect(machine.time).toBe(0)
    machine.restore(late)
    expect(machine.time).toBe(2 ** 40)
  })
})
