/** Physical LPIs as a driver and a kernel see them: tables, EnableLPIs, configuration, priorities, direct LPIs. */
import { Gic, ICC_DIR_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1, ICC_RPR_EL1, VgicError } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICD, GICR, ItsBoard, its, place, type Ram, SPURIOUS } from '../its/its-board.ts'

const GICD_TYPER = GICD + 4
const GICR_TYPER = GICR + 8
const SETLPIR = 0x40
const CLRLPIR = 0x48
const INVLPIR = 0xa0
const INVALLR = 0xb0
const SYNCR = 0xc0
const SGI_BASE = 0x1_0000

/** Direct LPIs, without an ITS: 64 of them, of priority 0xa0, at one CPU. */
const direct = (config = {}): ItsBoard => {
  const board = new ItsBoard({ cpus: 1, lpis: 64, directLpis: true, its: [], ...config }).wake()
  for (let intid = 8192; intid < 8256; intid++) board.configure(intid, 0xa0)
  return board.enableLpis(14)
}
const set = (board: ItsBoard, intid: number, cpu = 0): void =>
  board.gic.writeMmio(board.redistributor(cpu) + SETLPIR, 4, intid)
const clear = (board: ItsBoard, intid: number): void =>
  board.gic.writeMmio(board.redistributor(0) + CLRLPIR, 4, intid)
const pendingWord = (board: ItsBoard, cpu = 0): number => board.ram.words.get(place.pending(cpu) + 1024) ?? 0
const enableLpis = (board: ItsBoard, value: 0 | 1, cpu = 0): void =>
  board.gic.writeMmio(board.redistributor(cpu), 4, value)

describe('GICD_TYPER and GICR_TYPER', () => {
  it.each([
    [0, 15, 0, 0],
    [1, 15, 1, 1],
    [4, 15, 1, 1],
    [64, 15, 5, 1],
    [32_768, 15, 14, 1],
    [65_536, 15, 0, 1],
    [131_072, 16, 0, 1],
    [1 << 24, 23, 0, 1],
  ])('with lpis: %i say IDbits %i, num_LPIs %i, LPIS %i', (lpis, idBits, number, LPIS) => {
    const gic = new Gic({ cpus: 1, lpis })
    const typer = gic.readMmio(GICD_TYPER, 4)
    expect([(typer >>> 19) & 0x1f, (typer >>> 11) & 0x1f, (typer >>> 17) & 1]).toEqual([idBits, number, LPIS])
    expect(gic.readMmio(GICR_TYPER, 4) & 1).toBe(LPIS)
  })

  it('with lpis: 0 have no registers of LPIs; left out, they keep what is written and no LPI comes', () => {
    const none = new Gic({ cpus: 1, lpis: 0 })
    const unused = new Gic({ cpus: 1 })
    for (const gic of [none, unused]) {
      gic.writeMmio64(GICR + 0x70, 0x5000_078fn)
      gic.writeMmio64(GICR + 0x78, 0x4000_0000_5010_0780n)
      gic.writeMmio(GICR, 4, 1)
    }
    const read = (gic: Gic) => [
      gic.readMmio64(GICR + 0x70),
      gic.readMmio64(GICR + 0x78),
      gic.readMmio(GICR, 4),
    ]
    expect(read(none)).toEqual([0n, 0n, 0])
    expect(read(unused)).toEqual([0x5000_078fn, 0x4000_0000_5010_0780n, 3])
    expect(none.snapshot().byteLength).toBe(unused.snapshot().byteLength)
  })

  it('a number of LPIs that there cannot be is refused', () => {
    for (const lpis of [3, -1, 0.5, 1 << 25, Number.NaN, '64' as unknown as number]) {
      expect(() => new Gic({ cpus: 1, lpis })).toThrow('lpis must be 0 or a power of two up to 16777216')
    }
    expect(() => new Gic({ cpus: 1, lpis: 1 << 17, intidBits: 16 })).toThrow('a power of two up to 65536')
    expect(() => new Gic({ cpus: 1, lpis: 0, directLpis: true })).toThrow('lpis must not be 0')
    expect(() => new Gic({ cpus: 512, lpis: 1 << 24 })).toThrow(VgicError)
    expect(() => new Gic({ cpus: 1, lpis: 64, lpiRegisters: false })).toThrow('lpiRegisters must be true')
  })
})

