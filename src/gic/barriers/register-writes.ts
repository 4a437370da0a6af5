/**
 * Writes whose effect a driver has to wait for by reading RWP as 0 (IHI 0069, "GICD_CTLR", "GICR_CTLR"): disabling
 * interrupts, groups and LPIs, and taking a vPE configuration table away. Rules B14 to B17.
 */
import { GICD_CTLR_nASSGIreq, GICD_CTLR_RWP } from '../../arch/gicd-registers.ts'
import { GICR_CTLR_EnableLPIs, GICR_CTLR_RWP, GICR_VPROPBASER_HIGH_Valid } from '../../arch/gicr-registers.ts'
import { IROUTER } from '../distributor/distributor.ts'
import { ICENABLER, ICFGR, IGROUPR, IPRIORITYR, ISENABLER } from '../distributor/interrupt-registers.ts'
import { SGI_BASE } from '../distributor/redistributor.ts'
import { GROUPS } from '../interrupts/physical-interrupts.ts'
import { type Access, type Registers, upperHalf } from './access.ts'
import {
  GROUPS_DISABLED,
  LPIS_DISABLED,
  PRIVATE_DISABLED,
  SPIS_DISABLED,
  VPROPBASER_CLEARED,
  WRITES_UNPOLLED,
} from './barrier-records.ts'
import type { Reports } from './reports.ts'

/** What configures interrupts: offset and bits of an interrupt, by name. */
const CONFIGURING: Readonly<Record<string, readonly [offset: number, bits: number]>> = {
  IGROUPR: [IGROUPR, 1],
  IPRIORITYR: [IPRIORITYR, 8],
  ICFGR: [ICFGR, 2],
  IROUTER: [IROUTER, 64],
}

export class RegisterWrites {
  readonly words: Int32Array

  constructor(
    readonly reports: Reports,
    /** The records BARRIERS, and BARRIERS_CPU by CPU. */
    readonly at: number,
    readonly recordOf: (cpu: number) => number,
    readonly registers: Registers,
  ) {
    this.words = reports.words
  }

  beforeWrite(access: Access): void {
    const kind = access.name.slice('GICD_'.length).replace(/\d+$/, '')
    if (kind === 'ICENABLER') this.disable(access)
    else if (kind === 'ISENABLER') this.enable(access)
    else if (kind in CONFIGURING) this.configure(access, kind)
    else if (access.name === 'GICD_CTLR') this.writeGicdCtlr(access)
    else if (access.cpu !== undefined) this.writeOfCpu(access, access.cpu)
  }

  afterRead({ name, cpu, value }: Access): void {
    const { words, at } = this
    if (name === 'GICD_CTLR' && (value & GICD_CTLR_RWP) === 0) {
      words.fill(0, at + GROUPS_DISABLED, at + SPIS_DISABLED + 32)
    } else if (name === 'GICR_CTLR' && cpu !== undefined && (value & GICR_CTLR_RWP) === 0) {
      words[this.recordOf(cpu) + PRIVATE_DISABLED] = 0
      words[this.recordOf(cpu) + WRITES_UNPOLLED] &= ~(LPIS_DISABLED | VPROPBASER_CLEARED)
    }
  }

  /** Where the interrupts of a word of a bitmap are noted. */
  private bitmapOf({ cpu, offset }: Access, base: number): number {
    if (cpu !== undefined) return this.recordOf(cpu) + PRIVATE_DISABLED
    return this.at + SPIS_DISABLED + ((offset - base) >> 2)
  }

  private disable(access: Access): void {
    const enabled = this.registers.peek(access.address - ICENABLER + ISENABLER, 4)
    this.words[this.bitmapOf(access, ICENABLER)] |= access.value & enabled
  }

  private enable(access: Access): void {
    this.words[this.bitmapOf(access, ISENABLER)] &= ~access.value
  }

