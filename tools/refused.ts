/** Errors of the build's transforms: what a source must not have where they change it, and what to do instead. */
import type ts from 'typescript'

/** Names the file, the line and its text. */
export function refused(node: ts.Node, why: string): Error {
  const file = node.getSourceFile()
  const { line } = file.getLineAndCharacterOfPosition(node.getStart())
  const text = file.text.split('\n')[line].trim()
  return new Error(`${file.fileName}:${line + 1}: ${why}: ${text}`)
}
