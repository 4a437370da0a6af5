/**
 * The rules of docs/gicv4-barriers.md: for each a driver that breaks it, which is told once, and one that keeps it, which
 * hears nothing.
 */
import { type BarrierRule, barrierRules, Gic, type GicConfig } from 'vgic'
import { describe, expect, it } from 'vitest'
import { at, GICD, GITS, Gicv4Driver, vpes } from '../../../kit/gicv4-driver.ts'
import { type Command, its } from '../its/its-board.ts'
import { DIRECT, ICENABLER, INVLPIR, ISENABLER, MSI, mapLpi, SYNCR, V3, V40 } from './barrier-drivers.ts'

interface Case {
  readonly name: string
  readonly config?: Partial<GicConfig>
  readonly setUp?: (driver: Gicv4Driver) => void
  /** The same without the barrier, and with it. */
  readonly drive: (driver: Gicv4Driver, keeps: boolean) => void
  /** The report of the one that breaks it, behind its rule. */
  readonly report: string
}

const SGI = 0x1_0000

const mapVpe = (driver: Gicv4Driver): void => driver.mapVpe()
function mapTwo(driver: Gicv4Driver): void {
  driver.mapVpe(0)
  driver.mapVpe(1)
}
function reside(driver: Gicv4Driver): void {
  driver.mapVpe()
  driver.enter()
  driver.poll()
}

const sync = (keeps: boolean, cpu = 0): Command[] => (keeps ? [its.sync(cpu)] : [])
const vsync = (keeps: boolean, vpe = 0): Command[] => (keeps ? [vpes.vsync(vpe)] : [])

