/**
 * The museum's bugs of saving a VM. A device stands for the userspace that saves: it waits until the vCPUs are in userspace,
 * where the guest's `userspace()` takes them.
 */
import type { Design } from '../../hyp/run/design.ts'
import { designs } from '../../hyp/run/designs.ts'
import { edit } from '../../hyp/run/edit.ts'
import {
  executeCommandOnly,
  saveInterrupts,
  saveInterruptsAsGuest,
  saveInterruptsByOffset,
  saveTimers,
  timerInjecting,
} from '../../hyp/run/steps.ts'
import { type Scenario, scenario } from '../../scenario/builder.ts'
import type { GuestIts } from '../../scenario/guest-its.ts'
import type { MuseumEntry } from './entry.ts'

const LPI = 8192
const frames = { its: [0x0808_0000] }

const { wfiHandler } = designs
const saves: Design = { ...wfiHandler, save: [saveInterrupts, saveTimers] }
const named = (what: string): string => `wfi-handler, ${what}`

/** vCPU 0 drives its ITS, and userspace saves when it comes there; the others are done at once. */
const savedIts = (
  name: string,
  design: Design,
  vcpus: number,
  lpis: number,
  drive: (its: GuestIts, toUserspace: () => void) => void,
): Scenario =>
  scenario(name)
    .gic({ cpus: 1, listRegisters: 1, memoryLines: 96 })
    .vm({ vcpus, spis: 0, frames, lpis, itsDevices: 1, itsCollections: 2 })
    .design(design)
    .guest(0, (g) => drive(g.its().boot(vcpus), () => g.userspace()))

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
