/** Looking at an ITS: its tables as plain data, and why a message does or does not raise an IRQ. */
import { inspect } from 'node:util'
import { Gic, ICC_IGRPEN1_EL1, ICC_PMR_EL1, type MsiReason, msiReasons } from 'vgic'
import { describe, expect, it } from 'vitest'
import type { VpeReason } from '../vpe/vpe-machines.ts'
import { GICD, GITS, gits, ItsBoard, its, place, VALID } from './its-board.ts'

/** Event 0 of device 1 is LPI 8192 of CPU 0, priority 0xa0, and event 1 is LPI 8193, priority 0x20. */
function mapped(config = {}): ItsBoard {
  const board = new ItsBoard(config).booted().configure(8192, 0xa0).configure(8193, 0x20)
  return board.send(its.mapti(1, 0, 8192, 0), its.mapti(1, 1, 8193, 0))
}

const msi = (board: ItsBoard): void => board.gic.sendMsi(1, 0)

/** For each reason a machine on which it is the one why event 0 of device 1, an LPI, does, or does not, raise an IRQ. */
const machines: Readonly<Record<Exclude<MsiReason, VpeReason>, () => ItsBoard>> = {
  signalled: () => {
    const board = mapped()
    msi(board)
    return board
  },
  'its-disabled': () => {
    const board = mapped()
    board.gic.writeMmio(gits.CTLR, 4, 0)
    return board
  },
  'memory-refused': () => {
    const board = mapped()
    board.ram.refuses = (address) => address >= place.itt(1)
    return board
  },
  'device-out-of-range': () => {
    const board = mapped()
    board.gic.writeMmio(gits.CTLR, 4, 0)
    board.gic.writeMmio64(gits.BASER0, 0n)
    board.gic.writeMmio(gits.CTLR, 4, 1)
    return board
  },
  'device-unmapped': () => mapped().send(its.mapd(1, 0, 0, false)),
  'event-out-of-range': () => new ItsBoard({ its: [{ base: GITS, eventBits: 5 }] }).booted(),
  'event-unmapped': () => mapped().send(its.discard(1, 0)),
  'collection-unmapped': () => mapped().send(its.mapc(0, 0, false)),
  'lpis-disabled': () => {
    const board = mapped()
    board.gic.writeMmio(board.redistributor(0), 4, 0)
    return board
  },
  'intid-out-of-range': () => {
    const board = new ItsBoard().booted(14)
    board.tablesOf(1, 16)
    return board.send(its.mapti(1, 0, 20_000, 0))
  },
  'not-translated': () => {
    const board = mapped({ writeEffects: 'lagging' })
    board.gic.completeWrites()
    msi(board)
    return board
  },
  disabled: () => {
    const board = mapped().configure(8192, 0xa0, false)
    msi(board)
    return board
  },
  'configuration-stale': () => {
    const board = mapped().configure(8192, 0xa0, false)
    msi(board)
    return board.configure(8192, 0xa0)
  },
  'not-pending': () => mapped(),
  'distributor-off': () => {
    const board = mapped()
    msi(board)
    board.gic.writeMmio(GICD, 4, 1)
    return board
  },
  asleep: () => {
    const board = mapped()
    msi(board)
    board.gic.writeMmio(board.redistributor(0) + 0x14, 4, 2)
    return board
  },
  'group-off': () => {
    const board = mapped()
    msi(board)
    board.gic.writeSysreg(0, ICC_IGRPEN1_EL1, 0, 1)
    return board
  },
  outranked: () => {
    const board = mapped()
    msi(board)
    board.gic.sendMsi(1, 1)
    return board
  },
  'priority-masked': () => {
    const board = mapped()
    msi(board)
    board.gic.writeSysreg(0, ICC_PMR_EL1, 0xa0, 1)
    return board
  },
  'running-priority': () => {
    const board = mapped()
    board.gic.sendMsi(1, 1)
    board.ack()
    msi(board)
    return board
  },
}

