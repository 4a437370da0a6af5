/** The distributor as a driver sees it: what its registers hold, and which interrupts go where. */
import { Gic } from 'vgic'
import { describe, expect, it } from 'vitest'
import { Board, SPURIOUS } from '../../../kit/board.ts'
import { GICD, GICR, ONES } from '../../../kit/frames.ts'

const CTLR = GICD
const TYPER = GICD + 4
const RWP = 0x8000_0000

describe('GICD_CTLR', () => {
  it('has the group enables; DS and ARE read as one, everything else as zero', () => {
    const { gic } = new Board()
    expect(gic.readMmio(CTLR, 4)).toBe(0x50)
    gic.writeMmio(CTLR, 4, ONES)
    expect(gic.readMmio(CTLR, 4)).toBe(0x53)
    gic.writeMmio(CTLR, 4, 0)
    expect(gic.readMmio(CTLR, 4)).toBe(0x50)
  })

  it('forwards only the groups that it enables, and hard case 31: a write looks again on every PE', () => {
    const board = new Board().booted()
    board.gic.writeMmio(CTLR, 4, 0)
    for (const cpu of [0, 1, 2, 3]) {
      if (cpu === 1) board.group0(27, cpu)
      board.set('ISPENDR', 27, cpu)
    }
    board.route(40, 3)
    board.group0(40)
    board.set('ISPENDR', 40)
    board.priority(27, 0x80, 3)
    expect(board.heard()).toEqual([])
    board.gic.writeMmio(CTLR, 4, 2)
    expect(board.heard()).toEqual(['0 irq', '2 irq', '3 irq'])
    board.gic.writeMmio(CTLR, 4, 1)
    expect(board.heard()).toEqual(['0 irq low', '1 fiq', '2 irq low', '3 irq low', '3 fiq'])
    board.gic.writeMmio(CTLR, 4, 0)
    expect(board.heard()).toEqual(['1 fiq low', '3 fiq low'])
  })
})

describe('GICD_TYPER', () => {
  it.each([
    [16, 1],
    [32, 1],
    [33, 2],
    [64, 2],
    [224, 7],
    [987, 31],
    [988, 31],
  ])('hard case 26: with %i SPIs ITLinesNumber counts the private 32 and rounds up: %i', (spis, lines) => {
    expect(new Board({ spis }).gic.readMmio(TYPER, 4) & 0x1f).toBe(lines)
  })

  it('on QEMU 7.2 ITLinesNumber leaves out 32 INTIDs, which are there', () => {
    const { gic } = new Board({ spis: 256, profile: 'qemu-7.2' })
    expect(gic.readMmio(TYPER, 4)).toBe(0x037a_0007)
    gic.writeMmio(TYPER - 4 + 0x100 + 4 * 8, 4, 1)
    expect(gic.readMmio(TYPER - 4 + 0x100 + 4 * 8, 4)).toBe(1)
    expect(new Board({ spis: 256, profile: 'qemu-11.1' }).gic.readMmio(TYPER, 4)).toBe(0x037a_0008)
  })

  it('says what is implemented: 16-bit LPIs, A3V, No1N, one Security state; RSS where affinities need it', () => {
    expect(new Board({ spis: 224 }).gic.readMmio(TYPER, 4)).toBe(0x037a_0007)
    expect(new Board({ spis: 224, version: '4.0' }).gic.readMmio(TYPER, 4)).toBe(0x037e_0007)
    expect(new Board({ spis: 224, cpus: 2, affinities: [15, 16] }).gic.readMmio(TYPER, 4)).toBe(0x077a_0007)
  })
})

