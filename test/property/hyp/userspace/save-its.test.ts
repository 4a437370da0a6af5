/**
 * A VM with LPIs that is saved and put into another one again and again, whose guests see what they would have seen in a
 * VM that was never saved. LPIs differ in priority, because a saved VM does not tell which of equal ones came first; and
 * drivers quiesce an LPI before they unmap it, because a saved VM does not have one that is pending and not mapped. ITSs
 * and redistributors are off now and then; commands that a driver writes meanwhile wait in the queue.
 */
import fc from 'fast-check'
import { ICC_HPPIR1_EL1, ISR_EL1, VgicError } from 'vgic'
import type { SavedMappings, SavedVgic } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  bootedIts,
  GITS_CTLR,
  GuestRam,
  type ItsGuest,
  ittOf,
  restoredTo,
  slotsInUse,
} from '../../../kit/guest-its.ts'
import { end } from '../../../kit/vm.ts'

const VCPUS = 2
const DEVICES = 3
const LPIS = 2 * DEVICES
const ITSS = 2
const sizes = { vcpus: VCPUS, itss: ITSS, lpis: LPIS, itsDevices: DEVICES, itsCollections: 6 }

/** LPI n is event n & 1 of device n >> 1, whose ITS is n & 1 of the device. */
type Step =
  | { readonly do: 'map' | 'movi'; readonly lpi: number; readonly icid: number }
  | { readonly do: 'msi' | 'clear' | 'discard' | 'mask' | 'unmask'; readonly lpi: number }
  | { readonly do: 'remap'; readonly device: number }
  | { readonly do: 'mapc'; readonly icid: number; readonly vcpu: number }
  | { readonly do: 'on' | 'off' | 'take' | 'preempt'; readonly vcpu: number }
  | { readonly do: 'suspend' | 'resume'; readonly its: number }

const lpis = fc.nat(LPIS - 1)
const vcpus = fc.nat(VCPUS - 1)
/** One collection is not mapped at first. */
const icids = fc.nat(VCPUS)
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('msi'), lpi: lpis }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('map', 'movi'), lpi: lpis, icid: icids }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('clear', 'discard', 'mask', 'unmask'), lpi: lpis }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remap'), device: fc.nat(DEVICES - 1) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('suspend', 'suspend', 'resume'), its: fc.nat(ITSS - 1) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mapc'), icid: icids, vcpu: vcpus }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('take', 'take', 'take', 'preempt', 'on', 'off'),
      vcpu: vcpus,
    }),
  },
)

/** What was moved leaves the ap_list that it is on when that vCPU exits next. */
function settle({ vm }: ItsGuest): void {
  for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
    vm.enter(vcpu)
    vm.exit(vcpu)
  }
}

const itsOf = (device: number): number => device & 1

/** Makes an LPI idle, and unmaps it. */
function discard(guest: ItsGuest, lpi: number): void {
  const device = lpi >> 1
  guest.event('CLEAR', device, lpi & 1, itsOf(device))
  settle(guest)
  guest.event('DISCARD', device, lpi & 1, itsOf(device))
}

/** Takes a step. Returns what the guest or the device sees of it. */
function take(guest: ItsGuest, step: Step): unknown {
  const { vm } = guest
  const at = (lpi: number): [number, number] => [lpi >> 1, lpi & 1]
  switch (step.do) {
    case 'map':
      return guest.mapti(...at(step.lpi), 8192 + step.lpi, step.icid, itsOf(step.lpi >> 1))
    case 'movi':
      return guest.movi(...at(step.lpi), step.icid, itsOf(step.lpi >> 1))
    case 'msi':
      return guest.msi(...at(step.lpi), itsOf(step.lpi >> 1))
    case 'clear':
      return guest.event('CLEAR', ...at(step.lpi), itsOf(step.lpi >> 1))
    case 'discard':
      return discard(guest, step.lpi)
    case 'mask':
    case 'unmask':
      guest.configure(8192 + step.lpi, 8 * (step.lpi + 1), step.do === 'unmask')
      return guest.event('INV', ...at(step.lpi), itsOf(step.lpi >> 1))
    case 'remap':
      for (const event of [0, 1]) discard(guest, 2 * step.device + event)
      guest.mapd(step.device, 1, false, itsOf(step.device))
      // A driver zeroes the ITT that it gives to an ITS: what was saved there does not count.
      for (const event of [0, 1]) guest.ram.write64(ittOf(step.device, itsOf(step.device)) + 8 * event, 0n)
      return guest.mapd(step.device, 1, true, itsOf(step.device))
    case 'mapc':
      for (const its of [0, 1]) guest.mapc(step.icid, step.vcpu, true, its)
      return
    case 'on':
    case 'off':
      return guest.enableLpis(step.vcpu, step.do === 'on')
    case 'suspend':
    case 'resume':
      return guest.setRegister(step.its, GITS_CTLR, step.do === 'resume' ? 1 : 0)
    case 'preempt':
      return vm.preempt(step.vcpu)
    case 'take': {
      const intid = guest.acknowledge(step.vcpu)
      if (intid !== 1023) end(vm, step.vcpu, intid)
      return intid
    }
  }
}

