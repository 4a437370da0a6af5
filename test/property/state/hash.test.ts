/**
 * How well the hash tells states apart. An explorer takes states with equal hashes for equal, so a collision
 * is a state that it never looks at. The states here are alike, as neighbouring states of a machine are: a few
 * bits of one or two words differ, among them the high bits that a multiplication alone never carries down.
 */
import fc from 'fast-check'
import { Gic, ICH_HCR_EL2, ICH_VMCR_EL2, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { hashWords } from '../../../src/state/hash.ts'

/** A GIC at work, and the indices of the state's words that take part in its hash. */
function busyGic(): { gic: Gic; words: Int32Array; hashed: number[] } {
  const fresh = new Gic({ cpus: 1, listRegisters: 4 })
  fresh.writeSysreg(0, ICH_HCR_EL2, 1)
  fresh.writeSysreg(0, ICH_VMCR_EL2, 0xf84c000b)
  for (let n = 0; n < 4; n++) fresh.writeSysreg64(0, ichLr(n), (0x50a0_0000n << 32n) | BigInt(40 + n))
  const image = fresh.snapshot()
  const gic = Gic.from(image)
  const words = new Int32Array(image)
  const hash = gic.hash()
  const hashed = Array.from(words.keys()).filter((at) => {
    words[at] ^= 1
    const changed = gic.hash() !== hash
    words[at] ^= 1
    return changed
  })
  return { gic, words, hashed }
}

/** Every state that differs from `words` in one or two bits of the words `among`. */
function forEachNeighbour(words: Int32Array, among: readonly number[], visit: () => void): void {
  const bits = among.length * 32
  for (let p = 0; p < bits; p++) {
    words[among[p >> 5]] ^= 1 << (p & 31)
    visit()
    for (let q = p + 1; q < bits; q++) {
      words[among[q >> 5]] ^= 1 << (q & 31)
      visit()
      words[among[q >> 5]] ^= 1 << (q & 31)
    }
    words[among[p >> 5]] ^= 1 << (p & 31)
  }
}

describe('the hash of 53 bits', () => {
  it('tells apart all 320 400 states that differ from one in one or two bits', () => {
    const { gic, words, hashed } = busyGic()
    // The words behind the header and the configuration.
    const among = hashed.slice(-25)
    const hashes = new Set<number>()
    let states = 0
    forEachNeighbour(words, among, () => {
      hashes.add(gic.hash())
      states++
    })
    expect(states).toBe((800 * 801) / 2)
    expect(states - hashes.size).toBe(0)
  })

  it('tells apart 200 000 states in which two list registers hold any of a few interrupts', () => {
    const { gic, words, hashed } = busyGic()
    // The states are distinct by their contents, which are kept and compared exactly.
    const contents = new Set<string>()
    const hashes = new Set<number>()
    const lr = words.indexOf(40)
    expect(hashed).toEqual(expect.arrayContaining([lr, lr + 1, lr + 2, lr + 3]))
    const upper = [0, 0x50a00000, 0x90a00000, 0xd0a00000, 0x70a00028, 0xb0a00028, 0x40800200, 0x00000200]
    for (let n = 0; n < 3200; n++) {
      words[lr] = n % 200 < 100 ? n : 8192 + n
      for (const first of upper) {
        words[lr + 1] = first
        for (const second of upper) {
          words[lr + 3] = second
          contents.add(`${words[lr]} ${first} ${second}`)
          hashes.add(gic.hash())
        }
      }
    }
    expect(contents.size).toBe(3200 * 64)
    expect(contents.size - hashes.size).toBe(0)
  })

  it('tells apart states that differ in arbitrary words', () => {
    const seen = new Map<number, string>()
    const image = new Gic({ cpus: 1 }).snapshot()
    const gic = Gic.from(image)
    const words = new Int32Array(image)
    const { hashed } = busyGic()
    const among = hashed.slice(-25)
    const before = words.slice()
    const change = fc.record({ at: fc.constantFrom(...among), value: fc.integer() })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 4 }), (changes) => {
        words.set(before)
        for (const { at, value } of changes) words[at] = value
        const content = among.map((at) => words[at]).join()
        const hash = gic.hash()
        expect(seen.get(hash) ?? content).toBe(content)
        seen.set(hash, content)
      }),
      { numRuns: 5000 },
    )
  })
})

describe('each lane of 32 bits', () => {
  const lanes = new Int32Array(2)
  const range = Int32Array.of(0, 8)

  it('tells apart all values of one word, whichever it is, where low bits or high bits differ', () => {
    const words = Int32Array.of(0, 1, 0x70a00028, 40, 0, -1, 0x80000000, 8192)
    for (let at = 0; at < words.length; at++) {
      const old = words[at]
      for (const shift of [0, 16]) {
        const [a, b] = [new Set<number>(), new Set<number>()]
        for (let value = 0; value < 0x4000; value++) {
          words[at] = old ^ (value << shift) ^ ((value & 3) << 30)
          hashWords(words, range, lanes)
          a.add(lanes[0])
          b.add(lanes[1])
        }
        expect([a.size, b.size]).toEqual([0x4000, 0x4000])
      }
      words[at] = old
    }
  })

  it('changes in about half of its bits when one bit of one word changes', () => {
    const words = Int32Array.of(0, 1, 0x70a00028, 40, 0, -1, 0x80000000, 8192)
    hashWords(words, range, lanes)
    const [a, b] = lanes
    const changed = [0, 0]
    for (let p = 0; p < 256; p++) {
      words[p >> 5] ^= 1 << (p & 31)
      hashWords(words, range, lanes)
      changed[0] += ones(lanes[0] ^ a)
      changed[1] += ones(lanes[1] ^ b)
      words[p >> 5] ^= 1 << (p & 31)
    }
    for (const bits of changed) {
      expect(bits / 256).toBeGreaterThan(14)
      expect(bits / 256).toBeLessThan(18)
    }
  })
})

const ones = (word: number): number => (word >>> 0).toString(2).replaceAll('0', '').length
