/**
 * A VM that was saved and put into a fresh one: what its guests read from then on is what they would have read in the
 * first one. Interrupts differ in priority here, because a saved VM does not tell which of equal ones came first.
 */
import fc from 'fast-check'
import {
  ICC_ASGI1R_EL1,
  ICC_CTLR_EL1,
  ICC_HPPIR0_EL1,
  ICC_HPPIR1_EL1,
  ICC_RPR_EL1,
  ICC_SGI0R_EL1,
  ICC_SGI1R_EL1,
  ISR_EL1,
} from 'vgic'
import { baselines, designs, VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  GICD,
  ICFGR,
  IPRIORITYR,
  IROUTER,
  ISENABLER,
  redistributor,
  SGI_BASE,
  sgiBase,
} from '../../../kit/frames.ts'
import { boot } from '../../../kit/vm.ts'
import { anySteps, hosts, SPIS, type Step, take, VCPUS } from './guest-gic-programs.ts'

/** So many have priorities of their own: some SGIs, the timers' PPIs, some SPIs. */
const INTIDS = [
  ...Array.from({ length: 8 }, (_, sgi) => sgi),
  27,
  30,
  ...Array.from({ length: 16 }, (_, n) => 32 + n),
]
const PRIVATE_BITS = 0x4800_00ff
const SPI_BITS = 0xffff
const SGI_REGISTERS = [ICC_SGI0R_EL1, ICC_SGI1R_EL1, ICC_ASGI1R_EL1]

/** A VM in which the interrupts differ in priority, and SPIs are routed to all vCPUs. */
function spreadVm(config: Pick<VirtualMachine['config'], 'design' | 'silicon'>): VirtualMachine {
  const vm = boot(new VirtualMachine({ vcpus: VCPUS, spis: SPIS, ...config }))
  vm.writeMmio(0, GICD + ISENABLER + 4, 4, SPI_BITS)
  for (let vcpu = 0; vcpu < VCPUS; vcpu++) vm.writeMmio(vcpu, sgiBase(vcpu) + ISENABLER, 4, PRIVATE_BITS)
  for (const [i, intid] of INTIDS.entries()) {
    const priority = 8 * (INTIDS.length - i)
    if (intid >= 32) {
      vm.writeMmio(0, GICD + IPRIORITYR + intid, 1, priority)
      vm.writeMmio(0, GICD + IROUTER + 8 * intid, 8, intid % VCPUS)
    } else
      for (let vcpu = 0; vcpu < VCPUS; vcpu++)
        vm.writeMmio(vcpu, sgiBase(vcpu) + IPRIORITYR + intid, 1, priority)
  }
  return vm
}

/** What a write is to: an offset from SGI_base, or in the distributor; undefined for anything else. */
function offsetOf({ address }: { readonly address: number }): number | undefined {
  if (address >= GICD && address < GICD + 0x1_0000) return address - GICD
  for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
    const offset = address - redistributor(vcpu)
    if (offset >= SGI_BASE && offset < 2 * SGI_BASE) return offset - SGI_BASE
  }
  return undefined
}

/** Leaves out other interrupts than these, and their priorities. */
function narrowed(step: Step): Step[] {
  if (step.do === 'line') return step.intid < 48 ? [step] : []
  if (step.do === 'writeSysreg' && SGI_REGISTERS.includes(step.encoding))
    return [{ ...step, value: (step.value % 2 ** 24) + (Math.floor(step.value / 2 ** 24) & 7) * 2 ** 24 }]
  if (step.do !== 'write') return [step]
  const offset = offsetOf(step)
  if (offset === undefined) return [step]
  if (offset >= 0x80 && offset < IPRIORITYR) {
    const bits = step.address >= redistributor(0) ? PRIVATE_BITS : offset & 0x7c & 0x78 ? 0 : SPI_BITS
    return step.size === 4 ? [{ ...step, value: (step.value & bits) >>> 0 }] : []
  }
  return offset >= IPRIORITYR && offset < 0x800 ? [] : [step]
}

/**
 * Whether a saved VM tells what a step does: not a timer's state or a sleep, which are the vCPU's; not on whose ap_list
 * an active SPI stays that is routed elsewhere; not ICC_BPR1_EL1 while CBPR hides it.
 */
function isSaved(step: Step): boolean {
  if (step.do === 'timer' || step.do === 'wfi') return false
  if (step.do === 'writeSysreg') return step.encoding !== ICC_CTLR_EL1 || (step.value & 1) === 0
  return !(step.do === 'write' && (offsetOf(step) ?? 0) >= IROUTER)
}

/** Neither a timer, nor which list register an interrupt is in, nor the line of an edge, which counts again when it is made a level. */
const goesOnAlike = (step: Step): boolean => {
  if (step.do === 'timer' || step.do === 'enter') return false
  const offset = step.do === 'write' ? offsetOf(step) : undefined
  return offset === undefined || offset < ICFGR || offset >= ICFGR + 0x100
}

/** An interrupt that is routed elsewhere leaves its ap_list when the vCPU exits next; a saved VM has no ap_lists. */
function settle(vm: VirtualMachine): void {
  for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
    vm.enter(vcpu)
    vm.exit(vcpu)
  }
}

/** What the guests of a VM see signalled. */
const seen = (vm: VirtualMachine): unknown[] =>
  Array.from({ length: VCPUS }, (_, vcpu) =>
    vm.enter(vcpu)
      ? [ISR_EL1, ICC_HPPIR0_EL1, ICC_HPPIR1_EL1, ICC_RPR_EL1].map((register) =>
          vm.readSysreg64(vcpu, register),
        )
      : 'asleep',
  )

describe('whatever guests and userspace have done', () => {
  it('a VM that was put into a fresh one goes on as it would have', () => {
    const count = { signalled: 0, asleep: 0 }
    const before = anySteps.map((steps) => steps.flatMap(narrowed).filter(isSaved))
    const after = anySteps.map((steps) => steps.flatMap(narrowed).filter(goesOnAlike))
    const designOf = fc.constantFrom(
      ...[designs.wfiHandler, designs.wfiFullPut, designs.runLoopLoad].map(baselines.fixed),
    )
    fc.assert(
      fc.property(designOf, hosts, before, after, (design, silicon, earlier, later) => {
        const vm = spreadVm({ design, silicon })
        for (const step of earlier) take(vm, step)
        settle(vm)
        vm.stop()
        const other = spreadVm({ design, silicon })
        other.stop()
        other.restoreVgic(vm.saveVgic())
        expect(other.saveVgic()).toEqual(vm.saveVgic())
        for (const step of later) {
          expect(take(other, step)).toEqual(take(vm, step))
          for (const one of [other, vm]) settle(one)
          const sees = seen(vm)
          expect(seen(other)).toEqual(sees)
          if (sees.some((values) => Array.isArray(values) && values[0] !== 0n)) count.signalled++
          if (sees.includes('asleep')) count.asleep++
        }
        for (const one of [vm, other]) one.stop()
        expect(other.saveVgic()).toEqual(vm.saveVgic())
      }),
      { numRuns: 100 },
    )
    for (const [what, times] of Object.entries(count)) expect(times, what).toBeGreaterThan(0)
  })
})
