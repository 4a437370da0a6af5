/**
 * The explorer compares only what a step can have changed: by what the design's step declares, and by what guests,
 * devices and the environment do. Here every word is compared.
 */
import fc from 'fast-check'
import { type Design, designs, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { Changes } from '../../src/explore/changes.ts'
import { REACH, REACH_ALL, StepKinds } from '../../src/explore/step-kind.ts'
import { cook, recipesWith } from './scenario-recipe.ts'

/** With what the recipes of the other properties lack: interrupts of physical devices, SEV between vCPUs. */
const ownRecipes = fc.record({
  design: fc.constantFrom(...Object.values(designs)),
  vcpus: fc.integer({ min: 1, max: 3 }),
  cpus: fc.integer({ min: 1, max: 2 }),
  timers: fc.boolean(),
  physical: fc.option(fc.constant(40), { nil: undefined }),
})

interface Recipe {
  readonly design: Design
  readonly vcpus: number
  readonly cpus: number
  readonly timers: boolean
  readonly physical: number | undefined
}

function recipeOf({ design, vcpus, cpus, timers, physical }: Recipe): Scenario {
  const recipe = scenario('random')
    .gic({ cpus, listRegisters: 2 })
    .vm({ vcpus, spis: 8, timers, haltPolling: { limit: 4 } })
    .design(design)
    .spi({ intid: 32 })
    .spi({ intid: 33, trigger: 'level', vcpu: vcpus - 1, ...(physical === undefined ? {} : { physical }) })
    .spi({ intid: 34, priority: 0x80 })
    .device('nic', (d) => d.pulse(32).signal(0).pulse(32))
    .device('disk', (d) => d.pulse(34).pulse(34).pulse(34))
    .device('uart', (d) => d.raise(33).lower(33))
  for (let v = 0; v < vcpus; v++) {
    recipe.guest(v, (g) => {
      g.onIrq((h) => {
        h.ack()
        if (timers) h.stopTimer()
        h.eoi()
      }).unmask()
      if (timers) g.timer(30)
      return g
        .sgi({ intid: 1, vcpus: 'others' })
        .wfi()
        .wfe()
        .wfe()
        .sev()
        .quiesce(33)
        .userspace()
        .wfit(20)
        .suspend()
    })
  }
  return recipe
}

const scenarios = fc.oneof(
  ownRecipes.map(recipeOf),
  recipesWith({}).map(cook),
  recipesWith({ timers: true }).map(cook),
)
const choices = fc.array(fc.nat(), { minLength: 200, maxLength: 400 })

describe('a step', () => {
  it('changes nothing beyond its reach, and what it changes is found once', () => {
    const reaches = new Set<number>()
    fc.assert(
      fc.property(scenarios, choices, (recipe, schedule) => {
        const machine = recipe.machine()
        const { words, state } = machine.hypervisor
        const before = words.slice()
        const changes = new Changes(machine, before)
        const kinds = new StepKinds(machine)
        const all = [...machine.actors, ...machine.environment]
        for (const choice of schedule) {
          const ready = all.filter((actor) => machine.stateOf(actor) === 'ready')
          if (ready.length === 0) return
          const actor = ready[choice % ready.length]
          const kind = kinds.next(actor)
          reaches.add(kind & REACH)
          before.set(words)
          machine.step(actor)
          changes.find(actor, kind)
          const found = changes.at.slice(0, changes.count).sort()
          changes.find(actor, REACH_ALL)
          const changed = changes.at.slice(0, changes.count)
          const names = (at: Int32Array) => Array.from(at, (word) => state.layout.nameOf(word))
          expect([actor.name, kind, names(found)]).toEqual([actor.name, kind, names(changed)])
        }
      }),
      { numRuns: 200 },
    )
    // Every reach was met.
    expect([...reaches].sort()).toEqual([0, 1, 2, 3, 4, 5, 6])
  }, 60_000)
})
