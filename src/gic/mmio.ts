/**
 * What answers at a physical address: the distributor's and the redistributors' frames as rows of data. An
 * access that no row takes, or of a size that the row does not have, reads as zero and is ignored; so does
 * one outside all frames, which belongs to somebody else.
 */
import { FIRST_SPI } from '../arch/intid.ts'
import { type CheckedGicConfig, GICD_SIZE, redistributorSize } from './config.ts'
import { GICR_ACTIVE, type PhysicalInterrupts } from './physical-interrupts.ts'

/** Offsets in the distributor's frame (IHI 0069, "The GIC Distributor register map"). */
const GICD_ISACTIVER = 0x300
const GICD_ICACTIVER = 0x380
/** Offsets from RD_base; SGI_base begins at 0x10000 ("The GIC Redistributor register map"). */
const GICR_ISACTIVER0 = 0x1_0300
const GICR_ICACTIVER0 = 0x1_0380

/** A run of equal registers of 4 bytes each. `read` and `write` get the index within the run. */
interface MmioRow {
  readonly name: string
  readonly offset: number
  /** Bytes that the run covers. */
  readonly length: number
  read(mmio: Mmio, pe: number, index: number): number
  write(mmio: Mmio, pe: number, index: number, value: number): void
}

const distributorRows: readonly MmioRow[] = [
  {
    name: 'GICD_ISACTIVER',
    offset: GICD_ISACTIVER,
    length: 0x80,
    read: ({ physical }, _pe, n) => physical.readActiver(n),
    write: ({ physical }, _pe, n, value) => physical.writeIsactiver(n, value),
  },
  {
    name: 'GICD_ICACTIVER',
    offset: GICD_ICACTIVER,
    length: 0x80,
    read: ({ physical }, _pe, n) => physical.readActiver(n),
    write: ({ physical }, _pe, n, value) => physical.writeIcactiver(n, value),
  },
]

const redistributorRows: readonly MmioRow[] = [
  {
    name: 'GICR_ISACTIVER0',
    offset: GICR_ISACTIVER0,
    length: 4,
    read: ({ words }, pe) => words[pe + GICR_ACTIVE],
    write: ({ words }, pe, _n, value) => {
      words[pe + GICR_ACTIVE] |= value
    },
  },
  {
    name: 'GICR_ICACTIVER0',
    offset: GICR_ICACTIVER0,
    length: 4,
    read: ({ words }, pe) => words[pe + GICR_ACTIVE],
    write: ({ words }, pe, _n, value) => {
      words[pe + GICR_ACTIVE] &= ~value
    },
  },
]

const rowAt = (rows: readonly MmioRow[], offset: number): MmioRow | undefined =>
  rows.find((row) => offset >= row.offset && offset < row.offset + row.length)

interface Target {
  readonly row: MmioRow
  /** The PE whose redistributor it is; -1 for the distributor. */
  readonly pe: number
  readonly index: number
}

export class Mmio {
  constructor(
    readonly words: Int32Array,
    readonly config: CheckedGicConfig,
    readonly physical: PhysicalInterrupts,
    /** The record of a CPU. */
    readonly peOf: (cpu: number) => number,
    /** The CPU of a record. */
    readonly cpuOf: (pe: number) => number,
  ) {}

  /** Whether an address lies in a frame of the GIC. */
  claims(address: number): boolean {
    return this.frameOf(address) !== undefined
  }

  /** A read of `size` bytes, as an unsigned number. */
  read(address: number, size: number): number {
    const target = this.target(address, size)
    return target ? target.row.read(this, target.pe, target.index) >>> 0 : 0
  }

  /** A write of `size` bytes. */
  write(address: number, size: number, value: number): void {
    const target = this.target(address, size)
    target?.row.write(this, target.pe, target.index, value | 0)
  }

  /** `GICD_ISACTIVER1`: the register at an address, or undefined. */
  nameOf(address: number): string | undefined {
    const target = this.target(address, 4)
    if (!target) return undefined
    return target.row.length > 4 ? `${target.row.name}${target.index}` : target.row.name
  }

  /** The address of the register that sets or clears an interrupt's active state, for a PE's private ones its own. */
  addressOfActive(pe: number, intid: number, active: boolean): number {
    const { gicd } = this.config
    if (intid >= FIRST_SPI) return gicd + (active ? GICD_ISACTIVER : GICD_ICACTIVER) + 4 * (intid >> 5)
    return this.redistributorBase(this.cpuOf(pe)) + (active ? GICR_ISACTIVER0 : GICR_ICACTIVER0)
  }

  private redistributorBase(cpu: number): number {
    let first = 0
    for (const { base, count } of this.config.gicr) {
      if (cpu < first + count) return base + (cpu - first) * redistributorSize(this.config.version)
      first += count
    }
    return 0
  }

  private target(address: number, size: number): Target | undefined {
    if (size !== 4 || address % 4 !== 0) return undefined
    const frame = this.frameOf(address)
    if (!frame) return undefined
    const row = rowAt(frame.cpu < 0 ? distributorRows : redistributorRows, frame.offset)
    if (!row) return undefined
    return { row, pe: frame.cpu < 0 ? -1 : this.peOf(frame.cpu), index: (frame.offset - row.offset) >> 2 }
  }

  private frameOf(address: number): { cpu: number; offset: number } | undefined {
    const { gicd, gicr, cpus, version } = this.config
    if (address >= gicd && address < gicd + GICD_SIZE) return { cpu: -1, offset: address - gicd }
    const stride = redistributorSize(version)
    let first = 0
    for (const { base, count } of gicr) {
      const offset = address - base
      const cpu = first + Math.floor(offset / stride)
      if (offset >= 0 && offset < count * stride)
        return cpu < cpus ? { cpu, offset: offset % stride } : undefined
      first += count
    }
    return undefined
  }
}
