/**
 * What the explorer says of Linux 6.1 and of Linux 7.2: the table in docs/linux-7.2.md. Each row is a scenario of the
 * museum with its bounds, or one about a fact of Linux 7.2 that looks like a fault.
 */
import { ICC_CTLR_EL1, ICC_DIR_EL1 } from 'vgic'
import { type Bounds, explore, museum, replay } from 'vgic/explore'
import { type Design, designs, kvm61, kvm72, type Scenario, scenario } from 'vgic/scenario'
import { tableOf, withPart } from './page-part.ts'
import { judge } from './verdicts.ts'

/** The page that has the table. */
export const LINUX_VERDICTS = 'docs/linux-7.2.md'

/** A scenario, for a design. */
interface Situation {
  readonly name: string
  readonly scenario: (design: Design) => Scenario
  readonly bounds: Bounds
}

const kernels: readonly (readonly [string, Design])[] = [
  ['Linux 6.1 as released', kvm61(designs.wfiHandler)],
  ['Linux 7.2', kvm72(designs.wfiFullPut)],
]

/** Three SPIs for two list registers: the guest acknowledges one, exits in its handler, and exits again. */
const three =
  (name: string, priorities: readonly number[], group: 0 | 1) =>
  (design: Design): Scenario =>
    scenario(name)
      .gic({ cpus: 1, listRegisters: 2 })
      .vm({ vcpus: 1, spis: 3 })
      .design(design)
      .spi({ intid: 32, priority: priorities[0], group })
      .spi({ intid: 33, priority: priorities[1], group })
      .spi({ intid: 34, priority: priorities[2] })
      .cpuInterface(0, { groups: [1] })
      .guest(0, (guest) =>
        guest
          .onIrq((list) => list.ack().unmask().hvc().mask().eoi())
          .unmask()
          .hvc(),
      )
      .device('nic', (device) => device.pulse(32))
      .device('disk', (device) => device.pulse(33))
      .device('uart', (device) => device.pulse(34))

/** With one list register Linux 7.2 sets UIE, which is always asserted then: these have two, and more interrupts. */
const enlarged: Readonly<Record<string, (design: Design) => Scenario>> = {
  '24': (design) => museumScenario('24', design).gic({ cpus: 1, listRegisters: 2 }),
  '53': three('53', [0x40, 0x50, 0x80], 0),
  '54': three('54', [0x80, 0x60, 0x40], 1),
}

function museumScenario(id: string, design: Design): Scenario {
  const entry = museum.find((each) => each.id === id)
  if (!entry) throw new Error(`the museum has no ${id}`)
  return entry.scenario(design)
}

