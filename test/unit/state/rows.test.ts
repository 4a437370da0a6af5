import { describe, expect, it } from 'vitest'
import { Layout, recordType, type WordDeclaration } from '../../../src/state/layout.ts'
import {
  bitConstants,
  bitView,
  combined,
  offsetConstants,
  offsetOf,
  type Rows,
  sizeConstant,
  type WordRow,
  wordsOf,
} from '../../../src/state/rows.ts'

type Size = { readonly lists: number; readonly names: readonly string[] }

const word = <C>(name: string, more: Partial<WordRow<C>> = {}): WordRow<C> => ({
  name,
  class: 'authoritative',
  by: ['thread'],
  says: `The ${name}.`,
  ...more,
})

const rows = {
  PC: word<Size>('pc', { means: (pc, _, { names }) => names[pc] }),
  TIME: word<Size>('time', { wide: true, class: 'observational' }),
  FLAG: word<Size>('flag'),
  LIST: word<Size>('list[<n>]', { count: ({ lists }) => lists, wide: true }),
  OWN: word<Size>('own.<n>', { count: ({ names }) => names.length, n: (i, _, { names }) => names[i] ?? i }),
} as const satisfies Rows<Size>

const size = { lists: 2, names: ['run', 'put'] }
const record = recordType('vcpu', wordsOf(rows, size))
const layout = new Layout([[record, 1]])
const at = (constants: readonly { name: string; value: number }[]) =>
  constants.map(({ name, value }) => [name, value])

describe('rows', () => {
  it('lie in their order, pairs aligned', () => {
    expect(record.words.map((w: WordDeclaration) => [w.name, w.at])).toEqual([
      ['pc', 0],
      ['spare word', 1],
      ['time', 2],
      ['flag', 4],
      ['spare word', 5],
      ['list[<n>]', 6],
      ['own.<n>', 10],
    ])
    expect(record.size).toBe(12)
  })

  it('keep who may write the word', () => {
    expect(record.words[0]?.by).toEqual(['thread'])
    expect(record.words[1]?.by).toBeUndefined()
  })

  it('have constants as far as their offset is the same in every configuration', () => {
    expect(at(offsetConstants(rows))).toEqual([
      ['PC', 0],
      ['TIME', 2],
      ['FLAG', 4],
      ['LIST', 6],
    ])
    expect(offsetConstants(rows)[0]?.says).toBe('The pc.')
  })

  it.each(['PC', 'TIME', 'FLAG', 'LIST', 'OWN'] as const)('are where %s is asked for', (name) => {
    const declared = record.words.find((w) => w.name === rows[name].name)
    expect(offsetOf(rows, name, size)).toBe(declared?.at)
  })

  it('refuse a name that none of them has', () => {
    expect(() => offsetOf(rows, 'LR', size)).toThrow('no word LR')
  })

  it('name and explain words by the configuration', () => {
    expect(layout.nameOf(11)).toBe('vcpu.own.put')
    expect(layout.meaningOf(0, 1)).toBe('put')
  })

  it('leave out words of which there are none', () => {
    const none = wordsOf(rows, { lists: 0, names: [] })
    expect(none.map(({ name }) => name)).toEqual(['pc', 'spare word', 'time', 'flag', 'spare word'])
  })

  it('with a row more move those behind it, and nothing else', () => {
    const { PC, ...others } = rows
    const longer = offsetConstants({ PC, NEW: word<Size>('new'), ...others })
    expect(at(longer)).toEqual([
      ['PC', 0],
      ['NEW', 1],
      ['TIME', 2],
      ['FLAG', 4],
      ['LIST', 6],
    ])
  })
})

describe('a record within a record', () => {
  const block = { GROUP: word('group'), PRIORITY: word('priority', { count: 8 }) }
  const pe = { EL: word('EL'), BLOCK: { rows: block, says: 'Its own.' }, LAST: word('last') }

  it('has a constant where it begins, aligned, and its words in the order', () => {
    expect(at(offsetConstants(pe))).toEqual([
      ['EL', 0],
      ['BLOCK', 2],
      ['LAST', 11],
    ])
    const words = wordsOf(pe, undefined)
    expect(words.map(({ name, at }) => [name, at])).toEqual([
      ['EL', 0],
      ['spare word', 1],
      ['group', 2],
      ['priority', 3],
      ['last', 11],
    ])
    expect(offsetOf(pe, 'LAST', undefined)).toBe(11)
    expect(sizeConstant('PE_WORDS', pe)).toMatchObject({ name: 'PE_WORDS', value: 12 })
  })

  it('has a fixed size', () => {
    const open = { LIST: word<number>('list', { count: (lists) => lists }) }
    expect(() => offsetConstants({ BLOCK: { rows: open, says: '' } })).toThrow('fixed')
  })
})

describe('fields of a packed word', () => {
  const bits = {
    DEPTH: { name: 'depth', bits: [31, 24] },
    TASK: { name: 'task', bits: [9, 8], values: { RUNNING: ['running'], ASLEEP: ['asleep', 'It sleeps.'] } },
    REQUESTS: { name: 'requests', bits: [7, 4], flags: { REQ_KICK: 'A kick.', REQ_STOP: 'A stop.' } },
    LEVEL: { name: 'level', bits: 2, shift: true },
    OFF: { name: 'off', bits: 0, says: 'Interrupts are off.' },
  } as const

  it('have masks, shifts, values in place and flags', () => {
    expect(at(bitConstants(bits))).toEqual([
      ['DEPTH', 0xff000000 | 0],
      ['DEPTH_SHIFT', 24],
      ['TASK', 0x300],
      ['TASK_SHIFT', 8],
      ['RUNNING', 0],
      ['ASLEEP', 0x100],
      ['REQUESTS', 0xf0],
      ['REQUESTS_SHIFT', 4],
      ['REQ_KICK', 0x10],
      ['REQ_STOP', 0x20],
      ['LEVEL', 4],
      ['LEVEL_SHIFT', 2],
      ['OFF', 1],
    ])
  })

  it('tile the word that people read, with what none of them has reserved', () => {
    const { fields } = bitView('word', bits)
    expect(fields.map(({ name, hi, lo }) => [name, hi, lo])).toEqual([
      ['depth', 31, 24],
      ['RES0', 23, 10],
      ['task', 9, 8],
      ['requests', 7, 4],
      ['RES0', 3, 3],
      ['level', 2, 2],
      ['RES0', 1, 1],
      ['off', 0, 0],
    ])
    expect(fields[2]?.values).toEqual(['running', 'asleep'])
  })

  it('make one constant of several, all of which exist', () => {
    const constants = bitConstants(bits)
    expect(combined('BOTH', constants, ['OFF', 'ASLEEP'], 'Both.')).toEqual({
      name: 'BOTH',
      value: 0x101,
      says: 'Both.',
    })
    expect(() => combined('BOTH', constants, ['OFF', 'ON'], '')).toThrow('BOTH')
  })
})
