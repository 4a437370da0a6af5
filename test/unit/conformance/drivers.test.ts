/** What the conformance program says about recordings of drivers: answers and output lines. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConformanceProgram, type Run } from './program.ts'

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
const r = (a: string, s = 4) => ({ k: 'r', a, s })

/** A trace of ops with what was recorded of each. */
const traceOf = (config: Record<string, unknown>, steps: readonly [object, object][]): DriverTrace => ({
  suite: 'drivers',
  config: { name: 'written', cpus: 2, level: 'EL2', lines: [], ...config, trusted: steps.length },
  ops: steps.map(([op]) => ({ c: 0, ...op })),
  results: steps.map(([, result]) => ({ ...result })),
})

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
  return traceOf({ cpus: 1, lines: ['irq', 'fiq', 'virq', 'vfiq', 'maint'] }, steps)
}

const IRQ = { lines: [[1], [0]] }
const NONE = { lines: [[0], [0]] }

/** Commands of an ITS, their doublewords one after the other. */
const queue = (...commands: readonly (readonly string[])[]) => ({
  k: 'ram',
  a: '0x50500000',
  s: 8,
  v: commands.flat(),
})
const w64 = (a: string, v: string) => ({ ...w(a, v), s: 8 })
const COLUMNS = ['irq', 'virq']

/**
 * A host on GICv4.0 with a vPE on CPU 1, and a device whose event is vLPI 0x2001 of it, with doorbell 0x2064: a message
 * rings while the vPE is not resident, and once more, and comes directly when it is.
 */
function vlpiTrace(config: Record<string, unknown> = { gicr_stride: '0x40000' }): DriverTrace {
  const lines = (irq: number, virq: number) => ({
    lines: [
      [0, 0],
      [irq, virq],
    ],
  })
  const on1 = (op: object) => ({ ...op, c: 1 })
  const msi = { k: 'msi', dev: 7, a: '0x8090040', s: 4, v: '0x1' }
  const steps: [object, object][] = [
    [w(GICD_CTLR, '0x2'), {}],
    [w('0x80e0014', '0x0'), {}],
    [on1(sw('PMR', '0xf0')), {}],
    [on1(sw('IGRPEN1', '0x1')), {}],
    [on1(sw('ICH_HCR', '0x1')), {}],
    [on1(sw('ICH_VMCR', '0xf04c000a')), {}],
    [{ k: 'fill', a: '0x50000000', s: 1, n: 256, v: '0xa1' }, {}],
    [{ k: 'fill', a: '0x50800000', s: 1, n: 256, v: '0xa1' }, {}],
    [w64('0x80e0070', '0x5000078f'), {}],
    [w64('0x80e0078', '0x50110780'), {}],
    [w('0x80e0000', '0x1'), {}],
    [w64('0x8080100', '0x8000000050200200'), {}],
    [w64('0x8080108', '0x8000000050300200'), {}],
    [w64('0x8080110', '0x8000000050400200'), {}],
    [r('0x8080008', 8), { v: '0x3f0001efb3' }],
    [r('0x80e0008', 8), { v: '0x101000113' }],
    [w64('0x8080080', '0x8000000050500000'), {}],
    [w('0x8080000', '0x1'), {}],
    [
      queue(
        ['0x700000008', '0x0', '0x8000000050600000', '0x0'],
        ['0x29', '0x500000000', '0x8000000000010000', '0x5070000f'],
        ['0x70000002a', '0x500000001', '0x206400002001', '0x0'],
        ['0x25', '0x500000000', '0x0', '0x0'],
      ),
      {},
    ],
    [w('0x8080088', '0x80'), {}],
    [msi, lines(1, 0)],
    [on1({ k: 'sr', reg: 'IAR1' }), { v: '0x2064', ...lines(0, 0) }],
    [on1(sw('EOIR1', '0x2064')), {}],
    [msi, lines(1, 0)],
    [on1(w64('0x8100070', '0x5080078f')), {}],
    [on1(w64('0x8100078', '0x8000000050700780')), lines(1, 1)],
    [on1({ ...r('0x8100078', 8), u: 'pendinglast-while-valid' }), { v: '0xa000000050700780' }],
    [on1({ k: 'gr', reg: 'IAR1' }), { v: '0x2001', ...lines(1, 0) }],
    [on1({ k: 'sr', reg: 'IAR1' }), { v: '0x2064', ...lines(0, 0) }],
    [on1(sw('EOIR1', '0x2064')), {}],
    [msi, {}],
    [on1({ k: 'gw', reg: 'EOIR1', v: '0x2001' }), lines(0, 1)],
    [on1(w64('0x8100078', '0x50700780')), lines(0, 0)],
    [on1(r('0x8100078', 8)), { v: '0x2000000050700780' }],
  ]
  return traceOf({ ...config, lines: COLUMNS }, steps)
}

