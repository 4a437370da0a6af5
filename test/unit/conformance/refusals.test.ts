/** What the conformance program refuses to replay: it exits with 2 and says where and why, without a stack trace. */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConformanceProgram, FIXTURE, fixtureTraces, type RecordedTrace, type Run } from './program.ts'

let program: ConformanceProgram
let traces: readonly RecordedTrace[]
beforeAll(async () => {
  program = await ConformanceProgram.bundle()
  traces = fixtureTraces()
})
afterAll(() => program.remove())

/** One line on stderr: the file, the line and a reason. */
function expectRefused({ status, stdout, stderr }: Run, file: string, line: number, reason: RegExp): void {
  expect(stderr).toMatch(reason)
  expect(stderr.startsWith(`${file}: line ${line}: `)).toBe(true)
  expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(stderr).not.toMatch(/\n\s+at /)
  expect(stdout).toBe('')
  expect(status).toBe(2)
}

/** A short trace of the fixture, whole and well-formed. */
const good = (): RecordedTrace => {
  const shortest = traces.reduce((short, trace) => (trace.ops.length < short.ops.length ? trace : short))
  return structuredClone(shortest)
}

describe('a file', () => {
  it('that is not there', () => {
    const file = program.path('nowhere.jsonl.gz')
    const run = program.run(file)
    expect(run.stderr).toContain(`${file}: cannot be read (ENOENT: no such file`)
    expect(run.stderr).not.toMatch(/\n\s+at /)
    expect([run.status, run.stdout]).toEqual([2, ''])
  })

  it('that is a directory', () => {
    const run = program.run('test/fixtures')
    expect(run.stderr).toMatch(/test\/fixtures: .*cannot be read/)
    expect(run.stderr).not.toMatch(/\n\s+at /)
    expect([run.status, run.stdout]).toEqual([2, ''])
  })

  it('that is empty, plain or gzip’d', () => {
    for (const [name, content] of [
      ['empty', ''],
      ['empty.gz', gzipSync('')],
    ] as const) {
      const file = program.file(name, content)
      expectRefused(program.run(file), file, 1, /empty/)
    }
  })

  it('whose gzip data is cut short', () => {
    const bytes = readFileSync(FIXTURE)
    for (const length of [bytes.length - 1, bytes.length - 9, Math.floor(bytes.length / 2), 100, 11]) {
      const file = program.file('cut.jsonl.gz', bytes.subarray(0, length))
      const run = program.run(file)
      expect(run.stderr).toMatch(/: line \d+: the gzip data is corrupt/)
      expectRefused(run, file, Number(/: line (\d+): /.exec(run.stderr)?.[1]), /corrupt/)
    }
  })

  it('whose gzip data is damaged', () => {
    const bytes = Buffer.from(readFileSync(FIXTURE))
    bytes[1000] ^= 0xff
    const file = program.file('damaged.jsonl.gz', bytes)
    const run = program.run(file)
    expectRefused(run, file, Number(/: line (\d+): /.exec(run.stderr)?.[1]), /corrupt/)
  })

  it('that ends in the middle of a line', () => {
    const lines = `${JSON.stringify(good())}\n`.repeat(3)
    for (const [name, text] of [
      ['cut.jsonl', lines.slice(0, -20)],
      ['cut.jsonl.gz', gzipSync(lines.slice(0, -20))],
    ] as const) {
      const file = program.file(name, text)
      expectRefused(program.run(file), file, 3, /truncated/)
    }
  })

  it('with an empty line', () => {
    const line = JSON.stringify(good())
    const file = program.file('gap.jsonl', `${line}\n\n${line}\n`)
    expectRefused(program.run(file), file, 2, /not JSON/)
  })

  it('that is not JSON', () => {
    for (const text of ['hello\n', '{"suite":"ich",}\n', '\u0000\u0001\n', '{} {}\n']) {
      const file = program.file('text.jsonl', text)
      expectRefused(program.run(file), file, 1, /not JSON/)
    }
  })

  it('that is JSON, but nothing of ours', () => {
    for (const text of [
      '[]',
      '17',
      '"ich"',
      'null',
      '{}',
      '{"name":"vgic","version":"1"}',
      '{"suite":7}',
      '{"suite":"ich"}',
    ]) {
      const file = program.file('foreign.json', `${text}\n`)
      expectRefused(program.run(file), file, 1, /not an object|is not a string/)
    }
  })

  it('of two suites', () => {
    const file = program.recording('two.jsonl.gz', [good(), good(), { ...good(), suite: 'phys' }])
    expectRefused(program.run(file), file, 3, /suite phys/)
  })

  it.each([
    ['nmi', 'which needs non-maskable interrupts'],
    ['tea', 'only ich, kvm, kvm-wfi, phys, its, v4, v41, drivers'],
  ])('of suite %s, which this version does not replay', (suite, why) => {
    // In its own form: these results have fields that those of other suites have not.
    const trace = { suite, seed: 0, config: {}, ops: [{ k: 'nip' }], results: [{ rule: [1], alt: ['0x1'] }] }
    const file = program.recording('other.jsonl.gz', [trace, trace])
    expectRefused(program.run(file), file, 1, new RegExp(`does not replay suite ${suite}, ${why}$`, 'm'))
  })

  it('of a line with nothing to judge', () => {
    const file = program.recording('nothing.jsonl.gz', [good(), { ...good(), ops: [], results: [] }])
    expectRefused(program.run(file), file, 2, /nothing in it to judge/)
  })

  it('among good ones: nothing is reported for any', () => {
    const bad = program.file('bad.jsonl', 'hello\n')
    expectRefused(program.run(program.recording('good.jsonl.gz', [good()]), bad), bad, 1, /not JSON/)
    expectRefused(program.run('--json', FIXTURE, bad), bad, 1, /not JSON/)
  })
})

