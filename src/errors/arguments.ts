/**
 * Checks of the arguments of public calls. A check returns the value, or throws a `VgicError` that names the
 * argument, says what it must be, and shows it in a form that tells its type. `argument…` checks throw with code
 * `argument`, `config…` checks with code `config`.
 *
 * Hot calls check too. A right value costs a comparison or two and allocates nothing; the message for a wrong one is
 * made in a separate function, which is not inlined.
 */
import { nearest } from './did-you-mean.ts'
import { hex } from './printed.ts'
import { VgicError } from './vgic-error.ts'

type Code = 'argument' | 'config'

/** `"2"`, `2n`, `an array`: a value as a message shows it. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value)
    case 'bigint':
      return `${value}n`
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? 'an array' : 'an object'
    case 'function':
    case 'symbol':
      return `a ${typeof value}`
    default:
      return String(value)
  }
}

/** `"a", "b" or "c"`. */
function listed(values: readonly unknown[]): string {
  const all = values.map(shown)
  return all.length < 2 ? all.join() : `${all.slice(0, -1).join(', ')} or ${all[all.length - 1]}`
}

/** As {@link shown}; an address, or a register's bits, in hexadecimal. */
export const shownInHex = (value: unknown): string =>
  (typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value))) && value >= 0
    ? hex(value)
    : shown(value)

function refuse(code: Code, name: string, must: string, value: unknown): never {
  throw new VgicError(code, `${name} must be ${must}, but is ${shown(value)}.`)
}

function refuseInteger(code: Code, name: string, value: unknown, min: number, max: number): never {
  refuse(code, name, `an integer from ${min} to ${max}`, value)
}

/** An integer from `min` to `max`. */
export function argumentInteger(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  return refuseInteger('argument', name, value, min, max)
}

/** An integer from `min` to `max`. */
export function configInteger(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  return refuseInteger('config', name, value, min, max)
}

/**
 * Any number, whole or not: an address, a size or an encoding that comes from a guest. What is at that address or
 * encoding is for the architecture to say.
 */
export function argumentNumber(name: string, value: number): number {
  return typeof value === 'number' ? value : refuse('argument', name, 'a number', value)
}

/** A system register's encoding: any number, as {@link argumentNumber}. */
export function argumentEncoding(value: number): number {
  return typeof value === 'number' ? value : refuse('argument', 'encoding', ENCODING, value)
}
const ENCODING = "a number, one of this library's ICC_ and ICH_ constants or what encodeSysreg() returns"

/** A number of 32 bits, signed or not. `otherwise` tells the caller of a wider one what to do. */
export function argumentWord(name: string, value: number, otherwise: string): number {
  if (typeof value !== 'number') refuse('argument', name, 'a number', value)
  if (value > 0xffff_ffff || value < -0x8000_0000) refuseWide(name, value, otherwise)
  return value
}

function refuseWide(name: string, value: number, otherwise: string): never {
  throw new VgicError('argument', `${name} must be below 2^32, but is ${value}: ${otherwise}.`)
}

const BITS_64 = { min: -(1n << 63n), end: 1n << 64n }
const isBits64 = (value: bigint): boolean => value >= BITS_64.min && value < BITS_64.end

/** A bigint of 64 bits, signed or not. */
export function argumentBigint(name: string, value: bigint): bigint {
  if (typeof value !== 'bigint') refuse('argument', name, 'a bigint, such as 1n', value)
  return isBits64(value) ? value : refuse('argument', name, 'a bigint of at most 64 bits', value)
}

/** An integer of 64 bits, signed or not, as a number or a bigint. */
export function argumentBits(name: string, value: number | bigint): bigint {
  return BigInt(argumentBits64(name, value))
}

/** The same for a hot call, which takes the value apart without a bigint: see {@link lowOf}. */
export function argumentBits64(name: string, value: number | bigint): number | bigint {
  const isRight =
    typeof value === 'number'
      ? Number.isInteger(value) && value >= -HALF_RANGE && value < 2 * HALF_RANGE
      : typeof value === 'bigint' && isBits64(value)
  return isRight
    ? value
    : refuse('argument', name, 'an integer of at most 64 bits, a number or a bigint', value)
}
const HALF_RANGE = 2 ** 63

/** The level of a line; whether it is high. */
export function argumentLevel(name: string, value: number | boolean): boolean {
  if (value === 0 || value === false) return false
  if (value === 1 || value === true) return true
  return refuse('argument', name, '0, 1, false or true', value)
}

