/** What the conformance program says about recordings of drivers: answers and output lines. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConformanceProgram, type Run } from './conformance-program.ts'

const FIXTURE = 'test/fixtures/drivers.jsonl.gz'

interface DriverTrace {
  suite: 'drivers'
  config: Record<string, unknown> & { name: string }
  ops: Record<string, unknown>[]
  results: Record<string, unknown>[]
}

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly either: number
  readonly skips: Record<string, number>
}

let program: ConformanceProgram
let traces: readonly DriverTrace[]
beforeAll(async () => {
  program = await ConformanceProgram.bundle()
  traces = gunzipSync(readFileSync(FIXTURE))
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as DriverTrace)
})
afterAll(() => program.remove())

/** A recorded trace, whole or its first `length` ops. */
function recorded(name: string, length?: number): DriverTrace {
  const found = traces.find(({ config }) => config.name === name)
  if (!found) throw new Error(`no trace ${name}`)
  const { ops, results, config } = structuredClone(found)
  const last = length ?? ops.length
  return {
    suite: 'drivers',
    config: { ...config, trusted: last },
    ops: ops.slice(0, last),
    results: results.slice(0, last),
  }
}

const replay = (...replayed: DriverTrace[]): Run =>
  program.run(program.recording('drivers.jsonl.gz', replayed))

const GICD_CTLR = '0x8000000'
const GICR_WAKER = '0x80a0014'
const GICR_IGROUPR0 = '0x80b0080'
const GICR_ISENABLER0 = '0x80b0100'
const w = (a: string, v: string) => ({ k: 'w', a, s: 4, v })
const sw = (reg: string, v: string) => ({ k: 'sw', reg, v })

/** One CPU at EL2 that takes the maintenance interrupt, group 1; the underflow maintenance interrupt is on then. */
function maintenanceTrace(): DriverTrace {
  const steps: [object, object][] = [
    [w(GICR_WAKER, '0x0'), {}],
    [w(GICD_CTLR, '0x12'), {}],
    [w(GICR_IGROUPR0, '0xffffffff'), {}],
    [w(GICR_ISENABLER0, '0x2000000'), {}],
    [sw('PMR', '0xf0'), {}],
    [sw('IGRPEN1', '0x1'), {}],
    [sw('ICH_HCR', '0x3'), { lines: [[0, 0, 0, 0, 1]] }],
    [{ k: 'line', c: 0, intid: 25, level: 1, by: 'ich' }, { lines: [[1, 0, 0, 0, 1]] }],
    [
      { k: 'sr', reg: 'IAR1' },
      { v: '0x19', lines: [[0, 0, 0, 0, 1]] },
    ],
  ]
  return {
    suite: 'drivers',
    config: {
      name: 'maintenance',
      cpus: 1,
      level: 'EL2',
      lines: ['irq', 'fiq', 'virq', 'vfiq', 'maint'],
      trusted: steps.length,
    },
    ops: steps.map(([op]) => ({ c: 0, ...op })),
    results: steps.map(([, result]) => ({ ...result })),
  }
}

describe('the drivers recording', () => {
  it('passes: all 36,204 ops but those that concern the ITS, which are counted as skipped with the reason', () => {
    const { status, stdout } = program.run('--json', FIXTURE)
    const [{ passed, failed, skipped, either, skips }] = JSON.parse(stdout) as Counts[]
    expect({ passed, failed, skipped, either }).toEqual({ passed: 36_106, failed: 0, skipped: 98, either: 0 })
    expect(passed + skipped).toBe(36_204)
    expect(Object.values(skips).reduce((sum, ops) => sum + ops, 0)).toBe(skipped)
    expect(Object.keys(skips).every((why) => why.includes('ITS'))).toBe(true)
    expect(status).toBe(0)
  })
})

