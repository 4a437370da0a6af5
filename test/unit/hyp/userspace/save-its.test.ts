/** A guest's ITS saved and put back: its registers, and its tables in the guest's memory. */
import { VgicError } from 'vgic'
import type { SavedMappings, SavedVgic } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { ItsRegisters, itsRegisters } from '../../../../src/hyp/userspace/its-registers.ts'
import { restoreItsTables } from '../../../../src/hyp/userspace/its-tables-restore.ts'
import { saveItsTables, savePendingTables } from '../../../../src/hyp/userspace/its-tables-save.ts'
import { redistributor } from '../../../kit/frames.ts'
import {
  bootedIts,
  CONFIGURATION,
  collectionTable,
  deviceTable,
  GITS_BASER,
  GITS_CBASER,
  GITS_CTLR,
  INDIRECT,
  type ItsGuest,
  type ItsOptions,
  itsVm,
  ittOf,
  pendingTable,
  queueOf,
  restoredTo,
  slotsInUse,
} from '../../../kit/guest-its.ts'
import { boot, end, vmOf } from '../../../kit/vm.ts'

const VALID = 1n << 63n

const cte = (icid: number, target: number): bigint => VALID | (BigInt(target) << 16n) | BigInt(icid)
const dte = (itt: number, bits: number, next = 0): bigint =>
  VALID | (BigInt(next) << 49n) | (BigInt(itt >>> 8) << 5n) | BigInt(bits - 1)
const ite = (intid: number, icid: number, next = 0): bigint =>
  (BigInt(next) << 48n) | (BigInt(intid) << 16n) | BigInt(icid)

/** Stops a VM and saves it. */
function save(guest: ItsGuest): void {
  guest.vm.stop()
  guest.vm.saveVgic()
}

