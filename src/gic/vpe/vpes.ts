/**
 * The vPEs of GICv4: what a message, a command or a register does to one, wherever it is (IHI 0069, "Virtual LPI
 * support", "vSGIs"). An access names a vPE first, and then acts on it: at the redistributor where it is resident, and
 * otherwise in its virtual pending table.
 *
 * On GICv4.0 a redistributor knows a vPE by the address of its virtual pending table, and the message of a vLPI has its
 * doorbell with it. On GICv4.1 it knows it by its vPEID, of which the vPE configuration table says the rest; the doorbell
 * is the vPE's, and rings once after it was requested (rules 50 to 69 of docs/gicv4.md).
 */

import { GICR_VSGIPENDR_Busy } from '../../arch/gicr-registers.ts'
import { FIRST_LPI, FIRST_PPI, INTID_NONE } from '../../arch/intid.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import type { Memory } from '../config/memory.ts'
import type { Unpredictable } from '../config/unpredictable.ts'
import { LPI_ENABLE } from '../lpi/lpi-configuration.ts'
import { intidBitsOf } from '../lpi/lpi-records.ts'
import type { Lpis } from '../lpi/lpis.ts'
import type { Doorbells } from './doorbells.ts'
import { isListed } from './list-registers.ts'
import type { ResidentVpes } from './resident-vpe.ts'
import type { PendingTaker, VirtualPendingTable } from './virtual-pending-table.ts'
import { enabledSgis, withPriority, withSgi } from './virtual-sgis.ts'
import {
  entrySize,
  VPE_ALLOCATED,
  VPE_REQUESTED,
  VPE_REQUESTED_GROUP_0,
  VPE_REQUESTED_GROUP_1,
} from './vpe-entry.ts'
import {
  GICR_VPROPBASER,
  GICR_VSGIPENDR,
  NAMED_COUNT,
  NAMED_ID,
  NAMED_VPT,
  VPE_COUNT,
  VPE_ID,
  VPE_RESIDENCY,
  VPE_SGI_QUERY,
  VPE_VPT,
} from './vpe-offsets.ts'
import { NOT_RESIDENT } from './vpe-records.ts'
import { VpeTable } from './vpe-table.ts'

const VPT_LOW = ~0xffff
const VPROPBASER_LOW = ~0xfff
const ADDRESS_HIGH = 0xfffff
/** Groups as bits. */
const GROUP_0 = 1
const GROUP_1 = 2

/** What is taken out of a table is lost. */
const nobody: PendingTaker = { takePending: () => {} }

/**
 * How far a doorbell is. `requested`: it waits for an interrupt, on GICv4.1. `under-way`: it has rung, and its delivery
 * lags. `pending`: the LPI is pending. `idle`: none of these.
 */
export type VpeDoorbellState = 'idle' | 'requested' | 'under-way' | 'pending'

/** What is open in the architecture's text: the choices of these names. */
interface DoorbellChoices {
  readonly ofDisabled: boolean
  readonly ofPending: boolean
  readonly ofMoved: boolean
  readonly ofEnabled: boolean
  readonly ofMovedVpe: boolean
}

export class Vpes {
  readonly words: Int32Array
  /** GICv4.1, where a redistributor knows a vPE by its vPEID: GICR_TYPER.RVPEID. */
  readonly byVpeid: boolean
  readonly table: VpeTable
  private readonly pendingTable: VirtualPendingTable
  private readonly rings: DoorbellChoices
  private readonly common: number
  private readonly cpus: number
  private readonly lagging: boolean
  private readonly listRegisters: number
  /** Whether VPT_size is a number of bits less one: the choice `vptSize`. */
  private readonly sizeLessOne: boolean
  private readonly keepsSgis: boolean
  private readonly intidBits: number

