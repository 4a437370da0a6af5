/** `npm test`: runs every check of the project and counts them. */
import { spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, join, resolve } from 'node:path'
import ts from 'typescript'
import { generatedModules } from '../tools/generated.ts'
import { checkBrowser, findChromium } from './browser/chromium.ts'
import { checkPlayground } from './browser/playground.ts'
import { saysHelp } from './command-line.ts'
import { type Example, examplesOf, missing } from './documents.ts'
import { checkCommand } from './package/command.ts'
import { compile } from './package/compiled.ts'
import { checkSizes } from './package/sizes.ts'
import { checkSlurm, lacksSlurm } from './package/slurm.ts'
import { checkStories } from './package/stories.ts'

/** Runs in an installed copy of the package, as ESM and as CJS, with `vgic`, `scenario`, `explorer` and `assert` given. */
const SMOKE_BODY = `
assert.throws(
  () => scenario.scenario('no vCPU').vm({ vcpus: 0 }),
  (error) => error instanceof vgic.VgicError && error.code === 'config',
)
assert.throws(() => vgic.Gic.from(new ArrayBuffer(8)), vgic.VgicError)
assert.throws(() => explorer.explore(scenario.scenario('bounds'), { depth: 0 }), vgic.VgicError)
assert.equal(explorer.explore(scenario.scenario('nothing')).complete, true)
const recorder = testing.record(new vgic.Gic({ cpus: 1 }))
recorder.readMmio(0x0800_0008, 4)
assert.deepEqual(testing.verify(recorder.jsonl()), [])
assert.equal(new vgic.Gic({ cpus: 2 }).readSysreg(1, vgic.ICH_VTR_EL2, 2), 0x90b80003)
`

/** A process that has both: each knows the other's errors, also of a subclass of its own, and nothing else. */
const TWO_COPIES = `
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import * as imported from 'vgic'
const required = createRequire(import.meta.url)('vgic')
assert.notEqual(imported.VgicError, required.VgicError)
for (const [one, other] of [[imported, required], [required, imported]]) {
  assert.throws(() => new one.Gic({ cpus: 0 }), (error) => error instanceof other.VgicError && error.code === 'config')
  assert.equal(new Error('config') instanceof one.VgicError, false)
  assert.equal(one.VgicError.name, 'VgicError')
  class Mine extends one.VgicError {}
  assert.equal(new Mine('argument', 'x') instanceof other.VgicError, true)
  assert.equal(new other.VgicError('argument', 'x') instanceof Mine, false)
}
`

/** Whose JavaScript runs as it stands in the same project, besides that of docs/*.md. */
const DOCUMENTS = ['README.md', 'src/gic/gic.ts']

interface Outcome {
  readonly passed: number
  readonly failed: number
  readonly note?: string
}

interface Run {
  readonly ok: boolean
  readonly status: number | null
  readonly output: string
}

class CheckError extends Error {}

const help = `
npm test   every check of the project, one after the other: lint, types, tests, conformance, package, examples, browser, docs

It needs an \`npm ci\`, and takes minutes. What fails is printed; the exit status is 1 then.

  --help   this
`
if (saysHelp(help, process.argv)) process.exit()

const root = process.cwd()
const temp = mkdtempSync(join(tmpdir(), 'vgic-check-'))

