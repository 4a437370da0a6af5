/**
 * Suite `drivers`: what real software did to the silicon, each trace one history from reset (the recordings'
 * DRIVERS.md). After every op the output lines of every CPU are judged as well as the answer.
 */
import { Gic, type GicConfig, type OutputLine, type ProfileName } from 'vgic'
import {
  Device,
  EL1,
  EL2,
  isDeviceOp,
  MAINTENANCE_INTERRUPT,
  machineOf,
  RECORDED_ITS,
  recordedAnswer,
  recordedSpec,
  type SiliconConfig,
  spisOf,
} from './device.ts'
import {
  type Answer,
  countPastTrusted,
  countSkip,
  countVerdict,
  judge,
  newTally,
  type Tally,
  type Verdict,
} from './judge.ts'
import { isRamOp, Ram } from './ram.ts'
import { isHex, type Op, RecordingError, type Trace } from './recording.ts'
import { meaning } from './registers.ts'

/** What `config.lines` may name: outputs of the device, and the maintenance interrupt. */
const COLUMNS = ['irq', 'fiq', 'virq', 'vfiq', 'maint'] as const satisfies (OutputLine | 'maint')[]
type Column = (typeof COLUMNS)[number]
/** The physical ones: the maintenance interrupt is one of their inputs. */
const PHYSICAL = new Set<Column>(['irq', 'fiq'])

/** Marks of ops whose answer the architecture does not fix: they are done, and not compared. */
const isNotFixed = (mark: string): boolean => mark === 'access-size' || mark.startsWith('eoir-')
/** GICR_VPENDBASER.PendingLast, UNKNOWN while Valid is 1. */
const PENDING_LAST = 1n << 61n

/**
 * On GICv4.0: how the recorded silicon reads what is open of doorbells, and that it looks at a configuration byte whenever
 * it needs it. A recording of a driver has no other answers for those who read it otherwise.
 */
const RECORDED_VPES = {
  ...RECORDED_ITS.choices,
  doorbellOfPending: 'rings',
  doorbellOfMoved: 'rings',
  lpiConfig: 'uncached',
} as const satisfies GicConfig['choices']

/** The recorded machine's ITS, if it has one. */
function itsOf(config: Trace['config'], { version }: SiliconConfig): Partial<GicConfig> {
  if (config['its'] === 'off') return {}
  return version === '4.0' ? { ...RECORDED_ITS, choices: RECORDED_VPES } : RECORDED_ITS
}

/** A GIC as one trace's `config` describes the recorded machine. */
class Machine {
  readonly columns: readonly Column[]
  readonly device: Device
  /** By CPU, as the device last drove them. */
  private readonly levels: Record<OutputLine, number>[]
  private readonly ram = new Ram()

  constructor(config: Trace['config'], silicon: SiliconConfig) {
    this.columns = config['lines'] as Column[]
    const cpus = Number(config['cpus'])
    const gic = new Gic(
      {
        ...silicon,
        ...itsOf(config, silicon),
        cpus,
        spis: spisOf(silicon.profile),
        listRegisters: 4,
        priorityBits: 5,
        preemptionBits: 5,
        intidBits: 24,
      },
      {
        memory: this.ram,
        setLine: (cpu, line, level) => {
          this.levels[cpu][line] = level
        },
      },
    )
    this.levels = Array.from({ length: cpus }, () => ({ irq: 0, fiq: 0, virq: 0, vfiq: 0, wakeRequest: 0 }))
    this.device = new Device(gic, config['level'] === 'EL2' ? EL2 : EL1)
    for (const op of opsBefore(config)) this.do(op)
  }

  /** Does an op and returns its answer. */
  do(op: Op): Answer {
    // The device has moved this input by itself.
    if (op.by === 'ich') return {}
    if (op.k === 'msi') this.device.gic.sendMsi(Number(op.dev), Number(op.v))
    else if (op.k === 'ram' || op.k === 'fill') this.ram.do(op)
    else return this.device.do(op)
    return {}
  }

  nameOf(address: number): string {
    return this.device.gic.registerAt(address) ?? `0x${address.toString(16)}`
  }

  /** The output lines of every CPU, in the trace's columns. */
  lines(): number[][] {
    const { gic } = this.device
    return this.levels.map((levels, cpu) =>
      this.columns.map((column) => (column === 'maint' ? gic.line(cpu, 'maintenance') : levels[column])),
    )
  }
}

const opsBefore = (config: Trace['config']): Op[] => (config['before'] ?? []) as Op[]

/** Replays the traces of a file. */
export function replayDrivers(
  file: string,
  traces: readonly Trace[],
  profile: ProfileName = 'arch',
): Tally[] {
  const tally = newTally(file, profile)
  for (const trace of traces) {
    check(file, trace)
    const machine = machineOf(file, trace, profile, (config, silicon) => new Machine(config, silicon))
    replay(tally, trace, machine, profile)
  }
  return [tally]
}