  constructor(
    readonly resident: ResidentVpes,
    readonly lpis: Lpis,
    readonly memory: Memory,
    readonly doorbells: Doorbells,
    readonly unpredictable: Unpredictable,
    config: CheckedGicConfig,
  ) {
    const { choices } = config
    this.words = resident.words
    this.common = resident.layout.common
    this.byVpeid = config.version === '4.1'
    this.table = new VpeTable(resident.words, memory, this.common, config.vpeBits)
    this.pendingTable = resident.table
    this.cpus = config.cpus
    this.lagging = config.writeEffects === 'lagging'
    this.listRegisters = config.listRegisters
    this.sizeLessOne = !this.byVpeid || choices.vptSize === 'minus-one'
    this.keepsSgis = choices.vsgiAcrossUnmap === 'kept'
    this.intidBits = intidBitsOf(config.lpis)
    this.rings = {
      ofDisabled: choices.doorbellOfDisabled === 'rings',
      ofPending: choices.doorbellOfPending === 'rings',
      ofMoved: choices.doorbellOfMoved === 'rings',
      ofEnabled: choices.doorbellOfEnabled === 'rings',
      ofMovedVpe: choices.doorbellOfMovedVpe === 'moves',
    }
  }

  private bitsOf(size: number): number {
    return this.sizeLessOne ? size + 1 : size
  }

  /**
   * Whether a VPT_size asks for no more bits of vINTIDs than there are. On GICv4.1 one that does not in either reading of
   * it is taken (rule 94).
   */
  hasSize(size: number): boolean {
    return (this.byVpeid ? size : this.bitsOf(size)) <= this.intidBits
  }

  /** How many vLPIs there are with a VPT_size. */
  countOf(size: number): number {
    return Math.max(0, Math.min(this.resident.existing, 2 ** this.bitsOf(size) - FIRST_LPI))
  }

  /** GICv4.0: an ITS names a vPE by its virtual pending table, with its VPT_size. */
  nameByTable(low: number, high: number, size: number): void {
    const { words, common } = this
    words[common + NAMED_VPT] = low & VPT_LOW
    words[common + NAMED_VPT + 1] = high & ADDRESS_HIGH
    words[common + NAMED_COUNT] = this.countOf(size)
  }

  /** GICv4.1: an ITS names a vPE, whose entry it has found. */
  nameByEntry(vpe: number, low: number, high: number, offset: number): void {
    this.words[this.common + NAMED_ID] = vpe
    this.table.name(low, high, offset)
  }

  /**
   * GICv4.1: a redistributor names a vPE. Returns whether its table has an entry, in use or not. With `isTrusted` there is
   * a table whatever GICR_VPROPBASER.Valid says.
   */
  nameAt(cpu: number, vpe: number, isTrusted = false): boolean {
    this.words[this.common + NAMED_ID] = vpe
    return this.table.find(this.resident.recordOf(cpu), vpe, isTrusted)
  }

  /** Whether the named vPE is resident on a redistributor, or is about to be or to leave. */
  isAt(cpu: number): boolean {
    const { words, common } = this
    const record = this.resident.recordOf(cpu)
    if (words[record + VPE_RESIDENCY] === NOT_RESIDENT) return false
    if (this.byVpeid) return words[record + VPE_ID] === words[common + NAMED_ID]
    return (
      words[record + VPE_VPT] === words[common + NAMED_VPT] &&
      words[record + VPE_VPT + 1] === words[common + NAMED_VPT + 1]
    )
  }

  /** Another redistributor than a CPU's on which the named vPE is resident; -1 if it is on none. */
  otherThan(cpu: number): number {
    for (let other = 0; other < this.cpus; other++) if (other !== cpu && this.isAt(other)) return other
    return -1
  }

  /** The redistributor on which the named vPE is resident, that of a CPU before others; -1 if it is on none. */
  residentAt(cpu: number): number {
    return this.isAt(cpu) ? cpu : this.otherThan(cpu)
  }

