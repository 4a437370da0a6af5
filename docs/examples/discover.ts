/**
 * `node build/docs/examples/discover.js [SECONDS]`: explores designs as they are in kernels, with two vCPUs on two PEs, an SPI, a
 * vLPI and a timer, for about SECONDS in all, 10 if left out; then asks what recordings of Linux have made one curious
 * about. It prints Markdown. docs/discovery.md has what it found, and what each question is about.
 *
 * The first violation ends a search. So what is violated is noted, no longer checked, and the search begins anew until its
 * time is up.
 */
import { explore, type InvariantId, invariantName, invariants, type Report } from 'vgic/explore'
import { type Design, designs, type GuestBuilder, kvm61, kvm72, type Scenario, scenario } from 'vgic/scenario'
import { saysHelp } from '../../test/command-line.ts'

const help = `
node build/docs/examples/discover.js [SECONDS]

Explores Linux 6.1 and 7.2 as they are for about SECONDS in all, 10 if left out, then asks what recordings have made one curious
about, and prints the tables of docs/discovery.md.

  --help  this
`
if (saysHelp(help, process.argv)) process.exit()

const kernels: readonly (readonly [string, Design])[] = [
  ['6.1 as released', kvm61(designs.wfiHandler)],
  ['6.1.187', kvm61(designs.wfiFlag)],
  ['7.2.13', kvm72(designs.wfiFullPut)],
  ['`fixed(wfi-flag)`', designs.wfiFlag],
]
const interventions = { preemptions: 1, migrations: 1, ticks: 1 }

const SPI = 32
const LPI = 8192
const TIMER = 27

/** Two vCPUs on two PEs of GICv4.1, with an SPI and a vLPI for the vCPUs that are given, and timers. */
const machine = (name: string, design: Design, spiFor: number, vlpiFor: number): Scenario =>
  scenario(name)
    .gic({ version: '4.1', cpus: 2, listRegisters: 2 })
    .vm({ vcpus: 2, spis: 1, timers: true, lpis: 1, itsDevices: 1, itsCollections: 2 })
    .design(design)
    .spi({ intid: SPI, vcpu: spiFor })
    .vlpi({ device: 7, event: 0, intid: LPI, vcpu: vlpiFor })
    .device('uart', (device) => device.pulse(SPI))
    .device('nic', (device) => device.msi(7, 0))

/** A guest that waits for its timer, and whatever else comes. */
const waitsForTimer = (guest: GuestBuilder): GuestBuilder =>
  guest
    .onIrq((list) =>
      list
        .ack()
        .on(TIMER, (on) => on.stopTimer())
        .eoi(),
    )
    .unmask()
    .timer(10)
    .wfi()

/** A guest that takes what comes, and sends an SGI to vCPU 0. */
const sendsSgi = (guest: GuestBuilder): GuestBuilder =>
  guest
    .onIrq((list) => list.ack().eoi())
    .unmask()
    .sgi({ intid: 1, vcpus: [0] })

/** vCPU 0 waits for its timer and an SPI, vCPU 1 for a vLPI. */
const apart = (design: Design): Scenario =>
  machine('each waits for its own', design, 0, 1)
    .guest(0, waitsForTimer)
    .guest(1, (guest) =>
      guest
        .onIrq((list) => list.ack().eoi())
        .unmask()
        .wfi(),
    )

/** vCPU 0 waits for its timer and a vLPI; vCPU 1 takes an SPI, and sends it an SGI. */
const together = (design: Design): Scenario =>
  machine('a vLPI, a timer and an SGI for one', design, 1, 0).guest(0, waitsForTimer).guest(1, sendsSgi)

/** vCPU 0 opens its priority mask before it waits for a vLPI and an SPI, and has a timer that it masks. */
const masked = (design: Design): Scenario =>
  machine('a mask that opens late', design, 0, 0)
    .ppi({ intid: TIMER, priority: 0xc0 })
    .guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().eoi())
        .priorityMask(0)
        .timer(10)
        .priorityMask(0xb0)
        .unmask()
        .wfi(),
    )
    .guest(1, sendsSgi)

/** An SGI comes while the guest's distributor is off; the guest switches it on. */
const switchedOn = (design: Design): Scenario =>
  scenario('EnableGrp1 after an SGI')
    .gic({ cpus: 2, listRegisters: 1 })
    .vm({ vcpus: 2, spis: 0, distributor: 'reset' })
    .design(design)
    .guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().eoi())
        .unmask()
        .writeMmio(0x0800_0000, 2)
        .wfi(),
    )
    .guest(1, (guest) => guest.sgi({ intid: 1, vcpus: [0] }))

