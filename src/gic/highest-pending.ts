/**
 * The search for a PE's highest priority pending interrupt: among the candidates of its redistributor and those SPIs
 * of the distributor that are routed to it (IHI 0069, "Interrupt prioritization", "Affinity routing"). Its result is
 * kept, and it runs only when a candidate, a priority, a route or an enable has changed. It looks at the candidates of
 * the blocks in which something has changed and, of the other blocks that have any, at the best one, which is kept too.
 *
 * Of equal priorities the lowest INTID is the highest (IMPLEMENTATION DEFINED).
 */
import { FIRST_SPI } from '../arch/intid.ts'
import { lowestBit, PHYSICAL_INTERFACE } from './cpu-interface.ts'
import { CANDIDATES, GROUP, groupBits, priorityOf, ROUTE, SPI_BLOCK_WORDS } from './interrupt-block.ts'
import { BEST, STALE } from './pending-summary.ts'
import {
  HIGHEST_PENDING,
  HPPI_PRIORITY,
  heldBack,
  hppiOf,
  type PhysicalInterface,
} from './physical-interface.ts'
import { GICR_BLOCK, GROUPS, type PhysicalInterrupts } from './physical-interrupts.ts'
import type { Redistributor } from './redistributor.ts'

export class HighestPending {
  readonly words: Int32Array
  /** Whether groups that the CPU interface disables take part: the choice `disabledGroup`. */
  private readonly disabledGroupsHide: boolean
  /** Above every priority that can be pending. */
  private readonly lowest: number

  constructor(
    readonly physical: PhysicalInterrupts,
    readonly physicalInterface: PhysicalInterface,
    readonly redistributor: Redistributor,
  ) {
    const { choices } = physical.config
    this.words = physical.words
    this.disabledGroupsHide = choices.disabledGroup === 'hides'
    this.lowest = choices.distributorPriority === 'eight-bits' ? 0xff : 0x100
  }

  /** Searches for a PE; what is not forwarded because the PE sleeps becomes its wake request. */
  search(pe: number, cpu: number): void {
    const asleep = this.redistributor.isAsleep(pe)
    const at = pe + PHYSICAL_INTERFACE
    const groups = asleep || this.disabledGroupsHide ? GROUPS : this.physicalInterface.enabledGroups(at)
    const found = this.find(pe, cpu, groups)
    this.words[at + HIGHEST_PENDING] = asleep && found !== 0 ? heldBack(found) : found
  }

  /** The highest priority candidate of a PE in one of `groups`, as {@link HIGHEST_PENDING} has it. */
  private find(pe: number, cpu: number, groups: number): number {
    const { words, physical } = this
    const summary = physical.summaryOf(cpu)
    const affinity = physical.affinities.values[cpu]
    const stale = words[summary + STALE]
    words[summary + STALE] = 0
    if (stale & 1) words[summary + BEST] = this.bestPrivate(pe + GICR_BLOCK, groups)
    for (let left = stale & ~1; left !== 0; left &= left - 1) {
      const number = lowestBit(left)
      words[summary + BEST + number] = this.bestSpi(number - 1, groups, affinity)
    }
    let best = words[summary + BEST]
    let priority = best === 0 ? this.lowest : HPPI_PRIORITY(best)
    for (let blocks = physical.spiCandidates(); blocks !== 0; blocks &= blocks - 1) {
      const other = words[summary + BEST + 1 + lowestBit(blocks)]
      if (other === 0 || HPPI_PRIORITY(other) >= priority) continue
      best = other
      priority = HPPI_PRIORITY(other)
    }
    return best
  }

  private bestPrivate(block: number, groups: number): number {
    const { words } = this
    let intid = -1
    let best = this.lowest
    for (let left = this.candidates(block, groups); left !== 0; left &= left - 1) {
      const n = lowestBit(left)
      const priority = priorityOf(words, block, n)
      if (priority >= best) continue
      best = priority
      intid = n
    }
    return intid < 0 ? 0 : hppiOf(intid, best, words[block + GROUP] & (1 << intid))
  }

  /** The same of SPI block `number`, for the PE with an affinity. */
  private bestSpi(number: number, groups: number, affinity: number): number {
    const { words, physical } = this
    const block = physical.spiBlocks + number * SPI_BLOCK_WORDS
    let bit = -1
    let best = this.lowest
    for (let left = this.candidates(block, groups); left !== 0; left &= left - 1) {
      const n = lowestBit(left)
      const priority = priorityOf(words, block, n)
      if (priority >= best || words[block + ROUTE + n] !== affinity) continue
      best = priority
      bit = n
    }
    return bit < 0 ? 0 : hppiOf(FIRST_SPI + 32 * number + bit, best, words[block + GROUP] & (1 << bit))
  }

  private candidates(block: number, groups: number): number {
    return this.words[block + CANDIDATES] & groupBits(this.words[block + GROUP], groups)
  }
}
