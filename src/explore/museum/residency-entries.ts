/**
 * The museum's bugs of GICv4 residency. One vLPI is enough for each; the good side is mostly `wfi-flag`, which is what
 * Linux has had since the one with the star, 04.
 */
import { kvm61 } from '../../hyp/run/baselines.ts'
import { type Design, unless } from '../../hyp/run/design.ts'
import { defineDesign, designs, wfiFlagParts } from '../../hyp/run/designs.ts'
import { edit } from '../../hyp/run/edit.ts'
import {
  clearWaiting,
  nestedPending,
  preemptOff,
  preemptOn,
  runnableOnDemand,
  saveVmcr,
  setWaiting,
  skipInstruction,
  storePendingLast,
  vpeLoad,
  vpeLoadUnmoved,
  vpePut,
  vpePutAnyway,
  vpePutAtOnce,
  vpePutByFlag,
  vpePutUnlocked,
  vpeUnmap,
  vpeUnmapSynced,
} from '../../hyp/run/steps.ts'
import { type Scenario, scenario } from '../../scenario/builder.ts'
import type { GuestBuilder } from '../../scenario/guest-builder.ts'
import type { InvariantId } from '../invariants.ts'
import type { MuseumEntry } from './entry.ts'

const LPI = 8192
/** GICD_CTLR, and nASSGIreq with EnableGrp1. */
const GICD_CTLR = 0x0800_0000
const NASSGIREQ_AND_GROUP_1 = 0x102

/** What a bug does in the end: the rules that it breaks on the way are left out. */
const OUTCOMES: readonly InvariantId[] = ['L1', 'L2', 'L3', 'L4', 'L6']

const { wfiFlag, wfiFullPut } = designs
const named = (what: string): string => `wfi-flag, ${what}`

interface Machine {
  readonly version?: '4.0' | '4.1'
  /** Dirty and doorbells lag. */
  readonly lagging?: boolean
  readonly cpus?: number
}

/** A device's interrupt is a vLPI, for which a vCPU waits in the way that is given. */
const waiting = (
  name: string,
  design: Design,
  { version = '4.1', lagging = false, cpus = 1 }: Machine = {},
  wait: (guest: GuestBuilder) => unknown = (guest) => guest.wfi(),
): Scenario =>
  scenario(name)
    .gic({ version, cpus, listRegisters: 1, writeEffects: lagging ? 'lagging' : 'at-once' })
    .vm({ vcpus: 1, spis: 1, haltPolling: { limit: 1 }, lpis: 1, itsDevices: 1, itsCollections: 1 })
    .design(design)
    .vlpi({ device: 7, event: 0, intid: LPI })
    .guest(0, (g) => wait(g.onIrq((h) => h.ack().eoi()).unmask()))
    .device('nic', (d) => d.msi(7, 0))

/** Around the sleep only: as generic hooks were before they were moved. */
const afterPolling = edit(wfiFlag)
  .omit('wfi/preemptOff#1')
  .omit('wfi/setWaiting')
  .omit('wfi/saveVmcr')
  .omit('wfi/vpePutByFlag')
  .omit('wfi/preemptOn#1')
  .insertBefore('wfi/halt/sleep/setSleeping#1', preemptOff, setWaiting, saveVmcr, vpePutByFlag, preemptOn)
  .design(named('put after halt polling'))

const suspendForgets = edit(wfiFlag)
  .omit('suspend/setWaiting')
  .omit('suspend/saveVmcr')
  .omit('suspend/vpePutByFlag')
  .omit('suspend/clearWaiting')
  .omit('suspend/vpeLoad')
  .design(named('CPU_SUSPEND goes to the halt directly'))

/**
 * A guest hypervisor's own guest runs with the vPE of the former off, as if its vCPU waited: what comes for it rings the
 * doorbell.
 */
const nesting = defineDesign('wfi-flag, nested', {
  ...wfiFlagParts,
  eret: [
    preemptOff,
    setWaiting,
    vpePutByFlag,
    preemptOn,
    unless(nestedPending, skipInstruction),
    preemptOff,
    clearWaiting,
    vpeLoad,
    preemptOn,
  ],
})

