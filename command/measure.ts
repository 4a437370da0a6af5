/** `vgic conformance` and `vgic bench`: recordings replayed, and what the library costs on this machine. */
import { benchDevice } from '../bench/device.ts'
import { benchHotPath, caseNames } from '../bench/exits.ts'
import { benchExplorer } from '../bench/explore.ts'
import { caseList, REMARKS } from '../bench/help.ts'
import { replayFiles } from '../test/conformance/replay-files.ts'
import { count, OK, type Subcommand, text, UsageError } from './arguments.ts'

const CONFORMANCE = `
vgic conformance [--profile NAME] [--json] FILE...

Replays recordings, .jsonl or .jsonl.gz, and says per file and mode how many operations passed. Exits with 1 if any
failed, 2 if a file cannot be replayed.

  --profile NAME  implementation choices of the silicon: arch (default), qemu-7.2, qemu-11.1 or qemu-11.1-fixed
  --json          results for programs
`

export const conformanceSubcommand: Subcommand = {
  name: 'conformance',
  summary: 'recordings of QEMU, and of Linux on it, replayed and compared',
  help: CONFORMANCE,
  options: { profile: { type: 'string' } },
  run(request) {
    const profile = text(request, 'profile')
    const options = [
      ...(request.json ? ['--json'] : []),
      ...(profile === undefined ? [] : ['--profile', profile]),
    ]
    return replayFiles([...options, ...request.words], CONFORMANCE.trim().split('\n')[0])
  },
}

export const benchSubcommand: Subcommand = {
  name: 'bench',
  summary: 'nanoseconds an exit, an access of a device, transitions a second',
  help: `
vgic bench [--only CASE] [--rounds N] [--json]  what an exit of a vCPU costs: nanoseconds, bytes
vgic bench explore [--json]                     the explorer: transitions a second
vgic bench device [--json]                      the GIC as a device: nanoseconds an access

  --only CASE  one case:
${caseList(15)}
  --rounds N   rounds in each process, 5 without this: 3 processes for the cases that the C twin has,
               2 for others
  --json       results for programs

${REMARKS}

Nothing else should run on the machine meanwhile. The same work in C and the count of instructions need
the library's sources: npm run bench -- --help there.
`,
  options: { only: { type: 'string' }, rounds: { type: 'string' } },
  async run(request) {
    const { words, json } = request
    const [what = 'exits', ...more] = words
    if (more.length > 0)
      throw new UsageError(`it takes one of exits, explore and device, and not also ${more[0]}.`)
    const unused = ['only', 'rounds'].find((name) => what !== 'exits' && text(request, name) !== undefined)
    if (unused !== undefined) throw new UsageError(`--${unused} is for exits, not for ${what}.`)
    const only = text(request, 'only')
    if (only !== undefined && !caseNames.includes(only)) {
      throw new UsageError(`--only must be one of ${caseNames.join(', ')}, but is ${only}.`)
    }
    const rounds = count(request, 'rounds') ?? 5
    if (rounds < 1) throw new UsageError('--rounds must be at least 1.')
    if (what === 'explore') benchExplorer(json)
    else if (what === 'device') benchDevice(json)
    else if (what === 'exits') await benchHotPath({ twin: undefined, json, rounds, only })
    else throw new UsageError(`there is no benchmark ${what}: exits, explore or device.`)
    return OK
  },
}
