/** The benchmark of exits: rounds of every scenario, ours and the yardstick's in turn, medians of the ratios. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { header, Progress } from '../test/command-line.ts'
import { geomean, median } from './statistics.ts'

/** The yardstick's scenarios that the library has, by number. */
const scenarios = ['hypercall', 'spi', 'ipi', 'wfi', 'overflow', 'mmio_read_vgic'] as const
/** Iterations of a round: about 50 ms. */
const ITERATIONS = [2_000_000, 500_000, 400_000, 300_000, 80_000, 500_000] as const
/**
 * A scenario that the yardstick does not have: the WFI of a thread that sleeps, so that the scheduler takes its PE and
 * gives it one again. The yardstick's WFI looks twice at whether the vCPU may go on, as halt polling does.
 */
const WFI_ASLEEP = { number: 7, name: 'wfi, asleep', iterations: 300_000 } as const
/**
 * Another: the guest sends INT to its ITS and takes the LPI, as kvm-unit-tests' micro-benchmark `lpi` does (7,129
 * instructions on Linux 6.1).
 */
const LPI = { number: 8, name: 'lpi', iterations: 200_000 } as const
/** Processes, one after another; each has its own luck with code placement. */
const PROCESSES = 5

interface Options {
  readonly twin: string | undefined
  readonly json: boolean
  readonly rounds: number
}

interface Answer {
  readonly ns: number
  readonly checksum: string
  readonly bytes: number
  readonly scavenges: number
}

/** One scenario with one number of live machines. */
interface Case {
  readonly name: string
  readonly ns: number
  readonly bytesPerIteration: number
  readonly scavenges: number
  readonly ratio?: number
  /** Lowest and highest ratio of a round. */
  readonly spread?: readonly [number, number]
}

/** A child process that answers a line with a line. */
class Responder {
  private readonly child: ChildProcessWithoutNullStreams
  private buffer = ''
  private waiting: ((line: string) => void) | undefined

  constructor(command: string, args: readonly string[]) {
    this.child = spawn(command, args)
    this.child.stderr.pipe(process.stderr)
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.buffer += text
      const end = this.buffer.indexOf('\n')
      if (end < 0) return
      const line = this.buffer.slice(0, end)
      this.buffer = this.buffer.slice(end + 1)
      this.waiting?.(line)
    })
  }

  async ask(line: string): Promise<Answer> {
    const answer = new Promise<string>((resolve) => {
      this.waiting = resolve
    })
    this.child.stdin.write(`${line}\n`)
    const [ns, checksum, bytes = 0, scavenges = 0] = (await answer).split(' ')
    return { ns: Number(ns), checksum, bytes: Number(bytes), scavenges: Number(scavenges) }
  }

  end(): void {
    this.child.stdin.end()
  }
}

function compileTwin(source: string): string {
  const binary = join(mkdtempSync(join(tmpdir(), 'vgic-twin-')), 'native-twin')
  execFileSync('cc', ['-O2', '-o', binary, source])
  return binary
}

interface Scenario {
  readonly number: number
  readonly name: string
  readonly iterations: number
}

/** Measures one scenario in a new process, alternating with the yardstick round by round. */
async function measure(
  { number, name, iterations }: Scenario,
  machines: number,
  rounds: number,
  twin: Responder | undefined,
) {
  const self = fileURLToPath(import.meta.url)
  const ours = new Responder(process.execPath, ['--expose-gc', self, '--worker'])
  await ours.ask(`${number} ${iterations} ${machines}`)
  const answers: Answer[] = []
  const ratios: number[] = []
  for (let round = 0; round < rounds; round++) {
    const answer = await ours.ask(`${number} ${iterations} ${machines}`)
    answers.push(answer)
    if (!twin) continue
    const yardstick = await twin.ask(`${number} ${iterations} 4`)
    if (yardstick.checksum !== answer.checksum) {
      throw new Error(
        `${name}: checksum ${answer.checksum}, the yardstick's is ${yardstick.checksum}: not the same work`,
      )
    }
    ratios.push(answer.ns / yardstick.ns)
  }
  ours.end()
  return { answers, ratios }
}

async function measureCase(
  scenario: Scenario,
  machines: number,
  rounds: number,
  twin?: Responder,
): Promise<Case> {
  const answers: Answer[] = []
  const ratios: number[] = []
  for (let process = 0; process < PROCESSES; process++) {
    const measured = await measure(scenario, machines, rounds, twin)
    answers.push(...measured.answers)
    ratios.push(...measured.ratios)
  }
  return {
    name: caseName(scenario, machines),
    ns: median(answers.map(({ ns }) => ns)),
    bytesPerIteration: Math.max(0, median(answers.map(({ bytes }) => bytes))),
    scavenges: median(answers.map(({ scavenges }) => scavenges)),
    ...(twin ? { ratio: median(ratios), spread: [Math.min(...ratios), Math.max(...ratios)] as const } : {}),
  }
}

const caseName = ({ name }: Scenario, machines: number): string =>
  machines > 1 ? `${name} (${machines} machines)` : name

const WHAT = 'bench: what an exit of a vCPU costs, with what the guest did before and the entry after it'

/** What the columns of a row are. */
function legend(rounds: number, hasTwin: boolean): string {
  const ratio = hasTwin ? ', how many times the same work in C (lowest to highest of a round)' : ''
  return `medians of ${PROCESSES} x ${rounds} rounds: nanoseconds${ratio}, bytes of heap, collections a round`
}

/** Runs the benchmark and prints it. */
export async function benchHotPath({ twin: source, json, rounds }: Options): Promise<void> {
  const twin = source === undefined ? undefined : new Responder(compileTwin(source), [])
  const cases: Case[] = []
  const progress = new Progress(2 * (scenarios.length + 2))
  const add = async (scenario: Scenario, machines: number, against?: Responder): Promise<void> => {
    progress.next(caseName(scenario, machines))
    const measured = await measureCase(scenario, machines, rounds, against)
    cases.push(measured)
    progress.clear()
    if (!json) console.log(row(measured))
  }
  if (!json) console.log(header(WHAT, legend(rounds, twin !== undefined)))
  for (const machines of [1, 3]) {
    for (const [i, name] of scenarios.entries()) {
      await add({ number: i + 1, name, iterations: ITERATIONS[i] }, machines, twin)
    }
    await add(WFI_ASLEEP, machines)
    await add(LPI, machines)
  }
  twin?.end()
  const ratios = cases.flatMap(({ ratio }) => ratio ?? [])
  const mean = ratios.length > 0 ? geomean(ratios) : undefined
  if (json) {
    const byName = Object.fromEntries(cases.map(({ name, ...rest }) => [name, rest]))
    console.log(JSON.stringify({ cases: byName, geomean: mean }, null, 2))
  } else if (mean !== undefined) {
    const one = geomean(ratios.slice(0, scenarios.length))
    console.log(
      `geometric mean of the ratios: ${mean.toFixed(2)} (one machine ${one.toFixed(2)}), worst ${Math.max(...ratios).toFixed(2)}`,
    )
  }
}

function row({ name, ns, bytesPerIteration, scavenges, ratio, spread }: Case): string {
  const times = ratio === undefined ? '' : `  ${ratio.toFixed(2)}x of C`
  const noise = spread === undefined ? '' : ` (${spread[0].toFixed(2)} to ${spread[1].toFixed(2)})`
  const memory = `${bytesPerIteration.toFixed(2)} bytes, ${scavenges} scavenges`
  return `${name.padEnd(24)} ${ns.toFixed(1).padStart(7)} ns${times}${noise}  ${memory}`
}
