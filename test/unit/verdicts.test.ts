/**
 * The verdicts on the designs with GICv4. `npm run pages -- --check` compares docs/the-wfi-problem.md with them: what is
 * compiled explores it twenty times faster than the tests' runner does.
 */
import { readFileSync } from 'node:fs'
import { explore, replay } from 'vgic/explore'
import { designs } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  judged,
  situations,
  VERDICTS,
  verdictOf,
  versions,
  waitForVlpi,
  withVerdicts,
} from '../../tools/verdicts.ts'

const page = readFileSync(VERDICTS, 'utf8')
const named = (name: string) => situations.filter((situation) => situation.name === name)[0]

describe('the verdicts on the designs', () => {
  it('are about every design, and about what Linux has', () => {
    const names = judged.map(({ name }) => name)
    for (const { name } of Object.values(designs)) expect(names).toContain(name)
    expect(names).toContain('wfi-handler (kvm61)')
    expect(names).toContain('wfi-full-put (kvm72)')
  })

  it('are written in their place, and in no other', () => {
    const once = withVerdicts(page, 'a table\n')
    expect(withVerdicts(once, 'another\n')).toBe(withVerdicts(page, 'another\n'))
    expect(() => withVerdicts('a page', '')).toThrow(/no place/)
  })

  it.each(versions)(
    'say that a wake-up in vain is enough for wfi-handler to lose the next, on %s',
    (version) => {
      const situation = named('woken in vain')
      expect(verdictOf(designs.wfiHandler, version, situation)).toBe('**L1**, by S11')
      const recipe = waitForVlpi(designs.wfiHandler, version, situation)
      const { violation } = explore(recipe, { ...situation.bounds, invariants: ['L1'] })
      const run = replay(recipe, violation?.schedule ?? '')
      expect(run.acknowledged(0)).toEqual([])
      expect(run.counts(0)).toMatchObject({ sleeps: 2, preemptions: 0 })
    },
  )

  it('say that run-loop-load loses a wake-up on GICv4.0, and wakes up in vain on GICv4.1', () => {
    const situation = named('preempted')
    expect(versions.map((version) => verdictOf(designs.runLoopLoad, version, situation))).toEqual([
      '**L1**, by S24',
      'S24',
    ])
  })
})
