/** How far an exploration goes, and what it reports. */
import {
  argumentBoolean,
  argumentFunction,
  argumentInteger,
  argumentList,
  argumentObject,
  argumentOptions,
  argumentString,
  type Fields,
} from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { ScenarioMachine } from '../scenario/scenario-machine.ts'
import { argumentInvariants, type InvariantId, invariants } from './invariants.ts'
import { type Shard, shardOf } from './shard.ts'
import { MOST_STATES } from './visited.ts'

/** The most that the environment intervenes in one schedule. */
export interface Interventions {
  /** Most preemptions of threads in one schedule; default 0. */
  readonly preemptions?: number
  /** Most ticks of the host that interrupt a guest in one schedule; default 0. */
  readonly ticks?: number
  /** Most migrations in one schedule, of a waiting thread to another PE than its last; default 0. */
  readonly migrations?: number
}

/** An invariant of a user's own: `check`, `atEnd`, or both. */
export interface OwnInvariant {
  /** Its name, which a report gives. */
  readonly name: string
  /** The rule, as a sentence. */
  readonly says: string
  /** Says what is wrong with the machine after a step, or undefined. It must not change the machine. */
  readonly check?: (machine: ScenarioMachine) => string | undefined
  /** The same of a machine at the end of a schedule: no actor can step, or none within the bounds. */
  readonly atEnd?: (machine: ScenarioMachine) => string | undefined
}

/** How far an exploration has come. */
export interface Progress {
  /** Distinct states visited by the search that is under way. */
  readonly states: number
  /** Steps of the schedule that is being followed. */
  readonly depth: number
  /** Steps taken by all searches. */
  readonly transitions: number
  /** The most interventions of the search that is under way. */
  readonly interventions: number
  /** Milliseconds since the beginning; left out without `now`. */
  readonly elapsed?: number
  /** Steps taken per second since the beginning; left out without `now`. */
  readonly perSecond?: number
}

/** What ends an exploration from outside: an AbortSignal is one. */
export interface StopSignal {
  /** Whether it is to end. */
  readonly aborted: boolean
}

/** How far an exploration goes. */
export interface Bounds extends Interventions {
  /**
   * Most distinct states, at most 429,496,729, which take some 8 GiB; default 1,000,000. The exploration ends there, or before
   * if there is no room for more.
   */
  readonly states?: number
  /** Most steps of a schedule; default 20,000. A longer one is cut off, and the exploration goes on with others. */
  readonly depth?: number
  /** The invariants that are checked; default all. */
  readonly invariants?: readonly InvariantId[]
  /** Invariants of your own, which are checked after every step, after those, and at the end of schedules; default none. */
  readonly own?: readonly OwnInvariant[]
  /**
   * Whether equal states are explored only once; default true. If false, every schedule is followed to its end, or
   * until it returns to a state of its own.
   */
  readonly merge?: boolean
  /**
   * Whether every word is compared after every step, to check that the step wrote only what its row, or the `writes`
   * of a design's own step, allows; default false. It takes a few times as long. A write beyond that throws an
   * `argument` error that names the step and the word; unchecked, it would be neither hashed nor undone.
   */
  readonly checkWrites?: boolean
  /**
   * Whether schedules with fewer interventions (preemptions, ticks, migrations) are explored first, in a search of
   * its own for each number of them; default true, so that a violation is found with the fewest. A design that holds
   * is searched once for each number: false saves the smaller searches.
   */
  readonly raise?: boolean
  /**
   * Whether a violation's schedule is, of those with the fewest interventions, the shortest; default false. It takes
   * some more searches. Cycles (L4) are found where the search meets them, so that theirs may not be the shortest.
   */
  readonly shortest?: boolean
  /**
   * Whether states are kept whole, and not by their hashes alone; default false. Then no state is omitted because its
   * hash agrees with another's. It takes some tens of bytes more for each state, however many words the state has, and two
   * to three times as long; with {@link symmetry} longer, the more words the state has.
   */
  readonly exact?: boolean
  /**
   * Whether interleavings that differ only in when steps are taken that no other actor notices are explored once;
   * default false. The verdict is the same, and the violated invariant is one that is violated without it, too. L4 is not
   * checked, and is refused in `invariants`, as is a `check` of your own.
   */
  readonly reduce?: boolean
  /**
   * Whether states that differ only by a permutation of what the scenario declares to be symmetric, with
   * `scenario.symmetric()`, are explored once; default false. The verdict is the same, and the violated invariant is one
   * that is violated without it, too. A declaration that is not true is refused. L4 is not checked, and is refused in
   * `invariants`, as are invariants of your own and `merge: false`.
   */
  readonly symmetry?: boolean
  /**
   * `'i/n'`: explores the i-th of n parts, counted from 0; {@link mergeReports} puts the parts' reports together. What
   * comes before the first step of a device, a timer or an intervention is explored by all; each such step belongs to
   * one part, with everything that follows. States that several such steps lead to are explored by several parts.
   */
  readonly shard?: string
  /** Called now and then, every 65,536 steps, with how far the exploration has come; by default nobody is told. */
  readonly onProgress?: (progress: Progress) => void
  /**
   * Ends the exploration when it is aborted: the report is bounded, by `signal`. It is looked at as often as
   * `onProgress` is called, which may abort it; see {@link exploreAsync} for a signal that comes from elsewhere.
   */
  readonly signal?: StopSignal
  /** A clock in milliseconds, such as `() => performance.now()`, for `elapsed` and `perSecond`; the library reads none. */
  readonly now?: () => number
}