const registersOf = (guest: ItsGuest): ItsRegisters => new ItsRegisters(guest.vm.hypervisor)

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

  it('a save fails where a device no longer fits into its table, or the table is in no memory', () => {
    const guest = bootedIts()
    guest.mapd(8000, 1)
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, GITS_BASER, VALID | INDIRECT | BigInt(deviceTable()))
    guest.setRegister(0, GITS_CTLR, 1)
    guest.vm.stop()
    expect(() => guest.vm.saveVgic()).toThrow(/^Device 8000 has no entry in the table of GITS_BASER0: /)
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, GITS_BASER, VALID | (1n << 40n))
    guest.setRegister(0, GITS_CTLR, 1)
    guest.vm.stop()
    expect(() => guest.vm.saveVgic()).toThrow(
      expect.objectContaining({ code: 'EFAULT', message: expect.stringMatching(/at 0x1000000fa00/) }),
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

it('a pending table that cannot be written is refused, before anything has changed', () => {
  const guest = bootedIts()
  guest.mapd(1, 4)
  guest.mapti(1, 0, 8192, 1)
  guest.msi(1, 0)
  guest.vm.stop()
  const saved = guest.vm.saveVgic()
  const ram = guest.ram.copy()
  const other = itsVm({ ram })
  ram.write32 = () => false
  const before = other.vm.hash()
  expect(() => other.vm.restoreVgic(saved)).toThrow(expect.objectContaining({ code: 'EFAULT' }))
  expect(other.vm.hash()).toBe(before)
})

describe('the pending tables of a saved VM', () => {
  it('hard case 42: two LPIs with the same byte in the tables of two vCPUs', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    for (const [event, icid] of [0, 1, 0, 1].entries()) {
      guest.mapti(1, event, 8192 + event, icid)
      guest.msi(1, event)
    }
    save(guest)
    const at = 8192 / 8
    expect([0, 1].map((vcpu) => guest.ram.read8(pendingTable(vcpu) + at))).toEqual([0b0101, 0b1010])
  })

  it('bits of other LPIs stay, those of LPIs that are not pending are cleared', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.mapti(1, 0, 8192, 0)
    guest.mapti(1, 1, 8193, 0)
    guest.msi(1, 0)
    guest.ram.write8(pendingTable(0) + 8192 / 8, 0xf2)
    save(guest)
    expect(guest.ram.read8(pendingTable(0) + 8192 / 8)).toBe(0xf1)
  })

  it('L08: what is pending at one vCPU stays there, and its GICR_PENDBASER is its own', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.configure(8192)
    guest.mapti(1, 0, 8192, 1)
    guest.msi(1, 0)
    const other = restoredTo(guest)
    expect([0, 1].map((vcpu) => other.vm.readMmio64(0, redistributor(vcpu) + 0x78) & 0xffff_0000n)).toEqual(
      [0, 1].map((vcpu) => BigInt(pendingTable(vcpu))),
    )
    expect(other.acknowledge(0)).toBe(1023)
    expect(other.acknowledge(1)).toBe(8192)
    expect(other.ram.read8(pendingTable(1) + 8192 / 8)).toBe(0)
  })

  it('hard case 41: GICR_PENDBASER.PTZ is not invented, so that pending bits count after the restore', () => {
    const guest = bootedIts()
    for (const vcpu of [0, 1]) {
      guest.enableLpis(vcpu, false)
      guest.vm.writeMmio(0, redistributor(vcpu) + 0x78, 8, BigInt(pendingTable(vcpu)) | (1n << 62n))
      guest.enableLpis(vcpu)
    }
    guest.mapd(1, 4)
    guest.configure(8192)
    guest.mapti(1, 0, 8192, 1)
    guest.msi(1, 0)
    guest.vm.stop()
    expect(guest.vm.saveVgic().redist[1]['GICR_PENDBASER']).toBe('0x41010180')
    const other = restoredTo(guest)
    expect(other.acknowledge(1)).toBe(8192)
    end(other.vm, 1, 8192)
    other.ram.write8(pendingTable(1) + 8192 / 8, 1)
    other.enableLpis(1, false)
    other.enableLpis(1)
    expect(other.acknowledge(1)).toBe(8192)
  })

  it('an LPI that is in a list register when the VM is stopped is pending still', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.configure(8192)
    guest.mapti(1, 0, 8192, 0)
    guest.msi(1, 0)
    guest.vm.enter(0)
    expect(guest.vm.listRegisters(0).lr[0] & 0xffff_ffffn).toBe(8192n)
    expect(() => guest.vm.saveVgic()).toThrow(expect.objectContaining({ code: 'EBUSY' }))
    const other = restoredTo(guest, { silicon: { listRegisters: 1 } })
    expect(other.acknowledge(0)).toBe(8192)
    expect(other.acknowledge(0)).toBe(1023)
  })

  it('configuration that the guest wrote without an INV counts after the restore', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.mapti(1, 0, 8192, 0)
    guest.msi(1, 0)
    guest.ram.write8(CONFIGURATION, 0x41)
    expect(guest.acknowledge(0)).toBe(1023)
    expect(restoredTo(guest).acknowledge(0)).toBe(8192)
  })
})

/** A guest with a device and two LPIs, of which the second is pending at vCPU 1. */
function withLpis(options: ItsOptions = {}): ItsGuest {
  const guest = bootedIts(options)
  guest.mapd(1, 4)
  for (const event of [0, 1]) {
    guest.configure(8192 + event)
    guest.mapti(1, event, 8192 + event, event)
  }
  guest.msi(1, 1)
  return guest
}