/** What a guest has switched off: redistributors, by vCPU, and ITSs. */
class Off {
  readonly redistributors = new Set<number>()
  readonly itss = new Set<number>()

  take(step: Step): void {
    if (step.do === 'off') this.redistributors.add(step.vcpu)
    if (step.do === 'on') this.redistributors.delete(step.vcpu)
    if (step.do === 'suspend') this.itss.add(step.its)
    if (step.do === 'resume') this.itss.delete(step.its)
  }

  /**
   * While a redistributor takes no LPIs, KVM still queues one that is moved there or invalidated, and a saved VM does not
   * tell of it. Nor does it tell that a configuration counts only after the INV that waits in the queue.
   */
  isNotToldOf(step: Step): boolean {
    if (step.do === 'mask' || step.do === 'unmask') {
      if (this.itss.has(itsOf(step.lpi >> 1))) return true
    }
    return this.redistributors.size > 0 && ['movi', 'mapc', 'mask', 'unmask', 'resume'].includes(step.do)
  }
}

/** What the guests see signalled. They leave with it: CLEAR does not reach what is in a list register. */
function seen(guest: ItsGuest): bigint[] {
  const values = Array.from({ length: VCPUS }, (_, vcpu) =>
    [ISR_EL1, ICC_HPPIR1_EL1].map((register) => guest.vm.readSysreg64(vcpu, register)),
  )
  settle(guest)
  return values.flat()
}

/** Stops a VM and saves it. */
function savedOf({ vm }: ItsGuest): SavedVgic {
  vm.stop()
  return vm.saveVgic()
}

const silicons = fc.record({ listRegisters: fc.constantFrom(1, 2, 4, 16), cpus: fc.constantFrom(1, 2) })

