/**
 * The state of 32 interrupts: bit x of a word is interrupt x of the block. A redistributor keeps one for its PE's
 * SGIs and PPIs, the distributor one for each 32 SPIs, with their routes (IHI 0069, "Interrupt grouping", "Enabling
 * individual interrupts", "Interrupt lifecycle").
 *
 * An interrupt's pending state has two parts: the latch, which an edge, a write of ISPENDR or an SGI sets and an
 * acknowledge clears, and the level of its input line. An edge-triggered interrupt is pending by its latch, a
 * level-sensitive one by either.
 */
import { ACTIVE, DISABLING, EDGE, ENABLE, GROUP, LATCH, LINE, PRIORITY } from '../records/interrupts.ts'

/** Pending interrupts of a block. */
export const pendingOf = (words: Int32Array, block: number): number =>
  words[block + LATCH] | (words[block + LINE] & ~words[block + EDGE])

/** Interrupts that may be forwarded to a CPU interface: pending, enabled, not active, in one of `groups`. */
export function candidatesOf(words: Int32Array, block: number, groups: number): number {
  const pending = pendingOf(words, block) & ~words[block + ACTIVE]
  if (pending === 0) return 0
  return (
    pending & (words[block + ENABLE] | words[block + DISABLING]) & groupBits(words[block + GROUP], groups)
  )
}

/** The interrupts of a block in one of `groups`: bit 0 group 0, bit 1 group 1. */
export const groupBits = (group1: number, groups: number): number =>
  (groups & 1 ? ~group1 : 0) | (groups & 2 ? group1 : 0)

/** The priority of interrupt `n` of a block. */
export const priorityOf = (words: Int32Array, block: number, n: number): number =>
  (words[block + PRIORITY + (n >> 2)] >>> ((n & 3) << 3)) & 0xff
