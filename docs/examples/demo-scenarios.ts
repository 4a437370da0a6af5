/**
 * The demo's two scenarios. They use only the library, so that Node (demo.ts) and a browser (test/browser) run the
 * same code.
 */
import { explore, type Report } from 'vgic/explore'
import { type Design, type Run, type Scenario, scenario } from 'vgic/scenario'

/** A vCPU sleeps in WFI until a UART raises an SPI. */
export function sleepAndWake(design: Design): Run {
  return scenario('an SPI wakes a vCPU that sleeps in WFI')
    .gic({ listRegisters: 4 })
    .vm({ vcpus: 1 })
    .design(design)
    .spi({ intid: 40, trigger: 'level', priority: 0x80 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().quiesce(40).eoi())
        .unmask()
        .wfi(),
    )
    .device('uart', (device) => device.raise(40))
    .run()
}

/**
 * Every interleaving of one WFI: vCPU 0 changes its priority mask and sleeps, with halt polling; vCPU 1 spins in
 * WFE; a device raises an edge; one preemption anywhere.
 */
export function exploreWfi(design: Design): Report {
  return explore(oneWfi(design), { preemptions: 1, states: 3_000_000 })
}

function oneWfi(design: Design): Scenario {
  return scenario('one WFI')
    .gic({ cpus: 2, listRegisters: 1 })
    .vm({ vcpus: 2, spis: 1, haltPolling: { limit: 1 } })
    .design(design)
    .spi({ intid: 32, priority: 0x80 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .priorityMask(0x40)
        .priorityMask(0xa0)
        .unmask()
        .wfi(),
    )
    .guest(1, (g) => g.priorityMask(0x40).wfe().wfe())
    .device('nic', (device) => device.pulse(32))
}
