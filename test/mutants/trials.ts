/**
 * Small scenarios in which every step of a design has something to do, so that a mutation of it shows: an edge, a level,
 * a timer, each with one preemption anywhere, and what takes two vCPUs.
 */
import { ICC_CTLR_EL1, ICC_DIR_EL1 } from 'vgic'
import type { Bounds } from 'vgic/explore'
import { type Design, type GuestBuilder, type OpList, type Scenario, scenario } from 'vgic/scenario'
import { GICD, GITS, ICACTIVER, ISACTIVER, ISPENDR, wordOf } from '../kit/frames.ts'
import { EOI_MODE_1 } from '../kit/guest-lists.ts'

/** A scenario, and how far it is explored. */
export interface Trial {
  readonly name: string
  readonly scenario: (design: Design) => Scenario
  readonly bounds: Bounds
  /** The names of the mutations that it is for, where it would cost much to do it with all. */
  readonly only?: RegExp | undefined
  /** Whether its machine has vPEs. */
  readonly gicv4?: true
}

const GICD_CTLR = GICD
const GICD_ISPENDR1 = wordOf(ISPENDR, 32)
const GICD_ISACTIVER1 = wordOf(ISACTIVER, 32)
const GICD_ICACTIVER1 = wordOf(ICACTIVER, 32)
/** Of a device that userspace emulates. */
const UART = 0x0900_0000

/** A handler that ends the level if it is that. */
const quiet = (handler: OpList): OpList =>
  handler
    .ack()
    .on(32, (list) => list.quiesce(32))
    .eoi()

const STATES = 50_000
const PREEMPTED = { preemptions: 1, states: STATES } satisfies Bounds
/** Writes are checked in one trial, which every mutation goes through: in all of them it would take hours. */
const CHECKED: Bounds = { ...PREEMPTED, checkWrites: true }

/** The thread that deactivates may come to another PE before that. */
const MOVED: Bounds = { preemptions: 1, migrations: 1, states: 400_000 }

/** The mutations of steps about vPEs, and those of what goes with them. */
const RESIDENCY = /vpe|Waiting|block\/|setSleeping|notLoaded/

/** A vCPU gets a vLPI, at any time, on a GIC whose effects lag. */
function direct(
  name: string,
  version: '4.0' | '4.1',
  write: (guest: GuestBuilder) => unknown,
  { signal = false, ...bounds }: Omit<Bounds, 'signal'> & { readonly signal?: boolean } = PREEMPTED,
): Trial {
  return {
    name,
    only: RESIDENCY,
    gicv4: true,
    scenario: (design) => {
      const recipe = scenario(`a vLPI, ${name}`)
        .gic({ version, cpus: 1, listRegisters: 1, writeEffects: 'lagging' })
        .vm({ vcpus: 1, spis: 0, lpis: 1, itsDevices: 1, itsCollections: 1, distributor: 'reset' })
        .design(design)
        .vlpi({ device: 7, event: 0, intid: 8192 })
        .guest(0, (g) => write(g.onIrq((h) => h.ack().eoi()).writeMmio(GICD_CTLR, 2)))
        .device('nic', (d) => d.msi(7, 0))
      return signal ? recipe.device('vmm', (d) => d.signal(0)) : recipe
    },
    bounds: { states: STATES, ...bounds },
  }
}

/**
 * A vCPU deactivates what is active for another: its guest makes an SPI active that is routed there, does something
 * else, and writes to ICC_DIR_EL1. One of the CPUs no thread has been on.
 */
function deactivating(
  name: string,
  only: RegExp | undefined,
  between: (guest: GuestBuilder) => GuestBuilder,
  bounds = MOVED,
  signal?: 'signal',
): Trial {
  return {
    name,
    only,
    scenario: (design) => {
      const recipe = scenario(`a vCPU deactivates what is active for another, ${name}`)
        .gic({ cpus: 3, listRegisters: 1 })
        .vm({ vcpus: 2, spis: 1 })
        .design(design)
        .spi({ intid: 32 })
        .guest(1, (g) => {
          g.write(ICC_CTLR_EL1, EOI_MODE_1).writeMmio(GICD_ISACTIVER1, 1)
          between(g).write(ICC_DIR_EL1, 32)
        })
      return signal ? recipe.device('vmm', (d) => d.signal(1)) : recipe
    },
    bounds: { states: STATES, ...bounds },
  }
}

