/** The modules of a build, as the transforms that look into other files see them: what is declared where. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { declarationOf, isTopLevel } from './scopes.ts'

type Declaration = ts.Expression | ts.FunctionDeclaration | ts.ClassDeclaration

interface Module {
  readonly file: ts.SourceFile
  /** What is declared at its top level by `const`, `function` and `class`. */
  readonly declared: ReadonlyMap<string, Declaration>
  /** Where a name that it imports, or exports from elsewhere, is declared. */
  readonly from: ReadonlyMap<string, { readonly path: string; readonly name: string }>
  /** The modules all of whose names it exports. */
  readonly elsewhere: readonly string[]
}

/** A declaration, and the file in which its names mean something. */
export interface Found<T extends ts.Node = Declaration> {
  readonly path: string
  readonly declaration: T
}

export const parse = (path: string, source: string): ts.SourceFile =>
  ts.createSourceFile(path, source, ts.ScriptTarget.ES2022, true)

/** Each is read once, as `sourceOf` gives it. */
export class Modules {
  private readonly modules = new Map<string, Module>()

  constructor(private readonly sourceOf = (path: string) => readFileSync(path, 'utf8')) {}

  /** The file at a path, as it has been read. */
  fileAt(path: string): ts.SourceFile {
    return this.moduleAt(path).file
  }

  /** What a name in a file stands for, if that is declared at the top level of one. */
  findName(path: string, name: ts.Identifier): Found | undefined {
    const declaration = declarationOf(name)
    return declaration && isTopLevel(declaration) ? this.find(path, name.text) : undefined
  }

  /** What a name means at the top level of a file. */
  find(path: string, name: string): Found | undefined {
    const module = this.moduleAt(path)
    const declaration = module.declared.get(name)
    if (declaration) return { path, declaration }
    const from = module.from.get(name)
    if (from) return this.find(from.path, from.name)
    for (const other of module.elsewhere) {
      const found = this.find(other, name)
      if (found) return found
    }
    return undefined
  }

  /** The number that an expression of a file's constants is. */
  numberOf(path: string, node: ts.Expression): number | undefined {
    if (ts.isNumericLiteral(node)) return Number(node.text)
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node))
      return this.numberOf(path, node.expression)
    if (ts.isIdentifier(node)) {
      const found = this.findName(path, node)
      return found && ts.isExpression(found.declaration)
        ? this.numberOf(found.path, found.declaration)
        : undefined
    }
    if (ts.isPrefixUnaryExpression(node)) {
      const value = this.numberOf(path, node.operand)
      return value === undefined ? undefined : unary(node.operator, value)
    }
    if (!ts.isBinaryExpression(node)) return undefined
    const [left, right] = [this.numberOf(path, node.left), this.numberOf(path, node.right)]
    return left === undefined || right === undefined
      ? undefined
      : binary(node.operatorToken.kind, left, right)
  }

  private moduleAt(path: string): Module {
    const module = this.modules.get(path) ?? moduleOf(path, parse(path, this.sourceOf(path)))
    this.modules.set(path, module)
    return module
  }
}

function moduleOf(path: string, file: ts.SourceFile): Module {
  const declared = new Map<string, Declaration>()
  const from = new Map<string, { path: string; name: string }>()
  const elsewhere: string[] = []
  for (const statement of file.statements) {
    if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) {
      if (statement.name) declared.set(statement.name.text, statement)
    } else if (ts.isVariableStatement(statement) && statement.declarationList.flags & ts.NodeFlags.Const) {
      for (const { name, initializer } of statement.declarationList.declarations)
        if (ts.isIdentifier(name) && initializer) declared.set(name.text, initializer)
    } else if (ts.isImportDeclaration(statement)) {
      const bindings = statement.importClause?.namedBindings
      if (bindings && ts.isNamedImports(bindings)) add(statement.moduleSpecifier, bindings)
    } else if (ts.isExportDeclaration(statement) && statement.moduleSpecifier) {
      const { exportClause: clause, moduleSpecifier } = statement
      if (clause && ts.isNamedExports(clause)) add(moduleSpecifier, clause)
      else if (!clause && isOwn(moduleSpecifier)) elsewhere.push(pathOf(moduleSpecifier))
    }
  }
  return { file, declared, from, elsewhere }

  function add(specifier: ts.Expression, { elements }: ts.NamedImports | ts.NamedExports): void {
    for (const { name, propertyName } of isOwn(specifier) ? elements : [])
      from.set(name.text, { path: pathOf(specifier), name: (propertyName ?? name).text })
  }

  function pathOf(specifier: ts.Expression): string {
    return join(dirname(path), (specifier as ts.StringLiteral).text)
  }
}

/** Whether a module is one of the library's. */
const isOwn = (specifier: ts.Expression): boolean =>
  ts.isStringLiteral(specifier) && specifier.text.startsWith('.')

function unary(operator: ts.PrefixUnaryOperator, value: number): number | undefined {
  if (operator === ts.SyntaxKind.MinusToken) return -value
  return operator === ts.SyntaxKind.TildeToken ? ~value : undefined
}

function binary(operator: ts.BinaryOperator, left: number, right: number): number | undefined {
  switch (operator) {
    case ts.SyntaxKind.BarToken:
      return left | right
    case ts.SyntaxKind.AmpersandToken:
      return left & right
    case ts.SyntaxKind.PlusToken:
      return left + right
    case ts.SyntaxKind.MinusToken:
      return left - right
    case ts.SyntaxKind.AsteriskToken:
      return left * right
    case ts.SyntaxKind.LessThanLessThanToken:
      return left << right
    case ts.SyntaxKind.GreaterThanGreaterThanToken:
      return left >> right
    default:
      return undefined
  }
}

export const numeral = (value: number): string =>
  Object.is(value, -0) ? '(-0)' : value < 0 ? `(${value})` : `${value}`

/** Without comments, for a source that has no texts which might look like them. */
export const onOneLine = (source: string): string =>
  source
    .replaceAll(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()

export const lineEndsOf = (source: string): string => source.replaceAll(/[^\n]/g, '')
