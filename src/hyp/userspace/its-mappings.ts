/**
 * What a saved VM has as JSON because it may not be written into the guest's memory: what a disabled ITS has mapped, and
 * which LPIs are pending where a pending table is not in use. A guest that has disabled its ITS, to suspend or because
 * another kernel takes over, may use the memory that GITS_BASER and GICR_PENDBASER name for something else; one that only
 * suspends enables the ITS again, and its mappings count again.
 */
import { halves, joined } from '../../arch/doubleword.ts'
import {
  argumentInteger,
  argumentList,
  argumentOptions,
  argumentString,
  type Fields,
} from '../../errors/arguments.ts'
import { hex } from '../../errors/printed.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { COLLECTION_ID, DEVICE_BITS, DEVICE_ID, DEVICE_ITT } from '../records/lpi-record.ts'
import { TARGET_NONE } from '../records/vgic-irq.ts'
import { COLLECTION_TABLE, DEVICE_TABLE, type VgicIts } from '../vgic/vgic-its.ts'
import { cannotBeSaved, eventsOf, forEachLpi, slotsOf } from './its-tables-save.ts'
import { ItsTables, pendingTablesInUse, refused, roomOf } from './saved-its.ts'

/** What an ITS has mapped. */
export interface SavedMappings {
  /** By DeviceID. */
  readonly devices: readonly SavedItsDevice[]
  /** By ICID. */
  readonly collections: readonly SavedCollection[]
}

/** A device that a MAPD has mapped. */
export interface SavedItsDevice {
  /** Its DeviceID. */
  readonly id: number
  /** Bits of its EventIDs. */
  readonly bits: number
  /** The address of its ITT, in hexadecimal: `"0x42300000"`. */
  readonly itt: string
  /** By EventID. */
  readonly events: readonly SavedItsEvent[]
}

/** An event that a MAPTI or a MAPI has mapped. */
export interface SavedItsEvent {
  /** Its EventID. */
  readonly id: number
  /** The LPI that it is mapped to. */
  readonly intid: number
  /** The collection that it is in; left out if that was unmapped. */
  readonly icid?: number
}

/** A collection that a MAPC has mapped, or that an event is in. */
export interface SavedCollection {
  /** Its number, ICID. */
  readonly icid: number
  /** The vCPU that it goes to; left out if it is not mapped. */
  readonly vcpu?: number
}

/** By vCPU: the INTIDs that are pending there, in order; null where they go into the pending table. */
export function pendingOf(hypervisor: Hypervisor): (number[] | null)[] {
  const { layout, mmio } = hypervisor
  const pending = pendingTablesInUse(hypervisor).map((inUse) => (inUse ? null : ([] as number[])))
  if (layout.itsCount === 0) return pending
  forEachLpi(hypervisor, (irq, target, isPending) => {
    if (isPending) pending[target]?.push(mmio.dist.its.lpis.intidOf(irq))
  })
  for (const intids of pending) intids?.sort((a, b) => a - b)
  return pending
}

/** What ITS `n` has mapped. Throws EINVAL for what a restore would refuse, as the guest has made its tables smaller. */
export function mappingsOf(its: VgicIts, n: number): SavedMappings {
  return {
    devices: slotsOf(its, n, DEVICE_TABLE).map((slot) => deviceOf(its, n, slot)),
    collections: slotsOf(its, n, COLLECTION_TABLE).map((slot) => collectionOf(its, n, slot)),
  }
}

function deviceOf(its: VgicIts, n: number, slot: number): SavedItsDevice {
  const { words } = its
  const at = its.devices.recordOf(slot)
  const id = words[at + DEVICE_ID]
  if (id >= roomOf(its, n, DEVICE_TABLE))
    throw cannotBeSaved(`Device ${id} has no entry in the table of GITS_BASER0`)
  const events = eventsOf(its, slot).map((event) => {
    const collection = its.collectionOf(event)
    return {
      id: its.eventIdOf(event),
      intid: its.lpis.intidOf(its.lpiOf(event)),
      ...(collection !== 0 && { icid: icidOf(its, collection) }),
    }
  })
  return {
    id,
    bits: words[at + DEVICE_BITS],
    itt: hex(joined(words[at + DEVICE_ITT], words[at + DEVICE_ITT + 1])),
    events,
  }
}

