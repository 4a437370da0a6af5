/**
 * The benchmark's worker under valgrind's callgrind. It counts the instructions between two calls of the C library's
 * `getrusage`, and the worker asks for the time of the processor just before and just after what it measures: so there is
 * neither start nor warm-up in a count, and the rounds of one process show when V8 has compiled all that it will.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { inDirectory } from './temporary.ts'

export const NO_VALGRIND = 'there is no valgrind on this machine: install it, as by apt-get install valgrind.'

/** One thread, since V8's compiler would run beside for as long as it takes; and the same seeds each time. */
const V8 = ['--predictable', '--hash-seed=1', '--random-seed=1', '--perf-basic-prof']
/** The worker measures three times for a line, of which the last is that of the line's iterations. */
const DUMPS_A_LINE = 6

/** What was executed while a line of the worker's input was measured. */
export interface Round {
  readonly instructions: number
  /** The same by function: one of V8's by its name and place, another one by its symbol. */
  readonly byFunction: ReadonlyMap<string, number>
}

/** Has the worker, a file, answer lines of input, and returns their rounds. */
export const countRounds = (worker: string, lines: readonly string[]): Promise<Round[]> =>
  inDirectory('callgrind', async (directory) => {
    const counts = join(directory, 'counts')
    const callgrind = [`--callgrind-out-file=${counts}`, '--dump-before=getrusage', '--dump-instr=yes']
    const { said, map } = await valgrind(
      ['--tool=callgrind', ...callgrind, '--compress-strings=no', '--compress-pos=no'],
      [process.execPath, ...V8, worker],
      lines,
    )
    const dumps = readdirSync(directory).length - 1
    if (dumps !== DUMPS_A_LINE * lines.length) throw new Error(`callgrind has counted nothing:\n${said}`)
    const code = readCode(map)
    return lines.map((_, i) => readRound(readFileSync(`${counts}.${DUMPS_A_LINE * (i + 1)}`, 'utf8'), code))
  })

/** What a run under valgrind leaves. */
interface Run {
  /** What valgrind said. */
  readonly said: string
  /** What V8 told perf of its code; empty if it was not asked to, or there is no V8. */
  readonly map: string
}

/** Runs a command under valgrind, with lines of input. */
export async function valgrind(
  tool: readonly string[],
  command: readonly string[],
  lines: readonly string[],
): Promise<Run> {
  const child = spawn('valgrind', [...tool, ...command], { stdio: ['pipe', 'ignore', 'pipe'] })
  // Valgrind runs node in its own process, so this is where V8 tells perf of its code.
  const mapFile = `/tmp/perf-${child.pid}.map`
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  // A command that does not read its lines says why by its exit code.
  child.stdin.on('error', () => {})
  child.stdin.end(lines.map((line) => `${line}\n`).join(''))
  try {
    const [code, signal] = await ended(child)
    if (code !== 0) throw new Error(`valgrind has ended with ${signal ?? code}:\n${said}`)
    return { said, map: existsSync(mapFile) ? readFileSync(mapFile, 'utf8') : '' }
  } finally {
    rmSync(mapFile, { force: true })
  }
}

/** The exit code of valgrind, or the signal that has ended it. */
const ended = (child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> =>
  new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new Error(NO_VALGRIND, { cause })))
    child.on('close', (code, signal) => resolve([code, signal]))
  })

/** A function that V8 has compiled. */
interface Code {
  readonly begin: number
  readonly end: number
  readonly name: string
}

/** A map for perf: `ADDRESS SIZE NAME` a line, in hexadecimal. What was compiled last comes first, since it is there now. */
const readCode = (map: string): Code[] =>
  [...map.matchAll(/^([0-9a-f]+) ([0-9a-f]+) (.*)$/gm)].reverse().map(([, begin, size, name]) => ({
    begin: Number.parseInt(begin, 16),
    end: Number.parseInt(begin, 16) + Number.parseInt(size, 16),
    name: name.replace(/ file:\/\/\S*\//, ' '),
  }))

/**
 * A dump of callgrind: `fn=NAME`, and for each instruction of it `ADDRESS LINE COUNT`; such a line after `calls=` is the
 * cost of the function that is called, which has its own.
 */
function readRound(dump: string, code: readonly Code[]): Round {
  const byFunction = new Map<string, number>()
  let instructions = 0
  let symbol = ''
  let isCall = false
  for (const line of dump.split('\n')) {
    if (line.startsWith('fn=')) symbol = line.slice('fn='.length)
    else if (line.startsWith('0x') && !isCall) {
      const [address, , count] = line.split(' ').map(Number)
      const name = code.find(({ begin, end }) => begin <= address && address < end)?.name ?? symbol
      byFunction.set(name, (byFunction.get(name) ?? 0) + count)
      instructions += count
    }
    isCall = line.startsWith('calls=')
  }
  return { instructions, byFunction }
}
