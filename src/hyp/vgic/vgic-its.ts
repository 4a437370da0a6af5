/**
 * The ITSs of a VM (KVM's vgic-its.c): what messages and commands do. Devices, events and collections that a guest has
 * mapped are records of the hypervisor's own; the tables that the guest has given are only asked whether they have room
 * (`GITS_BASER<n>`), and written and read when the VM is saved and restored; an entry is cleared when what it was saved for
 * is unmapped. Configuration and pending bits of LPIs are in
 * the guest's memory.
 */
import { FIRST_LPI, type Intid } from '../../arch/intid.ts'
import type { Memory } from '../../gic/config/memory.ts'
import { SlotPool } from '../../state/slot-pool.ts'
import { COST_TABLE_ACCESSES } from '../records/cost-row.ts'
import { ITS, ITS_BASER, ITS_ENABLED, ITS_LOCK } from '../records/its-record.ts'
import {
  COLLECTION_TARGET,
  DEVICE_BITS,
  DEVICE_EVENTS,
  DEVICE_ITT,
  EVENT_COLLECTION,
  EVENT_DEVICE,
  EVENT_ID,
  EVENT_LPI,
  EVENT_NEXT,
  EVENT_PREVIOUS,
  LPI_FORWARD,
} from '../records/lpi-record.ts'
import { VCPU_COST, VCPU_INDEX, VCPU_LPIS_ENABLED, VCPU_PENDBASER, type Vcpu } from '../records/vcpu.ts'
import {
  IRQ_ENABLED,
  IRQ_LATCH,
  IRQ_PRIORITY,
  IRQ_PRIORITY_SHIFT,
  IRQ_TARGET,
  IRQ_TARGET_SHIFT,
  type Irq,
  irqTarget,
  TARGET_NONE,
} from '../records/vgic-irq.ts'
import { VM_PROPBASER } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'
import { TranslationCache } from './its-translation-cache.ts'
import { PENDBASER_PTZ } from './lpi-tables.ts'
import { AS_MADE, BY_INTID, type LpiOrder, type VgicLpis } from './vgic-lpis.ts'

/** Bytes of an entry of each table, and of an ITT. */
export const ITS_ENTRY_SIZE = 8
/** Bits of a DeviceID, of an EventID, of a collection's number and of an INTID. */
export const ITS_ID_BITS = 16
const PAGE = 0x1_0000
const HIGH = 0x1_0000_0000
const INDIRECT = 0x4000_0000
const LEVEL_1_VALID = 0x8000_0000 | 0
const ADDRESS_HIGH = 0xfffff
const PROPBASER_LOW = ~0xfff
const PENDBASER_LOW = ~0xffff
const LPI_ENABLE = 0x1
const LPI_PRIORITY = 0xfc

/** Tables by their GITS_BASER. */
export const DEVICE_TABLE = 0
export const COLLECTION_TABLE = 1

/** Who is told what the guest does with an LPI that hardware delivers (GICv4): vgic-v4.ts. */
export interface ForwardedLpis {
  /** Its event is mapped no more. */
  discarded(irq: Irq): void
  /** It goes to another vCPU, by its index. */
  moved(irq: Irq, target: number): void
  /** Its configuration was read; `invalidate` if it counts at once. */
  configured(irq: Irq, invalidate: boolean): void
  /** That of all LPIs of a vCPU counts. */
  invalidatedAll(index: number): void
  /** It becomes pending. */
  raised(irq: Irq): void
  /** It is pending no more. */
  cleared(irq: Irq): void
}

export class VgicIts {
  /** Set when the VM is made, if it has direct injection. */
  forwarded: ForwardedLpis | null = null
  readonly words: Int32Array
  readonly lpis: VgicLpis
  readonly devices: SlotPool
  readonly events: SlotPool
  readonly collections: SlotPool
  readonly cache: TranslationCache

