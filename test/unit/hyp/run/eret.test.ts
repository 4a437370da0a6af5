/** A guest hypervisor's ERET to its own guest: the steps of a design's `eret` list. */
import {
  type Design,
  defineDesign,
  designs,
  halt,
  type Scenario,
  scenario,
  steps,
  unless,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'

const nesting = defineDesign('nesting', {
  wfi: [halt()],
  eret: [unless(steps.nestedPending, steps.skipInstruction)],
})

const recipe = (design: Design): Scenario =>
  scenario('a guest hypervisor')
    .gic({ cpus: 1, listRegisters: 1 })
    .vm({ vcpus: 1, spis: 1 })
    .design(design)
    .spi({ intid: 32 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .unmask()
        .nestedEret()
        .hvc(),
    )

const told = (made: Scenario): string[] =>
  made.run().events.flatMap(({ type, what }) => (type === 'exit' || type === 'ack' ? [what] : []))

describe('an ERET to a nested guest', () => {
  it('exits, and is done when that guest has run', () => {
    expect(told(recipe(nesting))).toEqual([
      'eret to its guest -> exit (eret)',
      'hvc -> exit (hvc)',
      '(the guest is done) -> exit (off)',
    ])
  })

  it('is executed again after an interrupt that came first', () => {
    const run = told(recipe(nesting).device('nic', (d) => d.at(18).pulse(32)))
    expect(run.filter((what) => what.includes('SPI 32'))).toHaveLength(1)
    expect(run.slice(-3)).toEqual([
      'eret to its guest -> exit (eret)',
      'hvc -> exit (hvc)',
      '(the guest is done) -> exit (off)',
    ])
  })

  it('is executed again and again by a design without steps for it', () => {
    const machine = recipe(designs.wfiHandler).machine()
    for (let step = 0; step < 300; step++) machine.step(machine.actors[0])
    expect(machine.cost().find(({ exit }) => exit === 'eret')?.exits).toBeGreaterThan(10)
  })

  it('counts in a row of the cost table', () => {
    expect(
      recipe(nesting)
        .run()
        .cost()
        .find(({ exit }) => exit === 'eret')?.exits,
    ).toBe(1)
  })
})
