/** A guest whose ITS is disabled when its VM is saved has its mappings in the JSON; what of that is refused; older versions. */
import { designs, kvm61, type SavedMappings, type SavedVgic } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  bootedIts,
  deviceTable,
  GITS_BASER,
  GITS_CTLR,
  type ItsGuest,
  itsVm,
  ittOf,
  restoredTo,
  slotsInUse,
} from '../../../kit/guest-its.ts'
import { ite, save, VALID, withLpis } from '../../../kit/saved-its.ts'
import { boot, end, vmOf } from '../../../kit/vm.ts'

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

  it('is not saved if it has made a table smaller than what it has mapped, which Linux 6.1 keeps', () => {
    const guest = itsVm({ design: kvm61(designs.wfiFlag) })
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
      const guest = itsVm({ design: kvm61(designs.wfiFlag) })
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
