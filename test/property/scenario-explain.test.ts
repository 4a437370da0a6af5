/**
 * What explain() says and what the machine then does, over random scenarios and schedules: an interrupt is delivered
 * exactly if the guest takes it next, and whoever asks changes nothing.
 */
import fc from 'fast-check'
import type { Actor, ScenarioMachine, StepEvent } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { LINE_VIRQ } from '../../src/gic/virtual-interface.ts'
import { THREAD_IN_GUEST, THREAD_SLEEPS } from '../../src/hyp/run-loop.ts'
import { VCPU_PE } from '../../src/hyp/vcpu.ts'
import { keepsListRegisters } from '../../src/explore/next-entry.ts'
import { cook, recipesWith, type Recipe, scheduled, schedules } from './scenario-recipe.ts'

const SIGNALLED = { 1: 'IRQ', 2: 'FIQ' } as const

/** The INTIDs of a recipe, and one that nobody set up. */
const intidsOf = (recipe: Recipe): number[] => [
  ...new Set([...recipe.interrupts.map(({ intid }) => intid), 27, 30, 46]),
]

/** The INTID that the guest of a vCPU in it takes at its next instruction, by the silicon; undefined for none. */
function taken({ hypervisor }: ScenarioMachine, vcpu: number): number | undefined {
  const { words, silicon } = hypervisor
  const pe = words[hypervisor.vcpu(vcpu) + VCPU_PE]
  if (silicon.pcpu.taken(pe) === 0) return undefined
  const at = silicon.virtualInterface.signalled(words, pe)
  return at === 0 ? undefined : words[at - 1]
}

/** What explain() says is delivered to a vCPU. */
const delivered = (machine: ScenarioMachine, vcpu: number, intids: readonly number[]): number[] =>
  intids.filter((intid) => machine.explain(intid, vcpu).delivered)

/** Steps of a thread after which the interrupts of its vCPU may be others. */
const changes = (event: StepEvent): boolean =>
  /^emulateSysreg/.test(event.what)

/** Lets a vCPU alone go on until it is in the guest; undefined if it does not come there undisturbed. */
function alone(machine: ScenarioMachine, who: Actor): 'guest' | 'asleep' | undefined {
  const v = machine.hypervisor.vcpu(who.index)
  for (let steps = 0; steps < 500; steps++) {
    if (machine.hypervisor.runLoop.threadState(v) === THREAD_SLEEPS) return 'asleep'
    if (machine.stateOf(who) !== 'ready') return undefined
    if (machine.hypervisor.runLoop.threadState(v) === THREAD_IN_GUEST && keepsListRegisters(machine.hypervisor, v)) return 'guest'
    if (changes(machine.trace(who))) return undefined
  }
  return undefined
}

describe('whatever guests and devices do', () => {
  it('explain() says that an interrupt is delivered exactly if the guest takes it next', () => {
    const seen = { now: 0, takenNow: 0, next: 0, takenNext: 0, asleep: 0 }
    fc.assert(
      fc.property(fc.boolean().chain((timers) => recipesWith({ timers })), schedules, fc.integer({ min: 2, max: 40 }), (recipe, schedule, stride) => {
        const machine = cook(recipe).machine()
        const intids = intidsOf(recipe)
        for (let step = 0; step < 400; step++) {
          const actor = scheduled(machine, schedule, step)
          if (!actor) break
          machine.trace(actor)
          if (step % stride !== 0) continue
          for (let vcpu = 0; vcpu < recipe.guests.length; vcpu++) {
            const before = machine.snapshot()
            const said = delivered(machine, vcpu, intids)
            expect(Buffer.from(machine.snapshot()).equals(Buffer.from(before))).toBe(true)
            const who = machine.actors[vcpu]
            const v = machine.hypervisor.vcpu(vcpu)
            if (machine.hypervisor.runLoop.threadState(v) === THREAD_IN_GUEST && keepsListRegisters(machine.hypervisor, v)) {
              const intid = taken(machine, vcpu)
              expect(said).toEqual(intid === undefined ? [] : [intid])
              seen.now++
              if (intid !== undefined) seen.takenNow++
              continue
            }
            const end = alone(machine, who)
            if (end === 'guest') {
              const intid = taken(machine, vcpu)
              expect(said, machine.explain(intids[0], vcpu).toString()).toEqual(intid === undefined ? [] : [intid])
              seen.next++
              if (intid !== undefined) seen.takenNext++
            } else if (end === 'asleep') {
              expect(said).toEqual([])
              seen.asleep++
            }
            machine.restore(before)
          }
        }
      }),
      { numRuns: 300, endOnFailure: true },
    )
    console.log(seen)
  }, 100_000)
})
