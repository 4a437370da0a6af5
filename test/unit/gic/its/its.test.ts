/** The ITS as a driver sees it: the command queue, commands and their errors, messages of devices. */
import { Gic, VgicError } from 'vgic'
import { describe, expect, it } from 'vitest'
import { type Command, GITS, gits, ItsBoard, its, mapped, place, Ram, SPURIOUS } from './its-board.ts'

const RETRY = 1
const STALLED = 1

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

  it('MAPTI takes the INTIDs that GICD_TYPER says there are; GICR_PROPBASER says which a redistributor takes', () => {
    const board = new ItsBoard().booted(14)
    board.configure(16_383, 0xa0).configure(16_384, 0x90)
    board.send(its.mapti(1, 0, 16_384, 0), its.mapti(1, 1, 16_383, 0), its.int(1, 0), its.int(1, 1))
    expect([board.commandErrors(), board.drain()]).toEqual([[], [16_383]])
    board.gic.writeMmio(board.redistributor(0), 4, 0)
    board.enableLpis(15).send(its.int(1, 0))
    expect([board.commandErrors(), board.drain()]).toEqual([[], [16_384]])
  })

  it('MAPTI of an event that is mapped replaces its INTID, also by one that its redistributor does not take', () => {
    const board = new ItsBoard().booted(14)
    board.configure(8192, 0xa0).send(its.mapti(1, 0, 8192, 0), its.mapti(1, 0, 16_384, 0), its.int(1, 0))
    expect([board.commandErrors(), board.drain()]).toEqual([[], []])
  })

  it('hard case 36: MAPC with V=0 ignores RDbase', () => {
    const board = mapped()
    board.send(its.mapc(0, 0xffff, false), its.int(1, 0))
    expect([board.commandErrors(), board.irq()]).toEqual([['INT_ITE_INVALID'], 0])
    board.send(its.mapc(0, 1), its.int(1, 0))
    expect([board.hppi(0), board.hppi(1)]).toEqual([SPURIOUS, 8192])
  })

  it('MAPD with V=0 ignores Size and ITT_addr, and unmaps all events; what is pending stays', () => {
    const board = mapped()
    board.send(its.int(1, 0), its.mapd(1, 31, 0x50, false), its.int(1, 1))
    expect([board.commandErrors(), board.drain()]).toEqual([['INT_UNMAPPED_DEVICE'], [8192]])
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

  describe('MOVALL to a redistributor with a configuration of its own', () => {
    /** CPU 1 is in another Aff3; of the 3000 LPIs that are pending on CPU 0, some are on CPU 1 already. */
    const board = (bits = 16): ItsBoard => {
      const made = new ItsBoard({ cpus: 2, affinities: [0, 0x0100_0000], directLpis: true }).wake()
      made.tablesOf(0)
      made.tablesOf(1, bits)
      for (const cpu of [0, 1]) made.gic.writeMmio(made.redistributor(cpu), 4, 1)
      for (const intid of moved) made.configure(intid, 8 * (intid % 29))
      for (const intid of moved) made.gic.writeMmio(made.redistributor(0) + 0x40, 4, intid)
      for (const intid of moved.slice(0, 10)) made.gic.writeMmio(made.redistributor(1) + 0x40, 4, intid)
      return made.enableIts()
    }
    const moved = Array.from({ length: 3000 }, (_, n) => 8192 + 5 * n)
    const rank = (intid: number) => (intid % 29) * 2 ** 24 + intid
    const inOrder = (intids: readonly number[]) => [...intids].sort((a, b) => rank(a) - rank(b))

    it('moves all', () => {
      const b = board().send(its.movall(0, 1))
      expect([b.hppi(0), b.irq(0)]).toEqual([SPURIOUS, 0])
      expect(b.drain(1)).toEqual(inOrder(moved))
    })

    it('moves what there is room for, and leaves the rest', () => {
      const b = board(14).send(its.movall(0, 1))
      expect(b.drain(0)).toEqual(inOrder(moved.filter((intid) => intid >= 0x4000)))
      expect(b.drain(1)).toEqual(inOrder(moved.filter((intid) => intid < 0x4000)))
    })

    it.each([16, 14])('a queue of them reads a configuration byte once, with %i bits', (bits) => {
      const b = board(bits)
      const count = 100
      for (let n = 0; n < count; n += 2) for (const way of [its.movall(0, 1), its.movall(1, 0)]) b.put(way)
      const before = b.ram.reads
      b.send(its.movall(0, 1))
      const words = 8 * (count + 1)
      expect(b.ram.reads - before).toBeLessThanOrEqual(words + moved.length)
    })
  })

  it('MOVALL to a redistributor of fewer INTIDs moves those that it takes, and again what comes after', () => {
    const board = new ItsBoard({ cpus: 2, directLpis: true }).booted()
    const set = (intid: number, cpu: number) => board.gic.writeMmio(board.redistributor(cpu) + 0x40, 4, intid)
    board.gic.writeMmio(board.redistributor(1), 4, 0)
    board.tablesOf(1, 14)
    board.gic.writeMmio(board.redistributor(1), 4, 1)
    const below = [8192, 8200, 12_000, 16_383]
    const above = [16_384, 16_385, 40_000, 65_535]
    for (const [n, intid] of [...below, ...above].entries()) {
      board.configure(intid, 8 * (16 - n))
      set(intid, 0)
    }
    board.configure(8199, 0)
    set(8199, 1)
    for (let n = 0; n < 3; n++) board.put(its.movall(0, 1))
    board.send(its.movall(0, 1))
    expect([board.hppi(0), board.hppi(1)]).toEqual([65_535, 8199])
    board.send(its.movall(1, 0), its.movall(0, 1))
    expect(board.drain(1)).toEqual([8199, ...[...below].reverse()])
    expect(board.drain(0)).toEqual([...above].reverse())
  })

  it('MOVALL to another group of redistributors: the LPIs have the configuration that is cached there, or in its table', () => {
    const board = new ItsBoard({ cpus: 2, directLpis: true, affinities: [0, 0x0100_0000] }).booted()
    const set = (intid: number, cpu: number) => board.gic.writeMmio(board.redistributor(cpu) + 0x40, 4, intid)
    for (const intid of [8192, 8193, 9000]) {
      board.configure(intid, intid === 9000 ? 0x80 : 0x40)
      set(intid, 0)
    }
    board.configure(8192, 0xc0)
    set(8192, 1)
    board.configure(9000, 0x10)
    const before = board.ram.reads
    board.send(its.movall(0, 1), its.movall(1, 0), its.movall(0, 1))
    // Three commands, and the two bytes that were not known there.
    expect(board.ram.reads - before).toBe(3 * 8 + 2)
    expect(board.hppi(0)).toBe(SPURIOUS)
    expect(board.drain(1)).toEqual([9000, 8193, 8192])
  })

  it('INV twice of an LPI that is pending at several redistributors: the byte that was read counts at each', () => {
    const board = new ItsBoard({ cpus: 4, directLpis: true }).booted()
    board
      .configure(8192, 0xa0)
      .configure(8193, 0x80)
      .send(its.mapti(1, 0, 8192, 0))
    for (let cpu = 0; cpu < 4; cpu++)
      for (const intid of [8192, 8193]) board.gic.writeMmio(board.redistributor(cpu) + 0x40, 4, intid)
    board.configure(8192, 0x20)
    const before = board.ram.reads
    board.send(its.inv(1, 0), its.inv(1, 0))
    // Of each a command, the device, the event and its collection; and the byte.
    expect(board.ram.reads - before).toBe(2 * (8 + 2 + 2 + 1 + 1))
    expect([0, 1, 2, 3].map((cpu) => board.drain(cpu))).toEqual(Array(4).fill([8192, 8193]))
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
    ['MAPTI_DEVICE_OOR', 0x01_0a01, its.mapti(8192, 0, 8192, 0)],
    ['MAPTI_UNMAPPED_DEVICE', 0x01_0a04, its.mapti(2, 0, 8192, 0)],
    ['MAPTI_ID_OOR', 0x01_0a05, its.mapti(1, 32, 8192, 0)],
    ['MAPTI_PHYSICALID_OOR', 0x01_0a06, its.mapti(1, 0, 8191, 0)],
    ['MAPTI_COLLECTION_OOR', 0x01_0a03, its.mapti(1, 0, 8192, 8192)],
    ['MAPI_ID_OOR', 0x01_0b05, its.mapi(1, 8192, 0)],
    ['MOVI_UNMAPPED_INTERRUPT', 0x01_0107, its.movi(1, 9, 0)],
    ['MOVI_UNMAPPED_COLLECTION', 0x01_0109, its.movi(1, 0, 9)],
    ['MOVI_COLLECTION_OOR', 0x01_0103, its.movi(1, 0, 8192)],
    ['INT_UNMAPPED_DEVICE', 0x01_0304, its.int(2, 0)],
    ['INT_ID_OOR', 0x01_0305, its.int(1, 32)],
    ['INT_UNMAPPED_INTERRUPT', 0x01_0307, its.int(1, 9)],
    ['INT_ITE_INVALID', 0x01_0310, its.int(1, 2)],
    ['CLEAR_DEVICE_OOR', 0x01_0501, its.clear(0x1_0000, 0)],
    ['CLEAR_ID_OOR', 0x01_0505, its.clear(1, 32)],
    ['CLEAR_ITE_INVALID', 0x01_0510, its.clear(1, 2)],
    ['CLEAR_UNMAPPED_INTERRUPT', 0x01_0507, its.clear(1, 9)],
    ['INV_DEVICE_OOR', 0x01_0c01, its.inv(8192, 0)],
    ['INV_UNMAPPED_DEVICE', 0x01_0c04, its.inv(2, 0)],
    ['INV_ID_OOR', 0x01_0c05, its.inv(1, 32)],
    ['INV_UNMAPPED_INTERRUPT', 0x01_0c07, its.inv(1, 9)],
    ['INV_ITE_INVALID', 0x01_0c10, its.inv(1, 2)],
    ['INVALL_COLLECTION_OOR', 0x01_0d03, its.invall(8192)],
    ['INVALL_UNMAPPED_COLLECTION', 0x01_0d09, its.invall(9)],
    ['MOVALL_PROCNUM_OOR', 0x01_0e01, its.movall(0, 2)],
    ['MOVALL_PROCNUM_OOR', 0x01_0e01, its.movall(2, 0)],
    ['DISCARD_DEVICE_OOR', 0x01_0f01, its.discard(8192, 0)],
    ['DISCARD_ID_OOR', 0x01_0f05, its.discard(1, 32)],
    ['DISCARD_UNMAPPED_INTERRUPT', 0x01_0f07, its.discard(1, 9)],
    ['SYNC_PROCNUM_OOR', 0x01_0502, its.sync(2)],
  ])('%s, %i: nothing changes but GITS_CREADR', (name, code, command) => {
    const board = mapped()
    // Event 2 is in a collection that goes to no redistributor.
    board.send(its.int(1, 0), its.mapti(1, 2, 8194, 9))
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
