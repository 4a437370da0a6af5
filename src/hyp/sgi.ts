/** SGIs that a guest sends: a trapped write to ICC_SGI1R_EL1, ICC_SGI0R_EL1 or ICC_ASGI1R_EL1. */
import type { ApLists } from './ap-list.ts'
import { VCPU_INDEX } from './vcpu.ts'
import { IRQ_GROUP1 } from './vgic-irq.ts'

/** IRM, in the upper word: all vCPUs but the sender. */
const SGI_IRM_HIGH = 1 << 8

/**
 * Makes an SGI pending on the vCPUs that the value names. vCPU n has affinity 0.0.(n / 16).(n % 16). ICC_SGI1R
 * (`group1`) reaches SGIs of both groups at the target, the other two only group 0 ones, as KVM does.
 */
export function sendSgi(apLists: ApLists, sender: number, low: number, high: number, group1: boolean): void {
  const { words } = apLists
  const { vcpus, vcpuSize, vcpuCount } = apLists.place
  const intid = (low >>> 24) & 0xf
  const affinity = ((low >>> 16) & 0xff) | ((high & 0xff) << 8) | (((high >>> 16) & 0xff) << 16)
  const toAll = (high & SGI_IRM_HIGH) !== 0
  for (let index = 0, v = vcpus; index < vcpuCount; index++, v += vcpuSize) {
    if (toAll) {
      if (index === words[sender + VCPU_INDEX]) continue
    } else if (affinity !== index >> 4 || ((low >> (index & 15)) & 1) === 0) continue
    const irq = apLists.irqOf(v, intid)
    if (!group1 && words[irq] & IRQ_GROUP1) continue
    const target = apLists.latch(irq)
    if (target !== 0) apLists.notify(target)
  }
}