describe('whatever drivers do with LPIs', () => {
  it('a VM that is saved and restored every few accesses goes on as one that never is', () => {
    const count = { signalled: 0, taken: 0, moves: 0, off: 0, mappings: 0 }
    const life = fc.array(steps, { minLength: 20, maxLength: 80, size: 'max' })
    fc.assert(
      fc.property(
        life,
        fc.array(silicons, { minLength: 1 }),
        fc.integer({ min: 1, max: 9 }),
        (list, hosts, every) => {
          const stays = bootedIts(sizes)
          for (let lpi = 0; lpi < LPIS; lpi++) stays.configure(8192 + lpi, 8 * (lpi + 1))
          for (let device = 0; device < DEVICES; device++) stays.mapd(device, 1, true, itsOf(device))
          let moves = restoredTo(stays, sizes)
          const off = new Off()
          for (const [i, step] of list.entries()) {
            if (off.isNotToldOf(step)) continue
            off.take(step)
            const result = take(stays, step)
            expect(take(moves, step), step.do).toEqual(result)
            for (const guest of [stays, moves]) settle(guest)
            const sees = seen(stays)
            expect(seen(moves), step.do).toEqual(sees)
            if (sees[0] !== 0n) count.signalled++
            if (step.do === 'take' && result !== 1023) count.taken++
            if (step.do === 'off') count.off++
            if (i % every !== 0) continue
            const moved = savedOf(moves)
            moves = restoredTo(moves, { ...sizes, silicon: hosts[i % hosts.length] })
            count.moves++
            const { mappings } = moved
            if (mappings.some((one) => one?.devices.some(({ events }) => events.length > 0))) count.mappings++
          }
          expect(savedOf(moves)).toEqual(savedOf(stays))
          expect(slotsInUse(moves)).toEqual(slotsInUse(stays))
          // With everything on, the tables have it all.
          for (const guest of [stays, moves]) {
            for (let vcpu = 0; vcpu < VCPUS; vcpu++) guest.enableLpis(vcpu)
            for (let its = 0; its < ITSS; its++) guest.setRegister(its, GITS_CTLR, 1)
            settle(guest)
          }
          expect(savedOf(moves)).toEqual(savedOf(stays))
          expect(moves.ram.contents()).toEqual(stays.ram.contents())
          expect(slotsInUse(moves)).toEqual(slotsInUse(stays))
        },
      ),
      { numRuns: 40 },
    )
    for (const [what, times] of Object.entries(count)) expect(times, what).toBeGreaterThan(0)
  })

  it('whatever is in its tables, a VM is restored or refused, and then nothing has changed', () => {
    const outcomes = { restored: 0, refused: 0 }
    const guest = bootedIts(sizes)
    for (let device = 0; device < DEVICES; device++) {
      guest.mapd(device, 1, true, itsOf(device))
      for (const event of [0, 1]) guest.mapti(device, event, 8192 + 2 * device + event, event, itsOf(device))
    }
    guest.msi(0, 0)
    guest.vm.stop()
    const saved = guest.vm.saveVgic()
    const tables = guest.ram.contents()
    const changes = fc.array(
      fc.record({
        nth: fc.nat(tables.length - 1),
        bit: fc.nat(31),
        ahead: fc.constantFrom(0, 0, 0, 4, 8, 64),
      }),
      { minLength: 1, maxLength: 4 },
    )
    fc.assert(
      fc.property(changes, (list) => {
        const ram = new GuestRam(tables)
        for (const { nth, bit, ahead } of list) {
          const at = tables[nth][0] + ahead
          ram.write32(at, ((ram.read32(at) ?? 0) ^ (1 << bit)) >>> 0)
        }
        const other = bootedIts({ ...sizes, ram: new GuestRam() })
        other.vm.stop()
        for (const [address, word] of other.ram.contents()) other.ram.write32(address, word & 0)
        for (const [address, word] of ram.contents()) other.ram.write32(address, word)
        const before = [other.vm.hash(), other.ram.contents()]
        try {
          other.vm.restoreVgic(saved)
          outcomes.restored++
        } catch (error) {
          expect(error).toBeInstanceOf(VgicError)
          expect([other.vm.hash(), other.ram.contents()]).toEqual(before)
          outcomes.refused++
        }
      }),
      { numRuns: 200 },
    )
    for (const [what, times] of Object.entries(outcomes)) expect(times, what).toBeGreaterThan(0)
  })

  it('whatever its mappings say, a VM has just these, or they are refused, and then nothing has changed', () => {
    const outcomes = { restored: 0, refused: 0 }
    const guest = bootedIts(sizes)
    for (let its = 0; its < ITSS; its++) guest.setRegister(its, GITS_CTLR, 0)
    const saved = savedOf(guest)
    const ids = fc.nat(4)
    const icid = fc.nat({ max: 3 })
    const event = fc.record({ id: ids, intid: fc.integer({ min: 8191, max: 8196 }), icid })
    const mappings: fc.Arbitrary<SavedMappings> = fc.record({
      devices: fc.array(
        fc.record({
          id: ids,
          bits: fc.constantFrom(0, 1, 2, 16, 17),
          itt: fc.constantFrom('0x0', '0x42300000', '0xfffffffffff00', '0x10000000000000'),
          events: fc.array(event, { maxLength: 2 }),
        }),
        { maxLength: 2 },
      ),
      collections: fc.array(fc.record({ icid, vcpu: fc.nat(VCPUS) }, { requiredKeys: ['icid'] }), {
        maxLength: 4,
      }),
    })
    const pending = fc.array(fc.uniqueArray(fc.integer({ min: 8192, max: 8194 }), { maxLength: 1 }), {
      minLength: VCPUS,
      maxLength: VCPUS,
    })
    fc.assert(
      fc.property(fc.tuple(mappings, mappings), pending, (list, intids) => {
        const other = bootedIts({ ...sizes, ram: guest.ram.copy() })
        other.vm.stop()
        for (let lpi = 0; lpi < LPIS; lpi++) other.configure(8192 + lpi)
        const before = [other.vm.hash(), other.ram.contents()]
        const changed = { ...saved, mappings: list, pending: intids }
        try {
          other.vm.restoreVgic(changed)
        } catch (error) {
          expect(error).toMatchObject({ name: 'VgicError', code: 'EINVAL' })
          expect([other.vm.hash(), other.ram.contents()]).toEqual(before)
          outcomes.refused++
          return
        }
        expect(savedOf(other)).toEqual({ ...changed, mappings: list.map(sorted) })
        expect(other.ram.contents()).toEqual(before[1])
        outcomes.restored++
      }),
      { numRuns: 300 },
    )
    for (const [what, times] of Object.entries(outcomes)) expect(times, what).toBeGreaterThan(0)
  })
})

/** Mappings in the order in which they are saved. */
const sorted = ({ devices, collections }: SavedMappings): SavedMappings => ({
  devices: devices
    .map((device) => ({ ...device, events: [...device.events].sort((a, b) => a.id - b.id) }))
    .sort((a, b) => a.id - b.id),
  collections: [...collections].sort((a, b) => a.icid - b.icid),
})
