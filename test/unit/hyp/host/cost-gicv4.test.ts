/** What residency costs in accesses, by design and kind of exit, and what of a guest's ITS is counted. */
import { readFileSync } from 'node:fs'
import { explore } from 'vgic/explore'
import {
  type CostRow,
  type Design,
  defineDesign,
  designs,
  type GuestBuilder,
  halt,
  type Run,
  type Scenario,
  scenario,
  steps,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { DEVICE, VLPI, vlpiScenario } from '../../../kit/direct.ts'
import { VALID } from '../../../kit/frames.ts'
import { bootedIts, deviceTable, INDIRECT, type ItsGuest, itsVm } from '../../../kit/guest-its.ts'
import { handle } from '../../../kit/guest-lists.ts'

/** MMIO reads and writes, ITS commands, Dirty polls, which are MMIO reads too, and table accesses. */
type Counts = readonly [reads: number, writes: number, commands: number, polls: number, tables: number]

const GICD_CTLR = 0x0800_0000
const ENABLE_GRP1 = 2
const NASSGIREQ = 1 << 8

const NOTHING: Counts = [0, 0, 0, 0, 0]
/** A vPE that leaves with its doorbell, which rings, and is resident again. */
const AROUND_A_HALT = { '4.1': [3, 2, 0, 3, 0], '4.0': [5, 6, 6, 2, 2] } as const
/** A vPE that leaves and is resident again, for a preemption. */
const AROUND_A_PREEMPTION = { '4.1': [3, 2, 0, 3, 0], '4.0': [3, 4, 2, 2, 0] } as const

const {
  clearUnhalt,
  load,
  preemptOff,
  preemptOn,
  put,
  saveVmcr,
  timerLoad,
  trapDir,
  vpeLoad,
  vpePut,
  vpePutDoorbell,
} = steps
/**
 * Residency for each run of the guest: the vPE leaves at every exit with its doorbell, and is back at every entry. An entry
 * that is given up has no exit, so the notifier puts too.
 */
const vpePerRun = defineDesign('vpe-per-run', {
  wfi: [preemptOff, saveVmcr, preemptOn, halt(), clearUnhalt],
  beforeEntry: [vpeLoad],
  afterExit: [vpePutDoorbell],
  schedOut: [vpePut, put],
  schedIn: [load, trapDir, timerLoad],
})

const countsOf = (row: CostRow | undefined): Counts =>
  row ? [row.mmioReads, row.mmioWrites, row.itsCommands, row.dirtyPolls, row.tableAccesses] : NOTHING

/** The counts for one exit: the difference of two runs, which has no first entry in it. */
function each(exit: CostRow['exit'], write: (rounds: number) => Scenario): Counts {
  const [few, many] = [10, 20].map((rounds) => {
    const run = write(rounds).run()
    expect(run.end).toBe('done')
    return run.cost().find((row) => row.exit === exit)
  })
  const exits = (many?.exits ?? 0) - (few?.exits ?? 0)
  const [before, after] = [countsOf(few), countsOf(many)]
  return after.map((count, i) => (count - before[i]) / exits) as unknown as Counts
}

const cases = (['4.1', '4.0'] as const).flatMap((version) =>
  Object.values(designs).map((design) => ({ version, name: design.name, design })),
)

const hypercalls = (version: '4.0' | '4.1', design: Design) => (rounds: number) =>
  vlpiScenario(version, design).guest(0, (guest) => guest.loop(rounds, (list) => list.hvc()))

const halts = (version: '4.0' | '4.1', design: Design) => (rounds: number) =>
  vlpiScenario(version, design)
    .guest(0, (guest) =>
      guest
        .onIrq(handle)
        .unmask()
        .loop(rounds, (list) => list.wfi()),
    )
    .device('nic', (nic) => {
      for (let i = 0; i < rounds; i++) nic.msi(DEVICE, 0)
    })

describe.each(cases)('$name on GICv$version', ({ version, design }) => {
  it('makes no access of GICv4 for a shallow exit', () => {
    expect(each('hvc', hypercalls(version, design))).toEqual(NOTHING)
  })

  it('puts and loads the vPE around a WFI that a vLPI ends', () => {
    expect(each('wfi', halts(version, design))).toEqual(AROUND_A_HALT[version])
  })

  it('does so around a WFI that does not sleep', () => {
    const blocked = (rounds: number): Scenario =>
      vlpiScenario(version, design)
        .spi({ intid: 40 })
        .cpuInterface(0, { groups: [] })
        .guest(0, (guest) => guest.loop(rounds, (list) => list.wfi()))
        .device('board', (device) => device.at(0).pulse(40))
    // GICv4.0's doorbell is disabled by the load here, and where it rings by its handler.
    expect(each('wfi', blocked)).toEqual(AROUND_A_HALT[version])
  })

  it('puts and loads the vPE for a preemption', () => {
    const twoOnACpu = (rounds: number): Scenario => {
      const busy = (guest: GuestBuilder) => guest.loop(100 * rounds, (list) => list.mask())
      return scenario('two vCPUs share a CPU')
        .gic({ version, cpus: 1 })
        .vm({ vcpus: 2 })
        .design(design)
        .vlpi({ device: DEVICE, event: 0, intid: VLPI })
        .guest(0, busy)
        .guest(1, busy)
    }
    expect(each('irq', twoOnACpu)).toEqual(AROUND_A_PREEMPTION[version])
  })
})

describe.each(['4.1', '4.0'] as const)('residency for each run of the guest on GICv%s', (version) => {
  it('is right', () => {
    const { complete, violation } = explore(halts(version, vpePerRun)(1), { preemptions: 1 })
    expect(violation).toBeUndefined()
    expect(complete).toBe(true)
  })

  it('costs a shallow exit what a WFI costs', () => {
    const { [version]: aroundAHalt } = AROUND_A_HALT
    expect(each('hvc', hypercalls(version, vpePerRun))).toEqual(aroundAHalt)
    expect(each('wfi', halts(version, vpePerRun))).toEqual(aroundAHalt)
  })
})

describe('what residency costs', () => {
  const page = readFileSync('docs/what-an-exit-costs.md', 'utf8')
  const tableOf = (version: '4.0' | '4.1'): string => page.split(`| GICv${version} |`)[1].split('\n\n')[0]
  const row = (name: string, [reads, writes, commands, polls, tables]: Counts): string =>
    `| ${name} | ${[reads, polls, writes, commands, tables].join(' | ')} |`

  it.each(['4.1', '4.0'] as const)('is what the page says of GICv%s', (version) => {
    const rows = tableOf(version).split('\n')
    expect(rows).toContain(row('a shallow exit', NOTHING))
    expect(rows).toContain(
      row('a WFI, asleep or not, that a vLPI or an SPI ends', [...AROUND_A_HALT[version]]),
    )
    expect(rows).toContain(row('a preemption', [...AROUND_A_PREEMPTION[version]]))
    expect(rows).toContain(row('a shallow exit, residency for each run', [...AROUND_A_HALT[version]]))
  })
})

describe('direct injection', () => {
  it('sends a vSGI by one write of GITS_SGIR', () => {
    // The bit is writable while the distributor is off.
    const sends = (nassgireq: number) => (rounds: number) =>
      scenario('IPIs')
        .gic({ version: '4.1', cpus: 2 })
        .vm({ vcpus: 2 })
        .design(designs.wfiFlag)
        .guest(0, (guest) =>
          guest
            .writeMmio(GICD_CTLR, nassgireq)
            .writeMmio(GICD_CTLR, nassgireq | ENABLE_GRP1)
            .loop(rounds, (list) => list.sgi({ intid: 1, vcpus: [1] })),
        )
        .guest(1, (guest) =>
          guest
            .onIrq((list) => list.ack().eoi())
            .unmask()
            .loop(1000, (list) => list.mask()),
        )
    expect(each('sysreg', sends(NASSGIREQ))).toEqual([0, 1, 0, 0, 0])
    expect(each('sysreg', sends(0))).toEqual(NOTHING)
  })

  it('has direct LPIs do without commands for the doorbell of GICv4.0', () => {
    const direct = (rounds: number): Scenario =>
      halts(
        '4.0',
        designs.wfiFlag,
      )(rounds).gic({
        version: '4.0',
        cpus: 1,
        directLpis: true,
      })
    expect(each('wfi', direct)).toEqual([5, 6, 0, 2, 2])
  })

  it.each(cases)('counts what the timeline shows: $name on GICv$version', ({ version, design }) => {
    const run: Run = halts(version, design)(3).run()
    const accesses = run.events.flatMap((event) => event.accesses)
    const rows = run.cost()
    const sum = (count: 'itsCommands' | 'tableAccesses' | 'dirtyPolls'): number =>
      rows.reduce((total, row) => total + row[count], 0)
    expect(sum('itsCommands')).toBe(accesses.filter(({ kind }) => kind === 'its').length)
    expect(sum('tableAccesses')).toBe(accesses.filter(({ kind }) => kind === 'table').length)
    const polls = accesses.filter(({ name, direction }) => name === 'GICR_VPENDBASER' && direction === 'read')
    expect(sum('dirtyPolls')).toBe(polls.length)
  })
})

describe("a guest's ITS", () => {
  /** Table accesses of the guest's exits to its registers. */
  const tables = (write: (its: ReturnType<GuestBuilder['its']>) => unknown): number => {
    const run = scenario('a guest drives its ITS')
      .gic({ cpus: 1, memoryLines: 256 })
      .vm({ vcpus: 1, frames: { its: 0x0808_0000 } })
      .guest(0, (guest) => {
        write(guest.its().boot(1).configure(VLPI).mapDevice(DEVICE).mapCollection(0, 0))
      })
      .run()
    expect(run.end).toBe('done')
    return run.cost().find(({ exit }) => exit === 'mmio')?.tableAccesses ?? 0
  }
  const before = tables((its) => its)
  const mapped = tables((its) => its.mapEvent(DEVICE, 0, VLPI, 0))

  it('reads a command, and the configuration and the pending byte of an LPI that it makes', () => {
    expect(mapped - before).toBe(3)
  })

  it('reads no table for an INT but the command', () => {
    expect(tables((its) => its.mapEvent(DEVICE, 0, VLPI, 0).int(DEVICE, 0)) - mapped).toBe(1)
  })

  it('reads the configuration again for an INV', () => {
    expect(tables((its) => its.mapEvent(DEVICE, 0, VLPI, 0).invalidate(DEVICE, 0)) - mapped).toBe(2)
  })

  it('reads none for the message of a device', () => {
    const run = scenario('a device sends messages')
      .gic({ cpus: 1, memoryLines: 256 })
      .vm({ vcpus: 1, frames: { its: 0x0808_0000 } })
      .guest(0, (guest) => {
        guest.its().boot(1).configure(VLPI).mapDevice(DEVICE).mapCollection(0, 0).mapEvent(DEVICE, 0, VLPI, 0)
        guest.onIrq(handle).unmask().wfi()
      })
      .device('nic', (nic) => nic.msi(DEVICE, 0))
      .run()
    expect(run.acknowledged(0)).toEqual([VLPI])
    expect(run.cost().find(({ exit }) => exit === 'wfi')?.tableAccesses).toBe(0)
  })

  /** Table accesses of what a guest of a virtual machine does. */
  const tablesFor = ({ vm }: ItsGuest, act: () => void): number => {
    const count = (): number => vm.cost().reduce((sum, { tableAccesses }) => sum + tableAccesses, 0)
    const start = count()
    act()
    return count() - start
  }

  it('reads the first level of a device table once for a MAPD, which clears the entry if V = 0', () => {
    const guest = itsVm()
    const page = deviceTable() + 0x1_0000
    guest.ram.write64(deviceTable(), VALID | BigInt(page))
    guest.setUpIts(0, VALID | INDIRECT | BigInt(deviceTable()))
    expect(tablesFor(guest, () => guest.mapd(DEVICE, 4))).toBe(2)
    guest.ram.write64(page + 8 * DEVICE, VALID)
    expect(tablesFor(guest, () => guest.mapd(DEVICE, 4, false))).toBe(3)
    expect(guest.ram.read64(page + 8 * DEVICE)).toBe(0n)
  })

  it('reads a byte of a pending table once when EnableLPIs is set', () => {
    const guest = bootedIts()
    guest.mapd(DEVICE, 4)
    for (let event = 0; event < 9; event++) guest.mapti(DEVICE, event, 8192 + event, 0)
    guest.enableLpis(0, false)
    expect(tablesFor(guest, () => guest.enableLpis(0))).toBe(2)
  })
})
