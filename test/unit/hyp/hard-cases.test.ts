/**
 * Behaviours of list registers that hypervisors get wrong, by their numbers in the list of hard cases. `fixed` has
 * the good choices; `kvm61` is Linux 6.1 as recorded (KVM-WFI.md, the L cases).
 */
import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_IGRPEN1_EL1, ICH_ELRSR_EL2, ICH_LR0_EL2 } from 'vgic'
import {
  baselines,
  type Design,
  designs,
  kvm61,
  type OpList,
  type Scenario,
  type ScenarioMachine,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { onFixed, onKvm61 } from '../../kit/designs.ts'
import {
  ACTIVE,
  acknowledged,
  exits,
  fire,
  flushes,
  go,
  goTo,
  HCR_En,
  HCR_EOIcount,
  HCR_LRENPIE,
  HCR_NPIE,
  HCR_TDIR,
  HCR_UIE,
  HCR_vSGIEOICount,
  happen,
  hcrValues,
  isActive,
  isReady,
  PENDING,
  PENDING_AND_ACTIVE,
  physicalActive,
} from '../../kit/driving.ts'
import { bitOf, ISENABLER, wordOf } from '../../kit/frames.ts'
import { busy, EOI_MODE_1, handle, self } from '../../kit/guest-lists.ts'

const fixedDesigns = Object.entries(designs).map(([name, design]) => ({
  name,
  design: baselines.fixed(design),
}))

describe('16: pending interrupts go into list registers before active ones', () => {
  /** EOImode 1: the guest takes six SGIs and drops their priority; it deactivates three later. */
  const dropped = (s: Scenario) =>
    s
      .guest(0, (guest) => {
        guest.write(ICC_CTLR_EL1, EOI_MODE_1)
        for (let intid = 0; intid < 6; intid++) guest.sgi(self(intid))
        guest.loop(6, handle)
        for (const intid of [2, 0]) guest.write(ICC_DIR_EL1, intid)
        guest.ack().write(ICC_DIR_EL1, 3).ack().eoi().ack()
      })
      .run()

  it('16: so that a guest that drops the priority of six SGIs gets all of them with 4 list registers', () => {
    const run = dropped(onFixed('six SGIs'))
    expect(run.acknowledged(0)).toEqual([0, 1, 2, 3, 4, 5, 1023, 1023, 1023])
    expect(run.end).toBe('done')
  })

  it('16: with kvm61 the fifth waits until all but one are deactivated (L4)', () => {
    const run = dropped(onKvm61('six SGIs'))
    expect(run.acknowledged(0)).toEqual([0, 1, 2, 3, 1023, 1023, 1023, 4, 5])
  })

  it.each([1, 2, 3, 5])('16: with %i list registers too', (listRegisters) => {
    const run = dropped(onFixed('six SGIs').gic({ listRegisters }))
    expect(run.acknowledged(0).slice(0, 6)).toEqual([0, 1, 2, 3, 4, 5])
  })

  /** Four SGIs, each more urgent than the one before, are active; then the fifth comes. */
  function fiveNested(s: Scenario) {
    for (let intid = 0; intid < 5; intid++) s.sgi({ intid, priority: 0xa0 - 0x10 * intid })
    return s
      .guest(0, (guest) => {
        for (let intid = 0; intid < 5; intid++) guest.sgi(self(intid)).ack()
        guest.write(ICC_EOIR1_EL1, 3).hvc().ack()
      })
      .run()
  }

  it('16: four active ones do not hide a fifth that is more urgent', () => {
    expect(fiveNested(onFixed('nested')).acknowledged(0)).toEqual([0, 1, 2, 3, 4, 1023])
  })

  it('16: with kvm61 they do, until one is deactivated (L3, L11)', () => {
    expect(fiveNested(onKvm61('nested')).acknowledged(0)).toEqual([0, 1, 2, 3, 1023, 4])
  })
})

describe('17: EOIcount deactivates what is in no list register', () => {
  it('17: the first active one after the last that was placed in a list register', () => {
    // SPI 40, active, is outside while SPI 41, which it does not let through, has the only list register.
    const run = onFixed('counted')
      .gic({ listRegisters: 1 })
      .spi({ intid: 40, priority: 0x40 })
      .spi({ intid: 41, priority: 0x80 })
      .guest(0, (guest) => busy(guest.wfi().ack(), 30).eoi().ack().eoi().ack())
      .device('board', (device) => device.pulse(40).at(80).pulse(41))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([40, 41, 1023])
    expect(hcrValues(run.events).map(HCR_EOIcount)).toContain(1)
    expect(exits(run)).toContain('irq: the maintenance interrupt')
    const overflow = flushes(run.events).find(({ hcr }) => hcr & HCR_LRENPIE)
    expect(overflow?.lrs.map(({ intid, state }) => [intid, state])).toEqual([[41, PENDING]])
    for (const intid of [40, 41]) expect(isActive(run.machine, intid)).toBe(false)
  })

  it('17: of two active ones the one that the guest completed, with the other in a list register', () => {
    const s = onFixed('two active').gic({ listRegisters: 2 })
    s.sgi({ intid: 1, priority: 0xa0 }).sgi({ intid: 2, priority: 0x80 }).sgi({ intid: 3, priority: 0xc0 })
    const machine = s
      .guest(0, (guest) =>
        guest.sgi(self(1)).ack().sgi(self(2)).ack().sgi(self(3)).write(ICC_EOIR1_EL1, 2).hvc().hvc(),
      )
      .machine()
    const events = goTo(machine, 'vcpu0', 'hvc')
    const overflow = flushes(events).find(({ hcr }) => hcr & HCR_LRENPIE)
    expect(overflow?.hcr).toBe(HCR_TDIR | HCR_LRENPIE | HCR_UIE | HCR_En)
    expect(overflow?.lrs.map(({ state }) => state)).toEqual([PENDING, ACTIVE])
    goTo(machine, 'vcpu0', 'fold')
    expect([1, 2].map((intid) => isActive(machine, intid))).toEqual([true, false])
  })

  it('17: also when that last one was completed in the same stay in the guest', () => {
    const run = onFixed('anchor completed')
      .gic({ listRegisters: 1 })
      .sgi({ intid: 1, priority: 0xa0 })
      .sgi({ intid: 2, priority: 0x40 })
      .guest(0, (guest) =>
        guest
          .sgi(self(1))
          .ack()
          .sgi(self(2))
          .ack()
          .write(ICC_EOIR1_EL1, 2)
          .write(ICC_EOIR1_EL1, 1)
          .sgi(self(1))
          .ack()
          .eoi()
          .ack(),
      )
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([1, 2, 1, 1023])
    const counted = run.events.find(({ accesses }) =>
      accesses.some(({ name, low }) => name === 'ICH_HCR_EL2' && HCR_EOIcount(low) === 1),
    )
    // The anchor's list register was found empty in the same fold.
    expect(counted?.accesses.find(({ register }) => register === ICH_ELRSR_EL2)?.low).toBe(1)
    for (const intid of [1, 2]) expect(isActive(run.machine, intid)).toBe(false)
  })

  it('17: and as many as it counts, with the group disabled meanwhile', () => {
    const s = onFixed('several').gic({ listRegisters: 2 })
    for (let intid = 1; intid <= 4; intid++) s.sgi({ intid, priority: 0xc0 - 0x20 * intid })
    const run = s
      .guest(0, (guest) => {
        for (let intid = 1; intid <= 4; intid++) guest.sgi(self(intid)).ack()
        guest.write(ICC_IGRPEN1_EL1, 0)
        for (let intid = 4; intid >= 1; intid--) guest.write(ICC_EOIR1_EL1, intid)
        guest.hvc()
      })
      .run({ steps: 2000 })
    expect(run.end).toBe('done')
    for (let intid = 1; intid <= 4; intid++) expect(isActive(run.machine, intid)).toBe(false)
  })
})

describe('18: an SPI acknowledged on one vCPU can be deactivated by another', () => {
  /** vCPU 0 takes SPI 40 and drops its priority; vCPU 1 deactivates it when it is told to run. */
  const shared = (design: Design, rest: (list: OpList) => unknown): Scenario =>
    scenario('DIR elsewhere')
      .design(design)
      .gic({ cpus: 3 })
      .vm({ vcpus: 2 })
      .spi({ intid: 40 })
      .guest(0, (guest) => {
        guest.write(ICC_CTLR_EL1, EOI_MODE_1).wfi().ack().eoi()
        rest(guest)
      })
      .guest(1, (guest) => guest.write(ICC_CTLR_EL1, EOI_MODE_1).write(ICC_DIR_EL1, 40))
      .device('uart', (device) => device.pulse(40).pulse(40))
  function dropped(s: Scenario): ScenarioMachine {
    const machine = s.machine()
    go(machine, 'vcpu0')
    fire(machine, 'uart')
    goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
    return machine
  }

  it.each(fixedDesigns)('18: while it sits in a list register of the other’s running guest: $name', (row) => {
    const machine = dropped(shared(row.design, (list) => busy(list, 20).ack()))
    const told = go(machine, 'vcpu1').map(({ what }) => what)
    expect(told).toContain('ICC_DIR_EL1 := 0x28 -> exit (sysreg)')
    const after = goTo(machine, 'vcpu0', 'fold')
    expect(after[0].what).toBe('interrupted by a kick -> exit (irq)')
    expect(isActive(machine, 40)).toBe(false)
    fire(machine, 'uart')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
  })

  it.each(fixedDesigns)('18: while the other is outside of its guest: $name', ({ design }) => {
    const machine = dropped(shared(design, (list) => busy(list.hvc(), 20).ack()))
    goTo(machine, 'vcpu0', 'fold')
    expect(isActive(machine, 40)).toBe(true)
    go(machine, 'vcpu1')
    expect(isActive(machine, 40)).toBe(false)
    fire(machine, 'uart')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
  })

  it.each(fixedDesigns)('18: while the other sleeps, with the next edge waiting: $name', ({ design }) => {
    const machine = dropped(shared(design, (list) => list.wfi().ack()))
    go(machine, 'vcpu0')
    fire(machine, 'uart')
    go(machine, 'vcpu0')
    expect(isReady(machine, 'vcpu0')).toBe(false)
    go(machine, 'vcpu1')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
  })

  it.each(fixedDesigns)('18: while the other is preempted: $name', ({ design }) => {
    const machine = dropped(shared(design, (list) => busy(list.hvc(), 20).ack()))
    goTo(machine, 'vcpu0', 'exitReason? hvc')
    happen(machine, 'preempt vcpu0')
    goTo(machine, 'vcpu0', 'giveUpCpu')
    go(machine, 'vcpu1')
    expect(isActive(machine, 40)).toBe(false)
    fire(machine, 'uart')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([40])
  })

  it('18: the deactivation traps without an overflow too, and in the same vCPU', () => {
    const run = onFixed('DIR at home')
      .guest(0, (guest) =>
        guest
          .write(ICC_CTLR_EL1, EOI_MODE_1)
          .sgi(self(3))
          .ack()
          .eoi()
          .write(ICC_DIR_EL1, 3)
          .sgi(self(3))
          .ack(),
      )
      .run()
    expect(run.acknowledged(0)).toEqual([3, 3])
    expect(exits(run)).toEqual(['sysreg', 'sysreg', 'sysreg', 'off'])
  })

  it.each(fixedDesigns)('18: traps on a CPU that has not run the vCPU before: $name', ({ design }) => {
    const machine = scenario('migrated')
      .design(design)
      .gic({ cpus: 2 })
      .guest(0, (guest) => guest.write(ICC_CTLR_EL1, EOI_MODE_1).hvc().write(ICC_DIR_EL1, 40))
      .machine()
    goTo(machine, 'vcpu0', 'exitReason? hvc')
    happen(machine, 'preempt vcpu0')
    goTo(machine, 'vcpu0', 'giveUpCpu')
    happen(machine, 'migrate vcpu0 to cpu1')
    expect(go(machine, 'vcpu0').map(({ what }) => what)).toContain('emulateSysreg')
  })

  it('18: with kvm61 it does not trap, and the SPI stays active', () => {
    const machine = dropped(shared(kvm61(designs.wfiHandler), (list) => busy(list, 20).hvc().ack()))
    const told = go(machine, 'vcpu1').map(({ what }) => what)
    expect(told).toContain('ICC_DIR_EL1 := 0x28')
    fire(machine, 'uart')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([1023])
    expect(isActive(machine, 40)).toBe(true)
  })

  it('18: of an interrupt that is not active, or not there, changes nothing', () => {
    const machine = onFixed('nothing to deactivate')
      .gic({ cpus: 2 })
      .vm({ vcpus: 2 })
      .guest(0, (guest) => {
        guest.write(ICC_CTLR_EL1, EOI_MODE_1)
        for (const intid of [0, 5, 40, 63, 64, 500, 1019, 1020, 1023, 8192]) guest.write(ICC_DIR_EL1, intid)
        return guest.ack()
      })
      .guest(1, (guest) => guest.wfi())
      .machine()
    go(machine, 'vcpu1')
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([1023])
    expect(isReady(machine, 'vcpu1')).toBe(false)
  })
})

describe('19: vSGIEOICount', () => {
  it.each(fixedDesigns)('19: is never set while SGIs are software’s: $name', ({ design }) => {
    const s = scenario('SGIs').design(design).gic({ version: '4.1', listRegisters: 2 }).vm({ vcpus: 2 })
    for (const vcpu of [0, 1]) {
      s.guest(vcpu, (guest) => {
        guest.onIrq(handle)
        for (let intid = 0; intid < 8; intid++) guest.sgi({ intid, vcpus: [0, 1] })
        guest.unmask().loop(3, (list) => list.wfi())
      })
    }
    const run = s.run()
    const values = hcrValues(run.events)
    expect(values.some((hcr) => hcr & HCR_UIE)).toBe(true)
    expect(values.filter((hcr) => hcr & HCR_vSGIEOICount)).toEqual([])
  })
})

describe('20: a mapped level-sensitive interrupt that is deactivated', () => {
  const timed = (write: (list: OpList) => OpList): Scenario =>
    onFixed('timer')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) =>
        busy(
          guest
            .onIrq((handler) => write(handler.ack()).eoi())
            .timer(10)
            .wfi()
            .unmask(),
          20,
        ).stopTimer(),
      )

  it('20: with its line high is taken again: a timer', () => {
    const run = timed((handler) => handler).run({ steps: 400 })
    expect(run.acknowledged(0).length).toBeGreaterThan(2)
    expect(new Set(run.acknowledged(0))).toEqual(new Set([27]))
    expect(exits(run)).toContain('irq: its timer')
  })

  it('20: with its line low is not: a timer', () => {
    const run = timed((handler) => handler.stopTimer()).run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([27])
    expect(run.end).toBe('done')
    expect(physicalActive(run.machine, 27)).toBe(false)
  })

  it.each([
    { timer: 'virtual', intid: 27 },
    { timer: 'physical', intid: 30 },
  ] as const)(
    '20: the physical $timer timer is active from the host’s acknowledge to the guest’s end of interrupt',
    (row) => {
      const machine = onFixed('physical active')
        .vm({ vcpus: 1, timers: true })
        .guest(0, (guest) =>
          busy(
            guest
              .onIrq((handler) => handler.ack().stopTimer(row.timer).eoi())
              .unmask()
              .timer(10, row.timer),
          ),
        )
        .machine()
      const active = (): boolean => physicalActive(machine, row.intid)
      goTo(machine, 'vcpu0', 'read ICC_PMR_EL1')
      expect(active()).toBe(false)
      happen(machine, `${row.timer} timer of vcpu0`)
      expect(active()).toBe(false)
      goTo(machine, 'vcpu0', 'irqOn')
      expect(active()).toBe(true)
      const taken = goTo(machine, 'vcpu0', 'ack: ICC_IAR1_EL1')
      expect(acknowledged(taken)).toEqual([row.intid])
      expect(flushes(taken).at(-1)?.lrs).toEqual([
        { intid: row.intid, priority: 0xa0, state: PENDING, hw: true },
      ])
      goTo(machine, 'vcpu0', `${row.timer} timer off`)
      expect(active()).toBe(true)
      goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
      expect(active()).toBe(false)
    },
  )

  it('20: an SPI of a physical device is active at the distributor while the guest has it', () => {
    const machine = onFixed('mapped SPI')
      .gic({ spis: 64 })
      .spi({ intid: 40, trigger: 'level', physical: 50 })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().quiesce(40).eoi())
          .unmask()
          .wfi()
          .wfi(),
      )
      .device('nic', (device) => device.raise(40).raise(40))
      .machine()
    go(machine, 'vcpu0')
    for (let round = 0; round < 2; round++) {
      expect(physicalActive(machine, 50)).toBe(false)
      fire(machine, 'nic')
      expect(physicalActive(machine, 50)).toBe(true)
      const taken = goTo(machine, 'vcpu0', 'quiesce SPI 40')
      expect(acknowledged(taken)).toEqual([40])
      const [listed] = flushes(taken).at(-1)?.lrs ?? []
      expect(listed).toEqual({ intid: 40, priority: 0xa0, state: PENDING, hw: true })
      expect(physicalActive(machine, 50)).toBe(true)
      goTo(machine, 'vcpu0', 'eoi: ICC_EOIR1_EL1')
      expect(physicalActive(machine, 50)).toBe(false)
      go(machine, 'vcpu0')
    }
    expect(machine.stateOf(machine.actors[0])).toBe('done')
  })

  it('20: whose line falls before it is acknowledged is withdrawn, and the physical one made inactive', () => {
    const machine = onFixed('withdrawn')
      .gic({ spis: 64 })
      .spi({ intid: 40, trigger: 'level', physical: 50 })
      .guest(0, (guest) => guest.hvc().quiesce(40).hvc().ack())
      .device('nic', (device) => device.raise(40))
      .machine()
    fire(machine, 'nic')
    expect(physicalActive(machine, 50)).toBe(true)
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([1023])
    expect(physicalActive(machine, 50)).toBe(false)
  })

  it('20: whose line was sampled as high while it was active, and has fallen since, is not taken again', () => {
    const run = onFixed('sampled by a write to ISENABLER')
      .gic({ spis: 64 })
      .spi({ intid: 40, trigger: 'level', physical: 50 })
      .guest(0, (guest) =>
        guest.wfi().ack().writeMmio(wordOf(ISENABLER, 40), bitOf(40)).quiesce(40).eoi().hvc().ack(),
      )
      .device('nic', (device) => device.raise(40))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([40, 1023])
  })

  it('20: with kvm61 likewise: a timer that was sampled by a load', () => {
    const run = onKvm61('sampled by a load')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) => guest.timer(5).wfi().ack().userspace().stopTimer().eoi().hvc().ack())
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([27, 1023])
    expect(physicalActive(run.machine, 27)).toBe(false)
  })

  it('20: in no list register, by EOIcount, is inactive at the GIC too', () => {
    const run = onFixed('counted timer')
      .gic({ listRegisters: 1 })
      .vm({ vcpus: 1, timers: true })
      .sgi({ intid: 1, priority: 0xc0 })
      .guest(0, (guest) =>
        guest.timer(0).wfi().ack().stopTimer().sgi(self(1)).write(ICC_EOIR1_EL1, 27).hvc().ack().eoi(),
      )
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([27, 1])
    expect(hcrValues(run.events).map(HCR_EOIcount)).toContain(1)
    expect(physicalActive(run.machine, 27)).toBe(false)
  })
})

