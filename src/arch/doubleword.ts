/** Conversions between a 64-bit value as a bigint and its two 32-bit halves. */

/** The unsigned 64-bit value of two halves. */
export const joined = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)

const HIGH = 0x1_0000_0000

/** Bits 31:0 of an integer of 64 bits, as a signed number. */
export const lowOf = (value: number | bigint): number =>
  typeof value === 'number' ? value | 0 : Number(BigInt.asIntN(32, value))

/** Bits 63:32 of an integer of 64 bits, as a signed number. */
export const highOf = (value: number | bigint): number =>
  typeof value === 'number' ? Math.floor(value / HIGH) | 0 : Number(BigInt.asIntN(32, value >> 32n))

/** Bits 31:0 and 63:32 of a value, each as a signed 32-bit number. */
export const halves = (value: bigint): readonly [low: number, high: number] => [lowOf(value), highOf(value)]
