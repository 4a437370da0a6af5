/**
 * Transforms of the build that make bindings constant for hot code. V8 inlines a call, and folds a number, only if it
 * knows that the binding never changes; esbuild folds a number across modules only from a module that has nothing but
 * numbers. There are three, each on a parsed file, and none changes line numbers. calls.ts has a fourth, and
 * chunk-constants.ts those of bundled chunks; and before them all inline-expressions.ts and inline-statements.ts take out calls:
 *
 * - a file's literal constants get a module of their own, which the file imports and exports again. A module of
 *   literals, such as the generated ones, is one already. An encoding, `encodeSysreg` of literals, becomes one;
 * - functions of hot files become constants, but for those that give a number a type: esbuild leaves out a call of a
 *   declared function that returns what it is given;
 * - a sum that is the index of a word, or part of one, becomes one of 32 bits, by `| 0`, so that V8 need not check that it
 *   is: two of the eight instructions that an access takes. So does a parameter that a word is set to, which V8 would
 *   convert to a double and back: an Int32Array keeps the same 32 bits of either.
 */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import MagicString from 'magic-string'
import type { Options } from 'tsup'
import ts from 'typescript'
import { encodeSysreg } from '../src/arch/sysreg.ts'
import { isBounded, isHandle, keepCalls } from './calls.ts'
import { InlineExpressions } from './inline-expressions.ts'
import { InlineStatements } from './inline-statements.ts'
import { lineEndsOf, parse } from './modules.ts'
import { declarationOf } from './scopes.ts'

interface Constant {
  readonly name: string
  readonly isExported: boolean
  readonly statement: ts.VariableStatement
  /** What it is declared to be: as it stands, or the number that it comes to. */
  readonly text: string
}

/** `const NAME = 0x10`, with a sign or `| 0`, or `const NAME = encodeSysreg(3, 0, 4, 6, 0)`. */
function constantOf(statement: ts.Statement): Constant | undefined {
  if (!ts.isVariableStatement(statement) || !(statement.declarationList.flags & ts.NodeFlags.Const)) return
  const [declaration, ...more] = statement.declarationList.declarations
  if (more.length > 0 || !ts.isIdentifier(declaration.name)) return
  const encoding = encodingOf(declaration.initializer)
  if (encoding === undefined && !isLiteral(declaration.initializer)) return
  const isExported = statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false
  const name = declaration.name.text
  const text =
    encoding === undefined ? statement.getText() : `${isExported ? 'export ' : ''}const ${name} = ${encoding}`
  return { name, isExported, statement, text }
}

/** The number that `encodeSysreg` of five literals is. */
function encodingOf(value: ts.Expression | undefined): number | undefined {
  if (!value || !ts.isCallExpression(value) || value.expression.getText() !== 'encodeSysreg') return undefined
  const parts = value.arguments.filter(ts.isNumericLiteral)
  if (parts.length !== value.arguments.length) return undefined
  const [op0, op1, crn, crm, op2] = parts.map(({ text }) => Number(text))
  return encodeSysreg(op0, op1, crn, crm, op2)
}

export function isLiteral(value: ts.Expression | undefined): boolean {
  if (value === undefined) return false
  if (ts.isNumericLiteral(value)) return true
  if (ts.isPrefixUnaryExpression(value))
    return value.operator === ts.SyntaxKind.MinusToken && isLiteral(value.operand)
  return (
    ts.isBinaryExpression(value) &&
    value.operatorToken.kind === ts.SyntaxKind.BarToken &&
    isLiteral(value.left) &&
    value.right.getText() === '0'
  )
}

const constantsOf = (file: ts.SourceFile): Constant[] =>
  file.statements.flatMap((statement) => constantOf(statement) ?? [])

/** The rooms whose code runs at every exit, or at every step of a search. */
export const isHot = /\/src\/(gic|hyp|explore|scenario)\//

/** Moves a file's constants to a module of their own, and makes its functions constants if it is hot. */
function withoutConstants(path: string, source: string): string {
  const file = parse(path, source)
  const constants = constantsOf(file)
  const edited = new MagicString(source)
  if (constants.length === file.statements.length) return source
  for (const { statement } of constants) blank(edited, source, statement.getStart(), statement.end)
  if (isHot.test(path)) {
    file.statements.filter(ts.isFunctionDeclaration).forEach(makeConstant)
    truncate(file)
  }
  keepCalls(file, edited)
  if (constants.length > 0) {
    const from = `from ${JSON.stringify(`${path}?constants`)};`
    const exported = constants.filter(({ isExported }) => isExported)
    edited.prepend(`import {${namesOf(constants)}} ${from}export {${namesOf(exported)}} ${from}`)
  }
  return edited.toString()

  function makeConstant(declaration: ts.FunctionDeclaration): void {
    const { name, body } = declaration
    const keyword = declaration.getChildren().find(({ kind }) => kind === ts.SyntaxKind.FunctionKeyword)
    const isPlain =
      !declaration.asteriskToken && !declaration.modifiers?.some(({ kind }) => isKeptAs.has(kind))
    if (!name || !body || !keyword || !isPlain || returnsItsArgument(declaration)) return
    edited.update(keyword.getStart(), name.end, `const ${name.text} = function`)
    const next = file.statements.find(({ pos }) => pos === declaration.end)
    if (next && goesOn.test(next.getText())) edited.appendRight(declaration.end, ';')
  }

  /** `words[v + VCPU_PC]`, `const at = pe + ICH_LR` before `words[at]`, `asIrq(v + VCPU_SGIS)`, and `irq` in `words[at] = irq` */
  function truncate(node: ts.Node): void {
    if (ts.isElementAccessExpression(node) && isWords.test(node.expression.getText()))
      truncateSums(node.argumentExpression)
    if (ts.isVariableDeclaration(node) && node.initializer && isOffset(node)) truncateSums(node.initializer)
    if (ts.isCallExpression(node) && isHandle.test(node.expression.getText()))
      node.arguments.forEach(truncateSums)
    if (ts.isBinaryExpression(node) && isStoreOfParameter(node)) edited.appendRight(node.right.end, ' | 0')
    ts.forEachChild(node, truncate)
  }

  /** Each sum and product of an offset: V8 checks every one of them, and not only the last. */
  function truncateSums(node: ts.Expression): void {
    if (ts.isParenthesizedExpression(node)) truncateSums(node.expression)
    if (ts.isConditionalExpression(node)) [node.whenTrue, node.whenFalse].forEach(truncateSums)
    if (!ts.isBinaryExpression(node) || !isArithmetic.has(node.operatorToken.kind) || isBounded(node)) return
    truncateSums(node.left)
    truncateSums(node.right)
    edited.appendLeft(node.getStart(), '(')
    edited.appendRight(node.end, ' | 0)')
  }
}

