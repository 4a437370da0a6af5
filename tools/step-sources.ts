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
}

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
  return Object.fromEntries(
    rowsOf(parse(STEPS)).map(({ name, does, says }) => {
      const [file, method] = does === undefined ? elsewhere(name) : [THREAD_STEPS, does]
      const { line, text } = methodOf(parse(file), method)
      return [name, { file, line, says, text }]
    }),
  )
}

function elsewhere(name: string): readonly [file: string, method: string] {
  const found = ELSEWHERE[name]
  if (found) return found
  throw new Error(`tools/step-sources.ts does not say where the code of ${name} is.`)
}

interface RowFacts {
  readonly name: string
  readonly does: string | undefined
  readonly says: string
}

/** The rows: constants made by `row` and `test`. */
function rowsOf(file: ts.SourceFile): RowFacts[] {
  return file.statements.filter(ts.isVariableStatement).flatMap((statement) => {
    const call = statement.declarationList.declarations[0].initializer
    if (!call || !ts.isCallExpression(call) || !/^(row|test)$/.test(call.expression.getText())) return []
    const [name, facts] = call.arguments
    if (!ts.isStringLiteral(name) || !ts.isObjectLiteralExpression(facts)) return []
    const does = facts.properties
      .filter(ts.isPropertyAssignment)
      .find((property) => property.name.getText() === 'does')?.initializer
    return [
      {
        name: name.text,
        does: does && ts.isStringLiteral(does) ? does.text : undefined,
        says: commentOf(statement),
      },
    ]
  })
}

/** The doc comment as a line. */
function commentOf(statement: ts.Statement): string {
  const [comment] = ts.getJSDocCommentsAndTags(statement)
  if (comment === undefined) return ''
  return (ts.getTextOfJSDocComment(comment.comment) ?? '').replaceAll(/\s+/g, ' ')
}

interface MethodText {
  readonly line: number
  readonly text: string
}

function methodOf(file: ts.SourceFile, name: string): MethodText {
  for (const node of file.statements.filter(ts.isClassDeclaration).flatMap(({ members }) => [...members])) {
    if (!ts.isMethodDeclaration(node) || node.name.getText() !== name) continue
    const start = node.getStart()
    const { line, character } = file.getLineAndCharacterOfPosition(start)
    const indent = ' '.repeat(character)
    const text = file.text.slice(start, node.end).replaceAll(`\n${indent}`, '\n')
    return { line: line + 1, text }
  }
  throw new Error(`${file.fileName} has no method ${name}.`)
}