const env = {
  ...process.env,
  PATH: `${resolve('node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
  FORCE_COLOR: undefined,
  NO_COLOR: '1',
  // Packing must not run `prepare` again: the build has a check of its own.
  npm_config_ignore_scripts: 'true',
}

function run(command: string, args: readonly string[], cwd = root): Promise<Run> {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const add = (text: string): void => {
      output += text
    }
    child.stdout.setEncoding('utf8').on('data', add)
    child.stderr.setEncoding('utf8').on('data', add)
    child.on('error', (error) =>
      done({ ok: false, status: null, output: `${output}${command}: ${error.message}\n` }),
    )
    child.on('close', (code, signal) => {
      if (signal !== null) output += `${command}: ended by ${signal}\n`
      done({ ok: code === 0, status: code, output })
    })
  })
}

async function must(command: string, args: readonly string[], cwd = root): Promise<string> {
  const { ok, output } = await run(command, args, cwd)
  if (!ok) throw new CheckError(`$ ${command} ${args.join(' ')}\n${output}`)
  return output
}

function filesIn(directory: string, suffix: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter((name) => name.endsWith(suffix))
    .sort()
    .map((name) => join(directory, name))
}

async function unitTests(): Promise<Outcome> {
  const report = join(temp, 'vitest.json')
  const { ok, output } = await run('vitest', [
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ])
  if (!existsSync(report)) throw new CheckError(output)
  const counts = JSON.parse(readFileSync(report, 'utf8')) as {
    numPassedTests: number
    numFailedTests: number
    numPendingTests: number
    numTodoTests: number
  }
  if (!ok) process.stdout.write(output)
  const skipped = counts.numPendingTests + counts.numTodoTests
  return {
    passed: counts.numPassedTests,
    // A file that does not load, or an unhandled error, fails the run without a failed test.
    failed: Math.max(counts.numFailedTests, ok ? 0 : 1),
    note: `${counts.numPassedTests} passed, ${counts.numFailedTests} failed, ${skipped} skipped`,
  }
}

async function conformance(): Promise<Outcome> {
  const fixtures = filesIn('test/fixtures', '.jsonl.gz')
  if (fixtures.length === 0) return { passed: 0, failed: 0, note: 'skipped: no test/fixtures/*.jsonl.gz' }
  await must('node', ['build/test/conformance/main.js', ...fixtures])
  return { passed: 1, failed: 0, note: `${fixtures.length} files` }
}

async function examples(): Promise<Outcome> {
  const sources = filesIn('docs/examples', '.ts')
  for (const source of sources) await must('node', [join('build', source.replace(/\.ts$/, '.js'))])
  return { passed: 1, failed: 0, note: `${sources.length} programs` }
}

/** Programs that tell how they are called, and refuse what they do not know before they begin. */
const PROGRAMS = ['bench/main.js', 'docs/examples/demo.js', 'docs/examples/museum.js', 'docs/examples/vpe.js']
/** Others that tell how they are called. */
const HELPFUL = [
  'test/check.js',
  'test/conformance/main.js',
  'test/conformance/driver-reports.js',
  'docs/examples/discover.js',
]

async function commandLines(): Promise<Outcome> {
  for (const program of PROGRAMS) {
    const path = join('build', program)
    const help = await must('node', [path, '--help'])
    if (!help.startsWith('npm run ')) throw new CheckError(`${program} --help printed:\n${help}`)
    for (const unknown of ['--unknown', 'unknown']) {
      const { ok, output } = await run('node', [path, unknown])
      const isRefused = !ok && output.trimEnd().split('\n').length === 1 && output.includes(unknown)
      if (!isRefused) throw new CheckError(`${program} ${unknown} printed:\n${output}`)
    }
  }
  for (const program of HELPFUL) {
    const help = await must('node', [join('build', program), '--help'])
    if (!/^(npm|node) /.test(help)) throw new CheckError(`${program} --help printed:\n${help}`)
  }
  return { passed: 1, failed: 0, note: `${PROGRAMS.length + HELPFUL.length} programs` }
}

/** CI has Chromium, which .ci/run installs; elsewhere it may be missing. */
async function inChromium(check: (executable: string) => Promise<string>): Promise<Outcome> {
  const executable = findChromium()
  if (executable !== undefined) return { passed: 1, failed: 0, note: await check(executable) }
  if (process.env['CI']) throw new CheckError('no chromium on PATH')
  return { passed: 0, failed: 0, note: 'skipped: no chromium on PATH' }
}

/** Where the packed package is installed. */
const project = join(temp, 'smoke')

/** Installs the packed package in an empty project and uses it there. */
async function smoke(): Promise<Outcome> {
  mkdirSync(project)
  await must('npm', ['pack', '--pack-destination', project])
  const [tarball] = filesIn(project, '.tgz')
  if (tarball === undefined) throw new CheckError('npm pack made no tarball')

  writeFileSync(join(project, 'package.json'), '{ "private": true }\n')
  await must('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], project)
  const installed = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'))
  if (installed.join() !== 'vgic') throw new CheckError(`installed: ${installed.join()}`)

  const library = join(project, 'node_modules/vgic')
  const manifest = JSON.parse(readFileSync(join(library, 'package.json'), 'utf8')) as Record<string, unknown>
  for (const key of ['dependencies', 'optionalDependencies', 'bundleDependencies']) {
    if (key in manifest) throw new CheckError(`package.json has ${key}`)
  }
  const peers = Object.keys(manifest['peerDependencies'] ?? {})
  if (peers.join() !== PEERS.join()) throw new CheckError(`package.json has the peers ${peers.join()}`)
  checkImports(join(library, 'dist'))
  checkLinks(library)
  checkSourceMaps(join(library, 'dist'))
  checkClassNames(join(library, 'dist'))

  writeFileSync(
    join(project, 'smoke.mjs'),
    `import assert from 'node:assert/strict'
import * as vgic from 'vgic'
import * as scenario from 'vgic/scenario'
import * as explorer from 'vgic/explore'
import * as testing from 'vgic/testing'
${SMOKE_BODY}`,
  )
  writeFileSync(
    join(project, 'smoke.cjs'),
    `const assert = require('node:assert/strict')
const vgic = require('vgic')
const scenario = require('vgic/scenario')
const explorer = require('vgic/explore')
const testing = require('vgic/testing')
${SMOKE_BODY}`,
  )
  await must('node', ['smoke.mjs'], project)
  await must('node', ['smoke.cjs'], project)
  writeFileSync(join(project, 'two-copies.mjs'), TWO_COPIES)
  await must('node', ['two-copies.mjs'], project)

  const examples = [...DOCUMENTS, ...filesIn('docs', '.md')].flatMap((file) =>
    examplesOf(file, readFileSync(file, 'utf8')),
  )
  const bare = DOCUMENTS.find((file) => !examples.some((example) => example.file === file))
  if (bare !== undefined) throw new CheckError(`${bare} has no js block`)
  for (const example of examples.filter(({ language }) => language === 'js')) {
    writeFileSync(join(project, 'example.mjs'), example.code)
    await checkExample(example, project, 'example.mjs')
  }
  await compiledExamples(examples.filter(({ language }) => language === 'ts'))
  return { passed: 1, failed: 0, note: `${examples.length} programs of documents` }
}

/** The same in other hosts of JavaScript, with the project that `smoke` has made. */
async function otherHosts(): Promise<Outcome> {
  const versions = await Promise.all(['deno', 'bun'].map((host) => run(host, ['--version'], project)))
  if (!versions.every(({ ok }) => ok)) {
    const why = 'deno or bun is not installed: npm rebuild deno bun'
    if (process.env['CI']) throw new CheckError(why)
    return { passed: 0, failed: 0, note: `skipped: ${why}` }
  }
  const [deno, bun] = versions.map(({ output }) => output.split(/ \(|\n/)[0])
  const allowed = ['--node-modules-dir=manual', '--no-prompt', '--allow-read', '--allow-env']
  for (const program of ['smoke.mjs', 'smoke.cjs']) {
    await must('deno', ['run', ...allowed, program], project)
    await must('bun', [program], project)
  }
  return { passed: 1, failed: 0, note: `${deno}, bun ${bun}` }
}

/** Those in TypeScript, compiled together. */
async function compiledExamples(examples: readonly Example[]): Promise<void> {
  const folder = mkdtempSync(join(temp, 'documents-'))
  const nameOf = ({ file, line }: Example): string => `${basename(file, '.md')}-${line}`
  for (const example of examples) writeFileSync(join(folder, `${nameOf(example)}.ts`), example.code)
  await compile(folder, 'module', project, must)
  for (const example of examples) await checkExample(example, folder, `built/${nameOf(example)}.js`)
}

async function checkExample(example: Example, cwd: string, program: string): Promise<void> {
  const { file, line } = example
  const { ok, output } = await run('node', [program], cwd)
  if (!ok) throw new CheckError(`${file}:${line}: the program failed:\n${output}`)
  const lacking = missing(example, output)
  if (lacking === undefined) return
  throw new CheckError(
    `${file}:${line}: the document has a line that was not printed:\n${lacking}\nPrinted:\n${output}`,
  )
}

/** The package's command, in the same project. */
async function command(): Promise<Outcome> {
  copyFileSync('test/fixtures/stale-shadow.mjs', join(project, 'stale-shadow.mjs'))
  copyFileSync('test/fixtures/ich.jsonl.gz', join(project, 'ich.jsonl.gz'))
  const installed = join(project, 'node_modules/.bin/vgic')
  return { passed: 1, failed: 0, note: await checkCommand((args) => run(installed, args, project)) }
}

/** Its users' projects, with the package that `smoke` has installed. */
async function stories(): Promise<Outcome> {
  return {
    passed: 1,
    failed: 0,
    note: await checkStories(project, mkdtempSync(join(temp, 'stories-')), must),
  }
}

/** Of the installed package. */
async function sizes(): Promise<Outcome> {
  return { passed: 1, failed: 0, note: await checkSizes(project) }
}

/** An exploration in a Slurm job array, in the same project. CI has Slurm, which .ci/run installs. */
async function slurm(): Promise<Outcome> {
  const why = lacksSlurm()
  if (why === undefined)
    return {
      passed: 1,
      failed: 0,
      note: await checkSlurm(project, mkdtempSync(join(tmpdir(), 'vgic-slurm-'))),
    }
  if (process.env['CI']) throw new CheckError(why)
  return { passed: 0, failed: 0, note: `skipped: ${why}` }
}

/** What `vgic/workers` imports when it is called, and what `vgic/testing` is given; a user installs them beside the package. */
const PEERS = ['fast-check', 'piscina']

/** The library runs anywhere: all that it imports are its own chunks. */
function checkImports(dist: string): void {
  // The quote that ends a string does not make its last word an import.
  const specifier = /(?<!["'])(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)(["'])([^"'\n]+)\1/g
  for (const file of [...filesIn(dist, '.js'), ...filesIn(dist, '.cjs')]) {
    const text = readFileSync(file, 'utf8')
    for (const match of text.matchAll(specifier)) {
      // Rollup's import.meta.url in CommonJS is `require('u' + 'rl')`.
      const isPeer = ['piscina', 'u'].includes(match[2] ?? '') && /\bworkers\.c?js$/.test(file)
      if (!match[2]?.startsWith('./') && !isPeer) throw new CheckError(`${file} has ${match[0]}`)
    }
    if (/\b__require\b|["']node:/.test(text)) throw new CheckError(`${file} needs node modules`)
  }
  for (const file of [...filesIn(dist, '.d.ts'), ...filesIn(dist, '.d.cts')]) {
    // Types of the tests' own fast-check, if they have one.
    const text = readFileSync(file, 'utf8').replace(/^\/\/ @ts-ignore.*\nimport fc from 'fast-check';$/m, '')
    const match = /^\/\/\/ *<reference.*|^(?:import|export)\b.* from ["'][^.].*/m.exec(text)
    if (match !== null) throw new CheckError(`${file} has ${match[0]}`)
  }
}

/** What the README and the documents link to is in the package, so that it is where a reader of the package looks. */
function checkLinks(library: string): void {
  const documents = filesIn(join(library, 'docs'), '.md').map((file) => ['docs', file] as const)
  for (const [directory, file] of [['', join(library, 'README.md')] as const, ...documents]) {
    for (const [, link] of textOf(file).matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
      const isOutside =
        /^https?:/.test(link) || (directory === 'docs' && /^\.\.\/(test|bench|tools)\//.test(link))
      if (!isOutside && !existsSync(join(library, directory, link)))
        throw new CheckError(`${file} links to ${link}, which the package does not have`)
    }
  }
}

/** A document without its code. */
const textOf = (file: string): string => readFileSync(file, 'utf8').replaceAll(/```.*?```|`[^`]+`/gs, '')

/** The package has each source once, in src. */
function checkSourceMaps(dist: string): void {
  for (const file of filesIn(dist, '.map')) {
    const map = JSON.parse(readFileSync(file, 'utf8')) as { sources: string[]; sourcesContent?: unknown }
    if (map.sourcesContent !== undefined) throw new CheckError(`${file} has the sources, as src does`)
    const lost = map.sources.find((source) => !existsSync(join(dist, source)))
    if (lost !== undefined) throw new CheckError(`${file} is of ${lost}, which the package does not have`)
  }
}

/** A class that names itself in its body is bundled as `class _Name`, and prints so: what names it belongs outside. */
function checkClassNames(dist: string): void {
  for (const file of [...filesIn(dist, '.js'), ...filesIn(dist, '.cjs')]) {
    const renamed = /\bclass _\w+/.exec(readFileSync(file, 'utf8'))
    if (renamed !== null) throw new CheckError(`${file} has ${renamed[0]}`)
  }
}

/** What gives a number the type of a handle, whose calls the build leaves out. */
const CASTS = ['asPe', 'asVcpu', 'asIrq', 'asPc']

/** Offsets, masks and shifts are numbers in the library: none is a variable that hot code has to look up. Nor is a cast. */
async function constants(): Promise<Outcome> {
  const generated = generatedModules.flatMap(({ constants }) => constants.map(({ name }) => name))
  const names = new Set([...generated, ...CASTS])
  const files = [...filesIn('dist', '.js'), ...filesIn('dist', '.cjs')]
  if (files.length === 0) throw new CheckError('dist has no chunks')
  for (const file of files) {
    const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true)
    const name = variableAmong(source, names)
    if (name !== undefined) throw new CheckError(`${file} looks ${name} up`)
  }
  return { passed: 1, failed: 0, note: `${generated.length} constants` }
}

