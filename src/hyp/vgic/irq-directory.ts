/**
 * A directory of the interrupts of a VM, for code that visits all of them or keeps a bit for each. A handle of an
 * unknown kind is refused, so that a new kind is not mistaken for an SPI because its handle is a large number.
 */
import { FIRST_SPI, type Intid } from '../../arch/intid.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { asVcpu, privateIrq, VCPU_IRQ } from '../records/vcpu.ts'
import { asIrq, IRQ_SHIFT, type Irq, irqAfter } from '../records/vgic-irq.ts'
import type { VmLayout } from '../records/vm.ts'

/** A vCPU's SGI or PPI, an SPI, or an LPI. */
export type IrqKind = 'private' | 'spi' | 'lpi'

export class IrqDirectory {
  /** The number of indices. */
  readonly count: number
  /** All interrupts, those of the vCPUs first, for code that visits them at every step. */
  readonly all: Int32Array

  /** The index of the LPI in slot 1: those of a kind begin at a multiple of 32. */
  private readonly firstLpi: number
  private readonly spiEnd: number

  constructor(private readonly layout: VmLayout) {
    const { vcpuCount, spiCount, lpis } = layout
    const { records, size, count } = lpis.lpi
    this.firstLpi = FIRST_SPI * vcpuCount + Math.max((spiCount + 31) & ~31, 32)
    this.spiEnd = FIRST_SPI * vcpuCount + spiCount
    this.count = count === 0 ? this.spiEnd : this.firstLpi + count
    this.all = Int32Array.from([
      ...Array.from({ length: FIRST_SPI * vcpuCount + spiCount }, (_, index) => this.atIndex(index)),
      ...Array.from({ length: count }, (_, slot) => records + slot * size),
    ])
  }

  /** The kind of interrupt whose word is at an offset; undefined if there is none. */
  kindAt(word: number): IrqKind | undefined {
    const { vcpus, vcpuSize, vcpuCount, spis, spiCount, lpis } = this.layout
    if (word >= spis && word < irqAfter(asIrq(spis), spiCount)) return isIrq(word - spis) ? 'spi' : undefined
    const { records, size, count } = lpis.lpi
    if (word >= records && word < records + count * size)
      return (word - records) % size === 0 ? 'lpi' : undefined
    if (word < vcpus || word >= vcpus + vcpuCount * vcpuSize) return undefined
    const offset = ((word - vcpus) % vcpuSize) - VCPU_IRQ
    return offset >= 0 && offset < FIRST_SPI << IRQ_SHIFT && isIrq(offset) ? 'private' : undefined
  }

  /** The kind of an interrupt. */
  kindOf(irq: Irq): IrqKind {
    const kind = this.kindAt(irq)
    if (kind !== undefined) return kind
    throw new VgicError(
      'argument',
      `${irq} is not the handle of an interrupt: take that of an SGI, a PPI, an SPI or an LPI.`,
    )
  }

  /**
   * The index of an interrupt, for bitmaps: each vCPU's private interrupts have 32 indices in a row, the SPIs follow, and
   * then the LPIs by their slots.
   */
  indexOf(irq: Irq): number {
    const { vcpus, vcpuSize, vcpuCount, spis } = this.layout
    switch (this.kindOf(irq)) {
      case 'private': {
        const offset = irq - vcpus
        return FIRST_SPI * Math.floor(offset / vcpuSize) + (((offset % vcpuSize) - VCPU_IRQ) >> IRQ_SHIFT)
      }
      case 'spi':
        return FIRST_SPI * vcpuCount + ((irq - spis) >> IRQ_SHIFT)
      case 'lpi':
        return this.firstLpi + (irq - this.layout.lpis.lpi.records) / this.layout.lpis.lpi.size
    }
  }

  /** The same of a private interrupt of a vCPU, or of an SPI, by its INTID. */
  indexOfIntid(vcpu: number, intid: Intid): number {
    const row = intid < FIRST_SPI ? vcpu : this.layout.vcpuCount - 1
    return FIRST_SPI * row + intid
  }

  /** The interrupt with an index. */
  atIndex(index: number): Irq {
    const { vcpus, vcpuSize, vcpuCount, spis } = this.layout
    const { lpi } = this.layout.lpis
    if (index >= this.firstLpi) return asIrq(lpi.records + (index - this.firstLpi) * lpi.size)
    const vcpu = Math.floor(index / FIRST_SPI)
    if (vcpu < vcpuCount) return privateIrq(asVcpu(vcpus + vcpu * vcpuSize), index % FIRST_SPI)
    return irqAfter(asIrq(spis), index - FIRST_SPI * vcpuCount)
  }

  /** Visits every interrupt, those of the vCPUs first; of LPIs also slots that are free, whose words are 0. */
  forEach(visit: (irq: Irq, kind: IrqKind) => void): void {
    for (let index = 0; index < this.count; index++) {
      if (index === this.spiEnd) index = this.firstLpi
      if (index === this.count) return
      const irq = this.atIndex(index)
      visit(irq, this.kindOf(irq))
    }
  }
}

/** Whether the word at an offset from the first interrupt of a kind is one's word, and not a link. */
const isIrq = (offset: number): boolean => (offset & ((1 << IRQ_SHIFT) - 1)) === 0
