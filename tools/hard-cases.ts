/**
 * The index of docs/hard-cases.md: the tests that have the number of a hard case in their names, as `hard case 28`.
 * In hard-cases.test.ts the names begin with the number.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import ts from 'typescript'

/** The page that has the table: a row for each hard case, its number first and its tests last. */
export const INDEX = 'docs/hard-cases.md'

/** The hard cases of features that are not built yet. */
export const waiting: ReadonlyMap<number, string> = new Map()

/** A test, or a `describe` with all its tests. */
export interface Test {
  readonly file: string
  readonly name: string
}

/** The tests of each hard case, by number; of nested ones with the same number the outermost. */
export function testsOf(folder = 'test'): Map<number, Test[]> {
  const found = new Map<number, Test[]>()
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!name.endsWith('.test.ts')) continue
    const file = join(folder, name)
    for (const [n, test] of testsIn(file, readFileSync(file, 'utf8')))
      found.set(n, [...(found.get(n) ?? []), { file, name: test }])
  }
  return found
}

/** The numbers and names of the tests of a source. */
export function testsIn(file: string, source: string): Array<readonly [number, string]> {
  const pattern = basename(file) === 'hard-cases.test.ts' ? /^(\d+): / : /\bhard case (\d+)\b/
  const found: Array<readonly [number, string]> = []
  const visit = (node: ts.Node, outer: readonly number[]): void => {
    const name = ts.isCallExpression(node) ? nameOf(node) : undefined
    const n = Number(pattern.exec(name ?? '')?.[1] ?? Number.NaN)
    const isNew = name !== undefined && !Number.isNaN(n) && !outer.includes(n)
    if (isNew) found.push([n, name])
    ts.forEachChild(node, (child) => visit(child, isNew ? [...outer, n] : outer))
  }
  visit(ts.createSourceFile(file, source, ts.ScriptTarget.ES2022), [])
  return found
}

/** The name in a call of `describe`, `it`, or an `each` of them. */
function nameOf({ expression, arguments: [name] }: ts.CallExpression): string | undefined {
  let called: ts.Expression = expression
  while (ts.isCallExpression(called) || ts.isPropertyAccessExpression(called)) called = called.expression
  if (!ts.isIdentifier(called) || !/^(describe|it)$/.test(called.text)) return
  return name !== undefined && ts.isStringLiteralLike(name) ? name.text : undefined
}

/** The page with the tests of each row updated. */
export function withTests(page: string, tests: ReadonlyMap<number, readonly Test[]>): string {
  return page.replaceAll(/^(\| (\d+) \| .* \|) (?:[^|\\]|\\.)* \|$/gm, (_, row: string, n: string) => {
    const wait = waiting.get(Number(n))
    const listed = (tests.get(Number(n)) ?? []).map(({ file, name }) => `[${labelOf(name)}](../${file})`)
    return `${row} ${listed.length === 0 && wait ? `waits for ${wait}` : listed.join('; ')} |`
  })
}

/** The hard cases of a page, by number. */
export const numbersOf = (page: string): number[] =>
  [...page.matchAll(/^\| (\d+) \| /gm)].map(([, n]) => Number(n))

/** A test's name without the number, in Markdown. */
const labelOf = (name: string): string =>
  name
    .replace(/^hard case \d+(: | on )?|^\d+: | \(hard case \d+\)$/, (cut) =>
      cut.endsWith(' on ') ? 'on ' : '',
    )
    .replaceAll(/[|[\]*_]/g, '\\$&')
    .replaceAll('<', '&lt;') || 'all of it'
