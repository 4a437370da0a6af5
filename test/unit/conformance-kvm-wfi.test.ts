/** Replaying the recordings of what KVM does around WFI, entry, exit, load and put (traces/README.md, "kvm-wfi"). */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConformanceProgram, type Run } from './conformance-program.ts'

const FIXTURE = 'test/fixtures/kvm-wfi.jsonl.gz'

type Event = Record<string, unknown>
interface Case {
  name: string
  config: Record<string, unknown>
  setup: Record<string, Event[]>
  guest: Record<string, Event[]>
  irq: Record<string, Record<string, Event[]>>
  stimuli: Event[]
  accesses: Record<string, Event[]>
  guestSees: Record<string, Event[]>
}

let program: ConformanceProgram
let cases: readonly Case[]
beforeAll(async () => {
  program = await ConformanceProgram.bundle()
  cases = gunzipSync(readFileSync(FIXTURE))
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Case)
})
afterAll(() => program.remove())

const named = (name: string): Case => {
  const found = cases.find((one) => one.name === name)
  if (!found) throw new Error(`the fixture has no case ${name}`)
  return structuredClone(found)
}
/** Runs one case after it was changed. */
const changed = (name: string, change: (one: Case) => unknown): Run => {
  const one = named(name)
  change(one)
  return program.run(program.recording('changed.jsonl.gz', [one]))
}
const counts = ({ stdout }: Run): number[] =>
  /passed (\d+) failed (\d+) skipped (\d+) either (\d+)/.exec(stdout)?.slice(1).map(Number) ?? []
const isJudged = ({ e }: Event): boolean => ['entry', 'exit', 'r', 'w', 'its', 'host'].includes(String(e))
const judged = ({ accesses, guestSees }: Case): number =>
  Object.values(accesses).flat().filter(isJudged).length + Object.values(guestSees).flat().length
/** The nth access of vCPU 0 to a register. */
const access = ({ accesses }: Case, reg: string, nth = 0): Event =>
  accesses['0'].filter((event) => event['reg'] === reg)[nth]

describe('the kvm-wfi recording', () => {
  it('passes, and all of its 4,134 accesses and 234 things seen are accounted for', () => {
    const run = program.run(FIXTURE)
    expect(run.stderr).toBe('')
    expect(counts(run)).toEqual([2248, 0, 2120, 0])
    expect(2248 + 2120).toBe(4134 + 234)
    expect(run.stdout).toContain('  skipped 1975: GICv4')
    expect(run.stdout).toContain('  skipped 145: LPIs')
    expect(run.status).toBe(0)
  })

  it.each([
    'W1',
    'W2',
    'W5',
    'W6',
    'W7',
    'W8',
    'W9',
    'W10',
    'W11',
    'W12',
    'W13',
    'L1',
    'L2',
    'L3',
    'L4',
    'L5',
    'L6',
    'L7',
    'L8',
    'L9',
    'L10',
    'L11',
  ])('%s on GICv3 passes whole', (name) => {
    const one = named(`${name}-gicv3`)
    const run = program.run(program.recording('one.jsonl.gz', [one]))
    expect(counts(run)).toEqual([judged(one), 0, 0, 0])
  })

  it.each(['W3', 'W16'])('%s on GICv3 is skipped: it needs LPIs', (name) => {
    const one = named(`${name}-gicv3`)
    const run = program.run(program.recording('one.jsonl.gz', [one]))
    expect(counts(run)).toEqual([0, 0, judged(one), 0])
    expect(run.stdout).toMatch(/skipped \d+: LPIs/)
  })
})

