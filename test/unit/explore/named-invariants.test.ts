/**
 * S9, S13, S14, S17's order, R1, R2 and R5: each is broken by an edit of a design, and silent on the library's designs in
 * the same scenario.
 */
import { type Bounds, explore, type InvariantId, museum } from 'vgic/explore'
import { type Design, designs, edit, kvm61, kvm72, type Scenario, scenario, steps } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { InvariantChecker } from '../../../src/explore/invariants.ts'
import { IRQ_LINK } from '../../../src/hyp/records/vgic-irq.ts'
import { GITS } from '../../kit/frames.ts'

const { wfiFlag, wfiFullPut, wfiHandler } = designs
const LPI = 8192

/** The designs that are asked: the library's good ones, and the baselines. */
const asked: readonly Design[] = [wfiHandler, wfiFlag, wfiFullPut, kvm61(wfiFlag), kvm72(wfiFullPut)]

/** What is broken first of one invariant alone. */
const brokenOf = (id: InvariantId, recipe: Scenario, bounds: Bounds = {}): string | undefined =>
  explore(recipe, { ...bounds, invariants: [id] }).violation?.what

/** Three interrupts that a guest with one list register handles nested. */
const nested = (design: Design): Scenario =>
  scenario('nested')
    .gic({ cpus: 1, listRegisters: 1 })
    .vm({ vcpus: 1, spis: 3 })
    .design(design)
    .spi({ intid: 32, priority: 0xa0 })
    .spi({ intid: 33, priority: 0x80 })
    .spi({ intid: 34, priority: 0x60 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().unmask().hvc().mask().eoi())
        .unmask()
        .hvc(),
    )
    .device('nic', (d) => d.pulse(32).pulse(33).pulse(34))

/** A timer and a level. */
const mixed = (design: Design): Scenario =>
  scenario('a timer, a level')
    .gic({ cpus: 1, listRegisters: 2 })
    .vm({ vcpus: 1, spis: 1, timers: true })
    .design(design)
    .spi({ intid: 32, trigger: 'level' })
    .guest(0, (g) =>
      g
        .onIrq((h) =>
          h
            .ack()
            .on(27, (on) => on.stopTimer())
            .on(32, (on) => on.quiesce(32))
            .eoi(),
        )
        .unmask()
        .timer(10)
        .wfi(),
    )
    .device('nic', (d) => d.raise(32))

/** Userspace saves a VM with an LPI for each of two vCPUs, of which one is pending. */
const saved = (design: Design): Scenario =>
  scenario('a save')
    .gic({ cpus: 1, listRegisters: 1, memoryLines: 96 })
    .vm({ vcpus: 2, spis: 1, frames: { its: [GITS] }, lpis: 2, itsDevices: 1, itsCollections: 2 })
    .design(design)
    .spi({ intid: 32, trigger: 'level' })
    .guest(0, (g) => {
      const its = g.its().boot(2).mapDevice(7).mapCollection(0, 0).mapCollection(1, 1)
      its
        .mapEvent(7, 0, LPI, 0)
        .mapEvent(7, 1, LPI + 1, 1)
        .int(7, 0)
      g.userspace()
    })
    .device('nic', (d) => d.raise(32))
    .device('vmm', (d) => d.save())

const withSave: Design = { ...wfiHandler, save: [steps.saveInterrupts, steps.saveTimers] }
const asGuest = edit(withSave)
  .replace('save/saveInterrupts', steps.saveInterruptsAsGuest)
  .design('pending state with the lines')

describe('an invariant', () => {
  it.each(['S9', 'S13', 'S17'] as const)('%s is silent on the designs', (id) => {
    for (const design of asked) {
      expect(brokenOf(id, nested(design)), design.name).toBeUndefined()
      expect(brokenOf(id, mixed(design)), design.name).toBeUndefined()
    }
  })

  it.each(['R1', 'R2', 'R5'] as const)('%s is silent on the designs', (id) => {
    for (const design of asked) expect(brokenOf(id, saved(design)), design.name).toBeUndefined()
  })

  it.each([
    ['S9', '32'],
    ['S13', '25'],
    ['S13', '31'],
    ['S13', '60'],
    ['S14', '42'],
    ['R1', '45'],
    ['R1', '46'],
    ['R1', '52'],
    ['R2', '47 of collections'],
    ['R2', '48'],
    ['R3', '47 of device entries'],
    ['R4', '47'],
    ['R5', '50'],
  ] as const)('%s alone is broken by entry %s of the museum, and by nothing without it', (id, entry) => {
    const found = museum.find((one) => one.id === entry)
    if (!found) throw new Error(`the museum has no ${entry}`)
    const { scenario: recipe, bug, good, bounds } = found
    expect(brokenOf(id, recipe(bug), bounds)).toBeDefined()
    expect(brokenOf(id, recipe(good), bounds)).toBeUndefined()
  })

  it('S17 is broken by a list that has active interrupts in the reverse order', () => {
    const reversed = edit(wfiHandler).replace('entry/flush', steps.flushActiveReversed).design('reversed')
    expect(brokenOf('S17', nested(reversed))).toMatch(/is behind one of lower priority on the list of vcpu0/)
  })

  it('S17 is broken by a list that has an interrupt twice, and so no end', () => {
    const { internals } = nested(wfiHandler).machine()
    const { hypervisor, actors } = internals
    const nic = actors.find(({ name }) => name === 'nic')
    while (nic && internals.stateOf(nic) === 'ready') internals.step(nic)
    const checker = new InvariantChecker(internals)
    expect(checker.listed()).toBeUndefined()
    const v = hypervisor.vcpu(0)
    const [first, , last] = hypervisor.apLists.listOf(v)
    hypervisor.words[last + IRQ_LINK] = first
    expect(checker.listed()).toBe('the list of vcpu0 has not as many interrupts as are counted')
  })

  it('R2 is broken by an image that has lines as pending state of software', () => {
    expect(brokenOf('R2', saved(asGuest))).toBe('SPI 32 of vcpu0 differs')
  })

  it('R5 does not mind the order of a save', () => {
    const { scenario: recipe } = museum.find(({ id }) => id === '50') ?? {}
    const timersFirst = { ...wfiHandler, save: [steps.saveTimers, steps.saveInterrupts] }
    expect(recipe && brokenOf('R5', recipe(timersFirst))).toBeUndefined()
  })
})

describe('a save', () => {
  it('waits until the vCPUs are in userspace or off, and keeps them there', () => {
    const machine = saved(wfiHandler).machine()
    const [vcpu0, , , vmm] = machine.actors
    while (machine.stateOf(vmm) !== 'ready') machine.step(vcpu0)
    expect(machine.stateOf(vcpu0)).toBe('ready')
    machine.step(vmm)
    expect(machine.stateOf(vcpu0)).toBe('asleep')
    machine.step(vmm)
    expect(machine.stateOf(vcpu0)).toBe('ready')
    expect(machine.stateOf(vmm)).toBe('done')
  })
})
