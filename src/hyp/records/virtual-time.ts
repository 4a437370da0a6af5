/**
 * Virtual time: how many steps were taken, and what was let pass while nobody could take one. A moment is a count of 64
 * bits in two words, as that of the generic timer is. Numbers hold 53 of them: eight million of the longest timers.
 */

const HIGH = 0x1_0000_0000

/** The latest moment that a device can name. As much again is left for timers that start then. */
export const LATEST_TIME = 2 ** 52

/** The moment in the two words at `at`. */
export const timeOf = (words: Int32Array, at: number): number => words[at + 1] * HIGH + (words[at] >>> 0)

/** Puts a moment there. */
export function setTime(words: Int32Array, at: number, time: number): void {
  words[at] = time | 0
  words[at + 1] = Math.floor(time / HIGH)
}

/** A step of time. */
export function tick(words: Int32Array, at: number): void {
  if (++words[at] === 0) words[at + 1]++
}
