/**
 * The virtual pending table of a vPE in memory (IHI 0069, "Virtual LPI Pending tables"): bit n of it is the pending state
 * of the vLPI with INTID n. It holds what is pending while the vPE is not resident; a redistributor takes the bits out
 * when it becomes resident and puts back what is still pending when it leaves. So a table is not what is pending while
 * its vPE is resident: software may look at it after the vPE was unmapped.
 *
 * The first 1 KiB is IMPLEMENTATION DEFINED. Here it has
 *
 * | byte | |
 * |---|---|
 * | 0 | enables of the vSGIs, bits 15:0, and their groups, bits 31:16 |
 * | 4 | which vSGIs are pending |
 * | 8 | bits 7:4 of their priorities, 8 bytes |
 * | 512 | a summary: bit n is set if run n of words behind has any bit set, which spares looking at all of them |
 *
 * GICv4.0 has no vSGIs.
 */
import { FIRST_LPI } from '../../arch/intid.ts'
import { lowestBit } from '../../state/bits.ts'
import type { Memory } from '../config/memory.ts'

const FIRST_LPI_BYTE = FIRST_LPI / 8
const SGI_CONFIG = 0
const SGI_PENDING = 4
const SGI_PRIORITY = 8
const SUMMARY = 512
const SUMMARY_BITS = 8 * (FIRST_LPI_BYTE - SUMMARY)

/** Who takes what is pending out of a table. */
export interface PendingTaker {
  /** 32 vLPIs from `first` on: bit n is set if vLPI `first` + n is pending. */
  takePending(cpu: number, first: number, bits: number): void
}

export class VirtualPendingTable {
  /** A run is 2^runShift words of the table. */
  private readonly runShift: number

  constructor(
    readonly memory: Memory,
    /** Most vLPIs that a vPE has. */
    vlpis: number,
  ) {
    this.runShift = Math.max(0, Math.ceil(Math.log2(Math.ceil(vlpis / 32) / SUMMARY_BITS)))
  }

  /** Whether a vLPI is pending. */
  has(low: number, high: number, vlpi: number): boolean {
    return ((this.memory.read(low, high, wordOf(vlpi)) >>> (vlpi & 31)) & 1) === 1
  }

  /** Which of 32 vLPIs are pending. */
  readWord(low: number, high: number, word: number): number {
    return this.memory.read(low, high, FIRST_LPI_BYTE + 4 * word)
  }

  /** The first pending one of vLPIs `from` to `count` - 1; -1 if there is none. */
  next(low: number, high: number, from: number, count: number): number {
    for (let first = from & ~31; first < count; first += 32) {
      const bits = this.readWord(low, high, first >> 5) & (first < from ? -1 << (from & 31) : -1)
      if (bits !== 0) return first + lowestBit(bits) < count ? first + lowestBit(bits) : -1
    }
    return -1
  }

  /** A vLPI becomes pending. Returns whether it was not. */
  set(low: number, high: number, vlpi: number): boolean {
    const { memory } = this
    const before = memory.read(low, high, wordOf(vlpi))
    const bit = 1 << (vlpi & 31)
    if (before & bit) return false
    memory.write(low, high, wordOf(vlpi), before | bit)
    this.mark(low, high, vlpi >> 5)
    return true
  }

  /** A vLPI is no longer pending. Returns whether it was. The summary stays: it may say more than there is. */
  clear(low: number, high: number, vlpi: number): boolean {
    const { memory } = this
    const before = memory.read(low, high, wordOf(vlpi))
    const bit = 1 << (vlpi & 31)
    if ((before & bit) === 0) return false
    memory.write(low, high, wordOf(vlpi), before & ~bit)
    return true
  }

  /** A word of the table has bits. */
  private mark(low: number, high: number, word: number): void {
    const run = word >> this.runShift
    const at = SUMMARY + ((run >> 5) << 2)
    const before = this.memory.read(low, high, at)
    const bit = 1 << (run & 31)
    if ((before & bit) === 0) this.memory.write(low, high, at, before | bit)
  }