describe('explainMsi', () => {
  it.each(Object.entries(machines))('gives the reason %s', (reason, make) => {
    const board = make()
    const event = reason === 'event-out-of-range' ? 32 : 0
    board.errors()
    const before = board.gic.hash()
    const explanation = board.gic.explainMsi(1, event)
    expect([explanation.reason, explanation.signalled]).toEqual([reason, reason === 'signalled'])
    expect(board.irq()).toBe(reason === 'signalled' || reason === 'outranked' ? 1 : 0)
    // Asking changes nothing, and the host hears nothing of it.
    expect([board.gic.hash(), board.errors()]).toEqual([before, []])
    const { conditions } = explanation
    const broken = conditions.find(({ holds }) => !holds)
    expect(broken === undefined).toBe(reason === 'signalled')
    const text = String(explanation)
    expect(text).toContain(`device 1 event ${event}`)
    expect(text).toContain(`: ${reason}. ${msiReasons[explanation.reason]}`)
    expect(inspect(explanation)).toBe(text)
  })

  it('prints the chain', () => {
    const board = machines['priority-masked']()
    expect(String(board.gic.explainMsi(1, 0))).toBe(
      [
        'device 1 event 0, LPI 8192 on CPU 0: priority-masked. Its priority is not higher than ICC_PMR_EL1.',
        '  ITS               yes  GITS_CTLR.Enabled is 1',
        '  device            yes  DeviceID 1 is mapped',
        '  event             yes  EventID 0 is mapped',
        '  collection        yes  collection 0 is mapped',
        '  LPIs              yes  GICR_CTLR.EnableLPIs of CPU 0 is 1',
        '  range             yes  INTID 8192',
        '  translated        yes  no message waits',
        '  configuration     yes  enabled, priority 0xa0; in memory enabled, priority 0xa0',
        '  pending           yes  it is',
        '  distributor       yes  group 1; GICD_CTLR.EnableGrp1 is 1',
        '  awake             yes  GICR_WAKER.ChildrenAsleep is 0',
        '  group             yes  ICC_IGRPEN1_EL1 is 1',
        '  first             yes  LPI 8192 is',
        '  priority mask     NO   priority 0xa0; ICC_PMR_EL1 is 0xa0',
        '  running priority  yes  ICC_RPR_EL1 is 0xff',
      ].join('\n'),
    )
  })

  it('says what it knows of an event that has an LPI and no CPU, and of one that was never used', () => {
    const board = mapped().send(its.mapc(0, 0, false))
    expect(board.gic.explainMsi(1, 0)).toMatchObject({ intid: 8192, cpu: undefined })
    const unused = mapped()
      .gic.explainMsi(1, 0)
      .conditions.find(({ name }) => name === 'configuration')
    expect(unused?.detail).toBe('not read yet; in memory enabled, priority 0xa0')
    const never = new ItsBoard({ cpus: 1 }).gic
    expect(never.explainMsi(7, 0)).toMatchObject({ reason: 'its-disabled', intid: undefined })
  })

  /** What it says of a condition. */
  const conditionOf = ({ gic }: ItsBoard, asked: string) => {
    const found = gic.explainMsi(1, 0).conditions.find(({ name }) => name === asked)
    return found && [found.holds, found.detail]
  }

  it('weighs the priority of the LPI itself, whatever else is pending, and that in memory if it was never used', () => {
    const board = mapped()
    board.gic.sendMsi(1, 1)
    board.ack()
    expect(conditionOf(board, 'priority mask')).toEqual([true, 'priority 0xa0; ICC_PMR_EL1 is 0xf8'])
    board.configure(8194, 0x10).send(its.mapti(1, 2, 8194, 0), its.int(1, 2))
    expect(conditionOf(board, 'first')).toEqual([false, 'LPI 8194 is'])
    expect(conditionOf(board, 'running priority')).toEqual([false, 'ICC_RPR_EL1 is 0x20'])
  })

  it('says nothing of the configuration of an LPI that its redistributor does not take, which names no table', () => {
    for (const make of [machines['lpis-disabled'], machines['intid-out-of-range']]) {
      const board = make()
      // What would be the byte of LPI 8192, or 20,000, in a table at 0.
      for (const at of [0, 11_808]) board.ram.byte(at, 0xa1)
      expect(conditionOf(board, 'configuration')).toBeUndefined()
    }
  })

  it('asks memory for addresses that there are, whatever INTID software has put into the ITT', () => {
    const board = mapped()
    const asked: number[] = []
    board.ram.refuses = (address) => asked.push(address) === 0
    for (const cpu of [0, 1]) board.gic.writeMmio(board.redistributor(cpu), 4, 0)
    board.ram.words.set(place.itt(1), 0x4000_0000)
    expect(board.gic.explainMsi(1, 0)).toMatchObject({ reason: 'lpis-disabled', intid: 0 })
    expect(asked.filter((address) => address < place.config)).toEqual([])
  })

  it('has the bits that registers read as, and says what lags', () => {
    const board = mapped({ writeEffects: 'lagging' })
    board.gic.completeWrites()
    board.gic.writeMmio(GICD, 4, 1)
    expect(conditionOf(board, 'distributor')).toEqual([
      true,
      'group 1; GICD_CTLR.EnableGrp1 is 0, and its disabling is under way: RWP',
    ])
    board.gic.writeMmio(board.redistributor(0), 4, 0)
    const lagging = 'and its effect is under way'
    expect(conditionOf(board, 'LPIs')).toEqual([true, `GICR_CTLR.EnableLPIs of CPU 0 is 0, ${lagging}`])
    board.gic.completeWrites()
    board.gic.writeMmio(board.redistributor(0), 4, 1)
    expect(conditionOf(board, 'LPIs')).toEqual([false, `GICR_CTLR.EnableLPIs of CPU 0 is 1, ${lagging}`])
  })

  it('needs an ITS and numbers of 32 bits', () => {
    expect(() => new Gic({ cpus: 1 }).explainMsi(0, 0)).toThrow('This GIC has no ITS')
    expect(() => new ItsBoard().gic.explainMsi(2 ** 32, 0)).toThrow('deviceId must be an integer')
    expect(() => new ItsBoard().gic.explainMsi(0, 0, 1)).toThrow('its must be an integer from 0 to 0')
  })
})