describe('GICR_CTLR.EnableLPIs', () => {
  it('has CES: the pending table is read when it is set, and written when it is cleared', () => {
    const board = direct()
    expect(board.gic.readMmio(GICR, 4)).toBe(3)
    set(board, 8195)
    set(board, 8223)
    expect([board.irq(), pendingWord(board)]).toEqual([1, 0])
    enableLpis(board, 0)
    expect([board.irq(), board.hppi(), board.gic.readMmio(GICR, 4)]).toEqual([0, SPURIOUS, 2])
    expect(pendingWord(board)).toBe(0x8000_0008)
    // Lost: the redistributor takes no LPIs.
    set(board, 8196)
    enableLpis(board, 1)
    expect(board.drain()).toEqual([8195, 8223])
    enableLpis(board, 0)
    expect(pendingWord(board)).toBe(0)
  })

  it('what software or an earlier kernel has left in the pending table is pending', () => {
    const board = direct({ lpis: 0x1_0000, directLpis: true })
    enableLpis(board, 0)
    board.tablesOf(0, 16)
    board.ram.words.set(place.pending(0) + 8192 / 8, 0x20)
    board.ram.words.set(place.pending(0) + 65_504 / 8, 0x8000_0000)
    board.configure(65_535, 0x20)
    // INTIDs below 8192 are none of it.
    board.ram.words.set(place.pending(0) + 8160 / 8, 0xffff_ffff)
    enableLpis(board, 1)
    expect(board.drain()).toEqual([65_535, 8197])
  })

  it('GICR_PENDBASER.PTZ spares the read, once, and reads as zero', () => {
    const board = direct()
    enableLpis(board, 0)
    board.ram.words.set(place.pending(0) + 1024, 0x20)
    board.tablesOf(0, 14, true)
    expect(board.gic.readMmio64(GICR + 0x78)).toBe(BigInt(place.pending(0)) | 0x780n)
    enableLpis(board, 1)
    expect(board.hppi()).toBe(SPURIOUS)
    set(board, 8192)
    enableLpis(board, 0)
    // What was pending is in the table now, and the table is read again: nobody has said that it is zero.
    enableLpis(board, 1)
    expect(board.drain()).toEqual([8192])
  })

  it('by choice PTZ is a bit that reads back and has no effect, as on QEMU 7.2', () => {
    const board = direct({ choices: { pendingTableZero: 'ignored' } })
    enableLpis(board, 0)
    board.ram.words.set(place.pending(0) + 1024, 0x20)
    board.tablesOf(0, 14, true)
    expect(board.gic.readMmio64(GICR + 0x78)).toBe((1n << 62n) | BigInt(place.pending(0)) | 0x780n)
    enableLpis(board, 1)
    expect(board.drain()).toEqual([8197])
  })

  it('with fewer than 14 bits of INTIDs in GICR_PROPBASER there are no LPIs, and with 14 there are 8192', () => {
    const board = direct({ lpis: 0x1_0000 })
    for (const [bits, taken] of [
      [13, []],
      [14, [8192, 16_383]],
      [15, [8192, 16_383, 16_384]],
    ] as const) {
      enableLpis(board, 0)
      board.ram.words.clear()
      for (const intid of [8192, 16_383, 16_384]) board.configure(intid, 0xa0)
      board.tablesOf(0, bits, true)
      enableLpis(board, 1)
      for (const intid of [8192, 16_383, 16_384]) set(board, intid)
      expect([bits, board.drain()]).toEqual([bits, taken])
    }
  })

  it('memory that refuses the tables is a matter of the host, and what cannot be read is not pending', () => {
    const board = direct()
    enableLpis(board, 0)
    board.ram.words.set(place.pending(0) + 1024, 1)
    board.ram.refuses = (address) => address >= place.pending(0)
    enableLpis(board, 1)
    expect(board.hppi()).toBe(SPURIOUS)
    expect(board.errors()).toEqual([{ kind: 'memory', access: 'read', address: place.pending(0) + 1024 }])
    set(board, 8192)
    enableLpis(board, 0)
    expect(board.errors()).toMatchObject([{ kind: 'memory', access: 'write' }])
  })
})

