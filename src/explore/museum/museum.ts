/**
 * The museum of bugs. An entry is a bug of the catalogue as an edit of a good design, with a scenario and bounds that
 * show it: with the bug, the exploration violates the entry's invariant; with the good design, the same exploration
 * completes.
 */

import {
  argumentFunction,
  argumentOneOf,
  argumentOptions,
  argumentString,
  type Fields,
} from '../../errors/arguments.ts'
import { ownStep } from '../../hyp/run/design.ts'
import { candidateOnDemand, designs } from '../../hyp/run/designs.ts'
import { edit } from '../../hyp/run/edit.ts'
import { flushActiveFirst } from '../../hyp/run/steps.ts'
import { scenario } from '../../scenario/builder.ts'
import type { Report } from '../bounds.ts'
import { explore } from '../exploration.ts'
import { type InvariantId, invariants } from '../invariants.ts'
import { deliveryEntries } from './delivery-entries.ts'
import type { MuseumEntry } from './entry.ts'
import { lpiEntries } from './lpi-entries.ts'
import { overflowEntries } from './overflow-entries.ts'
import { residencyEntries } from './residency-entries.ts'
import { saveEntries } from './save-entries.ts'

export type { MuseumEntry } from './entry.ts'

/** The result of exploring an entry. */
export interface MuseumRow {
  /** Number and name of the entry: `01 vmcr-stale-on-block`. */
  readonly id: string
  /** The invariant that the bug violates. */
  readonly invariant: InvariantId
  /** The exploration with the bug. */
  readonly bug: Report
  /** The exploration with the good design. */
  readonly good: Report
  /** Whether the bug violated this invariant, and the exploration of the good design is complete. */
  readonly behaves: boolean
}

const stale = edit(designs.wfiHandler).omit('wfi/saveVmcr').design('wfi-handler without the VMCR sync')

const putAlways = ownStep('putAlways', (context, vcpu) => {
  context.put(vcpu)
  return 0
})

const activeFirst = edit(designs.wfiHandler)
  .replace('entry/flush', flushActiveFirst)
  .design('wfi-handler, active interrupts first')

const ELRSR = 'elrsr'
const foldAndRemember = ownStep('fold', (context, vcpu) => {
  if (context.usedListRegisters(vcpu) === 0) {
    context.fold(vcpu, 0)
    return 0
  }
  const empty = context.readElrsr(vcpu)
  context.set(vcpu, ELRSR, empty)
  context.fold(vcpu, empty)
  return 0
})
const foldByRemembered = ownStep('fold', (context, vcpu) => {
  context.fold(vcpu, context.get(vcpu, ELRSR))
  return 0
})

