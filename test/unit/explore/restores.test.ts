/** Userspace restores a VM: every step of the list is needed, and what is restored goes on as if nothing had been. */
import { type Bounds, explore, type InvariantId } from 'vgic/explore'
import {
  type Design,
  designs,
  edit,
  plainRestore,
  type RestoreOptions,
  type Scenario,
  type ScenarioMachine,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'

const LPI = 8192
const GITS = 0x0808_0000
const GICD_CTLR = 0x0800_0000
const NASSGIREQ_AND_GROUP_1 = 0x102
/** Where a guest's ITS driver has its first ITT. */
const ITT = 0x4004_0000
const { wfiHandler, wfiFullPut } = designs

const restores: Design = { ...wfiHandler, restore: plainRestore }

/** An SPI and an SGI are pending, or active, when the VM is saved, and the guest takes them after its restore. */
const withSpis = (design: Design, options: RestoreOptions = {}): Scenario =>
  scenario('a restore with SPIs')
    .gic({ cpus: 1, listRegisters: 1 })
    .vm({ vcpus: 1, spis: 1 })
    .design(design)
    .spi({ intid: 32, trigger: 'level' })
    .guest(0, (g) =>
      g
        .onIrq((h) =>
          h
            .ack()
            .userspace()
            .on(32, (on) => on.quiesce(32))
            .eoi(),
        )
        .sgi({ intid: 1, vcpus: [0] })
        .unmask()
        .wfi(),
    )
    .device('nic', (d) => d.raise(32))
    .device('vmm', (d) => d.save().restore(options))

/** An LPI for each of two vCPUs: one is pending when the VM is saved, the other comes before or after. */
const withLpis = (design: Design, options: RestoreOptions = {}): Scenario =>
  scenario('a restore with LPIs')
    .gic({ cpus: 1, listRegisters: 1, memoryLines: 96 })
    .vm({ vcpus: 2, spis: 0, frames: { its: [GITS] }, lpis: 2, itsDevices: 1, itsCollections: 2 })
    .design(design)
    .guest(0, (g) => {
      const its = g.onIrq((h) => h.ack().eoi()).its()
      its.configure(LPI).boot(2).mapDevice(7).mapCollection(0, 0).mapCollection(1, 1)
      its
        .mapEvent(7, 0, LPI, 0)
        .mapEvent(7, 1, LPI + 1, 1)
        .int(7, 1)
      g.userspace().unmask().wfi()
    })
    .device('nic', (d) => d.msi(7, 0))
    .device('vmm', (d) => d.save().restore(options))

/** What a guest has stored into the ITT of its device comes before what a save puts there. */
const tampered = (design: Design): Scenario =>
  scenario('a restore of tables that are none')
    .gic({ cpus: 1, listRegisters: 1, memoryLines: 96 })
    .vm({ vcpus: 1, spis: 0, frames: { its: [GITS] }, lpis: 1, itsDevices: 1, itsCollections: 1 })
    .design(design)
    .guest(0, (g) => {
      g.its().boot(1).mapDevice(7).mapCollection(0, 0).mapEvent(7, 1, LPI, 0)
      g.store(ITT, 0x2001_0005)
        .store(ITT + 4, 0x0001_0000)
        .userspace()
    })
    .device('nic', (d) => d.at(1000).msi(7, 1))
    .device('vmm', (d) => d.at(100).save().restore())

const brokenOf = (
  recipe: Scenario,
  bounds: Bounds = {},
): readonly [InvariantId | 'own', string] | undefined => {
  const { violation, complete } = explore(recipe, bounds)
  if (violation) return [violation.invariant, violation.what]
  expect(complete).toBe(true)
  return undefined
}

/** Other kinds of interrupts, and another that saves the VM. */
const others: Readonly<Record<string, (options: RestoreOptions) => Scenario>> = {
  'a timer': (options) =>
    scenario('a restore with a timer')
      .gic({ cpus: 1, listRegisters: 1 })
      .vm({ vcpus: 1, spis: 0, timers: true })
      .design(wfiHandler)
      .guest(0, (g) =>
        g
          .onIrq((h) => h.ack().stopTimer().eoi())
          .unmask()
          .timer(100)
          .userspace()
          .wfi(),
      )
      .device('vmm', (d) => d.save().restore(options)),
  'a mapped SPI': (options) =>
    scenario('a restore with a mapped SPI')
      .gic({ cpus: 1, listRegisters: 1 })
      .vm({ vcpus: 1, spis: 1 })
      .design(wfiHandler)
      .spi({ intid: 32, physical: 40 })
      .guest(0, (g) =>
        g
          .onIrq((h) => h.ack().userspace().eoi())
          .unmask()
          .userspace()
          .wfi(),
      )
      .device('nic', (d) => d.pulse(32))
      .device('vmm', (d) => d.save().restore(options)),
  'an SGI of the hardware': (options) =>
    scenario('a restore with a vSGI')
      .gic({ version: '4.1', cpus: 1, listRegisters: 1 })
      .vm({ vcpus: 1, spis: 0, distributor: 'reset' })
      .design(designs.wfiFlag)
      .guest(0, (g) =>
        g
          .onIrq((h) => h.ack().eoi())
          .writeMmio(GICD_CTLR, NASSGIREQ_AND_GROUP_1)
          .sgi({ intid: 1, vcpus: [0] })
          .userspace()
          .unmask()
          .wfi(),
      )
      .device('vmm', (d) => d.save().restore(options)),
  'an ITS that is disabled': (options) =>
    scenario('a restore with a disabled ITS')
      .gic({ cpus: 1, listRegisters: 1, memoryLines: 96 })
      .vm({ vcpus: 1, spis: 0, frames: { its: [GITS] }, lpis: 2, itsDevices: 1, itsCollections: 2 })
      .design(wfiHandler)
      .guest(0, (g) => {
        const its = g.onIrq((h) => h.ack().eoi()).its()
        its.configure(LPI).boot(1).mapDevice(7).mapCollection(0, 0)
        its
          .mapEvent(7, 0, LPI, 0)
          .mapEvent(7, 5, LPI + 1, 1)
          .int(7, 0)
        g.writeMmio(GITS, 0).userspace().writeMmio(GITS, 1).unmask().wfi()
      })
      .device('nic', (d) => d.msi(7, 0))
      .device('vmm', (d) => d.save().restore(options)),
  'another that saves': (options) => withSpis(wfiHandler, options).device('other', (d) => d.save()),
}

const without = (step: string): Design => edit(restores).omit(`restore/${step}`).design(`without ${step}`)

/** The vCPUs take steps until a device is ready. */
const broughtTo = (recipe: Scenario, device: string): ScenarioMachine => {
  const machine = recipe.machine()
  const actor = machine.actors.find(({ name }) => name === device)
  const others = machine.actors.filter(({ kind }) => kind === 'vcpu')
  while (actor && machine.stateOf(actor) !== 'ready') for (const other of others) machine.step(other)
  return machine
}

describe('a restore', () => {
  it.each([
    ['wfi-handler', wfiHandler],
    ['wfi-full-put', wfiFullPut],
  ])('with %s brings everything back, into a fresh VM and into the same', (_name, design) => {
    for (const into of ['fresh', 'same'] as const) {
      expect(brokenOf(withSpis(design, { into }))).toBeUndefined()
      expect(brokenOf(withLpis(design, { into }))).toBeUndefined()
    }
  })

  it.each(Object.keys(others))('with %s brings everything back', (kind) => {
    for (const into of ['fresh', 'same'] as const) expect(brokenOf(others[kind]({ into }))).toBeUndefined()
  })

  it.each([
    ['restoreControl', 'GICD_CTLR was 0x52, and is 0x50'],
    ['restoreRedistributors', 'GICR_IPRIORITYR0 of vcpu0 was 0xa0a0a0a0, and is 0x0'],
    ['restoreDistributor', 'GICD_ICFGR2 was 0x0, and is 0x2'],
    ['restoreLines', 'intid32 of vcpu0 was 0x1, and is 0x0'],
    ['restoreCpuInterfaces', 'ICC_PMR_EL1 of vcpu0 was 0xf0, and is 0x0'],
  ])('without %s is not what was saved', (step, what) => {
    expect(brokenOf(withSpis(without(step)))).toEqual(['R2', what])
  })

  it.each([
    ['restoreItsRegisters', 'GITS_CBASER of ITS 0 was 0x9800000040010000, and is 0x0'],
    ['restoreItsTables', 'the ITSs have other events mapped than were saved, or others are pending'],
    ['restoreItsControl', 'GITS_CTLR of ITS 0 was 0x80000001, and is 0x80000000'],
  ])('of an ITS without %s is not what was saved', (step, what) => {
    expect(brokenOf(withLpis(without(step)))).toEqual(['R2', what])
  })

  it('into the same VM needs its ITSs reset', () => {
    expect(brokenOf(withLpis(without('prepareVm'), { into: 'same' }))).toEqual([
      'R2',
      'the image is refused: ITS 0 has something mapped already, so reset it first: nothing was restored.',
    ])
  })

  it('that enables the distributor last leaves what is pending on no list, and the guest asleep', () => {
    const [prepare, control, ...later] = plainRestore
    const last = { ...wfiHandler, restore: [prepare, ...later, control] }
    const what = 'vcpu0 sleeps, and SPI 32 is pending for it'
    expect(brokenOf(withSpis(last), { invariants: ['L1', 'R2'] })).toEqual(['L1', what])
  })

  it('keeps the vCPUs in userspace and the devices still from the save on', () => {
    const machine = broughtTo(withLpis(wfiHandler), 'vmm')
    const [vcpu0, , nic, vmm] = machine.actors
    expect([vcpu0, nic].map((actor) => machine.stateOf(actor))).toEqual(['ready', 'ready'])
    for (let taken = 0; taken < 2 + plainRestore.length; taken++) {
      machine.step(vmm)
      const isDone = taken === 1 + plainRestore.length
      expect(machine.stateOf(vcpu0)).toBe(isDone ? 'ready' : 'asleep')
      expect(machine.stateOf(nic)).toBe(isDone ? 'ready' : 'asleep')
    }
    expect(machine.stateOf(vmm)).toBe('done')
  })

  it('leaves a state that is that of the save, and no image', () => {
    const machine = broughtTo(withSpis(wfiHandler), 'vmm')
    const vmm = machine.actors[2]
    const before = machine.snapshot()
    while (machine.stateOf(vmm) === 'ready') machine.step(vmm)
    expect(machine.diff(before).map(({ name }) => name)).toEqual(['device vmm.pc'])
  })

  it('that is refused ends there, and the VM is entered no more', () => {
    const run = tampered(wfiHandler).run()
    expect(run.timeline()).toMatch(/restoreItsTables is refused/)
    expect(run.timeline()).not.toMatch(/restoreItsControl/)
    const states = run.machine.actors.map((actor) => run.machine.stateOf(actor))
    expect(states).toEqual(['asleep', 'asleep', 'done'])
    expect(run.machine.inspect().devices.map(({ state }) => state)).toEqual(['asleep', 'done'])
  })

  it('of tables that a guest has tampered with is no save of its VM either', () => {
    const [id, what] = brokenOf(tampered(wfiHandler)) ?? []
    expect(id).toBe('R1')
    expect(what).toMatch(/^the tables are refused: Event 0 of device 7 of ITS 0 is in collection 5/)
    expect(brokenOf(tampered(wfiHandler), { invariants: ['R3', 'R4'] })).toBeUndefined()
  })

  it('is none of a VM that cannot be saved, which goes on', () => {
    // The driver has its ITT where the distributor is.
    const recipe = scenario('a save that fails')
      .gic({ cpus: 1, listRegisters: 1, memoryLines: 96 })
      .vm({ vcpus: 1, spis: 0, frames: { its: [GITS] }, lpis: 1, itsDevices: 1, itsCollections: 1 })
      .design(wfiHandler)
      .guest(0, (g) => {
        const its = g.its({ memory: 0x0800_0000 - 0x4_0000 })
        its.boot(1).mapDevice(7).mapCollection(0, 0).mapEvent(7, 0, LPI, 0)
        g.userspace().hvc()
      })
      .device('vmm', (d) => d.save().restore())
    const { end, machine } = recipe.run()
    expect(end).toBe('done')
    expect(machine.actors.map((actor) => machine.stateOf(actor))).toEqual(['done', 'done'])
  })
})
