/**
 * The benchmark of the explorer: transitions a second of the processor's time, which other processes disturb less than
 * that of the clock, at two sizes of state. One search, with all interventions at once.
 */
import { explore } from 'vgic/explore'
import { designs, type Scenario, scenario } from 'vgic/scenario'
import { header, Progress } from '../test/command-line.ts'
import { median } from './statistics.ts'

/** One vCPU, four SPIs and two devices. */
const small = (): Scenario =>
  scenario('about 1 KB')
    .gic({ cpus: 2, listRegisters: 4 })
    .vm({ vcpus: 1, spis: 4 })
    .design(designs.wfiFullPut)
    .spi({ intid: 32, priority: 0x80 })
    .spi({ intid: 33, priority: 0xc0 })
    .spi({ intid: 34 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .priorityMask(0xa0)
        .unmask()
        .wfi()
        .priorityMask(0xf0)
        .wfi(),
    )
    .device('nic', (d) => d.pulse(33).pulse(32))
    .device('disk', (d) => d.pulse(34).pulse(34))

/** Four vCPUs, 128 SPIs. */
const large = (): Scenario =>
  scenario('about 6 KB')
    .gic({ cpus: 4, listRegisters: 4 })
    .vm({ vcpus: 4, spis: 128 })
    .design(designs.wfiFullPut)
    .spi({ intid: 32, priority: 0x80 })
    .spi({ intid: 33, priority: 0xc0 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .unmask()
        .wfi(),
    )
    .guest(1, (g) => g.sgi({ intid: 1, vcpus: [0] }))
    .device('nic', (d) => d.pulse(33).pulse(32))

interface Row {
  readonly name: string
  readonly bytes: number
  readonly states: number
  readonly transitions: number
  readonly perSecond: number
}

const ROUNDS = 5

function measure(
  name: string,
  recipe: () => Scenario,
  preemptions: number,
  states: number,
  progress: Progress,
): Row {
  progress.next(`${name}: warming up`)
  const machine = recipe().machine()
  const { layout, fixed } = machine.hypervisor.state
  const ranges = layout.rangesOf(['authoritative', 'normalised', 'derived'], fixed)
  let words = 0
  for (let r = 0; r < ranges.length; r += 2) words += ranges[r + 1] - ranges[r]
  const rates: number[] = []
  let report = explore(recipe(), { preemptions, states, raise: false })
  for (let round = 1; round <= ROUNDS; round++) {
    progress.next(`${name}: round ${round}`)
    const start = process.cpuUsage()
    report = explore(recipe(), { preemptions, states, raise: false })
    const { user, system } = process.cpuUsage(start)
    rates.push((report.transitions / (user + system)) * 1e6)
  }
  progress.clear()
  const perSecond = median(rates)
  return { name, bytes: 4 * words, states: report.states, transitions: report.transitions, perSecond }
}

/** Runs the benchmark and prints it. */
export function benchExplorer(json: boolean): void {
  if (!json) {
    const legend = `median of ${ROUNDS} rounds; states and transitions are those of one round`
    console.log(header('bench: the explorer, transitions a second of CPU time at two sizes of state', legend))
  }
  const progress = new Progress(2 * (ROUNDS + 1))
  const rows = [measure('small', small, 2, 600_000, progress), measure('large', large, 0, 300_000, progress)]
  if (json) console.log(JSON.stringify(rows, null, 2))
  else {
    for (const { name, bytes, states, transitions, perSecond } of rows) {
      const rate = (perSecond / 1e6).toFixed(2)
      console.log(
        `${name}: ${bytes} bytes of state, ${states} states, ${transitions} transitions, ${rate} million a second of CPU time`,
      )
    }
  }
}
