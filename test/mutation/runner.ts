/**
 * Runs tests for the mutation tester, a plugin of Stryker's: everything is loaded once, and a mutant costs the tests that
 * reach it, shortest first, until one fails. Modules keep nothing between tests. So that none does in secret, the test
 * that a mutant fails is run again without it: if it still fails, all is loaded anew and the mutant tried once more.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Script } from 'node:vm'
import type { Mutant, StrykerOptions } from '@stryker-mutator/api/core'
import { commonTokens, declareClassPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin'
import {
  type DryRunResult,
  DryRunStatus,
  type MutantRunOptions,
  type MutantRunResult,
  MutantRunStatus,
  type TestResult,
  type TestRunner,
  TestStatus,
} from '@stryker-mutator/api/test-runner'
import { type Bundle, type Coverage, loadBundle, writeBundle } from './bundle.ts'
import type { Test } from './collect.ts'

/** In stryker.config.mjs: `inOneBundle`. */
interface Options {
  /** Paths of tests that are left out begin with one of these. */
  readonly without: readonly string[]
  /** Tests that take longer, in milliseconds, are left out. */
  readonly slowest: number
  /** How many mutants of each file are tried, about; the others count as errors, which no score has. */
  readonly sample: number
  /** Where the durations of tests are kept, so that the next run need not try the slow ones. */
  readonly durations: string
}

/** No test without a mutant takes as long, in milliseconds. */
const FOREVER = 600_000

/** A test is given up in the dry run if it takes as many times `slowest`: its code may run for the first time. */
const COLD = 100

/** A mutant loops if its test takes as many times its own duration, and as many milliseconds more. */
const LOOPS = 20
const LOOPS_MORE = 300

class OneBundle implements TestRunner {
  static readonly inject = tokens(commonTokens.options)
  /** How often this process has loaded a bundle: it has its code for ever. */
  private static loads = 0
  private readonly name = `mutation-${process.env['STRYKER_MUTATOR_WORKER'] ?? 0}`
  private readonly options: Options
  private readonly atLoad: Coverage = {}
  private durations: Record<string, number> = {}
  private bundle: Bundle | undefined

  constructor(options: StrykerOptions) {
    this.options = options['inOneBundle'] as Options
  }

  capabilities() {
    return { reloadEnvironment: true }
  }

  async init(): Promise<void> {
    await writeBundle(this.options.without, this.name)
    await this.load()
  }

  /** Each test alone, to see which mutants it reaches and how long it takes. */
  async dryRun(): Promise<DryRunResult> {
    const { slowest, durations } = this.options
    this.durations = existsSync(durations) ? JSON.parse(readFileSync(durations, 'utf8')) : {}
    const perTest: Record<string, Coverage> = {}
    const results: TestResult[] = []
    // Backwards: a test that needs those before it fails, and is left out, as any mutant would seem to fail it.
    for (const test of [...this.loaded.tests.values()].reverse()) {
      if (this.durations[test.id] > 3 * slowest) continue
      const coverage: Coverage = {}
      this.loaded.count(coverage)
      const failure = failureOf(test, COLD * slowest)
      this.loaded.count(undefined)
      if (failure?.code === TIMEOUT) {
        this.durations[test.id] = COLD * slowest
        continue
      }
      if (failure !== undefined) {
        console.warn(`Left out, as it fails by itself: ${test.name}: ${failure.message}`)
        continue
      }
      this.durations[test.id] ??= this.durationOf(test)
      const timeSpentMs = this.durations[test.id]
      if (timeSpentMs > slowest) continue
      perTest[test.id] = coverage
      const { id, name, file } = test
      results.push({ id, name, fileName: resolve(file), timeSpentMs, status: TestStatus.Success })
    }
    mkdirSync(dirname(durations), { recursive: true })
    writeFileSync(durations, JSON.stringify(this.durations))
    return {
      status: DryRunStatus.Complete,
      tests: results,
      mutantCoverage: { perTest, static: this.atLoad },
    }
  }

  /** In milliseconds, when its code is warm, as it is for most mutants. */
  private durationOf(test: Test): number {
    const begin = process.cpuUsage()
    failureOf(test, FOREVER)
    return millisecondsSince(begin)
  }

