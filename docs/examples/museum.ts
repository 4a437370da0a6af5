/** `npm run museum [-- --json]`: explores every entry of the museum with its bug and without. */
import { exhibit, type MuseumEntry, museum } from 'vgic/explore'
import { commandLine, header, Progress } from '../../test/command-line.ts'

const help = `
npm run museum [-- --json]   explores each known bug, which must break, and the good design, which must not

  --json   results for programs
  --help   this
`

function explored(entry: MuseumEntry) {
  const start = performance.now()
  const bounds = { ...entry.bounds, checkWrites: true }
  const { id, invariant, bug, good, behaves } = exhibit({ ...entry, bounds })
  const ms = Math.round(performance.now() - start)
  const found = bug.violation ? `${bug.violation.invariant} after ${bug.violation.steps} steps` : 'nothing'
  return {
    id,
    bug: found,
    good: good.complete ? 'complete' : (good.violation?.invariant ?? `bound: ${good.bound}`),
    invariant,
    states: bug.states + good.states,
    ms,
    behaves,
    story: entry.story,
    what: bug.violation?.what ?? good.violation?.what,
    schedule: bug.violation?.schedule,
  }
}

function show(json: boolean): void {
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
  if (rows.some(({ behaves }) => !behaves)) process.exitCode = 1
}

const values = commandLine(
  { name: 'museum', help, options: { json: { type: 'boolean' } } },
  process.argv.slice(2),
)
if (values) show(values['json'] === true)
