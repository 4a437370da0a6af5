/** The command `vgic`: what the library does, for the shell. */
import { readFileSync } from 'node:fs'
import { VgicError } from 'vgic'
import { nearest } from '../src/errors/did-you-mean.ts'
import { OK, type Output, REFUSED, readRequest, type Subcommand, UsageError } from './arguments.ts'
import { exploreSubcommand, replaySubcommand } from './explore.ts'
import { benchSubcommand, conformanceSubcommand } from './measure.ts'
import { museumSubcommand } from './museum.ts'
import { decodeSubcommand, encodeSubcommand } from './registers.ts'

export const subcommands: readonly Subcommand[] = [
  decodeSubcommand,
  encodeSubcommand,
  exploreSubcommand,
  replaySubcommand,
  museumSubcommand,
  conformanceSubcommand,
  benchSubcommand,
]

const width = Math.max(...subcommands.map(({ name }) => name.length))
const HELP = `
vgic SUBCOMMAND [arguments]   vgic SUBCOMMAND --help says more; vgic --version

${subcommands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

Exits with 0 if all is well, 1 if something was found, 2 for wrong use, 3 if an exploration reached a bound.
`

/** The package's, which is in the folder above, of the command as of its source. */
function version(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

function missing(name: string | undefined): string {
  if (name === undefined) return 'no SUBCOMMAND is given.'
  const meant = nearest(
    name,
    subcommands.map((each) => each.name),
  )
  return `there is no subcommand ${name}${meant === undefined ? '.' : `: did you mean ${meant}?`}`
}

/** Does what the arguments ask for; returns the exit status. */
export async function vgic(args: readonly string[], output: Output): Promise<number> {
  // `vgic help explore` is `vgic explore --help`.
  const [name, ...rest] = args[0] === 'help' && args.length > 1 ? [args[1], '--help'] : args
  if (name === '--help' || name === '-h' || name === 'help') {
    output.print(HELP.trim())
    return OK
  }
  if (name === '--version' || name === '-v') {
    output.print(version())
    return OK
  }
  const subcommand = subcommands.find((each) => each.name === name)
  if (!subcommand) {
    output.note(`vgic: ${missing(name)} See vgic --help.`)
    return REFUSED
  }
  try {
    const request = readRequest(subcommand, rest)
    if (request) return await subcommand.run(request, output)
    output.print(subcommand.help.trim())
    return OK
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof VgicError)) throw error
    output.note(`vgic ${subcommand.name}: ${error.message} See vgic ${subcommand.name} --help.`)
    return REFUSED
  }
}
