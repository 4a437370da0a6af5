/** A summary of a VM whose guests run elsewhere: as data, and as a line. */
import { counted, listed } from '../../errors/printed.ts'
import type { Hypervisor } from '../hypervisor.ts'
import type { Vcpu } from '../records/vcpu.ts'
import { THREAD_ENDED, THREAD_IN_GUEST, THREAD_SLEEPS } from '../run/thread-states.ts'

/** The state of a vCPU: in its guest, outside of it, asleep in a WFI, or off. */
export type VcpuPlace = 'guest' | 'outside' | 'asleep' | 'off'

/** A summary of a VM, which {@link VirtualMachine.toJSON} returns. */
export interface VirtualMachineSummary {
  /** Its design's name. */
  readonly design: string
  /** The number of its SPIs. */
  readonly spis: number
  /** Whether it has timers. */
  readonly timers: boolean
  /** The state of each vCPU. */
  readonly vcpus: readonly VcpuPlace[]
}

/** The summary of a VM. */
export function summaryOf(hypervisor: Hypervisor): VirtualMachineSummary {
  const { setup, design } = hypervisor
  const vcpus = Array.from({ length: setup.vcpus }, (_, vcpu) => placeOf(hypervisor, hypervisor.vcpu(vcpu)))
  return { design: design.name, spis: setup.spis, timers: setup.timers, vcpus }
}

/** The summary in a line. */
export function printedSummary(summary: VirtualMachineSummary): string {
  const { design, spis, vcpus } = summary
  const places = (['guest', 'outside', 'asleep', 'off'] as const).flatMap((place) => {
    const there = Array.from(vcpus.keys()).filter((vcpu) => vcpus[vcpu] === place)
    return there.length === 0 ? [] : [`${place}: ${listed(there, (vcpu) => `vcpu${vcpu}`)}`]
  })
  const what = `design ${design}, ${counted(vcpus.length, 'vCPU')}, ${counted(spis, 'SPI')}`
  return `VirtualMachine (${what}): ${places.join('; ')}`
}

function placeOf(hypervisor: Hypervisor, v: Vcpu): VcpuPlace {
  switch (hypervisor.runLoop.threadState(v)) {
    case THREAD_IN_GUEST:
      return 'guest'
    case THREAD_SLEEPS:
      return 'asleep'
    case THREAD_ENDED:
      return 'off'
    default:
      return 'outside'
  }
}
