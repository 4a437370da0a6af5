/** vgic/testing, as the tests of a user have it. */
import fc from 'fast-check'
import { Gic, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1, ICH_VMCR_EL2, VgicError } from 'vgic'
import { designs, edit, kvm61, type Scenario, scenario } from 'vgic/scenario'
import {
  arbitraries,
  ExpectationError,
  expectHolds,
  expectSameState,
  perform,
  type Recorder,
  record,
  verify,
} from 'vgic/testing'
import { describe, expect, it } from 'vitest'
import { wokenSleeper } from '../../kit/guest-lists.ts'

const wake = (design = designs.wfiHandler): Scenario => wokenSleeper('a vCPU sleeps and is woken', design)

describe('expectHolds', () => {
  it('returns the report of a scenario whose invariants hold', async () => {
    expect(await expectHolds(wake(), { preemptions: 1 })).toMatchObject({ verdict: 'holds', complete: true })
  })

  it('fails with the timeline of the shortest schedule, which says at its end what is broken', async () => {
    const stale = wake(edit(designs.wfiHandler).omit('wfi/saveVmcr').design('stale'))
    const error = await expectHolds(stale, { preemptions: 1, ticks: 1 }).catch((thrown: unknown) => thrown)
    if (!(error instanceof ExpectationError)) throw new Error('it did not fail')
    expect(error.name).toBe('AssertionError')
    expect(error.message).toMatch(/^a vCPU sleeps and is woken: stale-shadow is violated after \d+ steps\.\n/)
    expect(error.message).toMatch(/\n\nviolated: stale-shadow \(S11\)\. .+\n\nschedule: \S+$/)
    expect(error.report).toMatchObject({ verdict: 'violated', shortest: true })
  })

  it('fails if a bound was reached, since then nobody knows', async () => {
    await expect(expectHolds(wake(), { states: 10 })).rejects.toThrow(
      /the bound on states was reached\. Raise/,
    )
  })
})

describe('expectHolds, used wrongly,', () => {
  it.each([[null], [5], [[]]])('is refused bounds of %j', async (bounds) => {
    await expect(expectHolds(wake(), bounds as never)).rejects.toThrow(/^bounds must be a plain object with/)
  })
})

describe('expectSameState', () => {
  it('names the registers and fields that differ', () => {
    const [one, other] = [new Gic({ cpus: 1 }), new Gic({ cpus: 1 })]
    expectSameState(one, other)
    one.writeSysreg(0, ICC_PMR_EL1, 0xf0, 1)
    other.writeSysreg(0, ICC_PMR_EL1, 0x80, 1)
    expect(() => expectSameState(one, other)).toThrow(
      /^The states differ:\n {2}.*PMR.*: expected 0x80, but is 0xf0$/,
    )
  })

  it('is also for machines, of the same configuration only', () => {
    const run = wake().run()
    expectSameState(run.machine, wake().run().machine)
    expect(() => expectSameState(run.machine, wake().machine())).toThrow(ExpectationError)
    expect(() => expectSameState(run.machine, wake(kvm61(designs.wfiHandler)).machine())).toThrow(VgicError)
  })
})

describe('arbitraries', () => {
  const { accesses, guests, devices } = arbitraries(fc)

  it('have accesses that no GIC minds, whatever they are', () => {
    const gic = new Gic({ cpus: 2, its: [{ base: 0x0808_0000 }], memoryLines: 4 })
    const reset = gic.snapshot()
    const kinds = new Set<string>()
    fc.assert(
      fc.property(fc.array(accesses(gic), { maxLength: 30 }), (program) => {
        gic.restore(reset)
        for (const access of program) {
          kinds.add(access.k)
          perform(gic, access)
        }
      }),
    )
    expect([...kinds].sort()).toEqual(['line', 'r', 'sr', 'sw', 'w'])
  })

  it('have guests and devices that print as what they do, and run', () => {
    fc.assert(
      fc.property(guests({ vcpus: 2 }), devices({ intids: [32, 33] }), (guest, device) => {
        const run = scenario('anything')
          .vm({ vcpus: 2, spis: 2 })
          .spi({ intid: 32 })
          .spi({ intid: 33 })
          .guest(0, guest)
          .device('d', device)
          .run({ steps: 3000 })
        expect(run.steps).toBeGreaterThan(0)
        expect(String(guest)).toMatch(/^\w+\(.*\)$/)
        expect(String(device)).toMatch(/^(pulse\(3[23]\)\.?)+$/)
      }),
      { numRuns: 50 },
    )
  })
})

