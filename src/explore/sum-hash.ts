/**
 * The explorer's hash of a state: two lanes of 32 bits, each a sum over the words. A word's term depends on its value and
 * its offset, so the hash after a step follows from what the step changed. The sum of lane a's terms of some words alone,
 * those that seldom change, is kept beside them.
 */
import type { Changes } from './changes.ts'

/** The hash of a state. */
export interface Sums {
  /** The two lanes. */
  a: number
  b: number
  /** The sum of lane a's terms of the words that seldom change. */
  slow: number
}

export class SumHash {
  /** `slowWords`: by offset, -1 for a word that seldom changes, else 0. */
  constructor(private readonly slowWords: Int32Array) {}

  /** Hashes the words in ranges, pairs `start, end`. */
  hashAll(sums: Sums, words: Int32Array, ranges: Int32Array): void {
    const { slowWords } = this
    let [a, b, slow] = [0, 0, 0]
    for (let r = 0; r < ranges.length; r += 2) {
      for (let at = ranges[r]; at < ranges[r + 1]; at++) {
        const term = mixA(at, words[at])
        a = (a + term) | 0
        slow = (slow + (term & slowWords[at])) | 0
        b = (b + mixB(at, words[at])) | 0
      }
    }
    sums.a = a
    sums.b = b
    sums.slow = slow
  }

  /** Hashes the state in `words` from the sums of the state `before` and what has changed. */
  follow(sums: Sums, from: Sums, words: Int32Array, before: Int32Array, { at, count }: Changes): void {
    const { slowWords } = this
    let { a, b, slow } = from
    for (let i = 0; i < count; i++) {
      const word = at[i]
      const old = before[word]
      const now = words[word]
      const change = (mixA(word, now) - mixA(word, old)) | 0
      a = (a + change) | 0
      slow = (slow + (change & slowWords[word])) | 0
      b = (b + mixB(word, now) - mixB(word, old)) | 0
    }
    sums.a = a
    sums.b = b
    sums.slow = slow
  }
}

/** Lane a with a number hashed in that is not in the words: the budget. */
export const withExtra = (a: number, extra: number): number => (a + mixA(-1, extra)) | 0

/** 53 bits of the two lanes, as a key of a Map. */
export const keyOf = (a: number, b: number): number => (a >>> 0) * 0x20_0000 + (b >>> 11)

/** The term that a word adds to lane a. */
export function mixA(at: number, word: number): number {
  const h = Math.imul(mixed(at, word), 0x2c1b3c6d)
  return h ^ (h >>> 13)
}

/**
 * The same of lane b. The offset is in it once more: two words for which `mixed` is the same have other terms here.
 */
export function mixB(at: number, word: number): number {
  const h = Math.imul(mixed(at, word) + saltOf(at), 0x1b873593)
  return h ^ (h >>> 14)
}

const saltOf = (at: number): number => Math.imul(at, 0x9e3779b1)

/** What both lanes' terms are made of; one to one in the word. */
function mixed(at: number, word: number): number {
  const h = Math.imul(word ^ saltOf(at), 0x85ebca6b)
  return h ^ (h >>> 15)
}