  constructor(
    readonly apLists: ApLists,
    /** The guest's. */
    readonly memory: Memory,
    /** For {@link enableLpis}, {@link disableLpis}, {@link replaceTable} and a save. */
    readonly isLinux61: boolean,
  ) {
    const { words, lpis, layout } = apLists
    this.words = words
    this.lpis = lpis
    this.devices = new SlotPool(words, layout.lpis.device)
    this.events = new SlotPool(words, layout.lpis.event)
    this.collections = new SlotPool(words, layout.lpis.collection)
    this.cache = new TranslationCache(words, layout.lpis, lpis)
  }

  /** The record of ITS `n`. */
  recordOf(n: number): number {
    return this.apLists.layout.its + n * ITS.size
  }

  isEnabled(n: number): boolean {
    return this.words[this.recordOf(n) + ITS_ENABLED] !== 0
  }

  /** Whether a vCPU that carries out a command holds its_lock. */
  isLocked(n: number): boolean {
    return this.words[this.recordOf(n) + ITS_LOCK] !== 0
  }

  /** What the memory has refused is as if it were not there: nobody waits for it. */
  takeRefusal(): boolean {
    return this.memory.takeRefusal()
  }

  /**
   * Counts an access to the guest's memory, for the vCPU whose exit is handled: a command, an entry or a byte is one, as
   * KVM's kvm_read_guest and kvm_write_guest have them.
   */
  countAccess(): void {
    this.words[this.words[this.apLists.accessing + VCPU_COST] + COST_TABLE_ACCESSES]++
  }

  /** A byte of the guest's memory. */
  private readByte(low: number, high: number, offset: number): number {
    this.countAccess()
    return (this.memory.read(low, high, offset & ~3) >>> ((offset & 3) << 3)) & 0xff
  }

  private writeByte(low: number, high: number, offset: number, value: number): void {
    this.countAccess()
    const shift = (offset & 3) << 3
    const word = this.memory.read(low, high, offset & ~3)
    this.memory.write(low, high, offset & ~3, (word & ~(0xff << shift)) | (value << shift))
  }

  /** Whether a table of an ITS has room for an entry `id`. */
  hasEntry(n: number, table: number, id: number): boolean {
    return this.entryAddress(n, table, id) >= 0
  }

  /**
   * The address of entry `id` of a table of an ITS, where the guest has memory, too, which a command wants that maps something
   * (KVM's vgic_its_check_id); -1 if the table has no room for it, or the guest no memory there.
   */
  entryInMemory(n: number, table: number, id: number): number {
    const address = this.entryAddress(n, table, id)
    return address >= 0 && this.isMemory(address) ? address : -1
  }

  /** Whether the ITT of a device has room for an event, and the guest memory there (KVM's vgic_its_check_event_id). */
  hasMemoryForEvent(slot: number, eventId: number): boolean {
    return this.hasEvent(slot, eventId) && this.isMemory(this.ittEntryAddress(slot, eventId))
  }

  /** KVM looks at its memory slots: that is no access. */
  private isMemory(address: number): boolean {
    this.memory.read(address | 0, Math.floor(address / HIGH), 0)
    return !this.takeRefusal()
  }

  /** The address of entry `id` of a table of an ITS; -1 if the table has no room for it. */
  entryAddress(n: number, table: number, id: number): number {
    if (id >>> ITS_ID_BITS !== 0) return -1
    const at = this.recordOf(n) + ITS_BASER + 2 * table
    const low = this.words[at]
    const high = this.words[at + 1]
    const bytes = ((low & 0xff) + 1) * PAGE
    const tableHigh = tableAddressHigh(low, high)
    const offset = id * ITS_ENTRY_SIZE
    if ((high & INDIRECT) === 0) return offset < bytes ? addressOf(low & ~0xffff, tableHigh) + offset : -1
    const entry = 8 * Math.floor(offset / PAGE)
    if (entry >= bytes) return -1
    this.countAccess()
    const pageLow = this.memory.read(low & ~0xffff, tableHigh, entry)
    const pageHigh = this.memory.read(low & ~0xffff, tableHigh, entry + 4)
    if (this.takeRefusal() || (pageHigh & LEVEL_1_VALID) === 0) return -1
    return addressOf(pageLow & ~0xffff, pageHigh & ADDRESS_HIGH) + (offset % PAGE)
  }

