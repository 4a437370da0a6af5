/**
 * GICR_VPROPBASER and GICR_VPENDBASER: which vPE is resident on a redistributor (IHI 0069, "vPE residency and locating
 * data structures"). Writing Valid begins to make one resident, or to make it leave; Dirty is set until that is done,
 * where effects lag. The redistributor has the state of the vPE from the write that sets Valid until it has left. At most
 * one effect is under way: what software writes meanwhile is UNPREDICTABLE, and here the one under way is completed
 * first.
 *
 * What software does that is UNPREDICTABLE has its mildest outcome here:
 * - A field that is written while Valid = 1 keeps its value.
 * - A vPE that is not mapped to the redistributor, or is resident elsewhere, does not become resident, although Valid
 *   reads as written: nothing is presented, and nothing is pending when Valid is cleared.
 *
 * On GICv4.0 Dirty says that a vPE leaves; one that becomes resident does not show it (GICR_TYPER.Dirty = 0).
 */
import {
  GICR_VPENDBASER_HIGH_Dirty,
  GICR_VPENDBASER_HIGH_Doorbell,
  GICR_VPENDBASER_HIGH_IDAI,
  GICR_VPENDBASER_HIGH_PendingLast,
  GICR_VPENDBASER_HIGH_Valid,
  GICR_VPENDBASER_vPEID,
  GICR_VPROPBASER_HIGH_Z,
} from '../../arch/gicr-registers.ts'
import { type CheckedGicConfig, lpiGroups } from '../config/config.ts'
import type { HostEvents } from '../config/host-events.ts'
import type { UnpredictableRule } from '../config/unpredictable.ts'
import type { ResidentVpes } from './resident-vpe.ts'
import {
  entryCpu,
  entrySize,
  VPE_REQUESTED,
  VPE_REQUESTED_GROUP_0,
  VPE_REQUESTED_GROUP_1,
} from './vpe-entry.ts'
import {
  GICR_VPENDBASER,
  GICR_VPROPBASER,
  GICR_VSGIPENDR,
  VPE_COUNT,
  VPE_HELD,
  VPE_ID,
  VPE_LEAVING,
  VPE_RESIDENCY,
  VPE_VCONF,
  VPE_VPT,
} from './vpe-offsets.ts'
import { BECOMING_RESIDENT, LEAVING, NOT_RESIDENT, RESIDENT } from './vpe-records.ts'
import type { Vpes } from './vpes.ts'

const VPT_LOW = ~0xffff
const VPROPBASER_LOW = ~0xfff
const ADDRESS_HIGH = 0xfffff
const IDBITS = 0x1f
const GROUP_0 = 1
const GROUP_1 = 2
/** Entry_Size of GICv4.1's GICR_VPROPBASER, read only: 4 doublewords less one; and Page_Size as a field, in its place. */
const ENTRY_SIZE_HIGH = 0x38000000
const ENTRY_SIZE = 0x18000000
const PAGE_SIZE = 0x600000
const PAGE_SIZE_64K = 0x400000
const VPROPBASER_RES0_HIGH = 0x40000000
const VPEID_LOW = 0xffff
const VPENDBASER_HIGH = 0xec000000 | 0
/** Bits of GICv4.0's GICR_VPENDBASER that can be written: the others are RES0. */
const VPENDBASER_V40_LOW = 0xffff0f80 | 0
const VPENDBASER_V40_HIGH = 0xe70fffff | 0
const REGISTER = 'GICR_VPENDBASER'
/** What of GICv4.1's GICR_VPROPBASER says where the table is: address and Size; address, Page_Size and Indirect. */
const TABLE_LOW = ~0xf80
const TABLE_HIGH = 0x00efffff

/** The groups that a CPU interface's guest has enabled in ICH_VMCR_EL2, as bits. */
export interface GuestGroups {
  enabledVirtualGroups(cpu: number): number
}

