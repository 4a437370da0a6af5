/**
 * `npm run demo`: replays a recording of a real GIC, shows a vCPU that sleeps in WFI until a device wakes it, step
 * by step, and explores every interleaving of that for each design.
 */
import { Gic } from 'vgic'
import type { Report } from 'vgic/explore'
import { type Design, designs, type Run, scenario } from 'vgic/scenario'
import { commandLine, header, Progress } from '../../test/command-line.ts'
import { replayIch } from '../../test/conformance/ich.ts'
import { summary } from '../../test/conformance/judge.ts'
import { readRecording } from '../../test/conformance/recording.ts'
import { exploreWfi, sleepAndWake } from './demo-scenarios.ts'

const RECORDING = 'test/fixtures/ich.jsonl.gz'

const help = `
npm run demo   a recording of a real GIC replayed, a vCPU that sleeps and wakes, every design explored

  --help   this
`

function heading(text: string): void {
  console.log(`\n${text}\n${'='.repeat(text.length)}\n`)
}

/** Replays the recording; returns whether the model agrees with it. */
function replayRecording(): boolean {
  heading('1. A recording of QEMU 7.2, replayed')
  const traces = readRecording(RECORDING)
  const tallies = replayIch(RECORDING, traces)
  console.log(`${traces.length} traces of the virtual CPU interface, ICH_* at EL2 and ICV_* from a guest:`)
  for (const tally of tallies) console.log(`  ${summary(tally)}`)
  return tallies.every(({ failed }) => failed === 0)
}

function showWake(): Run {
  heading('2. A vCPU sleeps in WFI, a UART raises an SPI')
  const run = sleepAndWake(designs.wfiFullPut)
  console.log(
    '  -> the hypervisor writes a register of the GIC   <- it reads one   LR what the guest changed\n',
  )
  console.log(run.timeline())

  const { sleeps } = run.counts(0)
  console.log(`
The run ended ${run.end}: the guest acknowledged ${run.acknowledged(0).join(', ')}; ${sleeps} sleep.`)
  return run
}

const widths = [20, 34, 9, 8, 14, 15] as const
const line = (...cells: string[]): void =>
  console.log(
    cells
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('')
      .trimEnd(),
  )

function exploreDesigns(): void {
  heading('3. The designs, every interleaving of one WFI explored')
  console.log(`vCPU 0 changes its priority mask and sleeps in WFI, with halt polling; vCPU 1 spins in WFE; a device raises an
edge; one preemption anywhere. Accesses are reads + writes of GIC registers by the hypervisor. The two designs that
break are meant to: docs/the-wfi-problem.md says why.
`)
  line('design', 'verdict', 'states', 'time', 'a WFI costs', 'a hypercall costs')
  const progress = new Progress(Object.keys(designs).length)
  for (const design of Object.values(designs)) {
    progress.next(`explores ${design.name}`)
    const start = performance.now()
    const report = exploreWfi(design)
    const seconds = `${((performance.now() - start) / 1000).toFixed(1)} s`
    progress.clear()
    line(
      design.name,
      verdict(report),
      String(report.states),
      seconds,
      costOf(design, 'wfi'),
      costOf(design, 'hvc'),
    )
  }
}

function verdict({ complete, bound, violation }: Report): string {
  if (violation) return `${violation.invariant} broken after ${violation.steps} steps`
  return complete ? 'complete: nothing breaks' : `not decided: bound of ${bound}`
}

/** The reads and writes for one exit of a kind until the next entry, sleeping included. */
function costOf(design: Design, exit: 'wfi' | 'hvc'): string {
  const cost = scenario('cost')
    .vm({ vcpus: 1 })
    .design(design)
    .sgi({ intid: 1 })
    .spi({ intid: 40 })
    .guest(0, (g) => (exit === 'wfi' ? g.unmask().wfi() : g.hvc()))
    .device('nic', (device) => device.pulse(40))
    .run()
    .cost()
  const row = cost.find((each) => each.exit === exit)
  return row ? `${row.sysregReads} + ${row.sysregWrites}` : '0 + 0'
}

function showState(run: Run): void {
  heading('4. The state is one buffer')
  const gic = new Gic({ cpus: 1 })
  console.log(`A GIC with one CPU and 4 list registers is ${gic.snapshot().byteLength} bytes;`)
  console.log(`the machine of part 2, hypervisor and guest included, ${run.machine.snapshot().byteLength}.`)
}

if (commandLine({ name: 'demo', help, options: {} }, process.argv.slice(2))) {
  const legend = 'four parts: a recording replayed, one run, every interleaving for each design, the state'
  console.log(header('demo: what the library does', legend))
  const agrees = replayRecording()
  const run = showWake()
  exploreDesigns()
  showState(run)
  if (!agrees || run.end !== 'done') process.exitCode = 1
}
