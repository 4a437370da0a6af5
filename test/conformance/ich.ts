/**
 * Suite `ich`: the virtual CPU interface, ICH_* at EL2 and ICV_* from a guest at EL1, with the full state after
 * each op. Replayed as whole traces, and op by op from the state that the recording gives.
 */
import { Gic, type ProfileName } from 'vgic'
import {
  Device,
  EL1,
  EL2,
  isDeviceOp,
  machineOf,
  recordedAnswer,
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
import { encodingOf, hex, meaning, registers } from './registers.ts'

/** Where the HW bit of a list register shows: the active bits of INTIDs 0-31 and 32-63. */
const ACTIVE = [
  { set: 0x080b_0300, clear: 0x080b_0380 },
  { set: 0x0800_0304, clear: 0x0800_0384 },
] as const

/** State that is loaded before a single op; the rest follows from it. */
const LOADED = ['HCR', 'VMCR', 'LR0', 'LR1', 'LR2', 'LR3', 'AP0R0', 'AP1R0'] as const
/** State that is no ICH_ register: ISR_EL1, the maintenance interrupt, the physical active bits. */
const OTHER_STATE = new Set<unknown>(['ISR', 'MI', 'PACT'])
/** Before op 0: the prologue has written zeros, which VMCR does not keep. */
const INITIAL: Answer = Object.fromEntries([
  ...LOADED.map((name) => [name, name === 'VMCR' ? '0x4c0008' : '0x0']),
  ['PACT', '0x0'],
])

/** A GIC as one trace's `config` describes the recorded machine. */
class Machine {
  private readonly gic: Gic
  private readonly device: Device
  private readonly fresh: ArrayBuffer

  constructor(config: Trace['config'], silicon: SiliconConfig) {
    this.gic = new Gic({
      ...silicon,
      cpus: Number(config['cpus'] ?? 1),
      spis: spisOf(silicon.profile),
      listRegisters: Number(config['lrs']),
      priorityBits: Number(config['priority_bits']),
      preemptionBits: Number(config['preemption_bits']),
      intidBits: Number(config['id_bits']) as 16 | 24,
    })
    this.device = new Device(this.gic, EL2)
    this.fresh = this.gic.snapshot()
  }

  reset(): void {
    this.gic.restore(this.fresh)
  }

  load(state: Answer): void {
    for (const name of LOADED) {
      this.gic.writeSysreg64(0, encodingOf(`ICH_${name}`), BigInt(state[name]), EL2)
    }
    const active = BigInt(state['PACT'])
    for (const [i, { set, clear }] of ACTIVE.entries()) {
      this.gic.writeMmio(clear, 4, 0xffffffff)
      this.gic.writeMmio(set, 4, Number((active >> BigInt(32 * i)) & 0xffffffffn))
    }
  }

  /** Does an op and returns its answer together with the state after it. */
  do(op: Op, stateNames: readonly string[]): Answer {
    return { ...this.device.do(op), ...this.state(stateNames) }
  }

  private state(names: readonly string[]): Answer {
    return Object.fromEntries(names.map((name) => [name, hex(this.stateOf(name))]))
  }

  private stateOf(name: string): number | bigint {
    const { gic } = this
    if (name === 'ISR') return gic.readSysreg(0, encodingOf('ISR'), EL1)
    if (name === 'MI') return gic.line(0, 'maintenance')
    if (name === 'PACT') {
      const [low, high] = ACTIVE.map(({ set }) => BigInt(gic.readMmio(set, 4)))
      return (high << 32n) | low
    }
    return gic.readSysreg64(0, encodingOf(`ICH_${name}`), EL2)
  }
}

const stateNames = ({ config }: Trace): string[] => config['state'] as string[]

const stateAnswer = (names: readonly string[], { st = [] }: Result): Answer =>
  Object.fromEntries(st.map((value, i) => [names[i], value]))

const wholeAnswer = (names: readonly string[], result: Result): Answer => ({
  ...recordedAnswer(result),
  ...stateAnswer(names, result),
})

/** Bits that a list register or VPMR does not keep: such a recorded state cannot be loaded. */
function loadable(state: Answer): boolean {
  const listRegisters = ['LR0', 'LR1', 'LR2', 'LR3'].every(
    (name) => (BigInt(state[name]) & 0x0f00_e000_ff00_0000n) === 0n,
  )
  return listRegisters && (BigInt(state['VMCR']) & 0x0700_0000n) === 0n
}

/** Throws for what this suite's replayer cannot make sense of. */
function check(file: string, trace: Trace): void {
  const refuse = (reason: string) => new RecordingError(file, trace.line, reason)
  const names = trace.config['state']
  if (!Array.isArray(names) || ![...LOADED, 'PACT'].every((name) => names.includes(name))) {
    throw refuse(`config.state does not name ${LOADED.join(', ')} and PACT`)
  }
  const stranger = names.find((name) => !OTHER_STATE.has(name) && !registers.has(`ICH_${name}`))
  if (stranger !== undefined)
    throw refuse(`config.state names ${JSON.stringify(stranger)}, which is no register`)
  for (const [i, op] of trace.ops.entries()) {
    if (!isDeviceOp(op, 1) || op.k === 'r' || op.k === 'line') {
      throw refuse(`op ${i}: ${JSON.stringify(op)} is not an op of suite ich`)
    }
    const { st, spec = {} } = trace.results[i]
    if (st?.length !== names.length) throw refuse(`result ${i}: "st" has not ${names.length} values`)
    if (typeof spec !== 'object' || spec === null || !Object.values(spec).every((value) => isHex(value))) {
      throw refuse(`result ${i}: "spec" is not an object of "0x..." strings`)
    }
  }
}

/** Replays the traces of a file whole and op by op. */
export function replayIch(file: string, traces: readonly Trace[], profile: ProfileName = 'arch'): Tally[] {
  const whole = newTally(file, 'traces', profile)
  const single = newTally(file, 'op by op', profile)
  for (const trace of traces) {
    check(file, trace)
    const machine = machineOf(file, trace, profile, (config, silicon) => new Machine(config, silicon))
    replayWhole(whole, machine, trace, profile)
    replaySingly(single, machine, trace, profile)
  }
  return [whole, single]
}

function replayWhole(tally: Tally, machine: Machine, trace: Trace, profile: ProfileName): void {
  const names = stateNames(trace)
  for (const [i, op] of trace.ops.entries()) {
    const result = trace.results[i]
    const verdict = judge(wholeAnswer(names, result), result, machine.do(op, names), profile)
    if (i < trace.trusted) count(tally, verdict, trace, i, profile)
    else countPastTrusted(tally, verdict)
  }
}

function replaySingly(tally: Tally, machine: Machine, trace: Trace, profile: ProfileName): void {
  const names = stateNames(trace)
  for (const [i, op] of trace.ops.entries()) {
    const before = i === 0 ? INITIAL : stateAnswer(names, trace.results[i - 1])
    if (!loadable(before)) {
      countSkip(tally, 'the recorded state cannot be loaded')
      continue
    }
    if (op.u !== undefined) {
      countSkip(tally, op.u)
      continue
    }
    machine.reset()
    machine.load(before)
    const result = trace.results[i]
    const verdict = judge(wholeAnswer(names, result), result, machine.do(op, names), profile)
    count(tally, verdict, trace, i, profile)
  }
}

function count(tally: Tally, verdict: Verdict, trace: Trace, i: number, profile: ProfileName): void {
  const { kind, differences } = verdict
  countVerdict(tally, verdict, trace.results[i], profile)
  if (kind !== 'failed') return
  const { k, reg, a, v } = trace.ops[i]
  const nameOf = (field: string): string => (field === 'v' ? (reg ?? '') : `ICH_${field}`)
  const value = v === undefined ? '' : ` := ${v}`
  tally.failures.push({
    trace: trace.name,
    op: i,
    what: `${k} ${reg ?? a}${value}`,
    differences: differences.map(
      ({ field, expected, actual }) =>
        `${field} is ${meaning(nameOf(field), actual)}, should be ${expected.map((e) => meaning(nameOf(field), e)).join(' or ')}`,
    ),
  })
}
