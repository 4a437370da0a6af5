/** How an answer is judged by a recorded one: traces/README.md, "What is judged". */
import { describe, expect, it } from 'vitest'
import { countSkip, judge, newTally, summary } from '../../conformance/judge.ts'

const recorded = { v: '0x1', LR0: '0x10', LR1: '0x20' }

describe('a result without marks', () => {
  it('passes as recorded', () => {
    expect(judge(recorded, {}, recorded)).toEqual({ kind: 'passed', differences: [] })
    expect(judge({}, {}, {})).toEqual({ kind: 'passed', differences: [] })
  })

  it('fails by each field that differs, with what would have passed', () => {
    expect(judge(recorded, {}, { v: '0x2', LR0: '0x10', LR1: '0x21' })).toEqual({
      kind: 'failed',
      differences: [
        { field: 'v', expected: ['0x1'], actual: '0x2' },
        { field: 'LR1', expected: ['0x20'], actual: '0x21' },
      ],
    })
  })

  it('fails by a field that is missing, or too much', () => {
    expect(judge(recorded, {}, { LR0: '0x10', LR1: '0x20' }).differences).toEqual([
      { field: 'v', expected: ['0x1'], actual: '-' },
    ])
    expect(judge(recorded, {}, { ...recorded, trap: '0x62000000' }).differences).toEqual([
      { field: 'trap', expected: ['-'], actual: '0x62000000' },
    ])
  })
})

describe('a result with a deviation whose architecture side is sure', () => {
  const result = { dev: ['misr-vgrp0d'], spec: { LR0: '0x11' } }

  it('passes by its spec', () => {
    expect(judge(recorded, result, { ...recorded, LR0: '0x11' })).toEqual({ kind: 'passed', differences: [] })
  })

  it('fails as recorded', () => {
    expect(judge(recorded, result, recorded)).toEqual({
      kind: 'failed',
      differences: [{ field: 'LR0', expected: ['0x11'], actual: '0x10' }],
    })
  })

  it('has its other fields as recorded', () => {
    expect(judge(recorded, result, { ...recorded, LR0: '0x11', LR1: '0x21' }).kind).toBe('failed')
  })

  it('may say a field that is not recorded: an access that should trap', () => {
    const trapped = { dev: ['misr-vgrp0d'], spec: { trap: '0x62303019' } }
    expect(judge({}, trapped, { trap: '0x62303019' }).kind).toBe('passed')
    expect(judge({}, trapped, {}).kind).toBe('failed')
  })
})

describe('a result with an open deviation', () => {
  const names = [
    'preempt-mask',
    'lr-res0',
    'special-in-lr',
    'dir-reserved',
    'sgi-rs-ignored',
    'queue-res0',
    'vpropbaser-res0',
    'doorbell-disabled',
    'doorbell-repeat',
    'doorbell-vmovi',
    'doorbell-combined',
  ]

  it.each(names)('%s: passes either as recorded or by its spec, and not otherwise', (name) => {
    const result = { dev: [name], spec: { v: '0x3' } }
    expect(judge(recorded, result, recorded).kind).toBe('either')
    expect(judge(recorded, result, { ...recorded, v: '0x3' }).kind).toBe('either')
    expect(judge(recorded, result, { ...recorded, v: '0x4' })).toEqual({
      kind: 'failed',
      differences: [{ field: 'v', expected: ['0x1', '0x3'], actual: '0x4' }],
    })
  })

  it.each([
    'misr-vgrp0d',
    'eoicount-eoimode1',
    'lpi-active',
    'vmcr-pmr-low',
    'bpr-high',
    'prio-8bit',
    'irm-kept',
  ])('%s is not open', (name) => {
    expect(judge(recorded, { dev: [name], spec: { v: '0x3' } }, recorded).kind).toBe('failed')
  })

  it('among several names makes the result either, whichever place it has', () => {
    for (const dev of [
      ['misr-vgrp0d', 'preempt-mask'],
      ['preempt-mask', 'misr-vgrp0d'],
    ]) {
      const result = { dev, spec: { v: '0x3' } }
      expect(judge(recorded, result, recorded).kind).toBe('either')
      expect(judge(recorded, result, { ...recorded, v: '0x3' }).kind).toBe('either')
    }
  })

  it('lets each field of its spec be taken on its own', () => {
    const result = { dev: ['lr-res0'], spec: { LR0: '0x11', LR1: '0x21' } }
    for (const LR0 of ['0x10', '0x11']) {
      for (const LR1 of ['0x20', '0x21'])
        expect(judge(recorded, result, { v: '0x1', LR0, LR1 }).kind).toBe('either')
    }
    expect(judge(recorded, result, { v: '0x1', LR0: '0x10', LR1: '0x22' }).kind).toBe('failed')
  })

  it('leaves no freedom in the fields that its spec does not name', () => {
    const result = { dev: ['lr-res0'], spec: { LR0: '0x11' } }
    expect(judge(recorded, result, { ...recorded, v: '0x2' }).kind).toBe('failed')
  })
})

