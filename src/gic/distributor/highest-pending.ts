/**
 * The search for a PE's highest priority pending interrupt: among the candidates of its redistributor, those SPIs of
 * the distributor that are routed to it (IHI 0069, "Interrupt prioritization", "Affinity routing"), and its highest
 * priority LPI, which its redistributor keeps. The result is cached: a search runs only after a candidate, a
 * priority, a route or an enable has changed. It looks at the candidates of the blocks that have changed; of each
 * other block the best one is cached too.
 *
 * Candidates are compared by rank, the priority above the INTID, with the group below both: the lowest rank wins, and
 * so of equal priorities the lowest INTID (IMPLEMENTATION DEFINED).
 */
import { FIRST_LPI, FIRST_SPI, type Intid } from '../../arch/intid.ts'
import { lowestBit } from '../../state/bits.ts'
import { groupBits, priorityOf } from '../interrupts/interrupt-block.ts'
import { GICR_BLOCK, GROUPS, type PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import { rankPriority } from '../lpi/lpi-configuration.ts'
import { NO_RANK } from '../lpi/lpi-records.ts'
import type { Lpis } from '../lpi/lpis.ts'
import { BEST, CANDIDATES, GROUP, ROUTE, SPI_BLOCK_WORDS, STALE } from '../records/interrupts.ts'
import { HIGHEST_PENDING, type Pe, PHYSICAL_INTERFACE } from '../records/pe.ts'
import { heldBack, hppiOf } from './hppi.ts'
import type { Redistributor } from './redistributor.ts'

/** The fields of a rank. */
const PRIORITY_SHIFT = 17
const INTID_SHIFT = 1
const INTID = 0xffff
const GROUP_1 = 1
/** Group 1, as a bit of groups. */
const GROUP_1_BIT = 2

/** What the search needs of the physical CPU interface. */
interface GroupEnables {
  /** The groups that an interface enables: bit 0 group 0, bit 1 group 1. */
  enabledGroups(at: number): number
}

export class HighestPending {
  readonly words: Int32Array
  /** Whether groups that the CPU interface disables take part: the choice `disabledGroup`. */
  private readonly disabledGroupsHide: boolean
  /** The rank for nothing pending, above every other. */
  private readonly none: number

  constructor(
    readonly physical: PhysicalInterrupts,
    readonly physicalInterface: GroupEnables,
    readonly redistributor: Redistributor,
    readonly lpis: Lpis | undefined,
  ) {
    const { choices } = physical.config
    this.words = physical.words
    this.disabledGroupsHide = choices.disabledGroup === 'hides'
    this.none = (choices.distributorPriority === 'eight-bits' ? 0xff : 0x100) << PRIORITY_SHIFT
  }

  /** Searches for a PE. An interrupt that is held back because the PE sleeps raises its wake request. */
  search(pe: Pe, cpu: number): void {
    const asleep = this.redistributor.isAsleep(pe)
    const at = pe + PHYSICAL_INTERFACE
    const groups = asleep || this.disabledGroupsHide ? GROUPS : this.physicalInterface.enabledGroups(at)
    const found = this.find(pe, cpu, groups)
    this.words[at + HIGHEST_PENDING] = asleep && found !== 0 ? this.held(pe, found) : found
  }

  private held(pe: Pe, found: number): number {
    return this.redistributor.mayRequestWake(pe) ? heldBack(found) : 0
  }

  /** The highest priority candidate of a PE in one of `groups`, in the format of {@link HIGHEST_PENDING}. */
  private find(pe: Pe, cpu: number, groups: number): number {
    const { words, physical } = this
    const summary = physical.summaryOf(cpu)
    const stale = words[summary + STALE]
    words[summary + STALE] = 0
    if (stale & 1) words[summary + BEST] = this.bestPrivate(pe + GICR_BLOCK, groups)
    for (let left = stale & ~1; left !== 0; left &= left - 1) {
      const number = lowestBit(left)
      words[summary + BEST + number] = this.bestSpi(number - 1, groups, cpu)
    }
    let best = words[summary + BEST]
    for (let blocks = physical.spiCandidates(); blocks !== 0; blocks &= blocks - 1) {
      const rank = words[summary + BEST + 1 + lowestBit(blocks)]
      if (rank < best) best = rank
    }
    if (this.lpis !== undefined && groups & physical.groupsInForce() & GROUP_1_BIT) {
      const lpi = this.bestLpi(this.lpis, cpu)
      if (lpi < best) return hppiOf(FIRST_LPI, lpi >> PRIORITY_SHIFT, GROUP_1)
    }
    if (best === this.none) return 0
    return hppiOf((best >> INTID_SHIFT) & INTID, best >> PRIORITY_SHIFT, best & GROUP_1)
  }

  /** The rank of a CPU's highest priority LPI. It comes after other interrupts of the same priority. */
  private bestLpi(lpis: Lpis, cpu: number): number {
    const rank = lpis.highest(cpu)
    if (rank === NO_RANK) return this.none
    return (rankPriority(rank) << PRIORITY_SHIFT) | (FIRST_LPI << INTID_SHIFT) | GROUP_1
  }

  /** The lowest rank of a PE's SGIs and PPIs. */
  private bestPrivate(block: number, groups: number): number {
    let best = this.none
    for (let left = this.candidates(block, groups); left !== 0; left &= left - 1) {
      const n = lowestBit(left)
      const rank = rankOf(this.words, block, n, n)
      if (rank < best) best = rank
    }
    return best
  }

  /** The lowest rank of those SPIs in block `number` that go to a CPU. */
  private bestSpi(number: number, groups: number, cpu: number): number {
    const { words, physical } = this
    const block = physical.spiBlocks + number * SPI_BLOCK_WORDS
    const affinity = physical.affinities.values[cpu]
    const first = FIRST_SPI + 32 * number
    let best = this.none
    for (let left = this.candidates(block, groups); left !== 0; left &= left - 1) {
      const n = lowestBit(left)
      const rank = rankOf(words, block, n, first + n)
      if (rank < best && words[block + ROUTE + n] === affinity) best = rank
    }
    return best
  }

  private candidates(block: number, groups: number): number {
    return this.words[block + CANDIDATES] & groupBits(this.words[block + GROUP], groups)
  }
}

/** The rank of an interrupt, number `n` of a block. */
const rankOf = (words: Int32Array, block: number, n: number, intid: Intid): number =>
  (priorityOf(words, block, n) << PRIORITY_SHIFT) |
  (intid << INTID_SHIFT) |
  ((words[block + GROUP] >>> n) & GROUP_1)