describe('a trace', () => {
  const spoiled: readonly (readonly [
    what: string,
    reason: RegExp,
    spoil: (trace: RecordedTrace) => object,
  ])[] = [
    [
      'with fewer results than ops',
      /\d+ ops but \d+ results/,
      (t) => ({ ...t, results: t.results.slice(1) }),
    ],
    ['with fewer ops than results', /\d+ ops but \d+ results/, (t) => ({ ...t, ops: t.ops.slice(1) })],
    ['whose ops are no list', /not lists/, (t) => ({ ...t, ops: {} })],
    ['whose results are no list', /not lists/, (t) => ({ ...t, results: 'none' })],
    ['whose config is a list', /"config" is not an object/, (t) => ({ ...t, config: [] })],
    ['whose suite is a number', /"suite" is not a string/, (t) => ({ ...t, suite: 1 })],
    [
      'with more trusted ops than ops',
      /config.trusted/,
      (t) => ({ ...t, config: { ...t.config, trusted: 1e6 } }),
    ],
    ['with half a trusted op', /config.trusted/, (t) => ({ ...t, config: { ...t.config, trusted: 0.5 } })],
    ['with trusted as text', /config.trusted/, (t) => ({ ...t, config: { ...t.config, trusted: '3' } })],
    [
      'without names of the state',
      /config.state/,
      (t) => ({ ...t, config: { ...t.config, state: undefined } }),
    ],
    [
      'without the name of VMCR',
      /config.state/,
      (t) => ({ ...t, config: { ...t.config, state: ['HCR', 'LR0'] } }),
    ],
    ['with an op that is no object', /op 0: not an object/, (t) => withOp(t, null)],
    ['with an op without a kind', /op 0: "k"/, (t) => withOp(t, { reg: 'IAR1' })],
    ['with an op of an unknown kind', /op 0: /, (t) => withOp(t, { k: 'zap' })],
    ['with an op on an unknown register', /op 0: /, (t) => withOp(t, { k: 'gr', reg: 'TEA' })],
    ['with an op on a register that is a number', /op 0: "reg"/, (t) => withOp(t, { k: 'gr', reg: 4 })],
    ['with a write without a value', /op 0: /, (t) => withOp(t, { k: 'gw', reg: 'PMR' })],
    ['with a write of a number', /op 0: 5 is not/, (t) => withOp(t, { k: 'gw', reg: 'PMR', v: 5 })],
    ['with a write of a word', /op 0: "tea" is not/, (t) => withOp(t, { k: 'gw', reg: 'PMR', v: 'tea' })],
    ['with half a CPU', /op 0: "c"/, (t) => withOp(t, { k: 'gr', reg: 'PMR', c: 0.5 })],
    ['with a result that is no object', /result 0: not an object/, (t) => withResult(t, [])],
    ['with a result that is a number', /result 0: 5 is not/, (t) => withResult(t, { ...t.results[0], v: 5 })],
    ['with a state that is no list', /result 0: "st"/, (t) => withResult(t, { st: '0x0' })],
    [
      'with a state of numbers',
      /result 0: 0 is not/,
      (t) => withResult(t, { st: t.results[0].st.map(() => 0) }),
    ],
    [
      'with too short a state',
      /result 0: "st" has not/,
      (t) => withResult(t, { st: t.results[0].st.slice(1) }),
    ],
    [
      'with a deviation that is no list',
      /result 0: "dev"/,
      (t) => withResult(t, { ...t.results[0], dev: 'lr-res0' }),
    ],
    [
      'with a deviation that has no name',
      /result 0: "dev"/,
      (t) => withResult(t, { ...t.results[0], dev: [], spec: { HCR: '0x0' } }),
    ],
    [
      'with a deviation without spec',
      /result 0: "dev"/,
      (t) => withResult(t, { st: t.results[0].st, dev: ['lr-res0'] }),
    ],
  ]
  const withOp = (trace: RecordedTrace, op: unknown) => ({ ...trace, ops: [op, ...trace.ops.slice(1)] })
  const withResult = (trace: RecordedTrace, result: unknown) => ({
    ...trace,
    results: [result, ...trace.results.slice(1)],
  })

  it.each(spoiled)('%s', (_what, reason, spoil) => {
    const file = program.recording('spoiled.jsonl.gz', [good(), spoil(good())])
    expectRefused(program.run(file), file, 2, reason)
  })
})

describe('a command line', () => {
  it.each([
    [[], 'no FILE'],
    [['--json'], 'no FILE'],
    [['--verbose', FIXTURE], 'no option --verbose'],
    [['--profile', 'qemu', FIXTURE], '--profile must be one of arch, qemu-7.2'],
    [[FIXTURE, '--profile'], '--profile must be one of arch, qemu-7.2'],
  ])('%j: says how it is used', (args, why) => {
    const { status, stdout, stderr } = program.run(...args)
    expect(stderr).toMatch(/^usage: .*\[--json\] FILE/)
    expect(stderr).toContain(why)
    expect([status, stdout]).toEqual([2, ''])
  })
})
