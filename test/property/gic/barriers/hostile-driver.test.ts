/**
 * A driver that keeps to nothing, on GICs that tell it so and on those that take the worst of it: nothing throws, every
 * effect comes to an end, an image goes on as the GIC that it is of, and who reports changes nothing.
 */
import fc from 'fast-check'
import { type GicConfig, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { at, GICD, GITS, Gicv4Driver, vpes } from '../../../kit/gicv4-driver.ts'
import { type Command, its, VALID } from '../../../unit/gic/its/its-board.ts'

const two = fc.nat(1)
const three = fc.nat(2)
const vintid = fc.integer({ min: 8190, max: 8200 })

const command: fc.Arbitrary<Command> = fc.oneof(
  fc
    .record({ vpe: three, rd: three, alloc: fc.boolean(), ptz: fc.boolean(), vpt: three })
    .map((each) =>
      vpes.vmapp(each.vpe, each.rd, { ...each, vpt: at.vpt(each.vpt), doorbell: 8300 + each.vpe }),
    ),
  three.map(vpes.vunmap),
  fc.tuple(two, three, vintid, three).map((args) => vpes.vmapti(...args)),
  fc.tuple(two, three, three).map((args) => vpes.vmovi(...args)),
  fc.tuple(three, three).map((args) => vpes.vmovp(...args)),
  fc.tuple(three, fc.nat(15)).map((args) => vpes.vsgi(...args)),
  three.chain((vpe) => fc.constantFrom(vpes.vsync(vpe), vpes.vinvall(vpe), vpes.invdb(vpe))),
  fc
    .tuple(two, three)
    .chain(([device, event]) =>
      fc.constantFrom(
        its.int(device, event),
        its.inv(device, event),
        its.clear(device, event),
        its.discard(device, event),
        its.movi(device, event, event),
      ),
    ),
  fc.tuple(two, three, vintid, two).map((args) => its.mapti(...args)),
  fc.tuple(two, two, fc.boolean()).map(([device, itt, valid]) => its.mapd(device, 4, at.itt(itt), valid)),
  fc.tuple(two, three, fc.boolean()).map((args) => its.mapc(...args)),
  three.chain((rd) => fc.constantFrom(its.sync(rd), its.invall(rd), its.movall(rd, 0))),
)

/** What the driver does, with a GIC that it may find in any state. */
type Act = (driver: Gicv4Driver) => void

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: command.map(
      (each): Act =>
        (driver) =>
          driver.post(each),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(two, three).map(
      (args): Act =>
        ({ gic }) =>
          gic.sendMsi(...args),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(three, two).map(
      (args): Act =>
        (driver) =>
          driver.enter(...args),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(two, fc.boolean()).map(
      (args): Act =>
        (driver) =>
          driver.leave(...args),
    ),
  },
  {
    weight: 2,
    arbitrary: two.map(
      (cpu): Act =>
        (driver) =>
          void driver.poll(cpu),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(three, fc.nat(15)).map(
      ([vpe, sgi]): Act =>
        ({ gic }) => {
          gic.writeMmio64(GITS + 0x2_0020, (BigInt(vpe) << 32n) | BigInt(sgi))
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(two, fc.constantFrom(0n, 1n, 2n, 3n)).map(
      ([cpu, which]): Act =>
        (driver) => {
          const values = [
            0n,
            driver.vpropbaserValue,
            driver.vpropbaserValue ^ VALID,
            driver.vpropbaserValue + 0x1_0000n,
          ]
          driver.gic.writeMmio64(driver.vpropbaser(cpu), values[Number(which)])
        },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(two, three).map(
      ([cpu, vpe]): Act =>
        (driver) => {
          driver.gic.writeMmio(driver.vpendbaser(cpu), 4, vpe)
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(three, vintid, fc.boolean()).map(
      ([vpe, intid, enabled]): Act =>
        (driver) => {
          driver.configureVirtual(vpe, intid, enabled)
          driver.configure(intid, enabled)
        },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(two, vintid, fc.boolean()).map(
      ([cpu, intid, one]): Act =>
        (driver) => {
          driver.gic.writeMmio64(driver.rd(cpu) + (one ? 0xa0 : 0xb0), VALID | BigInt(intid))
          driver.gic.readMmio(driver.rd(cpu) + 0xc0, 4)
        },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(two, vintid).map(
      ([cpu, intid]): Act =>
        ({ gic }) => {
          gic.writeSysreg64(cpu, ichLr(0), (1n << 62n) | (1n << 60n) | BigInt(intid), 2)
          gic.setExceptionLevel(cpu, 1)
          gic.setExceptionLevel(cpu, 2)
        },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.nat(3).map(
      (value): Act =>
        ({ gic }) =>
          gic.writeMmio(GICD, 4, value),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.nat(7).map(
      (n): Act =>
        ({ gic }) => {
          const effects = gic.effects()
          if (effects.length > 0) gic.complete(effects[n % effects.length])
        },
    ),
  },
)

const acts = fc.array(act, { maxLength: 60, size: 'max' })
const config = fc.record({
  version: fc.constantFrom('4.0', '4.1'),
  writeEffects: fc.constantFrom('at-once', 'lagging'),
  unpredictable: fc.constantFrom('ignore', 'pessimistic', 'report'),
}) satisfies fc.Arbitrary<Partial<GicConfig>>

/** What can be seen of a GIC and of its memory. */
function seen({ gic, ram }: Gicv4Driver): unknown {
  const registers = [0, 1].flatMap((cpu) =>
    Array.from({ length: 16 }, (_, n) => gic.readMmio(0x900_0000 + cpu * 0x4_0000 + 0x2_0070 + 4 * n, 4)),
  )
  const lines = [0, 1].map((cpu) => [gic.line(cpu, 'irq'), gic.line(cpu, 'virq'), gic.line(cpu, 'vfiq')])
  return [registers, lines, gic.effects(), [...ram.words]]
}

describe('a driver that keeps to nothing', () => {
  it('makes no GIC throw, and what it did from an image on comes out the same again', () => {
    fc.assert(
      fc.property(config, acts, acts, (config, before, after) => {
        const driver = new Gicv4Driver({ ...config, barriers: 'report' })
        for (const each of before) each(driver)
        const restored = new Gicv4Driver(config, driver)
        for (const each of after) {
          each(driver)
          each(restored)
        }
        driver.gic.completeWrites()
        restored.gic.completeWrites()
        expect(seen(restored)).toEqual(seen(driver))
        expect(restored.gic.hash()).toBe(driver.gic.hash())
      }),
    )
  })

  it('sees the same of a GIC that reports and of one that does not', () => {
    fc.assert(
      fc.property(config, acts, (config, acts) => {
        const reporting = new Gicv4Driver({ ...config, barriers: 'report' })
        const silent = new Gicv4Driver({ ...config, barriers: 'off' })
        for (const each of acts) {
          each(reporting)
          each(silent)
        }
        expect(seen(reporting)).toEqual(seen(silent))
      }),
    )
  })
})