describe('GICR_PROPBASER and GICR_PENDBASER while LPIs are enabled', () => {
  it('keep what is written, and the tables that EnableLPIs found stay in force until it is cleared and set', () => {
    const board = direct()
    const other = 0x5800_0000
    board.gic.writeMmio64(GICR + 0x70, BigInt(other) | 13n)
    board.gic.writeMmio64(GICR + 0x78, BigInt(other + 0x1_0000))
    expect(board.gic.readMmio64(GICR + 0x70)).toBe(BigInt(other) | 13n)
    board.ram.byte(other, 0x21)
    set(board, 8192)
    // 0xa0 by the old table.
    expect([board.ack(), board.gic.readSysreg(0, ICC_RPR_EL1, 1)]).toEqual([8192, 0xa0])
    board.eoi(8192)
    set(board, 8192)
    enableLpis(board, 0)
    expect(pendingWord(board)).toBe(1)
    enableLpis(board, 1)
    expect(board.hppi()).toBe(SPURIOUS)
    set(board, 8192)
    expect([board.ack(), board.gic.readSysreg(0, ICC_RPR_EL1, 1)]).toEqual([8192, 0x20])
  })
})

describe('the configuration of an LPI', () => {
  it('is cached from its first use until it is invalidated: a change of memory has no effect before', () => {
    const board = direct()
    set(board, 8192)
    board.configure(8192, 0xa0, false)
    set(board, 8193)
    expect(board.hppi()).toBe(8192)
    board.gic.writeMmio(GICR + INVLPIR, 4, 8193)
    expect(board.hppi()).toBe(8192)
    board.gic.writeMmio(GICR + INVLPIR, 4, 8192)
    expect(board.hppi()).toBe(8193)
    board.configure(8192, 0x20)
    board.configure(8193, 0x20, false)
    expect(board.hppi()).toBe(8193)
    board.gic.writeMmio(GICR + INVALLR, 8, 0)
    expect([board.hppi(), board.gic.readMmio(GICR + SYNCR, 4)]).toEqual([8192, 0])
  })

  it('that was never used is read from memory when it is', () => {
    const board = direct()
    board.configure(8192, 0x40)
    set(board, 8192)
    board.ack()
    expect(board.gic.readSysreg(0, ICC_RPR_EL1, 1)).toBe(0x40)
  })

  it('by choice is read again whenever the LPI is made pending', () => {
    const board = direct({ choices: { lpiConfig: 'uncached' } })
    board.configure(8192, 0xa0, false)
    set(board, 8192)
    expect(board.irq()).toBe(0)
    board.configure(8192, 0xa0)
    set(board, 8192)
    expect(board.irq()).toBe(1)
  })

  it('by the same choice is then another for every redistributor of the same Aff3 that has the LPI pending', () => {
    const choices = { lpiConfig: 'uncached' } as const
    const board = new ItsBoard({ cpus: 2, lpis: 64, directLpis: true, its: [], choices })
      .wake()
      .configure(8192, 0xa0)
      .enableLpis(14)
    set(board, 8192, 1)
    expect(board.irq(1)).toBe(1)
    board.configure(8192, 0xa0, false)
    set(board, 8192, 0)
    expect([board.irq(0), board.irq(1)]).toEqual([0, 0])
  })

  it('is one for the redistributors of the same Aff3: what one invalidates the others read again', () => {
    const board = new ItsBoard({ cpus: 2, lpis: 64, directLpis: true, its: [] })
      .wake()
      .configure(8192, 0xa0)
      .enableLpis(14)
    set(board, 8192, 1)
    board.configure(8192, 0xa0, false)
    board.gic.writeMmio(board.redistributor(0) + INVLPIR, 4, 8192)
    expect(board.irq(1)).toBe(0)
  })

  it('that memory refuses is that of a disabled LPI, until it is invalidated and read', () => {
    const board = direct()
    board.ram.refuses = (address) => address === place.config
    set(board, 8194)
    expect(board.irq()).toBe(0)
    expect(board.errors()).toEqual([{ kind: 'memory', access: 'read', address: place.config }])
    board.ram.refuses = () => false
    board.gic.writeMmio(GICR + INVLPIR, 4, 8194)
    expect(board.ack()).toBe(8194)
  })

  it('has as many priority bits as the CPU interface, or with eight bits in the distributor six of its own', () => {
    const running = (priorityBits: number, profile: 'arch' | 'qemu-7.2') => {
      const board = direct({ priorityBits, profile })
      board.configure(8192, 0x54)
      set(board, 8192)
      board.ack()
      return board.gic.readSysreg(0, ICC_RPR_EL1, 1)
    }
    expect([running(5, 'arch'), running(8, 'arch')]).toEqual([0x50, 0x50])
    const order = (config: object) => {
      const board = direct(config)
      board.configure(8193, 0x54).configure(8194, 0x50)
      set(board, 8193)
      set(board, 8194)
      return board.hppi()
    }
    expect([order({}), order({ priorityBits: 8 })]).toEqual([8193, 8194])
    expect(order({ choices: { distributorPriority: 'eight-bits' } })).toBe(8194)
  })
})

