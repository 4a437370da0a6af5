/** The members of classes, as the transforms look them up that put one method's statements into another. */
import ts from 'typescript'
import { hasTag } from './calls.ts'
import type { Found, Modules } from './modules.ts'
import { refused } from './refused.ts'

/** The class whose object `this` is at a node; undefined if it is that of a function, or the class itself. */
export function classAround(node: ts.Node): ts.ClassLikeDeclaration | undefined {
  const container = ts.findAncestor(
    node,
    (each) => (ts.isFunctionLike(each) && !ts.isArrowFunction(each)) || ts.isClassElement(each),
  )
  if (!container || !ts.isClassElement(container) || isStatic(container)) return undefined
  return ts.isClassLike(container.parent) ? container.parent : undefined
}

const isStatic = (member: ts.ClassElement): boolean =>
  ts.isClassStaticBlockDeclaration(member) ||
  (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Static) !== 0

/** What an object of a class has by a name, of the class itself or of those that it extends. */
export function memberOf(
  modules: Modules,
  { path, declaration }: Found<ts.ClassLikeDeclaration>,
  name: string,
): Found<ts.Node> | undefined {
  const own = membersOf(declaration).find((member) => member.name?.getText() === name)
  if (own) return { path, declaration: own }
  const parent = parentOf(modules, { path, declaration })
  return parent && memberOf(modules, parent, name)
}

/** With the fields that a constructor's parameters are. */
function membersOf({ members }: ts.ClassLikeDeclaration): (ts.ClassElement | ts.ParameterDeclaration)[] {
  const parameters = members.filter(ts.isConstructorDeclaration).flatMap((each) => [...each.parameters])
  const fields = parameters.filter((each) => ts.isParameterPropertyDeclaration(each, each.parent))
  return [...members.filter((member) => !isStatic(member)), ...fields]
}

function parentOf(
  modules: Modules,
  { path, declaration }: Found<ts.ClassLikeDeclaration>,
): Found<ts.ClassLikeDeclaration> | undefined {
  const parent = declaration.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)
  const name = parent?.types[0].expression
  const found = name && ts.isIdentifier(name) ? modules.findName(path, name) : undefined
  return found && ts.isClassLike(found.declaration)
    ? { path: found.path, declaration: found.declaration }
    : undefined
}

/** Refuses a member of any class in a file that overrides a method with the tag `@inline`: calls of it have become copies. */
export function refuseOverrides(modules: Modules, path: string, node: ts.Node): void {
  if (ts.isClassLike(node)) {
    const parent = parentOf(modules, { path, declaration: node })
    for (const member of parent ? membersOf(node) : []) {
      const overridden = parent && member.name && memberOf(modules, parent, member.name.getText())
      if (overridden && hasTag(overridden.declaration, 'inline'))
        throw refused(
          member,
          `a method with the tag @inline is overridden, take the tag in ${overridden.path} off`,
        )
    }
  }
  ts.forEachChild(node, (child) => refuseOverrides(modules, path, child))
}
