/**
 * `npm run conformance -- [--json] FILE...`: replays recordings and says, per file and mode, how many
 * operations passed. Exits 1 if any failed, 2 if a file cannot be read as a recording.
 */
import { replayDrivers } from './drivers.ts'
import { replayIch } from './ich.ts'
import { countSkip, newTally, summary, type Tally } from './judge.ts'
import { replayKvm } from './kvm.ts'
import { replayKvmWfi } from './kvm-wfi.ts'
import { replayPhys } from './phys.ts'
import { RecordingError, readRecording, type Trace } from './recording.ts'

/** How many failed operations of a file are shown. */
const SHOWN = 5

const suites: Readonly<Record<string, (file: string, traces: readonly Trace[]) => Tally[]>> = {
  ich: replayIch,
  kvm: replayKvm,
  'kvm-wfi': replayKvmWfi,
  phys: replayPhys,
  drivers: replayDrivers,
}

function replay(file: string): Tally[] {
  const traces = readRecording(file)
  const { suite } = traces[0]
  const other = traces.find((trace) => trace.suite !== suite)
  if (other) throw new RecordingError(file, other.line, `suite ${other.suite} in a file of suite ${suite}`)
  if (Object.hasOwn(suites, suite)) return suites[suite](file, traces)
  const tally = newTally(file, 'none')
  for (const { ops, trusted, accesses } of traces) {
    countSkip(tally, `this version does not replay suite ${suite}`, trusted + accesses)
    tally.pastTrusted.total += ops.length - trusted
  }
  return [tally]
}

function print(tally: Tally): void {
  console.log(summary(tally))
  for (const [why, count] of Object.entries(tally.skips)) console.log(`  skipped ${count}: ${why}`)
  for (const { trace, op, what, differences } of tally.failures.slice(0, SHOWN)) {
    console.log(`  trace ${trace} op ${op}: ${what}`)
    for (const line of differences) console.log(`    ${line}`)
  }
  if (tally.failures.length > SHOWN) console.log(`  and ${tally.failures.length - SHOWN} more`)
}

function main(args: readonly string[]): number {
  const files = args.filter((arg) => arg !== '--json')
  if (files.length === 0 || files.some((file) => file.startsWith('--'))) {
    console.error('usage: npm run conformance -- [--json] FILE...')
    return 2
  }
  try {
    const tallies = files.flatMap(replay)
    if (args.includes('--json')) console.log(JSON.stringify(tallies, null, 2))
    else for (const tally of tallies) print(tally)
    return tallies.some(({ failed }) => failed > 0) ? 1 : 0
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error
    console.error(error.message)
    return 2
  }
}

process.exitCode = main(process.argv.slice(2))