const facts: readonly Situation[] = [
  {
    name: 'acknowledged on vCPU 0, deactivated by vCPU 1 (57)',
    scenario: (design) =>
      scenario('deactivated elsewhere')
        .gic({ cpus: 2 })
        .vm({ vcpus: 2, spis: 1 })
        .design(design)
        .spi({ intid: 32 })
        .guest(0, (guest) =>
          guest
            .onIrq((list) => list.ack().eoi().hvc())
            .write(ICC_CTLR_EL1, 2)
            .unmask()
            .hvc(),
        )
        .guest(1, (guest) => guest.write(ICC_CTLR_EL1, 2).write(ICC_DIR_EL1, 32))
        .device('nic', (device) => device.pulse(32)),
    bounds: {},
  },
  {
    name: 'a level that stays high, acknowledged on vCPU 0, which sleeps, deactivated by vCPU 1',
    scenario: (design) =>
      scenario('deactivated for a sleeper')
        .gic({ cpus: 2 })
        .vm({ vcpus: 2, spis: 1 })
        .design(design)
        .spi({ intid: 32, trigger: 'level' })
        .guest(0, (guest) =>
          guest
            .onIrq((list) => list.ack().eoi())
            .write(ICC_CTLR_EL1, 2)
            .unmask()
            .wfi()
            .wfi(),
        )
        .guest(1, (guest) => guest.write(ICC_CTLR_EL1, 2).write(ICC_DIR_EL1, 32))
        .device('nic', (device) => device.raise(32)),
    bounds: {},
  },
  {
    name: 'two vCPUs on one PE, of which one waits: two puts, two loads',
    scenario: (design) =>
      scenario('two puts, two loads')
        .gic({ cpus: 1 })
        .vm({ vcpus: 2, spis: 1 })
        .design(design)
        .spi({ intid: 32 })
        .guest(0, (guest) =>
          guest
            .onIrq((list) => list.ack().eoi())
            .priorityMask(0x80)
            .priorityMask(0xf0)
            .unmask()
            .wfi(),
        )
        .guest(1, (guest) => guest.priorityMask(0).hvc())
        .device('nic', (device) => device.pulse(32)),
    bounds: { preemptions: 2 },
  },
  {
    name: 'an edge, then DIRs that trap',
    scenario: (design) =>
      scenario('the count behind TDIR')
        .gic({ cpus: 2, listRegisters: 2 })
        .vm({ vcpus: 2, spis: 1 })
        .design(design)
        .spi({ intid: 32 })
        .guest(0, (guest) =>
          guest
            .onIrq((list) => list.ack().eoi().dir())
            .write(ICC_CTLR_EL1, 2)
            .unmask()
            .untilInterrupts(2),
        )
        .guest(1, (guest) => guest.sgi({ intid: 1, vcpus: [0] }))
        .device('nic', (device) => device.pulse(32)),
    bounds: {},
  },
  {
    name: 'a guest enables group 0 alone, on QEMU 11.1 as it is',
    scenario: (design) =>
      scenario('group 0 before group 1')
        .gic({ cpus: 1, profile: 'qemu-11.1' })
        .vm({ vcpus: 1 })
        .design(design)
        .cpuInterface(0, { groups: [] })
        .guest(0, (guest) => guest.enableGroup(0).enableGroup(1)),
    bounds: {},
  },
]

/** Entries about steps that the baselines do not have: nested guests (09), and a VM that goes down (16). */
const ofOtherDesigns: readonly string[] = ['09', '16']

/** Entries whose guests have entries in their tables that no save writes there: R1, whatever the kernel. */
const ofTampering: readonly string[] = ['47', '47 of device entries']

export const linuxSituations: readonly Situation[] = [
  ...museum
    .filter(({ id }) => !ofOtherDesigns.includes(id) && !ofTampering.includes(id))
    .map(({ id, name, scenario, bounds }) => ({
      name: `${id} \`${name}\``,
      scenario: enlarged[id] ?? scenario,
      bounds,
    })),
  ...facts,
]

/** The situation whose name begins so. */
export function linuxSituation(beginning: string): Situation {
  const found = linuxSituations.find(({ name }) => name.startsWith(beginning))
  if (!found) throw new Error(`there is no situation ${beginning}`)
  return found
}

/** The facts that break an invariant on Linux 7.2, each with the end of its counterexample. */
function counterexamples(): string {
  const [, [, design]] = kernels
  return facts
    .map(({ name, scenario, bounds }) => {
      const { violation } = explore(scenario(design), bounds)
      if (!violation) return ''
      const { schedule, steps, what, invariant } = violation
      const end = replay(scenario(design), schedule).timeline({ from: Math.max(0, steps - 20) })
      return `\nLinux 7.2, where ${name}: ${what} (${invariant}).\n\n\`\`\`text\n${end.trimEnd()}\n\`\`\`\n`
    })
    .join('')
}

/** The table, in Markdown, and the counterexamples. */
export function linuxTable(): string {
  const rows = linuxSituations.map(({ name, scenario, bounds }) => [
    name,
    ...kernels.map(([, design]) => judge(scenario(design), bounds)),
  ])
  return tableOf([['scenario', ...kernels.map(([kernel]) => kernel)], ...rows]) + counterexamples()
}

/** The page with the table updated. */
export const withLinuxTable = (page: string, table: string): string =>
  withPart(page, 'verdicts on Linux', table)
