/**
 * Suite `kvm-wfi`: what KVM does to the hardware around WFI, entry, exit, load and put, and what its guests see. Each
 * case runs as a scenario through the run loop, with the design and the baseline of the recorded kernel, Linux 6.1's;
 * every judged access and everything the guests see is compared in order, vCPU by vCPU. The recordings'
 * README says which events are judged, and which of the host's own are left out.
 */
import { type ProfileName, VgicError } from 'vgic'
import { countSkip, newTally, type Tally } from './judge.ts'
import { type Host, hostOf } from './kvm-host.ts'
import { type Case, caseOf, said } from './kvm-wfi-case.ts'
import { runCase } from './kvm-wfi-run.ts'
import { type BuiltCase, build, whyNot } from './kvm-wfi-scenario.ts'
import { RecordingError, type Trace } from './recording.ts'
import { meaning } from './registers.ts'

export function replayKvmWfi(file: string, traces: readonly Trace[], chosen?: ProfileName): Tally[] {
  const tally = newTally(file, chosen === undefined ? 'cases' : `cases, ${chosen}`)
  for (const trace of traces) {
    const host = hostOf(file, trace, chosen)
    const { gic, vhe } = trace.config
    if ((gic !== 3 && gic !== 4) || typeof vhe !== 'boolean')
      throw new RecordingError(file, trace.line, 'config.gic is not 3 or 4, or config.vhe not true or false')
    const recorded = caseOf(file, trace)
    const why = whyNot(recorded)
    if (why !== undefined) {
      countSkip(tally, why, trace.accesses)
      continue
    }
    const { accesses, sees, missed } = runCase(recorded, built(file, trace.line, recorded, host))
    const compared = recorded.programs.flatMap((_, c) => [
      ...compare(`vcpu${c} access`, recorded.accesses[c], withoutHostsOwn(recorded.accesses[c], accesses[c])),
      ...compare(`vcpu${c} sees`, recorded.sees[c], sees[c]),
    ])
    count(tally, trace.name, compared, missed)
  }
  return [tally]
}

/** The machine of a case; a configuration or an op that no machine has is the recording's fault. */
function built(file: string, line: number, recorded: Case, host: Host): BuiltCase {
  try {
    return build(recorded, host)
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

/**
 * What the model did, without the host's own affairs. Recordings are also without the exits that these made where nothing
 * was different afterwards: an IRQ exit, the fold and the flush, and the entry, with what the list registers held written
 * again. Such an exit of the model is left out where it is not recorded, if the host took an IPI or a tick in it, and
 * none else. (Where the guest had emptied list registers meanwhile, recordings have moved their clearing to the next
 * exit. That is not followed: such a case fails.)
 */
export function withoutHostsOwn(recorded: readonly string[], done: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < done.length; ) {
    const exit = done.slice(i, i + idleExitAt(done, i))
    const judged = exit.filter((event) => event !== said.own)
    const isRecorded = judged.every((event, n) => event === recorded[kept.length + n])
    if (exit.length > 0 && !isRecorded) {
      i += exit.length
      continue
    }
    if (done[i] !== said.own) kept.push(done[i])
    i++
  }
  return kept
}

/** How many events from one on are an exit by the host's own interrupt that changed nothing; 0 if that is none. */
function idleExitAt(done: readonly string[], from: number): number {
  if (done[from] !== said.exit('IRQ')) return 0
  const end = done.indexOf(said.entry, from)
  // Linux 7.2 reads both of them at each exit; 6.1 reads ICH_VMCR_EL2 at a put, and never the other.
  const is72 = done.slice(from, end).some((event) => event.startsWith('r ICH_MISR_EL2'))
  const idle = is72 ? /^ICH_(LR\d+|HCR|ELRSR|VMCR|MISR)_EL2$/ : /^ICH_(LR\d+|HCR|ELRSR)_EL2$/
  const [held, written] = [new Map<string, string>(), new Map<string, string>()]
  let isOwn = false
  let at = from + 1
  for (; done[at] !== said.entry; at++) {
    if (done[at] === said.own) {
      isOwn = true
      continue
    }
    const [, e, register, value] = /^([rw]) (ICH_\w+) (0x[0-9a-f]+)$/.exec(done[at] ?? '') ?? []
    if (register === undefined || !idle.test(register)) return 0
    if (!register.startsWith('ICH_LR')) continue
    if (e === 'r') held.set(register, value)
    else if (value !== '0x0') written.set(register, value)
  }
  const isSame = held.size === written.size && [...held].every(([name, value]) => written.get(name) === value)
  return isOwn && isSame ? at + 1 - from : 0
}

/**
 * Counts each recorded event of a case once. What is too much fails the recorded event before it, whichever list that is
 * in, or the first one if there is none before it. What was to come from elsewhere and never did fails the last one.
 */
function count(tally: Tally, trace: string, compared: readonly Compared[], missed: readonly string[]): void {
  const expected = compared.filter((one) => one.expected !== undefined)
  const differences = new Map(expected.map((one) => [one, differenceOf(one)]))
  let before: Compared | undefined
  for (const one of compared) {
    const failed = before ?? expected[0]
    if (one.expected !== undefined) before = one
    else if (differences.get(failed)?.length === 0) {
      const where = one.list === failed.list ? '' : ` (${one.list})`
      const follows = before === undefined ? 'comes after' : 'is followed by'
      differences.set(failed, [`${follows} ${readable(one.actual)}${where}`])
    }
  }
  differences.get(expected[expected.length - 1])?.push(...missed)
  for (const [{ list, at }, lines] of differences) {
    tally[lines.length === 0 ? 'passed' : 'failed']++
    if (lines.length > 0) tally.failures.push({ trace, op: at, what: list, differences: lines })
  }
}

const differenceOf = ({ expected, actual }: Compared): string[] =>
  actual === expected ? [] : [`is ${readable(actual)}, should be ${readable(expected)}`]

/** An event with the fields of the register that it accesses. */
function readable(event = 'missing'): string {
  return event.replace(
    /(ICH_\w+)_EL2 (0x[0-9a-f]+)$/,
    (_, name: string, value: string) => `${name}_EL2 ${meaning(name, value)}`,
  )
}
