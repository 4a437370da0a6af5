/** The vSGIs of a vPE as words: enables and groups, pending bits, and priorities of 4 bits (IHI 0069, "vSGIs"). */
import { lowestBit } from '../../state/bits.ts'

/** No vSGI: no rank is above it. */
export const NO_SGI = 0x7fffffff
/** A rank: the priority above the number, so that the lowest wins and of equal priorities the lowest INTID. */
const PRIORITY_SHIFT = 4
export const sgiOfRank = (rank: number): number => rank & 0xf
export const priorityOfRank = (rank: number): number => rank >> PRIORITY_SHIFT

/** Those of `sgis` that are enabled and in one of `groups`, bit 0 group 0 and bit 1 group 1. */
export function enabledSgis(config: number, sgis: number, groups: number): number {
  const inGroup1 = config >>> 16
  const grouped = (groups & 1 ? ~inGroup1 : 0) | (groups & 2 ? inGroup1 : 0)
  return sgis & config & grouped & 0xffff
}

/** The rank of the highest priority one of `sgis`. */
export function bestSgi(sgis: number, priorities0: number, priorities1: number, mask: number): number {
  let best = NO_SGI
  for (let left = sgis; left !== 0; left &= left - 1) {
    const n = lowestBit(left)
    const priority = sgiPriority(n < 8 ? priorities0 : priorities1, n) & mask
    best = Math.min(best, (priority << PRIORITY_SHIFT) | n)
  }
  return best
}

/** The priority of vSGI `n` in the word that has it. */
const sgiPriority = (priorities: number, n: number): number => ((priorities >>> (4 * (n & 7))) & 0xf) << 4

/** The word of enables and groups with one vSGI's replaced. */
export function withSgi(config: number, n: number, enabled: boolean, group1: boolean): number {
  const rest = config & ~(0x10001 << n)
  return rest | (enabled ? 1 << n : 0) | (group1 ? 0x10000 << n : 0)
}

/** The word of priorities with vSGI `n`'s replaced, by its bits 7:4. */
export function withPriority(priorities: number, n: number, priority: number): number {
  const shift = 4 * (n & 7)
  return (priorities & ~(0xf << shift)) | (priority << shift)
}