describe('the frames', () => {
  it('end with the identification registers', () => {
    const read = (version: '3' | '4.1') => {
      const { gic } = new Board({ cpus: 1, version })
      return [GICD, GICR].map((base) =>
        Array.from({ length: 12 }, (_, i) => gic.readMmio(base + 0xffd0 + 4 * i, 4)),
      )
    }
    const cidr = [0x0d, 0xf0, 0x05, 0xb1]
    expect(read('3')).toEqual([
      [0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, ...cidr],
      [0x44, 0, 0, 0, 0x93, 0xb4, 0x3b, 0, ...cidr],
    ])
    expect(read('4.1').map((registers) => registers[6])).toEqual([0x4b, 0x4b])
  })

  it('hard case 28: every word is a register or RAZ/WI, and the ends of ranges include the last register', () => {
    const { gic } = new Board({ cpus: 1, spis: 988 })
    const writable: string[] = []
    for (const [base, size] of [
      [GICD, 0x1_0000],
      [GICR, 0x2_0000],
    ] as const) {
      for (let address = base; address < base + size; address += 4) {
        const before = gic.readMmio(address, 4)
        gic.writeMmio(address, 4, before === 0 ? ONES : 0)
        gic.writeMmio(address, 4, 0x5959_5959)
        const name = gic.registerAt(address)
        if (name === undefined) expect([address, before, gic.readMmio(address, 4)]).toEqual([address, 0, 0])
        else if (gic.readMmio(address, 4) !== before) writable.push(name.replace(/\d+$/, ''))
      }
    }
    const count = (name: string) => writable.filter((found) => found === name).length
    const all = 31
    expect(Object.fromEntries([...new Set(writable)].map((name) => [name, count(name)]))).toEqual({
      GICD_CTLR: 1,
      GICD_IGROUPR: all,
      GICD_ISENABLER: all,
      GICD_ICENABLER: all,
      GICD_ISPENDR: all,
      GICD_ICPENDR: all,
      GICD_ISACTIVER: all,
      GICD_ICACTIVER: all,
      // 1020 to 1023 have no priority, and IROUTER ends with 1019.
      GICD_IPRIORITYR: 988 / 4,
      GICD_ICFGR: 2 * all,
      // Two words each.
      GICD_IROUTER: 2 * 988,
      GICR_CTLR: 1,
      GICR_WAKER: 1,
      GICR_PROPBASER: 2,
      GICR_PENDBASER: 2,
      GICR_IGROUPR: 1,
      GICR_ISENABLER: 1,
      GICR_ICENABLER: 1,
      GICR_ISPENDR: 1,
      GICR_ICPENDR: 1,
      GICR_ISACTIVER: 1,
      GICR_ICACTIVER: 1,
      GICR_IPRIORITYR: 8,
      GICR_ICFGR: 1,
    })
  })

  it('hard case 27: the registers of extended ranges are RES0, for there are none', () => {
    const { gic } = new Board({ spis: 988 })
    const ranges = [
      [GICD + 0x1000, 0x1000 + 0x2_000],
      [GICD + 0x8000, 0x2000],
      [GICR + 0x1_0084, 8],
      [GICR + 0x1_0104, 8],
      [GICR + 0x1_0420, 0x40],
      [GICR + 0x1_0c08, 16],
    ] as const
    for (const [first, length] of ranges) {
      for (let address = first; address < first + length; address += 4) {
        gic.writeMmio(address, 4, ONES)
        expect([address, gic.readMmio(address, 4)]).toEqual([address, 0])
      }
    }
    expect(gic.readMmio(TYPER, 4) & 0x100).toBe(0)
  })

  it('take the access sizes of each register: words, bytes of priorities, both halves or all of 64 bits', () => {
    const { gic } = new Board()
    gic.writeMmio(GICD + 0x420, 4, 0x4030_2010)
    expect([0, 1, 2, 3].map((n) => gic.readMmio(GICD + 0x420 + n, 1))).toEqual([0x10, 0x20, 0x30, 0x40])
    gic.writeMmio(GICD + 0x422, 1, 0xf8)
    expect(gic.readMmio(GICD + 0x420, 4)).toBe(0x40f8_2010)
    for (const size of [2, 8]) expect(gic.readMmio(GICD + 0x420, size)).toBe(0)
    for (const size of [1, 2, 8]) expect(gic.readMmio(CTLR, size)).toBe(0)
    gic.writeMmio(GICD + 0x84, 1, 0xff)
    expect(gic.readMmio(GICD + 0x84, 4)).toBe(0)
  })
})

