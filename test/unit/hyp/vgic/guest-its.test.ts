/** A guest's ITS where vCPUs run while it changes, and where a guest names what is not there. */
import { type Design, designs, kvm61, kvm72 } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { UserspaceRegisters } from '../../../../src/hyp/userspace/userspace-registers.ts'
import { GICD, GICR, GICR_STRIDE, GITS, VALID } from '../../../kit/frames.ts'
import {
  bootedIts,
  collectionTable,
  deviceTable,
  GITS_BASER,
  GITS_CBASER,
  GITS_CREADR,
  GITS_CTLR,
  GITS_CWRITER,
  gits,
  INDIRECT,
  type ItsGuest,
  pendingTable,
  slotsInUse,
} from '../../../kit/guest-its.ts'
import { registersOf } from '../../../kit/saved-its.ts'
import { boot, end, vmOf, wordsChangedBy } from '../../../kit/vm.ts'

const GICR_CTLR = 0
/** The first address at which the guest has none. */
const NO_MEMORY = 2 ** 32

/** LPI 8192 is event 0 of device 1, and goes to vCPU 1. */
function mapped(options = {}): ItsGuest {
  const guest = bootedIts(options)
  guest.mapd(1, 4)
  guest.configure(8192)
  guest.mapti(1, 0, 8192, 1)
  return guest
}

/** The INTIDs in the list registers of a vCPU that is in its guest. */
const presented = ({ vm }: ItsGuest, vcpu: number): number[] =>
  vm
    .listRegisters(vcpu)
    .lr.map((lr) => Number(lr & 0xffff_ffffn))
    .filter((intid) => intid !== 0)

/** The LPI is in a list register of vCPU 1, which is in its guest. */
function inListRegister(): ItsGuest {
  const guest = mapped()
  guest.msi(1, 0)
  guest.vm.enter(1)
  expect(presented(guest, 1)).toEqual([8192])
  return guest
}

describe('hard case 40: an LPI sits in a list register of a vCPU that runs', () => {
  it('when its redistributor stops taking LPIs: the vCPU has it until its next exit, and not again', () => {
    const guest = inListRegister()
    guest.enableLpis(1, false)
    expect(guest.vm.isInGuest(1)).toBe(true)
    guest.vm.exit(1)
    guest.vm.enter(1)
    expect(presented(guest, 1)).toEqual([])
    expect(guest.msi(1, 0)).toBe(false)
    guest.enableLpis(1)
    guest.msi(1, 0)
    expect(guest.acknowledge(1)).toBe(8192)
  })

  it('when its redistributor stops and starts taking LPIs: it comes once', () => {
    const guest = inListRegister()
    guest.enableLpis(1, false)
    guest.enableLpis(1)
    guest.msi(1, 0)
    guest.vm.exit(1)
    expect(guest.acknowledge(1)).toBe(8192)
    end(guest.vm, 1, 8192)
    expect(guest.acknowledge(1)).toBe(1023)
  })

  it('when its event is discarded and its redistributor stops: the last list register frees it', () => {
    const guest = inListRegister()
    guest.event('DISCARD', 1, 0)
    guest.enableLpis(1, false)
    expect(guest.vm.isInGuest(1)).toBe(true)
    expect(slotsInUse(guest)).toMatchObject({ lpis: 1, events: 0 })
    guest.vm.exit(1)
    expect(slotsInUse(guest)).toMatchObject({ lpis: 0, events: 0 })
  })

  it('when MOVALL moves it: it goes to the other vCPU at the next exit', () => {
    const guest = inListRegister()
    guest.movall(1, 0)
    expect(guest.vm.isInGuest(1)).toBe(true)
    expect(guest.acknowledge(0)).toBe(1023)
    guest.vm.exit(1)
    expect(guest.acknowledge(0)).toBe(8192)
    expect(guest.acknowledge(1)).toBe(1023)
  })

  it('when MOVALL moves it after its vCPU has acknowledged it: it does not come again', () => {
    const guest = inListRegister()
    expect(guest.acknowledge(1)).toBe(8192)
    guest.movall(1, 0)
    end(guest.vm, 1, 8192)
    guest.vm.exit(1)
    expect(guest.acknowledge(0)).toBe(1023)
    guest.msi(1, 0)
    expect(guest.acknowledge(0)).toBe(8192)
  })
})

