/** PSTATE masks of a guest that runs elsewhere, and the virtual lines that it looks at. */

import { ISR_EL1, VgicError } from 'vgic'
import { designs, type InterruptMasks, kvm61, type VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { bothBaselines } from '../../../kit/designs.ts'
import { IGROUPR, wordOf } from '../../../kit/frames.ts'
import { acknowledge, boot, enable, end, vmOf } from '../../../kit/vm.ts'

/** SPI 40 is pending for vCPU 0, in group 1 or 0. */
function pending(group: 0 | 1 = 1, design = designs.wfiHandler): VirtualMachine {
  const vm = boot(vmOf({ design }))
  if (group === 0) vm.writeMmio(0, wordOf(IGROUPR, 40), 4, 0)
  enable(vm, 40)
  vm.setLine(40, 1)
  vm.enter(0)
  return vm
}
const reason = (vm: VirtualMachine) => vm.explain(40, 0).reason

describe.each(bothBaselines)('the masks of a guest with $name', ({ design }) => {
  it('are set after reset, and explain why nothing is taken until the guest clears its own', () => {
    const vm = pending(1, design)
    expect([reason(vm), vm.explain(40, 0).delivered]).toEqual(['pstate-masked', false])
    vm.setMasks(0, { fiq: false })
    expect(reason(vm)).toBe('pstate-masked')
    vm.setMasks(0, { irq: false })
    expect([reason(vm), vm.explain(40, 0).delivered]).toEqual(['taken', true])
    vm.setMasks(0, { irq: true })
    expect(reason(vm)).toBe('pstate-masked')
  })
})

describe('the masks of a guest', () => {
  it('are its own: PSTATE.F for group 0, and not those of another vCPU', () => {
    const vm = pending(0)
    vm.setMasks(1, { irq: false, fiq: false })
    vm.setMasks(0, { irq: false })
    expect(reason(vm)).toBe('pstate-masked')
    vm.setMasks(0, { fiq: false })
    expect(reason(vm)).toBe('taken')
  })

  it('that are left out stay', () => {
    const vm = pending()
    vm.setMasks(0, { irq: false, fiq: false })
    vm.setMasks(0, {})
    vm.setMasks(0, { fiq: true })
    expect(reason(vm)).toBe('taken')
  })

  it('are kept while its vCPU is outside, off its CPU, and stopped', () => {
    const vm = pending()
    vm.setMasks(0, { irq: false })
    vm.exit(0)
    expect(reason(vm)).toBe('at-next-entry')
    vm.preempt(0)
    expect(reason(vm)).toBe('at-next-entry')
    vm.stop()
    expect(vm.enter(0)).toBe(true)
    expect(reason(vm)).toBe('taken')
  })

  it('are in snapshots, hashes and differences', () => {
    const vm = pending()
    const [before, hash] = [vm.snapshot(), vm.hash()]
    vm.setMasks(0, { irq: false })
    expect(vm.hash()).not.toBe(hash)
    expect(vm.diff(before)).toEqual([{ name: expect.any(String), field: 'I', before: 1, after: 0 }])
    vm.restore(before)
    expect(reason(vm)).toBe('pstate-masked')
  })

  it('cannot be changed by a guest that sleeps', () => {
    const vm = boot(vmOf())
    expect(vm.wfi(0)).toBe(false)
    expect(() => vm.setMasks(0, { irq: false })).toThrow('vCPU 0 sleeps in its WFI')
  })

  it.each([undefined, null, true, 3, { irq: 1 }, { IRQ: true }, { fiq: null }, [true]])(
    'are refused if they are none: %o',
    (masks) => {
      const vm = boot(vmOf())
      const set = () => vm.setMasks(0, masks as unknown as InterruptMasks)
      expect(set).toThrow(VgicError)
      expect(set).toThrow(/^(masks|irq|fiq) (must|has no) /)
    },
  )
})

describe('the virtual lines of a vCPU', () => {
  it('are what its guest reads in ISR_EL1, masked or not', () => {
    for (const [group, line, other, isr] of [
      [1, 'virq', 'vfiq', 0x80],
      [0, 'vfiq', 'virq', 0x40],
    ] as const) {
      const vm = pending(group)
      expect([vm.line(0, line), vm.line(0, other), vm.line(1, line)]).toEqual([1, 0, 0])
      expect(vm.readSysreg(0, ISR_EL1)).toBe(isr)
      vm.setMasks(0, { irq: false, fiq: false })
      expect(vm.line(0, line)).toBe(1)
    }
  })

  it('fall with the acknowledge and rise again if a level is still there', () => {
    const vm = pending()
    expect([acknowledge(vm, 0), vm.line(0, 'virq')]).toEqual([40, 0])
    vm.setLine(40, 0)
    end(vm, 0, 40)
    vm.enter(0)
    expect(vm.line(0, 'virq')).toBe(0)
  })

  it('are low outside of the guest, and nobody enters it to look', () => {
    const vm = pending(1, kvm61(designs.wfiHandler))
    vm.exit(0)
    expect([vm.line(0, 'virq'), vm.isInGuest(0)]).toEqual([0, false])
    vm.stop()
    expect([vm.line(0, 'virq'), vm.isInGuest(0)]).toEqual([0, false])
    vm.enter(0)
    expect(vm.line(0, 'virq')).toBe(1)
  })

  it('that do not exist are refused', () => {
    const vm = boot(vmOf())
    expect(() => vm.line(0, 'irq' as 'virq')).toThrow('line must be "virq" or "vfiq", but is "irq"')
    expect(() => vm.line(2, 'virq')).toThrow('vcpu must be an integer from 0 to 1')
  })
})