  /** What is pending for the named vPE, which may be mapped to a CPU, is lost: the worst of what is UNPREDICTABLE. */
  lose(cpu: number): void {
    const at = this.residentAt(cpu)
    if (at >= 0) this.resident.lose(at)
    else if (this.locate()) {
      const { pendingTable, vptLow, vptHigh } = this
      pendingTable.take(vptLow, vptHigh, this.count, false, nobody, cpu)
      pendingTable.writeSgiPending(vptLow, vptHigh, 0)
    }
  }

  /**
   * A direct interrupt comes for the named vPE. Returns whether it is lost, since that is resident on a CPU's redistributor
   * and a list register of the CPU has its vINTID.
   */
  private isLostToList(cpu: number, intid: number, access: string): boolean {
    const { unpredictable, words, listRegisters } = this
    if (!this.isAt(cpu) || !isListed(words, this.resident.physical.peOf(cpu), listRegisters, intid))
      return false
    return unpredictable.use('list-register-direct', access, cpu)
  }

  /** A list register of a CPU has been given a vINTID that the resident vPE may have pending. */
  noticeListed(cpu: number, intid: number, access: string): void {
    const { resident, unpredictable } = this
    const isPending =
      intid < FIRST_LPI
        ? intid < FIRST_PPI && ((resident.pendingSgis(cpu) >>> intid) & 1) === 1
        : resident.has(cpu, intid - FIRST_LPI)
    if (isPending && unpredictable.use('list-register-direct', access, cpu)) resident.acknowledge(cpu, intid)
  }

  /**
   * Where the pending state of the named vPE is, which is not resident: its table, in the words NAMED_VPT and
   * NAMED_COUNT. Returns false for one that is not allocated.
   */
  private locate(): boolean {
    if (!this.byVpeid) return true
    const { words, common, table } = this
    if (!table.readFlags()) return false
    words[common + NAMED_VPT] = table.vptLow
    words[common + NAMED_VPT + 1] = table.vptHigh
    words[common + NAMED_COUNT] = this.countOf(entrySize(table.flags))
    return true
  }

  /** The address of its virtual pending table, as two words: after {@link vlpisAt}. */
  get vptLow(): number {
    return this.words[this.common + NAMED_VPT]
  }

  get vptHigh(): number {
    return this.words[this.common + NAMED_VPT + 1]
  }

  get count(): number {
    return this.words[this.common + NAMED_COUNT]
  }

  private hasRoom(vlpi: number): boolean {
    return vlpi >>> 0 < this.count
  }

  /** Whether the named vPE has a vLPI, by its VPT_size. */
  hasVlpi(cpu: number, vlpi: number): boolean {
    if (this.byVpeid && this.isAt(cpu)) return this.resident.hasRoom(cpu, vlpi)
    return this.locate() && this.hasRoom(vlpi)
  }

  /**
   * The same of the one that is resident. On GICv4.0 that knows only the size that GICR_VPROPBASER has, and an ITS that
   * of VMAPP.
   */
  private isTaken(cpu: number, vlpi: number): boolean {
    return this.resident.hasRoom(cpu, vlpi) && (this.byVpeid || this.hasRoom(vlpi))
  }

  /** How far a doorbell of the named vPE, which is mapped to a CPU, is. For people, after {@link vlpisAt}. */
  doorbellState(cpu: number, intid: number): VpeDoorbellState {
    if (this.lpis.isPending(cpu, intid - FIRST_LPI)) return 'pending'
    if (this.doorbells.isUnderWay(cpu, intid)) return 'under-way'
    return this.byVpeid && this.table.flags & VPE_REQUESTED ? 'requested' : 'idle'
  }

  /** How many vLPIs the named vPE has; 0 for one that is not allocated. For people. */
  vlpisAt(cpu: number): number {
    const isAllocated = this.locate()
    if (this.isAt(cpu)) return this.words[this.resident.recordOf(cpu) + VPE_COUNT]
    return isAllocated ? this.count : 0
  }

  /** Which of 32 vLPIs of the named vPE are pending, `word` counting from the first on. For people. */
  pendingWord(cpu: number, word: number): number {
    if (this.isAt(cpu)) return this.resident.pendingWord(cpu, word)
    return this.locate() ? this.pendingTable.readWord(this.vptLow, this.vptHigh, word) : 0
  }