  /**
   * Takes the bits of the first `count` vLPIs out of the table, for the redistributor of a CPU. Without a summary, where
   * software says that there is none, every word is looked at.
   */
  take(low: number, high: number, count: number, summary: boolean, taker: PendingTaker, cpu: number): void {
    const { runShift, memory } = this
    const end = (count + 31) >> 5
    for (let first = 0; first << runShift < end; first += 32) {
      const at = SUMMARY + (first >> 3)
      const runs = memory.read(low, high, at)
      if (runs !== 0) memory.write(low, high, at, 0)
      for (let left = summary ? runs : -1; left !== 0; left &= left - 1) {
        const begin = (first + lowestBit(left)) << runShift
        for (let word = begin; word < begin + (1 << runShift) && word < end; word++) {
          const bits = memory.read(low, high, FIRST_LPI_BYTE + 4 * word)
          if (bits === 0) continue
          memory.write(low, high, FIRST_LPI_BYTE + 4 * word, 0)
          taker.takePending(cpu, 32 * word, bits)
        }
      }
    }
  }

  /**
   * Puts a word of a bitmap into the table. What is there has come for a vPE that is mapped elsewhere than where it is
   * resident.
   */
  put(low: number, high: number, word: number, bits: number): void {
    this.memory.write(low, high, FIRST_LPI_BYTE + 4 * word, this.readWord(low, high, word) | bits)
    this.mark(low, high, word)
  }

  /** The table is known to be zero, and so nothing is pending: only what is in front of it has to be made so. */
  initialise(low: number, high: number): void {
    this.clearSgis(low, high)
    for (let at = SUMMARY; at < FIRST_LPI_BYTE; at += 4) this.memory.write(low, high, at, 0)
  }

  /** Software gives a table: what is pending is what it says, and the summary follows. */
  summarise(low: number, high: number, count: number): void {
    for (let at = SUMMARY; at < FIRST_LPI_BYTE; at += 4) this.memory.write(low, high, at, 0)
    for (let word = 0, end = (count + 31) >> 5; word < end; word++) {
      if (this.memory.read(low, high, FIRST_LPI_BYTE + 4 * word) !== 0) this.mark(low, high, word)
    }
  }

  /** Whether software has given a table that is not zero, for `count` vLPIs. */
  isUsed(low: number, high: number, count: number): boolean {
    for (let word = 0, end = (count + 31) >> 5; word < end; word++) {
      if (this.memory.read(low, high, FIRST_LPI_BYTE + 4 * word) !== 0) return true
    }
    return false
  }

  clearSgis(low: number, high: number): void {
    for (let at = 0; at < SGI_PRIORITY + 8; at += 4) this.memory.write(low, high, at, 0)
  }

  readSgiConfig(low: number, high: number): number {
    return this.memory.read(low, high, SGI_CONFIG)
  }

  writeSgiConfig(low: number, high: number, value: number): void {
    this.memory.write(low, high, SGI_CONFIG, value)
  }

  readSgiPending(low: number, high: number): number {
    return this.memory.read(low, high, SGI_PENDING) & 0xffff
  }

  writeSgiPending(low: number, high: number, value: number): void {
    this.memory.write(low, high, SGI_PENDING, value)
  }

  /** Half 0 has those of vSGIs 0 to 7. */
  readSgiPriorities(low: number, high: number, half: number): number {
    return this.memory.read(low, high, SGI_PRIORITY + 4 * half)
  }

  writeSgiPriorities(low: number, high: number, half: number, value: number): void {
    this.memory.write(low, high, SGI_PRIORITY + 4 * half, value)
  }
}

/** The byte offset of the word that has a vLPI's bit. */
const wordOf = (vlpi: number): number => FIRST_LPI_BYTE + ((vlpi >> 5) << 2)
