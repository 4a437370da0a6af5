/**
 * Suite `phys`: the distributor, the redistributors and the physical CPU interfaces of several PEs, driven by a
 * program at EL1. Each trace starts from reset.
 */
import { Gic, VgicError } from 'vgic'
import { type Answer, countSkip, judge, newTally, type Tally, type Verdict } from './judge.ts'
import { isHex, type Op, RecordingError, type Result, type Trace } from './recording.ts'
import { encodingOf, hex, meaning, registers } from './registers.ts'

const EL1 = 1
/** What `obs` reads on every CPU. */
const OBSERVED = ['ISR', 'HPPIR0', 'HPPIR1', 'RPR'] as const
/** INTIDs of the recorded machine, 256, less the private ones. */
const SPIS = 224
const FIRST_SPI = 32
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
function answerOf({ v, fault, cpus }: Result): Answer {
  if (cpus) return fieldsOf(cpus)
  return { ...(v === undefined ? {} : { v }), ...(fault === undefined ? {} : { fault }) }
}

/** What the architecture says where it is marked: the value of `v` or of `cpus`. */
function specOf({ spec }: Result): Readonly<Record<string, string>> {
  const value: unknown = spec
  if (value === undefined) return {}
  return isGroup(value) ? fieldsOf(value) : { v: String(value) }
}

/** A GIC as one trace's `config` describes the recorded machine. */
class Machine {
  private readonly gic: Gic

  constructor({ config }: Trace) {
    const cpus = Number(config['cpus'])
    this.gic = new Gic({
      cpus,
      spis: SPIS,
      priorityBits: Number(config['priority_bits']),
      preemptionBits: Number(config['preemption_bits']),
    })
  }

  do({ k, c = 0, a, s = 4, v, reg, intid = 0, level = 0 }: Op): Answer {
    const { gic } = this
    switch (k) {
      case 'r':
        return { v: hex(s === 8 ? gic.readMmio64(Number(a)) : gic.readMmio(Number(a), s)) }
      case 'w':
        if (s === 8) gic.writeMmio64(Number(a), BigInt(String(v)))
        else gic.writeMmio(Number(a), s, Number(v))
        return {}
      case 'sr': {
        const value = gic.readSysreg64(c, encodingOf(String(reg)), EL1)
        return this.fault() ?? { v: hex(value) }
      }
      case 'sw':
        gic.writeSysreg64(c, encodingOf(String(reg)), BigInt(String(v)), EL1)
        return this.fault() ?? {}
      case 'line':
        if (intid < FIRST_SPI) gic.setPpi(c, intid, level)
        else gic.setSpi(intid, level)
        return {}
      default:
        return fieldsOf(Array.from({ length: gic.config.cpus }, (_, cpu) => this.observe(cpu)))
    }
  }

  private fault(): Answer | undefined {
    return this.gic.lastWasUndefined ? { fault: hex(this.gic.lastTrap) } : undefined
  }

  private observe(cpu: number): string[] {
    return OBSERVED.map((reg) => hex(this.gic.readSysreg(cpu, encodingOf(reg), EL1)))
  }
}

/** The machine of a trace; a configuration that no GIC has is the recording's fault. */
function machineOf(file: string, trace: Trace): Machine {
  try {
    return new Machine(trace)
  } catch (error) {
    if (error instanceof VgicError) throw new RecordingError(file, trace.line, `config: ${error.message}`)
    throw error
  }
}

/** Throws for what this suite's replayer cannot make sense of. */
function check(file: string, { line, config, ops, results }: Trace): void {
  const cpus = Number(config['cpus'])
  for (const [i, op] of ops.entries()) {
    const { k, a, s = 4, v, reg, c = 0, intid = -1, level = -1 } = op
    const known =
      (/^[rw]$/.test(k) && isHex(a) && [1, 2, 4, 8].includes(s) && (k === 'r' || isHex(v))) ||
      (/^s[rw]$/.test(k) && registers.has(reg ?? '') && (k === 'sr' || isHex(v))) ||
      (k === 'line' && intid >= 16 && intid < FIRST_SPI + SPIS && (level === 0 || level === 1)) ||
      k === 'obs'
    if (!known || !(c >= 0 && c < cpus))
      throw new RecordingError(file, line, `op ${i}: ${JSON.stringify(op)} is no op of suite phys`)
    const { cpus: rows, spec } = results[i]
    if (rows !== undefined && !isGroup(rows))
      throw new RecordingError(file, line, `result ${i}: "cpus" is not a list of lists of "0x..." strings`)
    if (spec !== undefined && !isHex(spec) && !isGroup(spec))
      throw new RecordingError(file, line, `result ${i}: "spec" is no value of "v" or "cpus"`)
  }
}

/** Replays the traces of a file. */
export function replayPhys(file: string, traces: readonly Trace[]): Tally[] {
  const tally = newTally(file, 'traces')
  for (const trace of traces) {
    check(file, trace)
    const machine = machineOf(file, trace)
    for (const [i, op] of trace.ops.entries()) {
      const result = trace.results[i]
      const verdict = judge(answerOf(result), { ...result, spec: specOf(result) }, machine.do(op))
      if (i >= trace.trusted) {
        tally.pastTrusted.total++
        if (verdict.kind !== 'failed') tally.pastTrusted.agree++
      } else if (op.u === SKIPPED) countSkip(tally, op.u)
      else count(tally, verdict, trace, i)
    }
  }
  return [tally]
}

function count(tally: Tally, { kind, differences }: Verdict, trace: Trace, i: number): void {
  tally[kind]++
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
