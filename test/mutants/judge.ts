/**
 * What becomes of the mutations of a design. One that holds although it is no equivalent is a hole: in an invariant, or
 * in what the trials make the design do.
 */
import { VgicError } from 'vgic'
import { type Bounds, explore, type InvariantId, invariants, type Report } from 'vgic/explore'
import type { Design, Scenario } from 'vgic/scenario'
import { compile } from '../../src/hyp/run/program.ts'
import type { Equivalence } from './equivalences.ts'
import { type Mutation, mutationsOf } from './mutations.ts'
import { type Trial, trials } from './trials.ts'

/** What became of a mutation. */
export interface Verdict {
  readonly mutation: string
  readonly kind: 'refused' | 'refuted' | 'equivalent' | 'HOLE'
  /** The error, the invariant with what is wrong, the reason, or what is missing. */
  readonly why: string
}

/** A design's trials, without the invariants that the design itself breaks there. */
export interface Baseline {
  readonly design: Design
  readonly trials: readonly { readonly trial: Trial; readonly bounds: Bounds }[]
  /** `edge: S11`. */
  readonly broken: readonly string[]
}

/** Which equivalences were needed, and which were given for what does not hold. */
export interface Used {
  readonly needed: Set<Equivalence>
  readonly wrong: Set<Equivalence>
}

/** Finds out what a design keeps, in all trials or some. */
export function baselineOf(design: Design, among: readonly Trial[] = trials): Baseline {
  const broken: string[] = []
  const kept = among.map((trial) => {
    let checked = Object.keys(invariants) as InvariantId[]
    for (;;) {
      const bounds = { ...trial.bounds, invariants: checked }
      const { violation, bound } = explore(trial.scenario(design), bounds)
      if (bound)
        throw new Error(`${design.name} does not end in trial ${trial.name}: raise its bound ${bound}`)
      if (!violation) return { trial, bounds }
      broken.push(`${trial.name}: ${violation.invariant}`)
      checked = checked.filter((id) => id !== violation.invariant)
    }
  })
  return { design, trials: kept, broken }
}

/** Judges all mutations of a design, one after another. */
export function* judge(
  design: Design,
  baseline: Baseline,
  equivalences: readonly Equivalence[],
  used: Used,
): Generator<Verdict> {
  for (const mutation of mutationsOf(design)) {
    const fate = fateOf(mutation, baseline)
    const fits = equivalences.filter((equivalence) => isFor(equivalence, design, mutation))
    if (fate.kind !== 'HOLE') {
      for (const equivalence of fits) used.wrong.add(equivalence)
      yield { mutation: mutation.name, ...fate }
      continue
    }
    const [reason] = fits
    if (reason) used.needed.add(reason)
    yield { mutation: mutation.name, ...(reason ? { kind: 'equivalent', why: reason.because } : fate) }
  }
}

const isFor = ({ of, designs }: Equivalence, design: Design, { name }: Mutation): boolean =>
  of.test(name) && (designs === undefined || designs.includes(design.name))

function fateOf(
  { name, make, withoutVpes }: Mutation,
  { design: whole, trials: kept }: Baseline,
): Omit<Verdict, 'mutation'> {
  try {
    const design = make()
    const isAboutVpes = hasSameSteps(design, whole)
    for (const { trial, bounds } of kept) {
      if (trial.gicv4 ? withoutVpes : isAboutVpes) continue
      if (trial.only && !trial.only.test(name)) continue
      const { violation, bound } = checked(trial.scenario(design), bounds)
      if (violation) {
        const { invariant, what, steps } = violation
        return { kind: 'refuted', why: `${invariant} in ${trial.name}, ${steps} steps: ${what}` }
      }
      if (bound) return { kind: 'HOLE', why: `${trial.name} ends at its bound ${bound}` }
    }
    return { kind: 'HOLE', why: 'it holds in every trial' }
  } catch (error) {
    if (error instanceof VgicError) return { kind: 'refused', why: error.message }
    throw error
  }
}

/** Whether two designs are the same on a machine without GICv4. */
function hasSameSteps(one: Design, other: Design): boolean {
  const [a, b] = [compile(one), compile(other)]
  return a.own.every((step, i) => step === b.own[i]) && `${a.table}` === `${b.table}`
}

/** An exploration in which a step that writes what its row does not allow is no refusal of the design, but a fault. */
function checked(scenario: Scenario, bounds: Bounds): Report {
  try {
    return explore(scenario, bounds)
  } catch (error) {
    if (!(error instanceof VgicError)) throw error
    // Checked or not, what a design is refused for is the same.
    explore(scenario, { ...bounds, checkWrites: false })
    throw new Error(error.message, { cause: error })
  }
}
