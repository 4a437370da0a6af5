/**
 * Registers in words: the declaration of a register by its name, encoding or offset, and values from fields and back.
 * For people, logs and tests: nothing of it is used where accesses are executed.
 */
import {
  argumentBits,
  argumentEncoding,
  argumentInteger,
  argumentOneOf,
  argumentOptions,
  argumentRecord,
  argumentString,
  shown,
} from '../errors/arguments.ts'
import { nearest } from '../errors/did-you-mean.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { halves } from './doubleword.ts'
import { argumentOfField, type Field, type RegisterView } from './field.ts'
import {
  type FrameRegister,
  frameRegisterAt,
  frameRegisterByName,
  frameRegisterNames,
  type RegisterFrame,
  registerFrames,
} from './frame-registers.ts'
import { HCR_EL2_REGISTER } from './hcr-el2.ts'
import { iccRegisters } from './icc-registers.ts'
import { ICH_LR_HW_VIEW, ICH_LR_VIEW, ichRegisters, listRegisterStates } from './ich-registers.ts'
import { icvRegisters } from './icv-registers.ts'
import { type Register, RegisterValue, registerByEncoding } from './register-value.ts'
import type { SystemRegister } from './sysreg.ts'

const systemRegisters: ReadonlyMap<string, SystemRegister> = new Map(
  [...iccRegisters, ...icvRegisters, ...ichRegisters, HCR_EL2_REGISTER].map((each) => [each.name, each]),
)

/** The registers that this library knows. Each call throws an `argument` error for one that it does not. */
export interface Registers {
  /** A register by its architectural name: `ICH_VMCR_EL2`, `GICD_ISENABLER1`, `GITS_BASER0`. */
  byName(name: string): Register
  /** A system register by its encoding, see {@link encodeSysreg}. Of ICC_ and ICV_ names, which share one, ICC_. */
  byEncoding(encoding: number): SystemRegister
  /** A memory-mapped register by the byte offset in its frame; of a redistributor, from RD_base. */
  byOffset(frame: RegisterFrame, offset: number): FrameRegister
  /** All names; of a run of memory-mapped registers the first one's and the last one's. */
  names(): string[]
}

/** The registers by name, by encoding and by offset. */
export const registers: Registers = { byName, byEncoding, byOffset, names }

function byName(name: string): Register {
  argumentString('name', name)
  const found = systemRegisters.get(name) ?? frameRegisterByName(name)
  if (found) return found
  const meant = nearest(name, names())
  throw new VgicError(
    'argument',
    `There is no register ${shown(name)}${meant === undefined ? ': registers.names() has them.' : `: did you mean ${meant}?`}`,
  )
}

function byEncoding(encoding: number): SystemRegister {
  return registerByEncoding(argumentEncoding(encoding))
}

function byOffset(frame: RegisterFrame, offset: number): FrameRegister {
  argumentOneOf('frame', frame, registerFrames)
  argumentInteger('offset', offset, 0, 0x3_ffff)
  const found = frameRegisterAt(frame, offset)
  if (found) return found
  throw new VgicError('argument', `${frame} has no register at offset 0x${offset.toString(16)}.`)
}

function names(): string[] {
  return [...systemRegisters.keys(), ...frameRegisterNames()]
}

/** How a register is read whose fields differ between versions of the architecture. */
export interface RegisterOptions {
  /** The version; default `4.1`. GICR_VPROPBASER and GICR_VPENDBASER differ in `4.0`. */
  readonly version?: '4.0' | '4.1'
}

/**
 * A register's value with its fields: `decode('ICH_LR0_EL2', 0x50a0000000000028n)`. It prints as a line. A number must
 * be an integer, of which a negative one is two's complement; above 2^53 use a bigint. Throws an `argument` error for an
 * unknown register, and for a value with more bits than it has.
 */
export function decode(name: string, value: number | bigint, options: RegisterOptions = {}): RegisterValue {
  const register = inVersion(byName(name), options)
  const { width } = register.views[0]
  const bits = argumentBits('value', value)
  if (BigInt.asUintN(width, bits) !== bits && BigInt.asIntN(width, bits) !== bits) {
    throw new VgicError('argument', `value must have at most the ${width} bits of ${name}.`)
  }
  return new RegisterValue(register, ...halves(BigInt.asUintN(width, bits)))
}

