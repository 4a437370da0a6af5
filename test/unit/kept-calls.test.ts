import { execFileSync } from 'node:child_process'
import { transformSync } from 'esbuild'
import MagicString from 'magic-string'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { isBounded, keepCalls } from '../../tools/calls.ts'

/** The most bytes of bytecode that a function has which V8 inlines: --max-inlined-bytecode-size. */
const MAX_INLINED = 460

/** What the build makes of a source. */
function built(source: string): string {
  const edited = new MagicString(source)
  keepCalls(ts.createSourceFile('source.ts', source, ts.ScriptTarget.ES2022, true), edited)
  return edited.toString()
}

/** The bytes of bytecode of a function, which the source must call. */
function bytecodeOf(name: string, source: string): number {
  const { code } = transformSync(built(source), { loader: 'ts', minifySyntax: true })
  const options = ['--print-bytecode', `--print-bytecode-filter=${name}`, '--eval', code]
  const printed = execFileSync('node', options, { encoding: 'utf8' })
  return Number(/Bytecode length: (\d+)/.exec(printed)?.[1])
}

describe('the tag @noinline', () => {
  it('makes a function too large for V8 to inline', () => {
    const source = 'function half(n: number): number { return n >> 1 }\nhalf(4)'
    expect(bytecodeOf('half', source)).toBeLessThan(MAX_INLINED)
    expect(bytecodeOf('half', `/** @noinline */ ${source}`)).toBeGreaterThan(MAX_INLINED)
  })

  it('makes a method too large, and no other', () => {
    const source = `class Halves {
  /**
   * Half of a number.
   * @noinline
   */
  half(n: number): number { return n >> 1 }
  quarter(n: number): number { return n >> 2 }
}
const halves = new Halves()
halves.half(4)
halves.quarter(4)`
    expect(bytecodeOf('half', source)).toBeGreaterThan(MAX_INLINED)
    expect(bytecodeOf('quarter', source)).toBeLessThan(MAX_INLINED)
  })

  it('changes neither results nor lines', () => {
    const source = '/** @noinline */\nfunction half(n) {\n  return n >> 1\n}\nhalf(8)'
    expect(built(source).split('\n')).toHaveLength(source.split('\n').length)
    // biome-ignore lint/security/noGlobalEval: what the build has made is to be run
    expect(globalThis.eval(built(source))).toBe(4)
  })

  it('masks the handles that a function is given and makes, and no others', () => {
    const source = `/** @noinline */ function first(v: Vcpu, n: number): Irq { return asIrq(words[v + n]) }
function second(v: Vcpu): Irq { return asIrq(words[v]) }`
    const [first, second] = built(source).split('\n')
    expect(first).toContain('{v &= 0x3fff_ffff;if (v === null)')
    expect(first).toContain('return (asIrq(words[v + n]) & 0x3fff_ffff)')
    expect(first).not.toContain('n &=')
    expect(second).not.toContain('&')
  })

  it('is refused at a function without a parameter that could be compared, and at an expression', () => {
    expect(() => built('/** @noinline */ function none() { return 1 }')).toThrow('unlike function none()')
    expect(() => built('/** @noinline */ function one({ n }) { return n }')).toThrow('unlike function one(')
    expect(() => built('/** @noinline */ const half = (n) => n >> 1')).toThrow('have a block and a parameter')
  })
})

describe('the tag @masked', () => {
  const source = 'function first(v: Vcpu): number { return words[v + 1] }\nfirst(4)'

  it('masks handles, and leaves a function small', () => {
    expect(built(`/** @masked */ ${source}`)).toContain('{v &= 0x3fff_ffff; return')
    expect(bytecodeOf('first', `const words = [];/** @masked */\n${source}`)).toBeLessThan(MAX_INLINED)
  })

  it('says which sums have 32 bits: of a handle that is given, or a constant one that is made, and a constant', () => {
    const tagged = `/** @masked */ function f(v: Vcpu, n: number): void {
  const irq = asIrq(words[v + 1])
  let pe = asPe(words[v + VCPU_PE])
  words[irq + IRQ_LINK] = words[n + 2] + words[pe + 3] + words[v + n]
}
function g(v: Vcpu): number { return words[v + 5] }`
    const sums: string[] = []
    const visit = (node: ts.Node): void => {
      if (ts.isBinaryExpression(node) && isBounded(node)) sums.push(node.getText())
      ts.forEachChild(node, visit)
    }
    visit(ts.createSourceFile('source.ts', tagged, ts.ScriptTarget.ES2022, true))
    expect(sums).toEqual(['v + 1', 'v + VCPU_PE', 'irq + IRQ_LINK'])
  })
})
