/** Sources that the build's transforms would change wrongly if they went by names alone: as they are, or refused. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { afterAll, describe, expect, it } from 'vitest'
import { inlineConstants } from '../../tools/constants.ts'

const root = mkdtempSync(join(tmpdir(), 'vgic-'))
const directory = join(root, 'src', 'hyp')
mkdirSync(directory, { recursive: true })
afterAll(() => rmSync(root, { recursive: true }))
let files = 0

/** What `result()` of a source returns, as it is or as the build has it; `other`, if it is given, is `other.ts` beside it. */
async function resultOf(source: string, other: string, plugins: Plugin[]): Promise<unknown> {
  const path = join(directory, `source${++files}.ts`)
  writeFileSync(path, source)
  writeFileSync(join(directory, 'other.ts'), other)
  const options = { bundle: true, write: false, logLevel: 'silent', minifySyntax: true } as const
  const { outputFiles } = await build({
    ...options,
    plugins,
    entryPoints: [path],
    format: 'iife',
    globalName: 'built',
  })
  // biome-ignore lint/security/noGlobalEval: what the build has made is to be run
  return globalThis.eval(`(() => { ${outputFiles[0].text}; return built.result() })()`)
}

/** A class with a method to inline and one that calls it, which returns what they have done. */
const inline = (method: string, caller: string, before = ''): string => `${before}
class A {
  words = [0, 0, 0]
  left = 0
  readonly kept = [7]
  /** @inline */
  ${method}
  ${caller}
}
export const result = () => {
  const a = new A()
  return [a.f(4), a.words, a.left, a.kept]
}`

const set = 'set(at: number, n: number): void { this.words[at] = n }'
const bump = 'bump(): void {\n const { left } = this\n this.left = left + 1 }'
const half = 'const half = (n: number): number => n >> 1\n'
const pick = 'const pick = (a: number, b: number): number => a !== 0 ? b : 0\n'
const handles = 'type Irq = number; type Vcpu = number\nfunction asIrq(n: number): Irq { return n as Irq }\n'

