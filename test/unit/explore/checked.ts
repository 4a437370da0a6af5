/** Explorations that also compare every word after every step with what the step may write. */
import { type Bounds, explore as exploreAsItIs, type Report } from 'vgic/explore'
import type { Scenario } from 'vgic/scenario'

export const explore = (scenario: Scenario, bounds: Bounds = {}): Report =>
  exploreAsItIs(scenario, { ...bounds, checkWrites: true })
