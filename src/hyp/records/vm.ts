/** A VM's own words, and the layout of a VM's parts in the buffer. */
import { FIRST_SPI, intidName } from '../../arch/intid.ts'
import type { Layout, RecordType } from '../../state/layout.ts'
import { recordType } from '../../state/layout.ts'
import { offsetOf, type Rows, wordsOf } from '../../state/rows.ts'
import { COST_ROW, costRowNames } from './cost-row.ts'
import { ITS } from './its-record.ts'
import { type DirectLayout, type DirectRecords, directLayoutOf, directRecords } from './its-vpe.ts'
import { type LpiLayout, type LpiRecords, type LpiSizes, lpiLayoutOf, lpiRecords } from './lpi-record.ts'
import { ownWordsOffset, type VcpuPrograms, vcpuBefore, vcpuRecord } from './vcpu.ts'
import { irqRows } from './vgic-irq.ts'

export * from './vm-offsets.ts'

export const vmRows = {
  VM_ENABLED: {
    name: 'GICD_CTLR.EnableGrp1',
    class: 'authoritative',
    by: [],
    says: "Whether the guest's distributor forwards interrupts: GICD_CTLR.EnableGrp1.",
  },
  VM_DEACTIVATED: {
    name: 'deactivated',
    class: 'authoritative',
    by: [],
    says: 'Interrupts that carry the mark that another vCPU has deactivated them.',
  },
  VM_COUNTED_SPIS: {
    name: 'countedSpis',
    class: 'authoritative',
    by: [],
    says: 'With Linux 7.2: its count of SPIs in flight (active_spis), which is not their number. It goes up when an SPI is put on an ap_list, and down when a level-sensitive one is folded as deactivated.',
  },
  VM_TIME: {
    name: 'time',
    wide: true,
    class: 'observational',
    by: [],
    says: 'Virtual time, two words: virtual-time.ts.',
  },
  VM_PROPBASER: {
    name: 'GICR_PROPBASER',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GICR_PROPBASER, which is one for the whole VM: two words.',
  },
  VM_STOPPER: {
    name: 'stopper',
    class: 'authoritative',
    by: [],
    says: 'One more than the index of the vCPU that has stopped the VM; 0 if none has.',
    means: vcpuBefore,
  },
  VM_NASSGIREQ: {
    name: 'GICD_CTLR.nASSGIreq',
    class: 'authoritative',
    by: [],
    says: 'Whether its SGIs are vSGIs, without an active state: GICD_CTLR.nASSGIreq.',
  },
  VM_REVISION: {
    name: 'GICD_IIDR.Revision',
    class: 'authoritative',
    by: [],
    says: "The revision of KVM's vGIC that the guest sees, GICD_IIDR.Revision, which userspace can choose: from 3 on GICR_CTLR has CES and IR.",
  },
  VM_ACCESSING: {
    name: 'accessing',
    class: 'observational',
    by: [],
    says: "The vCPU that has made the MMIO access that is emulated, for which the hypervisor's own accesses count; it means nothing outside of one.",
  },
  VM_RUNNING: {
    name: 'running',
    class: 'observational',
    by: [],
    says: "While an MMIO access is emulated from memory, as in Linux: the vCPU that makes it, whose timers' lines are read, whichever vCPU's interrupt is accessed; otherwise 0.",
  },
} as const satisfies Rows

/** An SPI that is mapped to a physical one. */
export const mappedRows = {
  MAPPED_IRQ: { name: 'irq', class: 'authoritative', by: [], says: 'Its handle.', means: 'word' },
  MAPPED_PINTID: { name: 'pINTID', class: 'authoritative', by: [], says: 'The physical INTID.' },
} as const satisfies Rows

/** What there is of SPIs beside their own words ({@link irqRows}); `C` is their number, at least one. */
const spiRows = {
  SPI_IROUTER: {
    name: 'GICD_IROUTER<n>',
    n: (i) => FIRST_SPI + i,
    count: (spis) => spis,
    class: 'authoritative',
    by: [],
    says: 'GICD_IROUTER, bits 23:0; the word of an SPI has the vCPU that this names.',
  },
  SPI_EDGE_LINES: {
    name: 'lines of edges <n>',
    n: (i) => `${FIRST_SPI + 32 * i} to ${FIRST_SPI + 32 * i + 31}`,
    count: (spis) => Math.ceil(spis / 32),
    class: 'authoritative',
    by: [],
    says: 'A bitmap of the SPIs, bit x of word n is SPI 32 + 32 n + x: the line of an interrupt that was high when it was made edge-triggered, which counts again when it becomes level-sensitive.',
  },
} as const satisfies Rows<number>

