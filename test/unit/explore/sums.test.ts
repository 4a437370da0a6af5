/**
 * The sums of a state's hash and its number, if it is kept whole, which a search updates by what its steps have changed,
 * also when it goes back.
 */
import { museum } from 'vgic/explore'
import { describe, expect, it } from 'vitest'
import { checkBounds } from '../../../src/explore/bounds.ts'
import { RandomNumbers } from '../../../src/explore/random-numbers.ts'
import { Search } from '../../../src/explore/search.ts'
import { slowWords } from '../../../src/explore/slow-words.ts'
import { SumHash } from '../../../src/explore/sum-hash.ts'

describe('the sums and the number of a state', () => {
  it.each(museum.map((entry) => [entry.id, entry] as const))(
    'are those of its words, whatever way has led to it: entry %s',
    (_, { scenario, good, bounds }) => {
      const machine = scenario(good).machine().internals
      const search = new Search(machine, checkBounds({ ...bounds, exact: true }))
      const numbers = new RandomNumbers(1)
      const hash = new SumHash(slowWords(machine))
      const anew = { a: 0, b: 0, slow: 0 }
      const { stack, actors, changes } = search
      search.begin()
      search.push(0)
      for (let i = 0; i < 200; i++) {
        const ready = [...actors.keys()].filter((actor) => search.canStep(actor))
        if (stack.depth > 0 && (ready.length === 0 || numbers.below(3) === 0)) {
          stack.pop()
          continue
        }
        const { a, b, slow, keyB, budget } = search.step(ready[numbers.below(ready.length)])
        hash.hashAll(anew, machine.hypervisor.words, changes.ranges)
        expect({ a, b, slow }).toEqual(anew)
        const number = keyB >>> 1
        expect(search.exact?.numberOf(budget)).toBe(number)
        expect(search.exact?.read(number).at(-1)).toBe(budget)
        search.push(0)
      }
    },
  )
})
