/**
 * The LPI objects of a VM (KVM's lpi_list). An LPI is made when an event is first mapped to its INTID, and lives as long
 * as anybody holds a reference: events that are mapped to it, and the ap_list that it is on. So one that is discarded
 * while it is pending is still delivered. They are in fixed slots; where all are in use, no further LPI can be made.
 */
import type { Intid } from '../../arch/intid.ts'
import { SlotPool } from '../../state/slot-pool.ts'
import {
  LPI_INTID,
  LPI_NEXT,
  LPI_PREVIOUS,
  LPI_REFS,
  LPIS_FIRST,
  LPIS_LAST,
  type LpiLayout,
} from '../records/lpi-record.ts'
import { asIrq, IRQ_EDGE, IRQ_GROUP1, IRQ_TARGET_SHIFT, type Irq } from '../records/vgic-irq.ts'

export class VgicLpis {
  /** The handle of the first: handles below are other interrupts'. */
  readonly first: number
  private readonly pool: SlotPool

  constructor(
    readonly words: Int32Array,
    readonly layout: LpiLayout,
  ) {
    this.first = layout.lpi.records
    this.pool = new SlotPool(words, layout.lpi)
  }

  /** Whether a handle is an LPI's. */
  isLpi(irq: Irq): boolean {
    return irq >= this.first
  }

  intidOf(irq: Irq): Intid {
    return this.words[irq + LPI_INTID]
  }

  /** The LPI of a slot. */
  at(slot: number): Irq {
    return asIrq(this.pool.recordOf(slot))
  }

  slotOf(irq: Irq): number {
    return this.pool.slotOf(irq)
  }

  /** The LPI with an INTID; 0 if there is none. */
  find(intid: Intid): Irq | 0 {
    const slot = this.pool.find(intid, intid)
    return slot === 0 ? 0 : this.at(slot)
  }

  /**
   * Makes the LPI of an INTID that has none, for a vCPU by its index, with one reference; the last of the list. 0 if all
   * slots are in use.
   */
  add(intid: Intid, target: number): Irq | 0 {
    const { words, layout } = this
    const slot = this.pool.add(intid, intid)
    if (slot === 0) return 0
    const irq = this.at(slot)
    const last = words[layout.common + LPIS_LAST]
    words[irq] = IRQ_EDGE | IRQ_GROUP1 | (target << IRQ_TARGET_SHIFT)
    words[irq + LPI_REFS] = 1
    words[irq + LPI_PREVIOUS] = last
    words[last === 0 ? layout.common + LPIS_FIRST : this.at(last) + LPI_NEXT] = slot
    words[layout.common + LPIS_LAST] = slot
    return irq
  }

  get(irq: Irq): void {
    this.words[irq + LPI_REFS]++
  }

  /** A reference is given back; the last one frees the LPI. */
  put(irq: Irq): void {
    const { words, layout } = this
    if (--words[irq + LPI_REFS] > 0) return
    const next = words[irq + LPI_NEXT]
    const previous = words[irq + LPI_PREVIOUS]
    words[previous === 0 ? layout.common + LPIS_FIRST : this.at(previous) + LPI_NEXT] = next
    words[next === 0 ? layout.common + LPIS_LAST : this.at(next) + LPI_PREVIOUS] = previous
    this.pool.remove(this.slotOf(irq))
  }

  /** The slot of the LPI that was made first; 0 if there is none. */
  get firstSlot(): number {
    return this.words[this.layout.common + LPIS_FIRST]
  }

  /** The slot of the LPI that was made after that of a slot; 0 if none was. */
  next(slot: number): number {
    return this.words[this.at(slot) + LPI_NEXT]
  }
}
