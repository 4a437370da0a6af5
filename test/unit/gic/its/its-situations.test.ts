/**
 * Situations from public reports about other projects that have LPIs and an ITS, restated, with the answer that is right
 * by the architecture. Each names where it comes from.
 */
import { ICC_DIR_EL1, ICC_RPR_EL1 } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICD, GITS, gits, ItsBoard, its, place, SPURIOUS, VALID } from './its-board.ts'

const CTLR_ENABLE_LPIS = 1

/** Event n of device 1 is LPI 8192 + n of CPU 0, priority 0xa0. */
function mapped(events = 2): ItsBoard {
  const board = new ItsBoard().booted()
  for (let n = 0; n < events; n++) board.configure(8192 + n, 0xa0).send(its.mapti(1, n, 8192 + n, 0))
  return board
}

describe('l01 (QEMU a120157b): RDbase equal to the number of PEs', () => {
  it('is a command error in MAPC, SYNC and MOVALL: nothing is mapped or moved, and the queue goes on', () => {
    const board = mapped()
    board.send(its.int(1, 0))
    const at = board.creadr
    board.send(its.mapc(5, 2), its.sync(2), its.movall(0, 2), its.movall(2, 0), its.int(1, 1))
    expect(board.commandErrors()).toEqual([
      'MAPC_PROCNUM_OOR',
      'SYNC_PROCNUM_OOR',
      'MOVALL_PROCNUM_OOR',
      'MOVALL_PROCNUM_OOR',
    ])
    expect(board.creadr).toBe(at + 5 * 32)
    const [{ collections }] = board.gic.inspectTables()
    expect(collections.map(({ collection }) => collection)).toEqual([0, 1])
    expect(board.drain(0)).toEqual([8192, 8193])
  })
})

describe('l02 (Zephyr PR 117277; Linux 07a3e9a7): the bits of EventIDs and DeviceIDs', () => {
  it('five events need MAPD.Size = 2: with 1, MAPTI of event 4 is an error', () => {
    const board = new ItsBoard().booted()
    const four = [0, 1, 2, 3, 4].map((event) => its.mapti(2, event, 8192 + event, 0))
    board.send(its.mapd(2, 1), ...four)
    expect(board.commandErrors()).toEqual(['MAPTI_ID_OOR'])
    board.send(its.mapd(2, 2), ...four)
    expect(board.commandErrors()).toEqual([])
  })

  it('a DeviceID beyond Devbits is an error, with a table of 2 M entries, too', () => {
    const board = new ItsBoard().wake().enableLpis()
    // 256 pages of 64 KiB.
    board.gic.writeMmio64(gits.BASER0, VALID | BigInt(place.devices) | 0x2ffn)
    board.queueOf(1)
    board.gic.writeMmio(gits.CTLR, 4, 1)
    board.send(its.mapd(0xffff, 0), its.mapd(0x1_0000, 0), its.mapd(0x1f_ffff, 0))
    expect(board.commandErrors()).toEqual(['MAPD_DEVICE_OOR', 'MAPD_DEVICE_OOR'])
    const wide = new ItsBoard({ its: [{ base: GITS, deviceBits: 21 }] })
    wide.gic.writeMmio64(gits.BASER0, VALID | BigInt(place.devices) | 0x2ffn)
    wide.queueOf(1)
    wide.gic.writeMmio(gits.CTLR, 4, 1)
    wide.send(its.mapd(0x1f_ffff, 0), its.mapd(0x20_0000, 0))
    expect(wide.commandErrors()).toEqual(['MAPD_DEVICE_OOR'])
  })
})

describe('l03 (Zephyr PR 115779): GITS_CBASER.Size is pages less one', () => {
  it.each([
    [1, 128],
    [2, 256],
  ])('a queue of %i pages wraps after %i commands', (pages, commands) => {
    const board = new ItsBoard().enableIts(pages)
    for (let n = 1; n < commands; n++) {
      board.send(its.mapc(0, 0))
      expect(board.creadr).toBe(32 * n)
    }
    board.send(its.mapc(1, 0))
    expect([board.creadr, board.errors()]).toEqual([0, []])
    board.send(its.mapc(2, 0))
    expect(board.creadr).toBe(32)
    expect(board.gic.inspectTables()[0].collections).toHaveLength(3)
  })
})