  /** The address of an event's entry in the ITT of its device. */
  ittEntryAddress(device: number, eventId: number): number {
    const at = this.devices.recordOf(device) + DEVICE_ITT
    return addressOf(this.words[at], this.words[at + 1]) + eventId * ITS_ENTRY_SIZE
  }

  /**
   * Makes an entry of a table invalid, as one that an earlier save has written would come back with the next restore.
   */
  clearEntry(address: number): void {
    this.countAccess()
    this.memory.write(address | 0, Math.floor(address / HIGH), 0, 0)
    this.memory.write(address | 0, Math.floor(address / HIGH), 4, 0)
    this.takeRefusal()
  }

  /** The slot of a device; 0 if it is not mapped. */
  findDevice(n: number, deviceId: number): number {
    return this.devices.find(n + 1, deviceId)
  }

  /** MAPD with V = 1: false if all slots are in use. */
  addDevice(n: number, deviceId: number, bits: number, low: number, high: number): boolean {
    const slot = this.devices.add(n + 1, deviceId)
    if (slot === 0) return false
    const device = this.devices.recordOf(slot)
    this.words[device + DEVICE_BITS] = bits
    this.words[device + DEVICE_ITT] = low
    this.words[device + DEVICE_ITT + 1] = high
    return true
  }

  /** A device is unmapped, and with it its events. */
  freeDevice(slot: number): void {
    const device = this.devices.recordOf(slot)
    while (this.words[device + DEVICE_EVENTS] !== 0) this.freeEvent(this.words[device + DEVICE_EVENTS])
    this.devices.remove(slot)
  }

  /** Whether the device of a slot has an event, mapped or not. */
  hasEvent(slot: number, eventId: number): boolean {
    const bits = this.words[this.devices.recordOf(slot) + DEVICE_BITS]
    return eventId >>> 0 < 2 ** bits
  }

  /** The slot of an event; 0 if it is not mapped. */
  findEvent(n: number, deviceId: number, eventId: number): number {
    const device = this.findDevice(n, deviceId)
    return device === 0 ? 0 : this.events.find(device, eventId)
  }

  /** Maps an event to an LPI, whose reference it takes over. Returns false if all slots are in use. */
  addEvent(device: number, eventId: number, lpi: Irq, collection: number): boolean {
    const { words, events } = this
    const slot = events.add(device, eventId)
    if (slot === 0) return false
    const event = events.recordOf(slot)
    const record = this.devices.recordOf(device)
    words[event + EVENT_LPI] = this.lpis.slotOf(lpi)
    words[event + EVENT_COLLECTION] = collection
    const next = words[record + DEVICE_EVENTS]
    words[event + EVENT_NEXT] = next
    if (next !== 0) words[events.recordOf(next) + EVENT_PREVIOUS] = slot
    words[record + DEVICE_EVENTS] = slot
    return true
  }

  /** An event is mapped no more, and gives its reference back. */
  freeEvent(slot: number): void {
    const { words, events } = this
    const event = events.recordOf(slot)
    const next = words[event + EVENT_NEXT]
    const previous = words[event + EVENT_PREVIOUS]
    if (previous !== 0) words[events.recordOf(previous) + EVENT_NEXT] = next
    else words[this.devices.recordOf(words[event + EVENT_DEVICE]) + DEVICE_EVENTS] = next
    if (next !== 0) words[events.recordOf(next) + EVENT_PREVIOUS] = previous
    const lpi = this.lpiOf(slot)
    if (words[lpi + LPI_FORWARD] !== 0) this.forwarded?.discarded(lpi)
    events.remove(slot)
    this.lpis.put(lpi)
  }