/** What has the same result. */
const same: readonly (readonly [what: string, source: string])[] = [
  [
    'returns what has no value',
    inline(
      'set(n: number): void { this.left = n }',
      'f(n: number): void { if (n > 3) return this.set(n)\n this.left = 1 }',
    ),
  ],
  [
    'assigns to a parameter',
    inline('set(n: number): void { n |= 8\n this.left = n }', 'f(n: number) { this.set(n)\n return n }'),
  ],
  ['changes an argument by another', inline(set, 'f() { let x = 1\n this.set(x, x++)\n return x }')],
  [
    'changes the variable that is an argument',
    inline(
      'set(n: number): void { level = 9\n this.left = n }',
      'f() { this.set(level)\n return level }',
      'let level = 3',
    ),
  ],
  [
    'reads again what has changed',
    inline(bump, 'f() { const { left } = this\n this.bump()\n this.bump()\n return left }'),
  ],
  [
    'reads what has another name there',
    inline(
      'add(n: number): void { const { kept } = this\n kept.push(n) }',
      'f(n: number) { const { kept } = this\n for (const kept of [[5]]) { this.add(n)\n this.left += kept[0] }\n return kept.length }',
    ),
  ],
  [
    'reads a let',
    inline(
      'set(n: number): void { let { left } = this\n left += n\n this.words[0] = left }',
      'f(n: number) { let { left } = this\n this.set(n)\n left++\n return left }',
    ),
  ],
  [
    'has properties with the names of variables',
    inline(
      'set(n: number): void { const at = n\n const o = { n, at: 1, MAX: at }\n const { n: at2 = 5, MAX = 6 } = o\n this.words = [o.n, o.at, o.MAX, at2, MAX] }',
      'f(n: number) { this.set(n) }',
      'const MAX = 5',
    ),
  ],
  [
    'is of another object',
    inline(
      'set(n: number): void { this.left = n }',
      'f() { const o = { k: 0, set(n: number) { this.k = n }, go() { this.set(3) } }\n o.go()\n return o.k }',
    ),
  ],
  [
    'is of a class inside',
    inline(
      'set(n: number): void { this.left = n }',
      'f() { return new (class { k = 0; set(n: number) { this.k = n }\n go() { this.set(3)\n return this.k } })().go() }',
    ),
  ],
  [
    'may be missing',
    inline(
      'set(n: number): void { this.left = n }',
      'f() { Object.assign(this, { set: undefined })\n this.set?.(3) }',
    ),
  ],
  [
    'has the name of a static one',
    'class A {\n x = 0\n /** @inline */\n static set(): void { throw 1 }\n set(): void { this.x = 2 }\n f() { this.set()\n return this.x } }\nexport const result = () => new A().f()',
  ],
  [
    'calls a parameter with the name of what is tagged',
    'let n = 0\n/** @inline */\nfunction mark(k: number): void { n = k }\nfunction f(mark: (k: number) => void): void { mark(5) }\nexport const result = () => { f(() => {})\n return n }',
  ],
  [
    'goes on with a loop',
    inline(
      'set(n: number): void { for (let i = 0; i < 3; i++) { if (i === n) continue\n this.words[i] = 1 } }',
      'f() { this.set(1) }',
    ),
  ],
  [
    'calls a function inside with the name of an expression',
    `${half}export const result = () => { function half(n: number) { return n + 1 } return half(8) }`,
  ],
  [
    'calls what a block declares',
    `${half}let r = 0\n{ const half = (n: number) => n + 1; r = half(8) }\nexport const result = () => r`,
  ],
  [
    'calls what a loop declares',
    `${half}let r = 0\nfor (const half of [(n: number) => n + 1]) r = half(8)\nexport const result = () => r`,
  ],
  ['calls a generator', 'function* one(n: number) { return n }\nexport const result = () => typeof one(4)'],
  [
    'begins a line with an expression',
    'const isSet = (n: number): boolean => (n & 1) !== 0\nlet kicks = 0\nconst kick = () => ++kicks\nexport const result = () => { const word = kick\n  isSet(3) && kick()\n  return [kicks, typeof word] }',
  ],
  [
    'has spaces in an argument',
    `${half}const f = (s: string) => half(s === 'a  b' ? 8 : 2)\nexport const result = () => f('a  b')`,
  ],
  [
    'reads a property for nothing',
    `${pick}const o = { n: 0, get next() { return ++this.n } }\nexport const result = () => [pick(0, o.next), o.n]`,
  ],
  [
    'has two variables of a name',
    'function f(words: Int32Array, n: number) { { const at = n + 1; words[at] = 1 }\n { const at = n + 2 ** 40; return at } }\nexport const result = () => f(new Int32Array(4), 1)',
  ],
  [
    'has a text with the name of an index',
    "function f(words: Int32Array, id: string) { const key = id + '/x'\n return [key, [0, 1].map((key) => words[key])] }\nexport const result = () => f(new Int32Array(4), 'a')",
  ],
  [
    'returns what a word is set to',
    'class A { f(words: Int32Array, n: number) { return (words[0] = n) } }\nexport const result = () => new A().f(new Int32Array(4), 2 ** 32 - 1)',
  ],
  [
    'has a sum that ends with a handle',
    `${handles}/** @noinline */\nfunction f(v: Vcpu, words: Int32Array) { const far = words[1] - asIrq(words[0])\n return [far, words[far + 8]] }\nexport const result = () => f(0, new Int32Array([8, 4, 0, 0, 77]))`,
  ],
  [
    'goes on after a function with a bracket',
    'let r = 0\nfunction f(n: number) { r += n }\n[1, 2].forEach((n) => f(n))\nexport const result = () => r',
  ],
]

