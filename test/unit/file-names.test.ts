/** Comments and documents name files: a file that was moved or renamed must not live on in them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

const below = (folder: string, suffix: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(suffix))
    .map((file) => join(folder, file))

const documents = [
  'README.md',
  ...readdirSync('docs').flatMap((file) => (/\.md$/.test(file) ? `docs/${file}` : [])),
]
const sources = ['src', 'tools', 'bench', 'docs/examples'].flatMap((folder) => below(folder, '.ts'))
const files = [...sources, ...below('test', '.ts')]

/** What a text calls a file: a name with its folders, if it gives any. */
const named = (text: string): string[] => text.match(/(?<![\w./*-])\w[\w/-]*\.ts\b/g) ?? []
const isThere = (name: string): boolean => files.some((file) => `/${file}`.endsWith(`/${name}`))

/** Where the links of a document lead inside the project; code has none. */
const links = (text: string): string[] =>
  [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/\]\(([^)#\s]+)/g)]
    .map(([, target]) => target)
    .filter((target) => !target.includes(':'))

describe('the files that a text names', () => {
  it('are found, and only they', () => {
    expect(named('see a.ts, `b/c-d.ts`; not *.test.ts, .d.ts or ./e.ts')).toEqual(['a.ts', 'b/c-d.ts'])
    expect(links('[a](b.md), [c](../d#e), [f](https://g)\n```js\nh[i](j)\n```\n')).toEqual(['b.md', '../d'])
    expect([isThere('seam.ts'), isThere('host/seam.ts'), isThere('hyp/seam.ts')]).toEqual([true, true, false])
  })

  it('are there', () => {
    const lost = [...documents, ...sources].flatMap((file) =>
      named(readFileSync(file, 'utf8'))
        .filter((name) => !isThere(name))
        .map((name) => `${file} names ${name}`),
    )
    expect(lost).toEqual([])
  })

  it('have a name of their own', () => {
    const names = below('src', '.ts').map((file) => basename(file))
    expect(names.filter((name, i) => names.indexOf(name) < i)).toEqual([])
  })

  it('are where the links of documents lead', () => {
    const lost = documents.flatMap((file) =>
      links(readFileSync(file, 'utf8'))
        .filter((target) => !existsSync(join(dirname(file), target)))
        .map((target) => `${file} links to ${target}`),
    )
    expect(lost).toEqual([])
  })
})