export const trials: readonly Trial[] = [
  {
    name: 'edge',
    scenario: (design) =>
      scenario('an edge wakes a vCPU that has opened its mask; one that it masks does so first')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 2, haltPolling: { limit: 1 } })
        .design(design)
        .spi({ intid: 32, priority: 0x80 })
        .spi({ intid: 33, priority: 0xf0 })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .priorityMask(0)
            .priorityMask(0xf0)
            .unmask()
            .wfi(),
        )
        .device('nic', (d) => d.pulse(33).pulse(32)),
    bounds: CHECKED,
  },
  {
    name: 'level',
    scenario: (design) =>
      scenario('a level is pending before the guest turns its distributor on, by one of many exits')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 1, distributor: 'reset' })
        .design(design)
        .spi({ intid: 32, trigger: 'level' })
        .guest(0, (g) =>
          g
            .onIrq(quiet)
            .readMmio(GICD_ISPENDR1)
            .writeMmio(GICD_CTLR, 2)
            .sgi({ intid: 1, vcpus: [0] })
            .ack()
            .on(32, (list) => list.quiesce(32))
            .userspace()
            .priorityMask(0x60)
            .readMmio(UART)
            .eoi()
            .priorityMask(0xf0)
            .unmask()
            .suspend(),
        )
        .device('nic', (d) => d.raise(32)),
    bounds: PREEMPTED,
  },
  {
    name: 'timer',
    scenario: (design) =>
      scenario('a timer wakes a vCPU, which leaves for userspace and gets a signal before')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 1, timers: true })
        .design(design)
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().stopTimer().eoi())
            .unmask()
            .priorityMask(0xb0)
            .timer(20)
            .userspace()
            .readMmio(UART)
            .wfi(),
        )
        .device('vmm', (d) => d.signal(0)),
    bounds: PREEMPTED,
  },
  {
    name: 'neighbour',
    scenario: (design) =>
      scenario('one vCPU sleeps with an interrupt active; the other spins, and deactivates it')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 2, spis: 1 })
        .design(design)
        .spi({ intid: 32 })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .write(ICC_CTLR_EL1, EOI_MODE_1)
            .unmask()
            .wfi()
            .wfi(),
        )
        .guest(1, (g) => g.wfe().wfe().writeMmio(GICD_ICACTIVER1, 1))
        .device('nic', (d) => d.pulse(32).pulse(32)),
    bounds: { states: STATES },
  },
  {
    name: 'message',
    only: /msi\/|its\/|emulateMmio commands|mmio\/skipInstruction/,
    scenario: (design) =>
      scenario('a guest discards an event that a device sends meanwhile')
        .gic({ cpus: 1, listRegisters: 1, memoryLines: 64 })
        .vm({ vcpus: 1, spis: 0, frames: { its: [GITS] }, lpis: 1, itsDevices: 1, itsCollections: 1 })
        .design(design)
        .guest(0, (g) => {
          const its = g
            .onIrq((h) => h.ack().eoi())
            .unmask()
            .its()
          its.boot(1).configure(8192).mapDevice(7).mapCollection(0, 0).mapEvent(7, 0, 8192, 0)
          g.hvc()
          its.discard(7, 0)
        })
        .device('nic', (d) => d.msi(7, 0)),
    bounds: { states: STATES },
  },
  direct('WFI', '4.1', (g) => g.unmask().wfi()),
  direct('suspend', '4.1', (g) => g.unmask().suspend()),
  direct('WFI on GICv4.0', '4.0', (g) => g.unmask().wfi()),
  direct('suspend on GICv4.0', '4.0', (g) => g.unmask().suspend()),
  direct('undisturbed WFI', '4.1', (g) => g.unmask().wfi(), {}),
  direct('undisturbed suspend', '4.1', (g) => g.unmask().suspend(), {}),
  direct('undisturbed WFI on GICv4.0', '4.0', (g) => g.unmask().wfi(), {}),
  direct('undisturbed suspend on GICv4.0', '4.0', (g) => g.unmask().suspend(), {}),
  direct('userspace', '4.1', (g) => g.unmask().userspace().readMmio(UART), { preemptions: 0, signal: true }),
  {
    name: 'switch',
    only: /vpeReload/,
    gicv4: true,
    scenario: (design) =>
      scenario('a guest turns its distributor on while another of its vCPUs runs')
        .gic({ version: '4.1', cpus: 2, listRegisters: 1 })
        .vm({ vcpus: 2, spis: 0, distributor: 'reset' })
        .design(design)
        .guest(0, (g) => g.hvc())
        .guest(1, (g) => g.writeMmio(GICD_CTLR, 2)),
    bounds: { states: STATES },
  },
  deactivating('elsewhere', undefined, (g) => g, {}),
  deactivating('after a WFIT', /(wfi|schedIn|entry).*(trapDir|notLoaded\?)/, (g) => g.wfit(5)),
  deactivating('after userspace', /omit userspace\/trapDir/, (g) => g.userspace()),
  deactivating('after userspace’s MMIO', /omit mmio\/trapDir/, (g) => g.readMmio(UART)),
  deactivating('after a signal', /omit signal\/trapDir/, (g) => g, MOVED, 'signal'),
]
