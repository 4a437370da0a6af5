/**
 * ITS_RESTORE_TABLES of KVM's device attributes: the ITSs of a VM take over what their tables in the guest's memory say,
 * which must be there before, as must the registers of the ITSs and redistributors. What was not saved there comes as
 * JSON (its-mappings.ts). All is read and checked first (saved-its.ts).
 */
import type { Hypervisor } from '../hypervisor.ts'
import {
  COLLECTION_TABLE,
  DEVICE_TABLE,
  ITS_ENTRY_SIZE,
  ITS_ID_BITS,
  type VgicIts,
} from '../vgic/vgic-its.ts'
import { readMappings, type SavedMappings } from './its-mappings.ts'
import { asCollectionEntry, asDeviceEntry, asEventEntry, readEntry } from './its-table-entries.ts'
import { slotsOf } from './its-tables-save.ts'
import {
  hasTable,
  type ItsDevice,
  ItsTables,
  ItsTakeOver,
  isIndirect,
  type PendingLpis,
  refused,
  roomOf,
} from './saved-its.ts'
import { checkStopped } from './userspace-registers.ts'

const PAGE = 0x1_0000
const HIGH = 0x1_0000_0000

/** What is not in the guest's memory: by ITS, and by vCPU; null for what is. */
export interface SavedInJson {
  readonly mappings: readonly (SavedMappings | null)[]
  readonly pending: PendingLpis
}

/** Everything is in the guest's memory. */
export const allInMemory = ({ layout }: Hypervisor): SavedInJson => ({
  mappings: Array.from({ length: layout.itsCount }, () => null),
  pending: Array.from({ length: layout.vcpuCount }, () => null),
})

/**
 * Restores the tables of all ITSs of a VM, in which nothing is mapped. Throws EINVAL for what does not belong into a
 * table, or does not fit into this VM, and EFAULT where there is no memory; then nothing has changed. `Tables` check what is
 * read from the guest's memory.
 */
export function restoreItsTables(
  hypervisor: Hypervisor,
  saved = allInMemory(hypervisor),
  Tables: typeof ItsTables = ItsTables,
): void {
  checkStopped(hypervisor)
  const { its } = hypervisor.mmio.dist
  const tables = saved.mappings.map((mappings, n) => {
    if ([DEVICE_TABLE, COLLECTION_TABLE].some((table) => slotsOf(its, n, table).length > 0))
      throw refused(`ITS ${n} has something mapped already, so reset it first`)
    return mappings === null ? readItsTables(its, n, Tables) : readMappings(its, n, mappings)
  })
  const takeOver = new ItsTakeOver(hypervisor, tables, saved.pending)
  takeOver.check()
  takeOver.take()
}

/** What the tables of ITS `n` in the guest's memory say that it has mapped. Throws as a restore of them does. */
export const readItsTables = (its: VgicIts, n: number, Tables: typeof ItsTables = ItsTables): ItsTables =>
  new TableReader(its, n, new Tables(its, n)).read()

/** Reads the tables of an ITS. */
class TableReader {
  /** The addresses of the events' entries, with their devices. */
  private readonly ittEntries = new Map<number, number>()

  constructor(
    private readonly its: VgicIts,
    private readonly n: number,
    private readonly tables: ItsTables,
  ) {}

  read(): ItsTables {
    const { its, n } = this
    if (hasTable(its, n, COLLECTION_TABLE)) this.readCollections()
    if (hasTable(its, n, DEVICE_TABLE)) this.readDevices()
    return this.tables
  }

  /** Collections are in the table one after the other, in any order, until an entry that is not valid. */
  private readCollections(): void {
    const { its, n } = this
    for (let i = 0; its.hasEntry(n, COLLECTION_TABLE, i); i++) {
      const address = its.entryAddress(n, COLLECTION_TABLE, i)
      const entry = asCollectionEntry(readEntry(its.memory, address, 'its collection table'))
      if (entry === undefined) break
      this.tables.addCollection(entry.icid, entry.target)
    }
  }

  /** A table that is indirect has pages of its own, each with entries that say how far it is to the next. */
  private readDevices(): void {
    const { its, n } = this
    const room = roomOf(its, n, DEVICE_TABLE)
    const step = isIndirect(its, n, DEVICE_TABLE) ? PAGE / ITS_ENTRY_SIZE : room
    for (let first = 0; first < room; first += step)
      if (its.hasEntry(n, DEVICE_TABLE, first) && this.endsIn(first, first + step)) return
  }

  /**
   * Reads the devices from one DeviceID to another, and says whether the last one of all was among them. A distance past
   * the end ends them: the next one is in another page.
   */
  private endsIn(first: number, end: number): boolean {
    const { its, n } = this
    for (let id = first; id < end; ) {
      const address = its.entryAddress(n, DEVICE_TABLE, id)
      const entry = asDeviceEntry(readEntry(its.memory, address, `the entry of device ${id}`))
      if (entry !== undefined) {
        this.readItt(this.tables.addDevice(id, entry.bits, entry.ittLow, entry.ittHigh))
        if (entry.next === 0) return true
      }
      id += entry?.next ?? 1
    }
    return false
  }

  private readItt(device: ItsDevice): void {
    // A device whose width was not checked may have more.
    const end = 2 ** Math.min(device.bits, ITS_ID_BITS)
    const base = device.ittHigh * HIGH + (device.ittLow >>> 0)
    for (let id = 0; id < end; ) {
      const address = base + id * ITS_ENTRY_SIZE
      const entry = asEventEntry(readEntry(this.its.memory, address, `the ITT of device ${device.id}`))
      const isValid = entry.intid !== 0
      if (isValid) {
        this.tables.addEvent(device, id, entry.intid, entry.icid)
        this.checkOverlap(device.id, address)
        if (id + entry.next >= end) {
          throw refused(
            `${this.tables.nameOf(device, id)} has its next one at ${id + entry.next}, past the ITT`,
          )
        }
        if (entry.next === 0) break
      }
      id += isValid ? entry.next : 1
    }
  }

  /** ITTs may overlap as long as no two events have the same entry. */
  private checkOverlap(deviceId: number, address: number): void {
    const other = this.ittEntries.get(address)
    this.ittEntries.set(address, deviceId)
    if (other === undefined) return
    throw refused(`The ITTs of devices ${other} and ${deviceId} of ITS ${this.n} overlap`)
  }
}
