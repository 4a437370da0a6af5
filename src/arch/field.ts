/**
 * Declarations of registers. A view has a line for each field, most significant first, with the bit numbers that Arm
 * prints; reserved bits have lines too, so that the lines tile the register, which a test checks. Traces, dumps,
 * diffs and docs are computed from the declarations. Hot code uses the literal masks and shifts beside each
 * declaration instead, named `REGISTER_Field`; a property test compares them with the declaration.
 */

import {
  argumentBits,
  argumentInteger,
  argumentList,
  argumentObject,
  argumentString,
  shownInHex,
} from '../errors/arguments.ts'
import { hex } from '../errors/printed.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { joined } from './doubleword.ts'

/** A named run of bits `hi:lo`, or reserved bits when `reserved` is set. */
export interface Field {
  /** The name that the architecture prints; `RES0` or `RES1` for reserved bits. */
  readonly name: string
  /** Most significant bit. */
  readonly hi: number
  /** Least significant bit. */
  readonly lo: number
  /** Reserved bits and the value they read as. */
  readonly reserved?: 'RES0' | 'RES1'
  /** Whether it is read-only although the register is writable. */
  readonly readOnly?: true
  /** The names of its values, by value, if they are an enumeration. */
  readonly values?: readonly string[]
  /** The architecture extension without which the bits are RES0. */
  readonly feature?: string
}

/** One way to read a register's bits: the fields and the reserved bits, most significant first. */
export interface RegisterView {
  /** The register's architectural name. */
  readonly name: string
  /** Width in bits. */
  readonly width: 32 | 64
  /** Fields and reserved bits; together they cover bits `width - 1` to 0 once each. */
  readonly fields: readonly Field[]
}

/** Declares a field; `lo` left out means one bit. */
export function field(name: string, hi: number, lo = hi, more: Partial<Field> = {}): Field {
  return { name, hi, lo, ...more }
}

/** Declares reserved bits that read as zero. */
export function res0(hi: number, lo = hi): Field {
  return { name: 'RES0', hi, lo, reserved: 'RES0' }
}

/** Declares reserved bits that read as one. */
export function res1(hi: number, lo = hi): Field {
  return { name: 'RES1', hi, lo, reserved: 'RES1' }
}

/** Declares one view of a register. */
export function view(name: string, width: 32 | 64, fields: readonly Field[]): RegisterView {
  return { name, width, fields }
}

/** The field's value in a 64-bit register given as two 32-bit words, as an unsigned number. */
export function extractField(field: Field, low: number, high: number): number {
  const { hi, lo } = checkField('field', field)
  checkHalf('low', low)
  checkHalf('high', high)
  const width = hi - lo + 1
  return Number(BigInt.asUintN(width, joined(low, high) >> BigInt(lo)))
}

/** A value for a field. Throws an `argument` error for one that does not fit. */
export function argumentOfField(
  what: string,
  { hi, lo }: Pick<Field, 'hi' | 'lo'>,
  value: number | bigint,
): bigint {
  const most = (1n << BigInt(hi - lo + 1)) - 1n
  const bits = argumentBits(what, value)
  if (bits >= 0n && bits <= most) return bits
  throw new VgicError('argument', `${what} must be from 0 to ${hex(most)}, but is ${shownInHex(value)}.`)
}

/** `NAME=value` for every field that is not zero; values above 9 in hexadecimal. */
export function describeRegister(view: RegisterView, low: number, high = 0): string {
  checkView('view', view)
  checkHalf('low', low)
  checkHalf('high', high)
  const parts: string[] = []
  for (const f of view.fields) {
    if (f.reserved) continue
    const value = extractField(f, low, high)
    if (value === 0) continue
    parts.push(f.hi === f.lo ? f.name : `${f.name}=${value > 9 ? `0x${value.toString(16)}` : value}`)
  }
  return parts.length ? parts.join(' ') : '0'
}

/** Throws an `argument` error for a value that is not half a register: 32 bits, signed or not. */
export function checkHalf(name: string, value: number): void {
  argumentInteger(name, value, -0x8000_0000, 0xffff_ffff)
}

function checkField(name: string, field: Field): Field {
  const { hi, lo } = argumentObject(name, field, 'a field of a register, such as those of a view')
  argumentString(`${name}.name`, field.name)
  argumentInteger(`${name}.lo`, lo, 0, 63)
  argumentInteger(`${name}.hi`, hi, lo, 63)
  return field
}

/** Throws an `argument` error for a value that is not a view of a register. */
export function checkView(name: string, view: RegisterView): RegisterView {
  argumentObject(name, view, 'a view of a register, such as those in its views')
  argumentString(`${name}.name`, view.name)
  const fields = argumentList(`${name}.fields`, view.fields, 'fields')
  for (const [i, field] of fields.entries()) checkField(`${name}.fields[${i}]`, field)
  return view
}
