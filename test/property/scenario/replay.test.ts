/** A machine is its state: equal states go on equally, and what does not matter does not count. */
import fc from 'fast-check'
import { ICC_PMR_EL1 } from 'vgic'
import { scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { cook, drive, type Op, type Recipe, recipes, scheduled, schedules } from './recipe.ts'

describe('a snapshot', () => {
  it('taken at any moment and restored goes on as the machine did, step by step', () => {
    fc.assert(
      fc.property(
        recipes,
        schedules,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (recipe, schedule, part) => {
          const machine = cook(recipe).machine()
          const moment = Math.floor(drive(cook(recipe).machine(), schedule).length * part)
          for (let taken = 0; taken < moment; taken++) {
            const actor = scheduled(machine, schedule, taken)
            if (actor) machine.step(actor)
          }
          const image = machine.snapshot()
          const hash = machine.hash()
          const events = drive(machine, schedule, moment)
          const end = machine.snapshot()
          machine.restore(image)
          expect(machine.hash()).toBe(hash)
          expect(machine.time).toBe(moment)
          expect(drive(machine, schedule, moment)).toEqual(events)
          expect(new Int32Array(machine.snapshot())).toEqual(new Int32Array(end))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('restored into another machine of the same scenario goes on there', () => {
    fc.assert(
      fc.property(recipes, schedules, fc.nat(200), (recipe, schedule, moment) => {
        const s = cook(recipe)
        const [machine, other] = [s.machine(), s.machine()]
        for (let taken = 0; taken < moment; taken++) {
          const actor = scheduled(machine, schedule, taken)
          if (actor) machine.step(actor)
        }
        other.restore(machine.snapshot())
        const taken = machine.time
        const told = (machineNow: typeof machine) =>
          drive(machineNow, schedule, taken).map(({ time, actor, what }) => [time, actor.name, what])
        expect(told(other)).toEqual(told(machine))
        expect(other.hash()).toBe(machine.hash())
      }),
      { numRuns: 60 },
    )
  })
})

describe('two machines of one scenario', () => {
  it('are equal after every step, whether the steps are told or not', () => {
    fc.assert(
      fc.property(recipes, schedules, (recipe, schedule) => {
        const s = cook(recipe)
        const [told, silent] = [s.machine(), s.machine()]
        for (let taken = 0; ; taken++) {
          const actor = scheduled(told, schedule, taken)
          expect(silent.hash()).toBe(told.hash())
          expect(silent.actors.map((one) => silent.stateOf(one))).toEqual(
            told.actors.map((one) => told.stateOf(one)),
          )
          if (!actor) break
          told.trace(actor)
          silent.step(actor)
        }
        expect(new Int32Array(silent.snapshot())).toEqual(new Int32Array(told.snapshot()))
      }),
      { numRuns: 40 },
    )
  })
})

describe('the hash', () => {
  it('does not know how much time has passed', () => {
    const machine = scenario('spins')
      .guest(0, (guest) => guest.poll(ICC_PMR_EL1, 0xff, 1))
      .machine()
    const [vcpu] = machine.actors
    for (let i = 0; i < 30; i++) machine.step(vcpu)
    const [time, hash] = [machine.time, machine.hash()]
    for (let i = 0; i < 100; i++) machine.step(vcpu)
    expect(machine.time).toBe(time + 100)
    expect(machine.hash()).toBe(hash)
  })

  it('does not know the order of steps of vCPUs that have nothing to do with each other', () => {
    /** Takes out what reaches another vCPU, or looks at it: a directed yield does. */
    const alone = (recipe: Recipe): Recipe => ({
      ...recipe,
      cpus: recipe.guests.length,
      // How long a halt took, which its window grows by, is told by a clock that all vCPUs move.
      haltPolling: {},
      devices: [],
      guests: recipe.guests.map((guest, vcpu) => ({
        ...guest,
        ops: guest.ops
          .filter(({ op }) => op !== 'sev' && op !== 'wfe' && op !== 'wfet')
          .map((step): Op => (step.op === 'sgi' ? { ...step, to: [vcpu] } : step)),
      })),
    })
    fc.assert(
      fc.property(recipes, fc.array(fc.nat(2), { maxLength: 300, size: 'max' }), (recipe, order) => {
        const s = cook(alone(recipe))
        const [mixed, sorted] = [s.machine(), s.machine()]
        const vcpus = recipe.guests.length
        const picks = order.map((pick) => pick % vcpus)
        for (const vcpu of picks) mixed.step(mixed.actors[vcpu])
        for (const vcpu of [...picks].sort()) sorted.step(sorted.actors[vcpu])
        expect(sorted.hash()).toBe(mixed.hash())
        expect(sorted.diff(mixed.snapshot())).toEqual([])
      }),
      { numRuns: 100 },
    )
  })

  it('is another one after every step of a thread that goes somewhere', () => {
    const machine = scenario('somewhere')
      .spi({ intid: 40 })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().eoi())
          .unmask()
          .hvc()
          .wfi(),
      )
      .device('uart', (device) => device.pulse(40))
      .machine()
    const hashes = [machine.hash()]
    for (let actor = scheduled(machine, [0], 0); actor; actor = scheduled(machine, [0], 0)) {
      machine.step(actor)
      hashes.push(machine.hash())
    }
    expect(hashes.length).toBeGreaterThan(50)
    expect(new Set(hashes).size).toBe(hashes.length)
  })
})
