/**
 * What of a saved VM is neither in registers nor in the guest's memory as a list of numbers, so that an image of a fixed size
 * can have it: what disabled ITSs have mapped, and which LPIs are pending where no pending table says so. Each list has its
 * length before it; what is null, or left out, is 0, and what is there is one more than its number.
 */
import { halves, joined } from '../arch/doubleword.ts'
import { hex } from '../errors/printed.ts'
import type { VmSetup } from '../hyp/hypervisor.ts'
import type { SavedCollection, SavedItsDevice, SavedItsEvent } from '../hyp/userspace/its-mappings.ts'
import type { SavedInJson } from '../hyp/userspace/its-tables-restore.ts'

/** How many numbers there are at most. */
export function mostNumbers({ vcpus, lpis, frames }: VmSetup): number {
  const { length } = frames.its ?? []
  if (length === 0) return vcpus
  return 2 * length + 5 * lpis.itsDevices + 3 * lpis.lpis + 2 * lpis.itsCollections + vcpus + lpis.lpis
}

const some = <T>(value: T | null | undefined, numbers: (value: T) => number[]): number[] =>
  value === null || value === undefined ? [0] : numbers(value)
const list = <T>(values: readonly T[], numbers: (value: T) => number[]): number[] => [
  values.length + 1,
  ...values.flatMap(numbers),
]
const orNone = (value: number | undefined): number => (value === undefined ? 0 : value + 1)

export const numbersOf = ({ mappings, pending }: SavedInJson): number[] => [
  ...mappings.flatMap((one) =>
    some(one, ({ devices, collections }) => [
      ...list(devices, ({ id, bits, itt, events }) => [
        id,
        bits,
        ...halves(BigInt(itt)),
        ...list(events, ({ id, intid, icid }) => [id, intid, orNone(icid)]),
      ]),
      ...list(collections, ({ icid, vcpu }) => [icid, orNone(vcpu)]),
    ]),
  ),
  ...pending.flatMap((intids) => some(intids, (all) => list(all, (intid) => [intid]))),
]

/** The other way round, from the words at `at` on. */
export class NumbersReader {
  constructor(
    private readonly words: Int32Array,
    private at: number,
  ) {}

  read(itss: number, vcpus: number): SavedInJson {
    return {
      mappings: Array.from({ length: itss }, () => {
        const devices = this.list(() => this.device())
        return devices && { devices, collections: this.list(() => this.collection()) ?? [] }
      }),
      pending: Array.from({ length: vcpus }, () => this.list(() => this.next())),
    }
  }

  private next(): number {
    return this.words[this.at++] >>> 0
  }

  /** null if it is not there. */
  private list<T>(element: () => T): T[] | null {
    const length = this.next()
    return length === 0 ? null : Array.from({ length: length - 1 }, element)
  }

  private device(): SavedItsDevice {
    const [id, bits, low, high] = [this.next(), this.next(), this.next(), this.next()]
    return { id, bits, itt: hex(joined(low, high)), events: this.list(() => this.event()) ?? [] }
  }

  private event(): SavedItsEvent {
    const [id, intid, icid] = [this.next(), this.next(), this.next()]
    return { id, intid, ...(icid !== 0 && { icid: icid - 1 }) }
  }

  private collection(): SavedCollection {
    const [icid, vcpu] = [this.next(), this.next()]
    return { icid, ...(vcpu !== 0 && { vcpu: vcpu - 1 }) }
  }
}
