/**
 * `npm run driver-reports -- FILE...`: replays what recorded drivers did on a GIC that reports missing barriers and
 * UNPREDICTABLE uses, and says which there were. A recording of suite `drivers`, `its`, `v4`, `v41` or `phys`.
 */
import { pathToFileURL } from 'node:url'
import { Gic, type GicConfig, type GicHost } from 'vgic'
import { saysHelp } from '../command-line.ts'
import { Device, EL1, EL2, machineOf, RECORDED_ITS, type SiliconConfig, SPIS } from './device.ts'
import { machineConfig } from './gicv4.ts'
import { isRamOp, Ram } from './ram.ts'
import { type Op, RecordingError, readRecording, type Trace } from './recording.ts'

/** What a driver was told, and where. */
export interface DriverReport {
  readonly trace: string
  /** The op that made it known; -1 for one that is done before the first. */
  readonly op: number
  /** `B1`, or the name of an UNPREDICTABLE use. */
  readonly rule: string
  readonly access: string
  readonly what: string
}

const help = `
npm run driver-reports -- FILE...

Replays what recorded drivers did on a GIC that reports missing barriers and UNPREDICTABLE uses, and says which there were.
FILE is a recording of suite drivers, its, v4, v41 or phys. Exits with 2 if one cannot be replayed.

  --help  this
`

const SUITES = ['drivers', 'its', 'v4', 'v41', 'phys']

/** What the recorded machines of the suites have. */
function configOf(suite: string, config: Trace['config'], silicon: SiliconConfig): GicConfig {
  const common = { ...silicon, spis: SPIS, cpus: Number(config['cpus']) }
  const reporting = { barriers: 'report', unpredictable: 'report' } as const
  const its = suite === 'phys' || config['its'] === 'off' ? {} : RECORDED_ITS
  if (suite === 'drivers') return { ...common, ...its, ...reporting }
  const priorityBits = Number(config['priority_bits'])
  const preemptionBits = Number(config['preemption_bits'])
  return { ...common, ...its, priorityBits, preemptionBits, ...machineConfig(config), ...reporting }
}

/** Does what a driver of a trace did. */
class RecordedDriver {
  private readonly device: Device
  private readonly ram = new Ram()

  constructor(suite: string, config: Trace['config'], silicon: SiliconConfig, host: GicHost) {
    const gic = new Gic(configOf(suite, config, silicon), { memory: this.ram, ...host })
    const isHypervisor = suite.startsWith('v4') || config['level'] === 'EL2'
    this.device = new Device(gic, isHypervisor ? EL2 : EL1)
  }

  do(op: Op): void {
    if (op.by === 'ich' || op.k === 'obs') return
    if (op.k === 'msi') this.device.gic.sendMsi(Number(op.dev), Number(op.v))
    else if (isRamOp(op)) this.ram.do(op)
    else this.device.do(op)
  }
}

/** What the drivers of a recording are told. */
export function driverReports(file: string, traces: readonly Trace[]): DriverReport[] {
  return traces.flatMap((trace) => {
    const reports: DriverReport[] = []
    let op = -1
    const add = (rule: string, access: string, what: string): void => {
      reports.push({ trace: trace.name, op, rule, access, what })
    }
    const driver = machineOf(file, trace, 'arch', (config, silicon) => {
      return new RecordedDriver(trace.suite, config, silicon, {
        onMissingBarrier: ({ rule, access, what }) => add(rule, access, what),
        onUnpredictable: ({ rule, access, cpu }) => add(rule, access, `CPU ${cpu ?? '-'}`),
      })
    })
    for (const each of (trace.config['before'] ?? []) as Op[]) driver.do(each)
    for (const each of trace.ops) {
      op++
      driver.do(each)
    }
    return reports
  })
}

const whyNot = (suite: string): string | undefined =>
  SUITES.includes(suite)
    ? undefined
    : `suite ${suite} has no driver of a GIC with registers: ${SUITES.join(', ')}`

function print(file: string): void {
  const traces = readRecording(file, whyNot)
  const reports = driverReports(file, traces)
  console.log(`${file}: ${traces.length} traces, ${reports.length} reports`)
  const kinds = new Map<string, DriverReport[]>()
  for (const report of reports) {
    const kind = `${report.rule} ${report.access}`
    kinds.set(kind, [...(kinds.get(kind) ?? []), report])
  }
  for (const [kind, all] of kinds) {
    const [{ trace, op, what }] = all
    const inTraces = new Set(all.map((report) => report.trace)).size
    console.log(`  ${kind}: ${all.length} in ${inTraces} traces, first in ${trace} op ${op}: ${what}`)
  }
}

function main(files: readonly string[]): number {
  if (saysHelp(help, files)) return 0
  try {
    for (const file of files) print(file)
    return files.length === 0 ? 2 : 0
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error
    console.error(error.message)
    return 2
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.exitCode = main(process.argv.slice(2))
