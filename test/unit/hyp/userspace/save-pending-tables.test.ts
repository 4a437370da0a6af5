/** The pending tables that a save writes into the guest’s memory: whose they are, and when they are not written, or read. */
import { describe, expect, it } from 'vitest'
import { itsRegisters } from '../../../../src/hyp/userspace/its-registers.ts'
import { redistributor } from '../../../kit/frames.ts'
import {
  bootedIts,
  CONFIGURATION,
  collectionTable,
  deviceTable,
  GITS_BASER,
  GITS_CTLR,
  INDIRECT,
  type ItsGuest,
  itsVm,
  ittOf,
  pendingTable,
  restoredTo,
  slotsInUse,
} from '../../../kit/guest-its.ts'
import { cte, dte, registersOf, save, VALID, withLpis } from '../../../kit/saved-its.ts'
import { end } from '../../../kit/vm.ts'

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
    // LPI 8194 is not enabled, so it is on no ap_list, and stays pending.
    for (const event of [0, 2]) guest.msi(1, event)
    guest.enableLpis(1, false)
    guest.ram.write8(pendingTable(1) + 8192 / 8, 0xf5)
    save(guest)
    expect([0, 1].map((vcpu) => guest.ram.read8(pendingTable(vcpu) + 8192 / 8))).toEqual([1, 0xf5])
    const other = restoredTo(guest)
    expect([0, 1].map((vcpu) => other.ram.read8(pendingTable(vcpu) + 8192 / 8))).toEqual([0, 0xf5])
    expect(other.acknowledge(1)).toBe(1023)
    other.vm.stop()
    expect(other.vm.saveVgic().pending).toEqual([null, [8194]])
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
    guest.mapd(1, 4)
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
    const registers = Object.fromEntries(
      itsRegisters.map(({ name, offset }) => [name, registersOf(guest).read(0, offset)]),
    )
    const reset = itsRegisters.map(({ name, offset }) => [name, registersOf(itsVm()).read(0, offset)])
    expect(registers).toEqual({
      ...Object.fromEntries(reset),
      // KVM clears Valid alone.
      GITS_BASER0: 0x1907_0000_0000_0200n | BigInt(deviceTable()),
      GITS_BASER1: 0x1c07_0000_0000_0200n | BigInt(collectionTable()),
    })
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