export class Residency {
  readonly words: Int32Array
  private readonly lagging: boolean
  /** By CPU: redistributors of a group have a common vPE configuration table. */
  private readonly groups: readonly number[]
  private readonly resident: ResidentVpes
  /** What is open in the architecture's text: the choices of these names. */
  private readonly disabledCount: boolean
  private readonly otherGroupsCount: boolean
  private readonly writtenReadsOne: boolean
  private readonly vengCounts: boolean
  private readonly keepsZ: boolean
  /** Whether GICR_VPENDBASER.IDAI means anything: the choice `pendingTableZero`. */
  private readonly believesIdai: boolean

  constructor(
    readonly vpes: Vpes,
    readonly events: HostEvents,
    readonly guest: GuestGroups,
    config: CheckedGicConfig,
  ) {
    const { choices, writeEffects } = config
    this.groups = lpiGroups(config)
    this.resident = vpes.resident
    this.words = vpes.words
    this.lagging = writeEffects === 'lagging'
    this.disabledCount = choices.pendingLastDisabled === 'one'
    this.otherGroupsCount = choices.pendingLastOfGroup === 'one'
    this.writtenReadsOne = choices.pendingLastWritten === 'one'
    this.vengCounts = choices.pendingLastVeng === 'counts'
    this.keepsZ = choices.vpropbaserZ === 'as-written'
    this.believesIdai = choices.pendingTableZero === 'honoured'
  }

  /** GICv4.1: Entry_Size is there from reset on. */
  reset(cpu: number): void {
    if (this.vpes.byVpeid) this.words[this.resident.recordOf(cpu) + GICR_VPROPBASER + 1] = ENTRY_SIZE
  }

  readVpropbaser(cpu: number, half: number): number {
    return this.words[this.resident.recordOf(cpu) + GICR_VPROPBASER + half]
  }

  writeVpropbaser(cpu: number, half: number, value: number): void {
    const record = this.resident.recordOf(cpu)
    const isResident = this.words[record + VPE_RESIDENCY] !== NOT_RESIDENT
    const written = half === 1 && this.vpes.byVpeid ? this.vpropbaserHigh(value) : value
    if (isResident && written !== this.readVpropbaser(cpu, half)) {
      if (this.use('vpropbaser-while-resident', 'GICR_VPROPBASER', cpu)) this.resident.lose(cpu)
    }
    this.words[record + GICR_VPROPBASER + half] = written
    if (half === 1 && this.vpes.byVpeid && this.vpes.unpredictable.isWatched) this.compareVpropbaser(cpu)
  }

  /** Redistributors with a common table are given the same one; at the worst the table that one has already stays. */
  private compareVpropbaser(cpu: number): void {
    const record = this.resident.recordOf(cpu)
    if (!this.vpes.table.isThere(record)) return
    const other = this.groups.findIndex(
      (group, n) => n !== cpu && group === this.groups[cpu] && this.hasOtherTable(record, n),
    )
    if (other < 0 || !this.use('vpropbaser-differs', 'GICR_VPROPBASER', cpu)) return
    const from = this.resident.recordOf(other) + GICR_VPROPBASER
    this.words.copyWithin(record + GICR_VPROPBASER, from, from + 2)
  }

  /** Whether a redistributor has a table, and another one than that of a record: cacheability does not count. */
  private hasOtherTable(record: number, cpu: number): boolean {
    const { words } = this
    const other = this.resident.recordOf(cpu)
    const low = words[record + GICR_VPROPBASER] ^ words[other + GICR_VPROPBASER]
    const high = words[record + GICR_VPROPBASER + 1] ^ words[other + GICR_VPROPBASER + 1]
    return this.vpes.table.isThere(other) && ((low & TABLE_LOW) !== 0 || (high & TABLE_HIGH) !== 0)
  }

  /** An unsupported Page_Size reads back as 64 KiB. */
  private vpropbaserHigh(value: number): number {
    const page = (value & PAGE_SIZE) === PAGE_SIZE ? PAGE_SIZE_64K : value & PAGE_SIZE
    const rest = value & ~(ENTRY_SIZE_HIGH | PAGE_SIZE | VPROPBASER_RES0_HIGH)
    return (this.keepsZ ? rest : rest & ~GICR_VPROPBASER_HIGH_Z) | page | ENTRY_SIZE
  }

