/**
 * The museum's bugs of saving a VM and of restoring it. A device stands for the userspace that does it: it waits until the
 * vCPUs are in userspace, where the guest's `userspace()` takes them.
 */
import type { Design } from '../../hyp/run/design.ts'
import { designs, plainRestore, plainSave } from '../../hyp/run/designs.ts'
import { edit } from '../../hyp/run/edit.ts'
import {
  executeCommandOnly,
  restoreItsTablesInPlace,
  restoreItsTablesTargeted,
  restoreItsTablesTrusting,
  restoreRedistributorsInMemory,
  saveInterruptsAsGuest,
  saveInterruptsByOffset,
  timerInjecting,
} from '../../hyp/run/steps.ts'
import { type Scenario, scenario } from '../../scenario/builder.ts'
import type { GuestIts } from '../../scenario/guest-its.ts'
import type { MuseumEntry } from './entry.ts'

const LPI = 8192
const frames = { its: [0x0808_0000] }

/** Where a guest's ITS driver has its device table and its first ITT. */
const DEVICE_TABLE = 0x4002_0000
const ITT = 0x4004_0000

const { wfiHandler, wfiFlag } = designs
const saves: Design = { ...wfiHandler, save: plainSave }
const restores: Design = { ...wfiHandler, restore: plainRestore }
const named = (what: string): string => `wfi-handler, ${what}`

/** GICD_CTLR, and nASSGIreq with EnableGrp1. */
const GICD_CTLR = 0x0800_0000
const NASSGIREQ_AND_GROUP_1 = 0x102

/** R1 and R2 are left out where a guest has tampered with its tables: such an image is refused. */
const whenRefused: MuseumEntry['bounds'] = { invariants: ['L1', 'L3', 'L5', 'L6', 'R3', 'R4', 'R5'] }

/** vCPU 0 drives its ITS, and userspace saves when it comes there; the others are done at once. */
const savedIts = (
  name: string,
  design: Design,
  vcpus: number,
  lpis: number,
  drive: (
    its: GuestIts,
    toUserspace: () => void,
    store: (address: number, entry: readonly [low: number, high: number]) => void,
  ) => void,
): Scenario =>
  scenario(name)
    .gic({ cpus: 1, listRegisters: 1, memoryLines: 96 })
    .vm({ vcpus, spis: 0, frames, lpis, itsDevices: 1, itsCollections: 2 })
    .design(design)
    .guest(0, (g) =>
      drive(
        g.its().boot(vcpus),
        () => g.userspace(),
        (address, [low, high]) => g.store(address, low).store(address + 4, high),
      ),
    )