describe('L07: a guest that has left its tables', () => {
  const leaving: readonly (readonly [how: string, leave: (guest: ItsGuest) => void])[] = [
    ['while the ITS is disabled, though its tables are valid', (guest) => guest.setRegister(0, GITS_CTLR, 0)],
    [
      'through a GITS_BASER that is not valid',
      (guest) => {
        guest.setRegister(0, GITS_CTLR, 0)
        for (const table of [0, 8]) guest.setRegister(0, GITS_BASER + table, BigInt(deviceTable()))
      },
    ],
    [
      'through those of a kernel that has gone, whose tables are in memory that is used otherwise now',
      (guest) => {
        guest.setRegister(0, GITS_CTLR, 0)
        guest.setRegister(0, GITS_BASER, VALID | INDIRECT | BigInt(CONFIGURATION))
      },
    ],
    [
      'after a reset of the ITS',
      (guest) => {
        guest.vm.stop()
        registersOf(guest).reset(0)
      },
    ],
  ]

  it.each(leaving)('nothing is written %s, nor read by a restore', (_, leave) => {
    const guest = withLpis()
    leave(guest)
    for (const [address] of guest.ram.contents())
      guest.ram.write32(address, address < CONFIGURATION + 0x1000 ? 0x5b5b_5b5b : 0xffff_ffff)
    for (const vcpu of [0, 1]) guest.ram.write8(pendingTable(vcpu) + 8192 / 8, 0xff)
    const before = guest.ram.contents()
    save(guest)
    expect(guest.ram.contents()).toEqual(before)
    const other = restoredTo(guest)
    expect(other.ram.contents()).toEqual(before)
    expect(other.vm.saveVgic()).toEqual(guest.vm.saveVgic())
    expect([0, 1].map((vcpu) => other.acknowledge(vcpu))).toEqual([1023, 8193])
    expect(other.msi(1, 0)).toBe(false)
  })

  it('an ITS that is enabled is written, beside one that is disabled', () => {
    const guest = bootedIts({ itss: 2 })
    for (const its of [0, 1]) guest.mapd(1, 4, true, its)
    guest.setRegister(0, GITS_CTLR, 0)
    save(guest)
    expect([0, 1].map((its) => guest.ram.read64(deviceTable(its) + 8))).toEqual([0n, dte(ittOf(1, 1), 4)])
    expect([0, 1].map((its) => guest.ram.read64(collectionTable(its)))).toEqual([0n, cte(0, 0)])
  })

  it('no pending table is written, or read, while its redistributor takes no LPIs', () => {
    const guest = withLpis()
    guest.mapti(1, 2, 8194, 1)
    guest.msi(1, 0)
    guest.enableLpis(1, false)
    guest.ram.write8(pendingTable(1) + 8192 / 8, 0xf5)
    save(guest)
    expect([0, 1].map((vcpu) => guest.ram.read8(pendingTable(vcpu) + 8192 / 8))).toEqual([1, 0xf5])
    const other = restoredTo(guest)
    expect([0, 1].map((vcpu) => other.ram.read8(pendingTable(vcpu) + 8192 / 8))).toEqual([0, 0xf5])
    expect(other.acknowledge(1)).toBe(1023)
    other.vm.stop()
    expect(other.vm.saveVgic().pending).toEqual([null, [8193]])
  })

  it('a redistributor that takes no LPIs may have its pending table where there is no memory', () => {
    const guest = withLpis()
    guest.enableLpis(1, false)
    guest.vm.writeMmio(0, redistributor(1) + 0x78, 8, 1n << 40n)
    const other = restoredTo(guest)
    guest.vm.stop()
    expect(other.vm.saveVgic()).toEqual(guest.vm.saveVgic())
  })

  it('a new table is written, the old one is not', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, GITS_BASER, VALID | BigInt(deviceTable() + 0x1_0000))
    guest.setRegister(0, GITS_CTLR, 1)
    save(guest)
    expect(guest.ram.read64(deviceTable() + 8)).toBe(0n)
    expect(guest.ram.read64(deviceTable() + 0x1_0008)).toBe(dte(ittOf(1), 4))
  })

  it('a reset forgets what was mapped, and leaves the guest’s memory alone', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.mapti(1, 0, 8192, 0)
    guest.vm.stop()
    const before = guest.ram.contents()
    registersOf(guest).reset(0)
    expect(guest.ram.contents()).toEqual(before)
    expect(itsRegisters.map(({ name, offset }) => [name, registersOf(guest).read(0, offset)])).toEqual(
      itsRegisters.map(({ name, offset }) => [name, registersOf(itsVm()).read(0, offset)]),
    )
    guest.setUpIts()
    expect(guest.msi(1, 0)).toBe(false)
  })

  it('a VM that takes over the state of a new one forgets its tables, those of LPIs too', () => {
    const guest = withLpis()
    guest.vm.stop()
    const before = guest.ram.contents()
    const fresh = itsVm().vm.saveVgic()
    guest.vm.restoreVgic(fresh)
    expect(guest.vm.saveVgic()).toEqual(fresh)
    expect(fresh.redist.map((one) => [one['GICR_PROPBASER'], one['GICR_PENDBASER']])).toEqual([
      ['0x580', '0x580'],
      ['0x580', '0x580'],
    ])
    expect(guest.ram.contents()).toEqual(before)
    expect(slotsInUse(guest)).toEqual({ lpis: 0, devices: 0, events: 0, collections: 0 })
  })
})

