/**
 * The package as its four users have it: an emulator's author, a KVM engineer, whoever verifies drivers and RTL, a
 * performance engineer. Each folder of `stories` is a project of its own that has the packed package installed: compiled
 * by TypeScript, as ESM or as CommonJS, and run by node:test.
 */
import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { compile, type Must } from './compiled.ts'

const STORIES = 'test/package/stories'
/** CommonJS and its types have a user, too. */
const COMMONJS: readonly string[] = ['verification']

/** Compiles and runs each story in a folder, with the package that a project has installed; says how many tests they have. */
export async function checkStories(project: string, folder: string, must: Must): Promise<string> {
  const names = readdirSync(STORIES).sort()
  let tests = 0
  for (const name of names) {
    const story = join(folder, name)
    cpSync(join(STORIES, name), story, { recursive: true })
    const type = COMMONJS.includes(name) ? 'commonjs' : 'module'
    await compile(story, type, project, must, { noUncheckedIndexedAccess: true })
    const output = await must('node', ['--test', '--test-reporter=tap', 'built/'], story)
    tests += Number(/^# pass (\d+)$/m.exec(output)?.[1] ?? 0)
  }
  return `${names.length} stories, ${tests} tests`
}
