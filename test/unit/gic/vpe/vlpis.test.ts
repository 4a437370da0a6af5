/** vLPIs: INT, CLEAR, DISCARD and VMOVI of them, and when a changed configuration byte acts. */
import { describe, expect, it, vi } from 'vitest'
import { DEVICE, NONE, place, VALID, type VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const VINVALL = 0x2dn
const versions = ['4.0', '4.1'] as const

const mapped = (options: Parameters<typeof vpeBoard>[0] = {}): VpeBoard =>
  vpeBoard(options)
    .mapVpe(1, 0)
    .mapVpe(2, 0)
    .mapVlpi(0, 1, VLPI)
    .mapVlpi(1, 1, VLPI + 1, { priority: 0x40 })
    .mapVlpi(2, 2, VLPI)

describe.each(versions)('a vLPI on GICv%s', (version) => {
  const board = (): VpeBoard => mapped({ version })

  it('comes by INT and by a device’s message, with the priority of its byte (100)', () => {
    const b = board().load(1, 0).int(0)
    b.gic.sendMsi(1, 1)
    expect(b.ack()).toBe(VLPI + 1)
    expect(b.running()).toBe(0x40)
    expect(b.ack()).toBe(1023)
    b.eoi(VLPI + 1)
    expect(b.ack()).toBe(VLPI)
    expect(b.running()).toBe(0xa0)
  })

  it('is an edge without an active state: again before its EOI, it is pending at once (109)', () => {
    const b = board().load(1, 0).int(0).int(0)
    expect(b.ack()).toBe(VLPI)
    b.int(0)
    expect([b.hppi(), b.virq()]).toEqual([VLPI, 0])
    b.eoi(VLPI)
    expect(b.virq()).toBe(1)
    expect(b.drain()).toEqual([VLPI])
  })

  it.each(['clear', 'discard'] as const)('is taken away by %s, resident or not (108)', (by) => {
    const b = board().load(1, 0).int(0).int(1)
    b[by](1)
    expect([b.virq(), b.hppi()]).toEqual([1, VLPI])
    b.leave(0)
    b[by](0)
    expect(b.inTable(1, VLPI)).toBe(false)
    b.load(1, 0)
    expect(b.drain()).toEqual([])
    b.int(0)
    expect(b.errors()).toEqual(by === 'clear' ? [] : ['INT_UNMAPPED_INTERRUPT'])
  })

  it('is not taken away by CLEAR once it was acknowledged', () => {
    const b = board().load(1, 0).int(0)
    expect(b.ack()).toBe(VLPI)
    b.clear(0)
    expect(b.running()).toBe(0xa0)
  })

  it('goes by VMOVI to another vPE, with its pending state (106)', () => {
    for (const [loaded, expected] of [
      [0, []],
      [1, []],
      [2, [VLPI + 1]],
    ] as const) {
      const b = board()
        .int(1)
        .configure(2, VLPI + 1)
      if (loaded !== 0) b.load(loaded, 0)
      b.vmovi(1, 2).vsync(2)
      expect(b.errors()).toEqual([])
      expect(loaded === 0 ? [] : b.drain()).toEqual(expected)
      if (loaded !== 0) b.leave(0)
      b.load(2, 0)
      expect(b.drain()).toEqual(loaded === 2 ? [] : [VLPI + 1])
      b.int(1)
      expect(b.drain()).toEqual([VLPI + 1])
    }
  })

  it('that goes by VMOVI to its own vPE stays pending', () => {
    const b = board().int(0).vmovi(0, 1).load(1, 0)
    expect(b.drain()).toEqual([VLPI])
  })

  it('does not go by VMOVI to a vPE that is not mapped', () => {
    const b = board().int(0).vmovi(0, 3)
    expect(b.errors()).toEqual(['VMOVI_CMDVCPU_INVALID'])
    b.load(1, 0)
    expect(b.drain()).toEqual([VLPI])
  })

  it.each([
    ['VMOVI to another vPE', (b: VpeBoard) => b.vmovi(0, 2), place.itt(0, DEVICE), 2],
    ['DISCARD', (b: VpeBoard) => b.discard(0), place.virtualPending(1), undefined],
  ])('is where it was while memory refuses to write what %s needs, which then goes on', (_, send, at, to) => {
    const b = board().configure(2, VLPI).int(0)
    const { ram } = b
    const write = ram.write32.bind(ram)
    let refuses = true
    Object.assign(ram, {
      write32: (address: number, value: number) =>
        refuses && address >= at && address < at + 0x1000 ? false : write(address, value),
    })
    send(b)
    expect([b.isIdle(), b.inTable(1, VLPI)]).toEqual([false, true])
    refuses = false
    b.retry()
    expect([b.isIdle(), b.errors()]).toEqual([true, []])
    expect([1, 2].filter((vpe) => b.inTable(vpe, VLPI))).toEqual(to === undefined ? [] : [to])
  })

  it('is read once for a queue of VINVALLs (102)', () => {
    const b = board().load(1, 0).int(0).int(1)
    b.configure(1, VLPI + 1, 0x20)
    const read32 = vi.spyOn(b.ram, 'read32')
    for (let n = 0; n < 50; n++) b.put(0, VINVALL, 1n << 32n)
    const before = read32.mock.calls.length
    b.vinvall(1)
    const bytes = read32.mock.calls
      .slice(before)
      .filter(([address]) => address >>> 16 === place.virtualConfiguration(1) >>> 16)
    expect(bytes.length).toBe(2)
    expect(b.drain()).toEqual([VLPI + 1, VLPI])
  })

  const invalidations: Readonly<Record<string, (b: VpeBoard) => unknown>> = {
    INV: (b) => b.inv(0).vsync(1),
    VINVALL: (b) => b.vinvall(1).vsync(1),
    ...(version === '4.1' && {
      GICR_INVLPIR: (b: VpeBoard) => b.invlpir(0, 1, VLPI),
      GICR_INVALLR: (b: VpeBoard) => b.invallr(0, 1),
    }),
  }

  it.each(Object.entries(invalidations))('has its changed byte act by %s (101 to 104)', (_, invalidate) => {
    const b = board().load(1, 0).int(0)
    b.configure(1, VLPI, 0xa0, false)
    invalidate(b)
    expect(b.virq()).toBe(0)
    b.configure(1, VLPI, 0x20)
    invalidate(b)
    expect(b.virq()).toBe(1)
    expect(b.ack()).toBe(VLPI)
    expect(b.running()).toBe(0x20)
    b.configure(1, VLPI, 0xa0, false)
    invalidate(b)
    expect(b.running()).toBe(0x20)
    b.eoi(VLPI).leave(0)
    // Not resident: the byte is read when the vPE is again.
    b.configure(1, VLPI).int(0)
    invalidate(b)
    b.load(1, 0)
    expect(b.drain()).toEqual([VLPI])
    expect(b.errors()).toEqual([])
  })

  it('is found among 57,344 by its INTID, at the ends too', () => {
    const b = board()
    const intids = [8192, 8223, 8224, 16_383, 16_384, 40_000, 65_534, 65_535]
    for (const [n, intid] of intids.entries()) b.mapVlpi(8 + n, 1, intid).int(8 + n)
    b.load(1, 0)
    expect(b.drain()).toEqual(intids)
    for (const n of intids.keys()) b.int(8 + n)
    expect(b.leave(0)).toBe(true)
    for (const intid of intids) expect(b.inTable(1, intid)).toBe(true)
  })

  it('comes through a queue that wraps, by commands told of all at once', () => {
    const b = board().load(1, 0)
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 100; n++) b.put(0, (1n << 32n) | (n % 2 === 0 ? 0x03n : 0x04n))
      b.int(1)
      expect([b.isIdle(), b.drain()]).toEqual([true, [VLPI + 1]])
    }
  })
})