function collectionOf(its: VgicIts, n: number, slot: number): SavedCollection {
  const [icid, vcpu] = [icidOf(its, slot), its.targetOf(slot)]
  if (icid >= roomOf(its, n, COLLECTION_TABLE))
    throw cannotBeSaved(`Collection ${icid} has no entry in the table of GITS_BASER1`)
  return { icid, ...(vcpu !== TARGET_NONE && { vcpu }) }
}

const icidOf = (its: VgicIts, collection: number): number =>
  its.words[its.collections.recordOf(collection) + COLLECTION_ID]

/** The mappings of ITS `n`, whose shape was checked, as what a restore takes over. */
export function readMappings(its: VgicIts, n: number, { devices, collections }: SavedMappings): ItsTables {
  const tables = new ItsTables(its, n)
  for (const { icid, vcpu } of collections) tables.addCollection(icid, vcpu)
  for (const { id, bits, itt, events } of devices) {
    const address = BigInt(itt)
    if ((address & ~ITT_ADDRESS) !== 0n)
      throw refused(`The ITT of device ${id} of ITS ${n} is at ${itt}, which no MAPD can say`)
    const device = tables.addDevice(id, bits, ...halves(address))
    for (const event of events) tables.addEvent(device, event.id, event.intid, event.icid)
  }
  return tables
}

/** Bits 51:8. */
const ITT_ADDRESS = 0xf_ffff_ffff_ff00n

const deviceFields: Fields<SavedItsDevice> = { id: true, bits: true, itt: true, events: true }
const eventFields: Fields<SavedItsEvent> = { id: true, intid: true, icid: true }
const collectionFields: Fields<SavedCollection> = { icid: true, vcpu: true }

const checkWord = (name: string, value: number): number => argumentInteger(name, value, 0, 0xffff_ffff)

/** Throws an `argument` error unless these are mappings by their shape. `name` says where they are. */
export function checkMappings(name: string, mappings: SavedMappings): void {
  argumentOptions(name, mappings, { devices: true, collections: true })
  const devices = argumentList(`${name}.devices`, mappings.devices, 'devices')
  for (const [i, device] of devices.entries()) checkDevice(`${name}.devices[${i}]`, device)
  const collections = argumentList(`${name}.collections`, mappings.collections, 'collections')
  for (const [i, collection] of collections.entries()) {
    const at = `${name}.collections[${i}]`
    const { icid, vcpu } = argumentOptions(at, collection, collectionFields)
    checkWord(`${at}.icid`, icid)
    if (vcpu !== undefined) checkWord(`${at}.vcpu`, vcpu)
  }
}

function checkDevice(name: string, device: SavedItsDevice): void {
  const { id, bits, itt } = argumentOptions(name, device, deviceFields)
  checkWord(`${name}.id`, id)
  checkWord(`${name}.bits`, bits)
  if (!/^0x[0-9a-f]{1,16}$/.test(argumentString(`${name}.itt`, itt))) {
    throw new VgicError(
      'argument',
      `${name}.itt must be "0x" and 1 to 16 hexadecimal digits, but is ${JSON.stringify(itt)}.`,
    )
  }
  for (const [i, event] of argumentList(`${name}.events`, device.events, 'events').entries()) {
    const at = `${name}.events[${i}]`
    const { id, intid, icid } = argumentOptions(at, event, eventFields)
    checkWord(`${at}.id`, id)
    checkWord(`${at}.intid`, intid)
    if (icid !== undefined) checkWord(`${at}.icid`, icid)
  }
}

/** Throws an `argument` error unless these are the INTIDs of LPIs by their shape. */
export function checkPending(name: string, intids: readonly number[]): void {
  for (const [i, intid] of argumentList(name, intids, 'INTIDs').entries()) checkWord(`${name}[${i}]`, intid)
}