/** A VM of one vCPU that goes down with it. */
const unmaps = edit(wfiFlag)
  .insertAfter('off/vpePut', vpeUnmap)
  .design(named('which unmaps its vPE at the end'))

export const residencyEntries: readonly MuseumEntry[] = [
  {
    id: '02',
    name: 'arch-hook-after-halt-poll',
    story: 'Halt polling looks for a vLPI while the vPE is resident, when there is nothing to be seen.',
    invariant: 'S11',
    good: wfiFlag,
    bug: afterPolling,
    scenario: (design) => waiting('02 arch-hook-after-halt-poll', design),
    bounds: { preemptions: 1 },
  },
  {
    id: '03',
    name: 'psci-suspend-bypasses-wfi',
    story: 'PSCI CPU_SUSPEND waits as a WFI does, but without its put: nobody is asked for a doorbell.',
    invariant: 'L1',
    good: wfiFlag,
    bug: suspendForgets,
    scenario: (design) =>
      waiting('03 psci-suspend-bypasses-wfi', design, { version: '4.0' }, (g) => g.suspend()),
    bounds: { invariants: ['L1', 'L3', 'L4', 'L6'] },
  },
  {
    id: '04',
    name: 'wfi-preempt-loses-doorbell',
    story:
      'A thread is preempted between the put with its doorbell and the sleep: the notifiers load and put the vPE as ever, and the doorbell is lost.',
    invariant: 'L2',
    good: wfiFlag,
    bug: edit(wfiFlag)
      .replace('schedIn/vpeLoadUnlessWaiting', vpeLoad)
      .replace('schedOut/vpePutByFlag', vpePut)
      .design(named('which the notifiers do not look at')),
    scenario: (design) => waiting('04 wfi-preempt-loses-doorbell', design),
    bounds: { preemptions: 1, invariants: OUTCOMES },
  },
  {
    id: '05',
    name: 'v41-doorbell-overwritten-pending-last',
    story:
      'A put has read PendingLast as 0; the doorbell rings and is recorded; the put stores its 0 over that.',
    invariant: 'S6',
    good: wfiFlag,
    bug: edit(wfiFlag)
      .replaceAll('vpePutByFlag', vpePutUnlocked)
      .insertAfterAll('vpePutUnlocked', storePendingLast)
      .design(named('put without the lock of its vPE')),
    scenario: (design) => waiting('05 v41-doorbell-overwritten-pending-last', design),
    bounds: {},
  },
  {
    id: '06',
    name: 'dirty-deschedule',
    story:
      'A thread is preempted after its load: Valid is cleared while the pending table is still being read.',
    invariant: 'S4',
    good: wfiFlag,
    bug: edit(wfiFlag)
      .replace('schedOut/vpePutByFlag', vpePutAtOnce)
      .design(named('put without a wait for Dirty')),
    scenario: (design) => waiting('06 dirty-deschedule', design, { lagging: true }),
    bounds: { preemptions: 1 },
  },
  {
    id: '07',
    name: 'enter-guest-before-vpt-parsed',
    story:
      'The guest is entered before the redistributor has read what is pending, so that nothing is signalled.',
    invariant: 'S2',
    good: wfiFlag,
    bug: edit(wfiFlag).omit('entry/vpeCommit').design(named('no wait for Dirty before the entry')),
    scenario: (design) => waiting('07 enter-guest-before-vpt-parsed', design, { lagging: true }),
    bounds: { preemptions: 1 },
  },
  {
    id: '08',
    name: 'hcr-en-off-empty-lrs',
    story:
      'With no list register in use ICH_HCR_EL2.En stays 0, and a vLPI that is presented does not interrupt the guest.',
    invariant: 'L3',
    good: kvm61(wfiFlag),
    bug: edit(kvm61(wfiFlag)).omitAll('vpeEnable').design('wfi-flag (kvm61), En for list registers only'),
    scenario: (design) => waiting('08 hcr-en-off-empty-lrs', design, {}, (g) => g.hvc()),
    bounds: {},
  },
  {
    id: '09',
    name: 'nested-eret-no-doorbell',
    story:
      'At the ERET to a nested guest the vPE is put without a doorbell, which GICv4.1 takes to mean that something is pending: the guest hypervisor is interrupted before its guest has run, and finds nothing.',
    invariant: 'L4',
    good: nesting,
    bug: edit(nesting)
      .replace('eret/vpePutByFlag', vpePut)
      .design('wfi-flag, nested, put without a doorbell'),
    scenario: (design) => waiting('09 nested-eret-no-doorbell', design, {}, (g) => g.nestedEret()),
    bounds: { preemptions: 1 },
  },
  {
    id: '10',
    name: 'run-without-residency',
    story:
      'A way from the halt back into the guest has no load: the guest runs, and its vPE is not resident.',
    invariant: 'S2',
    good: wfiFlag,
    bug: edit(wfiFlag).omit('wfi/vpeLoad').design(named('no load behind the halt')),
    scenario: (design) =>
      waiting('10 run-without-residency', design)
        .spi({ intid: 32 })
        .device('uart', (d) => d.pulse(32)),
    bounds: { preemptions: 1 },
  },
  {
    id: '11',
    name: 'vmcr-on-demand-read',
    story:
      'The question whether a vCPU is runnable reads ICH_VMCR_EL2 of whichever vCPU is on the PE by then.',
    invariant: 'S11',
    good: wfiFullPut,
    bug: edit(wfiFullPut)
      .replaceAll('runnable?', runnableOnDemand)
      .design('wfi-full-put, ICH_VMCR_EL2 read on demand'),
    scenario: (design) =>
      scenario('11 vmcr-on-demand-read')
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
    bounds: { preemptions: 1 },
  },
  {
    id: '13 of a vPE',
    name: 'residency-nesting',
    story: 'The put of a vPE that was put already reads PendingLast anew, and what is pending is forgotten.',
    invariant: 'S6',
    good: wfiFlag,
    bug: edit(wfiFlag)
      .replace('schedOut/vpePutByFlag', vpePutAnyway)
      .design(named('put whether or not it is resident')),
    scenario: (design) => waiting('13 residency-nesting of a vPE', design),
    bounds: { preemptions: 1 },
  },
  {
    id: '14',
    name: 'vmovp-elided-stale-doorbell-cpu',
    story:
      'A vPE is made resident on another CPU, and the ITS is not told: it is still mapped to the CPU before, and so is its doorbell.',
    invariant: 'S5',
    good: wfiFlag,
    bug: edit(wfiFlag)
      .replace('schedIn/vpeLoadUnlessWaiting', vpeLoadUnmoved)
      .design(named('no VMOVP at a migration')),
    scenario: (design) => waiting('14 vmovp-elided-stale-doorbell-cpu', design, { cpus: 2 }),
    bounds: { preemptions: 1, migrations: 1 },
  },
  {
    id: '16',
    name: 'vsync-after-vmapp-unmap',
    story: 'A VM goes down: the ITS is told that its vPE is gone, and then to wait for it.',
    invariant: 'S5',
    good: unmaps,
    bug: edit(unmaps).replace('off/vpeUnmap', vpeUnmapSynced).design(named('VSYNC after the unmap')),
    scenario: (design) => waiting('16 vsync-after-vmapp-unmap', design),
    bounds: {},
  },
  {
    id: '20',
    name: 'v41-ctx-missing-without-its',
    story: 'The vPEs of a VM without an ITS are left out, although its SGIs are vSGIs, which need them.',
    invariant: 'S2',
    good: wfiFlag,
    bug: edit(wfiFlag)
      .omitAll('vpeLoad')
      .omitAll('vpeLoadUnlessWaiting')
      .design(named('vPEs only for an ITS')),
    scenario: (design) =>
      scenario('20 v41-ctx-missing-without-its')
        .gic({ version: '4.1', cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 0, distributor: 'reset' })
        .design(design)
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .writeMmio(GICD_CTLR, NASSGIREQ_AND_GROUP_1)
            .unmask()
            .sgi({ intid: 1, vcpus: [0] })
            .wfi(),
        ),
    bounds: {},
  },
]
