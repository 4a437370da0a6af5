/** What the build makes of hot files, in which calls have become the expressions and statements that they call. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'
import { inlinedSources, isHot } from '../../tools/constants.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * What the compiler says of private and protected members, of imports that nothing names any more, and of a comparison of two
 * constants: all that copies may do.
 */
const ALLOWED: readonly number[] = [2341, 2445, 6133, 6192, 6196, 2367]

/** An expression is a number of no kind. */
const withoutKinds =
  'export type Brand<_ extends string> = number\nexport type Flavour<_ extends string> = number'

describe('the sources of the build', () => {
  it('have the types that they had, and their lines', { timeout: 120_000 }, () => {
    const sourceOf = inlinedSources()
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
    const host = ts.createCompilerHost(options)
    const { readFile } = host
    const longer: string[] = []
    let inlined = 0
    host.readFile = (path) => {
      const source = readFile(path)
      if (path.endsWith('/arch/brand.ts')) return withoutKinds
      if (source === undefined || !isHot.test(path)) return source
      const text = sourceOf(path)
      if (text !== source) inlined++
      if (text.split('\n').length !== source.split('\n').length) longer.push(path)
      return text
    }
    const names = ts.sys.readDirectory(join(root, 'src'), ['.ts'])
    const program = ts.createProgram(names, options, host)
    const errors = ts.getPreEmitDiagnostics(program).filter(({ code }) => !ALLOWED.includes(code))
    expect(inlined).toBeGreaterThan(50)
    expect(longer).toEqual([])
    expect(errors.map(({ file, messageText }) => [file?.fileName, messageText])).toEqual([])
  })
})

describe('a hot file of the build', () => {
  const directory = join(mkdtempSync(join(tmpdir(), 'vgic-')), 'src', 'hyp')
  mkdirSync(directory, { recursive: true })
  afterAll(() => rmSync(dirname(dirname(directory)), { recursive: true }))
  let files = 0

  /** A source as the build has it; `other`, if it is given, is `other.ts` beside it. */
  function built(source: string, other = ''): string {
    const path = join(directory, `source${++files}.ts`)
    writeFileSync(path, source)
    writeFileSync(join(directory, 'other.ts'), other)
    return inlinedSources()(path)
  }

  /** What a function of a source returns, as it is and as the build has it. */
  const results = (source: string, call: string): unknown[] =>
    [source, built(source)].map((each) => {
      const { code } = transformSync(`${each}\nglobalThis.result = ${call}`, { loader: 'ts' })
      // biome-ignore lint/security/noGlobalEval: what the build has made is to be run
      globalThis.eval(`{${code}}`)
      return Reflect.get(globalThis, 'result')
    })

  const halves = 'const SHIFT = 1\nconst half = (n: number): number => n >> SHIFT\n'

  it('has the expression of a function for a call of it', () => {
    const source = `${halves}const quarter = (n: number): number => half(half(n))
function sum(a: number, b: number): number { return quarter(a - b) + half(quarter(b) + 6) }`
    expect(built(source)).not.toMatch(/return.*(half|quarter)\(/)
    expect(results(source, 'sum(29, 9)')).toEqual([9, 9])
  })

  it('takes functions and constants of other files, which it need not import', () => {
    const other = `const SHIFT = 4 >> 1\nexport const quarter = (n: number): number => n >> SHIFT`
    const source = `import { quarter } from './other.ts'\nconst sixteenth = (n: number) => quarter(quarter(n))`
    expect(built(source, other)).toContain('((n >> 2)) >> 2')
  })

  it('keeps calls whose argument would be computed twice, or does something', () => {
    const square = 'const square = (n: number): number => n * n\n'
    expect(built(`${square}const f = (a: number) => square(a + 1)`)).toContain('square(a + 1)')
    expect(built(`${square}const f = (a: number) => square(a)`)).not.toContain('square(a)')
    expect(built(`${halves}let i = 0\nconst f = () => half(i++)`)).toContain('half(i++)')
    expect(built(`${halves}const f = (g: () => number) => half(g())`)).toContain('half(g())')
  })

  it('keeps calls of what only has the name of such a function', () => {
    const source = `${halves}function f(half: (n: number) => number): number { return half(8) }`
    expect(results(source, 'f((n) => n + 1)')).toEqual([9, 9])
  })

  const counter = `class Base {
  readonly words = [0, 0]
  left = 0
  /** @inline */
  set(at: number, value: number): void {
    const { words, left: before } = this
    if (value < 0) {
      this.left = before + 1
      return
    }
    words[at] = value
  }
}
`

  it('has the statements of a method with the tag for a call of it, left before their end or not', () => {
    const source = `${counter}class Derived extends Base {
  both(value: number): number[] {
    const { words } = this
    const before = 100
    this.set(0, value)
    if (value < 5) this.set(1, -value)
    else this.set(1, value + before)
    return [...words, this.left, before]
  }
}`
    expect(built(source)).not.toContain('this.set(')
    expect(built(source)).toContain('{ const { left: before_1 } = this; if (value < 0)')
    expect(results(source, 'new Derived().both(4)')).toEqual([
      [4, 0, 1, 100],
      [4, 0, 1, 100],
    ])
    expect(results(source, 'new Derived().both(6)')).toEqual([
      [6, 106, 0, 100],
      [6, 106, 0, 100],
    ])
  })

  it('returns what such a method returns', () => {
    const source = `class Signs {
  zero = 0
  /** @inline */
  sign(n: number): number {
    const zero = this.zero
    if (n < zero) return -1
    return n > zero ? 1 : zero
  }
  of(zero: number): number { return this.sign(zero) }
}`
    expect(built(source)).not.toContain('this.sign(')
    for (const n of [-3, 0, 3])
      expect(results(source, `new Signs().of(${n})`)).toEqual([Math.sign(n), Math.sign(n)])
  })

  it('refuses a body that means something else there, has a text, or returns a value to nobody', () => {
    const caller = `import { Base } from './other.ts'
class Derived extends Base { f(): void { this.set(1) } }`
    const base = (body: string): string => `function own(n: number): void {}
export class Base {
  /** @inline */
  set(n: number): number | void { ${body} }
}`
    expect(() => built(caller, base('own(n)'))).toThrow('own is not the same there, in set of')
    expect(() => built(caller, base("throw new Error('no')"))).toThrow('there is a text')
    expect(() => built(caller, base('return n'))).toThrow('a value is returned to nobody')
    expect(() => built('/** @inline */\nconst f = () => {}\nf()')).toThrow(
      '@inline is for methods and functions',
    )
  })
})
