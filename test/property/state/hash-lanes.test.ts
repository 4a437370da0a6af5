import { Gic, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { hashWords } from '../../../src/state/hash.ts'

describe('the two lanes of the hash', () => {
  it('tells two states apart that differ in a list register each', () => {
    const gic = new Gic({ cpus: 1 })
    gic.writeSysreg64(0, ichLr(2), 2n)
    gic.writeSysreg64(0, ichLr(0), (0x5060_0000n << 32n) | 697n)
    gic.writeSysreg64(0, ichLr(1), (0x5000_0000n << 32n) | 8212n)
    const [before, hash] = [gic.snapshot(), gic.hash()]
    gic.writeSysreg64(0, ichLr(0), (0xd060_0000n << 32n) | 697n)
    gic.writeSysreg64(0, ichLr(1), (0x5000_0000n << 32n) | 12308n)
    expect(gic.diff(before)).toHaveLength(2)
    expect(gic.hash()).not.toBe(hash)
  })

  it('has in each lane about the collisions that chance gives, among states that differ in two bits', () => {
    const words = Int32Array.from({ length: 25 }, (_, n) => (n % 3 ? Math.imul(n, 0x01234567) : 0))
    const bits = words.length * 32
    const range = Int32Array.of(0, words.length)
    const lanes = new Int32Array(2)
    const [a, b] = [new Set<number>(), new Set<number>()]
    let states = 0
    for (let p = 0; p < bits; p++) {
      words[p >> 5] ^= 1 << (p & 31)
      for (let q = p + 1; q < bits; q++) {
        words[q >> 5] ^= 1 << (q & 31)
        hashWords(words, range, lanes)
        a.add(lanes[0])
        b.add(lanes[1])
        states++
        words[q >> 5] ^= 1 << (q & 31)
      }
      words[p >> 5] ^= 1 << (p & 31)
    }
    const chance = states ** 2 / 2 / 2 ** 32
    for (const lane of [a, b]) expect(states - lane.size).toBeLessThan(4 * chance)
  })
})
