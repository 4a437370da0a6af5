/** Scenarios of every kind, for properties of single steps. */
import fc from 'fast-check'
import {
  type Design,
  designs,
  edit,
  type GuestBuilder,
  kvm61,
  kvm72,
  type Scenario,
  scenario,
} from 'vgic/scenario'
import { cook, recipesWith } from './recipe.ts'

/** A design whose guests reach the physical CPU interface, since nothing routes interrupts to EL2. */
const unloaded = edit(designs.wfiHandler).omitAll('load').design()

/** Designs whose injections notify before there is anything. */
const hasty = ['inject/postRequest', 'inject/kick'].map((step) =>
  edit(designs.wfiHandler).swap('inject/queue', step).design(),
)

/** With what the recipes of the other properties lack: interrupts of physical devices, SEV between vCPUs. */
const ownRecipes = fc.record({
  design: fc.constantFrom(...Object.values(designs), unloaded, ...hasty),
  vcpus: fc.integer({ min: 1, max: 3 }),
  cpus: fc.integer({ min: 1, max: 2 }),
  timers: fc.boolean(),
  physical: fc.option(fc.constant(40), { nil: undefined }),
})

interface Recipe {
  readonly design: Design
  readonly vcpus: number
  readonly cpus: number
  readonly timers: boolean
  readonly physical: number | undefined
}

/** Has a guest handle its interrupts, and its timer, if there is one, which it starts. */
function interruptible(guest: GuestBuilder, timers: boolean): GuestBuilder {
  guest
    .onIrq((h) => {
      h.ack()
      if (timers) h.stopTimer()
      h.eoi()
    })
    .unmask()
  return timers ? guest.timer(30) : guest
}

function recipeOf({ design, vcpus, cpus, timers, physical }: Recipe): Scenario {
  const recipe = scenario('random')
    .gic({ cpus, listRegisters: 2 })
    .vm({ vcpus, spis: 8, timers, haltPolling: { limit: 4 } })
    .design(design)
    .spi({ intid: 32 })
    .spi({ intid: 33, trigger: 'level', vcpu: vcpus - 1, ...(physical === undefined ? {} : { physical }) })
    .spi({ intid: 34, priority: 0x80 })
    .device('nic', (d) => d.pulse(32).signal(0).pulse(32))
    .device('disk', (d) => d.pulse(34).pulse(34).pulse(34))
    .device('uart', (d) => d.raise(33).lower(33))
  for (let v = 0; v < vcpus; v++) {
    recipe.guest(v, (g) => {
      return interruptible(g, timers)
        .sgi({ intid: 1, vcpus: 'others' })
        .wfi()
        .wfe()
        .wfe()
        .sev()
        .quiesce(33)
        .userspace()
        .wfit(20)
        .suspend()
    })
  }
  return recipe
}

/** Scenarios with and without timers, physical devices, more vCPUs than CPUs. */
export const scenarios: fc.Arbitrary<Scenario> = fc.oneof(
  ownRecipes.map(recipeOf),
  recipesWith({}).map(cook),
  recipesWith({ timers: true }).map(cook),
)

/** With vPEs, whose guests have vLPIs, SPIs and timers. */
export const directScenarios: fc.Arbitrary<Scenario> = fc
  .record({
    version: fc.constantFrom('4.0', '4.1'),
    writeEffects: fc.constantFrom('at-once', 'lagging'),
    maintenanceInterrupt: fc.constantFrom('at-once', 'lagging'),
    design: fc.constantFrom(
      ...Object.values(designs).flatMap((design) => [design, kvm61(design), kvm72(design)]),
    ),
    vcpus: fc.integer({ min: 1, max: 2 }),
    cpus: fc.integer({ min: 1, max: 2 }),
    timers: fc.boolean(),
  })
  .map(({ version, writeEffects, maintenanceInterrupt, design, vcpus, cpus, timers }) => {
    const recipe = scenario('random vLPIs')
      .gic({ version, writeEffects, maintenanceInterrupt, cpus, listRegisters: 1 })
      .vm({ vcpus, spis: 2, timers, lpis: 4, itsDevices: 1, itsCollections: 2 })
      .design(design)
      .spi({ intid: 32 })
      .spi({ intid: 33, trigger: 'level', vcpu: vcpus - 1 })
      .vlpi({ device: 7, event: 0, intid: 8192 })
      .vlpi({ device: 7, event: 1, intid: 8193, vcpu: vcpus - 1, priority: 0x40 })
      .vlpi({ device: 7, event: 2, intid: 8194, vcpu: vcpus - 1 })
      .device('nic', (d) => d.msi(7, 0).msi(7, 1).msi(7, 2).msi(7, 0).msi(7, 1))
      .device('disk', (d) => d.pulse(32).signal(0).pulse(32).msi(7, 2))
      .device('uart', (d) => d.raise(33).lower(33))
    for (let v = 0; v < vcpus; v++) {
      recipe.guest(v, (g) => {
        return interruptible(g, timers)
          .priorityMask(0x60)
          .sgi({ intid: 1, vcpus: 'others' })
          .wfi()
          .priorityMask(0xf0)
          .wfi()
          .enableGroup(1, false)
          .userspace()
          .enableGroup(1, true)
          .wfi()
          .wfit(20)
          .suspend()
      })
    }
    return recipe
  })
