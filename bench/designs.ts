/**
 * `npm run bench -- designs`: what an exit costs in every design of the library, as it is and as Linux 6.1 and 7.2 have it,
 * and what a step costs that a user adds. They take turns in many short rounds, so that what the computer does meanwhile
 * hits all of them. Each has a process of its own, as a program that runs one design, in which V8 compiles and collects at once
 * and not beside: what it inlines depends on when it compiles, and a halt costs 200 to 310 ns by it; and its other threads sweep
 * for 2 ms of a round's 3 to 10. Or all are together in one process, whose code V8 has to compile for all of them at once, and
 * inlines less of.
 */
import { type Design, designs, type Edit, edit, kvm61, kvm72, ownStep } from 'vgic/scenario'
import { header, Progress } from '../test/command-line.ts'
import { HotPath, HYPERCALL, IPI, MMIO_READ, machineOf, SPI, WFI_ASLEEP } from './hot-path.ts'
import { processors } from './processors.ts'
import { worker } from './responder.ts'
import { geomean, median } from './statistics.ts'

/** The cases in which designs are compared. */
export const cases = [
  { name: 'hypercall', number: HYPERCALL, iterations: 40_000 },
  { name: 'spi', number: SPI, iterations: 10_000 },
  { name: 'ipi', number: IPI, iterations: 8_000 },
  { name: 'wfi-asleep', number: WFI_ASLEEP, iterations: 6_000 },
  { name: 'mmio_read_vgic', number: MMIO_READ, iterations: 10_000 },
] as const

/** Of designs in one process, and of those in processes of their own, which warm themselves up, and whose caches are cold then. */
const together = { rounds: 21, warmUp: 6 }
const alone = { rounds: 9, warmUp: 1, times: 5 }

/** The designs of which every way into the guest and out of it is a superinstruction: the measure for the others. */
const fused = [designs.hooks, designs.wfiHandler, designs.wfiFlag, designs.wfiFullPut].map(({ name }) => name)

/** A step that does nothing, in places that are passed at every exit or every halt. */
const mark = ownStep('mark', () => 0)
const base = designs.wfiHandler
const marked: Readonly<Record<string, () => Edit>> = {
  'own step in entry': () => edit(base).insertBefore('entry/flush', mark),
  'own step in exit': () => edit(base).insertAfter('exit/fold', mark),
  'own step in wfi': () => edit(base).insertAfter('wfi/halt/pollBegin', mark),
  'own step after the halt': () => edit(base).insertAfter('wfi/clearUnhalt', mark),
  'own step in schedOut': () => edit(base).insertAfter('schedOut/put', mark),
  'own step in entry (kvm61)': () => edit(kvm61(base)).insertBefore('entry/flushActiveFirst', mark),
  'own step in entry (kvm72)': () => edit(kvm72(base)).insertBefore('entry/flushWritingHcr', mark),
}

/** A design to be measured. It is made by the process that measures it: edits take a while. */
interface Measured {
  readonly name: string
  readonly make: () => Design
}

const library = Object.values(designs)
const editedBy = (linux: string, baseline: (design: Design) => Design): Measured[] =>
  library.map((design) => ({ name: `${design.name} (${linux})`, make: () => baseline(design) }))

/** The designs that are measured: the library's, as they are and as Linux 6.1 and 7.2 have them, and those with an own step. */
export const measuredDesigns: readonly Measured[] = [
  ...library.map((design) => ({ name: design.name, make: () => design })),
  ...editedBy('kvm61', kvm61),
  ...editedBy('kvm72', kvm72),
  ...Object.entries(marked).map(([name, edited]) => ({ name, make: () => edited().design(name) })),
]

interface Row {
  readonly name: string
  /** Nanoseconds of the processor, by case. */
  readonly ns: readonly number[]
  /** Times the fused designs, by case and on the geometric mean. */
  readonly ratios: readonly number[]
  readonly ratio: number
}

interface Options {
  /** Whether all designs are in one process. */
  readonly inOneProcess: boolean
  readonly json: boolean
}

export async function benchDesigns({ inOneProcess, json }: Options): Promise<void> {
  const rows = rowsOf(await (inOneProcess ? measuredTogether() : measuredAlone()))
  if (json) {
    console.log(JSON.stringify({ cases: cases.map(({ name }) => name), rows }, null, 2))
    return
  }
  const where = inOneProcess ? 'all in one process' : 'each in a process of its own'
  const { rounds } = inOneProcess ? together : alone
  console.log(
    header(
      'bench: what an exit costs by design',
      `medians of ${rounds} rounds, ${where}: nanoseconds of the processor, and times the fused designs`,
    ),
  )
  console.log(`${''.padEnd(30) + cases.map(({ name }) => name.padStart(20)).join('')}      mean`)
  for (const { name, ns, ratios, ratio } of rows) {
    const each = ns.map((value, i) => `${value.toFixed(1)} (${ratios[i].toFixed(2)}x)`.padStart(20))
    console.log(name.padEnd(30) + each.join('') + `${ratio.toFixed(2)}x`.padStart(10))
  }
}

/** The medians by case, and by design. */
type Medians = readonly (readonly number[])[]

/** The medians of what is measured of each design, in turns. */
async function inTurns(
  { rounds, warmUp }: { rounds: number; warmUp: number },
  measure: (design: number) => number | Promise<number>,
): Promise<number[]> {
  const values = measuredDesigns.map((): number[] => [])
  for (let round = 0; round < rounds + warmUp; round++) {
    for (const [i, each] of values.entries()) {
      const value = await measure(i)
      if (round >= warmUp) each.push(value)
    }
  }
  return values.map(median)
}

async function measuredAlone(): Promise<Medians> {
  const workers = measuredDesigns.map(() => worker('--single-threaded-gc', '--no-concurrent-recompilation'))
  for (const each of workers) each.stayOn(processors()[0])
  const byCase: number[][] = []
  const progress = new Progress(cases.length)
  try {
    for (const { name, number, iterations } of cases) {
      progress.next(name)
      const line = `${number} ${alone.times * iterations} 1`
      byCase.push(await inTurns(alone, async (i) => (await workers[i].ask(`${line} ${i}`)).cpuNs))
    }
  } finally {
    progress.clear()
    for (const each of workers) each.end()
  }
  return byCase
}

async function measuredTogether(): Promise<Medians> {
  const byCase: number[][] = []
  for (const { number, iterations } of cases) {
    const paths = measuredDesigns.map(({ make }) => new HotPath(machineOf(4, make(), false)))
    const measure = (i: number): number => {
      const before = process.cpuUsage()
      paths[i].run(number, iterations)
      const { user, system } = process.cpuUsage(before)
      return ((user + system) * 1e3) / iterations
    }
    byCase.push(await inTurns(together, measure))
  }
  return byCase
}

function rowsOf(byCase: Medians): Row[] {
  const yardsticks = byCase.map((values) =>
    geomean(values.filter((_, i) => fused.includes(measuredDesigns[i].name))),
  )
  return measuredDesigns.map(({ name }, i) => {
    const ns = byCase.map((values) => values[i])
    const ratios = ns.map((value, n) => value / yardsticks[n])
    return { name, ns, ratios, ratio: geomean(ratios) }
  })
}
