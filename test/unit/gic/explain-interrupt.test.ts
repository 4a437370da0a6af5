/** "Why no IRQ?": the state of an interrupt, why a CPU does or does not get it, and the device as plain data. */
import { inspect } from 'node:util'
import {
  decode,
  Gic,
  HCR_EL2,
  ICC_AP1R0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICH_HCR_EL2,
  type InterruptReason,
  ichApr,
  ichLr,
  interruptReasons,
  listRegister,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { Board } from '../../kit/board.ts'
import { GICD, GICR, WAKER } from '../../kit/frames.ts'
import { ItsBoard, its } from './its/its-board.ts'

/** Everything enabled and open, and SPI 40's line high. */
function raised(config = {}): Board {
  const board = new Board(config).booted()
  board.gic.setMasks(0, { irq: false, fiq: false })
  board.gic.setSpi(40, 1)
  return board
}

const lpi = (): ItsBoard => {
  const board = new ItsBoard().booted().configure(8192, 0xa0)
  board.gic.setMasks(0, { irq: false })
  return board.send(its.mapti(1, 0, 8192, 0))
}

interface Machine {
  readonly gic: Gic
}

/** For each reason a machine on which it is the one for an interrupt, by default SPI 40. */
const machines: Readonly<Record<InterruptReason, () => Machine & { readonly intid?: number }>> = {
  taken: () => raised(),
  'no-such-interrupt': () => ({ ...raised(), intid: 96 }),
  'lpis-disabled': () => {
    const board = lpi()
    for (const cpu of [0, 1]) board.gic.writeMmio(board.redistributor(cpu), 4, 0)
    return { gic: board.gic, intid: 8192 }
  },
  'intid-out-of-range': () => ({ gic: new ItsBoard().booted(14).gic, intid: 20_000 }),
  disabled: () => {
    const board = raised()
    board.set('ICENABLER', 40)
    return board
  },
  'configuration-stale': () => {
    const board = lpi().configure(8192, 0xa0, false)
    board.gic.sendMsi(1, 0)
    board.configure(8192, 0xa0)
    return { gic: board.gic, intid: 8192 }
  },
  active: () => {
    const board = raised()
    board.ack()
    return board
  },
  'not-pending': () => {
    const board = raised()
    board.gic.setSpi(40, 0)
    return board
  },
  'distributor-off': () => {
    const board = raised()
    board.gic.writeMmio(GICD, 4, 1)
    return board
  },
  'routed-elsewhere': () => {
    const board = raised()
    board.route(40, 0x55)
    return board
  },
  asleep: () => {
    const board = raised()
    board.gic.writeMmio(GICR + WAKER, 4, 2)
    return board
  },
  'group-off': () => {
    const board = raised()
    board.gic.writeSysreg(0, ICC_IGRPEN1_EL1, 0, 1)
    return board
  },
  outranked: () => {
    const board = raised()
    board.gic.setSpi(33, 1)
    return board
  },
  'priority-masked': () => {
    const board = raised()
    board.gic.writeSysreg(0, ICC_PMR_EL1, 0, 1)
    return board
  },
  'running-priority': () => {
    const board = raised()
    board.gic.setSpi(33, 1)
    board.ack()
    return board
  },
  'pstate-masked': () => {
    const board = raised()
    board.gic.setMasks(0, { irq: true })
    return board
  },
}

describe('an interrupt is explained', () => {
  it.each(Object.entries(machines))('as %s', (reason, make) => {
    const { gic, intid = 40 } = make()
    const before = gic.hash()
    const explanation = gic.explain(intid)
    expect(explanation.reason).toBe(reason)
    expect(explanation.taken).toBe(reason === 'taken')
    expect(explanation.signalled).toBe(reason === 'taken' || reason === 'pstate-masked')
    expect(gic.line(0, 'irq') === 1 && intid === 40 && reason !== 'outranked').toBe(explanation.signalled)
    expect(inspect(explanation)).toContain(interruptReasons[explanation.reason])
    expect(gic.hash()).toBe(before)
  })

  it('to somebody who forgot GICR_WAKER', () => {
    const gic = new Gic({ cpus: 1 })
    gic.writeMmio(GICD, 4, 2)
    gic.writeMmio(GICD + 0x84, 4, 1 << 8)
    gic.writeMmio(GICD + 0x104, 4, 1 << 8)
    gic.writeSysreg(0, ICC_PMR_EL1, 0xf0, 1)
    gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1, 1)
    gic.setSpi(40, 1)
    expect(gic.explain(40).toString()).toBe(`\
SPI 40 at CPU 0: asleep. The redistributor forwards nothing to the CPU: GICR_WAKER.ChildrenAsleep is 1, as after a reset.
  exists            yes  SPI 40
  enabled           yes  GICD_ISENABLER1 bit 8 is 1
  inactive          yes  GICD_ISACTIVER1 bit 8 is 0
  pending           yes  level-sensitive: the line is high
  distributor       yes  group 1; GICD_CTLR.EnableGrp1 is 1
  route             yes  GICD_IROUTER40 is 0.0.0.0, CPU 0
  awake             NO   GICR_WAKER.ChildrenAsleep is 1
  group             yes  ICC_IGRPEN1_EL1 is 1
  first             yes  SPI 40 is
  priority mask     yes  priority 0x0; ICC_PMR_EL1 is 0xf0
  running priority  yes  ICC_RPR_EL1 is 0xff
  PSTATE            no   PSTATE.I is 1, by setMasks() or a reset`)
  })

  it('to the CPU that it is asked for, and by default to the one that it goes to', () => {
    const board = raised()
    board.route(40, 2)
    expect([board.gic.explain(40).cpu, board.gic.explain(40, 1).reason]).toEqual([2, 'routed-elsewhere'])
    board.gic.setPpi(3, 27, 1)
    expect([board.gic.explain(27).reason, board.gic.explain(27, 3).signalled]).toEqual(['not-pending', true])
  })

  it('while a guest runs whose hypervisor takes physical interrupts, whatever the guest masks', () => {
    const board = raised()
    board.gic.writeSysreg(0, HCR_EL2, 0x10, 2)
    board.gic.setExceptionLevel(0, 1)
    board.gic.setMasks(0, { irq: true })
    expect(board.gic.explain(40).taken).toBe(true)
  })

  it('of group 0 by FIQ and its mask', () => {
    const board = raised()
    board.group0(40)
    board.gic.setMasks(0, { irq: true, fiq: false })
    expect(board.gic.explain(40).taken).toBe(true)
    board.gic.setMasks(0, { fiq: true })
    expect(board.gic.explain(40).conditions.at(-1)?.detail).toContain('PSTATE.F is 1')
  })

  it('that is an LPI', () => {
    const board = lpi()
    expect(board.gic.explain(8192).reason).toBe('not-pending')
    board.gic.sendMsi(1, 0)
    expect(board.gic.explain(8192)).toMatchObject({ taken: true, cpu: 0 })
    expect(new Gic({ cpus: 1 }).explain(8192).conditions[0].detail).toBe('this GIC has no LPIs')
  })
})

