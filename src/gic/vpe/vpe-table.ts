/**
 * GICv4.1's vPE configuration table as redistributors have it, by GICR_VPROPBASER, and the entry of the vPE that an
 * access is about: the words NAMED_ENTRY and NAMED_OFFSET say where that is. An ITS that shares the table finds the same
 * entries by its GITS_BASER2.
 */
import {
  GICR_VPROPBASER_HIGH_Indirect,
  GICR_VPROPBASER_HIGH_Page_Size,
  GICR_VPROPBASER_HIGH_Valid,
  GICR_VPROPBASER_Size,
} from '../../arch/gicr-registers.ts'
import type { Memory } from '../config/memory.ts'
import { NO_ENTRY, TableLookup } from './table-lookup.ts'
import {
  ENTRY_DOORBELL,
  ENTRY_FLAGS,
  ENTRY_VCONF,
  ENTRY_VPT,
  VPE_ALLOCATED,
  VPE_ENTRY_SHIFT,
  VPE_REQUEST,
} from './vpe-entry.ts'
import { GICR_VPROPBASER, NAMED_ENTRY, NAMED_FLAGS, NAMED_OFFSET } from './vpe-offsets.ts'

const TABLE_LOW = ~0xfff
const ADDRESS_HIGH = 0xfffff
/** Words of an entry but for that of ITSs. */
const ENTRY_WORDS = 6

/** A Page_Size as a number of address bits; 0b11 is reserved and taken as 64 KiB. */
const vpePageShift = (high: number): number => Math.min(12 + 2 * GICR_VPROPBASER_HIGH_Page_Size(high), 16)

export class VpeTable {
  private readonly lookup: TableLookup

  constructor(
    readonly words: Int32Array,
    readonly memory: Memory,
    /** The record VPE_COMMON. */
    readonly common: number,
    /** Bits of a vPEID. */
    readonly bits: number,
  ) {
    this.lookup = new TableLookup(words, memory, common + NAMED_ENTRY)
  }

  /** Whether a redistributor, by its record, has a table. */
  isThere(record: number): boolean {
    return (this.words[record + GICR_VPROPBASER + 1] & GICR_VPROPBASER_HIGH_Valid) !== 0
  }

  /** Finds the entry of a vPE by the table of a redistributor. Returns whether the table has one, in use or not. */
  find(record: number, vpe: number, isTrusted = false): boolean {
    const { words, common } = this
    if (!(isTrusted || this.isThere(record)) || vpe >>> this.bits !== 0) return false
    const low = words[record + GICR_VPROPBASER]
    const high = words[record + GICR_VPROPBASER + 1]
    const shift = vpePageShift(high)
    const indirect = (high & GICR_VPROPBASER_HIGH_Indirect) !== 0
    words[common + NAMED_ENTRY] = low & TABLE_LOW & (-1 << shift)
    words[common + NAMED_ENTRY + 1] = high & ADDRESS_HIGH
    const offset = this.lookup.find(vpe, shift, VPE_ENTRY_SHIFT, GICR_VPROPBASER_Size(low) + 1, indirect)
    if (offset === NO_ENTRY) return false
    words[common + NAMED_OFFSET] = offset
    return true
  }

  /** The entry is where an ITS has found it. */
  name(low: number, high: number, offset: number): void {
    this.words[this.common + NAMED_ENTRY] = low
    this.words[this.common + NAMED_ENTRY + 1] = high
    this.words[this.common + NAMED_OFFSET] = offset
  }

  private read(at: number): number {
    const { words, common } = this
    return this.memory.read(
      words[common + NAMED_ENTRY],
      words[common + NAMED_ENTRY + 1],
      words[common + NAMED_OFFSET] + at,
    )
  }

  private write(at: number, value: number): void {
    const { words, common } = this
    const offset = words[common + NAMED_OFFSET] + at
    this.memory.write(words[common + NAMED_ENTRY], words[common + NAMED_ENTRY + 1], offset, value)
  }

  /** Reads the flags into NAMED_FLAGS. Returns whether the vPE is allocated. */
  readFlags(): boolean {
    const flags = this.read(ENTRY_FLAGS)
    this.words[this.common + NAMED_FLAGS] = flags
    return (flags & VPE_ALLOCATED) !== 0
  }

  get flags(): number {
    return this.words[this.common + NAMED_FLAGS]
  }

  writeFlags(flags: number): void {
    this.words[this.common + NAMED_FLAGS] = flags
    this.write(ENTRY_FLAGS, flags)
  }

  /** Its doorbell is requested, for groups; or it is not, with 0. */
  request(groups: number): void {
    const flags = (this.flags & ~VPE_REQUEST) | groups
    if (flags !== this.flags) this.writeFlags(flags)
  }

  get vptLow(): number {
    return this.read(ENTRY_VPT) & ~0xffff
  }

  get vptHigh(): number {
    return this.read(ENTRY_VPT + 4) & ADDRESS_HIGH
  }

  get vconfLow(): number {
    return this.read(ENTRY_VCONF) & ~0xffff
  }

  get vconfHigh(): number {
    return this.read(ENTRY_VCONF + 4) & ADDRESS_HIGH
  }

  get doorbell(): number {
    return this.read(ENTRY_DOORBELL)
  }

  set doorbell(intid: number) {
    this.write(ENTRY_DOORBELL, intid)
  }

  writeTables(vptLow: number, vptHigh: number, vconfLow: number, vconfHigh: number): void {
    this.write(ENTRY_VPT, vptLow & ~0xffff)
    this.write(ENTRY_VPT + 4, vptHigh & ADDRESS_HIGH)
    this.write(ENTRY_VCONF, vconfLow & ~0xffff)
    this.write(ENTRY_VCONF + 4, vconfHigh & ADDRESS_HIGH)
  }

  /** The vPE is no longer allocated: nothing of the entry is left but what ITSs know. */
  clear(): void {
    for (let word = 0; word < ENTRY_WORDS; word++) this.write(ENTRY_FLAGS + 4 * word, 0)
    this.words[this.common + NAMED_FLAGS] = 0
  }

  /** Copies the entry to that of the same vPE in another redistributor's table, and clears it here. */
  moveTo(record: number, vpe: number): boolean {
    const { words, common, memory } = this
    const low = words[common + NAMED_ENTRY]
    const high = words[common + NAMED_ENTRY + 1]
    const offset = words[common + NAMED_OFFSET]
    if (!this.find(record, vpe)) return false
    const isSame =
      low === words[common + NAMED_ENTRY] &&
      high === words[common + NAMED_ENTRY + 1] &&
      offset === words[common + NAMED_OFFSET]
    for (let at = ENTRY_FLAGS; !isSame && at < ENTRY_FLAGS + 4 * ENTRY_WORDS; at += 4) {
      this.write(at, memory.read(low, high, offset + at))
      memory.write(low, high, offset + at, 0)
    }
    return true
  }
}
