/** Software generated interrupts: which register sends what to whom. */
import { type GicConfig, ICC_ASGI1R_EL1, ICC_CTLR_EL1, ICC_SGI0R_EL1, ICC_SGI1R_EL1 } from 'vgic'
import { describe, expect, it } from 'vitest'
import { Board } from '../../../kit/board.ts'

const IRM = 1n << 40n
const rs = (value: number): bigint => BigInt(value) << 44n
/** Aff3, Aff2 and Aff1 of an affinity as the SGI registers have them. */
const cluster = (affinity: number): bigint =>
  (BigInt((affinity >>> 24) & 0xff) << 48n) |
  (BigInt((affinity >>> 16) & 0xff) << 32n) |
  (BigInt((affinity >>> 8) & 0xff) << 16n)

/** The CPUs on which an SGI is pending. */
const pending = (board: Board, intid: number): number[] =>
  Array.from(board.gic.config.affinities.keys()).filter((cpu) => board.is('ISPENDR', intid, cpu))

const affinities = [0, 1, 0x100, 0x1_0000, 0x100_0000, 0x100_000f]

describe('the target list', () => {
  it('names PEs by Aff0 within the cluster that Aff3, Aff2 and Aff1 name', () => {
    const sent = (targets: number, affinity: number) => {
      const board = new Board({ cpus: 6, affinities }).booted()
      board.sgi(2, 5, targets, cluster(affinity))
      return pending(board, 5)
    }
    expect(sent(1, 0)).toEqual([0])
    expect(sent(3, 0)).toEqual([0, 1])
    expect(sent(0xffff, 0)).toEqual([0, 1])
    expect(sent(0xffff, 0x100)).toEqual([2])
    expect(sent(0xffff, 0x1_0000)).toEqual([3])
    expect(sent(0x8001, 0x100_0000)).toEqual([4, 5])
    expect(sent(0x7ffe, 0x100_0000)).toEqual([])
    expect(sent(0xffff, 0x200_0000)).toEqual([])
    expect(sent(0, 0)).toEqual([])
  })

  it('may name PEs that do not exist, for which nothing changes', () => {
    const board = new Board({ cpus: 6, affinities }).booted()
    const before = board.gic.hash()
    board.sgi(0, 5, 0xfffc)
    board.sgi(0, 5, 0xffff, cluster(0x200))
    expect(board.gic.hash()).toBe(before)
  })

  it('may name the sender, and each of the 16 SGIs', () => {
    for (let intid = 0; intid < 16; intid++) {
      const board = new Board().booted()
      board.sgi(1, intid, 0b0110)
      expect([pending(board, intid), board.heard(), board.ack(1)]).toEqual([
        [1, 2],
        ['1 irq', '2 irq'],
        intid,
      ])
    }
  })
})

describe('IRM', () => {
  it('sends to all PEs but the sender, whatever the list and the affinities say', () => {
    const board = new Board({ cpus: 6, affinities }).booted()
    board.sgi(3, 1, 1, IRM | cluster(0x100))
    expect(pending(board, 1)).toEqual([0, 1, 2, 4, 5])
  })
})

describe('the range selector', () => {
  const many: Partial<GicConfig> = {
    cpus: 4,
    affinities: [0x0, 0xf, 0x10, 0x2f],
    gicr: [{ base: 0x080a_0000, count: 4 }],
  }
  it('selects 16 of 256 Aff0 values where some are above 15, and ICC_CTLR_EL1.RSS says so', () => {
    const board = new Board(many).booted()
    expect(board.gic.readSysreg(0, ICC_CTLR_EL1, 1) & 0x40000).toBe(0x40000)
    board.sgi(0, 3, 0xffff, rs(1))
    expect(pending(board, 3)).toEqual([2])
    board.sgi(0, 4, 0x8000, rs(2))
    expect(pending(board, 4)).toEqual([3])
    board.sgi(0, 5, 0xffff)
    expect(pending(board, 5)).toEqual([0, 1])
    board.sgi(0, 6, 0xffff, rs(15))
    expect(pending(board, 6)).toEqual([])
  })

  it('is taken as 0 where it is not supported, or by choice targets nobody', () => {
    for (const [sgiRangeSelector, targets] of [
      ['ignored', [1, 2]],
      ['no-target', []],
    ] as const) {
      const board = new Board({ choices: { sgiRangeSelector } }).booted()
      expect(board.gic.readSysreg(0, ICC_CTLR_EL1, 1) & 0x40000).toBe(0)
      board.sgi(0, 3, 0b0110, rs(1))
      expect(pending(board, 3)).toEqual(targets)
      board.sgi(0, 4, 0b0110)
      expect(pending(board, 4)).toEqual([1, 2])
    }
    const supported = new Board({ ...many, choices: { sgiRangeSelector: 'no-target' } }).booted()
    supported.sgi(0, 3, 1, rs(1))
    expect(pending(supported, 3)).toEqual([2])
  })
})

describe('the group of an SGI', () => {
  /** SGI 2 is in group 0 on CPU 1, in group 1 on CPU 2. */
  const send = (register: number, config: Partial<GicConfig> = {}): number[] => {
    const board = new Board(config).booted()
    board.group0(2, 1)
    board.gic.writeSysreg(0, register, (2 << 24) | 0b0110, 1)
    return pending(board, 2)
  }

  it('decides at each target: SGI1R sends group 1 SGIs, SGI0R and ASGI1R group 0 ones', () => {
    expect(send(ICC_SGI1R_EL1)).toEqual([2])
    expect(send(ICC_SGI0R_EL1)).toEqual([1])
    expect(send(ICC_ASGI1R_EL1)).toEqual([1])
  })

  it('hard case 9: by choice SGI1R may send an SGI that is group 0 as well, for GICD_CTLR.DS is 1', () => {
    const config = { choices: { sgi1rGroup0: 'forwarded' } } as const
    expect(send(ICC_SGI1R_EL1, config)).toEqual([1, 2])
    expect(send(ICC_SGI0R_EL1, config)).toEqual([1])
    const board = new Board(config).booted()
    board.group0(2, 1)
    board.sgi(0, 2, 0b0010)
    expect([board.heard(), board.ack(1), board.ack(1, 0)]).toEqual([['1 fiq'], 1023, 2])
  })
})
