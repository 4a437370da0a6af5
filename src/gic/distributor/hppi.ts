/**
 * What the distributor and a redistributor tell the CPU interface of their PE: the highest priority pending interrupt
 * (IHI 0069, "Interrupt lifecycle"). It is a word of the interface's part of the PE's record.
 */
import { LR_ACTIVE, LR_Group, LR_PENDING } from '../../arch/ich-registers.ts'

/** Of the physical interface, from the PE's record: the words 4 to 13 of a PE, once more. */
export const PHYSICAL_INTERFACE = 12

/**
 * Derived: the highest priority pending interrupt that is forwarded to the interface, as the upper word of a list
 * register with the INTID in bits 15:0, which for an LPI is 8192, whichever it is; 0 if there is none. Negative if it
 * is held back because the PE sleeps, which is its wake request. From the interface's handle, as all words here.
 */
export const HIGHEST_PENDING = 4
export const HPPI_INTID = (hppi: number): number => hppi & 0xffff

/** A value of {@link HIGHEST_PENDING}. */
export const hppiOf = (intid: number, priority: number, group1: number): number =>
  LR_PENDING | (group1 === 0 ? 0 : LR_Group) | (priority << 16) | intid

/** The same for a PE that sleeps: bit 31 in place of bit 30. */
export const heldBack = (hppi: number): number => (hppi & ~LR_PENDING) | LR_ACTIVE
