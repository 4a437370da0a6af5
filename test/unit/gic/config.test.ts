/** What a GIC can be configured to, what it cannot, and how it says so. */
import fc from 'fast-check'
import {
  Gic,
  type GicConfig,
  ICH_VTR_EL2,
  type ItsConfig,
  profiles,
  type SiliconChoices,
  VgicError,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { checkGicConfig, redistributorSize } from '../../../src/gic/config/config.ts'
import { Targets } from '../../../src/gic/its/targets.ts'

const gicr = (...regions: [base: number, count: number][]) => ({
  gicr: regions.map(([base, count]) => ({ base, count })),
})
const NOT_FRAME = "must be a multiple of 0x10000 from 0 to 2^52 less the frame's size, but is"

/** Fields of a configuration that is refused, and what the message says. They need not have the right types. */
const refused: [string, Readonly<Record<string, unknown>>, string][] = [
  ['17 list registers', { listRegisters: 17 }, 'listRegisters must be an integer from 1 to 16, but is 17.'],
  ['0 list registers', { listRegisters: 0 }, 'listRegisters must be an integer from 1 to 16, but is 0.'],
  ['no CPUs', { cpus: 0 }, 'cpus must be an integer from 1 to 512, but is 0.'],
  ['513 CPUs', { cpus: 513 }, 'cpus must be an integer from 1 to 512, but is 513.'],
  ['1.5 CPUs', { cpus: 1.5 }, 'cpus must be an integer from 1 to 512, but is 1.5.'],
  ['NaN CPUs', { cpus: Number.NaN }, 'cpus must be an integer from 1 to 512, but is NaN.'],
  ['no number of CPUs', { cpus: undefined }, 'cpus must be an integer from 1 to 512, but is undefined.'],
  ['the number of CPUs as a string', { cpus: '4' }, 'cpus must be an integer from 1 to 512, but is "4".'],
  ['3 priority bits', { priorityBits: 3 }, 'priorityBits must be an integer from 5 to 8, but is 3.'],
  ['9 priority bits', { priorityBits: 9 }, 'priorityBits must be an integer from 5 to 8, but is 9.'],
  ['4 preemption bits', { preemptionBits: 4 }, 'preemptionBits must be an integer from 5 to 7, but is 4.'],
  [
    '8 preemption bits',
    { priorityBits: 8, preemptionBits: 8 },
    'preemptionBits must be an integer from 5 to 7, but is 8.',
  ],
  [
    '6 preemption bits of 5 priority bits',
    { preemptionBits: 6 },
    'preemptionBits must be at most priorityBits, which is 5, but is 6.',
  ],
  ['989 SPIs', { spis: 989 }, 'spis must be an integer from 0 to 988, but is 989.'],
  ['-1 SPIs', { spis: -1 }, 'spis must be an integer from 0 to 988, but is -1.'],
  ['INTIDs of 20 bits', { intidBits: 20 }, 'intidBits must be 16 or 24, but is 20.'],
  ['version 5', { version: '5' }, 'version must be "3", "4.0" or "4.1", but is "5".'],
  ['version 4.1 as a number', { version: 4.1 }, 'version must be "3", "4.0" or "4.1", but is 4.1.'],
  ['DVIM with version 3', { dvim: true }, 'dvim must be false with version 3'],
  [
    'two Security states',
    { securityStates: 2 },
    'securityStates must be 1, but is 2: this GIC has one Security state (GICD_CTLR.DS = 1).',
  ],
  ['an unknown detector', { barriers: 'on' }, 'barriers must be "off" or "report"'],
  [
    'an unknown policy',
    { unpredictable: 'warn' },
    'unpredictable must be "ignore", "pessimistic" or "report"',
  ],
  ['an unknown time of effects', { writeEffects: 'never' }, 'writeEffects must be "at-once" or "lagging"'],
  [
    'affinities of another number',
    { affinities: [0] },
    'affinities must be an array of 2 numbers, one for each of cpus, but has 1.',
  ],
  ['an affinity that is none', { affinities: [2 ** 32, 1] }, 'affinities[0] must be an integer from 0 to'],
  [
    'two CPUs of one affinity',
    { cpus: 3, affinities: [5, 0x100, 5] },
    'affinities must all be different, but affinities[2] and affinities[0] are both 0x5.',
  ],
  [
    'an unknown profile',
    { profile: 'kvm' },
    'profile must be "arch", "qemu-7.2", "qemu-11.1" or "qemu-11.1-fixed", but is "kvm".',
  ],
  ['a profile that objects inherit', { profile: 'toString' }, 'profile must be "arch", "qemu-7.2"'],
  ['an unknown choice', { choices: { nmi: 'yes' } }, 'choices has no nmi; it has lpiActive, preemptMask, '],
  ['a choice that objects inherit', { choices: { valueOf: 'active' } }, 'choices has no valueOf'],
  [
    'an unknown value of a choice',
    { choices: { lpiActive: 'pending' } },
    'choices.lpiActive must be "invalid" or "active", but is "pending".',
  ],
  ['a misaligned distributor', { gicd: 0x0800_1000 }, `gicd ${NOT_FRAME} 0x8001000.`],
  ['a distributor at -65536', { gicd: -65536 }, `gicd ${NOT_FRAME} -65536.`],
  ['a distributor at NaN', { gicd: Number.NaN }, `gicd ${NOT_FRAME} NaN.`],
  ['a distributor behind the last address', { gicd: 2 ** 52 }, `gicd ${NOT_FRAME} 0x10000000000000.`],
  ['a misaligned redistributor', gicr([0x080a_8000, 2]), `gicr[0].base ${NOT_FRAME} 0x80a8000.`],
  [
    'a redistributor that ends behind the last address',
    gicr([0x1000_0000, 1], [2 ** 52 - 0x1_0000, 1]),
    `gicr[1].base ${NOT_FRAME} 0xfffffffff0000.`,
  ],
  [
    'a redistributor in the distributor',
    gicr([0x0800_0000, 2]),
    'gicr[0].base must be at or above 0x8010000, where gicd ends, but is 0x8000000.',
  ],
  [
    'a distributor in a redistributor',
    gicr([0x07fe_0000, 2]),
    'gicd must be at or above 0x8020000, where gicr[0].base ends, but is 0x8000000.',
  ],
  [
    'redistributors in each other',
    gicr([0x1002_0000, 1], [0x1000_0000, 2]),
    'gicr[0].base must be at or above 0x10040000, where gicr[1].base ends, but is 0x10020000.',
  ],
  [
    'too few redistributors',
    gicr([0x1000_0000, 1]),
    'gicr must have room for 2 redistributors, one for each of cpus, but has room for 1.',
  ],
  ['no redistributors', gicr(), 'gicr'],
  [
    'an empty region',
    gicr([0x1000_0000, 2], [0x2000_0000, 0]),
    'gicr[1].count must be an integer from 1 to 512, but is 0.',
  ],
]

describe('a configuration', () => {
  it.each(refused)(
    'with %s is refused, and the message names the field and its bounds',
    (_, fields, message) => {
      const make = () => new Gic({ cpus: 2, ...fields } as unknown as GicConfig)
      expect(make).toThrow(VgicError)
      expect(make).toThrow(
        expect.objectContaining({ code: 'config', message: expect.stringContaining(message) }),
      )
    },
  )

  it.each([
    [{ deviceBits: 0 }, 'its[1].deviceBits must be an integer from 1 to 32, but is 0.'],
    [{ deviceBits: 33 }, 'its[1].deviceBits must be an integer from 1 to 32, but is 33.'],
    [{ eventBits: 0 }, 'its[1].eventBits must be an integer from 1 to 32, but is 0.'],
    [{ eventBits: 33 }, 'its[1].eventBits must be an integer from 1 to 32, but is 33.'],
    [{ collectionBits: 17 }, 'its[1].collectionBits must be an integer from 1 to 16, but is 17.'],
    [{ pta: 2 }, 'its[1].pta must be an integer from 0 to 1, but is 2.'],
    [{ vmovp: 2 }, 'its[1].vmovp must be an integer from 0 to 1, but is 2.'],
    [{ svpet: 4 }, 'its[1].svpet must be an integer from 0 to 3, but is 4.'],
    [{ deviceBit: 5 }, 'its[1] has no deviceBit: did you mean deviceBits?'],
  ])('with a second ITS of %o is refused, and the message says which', (fields, message) => {
    const its = [{ base: 0x0c00_0000 }, { base: 0x0c10_0000, ...fields }] as readonly ItsConfig[]
    expect(() => new Gic({ cpus: 2, version: '4.1', its })).toThrow(
      expect.objectContaining({ code: 'config', message: expect.stringContaining(message) }),
    )
  })

  it('may have as many ITSs as there can be, with the widest IDs', () => {
    const ids = { deviceBits: 32, eventBits: 32, collectionBits: 16 }
    const of = (count: number) =>
      Array.from({ length: count }, (_, n) => ({ base: 0x1000_0000 + n * 0x4_0000, ...ids }))
    expect(new Gic({ cpus: 1, its: of(8) }).config.its).toHaveLength(8)
    expect(() => new Gic({ cpus: 1, its: of(9) })).toThrow(
      'its must be an array of up to 8 ITSs { base }, but has 9.',
    )
  })

  it('may have 512 regions of redistributors', () => {
    const regions = (count: number) =>
      gicr(...Array.from({ length: count }, (_, n): [number, number] => [2 ** 33 + n * 0x4_0000, 1]))
    expect(new Gic({ cpus: 1, ...regions(512) }).config.gicr).toHaveLength(512)
    expect(() => new Gic({ cpus: 1, ...regions(513) })).toThrow(/^gicr must be an array of .* but has 513\.$/)
  })

  it.each([
    ['3', 0, 0],
    ['4.0', 1, 0],
    ['4.1', 1, 1],
  ] as const)(
    'of version %s has VMOVP %i and SVPET %i, unless it is told otherwise',
    (version, vmovp, svpet) => {
      const config = (fields: object) =>
        new Gic({ cpus: 1, version, its: [{ base: 0x0c00_0000, ...fields }] }).config.its[0]
      expect(config({})).toMatchObject({ vmovp, svpet })
      expect(config({ vmovp: 0 })).toMatchObject({ vmovp: 0, svpet })
      expect(config({ vmovp: 1, svpet: 2 })).toMatchObject({ vmovp, svpet: version === '4.1' ? 2 : 0 })
    },
  )

  it('names a CPU to an ITS by its number, or by the address of its redistributor', () => {
    const regions = gicr([2 ** 32 + 0x1000_0000, 2], [0x2000_0000, 2])
    const config = checkGicConfig({ cpus: 3, ...regions })
    const [byNumber, byAddress] = ([0, 1] as const).map((pta) => new Targets(config, pta))
    const cpuOf = (targets: Targets, address: number): number =>
      targets.cpuOf(address | 0, Math.floor(address / 2 ** 32))
    expect([0, 1, 2, 3, 0xffff, 0x1_0000].map((n) => cpuOf(byNumber, n * 0x1_0000))).toEqual([
      0, 1, 2, -1, -1, -1,
    ])
    const addresses = [
      2 ** 32 + 0x1000_0000,
      2 ** 32 + 0x1002_0000,
      0x2000_0000,
      0x2002_0000,
      2 ** 32 + 0x1004_0000,
      0x1000_0000,
      2 ** 32 + 0x2000_0000,
      0,
    ]
    expect(addresses.map((address) => cpuOf(byAddress, address))).toEqual([0, 1, 2, -1, -1, -1, -1, -1])
    const v4 = new Targets(checkGicConfig({ cpus: 2, version: '4.0', ...gicr([0x1000_0000, 2]) }), 1)
    expect([0x1000_0000, 0x1002_0000, 0x1004_0000].map((address) => cpuOf(v4, address))).toEqual([0, -1, 1])
  })

  it('may have frames that touch, and frames at both ends of the address space', () => {
    new Gic({ cpus: 2, gicd: 0x1000_0000, ...gicr([0x1001_0000, 1], [0x1003_0000, 1]) })
    new Gic({ cpus: 2, gicd: 0, ...gicr([2 ** 52 - 0x4_0000, 2]) })
  })

  it('needs larger redistributors with GICv4', () => {
    expect(redistributorSize('3')).toBe(0x2_0000)
    expect(['4.0', '4.1'].map((version) => redistributorSize(version as '4.0'))).toEqual([0x4_0000, 0x4_0000])
    const touching = gicr([0x1000_0000, 1], [0x1002_0000, 1])
    new Gic({ cpus: 2, ...touching })
    expect(() => new Gic({ cpus: 2, version: '4.0', ...touching })).toThrow('where gicr[0].base ends')
  })

  it('is completed with defaults', () => {
    expect(new Gic({ cpus: 3 }).config).toEqual({
      version: '3',
      cpus: 3,
      affinities: [0, 1, 2],
      spis: 32,
      listRegisters: 4,
      priorityBits: 5,
      preemptionBits: 5,
      intidBits: 24,
      dvim: false,
      gicd: 0x0800_0000,
      gicr: [{ base: 0x080a_0000, count: 3 }],
      lpis: 0,
      lpiRegisters: true,
      directLpis: false,
      its: [],
      memoryLines: 0,
      commonLpiAff: 1,
      vpeBits: 16,
      unpredictable: 'ignore',
      barriers: 'off',
      writeEffects: 'at-once',
      maintenanceInterrupt: 'at-once',
      choices: profiles.arch,
    })
    expect(checkGicConfig({ cpus: 1, priorityBits: 8 }).preemptionBits).toBe(5)
  })

  it('is taken as it is when it was checked, and does not change with the object that it came from', () => {
    const regions = [{ base: 0x1000_0000, count: 1 }]
    const { config } = new Gic({ cpus: 1, gicr: regions })
    regions.push({ base: 0, count: 1 })
    expect(config.gicr).toEqual([{ base: 0x1000_0000, count: 1 }])
  })
})

describe('every legal combination of list registers, priority and preemption bits', () => {
  const combinations = Array.from({ length: 16 }, (_, n) => n + 1).flatMap((listRegisters) =>
    [5, 6, 7, 8].flatMap((priorityBits) =>
      [5, 6, 7]
        .filter((preemptionBits) => preemptionBits <= priorityBits)
        .map((preemptionBits) => ({ listRegisters, priorityBits, preemptionBits })),
    ),
  )

  it('is what ICH_VTR_EL2 tells, and survives an image', () => {
    expect(combinations).toHaveLength(16 * 9)
    for (const combination of combinations) {
      const gic = new Gic({ cpus: 1, ...combination })
      expect(gic.config).toMatchObject(combination)
      const copy = Gic.from(gic.snapshot())
      expect(copy.config).toEqual(gic.config)
      for (const g of [gic, copy]) {
        const { PRIbits = 0, PREbits = 0, ListRegs = 0 } = g.inspectSysreg(0, ICH_VTR_EL2).fields
        expect({
          listRegisters: ListRegs + 1,
          priorityBits: PRIbits + 1,
          preemptionBits: PREbits + 1,
        }).toEqual(combination)
      }
    }
  })
})

describe('ICH_VTR_EL2', () => {
  const vtr = (config: Partial<GicConfig>) =>
    new Gic({ cpus: 1, ...config }).inspectSysreg(0, ICH_VTR_EL2).fields

  it('of a default GIC is 5 priority and preemption bits, 24 INTID bits, A3V, nV4, TDS and 4 list registers', () => {
    expect(new Gic({ cpus: 1 }).readSysreg(0, ICH_VTR_EL2)).toBe(0x90b80003)
  })

  it('tells the version, the INTID bits and whether DVIM exists', () => {
    expect(vtr({})).toMatchObject({ nV4: 1, IDbits: 1, DVIM: 0, A3V: 1, TDS: 1, SEIS: 0 })
    expect(vtr({ version: '4.0', intidBits: 16 })).toMatchObject({ nV4: 0, IDbits: 0, DVIM: 0 })
    expect(vtr({ version: '4.1', dvim: true })).toMatchObject({ nV4: 0, DVIM: 1 })
  })
})

describe('a profile', () => {
  it('and single choices in its place survive an image', () => {
    const cases: [GicConfig, SiliconChoices][] = [
      [{ cpus: 1 }, profiles.arch],
      [{ cpus: 1, profile: 'arch' }, profiles.arch],
      [{ cpus: 1, profile: 'qemu-7.2' }, profiles['qemu-7.2']],
      [{ cpus: 1, profile: 'qemu-11.1-fixed' }, profiles['qemu-11.1-fixed']],
      [
        { cpus: 1, choices: { lpiActive: 'active' } },
        { ...profiles.arch, lpiActive: 'active' },
      ],
      [
        { cpus: 1, profile: 'qemu-7.2', choices: { preemptMask: 'running' } },
        { ...profiles['qemu-7.2'], preemptMask: 'running' },
      ],
    ]
    for (const [config, choices] of cases) {
      const gic = new Gic(config)
      expect(gic.config.choices).toEqual(choices)
      expect(Gic.from(gic.snapshot()).config.choices).toEqual(choices)
    }
  })
})

describe('an image', () => {
  it('keeps every field of any configuration, addresses above 4 GiB included', () => {
    const version = fc.constantFrom<'3' | '4.0' | '4.1'>('3', '4.0', '4.1')
    const configs = fc.record({
      version,
      spis: fc.nat(988),
      intidBits: fc.constantFrom<16 | 24>(16, 24),
      gicd: fc.nat(0x1_0000).map((frame) => frame * 0x1_0000),
      counts: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 5 }),
      gaps: fc.array(fc.bigInt({ min: 1n, max: 2n ** 32n }), { minLength: 5, maxLength: 5 }),
      dvim: fc.boolean(),
    })
    fc.assert(
      fc.property(configs, ({ counts, gaps, dvim, ...scalars }) => {
        let base = 2 ** 34
        const regions = counts.map((count, i) => {
          base += Number(gaps[i] ?? 1n) * 0x1_0000
          const region = { base, count }
          base += count * 0x4_0000
          return region
        })
        const cpus = counts.reduce((sum, count) => sum + count)
        const config = { ...scalars, cpus, gicr: regions, dvim: dvim && scalars.version !== '3' }
        const gic = new Gic(config)
        expect(gic.config).toMatchObject(config)
        expect(Gic.from(gic.snapshot()).config).toEqual(gic.config)
      }),
    )
  })
})
