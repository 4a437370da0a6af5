/** VMOVP: a vPE goes to another redistributor, with one ITS or several, and with tables that are shared or are not. */
import { describe, expect, it } from 'vitest'
import { VALID, VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const BELL = 9000

describe.each(['4.0', '4.1'] as const)('VMOVP of GICv%s', (version) => {
  const board40 = (options = {}): VpeBoard =>
    vpeBoard({ version, ...options })
      .mapVpe(1, 0)
      .mapVlpi(0, 1, VLPI)
      .mapVlpi(1, 1, VLPI + 1)

  it('takes along what is pending, and what comes goes to the new redistributor (107)', () => {
    const board = board40().int(0).vmovp(1, 1).vsync(1).int(1).load(1, 1)
    expect([board.errors(), board.unpredictable()]).toEqual([[], []])
    expect([board.virq(0), board.drain(1)]).toEqual([0, [VLPI, VLPI + 1]])
  })

  it('of a vPE that is not mapped, or to a redistributor that is not there, is an error', () => {
    const board = board40().vmovp(2, 1).vmovp(1, 2)
    expect(board.errors()).toEqual(['VMOVP_VCPU_INVALID', 'VMOVP_PROCNUM_OOR'])
    board.int(0).load(1, 0)
    expect(board.drain(0)).toEqual([VLPI])
  })

  it('to where it is changes nothing', () => {
    const board = board40().int(0).vmovp(1, 0).load(1, 0)
    expect(board.drain(0)).toEqual([VLPI])
  })

  it('of a resident vPE is UNPREDICTABLE, and loses nothing', () => {
    const board = board40().int(0).load(1, 0).vmovp(1, 1)
    expect(board.unpredictable()).toEqual(['move-resident'])
    board.int(1).leave(0)
    board.load(1, 1)
    expect(board.drain(1)).toEqual([VLPI, VLPI + 1])
  })

  it('goes to all ITSs where GITS_TYPER.VMOVP is 1', () => {
    const board = vpeBoard({ version, its: [{ base: 0 }, { base: 0 }] })
    board.mapVpe(1, 0).mapVpe(1, 0, { its: 1, alloc: false }).mapVlpi(0, 1, VLPI, { its: 1 })
    board.vmovp(1, 1).load(1, 1).int(0, 1)
    expect([board.isIdle(0), board.drain(1)]).toEqual([true, [VLPI]])
  })
})

describe.each(['4.0', '4.1'] as const)('VMOVP of GICv%s with GITS_TYPER.VMOVP = 0', (version) => {
  const its = Array.from({ length: 3 }, () => ({ base: 0, vmovp: 0 as const }))

  /** ITSs 0 and 1 have vPE 1; its events are the same on both. */
  function both(options = {}): VpeBoard {
    const board = vpeBoard({ version, its, ...options })
    board.mapVpe(1, 0).mapVpe(1, 0, { its: 1, alloc: false })
    return board
      .mapVlpi(0, 1, VLPI)
      .mapVlpi(1, 1, VLPI + 1, { its: 1 })
      .wait()
  }

  it('waits until all of the ITSList have it, and then is done on all at once', () => {
    const board = both().vmovp(1, 1, { list: 0b11, sequence: 7 }).int(0)
    expect([board.isIdle(0), board.isIdle(1)]).toEqual([false, true])
    // The other goes on meanwhile.
    board.int(1, 1).vmovp(1, 1, { its: 1, list: 0b11, sequence: 7 })
    expect([board.isIdle(0), board.isIdle(1)]).toEqual([true, true])
    board.load(1, 1)
    expect(board.drain(1)).toEqual([VLPI, VLPI + 1])
    expect([board.errors(), board.unpredictable()]).toEqual([[], []])
  })

  it('waits for one with its sequence number', () => {
    const board = both().vmovp(1, 1, { list: 0b11, sequence: 1 })
    board.vmovp(1, 1, { its: 1, list: 0b11, sequence: 2 })
    expect([board.isIdle(0), board.isIdle(1)]).toEqual([false, false])
  })

  it('does not wait where it is alone in the list, and others do not move', () => {
    const board = both().vmovp(1, 1, { list: 0b01 })
    expect(board.isIdle(0)).toBe(true)
    if (version === '4.0') {
      board.load(1, 0).int(1, 1).int(0)
      expect(board.drain(0)).toEqual([VLPI + 1])
    }
  })

  it('is done again and again, with and without a sequence number of its own', () => {
    for (const next of [1, 0]) {
      const board = both()
      for (let n = 0; n < 40; n++) board.vmovp(1, (n + 1) & 1, { list: 0b11, sequence: n * next })
      board.int(0)
      expect([board.isIdle(0), board.isIdle(1)]).toEqual([false, true])
      for (let n = 0; n < 40; n++) board.vmovp(1, (n + 1) & 1, { its: 1, list: 0b11, sequence: n * next })
      board.int(1, 1)
      expect([board.isIdle(0), board.isIdle(1), board.errors()]).toEqual([true, true, []])
      board.load(1, 0)
      expect(board.drain(0)).toEqual([VLPI, VLPI + 1])
    }
  })

  it('lets the others go on: what follows in their queues is carried out', () => {
    for (const writeEffects of ['at-once', 'lagging'] as const) {
      const board = both({ writeEffects })
      for (const n of [0, 1]) board.vmovp(1, 1, { its: n, list: 0b11, sequence: 3 }).int(n, n)
      board.wait()
      expect([writeEffects, board.isIdle(0), board.isIdle(1)]).toEqual([writeEffects, true, true])
      board.load(1, 1)
      expect(board.drain(1)).toEqual([VLPI, VLPI + 1])
    }
  })

  it('waits for an ITS that is disabled until it is enabled', () => {
    const board = both()
    board.gic.writeMmio(board.gits(0, 1), 4, 0)
    for (const n of [0, 1]) board.vmovp(1, 1, { its: n, list: 0b11, sequence: 3 })
    expect(board.isIdle(0)).toBe(false)
    board.gic.writeMmio(board.gits(0, 1), 4, 1)
    expect([board.isIdle(0), board.isIdle(1)]).toEqual([true, true])
  })

  it('that waits is no effect that could be complete next, where they lag', () => {
    const board = both({ writeEffects: 'lagging' }).vmovp(1, 1, { list: 0b11, sequence: 3 })
    expect([board.gic.effects(), board.gic.writesPending]).toEqual([[], false])
    board.wait()
    expect(board.isIdle(0)).toBe(false)
    board.vmovp(1, 1, { its: 1, list: 0b11, sequence: 3 })
    expect([board.gic.effects(), board.gic.writesPending]).toEqual([
      ['ITS[0] command', 'ITS[1] command'],
      true,
    ])
    board.gic.complete('ITS[1] command')
    expect([board.isIdle(0), board.isIdle(1)]).toEqual([true, true])
  })
})

describe('vPE configuration tables', () => {
  it.each([
    ['CommonLPIAff 0: one table for all', 0, [0, 0, 0, 0]],
    ['CommonLPIAff 1: a table for each Aff3', 1, [0, 0, 1, 1]],
    ['CommonLPIAff 2: a table for each Aff3.Aff2', 2, [0, 1, 2, 2]],
  ] as const)('%s, and a vPE moves between them with all that it has', (_, commonLpiAff, groups) => {
    const affinities = [0x0000_0000, 0x0001_0000, 0x0100_0000, 0x0100_0001]
    const board = new VpeBoard(
      { cpus: 4, affinities, commonLpiAff, its: [{ base: 0, svpet: commonLpiAff }] },
      undefined,
      (cpu) => groups[cpu],
    ).booted()
    const { gic } = board
    for (const cpu of [0, 1, 2, 3])
      expect((gic.readMmio64(board.rd(cpu) + 8) >> 24n) & 3n).toBe(BigInt(commonLpiAff))
    board.configureLpi(BELL).mapVpe(1, 0, { doorbell: BELL }).mapVlpi(0, 1, VLPI).configureSgi(1, 3)
    for (const cpu of [2, 3, 1, 0]) {
      board.load(1, 0)
      board.leave(0)
      board.vmovp(1, cpu, { doorbell: BELL }).int(0).sendSgi(1, 3)
      board.wait().load(1, cpu)
      expect([cpu, board.drain(cpu)]).toEqual([cpu, [3, VLPI]])
      board.leave(cpu)
      board.vmovp(1, 0, { doorbell: BELL })
      board.doorbells(0)
    }
    expect([board.errors(), board.unpredictable()]).toEqual([[], []])
  })

  it('of other affinities are not an ITS’s: it finds the vPE by that of the redistributor (13)', () => {
    const affinities = [0x0000_0000, 0x0100_0000]
    const board = new VpeBoard(
      { affinities, its: [{ base: 0, svpet: 1, affinity: 0x0100_0000 }] },
      undefined,
      (cpu) => 1 - cpu,
    ).booted()
    expect(board.gic.readMmio(board.gits(0x18), 4)).toBe(0x0100_0000)
    board.mapVpe(1, 0).mapVlpi(0, 1, VLPI).int(0).load(1, 0)
    expect(board.drain(0)).toEqual([VLPI])
    board.leave(0)
    board.int(0).vmovp(1, 1).load(1, 1)
    expect(board.drain(1)).toEqual([VLPI])
    expect([board.errors(), board.unpredictable()]).toEqual([[], []])
  })

  it('that lack the page of a vPE make VMAPP there an error', () => {
    const board = vpeBoard({ its: [{ base: 0, svpet: 0 }] })
    board.gic.writeMmio64(board.vlpi(0, 0x70), VALID | (1n << 55n) | 0x4700_0000n)
    board.mapVpe(1, 0)
    expect(board.errors()).toEqual(['VMAPP_VCPU_OOR'])
    board.mapVpe(1, 1)
    expect(board.errors()).toEqual([])
  })
})
