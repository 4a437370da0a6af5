/**
 * A transform of the build: in hot files, a call of a function that is one expression becomes that expression. V8 would
 * inline it as well, as it is small, but counts its bytecode among the 920 bytes that it inlines into a function (calls.ts); a
 * call is as many bytes again as most such functions, which are fields of words. What does not fit is a call of 50 instructions.
 *
 * Such a function has parameters, numbers, operators and calls of its kind, and nothing else. An argument is put in place of
 * a parameter, so it must do nothing but give a value; and if the parameter is there more than once, it must be a variable or a
 * number. Line numbers stay.
 */
import MagicString from 'magic-string'
import ts from 'typescript'
import { isHandle } from './calls.ts'
import { type Found, lineEndsOf, Modules, numeral, onOneLine, parse } from './modules.ts'

/** A larger function is for V8 to inline where it is called often: the operators and accesses that it comes to. */
const MOST_OPERATORS = 12

/** An expression as text, and the positions of parameters that stand between. */
type Template = readonly (string | number)[]

interface Expression {
  readonly parameters: number
  readonly template: Template
  readonly operators: number
  /** The positions of parameters that are not always read: of those after `?`, `&&`, `||` or `??`. */
  readonly conditional: ReadonlySet<number>
}

/** The functions of a build, which reads each module once. */
export class InlineExpressions {
  private readonly modules = new Modules()
  private readonly expressions = new Map<ts.Node, Expression | undefined>()

  /** A file's source with its calls of such functions replaced. */
  inlined(path: string, source: string): string {
    const file = parse(path, source)
    const edited = new MagicString(source)
    const visit = (node: ts.Node): void => {
      const text = ts.isCallExpression(node) ? this.textOf(path, node) : undefined
      if (text === undefined) ts.forEachChild(node, visit)
      else edited.update(node.getStart(), node.end, beginsStatement(node) ? `;${text}` : text)
    }
    visit(file)
    return edited.toString()
  }

  /** What stands in place of a call; undefined if that stays. */
  private textOf(path: string, call: ts.CallExpression): string | undefined {
    const expression = this.called(path, call)
    if (!expression || !isSubstitutable(call, expression)) return undefined
    const values = call.arguments.map((value) =>
      isSimple(value) ? value.getText() : this.argumentOf(path, value),
    )
    if (values.includes(undefined)) return undefined
    const text = expression.template.map((part) => (typeof part === 'number' ? values[part] : part)).join('')
    return `(${text})${lineEndsOf(call.getText())}`
  }

  /** An argument that does nothing but give a value, with its own calls replaced. */
  private argumentOf(path: string, value: ts.Expression): string | undefined {
    const text = new MagicString(value.getFullText())
    const offset = value.getFullStart()
    const isPure = (node: ts.Node): boolean => {
      if (ts.isCallExpression(node)) {
        if (isBrand(node)) return node.arguments.every(isPure)
        const inner = this.textOf(path, node)
        if (inner !== undefined) text.update(node.getStart() - offset, node.end - offset, inner)
        return inner !== undefined
      }
      if (!isValue(node)) return false
      return ts.forEachChild(node, (child) => (isPure(child) ? undefined : true)) === undefined
    }
    return isPure(value) ? `(${onOneLine(text.toString())})` : undefined
  }

  private called(path: string, call: ts.CallExpression): Expression | undefined {
    const { expression } = call
    if (isBrand(call)) return undefined
    const found = ts.isIdentifier(expression) ? this.modules.findName(path, expression) : undefined
    if (!found) return undefined
    if (!this.expressions.has(found.declaration)) {
      // A function that calls itself is none.
      this.expressions.set(found.declaration, undefined)
      this.expressions.set(found.declaration, this.expressionOf(found))
    }
    return this.expressions.get(found.declaration)
  }

  private expressionOf({ path, declaration }: Found): Expression | undefined {
    const body = bodyOf(declaration)
    if (!body || !ts.isFunctionLike(declaration)) return undefined
    const { parameters, type } = declaration
    const isPlain = parameters.every(
      ({ name, initializer, dotDotDotToken }) => ts.isIdentifier(name) && !initializer && !dotDotDotToken,
    )
    // What a type predicate says of an argument would be lost with the call.
    if (!isPlain || (type && ts.isTypePredicateNode(type))) return undefined
    const names = parameters.map(({ name }) => name.getText())
    const reader = new TemplateReader(names, path, this.modules, (call) => this.called(path, call))
    const template = reader.templateOf(body)
    const { operators, conditional } = reader
    return template && operators <= MOST_OPERATORS
      ? { parameters: names.length, template, operators, conditional }
      : undefined
  }
}

/** Makes a template of a function's expression, and counts its operators. */
class TemplateReader {
  operators = 0
  readonly conditional = new Set<number>()

  constructor(
    private readonly parameters: readonly string[],
    private readonly path: string,
    private readonly modules: Modules,
    private readonly called: (call: ts.CallExpression) => Expression | undefined,
  ) {}

  /** Undefined if there is anything in it but parameters, numbers, operators and calls that are expressions. */
  templateOf(node: ts.Node): Template | undefined {
    if (ts.isIdentifier(node)) return this.ofName(node)
    if (ts.isAsExpression(node)) return this.templateOf(node.expression)
    if (ts.isNumericLiteral(node)) return [node.getText()]
    if (ts.isCallExpression(node)) return this.ofCall(node)
    return isOperator(node) ? this.ofOperator(node) : undefined
  }