  /** B14, of the first interrupt that is concerned, and B15. */
  private configure(access: Access, kind: string): void {
    const [base, bits] = CONFIGURING[kind]
    const { cpu, name, size, offset } = access
    const frame = cpu === undefined ? base : base + SGI_BASE
    const first = Math.floor(((offset - frame) * 8) / bits)
    const count = Math.max(1, (size * 8) / bits)
    for (let n = 0; n < count; n++) {
      const intid = first + n
      const at = cpu === undefined ? this.at + SPIS_DISABLED + (intid >> 5) : this.bitmapOf(access, 0)
      if (((this.words[at] >>> (intid & 31)) & 1) === 0 || !this.changes(access, n * bits, bits)) continue
      this.words[at] &= ~(1 << (intid & 31))
      this.reports.report('B14', name, access, `INTID ${intid} was disabled by ICENABLER`)
    }
    if (cpu === undefined) this.reportGroups(name)
  }

  /** Whether a write changes `bits` bits from `shift` on. */
  private changes({ address, size, value, high }: Access, shift: number, bits: number): boolean {
    if (bits === 64) {
      const low = (this.registers.peek(address, 4) ^ value) >>> 0
      return low !== 0 || (size === 8 && this.registers.peek(address + 4, 4) >>> 0 !== high >>> 0)
    }
    const mask = 2 ** bits - 1
    return (((this.registers.peek(address, size) ^ value) >>> shift) & mask) !== 0
  }

  private reportGroups(access: string): void {
    if (this.words[this.at + GROUPS_DISABLED] === 0) return
    this.words[this.at + GROUPS_DISABLED] = 0
    this.reports.report('B15', access, {}, 'GICD_CTLR has disabled a group')
  }

  private writeGicdCtlr({ address, value, name }: Access): void {
    const before = this.registers.peek(address, 4)
    if (((before ^ value) & GICD_CTLR_nASSGIreq) !== 0) this.reportGroups(name)
    if ((before & ~value & GROUPS) !== 0) this.words[this.at + GROUPS_DISABLED] = 1
    // Whoever enables it again relies on it no longer.
    if ((~before & value & GROUPS) !== 0) this.words[this.at + GROUPS_DISABLED] = 0
  }

  private writeOfCpu(access: Access, cpu: number): void {
    const { name } = access
    if (name === 'GICR_CTLR') this.writeGicrCtlr(access, cpu)
    else if (name === 'GICR_VPROPBASER') this.writeVpropbaser(access, cpu)
    else if (name === 'GICR_PROPBASER' || name === 'GICR_PENDBASER') this.relyOn(LPIS_DISABLED, access, cpu)
  }

  private writeGicrCtlr(access: Access, cpu: number): void {
    const before = this.registers.peek(access.address, 4) & GICR_CTLR_EnableLPIs
    const after = access.value & GICR_CTLR_EnableLPIs
    if (before === after) return
    if (after) this.relyOn(LPIS_DISABLED, access, cpu)
    else this.words[this.recordOf(cpu) + WRITES_UNPOLLED] |= LPIS_DISABLED
  }

  private writeVpropbaser(access: Access, cpu: number): void {
    this.relyOn(VPROPBASER_CLEARED, access, cpu)
    const after = upperHalf(access)
    const upper = access.address - (access.offset & 4) + 4
    const wasValid = (this.registers.peek(upper, 4) & GICR_VPROPBASER_HIGH_Valid) !== 0
    if (wasValid && after !== undefined && (after & GICR_VPROPBASER_HIGH_Valid) === 0) {
      this.words[this.recordOf(cpu) + WRITES_UNPOLLED] |= VPROPBASER_CLEARED
    }
  }

  /** B16 and B17. */
  private relyOn(flag: number, access: Access, cpu: number): void {
    const at = this.recordOf(cpu) + WRITES_UNPOLLED
    if ((this.words[at] & flag) === 0) return
    this.words[at] &= ~flag
    if (flag === LPIS_DISABLED) this.reports.report('B16', access.name, access, 'GICR_CTLR has disabled LPIs')
    else this.reports.report('B17', access.name, access, 'GICR_VPROPBASER.Valid was cleared')
  }
}