function replay(tally: Tally, trace: Trace, machine: Machine, profile: ProfileName): void {
  const { ops, results } = trace
  let held: readonly (readonly number[])[] = machine.lines().map((levels) => levels.map(() => 0))
  for (const [i, op] of ops.entries()) {
    const result = results[i]
    held = result.lines ?? held
    const moved = cpusOfMovedInputs(ops, i + 1)
    const lines = (levels: readonly (readonly number[])[]): Answer => fieldsOf(machine.columns, levels, moved)
    const actual = { ...comparable(op, machine.do(op)), ...lines(machine.lines()) }
    const expected = { ...comparable(op, recordedAnswer(result)), ...lines(held) }
    const verdict = judge(expected, { ...result, spec: recordedSpec(result) }, actual, profile)
    if (op.u !== undefined && isNotFixed(op.u)) skipOp(tally, trace, i, op.u)
    else if (i < trace.trusted) count(tally, verdict, trace, i, machine, profile)
    else countPastTrusted(tally, verdict)
  }
}

function skipOp(tally: Tally, { trusted }: Trace, i: number, why: string): void {
  if (i < trusted) countSkip(tally, why)
  else tally.pastTrusted.total++
}

/**
 * The CPUs whose maintenance interrupt an op has moved, which is recorded as ops of their own after it. The recorded
 * physical lines of these CPUs are from before that, and the device's are from after it: they are judged with the next
 * op, which has the lines as they are then. Those of other CPUs do not depend on it.
 */
function cpusOfMovedInputs(ops: readonly Op[], from: number): ReadonlySet<number> {
  const cpus = new Set<number>()
  for (let i = from; ops[i]?.by === 'ich'; i++) cpus.add(ops[i].c ?? 0)
  return cpus
}

/** Levels as fields: `irq of CPU 0`. The physical ones of the CPUs in `moved` are left out. */
function fieldsOf(
  columns: readonly Column[],
  levels: readonly (readonly number[])[],
  moved: ReadonlySet<number>,
): Answer {
  const fields = levels.flatMap((ofCpu, cpu) =>
    ofCpu.flatMap((level, n) =>
      PHYSICAL.has(columns[n]) && moved.has(cpu) ? [] : [[`${columns[n]} of CPU ${cpu}`, String(level)]],
    ),
  )
  return Object.fromEntries(fields)
}

function comparable({ u }: Op, answer: Answer): Answer {
  if (u !== 'pendinglast-while-valid' || answer['v'] === undefined) return answer
  return { ...answer, v: `0x${(BigInt(answer['v']) & ~PENDING_LAST).toString(16)}` }
}

function count(
  tally: Tally,
  verdict: Verdict,
  trace: Trace,
  i: number,
  machine: Machine,
  profile: ProfileName,
): void {
  const { kind, differences } = verdict
  countVerdict(tally, verdict, trace.results[i], profile)
  if (kind !== 'failed') return
  const { k, c = 0, reg, a, v, intid, level } = trace.ops[i]
  const value = v === undefined ? '' : ` := ${v}`
  const name = reg ?? machine.nameOf(Number(a))
  const what = k === 'line' ? `input ${intid} := ${level}` : `${k} ${name}${value}`
  const words = (field: string, of: string): string => (field === 'v' ? meaning(reg ?? '', of) : of)
  tally.failures.push({
    trace: trace.name,
    op: i,
    what: `CPU ${c}: ${what}`,
    differences: differences.map(
      ({ field, expected, actual }) =>
        `${field} is ${words(field, actual)}, should be ${expected.map((each) => words(field, each)).join(' or ')}`,
    ),
  })
}

/** Throws for what this suite's replayer cannot make sense of. */
function check(file: string, { line, config, ops, results }: Trace): void {
  const refuse = (reason: string) => new RecordingError(file, line, reason)
  const { cpus, lines, level, before = [] } = config
  if (!Number.isInteger(cpus)) throw refuse('config.cpus is not a whole number')
  if (level !== 'EL1' && level !== 'EL2') throw refuse('config.level is neither EL1 nor EL2')
  if (!Array.isArray(lines) || !lines.every((name) => COLUMNS.includes(name))) {
    throw refuse(`config.lines does not name columns of ${COLUMNS.join(', ')}`)
  }
  if (!Array.isArray(before) || !before.every((op) => Object(op) === op))
    throw refuse('config.before is not a list of ops')
  for (const [i, op] of [...(before as Op[]), ...ops].entries()) {
    if (!isDriverOp(op, Number(cpus), config['its'] !== 'off')) {
      const where = i < before.length ? `config.before ${i}` : `op ${i - before.length}`
      throw refuse(`${where}: ${JSON.stringify(op)} is not an op of suite drivers`)
    }
  }
  for (const [i, result] of results.entries()) {
    const { lines: levels } = result
    if (levels && (levels.length !== cpus || levels.some((ofCpu) => ofCpu.length !== lines.length))) {
      throw refuse(`result ${i}: "lines" has not ${lines.length} levels of ${String(cpus)} CPUs`)
    }
  }
}

function isDriverOp(op: Op, cpus: number, hasIts: boolean): boolean {
  const { k, c = 0, intid, by } = op
  if (k === 'ram' || k === 'fill') return isRamOp(op)
  if (k === 'msi') return hasIts && isMsi(op)
  if (by !== undefined) return k === 'line' && by === 'ich' && intid === MAINTENANCE_INTERRUPT && c < cpus
  return isDeviceOp(op, cpus)
}

/** A write of an EventID with a DeviceID, which are numbers or "0x..." strings. */
const isMsi = ({ dev, v }: Op): boolean => is32Bits(dev) && is32Bits(v)

const is32Bits = (value: unknown): boolean =>
  (isHex(value) || Number.isInteger(value)) && Number(value) >= 0 && Number(value) < 2 ** 32