describe('the state of an interrupt', () => {
  it('is plain data', () => {
    const board = raised()
    board.priority(40, 0xa0)
    board.route(40, 1)
    expect(JSON.parse(JSON.stringify(board.gic.interrupt(40)))).toEqual({
      intid: 40,
      name: 'SPI 40',
      cpu: 1,
      enabled: true,
      pending: true,
      active: false,
      line: 1,
      trigger: 'level',
      priority: 0xa0,
      group: 1,
      route: '0.0.0.1',
      signalled: true,
      reason: 'pstate-masked',
    })
    board.route(40, 0x55)
    expect(board.gic.interrupt(40).cpu).toBe(null)
  })

  it('of an SGI is that of a CPU, and follows what its guest does', () => {
    const board = raised()
    board.sgi(0, 3, 0b10)
    expect(board.gic.interrupt(3, 1)).toMatchObject({ cpu: 1, pending: true, trigger: 'edge', line: 0 })
    expect(board.gic.interrupt(3)).toMatchObject({ cpu: 0, pending: false })
    expect(board.ack(1)).toBe(3)
    expect(board.gic.interrupt(3, 1)).toMatchObject({ pending: false, active: true, reason: 'active' })
  })

  it('of an LPI is that of the CPU where it is pending', () => {
    const board = lpi()
    board.gic.sendMsi(1, 0)
    expect(board.gic.interrupt(8192)).toMatchObject({ cpu: 0, pending: true, enabled: true, priority: 0xa0 })
    expect(board.ack()).toBe(8192)
    expect(board.gic.interrupt(8192).pending).toBe(false)
  })

  it('of one that does not exist is refused with those that there are', () => {
    expect(() => raised().gic.interrupt(96)).toThrow('There is no interrupt 96: there are INTIDs 0 to 95.')
    expect(() => lpi().gic.interrupt(1020)).toThrow(/: there are INTIDs 0 to \d+, and LPIs 8192 to \d+\.$/)
  })
})

