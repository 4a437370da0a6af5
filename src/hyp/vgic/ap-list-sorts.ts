/**
 * The orders of an ap_list that has more interrupts than there are list registers: a flush takes its first ones. All sorts
 * are stable.
 */
import { FIRST_SPI } from '../../arch/intid.ts'
import { VCPU_AP_COUNT, VCPU_AP_FIRST, VCPU_AP_LAST, type Vcpu } from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_HW,
  IRQ_LINK,
  type Irq,
  irqGroupIsOff,
  irqIsDeliverable,
  irqPriority,
} from '../records/vgic-irq.ts'
import type { VmLayout } from '../records/vm.ts'

export class ApListSorts {
  /** Made when the first long list is sorted. */
  private scratch: Scratch | undefined

  constructor(
    private readonly words: Int32Array,
    private readonly layout: VmLayout,
  ) {}

  /**
   * Sorts a list that has more interrupts than there are list registers; `off` has the VENG bits of the groups that
   * are disabled at the guest's CPU interface. Interrupts that the guest can take come first, by priority; then
   * active ones by priority, in the order in which the guest ends them. So a guest that has dropped the priority of
   * many active interrupts still gets the next one. Pending interrupts of a disabled group come last, since they
   * would occupy a list register to no purpose. Those that the priority mask hides need no rank of their own, since
   * all that the mask admits come before them.
   */
  pendingFirst(v: Vcpu, off: number): void {
    // Not a choice of the rank alone: V8 inlines one that is the only one of its call.
    if (off === 0) this.sort(v, rankPendingFirst, off)
    else this.sort(v, rankOffLast, off)
  }

  /** `pendingFirst`, with active interrupts of the lowest priority first. */
  activeReversed(v: Vcpu): void {
    this.sort(v, rankActiveReversed, 0)
  }

  /**
   * Sorts a list that has more interrupts than there are list registers as Linux 6.1 does: active interrupts first,
   * in any order, whatever their groups.
   */
  activeFirst(v: Vcpu): void {
    this.sort(v, rankActiveFirst, 0)
  }

  /**
   * Sorts a list as Linux 7.2 does: interrupts of disabled groups come last, pending and active ones; within both
   * halves pending ones come first, by priority, and then active ones by priority. Of equal priorities, those that are
   * mapped to physical interrupts come first.
   */
  groupsFirst(v: Vcpu, off: number): void {
    this.sort(v, rankGroupsFirst, off)
  }

  private sort(v: Vcpu, rankOf: RankOf, off: number): void {
    if (this.words[v + VCPU_AP_COUNT] < LONG) this.sortShort(v, rankOf, off)
    else this.sortLong(v, rankOf, off)
  }

  /** Insertion sort: lists are short and mostly sorted already, so that the last of the sorted ones is looked at first. */
  private sortShort(v: Vcpu, rankOf: RankOf, off: number): void {
    const { words } = this
    let last = asIrq(words[v + VCPU_AP_FIRST])
    let highest = rankOf(words[last], off)
    for (let irq = asIrq(words[last + IRQ_LINK]); irq !== 0; irq = asIrq(words[last + IRQ_LINK])) {
      const rank = rankOf(words[irq], off)
      if (rank < highest) {
        words[last + IRQ_LINK] = words[irq + IRQ_LINK]
        this.insert(v, irq, rank, rankOf, off)
      } else {
        last = irq
        highest = rank
      }
    }
    words[v + VCPU_AP_LAST] = last
  }

  /** Puts an interrupt before the first of a list that has a higher rank; there is one. */
  private insert(v: Vcpu, irq: Irq, rank: number, rankOf: RankOf, off: number): void {
    const { words } = this
    let link = v + VCPU_AP_FIRST
    let next = words[link]
    for (; rankOf(words[next], off) <= rank; next = words[link]) link = next + IRQ_LINK
    words[irq + IRQ_LINK] = next
    words[link] = irq
  }

