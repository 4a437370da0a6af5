/** The command queue with commands about vPEs: errors that stall it, what VSYNC waits for, and reports. */
import { describe, expect, it } from 'vitest'
import { type VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192

describe('a command about a vPE that is an error', () => {
  it('stalls the queue with commandErrors: stall, until software has replaced it and retries (95)', () => {
    const board = vpeBoard({ its: [{ base: 0 }, { base: 0 }], choices: { commandErrors: 'stall' } })
    board.mapVpe(1, 0, { its: 1 }).configureSgi(1, 3)
    expect(board.errors()).toEqual(['VSGI_VCPU_INVALID'])
    expect(board.gic.readMmio(board.gits(0x90), 4) & 1).toBe(1)
    board.sendSgi(1, 3, 1)
    // The driver writes another command over it: first one that is an error too.
    const at = board.gic.readMmio(board.gits(0x90), 4) & ~1
    const vsgi = [0, 4, 8, 12].map((n) => board.ram.read32(0x4102_0000 + at + n))
    const [opcode, sgi, , vpe] = vsgi
    expect([opcode & 0xff, sgi, vpe]).toEqual([0x23, 3, 1])
    board.ram.write32(0x4102_0000 + at, 0x25)
    board.ram.write32(0x4102_0000 + at + 12, 0)
    board.gic.writeMmio(board.gits(0x88), 4, (board.gic.readMmio(board.gits(0x88), 4) & ~1) | 1)
    expect(board.errors()).toEqual(['VSYNC_VCPU_INVALID'])
    // Replaced by one that is no error, the queue goes on.
    board.ram.write32(0x4102_0000 + at, 0x05)
    board.gic.writeMmio(board.gits(0x88), 4, board.gic.readMmio(board.gits(0x88), 4) | 1)
    expect(board.isIdle()).toBe(true)
    board.mapVpe(1, 0, { alloc: false }).configureSgi(1, 3).load(1, 0)
    expect([board.errors(), board.drain()]).toEqual([[], [3]])
  })

  it('is ignored else, and the queue goes on', () => {
    const board = vpeBoard().configureSgi(1, 3).mapVpe(1, 0).mapVlpi(0, 1, VLPI).int(0).load(1, 0)
    expect([board.errors(), board.drain()]).toEqual([['VSGI_VCPU_INVALID'], [VLPI]])
  })
})

describe('VSYNC, where effects lag', () => {
  const lagging = (): VpeBoard =>
    vpeBoard({ writeEffects: 'lagging' })
      .mapVpe(1, 0)
      .mapVpe(2, 0)
      .mapVlpi(0, 1, VLPI)
      .mapVlpi(1, 2, VLPI)
      .wait()

  it('waits for the messages of its vPE, and not for those of another', () => {
    const board = lagging()
    board.gic.sendMsi(1, 0)
    board.vsync(1)
    expect(board.gic.effects()).toEqual(['ITS[0] MSI 1 0'])
    board.gic.complete('ITS[0] MSI 1 0')
    expect(board.gic.effects()).toEqual(['ITS[0] command'])
    board.wait().gic.sendMsi(1, 1)
    board.vsync(1)
    expect(board.gic.effects()).toEqual(['ITS[0] command', 'ITS[0] MSI 1 1'])
  })

  it('has what was sent before it be there: VSGI, INVDB, VMOVI (92)', () => {
    const board = lagging().sendSgi(1, 5).vmovi(0, 2).configureSgi(1, 5).invdb(1).vsync(1)
    while (!board.isIdle()) board.gic.complete('ITS[0] command')
    board.load(1, 0)
    expect(board.drain()).toEqual([5])
  })
})

describe('where UNPREDICTABLE uses are reported', () => {
  it('one is heard of with the policy report, and not with ignore', () => {
    const heard: string[] = []
    for (const unpredictable of ['report', 'ignore'] as const) {
      const board = vpeBoard({ unpredictable })
      board.mapVpe(1, 1).load(1, 0)
      heard.push(`${unpredictable} ${board.unpredictable().join()}`)
    }
    expect(heard).toEqual(['report resident-elsewhere', 'ignore '])
  })
})