describe('LPIs among other interrupts', () => {
  it('compete by priority with SPIs, PPIs and SGIs; of equal priorities the lowest INTID comes first', () => {
    const board = direct()
    const { gic } = board
    gic.writeMmio(GICR + SGI_BASE + 0x80, 4, 0xffff_ffff)
    gic.writeMmio(GICR + SGI_BASE + 0x100, 4, 0xffff_ffff)
    gic.writeMmio(GICD + 0x84, 4, 0xffff_ffff)
    gic.writeMmio(GICD + 0x104, 4, 0xffff_ffff)
    const priorities: readonly (readonly [number, number])[] = [
      [5, 0xc0],
      [27, 0x60],
      [40, 0xa0],
      [41, 0x20],
    ]
    for (const [intid, priority] of priorities) {
      gic.writeMmio((intid < 32 ? GICR + SGI_BASE : GICD) + 0x400 + intid, 1, priority)
    }
    gic.writeMmio(GICR + SGI_BASE + 0x200, 4, 0x0800_0020)
    gic.writeMmio(GICD + 0xc08, 4, 0xffff_ffff)
    gic.writeMmio(GICD + 0x204, 4, 0x300)
    board.configure(8192, 0x40).configure(8193, 0xa0).configure(8194, 0xe0)
    for (const intid of [8194, 8193, 8192]) set(board, intid)
    expect(board.drain()).toEqual([41, 8192, 27, 40, 8193, 5, 8194])
  })

  it('are group 1: GICD_CTLR, the CPU interface, the priority mask and a sleeping redistributor hold them back', () => {
    const board = direct()
    const { gic } = board
    set(board, 8192)
    const seen: (readonly [number, number, number])[] = []
    const look = () => seen.push([board.irq(), gic.line(0, 'wakeRequest'), board.hppi()])
    gic.writeMmio(GICD, 4, 1)
    look()
    gic.writeMmio(GICD, 4, 2)
    gic.writeSysreg(0, ICC_IGRPEN1_EL1, 0, 1)
    look()
    gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1, 1)
    gic.writeSysreg(0, ICC_PMR_EL1, 0xa0, 1)
    look()
    gic.writeSysreg(0, ICC_PMR_EL1, 0xff, 1)
    gic.writeMmio(GICR + 0x14, 4, 2)
    look()
    gic.writeMmio(GICR + 0x14, 4, 0)
    look()
    expect(seen).toEqual([
      [0, 0, SPURIOUS],
      [0, 0, SPURIOUS],
      [0, 0, 8192],
      [0, 1, SPURIOUS],
      [1, 0, 8192],
    ])
  })

  it('have no active state: one may come again while it is served, and DIR does nothing', () => {
    const board = direct()
    board.gic.writeSysreg(0, ICC_PMR_EL1, 0xff, 1)
    set(board, 8192)
    expect(board.ack()).toBe(8192)
    set(board, 8192)
    // The running priority masks it, and nothing else.
    expect([board.irq(), board.hppi(), board.ack()]).toEqual([0, 8192, SPURIOUS])
    board.gic.writeSysreg(0, ICC_DIR_EL1, 8192, 1)
    expect(board.hppi()).toBe(8192)
    board.eoi(8192)
    expect([board.irq(), board.ack()]).toEqual([1, 8192])
    board.eoi(8192)
    expect(board.drain()).toEqual([])
  })

  it('1000 of them come in the order of their priorities, and then of their INTIDs', () => {
    const board = direct({ lpis: 0x1_0000 })
    enableLpis(board, 0)
    board.tablesOf(0, 16, true)
    enableLpis(board, 1)
    const lpis = Array.from({ length: 1000 }, (_, n) => ({
      intid: 8192 + ((n * 7919) % 57_344),
      priority: ((n * 31) % 29) * 8,
    }))
    for (const { intid, priority } of lpis) board.configure(intid, priority)
    for (const { intid } of lpis) set(board, intid)
    const expected = [...lpis].sort((a, b) => a.priority - b.priority || a.intid - b.intid)
    expect(board.drain()).toEqual(expected.map(({ intid }) => intid))
  })
})

