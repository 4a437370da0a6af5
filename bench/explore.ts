/**
 * The benchmark of the explorer: transitions a second of the processor's time, which other processes disturb less than
 * that of the clock, at two sizes of state, and with GICv4.1. One search, with all interventions at once.
 */
import { existsSync } from 'node:fs'
import { explore } from 'vgic/explore'
import { type Design, designs, type Scenario, scenario } from 'vgic/scenario'
import { header, Progress } from '../test/command-line.ts'
import { beside, shownSearch } from './beside-spin.ts'
import { hasSpin } from './spin.ts'
import { median } from './statistics.ts'

/** One vCPU, four SPIs and two devices. */
const small = (design: Design): Scenario =>
  scenario('about 1 KB')
    .gic({ cpus: 2, listRegisters: 4 })
    .vm({ vcpus: 1, spis: 4 })
    .design(design)
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

/** Two vCPUs with vPEs on two PEs of GICv4.1: one waits for its timer and an SPI, one for a vLPI. */
const direct = (): Scenario =>
  scenario('GICv4.1')
    .gic({ version: '4.1', cpus: 2, listRegisters: 2 })
    .vm({ vcpus: 2, spis: 1, timers: true, lpis: 1, itsDevices: 1, itsCollections: 2 })
    .design(designs.wfiFlag)
    .spi({ intid: 32, vcpu: 0 })
    .vlpi({ device: 7, event: 0, intid: 8192, vcpu: 1 })
    .guest(0, (g) =>
      g
        .onIrq((h) =>
          h
            .ack()
            .on(27, (on) => on.stopTimer())
            .eoi(),
        )
        .unmask()
        .timer(10)
        .wfi(),
    )
    .guest(1, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .unmask()
        .wfi(),
    )
    .device('uart', (d) => d.pulse(32))
    .device('nic', (d) => d.msi(7, 0))

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

/** Why there is no comparison; undefined if there is one. */
function missing(model: string | undefined): string | undefined {
  if (model === undefined)
    return 'no comparison with Spin: npm run bench -- explore --spin bench/wfi-protocol.pml has it'
  if (!existsSync(model)) return `there is no file ${model}: give --spin the path of the model in Promela`
  return hasSpin() ? undefined : 'there is no spin on this machine: install it, as by apt-get install spin'
}

/** Runs the benchmark and prints it; `model` is the protocol in Promela, to be searched by Spin, too. */
export function benchExplorer(json: boolean, model?: string): void {
  if (!json) {
    const legend = `median of ${ROUNDS} rounds; states and transitions are those of one round`
    console.log(header('bench: the explorer, transitions a second of CPU time', legend))
  }
  const progress = new Progress(3 * (ROUNDS + 1))
  const rows = [
    measure('small', () => small(designs.wfiFullPut), 2, 600_000, progress),
    measure('large', large, 0, 300_000, progress),
    measure('GICv4.1', direct, 0, 300_000, progress),
  ]
  const why = missing(model)
  const spin = why === undefined && model !== undefined ? beside(model, small) : []
  if (json) console.log(JSON.stringify({ rows, spin }, null, 2))
  else {
    for (const { name, bytes, states, transitions, perSecond } of rows) {
      const rate = (perSecond / 1e6).toFixed(2)
      console.log(
        `${name}: ${bytes} bytes of state, ${states} states, ${transitions} transitions, ${rate} million a second of CPU time`,
      )
    }
    if (why !== undefined) console.log(why)
    for (const { what, searches } of spin) console.log([what, ...searches.map(shownSearch)].join('\n'))
  }
}
