/** Drivers at the edge of a rule of docs/gicv4-barriers.md, and what has no barrier behind it yet. */
import type { GicConfig } from 'vgic'
import { describe, expect, it } from 'vitest'
import { at, GICD, GITS, Gicv4Driver, vpes } from '../../../kit/gicv4-driver.ts'
import { ItsBoard, its } from '../its/its-board.ts'
import { DIRECT, ICENABLER, INVLPIR, ISENABLER, MSI, mapLpi, SYNCR, V3, V40 } from './barrier-drivers.ts'

/** Drivers at the edge of a rule: what they do, and what they hear. */
const edges: readonly (readonly [
  name: string,
  config: Partial<GicConfig>,
  act: (driver: Gicv4Driver) => void,
  heard: readonly string[],
])[] = [
  [
    'the SYNC of any redistributor is one for MAPTI',
    V3,
    (driver) => driver.send(its.mapti(1, 0, 8192, 0), its.sync(1), its.int(1, 0)),
    [],
  ],
  [
    'a VSYNC is one for MAPTI, too',
    {},
    (driver) => {
      driver.mapVpe(1)
      driver.send(its.mapti(1, 0, 8192, 0), vpes.vsync(1), its.int(1, 0))
    },
    [],
  ],
  [
    'the VSYNC of another vPE is none for VMAPP',
    {},
    (driver) => {
      driver.mapVpe(1)
      driver.send(vpes.vmapp(0, 0), vpes.vsync(1))
      driver.enter(0)
    },
    ['B6 GICR_VPENDBASER cpu 0 its 0'],
  ],
  [
    'a SYNC is none for VMOVP',
    {},
    (driver) => {
      driver.mapVpe()
      driver.send(vpes.vmovp(0, 1), its.sync(0), its.sync(1))
      driver.gic.sendMsi(1, 0)
    },
    ['B2 GITS_TRANSLATER cpu 1 its 0'],
  ],
  [
    'GICR_SYNCR of another redistributor says nothing of GICR_INVLPIR',
    DIRECT,
    (driver) => {
      mapLpi(driver)
      driver.gic.writeMmio64(driver.rd(0) + INVLPIR, 8192n)
      driver.wait(driver.rd(1) + SYNCR)
      driver.gic.sendMsi(1, 0)
    },
    [`B5 ${MSI}`],
  ],
  [
    'GICR_INVLPIR of another LPI is not relied on',
    DIRECT,
    (driver) => {
      mapLpi(driver)
      driver.gic.writeMmio64(driver.rd(0) + INVLPIR, 8193n)
      driver.gic.sendMsi(1, 0)
    },
    [],
  ],
  [
    'another event of the device is not relied on',
    V3,
    (driver) => {
      mapLpi(driver)
      driver.send(its.mapti(1, 1, 8193, 0), its.int(1, 0))
    },
    [],
  ],
  [
    'a mapping that was discarded is relied on by nobody',
    V3,
    (driver) => driver.send(its.mapti(1, 0, 8192, 0), its.discard(1, 0), its.int(1, 0)),
    [],
  ],
  [
    'a command error maps nothing',
    V3,
    (driver) => {
      mapLpi(driver)
      driver.send(its.mapti(1, 0, 100, 0), its.int(1, 0))
    },
    [],
  ],
  [
    'bit 1 of a configuration byte means nothing',
    V3,
    (driver) => {
      mapLpi(driver)
      driver.ram.byte(at.config, 0xa3)
      driver.gic.sendMsi(1, 0)
    },
    [],
  ],
  [
    'EnableLPIs takes the table as it is',
    V3,
    (driver) => {
      mapLpi(driver)
      driver.gic.writeMmio(driver.rd(0), 4, 0)
      driver.wait(driver.rd(0))
      driver.configure(8192, false)
      driver.gic.writeMmio(driver.rd(0), 4, 1)
      driver.gic.sendMsi(1, 0)
    },
    [],
  ],
  [
    'the upper half of GICR_VPENDBASER has Dirty, the lower one has not',
    {},
    (driver) => {
      driver.mapVpe()
      driver.enter()
      driver.gic.readMmio(driver.vpendbaser(0), 4)
      driver.gic.setExceptionLevel(0, 1)
      driver.leave()
      driver.gic.readMmio(driver.vpendbaser(0) + 4, 4)
      driver.enter()
    },
    ['B9 ERET cpu 0'],
  ],
  [
    'GICv4.0 does not show that a vPE becomes resident, and nobody has to wait for it',
    V40,
    (driver) => {
      driver.mapVpe()
      driver.enter()
      driver.gic.setExceptionLevel(0, 1)
      driver.leave()
    },
    [],
  ],
  [
    'VMAPP with V = 0 of GICv4.1 needs no VSYNC',
    {},
    (driver) => {
      driver.mapVpe()
      driver.send(vpes.vunmap(0), vpes.vmapp(1, 0, { vpt: at.vpt(0) }), vpes.vsync(1))
      driver.enter(1)
    },
    [],
  ],
  [
    'a device may have its own ITT back, and another one other memory',
    V3,
    (driver) => {
      driver.send(its.mapd(1, 4, 0, false), its.mapd(1, 4, at.itt(1)), its.mapd(1, 4, 0, false))
      driver.send(its.mapd(2, 4, at.itt(1) + 32 * 12 + 0x80), its.sync(0))
    },
    [],
  ],
  [
    'another interrupt than the one that was disabled may be configured, and one that is enabled again',
    V3,
    ({ gic }) => {
      gic.writeMmio(GICD + ISENABLER + 4, 4, 3)
      gic.writeMmio(GICD + ICENABLER + 4, 4, 1)
      gic.writeMmio(GICD + 0x84, 4, 2)
      gic.writeMmio(GICD + ISENABLER + 4, 4, 1)
      gic.writeMmio(GICD + 0x84, 4, 1)
    },
    [],
  ],
  [
    'nobody waits for the disabling of what was not enabled',
    V3,
    ({ gic }) => {
      gic.writeMmio(GICD + ICENABLER + 4, 4, 0xffff_ffff)
      gic.writeMmio(GICD + 0x84, 4, 0xffff_ffff)
    },
    [],
  ],
]