/** Bugs of one interrupt and one vCPU or two. */
const entries: readonly MuseumEntry[] = [
  {
    id: '01',
    name: 'vmcr-stale-on-block',
    story:
      'The guest unmasks and sleeps, but runnable() sees the mask as it was when the thread was last preempted.',
    invariant: 'L1',
    good: designs.wfiHandler,
    bug: stale,
    scenario: (design) =>
      scenario('01 vmcr-stale-on-block')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 1 })
        .design(design)
        .spi({ intid: 32 })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .priorityMask(0)
            .priorityMask(0xf0)
            .unmask()
            .wfi(),
        )
        .device('nic', (d) => d.pulse(32)),
    bounds: { preemptions: 1, ticks: 1, invariants: ['L1', 'L3', 'S8', 'S17', 'S20', 'S21'] },
  },
  {
    id: '12',
    name: 'on-spin-runnable-race',
    story:
      'A spinning vCPU asks whether another would run, and the question writes the other’s shadow registers.',
    invariant: 'S20',
    good: designs.wfiHandler,
    bug: edit(designs.wfiHandler)
      .replace('wfe/dyRunnable?', candidateOnDemand)
      .design('wfi-handler, runnable() with side effects'),
    scenario: (design) =>
      scenario('12 on-spin-runnable-race')
        .gic({ cpus: 2, listRegisters: 1 })
        .vm({ vcpus: 2, spis: 1 })
        .design(design)
        .spi({ intid: 32 })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .priorityMask(0x80)
            .unmask()
            .wfi(),
        )
        .guest(1, (g) => g.priorityMask(0xc0).wfe().wfe())
        .device('nic', (d) => d.pulse(32)),
    bounds: {},
  },
  {
    id: '13',
    name: 'residency-nesting',
    story:
      'A second put of the same vCPU copies the registers of the vCPU that used the PE in between into its shadow.',
    invariant: 'S11',
    good: designs.wfiFullPut,
    bug: edit(designs.wfiFullPut)
      .replace('schedOut/put', putAlways)
      .design('wfi-full-put, put without the loaded flag'),
    scenario: (design) =>
      scenario('13 residency-nesting')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 2, spis: 1 })
        .design(design)
        .spi({ intid: 32 })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .unmask()
            .wfi(),
        )
        .guest(1, (g) => g.priorityMask(0))
        .device('nic', (d) => d.pulse(32)),
    // S2 is left out: it sees the foreign registers too, at an entry, and so after more steps.
    bounds: { preemptions: 1, invariants: ['L1', 'L3', 'S8', 'S11', 'S17', 'S20', 'S21'] },
  },
  {
    id: '21',
    name: 'requestless-kick',
    story:
      'The kick finds the vCPU outside its guest and posts no request that the last check before the entry could see.',
    invariant: 'L3',
    good: designs.wfiHandler,
    bug: edit(designs.wfiHandler).omit('inject/postRequest').design('wfi-handler, kick without request'),
    scenario: (design) =>
      scenario('21 requestless-kick')
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
        .device('nic', (d) => d.pulse(32)),
    bounds: {},
  },
  {
    id: '24',
    name: 'aborted-entry-stale-elrsr',
    story: 'An entry is aborted, and its fold uses the ICH_ELRSR_EL2 that was read at the exit before.',
    invariant: 'L3',
    good: designs.wfiHandler,
    bug: {
      ...edit(designs.wfiHandler)
        .replace('exit/fold', foldAndRemember)
        .replace('abort/fold', foldByRemembered)
        .design('wfi-handler, aborted entry folds by the last ELRSR'),
      words: [ELRSR],
    },
    scenario: (design) =>
      scenario('24 aborted-entry-stale-elrsr')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 2 })
        .design(design)
        .spi({ intid: 32 })
        .spi({ intid: 33 })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .unmask()
            .hvc()
            .hvc(),
        )
        .device('nic', (d) => d.pulse(32))
        .device('disk', (d) => d.pulse(33)),
    // L5 is left out: it sees the interrupt that stays active with it in another schedule.
    bounds: { invariants: ['L1', 'L3', 'L6', 'S8', 'S17', 'S20', 'S21'] },
  },
  {
    id: '53',
    name: 'disabled-group-fills-lrs',
    story:
      'An interrupt of a group that the guest has disabled occupies the list register that another needs.',
    invariant: 'L3',
    good: designs.wfiHandler,
    bug: activeFirst,
    scenario: (design) =>
      scenario('53 disabled-group-fills-lrs')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 2 })
        .design(design)
        .spi({ intid: 32, group: 0, priority: 0x40 })
        .spi({ intid: 33, priority: 0x80 })
        .cpuInterface(0, { groups: [1] })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .unmask()
            .hvc(),
        )
        .device('nic', (d) => d.pulse(32))
        .device('disk', (d) => d.pulse(33)),
    bounds: {},
  },
  {
    id: '54',
    name: 'pending-starves-behind-active',
    story: 'An active interrupt occupies the list register that a more urgent pending one needs.',
    invariant: 'L3',
    good: designs.wfiHandler,
    bug: activeFirst,
    scenario: (design) =>
      scenario('54 pending-starves-behind-active')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 2 })
        .design(design)
        .spi({ intid: 32, priority: 0x80 })
        .spi({ intid: 33, priority: 0x40 })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().unmask().hvc().mask().eoi())
            .unmask()
            .hvc(),
        )
        .device('nic', (d) => d.pulse(32))
        .device('disk', (d) => d.pulse(33)),
    bounds: {},
  },
]

/** The bugs of the catalogue, in its order. */
export const museum: readonly MuseumEntry[] = [
  ...entries,
  ...deliveryEntries,
  ...residencyEntries,
  ...lpiEntries,
  ...overflowEntries,
  ...saveEntries,
].sort((one, other) => (one.id < other.id ? -1 : 1))

const entryFields: Fields<MuseumEntry> = {
  id: true,
  name: true,
  story: true,
  invariant: true,
  good: true,
  bug: true,
  scenario: true,
  bounds: true,
}

/**
 * Explores an entry's scenario twice: with the bug, and with the good design. Throws an `argument` error for an entry
 * that is not well formed.
 */
export function exhibit(entry: MuseumEntry): MuseumRow {
  const { id, name, invariant, good, bug, bounds } = argumentOptions('An entry', entry, entryFields)
  argumentString('id', id)
  argumentString('name', name)
  argumentString('story', entry.story)
  argumentOneOf('invariant', invariant, Object.keys(invariants) as InvariantId[])
  const recipe = argumentFunction('scenario', entry.scenario, '(design) => Scenario')
  const withBug = explore(recipe(bug), bounds)
  const without = explore(recipe(good), bounds)
  const behaves = withBug.violation?.invariant === invariant && without.complete
  return { id: `${id} ${name}`, invariant, bug: withBug, good: without, behaves }
}
