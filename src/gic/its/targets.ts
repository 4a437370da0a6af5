/**
 * What RDbase means in a command (IHI 0069, "GITS_TYPER.PTA"): a redistributor, by its Processor_Number or by the
 * address of its frames. Both are in bits 51:16 of a doubleword.
 */
import type { CheckedGicConfig } from '../config/config.ts'
import { redistributorSize } from '../config/config.ts'

export class Targets {
  /** By CPU: its RDbase, bits 47:16 and 51:48 of the doubleword. */
  private readonly low: Int32Array
  private readonly high: Int32Array

  constructor(
    { cpus, gicr, version }: CheckedGicConfig,
    readonly pta: 0 | 1,
  ) {
    this.low = new Int32Array(cpus)
    this.high = new Int32Array(cpus)
    let cpu = 0
    for (const { base, count } of gicr) {
      for (let n = 0; n < count && cpu < cpus; n++, cpu++) {
        const address = pta === 0 ? cpu * 0x1_0000 : base + n * redistributorSize(version)
        this.low[cpu] = (address % 0x1_0000_0000) | 0
        this.high[cpu] = Math.floor(address / 0x1_0000_0000)
      }
    }
  }

  /** The CPU that a doubleword names; -1 if it names none. */
  cpuOf(low: number, high: number): number {
    if (this.pta === 0) {
      const number = low >>> 16
      return (high & 0xfffff) === 0 && number < this.low.length ? number : -1
    }
    for (let cpu = 0; cpu < this.low.length; cpu++) {
      if (this.low[cpu] === (low & ~0xffff) && this.high[cpu] === (high & 0xfffff)) return cpu
    }
    return -1
  }
}