/** A schedule that violates an invariant. */
export interface Violation {
  /** The invariant; `own` for one of {@link Bounds.own}. */
  readonly invariant: InvariantId | 'own'
  /** Its plain name: `stale-shadow`. */
  readonly name: string
  /** The invariant as a sentence. */
  readonly says: string
  /** What is wrong after the last step. */
  readonly what: string
  /** The schedule token, for `replay`. */
  readonly schedule: string
  /** Steps of the schedule. */
  readonly steps: number
  /** How many of them are preemptions, ticks and migrations. */
  readonly interventions: number
}

/** Whether the invariants hold within the bounds, one is violated, or a bound ended the exploration before either is known. */
export type Verdict = 'holds' | 'violated' | 'bounded'

/** What is known of a scenario although a bound has ended its exploration: no such schedule violates an invariant. */
export interface Covered {
  /** Schedules with at most so many interventions. */
  readonly interventions: number
  /** Of those, their first steps, so many; left out if they were followed to their ends. */
  readonly depth?: number
}

/** The result of an exploration. The numbers are those of its last search, if it took several. */
export interface Report {
  /** What is known. */
  readonly verdict: Verdict
  /** Whether everything within the bounds was explored and no invariant was violated. */
  readonly complete: boolean
  /** Distinct states visited. */
  readonly states: number
  /** Steps taken. */
  readonly transitions: number
  /** Schedules followed to an end: a state in which no actor can step, or one that was seen before. */
  readonly schedules: number
  /**
   * The probability, at most, that some state was omitted since 63 bits of its hash agree with another's, if hashes
   * are taken to be random: n (n - 1) / 2^64 of n states; with `symmetry` under p permutations, p^2 / (2 p - 1) times as
   * much. 0 with `exact`.
   */
  readonly omission: number
  /**
   * `states` if that bound ended the exploration, or the room for states, `signal` if the signal did, `depth` if that bound
   * cut schedules off; left out if none did.
   */
  readonly bound?: 'states' | 'signal' | 'depth'
  /** If a bound was reached: what was explored entirely, within the part of a shard; left out if nothing was. */
  readonly covered?: Covered
  /** Milliseconds that it took; left out without `now`. */
  readonly elapsed?: number
  /** Which part of an exploration it is, if that was shared out: the `shard` of the bounds. */
  readonly shard?: string
  /** The first violation found, if any. */
  readonly violation?: Violation
  /**
   * With `shortest` and a violation: whether all shorter schedules, and all with fewer interventions, were explored;
   * not if the bound on states ended a search.
   */
  readonly shortest?: boolean
}

/** The verdict of a report that is complete, or has a violation, or neither. */
export const verdictOf = (complete: boolean, violation: Violation | undefined): Verdict =>
  violation ? 'violated' : complete ? 'holds' : 'bounded'

/** {@link Report.omission}: that the least of as many hashes as there are permutations agree is more probable than of one. */
export const omissionOf = (states: number, permutations: number): number =>
  (((states * (states - 1)) / 2 ** 64) * permutations ** 2) / (2 * permutations - 1)

const boundFields: Fields<Bounds> = {
  preemptions: true,
  ticks: true,
  migrations: true,
  states: true,
  depth: true,
  invariants: true,
  own: true,
  merge: true,
  checkWrites: true,
  raise: true,
  shortest: true,
  shard: true,
  exact: true,
  reduce: true,
  symmetry: true,
  onProgress: true,
  signal: true,
  now: true,
}

/** The bounds with their defaults; the budget of interventions has a byte for each kind. */
export interface CheckedBounds {
  readonly budget: number
  readonly states: number
  readonly depth: number
  readonly invariants: readonly InvariantId[] | undefined
  readonly own: readonly OwnInvariant[]
  readonly merge: boolean
  readonly checkWrites: boolean
  readonly raise: boolean
  readonly shortest: boolean
  readonly shard: Shard | undefined
  readonly exact: boolean
  readonly reduce: boolean
  readonly symmetry: boolean
  readonly onProgress: ((progress: Progress) => void) | undefined
  readonly signal: StopSignal | undefined
  readonly now: (() => number) | undefined
}

const DEFAULT_STATES = 1_000_000
const DEFAULT_DEPTH = 20_000

