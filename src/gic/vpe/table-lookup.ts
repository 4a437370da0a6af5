/**
 * A table in memory that software has provided to the GIC: flat, or with a level 1 table of pages (IHI 0069, "The ITS
 * tables", "GICR_VPROPBASER.Indirect"). An entry of level 1 is a doubleword with Valid in bit 63 and the address of a
 * page in bits 51:12.
 */
import type { Memory } from '../config/memory.ts'

/** There is no such entry. */
export const NO_ENTRY = -1

const LEVEL_1_SHIFT = 3
/** Valid, in the upper word of a level 1 entry. */
const LEVEL_1_VALID = 0x80000000 | 0
const ADDRESS_HIGH = 0xfffff

export class TableLookup {
  constructor(
    readonly words: Int32Array,
    readonly memory: Memory,
    /**
     * Two words: the address of the table, which {@link find} replaces with that of the page that has the entry, for a
     * table with two levels.
     */
    readonly at: number,
  ) {}

  /**
   * The byte offset of entry `id` from the address in the words; {@link NO_ENTRY} if the table has none. What memory
   * refuses is not there either: whoever asks takes the refusal.
   */
  find(id: number, pageShift: number, entryShift: number, pages: number, indirect: boolean): number {
    const perPage = pageShift - entryShift
    if (indirect) return this.findIndirect(id, perPage, pageShift, pages << (pageShift - LEVEL_1_SHIFT))
    return id >>> 0 < pages << perPage ? id << entryShift : NO_ENTRY
  }

  private findIndirect(id: number, perPage: number, pageShift: number, pages: number): number {
    const { words, at, memory } = this
    const page = id >>> perPage
    if (page >= pages) return NO_ENTRY
    const high = memory.read(words[at], words[at + 1], (page << LEVEL_1_SHIFT) + 4)
    if ((high & LEVEL_1_VALID) === 0) return NO_ENTRY
    const low = memory.read(words[at], words[at + 1], page << LEVEL_1_SHIFT)
    words[at] = low & (-1 << pageShift)
    words[at + 1] = high & ADDRESS_HIGH
    return (id & ((1 << perPage) - 1)) << (pageShift - perPage)
  }
}
