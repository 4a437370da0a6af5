/** A guest's ITS saved and put back: its registers, and its tables in the guest's memory. */
import { VgicError } from 'vgic'
import { type Design, designs, kvm61, kvm72 } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { itsRegisters } from '../../../../src/hyp/userspace/its-registers.ts'
import { restoreItsTables } from '../../../../src/hyp/userspace/its-tables-restore.ts'
import { saveItsTables, savePendingTables } from '../../../../src/hyp/userspace/its-tables-save.ts'
import {
  bootedIts,
  collectionTable,
  deviceTable,
  GITS_CBASER,
  GITS_CTLR,
  INDIRECT,
  type ItsGuest,
  type ItsOptions,
  itsVm,
  ittOf,
  queueOf,
  restoredTo,
  slotsInUse,
} from '../../../kit/guest-its.ts'
import { cte, dte, ite, registersOf, save, VALID, withLpis } from '../../../kit/saved-its.ts'
import { boot } from '../../../kit/vm.ts'

describe('the tables of a saved VM', () => {
  it('have a device, its events and the collections as KVM’s ABI has them', () => {
    const guest = bootedIts()
    guest.mapd(7, 4)
    guest.mapd(9, 1)
    guest.mapti(7, 11, 8200, 1)
    guest.mapti(7, 3, 8192, 0)
    save(guest)
    const { ram } = guest
    expect(ram.read64(deviceTable() + 8 * 7)).toBe(dte(ittOf(7), 4, 2))
    expect(ram.read64(deviceTable() + 8 * 9)).toBe(dte(ittOf(9), 1))
    expect(ram.read64(ittOf(7) + 8 * 3)).toBe(ite(8192, 0, 8))
    expect(ram.read64(ittOf(7) + 8 * 11)).toBe(ite(8200, 1))
    expect([0, 1, 2].map((n) => ram.read64(collectionTable() + 8 * n))).toEqual([cte(0, 0), cte(1, 1), 0n])
  })

  it('forget a collection that was unmapped since the last save', () => {
    const guest = bootedIts()
    save(guest)
    guest.mapc(1, 1, false)
    save(guest)
    expect(guest.ram.read64(collectionTable() + 8)).toBe(0n)
  })

  it('forget what was discarded or unmapped since the last save: it does not come back', () => {
    const guest = bootedIts()
    guest.mapd(2, 4)
    guest.mapd(7, 4)
    guest.mapti(7, 1, 8192, 0)
    guest.mapti(7, 2, 8193, 0)
    save(guest)
    guest.event('DISCARD', 7, 1)
    guest.mapd(2, 1, false)
    const other = restoredTo(guest)
    expect(other.msi(7, 1)).toBe(false)
    expect(other.msi(7, 2)).toBe(true)
    other.vm.stop()
    other.ram.write64(deviceTable() + 8 * 7, 0n)
    expect(registersOf(other).read(0, GITS_CTLR)).toBe(0x8000_0001n)
    save(other)
    expect(other.ram.read64(deviceTable() + 8 * 2)).toBe(0n)
    expect(other.ram.read64(deviceTable() + 8 * 7)).toBe(dte(ittOf(7), 4))
  })

  it('are indirect, with the level 1 entries that the guest has made', () => {
    const page = (n: number): number => queueOf() + 0x50_0000 + n * 0x1_0000
    const guest = itsVm()
    boot(guest.vm)
    guest.setUpLpis()
    guest.setUpIts(0, VALID | INDIRECT | BigInt(deviceTable()))
    guest.mapc(0, 0)
    for (const n of [0, 2]) guest.ram.write64(deviceTable() + 8 * n, VALID | BigInt(page(n)))
    for (const device of [5, 8192 + 5, 2 * 8192, 2 * 8192 + 100]) guest.mapd(device, 2)
    guest.configure(8192)
    guest.mapti(2 * 8192 + 100, 3, 8192, 0)
    save(guest)
    expect(guest.ram.read64(page(0) + 8 * 5)).toBe(dte(ittOf(5), 2, 0x3ffb))
    expect(guest.ram.read64(page(2))).toBe(dte(ittOf(2 * 8192), 2, 100))
    const other = restoredTo(guest)
    save(other)
    expect(other.ram.contents()).toEqual(guest.ram.contents())
    expect(other.msi(2 * 8192 + 100, 3)).toBe(true)
  })

  it('an event whose collection was unmapped has no place: it is left out', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.mapti(1, 4, 8192, 1)
    guest.mapti(1, 6, 8193, 0)
    save(guest)
    guest.mapc(1, 1, false)
    save(guest)
    expect(guest.ram.read64(ittOf(1) + 8 * 4)).toBe(0n)
    const other = restoredTo(guest)
    other.configure(8194)
    other.mapti(1, 4, 8194, 0)
    expect(other.msi(1, 4)).toBe(true)
    expect(other.acknowledge(0)).toBe(8194)
  })

  /** A guest whose devices 3 and 8200 are in different pages of an indirect table, of which it has given up one. */
  function withoutPage(page: number, design: Design): ItsGuest {
    const guest = itsVm({ design })
    boot(guest.vm)
    guest.setUpLpis()
    for (const one of [0, 1])
      guest.ram.write64(deviceTable() + 8 * one, VALID | BigInt(deviceTable() + 0x1_0000 * (one + 1)))
    guest.setUpIts(0, VALID | INDIRECT | BigInt(deviceTable()))
    for (const device of [3, 8200]) guest.mapd(device, 1)
    guest.ram.write64(deviceTable() + 8 * page, 0n)
    return guest
  }

  it.each([
    ['a design of the library', designs.wfiFlag],
    ['Linux 7.2', kvm72(designs.wfiFullPut)],
  ])(
    'a device that has no place in its table any more is left out, and the one before it says so: %s',
    (_, design) => {
      const guest = withoutPage(1, design)
      save(guest)
      expect(guest.ram.read64(deviceTable() + 0x1_0000 + 8 * 3)).toBe(dte(ittOf(3), 1))
      expect(guest.ram.read64(deviceTable() + 0x2_0000 + 8 * 8)).toBe(0n)
      expect(slotsInUse(restoredTo(guest)).devices).toBe(1)
      const other = withoutPage(0, design)
      save(other)
      expect(other.ram.read64(deviceTable() + 0x2_0000 + 8 * 8)).toBe(dte(ittOf(8200), 1))
    },
  )

  it('Linux 6.1 cannot save it', () => {
    const guest = withoutPage(1, kvm61(designs.wfiFlag))
    guest.vm.stop()
    expect(() => guest.vm.saveVgic()).toThrow(/^Device 8200 has no entry in the table of GITS_BASER0: /)
  })

  it('a save fails where the table is in no memory any more', () => {
    const guest = bootedIts()
    guest.mapd(8000, 1)
    const { ram } = guest
    const write = ram.write32.bind(ram)
    const entry = deviceTable() + 8 * 8000
    ram.write32 = (address, value) => address !== entry && write(address, value)
    guest.vm.stop()
    expect(() => guest.vm.saveVgic()).toThrow(
      expect.objectContaining({ code: 'EFAULT', message: expect.stringMatching(/at 0x4210fa00/) }),
    )
  })

  it('a save fails if two devices have events in one ITT entry; overlapping ITTs alone do not matter', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.mapd(2, 4, true, 0, ittOf(1))
    guest.mapti(1, 4, 8192, 0)
    guest.mapti(2, 5, 8193, 0)
    save(guest)
    guest.mapti(2, 4, 8194, 0)
    guest.vm.stop()
    expect(() => guest.vm.saveVgic()).toThrow(/^Devices 1 and 2 have events in one ITT entry, at 0x/)
  })
})

