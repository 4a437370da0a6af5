/** The ITS as a driver sees it: registers, the command queue, tables, commands and their errors, messages of devices. */
import { Gic, VgicError } from 'vgic'
import { describe, expect, it } from 'vitest'
import { type Command, GITS, gits, ItsBoard, its, place, Ram, SPURIOUS, VALID } from './its-board.ts'

const ONES = 0xffff_ffff_ffff_ffffn
const RETRY = 1
const STALLED = 1

/** A board on which event n of device 1 is LPI 8192 + n of CPU 0, priority 0xa0. */
function mapped(config = {}, events = 2): ItsBoard {
  const board = new ItsBoard(config).booted()
  for (let n = 0; n < events; n++) board.configure(8192 + n, 0xa0).send(its.mapti(1, n, 8192 + n, 0))
  return board
}

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

  it('by choice GITS_CWRITER keeps all bits and a disabled ITS lets GITS_CREADR be written, as on QEMU 7.2', () => {
    const { gic } = new ItsBoard({ choices: { queueRegisters: 'as-written' } })
    for (const at of [gits.CWRITER, gits.CREADR]) {
      gic.writeMmio64(at, ONES)
      expect(gic.readMmio64(at)).toBe(ONES - 1n)
    }
    gic.writeMmio64(gits.CREADR, 0n)
    gic.writeMmio(gits.CTLR, 4, 1)
    gic.writeMmio64(gits.CREADR, ONES)
    expect(gic.readMmio64(gits.CREADR)).toBe(0n)
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

describe('the command queue', () => {
  it('hard case 38: wraps at its size, whatever that is', () => {
    for (const pages of [1, 2, 16]) {
      const board = mapped()
      board.gic.writeMmio(gits.CTLR, 4, 0)
      board.queueOf(pages)
      board.gic.writeMmio(gits.CTLR, 4, 1)
      const commands = pages * 128
      for (let n = 0; n < 2 * commands + 3; n++) {
        board.send(its.int(1, 1))
        expect(board.creadr).toBe((32 * (n + 1)) % (pages * 4096))
        expect(board.ack()).toBe(8193)
        board.eoi(8193)
      }
    }
  })

  it('carries out all that is in it by one write of GITS_CWRITER, and what was put there while the ITS was disabled', () => {
    const board = mapped()
    board.gic.writeMmio(gits.CTLR, 4, 0)
    board.send(its.int(1, 1), its.int(1, 0))
    expect(board.drain()).toEqual([])
    board.gic.writeMmio(gits.CTLR, 4, 1)
    expect(board.drain()).toEqual([8192, 8193])
  })

  it('that is not valid, or whose GITS_CWRITER lies outside, is not carried out', () => {
    const board = mapped()
    const { gic } = board
    const creadr = board.creadr
    gic.writeMmio(gits.CWRITER, 4, 0x1000)
    expect([board.creadr, gic.readMmio(gits.CWRITER, 4)]).toEqual([creadr, 0x1000])
    board.send(its.int(1, 0))
    expect(board.drain()).toEqual([8192])
    gic.writeMmio(gits.CTLR, 4, 0)
    gic.writeMmio64(gits.CBASER, BigInt(place.queue))
    gic.writeMmio(gits.CTLR, 4, 1)
    gic.writeMmio(gits.CWRITER, 4, 0x40)
    expect(board.creadr).toBe(0)
  })

  it('hard case 37: memory that refuses a command, or what it needs, stalls it until software writes Retry', () => {
    const board = mapped()
    const { gic, ram } = board
    const at = board.creadr
    ram.refuses = (address) => address === place.devices + 8
    board.send(its.int(1, 0), its.int(1, 1))
    expect([board.creadr, board.irq()]).toEqual([at | STALLED, 0])
    expect(board.errors()).toEqual([{ kind: 'memory', access: 'read', address: place.devices + 8 }])
    // Without Retry nothing goes on, and with it the same command fails again.
    board.send(its.int(1, 1))
    gic.writeMmio(gits.CWRITER, 4, (at + 96) | RETRY)
    expect([board.creadr, board.errors().length]).toEqual([at | STALLED, 1])
    ram.refuses = () => false
    gic.writeMmio(gits.CWRITER, 4, (at + 96) | RETRY)
    expect([board.creadr, board.drain(), gic.readMmio(gits.CWRITER, 4)]).toEqual([
      at + 96,
      [8192, 8193],
      at + 96,
    ])
    ram.refuses = (address) => address === place.queue + at + 96
    board.send(its.int(1, 0))
    expect(board.creadr).toBe((at + 96) | STALLED)
    // The beginning of another queue is no stall.
    gic.writeMmio(gits.CTLR, 4, 0)
    gic.writeMmio64(gits.CBASER, gic.readMmio64(gits.CBASER))
    expect(board.creadr).toBe(0)
  })

  it('hard case 37: a command error is reported, and the queue goes on', () => {
    const board = mapped()
    const offset = board.creadr
    board.send(its.int(1, 31), its.int(1, 1))
    expect(board.errors()).toEqual([
      { kind: 'command', its: 0, name: 'INT_UNMAPPED_INTERRUPT', code: 0x01_0307, offset, stalled: false },
    ])
    expect(board.drain()).toEqual([8193])
  })

  it('by choice a command error stalls it, and Retry carries out what software has put there instead', () => {
    const board = mapped({ choices: { commandErrors: 'stall' } })
    const offset = board.creadr
    board.send(its.int(1, 31), its.int(1, 1))
    expect([board.creadr, board.drain()]).toEqual([offset | STALLED, []])
    expect(board.errors()).toMatchObject([{ name: 'INT_UNMAPPED_INTERRUPT', offset, stalled: true }])
    const [dw0 = 0n, dw1 = 0n] = its.int(1, 0)
    board.ram.doubleword(place.queue + offset, dw0)
    board.ram.doubleword(place.queue + offset + 8, dw1)
    board.gic.writeMmio(gits.CWRITER, 4, (offset + 64) | RETRY)
    expect([board.creadr, board.drain()]).toEqual([offset + 64, [8192, 8193]])
  })
})

describe('commands', () => {
  const spurious = [SPURIOUS, SPURIOUS]

  it('MAPD, MAPC and MAPTI map; INT makes pending and CLEAR takes it back', () => {
    const board = mapped()
    board.send(its.int(1, 1), its.int(1, 0))
    expect([board.hppi(0), board.hppi(1)]).toEqual([8192, SPURIOUS])
    board.send(its.clear(1, 0))
    expect(board.drain()).toEqual([8193])
  })

  it('hard case 35: MAPI is MAPTI with the EventID as INTID; INTID 1023 and those below 8192 are none', () => {
    const board = mapped()
    board.configure(8200, 0xa0).send(its.mapd(2, 13), its.mapi(2, 8200, 0), its.int(2, 8200))
    expect(board.drain()).toEqual([8200])
    expect(board.errors()).toEqual([])
    board.send(
      its.mapi(2, 1023, 0),
      its.mapi(2, 8191, 0),
      its.mapti(2, 0, 1023, 0),
      its.mapti(2, 0, 8191, 0),
      its.mapti(2, 0, 0, 0),
      its.mapti(2, 0, 0xffff_ffff, 0),
      its.mapi(2, 16_384, 0),
      its.mapi(3, 8200, 0),
    )
    expect(board.commandErrors()).toEqual([
      'MAPI_PHYSICALID_OOR',
      'MAPI_PHYSICALID_OOR',
      'MAPTI_PHYSICALID_OOR',
      'MAPTI_PHYSICALID_OOR',
      'MAPTI_PHYSICALID_OOR',
      'MAPTI_PHYSICALID_OOR',
      'MAPI_ID_OOR',
      'MAPI_UNMAPPED_DEVICE',
    ])
    expect(board.gic.inspectTables()[0].devices[1].events.map(({ eventId }) => eventId)).toEqual([8200])
  })

  it('the INTIDs of MAPTI are bounded by GICR_PROPBASER', () => {
    const board = new ItsBoard().booted(14)
    board.configure(16_383, 0xa0)
    board.send(its.mapti(1, 0, 16_384, 0), its.mapti(1, 1, 16_383, 0), its.int(1, 1))
    expect([board.commandErrors(), board.drain()]).toEqual([['MAPTI_PHYSICALID_OOR'], [16_383]])
  })

  it('hard case 36: MAPC with V=0 ignores RDbase', () => {
    const board = mapped()
    board.send(its.mapc(0, 0xffff, false), its.int(1, 0))
    expect([board.commandErrors(), board.irq()]).toEqual([['INT_UNMAPPED_COLLECTION'], 0])
    board.send(its.mapc(0, 1), its.int(1, 0))
    expect([board.hppi(0), board.hppi(1)]).toEqual([SPURIOUS, 8192])
  })

  it('MAPD with V=0 ignores Size and ITT_addr, and unmaps all events; what is pending stays', () => {
    const board = mapped()
    board.send(its.int(1, 0), its.mapd(1, 31, 0x50, false), its.int(1, 1))
    expect([board.commandErrors(), board.drain()]).toEqual([['INT_UNMAPPED_INTERRUPT'], [8192]])
    // The ITT is memory: given back as it was it has its events.
    board.send(its.mapd(1, 4), its.int(1, 1))
    expect(board.drain()).toEqual([8193])
  })

  it('MOVI moves the event and what is pending of it; INVALL, MOVI and MAPTI name collections that are mapped', () => {
    const board = mapped()
    board.send(its.int(1, 0), its.movi(1, 0, 1))
    expect([board.hppi(0), board.hppi(1)]).toEqual([SPURIOUS, 8192])
    board.drain(1)
    board.send(its.int(1, 0))
    expect(board.drain(1)).toEqual([8192])
    board.send(its.movi(1, 0, 7), its.invall(7), its.movi(1, 30, 0), its.int(1, 0))
    expect(board.commandErrors()).toEqual([
      'MOVI_UNMAPPED_COLLECTION',
      'INVALL_UNMAPPED_COLLECTION',
      'MOVI_UNMAPPED_INTERRUPT',
    ])
    expect(board.drain(1)).toEqual([8192])
  })

  it('hard case 39: MOVALL moves the LPIs that are pending at the source redistributor, and no others', () => {
    const board = new ItsBoard({ cpus: 3 }).booted()
    for (let n = 0; n < 3; n++) {
      board.configure(8192 + n, 0xa0).send(its.mapti(1, n, 8192 + n, n), its.int(1, n))
    }
    board.send(its.movall(1, 2))
    expect([0, 1, 2].map((cpu) => board.drain(cpu))).toEqual([[8192], [], [8193, 8194]])
    // The mappings are what they were.
    board.send(its.int(1, 1))
    expect(board.drain(1)).toEqual([8193])
    board.send(its.int(1, 0), its.movall(0, 0))
    expect(board.drain(0)).toEqual([8192])
  })

  it('MOVI and MOVALL to a redistributor that takes no LPIs leave pending what is', () => {
    const board = mapped()
    board.send(its.int(1, 0), its.int(1, 1))
    board.gic.writeMmio(board.redistributor(1), 4, 0)
    board.send(its.movall(0, 1), its.movi(1, 0, 1))
    expect(board.drain(0)).toEqual([8192, 8193])
  })

  it('INV and INVALL have a changed configuration take effect', () => {
    const board = mapped()
    board.send(its.int(1, 0), its.int(1, 1))
    board.configure(8192, 0xa0, false).configure(8193, 0x20)
    expect(board.hppi()).toBe(8192)
    board.send(its.inv(1, 0))
    expect(board.hppi()).toBe(8193)
    board.configure(8192, 0x10)
    board.send(its.invall(0))
    expect(board.drain()).toEqual([8192, 8193])
  })

  it('a queue of INVALLs reads the configuration of what is pending once', () => {
    const board = mapped({}, 3)
    board.send(its.int(1, 0), its.int(1, 1), its.int(1, 2))
    const count = 100
    for (let n = 0; n < count; n++) board.put(its.invall(0))
    board.configure(8193, 0x10)
    const before = board.ram.reads
    board.send(its.sync(0))
    // A command has 8 words, and a collection is one; three LPIs are pending.
    expect(board.ram.reads - before).toBe(8 * (count + 1) + count + 3)
    expect(board.drain()).toEqual([8193, 8192, 8194])
  })

  it('MOVALL with thousands pending at both redistributors, some of them the same', () => {
    const board = new ItsBoard({ cpus: 2, directLpis: true }).booted()
    const [odd, even] = [1, 0].map((first) => Array.from({ length: 3000 }, (_, n) => 8192 + first + 2 * n))
    for (const intid of [...odd, ...even]) board.configure(intid, 8 * (intid % 29))
    const set = (intid: number, cpu: number) => board.gic.writeMmio(board.redistributor(cpu) + 0x40, 4, intid)
    for (const intid of odd) set(intid, 0)
    for (const intid of [...even, ...odd.slice(0, 10)]) set(intid, 1)
    board.send(its.movall(0, 1))
    expect(board.hppi(0)).toBe(SPURIOUS)
    const rank = (intid: number) => (intid % 29) * 2 ** 24 + intid
    expect(board.drain(1)).toEqual([...odd, ...even].sort((a, b) => rank(a) - rank(b)))
  })

  it('DISCARD clears and unmaps', () => {
    const board = mapped()
    board.send(its.int(1, 0), its.discard(1, 0))
    expect([board.hppi(0), board.hppi(1)]).toEqual(spurious)
    board.send(its.int(1, 0), its.discard(1, 0))
    expect(board.commandErrors()).toEqual(['INT_UNMAPPED_INTERRUPT', 'DISCARD_UNMAPPED_INTERRUPT'])
  })

  it('of GICv4, and those that nobody has, are errors of a GICv3', () => {
    const board = mapped()
    const opcodes = Array.from({ length: 256 }, (_, opcode) => opcode)
    const known = [1, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15]
    const others = opcodes.filter((opcode) => !known.includes(opcode))
    for (const opcode of others) {
      const before = board.gic.hash()
      const creadr = board.creadr
      board.send([BigInt(opcode)])
      expect(board.creadr).toBe((creadr + 32) % 4096)
      const [error] = board.errors()
      expect(error).toMatchObject({ kind: 'command', code: 0x01_0001 | (opcode << 8) })
      expect(board.gic.hash()).not.toBe(before)
    }
    expect(others).toHaveLength(244)
  })

  it.each<[string, number, Command, object?]>([
    ['MAPD_DEVICE_OOR', 0x01_0801, its.mapd(8192, 4)],
    ['MAPD_DEVICE_OOR', 0x01_0801, its.mapd(0x1_0000, 4)],
    ['MAPD_ITTSIZE_OOR', 0x01_0802, its.mapd(1, 16)],
    ['MAPC_PROCNUM_OOR', 0x01_0902, its.mapc(0, 2)],
    ['MAPC_COLLECTION_OOR', 0x01_0903, its.mapc(8192, 0)],
    ['MAPTI_UNMAPPED_DEVICE', 0x01_0a04, its.mapti(2, 0, 8192, 0)],
    ['MAPTI_ID_OOR', 0x01_0a05, its.mapti(1, 32, 8192, 0)],
    ['MAPTI_PHYSICALID_OOR', 0x01_0a06, its.mapti(1, 0, 8191, 0)],
    ['MAPTI_COLLECTION_OOR', 0x01_0a03, its.mapti(1, 0, 8192, 8192)],
    ['MAPI_ID_OOR', 0x01_0b05, its.mapi(1, 8192, 0)],
    ['MOVI_UNMAPPED_INTERRUPT', 0x01_0107, its.movi(1, 9, 0)],
    ['MOVI_UNMAPPED_COLLECTION', 0x01_0109, its.movi(1, 0, 9)],
    ['INT_UNMAPPED_INTERRUPT', 0x01_0307, its.int(2, 0)],
    ['CLEAR_UNMAPPED_INTERRUPT', 0x01_0507, its.clear(1, 9)],
    ['INV_UNMAPPED_INTERRUPT', 0x01_0c07, its.inv(1, 9)],
    ['INVALL_UNMAPPED_COLLECTION', 0x01_0d09, its.invall(9)],
    ['MOVALL_PROCNUM_OOR', 0x01_0e01, its.movall(0, 2)],
    ['MOVALL_PROCNUM_OOR', 0x01_0e01, its.movall(2, 0)],
    ['DISCARD_UNMAPPED_INTERRUPT', 0x01_0f07, its.discard(1, 9)],
    ['SYNC_PROCNUM_OOR', 0x01_0502, its.sync(2)],
  ])('%s, %i: nothing changes but GITS_CREADR', (name, code, command) => {
    const board = mapped()
    board.send(its.int(1, 0))
    const tables = new Map(board.ram.words)
    const before = board.gic.snapshot()
    board.send(command)
    expect(board.errors()).toMatchObject([{ kind: 'command', name, code }])
    const changed = board.gic.diff(before).map(({ name: word }) => word)
    expect(new Set(changed)).toEqual(new Set(['its.GITS_CWRITER', 'its.GITS_CREADR']))
    const touched = [...board.ram.words].filter(([at, value]) => tables.get(at) !== value)
    expect(touched.every(([at]) => at >= place.queue && at < place.queue + 0x1000)).toBe(true)
  })

  it('with PTA = 1 name a redistributor by its address', () => {
    const board = new ItsBoard({ cpus: 2, its: [{ base: GITS, pta: 1 }] }).wake().enableLpis().enableIts()
    board.configure(8192, 0xa0)
    const rd = (cpu: number) => board.redistributor(cpu) >> 16
    board.send(its.mapc(0, rd(1)), its.mapd(1, 0), its.mapti(1, 0, 8192, 0), its.int(1, 0), its.sync(rd(1)))
    expect(board.hppi(1)).toBe(8192)
    board.send(its.movall(rd(1), rd(0)))
    expect(board.hppi(0)).toBe(8192)
    board.send(its.mapc(0, 0), its.mapc(0, 1), its.mapc(0, rd(0) + 1), its.sync(rd(2)))
    expect(board.commandErrors()).toEqual([
      'MAPC_PROCNUM_OOR',
      'MAPC_PROCNUM_OOR',
      'MAPC_PROCNUM_OOR',
      'SYNC_PROCNUM_OOR',
    ])
  })

  it('a redistributor above 4 GiB has its address, too', () => {
    const base = 0x12_3456_0000
    const board = new ItsBoard({
      cpus: 1,
      its: [{ base: GITS, pta: 1 }],
      gicr: [{ base, count: 1 }],
    })
    board.gic.writeMmio(base + 0x14, 4, 0)
    board.enableIts().send(its.mapc(0, base / 0x1_0000), its.mapc(1, (base % 2 ** 32) / 0x1_0000))
    expect(board.commandErrors()).toEqual(['MAPC_PROCNUM_OOR'])
    expect(board.gic.inspectTables()[0].collections).toEqual([{ collection: 0, cpu: 0 }])
  })
})

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
    expect(board.commandErrors()).toEqual([
      'MAPD_DEVICE_OOR',
      'MAPC_COLLECTION_OOR',
      'INT_UNMAPPED_INTERRUPT',
    ])
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

describe('messages', () => {
  it('of devices and of CPUs make LPIs pending; GITS_TRANSLATER takes 16 and 32 bits and DeviceID 0', () => {
    const board = mapped()
    board.send(its.mapd(0, 15), its.mapti(0, 1, 8193, 1), its.mapti(0, 0x8001, 8194, 1)).configure(8194, 0x20)
    board.gic.sendMsi(1, 0)
    board.gic.writeMmio(gits.TRANSLATER, 2, 1)
    expect([board.drain(0), board.drain(1)]).toEqual([[8192], [8193]])
    board.gic.writeMmio(gits.TRANSLATER, 4, 0x8001)
    expect([board.drain(1), board.gic.readMmio(gits.TRANSLATER, 4)]).toEqual([[8194], 0])
    board.gic.writeMmio(gits.TRANSLATER, 1, 1)
    board.gic.writeMmio(gits.TRANSLATER, 8, 1)
    board.gic.writeMmio(gits.TRANSLATER + 2, 2, 1)
    expect(board.drain(1)).toEqual([])
  })

  it('that cannot be translated are dropped, and the host hears why', () => {
    const board = mapped()
    board.send(its.mapti(1, 5, 8197, 3), its.mapc(3, 0, false))
    board.errors()
    board.gic.sendMsi(0xffff_ffff, 0)
    board.gic.sendMsi(9, 0)
    board.gic.sendMsi(1, 0xffff_ffff)
    board.gic.sendMsi(1, 7)
    board.gic.sendMsi(1, 5)
    board.ram.refuses = (address) => address >= place.itt(1)
    board.gic.sendMsi(1, 0)
    board.ram.refuses = () => false
    board.gic.writeMmio(board.redistributor(0), 4, 0)
    board.gic.sendMsi(1, 0)
    board.tablesOf(0, 13)
    board.gic.writeMmio(board.redistributor(0), 4, 1)
    board.gic.sendMsi(1, 0)
    board.gic.writeMmio(gits.CTLR, 4, 0)
    board.gic.sendMsi(1, 1)
    const msi = (deviceId: number, eventId: number, reason: string) => ({
      kind: 'msi',
      its: 0,
      deviceId,
      eventId,
      reason,
    })
    expect(board.errors()).toEqual([
      msi(0xffff_ffff, 0, 'device-out-of-range'),
      msi(9, 0, 'device-unmapped'),
      msi(1, 0xffff_ffff, 'event-out-of-range'),
      msi(1, 7, 'event-unmapped'),
      msi(1, 5, 'collection-unmapped'),
      { kind: 'memory', access: 'read', address: place.itt(1) },
      msi(1, 0, 'memory-refused'),
      msi(1, 0, 'lpis-disabled'),
      msi(1, 0, 'intid-out-of-range'),
      msi(1, 1, 'its-disabled'),
    ])
    expect(board.irq()).toBe(0)
  })

  it('need an ITS, and numbers of 32 bits', () => {
    expect(() => new Gic({ cpus: 1 }).sendMsi(0, 0)).toThrow('This GIC has no ITS')
    const { gic } = new ItsBoard()
    for (const [device, event] of [
      [-1, 0],
      [2 ** 32, 0],
      [0, 0.5],
      [0, 2 ** 32],
    ]) {
      expect(() => gic.sendMsi(device, event)).toThrow(VgicError)
    }
  })

  it('a host that answers an error with an access hears of each once and in order', () => {
    const heard: string[] = []
    const ram = new Ram()
    const gic: Gic = new Gic(
      { cpus: 1, its: [{ base: GITS }] },
      {
        memory: ram,
        onError: (event) => {
          if (event.kind !== 'msi') return
          heard.push(`${event.deviceId}`)
          if (event.deviceId < 3) gic.sendMsi(event.deviceId + 1, 0)
        },
      },
    )
    gic.sendMsi(1, 0)
    expect(heard).toEqual(['1', '2', '3'])
  })
})

describe('what kvm-unit-tests ask of an ITS', () => {
  it('EventID 255 fits into an ITT of one page of 4 KiB', () => {
    const board = new ItsBoard().booted(14)
    board.configure(8192 + 255, 0xa0)
    board.send(its.mapd(2, 7), its.mapti(2, 255, 8192 + 255, 0), its.int(2, 255), its.mapti(2, 256, 8192, 0))
    expect([board.drain(), board.commandErrors()]).toEqual([[8447], ['MAPTI_ID_OOR']])
    const itt = [...board.ram.words.keys()].filter((at) => at >= place.itt(2))
    expect(Math.max(...itt)).toBeLessThan(place.itt(2) + 0x1000)
  })

  it('an event of a collection that is not mapped gives nothing, and its LPI once the collection is', () => {
    const board = mapped()
    board.send(its.mapti(1, 4, 8196, 3)).configure(8196, 0xa0)
    board.gic.sendMsi(1, 4)
    expect([board.hppi(0), board.hppi(1)]).toEqual([SPURIOUS, SPURIOUS])
    board.send(its.mapc(3, 1), its.invall(3))
    board.gic.sendMsi(1, 4)
    expect(board.drain(1)).toEqual([8196])
  })

  it('state survives Gic.from(snapshot) at any point', () => {
    const script = (board: ItsBoard): (() => void)[] => [
      () => board.wake(),
      () => board.enableLpis(14),
      () => board.enableIts(),
      () => board.configure(8192, 0xa0).send(its.mapc(0, 0), its.mapc(1, 1)),
      () => board.send(its.mapd(1, 4)),
      () => board.send(its.mapti(1, 0, 8192, 0)),
      () => board.send(its.int(1, 0)),
      () => board.send(its.movi(1, 0, 1)),
      () => board.gic.writeMmio(board.redistributor(1), 4, 0),
      () => board.gic.writeMmio(board.redistributor(1), 4, 1),
      () => board.configure(8192, 0x40).send(its.inv(1, 0), its.sync(1)),
    ]
    const straight = new ItsBoard()
    for (const act of script(straight)) act()
    let board = new ItsBoard()
    for (let i = 0; i < script(board).length; i++) {
      script(board)[i]()
      const image = board.gic.snapshot()
      const last = board
      board = new ItsBoard({}, last.ram, (b) => Gic.from(image, b.host))
      Object.assign(board, { offset: Reflect.get(last, 'offset'), queueSize: Reflect.get(last, 'queueSize') })
      expect(board.gic.hash()).toBe(last.gic.hash())
    }
    expect(board.gic.hash()).toBe(straight.gic.hash())
    expect([straight.drain(1), board.drain(1)]).toEqual([[8192], [8192]])
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
