/**
 * Userspace's access to the registers of a VM's ITSs while the vCPUs are stopped: the group ITS_REGS of KVM's device
 * attributes, and CTRL_RESET (Linux, "ARM Virtual Interrupt Translation Service (ITS)"). The registers are the guest's
 * rows, except for those here:
 * - GITS_CREADR can be written while the ITS is disabled. A write of GITS_CBASER makes it and GITS_CWRITER zero, so
 *   GITS_CBASER is restored first.
 * - GITS_IIDR takes a revision of the tables' ABI in its bits 15:12, of which there is 0 alone, and ignores all others.
 * - An offset is that of a whole register: one that is not aligned to its size, 8 bytes from GITS_TYPER to the identification
 *   registers and 4 else, is EINVAL, one without a register ENXIO (vgic_its_attr_regs_access).
 * GITS_CTLR is restored last, when the tables are.
 */
import { halves, joined } from '../../arch/doubleword.ts'
import { argumentBits, argumentInteger } from '../../errors/arguments.ts'
import { hex } from '../../errors/printed.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { DOUBLEWORD, WORD } from '../../gic/frames/register-map.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { ITS, ITS_BASER, ITS_CREADR, ITS_ENABLED } from '../records/its-record.ts'
import { COLLECTION_TABLE, DEVICE_TABLE } from '../vgic/vgic-its.ts'
import { itsMap, VALID } from '../vgic/vgic-its-registers.ts'
import { checkStopped } from './userspace-registers.ts'

/** A register that userspace saves, by its name. */
export interface ItsRegister {
  readonly name: string
  readonly offset: number
}

export const GITS_CTLR = 0x0
export const GITS_IIDR = 0x4
const GITS_TYPER = 0x8
export const GITS_CREADR = 0x90
/** The offset in the queue, bits 19:5. */
const CREADR_Offset = 0xf_ffe0n
/** The revision of the tables' ABI. */
const IIDR_Revision = 0xf000n
/** The first of the identification registers. */
const GITS_PIDR4 = 0xffd0

/** The registers in the order in which they are restored. */
export const itsRegisters: readonly ItsRegister[] = [
  { name: 'GITS_IIDR', offset: GITS_IIDR },
  { name: 'GITS_TYPER', offset: GITS_TYPER },
  { name: 'GITS_CBASER', offset: 0x80 },
  { name: 'GITS_CREADR', offset: GITS_CREADR },
  { name: 'GITS_CWRITER', offset: 0x88 },
  { name: 'GITS_BASER0', offset: 0x100 },
  { name: 'GITS_BASER1', offset: 0x108 },
  { name: 'GITS_CTLR', offset: GITS_CTLR },
]

/** The ITSs of a VM, each by its place in `frames.its`. Every access throws EBUSY while a vCPU is loaded. */
export class ItsRegisters {
  constructor(readonly hypervisor: Hypervisor) {}

  /** A whole register, by its offset in the control frame: all its bits. */
  read(n: number, offset: number): bigint {
    const { dist } = this.hypervisor.mmio
    const size = this.sizeAt(n, offset)
    const low = itsMap.read(dist, n, offset, size)
    return joined(low, size === DOUBLEWORD ? itsMap.readHigh(dist, n, offset) : 0)
  }

  write(n: number, offset: number, value: bigint): void {
    const size = this.sizeAt(n, offset)
    const [low, high] = halves(argumentBits('value', value))
    if (offset === GITS_IIDR) checkAbi(value)
    else if (offset === GITS_CREADR) this.writeCreadr(n, value)
    else this.writeRow(n, offset, size, low, high)
  }

  private writeRow(n: number, offset: number, size: number, low: number, high: number): void {
    const { dist } = this.hypervisor.mmio
    itsMap.write(dist, n, offset, size, low, high)
    if (dist.commands.isQueueLocked(n)) dist.commands.process(n)
  }

  /**
   * CTRL_RESET: the registers are as after reset, but `GITS_BASER<n>` loses Valid alone, and nothing is mapped. The guest's
   * memory stays as it is.
   */
  reset(n: number): void {
    const record = this.recordOf(n)
    const { words, mmio } = this.hypervisor
    const { its } = mmio.dist
    for (const table of [DEVICE_TABLE, COLLECTION_TABLE]) its.freeTable(n, table)
    its.cache.invalidate()
    const basers = words.slice(record + ITS_BASER, record + ITS_BASER + 4)
    words.fill(0, record, record + ITS.size)
    words.set(basers, record + ITS_BASER)
    for (const table of [DEVICE_TABLE, COLLECTION_TABLE]) words[record + ITS_BASER + 2 * table + 1] &= ~VALID
  }

  private writeCreadr(n: number, value: bigint): void {
    const { words, mmio } = this.hypervisor
    const record = this.recordOf(n)
    if (words[record + ITS_ENABLED] !== 0) {
      throw new VgicError('EBUSY', `ITS ${n} is enabled: write GITS_CREADR before GITS_CTLR.`)
    }
    const size = mmio.dist.commands.queueSize(record)
    const offset = Number(value & CREADR_Offset)
    if (offset >= size) {
      throw new VgicError(
        'EINVAL',
        `GITS_CREADR does not take ${hex(value)}: the queue has ${size} bytes. Write GITS_CBASER first.`,
      )
    }
    words[record + ITS_CREADR] = offset
  }

  /** The size of the register at an offset. */
  private sizeAt(n: number, offset: number): number {
    this.recordOf(n)
    const alignment = offset < GITS_TYPER || offset >= GITS_PIDR4 ? WORD : DOUBLEWORD
    if (argumentInteger('offset', offset, 0, 0xffff_ffff) % alignment !== 0) {
      throw new VgicError('EINVAL', `Offset ${hex(offset)} of an ITS is not a multiple of ${alignment}.`)
    }
    for (const size of [DOUBLEWORD, WORD]) if (itsMap.find(offset, size) !== undefined) return size
    throw new VgicError('ENXIO', `An ITS has no register at offset ${hex(offset)}.`)
  }

  /** The record of an ITS of a VM that is stopped. */
  private recordOf(n: number): number {
    checkStopped(this.hypervisor)
    const { layout, mmio } = this.hypervisor
    if (Number.isInteger(n) && n >= 0 && n < layout.itsCount) return mmio.dist.its.recordOf(n)
    throw new VgicError('ENXIO', `There is no ITS ${n}: the VM has ${layout.itsCount}.`)
  }
}

function checkAbi(value: bigint): void {
  if ((value & IIDR_Revision) === 0n) return
  throw new VgicError('EINVAL', `GITS_IIDR does not take ${hex(value)}: bits 15:12 are another ABI, not 0.`)
}
