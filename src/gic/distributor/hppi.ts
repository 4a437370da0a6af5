/**
 * The highest priority pending interrupt, which the distributor and the redistributor forward to a PE's CPU interface
 * (IHI 0069, "Interrupt lifecycle"). It is the word HIGHEST_PENDING of the interface.
 */
import { LR_ACTIVE, LR_Group, LR_PENDING } from '../../arch/ich-registers.ts'
import type { Intid } from '../../arch/intid.ts'

/** The INTID in a value of HIGHEST_PENDING. */
export const HPPI_INTID = (hppi: number): number => hppi & 0xffff

/** Makes a value of HIGHEST_PENDING. */
export const hppiOf = (intid: Intid, priority: number, group1: number): number =>
  LR_PENDING | (group1 === 0 ? 0 : LR_Group) | (priority << 16) | intid

/** Marks a value of HIGHEST_PENDING as not forwarded, since the PE sleeps: bit 31 is set instead of bit 30. */
export const heldBack = (hppi: number): number => (hppi & ~LR_PENDING) | LR_ACTIVE
