/**
 * S12 and L5: an interrupt becomes inactive when the guest that has acknowledged it deactivates it, and then only. Each
 * method returns a text that says what is wrong, or undefined.
 */
import { LR_ACTIVE, VMCR_VEOIM } from '../arch/ich-registers.ts'
import { FIRST_SPI, intidName } from '../arch/intid.ts'
import { ICH_AP0R, ICH_AP1R, ICH_VMCR } from '../gic/cpu-interface/virtual-interface.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { hasOperation, OP_MMIO_WRITE, OP_WORDS, OP_WRITE } from '../hyp/records/guest-program.ts'
import { GUEST_ACK, GUEST_DEPTH, GUEST_PC } from '../hyp/records/guest-record.ts'
import {
  peOf,
  VCPU_AP_FIRST,
  VCPU_AP0R,
  VCPU_AP1R,
  VCPU_ESR,
  VCPU_INDEX,
  VCPU_LOADED,
  VCPU_LR_IRQ,
  VCPU_USED_LRS,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_DEACTIVATED,
  IRQ_GROUP1,
  IRQ_LINK,
  type Irq,
  irqApListOf,
  irqPriority,
} from '../hyp/records/vgic-irq.ts'
import type { Machine } from '../scenario/machine.ts'
import { isInListRegister } from './invariants.ts'

export class DeactivationInvariants {
  private readonly hypervisor: Hypervisor
  private readonly words: Int32Array

  constructor(private readonly machine: Machine) {
    this.hypervisor = machine.hypervisor
    this.words = machine.hypervisor.words
  }

  /** S12, after a guest's write to ICC_DIR_EL1; `before` is the words as they were before it. */
  lostDeactivation(v: Vcpu, before: Int32Array): string | undefined {
    const { hypervisor, words, machine } = this
    const { apLists, layout } = hypervisor
    const isDone = words[v + GUEST_PC] === before[v + GUEST_PC] + 1 && words[v + VCPU_ESR] === 0
    if (!isDone || (before[peOf(before, v) + ICH_VMCR] & VMCR_VEOIM) === 0) return undefined
    const { ops } = machine.setup.guests[before[v + VCPU_INDEX]]
    const at = before[v + GUEST_PC] * OP_WORDS
    const intid = ops[at] === OP_WRITE ? ops[at + 2] : before[v + GUEST_ACK + before[v + GUEST_DEPTH]]
    if (intid < FIRST_SPI || intid >= FIRST_SPI + layout.spiCount) return undefined
    const irq = apLists.irqOf(v, intid)
    const owner = irqApListOf(before[irq])
    if (owner === 0 || owner === before[v + VCPU_INDEX] + 1) return undefined
    const other = apLists.vcpuOf(owner - 1)
    if ((before[irq] & IRQ_ACTIVE) === 0 && !isInListRegister(before, other, intid, LR_ACTIVE))
      return undefined
    return `vcpu${before[v + VCPU_INDEX]} deactivates ${intidName(intid)}, which is active on vcpu${owner - 1}, which is not notified`
  }

