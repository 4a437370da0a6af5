/**
 * The explorer beside Spin on protocols that are also in Promela: the benchmark's scenario, and two of the museum's, whose
 * models lie beside the given one. Each searches all states of the design that holds, and up to the first counterexample
 * of that with the bug.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Bounds, explore, type InvariantId, type MuseumEntry, museum } from 'vgic/explore'
import { type Design, designs, edit, type Scenario } from 'vgic/scenario'
import { type Model, type SearchCost, searchWithSpin } from './spin.ts'

/** Searches of the same thing. */
export interface Comparison {
  readonly what: string
  readonly searches: readonly SearchCost[]
}

type Recipe = (design: Design) => Scenario

/** The explorer's search: the fastest of three, as the first compiles. */
function searchOurs(by: string, scenario: Scenario, bounds: Bounds): SearchCost {
  let best: SearchCost | undefined
  for (let round = 0; round < 3; round++) {
    const start = process.cpuUsage()
    const { states, transitions, violation } = explore(scenario, { states: 10_000_000, ...bounds })
    const { user, system } = process.cpuUsage(start)
    const seconds = (user + system) / 1e6
    if (!best || seconds < best.seconds) best = { by, states, transitions, seconds, steps: violation?.steps }
  }
  return best as SearchCost
}

const PREEMPTIONS = [1, 3]

/** What the model of the benchmark's scenario asserts: that nobody sleeps on a pending interrupt. */
const invariants = ['L1'] as const

const stale = edit(designs.wfiFullPut).omit('wfi/put').design('wfi-full-put without its put')

/** The benchmark's scenario. */
function ofTheScenario(file: string, scenario: Recipe): Comparison[] {
  const model = (preemptions: number, ...defines: string[]): Model => ({
    file,
    defines: [`PREEMPTIONS=${preemptions}`, ...defines],
    isLarge: true,
  })
  const good = scenario(designs.wfiFullPut)
  const all = PREEMPTIONS.map((preemptions) => {
    const bounds: Bounds = { preemptions, invariants, raise: false }
    return {
      what: `all states, preemptions: ${preemptions}`,
      searches: [
        ...bySpin(model(preemptions)),
        searchOurs('vgic', good, { preemptions, raise: false }),
        searchOurs('vgic, L1', good, bounds),
        searchOurs('vgic, reduced', good, { ...bounds, reduce: true }),
      ],
    }
  })
  const first = bothWays(model(3, 'STALE'), scenario(stale), { preemptions: 3, invariants })
  return [...all, { what: 'the first counterexample, preemptions: 3', searches: first }]
}

const bySpin = (model: Model): SearchCost[] => [searchWithSpin(model, false), searchWithSpin(model, true)]

/** Spin, and the explorer with one intervention more at a time, and with all at once. */
const bothWays = (model: Model, scenario: Scenario, bounds: Bounds): SearchCost[] => [
  ...bySpin(model),
  searchOurs('vgic', scenario, bounds),
  ...(bounds.preemptions === 0 ? [] : [searchOurs('vgic, at once', scenario, { ...bounds, raise: false })]),
]

/** An entry of the museum in Promela. */
interface Modelled {
  readonly id: string
  /** The model's name. */
  readonly file: string
  /** What makes the model that of the design with the bug. */
  readonly bug: string
  /** What the model asserts. */
  readonly invariant: InvariantId
}

const modelled: readonly Modelled[] = [
  { id: '04', file: 'doorbell-protocol.pml', bug: 'FLAG_IGNORED', invariant: 'L1' },
  { id: '12', file: 'yield-protocol.pml', bug: 'ON_DEMAND', invariant: 'S20' },
]

/** An entry of the museum, whose model is in a directory. */
function ofTheMuseum(directory: string, { id, file, bug, invariant }: Modelled): Comparison[] {
  const entry = museum.find((each) => each.id === id) as MuseumEntry
  const { preemptions = 0 } = entry.bounds
  const bounds: Bounds = { preemptions, invariants: [invariant] }
  const model = { file: join(directory, file), defines: [`PREEMPTIONS=${preemptions}`], isLarge: false }
  const withBug = { ...model, defines: [...model.defines, bug] }
  const name = `${id} ${entry.name}`
  return [
    {
      what: `${name}, all states without the bug`,
      searches: bothWays(model, entry.scenario(entry.good), bounds),
    },
    {
      what: `${name}, the first counterexample`,
      searches: bothWays(withBug, entry.scenario(entry.bug), bounds),
    },
  ]
}

/** Spin and the explorer on the benchmark's scenario, whose model is `file`, and on those of the museum. */
export function beside(file: string, scenario: Recipe): Comparison[] {
  const directory = dirname(file)
  const others = modelled.filter((each) => existsSync(join(directory, each.file)))
  return [...ofTheScenario(file, scenario), ...others.flatMap((each) => ofTheMuseum(directory, each))]
}

/** A search as a line. */
export const shownSearch = ({ by, states, transitions, seconds, made, steps }: SearchCost): string =>
  `  ${by.padEnd(14)} ${states} states, ${transitions} transitions, ${shownTime(seconds)} of CPU time` +
  `${made === undefined ? '' : ` after ${shownTime(made)} to make it`}` +
  `${steps === undefined ? '' : `, ${steps} steps`}`

const shownTime = (seconds: number): string =>
  seconds < 0.1 ? `${(1000 * seconds).toFixed(1)} ms` : `${seconds.toFixed(2)} s`