describe('21: pending and active at once', () => {
  it('21: never for a timer that expires again while it is active', () => {
    const run = onFixed('timer')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) => guest.timer(0).wfi().ack().hvc().hvc().stopTimer().eoi())
      .run({ steps: 1000 })
    const states = flushes(run.events).flatMap(({ lrs }) => lrs.map(({ state }) => state))
    expect(states).toEqual([PENDING, ACTIVE, ACTIVE])
  })

  it.each([
    { what: 'a level', trigger: 'level', states: [PENDING, ACTIVE, ACTIVE] },
    { what: 'an edge, which may', trigger: 'edge', states: [PENDING, ACTIVE, PENDING_AND_ACTIVE] },
    {
      what: 'a mapped level, for which nobody is told',
      trigger: 'level',
      physical: 50,
      states: [PENDING, ACTIVE],
    },
    { what: 'a mapped edge, likewise', trigger: 'edge', physical: 50, states: [PENDING, ACTIVE] },
  ] as const)('21: $what, raised again while it is active', ({ states, what: _, ...config }) => {
    const machine = onFixed('again')
      .gic({ spis: 64 })
      .spi({ intid: 40, ...config })
      .guest(0, (guest) => busy(guest.ack().quiesce(40).hvc(), 5))
      .device('nic', (device) => device.raise(40).raise(40))
      .machine()
    fire(machine, 'nic')
    const events = goTo(machine, 'vcpu0', 'read ICC_PMR_EL1')
    fire(machine, 'nic')
    events.push(...go(machine, 'vcpu0'))
    const written = flushes(events).flatMap(({ lrs }) => lrs.map(({ state }) => state))
    expect(written).toEqual(states)
  })
})

