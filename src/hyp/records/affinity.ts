/** The affinity of a vCPU, as its MPIDR_EL1 has it: vCPU n is 0.0.(n / 16).(n % 16). */
import { defaultAffinity, numberOf } from '../../gic/config/affinities.ts'

/** Aff2.Aff1.Aff0 of a vCPU, as in bits 23:0 of `GICD_IROUTER<n>`. */
export const affinityOf = defaultAffinity

/** The index of the vCPU that has an affinity; -1 if none of `count` has it. */
export function indexOfAffinity(affinity: number, count: number): number {
  const index = numberOf(affinity)
  return index < count && affinityOf(index) === affinity ? index : -1
}
