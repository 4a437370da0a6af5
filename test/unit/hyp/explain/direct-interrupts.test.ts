/** What is said of a guest's interrupts while a vPE is resident beside its list registers, on GICv4. */
import { designs, type VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { GICR_VPENDBASER, RESIDENT, VPE_RESIDENCY } from '../../../../src/gic/vpe/vpe-records.ts'
import { GICD } from '../../../kit/frames.ts'
import { boot, enable, vmOf } from '../../../kit/vm.ts'

const VALID_AND_VGRP1EN = 0x8400_0000 | 0

/** SPI 40, priority 0xa0, is in a list register of vCPU 0, and a vPE is resident on its CPU. */
function withResidentVpe(): VirtualMachine {
  const vm = boot(vmOf({ design: designs.wfiHandler, silicon: { version: '4.1', lpis: 8192 } }))
  enable(vm, 40)
  vm.writeMmio(0, GICD + 0x400 + 40, 1, 0xa0)
  vm.setLine(40, 1)
  vm.enter(0)
  vm.setMasks(0, { irq: false })
  const { words, silicon } = vm.hypervisor
  const record = silicon.vpes?.resident.recordOf(0) ?? 0
  words[record + VPE_RESIDENCY] = RESIDENT
  words[record + GICR_VPENDBASER + 1] = VALID_AND_VGRP1EN
  return vm
}

/** A vSGI of the vPE is pending, group 1. */
function sendVsgi(vm: VirtualMachine, sgi: number, priority: number): void {
  const resident = vm.hypervisor.silicon.vpes?.resident
  resident?.configureSgi(0, sgi, true, true, priority >> 4)
  resident?.setSgi(0, sgi, true)
}

const first = (vm: VirtualMachine) => vm.explain(40, 0).conditions.find(({ name }) => name === 'first')

describe('explain of an interrupt in a list register', () => {
  it('knows that a direct interrupt of a higher priority comes first', () => {
    const vm = withResidentVpe()
    expect(vm.explain(40, 0).reason).toBe('taken')
    sendVsgi(vm, 3, 0x20)
    expect(vm.explain(40, 0).reason).toBe('outranked')
    expect(first(vm)).toMatchObject({ holds: false, detail: 'SGI 3 is, with 0x20' })
  })

  it('is not outranked by one of a lower priority', () => {
    const vm = withResidentVpe()
    sendVsgi(vm, 3, 0xe0)
    expect(vm.explain(40, 0).reason).toBe('taken')
    expect(first(vm)?.detail).toBe('no other is before it')
  })
})
