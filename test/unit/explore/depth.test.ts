/** The bound on a schedule's steps cuts schedules off, and no more. */

import { ISR_EL1 } from 'vgic'
import { type Bounds, museum } from 'vgic/explore'
import { type Design, designs, edit, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { ISR_I, sleeperOn } from '../../kit/guest-lists.ts'
import { explore } from './checked.ts'

const stale = edit(designs.wfiHandler).omit('wfi/saveVmcr').design('stale')

/** A vCPU that opens its mask and sleeps, and a device. */
const sleeper = (design: Design): Scenario => sleeperOn(design).device('nic', (d) => d.pulse(32).pulse(32))

/** How many states so many steps, or fewer, lead to, without the environment: breadth first. */
function statesWithin(recipe: Scenario, depth: number): number {
  const machine = recipe.machine()
  machine.internals.prepareExploration()
  const seen = new Set([machine.hash()])
  let layer = [machine.snapshot()]
  for (let steps = 0; steps < depth && layer.length > 0; steps++) {
    const next: ArrayBuffer[] = []
    for (const image of layer) {
      for (const actor of machine.actors) {
        machine.restore(image)
        if (machine.stateOf(actor) !== 'ready') continue
        machine.step(actor)
        const hash = machine.hash()
        if (seen.has(hash)) continue
        seen.add(hash)
        next.push(machine.snapshot())
      }
    }
    layer = next
  }
  return seen.size
}

describe('the bound on steps', () => {
  it.each([1, 5, 20, 40, 55, 65, 75, 90])(
    'of %d lets exactly those states be reached that are so near',
    (depth) => {
      const recipe = sleeper(designs.wfiHandler)
      expect(explore(recipe, { depth }).states).toBe(statesWithin(recipe, depth))
    },
  )

  it('says that schedules were cut off, and only then', () => {
    const whole = explore(sleeper(designs.wfiHandler))
    expect(whole).toMatchObject({ complete: true })
    expect(whole.bound).toBeUndefined()
    for (let depth = 10; ; depth += 10) {
      const report = explore(sleeper(designs.wfiHandler), { depth })
      if (report.complete) {
        expect(report).toEqual(whole)
        break
      }
      expect(report).toMatchObject({ complete: false, bound: 'depth' })
      expect(report.violation).toBeUndefined()
      expect(report.states).toBeLessThanOrEqual(whole.states)
    }
  })

  it('hides no violation that needs fewer steps: the search goes on elsewhere', () => {
    const bounds: Bounds = { preemptions: 1, invariants: ['L1'] }
    const { violation } = explore(sleeper(stale), bounds)
    expect(violation?.invariant).toBe('L1')
    let depth = violation?.steps ?? 0
    // Ever shorter schedules, down to the shortest.
    for (;;) {
      const report = explore(sleeper(stale), { ...bounds, depth: depth - 1 })
      if (!report.violation) {
        expect(report).toMatchObject({ complete: false, bound: 'depth' })
        break
      }
      expect(report.violation.steps).toBeLessThan(depth)
      depth = report.violation.steps
    }
    expect(explore(sleeper(stale), { ...bounds, depth }).violation).toMatchObject({
      invariant: 'L1',
      steps: depth,
    })
    // The mask is opened, the thread preempted, and the WFI exits before anything else can be wrong.
    expect(depth).toBeGreaterThan(40)
  })

  it('of as many steps as the longest schedule has cuts nothing off', () => {
    const atOnce = scenario('at once').vm({ vcpus: 1, spis: 1 })
    const { complete, transitions } = explore(atOnce)
    expect(complete).toBe(true)
    expect(explore(atOnce, { depth: transitions })).toMatchObject({ complete: true })
    expect(explore(atOnce, { depth: transitions - 1 })).toMatchObject({ complete: false, bound: 'depth' })
  })

  it('cuts schedules off without merging, too', () => {
    const recipe = scenario('two')
      .vm({ vcpus: 1, spis: 2 })
      .device('nic', (d) => d.pulse(32))
    const [merged, all] = [true, false].map((merge) => explore(recipe, { depth: 8, merge }))
    expect(all).toMatchObject({ complete: false, bound: 'depth' })
    expect(all.states).toBe(merged.states)
  })

  it('hides no cycle through a state that was left before, after more steps', () => {
    const entry = museum.find(({ id }) => id === '09')
    if (!entry) throw new Error('The museum has no 09.')
    const { bug, bounds } = entry
    const recipe = entry.scenario(bug)
    for (const depth of [58, 60, 65])
      expect(explore(recipe, { ...bounds, depth }).violation).toMatchObject({ invariant: 'L4' })
  })

  it('does not go round a cycle without merging', () => {
    const recipe = scenario('polls')
      .vm({ vcpus: 1, spis: 1 })
      .guest(0, (g) => g.poll(ISR_EL1, ISR_I, ISR_I))
    expect(explore(recipe, { merge: false })).toMatchObject({ complete: true })
  })
})
