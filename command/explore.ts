/** `vgic explore` and `vgic replay`: a scenario from a module, every interleaving of it, and one again. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  type Bounds,
  explore,
  type InvariantId,
  invariantName,
  invariants,
  type Progress,
  type Report,
  replay,
} from 'vgic/explore'
import { type Run, Scenario } from 'vgic/scenario'
import { BOUNDED, count, FOUND, OK, type Request, type Subcommand, text, UsageError } from './arguments.ts'
import { type Format, isFormat, pictures } from './pictures.ts'

interface Given {
  readonly scenario: Scenario
  readonly bounds: Bounds
}

/** The scenario that a module exports, as `scenario` or by default, itself or by a function; and its `bounds`. */
async function scenarioOf(file: string): Promise<Given> {
  const { scenario, bounds = {} } = await load(file)
  if (!isScenario(scenario)) {
    throw new UsageError(
      `${file} must export a scenario: export default scenario('name').vm({ vcpus: 1 })..., or a function that makes one.`,
    )
  }
  if (typeof bounds !== 'object' || bounds === null)
    throw new UsageError(`bounds of ${file} must be an object, such as { preemptions: 1 }.`)
  return { scenario, bounds }
}

/** One that another copy of the library has made is one too. */
const isScenario = (value: unknown): value is Scenario =>
  value instanceof Scenario ||
  (typeof value === 'object' && value !== null && 'machine' in value && 'run' in value)

async function load(file: string): Promise<{ scenario: unknown; bounds?: unknown }> {
  const path = resolve(file)
  try {
    const module = (await import(pathToFileURL(path).href)) as Record<string, unknown>
    const exported = module['scenario'] ?? module['default']
    const scenario = typeof exported === 'function' ? (exported as () => unknown)() : exported
    return { scenario, bounds: module['bounds'] }
  } catch (error) {
    const { message, stack = '' } = error instanceof Error ? error : new Error(String(error))
    const [says] = message.split(/\n| imported from /)
    const [, ...after] = stack.split(path)
    const place = after.flatMap((text) => /^(?::\d+)+/.exec(text)?.[0] ?? []).at(0) ?? ''
    throw new UsageError(`${file}${place} cannot be used: ${says.replace(/\.?$/, '.')}`)
  }
}

const limits = ['preemptions', 'ticks', 'migrations', 'states', 'depth'] as const

