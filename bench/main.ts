/**
 * `npm run bench`: what an exit costs in nanoseconds, through the real loop and seam with the counters on, in processes
 * of their own, in turn with the same work in C if that is given; and the other benchmarks, a subcommand each.
 */
import { existsSync } from 'node:fs'
import { commandLine, type Program, refuse, type Values } from '../test/command-line.ts'
import { benchAllocations } from './allocations.ts'
import { benchDesigns, measuredDesigns } from './designs.ts'
import { benchDevice } from './device.ts'
import { benchHotPath, caseNames } from './exits.ts'
import { benchExplorer } from './explore.ts'
import { caseList, REMARKS } from './help.ts'
import { benchInstructions } from './instructions.ts'
import { benchScale } from './scale.ts'

const help = `
npm run bench -- [--twin FILE.c] [--only CASE] [--rounds N] [--json]
                 what an exit of a vCPU costs: nanoseconds, bytes; vm/, run/ and events/ are by the public
                 API: VirtualMachine, runs, their events
npm run bench -- instructions [--twin FILE.c] [--only CASE] [--design NAME] [--functions] [--json]
                 the same in instructions, counted by valgrind (a minute a case)
npm run bench -- designs [--together] [--json]
                 an exit in every design of the library, and an own step
npm run bench -- allocations [--json]
                 whether an exit allocates where V8 leaves no object out; exit status 1 if one does
npm run bench -- scale [--json]
                 what grows with vCPUs, SPIs, LPIs, PEs and pending interrupts
npm run bench -- explore [--spin FILE.pml] [--json]
                 the explorer: transitions a second of CPU time
npm run bench -- device [--json]
                 the GIC as a device: nanoseconds an access, few and many SPIs, LPIs, vLPIs

  --twin FILE.c  the same work in C, bench/native-twin.c, compiled with cc -O2 and measured in turn: the ratio
                 of the two
  --spin FILE.pml  the protocol in Promela, bench/wfi-protocol.pml, searched by Spin beside the explorer; with
                 it the museum's 04 and 12, if doorbell-protocol.pml and yield-protocol.pml are beside it
  --only CASE    one case:
${caseList(17)}
  --design NAME  a design as bench -- designs names it; cases with an ITS, with GICv4 or by the public API
                 have their own
  --together     all designs in one process, whose code V8 compiles for all of them at once
  --functions    where the instructions are: functions as V8 has compiled them, with what was inlined into
                 each
  --rounds N     rounds in each process, 5 without this: 3 processes for the cases that the C twin has, 2 for
                 others
  --json         results for programs
  --help         this

${REMARKS}

Progress goes to stderr. Nothing else should run on the machine.
`

const flag = { type: 'boolean' } as const
const string = { type: 'string' } as const

interface Subcommand {
  readonly options: Program['options']
  run(values: Values): void | Promise<void>
}

const subcommands: Readonly<Record<string, Subcommand>> = {
  exits: { options: { twin: string, only: string, rounds: string, json: flag }, run: exits },
  instructions: {
    options: { twin: string, only: string, design: string, functions: flag, json: flag },
    run: instructions,
  },
  designs: {
    options: { together: flag, json: flag },
    run: ({ together, json }) => benchDesigns({ inOneProcess: together === true, json: json === true }),
  },
  allocations: { options: { json: flag }, run: ({ json }) => allocations(json === true) },
  scale: { options: { json: flag }, run: ({ json }) => benchScale(json === true) },
  explore: {
    options: { spin: string, json: flag },
    run: ({ spin, json }) => benchExplorer(json === true, spin as string | undefined),
  },
  device: { options: { json: flag }, run: ({ json }) => benchDevice(json === true) },
}

const [first = '', ...rest] = process.argv.slice(2)
const [name, args] = Object.hasOwn(subcommands, first) ? [first, rest] : ['exits', process.argv.slice(2)]
const { options, run } = subcommands[name]
const values = commandLine({ name: 'bench', help, options }, args)
if (values) await run(values)

async function exits({ twin, only, rounds = '5', json }: Values): Promise<void> {
  const count = Number(rounds)
  if (!Number.isInteger(count) || count < 1) {
    refuse(`bench: --rounds must be a whole number from 1 on, but is ${rounds}.`)
  } else if (areThere(twin, only)) {
    await benchHotPath({
      twin: twin as string | undefined,
      json: json === true,
      rounds: count,
      only: only as string | undefined,
    })
  }
}

async function instructions({ twin, only, design, functions, json }: Values): Promise<void> {
  if (!areThere(twin, only)) return
  if (typeof design === 'string' && !measuredDesigns.some(({ name }) => name === design)) {
    const names = measuredDesigns.map(({ name }) => name).join(', ')
    refuse(`bench: there is no design ${design}: --design takes ${names}.`)
    return
  }
  await benchInstructions({
    twin: twin as string | undefined,
    json: json === true,
    only: only as string | undefined,
    functions: functions === true,
    design: design as string | undefined,
  })
}

async function allocations(json: boolean): Promise<void> {
  if (!(await benchAllocations(json))) process.exitCode = 1
}

/** Whether the file in C and the case exist, where they are given; says so if not. */
function areThere(twin: Values[string], only: Values[string]): boolean {
  if (typeof twin === 'string' && !existsSync(twin)) {
    refuse(`bench: there is no file ${twin}: give --twin the path of the work in C.`)
    return false
  }
  if (typeof only === 'string' && !caseNames.includes(only)) {
    refuse(`bench: there is no case ${only}: --only takes ${caseNames.join(', ')}.`)
    return false
  }
  return true
}
