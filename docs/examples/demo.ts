/**
 * `npm run demo`: replays a recording of QEMU's GIC, tells how a design loses a wake-up and another does not, step by
 * step, and explores every interleaving of a WFI for each design.
 */
import { Gic } from 'vgic'
import type { Report } from 'vgic/explore'
import { type Design, designs, scenario } from 'vgic/scenario'
import { commandLine, header, Progress } from '../../test/command-line.ts'
import { replayIch } from '../../test/conformance/ich.ts'
import { summary } from '../../test/conformance/judge.ts'
import { readRecording } from '../../test/conformance/recording.ts'
import { exploreWfi } from './demo-scenarios.ts'
import { exploreVlpi, keeps, loses, oneVlpi, preemptedAsItSleeps, stepsOf, told } from './demo-story.ts'

const RECORDING = 'test/fixtures/ich.jsonl.gz'

const help = `
npm run demo   a recording of QEMU's GIC replayed, a lost wake-up told, every design explored

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

/** Tells it; returns whether the explorer says what the story does. */
function tellStory(): boolean {
  heading('2. One vLPI, and a WFI whose thread is preempted')
  const { violation } = exploreVlpi(designs.wfiHandler)
  if (!violation) return false
  const { invariant, name, what, steps, schedule } = violation
  console.log(`wfi-handler, which Linux had from 5.15 to 6.1: ${name} (${invariant}), by one preemption. The shortest schedule, ${steps} steps;
-> is a write, <- a read of GICR_VPENDBASER, the register of residency.
`)
  console.log(told(loses, stepsOf(designs.wfiHandler, schedule)))
  console.log(`The end: ${what}. Nobody will take another step.

wfi-flag, which followed:
`)
  console.log(told(keeps, preemptedAsItSleeps(designs.wfiFlag)))
  const { complete, schedules } = exploreVlpi(designs.wfiFlag)
  console.log(
    `And not by luck: ${complete ? `none of all ${schedules}` : 'one of the'} schedules loses the wake-up.`,
  )
  return complete
}

const widths = [21, 48, 9, 8, 14, 15] as const
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
  if (violation) return `${violation.name} (${violation.invariant}) after ${violation.steps} steps`
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

function showState(): void {
  heading('4. The state is one buffer')
  const gic = new Gic({ cpus: 1 })
  console.log(`A GIC with one CPU and 4 list registers is ${gic.snapshot().byteLength} bytes;`)
  const machine = oneVlpi(designs.wfiFlag).machine()
  console.log(
    `the machine of part 2, a GICv4.1 with its memory, the hypervisor and the guest, ${machine.snapshot().byteLength}.`,
  )
}

if (commandLine({ name: 'demo', help, options: {} }, process.argv.slice(2))) {
  const legend =
    'four parts: a recording replayed, a lost wake-up, every interleaving for each design, the state'
  console.log(header('demo: what the library does', legend))
  const agrees = replayRecording()
  const isTrue = tellStory()
  exploreDesigns()
  showState()
  if (!agrees || !isTrue) process.exitCode = 1
}
