/**
 * The benchmark of exits: rounds of every case, in turn with those of the yardstick, or of the internal case that does the
 * same; medians of the ratios.
 */
import { header, Progress } from '../test/command-line.ts'
import { asleep, type BenchCase, throughPe, withoutTwin, withTwin } from './cases.ts'
import { pageFaultUs } from './page-fault.ts'
import { ANY_PROCESSOR, processors } from './processors.ts'
import { publicCases } from './public.ts'
import { type Answer, Responder, type Times, worker } from './responder.ts'
import { geomean, median, quantile } from './statistics.ts'
import { besideTwin } from './temporary.ts'

export const allCases: readonly BenchCase[] = [...withTwin, ...withoutTwin, ...throughPe, ...publicCases]
/** The names of all cases, as `--only` takes them. */
export const caseNames = allCases.map(({ name }) => name)
/**
 * Processes, one after another, on each processor in turn; each has its own luck with code placement. Cases that the yardstick
 * does not have, and those with several machines, have fewer.
 */
const PROCESSES = 3
const FEW_PROCESSES = 2
/** Rounds that are not looked at. Of what makes objects, for which V8 gets its room in the first ones, page by page. */
const WARM_UPS = 1
const MORE_WARM_UPS = 2

interface Options {
  /** The yardstick's source. */
  readonly twin: string | undefined
  readonly json: boolean
  readonly rounds: number
  /** The only case to be measured; all if undefined. */
  readonly only: string | undefined
}

interface Round {
  readonly ours: Answer
  /** That of what it is compared with. */
  readonly other?: Answer
}

/** A round that was compared with another one. */
type Compared = Required<Round>

/** What a case is compared with: the yardstick, or an internal case. */
interface Other {
  readonly name: string
  /** Starts a process that answers `line`. */
  readonly start: () => Responder
  readonly line: string
  /** Whether it has the same checksum. */
  readonly hasChecksum: boolean
}

/** A quartile, the median, and the other one. */
type Quartiles = readonly [number, number, number]

/** What was measured of one case with one number of live machines. */
interface CaseResult {
  readonly name: string
  readonly ns: Quartiles
  readonly cpuNs: Quartiles
  readonly bytesPerIteration: number
  /** Of a round. */
  readonly scavenges: number
  readonly pageFaults: number
  /** How many times what it was compared with, by the clock and by the time of the processor; and what that was. */
  readonly ratio?: Quartiles
  readonly cpuRatio?: Quartiles
  readonly of?: string
  readonly rounds: readonly { readonly ours: Times; readonly other?: Times }[]
}

/** What a case is compared with, if there is something: the yardstick, by its binary, or the internal case. */
function otherOf(benchCase: BenchCase, twin: string | undefined): Other | undefined {
  const internal = allCases.find(({ name }) => name === benchCase.internal)
  if (internal) {
    const { name, number, iterations } = internal
    return { name, start: worker, line: `${number} ${iterations} 1`, hasChecksum: false }
  }
  if (twin === undefined || !withTwin.includes(benchCase)) return undefined
  const line = `${benchCase.number} ${benchCase.iterations} 4`
  return { name: 'C', start: () => new Responder(twin), line, hasChecksum: true }
}

/**
 * Measures one case in a new process, round by round in turn with what it is compared with. Both warm up at once, on any
 * processor, and then stay on one.
 */
async function measure(
  { number, name, iterations, makesObjects }: BenchCase,
  machines: number,
  rounds: number,
  processor: number,
  other: Other | undefined,
): Promise<Round[]> {
  const own = worker()
  const theirs = other?.start()
  const ask = (): Promise<Answer> => own.ask(`${number} ${iterations} ${machines}`)
  const askOther = async (): Promise<Answer | undefined> => other && theirs?.ask(other.line)
  const answers: Round[] = []
  try {
    const warmUps = makesObjects ? MORE_WARM_UPS : WARM_UPS
    for (let round = 0; round < warmUps; round++) await Promise.all([ask(), askOther()])
    own.stayOn(processor)
    theirs?.stayOn(processor)
    for (let round = 0; round < rounds; round++) {
      const ours = await ask()
      const answer = await askOther()
      if (answer && other?.hasChecksum && answer.checksum !== ours.checksum) {
        throw new Error(
          `${name}: checksum ${ours.checksum}, that of ${other.name} is ${answer.checksum}: not the same work`,
        )
      }
      answers.push(answer ? { ours, other: answer } : { ours })
    }
  } finally {
    own.end()
    theirs?.end()
  }
  return answers
}

/** Measures one case; its internal one too if it is by the public API. The rows of both, in this order: internal, own. */
async function measureCase(
  benchCase: BenchCase,
  machines: number,
  rounds: number,
  twin: string | undefined,
): Promise<CaseResult[]> {
  const all: Round[] = []
  const other = otherOf(benchCase, twin)
  const processes = withTwin.includes(benchCase) && machines === 1 ? PROCESSES : FEW_PROCESSES
  const kept = benchCase.makesObjects ? [ANY_PROCESSOR] : processors()
  for (let process = 0; process < processes; process++)
    all.push(...(await measure(benchCase, machines, rounds, kept[process % kept.length], other)))
  const own = resultOf(caseName(benchCase, machines), all, other?.name)
  if (other === undefined || other.hasChecksum) return [own]
  return [
    resultOf(
      other.name,
      all.filter(isCompared).map(({ other: ours }) => ({ ours })),
    ),
    own,
  ]
}

const isCompared = (round: Round): round is Compared => round.other !== undefined

