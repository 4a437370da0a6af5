/** Records in fixed slots, found by their keys: whatever is added and removed, they are what a Map would have. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeyTree, treeWords } from '../../../src/state/key-tree.ts'
import { recordType } from '../../../src/state/layout.ts'
import { wordsOf } from '../../../src/state/rows.ts'
import { type PoolLayout, SlotPool, slotPoolRows } from '../../../src/state/slot-pool.ts'

/** How many words a pool has beside its records. */
const poolWords = (count: number): number => recordType('pool', wordsOf(slotPoolRows, count)).size

/** Words in front of, between and behind the records and the pool's own, which must stay as they are. */
const GUARD = 3
const MARK = 0x5a5a_5a5a
const SIZE = 4

interface Pool {
  readonly pool: SlotPool
  readonly words: Int32Array
  readonly layout: PoolLayout
}

function poolOf(count: number, keys: 1 | 2 = 2): Pool {
  const records = GUARD
  const index = records + count * SIZE + GUARD
  const words = new Int32Array(index + poolWords(count) + GUARD).fill(MARK)
  words.fill(0, records, records + count * SIZE).fill(0, index, index + poolWords(count))
  const layout = { records, size: SIZE, count, key0: 1, key1: keys === 2 ? 3 : 1, index }
  return { pool: new SlotPool(words, layout), words, layout }
}

/** Whether nothing but the records and the pool's words was written. */
function guardsHold({ words, layout }: Pool): boolean {
  const { records, count, index } = layout
  return [0, records + count * SIZE, index + poolWords(count)].every((at) =>
    words.subarray(at, at + GUARD).every((word) => word === MARK),
  )
}

/** Words that count how often they are read. */
function countingReads(words: Int32Array): { readonly words: Int32Array; reads: number } {
  const counted = {
    reads: 0,
    words: new Proxy(words, {
      get(target, at) {
        counted.reads++
        return Reflect.get(target, at)
      },
    }),
  }
  return counted
}

/** The order of `key0,key1`, both as unsigned numbers. */
function byUnsignedKeys(one: string, other: string): number {
  const [key0, key1] = one.split(',').map((key) => Number(key) >>> 0)
  const [other0, other1] = other.split(',').map((key) => Number(key) >>> 0)
  return key0 - other0 || key1 - other1
}

/** Few keys, so that they come again. */
const key0s = fc.constantFrom(1, 2, 3, -1, 0x8000_0000 | 0)
const key1s = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(-1, 0x1_0000, 0x7fff_ffff))
/** Of slots: also more than a word of the bitmap has. */
const counts = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 31, max: 70 }))
const actions = fc.array(fc.record({ adds: fc.boolean(), key0: key0s, key1: key1s, nth: fc.nat(100) }), {
  maxLength: 100,
  size: 'max',
})