describe('hard case 43: gaps and collections that are not mapped', () => {
  it('an event may be in a collection that is not mapped yet: it goes where MAPC says, after the restore', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.configure(8192)
    guest.mapti(1, 4, 8192, 77)
    save(guest)
    expect(guest.ram.read64(collectionTable() + 16)).toBe(cte(77, 0xffff_ffff))
    const other = restoredTo(guest)
    expect(other.msi(1, 4)).toBe(false)
    other.mapc(77, 1)
    expect(other.msi(1, 4)).toBe(true)
    expect(other.acknowledge(1)).toBe(8192)
  })

  it('DeviceIDs and EventIDs further apart than the field can say', () => {
    const guest = itsVm()
    boot(guest.vm)
    guest.setUpLpis()
    // Eight pages: 65536 devices.
    guest.setUpIts(0, VALID | BigInt(deviceTable()) | 7n)
    guest.mapc(0, 0)
    const itt = queueOf() + 0x80_0000
    guest.mapd(0, 16, true, 0, itt)
    guest.mapd(65535, 16, true, 0, itt + 0x8_0000)
    for (const device of [0, 65535])
      for (const event of [0, 65535]) guest.mapti(device, event, 8192 + device + (event & 1), 0)
    save(guest)
    expect(guest.ram.read64(deviceTable())).toBe(dte(itt, 16, 0x3fff))
    expect(guest.ram.read64(itt)).toBe(ite(8192, 0, 0xffff))
    const other = restoredTo(guest)
    for (const device of [0, 65535]) expect(other.msi(device, 65535)).toBe(device === 0)
    save(other)
    expect(other.ram.read64(deviceTable() + 8 * 65535)).toBe(dte(itt + 0x8_0000, 16))
  })

  it('a distance past the end of the device table ends it', () => {
    const guest = bootedIts()
    guest.mapd(8190, 1)
    save(guest)
    guest.ram.write64(deviceTable() + 8 * 8190, dte(ittOf(8190), 1, 0x3fff))
    const other = restoredFrom(guest)
    save(other)
    expect(other.ram.read64(deviceTable() + 8 * 8190)).toBe(dte(ittOf(8190), 1))
  })

  it.each([
    ['a device that is the last one', 0, 1],
    ['a distance past the end of its page', 0x3fff, 2],
  ])('%s: which devices of later pages of an indirect table come back', (_, next, devices) => {
    const guest = itsVm()
    boot(guest.vm)
    guest.setUpLpis()
    for (const page of [0, 1])
      guest.ram.write64(deviceTable() + 8 * page, VALID | BigInt(deviceTable() + 0x1_0000 * (page + 1)))
    guest.setUpIts(0, VALID | INDIRECT | BigInt(deviceTable()))
    guest.mapd(1, 1)
    save(guest)
    guest.ram.write64(deviceTable() + 0x1_0008, dte(ittOf(1), 1, next))
    guest.ram.write64(deviceTable() + 0x2_0010, dte(ittOf(2), 1))
    expect(slotsInUse(restoredFrom(guest)).devices).toBe(devices)
  })
})

