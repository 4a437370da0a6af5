/** Mapping vPEs: VMAPP and VMAPTI, the tables that an ITS and redistributors keep of vPEs, and what is out of range. */
import { describe, expect, it } from 'vitest'
import { NONE, place, VALID, VpeBoard, type VpeMapping, vpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const versions = ['4.0', '4.1'] as const

/** A board with vPE 1 on CPU 0 and event 0 as its first vLPI. */
const mapped = (version: '4.0' | '4.1', options: VpeMapping = {}): VpeBoard =>
  vpeBoard({ version }).mapVpe(1, 0, options).mapVlpi(0, 1, VLPI)

describe.each(versions)('a vPE on GICv%s', (version) => {
  it('has its vLPIs pending when it becomes resident, and nothing of before VMAPP', () => {
    const board = mapped(version).int(0).load(1, 0)
    expect(board.errors()).toEqual([])
    expect(board.drain()).toEqual([VLPI])
  })

  it('keeps what is pending in its table, whose bit n is vLPI n, after VMAPP with V = 0 (82)', () => {
    const board = mapped(version).int(0).load(1, 0)
    board.leave(0)
    board.unmapVpe(1)
    expect(board.inTable(1, VLPI)).toBe(true)
    board.mapVpe(1, 1, { ptz: false }).load(1, 1)
    expect(board.drain(1)).toEqual([VLPI])
  })

  it('takes what software has written into its table (81)', () => {
    const board = vpeBoard({ version })
    for (const vlpi of [8192, 8200, 9000, 65_535]) {
      board.ram.setBit(place.virtualPending(1), vlpi)
      board.configure(1, vlpi)
    }
    board.mapVpe(1, 0, { ptz: false })
    if (version === '4.0') board.loadUnbelieved(1, 0)
    else board.load(1, 0)
    expect(board.drain()).toEqual([8192, 8200, 9000, 65_535])
  })

  it('that is not mapped takes nothing, and commands that name it are errors (86, 89)', () => {
    const board = vpeBoard({ version }).mapVlpi(0, 1, VLPI)
    expect(board.errors()).toEqual(['INV_ITEVCPU_INVALID'])
    board.int(0).clear(0).discard(0).vinvall(1).vsync(1).vmovp(1, 1)
    expect(board.errors().map((name) => name.split('_')[0])).toEqual([
      'INT',
      'CLEAR',
      'DISCARD',
      'VINVALL',
      'VSYNC',
      'VMOVP',
    ])
    expect(board.gic.sendMsi(1, 0)).toBeUndefined()
    expect(board.dropped()).toEqual(['vpe-unmapped'])
    // The event is mapped all the same: DISCARD was an error.
    board.mapVpe(1, 0).int(0).load(1, 0)
    expect(board.drain()).toEqual([VLPI])
  })

  it('that is unmapped no longer takes an event that is still mapped to it, until it is mapped again', () => {
    const board = mapped(version).unmapVpe(1).int(0)
    expect(board.errors()).toEqual(['INT_ITEVCPU_INVALID'])
    board.mapVpe(1, 0).load(1, 0)
    expect(board.drain()).toEqual([])
    board.int(0)
    expect(board.drain()).toEqual([VLPI])
  })

  it.each([
    [13, 16_384],
    [14, 32_768],
  ])('with a VPT_size of %i has vLPIs below %i', (size, end) => {
    const board = vpeBoard({ version })
      .mapVpe(1, 0, { size })
      .mapVlpi(0, 1, end - 1)
      .mapVlpi(1, 1, end)
    board.errors()
    board.int(0).int(1)
    expect([board.inTable(1, end - 1), board.inTable(1, end)]).toEqual([true, false])
    board.load(1, 0).int(0).int(1)
    expect(board.drain()).toEqual([end - 1])
    board.discard(1)
    expect(board.errors()).toEqual(['DISCARD_UNMAPPED_INTERRUPT'])
    board.mapVpe(2, 0).vmovi(1, 2)
    expect(board.errors()).toEqual(['VMOVI_VIRTUALID_OOR'])
  })

  it('is not moved a vLPI that it has no room for', () => {
    const board = mapped(version).mapVlpi(1, 1, 40_000).mapVpe(2, 0, { size: 13 }).int(1).vmovi(1, 2)
    expect(board.errors()).toEqual(['VMOVI_VIRTUALID_OOR'])
    board.load(1, 0)
    expect(board.drain()).toEqual([40_000])
  })

  it('with a VPT_size of fewer than 14 bits has no vLPIs', () => {
    const board = vpeBoard({ version }).mapVpe(1, 0, { size: 12 }).mapVlpi(0, 1, VLPI)
    board.errors()
    board.int(0).load(1, 0).int(0)
    expect(board.errors()).toEqual([])
    expect([board.drain(), board.inTable(1, VLPI)]).toEqual([[], false])
  })

  it.each(version === '4.0' ? [16, 31, 0x2d, 0xff] : [17, 31, 0x2d, 0xff])(
    'is not mapped with a VPT_size of %i',
    (size) => {
      const board = vpeBoard({ version }).mapVpe(1, 0, { size })
      expect(board.errors()).toEqual(['VMAPP_VPTSIZE_OOR'])
      board.vsync(1)
      expect(board.errors()).toEqual(['VSYNC_VCPU_INVALID'])
    },
  )

  it('is not mapped to a redistributor that is not there', () => {
    const board = vpeBoard({ version }).mapVpe(1, 2)
    expect(board.errors()).toEqual(['VMAPP_PROCNUM_OOR'])
  })

  it('is not mapped past the end of the table, nor with more bits than vPEIDs have (23)', () => {
    const board = vpeBoard({ version, vpeBits: 12 })
    board.mapVpe(0xfff, 0, { vpt: place.virtualPending(1) })
    // 64 KiB of entries of 32 bytes.
    expect(board.errors()).toEqual(version === '4.1' ? ['VMAPP_VCPU_OOR'] : [])
    board.mapVpe(0x1000, 0, { vpt: place.virtualPending(1) })
    expect(board.errors()).toEqual(['VMAPP_VCPU_OOR'])
    board.mapVlpi(0, 0x1000, VLPI)
    expect(board.errors()).toEqual(['VMAPTI_VCPU_OOR', 'INV_UNMAPPED_INTERRUPT'])
    board.vsync(0x1000).vsync(2)
    expect(board.errors()).toEqual(['VSYNC_VCPU_OOR', 'VSYNC_VCPU_INVALID'])
  })

  it('of a level 1 entry that is not valid is not mapped; once it is valid the same command works (21)', () => {
    const board = new VpeBoard({ version })
    const { gic, ram } = board
    const table = 0x4600_0000
    const page = 0x4601_0000
    // Indirect, pages of 4 KiB: vPE 200 is in page 1 or 6.
    gic.writeMmio64(board.gits(0x110), VALID | (1n << 62n) | BigInt(table))
    board.booted()
    const shared = version === '4.1'
    gic.writeMmio(board.gits(0), 4, 0)
    gic.writeMmio64(board.gits(0x110), VALID | (1n << 62n) | BigInt(table))
    gic.writeMmio(board.gits(0), 4, 1)
    if (shared)
      for (const cpu of [0, 1]) gic.writeMmio64(board.vlpi(cpu, 0x70), VALID | (1n << 55n) | BigInt(table))
    const at = table + 8 * Math.floor(200 / (4096 / (shared ? 32 : 8)))
    board.mapVlpi(0, 200, VLPI)
    // The vPEID is in range, so the event may be mapped already.
    expect(board.errors()).toEqual(['INV_ITEVCPU_INVALID'])
    board.mapVpe(200, 0, { vpt: place.virtualPending(1) })
    expect(board.errors()).toEqual(['VMAPP_VCPU_OOR'])
    ram.doubleword(at, VALID | BigInt(page))
    board.mapVpe(200, 0, { vpt: place.virtualPending(1) }).int(0)
    expect(board.errors()).toEqual([])
    expect(board.inTable(1, VLPI)).toBe(true)
  })

  it.each([
    [0n, 12],
    [1n, 14],
    [2n, 16],
  ])('is in a flat table of pages with Page_Size %i as far as it goes (19)', (pageSize, shift) => {
    const board = new VpeBoard({ version }).booted()
    const { gic } = board
    gic.writeMmio(board.gits(0), 4, 0)
    gic.writeMmio64(board.gits(0x110), VALID | (pageSize << 8n) | 1n | BigInt(place.vpes()))
    gic.writeMmio(board.gits(0), 4, 1)
    if (version === '4.1') {
      for (const cpu of [0, 1])
        gic.writeMmio64(board.vlpi(cpu, 0x70), VALID | (pageSize << 53n) | 1n | BigInt(place.vpes()))
    }
    const end = (2 * 2 ** shift) / (version === '4.1' ? 32 : 8)
    board.mapVpe(end - 1, 1, { vpt: place.virtualPending(1) })
    expect(board.errors()).toEqual([])
    board.mapVpe(end, 1, { vpt: place.virtualPending(2) })
    expect(board.errors()).toEqual(['VMAPP_VCPU_OOR'])
  })
})

describe('VMAPTI and VMAPI', () => {
  it.each(versions)('of GICv%s want an LPI as vINTID, and an event that the device has', (version) => {
    const board = mapped(version)
    board.mapVlpi(1, 1, 8191)
    expect(board.errors()).toEqual(['VMAPTI_VIRTUALID_OOR', 'INV_UNMAPPED_INTERRUPT'])
    board.mapVlpi(1, 1, 65_536)
    expect(board.errors()).toEqual(['VMAPTI_VIRTUALID_OOR', 'INV_UNMAPPED_INTERRUPT'])
    board.mapVlpi(32, 1, VLPI)
    expect(board.errors()).toEqual(['VMAPTI_ID_OOR', 'INV_ID_OOR'])
    board.mapVlpi(0, 1, VLPI, { device: 2 })
    expect(board.errors()).toContain('VMAPTI_UNMAPPED_DEVICE')
  })

  it.each([0, 1022, 8191, 65_536])('of GICv4.0 do not take %i as doorbell', (doorbell) => {
    const board = mapped('4.0').mapVlpi(1, 1, VLPI + 1, { doorbell })
    expect(board.errors()).toEqual(['VMAPTI_PHYSICALID_OOR', 'INV_UNMAPPED_INTERRUPT'])
    board.vmovi(0, 1, doorbell)
    expect(board.errors()).toEqual(['VMOVI_PHYSICALID_OOR'])
  })

  it('of GICv4.1 do not look at their doorbell (67)', () => {
    const board = mapped('4.1')
      .mapVlpi(1, 1, VLPI + 1, { doorbell: 5 })
      .vmovi(0, 1, 5)
    expect(board.errors()).toEqual([])
    board.int(1).load(1, 0)
    expect(board.drain()).toEqual([VLPI + 1])
  })

  it('VMAPI: the EventID is the vINTID', () => {
    const board = mapped('4.1').mapDevice(2, 0, 14)
    board.configure(1, 8200)
    board.send(0, (2n << 32n) | 0x2bn, (1n << 32n) | 8200n, BigInt(NONE) << 32n)
    board.send(0, (2n << 32n) | 0x03n, 8200n).load(1, 0)
    expect(board.errors()).toEqual([])
    expect(board.drain()).toEqual([8200])
  })

  it('MOVI of an event with a vLPI, and VMOVI of one with an LPI, are errors', () => {
    const board = mapped('4.1').movi(0, 1)
    expect(board.errors()).toEqual(['MOVI_UNMAPPED_INTERRUPT'])
    board.send(0, (1n << 32n) | 0x0an, (8300n << 32n) | 3n, 0n).vmovi(3, 1)
    expect(board.errors()).toEqual(['VMOVI_ID_IS_PHYSICAL'])
  })
})

describe('VMAPP of GICv4.1', () => {
  it('takes a VPT_size of all bits that there are, whichever way it is read (94)', () => {
    for (const vptSize of ['minus-one', 'bits'] as const) {
      const board = vpeBoard({ choices: { vptSize } }).mapVpe(1, 0, { size: 16 }).mapVlpi(0, 1, 65_535).int(0)
      board.load(1, 0)
      expect([board.errors(), board.drain()]).toEqual([[], [65_535]])
    }
  })

  it('with PTZ has nothing pending; without it what the table says (80)', () => {
    const board = vpeBoard()
    board.ram.setBit(place.virtualPending(1), VLPI)
    board.configure(1, VLPI).mapVpe(1, 0, { ptz: false }).load(1, 0)
    expect(board.hppi()).toBe(VLPI)
    expect(board.ack()).toBe(VLPI)
    board.eoi(VLPI).leave(0)
    board.unmapVpe(1).mapVpe(1, 0).load(1, 0)
    expect(board.drain()).toEqual([])
  })

  it.each([
    ['kept', [3]],
    ['lost', []],
  ] as const)(
    'keeps vSGIs over an unmap with the choice vsgiAcrossUnmap: %s (87)',
    (vsgiAcrossUnmap, got) => {
      const board = vpeBoard({ choices: { vsgiAcrossUnmap } }).mapVpe(1, 0).configureSgi(1, 3).sendSgi(1, 3)
      board.unmapVpe(1).mapVpe(1, 0, { ptz: false }).load(1, 0)
      expect(board.drain()).toEqual(got)
    },
  )

  it('with PTZ has vSGIs disabled and not pending (88)', () => {
    const board = vpeBoard().mapVpe(1, 0).configureSgi(1, 3).sendSgi(1, 3).unmapVpe(1).mapVpe(1, 0)
    expect(board.pendingSgis(1, 0)).toBe(0)
    board.sendSgi(1, 3).load(1, 0)
    expect(board.virq()).toBe(0)
    expect(board.pendingSgis(1, 0)).toBe(8)
  })

  it.each([
    ['minus-one', 14, 32_767, 32_768],
    ['bits', 15, 32_767, 32_768],
  ] as const)('reads VPT_size by the choice vptSize: %s (94)', (vptSize, size, last, end) => {
    const board = vpeBoard({ choices: { vptSize } })
      .mapVpe(1, 0, { size })
      .mapVlpi(0, 1, last)
      .mapVlpi(1, 1, end)
    board.int(0).int(1)
    expect([board.inTable(1, last), board.inTable(1, end)]).toEqual([true, false])
  })

  it('takes no doorbell that is not an LPI, and maps the vPE all the same', () => {
    for (const doorbell of [0, 500, 1023, 8191, 0xffff_ffff]) {
      const board = vpeBoard().mapVpe(1, 0, { doorbell }).mapVlpi(0, 1, VLPI).load(1, 0)
      expect(board.leave(0)).toBe(false)
      board.int(0).wait()
      expect(board.errors()).toEqual([])
      expect([board.doorbells(0), board.doorbells(1)]).toEqual([[], []])
      board.load(1, 0)
      expect(board.drain()).toEqual([VLPI])
    }
  })

  it('has V = 0 complete without a VSYNC, which would be an error (83)', () => {
    const board = mapped('4.1').unmapVpe(1)
    expect([board.errors(), board.isIdle()]).toEqual([[], true])
    board.vsync(1)
    expect(board.errors()).toEqual(['VSYNC_VCPU_INVALID'])
  })

  it('is reported where it is UNPREDICTABLE (85, 90)', () => {
    const board = vpeBoard().mapVpe(1, 0, { alloc: false })
    expect(board.unpredictable()).toEqual(['map-without-allocation'])
    board.mapVpe(2, 0).mapVpe(2, 1)
    expect(board.unpredictable()).toEqual(['map-mapped'])
    board.mapVpe(3, 0).load(3, 0).unmapVpe(3)
    expect(board.unpredictable()).toEqual(['unmap-resident'])
    expect(board.virq()).toBe(0)
  })

  it('that unmaps a vPE which is resident takes its interrupts from the virtual CPU interface', () => {
    const board = vpeBoard().mapVpe(1, 0).mapVlpi(0, 1, VLPI).int(0)
    board.configureSgi(1, 2, { group: 0 }).sendSgi(1, 2).load(1, 0)
    expect([board.vfiq(), board.hppi(0, 0)]).toEqual([1, 2])
    board.unmapVpe(1)
    expect([board.virq(), board.vfiq(), board.hppi(), board.hppi(0, 0)]).toEqual([0, 0, NONE, NONE])
    expect([board.ack(), board.ack(0, 0)]).toEqual([NONE, NONE])
  })

  it('that unmaps a vPE which is resident leaves its pending state in the table, whenever that is', () => {
    for (const isDirty of [false, true]) {
      const board = vpeBoard({ writeEffects: 'lagging' }).mapVpe(1, 0).mapVlpi(0, 1, VLPI).int(0)
      board.configureSgi(1, 2).wait().sendSgi(1, 2).startLoad(1, 0)
      if (!isDirty) board.wait()
      board.unmapVpe(1).wait()
      expect(board.inTable(1, VLPI)).toBe(true)
      board.mapVpe(1, 1, { ptz: false }).wait().load(1, 1)
      expect(board.drain(1)).toEqual([2, VLPI])
    }
  })
})

describe('a vPE that several ITSs map', () => {
  const its = [{ base: 0 }, { base: 0 }]

  it('is allocated by the first and freed by the last; the others only know of it (85)', () => {
    const board = vpeBoard({ its }).mapVpe(1, 0).mapVlpi(0, 1, VLPI).int(0).configureSgi(1, 1).sendSgi(1, 1)
    board
      .mapVpe(1, 0, { its: 1, alloc: false })
      .mapVlpi(1, 1, VLPI + 1, { its: 1 })
      .int(1, 1)
    expect([board.errors(), board.unpredictable()]).toEqual([[], []])
    board.unmapVpe(1, { alloc: false })
    board.int(0)
    expect(board.errors()).toEqual(['INT_ITEVCPU_INVALID'])
    board.load(1, 0)
    expect(board.drain()).toEqual([1, VLPI, VLPI + 1])
    board.int(1, 1)
    expect(board.leave(0)).toBe(true)
    board.unmapVpe(1, { its: 1 })
    expect(board.inTable(1, VLPI + 1)).toBe(true)
    board.int(1, 1)
    expect(board.errors()).toEqual(['INT_ITEVCPU_INVALID'])
  })

  it('has its doorbell from the last VMAPP (91)', () => {
    const board = vpeBoard({ its }).configureLpi(9000).configureLpi(9001).mapVpe(1, 0, { doorbell: 9000 })
    board.mapVpe(1, 0, { its: 1, alloc: false, doorbell: 9001 }).mapVlpi(0, 1, VLPI).load(1, 0)
    board.leave(0)
    board.int(0).wait()
    expect(board.doorbells()).toEqual([9001])
  })

  it('is found by the table of the redistributor where they share none (SVPET 0)', () => {
    const board = vpeBoard({
      its: [
        { base: 0, svpet: 0 },
        { base: 0, svpet: 0 },
      ],
    })
    board.mapVpe(1, 0).mapVpe(1, 0, { its: 1, alloc: false })
    board
      .mapVlpi(0, 1, VLPI)
      .mapVlpi(1, 1, VLPI + 1, { its: 1 })
      .int(0)
      .int(1, 1)
      .load(1, 0)
    expect([board.errors(), board.unpredictable()]).toEqual([[], []])
    expect(board.drain()).toEqual([VLPI, VLPI + 1])
    board.leave(0)
    board.unmapVpe(1, { alloc: false }).int(1, 1).unmapVpe(1, { its: 1 })
    expect(board.inTable(1, VLPI + 1)).toBe(true)
  })
})

describe('tables above 4 GiB', () => {
  const TABLE = 0x12_4200_0000
  const PENDING = 0x13_4401_0000
  const OTHER_PENDING = 0x14_4401_0000

  /** vPEs 1 and 2 at both CPUs, whose tables differ in the upper halves of their addresses. */
  function highTables(version: '4.0' | '4.1'): VpeBoard {
    const board = vpeBoard({ version })
    const { gic } = board
    gic.writeMmio(board.gits(0), 4, 0)
    gic.writeMmio64(board.gits(0x110), VALID | 0x200n | BigInt(TABLE))
    for (const cpu of version === '4.1' ? [0, 1] : [])
      gic.writeMmio64(board.vlpi(cpu, 0x70), VALID | (2n << 53n) | BigInt(TABLE))
    gic.writeMmio(board.gits(0), 4, 1)
    return board
      .mapVpe(1, 0, { vpt: PENDING })
      .mapVpe(2, 1, { vpt: OTHER_PENDING })
      .mapVlpi(0, 1, 8192)
      .mapVlpi(1, 2, 8193)
      .wait()
  }

  it.each(versions)(
    'have the entries of vPEs, and nothing is where the lower halves point to: GICv%s',
    (version) => {
      const { ram } = highTables(version)
      const used = (from: number): boolean =>
        Array.from({ length: 64 }, (_, n) => ram.read32(from + 4 * n)).some((word) => word !== 0)
      expect([used(TABLE), used(TABLE % 2 ** 32)]).toEqual([true, false])
    },
  )

  it.each(versions)('have what is pending for a vPE that is not resident: GICv%s', (version) => {
    const board = highTables(version).int(0).int(1).wait()
    const { ram } = board
    expect([ram.bit(PENDING, 8192), ram.bit(PENDING, 8193)]).toEqual([true, false])
    expect([ram.bit(OTHER_PENDING, 8192), ram.bit(OTHER_PENDING, 8193)]).toEqual([false, true])
    expect(ram.bit(PENDING % 2 ** 32, 8192)).toBe(false)
  })

  it('are those of the vPE that becomes resident, and that leaves', () => {
    const board = highTables('4.1').int(0).int(1).wait().load(1, 0).load(2, 1)
    expect([board.ack(0), board.ack(1)]).toEqual([8192, 8193])
    board.eoi(8192, 0).eoi(8193, 1).int(0).wait()
    expect(board.leave(0)).toBe(true)
    expect(board.leave(1)).toBe(false)
    expect([board.ram.bit(PENDING, 8192), board.ram.bit(OTHER_PENDING, 8193)]).toEqual([true, false])
  })
})