  lpiOf(event: number): Irq {
    return this.lpis.at(this.words[this.events.recordOf(event) + EVENT_LPI])
  }

  eventIdOf(event: number): number {
    return this.words[this.events.recordOf(event) + EVENT_ID]
  }

  findCollection(n: number, icid: number): number {
    return this.collections.find(n + 1, icid)
  }

  /** A collection that goes to no vCPU yet; 0 if all slots are in use. */
  addCollection(n: number, icid: number): number {
    const slot = this.collections.add(n + 1, icid)
    if (slot !== 0) this.setTarget(slot, TARGET_NONE)
    return slot
  }

  setTarget(collection: number, target: number): void {
    this.words[this.collections.recordOf(collection) + COLLECTION_TARGET] = target
  }

  /** The index of the vCPU that a collection goes to; {@link TARGET_NONE} if to none, and so of no collection, slot 0. */
  targetOf(collection: number): number {
    return collection === 0
      ? TARGET_NONE
      : this.words[this.collections.recordOf(collection) + COLLECTION_TARGET]
  }

  collectionOf(event: number): number {
    return this.words[this.events.recordOf(event) + EVENT_COLLECTION]
  }

  setCollection(event: number, collection: number): void {
    this.words[this.events.recordOf(event) + EVENT_COLLECTION] = collection
  }

  /** A collection is gone, slot 0 being none: events that are in it go to no vCPU, until they are moved. */
  freeCollection(slot: number): void {
    if (slot === 0) return
    this.forEachEventOf(slot, (event) => this.setCollection(event, 0))
    this.collections.remove(slot)
  }

  /** A collection goes to another vCPU: its LPIs follow. */
  updateCollection(slot: number): void {
    const target = this.targetOf(slot)
    this.forEachEventOf(slot, (event) => this.setAffinity(this.lpiOf(event), target))
  }

  private forEachEventOf(collection: number, act: (event: number) => void): void {
    this.forEachEvent((event) => {
      if (this.collectionOf(event) === collection) act(event)
    })
  }

  private forEachEvent(act: (event: number) => void): void {
    const { events } = this
    for (let slot = 1; slot <= events.layout.count; slot++) if (events.isUsed(slot)) act(slot)
  }

  /**
   * A `GITS_BASER<n>` says something else than before: all that was in the old table is gone, as in Linux 7.2 (8cd92f77ae4f).
   * In Linux 6.1 it is kept if the new one is valid.
   */
  replaceTable(n: number, table: number, isValid: boolean): void {
    if (this.isLinux61 && isValid) return
    this.freeTable(n, table)
    this.cache.invalidate()
  }

  /** All devices, or all collections, of an ITS are gone: events are gone through once, however many collections there are. */
  freeTable(n: number, table: number): void {
    const { devices, collections } = this
    if (table === COLLECTION_TABLE)
      this.forEachEvent((event) => {
        if (this.isOf(n, collections, this.collectionOf(event))) this.setCollection(event, 0)
      })
    const pool = table === DEVICE_TABLE ? devices : collections
    for (let slot = 1; slot <= pool.layout.count; slot++) {
      if (!this.isOf(n, pool, slot)) continue
      if (table === DEVICE_TABLE) this.freeDevice(slot)
      else collections.remove(slot)
    }
  }

  /** Whether a device or a collection is of an ITS; slot 0 is of none. */
  private isOf(n: number, pool: SlotPool, slot: number): boolean {
    return slot !== 0 && this.words[pool.recordOf(slot) + pool.layout.key0] === n + 1
  }

