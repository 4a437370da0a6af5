/**
 * S9 and S13: what a guest acknowledges has come, and a mapped interrupt has its physical one. Each method returns a text
 * that says what is wrong, or undefined.
 *
 * Edges are counted by where they are, so that no number has to be kept: a flush moves one to its list register, and a fold
 * brings back what was not acknowledged. Of levels only what software can know is asked: a line may fall once its interrupt
 * is in a list register, and that a guest then takes it in vain is allowed.
 */
import { LR_HW, LR_PENDING, LR_State } from '../arch/ich-registers.ts'
import { intidName } from '../arch/intid.ts'
import { ICH_LR } from '../gic/cpu-interface/virtual-interface.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import {
  peOf,
  privateIntid,
  timerIntids,
  VCPU_INDEX,
  VCPU_LR_IRQ,
  VCPU_USED_LRS,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { asIrq, IRQ_EDGE, IRQ_HW, IRQ_LATCH, IRQ_LINE, type Irq } from '../hyp/records/vgic-irq.ts'

export class AcknowledgeInvariants {
  private readonly words: Int32Array

  constructor(private readonly hypervisor: Hypervisor) {
    this.words = hypervisor.words
  }

  /** S9, when a vCPU has just entered its guest: a mapped interrupt in a list register has its physical one active. */
  unmatched(v: Vcpu): string | undefined {
    const { words } = this
    const { silicon, mapped } = this.hypervisor
    const pe = peOf(words, v)
    for (let n = 0; n < words[v + VCPU_USED_LRS]; n++) {
      const irq = asIrq(words[v + VCPU_LR_IRQ + n])
      const high = words[pe + ICH_LR + 2 * n + 1]
      if ((high & LR_HW) === 0 || LR_State(high) === 0) continue
      const pintid = mapped.pintidOf(v, irq)
      if (silicon.physical.isActive(pe, pintid)) continue
      return `${this.nameOf(v, irq)} is in a list register of vcpu${words[v + VCPU_INDEX]}, and physical ${intidName(pintid)} is not active`
    }
    return undefined
  }

  /** S13, after a flush: an edge that went to a list register is pending nowhere else, and the line of a level is high. */
  filledInVain(v: Vcpu): string | undefined {
    const { words } = this
    const pe = peOf(words, v)
    for (let n = 0; n < words[v + VCPU_USED_LRS]; n++) {
      const irq = asIrq(words[v + VCPU_LR_IRQ + n])
      if ((words[pe + ICH_LR + 2 * n + 1] & LR_PENDING) === 0) continue
      if (words[irq] & IRQ_EDGE) {
        if (words[irq] & IRQ_LATCH)
          return `the edge of ${this.nameOf(v, irq)} is in a list register, and pending in software still`
      } else if ((words[irq] & IRQ_LATCH) === 0 && !this.isHigh(v, irq)) {
        return `${this.nameOf(v, irq)} goes into a list register as pending, and its line is low`
      }
    }
    return undefined
  }

  /** Whether the line of a level-sensitive interrupt is high. That of a mapped SPI was sampled when the host took it. */
  private isHigh(v: Vcpu, irq: Irq): boolean {
    const { timers, mapped } = this.hypervisor
    if ((this.words[irq] & IRQ_HW) === 0) return (this.words[irq] & IRQ_LINE) !== 0
    return mapped.isMappedSpi(irq) || timers.outputOf(v, privateIntid(v, irq))
  }

  /**
   * S13, after a fold; `before` is the words as they were before it: an edge that was acknowledged is not pending again, and
   * what a level has in its list register does not become pending state of software, which no line takes back.
   */
  takenBack(v: Vcpu, before: Int32Array): string | undefined {
    const { words } = this
    const pe = peOf(words, v)
    for (let n = 0; n < before[v + VCPU_USED_LRS]; n++) {
      const irq = asIrq(before[v + VCPU_LR_IRQ + n])
      if ((words[irq] & ~before[irq] & IRQ_LATCH) === 0) continue
      if ((words[irq] & IRQ_EDGE) === 0)
        return `the fold makes ${this.nameOf(v, irq)} pending, whatever its line does`
      if ((before[pe + ICH_LR + 2 * n + 1] & LR_PENDING) === 0)
        return `${this.nameOf(v, irq)} is pending again, although vcpu${words[v + VCPU_INDEX]} has acknowledged it`
    }
    return undefined
  }

  private nameOf(v: Vcpu, irq: Irq): string {
    const { apLists, timers } = this.hypervisor
    const intid = apLists.intidOf(v, irq)
    return timers.present && timerIntids.some((timer) => timer === intid)
      ? `the timer's ${intidName(intid)}`
      : intidName(intid)
  }
}
