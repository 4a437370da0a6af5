/** The control of the explorer: mutations of designs, and one design judged in full. `npm run mutants` judges all. */
import { VgicError } from 'vgic'
import {
  branch,
  type Design,
  designs,
  forever,
  leaveLoop,
  ownStep,
  part,
  steps,
  unless,
  until,
  when,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { compile } from '../../../src/hyp/run/program.ts'
import { type Equivalence, equivalences } from '../../mutants/equivalences.ts'
import { baselineOf, judge, type Used, type Verdict } from '../../mutants/judge.ts'
import { mutationsOf } from '../../mutants/mutations.ts'
import { trials } from '../../mutants/trials.ts'

const { preemptOff, preemptOn, load, put, guest, stop, setSleeping, sleep, runnable, requestPending } = steps
const which = ownStep('which?', () => 0, ['a', 'b', 'c'])

const small: Design = {
  name: 'small',
  thread: [
    part('load', preemptOff, load, preemptOn),
    forever(
      preemptOff,
      when(requestPending, put, leaveLoop),
      guest,
      preemptOff,
      part('wait', setSleeping, until(runnable, sleep, setSleeping)),
      branch(which, { b: [stop] }),
    ),
    stop,
  ],
  schedOut: [put],
  schedIn: [unless(requestPending, load)],
  inject: [steps.queueInterrupt, steps.kickVcpu],
  msi: [steps.translate, steps.queueInterrupt],
}

const unused = (): Used => ({ needed: new Set(), wrong: new Set() })

describe('mutations', () => {
  it('are every step left out, every answer, every swap, and every step past a question', () => {
    const names = mutationsOf(small).map(({ name }) => name)
    expect([...names].sort()).toEqual(
      [
        ...['load/preemptOff', 'load/load', 'load/preemptOn', 'preemptOff', 'preemptOff#2', 'put', 'guest'],
        ...['wait/setSleeping', 'wait/sleep', 'wait/setSleeping#2', 'stop', 'stop#2'],
        ...['schedOut/put', 'schedIn/load', 'inject/queue', 'inject/kick', 'msi/translate', 'msi/queue'],
      ]
        .map((address) => `omit ${address}`)
        .concat(
          ['requestPending?', 'wait/runnable?', 'schedIn/requestPending?'].flatMap((test) => [
            `answer ${test} no`,
            `answer ${test} yes`,
          ]),
          ['a', 'b', 'c'].map((outcome) => `answer which? ${outcome}`),
          'swap load/preemptOff, load/load',
          'swap load/load, load/preemptOn',
          'move preemptOff behind requestPending?',
          'move guest before requestPending?',
          'swap guest, preemptOff#2',
          'swap preemptOff#2, wait/setSleeping',
          'swap wait/sleep, wait/setSleeping#2',
          'swap inject/queue, inject/kick',
          'swap msi/translate, msi/queue',
        )
        .sort(),
    )
  })

  it('change what their names say', () => {
    const made = (name: string): string[] => {
      const mutation = mutationsOf(small).find((one) => one.name === name)
      if (!mutation) throw new Error(name)
      return compile(mutation.make()).paths.slice(4, 10)
    }
    expect(made('omit preemptOff#2')).toEqual([
      'preemptOff',
      'requestPending?',
      'put',
      'guest',
      'wait/setSleeping',
      'wait/runnable?',
    ])
    expect(made('swap guest, preemptOff#2').slice(3, 5)).toEqual(['preemptOff', 'guest'])
    expect(made('move preemptOff behind requestPending?').slice(0, 4)).toEqual([
      'requestPending?',
      'put',
      'preemptOff',
      'guest',
    ])
    expect(made('move guest before requestPending?').slice(0, 3)).toEqual([
      'preemptOff',
      'guest',
      'requestPending?',
    ])
    expect(made('answer requestPending? yes')[1]).toBe('always yes')
  })

  it.each(Object.values(designs))('of $name are each another design, or refused', (design) => {
    const mutations = mutationsOf(design)
    expect(new Set(mutations.map(({ name }) => name)).size).toBe(mutations.length)
    const refused: string[] = []
    for (const { name, make, withoutVpes } of mutations) {
      const { table, own } = compile(design, !withoutVpes)
      try {
        const mutant = compile(make(), !withoutVpes)
        expect([mutant.table, mutant.own]).not.toEqual([table, own])
      } catch (error) {
        if (!(error instanceof VgicError)) throw error
        refused.push(name)
      }
    }
    // Without its queue an injection is none, and a message is nothing before its translation.
    expect(refused).toEqual([
      'omit inject/queue',
      'omit msi/translate',
      'omit msi/queue',
      'swap msi/translate, msi/queue',
    ])
  })
})

describe('the control', () => {
  const named = (name: string) => trials.filter((trial) => trial.name === name)

  it('has no hole, and no reason for what is refuted, in wfi-flag', { timeout: 600_000 }, () => {
    const used = unused()
    const baseline = baselineOf(designs.wfiFlag)
    expect(baseline.broken).toEqual([])
    const verdicts = [...judge(designs.wfiFlag, baseline, equivalences, used)]
    expect(verdicts.filter(({ kind }) => kind === 'HOLE')).toEqual([])
    expect([...used.wrong]).toEqual([])
    const count = (of: Verdict['kind']): number => verdicts.filter(({ kind }) => kind === of).length
    expect(count('refuted')).toBeGreaterThan(170)
    expect(count('equivalent')).toBeLessThan(110)
    const invariants = new Set(
      verdicts.flatMap(({ kind, why }) => (kind === 'refuted' ? why.split(' ')[0] : [])),
    )
    expect([...invariants].sort()).toEqual([
      'L1',
      'L3',
      'L4',
      'L6',
      'S1',
      'S10',
      'S11',
      'S12',
      'S14',
      'S16',
      'S19',
      'S2',
      'S20',
      'S21',
      'S22',
      'S23',
      'S3',
    ])
  })

  it('does not hold against a design what it breaks itself', () => {
    expect(baselineOf(designs.hooksAfterPoll, named('edge')).broken).toEqual(['edge: S11'])
    expect(baselineOf(designs.vmcrOnDemand, named('neighbour')).broken).toEqual(['neighbour: S20'])
  })

  it('calls a mutation that holds without a reason a hole', () => {
    const baseline = baselineOf(designs.wfiHandler, named('neighbour'))
    for (const { mutation, kind, why } of judge(designs.wfiHandler, baseline, [], unused())) {
      if (mutation !== 'omit entry/abort/publishOutside') continue
      expect([kind, why]).toEqual(['HOLE', 'it holds in every trial'])
      return
    }
    throw new Error('not judged')
  })

  it('tells a reason for what is refuted', () => {
    const used = unused()
    const wrong: Equivalence = { of: /^omit signal\/preemptOff$/, because: 'nobody notices' }
    const judged = judge(designs.wfiHandler, baselineOf(designs.wfiHandler, named('timer')), [wrong], used)
    expect(judged.next().value).toMatchObject({ mutation: 'omit signal/preemptOff', kind: 'refuted' })
    expect([...used.wrong]).toEqual([wrong])
  })
})