describe('a profile that imitates QEMU 7.2', () => {
  const verdict = (dev: string[], LR0: string) =>
    judge(recorded, { dev, spec: { LR0: '0x11' } }, { ...recorded, LR0 }, 'qemu-7.2').kind

  it.each(['lpi-active', 'preempt-mask', 'hppi-cpu-group', 'prio-8bit', 'prio-ff', 'sgi-rs-ignored'])(
    'has %s: the answer is as recorded, and not as the architecture says',
    (name) => {
      expect(verdict([name], '0x10')).toBe('passed')
      expect(verdict([name], '0x11')).toBe('failed')
    },
  )

  it.each(['irm-kept', 'vmcr-pmr-low', 'bpr-high'])(
    'has not %s, a plain bug: the answer is as the architecture says',
    (name) => {
      expect(verdict([name], '0x10')).toBe('failed')
      expect(verdict([name], '0x11')).toBe('passed')
    },
  )

  it.each([
    ['qemu-7.2', 'passed', 'passed'],
    ['qemu-11.1', 'passed', 'failed'],
    ['qemu-11.1-fixed', 'failed', 'failed'],
  ] as const)('%s has misr-vgrp0d and eoicount-eoimode1: %s, and spi-288: %s', (profile, bugs, spis) => {
    const kindOf = (name: string) =>
      judge(recorded, { dev: [name], spec: { LR0: '0x11' } }, { ...recorded, LR0: '0x10' }, profile).kind
    expect(['misr-vgrp0d', 'eoicount-eoimode1'].map(kindOf)).toEqual([bugs, bugs])
    expect(kindOf('spi-288')).toBe(spis)
  })

  it('leaves open what is open and no choice of it', () => {
    expect(verdict(['lr-res0'], '0x10')).toBe('either')
    expect(verdict(['lr-res0'], '0x11')).toBe('either')
    expect(verdict(['lr-res0'], '0x12')).toBe('failed')
  })

  it.each([[['lpi-active', 'vmcr-pmr-low']], [['combined']]])(
    '%j: has some of several deviations, and either answer passes',
    (names) => {
      expect(verdict(names, '0x10')).toBe('either')
      expect(verdict(names, '0x11')).toBe('either')
      expect(verdict(names, '0x12')).toBe('failed')
    },
  )
})

describe('a tally', () => {
  it('counts skipped ops by their reasons, and none of zero ops', () => {
    const tally = newTally('a.jsonl.gz', 'traces')
    countSkip(tally, 'cold')
    countSkip(tally, 'wet', 3)
    countSkip(tally, 'cold', 2)
    countSkip(tally, 'dark', 0)
    expect(tally.skipped).toBe(6)
    expect(tally.skips).toEqual({ cold: 3, wet: 3 })
  })

  it('sums up in one line', () => {
    const tally = { ...newTally('a.jsonl.gz', 'op by op'), passed: 1, failed: 2, skipped: 3, either: 4 }
    tally.pastTrusted = { agree: 5, total: 6 }
    expect(summary(tally)).toBe(
      'a.jsonl.gz [op by op]: passed 1 failed 2 skipped 3 either 4; not judged: 5 of 6 agree',
    )
  })
})
