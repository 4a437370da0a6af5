/**
 * Each kind of handle is refused where another is meant. That is the compiler's doing: a line below that says it expects
 * an error, and has none, fails `npm run typecheck`. Here the functions are only seen to take what they should.
 */
import { encodeSysreg, Gic, ICC_PMR_EL1 } from 'vgic'
import { type OwnStep, ownStep, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import type { Intid } from '../../../../src/arch/intid.ts'
import type { Encoding } from '../../../../src/arch/sysreg.ts'
import type { Pe } from '../../../../src/gic/records/pe.ts'
import { asPc, type Pc, peOf, type Vcpu } from '../../../../src/hyp/records/vcpu.ts'
import type { Irq } from '../../../../src/hyp/records/vgic-irq.ts'

const { hypervisor } = scenario('handles').gic({ cpus: 2 }).vm({ vcpus: 2, spis: 32 }).machine()
const { apLists, scheduler, silicon, interrupts, injection, runLoop, words } = hypervisor
const index = 1
const intid: Intid = 33
const encoding: Encoding = ICC_PMR_EL1
const v: Vcpu = hypervisor.vcpu(index)
const pe: Pe = silicon.peOf(index)
const irq: Irq = apLists.irqOf(v, intid)
const pc: Pc = asPc(1)

/** Compiled, not called: most would go on with the wrong record. */
const refused = {
  vcpu: () => [
    // @ts-expect-error A vCPU's index is not its offset.
    scheduler.canPreempt(index),
    // @ts-expect-error
    scheduler.canPreempt(pe),
    // @ts-expect-error
    scheduler.canPreempt(irq),
    // @ts-expect-error
    scheduler.canPreempt(pc),
    // @ts-expect-error
    scheduler.canPreempt(intid),
    // @ts-expect-error A word that has a handle is not one before somebody has said of what.
    scheduler.canPreempt(words[0]),
    // @ts-expect-error There may be none on the CPU.
    scheduler.canPreempt(scheduler.current(0)),
  ],
  pe: () => [
    // @ts-expect-error A CPU's number is not the offset of its PE.
    silicon.pcpu.isInGuest(index),
    // @ts-expect-error
    silicon.pcpu.isInGuest(v),
    // @ts-expect-error
    silicon.pcpu.isInGuest(irq),
    // @ts-expect-error The handle of a PE's physical interface is not the PE's.
    silicon.pcpu.isInGuest(pe + 12),
    // @ts-expect-error The vCPU first, then the PE.
    hypervisor.seam.readVmcr(words, pe, v),
  ],
  irq: () => [
    // @ts-expect-error An INTID is not the offset of an interrupt's word.
    interrupts.kindOf(intid),
    // @ts-expect-error
    interrupts.kindOf(33),
    // @ts-expect-error Nor is the word.
    interrupts.kindOf(words[irq]),
    // @ts-expect-error
    interrupts.kindOf(v),
    // @ts-expect-error
    interrupts.kindOf(pe),
  ],
  pc: () => [
    // @ts-expect-error A row's offset in the table is not its program counter.
    injection.queues(pc << 4),
    // @ts-expect-error
    injection.queues(v),
    // @ts-expect-error
    injection.queues(intid),
  ],
  intid: () => [
    // @ts-expect-error
    apLists.irqOf(v, irq),
    // @ts-expect-error
    apLists.irqOf(v, encoding),
    // @ts-expect-error
    apLists.irqOf(v, v),
    // @ts-expect-error The PE first, then the INTID.
    silicon.drivePpi(27, pe, true),
  ],
  encoding: () => [
    // @ts-expect-error
    silicon.systemRegisters.read(pe, intid),
    // @ts-expect-error
    silicon.systemRegisters.read(pe, pe),
    // @ts-expect-error The PE first, then the encoding.
    silicon.systemRegisters.read(encoding, pe),
  ],
}

describe('a handle', () => {
  it('is taken where its kind is meant', () => {
    expect(scheduler.canPreempt(v)).toBe(true)
    expect(silicon.pcpu.isInGuest(peOf(words, v))).toBe(false)
    expect(interrupts.kindOf(irq)).toBe('spi')
    expect(injection.queues(pc)).toBe(false)
    expect(apLists.intidOf(v, irq)).toBe(intid)
    expect(silicon.systemRegisters.read(pe, encoding, 1)).toBe(0xf0)
    expect(Object.keys(refused)).toEqual(['vcpu', 'pe', 'irq', 'pc', 'intid', 'encoding'])
  })

  it('is a plain number when the library runs', () => {
    for (const handle of [v, pe, irq, pc, runLoop.head]) expect(typeof handle).toBe('number')
  })
})

describe('a user of the library', () => {
  it('writes INTIDs and encodings as literals', () => {
    const gic = new Gic({ cpus: 1, spis: 32 })
    gic.setSpi(32, true)
    gic.setPpi(0, 27, true)
    expect(gic.readSysreg(0, 0xc230)).toBe(gic.readSysreg(0, ICC_PMR_EL1))
    expect(encodeSysreg(3, 0, 4, 6, 0)).toBe(0xc230)
  })

  it('passes on the vCPU that a step of his own is given, and gives no number of his', () => {
    const step: OwnStep = ownStep(
      'looks',
      (context, vcpu) => {
        // @ts-expect-error
        expect(() => context.loaded(1)).toThrow('vcpu must be the handle that the step was called with')
        return context.loaded(vcpu) ? 1 : 0
      },
      ['no', 'yes'],
    )
    expect(step.outcomes).toEqual(['no', 'yes'])
  })
})
