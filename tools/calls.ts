/**
 * Transforms of the build that say which functions V8 leaves as calls, and what it may take for granted in them. Into a
 * function that it optimises, V8 inlines at most 920 bytes of bytecode, of functions that have at most 460 themselves, and
 * what does not fit any more is a call of some 50 instructions. A function that is inlined uses up the room of its caller,
 * and has none of its own. So of a chain of calls the innermost ones, which are the smallest, stay calls; and which they are
 * depends on what V8 has optimised before.
 *
 * A function with the tag `@noinline` is never inlined, so that all that it calls can be. It is for one that is called
 * once in an entry, an exit or an access of the guest's, and would not fit into its callers with all that it calls:
 * `node --trace-opt --trace-turbo-inlining` says what V8 inlines. V8 has no such tag, so the build makes the function too
 * large.
 *
 * What a function has had inlined counts too, once V8 has optimised it by itself: so a dispatcher, as of superinstructions, is
 * inlined into its loop only if the larger ones of what it calls are calls.
 *
 * Nor does V8 know of what it is given, or of a word, that it is not negative. If it knows that of a handle, the index
 * `handle + OFFSET` needs no extension to 64 bits, which is one of the six instructions of an access. So a function that is
 * never inlined begins by masking its parameters that are handles, and masks each handle that it makes, with as many bits as
 * an offset has; what is inlined into it need not. A function with the tag `@masked` does the same, and may be inlined: the
 * mask's bytecode takes room then, which is worth it where a handle is used often.
 */
import type MagicString from 'magic-string'
import ts from 'typescript'
import { refused } from './refused.ts'
import { type LocalDeclaration, localsIn } from './scopes.ts'

/** A spread part is 46 bytes of bytecode in V8 11.3: more than 460 together, with some to spare. */
const SPREAD_PARTS = 14

/** What gives an offset the type of the record that is there, and these types. */
export const isHandle = /^as(Irq|Pe|Vcpu)$/
const isHandleType = /^(Irq|Pe|Vcpu)( \| 0)?$/

/** The bits of an offset: the largest buffer has less than 2 to the 30th words. */
const OFFSET_BITS = '0x3fff_ffff'

/**
 * Masks the handles of each function with one of the tags, and makes it too large to be inlined if it is the first, without
 * changing line numbers.
 */
export function keepCalls(node: ts.Node, edited: MagicString): void {
  if (ts.isFunctionLike(node) && hasTag(node, 'noinline', 'masked')) {
    const { body, first } = partsOf(node)
    maskParameters(node, body, edited)
    if (hasTag(node, 'noinline')) enlarge(body, first, edited)
    maskMade(body, edited)
  }
  ts.forEachChild(node, (child) => keepCalls(child, edited))
}

/** Whether a sum is that of a masked handle and a constant, which V8 knows to be one of 32 bits. */
export function isBounded({ left, operatorToken, right }: ts.BinaryExpression): boolean {
  const isConstant = ts.isNumericLiteral(right) || (ts.isIdentifier(right) && /^[A-Z0-9_]+$/.test(right.text))
  if (operatorToken.kind !== ts.SyntaxKind.PlusToken || !ts.isIdentifier(left) || !isConstant) return false
  const around = ts.findAncestor(left, (node) => hasTag(node, 'noinline', 'masked'))
  return around !== undefined && isMaskedIn(around, left.text)
}

/** Whether all that has a name in a function with a tag is a handle that it is given, or a constant one that it makes. */
function isMaskedIn(around: ts.Node, name: string): boolean {
  const declarations = localsIn(around).filter((local) => local.name.getText() === name)
  return declarations.length > 0 && declarations.every((each) => isMasked(each, around))
}

function isMasked(declaration: LocalDeclaration, around: ts.Node): boolean {
  const { initializer, parent } = declaration
  if (ts.isParameter(declaration)) {
    const { type } = declaration
    return parent === around && type !== undefined && isHandleType.test(type.getText())
  }
  const isConst = (parent.flags & ts.NodeFlags.Const) !== 0
  return (
    isConst &&
    initializer !== undefined &&
    ts.isCallExpression(initializer) &&
    isHandle.test(initializer.expression.getText())
  )
}

export const hasTag = (node: ts.Node, ...tags: string[]): boolean =>
  ts.getJSDocTags(node).some(({ tagName }) => tags.includes(tagName.text))

/** The block of a function with the tag, and its first parameter, which is compared. */
function partsOf(node: ts.SignatureDeclaration): { readonly body: ts.Block; readonly first: string } {
  const body = 'body' in node ? node.body : undefined
  const [first] = node.parameters
  const optional = node.parameters.find(isOptionalHandle)
  if (optional) throw refused(optional, '@noinline and @masked make a handle of undefined, give it a value')
  if (first?.type && /\b(null|any|unknown)\b/.test(first.type.getText()))
    throw refused(first, '@noinline throws for null, put another parameter first')
  if (!body || !ts.isBlock(body) || first === undefined || !ts.isIdentifier(first.name))
    throw new Error(
      `@noinline and @masked are for functions that have a block and a parameter, unlike ${node.getText()}`,
    )
  return { body, first: first.name.text }
}

const isOptionalHandle = ({ questionToken, type }: ts.ParameterDeclaration): boolean =>
  questionToken !== undefined && type !== undefined && isHandleType.test(type.getText())

/** `words[v + VCPU_PE]` of a parameter `v: Vcpu` */
function maskParameters({ parameters }: ts.SignatureDeclaration, body: ts.Block, edited: MagicString): void {
  for (const { name, type } of parameters) {
    if (type && isHandleType.test(type.getText()))
      edited.appendRight(body.getStart() + 1, `${name.getText()} &= ${OFFSET_BITS};`)
  }
}

/** `asIrq(words[v + VCPU_AP_FIRST])` */
function maskMade(node: ts.Node, edited: MagicString): void {
  if (ts.isCallExpression(node) && isHandle.test(node.expression.getText())) {
    edited.appendLeft(node.getStart(), '(')
    // Before what comes after a sum that ends there, as this is a part of it.
    edited.prependRight(node.end, ` & ${OFFSET_BITS})`)
  }
  ts.forEachChild(node, (child) => maskMade(child, edited))
}

/**
 * Adds code that is never executed, since no parameter is null: all that it costs is the comparison, two instructions. It
 * throws because rollup leaves out what does nothing else.
 */
function enlarge(body: ts.Block, name: string, edited: MagicString): void {
  const parts = `...${name},`.repeat(SPREAD_PARTS)
  edited.appendRight(body.getStart() + 1, `if (${name} === null) throw [${parts}];`)
}