/** The bytes of an access. */
export function argumentSize(name: string, value: number): number {
  if (value === 4 || value === 8 || value === 1 || value === 2) return value
  return refuse('argument', name, '1, 2, 4 or 8', value)
}

/** Any object but an array; instances of classes included. The caller checks its fields. */
export function argumentObject<T>(name: string, value: T, what: string): T {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? value : refuse('argument', name, what, value)
}

/**
 * An object of one of this library's classes, recognised by a method that it has, so that one made by another copy of
 * the library passes.
 */
export function argumentWith<T>(name: string, value: T, method: keyof T & string, what: string): T {
  const isObject = typeof value === 'object' && value !== null
  return isObject && typeof value[method] === 'function' ? value : refuse('argument', name, what, value)
}

/** A string. */
export function argumentString(name: string, value: string): string {
  return typeof value === 'string' ? value : refuse('argument', name, 'a string', value)
}

/** A function; `shape` shows its parameters and result. */
export function argumentFunction<T>(name: string, value: T, shape: string): T {
  return typeof value === 'function' ? value : refuse('argument', name, `a function ${shape}`, value)
}

/** Calls a function that writes something, which is to be there when it returns: an async one would write the rest too late. */
export function argumentWrites<T>(name: string, write: (to: T) => unknown, to: T): void {
  const returned = write(to)
  if (typeof returned !== 'object' || returned === null || !('then' in returned)) return
  throw new VgicError(
    'argument',
    `${name} must have written everything when it returns, but returned a promise: leave async out, and wait for what it needs before.`,
  )
}

const boolean =
  (code: Code) =>
  (name: string, value: boolean): boolean =>
    typeof value === 'boolean' ? value : refuse(code, name, 'true or false', value)
/** True or false; no other value, truthy or falsy. */
export const argumentBoolean = boolean('argument')
/** True or false; no other value, truthy or falsy. */
export const configBoolean = boolean('config')

const oneOf =
  (code: Code) =>
  <T>(name: string, value: T, values: readonly T[]): T => {
    if (values.includes(value)) return value
    const meant = isString(value)
      ? nearest(value, (values as readonly unknown[]).filter(isString))
      : undefined
    if (meant === undefined) return refuse(code, name, listed(values), value)
    throw new VgicError(
      code,
      `${name} must be ${listed(values)}, but is ${shown(value)}: did you mean ${shown(meant)}?`,
    )
  }
const isString = (value: unknown): value is string => typeof value === 'string'
/** One of some values. */
export const argumentOneOf = oneOf('argument')
/** One of some values. */
export const configOneOf = oneOf('config')

const list =
  (code: Code) =>
  <T>(name: string, value: readonly T[], what: string): readonly T[] =>
    Array.isArray(value) ? Array.from<T>(value) : refuse(code, name, `an array of ${what}`, value)
/** An array; returns a copy without holes. The caller checks its elements. */
export const argumentList = list('argument')
/** An array; returns a copy without holes. The caller checks its elements. */
export const configList = list('config')

/** The names of the fields of an options type. The type makes it an error to leave one out. */
export type Fields<T> = { readonly [K in keyof Required<T>]: true }

/** Whether a value is a plain object, as `{}` and JSON make it, of any realm; instances of classes are not. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** A plain object with fields of any names. The caller checks their values. */
export function argumentRecord<T>(name: string, value: T, what: string): T {
  return isPlainObject(value) ? value : refuse('argument', name, what, value)
}

const options =
  (code: Code) =>
  <T>(what: string, value: T, fields: Fields<T>): T => {
    const known = Object.keys(fields)
    if (!isPlainObject(value)) {
      const is = shown(value) === 'an object' ? 'an instance of a class' : shown(value)
      throw new VgicError(code, `${what} must be a plain object with ${named(known)}, but is ${is}.`)
    }
    for (const [name, field] of Object.entries(value)) {
      if (!known.includes(name)) throw new VgicError(code, `${what} has no ${unknown(name, known)}`)
      if (field === null)
        throw new VgicError(code, `${what} must not have null as ${name}: leave out what is not given.`)
    }
    return value
  }
const named = (known: readonly string[]): string => known.join(', ')
const unknown = (name: string, known: readonly string[]): string => {
  const meant = nearest(name, known)
  const plain = /^[\w.-]+$/.test(name) ? name : shown(name)
  return meant === undefined ? `${plain}; it has ${named(known)}.` : `${plain}: did you mean ${meant}?`
}
/** A plain object with no other fields than these. The caller checks their values. */
export const argumentOptions = options('argument')
/** A plain object with no other fields than these. The caller checks their values. */
export const configOptions = options('config')
