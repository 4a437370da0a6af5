/**
 * Interrupts of the VM that are mapped to physical ones: the timers' PPIs, and SPIs of devices that are assigned to
 * the VM. The physical interrupt stays active while the guest handles the virtual one, so that the host does not take
 * it again; the guest's deactivation deactivates it through the HW bit.
 */
import type { Intid } from '../../arch/intid.ts'
import { DISTRIBUTOR } from '../../gic/interrupts/physical-interrupts.ts'
import { asPe } from '../../gic/records/pe.ts'
import type { Seam } from '../host/seam.ts'
import { privateIntid, VCPU_PE, type Vcpu } from '../records/vcpu.ts'
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
    return row === 0 ? privateIntid(v, irq) : this.words[row + MAPPED_PINTID]
  }

  /** Whether the physical interrupt is pending; for a PPI, whether the timer asserts it. */
  physicalLine(v: Vcpu, irq: Irq): boolean {
    const row = this.rowOf(irq)
    if (row === 0) return this.timers.outputOf(v, privateIntid(v, irq))
    const { words, seam } = this
    return seam.readPhysicalPending(v, asPe(words[v + VCPU_PE]), words[row + MAPPED_PINTID])
  }

  /**
   * Deactivates the physical interrupt in software, where no HW bit of a list register did. A level-sensitive
   * interrupt stays pending only if its line is high now, since the line was not sampled while it was active.
   */
  deactivate(v: Vcpu, irq: Irq): void {
    const { words } = this
    if (irqIsMappedLevel(words[irq]) && words[irq] & IRQ_LINE && !this.physicalLine(v, irq))
      words[irq] &= ~IRQ_LINE
    if (words[v + VCPU_PE] !== 0) this.setPhysicalActive(v, irq, false)
  }

  /**
   * Whether a mapped SPI is pending at the distributor. It is the model's own question: software would need an
   * access.
   */
  isPendingAtDistributor(irq: Irq): boolean {
    const row = this.rowOf(irq)
    if (row === 0) return false
    const pintid = this.words[row + MAPPED_PINTID]
    return ((this.seam.silicon.physical.readPending(DISTRIBUTOR, pintid) >>> (pintid & 31)) & 1) === 1
  }

  /** Sets or clears the active state of the physical interrupt; once inactive, a pending one is signalled again. */
  setPhysicalActive(v: Vcpu, irq: Irq, active: boolean): void {
    this.seam.writePhysicalActive(v, asPe(this.words[v + VCPU_PE]), this.pintidOf(v, irq), active)
  }

  /** Sets the line of a mapped SPI, which is an input of the physical distributor. */
  setInput(irq: Irq, level: number): void {
    this.seam.silicon.driveSpi(this.words[this.rowOf(irq) + MAPPED_PINTID], level !== 0)
  }

  /** Injects the virtual SPI that is mapped to a physical one, which the host has taken and which stays active. */
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
