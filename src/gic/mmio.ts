/**
 * Decodes physical addresses: the frames of the distributor, the redistributors and the ITSs. An access to an address
 * without a register, or of a size that the register does not allow, reads as zero and is ignored.
 */
import { FIRST_SPI, type Intid } from '../arch/intid.ts'
import type { Access } from './barriers/access.ts'
import type { Barriers } from './barriers/barriers.ts'
import type { GuestAccessError } from './config/access-events.ts'
import { GICD_SIZE, redistributorSize } from './config/config.ts'
import { itsSize } from './config/its-config.ts'
import { type Distributor, distributorMap } from './distributor/distributor.ts'
import { ICACTIVER, ISACTIVER } from './distributor/interrupt-registers.ts'
import { type Redistributor, SGI_BASE } from './distributor/redistributor.ts'
import { DOUBLEWORD, type RegisterMap } from './frames/register-map.ts'
import { DISTRIBUTOR } from './interrupts/physical-interrupts.ts'
import { GITS_CONTROL_SIZE, gitsMapOf } from './its/gits-frame.ts'
import type { Its } from './its/its.ts'
import type { Pe } from './records/pe.ts'

/**
 * Frame numbers that are no CPU's: the distributor's frame, and no frame. The frames of ITSs are further below, from
 * GITS_FRAMES down.
 */
const GICD_FRAME = -1
const NO_FRAME = -2
const GITS_FRAMES = -3

/** A frame, as far as it is the same whose registers they are. */
interface Rows {
  nameOf(offset: number): string | undefined
  find(offset: number, size: number): { readonly readOnly?: true } | undefined
}

const OF_GICV2 = /^GICD_(ITARGETSR|SGIR|CPENDSGIR|SPENDSGIR)/

export class Mmio {
  private readonly stride: number
  private readonly gits: RegisterMap<Its>
  private readonly itsSize: number

  constructor(
    readonly distributor: Distributor,
    readonly redistributor: Redistributor,
    readonly its: readonly Its[],
    /** Settles the outputs after a read that makes an ITS go on. */
    private readonly settle: () => void,
    /** Who watches what a driver does, where somebody does. */
    private readonly barriers?: Barriers,
  ) {
    const { version } = distributor.physical.config
    this.stride = redistributorSize(version)
    this.gits = gitsMapOf(version)
    this.itsSize = itsSize(version)
  }

  /** Whether an address lies in a frame of the GIC. */
  claims(address: number): boolean {
    return this.frameOf(address) !== NO_FRAME
  }

  /** Bits 31:0 of a read of 1, 2, 4 or 8 bytes. */
  read(address: number, size: number): number {
    const cpu = this.frame(address, size)
    const value = this.readFrame(cpu, address, size)
    if (this.barriers) this.watchRead(this.barriers, address, size, value)
    if (cpu <= GITS_FRAMES && this.completeAccess(cpu, address)) this.settle()
    return value
  }

  /** The same, which nobody watches, and no ITS goes on with. */
  peek(address: number, size: number): number {
    return this.readFrame(this.frame(address, size), address, size)
  }

  private readFrame(cpu: number, address: number, size: number): number {
    if (cpu === NO_FRAME) return 0
    if (cpu === GICD_FRAME)
      return distributorMap.read(this.distributor, DISTRIBUTOR, this.offset(cpu, address), size)
    if (cpu <= GITS_FRAMES) return this.gits.read(this.itsOf(cpu), 0, this.offset(cpu, address), size)
    const { redistributor } = this
    return redistributor.map.read(redistributor, this.peOf(cpu), this.offset(cpu, address), size)
  }

  private watchRead(barriers: Barriers, address: number, size: number, value: number): void {
    const high = size === DOUBLEWORD ? this.readHigh(address) : 0
    const access = this.accessOf(address, size, value, high)
    if (access) barriers.afterRead(access)
  }

  /** An access as those look at it that watch; undefined where no register takes it. */
  private accessOf(address: number, size: number, value: number, high: number): Access | undefined {
    const frame = this.frame(address, size)
    if (frame === NO_FRAME) return undefined
    const offset = this.offset(frame, address)
    const name = this.rowsOf(frame).find(offset, size) && this.nameOf(address)
    if (name === undefined) return undefined
    const cpu = frame >= 0 ? frame : undefined
    const its = frame <= GITS_FRAMES ? GITS_FRAMES - frame : undefined
    return { name, cpu, its, address, offset, size, value, high }
  }

  /** Bits 63:32 of a read of 8 bytes. */
  readHigh(address: number): number {
    const cpu = this.frame(address, DOUBLEWORD)
    if (cpu === NO_FRAME) return 0
    if (cpu === GICD_FRAME)
      return distributorMap.readHigh(this.distributor, DISTRIBUTOR, this.offset(cpu, address))
    if (cpu <= GITS_FRAMES) return this.gits.readHigh(this.itsOf(cpu), 0, this.offset(cpu, address))
    const { redistributor } = this
    return redistributor.map.readHigh(redistributor, this.peOf(cpu), this.offset(cpu, address))
  }

