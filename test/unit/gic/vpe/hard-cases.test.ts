/** Hard cases of docs/hard-cases.md that are about GICv4: what the silicon does where drivers went wrong. */
import { describe, expect, it } from 'vitest'
import { place, type VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const BELL = 9000

const belled = (options: Parameters<typeof vpeBoard>[0] = {}): VpeBoard =>
  vpeBoard(options).configureLpi(BELL).mapVpe(1, 0, { doorbell: BELL }).mapVlpi(0, 1, VLPI).wait()

describe('45: Valid is never cleared while Dirty is set', () => {
  it('45: a driver that is preempted between load and entry, and puts the vPE at once, is told', () => {
    const board = belled({ writeEffects: 'lagging' }).int(0).wait().startLoad(1, 0)
    expect(board.isDirty(0)).toBe(true)
    board.startPut(0)
    expect(board.unpredictable()).toEqual(['valid-while-dirty'])
    // Nothing is lost here all the same.
    board.wait()
    expect(board.pendingLast(0)).toBe(true)
  })

  it('45: one that waits for Dirty first is not', () => {
    const board = belled({ writeEffects: 'lagging' }).int(0).wait().startLoad(1, 0).wait().startPut(0).wait()
    expect([board.unpredictable(), board.pendingLast(0)]).toEqual([[], true])
  })
})

describe('46: the doorbell can fire before software has stored PendingLast', () => {
  it('46: it is pending when GICR_VPENDBASER is read, which has PendingLast 0', () => {
    const board = belled({ writeEffects: 'lagging' }).load(1, 0).startPut(0)
    board.gic.complete('GICR_VPENDBASER[0].Dirty')
    // The vPE has left, and the driver has not read the register yet.
    board.int(0)
    board.gic.complete('ITS[0] command')
    board.gic.complete(`doorbell ${BELL} at 0`)
    expect(board.gic.line(0, 'irq')).toBe(1)
    expect(board.doorbells()).toEqual([BELL])
    // A driver that now stores what it reads forgets that the vCPU has something to do.
    expect([board.isDirty(0), board.pendingLast(0)]).toEqual([false, false])
    board.load(1, 0)
    expect(board.drain()).toEqual([VLPI])
  })
})

describe('47: invalidations by the redistributor race a change of affinity', () => {
  it('47: GICR_INVLPIR at the redistributor that the vPE has left has no effect', () => {
    const board = belled().load(1, 0).int(0)
    board.leave(0)
    // The invalidation was meant for CPU 0, and VMOVP comes in between.
    board.vmovp(1, 1).load(1, 1).configure(1, VLPI, 0xa0, false).invlpir(0, 1, VLPI)
    expect(board.virq(1)).toBe(1)
    board.invlpir(1, 1, VLPI)
    expect(board.virq(1)).toBe(0)
  })
})

describe('48: no VMOVP for a vPE that is not mapped', () => {
  it('48: it is a command error, is reported, and moves nothing', () => {
    const board = belled().vmovp(2, 1).unmapVpe(1).vmovp(1, 1)
    expect(board.errors()).toEqual(['VMOVP_VCPU_INVALID', 'VMOVP_VCPU_INVALID'])
    expect(board.unpredictable()).toEqual(['command-unmapped', 'command-unmapped'])
    board.mapVpe(1, 0).int(0).load(1, 0)
    expect(board.drain()).toEqual([VLPI])
  })
})

describe('49: Size of GICR_VPROPBASER is pages less one', () => {
  it.each([
    [1, 2047],
    [2, 4095],
    [4, 8191],
  ])('49: with %i pages of 64 KiB the last vPE is %i', (pages, last) => {
    const board = vpeBoard({ its: [{ base: 0, svpet: 0 }] })
    for (const cpu of [0, 1]) board.vpropbaser(cpu, pages)
    board.gic.writeMmio(board.gits(0), 4, 0)
    board.gic.writeMmio64(board.gits(0x110), (1n << 63n) | 0x200n | 0xfn | BigInt(0x4a00_0000))
    board.gic.writeMmio(board.gits(0), 4, 1)
    board.mapVpe(last, 0, { vpt: place.virtualPending(1) })
    expect(board.errors()).toEqual([])
    board.mapVpe(last + 1, 0, { vpt: place.virtualPending(2) })
    expect(board.errors()).toEqual(['VMAPP_VCPU_OOR'])
  })
})

describe('50: VMAPP has Alloc at the first map and at the last unmap', () => {
  const its = [{ base: 0 }, { base: 0 }]

  it('50: other maps and unmaps leave the pending state alone', () => {
    const board = vpeBoard({ its }).mapVpe(1, 0).mapVlpi(0, 1, VLPI).int(0)
    board.mapVpe(1, 0, { its: 1, alloc: false }).unmapVpe(1, { its: 1, alloc: false }).load(1, 0)
    expect([board.drain(), board.unpredictable()]).toEqual([[VLPI], []])
  })

  it('50: with PTZ after the state was read, as a driver must not do, it is gone', () => {
    for (const ptz of [false, true]) {
      const board = vpeBoard({ its }).mapVpe(1, 0).mapVlpi(0, 1, VLPI).int(0).unmapVpe(1)
      expect(board.inTable(1, VLPI)).toBe(true)
      board.mapVpe(1, 0, { ptz }).load(1, 0)
      expect(board.drain()).toEqual(ptz ? [] : [VLPI])
    }
  })
})

describe('51: the pending state of vLPIs is in memory after the vPE was unmapped', () => {
  it('51: and not while it is resident', () => {
    const board = belled().load(1, 0).int(0)
    expect([board.virq(), board.inTable(1, VLPI)]).toEqual([1, false])
    board.leave(0)
    board.unmapVpe(1)
    expect([board.isIdle(), board.inTable(1, VLPI)]).toEqual([true, true])
  })
})