describe('a translation that is cached', () => {
  it.each<readonly [string, (guest: ItsGuest) => void]>([
    ['DISCARD', (guest) => guest.event('DISCARD', 1, 0)],
    ['MAPD with V = 0', (guest) => guest.mapd(1, 4, false)],
    ['MAPD of a device that is mapped', (guest) => guest.mapd(1, 4)],
    ['MAPC with V = 0', (guest) => guest.mapc(1, 1, false)],
    ['an ITS that is disabled', (guest) => guest.setRegister(0, GITS_CTLR, 0)],
    ['a redistributor that takes no LPIs', (guest) => guest.enableLpis(1, false)],
    [
      'a device table that is no longer valid',
      (guest) => {
        guest.setRegister(0, GITS_CTLR, 0)
        guest.setRegister(0, GITS_BASER, 0n)
        guest.setRegister(0, GITS_CTLR, 1)
      },
    ],
  ])('is forgotten with %s', (_, forget) => {
    const guest = mapped()
    expect(guest.msi(1, 0)).toBe(true)
    expect(guest.acknowledge(1)).toBe(8192)
    end(guest.vm, 1, 8192)
    forget(guest)
    expect(guest.msi(1, 0)).toBe(false)
    expect(guest.acknowledge(1)).toBe(1023)
  })

  it.each<readonly [string, (guest: ItsGuest) => void]>([
    ['MOVI', (guest) => guest.movi(1, 0, 0)],
    ['MAPC', (guest) => guest.mapc(1, 0)],
    ['MOVALL', (guest) => guest.movall(1, 0)],
  ])('goes to the new vCPU with %s', (_, move) => {
    const guest = mapped()
    guest.msi(1, 0)
    guest.acknowledge(1)
    end(guest.vm, 1, 8192)
    guest.vm.exit(1)
    move(guest)
    guest.msi(1, 0)
    expect([0, 1].map((vcpu) => guest.acknowledge(vcpu))).toEqual([8192, 1023])
  })

  it.each([true, false])(
    'is kept by MAPC that moves its collection, to a vCPU too that takes no LPIs: cached %s',
    (isCached) => {
      const guest = mapped()
      guest.enableLpis(0, false)
      if (isCached) {
        expect(guest.msi(1, 0)).toBe(true)
        guest.acknowledge(1)
        end(guest.vm, 1, 8192)
        guest.vm.exit(1)
      }
      guest.mapc(1, 0)
      expect(guest.msi(1, 0)).toBe(isCached)
      expect(guest.acknowledge(0)).toBe(isCached ? 8192 : 1023)
    },
  )
})

