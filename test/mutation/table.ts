/**
 * `node build/test/mutation/table.js [REPORT]...`: the scores of each file and each room as a table in Markdown, from
 * what `npm run mutation` has left. Of files of which a sample was tried, a room's score counts each by all the mutants
 * that it has, and the table says how far from the truth it may be.
 */
import { readFileSync } from 'node:fs'

const INCREMENTAL = 'reports/mutation/incremental.json'

interface Mutant {
  readonly status:
    | 'Killed'
    | 'Timeout'
    | 'Survived'
    | 'NoCoverage'
    | 'Ignored'
    | 'RuntimeError'
    | 'CompileError'
}

interface Report {
  readonly files: Readonly<Record<string, { readonly mutants: readonly Mutant[] }>>
}

/** A file, or a room of them. */
interface Score {
  /** All mutants but those that are ignored. */
  readonly mutants: number
  readonly tried: number
  readonly killed: number
  readonly survived: number
  readonly unreached: number
  /** The part that is killed, 0 to 1, and the standard error with which a sample says it. */
  readonly score: number
  readonly error: number
}

function scoreOf(mutants: readonly Mutant[]): Score {
  const count = (...statuses: readonly Mutant['status'][]): number =>
    mutants.filter(({ status }) => statuses.includes(status)).length
  const [killed, survived, unreached] = [count('Killed', 'Timeout'), count('Survived'), count('NoCoverage')]
  const all = mutants.length - count('Ignored', 'CompileError')
  const tried = killed + survived
  // A sample is of those that are reached; which are not is known of all.
  const reached = all - unreached
  const part = tried === 0 ? 0 : killed / tried
  // Of a sample without replacement: none is left to be wrong about if all were tried.
  const error = tried < 2 ? 0 : Math.sqrt(((part * (1 - part)) / (tried - 1)) * (1 - tried / reached))
  const share = all === 0 ? 0 : reached / all
  return { mutants: all, tried, killed, survived, unreached, score: share * part, error: share * error }
}

function together(scores: readonly Score[]): Score {
  const sum = (of: (score: Score) => number): number => scores.reduce((total, one) => total + of(one), 0)
  const mutants = sum((one) => one.mutants)
  return {
    mutants,
    tried: sum((one) => one.tried),
    killed: sum((one) => one.killed),
    survived: sum((one) => one.survived),
    unreached: sum((one) => one.unreached),
    score: sum((one) => one.mutants * one.score) / mutants,
    error: Math.sqrt(sum((one) => (one.mutants * one.error) ** 2)) / mutants,
  }
}

function rowOf(name: string, { mutants, tried, killed, survived, unreached, score, error }: Score): string {
  const percent = (part: number): string => (100 * part).toFixed(1)
  const shown = error === 0 ? percent(score) : `${percent(score)} ± ${percent(1.96 * error)}`
  return `| ${[name, mutants, tried, killed, survived, unreached, shown].join(' | ')} |`
}

const paths = process.argv.slice(2)
const files = (paths.length === 0 ? [INCREMENTAL] : paths).flatMap((path) =>
  Object.entries((JSON.parse(readFileSync(path, 'utf8')) as Report).files),
)
const scores = new Map(
  files
    .map(([file, { mutants }]) => [file, scoreOf(mutants)] as const)
    .filter(([file, { tried, unreached }]) => file.startsWith('src/') && tried + unreached > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1)),
)
/** `src/gic`, `src/gic/its`: the rooms that a file is in. */
const roomsOf = (file: string): string[] => {
  const parts = file.split('/')
  return parts.slice(2).map((_, i) => parts.slice(0, i + 2).join('/'))
}
const rooms = [...new Set([...scores.keys()].flatMap(roomsOf))].sort()
console.log(
  '| | mutants | tried | killed | survived | not reached | score, % |\n|---|--:|--:|--:|--:|--:|--:|',
)
for (const room of rooms) {
  const inside = [...scores].filter(([file]) => file.startsWith(`${room}/`))
  console.log(rowOf(`**${room}**`, together(inside.map(([, score]) => score))))
  for (const [file, score] of inside.filter(
    ([file]) => file.split('/').length === room.split('/').length + 1,
  ))
    console.log(rowOf(file.slice(room.length + 1), score))
}