const cases: Readonly<Record<BarrierRule, readonly Case[]>> = {
  B1: [
    {
      name: 'a message through MAPTI',
      config: V3,
      drive: (driver, keeps) => {
        driver.send(its.mapti(1, 0, 8192, 0), ...sync(keeps))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
    {
      name: 'an INT through MAPI',
      config: V3,
      drive: (driver, keeps) => {
        driver.send(its.mapd(2, 14, at.itt(2)), its.sync(0))
        driver.send(its.mapi(2, 8200, 0), ...sync(keeps), its.int(2, 8200))
      },
      report: 'INT cpu 0 its 0',
    },
    {
      name: 'an INT through MAPD',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) => driver.send(its.mapd(1, 4, at.itt(1)), ...sync(keeps), its.int(1, 0)),
      report: 'INT cpu 0 its 0',
    },
    {
      name: 'a message through MAPC',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) => {
        driver.send(its.mapc(0, 1), ...sync(keeps, 1))
        driver.gic.sendMsi(1, 0)
      },
      report: 'GITS_TRANSLATER cpu 1 its 0',
    },
    {
      name: 'a message through VMAPTI',
      setUp: (driver) => driver.send(vpes.vmapp(0, 0), vpes.vsync(0)),
      drive: (driver, keeps) => {
        driver.configureVirtual(0, 8192)
        driver.send(vpes.vmapti(1, 0, 8192, 0), ...vsync(keeps))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
    {
      name: 'a message to a vPE through VMAPP',
      config: V40,
      drive: (driver, keeps) => {
        driver.send(vpes.vmapti(1, 0, 8192, 0), vpes.vmapp(0, 0), its.sync(0), ...vsync(keeps))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
  ],
  B2: [
    {
      name: 'a message behind MOVI',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) => {
        driver.send(its.movi(1, 0, 1), ...sync(keeps))
        driver.gic.sendMsi(1, 0)
      },
      report: 'GITS_TRANSLATER cpu 1 its 0',
    },
    {
      name: 'an INT behind MOVALL',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) => driver.send(its.movall(1, 0), ...sync(keeps), its.int(1, 0)),
      report: 'INT cpu 0 its 0',
    },
    {
      name: 'a message behind VMOVI',
      setUp: mapTwo,
      drive: (driver, keeps) => {
        driver.configureVirtual(1, 8192)
        driver.send(vpes.vmovi(1, 0, 1), ...vsync(keeps, 1))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
    {
      name: 'a message behind VMOVP',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        driver.send(vpes.vmovp(0, 1), ...vsync(keeps))
        driver.gic.sendMsi(1, 0)
      },
      report: 'GITS_TRANSLATER cpu 1 its 0',
    },
  ],
  B3: [
    {
      name: 'the byte of an LPI that was never used',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) => {
        driver.configure(8192, false)
        if (keeps) driver.send(its.inv(1, 0), its.sync(0))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
    {
      name: 'the byte of an LPI, with INVALL',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) => {
        driver.configure(8192, false)
        driver.send(...(keeps ? [its.invall(0), its.sync(0)] : []), its.int(1, 0))
      },
      report: 'INT cpu 0 its 0',
    },
    {
      name: 'the byte of a vLPI, with VINVALL',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        driver.configureVirtual(0, 8192, false)
        if (keeps) driver.send(vpes.vinvall(0), vpes.vsync(0))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
    {
      name: 'the byte of a vLPI, with GICR_INVLPIR',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        const { gic } = driver
        driver.configureVirtual(0, 8192, false)
        if (keeps) gic.writeMmio64(driver.rd(0) + INVLPIR, (1n << 63n) | 8192n)
        gic.readMmio(driver.rd(0) + SYNCR, 4)
        gic.sendMsi(1, 0)
      },
      report: MSI,
    },
    {
      name: 'the byte of a vLPI of the vPE that is resident on GICv4.0',
      config: V40,
      setUp: (driver) => {
        reside(driver)
        driver.gic.sendMsi(1, 0)
      },
      drive: (driver, keeps) => {
        driver.configureVirtual(0, 8192, false)
        if (keeps) driver.send(its.inv(1, 0), vpes.vsync(0))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
  ],
  B4: [
    {
      name: 'a message behind INV',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) => {
        driver.configure(8192, false)
        driver.send(its.inv(1, 0), ...sync(keeps))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
    {
      name: 'a message behind INV and the SYNC of another redistributor',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) => {
        driver.send(its.inv(1, 0), its.sync(1), ...sync(keeps))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
    {
      name: 'an INT behind INVALL',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) => driver.send(its.invall(0), ...sync(keeps), its.int(1, 0)),
      report: 'INT cpu 0 its 0',
    },
    {
      name: 'a message behind VINVALL',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        driver.send(vpes.vinvall(0), ...vsync(keeps))
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
  ],
  B5: [
    {
      name: 'a message behind GICR_INVLPIR of direct LPIs',
      config: DIRECT,
      setUp: mapLpi,
      drive: (driver, keeps) => {
        driver.gic.writeMmio64(driver.rd(0) + INVLPIR, 8192n)
        if (keeps) driver.wait(driver.rd(0) + SYNCR)
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
    {
      name: 'a message behind GICR_INVALLR of a vPE',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        driver.gic.writeMmio64(driver.rd(0) + 0xb0, 1n << 63n)
        if (keeps) driver.wait(driver.rd(0) + SYNCR)
        driver.gic.sendMsi(1, 0)
      },
      report: MSI,
    },
  ],
  B6: [
    {
      name: 'VMAPP',
      drive: (driver, keeps) => {
        driver.send(vpes.vmapp(3, 0), ...vsync(keeps, 3))
        driver.enter(3)
      },
      report: 'GICR_VPENDBASER cpu 0 its 0',
    },
    {
      name: 'VMAPP of GICv4.0',
      config: V40,
      drive: (driver, keeps) => {
        driver.send(vpes.vmapp(3, 0), ...vsync(keeps, 3))
        driver.enter(3)
      },
      report: 'GICR_VPENDBASER cpu 0 its 0',
    },
    {
      name: 'VMOVP',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        driver.send(vpes.vmovp(0, 1), ...vsync(keeps))
        driver.enter(0, 1)
      },
      report: 'GICR_VPENDBASER cpu 1 its 0',
    },
    {
      name: 'VSGI',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        driver.send(vpes.vsgi(0, 5), ...vsync(keeps))
        driver.enter(0)
      },
      report: 'GICR_VPENDBASER cpu 0 its 0',
    },
  ],
  B7: [
    {
      name: 'VSGI of that SGI',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        driver.send(vpes.vsgi(0, 5), ...vsync(keeps))
        driver.gic.writeMmio64(GITS + 0x2_0020, 5n)
      },
      report: 'GITS_SGIR its 0',
    },
  ],
  B8: [
    {
      name: 'INVDB',
      setUp: (driver) => {
        driver.mapVpe(0, 0, 8300)
        driver.enter()
        driver.poll()
      },
      drive: (driver, keeps) => {
        driver.send(vpes.invdb(0), ...vsync(keeps))
        driver.leave(0, true)
      },
      report: 'GICR_VPENDBASER cpu 0 its 0',
    },
  ],
  B9: [
    {
      name: 'an ERET to EL1',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        driver.enter()
        if (keeps) expect(driver.poll()).toBe(true)
        driver.gic.setExceptionLevel(0, 1)
      },
      report: 'ERET cpu 0',
    },
  ],
  B10: [
    {
      name: 'Valid cleared, hard case 45',
      setUp: mapVpe,
      drive: (driver, keeps) => {
        driver.enter()
        if (keeps) driver.poll()
        driver.leave()
      },
      report: 'GICR_VPENDBASER cpu 0',
    },
    {
      name: 'Valid set on GICv4.0',
      config: V40,
      setUp: reside,
      drive: (driver, keeps) => {
        driver.leave()
        if (keeps) driver.poll()
        driver.enter()
      },
      report: 'GICR_VPENDBASER cpu 0',
    },
  ],
  B11: [
    {
      name: 'VMOVP',
      setUp: reside,
      drive: (driver, keeps) => {
        driver.leave()
        if (keeps) driver.poll()
        driver.send(vpes.vmovp(0, 1), vpes.vsync(0))
      },
      report: 'VMOVP cpu 0 its 0',
    },
    {
      name: 'VMAPP with V = 0 on GICv4.0',
      config: V40,
      setUp: reside,
      drive: (driver, keeps) => {
        driver.leave()
        if (keeps) driver.poll()
        driver.send(vpes.vunmap(0), vpes.vsync(0))
      },
      report: 'VMAPP cpu 0 its 0',
    },
  ],
  B12: [
    {
      name: 'MAPD of another device, over a part of it',
      config: V3,
      setUp: mapLpi,
      drive: (driver, keeps) =>
        driver.send(its.mapd(1, 4, 0, false), ...sync(keeps), its.mapd(2, 0, at.itt(1) + 0x100)),
      report: 'MAPD its 0',
    },
  ],
  B13: [
    {
      name: 'VMAPP of another vPE on GICv4.0',
      config: V40,
      setUp: mapVpe,
      drive: (driver, keeps) =>
        driver.send(vpes.vunmap(0), ...vsync(keeps), vpes.vmapp(1, 0, { vpt: at.vpt(0) }), vpes.vsync(1)),
      report: 'VMAPP its 0',
    },
  ],
  B14: [
    {
      name: 'an SPI is routed elsewhere',
      config: V3,
      setUp: ({ gic }) => gic.writeMmio(GICD + ISENABLER + 4, 4, 1 << 8),
      drive: (driver, keeps) => {
        const { gic } = driver
        gic.writeMmio(GICD + ICENABLER + 4, 4, 1 << 8)
        if (keeps) driver.wait(GICD)
        gic.writeMmio64(GICD + 0x6000 + 8 * 40, 1n)
      },
      report: 'GICD_IROUTER40',
    },
    {
      name: 'a PPI is given another priority, by a byte',
      config: V3,
      setUp: (driver) => driver.gic.writeMmio(driver.rd(0) + SGI + ISENABLER, 4, 1 << 27),
      drive: (driver, keeps) => {
        const { gic } = driver
        gic.writeMmio(driver.rd(0) + SGI + ICENABLER, 4, 1 << 27)
        if (keeps) driver.wait(driver.rd(0))
        gic.writeMmio(driver.rd(0) + SGI + 0x400 + 27, 1, 0x80)
      },
      report: 'GICR_IPRIORITYR6 cpu 0',
    },
  ],
  B15: [
    {
      name: 'nASSGIreq',
      drive: (driver, keeps) => {
        const { gic } = driver
        gic.writeMmio(GICD, 4, 0)
        if (keeps) driver.wait(GICD)
        gic.writeMmio(GICD, 4, 0x100)
      },
      report: 'GICD_CTLR',
    },
    {
      name: 'an SPI changes its group',
      config: V3,
      drive: (driver, keeps) => {
        const { gic } = driver
        gic.writeMmio(GICD, 4, 0)
        if (keeps) driver.wait(GICD)
        gic.writeMmio(GICD + 0x84, 4, 1)
      },
      report: 'GICD_IGROUPR1',
    },
  ],
  B16: [
    {
      name: 'another configuration table',
      config: V3,
      drive: (driver, keeps) => {
        driver.gic.writeMmio(driver.rd(0), 4, 0)
        if (keeps) driver.wait(driver.rd(0))
        driver.gic.writeMmio64(driver.rd(0) + 0x70, 0x5100_078fn)
      },
      report: 'GICR_PROPBASER cpu 0',
    },
  ],
  B17: [
    {
      name: 'another vPE table',
      drive: (driver, keeps) => {
        driver.gic.writeMmio64(driver.vpropbaser(1), 0n)
        if (keeps) driver.wait(driver.rd(1))
        driver.gic.writeMmio64(driver.vpropbaser(1), driver.vpropbaserValue)
      },
      report: 'GICR_VPROPBASER cpu 1',
    },
  ],
}

/** The driver of a case up to where it breaks its rule, or keeps it. */
function driverOf({ config, setUp }: Case, writeEffects: 'at-once' | 'lagging'): Gicv4Driver {
  const driver = new Gicv4Driver({ ...config, writeEffects, barriers: 'report' })
  setUp?.(driver)
  driver.gic.completeWrites()
  expect(driver.missing()).toEqual([])
  return driver
}

for (const [rule, title] of Object.entries(barrierRules) as [BarrierRule, string][]) {
  describe(`${rule}, ${title}`, () => {
    for (const each of cases[rule]) {
      it.each(['at-once', 'lagging'] as const)(`${each.name}: told once, effects %s`, (writeEffects) => {
        const driver = driverOf(each, writeEffects)
        each.drive(driver, false)
        driver.gic.completeWrites()
        expect(driver.missing()).toEqual([`${rule} ${each.report}`])
        expect(driver.gic.missingBarriers).toEqual([rule])
      })

      it.each(['at-once', 'lagging'] as const)(`${each.name}: silent if kept, effects %s`, (writeEffects) => {
        const driver = driverOf(each, writeEffects)
        each.drive(driver, true)
        driver.gic.completeWrites()
        expect(driver.missing()).toEqual([])
        expect(driver.gic.missingBarriers).toEqual([])
      })
    }
  })
}

describe('the detector', () => {
  const REPORT = { ...V3, barriers: 'report' } as const
  const LAGGING = { ...REPORT, writeEffects: 'lagging' } as const

  it('hears of a message that comes before its MAPTI is carried out', () => {
    const driver = new Gicv4Driver(LAGGING)
    driver.post(its.mapti(1, 0, 8192, 0), its.sync(0))
    driver.gic.sendMsi(1, 0)
    expect(driver.missing()).toEqual(['B1 GITS_TRANSLATER its 0'])
  })

  it('lets a device send while its interrupt is moved or invalidated by commands that are still carried out', () => {
    const driver = new Gicv4Driver(LAGGING)
    mapLpi(driver)
    driver.configure(8192, false)
    driver.post(its.inv(1, 0), its.movi(1, 0, 1), its.sync(0))
    for (let left = 3; left > 0; left--) {
      driver.gic.sendMsi(1, 0)
      driver.gic.complete('ITS[0] command')
    }
    expect(driver.missing()).toEqual([])
  })

  it('says what was relied on', () => {
    const reports: string[] = []
    const driver = new Gicv4Driver(REPORT)
    driver.send(its.mapti(1, 0, 8192, 0))
    const gic = Gic.from(driver.gic.snapshot(), {
      memory: driver.ram,
      onMissingBarrier: ({ what }) => reports.push(what),
    })
    gic.sendMsi(1, 0)
    expect(reports).toEqual(['MAPTI, after which there is no barrier: device 1 event 0'])
  })

  it('remembers in the state: a restored GIC knows what was not synchronised, and what was reported', () => {
    const driver = new Gicv4Driver(REPORT)
    driver.send(its.mapti(1, 0, 8192, 0))
    const before = driver.gic.snapshot()
    driver.gic.sendMsi(1, 0)
    expect(driver.gic.missingBarriers).toEqual(['B1'])
    driver.gic.restore(before)
    expect(driver.gic.missingBarriers).toEqual([])
    driver.gic.sendMsi(1, 0)
    expect(driver.missing()).toEqual([`B1 ${MSI}`, `B1 ${MSI}`])
  })

  it('forgets the oldest of more than 64 commands', () => {
    const driver = new Gicv4Driver(REPORT)
    driver.send(its.mapd(1, 9, at.itt(1)), its.sync(0))
    for (let id = 0; id < 65; id++) driver.send(its.mapti(1, id, 8192 + id, 0))
    driver.gic.sendMsi(1, 0)
    expect(driver.missing()).toEqual([])
    driver.gic.sendMsi(1, 1)
    expect(driver.missing()).toEqual([`B1 ${MSI}`])
  })

  it('changes nothing but its own words: the GIC does the same with it and without', () => {
    const withReports = new Gicv4Driver({ barriers: 'report' })
    const without = new Gicv4Driver({ barriers: 'off' })
    for (const driver of [withReports, without]) {
      driver.mapVpe()
      driver.enter()
      driver.gic.sendMsi(1, 0)
      driver.leave(0, true)
      driver.gic.sendMsi(1, 0)
    }
    expect(withReports.missing()).not.toEqual([])
    expect(without.missing()).toEqual([])
    expect(without.gic.missingBarriers).toEqual([])
    expect([...withReports.ram.words]).toEqual([...without.ram.words])
    expect(withReports.gic.readMmio64(withReports.vpendbaser(0))).toBe(
      without.gic.readMmio64(without.vpendbaser(0)),
    )
  })
})
