/** The documents' programs do what the documents say: how that is read and compared. They are run by `npm test`. */
import { describe, expect, it } from 'vitest'
import { type Example, examplesOf, missing } from '../documents.ts'

const FENCE = '```'

/** The one program of a document that is given by its lines. */
function exampleOf(...lines: string[]): Example {
  const examples = examplesOf('a.md', lines.join('\n'))
  expect(examples).toHaveLength(1)
  return examples[0]
}

describe('the programs of a document', () => {
  it('are its blocks of JavaScript, in a doc comment too', () => {
    const text = [
      '# A',
      `${FENCE}js`,
      'f()',
      FENCE,
      `${FENCE}ts`,
      'g(): void',
      FENCE,
      `${FENCE}sh`,
      'h',
      FENCE,
    ]
    const [example, ...more] = examplesOf('a.md', text.join('\n'))
    expect(more).toEqual([])
    expect(example).toMatchObject({ file: 'a.md', line: 2, language: 'js', prints: [] })
    expect(example.code).toMatch(/; f\(\)\n$/)
    const comment = ['/**', ' * ```js', ' * f()', ' *', ' * g()', ' * ```', ' */'].join('\n')
    expect(examplesOf('a.ts', comment)[0].code).toMatch(/; f\(\)\n\ng\(\)\n$/)
  })

  it('are its blocks of TypeScript, too, that import something', () => {
    const example = exampleOf(
      `${FENCE}ts`,
      "import { f } from 'f'",
      'f() // 1',
      FENCE,
      `${FENCE}ts`,
      'g()',
      FENCE,
    )
    expect(example).toMatchObject({ line: 1, language: 'ts' })
    expect(example.code).toMatch(/; import .*\ndocumented\.deepEqual\(f\(\), 1\)\n$/)
  })

  it('print what their printing lines, their last comments and the next block say', () => {
    const example = exampleOf(
      `${FENCE}js`,
      'console.log(1) // one',
      '// why',
      'for (;;) {',
      '  console.log(2) // two',
      '}',
      '// three',
      '// ... and so on',
      '// nine',
      FENCE,
      'It prints:',
      FENCE,
      '  a  ',
      'b',
      '    ...',
      'c',
      FENCE,
    )
    expect(example.prints).toEqual([['one'], ['two'], ['three'], ['nine'], ['  a', 'b'], ['c']])
  })

  it('have the values that their lines say', () => {
    const { code } = exampleOf(
      `${FENCE}js`,
      "gic.line(0, 'virq') // 1",
      "run.reason // 'masked'",
      'vm.lr(1) // { lr: [0x50n, 0n] }',
      'vm.wfi(1) // false: it sleeps now',
      'gic.write(0) // IMO and FMO',
      'const x = f() // 2',
      FENCE,
    )
    expect(code.split('; ')[1].trimEnd().split('\n')).toEqual([
      "documented.deepEqual(gic.line(0, 'virq'), 1)",
      "documented.deepEqual(run.reason, 'masked')",
      'documented.deepEqual(vm.lr(1), { lr: [0x50n, 0n] })',
      'documented.deepEqual(vm.wfi(1), false)',
      'gic.write(0) // IMO and FMO',
      'const x = f() // 2',
    ])
  })

  it('end before the next program: its output is its own', () => {
    const [first, second] = examplesOf(
      'a.md',
      [`${FENCE}js`, 'f()', FENCE, `${FENCE}js`, 'g()', FENCE, FENCE, 'x', FENCE].join('\n'),
    )
    expect([first.prints, second.prints]).toEqual([[], [['x']]])
  })
})

describe('what a program has printed', () => {
  const example = (...prints: string[][]): Example => ({
    file: 'a.md',
    line: 1,
    language: 'js',
    code: '',
    prints,
  })

  it('may have more before, between and after what the document has', () => {
    expect(missing(example(['a', 'b'], ['d']), 'x\na\nb  \nc\nd\ny\n')).toBeUndefined()
    expect(missing(example(), 'x')).toBeUndefined()
  })

  it('lacks a line that it does not have', () => {
    expect(missing(example(['a'], ['b']), 'a\nc')).toBe('b')
    expect(missing(example(['a', 'b']), 'a\nx')).toBe('b')
    expect(missing(example(['a']), ' a')).toBe('a')
    expect(missing(example(['a']), '')).toBe('a')
  })

  it('lacks lines in another order, or apart', () => {
    expect(missing(example(['a'], ['b']), 'b\na')).toBe('b')
    expect(missing(example(['a', 'b']), 'a\nx\nb')).toBe('a')
    expect(missing(example(['a'], ['a']), 'a')).toBe('a')
  })
})
