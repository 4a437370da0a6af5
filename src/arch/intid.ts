/** INTID ranges (IHI 0069, "INTIDs"). */
import { argumentNumber } from '../errors/arguments.ts'
import type { Flavour } from './brand.ts'

/**
 * An INTID. Drivers and tests write it as a literal, and tables compute it, so a plain number is assignable; a handle
 * or an encoding is not.
 */
export type Intid = Flavour<'Intid'>

/** A range of INTIDs, both ends included. */
export interface IntidRange {
  /** The architecture's name for it. */
  readonly name: 'SGI' | 'PPI' | 'SPI' | 'special' | 'EPPI' | 'ESPI' | 'LPI'
  /** Its first INTID. */
  readonly first: number
  /** Its last INTID; null if only the implementation bounds it. */
  readonly last: number | null
}

/** The ranges of the architecture in ascending order; INTIDs between them are reserved. */
export const intidRanges: readonly IntidRange[] = [
  { name: 'SGI', first: 0, last: 15 },
  { name: 'PPI', first: 16, last: 31 },
  { name: 'SPI', first: 32, last: 1019 },
  { name: 'special', first: 1020, last: 1023 },
  { name: 'EPPI', first: 1056, last: 1119 },
  { name: 'ESPI', first: 4096, last: 5119 },
  { name: 'LPI', first: 8192, last: null },
]

/** The first PPI; below it are the SGIs. */
export const FIRST_PPI = 16
/** The first SPI; INTIDs below it are private to a PE. */
export const FIRST_SPI = 32
/** The first special INTID, one past the last SPI. */
export const FIRST_SPECIAL = 1020
/** The INTID that a read of IAR or HPPIR returns when no interrupt is pending. */
export const INTID_NONE = 1023
/** The first LPI. */
export const FIRST_LPI = 8192

/** Whether an INTID is one of the special identifiers 1020 to 1023, which name no interrupt. */
export const isSpecial = (intid: Intid): boolean => intid >= FIRST_SPECIAL && intid <= INTID_NONE

/** The name of the range that an INTID lies in, or `reserved`. */
export function rangeOf(intid: Intid): IntidRange['name'] | 'reserved' {
  argumentNumber('intid', intid)
  const range = intidRanges.find(({ first, last }) => intid >= first && (last === null || intid <= last))
  return range ? range.name : 'reserved'
}

/** `SPI 40`, `LPI 8192`: the name of an interrupt in traces and dumps. */
export const intidName = (intid: Intid): string => `${rangeOf(intid)} ${intid}`