/** A guest with four list registers has four interrupts active, and a fifth of higher priority comes. */
const fiveNested = (design: Design): Scenario => {
  const recipe = scenario('a fifth interrupt behind four active ones')
    .gic({ cpus: 1, listRegisters: 4 })
    .vm({ vcpus: 1, spis: 5 })
    .design(design)
    .guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().unmask().hvc().mask().eoi())
        .unmask()
        .hvc(),
    )
    .device('nic', (device) => {
      for (let i = 0; i < 5; i++) device.pulse(SPI + i)
    })
  for (let i = 0; i < 5; i++) recipe.spi({ intid: SPI + i, priority: 0xa0 - 0x20 * i })
  return recipe
}

/** A vCPU that waits for a vLPI is woken in vain: by an interrupt that it masks. */
const wokenInVain = (design: Design): Scenario =>
  scenario('woken in vain')
    .gic({ version: '4.1', cpus: 1, listRegisters: 1 })
    .vm({ vcpus: 1, spis: 1, lpis: 1, itsDevices: 1, itsCollections: 1 })
    .design(design)
    .spi({ intid: SPI, priority: 0xf8 })
    .vlpi({ device: 7, event: 0, intid: LPI })
    .guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().eoi())
        .priorityMask(0xf0)
        .unmask()
        .wfi(),
    )
    .device('uart', (device) => device.pulse(SPI))
    .device('nic', (device) => device.msi(7, 0))

/** A timer has expired while the distributor is off, and the guest waits ten times. */
const timerWhileOff = (design: Design): Scenario =>
  scenario('WFI with a timer that cannot be delivered')
    .gic({ version: '4.1', cpus: 1, listRegisters: 1 })
    .vm({ vcpus: 1, spis: 0, timers: true, distributor: 'reset', lpis: 1, itsDevices: 1, itsCollections: 1 })
    .design(design)
    .vlpi({ device: 7, event: 0, intid: LPI })
    .guest(0, (guest) =>
      guest
        .unmask()
        .timer(0)
        .hvc()
        .loop(10, (list) => list.wfi()),
    )

/** What happens to a guest: rules that are broken on the way are left out. */
const outcomes: readonly InvariantId[] = ['L1', 'L2', 'L3', 'L5', 'L6']

/** What explorations found until a time, one violated invariant after the other. */
interface Findings {
  readonly violated: readonly string[]
  /** The last exploration, in which no other invariant was violated. */
  readonly last: Report
}

function search(recipe: Scenario, ids: readonly InvariantId[], bounds: object, until: number): Findings {
  const left = new Set(ids)
  const violated: string[] = []
  const signal = {
    get aborted() {
      return performance.now() > until
    },
  }
  for (;;) {
    const last = explore(recipe, { ...bounds, states: 2 ** 26, invariants: [...left], signal })
    const { violation } = last
    if (violation === undefined || violation.invariant === 'own') return { violated, last }
    left.delete(violation.invariant)
    violated.push(`${violation.invariant} after ${violation.steps} steps: ${violation.what}`)
  }
}

function said({ violated, last }: Findings): string {
  const { states, transitions, covered } = last
  const others = violated.length > 0 ? 'nothing else' : 'nothing'
  const bound = covered === undefined ? '' : `, all with at most ${covered.interventions} interventions`
  const end = last.complete
    ? `${others} in all ${states.toLocaleString('en')} states`
    : `${others} in ${states.toLocaleString('en')} states and ${transitions.toLocaleString('en')} steps${bound}`
  return [...violated, end].join('; ')
}

const seconds = Number(process.argv[2] ?? 10)
if (!(seconds > 0)) throw new RangeError('SECONDS must be a number above 0')
const large = [apart, together, masked] as const
const each = (1000 * seconds) / (large.length * kernels.length)

console.log('| scenario | kernel | found |\n| --- | --- | --- |')
for (const recipe of large) {
  for (const [kernel, design] of kernels) {
    const made = recipe(design)
    const all = Object.keys(invariants) as InvariantId[]
    console.log(
      `| ${made.name} | ${kernel} | ${said(search(made, all, interventions, performance.now() + each))} |`,
    )
  }
}

console.log('\n| question | kernel | answer |\n| --- | --- | --- |')
for (const recipe of [switchedOn, fiveNested, wokenInVain]) {
  for (const [kernel, design] of kernels) {
    const made = recipe(design)
    const found = search(made, outcomes, { preemptions: 0 }, performance.now() + each)
    console.log(`| ${made.name} | ${kernel} | ${said(found)} |`)
  }
}
for (const [kernel, design] of kernels) {
  const made = timerWhileOff(design)
  const run = made.run()
  const row = run.cost().find(({ exit }) => exit === 'wfi')
  const accesses = row ? row.sysregReads + row.sysregWrites + row.mmioReads + row.mmioWrites : 0
  const sleeps = run.events.filter((event) => event.type === 'step' && event.step === 'sleep').length
  console.log(
    `| ${made.name} | ${kernel} | ${row?.exits ?? 0} exits of 10 WFIs, ${sleeps} sleeps, ${accesses} accesses |`,
  )
}
console.log(`\nNames of invariants: ${outcomes.map((id) => `${id} ${invariantName(id)}`).join(', ')}.`)
