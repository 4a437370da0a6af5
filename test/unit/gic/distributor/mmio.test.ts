/** The physical address space: what exists, and that everything else reads as zero and ignores writes. */
import { Gic, type GicHost, ICC_PMR_EL1, VgicError } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICD, GICR, ICACTIVER, ISACTIVER, ONES, sgiBase } from '../../../kit/frames.ts'

const GICD_ISACTIVER = GICD + ISACTIVER
const GICD_ICACTIVER = GICD + ICACTIVER
const ISACTIVER0 = sgiBase(0) + ISACTIVER
const ICACTIVER0 = sgiBase(0) + ICACTIVER

describe('GICR_ISACTIVER0 and GICR_ICACTIVER0', () => {
  it('set and clear the active bits of 32 SGIs and PPIs: a bit written as 0 changes nothing', () => {
    const gic = new Gic({ cpus: 1 })
    expect(gic.readMmio(ISACTIVER0, 4)).toBe(0)
    gic.writeMmio(ISACTIVER0, 4, 0x8000_0001)
    gic.writeMmio(ISACTIVER0, 4, 0x0800_0000)
    expect([gic.readMmio(ISACTIVER0, 4), gic.readMmio(ICACTIVER0, 4)]).toEqual([0x8800_0001, 0x8800_0001])
    gic.writeMmio(ICACTIVER0, 4, 0x8000_0000)
    gic.writeMmio(ICACTIVER0, 4, 0)
    expect([gic.readMmio(ISACTIVER0, 4), gic.readMmio(ICACTIVER0, 4)]).toEqual([0x0800_0001, 0x0800_0001])
  })

  it.each([
    { version: '3', stride: 0x2_0000 },
    { version: '4.0', stride: 0x4_0000 },
    { version: '4.1', stride: 0x4_0000 },
  ] as const)(
    'are those of each redistributor, which are $stride bytes long in version $version',
    ({ version, stride }) => {
      const gic = new Gic({ cpus: 3, version })
      for (const cpu of [0, 1, 2]) gic.writeMmio(ISACTIVER0 + cpu * stride, 4, 1 << cpu)
      expect([0, 1, 2].map((cpu) => gic.readMmio(ISACTIVER0 + cpu * stride, 4))).toEqual([1, 2, 4])
    },
  )

  it('lie in the regions that the configuration gives, in the order of the CPUs', () => {
    const gic = new Gic({
      cpus: 3,
      spis: 988,
      gicd: 0x1_0000_0000,
      gicr: [
        { base: 0x2_0000_0000, count: 1 },
        { base: 0x4000_0000, count: 4 },
      ],
    })
    const at = [0x2_0001_0300, 0x4001_0300, 0x4003_0300]
    for (const [cpu, address] of at.entries()) gic.writeMmio(address, 4, 16 + cpu)
    expect(at.map((address) => gic.readMmio(address, 4))).toEqual([16, 17, 18])
    // Redistributors without a CPU, and the end of a region: nobody is there.
    const before = gic.hash()
    for (const address of [0x4005_0300, 0x4007_0300, 0x2_0003_0300]) {
      gic.writeMmio(address, 4, ONES)
      expect(gic.readMmio(address, 4)).toBe(0)
      expect(gic.claims(address)).toBe(false)
    }
    expect(gic.hash()).toBe(before)
    expect([gic.claims(0x2_0001_ffff), gic.claims(0x2_0002_0000)]).toEqual([true, false])
    gic.writeMmio(0x1_0000_0304, 4, ONES)
    expect(gic.readMmio(0x1_0000_0304, 4)).toBe(ONES)
  })
})

describe('GICD_ISACTIVER<n> and GICD_ICACTIVER<n>', () => {
  it('word 0 is RAZ/WI: SGIs and PPIs are in the redistributors', () => {
    const gic = new Gic({ cpus: 1 })
    gic.writeMmio(GICD_ISACTIVER, 4, ONES)
    expect([gic.readMmio(GICD_ISACTIVER, 4), gic.readMmio(ISACTIVER0, 4)]).toEqual([0, 0])
    gic.writeMmio(ISACTIVER0, 4, ONES)
    gic.writeMmio(GICD_ICACTIVER, 4, ONES)
    expect([gic.readMmio(GICD_ICACTIVER, 4), gic.readMmio(ISACTIVER0, 4)]).toEqual([0, ONES])
  })

  it.each([0, 1, 31, 32, 33, 224, 987, 988])('with %i SPIs: bits past the last one are RAZ/WI', (spis) => {
    const gic = new Gic({ cpus: 1, spis })
    for (let n = 0; n < 32; n++) {
      const bits = Math.min(Math.max(32 + spis - 32 * n, 0), 32)
      const expected = n === 0 ? 0 : 2 ** bits - 1
      gic.writeMmio(GICD_ISACTIVER + 4 * n, 4, ONES)
      expect([gic.readMmio(GICD_ISACTIVER + 4 * n, 4), gic.readMmio(GICD_ICACTIVER + 4 * n, 4)]).toEqual([
        expected,
        expected,
      ])
    }
    for (let n = 0; n < 32; n++) {
      gic.writeMmio(GICD_ICACTIVER + 4 * n, 4, ONES)
      expect(gic.readMmio(GICD_ISACTIVER + 4 * n, 4)).toBe(0)
    }
  })

  it('each bit is one SPI', () => {
    const gic = new Gic({ cpus: 1, spis: 64 })
    gic.writeMmio(GICD_ISACTIVER + 8, 4, 0x8000_0001)
    expect([1, 2].map((n) => gic.readMmio(GICD_ISACTIVER + 4 * n, 4))).toEqual([0, 0x8000_0001])
    gic.writeMmio(GICD_ICACTIVER + 8, 4, 0x8000_0000)
    expect([1, 2].map((n) => gic.readMmio(GICD_ISACTIVER + 4 * n, 4))).toEqual([0, 1])
  })
})

