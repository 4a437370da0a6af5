/**
 * Whose guest has an SPI active, found out after a restore. KVM's saved state does not say it: an active SPI is a bit of
 * the distributor, and GICD_IROUTER may have been written since a guest acknowledged it. On whose ap_list it is matters
 * to the guest that ends it with EOImode 0: its EOI finds the interrupt in its own list registers, or nowhere.
 *
 * The active priorities, `ICC_AP0R<n>_EL1` and `ICC_AP1R<n>_EL1`, say it for them: an acknowledge sets the bit of the
 * interrupt's preemption level, and the priority drop clears it. So of each vCPU the bits are counted off against what is
 * active: its own SGIs and PPIs, then SPIs that are routed to it. An SPI that is left belongs to a vCPU with such a bit
 * left. One without a bit anywhere stays where it is routed to: a guest has dropped its priority, in EOImode 1, and ends
 * it by ICC_DIR_EL1, which finds it on any list, or nobody ever acknowledged it.
 *
 * The state cannot tell two SPIs of one level apart that are active at two vCPUs, with one or both routed elsewhere since;
 * nor does it have the priority that an interrupt was acknowledged with, if that was changed. As few as possible are
 * then taken to be elsewhere than they are routed to.
 */
import { FIRST_SPI } from '../../arch/intid.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { VCPU_AP0R, VCPU_AP1R, VCPU_VMCR } from '../records/vcpu.ts'
import { asIrq, IRQ_ACTIVE, IRQ_GROUP1, type Irq, irqApListOf, irqPriority } from '../records/vgic-irq.ts'

/** Words of a vCPU's active priorities: four of each group. */
const AP_WORDS = 4

class ActivePriorities {
  /** By vCPU, the bits that no active interrupt accounts for yet: group 0, then group 1. */
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

  /** Whether a vCPU's guest has an interrupt active by a bit that is left; takes the bit. */
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

/** Puts every active SPI of a restored VM on the ap_list of the vCPU whose guest has it. */
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
  const spis = Array.from({ length: layout.spiCount }, (_, i) => asIrq(layout.spis + i)).filter(isActive)
  const elsewhere = spis.filter((irq) => {
    const list = irqApListOf(words[irq])
    return list === 0 || !left.take(list - 1, irq)
  })
  for (const irq of elsewhere) {
    const index = vcpus.find((vcpu) => left.take(vcpu, irq))
    if (index !== undefined) apLists.moveTo(hypervisor.vcpu(index), irq)
  }
}