  readVpendbaser(cpu: number, half: number): number {
    const record = this.resident.recordOf(cpu)
    const value = this.words[record + GICR_VPENDBASER + half]
    if (half === 0) return value
    // While Valid is set PendingLast is UNKNOWN; QEMU has 1 there.
    const isUnknown = value & GICR_VPENDBASER_HIGH_Valid && !this.vpes.byVpeid
    return (
      value |
      (isUnknown ? GICR_VPENDBASER_HIGH_PendingLast : 0) |
      (this.isDirty(record) ? GICR_VPENDBASER_HIGH_Dirty : 0)
    )
  }

  private isDirty(record: number): boolean {
    const residency = this.words[record + VPE_RESIDENCY]
    return residency === LEAVING || (residency === BECOMING_RESIDENT && this.vpes.byVpeid)
  }

  /** The lower half of a register that is written as a whole. */
  hold(cpu: number, value: number): void {
    this.words[this.resident.recordOf(cpu) + VPE_HELD] = value
  }

  held(cpu: number): number {
    return this.words[this.resident.recordOf(cpu) + VPE_HELD]
  }

  /** GICR_INVLPIR with V = 1: the configuration of a vPE's vLPI is read again. */
  invalidate(cpu: number, vpe: number, vlpi: number): void {
    if (this.vpes.nameAt(cpu, vpe)) this.vpes.invalidate(cpu, vlpi)
    this.takeRefusal()
  }

  /** GICR_INVALLR with V = 1: that of all its vLPIs. */
  invalidateAll(cpu: number, vpe: number): void {
    if (this.vpes.nameAt(cpu, vpe)) this.vpes.invalidateAll(cpu)
    this.takeRefusal()
  }

  querySgis(cpu: number, vpe: number): void {
    this.vpes.querySgis(cpu, vpe)
    this.takeRefusal()
  }

  readVsgipendr(cpu: number): number {
    return this.words[this.resident.recordOf(cpu) + GICR_VSGIPENDR]
  }

  private takeRefusal(): void {
    if (this.vpes.memory.takeRefusal()) this.events.memoryRefused(this.vpes.memory)
  }

  /** Whether an effect is under way. */
  isLagging(cpu: number): boolean {
    const residency = this.words[this.resident.recordOf(cpu) + VPE_RESIDENCY]
    return residency === BECOMING_RESIDENT || residency === LEAVING
  }

  /** Valid is in the upper half: the lower one only keeps what is written, before. */
  writeVpendbaser(cpu: number, half: number, value: number): void {
    const at = this.resident.recordOf(cpu) + GICR_VPENDBASER
    const { words } = this
    const isValid = (words[at + 1] & GICR_VPENDBASER_HIGH_Valid) !== 0
    if (half === 0) {
      const low = value & (this.vpes.byVpeid ? VPEID_LOW : VPENDBASER_V40_LOW)
      if (!isValid || (words[at] !== low && this.use('field-while-valid', REGISTER, cpu))) words[at] = low
      return
    }
    const high = value & (this.vpes.byVpeid ? VPENDBASER_HIGH : VPENDBASER_V40_HIGH)
    const becomesValid = (value & GICR_VPENDBASER_HIGH_Valid) !== 0
    if (isValid === becomesValid) {
      if (!isValid) words[at + 1] = high
      else if ((words[at + 1] ^ high) & ~GICR_VPENDBASER_HIGH_PendingLast)
        this.changeWhileValid(cpu, at + 1, high)
      return
    }
    if (this.isLagging(cpu)) this.endEarly(cpu)
    if (isValid) this.leave(cpu, high)
    else this.enter(cpu, high)
  }

  /** At the worst the register takes what is written, and with it which groups are presented: the vPE stays. */
  private changeWhileValid(cpu: number, at: number, high: number): void {
    if (!this.use('field-while-valid', REGISTER, cpu)) return
    this.words[at] = high
    this.resident.present(cpu)
  }

