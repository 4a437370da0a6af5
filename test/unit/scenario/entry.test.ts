/**
 * What an entry and an exit cost at the seam, as recorded (KVM-WFI.md, "guest entry" and "guest exit"), and
 * how a kick brings an interrupt to a vCPU that is in its guest. The recordings are baseline kvm61's; the good
 * choices add ICH_HCR_EL2.TDIR to every write, and NPIE to an overflow of pending interrupts.
 */
import { ICC_PMR_EL1, ICH_LR0_EL2, ISR_EL1 } from 'vgic'
import {
  baselines,
  designs,
  kvm61,
  type Run,
  type ScenarioMachine,
  type StepEvent,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { HCR_En, HCR_NPIE, HCR_TDIR, HCR_UIE } from '../../kit/driving.ts'
import { handle } from '../../kit/guest-lists.ts'

/** `HCR := 1`, `LR0 := 40`, `read ELRSR`: the accesses of a step. List registers by the INTID written. */
function accesses(event: StepEvent | undefined): string[] {
  return (event?.accesses ?? []).map(({ direction, name, low }) => {
    const short = name.slice('ICH_'.length, -'_EL2'.length)
    return direction === 'read' ? `read ${short}` : `${short} := ${low}`
  })
}
/** The steps in which a run accessed registers at entry, or at exit. */
const accessed = (run: Run, place: 'entry' | 'exit'): string[][] =>
  run.events.filter((event) => event.place === place && event.accesses.length > 0).map(accesses)

const sum = (...bits: number[]): number => bits.reduce((all, bit) => all | bit)
const eitherBaseline = [
  {
    name: 'fixed',
    baseline: baselines.fixed,
    always: HCR_TDIR,
    overflow: HCR_NPIE | HCR_UIE,
    kept: HCR_TDIR,
  },
  { name: 'kvm61', baseline: kvm61, always: 0, overflow: HCR_UIE, kept: HCR_UIE },
]

/** Edge SPIs 40, 41, and so on, all pending before the first entry. */
function pending(count: number, listRegisters = 4, baseline = baselines.fixed) {
  const s = scenario('pending').gic({ listRegisters }).design(baseline(designs.wfiFullPut))
  for (let i = 0; i < count; i++) s.spi({ intid: 40 + i })
  return s.device('board', (device) => {
    for (let i = 0; i < count; i++) device.at(0).pulse(40 + i)
  })
}

describe('an entry', () => {
  it('with nothing on the ap_list touches no register, nor does the exit', () => {
    const run = scenario('nothing pending')
      .guest(0, (guest) => guest.hvc().hvc().wfe().wfe())
      .run()
    expect(accessed(run, 'entry')).toEqual([])
    expect(accessed(run, 'exit')).toEqual([])
  })

  it.each([
    { count: 1, writes: ['LR0 := 40'] },
    { count: 2, writes: ['LR0 := 40', 'LR1 := 41'] },
    { count: 4, writes: ['LR0 := 40', 'LR1 := 41', 'LR2 := 42', 'LR3 := 43'] },
  ])('with $count interrupts enables the interface, then writes as many list registers', (row) => {
    for (const { baseline, always } of eitherBaseline) {
      const run = pending(row.count, 4, baseline)
        .guest(0, (guest) => guest.hvc())
        .run()
      const writes = [`HCR := ${sum(HCR_En, always)}`, ...row.writes]
      expect(accessed(run, 'entry')).toEqual([writes, writes])
    }
  })

  it.each(eitherBaseline)('with more interrupts than list registers asks to be told: $name', (row) => {
    const run = pending(5, 4, row.baseline)
      .guest(0, (guest) => guest.hvc())
      .run()
    const [first] = accessed(run, 'entry')
    const hcr = sum(HCR_En, row.always, row.overflow)
    expect(first).toEqual([`HCR := ${hcr}`, 'LR0 := 40', 'LR1 := 41', 'LR2 := 42', 'LR3 := 43'])
  })

  it.each(eitherBaseline)('after the underflow brings the rest, and no longer asks for it: $name', (row) => {
    const run = pending(5, 4, row.baseline)
      .guest(0, (guest) => guest.onIrq(handle).unmask())
      .run()
    expect(accessed(run, 'entry')).toEqual([
      [`HCR := ${sum(HCR_En, row.always, row.overflow)}`, 'LR0 := 40', 'LR1 := 41', 'LR2 := 42', 'LR3 := 43'],
      [`HCR := ${sum(HCR_En, row.always)}`, 'LR0 := 43', 'LR1 := 44'],
    ])
    const exits = run.events.filter(({ what }) => what.includes('exit (irq)')).map(({ what }) => what)
    expect(exits).toEqual(['interrupted by the maintenance interrupt -> exit (irq)'])
  })

  it('puts priority, group, state and the EOI request of a level into the list register', () => {
    const run = scenario('contents')
      .spi({ intid: 40, trigger: 'level', priority: 0x48, group: 1 })
      .spi({ intid: 41, trigger: 'edge', priority: 0x50, group: 0 })
      .device('board', (device) => device.at(0).raise(40).at(0).raise(41))
      .run()
    const written = run.events
      .flatMap(({ accesses }) => accesses)
      .filter(({ direction, register, low }) => direction === 'write' && register >= ICH_LR0_EL2 && low !== 0)
      .map(({ low, high }) => ({ intid: low, high: high >>> 0 }))
    expect(written).toEqual([
      { intid: 40, high: 0x5048_0200 },
      { intid: 41, high: 0x4050_0000 },
    ])
  })
})

describe('an exit', () => {
  it.each(eitherBaseline)(
    'asks which list registers are empty, disables, and reads only the others: $name',
    (row) => {
      const run = pending(3, 4, row.baseline)
        .guest(0, (guest) => guest.ack().eoi().ack().hvc())
        .run()
      const disable = `HCR := ${row.always}`
      expect(accessed(run, 'exit')).toEqual([
        ['read ELRSR', disable, 'LR0 := 0', 'read LR1', 'LR1 := 0', 'read LR2', 'LR2 := 0'],
        ['read ELRSR', disable, 'read LR0', 'LR0 := 0', 'read LR1', 'LR1 := 0'],
      ])
    },
  )

  it.each(eitherBaseline)(
    'after an overflow leaves only its own bits set while it clears the enable: $name',
    (row) => {
      const run = pending(3, 2, row.baseline)
        .guest(0, (guest) => guest.hvc())
        .run()
      const [first] = accessed(run, 'exit')
      expect(first.slice(0, 2)).toEqual(['read ELRSR', `HCR := ${row.kept}`])
    },
  )

  it('reads a completed level’s list register, which is not empty until its EOI was seen', () => {
    const run = scenario('EOI')
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) => guest.ack().quiesce(40).eoi().hvc())
      .device('board', (device) => device.at(0).raise(40))
      .run()
    expect(accessed(run, 'exit')).toEqual([['read ELRSR', `HCR := ${HCR_TDIR}`, 'read LR0', 'LR0 := 0']])
  })

  it('is counted with its accesses, up to the next one, in the row of its kind', () => {
    const run = pending(1)
      .guest(0, (guest) => guest.ack().eoi().hvc())
      .run()
    const ofGicv4 = { itsCommands: 0, dirtyPolls: 0, tableAccesses: 0 }
    const row = { design: 'wfi-full-put', mmioReads: 0, mmioWrites: 0, polls: 0, ...ofGicv4 }
    expect(run.cost()).toEqual([
      // The fold: ICH_ELRSR_EL2, ICH_HCR_EL2, the list register's zero. Nothing for the entry after it.
      { ...row, exit: 'hvc', exits: 1, sysregReads: 1, sysregWrites: 2 },
      // The put.
      { ...row, exit: 'off', exits: 1, sysregReads: 4, sysregWrites: 0 },
      // The load with TDIR, and the entry with one list register.
      { ...row, exit: 'first-entry', exits: 0, sysregReads: 1, sysregWrites: 3 + 1 + 2 },
    ])
  })
})

