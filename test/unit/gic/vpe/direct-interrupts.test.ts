/** Direct interrupts beside list registers at the virtual CPU interface, and what ICH_HCR_EL2 has to say of them. */
import { ICH_EISR_EL2, ICH_ELRSR_EL2, ICH_MISR_EL2, ICH_VTR_EL2 } from 'vgic'
import { describe, expect, it } from 'vitest'
import { type VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const EOI_COUNT = 27
const VSGI_EOI_COUNT = 0x100
const DVIM = 0x8000
const EOI_MODE = 0x200

/** vPE 1 is resident, with a vLPI of priority 0xa0 and SGI 1 of 0x80. */
const resident = (options: Parameters<typeof vpeBoard>[0] = {}): VpeBoard =>
  vpeBoard(options).mapVpe(1, 0).mapVlpi(0, 1, VLPI).configureSgi(1, 1, { priority: 0x80 }).load(1, 0)

describe('a direct interrupt', () => {
  it('is weighed with list registers by priority (140), and changes none of them (142)', () => {
    const board = resident().int(0).sendSgi(1, 1).list(0, 40, 0x90).list(1, 41, 0xc0)
    const before = board.readList(0)
    expect(board.drain()).toEqual([1, 40, VLPI, 41])
    board.list(0, 40, 0x90).int(0).vmcr(0xff00_0003)
    board.list(0, 40, 0xc0)
    expect(board.hppi()).toBe(VLPI)
    expect(board.ack()).toBe(VLPI)
    expect(board.readList(0)).toBe(before + (0x30n << 48n))
  })

  it.each([
    ['list-register', [40, VLPI]],
    ['direct', [VLPI, 40]],
  ] as const)('of the same priority comes by the choice directPriority: %s (141)', (directPriority, got) => {
    const board = resident({ choices: { directPriority } }).int(0).list(0, 40, 0xa0)
    expect(board.drain()).toEqual(got)
  })

  it('sets and drops the running priority, masks and preempts as others do (142, 145)', () => {
    const board = resident().int(0)
    expect(board.ack()).toBe(VLPI)
    board.sendSgi(1, 1)
    expect([board.virq(), board.ack(), board.running()]).toEqual([1, 1, 0x80])
    board.int(0)
    expect(board.virq()).toBe(0)
    board.eoi(1).eoi(VLPI)
    expect([board.running(), board.virq()]).toEqual([0xff, 1])
    board.vmcr(0xa000_0003)
    expect([board.virq(), board.hppi()]).toEqual([0, VLPI])
    board.vmcr(0xff00_0001)
    expect([board.virq(), board.hppi()]).toEqual([0, 1023])
    board.vmcr(0xff00_0003)
    expect(board.drain()).toEqual([VLPI])
  })

  it('is not known to ICH_MISR_EL2, ICH_ELRSR_EL2 and ICH_EISR_EL2 (144)', () => {
    const board = resident().hcr(0xb)
    const read = (register: number): number => board.gic.readSysreg(0, register, 2)
    const status = (): number[] => [read(ICH_MISR_EL2) & 0xa, read(ICH_ELRSR_EL2), read(ICH_EISR_EL2)]
    const before = status()
    expect(before[0]).toBe(0xa)
    board.int(0).sendSgi(1, 1)
    expect(status()).toEqual(before)
  })

  it('does not come with ICH_HCR_EL2.En = 0', () => {
    const board = resident().int(0).hcr(0)
    expect(board.virq()).toBe(0)
    expect(board.hcr(1).virq()).toBe(1)
  })

  it('never counts in EOIcount as a vLPI, in either EOImode (143)', () => {
    for (const mode of [0, EOI_MODE]) {
      const board = resident()
        .vmcr(0xff00_0003 + mode)
        .int(0)
      expect(board.ack()).toBe(VLPI)
      board.eoi(VLPI)
      if (mode !== 0) board.dir(VLPI)
      expect([board.running(), board.readHcr() >>> EOI_COUNT]).toEqual([0xff, 0])
    }
  })

  it.each([
    [0, 0, 1],
    [EOI_MODE, 0, 1],
    [0, VSGI_EOI_COUNT, 0],
    [EOI_MODE, VSGI_EOI_COUNT, 0],
  ])('counts as a vSGI with EOImode %i and vSGIEOICount %i: %i (130, 131)', (mode, hcr, count) => {
    const board = resident()
      .hcr(1 + hcr)
      .vmcr(0xff00_0003 + mode)
      .sendSgi(1, 1)
    expect(board.ack()).toBe(1)
    board.eoi(1)
    expect(board.running()).toBe(0xff)
    if (mode !== 0) board.dir(1)
    expect(board.readHcr() >>> EOI_COUNT).toBe(count)
  })

  it('does not take the active state of an SGI in a list register away (147)', () => {
    const board = resident()
      .hcr(1 + VSGI_EOI_COUNT)
      .list(0, 5, 0x40)
    expect(board.ack()).toBe(5)
    expect(board.readList(0) >> 62n).toBe(2n)
    board.eoi(5)
    expect([board.readList(0) >> 62n, board.readHcr() >>> EOI_COUNT]).toEqual([0n, 0])
  })

  it('of an INTID that a list register has too is there twice (148)', () => {
    const board = resident().list(0, 1, 0x80).sendSgi(1, 1)
    expect(board.drain()).toEqual([1, 1])
  })
})

describe('ICH_HCR_EL2.DVIM', () => {
  it('masks direct interrupts and leaves list registers, where it is there (146)', () => {
    const board = resident({ dvim: true }).int(0).sendSgi(1, 1).list(0, 40, 0xc0)
    expect(board.gic.readSysreg(0, ICH_VTR_EL2, 2) & 0x4_0000).toBe(0x4_0000)
    board.hcr(1 + DVIM)
    expect(board.readHcr() & DVIM).toBe(DVIM)
    expect(board.drain()).toEqual([40])
    // They are pending all the same.
    expect(board.leave(0)).toBe(true)
    board.load(1, 0).hcr(1)
    expect(board.drain()).toEqual([1, VLPI])
  })

  it('is RES0 where it is not', () => {
    const board = resident()
      .int(0)
      .hcr(1 + DVIM)
    expect(board.gic.readSysreg(0, ICH_VTR_EL2, 2) & 0x4_0000).toBe(0)
    expect([board.readHcr() & DVIM, board.virq()]).toEqual([0, 1])
  })
})

describe('GICv4.1 for physical SGIs', () => {
  const GICD = 0x0800_0000
  const NASSGI = 0x100
  const ctlr = (board: VpeBoard, value?: number): number => {
    if (value !== undefined) board.gic.writeMmio(GICD, 4, value)
    return board.gic.readMmio(GICD, 4) & (NASSGI + 3)
  }

  it('says in GICD_TYPER2 how many bits a vPEID has, and nASSGIcap (1)', () => {
    expect(vpeBoard().gic.readMmio(GICD + 0xc, 4)).toBe(0x18f)
    expect(vpeBoard({ vpeBits: 10 }).gic.readMmio(GICD + 0xc, 4)).toBe(0x189)
    const board = vpeBoard()
    board.gic.writeMmio(GICD + 0xc, 4, 0)
    expect(board.gic.readMmio(GICD + 0xc, 4)).toBe(0x18f)
  })

  it('has nASSGIreq written while the groups are disabled, and not while they are (3, 4)', () => {
    const board = vpeBoard()
    expect(ctlr(board, NASSGI + 2)).toBe(2)
    expect(ctlr(board, 0)).toBe(0)
    expect(ctlr(board, NASSGI)).toBe(NASSGI)
    expect(ctlr(board, 2)).toBe(2)
    expect(ctlr(board, 0)).toBe(0)
    // With the write that enables (5).
    expect(ctlr(board, NASSGI + 2)).toBe(NASSGI + 2)
    expect(ctlr(board, 1)).toBe(NASSGI + 1)
  })

  it.each([
    ['taken', 0],
    ['kept', NASSGI],
  ] as const)(
    'has one write that disables the groups and changes nASSGIreq by nassgireqOnDisable: %s (5)',
    (nassgireqOnDisable, got) => {
      const board = vpeBoard({ choices: { nassgireqOnDisable } })
      ctlr(board, 0)
      ctlr(board, NASSGI + 2)
      expect(ctlr(board, 0)).toBe(got)
      expect(ctlr(board, 0)).toBe(0)
    },
  )

  it('has nASSGIreq RES0 on GICv4.0 (6)', () => {
    const board = vpeBoard({ version: '4.0' })
    ctlr(board, 0)
    expect(ctlr(board, NASSGI)).toBe(0)
  })
})
