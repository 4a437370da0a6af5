/**
 * The LPI objects of a VM (KVM's lpi_list). An LPI is made when an event is first mapped to its INTID, and lives as long
 * as anybody holds a reference: events that are mapped to it, cached translations, the ap_list and the list registers that
 * it is on, messages and prunes on their way. So one that is discarded while it is pending is still delivered. They are in
 * fixed slots; where all are in use, no further LPI can be made.
 *
 * The lock of their table is never held over a yield point, so it needs no word: `put` counts down, takes the last one's
 * LPI out of the table and frees it in one section. `decrement` and `eraseByNumber` do that in two, with a gap in
 * which the table still has an LPI that is to be freed, and may get another of its INTID.
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

/** An order of the LPIs: by INTID, as Linux has had them since 6.9, in an xarray; or as they were made, as in its list before. */
export type LpiOrder = typeof BY_INTID | typeof AS_MADE
export const BY_INTID = 0
export const AS_MADE = 1

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

  /** Takes a reference to the LPI with an INTID; 0 if there is none, or if it is about to be freed. */
  tryGet(intid: Intid): Irq | 0 {
    const irq = this.find(intid)
    if (irq === 0 || this.words[irq + LPI_REFS] === 0) return 0
    this.get(irq)
    return irq
  }

  /** Whether the table has this LPI by its INTID. */
  isInTable(irq: Irq): boolean {
    return this.find(this.intidOf(irq)) === irq
  }

  /**
   * Makes the LPI of an INTID that has none, for a vCPU by its index, with one reference; the last of the list. It takes
   * the place of one that is about to be freed. 0 if all slots are in use.
   */
  add(intid: Intid, target: number): Irq | 0 {
    const { words, layout } = this
    const dying = this.find(intid)
    if (dying !== 0) this.unlink(dying)
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
    if (--this.words[irq + LPI_REFS] > 0) return
    if (this.isInTable(irq)) this.unlink(irq)
    this.pool.release(this.slotOf(irq))
  }

  /** A reference is given back; whether it was the last, and the LPI is to be freed. */
  decrement(irq: Irq): boolean {
    return --this.words[irq + LPI_REFS] === 0
  }

  /** Takes whichever LPI the table has by the INTID of this one out of it, and frees this one. */
  eraseByNumber(irq: Irq): void {
    const found = this.find(this.intidOf(irq))
    if (found !== 0) this.unlink(found)
    this.pool.release(this.slotOf(irq))
  }

  /** An LPI leaves the table, in which it is. */
  private unlink(irq: Irq): void {
    const { words, layout } = this
    const next = words[irq + LPI_NEXT]
    const previous = words[irq + LPI_PREVIOUS]
    words[previous === 0 ? layout.common + LPIS_FIRST : this.at(previous) + LPI_NEXT] = next
    words[next === 0 ? layout.common + LPIS_LAST : this.at(next) + LPI_PREVIOUS] = previous
    words[irq + LPI_NEXT] = 0
    words[irq + LPI_PREVIOUS] = 0
    this.pool.unlink(this.slotOf(irq))
  }

  /** The slot of the first LPI in an order; 0 if there is none. */
  firstIn(order: LpiOrder): number {
    return order === BY_INTID ? this.pool.first() : this.firstSlot
  }

  /** The slot of the one that follows it; 0 after the last. */
  nextIn(order: LpiOrder, slot: number): number {
    return order === BY_INTID ? this.pool.next(slot) : this.next(slot)
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
