/**
 * `npm run bench -- designs`: what an exit costs in every design of the library, as it is and as Linux 6.1 and 7.2 have it,
 * and what a step costs that a user adds. All machines are in one process and take turns in many short rounds, so that
 * what the computer does meanwhile hits all of them.
 */
import { type Design, designs, edit, kvm61, kvm72, ownStep } from 'vgic/scenario'
import { header } from '../test/command-line.ts'
import { HotPath, HYPERCALL, IPI, MMIO_READ, machineOf, SPI, WFI_ASLEEP } from './hot-path.ts'
import { geomean, median } from './statistics.ts'

const cases = [
  { name: 'hypercall', number: HYPERCALL, iterations: 40_000 },
  { name: 'spi', number: SPI, iterations: 10_000 },
  { name: 'ipi', number: IPI, iterations: 8_000 },
  { name: 'wfi-asleep', number: WFI_ASLEEP, iterations: 6_000 },
  { name: 'mmio_read_vgic', number: MMIO_READ, iterations: 10_000 },
] as const

const ROUNDS = 21
const WARM_UP = 6

/** The designs of which every way into the guest and out of it is a superinstruction: the measure for the others. */
const fused: readonly Design[] = [designs.hooks, designs.wfiHandler, designs.wfiFlag, designs.wfiFullPut]

/** A step that does nothing, in places that are passed at every exit or every halt. */
const mark = ownStep('mark', () => 0)
const base = designs.wfiHandler
const marked: readonly Design[] = [
  edit(base).insertBefore('entry/flush', mark).design('own step in entry'),
  edit(base).insertAfter('exit/fold', mark).design('own step in exit'),
  edit(base).insertAfter('wfi/halt/pollBegin', mark).design('own step in wfi'),
  edit(base).insertAfter('wfi/clearUnhalt', mark).design('own step after the halt'),
  edit(base).insertAfter('schedOut/put', mark).design('own step in schedOut'),
  edit(kvm61(base)).insertBefore('entry/flushActiveFirst', mark).design('own step in entry (kvm61)'),
  edit(kvm72(base)).insertBefore('entry/flushWritingHcr', mark).design('own step in entry (kvm72)'),
]

const library = Object.values(designs)
/** The designs that are measured: the library's, as they are and as Linux 6.1 and 7.2 have them, and those with an own step. */
export const measuredDesigns: readonly Design[] = [
  ...library,
  ...library.map(kvm61),
  ...library.map(kvm72),
  ...marked,
]

interface Row {
  readonly name: string
  /** Nanoseconds of the processor, by case. */
  readonly ns: readonly number[]
  /** Times the fused designs, by case and on the geometric mean. */
  readonly ratios: readonly number[]
  readonly ratio: number
}

export function benchDesigns(json: boolean): void {
  const rows = measured(measuredDesigns)
  if (json) {
    console.log(JSON.stringify({ cases: cases.map(({ name }) => name), rows }, null, 2))
    return
  }
  console.log(
    header(
      'bench: what an exit costs by design',
      `medians of ${ROUNDS} rounds: nanoseconds of the processor, and times the fused designs`,
    ),
  )
  console.log(`${''.padEnd(30) + cases.map(({ name }) => name.padStart(20)).join('')}      mean`)
  for (const { name, ns, ratios, ratio } of rows) {
    const each = ns.map((value, i) => `${value.toFixed(1)} (${ratios[i].toFixed(2)}x)`.padStart(20))
    console.log(name.padEnd(30) + each.join('') + `${ratio.toFixed(2)}x`.padStart(10))
  }
}

function measured(all: readonly Design[]): Row[] {
  const byCase = cases.map(({ number, iterations }) => {
    const paths = all.map((design) => new HotPath(machineOf(4, design, false)))
    const rounds = paths.map((): number[] => [])
    for (let round = 0; round < ROUNDS + WARM_UP; round++) {
      for (const [i, path] of paths.entries()) {
        const before = process.cpuUsage()
        path.run(number, iterations)
        const { user, system } = process.cpuUsage(before)
        if (round >= WARM_UP) rounds[i].push(((user + system) * 1e3) / iterations)
      }
    }
    return rounds.map(median)
  })
  const yardsticks = byCase.map((values) => geomean(values.filter((_, i) => fused.includes(all[i]))))
  return all.map(({ name }, i) => {
    const ns = byCase.map((values) => values[i])
    const ratios = ns.map((value, n) => value / yardsticks[n])
    return { name, ns, ratios, ratio: geomean(ratios) }
  })
}