  /** Counting sort, whose time grows with the list only: a guest can make all interrupts of the VM pending at once. */
  private sortLong(v: Vcpu, rankOf: RankOf, off: number): void {
    const { words, layout } = this
    this.scratch ??= scratchFor(FIRST_SPI + layout.spiCount + layout.lpis.lpi.count)
    const { ranks, sorted, places } = this.scratch
    const first = asIrq(words[v + VCPU_AP_FIRST])
    let count = 0
    let lowest = RANKS
    let highest = 0
    for (let irq = first; irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
      const rank = rankOf(words[irq], off)
      ranks[count++] = rank
      places[rank]++
      if (rank < lowest) lowest = rank
      if (rank > highest) highest = rank
    }
    let place = 0
    for (let rank = lowest; rank <= highest; rank++) {
      const ofRank = places[rank]
      places[rank] = place
      place += ofRank
    }
    let i = 0
    for (let irq = first; irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) sorted[places[ranks[i++]]++] = irq
    places.fill(0, lowest, highest + 1)
    this.relink(v, sorted, count)
  }

  /** Makes a list of the first `count` of these interrupts. */
  private relink(v: Vcpu, irqs: Int32Array, count: number): void {
    const { words } = this
    let at = v + VCPU_AP_FIRST
    for (let i = 0; i < count; i++) {
      words[at] = irqs[i]
      at = irqs[i] + IRQ_LINK
    }
    words[at] = 0
    words[v + VCPU_AP_LAST] = irqs[count - 1]
  }
}

/** Where an interrupt belongs in a list, by its word and the disabled groups: the lowest rank comes first. */
type RankOf = (word: number, off: number) => number

/** Lists from here on are sorted by counting: a shorter one takes less by insertion, whatever order it is in. */
const LONG = 32

/** What a sort of a long list needs, which means nothing after it. */
interface Scratch {
  readonly ranks: Uint16Array
  readonly sorted: Int32Array
  /** By rank, how many interrupts have it, and then the place of the next one; all zero between sorts. */
  readonly places: Int32Array
}

const scratchFor = (longest: number): Scratch => ({
  ranks: new Uint16Array(longest),
  sorted: new Int32Array(longest),
  places: new Int32Array(RANKS),
})

/** Ranks of interrupts above all priorities. */
const RANK_ACTIVE = 0x100
const RANK_OFF = 0x200
const RANK_NONE = 0x300
/** Ranks are below this, those of Linux 7.2 too. */
const RANKS = 4 * RANK_OFF + 1

function rankPendingFirst(word: number): number {
  if (irqIsDeliverable(word)) return irqPriority(word)
  return word & IRQ_ACTIVE ? irqPriority(word) | RANK_ACTIVE : RANK_NONE
}

function rankActiveReversed(word: number): number {
  if (irqIsDeliverable(word)) return irqPriority(word)
  return word & IRQ_ACTIVE ? RANK_ACTIVE | (0xff - irqPriority(word)) : RANK_NONE
}

function rankOffLast(word: number, off: number): number {
  const isOff = irqIsDeliverable(word) && irqGroupIsOff(word, off)
  return isOff ? irqPriority(word) | RANK_OFF : rankPendingFirst(word)
}

function rankGroupsFirst(word: number, off: number): number {
  const group = irqGroupIsOff(word, off) ? 2 * RANK_OFF : 0
  const rank = group | (irqPriority(word) << 1) | (word & IRQ_HW ? 0 : 1)
  if (word & IRQ_ACTIVE) return rank | (2 * RANK_ACTIVE)
  return irqIsDeliverable(word) ? rank : 4 * RANK_OFF
}

function rankActiveFirst(word: number): number {
  if (word & IRQ_ACTIVE) return 0
  return irqIsDeliverable(word) ? irqPriority(word) | RANK_ACTIVE : RANK_NONE
}
