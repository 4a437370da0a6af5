/**
 * vgic/explore: every interleaving of a scenario, checked; counterexamples that replay; the museum of bugs.
 *
 * @module vgic/explore
 */
export type {
  Bounds,
  Covered,
  Interventions,
  OwnInvariant,
  Progress,
  Report,
  StopSignal,
  Verdict,
  Violation,
} from './explore/bounds.ts'
export { Exploration, explore, exploreAsync } from './explore/exploration.ts'
export { invariantName } from './explore/invariant-names.ts'
export { type InvariantId, invariants } from './explore/invariants.ts'
export { type MergedReport, mergeReports } from './explore/merge-reports.ts'
export { type MinimiseOptions, minimise } from './explore/minimise.ts'
export { exhibit, type MuseumEntry, type MuseumRow, museum } from './explore/museum/museum.ts'
export { exploreRandom, type PctGuarantee, type RandomBounds, type RandomReport } from './explore/random.ts'
export { type ReplayOptions, replay } from './explore/replay.ts'
