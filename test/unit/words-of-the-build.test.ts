/** What the build takes to be Int32Arrays by their names (tools/constants.ts) are Int32Arrays, by their types. */
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { isHot, isWords } from '../../tools/constants.ts'

/** The sources of the hot rooms, with the types of all that they import. */
function hotSources(): { readonly files: readonly ts.SourceFile[]; readonly checker: ts.TypeChecker } {
  const config = fileURLToPath(new URL('../../tsconfig.json', import.meta.url))
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(config, ts.sys.readFile).config,
    ts.sys,
    fileURLToPath(new URL('../..', import.meta.url)),
  )
  const src = fileURLToPath(new URL('../../src', import.meta.url))
  const names = ts.sys.readDirectory(src, ['.ts']).filter((name) => isHot.test(name))
  const program = ts.createProgram(names, options)
  return {
    files: program.getSourceFiles().filter(({ fileName }) => names.includes(fileName)),
    checker: program.getTypeChecker(),
  }
}

/** `words`, with its type, in each `words[...]` of a file. */
function wordsIn(file: ts.SourceFile, checker: ts.TypeChecker): [string, string][] {
  const found: [string, string][] = []
  const visit = (node: ts.Node): void => {
    if (ts.isElementAccessExpression(node) && isWords.test(node.expression.getText())) {
      const { line } = file.getLineAndCharacterOfPosition(node.getStart())
      const type = checker.getTypeAtLocation(node.expression)
      found.push([`${file.fileName}:${line + 1} ${node.getText()}`, checker.typeToString(type)])
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

describe('the Int32Arrays of the build', () => {
  it('are that by their types, wherever a word of them is accessed', () => {
    const { files, checker } = hotSources()
    const all = files.flatMap((file) => wordsIn(file, checker))
    expect(all.length).toBeGreaterThan(1000)
    expect(all.filter(([, type]) => !/^Int32Array(<\w+>)?$/.test(type))).toEqual([])
  })
})
