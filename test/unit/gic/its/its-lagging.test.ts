/** Effects of LPIs and of the ITS that lag, one by one and by name. */
import { Gic } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GITS, gits, ItsBoard, its, place, SPURIOUS } from './its-board.ts'

const QUIESCENT = 0x8000_0000
const RWP = 8
const COMMAND = 'ITS[0] command'

/** Events 0 and 1 of device 1 go to CPUs 0 and 1; from here on effects lag. */
function lagging(): ItsBoard {
  const board = new ItsBoard({ writeEffects: 'lagging' })
  board.booted()
  for (const n of [0, 1]) board.configure(8192 + n, 0xa0).send(its.mapti(1, n, 8192 + n, n))
  board.gic.completeWrites()
  expect(board.errors()).toEqual([])
  return board
}

/** What is pending at both CPUs. */
const pending = (board: ItsBoard) => [board.hppi(0), board.hppi(1)]

describe('commands that lag', () => {
  it('are carried out one by one and in order, and GITS_CREADR says which are', () => {
    const board = lagging()
    const at = board.creadr
    board.send(its.int(1, 0), its.movi(1, 0, 1), its.clear(1, 0))
    expect([board.gic.effects(), board.gic.writesPending, board.creadr]).toEqual([[COMMAND], true, at])
    const seen: unknown[] = []
    while (board.gic.effects().length > 0) {
      board.gic.complete(COMMAND)
      seen.push([board.creadr - at, ...pending(board)])
    }
    expect(seen).toEqual([
      [32, 8192, SPURIOUS],
      [64, SPURIOUS, 8192],
      [96, SPURIOUS, SPURIOUS],
    ])
    expect(board.gic.writesPending).toBe(false)
  })

  it('are all carried out by completeWrites', () => {
    const board = lagging()
    board.send(its.int(1, 0), its.int(1, 1))
    expect(pending(board)).toEqual([SPURIOUS, SPURIOUS])
    board.gic.completeWrites()
    expect([pending(board), board.gic.effects()]).toEqual([[8192, 8193], []])
  })

  it('wait while the ITS is disabled or the queue is stalled', () => {
    const board = lagging()
    board.gic.writeMmio(gits.CTLR, 4, 0)
    board.send(its.int(1, 0))
    expect(board.gic.effects()).toEqual([])
    board.gic.writeMmio(gits.CTLR, 4, 1)
    board.ram.refuses = (address) => address === place.devices + 8
    board.gic.complete(COMMAND)
    expect([board.gic.effects(), board.creadr & 1]).toEqual([[], 1])
    board.ram.refuses = () => false
    board.gic.writeMmio(gits.CWRITER, 4, board.gic.readMmio(gits.CWRITER, 4) | 1)
    board.gic.complete(COMMAND)
    expect(board.hppi()).toBe(8192)
  })

  it('that are not under way cannot be completed', () => {
    const board = lagging()
    expect(() => board.gic.complete(COMMAND)).toThrow('effect must be one of effects(), an empty list')
    board.send(its.int(1, 0))
    expect(() => board.gic.complete('ITS[1] command')).toThrow(
      `effects(), ${COMMAND}, but is "ITS[1] command"`,
    )
  })
})

