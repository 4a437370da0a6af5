/**
 * The benchmark's worker under valgrind's callgrind. It counts the instructions between two calls of the C library's
 * `getrusage`, and the worker asks for the time of the processor just before and just after what it measures: so there is
 * neither start nor warm-up in a count, and the rounds of one process show when V8 has compiled all that it will.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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
export async function countRounds(worker: string, lines: readonly string[]): Promise<Round[]> {
  const directory = mkdtempSync(join(tmpdir(), 'vgic-callgrind-'))
  const counts = join(directory, 'counts')
  const callgrind = [`--callgrind-out-file=${counts}`, '--dump-before=getrusage', '--dump-instr=yes']
  const { pid, said } = await valgrind(
    ['--tool=callgrind', ...callgrind, '--compress-strings=no', '--compress-pos=no'],
    [process.execPath, ...V8, worker],
    lines,
  )
  const dumps = readdirSync(directory).length - 1
  if (dumps !== DUMPS_A_LINE * lines.length) throw new Error(`callgrind has counted nothing:\n${said}`)
  // Valgrind runs node in its own process, so this is where V8 tells perf of its code.
  const map = `/tmp/perf-${pid}.map`
  const code = readCode(readFileSync(map, 'utf8'))
  const rounds = lines.map((_, i) =>
    readRound(readFileSync(`${counts}.${DUMPS_A_LINE * (i + 1)}`, 'utf8'), code),
  )
  rmSync(directory, { recursive: true })
  rmSync(map)
  return rounds
}

/** Runs a command under valgrind, with lines of input; returns its process, and what valgrind said. */
export async function valgrind(
  tool: readonly string[],
  command: readonly string[],
  lines: readonly string[],
): Promise<{ readonly pid: number | undefined; readonly said: string }> {
  const child = spawn('valgrind', [...tool, ...command], { stdio: ['pipe', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.stdin.end(lines.map((line) => `${line}\n`).join(''))
  await new Promise((resolve) => child.on('close', resolve))
  return { pid: child.pid, said }
}

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
