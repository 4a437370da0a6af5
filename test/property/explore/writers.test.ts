/** A word's row says who may write it. Here every word that a step changes is looked up. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Changes } from '../../../src/explore/changes.ts'
import {
  StepKinds,
  WRITES,
  WRITES_ALL,
  WRITES_GUEST,
  WRITES_LISTS,
  WRITES_LOAD,
  WRITES_NOTIFY,
  WRITES_PE,
  WRITES_PUT,
  WRITES_QUEUE,
  WRITES_SCHED,
  WRITES_THREAD,
  WRITES_VCPU,
} from '../../../src/explore/step-kind.ts'
import type { Writer } from '../../../src/state/layout.ts'
import { directScenarios, scenarios } from '../scenario/any-scenario.ts'

const writers = new Map<number, Writer>([
  [WRITES_THREAD, 'thread'],
  [WRITES_VCPU, 'vcpu'],
  [WRITES_PE, 'pe'],
  [WRITES_LOAD, 'load'],
  [WRITES_PUT, 'put'],
  [WRITES_SCHED, 'sched'],
  [WRITES_LISTS, 'lists'],
  [WRITES_GUEST, 'guest'],
  [WRITES_QUEUE, 'queue'],
  [WRITES_NOTIFY, 'notify'],
])

const choices = fc.array(fc.nat(), { minLength: 200, maxLength: 400 })

describe('a step', () => {
  it('changes only words whose rows name it', () => {
    const met = new Set<Writer>()
    fc.assert(
      fc.property(
        fc.oneof({ weight: 3, arbitrary: scenarios }, directScenarios),
        choices,
        (recipe, schedule) => {
          const machine = recipe.machine().internals
          const { words, state } = machine.hypervisor
          const before = words.slice()
          const changes = new Changes(machine, before)
          const kinds = new StepKinds(machine)
          const all = [...machine.actors, ...machine.environment]
          for (const choice of schedule) {
            const ready = all.filter((actor) => machine.stateOf(actor) === 'ready')
            if (ready.length === 0) return
            const actor = ready[choice % ready.length]
            const writer = writers.get(kinds.next(actor) & WRITES)
            before.set(words)
            machine.step(actor)
            if (writer === undefined) continue
            met.add(writer)
            changes.find(actor, WRITES_ALL)
            const strange = Array.from(changes.at.slice(0, changes.count)).filter(
              (at) => !state.layout.locate(at)?.word.by?.includes(writer),
            )
            expect([actor.name, writer, strange.map((at) => state.layout.nameOf(at))]).toEqual([
              actor.name,
              writer,
              [],
            ])
          }
        },
      ),
      { numRuns: 200 },
    )
    expect([...met].sort()).toEqual([...writers.values()].sort())
  })
})
