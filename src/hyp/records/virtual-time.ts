/**
 * Virtual time: the steps taken, plus the time that was let pass while no actor could step. A moment is a 64-bit
 * count in two words, like the generic timer's. A number holds 53 bits, enough for eight million of the longest
 * timers.
 */

const HIGH = 0x1_0000_0000

/** The latest moment that a device can name. As much again is left for timers that are armed then. */
export const LATEST_TIME = 2 ** 52

/** Later than every moment. */
export const NEVER = Number.MAX_SAFE_INTEGER

/** The moment in the two words at `at`. */
export const timeOf = (words: Int32Array, at: number): number => words[at + 1] * HIGH + (words[at] >>> 0)

/** Stores a moment in the two words at `at`. */
export function setTime(words: Int32Array, at: number, time: number): void {
  words[at] = time | 0
  words[at + 1] = Math.floor(time / HIGH)
}

/** Copies a moment from the two words at `from`. */
export function copyTime(words: Int32Array, at: number, from: number): void {
  words[at] = words[from]
  words[at + 1] = words[from + 1]
}

/** Advances the moment in the two words at `at` by one. */
export function tick(words: Int32Array, at: number): void {
  if (++words[at] === 0) words[at + 1]++
}

/** Advances the moment in the two words at `at` by `steps`, at most 2^31. */
export function pass(words: Int32Array, at: number, steps: number): void {
  const after = (words[at] + steps) | 0
  words[at] = after
  if (after >>> 0 < steps) words[at + 1]++
}
