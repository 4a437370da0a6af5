/**
 * `npm run demo`: replays a recording of a real GIC, then shows a vCPU that sleeps in WFI until a device wakes
 * it, step by step.
 */
import { Gic } from 'vgic'
import { designs, scenario } from 'vgic/scenario'
import { replayIch } from '../../test/conformance/ich.ts'
import { summary } from '../../test/conformance/judge.ts'
import { readRecording } from '../../test/conformance/recording.ts'

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
const run = scenario('an SPI wakes a vCPU that sleeps in WFI')
  .gic({ listRegisters: 4 })
  .vm({ vcpus: 1 })
  .design(designs.wfiFullPut)
  .spi({ intid: 40, trigger: 'level', priority: 0x80 })
  .guest(0, (guest) =>
    guest
      .onIrq((handler) => handler.ack().quiesce(40).eoi())
      .unmask()
      .wfi(),
  )
  .device('uart', (device) => device.raise(40))
  .run()
console.log(
  '  -> the hypervisor writes a register of the GIC   <- it reads one   LR what the guest changed\n',
)
console.log(run.timeline())

const { sleeps } = run.counts(0)
console.log(`
The run ended ${run.end}: the guest acknowledged ${run.acknowledged(0).join(', ')}; ${sleeps} sleep.`)

heading('3. The state is one buffer')
const gic = new Gic({ cpus: 1 })
console.log(`A GIC with one CPU and 4 list registers is ${gic.snapshot().byteLength} bytes;`)
console.log(`this scenario's machine, hypervisor and guest included, ${run.machine.snapshot().byteLength}.`)

if (tallies.some(({ failed }) => failed > 0) || run.end !== 'done') process.exitCode = 1
