/**
 * `npm run bench -- allocations`: whether an exit allocates. V8 leaves out objects that it can see nobody keeps, and whether it
 * sees that depends on what it has inlined, and so on when it compiled: code that needs it allocates in some processes. It is
 * told not to here, in one process for all cases and designs, whose code it inlines less of.
 */
import { header, Progress } from '../test/command-line.ts'
import { cases as designCases, measuredDesigns } from './designs.ts'
import { allCases } from './exits.ts'
import { type Responder, worker } from './responder.ts'

/** What is measured: a case, in the default design if there is none. */
interface Measured {
  readonly name: string
  readonly number: number
  readonly iterations: number
  readonly design?: number
}

const measured: readonly Measured[] = [
  ...allCases.filter(({ makesObjects }) => !makesObjects),
  ...measuredDesigns.flatMap(({ name: design }, i) =>
    designCases.map((each) => ({ ...each, name: `${each.name}, ${design}`, design: i })),
  ),
]

/** Iterations of a round, at most: V8 has room for what it allocates then, if that is 200 bytes each. */
const MOST = 5000
/** What V8 itself allocates, when it compiles, is in some rounds only. */
const ROUNDS = 4
/** Less is V8's own: the smallest object has more. */
const BYTES = 1

/** Prints what allocates; returns whether nothing does. */
export async function benchAllocations(json: boolean): Promise<boolean> {
  const own = worker('--no-turbo-escape')
  const progress = new Progress(measured.length)
  const found: { name: string; bytes: number }[] = []
  try {
    for (const each of measured) {
      progress.next(each.name)
      const bytes = await bytesOf(own, each)
      if (bytes >= BYTES) found.push({ name: each.name, bytes })
    }
  } finally {
    progress.clear()
    own.end()
  }
  if (json) console.log(JSON.stringify({ measured: measured.length, allocating: found }, null, 2))
  else {
    const legend = `${measured.length} cases and designs, ${found.length} of which allocate where V8 leaves no object out`
    console.log(header('bench: what an exit allocates', legend))
    for (const { name, bytes } of found)
      console.log(`${name}: ${Number.isFinite(bytes) ? bytes.toFixed(1) : 'many'} bytes an iteration`)
  }
  return found.length === 0
}

/** Bytes of an iteration: the fewest of the rounds in which no scavenge took any away; without such a round, more than fit. */
async function bytesOf(own: Responder, { number, iterations, design }: Measured): Promise<number> {
  const line = [number, Math.min(iterations, MOST), 1, design].join(' ').trim()
  const rounds: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const { bytes, scavenges } = await own.ask(line)
    if (scavenges === 0) rounds.push(bytes)
  }
  return Math.min(...rounds)
}
