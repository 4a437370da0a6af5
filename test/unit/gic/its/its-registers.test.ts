/** The registers of an ITS as a driver sees them, and the configuration that they show. */
import { Gic } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GITS, gits, ItsBoard, its, mapped, VALID } from './its-board.ts'

const ONES = 0xffff_ffff_ffff_ffffn

/** One CPU, whose redistributor leaves room for ITSs. */
const ONE = { cpus: 1, gicr: [{ base: 0x2000_0000, count: 1 }], memoryLines: 4 }

describe('the registers of an ITS', () => {
  it('have their reset values: GITS_BASER<n> with pages of 64 KiB, devices and collections of 8 bytes', () => {
    const { gic } = new ItsBoard()
    expect(gic.readMmio64(gits.TYPER)).toBe(0x1f_0001_efb1n)
    expect(gic.readMmio64(gits.BASER0)).toBe(0x0107_0000_0000_0200n)
    expect(gic.readMmio64(gits.BASER1)).toBe(0x0407_0000_0000_0200n)
    expect([gits.CTLR, gits.IIDR].map((at) => gic.readMmio(at, 4))).toEqual([0x8000_0000, 0x43b])
    expect([gits.CBASER, gits.CWRITER, gits.CREADR].map((at) => gic.readMmio64(at))).toEqual([0n, 0n, 0n])
    expect(gic.readMmio(GITS + 0xffe8, 4)).toBe(0x3b)
  })

  it.each([
    { version: '3', numbers: [0, 0] },
    { version: '4.0', numbers: [0, 1] },
    { version: '4.1', numbers: [0, 1] },
  ] as const)('GITS_CTLR.ITS_Number tells ITSs apart for VMOVP: version $version', ({ version, numbers }) => {
    const bases = [GITS, GITS + 0x4_0000]
    const gic = new Gic({ ...ONE, version, its: bases.map((base) => ({ base, vmovp: 0 })) })
    const read = () => bases.map((base) => (gic.readMmio(base, 4) >>> 4) & 0xf)
    expect(read()).toEqual(numbers)
    for (const base of bases) gic.writeMmio(base, 4, 0xf0)
    expect(read()).toEqual(numbers)
    const alone = new Gic({ ...ONE, version, its: [{ base: GITS }] })
    expect(alone.readMmio(GITS, 4)).toBe(0x8000_0000)
  })

  it.each([
    { version: '3', enabled: 0x8000_0001 },
    { version: '4.0', enabled: 0x8000_0001 },
    { version: '4.1', enabled: 1 },
  ] as const)(
    'GITS_CTLR.Quiescent is 0 while the ITS is enabled on GICv4.1: version $version',
    ({ version, enabled }) => {
      const gic = new Gic({ ...ONE, version, its: [{ base: GITS }] })
      gic.writeMmio(GITS, 4, 1)
      expect(gic.readMmio(GITS, 4)).toBe(enabled)
      gic.writeMmio(GITS, 4, 0)
      expect(gic.readMmio(GITS, 4)).toBe(0x8000_0000)
    },
  )

  it('GITS_MPIDR is the affinity of GICv4.1, as far as GITS_TYPER.SVPET says, and RES0 with SVPET 0', () => {
    const mpidr = (version: '4.0' | '4.1', svpet: 0 | 1 | 2 | 3) =>
      new Gic({ ...ONE, version, its: [{ base: GITS, svpet, affinity: 0x0102_0300 }] }).readMmio(
        GITS + 0x18,
        4,
      )
    expect([mpidr('4.1', 0), mpidr('4.1', 1), mpidr('4.1', 3)]).toEqual([0, 0x0102_0300, 0x0102_0300])
    expect(mpidr('4.0', 3)).toBe(0)
  })

  it('GITS_IIDR and the halves of GITS_TYPER are read only with 4-byte accesses', () => {
    const { gic } = new ItsBoard()
    for (const at of [gits.IIDR, gits.TYPER, gits.TYPER + 4]) gic.writeMmio(at, 4, 0xffff_ffff)
    const read = (at: number) => gic.readMmio(at, 4)
    expect([gits.IIDR, gits.TYPER, gits.TYPER + 4].map(read)).toEqual([0x43b, 0x0001_efb1, 0x1f])
  })

  it('GITS_TYPER says the bits of DeviceIDs, EventIDs and collections, and PTA', () => {
    const limits = { base: GITS, deviceBits: 20, eventBits: 11, collectionBits: 8, pta: 1 } as const
    const { gic } = new ItsBoard({ its: [limits] })
    const typer = gic.readMmio64(gits.TYPER)
    const field = (hi: bigint, lo: bigint) => Number((typer >> lo) & ((1n << (hi - lo + 1n)) - 1n))
    expect([field(17n, 13n), field(12n, 8n), field(36n, 36n), field(35n, 32n), field(19n, 19n)]).toEqual([
      19, 10, 1, 7, 1,
    ])
  })

  it('hard case 37: GITS_BASER<n> that are not implemented are RAZ/WI; Type and Entry_Size are read only', () => {
    const { gic } = new ItsBoard()
    for (let n = 0; n < 8; n++) gic.writeMmio64(gits.BASER0 + 8 * n, ONES)
    const values = Array.from({ length: 8 }, (_, n) => gic.readMmio64(gits.BASER0 + 8 * n))
    expect(values).toEqual([0xf9e7_ffff_ffff_ffffn, 0xfce7_ffff_ffff_ffffn, 0n, 0n, 0n, 0n, 0n, 0n])
  })

  it('of 64 bits are written and read in halves as well', () => {
    const { gic } = new ItsBoard()
    for (const at of [gits.BASER0, gits.CBASER]) {
      gic.writeMmio(at + 4, 4, 0x8000_0001)
      gic.writeMmio(at, 4, 0x5050_0201)
      expect(gic.readMmio64(at) & ~0x071f_0000_0000_0000n).toBe(0x8000_0001_5050_0201n)
    }
    gic.writeMmio(gits.CWRITER, 4, 0xffff_ffff)
    gic.writeMmio(gits.CWRITER + 4, 4, 0xffff_ffff)
    gic.writeMmio64(gits.CREADR, ONES)
    expect([gic.readMmio64(gits.CWRITER), gic.readMmio64(gits.CREADR)]).toEqual([0xf_ffe0n, 0n])
  })

  it('by choice GITS_CWRITER keeps all bits and GITS_CREADR can be written, also while the ITS is enabled, as on QEMU 7.2', () => {
    const { gic } = new ItsBoard({ choices: { queueRegisters: 'as-written' } })
    for (const at of [gits.CWRITER, gits.CREADR]) {
      gic.writeMmio64(at, ONES)
      expect(gic.readMmio64(at)).toBe(ONES - 1n)
    }
    gic.writeMmio64(gits.CREADR, 0n)
    gic.writeMmio(gits.CTLR, 4, 1)
    gic.writeMmio64(gits.CREADR, ONES)
    expect(gic.readMmio64(gits.CREADR)).toBe(ONES - 1n)
  })

  it('hard case 34: a write of GITS_CBASER clears GITS_CREADR and not GITS_CWRITER; enabling clears neither', () => {
    const board = mapped()
    const { gic } = board
    const offsets = () => [gic.readMmio(gits.CREADR, 4), gic.readMmio(gits.CWRITER, 4)]
    const before = offsets()
    expect(before[0]).toBeGreaterThan(0)
    gic.writeMmio(gits.CTLR, 4, 0)
    gic.writeMmio(gits.CTLR, 4, 1)
    expect(offsets()).toEqual(before)
    gic.writeMmio(gits.CTLR, 4, 0)
    gic.writeMmio64(gits.CBASER, gic.readMmio64(gits.CBASER))
    expect(offsets()).toEqual([0, before[1]])
  })

  it('GITS_CBASER and GITS_BASER<n> are ignored while the ITS is enabled', () => {
    const board = new ItsBoard().booted()
    const { gic } = board
    const registers = [gits.CBASER, gits.BASER0, gits.BASER1]
    const before = registers.map((at) => gic.readMmio64(at))
    for (const at of registers) gic.writeMmio64(at, 0n)
    expect(registers.map((at) => gic.readMmio64(at))).toEqual(before)
  })

  it('have names', () => {
    const { gic } = new ItsBoard()
    const offsets = [0, 4, 8, 0x80, 0x88, 0x90, 0x100, 0x138, 0xffe8, 0x1_0040]
    expect(offsets.map((offset) => gic.registerAt(GITS + offset))).toEqual([
      'GITS_CTLR',
      'GITS_IIDR',
      'GITS_TYPER',
      'GITS_CBASER',
      'GITS_CWRITER',
      'GITS_CREADR',
      'GITS_BASER0',
      'GITS_BASER7',
      'GITS_PIDR2',
      'GITS_TRANSLATER',
    ])
    expect([GITS, GITS + 0x1_ffff, GITS + 0x2_0000].map((at) => gic.claims(at))).toEqual([true, true, true])
    expect(new Gic({ cpus: 1 }).claims(GITS)).toBe(false)
  })

  it('are in a diff by their names and fields', () => {
    const board = new ItsBoard()
    const before = board.gic.snapshot()
    board.enableIts()
    expect(board.gic.diff(before)).toContainEqual({
      name: 'its.GITS_CTLR',
      field: 'Enabled',
      before: 0,
      after: 1,
    })
    expect(board.gic.diff(before)).toContainEqual({
      name: 'its.GITS_BASER[0]',
      field: 'Valid',
      before: 0,
      after: 1,
    })
  })
})

