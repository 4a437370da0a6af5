/** Bits of words. */

const { clz32 } = Math

/** The number of the lowest bit that is set; `word` must not be 0. */
export const lowestBit = (word: number): number => 31 - clz32(word & -word)
