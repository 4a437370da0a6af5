/**
 * Where the code of each step is, for the playground: the rows of steps.ts name methods of ThreadSteps, or functions of
 * linux-steps.ts and museum-steps.ts; what is not in a row is named here.
 */
import { readFileSync } from 'node:fs'
import ts from 'typescript'
import type { StepSource } from '../docs/playground/messages.ts'

const STEPS = 'src/hyp/run/steps.ts'
const THREAD_STEPS = 'src/hyp/run/thread-steps.ts'
/** The files of steps that are functions, by a row's `of`. */
const functionsOf = (of: string): string => `src/hyp/run/${of}-steps.ts`

const GUEST = 'src/hyp/guest/guest.ts'
const MESSAGE = 'src/hyp/run/message.ts'
const SAVES = 'src/scenario/saves.ts'
const RESTORES = 'src/hyp/userspace/restore-parts.ts'
const RESTORES_MUSEUM = 'src/hyp/userspace/restore-museum.ts'

type Place = readonly [file: string, name: string]

/** Where steps of injections and messages are, whose rows name no method, if they are not in {@link ELSEWHERE}. */
const INJECTION: Place = ['src/hyp/run/injection.ts', 'step']

/** Others of them, and the kinds of events that are no steps of a design. */
const ELSEWHERE: Readonly<Record<string, Place>> = {
  queue: ['src/hyp/run/injection.ts', 'queue'],
  translate: [MESSAGE, 'translate'],
  translateUnheld: [MESSAGE, 'translate'],
  dropReference: [MESSAGE, 'step'],
  decrementReference: [MESSAGE, 'decrement'],
  eraseByNumber: [MESSAGE, 'step'],
  saveInterrupts: [SAVES, 'take'],
  saveInterruptsByOffset: [SAVES, 'take'],
  saveInterruptsAsGuest: [SAVES, 'take'],
  saveTimers: [SAVES, 'imageAfter'],
  prepareVm: [RESTORES, 'makeFresh'],
  restoreControl: [RESTORES, 'restoreRegisters'],
  restoreRedistributors: [RESTORES, 'restoreRegisters'],
  restoreRedistributorsInMemory: [RESTORES_MUSEUM, 'restoreRedistributorsInMemory'],
  restoreDistributor: [RESTORES, 'restoreRegisters'],
  restoreLines: [RESTORES, 'restoreRegisters'],
  restoreCpuInterfaces: [RESTORES, 'restoreCpuInterfaces'],
  restoreItsRegisters: [RESTORES, 'restoreRegisters'],
  restoreItsTables: ['src/hyp/userspace/its-tables-restore.ts', 'restoreItsTables'],
  restoreItsTablesInPlace: [RESTORES_MUSEUM, 'restoreItsTablesInPlace'],
  restoreItsTablesTrusting: [RESTORES_MUSEUM, 'restoreItsTablesTrusting'],
  restoreItsTablesTargeted: [RESTORES_MUSEUM, 'restoreItsTablesTargeted'],
  restoreItsControl: [RESTORES, 'restoreItsControl'],
  'event:exit': ['src/hyp/run/run-loop.ts', 'exit'],
  'event:vector': [GUEST, 'step'],
  'event:ack': [GUEST, 'step'],
  'event:eoi': [GUEST, 'step'],
  'event:guest': [GUEST, 'step'],
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

/** By the name of the step. Throws if a method is not where it is said to be. */
export function stepSources(): Record<string, StepSource> {
  const rows = rowsOf(parse(STEPS))
  const events = Object.entries(ELSEWHERE).filter(([name]) => name.startsWith('event:'))
  return Object.fromEntries([
    ...rows.map((row) => {
      const found = codeAt(placeOf(row))
      return [row.name, { ...found, says: row.says || found.says, gicv4: row.gicv4 }]
    }),
    ...events.map(([name, place]) => [name, { ...codeAt(place), gicv4: false }]),
    ...WITH_OWN_STEPS.flatMap((file) => ownSteps(parse(file))),
  ])
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
  readonly of: string | undefined
  readonly says: string
  readonly gicv4: boolean
}

function placeOf({ name, does, of }: RowFacts): Place {
  if (does === undefined) return ELSEWHERE[name] ?? INJECTION
  return [of === undefined ? THREAD_STEPS : functionsOf(of), does]
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
    const text = (key: string): string | undefined => {
      const value = fact(key)
      return value && ts.isStringLiteral(value) ? value.text : undefined
    }
    return [
      {
        name: name.text,
        does: text('does'),
        of: text('of'),
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

/** A method of a class, or a function. */
function codeAt([path, name]: Place): Omit<StepSource, 'gicv4'> {
  const file = parse(path)
  const nodes = file.statements.flatMap((node): readonly ts.Node[] =>
    ts.isClassDeclaration(node) ? node.members : [node],
  )
  for (const node of nodes) {
    if (!ts.isMethodDeclaration(node) && !ts.isFunctionDeclaration(node)) continue
    if (node.name?.getText() !== name) continue
    const start = node.getStart()
    const { line, character } = file.getLineAndCharacterOfPosition(start)
    const indent = ' '.repeat(character)
    const text = file.text.slice(start, node.end).replaceAll(`\n${indent}`, '\n')
    return { file: file.fileName, line: line + 1, says: commentOf(node), text }
  }
  throw new Error(`${file.fileName} has no method or function ${name}.`)
}