describe('what nothing has synchronised', () => {
  const driver = (): Gicv4Driver => {
    const made = new Gicv4Driver({ ...V3, barriers: 'report' })
    made.send(its.mapd(2, 4, at.itt(2)), its.sync(0))
    return made
  }
  /** A message of each, and what is heard at it. */
  const heardAt = (
    made: Gicv4Driver,
    ...events: readonly (readonly [device: number, event: number])[]
  ): string[][] =>
    events.map(([device, event]) => {
      made.gic.sendMsi(device, event)
      return made.missing()
    })

  it('is each event of each device by itself, and is told once', () => {
    const made = driver()
    for (const [n, [device, event]] of [
      [1, 0],
      [1, 1],
      [2, 0],
    ].entries())
      made.send(its.mapti(device, event, 8192 + n, 0))
    const events = [
      [1, 0],
      [1, 1],
      [2, 0],
    ] as const
    expect(heardAt(made, ...events)).toEqual([[`B1 ${MSI}`], [`B1 ${MSI}`], [`B1 ${MSI}`]])
    expect(heardAt(made, ...events)).toEqual([[], [], []])
    expect(made.gic.missingBarriers).toEqual(['B1'])
  })

  it('is a command that was given twice once, and two commands of one event twice', () => {
    const made = driver()
    mapLpi(made)
    made.send(its.movi(1, 0, 1), its.movi(1, 0, 0), its.movi(1, 0, 1))
    expect(heardAt(made, [1, 0])).toEqual([['B2 GITS_TRANSLATER cpu 1 its 0']])
    made.send(its.movi(1, 0, 0), its.inv(1, 0))
    expect(heardAt(made, [1, 0])).toEqual([[`B2 ${MSI}`, `B4 ${MSI}`]])
  })

  it('is the INV of each event', () => {
    const made = driver()
    mapLpi(made)
    made.configure(8193)
    made.send(its.mapti(1, 1, 8193, 0), its.inv(1, 1), its.sync(0), its.inv(1, 0), its.inv(1, 1))
    expect(heardAt(made, [1, 1], [1, 0])).toEqual([[`B4 ${MSI}`], [`B4 ${MSI}`]])
  })

  it('ends with a DISCARD for its event alone, and with a MAPD for its device alone', () => {
    const made = driver()
    made.send(its.mapti(1, 0, 8192, 0), its.mapti(1, 1, 8193, 0), its.mapti(2, 0, 8194, 0))
    made.send(its.discard(1, 0), its.mapd(1, 4, 0, false))
    expect(heardAt(made, [2, 0])).toEqual([[`B1 ${MSI}`]])
    const other = driver()
    other.send(its.mapti(1, 0, 8192, 0), its.mapti(1, 1, 8193, 0), its.discard(1, 0))
    expect(heardAt(other, [1, 1])).toEqual([[`B1 ${MSI}`]])
  })

  it.each([
    ['the same memory', 0x3_5070_0000, ['B12 MAPD its 0']],
    ['the memory behind it', 0x3_5070_0100, []],
    ['memory that has the same lower half of its address', 0x5070_0000, []],
    ['memory above it', 0x4_5070_0000, []],
  ] as const)('is an ITT above 4 GiB that another device gets: %s', (_, itt, heard) => {
    const made = driver()
    made.send(its.mapd(3, 0, 0x3_5070_0000), its.sync(0), its.mapd(3, 0, 0, false), its.mapd(4, 0, itt))
    expect(made.missing()).toEqual(heard)
  })

  it('is known without a host that listens', () => {
    const board = new ItsBoard({ barriers: 'report' }).booted()
    board.send(its.sync(0))
    expect(board.gic.missingBarriers).toEqual([])
    board.send(its.mapti(1, 0, 8192, 0))
    board.gic.sendMsi(1, 0)
    expect(board.gic.missingBarriers).toEqual(['B1'])
  })
})

