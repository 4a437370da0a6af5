/**
 * A VM that was saved and put into a fresh one: what its guests read from then on is what they would have read in the
 * first one. Interrupts differ in priority here, because a saved VM does not tell which of equal ones came first.
 */
import fc from 'fast-check'
import { ICC_CTLR_EL1, ICC_HPPIR0_EL1, ICC_HPPIR1_EL1, ICC_RPR_EL1, ISR_EL1 } from 'vgic'
import { designs, fixed, type VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { GICD, ICFGR, IPRIORITYR, IROUTER, sgiBase } from '../unit/guest-gic.ts'
import { INTIDS, type Op, openVm, operations, perform, VCPUS } from './virtual-machine-ops.ts'

/** Gives every interrupt a priority of its own, and every other SPI to vCPU 1. */
function spread(vm: VirtualMachine): void {
  for (const [i, intid] of INTIDS.entries()) {
    const priority = 8 * (INTIDS.length - i)
    if (intid >= 32) {
      vm.writeMmio(0, GICD + IPRIORITYR + intid, 1, priority)
      vm.writeMmio(0, GICD + IROUTER + 8 * intid, 8, intid & 1)
    } else
      for (let vcpu = 0; vcpu < VCPUS; vcpu++)
        vm.writeMmio(vcpu, sgiBase(vcpu) + IPRIORITYR + intid, 1, priority)
  }
}

/** An active SPI stays on the ap_list of the vCPU that it was routed to when it became active: that is not saved. */
const isRouting = (step: Op): boolean =>
  step.op === 'write' && step.address >= GICD + IROUTER && step.address < GICD + 0x8000
/** It hides ICC_BPR1_EL1. */
const setsCbpr = (step: Op): boolean =>
  step.op === 'sysreg' && step.encoding === ICC_CTLR_EL1 && (step.value & 1) !== 0
const isPriority = (step: Op): boolean => step.op === 'write' && step.size === 1
/** Its timers are the vCPU's, not the vGIC's. The line of an edge is not saved, and counts again as a level. */
const isSaved = (step: Op): boolean =>
  step.op !== 'timer' && !isPriority(step) && !(step.op === 'write' && step.address === GICD + ICFGR + 8)

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
    const before = operations.map((ops) =>
      ops.filter((step) => step.op !== 'timer' && !isPriority(step) && !isRouting(step) && !setsCbpr(step)),
    )
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
