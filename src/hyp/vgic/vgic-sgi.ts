/** Emulates a guest's trapped write to ICC_SGI1R_EL1, ICC_SGI0R_EL1 or ICC_ASGI1R_EL1, which sends an SGI. */
import type { Intid } from '../../arch/intid.ts'
import { lowestBit } from '../../state/bits.ts'
import { privateIrq, VCPU_INDEX, type Vcpu } from '../records/vcpu.ts'
import { IRQ_LATCH } from '../records/vgic-irq.ts'
import type { ApLists } from './ap-list.ts'
import type { Vsgis } from './vsgis.ts'

/** IRM, in the upper word: all vCPUs but the sender. */
const SGI_IRM_HIGH = 0x100

/**
 * Makes an SGI pending on the vCPUs that the value names. vCPU n has affinity 0.0.(n / 16).(n % 16). One whose
 * word has a bit of `refusedGroups` is not sent: ICC_SGI1R can send SGIs that are in either group at the target, the other
 * two registers only group 0 ones, as in KVM. Where SGIs are vSGIs the hardware makes them pending.
 */
export function sendSgi(
  apLists: ApLists,
  sender: Vcpu,
  low: number,
  high: number,
  refusedGroups: number,
  vsgis: Vsgis | null,
): void {
  const { vcpuCount } = apLists.layout
  const intid = (low >>> 24) & 0xf
  if (high & SGI_IRM_HIGH) {
    const own = apLists.words[sender + VCPU_INDEX]
    for (let index = 0; index < vcpuCount; index++) {
      if (index !== own) sendTo(apLists, sender, index, intid, refusedGroups, vsgis)
    }
    return
  }
  const affinity = ((low >>> 16) & 0xff) | ((high & 0xff) << 8) | (((high >>> 16) & 0xff) << 16)
  for (let targets = low & 0xffff; targets !== 0; targets &= targets - 1) {
    const index = (affinity << 4) | lowestBit(targets)
    if (index < vcpuCount) sendTo(apLists, sender, index, intid, refusedGroups, vsgis)
  }
}

function sendTo(
  apLists: ApLists,
  sender: Vcpu,
  index: number,
  intid: Intid,
  refusedGroups: number,
  vsgis: Vsgis | null,
): void {
  const v = apLists.vcpuOf(index)
  const irq = privateIrq(v, intid)
  const word = apLists.words[irq]
  if (word & refusedGroups) return
  if (vsgis?.isVsgi(v, irq)) vsgis.send(sender, v, intid)
  else apLists.store(irq, word | IRQ_LATCH)
}
