/**
 * The affinities of the CPUs (IHI 0069, "Affinity routing"). An affinity is one word, Aff3.Aff2.Aff1.Aff0 from bit 31
 * down, as in GICR_TYPER.Affinity_Value. Affinities come from the configuration and never change.
 */

/** The default affinity of CPU n: 0.0.(n / 16).(n % 16). */
export const defaultAffinity = (cpu: number): number => ((cpu >> 4) << 8) | (cpu & 15)

/**
 * The inverse of {@link defaultAffinity}: the only CPU that can have an affinity by default. The caller checks that
 * it does.
 */
export const numberOf = (affinity: number): number => ((affinity >>> 8) << 4) | (affinity & 15)

/**
 * The bits of an affinity in which PEs agree that have something in common, by a field such as GICR_TYPER.CommonLPIAff or
 * GITS_TYPER.SVPET: none, Aff3, Aff3.Aff2, or Aff3.Aff2.Aff1.
 */
export const COMMON_AFFINITY = [0, 0xff00_0000 | 0, 0xffff_0000 | 0, 0xffff_ff00 | 0] as const

export class Affinities {
  /** The affinities by CPU. */
  readonly values: Int32Array
  /** Whether any CPU has an Aff0 above 15, so that SGIs need a range selector. */
  readonly rangeSelector: boolean
  private readonly cpus: ReadonlyMap<number, number>

  constructor(affinities: readonly number[]) {
    this.values = Int32Array.from(affinities)
    this.rangeSelector = affinities.some((affinity) => (affinity & 0xff) > 15)
    this.cpus = new Map(Array.from(this.values, (affinity, cpu) => [affinity, cpu]))
  }

  /** The CPU with an affinity; -1 if there is none. */
  cpuOf(affinity: number): number {
    const usual = numberOf(affinity)
    if (usual < this.values.length && this.values[usual] === affinity) return usual
    const cpu = this.cpus.get(affinity)
    return cpu === undefined ? -1 : cpu
  }
}
