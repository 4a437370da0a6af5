/**
 * The state of physical interrupts: a redistributor keeps that of its PE's SGIs and PPIs, the distributor that of the
 * SPIs (IHI 0069, "Distribution and Routing of Interrupts"). All changes to it are made here, because two things are
 * derived from it: which interrupts of a block are candidates for being forwarded, and for which PEs the highest
 * priority pending interrupt must be searched again (highest-pending.ts).
 *
 * `owner` is the record of a PE for its SGIs and PPIs, and {@link DISTRIBUTOR} for SPIs.
 */
import { GICD_CTLR_nASSGIreq } from '../../arch/gicd-registers.ts'
import { FIRST_PPI, FIRST_SPI, type Intid } from '../../arch/intid.ts'
import { lowestBit } from '../../state/bits.ts'
import type { RecordType } from '../../state/layout.ts'
import type { Affinities } from '../config/affinities.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import {
  ACTIVE,
  blocksOf,
  CANDIDATES,
  CHANGED,
  DISABLING,
  EDGE,
  ENABLE,
  GICD_CTLR,
  GICD_DISABLING_GROUPS,
  GROUP,
  LATCH,
  LINE,
  PRIORITY,
  ROUTE,
  SPI_BLOCK,
  SPI_BLOCK_WORDS,
  SPI_CANDIDATES,
  STALE,
} from '../records/interrupts.ts'
import { asPe, GICR_BLOCK, type Pe } from '../records/pe.ts'
import { candidatesOf, pendingOf } from './interrupt-block.ts'

/** The owner of SPIs. */
export const DISTRIBUTOR = 0
/** The owner of interrupts: a PE's record for its SGIs and PPIs, or {@link DISTRIBUTOR} for SPIs. */
export type Owner = Pe | typeof DISTRIBUTOR

export { GICD_CTLR, GICD_DISABLING_GROUPS } from '../records/interrupts-offsets.ts'
export { GICR_BLOCK } from '../records/pe-offsets.ts'

/** The bits of SGIs, which are always edge-triggered. */
const SGIS = 0xffff

/** GICD_CTLR.EnableGrp0 and EnableGrp1, as bits of groups. */
export const GROUPS = 3

/** Offsets and sizes of the records of interrupts. */
export interface PhysicalLayout {
  readonly distributor: number
  readonly spiBlocks: number
  readonly peBase: number
  readonly peSize: number
  /** The pending summary of CPU 0, and the distance to the next CPU's. */
  readonly summaries: number
  readonly summarySize: number
}

export class PhysicalInterrupts {
  /** One past the last SPI that exists. */
  readonly end: number
  readonly distributor: number
  /** The first SPI block, and how many there are. */
  readonly spiBlocks: number
  readonly spiBlockCount: number
  readonly peBase: number
  readonly peSize: number
  private readonly perRecord: number
  private readonly summaries: number
  private readonly summarySize: number
  /** All blocks of a summary, as bits of STALE. */
  private readonly allBlocks: number
  private readonly cpus: number
  /** The implemented bits of a priority byte, in each of four bytes: the choice `distributorPriority`. */
  readonly priorityBytes: number
  private readonly lagging: boolean

  constructor(
    readonly words: Int32Array,
    readonly config: CheckedGicConfig,
    readonly affinities: Affinities,
    layout: PhysicalLayout,
  ) {
    this.end = FIRST_SPI + config.spis
    this.distributor = layout.distributor
    this.spiBlocks = layout.spiBlocks
    this.spiBlockCount = (config.spis + 31) >> 5
    this.peBase = layout.peBase
    this.peSize = layout.peSize
    this.perRecord = 1 / layout.peSize
    this.summaries = layout.summaries
    this.summarySize = layout.summarySize
    this.allBlocks = -1 >>> (32 - blocksOf(config.spis))
    this.cpus = config.cpus
    const eightBits = config.choices.distributorPriority === 'eight-bits'
    const priorityMask = eightBits ? 0xff : (0xff << (8 - config.priorityBits)) & 0xff
    this.priorityBytes = Math.imul(priorityMask, 0x01010101)
    this.lagging = config.writeEffects === 'lagging'
  }

  /** Resets a PE's SGIs and PPIs. */
  reset(pe: Pe): void {
    this.words[pe + GICR_BLOCK + EDGE] = SGIS
  }

  /** The block of an interrupt of an owner; 0 if it does not exist. */
  blockOf(owner: Owner, intid: Intid): number {
    if (owner !== DISTRIBUTOR) return owner + GICR_BLOCK
    if (intid < FIRST_SPI || intid >= this.end) return 0
    return this.spiBlocks + ((intid >> 5) - 1) * SPI_BLOCK_WORDS
  }

