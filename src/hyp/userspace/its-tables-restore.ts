/**
 * ITS_RESTORE_TABLES of KVM's device attributes: the ITSs of a VM take over what their tables in the guest's memory say,
 * which must be there before, as must the registers of the ITSs and redistributors. All tables are read and checked first,
 * so that what a guest's commands could not have made is refused before anything has changed.
 */
import { FIRST_LPI } from '../../arch/intid.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { ITS_BASER } from '../records/its-record.ts'
import { VCPU_LPIS_ENABLED } from '../records/vcpu.ts'
import { TARGET_NONE } from '../records/vgic-irq.ts'
import { VM_PROPBASER } from '../records/vm.ts'
import {
  COLLECTION_TABLE,
  DEVICE_TABLE,
  ITS_ENTRY_SIZE,
  ITS_ID_BITS,
  type VgicIts,
} from '../vgic/vgic-its.ts'
import {
  asCollectionEntry,
  asDeviceEntry,
  asEventEntry,
  type CollectionEntry,
  type DeviceEntry,
  type EventEntry,
  readEntry,
  writeEntry,
} from './its-table-entries.ts'
import { hasTable, pendingAddress, slotsOf } from './its-tables-save.ts'
import { checkStopped } from './userspace-registers.ts'

/** What the tables of an ITS say. */
interface ItsTables {
  readonly its: number
  readonly collections: readonly CollectionEntry[]
  readonly devices: readonly SavedDevice[]
}

interface SavedDevice {
  readonly id: number
  readonly entry: DeviceEntry
  readonly events: readonly SavedEvent[]
}

interface SavedEvent {
  readonly id: number
  readonly entry: EventEntry
}

const PAGE = 0x1_0000
const HIGH = 0x1_0000_0000
const IDS = 2 ** ITS_ID_BITS
const INDIRECT = 0x4000_0000

const refused = (why: string): VgicError => new VgicError('EINVAL', `${why}: nothing was restored.`)

/**
 * Restores the tables of all ITSs of a VM, in which nothing is mapped. Throws EINVAL for what does not belong into a
 * table, or does not fit into this VM, and EFAULT where there is no memory; then nothing has changed.
 */
export function restoreItsTables(hypervisor: Hypervisor): void {
  checkStopped(hypervisor)
  const { layout, mmio } = hypervisor
  const { its } = mmio.dist
  const tables = Array.from({ length: layout.itsCount }, (_, n) => {
    if ([DEVICE_TABLE, COLLECTION_TABLE].some((table) => slotsOf(its, n, table).length > 0))
      throw refused(`ITS ${n} has something mapped already, so reset it first`)
    return new TableReader(its, n).read()
  })
  checkRoom(its, tables)
  for (const each of tables) take(its, each)
  // A pending LPI is queued when it is made, though its redistributor takes none now.
  for (let i = 0; i < layout.vcpuCount; i++) {
    const v = its.apLists.vcpuOf(i)
    if (its.words[v + VCPU_LPIS_ENABLED] === 0) its.apLists.takeLpisOff(v)
  }
}

/** Reads the tables of an ITS. */
class TableReader {
  /** The addresses of the events' entries, with their devices. */
  private readonly ittEntries = new Map<number, number>()

  constructor(
    private readonly its: VgicIts,
    private readonly n: number,
  ) {}

  read(): ItsTables {
    const { its, n } = this
    const collections = hasTable(its, n, COLLECTION_TABLE) ? this.readCollections() : []
    const devices = hasTable(its, n, DEVICE_TABLE) ? this.readDevices(collections) : []
    return { its: n, collections, devices }
  }

