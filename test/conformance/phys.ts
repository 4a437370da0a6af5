/**
 * Suite `phys`: the distributor, the redistributors and the physical CPU interfaces of several PEs, driven by a
 * program at EL1. Each trace starts from reset.
 */
import { Gic, type ProfileName } from 'vgic'
import {
  Device,
  EL1,
  isDeviceOp,
  machineOf,
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
import { isHex, type Op, RecordingError, type Result, type Trace } from './recording.ts'
import { encodingOf, hex, meaning } from './registers.ts'

/** What `obs` reads on every CPU. */
const OBSERVED = ['ISR', 'HPPIR0', 'HPPIR1', 'RPR'] as const
/** Marks of ops of which README says to skip the comparison. */
const SKIPPED = 'access-size'

const isGroup = (value: unknown): value is string[][] =>
  Array.isArray(value) && value.every((row) => Array.isArray(row) && row.every(isHex))

/** The rows of an `obs` as fields: `cpu 1 HPPIR0`. */
const fieldsOf = (cpus: readonly (readonly string[])[]): Answer =>
  Object.fromEntries(
    cpus.flatMap((row, cpu) => row.map((value, i) => [`cpu ${cpu} ${OBSERVED[i]}`, value] as const)),
  )

/** An answer as the recording has it: the fields that the op reads, or a fault. */
const answerOf = (result: Result): Answer => (result.cpus ? fieldsOf(result.cpus) : recordedAnswer(result))

/** What the architecture says where it is marked: the value of `v` or of `cpus`. */
function specOf(result: Result): Answer {
  const value: unknown = result.spec
  return isGroup(value) ? fieldsOf(value) : recordedSpec(result)
}

/** Further answers that pass: values of `v` or of `cpus`, or answers. */
const alternativesOf = ({ alt = [] }: Result): readonly Answer[] =>
  alt.map((value: unknown) => {
    if (isGroup(value)) return fieldsOf(value)
    return typeof value === 'string' ? { v: value } : (value as Answer)
  })

/** The mark of reads of GICR_VPENDBASER whose PendingLast, bit 61, means nothing. */
const UNKNOWN_PENDING_LAST = 'pendinglast-while-valid'
const PENDING_LAST = 1n << 61n

/** The bits of `v` that are compared. */
function maskOf({ a, u }: Op, { mask }: Result): bigint | undefined {
  if (mask !== undefined) return BigInt(mask)
  if (u !== UNKNOWN_PENDING_LAST) return undefined
  const isUpperHalf = Number(a) % 8 === 4
  return ~(isUpperHalf ? PENDING_LAST >> 32n : PENDING_LAST)
}

/** An answer with no more than the bits of `v` that are compared. */
const masked = (answer: Answer, mask: bigint | undefined): Answer =>
  mask === undefined || answer['v'] === undefined ? answer : { ...answer, v: hex(BigInt(answer['v']) & mask) }

/** Judges an answer to an op. */
function judgeOp(op: Op, result: Result, answer: Answer, profile: ProfileName): Verdict {
  const mask = maskOf(op, result)
  const alt = alternativesOf(result).map((other) => masked(other, mask))
  const spec = masked(specOf(result), mask)
  return judge(masked(answerOf(result), mask), { ...result, spec, alt }, masked(answer, mask), profile)
}

/** A GIC as one trace's `config` describes the recorded machine. */
class Machine {
  private readonly gic: Gic
  private readonly device: Device

  constructor(config: Trace['config'], silicon: SiliconConfig) {
    this.gic = new Gic({
      ...silicon,
      cpus: Number(config['cpus']),
      spis: spisOf(silicon.profile),
      priorityBits: Number(config['priority_bits']),
      preemptionBits: Number(config['preemption_bits']),
    })
    this.device = new Device(this.gic, EL1)
  }

  do(op: Op): Answer {
    if (op.k !== 'obs') return this.device.do(op)
    return observe(this.gic)
  }
}

/** What `obs` reads. */
export const observe = (gic: Gic, el: number = EL1): Answer =>
  fieldsOf(
    Array.from({ length: gic.config.cpus }, (_, cpu) =>
      OBSERVED.map((reg) => hex(gic.readSysreg(cpu, encodingOf(reg), el))),
    ),
  )

/** Throws for what this suite's replayer cannot make sense of. */
function check(
  file: string,
  { line, suite, config, ops, results }: Trace,
  isKnown: (op: Op, cpus: number) => boolean,
): void {
  const cpus = Number(config['cpus'])
  for (const [i, op] of ops.entries()) {
    const { k, c = 0 } = op
    if (!(k === 'obs' ? c >= 0 && c < cpus : isKnown(op, cpus)))
      throw new RecordingError(file, line, `op ${i}: ${JSON.stringify(op)} is not an op of suite ${suite}`)
    const { cpus: rows, spec } = results[i]
    if (rows !== undefined && !isGroup(rows))
      throw new RecordingError(file, line, `result ${i}: "cpus" is not a list of lists of "0x..." strings`)
    if (spec !== undefined && !isHex(spec) && !isGroup(spec))
      throw new RecordingError(file, line, `result ${i}: "spec" is no value of "v" or "cpus"`)
  }
}

/** Replays the traces of a file. */
export function replayPhys(file: string, traces: readonly Trace[], profile: ProfileName = 'arch'): Tally[] {
  const isPhysOp = (op: Op, cpus: number): boolean => isDeviceOp(op, cpus) && !op.k.startsWith('g')
  return replayProgram(file, traces, profile, isPhysOp, (config, silicon) => new Machine(config, silicon))
}

/** A machine under a program at EL1 that keeps to the ops of its suite and `obs`. */
interface ProgramMachine {
  do(op: Op): Answer
}

/** Replays the traces of a file, each on a machine of its own; `isKnown` says which ops but `obs` it can do. */
export function replayProgram(
  file: string,
  traces: readonly Trace[],
  profile: ProfileName,
  isKnown: (op: Op, cpus: number) => boolean,
  make: (config: Trace['config'], silicon: SiliconConfig) => ProgramMachine,
): Tally[] {
  const tally = newTally(file, 'traces', profile)
  for (const trace of traces) {
    check(file, trace, isKnown)
    const machine = machineOf(file, trace, profile, make)
    for (const [i, op] of trace.ops.entries()) {
      const result = trace.results[i]
      const verdict = judgeOp(op, result, machine.do(op), profile)
      if (i >= trace.trusted) countPastTrusted(tally, verdict)
      else if (op.u === SKIPPED) countSkip(tally, op.u)
      else count(tally, verdict, trace, i, profile)
    }
  }
  return [tally]
}

function count(tally: Tally, verdict: Verdict, trace: Trace, i: number, profile: ProfileName): void {
  const { kind, differences } = verdict
  countVerdict(tally, verdict, trace.results[i], profile)
  if (kind !== 'failed') return
  const { k, c = 0, reg, a, v } = trace.ops[i]
  tally.failures.push({
    trace: trace.name,
    op: i,
    what: `cpu ${c} ${k} ${reg ?? a ?? ''}${v === undefined ? '' : ` := ${v}`}`,
    differences: differences.map(({ field, expected, actual }) => {
      const register = field === 'v' ? (reg ?? '') : (field.split(' ').at(-1) ?? '')
      return `${field} is ${meaning(register, actual)}, should be ${expected.map((e) => meaning(register, e)).join(' or ')}`
    }),
  })
}
