/** What software has put into the tables of an ITS, as plain data. */
import { FIRST_LPI, INTID_NONE } from '../../arch/intid.ts'
import { MEMORY_REFUSED, TRANSLATED } from '../config/translation-faults.ts'
import { inspectVpe, type VpeContents } from './inspect-vpes.ts'
import type { Its } from './its.ts'
import {
  COLLECTION_TABLE,
  DEVICE_TABLE,
  ITS_FOUND_CPU,
  ITS_FOUND_ICID,
  ITS_FOUND_INTID,
  ITS_ITT,
  VPE_TABLE,
} from './its-records.ts'

/** An event of a device. */
export interface EventEntry {
  /** What the device writes to GITS_TRANSLATER. */
  readonly eventId: number
  /** The LPI, or the vLPI of `vpe`, that it is translated to. */
  readonly intid: number
  /** The collection that an LPI is in. */
  readonly collection: number | undefined
  /** On GICv4, the vPE that a vLPI is for. */
  readonly vpe?: number | undefined
  /** On GICv4.0, the doorbell of a vLPI that has one: its INTID. */
  readonly doorbell?: number | undefined
  /** The CPU that the collection or the vPE goes to; undefined while it is not mapped. */
  readonly cpu: number | undefined
  /** Whether the LPI is pending at that CPU, or the vLPI for the vPE. */
  readonly pending: boolean
}

/** A device that is mapped. */
export interface DeviceEntry {
  /** As the bus gives it: for PCI the requester ID. */
  readonly deviceId: number
  /** The address of its ITT, such as `0x50600000`. */
  readonly itt: string
  /** Bits of its EventIDs. */
  readonly eventBits: number
  /** The events that are mapped. */
  readonly events: readonly EventEntry[]
}

/** A collection that is mapped. */
export interface CollectionEntry {
  /** Its number, ICID. */
  readonly collection: number
  /** The CPU that its interrupts go to. */
  readonly cpu: number
}

/** The tables of an ITS. */
export interface ItsContents {
  /** The ITS, by its index in the configuration. */
  readonly its: number
  /** GITS_CTLR.Enabled. */
  readonly enabled: boolean
  /** By DeviceID. */
  readonly devices: readonly DeviceEntry[]
  /** By their numbers. */
  readonly collections: readonly CollectionEntry[]
  /** By their vPEIDs; none on GICv3. */
  readonly vpes: readonly VpeContents[]
  /** Whether there may be more: the tables have more entries than are looked at, or memory refused some. */
  readonly truncated: boolean
}

/** How many entries are looked at, mapped or not: tables belong to software, which may make them as large as it likes. */
const MOST_LOOKS = 1 << 20
/** The same where only the owner of a doorbell is looked for. */
const OWNER_LOOKS = 1 << 18

/** Goes through the tables of an ITS. */
export function inspectTables(its: Its): ItsContents {
  const walk = new TableWalk(its)
  const collections = walk.collections()
  const devices = walk.devices()
  const vpes = walk.vpes()
  return { its: its.number, enabled: its.isEnabled, devices, collections, vpes, truncated: walk.truncated }
}

/** Which vPEs, or on GICv4.0 which events, have an LPI as their doorbell; for people. */
export function doorbellOwners(its: Its, intid: number): string[] {
  const walk = new TableWalk(its, OWNER_LOOKS)
  if (its.vpes?.byVpeid) {
    const vpes = walk.vpes(false).filter(({ doorbell }) => doorbell?.intid === intid)
    return vpes.map(({ vpe }) => `vPE ${vpe}`)
  }
  return walk.devices().flatMap(({ deviceId, events }) => {
    const own = events.filter(({ doorbell }) => doorbell === intid)
    return own.map(({ eventId, vpe }) => `device ${deviceId} event ${eventId}, for vPE ${vpe}`)
  })
}

class TableWalk {
  truncated = false
  private looks = 0

  constructor(
    readonly its: Its,
    private readonly mostLooks = MOST_LOOKS,
  ) {}