  /** The configuration byte of a vLPI of the named vPE as it is in memory; -1 if the memory refuses. For people. */
  byteInMemory(cpu: number, vlpi: number): number {
    const byte = this.readByte(cpu, vlpi)
    return this.memory.takeRefusal() ? -1 : byte
  }

  /** The same as the redistributor of a CPU knows it: 0 if it was not read, or the vPE is not there. For people. */
  byteKnown(cpu: number, vlpi: number): number {
    return this.isAt(cpu) ? this.resident.byteKnown(cpu, vlpi) : 0
  }

  /**
   * A message or an INT: a vLPI of the named vPE, which goes to a CPU, becomes pending. `doorbell` is that of the message,
   * on GICv4.0. Returns false if the vPE is not allocated or has no such vLPI.
   */
  set(cpu: number, vlpi: number, doorbell: number): boolean {
    if (this.unpredictable.isWatched && this.isLostToList(cpu, FIRST_LPI + vlpi, 'vLPI')) return true
    if (this.isAt(cpu)) {
      if (!this.isTaken(cpu, vlpi)) return false
      this.resident.set(cpu, vlpi)
      return true
    }
    if (!this.locate() || !this.hasRoom(vlpi)) return false
    const isNew = this.pendingTable.set(this.vptLow, this.vptHigh, vlpi)
    if (isNew || this.rings.ofPending) this.ringFor(cpu, vlpi, doorbell)
    return true
  }

  /** A vLPI of the named vPE is no longer pending. Returns whether it was. */
  clear(cpu: number, vlpi: number): boolean {
    if (this.isAt(cpu)) return this.isTaken(cpu, vlpi) && this.resident.clear(cpu, vlpi)
    if (!this.locate() || !this.hasRoom(vlpi)) return false
    return this.pendingTable.clear(this.vptLow, this.vptHigh, vlpi)
  }

  /** VMOVI: a vLPI that was pending elsewhere becomes so for the named vPE. */
  moveHere(cpu: number, vlpi: number, doorbell: number): void {
    if (this.byVpeid || this.isAt(cpu)) this.set(cpu, vlpi, doorbell)
    else this.set(cpu, vlpi, this.rings.ofMoved ? doorbell : INTID_NONE)
  }

  /** Whether a vLPI of the named vPE is pending. For people. */
  isPending(cpu: number, vlpi: number): boolean {
    if (this.isAt(cpu)) return this.resident.has(cpu, vlpi)
    return this.locate() && this.hasRoom(vlpi) && this.pendingTable.has(this.vptLow, this.vptHigh, vlpi)
  }

  /** A vLPI of the named vPE, which is not resident, has become pending: does a doorbell ring? */
  private ringFor(cpu: number, vlpi: number, doorbell: number): void {
    if (!this.byVpeid) {
      if (doorbell !== INTID_NONE && (this.rings.ofDisabled || this.isEnabled(cpu, vlpi)))
        this.ring(cpu, doorbell)
    } else if (this.table.flags & VPE_REQUESTED_GROUP_1 && this.isEnabled(cpu, vlpi)) this.ringDefault(cpu)
  }

  /** Rings the default doorbell, once for each request. */
  private ringDefault(cpu: number): void {
    const { table } = this
    table.request(0)
    this.ring(cpu, table.doorbell)
  }

  private ring(cpu: number, doorbell: number): void {
    this.doorbells.ring(cpu, doorbell)
  }

  /** Whether the configuration in memory enables a vLPI of the named vPE. */
  private isEnabled(cpu: number, vlpi: number): boolean {
    return (this.readByte(cpu, vlpi) & LPI_ENABLE) !== 0
  }

