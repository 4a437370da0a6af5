/**
 * The ITS of guests that do anything with it: who owns queue, tables and registers breaks nothing, references are exact,
 * and no LPI is lost or made up.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CACHED_DEVICE,
  CACHED_EVENT,
  CACHED_ITS,
  CACHED_LPI,
  CACHED_STRIDE,
  DEVICE_EVENTS,
  EVENT_DEVICE,
  EVENT_LPI,
  EVENT_NEXT,
  EVENT_PREVIOUS,
  LPI_REFS,
} from '../../../../src/hyp/records/lpi-record.ts'
import { VCPU_LR_IRQ } from '../../../../src/hyp/records/vcpu.ts'
import { irqApListOf } from '../../../../src/hyp/records/vgic-irq.ts'
import { redistributor } from '../../../kit/frames.ts'
import {
  bootedIts,
  CONFIGURATION,
  collectionTable,
  deviceTable,
  GITS_BASER,
  GITS_CBASER,
  GITS_CTLR,
  GITS_CWRITER,
  GuestRam,
  gits,
  type ItsGuest,
  queueOf,
  slotsInUse,
} from '../../../kit/guest-its.ts'
import { end } from '../../../kit/vm.ts'

const VCPUS = 2
const LPIS = 6
const DEVICES = 3
const sizes = { vcpus: VCPUS, itss: 2, lpis: LPIS, itsDevices: DEVICES, itsCollections: 4, translations: 3 }

/** Memory that counts its accesses. */
class CountedRam extends GuestRam {
  accesses = 0

  override read32(address: number): number | undefined {
    this.accesses++
    return super.read32(address)
  }

  override write32(address: number, value: number): boolean {
    this.accesses++
    return super.write32(address, value)
  }
}

/** Throws unless every reference to a slot is to one that is in use, and each LPI counts exactly those to it. */
function checkReferences({ vm }: ItsGuest): void {
  const { words, mmio, layout, config } = vm.hypervisor
  const { its } = mmio.dist
  const { lpis, devices, events, collections } = its
  const held = new Map<number, number>()
  const hold = (irq: number): void => void held.set(irq, (held.get(irq) ?? 0) + 1)
  const alive = new Set<number>()
  for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot)) alive.add(lpis.at(slot))

  for (let slot = 1; slot <= events.layout.count; slot++) {
    if (!events.isUsed(slot)) continue
    const event = events.recordOf(slot)
    hold(lpis.at(words[event + EVENT_LPI]))
    expect(devices.isUsed(words[event + EVENT_DEVICE])).toBe(true)
    const collection = its.collectionOf(slot)
    if (collection !== 0) expect(collections.isUsed(collection)).toBe(true)
  }
  let listed = 0
  for (let slot = 1; slot <= devices.layout.count; slot++) {
    if (!devices.isUsed(slot)) continue
    let event = words[devices.recordOf(slot) + DEVICE_EVENTS]
    for (let before = 0; event !== 0; event = words[events.recordOf(event) + EVENT_NEXT]) {
      expect(words[events.recordOf(event) + EVENT_DEVICE]).toBe(slot)
      expect(words[events.recordOf(event) + EVENT_PREVIOUS]).toBe(before)
      before = event
      listed++
    }
  }
  expect(listed).toBe(slotsInUse({ vm } as ItsGuest).events)
  for (let index = 0; index < VCPUS; index++) {
    const v = vm.hypervisor.vcpu(index)
    for (const irq of vm.hypervisor.apLists.listOf(v)) {
      if (!lpis.isLpi(irq)) continue
      hold(irq)
      expect(irqApListOf(words[irq])).toBe(index + 1)
    }
    for (let n = 0; n < config.listRegisters; n++)
      if (words[v + VCPU_LR_IRQ + n] >= lpis.first) hold(words[v + VCPU_LR_IRQ + n])
  }
  const { translations, translationCount } = layout.lpis
  for (let i = 0; i < translationCount; i++) {
    const at = translations + i * CACHED_STRIDE
    if (words[at + CACHED_ITS] === 0) continue
    hold(lpis.at(words[at + CACHED_LPI]))
    const event = its.findEvent(
      words[at + CACHED_ITS] - 1,
      words[at + CACHED_DEVICE],
      words[at + CACHED_EVENT],
    )
    expect(event, 'a cached event is mapped').not.toBe(0)
    expect(its.lpiOf(event)).toBe(lpis.at(words[at + CACHED_LPI]))
  }
  for (const irq of alive) expect(words[irq + LPI_REFS], 'references').toBe(held.get(irq))
  for (const irq of held.keys()) expect(alive.has(irq), 'an LPI that was freed is used').toBe(true)
}

