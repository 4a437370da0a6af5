import { exhibit, museum } from 'vgic/explore'
import { describe, expect, it } from 'vitest'

describe('x', () => {
  for (const entry of museum.filter(({ id }) => /^4[78]/.test(id)))
    it(entry.id, () => {
      const row = exhibit(entry)
      console.log(
        entry.id,
        row.behaves,
        row.bug.violation?.invariant,
        row.bug.violation?.what,
        row.good.complete,
        row.good.states,
        row.good.violation?.what,
        row.bug.elapsed,
      )
      expect(row.behaves).toBe(true)
    })
})
