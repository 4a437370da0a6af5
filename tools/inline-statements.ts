/**
 * A transform of the build: a statement that calls a method or a function with the tag `@inline` becomes the statements of
 * its body. V8 inlines such calls, too, but the bytecode of a call, and of what the body reads again, counts among the 920 bytes
 * that it inlines into a function (calls.ts), in `leave` and `entersAtOnce` a fifth of what they had; and what does not fit is a
 * call of 50 instructions.
 *
 * The call is a statement of its own or all that is returned, `this.fill(v, pe)` or `return this.runOn(v, to)`, and the method
 * one of the class or of those that it extends, which no class overrides. inlined-body.ts says what the body may be.
 * What both read of `this`, as by `const { words } = this`, is read once, if it is readonly. Line numbers stay.
 */
import MagicString from 'magic-string'
import ts from 'typescript'
import { hasTag } from './calls.ts'
import { classAround, memberOf, refuseOverrides } from './classes.ts'
import { type Callee, InlinedBody, type Inliner, type Outer, type Place } from './inlined-body.ts'
import { type Found, lineEndsOf, Modules } from './modules.ts'
import { refused } from './refused.ts'
import { declarationAt } from './scopes.ts'
import { elementsOf, readsOfThis } from './this-reads.ts'

/** The tagged methods and functions of a build, of files as `sourceOf` gives them. */
export class InlineStatements implements Inliner {
  readonly modules: Modules
  private copies = 0

  constructor(sourceOf: (path: string) => string) {
    this.modules = new Modules(sourceOf)
  }

  /** A file's source with the calls of what is tagged replaced. */
  inlined(path: string): string {
    const file = this.modules.fileAt(path)
    const edited = new MagicString(file.text)
    this.copies = 0
    const visit = (node: ts.Node): void => {
      const statements = this.copyOf(path, node)
      if (statements === undefined) ts.forEachChild(node, visit)
      else edited.update(node.getStart(), node.end, statements + lineEndsOf(node.getText()))
    }
    refuseOverrides(this.modules, path, file)
    visit(file)
    return edited.toString()
  }

  /** A file's source as it is, which overrides nothing that is tagged. */
  checked(path: string): string {
    const file = this.modules.fileAt(path)
    refuseOverrides(this.modules, path, file)
    return file.text
  }

  copyOf(path: string, node: ts.Node, outer?: Outer): string | undefined {
    const isReturn = ts.isReturnStatement(node)
    const call = isReturn || ts.isExpressionStatement(node) ? node.expression : undefined
    if (!call || !ts.isCallExpression(call) || call.questionDotToken) return undefined
    const callee = this.calleeOf(path, call.expression)
    if (!callee) return undefined
    const at: Place = outer?.place ?? { path, node, read: this.readBefore(path, node) }
    return new InlinedBody(this, callee, { call, isReturn, at, outer }, ++this.copies).statements()
  }

  private calleeOf(path: string, called: ts.Expression): Found<Callee> | undefined {
    const found = ts.isIdentifier(called) ? this.modules.findName(path, called) : this.methodOf(path, called)
    if (!found || !hasTag(found.declaration, 'inline')) return undefined
    const { declaration } = found
    if (!ts.isMethodDeclaration(declaration) && !ts.isFunctionDeclaration(declaration))
      throw refused(declaration, '@inline is for methods and functions, take it off')
    return { path: found.path, declaration }
  }

  /** The member that `this.name` is. */
  private methodOf(path: string, called: ts.Expression): Found<ts.Node> | undefined {
    if (!ts.isPropertyAccessExpression(called) || called.questionDotToken) return undefined
    if (called.expression.kind !== ts.SyntaxKind.ThisKeyword) return undefined
    const declaration = classAround(called)
    return declaration && memberOf(this.modules, { path, declaration }, called.name.text)
  }

  /** The variables that the function around a node has read of readonly members of `this`, and that are known by their names there. */
  private readBefore(path: string, node: ts.Node): ReadonlySet<string> {
    const around = ts.findAncestor(node.parent, ts.isFunctionLike)
    const declaration = classAround(node)
    if (!declaration || !around || !('body' in around) || ts.isConstructorDeclaration(around))
      return new Set()
    const elements = readsOfThis(around.body).flatMap(elementsOf)
    const read = elements.filter(({ name, propertyName }) => {
      const member = propertyName ? undefined : memberOf(this.modules, { path, declaration }, name.getText())
      return member && isReadonly(member.declaration)
    })
    const known = read.filter(
      (each) => each.end <= node.pos && declarationAt(each.name.getText(), node) === each,
    )
    return new Set(known.map(({ name }) => name.getText()))
  }
}

const isReadonly = (member: ts.Node): boolean =>
  (ts.isPropertyDeclaration(member) || ts.isParameter(member)) &&
  (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Readonly) !== 0