describe('direct LPIs', () => {
  it('are there by configuration: GICR_TYPER.DirectLPI, and their registers have names', () => {
    const board = direct()
    expect(board.gic.readMmio(GICR_TYPER, 4) & 8).toBe(8)
    const names = [SETLPIR, CLRLPIR, INVLPIR, INVALLR, SYNCR].map((at) => board.gic.registerAt(GICR + at))
    expect(names).toEqual(['GICR_SETLPIR', 'GICR_CLRLPIR', 'GICR_INVLPIR', 'GICR_INVALLR', 'GICR_SYNCR'])
    const other = new ItsBoard({ cpus: 1 }).wake().configure(8192, 0xa0).enableLpis()
    set(other, 8192)
    expect([
      other.irq(),
      other.gic.readMmio(GICR_TYPER, 4) & 8,
      other.gic.registerAt(GICR + SETLPIR),
    ]).toEqual([0, 0, undefined])
  })

  it('are set and cleared by 4 or 8 bytes; an INTID that is no LPI of the redistributor is ignored', () => {
    const board = direct()
    board.gic.writeMmio64(GICR + SETLPIR, 8200n)
    expect(board.irq()).toBe(1)
    clear(board, 8200)
    expect(board.irq()).toBe(0)
    clear(board, 8200)
    for (const intid of [0, 40, 1023, 8191, 8256, 65_536, 0xffff_ffff]) {
      set(board, intid)
      clear(board, intid)
      board.gic.writeMmio(GICR + INVLPIR, 4, intid)
    }
    expect(board.drain()).toEqual([])
  })
})

describe('hard case 33: the cached highest pending LPI', () => {
  it('is looked for again when an LPI is set, cleared or configured anew, and is gated by group 1', () => {
    const board = direct()
    board.configure(8192, 0x80).configure(8193, 0x40)
    const seen: number[] = []
    const step = (act: () => void) => {
      act()
      seen.push(board.hppi())
    }
    step(() => set(board, 8192))
    step(() => set(board, 8193))
    step(() => clear(board, 8193))
    step(() => set(board, 8193))
    step(() => {
      board.configure(8193, 0xc0)
      board.gic.writeMmio(GICR + INVLPIR, 4, 8193)
    })
    step(() => {
      board.configure(8192, 0x80, false)
      board.gic.writeMmio(GICR + INVALLR, 4, 0)
    })
    step(() => board.gic.writeMmio(GICD, 4, 1))
    step(() => board.gic.writeMmio(GICD, 4, 2))
    step(() => clear(board, 8193))
    expect(seen).toEqual([8192, 8193, 8192, 8193, 8192, 8193, SPURIOUS, 8193, SPURIOUS])
  })
})

describe('hard case 41: GICR_PENDBASER.PTZ', () => {
  it('is not invented on restore: what was written, and whether a table was read since, is in the image', () => {
    for (const ptz of [false, true]) {
      const board = new ItsBoard({ cpus: 1, lpis: 64, directLpis: true, its: [] })
        .wake()
        .configure(8192, 0xa0)
      board.ram.words.set(place.pending(0) + 1024, 1)
      board.tablesOf(0, 14, ptz)
      const again = new ItsBoard({}, board.ram, (b) => Gic.from(board.gic.snapshot(), b.host))
      enableLpis(again, 1)
      expect([ptz, again.hppi()]).toEqual([ptz, ptz ? SPURIOUS : 8192])
    }
  })
})

describe('without memory', () => {
  it('LPIs can be enabled, and every access of the GIC is refused', () => {
    const gic = new Gic({ cpus: 1, lpis: 64, directLpis: true })
    gic.writeMmio64(GICR + 0x70, 0x5000_000dn)
    gic.writeMmio(GICR, 4, 1)
    gic.writeMmio(GICR + SETLPIR, 4, 8192)
    expect(gic.line(0, 'irq')).toBe(0)
  })

  it('a host whose memory throws, or answers with no number, has refused', () => {
    const answers = [
      () => {
        throw new Error('bus')
      },
      () => undefined,
      () => 'x' as unknown as number,
    ]
    for (const read32 of answers) {
      const board = direct()
      board.ram.read32 = read32
      set(board, 8192)
      expect([board.irq(), board.errors().length]).toEqual([0, 1])
    }
    const without = 'host.memory must be an object with'
    expect(() => new Gic({ cpus: 1 }, { memory: 5 as unknown as Ram })).toThrow(without)
    expect(() => new Gic({ cpus: 1 }, { memory: {} as Ram })).toThrow(/but its read32 is undefined\.$/)
    expect(() => new Gic({ cpus: 1 }, { memory: { read32: () => 0 } as unknown as Ram })).toThrow(
      /but its write32 is undefined\.$/,
    )
  })
})