describe('GICR_INVLPIR and GICR_INVALLR of GICv4.1', () => {
  /** A physical LPI and a vLPI are pending, and disabled where no GIC has looked yet. */
  const pendingOfBoth = () => {
    const board = mapped().load(1, 0)
    board
      .configureLpi(8300)
      .send(0, (1n << 32n) | 0x0an, (8300n << 32n) | 9n, 0n)
      .int(9)
      .int(0)
    expect([board.gic.line(0, 'irq'), board.virq()]).toEqual([1, 1])
    return board.configureLpi(8300, 0xa0, false).configure(1, VLPI, 0xa0, false)
  }

  it('act on a vPE where it is mapped, and not elsewhere', () => {
    const board = mapped().load(1, 0).int(0)
    board.configure(1, VLPI, 0xa0, false).invlpir(1, 1, VLPI).invallr(1, 1)
    expect(board.virq()).toBe(1)
    board.invlpir(0, 2, VLPI).invallr(0, 2)
    expect(board.virq()).toBe(1)
    board.invlpir(0, 1, VLPI)
    expect(board.virq()).toBe(0)
  })

  it('with V = 0 act on physical LPIs, whatever the vPEID says (105)', () => {
    const board = pendingOfBoth()
    board.gic.writeMmio64(board.rd(0) + 0xa0, (1n << 32n) | 8300n)
    expect([board.gic.line(0, 'irq'), board.virq()]).toEqual([0, 1])
    board.configureLpi(8300)
    board.gic.writeMmio64(board.rd(0) + 0xb0, 1n << 32n)
    expect([board.gic.line(0, 'irq'), board.virq()]).toEqual([1, 1])
    expect(board.gic.readMmio(board.rd(0) + 0xc0, 4) & 1).toBe(0)
  })

  it('written with 32 bits have zeros above: V = 0; their upper halves alone do nothing', () => {
    const board = pendingOfBoth()
    for (const upper of [0xa4, 0xb4]) board.gic.writeMmio(board.rd(0) + upper, 4, 0x8000_0001)
    expect([board.gic.line(0, 'irq'), board.virq()]).toEqual([1, 1])
    board.gic.writeMmio(board.rd(0) + 0xa0, 4, 8300)
    expect([board.gic.line(0, 'irq'), board.virq()]).toEqual([0, 1])
    board.configureLpi(8300)
    board.gic.writeMmio(board.rd(0) + 0xb0, 4, 0)
    expect([board.gic.line(0, 'irq'), board.virq()]).toEqual([1, 1])
  })

  it('of vPEs and INTIDs that are not there do nothing', () => {
    const board = mapped().load(1, 0).int(0)
    for (const vpe of [0, 3, 0xffff]) board.invlpir(0, vpe, VLPI).invallr(0, vpe)
    for (const intid of [0, 1023, 8191, 65_536, 0xffff_ffff]) board.invlpir(0, 1, intid)
    expect([board.virq(), board.errors()]).toEqual([1, []])
  })
})