describe('a table that the guest replaces while its ITS is disabled, and that stays valid', () => {
  const BASER0 = VALID | BigInt(deviceTable())
  const BASER1 = VALID | BigInt(collectionTable())
  const replaced = (design: Design, register: number, value: bigint): ItsGuest => {
    const guest = mapped({ design })
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, register, value)
    guest.setRegister(0, GITS_CTLR, 1)
    return guest
  }
  const changes: readonly (readonly [string, number, bigint, object])[] = [
    [
      'at another address',
      GITS_BASER,
      BASER0 + 0x1_0000n,
      { devices: 0, events: 0, collections: 2, lpis: 0 },
    ],
    ['of another size', GITS_BASER, BASER0 + 1n, { devices: 0, events: 0, collections: 2, lpis: 0 }],
    ['of two levels', GITS_BASER, BASER0 | INDIRECT, { devices: 0, events: 0, collections: 2, lpis: 0 }],
    [
      'of collections',
      GITS_BASER + 8,
      BASER1 + 0x1_0000n,
      { devices: 1, events: 1, collections: 0, lpis: 1 },
    ],
  ]

  for (const [what, design] of [
    ['a design of the library', designs.wfiFlag],
    ['Linux 7.2', kvm72(designs.wfiFullPut)],
  ] as const) {
    it.each(changes)(`takes what was in the old one along: %s, ${what}`, (_, register, value, left) => {
      const guest = replaced(design, register, value)
      expect(slotsInUse(guest)).toEqual(left)
      expect(guest.msi(1, 0)).toBe(false)
    })
  }

  it.each(changes)('does not in Linux 6.1: %s', (_, register, value) => {
    const guest = replaced(kvm61(designs.wfiFlag), register, value)
    expect(guest.msi(1, 0)).toBe(true)
  })

  it.each([
    [GITS_BASER, BASER0],
    [GITS_BASER + 8, BASER1],
  ])('keeps everything where the register says the same again: %i', (register, value) => {
    const guest = replaced(designs.wfiFlag, register, value)
    expect(guest.msi(1, 0)).toBe(true)
  })
})

describe('hard case 36: MAPC with V = 0 ignores RDbase', () => {
  it.each<readonly [string, Design, boolean]>([
    ['a design of the library', designs.wfiFlag, false],
    ['Linux 7.2', kvm72(designs.wfiFullPut), false],
    ['Linux 6.1 does not: the collection stays where it is', kvm61(designs.wfiFlag), true],
  ])('%s', (_, design, isTaken) => {
    const guest = mapped({ design })
    guest.mapc(1, 0xffff, false)
    expect(guest.msi(1, 0)).toBe(isTaken)
    expect(guest.acknowledge(1)).toBe(isTaken ? 8192 : 1023)
  })

  it.each<readonly [string, Design, boolean]>([
    ['a design of the library', designs.wfiFlag, false],
    ['Linux 6.1', kvm61(designs.wfiFlag), true],
  ])('and so when userspace enables an ITS whose queue has it: %s', (_, design, isTaken) => {
    const guest = mapped({ design })
    guest.setRegister(0, GITS_CTLR, 0)
    guest.mapc(1, 0xffff, false)
    guest.vm.stop()
    registersOf(guest).write(0, GITS_CTLR, 1n)
    expect(guest.msi(1, 0)).toBe(isTaken)
  })
})

describe('a redistributor that stops taking LPIs', () => {
  const stopped = (options = {}): ItsGuest => {
    const guest = mapped(options)
    guest.msi(1, 0)
    guest.enableLpis(1, false)
    return guest
  }

  it('gets none by INV, INVALL or a new collection, while it takes none', () => {
    const guest = stopped()
    guest.event('INV', 1, 0)
    guest.invall(1)
    expect(guest.acknowledge(1)).toBe(1023)
    guest.mapc(1, 0)
    guest.invall(1)
    expect(guest.acknowledge(0)).toBe(1023)
  })

  it('gets one by INV in Linux 6.1', () => {
    const guest = stopped({ design: kvm61(designs.wfiFlag) })
    guest.event('INV', 1, 0)
    expect(guest.acknowledge(1)).toBe(8192)
  })

  it.each<readonly [string, Design, number]>([
    ['', designs.wfiFlag, 1023],
    [' in Linux 6.1, which leaves it pending', kvm61(designs.wfiFlag), 8192],
  ])('because userspace says so%s', (_, design, intid) => {
    const guest = mapped({ design })
    guest.msi(1, 0)
    guest.vm.stop()
    new UserspaceRegisters(guest.vm.hypervisor).writeRedistributor(1, GICR_CTLR, 0)
    guest.event('INV', 1, 0)
    expect(guest.acknowledge(1)).toBe(intid)
  })

  it('has forgotten what was on its ap_list when it takes LPIs again', () => {
    const guest = stopped()
    guest.enableLpis(1)
    guest.event('INV', 1, 0)
    expect(guest.acknowledge(1)).toBe(1023)
    guest.msi(1, 0)
    expect(guest.acknowledge(1)).toBe(8192)
  })
})