it('an ITS sends to whatever redistributor a collection names', () => {
  const board = new ItsBoard({ cpus: 4 }).booted()
  for (let cpu = 0; cpu < 4; cpu++) {
    board.configure(8200 + cpu, 0xa0)
    board.send(its.mapti(1, cpu, 8200 + cpu, cpu))
    board.gic.sendMsi(1, cpu)
  }
  expect([0, 1, 2, 3].map((cpu) => board.drain(cpu))).toEqual([[8200], [8201], [8202], [8203]])
})

describe('the byte of an LPI that a redistributor has read', () => {
  const priorityOf = (board: ItsBoard, intid: number): number => {
    set(board, intid)
    expect(board.ack()).toBe(intid)
    const priority = board.gic.readSysreg(0, ICC_RPR_EL1, 1)
    board.eoi(intid)
    return priority
  }
  const write = (board: ItsBoard, offset: number, value: number): void =>
    board.gic.writeMmio(board.redistributor(0) + offset, 4, value)

  it('counts until it is invalidated, each by itself', () => {
    const board = direct()
    expect([priorityOf(board, 8192), priorityOf(board, 8193)]).toEqual([0xa0, 0xa0])
    board.configure(8192, 0x40).configure(8193, 0x48)
    expect([priorityOf(board, 8192), priorityOf(board, 8193)]).toEqual([0xa0, 0xa0])
    write(board, INVLPIR, 8193)
    expect([priorityOf(board, 8192), priorityOf(board, 8193)]).toEqual([0xa0, 0x48])
    write(board, INVALLR, 0)
    expect([priorityOf(board, 8192), priorityOf(board, 8193)]).toEqual([0x40, 0x48])
  })

  it('is forgotten by GICR_INVALLR in a GIC that was made from an image, too', () => {
    const board = direct({ lpis: 4096 })
    for (const intid of [8192, 8200, 9000, 12_287]) board.configure(intid, 0xa0)
    const intids = [8192, 8200, 9000, 12_287]
    expect(intids.map((intid) => priorityOf(board, intid))).toEqual([0xa0, 0xa0, 0xa0, 0xa0])
    const other = new ItsBoard({}, board.ram, ({ host }) => Gic.from(board.gic.snapshot(), host))
    for (const intid of intids) other.configure(intid, 0x50)
    expect(intids.map((intid) => priorityOf(other, intid))).toEqual([0xa0, 0xa0, 0xa0, 0xa0])
    write(other, INVALLR, 0)
    expect(intids.map((intid) => priorityOf(other, intid))).toEqual([0x50, 0x50, 0x50, 0x50])
  })

  it('is none of the upper halves of GICR_SETLPIR, CLRLPIR and INVLPIR', () => {
    const board = direct()
    expect(priorityOf(board, 8192)).toBe(0xa0)
    board.configure(8192, 0x40)
    for (const register of [SETLPIR, CLRLPIR, INVLPIR]) write(board, register + 4, 8192)
    expect(board.hppi()).toBe(SPURIOUS)
    expect(priorityOf(board, 8192)).toBe(0xa0)
    set(board, 8192)
    write(board, CLRLPIR + 4, 8192)
    expect(board.hppi()).toBe(8192)
  })

  it('of the first and the last LPI are there, and no LPI is beyond', () => {
    const board = direct()
    for (const intid of [8191, 8256, 0, 1023, 0xffff_ffff]) set(board, intid)
    expect(board.hppi()).toBe(SPURIOUS)
    for (const intid of [8192, 8255]) set(board, intid)
    expect(board.drain()).toEqual([8192, 8255])
  })
})

it.each([1, 2, 16, 32, 64])('of a pending table the bits of %i LPIs count, and no others', (lpis) => {
  const board = direct({ lpis })
  enableLpis(board, 0)
  for (const word of [0, 1, 2]) board.ram.words.set(place.pending(0) + 1024 + 4 * word, 0xffff_ffff)
  enableLpis(board, 1)
  expect(board.drain()).toEqual(Array.from({ length: lpis }, (_, n) => 8192 + n))
})
