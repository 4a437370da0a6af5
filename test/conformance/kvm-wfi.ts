/**
 * Suite `kvm-wfi`: what KVM does to the hardware around WFI, entry, exit, load and put, and what its guests see. Each
 * case runs as a scenario through the run loop, with the design and the baseline of the recorded kernel, Linux 6.1's
 * `wfi-handler`; every judged access and everything the guests see is compared in order, vCPU by vCPU. The recordings'
 * README says which events are judged, and which of the host's own are left out.
 */
import { VgicError } from 'vgic'
import { countSkip, newTally, type Tally } from './judge.ts'
import { type Case, caseOf } from './kvm-wfi-case.ts'
import { runCase } from './kvm-wfi-run.ts'
import { type BuiltCase, build, whyNot } from './kvm-wfi-scenario.ts'
import { RecordingError, type Trace } from './recording.ts'
import { meaning } from './registers.ts'

export function replayKvmWfi(file: string, traces: readonly Trace[]): Tally[] {
  const tally = newTally(file, 'cases')
  for (const trace of traces) {
    if (trace.config['gic'] !== 3) {
      countSkip(tally, 'GICv4: this version has no vPEs', trace.accesses)
      continue
    }
    const recorded = caseOf(file, trace)
    const why = whyNot(recorded)
    if (why !== undefined) {
      countSkip(tally, why, trace.accesses)
      continue
    }
    const { accesses, sees } = runCase(recorded, built(file, trace.line, recorded))
    for (let c = 0; c < recorded.cpus; c++) {
      count(tally, trace.name, [
        ...compare(`vcpu${c} access`, recorded.accesses[c], accesses[c]),
        ...compare(`vcpu${c} sees`, recorded.sees[c], sees[c]),
      ])
    }
  }
  return [tally]
}

/** The machine of a case; a configuration or an op that no machine has is the recording's fault. */
function built(file: string, line: number, recorded: Case): BuiltCase {
  try {
    return build(recorded)
  } catch (error) {
    if (error instanceof VgicError) throw new RecordingError(file, line, error.message)
    throw error
  }
}

/** A recorded event and what the model did in its place; one that only the model has is too much. */
interface Compared {
  readonly list: string
  readonly at: number
  readonly expected: string | undefined
  readonly actual: string | undefined
}

const compare = (list: string, expected: readonly string[], actual: readonly string[]): Compared[] =>
  Array.from({ length: Math.max(expected.length, actual.length) }, (_, at) => ({
    list,
    at,
    expected: expected[at],
    actual: actual[at],
  }))

/** Counts each recorded event once. What is too much fails the event before it. */
function count(tally: Tally, trace: string, compared: readonly Compared[]): void {
  for (const [i, { list, at, expected, actual }] of compared.entries()) {
    if (expected === undefined) continue
    const tooMuch = compared[i + 1]?.expected === undefined ? compared[i + 1]?.actual : undefined
    if (actual === expected && tooMuch === undefined) {
      tally.passed++
      continue
    }
    tally.failed++
    const difference =
      actual === expected
        ? `is followed by ${readable(tooMuch)}`
        : `is ${readable(actual)}, should be ${readable(expected)}`
    tally.failures.push({ trace, op: at, what: list, differences: [difference] })
  }
}

/** An event with the fields of the register that it accesses. */
function readable(event = 'missing'): string {
  return event.replace(
    /(ICH_\w+)_EL2 (0x[0-9a-f]+)$/,
    (_, name: string, value: string) => `${name}_EL2 ${meaning(name, value)}`,
  )
}
