/** What pages copy from the sources is what the sources have. */
import { readFileSync } from 'node:fs'
import { invariantName, invariants } from 'vgic/explore'
import { describe, expect, it } from 'vitest'
import { examplesOf } from '../documents.ts'

describe('docs/exploring.md', () => {
  it('has every invariant, by its plain name first', () => {
    const rows = readFileSync('docs/exploring.md', 'utf8').match(/^\| `[\w-]+` \| [SL]\d+ \| .* \|$/gm)
    const expected = Object.entries(invariants).map(
      ([id, says]) => `| \`${invariantName(id)}\` | ${id} | ${says} |`,
    )
    expect(rows).toEqual(expected)
  })
})

describe('docs/embedding.md', () => {
  const text = readFileSync('docs/embedding.md', 'utf8')

  it('is wholly in TypeScript that npm test compiles and runs', () => {
    const languages = [...text.matchAll(/^```(\w+)$/gm)].map(([, language]) => language)
    expect(languages.filter((language) => language !== 'ts')).toEqual(['text'])
    expect(examplesOf('docs/embedding.md', text)).toHaveLength(languages.length - 1)
  })

  it('has the program with two CPUs as it compiles and runs in docs/examples', () => {
    const [, ...code] = readFileSync('docs/examples/two-cpus.ts', 'utf8').split('\n')
    expect(text).toContain(`\`\`\`ts\n${code.join('\n').trimEnd()}\n\`\`\``)
  })
})