  /**
   * The LPI of an INTID for an event: one that there is already, or a new one for a vCPU by its index, whose configuration
   * and pending bit are read (KVM's vgic_add_lpi). 0 if all slots are in use, or memory refuses its configuration.
   */
  lpiFor(intid: Intid, target: number): Irq | 0 {
    const known = this.lpis.tryGet(intid)
    if (known !== 0) return known
    const irq = this.lpis.add(intid, target)
    if (irq === 0) return 0
    if (this.readConfiguration(irq) && this.syncPending(irq)) return irq
    this.lpis.put(irq)
    return 0
  }

  /**
   * The configuration byte of an LPI counts from now on (KVM's update_lpi_config). One that is pending is queued then, as in
   * KVM even while its redistributor takes no LPIs. Returns false if memory refuses.
   */
  readConfiguration(irq: Irq, invalidate = true): boolean {
    const { words, apLists } = this
    const at = apLists.layout.vm + VM_PROPBASER
    const offset = this.lpis.intidOf(irq) - FIRST_LPI
    const byte = this.readByte(words[at] & PROPBASER_LOW, words[at + 1] & ADDRESS_HIGH, offset)
    if (this.takeRefusal()) return false
    const word = words[irq] & ~(IRQ_PRIORITY | IRQ_ENABLED)
    this.apLists.store(
      irq,
      word | ((byte & LPI_PRIORITY) << IRQ_PRIORITY_SHIFT) | (byte & LPI_ENABLE ? IRQ_ENABLED : 0),
    )
    if (words[irq + LPI_FORWARD] !== 0) this.forwarded?.configured(irq, invalidate)
    return true
  }

  /**
   * A new LPI is as pending as its vCPU's pending table says; the bit is taken out of the table. Returns false if memory
   * refuses.
   */
  private syncPending(irq: Irq): boolean {
    const { words } = this
    if (irqTarget(words[irq]) === TARGET_NONE) return true
    const v = this.apLists.vcpuOf(irqTarget(words[irq]))
    const intid = this.lpis.intidOf(irq)
    const bit = 1 << (intid & 7)
    const low = words[v + VCPU_PENDBASER] & PENDBASER_LOW
    const high = words[v + VCPU_PENDBASER + 1] & ADDRESS_HIGH
    const byte = this.readByte(low, high, intid >> 3)
    if (this.takeRefusal()) return false
    if (byte & bit) this.writeByte(low, high, intid >> 3, byte & ~bit)
    if (this.takeRefusal()) return false
    this.apLists.store(irq, byte & bit ? words[irq] | IRQ_LATCH : words[irq] & ~IRQ_LATCH)
    return true
  }

  /**
   * GICR_CTLR.EnableLPIs is set: the LPIs of a vCPU are as pending as its pending table says, unless that is zero. They are
   * queued by INTID, as in Linux since 6.9; in Linux 6.1 in the order in which they were made. A byte is read once for the
   * LPIs after one another that have their bits in it.
   */
  enableLpis(v: Vcpu): void {
    const { words, apLists, lpis } = this
    const index = words[v + VCPU_INDEX]
    const low = words[v + VCPU_PENDBASER] & PENDBASER_LOW
    const high = words[v + VCPU_PENDBASER + 1] & ADDRESS_HIGH
    if (words[v + VCPU_PENDBASER + 1] & PENDBASER_PTZ) return
    const order = this.isLinux61 ? AS_MADE : BY_INTID
    let byte = 0
    let offset = -1
    for (let slot = lpis.firstIn(order); slot !== 0; slot = lpis.nextIn(order, slot)) {
      const irq = lpis.at(slot)
      if (irqTarget(words[irq]) !== index) continue
      const intid = lpis.intidOf(irq)
      if (intid >> 3 !== offset) {
        offset = intid >> 3
        byte = this.readByte(low, high, offset)
        if (this.takeRefusal()) return
      }
      apLists.store(irq, (byte >> (intid & 7)) & 1 ? words[irq] | IRQ_LATCH : words[irq] & ~IRQ_LATCH)
    }
  }

