/** States that are kept whole, beside a Map of them as strings. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ExactStates } from '../../../src/explore/exact-states.ts'
import { PairNumbers } from '../../../src/explore/pair-numbers.ts'
import { collisions } from '../../kit/collisions.ts'

/** Few values, so that states are met again, and some that only whole words tell apart. */
const value = fc.oneof(fc.nat(2), fc.constantFrom(-1, 0x7fffffff, -0x80000000, 1 << 16), fc.integer())

/** Lengths of what is state and of what is not, in turn. */
const lengths = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat(5)), { maxLength: 8 })

/** Words to write, a budget, and whether it is a step from an earlier state or whatever the words are. */
const edits = fc.array(
  fc.record({
    writes: fc.array(fc.tuple(fc.nat(), value), { maxLength: 6 }),
    budget: fc.constantFrom(0, 1, 0x1000000),
    from: fc.option(fc.nat()),
  }),
  { minLength: 20, maxLength: 150, size: 'max' },
)

/** Pairs `start, end` of what is state, and the number of all words. */
function rangesOf(lengths: readonly (readonly [number, number])[]): { ranges: Int32Array; end: number } {
  const ranges: number[] = []
  let end = 0
  for (const [length, gap] of lengths) {
    ranges.push(end, end + length)
    end += length + gap
  }
  return { ranges: Int32Array.from(ranges), end }
}

const stateOf = (words: Int32Array, ranges: Int32Array): number[] => {
  const state: number[] = []
  for (let r = 0; r < ranges.length; r += 2) state.push(...words.subarray(ranges[r], ranges[r + 1]))
  return state
}

describe('states that are kept whole', () => {
  it('have the same number exactly if their words and budgets are the same', () => {
    let again = 0
    fc.assert(
      fc.property(lengths, edits, (lengths, edits) => {
        const { ranges, end } = rangesOf(lengths)
        const words = new Int32Array(end)
        const states = new ExactStates(words, ranges)
        const numbers = new Map<string, number>()
        const kept: { number: number; words: Int32Array }[] = []
        for (const { writes, budget, from } of edits) {
          const before = from === null ? undefined : kept[from % kept.length]
          if (before) words.set(before.words)
          const at = new Set<number>()
          if (end > 0)
            for (const [word, value] of writes) {
              words[word % end] = value
              at.add(word % end)
            }
          const isState = (word: number): boolean =>
            ranges.some((start, r) => r % 2 === 0 && start <= word && word < ranges[r + 1])
          const changes = [...at].filter(isState)
          const number = before
            ? states.follow(before.number, { at: Int32Array.from(changes), count: changes.length }, budget)
            : states.numberOf(budget)
          const state = [...stateOf(words, ranges), budget]
          const known = numbers.get(state.join())
          if (known !== undefined) again++
          expect(number).toBe(known ?? numbers.size + 1)
          expect([...states.read(number)]).toEqual(state)
          numbers.set(state.join(), number)
          kept.push({ number, words: words.slice() })
        }
        expect(states.count).toBe(numbers.size)
        const sumOf = (state: readonly number[]): number => state.reduce((sum, word) => (sum + word) | 0, 0)
        const sums = new Set([...numbers.keys()].map((state) => sumOf(state.split(',').map(Number))))
        expect(collisions(states, (state) => sumOf([...state]))).toBe(numbers.size - sums.size)
      }),
      { numRuns: 300 },
    )
    expect(again).toBeGreaterThan(100)
  })

  it('are found again among a hundred thousand', () => {
    const words = new Int32Array(300)
    const states = new ExactStates(words, Int32Array.from([0, 300]))
    const write = (i: number): void => {
      words[3] = i % 100
      words[150] = Math.floor(i / 100) % 100
      words[299] = Math.floor(i / 10_000)
    }
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 100_000; i++) {
        write(i)
        if (states.numberOf(7) !== i + 1) expect(states.numberOf(7)).toBe(i + 1)
      }
    }
    expect(states.count).toBe(100_000)
  })
})

describe('numbers of pairs', () => {
  it('are the same for the same pair only, in the order in which they were first asked for', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value), { maxLength: 3000, size: 'max' }), (pairs) => {
        const numbers = new PairNumbers()
        const naive = new Map<string, number>()
        for (const [left, right] of pairs) {
          const key = `${left} ${right}`
          if (!naive.has(key)) naive.set(key, naive.size + 1)
          const number = numbers.numberOf(left, right)
          expect([number, numbers.left(number), numbers.right(number)]).toEqual([naive.get(key), left, right])
        }
        expect(numbers.count).toBe(naive.size)
      }),
      { numRuns: 50 },
    )
  })

  it('are given for as many more as are in reserve, once there is no room', () => {
    const reserve = 100
    const numbers = new PairNumbers(reserve, 1024)
    let count = 0
    while (!numbers.isFull) expect(numbers.numberOf(count, 7)).toBe(++count)
    expect(count + reserve).toBeLessThan(1024)
    expect(count + reserve).toBeGreaterThan(1020)
    for (let i = 0; i < reserve; i++) expect(numbers.numberOf(-1, i)).toBe(++count)
    for (let i = 0; i < reserve; i++) expect(numbers.numberOf(-1, i)).toBe(count - reserve + 1 + i)
    expect(numbers.numberOf(0, 7)).toBe(1)
  })
})