describe('pending LPIs of one priority', () => {
  const orders: readonly (readonly [string, Design, readonly number[]])[] = [
    ['by INTID', designs.wfiFlag, [8192, 8193, 8194]],
    ['by INTID in Linux 7.2', kvm72(designs.wfiFullPut), [8192, 8193, 8194]],
    ['as they were mapped in Linux 6.1', kvm61(designs.wfiFlag), [8194, 8192, 8193]],
  ]
  const taken = (guest: ItsGuest): number[] =>
    [0, 1, 2].map(() => {
      const intid = guest.acknowledge(1)
      end(guest.vm, 1, intid)
      return intid
    })

  it.each(orders)('are queued %s by INVALL', (_, design, order) => {
    const guest = bootedIts({ design })
    guest.mapd(1, 4)
    for (const intid of [8194, 8192, 8193]) {
      guest.configure(intid, 0xa0, false)
      guest.mapti(1, intid - 8192, intid, 1)
      guest.msi(1, intid - 8192)
    }
    for (const intid of order) guest.configure(intid)
    guest.invall(1)
    expect(taken(guest)).toEqual(order)
  })

  it.each(orders)('are queued %s when their redistributor takes LPIs', (_, design, order) => {
    const guest = bootedIts({ design })
    guest.mapd(1, 4)
    for (const intid of [8194, 8192, 8193]) {
      guest.configure(intid)
      guest.mapti(1, intid - 8192, intid, 1)
    }
    guest.enableLpis(1, false)
    guest.ram.write8(pendingTable(1) + 8192 / 8, 7)
    guest.enableLpis(1)
    expect(taken(guest)).toEqual(order)
  })
})

describe('a cached translation is that of one ITS, one device and one event', () => {
  it('not of another ITS, another device or another event, which go their own ways', () => {
    const guest = bootedIts({ itss: 2 })
    const events: readonly (readonly [its: number, device: number, event: number, intid: number])[] = [
      [0, 1, 0, 8192],
      [1, 1, 0, 8193],
      [0, 2, 0, 8194],
      [0, 1, 1, 8195],
    ]
    for (const [its, device] of [events[0], events[1], events[2]]) guest.mapd(device, 4, true, its)
    for (const [its, device, event, intid] of events) {
      guest.configure(intid)
      guest.mapti(device, event, intid, 1, its)
    }
    for (let round = 0; round < 2; round++) {
      for (const [its, device, event, intid] of events) {
        expect(guest.msi(device, event, its)).toBe(true)
        expect(guest.acknowledge(1)).toBe(intid)
        end(guest.vm, 1, intid)
      }
    }
    expect(guest.msi(2, 1)).toBe(false)
    expect(guest.msi(2, 0, 1)).toBe(false)
  })

  it.each([0, 1, 2, 3])('whichever of them are cached: %i of three', (translations) => {
    const guest = bootedIts({ translations })
    guest.mapd(1, 4)
    for (const event of [0, 1, 2]) {
      guest.configure(8192 + event)
      guest.mapti(1, event, 8192 + event, 1)
    }
    const messages = [0, 0, 1, 2, 0, 2, 1, 1, 0]
    const taken = messages.map((event) => {
      guest.msi(1, event)
      const intid = guest.acknowledge(1)
      end(guest.vm, 1, intid)
      return intid - 8192
    })
    expect(taken).toEqual(messages)
    guest.vm.exit(1)
    for (const event of [2, 0, 1]) guest.event('DISCARD', 1, event)
    expect(slotsInUse(guest)).toMatchObject({ lpis: 0, events: 0 })
  })
})

