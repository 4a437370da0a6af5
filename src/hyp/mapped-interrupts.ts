/**
 * Interrupts of the VM that stand for physical ones: the timers' PPIs, and SPIs of devices that were given to
 * the VM. The physical interrupt stays active while the guest handles the virtual one, so that the host does
 * not take it again; the guest's deactivation deactivates it through the HW bit.
 */
import type { ApLists } from './ap-list.ts'
import type { ArchTimers } from './arch-timer.ts'
import type { Seam } from './seam.ts'
import { VCPU_INDEX, VCPU_IRQ, VCPU_PE } from './vcpu.ts'
import { IRQ_EDGE, IRQ_HW, irqTarget } from './vgic-irq.ts'
import { MAPPED_IRQ, MAPPED_LINE, MAPPED_PINTID, MAPPED_STRIDE } from './vm.ts'

export class MappedInterrupts {
  readonly words: Int32Array

  constructor(
    readonly seam: Seam,
    readonly apLists: ApLists,
    readonly timers: ArchTimers,
  ) {
    this.words = seam.words
  }

  /** The physical INTID of a mapped interrupt: a PPI's is its own. */
  pintidOf(v: number, irq: number): number {
    const row = this.rowOf(irq)
    return row === 0 ? irq - v - VCPU_IRQ : this.words[row + MAPPED_PINTID]
  }

  /** The level of the physical line. */
  physicalLine(v: number, irq: number): boolean {
    const row = this.rowOf(irq)
    return row === 0 ? this.timers.outputOf(v, irq - v - VCPU_IRQ) : this.words[row + MAPPED_LINE] !== 0
  }

  /** Sets or clears the active state of the physical interrupt; one that is pending then is taken again. */
  setPhysicalActive(v: number, irq: number, active: boolean): void {
    this.seam.writePhysicalActive(v, this.words[v + VCPU_PE], this.pintidOf(v, irq), active)
    const row = this.rowOf(irq)
    if (active || row === 0 || !this.isPending(row)) return
    const target = this.take(row)
    if (target !== 0) this.apLists.notify(target)
  }

  /**
   * The device of a mapped SPI moves its line; an edge stays pending at the distributor until it is taken. Returns as
   * `setInput`.
   */
  setInput(irq: number, level: number): number {
    const row = this.rowOf(irq)
    if (level === 0 && this.words[irq] & IRQ_EDGE) return 0
    this.words[row + MAPPED_LINE] = level
    return this.isPending(row) ? this.take(row) : 0
  }

  /** Whether a mapped SPI that goes to a vCPU interrupts the host: it is pending again after it was deactivated. */
  interrupts(v: number): boolean {
    return this.pendingRow(v) !== 0
  }

  /** The host takes the physical interrupts of a vCPU's mapped SPIs. */
  takeInterrupts(v: number): void {
    for (let row = this.pendingRow(v); row !== 0; row = this.pendingRow(v)) {
      const target = this.take(row)
      if (target !== 0) this.apLists.notify(target)
    }
  }

  private pendingRow(v: number): number {
    const { words, apLists } = this
    const { mapped, mappedCount } = apLists.place
    for (let i = 0, row = mapped; i < mappedCount; i++, row += MAPPED_STRIDE) {
      if (this.isPending(row) && irqTarget(words[words[row + MAPPED_IRQ]]) === words[v + VCPU_INDEX])
        return row
    }
    return 0
  }

  private isPending(row: number): boolean {
    const { words, seam } = this
    return words[row + MAPPED_LINE] !== 0 && !seam.silicon.physical.isActive(0, words[row + MAPPED_PINTID])
  }

  /** The host acknowledges a physical interrupt, drops its priority without deactivating it, and injects the virtual one. */
  private take(row: number): number {
    const { words, seam, apLists } = this
    const pintid = words[row + MAPPED_PINTID]
    const irq = words[row + MAPPED_IRQ]
    seam.silicon.physical.setActive(0, pintid, true)
    if (words[irq] & IRQ_EDGE) words[row + MAPPED_LINE] = 0
    return apLists.setInput(irq, 1)
  }

  /** Whether an interrupt is an SPI of a physical device. */
  isMappedSpi(irq: number): boolean {
    return (this.words[irq] & IRQ_HW) !== 0 && this.rowOf(irq) !== 0
  }

  /** The row of a mapped SPI; 0 for a PPI. */
  private rowOf(irq: number): number {
    const { words, apLists } = this
    const { mapped, mappedCount, spis } = apLists.place
    if (irq < spis) return 0
    for (let i = 0, row = mapped; i < mappedCount; i++, row += MAPPED_STRIDE) {
      if (words[row + MAPPED_IRQ] === irq) return row
    }
    return 0
  }
}