/**
 * A register's value made of its fields: `encode('ICH_VMCR_EL2', { VPMR: 0xf0, VENG1: 1 })`. Fields that are left out
 * are zero; reserved bits are what software writes there, RES1 ones. A field that is a part of an address has that part:
 * `address / 4096` for GITS_BASER0.Physical_Address, bits 47:12. Throws an `argument` error for an unknown register
 * or field, and for a value that does not fit its field.
 */
export function encode(
  name: string,
  fields: Readonly<Record<string, number | bigint>>,
  options: RegisterOptions = {},
): bigint {
  argumentRecord('fields', fields, 'a plain object of numbers by the names of fields')
  const register = inVersion(byName(name), options)
  const view = viewFor(register, fields)
  let value = 0n
  for (const { reserved, hi, lo } of view.fields)
    if (reserved === 'RES1') value |= ((1n << BigInt(hi - lo + 1)) - 1n) << BigInt(lo)
  for (const [field, bits] of Object.entries(fields)) {
    const declared = fieldOf(view, field)
    value |= argumentOfField(`${name}.${field}`, declared, bits) << BigInt(declared.lo)
  }
  return value
}

/** What a list register holds, for {@link listRegister}. */
export interface ListRegisterFields {
  /** The virtual INTID. */
  readonly vintid: number
  /** Default `pending`. */
  readonly state?: (typeof listRegisterStates)[number]
  /** 0 is the highest; default 0. */
  readonly priority?: number
  /** Default 1. */
  readonly group?: 0 | 1
  /** Whether deactivating it deactivates a physical interrupt; default true if `pintid` is given, else false. */
  readonly hw?: boolean
  /** The physical INTID, with `hw`; default 0. */
  readonly pintid?: number
  /** Whether the end of the interrupt raises the maintenance interrupt, without `hw`; default false. */
  readonly eoi?: boolean
}

/**
 * The value of a list register, `ICH_LR<n>_EL2`: `gic.writeSysreg64(0, ichLr(0), listRegister({ vintid: 40 }), 2)`. Throws an
 * `argument` error for a field that is out of range, and for fields that exclude each other.
 */
export function listRegister(fields: ListRegisterFields): bigint {
  const {
    vintid,
    state = 'pending',
    priority = 0,
    group = 1,
    pintid,
    eoi,
  } = argumentOptions('fields', fields, {
    vintid: true,
    state: true,
    priority: true,
    group: true,
    hw: true,
    pintid: true,
    eoi: true,
  })
  const hw = argumentOneOf('hw', fields.hw ?? pintid !== undefined, [true, false])
  if (eoi !== undefined) argumentOneOf('eoi', eoi, [true, false])
  if (hw && eoi) throw new VgicError('argument', 'eoi is for list registers without a pintid: leave one out.')
  if (!hw && pintid !== undefined) throw new VgicError('argument', 'pintid needs hw: true: leave hw out.')
  return encode('ICH_LR0_EL2', {
    vINTID: argumentInteger('vintid', vintid, 0, 0xffff_ffff),
    State: listRegisterStates.indexOf(argumentOneOf('state', state, listRegisterStates)),
    Priority: argumentInteger('priority', priority, 0, 0xff),
    Group: argumentInteger('group', group, 0, 1),
    HW: hw ? 1 : 0,
    ...(hw ? { pINTID: argumentInteger('pintid', pintid ?? 0, 0, 0x1fff) } : { EOI: eoi ? 1 : 0 }),
  })
}

function inVersion(register: Register, options: RegisterOptions): Register {
  const { version = '4.1' } = argumentOptions('options', options, { version: true })
  argumentOneOf('version', version, ['4.0', '4.1'])
  const older = 'frame' in register ? register.views[1] : undefined
  return version === '4.0' && older ? { ...register, views: [older] } : register
}

/** The view that has the fields: of list registers HW decides, or a field that only one of them has. */
function viewFor(register: Register, fields: Readonly<Record<string, number | bigint>>): RegisterView {
  const { name, views } = register
  if (!name.startsWith('ICH_LR')) return views[0]
  return fields['HW'] || (fields['HW'] === undefined && 'pINTID' in fields) ? ICH_LR_HW_VIEW : ICH_LR_VIEW
}

function fieldOf({ name, fields }: RegisterView, field: string): Field {
  const known = fields.filter(({ reserved }) => !reserved)
  const found = known.find((each) => each.name === field)
  if (found) return found
  const fieldNames = known.map((each) => each.name)
  const meant = nearest(field, fieldNames)
  throw new VgicError(
    'argument',
    `${name} has no field ${shown(field)}${meant === undefined ? `; it has ${fieldNames.join(', ')}.` : `: did you mean ${meant}?`}`,
  )
}
