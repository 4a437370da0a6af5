/** The story that `npm run demo` tells, which is to be what happens. */
import { designs } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  exploreVlpi,
  keeps,
  loses,
  preemptedAsItSleeps,
  stepsOf,
  told,
} from '../../docs/examples/demo-story.ts'

describe('the demo’s story', () => {
  it('is how wfi-handler loses a vLPI: every chapter begins somewhere, in order', () => {
    const { violation } = exploreVlpi(designs.wfiHandler)
    expect(violation).toMatchObject({ invariant: 'L1', interventions: 1 })
    const steps = stepsOf(designs.wfiHandler, violation?.schedule ?? '')
    expect(steps).toHaveLength(violation?.steps ?? 0)
    const story = told(loses, steps)
    for (const step of ['vpePutDoorbell', 'giveUpCpu\n\nThe CPU is back', 'sends MSI: device 7 event 0'])
      expect(story.split(step)).toHaveLength(2)
    expect(story.trimEnd()).toMatch(/sends MSI: device 7 event 0$/)
  })

  it('is how wfi-flag keeps it, after the same preemption', () => {
    expect(exploreVlpi(designs.wfiFlag)).toMatchObject({ complete: true })
    const steps = preemptedAsItSleeps(designs.wfiFlag)
    const story = told(keeps, steps)
    expect(story).toMatch(/same moment.*preempt vcpu0.*vpeLoadUnlessWaiting.*sends MSI.*runnable\? yes/s)
    expect(story.trimEnd()).toMatch(/ack: ICC_IAR1_EL1 = LPI 8192\n.*eoi: ICC_EOIR1_EL1$/)
  })

  it('does not skip a step between its first chapter and its last', () => {
    const { violation } = exploreVlpi(designs.wfiHandler)
    const steps = stepsOf(designs.wfiHandler, violation?.schedule ?? '')
    const story = told(loses, steps)
    for (const { what } of steps) expect(story).toContain(what)
  })
})
