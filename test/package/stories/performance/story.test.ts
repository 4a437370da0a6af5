/** I count what an exit costs. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Bench } from 'tinybench'
import { exitCases, explorationCase, scenarioCase } from 'vgic/bench'
import {
  type CostRow,
  designs,
  edit,
  formatCost,
  kvm61,
  kvm72,
  type Latencies,
  latencyOf,
  type Scenario,
  scenario,
} from 'vgic/scenario'

/** My design: nothing is saved on a halt but what runnable() asks for. */
const mine = edit(designs.wfiFlag).design('mine')
const contenders = { mine, 'Linux 6.1': kvm61(designs.wfiHandler), 'Linux 7.2': kvm72(designs.wfiFullPut) }

const sleeper = (design = mine): Scenario =>
  scenario('a WFI, and an SPI that ends it')
    .vm({ vcpus: 1, spis: 16 })
    .design(design)
    .spi({ intid: 40 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .unmask()
        .wfi(),
    )
    .device('nic', (device) => device.at(80).pulse(40))

const rowOf = (rows: readonly CostRow[], exit: string): CostRow => {
  const row = rows.find((each) => each.exit === exit)
  assert.ok(row, `no exit ${exit}`)
  return row
}

test('tinybench times the exits of my design beside those of Linux, which do the same work', async () => {
  const bench = new Bench({ time: 1, iterations: 20, warmupTime: 1, warmupIterations: 5 })
  const sums = new Map<string, Set<number>>()
  for (const { name, setup } of exitCases) {
    for (const [who, design] of Object.entries(contenders)) {
      const run = setup({ design })
      bench.add(`${name} ${who}`, () => run.iterate())
      // The same number of iterations returns the same, whichever design has done them.
      const judged = setup({ design })
      for (let i = 0; i < 200; i++) judged.iterate()
      sums.set(name, (sums.get(name) ?? new Set()).add(judged.checksum()))
    }
  }
  await bench.run()
  assert.equal(bench.tasks.length, exitCases.length * 3)
  for (const { name, result } of bench.tasks) {
    assert.equal(result?.error, undefined, name)
    assert.ok((result?.mean ?? 0) > 0, name)
  }
  for (const [name, values] of sums) assert.equal(values.size, 1, name)
})

test('a scenario and an exploration of mine are timed in the same way', () => {
  const run = scenarioCase(sleeper()).setup()
  assert.equal(run.iterate(), run.iterate())
  const exploration = explorationCase(sleeper(), { preemptions: 1 }).setup()
  assert.equal(exploration.iterate(), exploration.iterate())
  assert.notEqual(exploration.checksum(), 0)
})

test('accesses are counted by kind of exit, and weighed with the latencies of my hardware', () => {
  const mineRows = sleeper().run().cost()
  const theirRows = sleeper(contenders['Linux 7.2']).run().cost()
  const [ours, theirs] = [mineRows, theirRows].map((rows) => rowOf(rows, 'wfi')) as [CostRow, CostRow]
  assert.equal(ours.exits, 1)
  assert.ok(ours.sysregReads + ours.sysregWrites < theirs.sysregReads + theirs.sysregWrites)

  const latencies: Latencies = { exit: 600, sysregRead: 20, sysregWrite: 10, mmioRead: 200, mmioWrite: 100 }
  assert.equal(latencyOf(ours, latencies), 600 + 20 * ours.sysregReads + 10 * ours.sysregWrites)
  assert.ok(latencyOf(ours, latencies) < latencyOf(theirs, latencies))
  assert.match(formatCost(mineRows, latencies), /^mine\nexit .*\nwfi +1 /)
})

test('the command measures this machine', () => {
  const vgic = fileURLToPath(new URL('../node_modules/.bin/vgic', import.meta.url))
  const { status, stdout } = spawnSync(vgic, ['bench', '--only', 'hypercall', '--rounds', '1', '--json'], {
    encoding: 'utf8',
  })
  assert.equal(status, 0)
  const { cases } = JSON.parse(stdout) as { cases: { hypercall: { ns: number[] } } }
  assert.ok((cases.hypercall.ns[1] ?? 0) > 0)
})
