/** What the build makes of the bindings of a chunk's top level. */
import { describe, expect, it } from 'vitest'
import { withOwnConstants } from '../../tools/chunk-constants.ts'

describe('a chunk of the build', () => {
  it.each([
    [
      "import a, { b as c } from 'm' with { type: 'x' }",
      "import a, {b as c_imported} from 'm' with { type: 'x' }; const c = c_imported;",
    ],
    ["import {} from 'm'", "import {} from 'm'"],
    ['var a = 1', 'const a = 1'],
    ['var a = 1; a++', 'let a = 1; a++'],
    ['var a; function f() { a = 1 }', 'let a; function f() { a = 1 }'],
    ['var a = 1; function f(a) { a = 2 }', 'const a = 1; function f(a) { a = 2 }'],
    ["var a = 1; export { a as 'b-c' }", "const a = 1; const a_exported = a; export {a_exported as 'b-c'};"],
  ])('has for %s what means the same', (code, expected) => expect(withOwnConstants(code)).toBe(expected))

  it('is refused if it exports what is assigned to', () => {
    expect(() => withOwnConstants('var a = 1;\na++;\nexport { a };')).toThrow(
      'dist/*.ts:3: a is exported and assigned to',
    )
  })
})
