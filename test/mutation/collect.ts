/**
 * What test files get in place of vitest when mutants are tried: `describe` and `it` keep the tests, so that each can be
 * run any number of times without loading anything again. `expect` and `vi` are vitest's own.
 */
import { format } from 'node:util'

export { expect, vi } from 'vitest'

export interface Test {
  /** Its file and its name; of two with the same name the second has its number. */
  readonly id: string
  readonly file: string
  readonly name: string
  /** Runs it with the hooks of the suites that it is in; throws if it fails. */
  run(): void
}

type Body = (...row: readonly unknown[]) => void

interface Suite {
  readonly name: string
  readonly outer: Suite | undefined
  readonly before: (() => void)[]
  readonly after: (() => void)[]
}

const newSuite = (name: string, outer?: Suite): Suite => ({ name, outer, before: [], after: [] })

/** The tests of all files, by their ids. */
export const tests = new Map<string, Test>()
let file = ''
let suite = newSuite('')

/** The tests that follow are this file's. */
export function beginFile(name: string): void {
  file = name
  suite = newSuite('')
}

function collectSuite(name: string, body: () => void): void {
  const outer = suite
  suite = newSuite(name, outer)
  body()
  suite = outer
}

function collectTest(title: string, body: () => void): void {
  const around: Suite[] = []
  for (let at: Suite | undefined = suite; at; at = at.outer) around.unshift(at)
  const name = [...around.map((one) => one.name), title].filter((part) => part !== '').join(' ')
  let id = `${file}#${name}`
  for (let n = 2; tests.has(id); n++) id = `${file}#${name} (${n})`
  tests.set(id, { id, file, name, run: () => runWithin(around, body) })
}

function runWithin(around: readonly Suite[], body: () => void): void {
  for (const { before } of around) for (const hook of before) hook()
  try {
    body()
  } finally {
    for (const { after } of [...around].reverse()) for (const hook of after) hook()
  }
}

/** The title of a row of a table, much as vitest writes it. */
function titleOf(template: string, row: readonly unknown[], index: number): string {
  const named = template.replaceAll('%#', String(index)).replace(/\$([\w.]+)/g, (text, path: string) => {
    const value = path.split('.').reduce((at: unknown, key) => Object(at)[key], row[0])
    return value === undefined ? text : String(value)
  })
  const places = named.match(/%[sdifjoO]/g) ?? []
  return format(named, ...row.slice(0, places.length))
}

/** `it` and `describe`, each with its `each`; options between name and body are left aside. */
function withEach(collect: (name: string, body: () => void) => void) {
  const bodyOf = (rest: readonly unknown[]): Body =>
    rest.find((argument): argument is Body => typeof argument === 'function') ?? (() => undefined)
  const one = (name: string, ...rest: readonly unknown[]): void => {
    const body = bodyOf(rest)
    collect(name, () => body())
  }
  const each =
    (table: readonly unknown[]) =>
    (name: string, ...rest: readonly unknown[]): void => {
      const body = bodyOf(rest)
      for (const [index, row] of table.entries()) {
        const values = Array.isArray(row) ? row : [row]
        collect(titleOf(name, values, index), () => body(...values))
      }
    }
  return Object.assign(one, { each })
}

export const describe = withEach(collectSuite)
export const it = withEach(collectTest)
export const beforeEach = (hook: () => void): void => void suite.before.push(hook)
export const afterEach = (hook: () => void): void => void suite.after.push(hook)