describe('an event whose collection was unmapped', () => {
  function homeless(): ItsGuest {
    const guest = mapped()
    guest.mapc(1, 1, false)
    return guest
  }

  it('cannot be moved, or discarded: its EventID is not free', () => {
    const guest = homeless()
    guest.movi(1, 0, 0)
    expect(guest.msi(1, 0)).toBe(false)
    guest.event('DISCARD', 1, 0)
    expect(slotsInUse(guest)).toMatchObject({ lpis: 1, events: 1 })
    guest.mapti(1, 0, 8193, 0)
    expect(slotsInUse(guest)).toMatchObject({ lpis: 1, events: 1 })
  })

  it('is not in the collection that is mapped with the same ICID later', () => {
    const guest = homeless()
    guest.mapc(1, 1)
    expect(guest.msi(1, 0)).toBe(false)
    guest.event('INT', 1, 0)
    expect(guest.acknowledge(1)).toBe(1023)
  })

  it('is gone with its device', () => {
    const guest = homeless()
    guest.mapd(1, 4, false)
    expect(slotsInUse(guest)).toMatchObject({ lpis: 0, devices: 0, events: 0 })
  })
})

describe('what is not mapped', () => {
  it.each<readonly [string, (guest: ItsGuest) => void]>([
    ['an event of a device that is not mapped', (guest) => guest.mapti(2, 0, 8200, 1)],
    ['an EventID past the bits of its device', (guest) => guest.mapti(1, 16, 8200, 1)],
    ['an EventID of 32 bits', (guest) => guest.mapti(1, 0xffff_ffff, 8200, 1)],
    ['the INTID before the first LPI', (guest) => guest.mapti(1, 1, 8191, 1)],
    ['an INTID of 17 bits', (guest) => guest.mapti(1, 1, 0x1_0000, 1)],
    ['an event in a collection that has no entry', (guest) => guest.mapti(1, 1, 8200, 8192)],
    ['a collection that has no entry', (guest) => guest.mapc(8192, 1)],
    ['a device that has no entry', (guest) => guest.mapd(8192, 1)],
    ['a device with 17 bits of EventIDs', (guest) => guest.mapd(2, 17)],
  ])('%s', (_, map) => {
    const guest = mapped()
    const before = slotsInUse(guest)
    map(guest)
    expect(slotsInUse(guest)).toEqual(before)
    expect(guest.msi(1, 0)).toBe(true)
  })

  it.each<readonly [string, number, (guest: ItsGuest) => void]>([
    ['a device', GITS_BASER, (guest) => guest.mapd(2, 4)],
    ['a collection', GITS_BASER + 8, (guest) => guest.mapc(2, 1)],
    ['an event in a new collection', GITS_BASER + 8, (guest) => guest.mapti(1, 1, 8200, 2)],
  ])('%s whose table is in no memory', (_, register, map) => {
    const guest = mapped()
    const table = guest.register(0, register)
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, register, VALID | BigInt(NO_MEMORY))
    guest.setRegister(0, GITS_CTLR, 1)
    const before = slotsInUse(guest)
    map(guest)
    expect(slotsInUse(guest)).toEqual(before)
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, register, table)
    guest.setRegister(0, GITS_CTLR, 1)
    map(guest)
    expect(slotsInUse(guest)).not.toEqual(before)
  })

  it('an event whose ITT is in no memory from there on', () => {
    const guest = bootedIts()
    guest.mapd(1, 6, true, 0, NO_MEMORY - 0x100)
    const before = slotsInUse(guest)
    guest.mapti(1, 32, 8192, 1)
    guest.mapti(1, 32, 8192, 2)
    expect(slotsInUse(guest)).toEqual(before)
    guest.mapti(1, 31, 8192, 1)
    expect(slotsInUse(guest).events).toBe(before.events + 1)
  })

  it('but the last of each is', () => {
    const guest = bootedIts()
    guest.mapd(8191, 16)
    guest.mapti(8191, 0xffff, 0xffff, 8191)
    expect(slotsInUse(guest)).toEqual({ lpis: 1, devices: 1, events: 1, collections: 3 })
    guest.mapc(8191, 1)
    guest.configure(0xffff)
    guest.invall(8191)
    expect(guest.msi(8191, 0xffff)).toBe(true)
    expect(guest.acknowledge(1)).toBe(0xffff)
  })

  it('an ITS has no device, event or collection of another', () => {
    const guest = bootedIts({ itss: 2 })
    guest.mapd(1, 4)
    guest.configure(8192)
    guest.mapti(1, 0, 8192, 1)
    guest.mapti(1, 1, 8193, 1, 1)
    guest.event('DISCARD', 1, 0, 1)
    guest.mapd(1, 4, false, 1)
    guest.mapc(1, 1, false, 1)
    expect(guest.msi(1, 0, 1)).toBe(false)
    expect(guest.msi(1, 0)).toBe(true)
    expect(guest.acknowledge(1)).toBe(8192)
    expect(slotsInUse(guest)).toEqual({ lpis: 1, devices: 1, events: 1, collections: 3 })
  })
})