describe('a guest that suspends its ITS', () => {
  /** One that has disabled its ITS. */
  function suspended(): ItsGuest {
    const guest = withLpis()
    guest.mapti(1, 2, 8194, 77)
    guest.setRegister(0, GITS_CTLR, 0)
    return guest
  }

  it('finds everything as it was when it enables it again, in another VM', () => {
    const guest = suspended()
    const other = restoredTo(guest)
    expect(slotsInUse(other)).toEqual(slotsInUse(guest))
    expect(other.acknowledge(1)).toBe(8193)
    end(other.vm, 1, 8193)
    other.setRegister(0, GITS_CTLR, 1)
    expect(other.msi(1, 0)).toBe(true)
    expect(other.acknowledge(0)).toBe(8192)
    expect(other.msi(1, 2)).toBe(false)
    other.mapc(77, 1)
    expect(other.msi(1, 2)).toBe(true)
    save(other)
    expect(other.ram.read64(ittOf(1))).toBe(ite(8192, 0, 1))
  })

  it('has its mappings and pending LPIs in the JSON', () => {
    const guest = suspended()
    guest.vm.stop()
    const { mappings, pending } = guest.vm.saveVgic()
    expect(mappings).toEqual([
      {
        devices: [
          {
            id: 1,
            bits: 4,
            itt: `0x${ittOf(1).toString(16)}`,
            events: [
              { id: 0, intid: 8192, icid: 0 },
              { id: 1, intid: 8193, icid: 1 },
              { id: 2, intid: 8194, icid: 77 },
            ],
          },
        ],
        collections: [{ icid: 0, vcpu: 0 }, { icid: 1, vcpu: 1 }, { icid: 77 }],
      },
    ])
    expect(pending).toEqual([[], [8193]])
  })

  it('keeps the commands that it has put into the queue, for when it enables the ITS', () => {
    const guest = suspended()
    guest.configure(8200)
    guest.mapti(1, 5, 8200, 1)
    const other = restoredTo(guest)
    other.setRegister(0, GITS_CTLR, 1)
    expect(other.msi(1, 5)).toBe(true)
  })

  it('keeps an event whose collection was unmapped: its EventID is not free', () => {
    const guest = withLpis()
    guest.mapc(1, 1, false)
    guest.setRegister(0, GITS_CTLR, 0)
    const other = restoredTo(guest)
    expect(slotsInUse(other)).toEqual(slotsInUse(guest))
    expect(other.acknowledge(1)).toBe(8193)
    other.setRegister(0, GITS_CTLR, 1)
    other.configure(8200)
    other.mapti(1, 1, 8200, 0)
    expect(other.msi(1, 1)).toBe(false)
  })

  it('keeps an LPI that was pending when its event was discarded', () => {
    const guest = withLpis()
    guest.event('DISCARD', 1, 1)
    guest.setRegister(0, GITS_CTLR, 0)
    const other = restoredTo(guest)
    expect(slotsInUse(other)).toEqual(slotsInUse(guest))
    expect(other.acknowledge(1)).toBe(8193)
    end(other.vm, 1, 8193)
    for (const vcpu of [0, 1]) other.vm.exit(vcpu)
    expect(slotsInUse(other).lpis).toBe(1)
  })

  it('keeps where MOVALL has moved an LPI that is pending, and gets it once if two events are mapped to it', () => {
    const guest = withLpis()
    guest.mapti(1, 7, 8193, 0)
    guest.movall(1, 0)
    guest.setRegister(0, GITS_CTLR, 0)
    const other = restoredTo(guest)
    expect([0, 1, 0].map((vcpu) => other.acknowledge(vcpu))).toEqual([8193, 1023, 1023])
  })

  it('gets an LPI of two events where one of them goes, though the other is in a collection that is not mapped', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.configure(8200)
    guest.mapti(1, 5, 8200, 1)
    guest.mapti(1, 3, 8200, 77)
    guest.setRegister(0, GITS_CTLR, 0)
    const other = restoredTo(guest)
    other.setRegister(0, GITS_CTLR, 1)
    expect(other.msi(1, 5)).toBe(true)
    expect(other.acknowledge(1)).toBe(8200)
  })

  it('is not saved if it has made a table smaller than what it has mapped', () => {
    const guest = itsVm()
    boot(guest.vm)
    guest.setUpLpis()
    guest.setUpIts(0, VALID | BigInt(deviceTable()) | 1n)
    guest.mapd(9000, 1)
    guest.setRegister(0, GITS_CTLR, 0)
    guest.vm.stop()
    expect(guest.vm.saveVgic().mappings[0]?.devices).toHaveLength(1)
    guest.setRegister(0, GITS_BASER, VALID | BigInt(deviceTable()))
    guest.vm.stop()
    expect(() => guest.vm.saveVgic()).toThrow(/^Device 9000 has no entry in the table of GITS_BASER0: /)
  })

  const device = { id: 3, bits: 2, itt: '0x42300000', events: [] }
  const event = { id: 0, intid: 8200, icid: 0 }
  const changed = (change: Partial<SavedMappings>, more: Partial<SavedVgic> = {}) => ({ change, more })
  const wrong: readonly (readonly [
    what: string,
    code: string,
    ReturnType<typeof changed>,
    message: RegExp,
  ])[] = [
    [
      'an ICID twice',
      'EINVAL',
      changed({ collections: [{ icid: 0 }, { icid: 0, vcpu: 1 }] }),
      /^ITS 0 has ICID 0 twice: nothing was restored/,
    ],
    [
      'an ICID beyond the table',
      'EINVAL',
      changed({ collections: [{ icid: 8192 }] }),
      /^ITS 0 has ICID 8192, for which its collection table has no room/,
    ],
    [
      'a vCPU that does not exist',
      'EINVAL',
      changed({ collections: [{ icid: 3, vcpu: 2 }] }),
      /^Collection 3 of ITS 0 goes to vCPU 2, but the VM has 2/,
    ],
    ['a DeviceID twice', 'EINVAL', changed({ devices: [device, device] }), /^ITS 0 has DeviceID 3 twice/],
    [
      'a DeviceID beyond the table',
      'EINVAL',
      changed({ devices: [{ ...device, id: 8192 }] }),
      /^ITS 0 has DeviceID 8192, for which its device table has no room/,
    ],
    [
      'no EventIDs',
      'EINVAL',
      changed({ devices: [{ ...device, bits: 0 }] }),
      /^Device 3 of ITS 0 has 0 bits of EventIDs, not 1 to 16/,
    ],
    ['too many', 'EINVAL', changed({ devices: [{ ...device, bits: 17 }] }), /^Device 3 of ITS 0 has 17 bits/],
    [
      'an ITT that no command can name',
      'EINVAL',
      changed({ devices: [{ ...device, itt: '0x42300080' }] }),
      /^The ITT of device 3 of ITS 0 is at 0x42300080, which no MAPD can say/,
    ],
    [
      'an EventID twice',
      'EINVAL',
      changed({ devices: [{ ...device, events: [event, event] }], collections: [{ icid: 0 }] }),
      /^Event 0 of device 3 of ITS 0 is there twice/,
    ],
    [
      'an EventID beyond its bits',
      'EINVAL',
      changed({ devices: [{ ...device, events: [{ ...event, id: 4 }] }], collections: [{ icid: 0 }] }),
      /^Event 4 of device 3 of ITS 0 is beyond 2 bits of EventIDs/,
    ],
    ...[8191, 0x1_0000].map(
      (intid) =>
        [
          `INTID ${intid}`,
          'EINVAL',
          changed({ devices: [{ ...device, events: [{ ...event, intid }] }], collections: [{ icid: 0 }] }),
          new RegExp(`^Event 0 of device 3 of ITS 0 is INTID ${intid}, which is not an LPI of 16 bits`),
        ] as const,
    ),
    [
      'a collection that is not there',
      'EINVAL',
      changed({ devices: [{ ...device, events: [event] }], collections: [] }),
      /^Event 0 of device 3 of ITS 0 is in collection 0, which the ITS does not have/,
    ],
    [
      'an LPI that is pending twice',
      'EINVAL',
      changed({}, { pending: [[8193], [8193]] }),
      /^INTID 8193 is pending twice/,
    ],
    [
      'an SPI that is pending as an LPI',
      'EINVAL',
      changed({}, { pending: [[], [40]] }),
      /^vCPU 1 has INTID 40 pending, which is not an LPI of 16 bits/,
    ],
    [
      'more LPIs than the VM has slots for',
      'EINVAL',
      changed({}, { pending: [Array.from({ length: 5000 }, (_, i) => 8192 + i), []] }),
      /^The saved VM has \d+ LPIs, but this one has room for \d+: nothing was restored. Give it more lpis/,
    ],
    [
      'no mappings',
      'argument',
      changed({}, { mappings: [null] }),
      /^mappings\[0\] must not be null, since ITS 0 is disabled, but is null/,
    ],
    [
      'those of another ITS',
      'argument',
      changed({}, { mappings: [] }),
      /^mappings must be an array of 1, as many as this VM has ITSs/,
    ],
    [
      'a pending table that is not in use',
      'argument',
      changed({}, { pending: [null, []] }),
      /^pending\[0\] must not be null, since the pending table of vCPU 0 is not in use/,
    ],
    [
      'an address that is a number',
      'argument',
      changed({ devices: [{ ...device, itt: 0x4230_0000 as unknown as string }] }),
      /^mappings\[0\]\.devices\[0\]\.itt must be a string/,
    ],
  ]

  it.each(wrong)('is refused with %s, and nothing has changed', (_, code, { change, more }, message) => {
    const guest = suspended()
    guest.vm.stop()
    const saved = guest.vm.saveVgic()
    const mappings = saved.mappings.map((one) => one && { ...one, ...change })
    const other = withLpis()
    other.vm.stop()
    const before = [other.vm.hash(), other.ram.contents()]
    expect(() => other.vm.restoreVgic({ ...saved, mappings, ...more })).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
    expect([other.vm.hash(), other.ram.contents()]).toEqual(before)
  })

  it('is saved with the last ID that its tables have room for, and not with the next', () => {
    const saved = (act: (guest: ItsGuest) => void): (() => SavedVgic) => {
      const guest = itsVm()
      boot(guest.vm)
      guest.setUpLpis()
      guest.setUpIts(0, VALID | BigInt(deviceTable()) | 1n)
      act(guest)
      guest.setRegister(0, GITS_CTLR, 0)
      guest.setRegister(0, GITS_BASER, VALID | BigInt(deviceTable()))
      guest.vm.stop()
      return () => guest.vm.saveVgic()
    }
    expect(saved((guest) => guest.mapd(8191, 1))().mappings[0]?.devices).toMatchObject([{ id: 8191 }])
    expect(saved((guest) => guest.mapd(8192, 1))).toThrow(/^Device 8192 has no entry/)
    const last = saved((guest) => {
      guest.mapc(8191, 0)
      guest.mapc(8192, 0)
    })
    expect(last().mappings[0]?.collections).toEqual([{ icid: 8191, vcpu: 0 }])
  })

  it('has its pending LPIs by INTID, whatever it has mapped first, and none that is not pending', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    for (const intid of [8201, 8195, 8204, 8194]) {
      guest.mapti(1, intid % 16, intid, 1)
      if (intid !== 8195) guest.msi(1, intid % 16)
    }
    guest.setRegister(0, GITS_CTLR, 0)
    guest.vm.stop()
    expect(guest.vm.saveVgic().pending).toEqual([[], [8194, 8201, 8204]])
  })

  it('says of an event whose collection was unmapped no collection, and of a collection to nobody no vCPU', () => {
    const guest = withLpis()
    guest.mapti(1, 2, 8194, 77)
    guest.mapc(1, 1, false)
    guest.setRegister(0, GITS_CTLR, 0)
    guest.vm.stop()
    const [mappings] = guest.vm.saveVgic().mappings
    expect(mappings?.devices[0].events).toEqual([
      { id: 0, intid: 8192, icid: 0 },
      { id: 1, intid: 8193 },
      { id: 2, intid: 8194, icid: 77 },
    ])
    expect(mappings?.collections).toEqual([{ icid: 0, vcpu: 0 }, { icid: 77 }])
  })

  it('what an enabled ITS has mapped is in its tables alone', () => {
    const guest = withLpis()
    guest.vm.stop()
    const saved = guest.vm.saveVgic()
    expect([saved.mappings, saved.pending]).toEqual([[null], [null, null]])
    const mappings = [{ devices: [], collections: [] }]
    expect(() => guest.vm.restoreVgic({ ...saved, mappings })).toThrow(
      'mappings[0] must be null, since ITS 0 is enabled, but is an object.',
    )
    expect(() => guest.vm.restoreVgic({ ...saved, pending: [null, [8193]] })).toThrow(
      'pending[1] must be null, since the pending table of vCPU 1 is in use, but is an array.',
    )
  })
})

