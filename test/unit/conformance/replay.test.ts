/** What the conformance program says about recordings that it can read. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConformanceProgram, FIXTURE, fixtureTraces, type RecordedTrace, type Run } from './program.ts'

let program: ConformanceProgram
let traces: readonly RecordedTrace[]
/** What it says about the fixture. */
let lines: Run
let json: Run
beforeAll(async () => {
  program = await ConformanceProgram.bundle()
  traces = fixtureTraces()
  lines = program.run(FIXTURE)
  json = program.run('--json', FIXTURE)
})
afterAll(() => program.remove())

/** A trace with all its ops trusted, no marks, and enough of them. */
function plainTrace(): RecordedTrace {
  const found = traces.find(
    ({ config, ops, results }) =>
      config.trusted === ops.length &&
      ops.some(({ k, reg }) => k === 'gr' && reg === 'IAR1') &&
      ops.every(({ u }) => u === undefined) &&
      results.every(({ dev, trap, gfault, fault }) =>
        [dev, trap, gfault, fault].every((mark) => mark === undefined),
      ),
  )
  if (!found) throw new Error('the fixture has no plain trace')
  return structuredClone(found)
}

interface Counts {
  readonly file: string
  readonly mode: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly either: number
  readonly bySpec: number
  readonly pastTrusted: { readonly agree: number; readonly total: number }
}
const parse = (stdout: string): Counts[] => JSON.parse(stdout) as Counts[]

describe('the ich recording', () => {
  it('passes: traces 24,520 exactly and 113 either way, op by op 28,070 and 260 of the judged', () => {
    const { status, stdout, stderr } = lines
    const [first, second] = stdout.split('\n')
    expect(first).toMatch(
      /^test\/fixtures\/ich\.jsonl\.gz \[traces\]: passed 24520 failed 0 skipped 0 either 113; not judged: \d+ of 4192 agree$/,
    )
    expect(second).toBe(
      'test/fixtures/ich.jsonl.gz [op by op]: passed 28070 failed 0 skipped 495 either 260; not judged: 0 of 0 agree',
    )
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })

  it('has the totals that its README gives: 24,633 judged, and 28,825 ops of which 28,330 are judged', () => {
    const [whole, single] = parse(json.stdout)
    expect(whole.passed + whole.failed + whole.skipped + whole.either).toBe(24_633)
    expect(whole.pastTrusted.total).toBe(28_825 - 24_633)
    expect(single.passed + single.failed + single.skipped + single.either).toBe(28_825)
    expect(single.passed + single.failed + single.either).toBe(28_330)
  })

  it('--json has the same counts as the lines', () => {
    const tallies = parse(json.stdout)
    expect(
      tallies.map(
        ({ file, mode, passed, failed, skipped, either, pastTrusted: { agree, total } }) =>
          `${file} [${mode}]: passed ${passed} failed ${failed} skipped ${skipped} either ${either}; ` +
          `not judged: ${agree} of ${total} agree`,
      ),
    ).toEqual(lines.stdout.split('\n').slice(0, 2))
    expect(json.status).toBe(0)
  })

  it('can be replayed on silicon with the choices of QEMU 7.2: what those make is then as recorded', () => {
    const { status, stdout } = program.run('--profile', 'qemu-7.2', '--json', FIXTURE)
    const [whole, single] = parse(stdout)
    expect(whole).toMatchObject({
      mode: 'traces, qemu-7.2',
      passed: 24_633,
      failed: 0,
      skipped: 0,
      either: 0,
    })
    expect(single).toMatchObject({ passed: 28_326, failed: 0, skipped: 495, either: 4 })
    expect(status).toBe(0)
  })

  it('says how many of the passed are not as recorded: those of a plain bug, with any profile', () => {
    const [whole, single] = parse(json.stdout)
    expect([whole.bySpec, single.bySpec]).toEqual([1_212, 1_433])
    const { stdout } = program.run('--profile', 'qemu-7.2', FIXTURE)
    expect(stdout).toContain('  of the passed, 3 as the architecture says and not as recorded\n')
  })

  it('says why it skips, and the reasons add up', () => {
    const reasons = lines.stdout
      .split('\n')
      .map((line) => /^ {2}skipped (\d+): (.+)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, count, why]) => ({ count: Number(count), why }))
    expect(reasons.reduce((sum, { count }) => sum + count, 0)).toBe(495)
    expect(reasons.find(({ why }) => why.includes('cannot be loaded'))?.count).toBe(68)
  })
})