describe('GICD_IROUTER<n>', () => {
  const IROUTER40 = GICD + 0x6000 + 8 * 40

  it('is 64 bits or two halves, with Aff3 in the upper one; IRM and RES0 bits read as zero', () => {
    const { gic } = new Board()
    gic.writeMmio64(IROUTER40, 0xffff_ffff_ffff_ffffn)
    expect(gic.readMmio64(IROUTER40)).toBe(0xff_00ff_ffffn)
    expect(gic.readMmio(IROUTER40, 8)).toBe(0xff_00ff_ffff)
    gic.writeMmio(IROUTER40, 4, 0x01_02_03)
    expect(gic.readMmio64(IROUTER40)).toBe(0xff_0001_0203n)
    gic.writeMmio(IROUTER40 + 4, 4, 0x7)
    expect([gic.readMmio(IROUTER40, 4), gic.readMmio(IROUTER40 + 4, 4)]).toEqual([0x01_0203, 0x7])
    gic.writeMmio(IROUTER40, 8, 2 ** 32 * 5 + 9)
    expect(gic.readMmio64(IROUTER40)).toBe(0x5_0000_0009n)
    for (const size of [1, 2]) expect(gic.readMmio(IROUTER40, size)).toBe(0)
  })

  it('sends an SPI to the one PE that has this affinity, whatever bits 39:32 and 23:0 it is made of', () => {
    const board = new Board({ affinities: [0x0000_0000, 0x0001_0000, 0x0100_0100, 0xff02_0301] }).booted()
    board.set('ISPENDR', 40)
    const targets = [0n, 0x01_0000n, 0x1_0000_0100n, 0xff_0002_0301n]
    for (const [cpu, affinity] of targets.entries()) {
      board.route(40, affinity)
      expect([0, 1, 2, 3].map((n) => board.irq(n))).toEqual([0, 1, 2, 3].map((n) => (n === cpu ? 1 : 0)))
    }
    for (const nobody of [1n, 0x100n, 0x02_0301n, 0x8000_0000n + 1n, 0xff_0002_0300n]) {
      board.route(40, nobody)
      expect([0, 1, 2, 3].map((n) => board.irq(n))).toEqual([0, 0, 0, 0])
      expect(board.is('ISPENDR', 40)).toBe(true)
    }
  })

  it('moves a pending SPI from one PE to the other', () => {
    const board = new Board().booted()
    board.gic.setSpi(40, 1)
    expect(board.heard()).toEqual(['0 irq'])
    board.route(40, 2)
    expect(board.heard()).toEqual(['0 irq low', '2 irq'])
  })
})

