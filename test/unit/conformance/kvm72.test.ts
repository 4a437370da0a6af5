/** What the conformance program says about the recordings of Linux 7.2: guests' views, list registers, WFI. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConformanceProgram, type Run } from './program.ts'

interface Entry {
  c: number
  hcr: string
  lr: string[]
  exit?: string
  eoi?: number
}
interface Line {
  name: string
  config: Record<string, unknown>
  ops: Record<string, unknown>[]
  results: { run?: Entry[]; fault?: string; v?: string }[]
}

let program: ConformanceProgram
let withEntries: readonly Line[]
beforeAll(async () => {
  program = await ConformanceProgram.bundle()
  withEntries = linesOf('kvm72-lr')
})
afterAll(() => program.remove())

const fixture = (name: string): string => `test/fixtures/${name}.jsonl.gz`
const linesOf = (name: string): Line[] =>
  gunzipSync(readFileSync(fixture(name)))
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

/** The ops of a line up to the first whose entries are such, and that entry. */
function upTo(name: string, isSuch: (entry: Entry) => boolean): readonly [Line, Entry] {
  const line = structuredClone(withEntries.find((one) => one.name === name))
  const at = line?.results.findIndex(({ run = [] }) => run.some(isSuch)) ?? -1
  if (!line || at < 0) throw new Error(`${name} has no such entry`)
  const { ops, results } = line
  const entry = results[at].run?.find(isSuch)
  if (!entry) throw new Error('no entry')
  return [{ ...line, ops: ops.slice(0, at + 1), results: results.slice(0, at + 1) }, entry]
}
const replay = (line: Line, ...options: string[]): Run =>
  program.run(...options, program.recording('kvm72.jsonl.gz', [line]))

describe('the recordings of Linux 7.2', () => {
  it.each([
    ['kvm72-vgic', '[traces]: passed 25618 failed 0 skipped 0 either 0'],
    ['kvm72-lr', '[traces]: passed 14926 failed 0 skipped 0 either 0'],
    ['kvm72-wfi', '[cases]: passed 5380 failed 0 skipped 0 either 0'],
  ])('%s passes: %s', (name, counts) => {
    const { stdout, status } = program.run(fixture(name))
    expect(stdout).toContain(counts)
    expect(status).toBe(0)
  })

  it('kvm72-wfi: the counts add up', () => {
    expect(5380).toBe(5146 + 234)
  })

  it.each<[string, (entry: Entry) => boolean, (entry: Entry) => unknown, string]>([
    [
      'another ICH_HCR',
      () => true,
      (entry) => (entry.hcr = '0x1'),
      'entry 0 ICH_HCR is 0x151, should be 0x1',
    ],
    [
      'a maintenance interrupt that was none',
      ({ exit }) => exit === 'MI',
      (entry) => delete entry.exit,
      'why is MI, should be -',
    ],
    [
      'a trap that was none',
      ({ exit }) => exit === 'SYS',
      (entry) => delete entry.exit,
      'why is SYS, should be -',
    ],
    [
      'another EOIcount',
      ({ eoi }) => eoi === 1,
      (entry) => (entry.eoi = 2),
      'EOIcount is 0x1, should be 0x2',
    ],
  ])('an entry fails by %s', (_, isSuch, spoil, message) => {
    const [line, entry] = upTo('lr-nest-15000002', isSuch)
    expect(replay(line).status).toBe(0)
    spoil(entry)
    const { status, stdout } = replay(line)
    expect(stdout).toContain(message)
    expect(status).toBe(1)
  })

  it('an exit in which the host took its tick is not asked why, where EOIcount says that it was maintenance', () => {
    const [line, entry] = upTo('lr-nest-15000002', ({ eoi }) => eoi === 1)
    delete entry.exit
    expect(replay(line).status).toBe(0)
  })

  it('an access that is not aligned to its size faults on QEMU 11.1, and is one that KVM does not see', () => {
    const [line] = upTo('lr-nest-15000000', () => true)
    const op = { k: 'r', a: '0x8000004', s: 8, c: 0 }
    const unaligned = (silicon: string) => {
      const results = [{ fault: '0x96000021', run: line.results[0].run ?? [] }]
      return replay({ ...line, config: { ...line.config, silicon }, ops: [op], results }).status
    }
    expect(['qemu-11.1', 'qemu-11.1-fixed', 'qemu-7.2'].map(unaligned)).toEqual([0, 0, 1])
  })
})