  /** The block of an INTID at a PE; 0 if it is no SGI, PPI or SPI that exists. */
  blockFor(pe: Pe, intid: Intid): number {
    return intid < FIRST_SPI ? pe + GICR_BLOCK : this.blockOf(DISTRIBUTOR, intid)
  }

  /** The implemented bits of the block that interrupt `first` is in. */
  private implemented(owner: Owner, first: number): number {
    const count = this.end - (first & ~31)
    return owner !== DISTRIBUTOR || count >= 32 ? -1 : (1 << count) - 1
  }

  /** A bitmap of the interrupts `first` to `first` + 31; `at` is its word in a block. */
  readBits(owner: Owner, first: number, at: number): number {
    const block = this.blockOf(owner, first)
    return block === 0 ? 0 : this.words[block + at]
  }

  /** `ISPENDR<n>`: the pending interrupts. */
  readPending(owner: Owner, first: number): number {
    const block = this.blockOf(owner, first)
    return block === 0 ? 0 : pendingOf(this.words, block)
  }

  /** Sets interrupts in a bitmap. */
  setBits(owner: Owner, first: number, at: number, bits: number): void {
    const block = this.blockOf(owner, first)
    if (block === 0) return
    this.words[block + at] |= bits & this.implemented(owner, first)
    this.update(owner, block)
  }

  /** `ISACTIVER<n>`. */
  setActiveBits(owner: Owner, first: number, bits: number): void {
    const isOfSgis = owner !== DISTRIBUTOR && this.sgisAreInactive
    this.setBits(owner, first, ACTIVE, isOfSgis ? bits & ~SGIS : bits)
  }

  /** Clears interrupts in a bitmap. */
  clearBits(owner: Owner, first: number, at: number, bits: number): void {
    const block = this.blockOf(owner, first)
    if (block === 0) return
    this.words[block + at] &= ~bits
    this.update(owner, block)
  }

  /** `ISENABLER<n>`. An interrupt that is enabled again before its disabling was complete stays enabled. */
  enable(owner: Owner, first: number, bits: number): void {
    const block = this.blockOf(owner, first)
    if (block !== 0) this.words[block + DISABLING] &= ~bits
    this.setBits(owner, first, ENABLE, bits)
  }

  /** `ICENABLER<n>`. Returns whether the effect lags: the interrupts are forwarded until {@link endDisabling}. */
  disable(owner: Owner, first: number, bits: number): boolean {
    const block = this.blockOf(owner, first)
    const cleared = block === 0 ? 0 : this.words[block + ENABLE] & bits
    if (cleared === 0) return false
    if (this.lagging) this.words[block + DISABLING] |= cleared
    this.clearBits(owner, first, ENABLE, bits)
    return this.lagging
  }

  /** Completes the disabling of interrupts in the blocks of an owner. */
  endDisabling(owner: Owner): void {
    const first = owner === DISTRIBUTOR ? this.spiBlocks : owner + GICR_BLOCK
    const count = owner === DISTRIBUTOR ? this.spiBlockCount : 1
    for (let n = 0, block = first; n < count; n++, block += SPI_BLOCK_WORDS) {
      this.words[block + DISABLING] = 0
      this.update(owner, block)
    }
  }

  /** `IGROUPR<n>`. */
  writeGroups(owner: Owner, first: number, bits: number): void {
    const block = this.blockOf(owner, first)
    if (block === 0) return
    const { words } = this
    const before = words[block + GROUP]
    words[block + GROUP] = bits & this.implemented(owner, first)
    this.notice(owner, block, (before ^ words[block + GROUP]) & words[block + CANDIDATES])
    this.update(owner, block)
  }

  /** `ICFGR<n>`: two bits an interrupt, of which the upper one means edge-triggered; 16 interrupts a register. */
  readConfiguration(owner: Owner, first: number): number {
    const edges = this.readBits(owner, first, EDGE) >>> (first & 16)
    let value = 0
    for (let left = edges & 0xffff; left !== 0; left &= left - 1) value |= 2 << (2 * lowestBit(left))
    return value
  }

  /** `ICFGR<n>`; the bits of SGIs are read-only. */
  writeConfiguration(owner: Owner, first: number, value: number): void {
    const block = this.blockOf(owner, first)
    if (block === 0 || (owner !== DISTRIBUTOR && first < 16)) return
    let edges = 0
    for (let n = 0; n < 16; n++) edges |= ((value >>> (2 * n + 1)) & 1) << n
    const shift = first & 16
    const { words } = this
    words[block + EDGE] =
      (words[block + EDGE] & ~(0xffff << shift)) | ((edges << shift) & this.implemented(owner, first))
    this.update(owner, block)
  }