  /** Collections are in the table one after the other, in any order, until an entry that is not valid. */
  private readCollections(): CollectionEntry[] {
    const { its, n } = this
    const collections: CollectionEntry[] = []
    const known = new Set<number>()
    for (let i = 0; its.hasEntry(n, COLLECTION_TABLE, i); i++) {
      const address = its.entryAddress(n, COLLECTION_TABLE, i)
      const entry = asCollectionEntry(readEntry(its.memory, address, 'its collection table'))
      if (entry === undefined) break
      this.checkCollection(entry)
      if (known.has(entry.icid))
        throw refused(`The collection table of ITS ${n} has ICID ${entry.icid} twice`)
      known.add(entry.icid)
      collections.push(entry)
    }
    return collections
  }

  private checkCollection({ icid, target }: CollectionEntry): void {
    const { its, n } = this
    const { vcpuCount } = its.apLists.layout
    if (!its.hasEntry(n, COLLECTION_TABLE, icid)) {
      throw refused(`The collection table of ITS ${n} has ICID ${icid}, for which it has no room`)
    }
    if (target !== undefined && target >= vcpuCount) {
      throw refused(`Collection ${icid} of ITS ${n} goes to vCPU ${target}, but the VM has ${vcpuCount}`)
    }
  }

  /** A table that is indirect has pages of its own, each with entries that say how far it is to the next. */
  private readDevices(collections: readonly CollectionEntry[]): SavedDevice[] {
    const { its, n } = this
    const at = its.recordOf(n) + ITS_BASER
    const perPage = PAGE / ITS_ENTRY_SIZE
    const size = (its.words[at] & 0xff) + 1
    const isIndirect = (its.words[at + 1] & INDIRECT) !== 0
    const icids = new Set(collections.map(({ icid }) => icid))
    const chains = isIndirect
      ? Array.from({ length: Math.min(size * perPage, IDS / perPage) }, (_, page) => page * perPage)
      : [0]
    return chains.flatMap((first) => {
      const end = isIndirect ? first + perPage : Math.min(size * perPage, IDS)
      return its.hasEntry(n, DEVICE_TABLE, first) ? this.readChain(first, end, icids) : []
    })
  }

  /** The devices from one DeviceID to another. A distance past the end ends them: the next one is in another page. */
  private readChain(first: number, end: number, icids: ReadonlySet<number>): SavedDevice[] {
    const { its, n } = this
    const devices: SavedDevice[] = []
    for (let id = first; id < end; ) {
      const address = its.entryAddress(n, DEVICE_TABLE, id)
      const entry = asDeviceEntry(readEntry(its.memory, address, `the entry of device ${id}`))
      if (entry !== undefined) {
        if (entry.bits > ITS_ID_BITS) {
          throw refused(
            `Device ${id} of ITS ${n} has ${entry.bits} bits of EventIDs, more than ${ITS_ID_BITS}`,
          )
        }
        devices.push({ id, entry, events: this.readItt(id, entry, icids) })
        if (entry.next === 0) break
      }
      id += entry?.next ?? 1
    }
    return devices
  }

  private readItt(deviceId: number, device: DeviceEntry, icids: ReadonlySet<number>): SavedEvent[] {
    const { its } = this
    const events: SavedEvent[] = []
    const end = 2 ** device.bits
    const base = device.ittHigh * HIGH + (device.ittLow >>> 0)
    for (let id = 0; id < end; ) {
      const address = base + id * ITS_ENTRY_SIZE
      const entry = asEventEntry(readEntry(its.memory, address, `the ITT of device ${deviceId}`))
      const isValid = entry.intid >= FIRST_LPI
      if (isValid) {
        this.checkEvent(deviceId, id, entry, icids)
        this.checkOverlap(deviceId, address)
        if (id + entry.next >= end) {
          throw refused(`${this.nameOf(deviceId, id)} has its next one at ${id + entry.next}, past the ITT`)
        }
        events.push({ id, entry })
        if (entry.next === 0) break
      }
      id += isValid ? entry.next : 1
    }
    return events
  }