describe('messages that lag', () => {
  it('may be translated in any order, and before or after a command that was there before or came later', () => {
    const outcomes = new Set<string>()
    const orders = [
      [COMMAND, 'ITS[0] MSI 1 0', 'ITS[0] MSI 1 1'],
      [COMMAND, 'ITS[0] MSI 1 1', 'ITS[0] MSI 1 0'],
      ['ITS[0] MSI 1 0', COMMAND, 'ITS[0] MSI 1 1'],
      ['ITS[0] MSI 1 1', 'ITS[0] MSI 1 0', COMMAND],
    ]
    for (const order of orders) {
      const board = lagging()
      board.gic.sendMsi(1, 0)
      board.send(its.mapti(1, 0, 8200, 1)).configure(8200, 0xa0)
      board.gic.sendMsi(1, 1)
      expect(board.gic.effects()).toEqual([COMMAND, 'ITS[0] MSI 1 0', 'ITS[0] MSI 1 1'])
      for (const effect of order) board.gic.complete(effect)
      outcomes.add(JSON.stringify([board.drain(0), board.drain(1)]))
    }
    expect(outcomes).toEqual(
      new Set([
        '[[],[8193,8200]]', // the command came first
        '[[8192],[8193]]', // the message came first
      ]),
    )
  })

  it('are dropped where the ITS is disabled when they come, and translated where it is disabled later', () => {
    const board = lagging()
    const quiescent = () => (board.gic.readMmio(gits.CTLR, 4) & QUIESCENT) !== 0
    board.gic.sendMsi(1, 0)
    board.gic.writeMmio(gits.CTLR, 4, 0)
    board.gic.sendMsi(1, 1)
    expect([board.gic.effects(), quiescent()]).toEqual([['ITS[0] MSI 1 0'], false])
    board.gic.complete('ITS[0] MSI 1 0')
    expect([pending(board), quiescent()]).toEqual([[8192, SPURIOUS], true])
  })

  it('leave nothing behind: in whichever order they were translated, the state is the same', () => {
    const hashes = [
      ['ITS[0] MSI 1 0', 'ITS[0] MSI 1 1', 'ITS[0] MSI 9 9'],
      ['ITS[0] MSI 9 9', 'ITS[0] MSI 1 1', 'ITS[0] MSI 1 0'],
    ].map((order) => {
      const board = lagging()
      for (const [device, event] of [
        [1, 0],
        [9, 9],
        [1, 1],
      ]) {
        board.gic.sendMsi(device, event)
      }
      for (const effect of order) board.gic.complete(effect)
      return board.gic.hash()
    })
    const one = lagging()
    one.gic.sendMsi(1, 1)
    one.gic.sendMsi(1, 0)
    one.gic.completeWrites()
    expect(new Set([...hashes, one.gic.hash()]).size).toBe(1)
  })

  it('sixteen of them can wait; of a further one the oldest is translated at once', () => {
    const board = lagging()
    board.gic.sendMsi(1, 0)
    for (let n = 0; n < 15; n++) board.gic.sendMsi(1, 1)
    expect([board.gic.effects().length, ...pending(board)]).toEqual([16, SPURIOUS, SPURIOUS])
    board.gic.sendMsi(1, 1)
    expect([board.gic.effects().length, ...pending(board)]).toEqual([16, 8192, SPURIOUS])
    board.gic.completeWrites()
    expect(pending(board)).toEqual([8192, 8193])
  })
})

describe('SYNC', () => {
  it('waits for the messages that were accepted for its redistributor, and for no others', () => {
    const board = lagging()
    board.gic.sendMsi(1, 0)
    board.gic.sendMsi(1, 1)
    board.gic.sendMsi(9, 9)
    board.send(its.sync(1))
    const [first, second, unmapped] = ['ITS[0] MSI 1 0', 'ITS[0] MSI 1 1', 'ITS[0] MSI 9 9']
    expect(board.gic.effects()).toEqual([first, second, unmapped])
    expect(() => board.gic.complete(COMMAND)).toThrow('effect must be one of')
    board.gic.complete(second)
    expect(board.gic.effects()).toEqual([COMMAND, first, unmapped])
    board.gic.complete(COMMAND)
    expect(board.gic.effects()).toEqual([first, unmapped])
  })

  it('that is an error waits for nothing, and neither does another command', () => {
    const board = lagging()
    board.gic.sendMsi(1, 0)
    board.send(its.sync(2), its.int(1, 1), its.sync(0))
    board.gic.complete(COMMAND)
    board.gic.complete(COMMAND)
    expect(board.commandErrors()).toEqual(['SYNC_PROCNUM_OOR'])
    expect(board.gic.effects()).toEqual(['ITS[0] MSI 1 0'])
    board.gic.completeWrites()
    expect(board.gic.effects()).toEqual([])
  })
})