export const saveEntries: readonly MuseumEntry[] = [
  {
    id: '45',
    name: 'wrong-pending-byte',
    story:
      'A part of a pending table is looked up by its offset in it, and what was read of one vCPU’s is written to that of another.',
    invariant: 'R1',
    good: saves,
    bug: edit(saves)
      .replace('save/saveInterrupts', saveInterruptsByOffset)
      .design(named('pending tables looked up by offset')),
    scenario: (design) =>
      savedIts('45 wrong-pending-byte', design, 2, 2, (its, toUserspace) => {
        its
          .mapDevice(7)
          .mapCollection(0, 0)
          .mapCollection(1, 1)
          .mapEvent(7, 0, LPI, 0)
          .mapEvent(7, 1, LPI + 1, 1)
          .int(7, 0)
        toUserspace()
      }).device('vmm', (d) => d.save()),
    bounds: {},
  },
  {
    id: '46',
    name: 'discard-leaves-ite',
    story:
      'A guest discards an event after a save. Its entry is still in the table, and the next save, which writes what is mapped, leaves it there.',
    invariant: 'R1',
    good: wfiHandler,
    bug: edit(wfiHandler)
      .replace('its/executeCommand', executeCommandOnly)
      .design(named('commands leave saved tables as they are')),
    scenario: (design) =>
      savedIts('46 discard-leaves-ite', design, 1, 1, (its, toUserspace) => {
        its.mapDevice(7).mapCollection(0, 0).mapEvent(7, 0, LPI, 0)
        toUserspace()
        its.discard(7, 0)
        toUserspace()
      }).device('vmm', (d) => d.save().save()),
    bounds: {},
  },
  {
    id: '47',
    name: 'table-scan-and-partial-restore',
    story:
      'An entry of a table that is restored is refused, and those before it stay mapped: a second attempt finds them there.',
    invariant: 'R4',
    good: restores,
    bug: edit(restores)
      .replace('restore/restoreItsTables', restoreItsTablesInPlace)
      .design(named('tables restored entry by entry')),
    scenario: (design) =>
      savedIts('47 table-scan-and-partial-restore', design, 1, 2, (its, toUserspace, store) => {
        its.mapDevice(7).mapCollection(0, 0).mapEvent(7, 1, LPI, 0)
        // Event 0, which the next save leaves alone: INTID 8193 in collection 5, which there is not; event 1 is next.
        store(ITT, [0x2001_0005, 0x0001_0000])
        toUserspace()
      }).device('vmm', (d) => d.save().restore()),
    bounds: whenRefused,
  },
  {
    id: '47 of device entries',
    name: 'table-scan-and-partial-restore',
    story:
      'The entry of a device says that it has more bits of EventIDs than any MAPD can give it, and is taken at its word.',
    invariant: 'R3',
    good: restores,
    bug: edit(restores)
      .replace('restore/restoreItsTables', restoreItsTablesTrusting)
      .design(named('widths of devices unchecked')),
    scenario: (design) =>
      savedIts('47 of device entries', design, 1, 1, (_its, toUserspace, store) => {
        // Device 0, the only one, with an ITT of its own and 17 bits.
        store(DEVICE_TABLE, [0x0800_8090, 0x8000_0000])
        toUserspace()
      }).device('vmm', (d) => d.save().restore()),
    bounds: whenRefused,
  },
  {
    id: '47 of collections',
    name: 'table-scan-and-partial-restore',
    story:
      'A guest maps an event into a collection that goes nowhere yet, which it may; the restore refuses what the save has written.',
    invariant: 'R2',
    good: restores,
    bug: edit(restores)
      .replace('restore/restoreItsTables', restoreItsTablesTargeted)
      .design(named('collections must go to a vCPU')),
    scenario: (design) =>
      savedIts('47 of collections', design, 1, 1, (its, toUserspace) => {
        its.mapDevice(7).mapEvent(7, 0, LPI, 1)
        toUserspace()
      }).device('vmm', (d) => d.save().restore()),
    bounds: {},
  },
  {
    id: '48',
    name: 'ispendr-restore-not-pushed-to-hw-sgi',
    story: 'A pending SGI is restored in memory, and the hardware, which delivers it, is not told.',
    invariant: 'R2',
    good: { ...wfiFlag, restore: plainRestore },
    bug: edit({ ...wfiFlag, restore: plainRestore })
      .replace('restore/restoreRedistributors', restoreRedistributorsInMemory)
      .design('wfi-flag, pending SGIs restored in memory'),
    scenario: (design) =>
      scenario('48 ispendr-restore-not-pushed-to-hw-sgi')
        .gic({ version: '4.1', cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 0, distributor: 'reset' })
        .design(design)
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .writeMmio(GICD_CTLR, NASSGIREQ_AND_GROUP_1)
            .sgi({ intid: 1, vcpus: [0] })
            .userspace()
            .unmask()
            .wfi(),
        )
        .device('vmm', (d) => d.save().restore()),
    bounds: {},
  },
  {
    id: '50',
    name: 'timer-checkpoint-race',
    story:
      'The interrupts are saved; then a host timer makes that of the guest’s timer pending, and masks the timer; then the timers are saved. The image has neither.',
    invariant: 'R5',
    good: wfiHandler,
    bug: edit(wfiHandler)
      .insertAfter('userspace/timerPut', timerInjecting)
      .design(named('a host timer injects and masks')),
    scenario: (design) =>
      scenario('50 timer-checkpoint-race')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 0, timers: true })
        .design(design)
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().stopTimer().eoi())
            .unmask()
            .timer(100)
            .userspace()
            .wfi(),
        )
        .device('vmm', (d) => d.save()),
    // What the guest gets is left out: a host that masks the timer would have to give it back with the interrupt.
    bounds: { invariants: ['L6', 'R1', 'R2', 'R5'] },
  },
  {
    id: '52',
    name: 'hw-pending-read-from-userspace',
    story:
      'Userspace reads ISPENDR as the guest does, and an interrupt whose line is high goes into the image as one that software has made pending.',
    invariant: 'R1',
    good: saves,
    bug: edit(saves)
      .replace('save/saveInterrupts', saveInterruptsAsGuest)
      .design(named('userspace reads as the guest does')),
    scenario: (design) =>
      scenario('52 hw-pending-read-from-userspace')
        .gic({ cpus: 1, listRegisters: 1 })
        .vm({ vcpus: 1, spis: 1 })
        .design(design)
        .spi({ intid: 32, trigger: 'level' })
        .guest(0, (g) => g.userspace())
        .device('nic', (d) => d.raise(32))
        .device('vmm', (d) => d.save()),
    bounds: {},
  },
]