describe('at the edge of a rule', () => {
  it.each(edges)('%s', (_name, config, act, heard) => {
    const driver = new Gicv4Driver({ ...config, barriers: 'report' })
    act(driver)
    expect(driver.missing()).toEqual(heard)
  })

  it.each([
    ['an LPI', 0x4000_0010, at.config],
    ['a vLPI', 0xc000_0010 | 0, at.vconf(0)],
  ] as const)(
    'an ITT entry that software has written has no configuration byte if its INTID is that of no LPI: %s',
    (_, entry, table) => {
      const driver = new Gicv4Driver({ version: '4.1', barriers: 'report' })
      driver.mapVpe(0)
      driver.ram.words.set(at.itt(1), entry)
      const { ram, gic } = driver
      gic.sendMsi(1, 0)
      // Where the byte of INTID 16 would be if the table began with INTID 0.
      ram.words.set(table + 0x10 - 8192, 0xa1)
      gic.sendMsi(1, 0)
      expect(driver.missing()).toEqual([])
    },
  )

  it('the SYNC of another ITS is none', () => {
    const other = 0x080c_0000
    const driver = new Gicv4Driver({ ...V3, barriers: 'report', its: [{ base: GITS }, { base: other }] })
    const { gic, ram } = driver
    gic.writeMmio64(other + 0x80, (1n << 63n) | 0x5400_0000n)
    gic.writeMmio(other, 4, 1)
    driver.send(its.mapti(1, 0, 8192, 0))
    ram.doubleword(0x5400_0000, its.sync(0)[0])
    gic.writeMmio(other + 0x88, 4, 32)
    gic.sendMsi(1, 0)
    expect(driver.missing()).toEqual([`B1 ${MSI}`])
  })
})
