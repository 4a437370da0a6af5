/** What GICv4 silicon says of itself, and what of it software relies on (rules 8 to 15 and 20, 22, 84 of docs/gicv4.md). */
import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_SGI1R_EL1, ICH_VTR_EL2 } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICD } from '../../../kit/frames.ts'
import { place, VALID, type VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const bit = (value: bigint, n: number): number => Number((value >> BigInt(n)) & 1n)

describe('GICR_TYPER', () => {
  it.each([
    ['4.0', { VLPIS: 1, Dirty: 0, RVPEID: 0, VSGI: 0 }],
    ['4.1', { VLPIS: 1, Dirty: 1, RVPEID: 1, VSGI: 1 }],
  ] as const)('of GICv%s says what its redistributors can (9, 152)', (version, said) => {
    const board = vpeBoard({ version })
    const typer = board.gic.readMmio64(board.rd(0) + 8)
    expect({
      VLPIS: bit(typer, 1),
      Dirty: bit(typer, 2),
      RVPEID: bit(typer, 7),
      VSGI: bit(typer, 26),
    }).toEqual(said)
  })

  it('has DirectLPI for SETLPIR and CLRLPIR alone: GICR_CTLR.IR is there without (10)', () => {
    const board = vpeBoard({ directLpis: false })
    expect(bit(board.gic.readMmio64(board.rd(0) + 8), 3)).toBe(0)
    expect(board.gic.readMmio(board.rd(0), 4) & 4).toBe(4)
    board.mapVpe(1, 0).mapVlpi(0, 1, VLPI, { enabled: false }).int(0).load(1, 0)
    expect(board.virq()).toBe(0)
    board.configure(1, VLPI).invlpir(0, 1, VLPI)
    expect([board.gic.readMmio(board.rd(0) + 0xc0, 4), board.virq()]).toEqual([0, 1])
  })

  it('has CommonLPIAff: who agrees has one vPE table, and pending tables of its own (11)', () => {
    const board = vpeBoard({ commonLpiAff: 0 }).mapVpe(1, 0).mapVpe(2, 1)
    expect((board.gic.readMmio64(board.rd(1) + 8) >> 24n) & 3n).toBe(0n)
    board.configureLpi(9000).configureLpi(9001)
    board
      .send(0, 0x0an | (1n << 32n), 7n | (9000n << 32n), 0n)
      .send(0, 0x0an | (1n << 32n), 8n | (9001n << 32n), 1n)
    board.int(7).int(8)
    expect([board.doorbells(0), board.doorbells(1)]).toEqual([[9000], [9001]])
    expect([board.load(1, 0).unpredictable(), board.load(2, 1).unpredictable()]).toEqual([[], []])
  })
})

describe('GITS_TYPER', () => {
  it.each([
    ['4.0', { VSGI: 0, VMAPP: 0, nID: 0 }],
    ['4.1', { VSGI: 1, VMAPP: 1, nID: 1 }],
  ] as const)('of GICv%s says which commands it has (12, 152)', (version, said) => {
    const board = vpeBoard({ version })
    const typer = board.gic.readMmio64(board.gits(8))
    expect({ VSGI: bit(typer, 39), VMAPP: bit(typer, 40), nID: bit(typer, 43) }).toEqual(said)
  })
})

it.each([
  ['3', 1, 3],
  ['4.0', 0, 4],
  ['4.1', 0, 4],
] as const)(
  'GICv%s has nV4 = %i in ICH_VTR_EL2 (14), and ArchRev %i in every PIDR2 (15)',
  (version, nV4, revision) => {
    const board = vpeBoard({ version })
    expect((board.gic.readSysreg(0, ICH_VTR_EL2, 2) >>> 20) & 1).toBe(nV4)
    const frames = [GICD, board.rd(0), board.gits(0)]
    expect(frames.map((base) => board.gic.readMmio(base + 0xffe8, 4) >>> 4)).toEqual([
      revision,
      revision,
      revision,
    ])
  },
)

describe('physical SGIs', () => {
  const NASSGI = 0x100
  /** An SGI to oneself, acknowledged and not deactivated, and whether it is active then. */
  function acknowledged(board: VpeBoard): boolean {
    const { gic } = board
    gic.writeSysreg(0, ICC_CTLR_EL1, 2, 2)
    gic.writeMmio(board.rd(0) + 0x1_0100, 4, 0xffff_ffff)
    gic.writeSysreg64(0, ICC_SGI1R_EL1, (5n << 24n) | 1n, 2)
    expect(gic.readSysreg(0, ICC_IAR1_EL1, 2)).toBe(5)
    return (gic.readMmio(board.rd(0) + 0x1_0300, 4) & 0x20) !== 0
  }
  const withRequest = (request: number): VpeBoard => {
    const board = vpeBoard()
    board.gic.writeMmio(GICD, 4, 0)
    board.gic.writeMmio(GICD, 4, request | 2)
    board.gic.writeMmio(board.rd(0) + 0x1_0080, 4, 0xffff_ffff)
    return board
  }

  it('have no active state with nASSGIreq (7)', () => {
    const board = withRequest(NASSGI)
    expect(acknowledged(board)).toBe(false)
    board.gic.writeSysreg(0, ICC_EOIR1_EL1, 5, 2)
    board.gic.writeSysreg64(0, ICC_SGI1R_EL1, (5n << 24n) | 1n, 2)
    expect(board.gic.readSysreg(0, ICC_IAR1_EL1, 2)).toBe(5)
  })

  it('are not made active by a write of GICR_ISACTIVER0 with nASSGIreq, unlike PPIs, and no more once it is set (7)', () => {
    const board = withRequest(NASSGI)
    board.gic.writeMmio(board.rd(0) + 0x1_0300, 4, 0x20 | (1 << 20))
    expect(board.gic.readMmio(board.rd(0) + 0x1_0300, 4)).toBe(1 << 20)
    expect(acknowledged(board)).toBe(false)

    const other = withRequest(0)
    expect(acknowledged(other)).toBe(true)
    other.gic.writeMmio(other.rd(0) + 0x1_0300, 4, 1 << 20)
    other.gic.writeMmio(GICD, 4, 0)
    other.gic.writeMmio(GICD, 4, NASSGI | 2)
    expect(other.gic.readMmio(other.rd(0) + 0x1_0300, 4)).toBe(1 << 20)
  })

  it('are active until they are deactivated without it, as PPIs and SPIs always are (8)', () => {
    const board = withRequest(0)
    expect(acknowledged(board)).toBe(true)
    board.gic.writeSysreg(0, ICC_EOIR1_EL1, 5, 2)
    board.gic.writeSysreg64(0, ICC_SGI1R_EL1, (5n << 24n) | 1n, 2)
    expect(board.gic.readSysreg(0, ICC_IAR1_EL1, 2)).toBe(1023)
    board.gic.writeSysreg(0, ICC_DIR_EL1, 5, 2)
    expect(board.gic.readSysreg(0, ICC_IAR1_EL1, 2)).toBe(5)

    const other = withRequest(NASSGI)
    other.gic.writeSysreg(0, ICC_CTLR_EL1, 2, 2)
    other.gic.writeMmio(other.rd(0) + 0x1_0100, 4, 0xffff_ffff)
    other.gic.setPpi(0, 20, 1)
    expect(other.gic.readSysreg(0, ICC_IAR1_EL1, 2)).toBe(20)
    expect(other.gic.readMmio(other.rd(0) + 0x1_0300, 4)).toBe(1 << 20)
  })
})

describe('tables', () => {
  it('of vPEs may be indirect: level 1 has 8-byte entries, Valid and the address of a page (20)', () => {
    const board = vpeBoard({ vpeBits: 16 })
    const [level1, page] = [place.vpes(5), place.vpes(6)]
    const entrySize = Number((board.gic.readMmio64(board.vlpi(0, 0x70)) >> 59n) & 7n) + 1
    const perPage = 0x1_0000 / (8 * entrySize)
    for (const cpu of [0, 1])
      board.gic.writeMmio64(board.vlpi(cpu, 0x70), VALID | (1n << 55n) | (2n << 53n) | BigInt(level1))
    board.gic.writeMmio(board.gits(0), 4, 0)
    board.gic.writeMmio64(board.gits(0x110), VALID | (1n << 62n) | 0x200n | BigInt(level1))
    board.gic.writeMmio(board.gits(0), 4, 1)
    board.ram.doubleword(level1 + 8, VALID | BigInt(page))
    const vpe = perPage + 1
    board.mapVpe(vpe, 0, { vpt: place.virtualPending(1) })
    expect(board.errors()).toEqual([])
    board.mapVpe(3, 0)
    expect(board.errors()).toHaveLength(1)
  })

  it('say their entry’s size in doublewords in GICR_VPROPBASER, and in bytes in GITS_BASER2, less one (22)', () => {
    const board = vpeBoard()
    const words = (board.gic.readMmio64(board.vlpi(0, 0x70)) >> 59n) & 7n
    const bytes = (board.gic.readMmio64(board.gits(0x110)) >> 48n) & 0x1fn
    expect(bytes + 1n).toBe(8n * (words + 1n))
  })

  it('with the configuration of vLPIs are VMAPP’s, one for each vPE (84)', () => {
    const board = vpeBoard().mapVpe(1, 0).mapVpe(2, 0)
    board.mapVlpi(0, 1, VLPI, { priority: 0x40 }).mapVlpi(1, 2, VLPI, { priority: 0x60 }).int(0).int(1)
    const taken = [1, 2].map((vpe) => {
      board.load(vpe, 0)
      const intid = board.ack()
      const priority = board.running()
      board.eoi(intid).leave(0)
      return [intid, priority]
    })
    expect(taken).toEqual([
      [VLPI, 0x40],
      [VLPI, 0x60],
    ])
  })
})

describe('a vPE', () => {
  it('that is resident has its interrupts and no doorbell; others of its redistributor keep theirs (38, 39, 50)', () => {
    const board = vpeBoard().configureLpi(9000).configureLpi(9001)
    board.mapVpe(1, 0, { doorbell: 9000 }).mapVpe(2, 0, { doorbell: 9001 }).mapVpe(3, 0)
    for (const vpe of [1, 2, 3]) board.mapVlpi(vpe, vpe, VLPI + vpe)
    for (const vpe of [2, 3, 1]) {
      board.load(vpe, 0)
      if (vpe !== 1) board.leave(0)
    }
    for (const vpe of [1, 2, 3]) board.int(vpe)
    expect([board.drain(), board.doorbells()]).toEqual([[VLPI + 1], [9001]])
    board.leave(0)
    expect([board.load(2, 0).drain(), board.leave(0), board.load(3, 0).drain()]).toEqual([
      [VLPI + 2],
      false,
      [VLPI + 3],
    ])
  })

  it.each([
    [[1], [VLPI, 3], []],
    [[0], [], [2]],
    [[], [], []],
  ] as const)('has the groups %j presented, and the others not (40)', (groups, group1, group0) => {
    const board = vpeBoard().mapVpe(1, 0).mapVlpi(0, 1, VLPI, { priority: 0x20 })
    board.configureSgi(1, 2, { group: 0 }).configureSgi(1, 3).int(0).sendSgi(1, 2).sendSgi(1, 3)
    board.load(1, 0, groups)
    expect([board.virq(), board.vfiq()]).toEqual([group1.length > 0 ? 1 : 0, group0.length > 0 ? 1 : 0])
    expect(board.drain()).toEqual(group1)
    expect(board.ack(0, 0)).toBe(group0[0] ?? 1023)
  })
})
