/**
 * What an ITS of a saved VM has mapped, wherever it was saved: in the guest's tables (its-tables-restore.ts) or in JSON
 * (its-mappings.ts). It is checked while it is collected, so that what a guest's commands could not have made is refused
 * before anything has changed; then the ITSs take it over.
 */
import { FIRST_LPI, type Intid } from '../../arch/intid.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { ITS_BASER } from '../records/its-record.ts'
import { VCPU_LPIS_ENABLED, VCPU_PENDBASER } from '../records/vcpu.ts'
import { IRQ_LATCH, TARGET_NONE } from '../records/vgic-irq.ts'
import { VM_PROPBASER } from '../records/vm.ts'
import {
  COLLECTION_TABLE,
  DEVICE_TABLE,
  ITS_ENTRY_SIZE,
  ITS_ID_BITS,
  type VgicIts,
} from '../vgic/vgic-its.ts'
import { INDIRECT, VALID } from '../vgic/vgic-its-registers.ts'
import { readEntry, writeEntry } from './its-table-entries.ts'

/** A device that is mapped. */
export interface ItsDevice {
  readonly id: number
  /** Bits of its EventIDs. */
  readonly bits: number
  /** The address of its ITT, two words. */
  readonly ittLow: number
  readonly ittHigh: number
  readonly events: Map<number, ItsEvent>
}

/** An event of a device. */
export interface ItsEvent {
  readonly intid: Intid
  /** undefined if its collection was unmapped. */
  readonly icid: number | undefined
}

const PAGE = 0x1_0000
const HIGH = 0x1_0000_0000
const ADDRESS_HIGH = 0xf_ffff
const PENDBASER_LOW = ~0xffff
const PROPBASER_LOW = ~0xfff
/** How many DeviceIDs, EventIDs, ICIDs and INTIDs there are at most. */
const IDS = 2 ** ITS_ID_BITS

export const refused = (why: string): VgicError => new VgicError('EINVAL', `${why}: nothing was restored.`)

/** Whether an ITS has a table: GITS_BASER.Valid. */
export const hasTable = (its: VgicIts, n: number, table: number): boolean =>
  (its.words[its.recordOf(n) + ITS_BASER + 2 * table + 1] & VALID) !== 0

/** Whether a table has two levels. */
export const isIndirect = (its: VgicIts, n: number, table: number): boolean =>
  (its.words[its.recordOf(n) + ITS_BASER + 2 * table + 1] & INDIRECT) !== 0

/**
 * For how many IDs the guest has made a table, by its GITS_BASER alone: a table of two levels may have fewer pages than it
 * has room for.
 */
export function roomOf(its: VgicIts, n: number, table: number): number {
  if (!hasTable(its, n, table)) return 0
  const perPage = PAGE / ITS_ENTRY_SIZE
  const entries = ((its.words[its.recordOf(n) + ITS_BASER + 2 * table] & 0xff) + 1) * perPage
  return Math.min(isIndirect(its, n, table) ? entries * perPage : entries, IDS)
}

/** What an ITS has mapped. Everything that is added is checked, and refused with EINVAL. */
export class ItsTables {
  /** By ICID, the vCPU that a collection goes to; undefined if it is not mapped. */
  readonly collections = new Map<number, number | undefined>()
  /** By DeviceID. */
  readonly devices = new Map<number, ItsDevice>()
  private readonly icids: number
  private readonly deviceIds: number

  constructor(
    protected readonly its: VgicIts,
    readonly n: number,
  ) {
    this.icids = roomOf(its, n, COLLECTION_TABLE)
    this.deviceIds = roomOf(its, n, DEVICE_TABLE)
  }

  addCollection(icid: number, target: number | undefined): void {
    const { n } = this
    const { vcpuCount } = this.its.apLists.layout
    if (icid >= this.icids)
      throw refused(`ITS ${n} has ICID ${icid}, for which its collection table has no room`)
    if (this.collections.has(icid)) throw refused(`ITS ${n} has ICID ${icid} twice`)
    if (target !== undefined && target >= vcpuCount) {
      throw refused(`Collection ${icid} of ITS ${n} goes to vCPU ${target}, but the VM has ${vcpuCount}`)
    }
    this.collections.set(icid, target)
  }