  async mutantRun({
    activeMutant,
    testFilter,
    mutantActivation,
    sandboxFileName,
  }: MutantRunOptions): Promise<MutantRunResult> {
    const { slowest, durations, sample } = this.options
    if (!isInSample(activeMutant, sandboxFileName, sample)) return NOT_IN_SAMPLE
    if (Object.keys(this.durations).length === 0) this.durations = JSON.parse(readFileSync(durations, 'utf8'))
    const took = (id: string): number => this.durations[id] ?? Number.POSITIVE_INFINITY
    const all = testFilter ?? Object.keys(this.durations).filter((id) => took(id) <= slowest)
    const ids = [...all].sort((a, b) => took(a) - took(b))
    const mutant = Number(activeMutant.id)
    if (mutantActivation === 'static') return this.tryAtLoad(mutant, ids)
    const first = this.try(mutant, ids)
    if (this.isClean(first)) return resultOf(first)
    await this.load()
    const second = this.try(mutant, ids)
    if (!this.isClean(second)) await this.load()
    return resultOf(second)
  }

  /** A mutant that is active from the first module on. */
  private async tryAtLoad(mutant: number, ids: readonly string[]): Promise<MutantRunResult> {
    try {
      await this.load(mutant)
      return resultOf(this.try(mutant, ids))
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error))
      return resultOf({ nrOfTests: 0, killer: { id: ids[0], failure } })
    } finally {
      await this.load()
    }
  }

  private try(mutant: number, ids: readonly string[]): Trial {
    for (const [index, id] of ids.entries()) {
      const test = this.loaded.tests.get(id)
      if (!test) continue
      this.loaded.activate(mutant)
      const failure = failureOf(test, LOOPS_MORE + LOOPS * this.durations[id])
      this.loaded.activate(undefined)
      if (failure !== undefined) return { nrOfTests: index + 1, killer: { id, failure } }
    }
    return { nrOfTests: ids.length }
  }

  /** Whether the mutant is to blame: the test passes without it. */
  private isClean({ killer }: Trial): boolean {
    const test = killer && this.loaded.tests.get(killer.id)
    return test === undefined || failureOf(test, FOREVER) === undefined
  }

  private get loaded(): Bundle {
    if (!this.bundle) throw new Error('init() has not been called')
    return this.bundle
  }

  private async load(mutant?: number): Promise<void> {
    this.bundle = await loadBundle(this.name, OneBundle.loads++, this.atLoad, mutant)
  }
}

const NOT_IN_SAMPLE: MutantRunResult = {
  status: MutantRunStatus.Error,
  errorMessage: 'not in the sample',
}

/** Whether a mutant is one of those that are tried: by a hash of what it is, so that it is the same ones every time. */
function isInSample({ location, replacement }: Mutant, file: string, sample: number): boolean {
  const mutants = mutantsIn(file)
  const { start, end } = location
  const digest = createHash('sha256')
    .update([start.line, start.column, end.line, end.column, replacement].join())
    .digest()
  return digest.readUInt32LE() / 2 ** 32 < sample / mutants
}

const counts = new Map<string, number>()

/** How many mutants a file has. */
function mutantsIn(file: string): number {
  const known = counts.get(file)
  if (known !== undefined) return known
  const count = new Set(readFileSync(file, 'utf8').match(/stryMutAct_9fa48\("\d+"\)/g)).size
  counts.set(file, count)
  return count
}

/** What became of a mutant. */
interface Trial {
  readonly nrOfTests: number
  readonly killer?: { readonly id: string; readonly failure: Failure }
}

type Failure = Error & { readonly code?: string }

/** The code with which a script is ended. */
const TIMEOUT = 'ERR_SCRIPT_EXECUTION_TIMEOUT'

function resultOf({ nrOfTests, killer }: Trial): MutantRunResult {
  if (!killer) return { status: MutantRunStatus.Survived, nrOfTests }
  const { id, failure } = killer
  if (failure.code === TIMEOUT) return { status: MutantRunStatus.Timeout, reason: `${id} does not end` }
  return { status: MutantRunStatus.Killed, killedBy: [id], failureMessage: failure.message, nrOfTests }
}

const call = new Script('mutationTest()')

/**
 * What a test throws. One that does not end in time is ended; time is that of the processor, in milliseconds, as others
 * may keep it from this process: then the test gets more patience.
 */
function failureOf(test: Test, time: number, patience = time): Failure | undefined {
  Object.assign(globalThis, { mutationTest: test.run })
  const begin = process.cpuUsage()
  try {
    call.runInThisContext({ timeout: Math.ceil(patience) })
    return undefined
  } catch (error) {
    const failure: Failure = error instanceof Error ? error : new Error(String(error))
    const wasKept = failure.code === TIMEOUT && millisecondsSince(begin) < time / 2
    return wasKept ? failureOf(test, time, 4 * patience) : failure
  }
}

function millisecondsSince(begin: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begin)
  return (user + system) / 1000
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'in-one-bundle', OneBundle)]
