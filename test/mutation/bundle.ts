/**
 * All tests and the sources that they run, in one file. The sources have every mutant in them, each behind the question
 * whether it is the active one, which the mutation tester asks with calls and strings; here it is a comparison of two
 * numbers.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Options } from 'tsup'
import type { Test } from './collect.ts'

/** How often each mutant was reached, by its number. */
export type Coverage = Record<string, number>

/** A bundle, loaded. */
export interface Bundle {
  readonly tests: ReadonlyMap<string, Test>
  /** Makes a mutant the active one, or none. */
  activate(mutant: number | undefined): void
  /** Counts from now on which mutants are reached, or no longer. */
  count(coverage: Coverage | undefined): void
}

/** What a bundle begins with while it is loaded. */
interface AtLoad {
  mutationAtLoad?: { readonly mutant: number | undefined; readonly coverage: Coverage }
}

const SWITCHES = `
let activeMutant = globalThis.mutationAtLoad.mutant
let mutantCoverage = globalThis.mutationAtLoad.coverage
function coverMutants(...mutants) {
  for (const mutant of mutants) mutantCoverage[mutant] = (mutantCoverage[mutant] ?? 0) + 1
}
function activateMutant(mutant) { activeMutant = mutant }
function countMutants(coverage) { mutantCoverage = coverage }
`
const SWITCHES_OUT = 'export { activateMutant as activate, countMutants as count }'

type Plugin = NonNullable<Options['esbuildPlugins']>[number]

/** Writes the bundle of the test files of the current directory but for those under `without`. */
export async function writeBundle(without: readonly string[], name: string): Promise<void> {
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' })
    .map((file) => `test/${file}`)
    .filter((file) => file.endsWith('.test.ts') && !without.some((start) => file.startsWith(start)))
    .sort()
  const imports = files.map((file) => `import 'begin:${file}'\nimport './${file}'\n`)
  writeFileSync(`${name}.ts`, `${imports.join('')}export { tests } from 'vitest'\n`)
  await build({
    config: false,
    entry: { [name]: resolve(`${name}.ts`) },
    outDir: process.cwd(),
    outExtension: () => ({ js: '.mjs' }),
    tsconfig: 'tsconfig.tools.json',
    format: ['esm'],
    target: 'node20',
    platform: 'node',
    banner: { js: SWITCHES },
    footer: { js: SWITCHES_OUT },
    esbuildPlugins: [standIns()],
    skipNodeModulesBundle: true,
    noExternal: [/^(vgic|begin:|vitest$)/],
    esbuildOptions(options) {
      // The package says that its modules have no side effects; those of tests are the tests.
      options.ignoreAnnotations = true
    },
    silent: true,
  })
}

/** Loads it anew: `version` is one that this process has not loaded yet. A mutant may be active meanwhile. */
export async function loadBundle(
  name: string,
  version: number,
  coverage: Coverage,
  mutant?: number,
): Promise<Bundle> {
  const atLoad = globalThis as AtLoad
  atLoad.mutationAtLoad = { mutant, coverage }
  const bundle = (await import(`${pathToFileURL(resolve(`${name}.mjs`)).href}?${version}`)) as Bundle
  bundle.activate(undefined)
  bundle.count(undefined)
  return bundle
}

/** What imports mean here. */
function standIns(): Plugin {
  const collect = resolve('test/mutation/collect.ts')
  return {
    name: 'stand-ins',
    setup(bundle) {
      bundle.onResolve({ filter: /^vitest$/ }, ({ importer }) =>
        importer === collect ? { path: 'vitest', external: true } : { path: collect },
      )
      bundle.onResolve({ filter: /^vgic(\/|$)/ }, ({ path }) => ({
        path: resolve('src', path === 'vgic' ? 'index.ts' : `${path.slice(5)}.ts`),
      }))
      bundle.onResolve({ filter: /^begin:/ }, ({ path }) => ({ path: path.slice(6), namespace: 'begin' }))
      bundle.onLoad({ filter: /./, namespace: 'begin' }, ({ path }) => ({
        contents: `import { beginFile } from 'vitest'\nbeginFile('${path}')`,
        resolveDir: process.cwd(),
      }))
      bundle.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
        contents: switched(readFileSync(path, 'utf8'), path),
        loader: 'ts',
      }))
    },
  }
}

/** A file with its mutants behind the switches. */
function switched(code: string, path: string): string {
  return (
    code
      .replace(/function stryNS_9fa48\(\)[\s\S]*?\nfunction stryMutAct_9fa48\(id\)[\s\S]*?\n}\n/, '')
      .replaceAll('stryNS_9fa48();', '')
      .replace(/stryMutAct_9fa48\("(\d+)"\)/g, '(activeMutant === $1)')
      .replace(/stryCov_9fa48\(([^)]*)\)/g, '(mutantCoverage && coverMutants($1))')
      .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
      // It works in vitest's own runner only.
      .replaceAll('.toMatchInlineSnapshot(', '.toBeDefined(')
  )
}
