/**
 * The effects on interrupts of a guest's accesses to registers with bits for each interrupt (KVM's vgic-mmio.c). An
 * access covers `count` interrupts whose words begin at `at`; private ones are the vCPU `owner`'s. Each method is one
 * step, where KVM takes each interrupt's lock in turn.
 */

import { asPe } from '../../gic/records/pe.ts'
import { asVcpu, privateIntid, VCPU_PE, type Vcpu } from '../records/vcpu.ts'
import {
  IRQ_ACTIVE,
  IRQ_EDGE,
  IRQ_ENABLED,
  IRQ_GROUP1,
  IRQ_HW,
  IRQ_LATCH,
  IRQ_LINE,
  IRQ_PRIORITY,
  IRQ_PRIORITY_SHIFT,
  IRQ_SHIFT,
  type Irq,
  irqAfter,
  irqIsMappedLevel,
  irqIsPending,
  irqPriority,
} from '../records/vgic-irq.ts'
import { VM_RUNNING } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'
import type { MappedInterrupts } from './mapped-interrupts.ts'
import type { Vsgis } from './vsgis.ts'

/** KVM keeps five bits of a priority. */
const PRIORITY_BITS = 0xf8
const SGIS = 16

export class VgicMmioIrqs {
  /** Set when the VM is made, if it can have vSGIs. */
  vsgis: Vsgis | null = null
  readonly words: Int32Array
  /** The word of SPI 32. */
  private readonly spis: number
  private readonly edgeLines: number

  constructor(
    readonly apLists: ApLists,
    readonly mapped: MappedInterrupts,
  ) {
    this.words = apLists.words
    this.spis = apLists.layout.spis
    this.edgeLines = apLists.layout.edgeLines
  }

  /** One flag of each interrupt. */
  flags(at: Irq, count: number, shift: number): number {
    return gather(this.words, at, count, shift)
  }

  /** ISPENDR and ICPENDR. The pending state of a mapped level-sensitive interrupt is that of its physical line. */
  pending(owner: Vcpu, at: Irq, count: number): number {
    const { words } = this
    if (this.isVsgi(owner, at)) return this.pendingVsgis(owner, at, count)
    let value = 0
    for (let i = 0; i < count; i++) {
      const word = words[irqAfter(at, i)]
      const isPending = irqIsMappedLevel(word)
        ? this.physicalLine(owner, irqAfter(at, i))
        : irqIsPending(word)
      if (isPending) value |= 1 << i
    }
    return value
  }

  /** Whether the interrupts from `at` on begin with a vSGI. An access covers all SGIs of a register, or only SGIs. */
  private isVsgi(owner: Vcpu, at: Irq): boolean {
    return this.vsgis?.isVsgi(owner, at) ?? false
  }

  /** vSGIs, and the PPIs behind them. */
  private pendingVsgis(owner: Vcpu, at: Irq, count: number): number {
    const sgis = SGIS - privateIntid(owner, at)
    const first = this.vsgis?.pending(owner) ?? 0
    if (count <= sgis) return (first >>> (SGIS - sgis)) & ((1 << count) - 1)
    return first | (this.pending(owner, irqAfter(at, sgis), count - sgis) << sgis)
  }

  /** The hardware gets the new configuration of the vSGIs among the interrupts whose bits are set. */
  private updateVsgis(owner: Vcpu, at: Irq, count: number, bits: number): void {
    const first = privateIntid(owner, at)
    for (let i = 0; i < count && first + i < SGIS; i++)
      if ((bits >>> i) & 1) this.vsgis?.update(owner, first + i)
  }

  /** Of the interrupts whose bits are set, vSGIs become pending, or not. Returns the bits of the others. */
  private setVsgis(owner: Vcpu, at: Irq, count: number, bits: number, pending: boolean): number {
    const first = privateIntid(owner, at)
    let others = bits
    for (let i = 0; i < count && first + i < SGIS; i++) {
      others &= ~(1 << i)
      if (((bits >>> i) & 1) === 0) continue
      if (pending) this.vsgis?.send(this.apLists.accessing, owner, first + i)
      else this.vsgis?.clear(owner, first + i)
    }
    return others
  }

  priorities(at: Irq, count: number): number {
    let value = 0
    for (let i = 0; i < count; i++) value |= irqPriority(this.words[irqAfter(at, i)]) << (8 * i)
    return value
  }

  /** ICFGR: bit 1 of each field is set for an edge. */
  triggers(at: Irq, count: number): number {
    let value = 0
    for (let i = 0; i < count; i++) value |= (this.words[irqAfter(at, i)] & IRQ_EDGE) << (2 * i)
    return value
  }

