/**
 * A VM that was saved and put into a fresh one: what its guests read from then on is what they would have read in the
 * first one. Interrupts differ in priority here, because a saved VM does not tell which of equal ones came first.
 */
import fc from 'fast-check'
import { ICC_HPPIR0_EL1, ICC_HPPIR1_EL1, ICC_RPR_EL1, ISR_EL1 } from 'vgic'
import { designs, fixed, type VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  GICD,
  GICR,
  GICR_STRIDE,
  INTIDS,
  type Op,
  openVm,
  operations,
  perform,
  VCPUS,
} from './virtual-machine-ops.ts'

const IPRIORITYR = 0x400
const ICFGR2 = 0xc08

/** Gives every interrupt a priority of its own. */
function spread(vm: VirtualMachine): void {
  for (const [i, intid] of INTIDS.entries()) {
    const priority = 8 * (INTIDS.length - i)
    if (intid >= 32) vm.writeMmio(0, GICD + IPRIORITYR + intid, 1, priority)
    else
      for (let vcpu = 0; vcpu < VCPUS; vcpu++)
        vm.writeMmio(vcpu, GICR + vcpu * GICR_STRIDE + 0x1_0000 + IPRIORITYR + intid, 1, priority)
  }
}

const isPriority = (step: Op): boolean => step.op === 'write' && step.size === 1
/** Its timers are the vCPU's, not the vGIC's. The line of an edge is not saved, and counts again as a level. */
const isSaved = (step: Op): boolean =>
  step.op !== 'timer' && !isPriority(step) && !(step.op === 'write' && step.address === GICD + ICFGR2)

/** An interrupt that is routed elsewhere leaves its ap_list when the vCPU exits next; a saved VM has no ap_lists. */
function settle(vm: VirtualMachine): void {
  for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
    vm.enter(vcpu)
    vm.exit(vcpu)
  }
}

/** What the guests of a VM see signalled. */
const seen = (vm: VirtualMachine): bigint[] =>
  Array.from({ length: VCPUS }, (_, vcpu) =>
    [ISR_EL1, ICC_HPPIR0_EL1, ICC_HPPIR1_EL1, ICC_RPR_EL1].map((register) => vm.readSysreg(vcpu, register)),
  ).flat()

describe('whatever guests and devices have done', () => {
  it('a VM that was put into a fresh one goes on as it would have', () => {
    const count = { signalled: 0, runs: 0 }
    const before = operations.map((ops) => ops.filter((step) => step.op !== 'timer' && !isPriority(step)))
    const after = operations.map((ops) => ops.filter(isSaved))
    const design = fc.constantFrom(
      ...[designs.wfiHandler, designs.wfiFullPut, designs.runLoopLoad].map(fixed),
    )
    fc.assert(
      fc.property(design, fc.integer({ min: 1, max: 4 }), before, after, (chosen, lrs, earlier, later) => {
        const vm = openVm(chosen, lrs)
        spread(vm)
        for (const step of earlier) perform(vm, step)
        settle(vm)
        vm.stop()
        const other = openVm(chosen, lrs)
        other.stop()
        other.restoreVgic(vm.saveVgic())
        expect(other.saveVgic()).toEqual(vm.saveVgic())
        for (const step of later) {
          expect(perform(other, step)).toEqual(perform(vm, step))
          for (const one of [other, vm]) settle(one)
          expect(seen(other)).toEqual(seen(vm))
          if (seen(vm)[0] !== 0n) count.signalled++
        }
        for (const one of [vm, other]) one.stop()
        expect(other.saveVgic()).toEqual(vm.saveVgic())
        count.runs++
      }),
      { numRuns: 150 },
    )
    expect(count.signalled).toBeGreaterThan(0)
  }, 60_000)
})