describe('the configuration of ITSs', () => {
  it('is checked: up to eight, in frames of their own, with LPIs', () => {
    const eight = Array.from({ length: 8 }, (_, n) => ({ base: 0x2000_0000 + n * 0x2_0000 }))
    const gic = new Gic({ cpus: 1, its: eight })
    expect(Gic.from(gic.snapshot()).config).toEqual(gic.config)
    const refused: readonly (readonly [object, string])[] = [
      [{ its: [...eight, { base: 0 }] }, 'its must be an array of up to 8'],
      [{ its: {} }, 'its must be an array of up to 8'],
      [{ its: [{ base: 0x0800_0000 }] }, 'must be at or above'],
      [{ its: [{ base: 0x1001 }] }, 'its[0].base must be a multiple'],
      [{ its: [{ base: GITS, deviceBits: 33 }] }, 'its[0].deviceBits must be an integer from 1 to 32'],
      [
        { its: [{ base: GITS, collectionBits: 17 }] },
        'its[0].collectionBits must be an integer from 1 to 16',
      ],
      [{ its: [{ base: GITS, pta: 2 }] }, 'its[0].pta must be an integer from 0 to 1'],
      [{ its: [{ base: GITS }], lpis: 0 }, 'lpis must not be 0'],
    ]
    for (const [config, message] of refused) {
      expect(() => new Gic({ cpus: 1, ...config } as never)).toThrow(message)
    }
  })

  it('eight of them translate, each by its own tables', () => {
    const bases = Array.from({ length: 8 }, (_, n) => ({ base: 0x2000_0000 + n * 0x2_0000 }))
    const board = new ItsBoard({ cpus: 1, its: bases }).wake()
    for (const [n, { base }] of bases.entries()) {
      board.configure(8192 + n, 0xa0)
      if (n === 0) board.enableLpis()
      const tables = 0x6000_0000 + n * 0x10_0000
      board.gic.writeMmio64(base + 0x100, VALID | BigInt(tables) | 0x200n)
      board.gic.writeMmio64(base + 0x108, VALID | BigInt(tables + 0x1_0000) | 0x200n)
      board.gic.writeMmio64(base + 0x80, VALID | BigInt(tables + 0x2_0000))
      board.gic.writeMmio(base, 4, 1)
      const commands = [its.mapc(0, 0), its.mapd(3, 0, tables + 0x3_0000), its.mapti(3, 1, 8192 + n, 0)]
      for (const [i, command] of commands.entries()) {
        for (let dw = 0; dw < 4; dw++) {
          board.ram.doubleword(tables + 0x2_0000 + 32 * i + 8 * dw, command[dw] ?? 0n)
        }
      }
      board.gic.writeMmio(base + 0x88, 4, 96)
    }
    for (let n = 0; n < 8; n++) {
      board.gic.sendMsi(3, 1, n)
      expect(board.drain()).toEqual([8192 + n])
    }
    expect(() => board.gic.sendMsi(3, 1, 8)).toThrow('its must be an integer from 0 to 7')
  })
})