/** Those of the module, with those of the command line in their place. */
function boundsOf(request: Request, bounds: Bounds): Bounds {
  const given = limits.flatMap((name) => {
    const value = count(request, name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return { ...bounds, ...Object.fromEntries(given), ...chosenInvariants(request) }
}

function chosenInvariants(request: Request): Pick<Bounds, 'invariants'> {
  const ids = text(request, 'invariants')
  return ids === undefined ? {} : { invariants: ids.split(',').map(invariantId) }
}

function invariantId(id: string): InvariantId {
  if (Object.hasOwn(invariants, id)) return id as InvariantId
  const known = Object.keys(invariants)
  const named = known.find((each) => invariantName(each) === id)
  const instead = named === undefined ? '' : `, the name of ${named}`
  throw new UsageError(`--invariants must be some of ${known.join(', ')}, but has ${id}${instead}.`)
}

function verdict(report: Report, file: string, { values }: Request): string[] {
  const { states, transitions, schedules, violation, bound } = report
  const time = report.elapsed === undefined ? '' : `, ${(report.elapsed / 1000).toFixed(1)} s`
  const looked = `${states} states, ${transitions} steps, ${schedules} schedules${time}`
  const checked = values['invariants'] === undefined ? '' : ` --invariants ${values['invariants']}`
  if (violation) {
    return [
      `violated: ${violation.name} (${violation.invariant}). ${violation.says}`,
      violation.what,
      `after ${violation.steps} steps${report.shortest ? ', the fewest' : ', which need not be the fewest (--shortest)'}; ${looked}`,
      `vgic replay ${file}${checked} '${violation.schedule}'`,
    ]
  }
  if (bound)
    return [`bounded: nothing was found, and the bound on ${bound} was reached; ${looked}`, coverage(report)]
  return [`holds: every interleaving within the bounds; ${looked}`]
}

/** On a terminal, in a line that the next one overwrites. */
function showProgress({ states, depth, interventions, perSecond = 0 }: Progress): void {
  const line = `${states} states, depth ${depth}, ${interventions} interventions, ${Math.round(perSecond / 1000)} thousand steps a second`
  process.stderr.write(`\r${line}\u001b[K\r`)
}

/** What is known all the same. */
function coverage({ covered }: Report): string {
  if (!covered) return 'no number of interventions was explored entirely'
  const { interventions, depth } = covered
  const steps = depth === undefined ? '' : `, of at most ${depth} steps`
  return `explored entirely: all schedules with at most ${interventions} interventions${steps}`
}

export const exploreSubcommand: Subcommand = {
  name: 'explore',
  summary: 'every interleaving of a scenario, checked',
  help: `
vgic explore FILE.mjs [bounds] [--json]

FILE.mjs exports a scenario of vgic/scenario, as scenario or by default, or a function that makes one; and bounds, if it
has any. Exits with 0 if the invariants hold, 1 if one is violated, 3 if a bound on states or depth was reached.

  --preemptions N, --ticks N, --migrations N   the most in one schedule
  --states N, --depth N                        the most distinct states, the most steps of a schedule
  --invariants A,B                             only these
  --shortest                                   of the schedules that violate one, the shortest
  --format F                                   prints the schedule that violates one as vgic replay does, marked, and
                                               the verdict on stderr
  --json                                       the report for programs
`,
  options: {
    ...Object.fromEntries(limits.map((name) => [name, { type: 'string' as const }])),
    invariants: { type: 'string' },
    shortest: { type: 'boolean' },
    format: { type: 'string' },
  },
  async run(request, output) {
    const file = oneFile(request, 1)
    const format = formatOf(request)
    const { scenario, bounds } = await scenarioOf(file)
    const report = explore(scenario, {
      now: () => performance.now(),
      ...(process.stderr.isTTY && { onProgress: (progress: Progress) => showProgress(progress) }),
      ...boundsOf(request, bounds),
      ...(request.values['shortest'] === true && { shortest: true }),
    })
    const { violation } = report
    if (format && violation) {
      output.note(verdict(report, file, request).join('\n'))
      output.print(pictures[format](replay(scenario, violation), violation))
    } else {
      output.print(request.json ? JSON.stringify(report, null, 2) : verdict(report, file, request).join('\n'))
    }
    if (report.violation) return FOUND
    return report.complete ? OK : BOUNDED
  },
}

export const replaySubcommand: Subcommand = {
  name: 'replay',
  summary: 'the steps of a schedule, as text or as a picture',
  help: `
vgic replay FILE.mjs TOKEN [--format F] [--before N] [--json]

Takes the steps of a schedule that vgic explore printed, of the same FILE.mjs, and says at the end which invariant is
violated. Exits with 0 all the same.

  --format F        timeline (default), mermaid, perfetto, vcd or svg
  --before N        stops before step N, counted from 0
  --invariants A,B  only these are checked, as they were by vgic explore
  --json            the steps for programs
`,
  options: { format: { type: 'string' }, before: { type: 'string' }, invariants: { type: 'string' } },
  async run(request, output) {
    const [, token] = request.words
    const file = oneFile(request, 2)
    const format = formatOf(request) ?? 'timeline'
    const { scenario, bounds } = await scenarioOf(file)
    const before = count(request, 'before')
    const { invariants, own } = { ...bounds, ...chosenInvariants(request) }
    const run = replay(scenario, token, {
      ...(before !== undefined && { before }),
      ...(invariants && { invariants }),
      ...(own && { own }),
    })
    output.print(request.json ? JSON.stringify(steps(run), null, 2) : pictures[format](run, run.violation))
    return OK
  },
}

function formatOf(request: Request): Format | undefined {
  const format = text(request, 'format')
  if (format !== undefined && request.json) throw new UsageError('it prints --format or --json, not both.')
  if (format === undefined || isFormat(format)) return format
  throw new UsageError(`--format must be one of ${Object.keys(pictures).join(', ')}, but is ${format}.`)
}

const steps = (run: Run): object => ({ ...run.toJSON(), steps: run.events })

function oneFile({ words }: Request, most: 1 | 2): string {
  const needs = most === 1 ? 'FILE.mjs' : 'FILE.mjs and TOKEN'
  if (words.length < most) throw new UsageError(`it needs ${needs}.`)
  if (words.length > most) throw new UsageError(`it takes ${needs}, and not also ${words[most]}.`)
  return words[0]
}
