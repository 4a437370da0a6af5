/**
 * What explain() says of a VM whose guests run elsewhere, and what these guests then read. They mask interrupts in
 * PSTATE and poll, so that the one interrupt that comes is the one that PSTATE alone masks.
 */
import fc from 'fast-check'
import { ICC_HPPIR0_EL1, ICC_HPPIR1_EL1, ISR_EL1 } from 'vgic'
import type { VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { INTIDS, machineDesigns, openVm, operations, perform, VCPUS } from './virtual-machine-ops.ts'

const ISR_F = 0x40n
const ISR_I = 0x80n

/** What the guest of a vCPU would acknowledge, by what it reads. */
function signalled(vm: VirtualMachine, vcpu: number): number[] {
  const isr = vm.readSysreg(vcpu, ISR_EL1)
  if (isr & ISR_I) return [Number(vm.readSysreg(vcpu, ICC_HPPIR1_EL1))]
  return isr & ISR_F ? [Number(vm.readSysreg(vcpu, ICC_HPPIR0_EL1))] : []
}

describe('whatever guests and devices do', () => {
  it('explain() says of exactly the interrupt that a guest sees signalled that PSTATE alone masks it', () => {
    const seen = { signalled: 0, nothing: 0 }
    fc.assert(
      fc.property(
        machineDesigns,
        fc.integer({ min: 1, max: 4 }),
        operations,
        (design, listRegisters, ops) => {
          const vm = openVm(design, Math.max(listRegisters, /kvm61/.test(design.name) ? 2 : 1))
          for (const step of ops) {
            perform(vm, step)
            for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
              const before = vm.snapshot()
              const said = INTIDS.filter((intid) => vm.explain(intid, vcpu).reason === 'pstate-masked')
              expect(Buffer.from(vm.snapshot()).equals(Buffer.from(before)), 'nothing has changed').toBe(true)
              const sees = signalled(vm, vcpu)
              expect(said).toEqual(sees)
              seen[sees.length > 0 ? 'signalled' : 'nothing']++
              vm.restore(before)
            }
          }
        },
      ),
      { numRuns: 150 },
    )
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0)
  }, 60_000)
})
