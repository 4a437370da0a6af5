/** The site: what typedoc.json makes, with the documents and a link to the playground. */
import { readFileSync } from 'node:fs'

const api = JSON.parse(readFileSync(new URL('./typedoc.json', import.meta.url), 'utf8'))

/** @type {import('typedoc').TypeDocOptions} */
export default {
  ...api,
  out: 'docs/site',
  projectDocuments: ['docs/*.md', 'CHANGELOG.md'],
  plugin: [...(api.plugin ?? []), './tools/site-titles.mjs'],
  // Documents link to folders, which a site has no pages for.
  validation: { ...api.validation, invalidPath: false },
  ignoredHighlightLanguages: ['mermaid'],
  navigationLinks: { Playground: 'playground/index.html' },
}
