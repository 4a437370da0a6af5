/** Conversions between a 64-bit value as a bigint and its two 32-bit halves. */

/** The unsigned 64-bit value of two halves. */
export const joined = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)

/** Bits 31:0 and 63:32 of a value, each as a signed 32-bit number. */
export const halves = (value: bigint): readonly [low: number, high: number] => [
  Number(BigInt.asIntN(32, value)),
  Number(BigInt.asIntN(32, value >> 32n)),
]
