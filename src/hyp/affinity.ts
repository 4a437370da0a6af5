/** The affinity of a vCPU, as its MPIDR_EL1 has it: vCPU n is 0.0.(n / 16).(n % 16). */

/** Aff2.Aff1.Aff0 of a vCPU, as in bits 23:0 of GICD_IROUTER<n>. */
export const affinityOf = (index: number): number => (index & 0xf) | ((index >> 4) << 8)

/** The index of the vCPU that has an affinity; -1 if none of `count` has it. */
export function indexOfAffinity(affinity: number, count: number): number {
  if ((affinity & 0xf0) !== 0) return -1
  const index = (affinity & 0xf) | ((affinity >>> 8) << 4)
  return index < count ? index : -1
}
