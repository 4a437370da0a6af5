/**
 * The body of a method or function with the tag `@inline` as statements in the place of a call of it (inline-statements.ts).
 *
 * It has no texts, and no functions, classes or labels in it. It names nothing of its file but constants and what means the same
 * where it is put. A parameter has the name of its argument if both keep their values, and is a variable otherwise.
 */
import MagicString from 'magic-string'
import ts from 'typescript'
import { classAround } from './classes.ts'
import { type Found, type Modules, numeral, onOneLine } from './modules.ts'
import { refused } from './refused.ts'
import { declarationAt, declarationOf, isAssigned, isConstant, isTopLevel, isVariable } from './scopes.ts'
import { elementsOf, readsOfThis, readsThis } from './this-reads.ts'

export type Callee = ts.MethodDeclaration | ts.FunctionDeclaration

/** Where statements are put: at a node of a file, and what that has read of `this` before. */
export interface Place {
  readonly path: string
  readonly node: ts.Node
  readonly read: ReadonlySet<string>
}

/** A body that is put somewhere, as the calls in it see it. */
export interface Outer {
  readonly place: Place
  /** An expression of the body as it is there. */
  textOf(node: ts.Expression): string
  isIn(callee: Callee): boolean
}

export interface Inliner {
  readonly modules: Modules
  /**
   * The statements for a statement of the file at `path`, which is in a body that is put elsewhere if `outer` is given;
   * undefined if it calls nothing that is tagged.
   */
  copyOf(path: string, node: ts.Node, outer?: Outer): string | undefined
}

/** A call that is replaced, where, and whether what it gives is returned. */
interface Call {
  readonly call: ts.CallExpression
  readonly isReturn: boolean
  readonly at: Place
  readonly outer: Outer | undefined
}

/** A body, with the names that its parameters and variables have where it is put. */
export class InlinedBody implements Outer {
  readonly place: Place
  /** The names of parameters that are arguments, and of the constants that the caller has as well. */
  private readonly names = new Map<ts.Node, string>()
  private readonly assignments: readonly string[]
  private readonly body: ts.Block
  private readonly label: string
  private isLeft = false

  constructor(
    private readonly inliner: Inliner,
    private readonly callee: Found<Callee>,
    private readonly call: Call,
    private readonly number: number,
  ) {
    const { declaration } = callee
    this.place = call.at
    this.label = `inlined_${number}`
    this.body = bodyOf(declaration)
    if (call.outer?.isIn(declaration)) throw this.refused(declaration, 'it calls itself')
    const shared = readsOfThis(this.body)
      .flatMap(elementsOf)
      .filter((each) => this.isShared(each))
    for (const each of shared) this.names.set(each, each.name.getText())
    if (call.call.arguments.length !== declaration.parameters.length)
      throw this.refused(call.call, 'it has not one argument for each parameter')
    this.assignments = declaration.parameters.map((parameter, i) =>
      this.assignmentOf(parameter, call.call.arguments[i]),
    )
  }

  isIn(callee: Callee): boolean {
    return callee === this.callee.declaration || (this.call.outer?.isIn(callee) ?? false)
  }

  /** A block on one line, with a label if it is left before its end. */
  statements(): string {
    const text = this.edited(this.body)
    const last = this.body.statements.at(-1)
    const isOpen = !last || !(ts.isReturnStatement(last) || ts.isThrowStatement(last))
    const end = this.call.isReturn && isOpen ? ' return;' : ''
    const block = `{ ${this.assignments.join('')} ${text.slice(0, -1).trim()}${end} } }`
    return this.isLeft ? `${this.label}: ${block}` : block
  }

  textOf(node: ts.Expression): string {
    return this.edited(node)
  }

  private edited(root: ts.Node): string {
    const text = new MagicString(root.getText())
    const offset = root.getStart()
    const visit = (node: ts.Node): void => {
      const replacement = this.replacementOf(node)
      if (replacement !== undefined)
        text.update(node.getStart() - offset, node.end - offset, replacement || ' ')
      else {
        ts.forEachChild(node, visit)
        if (endsWithoutBrace(node) && !node.getText().endsWith(';')) text.appendLeft(node.end - offset, ';')
      }
    }
    visit(root)
    return onOneLine(text.toString())
  }

  /** The variable for a parameter; nothing if the parameter has the name of its argument. */
  private assignmentOf(parameter: ts.ParameterDeclaration, value: ts.Expression): string {
    const { dotDotDotToken, initializer, name } = parameter
    if (!ts.isIdentifier(name) || initializer || dotDotDotToken)
      throw this.refused(parameter, 'a parameter is more than a name')
    if (ts.isSpreadElement(value)) throw this.refused(value, 'an argument is spread')
    const { outer } = this.call
    const isWritten = isAssigned(parameter)
    const text = outer ? outer.textOf(value) : textOf(value)
    if (ts.isIdentifier(value) && isConstant(value) && !isWritten) {
      this.names.set(parameter, text)
      return ''
    }
    return `${isWritten ? 'let' : 'const'} ${this.newName(name)} = ${text};`
  }

