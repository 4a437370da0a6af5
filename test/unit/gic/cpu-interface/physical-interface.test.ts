/** The physical CPU interface as a kernel uses it: acknowledge, priority drop, deactivation, preemption, two groups. */
import {
  HCR_EL2,
  ICC_AP0R0_EL1,
  ICC_AP1R0_EL1,
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_SRE_EL1,
  ISR_EL1,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { Board, SPURIOUS } from '../../../kit/board.ts'
import { GICD, redistributor } from '../../../kit/frames.ts'

const read = (board: Board, register: number, cpu = 0) => board.gic.readSysreg(cpu, register, 1)
const write = (board: Board, register: number, value: number, cpu = 0) =>
  board.gic.writeSysreg(cpu, register, value, 1)

/** SGIs 1, 2 and 3 of CPU 0 with these priorities; which is made pending when is the test's. */
function withPriorities(...priorities: number[]): Board {
  const board = new Board({ cpus: 1 }).booted()
  for (const [i, priority] of priorities.entries()) board.priority(i + 1, priority)
  return board
}

describe('after reset', () => {
  it('everything is masked and disabled, and the interface says what it implements', () => {
    const board = new Board()
    const registers = [ICC_PMR_EL1, ICC_BPR0_EL1, ICC_BPR1_EL1, ICC_CTLR_EL1, ICC_SRE_EL1]
    expect(registers.map((register) => read(board, register))).toEqual([0, 2, 3, 0x8c00, 7])
    expect([read(board, ICC_IGRPEN0_EL1), read(board, ICC_IGRPEN1_EL1), board.running()]).toEqual([
      0, 0, 0xff,
    ])
    expect([board.ack(), board.ack(0, 0), board.hppi(), board.hppi(0, 0)]).toEqual(Array(4).fill(SPURIOUS))
  })

  it('a driver that does nothing but enable and unmask gets its interrupt', () => {
    const board = new Board()
    board.gic.writeMmio(GICD, 4, 2)
    board.wake(2)
    board.write('IGROUPR', 0, 0xffff_ffff, 2)
    board.set('ISENABLER', 27, 2)
    write(board, ICC_PMR_EL1, 0xf0, 2)
    write(board, ICC_IGRPEN1_EL1, 1, 2)
    board.gic.setPpi(2, 27, 1)
    expect([board.heard(), board.ack(2), board.running(2)]).toEqual([['2 irq'], 27, 0])
  })
})

describe('an interrupt', () => {
  it('is acknowledged once: hard case 10 on the physical interface, active is not signalled again', () => {
    const board = withPriorities(0x40)
    board.sgi(0, 1, 1)
    expect([board.irq(), board.ack(), board.irq(), board.ack()]).toEqual([1, 1, 0, SPURIOUS])
    board.sgi(0, 1, 1)
    expect([board.ack(), board.is('ISPENDR', 1), board.is('ISACTIVER', 1)]).toEqual([SPURIOUS, true, true])
    board.eoi(1)
    expect([board.irq(), board.ack()]).toEqual([1, 1])
  })

  it('of group 0 is an FIQ and is acknowledged by IAR0, of group 1 an IRQ and by IAR1', () => {
    const board = withPriorities(0x40, 0x50)
    board.group0(1)
    board.set('ISPENDR', 1)
    board.set('ISPENDR', 2)
    expect([board.fiq(), board.irq(), read(board, ISR_EL1)]).toEqual([1, 0, 0x40])
    expect([board.hppi(0, 0), board.hppi(0, 1), board.ack(0, 1)]).toEqual([1, SPURIOUS, SPURIOUS])
    expect(board.ack(0, 0)).toBe(1)
    expect([board.fiq(), board.irq(), board.hppi(0, 1)]).toEqual([0, 0, 2])
    board.eoi(1, 0, 0)
    expect([board.fiq(), board.irq(), read(board, ISR_EL1)]).toEqual([0, 1, 0x80])
  })

  it('of equal priority: the one with the lowest INTID is first', () => {
    const board = new Board().booted()
    for (const intid of [50, 45, 20, 9]) {
      board.set('ISPENDR', intid)
      expect(board.hppi()).toBe(intid)
    }
  })

  it('of a group that the interface disables is not forwarded, and hides none of the other group', () => {
    for (const [disabledGroup, seen] of [
      ['not-forwarded', 2],
      ['hides', SPURIOUS],
    ] as const) {
      const board = new Board({ choices: { disabledGroup } }).booted()
      board.group0(1)
      board.priority(1, 0x20)
      board.priority(2, 0x40)
      board.set('ISPENDR', 1)
      board.set('ISPENDR', 2)
      write(board, ICC_IGRPEN0_EL1, 0)
      expect([board.hppi(0, 0), board.hppi(), board.ack()]).toEqual([SPURIOUS, seen, seen])
    }
  })

  it('hard case 1 on the physical interface: HPPIR is 1023 while its group is disabled', () => {
    const board = withPriorities(0x40)
    board.set('ISPENDR', 1)
    write(board, ICC_IGRPEN1_EL1, 0)
    expect([board.hppi(), board.irq()]).toEqual([SPURIOUS, 0])
    write(board, ICC_IGRPEN1_EL1, 1)
    expect([board.hppi(), board.irq()]).toEqual([1, 1])
  })
})

describe('the priority mask', () => {
  it('lets through what is strictly higher; HPPIR looks past it; hard case 2: low and high bits are RES0', () => {
    const board = withPriorities(0x40)
    board.set('ISPENDR', 1)
    for (const [mask, kept, line] of [
      [0x40, 0x40, 0],
      [0x47, 0x40, 0],
      [0x48, 0x48, 1],
      [0xffff_ff00, 0, 0],
      [0x1ff, 0xf8, 1],
    ]) {
      write(board, ICC_PMR_EL1, mask)
      expect([read(board, ICC_PMR_EL1), board.irq(), board.hppi()]).toEqual([kept, line, 1])
    }
  })

  it('the distributor has as many priority bits as the interface, or by choice all eight', () => {
    for (const [distributorPriority, kept, first] of [
      ['implemented', 0xa8, 1],
      ['eight-bits', 0xaf, 2],
    ] as const) {
      const board = new Board({ choices: { distributorPriority } }).booted()
      board.priority(1, 0xaf)
      board.priority(2, 0xa8)
      for (const intid of [1, 2]) board.set('ISPENDR', intid)
      expect([board.gic.readMmio(redistributor(0) + 0x1_0401, 1), board.hppi()]).toEqual([kept, first])
    }
  })

  it('priority 0xff is never signalled, but pending where priorities have fewer bits', () => {
    const board = withPriorities(0xff)
    board.set('ISPENDR', 1)
    expect([board.hppi(), board.irq()]).toEqual([1, 0])
    const eight = new Board({ choices: { distributorPriority: 'eight-bits' } }).booted()
    eight.priority(1, 0xff)
    eight.set('ISPENDR', 1)
    expect([eight.hppi(), eight.irq()]).toEqual([SPURIOUS, 0])
  })
})

describe('preemption', () => {
  it('nests by group priority, and the priorities drop in the reverse order', () => {
    const board = withPriorities(0x80, 0x60, 0x40)
    const running: number[] = []
    for (const intid of [1, 2, 3]) {
      board.set('ISPENDR', intid)
      expect(board.ack()).toBe(intid)
      running.push(board.running())
    }
    expect(running).toEqual([0x80, 0x60, 0x40])
    expect(read(board, ICC_AP1R0_EL1)).toBe((1 << 8) | (1 << 12) | (1 << 16))
    for (const intid of [3, 2, 1]) {
      board.eoi(intid)
      running.push(board.running())
    }
    expect(running.slice(3)).toEqual([0x60, 0x80, 0xff])
    expect(read(board, ICC_AP1R0_EL1)).toBe(0)
  })

  it('the binary point says which bits count; hard case 6: below the minimum it is the minimum', () => {
    for (const [point, kept, preempts] of [
      [4, 4, 0],
      [3, 3, 1],
      [0, 3, 1],
    ]) {
      const board = withPriorities(0x48, 0x40)
      write(board, ICC_BPR1_EL1, point)
      board.set('ISPENDR', 1)
      board.ack()
      board.set('ISPENDR', 2)
      expect([read(board, ICC_BPR1_EL1), board.irq()]).toEqual([kept, preempts])
    }
  })

  it('CBPR gives group 1 the binary point of group 0, less one bit', () => {
    const board = withPriorities(0x48, 0x40)
    write(board, ICC_BPR0_EL1, 3)
    board.ctlr(1)
    expect(read(board, ICC_BPR1_EL1)).toBe(4)
    write(board, ICC_BPR1_EL1, 7)
    board.set('ISPENDR', 1)
    board.ack()
    board.set('ISPENDR', 2)
    expect([board.irq(), board.running()]).toEqual([0, 0x40])
    board.ctlr(0)
    expect(read(board, ICC_BPR1_EL1)).toBe(3)
  })

  it('with more preemption bits there are more active priorities registers', () => {
    const board = new Board({ cpus: 1, priorityBits: 8, preemptionBits: 7 }).booted()
    write(board, ICC_BPR1_EL1, 0)
    for (const [n, priority] of [0xfe, 0x80, 0x42, 0x04].entries()) {
      board.priority(n + 1, priority)
      board.set('ISPENDR', n + 1)
      expect([board.ack(), board.running()]).toEqual([n + 1, priority])
    }
    const registers = [0, 1, 2, 3].map((n) => read(board, ICC_AP1R0_EL1 + n))
    expect(registers).toEqual([1 << 2, 1 << 1, 1, 0x8000_0000])
  })

  it('with more active priorities registers the priorities drop in the reverse order too, each of its group', () => {
    const board = new Board({ cpus: 1, priorityBits: 8, preemptionBits: 7 }).booted()
    write(board, ICC_BPR0_EL1, 0)
    write(board, ICC_BPR1_EL1, 0)
    for (const [n, priority] of [0xfe, 0x80, 0x42, 0x04].entries()) {
      const group = n % 2 === 0 ? 1 : 0
      board.priority(n + 1, priority)
      if (group === 0) board.group0(n + 1)
      board.set('ISPENDR', n + 1)
      expect(board.ack(0, group)).toBe(n + 1)
    }
    const running = [4, 3, 2, 1].map((intid) => {
      // Of the other group than what runs: does nothing.
      board.eoi(intid, 0, intid % 2 === 0 ? 1 : 0)
      board.eoi(intid, 0, intid % 2 === 0 ? 0 : 1)
      return board.running()
    })
    expect(running).toEqual([0x42, 0x80, 0xfe, 0xff])
  })
})

describe('the end of an interrupt', () => {
  it('in EOImode 0 drops the priority and deactivates', () => {
    const board = withPriorities(0x40)
    board.set('ISPENDR', 1)
    board.ack()
    board.eoi(1)
    expect([board.running(), board.is('ISACTIVER', 1)]).toEqual([0xff, false])
  })

  it('hard case 5 on the physical interface: in EOImode 1 EOIR only drops, DIR only deactivates', () => {
    const board = withPriorities(0x40)
    board.ctlr(2)
    board.set('ISPENDR', 1)
    board.ack()
    board.dir(1)
    expect([board.running(), board.is('ISACTIVER', 1)]).toEqual([0x40, false])
    board.set('ISACTIVER', 1)
    board.eoi(1)
    expect([board.running(), board.is('ISACTIVER', 1)]).toEqual([0xff, true])
    board.dir(1)
    expect(board.is('ISACTIVER', 1)).toBe(false)
    board.ctlr(0)
    board.set('ISACTIVER', 1)
    board.dir(1)
    expect(board.is('ISACTIVER', 1)).toBe(true)
  })

  it('hard case 4 on the physical interface: with nothing active does nothing at all', () => {
    const board = withPriorities(0x40)
    board.set('ISACTIVER', 1)
    const before = board.gic.hash()
    board.eoi(1)
    board.eoi(1, 0, 0)
    expect(board.gic.hash()).toBe(before)
  })

  it('hard case 3 on the physical interface: of the other group than the highest active one does nothing', () => {
    const board = withPriorities(0x40)
    board.set('ISPENDR', 1)
    board.ack()
    board.eoi(1, 0, 0)
    expect([board.running(), board.is('ISACTIVER', 1)]).toEqual([0x40, true])
    board.eoi(1)
    expect(board.running()).toBe(0xff)
  })

  it('hard case 12 on the physical interface: any INTID below 1020 drops, 1020 to 1023 do nothing', () => {
    for (const [intid, running] of [
      [1019, 0xff],
      [1020, 0x40],
      [1023, 0x40],
      [8192, 0xff],
      [0xff_ffff, 0xff],
    ]) {
      const board = withPriorities(0x40)
      board.set('ISPENDR', 1)
      board.ack()
      board.eoi(intid)
      expect([intid, board.running(), board.is('ISACTIVER', 1)]).toEqual([intid, running, true])
    }
  })

  it('hard case 7 on the physical interface: ICC_CTLR_EL1 = 0 leaves the groups enabled', () => {
    const board = withPriorities(0x40)
    board.ctlr(0)
    expect([read(board, ICC_IGRPEN0_EL1), read(board, ICC_IGRPEN1_EL1)]).toEqual([1, 1])
  })
})

describe('the two interfaces of a PE', () => {
  it('are apart: with HCR_EL2.IMO and FMO EL1 reaches the virtual one, EL2 always the physical one', () => {
    const board = withPriorities(0x40)
    board.gic.writeSysreg(0, HCR_EL2, 0x18, 2)
    board.set('ISPENDR', 1)
    expect([board.ack(), read(board, ISR_EL1), board.gic.readSysreg(0, ISR_EL1, 2)]).toEqual([
      SPURIOUS,
      0,
      0x80,
    ])
    write(board, ICC_PMR_EL1, 0)
    expect(board.irq()).toBe(1)
    expect(board.gic.readSysreg(0, ICC_PMR_EL1, 2)).toBe(0xf8)
    write(board, ICC_AP0R0_EL1, 1)
    expect([board.gic.readSysreg(0, ICC_AP0R0_EL1, 2), board.running()]).toEqual([0, 0])
  })

  it('a WFI completes when a physical interrupt is signalled, also one that HCR_EL2 routes to EL2', () => {
    for (const routed of [0, 0x18]) {
      const board = withPriorities(0x40)
      board.gic.writeSysreg(0, HCR_EL2, routed, 2)
      board.gic.setExceptionLevel(0, 1)
      expect(board.gic.wfi(0)).toBe('waits')
      board.set('ISPENDR', 1)
      expect(board.gic.wfi(0)).toBe('completes')
    }
  })

  it('a WFE completes for an interrupt that is taken: one that PSTATE does not mask, or that goes to EL2', () => {
    const board = withPriorities(0x40)
    board.gic.setExceptionLevel(0, 1)
    board.set('ISPENDR', 1)
    board.gic.wfe(0)
    expect(board.gic.wfe(0)).toBe('waits')
    board.gic.setMasks(0, { irq: false, fiq: true })
    expect(board.gic.wfe(0)).toBe('completes')
    board.gic.setMasks(0, { irq: true, fiq: true })
    board.gic.writeSysreg(0, HCR_EL2, 0x10, 2)
    expect(board.gic.wfe(0)).toBe('completes')
  })

  it('a WFE completes for an FIQ that is taken, and waits with one that PSTATE.F masks', () => {
    const board = withPriorities(0x40)
    board.group0(1)
    board.set('ISPENDR', 1)
    board.gic.setExceptionLevel(0, 1)
    board.gic.wfe(0)
    board.gic.setMasks(0, { irq: false, fiq: true })
    expect(board.gic.wfe(0)).toBe('waits')
    board.gic.setMasks(0, { irq: true, fiq: false })
    expect(board.gic.wfe(0)).toBe('completes')
    board.gic.setMasks(0, { irq: false, fiq: true })
    board.gic.writeSysreg(0, HCR_EL2, 0x8, 2)
    expect(board.gic.wfe(0)).toBe('completes')
    board.gic.writeSysreg(0, HCR_EL2, 0x10, 2)
    expect(board.gic.wfe(0)).toBe('waits')
  })
})
