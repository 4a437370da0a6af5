/**
 * SPIs that are routed from vCPU to vCPU while guests have them active: a VM that was saved in the middle and put into a
 * fresh one goes on as it would have. Every SPI has a priority of its own, by which the active priorities tell whose it is.
 */
import fc from 'fast-check'
import { ICC_EOIR1_EL1, ICC_IAR1_EL1 } from 'vgic'
import { baselines, designs, VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { GICD, IPRIORITYR, IROUTER, ISACTIVER, ISENABLER, ISPENDR } from '../../../kit/frames.ts'
import { boot } from '../../../kit/vm.ts'

const VCPUS = 3
const SPIS = 8
const vcpus = fc.nat(VCPUS - 1)
const spis = fc.integer({ min: 32, max: 31 + SPIS })

type Step =
  | { readonly do: 'fire'; readonly intid: number }
  | { readonly do: 'route'; readonly intid: number; readonly to: number }
  | { readonly do: 'take' | 'end' | 'exit' | 'preempt'; readonly vcpu: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('fire' as const), intid: spis }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('route' as const), intid: spis, to: vcpus }) },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constantFrom(
          'take' as const,
          'take' as const,
          'end' as const,
          'exit' as const,
          'preempt' as const,
        ),
        vcpu: vcpus,
      }),
    },
  ),
  { minLength: 1, maxLength: 50, size: 'max' },
)

/** A VM, and what each of its guests has acknowledged and not ended. */
class Driven {
  readonly stacks: readonly number[][]

  constructor(
    readonly vm: VirtualMachine,
    stacks: readonly (readonly number[])[] = Array.from({ length: VCPUS }, () => []),
  ) {
    this.stacks = stacks.map((stack) => [...stack])
  }

  take(step: Step): unknown {
    const { vm, stacks } = this
    switch (step.do) {
      case 'fire':
        return vm.setLine(step.intid, 1)
      case 'route':
        return vm.writeMmio(0, GICD + IROUTER + 8 * step.intid, 8, step.to)
      case 'take': {
        const intid = vm.readSysreg(step.vcpu, ICC_IAR1_EL1)
        if (intid !== 1023) stacks[step.vcpu].push(intid)
        return intid
      }
      case 'end': {
        const intid = stacks[step.vcpu].pop()
        if (intid !== undefined) vm.writeSysreg(step.vcpu, ICC_EOIR1_EL1, intid)
        return intid
      }
      default:
        return vm[step.do](step.vcpu)
    }
  }

  /** A saved VM has no ap_lists: what belongs elsewhere goes there when the vCPU that has it leaves its guest. */
  settle(): void {
    for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
      this.vm.enter(vcpu)
      this.vm.exit(vcpu)
    }
  }

  get state(): readonly number[] {
    return [ISPENDR, ISACTIVER].map((register) => this.vm.readMmio(0, GICD + register + 4, 4))
  }
}

describe('SPIs that are routed elsewhere while they are active', () => {
  it('are ended by whoever has them, in a VM that was saved and put into another', () => {
    const seen = { elsewhere: 0, ended: 0 }
    const machines = fc.record({
      design: fc.constantFrom(...Object.values(designs).map(baselines.fixed)),
      silicon: fc.record({ cpus: fc.constantFrom(1, 3), listRegisters: fc.integer({ min: 1, max: 4 }) }),
    })
    fc.assert(
      fc.property(machines, steps, steps, (machine, before, after) => {
        const make = () => new VirtualMachine({ vcpus: VCPUS, spis: SPIS, timers: false, ...machine })
        const one = new Driven(boot(make()))
        one.vm.writeMmio(0, GICD + ISENABLER + 4, 4, 0xff)
        for (let i = 0; i < SPIS; i++) {
          one.vm.writeMmio(0, GICD + IPRIORITYR + 32 + i, 1, 0x10 * (1 + ((5 * i) % SPIS)))
          one.vm.writeMmio(0, GICD + IROUTER + 8 * (32 + i), 8, i % VCPUS)
        }
        const all = Array.from({ length: SPIS }, (_, i) => ({ do: 'fire' as const, intid: 32 + i }))
        for (const step of [...all, ...before]) one.take(step)
        one.settle()
        one.vm.stop()
        const saved = one.vm.saveVgic()
        const other = new Driven(make(), one.stacks)
        other.vm.restoreVgic(saved)
        for (const [vcpu, stack] of one.stacks.entries())
          for (const intid of stack)
            if (BigInt(saved.dist[`GICD_IROUTER${intid}`]) !== BigInt(vcpu)) seen.elsewhere++
        const ends = one.stacks.flatMap((stack, vcpu) => stack.map(() => ({ do: 'end' as const, vcpu })))
        for (const step of [...after, ...ends]) {
          const took = one.take(step)
          expect(other.take(step)).toEqual(took)
          if (step.do === 'end' && took !== undefined) seen.ended++
          for (const driven of [one, other]) driven.settle()
          expect(other.state).toEqual(one.state)
        }
      }),
      { numRuns: 100 },
    )
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(20)
  })
})