  /** `IPRIORITYR<n>`: `count` bytes, 1 or 4, from interrupt `first` on. */
  readPriorities(owner: Owner, first: number, count: number): number {
    const word = this.readBits(owner, first, PRIORITY + ((first & 31) >> 2))
    return count === 4 ? word : (word >>> ((first & 3) << 3)) & 0xff
  }

  writePriorities(owner: Owner, first: number, count: number, value: number): void {
    const block = this.blockOf(owner, first)
    if (block === 0) return
    const { words } = this
    const at = block + PRIORITY + ((first & 31) >> 2)
    const shift = (first & 3) << 3
    // Bytes after the last SPI are RAZ/WI.
    const exist = this.implemented(owner, first) >>> (first & 28)
    const bytes =
      ((exist & 1 ? 0xff : 0) |
        (exist & 2 ? 0xff00 : 0) |
        (exist & 4 ? 0xff0000 : 0) |
        (exist & 8 ? 0xff000000 : 0)) &
      (count === 4 ? -1 : 0xff << shift)
    words[at] = (words[at] & ~bytes) | ((value << shift) & bytes & this.priorityBytes)
    this.notice(owner, block, words[block + CANDIDATES] & (0xf << (first & 28)))
  }

  /** The route of an SPI, Aff3.Aff2.Aff1.Aff0; 0 for one that does not exist. */
  readRoute(intid: Intid): number {
    const block = this.blockOf(DISTRIBUTOR, intid)
    return block === 0 ? 0 : this.words[block + ROUTE + (intid & 31)]
  }

  /** Sets the route of an SPI, and has the PEs of the old and the new route search again. */
  writeRoute(intid: Intid, affinity: number): void {
    const block = this.blockOf(DISTRIBUTOR, intid)
    if (block === 0) return
    const { words } = this
    const candidate = words[block + CANDIDATES] & (1 << (intid & 31))
    this.notice(DISTRIBUTOR, block, candidate)
    words[block + ROUTE + (intid & 31)] = affinity
    this.notice(DISTRIBUTOR, block, candidate)
  }

  /** Sets an input line. A rising edge latches an edge-triggered interrupt. */
  setLine(owner: Owner, intid: Intid, level: boolean): void {
    const block = this.blockOf(owner, intid)
    if (block === 0) return
    const { words } = this
    const bit = 1 << (intid & 31)
    if (((words[block + LINE] & bit) !== 0) === level) return
    words[block + LINE] ^= bit
    if (level) words[block + LATCH] |= words[block + EDGE] & bit
    this.update(owner, block)
  }

  /** Whether the input of an interrupt is high. */
  isLineHigh(owner: Owner, intid: Intid): boolean {
    const block = this.blockOf(owner, intid)
    return block !== 0 && (this.words[block + LINE] & (1 << (intid & 31))) !== 0
  }

  /** Makes an interrupt of a PE active, and clears its latch. */
  activate(pe: Pe, intid: Intid): void {
    const block = this.blockFor(pe, intid)
    if (block === 0) return
    const bit = 1 << (intid & 31)
    if (this.canBeActive(intid)) this.words[block + ACTIVE] |= bit
    this.words[block + LATCH] &= ~bit
    this.update(intid < FIRST_SPI ? pe : DISTRIBUTOR, block)
  }

  /** GICD_CTLR.nASSGIreq: SGIs have no active state. */
  private get sgisAreInactive(): boolean {
    return (this.words[this.distributor + GICD_CTLR] & GICD_CTLR_nASSGIreq) !== 0
  }

  private canBeActive(intid: Intid): boolean {
    return intid >= FIRST_PPI || !this.sgisAreInactive
  }

  /** GICD_CTLR.nASSGIreq was set: SGIs that are active are so no more. {@link updateAll} is to follow. */
  deactivateSgis(): void {
    for (let cpu = 0; cpu < this.cpus; cpu++) this.words[this.peOf(cpu) + GICR_BLOCK + ACTIVE] &= ~SGIS
  }

  /** Deactivates interrupt `intid` of a PE; one that does not exist is ignored. */
  deactivate(pe: Pe, intid: Intid): void {
    this.setActive(pe, intid, false)
  }

  /** Sets or clears the active state of an interrupt of a PE. */
  setActive(pe: Pe, intid: Intid, active: boolean): void {
    const block = this.blockFor(pe, intid)
    if (block === 0) return
    const bit = 1 << (intid & 31)
    if (active && this.canBeActive(intid)) this.words[block + ACTIVE] |= bit
    else this.words[block + ACTIVE] &= ~bit
    this.update(intid < FIRST_SPI ? pe : DISTRIBUTOR, block)
  }

  /** Whether interrupt `intid` of a PE is active. */
  isActive(pe: Pe, intid: Intid): boolean {
    const block = this.blockFor(pe, intid)
    return block !== 0 && ((this.words[block + ACTIVE] >>> (intid & 31)) & 1) === 1
  }

