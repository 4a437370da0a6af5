/**
 * The benchmark of exits in instructions, which valgrind counts: a number that neither other processes nor the clock of the
 * processor change. Each side runs N and 2 N iterations; the difference has no start, no compiler and no warm-up in it.
 */
import { execFileSync, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { header, Progress, refuse } from '../test/command-line.ts'
import { allScenarios, comparison, compileTwin, type Scenario, withTwin } from './exits.ts'
import { geomean } from './statistics.ts'

interface Options {
  /** The yardstick's source. */
  readonly twin: string | undefined
  readonly json: boolean
  /** The only case to be measured; all if undefined. */
  readonly only: string | undefined
}

/** Instructions an iteration. */
interface Case {
  readonly name: string
  readonly ours: number
  readonly twin?: number
  /** Of a case by the public API: how many times the internal one, if that was measured. */
  readonly timesInternal?: number
}

/** Iterations of ours, which V8 has compiled long before, and of the yardstick. */
const OURS = 100_000
const TWIN = 20_000
const V8 = ['--predictable', '--hash-seed=1', '--random-seed=1']
const VALGRIND = ['--tool=cachegrind', '--cache-sim=no', '--cachegrind-out-file=/dev/null']

/** The instructions of a process that is given one line, by cachegrind's last words. */
async function count(command: readonly string[], line: string): Promise<number> {
  const child = spawn('valgrind', [...VALGRIND, ...command], { stdio: ['pipe', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.stdin.end(`${line}\n`)
  await new Promise((resolve) => child.on('close', resolve))
  const refs = /I\s+refs:\s+([\d,]+)/.exec(said)?.[1]
  if (refs === undefined) throw new Error(`valgrind has counted nothing:\n${said}`)
  return Number(refs.replaceAll(',', ''))
}

async function perIteration(
  command: readonly string[],
  { number }: Scenario,
  iterations: number,
  last: number,
): Promise<number> {
  const once = await count(command, `${number} ${iterations} ${last}`)
  const twice = await count(command, `${number} ${2 * iterations} ${last}`)
  return (twice - once) / iterations
}

/** Runs the benchmark and prints it. */
export async function benchInstructions({ twin: source, json, only }: Options): Promise<void> {
  try {
    execFileSync('valgrind', ['--version'], { stdio: 'ignore' })
  } catch {
    refuse('bench: there is no valgrind on this machine: install it, as by apt-get install valgrind.')
    return
  }
  const twin = source === undefined ? undefined : compileTwin(source)
  // One thread, since V8's compiler would run beside, for as long as it takes; and the same seeds each time, since what
  // they change of start and compilation would be as much as some thousand hypercalls.
  const worker = ['node', ...V8, '--expose-gc', fileURLToPath(import.meta.url), '--worker']
  const chosen = allScenarios.filter(({ name }) => only === undefined || name === only)
  const progress = new Progress(chosen.length)
  if (!json) {
    console.log(
      header('bench: what an exit of a vCPU costs, in instructions', 'ours; in C; how many times as many'),
    )
  }
  const cases: Case[] = []
  for (const scenario of chosen) {
    progress.next(scenario.name)
    const ours = await perIteration(worker, scenario, OURS, 1)
    const hasTwin = twin !== undefined && withTwin.includes(scenario)
    const internal = cases.find(({ name }) => name === scenario.internal)
    const one: Case = {
      name: scenario.name,
      ours,
      ...(internal ? { timesInternal: ours / internal.ours } : {}),
      ...(hasTwin ? { twin: await perIteration([twin], scenario, TWIN, 4) } : {}),
    }
    cases.push(one)
    progress.clear()
    if (!json) console.log(row(one) + comparison(scenario, one.timesInternal))
  }
  const ratios = cases.flatMap(({ ours, twin }) => (twin === undefined ? [] : [ours / twin]))
  const mean = ratios.length > 0 ? geomean(ratios) : undefined
  if (json) console.log(JSON.stringify({ cases, geomean: mean }, null, 2))
  else if (mean !== undefined) console.log(`geometric mean of the ratios: ${mean.toFixed(2)}`)
}

function row({ name, ours, twin }: Case): string {
  const theirs = twin === undefined ? '' : `${twin.toFixed(1).padStart(10)}  ${(ours / twin).toFixed(2)}x`
  return `${name.padEnd(26)}${ours.toFixed(1).padStart(10)}${theirs}`
}
