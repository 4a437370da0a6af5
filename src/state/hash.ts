/**
 * A 64-bit hash of word ranges in two independent 32-bit lanes, not cryptographic. Each step multiplies and rotates:
 * without the rotate, high bits never affect low ones, and states that differ only in high bits collide (measured: 8%
 * of distinct states merged).
 */

/** Hashes the ranges `start, end, start, end, ...` of `words` into `lanes[0]` and `lanes[1]`. Allocates nothing. */
export function hashWords(words: Int32Array, ranges: Int32Array, lanes: Int32Array): void {
  let a = 0x9e3779b9 | 0
  let b = 0x85ebca6b | 0
  for (let r = 0; r < ranges.length; r += 2) {
    const end = ranges[r + 1]
    for (let at = ranges[r]; at < end; at++) {
      let k = Math.imul(words[at], 0xcc9e2d51 | 0)
      k = (k << 15) | (k >>> 17)
      a ^= Math.imul(k, 0x1b873593)
      a = (a << 13) | (a >>> 19)
      a = (Math.imul(a, 5) + 0xe6546b64) | 0
      b ^= Math.imul(k ^ (k >>> 16), 0x2c1b3c6d)
      b = (b << 17) | (b >>> 15)
      b = (Math.imul(b, 0x5bd1e995) + 0x561ccd1b) | 0
    }
  }
  lanes[0] = finish(a)
  lanes[1] = finish(b)
}

function finish(lane: number): number {
  let h = lane
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d)
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b | 0)
  return h ^ (h >>> 16)
}
