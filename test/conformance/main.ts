/** `npm run conformance -- [--profile NAME] [--json] FILE...` */
import { saysHelp } from '../command-line.ts'
import { replayFiles } from './replay-files.ts'

const USAGE = 'usage: npm run conformance -- [--profile NAME] [--json] FILE...'

const help = `
npm run conformance -- [--profile NAME] [--json] FILE...

Replays recordings, .jsonl or .jsonl.gz, such as test/fixtures/*.jsonl.gz, and says per file and mode how many operations passed.
Exits with 1 if any failed, 2 if a file cannot be replayed.

  --profile NAME  implementation choices of the silicon: arch (default), qemu-7.2, qemu-11.1 or qemu-11.1-fixed
  --json          results for programs
  --help          this
`

const args = process.argv.slice(2)
if (!saysHelp(help, args)) process.exitCode = replayFiles(args, USAGE)
