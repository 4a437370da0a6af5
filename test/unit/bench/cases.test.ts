/** vgic/bench, as a benchmark suite has it. */
import { Bench } from 'tinybench'
import { exitCases, explorationCase, scenarioCase } from 'vgic/bench'
import { type Design, designs, edit, kvm61, kvm72, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'

const ROUNDS = 200

const wake = (design: Design): Scenario =>
  scenario('a WFI')
    .vm({ vcpus: 1, spis: 1 })
    .design(design)
    .spi({ intid: 32 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .unmask()
        .wfi(),
    )
    .device('nic', (device) => device.pulse(32))

describe.each(exitCases.map((each) => [each.name, each] as const))(
  'the case %s',
  (_name, { says, setup }) => {
    const sum = (options?: Parameters<typeof setup>[0]): number => {
      const run = setup(options)
      for (let i = 0; i < ROUNDS; i++) run.iterate()
      return run.checksum()
    }

    it('says what it does, and gives the same each time', () => {
      expect(says).toMatch(/^[a-z].+[^.]$|^vCPU|^\d/)
      expect(sum()).toBe(sum())
    })

    it('gives the same whichever design does the work', () => {
      const all = [...Object.values(designs), kvm61(designs.wfiHandler), kvm72(designs.wfiFullPut)]
      for (const design of all) expect([design.name, sum({ design })]).toEqual([design.name, sum()])
      expect(sum({ timers: true, listRegisters: 16 })).toBe(sum())
    })
  },
)

describe('the cases', () => {
  it('are of a benchmark suite, which calls what it times', async () => {
    const bench = new Bench({ time: 0, iterations: 10 })
    for (const { name, setup } of exitCases) {
      const run = setup()
      bench.add(name, () => {
        run.iterate()
      })
    }
    const tasks = await bench.run()
    expect(tasks.map(({ name }) => name)).toEqual(exitCases.map(({ name }) => name))
  })

  it('say so if a design does not deliver', () => {
    const [, spi] = exitCases
    const deaf = edit(designs.wfiFullPut).omitAll('flush').design('no flush')
    expect(() => spi.setup({ design: deaf }).iterate()).toThrow(/does not arrive/)
  })
})

describe('a case of one’s own', () => {
  it('is a scenario or an exploration, whose iterations are alike', () => {
    const run = scenarioCase(wake(designs.wfiFlag)).setup()
    expect(run.iterate()).toBe(wake(designs.wfiFlag).run().steps)
    expect(run.iterate()).toBe(wake(designs.wfiFlag).run().steps)
    const exploration = explorationCase(wake(designs.wfiFlag), { preemptions: 1 })
    expect(exploration.name).toBe('explore: a WFI')
    const [one, other] = [exploration.setup(), exploration.setup()]
    expect(one.iterate()).toBeGreaterThan(100)
    other.iterate()
    expect(one.checksum()).toBe(other.checksum())
  })
})
