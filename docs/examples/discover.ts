/**
 * `node build/docs/examples/discover.js [STATES]`: explores the designs of Linux 6.1 and 7.2 as they are, with two vCPUs on two
 * PEs, an SPI, a vLPI or a timer, and says of each invariant whether it holds, is violated, or how far the search came.
 * Each invariant by itself, since the first that is violated ends a search. STATES bounds each search, 20,000 without it.
 */
import { explore, type InvariantId } from 'vgic/explore'
import { type Design, designs, kvm61, kvm72, type Scenario, scenario } from 'vgic/scenario'

const kernels: readonly (readonly [string, Design])[] = [
  ['Linux 6.1', kvm61(designs.wfiHandler)],
  ['Linux 7.2', kvm72(designs.wfiFullPut)],
]

const SPI = 32
const LPI = 8192

/** Both vCPUs wait, one for an SPI, the other for a vLPI. */
const withVlpi = (design: Design): Scenario => {
  const recipe = scenario('an SPI, a vLPI')
    .gic({ version: '4.1', cpus: 2, listRegisters: 2 })
    .vm({ vcpus: 2, spis: 1, lpis: 1, itsDevices: 1, itsCollections: 2 })
    .design(design)
    .spi({ intid: SPI })
    .vlpi({ device: 7, event: 0, intid: LPI, vcpu: 1 })
    .device('uart', (device) => device.pulse(SPI))
    .device('nic', (device) => device.msi(7, 0))
  for (const v of [0, 1])
    recipe.guest(v, (guest) =>
      guest
        .onIrq((list) => list.ack().eoi())
        .unmask()
        .wfi(),
    )
  return recipe
}

/** One vCPU waits for its timer, the other sends it an SGI; a device has an SPI for it. */
const withTimer = (design: Design): Scenario =>
  scenario('an SPI, a timer, an SGI')
    .gic({ cpus: 2, listRegisters: 2 })
    .vm({ vcpus: 2, spis: 1, timers: true })
    .design(design)
    .spi({ intid: SPI })
    .guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().stopTimer().eoi())
        .unmask()
        .timer(10)
        .wfi(),
    )
    .guest(1, (guest) => guest.sgi({ intid: 1, vcpus: [0] }))
    .device('uart', (device) => device.pulse(SPI))

/** A timer expires and an SPI comes while group 1 is off, and the guest enables it (seen in recordings: put and load alternate). */
const withGroupOff = (design: Design): Scenario =>
  scenario('group 1 enabled late')
    .gic({ cpus: 2, listRegisters: 2 })
    .vm({ vcpus: 2, spis: 1, timers: true })
    .design(design)
    .spi({ intid: SPI })
    .cpuInterface(0, { groups: [] })
    .guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().stopTimer().eoi())
        .timer(10)
        .unmask()
        .wfi()
        .enableGroup(1)
        .wfi(),
    )
    .guest(1, (guest) => guest.sgi({ intid: 1, vcpus: [0] }))
    .device('uart', (device) => device.pulse(SPI))

const asked: readonly InvariantId[] = ['L1', 'L2', 'L3', 'L4', 'L6', 'S2', 'S8', 'S11', 'S17', 'S20', 'S21']
const states = Number(process.argv[2] ?? 20_000)

for (const [kernel, design] of kernels) {
  for (const recipe of [withVlpi, withTimer, withGroupOff]) {
    const made = recipe(design)
    console.log(`${kernel}, ${made.name}`)
    for (const id of asked) {
      const report = explore(made, { states, preemptions: 1, migrations: 1, ticks: 1, invariants: [id] })
      const { violation } = report
      const says = violation
        ? `violated after ${violation.steps} steps, ${violation.interventions} interventions: ${violation.what}`
        : report.complete
          ? `holds in all ${report.states} states`
          : `not violated in ${report.states} states`
      console.log(`  ${id.padEnd(4)}${says}`)
    }
  }
}