/** A variable of one of some names, which may have got a number at its end; what rows and exports are called is none. */
function variableAmong(node: ts.Node, names: ReadonlySet<string>): string | undefined {
  if (ts.isIdentifier(node)) {
    const isKey = ts.isPropertyAssignment(node.parent) && node.parent.name === node
    const isMember = ts.isPropertyAccessExpression(node.parent) && node.parent.name === node
    const isKnown = names.has(node.text) || names.has(node.text.replace(/\d+$/, ''))
    return isKnown && !isKey && !isMember ? node.text : undefined
  }
  return ts.forEachChild(node, (child) => variableAmong(child, names))
}

/** The functions that V8 is not to inline are as large as the build makes them: no later pass has taken that out. */
async function keptCalls(): Promise<Outcome> {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  const count = (files: readonly string[], found: RegExp): number =>
    files.reduce((sum, file) => sum + (readFileSync(file, 'utf8').match(found)?.length ?? 0), 0)
  const marked = count(
    sources.map((name) => join('src', name)),
    /^ *(?:\/\*)?\*+ @noinline(?: \*\/)?$/gm,
  )
  for (const suffix of ['.js', '.cjs']) {
    const kept = count(filesIn('dist', suffix), /\b(\w+) === null\) throw \[\.\.\.\1,/g)
    if (kept !== marked) throw new CheckError(`dist has ${kept} of ${marked} functions in *${suffix}`)
  }
  return { passed: 1, failed: 0, note: `${marked} functions` }
}