describe('a dump', () => {
  it('has registers, interrupts and tables as plain data, and changes nothing', () => {
    const board = lpi()
    board.gic.sendMsi(1, 0)
    board.gic.writeSysreg(0, ICH_HCR_EL2, 1, 2)
    board.gic.writeSysreg64(0, ichLr(1), listRegister({ vintid: 40, priority: 0x80 }), 2)
    const before = board.gic.hash()
    const trap = board.gic.lastTrap
    const dump = board.gic.dump()
    expect([board.gic.hash(), board.gic.lastTrap]).toEqual([before, trap])
    expect(JSON.parse(JSON.stringify(dump))).toEqual(dump)
    const [cpu] = dump.cpus
    expect(decode('GICD_CTLR', Number(dump.distributor['GICD_CTLR'])).fields).toMatchObject({ ARE: 1 })
    expect(cpu.lpis).toMatchObject([{ intid: 8192, pending: true, signalled: true }])
    expect(cpu.virtualInterface).toMatchObject({ ICH_HCR_EL2: '0x1', ICH_LR1_EL2: '0x5080000000000028' })
    expect(cpu.virtualInterface).not.toHaveProperty('ICH_LR0_EL2')
    expect(dump.its[0].devices).toMatchObject([{ deviceId: 1 }])
    expect(dump.its[0].registers['GITS_CTLR']).toMatch(/^0x/)
  })

  it.each([
    [5, 1],
    [6, 2],
    [7, 4],
  ] as const)(
    'has the active priorities of both interfaces: with %i preemption bits %i registers a group',
    (bits, count) => {
      const gic = new Gic({ cpus: 1, priorityBits: 8, preemptionBits: bits })
      gic.writeSysreg(0, ICC_AP1R0_EL1 + count - 1, 0x8, 2)
      gic.writeSysreg(0, ichApr(0, count - 1), 0x4, 2)
      const [{ cpuInterface, virtualInterface }] = gic.dump().cpus
      const registers = { ...cpuInterface, ...virtualInterface }
      expect(registers).toMatchObject({
        [`ICC_AP1R${count - 1}_EL1`]: '0x8',
        [`ICH_AP0R${count - 1}_EL2`]: '0x4',
      })
      expect(Object.keys(registers).filter((name) => /_AP[01]R/.test(name))).toHaveLength(4 * count)
    },
  )

  it('has the interrupts that are enabled, pending, active or high, and no others', () => {
    const gic = new Gic({ cpus: 2 })
    expect(gic.dump().spis).toEqual([])
    gic.setSpi(40, 1)
    gic.setPpi(1, 27, 1)
    const dump = gic.dump()
    expect(dump.spis.map(({ intid }) => intid)).toEqual([40])
    expect(dump.cpus.map(({ interrupts }) => interrupts.map(({ intid }) => intid))).toEqual([[], [27]])
    expect(dump.cpus[1]).toMatchObject({ cpu: 1, affinity: '0.0.0.1', asleep: true, outputs: [] })
  })
})

describe('the state of an interrupt as data', () => {
  it('has its group, its trigger and its line; an SPI has a route, and no other', () => {
    const board = new Board().booted()
    board.group0(40)
    board.edge(41)
    board.route(41, 1)
    board.gic.setSpi(40, 1)
    board.priority(41, 0x48)
    expect(board.gic.interrupt(40)).toMatchObject({
      name: 'SPI 40',
      group: 0,
      trigger: 'level',
      line: 1,
      pending: true,
      active: false,
      enabled: true,
      cpu: 0,
      route: '0.0.0.0',
    })
    expect(board.gic.interrupt(41)).toMatchObject({
      group: 1,
      trigger: 'edge',
      line: 0,
      pending: false,
      priority: 0x48,
      cpu: 1,
      route: '0.0.0.1',
    })
    for (const intid of [3, 27, 31]) expect(board.gic.interrupt(intid)).not.toHaveProperty('route')
    expect(board.gic.interrupt(32)).toHaveProperty('route')
  })

  it('of a private interrupt is that of the CPU that is named', () => {
    const board = new Board().booted()
    board.group0(3, 1)
    board.set('ICENABLER', 3, 1)
    board.sgi(0, 3, 2)
    const state = (cpu?: number) => board.gic.interrupt(3, cpu)
    expect(state(1)).toMatchObject({ cpu: 1, group: 0, enabled: false, pending: false })
    expect(state(0)).toMatchObject({ cpu: 0, group: 1, enabled: true })
    expect(state()).toEqual(state(0))
  })

  it('of an SPI is that of the CPU that it goes to; of an LPI, which any may have, that of the CPU that is named', () => {
    const { gic } = lpi()
    expect([gic.interrupt(40).cpu, gic.interrupt(40, 1).cpu]).toEqual([0, 0])
    gic.sendMsi(1, 0)
    expect([gic.interrupt(8192).cpu, gic.interrupt(8192, 0).cpu, gic.interrupt(8192, 1).cpu]).toEqual([
      0, 0, 1,
    ])
    expect([0, 1].map((cpu) => gic.interrupt(8192, cpu).pending)).toEqual([true, false])
    expect(gic.interrupt(8192)).toMatchObject({
      name: 'LPI 8192',
      group: 1,
      trigger: 'edge',
      line: 0,
      active: false,
      enabled: true,
      priority: 0xa0,
    })
  })
})