describe('mappings of a wrong shape', () => {
  const event = { id: 0, intid: 8200, icid: 0 }
  const device = { id: 3, bits: 2, itt: '0x42300000', events: [event] }
  const both = { devices: [device], collections: [{ icid: 0, vcpu: 1 }] }
  const ofDevice = (change: object): object => ({ ...both, devices: [device, { ...device, ...change }] })
  const ofEvent = (change: object): object => ofDevice({ events: [event, { ...event, ...change }] })
  const ofCollection = (change: object): object => ({
    ...both,
    collections: [{ icid: 7 }, { icid: 0, vcpu: 1, ...change }],
  })

  it.each<readonly [message: string, mappings: unknown]>([
    ['mappings[1] must be a plain object with devices, collections, but is 5.', 5],
    ['mappings[1] has no device: did you mean devices?', { ...both, device: [] }],
    ['mappings[1].devices must be an array of devices, but is undefined.', { collections: [] }],
    [
      'mappings[1].devices[1] must be a plain object with id, bits, itt, events, but is 5.',
      { ...both, devices: [device, 5] },
    ],
    ['mappings[1].devices[1].id must be an integer from 0 to 4294967295, but is -1.', ofDevice({ id: -1 })],
    [
      'mappings[1].devices[1].bits must be an integer from 0 to 4294967295, but is 1.5.',
      ofDevice({ bits: 1.5 }),
    ],
    ['mappings[1].devices[1].itt must be a string, but is 66.', ofDevice({ itt: 66 })],
    ...['42300000', '0x', '0x4230000G', '0x4230000A', '0x12345678123456780', ' 0x0', '0x0\n0x0'].map(
      (itt) =>
        [
          `mappings[1].devices[1].itt must be "0x" and 1 to 16 hexadecimal digits, but is ${JSON.stringify(itt)}.`,
          ofDevice({ itt }),
        ] as const,
    ),
    ['mappings[1].devices[1].events must be an array of events, but is 5.', ofDevice({ events: 5 })],
    [
      'mappings[1].devices[1].events[1] must be a plain object with id, intid, icid, but is 5.',
      ofDevice({ events: [event, 5] }),
    ],
    [
      'mappings[1].devices[1].events[1].id must be an integer from 0 to 4294967295, but is 4294967296.',
      ofEvent({ id: 2 ** 32 }),
    ],
    [
      'mappings[1].devices[1].events[1].intid must be an integer from 0 to 4294967295, but is "8200".',
      ofEvent({ intid: '8200' }),
    ],
    [
      'mappings[1].devices[1].events[1].icid must be an integer from 0 to 4294967295, but is true.',
      ofEvent({ icid: true }),
    ],
    [
      'mappings[1].collections must be an array of collections, but is an object.',
      { ...both, collections: {} },
    ],
    [
      'mappings[1].collections[1].icid must be an integer from 0 to 4294967295, but is undefined.',
      ofCollection({ icid: undefined }),
    ],
    [
      'mappings[1].collections[1].vcpu must be an integer from 0 to 4294967295, but is -1.',
      ofCollection({ vcpu: -1 }),
    ],
  ])('%s', (message, mappings) => {
    const { vm } = itsVm({ itss: 2 })
    const saved = { ...vm.saveVgic(), mappings: [both, mappings] } as unknown as SavedVgic
    expect(() => vm.restoreVgic(saved)).toThrow(expect.objectContaining({ code: 'argument', message }))
  })

  it.each<readonly [message: string, pending: unknown]>([
    ['pending[1] must be an array of INTIDs, but is "8192".', [[], '8192']],
    ['pending[1][2] must be an integer from 0 to 4294967295, but is -1.', [[], [8192, 8193, -1]]],
  ])('%s', (message, pending) => {
    const { vm } = itsVm()
    const saved = { ...vm.saveVgic(), pending } as unknown as SavedVgic
    expect(() => vm.restoreVgic(saved)).toThrow(expect.objectContaining({ code: 'argument', message }))
  })
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

  it('refuse another ABI, an offset outside of the queue, and what is not there', () => {
    const guest = itsVm()
    const registers = registersOf(guest)
    const thrown = (code: string): unknown => expect.objectContaining({ code })
    expect(() => registers.write(0, 0x4, 0x4b00_143bn)).toThrow(thrown('EINVAL'))
    registers.write(0, 0x4, 0x4b00_043bn)
    for (const value of [0x1000n, 0x10n])
      expect(() => registers.write(0, 0x90, value)).toThrow(thrown('EINVAL'))
    expect(() => registers.read(0, 0x44)).toThrow(thrown('ENXIO'))
    expect(() => registers.read(0, -8)).toThrow(thrown('ENXIO'))
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

describe('a VM that version 1 has saved', () => {
  it('has no ITS, and is taken', () => {
    const guest = vmOf()
    const { version, its, mappings, pending, ...first } = guest.saveVgic()
    expect([version, its, mappings, pending]).toEqual([3, [], [], [[], []]])
    guest.restoreVgic(first as SavedVgic)
    expect(guest.saveVgic()).toEqual({ version, its, mappings, pending, ...first })
    expect(() => itsVm().vm.restoreVgic(first as SavedVgic)).toThrow(/^its must be|^dist/)
  })
})

describe('a VM that version 2 has saved', () => {
  it('has the tables of a disabled ITS, and all pending LPIs, in memory', () => {
    const guest = withLpis()
    save(guest)
    guest.setRegister(0, GITS_CTLR, 0)
    guest.vm.stop()
    const { mappings, pending, ...second } = guest.vm.saveVgic()
    const other = itsVm({ ram: guest.ram.copy() })
    other.vm.restoreVgic({ ...second, version: 2 } as unknown as SavedVgic)
    expect(other.vm.saveVgic()).toEqual({ ...second, mappings, pending })
    expect(other.acknowledge(1)).toBe(8193)
    expect(() => guest.vm.restoreVgic({ ...second, mappings, version: 2 } as unknown as SavedVgic)).toThrow(
      'mappings is of version 3, but this VM was saved by version 2.',
    )
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
