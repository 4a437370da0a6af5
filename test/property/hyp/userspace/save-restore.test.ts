/** Saving and restoring in whatever state random guests, devices and schedules bring a VM. */
import fc from 'fast-check'
import type { ScenarioMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { asPc } from '../../../../src/hyp/records/vcpu.ts'
import { irqApListOf, irqStaysOn } from '../../../../src/hyp/records/vgic-irq.ts'
import { VM_ENABLED } from '../../../../src/hyp/records/vm.ts'
import { ENDED, TABLE_SHIFT } from '../../../../src/hyp/run/program.ts'
import { cook, recipesWith, scheduled, schedules } from '../../scenario/recipe.ts'

/** By vCPU, the INTIDs on its ap_list that belong there; those that do not are taken off by its next fold. */
function queued({ hypervisor }: ScenarioMachine): number[][] {
  const { words, apLists, layout } = hypervisor
  return Array.from({ length: layout.vcpuCount }, (_, index) => {
    const v = hypervisor.vcpu(index)
    const list = apLists.listOf(v)
    const stays = list.filter((irq) => irqStaysOn(words[irq], words[layout.vm + VM_ENABLED] ? index : -1))
    for (const irq of list) expect(irqApListOf(words[irq])).toBe(index + 1)
    return stays.map((irq) => apLists.intidOf(v, irq)).sort((a, b) => a - b)
  })
}

describe('whatever guests and devices have done', () => {
  it('a saved VM reads the same in a fresh one, has the same interrupts queued, and goes on without a throw', () => {
    const seen = { runs: 0, pending: 0, active: 0, queued: 0 }
    const recipes = fc.boolean().chain((timers) => recipesWith({ timers }))
    fc.assert(
      fc.property(recipes, schedules, fc.nat(300), (recipe, schedule, steps) => {
        const machine = cook(recipe).machine()
        for (let step = 0; step < steps; step++) {
          const actor = scheduled(machine, schedule, step)
          if (!actor) break
          machine.trace(actor)
        }
        machine.stop()
        const before = Buffer.from(machine.snapshot())
        const saved = machine.saveVgic()
        expect(Buffer.from(machine.snapshot()).equals(before), 'saving changes nothing').toBe(true)

        const other = cook(recipe).machine()
        other.restoreVgic(JSON.parse(JSON.stringify(saved)))
        expect(other.saveVgic()).toEqual(saved)
        expect(queued(other)).toEqual(queued(machine))

        machine.restoreVgic(saved)
        expect(machine.saveVgic()).toEqual(saved)
        for (let step = steps; step < steps + 200; step++) {
          const actor = scheduled(machine, schedule, step)
          if (!actor) break
          machine.trace(actor)
        }
        seen.runs++
        const text = JSON.stringify(saved)
        if (/ISPENDR\d":"0x[^0]/.test(text)) seen.pending++
        if (/ISACTIVER\d":"0x[^0]/.test(text)) seen.active++
        if (queued(other).flat().length > 0) seen.queued++
      }),
      { numRuns: 200 },
    )
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0)
  })

  it('a restore in the steps of a design reads as one at once, and has the same interrupts queued', () => {
    const recipes = fc.boolean().chain((timers) => recipesWith({ timers }))
    const into = fc.constantFrom('fresh' as const, 'same' as const)
    fc.assert(
      fc.property(recipes, schedules, fc.nat(300), into, (recipe, schedule, steps, vm) => {
        const machine = cook(recipe)
          .device('vmm', (device) => device.save().restore({ into: vm }))
          .machine()
        for (let step = 0; step < steps; step++) {
          const actor = scheduled(machine, schedule, step)
          if (!actor || actor.name === 'vmm') break
          machine.trace(actor)
        }
        machine.stop()
        const [saved, lists] = [machine.saveVgic(), queued(machine)]

        const { restores } = machine.internals
        const { program } = machine.hypervisor.runLoop
        restores?.keep(saved)
        for (let pc = program.restore; pc !== ENDED; pc = asPc(program.table[(pc << TABLE_SHIFT) + 1]))
          expect(restores?.take(pc, vm)).toBeUndefined()
        restores?.forget()
        expect(machine.saveVgic()).toEqual(saved)
        expect(queued(machine)).toEqual(lists)
      }),
      { numRuns: 60 },
    )
  })
})