describe('an SPI', () => {
  it('that is level-sensitive is pending while its line is high, and active and pending after its acknowledge', () => {
    const board = new Board().booted()
    board.gic.setSpi(40, 1)
    expect(board.ack()).toBe(40)
    expect([board.is('ISACTIVER', 40), board.is('ISPENDR', 40), board.irq()]).toEqual([true, true, 0])
    board.eoi(40)
    expect([board.is('ISACTIVER', 40), board.irq()]).toEqual([false, 1])
    board.gic.setSpi(40, 0)
    expect([board.is('ISPENDR', 40), board.irq()]).toEqual([false, 0])
  })

  it('that is edge-triggered latches a rising edge until its acknowledge, and one more while it is active', () => {
    const board = new Board().booted()
    board.edge(40)
    board.gic.setSpi(40, 1)
    board.gic.setSpi(40, 0)
    expect([board.is('ISPENDR', 40), board.ack(), board.is('ISPENDR', 40)]).toEqual([true, 40, false])
    for (const level of [1, 0, 1, 0]) board.gic.setSpi(40, level)
    expect([board.is('ISPENDR', 40), board.irq()]).toEqual([true, 0])
    board.eoi(40)
    expect([board.ack(), board.is('ISPENDR', 40)]).toEqual([40, false])
    board.eoi(40)
    expect(board.ack()).toBe(SPURIOUS)
  })

  it('ICPENDR clears what is latched, not what the line asserts; ISPENDR latches a level-sensitive one too', () => {
    const board = new Board().booted()
    board.gic.setSpi(40, 1)
    board.set('ICPENDR', 40)
    expect(board.is('ISPENDR', 40)).toBe(true)
    board.set('ISPENDR', 40)
    board.gic.setSpi(40, 0)
    expect(board.is('ISPENDR', 40)).toBe(true)
    board.set('ICPENDR', 40)
    expect([board.is('ISPENDR', 40), board.irq()]).toEqual([false, 0])
  })

  it('does nothing when its line is set to the level that it has', () => {
    const board = new Board().booted()
    board.edge(40)
    board.gic.setSpi(40, true)
    board.ack()
    board.eoi(40)
    board.gic.setSpi(40, 1)
    board.gic.setSpi(40, true)
    expect([board.is('ISPENDR', 40), board.heard()]).toEqual([false, ['0 irq', '0 irq low']])
  })

  it('hard case 32: deactivated from another PE wakes the target that has it pending', () => {
    const board = new Board().booted()
    board.ctlr(2, 1)
    board.ctlr(2, 3)
    board.route(40, 1)
    board.gic.setSpi(40, 1)
    expect(board.ack(1)).toBe(40)
    board.eoi(40, 1)
    expect([board.is('ISACTIVER', 40), board.is('ISPENDR', 40), board.irq(1)]).toEqual([true, true, 0])
    board.gic.setExceptionLevel(1, 1)
    expect(board.gic.wfi(1)).toBe('waits')
    board.heard()
    board.dir(40, 3)
    expect([board.is('ISACTIVER', 40), board.heard()]).toEqual([false, ['1 irq']])
    expect(board.gic.wfi(1)).toBe('completes')
    expect(board.ack(1)).toBe(40)
  })

  it.each([32, 63, 64, 95])(
    '%i: taken by one PE, its deactivation there wakes the one it is routed to',
    (intid) => {
      const board = new Board().booted()
      board.gic.setSpi(intid, 1)
      expect(board.ack(0)).toBe(intid)
      board.route(intid, 1)
      expect([board.irq(0), board.irq(1)]).toEqual([0, 0])
      board.eoi(intid, 0)
      expect([board.irq(0), board.irq(1)]).toEqual([0, 1])
      expect(board.ack(1)).toBe(intid)
    },
  )

  it.each([32, 63, 64, 95])('%i: pending before the distributor is on is forwarded when it is', (intid) => {
    const board = new Board().booted()
    board.gic.writeMmio(CTLR, 4, 0)
    board.set('ISPENDR', intid)
    expect(board.irq()).toBe(0)
    board.gic.writeMmio(CTLR, 4, 2)
    expect([board.irq(), board.ack()]).toEqual([1, intid])
  })

  it('past the last one that exists is RAZ/WI in every register, and refused as an input', () => {
    const board = new Board({ spis: 20 }).booted()
    const { gic } = board
    expect(gic.readMmio(GICD + 0x104, 4)).toBe(0x000f_ffff)
    gic.writeMmio(GICD + 0x400 + 52, 4, ONES)
    gic.writeMmio(GICD + 0xc0c, 4, ONES)
    board.route(52, 1)
    expect([gic.readMmio(GICD + 0x400 + 52, 4), gic.readMmio64(GICD + 0x6000 + 8 * 52)]).toEqual([0, 0n])
    expect(gic.readMmio(GICD + 0xc0c, 4)).toBe(0xaa)
    expect(() => gic.setSpi(52, 1)).toThrow('intid must be an integer from 32 to 51, but is 52.')
    expect(() => gic.setSpi(31, 1)).toThrow('intid must be an integer from 32 to 51')
  })
})

