/**
 * What explain() says of a VM whose guests run elsewhere, and what these guests then read. They mask interrupts in
 * PSTATE and poll, so that the one interrupt that comes is the one that PSTATE alone masks.
 */
import fc from 'fast-check'
import { ICC_HPPIR0_EL1, ICC_HPPIR1_EL1, ISR_EL1 } from 'vgic'
import { baselines, designs, kvm61, VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { GICD, ISENABLER, sgiBase } from '../../../kit/frames.ts'
import { boot } from '../../../kit/vm.ts'
import { anySteps, hosts, SPIS, take, VCPUS } from './guest-gic-programs.ts'

const ISR_F = 0x40
const ISR_I = 0x80
const intids = Array.from({ length: 32 + SPIS }, (_, intid) => intid)
const alike = [designs.wfiHandler, designs.wfiFullPut, designs.runLoopLoad].map(baselines.fixed)
/** With one list register kvm61's underflow interrupt would never cease. */
const machines = hosts.chain((silicon) =>
  fc.record({
    silicon: fc.constant(silicon),
    design: fc.constantFrom(...alike, ...(silicon.listRegisters === 1 ? [] : [kvm61(designs.wfiHandler)])),
  }),
)

/** What the guest of a vCPU would acknowledge, by what it reads; nothing while it sleeps. */
function signalled(vm: VirtualMachine, vcpu: number): number[] {
  if (!vm.enter(vcpu)) return []
  const isr = vm.readSysreg(vcpu, ISR_EL1)
  if (isr & ISR_I) return [vm.readSysreg(vcpu, ICC_HPPIR1_EL1)]
  return isr & ISR_F ? [vm.readSysreg(vcpu, ICC_HPPIR0_EL1)] : []
}

describe('whatever guests and userspace do', () => {
  it('explain() says of exactly the interrupt that a guest sees signalled that PSTATE alone masks it', () => {
    const seen = { signalled: 0, nothing: 0, asleep: 0 }
    const stride = fc.integer({ min: 3, max: 12 })
    fc.assert(
      fc.property(machines, anySteps, stride, (machine, steps, every) => {
        const vm = boot(new VirtualMachine({ vcpus: VCPUS, spis: SPIS, ...machine }))
        for (const word of [1, 2]) vm.writeMmio(0, GICD + ISENABLER + 4 * word, 4, 0xffff_ffff)
        for (let vcpu = 0; vcpu < VCPUS; vcpu++) vm.writeMmio(vcpu, sgiBase(vcpu) + ISENABLER, 4, 0xffff_ffff)
        for (const [i, step] of steps.entries()) {
          take(vm, step)
          if (i % every !== 0) continue
          for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
            const before = vm.snapshot()
            const said = intids.filter((intid) => vm.explain(intid, vcpu).reason === 'pstate-masked')
            expect(Buffer.from(vm.snapshot()).equals(Buffer.from(before)), 'nothing has changed').toBe(true)
            const sees = signalled(vm, vcpu)
            expect(said).toEqual(sees)
            seen[sees.length > 0 ? 'signalled' : vm.isInGuest(vcpu) ? 'nothing' : 'asleep']++
            vm.restore(before)
          }
        }
      }),
      { numRuns: 60 },
    )
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0)
  })
})
