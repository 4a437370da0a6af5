/** The tables of an ITS in memory: flat and of two levels, at any address. */
import { Gic } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GITS, gits, ItsBoard, its, mapped, place, Ram, VALID } from './its-board.ts'

describe('tables', () => {
  /** A board whose device table is as GITS_BASER0 says. */
  function withDevices(baser: bigint, config = {}): ItsBoard {
    const board = new ItsBoard(config).wake().enableLpis()
    board.gic.writeMmio64(gits.BASER0, VALID | baser)
    board.gic.writeMmio64(gits.BASER1, VALID | BigInt(place.collections) | 0x200n)
    board.queueOf(1)
    board.gic.writeMmio(gits.CTLR, 4, 1)
    return board.configure(8192, 0xa0).send(its.mapc(0, 0))
  }
  /** Whether a device can be mapped, and its MSI comes. */
  function works(board: ItsBoard, id: number): boolean {
    board.send(its.mapd(id, 0, place.itt(1)), its.mapti(id, 0, 8192, 0))
    board.gic.sendMsi(id, 0)
    const [errors, taken] = [board.errors(), board.drain()]
    return errors.length === 0 && taken.length === 1
  }

  it.each([
    [0, 0x1000],
    [1, 0x4000],
    [2, 0x1_0000],
    [3, 0x1_0000],
  ])('flat, Page_Size %i: as many entries of 8 bytes as the pages have room for', (size, bytes) => {
    for (const pages of [1, 3]) {
      const board = withDevices(BigInt(place.devices) | (BigInt(size) << 8n) | BigInt(pages - 1))
      const entries = Math.min((pages * bytes) / 8, 0x1_0000)
      expect([0, 1, entries - 1, entries].map((id) => works(board, id))).toEqual([true, true, true, false])
    }
  })

  it.each([
    [0, 0x1000],
    [1, 0x4000],
    [2, 0x1_0000],
  ])('indirect, Page_Size %i: a level 1 of pages, which software provides', (size, bytes) => {
    const perPage = bytes / 8
    const config = { its: [{ base: GITS, deviceBits: 32 }] }
    const board = withDevices((1n << 62n) | BigInt(place.devices) | (BigInt(size) << 8n), config)
    const last = perPage - 1
    board.ram.doubleword(place.devices, VALID | 0x5800_0000n)
    // An address alone is no page.
    board.ram.doubleword(place.devices + 8, 0x1_5a00_0000n)
    board.ram.doubleword(place.devices + 8 * last, VALID | 0x5900_0000n)
    const ids = [0, perPage - 1, perPage, last * perPage, perPage * perPage - 1, perPage * perPage]
    expect(ids.map((id) => works(board, id))).toEqual([true, true, false, true, true, false])
    expect(board.ram.words.get(0x5900_0000 + 8 * (perPage - 1) + 4)).toBeGreaterThan(0)
  })

  it('have addresses of 52 bits', () => {
    const high = 2 ** 51
    const devices = withDevices(BigInt(high % 2 ** 48) | 0x8000n | 0x200n)
    expect(works(devices, 5)).toBe(true)
    expect([...devices.ram.words.keys()].filter((at) => at >= high)).toEqual([high + 40, high + 44])
    const board = new ItsBoard().booted()
    const itt = 2 ** 51 + 2 ** 40 + 0x100
    board.configure(8192, 0xa0).send([0x2_0000_0008n, 0n, VALID | BigInt(itt)], its.mapti(2, 1, 8192, 0))
    board.gic.sendMsi(2, 1)
    expect([board.drain(), board.ram.words.has(itt + 12)]).toEqual([[8192], true])
  })

  it('hold no more DeviceIDs, EventIDs and collections than GITS_TYPER has bits for', () => {
    const limits = { base: GITS, deviceBits: 4, eventBits: 5, collectionBits: 3 }
    const board = withDevices(BigInt(place.devices) | 0x200n, { its: [limits] })
    expect([works(board, 15), works(board, 16)]).toEqual([true, false])
    board.errors()
    board.send(its.mapd(1, 4), its.mapd(1, 5), its.mapc(7, 0), its.mapc(8, 0), its.mapti(1, 0, 8192, 8))
    expect(board.commandErrors()).toEqual(['MAPD_ITTSIZE_OOR', 'MAPC_COLLECTION_OOR', 'MAPTI_COLLECTION_OOR'])
  })

  it('that are not valid have no entries', () => {
    const board = new ItsBoard()
    board.queueOf(1)
    board.gic.writeMmio(gits.CTLR, 4, 1)
    board.send(its.mapd(0, 0), its.mapc(0, 0), its.int(0, 0))
    expect(board.commandErrors()).toEqual(['MAPD_DEVICE_OOR', 'MAPC_COLLECTION_OOR', 'INT_DEVICE_OOR'])
    expect(board.gic.inspectTables()[0]).toMatchObject({ devices: [], collections: [], truncated: false })
  })

  it('that software has overwritten are checked when they are read', () => {
    const board = mapped()
    // A collection on a CPU that is not there, an INTID that is no LPI, one that is beyond all tables.
    for (const [at, value] of [
      [place.collections + 4, 0x4000_ffff],
      [place.itt(1), 0x4000_0010],
      [place.itt(1), 0x40ff_ffff],
    ] as const) {
      const words = new Map(board.ram.words)
      board.ram.words.set(at, value)
      board.send(its.int(1, 0), its.inv(1, 0), its.clear(1, 0), its.movi(1, 0, 1))
      board.gic.sendMsi(1, 0)
      expect([board.drain(0), board.drain(1)]).toEqual([[], []])
      for (const [address, word] of words) if (address < place.queue) board.ram.words.set(address, word)
      board.ram.words.set(place.itt(1), words.get(place.itt(1)) ?? 0)
      board.ram.words.set(place.itt(1) + 4, words.get(place.itt(1) + 4) ?? 0)
    }
    board.gic.sendMsi(1, 0)
    expect(board.drain()).toEqual([8192])
  })
})