const base = (method: string): string => `let total = 0
export class Base {
  total = 0
  /** @inline */
  ${method}
}`
const derived = (members: string): string => `import { Base } from './other.ts'
const total = 100
class Derived extends Base { ${members} }
export const result = () => [new Derived(), total]`

/** What is refused, and how. */
const refused: readonly (readonly [what: string, source: string, other: string, why: string])[] = [
  ['is overridden', derived('set(): void {}'), base('set(): void {}'), 'take the tag in'],
  [
    'changes a let of its own file',
    derived('f() { this.set(4) }'),
    base('set(n: number): void { total += n }'),
    'total is not the same there',
  ],
  [
    'names what a variable of the caller hides',
    inline(
      'set(n: number): void { this.left = Math.max(n, 1) }',
      'f() { const Math = 1; this.set(3); return Math }',
    ),
    '',
    'Math is not the same there',
  ],
  [
    'names a private member of another class',
    derived('#n = 50\n f() { this.set(4) }'),
    base('set(n: number): void { this.#n += n }\n #n = 0'),
    '#n is not the same there',
  ],
  [
    'has a variable whose new name is there',
    inline('set(n: number): void { this.left = n }', 'f() { const n_1 = 1; this.set(n_1 + 1) }'),
    '',
    'n_1 is there already',
  ],
  [
    'has super in it',
    inline('set(): void { super.toString() }', 'f() { this.set() }'),
    '',
    'super is not the same there',
  ],
  [
    'has a default',
    inline('set(n = 5): void { this.left = n }', 'f() { this.set(4) }'),
    '',
    'a parameter is more than a name',
  ],
  [
    'takes the rest',
    inline('set(...n: number[]): void { this.words = n }', 'f() { this.set(4) }'),
    '',
    'a parameter is more than a name',
  ],
  [
    'takes a pattern',
    inline('set({ n }: { n: number }): void { this.left = n }', 'f() { this.set({ n: 4 }) }'),
    '',
    'a parameter is more than a name',
  ],
  [
    'is asynchronous',
    inline('async set(): Promise<void> {}', 'f() { this.set() }'),
    '',
    '@inline is for plain bodies',
  ],
  [
    'has a function in it',
    inline(
      'set(n: number): void { this.words.forEach((_, i) => { if (i === n) return }) }',
      'f() { this.set(1) }',
    ),
    '',
    'there is a function',
  ],
  [
    'has a label in it',
    inline('set(): void { n: for (;;) break n }', 'f() { this.set() }'),
    '',
    'there is a label',
  ],
  [
    'calls itself',
    inline('set(n: number): void { if (n > 0) this.set(n - 1) }', 'f() { this.set(1) }'),
    '',
    'it calls itself',
  ],
  [
    'has a text for an argument',
    inline('set(n: string): void { this.left = n.length }', "f() { this.set('a  b') }"),
    '',
    'a text or a function is an argument',
  ],
  [
    'leaves an argument out',
    inline('set(n?: number): void { this.left = n ?? 3 }', 'f() { this.set() }'),
    '',
    'not one argument for each parameter',
  ],
  [
    'may be given no handle',
    `${handles}/** @noinline */\nfunction f(v: Vcpu, irq?: Irq) { return irq }\nexport const result = () => f(4)`,
    '',
    'make a handle of undefined',
  ],
  [
    'may be given null',
    '/** @noinline */\nfunction f(n: number | null) { return n }\nexport const result = () => f(null)',
    '',
    'throws for null',
  ],
]

describe('a function or a call that the build takes out', () => {
  it.each(same)('does the same if it %s', async (_, source) => {
    const plain = await resultOf(source, '', [])
    expect(await resultOf(source, '', [inlineConstants])).toEqual(plain)
  })

  it.each(refused)('is refused if it %s, with its line', async (_, source, other, why) => {
    const refusal = new RegExp(`(source\\d+|other)\\.ts:\\d+: .*${why}.*: .+`)
    await expect(resultOf(source, other, [inlineConstants])).rejects.toThrow(refusal)
  })
})
