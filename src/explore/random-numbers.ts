/** Pseudo-random numbers from a seed: a 32-bit counter through the finalizer of MurmurHash3. */
export class RandomNumbers {
  private state: number

  constructor(seed: number) {
    // Seeds that follow each other must not give sequences that overlap.
    this.state = mix(seed | 0)
  }

  /** An integer from 0 to `end` - 1. */
  below(end: number): number {
    this.state = (this.state + 0x9e3779b9) | 0
    return Math.floor((mix(this.state) >>> 0) * (end / 0x1_0000_0000))
  }

  /** The same things in a random order. */
  shuffled<T>(things: readonly T[]): T[] {
    const shuffled: T[] = []
    for (const [i, thing] of things.entries()) shuffled.splice(this.below(i + 1), 0, thing)
    return shuffled
  }
}

function mix(number: number): number {
  let h = number
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
