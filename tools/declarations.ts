/**
 * What the bundler leaves undone in the package's declarations:
 *
 * - `vgic/testing` takes a fast-check and knows its types, but the package is optional. Without it the import is an error in
 *   a program that has its libraries' declarations checked, even if that only records vectors.
 * - of `export * as steps` the bundler makes a namespace of constants without the comments of what they are `typeof`: an
 *   editor shows nothing for `steps.load`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const OPTIONAL = /^import fc from 'fast-check';$/m
const COMMENTED = /^(\/\*\*(?:[^*]|\*(?!\/))*\*\/)\ndeclare (?:const|function) (\w+)\b/gm
const MEMBER = /^declare const \w+: typeof (\w+);$/gm

/** The text of a declaration file, whole. Throws for a member of a namespace that nothing says anything of. */
export function finished(text: string): string {
  const comments = new Map([...text.matchAll(COMMENTED)].map(([, comment, name]) => [name, comment]))
  return text
    .replace(OPTIONAL, '// @ts-ignore: fast-check need not be installed.\n$&')
    .replace(MEMBER, (member, name: string) => {
      const comment = comments.get(name)
      if (comment === undefined) throw new Error(`${name} has no doc comment`)
      return `${comment}\n${member}`
    })
}

/** The same for all declaration files of a directory, once after each build: what is added would be added again. */
export function finishDeclarations(directory: string): void {
  for (const name of readdirSync(directory).filter((file) => /\.d\.c?ts$/.test(file))) {
    const path = join(directory, name)
    const text = readFileSync(path, 'utf8')
    const whole = finished(text)
    if (whole !== text) writeFileSync(path, whole)
  }
}
