/**
 * A plugin of vitest's: the tests run the library as the package's build makes it, a module of JavaScript for each
 * source, which Node loads by itself. As vitest loads modules, each imported name is looked up in an object, and an
 * exploration takes some twenty times as long.
 */
import { readdirSync, rmSync } from 'node:fs'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { build } from 'esbuild'
import type { Plugin } from 'vitest/config'
import type {} from 'vitest/node'
import { inlineConstants } from './constants.ts'

/** Where the modules are, beside what `npm run build` makes. */
export const BUILT_SOURCES = resolve('build/sources')
const SOURCES = resolve('src')

/** While files are watched, or their coverage is asked for, vitest loads the sources. */
export function builtSources(): Plugin {
  let isUsed = false
  return {
    name: 'built-sources',
    enforce: 'pre',
    async configureVitest({ vitest: { config } }) {
      isUsed = !config.watch && !config.coverage.enabled
      if (isUsed) await buildSources()
    },
    resolveId(source, importer) {
      if (!isUsed || !source.endsWith('.ts')) return undefined
      const file = importer && source.startsWith('.') ? resolve(importer, '..', source) : source
      const name = relative(SOURCES, file)
      return isAbsolute(name) || name.startsWith('..') ? undefined : builtFrom(name)
    },
  }
}

const builtFrom = (name: string): string => join(BUILT_SOURCES, name.replace(/\.ts$/, '.js'))

async function buildSources(): Promise<void> {
  rmSync(BUILT_SOURCES, { recursive: true, force: true })
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
  await build({
    entryPoints: files.filter((file) => file.endsWith('.ts')).map((file) => join(SOURCES, file)),
    outbase: SOURCES,
    outdir: BUILT_SOURCES,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'node20',
    platform: 'node',
    packages: 'external',
    minifySyntax: true,
    sourcemap: true,
    plugins: [inlineConstants],
    logLevel: 'warning',
  })
}