describe('an access that nothing answers', () => {
  const machine = () => {
    const gic = new Gic({ cpus: 2, spis: 64 })
    for (const address of [GICD_ISACTIVER + 4, ISACTIVER0, ISACTIVER0 + 0x2_0000])
      gic.writeMmio(address, 4, 0x5555_5555)
    return gic
  }
  const expectIgnored = (address: number, size: number) => {
    const gic = machine()
    const before = gic.hash()
    expect(gic.readMmio(address, size)).toBe(0)
    gic.writeMmio(address, size, ONES)
    expect(gic.hash()).toBe(before)
  }

  it('of a size that the register does not have', () => {
    for (const address of [GICD_ISACTIVER + 4, GICD_ICACTIVER + 4, ISACTIVER0, ICACTIVER0]) {
      for (const size of [1, 2, 8, 0, 3, 5, 16, -4, 4.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        expectIgnored(address, size)
      }
    }
  })

  it('misaligned', () => {
    for (const offset of [1, 2, 3]) {
      for (const size of [1, 2, 4, 8]) {
        expectIgnored(GICD_ISACTIVER + 4 + offset, size)
        expectIgnored(ISACTIVER0 + offset, size)
        expectIgnored(ISACTIVER0 - offset, size)
      }
    }
  })

  it('just outside the registers', () => {
    for (const address of [ISACTIVER0 - 4, ISACTIVER0 + 4, ICACTIVER0 - 4, ICACTIVER0 + 4]) {
      expectIgnored(address, 4)
    }
    expectIgnored(GICR + 0x300, 4)
    expectIgnored(GICD + 0x1_0000, 4)
    expectIgnored(GICR + 0x4_0000, 4)
  })

  it('at no address at all', () => {
    const nowhere = [
      0,
      -4,
      -ISACTIVER0,
      2 ** 31,
      2 ** 32 + ISACTIVER0,
      2 ** 52,
      Number.MAX_SAFE_INTEGER,
      2 ** 64,
    ]
    for (const address of [
      ...nowhere,
      Number.MAX_VALUE,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]) {
      for (const size of [1, 2, 4, 8]) expectIgnored(address, size)
    }
    for (const address of [Number.NaN, 0.5, ISACTIVER0 + 0.5, ISACTIVER0 + 4 - 2 ** -20])
      expectIgnored(address, 4)
  })
})

describe('the value of a write', () => {
  it('is 32 bits: what is above them is dropped, and odd numbers are no reason to throw', () => {
    const gic = new Gic({ cpus: 1 })
    gic.writeMmio(ISACTIVER0, 4, 0x7_0000_0001)
    expect(gic.readMmio(ISACTIVER0, 4)).toBe(1)
    gic.writeMmio(ICACTIVER0, 4, -1)
    expect(gic.readMmio(ISACTIVER0, 4)).toBe(0)
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 0.5]) gic.writeMmio(ISACTIVER0, 4, value)
    expect(gic.readMmio(ISACTIVER0, 4)).toBe(0)
  })
})

describe('wrong use of the device', () => {
  const gic = new Gic({ cpus: 1 })
  const [number, bigint] = [1 as unknown as bigint, 1n as unknown as number]

  it('a number for a bigint, or the other way round, is refused and writes nothing', () => {
    const before = gic.hash()
    for (const write of [
      () => gic.writeMmio64(ISACTIVER0, number),
      () => gic.writeSysreg64(0, ICC_PMR_EL1, number, 1),
    ]) {
      expect(write).toThrow(new VgicError('argument', 'value must be a bigint, such as 1n, but is 1.'))
    }
    for (const write of [
      () => gic.writeMmio(ISACTIVER0, 4, bigint),
      () => gic.writeSysreg(0, ICC_PMR_EL1, bigint, 1),
    ]) {
      expect(write).toThrow(new VgicError('argument', 'value must be a number, but is 1n.'))
    }
    expect(gic.hash()).toBe(before)
  })

  it('a host that is none is refused before it would be called', () => {
    for (const host of [null, 1, { setLine: 1 }]) {
      for (const make of [
        () => new Gic({ cpus: 1 }, host as unknown as GicHost),
        () => Gic.from(gic.snapshot(), host as unknown as GicHost),
      ]) {
        expect(make).toThrow(/^host must be an object whose setLine/)
      }
    }
  })
})

describe('claims', () => {
  it('says whether an address lies in a frame', () => {
    const gic = new Gic({ cpus: 2 })
    for (const address of [GICD, GICD + 0xffff, GICR, GICR + 0x3_ffff, ISACTIVER0]) {
      expect([address, gic.claims(address)]).toEqual([address, true])
    }
    for (const address of [GICD - 1, GICD + 0x1_0000, GICR - 1, GICR + 0x4_0000, 0, -1, 2 ** 52, 2 ** 64]) {
      expect([address, gic.claims(address)]).toEqual([address, false])
    }
    expect(
      [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((a) => gic.claims(a)),
    ).toEqual([false, false, false])
  })

  it('knows the VLPI frames of GICv4 redistributors', () => {
    const [three, four] = (['3', '4.0'] as const).map((version) => new Gic({ cpus: 1, version }))
    expect([three.claims(GICR + 0x2_0000), four.claims(GICR + 0x2_0000)]).toEqual([false, true])
    expect([four.claims(GICR + 0x3_ffff), four.claims(GICR + 0x4_0000)]).toEqual([true, false])
  })
})
