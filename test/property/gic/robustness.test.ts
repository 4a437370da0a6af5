/** Whatever a guest, a hypervisor or a device does: the answer is a number of the right size, and nothing throws. */
import fc from 'fast-check'
import { Gic, type GicConfig } from 'vgic'
import { describe, expect, it } from 'vitest'
import { encodings } from './cpu-interface/virtual-interface-programs.ts'

const ALL_ONES = 0xffff_ffff_ffff_ffffn

const config: fc.Arbitrary<GicConfig> = fc
  .record({
    cpus: fc.integer({ min: 1, max: 3 }),
    version: fc.constantFrom('3', '4.0', '4.1'),
    spis: fc.integer({ min: 0, max: 988 }),
    listRegisters: fc.integer({ min: 1, max: 16 }),
    priorityBits: fc.integer({ min: 5, max: 8 }),
    preemption: fc.nat(2),
    intidBits: fc.constantFrom(16, 24),
    profile: fc.constantFrom('arch', 'qemu-7.2'),
    memoryLines: fc.constantFrom(0, 8),
    unpredictable: fc.constantFrom('ignore', 'pessimistic', 'report'),
    barriers: fc.constantFrom('off', 'report'),
    messages: fc.constantFrom<Partial<GicConfig>>(
      {},
      {},
      { lpis: 64, directLpis: true },
      { its: [{ base: 0x0807_0000 }] },
      { lpis: 64, its: [{ base: 0x0807_0000 }] },
    ),
  })
  .map(({ preemption, messages, ...rest }) => ({
    ...rest,
    ...messages,
    preemptionBits: Math.min(5 + preemption, rest.priorityBits, 7),
  }))

/** Mostly addresses of the frames and their neighbours, of any alignment. */
const address = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0x0800_0280, max: 0x0800_0420 }) },
  { weight: 4, arbitrary: fc.integer({ min: 0x080b_0280, max: 0x080b_0420 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0x0807_0000, max: 0x0807_0140 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0x080a_0000, max: 0x080a_0100 }) },
  { weight: 1, arbitrary: fc.constantFrom(0x0807_0000, 0x0807_0080, 0x0807_0084, 0x0807_0088, 0x0807_0100) },
  { weight: 1, arbitrary: fc.constantFrom(0x0807_0104, 0x0808_0040, 0x080a_0000, 0x080a_0070, 0x080a_0078) },
  { weight: 1, arbitrary: fc.constantFrom(0x0807_0110, 0x0809_0020) },
  { weight: 1, arbitrary: fc.constantFrom(0x080c_0070, 0x080c_0078, 0x080c_0080, 0x080c_0088, 0x080a_00a0) },
  { weight: 2, arbitrary: fc.integer({ min: 0x07ff_ff00, max: 0x0818_0000 }) },
  { weight: 1, arbitrary: fc.double() },
  { weight: 1, arbitrary: fc.integer() },
)
const size = fc.oneof(fc.constantFrom(1, 2, 4, 4, 4, 8), fc.integer(), fc.double())
const encoding = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...Object.values(encodings)) },
  { weight: 2, arbitrary: fc.nat(0xffff) },
  { weight: 1, arbitrary: fc.double() },
)
const value64 = fc.bigInt({ min: -(1n << 63n), max: ALL_ONES })
const value32 = fc.oneof(fc.nat(0xffff_ffff), fc.double({ min: -0x8000_0000, max: 0xffff_ffff }))
const stored = fc.oneof(fc.nat(0xffff_ffff), fc.double())
const el = fc.option(fc.nat(2), { nil: undefined })
const cpu = fc.nat(2)

const call = fc.oneof(
  fc.record({ k: fc.constant('mrs' as const), cpu, encoding, el }),
  fc.record({ k: fc.constant('msr' as const), cpu, encoding, value: value64, el }),
  fc.record({ k: fc.constant('msr32' as const), cpu, encoding, value: value32, el }),
  fc.record({ k: fc.constant('load' as const), address, size }),
  fc.record({ k: fc.constant('store' as const), address, size, value: stored }),
  fc.record({
    k: fc.constant('pe' as const),
    cpu,
    el: fc.constantFrom(0, 1, 2),
    irq: fc.boolean(),
    fiq: fc.boolean(),
  }),
  fc.record({ k: fc.constantFrom('wfi' as const, 'wfe' as const), cpu }),
  fc.record({ k: fc.constant('sev' as const) }),
)
type Call = typeof call extends fc.Arbitrary<infer T> ? T : never

function make(gic: Gic, c: Call): void {
  const on = 'cpu' in c ? c.cpu % gic.config.cpus : 0
  if (c.k === 'mrs') {
    const low = gic.readSysreg(on, c.encoding, c.el)
    expect(Number.isInteger(low) && low >= 0 && low <= 0xffff_ffff).toBe(true)
    expect(gic.readSysreg64(on, c.encoding, c.el) >> 64n).toBe(0n)
  } else if (c.k === 'msr') gic.writeSysreg64(on, c.encoding, c.value, c.el)
  else if (c.k === 'msr32') gic.writeSysreg(on, c.encoding, c.value, c.el)
  else if (c.k === 'load') {
    const value = gic.readMmio(c.address, c.size)
    const limit = c.size === 8 ? 2 ** 64 : 2 ** 32
    expect(Number.isInteger(value) && value >= 0 && value < limit).toBe(true)
    if (!gic.claims(c.address)) expect(value).toBe(0)
  } else if (c.k === 'store') {
    const before = gic.hash()
    gic.writeMmio(c.address, c.size, c.value)
    if (!gic.claims(c.address)) expect(gic.hash()).toBe(before)
  } else if (c.k === 'pe') {
    gic.setExceptionLevel(on, c.el)
    gic.setMasks(on, { irq: c.irq, fiq: c.fiq })
  } else if (c.k === 'sev') gic.sev()
  else expect(gic[c.k](on)).toMatch(/^(completes|waits|traps)$/)
}

describe('random accesses of every kind, in every configuration', () => {
  it('do not throw, answer with unsigned numbers, and stay within the machine', () => {
    fc.assert(
      fc.property(config, fc.array(call, { maxLength: 150, size: 'max' }), (config, calls) => {
        const gic = new Gic(config)
        const length = gic.snapshot().byteLength
        for (const c of calls) {
          make(gic, c)
          expect(gic.lastTrap >= 0 && gic.lastTrap <= 0xffff_ffff).toBe(true)
        }
        expect(gic.snapshot().byteLength).toBe(length)
        expect(Gic.from(gic.snapshot()).config).toEqual(gic.config)
      }),
      { numRuns: 200 },
    )
  })

  it('change nothing that another CPU sees, but for SPIs and SGIs', () => {
    fc.assert(
      fc.property(config, fc.array(call, { maxLength: 100, size: 'max' }), (config, calls) => {
        const gic = new Gic({ ...config, cpus: 3 })
        const stateOf = (n: number) =>
          Object.values(encodings)
            .filter((e) => e !== encodings['IAR0'] && e !== encodings['IAR1'])
            .map((e) => gic.readSysreg64(n, e, 2))
        const before = stateOf(1)
        for (const c of calls) if (!('cpu' in c) || c.cpu !== 1) make(gic, c)
        expect(stateOf(1)).toEqual(before)
      }),
    )
  })
})
