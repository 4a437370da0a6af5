/**
 * What is pending in the hardware for a guest that interrupts reach directly (GICv4). No software could ask this without
 * an effect: it is the explorer's own question, of the silicon's records and not through the seam.
 */
import { FIRST_LPI } from '../arch/intid.ts'
import type { Silicon } from '../gic/silicon.ts'
import { VPE_RESIDENCY, VPE_VPT } from '../gic/vpe/vpe-offsets.ts'
import { NOT_RESIDENT } from '../gic/vpe/vpe-records.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { FORWARD_DEVICE, FORWARD_EVENT, FORWARD_VPE } from '../hyp/records/its-vpe.ts'
import { LPI_FORWARD } from '../hyp/records/lpi-record.ts'
import { VCPU_INDEX, type Vcpu } from '../hyp/records/vcpu.ts'
import type { Irq } from '../hyp/records/vgic-irq.ts'
import { VM_NASSGIREQ } from '../hyp/records/vm.ts'

/** The byte offset in a virtual pending table of the vSGIs that are pending. */
const VPT_SGI_PENDING = 4

/**
 * Whether a forwarded LPI is pending: at the redistributor where its vPE is resident, in its table, or as a message that the
 * ITS has not translated yet.
 */
export function isPendingInHardware({ words, silicon, v4 }: Hypervisor, irq: Irq): boolean {
  if (!v4) return false
  const { forwarding, vpes } = v4
  const at = forwarding.forwardAt(words[irq + LPI_FORWARD] - 1)
  const { messages } = silicon.its[0]
  for (let n = 0; n < messages.count; n++) {
    const isIts = messages.deviceIdOf(n) === words[at + FORWARD_DEVICE]
    if (isIts && messages.eventIdOf(n) === words[at + FORWARD_EVENT]) return true
  }
  const cpu = cpuWith(silicon, vpes.tableOf(words[at + FORWARD_VPE]))
  if (cpu < 0) return forwarding.pendingBit(irq)
  return silicon.vpes?.resident.has(cpu, forwarding.its.lpis.intidOf(irq) - FIRST_LPI) ?? false
}

/** Which vSGIs of a vCPU are pending, a bit each. */
export function vsgisInHardware({ words, layout, silicon, v4 }: Hypervisor, v: Vcpu): number {
  if (!v4 || words[layout.vm + VM_NASSGIREQ] === 0) return 0
  const table = v4.vpes.tableOf(words[v + VCPU_INDEX])
  const cpu = cpuWith(silicon, table)
  if (cpu < 0) return silicon.pool?.read32(table + VPT_SGI_PENDING) ?? 0
  return silicon.vpes?.resident.pendingSgis(cpu) ?? 0
}

/** The CPU whose redistributor has the vPE with this virtual pending table; -1 if none has. */
function cpuWith({ vpes, words, config }: Silicon, table: number): number {
  for (let cpu = 0; cpu < config.cpus && vpes; cpu++) {
    const record = vpes.resident.recordOf(cpu)
    if (words[record + VPE_RESIDENCY] !== NOT_RESIDENT && words[record + VPE_VPT] === table) return cpu
  }
  return -1
}
