/**
 * The physical LPIs of the redistributors (IHI 0069, "LPIs"). They are edges of group 1 and have no active state: an LPI
 * is pending or not, from the write of its message to its acknowledge. While GICR_CTLR.EnableLPIs is set a
 * redistributor keeps its pending state itself; the pending table in memory is read when the bit is set, unless
 * GICR_PENDBASER.PTZ says that it is zero, and written when the bit is cleared.
 *
 * Where the architecture leaves the outcome open:
 * - GICR_PROPBASER and GICR_PENDBASER keep what is written while EnableLPIs is set, but the tables that they named when
 *   it was set stay in force until it is cleared and set again.
 * - An LPI that is moved to a redistributor that takes none stays where it is.
 * - Redistributors with the same Aff3 share what they know of the configuration. Should their GICR_PROPBASERs differ, a
 *   byte is that of whose LPI was used first.
 * - Where memory refuses a configuration byte the LPI is disabled until software invalidates it; where it refuses a
 *   word of the pending table, what is behind that word is not pending, or is lost.
 */
import { GICR_CTLR_EnableLPIs } from '../../arch/gicr-registers.ts'
import { FIRST_LPI } from '../../arch/intid.ts'
import { lowestBit } from '../../state/bits.ts'
import { lpiGroups } from '../config/config.ts'
import type { HostEvents } from '../config/host-events.ts'
import type { Memory } from '../config/memory.ts'
import type { PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import type { Pe } from '../records/pe.ts'
import { GICR_CTLR, GICR_PENDBASER, GICR_PROPBASER } from '../records/pe-offsets.ts'
import { LpiConfiguration, rankLpi } from './lpi-configuration.ts'
import {
  existingLpis,
  LPI_COUNT,
  LPI_IN_FORCE,
  LPI_INVALIDATED,
  LPI_PENDBASER,
  LPI_PENDING,
  LPI_PROPBASER,
  LPI_PTZ,
  NO_RANK,
} from './lpi-records.ts'
import { PendingTree } from './pending-tree.ts'

/** Offsets and sizes of the records of LPIs. */
export interface LpiLayout {
  /** The redistributor of CPU 0, and the distance to the next. */
  readonly records: number
  readonly recordSize: number
  /** The caches of the configuration: the first, and the distance to the next. */
  readonly caches: number
  readonly cacheSize: number
  readonly common: number
}

/** PROPBASER's and PENDBASER's fields, of their words. */
const IDBITS = 0x1f
const PROPBASER_LOW = ~0xfff
const PENDBASER_LOW = ~0xffff
const ADDRESS_HIGH = 0xfffff
const PTZ_HIGH = 0x40000000
/** Bytes of a pending table that are for INTIDs below 8192: they are IMPLEMENTATION DEFINED, and not used here. */
const FIRST_LPI_BYTE = FIRST_LPI / 8

export class Lpis {
  readonly words: Int32Array
  /** How many exist: LPI n is INTID 8192 + n. */
  readonly existing: number
  /** One past the last INTID that an LPI can have, as GICD_TYPER says. */
  readonly intidEnd: number
  readonly configuration: LpiConfiguration
  private readonly tree: PendingTree
  /** By CPU: the cache of the configuration that it uses. */
  private readonly caches: Int32Array
  private readonly cpus: number
  /** Whether GICR_PENDBASER.PTZ means anything: the choice `pendingTableZero`. */
  private readonly honoursPtz: boolean
  private readonly lagging: boolean

  constructor(
    readonly physical: PhysicalInterrupts,
    readonly memory: Memory,
    readonly events: HostEvents,
    readonly layout: LpiLayout,
  ) {
    const { words, config } = physical
    this.words = words
    this.existing = existingLpis(config.lpis)
    this.intidEnd = FIRST_LPI + this.existing
    this.configuration = new LpiConfiguration(words, memory, config, this.existing)
    this.tree = new PendingTree(words, this.configuration, this.existing)
    const groups = lpiGroups(config)
    this.caches = Int32Array.from(groups, (group) => layout.caches + group * layout.cacheSize)
    this.cpus = config.cpus
    this.honoursPtz = config.choices.pendingTableZero === 'honoured'
    this.lagging = config.writeEffects === 'lagging'
  }

  /** The record of a redistributor. */
  recordOf(cpu: number): number {
    return this.layout.records + cpu * this.layout.recordSize
  }

  private peOf(cpu: number): number {
    return this.physical.peBase + cpu * this.physical.peSize
  }

  /** The rank of the highest priority LPI that is forwarded to a CPU: NO_RANK if there is none. */
  highest(cpu: number): number {
    const record = this.recordOf(cpu)
    return this.words[record + LPI_IN_FORCE] === 0 ? NO_RANK : this.tree.highest(record)
  }

  /** The highest priority LPI is acknowledged: it is no longer pending. Returns its INTID. */
  acknowledge(cpu: number): number {
    const lpi = rankLpi(this.highest(cpu))
    this.clear(cpu, lpi)
    return FIRST_LPI + lpi
  }

  /** Whether an LPI is pending at a redistributor. */
  isPending(cpu: number, lpi: number): boolean {
    return this.takes(cpu, lpi) && this.tree.has(this.recordOf(cpu), lpi)
  }

  /** The LPIs that are pending at a redistributor, in order. For people. */
  pendingAt(cpu: number): number[] {
    const record = this.recordOf(cpu)
    const found: number[] = []
    for (let lpi = this.tree.next(record, 0); lpi >= 0; lpi = this.tree.next(record, lpi + 1)) found.push(lpi)
    return found
  }

  /** Whether a redistributor takes an LPI: its LPIs are enabled and its tables are long enough. */
  takes(cpu: number, lpi: number): boolean {
    return lpi >>> 0 < this.words[this.recordOf(cpu) + LPI_COUNT]
  }

  /** An LPI becomes pending. Returns whether the redistributor takes it; one that it does not take is lost. */
  set(cpu: number, lpi: number): boolean {
    if (!this.takes(cpu, lpi)) return false
    const record = this.recordOf(cpu)
    const cache = this.caches[cpu]
    this.use(cpu, lpi)
    const isNew = !this.tree.has(record, lpi)
    if (isNew && this.tree.insert(record, lpi, this.configuration.rankOf(cache, lpi)))
      this.physical.lookAgain(cpu)
    return true
  }

  /** An LPI is no longer pending. */
  clear(cpu: number, lpi: number): void {
    if (!this.isPending(cpu, lpi)) return
    if (this.tree.remove(this.caches[cpu], this.recordOf(cpu), lpi)) this.physical.lookAgain(cpu)
  }

  /**
   * The configuration byte of an LPI is read if it was not yet, or again with the choice `lpiConfig: uncached`. If it
   * is another then, it is so for all who share the byte and have the LPI pending.
   */
  private use(cpu: number, lpi: number): void {
    const { words, configuration } = this
    const cache = this.caches[cpu]
    const before = configuration.byteOf(cache, lpi)
    const at = this.recordOf(cpu) + LPI_PROPBASER
    const low = words[at] & PROPBASER_LOW
    if (!configuration.use(cache, lpi, low, words[at + 1] & ADDRESS_HIGH)) {
      this.events.memoryRefused(this.memory)
    }
    if (before !== 0 && configuration.byteOf(cache, lpi) !== before) this.rankAgain(cache, lpi)
  }

  /** The rank of an LPI follows its configuration byte wherever it is pending. */
  private rankAgain(cache: number, lpi: number): void {
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      if (this.caches[cpu] !== cache || !this.isPending(cpu, lpi)) continue
      if (this.tree.update(cache, this.recordOf(cpu), lpi)) this.physical.lookAgain(cpu)
    }
  }

  /** The configuration byte of an LPI as it is in memory; -1 if the memory refuses. For people. */
  byteInMemory(cpu: number, lpi: number): number {
    const at = this.recordOf(cpu) + LPI_PROPBASER
    const low = this.words[at] & PROPBASER_LOW
    const byte = this.configuration.read(lpi, low, this.words[at + 1] & ADDRESS_HIGH)
    return this.memory.takeRefusal() ? -1 : byte
  }

  /** The configuration byte of an LPI as its redistributor knows it: 0 if it was not read. */
  byteKnown(cpu: number, lpi: number): number {
    return this.configuration.byteOf(this.caches[cpu], lpi)
  }

  /** INV, GICR_INVLPIR: what is known of an LPI's configuration is forgotten, and read again where it is pending. */
  invalidate(cpu: number, lpi: number): void {
    if (lpi >>> 0 >= this.existing) return
    const { configuration } = this
    const cache = this.caches[cpu]
    const before = configuration.byteOf(cache, lpi)
    configuration.drop(cache, lpi)
    for (let other = 0; other < this.cpus; other++) {
      if (this.caches[other] !== cache || !this.isPending(other, lpi)) continue
      this.use(other, lpi)
      if (configuration.byteOf(cache, lpi) === before) continue
      if (this.tree.update(cache, this.recordOf(other), lpi)) this.physical.lookAgain(other)
    }
  }

  /**
   * INVALL, GICR_INVALLR: what is known of the configuration of all LPIs is forgotten. What is pending is looked at
   * again when the access is complete, once however many of these were in a command queue.
   */
  invalidateAll(cpu: number): void {
    this.configuration.dropAll(this.caches[cpu])
    this.settleLater()
  }

  /** There is something that was invalidated, here or of a resident vPE. */
  settleLater(): void {
    this.words[this.layout.common + LPI_INVALIDATED] = 1
  }

  /**
   * When an access is complete: looks again at what is pending and was invalidated. Returns whether vPEs have to be
   * asked as well.
   */
  settle(): boolean {
    const { words, caches, cpus, layout } = this
    if (words[layout.common + LPI_INVALIDATED] === 0) return false
    words[layout.common + LPI_INVALIDATED] = 0
    for (let first = 0; first < cpus; first++) {
      if (!this.configuration.takeInvalidated(caches[first])) continue
      for (let cpu = first; cpu < cpus; cpu++) if (caches[cpu] === caches[first]) this.reload(cpu)
    }
    return true
  }

  /** What is pending at a redistributor is looked at again: 32 LPIs at a time, which are one node of the tree. */
  private reload(cpu: number): void {
    const { tree } = this
    const record = this.recordOf(cpu)
    const first = tree.next(record, 0)
    if (first < 0) return
    for (let lpi = first; lpi >= 0; lpi = tree.next(record, (lpi | 31) + 1)) {
      for (let left = tree.wordAt(record, lpi); left !== 0; left &= left - 1)
        this.use(cpu, (lpi & ~31) | lowestBit(left))
      tree.update(this.caches[cpu], record, lpi)
    }
    this.physical.lookAgain(cpu)
  }

  /** MOVI: an LPI that is pending at one redistributor becomes pending at another instead. */
  move(from: number, to: number, lpi: number): void {
    if (from === to || !this.isPending(from, lpi) || !this.takes(to, lpi)) return
    this.clear(from, lpi)
    this.set(to, lpi)
  }

  /**
   * MOVALL: all that are pending at one redistributor; what the target does not take stays. Where the target goes by
   * another configuration, what is pending there is looked at again when the access is complete, as by INVALL.
   */
  moveAll(from: number, to: number): void {
    const { tree, words, caches } = this
    const record = this.recordOf(from)
    if (from === to || tree.next(record, 0) < 0) return
    this.memory.count(tree.size)
    const target = this.recordOf(to)
    const count = words[target + LPI_COUNT]
    const areAllTaken = words[record + LPI_COUNT] <= count
    if (areAllTaken) tree.moveAll(record, target)
    else {
      let lpi = tree.next(record, 0)
      for (; lpi >= 0 && lpi < count; lpi = tree.next(record, lpi))
        tree.moveWord(caches[from], record, target, lpi)
    }
    if (!areAllTaken || caches[from] !== caches[to]) {
      this.configuration.invalidateRanks(caches[to])
      this.settleLater()
    }
    this.physical.lookAgain(from)
    this.physical.lookAgain(to)
  }

  /** GICR_CTLR.EnableLPIs is written. */
  writeEnable(cpu: number, enabled: boolean): void {
    if (enabled === this.isEnabled(cpu)) return
    // At most one effect is under way.
    this.complete(cpu)
    this.words[this.peOf(cpu) + GICR_CTLR] ^= GICR_CTLR_EnableLPIs
    if (enabled) this.latchTables(cpu)
    if (!this.lagging) this.complete(cpu)
  }

  /** Whether the effect of a write of EnableLPIs is under way. */
  isLagging(cpu: number): boolean {
    return this.isInForce(cpu) !== this.isEnabled(cpu)
  }

  /** Whether it is that of disabling LPIs: GICR_CTLR.RWP. */
  isDisabling(cpu: number): boolean {
    return this.isInForce(cpu) && !this.isEnabled(cpu)
  }

  /** Completes the effect of a write of EnableLPIs that is under way. */
  complete(cpu: number): void {
    if (!this.isLagging(cpu)) return
    const enabled = this.isEnabled(cpu)
    if (enabled) this.readPendingTable(cpu)
    else this.writePendingTable(cpu)
    this.words[this.recordOf(cpu) + LPI_IN_FORCE] = enabled ? 1 : 0
    this.physical.lookAgain(cpu)
  }

  /** Whether LPIs are forwarded. */
  isInForce(cpu: number): boolean {
    return this.words[this.recordOf(cpu) + LPI_IN_FORCE] !== 0
  }

  /** GICR_CTLR.EnableLPIs, whose effect may lag. */
  isEnabled(cpu: number): boolean {
    return (this.words[this.peOf(cpu) + GICR_CTLR] & GICR_CTLR_EnableLPIs) !== 0
  }

  /**
   * EnableLPIs is set: from now on these are the redistributor's tables, and it takes LPIs, which are pending at once
   * and forwarded when the effect is there. What was known of the configuration is that of another table.
   */
  private latchTables(cpu: number): void {
    const { words } = this
    const record = this.recordOf(cpu)
    const pe = this.peOf(cpu)
    for (let half = 0; half < 2; half++) {
      words[record + LPI_PROPBASER + half] = words[pe + GICR_PROPBASER + half]
      words[record + LPI_PENDBASER + half] = words[pe + GICR_PENDBASER + half]
    }
    words[record + LPI_COUNT] = this.countOf(pe)
    this.invalidateAll(cpu)
  }

  /** How many LPIs the tables of a PE are for. With fewer than 14 bits of INTIDs there are none. */
  private countOf(pe: number): number {
    const intids = 2 ** ((this.words[pe + GICR_PROPBASER] & IDBITS) + 1)
    return Math.max(0, Math.min(this.existing, intids - FIRST_LPI))
  }

  /** The pending table is read, unless it is known to be zero. */
  private readPendingTable(cpu: number): void {
    const { words } = this
    const record = this.recordOf(cpu)
    const isZero = this.honoursPtz && words[record + LPI_PTZ] !== 0
    words[record + LPI_PTZ] = 0
    if (isZero) return
    const count = words[record + LPI_COUNT]
    const low = words[record + LPI_PENDBASER] & PENDBASER_LOW
    const high = words[record + LPI_PENDBASER + 1] & ADDRESS_HIGH
    for (let first = 0; first < count; first += 32) {
      const bits = this.memory.read(low, high, FIRST_LPI_BYTE + (first >> 3))
      if (bits === 0) continue
      words[record + LPI_PENDING + (first >> 5)] |=
        count - first < 32 ? bits & ((1 << (count - first)) - 1) : bits
    }
    this.tree.rebuild(this.caches[cpu], record)
    if (this.memory.takeRefusal()) this.events.memoryRefused(this.memory)
    this.reload(cpu)
  }

  /** The pending state goes to the pending table, and the redistributor takes no more LPIs. */
  private writePendingTable(cpu: number): void {
    const { words } = this
    const record = this.recordOf(cpu)
    const count = words[record + LPI_COUNT]
    const low = words[record + LPI_PENDBASER] & PENDBASER_LOW
    const high = words[record + LPI_PENDBASER + 1] & ADDRESS_HIGH
    for (let first = 0; first < count; first += 32) {
      const at = record + LPI_PENDING + (first >> 5)
      this.memory.write(low, high, FIRST_LPI_BYTE + (first >> 3), words[at])
      words[at] = 0
    }
    words.fill(0, record + LPI_COUNT, record + LPI_PTZ)
    this.tree.rebuild(this.caches[cpu], record)
    if (this.memory.takeRefusal()) this.events.memoryRefused(this.memory)
  }

  /**
   * A half of GICR_PROPBASER is written. While LPIs are enabled that changes nothing but the register: the table in
   * force stays until they are disabled and enabled again.
   */
  writePropbaser(pe: number, half: number, value: number): void {
    this.words[pe + GICR_PROPBASER + half] = value
  }

  /** A half of GICR_PENDBASER is written. PTZ is about the table that is read next. */
  writePendbaser(pe: Pe, half: number, value: number): void {
    this.words[pe + GICR_PENDBASER + half] = value
    if (half === 1) this.words[this.recordOf(this.physical.cpuOf(pe)) + LPI_PTZ] = value & PTZ_HIGH ? 1 : 0
  }

  /** A half of GICR_PENDBASER as software reads it: PTZ is write only. */
  readPendbaser(pe: number, half: number): number {
    const value = this.words[pe + GICR_PENDBASER + half]
    return half === 1 && this.honoursPtz ? value & ~PTZ_HIGH : value
  }

  /** Recomputes everything derived. */
  derive(): void {
    for (const cache of new Set(this.caches)) this.configuration.derive(cache)
    for (let cpu = 0; cpu < this.cpus; cpu++) this.tree.rebuild(this.caches[cpu], this.recordOf(cpu))
    this.words[this.layout.common + LPI_INVALIDATED] = 0
  }
}
