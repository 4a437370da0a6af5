/** Reading recordings: gzip'd (or plain) JSON lines, each checked before anything is replayed. */
import { readFileSync } from 'node:fs'
import { constants, gunzipSync } from 'node:zlib'

/** A recording that cannot be read: which file, which line, if it has any, and why. */
export class RecordingError extends Error {
  constructor(file: string, line: number | undefined, reason: string) {
    super(line === undefined ? `${file}: ${reason}` : `${file}: line ${line}: ${reason}`)
  }
}

/** One operation; which fields it has depends on `k`. Addresses and values are hexadecimal strings. */
export interface Op {
  readonly k: string
  readonly reg?: string
  readonly a?: string
  readonly s?: number
  readonly v?: string
  readonly c?: number
  /** `fill`: how often the value is written. */
  readonly n?: number
  /** `line`: the input, its level, and `ich` if the virtual CPU interface moved it. */
  readonly intid?: number
  readonly level?: number
  readonly by?: string
  /** What the ITS did when GITS_CWRITER was written, in words. */
  readonly cmds?: readonly string[]
  /** `msi`: the DeviceID. */
  readonly dev?: number | string
  /** The architecture does not fix the outcome. */
  readonly u?: string
}

/** What the recorded implementation answered. */
export interface Result {
  readonly v?: string
  readonly trap?: string
  readonly fault?: string
  readonly gfault?: string
  /** What `obs` reads, by CPU. */
  readonly cpus?: readonly (readonly string[])[]
  /** Suite `ich`: the state after the op, in the order of `config.state`. */
  readonly st?: readonly string[]
  /** Suite `drivers`: the output lines' levels by CPU, in the order of `config.lines`. */
  readonly lines?: readonly (readonly number[])[]
  /** Names of DEVIATIONS.md, with what the architecture says instead. */
  readonly dev?: readonly string[]
  readonly spec?: Readonly<Record<string, string>>
  /** Further answers that combinations of the named readings give or, without `dev`, other readings of an open rule. */
  readonly alt?: readonly Readonly<Record<string, string>>[]
  /** The bits of `v` that are compared. */
  readonly mask?: string
  /** Suite `v41`: the rules that are judged. */
  readonly rule?: readonly number[]
}

export interface Trace {
  readonly line: number
  readonly suite: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly ops: readonly Op[]
  readonly results: readonly Result[]
  /** Suite `kvm-wfi`: judged accesses and what the guest sees, which it has instead of ops. */
  readonly accesses: number
  /** The whole line, for a suite with a format of its own. */
  readonly json: Readonly<Record<string, unknown>>
  /** How many leading ops are judged. */
  readonly trusted: number
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Whether something is a value as recordings write it. */
export const isHex = (value: unknown): value is string =>
  typeof value === 'string' && /^0x[0-9a-f]+$/i.test(value)

/**
 * Reads a file; throws a {@link RecordingError} for what is not a whole, well-formed recording, and for a suite of which
 * `whyNot` has a reason.
 */
export function readRecording(
  file: string,
  whyNot: (suite: string) => string | undefined = () => undefined,
): Trace[] {
  const lines = textOf(file).split('\n')
  if (lines.at(-1) === '') lines.pop()
  else throw new RecordingError(file, lines.length, 'the last line does not end; the file is truncated')
  if (lines.length === 0) throw new RecordingError(file, 1, 'the file is empty')
  return lines.map((text, i) => traceOf(file, i + 1, text, whyNot))
}

function textOf(file: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    throw new RecordingError(file, undefined, `cannot be read (${(error as Error).message})`)
  }
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.toString('utf8')
  try {
    return gunzipSync(bytes).toString('utf8')
  } catch (error) {
    throw new RecordingError(
      file,
      linesBefore(bytes),
      `the gzip data is corrupt (${(error as Error).message})`,
    )
  }
}

/** The line in which damaged gzip data ends. */
function linesBefore(bytes: Buffer): number {
  try {
    const whole = gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })
    return whole.toString('utf8').split('\n').length
  } catch {
    return 1
  }
}

