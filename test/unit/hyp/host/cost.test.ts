/** What exits cost in accesses to the silicon, by design and baseline: rows of the cost table. */
import { ICC_PMR_EL1 } from 'vgic'
import {
  type CostRow,
  type Design,
  designs,
  type ExitName,
  formatCost,
  kvm61,
  latencyOf,
  type Run,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { handle } from '../../../kit/guest-lists.ts'

/** Every kind of exit at least once, with and without something in list registers. */
const everything = (design: Design): Run =>
  scenario('everything')
    .design(design)
    .gic({ spis: 64 })
    .vm({ vcpus: 2, timers: true })
    .spi({ intid: 40 })
    .spi({ intid: 41, trigger: 'level', physical: 50 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().quiesce(41).stopTimer().eoi())
        .hvc()
        .hvc()
        .userspace()
        .wfe()
        .wfe()
        .wfe()
        .sgi({ intid: 1, vcpus: [0, 1] })
        .hvc()
        .unmask()
        .wfi()
        .timer(100)
        .suspend()
        .timer(10)
        .loop(40, (list) => list.read(ICC_PMR_EL1))
        .wfi(),
    )
    .guest(1, (guest) => handle(guest.wfi()))
    .device('board', (device) => device.pulse(40).at(5000).raise(41))
    .run()
const row = (run: Run, exit: CostRow['exit']): CostRow => {
  const found = run.cost().find((one) => one.exit === exit)
  if (!found) throw new Error(`no row ${exit}`)
  return found
}
const hvcs = (design: Design, count: number): Run =>
  scenario('hvc')
    .design(design)
    .guest(0, (guest) => guest.loop(count, (list) => list.hvc()))
    .run()

const allDesigns = Object.entries(designs).map(([key, design]) => ({ key, design }))
const accesses = ({ sysregReads, sysregWrites, mmioReads, mmioWrites }: CostRow): number =>
  sysregReads + sysregWrites + mmioReads + mmioWrites

describe('the cost table', () => {
  it.each(allDesigns)('has as many exits and accesses as the run: $key', ({ design }) => {
    const run = everything(design)
    expect(run.end).toBe('done')
    const rows = run.cost()
    const total = (count: (row: CostRow) => number): number => rows.reduce((sum, one) => sum + count(one), 0)
    const accesses = run.events.flatMap((event) => event.accesses)
    const counted = (kind: string, direction: string): number =>
      accesses.filter((access) => access.kind === kind && access.direction === direction).length
    expect(total((one) => one.sysregReads)).toBe(counted('sysreg', 'read'))
    expect(total((one) => one.sysregWrites)).toBe(counted('sysreg', 'write'))
    expect(total((one) => one.mmioReads)).toBe(counted('mmio', 'read'))
    expect(total((one) => one.mmioWrites)).toBe(counted('mmio', 'write'))
    for (const { exit, exits } of rows) {
      const left = run.events.filter(({ what }) => what.endsWith(`-> exit (${exit})`))
      expect(exits, exit).toBe(left.length)
    }
    expect(new Set(rows.map((one) => one.design))).toEqual(new Set([design.name]))
  })

  it('has a row for each kind of exit that happened, and for what came before the first', () => {
    const names: (ExitName | 'first-entry')[] = [
      'irq',
      'wfi',
      'wfe',
      'sysreg',
      'hvc',
      'suspend',
      'userspace',
      'off',
      'first-entry',
    ]
    expect(
      everything(designs.wfiFlag)
        .cost()
        .map(({ exit }) => exit),
    ).toEqual(names)
  })

  it('counts nothing twice and nothing more when it is asked again', () => {
    const run = everything(designs.wfiFlag)
    expect(run.cost()).toEqual(run.cost())
    expect(run.machine.cost()).toEqual(run.cost())
  })
})

describe('an exit with nothing pending', () => {
  it.each(allDesigns.filter(({ key }) => key !== 'vmcrOnExit'))(
    'accesses no register: $key',
    ({ design }) => {
      const { exits, ...counts } = row(hvcs(design, 7), 'hvc')
      expect(exits).toBe(7)
      expect(counts).toMatchObject({ sysregReads: 0, sysregWrites: 0, mmioReads: 0, mmioWrites: 0, polls: 0 })
    },
  )

  it('reads ICH_VMCR_EL2 once with vmcr-on-exit', () => {
    const run = hvcs(designs.vmcrOnExit, 7)
    expect(row(run, 'hvc')).toMatchObject({ exits: 7, sysregReads: 7, sysregWrites: 0 })
    const inExit = run.events.filter(({ place }) => place === 'exit').flatMap((event) => event.accesses)
    expect(new Set(inExit.map(({ name }) => name))).toEqual(new Set(['ICH_VMCR_EL2']))
  })
})

describe('vmcr-on-exit against wfi-flag', () => {
  const [onExit, flag] = [everything(designs.vmcrOnExit), everything(designs.wfiFlag)]

  it.each(['irq', 'wfe', 'sysreg', 'hvc', 'userspace', 'off'] as const)(
    'costs exactly one register read more per exit (%s)',
    (exit) => {
      const [a, b] = [row(onExit, exit), row(flag, exit)]
      expect(a.exits).toBe(b.exits)
      expect(a.sysregReads).toBe(b.sysregReads + a.exits)
      expect([a.sysregWrites, a.mmioReads, a.mmioWrites]).toEqual([b.sysregWrites, b.mmioReads, b.mmioWrites])
    },
  )

  it.each(['wfi', 'suspend'] as const)('costs the same where wfi-flag saves it for the halt (%s)', (exit) => {
    expect(accesses(row(onExit, exit))).toBe(accesses(row(flag, exit)))
  })
})

describe('kvm61 against fixed', () => {
  it.each(allDesigns)('does not write ICH_HCR_EL2 at a load: $key', ({ design }) => {
    const [good, old] = [hvcs(design, 3), hvcs(kvm61(design), 3)]
    expect(row(good, 'first-entry').sysregWrites).toBe(row(old, 'first-entry').sysregWrites + 1)
    expect(row(good, 'hvc')).toEqual({ ...row(old, 'hvc'), design: design.name })
    expect(row(old, 'hvc').design).toBe(`${design.name} (kvm61)`)
  })

  it('costs an exit less for each ICC_DIR_EL1', () => {
    const twice = (design: Design): Run =>
      scenario('DIR')
        .design(design)
        .guest(0, (guest) => guest.loop(2, (list) => list.write(0xc659, 40)))
        .run()
    expect(
      twice(designs.wfiFlag)
        .cost()
        .some(({ exit }) => exit === 'sysreg'),
    ).toBe(true)
    expect(
      twice(kvm61(designs.wfiFlag))
        .cost()
        .some(({ exit }) => exit === 'sysreg'),
    ).toBe(false)
  })
})

describe('latencies', () => {
  it('add a row up in the caller’s unit', () => {
    const one: CostRow = {
      design: 'any',
      exit: 'hvc',
      exits: 1,
      sysregReads: 2,
      sysregWrites: 3,
      mmioReads: 4,
      mmioWrites: 5,
      polls: 6,
      itsCommands: 7,
      dirtyPolls: 4,
      tableAccesses: 8,
    }
    const latencies = { exit: 10_000, sysregRead: 1000, sysregWrite: 100, mmioRead: 10, mmioWrite: 1 }
    expect(latencyOf(one, latencies)).toBe(12_345)
    expect(latencyOf(one, { ...latencies, itsCommand: 100_000, tableAccess: 1_000_000 })).toBe(8_712_345)
  })

  it.each([
    ['row must be a row of a cost table, but is undefined.', undefined],
    ['row.design must be a string, but is undefined.', {}],
    ['row.exit must be a string, but is 5.', { design: 'd', exit: 5 }],
    [
      'row.exits must be an integer from 0 to 9007199254740991, but is -1.',
      { design: 'd', exit: 'hvc', exits: -1 },
    ],
    [
      'row.sysregReads must be an integer from 0 to 9007199254740991, but is undefined.',
      { design: 'd', exit: 'hvc', exits: 1 },
    ],
  ])('%s', (message, wrong) => {
    const latencies = { exit: 1, sysregRead: 1, sysregWrite: 1, mmioRead: 1, mmioWrite: 1 }
    expect(() => latencyOf(wrong as unknown as CostRow, latencies)).toThrow(
      expect.objectContaining({ code: 'argument', message }),
    )
  })

  it('are the last column of the table, aligned as the others; a table without rows has its heads', () => {
    const latencies = { exit: 10_000, sysregRead: 1000, sysregWrite: 100, mmioRead: 10, mmioWrite: 1 }
    const row = {
      design: 'd',
      exit: 'hvc',
      exits: 1,
      sysregReads: 12,
      sysregWrites: 3,
      mmioReads: 4,
      mmioWrites: 5,
      polls: 6,
      itsCommands: 7,
      dirtyPolls: 4,
      tableAccesses: 8,
    } as const
    expect(formatCost([row], latencies)).toBe(
      [
        'd',
        'exit  exits  sysreg r  sysreg w  mmio r  mmio w  polls  its cmds  dirty polls  tables  total',
        'hvc       1        12         3       4       5      6         7            4       8  22345',
      ].join('\n'),
    )
    expect(formatCost([])).toBe(
      'exit  exits  sysreg r  sysreg w  mmio r  mmio w  polls  its cmds  dirty polls  tables',
    )
  })

  it('of an exit with nothing pending are the exit’s alone', () => {
    const latencies = { exit: 7, sysregRead: 1000, sysregWrite: 1000, mmioRead: 1000, mmioWrite: 1000 }
    expect(latencyOf(row(hvcs(designs.wfiFlag, 5), 'hvc'), latencies)).toBe(35)
  })
})
