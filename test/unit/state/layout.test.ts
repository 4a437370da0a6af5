/** Where words are: record types, their placement, the names of words and the ranges that are compared. */
import { describe, expect, it } from 'vitest'
import { VgicError } from '../../../src/errors/vgic-error.ts'
import {
  Layout,
  recordType,
  sizeOf,
  type WordClass,
  type WordDeclaration,
} from '../../../src/state/layout.ts'

const word = (
  name: string,
  at: number,
  more: Partial<Omit<WordDeclaration, 'name' | 'at'>> = {},
): WordDeclaration => ({ name, at, class: 'authoritative', ...more })

const of = (name: string, at: number, wordClass: WordClass, count = 1) =>
  word(name, at, { class: wordClass, count })

function errorOf(act: () => unknown): VgicError {
  try {
    act()
  } catch (error) {
    if (error instanceof VgicError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('a record type', () => {
  it('is as large as its words, rounded up to a pair', () => {
    expect(recordType('even', [word('a', 0), word('b', 1)]).size).toBe(2)
    expect(recordType('odd', [word('a', 0), word('b', 1, { count: 2 })]).size).toBe(4)
    expect(recordType('wide', [word('a', 0, { wide: true, count: 3 })]).size).toBe(6)
    expect(recordType('empty', []).size).toBe(0)
  })

  it('may be declared in parts, in any order', () => {
    const type = recordType('pe', [word('LR', 2, { wide: true })], [word('EL', 0), word('DAIF', 1)])
    expect(type.words.map(({ name }) => name)).toEqual(['EL', 'DAIF', 'LR'])
    expect(type.name).toBe('pe')
    expect(type.size).toBe(4)
  })

  it('counts two words for each wide element', () => {
    expect(sizeOf(word('a', 0))).toBe(1)
    expect(sizeOf(word('a', 0, { count: 4 }))).toBe(4)
    expect(sizeOf(word('a', 0, { wide: true }))).toBe(2)
    expect(sizeOf(word('a', 0, { wide: true, count: 4 }))).toBe(8)
  })

  const wrong: [string, WordDeclaration[], string][] = [
    ['a gap', [word('a', 0), word('b', 2)], 'pe.b is at word 2, but the next free word is 1.'],
    ['a gap at the front', [word('a', 1)], 'pe.a is at word 1, but the next free word is 0.'],
    [
      'an overlap',
      [word('a', 0, { count: 2 }), word('b', 1)],
      'pe.b is at word 1, but the next free word is 2.',
    ],
    [
      'two words at one offset',
      [word('a', 0), word('b', 0)],
      'pe.b is at word 0, but the next free word is 1.',
    ],
    ['a misaligned wide word', [word('a', 0), word('b', 1, { wide: true })], 'pe.b is at word 1'],
    ['an overlap with a wide word', [word('a', 0, { wide: true }), word('b', 1)], 'the next free word is 2.'],
  ]
  it.each(wrong)('with %s is refused, and the word named', (_, words, message) => {
    const error = errorOf(() => recordType('pe', words))
    expect(error.code).toBe('argument')
    expect(error.message).toContain(message)
  })
})

describe('a layout', () => {
  const head = recordType('head', [of('magic', 0, 'authoritative', 3)])
  const pe = recordType('pe[<n>]', [
    of('EL', 0, 'authoritative'),
    of('trap', 1, 'observational'),
    word('LR', 2, { wide: true, count: 2 }),
    of('best', 6, 'derived'),
    of('AP', 7, 'normalised', 4),
  ])
  const bitmap = recordType('bitmap', [of('active', 0, 'authoritative')])
  const layout = new Layout([
    [head, 1],
    [pe, 2],
    [bitmap, 1],
  ])

  it('places the records one after another, as often as it is told', () => {
    expect(pe.size).toBe(12)
    expect(layout.placements).toEqual([
      { record: head, base: 0, count: 1 },
      { record: pe, base: 4, count: 2 },
      { record: bitmap, base: 28, count: 1 },
    ])
    expect(layout.length).toBe(30)
    expect([head, pe, bitmap].map((record) => layout.baseOf(record))).toEqual([0, 4, 28])
  })

  it('keeps wide words 8-byte aligned in every placement', () => {
    for (const { base, record } of layout.placements) {
      expect(base % 2).toBe(0)
      expect(record.size % 2).toBe(0)
    }
  })

  it('refuses to say where a record lies that it does not have', () => {
    const error = errorOf(() => layout.baseOf(recordType('its', [])))
    expect([error.code, error.message]).toEqual(['argument', 'This layout has no record its.'])
  })

  it('takes a record type that is placed no times', () => {
    const none = new Layout([
      [head, 0],
      [bitmap, 1],
    ])
    expect(none.length).toBe(2)
    expect(none.locate(0)?.placement.record).toBe(bitmap)
  })

  it('finds the declaration behind every word', () => {
    expect(layout.locate(1)).toMatchObject({ index: 0, element: 1, upper: false, word: { name: 'magic' } })
    expect(layout.locate(6)).toMatchObject({ index: 0, element: 0, upper: false, word: { name: 'LR' } })
    expect(layout.locate(9)).toMatchObject({ index: 0, element: 1, upper: true, word: { name: 'LR' } })
    expect(layout.locate(16)).toMatchObject({ index: 1, element: 0, upper: false, word: { name: 'EL' } })
    expect(layout.locate(21)).toMatchObject({ index: 1, element: 1, upper: true, word: { name: 'LR' } })
    expect(layout.locate(26)).toMatchObject({ index: 1, element: 3, upper: false, word: { name: 'AP' } })
    expect(layout.locate(28)?.placement.record).toBe(bitmap)
  })

  it('finds nothing behind padding and outside the buffer', () => {
    for (const at of [3, 15, 27, 29, 30, 1000, -1]) expect(layout.locate(at)).toBeUndefined()
  })

  it('names words by record, placement, declaration and element, where there are several', () => {
    expect([0, 2, 4, 6, 7, 8, 14, 16, 26, 28].map((at) => layout.nameOf(at))).toEqual([
      'head.magic[0]',
      'head.magic[2]',
      'pe[0].EL',
      'pe[0].LR[0]',
      'pe[0].LR[0]',
      'pe[0].LR[1]',
      'pe[0].AP[3]',
      'pe[1].EL',
      'pe[1].AP[3]',
      'bitmap.active',
    ])
    expect([3, 30].map((at) => layout.nameOf(at))).toEqual(['word 3', 'word 30'])
  })

  it('numbers a record whose like there can be several of, also where there is one', () => {
    const one = new Layout([[pe, 1]])
    expect([0, 2].map((at) => one.nameOf(at))).toEqual(['pe[0].EL', 'pe[0].LR[0]'])
    const two = new Layout([[bitmap, 2]])
    expect([0, 2].map((at) => two.nameOf(at))).toEqual(['bitmap[0].active', 'bitmap[1].active'])
  })

  it('names a word by what its row says that <n> is', () => {
    const block = recordType({ name: 'block[<n>]', prefix: '' }, [
      of('ENABLE<n>', 0, 'authoritative'),
      word('ROUTE<n>', 1, { count: 3, n: (element, index) => 32 * (index + 1) + element }),
    ])
    const device = recordType({ name: 'device <n>', n: (index) => ['nic', '$&'][index] }, [word('pc', 0)])
    const named = new Layout([
      [block, 2],
      [device, 2],
    ])
    expect([0, 1, 3, 5, 7, 8, 10].map((at) => named.nameOf(at))).toEqual([
      'ENABLE0',
      'ROUTE32',
      'ROUTE34',
      'ROUTE64',
      'ROUTE66',
      'device nic.pc',
      'device $&.pc',
    ])
  })

  it('says what a value means: a record, a word, or what the row calls it', () => {
    const thread = recordType('thread', [
      word('pe', 0, { means: 'record' }),
      word('irq', 1, { means: 'word' }),
      word('pc', 2, { means: (pc) => ['load', 'put'][pc] }),
      word('count', 3),
    ])
    const meaning = new Layout([
      [thread, 1],
      [pe, 2],
    ])
    const of = (at: number, ...values: number[]) => values.map((value) => meaning.meaningOf(at, value))
    expect(of(0, 0, 4, 16)).toEqual(['none', 'pe[0]', 'pe[1]'])
    expect(of(0, 5, 28, -1)).toEqual([undefined, undefined, undefined])
    expect(of(1, 0, 16, 20)).toEqual(['none', 'pe[1].EL', 'pe[1].LR[1]'])
    expect(of(2, 0, 1, 2)).toEqual(['load', 'put', undefined])
    expect(of(3, 0, 1)).toEqual([undefined, undefined])
    expect(meaning.meaningOf(1000, 4)).toBeUndefined()
  })

  it('compares authoritative and normalised words, in merged ranges', () => {
    expect([...layout.compared]).toEqual([0, 3, 4, 5, 6, 10, 11, 15, 16, 17, 18, 22, 23, 27, 28, 29])
  })

  it('merges ranges across records', () => {
    const pair = recordType('pair', [of('a', 0, 'authoritative'), of('b', 1, 'normalised')])
    expect([...new Layout([[pair, 3]]).compared]).toEqual([0, 6])
    const counters = recordType('counters', [of('ticks', 0, 'observational', 2)])
    expect([
      ...new Layout([
        [pair, 1],
        [counters, 1],
        [pair, 2],
      ]).compared,
    ]).toEqual([0, 2, 4, 8])
  })

  it('compares nothing where there is nothing to compare', () => {
    expect([...new Layout([]).compared]).toEqual([])
    expect([...new Layout([[recordType('counters', [of('a', 0, 'derived', 2)]), 4]]).compared]).toEqual([])
  })
})