describe('an injection', () => {
  /** A vCPU whose thread has come to the step after the named one. */
  function stoppedAfter(what: string): ScenarioMachine {
    const machine = scenario('kick')
      .spi({ intid: 40 })
      .spi({ intid: 41, enabled: false })
      .guest(0, (guest) =>
        guest
          .onIrq(handle)
          .unmask()
          .loop(10, (list) => list.read(ICC_PMR_EL1)),
      )
      .device('uart', (device) => device.pulse(40))
      .device('disabled', (device) => device.pulse(41))
      .machine()
    for (let i = 0; i < 100; i++) if (machine.trace(machine.actors[0]).what === what) return machine
    throw new Error(`the vCPU does not come to ${what}`)
  }
  /** Every step of a device's next injection: queue, request, kick; only the first if nobody is to be told. */
  function fire(machine: ScenarioMachine, device: number): void {
    for (let i = 0; i < 3; i++) machine.step(machine.actors[device])
    expect(machine.stateOf(machine.actors[device])).toBe('done')
  }
  /** What the vCPU does until it takes its interrupt or is done. */
  function untilTaken(machine: ScenarioMachine): string[] {
    const told: string[] = []
    while (machine.stateOf(machine.actors[0]) === 'ready' && told.at(-1) !== 'takes a virtual IRQ') {
      told.push(machine.trace(machine.actors[0]).what)
    }
    return told
  }

  it('while the vCPU is in its guest makes it exit, and enter again with the interrupt', () => {
    const machine = stoppedAfter('unmask irq fiq')
    fire(machine, 1)
    const told = untilTaken(machine)
    expect(told[0]).toBe('interrupted by a kick -> exit (irq)')
    expect(told.filter((what) => what === 'enters the guest')).toHaveLength(1)
    expect(told.at(-1)).toBe('takes a virtual IRQ')
  })

  it('of a disabled interrupt leaves the guest alone', () => {
    const machine = stoppedAfter('unmask irq fiq')
    fire(machine, 2)
    expect(machine.trace(machine.actors[0]).what).toBe('read ICC_PMR_EL1')
  })

  it('after the vCPU has announced its entry, but before its last look at requests, stops the entry', () => {
    const machine = stoppedAfter('publishInGuest')
    fire(machine, 1)
    const told = untilTaken(machine)
    expect(told[0]).toBe('requestPending? yes')
    expect(told.filter((what) => what === 'enters the guest')).toHaveLength(1)
    expect(told.filter((what) => what.includes('exit'))).toEqual([])
  })

  it('after that last look makes the vCPU leave the guest before its first instruction', () => {
    const machine = stoppedAfter('requestPending? no')
    fire(machine, 1)
    const told = untilTaken(machine)
    expect(told.slice(0, 2)).toEqual(['enters the guest', 'interrupted by a kick -> exit (irq)'])
    expect(told.at(-1)).toBe('takes a virtual IRQ')
  })

  it('while the vCPU is outside interrupts nobody: the next entry brings it', () => {
    const run = scenario('outside')
      .spi({ intid: 40 })
      .guest(0, (guest) => guest.hvc().poll(ISR_EL1, 0x80, 0x80))
      .device('uart', (device) => device.at(15).pulse(40))
      .run({ steps: 1000 })
    const told = run.events.map(({ what }) => what)
    expect(told.indexOf('kick')).toBeGreaterThan(told.indexOf('publishOutside'))
    expect(told.indexOf('kick')).toBeLessThan(told.lastIndexOf('flush'))
    expect(run.cost().map(({ exit, exits }) => `${exit} ${exits}`)).toEqual([
      'hvc 1',
      'off 1',
      'first-entry 0',
    ])
    expect(run.end).toBe('done')
  })
})