describe('L01: RDbase is the processor number of a vCPU, which is its index here', () => {
  it('an LPI goes to the vCPU whose GICR_TYPER has the number', () => {
    const guest = bootedIts({ vcpus: 6 })
    expect((guest.vm.readMmio(0, 0x080a_0000 + 5 * 0x2_0000 + 8, 4) >>> 8) & 0xffff).toBe(5)
    guest.mapd(1, 4)
    guest.configure(8192)
    guest.mapc(77, 5)
    guest.mapti(1, 0, 8192, 77)
    guest.event('INT', 1, 0)
    expect([0, 1, 2, 3, 4, 5].map((vcpu) => guest.acknowledge(vcpu))).toEqual([
      1023, 1023, 1023, 1023, 1023, 8192,
    ])
  })

  it('a number that no vCPU has maps nothing: the LPI is pending nowhere, and the queue goes on', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.configure(8192)
    for (const nobody of [2, 5, 255, 0xffff, 0x1_0000, 0xffff_ffff]) guest.mapc(77, nobody)
    guest.mapti(1, 0, 8192, 77)
    guest.event('INT', 1, 0)
    expect(guest.msi(1, 0)).toBe(false)
    expect([0, 1].map((vcpu) => guest.acknowledge(vcpu))).toEqual([1023, 1023])
    guest.mapc(77, 1)
    guest.event('INT', 1, 0)
    expect(guest.acknowledge(1)).toBe(8192)
  })

  it('MOVALL from or to a number that no vCPU has does nothing', () => {
    const guest = mapped()
    guest.movall(1, 2)
    guest.movall(2, 0)
    guest.movall(1, 255)
    guest.msi(1, 0)
    expect([0, 1].map((vcpu) => guest.acknowledge(vcpu))).toEqual([1023, 8192])
  })
})