  /** A write of 1, 2, 4 or 8 bytes; `high` is bits 63:32 of one of 8. */
  write(address: number, size: number, value: number, high: number): void {
    const cpu = this.frame(address, size)
    if (cpu === NO_FRAME) return
    if (this.barriers) this.watchWrite(this.barriers, address, size, value, high)
    const offset = this.offset(cpu, address)
    if (cpu === GICD_FRAME)
      distributorMap.write(this.distributor, DISTRIBUTOR, offset, size, value | 0, high | 0)
    else if (cpu <= GITS_FRAMES) {
      this.gits.write(this.itsOf(cpu), 0, offset, size, value | 0, high | 0)
      this.completeAccess(cpu, address)
    } else this.redistributor.map.write(this.redistributor, this.peOf(cpu), offset, size, value | 0, high | 0)
  }

  /** Messages and GITS_SGIR, which are above the control frame, are no accesses to that. */
  private completeAccess(frame: number, address: number): boolean {
    return this.offset(frame, address) < GITS_CONTROL_SIZE && this.itsOf(frame).completeAccess()
  }

  private watchWrite(barriers: Barriers, address: number, size: number, value: number, high: number): void {
    const access = this.accessOf(address, size, value | 0, high | 0)
    if (access) barriers.beforeWrite(access)
  }

  /** `GICD_ISACTIVER1`: the register at an address, or undefined. */
  nameOf(address: number): string | undefined {
    const cpu = this.frame(address, 1)
    if (cpu === NO_FRAME) return undefined
    return this.rowsOf(cpu).nameOf(this.offset(cpu, address))
  }

  private rowsOf(frame: number): Rows {
    if (frame === GICD_FRAME) return distributorMap
    return frame <= GITS_FRAMES ? this.gits : this.redistributor.map
  }

  /** What is wrong with an access to a frame; undefined if a register takes it, or it is to no frame. */
  errorOf(address: number, size: number, isWrite: boolean): GuestAccessError | undefined {
    const frame = this.frameOf(address)
    if (frame === NO_FRAME) return undefined
    const rows = this.rowsOf(frame)
    const offset = this.offset(frame, address)
    const name = rows.nameOf(offset)
    if (name === undefined) return 'no-register'
    if (OF_GICV2.test(name)) return 'gicv2'
    if (this.frame(address, size) === NO_FRAME) return 'size'
    if (address % size !== 0) return 'unaligned'
    const row = rows.find(offset, size)
    if (row === undefined) return 'size'
    return isWrite && row.readOnly ? 'read-only' : undefined
  }

  /**
   * The address of the register that sets or clears an interrupt's active state; for an SGI or PPI, the one in the
   * PE's redistributor.
   */
  addressOfActive(pe: Pe, intid: Intid, active: boolean): number {
    const register = active ? ISACTIVER : ICACTIVER
    if (intid >= FIRST_SPI) return this.base(GICD_FRAME) + register + 4 * (intid >> 5)
    return this.base(this.distributor.physical.cpuOf(pe)) + SGI_BASE + register
  }

  /** RD_base of a CPU's redistributor: the address of its first frame. */
  rdBase(cpu: number): number {
    return this.base(cpu)
  }

  private peOf(cpu: number): Pe {
    return this.distributor.physical.peOf(cpu)
  }

  private itsOf(frame: number): Its {
    return this.its[GITS_FRAMES - frame]
  }

  private offset(cpu: number, address: number): number {
    return address - this.base(cpu)
  }

  /** The address of a frame. */
  private base(cpu: number): number {
    const { config } = this.distributor.physical
    if (cpu === GICD_FRAME) return config.gicd
    if (cpu <= GITS_FRAMES) return config.its[GITS_FRAMES - cpu].base
    const { gicr } = config
    let first = 0
    for (let i = 0; i < gicr.length; i++) {
      const { base, count } = gicr[i]
      if (cpu < first + count) return base + (cpu - first) * this.stride
      first += count
    }
    return 0
  }

  /** The number of the frame that an access is to; NO_FRAME for an impossible address or size. */
  private frame(address: number, size: number): number {
    if ((size !== 4 && size !== 8 && size !== 1 && size !== 2) || !Number.isInteger(address)) return NO_FRAME
    return this.frameOf(address)
  }

  /** The number of the frame at an address: a CPU's, or one of the negative ones. */
  private frameOf(address: number): number {
    const { gicd, gicr, cpus, its } = this.distributor.physical.config
    if (address >= gicd && address < gicd + GICD_SIZE) return GICD_FRAME
    let first = 0
    for (let i = 0; i < gicr.length; i++) {
      const { base, count } = gicr[i]
      const number = Math.floor((address - base) / this.stride)
      if (number >= 0 && number < count) return first + number < cpus ? first + number : NO_FRAME
      first += count
    }
    for (let i = 0; i < its.length; i++) {
      if (address >= its[i].base && address < its[i].base + this.itsSize) return GITS_FRAMES - i
    }
    return NO_FRAME
  }
}
