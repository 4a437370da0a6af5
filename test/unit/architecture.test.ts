/** docs/architecture.md is true: its rooms, its picture, and the stops of its walks. */
import { existsSync, readFileSync } from 'node:fs'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { importsOf, PAGE, picture, reduced, sentencesOf, withPicture } from '../../tools/rooms.ts'

const page = readFileSync(PAGE, 'utf8')

/** The functions and methods that a source declares. */
function functionsOf(file: string): Set<string> {
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    const isFunction =
      ts.isFunctionDeclaration(node) ||
      ts.isMethodDeclaration(node) ||
      (ts.isVariableDeclaration(node) && node.initializer && ts.isArrowFunction(node.initializer))
    if (isFunction && node.name) names.add(node.name.getText(source))
    ts.forEachChild(node, visit)
  }
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022)
  visit(source)
  return names
}

/** The numbered stops of the section with a heading: a function and its file. */
function stopsOf(heading: string): Array<readonly [name: string, file: string]> {
  const section = page.split(/^## /m).find((text) => text.startsWith(heading)) ?? ''
  const stops = [...section.matchAll(/^(\d+)\. `(\w+)` in \[([\w/.-]+)\]\(\.\.\/src\/\3\): /gm)]
  expect(stops.map(([, n]) => n)).toEqual((section.match(/^\d+(?=\. )/gm) ?? []).map(String))
  return stops.map(([, , name, file]) => [name, `src/${file}`])
}

describe('the rooms', () => {
  it('are those of src, each with its sentence', () => {
    expect([...sentencesOf(page).keys()].sort()).toEqual([...importsOf().keys()].sort())
  })

  it('are in the picture as they import one another (`npm run pages` draws it)', () => {
    expect(page).toBe(withPicture(page, importsOf()))
  })

  it('have no arrow that others imply', () => {
    const imports = new Map([
      ['a', new Set(['b', 'c'])],
      ['b', new Set(['c'])],
      ['c', new Set<string>()],
    ])
    expect([...reduced(imports)]).toEqual([
      ['a', ['b']],
      ['b', ['c']],
      ['c', []],
    ])
  })

  it('go round in no circle', () => {
    const circle = new Map([
      ['a', new Set(['b'])],
      ['b', new Set(['a'])],
    ])
    expect(() => reduced(circle)).toThrow('a -> b -> a')
  })

  it('without a sentence, or sentences without a room, cannot be drawn', () => {
    const imports = new Map([['a', new Set<string>()]])
    expect(() => picture(imports, new Map())).toThrow('src/a needs a row')
    expect(() =>
      picture(
        imports,
        new Map([
          ['a', 'it'],
          ['b', 'lost'],
        ]),
      ),
    ).toThrow('a row for src/b')
    expect(picture(imports, new Map([['a', 'it']]))).toBe('flowchart TD\n  a["<b>a</b><br/>it"]\n')
  })
})

describe.each(['One SPI', 'One WFI'])('the walk of %s', (walk) => {
  const stops = stopsOf(walk)

  it('has ten stops or more', () => {
    expect(stops.length).toBeGreaterThanOrEqual(10)
  })

  it.each(stops)('stops at `%s` of %s', (name, file) => {
    expect(existsSync(file)).toBe(true)
    expect([...functionsOf(file)]).toContain(name)
  })
})
