/** Symmetry: what it relies on, step by step, and what it says, beside the whole search. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Changes } from '../../../src/explore/changes.ts'
import { renamingsOf } from '../../../src/explore/symmetry/declaration.ts'
import { cookSymmetric, symmetricScenarios } from './symmetric-scenarios.ts'

const choices = fc.array(fc.nat(), { minLength: 100, maxLength: 300 })

describe('a permutation of what is symmetric', () => {
  it('takes each step of an actor to the step of the actor that takes its place', () => {
    let steps = 0
    fc.assert(
      fc.property(symmetricScenarios(3, 4), choices, (one, schedule) => {
        const machine = cookSymmetric(one).machine().internals
        machine.prepareExploration()
        const { words, state } = machine.hypervisor
        const { ranges } = new Changes(machine, words.slice())
        const renamings = renamingsOf(machine, ranges)
        const [before, after, permuted, expected] = [
          words.slice(),
          words.slice(),
          words.slice(),
          words.slice(),
        ]
        const all = [...machine.actors, ...machine.environment]
        for (const choice of schedule) {
          const ready = all.filter((actor) => machine.stateOf(actor) === 'ready')
          if (ready.length === 0) return
          const actor = ready[choice % ready.length]
          const renaming = renamings[choice % renamings.length]
          const other = renaming.actorOf(actor)
          before.set(words)
          renaming.apply(permuted)
          machine.step(actor)
          after.set(words)
          renaming.apply(expected)
          words.set(permuted)
          expect([actor.name, other.name, machine.stateOf(other)]).toEqual([actor.name, other.name, 'ready'])
          machine.step(other)
          const wrong: string[] = []
          for (let r = 0; r < ranges.length; r += 2)
            for (let at = ranges[r]; at < ranges[r + 1]; at++)
              if (words[at] !== expected[at])
                wrong.push(`${state.layout.nameOf(at)}: ${words[at]} not ${expected[at]}`)
          expect([actor.name, other.name, wrong]).toEqual([actor.name, other.name, []])
          words.set(after)
          steps++
        }
      }),
      { numRuns: 300 },
    )
    expect(steps).toBeGreaterThan(10_000)
  })
})
