/**
 * The interrupts of a VM, for whoever goes through all of them or keeps a bit for each. A handle of a kind that is not
 * known here is refused, so that a new kind cannot pass for an SPI because its handle is a large number.
 */
import { FIRST_SPI } from '../../arch/intid.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { VCPU_IRQ } from '../records/vcpu.ts'
import { asIrq, type Irq } from '../records/vgic-irq.ts'
import type { VmLayout } from '../records/vm.ts'

/** A vCPU's SGI or PPI, or an SPI. */
export type IrqKind = 'private' | 'spi'

export class IrqDirectory {
  /** How many numbers there are. */
  readonly count: number
  /** Pairs `start, end` of the words of all interrupts, those of the vCPUs first: for who visits them at every step. */
  readonly ranges: Int32Array

  constructor(private readonly layout: VmLayout) {
    const { vcpus, vcpuSize, vcpuCount, spis, spiCount } = layout
    this.count = FIRST_SPI * vcpuCount + spiCount
    this.ranges = Int32Array.from([
      ...Array.from({ length: vcpuCount }, (_, i) => vcpus + i * vcpuSize + VCPU_IRQ).flatMap((first) => [
        first,
        first + FIRST_SPI,
      ]),
      spis,
      spis + spiCount,
    ])
  }

  /** The kind of interrupt whose word is at an offset; undefined if there is none. */
  kindAt(word: number): IrqKind | undefined {
    const { vcpus, vcpuSize, vcpuCount, spis, spiCount } = this.layout
    if (word >= spis && word < spis + spiCount) return 'spi'
    if (word < vcpus || word >= vcpus + vcpuCount * vcpuSize) return undefined
    const intid = ((word - vcpus) % vcpuSize) - VCPU_IRQ
    return intid >= 0 && intid < FIRST_SPI ? 'private' : undefined
  }

  /** The kind of an interrupt. */
  kindOf(irq: Irq): IrqKind {
    const kind = this.kindAt(irq)
    if (kind !== undefined) return kind
    throw new VgicError(
      'argument',
      `${irq} is the handle of no interrupt: take that of a private one or of an SPI.`,
    )
  }

  /** A number for each interrupt, for bitmaps: those of a vCPU's private ones are 32 in a row, and so are SPIs from 32 on. */
  indexOf(irq: Irq): number {
    const { vcpus, vcpuSize, vcpuCount, spis } = this.layout
    switch (this.kindOf(irq)) {
      case 'private': {
        const offset = irq - vcpus
        return FIRST_SPI * Math.floor(offset / vcpuSize) + (offset % vcpuSize) - VCPU_IRQ
      }
      case 'spi':
        return FIRST_SPI * vcpuCount + irq - spis
    }
  }

  /** The interrupt of a number. */
  atIndex(index: number): Irq {
    const { vcpus, vcpuSize, vcpuCount, spis } = this.layout
    const vcpu = Math.floor(index / FIRST_SPI)
    if (vcpu < vcpuCount) return asIrq(vcpus + vcpu * vcpuSize + VCPU_IRQ + (index % FIRST_SPI))
    return asIrq(spis + index - FIRST_SPI * vcpuCount)
  }

  /** Visits every interrupt, those of the vCPUs first. */
  forEach(visit: (irq: Irq, kind: IrqKind) => void): void {
    for (let index = 0; index < this.count; index++) {
      const irq = this.atIndex(index)
      visit(irq, this.kindOf(irq))
    }
  }
}
