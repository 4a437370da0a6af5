/** The redistributors as a driver sees them: who they are, how they are woken, and the SGIs and PPIs of their PE. */
import { Gic, ICC_IGRPEN1_EL1, ICH_HCR_EL2, VgicError } from 'vgic'
import { describe, expect, it } from 'vitest'
import { Board, SPURIOUS } from '../../../kit/board.ts'
import { GICR, GICR_STRIDE, ONES, redistributor, WAKER } from '../../../kit/frames.ts'

const TYPER = 0x8
const LAST = 0x10n

describe('GICR_TYPER', () => {
  it('has the processor number, the affinity, and Last at the end of each region', () => {
    const gic = new Gic({
      cpus: 5,
      affinities: [0, 1, 0x100, 0x0100_0000, 0xfe01_0203],
      gicr: [
        { base: 0x4000_0000, count: 2 },
        { base: 0x2000_0000, count: 1 },
        { base: 0x6000_0000, count: 3 },
      ],
    })
    const frames = [0x4000_0000, 0x4002_0000, 0x2000_0000, 0x6000_0000, 0x6002_0000]
    expect(frames.map((base) => gic.readMmio64(base + TYPER))).toEqual([
      0x0000_0000_0100_0001n,
      0x0000_0001_0100_0101n + LAST,
      0x0000_0100_0100_0201n + LAST,
      0x0100_0000_0100_0301n,
      0xfe01_0203_0100_0401n + LAST,
    ])
  })

  it('has Last at the end of regions that are adjacent, not at that of each, in whatever order they are', () => {
    const lasts = (...bases: number[]) => {
      const gic = new Gic({ cpus: bases.length, gicr: bases.map((base) => ({ base, count: 1 })) })
      return bases.map((base) => gic.readMmio(base + TYPER, 4) & Number(LAST))
    }
    expect(lasts(0x4000_0000, 0x4002_0000)).toEqual([0, 0x10])
    expect(lasts(0x4002_0000, 0x4000_0000, 0x4006_0000)).toEqual([0x10, 0, 0x10])
    // A region has room for more redistributors than there are CPUs.
    const gic = new Gic({ cpus: 1, gicr: [{ base: 0x4000_0000, count: 4 }] })
    expect(gic.readMmio(0x4000_0000 + TYPER, 4) & Number(LAST)).toBe(0x10)
  })

  it('hard case 29: its 64 bits, and those of other registers, are two 32-bit halves as well', () => {
    const { gic } = new Board()
    const frame = GICR + 3 * GICR_STRIDE
    expect([gic.readMmio(frame + TYPER, 4), gic.readMmio(frame + TYPER + 4, 4)]).toEqual([0x0100_0311, 3])
    expect(gic.readMmio64(frame + TYPER)).toBe(0x3_0100_0311n)
    for (const register of [0x70, 0x78]) {
      gic.writeMmio(frame + register, 4, 0x5000_0781)
      gic.writeMmio(frame + register + 4, 4, 0x0700_0001)
      expect(gic.readMmio64(frame + register)).toBe(0x0700_0001_5000_0781n)
      gic.writeMmio64(frame + register, 0x0123_4567_89ab_cdefn)
      expect([gic.readMmio(frame + register, 4), gic.readMmio(frame + register + 4, 4)]).toEqual([
        0x89ab_cdef, 0x0123_4567,
      ])
      expect([1, 2].map((size) => gic.readMmio(frame + register, size))).toEqual([0, 0])
    }
  })

  it('there are up to 512', () => {
    const gic = new Gic({ cpus: 512, gicr: [{ base: 0x1_0000_0000, count: 512 }] })
    expect(gic.readMmio64(0x1_0000_0000 + 511 * GICR_STRIDE + TYPER)).toBe(0x1f0f_0101_ff11n)
    expect(gic.readMmio(0x1_0000_0000 + 510 * GICR_STRIDE + TYPER, 4) & 0x10).toBe(0)
  })
})