describe('a table in the GIC’s own frames', () => {
  it('is refused, so that no command writes the registers that carry it out', () => {
    const ram = new Ram()
    const gic: Gic = new Gic(
      { cpus: 1, its: [{ base: GITS }] },
      {
        memory: {
          // A bus on which the GIC is as well.
          read32: (address) => (gic.claims(address) ? gic.readMmio(address, 4) : ram.read32(address)),
          write32: (address, value) =>
            gic.claims(address) ? gic.writeMmio(address, 4, value) : ram.write32(address, value),
        },
      },
    )
    for (const table of [0x0800_0000, GITS, GITS + 0x1_0000, 0x080a_0000]) {
      gic.writeMmio(gits.CTLR, 4, 0)
      gic.writeMmio64(gits.BASER1, VALID | BigInt(table) | 0x200n)
      gic.writeMmio64(gits.CBASER, VALID | BigInt(place.queue))
      for (const [dw, value] of its.mapc(17, 0).entries()) ram.doubleword(place.queue + 8 * dw, value ?? 0n)
      gic.writeMmio(gits.CWRITER, 4, 32)
      gic.writeMmio(gits.CTLR, 4, 1)
      expect(gic.readMmio(gits.CREADR, 4)).toBe(1)
    }
  })
})

describe('addresses of 52 bits', () => {
  /** A board with a device table elsewhere, and LPI 8192 of event 0 of device 20000 at CPU 1. */
  function mappedAt(baser: bigint, itt: number, prepare: (board: ItsBoard) => void = () => {}): ItsBoard {
    const board = new ItsBoard().wake().enableLpis().configure(8192, 0xa0)
    prepare(board)
    const { gic } = board
    gic.writeMmio64(gits.BASER0, baser)
    gic.writeMmio64(gits.BASER1, VALID | BigInt(place.collections) | 0x200n)
    board.queueOf(1)
    gic.writeMmio(gits.CTLR, 4, 1)
    board.send(its.mapc(0, 1), its.mapd(20_000, 4, itt), its.mapti(20_000, 3, 8192, 0))
    gic.sendMsi(20_000, 3)
    return board
  }
  const FLAT = VALID | 0x200n
  /** Bits of an address of a page of 64 KiB, of which 51:48 are bits 15:12 of GITS_BASER. */
  const page64K = (address: bigint): bigint => (address & 0xffff_ffff_ffffn) | ((address >> 48n) << 12n)

  it.each([
    ['a table of devices above 4 GiB', FLAT | 7n | 0x12_5020_0000n, place.itt(1)],
    ['one above 2^48', FLAT | 7n | page64K(0x5_0000_5020_0000n), place.itt(1)],
    [
      'one of pages of 4 KiB, at an address that is no multiple of 64 KiB',
      VALID | 0xffn | 0x5020_3000n,
      place.itt(1),
    ],
    ['an ITT above 4 GiB', FLAT | 7n | BigInt(place.devices), 0x12_5060_1000],
  ])('%s', (_, baser, itt) => {
    const board = mappedAt(baser, itt)
    expect(board.commandErrors()).toEqual([])
    expect(board.drain(1)).toEqual([8192])
    expect(board.ram.words.size).toBeGreaterThan(0)
  })

  it('where nothing else is: the entries of a device are in its table and its ITT', () => {
    const entries = (board: ItsBoard, from: number): boolean =>
      [...board.ram.words].some(
        ([address, word]) => address >= from && address < from + 0x8_0000 && word !== 0,
      )
    expect(entries(mappedAt(FLAT | 7n | 0x12_5020_0000n, place.itt(1)), 0x12_5020_0000)).toBe(true)
    const high = mappedAt(FLAT | 7n | page64K(0x5_0000_5020_0000n), place.itt(1))
    expect([entries(high, 0x5_0000_5020_0000), entries(high, 0x5020_0000)]).toEqual([true, false])
    expect(entries(mappedAt(FLAT | 7n | BigInt(place.devices), 0x12_5060_1000), 0x12_5060_0000)).toBe(true)
    expect(entries(mappedAt(VALID | 0xffn | 0x5020_3000n, place.itt(1)), 0x5020_3000)).toBe(true)
  })

  it('a table of two levels, with the first above 4 GiB and its pages elsewhere', () => {
    const level1 = 0x12_5020_0000
    const page = 0x3_5080_0000
    const INDIRECT = 1n << 62n
    const board = mappedAt(FLAT | INDIRECT | BigInt(level1), place.itt(1), ({ ram }) => {
      for (let n = 0; n < 8; n++) ram.doubleword(level1 + 8 * n, VALID | BigInt(page + n * 0x1_0000))
    })
    expect(board.commandErrors()).toEqual([])
    expect(board.drain(1)).toEqual([8192])
    expect(() => mappedAt(FLAT | INDIRECT | BigInt(level1), place.itt(1)).drain(1)).not.toThrow()
    expect(mappedAt(FLAT | INDIRECT | BigInt(level1), place.itt(1)).commandErrors()).toContain(
      'MAPD_DEVICE_OOR',
    )
  })

  it('a table of two levels ends where its first level does', () => {
    const level1 = place.devices
    const board = new ItsBoard({ its: [{ base: GITS, deviceBits: 32 }] }).wake().enableLpis().enableIts()
    board.gic.writeMmio(gits.CTLR, 4, 0)
    board.gic.writeMmio64(gits.BASER0, FLAT | (1n << 62n) | BigInt(level1))
    board.gic.writeMmio(gits.CTLR, 4, 1)
    for (const page of [8191, 8192]) board.ram.doubleword(level1 + 8 * page, VALID | 0x5080_0000n)
    board.send(its.mapd(8192 * 8192 - 1, 4))
    expect(board.commandErrors()).toEqual([])
    board.send(its.mapd(8192 * 8192, 4))
    expect(board.commandErrors()).toEqual(['MAPD_DEVICE_OOR'])
  })

  it('memory ends where a frame of the GIC begins, and goes on behind it', () => {
    const errorsAt = (offset: number): string[] => {
      const board = new ItsBoard().booted().configure(8192, 0xa0)
      const itt = board.redistributor(0) + offset
      board.send(its.mapd(2, 4, itt), its.mapti(2, 0, 8192, 0))
      return board.errors().map(({ kind }) => kind)
    }
    const end = 2 * 0x2_0000
    expect(errorsAt(end)).toEqual([])
    for (const offset of [0, end - 0x100]) expect(errorsAt(offset)).toContain('memory')
  })
})
