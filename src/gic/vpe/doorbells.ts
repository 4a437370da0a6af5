/**
 * The doorbells of vPEs: physical LPIs that tell software of an interrupt for a vPE that is not resident (IHI 0069,
 * "Doorbell interrupts"). Where effects lag, a doorbell that was rung is delivered in a step of its own. There is room
 * for 16 under way; when that is full the oldest is delivered at once.
 */
import { FIRST_LPI, INTID_NONE } from '../../arch/intid.ts'
import { RecordList } from '../../state/record-list.ts'
import type { Lpis } from '../lpi/lpis.ts'
import { DOORBELL_CAPACITY, VPES_DOORBELL, VPES_DOORBELLS } from './vpe-records.ts'

export class Doorbells {
  readonly words: Int32Array
  private readonly list: RecordList

  constructor(
    readonly lpis: Lpis,
    /** The record VPE_COMMON. */
    common: number,
    readonly lagging: boolean,
  ) {
    const { words } = lpis
    this.words = words
    const [count, first] = [common + VPES_DOORBELLS, common + VPES_DOORBELL]
    this.list = new RecordList(words, count, first, 2, DOORBELL_CAPACITY)
  }

  /** How many are under way. */
  get count(): number {
    return this.list.count
  }

  cpuOf(n: number): number {
    return this.words[this.list.entryAt(n)]
  }

  intidOf(n: number): number {
    return this.words[this.list.entryAt(n) + 1]
  }

  /** Whether one is under way to a CPU. */
  isUnderWay(cpu: number, intid: number): boolean {
    for (let n = 0; n < this.count; n++) if (this.isOne(n, cpu, intid)) return true
    return false
  }

  private isOne(n: number, cpu: number, intid: number): boolean {
    return this.cpuOf(n) === cpu && this.intidOf(n) === intid
  }

  /** A doorbell rings at a CPU's redistributor. INTID 1023 is none. */
  ring(cpu: number, intid: number): void {
    if (intid === INTID_NONE) return
    if (!this.lagging) {
      this.lpis.set(cpu, intid - FIRST_LPI)
      return
    }
    if (this.list.isFull) this.deliver(0)
    const at = this.list.add()
    this.words[at] = cpu
    this.words[at + 1] = intid
  }

  /** Doorbell `n` of those that are under way is delivered. */
  deliver(n: number): void {
    const cpu = this.cpuOf(n)
    const intid = this.intidOf(n)
    this.list.remove(n)
    this.lpis.set(cpu, intid - FIRST_LPI)
  }

  /** All of them are. */
  deliverAll(): void {
    while (this.count > 0) this.deliver(0)
  }

  /** A doorbell that was rung and not acknowledged is taken back. */
  takeBack(cpu: number, intid: number): void {
    if (intid === INTID_NONE) return
    for (let n = this.count - 1; n >= 0; n--) if (this.isOne(n, cpu, intid)) this.list.remove(n)
    this.lpis.clear(cpu, intid - FIRST_LPI)
  }

  /** A doorbell that was rung and not acknowledged is rung at another redistributor instead. */
  move(from: number, to: number, intid: number): void {
    if (intid === INTID_NONE) return
    for (let n = 0; n < this.count; n++) if (this.isOne(n, from, intid)) this.words[this.list.entryAt(n)] = to
    this.lpis.move(from, to, intid - FIRST_LPI)
  }
}
