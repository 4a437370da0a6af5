/**
 * Derived, for each PE: of each block of 32 interrupts the one with the highest priority that may be forwarded to it.
 * When something changes in a block, only that block is searched again, so that the search for the highest priority
 * pending interrupt costs the same however many interrupts there are and nearly the same however many are pending.
 */
export { BEST, blocksOf, pendingSummaryRecord, STALE } from '../records/interrupts.ts'