describe('a recording', () => {
  it('may be plain text', () => {
    const trace = plainTrace()
    const { status, stdout } = program.run(program.file('plain.jsonl', `${JSON.stringify(trace)}\n`))
    expect(stdout).toContain(`passed ${trace.ops.length} failed 0 skipped 0 either 0`)
    expect(status).toBe(0)
  })

  it('that differs in one value fails in one op, with the register by name and its fields decoded', () => {
    const trace = plainTrace()
    const at = trace.ops.findIndex(({ k, reg }) => k === 'gr' && reg === 'IAR1')
    const vmcr = (trace.config['state'] as string[]).indexOf('VMCR')
    const recorded = BigInt(trace.results[at].st[vmcr])
    trace.results[at].st[vmcr] = `0x${(recorded ^ 0x8000_0000n).toString(16)}`
    const { status, stdout } = program.run(program.recording('altered.jsonl.gz', [trace]))
    expect(stdout).toMatch(/\[traces\]: passed \d+ failed 1 skipped 0 either 0;/)
    expect(stdout).toContain(`op ${at}: gr IAR1`)
    expect(stdout).toContain(`VMCR is 0x${recorded.toString(16)} (VPMR=`)
    expect(stdout).toContain(`should be 0x${(recorded ^ 0x8000_0000n).toString(16)} (`)
    expect(stdout).toMatch(/VENG1/)
    expect(status).toBe(1)
  })

  it('with an altered answer to a read fails there: the value read and the value expected are shown', () => {
    const trace = plainTrace()
    const at = trace.ops.findIndex(({ k, reg }) => k === 'gr' && reg === 'IAR1')
    const { v } = trace.results[at]
    trace.results[at]['v'] = '0x2a2'
    const { status, stdout } = program.run(program.recording('answer.jsonl.gz', [trace]))
    expect(stdout).toContain(`op ${at}: gr IAR1`)
    expect(stdout).toContain(`v is ${v} (INTID=${v}), should be 0x2a2 (INTID=0x2a2)`)
    // An answer is part of no state: op by op it is wrong in that op alone, too.
    expect(stdout).toMatch(/\[traces\]: passed \d+ failed 1 /)
    expect(stdout).toMatch(/\[op by op\]: passed \d+ failed 1 /)
    expect(status).toBe(1)
  })

  it('with an altered list register decodes it in words', () => {
    const trace = plainTrace()
    const lr0 = (trace.config['state'] as string[]).indexOf('LR0')
    const at = trace.ops.length - 1
    trace.results[at].st[lr0] = '0x50a0000000000028'
    const { stdout } = program.run(program.recording('lr.jsonl.gz', [trace]))
    expect(stdout).toContain('should be 0x50a0000000000028 (pending SPI 40 prio 0xa0 group 1)')
  })

  it('that says an access traps, or does not, fails where it is otherwise', () => {
    const trace = plainTrace()
    const at = trace.ops.findIndex(({ k, reg }) => k === 'gr' && reg === 'IAR1')
    const { st } = trace.results[at]
    trace.results[at] = { trap: '0x62303019', st }
    const { status, stdout } = program.run(program.recording('trap.jsonl.gz', [trace]))
    expect(stdout).toContain('trap is -, should be 0x62303019')
    expect(stdout).toMatch(/v is 0x[0-9a-f]+ \(INTID=0x[0-9a-f]+\), should be -/)
    expect(status).toBe(1)
  })

  it('that fails often shows the first differences and says how many more there are', () => {
    const trace = plainTrace()
    for (const result of trace.results) result.st[0] = '0x7'
    const { status, stdout } = program.run(program.recording('often.jsonl.gz', [trace]))
    const [whole] = stdout.split('op by op')
    expect(whole).toContain(`failed ${trace.ops.length} `)
    expect(whole.match(/^ {2}trace .* op \d+: /gm)).toHaveLength(5)
    expect(whole).toContain(`  and ${trace.ops.length - 5} more`)
    expect(status).toBe(1)
  })

  it('past its trusted ops is reported and not judged', () => {
    const trace = plainTrace()
    trace.config.trusted = 3
    trace.results[trace.ops.length - 1].st[0] = '0x7'
    const [whole] = parse(program.run('--json', program.recording('past.jsonl.gz', [trace])).stdout)
    expect(whole).toMatchObject({ passed: 3, failed: 0, skipped: 0, either: 0 })
    expect(whole.pastTrusted).toEqual({ agree: trace.ops.length - 4, total: trace.ops.length - 3 })
  })

  it('may be one of several: all are replayed, and one that fails fails the run', () => {
    const good = plainTrace()
    const bad = plainTrace()
    bad.results[0].st[0] = '0x7'
    const files = [program.recording('good.jsonl.gz', [good]), program.recording('bad.jsonl.gz', [bad])]
    const { status, stdout } = program.run('--json', ...files)
    expect(parse(stdout).map(({ file, failed }) => [file, failed > 0])).toEqual([
      [files[0], false],
      [files[0], false],
      [files[1], true],
      [files[1], true],
    ])
    expect(status).toBe(1)
  })
})