describe('the drivers recording', () => {
  it.each(['arch', 'qemu-7.2'])('passes: all 36,204 ops, with profile %s', (profile) => {
    const { status, stdout } = program.run('--profile', profile, '--json', FIXTURE)
    const [{ passed, failed, skipped, either }] = JSON.parse(stdout) as Counts[]
    expect({ passed, failed, skipped, either }).toEqual({
      passed: 36_204,
      failed: 0,
      skipped: 0,
      either: 0,
    })
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

  it('has the lines of other CPUs judged where one CPU’s maintenance interrupt moves', () => {
    const two = (): DriverTrace => {
      const trace = maintenanceTrace()
      trace.config['cpus'] = 2
      for (const result of trace.results) {
        if (Array.isArray(result['lines'])) result['lines'] = [result['lines'][0], [0, 0, 0, 0, 0]]
      }
      return trace
    }
    expect(replay(two()).stdout).toMatch(/passed 9 failed 0 skipped 0/)
    const wrong = two()
    wrong.results[6]['lines'] = [
      [1, 0, 0, 0, 1],
      [1, 0, 0, 0, 0],
    ]
    const { stdout } = replay(wrong)
    expect(stdout).toContain('op 6: CPU 0: sw ICH_HCR := 0x3\n    irq of CPU 1 is 0, should be 1\n')
    expect(stdout).not.toContain('irq of CPU 0')
  })

  it.each(['eoir-no-active-priority', 'eoir-not-the-last-acknowledged', 'eoir-wrong-group', 'access-size'])(
    'does an op that is marked %s, and does not compare it',
    (u) => {
      const marked = (): DriverTrace => {
        const trace = maintenanceTrace()
        Object.assign(trace.ops[6], { u })
        trace.results[6]['v'] = '0x77'
        return trace
      }
      const { status, stdout } = replay(marked())
      expect(stdout).toMatch(/passed 8 failed 0 skipped 1 /)
      expect(stdout).toContain(`skipped 1: ${u}`)
      expect(status).toBe(0)
      const later = marked()
      later.results[8]['v'] = '0x3ff'
      expect(replay(later).stdout).toContain('v is 0x19 (INTID=0x19), should be 0x3ff (INTID=0x3ff)')
    },
  )

  it.each([
    ['0x20000', '0x80c0008', '0x101000111'],
    ['0x40000', '0x80e0008', '0x101000113'],
  ])('has its redistributors %s apart: CPU 1’s GICR_TYPER is at %s', (stride, address, v) => {
    const trace = traceOf({ gicr_stride: stride }, [[r(address, 8), { v }]])
    expect(replay(trace).stdout).toMatch(/passed 1 failed 0 skipped 0 /)
    trace.results[0]['v'] = `${v.slice(0, -3)}a${v.slice(-2)}`
    expect(replay(trace).stdout).toContain(`v is ${v}, should be ${trace.results[0]['v']}`)
  })

  it('of a machine with gic-version=4 has four frames a redistributor, also where no stride is given', () => {
    const machine = '-M virt,gic-version=4,virtualization=on -smp 2'
    const steps: [object, object][] = [
      [r('0x8000004'), { v: '0x37e0007' }],
      [r('0x80e0008', 8), { v: '0x101000113' }],
      [w64('0x80e0078', '0x0'), {}],
      [r('0x80c0078', 8), { v: '0x0' }],
    ]
    expect(replay(traceOf({ machine }, steps)).stdout).toMatch(/passed 4 failed 0 skipped 0 /)
  })

  it.each(['arch', 'qemu-7.2'])('of a host with vPEs is judged whole, with profile %s', (profile) => {
    const file = program.recording('drivers.jsonl.gz', [vlpiTrace()])
    const { stdout, status } = program.run('--profile', profile, file)
    expect(stdout).toMatch(/passed 34 failed 0 skipped 0 /)
    expect(status).toBe(0)
  })

  it.each<[string, string, (trace: DriverTrace) => unknown]>([
    [
      'another vLPI',
      'v is 0x2001 (INTID=0x2001), should be 0x2002 (INTID=0x2002)',
      ({ results }) => (results[27]['v'] = '0x2002'),
    ],
    ['a doorbell that does not ring', 'irq of CPU 1 is 1, should be 0', ({ results }) => (results[20] = {})],
    ['a vLPI that does not come', 'virq of CPU 1 is 1, should be 0', ({ results }) => (results[31] = {})],
    ['PendingLast', 'should be 0x50700780', ({ results }) => (results[33]['v'] = '0x50700780')],
    ['another GITS_TYPER', 'v is 0x3f0001efb3', ({ results }) => (results[14]['v'] = '0x1f0001efb1')],
  ])('of such a host fails with %s', (_what, message, spoil) => {
    const trace = vlpiTrace()
    spoil(trace)
    const { status, stdout } = replay(trace)
    expect(stdout).toContain(message)
    expect(status).toBe(1)
  })

  it('of a GICv3 has no vPEs', () => {
    const { status, stdout } = replay(vlpiTrace({ gicr_stride: '0x20000' }))
    expect(stdout).toContain('v is 0x1f0001efb1, should be 0x3f0001efb3')
    expect(status).toBe(1)
  })

  it('has the memory that software writes, and the messages of devices, reach the ITS', () => {
    const steps: [object, object][] = [
      [w(GICR_WAKER, '0x0'), {}],
      [w(GICD_CTLR, '0x2'), {}],
      [sw('PMR', '0xf0'), {}],
      [sw('IGRPEN1', '0x1'), {}],
      [{ k: 'fill', a: '0x50000000', s: 1, n: 8, v: '0xa1' }, {}],
      [{ ...w('0x80a0070', '0x5000078f'), s: 8 }, {}],
      [{ ...w('0x80a0078', '0x50100780'), s: 8 }, {}],
      [w('0x80a0000', '0x1'), {}],
      [{ ...w('0x8080100', '0x8000000050200200'), s: 8 }, {}],
      [{ ...w('0x8080108', '0x8000000050300200'), s: 8 }, {}],
      [{ ...w('0x8080080', '0x8000000050500000'), s: 8 }, {}],
      [w('0x8080000', '0x1'), {}],
      [
        {
          k: 'ram',
          a: '0x50500000',
          s: 8,
          v: ['0x9', '0x0', '0x8000000000000000', '0x0', '0x700000008', '0x0', '0x8000000050600000', '0x0'],
        },
        {},
      ],
      [{ k: 'ram', a: '0x50500040', s: 8, v: ['0x70000000a', '0x200100000001', '0x0'] }, {}],
      [w('0x8080088', '0x60'), {}],
      [{ k: 'msi', dev: 7, a: '0x8090040', s: 4, v: '0x1' }, IRQ],
      [
        { k: 'sr', reg: 'IAR1' },
        { v: '0x2001', ...NONE },
      ],
    ]
    const { stdout } = replay(traceOf({ level: 'EL1', lines: ['irq'] }, steps))
    expect(stdout).toMatch(/passed 17 failed 0 skipped 0 /)
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
    ['with an unknown op', /op 0: .* is not an op of suite drivers/, ({ ops }) => (ops[0] = { k: 'zap' })],
    ['with a CPU too many', /op 0: .* is not an op/, ({ ops }) => (ops[0]['c'] = 2)],
    ['with an access of 3 bytes', /op 0: .* is not an op/, ({ ops }) => (ops[0]['s'] = 3)],
    [
      'with an input that does not exist',
      /op 0: .* is not an op/,
      ({ ops }) => (ops[0] = { k: 'line', c: 0, intid: 8, level: 1 }),
    ],
    [
      'with an input of half a level',
      /op 0: .* is not an op/,
      ({ ops }) => (ops[0] = { k: 'line', c: 0, intid: 40, level: 2 }),
    ],
    ['with commands that are no list', /op 0: "cmds"/, ({ ops }) => (ops[0]['cmds'] = 'INVALL')],
    [
      'with an odd stride',
      /config.gicr_stride is not 0x20000 or 0x40000/,
      ({ config }) => (config['gicr_stride'] = 0x20000),
    ],
    [
      'with a write of more than it has bytes',
      /op 0: .* is not an op/,
      ({ ops }) => (ops[0] = { k: 'w', c: 0, a: '0x8000000', s: 4, v: '0x100000000' }),
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
