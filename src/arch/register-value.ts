/** Register values that print their fields, in logs and in util.inspect. */

import { argumentEncoding, argumentList, argumentObject, argumentString } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { joined } from './doubleword.ts'
import { checkHalf, checkView, describeRegister, extractField, type RegisterView } from './field.ts'
import type { FrameRegister } from './frame-registers.ts'
import { HCR_EL2_REGISTER } from './hcr-el2.ts'
import { iccRegisters } from './icc-registers.ts'
import {
  ichRegisters,
  LR_EOI,
  LR_Group,
  LR_HW,
  LR_Priority,
  LR_pINTID,
  LR_State,
  listRegisterStates,
  listRegisterView,
} from './ich-registers.ts'
import { intidName } from './intid.ts'
import { type Encoding, genericSysregName, type SystemRegister } from './sysreg.ts'

const registers = new Map<Encoding, SystemRegister>(
  [...iccRegisters, ...ichRegisters, HCR_EL2_REGISTER].map((register) => [register.encoding, register]),
)

/** The declaration of a system register. Throws an `argument` error for an encoding that this library does not know. */
export function registerByEncoding(encoding: Encoding): SystemRegister {
  const register = registers.get(argumentEncoding(encoding))
  if (register) return register
  throw new VgicError(
    'argument',
    `${genericSysregName(encoding)} is not a register of the GIC: use one of the ICC_ or ICH_ constants.`,
  )
}

/** `ICH_VMCR_EL2`: the name of the register at an encoding; the generic name (`S3_0_C12_C12_0`) of an unknown one. */
export function sysregName(encoding: Encoding): string {
  return registers.get(encoding)?.name ?? genericSysregName(encoding)
}

/** `pending SPI 40 prio 0xa0 group 1 -> pINTID 40`: a list register's fields as text. */
export function describeListRegister(low: number, high: number): string {
  checkHalf('low', low)
  checkHalf('high', high)
  const state = listRegisterStates[LR_State(high)]
  if (low === 0 && high === 0) return 'empty'
  const hardware = high & LR_HW ? ` -> pINTID ${LR_pINTID(high)}` : high & LR_EOI ? ' EOI' : ''
  const priority = LR_Priority(high).toString(16).padStart(2, '0')
  return `${state} ${intidName(low >>> 0)} prio 0x${priority} group ${high & LR_Group ? 1 : 0}${hardware}`
}

/** A system register, or a memory-mapped one. */
export type Register = SystemRegister | FrameRegister

/** A {@link RegisterValue} as plain data, which its `toJSON` returns. */
export interface RegisterValueSummary {
  /** The register's name. */
  readonly name: string
  /** All bits, in hexadecimal: `0xf84c000b`. */
  readonly value: string
  /** The fields by name. */
  readonly fields: Readonly<Record<string, number>>
}

/** A register's value. It prints as `ICH_VMCR_EL2 0xf84c000b (VPMR=0xf8 ...)`. */
export class RegisterValue {
  constructor(
    /** The register. */
    readonly register: Register,
    /** Bits 31:0, as a signed number. */
    readonly low: number,
    /** Bits 63:32, as a signed number. */
    readonly high: number,
  ) {
    argumentObject('register', register, 'a register, such as those of registers.byName()')
    argumentString('register.name', register.name)
    const views = argumentList('register.views', register.views, 'views')
    checkView('register.views[0]', views[0])
    checkHalf('low', low)
    checkHalf('high', high)
  }

  /** All 64 bits. */
  get value(): bigint {
    return joined(this.low, this.high)
  }

  /** The fields by name, as unsigned numbers. */
  get fields(): Record<string, number> {
    const named = this.view.fields.filter(({ reserved }) => !reserved)
    return Object.fromEntries(named.map((f) => [f.name, extractField(f, this.low, this.high)]))
  }

  /** The name, the value and the fields as plain data. */
  toJSON(): RegisterValueSummary {
    return { name: this.register.name, value: `0x${this.value.toString(16)}`, fields: this.fields }
  }

  /** The line that is printed: the register's name, its value and its fields. */
  toString(): string {
    const { name } = this.register
    const meaning = /^ICH_LR/.test(name)
      ? describeListRegister(this.low, this.high)
      : describeRegister(this.view, this.low, this.high)
    return `${name} 0x${this.value.toString(16)} (${meaning})`
  }

  /** The line, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  private get view(): RegisterView {
    const { views, name } = this.register
    return /^ICH_LR/.test(name) ? listRegisterView(this.high) : views[0]
  }
}