const small = fc.integer({ min: 0, max: 3 })
const anyWord = fc.oneof(
  small,
  fc.constantFrom(0xff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff),
  fc.integer({ min: 0, max: 0xffff_ffff }),
)
const its = fc.constantFrom(0, 0, 0, 1)
const intids = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 8190, max: 8192 + LPIS + 2 }) },
  { weight: 1, arbitrary: anyWord },
)
const VALID = 1n << 63n

/** Where a hostile guest has its tables: where a driver has them, over each other, or where there is no memory. */
const places = fc.constantFrom(
  queueOf(),
  deviceTable(),
  collectionTable(),
  CONFIGURATION,
  0x4100_0000,
  0,
  2 ** 40,
  gits(0),
  2 ** 52 - 0x1_0000,
)

const commands = fc.tuple(
  fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(1, 3, 4, 5, 8, 8, 9, 9, 0xa, 0xa, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf) },
    { weight: 1, arbitrary: fc.nat(255) },
  ),
  fc.oneof({ weight: 8, arbitrary: small }, { weight: 1, arbitrary: anyWord }),
  fc.oneof({ weight: 8, arbitrary: small }, { weight: 1, arbitrary: anyWord }),
  intids,
  fc.oneof({ weight: 8, arbitrary: small }, { weight: 1, arbitrary: anyWord }),
  fc.oneof({ weight: 8, arbitrary: small }, { weight: 1, arbitrary: anyWord }),
  fc.boolean(),
  places,
)

/** A command's four doublewords. */
function encode([opcode, device, event, intid, icid, rdbase, valid, itt]: readonly [
  number,
  number,
  number,
  number,
  number,
  number,
  boolean,
  number,
]): bigint[] {
  const target = (BigInt(rdbase) << 16n) | BigInt(icid & 0xffff)
  const third = opcode === 8 ? BigInt(itt & ~0xff) : target
  return [
    (BigInt(device) << 32n) | BigInt(opcode),
    (BigInt(intid) << 32n) | BigInt(event),
    (valid ? VALID : 0n) | third,
    BigInt(icid) << 16n,
  ]
}

