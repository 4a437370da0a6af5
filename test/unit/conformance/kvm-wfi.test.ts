/** Replaying the recordings of what KVM does around WFI, entry, exit, load and put (traces/README.md, "kvm-wfi"). */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withoutHostsOwn } from '../../conformance/kvm-wfi.ts'
import { caseOf } from '../../conformance/kvm-wfi-case.ts'
import { ConformanceProgram, type Run } from './program.ts'

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
    expect(counts(run)).toEqual([4368, 0, 0, 0])
    expect(4368).toBe(4134 + 234)
    expect(run.status).toBe(0)
  })

  it.each([
    'W1',
    'W2',
    'W3',
    'W5',
    'W6',
    'W7',
    'W8',
    'W9',
    'W10',
    'W11',
    'W12',
    'W13',
    'W16',
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

  it.each(['W1', 'W3', 'W16', 'V1', 'V4', 'V5', 'V6', 'V7', 'V8', 'V11'])(
    '%s on GICv4 passes whole',
    (name) => {
      const one = named(`${name}-gicv4`)
      const run = program.run(program.recording('one.jsonl.gz', [one]))
      expect(counts(run)).toEqual([judged(one), 0, 0, 0])
    },
  )
})

describe('a case of GICv4 that was changed fails', () => {
  /** The nth command of vCPU 0 to the host's ITS, by its name. */
  const command = ({ accesses }: Case, cmd: string, nth = 0): Event =>
    accesses['0'].filter((event) => event['cmd'] === cmd)[nth]

  it.each<[string, string, (one: Case) => unknown]>([
    ['V1', 'a vINTID', (one) => (command(one, 'VMAPTI')['vintid'] = 8193)],
    ['V1', 'a doorbell', (one) => (command(one, 'VMAPTI')['doorbell'] = 'db1')],
    ['V6', 'a doorbell that is none', (one) => (command(one, 'VMOVI')['doorbell'] = 'db0')],
    ['V8', 'where a vPE goes', (one) => (command(one, 'VMOVP')['rd'] = 0)],
    ['V8', 'a collection', (one) => (command(one, 'MOVI')['collection'] = 0)],
    ['V11', 'the device', (one) => (command(one, 'DISCARD')['device'] = 'proxy')],
    ['W1', 'the table of a vPE', (one) => ((access(one, 'GICR_VPENDBASER')['v'] as Event)['addr'] = 'vpt1')],
    ['W1', 'PendingLast', (one) => ((access(one, 'GICR_VPENDBASER', 3)['v'] as Event)['pendingLast'] = 1)],
    ['W1', 'the redistributor', (one) => (access(one, 'GICR_VPROPBASER')['rd'] = 1)],
  ])('%s in %s', (name, _what, change) => {
    expect(counts(changed(`${name}-gicv4`, change))[1]).toBe(1)
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

  it('if a list is empty and the model has something for it, whichever list that is', () => {
    const noAccess = changed('W1-gicv3', ({ accesses }) => {
      accesses['0'] = []
    })
    expect(counts(noAccess)).toEqual([0, 1, 0, 0])
    expect(noAccess.stdout).toContain('comes after w ICH_VMCR_EL2')
    expect(noAccess.stdout).toContain('(vcpu0 access)')
    const nothingOfOne = changed('W7-gicv3', ({ accesses, guestSees }) => {
      accesses['1'] = []
      guestSees['1'] = []
    })
    expect(counts(nothingOfOne)[1]).toBe(1)
    expect(nothingOfOne.stdout).toMatch(/vcpu0 sees\n {4}is followed by w ICH_VMCR_EL2 .*\(vcpu1 access\)/)
    const nothing = changed('W7-gicv3', (one) => {
      one.accesses = { 0: [], 1: [{ e: 'mark', m: 'load' }] }
      one.guestSees = {}
    })
    expect(nothing.stderr).toContain('there is nothing in it to judge')
    expect(nothing.status).toBe(2)
  })

  it('if something was to come from elsewhere after what never is', () => {
    const run = changed('W12-gicv3', ({ stimuli }) =>
      stimuli.push({ by: 'timer', intid: 27, after: 'op', vcpu: 0, at: 77 }),
    )
    expect(counts(run)[1]).toBe(1)
    expect(run.stdout).toContain('{"by":"timer","intid":27,"after":"op","vcpu":0,"at":77} has not come')
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

describe('what a handler does at the nth time only', () => {
  /** The timer of W13 goes on until the handler turns it off the second time; what was recorded after its first EOI. */
  const twice = (one: Case): void => {
    one.irq['0']['27'][0]['nth'] = 2
    one.irq['0']['27'].push({ k: 'sr', reg: 'PMR', nth: 1 }, { k: 'sr', reg: 'RPR', nth: 3 })
    const list = one.accesses['0'].filter(isJudged)
    const at = list.findIndex(({ why }) => why === 'IRQ')
    const [exit, acknowledge, drop, enable, write, entry] = list.slice(at, at + 6)
    const folded = [
      { e: 'r', reg: 'ICH_ELRSR_EL2', v: '0xf' },
      { e: 'w', reg: 'ICH_HCR_EL2', v: '0x0' },
      { e: 'w', reg: 'ICH_LR0_EL2', v: '0x0' },
    ]
    list.splice(at + 6, 0, exit, ...folded, acknowledge, drop, enable, write, entry)
    one.accesses['0'] = list
    one.guestSees['0'] = [{ takes: 27 }, { op: 'h27.1', v: '0xf0' }, { takes: 27 }]
  }

  it('is done at that time, and gone past at the others', () => {
    expect(counts(changed('W13-gicv3', twice)).slice(1)).toEqual([0, 0, 0])
  })

  it('fails where it was recorded at another time', () => {
    const run = changed('W13-gicv3', (one) => {
      twice(one)
      one.guestSees['0'].reverse()
      one.guestSees['0'].push({ op: 'h27.2', v: '0xa0' })
    })
    expect(counts(run)[1]).toBe(1)
    expect(run.stdout).toContain('is missing, should be op h27.2 reads 0xa0')
    const first = changed('W13-gicv3', (one) => {
      twice(one)
      one.irq['0']['27'][0]['nth'] = 1
    })
    expect(counts(first)[1]).toBeGreaterThan(1)
  })
})

describe("the host's own interrupts", () => {
  const KICKED = { by: 'vcpu1', op: 5, after: 'op', vcpu: 0, at: '1' }
  /** In W7, vCPU 0 is in its guest and not asleep when the SGI comes: it is kicked. */
  const kicked = (one: Case): void => {
    one.guest['0'][1] = { k: 'delay', us: 60_000 }
    one.stimuli = [KICKED]
    const list = one.accesses['0'].filter(isJudged)
    const from = list.findIndex(({ why }) => why === 'WFx')
    const to = list.findIndex(({ reg }) => reg === 'ICH_HCR_EL2')
    list.splice(from, to - from, { e: 'exit', why: 'IRQ' })
    one.accesses['0'] = list
  }
  /** The sender sends the same once more. */
  const kickedAgain = (one: Case): void => {
    kicked(one)
    one.guest['1'].push({ k: 'sw', reg: 'SGI1R', v: '0x6000001' })
    const list = one.accesses['1']
    list.splice(lastExit(list), 0, { e: 'exit', why: 'SYS' }, { e: 'entry' })
  }
  const lastExit = (list: readonly Event[]): number => list.map(({ e }) => e).lastIndexOf('exit')

  it('are not judged: a kick is an exit, and how the host takes its SGI is its own affair', () => {
    expect(counts(changed('W7-gicv3', kicked)).slice(1)).toEqual([0, 0, 0])
  })

  it('do not count where they are recorded: SGIs, and PPI 26', () => {
    const run = changed('W13-gicv3', ({ accesses }) => {
      const at = accesses['0'].findIndex(({ why }) => why === 'IRQ')
      const own = [0, 1, 15, 26].flatMap((intid) =>
        ['ICC_IAR1', 'ICC_EOIR1', 'ICC_DIR'].map((reg) => ({ e: 'host', reg, intid })),
      )
      accesses['0'].splice(at + 1, 0, ...own)
    })
    expect(counts(run)).toEqual([judged(named('W13-gicv3')), 0, 0, 0])
  })

  it.each([16, 25, 27, 30, 32])('are not those with INTID %i', (intid) => {
    const run = changed('W13-gicv3', ({ accesses }) => {
      const at = accesses['0'].findIndex(({ why }) => why === 'IRQ')
      accesses['0'].splice(at + 1, 0, { e: 'host', reg: 'ICC_IAR1', intid })
    })
    expect(counts(run)[1]).toBeGreaterThan(0)
  })

  it('make no exit that is judged where nothing is different after it', () => {
    const run = changed('W7-gicv3', kickedAgain)
    expect(counts(run).slice(1)).toEqual([0, 0, 0])
    const recorded = changed('W7-gicv3', (one) => {
      kickedAgain(one)
      const list = one.accesses['0']
      list.splice(lastExit(list), 0, ...IDLE)
    })
    expect(counts(recorded).slice(1)).toEqual([0, 0, 0])
  })

  const IDLE: readonly Event[] = [
    { e: 'exit', why: 'IRQ' },
    { e: 'r', reg: 'ICH_ELRSR_EL2', v: '0xe' },
    { e: 'w', reg: 'ICH_HCR_EL2', v: '0x0' },
    { e: 'r', reg: 'ICH_LR0_EL2', v: '0x50a0000000000006' },
    { e: 'w', reg: 'ICH_LR0_EL2', v: '0x0' },
    { e: 'w', reg: 'ICH_HCR_EL2', v: '0x1' },
    { e: 'w', reg: 'ICH_LR0_EL2', v: '0x50a0000000000006' },
    { e: 'entry' },
  ]
})

describe('an exit after which nothing is different', () => {
  const OWN = "host's own"
  const exit = [
    'exit IRQ',
    'r ICH_ELRSR_EL2 0xe',
    'w ICH_HCR_EL2 0x0',
    'r ICH_LR0_EL2 0x50a0000000000006',
    'w ICH_LR0_EL2 0x0',
    OWN,
    OWN,
    'w ICH_HCR_EL2 0x1',
    'w ICH_LR0_EL2 0x50a0000000000006',
    'entry',
  ]
  const judgedOf = (events: readonly string[]) => events.filter((event) => event !== OWN)
  const around = (...between: string[]) => ['entry', ...between, 'exit DABT']

  it('is left out if the host has taken an interrupt of its own, unless it was recorded', () => {
    expect(withoutHostsOwn(around(), around(...exit))).toEqual(around())
    expect(withoutHostsOwn(around(), around(...exit, 'exit IRQ', OWN, 'entry'))).toEqual(around())
    const recorded = around(...judgedOf(exit))
    expect(withoutHostsOwn(recorded, around(...exit))).toEqual(recorded)
  })

  it('is judged if nothing of the host was the reason', () => {
    const unexplained = around(...judgedOf(exit))
    expect(withoutHostsOwn(around(), unexplained)).toEqual(unexplained)
  })

  it.each([
    ['another list register', [...exit.slice(0, 8), 'w ICH_LR0_EL2 0x50a0000000000007', 'entry']],
    ['one more', [...exit.slice(0, 9), 'w ICH_LR1_EL2 0x50a0000000000007', 'entry']],
    ['one less', [...exit.slice(0, 7), 'entry']],
    ['an interrupt of the guest', [...exit.slice(0, 7), 'host ICC_IAR1 27', ...exit.slice(7)]],
    ['a put', [...exit.slice(0, 7), 'r ICH_VMCR_EL2 0xf04c000a', ...exit.slice(7)]],
    ['another exit', ['exit WFx', ...exit.slice(1)]],
    ['no entry', exit.slice(0, 9)],
  ])('is none with %s', (_what, events) => {
    expect(withoutHostsOwn(around(), ['entry', ...events])).toEqual(['entry', ...judgedOf(events)])
  })
})

describe('an event of GICv4 as it is compared', () => {
  const textsOf = (...events: Event[]): readonly string[] => {
    const json = { accesses: { 0: events }, guest: { 0: [] }, setup: {}, irq: {}, guestSees: {}, stimuli: [] }
    const trace = { line: 1, suite: 'kvm-wfi', name: 'V', config: { cpus: 1 }, ops: [], results: [] }
    return caseOf('V.jsonl', { ...trace, accesses: events.length, trusted: 0, json }).accesses[0]
  }

  it('has all fields of a command, in whatever order they stand, and not just its name', () => {
    const [one, same, other, less, sync] = textsOf(
      { e: 'its', cmd: 'VMOVI', device: 'dev', event: 0, vpe: 0, D: 1, doorbell: 'db0' },
      { e: 'its', doorbell: 'db0', vpe: 0, D: 1, cmd: 'VMOVI', event: 0, device: 'dev' },
      { e: 'its', cmd: 'VMOVI', device: 'dev', event: 0, vpe: 1, D: 1, doorbell: 'db0' },
      { e: 'its', cmd: 'VMOVI', device: 'dev', event: 0, vpe: 0, D: 1 },
      { e: 'its', cmd: 'SYNC' },
    )
    expect(one).toBe('its VMOVI D=1 device="dev" doorbell="db0" event=0 vpe=0')
    expect(same).toBe(one)
    expect([other, less]).not.toContain(one)
    expect(sync).toBe('its SYNC')
  })

  it('has the redistributor also where its value is no number', () => {
    const v = { addr: 'vpt0', valid: 1 }
    const [one, other, symbol] = textsOf(
      { e: 'w', rd: 0, reg: 'GICR_VPENDBASER', v },
      { e: 'w', rd: 1, reg: 'GICR_VPENDBASER', v },
      { e: 'w', rd: 1, reg: 'GICR_VPROPBASER', v: 'vprop' },
    )
    expect(one).toBe('w GICR_VPENDBASER of redistributor 0 {"addr":"vpt0","valid":1}')
    expect(other).not.toBe(one)
    expect(symbol).toBe('w GICR_VPROPBASER of redistributor 1 "vprop"')
  })

  it('is refused without a command', () => {
    expect(() => textsOf({ e: 'its' })).toThrow(/is not understood/)
  })
})

describe('a case that cannot be replayed', () => {
  it.each([
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
      reason: /not an op of suite kvm-wfi/,
    },
    {
      what: 'with a write without a value',
      change: ({ guest }: Case) => guest['0'].push({ k: 'w', a: '0x8000000', s: 4 }),
      reason: /not an op of suite kvm-wfi/,
    },
    {
      what: 'with an access of three bytes',
      change: ({ guest }: Case) => guest['0'].push({ k: 'r', a: '0x8000000', s: 3 }),
      reason: /not an op of suite kvm-wfi/,
    },
    {
      what: 'with a setup that is no list',
      change: (one: Case) => Object.assign(one.setup, { 0: 7 }),
      reason: /setup\[0\] is not a list/,
    },
    {
      what: 'with an event of an unknown kind',
      change: ({ accesses }: Case) => accesses['0'].push({ e: 'reads', reg: 'ICH_LR0_EL2', v: '0x0' }),
      reason: /accesses\[0\].* is not understood/,
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
    { what: 'of no GIC', change: ({ config }: Case) => delete config['gic'], reason: /config\.gic is not/ },
    {
      what: 'of a host that may have VHE or not',
      change: ({ config }: Case) => delete config['vhe'],
      reason: /config\.vhe not/,
    },
    {
      what: 'from another Linux',
      change: ({ config }: Case) => (config['kernel'] = 'Debian 6.12.9 arm64'),
      reason: /config\.kernel is Linux 6\.12/,
    },
    {
      what: 'on silicon of which there is no profile',
      change: ({ config }: Case) => (config['silicon'] = 'qemu-10.0'),
      reason: /config\.silicon is "qemu-10\.0"/,
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
