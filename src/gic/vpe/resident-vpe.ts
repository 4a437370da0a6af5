/**
 * The vPE that is resident on a redistributor: its pending vLPIs and vSGIs, what is known of its configuration, and the
 * highest priority interrupt of each group, which is presented to the virtual CPU interface beside the list registers
 * (IHI 0069, "Direct injection of virtual interrupts"). While it becomes resident, and while it leaves, it takes
 * interrupts and nothing is presented.
 */
import { GICR_VPENDBASER_HIGH_VGrp0En, GICR_VPENDBASER_HIGH_VGrp1En } from '../../arch/gicr-registers.ts'
import { LR_Group, LR_PENDING, LR_PRIORITY_SHIFT } from '../../arch/ich-registers.ts'
import { FIRST_LPI } from '../../arch/intid.ts'
import { lowestBit } from '../../state/bits.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import type { HostEvents } from '../config/host-events.ts'
import type { Memory } from '../config/memory.ts'
import type { PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import { LpiConfiguration, rankLpi, rankPriority } from '../lpi/lpi-configuration.ts'
import { existingLpis, NO_RANK } from '../lpi/lpi-records.ts'
import { PendingTree } from '../lpi/pending-tree.ts'
import { VirtualPendingTable } from './virtual-pending-table.ts'
import {
  bestSgi,
  enabledSgis,
  NO_SGI,
  priorityOfRank,
  sgiOfRank,
  withPriority,
  withSgi,
} from './virtual-sgis.ts'
import {
  DIRECT,
  GICR_VPENDBASER,
  GICR_VSGIPENDR,
  RESIDENT,
  VPE_COUNT,
  VPE_PENDING,
  VPE_PRESENTED_0,
  VPE_PRESENTED_1,
  VPE_RESIDENCY,
  VPE_SGI_CONFIG,
  VPE_SGI_PENDING,
  VPE_SGI_PRIORITY,
  VPE_VCONF,
  VPE_VPT,
} from './vpe-records.ts'

/** Where the records of vPEs are. */
export interface VpeLayout {
  /** The record of CPU 0's redistributor, and the distance to the next. */
  readonly records: number
  readonly recordSize: number
  /** What is known of the configuration of the vPE that is resident: the first cache, and the distance to the next. */
  readonly caches: number
  readonly cacheSize: number
  readonly common: number
}

/** Groups as bits. */
const GROUP_0 = 1
const GROUP_1 = 2

export class ResidentVpes {
  readonly words: Int32Array
  readonly table: VirtualPendingTable
  /** How many vLPIs a vPE can have. */
  readonly existing: number
  private readonly cpus: number
  private readonly configuration: LpiConfiguration
  private readonly tree: PendingTree
  /** Bits of a vSGI's priority that the virtual CPU interface has. */
  private readonly priorityMask: number
  /** GICv4.1 has vSGIs. */
  private readonly hasSgis: boolean
  /** Whether a vSGI of a group that is not presented is lost: the choice `vsgiOfDisabledGroup`. */
  private readonly losesDisabled: boolean

  constructor(
    readonly physical: PhysicalInterrupts,
    readonly memory: Memory,
    readonly events: HostEvents,
    readonly layout: VpeLayout,
    config: CheckedGicConfig,
  ) {
    const { words } = physical
    this.words = words
    this.cpus = config.cpus
    this.existing = existingLpis(config.lpis)
    this.table = new VirtualPendingTable(memory, this.existing)
    this.configuration = new LpiConfiguration(words, memory, config, this.existing)
    this.tree = new PendingTree(words, this.configuration, this.existing, VPE_PENDING)
    this.priorityMask = (0xff << (8 - config.priorityBits)) & 0xff
    this.hasSgis = config.version === '4.1'
    this.losesDisabled = config.choices.vsgiOfDisabledGroup === 'lost'
  }

  /** The record of a redistributor. */
  recordOf(cpu: number): number {
    return this.layout.records + cpu * this.layout.recordSize
  }

  private cacheOf(cpu: number): number {
    return this.layout.caches + cpu * this.layout.cacheSize
  }

  /** Whether its tables have room for a vLPI. */
  hasRoom(cpu: number, vlpi: number): boolean {
    return vlpi >>> 0 < this.words[this.recordOf(cpu) + VPE_COUNT]
  }

  /** Whether a vLPI of it is pending. */
  has(cpu: number, vlpi: number): boolean {
    return this.hasRoom(cpu, vlpi) && this.tree.has(this.recordOf(cpu), vlpi)
  }

  /** Which of 32 vLPIs of it are pending. For people. */
  pendingWord(cpu: number, word: number): number {
    return this.tree.wordAt(this.recordOf(cpu), word << 5)
  }

  /** The configuration byte of a vLPI of it; 0 if it was not read. For people. */
  byteKnown(cpu: number, vlpi: number): number {
    return this.configuration.byteOf(this.cacheOf(cpu), vlpi)
  }

  /** A vLPI of it becomes pending: one that its tables have room for. */
  set(cpu: number, vlpi: number): void {
    const record = this.recordOf(cpu)
    if (this.tree.has(record, vlpi)) return
    this.use(cpu, vlpi)
    if (this.tree.insert(record, vlpi, this.configuration.rankOf(this.cacheOf(cpu), vlpi))) this.present(cpu)
  }

  /** A vLPI of it is no longer pending. Returns whether it was. */
  clear(cpu: number, vlpi: number): boolean {
    if (!this.has(cpu, vlpi)) return false
    if (this.tree.remove(this.cacheOf(cpu), this.recordOf(cpu), vlpi)) this.present(cpu)
    return true
  }

  /** The configuration byte of a vLPI is read, if need be. */
  private use(cpu: number, vlpi: number): void {
    const at = this.recordOf(cpu) + VPE_VCONF
    const { words, configuration } = this
    if (!configuration.use(this.cacheOf(cpu), vlpi, words[at], words[at + 1])) {
      this.events.memoryRefused(this.memory)
    }
  }

  /** INV, GICR_INVLPIR: what is known of a vLPI's configuration is forgotten, and read again if it is pending. */
  invalidate(cpu: number, vlpi: number): void {
    if (vlpi >>> 0 >= this.existing) return
    this.configuration.drop(this.cacheOf(cpu), vlpi)
    if (!this.has(cpu, vlpi)) return
    this.use(cpu, vlpi)
    if (this.tree.update(this.cacheOf(cpu), this.recordOf(cpu), vlpi)) this.present(cpu)
  }

  /** What is pending is looked at by whoever calls this. */
  private forgetConfiguration(cpu: number): void {
    this.configuration.dropAll(this.cacheOf(cpu))
    this.configuration.takeInvalidated(this.cacheOf(cpu))
  }

  /** VINVALL, GICR_INVALLR: so with all vLPIs. What is pending is looked at again when the access is complete. */
  invalidateAll(cpu: number): void {
    this.configuration.dropAll(this.cacheOf(cpu))
  }

  /** When an access is complete: looks again at what is pending and was invalidated. */
  settle(): void {
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      if (!this.configuration.takeInvalidated(this.cacheOf(cpu))) continue
      this.rankAll(cpu)
      this.present(cpu)
    }
  }

  /** Reads the configuration of all that is pending: of 32 vLPIs at a time, which are one node of the tree. */
  private rankAll(cpu: number): void {
    const { tree } = this
    const record = this.recordOf(cpu)
    for (let vlpi = tree.next(record, 0); vlpi >= 0; vlpi = tree.next(record, (vlpi | 31) + 1)) {
      for (let left = tree.wordAt(record, vlpi); left !== 0; left &= left - 1)
        this.use(cpu, (vlpi & ~31) | lowestBit(left))
      tree.update(this.cacheOf(cpu), record, vlpi)
    }
  }

  /** What is pending is taken out of its virtual pending table. `summary`: whether the table's own may be believed. */
  load(cpu: number, summary: boolean): void {
    const { words, table } = this
    const record = this.recordOf(cpu)
    const low = words[record + VPE_VPT]
    const high = words[record + VPE_VPT + 1]
    this.forgetConfiguration(cpu)
    table.take(low, high, words[record + VPE_COUNT], summary, this, cpu)
    if (!this.hasSgis) return
    words[record + VPE_SGI_CONFIG] = table.readSgiConfig(low, high)
    words[record + VPE_SGI_PRIORITY] = table.readSgiPriorities(low, high, 0)
    words[record + VPE_SGI_PRIORITY + 1] = table.readSgiPriorities(low, high, 1)
    words[record + VPE_SGI_PENDING] |= table.readSgiPending(low, high)
    if (this.losesDisabled) words[record + VPE_SGI_PENDING] &= this.sgisOfGroups(cpu)
  }

  /** For the table: these were pending. */
  takePending(cpu: number, first: number, bits: number): void {
    const record = this.recordOf(cpu)
    for (let left = bits; left !== 0; left &= left - 1) {
      const vlpi = first + lowestBit(left)
      if (vlpi >= this.words[record + VPE_COUNT] || this.tree.has(record, vlpi)) continue
      this.use(cpu, vlpi)
      this.tree.insert(record, vlpi, this.configuration.rankOf(this.cacheOf(cpu), vlpi))
    }
  }

  /** What vLPIs are pending is in the table as well. */
  copyToTable(cpu: number): void {
    const { words, table, tree } = this
    const record = this.recordOf(cpu)
    for (let vlpi = tree.next(record, 0); vlpi >= 0; vlpi = tree.next(record, (vlpi | 31) + 1)) {
      table.put(words[record + VPE_VPT], words[record + VPE_VPT + 1], vlpi >> 5, tree.wordAt(record, vlpi))
    }
  }

  /** What is pending goes back to the table, and no vPE is resident. */
  unload(cpu: number): void {
    const { words, table, tree } = this
    const record = this.recordOf(cpu)
    const low = words[record + VPE_VPT]
    const high = words[record + VPE_VPT + 1]
    for (let vlpi = tree.next(record, 0); vlpi >= 0; vlpi = tree.next(record, vlpi)) {
      table.put(low, high, vlpi >> 5, tree.wordAt(record, vlpi))
      tree.removeWord(record, vlpi)
    }
    if (this.hasSgis) {
      table.writeSgiConfig(low, high, words[record + VPE_SGI_CONFIG])
      table.writeSgiPriorities(low, high, 0, words[record + VPE_SGI_PRIORITY])
      table.writeSgiPriorities(low, high, 1, words[record + VPE_SGI_PRIORITY + 1])
      table.writeSgiPending(low, high, words[record + VPE_SGI_PENDING])
    }
    words.fill(0, record + VPE_RESIDENCY, record + GICR_VSGIPENDR)
    this.forgetConfiguration(cpu)
  }

  /** All that is pending is lost: the worst outcome of what is UNPREDICTABLE. */
  lose(cpu: number): void {
    const { tree, words } = this
    const record = this.recordOf(cpu)
    for (let vlpi = tree.next(record, 0); vlpi >= 0; vlpi = tree.next(record, vlpi)) {
      tree.removeWord(record, vlpi)
    }
    words[record + VPE_SGI_PENDING] = 0
    this.present(cpu)
  }

  /** Whether anything is pending, enabled and in one of `groups`. */
  hasEnabled(cpu: number, groups: number): boolean {
    const { words } = this
    const record = this.recordOf(cpu)
    if (groups & GROUP_1 && this.tree.highest(record) !== NO_RANK) return true
    return enabledSgis(words[record + VPE_SGI_CONFIG], words[record + VPE_SGI_PENDING], groups) !== 0
  }

  /** Whether anything is pending, enabled or not. */
  hasPending(cpu: number): boolean {
    const record = this.recordOf(cpu)
    return this.words[record + VPE_SGI_PENDING] !== 0 || this.tree.next(record, 0) >= 0
  }

  /** The groups that are presented, as bits: on GICv4.1 VGrp0En and VGrp1En. They stand for the guest's GICD_CTLR. */
  groupsOf(cpu: number): number {
    if (!this.hasSgis) return GROUP_1
    const high = this.words[this.recordOf(cpu) + GICR_VPENDBASER + 1]
    return (
      (high & GICR_VPENDBASER_HIGH_VGrp0En ? GROUP_0 : 0) |
      (high & GICR_VPENDBASER_HIGH_VGrp1En ? GROUP_1 : 0)
    )
  }

  /** The vSGIs in groups that are presented. */
  private sgisOfGroups(cpu: number): number {
    const inGroup1 = this.words[this.recordOf(cpu) + VPE_SGI_CONFIG] >>> 16
    const groups = this.groupsOf(cpu)
    return (groups & GROUP_1 ? inGroup1 : 0) | (groups & GROUP_0 ? ~inGroup1 : 0)
  }

  pendingSgis(cpu: number): number {
    return this.words[this.recordOf(cpu) + VPE_SGI_PENDING]
  }

  /** Makes a vSGI of it pending, or no longer so. */
  setSgi(cpu: number, sgi: number, pending: boolean): void {
    const at = this.recordOf(cpu) + VPE_SGI_PENDING
    const bit = 1 << sgi
    if (((this.words[at] & bit) !== 0) === pending) return
    if (pending && this.losesDisabled && (this.sgisOfGroups(cpu) & bit) === 0) return
    this.words[at] ^= bit
    this.present(cpu)
  }

  /** VSGI with Clear = 0. `priority` is bits 7:4. */
  configureSgi(cpu: number, sgi: number, enabled: boolean, group1: boolean, priority: number): void {
    const { words } = this
    const record = this.recordOf(cpu)
    words[record + VPE_SGI_CONFIG] = withSgi(words[record + VPE_SGI_CONFIG], sgi, enabled, group1)
    const at = record + VPE_SGI_PRIORITY + (sgi >> 3)
    words[at] = withPriority(words[at], sgi, priority)
    this.present(cpu)
  }

  /** A presented interrupt is acknowledged: it is no longer pending, and it has no active state. */
  acknowledge(cpu: number, intid: number): void {
    if (intid >= FIRST_LPI) this.clear(cpu, intid - FIRST_LPI)
    else this.setSgi(cpu, intid, false)
  }

  /** What is presented to the virtual CPU interface follows from what is pending; the CPU's outputs are looked at. */
  present(cpu: number): void {
    const { words, physical } = this
    const record = this.recordOf(cpu)
    const groups = words[record + VPE_RESIDENCY] === RESIDENT ? this.groupsOf(cpu) : 0
    const sgi0 = this.bestSgi(record, groups & GROUP_0)
    const sgi1 = this.bestSgi(record, groups & GROUP_1)
    const vlpi = groups & GROUP_1 ? this.tree.highest(record) : NO_RANK
    this.presentSgi(record + VPE_PRESENTED_0, sgi0, 0)
    if (vlpi !== NO_RANK && rankPriority(vlpi) < priorityOfRank(sgi1)) {
      this.presentAs(record + VPE_PRESENTED_1, FIRST_LPI + rankLpi(vlpi), rankPriority(vlpi), LR_Group)
    } else this.presentSgi(record + VPE_PRESENTED_1, sgi1, LR_Group)
    physical.lookAgain(cpu)
  }

  private bestSgi(record: number, groups: number): number {
    const { words } = this
    const sgis = enabledSgis(words[record + VPE_SGI_CONFIG], words[record + VPE_SGI_PENDING], groups)
    if (sgis === 0) return NO_SGI
    return bestSgi(
      sgis,
      words[record + VPE_SGI_PRIORITY],
      words[record + VPE_SGI_PRIORITY + 1],
      this.priorityMask,
    )
  }

  private presentSgi(at: number, rank: number, group: number): void {
    if (rank !== NO_SGI) this.presentAs(at, sgiOfRank(rank), priorityOfRank(rank), group)
    else {
      this.words[at] = 0
      this.words[at + 1] = 0
    }
  }

  private presentAs(at: number, intid: number, priority: number, group: number): void {
    this.words[at] = intid | DIRECT
    this.words[at + 1] = LR_PENDING | group | (priority << LR_PRIORITY_SHIFT)
  }

  /** Recomputes what is derived. */
  derive(cpu: number): void {
    this.configuration.derive(this.cacheOf(cpu))
    this.tree.rebuild(this.cacheOf(cpu), this.recordOf(cpu))
    this.present(cpu)
  }
}
