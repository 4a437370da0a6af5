/**
 * What is done on a small and on a large machine of the same kind, in turn and in many short rounds, so that what the
 * computer does meanwhile hits both: nanoseconds, their ratio, and bytes of heap.
 */
import { median, quantile } from './statistics.ts'

/** Many and short, about a millisecond each: most are over before another process gets the core. */
export const ROUNDS = 301
const ITERATIONS = 5_000

/** Something to be measured. */
export interface Scenario<B> {
  readonly name: string
  /** Puts the machine into the state in which it is measured. */
  prepare?(bench: B): void
  /** Returns how many of what is measured it did. */
  run(bench: B, iterations: number): number
}

/** What was measured. */
export interface Row {
  readonly name: string
  /** Nanoseconds on the small and on the large machine. */
  readonly ns: readonly [small: number, large: number]
  /** Bytes of heap that one takes on the larger machine: 0, but for the box that V8 makes of a number from 2^31 on. */
  readonly bytes: number
  /** The larger machine's time as a multiple of the smaller's: the median of the rounds and its quartiles. */
  readonly ratio: number
  readonly quartiles: readonly [number, number]
}

/** Measures a scenario on a small and a large machine. */
export function measure<B>(scenario: Scenario<B>, small: B, large: B): Row {
  const benches = [small, large] as const
  for (const bench of benches) scenario.prepare?.(bench)
  const round = (bench: B): number => {
    const start = performance.now()
    const done = scenario.run(bench, ITERATIONS)
    return ((performance.now() - start) * 1e6) / done
  }
  for (let warm = 0; warm < 20; warm++) for (const bench of benches) round(bench)
  const rounds = Array.from({ length: ROUNDS }, () => benches.map(round))
  const heap = process.memoryUsage().heapUsed
  const done = scenario.run(large, 20 * ITERATIONS)
  const bytes = (process.memoryUsage().heapUsed - heap) / done
  const ratios = rounds.map(([few, many]) => many / few)
  return {
    name: scenario.name,
    ns: [median(rounds.map(([few]) => few)), median(rounds.map(([, many]) => many))],
    bytes,
    ratio: median(ratios),
    quartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
  }
}

/** Prints rows under a heading with the two sizes. */
export function print(rows: readonly Row[], sizes: readonly [string, string]): void {
  console.log(`${''.padEnd(44)}${sizes.map((size) => size.padStart(12)).join('')}  bytes  ratio`)
  for (const { name, ns, bytes, ratio, quartiles } of rows) {
    const times = ns.map((each) => `${each.toFixed(1)} ns`.padStart(12)).join('')
    const range = quartiles.map((each) => each.toFixed(2)).join(' to ')
    console.log(`${name.padEnd(44)}${times}${bytes.toFixed(1).padStart(7)}  ${ratio.toFixed(2)} (${range})`)
  }
}