  private readByte(cpu: number, vlpi: number): number {
    const { words, table, memory } = this
    const at = this.resident.recordOf(cpu) + GICR_VPROPBASER
    const low = this.byVpeid ? table.vconfLow : words[at] & VPROPBASER_LOW
    const high = this.byVpeid ? table.vconfHigh : words[at + 1] & ADDRESS_HIGH
    return (memory.read(low, high, vlpi & ~3) >>> ((vlpi & 3) << 3)) & 0xff
  }

  /** INV, GICR_INVLPIR. The configuration of a vPE that is not resident is not cached. */
  invalidate(cpu: number, vlpi: number): void {
    if (this.isAt(cpu)) this.resident.invalidate(cpu, vlpi)
    else if (this.rings.ofEnabled && this.byVpeid && this.isPending(cpu, vlpi))
      this.ringFor(cpu, vlpi, INTID_NONE)
  }

  /** VINVALL, GICR_INVALLR. What is pending is looked at again once, however many of these were in a command queue. */
  invalidateAll(cpu: number): void {
    if (this.isAt(cpu)) {
      this.resident.invalidateAll(cpu)
      this.lpis.settleLater()
    } else if (this.rings.ofEnabled && this.byVpeid && this.locate()) this.ringForAny(cpu)
  }

  /** Rings the default doorbell if it is requested and any vLPI that is pending is enabled. */
  private ringForAny(cpu: number): void {
    const { pendingTable, vptLow, vptHigh, count } = this
    if ((this.table.flags & VPE_REQUESTED_GROUP_1) === 0) return
    let vlpi = pendingTable.next(vptLow, vptHigh, 0, count)
    while (vlpi >= 0 && !this.isEnabled(cpu, vlpi)) vlpi = pendingTable.next(vptLow, vptHigh, vlpi + 1, count)
    if (vlpi >= 0) this.ringDefault(cpu)
  }

  /** VMAPP with Alloc = 1 on GICv4.1: the named vPE has these tables. `zero` is PTZ. */
  allocate(cpu: number, size: number, vptLow: number, vptHigh: number, zero: boolean): void {
    const { table, pendingTable, unpredictable } = this
    table.writeFlags(VPE_ALLOCATED | (size << 16) | cpu)
    const isWrong =
      zero &&
      unpredictable.isWatched &&
      pendingTable.isUsed(vptLow & VPT_LOW, vptHigh & ADDRESS_HIGH, this.countOf(size)) &&
      unpredictable.use('ptz-not-zero', 'VMAPP', cpu)
    if (zero && !isWrong) pendingTable.initialise(vptLow & VPT_LOW, vptHigh & ADDRESS_HIGH)
    else {
      pendingTable.summarise(vptLow & VPT_LOW, vptHigh & ADDRESS_HIGH, this.countOf(size))
      if (!this.keepsSgis) pendingTable.clearSgis(vptLow & VPT_LOW, vptHigh & ADDRESS_HIGH)
    }
  }

  /** VMAPP with V = 0 and Alloc = 1: what is pending is in its virtual pending table. */
  free(cpu: number): void {
    if (this.isAt(cpu)) {
      this.resident.unload(cpu)
      this.resident.present(cpu)
    }
    this.table.clear()
  }

  /** VMOVP on GICv4.1: the named vPE is mapped to another CPU. What is pending in memory needs no moving. */
  move(from: number, to: number, vpe: number, doorbell: number, hasDoorbell: boolean): void {
    const { table, doorbells } = this
    if (!table.readFlags()) return
    if (hasDoorbell || this.rings.ofMovedVpe) doorbells.move(from, to, table.doorbell)
    if (!table.moveTo(this.resident.recordOf(to), vpe)) return
    table.readFlags()
    table.writeFlags((table.flags & ~0xffff) | to)
    if (hasDoorbell) table.doorbell = doorbell
  }

  /** INVDB: the configuration of the named vPE's default doorbell is read again. */
  invalidateDoorbell(cpu: number): void {
    const { table } = this
    if (table.readFlags() && table.doorbell !== INTID_NONE)
      this.lpis.invalidate(cpu, table.doorbell - FIRST_LPI)
  }