  private word(at: number): number {
    return this.its.words[this.its.its + at]
  }

  collections(): CollectionEntry[] {
    return this.entries(COLLECTION_TABLE, (collection) => {
      const fault = this.its.tables.findCollection(collection)
      return this.found(fault) ? { collection, cpu: this.word(ITS_FOUND_CPU) } : undefined
    })
  }

  devices(): DeviceEntry[] {
    return this.entries(DEVICE_TABLE, (deviceId) => {
      if (!this.found(this.its.tables.findDevice(deviceId))) return undefined
      const [low, high] = [this.word(ITS_ITT), this.word(ITS_ITT + 1)]
      const address = high * 0x1_0000_0000 + ((low & ~0xff) >>> 0)
      return {
        deviceId,
        itt: `0x${address.toString(16)}`,
        eventBits: (low & 0x1f) + 1,
        events: this.events(),
      }
    })
  }

  /** Those of the device that was found. */
  private events(): EventEntry[] {
    const events: EventEntry[] = []
    for (let eventId = 0; this.its.tables.hasEvent(eventId) && this.look(); eventId++) {
      if (!this.found(this.its.tables.findEvent(eventId))) continue
      events.push(this.its.tables.isVirtual ? this.virtualEvent(eventId) : this.event(eventId))
    }
    return events
  }

  private event(eventId: number): EventEntry {
    const intid = this.word(ITS_FOUND_INTID)
    const collection = this.word(ITS_FOUND_ICID)
    const cpu = this.cpuOf(this.its.tables.findCollection(collection))
    const pending = cpu !== undefined && this.its.lpis.isPending(cpu, intid - FIRST_LPI)
    return { eventId, intid, collection, cpu, pending }
  }

  private virtualEvent(eventId: number): EventEntry {
    const { intid, vpe, doorbell } = this.its.found
    const { vpes, vpeEntries } = this.its
    const cpu = vpeEntries && this.cpuOf(vpeEntries.find(vpe))
    const pending = cpu !== undefined && (vpes?.isPending(cpu, intid - FIRST_LPI) ?? false)
    const rings = vpes?.byVpeid === false && doorbell !== INTID_NONE
    return {
      eventId,
      intid,
      collection: undefined,
      vpe,
      cpu,
      pending,
      doorbell: rings ? doorbell : undefined,
    }
  }

  /** The CPU that was found, unless there was a fault. */
  private cpuOf(fault: number): number | undefined {
    return this.found(fault) ? this.word(ITS_FOUND_CPU) : undefined
  }

  /** With `pending`, those of their vLPIs that are. */
  vpes(pending = true): VpeContents[] {
    const { vpes, vpeEntries } = this.its
    if (!vpes || !vpeEntries) return []
    return this.entries(VPE_TABLE, (vpe) => {
      const cpu = this.cpuOf(vpeEntries.find(vpe))
      if (cpu === undefined) return undefined
      const contents = inspectVpe(vpes, vpe, cpu, () => pending && this.look())
      if (this.its.memory.takeRefusal()) this.truncated = true
      return contents
    })
  }

  /** The entries of a table that `read` makes something of. */
  private entries<T>(table: number, read: (id: number) => T | undefined): T[] {
    const entries: T[] = []
    const { tables, memory } = this.its
    const end = tables.capacityOf(table)
    for (let id = 0; id < end && this.look(); id++) {
      const page = tables.emptyPageAt(table, id)
      if (memory.takeRefusal()) this.truncated = true
      if (page > 0) id += page - 1
      else {
        const entry = read(id)
        if (entry !== undefined) entries.push(entry)
      }
    }
    return entries
  }

  /** Whether one more entry may be looked at. */
  private look(): boolean {
    if (this.looks < this.mostLooks) this.looks++
    else this.truncated = true
    return !this.truncated
  }

  private found(fault: number): boolean {
    if (fault === MEMORY_REFUSED) this.truncated = true
    return fault === TRANSLATED
  }
}
