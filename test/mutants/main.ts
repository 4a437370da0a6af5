/**
 * `npm run mutants -- [--design NAME]... [--json]`: the control of the explorer. Leaves out each step of each design, swaps
 * each two neighbours, gives each question a constant answer, and explores what comes of it. Exits 1 if a mutation is
 * neither refused nor refuted nor equivalent, or if a reason is given for none that needs it; 2 for wrong arguments.
 */
import { parseArgs } from 'node:util'
import { type Design, designs } from 'vgic/scenario'
import { type Equivalence, equivalences } from './equivalences.ts'
import { baselineOf, judge, type Used, type Verdict } from './judge.ts'
import { trials } from './trials.ts'

const names = Object.values(designs).map(({ name }) => name)

const usage = `usage: npm run mutants -- [--design NAME]... [--json]
  --design NAME  only this design, one of ${names.join(', ')}
  --json         one JSON array of verdicts
  --help         this`

interface Options {
  readonly chosen: readonly Design[]
  readonly json: boolean
}

/** Undefined if they are wrong; then it has said why. */
function optionsOf(args: readonly string[]): Options | 'help' | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        design: { type: 'string', multiple: true },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    })
    if (values.help) return 'help'
    return { chosen: (values.design ?? names).map(designOf), json: values.json ?? false }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    return undefined
  }
}

/** By its name, or by that of its member of `designs`. */
function designOf(name: string): Design {
  const found = Object.entries(designs).find(([key, design]) => name === key || name === design.name)
  if (found) return found[1]
  throw new Error(`There is no design ${name}.`)
}

interface Row extends Verdict {
  readonly design: string
}

/** Judges a design; shows how far it is, where somebody looks. */
function rowsOf(design: Design, used: Used, print: (line: string) => void): Row[] {
  const rows: Row[] = []
  const baseline = baselineOf(design)
  const without =
    baseline.broken.length === 0 ? '' : `, without what it breaks itself (${baseline.broken.join(', ')})`
  print(`\n${design.name}${without}`)
  for (const verdict of judge(design, baseline, equivalences, used)) {
    rows.push({ design: design.name, ...verdict })
    print(`  ${verdict.kind.padEnd(10)}  ${verdict.mutation}: ${verdict.why}`)
    if (process.stderr.isTTY) process.stderr.write(`\r${design.name} ${rows.length} `)
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  const count = (kind: Verdict['kind']): number => rows.filter((row) => row.kind === kind).length
  print(
    `  ${rows.length} mutations: ${count('refuted')} refuted, ${count('refused')} refused, ${count('equivalent')} equivalent, ${count('HOLE')} holes`,
  )
  return rows
}

/** Reasons that nothing needed, or that were given for what does not hold, of the designs that were judged. */
function badReasons(chosen: readonly Design[], used: Used): string[] {
  const isWhole = names.every((name) => chosen.some((design) => design.name === name))
  const text = ({ of, because }: Equivalence): string => `${String(of)}: ${because}`
  return [
    ...equivalences
      .filter((equivalence) => isWhole && !used.needed.has(equivalence))
      .map((equivalence) => `UNNEEDED  ${text(equivalence)}`),
    ...[...used.wrong].map((equivalence) => `TOO BROAD  ${text(equivalence)}`),
  ]
}

function main(args: readonly string[]): number {
  const options = optionsOf(args)
  if (!options) return 2
  if (options === 'help') {
    console.log(usage)
    return 0
  }
  const { chosen, json } = options
  const print = json ? () => undefined : (line: string) => console.log(line)
  print(
    `Mutations of designs, explored in ${trials.length} trials (${trials.map(({ name }) => name).join(', ')}); Node ${process.version}, ${process.platform} ${process.arch}`,
  )
  print(
    'refuted: breaks an invariant; refused: cannot be made; equivalent: holds, for a reason; HOLE: holds and should not',
  )
  const used: Used = { needed: new Set(), wrong: new Set() }
  const rows = chosen.flatMap((design) => rowsOf(design, used, print))
  if (json) console.log(JSON.stringify(rows, null, 2))
  const bad = badReasons(chosen, used)
  for (const line of bad) console.error(line)
  return bad.length > 0 || rows.some(({ kind }) => kind === 'HOLE') ? 1 : 0
}

process.exitCode = main(process.argv.slice(2))
