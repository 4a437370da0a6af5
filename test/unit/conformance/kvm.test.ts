/** What the conformance program says about recordings of what a KVM guest sees, with its list registers and without. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConformanceProgram, type Run } from './program.ts'

interface KvmTrace {
  suite: 'kvm'
  name: string
  config: Record<string, unknown>
  ops: Record<string, unknown>[]
  results: Record<string, unknown>[]
}

interface Entry {
  c: number
  hcr: string
  lr: string[]
  out?: string[]
}

let program: ConformanceProgram
let withEntries: readonly KvmTrace[]
let without: readonly KvmTrace[]
beforeAll(async () => {
  program = await ConformanceProgram.bundle()
  withEntries = tracesOf('kvm-lr')
  without = tracesOf('kvm-vgic')
})
afterAll(() => program.remove())

const tracesOf = (name: string): KvmTrace[] =>
  gunzipSync(readFileSync(`test/fixtures/${name}.jsonl.gz`))
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as KvmTrace)

/** The first ops of a trace. */
function cut(traces: readonly KvmTrace[], name: string, length: number): KvmTrace {
  const found = traces.find((trace) => trace.name === name)
  if (!found) throw new Error(`no trace ${name}`)
  const { ops, results, ...rest } = structuredClone(found)
  return { ...rest, ops: ops.slice(0, length), results: results.slice(0, length) }
}
const OPS = 130
/** Searches, acknowledges and ends SGIs and SPIs. */
const entries = (): KvmTrace => cut(withEntries, 'lr-phys-5000000', OPS)
/** A search that finds an SGI: two entries, the second of which changes a list register. */
const SEARCH = 113
const runOf = (trace: KvmTrace, i: number): Entry[] => trace.results[i]['run'] as Entry[]

const replay = (trace: KvmTrace, ...options: string[]): Run =>
  program.run(...options, program.recording('kvm.jsonl.gz', [trace]))

describe('the recordings of a KVM guest’s view', () => {
  it.each([
    ['kvm-vgic', 33_088],
    ['kvm-lr', 12_083],
  ])('%s: all of the %i ops pass', (name, total) => {
    const { status, stdout } = program.run('--json', `test/fixtures/${name}.jsonl.gz`)
    const [tally] = JSON.parse(stdout) as Record<string, unknown>[]
    expect(tally).toMatchObject({ passed: total, failed: 0, skipped: 0, either: 0 })
    expect(status).toBe(0)
  })
})

describe('a recording with the entries of each op', () => {
  it('passes', () => {
    expect(replay(entries()).stdout).toContain(`[traces]: passed ${OPS} failed 0 skipped 0`)
  })

  it.each<[string, string, (run: Entry[]) => unknown]>([
    [
      'another list register at an entry',
      'entry 0 ICH_LR0 is 0x5088000000000004, should be 0x5088000000000005',
      ([first]) => (first.lr[0] = '0x5088000000000005'),
    ],
    [
      'another one at an exit',
      'exit 1 ICH_LR0 is 0x9088000000000004, should be 0x0',
      ([, last]) => (last.out = ['0x0', '0x0', '0x0', '0x0']),
    ],
    [
      'no list registers at an exit',
      'exit 1 ICH_LR0 is 0x9088000000000004, should be -',
      ([, last]) => delete last.out,
    ],
    ['another vCPU', 'entry 1 vCPU is 0x2, should be 0x3', ([, last]) => (last.c = 3)],
    ['another ICH_HCR', 'entry 0 ICH_HCR is 0x1, should be 0x3', ([first]) => (first.hcr = '0x3')],
    ['an entry more', 'entry 2 vCPU is -, should be 0x2', (run) => run.push(...run.slice(1))],
  ])('fails by %s', (_what, message, spoil) => {
    const trace = entries()
    spoil(runOf(trace, SEARCH))
    const { status, stdout } = replay(trace)
    expect(stdout).toContain(`trace lr-phys-5000000 op ${SEARCH}: sr IAR1 by vCPU 2`)
    expect(stdout).toContain(message)
    expect(status).toBe(1)
  })

  it('fails by an empty list of entries', () => {
    const trace = entries()
    trace.results[0]['run'] = []
    expect(replay(trace).stdout).toMatch(/failed 1 [\s\S]*op 0: [\s\S]*entry 0 vCPU is 0x\d, should be -/)
  })

  it('is refused if one has no entries: the op would pass whatever was in the list registers', () => {
    const trace = entries()
    delete trace.results[SEARCH]['run']
    const { status, stderr } = replay(trace)
    expect(stderr).toContain(`line 1: result ${SEARCH}: there is no "run", as the others have`)
    expect(status).toBe(2)
  })

  it('is refused if none has, as long as it says how many list registers there are', () => {
    const trace = entries()
    for (const result of trace.results) delete result['run']
    expect(replay(trace).stderr).toContain('result 0: there is no "run"')
    delete trace.config['lrs']
    expect(replay(trace).stdout).toContain(`passed ${OPS} failed 0`)
  })

  it('of which one is marked run-incomplete has that judged by its result and not by its entries', () => {
    const trace = entries()
    for (const entry of runOf(trace, SEARCH)) delete entry.out
    expect(replay(trace).stdout).toContain('failed 1 ')
    trace.ops[SEARCH]['u'] = 'run-incomplete'
    expect(replay(trace).stdout).toContain(`passed ${OPS} failed 0 skipped 0`)
    trace.results[SEARCH]['v'] = '0x5'
    const { status, stdout } = replay(trace)
    expect(stdout).toContain('failed 1 ')
    expect(stdout).toContain('v is 0x4, should be 0x5')
    expect(status).toBe(1)
  })

  it('can be replayed on other silicon than it was made on', () => {
    const { stdout } = replay(entries(), '--profile', 'arch')
    expect(stdout).toContain(`[traces, arch]: passed ${OPS} failed 0`)
  })
})