describe('a message for a vLPI', () => {
  it('that no vPE has room for is dropped, and the host hears why', () => {
    const board = vpeBoard().mapVpe(1, 0, { size: 13 }).mapVlpi(0, 1, 20_000)
    board.errors()
    board.gic.sendMsi(1, 0)
    expect(board.dropped()).toEqual(['intid-out-of-range'])
    board.load(1, 0).gic.sendMsi(1, 0)
    expect(board.dropped()).toEqual(['intid-out-of-range'])
  })

  it('that memory refuses is an event, and nothing worse', () => {
    const refused = vpeBoard().mapVpe(1, 0).mapVlpi(0, 1, VLPI)
    const { ram } = refused
    const at = place.virtualPending(1)
    const read = ram.read32.bind(ram)
    let refuses = true
    Object.assign(ram, {
      read32: (address: number) =>
        refuses && address >= at && address < at + 0x1_0000 ? undefined : read(address),
    })
    refused.gic.sendMsi(1, 0)
    refused.load(1, 0).leave(0)
    refuses = false
    refused.int(0).load(1, 0)
    expect(refused.drain()).toEqual([VLPI])
  })
})

describe('what a redistributor has of a resident vPE', () => {
  it.each([0, 1])(
    'is invalidated by GICR_INVLPIR for one vLPI, and by GICR_INVALLR for all: vPE %i',
    (vpe) => {
      const board = vpeBoard({ version: '4.1' }).mapVpe(vpe, 0)
      for (const event of [0, 1, 2]) board.mapVlpi(event, vpe, 8192 + event, { enabled: false })
      board.wait().load(vpe, 0)
      for (const event of [0, 1, 2]) board.int(event)
      for (const event of [0, 1, 2]) board.configure(vpe, 8192 + event)
      expect(board.wait().drain()).toEqual([])
      expect(board.invlpir(0, vpe, 8193).wait().drain()).toEqual([8193])
      expect(
        board
          .invlpir(0, vpe + 1, 8192)
          .wait()
          .drain(),
      ).toEqual([])
      expect(
        board
          .invallr(0, vpe + 1)
          .wait()
          .drain(),
      ).toEqual([])
      expect(board.invallr(0, vpe).wait().drain()).toEqual([8192, 8194])
    },
  )

  it('is configured by a table above 4 GiB', () => {
    const vconf = 0x12_4301_0000
    const board = vpeBoard({ version: '4.1' })
    board.ram.byte(vconf, 0x41)
    board.send(
      0,
      0x329n | BigInt(vconf),
      (1n << 32n) | BigInt(NONE),
      VALID,
      BigInt(place.virtualPending(1)) | 15n,
    )
    board.mapVlpi(0, 1, 8192, { enabled: false }).wait().load(1, 0).int(0).wait()
    expect(board.ack()).toBe(8192)
    expect(board.running()).toBe(0x40)
  })

  it('is no vLPI past VPT_size: its bit stays in the table', () => {
    const board = vpeBoard({ version: '4.1' })
    const table = place.virtualPending(1)
    for (const vintid of [8192, 16_383, 16_384]) {
      board.ram.setBit(table, vintid)
      board.configure(1, vintid)
    }
    board.mapVpe(1, 0, { ptz: false, size: 13 }).wait().load(1, 0)
    expect(board.drain()).toEqual([8192, 16_383])
    board.leave(0)
    expect([8192, 16_383, 16_384].map((vintid) => board.inTable(1, vintid))).toEqual([false, false, true])
  })

  it('is what software has left in the table, and with PTZ nothing', () => {
    for (const ptz of [false, true]) {
      const board = vpeBoard({ version: '4.1' })
      for (const vintid of [8192, 8223, 8224, 65_535]) {
        board.ram.setBit(place.virtualPending(1), vintid)
        board.configure(1, vintid)
      }
      board.mapVpe(1, 0, { ptz }).wait().load(1, 0)
      expect(board.drain()).toEqual(ptz ? [] : [8192, 8223, 8224, 65_535])
    }
  })
})