  private ofName(name: ts.Identifier): Template | undefined {
    const position = this.parameters.indexOf(name.text)
    if (position >= 0) return [position]
    const value = this.modules.numberOf(this.path, name)
    return value === undefined ? undefined : [numeral(value)]
  }

  private ofOperator(node: ts.Node): Template | undefined {
    if (!ts.isParenthesizedExpression(node)) this.operators++
    return joined(
      node.getChildren().map((child) => {
        const template = isSign(child) ? [` ${child.getText()} `] : this.templateOf(child)
        if (isConditional(child)) this.markConditional(template)
        return template
      }),
    )
  }

  private ofCall(call: ts.CallExpression): Template | undefined {
    if (isBrand(call)) return joined([['(('], this.templateOf(call.arguments[0]), [') | 0)']])
    const expression = this.called(call)
    if (!expression || !isSubstitutable(call, expression)) return undefined
    this.operators += expression.operators
    const values = call.arguments.map((value) => joined([['('], this.templateOf(value), [')']]))
    for (const position of expression.conditional) this.markConditional(values[position])
    const parts = expression.template.map((part) => (typeof part === 'number' ? values[part] : [part]))
    return joined([['('], ...parts, [')']])
  }

  private markConditional(template: Template = []): void {
    for (const part of template) if (typeof part === 'number') this.conditional.add(part)
  }
}

const joined = (parts: readonly (Template | undefined)[]): Template | undefined =>
  parts.includes(undefined) ? undefined : parts.flatMap((part) => part ?? [])

/** `+`, `(` or `?` */
const isSign = (node: ts.Node): boolean =>
  ts.isToken(node) && !ts.isIdentifier(node) && !ts.isNumericLiteral(node)

/** The one expression of a function. */
function bodyOf(declaration: ts.Node): ts.Expression | undefined {
  if (!ts.isArrowFunction(declaration) && !ts.isFunctionDeclaration(declaration)) return undefined
  const { asteriskToken, body, modifiers } = declaration
  if (asteriskToken || modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword)) return undefined
  if (!body || !ts.isBlock(body)) return body
  const [statement] = body.statements
  return body.statements.length === 1 && ts.isReturnStatement(statement) ? statement.expression : undefined
}

/**
 * Whether each argument is a variable or a number if its parameter is there more than once; and reads no property, which may do
 * something, if it may be left out.
 */
function isSubstitutable(call: ts.CallExpression, expression: Expression): boolean {
  const { conditional, parameters, template } = expression
  const values = call.arguments
  if (values.length !== parameters || values.some(ts.isSpreadElement)) return false
  if (values.some((value, i) => conditional.has(i) && readsProperty(value))) return false
  return values.every((value, i) => isSimple(value) || template.filter((part) => part === i).length === 1)
}

const readsProperty = (node: ts.Node): boolean =>
  ts.isPropertyAccessExpression(node) ||
  (ts.forEachChild(node, (child) => readsProperty(child) || undefined) ?? false)

/** Whether an operand is not always read. */
function isConditional(node: ts.Node): boolean {
  const { parent } = node
  if (ts.isConditionalExpression(parent)) return node === parent.whenTrue || node === parent.whenFalse
  return ts.isBinaryExpression(parent) && node === parent.right && isLogical.has(parent.operatorToken.kind)
}

const isLogical: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
])

const isSimple = (value: ts.Expression): boolean => ts.isIdentifier(value) || ts.isNumericLiteral(value)

/** `asIrq(offset)`, which is the offset. */
const isBrand = ({ expression }: ts.CallExpression): boolean => isHandle.test(expression.getText())

function isOperator(node: ts.Node): boolean {
  if (ts.isBinaryExpression(node)) return isCalculation(node.operatorToken.kind)
  if (ts.isPrefixUnaryExpression(node))
    return node.operator !== ts.SyntaxKind.PlusPlusToken && node.operator !== ts.SyntaxKind.MinusMinusToken
  return (
    ts.isConditionalExpression(node) ||
    ts.isParenthesizedExpression(node) ||
    ts.isElementAccessExpression(node)
  )
}

const isCalculation = (kind: ts.BinaryOperator): boolean =>
  kind !== ts.SyntaxKind.CommaToken &&
  (kind < ts.SyntaxKind.FirstAssignment || kind > ts.SyntaxKind.LastAssignment)

/** What does nothing but give a value, if its parts do no more. */
const isValue = (node: ts.Node): boolean =>
  isOperator(node) ||
  (ts.isLiteralExpression(node) ? isOnOneLine.test(node.getText()) : ts.isToken(node)) ||
  ts.isIdentifier(node) ||
  ts.isPropertyAccessExpression(node)

/** A number, or a text that has neither spaces nor what looks like a comment. */
const isOnOneLine = /^['\w.]+$/

/** Whether a statement of a block begins with a node: then the parenthesis that comes there would go on with the one before. */
function beginsStatement(node: ts.Node): boolean {
  const statement = ts.findAncestor(node, ts.isExpressionStatement)
  return (
    statement?.getStart() === node.getStart() &&
    (ts.isBlock(statement.parent) ||
      ts.isSourceFile(statement.parent) ||
      ts.isCaseOrDefaultClause(statement.parent))
  )
}