describe('a recording of what a guest sees', () => {
  /** Its last op is UNDEFINED. */
  const undefinedLast = (): KvmTrace => cut(without, 'phys-1000009', 83)

  it('fails by another fault, by a trap, and by a value where there is a fault', () => {
    expect(replay(undefinedLast()).stdout).toContain('passed 83 failed 0')
    const results: [object, string][] = [
      [{ fault: '0x62300001', ec: '0x18' }, 'fault is 0x2000000, should be 0x62300001'],
      [{ trap: '0x62300001', ec: '0x18' }, 'trap is -, should be 0x62300001'],
      [{ v: '0x0' }, 'v is -, should be 0x0'],
      [{}, 'fault is 0x2000000, should be -'],
    ]
    for (const [result, message] of results) {
      const trace = undefinedLast()
      trace.results[82] = { ...result }
      const { status, stdout } = replay(trace)
      expect(stdout).toContain(message)
      expect(status).toBe(1)
    }
  })

  it('fails by a fault where there is none', () => {
    const trace = undefinedLast()
    const at = trace.ops.findIndex(({ k }) => k === 'sr')
    trace.results[at] = { fault: '0x2000000', ec: '0x0' }
    expect(replay(trace).stdout).toContain('fault is -, should be 0x2000000')
  })

  it('fails by an observation that is not there, and by one of fewer vCPUs', () => {
    for (const cpus of [undefined, [], [['0x0', '0x3ff', '0x3ff', '0xff']]]) {
      const trace = undefinedLast()
      const at = trace.ops.findIndex(({ k }) => k === 'obs')
      trace.results[at] = cpus === undefined ? {} : { cpus }
      expect(replay(trace).stdout).toMatch(/failed 1 [\s\S]*vCPU 3 RPR is 0xff, should be -/)
    }
  })
})

describe('a recording of KVM is refused', () => {
  it.each<[string, RegExp, (trace: KvmTrace) => unknown]>([
    [
      'from another Linux',
      /config\.kernel is Linux 6\.12, but this version has the vGIC of Linux 6\.1 and 7\.2 only/,
      ({ config }) => (config['kernel'] = 'Debian 6.12.9 arm64 (VHE)'),
    ],
    [
      'on silicon of which there is no profile',
      /config\.silicon is "qemu-10\.0", but this version's profiles are arch, qemu-7\.2, qemu-11\.1, qemu-11\.1-fixed/,
      ({ config }) => (config['silicon'] = 'qemu-10.0'),
    ],
    ['on no silicon', /config\.silicon is undefined/, ({ config }) => delete config['silicon']],
    [
      'with the frames of GICv4',
      /config\.gicr_stride is not that of a guest's GICv3/,
      ({ config }) => (config['gicr_stride'] = '0x40000'),
    ],
    ['with 99 list registers', /result 0: "run"/, ({ config }) => (config['lrs'] = 99)],
    ['with an entry of three list registers', /result 5: "run"/, (trace) => runOf(trace, 5)[0].lr.pop()],
    [
      'with an entry of a vCPU too many',
      /result 5: "run"/,
      (trace) => Object.assign(runOf(trace, 5)[0], { c: 4 }),
    ],
    [
      'with an exit of no list registers',
      /result 5: "run"/,
      (trace) => Object.assign(runOf(trace, 5)[0], { out: [] }),
    ],
    [
      'with an access of three bytes',
      /op 0: .* is not an op of suite kvm/,
      ({ ops }) => (ops[0] = { k: 'r', c: 0, a: '0x8000000', s: 3 }),
    ],
    [
      'with a write that does not fit',
      /op 0: .* is not an op of suite kvm/,
      ({ ops }) => (ops[0] = { k: 'w', c: 0, a: '0x8000000', s: 1, v: '0x100' }),
    ],
    [
      'with an input that does not exist',
      /op 0: .* is not an op of suite kvm/,
      ({ ops }) => (ops[0] = { k: 'line', c: 0, intid: 256, level: 1 }),
    ],
    [
      'with half a level',
      /op 0: .* is not an op of suite kvm/,
      ({ ops }) => (ops[0] = { k: 'line', c: 0, intid: 33, level: 2 }),
    ],
    [
      'with an unknown register',
      /op 0: .* is not an op of suite kvm/,
      ({ ops }) => (ops[0] = { k: 'sr', c: 0, reg: 'TEA' }),
    ],
  ])('%s', (_what, reason, spoil) => {
    const trace = entries()
    spoil(trace)
    const { status, stdout, stderr } = replay(trace)
    expect(stderr).toMatch(reason)
    expect(stderr).toMatch(/^\S+: line 1: .*\n$/)
    expect([status, stdout]).toEqual([2, ''])
  })
})
