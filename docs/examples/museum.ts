/** `npm run museum [-- --json]`: explores every entry of the museum with its bug and without. */
import { exhibit, museum } from 'vgic/explore'

const json = process.argv.includes('--json')
const rows = museum.map((entry) => {
  const start = performance.now()
  const { id, invariant, bug, good, behaves } = exhibit(entry)
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
})

if (json) console.log(JSON.stringify(rows, null, 2))
else {
  for (const { id, bug, good, states, ms, behaves, story, what } of rows) {
    console.log(
      `${behaves ? 'ok  ' : 'FAIL'} ${id}: with the bug ${bug}, good ${good}; ${states} states, ${ms} ms`,
    )
    console.log(`     ${story}`)
    if (what) console.log(`     ${what}`)
  }
}
if (rows.some(({ behaves }) => !behaves)) process.exitCode = 1