  setGroup(owner: Vcpu, at: Irq, count: number, value: number): void {
    for (let i = 0; i < count; i++) {
      const word = this.words[irqAfter(at, i)] & ~IRQ_GROUP1
      this.apLists.store(irqAfter(at, i), (value >>> i) & 1 ? word | IRQ_GROUP1 : word)
    }
    if (this.isVsgi(owner, at)) this.updateVsgis(owner, at, count, -1)
  }

  /**
   * ISENABLER. The line of a mapped level-sensitive interrupt is sampled again, since the guest may have changed its
   * device meanwhile: if the line has fallen, the physical interrupt must be taken when it rises again.
   */
  enable(owner: Vcpu, at: Irq, count: number, value: number): void {
    for (let i = 0; i < count; i++) {
      if (((value >>> i) & 1) === 0) continue
      const irq = irqAfter(at, i)
      const word = this.words[irq]
      let line = word & IRQ_LINE
      if (irqIsMappedLevel(word)) {
        line = this.physicalLine(owner, irq) ? IRQ_LINE : 0
        const hasFallen = (word & IRQ_LINE) !== 0 && line === 0
        if (hasFallen && (word & IRQ_ACTIVE) === 0) this.setPhysicalActive(owner, irq, word, false)
      }
      this.apLists.store(irq, (word & ~IRQ_LINE) | line | IRQ_ENABLED)
    }
    if (this.isVsgi(owner, at)) this.updateVsgis(owner, at, count, value)
  }

  /** ICENABLER. An interrupt in a list register stays there until its vCPU exits, for which `emulateMmio` waits. */
  disable(owner: Vcpu, at: Irq, count: number, value: number): void {
    for (let i = 0; i < count; i++) if ((value >>> i) & 1) this.words[irqAfter(at, i)] &= ~IRQ_ENABLED
    if (this.isVsgi(owner, at)) this.updateVsgis(owner, at, count, value)
  }

  /** ISPENDR. The physical interrupt of a mapped one is made active, as if the host had taken it for the guest. */
  setPending(owner: Vcpu, at: Irq, count: number, value: number): void {
    const bits = this.isVsgi(owner, at) ? this.setVsgis(owner, at, count, value, true) : value
    for (let i = 0; i < count; i++) {
      if (((bits >>> i) & 1) === 0) continue
      const word = this.words[irqAfter(at, i)]
      if (word & IRQ_HW) this.setPhysicalActive(owner, irqAfter(at, i), word, true)
      this.apLists.store(irqAfter(at, i), word | IRQ_LATCH)
    }
  }

  /**
   * ICPENDR. The pending state of a mapped interrupt is also in the distributor. The physical interrupt must not stay
   * active if the guest will never deactivate the virtual one, since the host would never take it again.
   */
  clearPending(owner: Vcpu, at: Irq, count: number, value: number): void {
    const bits = this.isVsgi(owner, at) ? this.setVsgis(owner, at, count, value, false) : value
    for (let i = 0; i < count; i++) {
      if (((bits >>> i) & 1) === 0) continue
      const irq = irqAfter(at, i)
      const word = this.words[irq]
      this.words[irq] = word & ~IRQ_LATCH
      if ((word & IRQ_HW) === 0) continue
      this.clearPhysicalPending(owner, irq)
      if ((word & IRQ_ACTIVE) === 0) this.setPhysicalActive(owner, irq, word, false)
    }
  }

  /** ISACTIVER. An active interrupt is put on the ap_list of its vCPU. A vSGI has no active state. */
  setActive(owner: Vcpu, at: Irq, count: number, value: number): void {
    for (let i = 0; i < count; i++) {
      if (((value >>> i) & 1) === 0 || this.isVsgi(owner, irqAfter(at, i))) continue
      const word = this.words[irqAfter(at, i)]
      this.setPhysicalActive(owner, irqAfter(at, i), word, true)
      this.apLists.store(irqAfter(at, i), word | IRQ_ACTIVE)
    }
  }

  clearActive(owner: Vcpu, at: Irq, count: number, value: number): void {
    for (let i = 0; i < count; i++) {
      if (((value >>> i) & 1) === 0) continue
      const irq = irqAfter(at, i)
      const word = this.words[irq]
      this.words[irq] = word & ~IRQ_ACTIVE
      if ((word & IRQ_HW) === 0) continue
      if (this.answersFromMemory) this.setPhysicalActive(owner, irq, word, false)
      else this.mapped.deactivate(owner, irq)
    }
  }