  /** VSGI: the configuration of one of the named vPE's SGIs, or with `clear` its pending state. `priority` is bits 7:4. */
  configureSgi(
    cpu: number,
    sgi: number,
    enabled: boolean,
    group1: boolean,
    priority: number,
    clear: boolean,
  ): void {
    if (this.isAt(cpu)) {
      if (clear) this.resident.setSgi(cpu, sgi, false)
      else this.resident.configureSgi(cpu, sgi, enabled, group1, priority)
      return
    }
    if (!this.locate()) return
    const { pendingTable, vptLow, vptHigh } = this
    const pending = pendingTable.readSgiPending(vptLow, vptHigh)
    if (clear) {
      pendingTable.writeSgiPending(vptLow, vptHigh, pending & ~(1 << sgi))
      return
    }
    const half = sgi >> 3
    const priorities = pendingTable.readSgiPriorities(vptLow, vptHigh, half)
    pendingTable.writeSgiConfig(
      vptLow,
      vptHigh,
      withSgi(pendingTable.readSgiConfig(vptLow, vptHigh), sgi, enabled, group1),
    )
    pendingTable.writeSgiPriorities(vptLow, vptHigh, half, withPriority(priorities, sgi, priority))
    if (this.rings.ofEnabled && pending & (1 << sgi)) this.ringForSgi(cpu, sgi)
  }

  /** GITS_SGIR: one of the named vPE's SGIs becomes pending. */
  setSgi(cpu: number, sgi: number): void {
    if (this.unpredictable.isWatched && this.isLostToList(cpu, sgi, 'vSGI')) return
    if (this.isAt(cpu)) {
      this.resident.setSgi(cpu, sgi, true)
      return
    }
    if (!this.locate()) return
    const { pendingTable, vptLow, vptHigh } = this
    const pending = pendingTable.readSgiPending(vptLow, vptHigh)
    if (pending & (1 << sgi)) return
    pendingTable.writeSgiPending(vptLow, vptHigh, pending | (1 << sgi))
    this.ringForSgi(cpu, sgi)
  }

  private ringForSgi(cpu: number, sgi: number): void {
    const { flags } = this.table
    if ((flags & VPE_REQUESTED) === 0) return
    const groups =
      (flags & VPE_REQUESTED_GROUP_0 ? GROUP_0 : 0) | (flags & VPE_REQUESTED_GROUP_1 ? GROUP_1 : 0)
    const config = this.pendingTable.readSgiConfig(this.vptLow, this.vptHigh)
    if (enabledSgis(config, 1 << sgi, groups) !== 0) this.ringDefault(cpu)
  }

  /** GICR_VSGIR: asks which SGIs of a vPE are pending. The answer may lag: GICR_VSGIPENDR.Busy. */
  querySgis(cpu: number, vpe: number): void {
    const record = this.resident.recordOf(cpu)
    this.words[record + VPE_SGI_QUERY] = vpe
    this.words[record + GICR_VSGIPENDR] = GICR_VSGIPENDR_Busy
    if (!this.lagging) this.completeQuery(cpu)
  }

  isQueryPending(cpu: number): boolean {
    return (this.words[this.resident.recordOf(cpu) + GICR_VSGIPENDR] & GICR_VSGIPENDR_Busy) !== 0
  }

  /** A query of a vPE that the redistributor's table does not have finds nothing. */
  completeQuery(cpu: number): void {
    const { words } = this
    const record = this.resident.recordOf(cpu)
    const vpe = words[record + VPE_SGI_QUERY]
    words[record + VPE_SGI_QUERY] = 0
    words[record + GICR_VSGIPENDR] = this.nameAt(cpu, vpe) ? this.pendingSgis(cpu) : 0
  }

  /** Which SGIs of the named vPE are pending, as bits. */
  pendingSgis(cpu: number): number {
    if (this.isAt(cpu)) return this.resident.pendingSgis(cpu)
    return this.locate() ? this.pendingTable.readSgiPending(this.vptLow, this.vptHigh) : 0
  }
}