describe('a pool of slots', () => {
  it('finds what is in it and nothing else, in order, takes the lowest free slot, and writes nothing else', () => {
    const seen = { full: 0, removed: 0 }
    fc.assert(
      fc.property(counts, actions, (count, list) => {
        const made = poolOf(count)
        const { pool, words, layout } = made
        const model = new Map<string, number>()
        for (const { adds, key0, key1, nth } of list) {
          const name = `${key0},${key1}`
          if (adds && !model.has(name)) {
            const used = new Set(model.values())
            const lowest = Array.from({ length: count }, (_, i) => i + 1).find((slot) => !used.has(slot)) ?? 0
            expect(pool.add(key0, key1)).toBe(lowest)
            if (lowest === 0) seen.full++
            else {
              model.set(name, lowest)
              words[pool.recordOf(lowest)] = lowest
            }
          } else if (!adds && model.size > 0) {
            const [removed, slot] = [...model][nth % model.size]
            pool.remove(slot)
            model.delete(removed)
            seen.removed++
          }
        }
        for (const [name, slot] of model) {
          const [key0, key1] = name.split(',').map(Number)
          expect(pool.find(key0, key1)).toBe(slot)
          expect(words[pool.recordOf(slot)], 'its record is its own').toBe(slot)
          expect(pool.slotOf(pool.recordOf(slot))).toBe(slot)
        }
        const walked: string[] = []
        for (let slot = pool.first(); slot !== 0; slot = pool.next(slot))
          walked.push(
            `${words[pool.recordOf(slot) + layout.key0]},${words[pool.recordOf(slot) + layout.key1]}`,
          )
        expect(walked).toEqual([...model.keys()].sort(byUnsignedKeys))
        for (const key0 of [1, 2, 3, 4, -1])
          for (let key1 = -1; key1 < 12; key1++)
            expect(pool.find(key0, key1)).toBe(model.get(`${key0},${key1}`) ?? 0)
        for (let slot = 1; slot <= count; slot++) {
          const isUsed = [...model.values()].includes(slot)
          expect(pool.isUsed(slot)).toBe(isUsed)
          const record = words.subarray(pool.recordOf(slot), pool.recordOf(slot) + layout.size)
          if (!isUsed) expect([...record]).toEqual([0, 0, 0, 0])
        }
        expect(guardsHold(made)).toBe(true)
      }),
      { numRuns: 300 },
    )
    for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0)
  })

  it('finds the one slot that is free in a full pool by its bitmap', () => {
    const { words, layout } = poolOf(4096)
    const pool = new SlotPool(words, layout)
    for (let key = 1; key <= 4096; key++) pool.add(1, key)
    pool.remove(4000)
    pool.remove(1)
    pool.add(2, 1)
    const counted = countingReads(words)
    expect(new SlotPool(counted.words, layout).add(2, 2)).toBe(4000)
    expect(counted.reads).toBeLessThan(4096 / 32 + 50)
  })

  it('has the same tree whenever the same keys are in the same slots', () => {
    const bits = fc.constantFrom(0, 1, 2, 3, 0x4000_0000, -1, -2)
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(bits, fc.oneof(bits, fc.integer())), {
          minLength: 2,
          maxLength: 40,
          size: 'max',
          selector: String,
        }),
        fc.nat(40),
        fc.array(fc.nat(1000)),
        (keys, kept, choices) => {
          const treeBy = (order: readonly number[], removed: readonly number[]): number[] => {
            const { words, layout } = poolOf(keys.length)
            const tree = new KeyTree(words, layout)
            for (const [n, [key0, key1]] of keys.entries()) {
              words[layout.records + layout.size * n + layout.key0] = key0
              words[layout.records + layout.size * n + layout.key1] = key1
            }
            for (const n of order) tree.add(n + 1)
            for (const n of removed) tree.remove(n + 1)
            return [...words.subarray(layout.index, layout.index + 1 + treeWords(keys.length))]
          }
          const all = keys.map((_, n) => n)
          const mixed = [...all]
          for (const [n, choice] of choices.entries())
            mixed.push(...mixed.splice((choice + n) % mixed.length, 1))
          const left = all.slice(0, kept)
          const gone = mixed.filter((n) => n >= kept)
          expect(treeBy(mixed, gone)).toEqual(treeBy(left, []))
        },
      ),
    )
  })

  it('finds a slot in as many looks as keys have bits, whatever the keys are', () => {
    const { words, layout } = poolOf(64)
    const pool = new SlotPool(words, layout)
    const bits = Array.from({ length: 31 }, (_, n) => 1 << n)
    pool.add(-1, 0)
    for (const bit of bits) pool.add(bit, 0)
    for (const bit of bits) pool.add(-1, bit)
    const counted = countingReads(words)
    expect(new SlotPool(counted.words, layout).find(-1, 0)).toBe(1)
    expect(counted.reads).toBeGreaterThan(2 * 31)
    expect(counted.reads).toBeLessThanOrEqual(1 + 2 * 64 + 2)
  })

  it('is all zero again when the last one is removed, whatever the order', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 0xffff }), { minLength: 1, maxLength: 64, size: 'max' }),
        fc.infiniteStream(fc.nat(1000)),
        (keys, choices) => {
          const { pool, words } = poolOf(64, 1)
          const before = words.slice()
          for (const key of keys) expect(pool.add(key, key)).not.toBe(0)
          const left = [...keys]
          for (const choice of choices) {
            if (left.length === 0) break
            const [key] = left.splice(choice % left.length, 1)
            pool.remove(pool.find(key, key))
            for (const one of left) expect(pool.find(one, one), String(one)).not.toBe(0)
          }
          expect([...words]).toEqual([...before])
        },
      ),
      { numRuns: 100 },
    )
  })

  it('has room for as many as it has slots, each found, with one word of key or two', () => {
    for (const keys of [1, 2] as const)
      for (const count of [1, 2, 3, 4, 5, 31, 32, 33, 1000]) {
        const made = poolOf(count, keys)
        const keyOf = (i: number): [number, number] => (keys === 1 ? [i, i] : [(i >> 3) + 1, i & 7])
        for (let i = 1; i <= count; i++) expect(made.pool.add(...keyOf(i))).toBe(i)
        expect(made.pool.add(0x10_0000, 0x10_0000)).toBe(0)
        for (let i = 1; i <= count; i++) expect(made.pool.find(...keyOf(i))).toBe(i)
        expect(guardsHold(made)).toBe(true)
      }
  })

  it('without slots has nothing, and room for nothing', () => {
    const { pool } = poolOf(0)
    expect(pool.find(1, 1)).toBe(0)
    expect(pool.add(1, 1)).toBe(0)
  })
})
