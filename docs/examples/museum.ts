/** `npm run museum [-- --json]`: explores every entry of the museum with its bug and without. */
import { showMuseum } from '../../command/museum.ts'
import { commandLine } from '../../test/command-line.ts'

const help = `
npm run museum [-- --json]   explores each known bug, which must break, and the good design, which must not

  --json   results for programs
  --help   this
`

const values = commandLine(
  { name: 'museum', help, options: { json: { type: 'boolean' } } },
  process.argv.slice(2),
)
if (values && !showMuseum(values['json'] === true)) process.exitCode = 1
