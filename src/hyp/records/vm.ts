/** A VM's own words, and where the parts of a VM lie in the buffer. */
import { FIRST_SPI, intidName } from '../../arch/intid.ts'
import type { Layout, RecordType } from '../../state/layout.ts'
import { recordType } from '../../state/layout.ts'
import { COST_TABLE } from './cost-row.ts'
import { ITS } from './its-record.ts'
import { type VcpuPrograms, type VcpuSize, vcpuBefore, vcpuOffset, vcpuRecord } from './vcpu.ts'
import { VGIC_IRQ_VIEW } from './vgic-irq.ts'

/** Whether the guest's distributor forwards interrupts: GICD_CTLR.EnableGrp1. */
export const VM_ENABLED = 0
/** How many interrupts carry the mark that another vCPU has deactivated them. */
export const VM_DEACTIVATED = 1
/** Virtual time, two words: virtual-time.ts. */
export const VM_TIME = 2
/** GICR_PROPBASER, which is one for the whole VM: two words. */
export const VM_PROPBASER = 4
/** One more than the index of the vCPU that has stopped the VM; 0 if none has. */
export const VM_STOPPER = 6
/**
 * While an MMIO access is emulated from memory, as Linux 6.1 does it: the vCPU that makes it, of which a timer's line is
 * asked, whosever interrupt is meant; else 0.
 */
export const VM_RUNNING = 7

/** An SPI that is mapped to a physical one: its handle and the physical INTID. */
export const MAPPED_IRQ = 0
export const MAPPED_PINTID = 1
export const MAPPED_STRIDE = 2

/** How large a VM is. */
export interface VmSize {
  readonly vcpus: number
  readonly spis: number
  readonly listRegisters: number
  /** SPIs that are mapped to physical ones. */
  readonly mapped: number
  /** A design's own words a vCPU, by name. */
  readonly ownWords: readonly string[]
  /** Whether it has an ITS. */
  readonly its: boolean
}

/** The record types of a VM, and how many of each there are. */
export interface VmRecords {
  readonly vm: RecordType
  readonly vcpu: RecordType
  readonly spi: RecordType
  readonly mapped: RecordType
  readonly list: readonly (readonly [RecordType, number])[]
}

const vcpuSizeOf = ({ spis, listRegisters, ownWords }: VmSize): VcpuSize => ({
  listRegisters,
  interrupts: FIRST_SPI + spis,
  ownWords,
})

/** The vCPUs come before the SPIs: a handle below the SPIs is a private interrupt's. */
export function vmRecords(size: VmSize, programs: VcpuPrograms): VmRecords {
  const { vcpus, spis, mapped, its } = size
  const vm = recordType('vm', [
    { name: 'GICD_CTLR.EnableGrp1', at: VM_ENABLED, class: 'authoritative' },
    { name: 'deactivated', at: VM_DEACTIVATED, class: 'authoritative' },
    { name: 'time', at: VM_TIME, wide: true, class: 'observational' },
    { name: 'GICR_PROPBASER', at: VM_PROPBASER, wide: true, class: 'authoritative' },
    { name: 'stopper', at: VM_STOPPER, class: 'authoritative', means: vcpuBefore },
    { name: 'running', at: VM_RUNNING, class: 'observational' },
  ])
  const vcpu = vcpuRecord(vcpuSizeOf(size), programs)
  const count = Math.max(spis, 1)
  const spi = recordType({ name: 'spis', prefix: 'vm.' }, [
    {
      name: '<n>',
      n: (i) => intidName(FIRST_SPI + i),
      at: 0,
      count,
      class: 'authoritative',
      view: VGIC_IRQ_VIEW,
    },
    { name: 'GICD_IROUTER<n>', n: (i) => FIRST_SPI + i, at: count, count, class: 'authoritative' },
    {
      name: 'lines of edges <n>',
      n: (i) => `${FIRST_SPI + 32 * i} to ${FIRST_SPI + 32 * i + 31}`,
      at: 2 * count,
      count: Math.ceil(count / 32),
      class: 'authoritative',
    },
  ])
  const mappedSpi = recordType('mapped[<n>]', [
    { name: 'irq', at: MAPPED_IRQ, class: 'authoritative', means: 'word' },
    { name: 'pINTID', at: MAPPED_PINTID, class: 'authoritative' },
  ])
  return {
    vm,
    vcpu,
    spi,
    mapped: mappedSpi,
    list: [
      [vm, 1],
      [vcpu, vcpus],
      [spi, 1],
      [mappedSpi, Math.max(mapped, 1)],
      [ITS, its ? 1 : 0],
      [COST_TABLE, 1],
    ],
  }
}

/** Word offsets of a VM's parts. */
export interface VmPlace {
  readonly vm: number
  /** The first vCPU's record, and the distance to the next. */
  readonly vcpus: number
  readonly vcpuSize: number
  readonly vcpuCount: number
  /** The word of SPI 32, and how many there are. */
  readonly spis: number
  readonly spiCount: number
  /** GICD_IROUTER of SPI 32, bits 23:0; the word of an SPI has the vCPU that this names. */
  readonly irouters: number
  /**
   * A bitmap of the SPIs, bit x of word n is SPI 32 + 32 n + x: the line of an interrupt that was high when it was made
   * edge-triggered, which counts again when it becomes level-sensitive.
   */
  readonly edgeLines: number
  /** The table of mapped SPIs, and how many rows it has. */
  readonly mapped: number
  readonly mappedCount: number
  /** The ITS's record, if there is one. */
  readonly its: number
  /** Where in a vCPU's record its ap_list begins, and the design's own words. */
  readonly apList: number
  readonly ownWords: number
  readonly costTable: number
}

export function placeOf(records: VmRecords, layout: Layout, size: VmSize): VmPlace {
  return {
    vm: layout.baseOf(records.vm),
    vcpus: layout.baseOf(records.vcpu),
    vcpuSize: records.vcpu.size,
    vcpuCount: size.vcpus,
    spis: layout.baseOf(records.spi),
    spiCount: size.spis,
    irouters: layout.baseOf(records.spi) + Math.max(size.spis, 1),
    edgeLines: layout.baseOf(records.spi) + 2 * Math.max(size.spis, 1),
    mapped: layout.baseOf(records.mapped),
    mappedCount: size.mapped,
    its: layout.baseOf(ITS),
    apList: vcpuOffset('VCPU_AP_LIST', vcpuSizeOf(size)),
    ownWords: vcpuOffset('VCPU_OWN', vcpuSizeOf(size)),
    costTable: layout.baseOf(COST_TABLE),
  }
}
