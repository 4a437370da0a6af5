/** Doorbells: the default one of a vPE on GICv4.1, requested and rung once, and those of vLPIs on GICv4.0. */
import { describe, expect, it } from 'vitest'
import { NONE, type VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const BELL = 9000

/** vPE 1 on CPU 0 with two vLPIs, its doorbell enabled. */
const belled = (options: Parameters<typeof vpeBoard>[0] = {}): VpeBoard =>
  vpeBoard(options)
    .configureLpi(BELL)
    .mapVpe(1, 0, { doorbell: BELL })
    .mapVlpi(0, 1, VLPI)
    .mapVlpi(1, 1, VLPI + 1)
    .wait()

/** It was resident, and has left with a doorbell requested. */
function waiting(options: Parameters<typeof vpeBoard>[0] = {}): VpeBoard {
  const board = belled(options).load(1, 0)
  expect(board.leave(0)).toBe(false)
  return board
}

describe('the default doorbell of a vPE', () => {
  it('rings when an interrupt comes after it was requested, where the vPE is mapped (51)', () => {
    const board = waiting().int(0)
    expect([board.gic.line(0, 'irq'), board.gic.line(1, 'irq')]).toEqual([1, 0])
    expect(board.doorbells()).toEqual([BELL])
    board.load(1, 0)
    expect(board.drain()).toEqual([VLPI])
  })

  it('rings once a request, also after it was acknowledged (52)', () => {
    const board = waiting().int(0)
    expect(board.doorbells()).toEqual([BELL])
    board.int(1)
    expect(board.doorbells()).toEqual([])
    board.load(1, 0)
    expect(board.drain()).toEqual([VLPI, VLPI + 1])
    board.leave(0)
    board.int(1)
    expect(board.doorbells()).toEqual([BELL])
  })

  it('is not requested without Doorbell, nor with PendingLast, written or read (53, 54, 55)', () => {
    const quiet: Array<[string, (board: VpeBoard) => void]> = [
      ['Doorbell 0', (board) => board.leave(0, { doorbell: false })],
      ['PendingLast 1', (board) => board.leave(0, { pendingLast: true })],
      [
        'something pending',
        (board) => {
          board.int(1)
          expect(board.leave(0)).toBe(true)
        },
      ],
    ]
    for (const [name, leave] of quiet) {
      const board = belled().load(1, 0)
      leave(board)
      board.int(0)
      expect([name, board.doorbells()]).toEqual([name, []])
    }
  })

  it('rings for what is enabled only, and what is not does not use the request up (56)', () => {
    const board = waiting().configure(1, VLPI, 0xa0, false).int(0)
    expect(board.doorbells()).toEqual([])
    board.int(1)
    expect(board.doorbells()).toEqual([BELL])
  })

  it.each(['inv', 'vinvall', 'invlpir', 'invallr', 'vsgi'] as const)(
    'rings for a pending one that %s enables, by the choice doorbellOfEnabled (57)',
    (by) => {
      for (const doorbellOfEnabled of ['silent', 'rings'] as const) {
        const board = waiting({ choices: { doorbellOfEnabled } })
        board.configure(1, VLPI, 0xa0, false).configureSgi(1, 3, { enabled: false })
        if (by === 'vsgi') board.sendSgi(1, 3).configureSgi(1, 3)
        else {
          board.int(0).configure(1, VLPI)
          if (by === 'inv') board.inv(0)
          else if (by === 'vinvall') board.vinvall(1)
          else if (by === 'invlpir') board.invlpir(0, 1, VLPI)
          else board.invallr(0, 1)
        }
        expect(board.doorbells()).toEqual(doorbellOfEnabled === 'rings' ? [BELL] : [])
        // And not for a second invalidation.
        board.vinvall(1).inv(0)
        expect(board.doorbells()).toEqual([])
      }
    },
  )

  it('is taken back, and its request is over, when the vPE becomes resident (58, 59)', () => {
    const board = waiting().int(0)
    expect(board.gic.line(0, 'irq')).toBe(1)
    board.load(1, 0)
    expect([board.gic.line(0, 'irq'), board.doorbells()]).toEqual([0, []])
    expect(board.drain()).toEqual([VLPI])
    board.leave(0, { doorbell: false })
    board.int(0)
    expect(board.doorbells()).toEqual([])
  })

  it('rings for vSGIs (60), and not for groups that were not enabled (61)', () => {
    const board = belled().configureSgi(1, 2).configureSgi(1, 3, { group: 0 }).load(1, 0, [0])
    board.leave(0)
    board.sendSgi(1, 2).int(0)
    expect(board.doorbells()).toEqual([])
    board.sendSgi(1, 3)
    expect(board.doorbells()).toEqual([BELL])
  })

  it('has its priority and enable from the physical table; INVDB makes a change act (62, 63)', () => {
    const board = waiting().configureLpi(BELL, 0xa0, false).invdb(1).int(0)
    expect([board.errors(), board.gic.line(0, 'irq')]).toEqual([[], 0])
    board.configureLpi(BELL).invdb(1)
    expect(board.gic.line(0, 'irq')).toBe(1)
    expect(board.doorbells()).toEqual([BELL])
  })

  it('is not taken back by CLEAR, DISCARD or VSGI with Clear (64)', () => {
    expect(waiting().int(0).clear(0).doorbells()).toEqual([BELL])
    expect(waiting().int(0).discard(0).doorbells()).toEqual([BELL])
    expect(waiting().configureSgi(1, 2).sendSgi(1, 2).clearSgi(1, 2).doorbells()).toEqual([BELL])
  })

  it('goes with the vPE: a request rings where it is mapped then (65)', () => {
    const board = waiting().vmovp(1, 1).int(0)
    expect([board.doorbells(0), board.doorbells(1)]).toEqual([[], [BELL]])
  })

  it.each([
    ['with DB = 1', 'stays', BELL, [[], [BELL]]],
    ['with DB = 0 and doorbellOfMovedVpe: stays', 'stays', undefined, [[BELL], []]],
    ['with DB = 0 and doorbellOfMovedVpe: moves', 'moves', undefined, [[], [BELL]]],
  ] as const)('that is pending is moved by VMOVP %s (66)', (_, doorbellOfMovedVpe, doorbell, got) => {
    const options = doorbell === undefined ? {} : { doorbell }
    const board = waiting({ choices: { doorbellOfMovedVpe } }).int(0).vmovp(1, 1, options)
    expect([board.doorbells(0), board.doorbells(1)]).toEqual(got)
  })

  it('is another after VMOVP with DB = 1 (91)', () => {
    const board = waiting()
      .configureLpi(BELL + 1)
      .vmovp(1, 1, { doorbell: BELL + 1 })
      .int(0)
    expect(board.doorbells(1)).toEqual([BELL + 1])
  })

  it('does not ring for a vPE that was never resident (68), nor for what is pending already (69)', () => {
    expect(belled().int(0).doorbells()).toEqual([])
    const board = belled().configureSgi(1, 2).configure(1, VLPI, 0xa0, false).int(0).load(1, 0)
    expect(board.leave(0)).toBe(false)
    board.configure(1, VLPI).int(0)
    expect(board.doorbells()).toEqual([])
  })

  it('rings for a vLPI that VMOVI brings', () => {
    const board = waiting()
      .mapVpe(2, 0)
      .mapVlpi(2, 2, VLPI + 2)
      .configure(1, VLPI + 2)
      .int(2)
      .vmovi(2, 1)
    expect(board.doorbells()).toEqual([BELL])
  })

  it('is lost where LPIs are disabled, and the interrupt is not', () => {
    const board = waiting()
    board.gic.writeMmio(board.rd(0), 4, 0)
    board.int(0).load(1, 0)
    expect(board.drain()).toEqual([VLPI])
  })

  it('that lags is delivered in a step of its own, and not if the vPE is resident before', () => {
    const board = waiting({ writeEffects: 'lagging' }).int(0)
    board.gic.complete('ITS[0] command')
    expect(board.gic.effects()).toEqual([`doorbell ${BELL} at 0`])
    expect(board.gic.line(0, 'irq')).toBe(0)
    board.gic.complete(`doorbell ${BELL} at 0`)
    expect(board.doorbells()).toEqual([BELL])

    board.load(1, 0)
    expect(board.drain()).toEqual([VLPI])
    board.leave(0)
    board.int(0)
    board.gic.complete('ITS[0] command')
    board.startLoad(1, 0).wait()
    expect(board.doorbells()).toEqual([])
  })

  it('that lags goes with a vPE that moves', () => {
    const board = waiting({ writeEffects: 'lagging' }).int(0)
    board.gic.complete('ITS[0] command')
    board.vmovp(1, 1, { doorbell: BELL })
    board.gic.complete('ITS[0] command')
    expect(board.gic.effects()).toEqual([`doorbell ${BELL} at 1`])
    board.wait()
    expect([board.doorbells(0), board.doorbells(1)]).toEqual([[], [BELL]])
  })

  it('has room for 16 that lag; then the oldest is delivered at once', () => {
    const board = vpeBoard({ writeEffects: 'lagging', cpus: 1 })
    for (let vpe = 1; vpe <= 17; vpe++) {
      board
        .configureLpi(BELL + vpe)
        .mapVpe(vpe, 0, { doorbell: BELL + vpe })
        .mapVlpi(vpe, vpe, VLPI)
      board.wait().load(vpe, 0)
      board.leave(0)
    }
    for (let vpe = 1; vpe <= 17; vpe++) {
      board.int(vpe)
      board.gic.complete('ITS[0] command')
    }
    expect(board.gic.effects()).toHaveLength(16)
    expect(board.doorbells()).toEqual([BELL + 1])
    expect(board.wait().doorbells()).toHaveLength(16)
  })
})

describe('the doorbell of a vLPI on GICv4.0', () => {
  const own = (options: Parameters<typeof vpeBoard>[0] = {}): VpeBoard =>
    vpeBoard({ version: '4.0', ...options })
      .configureLpi(BELL)
      .configureLpi(BELL + 1)
      .mapVpe(1, 0)
      .mapVlpi(0, 1, VLPI, { doorbell: BELL })
      .mapVlpi(1, 1, VLPI + 1)

  it('rings when the vPE is not resident, without being asked for, and not when it is', () => {
    const board = own().int(0)
    expect(board.doorbells()).toEqual([BELL])
    board.load(1, 0).int(0)
    expect(board.doorbells()).toEqual([])
    expect(board.drain()).toEqual([VLPI])
  })

  it('is none where VMAPTI says 1023', () => {
    const board = own().int(1)
    expect([board.doorbells(), NONE]).toEqual([[], 1023])
  })

  it('rings at the redistributor of the vPE, which VMOVP changes', () => {
    const board = own().vmovp(1, 1).int(0)
    expect([board.doorbells(0), board.doorbells(1)]).toEqual([[], [BELL]])
  })

  it.each([
    ['silent', []],
    ['rings', [BELL]],
  ] as const)('rings for one that is pending already by doorbellOfPending: %s', (doorbellOfPending, got) => {
    const board = own({ choices: { doorbellOfPending } }).int(0)
    board.doorbells()
    expect(board.int(0).doorbells()).toEqual(got)
  })

  it.each([
    ['silent', []],
    ['rings', [BELL]],
  ] as const)('rings for one that is disabled by doorbellOfDisabled: %s', (doorbellOfDisabled, got) => {
    const board = own({ choices: { doorbellOfDisabled } }).load(1, 0)
    board.leave(0)
    board.configure(1, VLPI, 0xa0, false).int(0)
    expect(board.doorbells()).toEqual(got)
  })

  it.each([
    ['silent', []],
    ['rings', [BELL + 1]],
  ] as const)('rings for one that VMOVI brings by doorbellOfMoved: %s', (doorbellOfMoved, got) => {
    const board = own({ choices: { doorbellOfMoved } }).mapVpe(2, 1).load(1, 0).int(0)
    board.vmovi(0, 2, BELL + 1)
    expect([board.virq(), board.doorbells(0), board.doorbells(1)]).toEqual([0, [], got])
  })

  it('stays with VMOVI where D is 0, and is another where it is 1', () => {
    const board = own().mapVpe(2, 1).vmovi(0, 2).int(0)
    expect(board.doorbells(1)).toEqual([BELL])
    board
      .vmovi(0, 1, BELL + 1)
      .clear(0)
      .int(0)
    expect(board.doorbells(0)).toEqual([BELL + 1])
    board.vmovi(0, 2, NONE).clear(0).int(0)
    expect([board.doorbells(0), board.doorbells(1)]).toEqual([[], []])
  })

  it('rings also for vPEs that are mapped elsewhere than where they are resident', () => {
    const board = own().load(1, 1).int(0)
    expect([board.virq(1), board.doorbells(0)]).toEqual([0, [BELL]])
    board.leave(1)
    board.load(1, 0)
    expect(board.drain(0)).toEqual([VLPI])
  })
})

describe('doorbells that are under way', () => {
  /** vPEs 1 and 2 on CPU 0 and vPE 3 on CPU 1, of which 1 and 3 have the same doorbell: all of them were rung. */
  function rung(): VpeBoard {
    const board = vpeBoard({ version: '4.1', writeEffects: 'lagging' })
    for (const [vpe, cpu, doorbell] of [
      [1, 0, BELL],
      [2, 0, BELL + 1],
      [3, 1, BELL],
    ]) {
      board.configureLpi(doorbell).mapVpe(vpe, cpu, { doorbell }).mapVlpi(vpe, vpe, VLPI).wait()
      board.load(vpe, cpu).leave(cpu)
    }
    for (const event of [1, 2, 3]) board.int(event)
    return commands(board)
  }
  /** The ITS carries its commands out, and nothing else happens. */
  function commands(board: VpeBoard): VpeBoard {
    while (board.gic.effects().includes('ITS[0] command')) board.gic.complete('ITS[0] command')
    return board
  }
  const underWay = (board: VpeBoard): string[] =>
    board.gic.effects().filter((name) => name.startsWith('doorbell'))

  it('are each of one CPU, and come one by one', () => {
    const board = rung()
    expect(underWay(board)).toEqual([
      `doorbell ${BELL} at 0`,
      `doorbell ${BELL + 1} at 0`,
      `doorbell ${BELL} at 1`,
    ])
    expect([0, 1].map((cpu) => board.gic.line(cpu, 'irq'))).toEqual([0, 0])
    board.gic.complete(`doorbell ${BELL} at 1`)
    expect([0, 1].map((cpu) => board.gic.line(cpu, 'irq'))).toEqual([0, 1])
    expect(board.doorbells(1)).toEqual([BELL])
    board.wait()
    expect(board.doorbells(0)).toEqual([BELL, BELL + 1])
  })

  it('go along with their vPE, and no other does', () => {
    const board = commands(rung().vmovp(2, 1, { doorbell: BELL + 1 }))
    expect(underWay(board)).toEqual([
      `doorbell ${BELL} at 0`,
      `doorbell ${BELL + 1} at 1`,
      `doorbell ${BELL} at 1`,
    ])
    expect(underWay(commands(board.vmovp(1, 1, { doorbell: BELL })))).not.toContain(`doorbell ${BELL} at 0`)
  })

  it('are taken back when their vPE becomes resident, and no other is', () => {
    const board = rung().startLoad(1, 0)
    board.gic.complete('GICR_VPENDBASER[0].Dirty')
    expect(underWay(board)).toEqual([`doorbell ${BELL + 1} at 0`, `doorbell ${BELL} at 1`])
  })
})