describe('RWP, where writes take effect later', () => {
  it('hard case 25: is bit 31 of GICD_CTLR and bit 3 of GICR_CTLR', () => {
    const board = new Board({ writeEffects: 'lagging' }).booted()
    const { gic } = board
    gic.completeWrites()
    const read = () => [gic.readMmio(CTLR, 4), gic.readMmio(GICR, 4)]
    expect(read()).toEqual([0x53, 0x2])
    board.set('ICENABLER', 40)
    expect(read()).toEqual([0x53 + RWP, 0x2])
    gic.completeWrites()
    expect(read()).toEqual([0x53, 0x2])
    board.set('ICENABLER', 27)
    expect(read()).toEqual([0x53, 0x2 + 8])
    gic.completeWrites()
    expect([...read(), gic.writesPending]).toEqual([0x53, 0x2, false])
  })

  it('is never seen where they take effect at once', () => {
    const board = new Board().booted()
    board.set('ICENABLER', 40)
    board.set('ICENABLER', 27)
    board.gic.writeMmio(CTLR, 4, 0)
    expect([board.gic.readMmio(CTLR, 4), board.gic.readMmio(GICR, 4), board.gic.writesPending]).toEqual([
      0x50,
      0x2,
      false,
    ])
  })

  it.each([40, 27])('interrupt %i that was disabled may still be taken until it falls', (intid) => {
    const board = new Board({ writeEffects: 'lagging' }).booted()
    board.gic.completeWrites()
    board.set('ICENABLER', intid)
    expect(board.is('ISENABLER', intid)).toBe(false)
    board.set('ISPENDR', intid)
    expect([board.irq(), board.gic.writesPending]).toEqual([1, true])
    board.gic.completeWrites()
    expect([board.irq(), board.is('ISPENDR', intid), board.ack()]).toEqual([0, true, SPURIOUS])
    board.set('ISENABLER', intid)
    expect(board.ack()).toBe(intid)
  })

  it('a group that was disabled may still be taken until it falls; one that is enabled again stays', () => {
    const board = new Board({ writeEffects: 'lagging' }).booted()
    board.gic.completeWrites()
    board.gic.writeMmio(CTLR, 4, 1)
    board.set('ISPENDR', 40)
    expect([board.irq(), board.gic.readMmio(CTLR, 4)]).toEqual([1, 0x51 + RWP])
    board.gic.writeMmio(CTLR, 4, 3)
    board.gic.completeWrites()
    expect([board.irq(), board.gic.readMmio(CTLR, 4)]).toEqual([1, 0x53])
    board.gic.writeMmio(CTLR, 4, 1)
    board.gic.completeWrites()
    expect([board.irq(), board.gic.readMmio(CTLR, 4)]).toEqual([0, 0x51])
  })

  it('an interrupt in any register may still be taken until it falls, and then no more', () => {
    for (const intid of [27, 32, 63, 64, 95]) {
      const board = new Board({ writeEffects: 'lagging' }).booted()
      board.gic.completeWrites()
      board.set('ISPENDR', intid)
      board.set('ICENABLER', intid)
      expect([intid, board.irq()]).toEqual([intid, 1])
      board.gic.completeWrites()
      expect([intid, board.irq()]).toEqual([intid, 0])
    }
  })

  it('another one that is enabled meanwhile neither ends nor prolongs that', () => {
    const board = new Board({ writeEffects: 'lagging' }).booted()
    board.set('ICENABLER', 42)
    board.gic.completeWrites()
    for (const intid of [41, 42]) board.set('ISPENDR', intid)
    board.set('ICENABLER', 41)
    board.set('ISENABLER', 40)
    expect([board.irq(), board.hppi()]).toEqual([1, 41])
    board.gic.completeWrites()
    expect([board.irq(), board.hppi()]).toEqual([0, SPURIOUS])
  })

  it('stays low where a write disables nothing', () => {
    const board = new Board({ writeEffects: 'lagging' }).booted()
    board.set('ICENABLER', 40)
    board.gic.completeWrites()
    board.set('ICENABLER', 40)
    board.write('ICENABLER', 0, 0)
    expect([board.gic.readMmio(CTLR, 4), board.gic.writesPending]).toEqual([0x53, false])
  })

  it('an interrupt that is enabled again before it falls is not lost', () => {
    const board = new Board({ writeEffects: 'lagging' }).booted()
    board.gic.completeWrites()
    board.set('ICENABLER', 40)
    board.set('ISENABLER', 40)
    board.gic.completeWrites()
    board.set('ISPENDR', 40)
    expect(board.ack()).toBe(40)
  })
})

it('each of many PEs gets its own: 40 PEs, beyond the first 32 too', () => {
  const board = new Board({
    cpus: 40,
    affinities: Array.from({ length: 40 }, (_, n) => ((n >> 3) << 8) | (n & 7)),
  })
  board.booted()
  for (const cpu of [39, 32, 31, 0]) {
    board.gic.setPpi(cpu, 27, 1)
    expect([board.heard(), board.ack(cpu)]).toEqual([[`${cpu} irq`], 27])
    board.heard()
  }
  board.route(40, 0x407)
  board.gic.setSpi(40, 1)
  expect(board.heard()).toEqual([])
  board.gic.setPpi(39, 27, 0)
  board.eoi(27, 39)
  expect([board.heard(), board.ack(39)]).toEqual([['39 irq'], 40])
})

it('the search costs the same wherever the interrupts are: 988 SPIs, the last one is found', () => {
  const board = new Board({ spis: 988 }).booted()
  for (const intid of [1019, 500, 63]) {
    board.set('ISPENDR', intid)
    expect(board.hppi()).toBe(intid)
  }
  board.priority(1019, 0)
  board.priority(500, 0x10)
  board.priority(63, 0x20)
  board.set('ISPENDR', 1019)
  expect([board.ack(), board.hppi()]).toEqual([1019, 500])
  expect(new Gic({ cpus: 1, spis: 988 }).snapshot().byteLength).toBeLessThan(7000)
})