describe('GICR_CTLR.EnableLPIs', () => {
  it('lags: what comes after it is set is pending and not forwarded before the effect is there', () => {
    const board = new ItsBoard({ writeEffects: 'lagging' }).booted().configure(8192, 0xa0)
    board.send(its.mapti(1, 0, 8192, 0))
    for (const effect of ['GICR_WAKER[0]', 'GICR_WAKER[1]']) board.gic.complete(effect)
    while (board.gic.effects().includes(COMMAND)) board.gic.complete(COMMAND)
    const enabling = ['GICR_CTLR[0].EnableLPIs', 'GICR_CTLR[1].EnableLPIs']
    expect(board.gic.effects()).toEqual(enabling)
    board.ram.words.set(place.pending(0) + 1024, 0x2)
    board.configure(8193, 0x20)
    board.send(its.int(1, 0))
    board.gic.complete(COMMAND)
    expect([board.hppi(), board.gic.readMmio(board.redistributor(0), 4)]).toEqual([SPURIOUS, 3])
    board.gic.complete('GICR_CTLR[0].EnableLPIs')
    expect([board.gic.effects(), board.drain()]).toEqual([['GICR_CTLR[1].EnableLPIs'], [8193, 8192]])
  })

  it('when it is cleared, LPIs are in force and the table is old until RWP falls', () => {
    const board = lagging()
    const rd = board.redistributor(0)
    board.gic.writeMmio(rd, 4, 0)
    expect(board.gic.readMmio(rd, 4) & RWP).toBe(RWP)
    board.send(its.int(1, 0))
    board.gic.complete(COMMAND)
    expect([board.irq(), board.ram.words.get(place.pending(0) + 1024)]).toEqual([1, undefined])
    board.gic.complete('GICR_CTLR[0].EnableLPIs')
    expect([
      board.irq(),
      board.gic.readMmio(rd, 4) & RWP,
      board.ram.words.get(place.pending(0) + 1024),
    ]).toEqual([0, 0, 1])
  })

  it('that is set again before it was out of force is out of force and then set', () => {
    const board = lagging()
    board.send(its.int(1, 0))
    board.gic.complete(COMMAND)
    board.gic.writeMmio(board.redistributor(0), 4, 0)
    board.gic.writeMmio(board.redistributor(0), 4, 1)
    expect([board.hppi(), board.ram.words.get(place.pending(0) + 1024)]).toEqual([SPURIOUS, 1])
    board.gic.completeWrites()
    expect(board.drain()).toEqual([8192])
  })
})

describe('the effects of earlier releases', () => {
  it('have names of their own, and are completed one by one', () => {
    const board = new ItsBoard({ writeEffects: 'lagging' })
    const { gic } = board
    gic.writeMmio(0x0800_0000, 4, 3)
    gic.writeMmio(0x0800_0000, 4, 0)
    gic.writeMmio(board.redistributor(1) + 0x14, 4, 0)
    gic.writeMmio(board.redistributor(0) + 0x1_0100, 4, 0xffff_ffff)
    gic.writeMmio(board.redistributor(0) + 0x1_0180, 4, 1)
    expect(gic.effects()).toEqual(['GICD_CTLR.RWP', 'GICR_CTLR[0].RWP', 'GICR_WAKER[1]'])
    for (const effect of gic.effects()) gic.complete(effect)
    expect([gic.effects(), gic.writesPending]).toEqual([[], false])
    expect(gic.readMmio(board.redistributor(1) + 0x14, 4)).toBe(0)
  })
})

it('with effects at once there are none', () => {
  const board = new ItsBoard({ its: [{ base: GITS }] }).booted().send(its.int(1, 0))
  board.gic.sendMsi(1, 0)
  expect([board.gic.effects(), board.gic.writesPending]).toEqual([[], false])
  expect(Gic.from(board.gic.snapshot()).effects()).toEqual([])
})
