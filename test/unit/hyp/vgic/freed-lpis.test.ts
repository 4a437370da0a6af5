/**
 * LPIs that are freed while they are on an ap_list, as a design with a reference too few does it: their slots come again as
 * other LPIs, and whoever walks a list must come to its end all the same.
 */
import { designs, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { VCPU_AP_FIRST, type Vcpu } from '../../../../src/hyp/records/vcpu.ts'
import { IRQ_ENABLED, IRQ_LINK, type Irq } from '../../../../src/hyp/records/vgic-irq.ts'

function machineWithLpis() {
  const { hypervisor } = scenario('freed LPIs')
    .vm({ vcpus: 2, lpis: 8, itsDevices: 1, itsCollections: 1, frames: { its: [0x8080000] } })
    .design(designs.wfiHandler)
    .machine()
  const { words, apLists } = hypervisor
  /** An LPI that is pending for a vCPU, and on its list. */
  const pend = (intid: number, vcpu: number): Irq => {
    const irq = apLists.lpis.add(intid, vcpu) as Irq
    words[irq] |= IRQ_ENABLED
    apLists.latch(irq)
    return irq
  }
  /** The references of its event and of its list are given back, though it is on the list. */
  const free = (irq: Irq): void => {
    apLists.lpis.put(irq)
    apLists.lpis.put(irq)
  }
  /** The interrupts that a walk of a list meets, 100 at most. */
  const walked = (v: Vcpu): number[] => {
    const met: number[] = []
    for (let irq = words[v + VCPU_AP_FIRST]; irq !== 0 && met.length < 100; irq = words[irq + IRQ_LINK])
      met.push(irq)
    return met
  }
  return { hypervisor, apLists, pend, free, walked }
}

describe('An LPI that is freed while it is on an ap_list', () => {
  it('does not make the list a ring when its slot is queued again behind what came after it', () => {
    const { hypervisor, pend, free, walked } = machineWithLpis()
    const freed = pend(8192, 0)
    free(freed)
    const other = hypervisor.apLists.irqOf(hypervisor.vcpu(0), 27)
    hypervisor.words[other] |= IRQ_ENABLED
    hypervisor.apLists.latch(other)
    expect(pend(8193, 0)).toBe(freed)
    expect(walked(hypervisor.vcpu(0)).length).toBeLessThan(3)
  })

  it('does not keep a prune from its end when its slot, and what comes after it, are on the list of another vCPU', () => {
    const { hypervisor, apLists, pend, free, walked } = machineWithLpis()
    const [v0, v1] = [hypervisor.vcpu(0), hypervisor.vcpu(1)]
    pend(8192, 0)
    const freed = pend(8193, 0)
    free(freed)
    pend(8194, 1)
    pend(8195, 1)
    expect(walked(v0)).toEqual(expect.arrayContaining(walked(v1)))
    apLists.prune(apLists.words, v0)
    expect(walked(v0).length).toBe(1)
    expect(walked(v1).length).toBeLessThan(3)
  })
})
