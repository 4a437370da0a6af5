/**
 * A transform of the build that says which functions V8 leaves as calls. Into a function that it optimises, V8 inlines at
 * most 920 bytes of bytecode, of functions that have at most 460 themselves, and what does not fit any more is a call of
 * some 50 instructions. A function that is inlined uses up the room of its caller, and has none of its own. So of a chain of
 * calls the innermost ones, which are the smallest, stay calls; and which they are depends on what V8 has optimised before.
 *
 * A function with the tag `@noinline` is never inlined, so that all that it calls can be. It is for one that is called
 * once in an entry, an exit or an access of the guest's, and would not fit into its callers with all that it calls:
 * `node --trace-opt --trace-turbo-inlining` says what V8 inlines. V8 has no such tag, so the build makes the function too
 * large.
 *
 * What a function has had inlined counts too, once V8 has optimised it by itself: so a dispatcher, as of superinstructions, is
 * inlined into its loop only if the larger ones of what it calls are calls.
 */
import type MagicString from 'magic-string'
import ts from 'typescript'

/** A spread part is 46 bytes of bytecode in V8 11.3: more than 460 together, with some to spare. */
const SPREAD_PARTS = 14

/** Makes each function with the tag too large to be inlined, without changing line numbers. */
export function keepCalls(node: ts.Node, edited: MagicString): void {
  if (ts.isFunctionLike(node) && ts.getJSDocTags(node).some(({ tagName }) => tagName.text === 'noinline'))
    enlarge(node, edited)
  ts.forEachChild(node, (child) => keepCalls(child, edited))
}

/**
 * Adds code that is never executed, since no parameter is null: all that it costs is the comparison, two instructions. It
 * throws because rollup leaves out what does nothing else.
 */
function enlarge(node: ts.SignatureDeclaration, edited: MagicString): void {
  const body = 'body' in node ? node.body : undefined
  const [first] = node.parameters
  if (!body || !ts.isBlock(body) || first === undefined || !ts.isIdentifier(first.name))
    throw new Error(`@noinline is for functions that have a block and a parameter, unlike ${node.getText()}`)
  const name = first.name.text
  const parts = `...${name},`.repeat(SPREAD_PARTS)
  edited.appendRight(body.getStart() + 1, `if (${name} === null) throw [${parts}];`)
}
