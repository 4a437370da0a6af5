/**
 * What the programs beside the library have in common: arguments that are read or refused, a header that says what ran
 * where, and progress on stderr, so that stdout has results only.
 */
import { availableParallelism, cpus, release } from 'node:os'
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** A program's command line. Every program has --help besides its options. */
export interface Program {
  /** As `npm run` knows it. */
  readonly name: string
  /** How it is called and what it does, for --help. */
  readonly help: string
  readonly options: Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>
}

export type Values = Readonly<Record<string, string | boolean | undefined>>

/** Arguments that a program can go by, or what it says instead of running, and its exit status then. */
export type Reading =
  | { readonly values: Values }
  | { readonly says: string; readonly exitCode: typeof HELPED | typeof REFUSED }

const HELPED = 0
/** As for a file that is none: not 1, which says that something was found. */
const REFUSED = 2

/** Reads a program's arguments. */
export function readArguments({ name, help, options }: Program, args: readonly string[]): Reading {
  const all: NonNullable<ParseArgsConfig['options']> = { ...options, help: { type: 'boolean' } }
  const { tokens } = parseArgs({ args: [...args], options: all, strict: false, tokens: true })
  const refuse = (why: string): Reading => ({
    says: `${name}: ${why}. See npm run ${name} -- --help.`,
    exitCode: REFUSED,
  })
  const values: Record<string, string | boolean> = {}
  for (const token of tokens) {
    if (token.kind === 'positional') return refuse(`it takes no argument ${token.value}`)
    if (token.kind !== 'option') continue
    const type = Object.hasOwn(all, token.name) ? all[token.name].type : undefined
    if (type === undefined) {
      const known = Object.keys(all).map((option) => `--${option}`)
      return refuse(`there is no option ${token.rawName}, its options are ${known.join(', ')}`)
    }
    if (type === 'boolean' && token.value !== undefined) return refuse(`${token.rawName} takes no value`)
    const isOption = token.inlineValue === false && token.value.startsWith('-')
    if (type === 'string' && (!token.value || isOption)) return refuse(`${token.rawName} needs a value`)
    values[token.name] = token.value ?? true
  }
  return values['help'] ? { says: help.trim(), exitCode: HELPED } : { values }
}

/** The arguments of the running program; undefined, with the exit status set, if it has said something instead. */
export function commandLine(program: Program, args: readonly string[]): Values | undefined {
  const reading = readArguments(program, args)
  if ('values' in reading) return reading.values
  if (reading.exitCode === HELPED) console.log(reading.says)
  else refuse(reading.says)
  return undefined
}

/** Whether the arguments of a program that takes files, or none, ask for its help, which is said then. */
export function saysHelp(help: string, args: readonly string[]): boolean {
  if (!args.includes('--help')) return false
  console.log(help.trim())
  return true
}

/** Says why a program does not run. */
export function refuse(why: string): void {
  console.error(why)
  process.exitCode = REFUSED
}

/** What ran, on which machine and Node, and how the results read. */
export function header(what: string, legend: string): string {
  const [cpu] = cpus()
  const machine = `${availableParallelism()} x ${cpu?.model.trim() || process.arch}`
  return `vgic ${what}
${machine}, ${process.platform} ${release()} ${process.arch}, Node ${process.version}
${legend}
`
}

/** Says on stderr how far a long run is: on a terminal in one line that is taken away at the end, else a line a part. */
export class Progress {
  private done = 0

  constructor(
    private readonly parts: number,
    private readonly stream: Pick<NodeJS.WriteStream, 'isTTY' | 'write'> = process.stderr,
  ) {}

  /** The next part begins. */
  next(what: string): void {
    this.done++
    const text = `${this.done}/${this.parts} ${what}`
    this.stream.write(this.stream.isTTY ? `\r\x1b[K${text}` : `${text}\n`)
  }

  /** Makes way for a result, or for the end. */
  clear(): void {
    if (this.stream.isTTY) this.stream.write('\r\x1b[K')
  }
}
