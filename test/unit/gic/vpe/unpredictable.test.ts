/**
 * The rules of docs/gicv4-unpredictable.md: for each a driver that breaks it and one that keeps it, who hears of it, and
 * the worst outcome.
 */
import {
  type GicConfig,
  HCR_EL2,
  ICC_HPPIR1_EL1,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ichLr,
  type UnpredictableRule,
  unpredictableRules,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { at, DIRTY, GITS, Gicv4Driver, VGRPS, vpes } from '../../../kit/gicv4-driver.ts'
import { VALID } from '../its/its-board.ts'

interface Case {
  readonly config?: Partial<GicConfig>
  readonly setUp?: (driver: Gicv4Driver) => void
  readonly breaks: (driver: Gicv4Driver) => void
  readonly keeps: (driver: Gicv4Driver) => void
  /** The report, behind its rule. */
  readonly report: string
  /** What can be seen afterwards: with the mildest outcome, and with the worst. */
  readonly look: (driver: Gicv4Driver) => unknown
  readonly mild: unknown
  readonly worst: unknown
}

const LAGGING = { writeEffects: 'lagging' } as const

/** Whether vLPI 8192 of a vPE is pending somewhere: it is made resident, if it is not, and asked when it leaves. */
function isPending(driver: Gicv4Driver, vpe = 0, cpu = 0): boolean {
  const { gic } = driver
  if ((gic.readMmio64(driver.vpendbaser(cpu)) & VALID) === 0n) driver.enter(vpe, cpu)
  driver.poll(cpu)
  driver.leave(cpu)
  driver.poll(cpu)
  return driver.pendingLast(cpu)
}

function send(driver: Gicv4Driver, event = 0): void {
  driver.gic.sendMsi(1, event)
  driver.gic.completeWrites()
}

function mapAndSend(driver: Gicv4Driver): void {
  driver.mapVpe()
  send(driver)
}

function resideAndSend(driver: Gicv4Driver): void {
  mapAndSend(driver)
  driver.enter()
  driver.poll()
}

/** GITS_CREADR.Stalled. */
const isStalled = ({ gic }: Gicv4Driver): boolean => gic.readMmio(GITS + 0x90, 4) % 2 === 1

/** The highest priority interrupt that the guest of CPU 0 sees. */
function guestSees(driver: Gicv4Driver): number {
  const { gic } = driver
  gic.writeSysreg(0, HCR_EL2, 0x18, 2)
  gic.writeSysreg(0, ICH_HCR_EL2, 1, 2)
  gic.writeSysreg(0, ICH_VMCR_EL2, 0xff00_0003, 2)
  return gic.readSysreg(0, ICC_HPPIR1_EL1, 1)
}

const cases: Readonly<Record<UnpredictableRule, Case>> = {
  'valid-while-dirty': {
    config: LAGGING,
    setUp: mapAndSend,
    breaks: (driver) => {
      driver.enter()
      driver.leave()
    },
    keeps: (driver) => {
      driver.enter()
      driver.poll()
      driver.leave()
    },
    report: 'GICR_VPENDBASER cpu 0',
    look: (driver) => driver.poll() && isPending(driver),
    mild: true,
    worst: false,
  },
  'field-while-valid': {
    setUp: resideAndSend,
    breaks: (driver) => driver.gic.writeMmio64(driver.vpendbaser(0), VALID),
    keeps: (driver) => driver.gic.writeMmio64(driver.vpendbaser(0), VALID | VGRPS),
    report: 'GICR_VPENDBASER cpu 0',
    look: (driver) => driver.gic.readMmio64(driver.vpendbaser(0)) & VGRPS,
    mild: VGRPS,
    worst: 0n,
  },
  'vpropbaser-while-resident': {
    setUp: resideAndSend,
    breaks: (driver) => driver.gic.writeMmio64(driver.vpropbaser(0), driver.vpropbaserValue | 0x80n),
    keeps: (driver) => driver.gic.writeMmio64(driver.vpropbaser(0), driver.vpropbaserValue),
    report: 'GICR_VPROPBASER cpu 0',
    look: (driver) => isPending(driver),
    mild: true,
    worst: false,
  },
  'vpropbaser-invalid': {
    setUp: (driver) => {
      mapAndSend(driver)
      driver.gic.writeMmio64(driver.vpropbaser(0), driver.vpropbaserValue - VALID)
    },
    breaks: (driver) => driver.enter(),
    keeps: (driver) => {
      driver.gic.writeMmio64(driver.vpropbaser(0), driver.vpropbaserValue)
      driver.enter()
    },
    report: 'GICR_VPENDBASER cpu 0',
    look: (driver) => isPending(driver),
    mild: false,
    worst: true,
  },
  'resident-unmapped': {
    setUp: mapAndSend,
    breaks: (driver) => driver.enter(3),
    keeps: (driver) => driver.enter(0),
    report: 'GICR_VPENDBASER cpu 0',
    // An entry that is not in use has tables at address 0.
    look: (driver) => {
      driver.leave()
      return driver.ram.words.has(0)
    },
    mild: false,
    worst: true,
  },
  'resident-elsewhere': {
    setUp: mapAndSend,
    breaks: (driver) => driver.enter(0, 1),
    keeps: (driver) => driver.enter(0, 0),
    report: 'GICR_VPENDBASER cpu 1',
    look: (driver) => isPending(driver, 0, 1),
    mild: false,
    worst: true,
  },
  'resident-twice': {
    config: { version: '4.0' },
    setUp: resideAndSend,
    breaks: (driver) => driver.enter(0, 1),
    keeps: (driver) => {
      driver.leave(0)
      driver.poll(0)
      driver.enter(0, 1)
    },
    report: 'GICR_VPENDBASER cpu 1',
    look: (driver) => {
      driver.leave(0)
      driver.leave(1)
      return [driver.pendingLast(0), driver.pendingLast(1)]
    },
    mild: [true, false],
    worst: [true, true],
  },
  'map-mapped': {
    setUp: mapAndSend,
    breaks: (driver) => driver.send(vpes.vmapp(0, 0, { ptz: false }), vpes.vsync(0)),
    keeps: (driver) => driver.send(vpes.vunmap(0), vpes.vmapp(0, 0, { ptz: false }), vpes.vsync(0)),
    report: 'VMAPP cpu 0',
    look: (driver) => isPending(driver),
    mild: true,
    worst: false,
  },
  'map-without-allocation': {
    breaks: (driver) => driver.send(vpes.vmapp(0, 0, { alloc: false })),
    keeps: (driver) => driver.send(vpes.vmapp(0, 0)),
    report: 'VMAPP cpu 0',
    look: (driver) => {
      driver.send(vpes.vsync(0))
      return isStalled(driver)
    },
    mild: false,
    worst: true,
  },
  'unmap-resident': {
    setUp: resideAndSend,
    breaks: (driver) => driver.send(vpes.vunmap(0)),
    keeps: (driver) => {
      driver.leave()
      driver.poll()
      driver.send(vpes.vunmap(0))
    },
    report: 'VMAPP cpu 0',
    look: (driver) => {
      driver.leave()
      driver.send(vpes.vmapp(0, 0, { ptz: false }), vpes.vsync(0))
      return isPending(driver)
    },
    mild: true,
    worst: false,
  },
  'move-resident': {
    setUp: resideAndSend,
    breaks: (driver) => driver.send(vpes.vmovp(0, 1), vpes.vsync(0)),
    keeps: (driver) => {
      driver.leave()
      driver.poll()
      driver.send(vpes.vmovp(0, 1), vpes.vsync(0))
    },
    report: 'VMOVP cpu 0',
    look: (driver) => {
      driver.leave()
      return isPending(driver, 0, 1)
    },
    mild: true,
    worst: false,
  },
  'command-unmapped': {
    setUp: mapAndSend,
    breaks: (driver) => driver.send(vpes.vmovp(3, 1)),
    keeps: (driver) => driver.send(vpes.vmovp(0, 1)),
    report: 'VMOVP',
    look: (driver) => isStalled(driver),
    mild: false,
    worst: true,
  },
  'ptz-not-zero': {
    setUp: (driver) => {
      driver.configureVirtual(0, 8192)
      driver.ram.words.set(at.vpt(0) + 1024, 1)
    },
    breaks: (driver) => driver.send(vpes.vmapp(0, 0, { ptz: true }), vpes.vsync(0)),
    keeps: (driver) => driver.send(vpes.vmapp(0, 0, { ptz: false }), vpes.vsync(0)),
    report: 'VMAPP cpu 0',
    look: (driver) => isPending(driver),
    mild: false,
    worst: true,
  },
  'vpropbaser-differs': {
    breaks: (driver) => driver.gic.writeMmio64(driver.vpropbaser(1), driver.vpropbaserValue + 0x1_0000n),
    keeps: (driver) => driver.gic.writeMmio64(driver.vpropbaser(1), driver.vpropbaserValue | 0x780n),
    report: 'GICR_VPROPBASER cpu 1',
    look: (driver) => driver.gic.readMmio(driver.vpropbaser(1), 4) - at.vpes,
    mild: 0x1_0000,
    worst: 0,
  },
  'list-register-direct': {
    setUp: resideAndSend,
    breaks: ({ gic }) =>
      gic.writeSysreg64(0, ichLr(0), (1n << 62n) | (1n << 60n) | (0xf0n << 48n) | 8192n, 2),
    keeps: ({ gic }) => gic.writeSysreg64(0, ichLr(0), (1n << 62n) | (1n << 60n) | (0xf0n << 48n) | 8193n, 2),
    report: 'ICH_LR0_EL2 cpu 0',
    look: (driver) => {
      driver.gic.writeSysreg64(0, ichLr(0), 0n, 2)
      return guestSees(driver)
    },
    mild: 8192,
    worst: 1023,
  },
}

function driverOf({ config, setUp }: Case, unpredictable: 'ignore' | 'pessimistic' | 'report'): Gicv4Driver {
  const driver = new Gicv4Driver({ ...config, unpredictable })
  setUp?.(driver)
  driver.gic.completeWrites()
  expect(driver.unpredictable()).toEqual([])
  expect(driver.gic.unpredictable).toEqual([])
  return driver
}

describe.each(unpredictableRules)('%s', (rule) => {
  const each = cases[rule]

  it('is reported once, with its access and CPU, and is in the state', () => {
    const driver = driverOf(each, 'report')
    const before = driver.gic.snapshot()
    each.breaks(driver)
    expect(driver.unpredictable()).toEqual([`${rule} ${each.report}`])
    expect(driver.gic.unpredictable).toEqual([rule])
    driver.gic.restore(before)
    expect(driver.gic.unpredictable).toEqual([])
  })

  it('is not reported of a driver that keeps to the architecture', () => {
    const driver = driverOf(each, 'report')
    each.keeps(driver)
    driver.gic.completeWrites()
    expect(driver.unpredictable()).toEqual([])
    expect(driver.gic.unpredictable).toEqual([])
  })

  it('has its mildest outcome, and nobody hears of it, where it is ignored', () => {
    const driver = driverOf(each, 'ignore')
    each.breaks(driver)
    expect(driver.unpredictable()).toEqual([])
    expect(driver.gic.unpredictable).toEqual([])
    expect(each.look(driver)).toEqual(each.mild)
  })

  it('has its worst outcome under the pessimistic policy', () => {
    const driver = driverOf(each, 'pessimistic')
    each.breaks(driver)
    expect(driver.gic.unpredictable).toEqual([rule])
    expect(driver.unpredictable()).toEqual([])
    expect(each.look(driver)).toEqual(each.worst)
  })
})

describe('an UNPREDICTABLE use', () => {
  const REPORT = { unpredictable: 'report' } as const

  it('is a command about an unmapped vPE, whichever it is', () => {
    const driver = new Gicv4Driver(REPORT)
    mapAndSend(driver)
    const commands = [vpes.vsync(3), vpes.vinvall(3), vpes.invdb(3), vpes.vsgi(3, 1), vpes.vmovi(1, 0, 3)]
    driver.send(...commands)
    const names = ['VSYNC', 'VINVALL', 'INVDB', 'VSGI', 'VMOVI']
    expect(driver.unpredictable()).toEqual(names.map((name) => `command-unmapped ${name}`))
  })

  it('is a vLPI or a vSGI that comes while a list register has its vINTID', () => {
    const driver = new Gicv4Driver(REPORT)
    driver.mapVpe()
    driver.enter()
    driver.poll()
    for (const [n, vintid] of [8192n, 5n].entries()) {
      driver.gic.writeSysreg64(0, ichLr(n), (2n << 62n) | vintid, 2)
    }
    send(driver)
    driver.gic.writeMmio64(GITS + 0x2_0020, 5n)
    driver.gic.writeMmio64(GITS + 0x2_0020, 6n)
    const heard = ['list-register-direct vLPI cpu 0', 'list-register-direct vSGI cpu 0']
    expect(driver.unpredictable()).toEqual(heard)
  })

  it('is none in a free list register, nor where an interrupt of that number is not a direct one', () => {
    const driver = new Gicv4Driver(REPORT)
    driver.mapVpe()
    send(driver)
    driver.enter()
    driver.poll()
    driver.gic.writeSysreg64(0, ichLr(0), 8192n, 2)
    driver.gic.writeSysreg64(0, ichLr(1), (1n << 62n) | 40n, 2)
    driver.gic.writeSysreg64(1, ichLr(0), (1n << 62n) | 8192n, 2)
    expect(driver.unpredictable()).toEqual([])
  })

  it('is Valid that is set while the vPE before leaves, of both versions', () => {
    for (const version of ['4.0', '4.1'] as const) {
      const driver = new Gicv4Driver({ ...REPORT, ...LAGGING, version })
      mapAndSend(driver)
      driver.enter()
      driver.poll()
      driver.leave()
      driver.enter()
      expect(driver.unpredictable()).toEqual(['valid-while-dirty GICR_VPENDBASER cpu 0'])
    }
  })

  it('of GICv4.1 is none of GICv4.0 where that does not show that a vPE becomes resident', () => {
    const driver = new Gicv4Driver({ ...REPORT, ...LAGGING, version: '4.0' })
    mapAndSend(driver)
    driver.enter()
    driver.leave()
    driver.poll()
    expect(driver.unpredictable()).toEqual([])
    expect(driver.pendingLast()).toBe(true)
  })

  it('is not GICR_VPROPBASER of another group of redistributors', () => {
    const driver = new Gicv4Driver({ ...REPORT, affinities: [0, 0x100_0000] })
    driver.gic.writeMmio64(driver.vpropbaser(1), driver.vpropbaserValue + 0x1_0000n)
    expect(driver.unpredictable()).toEqual([])
  })

  it('is found in every order of what lags, and not where the driver polls', () => {
    /** The rules that are broken in any order of the driver's steps and of effects that are complete. */
    function broken(steps: readonly ((driver: Gicv4Driver) => boolean)[]): Set<string> {
      const found = new Set<string>()
      const visit = (driver: Gicv4Driver, next: number): void => {
        for (const rule of driver.gic.unpredictable) found.add(rule)
        for (const effect of driver.gic.effects()) {
          const other = new Gicv4Driver({}, driver)
          other.gic.complete(effect)
          visit(other, next)
        }
        if (next === steps.length) return
        const other = new Gicv4Driver({}, driver)
        if (steps[next](other)) visit(other, next + 1)
      }
      const driver = new Gicv4Driver({ ...REPORT, ...LAGGING })
      driver.mapVpe()
      visit(driver, 0)
      return found
    }
    const enter = (driver: Gicv4Driver): boolean => {
      driver.enter()
      return true
    }
    const leave = (driver: Gicv4Driver): boolean => {
      driver.leave()
      return true
    }
    const isClean = (driver: Gicv4Driver): boolean =>
      (driver.gic.readMmio64(driver.vpendbaser(0)) & DIRTY) === 0n
    expect([...broken([enter, leave, enter])]).toEqual(['valid-while-dirty'])
    expect([...broken([enter, isClean, leave, isClean, enter])]).toEqual([])
  })
})
