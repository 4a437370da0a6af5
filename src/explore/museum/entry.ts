/** What the museum keeps of a bug. */
import type { Design } from '../../hyp/run/design.ts'
import type { Scenario } from '../../scenario/builder.ts'
import type { Bounds } from '../bounds.ts'
import type { InvariantId } from '../invariants.ts'

/** A bug of the catalogue, and how to show it. */
export interface MuseumEntry {
  /** Its number in the catalogue. */
  readonly id: string
  /** Its name in the catalogue. */
  readonly name: string
  /** What goes wrong, in a sentence. */
  readonly story: string
  /** The invariant that the bug violates. */
  readonly invariant: InvariantId
  /** The design without the bug. */
  readonly good: Design
  /** The good design, edited to have the bug. */
  readonly bug: Design
  /** Makes the scenario that shows the bug, for a design. */
  readonly scenario: (design: Design) => Scenario
  /** The bounds within which the exploration finds the bug. */
  readonly bounds: Bounds
}
