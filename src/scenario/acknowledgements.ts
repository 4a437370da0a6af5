/**
 * What the guests of a run have acknowledged. It is all that a run keeps of its steps, and there may be many millions: they
 * are in typed arrays, four bytes each, whose length doubles when one is full.
 */
import type { Intid } from '../arch/intid.ts'
import { doubled } from '../state/doubled.ts'

const FIRST_ROOM = 16

/** The INTIDs that each vCPU's guest has acknowledged, in order. */
export class Acknowledgements {
  private readonly intids: Int32Array[]
  private readonly counts: Int32Array

  constructor(vcpus: number) {
    this.intids = Array.from({ length: vcpus }, () => new Int32Array(FIRST_ROOM))
    this.counts = new Int32Array(vcpus)
  }

  add(vcpu: number, intid: Intid): void {
    const { counts } = this
    const count = counts[vcpu]++
    const intids = this.intids[vcpu]
    if (count < intids.length) intids[count] = intid
    else this.grown(vcpu)[count] = intid
  }

  private grown(vcpu: number): Int32Array {
    const larger = doubled(this.intids[vcpu])
    this.intids[vcpu] = larger
    return larger
  }

  /** Those of a vCPU. */
  of(vcpu: number): number[] {
    return [...this.intids[vcpu].subarray(0, this.counts[vcpu])]
  }
}
