/**
 * The messages that an ITS has accepted and not yet translated, where that lags: its words ITS_MSIS, in the order in
 * which they came. They may be translated in any order, before or after any command (IHI 0069, "ITS operation"). There
 * is room for 16. When it is full the ITS takes no further message before it has translated the oldest: that one is
 * translated at once.
 */
import { ITS_MSI_COUNT, ITS_MSIS, MSI_CAPACITY } from './its-records.ts'

export class AcceptedMessages {
  constructor(
    readonly words: Int32Array,
    /** The record of the ITS. */
    readonly its: number,
  ) {}

  get count(): number {
    return this.words[this.its + ITS_MSI_COUNT]
  }

  get isFull(): boolean {
    return this.count === MSI_CAPACITY
  }

  deviceIdOf(n: number): number {
    return this.words[this.its + ITS_MSIS + 2 * n]
  }

  eventIdOf(n: number): number {
    return this.words[this.its + ITS_MSIS + 2 * n + 1]
  }

  /** There is room: {@link isFull} was asked. */
  add(deviceId: number, eventId: number): void {
    const at = this.its + ITS_MSIS + 2 * this.count
    this.words[at] = deviceId
    this.words[at + 1] = eventId
    this.words[this.its + ITS_MSI_COUNT]++
  }

  /** Message `n` is translated: those behind it move up. */
  remove(n: number): void {
    const { words, its } = this
    const at = its + ITS_MSIS + 2 * n
    const end = its + ITS_MSIS + 2 * this.count
    words.copyWithin(at, at + 2, end)
    words.fill(0, end - 2, end)
    words[its + ITS_MSI_COUNT]--
  }
}
