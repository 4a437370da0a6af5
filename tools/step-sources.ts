/**
 * Where the code of each step is, for the playground: the rows of steps.ts name methods of ThreadSteps; what is not in
 * a row is named here.
 */
import { readFileSync } from 'node:fs'
import ts from 'typescript'
import type { StepSource } from '../docs/playground/messages.ts'

const STEPS = 'src/hyp/run/steps.ts'
const THREAD_STEPS = 'src/hyp/run/thread-steps.ts'

/** Steps of injections and messages, whose rows name no method, and the kinds of events that are no steps of a design. */
const ELSEWHERE: Readonly<Record<string, readonly [file: string, method: string]>> = {
  queue: ['src/hyp/run/injection.ts', 'queue'],
  queueQuietly: ['src/hyp/run/injection.ts', 'step'],
  postRequest: ['src/hyp/run/injection.ts', 'step'],
  kick: ['src/hyp/run/injection.ts', 'step'],
  translate: ['src/hyp/run/message.ts', 'translate'],
  translateUnheld: ['src/hyp/run/message.ts', 'translate'],
  dropReference: ['src/hyp/run/message.ts', 'step'],
  decrementReference: ['src/hyp/run/message.ts', 'decrement'],
  eraseByNumber: ['src/hyp/run/message.ts', 'step'],
  'event:exit': ['src/hyp/run/run-loop.ts', 'exit'],
  'event:vector': ['src/hyp/guest/guest.ts', 'step'],
  'event:ack': ['src/hyp/guest/guest.ts', 'step'],
  'event:eoi': ['src/hyp/guest/guest.ts', 'step'],
  'event:guest': ['src/hyp/guest/guest.ts', 'step'],
  'event:schedule': ['src/hyp/host/scheduler.ts', 'switchIn'],
  'event:preempt': ['src/hyp/host/scheduler.ts', 'preempt'],
}

/** Where designs of the library have steps of their own. */
const WITH_OWN_STEPS = ['src/hyp/run/designs.ts', 'src/explore/museum/museum.ts']

const parsed = new Map<string, ts.SourceFile>()

function parse(file: string): ts.SourceFile {
  const known = parsed.get(file)
  if (known) return known
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true)
  parsed.set(file, source)
  return source
}

/** By the name of the step. Throws if a row names a method that is not there. */
export function stepSources(): Record<string, StepSource> {
  const rows = rowsOf(parse(STEPS))
  const events = Object.keys(ELSEWHERE).filter((name) => name.startsWith('event:'))
  return Object.fromEntries([
    ...rows.map(({ name, does, says, gicv4 }) => {
      const [file, method] = does === undefined ? elsewhere(name) : [THREAD_STEPS, does]
      const found = methodOf(parse(file), method)
      return [name, { ...found, says: says || found.says, gicv4 }]
    }),
    ...events.map((name) => {
      const [file, method] = elsewhere(name)
      return [name, { ...methodOf(parse(file), method), gicv4: false }]
    }),
    ...WITH_OWN_STEPS.flatMap((file) => ownSteps(parse(file))),
  ])
}

function elsewhere(name: string): readonly [file: string, method: string] {
  const found = ELSEWHERE[name]
  if (found) return found
  throw new Error(`tools/step-sources.ts does not say where the code of ${name} is.`)
}

/** Constants made by `ownStep`; of a name that two steps have, none is known. */
function ownSteps(file: ts.SourceFile): [string, StepSource][] {
  const found = file.statements
    .filter(ts.isVariableStatement)
    .flatMap((statement): [string, StepSource][] => {
      const call = statement.declarationList.declarations[0].initializer
      if (!call || !ts.isCallExpression(call) || call.expression.getText() !== 'ownStep') return []
      const [name] = call.arguments
      if (!ts.isStringLiteral(name)) return []
      const line = file.getLineAndCharacterOfPosition(statement.getStart()).line + 1
      const source = {
        file: file.fileName,
        line,
        says: commentOf(statement),
        text: statement.getText(),
        gicv4: false,
      }
      return [[`own:${name.text}`, source]]
    })
  return found.filter(([name]) => found.filter(([other]) => other === name).length === 1)
}

interface RowFacts {
  readonly name: string
  readonly does: string | undefined
  readonly says: string
  readonly gicv4: boolean
}

/** The rows: constants made by `row` and `test`. */
function rowsOf(file: ts.SourceFile): RowFacts[] {
  return file.statements.filter(ts.isVariableStatement).flatMap((statement) => {
    const call = statement.declarationList.declarations[0].initializer
    if (!call || !ts.isCallExpression(call) || !/^(row|test)$/.test(call.expression.getText())) return []
    const [name, facts] = call.arguments
    if (!ts.isStringLiteral(name) || !ts.isObjectLiteralExpression(facts)) return []
    const fact = (key: string): ts.Expression | undefined =>
      facts.properties.filter(ts.isPropertyAssignment).find((each) => each.name.getText() === key)
        ?.initializer
    const does = fact('does')
    return [
      {
        name: name.text,
        does: does && ts.isStringLiteral(does) ? does.text : undefined,
        says: commentOf(statement),
        gicv4: fact('gicv4') !== undefined,
      },
    ]
  })
}

/** The doc comment as a line. */
function commentOf(node: ts.Node): string {
  const [comment] = ts.getJSDocCommentsAndTags(node)
  if (comment === undefined) return ''
  return (ts.getTextOfJSDocComment(comment.comment) ?? '').replaceAll(/\s+/g, ' ')
}

function methodOf(file: ts.SourceFile, name: string): Omit<StepSource, 'gicv4'> {
  for (const node of file.statements.filter(ts.isClassDeclaration).flatMap(({ members }) => [...members])) {
    if (!ts.isMethodDeclaration(node) || node.name.getText() !== name) continue
    const start = node.getStart()
    const { line, character } = file.getLineAndCharacterOfPosition(start)
    const indent = ' '.repeat(character)
    const text = file.text.slice(start, node.end).replaceAll(`\n${indent}`, '\n')
    return { file: file.fileName, line: line + 1, says: commentOf(node), text }
  }
  throw new Error(`${file.fileName} has no method ${name}.`)
}
