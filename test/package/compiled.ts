/** Projects of TypeScript with the packed package installed, compiled as strictly as their users may. */
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** What users who import it have installed beside the package. */
const BESIDE = ['fast-check', 'tinybench']

const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2022'],
  module: 'nodenext',
  moduleResolution: 'nodenext',
  rewriteRelativeImportExtensions: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  noPropertyAccessFromIndexSignature: true,
  // The types of the package are checked as well.
  skipLibCheck: false,
  types: ['node'],
  outDir: 'built',
}

/** Runs a command that must succeed; returns what it printed. */
export type Must = (command: string, args: readonly string[], cwd: string) => Promise<string>

/**
 * Compiles the TypeScript of a folder to its folder `built`, as ESM or as CommonJS. `project` has the package installed;
 * `options` are added to the compiler's.
 */
export async function compile(
  folder: string,
  type: 'module' | 'commonjs',
  project: string,
  must: Must,
  options: object = {},
): Promise<void> {
  const compilerOptions = { ...COMPILER_OPTIONS, ...options }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type }))
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  const modules = join(folder, 'node_modules')
  cpSync(join(project, 'node_modules'), modules, { recursive: true, verbatimSymlinks: true })
  const sources = readdirSync(folder).filter((file) => file.endsWith('.ts'))
  const code = sources.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n')
  for (const name of ['@types', ...BESIDE.filter((each) => code.includes(`from '${each}'`))])
    symlinkSync(resolve('node_modules', name), join(modules, name), 'dir')
  await must('tsc', ['-p', '.'], folder)
}