  addDevice(id: number, bits: number, ittLow: number, ittHigh: number): ItsDevice {
    const { n } = this
    if (id >= this.deviceIds)
      throw refused(`ITS ${n} has DeviceID ${id}, for which its device table has no room`)
    if (this.devices.has(id)) throw refused(`ITS ${n} has DeviceID ${id} twice`)
    this.checkWidth(id, bits)
    const device = { id, bits, ittLow, ittHigh, events: new Map<number, ItsEvent>() }
    this.devices.set(id, device)
    return device
  }

  protected checkWidth(id: number, bits: number): void {
    if (bits >= 1 && bits <= ITS_ID_BITS) return
    throw refused(`Device ${id} of ITS ${this.n} has ${bits} bits of EventIDs, not 1 to ${ITS_ID_BITS}`)
  }

  /** An event of a device that is added. Collections are to be added first. */
  addEvent(device: ItsDevice, id: number, intid: number, icid: number | undefined): void {
    const what = this.nameOf(device, id)
    if (id >= 2 ** device.bits) throw refused(`${what} is beyond ${device.bits} bits of EventIDs`)
    if (device.events.has(id)) throw refused(`${what} is there twice`)
    if (!isLpi(intid)) throw refused(`${what} is INTID ${intid}, which is not an LPI of ${ITS_ID_BITS} bits`)
    if (icid !== undefined && !this.collections.has(icid))
      throw refused(`${what} is in collection ${icid}, which the ITS does not have`)
    device.events.set(id, { intid, icid })
  }

  /** `Event 1 of device 7 of ITS 0`. */
  nameOf(device: ItsDevice, eventId: number): string {
    return `Event ${eventId} of device ${device.id} of ITS ${this.n}`
  }
}

const isLpi = (intid: number): boolean => intid >= FIRST_LPI && intid < IDS

/** The doubleword with an LPI's pending bit, for a vCPU by its index. */
export function pendingAddress(its: VgicIts, index: number, intid: number): number {
  const at = its.apLists.vcpuOf(index) + VCPU_PENDBASER
  const base = (its.words[at] & PENDBASER_LOW) >>> 0
  return (its.words[at + 1] & ADDRESS_HIGH) * HIGH + base + 8 * (intid >>> 6)
}

/**
 * Whether the pending LPIs of a vCPU are in its pending table when the VM is saved: its redistributor takes LPIs, and
 * there is an ITS that is enabled, so the tables of LPIs are in use.
 */
export const usesPendingTable = (areLpisOn: boolean, isItsOn: readonly boolean[]): boolean =>
  areLpisOn && isItsOn.includes(true)

/** By vCPU: {@link usesPendingTable}. */
export function pendingTablesInUse({ layout, words, mmio, apLists }: Hypervisor): boolean[] {
  const isItsOn = Array.from({ length: layout.itsCount }, (_, n) => mmio.dist.its.isEnabled(n))
  return Array.from({ length: layout.vcpuCount }, (_, vcpu) =>
    usesPendingTable(words[apLists.vcpuOf(vcpu) + VCPU_LPIS_ENABLED] !== 0, isItsOn),
  )
}

/** The LPIs that are pending at each vCPU, in place of what its pending table says; null for what that says. */
export type PendingLpis = readonly (readonly Intid[] | null)[]

/** What all ITSs of a VM, in which nothing is mapped, take over. */
export class ItsTakeOver {
  private readonly its: VgicIts
  /** By INTID: the vCPU that the LPI goes to; {@link TARGET_NONE} if to none. */
  private readonly targets = new Map<Intid, number>()
  /** By INTID: the vCPU at which an LPI is pending that is in no pending table. */
  private readonly pendingAt = new Map<Intid, number>()

  constructor(
    private readonly hypervisor: Hypervisor,
    private readonly tables: readonly ItsTables[],
    private readonly pending: PendingLpis,
  ) {
    this.its = hypervisor.mmio.dist.its
    for (const [vcpu, intids] of pending.entries()) {
      for (const intid of intids ?? []) this.addPending(intid, vcpu)
    }
    for (const each of tables) this.addTargets(each)
  }

  private addPending(intid: Intid, vcpu: number): void {
    if (!isLpi(intid)) {
      throw refused(`vCPU ${vcpu} has INTID ${intid} pending, which is not an LPI of ${ITS_ID_BITS} bits`)
    }
    if (this.pendingAt.has(intid)) throw refused(`INTID ${intid} is pending twice`)
    this.pendingAt.set(intid, vcpu)
    this.targets.set(intid, vcpu)
  }

