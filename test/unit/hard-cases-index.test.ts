/** docs/hard-cases.md: every hard case has a test that names its number, or waits for what is not built. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { INDEX, numbersOf, testsIn, testsOf, waiting, withTests } from '../../tools/hard-cases.ts'

const page = readFileSync(INDEX, 'utf8')
const tests = testsOf()

describe('the index of hard cases', () => {
  it('has all of them, in order', () => {
    expect(numbersOf(page)).toEqual(Array.from({ length: 52 }, (_, i) => i + 1))
  })

  it.each(numbersOf(page))('has a test of %i, or says what it waits for', (n) => {
    expect(tests.has(n)).toBe(!waiting.has(n))
  })

  it('knows no other number', () => {
    const known = new Set(numbersOf(page))
    expect([...tests.keys(), ...waiting.keys()].filter((n) => !known.has(n))).toEqual([])
  })

  it('has the tests that there are (`npm run pages` writes it)', () => {
    expect(page).toBe(withTests(page, tests))
  })

  it('is written the same again, whatever is in a name', () => {
    const once = withTests('| 1 | one |  |\n', new Map([[1, [{ file: 'a', name: 'hard case 1: b | c' }]]]))
    expect(once).toBe('| 1 | one | [b \\| c](../a) |\n')
    expect(withTests(once, new Map())).toBe('| 1 | one |  |\n')
  })
})

describe('the tests of a source', () => {
  it('are found by the numbers in the names that describe, it and each give, the outermost of a number', () => {
    const source = `
      describe('hard case 1: all', () => {
        it('hard case 1 again', () => {})
        it.each([1])('and hard case 2', () => {})
      })
      other('hard case 3')
      it(\`hard cases\`, () => 'hard case 4')`
    expect(testsIn('a.test.ts', source)).toEqual([
      [1, 'hard case 1: all'],
      [2, 'and hard case 2'],
    ])
  })

  it('have the number first where all have one', () => {
    expect(testsIn('b/hard-cases.test.ts', "it('16: one', f); it('hard case 2', f)")).toEqual([
      [16, '16: one'],
    ])
  })
})