describe('golden vectors', () => {
  /** An SPI from its line to its end. */
  function spi(recorder: Recorder): Recorder {
    recorder.writeMmio(0x0800_0000, 4, 0x12)
    recorder.writeMmio(0x080a_0014, 4, 0)
    recorder.writeMmio(0x0800_0084, 4, 0xffff_ffff)
    recorder.writeMmio(0x0800_0104, 4, 1 << 8)
    recorder.writeSysreg(0, ICC_PMR_EL1, 0xf0)
    recorder.writeSysreg(0, ICC_IGRPEN1_EL1, 1)
    recorder.setSpi(40, 1)
    recorder.readSysreg(0, ICC_IAR1_EL1)
    recorder.readSysreg(0, ICH_VMCR_EL2)
    recorder.writeSysreg(0, ICC_EOIR1_EL1, 40)
    recorder.readMmio(0x0800_6140, 8)
    return recorder
  }
  const vectors = (): string => spi(record(new Gic({ cpus: 1, spis: 224 }))).jsonl()

  it('are what was told and answered, in a line of JSON', () => {
    expect(vectors().endsWith('\n')).toBe(true)
    const { suite, ops, results, config } = JSON.parse(vectors())
    expect(suite).toBe('phys')
    expect(config).toMatchObject({ cpus: 1, priority_bits: 5, trusted: 11 })
    expect(ops[0]).toEqual({ k: 'w', c: 0, a: '0x8000000', s: 4, v: '0x12' })
    expect(ops[4]).toEqual({ k: 'sw', c: 0, reg: 'PMR', v: '0xf0' })
    expect(ops[6]).toEqual({ k: 'line', c: 0, intid: 40, level: 1 })
    expect(results[7]).toEqual({ v: '0x28' })
    expect(results[8]).toEqual({ fault: expect.stringMatching(/^0x[0-9a-f]+$/) })
  })

  it('are verified by the model that they are of', () => {
    expect(verify(vectors() + vectors())).toEqual([])
  })

  it('are of a new GIC only, whatever its configuration', () => {
    const used = new Gic({ cpus: 1 })
    expect(verify(spi(record(used)).jsonl())).toEqual([])
    expect(() => record(used)).toThrow(
      'gic must be a new Gic, as vectors begin with a reset, but was used: make one.',
    )
    expect(record(new Gic({ cpus: 2, version: '4.1', choices: { waker: 'ignored' } })).jsonl()).toContain(
      '"ops":[]',
    )
  })

  it('show what another implementation answers otherwise', () => {
    const text = vectors() + vectors().replace('{"v":"0x28"}', '{"v":"0x3ff"}')
    expect(verify(text)).toEqual([
      { line: 2, op: 7, what: 'cpu 0 sr IAR1', expected: { v: '0x3ff' }, actual: { v: '0x28' } },
    ])
  })

  it('are compared by value, as RTL pads its numbers with zeros, and has x for a bit that nothing drives', () => {
    const answered = (v: string): string => vectors().replace('{"v":"0x28"}', `{"v":"${v}"}`)
    expect(verify(answered('0x00000028'))).toEqual([])
    expect(
      verify(
        vectors().replace(/"fault":"0x\w+"/, (fault) =>
          fault.toUpperCase().replace(/^"FAULT":"0X/, '"fault":"0x'),
        ),
      ),
    ).toEqual([])
    expect(verify(answered('0xxxxxxx28'))).toMatchObject([{ op: 7, expected: { v: '0xxxxxxx28' } }])
  })

  it.each([
    ['{', /Line 1 is no vector of operations: it is no JSON/],
    ['\n', /jsonl is empty: /],
    ['{}', /config\.gic is missing/],
    [vectors().replace(/"results":\[\{\},/, '"results":['), /not one result for each op/],
    [vectors().replace('"reg":"PMR"', '"reg":"PMX"'), /Line 1, op 4 cannot be done: There is no register/],
    [vectors().replace('"v":"0xf0"', '"v":"f0"'), /Line 1, op 4 cannot be done/],
    [vectors().replace('"v":"0x12"', '"v":"x"'), /Line 1, op 0 cannot be done: v must be hexadecimal/],
    [vectors().replace('{"v":"0x28"}', 'null'), /Line 1 .*: ops or results has something that is no object/],
    [
      vectors().replace('"a":"0x8000000"', '"a":"GICD"'),
      /Line 1, op 0 cannot be done: a must be hexadecimal, such as "0x8000000", but is "GICD"/,
    ],
  ])('are refused if they are none: %s', (text, message) => {
    expect(() => verify(text)).toThrow(VgicError)
    expect(() => verify(text)).toThrow(message)
  })
})
