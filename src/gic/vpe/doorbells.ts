/**
 * The doorbells of vPEs: physical LPIs that tell software of an interrupt for a vPE that is not resident (IHI 0069,
 * "Doorbell interrupts"). Where effects lag, a doorbell that was rung is delivered in a step of its own. There is room
 * for 16 under way; when that is full the oldest is delivered at once.
 */
import { FIRST_LPI, INTID_NONE } from '../../arch/intid.ts'
import type { Lpis } from '../lpi/lpis.ts'
import { DOORBELL_CAPACITY, VPES_DOORBELL, VPES_DOORBELLS } from './vpe-records.ts'

export class Doorbells {
  readonly words: Int32Array

  constructor(
    readonly lpis: Lpis,
    /** The record VPE_COMMON. */
    readonly common: number,
    readonly lagging: boolean,
  ) {
    this.words = lpis.words
  }

  /** How many are under way. */
  get count(): number {
    return this.words[this.common + VPES_DOORBELLS]
  }

  cpuOf(n: number): number {
    return this.words[this.common + VPES_DOORBELL + 2 * n]
  }

  intidOf(n: number): number {
    return this.words[this.common + VPES_DOORBELL + 2 * n + 1]
  }

  /** Whether one is under way to a CPU. */
  isUnderWay(cpu: number, intid: number): boolean {
    for (let n = 0; n < this.count; n++) if (this.cpuOf(n) === cpu && this.intidOf(n) === intid) return true
    return false
  }

  /** A doorbell rings at a CPU's redistributor. INTID 1023 is none. */
  ring(cpu: number, intid: number): void {
    if (intid === INTID_NONE) return
    if (!this.lagging) {
      this.lpis.set(cpu, intid - FIRST_LPI)
      return
    }
    if (this.count === DOORBELL_CAPACITY) this.deliver(0)
    const at = this.common + VPES_DOORBELL + 2 * this.count
    this.words[at] = cpu
    this.words[at + 1] = intid
    this.words[this.common + VPES_DOORBELLS]++
  }

  /** Doorbell `n` of those that are under way is delivered. */
  deliver(n: number): void {
    const cpu = this.cpuOf(n)
    const intid = this.intidOf(n)
    this.remove(n)
    this.lpis.set(cpu, intid - FIRST_LPI)
  }

  /** All of them are. */
  deliverAll(): void {
    while (this.count > 0) this.deliver(0)
  }

  private remove(n: number): void {
    const { words, common } = this
    const at = common + VPES_DOORBELL + 2 * n
    const end = common + VPES_DOORBELL + 2 * this.count
    words.copyWithin(at, at + 2, end)
    words.fill(0, end - 2, end)
    words[common + VPES_DOORBELLS]--
  }

  /** A doorbell that was rung and not acknowledged is taken back. */
  takeBack(cpu: number, intid: number): void {
    if (intid === INTID_NONE) return
    for (let n = this.count - 1; n >= 0; n--) {
      if (this.cpuOf(n) === cpu && this.intidOf(n) === intid) this.remove(n)
    }
    this.lpis.clear(cpu, intid - FIRST_LPI)
  }

  /** A doorbell that was rung and not acknowledged is rung at another redistributor instead. */
  move(from: number, to: number, intid: number): void {
    if (intid === INTID_NONE) return
    for (let n = 0; n < this.count; n++) {
      if (this.cpuOf(n) === from && this.intidOf(n) === intid)
        this.words[this.common + VPES_DOORBELL + 2 * n] = to
    }
    this.lpis.move(from, to, intid - FIRST_LPI)
  }
}
