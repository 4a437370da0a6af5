/**
 * The messages that an ITS has accepted and not yet translated, where that lags: its words ITS_MSIS, in the order in
 * which they came. They may be translated in any order, before or after any command (IHI 0069, "ITS operation"). There
 * is room for 16. When it is full the ITS takes no further message before it has translated the oldest: that one is
 * translated at once.
 */
import { RecordList } from '../../state/record-list.ts'
import { ITS_MSI_COUNT, ITS_MSIS, MSI_CAPACITY } from './its-records.ts'

export class AcceptedMessages {
  private readonly list: RecordList

  constructor(
    readonly words: Int32Array,
    /** The record of the ITS. */
    its: number,
  ) {
    this.list = new RecordList(words, its + ITS_MSI_COUNT, its + ITS_MSIS, 2, MSI_CAPACITY)
  }

  get count(): number {
    return this.list.count
  }

  get isFull(): boolean {
    return this.list.isFull
  }

  deviceIdOf(n: number): number {
    return this.words[this.list.entryAt(n)]
  }

  eventIdOf(n: number): number {
    return this.words[this.list.entryAt(n) + 1]
  }

  /** There is room: {@link isFull} was asked. */
  add(deviceId: number, eventId: number): void {
    const at = this.list.add()
    this.words[at] = deviceId
    this.words[at + 1] = eventId
  }

  /** Message `n` is translated. */
  remove(n: number): void {
    this.list.remove(n)
  }
}
