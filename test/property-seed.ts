/**
 * Where property tests begin. A commit that passed CI passes it again, so that a run there has the same seed each time;
 * everywhere else each run is another one. VGIC_RUNS is the number of cases of a property, for a longer hunt.
 */
import fc from 'fast-check'

const { CI, VGIC_RUNS } = process.env
fc.configureGlobal({
  ...(CI !== undefined && { seed: 1 }),
  ...(VGIC_RUNS !== undefined && { numRuns: Number(VGIC_RUNS) }),
})