  /** The groups that are forwarded: those enabled, and those whose disabling is not complete. */
  groupsInForce(): number {
    const { words, distributor } = this
    return (words[distributor + GICD_CTLR] | words[distributor + GICD_DISABLING_GROUPS]) & GROUPS
  }

  /** Updates every block and every PE, after the groups that are forwarded have changed. */
  updateAll(): void {
    if (this.config.lpis > 0) for (let cpu = 0; cpu < this.cpus; cpu++) this.lookAgain(cpu)
    for (let n = 0; n < this.spiBlockCount; n++)
      this.update(DISTRIBUTOR, this.spiBlocks + n * SPI_BLOCK_WORDS)
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const pe = this.peOf(cpu)
      this.update(pe, pe + GICR_BLOCK)
    }
  }

  /** The SPI blocks that have candidates, bit n block n. */
  spiCandidates(): number {
    return this.words[this.distributor + SPI_CANDIDATES]
  }

  /** The record of a CPU. */
  peOf(cpu: number): Pe {
    return asPe(this.peBase + cpu * this.peSize)
  }

  /** The CPU of a PE's record: a division, but a multiplication is faster. */
  cpuOf(pe: Pe): number {
    return ((pe - this.peBase) * this.perRecord + 0.5) | 0
  }

  /** The pending summary of a CPU. */
  summaryOf(cpu: number): number {
    return this.summaries + cpu * this.summarySize
  }

  /** Marks a PE to search for its highest priority pending interrupt again, in all blocks. */
  noticePe(pe: Pe): void {
    this.noticeCpu(this.cpuOf(pe), this.allBlocks)
  }

  /** Marks a CPU to search again in no block: its LPIs have changed. */
  lookAgain(cpu: number): void {
    this.noticeCpu(cpu, 0)
  }

  /** Marks a CPU to search again in `blocks`, bits of STALE. */
  private noticeCpu(cpu: number, blocks: number): void {
    this.words[this.summaryOf(cpu) + STALE] |= blocks
    this.words[this.distributor + CHANGED + (cpu >> 5)] |= 1 << (cpu & 31)
  }

  /** Removes a CPU from those that are to search again, and returns it; -1 if there is none. */
  nextChanged(): number {
    const { words, distributor, cpus } = this
    for (let first = 0, at = distributor + CHANGED; first < cpus; first += 32, at++) {
      if (words[at] === 0) continue
      const n = lowestBit(words[at])
      words[at] &= ~(1 << n)
      return first + n
    }
    return -1
  }

  /** Recomputes everything that is derived, after an image was loaded. */
  derive(): void {
    const { words, distributor, cpus, spiBlocks, spiBlockCount } = this
    words[distributor + SPI_CANDIDATES] = 0
    for (let n = 0; n < spiBlockCount; n++) words[spiBlocks + n * SPI_BLOCK_WORDS + CANDIDATES] = 0
    for (let cpu = 0; cpu < cpus; cpu++) {
      words[this.peOf(cpu) + GICR_BLOCK + CANDIDATES] = 0
    }
    this.updateAll()
    for (let cpu = 0; cpu < cpus; cpu++) this.noticeCpu(cpu, this.allBlocks)
  }

  /**
   * Recomputes the candidates of a block, and marks the PEs that gain or lose one.
   * @noinline
   */
  private update(owner: Owner, block: number): void {
    const { words } = this
    const before = words[block + CANDIDATES]
    const after = candidatesOf(words, block, this.groupsInForce())
    if (before === after) return
    words[block + CANDIDATES] = after
    if (owner === DISTRIBUTOR) {
      const bit = 1 << ((block - this.spiBlocks) / SPI_BLOCK_WORDS)
      if (after === 0) words[this.distributor + SPI_CANDIDATES] &= ~bit
      else words[this.distributor + SPI_CANDIDATES] |= bit
    }
    this.notice(owner, block, before ^ after)
  }

  /** Marks the PEs that these interrupts of a block are routed to. */
  private notice(owner: Owner, block: number, bits: number): void {
    if (bits === 0) return
    if (owner !== DISTRIBUTOR) {
      this.noticeCpu(this.cpuOf(owner), 1)
      return
    }
    const stale = 2 << ((block - this.spiBlocks) / SPI_BLOCK_WORDS)
    for (let left = bits; left !== 0; left &= left - 1) {
      const cpu = this.affinities.cpuOf(this.words[block + ROUTE + lowestBit(left)])
      if (cpu >= 0) this.noticeCpu(cpu, stale)
    }
  }
}

/** The records of the interrupts that the distributor keeps. */
export const spiBlockRecords = (spis: number): readonly [RecordType, number] => [SPI_BLOCK, (spis + 31) >> 5]
