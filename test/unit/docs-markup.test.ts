/**
 * Doc comments and documents are Markdown: `<n>` outside of code is an HTML element there, which typedoc, editors and
 * web pages leave out. So register names with a number in angle brackets are written as code. A comment is to be left out.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

/** The lines on which something would be taken for an element, with their numbers. */
function elementsIn(markdown: string): string[] {
  const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ')
  const prose = markdown.replaceAll(/<!--.*?-->|```.*?```|`[^`]+`/gs, blank).split('\n')
  const lines = markdown.split('\n')
  return lines.flatMap((line, i) => (/<[/!a-z]/i.test(prose[i]) ? [`${i + 1}: ${line.trim()}`] : []))
}

/** A source file's doc comments alone, each at its place. */
function docComments(source: string): string {
  let end = 0
  const parts = [...source.matchAll(/\/\*\*.*?\*\//gs)].map((match) => {
    const between = source.slice(end, match.index).replaceAll(/[^\n]/g, '')
    end = match.index + match[0].length
    return between + match[0].replaceAll(/^ *\*(?!\/)/gm, '')
  })
  return parts.join('')
}

const filesIn = (directory: string, suffix: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(directory, name))

const documents = ['README.md', 'CHANGELOG.md', ...readdirSync('docs').map((name) => `docs/${name}`)]

describe('nothing in angle brackets outside of code', () => {
  it('in the doc comments of the sources', () => {
    const files = filesIn('src', '.ts')
    expect(files.length).toBeGreaterThan(100)
    const found = files.flatMap((file) =>
      elementsIn(docComments(readFileSync(file, 'utf8'))).map((element) => `${file}:${element}`),
    )
    expect(found).toEqual([])
  })

  it('in the documents', () => {
    const files = documents.filter((name) => name.endsWith('.md'))
    expect(files.length).toBeGreaterThan(5)
    const found = files.flatMap((file) =>
      elementsIn(readFileSync(file, 'utf8')).map((element) => `${file}:${element}`),
    )
    expect(found).toEqual([])
  })

  it('is found where there is some', () => {
    expect(elementsIn('a\n`code` ICH_LR<n>_EL2\n`ICC_IAR<group>_EL1`')).toEqual(['2: `code` ICH_LR<n>_EL2'])
    expect(elementsIn('```ts\nArray<number>\n```\nthen </b>')).toEqual(['4: then </b>'])
    expect(elementsIn('<!-- by `npm run pages` <n>\n--> <n>')).toEqual(['2: --> <n>'])
    expect(elementsIn('`a < b`, 3 < 4, a <- b, x << 2')).toEqual([])
    const source = "let a: Array<T> // <n>\n/** GICR_<n>, `R<n>` */\nconst b = '<n>' /**\n * one <n>\n */"
    expect(elementsIn(docComments(source))).toEqual(['2: /** GICR_<n>, `R<n>` */', '4: one <n>'])
  })
})
