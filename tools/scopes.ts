/** What names mean in a file: TypeScript's own scopes, without its types, since only the one file is known. */
import ts from 'typescript'

const checkers = new WeakMap<ts.SourceFile, ts.TypeChecker>()

function checkerOf(file: ts.SourceFile): ts.TypeChecker {
  const known = checkers.get(file)
  if (known) return known
  const options: ts.CompilerOptions = { noLib: true, noResolve: true, types: [] }
  const host: ts.CompilerHost = { ...ts.createCompilerHost(options), getSourceFile: () => file }
  const checker = ts.createProgram([file.fileName], options, host).getTypeChecker()
  checkers.set(file, checker)
  return checker
}

/** Where the variable, function or class is declared that a name stands for; undefined if it is a global one. */
export function declarationOf(name: ts.Identifier): ts.Declaration | undefined {
  const checker = checkerOf(name.getSourceFile())
  const { parent } = name
  const isShort = ts.isShorthandPropertyAssignment(parent) && parent.name === name
  const symbol = isShort
    ? checker.getShorthandAssignmentValueSymbol(parent)
    : checker.getSymbolAtLocation(name)
  return declaredBy(symbol)
}

const declaredBy = (symbol: ts.Symbol | undefined): ts.Declaration | undefined =>
  symbol?.valueDeclaration ?? symbol?.declarations?.[0]

/** What a name would stand for at a node. */
export const declarationAt = (name: string, at: ts.Node): ts.Declaration | undefined =>
  declaredBy(
    checkerOf(at.getSourceFile())
      .getSymbolsInScope(at, ts.SymbolFlags.Value | ts.SymbolFlags.Alias)
      .find((symbol) => symbol.name === name),
  )

/** Whether a declaration is one of its file, and of no function or block in it. */
export function isTopLevel(declaration: ts.Node): boolean {
  const { parent } = declaration
  if (
    ts.isImportSpecifier(declaration) ||
    ts.isImportClause(declaration) ||
    ts.isNamespaceImport(declaration)
  )
    return true
  if (ts.isVariableDeclaration(declaration))
    return ts.isVariableStatement(parent.parent) && ts.isSourceFile(parent.parent.parent)
  return ts.isSourceFile(parent)
}

/** Whether a name is that of a variable: neither `words` in `this.words` nor `key` in `{ key: value }`. */
export function isVariable(name: ts.Identifier): boolean {
  const { parent } = name
  if (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) return parent.name !== name
  return !ts.isBindingElement(parent) || parent.propertyName !== name
}

/** Whether what a name stands for has one value from its declaration on: a constant, or what nothing is assigned to. */
export function isConstant(name: ts.Identifier): boolean {
  const declaration = declarationOf(name)
  if (!declaration || !isLocalVariable(declaration)) return false
  return isConst(declaration) || !isAssigned(declaration)
}

const isLocalVariable = (declaration: ts.Node): boolean =>
  ts.isVariableDeclaration(declaration) || ts.isParameter(declaration) || ts.isBindingElement(declaration)

/** Whether a variable, or a part of one, is declared by `const`. */
const isConst = (declaration: ts.Declaration): boolean =>
  (ts.getCombinedNodeFlags(declaration) & ts.NodeFlags.Const) !== 0

const assigned = new WeakMap<ts.SourceFile, ReadonlySet<ts.Node>>()

/** What a file declares and assigns to later. */
export function assignedIn(file: ts.SourceFile): ReadonlySet<ts.Node> {
  const known = assigned.get(file)
  if (known) return known
  const found = new Set<ts.Node>()
  const visit = (node: ts.Node): void => {
    const declaration =
      ts.isIdentifier(node) && isVariable(node) && isTarget(node) ? declarationOf(node) : undefined
    if (declaration) found.add(declaration)
    ts.forEachChild(node, visit)
  }
  visit(file)
  assigned.set(file, found)
  return found
}

export const isAssigned = (declaration: ts.Node): boolean =>
  assignedIn(declaration.getSourceFile()).has(declaration)

/** Whether an expression is assigned to where it stands, by itself or as a part of a pattern. */
function isTarget(node: ts.Node): boolean {
  const { parent } = node
  if (ts.isPrefixUnaryExpression(parent) || ts.isPostfixUnaryExpression(parent))
    return (
      parent.operator === ts.SyntaxKind.PlusPlusToken || parent.operator === ts.SyntaxKind.MinusMinusToken
    )
  if (ts.isForInStatement(parent) || ts.isForOfStatement(parent)) return parent.initializer === node
  if (ts.isBinaryExpression(parent)) return parent.left === node && isAssignment(parent.operatorToken.kind)
  return isPartOfPattern(parent) && isTarget(parent)
}

const isAssignment = (kind: ts.SyntaxKind): boolean =>
  kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment

const isPartOfPattern = (node: ts.Node): boolean =>
  ts.isArrayLiteralExpression(node) ||
  ts.isObjectLiteralExpression(node) ||
  ts.isPropertyAssignment(node) ||
  ts.isShorthandPropertyAssignment(node) ||
  ts.isSpreadElement(node) ||
  ts.isSpreadAssignment(node) ||
  ts.isParenthesizedExpression(node) ||
  ts.isNonNullExpression(node) ||
  ts.isAsExpression(node)

export type LocalDeclaration = ts.VariableDeclaration | ts.ParameterDeclaration | ts.BindingElement

/** What is declared in a function or a body, at any depth: variables, parameters, and parts of either. */
export function localsIn(around: ts.Node): LocalDeclaration[] {
  const found: LocalDeclaration[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node)) found.push(node)
    ts.forEachChild(node, visit)
  }
  visit(around)
  return found
}
