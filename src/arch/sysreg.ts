/**
 * System register encodings. An encoding is one number, op0:op1:CRn:CRm:op2 in 2, 3, 4, 4 and 3 bits, the
 * layout of the MRS/MSR instruction's immediate and of KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS.
 */
import { argumentInteger } from '../errors/arguments.ts'
import type { Flavour } from './brand.ts'
import type { RegisterView } from './field.ts'

/**
 * A packed encoding. Trap syndromes and emulators' decoders give it as a number, so a plain number is assignable; a
 * handle or an INTID is not.
 */
export type Encoding = Flavour<'Encoding'>

/**
 * Packs the five parts of an encoding into one number. Throws an `argument` error for a part that is out of range.
 */
export const encodeSysreg = (op0: number, op1: number, crn: number, crm: number, op2: number): Encoding =>
  (argumentInteger('op0', op0, 0, 3) << 14) |
  (argumentInteger('op1', op1, 0, 7) << 11) |
  (argumentInteger('crn', crn, 0, 15) << 7) |
  (argumentInteger('crm', crm, 0, 15) << 3) |
  argumentInteger('op2', op2, 0, 7)

/** A system register: its encoding, the accesses that it allows, and its fields. */
export interface SystemRegister {
  /** Architectural name, suffix included. */
  readonly name: string
  /** Packed encoding, see {@link encodeSysreg}. */
  readonly encoding: Encoding
  /** The accesses that it allows; the other direction is UNDEFINED. */
  readonly access: 'RW' | 'RO' | 'WO'
  /** The views of its bits; several if a field decides what others mean. The first is the default for printing. */
  readonly views: readonly [RegisterView, ...RegisterView[]]
  /** The value after reset, if the architecture or this model fixes it. */
  readonly reset?: number
  /** The architecture extension that it needs, if any. */
  readonly feature?: string
}

/** `S3_0_C12_C12_0`: the generic name of an encoding, which any assembler takes. */
export function genericSysregName(encoding: Encoding): string {
  argumentInteger('encoding', encoding, 0, 0xffff_ffff)
  const part = (shift: number, bits: number) => (encoding >> shift) & ((1 << bits) - 1)
  return `S${part(14, 2)}_${part(11, 3)}_C${part(7, 4)}_C${part(3, 4)}_${part(0, 3)}`
}