  /** An INTID of two events has one LPI, which goes where the first of them goes that goes anywhere. */
  private addTargets({ collections, devices }: ItsTables): void {
    for (const { events } of devices.values()) {
      for (const { intid, icid } of events.values()) {
        const target = icid === undefined ? undefined : collections.get(icid)
        if ((this.targets.get(intid) ?? TARGET_NONE) === TARGET_NONE)
          this.targets.set(intid, target ?? TARGET_NONE)
      }
    }
  }

  /** Throws EINVAL if the VM has too few slots, and EFAULT if an LPI's configuration or pending bit is in no memory. */
  check(): void {
    const { lpi, device, event, collection } = this.its.apLists.layout.lpis
    const total = (many: (one: ItsTables) => number): number =>
      this.tables.reduce((sum, one) => sum + many(one), 0)
    const eventsOf = ({ devices }: ItsTables): number =>
      [...devices.values()].reduce((sum, { events }) => sum + events.size, 0)
    const needed: readonly (readonly [what: string, needs: number, has: number, option: string])[] = [
      ['LPIs', this.targets.size, lpi.count, 'lpis'],
      ['events', total(eventsOf), event.count, 'lpis'],
      ['devices', total(({ devices }) => devices.size), device.count, 'itsDevices'],
      ['collections', total(({ collections }) => collections.size), collection.count, 'itsCollections'],
    ]
    for (const [what, needs, has, option] of needed) {
      if (needs <= has) continue
      throw new VgicError(
        'EINVAL',
        `The saved VM has ${needs} ${what}, but this one has room for ${has}: nothing was restored. Give it more ${option}.`,
      )
    }
    for (const [intid, target] of this.targets) this.checkMemory(intid, target)
  }

  private checkMemory(intid: Intid, target: number): void {
    const { words, memory, apLists } = this.its
    const propbaser = apLists.layout.vm + VM_PROPBASER
    const base = (words[propbaser + 1] & ADDRESS_HIGH) * HIGH + ((words[propbaser] & PROPBASER_LOW) >>> 0)
    const offset = intid - FIRST_LPI
    readEntry(memory, base + offset - (offset % 8), 'the configuration of its LPIs')
    if (!this.isInTable(target)) return
    const [address, what] = [pendingAddress(this.its, target, intid), `the pending table of vCPU ${target}`]
    // Pending bits are taken out of it, which must not be refused later.
    writeEntry(memory, address, readEntry(memory, address, what), what)
  }

  /** Whether the pending table of a vCPU says which of its LPIs are pending. */
  private isInTable(target: number): boolean {
    return target !== TARGET_NONE && this.pending[target] === null
  }

  take(): void {
    const { its, hypervisor } = this
    const pending = [...this.pendingAt.keys()].map((intid) => {
      const irq = this.lpiFor(intid)
      if (irq !== 0) its.apLists.store(irq, its.words[irq] | IRQ_LATCH)
      return irq
    })
    for (const each of this.tables) this.takeTables(each)
    // One that no event has is kept by the ap_list that it is on.
    for (const irq of pending) if (irq !== 0) its.lpis.put(irq)
    // A pending LPI is queued when it is made, though its redistributor takes none now.
    for (let i = 0; i < hypervisor.layout.vcpuCount; i++) {
      const v = its.apLists.vcpuOf(i)
      if (its.words[v + VCPU_LPIS_ENABLED] === 0) its.apLists.takeLpisOff(v)
    }
  }

  private takeTables({ n, collections, devices }: ItsTables): void {
    const { its } = this
    for (const [icid, target] of collections) its.setTarget(its.addCollection(n, icid), target ?? TARGET_NONE)
    for (const { id, bits, ittLow, ittHigh, events } of devices.values()) {
      its.addDevice(n, id, bits, ittLow, ittHigh)
      const device = its.findDevice(n, id)
      for (const [eventId, { intid, icid }] of events) {
        const irq = this.lpiFor(intid)
        const collection = icid === undefined ? 0 : its.findCollection(n, icid)
        if (irq !== 0) its.addEvent(device, eventId, irq, collection)
      }
    }
  }

  /** The LPI of an INTID, with a reference. Its pending bit is read only from a pending table that counts. */
  private lpiFor(intid: Intid): ReturnType<VgicIts['lpiFor']> {
    const { its } = this
    const target = this.targets.get(intid) ?? TARGET_NONE
    if (this.isInTable(target) || its.lpis.find(intid) !== 0) return its.lpiFor(intid, target)
    const irq = its.lpiFor(intid, TARGET_NONE)
    if (irq !== 0) its.setAffinity(irq, target)
    return irq
  }
}