function traceOf(
  file: string,
  line: number,
  text: string,
  whyNot: (suite: string) => string | undefined,
): Trace {
  const refuse = (reason: string) => new RecordingError(file, line, reason)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw refuse(`not JSON (${(error as Error).message})`)
  }
  if (!isObject(json)) throw refuse('not an object')
  const { suite, seed, name, config } = json
  if (typeof suite !== 'string') throw refuse('"suite" is not a string')
  const why = whyNot(suite)
  if (why !== undefined) throw refuse(why)
  if (!isObject(config)) throw refuse('"config" is not an object')
  const ops = json['ops'] ?? []
  const results = json['results'] ?? []
  if (!Array.isArray(ops) || !Array.isArray(results)) throw refuse('"ops" and "results" are not lists')
  if (ops.length !== results.length) {
    throw refuse(`${ops.length} ops but ${results.length} results`)
  }
  for (const [i, op] of ops.entries()) checkOp(op, (reason) => refuse(`op ${i}: ${reason}`))
  for (const [i, result] of results.entries())
    checkResult(result, (reason) => refuse(`result ${i}: ${reason}`))
  const accesses = judgedAccesses(json)
  // Else a line that has lost everything would be one that passes.
  if (ops.length + accesses === 0) throw refuse('there is nothing in it to judge')
  const trusted = config['trusted'] === undefined ? ops.length : config['trusted']
  if (!Number.isInteger(trusted) || (trusted as number) < 0 || (trusted as number) > ops.length) {
    throw refuse(`config.trusted is not a number of ops from 0 to ${ops.length}`)
  }
  return {
    line,
    suite,
    name: String(name ?? config['directed'] ?? config['name'] ?? seed),
    config,
    ops: ops as Op[],
    results: results as Result[],
    accesses,
    json,
    trusted: trusted as number,
  }
}

/** What of a `kvm-wfi` line is judged: accesses of these kinds, and everything that the guest sees. */
const JUDGED: ReadonlySet<string> = new Set(['entry', 'exit', 'r', 'w', 'its', 'host'])
/** The timers of a host at EL2: Linux 6.1's, and Linux 7.2's. */
const HOST_TIMERS: readonly number[] = [26, 28]

/** Whether a physical interrupt is the host's own affair: its IPIs and its timer. */
export const isHostsOwn = (intid: unknown): boolean =>
  typeof intid === 'number' && (intid < 16 || HOST_TIMERS.includes(intid))

/** Whether an event of a `kvm-wfi` line is judged. */
export const isJudged = ({ e, intid }: Record<string, unknown>): boolean =>
  JUDGED.has(String(e)) && !(e === 'host' && isHostsOwn(intid))

function judgedAccesses({ accesses, guestSees }: Record<string, unknown>): number {
  const lists = (value: unknown): unknown[] => (isObject(value) ? Object.values(value).flat() : [])
  const judged = lists(accesses).filter((event) => isObject(event) && isJudged(event))
  return judged.length + lists(guestSees).length
}

function checkOp(op: unknown, refuse: (reason: string) => Error): void {
  if (!isObject(op)) throw refuse('not an object')
  if (typeof op['k'] !== 'string') throw refuse('"k" is not a string')
  for (const key of ['reg', 'u', 'by']) {
    if (op[key] !== undefined && typeof op[key] !== 'string') throw refuse(`"${key}" is not a string`)
  }
  for (const key of ['s', 'c', 'intid', 'level']) {
    if (op[key] !== undefined && !Number.isInteger(op[key])) throw refuse(`"${key}" is not a whole number`)
  }
  const { cmds = [] } = op
  if (!Array.isArray(cmds) || !cmds.every((command) => typeof command === 'string'))
    throw refuse('"cmds" is not a list of commands')
  const values = [op['a'], ...(Array.isArray(op['v']) ? op['v'] : [op['v']])]
  for (const value of values) {
    if (value !== undefined && !isHex(value)) {
      throw refuse(`${JSON.stringify(value)} is not a "0x..." string`)
    }
  }
}

const isLevels = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.every((list) => Array.isArray(list) && list.every((level) => level === 0 || level === 1))

function checkResult(result: unknown, refuse: (reason: string) => Error): void {
  if (!isObject(result)) throw refuse('not an object')
  const answers = ['v', 'trap', 'fault', 'gfault'].map((key) => result[key])
  const state = result['st'] ?? []
  if (!Array.isArray(state)) throw refuse('"st" is not a list')
  for (const value of [...answers, ...state]) {
    if (value !== undefined && !isHex(value)) {
      throw refuse(`${JSON.stringify(value)} is not a "0x..." string`)
    }
  }
  const { ec, dev, spec, alt, lines, mask } = result
  const syndrome = answers.slice(1).find((value) => value !== undefined)
  // Only the syndrome is compared: the class that stands beside it must be its own.
  if (ec !== undefined && !(isHex(ec) && isHex(syndrome) && Number(ec) === Number(syndrome) >>> 26)) {
    throw refuse(`"ec" is not the exception class of the syndrome ${String(syndrome)}`)
  }
  if (lines !== undefined && !isLevels(lines)) throw refuse('"lines" is not a list of lists of 0 and 1')
  if (mask !== undefined && !isHex(mask)) throw refuse('"mask" is not a "0x..." string')
  if (alt !== undefined && !Array.isArray(alt)) throw refuse('"alt" is not a list')
  if (dev === undefined && spec === undefined) return
  if (!Array.isArray(dev) || dev.length === 0 || !dev.every((name) => typeof name === 'string')) {
    throw refuse('"dev" is not a list of names')
  }
  if (spec === undefined) throw refuse('"dev" without "spec"')
}
