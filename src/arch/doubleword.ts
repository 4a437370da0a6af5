/** A 64-bit value as people have it, a bigint, and as words have it: two 32-bit halves. */

/** The value of two halves, unsigned. */
export const joined = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)

/** Bits 31:0 and 63:32 of a value, as words hold them. */
export const halves = (value: bigint): readonly [low: number, high: number] => [
  Number(BigInt.asIntN(32, value)),
  Number(BigInt.asIntN(32, value >> 32n)),
]
