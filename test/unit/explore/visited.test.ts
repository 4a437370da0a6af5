import { describe, expect, it } from 'vitest'
import { VisitedSet } from '../../../src/explore/visited.ts'

interface State {
  readonly a: number
  readonly b: number
  readonly tableKey: number
}

/** So many states, no two of them alike, of which each so many have a table key of their own. */
function states(count: number, each: number): State[] {
  return Array.from({ length: count }, (_, i) => ({
    a: Math.imul(i + 1, 0x9e3779b1),
    b: Math.imul(i + 1, 0x85ebca6b) & ~1,
    tableKey: Math.imul(Math.floor(i / each), 0xcc9e2d51),
  }))
}

const slotOf = (set: VisitedSet, { a, b, tableKey }: State): number => set.find(a, b, tableKey)

describe('the set of visited states', () => {
  it.each([
    { what: 'all in one table', each: 20_000, expected: 1 << 19 },
    { what: 'in small tables', each: 3, expected: 1 << 19 },
    { what: 'of which none is expected', each: 100, expected: 0 },
  ])('has each state that was put into it, open until it is closed: $what', ({ each, expected }) => {
    const set = new VisitedSet(expected)
    const all = states(20_000, each)
    const slots = all.map((state) => {
      const slot = slotOf(set, state)
      expect(set.isFree(slot)).toBe(true)
      set.enter(slot, state.a, state.b, state.tableKey)
      return slot
    })
    expect(set.size).toBe(all.length)
    for (const [i, { a, b, tableKey }] of all.entries()) if (i % 2 === 0) set.close(slots[i], a, b, tableKey)
    const found = all.map((state) => slotOf(set, state))
    expect(found.filter((slot) => set.isFree(slot))).toEqual([])
    expect(new Set(found).size).toBe(all.length)
    expect(found.filter((slot, i) => set.isOpen(slot) !== (i % 2 === 1))).toEqual([])
    for (const slot of found) set.reopen(slot)
    expect(found.filter((slot) => !set.isOpen(slot))).toEqual([])
    expect(all.map((state) => slotOf(set, state))).toEqual(found)
  })

  it('has no state twice, and none that was not put into it', () => {
    const set = new VisitedSet(1 << 12)
    const all = states(10_000, 50)
    for (const one of [...all, ...all]) {
      const slot = slotOf(set, one)
      if (set.isFree(slot)) set.enter(slot, one.a, one.b, one.tableKey)
    }
    expect(set.size).toBe(all.length)
    expect(all.filter(({ a, b, tableKey }) => !set.isFree(set.find(a, b ^ 2, tableKey)))).toEqual([])
  })

  it.each([
    { what: 'in one table', each: 20_000 },
    { what: 'in many tables', each: 3 },
  ])('is full when there is no room for a table that grows, and has all states then: $what', ({ each }) => {
    const set = new VisitedSet(1 << 12, 1 << 14)
    const all = states(20_000, each)
    const entered: State[] = []
    for (const state of all) {
      if (set.isFull) break
      set.enter(slotOf(set, state), state.a, state.b, state.tableKey)
      entered.push(state)
    }
    expect(set.isFull).toBe(true)
    // At worst the room is taken by a table a third full of two words a state, and half as much by those that it had before.
    expect(entered.length).toBeGreaterThan((1 << 14) / 13)
    expect(entered.length).toBeLessThan((1 << 14) / 3)
    expect(set.size).toBe(entered.length)
    const found = entered.map((state) => slotOf(set, state))
    expect(found.filter((slot) => set.isFree(slot) || !set.isOpen(slot))).toEqual([])
    expect(new Set(found).size).toBe(entered.length)
    expect(all.slice(entered.length).filter((state) => !set.isFree(slotOf(set, state)))).toEqual([])
  })
})
