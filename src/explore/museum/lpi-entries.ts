/**
 * The museum's bugs about LPIs: objects that come and go with the commands of the guest's ITS, while messages, list
 * registers and prunes still name them. A guest sets up its ITS in each scenario; with two vCPUs vCPU 1 does, and vCPU 0
 * gets the LPI.
 */
import { type Design, until } from '../../hyp/run/design.ts'
import { designs } from '../../hyp/run/designs.ts'
import { edit } from '../../hyp/run/edit.ts'
import {
  cacheEmpty,
  decrementReference,
  dropErased,
  dropSeen,
  emulateMmioAsLinux61,
  eraseByNumber,
  executeCommandForAll,
  flushUnheld,
  foldKeepingActiveLpis,
  foldListRegisters,
  foldUnheld,
  migrate,
  migrateUnowned,
  pruned,
  prunedUnheld,
  translateUnheld,
} from '../../hyp/run/steps.ts'
import { type Scenario, scenario } from '../../scenario/builder.ts'
import type { GuestIts } from '../../scenario/guest-its.ts'
import type { MuseumEntry } from './entry.ts'

const LPI = 8192
const frames = { its: [0x0808_0000] }

/** A machine with an ITS, as small as it can be. */
const withIts = (name: string, design: Design, vcpus: number, lpis = 1, cpus = vcpus): Scenario =>
  scenario(name)
    .gic({ cpus, listRegisters: 1, memoryLines: 64 })
    .vm({ vcpus, spis: 0, frames, lpis, itsDevices: 1, itsCollections: 2, translations: 1 })
    .design(design)

/** One vCPU maps an event of a device, does something about it, and the device sends it. */
const whileSent = (name: string, design: Design, act: (its: GuestIts) => void, lpis = 1): Scenario =>
  withIts(name, design, 1, lpis)
    .guest(0, (g) => act(g.its().boot(1).mapDevice(7).mapCollection(0, 0).mapEvent(7, 0, LPI, 0)))
    .device('nic', (d) => d.msi(7, 0))

/** vCPU 1 makes an LPI pending for vCPU 0, and does something about it. */
const whilePending = (name: string, design: Design, act: (its: GuestIts) => void): Scenario =>
  withIts(name, design, 2)
    .guest(0, (g) => g.hvc())
    .guest(1, (g) => {
      const its = g.its().boot(2).configure(LPI).mapDevice(7).mapCollection(0, 0).mapCollection(1, 1)
      act(its.mapEvent(7, 0, LPI, 0).int(7, 0))
    })

/** As in Linux, a prune drops the lock of its list before it takes those of two lists in their order. */
const prunesInSteps = edit(designs.wfiHandler)
  .replace('exit/fold', foldListRegisters)
  .insertAfter('exit/foldListRegisters', until(pruned, migrate))
  .design('wfi-handler, prune in steps')

/** As the kernels that had entry 38: an LPI that EnableLPIs takes off the list stays pending, so that it belongs on one still. */
const keepsPending = edit(prunesInSteps)
  .replaceAll('emulateMmio', emulateMmioAsLinux61)
  .design('wfi-handler, prune in steps, disabled LPIs stay pending')

/** An invalidation of the translation cache, entry by entry. */
const invalidatesInSteps = edit(designs.wfiHandler)
  .insertBefore('its/executeCommand', until(cacheEmpty, dropErased))
  .omit('its/invalidateCache')
  .design('wfi-handler, cache emptied in steps')

