/**
 * Transforms of the build that make the bindings of bundled chunks constant for hot code, as constants.ts does those of sources.
 * Neither changes line numbers:
 *
 * - what a chunk declares, imports and exports becomes constants of its own;
 * - a constant that a chunk computes is marked as pure, so that a bundler leaves out the tables that nobody asks for.
 *   package.json says the same of whole chunks: `sideEffects: false`.
 */
import MagicString from 'magic-string'
import type { Options } from 'tsup'
import ts from 'typescript'
import { isLiteral } from './constants.ts'
import { lineEndsOf, parse } from './modules.ts'
import { refused } from './refused.ts'
import { assignedIn, isTopLevel } from './scopes.ts'

/**
 * Makes every binding of a chunk's top level a constant of the chunk's own. esbuild declares them with `var`, and
 * exports and imports are module variables, which are looked up and checked for initialisation at each use. So
 * bindings are exported, and used after an import, under a second name.
 */
export const keepConstants: NonNullable<Options['plugins']>[number] = {
  name: 'keep constants',
  renderChunk: (code, { map }) => ({ code: withOwnConstants(code), map: map ?? null }),
}

export function withOwnConstants(code: string): string {
  const edited = new MagicString(code)
  const file = parse('dist/*.ts', code)
  const variables = variablesOf(file)
  for (const statement of file.statements) {
    const [start, end] = [statement.getStart(), statement.end]
    if (ts.isVariableStatement(statement)) {
      const { flags, declarations } = statement.declarationList
      const keyword = declarations.some(({ name }) => variables.has(name.getText())) ? 'let' : 'const'
      if (!(flags & ts.NodeFlags.BlockScoped)) edited.update(start, start + 'var'.length, keyword)
      for (const declaration of declarations) markPure(edited, declaration)
    }
    const text = ts.isImportDeclaration(statement)
      ? withOwnImports(statement)
      : ts.isExportDeclaration(statement) && withOwnExports(statement, variables)
    if (text) edited.update(start, end, text + lineEndsOf(code.slice(start, end)))
  }
  return edited.toString()
}

/** The names of the top level that no constant can have: they get their values later. */
function variablesOf(file: ts.SourceFile): ReadonlySet<string> {
  const lists = file.statements.filter(ts.isVariableStatement).map((each) => each.declarationList)
  const empty = lists.flatMap((list) => list.declarations.filter(({ initializer }) => !initializer))
  const changed = [...assignedIn(file)].filter(isTopLevel) as ts.NamedDeclaration[]
  return new Set([...empty, ...changed].map(({ name }) => name?.getText() ?? ''))
}

/** `import { f as f_imported } from 'm'; const f = f_imported;` */
function withOwnImports({
  attributes,
  importClause,
  moduleSpecifier,
}: ts.ImportDeclaration): string | undefined {
  const bindings = importClause?.namedBindings
  if (!bindings || !ts.isNamedImports(bindings) || bindings.elements.length === 0) return undefined
  const pairs = bindings.elements.map(({ propertyName, name }) => [
    (propertyName ?? name).getText(),
    name.text,
  ])
  const imported = pairs.map(([name, local]) => `${name} as ${local}_imported`)
  const constants = pairs.map(([, local]) => `${local} = ${local}_imported`)
  const other = importClause?.name ? `${importClause.name.text}, ` : ''
  const from = `${moduleSpecifier.getText()}${attributes ? ` ${attributes.getText()}` : ''}`
  return `import ${other}{${imported}} from ${from}; const ${constants};`
}

/** `const f_exported = f; export {f_exported as f};` */
function withOwnExports(statement: ts.ExportDeclaration, variables: ReadonlySet<string>): string | undefined {
  const { exportClause: clause, moduleSpecifier } = statement
  if (!clause || !ts.isNamedExports(clause) || moduleSpecifier || clause.elements.length === 0)
    return undefined
  const pairs = clause.elements.map(({ propertyName, name }) => {
    const local = (propertyName ?? name).getText()
    if (variables.has(local))
      throw refused(name, `${local} is exported and assigned to, make it a constant's field`)
    return [local, name.getText()]
  })
  const constants = new Set(pairs.map(([local]) => `${local}_exported = ${local}`))
  const exported = pairs.map(([local, name]) => `${local}_exported as ${name}`)
  return `const ${[...constants]}; export {${exported}};`
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
