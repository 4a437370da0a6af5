/** Ideas for what a vCPU's thread does around a WFI. */
import { type Design, designs, edit, type Scenario, scenario } from 'vgic/scenario'

/** The read of ICH_VMCR_EL2 before each halt is a cost; what if it were left out? */
export const noRead = edit(designs.wfiHandler).omit('wfi/saveVmcr').design('no read before the halt')

/** A guest that masks everything, unmasks again, and sleeps; a NIC that wakes it. */
export const wake = (design: Design): Scenario =>
  scenario('a guest changes its mask, sleeps, and is woken')
    .vm({ vcpus: 1, spis: 1 })
    .design(design)
    .spi({ intid: 32 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .priorityMask(0)
        .priorityMask(0xf0)
        .unmask()
        .wfi(),
    )
    .device('nic', (device) => device.pulse(32))

/** For `vgic explore`. */
export const bounds = { preemptions: 1, ticks: 1 }
export default (): Scenario => wake(noRead)
