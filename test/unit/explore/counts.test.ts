import { type Design, type Scenario, scenario, steps } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { explore } from './checked.ts'

/** A vCPU whose thread ends at once, and injections of one step: every actor's steps are what the test says. */
const atOnce: Design = {
  name: 'at once',
  thread: [steps.stop],
  schedOut: [],
  schedIn: [],
  inject: [steps.queueInterrupt],
  msi: [steps.translate, steps.queueInterrupt],
}

/** Devices that share nothing, device n with `counts[n]` steps, each an edge of an SPI of its own. */
function independent(...counts: number[]): Scenario {
  const recipe = scenario('independent').vm({ vcpus: 1, spis: 16 }).design(atOnce)
  for (const [n, count] of counts.entries()) {
    recipe.device(`device ${n}`, (device) => {
      for (let i = 0; i < count; i++) device.pulse(32 + n)
    })
  }
  return recipe
}

const factorial = (n: number): number => (n < 2 ? 1 : n * factorial(n - 1))

describe('the number of', () => {
  it.each([
    // The thread's one step and the devices' steps in every order that keeps each device's own.
    { counts: [], schedules: 1, states: 2, transitions: 1 },
    { counts: [1], schedules: 2, states: 4, transitions: 4 },
    { counts: [1, 1], schedules: 6, states: 8, transitions: 12 },
    { counts: [2, 1], schedules: 12, states: 12, transitions: 20 },
    { counts: [2, 2], schedules: 30, states: 18, transitions: 33 },
    { counts: [1, 1, 1], schedules: 24, states: 16, transitions: 32 },
    { counts: [3, 2], schedules: 60, states: 24, transitions: 46 },
  ])(
    'interleavings of a thread of one step and devices of $counts steps is as counted by hand',
    (expected) => {
      const { counts, schedules, states, transitions } = expected
      const all = explore(independent(...counts), { merge: false })
      expect(all).toMatchObject({ complete: true, schedules })
      // By the multinomial coefficient, too.
      const total = counts.reduce((sum, count) => sum + count, 1)
      expect(schedules).toBe(counts.reduce((number, count) => number / factorial(count), factorial(total)))
      expect(explore(independent(...counts))).toMatchObject({ complete: true, states, transitions })
    },
  )

  it('states is the same with and without merging', () => {
    expect(explore(independent(2, 1, 1)).states).toBe(explore(independent(2, 1, 1), { merge: false }).states)
  })

  it('interleavings of a preemption with a thread of n preemptible steps is one for each place, and none', () => {
    const [, ...rest] = [0, 1, 2]
    for (const n of rest) {
      const design: Design = {
        ...atOnce,
        thread: [...Array.from({ length: n }, () => steps.clearWaiting), steps.stop],
      }
      const recipe = scenario('preempted').vm({ vcpus: 1, spis: 1 }).design(design)
      // Before each step: the notifiers have one step each, and the thread gets its PE back in another.
      expect(explore(recipe, { preemptions: 1, merge: false })).toMatchObject({
        complete: true,
        schedules: n + 2,
      })
    }
  })

  it('schedules within the bounds grows with the budget of preemptions', () => {
    const recipe = scenario('preempted').vm({ vcpus: 1, spis: 1 }).design(atOnce)
    expect([0, 1, 2].map((preemptions) => explore(recipe, { preemptions, merge: false }).schedules)).toEqual([
      1, 2, 3,
    ])
  })
})
