/**
 * What explain() says and what the machine then does, over random scenarios and schedules: an interrupt is delivered
 * exactly if the guest takes it next, and whoever asks changes nothing.
 */
import fc from 'fast-check'
import type { Actor, ScenarioMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { asPe, ICH_VMCR } from '../../../src/gic/records/pe.ts'
import { VCPU_PE } from '../../../src/hyp/records/vcpu.ts'
import { THREAD_IN_GUEST, THREAD_SLEEPS } from '../../../src/hyp/run/thread-states.ts'
import { cook, type Recipe, recipesWith, scheduled, schedules } from './recipe.ts'

/** The INTIDs of a recipe, its timers', and one that nobody set up. */
const intidsOf = (recipe: Recipe): number[] => [
  ...new Set([...recipe.interrupts.map(({ intid }) => intid), 27, 30, 46]),
]

/** Whether the guest of a vCPU is about to do something, and not left before for the host. */
function runsGuest({ hypervisor }: ScenarioMachine, vcpu: number): boolean {
  const v = hypervisor.vcpu(vcpu)
  if (hypervisor.runLoop.threadState(v) !== THREAD_IN_GUEST) return false
  return !hypervisor.guest.isInterrupted(v)
}

/** What the guest of a vCPU in it takes before its next instruction, by the silicon: one INTID or none. */
function taken({ hypervisor }: ScenarioMachine, vcpu: number): number[] {
  const { words, silicon } = hypervisor
  const pe = asPe(words[hypervisor.vcpu(vcpu) + VCPU_PE])
  if (silicon.pcpu.taken(pe) === 0) return []
  const { virtualInterface } = silicon
  const vmcr = words[pe + ICH_VMCR]
  const at = virtualInterface.foremost(words, pe, vmcr)
  expect(at !== 0 && virtualInterface.isSignalled(words, pe, vmcr, words[at])).toBe(true)
  return [words[at - 1]]
}

/** Lets nobody but a vCPU go on, until it runs its guest or sleeps; undefined if it sends SGIs or ends before. */
function alone(machine: ScenarioMachine, who: Actor): 'guest' | 'asleep' | undefined {
  const v = machine.hypervisor.vcpu(who.index)
  for (let steps = 0; steps < 500; steps++) {
    if (machine.hypervisor.runLoop.threadState(v) === THREAD_SLEEPS) return 'asleep'
    if (runsGuest(machine, who.index)) return 'guest'
    if (machine.stateOf(who) !== 'ready' || machine.trace(who).what === 'emulateSysreg') return undefined
  }
  return undefined
}

describe('whatever guests and devices do', () => {
  it('explain() says that an interrupt is delivered exactly if the guest takes it next', () => {
    const seen = { now: 0, next: 0, none: 0, asleep: 0 }

    function compare(machine: ScenarioMachine, vcpu: number, intids: readonly number[]): void {
      const before = machine.snapshot()
      const said = intids.filter((intid) => machine.explain(intid, vcpu).delivered)
      expect(Buffer.from(machine.snapshot()).equals(Buffer.from(before)), 'nothing has changed').toBe(true)
      const isNow = runsGuest(machine, vcpu)
      const end = isNow ? 'guest' : alone(machine, machine.actors[vcpu])
      if (end === 'guest') {
        const taking = taken(machine, vcpu)
        expect(said).toEqual(taking)
        seen[taking.length === 0 ? 'none' : isNow ? 'now' : 'next']++
      } else if (end === 'asleep') {
        expect(said).toEqual([])
        seen.asleep++
      }
      machine.restore(before)
    }

    const recipes = fc.boolean().chain((timers) => recipesWith({ timers }))
    fc.assert(
      fc.property(recipes, schedules, fc.integer({ min: 3, max: 30 }), (recipe, schedule, stride) => {
        const machine = cook(recipe).machine()
        const intids = intidsOf(recipe)
        for (let step = 0; step < 300; step++) {
          const actor = scheduled(machine, schedule, step)
          if (!actor) break
          machine.trace(actor)
          if (step % stride !== 0) continue
          for (const vcpu of recipe.guests.keys()) compare(machine, vcpu, intids)
        }
      }),
      { numRuns: 100 },
    )
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0)
  })
})