  /**
   * S12, after a fold of a vCPU whose guest has EOImode 0; `before` is the words as they were before it. An interrupt that
   * the guest still handles has an active priority, which the EOI takes away. LPIs have no active state.
   */
  wrongDeactivation(v: Vcpu, before: Int32Array): string | undefined {
    const { words, hypervisor } = this
    const { apLists, interrupts } = hypervisor
    if (this.machine.ghosts.vmcrOf(v) & VMCR_VEOIM) return undefined
    for (let irq = asIrq(before[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(before[irq + IRQ_LINK])) {
      if (words[irq] & IRQ_ACTIVE || before[irq] & IRQ_DEACTIVATED || interrupts.kindOf(irq) === 'lpi')
        continue
      const intid = apLists.intidOf(v, irq)
      const wasActive = isHeld(before, v, irq)
        ? isInListRegister(before, v, intid, LR_ACTIVE)
        : (before[irq] & IRQ_ACTIVE) !== 0
      if (wasActive && this.isHandled(v, irq))
        return `vcpu${words[v + VCPU_INDEX]} handles ${intidName(intid)}, and its fold deactivates it`
    }
    return undefined
  }

  /** S12, after a fold: an LPI is active. Its EOI counts nowhere, so that one in no list register stays so. */
  activeLpi(v: Vcpu): string | undefined {
    const { words, hypervisor } = this
    const { apLists, interrupts } = hypervisor
    for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
      if (words[irq] & IRQ_ACTIVE && interrupts.kindOf(irq) === 'lpi')
        return `${intidName(apLists.intidOf(v, irq))} is active on vcpu${words[v + VCPU_INDEX]}, in no list register`
    }
    return undefined
  }

  /** Whether an active priority of a vCPU stands for an inactive interrupt, since none that is active has that priority. */
  private isHandled(v: Vcpu, irq: Irq): boolean {
    const { words } = this
    const at = peOf(words, v) + (words[irq] & IRQ_GROUP1 ? ICH_AP1R : ICH_AP0R)
    const level = this.levelOf(v, irq)
    if (((words[at + (level >> 5)] >>> (level & 31)) & 1) === 0) return false
    const first = asIrq(words[v + VCPU_AP_FIRST])
    for (let other = first; other !== 0; other = asIrq(words[other + IRQ_LINK])) {
      if (words[other] & IRQ_ACTIVE && this.levelOf(v, other) === level) return false
    }
    return true
  }

  /** The preemption level of an interrupt: its bit in the active priorities registers. */
  private levelOf(v: Vcpu, irq: Irq): number {
    const { virtualInterface } = this.hypervisor.silicon
    const mask = virtualInterface.groupMask(this.machine.ghosts.vmcrOf(v), this.words[irq] & IRQ_GROUP1)
    return (irqPriority(this.words[irq]) & mask) >> virtualInterface.levelShift
  }

  /**
   * L5, in a state in which no actor can step. With EOImode 0 an interrupt is deactivated when its priority is dropped.
   * Guests that write to the emulated GIC may have made an interrupt active themselves, and are not judged.
   */
  stuckActive(): string | undefined {
    const { words, machine, hypervisor } = this
    if (machine.setup.guests.some((guest) => hasOperation(guest, OP_MMIO_WRITE))) return undefined
    const { apLists } = hypervisor
    for (let i = 0; i < hypervisor.layout.vcpuCount; i++) {
      const v = hypervisor.vcpu(i)
      if (machine.ghosts.vmcrOf(v) & VMCR_VEOIM || this.hasActivePriority(v)) continue
      for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
        if (words[irq] & IRQ_ACTIVE)
          return `${intidName(apLists.intidOf(v, irq))} is active on vcpu${i}, whose guest has ended it`
      }
    }
    return undefined
  }

  /** Whether a guest has acknowledged an interrupt whose priority it has not dropped. */
  private hasActivePriority(v: Vcpu): boolean {
    const { words, hypervisor } = this
    const isLoaded = words[v + VCPU_LOADED] !== 0
    const [group0, group1] = isLoaded
      ? [peOf(words, v) + ICH_AP0R, peOf(words, v) + ICH_AP1R]
      : [v + VCPU_AP0R, v + VCPU_AP1R]
    for (let n = 0; n < hypervisor.silicon.virtualInterface.activePriorityRegisters; n++)
      if (words[group0 + n] | words[group1 + n]) return true
    return false
  }
}

/** Whether a vCPU's last flush put an interrupt into a list register. */
function isHeld(words: Int32Array, v: Vcpu, irq: Irq): boolean {
  for (let n = 0; n < words[v + VCPU_USED_LRS]; n++) if (words[v + VCPU_LR_IRQ + n] === irq) return true
  return false
}