describe('22: all list registers in use', () => {
  function full(listRegisters: number, more = 0) {
    const s = onFixed('full').gic({ listRegisters })
    for (let i = 0; i < listRegisters + more; i++) s.spi({ intid: 32 + i })
    return s.device('board', (device) => {
      for (let i = 0; i < listRegisters + more; i++) device.at(0).pulse(32 + i)
    })
  }

  it.each([1, 4, 15, 16])('22: %i of them are filled, and all read back', (listRegisters) => {
    const run = full(listRegisters)
      .guest(0, (guest) => guest.hvc().loop(listRegisters, handle).hvc())
      .run({ steps: 5000 })
    expect(flushes(run.events).map(({ lrs }) => lrs.length)).toEqual([listRegisters, listRegisters])
    const folds = run.events.filter(({ what, accesses }) => what === 'fold' && accesses.length > 0)
    const elrsr = folds.map(
      ({ accesses }) => accesses.find(({ register }) => register === ICH_ELRSR_EL2)?.low,
    )
    const reads = folds.map(
      ({ accesses }) =>
        accesses.filter(({ direction, register }) => direction === 'read' && register >= ICH_LR0_EL2).length,
    )
    expect(elrsr).toEqual([0, 2 ** listRegisters - 1])
    expect(reads).toEqual([listRegisters, 0])
    expect(run.acknowledged(0)).toEqual(Array.from({ length: listRegisters }, (_, i) => 32 + i))
  })

  it.each([1, 15, 16])('22: %i of them, one interrupt more, and nothing is lost', (listRegisters) => {
    const run = full(listRegisters, 1)
      .guest(0, (guest) => guest.hvc().loop(listRegisters + 2, handle))
      .run({ steps: 5000 })
    expect(run.acknowledged(0)).toEqual([
      ...Array.from({ length: listRegisters + 1 }, (_, i) => 32 + i),
      1023,
    ])
  })
})

