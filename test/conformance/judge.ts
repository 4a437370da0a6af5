/** Judging an answer by a recording, as the recordings' README defines it, and counting. */
import type { Result } from './recording.ts'

/** Deviations whose architecture side is open: either answer passes. */
const OPEN = new Set([
  'preempt-mask',
  'lr-res0',
  'special-in-lr',
  'dir-reserved',
  'sgi-rs-ignored',
  'queue-res0',
  'vpropbaser-res0',
  'doorbell-disabled',
  'doorbell-repeat',
  'doorbell-vmovi',
  'doorbell-combined',
])

/** An answer as fields by name: `v`, `trap`, `fault`, `gfault`, and state registers. */
export type Answer = Readonly<Record<string, string>>

/** One field that is not as it should be. `expected` lists every value that would have passed. */
export interface FieldDifference {
  readonly field: string
  readonly expected: readonly string[]
  readonly actual: string
}

export interface Verdict {
  readonly kind: 'passed' | 'either' | 'failed'
  readonly differences: readonly FieldDifference[]
}

const NOTHING = '-'

/** Compares an answer with the recorded one; a field with a `spec` must have that, or either if it is open. */
export function judge(recorded: Answer, result: Result, actual: Answer): Verdict {
  const spec = result.spec ?? {}
  const open = (result.dev ?? []).some((name) => OPEN.has(name))
  const differences: FieldDifference[] = []
  for (const field of new Set([...Object.keys(recorded), ...Object.keys(spec), ...Object.keys(actual)])) {
    const kept = recorded[field] ?? NOTHING
    const alternatives = open ? (result.alt ?? []).flatMap((answer) => answer[field] ?? []) : []
    const expected = field in spec ? [...(open ? [kept] : []), spec[field], ...alternatives] : [kept]
    const value = actual[field] ?? NOTHING
    if (!expected.some((answer) => same(answer, value))) differences.push({ field, expected, actual: value })
  }
  if (differences.length > 0) return { kind: 'failed', differences }
  return { kind: open ? 'either' : 'passed', differences }
}

/** Values are numbers however they are written; anything else is compared as text. */
function same(a: string, b: string): boolean {
  return a === b || (a !== NOTHING && b !== NOTHING && BigInt(a) === BigInt(b))
}

/** A failed operation, for people. */
export interface Failure {
  readonly trace: string
  readonly op: number
  readonly what: string
  readonly differences: readonly string[]
}

/** The counts of one file in one mode. */
export interface Tally {
  readonly file: string
  readonly mode: string
  passed: number
  failed: number
  skipped: number
  either: number
  /** Ops past `trusted`: how many agree all the same, of how many. Not judged. */
  pastTrusted: { agree: number; total: number }
  /** Why ops were skipped, with their numbers. */
  skips: Record<string, number>
  failures: Failure[]
}

export const newTally = (file: string, mode: string): Tally => ({
  file,
  mode,
  passed: 0,
  failed: 0,
  skipped: 0,
  either: 0,
  pastTrusted: { agree: 0, total: 0 },
  skips: {},
  failures: [],
})

export function countSkip(tally: Tally, why: string, ops = 1): void {
  if (ops === 0) return
  tally.skipped += ops
  tally.skips[why] = (tally.skips[why] ?? 0) + ops
}

/** `FILE [mode]: passed N failed M skipped K either E; past trusted: P of Q agree`. */
export function summary({ file, mode, passed, failed, skipped, either, pastTrusted }: Tally): string {
  return (
    `${file} [${mode}]: passed ${passed} failed ${failed} skipped ${skipped} either ${either}; ` +
    `past trusted: ${pastTrusted.agree} of ${pastTrusted.total} agree`
  )
}
