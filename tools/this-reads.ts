/** Statements that read members of `this` into constants: `const { words, exitGap: gap } = this`. */
import ts from 'typescript'

/** Those of a function's body. */
export const readsOfThis = (body: ts.Node | undefined): ts.VariableStatement[] =>
  body && ts.isBlock(body) ? body.statements.filter(readsThis) : []

/** Whether a statement is one, of members that are there. */
export function readsThis(statement: ts.Node): statement is ts.VariableStatement {
  if (!ts.isVariableStatement(statement) || !(statement.declarationList.flags & ts.NodeFlags.Const))
    return false
  const [{ initializer, name }, ...more] = statement.declarationList.declarations
  const isOfThis = more.length === 0 && initializer?.kind === ts.SyntaxKind.ThisKeyword
  return isOfThis && ts.isObjectBindingPattern(name) && name.elements.every(isPlain)
}

const isPlain = ({ dotDotDotToken, initializer, name, propertyName }: ts.BindingElement): boolean =>
  !dotDotDotToken && !initializer && ts.isIdentifier(name) && (!propertyName || ts.isIdentifier(propertyName))

export const elementsOf = ({
  declarationList: { declarations },
}: ts.VariableStatement): ts.BindingElement[] =>
  ts.isObjectBindingPattern(declarations[0].name) ? [...declarations[0].name.elements] : []
