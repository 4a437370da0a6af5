/**
 * `npm run demo`: replays a recording of a real GIC, shows a vCPU that sleeps in WFI until a device wakes it, step
 * by step, and explores every interleaving of that for each design.
 */
import { Gic } from 'vgic'
import type { Report } from 'vgic/explore'
import { type Design, designs, scenario } from 'vgic/scenario'
import { replayIch } from '../../test/conformance/ich.ts'
import { summary } from '../../test/conformance/judge.ts'
import { readRecording } from '../../test/conformance/recording.ts'
import { exploreWfi, sleepAndWake } from './demo-scenarios.ts'

const RECORDING = 'test/fixtures/ich.jsonl.gz'

function heading(text: string): void {
  console.log(`\n${text}\n${'='.repeat(text.length)}\n`)
}

heading('1. A recording of QEMU 7.2, replayed')
const traces = readRecording(RECORDING)
const tallies = replayIch(RECORDING, traces)
console.log(`${traces.length} traces of the virtual CPU interface, ICH_* at EL2 and ICV_* from a guest:`)
for (const tally of tallies) console.log(`  ${summary(tally)}`)

heading('2. A vCPU sleeps in WFI, a UART raises an SPI')
const run = sleepAndWake(designs.wfiFullPut)
console.log(
  '  -> the hypervisor writes a register of the GIC   <- it reads one   LR what the guest changed\n',
)
console.log(run.timeline())

const { sleeps } = run.counts(0)
console.log(`
The run ended ${run.end}: the guest acknowledged ${run.acknowledged(0).join(', ')}; ${sleeps} sleep.`)

heading('3. The designs, every interleaving of one WFI explored')
console.log(`vCPU 0 changes its priority mask and sleeps in WFI, with halt polling; vCPU 1 spins in WFE; a device raises an
edge; one preemption anywhere. Accesses are reads + writes of GIC registers by the hypervisor.
`)
const widths = [20, 34, 9, 8, 14, 15] as const
const line = (...cells: string[]): void =>
  console.log(
    cells
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('')
      .trimEnd(),
  )
line('design', 'verdict', 'states', 'time', 'a WFI costs', 'a hypercall costs')
for (const design of Object.values(designs)) {
  const start = performance.now()
  const report = exploreWfi(design)
  const seconds = `${((performance.now() - start) / 1000).toFixed(1)} s`
  line(
    design.name,
    verdict(report),
    String(report.states),
    seconds,
    costOf(design, 'wfi'),
    costOf(design, 'hvc'),
  )
}

function verdict({ complete, bound, violation }: Report): string {
  if (violation) return `${violation.invariant} broken after ${violation.steps} steps`
  return complete ? 'complete: nothing breaks' : `not decided: bound of ${bound}`
}

/** Reads and writes that one exit of a kind costs until the next entry, sleeping included. */
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

heading('4. The state is one buffer')
const gic = new Gic({ cpus: 1 })
console.log(`A GIC with one CPU and 4 list registers is ${gic.snapshot().byteLength} bytes;`)
console.log(`the machine of part 2, hypervisor and guest included, ${run.machine.snapshot().byteLength}.`)

// The two designs that break here are meant to: docs/the-wfi-problem.md says why.
if (tallies.some(({ failed }) => failed > 0) || run.end !== 'done') process.exitCode = 1