describe('23: a long ap_list', () => {
  it.each([4, 16])(
    '23: 300 equally urgent interrupts with %i list registers come in the order in which they came',
    (listRegisters) => {
      const order = Array.from({ length: 300 }, (_, i) => 32 + ((i * 37 + 11) % 300))
      const s = onFixed('300').gic({ listRegisters }).vm({ vcpus: 1, spis: 300 })
      for (const intid of order) s.spi({ intid })
      const machine = s
        .device('board', (device) => {
          for (const intid of order) device.pulse(intid)
        })
        .guest(0, (guest) => guest.onIrq(handle).unmask().hvc())
        .machine()
      for (const _ of order) fire(machine, 'board')
      expect(acknowledged(go(machine, 'vcpu0', undefined, 100_000))).toEqual(order)
      expect(machine.stateOf(machine.actors[0])).toBe('done')
    },
  )

  it('23: and of two priorities the more urgent first, each in its order', () => {
    const order = Array.from({ length: 280 }, (_, i) => 32 + ((i * 37 + 11) % 280))
    const priorityOf = (intid: number): number => (intid % 3 === 0 ? 0x40 : 0x80)
    const s = onFixed('280').vm({ vcpus: 1, spis: 280 })
    for (const intid of order) s.spi({ intid, priority: priorityOf(intid) })
    const machine = s
      .device('board', (device) => {
        for (const intid of order) device.pulse(intid)
      })
      .guest(0, (guest) => guest.onIrq(handle).unmask().hvc())
      .machine()
    for (const _ of order) fire(machine, 'board')
    const promised = [...order].sort((a, b) => priorityOf(a) - priorityOf(b))
    expect(acknowledged(go(machine, 'vcpu0', undefined, 100_000))).toEqual(promised)
  })
})

