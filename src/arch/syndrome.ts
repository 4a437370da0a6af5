/**
 * ESR_ELx values of the exceptions that this model reports (DDI 0487, "ISS encodings"). The syndrome of a trapped MRS
 * or MSR has Rt = 0; a caller that knows the instruction's register ORs `rt << 5` in.
 */
import { argumentBoolean, argumentEncoding, argumentNumber, argumentSize } from '../errors/arguments.ts'
import { ICC_SGI1R_EL1 } from './icc-registers.ts'
import type { Encoding } from './sysreg.ts'

/** Instruction length bit: every A64 instruction is 32 bits. */
const IL = 1 << 25
const EC_WFX = 0x01
/** A trapped MRS, MSR or system instruction. */
export const EC_SYSREG = 0x18
/** A data abort from a lower level. */
export const EC_DATA_ABORT = 0x24

/** An UNDEFINED instruction, taken at the level that executed it: EC 0, no ISS. */
export const ESR_UNDEFINED = IL

/** The exception class of a syndrome. */
export const ESR_EC = (esr: number): number => argumentNumber('esr', esr) >>> 26

/** A trapped MRS (`isRead`) or MSR, EC 0x18, without Rt. */
export function sysregSyndrome(encoding: Encoding, isRead: boolean): number {
  argumentEncoding(encoding)
  argumentBoolean('isRead', isRead)
  const op0 = (encoding >> 14) & 0x3
  const op1 = (encoding >> 11) & 0x7
  const crn = (encoding >> 7) & 0xf
  const crm = (encoding >> 3) & 0xf
  const op2 = encoding & 0x7
  const iss = (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (crm << 1) | (isRead ? 1 : 0)
  return ((EC_SYSREG << 26) | IL | iss) >>> 0
}

/** A trapped write of ICC_SGI1R_EL1. */
export const ESR_SGI1R = sysregSyndrome(ICC_SGI1R_EL1, false) | 0

/** A trapped WFI, EC 0x01: CV set, condition "always", TI 0. */
export const ESR_WFI = ((EC_WFX << 26) | IL | (1 << 24) | (0xe << 20)) >>> 0
/** A trapped WFE: as {@link ESR_WFI} with TI 1. */
export const ESR_WFE = ESR_WFI | 1
/** A trapped WFIT: TI 2. */
export const ESR_WFIT = ESR_WFI | 2
/** A trapped WFET: TI 3. */
export const ESR_WFET = ESR_WFI | 3

/** ISS.WnR of a data abort: the access is a write. */
export const ESR_WnR = 0x40
const ESR_ISV = 1 << 24
/** ISS.DFSC of a data abort: translation fault, level 3. */
const DFSC_TRANSLATION_3 = 0x7

/** A data abort from a lower level with a valid syndrome, EC 0x24, by an access of 1, 2, 4 or 8 bytes, without SRT. */
export function dataAbortSyndrome(size: number, isWrite: boolean): number {
  argumentSize('size', size)
  argumentBoolean('isWrite', isWrite)
  return dataAbortWord(size, isWrite) >>> 0
}

/** The same as a word, with a sign, and without checks: a number from 2^31 on would be an object where it is returned. */
export function dataAbortWord(size: number, isWrite: boolean): number {
  const sas = 31 - Math.clz32(size)
  const iss = ESR_ISV | (sas << 22) | (isWrite ? ESR_WnR : 0) | DFSC_TRANSLATION_3
  return (EC_DATA_ABORT << 26) | IL | iss
}

/** The size in bytes of the access of a data abort, from ISS.SAS. */
export const ESR_accessSize = (esr: number): number => 1 << ((esr >>> 22) & 3)