  /** IPRIORITYR. An interrupt in a list register keeps its old priority until its vCPU exits. */
  setPriorities(owner: Vcpu, at: Irq, count: number, value: number): void {
    for (let i = 0; i < count; i++) {
      const priority = (value >>> (8 * i)) & PRIORITY_BITS
      this.words[irqAfter(at, i)] =
        (this.words[irqAfter(at, i)] & ~IRQ_PRIORITY) | (priority << IRQ_PRIORITY_SHIFT)
    }
    if (this.isVsgi(owner, at)) this.updateVsgis(owner, at, count, -1)
  }

  /** The triggers of SPIs; those of private interrupts are fixed. */
  setTriggers(at: Irq, count: number, value: number): void {
    const { words } = this
    for (let i = 0; i < count; i++) {
      const irq = irqAfter(at, i)
      const word = words[irq]
      if (((word ^ (value >>> (2 * i))) & IRQ_EDGE) === 0) continue
      if (word & IRQ_EDGE) {
        words[irq] = (word & ~IRQ_EDGE) | (this.isLineHeld(irq) ? IRQ_LINE : 0)
        this.holdLine(irq, false)
      } else {
        words[irq] = (word & ~IRQ_LINE) | IRQ_EDGE
        this.holdLine(irq, (word & IRQ_LINE) !== 0)
      }
    }
  }

  /** Remembers the line of an edge-triggered SPI until the guest makes it level-sensitive again, as KVM does. */
  holdLine(irq: Irq, level: boolean): void {
    const spi = (irq - this.spis) >> IRQ_SHIFT
    const at = this.edgeLines + (spi >> 5)
    const bit = 1 << (spi & 31)
    this.words[at] = level ? this.words[at] | bit : this.words[at] & ~bit
  }

  private isLineHeld(irq: Irq): boolean {
    const spi = (irq - this.spis) >> IRQ_SHIFT
    return ((this.words[this.edgeLines + (spi >> 5)] >>> (spi & 31)) & 1) === 1
  }

  /** Whether the access under way is emulated from memory, as Linux does it: the step `emulateMmioFromMemory`. */
  private get answersFromMemory(): boolean {
    return this.words[this.apLists.layout.vm + VM_RUNNING] !== 0
  }

  private physicalLine(owner: Vcpu, irq: Irq): boolean {
    if (!this.answersFromMemory || irq >= this.spis) return this.mapped.physicalLine(owner, irq)
    return this.mapped.timers.outputOf(this.executing(owner), privateIntid(owner, irq))
  }

  /**
   * The vCPU on whose PE the physical interrupts of an access are: that which executes the access as Linux emulates it, even
   * for the PPIs of another; otherwise their own.
   */
  private executing(owner: Vcpu): Vcpu {
    const running = this.words[this.apLists.layout.vm + VM_RUNNING]
    return running === 0 ? owner : asVcpu(running)
  }

  /**
   * Sets or clears the active state of a mapped interrupt's physical one. For a private interrupt, which is a
   * timer's, of a vCPU that is on no PE, the next load does it.
   */
  private setPhysicalActive(owner: Vcpu, irq: Irq, word: number, active: boolean): void {
    const at = this.executing(owner)
    const pe = this.words[at + VCPU_PE]
    if ((word & IRQ_HW) === 0 || pe === 0) return
    this.mapped.seam.writePhysicalActive(at, asPe(pe), this.mapped.pintidOf(owner, irq), active)
  }

  private clearPhysicalPending(owner: Vcpu, irq: Irq): void {
    const at = this.executing(owner)
    const pe = this.words[at + VCPU_PE]
    if (pe !== 0) this.mapped.seam.writePhysicalPending(at, asPe(pe), this.mapped.pintidOf(owner, irq), false)
  }
}

/** Gathers a bit of the words of `count` interrupts, four at a time: bit x of the result is of the x-th from `at` on. */
function gather(words: Int32Array, at: Irq, count: number, shift: number): number {
  let value = 0
  for (let i = count & ~3; i < count; i++) value |= ((words[irqAfter(at, i)] >>> shift) & 1) << i
  for (let i = (count & ~3) - 4; i >= 0; i -= 4) {
    const first = irqAfter(at, i)
    const low = ((words[first] >>> shift) & 1) | (((words[irqAfter(first, 1)] >>> shift) & 1) << 1)
    const third = irqAfter(at, i + 2)
    const high = ((words[third] >>> shift) & 1) | (((words[irqAfter(third, 1)] >>> shift) & 1) << 1)
    value |= (low | (high << 2)) << i
  }
  return value
}
