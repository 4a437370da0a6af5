/** `node build/docs/examples/workers.js`: entries of the museum explored by two threads, and by one. */
import { explore, museum } from 'vgic/explore'
import { exploreInWorkers } from 'vgic/workers'
import { exhibited } from './workers-scenario.ts'

const module = new URL('./workers-scenario.js', import.meta.url).href

for (const { id, bounds } of museum.filter((entry) => ['01', '13', '21'].includes(entry.id))) {
  for (const design of ['bug', 'good'] as const) {
    const { preemptions = 0, ticks = 0, invariants } = bounds
    const within = { preemptions, ticks, ...(invariants ? { invariants } : {}) }
    const source = { module, export: 'exhibited', args: [id, design] }
    const together = await exploreInWorkers(source, { ...within, workers: 2 })
    const alone = explore(exhibited(id, design), within)
    const verdicts = [together, alone].map(
      ({ complete, states, violation }) =>
        violation?.invariant ?? (complete ? `complete, ${states} states` : 'not decided'),
    )
    console.log(`${id}, ${design}: two threads ${verdicts[0]}; one ${verdicts[1]}`)
    if (verdicts[0] !== verdicts[1]) process.exitCode = 1
  }
}