export const lpiEntries: readonly MuseumEntry[] = [
  {
    id: '34',
    name: 'lpi-active-occupies-lr',
    story:
      'An LPI that was acknowledged comes back active from a list register of silicon that has that state, and stays so: its end counts nowhere.',
    invariant: 'S12',
    good: designs.wfiHandler,
    bug: edit(designs.wfiHandler)
      .replaceAll('fold', foldKeepingActiveLpis)
      .design('wfi-handler, LPIs that are active'),
    scenario: (design) =>
      withIts('34 lpi-active-occupies-lr', design, 1)
        .gic({ cpus: 1, listRegisters: 1, memoryLines: 64, choices: { lpiActive: 'active' } })
        .guest(0, (g) => {
          g.onIrq((h) => h.ack().hvc().eoi())
          const its = g.its().boot(1).configure(LPI).mapDevice(7).mapCollection(0, 0)
          its.mapEvent(7, 0, LPI, 0).int(7, 0)
          g.unmask().hvc()
        }),
    bounds: {},
  },
  {
    id: '35',
    name: 'xlat-cache-hit-uaf',
    story:
      'A message is translated without a reference to its LPI, and the guest discards the event before it is queued.',
    invariant: 'S15',
    good: designs.wfiHandler,
    bug: edit(designs.wfiHandler)
      .replace('msi/translate', translateUnheld)
      .design('wfi-handler, a message holds no reference'),
    scenario: (design) => whileSent('35 xlat-cache-hit-uaf', design, (its) => its.discard(7, 0)),
    bounds: {},
  },
  {
    id: '36',
    name: 'xlat-cache-double-put',
    story:
      'A command sees a cached translation, EnableLPIs erases it and gives its reference back, and so does the command.',
    invariant: 'S15',
    good: invalidatesInSteps,
    bug: edit(invalidatesInSteps)
      .replace('its/dropErased', dropSeen)
      .design('wfi-handler, cache emptied in steps, put twice'),
    scenario: (design) =>
      withIts('36 xlat-cache-double-put', design, 2)
        .guest(0, (g) => g.its().enableLpis(0, false))
        .guest(1, (g) => {
          const its = g.its().boot(2).mapDevice(7).mapCollection(0, 0).mapEvent(7, 0, LPI, 0)
          its.int(7, 0).moveEvent(7, 0, 0)
        }),
    bounds: {},
  },
  {
    id: '37',
    name: 'lpi-release-vs-remap',
    story:
      'The last reference is counted down before the LPI leaves the table, and the eraser takes out a new LPI of the same INTID.',
    invariant: 'S16',
    good: designs.wfiHandler,
    bug: edit(designs.wfiHandler)
      .replace('msi/dropReference', decrementReference)
      .insertAfter('msi/decrementReference', eraseByNumber)
      .design('wfi-handler, last reference in two steps'),
    scenario: (design) =>
      whileSent('37 lpi-release-vs-remap', design, (its) => its.discard(7, 0).mapEvent(7, 0, LPI, 0), 2),
    bounds: {},
  },
  {
    id: '38',
    name: 'migrate-not-ours',
    story:
      'A prune looks again where an LPI belongs, but not whether it is still on its list, from which EnableLPIs took it.',
    invariant: 'S16',
    good: keepsPending,
    bug: edit(keepsPending)
      .replace('exit/migrate', migrateUnowned)
      .design('wfi-handler, prune in steps, owner not asked'),
    scenario: (design) =>
      whilePending('38 migrate-not-ours', design, (its) => its.moveEvent(7, 0, 1).enableLpis(0, false)),
    bounds: {},
  },
  {
    id: '39',
    name: 'affinity-change-vs-lpi-disable',
    story:
      'A prune drops its lock without a reference to the LPI that it moves, which is disabled and discarded meanwhile.',
    invariant: 'S15',
    good: prunesInSteps,
    bug: edit(prunesInSteps)
      .replace('exit/pruned?', prunedUnheld)
      .design('wfi-handler, prune in steps, nothing held'),
    scenario: (design) =>
      whilePending('39 affinity-change-vs-lpi-disable', design, (its) =>
        its.moveEvent(7, 0, 1).enableLpis(0, false).discard(7, 0),
      ),
    bounds: {},
  },
  {
    id: '40',
    name: 'last-lr-irq-dangling',
    story:
      'What a flush remembers of a list register is no reference, and the LPI is gone when the fold wants it.',
    invariant: 'S15',
    good: designs.wfiHandler,
    bug: edit(designs.wfiHandler)
      .replaceAll('flush', flushUnheld)
      .replaceAll('fold', foldUnheld)
      .design('wfi-handler, list registers hold nothing'),
    scenario: (design) =>
      whilePending('40 last-lr-irq-dangling', design, (its) => its.enableLpis(0, false).discard(7, 0)),
    // S16 is left out: it misses the reference as soon as the list register is filled.
    bounds: { invariants: ['L1', 'L3', 'S15', 'S17', 'S18'] },
  },
  {
    id: '41',
    name: 'movall-ignores-source',
    story: 'MOVALL from one vCPU takes along an LPI of another, whose collection stays where it is.',
    invariant: 'S18',
    good: designs.wfiHandler,
    bug: edit(designs.wfiHandler)
      .replace('its/executeCommand', executeCommandForAll)
      .design('wfi-handler, MOVALL without a filter'),
    scenario: (design) =>
      withIts('41 movall-ignores-source', design, 3, 2, 1).guest(0, (g) =>
        g
          .its()
          .boot(3)
          .mapDevice(7)
          .mapCollection(0, 0)
          .mapCollection(1, 1)
          .mapEvent(7, 0, LPI, 0)
          .mapEvent(7, 1, LPI + 1, 1)
          .moveAll(0, 2),
      ),
    bounds: {},
  },
  {
    id: '42',
    name: 'xlat-cache-missing-invalidation',
    story: 'A collection is unmapped, and a translation to it that was cached before stays in the cache.',
    invariant: 'S14',
    good: designs.wfiHandler,
    bug: edit(designs.wfiHandler)
      .omit('its/invalidateCache')
      .design('wfi-handler, commands leave the cache alone'),
    scenario: (design) =>
      whileSent('42 xlat-cache-missing-invalidation', design, (its) => its.unmapCollection(0)),
    bounds: {},
  },
]
