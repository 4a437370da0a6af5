/** The arguments of a subcommand: read with node:util's parseArgs, or refused with a sentence. */
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** It held, or was done. */
export const OK = 0
/** Something was found: a violation, a difference. */
export const FOUND = 1
/** The arguments, or what they name, cannot be used. */
export const REFUSED = 2
/** An exploration ended at a bound: nothing was found, and not everything was looked at. */
export const BOUNDED = 3

/** Wrong use of the command; its message is what is said. */
export class UsageError extends Error {}

/** What a subcommand writes to. */
export interface Output {
  /** A line, or several, of results. */
  print(text: string): void
  /** A line about results. */
  note(text: string): void
}

type Options = Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>

/** A subcommand. */
export interface Subcommand {
  readonly name: string
  /** In a line, for the list of all. */
  readonly summary: string
  /** How it is called and what it does. */
  readonly help: string
  /** Besides --help, and --json, which every one has. */
  readonly options: Options
  /** Does it; returns the exit status. Throws a {@link UsageError} or a VgicError for wrong use. */
  run(request: Request, output: Output): number | Promise<number>
}

/** What a subcommand was called with. */
export interface Request {
  readonly values: Readonly<Record<string, string | boolean | undefined>>
  readonly words: readonly string[]
  readonly json: boolean
}

/** Reads the arguments of a subcommand; undefined if it asks for help. */
export function readRequest({ options }: Subcommand, args: readonly string[]): Request | undefined {
  const all: NonNullable<ParseArgsConfig['options']> = {
    ...options,
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  }
  let parsed: { values: Record<string, unknown>; positionals: string[] }
  try {
    parsed = parseArgs({ args: [...args], options: all, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(sentenceOf(String(error instanceof Error ? error.message : error)))
  }
  const values = parsed.values as Request['values']
  if (values['help']) return undefined
  return { values, words: parsed.positionals, json: values['json'] === true }
}

/** What parseArgs says is wrong. */
function sentenceOf(message: string): string {
  const [, option] = /^Option '(--[\w-]+)' argument is ambiguous/.exec(message) ?? []
  if (option) return `${option} needs a value; one that begins with a dash is written ${option}=-1.`
  // The first sentence names the option; the others are advice about -- for programs that take any word.
  return `${message.split(/\. |\n/)[0]}.`
}

/** An option's value. */
export const text = ({ values }: Request, name: string): string | undefined => {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

/** A whole number, decimal or with a prefix, in which underscores do not count: `40`, `0x0800_0000`. */
export function integer(name: string, given: string): number {
  const value = Number(given.replaceAll('_', ''))
  if (given.trim() !== '' && Number.isInteger(value) && value >= 0) return value
  throw new UsageError(`${name} must be a whole number, but is ${given}.`)
}

/** An option that is a whole number. */
export function count(request: Request, name: string): number | undefined {
  const given = text(request, name)
  return given === undefined ? undefined : integer(`--${name}`, given)
}

/** A value of up to 64 bits, written in the same way. */
export function bits(name: string, given: string): bigint {
  try {
    if (given.trim() !== '') return BigInt(given.replaceAll('_', ''))
  } catch {
    // What BigInt says of it names no argument.
  }
  throw new UsageError(`${name} must be a number, such as 40 or 0x28, but is ${given}.`)
}