describe('redistributor regions', () => {
  it('hard case 30: that are too small for the CPUs are refused with a clear error', () => {
    const make = () =>
      new Gic({
        cpus: 5,
        gicr: [
          { base: 0x4000_0000, count: 2 },
          { base: 0x2000_0000, count: 2 },
        ],
      })
    expect(make).toThrow(VgicError)
    expect(make).toThrow(
      'gicr must have room for 5 redistributors, one for each of cpus, but has room for 4.',
    )
  })
})

describe('GICR_WAKER', () => {
  it('comes out of reset asleep; ChildrenAsleep follows ProcessorSleep, and nothing else is there', () => {
    const { gic } = new Board()
    const read = () => gic.readMmio(GICR + WAKER, 4)
    expect(read()).toBe(6)
    gic.writeMmio(GICR + WAKER, 4, ONES)
    expect(read()).toBe(6)
    gic.writeMmio(GICR + WAKER, 4, 0)
    expect(read()).toBe(0)
    gic.writeMmio(GICR + WAKER, 4, 4)
    expect(read()).toBe(0)
    gic.writeMmio(GICR + WAKER, 4, 2)
    expect(read()).toBe(6)
  })

  it('where effects lag, software polls ChildrenAsleep', () => {
    const { gic } = new Board({ writeEffects: 'lagging' })
    gic.writeMmio(GICR + WAKER, 4, 0)
    expect([gic.readMmio(GICR + WAKER, 4), gic.writesPending]).toEqual([4, true])
    gic.completeWrites()
    expect([gic.readMmio(GICR + WAKER, 4), gic.writesPending]).toEqual([0, false])
    gic.writeMmio(GICR + WAKER, 4, 2)
    expect(gic.readMmio(GICR + WAKER, 4)).toBe(2)
    gic.completeWrites()
    expect(gic.readMmio(GICR + WAKER, 4)).toBe(6)
  })

  it('holds interrupts back while the PE sleeps, and asks for it to be woken', () => {
    const board = new Board().booted()
    board.gic.writeSysreg(1, ICC_IGRPEN1_EL1, 0, 1)
    board.gic.writeMmio(redistributor(1) + WAKER, 4, 2)
    expect(board.heard()).toEqual([])
    board.route(40, 1)
    board.gic.setSpi(40, 1)
    expect([board.heard(), board.hppi(1), board.ack(1)]).toEqual([['1 wakeRequest'], SPURIOUS, SPURIOUS])
    // Woken, but its CPU interface has not enabled the group yet.
    board.wake(1)
    expect([board.heard(), board.hppi(1)]).toEqual([['1 wakeRequest low'], SPURIOUS])
    board.gic.writeSysreg(1, ICC_IGRPEN1_EL1, 1, 1)
    expect([board.heard(), board.ack(1)]).toEqual([['1 irq'], 40])
  })

  it('a wake request falls when software clears ProcessorSleep, before ChildrenAsleep follows', () => {
    const board = new Board({ writeEffects: 'lagging' }).booted()
    board.gic.writeMmio(redistributor(0) + WAKER, 4, 2)
    board.gic.completeWrites()
    board.gic.setPpi(0, 27, 1)
    expect(board.heard()).toEqual(['0 wakeRequest'])
    board.gic.writeMmio(redistributor(0) + WAKER, 4, 0)
    expect([board.heard(), board.hppi()]).toEqual([['0 wakeRequest low'], SPURIOUS])
    board.gic.completeWrites()
    expect([board.heard(), board.hppi()]).toEqual([['0 irq'], 27])
  })

  it('a wake request falls when its interrupt goes, and an interrupt that is not enabled makes none', () => {
    const board = new Board().booted()
    board.gic.writeMmio(redistributor(0) + WAKER, 4, 2)
    board.gic.setPpi(0, 27, 1)
    board.gic.setPpi(0, 27, 0)
    board.set('ICENABLER', 30)
    board.gic.setPpi(0, 30, 1)
    expect(board.heard()).toEqual(['0 wakeRequest', '0 wakeRequest low'])
  })

  it('by choice has no effect: QEMU 7.2 signals a PE that sleeps', () => {
    const board = new Board({ choices: { waker: 'ignored' } }).booted()
    board.gic.writeMmio(redistributor(0) + WAKER, 4, 2)
    board.gic.setPpi(0, 27, 1)
    expect([board.gic.readMmio(redistributor(0) + WAKER, 4), board.heard(), board.ack()]).toEqual([
      6,
      ['0 irq'],
      27,
    ])
  })
})

