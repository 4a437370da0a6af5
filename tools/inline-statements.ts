/**
 * A transform of the build: a statement that calls a method or a function with the tag `@inline` becomes the statements of
 * its body. V8 inlines such calls, too, but the bytecode of a call, and of what the body reads again, counts among the 920 bytes
 * that it inlines into a function (calls.ts), in `leave` and `entersAtOnce` a fifth of what they had; and what does not fit is a
 * call of 50 instructions.
 *
 * The call is a statement of its own or all that is returned, `this.fill(v, pe)` or `return this.runOn(v, to)`, and the method
 * one of the class or of those that it extends. The body has no texts, and names nothing of its file but constants and what
 * the caller's file has as well. What both read of `this`, as by `const { words } = this`, is read once. Line numbers stay.
 */
import MagicString from 'magic-string'
import ts from 'typescript'
import { hasTag } from './calls.ts'
import { type Found, lineEndsOf, localsIn, Modules, numeral, onOneLine, parse } from './modules.ts'

type Callee = ts.MethodDeclaration | ts.FunctionDeclaration

/** A call that is replaced, and where its statements are put. */
interface Place {
  readonly call: ts.CallExpression
  /** Whether what it gives is returned. */
  readonly isReturn: boolean
  readonly home: string
  /** What the caller has read of `this` before. */
  readonly read: ReadonlySet<string>
}

/** The tagged methods and functions of a build, of files as `sourceOf` gives them. */
export class InlineStatements {
  readonly modules: Modules
  private copies = 0

  constructor(sourceOf: (path: string) => string) {
    this.modules = new Modules(sourceOf)
  }

  /** A file's source with the calls of what is tagged replaced. */
  inlined(path: string, source: string): string {
    const edited = new MagicString(source)
    this.copies = 0
    const visit = (node: ts.Node): void => {
      const statements = this.copyOf(path, node, path, readBefore(node))
      if (statements === undefined) ts.forEachChild(node, visit)
      else edited.update(node.getStart(), node.end, statements + lineEndsOf(node.getText()))
    }
    visit(parse(path, source))
    return edited.toString()
  }

  /**
   * The statements for a statement of the file at `path`, put into `home`; undefined if it calls nothing that is tagged. Its
   * arguments are what `renamed` makes of them.
   */
  copyOf(
    path: string,
    node: ts.Node,
    home: string,
    read: ReadonlySet<string>,
    renamed = asItIs,
  ): string | undefined {
    const isReturn = ts.isReturnStatement(node)
    const call = isReturn || ts.isExpressionStatement(node) ? node.expression : undefined
    if (!call || !ts.isCallExpression(call)) return undefined
    const callee = this.calleeOf(path, call.expression)
    return (
      callee && new Copy(this, callee, { call, isReturn, home, read }, renamed, ++this.copies).statements()
    )
  }

  private calleeOf(path: string, called: ts.Expression): Found<Callee> | undefined {
    const found = ts.isIdentifier(called) ? this.modules.find(path, called.text) : this.methodOf(path, called)
    if (!found || !hasTag(found.declaration, 'inline')) return undefined
    const { declaration } = found
    if (!ts.isMethodDeclaration(declaration) && !ts.isFunctionDeclaration(declaration))
      throw new Error(`@inline is for methods and functions, unlike ${declaration.getText()}`)
    return { path: found.path, declaration }
  }

  /** The member that `this.name` is. */
  private methodOf(path: string, called: ts.Expression): Found<ts.Node> | undefined {
    if (!ts.isPropertyAccessExpression(called) || called.expression.kind !== ts.SyntaxKind.ThisKeyword)
      return undefined
    const declaration = ts.findAncestor(called, ts.isClassDeclaration)
    return declaration && this.memberOf({ path, declaration }, called.name.text)
  }

  /** A member of a class, or of those that it extends. */
  private memberOf(
    { path, declaration }: Found<ts.ClassDeclaration>,
    name: string,
  ): Found<ts.Node> | undefined {
    const own = declaration.members.find((member) => member.name?.getText() === name)
    if (own) return { path, declaration: own }
    const parent = declaration.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)
    const found = parent && this.modules.find(path, parent.types[0].expression.getText())
    return found && ts.isClassDeclaration(found.declaration)
      ? this.memberOf({ path: found.path, declaration: found.declaration }, name)
      : undefined
  }
}

/** A body, with the names that its parameters and variables have where it is put. */
class Copy {
  private readonly names = new Map<string, string>()
  /** The variables of `this` that the caller has as well. */
  private readonly shared: ReadonlySet<string>
  private readonly assignments: readonly string[]
  private readonly body: ts.Block
  private readonly text: MagicString
  private readonly label: string
  private isLeft = false

  constructor(
    private readonly inliner: InlineStatements,
    private readonly callee: Found<Callee>,
    private readonly place: Place,
    renamed: (name: string) => string,
    number: number,
  ) {
    const { body, parameters } = callee.declaration
    if (!body) throw this.refused('a body is missing')
    this.body = body
    this.text = new MagicString(body.getText())
    this.label = `inlined_${number}`
    this.shared = new Set([...variablesOfThis(body)].filter((name) => place.read.has(name)))
    for (const { name } of localsIn(body)) {
      if (!ts.isIdentifier(name)) continue
      this.names.set(name.text, this.shared.has(name.text) ? name.text : `${name.text}_${number}`)
    }
    this.assignments = parameters.map((parameter, i) => {
      const [name, value] = [parameter.name.getText(), place.call.arguments[i]]
      if (!value) throw this.refused(`${name} is left out`)
      this.names.set(name, ts.isIdentifier(value) ? renamed(value.text) : `${name}_${number}`)
      if (ts.isIdentifier(value)) return ''
      if (renamed !== asItIs && !hasNoVariable(value)) throw this.refused(`${value.getText()} is calculated`)
      return `const ${name}_${number} = ${onOneLine(value.getText())};`
    })
  }

