/**
 * Bugs of the catalogue about how an interrupt finds its vCPU, and about vCPUs that are stopped for an access to what
 * their list registers have.
 */
import { ICC_CTLR_EL1, ICC_DIR_EL1 } from '../../arch/icc-registers.ts'
import { kvm72 } from '../../hyp/run/baselines.ts'
import { type Design, until } from '../../hyp/run/design.ts'
import { designs } from '../../hyp/run/designs.ts'
import { edit } from '../../hyp/run/edit.ts'
import {
  accessOutside,
  accessRunning,
  emulateSysregUnsampled,
  flushActiveAndPending,
  foldDroppingActive,
  foldIgnoringEoiCount,
  foldListRegisters,
  foldUnsampled,
  migrate,
  migrateQuietly,
  pruned,
  queueCountedHere,
  queueQuietly,
  stopVcpusToo,
} from '../../hyp/run/steps.ts'
import { type Scenario, scenario } from '../../scenario/builder.ts'
import type { GuestBuilder } from '../../scenario/guest-builder.ts'
import type { MuseumEntry } from './entry.ts'

const { wfiFullPut, wfiHandler } = designs
const linux72 = kvm72(wfiFullPut)
const named = (what: string): string => `wfi-handler, ${what}`

/** GICD_ISACTIVER1, GICD_ICACTIVER1, GICD_IROUTER32. */
const GICD = 0x0800_0000
const ISACTIVER1 = GICD + 0x304
const ICACTIVER1 = GICD + 0x384
const IROUTER32 = GICD + 0x6100
/** ICC_CTLR_EL1.EOImode. */
const EOI_MODE = 2

/** One SPI for vCPU 0, an edge; the other vCPUs do as they are told. */
const spiFor0 = (name: string, design: Design, ...others: ((g: GuestBuilder) => unknown)[]): Scenario => {
  const vcpus = 1 + others.length
  const recipe = scenario(name)
    .gic({ cpus: vcpus, listRegisters: 1 })
    .vm({ vcpus, spis: 1 })
    .design(design)
    .spi({ intid: 32 })
    .device('nic', (d) => d.pulse(32))
  for (const [i, other] of others.entries()) recipe.guest(i + 1, other)
  return recipe
}

/** More interrupts than list registers, which the guest handles nested. */
const nested = (name: string, design: Design, count: number, listRegisters: number): Scenario => {
  const recipe = scenario(name)
    .gic({ cpus: 1, listRegisters })
    .vm({ vcpus: 1, spis: count })
    .design(design)
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().unmask().hvc().mask().eoi())
        .unmask()
        .hvc(),
    )
  for (let i = 0; i < count; i++) recipe.spi({ intid: 32 + i, priority: 0x80 - 0x20 * i })
  return recipe.device('nic', (d) => {
    for (let i = 0; i < count; i++) d.pulse(32 + i)
  })
}

/** As in Linux, a prune drops the lock of its list before it takes those of two lists in their order. */
const prunesInSteps = edit(wfiHandler)
  .replace('exit/fold', foldListRegisters)
  .insertAfter('exit/foldListRegisters', until(pruned, migrate))
  .design(named('prune in steps'))

/** An SPI that vCPU 0 acknowledges, and vCPU 1 deactivates. */
const deactivatedElsewhere = (name: string, design: Design): Scenario =>
  spiFor0(name, design, (g) => g.write(ICC_CTLR_EL1, EOI_MODE).write(ICC_DIR_EL1, 32)).guest(0, (g) =>
    g
      .onIrq((h) => h.ack().eoi())
      .write(ICC_CTLR_EL1, EOI_MODE)
      .unmask(),
  )

/** One vCPU with a timer. */
const timer = (name: string, design: Design, guest: (g: GuestBuilder) => unknown): Scenario =>
  scenario(name)
    .gic({ cpus: 1, listRegisters: 2 })
    .vm({ vcpus: 1, spis: 0, timers: true })
    .design(design)
    .guest(0, guest)