/**
 * The Int32Arrays, by their names: the machine's words, a design's table, a guest's operations, and those of a search. Of
 * anything else that had one of these names, a key that is a text would become 0, and in an array of other numbers than those
 * of 32 bits a value that is a parameter would lose the rest, silently. words-of-the-build.test.ts looks the types up.
 */
export const isWords = /^(this\.)?(words|table|ops|before|slots|tables)$/

/** What a statement begins with that would go on with an expression before it. */
const goesOn = /^[[(`/+-]/

/** What no constant can be. */
const isKeptAs: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AsyncKeyword,
  ts.SyntaxKind.DefaultKeyword,
])

const isArithmetic: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.PlusToken,
  ts.SyntaxKind.MinusToken,
  ts.SyntaxKind.AsteriskToken,
])

/** Whether a variable is an index of words somewhere in its function, or a term of one. */
function isOffset(declaration: ts.VariableDeclaration): boolean {
  const scope = ts.findAncestor(declaration.parent, ts.isFunctionLike)
  return scope !== undefined && isIndexIn(scope)

  function isIndexIn(node: ts.Node): boolean {
    if (ts.isElementAccessExpression(node) && isWords.test(node.expression.getText()))
      if (isTermOf(node.argumentExpression)) return true
    return ts.forEachChild(node, isIndexIn) ?? false
  }

  function isTermOf(index: ts.Expression): boolean {
    if (ts.isParenthesizedExpression(index)) return isTermOf(index.expression)
    if (ts.isBinaryExpression(index) && isArithmetic.has(index.operatorToken.kind))
      return isTermOf(index.left) || isTermOf(index.right)
    return ts.isIdentifier(index) && declarationOf(index) === declaration
  }
}

/** Whether a word is set to a parameter of a method, by a statement: as a value, the parameter has all its bits. */
function isStoreOfParameter({ left, operatorToken, parent, right }: ts.BinaryExpression): boolean {
  if (operatorToken.kind !== ts.SyntaxKind.EqualsToken || !ts.isElementAccessExpression(left)) return false
  if (!ts.isExpressionStatement(parent)) return false
  const method = ts.findAncestor(left, ts.isMethodDeclaration)
  const names = method?.parameters.map(({ name }) => name.getText()) ?? []
  return isWords.test(left.expression.getText()) && names.includes(right.getText())
}

/** `function asPe(offset: number): Pe { return offset as Pe }` */
function returnsItsArgument({ parameters, body }: ts.FunctionDeclaration): boolean {
  const [statement] = body?.statements ?? []
  if (body?.statements.length !== 1 || parameters.length !== 1 || !ts.isReturnStatement(statement))
    return false
  const value = statement.expression
  return (
    value !== undefined &&
    ts.isAsExpression(value) &&
    value.expression.getText() === parameters[0].name.getText()
  )
}

const namesOf = (constants: readonly Constant[]): string => constants.map(({ name }) => name).join()

/** Blanks a range, except its line ends. */
function blank(edited: MagicString, source: string, start: number, end: number): void {
  edited.update(start, end, `;${lineEndsOf(source.slice(start, end))}`)
}

/** The sources of a build, those of hot files with the calls in them inlined. */
export function inlinedSources(): (path: string) => string {
  const expressions = new InlineExpressions()
  const statements = new InlineStatements((path) => {
    const source = readFileSync(path, 'utf8')
    return isHot.test(path) ? expressions.inlined(path, source) : source
  })
  return (path) => (isHot.test(path) ? statements.inlined(path) : statements.checked(path))
}

/** Modules of constants, and functions that never change: none of them may be called while its module is loaded. */
export const inlineConstants: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'inline constants',
  setup(build) {
    let sourceOf = inlinedSources()
    build.onStart(() => {
      sourceOf = inlinedSources()
    })
    build.onResolve({ filter: /\?constants$/ }, ({ path }) => ({ path, namespace: 'constants' }))
    build.onLoad({ filter: /./, namespace: 'constants' }, async ({ path }) => {
      const original = path.replace(/\?constants$/, '')
      const lines = constantsOf(parse(original, await readFile(original, 'utf8'))).map(
        ({ text, isExported }) => `${isExported ? '' : 'export '}${text}`,
      )
      return { contents: lines.join('\n'), loader: 'ts' }
    })
    build.onLoad({ filter: /\/src\/.*\.ts$/, namespace: 'file' }, ({ path }) => ({
      contents: withoutConstants(path, sourceOf(path)),
      loader: 'ts',
    }))
  },
}
