/**
 * Derived, for each PE: of each block of 32 interrupts the one with the highest priority that may be forwarded to it.
 * When something changes in a block, only that block is searched again, so that the search for the highest priority
 * pending interrupt costs the same however many interrupts there are and nearly the same however many are pending.
 */
import { type RecordType, recordType } from '../../state/layout.ts'

/** Blocks to be searched again, all clear between accesses: bit 0 the SGIs and PPIs, bit n + 1 SPI block n. */
export const STALE = 0
/** By number of the block, as in {@link STALE}: the rank of its highest priority interrupt, as highest-pending.ts has it. */
export const BEST = 1

/** Blocks of a PE: its own, and those of the SPIs. */
export const blocksOf = (spis: number): number => 1 + ((spis + 31) >> 5)

export const pendingSummaryRecord = (spis: number): RecordType =>
  recordType('pendingSummary[<n>]', [
    { name: 'stale', at: STALE, class: 'derived' },
    { name: 'best', at: BEST, count: blocksOf(spis), class: 'derived' },
  ])
