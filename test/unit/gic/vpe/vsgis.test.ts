/** vSGIs: VSGI, GITS_SGIR, GICR_VSGIR, and how a guest sees them. */
import { ICC_SGI1R_EL1 } from 'vgic'
import { describe, expect, it } from 'vitest'
import { type VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'

const mapped = (options: Parameters<typeof vpeBoard>[0] = {}): VpeBoard =>
  vpeBoard(options).mapVpe(1, 0).mapVpe(2, 1)
/** All 16 enabled. */
function configured(options: Parameters<typeof vpeBoard>[0] = {}): VpeBoard {
  const board = mapped(options)
  for (let sgi = 0; sgi < 16; sgi++) board.configureSgi(1, sgi)
  return board
}

describe('a vSGI', () => {
  it('has enable, group and priority by VSGI, which leaves its pending state (120, 124, 125, 126)', () => {
    const board = mapped().load(1, 0).sendSgi(1, 7)
    expect([board.virq(), board.vfiq()]).toEqual([0, 0])
    board.configureSgi(1, 7, { priority: 0x30 })
    expect([board.virq(), board.ack(), board.running()]).toEqual([1, 7, 0x30])
    board.eoi(7).sendSgi(1, 7).configureSgi(1, 7, { group: 0, priority: 0xf0 })
    expect([board.virq(), board.vfiq(), board.hppi(0, 0)]).toEqual([0, 1, 7])
    expect(board.ack(0, 0)).toBe(7)
    expect(board.running()).toBe(0xf0)
  })

  it('is cleared by VSGI with Clear, which leaves the rest (121)', () => {
    const board = configured().load(1, 0).sendSgi(1, 7).clearSgi(1, 7)
    expect(board.virq()).toBe(0)
    board.sendSgi(1, 7)
    expect([board.ack(), board.running()]).toEqual([7, 0xa0])
    board.eoi(7).leave(0)
    board.sendSgi(1, 3).clearSgi(1, 3)
    expect(board.pendingSgis(1, 0)).toBe(0)
  })

  it('is an edge: twice before the acknowledge is once, and again after it is again (122, 128, 129)', () => {
    const board = configured().load(1, 0).sendSgi(1, 2).sendSgi(1, 2)
    expect(board.ack()).toBe(2)
    expect(board.hppi()).toBe(1023)
    board.sendSgi(1, 2)
    expect([board.hppi(), board.virq()]).toEqual([2, 0])
    board.eoi(2)
    expect([board.virq(), board.drain()]).toEqual([1, [2]])
  })

  it('waits while the vPE is not resident (127), and is its own vPE’s (135)', () => {
    const board = configured().configureSgi(2, 4).sendSgi(1, 4)
    expect([board.pendingSgis(1, 0), board.pendingSgis(2, 1)]).toEqual([0x10, 0])
    board.load(2, 1).load(1, 0)
    expect([board.drain(1), board.drain(0)]).toEqual([[], [4]])
  })

  it('comes by priority, and of equal ones by INTID', () => {
    const board = configured().configureSgi(1, 9, { priority: 0x10 }).configureSgi(1, 14, { priority: 0x90 })
    for (const sgi of [15, 3, 14, 9, 0]) board.sendSgi(1, sgi)
    board.load(1, 0)
    expect(board.drain()).toEqual([9, 14, 0, 3, 15])
  })

  it('has a changed configuration act at once on a resident vPE (134)', () => {
    const board = configured().load(1, 0).sendSgi(1, 5).sendSgi(1, 6).configureSgi(1, 6, { priority: 0x20 })
    expect(board.hppi()).toBe(6)
    board.configureSgi(1, 6, { enabled: false })
    expect(board.hppi()).toBe(5)
    board.configureSgi(1, 5, { enabled: false })
    expect(board.virq()).toBe(0)
    expect(board.pendingSgis(1, 0)).toBe(0x60)
  })

  it('of a vPE that is not mapped, or out of range, does not come (123)', () => {
    const board = configured({ vpeBits: 8 })
    for (const vpe of [0, 3, 0x100, 0x101, 0xffff]) board.sendSgi(vpe, 1)
    expect([board.errors(), board.pendingSgis(1, 0)]).toEqual([[], 0])
    board.configureSgi(3, 1).clearSgi(3, 1).invdb(3)
    expect(board.errors()).toEqual(['VSGI_VCPU_INVALID', 'VSGI_VCPU_INVALID', 'INVDB_VCPU_INVALID'])
  })

  it.each([
    ['ignored', 0],
    ['taken', 2],
  ] as const)(
    'sent while the ITS is disabled comes by sgirWhileDisabled: %s (136)',
    (sgirWhileDisabled, got) => {
      const board = configured({ choices: { sgirWhileDisabled } })
      board.gic.writeMmio(board.gits(0), 4, 0)
      board.sendSgi(1, 1)
      expect(board.pendingSgis(1, 0)).toBe(got)
    },
  )

  it('is sent by a doubleword only: GITS_SGIR takes no halves', () => {
    const board = configured()
    board.gic.writeMmio(board.gits(0x2_0020), 4, 1)
    board.gic.writeMmio(board.gits(0x2_0024), 4, 1)
    expect(board.pendingSgis(1, 0)).toBe(0)
    expect(board.gic.readMmio64(board.gits(0x2_0020))).toBe(0n)
  })

  it('goes with the vPE from redistributor to redistributor, configuration and all (107)', () => {
    const board = configured().configureSgi(1, 8, { group: 0, priority: 0x50 }).sendSgi(1, 8).vmovp(1, 1)
    expect(board.pendingSgis(1, 1)).toBe(0x100)
    board.load(1, 1)
    expect([board.vfiq(1), board.ack(1, 0), board.running(1)]).toEqual([1, 8, 0x50])
  })

  it('is not what a guest’s ICC_SGI1R_EL1 sends: that traps (137)', () => {
    const board = configured().load(1, 0)
    board.gic.writeSysreg64(0, ICC_SGI1R_EL1, 0x100_0001n, 1)
    expect(board.gic.lastTrap).not.toBe(0)
    expect([board.virq(), board.pendingSgis(1, 0)]).toEqual([0, 0])
  })
})

describe('GICR_VSGIR', () => {
  it('asks which are pending: enabled or not, resident or not, and not acknowledged ones (132)', () => {
    const board = mapped().configureSgi(1, 1).sendSgi(1, 1).sendSgi(1, 15)
    expect(board.pendingSgis(1, 0)).toBe(0x8002)
    board.load(1, 0)
    expect(board.pendingSgis(1, 0)).toBe(0x8002)
    expect(board.ack()).toBe(1)
    expect(board.pendingSgis(1, 0)).toBe(0x8000)
  })

  it('is Busy until the answer is there; asked again meanwhile, it is the new question (133)', () => {
    const board = configured({ writeEffects: 'lagging' }).wait()
    board.configureSgi(2, 3).wait().sendSgi(1, 1).sendSgi(2, 3).vmovp(2, 0).wait()
    board.gic.writeMmio(board.vlpi(0, 0x80), 4, 1)
    expect(board.gic.readMmio(board.vlpi(0, 0x88), 4)).toBe(0x8000_0000)
    expect(board.gic.effects()).toEqual(['GICR_VSGIPENDR[0].Busy'])
    board.gic.writeMmio(board.vlpi(0, 0x80), 4, 2)
    board.wait()
    expect(board.gic.readMmio(board.vlpi(0, 0x88), 4)).toBe(8)
  })

  it('of a vPE that is not there, or has more bits than there are, finds nothing (133)', () => {
    const board = configured({ vpeBits: 8 }).sendSgi(1, 1)
    for (const vpe of [0, 3, 0x101, 0xffff]) expect(board.pendingSgis(vpe, 0)).toBe(0)
  })
})

describe('a GICv4.0', () => {
  it('has no vSGIs: VSGI and INVDB are errors, and their registers read as zero (150, 151, 152)', () => {
    const board = vpeBoard({ version: '4.0' }).mapVpe(1, 0).configureSgi(1, 1).invdb(1)
    expect(board.errors().map((name) => name.replace(/.*_INVALID/, 'INVALID'))).toHaveLength(2)
    board.sendSgi(1, 1).load(1, 0)
    expect([board.virq(), board.pendingSgis(1, 0)]).toEqual([0, 0])
    expect((board.gic.readMmio64(board.gits(8)) >> 39n) & 0x1fn).toBe(0n)
    expect(board.gic.readMmio64(board.rd(0) + 8) & ((1n << 7n) | (1n << 26n))).toBe(0n)
    expect(board.gic.readMmio(0x0800_000c, 4)).toBe(0)
  })
})
