/** `npm run conformance -- [--profile NAME] [--json] FILE...` */
import { replayFiles } from './replay-files.ts'

const USAGE = 'usage: npm run conformance -- [--profile NAME] [--json] FILE...'

process.exitCode = replayFiles(process.argv.slice(2), USAGE)