describe('l04 (hvisor PR 200): GITS_BASER<n> and GITS_CBASER', () => {
  it('stick; Type and Entry_Size are read only; unimplemented ones are zero; halves; GITS_CREADR is cleared', () => {
    const board = new ItsBoard().enableIts().send(its.mapc(0, 0))
    const { gic } = board
    gic.writeMmio(gits.CTLR, 4, 0)
    expect(board.creadr).toBe(32)
    const value = 0xb800_0000_5020_0603n
    gic.writeMmio64(gits.BASER0, value | 0x0700_0000_0000_0000n)
    gic.writeMmio64(gits.BASER1, value)
    gic.writeMmio64(GITS + 0x110, value)
    gic.writeMmio(gits.CBASER, 4, 0x5050_0407)
    gic.writeMmio(gits.CBASER + 4, 4, 0xb800_0000)
    expect([gits.BASER0, gits.BASER1, GITS + 0x110].map((at) => gic.readMmio64(at))).toEqual([
      0xb907_0000_5020_0603n,
      0xbc07_0000_5020_0603n,
      0n,
    ])
    expect([gic.readMmio64(gits.CBASER), board.creadr]).toEqual([0xb800_0000_5050_0407n, 0])
  })
})

describe('l06 (FreeBSD D40902, D44038): a second kernel finds EnableLPIs set', () => {
  it('the old tables rule until it is cleared; then the new ones, with the pending state of the new table', () => {
    const board = mapped(4)
    const { gic } = board
    const rd = board.redistributor(0)
    board.send(its.int(1, 0))
    expect(gic.readMmio(rd, 4) & CTLR_ENABLE_LPIS).toBe(1)
    // The second kernel writes its own tables without looking: in its configuration table all is disabled but LPI 8194.
    const [config, pending] = [0x5800_0000, 0x5810_0000]
    gic.writeMmio64(rd + 0x70, BigInt(config) | 0x78fn)
    gic.writeMmio64(rd + 0x78, BigInt(pending) | 0x780n)
    board.ram.byte(config + 2, 0x41)
    board.ram.words.set(pending + 1024, 0x4)
    board.send(its.int(1, 1))
    expect(board.hppi()).toBe(8192)
    gic.writeMmio(rd, 4, 0)
    // What was pending has gone to the first kernel's table.
    expect(board.ram.words.get(place.pending(0) + 1024)).toBe(0x3)
    gic.writeMmio(rd, 4, CTLR_ENABLE_LPIS)
    board.send(its.int(1, 0))
    expect([board.ack(), gic.readSysreg(0, ICC_RPR_EL1, 1)]).toEqual([8194, 0x40])
    board.eoi(8194)
    expect(board.drain()).toEqual([])
  })
})

describe('l07 (gem5 3093d65a): LPIs at the CPU interface', () => {
  it('compete by priority with PPIs and SPIs, have no active state, come again while served; DIR does nothing', () => {
    const board = mapped()
    const { gic } = board
    const sgiBase = board.redistributor(0) + 0x1_0000
    gic.writeMmio(sgiBase + 0x80, 4, 0xffff_ffff)
    gic.writeMmio(sgiBase + 0x100, 4, 0x0800_0000)
    gic.writeMmio(sgiBase + 0x400 + 27, 1, 0x80)
    gic.writeMmio(GICD + 0x84, 4, 0xffff_ffff)
    gic.writeMmio(GICD + 0x104, 4, 0x100)
    gic.writeMmio(GICD + 0x400 + 40, 1, 0xc0)
    gic.setPpi(0, 27, 1)
    gic.setSpi(40, 1)
    gic.sendMsi(1, 0)
    expect(board.ack()).toBe(27)
    gic.setPpi(0, 27, 0)
    board.eoi(27)
    expect(board.ack()).toBe(8192)
    gic.sendMsi(1, 0)
    gic.writeSysreg(0, ICC_DIR_EL1, 8192, 1)
    expect([board.irq(), board.hppi()]).toEqual([0, 8192])
    board.eoi(8192)
    expect(board.ack()).toBe(8192)
    board.eoi(8192)
    expect(board.ack()).toBe(40)
    board.eoi(40)
  })
})

describe('l08 (QEMU a686e85d; tf-issues 464): invalidations and pending events', () => {
  it('INV of what is not mapped is an error without effect', () => {
    const board = mapped()
    board.send(its.int(1, 0)).configure(8192, 0xa0, false)
    board.send(its.inv(1, 9), its.inv(2, 0), its.inv(0xffff, 0))
    expect(board.commandErrors()).toEqual(['INV_UNMAPPED_INTERRUPT', 'INV_UNMAPPED_DEVICE', 'INV_DEVICE_OOR'])
    expect(board.hppi()).toBe(8192)
  })

  it('MAPTI and MAPC over a pending event keep it where it is, and MOVALL moves it', () => {
    const board = mapped()
    board.send(its.int(1, 0), its.mapti(1, 0, 8193, 1), its.mapc(0, 1))
    expect([board.hppi(0), board.hppi(1)]).toEqual([8192, SPURIOUS])
    board.send(its.movall(0, 1))
    expect([board.hppi(0), board.hppi(1)]).toEqual([SPURIOUS, 8192])
    board.drain(1)
    board.send(its.int(1, 0))
    expect(board.drain(1)).toEqual([8193])
  })
})