  /**
   * Valid is written before what it did last is done, which GICv4.0 forbids only while a vPE leaves. At the worst what
   * was still to be read from the virtual pending table, or written to it, is lost.
   */
  private endEarly(cpu: number): void {
    const isLeaving = this.words[this.resident.recordOf(cpu) + VPE_RESIDENCY] === LEAVING
    const isWrong = this.vpes.byVpeid || isLeaving
    const isWorst = isWrong && this.use('valid-while-dirty', REGISTER, cpu)
    if (isWorst && isLeaving) this.resident.lose(cpu)
    this.complete(cpu)
    if (isWorst && !isLeaving) this.resident.lose(cpu)
  }

  private use(rule: UnpredictableRule, access: string, cpu: number): boolean {
    return this.vpes.unpredictable.use(rule, access, cpu)
  }

  /** Valid is set: the vPE that the register names begins to become resident, if it may. */
  private enter(cpu: number, high: number): void {
    const { words } = this
    const record = this.resident.recordOf(cpu)
    words[record + GICR_VPENDBASER + 1] = high
    if (!(this.vpes.byVpeid ? this.findByVpeid(cpu, record) : this.findByTable(record))) {
      this.takeRefusal()
      return
    }
    if (!this.isAlone(cpu)) {
      this.forget(record)
      return
    }
    words[record + VPE_RESIDENCY] = BECOMING_RESIDENT
    // From now on what is done to the vPE is done here. Without vPEIDs the register says whether the table's
    // IMPLEMENTATION DEFINED area may be believed.
    const isBelieved = this.believesIdai && (high & GICR_VPENDBASER_HIGH_IDAI) === 0
    this.resident.load(cpu, this.vpes.byVpeid || isBelieved)
    if (this.lagging) this.takeRefusal()
    else this.complete(cpu)
  }

  /** GICv4.0: the register has the virtual pending table, GICR_VPROPBASER the configuration. */
  private findByTable(record: number): boolean {
    const { words, vpes } = this
    const vpropbaser = words[record + GICR_VPROPBASER]
    words[record + VPE_VPT] = words[record + GICR_VPENDBASER] & VPT_LOW
    words[record + VPE_VPT + 1] = words[record + GICR_VPENDBASER + 1] & ADDRESS_HIGH
    words[record + VPE_VCONF] = vpropbaser & VPROPBASER_LOW
    words[record + VPE_VCONF + 1] = words[record + GICR_VPROPBASER + 1] & ADDRESS_HIGH
    words[record + VPE_COUNT] = vpes.countOf(vpropbaser & IDBITS)
    vpes.nameByTable(words[record + VPE_VPT], words[record + VPE_VPT + 1], vpropbaser & IDBITS)
    return true
  }

  /** GICv4.1: the register has the vPEID, of which the vPE configuration table says the rest. */
  private findByVpeid(cpu: number, record: number): boolean {
    const { words, vpes } = this
    const { table } = vpes
    const vpe = GICR_VPENDBASER_vPEID(words[record + GICR_VPENDBASER])
    // At the worst what GICR_VPROPBASER has is taken for a table, and what is in a table for an entry that is in use.
    if (!table.isThere(record) && !this.use('vpropbaser-invalid', REGISTER, cpu)) return false
    const isMapped = vpes.nameAt(cpu, vpe, true) && table.readFlags()
    if (!isMapped && !this.use('resident-unmapped', REGISTER, cpu)) return false
    if (isMapped && entryCpu(table.flags) !== cpu && !this.use('resident-elsewhere', REGISTER, cpu))
      return false
    words[record + VPE_ID] = vpe
    words[record + VPE_VPT] = table.vptLow
    words[record + VPE_VPT + 1] = table.vptHigh
    words[record + VPE_VCONF] = table.vconfLow
    words[record + VPE_VCONF + 1] = table.vconfHigh
    words[record + VPE_COUNT] = vpes.countOf(entrySize(table.flags))
    return true
  }

  /** Whether the named vPE may become resident. At the worst it may be twice, and both present what is pending. */
  private isAlone(cpu: number): boolean {
    const other = this.vpes.otherThan(cpu)
    if (other < 0) return true
    if (!this.use('resident-twice', REGISTER, cpu)) return false
    this.resident.copyToTable(other)
    return true
  }

