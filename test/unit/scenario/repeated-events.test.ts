/** Events of steps that do the same share what they tell of; steps that do something else tell of that. */
import { designs, type Run, type Scenario, type ScenarioMachine, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import type { Access, ListRegisterChange } from '../../../src/scenario/step-events.ts'
import { GICD, GICR, IPRIORITYR, SGI_BASE } from '../../kit/frames.ts'

/** GICD_CTLR.EnableGrp1A and nASSGIreq. */
const GRP1_AND_VSGIS = 0x102

/** Two interrupts whose priorities differ, with an SGI of the guest's own between: what is in a list register changes. */
const alternating = (): Scenario =>
  scenario('alternating')
    .gic({ listRegisters: 2 })
    .spi({ intid: 40, priority: 0x80 })
    .spi({ intid: 41, priority: 0x40 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .unmask()
        .loop(40, (body) => body.sgi({ intid: 3, vcpus: [0] }).hvc()),
    )
    .device('disk', (device) =>
      device.at(100).pulse(40).at(300).pulse(41).at(500).pulse(40).at(501).pulse(41),
    )

/** A guest that gives its vSGIs other priorities: commands to the host's ITS, with other fields in the same step. */
const reprioritised = (): Scenario =>
  scenario('reprioritised')
    .gic({ version: '4.1', cpus: 1 })
    .vm({ vcpus: 1, distributor: 'reset' })
    .design(designs.wfiFlag)
    .guest(0, (guest) => {
      guest.writeMmio(GICD, GRP1_AND_VSGIS)
      for (const priority of [0x40, 0x80, 0x80, 0x20]) guest.writeMmio(GICR + SGI_BASE + IPRIORITYR, priority)
    })

/** Takes the steps of a run on a machine of its own, and returns what is found of each. */
function retaken<T>(run: Run, machine: ScenarioMachine, look: (step: () => void) => T): T[] {
  return run.events.map(({ time, actor }) => {
    machine.passTime(time)
    return look(() => machine.step(actor))
  })
}

function heard(run: Run, machine: ScenarioMachine): string[] {
  return retaken(run, machine, (step) => {
    const accesses: Access[] = []
    machine.watch(accesses)
    step()
    return JSON.stringify(accesses)
  })
}

describe('the events of a run', () => {
  it.each([
    ['list registers', alternating],
    ['commands to an ITS', reprioritised],
  ])('have the accesses that the seam is told of in each step: of %s', (_, made) => {
    const run = made().run()
    const told = run.events.map(({ accesses }) => JSON.stringify(accesses))
    expect(told).toEqual(heard(run, made().machine()))
    expect(new Set(told).size).toBeGreaterThan(8)
  })

  it('have the list registers that differ after a step of the guest', () => {
    const run = alternating().run()
    const machine = alternating().machine()
    const { silicon } = machine.hypervisor
    const pe = silicon.peOf(0)
    const contents = (): (readonly [number, number])[] =>
      [0, 1].map((n) => [silicon.ich.readLrLow(pe, n), silicon.ich.readLrHigh(pe, n)])
    const found = retaken(run, machine, (step) => {
      const before = contents()
      step()
      const after = contents()
      return [0, 1].flatMap((number): ListRegisterChange[] =>
        before[number].join() === after[number].join()
          ? []
          : [{ number, before: before[number], after: after[number] }],
      )
    })
    const ofGuest = found.filter((_, i) => run.events[i].place === 'guest' && run.events[i].type !== 'exit')
    expect(run.events.filter(({ place, type }) => place === 'guest' && type !== 'exit')).toMatchObject(
      ofGuest.map((listRegisters) => ({ listRegisters })),
    )
    expect(new Set(ofGuest.map((changes) => JSON.stringify(changes))).size).toBeGreaterThan(4)
  })

  it('share the accesses and changes of steps that do the same', () => {
    const { events } = alternating().run()
    const flushes = events.filter((event) => event.type === 'step' && event.step === 'flush')
    const acks = events.filter(({ type }) => type === 'ack')
    const lists = (all: readonly (readonly object[])[]): number[] => [
      new Set(all).size,
      new Set(all.map((list) => JSON.stringify(list))).size,
    ]
    for (const all of [flushes.map(({ accesses }) => accesses), acks.map((ack) => ack.listRegisters)]) {
      const [objects, texts] = lists(all)
      expect(texts).toBeGreaterThan(1)
      expect(objects).toBeLessThan(all.length / 3)
    }
  })
})
