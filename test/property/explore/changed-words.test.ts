/**
 * The explorer compares only what a step can have changed: by what the design's step declares, and by what guests,
 * devices and the environment do. Here every word is compared.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Changes } from '../../../src/explore/changes.ts'
import { StepKinds, WRITES, WRITES_ALL } from '../../../src/explore/step-kind.ts'
import { directScenarios, scenarios } from '../scenario/any-scenario.ts'

const choices = fc.array(fc.nat(), { minLength: 200, maxLength: 400 })

describe('a step', () => {
  it('changes nothing beyond what it may write, and what it changes is found once', () => {
    const writes = new Set<number>()
    fc.assert(
      fc.property(
        fc.oneof({ weight: 3, arbitrary: scenarios }, directScenarios),
        choices,
        (recipe, schedule) => {
          const machine = recipe.machine()
          const { words, state } = machine.hypervisor
          const before = words.slice()
          const changes = new Changes(machine.internals, before)
          const kinds = new StepKinds(machine.internals)
          const all = [...machine.actors, ...machine.environment]
          for (const choice of schedule) {
            const ready = all.filter((actor) => machine.stateOf(actor) === 'ready')
            if (ready.length === 0) return
            const actor = ready[choice % ready.length]
            const kind = kinds.next(actor)
            writes.add(kind & WRITES)
            before.set(words)
            machine.step(actor)
            changes.find(actor, kind)
            const found = changes.at.slice(0, changes.count).sort()
            changes.find(actor, WRITES_ALL)
            const changed = changes.at.slice(0, changes.count).sort()
            const names = (at: Int32Array) => Array.from(at, (word) => state.layout.nameOf(word))
            expect([actor.name, kind, names(found)]).toEqual([actor.name, kind, names(changed)])
          }
        },
      ),
      { numRuns: 200 },
    )
    // Every kind of writes was met.
    expect([...writes].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })
})
