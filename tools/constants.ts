/**
 * Transforms of the build that make bindings constant for hot code. V8 inlines a call, and folds a number, only if it
 * knows that the binding never changes; esbuild folds a number across modules only from a module that has nothing but
 * numbers. There are five, each on a parsed file, and none changes line numbers. calls.ts has a sixth, and before them all
 * inline-expressions.ts and inline-statements.ts take out calls:
 *
 * - a file's literal constants get a module of their own, which the file imports and exports again. A module of
 *   literals, such as the generated ones, is one already. An encoding, `encodeSysreg` of literals, becomes one;
 * - functions of hot files become constants, but for those that give a number a type: esbuild leaves out a call of a
 *   declared function that returns what it is given;
 * - a sum that is the index of a word, or part of one, becomes one of 32 bits, by `| 0`, so that V8 need not check that it
 *   is: two of the eight instructions that an access takes. So does a parameter that a word is set to, which V8 would
 *   convert to a double and back: an Int32Array keeps the same 32 bits of either;
 * - what a bundled chunk declares, imports and exports becomes constants of its own;
 * - a constant that a chunk computes is marked as pure, so that a bundler leaves out the tables that nobody asks for.
 *   package.json says the same of whole chunks: `sideEffects: false`.
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
  if (!value.arguments.every(ts.isNumericLiteral)) return undefined
  const [op0, op1, crn, crm, op2] = value.arguments.map((part) => Number(part.getText()))
  return encodeSysreg(op0, op1, crn, crm, op2)
}

function isLiteral(value: ts.Expression | undefined): boolean {
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
      !declaration.asteriskToken &&
      !declaration.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword)
    if (!name || !body || !keyword || !isPlain || returnsItsArgument(declaration)) return
    edited.update(keyword.getStart(), name.end, `const ${name.text} = function`)
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

const isArithmetic: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.PlusToken,
  ts.SyntaxKind.MinusToken,
  ts.SyntaxKind.AsteriskToken,
])

/** Whether a variable is an index of words somewhere in its function, or a term of one. */
function isOffset({ name, parent }: ts.VariableDeclaration): boolean {
  const scope = ts.findAncestor(parent, ts.isFunctionLike)
  return ts.isIdentifier(name) && scope !== undefined && isIndexIn(scope)

  function isIndexIn(node: ts.Node): boolean {
    if (ts.isElementAccessExpression(node) && isWords.test(node.expression.getText()))
      if (isTermOf(node.argumentExpression)) return true
    return ts.forEachChild(node, isIndexIn) ?? false
  }

  function isTermOf(index: ts.Expression): boolean {
    if (ts.isParenthesizedExpression(index)) return isTermOf(index.expression)
    if (ts.isBinaryExpression(index) && isArithmetic.has(index.operatorToken.kind))
      return isTermOf(index.left) || isTermOf(index.right)
    return ts.isIdentifier(index) && ts.isIdentifier(name) && index.text === name.text
  }
}

/** Whether a word is set to a parameter of a method. */
function isStoreOfParameter({ left, operatorToken, right }: ts.BinaryExpression): boolean {
  if (operatorToken.kind !== ts.SyntaxKind.EqualsToken || !ts.isElementAccessExpression(left)) return false
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
  const withExpressions = (path: string): string => expressions.inlined(path, readFileSync(path, 'utf8'))
  const statements = new InlineStatements(withExpressions)
  return (path) =>
    isHot.test(path) ? statements.inlined(path, withExpressions(path)) : readFileSync(path, 'utf8')
}

/** Modules of constants, and functions that never change: none of them may be called while its module is loaded. */
export const inlineConstants: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'inline constants',
  setup(build) {
    const sourceOf = inlinedSources()
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

/**
 * Makes every binding of a chunk's top level a constant of the chunk's own. esbuild declares them with `var`, and
 * exports and imports are module variables, which are looked up and checked for initialisation at each use. So
 * bindings are exported, and used after an import, under a second name.
 */
export const keepConstants: NonNullable<Options['plugins']>[number] = {
  name: 'keep constants',
  renderChunk: (code, { map }) => ({ code: withOwnConstants(code), map: map ?? null }),
}

function withOwnConstants(code: string): string {
  const edited = new MagicString(code)
  for (const statement of parse('chunk.js', code).statements) {
    const [start, end] = [statement.getStart(), statement.end]
    const lines = lineEndsOf(code.slice(start, end))
    if (ts.isVariableStatement(statement)) {
      const { flags, declarations } = statement.declarationList
      if (!(flags & ts.NodeFlags.BlockScoped)) edited.update(start, start + 'var'.length, 'const')
      for (const declaration of declarations) markPure(edited, declaration)
    } else if (ts.isImportDeclaration(statement)) {
      const bindings = statement.importClause?.namedBindings
      if (!bindings || !ts.isNamedImports(bindings)) continue
      const pairs = bindings.elements.map(({ propertyName, name }) => [
        (propertyName ?? name).text,
        name.text,
      ])
      const imported = pairs.map(([name, local]) => `${name} as ${local}_imported`)
      const constants = pairs.map(([, local]) => `${local} = ${local}_imported`)
      const from = statement.moduleSpecifier.getText()
      edited.update(start, end, `import {${imported}} from ${from}; const ${constants};${lines}`)
    } else if (ts.isExportDeclaration(statement)) {
      const clause = statement.exportClause
      if (!clause || !ts.isNamedExports(clause) || statement.moduleSpecifier) continue
      const pairs = clause.elements.map(({ propertyName, name }) => [(propertyName ?? name).text, name.text])
      const constants = new Set(pairs.map(([local]) => `${local}_exported = ${local}`))
      const exported = pairs.map(([local, name]) => `${local}_exported as ${name}`)
      edited.update(start, end, `const ${[...constants]}; export {${exported}};${lines}`)
    }
  }
  return edited.toString()
}

/**
 * Has a bundler see that nothing but the constant comes of an initialiser. A class keeps its name by being a constant
 * inside.
 */
function markPure(edited: MagicString, { name, initializer }: ts.VariableDeclaration): void {
  if (!initializer || !ts.isIdentifier(name) || isPure(initializer)) return
  edited.appendLeft(initializer.getStart(), `/* @__PURE__ */ (() => { const ${name.text} = `)
  edited.appendRight(initializer.end, `; return ${name.text} })()`)
}

/** Whether a bundler sees by itself that an expression does nothing: what it names, makes or is. */
function isPure(value: ts.Expression): boolean {
  if (ts.isFunctionExpression(value) || ts.isArrowFunction(value)) return true
  if (ts.isIdentifier(value) || ts.isLiteralExpression(value) || isLiteral(value)) return true
  if (ts.isParenthesizedExpression(value)) return isPure(value.expression)
  if (ts.isArrayLiteralExpression(value)) return value.elements.every(isPure)
  return ts.isObjectLiteralExpression(value) && value.properties.every(isPureProperty)
}

const isPureProperty = (property: ts.ObjectLiteralElementLike): boolean =>
  ts.isShorthandPropertyAssignment(property) ||
  (ts.isPropertyAssignment(property) &&
    !ts.isComputedPropertyName(property.name) &&
    isPure(property.initializer))