/** What the size of a VM's records depends on. */
export interface VmSize {
  readonly vcpus: number
  readonly spis: number
  readonly listRegisters: number
  /** SPIs that are mapped to physical ones. */
  readonly mapped: number
  /** The design's own words of each vCPU, by name. */
  readonly ownWords: readonly string[]
  /** Its ITSs, and its LPIs, of which there are none without an ITS. */
  readonly its: number
  readonly lpis: LpiSizes
  /** Whether its interrupts can be injected directly, and how many of devices are. */
  readonly direct: boolean
  readonly forwards: number
}

const directSizeOf = ({ vcpus, direct, forwards }: VmSize) => ({ vpes: direct ? vcpus : 0, forwards })

/** The record types of a VM, with the number of each. */
export interface VmRecords {
  readonly vm: RecordType
  readonly vcpu: RecordType
  /** The two words of an SPI, a record each. */
  readonly spi: RecordType
  /** The rest of all SPIs, one record: their routes, and the lines that edges had. */
  readonly spis: RecordType
  readonly mapped: RecordType
  readonly lpis: LpiRecords
  readonly direct: DirectRecords
  readonly list: readonly (readonly [RecordType, number])[]
}

/**
 * The vCPUs come before the SPIs, and these before the LPIs: a handle below the SPIs is a private interrupt's, and one from
 * the LPIs on an LPI's.
 */
export function vmRecords(size: VmSize, programs: VcpuPrograms): VmRecords {
  const { vcpus, spis, mapped, its } = size
  const vm = recordType('vm', wordsOf(vmRows, undefined))
  const vcpu = vcpuRecord(size, programs)
  const spi = recordType(
    { name: 'spi[<n>]', prefix: 'vm.' },
    wordsOf(
      irqRows((_, i) => intidName(FIRST_SPI + i)),
      undefined,
    ),
  )
  const ofSpis = recordType({ name: 'spis', prefix: 'vm.' }, wordsOf(spiRows, Math.max(spis, 1)))
  const lpis = lpiRecords(size.lpis)
  const direct = directRecords(directSizeOf(size))
  const mappedSpi = recordType('mapped[<n>]', wordsOf(mappedRows, undefined))
  return {
    vm,
    vcpu,
    spi,
    spis: ofSpis,
    mapped: mappedSpi,
    lpis,
    direct,
    list: [
      [vm, 1],
      [vcpu, vcpus],
      [spi, Math.max(spis, 1)],
      [ofSpis, 1],
      [mappedSpi, Math.max(mapped, 1)],
      [ITS, its],
      ...lpis.list,
      ...direct.list,
      [COST_ROW, costRowNames.length],
    ],
  }
}

/** Word offsets of a VM's parts. */
export interface VmLayout {
  readonly vm: number
  /** Offset of the first vCPU's record, and the distance to the next. */
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
  /** Offset of the table of mapped SPIs, and the number of its rows. */
  readonly mapped: number
  readonly mappedCount: number
  /** The record of the first ITS, and how many there are. */
  readonly its: number
  readonly itsCount: number
  readonly lpis: LpiLayout
  readonly direct: DirectLayout
  /** Offset in a vCPU's record of the design's own words. */
  readonly ownWords: number
  readonly costTable: number
}

export function layoutOf(records: VmRecords, layout: Layout, size: VmSize): VmLayout {
  const ofSpis = layout.baseOf(records.spis)
  return {
    vm: layout.baseOf(records.vm),
    vcpus: layout.baseOf(records.vcpu),
    vcpuSize: records.vcpu.size,
    vcpuCount: size.vcpus,
    spis: layout.baseOf(records.spi),
    spiCount: size.spis,
    irouters: ofSpis + offsetOf(spiRows, 'SPI_IROUTER', Math.max(size.spis, 1)),
    edgeLines: ofSpis + offsetOf(spiRows, 'SPI_EDGE_LINES', Math.max(size.spis, 1)),
    mapped: layout.baseOf(records.mapped),
    mappedCount: size.mapped,
    its: layout.baseOf(ITS),
    itsCount: size.its,
    lpis: lpiLayoutOf(records.lpis, layout, size.lpis),
    direct: directLayoutOf(records.direct, layout, directSizeOf(size)),
    ownWords: ownWordsOffset(size),
    costTable: layout.baseOf(COST_ROW),
  }
}