/** Checks bounds; throws an `argument` error for those that are out of range. */
export function checkBounds(bounds: Bounds): CheckedBounds {
  argumentOptions('bounds', bounds, boundFields)
  return {
    budget: budgetOf(bounds),
    states: checkedStates(bounds.states ?? DEFAULT_STATES),
    depth: argumentInteger('depth', bounds.depth ?? DEFAULT_DEPTH, 1, 1_000_000),
    invariants: checkedInvariants(bounds),
    own: checkedOwns(bounds),
    merge: argumentBoolean('merge', bounds.merge ?? true),
    checkWrites: argumentBoolean('checkWrites', bounds.checkWrites ?? false),
    raise: argumentBoolean('raise', bounds.raise ?? true),
    shortest: argumentBoolean('shortest', bounds.shortest ?? false),
    shard: shardOf(bounds.shard),
    exact: argumentBoolean('exact', bounds.exact ?? false),
    reduce: argumentBoolean('reduce', bounds.reduce ?? false),
    symmetry: checkedSymmetry(bounds),
    onProgress: optionalFunction('onProgress', bounds.onProgress, '(progress) => ...'),
    signal: checkedSignal(bounds.signal),
    now: optionalFunction('now', bounds.now, '() => milliseconds'),
  }
}

function checkedStates(states: number): number {
  if (!Number.isInteger(states) || states <= MOST_STATES)
    return argumentInteger('states', states, 1, MOST_STATES)
  throw new VgicError(
    'argument',
    `states is ${states}, but there is room for ${MOST_STATES} at most: explore fewer, with \`symmetry\`, \`reduce\` or fewer interventions, or in parts, with \`shard\`.`,
  )
}

/** The kinds of actors that are bounded, in the order of their bytes in a budget, and the bounds' names. */
export const budgetKinds = [
  { kind: 'preempt', bound: 'preemptions' },
  { kind: 'tick', bound: 'ticks' },
  { kind: 'migrate', bound: 'migrations' },
] as const

/** A budget: how many interventions of each kind are left, a byte for each. */
export const budgetOf = (bounds: Interventions): number =>
  budgetKinds.reduce(
    (budget, { bound }, i) => budget | (argumentInteger(bound, bounds[bound] ?? 0, 0, 255) << (8 * i)),
    0,
  )

function checkedInvariants(bounds: Bounds): readonly InvariantId[] | undefined {
  const { invariants: ids } = bounds
  if (ids !== undefined) argumentInvariants(ids)
  const [fewer] = fewerStates(bounds)
  return fewer === undefined ? ids : withoutLivelock(ids, fewer)
}

/** The bounds by which fewer states are explored than there are. */
const fewerStates = (bounds: Bounds) =>
  (['reduce', 'symmetry'] as const).filter((name) => bounds[name] === true)

/** The invariants that an exploration of fewer states checks. */
function withoutLivelock(
  ids: readonly InvariantId[] | undefined,
  fewer: 'reduce' | 'symmetry',
): readonly InvariantId[] {
  if (ids === undefined) return (Object.keys(invariants) as InvariantId[]).filter((id) => id !== 'L4')
  if (!ids.includes('L4')) return ids
  throw new VgicError(
    'argument',
    `An exploration with \`${fewer}\` does not check L4: leave \`${fewer}\` out, or L4 out of \`invariants\`.`,
  )
}

function checkedSymmetry({ symmetry, merge, own }: Bounds): boolean {
  if (!argumentBoolean('symmetry', symmetry ?? false)) return false
  if (merge === false)
    throw new VgicError('argument', 'Symmetry merges states: leave `merge` or `symmetry` out.')
  if (own !== undefined && own.length > 0)
    throw new VgicError(
      'argument',
      'Invariants of your own may tell apart what is symmetric: leave `own` or `symmetry` out.',
    )
  return true
}

function checkedOwns({ own = [], reduce }: Bounds): readonly OwnInvariant[] {
  const owns = argumentList('own', own, 'invariants of your own').map(checkedOwn)
  if (reduce !== true || !owns.some(({ check }) => check)) return owns
  throw new VgicError(
    'argument',
    'A reduced exploration leaves out states that a `check` of your own may tell apart: leave `reduce` out.',
  )
}

function optionalFunction<F>(name: string, value: F | undefined, form: string): F | undefined {
  if (value !== undefined) argumentFunction(name, value, form)
  return value
}

function checkedSignal(signal: StopSignal | undefined): StopSignal | undefined {
  if (signal === undefined) return undefined
  argumentObject('signal', signal, 'an AbortSignal')
  argumentBoolean('signal.aborted', signal.aborted)
  return signal
}

const ownFields: Fields<OwnInvariant> = { name: true, says: true, check: true, atEnd: true }

function checkedOwn(own: OwnInvariant): OwnInvariant {
  const { name, says, check, atEnd } = argumentOptions('An invariant of your own', own, ownFields)
  argumentString('name', name)
  argumentString('says', says)
  optionalFunction('check', check, '(machine) => what is wrong, or undefined')
  optionalFunction('atEnd', atEnd, '(machine) => what is wrong, or undefined')
  if (check || atEnd) return own
  throw new VgicError('argument', `The invariant ${name} checks nothing: give it check or atEnd.`)
}

/** Above a budget's bytes: how many more steps of other actors than vCPUs all shards share. */
export const SHARED_STEP = 1 << 24

/** How many interventions a budget has, of all kinds. */
export const interventionsIn = (budget: number): number =>
  (budget & 0xff) + ((budget >> 8) & 0xff) + ((budget >> 16) & 0xff)