/** What rounds of a case say, and of what it was compared with, if it was. */
function resultOf(name: string, rounds: readonly Round[], of?: string): CaseResult {
  const answers = rounds.map(({ ours }) => ours)
  const ratios = (time: (times: Times) => number): Quartiles =>
    quartiles(rounds.filter(isCompared).map(({ ours, other }) => time(ours) / time(other)))
  return {
    name,
    ns: quartiles(answers.map(({ ns }) => ns)),
    cpuNs: quartiles(answers.map(({ cpuNs }) => cpuNs)),
    bytesPerIteration: bytesOf(answers),
    scavenges: median(answers.map(({ scavenges }) => scavenges)),
    pageFaults: median(answers.map(({ pageFaults }) => pageFaults)),
    ...(of !== undefined && { of, ratio: ratios(({ ns }) => ns), cpuRatio: ratios(({ cpuNs }) => cpuNs) }),
    rounds: rounds.map(({ ours, other }) => ({
      ours: timesOf(ours),
      ...(other && { other: timesOf(other) }),
    })),
  }
}

const timesOf = ({ ns, cpuNs }: Times): Times => ({ ns, cpuNs })

/** The bytes of an iteration. A scavenge takes some away: rounds without one say it, if there are any. */
function bytesOf(answers: readonly Answer[]): number {
  const whole = answers.filter(({ scavenges }) => scavenges === 0)
  return Math.max(0, median((whole.length > 0 ? whole : answers).map(({ bytes }) => bytes)))
}

const quartiles = (values: readonly number[]): Quartiles => [
  quantile(values, 0.25),
  median(values),
  quantile(values, 0.75),
]

/** Whether cases by the public API are compared with it, whose rounds say what it takes. */
const isMeasuredBeside = (benchCase: BenchCase): boolean =>
  throughPe.includes(benchCase) && publicCases.some(({ internal }) => internal === benchCase.name)

/** Whether it is measured beside machines of other designs, too. */
const hasOthers = (benchCase: BenchCase): boolean => withTwin.includes(benchCase) || benchCase === asleep

const caseName = ({ name }: BenchCase, machines: number): string =>
  machines > 1 ? `${name} (${machines} machines)` : name

const WHAT = 'bench: what an exit of a vCPU costs, with what the guest did before and the entry after it'

/** What the columns of a row are. */
function legend(rounds: number, twin: string | undefined): string {
  const others = twin === undefined ? 'the internal case' : 'the same work in C, or the internal case'
  return `medians (quartiles) of ${PROCESSES} x ${rounds} rounds, ${FEW_PROCESSES} x ${rounds} of cases that are not in C or have several machines:
nanoseconds by the clock, and of the processor; how many times ${others}, by each;
bytes of heap an iteration; scavenges, and page faults, a round. A page fault takes ${pageFaultUs().toFixed(1)} us here`
}

/** Runs the benchmark and prints it. */
export const benchHotPath = (options: Options): Promise<void> =>
  besideTwin(options.twin, (twin) => benchBeside(twin, options))

async function benchBeside(twin: string | undefined, { json, rounds, only }: Options): Promise<void> {
  const cases: CaseResult[] = []
  const chosen = allCases.filter((each) =>
    only === undefined ? !isMeasuredBeside(each) : each.name === only,
  )
  const both = [1, 3].flatMap((machines) =>
    chosen.filter((each) => machines === 1 || hasOthers(each)).map((each) => [each, machines] as const),
  )
  const progress = new Progress(both.length)
  if (!json) console.log(header(WHAT, legend(rounds, twin)))
  for (const [benchCase, machines] of both) {
    progress.next(caseName(benchCase, machines))
    const measured = await measureCase(benchCase, machines, rounds, twin)
    const news = measured.filter(({ name }) => cases.every((known) => known.name !== name))
    cases.push(...news)
    progress.clear()
    if (!json) for (const each of news) console.log(row(each))
  }
  const means = geomeans(cases)
  if (json) {
    const byName = Object.fromEntries(cases.map(({ name, ...rest }) => [name, rest]))
    console.log(JSON.stringify({ cases: byName, ...means }, null, 2))
  } else if (means !== undefined) {
    const { geomean, cpuGeomean, worst } = means
    console.log(
      `geometric mean of the ratios: ${geomean.toFixed(2)} by the clock, ${cpuGeomean.toFixed(2)} of the processor; worst ${worst.toFixed(2)}`,
    )
  }
}

/** Means over all cases that the yardstick has; undefined without it. */
function geomeans(cases: readonly CaseResult[]) {
  const medians = cases.flatMap(({ of, ratio, cpuRatio }) =>
    of === 'C' && ratio && cpuRatio ? [[ratio[1], cpuRatio[1]]] : [],
  )
  if (medians.length === 0) return undefined
  const byClock = medians.map(([ratio]) => ratio)
  return {
    geomean: geomean(byClock),
    cpuGeomean: geomean(medians.map(([, ratio]) => ratio)),
    worst: Math.max(...byClock),
  }
}

function row(result: CaseResult): string {
  const { name, ns, cpuNs, bytesPerIteration, scavenges, pageFaults, ratio, cpuRatio, of } = result
  const times = `${shown(ns, 1).padStart(24)} ns  ${shown(cpuNs, 1).padStart(24)} ns`
  const ratios = ratio && cpuRatio ? `  ${shown(ratio, 2)}x  ${shown(cpuRatio, 2)}x of ${of}` : ''
  const memory = `${bytesPerIteration.toFixed(2)} bytes, ${scavenges} scavenges, ${pageFaults} faults`
  return `${name.padEnd(28)}${times}${ratios}  ${memory}`
}

const shown = ([low, middle, high]: Quartiles, digits: number): string =>
  `${middle.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`