describe('inspectTables', () => {
  it('has devices with their events, and collections, as plain data', () => {
    const board = mapped()
    board.send(its.mapd(7, 9), its.mapti(7, 1000, 8200, 1), its.mapti(7, 3, 8201, 9)).configure(8200, 0xa0)
    board.gic.sendMsi(7, 1000)
    const before = board.gic.hash()
    expect(board.gic.inspectTables()).toEqual([
      {
        its: 0,
        enabled: true,
        collections: [
          { collection: 0, cpu: 0 },
          { collection: 1, cpu: 1 },
        ],
        devices: [
          {
            deviceId: 1,
            itt: '0x50601000',
            eventBits: 5,
            events: [
              { eventId: 0, intid: 8192, collection: 0, cpu: 0, pending: false },
              { eventId: 1, intid: 8193, collection: 0, cpu: 0, pending: false },
            ],
          },
          {
            deviceId: 7,
            itt: '0x50607000',
            eventBits: 10,
            events: [
              { eventId: 3, intid: 8201, collection: 9, cpu: undefined, pending: false },
              { eventId: 1000, intid: 8200, collection: 1, cpu: 1, pending: true },
            ],
          },
        ],
        vpes: [],
        truncated: false,
      },
    ])
    expect([board.gic.hash(), board.errors()]).toEqual([before, []])
    expect(new Gic({ cpus: 1 }).inspectTables()).toEqual([])
  })

  it('looks at indirect tables, and passes over pages that are not there', () => {
    const board = new ItsBoard({ its: [{ base: GITS, deviceBits: 32 }] })
    board.gic.writeMmio64(gits.BASER0, VALID | (1n << 62n) | BigInt(place.devices) | 0x200n)
    board.queueOf(1)
    board.gic.writeMmio(gits.CTLR, 4, 1)
    board.ram.doubleword(place.devices + 8 * 5000, VALID | 0x5800_0000n)
    board.send(its.mapd(5000 * 8192 + 77, 0))
    const [{ devices, truncated }] = board.gic.inspectTables()
    expect([devices.map(({ deviceId }) => deviceId), truncated]).toEqual([[5000 * 8192 + 77], false])
  })

  it('ends, however large software has made the tables, and says so', () => {
    const board = new ItsBoard({ its: [{ base: GITS, deviceBits: 32, eventBits: 32 }] })
    board.gic.writeMmio64(gits.BASER0, VALID | (1n << 62n) | BigInt(place.devices) | 0x2ffn)
    // All of memory reads as valid entries.
    board.ram.read32 = () => 0xffff_ffff
    const [{ devices, truncated }] = board.gic.inspectTables()
    expect(truncated).toBe(true)
    expect(devices.length).toBeLessThan(2 ** 20)
    board.ram.read32 = () => undefined
    expect(board.gic.inspectTables()[0]).toMatchObject({ devices: [], truncated: true })
  })
})