  /** What stands for a part of the body; undefined if it stays, but for its own parts. */
  private replacementOf(node: ts.Node): string | undefined {
    const why = refusalOf(node, this.callee.declaration)
    if (why !== undefined) throw this.refused(node, why)
    if (ts.isPrivateIdentifier(node) && classAround(this.place.node) !== this.callee.declaration.parent)
      throw this.refused(node, `${node.text} is not the same there`)
    if (readsThis(node)) return this.readOfThis(node)
    if (ts.isReturnStatement(node) && !this.call.isReturn) {
      if (node.expression) throw this.refused(node, 'a value is returned to nobody')
      this.isLeft = true
      return `break ${this.label};`
    }
    if (ts.isTypeNode(node)) return node.getText()
    if (ts.isIdentifier(node)) return isVariable(node) ? this.ofVariable(node) : node.text
    return this.inliner.copyOf(this.callee.path, node, this)
  }

  /** `const { words: words_1 } = this;`, without what is shared. */
  private readOfThis(statement: ts.VariableStatement): string {
    const elements = elementsOf(statement).filter((each) => !this.names.has(each))
    const read = elements.map(
      ({ name, propertyName }) => `${(propertyName ?? name).getText()}: ${this.newName(name)}`,
    )
    return read.length > 0 ? `const { ${read} } = this;` : ''
  }

  private isShared({ name, propertyName }: ts.BindingElement): boolean {
    return !propertyName && this.place.read.has(name.getText())
  }

  /** `value_1`, or `value: value_1` if the name is that of a property as well. */
  private ofVariable(name: ts.Identifier): string {
    const { parent } = name
    const isShort = ts.isBindingElement(parent)
      ? parent.name === name && ts.isObjectBindingPattern(parent.parent) && !parent.dotDotDotToken
      : ts.isShorthandPropertyAssignment(parent) && parent.name === name
    const isProperty = isShort && !(ts.isBindingElement(parent) && parent.propertyName)
    return isProperty ? `${name.text}: ${this.nameOf(name)}` : this.nameOf(name)
  }

  /** What a variable of the body is at its place: a constant is its number. */
  private nameOf(name: ts.Identifier): string {
    const { callee, inliner, place } = this
    const declaration = declarationOf(name)
    const known = declaration && this.names.get(declaration)
    if (known !== undefined) return known
    if (declaration && ts.findAncestor(declaration.parent, (each) => each === callee.declaration))
      return this.newName(name)
    const value = inliner.modules.numberOf(callee.path, name)
    if (value !== undefined) return numeral(value)
    if (!this.isSame(name.text, declaration, declarationAt(name.text, place.node)))
      throw this.refused(name, `${name.text} is not the same there`)
    return name.text
  }

  private isSame(name: string, here: ts.Node | undefined, there: ts.Node | undefined): boolean {
    if (!here || !there || !isTopLevel(here) || !isTopLevel(there)) return !here && !there
    const [own, other] = [this.callee.path, this.place.path].map((path) =>
      this.inliner.modules.find(path, name),
    )
    return here === there || (own !== undefined && own.declaration === other?.declaration)
  }

  private newName(name: ts.Node): string {
    const text = `${name.getText()}_${this.number}`
    if (declarationAt(text, this.place.node)) throw this.refused(name, `${text} is there already`)
    return text
  }

  private refused(node: ts.Node, why: string): Error {
    const { path, declaration } = this.callee
    const where = `in ${declaration.name?.getText()} of ${path} for ${this.place.path}`
    return refused(node, `@inline: ${why}, ${where}; change that, or take the tag off`)
  }
}

/** The block of what is called, which runs at once. */
function bodyOf(callee: Callee): ts.Block {
  const { asteriskToken, body, modifiers } = callee
  const isAsync = modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword)
  if (!body || asteriskToken || isAsync) throw refused(callee, '@inline is for plain bodies, take it off')
  return body
}

/** An argument on one line. */
function textOf(value: ts.Expression): string {
  const hasText = (node: ts.Node): boolean =>
    isText(node) ||
    ts.isFunctionLike(node) ||
    (ts.forEachChild(node, (child) => hasText(child) || undefined) ?? false)
  if (hasText(value))
    throw refused(value, '@inline: a text or a function is an argument, make it a constant before')
  return onOneLine(value.getText())
}

/** Why a part of a body would not mean the same elsewhere. */
function refusalOf(node: ts.Node, callee: Callee): string | undefined {
  if (isText(node)) return 'there is a text'
  if (ts.isTypeNode(node)) return /['"`]/.test(node.getText()) ? 'there is a text' : undefined
  if (ts.isFunctionLike(node) || ts.isClassLike(node)) return 'there is a function'
  if (ts.isLabeledStatement(node)) return 'there is a label'
  if (ts.isVariableDeclarationList(node) && !(node.flags & ts.NodeFlags.BlockScoped)) return 'there is a var'
  return isOfFunction(node, callee) ? `${node.getText()} is not the same there` : undefined
}

const isText = (node: ts.Node): boolean =>
  ts.isStringLiteralLike(node) || ts.isTemplateExpression(node) || ts.isRegularExpressionLiteral(node)

/** Whether a node is something of the function around it. */
const isOfFunction = (node: ts.Node, callee: Callee): boolean =>
  node.kind === ts.SyntaxKind.SuperKeyword ||
  (node.kind === ts.SyntaxKind.ThisKeyword && ts.isFunctionDeclaration(callee)) ||
  ts.isMetaProperty(node) ||
  (ts.isIdentifier(node) && node.text === 'arguments' && isVariable(node))

/** Statements after which the next may stand on the same line only after a semicolon. */
const endsWithoutBrace = (node: ts.Node): boolean =>
  ts.isExpressionStatement(node) ||
  ts.isVariableStatement(node) ||
  ts.isReturnStatement(node) ||
  ts.isThrowStatement(node) ||
  ts.isBreakOrContinueStatement(node) ||
  ts.isDoStatement(node)