export const deliveryEntries: readonly MuseumEntry[] = [
  {
    id: '22',
    name: 'no-kick-when-already-queued',
    story:
      'An edge comes again while the interrupt is on the list still; its list register is empty by then, and nobody is told.',
    invariant: 'L3',
    good: wfiHandler,
    bug: edit(wfiHandler)
      .replace('inject/queue', queueQuietly)
      .design(named('no kick for what is queued already')),
    scenario: (design) =>
      scenario('22 no-kick-when-already-queued')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 1 })
        .design(design)
        .spi({ intid: 32 })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .unmask()
            .hvc(),
        )
        .device('nic', (d) => d.pulse(32).pulse(32)),
    bounds: {},
  },
  {
    id: '23',
    name: 'migrated-irq-no-kick',
    story: 'A prune moves an interrupt to the list of the vCPU where it is routed now, which is not told.',
    invariant: 'L3',
    good: prunesInSteps,
    bug: edit(prunesInSteps)
      .replace('exit/migrate', migrateQuietly)
      .design(named('prune in steps, no kick for what it moves')),
    scenario: (design) =>
      spiFor0('23 migrated-irq-no-kick', design, (g) =>
        g
          .onIrq((h) => h.ack().eoi())
          .writeMmio(IROUTER32, 1, 8)
          .unmask()
          .hvc(),
      ).guest(0, (g) => g.hvc()),
    bounds: { invariants: ['L1', 'L3', 'L6'] },
  },
  {
    id: '25',
    name: 'level-active-pending-resample',
    story:
      'A level-sensitive interrupt goes into its list register as active and pending, and comes back so: it is taken again although its line has fallen.',
    invariant: 'S13',
    good: wfiHandler,
    bug: edit(wfiHandler)
      .replace('entry/flush', flushActiveAndPending)
      .design(named('levels active and pending')),
    scenario: (design) =>
      scenario('25 level-active-pending-resample')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 1 })
        .design(design)
        .spi({ intid: 32, trigger: 'level' })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().hvc().quiesce(32).eoi())
            .unmask()
            .hvc(),
        )
        .device('nic', (d) => d.raise(32)),
    bounds: {},
  },
  {
    id: '28',
    name: 'stale-active-read',
    story:
      'A guest reads GICD_ISACTIVER, and is answered from memory while the interrupt is in a list register.',
    invariant: 'S10',
    good: wfiHandler,
    bug: edit(wfiHandler)
      .omit('mmio/stopVcpus')
      .omit('mmio/resumeVcpus')
      .replace('mmio/accessStopped', accessRunning)
      .design(named('active state from memory')),
    scenario: (design) =>
      spiFor0('28 stale-active-read', design, (g) => g.readMmio(ISACTIVER1)).guest(0, (g) =>
        g.onIrq((h) => h.ack().eoi()).unmask(),
      ),
    bounds: {},
  },
  {
    id: '29',
    name: 'outside-mode-published-before-lr-sync',
    story:
      'A vCPU says that it is outside its guest, and counts as stopped, before its list registers are folded.',
    invariant: 'S10',
    good: wfiHandler,
    bug: edit(wfiHandler)
      .replace('mmio/accessStopped', accessOutside)
      .design(named('stopped once the mode says so')),
    scenario: (design) =>
      spiFor0('29 outside-mode-published-before-lr-sync', design, (g) => g.writeMmio(ICACTIVER1, 1)).guest(
        0,
        (g) => g.onIrq((h) => h.ack().eoi()).unmask(),
      ),
    bounds: {},
  },
  {
    id: '30',
    name: 'pause-bool-two-halters',
    story: 'Two vCPUs have stopped a third; the first that is done resumes it, and the other is not.',
    invariant: 'S10',
    good: wfiHandler,
    bug: edit(wfiHandler).replace('mmio/stopVcpus', stopVcpusToo).design(named('stops do not count')),
    scenario: (design) =>
      scenario('30 pause-bool-two-halters')
        .gic({ cpus: 3, listRegisters: 1 })
        .vm({ vcpus: 3, spis: 1 })
        .design(design)
        .guest(1, (g) => g.writeMmio(ICACTIVER1, 1))
        .guest(2, (g) => g.writeMmio(ICACTIVER1, 1)),
    bounds: { reduce: true, invariants: ['S10', 'S17', 'L6'] },
  },
  {
    id: '32',
    name: 'phys-active-vs-lr',
    story:
      'The physical interrupt of a timer is made inactive at an exit, while the guest still handles the virtual one, whose list register names it.',
    invariant: 'S9',
    good: wfiHandler,
    bug: edit(wfiHandler)
      .replaceAll('fold', foldDroppingActive)
      .design(named('physical interrupts inactive after an exit')),
    scenario: (design) =>
      timer('32 phys-active-vs-lr', design, (g) =>
        g
          .onIrq((h) => h.ack().stopTimer().hvc().eoi())
          .unmask()
          .timer(10)
          .hvc(),
      ),
    bounds: {},
  },
  {
    id: '33',
    name: 'lr-overflow-deactivation',
    story:
      'The guest ends an interrupt that is in no list register; the hardware counts that, and nobody looks at the count.',
    invariant: 'L5',
    good: wfiHandler,
    bug: edit(wfiHandler).replaceAll('fold', foldIgnoringEoiCount).design(named('EOIcount ignored')),
    scenario: (design) => nested('33 lr-overflow-deactivation', design, 3, 2),
    bounds: { invariants: ['L1', 'L3', 'L5', 'L6', 'S17'] },
  },
  {
    id: '55',
    name: 'eoicount-ignored',
    story:
      'A guest with one list register ends an active interrupt that had to make room for a more urgent one; it stays active.',
    invariant: 'L5',
    good: wfiFullPut,
    bug: edit(wfiFullPut).replaceAll('fold', foldIgnoringEoiCount).design('wfi-full-put, EOIcount ignored'),
    scenario: (design) => nested('55 eoicount-ignored', design, 2, 1),
    bounds: { invariants: ['L5', 'L6', 'S17'] },
  },
  {
    id: '57',
    name: 'dir-elsewhere',
    story: 'An SPI that is active on one vCPU is deactivated by another, whose ICC_DIR_EL1 finds nothing.',
    invariant: 'S12',
    good: wfiHandler,
    bug: edit(wfiHandler).omitAll('trapDir').design(named('ICC_DIR_EL1 not trapped')),
    scenario: (design) => deactivatedElsewhere('57 dir-elsewhere', design),
    bounds: {},
  },
  {
    id: '31',
    name: 'stale-pending-after-deactivate',
    story:
      'A timer that asserts its interrupt is sampled while the guest handles that; the guest turns it off and ends the interrupt, and the old sample makes it pending again.',
    invariant: 'S13',
    good: linux72,
    bug: edit(linux72)
      .replaceAll('foldSavingVmcr', foldUnsampled)
      .design('Linux 7.2, no sample at a deactivation'),
    scenario: (design) =>
      timer('31 stale-pending-after-deactivate', design, (g) =>
        g
          .onIrq((h) => h.ack().hvc().stopTimer().eoi())
          .unmask()
          .timer(10)
          .hvc()
          .hvc(),
      ),
    bounds: { preemptions: 1, ticks: 1 },
  },
  {
    id: '58',
    name: 'tdir-set-only-here',
    story:
      'The first SPI in flight makes ICC_DIR_EL1 trap, on vCPUs that enter after that: one that is in its guest already deactivates nothing.',
    invariant: 'S12',
    good: linux72,
    bug: edit(linux72)
      .replace('inject/queue', queueCountedHere)
      .design('Linux 7.2, no request for the first SPI in flight'),
    scenario: (design) => deactivatedElsewhere('58 tdir-set-only-here', design),
    bounds: {},
  },
  {
    id: '60',
    name: 'dir-does-not-sample-line',
    story:
      'A timer’s interrupt is sampled again at a load, while the guest handles it; the guest turns the timer off and writes ICC_DIR_EL1, which deactivates the interrupt and leaves the sample.',
    invariant: 'S13',
    good: wfiHandler,
    bug: edit(wfiHandler)
      .replace('sysreg/emulateSysreg', emulateSysregUnsampled)
      .design(named('ICC_DIR_EL1 samples no line')),
    scenario: (design) =>
      timer('60 dir-does-not-sample-line', design, (g) =>
        g
          .onIrq((h) => h.ack().hvc().stopTimer().eoi().dir())
          .write(ICC_CTLR_EL1, EOI_MODE)
          .unmask()
          .timer(10)
          .hvc(),
      ),
    bounds: { preemptions: 1 },
  },
]