describe('24: a newcomer when list registers overflow', () => {
  /** Four SPIs fill the list registers; a fifth comes while the guest runs with interrupts masked. */
  function newcomer(design: Design, priority: number) {
    const s = scenario('newcomer').design(design)
    for (let i = 0; i < 4; i++) s.spi({ intid: 40 + i, priority: 0x80 + 8 * i })
    const machine = s
      .spi({ intid: 50, priority })
      .guest(0, (guest) => busy(guest, 10).loop(5, handle).ack())
      .device('board', (device) => {
        for (let i = 0; i < 4; i++) device.pulse(40 + i)
        device.pulse(50)
      })
      .machine()
    for (let i = 0; i < 4; i++) fire(machine, 'board')
    goTo(machine, 'vcpu0', 'read ICC_PMR_EL1')
    fire(machine, 'board')
    return machine
  }

  it.each(fixedDesigns)('24: evicts the least urgent one if it is more urgent: $name', ({ design }) => {
    const machine = newcomer(design, 0x40)
    const events = goTo(machine, 'vcpu0', 'enters the guest')
    const [flush] = flushes(events)
    expect(flush.lrs.map(({ intid }) => intid)).toEqual([50, 40, 41, 42])
    expect(flush.hcr).toBe(HCR_TDIR | HCR_NPIE | HCR_UIE | HCR_En)
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([50, 40, 41, 42, 43, 1023])
  })

  it('24: waits outside if it is less urgent, and a maintenance interrupt brings it', () => {
    const machine = newcomer(baselines.fixed(designs.wfiHandler), 0xa0)
    const [flush] = flushes(goTo(machine, 'vcpu0', 'enters the guest'))
    expect(flush.lrs.map(({ intid }) => intid)).toEqual([40, 41, 42, 43])
    expect(flush.hcr).toBe(HCR_TDIR | HCR_NPIE | HCR_UIE | HCR_En)
    const rest = go(machine, 'vcpu0')
    expect(acknowledged(rest)).toEqual([40, 41, 42, 43, 50, 1023])
    expect(exits({ events: rest })[0]).toBe('irq: the maintenance interrupt')
  })

  it('24: evicts active ones too, which its guest then completes by EOIcount', () => {
    const run = onFixed('evicts active')
      .gic({ listRegisters: 2 })
      .sgi({ intid: 1, priority: 0x80 })
      .sgi({ intid: 2, priority: 0x60 })
      .sgi({ intid: 3, priority: 0x40 })
      .guest(0, (guest) => {
        for (const intid of [1, 2, 3]) guest.sgi(self(intid)).ack()
        for (const intid of [3, 2, 1]) guest.write(ICC_EOIR1_EL1, intid)
        return guest.hvc().ack()
      })
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([1, 2, 3, 1023])
    for (const intid of [1, 2, 3]) expect(isActive(run.machine, intid)).toBe(false)
  })

  it('24: with kvm61 does not evict active ones, however urgent it is: only underflow is armed (L3)', () => {
    const run = onKvm61('L3')
      .gic({ listRegisters: 2 })
      .sgi({ intid: 1, priority: 0x80 })
      .sgi({ intid: 2, priority: 0x60 })
      .sgi({ intid: 3, priority: 0x40 })
      .guest(0, (guest) => {
        for (const intid of [1, 2, 3]) guest.sgi(self(intid)).ack()
        return guest
      })
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([1, 2, 1023])
    const last = flushes(run.events).at(-1)
    expect(last?.lrs.map(({ intid, state }) => [intid, state])).toEqual([
      [1, ACTIVE],
      [2, ACTIVE],
    ])
    expect(last?.hcr).toBe(HCR_UIE | HCR_En)
  })
})
