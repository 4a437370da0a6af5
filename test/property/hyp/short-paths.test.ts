/**
 * What is asked and done most has a short path: whether a vCPU is in its guest, the guest's acknowledge and end of
 * interrupt, a plain injection. Each does what the long path does, in every state of random schedules.
 */
import fc from 'fast-check'
import { ICC_EOIR1_EL1, ICC_IAR1_EL1 } from 'vgic'
import { type Design, designs, edit, kvm61, type ScenarioMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { halves, highOf, lowOf } from '../../../src/arch/doubleword.ts'
import { HCR_EL2_FMO, HCR_EL2_IMO } from '../../../src/arch/hcr-el2.ts'
import { HCR_TALL1 } from '../../../src/arch/ich-registers.ts'
import { ICH_HCR } from '../../../src/gic/cpu-interface/virtual-interface.ts'
import { PCPU_HCR_EL2 } from '../../../src/gic/records/pe-offsets.ts'
import { peOf, VCPU_PE, type Vcpu } from '../../../src/hyp/records/vcpu.ts'
import type { Irq } from '../../../src/hyp/records/vgic-irq.ts'
import { ENDED, type NextPc } from '../../../src/hyp/run/program.ts'
import { THREAD_IN_GUEST } from '../../../src/hyp/run/thread-states.ts'
import { cook, type Recipe, recipesWith } from '../scenario/recipe.ts'

/** The words that something leaves; the machine is put back. */
function leftBy({ hypervisor: { words } }: ScenarioMachine, something: () => void): Int32Array {
  const before = words.slice()
  something()
  const after = words.slice()
  words.set(before)
  return after
}

/** The first word that is another; -1 if all are the same. */
const difference = (one: Int32Array, other: Int32Array): number =>
  one.findIndex((word, i) => word !== other[i])

/** Takes a random schedule, and looks at the machine before every step. */
function drive(recipe: Recipe, schedule: readonly number[], look: (machine: ScenarioMachine) => void): void {
  const machine = cook(recipe).machine()
  for (const choice of schedule) {
    look(machine)
    const all = choice % 8 === 0 ? machine.environment : machine.actors
    const ready = all.filter((actor) => machine.stateOf(actor) === 'ready')
    if (ready.length > 0) machine.step(ready[choice % ready.length])
  }
}

const schedules = fc.array(fc.nat(4095), { minLength: 100, maxLength: 200, size: 'max' })
const vcpusOf = ({ hypervisor }: ScenarioMachine): Vcpu[] =>
  Array.from({ length: hypervisor.setup.vcpus }, (_, i) => hypervisor.vcpu(i))

function assertEverywhere(look: (machine: ScenarioMachine) => void, design?: Design): void {
  const recipes = recipesWith({ timers: true }).map((recipe) => (design ? { ...recipe, design } : recipe))
  fc.assert(
    fc.property(recipes, schedules, (recipe, schedule) => drive(recipe, schedule, look)),
    { numRuns: 20 },
  )
}

describe('a short path does what the long one does', () => {
  it.each([
    ['of a design that is fused', designs.wfiFullPut],
    ['of one that is not', kvm61(designs.vmcrOnDemandFlag)],
  ])('where it is asked whether a vCPU %s is in its guest', (_name, design) => {
    let inGuest = 0
    assertEverywhere((machine) => {
      const { runLoop, guest, words } = machine.hypervisor
      for (const v of vcpusOf(machine)) {
        const isThere = runLoop.threadState(v) === THREAD_IN_GUEST
        if (isThere) inGuest++
        expect(runLoop.isInGuest(v)).toBe(isThere)
        expect(runLoop.staysInGuest(v)).toBe(isThere && words[v + VCPU_PE] !== 0 && !guest.isInterrupted(v))
      }
    }, design)
    expect(inGuest).toBeGreaterThan(100)
  })

  it('in an acknowledge and an end of interrupt, trapped or not, virtual or not', () => {
    let acknowledged = 0
    assertEverywhere((machine) => {
      const { guest, runLoop, silicon, words } = machine.hypervisor
      for (const v of vcpusOf(machine).filter((each) => runLoop.isInGuest(each))) {
        const pe = peOf(words, v)
        const kept = [words[pe + PCPU_HCR_EL2], words[pe + ICH_HCR]]
        for (const [hcrEl2, trapped] of [
          [kept[0], 0],
          [kept[0], HCR_TALL1],
          [kept[0] & ~HCR_EL2_IMO, 0],
          [kept[0] & ~(HCR_EL2_IMO | HCR_EL2_FMO), 0],
        ]) {
          const isSet = () => {
            words[pe + PCPU_HCR_EL2] = hcrEl2
            words[pe + ICH_HCR] = kept[1] | trapped
          }
          let intid = 0
          const short = leftBy(machine, () => {
            isSet()
            intid = guest.read(pe, ICC_IAR1_EL1)
            guest.write(pe, ICC_EOIR1_EL1, intid, 0)
          })
          const long = leftBy(machine, () => {
            isSet()
            expect(silicon.systemRegisters.read(pe, ICC_IAR1_EL1, 1)).toBe(intid)
            silicon.lines.settlePe(pe)
            silicon.systemRegisters.write(pe, ICC_EOIR1_EL1, intid, 0, 1)
            silicon.lines.settlePe(pe)
          })
          if (trapped === 0 && intid > 0 && intid < 1020) acknowledged++
          expect(difference(short, long)).toBe(-1)
        }
      }
    })
    expect(acknowledged).toBeGreaterThan(20)
  })

  it.each([
    ['queue, request and kick', designs.wfiHandler],
    [
      'a kick before the request',
      edit(designs.wfiHandler).swap('inject/postRequest', 'inject/kick').design('kick'),
    ],
  ])('in an injection by %s', (_name, design) => {
    assertEverywhere((machine) => {
      const { apLists, layout } = machine.hypervisor
      for (const irq of [apLists.irqOf(machine.hypervisor.vcpu(0), 20), layout.spis as Irq]) {
        for (const level of [0, 1] as const) {
          const atOnce = leftBy(machine, () => machine.hypervisor.injection.run(irq, level))
          const steps = leftBy(machine, () => stepByStep(machine, irq, level))
          expect(difference(atOnce, steps)).toBe(-1)
        }
      }
    }, design)
  })

  it('where a value of 64 bits is taken apart', () => {
    const values = fc.oneof(
      fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }),
      fc.integer({ min: -0x8000_0000, max: 0xffff_ffff }).map(BigInt),
    )
    fc.assert(
      fc.property(values, (bits) => {
        expect([lowOf(bits), highOf(bits)]).toEqual(halves(bits))
        const number = Number(bits)
        expect([lowOf(number), highOf(number)]).toEqual(halves(BigInt(number)))
      }),
    )
  })
})

function stepByStep({ hypervisor: { injection, runLoop } }: ScenarioMachine, irq: Irq, level: number): void {
  let target: Vcpu | 0 = 0
  for (let pc: NextPc = runLoop.program.inject; pc !== ENDED; pc = injection.after(pc, target))
    target = injection.step(pc, irq, [level], target)
}
