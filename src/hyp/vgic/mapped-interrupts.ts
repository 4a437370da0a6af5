/**
 * Interrupts of the VM that stand for physical ones: the timers' PPIs, and SPIs of devices that were given to
 * the VM. The physical interrupt stays active while the guest handles the virtual one, so that the host does
 * not take it again; the guest's deactivation deactivates it through the HW bit.
 */
import type { Intid } from '../../arch/intid.ts'
import { DISTRIBUTOR } from '../../gic/interrupts/physical-interrupts.ts'
import { asPe } from '../../gic/records/pe.ts'
import type { Seam } from '../host/seam.ts'
import { VCPU_IRQ, VCPU_PE, type Vcpu } from '../records/vcpu.ts'
import { asIrq, IRQ_HW, IRQ_LINE, type Irq, irqIsMappedLevel } from '../records/vgic-irq.ts'
import { MAPPED_IRQ, MAPPED_PINTID, MAPPED_STRIDE } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'
import type { ArchTimers } from './arch-timer.ts'

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
  pintidOf(v: Vcpu, irq: Irq): Intid {
    const row = this.rowOf(irq)
    return row === 0 ? irq - v - VCPU_IRQ : this.words[row + MAPPED_PINTID]
  }

  /** Whether the physical interrupt is pending: a timer says so itself. */
  physicalLine(v: Vcpu, irq: Irq): boolean {
    const row = this.rowOf(irq)
    if (row === 0) return this.timers.outputOf(v, irq - v - VCPU_IRQ)
    const { words, seam } = this
    return seam.readPhysicalPending(v, asPe(words[v + VCPU_PE]), words[row + MAPPED_PINTID])
  }

  /**
   * Software has deactivated the interrupt for the guest, where no HW bit of a list register did. A level counts as
   * pending only if its line is high now: while it was active nobody looked.
   */
  deactivate(v: Vcpu, irq: Irq): void {
    const { words } = this
    if (irqIsMappedLevel(words[irq]) && words[irq] & IRQ_LINE && !this.physicalLine(v, irq))
      words[irq] &= ~IRQ_LINE
    if (words[v + VCPU_PE] !== 0) this.setPhysicalActive(v, irq, false)
  }

  /** The same of a mapped SPI as the distributor has it, which nobody in the machine sees without an access. */
  isPendingAtDistributor(irq: Irq): boolean {
    const row = this.rowOf(irq)
    if (row === 0) return false
    const pintid = this.words[row + MAPPED_PINTID]
    return ((this.seam.silicon.physical.readPending(DISTRIBUTOR, pintid) >>> (pintid & 31)) & 1) === 1
  }

  /** Sets or clears the active state of the physical interrupt; one that is pending then is signalled again. */
  setPhysicalActive(v: Vcpu, irq: Irq, active: boolean): void {
    this.seam.writePhysicalActive(v, asPe(this.words[v + VCPU_PE]), this.pintidOf(v, irq), active)
  }

  /** The guest has cleared the pending state: at the distributor an edge that was not taken is gone too. */
  clearPhysicalPending(v: Vcpu, irq: Irq): void {
    this.seam.writePhysicalPending(v, asPe(this.words[v + VCPU_PE]), this.pintidOf(v, irq), false)
  }

  /** The device of a mapped SPI moves its line, which is one of the physical distributor's. */
  setInput(irq: Irq, level: number): void {
    this.seam.silicon.driveSpi(this.words[this.rowOf(irq) + MAPPED_PINTID], level !== 0)
  }

  /** The host has taken a physical SPI, which stays active: it injects the one that is mapped to it. */
  interrupt(pintid: Intid): void {
    const { words, apLists } = this
    const { mapped, mappedCount } = apLists.layout
    for (let i = 0, row = mapped; i < mappedCount; i++, row += MAPPED_STRIDE) {
      if (words[row + MAPPED_PINTID] === pintid) apLists.inject(asIrq(words[row + MAPPED_IRQ]), 1)
    }
  }

  /** Whether an interrupt is an SPI of a physical device. */
  isMappedSpi(irq: Irq): boolean {
    return (this.words[irq] & IRQ_HW) !== 0 && this.rowOf(irq) !== 0
  }

  /** The row of a mapped SPI; 0 for a PPI. */
  private rowOf(irq: Irq): number {
    const { words, apLists } = this
    const { mapped, mappedCount, spis } = apLists.layout
    if (irq < spis) return 0
    for (let i = 0, row = mapped; i < mappedCount; i++, row += MAPPED_STRIDE) {
      if (words[row + MAPPED_IRQ] === irq) return row
    }
    return 0
  }
}
