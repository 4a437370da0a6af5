/**
 * Infers, after a restore, which vCPU has each active SPI. KVM's saved state does not have that: an active SPI is a
 * bit of the distributor, and GICD_IROUTER may have been written since a guest acknowledged it. The ap_list that it
 * is on matters for EOImode 0: a guest's EOI finds the interrupt only in the list registers of its own vCPU.
 *
 * It follows from the active priorities, `ICC_AP0R<n>_EL1` and `ICC_AP1R<n>_EL1`: an acknowledge sets the bit of the
 * interrupt's preemption level, and the priority drop clears it. The bits of each vCPU are matched with its active
 * SGIs and PPIs, then with active SPIs that are routed to it. A remaining SPI goes to a vCPU with a matching bit
 * left. One without a bit anywhere stays at its target: its priority was dropped, in EOImode 1, and the guest will
 * end it by ICC_DIR_EL1, which finds it on any list; or it was never acknowledged.
 *
 * Ambiguous are two SPIs of one level that are active at two vCPUs, if one or both were re-routed since, and
 * interrupts whose priority was changed since their acknowledge. Then as few SPIs as possible are assumed to be away
 * from their targets.
 */
import { FIRST_SPI } from '../../arch/intid.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { VCPU_AP0R, VCPU_AP1R, VCPU_VMCR } from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_GROUP1,
  type Irq,
  irqAfter,
  irqApListOf,
  irqPriority,
} from '../records/vgic-irq.ts'

/** Words of a vCPU's active priorities: four of each group. */
const AP_WORDS = 4

class ActivePriorities {
  /** By vCPU, the active priorities that are not matched yet: group 0, then group 1. */
  private readonly bits: readonly Int32Array[]

  constructor(private readonly hypervisor: Hypervisor) {
    const { words, layout } = hypervisor
    this.bits = Array.from({ length: layout.vcpuCount }, (_, index) => {
      const v = hypervisor.vcpu(index)
      const bits = new Int32Array(2 * AP_WORDS)
      bits.set(words.subarray(v + VCPU_AP0R, v + VCPU_AP0R + AP_WORDS))
      bits.set(words.subarray(v + VCPU_AP1R, v + VCPU_AP1R + AP_WORDS), AP_WORDS)
      return bits
    })
  }

  /** Whether a vCPU has a bit left that matches an interrupt; clears the bit. */
  take(index: number, irq: Irq): boolean {
    const { words, silicon } = this.hypervisor
    const { virtualInterface } = silicon
    const group1 = words[irq] & IRQ_GROUP1
    const mask = virtualInterface.groupMask(words[this.hypervisor.vcpu(index) + VCPU_VMCR], group1)
    const level = (irqPriority(words[irq]) & mask) >> virtualInterface.levelShift
    const at = (group1 ? AP_WORDS : 0) + (level >> 5)
    const bit = 1 << (level & 31)
    if ((this.bits[index][at] & bit) === 0) return false
    this.bits[index][at] &= ~bit
    return true
  }
}

/** Puts every active SPI of a restored VM on the ap_list of the vCPU that has it. */
export function placeActiveSpis(hypervisor: Hypervisor): void {
  const { words, layout, apLists } = hypervisor
  const left = new ActivePriorities(hypervisor)
  const vcpus = Array.from({ length: layout.vcpuCount }, (_, index) => index)
  const isActive = (irq: Irq): boolean => (words[irq] & IRQ_ACTIVE) !== 0
  for (const index of vcpus) {
    const v = hypervisor.vcpu(index)
    for (let intid = 0; intid < FIRST_SPI; intid++) {
      const irq = apLists.irqOf(v, intid)
      if (isActive(irq)) left.take(index, irq)
    }
  }
  const spis = Array.from({ length: layout.spiCount }, (_, i) => irqAfter(asIrq(layout.spis), i)).filter(
    isActive,
  )
  const elsewhere = spis.filter((irq) => {
    const list = irqApListOf(words[irq])
    return list === 0 || !left.take(list - 1, irq)
  })
  for (const irq of elsewhere) {
    const index = vcpus.find((vcpu) => left.take(vcpu, irq))
    if (index !== undefined) apLists.moveTo(hypervisor.vcpu(index), irq)
  }
}