  /**
   * EnableLPIs is cleared. What was on the ap_list is no longer pending, as in Linux 7.2: otherwise INV or INVALL would queue
   * it for a redistributor that takes none. Linux 6.1 leaves it pending. One that is in a list register of a running vCPU is as
   * pending as that says, once it is folded.
   */
  disableLpis(v: Vcpu): void {
    const { words, apLists, lpis } = this
    if (!this.isLinux61) for (const irq of apLists.listOf(v)) if (lpis.isLpi(irq)) words[irq] &= ~IRQ_LATCH
    apLists.takeLpisOff(v)
    this.cache.invalidate()
  }

  /**
   * INVALL, GICR_INVALLR: the configuration of all LPIs of a vCPU, by its index; {@link TARGET_NONE} has none. Pending ones are
   * queued in the order. Returns how many LPIs it went through.
   */
  invalidateAll(index: number, order: LpiOrder = BY_INTID): number {
    const { words, lpis } = this
    if (index === TARGET_NONE) return 0
    let walked = 0
    for (let slot = lpis.firstIn(order); slot !== 0; slot = lpis.nextIn(order, slot)) {
      const irq = lpis.at(slot)
      if (irqTarget(words[irq]) === index) this.readConfiguration(irq, false)
      walked++
    }
    this.forwarded?.invalidatedAll(index)
    return walked
  }

  /** GICR_INVLPIR. */
  invalidate(intid: Intid): void {
    const irq = this.lpis.find(intid)
    if (irq !== 0) this.readConfiguration(irq)
  }

  /** MOVALL: the LPIs of one vCPU go to another. Returns how many LPIs it went through. */
  moveAll(from: number, to: number): number {
    const { words, lpis } = this
    let walked = 0
    for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot)) {
      const irq = lpis.at(slot)
      if (irqTarget(words[irq]) === from) this.setAffinity(irq, to)
      walked++
    }
    return walked
  }

  /** An LPI goes to another vCPU. One that is on a list leaves it when that vCPU prunes it. */
  setAffinity(irq: Irq, target: number): void {
    if (this.words[irq + LPI_FORWARD] !== 0) this.forwarded?.moved(irq, target)
    this.words[irq] = (this.words[irq] & ~IRQ_TARGET) | (target << IRQ_TARGET_SHIFT)
  }

  /**
   * The LPI that a message means (KVM's vgic_its_resolve_lpi), which is cached; 0 if it means none, since the ITS is off,
   * nothing is mapped, or the vCPU takes no LPIs.
   */
  resolve(n: number, deviceId: number, eventId: number): Irq | 0 {
    if (!this.isEnabled(n)) return 0
    const event = this.findEvent(n, deviceId, eventId)
    if (event === 0) return 0
    const target = this.targetOf(this.collectionOf(event))
    if (target === TARGET_NONE) return 0
    if (this.words[this.apLists.vcpuOf(target) + VCPU_LPIS_ENABLED] === 0) return 0
    const irq = this.lpiOf(event)
    this.cache.add(n, deviceId, eventId, irq)
    return irq
  }

  /**
   * The LPI that a device's message means: from the translation cache if it is there, else from the tables. INT goes by
   * the tables alone.
   */
  translate(n: number, deviceId: number, eventId: number): Irq | 0 {
    const cached = this.cache.find(n, deviceId, eventId)
    return cached !== 0 ? cached : this.resolve(n, deviceId, eventId)
  }

  /** An LPI that hardware delivers becomes pending there; false for another. */
  raiseForwarded(irq: Irq): boolean {
    if (this.words[irq + LPI_FORWARD] === 0) return false
    this.forwarded?.raised(irq)
    return true
  }
}

const addressOf = (low: number, high: number): number => high * HIGH + (low >>> 0)

/** Bits 51:32 of a table's address: bits 51:48 are in bits 15:12 of `GITS_BASER<n>` with pages of 64 KiB. */
const tableAddressHigh = (low: number, high: number): number => (high & 0xffff) | ((low << 4) & 0xf_0000)