describe('a recording of drivers', () => {
  it('with another answer fails in that op, with the register’s fields', () => {
    const trace = recorded('linux-boot')
    const at = trace.ops.findIndex(({ reg }) => reg === 'IAR1')
    const { v } = trace.results[at]
    trace.results[at]['v'] = '0x2a'
    const { status, stdout } = replay(trace)
    expect(stdout).toMatch(/\[arch\]: passed 5139 failed 1 skipped 0 either 0;/)
    expect(stdout).toContain(`trace linux-boot op ${at}: CPU 0: sr IAR1`)
    expect(stdout).toContain(
      `v is ${v} (INTID=${Number(v) > 9 ? v : Number(v)}), should be 0x2a (INTID=0x2a)`,
    )
    expect(status).toBe(1)
  })

  it('with another level of a line fails in that op, with the line and the CPU', () => {
    const trace = recorded('linux-boot')
    const at = trace.results.findIndex(({ lines }) => Array.isArray(lines) && lines[1][0] === 1)
    const [first, [, fiq]] = trace.results[at]['lines'] as number[][]
    trace.results[at]['lines'] = [first, [0, fiq]]
    const { stdout } = replay(trace)
    expect(stdout).toContain(`trace linux-boot op ${at}: `)
    expect(stdout).toContain('irq of CPU 1 is 1, should be 0')
    expect(stdout).not.toContain('irq of CPU 0')
  })

  it('without lines is judged by the lines that were recorded last', () => {
    const trace = recorded('linux-boot')
    const at = trace.ops.findIndex(({ k }, i) => k === 'sw' && JSON.stringify(trace.results[i]) !== '{}')
    for (const result of trace.results.slice(at)) delete result['lines']
    const { stdout } = replay(trace)
    expect(stdout).toMatch(/failed [1-9]\d{2,} /)
    expect(stdout).toMatch(/irq of CPU \d is 1, should be 0/)
  })

  it('does the ops of config.before first: without them the CPUs are asleep and nothing is signalled', () => {
    const trace = recorded('kut-ipi')
    expect(replay(trace).stdout).toMatch(/failed 0 /)
    delete trace.config['before']
    const { stdout, status } = replay(trace)
    expect(stdout).toContain('irq of CPU 1 is 0, should be 1')
    expect(status).toBe(1)
  })

  it('has the maintenance interrupt as an input that the virtual CPU interface moves by itself', () => {
    expect(replay(maintenanceTrace()).stdout).toMatch(/passed 9 failed 0 skipped 0/)
    const silent = maintenanceTrace()
    silent.results[7] = {}
    expect(replay(silent).stdout).toContain('op 7: CPU 0: input 25 := 1\n    irq of CPU 0 is 1, should be 0')
    const late = maintenanceTrace()
    late.results[6] = {}
    expect(replay(late).stdout).toContain('maint of CPU 0 is 1, should be 0')
  })

  it('skips ops whose answer the architecture does not fix, and masks PendingLast', () => {
    const trace = maintenanceTrace()
    trace.ops.push(
      { k: 'r', c: 0, a: GICD_CTLR, s: 2, u: 'access-size' },
      { k: 'sr', c: 0, reg: 'ICH_ELRSR', u: 'eoir-no-active-priority' },
      { k: 'r', c: 0, a: '0x80a0014', s: 4, u: 'pendinglast-while-valid' },
    )
    trace.results.push({ v: '0x77' }, { v: '0x77' }, { v: '0x2000000000000000' })
    trace.config['trusted'] = trace.ops.length
    const { stdout } = replay(trace)
    expect(stdout).toMatch(/passed 10 failed 0 skipped 2 /)
    expect(stdout).toContain('skipped 1: access-size')
    expect(stdout).toContain('skipped 1: eoir-no-active-priority')
  })

  it.each<[string, RegExp, (trace: DriverTrace) => void]>([
    ['without lines', /config.lines/, ({ config }) => delete config['lines']],
    ['with a line that does not exist', /config.lines/, ({ config }) => (config['lines'] = ['irq', 'nmi'])],
    ['without CPUs', /config.cpus/, ({ config }) => delete config['cpus']],
    [
      'with too many CPUs',
      /config: cpus must be/,
      ({ config, results }) => {
        config['cpus'] = 513
        for (const result of results) delete result['lines']
      },
    ],
    ['at EL3', /config.level/, ({ config }) => (config['level'] = 'EL3')],
    ['with a before that is no list', /config.before/, ({ config }) => (config['before'] = 'waker')],
    ['with an unknown op', /op 0: .* is no op of suite drivers/, ({ ops }) => (ops[0] = { k: 'zap' })],
    ['with a CPU too many', /op 0: .* is no op/, ({ ops }) => (ops[0]['c'] = 2)],
    ['with an access of 3 bytes', /op 0: .* is no op/, ({ ops }) => (ops[0]['s'] = 3)],
    [
      'with an input that does not exist',
      /op 0: .* is no op/,
      ({ ops }) => (ops[0] = { k: 'line', c: 0, intid: 8, level: 1 }),
    ],
    [
      'with an input of half a level',
      /op 0: .* is no op/,
      ({ ops }) => (ops[0] = { k: 'line', c: 0, intid: 40, level: 2 }),
    ],
    ['with lines of one CPU', /result 1: "lines"/, ({ results }) => (results[1]['lines'] = [[0, 0]])],
    [
      'with three levels',
      /result 1: "lines"/,
      ({ results }) =>
        (results[1]['lines'] = [
          [0, 0, 0],
          [0, 0, 0],
        ]),
    ],
    ['with levels as text', /result 1: "lines"/, ({ results }) => (results[1]['lines'] = ['00', '00'])],
  ])('%s is refused', (_what, reason, spoil) => {
    const trace = recorded('linux-boot', 20)
    spoil(trace)
    const { status, stdout, stderr } = replay(trace)
    expect(stderr).toMatch(reason)
    expect(stderr).toMatch(/^\S+: line 1: .*\n$/)
    expect([status, stdout]).toEqual([2, ''])
  })
})
