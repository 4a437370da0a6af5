/**
 * The configuration of LPIs as redistributors know it (IHI 0069, "LPI Configuration tables"): a byte an LPI in memory,
 * with the enable in bit 0 and the priority in bits 7:2. A byte is read when an LPI is first used and then kept until
 * software invalidates it, so that a change of memory has no effect before. With the choice `lpiConfig: uncached` it is
 * read again at each use.
 */
import { offsetOf } from '../../state/rows.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import type { Memory } from '../config/memory.ts'
import { CACHED, LPIS_PER_CHUNK, lpiCacheRows, NO_RANK } from './lpi-records.ts'

export const LPI_ENABLE = 0x1
export const LPI_PRIORITY = 0xfc
/** Bit 1 of a byte is RES1 for software. Here it says that the byte is in use: one that is 0 was not read. */
const LPI_CACHED = 0x2

/** A rank: see pending-tree.ts. */
const PRIORITY_SHIFT = 22
export const rankLpi = (rank: number): number => rank & 0xffffff
export const rankPriority = (rank: number): number => (rank >>> PRIORITY_SHIFT) & LPI_PRIORITY

export class LpiConfiguration {
  /** Whether it is read again at each use: the choice `lpiConfig`. */
  readonly isUncached: boolean
  /** Bits of a priority that exist: the choice `distributorPriority`. */
  private readonly priorityMask: number
  /** Where a cache has the words behind its bytes. */
  private readonly chunks: number
  private readonly invalidated: number

  constructor(
    readonly words: Int32Array,
    readonly memory: Memory,
    config: CheckedGicConfig,
    lpis: number,
  ) {
    this.isUncached = config.choices.lpiConfig === 'uncached'
    const implemented = (0xff << (8 - config.priorityBits)) & LPI_PRIORITY
    this.priorityMask = config.choices.distributorPriority === 'eight-bits' ? LPI_PRIORITY : implemented
    this.chunks = offsetOf(lpiCacheRows, 'CACHED_OF_CHUNK', lpis)
    this.invalidated = offsetOf(lpiCacheRows, 'CACHE_INVALIDATED', lpis)
  }

  /** The byte of an LPI; 0 if it was not read. */
  byteOf(cache: number, lpi: number): number {
    return (this.words[cache + CACHED + (lpi >> 2)] >>> ((lpi & 3) << 3)) & 0xff
  }

  /** The rank of an LPI: {@link NO_RANK} if it is disabled. */
  rankOf(cache: number, lpi: number): number {
    const byte = this.byteOf(cache, lpi)
    return byte & LPI_ENABLE ? ((byte & this.priorityMask) << PRIORITY_SHIFT) | lpi : NO_RANK
  }

  /** The priority of a byte, its implemented bits. */
  priorityOf(byte: number): number {
    return byte & this.priorityMask
  }

  /**
   * An LPI is used: reads its byte from the table at an address, if need be. Where the memory refuses, it is disabled.
   * Returns whether the memory has not refused.
   */
  use(cache: number, lpi: number, low: number, high: number): boolean {
    if (!this.isUncached && this.byteOf(cache, lpi) !== 0) return true
    return this.load(cache, lpi, low, high)
  }

  /** Reads the byte of an LPI. */
  load(cache: number, lpi: number, low: number, high: number): boolean {
    const byte = this.read(lpi, low, high)
    const refused = this.memory.takeRefusal()
    this.store(cache, lpi, refused ? LPI_CACHED : (byte & 0xff) | LPI_CACHED)
    return !refused
  }

  /** The byte of an LPI in memory. Whoever reads takes the refusal. */
  read(lpi: number, low: number, high: number): number {
    return (this.memory.read(low, high, lpi & ~3) >>> ((lpi & 3) << 3)) & 0xff
  }

  /** What is known of an LPI is forgotten. */
  drop(cache: number, lpi: number): void {
    this.store(cache, lpi, 0)
  }

  /** Whether what is pending is to be looked at again, as after {@link dropAll}. Resets it. */
  takeInvalidated(cache: number): boolean {
    const at = cache + this.invalidated
    const invalidated = this.words[at] !== 0
    this.words[at] = 0
    return invalidated
  }

  /** What is pending and goes by a cache is to be looked at again. */
  lookAgain(cache: number): void {
    this.words[cache + this.invalidated] = 1
  }

  /** What is known of all LPIs is forgotten. */
  dropAll(cache: number): void {
    const { words, chunks, invalidated } = this
    this.lookAgain(cache)
    for (let at = cache + chunks, first = cache + CACHED; at < cache + invalidated; at++) {
      const end = first + LPIS_PER_CHUNK / 4
      if (words[at] !== 0) words.fill(0, first, Math.min(end, cache + chunks))
      words[at] = 0
      first = end
    }
  }

  private store(cache: number, lpi: number, byte: number): void {
    const { words } = this
    const at = cache + CACHED + (lpi >> 2)
    const shift = (lpi & 3) << 3
    const before = (words[at] >>> shift) & 0xff
    words[at] = (words[at] & ~(0xff << shift)) | (byte << shift)
    words[cache + this.chunks + ((lpi / LPIS_PER_CHUNK) | 0)] += (byte === 0 ? 0 : 1) - (before === 0 ? 0 : 1)
  }

  /** Recomputes what is derived. */
  derive(cache: number): void {
    const { words, chunks, invalidated } = this
    words.fill(0, cache + chunks, cache + invalidated + 1)
    for (let word = 0; word < chunks - CACHED; word++) {
      let used = 0
      for (let left = words[cache + CACHED + word]; left !== 0; left >>>= 8) if (left & 0xff) used++
      if (used !== 0) words[cache + chunks + (((word * 4) / LPIS_PER_CHUNK) | 0)] += used
    }
  }
}
