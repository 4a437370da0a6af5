/** `vgic museum`: every entry of the museum, explored with its bug and without. */
import { exhibit, type MuseumEntry, museum, type Violation } from 'vgic/explore'
import { header, Progress } from '../test/command-line.ts'
import { FOUND, OK, type Subcommand, UsageError } from './arguments.ts'

/** `stale-shadow (S11)`. */
const nameOf = ({ name, invariant }: Violation): string => `${name} (${invariant})`

function explored(entry: MuseumEntry) {
  const start = performance.now()
  const bounds = { ...entry.bounds, checkWrites: true }
  const { id, invariant, bug, good, behaves } = exhibit({ ...entry, bounds })
  const ms = Math.round(performance.now() - start)
  const found = bug.violation ? `${nameOf(bug.violation)} after ${bug.violation.steps} steps` : 'nothing'
  return {
    id,
    bug: found,
    good: good.complete ? 'complete' : good.violation ? nameOf(good.violation) : `bound: ${good.bound}`,
    invariant,
    states: bug.states + good.states,
    ms,
    behaves,
    story: entry.story,
    what: bug.violation?.what ?? good.violation?.what,
    schedule: bug.violation?.schedule,
  }
}

/** Explores all entries and prints a row each; returns whether all behave. */
export function showMuseum(json: boolean): boolean {
  if (!json) {
    const legend =
      'ok: the bug violates its invariant, the good design none; states and time are those of both explorations'
    console.log(header('museum: real bugs as edits of designs, every interleaving explored', legend))
  }
  const progress = new Progress(museum.length)
  const rows = museum.map((entry) => {
    progress.next(`${entry.id} ${entry.name}`)
    const row = explored(entry)
    progress.clear()
    if (!json) {
      const { id, bug, good, states, ms, behaves, story, what } = row
      console.log(
        `${behaves ? 'ok  ' : 'FAIL'} ${id}: with the bug ${bug}, good ${good}; ${states} states, ${ms} ms`,
      )
      console.log(`     ${story}`)
      if (what) console.log(`     ${what}`)
    }
    return row
  })
  if (json) console.log(JSON.stringify(rows, null, 2))
  return rows.every(({ behaves }) => behaves)
}

export const museumSubcommand: Subcommand = {
  name: 'museum',
  summary: 'real bugs as edits of designs, each explored with and without',
  help: `
vgic museum [--json]

Explores each known bug, which must break its invariant, and the good design, which must not. Exits with 1 if one does not
behave so.

  --json  results for programs
`,
  options: {},
  run({ words, json }) {
    if (words.length > 0) throw new UsageError(`it takes no argument ${words[0]}.`)
    return showMuseum(json) ? OK : FOUND
  },
}
