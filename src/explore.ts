/**
 * vgic/explore: every interleaving of a scenario, checked; counterexamples that replay; the museum of bugs.
 *
 * @packageDocumentation
 */
export { type Bounds, explore, type Report, type Violation } from './explore/explorer.ts'
export { type InvariantId, invariants } from './explore/invariants.ts'
export { exhibit, type MuseumEntry, type MuseumRow, museum } from './explore/museum/museum.ts'
export { type ReplayOptions, replay } from './explore/replay.ts'
