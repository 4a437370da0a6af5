/**
 * Suite `drivers`: what real software did to the silicon, each trace one history from reset (the recordings'
 * DRIVERS.md). After every op the output lines of every CPU are judged as well as the answer.
 */
import { Gic, type OutputLine } from 'vgic'
import {
  Device,
  EL1,
  EL2,
  isDeviceOp,
  MAINTENANCE_INTERRUPT,
  machineOf,
  recordedAnswer,
  recordedSpec,
  SPIS,
} from './device.ts'
import { type Answer, countSkip, judge, newTally, type Tally, type Verdict } from './judge.ts'
import { type Op, RecordingError, type Trace } from './recording.ts'
import { meaning } from './registers.ts'

/** What `config.lines` may name: outputs of the device, and the maintenance interrupt. */
const COLUMNS = ['irq', 'fiq', 'virq', 'vfiq', 'maint'] as const satisfies (OutputLine | 'maint')[]
type Column = (typeof COLUMNS)[number]
/** The physical ones: the maintenance interrupt is one of their inputs. */
const PHYSICAL = new Set<Column>(['irq', 'fiq'])
/** GITS_TYPER's frame and that of GITS_TRANSLATER. */
const GITS = { base: 0x0808_0000, size: 0x2_0000 }

/** Marks of ops whose answer the architecture does not fix. */
const NOT_FIXED = new Set(['access-size', 'eoir-no-active-priority', 'eoir-not-the-last-acknowledged'])
/** GICR_VPENDBASER.PendingLast, UNKNOWN while Valid is 1. */
const PENDING_LAST = 1n << 61n

/** A GIC as one trace's `config` describes the recorded machine. */
class Machine {
  readonly columns: readonly Column[]
  private readonly device: Device
  /** By CPU, as the device last drove them. */
  private readonly levels: Record<OutputLine, number>[]

  constructor(config: Trace['config']) {
    this.columns = config['lines'] as Column[]
    const cpus = Number(config['cpus'])
    const gic = new Gic(
      { cpus, spis: SPIS, listRegisters: 4, priorityBits: 5, preemptionBits: 5, intidBits: 24 },
      {
        setLine: (cpu, line, level) => {
          this.levels[cpu][line] = level
        },
      },
    )
    this.levels = Array.from({ length: cpus }, () => ({ irq: 0, fiq: 0, virq: 0, vfiq: 0, wake: 0 }))
    this.device = new Device(gic, config['level'] === 'EL2' ? EL2 : EL1)
    for (const op of opsBefore(config)) this.do(op)
  }

  /** Does an op and returns its answer. */
  do(op: Op): Answer {
    // The device has moved this input by itself.
    return op.by === 'ich' ? {} : this.device.do(op)
  }

  nameOf(address: number): string {
    return this.device.gic.registerAt(address) ?? `0x${address.toString(16)}`
  }

  /** The output lines of every CPU, in the trace's columns. */
  lines(): number[][] {
    const { gic } = this.device
    return this.levels.map((levels, cpu) =>
      this.columns.map((column) => (column === 'maint' ? Number(gic.maintenance(cpu)) : levels[column])),
    )
  }
}

const opsBefore = (config: Trace['config']): Op[] => (config['before'] ?? []) as Op[]

/** Why an op is not replayed, or undefined. */
function skipReason({ k, a, u }: Op): string | undefined {
  if (u !== undefined && NOT_FIXED.has(u)) return u
  const address = Number(a)
  if ((k === 'r' || k === 'w') && address >= GITS.base && address < GITS.base + GITS.size) {
    return 'an access to the ITS frame: this version has no ITS'
  }
  if (k === 'msi') return 'an MSI: this version has no ITS'
  if (k === 'ram' || k === 'fill') return 'memory of the ITS and of LPIs: this version has neither'
  return undefined
}

/** Replays the traces of a file. */
export function replayDrivers(file: string, traces: readonly Trace[]): Tally[] {
  const tally = newTally(file, 'arch')
  for (const trace of traces) {
    check(file, trace)
    const machine = machineOf(file, trace, (config) => new Machine(config))
    replay(tally, trace, machine)
  }
  return [tally]
}

function replay(tally: Tally, trace: Trace, machine: Machine): void {
  const { ops, results, trusted } = trace
  const { columns } = machine
  let held: readonly (readonly number[])[] = machine.lines().map((levels) => levels.map(() => 0))
  for (const [i, op] of ops.entries()) {
    const result = results[i]
    held = result.lines ?? held
    const why = skipReason(op)
    if (why !== undefined) {
      if (i < trusted) countSkip(tally, why)
      continue
    }
    // An op that moves the maintenance interrupt was recorded with the physical lines of before that.
    const judged = columns.map((column) => !(PHYSICAL.has(column) && ops[i + 1]?.by === 'ich'))
    const lines = (levels: readonly (readonly number[])[]): Answer =>
      Object.fromEntries(
        levels.flatMap((ofCpu, cpu) =>
          ofCpu.flatMap((level, n) => (judged[n] ? [[`${columns[n]} of CPU ${cpu}`, String(level)]] : [])),
        ),
      )
    const actual = { ...comparable(op, machine.do(op)), ...lines(machine.lines()) }
    const expected = { ...comparable(op, recordedAnswer(result)), ...lines(held) }
    const verdict = judge(expected, { ...result, spec: recordedSpec(result) }, actual)
    if (i < trusted) count(tally, verdict, trace, i, machine)
    else {
      tally.pastTrusted.total++
      if (verdict.kind !== 'failed') tally.pastTrusted.agree++
    }
  }
}

function comparable({ u }: Op, answer: Answer): Answer {
  if (u !== 'pendinglast-while-valid' || answer['v'] === undefined) return answer
  return { ...answer, v: `0x${(BigInt(answer['v']) & ~PENDING_LAST).toString(16)}` }
}

function count(
  tally: Tally,
  { kind, differences }: Verdict,
  trace: Trace,
  i: number,
  machine: Machine,
): void {
  tally[kind]++
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
    if (!isDriverOp(op, Number(cpus))) {
      const where = i < before.length ? `config.before ${i}` : `op ${i - before.length}`
      throw refuse(`${where}: ${JSON.stringify(op)} is no op of suite drivers`)
    }
  }
  for (const [i, result] of results.entries()) {
    const { lines: levels } = result
    if (levels && (levels.length !== cpus || levels.some((ofCpu) => ofCpu.length !== lines.length))) {
      throw refuse(`result ${i}: "lines" has not ${lines.length} levels of ${String(cpus)} CPUs`)
    }
  }
}

function isDriverOp(op: Op, cpus: number): boolean {
  const { k, c = 0, intid, by } = op
  if (k === 'ram' || k === 'fill' || k === 'msi') return true
  if (by !== undefined) return k === 'line' && by === 'ich' && intid === MAINTENANCE_INTERRUPT && c < cpus
  return isDeviceOp(op, cpus)
}
