/**
 * What the distributor and a redistributor tell the CPU interface of their PE: the highest priority pending interrupt
 * (IHI 0069, "Interrupt lifecycle"). It is a word of the interface's part of the PE's record.
 */
import { LR_ACTIVE, LR_Group, LR_PENDING } from '../../arch/ich-registers.ts'
import type { Intid } from '../../arch/intid.ts'

/** Of a value of HIGHEST_PENDING. */
export const HPPI_INTID = (hppi: number): number => hppi & 0xffff

/** A value of HIGHEST_PENDING. */
export const hppiOf = (intid: Intid, priority: number, group1: number): number =>
  LR_PENDING | (group1 === 0 ? 0 : LR_Group) | (priority << 16) | intid

/** The same for a PE that sleeps: bit 31 in place of bit 30. */
export const heldBack = (hppi: number): number => (hppi & ~LR_PENDING) | LR_ACTIVE