  /** The vPE that was found does not become resident. */
  private forget(record: number): void {
    this.words.fill(0, record + VPE_RESIDENCY, record + VPE_LEAVING)
  }

  /** Valid is cleared: the vPE begins to leave, and nothing of it is presented any more. */
  private leave(cpu: number, high: number): void {
    const { words } = this
    const record = this.resident.recordOf(cpu)
    if (words[record + VPE_RESIDENCY] === NOT_RESIDENT) {
      words[record + GICR_VPENDBASER + 1] = high & ~GICR_VPENDBASER_HIGH_PendingLast
      return
    }
    const groups = words[record + GICR_VPENDBASER + 1]
    words[record + VPE_RESIDENCY] = LEAVING
    words[record + VPE_LEAVING] = high
    // VGrp0En and VGrp1En of the time when it was resident are what its doorbell is requested for.
    words[record + GICR_VPENDBASER + 1] = groups & ~GICR_VPENDBASER_HIGH_Valid
    this.resident.present(cpu)
    if (!this.lagging) this.complete(cpu)
  }

  /** Completes the effect that is under way. */
  complete(cpu: number): void {
    const record = this.resident.recordOf(cpu)
    const residency = this.words[record + VPE_RESIDENCY]
    if (residency === BECOMING_RESIDENT) this.completeEntry(cpu, record)
    else if (residency === LEAVING) this.completeLeaving(cpu, record)
    this.takeRefusal()
  }

  /** What was pending is presented; a doorbell that was requested, or rung, is no longer needed. */
  private completeEntry(cpu: number, record: number): void {
    const { words, vpes, resident } = this
    words[record + VPE_RESIDENCY] = RESIDENT
    if (vpes.byVpeid && vpes.nameAt(cpu, words[record + VPE_ID]) && vpes.table.readFlags()) {
      vpes.table.request(0)
      vpes.doorbells.takeBack(cpu, vpes.table.doorbell)
    }
    resident.present(cpu)
  }

  /** What is still pending goes back to the table, PendingLast says if there is any, and else the doorbell may ring. */
  private completeLeaving(cpu: number, record: number): void {
    const { words, vpes, resident } = this
    const written = words[record + VPE_LEAVING]
    const vpe = words[record + VPE_ID]
    const groups = resident.groupsOf(cpu)
    const last = this.pendingLast(cpu, written, groups)
    resident.unload(cpu)
    words[record + GICR_VPENDBASER + 1] =
      (written & ~GICR_VPENDBASER_HIGH_PendingLast) | (last ? GICR_VPENDBASER_HIGH_PendingLast : 0)
    if (!vpes.byVpeid || !vpes.nameAt(cpu, vpe) || !vpes.table.readFlags()) return
    const mayRing = !last && (written & GICR_VPENDBASER_HIGH_PendingLast) === 0
    vpes.table.request(mayRing && written & GICR_VPENDBASER_HIGH_Doorbell ? requestFor(groups) : 0)
  }

  private pendingLast(cpu: number, written: number, groups: number): boolean {
    const { resident } = this
    const isV41 = this.vpes.byVpeid
    if (isV41 && written & GICR_VPENDBASER_HIGH_PendingLast && this.writtenReadsOne) return true
    const counted = isV41 && this.vengCounts ? groups & this.guest.enabledVirtualGroups(cpu) : groups
    if (resident.hasEnabled(cpu, counted)) return true
    if (this.otherGroupsCount && resident.hasEnabled(cpu, (GROUP_0 | GROUP_1) & ~groups)) return true
    return this.disabledCount && resident.hasPending(cpu) && !resident.hasEnabled(cpu, GROUP_0 | GROUP_1)
  }
}

/** A request of the default doorbell by interrupts of these groups. */
const requestFor = (groups: number): number =>
  VPE_REQUESTED |
  (groups & GROUP_0 ? VPE_REQUESTED_GROUP_0 : 0) |
  (groups & GROUP_1 ? VPE_REQUESTED_GROUP_1 : 0)
