import fc from 'fast-check'
import { designs, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { VCPU_IRQ, VCPU_NOTIFIER, VCPU_PC, VCPU_PE } from '../../src/hyp/vcpu.ts'

const recipes = fc.record({
  design: fc.constantFrom(...Object.values(designs)),
  vcpus: fc.integer({ min: 1, max: 3 }),
  cpus: fc.integer({ min: 1, max: 2 }),
  choices: fc.array(fc.nat(), { minLength: 200, maxLength: 400 }),
})

function recipeOf({
  design,
  vcpus,
  cpus,
}: {
  design: (typeof designs)['hooks']
  vcpus: number
  cpus: number
}): Scenario {
  const recipe = scenario('random')
    .gic({ cpus, listRegisters: 2 })
    .vm({ vcpus, spis: 2, timers: true, haltPolling: { limit: 4 } })
    .design(design)
    .spi({ intid: 32 })
    .spi({ intid: 33, trigger: 'level', vcpu: vcpus - 1 })
    .device('nic', (d) => d.pulse(32).signal(0).pulse(32))
    .device('uart', (d) => d.raise(33).lower(33))
  for (let v = 0; v < vcpus; v++) {
    recipe.guest(v, (g) =>
      g
        .onIrq((h) => h.ack().stopTimer().eoi())
        .unmask()
        .timer(30)
        .sgi({ intid: 1, vcpus: 'others' })
        .wfi()
        .wfe()
        .wfe()
        .userspace()
        .wfit(20)
        .suspend(),
    )
  }
  return recipe
}

describe('a step with a declared reach', () => {
  it('changes nothing beyond the words of its own thread, or these, its PE and the run queue', () => {
    fc.assert(
      fc.property(recipes, (random) => {
        const machine = recipeOf(random).machine()
        const { words, runLoop, state, silicon } = machine.hypervisor
        const ranges = state.layout.rangesOf(['authoritative', 'normalised', 'derived'], state.fixed)
        const all = [...machine.actors, ...machine.environment]
        for (const choice of random.choices) {
          const ready = all.filter((actor) => machine.stateOf(actor) === 'ready')
          if (ready.length === 0) return
          const actor = ready[choice % ready.length]
          const v = machine.hypervisor.vcpu(actor.index)
          const pc = words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]
          const inGuest =
            words[v + VCPU_PE] !== 0 && machine.hypervisor.silicon.pcpu.isInGuest(words[v + VCPU_PE])
          const onPe = actor.kind === 'vcpu' && words[v + VCPU_PE] !== 0 && !inGuest
          const reach = onPe ? runLoop.program.steps[pc]?.reach : undefined
          const pe = words[v + VCPU_PE]
          const before = words.slice()
          machine.step(actor)
          if (!reach) continue
          for (let r = 0; r < ranges.length; r += 2) {
            for (let at = ranges[r]; at < ranges[r + 1]; at++) {
              if (at >= v && at < v + VCPU_IRQ) continue
              if (words[at] === before[at]) continue
              const name = state.layout.nameOf(at)
              const ofPe = (at >= pe && at < pe + silicon.peSize) || name.startsWith('host.')
              if (reach !== 'pe' || !ofPe) expect.fail(`${runLoop.program.paths[pc]} changed ${name}`)
            }
          }
        }
      }),
      { numRuns: 60 },
    )
  }, 60_000)
})
