/**
 * How KVM sanitises the memory attributes and addresses that a guest writes to GICR_PROPBASER, GICR_PENDBASER,
 * GITS_CBASER and `GITS_BASER<n>`: it accepts only attributes that its own accesses have. Each register is two words.
 */

const SHAREABILITY = 3 << 10
const INNER_SHAREABLE = 1 << 10
const OUTER_SHAREABLE = 2 << 10

/** Outer shareable becomes inner shareable. The field is in bits 11:10. */
const sanitisedShareability = (low: number): number =>
  (low & SHAREABILITY) === OUTER_SHAREABLE ? (low & ~SHAREABILITY) | INNER_SHAREABLE : low

/** Device and non-cacheable become write-back, read-allocate. `shift` is where the InnerCache field is. */
const sanitisedInnerCache = (word: number, shift: number): number =>
  ((word >>> shift) & 7) < 2 ? (word & ~(7 << shift)) | (3 << shift) : word

/** All but "as inner" and non-cacheable become "as inner". */
const sanitisedOuterCache = (word: number, shift: number): number =>
  ((word >>> shift) & 7) < 2 ? word : word & ~(7 << shift)

/** Bits 31:0 of GICR_PROPBASER: InnerCache is in bits 9:7, bits 6:5 are RES0. */
export const propbaserLow = (low: number): number =>
  sanitisedInnerCache(sanitisedShareability(low), 7) & ~0x60
/** Bits 63:32: OuterCache is in bits 58:56, the address ends at bit 51. */
export const propbaserHigh = (high: number): number => sanitisedOuterCache(high, 24) & 0x070f_ffff

/** Bits 31:0 of GICR_PENDBASER: the address begins at bit 16. */
export const pendbaserLow = (low: number): number =>
  sanitisedInnerCache(sanitisedShareability(low), 7) & (0xffff_0f80 | 0)
/** Bits 63:32, without PTZ. */
export const pendbaserHigh = (high: number): number => sanitisedOuterCache(high, 24) & 0x070f_ffff

/** Bits 31:0 of GITS_CBASER: the queue is 64 KiB aligned. */
export const cbaserLow = (low: number): number => sanitisedShareability(low) & ~0xf000
/** Bits 63:32 of GITS_CBASER and `GITS_BASER<n>`: InnerCache is in bits 61:59, OuterCache in bits 55:53. */
export const itsBaserHigh = (high: number): number => sanitisedOuterCache(sanitisedInnerCache(high, 27), 21)

/** `GITS_BASER<n>.Page_Size` is 64 KiB. */
export const itsBaserLow = (low: number): number => (sanitisedShareability(low) & ~0x300) | 0x200

/** Write-back cacheable, inner shareable: the reset value of GICR_PROPBASER and GICR_PENDBASER. */
export const LPI_TABLE_RESET = 0x580

/** In the upper word of GICR_PENDBASER: the pending table is zero, and is not read when LPIs are enabled. */
export const PENDBASER_PTZ = 0x4000_0000