/** A VM that takes over what a guest's memory says now, without another save. */
function restoredFrom(guest: ItsGuest, options: ItsOptions = {}): ItsGuest {
  const other = itsVm({ ...options, ram: guest.ram.copy() })
  const registers = registersOf(other)
  guest.vm.stop()
  boot(other.vm)
  other.setUpLpis()
  other.vm.stop()
  for (const { offset } of itsRegisters) {
    if (offset === GITS_CTLR) restoreItsTables(other.vm.hypervisor)
    registers.write(0, offset, registersOf(guest).read(0, offset))
  }
  return other
}

describe('hard case 44: tables that no guest can have made are refused, and nothing has changed', () => {
  function mapped(): ItsGuest {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.mapd(2, 4)
    for (let event = 0; event < 4; event++) guest.mapti(1, event, 8192 + event, event & 1)
    guest.mapti(2, 0, 8300, 0)
    guest.msi(1, 1)
    return guest
  }

  const cases: readonly (readonly [what: string, at: number, value: bigint, message: RegExp])[] = [
    ['an ICID twice', collectionTable() + 8, cte(0, 1), /ITS 0 has ICID 0 twice/],
    [
      'an ICID beyond the table',
      collectionTable() + 8,
      cte(9000, 1),
      /ITS 0 has ICID 9000, for which its collection table has no room/,
    ],
    [
      'a vCPU that does not exist',
      collectionTable() + 8,
      cte(1, 2),
      /Collection 1 of ITS 0 goes to vCPU 2, but the VM has 2/,
    ],
    ['too many EventID bits', deviceTable() + 8, dte(ittOf(1), 17, 1), /Device 1 of ITS 0 has 17 bits/],
    [
      'a next event past the ITT',
      ittOf(1) + 24,
      ite(8195, 1, 13),
      /Event 3 of device 1 of ITS 0 has its next one at 16/,
    ],
    ['an SPI', ittOf(1) + 24, ite(40, 1), /Event 3 of device 1 of ITS 0 is INTID 40, which is not an LPI/],
    ['an INTID of 17 bits', ittOf(1) + 24, ite(0x1_0000, 1), /Event 3 of device 1 of ITS 0 is INTID 65536/],
    [
      'a collection that is not there',
      ittOf(1) + 24,
      ite(8195, 2),
      /Event 3 of device 1 of ITS 0 is in collection 2, which the ITS does not have/,
    ],
    [
      'events of two devices in one entry',
      deviceTable() + 16,
      dte(ittOf(1), 4),
      /The ITTs of devices 1 and 2 of ITS 0 overlap/,
    ],
    [
      'an ITT where there is no memory',
      deviceTable() + 16,
      VALID | (1n << 40n) | 3n,
      /has the ITT of device 2 at 0x80000000000, where it has no memory/,
    ],
  ]

  it.each(cases)('%s', (_, at, value, message) => {
    const guest = mapped()
    guest.vm.stop()
    const saved = guest.vm.saveVgic()
    const other = bootedIts()
    other.mapd(30, 2)
    other.configure(9000)
    other.mapti(30, 1, 9000, 1)
    other.msi(30, 1)
    other.vm.stop()
    for (const [address, word] of guest.ram.contents()) other.ram.write32(address, word)
    other.ram.write64(at, value)
    const before = [other.vm.hash(), other.ram.contents()]
    let error: unknown
    try {
      other.vm.restoreVgic(saved)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(VgicError)
    expect(String(error)).toMatch(message)
    expect([other.vm.hash(), other.ram.contents()]).toEqual(before)
    expect(other.acknowledge(1)).toBe(9000)
  })

  it.each([
    [
      { lpis: 4 },
      'The saved VM has 5 LPIs, but this one has room for 4: nothing was restored. Give it more lpis.',
    ],
    [
      { itsDevices: 1 },
      'The saved VM has 2 devices, but this one has room for 1: nothing was restored. Give it more itsDevices.',
    ],
    [
      { itsCollections: 1 },
      'The saved VM has 2 collections, but this one has room for 1: nothing was restored. Give it more itsCollections.',
    ],
  ])('more than the VM has slots for: %o', (options, message) => {
    const guest = mapped()
    expect(() => restoredTo(guest, options)).toThrow(message)
  })

  it('an enabled ITS without its tables, or with commands that it has not carried out', () => {
    const guest = mapped()
    guest.vm.stop()
    const saved = guest.vm.saveVgic()
    const its = saved.its[0]
    for (const wrong of [
      { GITS_BASER0: '0x107000000000600' },
      { GITS_CREADR: '0x20' },
      { GITS_CTLR: '0x1' },
      { GITS_CTLR: '0x80000003' },
    ])
      expect(
        () => guest.vm.restoreVgic({ ...saved, its: [{ ...its, ...wrong }] }),
        JSON.stringify(wrong),
      ).toThrow(expect.objectContaining({ code: 'EINVAL' }))
    expect(() => guest.vm.restoreVgic({ ...saved, its: [] })).toThrow(
      'its must be an array of 1, as many as this VM has ITSs, but has 0',
    )
    expect(() => guest.vm.restoreVgic({ ...saved, version: 4 as 3 })).toThrow(
      'version must be 3 or 2, but is 4',
    )
  })
})

it('what a VM had before a restore is gone: its devices, and LPIs that are on ap_lists', () => {
  const guest = bootedIts()
  guest.mapd(1, 4)
  guest.mapti(1, 0, 8192, 1)
  guest.vm.stop()
  const saved = guest.vm.saveVgic()
  const other = bootedIts()
  other.mapd(2, 4)
  for (let event = 0; event < 3; event++) {
    other.configure(9000 + event)
    other.mapti(2, event, 9000 + event, event & 1)
    other.msi(2, event)
  }
  other.vm.stop()
  for (const [address, word] of guest.ram.contents()) other.ram.write32(address, word)
  other.vm.restoreVgic(saved)
  expect(slotsInUse(other)).toEqual({ lpis: 1, devices: 1, events: 1, collections: 2 })
  expect([0, 1].map((vcpu) => other.acknowledge(vcpu))).toEqual([1023, 1023])
  expect(other.msi(2, 0)).toBe(false)
})

it('tables are restored to an ITS in which nothing is mapped', () => {
  const guest = bootedIts()
  guest.vm.stop()
  expect(() => restoreItsTables(guest.vm.hypervisor)).toThrow(
    'ITS 0 has something mapped already, so reset it first: nothing was restored.',
  )
})

describe('a restore where a table is in no memory says which', () => {
  it.each([
    ['GITS_BASER0', '0x9907010000000200', 'the entry of device 0'],
    ['GITS_BASER1', '0x9c07010000000200', 'its collection table'],
  ])('%s', (register, nowhere, what) => {
    const guest = bootedIts()
    guest.vm.stop()
    const saved = guest.vm.saveVgic()
    const its = [{ ...saved.its[0], [register]: nowhere }]
    expect(() => guest.vm.restoreVgic({ ...saved, its })).toThrow(
      expect.objectContaining({ code: 'EFAULT', message: expect.stringContaining(what) }),
    )
  })

  it('the pending table of the second vCPU', () => {
    const guest = withLpis()
    guest.vm.stop()
    const saved = guest.vm.saveVgic()
    const redist = saved.redist.map((one, n) => (n === 1 ? { ...one, GICR_PENDBASER: '0x10000000180' } : one))
    expect(() => guest.vm.restoreVgic({ ...saved, redist })).toThrow(
      expect.objectContaining({
        code: 'EFAULT',
        message: expect.stringContaining('the pending table of vCPU 1'),
      }),
    )
  })
})

describe('ITS_REGS', () => {
  it('are the guest’s registers; GITS_CREADR can be written while the ITS is disabled', () => {
    const guest = bootedIts()
    guest.vm.stop()
    const registers = registersOf(guest)
    expect(
      Object.fromEntries(itsRegisters.map(({ name, offset }) => [name, registers.read(0, offset)])),
    ).toEqual({
      GITS_IIDR: 0x4b00_043bn,
      GITS_TYPER: 0x1_ef71n,
      GITS_CBASER: VALID | (3n << 59n) | BigInt(queueOf()),
      GITS_CREADR: 0x40n,
      GITS_CWRITER: 0x40n,
      GITS_BASER0: VALID | 0x1907_0000_0000_0200n | BigInt(deviceTable()),
      GITS_BASER1: VALID | 0x1c07_0000_0000_0200n | BigInt(collectionTable()),
      GITS_CTLR: 0x8000_0001n,
    })
    expect(() => registers.write(0, 0x90, 0n)).toThrow(expect.objectContaining({ code: 'EBUSY' }))
    registers.write(0, GITS_CTLR, 0n)
    registers.write(0, 0x90, 0x20n)
    expect(registers.read(0, 0x90)).toBe(0x20n)
    expect(registers.read(0, GITS_CTLR)).toBe(0n)
    registers.write(0, GITS_CBASER, VALID | BigInt(queueOf()))
    expect(registers.read(0, 0x90)).toBe(0n)
  })

  it('of GITS_CREADR have the offset alone, of GITS_IIDR the ABI alone', () => {
    const registers = registersOf(itsVm())
    registers.write(0, 0x90, (1n << 32n) | 0x3fn)
    expect(registers.read(0, 0x90)).toBe(0x20n)
    registers.write(0, 0x4, 0xffff_0fffn)
    expect(registers.read(0, 0x4)).toBe(0x4b00_043bn)
  })

  it('have all identification registers, most of them zero', () => {
    const registers = registersOf(itsVm())
    const read = Array.from({ length: 12 }, (_, n) => Number(registers.read(0, 0xffd0 + 4 * n)))
    expect(read).toEqual([0x40, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1])
  })

  it('refuse another ABI, an offset outside of the queue, and what is not there', () => {
    const guest = itsVm()
    const registers = registersOf(guest)
    const thrown = (code: string): unknown => expect.objectContaining({ code })
    expect(() => registers.write(0, 0x4, 0x4b00_143bn)).toThrow(thrown('EINVAL'))
    registers.write(0, 0x4, 0x4b00_043bn)
    expect(() => registers.write(0, 0x90, 0x1000n)).toThrow(thrown('EINVAL'))
    expect(() => registers.read(0, 0x44)).toThrow(thrown('EINVAL'))
    expect(() => registers.read(0, 0x48)).toThrow(thrown('ENXIO'))
    expect(() => registers.read(0, 0xffcc)).toThrow(thrown('EINVAL'))
    expect(() => registers.read(0, 0x2)).toThrow(thrown('EINVAL'))
    for (const offset of [0xc, 0x84, 0x10c])
      expect(() => registers.write(0, offset, 0n)).toThrow(thrown('EINVAL'))
    expect(() => registers.read(0, -8)).toThrow(thrown('argument'))
    expect(() => registers.read(1, 0)).toThrow(thrown('ENXIO'))
    expect(() => registers.reset(1)).toThrow(thrown('ENXIO'))
    guest.vm.enter(1)
    for (const access of [
      () => registers.read(0, 0),
      () => registers.write(0, 0, 0n),
      () => registers.reset(0),
      () => saveItsTables(guest.vm.hypervisor, 0),
      () => savePendingTables(guest.vm.hypervisor),
      () => restoreItsTables(guest.vm.hypervisor),
    ])
      expect(access).toThrow(thrown('EBUSY'))
  })
})

describe('a saved VM with several ITSs', () => {
  it('has the devices of each, and takes them over', () => {
    const guest = bootedIts({ itss: 2 })
    for (const its of [0, 1]) {
      guest.mapd(1, 4, true, its)
      guest.configure(8192 + its)
      guest.mapti(1, 0, 8192 + its, its, its)
      guest.msi(1, 0, its)
    }
    const other = restoredTo(guest, { itss: 2 })
    expect(other.acknowledge(0)).toBe(8192)
    expect(other.acknowledge(1)).toBe(8193)
    expect(other.msi(1, 0, 1)).toBe(true)
  })
})
