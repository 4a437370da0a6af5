/**
 * `npm run site`, after typedoc: the playground, in docs/site/playground. The library is bundled with it, by the entries
 * that a text in its editor imports, in chunks that they share with the worker.
 */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'tsup'
import { keepConstants } from './chunk-constants.ts'
import { inlineConstants } from './constants.ts'
import { stepSources } from './step-sources.ts'

const FROM = 'docs/playground'
const SITE = 'docs/site'
const TO = `${SITE}/playground`

/** Typedoc writes the link to the playground in each page as typedoc.site.mjs has it, which is right in the first folder. */
function mendLinks(): void {
  for (const file of readdirSync(SITE, { recursive: true, encoding: 'utf8' })) {
    if (!/^\w+\/[^/]+\.html$/.test(file) || file.startsWith('playground/')) continue
    const path = join(SITE, file)
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replaceAll(
        'href="playground/index.html"',
        'href="../playground/index.html"',
      ),
    )
  }
}

export default defineConfig({
  entry: {
    playground: `${FROM}/playground.ts`,
    worker: `${FROM}/worker.ts`,
    'vgic/index': 'src/index.ts',
    'vgic/scenario': 'src/scenario.ts',
    'vgic/explore': 'src/explore.ts',
  },
  outDir: TO,
  tsconfig: 'tsconfig.site.json',
  format: ['esm'],
  target: 'es2022',
  platform: 'browser',
  splitting: true,
  clean: true,
  silent: true,
  esbuildPlugins: [inlineConstants],
  plugins: [keepConstants],
  esbuildOptions(options) {
    options.minifySyntax = true
  },
  onSuccess: async () => {
    for (const file of ['index.html', 'playground.css', 'icon.svg'])
      copyFileSync(join(FROM, file), join(TO, file))
    writeFileSync(join(TO, 'steps.json'), JSON.stringify(stepSources()))
    mendLinks()
  },
})
