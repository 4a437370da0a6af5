/** A VM's own words, and where the parts of a VM lie in the buffer. */

import { FIRST_SPI } from '../arch/intid.ts'
import type { Layout, RecordType } from '../state/layout.ts'
import { recordType } from '../state/layout.ts'
import { apListOffset, vcpuRecord } from './vcpu.ts'
import { VGIC_IRQ_VIEW } from './vgic-irq.ts'

/** Whether the guest's distributor forwards interrupts: GICD_CTLR.EnableGrp1. */
export const VM_ENABLED = 0

/** How large a VM is. */
export interface VmSize {
  readonly vcpus: number
  readonly spis: number
  readonly listRegisters: number
}

/** The record types of a VM, and how many of each there are. */
export interface VmRecords {
  readonly vm: RecordType
  readonly vcpu: RecordType
  readonly spi: RecordType
  readonly list: readonly (readonly [RecordType, number])[]
}

/** The vCPUs come before the SPIs: a handle below the SPIs is a private interrupt's. */
export function vmRecords({ vcpus, spis, listRegisters }: VmSize): VmRecords {
  const vm = recordType('vm', [{ name: 'enabled', at: VM_ENABLED, class: 'authoritative' }])
  const vcpu = vcpuRecord(listRegisters, FIRST_SPI + spis)
  const spi = recordType('spis', [
    { name: 'irq', at: 0, count: Math.max(spis, 1), class: 'authoritative', view: VGIC_IRQ_VIEW },
  ])
  return {
    vm,
    vcpu,
    spi,
    list: [
      [vm, 1],
      [vcpu, vcpus],
      [spi, 1],
    ],
  }
}

/** Word offsets of a VM's parts. */
export interface VmPlace {
  readonly vm: number
  /** The first vCPU's record, and the distance to the next. */
  readonly vcpus: number
  readonly vcpuSize: number
  /** The word of SPI 32. */
  readonly spis: number
  /** Where in a vCPU's record its ap_list begins. */
  readonly apList: number
}

export function placeOf(records: VmRecords, layout: Layout, listRegisters: number): VmPlace {
  return {
    vm: layout.baseOf(records.vm),
    vcpus: layout.baseOf(records.vcpu),
    vcpuSize: records.vcpu.size,
    spis: layout.baseOf(records.spi),
    apList: apListOffset(listRegisters),
  }
}
