/** What the threads of docs/examples/workers.ts load: scenarios of the museum. */
import { museum } from 'vgic/explore'
import type { Scenario } from 'vgic/scenario'

/** The scenario of an entry, with its bug or without. */
export function exhibited(id: string, design: 'bug' | 'good'): Scenario {
  const entry = museum.find((one) => one.id === id)
  if (!entry) throw new Error(`The museum has no entry ${id}.`)
  return entry.scenario(entry[design])
}
