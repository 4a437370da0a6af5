/**
 * Replays recordings and says, per file and mode, how many operations passed. The status is 1 if any failed, 2 if a file
 * is not one that this version replays. `--profile` replaces the silicon's implementation choices: `arch`, or for
 * recordings of a hypervisor what they were made on.
 */
import { type ProfileName, profiles } from 'vgic'
import { replayDrivers } from './drivers.ts'
import { replayGicv4 } from './gicv4.ts'
import { replayIch } from './ich.ts'
import { replayIts } from './its.ts'
import { summary, type Tally } from './judge.ts'
import { replayKvm } from './kvm.ts'
import { replayKvmWfi } from './kvm-wfi.ts'
import { replayPhys } from './phys.ts'
import { RecordingError, readRecording, type Trace } from './recording.ts'

/** How many failed operations of a file are shown. */
const SHOWN = 5

type Replay = (file: string, traces: readonly Trace[], profile?: ProfileName) => Tally[]

const suites: Readonly<Record<string, Replay>> = {
  ich: replayIch,
  kvm: replayKvm,
  'kvm-wfi': replayKvmWfi,
  phys: replayPhys,
  its: replayIts,
  v4: replayGicv4,
  v41: replayGicv4,
  drivers: replayDrivers,
}

/** What the silicon lacks for a suite of the recordings. */
const lacking: Readonly<Record<string, string>> = {
  nmi: 'non-maskable interrupts',
}

function whyNot(suite: string): string | undefined {
  if (Object.hasOwn(suites, suite)) return undefined
  const why = Object.hasOwn(lacking, suite)
    ? `which needs ${lacking[suite]}`
    : `only ${Object.keys(suites).join(', ')}`
  return `this version does not replay suite ${suite}, ${why}`
}

function replay(file: string, profile: ProfileName | undefined): Tally[] {
  const traces = readRecording(file, whyNot)
  const { suite } = traces[0]
  const other = traces.find((trace) => trace.suite !== suite)
  if (other) throw new RecordingError(file, other.line, `suite ${other.suite} in a file of suite ${suite}`)
  return suites[suite](file, traces, profile)
}

function print(tally: Tally, profile: ProfileName = 'arch'): void {
  console.log(summary(tally))
  // No profile imitates what is a plain bug of what was recorded.
  if (profile !== 'arch' && tally.bySpec > 0)
    console.log(`  of the passed, ${tally.bySpec} as the architecture says and not as recorded`)
  for (const [why, count] of Object.entries(tally.skips)) console.log(`  skipped ${count}: ${why}`)
  for (const { trace, op, what, differences } of tally.failures.slice(0, SHOWN)) {
    console.log(`  trace ${trace} op ${op}: ${what}`)
    for (const line of differences) console.log(`    ${line}`)
  }
  if (tally.failures.length > SHOWN) console.log(`  and ${tally.failures.length - SHOWN} more`)
}

interface Request {
  readonly json: boolean
  readonly profile: ProfileName | undefined
  readonly files: readonly string[]
}

const isProfile = (name: string): name is ProfileName => Object.hasOwn(profiles, name)

/** What the command line asks for; a string says what is wrong with it. */
function parse(args: readonly string[]): Request | string {
  const files: string[] = []
  let json = false
  let profile: ProfileName | undefined
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]
    if (arg === '--json') json = true
    else if (arg === '--profile') {
      const name = args[++i] ?? ''
      if (!isProfile(name)) return `--profile must be one of ${Object.keys(profiles).join(', ')}`
      profile = name
    } else if (arg.startsWith('--')) return `there is no option ${arg}`
    else files.push(arg)
  }
  return files.length === 0 ? 'no FILE is named' : { json, profile, files }
}

/** Replays what a command line asks for; returns the exit status. `usage` says how it is to be called. */
export function replayFiles(args: readonly string[], usage: string): number {
  const request = parse(args)
  if (typeof request === 'string') {
    console.error(`${usage}\n${request}`)
    return 2
  }
  try {
    const tallies = request.files.flatMap((file) => replay(file, request.profile))
    if (request.json) console.log(JSON.stringify(tallies, null, 2))
    else for (const tally of tallies) print(tally, request.profile)
    return tallies.some(({ failed }) => failed > 0) ? 1 : 0
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error
    console.error(error.message)
    return 2
  }
}
