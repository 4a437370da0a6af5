/** Judging an answer by a recording, as the recordings' README defines it, and counting. */
import type { ProfileName } from 'vgic'
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

/**
 * Deviations that a profile of the silicon has as choices. The others are plain bugs, which no profile has: a result
 * with one of these is to be what the architecture says with any profile.
 */
const QEMU_11_1_FIXED: readonly string[] = [
  'lpi-active',
  'preempt-mask',
  'hppi-cpu-group',
  'prio-8bit',
  'prio-ff',
  'sgi-rs-ignored',
  'queue-res0',
  'creadr-writable',
  'vpropbaser-res0',
  'doorbell-disabled',
  'doorbell-repeat',
  'doorbell-vmovi',
  'doorbell-combined',
]
const QEMU_11_1 = [...QEMU_11_1_FIXED, 'misr-vgrp0d', 'eoicount-eoimode1']
const IMITATED: Readonly<Record<ProfileName, ReadonlySet<string>>> = {
  arch: new Set(),
  'qemu-7.2': new Set([...QEMU_11_1, 'spi-288']),
  'qemu-11.1': new Set(QEMU_11_1),
  'qemu-11.1-fixed': new Set(QEMU_11_1_FIXED),
}
/** A name for several deviations at once, which does not say which. */
const COMBINED = 'combined'

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

/** Whether a result is compared as it was recorded, with what the architecture says instead, or passes with either. */
export function standardOf(
  { dev: names = [], alt = [] }: Result,
  profile: ProfileName,
): 'recorded' | 'spec' | 'either' {
  if (names.length === 0) return alt.length === 0 ? 'recorded' : 'either'
  const imitated = names.filter((name) => IMITATED[profile].has(name))
  if (imitated.length === names.length) return 'recorded'
  // Of several deviations the profile has only some, or nobody knows how many.
  const isMixed = imitated.length > 0 || (profile !== 'arch' && names.includes(COMBINED))
  return isMixed || names.some((name) => OPEN.has(name)) ? 'either' : 'spec'
}

/** Compares an answer with the recorded one, or in the fields that have a `spec` with that where it is the standard. */
export function judge(
  recorded: Answer,
  result: Result,
  actual: Answer,
  profile: ProfileName = 'arch',
): Verdict {
  const standard = standardOf(result, profile)
  const open = standard === 'either'
  const spec = standard === 'recorded' ? {} : (result.spec ?? {})
  const differences: FieldDifference[] = []
  for (const field of new Set([...Object.keys(recorded), ...Object.keys(spec), ...Object.keys(actual)])) {
    const kept = recorded[field] ?? NOTHING
    const alternatives = open ? (result.alt ?? []).flatMap((answer) => answer[field] ?? []) : []
    const expected =
      field in spec ? [...(open ? [kept] : []), spec[field], ...alternatives] : [kept, ...alternatives]
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
  /** How many of the passed are as the architecture says, and not as recorded. */
  bySpec: number
  /** Ops past `trusted`: how many agree all the same, of how many. Not judged. */
  pastTrusted: { agree: number; total: number }
  /** Why ops were skipped, with their numbers. */
  skips: Record<string, number>
  failures: Failure[]
}

/** `mode` says how a file is replayed; with another profile than `arch`, that is added to it. */
export const newTally = (file: string, mode: string, profile: ProfileName = 'arch'): Tally => ({
  file,
  mode: profile === 'arch' ? mode : `${mode}, ${profile}`,
  passed: 0,
  failed: 0,
  skipped: 0,
  either: 0,
  bySpec: 0,
  pastTrusted: { agree: 0, total: 0 },
  skips: {},
  failures: [],
})

/** Counts a judged op. */
export function countVerdict(tally: Tally, { kind }: Verdict, result: Result, profile: ProfileName): void {
  tally[kind]++
  if (kind === 'passed' && standardOf(result, profile) === 'spec') tally.bySpec++
}

/** Counts an op past `trusted`. */
export function countPastTrusted(tally: Tally, { kind }: Verdict): void {
  tally.pastTrusted.total++
  if (kind !== 'failed') tally.pastTrusted.agree++
}

export function countSkip(tally: Tally, why: string, ops = 1): void {
  if (ops === 0) return
  tally.skipped += ops
  tally.skips[why] = (tally.skips[why] ?? 0) + ops
}

/** `FILE [mode]: passed N failed M skipped K either E; not judged: P of Q agree`. */
export function summary({ file, mode, passed, failed, skipped, either, pastTrusted }: Tally): string {
  return (
    `${file} [${mode}]: passed ${passed} failed ${failed} skipped ${skipped} either ${either}; ` +
    `not judged: ${pastTrusted.agree} of ${pastTrusted.total} agree`
  )
}
