/** Puts the reports of an exploration's parts together. */
import {
  argumentBoolean,
  argumentInteger,
  argumentList,
  argumentNumber,
  argumentString,
  shown,
} from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { type Report, type Violation, verdictOf } from './bounds.ts'
import { type Shard, shardOf } from './shard.ts'

/** The reports of an exploration's parts as one. */
export type MergedReport<R extends Report = Report> = Omit<R, 'shard'> & {
  /** The parts that have no report; left out if all have. */
  readonly missing?: readonly string[]
}

/**
 * Merges the reports of the parts of one exploration (`shard`), in any order, as they were returned or as JSON has
 * kept them. It is complete if all parts are there and complete. The violation is the one with the fewest
 * interventions, and of these the one with the fewest steps; it is the `shortest` only if every part has looked that far.
 * States that several parts have visited count several times; `elapsed` is that of the part that took longest. Throws an
 * `argument` error for what is not such reports, or if a part is there twice.
 */
export function mergeReports<R extends Report>(reports: readonly R[]): MergedReport<R> {
  const parts = argumentList('reports', reports, 'reports of shards').map(checkedPart)
  const [first] = parts
  if (!first) throw new VgicError('argument', 'reports is empty: give those of all shards.')
  const missing = missingOf(parts)
  const found = reports.filter(({ violation }) => violation).sort(byViolation)
  const { shard: _, bound: _bound, covered: _covered, ...base } = found[0] ?? reports[0]
  const sum = (of: (report: Report) => number): number => reports.reduce((total, r) => total + of(r), 0)
  const complete = missing.length === 0 && reports.every((report) => report.complete)
  const bound = (['states', 'signal', 'depth'] as const).find((name) =>
    reports.some((report) => report.bound === name),
  )
  const times = reports.flatMap(({ elapsed }) => elapsed ?? [])
  return {
    ...base,
    verdict: verdictOf(complete, found[0]?.violation),
    complete,
    states: sum(({ states }) => states),
    transitions: sum(({ transitions }) => transitions),
    schedules: sum(({ schedules }) => schedules),
    omission: sum(({ omission }) => omission),
    ...(bound && found.length === 0 ? { bound } : {}),
    ...(base.shortest === undefined ? {} : { shortest: missing.length === 0 && reports.every(hasNoShorter) }),
    ...(times.length > 0 ? { elapsed: Math.max(...times) } : {}),
    ...(missing.length > 0 ? { missing } : {}),
  } as MergedReport<R>
}

/**
 * Whether a part has explored all schedules that are shorter than its own violation, or all there are. The bound on depth of a
 * part without one is that of the others, too: their violations are not longer.
 */
const hasNoShorter = ({ complete, shortest, bound, violation }: Report): boolean =>
  violation ? shortest === true : complete || bound === 'depth'

function checkedPart(report: Report): Shard {
  if (typeof report !== 'object' || report === null)
    throw new VgicError('argument', `reports must be reports of shards, but one is ${shown(report)}.`)
  argumentBoolean('complete', report.complete)
  for (const name of ['states', 'transitions', 'schedules'] as const)
    argumentInteger(name, report[name], 0, Number.MAX_SAFE_INTEGER)
  argumentNumber('omission', report.omission)
  if (report.violation !== undefined) checkViolation(report.violation)
  const shard = shardOf(report.shard)
  if (shard) return shard
  throw new VgicError('argument', 'A report is of no shard: explore with shard: "i/n".')
}

function checkViolation(violation: Violation): void {
  if (typeof violation !== 'object' || violation === null)
    throw new VgicError('argument', `violation must be a violation, but is ${shown(violation)}.`)
  argumentString('schedule', violation.schedule)
  for (const name of ['steps', 'interventions'] as const)
    argumentInteger(name, violation[name], 0, Number.MAX_SAFE_INTEGER)
}

/** The names of the parts that are not there. */
function missingOf(parts: readonly Shard[]): string[] {
  const [{ count }] = parts
  const there = new Set<number>()
  for (const { index, count: other, name } of parts) {
    if (other !== count)
      throw new VgicError('argument', `${name} is not one of ${count} shards: merge those.`)
    if (there.has(index)) throw new VgicError('argument', `The shard ${name} is there twice: merge it once.`)
    there.add(index)
  }
  return Array.from({ length: count }, (_, i) => i)
    .filter((i) => !there.has(i))
    .map((i) => `${i}/${count}`)
}

/** Orders reports by their violations: fewest interventions, then fewest steps. */
export function byViolation({ violation: a }: Report, { violation: b }: Report): number {
  if (!a || !b) return 0
  return a.interventions - b.interventions || a.steps - b.steps || (a.schedule < b.schedule ? -1 : 1)
}