  /** A block on one line, with a label if it is left before its end. */
  statements(): string {
    this.body.statements.forEach((statement) => void this.visit(statement))
    const block = `{ ${this.assignments.join('')} ${onOneLine(this.text.toString())} }`
    return this.isLeft ? `${this.label}: ${block}` : block
  }

  private visit(node: ts.Node): void {
    const replacement = this.replacementOf(node)
    const [start, end] = [node.getStart() - this.body.getStart(), node.end - this.body.getStart()]
    if (replacement !== undefined) this.text.update(start, end, replacement || ' ')
    else {
      ts.forEachChild(node, (child) => this.visit(child))
      if (endsWithoutBrace(node)) this.text.appendLeft(end, ';')
    }
  }

  /** What stands for a part of the body; undefined if it stays, but for its own parts. */
  private replacementOf(node: ts.Node): string | undefined {
    const { callee, place, inliner } = this
    if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) throw this.refused('there is a text')
    if (ts.isVariableStatement(node) && readsThis(node)) return this.readOfThis(node)
    if (ts.isReturnStatement(node) && !place.isReturn) {
      if (node.expression) throw this.refused('a value is returned to nobody')
      this.isLeft = true
      return `break ${this.label};`
    }
    if (ts.isBindingElement(node) && !node.propertyName)
      return `${node.name.getText()}: ${this.names.get(node.name.getText())}`
    if (ts.isTypeNode(node)) return node.getText()
    if (ts.isIdentifier(node)) return isMember(node) ? node.text : this.nameOf(node)
    return inliner.copyOf(callee.path, node, place.home, place.read, (name) => this.names.get(name) ?? name)
  }

  /** `const { words: words_1 } = this;`, without what is shared. */
  private readOfThis(statement: ts.VariableStatement): string {
    const elements = elementsOf(statement).filter(({ name }) => !this.shared.has(name.getText()))
    const read = elements.map(
      ({ name, propertyName }) => `${(propertyName ?? name).getText()}: ${this.names.get(name.getText())}`,
    )
    return read.length > 0 ? `const { ${read} } = this;` : ''
  }

  /** What a name of the body is at its place: a constant is its number. */
  private nameOf(name: ts.Identifier): string {
    const { modules } = this.inliner
    const local = this.names.get(name.text)
    if (local !== undefined) return local
    const value = modules.numberOf(this.callee.path, name)
    if (value !== undefined) return numeral(value)
    const [here, there] = [this.callee.path, this.place.home].map((path) => modules.find(path, name.text))
    if (here?.declaration !== there?.declaration) throw this.refused(`${name.text} is not the same there`)
    return name.text
  }

  private refused(why: string): Error {
    const { path, declaration } = this.callee
    return new Error(`@inline: ${why}, in ${declaration.name?.getText()} of ${path} for ${this.place.home}`)
  }
}

const asItIs = (name: string): string => name

/** `const { words, exitGap: gap } = this` */
const readsThis = ({ declarationList: { declarations } }: ts.VariableStatement): boolean =>
  declarations.length === 1 &&
  declarations[0].initializer?.kind === ts.SyntaxKind.ThisKeyword &&
  ts.isObjectBindingPattern(declarations[0].name)

const elementsOf = ({ declarationList: { declarations } }: ts.VariableStatement) =>
  (declarations[0].name as ts.ObjectBindingPattern).elements

/** The variables of a body that have the name of what they read of `this`, before `end` if it is given. */
function variablesOfThis(body: ts.Block, end = body.end): ReadonlySet<string> {
  const read = body.statements.filter(
    (each): each is ts.VariableStatement =>
      ts.isVariableStatement(each) && readsThis(each) && each.end <= end,
  )
  const elements = read.flatMap((each) => [...elementsOf(each)])
  return new Set(elements.filter((each) => !each.propertyName).map(({ name }) => name.getText()))
}

/** Those of the function around a node, before it. */
function readBefore(node: ts.Node): ReadonlySet<string> {
  const around = ts.findAncestor(node.parent, ts.isFunctionLike)
  const body = around && 'body' in around ? around.body : undefined
  return body && ts.isBlock(body) ? variablesOfThis(body, node.pos) : new Set()
}

/** Whether a name is that of a member: `words` in `this.words`. */
const isMember = (node: ts.Node): boolean =>
  ts.isPropertyAccessExpression(node.parent) && node.parent.name === node

/** Whether an expression means the same whatever variables are called. */
const hasNoVariable = (node: ts.Node): boolean =>
  ts.isIdentifier(node)
    ? isMember(node)
    : ts.forEachChild(node, (child) => (hasNoVariable(child) ? undefined : true)) === undefined

const endsWithoutBrace = (node: ts.Node): boolean =>
  ts.isExpressionStatement(node) ||
  ts.isVariableStatement(node) ||
  ts.isReturnStatement(node) ||
  ts.isThrowStatement(node)