const checks: ReadonlyArray<readonly [string, () => Promise<unknown>]> = [
  ['lint', () => must('biome', ['ci', '--colors=off'])],
  ['rooms', () => must('depcruise', ['src', '--output-type', 'err-long'])],
  ['generated', () => must('npm', ['run', 'generate', '--', '--check'])],
  ['types: src', () => must('tsc', ['-p', 'tsconfig.json'])],
  ['types: tools', () => must('tsc', ['-p', 'tsconfig.tools.json'])],
  ['types: site', () => must('tsc', ['-p', 'tsconfig.site.json'])],
  ['unit tests', unitTests],
  // Before what runs on dist, so that none of it sees an old build.
  ['build', () => must('npm', ['run', 'build'])],
  ['pages', () => must('node', ['build/tools/pages.js', '--check'])],
  ['constants', constants],
  ['kept calls', keptCalls],
  ['allocations', () => must('node', ['build/bench/main.js', 'allocations'])],
  ['conformance', conformance],
  ['publint', () => must('publint', ['--strict'])],
  ['attw', () => must('attw', ['--pack', '.', '--profile', 'node16'])],
  ['smoke', smoke],
  ['deno and bun', otherHosts],
  ['sizes', sizes],
  ['command', command],
  ['stories', stories],
  ['slurm', slurm],
  ['threads', () => must('node', ['build/docs/examples/workers.js'])],
  ['command lines', commandLines],
  ['examples', examples],
  ['browser', () => inChromium(checkBrowser)],
  // The pages of `npm run docs` too, as strictly.
  ['site', () => must('npm', ['run', 'site'])],
  ['playground', () => inChromium(checkPlayground)],
]

function isOutcome(value: unknown): value is Outcome {
  return typeof value === 'object' && value !== null && 'passed' in value
}

let passed = 0
let failed = 0
for (const [name, check] of checks) {
  const start = performance.now()
  let outcome: Outcome = { passed: 1, failed: 0 }
  try {
    const result = await check()
    if (isOutcome(result)) outcome = result
  } catch (error) {
    const text =
      error instanceof CheckError ? error.message : String(error instanceof Error ? error.stack : error)
    process.stdout.write(`${text.trimEnd()}\n`)
    outcome = { passed: 0, failed: 1 }
  }
  passed += outcome.passed
  failed += outcome.failed
  const verdict = outcome.failed > 0 ? 'FAIL' : outcome.passed > 0 ? 'ok  ' : 'skip'
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const note = outcome.note === undefined ? '' : ` (${outcome.note})`
  console.log(`${verdict} ${name} ${seconds} s${note}`)
}
rmSync(temp, { recursive: true, force: true })
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
