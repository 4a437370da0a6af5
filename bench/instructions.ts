/**
 * The benchmark of exits in instructions, which valgrind counts: a number that neither other processes nor the clock of the
 * processor change. Rounds of N and of 2 N iterations take turns in one process; the difference of their medians has nothing
 * in it but iterations, and nothing of a round in which V8 has compiled something. The yardstick, which has nothing to
 * compile, runs N and 2 N in a process each.
 */
import { execFileSync } from 'node:child_process'
import { header, Progress, refuse } from '../test/command-line.ts'
import { countRounds, NO_VALGRIND, type Round, valgrind } from './callgrind.ts'
import { type BenchCase, withTwin } from './cases.ts'
import { measuredDesigns } from './designs.ts'
import { allCases } from './exits.ts'
import { workerFile } from './responder.ts'
import { geomean } from './statistics.ts'
import { besideTwin } from './temporary.ts'

interface Options {
  /** The yardstick's source. */
  readonly twin: string | undefined
  readonly json: boolean
  /** The only case to be measured; all if undefined. */
  readonly only: string | undefined
  /** Whether each function is told of. */
  readonly functions: boolean
  /** The name of the design of machines without an ITS and GICv4; that of all cases if undefined. */
  readonly design: string | undefined
}

/** Instructions an iteration. */
interface CaseResult {
  readonly name: string
  readonly ours: number
  readonly twin?: number
  /** Of a case by the public API: how many times the internal one, if that was measured. */
  readonly timesInternal?: number
  /** Those of each function, if they are asked for. */
  readonly functions?: Readonly<Record<string, number>>
}

/** Iterations of a round of ours, and rounds of each length, an odd number; iterations of the yardstick. */
const ITERATIONS = 10_000
const ROUNDS = 7
const TWIN_ITERATIONS = 20_000
const CACHEGRIND = ['--tool=cachegrind', '--cache-sim=no', '--cachegrind-out-file=/dev/null']

/** Ours: the instructions of an iteration, and where they are. */
async function perIteration(
  { number }: BenchCase,
  { functions: withFunctions, design }: Options,
): Promise<Omit<CaseResult, 'name'>> {
  const position = measuredDesigns.findIndex(({ name }) => name === design)
  const lengths = Array.from({ length: 2 * ROUNDS }, (_, i) => ITERATIONS * (1 + (i % 2)))
  const lines = lengths.map((iterations) => `${number} ${iterations} 1${position < 0 ? '' : ` ${position}`}`)
  const rounds = await countRounds(workerFile, lines)
  const [once, twice] = [0, 1].map((odd) => medianRound(rounds.filter((_, i) => i % 2 === odd)))
  const ours = (twice.instructions - once.instructions) / ITERATIONS
  return withFunctions ? { ours, functions: functionsOf(once, twice) } : { ours }
}

/** The round with the median of the instructions. */
const medianRound = (rounds: readonly Round[]): Round =>
  [...rounds].sort((a, b) => a.instructions - b.instructions)[Math.floor(rounds.length / 2)]

/** The instructions of each function that has any in an iteration, most first. */
function functionsOf(once: Round, twice: Round): Record<string, number> {
  const each = [...twice.byFunction].map(
    ([name, count]) => [name, (count - (once.byFunction.get(name) ?? 0)) / ITERATIONS] as const,
  )
  return Object.fromEntries(each.filter(([, count]) => count >= 0.5).sort(([, a], [, b]) => b - a))
}

async function twinPerIteration(twin: string, { number }: BenchCase): Promise<number> {
  const [once, twice] = [await countTwin(twin, number, 1), await countTwin(twin, number, 2)]
  return (twice - once) / TWIN_ITERATIONS
}

/** The instructions of a process of the yardstick's, by cachegrind's last words. */
async function countTwin(twin: string, number: number, times: number): Promise<number> {
  const { said } = await valgrind(CACHEGRIND, [twin], [`${number} ${times * TWIN_ITERATIONS} 4`])
  const refs = /I\s+refs:\s+([\d,]+)/.exec(said)?.[1]
  if (refs === undefined) throw new Error(`valgrind has counted nothing:\n${said}`)
  return Number(refs.replaceAll(',', ''))
}

/** Runs the benchmark and prints it. */
export async function benchInstructions(options: Options): Promise<void> {
  try {
    execFileSync('valgrind', ['--version'], { stdio: 'ignore' })
  } catch {
    refuse(`bench: ${NO_VALGRIND}`)
    return
  }
  await besideTwin(options.twin, (twin) => benchBeside(twin, options))
}

async function benchBeside(twin: string | undefined, options: Options): Promise<void> {
  const { json, only } = options
  const chosen = allCases.filter(({ name }) => only === undefined || name === only)
  const progress = new Progress(chosen.length)
  if (!json) {
    console.log(
      header('bench: what an exit of a vCPU costs, in instructions', 'ours; in C; how many times as many'),
    )
  }
  const cases: CaseResult[] = []
  for (const benchCase of chosen) {
    progress.next(benchCase.name)
    const measured = await perIteration(benchCase, options)
    const hasTwin = twin !== undefined && withTwin.includes(benchCase)
    const internal = cases.find(({ name }) => name === benchCase.internal)
    const one: CaseResult = {
      name: benchCase.name,
      ...measured,
      ...(internal ? { timesInternal: measured.ours / internal.ours } : {}),
      ...(hasTwin ? { twin: await twinPerIteration(twin, benchCase) } : {}),
    }
    cases.push(one)
    progress.clear()
    if (!json) console.log(row(one, benchCase))
    if (!json) for (const line of functionRows(one)) console.log(line)
  }
  const ratios = cases.flatMap(({ ours, twin }) => (twin === undefined ? [] : [ours / twin]))
  const mean = ratios.length > 0 ? geomean(ratios) : undefined
  if (json) console.log(JSON.stringify({ cases, geomean: mean }, null, 2))
  else if (mean !== undefined) console.log(`geometric mean of the ratios: ${mean.toFixed(2)}`)
}

function row({ name, ours, twin, timesInternal }: CaseResult, { internal }: BenchCase): string {
  const theirs = twin === undefined ? '' : `${twin.toFixed(1).padStart(10)}  ${(ours / twin).toFixed(2)}x`
  const times = timesInternal === undefined ? '' : `, ${timesInternal.toFixed(2)}x of ${internal}`
  return `${name.padEnd(26)}${ours.toFixed(1).padStart(10)}${theirs}${times}`
}

const functionRows = ({ functions = {} }: CaseResult): string[] =>
  Object.entries(functions).map(([name, count]) => `${count.toFixed(1).padStart(36)}  ${name}`)
