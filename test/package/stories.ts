/**
 * The package as its four users have it: an emulator's author, a KVM engineer, whoever verifies drivers and RTL, a
 * performance engineer. Each folder of `stories` is a project of its own that has the packed package installed: compiled
 * by TypeScript with the strictest options, as ESM or as CommonJS, and run by node:test.
 */
import { cpSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const STORIES = 'test/package/stories'
/** CommonJS and its types have a user, too. */
const COMMONJS: readonly string[] = ['verification']
/** What users have installed beside the package. */
const BESIDE = ['@types', 'fast-check', 'tinybench']

const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2022'],
  module: 'nodenext',
  moduleResolution: 'nodenext',
  rewriteRelativeImportExtensions: true,
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noPropertyAccessFromIndexSignature: true,
  // The types of the package are checked as well.
  skipLibCheck: false,
  types: ['node'],
  outDir: 'built',
}

type Must = (command: string, args: readonly string[], cwd: string) => Promise<string>

/** Compiles and runs each story beside a project that has the package; says how many tests they have. */
export async function checkStories(project: string, folder: string, must: Must): Promise<string> {
  const names = readdirSync(STORIES).sort()
  let tests = 0
  for (const name of names) {
    const story = join(folder, name)
    prepare(story, name, project)
    await must('tsc', ['-p', '.'], story)
    const output = await must('node', ['--test', '--test-reporter=tap', 'built/'], story)
    tests += Number(/^# pass (\d+)$/m.exec(output)?.[1] ?? 0)
  }
  return `${names.length} stories, ${tests} tests`
}

function prepare(story: string, name: string, project: string): void {
  cpSync(join(STORIES, name), story, { recursive: true })
  const type = COMMONJS.includes(name) ? 'commonjs' : 'module'
  writeFileSync(join(story, 'package.json'), JSON.stringify({ private: true, type }))
  writeFileSync(join(story, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS }))
  const modules = join(story, 'node_modules')
  cpSync(join(project, 'node_modules'), modules, { recursive: true, verbatimSymlinks: true })
  for (const entry of BESIDE) symlinkSync(resolve('node_modules', entry), join(modules, entry), 'dir')
}