describe('SGIs and PPIs', () => {
  it('are each PE its own', () => {
    const board = new Board().booted()
    board.gic.setPpi(2, 27, 1)
    expect([board.heard(), board.is('ISPENDR', 27, 2), board.is('ISPENDR', 27, 1)]).toEqual([
      ['2 irq'],
      true,
      false,
    ])
    board.priority(27, 0x40, 2)
    const priorities = [1, 2].map((cpu) => board.gic.readMmio(redistributor(cpu) + 0x1_041b, 1))
    expect(priorities).toEqual([0, 0x40])
  })

  it('have the trigger that ICFGR1 says; SGIs are edge-triggered for ever', () => {
    const board = new Board().booted()
    const [icfgr0, icfgr1] = [GICR + 0x1_0c00, GICR + 0x1_0c04]
    const { gic } = board
    expect([gic.readMmio(icfgr0, 4), gic.readMmio(icfgr1, 4)]).toEqual([0xaaaa_aaaa, 0])
    gic.writeMmio(icfgr0, 4, 0)
    gic.writeMmio(icfgr1, 4, ONES)
    expect([gic.readMmio(icfgr0, 4), gic.readMmio(icfgr1, 4)]).toEqual([0xaaaa_aaaa, 0xaaaa_aaaa])
    gic.setPpi(0, 30, 1)
    gic.setPpi(0, 30, 0)
    expect(board.ack()).toBe(30)
  })

  it('a line that is high when its interrupt becomes level-sensitive is pending, edge-triggered not', () => {
    const board = new Board().booted()
    board.edge(30)
    board.gic.setPpi(0, 30, 1)
    board.ack()
    board.eoi(30)
    expect(board.is('ISPENDR', 30)).toBe(false)
    board.gic.writeMmio(GICR + 0x1_0c04, 4, 0)
    expect([board.is('ISPENDR', 30), board.irq()]).toEqual([true, 1])
    board.edge(30)
    expect([board.is('ISPENDR', 30), board.irq()]).toEqual([false, 0])
  })

  it('only a PPI is an input, and not the maintenance interrupt', () => {
    const { gic } = new Board()
    for (const intid of [15, 32]) {
      expect(() => gic.setPpi(0, intid, 1)).toThrow('intid must be an integer from 16 to 31')
    }
    expect(() => gic.setPpi(4, 27, 1)).toThrow('cpu must be an integer from 0 to 3')
    expect(() => gic.setPpi(0, 25, 1)).toThrow('intid must not be 25: that is the maintenance interrupt')
  })
})

describe('the maintenance interrupt', () => {
  it('is PPI 25 of its PE, a level that the virtual CPU interface drives', () => {
    const board = new Board().booted()
    // En and UIE: with no list register in use there is an underflow.
    board.gic.writeSysreg(1, ICH_HCR_EL2, 3, 2)
    expect([board.heard(), board.ack(1)]).toEqual([['1 irq'], 25])
    board.gic.writeSysreg(1, ICH_HCR_EL2, 1, 2)
    board.eoi(25, 1)
    expect([board.is('ISPENDR', 25, 1), board.irq(1)]).toEqual([false, 0])
  })
})