type Act = (guest: ItsGuest) => void
const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(its, small, small, fc.constantFrom(true, true, true, false)).map(
      ([n, device, bits, valid]): Act =>
        (guest) =>
          guest.mapd(device, bits + 1, valid, n),
    ),
  },
  {
    weight: 9,
    arbitrary: fc.tuple(its, small, small, fc.integer({ min: 8192, max: 8192 + LPIS }), small).map(
      ([n, device, event, intid, icid]): Act =>
        (guest) =>
          guest.mapti(device, event, intid, icid, n),
    ),
  },
  {
    weight: 10,
    arbitrary: fc.tuple(its, commands).map(
      ([n, fields]): Act =>
        (guest) =>
          guest.command(n, ...encode(fields)),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(its, small, small).map(
      ([n, device, event]): Act =>
        (guest) =>
          void guest.msi(device, event, n),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(its, anyWord, anyWord).map(
      ([n, device, event]): Act =>
        (guest) =>
          void guest.msi(device, event, n),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        its,
        fc.constantFrom(GITS_CTLR, GITS_CBASER, GITS_BASER, GITS_BASER + 8, GITS_CWRITER),
        places,
        fc.constantFrom(0n, VALID, VALID | (1n << 62n)),
        fc.nat(255),
      )
      .map(
        ([n, register, place, flags, low]): Act =>
          (guest) =>
            guest.setRegister(
              n,
              register,
              register === GITS_CTLR ? low & 1 : flags | BigInt(place) | BigInt(low),
            ),
      ),
  },
  {
    weight: 2,
    arbitrary: its.map(
      (n): Act =>
        (guest) =>
          guest.setUpIts(n),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(small, fc.boolean()).map(
      ([vcpu, on]): Act =>
        (guest) =>
          guest.enableLpis(vcpu % VCPUS, on),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(small, fc.constantFrom(0x70, 0x78, 0xa0, 0xb0), places, fc.nat(31)).map(
      ([vcpu, register, place, low]): Act =>
        (guest) =>
          guest.vm.writeMmio(0, redistributor(vcpu % VCPUS) + register, 8, BigInt(place) | BigInt(low)),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(places, fc.nat(0x100), anyWord).map(
      ([place, at, value]): Act =>
        (guest) =>
          void guest.ram.write32(place + 4 * at, value),
    ),
  },
  {
    weight: 3,
    arbitrary: small.map(
      (vcpu): Act =>
        (guest) =>
          void guest.vm.enter(vcpu % VCPUS),
    ),
  },
  {
    weight: 2,
    arbitrary: small.map(
      (vcpu): Act =>
        (guest) =>
          guest.vm.exit(vcpu % VCPUS),
    ),
  },
  {
    weight: 1,
    arbitrary: small.map(
      (vcpu): Act =>
        (guest) =>
          guest.vm.preempt(vcpu % VCPUS),
    ),
  },
  {
    weight: 3,
    arbitrary: small.map(
      (vcpu): Act =>
        (guest) => {
          const intid = guest.acknowledge(vcpu % VCPUS)
          if (intid !== 1023) end(guest.vm, vcpu % VCPUS, intid)
        },
    ),
  },
)

const hosts = fc.record({ listRegisters: fc.constantFrom(1, 2, 4), cpus: fc.constantFrom(1, 2) })

function bootedWith(silicon: { listRegisters: number; cpus: number }): ItsGuest & { ram: CountedRam } {
  const guest = bootedIts({ ...sizes, silicon, ram: new CountedRam() }) as ItsGuest & { ram: CountedRam }
  for (let intid = 8192; intid < 8192 + LPIS; intid++) guest.configure(intid, 8 * (intid - 8190))
  return guest
}

/** Unmaps all, and lets what is pending be taken. */
function unmapAll(guest: ItsGuest): void {
  for (const n of [0, 1]) {
    guest.setRegister(n, GITS_CTLR, 0)
    for (const table of [0, 8]) guest.setRegister(n, GITS_BASER + table, 0n)
  }
  for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
    // One that is disabled already takes none off: an INV or INVALL since then may have queued what is pending, as in KVM.
    guest.enableLpis(vcpu)
    guest.enableLpis(vcpu, false)
    guest.vm.exit(vcpu)
  }
  guest.vm.stop()
}

describe('a hostile guest that owns queue, tables and registers', () => {
  it('never makes it throw, loop or grow; references are exact at every step, and none is left in the end', () => {
    const seen = { lpis: 0, full: 0, cached: 0, shared: 0 }
    fc.assert(
      fc.property(hosts, fc.array(acts, { minLength: 20, maxLength: 100, size: 'max' }), (silicon, list) => {
        const guest = bootedWith(silicon)
        const { its: vgicIts } = guest.vm.hypervisor.mmio.dist
        const queueBytes = 0x100 * 0x1000
        // Of each command its eight words, and a look at each LPI's byte, twice if it is pending.
        const most = (queueBytes / 32) * (8 + 4 * LPIS)
        for (const act of list) {
          guest.ram.accesses = 0
          act(guest)
          expect(guest.ram.accesses).toBeLessThan(most)
          checkReferences(guest)
          const used = slotsInUse(guest)
          if (used.lpis > 0) seen.lpis++
          if (used.lpis === LPIS || used.devices === DEVICES) seen.full++
          if (used.events > used.lpis) seen.shared++
          if (guest.vm.hypervisor.words[vgicIts.cache.layout.translations] !== 0) seen.cached++
        }
        unmapAll(guest)
        expect(slotsInUse(guest)).toEqual({ lpis: 0, devices: 0, events: 0, collections: 0 })
      }),
      { numRuns: 400 },
    )
    for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0)
  })
})

/** What a driver does with LPIs; event e of device d is LPI 8192 + 2 * d + e. */
type Driving =
  | {
      readonly do: 'map' | 'msi' | 'clear' | 'discard' | 'mask' | 'unmask'
      readonly lpi: number
      readonly icid: number
    }
  | { readonly do: 'movi'; readonly lpi: number; readonly icid: number }
  | { readonly do: 'mapc' | 'movall'; readonly icid: number; readonly vcpu: number }
  | { readonly do: 'enter' | 'exit' | 'preempt' | 'take' | 'toggle'; readonly vcpu: number }

const lpiOf = fc.integer({ min: 0, max: LPIS - 1 })
const vcpuOf = fc.integer({ min: 0, max: VCPUS - 1 })
const driving: fc.Arbitrary<Driving> = fc.oneof(
  fc.record({
    do: fc.constantFrom('map', 'msi', 'msi', 'msi', 'msi', 'clear', 'discard', 'mask', 'unmask', 'movi'),
    lpi: lpiOf,
    icid: vcpuOf,
  }),
  fc.record({ do: fc.constantFrom('mapc', 'movall'), icid: vcpuOf, vcpu: vcpuOf }),
  fc.record({
    do: fc.constantFrom('enter', 'enter', 'exit', 'preempt', 'take', 'take', 'toggle'),
    vcpu: vcpuOf,
  }),
)

/**
 * What devices have sent. A message that comes while the LPI is in a list register of a running vCPU is latched beside it,
 * so two can be outstanding.
 */
class Owed {
  /** LPIs whose last message nobody has taken since. */
  readonly must = new Set<number>()
  /** How often an LPI may come. */
  private readonly most = new Map<number, number>()

  sent(lpi: number): void {
    this.must.add(lpi)
    this.most.set(lpi, Math.min((this.most.get(lpi) ?? 0) + 1, 2))
  }

  /** It need not come any more, but it may: what is pending in a list register of a running vCPU does. */
  perhaps(lpi: number): void {
    this.must.delete(lpi)
  }

  taken(lpi: number): void {
    const most = this.most.get(lpi) ?? 0
    expect(most, `LPI ${8192 + lpi} comes of nothing`).toBeGreaterThan(0)
    this.most.set(lpi, most - 1)
    this.must.delete(lpi)
  }
}

function drive(guest: ItsGuest, owed: Owed, step: Driving): void {
  const { vm } = guest
  const at = (lpi: number): [device: number, event: number] => [lpi >> 1, lpi & 1]
  switch (step.do) {
    case 'map':
      guest.mapti(...at(step.lpi), 8192 + step.lpi, step.icid)
      break
    case 'msi':
      if (guest.msi(...at(step.lpi))) owed.sent(step.lpi)
      break
    case 'clear':
      owed.perhaps(step.lpi)
      guest.event('CLEAR', ...at(step.lpi))
      break
    case 'discard':
      // One that is masked is on no list, and goes.
      owed.perhaps(step.lpi)
      guest.event('DISCARD', ...at(step.lpi))
      break
    case 'mask':
    case 'unmask':
      guest.configure(8192 + step.lpi, 0x80, step.do === 'unmask')
      guest.event('INV', ...at(step.lpi))
      break
    case 'movi':
      guest.movi(...at(step.lpi), step.icid)
      break
    case 'mapc':
      guest.mapc(step.icid, step.vcpu)
      break
    case 'movall':
      guest.movall(step.icid, step.vcpu)
      break
    case 'toggle':
      // What is pending is not in the pending table, which is read when LPIs are enabled again.
      for (const lpi of [...owed.must]) owed.perhaps(lpi)
      guest.enableLpis(step.vcpu, false)
      guest.enableLpis(step.vcpu)
      break
    case 'enter':
      vm.enter(step.vcpu)
      break
    case 'exit':
      vm.exit(step.vcpu)
      break
    case 'preempt':
      vm.preempt(step.vcpu)
      break
    case 'take':
      take(guest, owed, step.vcpu)
      break
  }
}

/** A vCPU takes an LPI and ends it. */
function take(guest: ItsGuest, owed: Owed, vcpu: number): boolean {
  const intid = guest.acknowledge(vcpu)
  if (intid === 1023) return false
  owed.taken(intid - 8192)
  end(guest.vm, vcpu, intid)
  return true
}

describe('conservation of LPIs', () => {
  it('what a device has sent is pending, taken once, or one with what was pending already', () => {
    const seen = { taken: 0, moved: 0 }
    fc.assert(
      fc.property(hosts, fc.array(driving, { maxLength: 80, size: 'max' }), (silicon, list) => {
        const guest = bootedWith(silicon)
        for (let device = 0; device < DEVICES; device++) guest.mapd(device, 1)
        for (let lpi = 0; lpi < LPIS; lpi++) guest.mapti(lpi >> 1, lpi & 1, 8192 + lpi, lpi % VCPUS)
        const owed = new Owed()
        for (const step of list) {
          const before = owed.must.size
          drive(guest, owed, step)
          checkReferences(guest)
          if (step.do === 'take' && owed.must.size < before) seen.taken++
          if (step.do === 'movi' || step.do === 'movall') seen.moved++
        }
        for (let lpi = 0; lpi < LPIS; lpi++) drive(guest, owed, { do: 'unmask', lpi, icid: 0 })
        for (let round = 0; round < 2; round++)
          for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
            vmExit(guest)
            while (take(guest, owed, vcpu)) seen.taken++
          }
        expect([...owed.must], 'lost').toEqual([])
        unmapAll(guest)
        expect(slotsInUse(guest)).toEqual({ lpis: 0, devices: 0, events: 0, collections: 0 })
      }),
      { numRuns: 100 },
    )
    for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0)
  })
})

/** All vCPUs leave their guests, so that LPIs that were moved go where they belong. */
function vmExit({ vm }: ItsGuest): void {
  for (let vcpu = 0; vcpu < VCPUS; vcpu++) vm.exit(vcpu)
}