  private checkEvent(deviceId: number, id: number, entry: EventEntry, icids: ReadonlySet<number>): void {
    const { intid, icid } = entry
    const what = this.nameOf(deviceId, id)
    if (intid >= IDS) throw refused(`${what} is INTID ${intid}, beyond ${ITS_ID_BITS} bits`)
    if (!icids.has(icid))
      throw refused(`${what} is in collection ${icid}, which is not in the collection table`)
  }

  /** ITTs may overlap as long as no two events have the same entry. */
  private checkOverlap(deviceId: number, address: number): void {
    const other = this.ittEntries.get(address)
    this.ittEntries.set(address, deviceId)
    if (other === undefined) return
    throw refused(`The ITTs of devices ${other} and ${deviceId} of ITS ${this.n} overlap`)
  }

  private nameOf(deviceId: number, eventId: number): string {
    return `Event ${eventId} of device ${deviceId} of ITS ${this.n}`
  }
}

/** Throws EINVAL if the VM has too few slots, and EFAULT if an LPI's configuration or pending bit is in no memory. */
function checkRoom(its: VgicIts, tables: readonly ItsTables[]): void {
  const { lpi, device, event, collection } = its.apLists.layout.lpis
  const events = tables.flatMap(({ devices }) => devices.flatMap((one) => one.events))
  const intids = new Set(events.map(({ entry }) => entry.intid))
  const total = (many: (one: ItsTables) => readonly unknown[]): number =>
    tables.reduce((sum, one) => sum + many(one).length, 0)
  const needed: readonly (readonly [what: string, needs: number, has: number, option: string])[] = [
    ['LPIs', intids.size, lpi.count, 'lpis'],
    ['events', events.length, event.count, 'lpis'],
    ['devices', total(({ devices }) => devices), device.count, 'itsDevices'],
    ['collections', total(({ collections }) => collections), collection.count, 'itsCollections'],
  ]
  for (const [what, needs, has, option] of needed) {
    if (needs <= has) continue
    throw new VgicError(
      'EINVAL',
      `The tables have ${needs} ${what}, but this VM has room for ${has}: nothing was restored. Give it more ${option}.`,
    )
  }
  for (const one of tables) checkMemory(its, one)
}

function checkMemory(its: VgicIts, { collections, devices }: ItsTables): void {
  const targets = new Map(collections.map(({ icid, target }) => [icid, target]))
  const { words, apLists } = its
  const propbaser = apLists.layout.vm + VM_PROPBASER
  const base = (words[propbaser + 1] & 0xf_ffff) * HIGH + ((words[propbaser] & ~0xfff) >>> 0)
  for (const { entry } of devices.flatMap(({ events }) => events)) {
    const offset = entry.intid - FIRST_LPI
    readEntry(its.memory, base + offset - (offset % 8), 'the configuration of its LPIs')
    const target = targets.get(entry.icid)
    if (target === undefined) continue
    const [address, what] = [pendingAddress(its, target, entry.intid), `the pending table of vCPU ${target}`]
    // Pending bits are taken out of it, which must not be refused later.
    writeEntry(its.memory, address, readEntry(its.memory, address, what), what)
  }
}

/** Maps what the tables say. An INTID of two events has one LPI, which goes where the first of them goes. */
function take(its: VgicIts, { its: n, collections, devices }: ItsTables): void {
  const slots = new Map<number, number>()
  for (const { icid, target } of collections) {
    const slot = its.addCollection(n, icid)
    its.setTarget(slot, target ?? TARGET_NONE)
    slots.set(icid, slot)
  }
  for (const { id, entry, events } of devices) {
    its.addDevice(n, id, entry.bits, entry.ittLow, entry.ittHigh)
    const device = its.findDevice(n, id)
    for (const event of events) {
      const collection = slots.get(event.entry.icid) ?? 0
      const irq = its.lpiFor(event.entry.intid, its.targetOf(collection))
      if (irq !== 0) its.addEvent(device, event.id, irq, collection)
    }
  }
}