describe('a VM whose slots are all in use', () => {
  it('maps no more LPIs, and those that it has go on', () => {
    const guest = bootedIts({ lpis: 2 })
    guest.mapd(1, 4)
    for (const event of [0, 1, 2]) {
      guest.configure(8192 + event)
      guest.mapti(1, event, 8192 + event, 1)
    }
    expect(slotsInUse(guest)).toEqual({ lpis: 2, devices: 1, events: 2, collections: 2 })
    expect([0, 1, 2].map((event) => guest.msi(1, event))).toEqual([true, true, false])
    guest.event('DISCARD', 1, 0)
    expect(guest.acknowledge(1)).toBe(8192)
    end(guest.vm, 1, 8192)
    guest.vm.exit(1)
    guest.mapti(1, 2, 8194, 1)
    expect(guest.msi(1, 2)).toBe(true)
  })

  it('maps no more devices', () => {
    const guest = bootedIts({ itsDevices: 1 })
    guest.mapd(1, 4)
    guest.mapd(2, 4)
    guest.configure(8192)
    guest.mapti(2, 0, 8192, 1)
    expect(slotsInUse(guest)).toEqual({ lpis: 0, devices: 1, events: 0, collections: 2 })
    guest.mapd(1, 4, false)
    guest.mapd(2, 4)
    guest.mapti(2, 0, 8192, 1)
    expect(guest.msi(2, 0)).toBe(true)
  })

  it('maps no more collections, nor events in them', () => {
    const guest = bootedIts({ itsCollections: 2 })
    guest.mapd(1, 4)
    guest.mapc(77, 1)
    guest.mapti(1, 0, 8192, 77)
    expect(slotsInUse(guest)).toEqual({ lpis: 0, devices: 1, events: 0, collections: 2 })
  })

  it.each([
    [{ lpis: 0 }, 'lpis must be an integer from 1 to 65536, but is 0.'],
    [{ lpis: 65537 }, 'lpis must be an integer from 1 to 65536, but is 65537.'],
    [{ itsDevices: 0 }, 'itsDevices must be an integer from 1 to 65536, but is 0.'],
    [{ itsDevices: 65537 }, 'itsDevices must be an integer from 1 to 65536, but is 65537.'],
    [{ itsCollections: 0 }, 'itsCollections must be an integer from 1 to 65536, but is 0.'],
    [{ itsCollections: 1.5 }, 'itsCollections must be an integer from 1 to 65536, but is 1.5.'],
    [{ translations: -1 }, 'translations must be an integer from 0 to 4096, but is -1.'],
    [{ translations: 4097 }, 'translations must be an integer from 0 to 4096, but is 4097.'],
  ])('has a number of them that is told: %o', (sizes, message) => {
    expect(() => bootedIts(sizes)).toThrow(expect.objectContaining({ code: 'config', message }))
  })
})

it('an LPI that nothing is mapped to has no reference to take', () => {
  const { hypervisor } = mapped().vm
  const { lpis } = hypervisor.apLists
  expect(wordsChangedBy(hypervisor, () => expect(lpis.tryGet(8193)).toBe(0))).toEqual([])
  expect(wordsChangedBy(hypervisor, () => expect(lpis.tryGet(8192)).not.toBe(0))).toHaveLength(1)
})

it('a VM without an ITS has no LPIs, whatever it has done', () => {
  const vm = boot(vmOf())
  for (let i = 0; i < 4; i++) vm.writeMmio(0, 0x0800_0084, 4, 0xffff_ffff)
  expect(vm.hypervisor.apLists.lpis.firstSlot).toBe(0)
})

describe('memory that a guest does not have', () => {
  it('an event whose LPI has no configuration there is not mapped', () => {
    const guest = bootedIts()
    guest.mapd(1, 4)
    guest.vm.writeMmio(0, 0x080a_0000, 4, 0)
    guest.vm.writeMmio(0, 0x080a_0070, 8, (1n << 40n) | 0xfn)
    guest.mapti(1, 0, 8192, 50)
    expect(slotsInUse(guest)).toMatchObject({ lpis: 0, events: 0, collections: 2 })
  })

  it.each([
    ['the distributor', GICD],
    ['the second redistributor', GICR + GICR_STRIDE],
    ['the ITS', GITS],
    ['the second ITS', gits(1) + 0x1_0000],
  ])('is where %s is: commands there are skipped', (_, queue) => {
    const guest = bootedIts({ itss: 2 })
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, GITS_CBASER, (1n << 63n) | BigInt(queue))
    guest.setRegister(0, GITS_CTLR, 1)
    guest.ram.write64(queue, 0x09n)
    guest.ram.write64(queue + 16, (1n << 63n) | 77n)
    guest.setRegister(0, GITS_CWRITER, 0x20)
    expect(guest.register(0, GITS_CREADR)).toBe(0x20n)
    expect(slotsInUse(guest).collections).toBe(4)
  })

  it('commands cannot be fetched there: they are skipped', () => {
    const guest = bootedIts()
    guest.setRegister(0, 0, 0)
    guest.setRegister(0, 0x80, (1n << 63n) | (1n << 40n))
    guest.setRegister(0, 0, 1)
    guest.setRegister(0, 0x88, 0x60)
    expect(guest.register(0, 0x90)).toBe(0x60n)
  })
})