describe('a case of it that was changed fails', () => {
  it('in one access that has another value, whose fields are shown', () => {
    const run = changed('W5-gicv3', (one) => {
      access(one, 'ICH_LR0_EL2')['v'] = '0x5090000000000001'
    })
    expect(counts(run)[1]).toBe(1)
    expect(run.stdout).toContain('trace W5-gicv3 op 11: vcpu0 access')
    expect(run.stdout).toContain(
      'is w ICH_LR0_EL2 0x50a0000000000001 (pending SGI 1 prio 0xa0 group 1), ' +
        'should be w ICH_LR0_EL2 0x5090000000000001 (pending SGI 1 prio 0x90 group 1)',
    )
    expect(run.status).toBe(1)
  })

  it('in two accesses that changed places', () => {
    const run = changed('W12-gicv3', ({ accesses }) => {
      const list = accesses['0']
      const at = list.findIndex(({ reg }) => reg === 'ICH_AP0R0_EL2')
      ;[list[at], list[at + 1]] = [list[at + 1], list[at]]
    })
    expect(counts(run)[1]).toBe(2)
  })

  it('in an access of another redistributor, or by another kind of exit', () => {
    const other = changed('W1-gicv3', (one) => {
      access(one, 'GICR_ISACTIVER0')['rd'] = 1
    })
    expect(counts(other)[1]).toBe(1)
    const exit = changed('W1-gicv3', ({ accesses }) => {
      for (const event of accesses['0']) if (event['why'] === 'WFx') event['why'] = 'HVC'
    })
    expect(counts(exit)[1]).toBe(1)
    expect(exit.stdout).toContain('is exit WFx, should be exit HVC')
  })

  it('in what the host does with the physical interrupt', () => {
    const run = changed('W13-gicv3', (one) => {
      access(one, 'ICC_EOIR1')['reg'] = 'ICC_DIR'
    })
    expect(counts(run)[1]).toBe(1)
    expect(run.stdout).toContain('is host ICC_EOIR1 27, should be host ICC_DIR 27')
  })

  it('from the first access on that the model has and the recording has not', () => {
    const one = named('W13-gicv3')
    const at = one.accesses['0'].findIndex(({ reg }) => reg === 'ICC_EOIR1')
    one.accesses['0'].splice(at, 1)
    const [passed, failed] = counts(program.run(program.recording('missing.jsonl.gz', [one])))
    expect(passed + failed).toBe(judged(one))
    expect(failed).toBeGreaterThan(1)
  })

  it('at the last event if the model goes on, and where the model has nothing any more', () => {
    const short = changed('W1-gicv3', ({ accesses }) => accesses['0'].pop())
    expect(counts(short)[1]).toBe(1)
    expect(short.stdout).toContain('is followed by r ICH_AP1R0_EL2 0x0')
    const long = changed('W1-gicv3', ({ accesses }) => accesses['0'].push({ e: 'entry' }))
    expect(counts(long)[1]).toBe(1)
    expect(long.stdout).toContain('is missing, should be entry')
  })

  it('in what the guest sees: a value, an interrupt taken, and one too many', () => {
    const value = changed('W6-gicv3', ({ guestSees }) => {
      guestSees['0'][0]['v'] = '0x0'
    })
    expect(value.stdout).toContain('is op 3 reads 0x80, should be op 3 reads 0x0')
    expect(counts(value)[1]).toBe(1)
    const taken = changed('W1-gicv3', ({ guestSees }) => {
      guestSees['0'][0]['takes'] = 30
    })
    expect(taken.stdout).toContain('is takes 27, should be takes 30')
    const none = changed('W1-gicv3', ({ guestSees }) => {
      guestSees['0'] = []
    })
    expect(counts(none)[1]).toBe(1)
    expect(none.stdout).toContain('is followed by takes 27')
  })

  it('if the guest does something else', () => {
    const run = changed('W8-gicv3', ({ guest }) => {
      guest['0'][0] = { k: 'sw', reg: 'IGRPEN1', v: '0x1' }
    })
    expect(counts(run)[1]).toBeGreaterThan(0)
  })

  it('if what wakes it comes before it sleeps, and not after', () => {
    const run = changed('W12-gicv3', ({ stimuli }) => {
      stimuli[0] = { by: 'vmm', op: 0, after: 'op', vcpu: 0, at: '1' }
    })
    expect(counts(run)[1]).toBeGreaterThan(0)
  })
})

describe('a case that cannot be replayed', () => {
  it.each([
    { why: 'GICv4', change: ({ config }: Case) => (config['gic'] = 4) },
    { why: 'a host without VHE', change: ({ config }: Case) => (config['vhe'] = false) },
    {
      why: "a host's move",
      change: ({ guest }: Case) => guest['0'].push({ k: 'host', call: 'move', pcpu: 1 }),
    },
    {
      why: 'an access outside the distributor and redistributors',
      change: ({ guest }: Case) => guest['0'].push({ k: 'r', a: '0x8080000', s: 4 }),
    },
    {
      why: 'an access to ICC_NOTHING',
      change: ({ guest }: Case) => guest['0'].push({ k: 'sr', reg: 'ICC_NOTHING' }),
    },
    {
      why: 'an op for the nth interrupt only',
      change: ({ irq }: Case) => irq['0']['27'].push({ k: 'wfi', nth: 2 }),
    },
  ])('is skipped with all that it judges: $why', ({ why, change }) => {
    const run = changed('W1-gicv3', change)
    expect(counts(run)).toEqual([0, 0, judged(named('W1-gicv3')), 0])
    expect(run.stdout).toContain(`: ${why}`)
    expect(run.status).toBe(0)
  })
})

describe('a line that is no case is refused', () => {
  it.each([
    { what: 'without CPUs', change: ({ config }: Case) => (config['cpus'] = 0), reason: /config\.cpus/ },
    {
      what: 'with a vCPU too many',
      change: ({ guest }: Case) => (guest['2'] = []),
      reason: /names vCPU 2 of 2/,
    },
    {
      what: 'with an unknown op',
      change: ({ guest }: Case) => guest['0'].push({ k: 'sev' }),
      reason: /no op of suite kvm-wfi/,
    },
    {
      what: 'with a write without a value',
      change: ({ guest }: Case) => guest['0'].push({ k: 'w', a: '0x8000000', s: 4 }),
      reason: /no op of suite kvm-wfi/,
    },
    {
      what: 'with an access of three bytes',
      change: ({ guest }: Case) => guest['0'].push({ k: 'r', a: '0x8000000', s: 3 }),
      reason: /no op of suite kvm-wfi/,
    },
    {
      what: 'with a setup that is no list',
      change: (one: Case) => Object.assign(one.setup, { 0: 7 }),
      reason: /setup\[0\] is not a list/,
    },
    {
      what: 'with an access without a value',
      change: (one: Case) => delete access(one, 'ICH_VMCR_EL2')['v'],
      reason: /accesses\[0\].* is not understood/,
    },
    {
      what: 'with a sight of nothing',
      change: ({ guestSees }: Case) => guestSees['0'].push({}),
      reason: /guestSees\[0\].* is not understood/,
    },
    {
      what: 'with a stimulus by nobody',
      change: ({ stimuli }: Case) => stimuli.push({ after: 'blocked', vcpu: 0 }),
      reason: /no stimulus of suite kvm-wfi/,
    },
    {
      what: 'with 99 list registers',
      change: ({ config }: Case) => (config['lrs'] = 99),
      reason: /listRegisters/,
    },
  ])('$what', ({ change, reason }) => {
    const { status, stdout, stderr } = changed('W1-gicv3', change)
    expect(stderr).toMatch(reason)
    expect(stderr).toMatch(/changed\.jsonl\.gz: line 1: /)
    expect(stderr).not.toMatch(/\n\s+at /)
    expect([status, stdout]).toEqual([2, ''])
  })
})
