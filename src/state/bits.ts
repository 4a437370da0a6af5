/** Bit operations on words. */

const { clz32 } = Math

/** The position, 0 to 31, of the lowest bit that is set; `word` must not be 0. */
export const lowestBit = (word: number): number => onlyBit(word & -word)

/** The same for a word of which no other bit is set. */
export const onlyBit = (word: number): number => 31 - clz32(word)
