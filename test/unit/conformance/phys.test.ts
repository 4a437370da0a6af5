/** What the conformance program says about recordings of suite `phys`. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConformanceProgram } from './program.ts'

let program: ConformanceProgram
beforeAll(async () => {
  program = await ConformanceProgram.bundle()
})
afterAll(() => program.remove())

const config = { cpus: 2, priority_bits: 5, preemption_bits: 5 }
const NOTHING = ['0x0', '0x3ff', '0x3ff', '0xff']
/** CPU 1 takes PPI 27; every kind of op and mark is there. */
const ops = [
  { k: 'w', c: 0, a: '0x8000000', s: 4, v: '0x2' },
  { k: 'r', c: 0, a: '0x8000000', s: 4 },
  { k: 'w', c: 0, a: '0x80c0014', s: 4, v: '0x0' },
  { k: 'w', c: 0, a: '0x80d0080', s: 4, v: '0xffffffff' },
  { k: 'w', c: 0, a: '0x80d0100', s: 4, v: '0x8000000' },
  { k: 'w', c: 0, a: '0x80d041b', s: 1, v: '0xa7' },
  { k: 'r', c: 0, a: '0x80d041b', s: 1 },
  { k: 'sw', c: 1, reg: 'PMR', v: '0xff' },
  { k: 'sw', c: 1, reg: 'IGRPEN1', v: '0x1' },
  { k: 'line', c: 1, intid: 27, level: 1 },
  { k: 'obs' },
  { k: 'r', c: 0, a: '0x80c0008', s: 8 },
  { k: 'r', c: 0, a: '0x8000000', s: 2, u: 'access-size' },
  { k: 'sr', c: 1, reg: 'EOIR1' },
  { k: 'sr', c: 1, reg: 'IAR1' },
]
const results: Record<string, unknown>[] = [
  {},
  { v: '0x52' },
  {},
  {},
  {},
  {},
  { v: '0xa7', dev: ['prio-8bit'], spec: '0xa0' },
  {},
  {},
  {},
  { cpus: [NOTHING, ['0x80', '0x3ff', '0x1b', '0xff']] },
  { v: '0x101000111' },
  { v: '0x1234' },
  { fault: '0x2000000', ec: '0x0' },
  { v: '0x1b' },
]
/** A list with another element in a place. */
const put = (list: readonly unknown[], at: number, element: unknown): unknown[] =>
  list.map((other, i) => (i === at ? element : other))

const trace = (more: Record<string, unknown> = {}) => ({
  suite: 'phys',
  seed: 1,
  config,
  ops,
  results,
  ...more,
})
const run = (name: string, ...traces: unknown[]) => program.run(program.recording(name, traces))

describe('a recording of suite phys', () => {
  it('is replayed, each trace from reset; what the architecture does not fix is skipped', () => {
    const { status, stdout } = run('good.jsonl.gz', trace(), trace({ config: { ...config, trusted: 13 } }))
    expect(stdout).toContain('passed 26 failed 0 skipped 2 either 0; not judged: 2 of 2 agree')
    expect(stdout).toContain('skipped 2: access-size')
    expect(status).toBe(0)
  })

  it.each([
    ['a value', 1, { v: '0x53' }, 'v is 0x52, should be 0x53'],
    [
      'what the architecture says',
      6,
      { v: '0xa0', dev: ['prio-8bit'], spec: '0xa7' },
      'v is 0xa0, should be 0xa7',
    ],
    [
      'one value of an observation',
      10,
      { cpus: [NOTHING, ['0x0', '0x3ff', '0x1b', '0xff']] },
      'cpu 1 ISR is 0x80 (I), should be 0x0 (0)',
    ],
    ['a fault', 13, { v: '0x0' }, 'v is -, should be 0x0'],
    ['an acknowledge', 14, { v: '0x3ff' }, 'v is 0x1b (INTID=0x1b), should be 0x3ff (INTID=0x3ff)'],
  ])('fails by %s that is different, and says where', (_, at, result, message) => {
    const { status, stdout } = run('bad.jsonl.gz', trace({ results: put(results, at, result) }))
    expect(stdout).toContain('passed 13 failed 1 skipped 1 either 0')
    expect(stdout).toContain(`trace 1 op ${at}:`)
    expect(stdout).toContain(message)
    expect(status).toBe(1)
  })

  it('is replayed with the choices of a profile: QEMU 7.2 keeps eight bits of a priority', () => {
    const file = program.recording('good.jsonl.gz', [trace()])
    const { stdout } = program.run('--profile', 'qemu-7.2', file)
    expect(stdout).toContain('[traces, qemu-7.2]: passed 14 failed 0 skipped 1 either 0')
    const other = trace({ results: put(results, 6, { v: '0xa0', dev: ['prio-8bit'], spec: '0xa7' }) })
    const { status, stdout: said } = program.run(
      '--profile',
      'qemu-7.2',
      program.recording('bad.jsonl.gz', [other]),
    )
    expect(said).toContain('v is 0xa7, should be 0xa0')
    expect(status).toBe(1)
  })

  it('has four frames a redistributor if its stride says so', () => {
    const gicv4 = {
      config: { ...config, gicr_stride: '0x40000' },
      ops: [{ k: 'r', c: 0, a: '0x80e0008', s: 8 }],
      results: [{ v: '0x101000113' }],
    }
    expect(run('v4.jsonl.gz', trace(gicv4)).stdout).toContain('passed 1 failed 0 skipped 0')
  })

  it.each([
    ['an op of another suite', { ops: put(ops, 0, { k: 'gr', reg: 'IAR1' }) }, 'is not an op of suite phys'],
    ['a CPU that is not there', { ops: put(ops, 10, { k: 'obs', c: 2 }) }, 'is not an op of suite phys'],
    [
      'a register that is none',
      { ops: put(ops, 14, { k: 'sr', c: 1, reg: 'X' }) },
      'is not an op of suite phys',
    ],
    ['an observation that is none', { results: put(results, 10, { cpus: [1] }) }, '"cpus" is not a list'],
    [
      'a write of more bits than it has bytes',
      { ops: put(ops, 5, { k: 'w', a: '0x80d041b', s: 1, v: '0x1a7' }) },
      'op 5',
    ],
    ['an address that no bus has', { ops: put(ops, 1, { k: 'r', a: '0x10000000000000', s: 4 }) }, 'op 1'],
    [
      'redistributors at an odd distance',
      { config: { ...config, gicr_stride: '0x30000' } },
      'config.gicr_stride is not 0x20000 or 0x40000',
    ],
    [
      'an exception class that is not of its syndrome',
      { results: put(results, 13, { fault: '0x2000000', ec: '0x18' }) },
      'result 13: "ec" is not the exception class of the syndrome 0x2000000',
    ],
    ['a machine that cannot be', { config: { ...config, cpus: 0 } }, 'op 0'],
    [
      'a machine of 3 priority bits',
      { config: { ...config, priority_bits: 3 } },
      'config: priorityBits must be',
    ],
  ])('with %s is refused', (_, more, message) => {
    const { status, stderr } = run('odd.jsonl.gz', trace(more))
    expect(stderr).toContain(message)
    expect(status).toBe(2)
  })
})
