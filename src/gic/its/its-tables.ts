/**
 * The tables of an ITS in memory (IHI 0069, "The ITS tables"). Where `GITS_BASER<n>` says, flat or with a level 1
 * table of pages that software has provided, lie the entries of devices and of collections, 8 bytes each; where a
 * device's entry says, those of its events, 12 bytes each. What an entry looks like is the ITS's own:
 *
 * | entry | word 0 | word 1 | word 2 |
 * |---|---|---|---|
 * | device | ITT address 31:8, EventID bits less one 4:0 | valid 30, ITT address 51:32 in 19:0 | |
 * | collection | 0 | valid 30, CPU 15:0 | |
 * | physical interrupt | valid 30, INTID 23:0 | collection 15:0 | 0 |
 * | virtual interrupt | virtual 31, valid 30, vINTID 23:0 | vPEID 15:0 | doorbell's INTID |
 *
 * Entries of vPEs are vpe-entries.ts's.
 *
 * Software may have written anything into them: what is read is checked like a command.
 *
 * A look-up leaves what it has found in the words of the ITS from ITS_ENTRY on.
 */
import {
  GITS_BASER_HIGH_Indirect,
  GITS_BASER_HIGH_Valid,
  GITS_BASER_Page_Size,
  GITS_BASER_Size,
} from '../../arch/gits-registers.ts'
import type { Memory } from '../config/memory.ts'
import {
  COLLECTION_UNMAPPED,
  DEVICE_OUT_OF_RANGE,
  DEVICE_UNMAPPED,
  EVENT_OUT_OF_RANGE,
  EVENT_UNMAPPED,
  MEMORY_REFUSED,
  TRANSLATED,
} from '../config/translation-faults.ts'
import { NO_ENTRY, TableLookup } from '../vpe/table-lookup.ts'
import {
  COLLECTION_TABLE,
  DEVICE_TABLE,
  GITS_BASER,
  ITS_ENTRY,
  ITS_FOUND_CPU,
  ITS_FOUND_DOORBELL,
  ITS_FOUND_ICID,
  ITS_FOUND_INTID,
  ITS_ITT,
  type ItsLimits,
  VPE_TABLE,
} from './its-records.ts'

const ENTRY_VALID = 0x40000000
const ENTRY_VIRTUAL = 0x80000000 | 0
const ADDRESS_HIGH = 0xfffff
/** Bytes of an interrupt's entry, GITS_TYPER.ITT_entry_size; those of the other tables are 8. */
export const ITT_ENTRY_SIZE = 12
const ENTRY_SHIFT = 3
/** Bytes of an entry of a level 1 table. */
const LEVEL_1_ENTRY = 8
/** Fields of words of entries. */
const ITT_SIZE = 0x1f
const ITT_LOW = ~0xff
const INTID = 0xffffff
const ICID = 0xffff
const CPU = 0xffff
/** In ITS_FOUND_DOORBELL. */
const PHYSICAL = -1

/** Page_Size as a number of address bits; 0b11 is reserved and taken as 64 KiB. */
export const pageShift = (low: number): number => Math.min(12 + 2 * GITS_BASER_Page_Size(low), 16)

const isWithin = (id: number, bits: number): boolean => bits >= 32 || id >>> bits === 0

export class ItsTables {
  private readonly lookup: TableLookup

  constructor(
    readonly words: Int32Array,
    /** The record of the ITS. */
    readonly its: number,
    readonly memory: Memory,
    readonly limits: ItsLimits,
  ) {
    this.lookup = new TableLookup(words, memory, its + ITS_ENTRY)
  }

  /**
   * Finds the entry of `id` in a table: its byte offset from the address in ITS_ENTRY, or {@link NO_ENTRY} if the
   * table has none or memory refuses an access; the caller takes the refusal.
   */
  private find(table: number, id: number): number {
    const { words, its } = this
    const low = words[its + GITS_BASER + 2 * table]
    const high = words[its + GITS_BASER + 2 * table + 1]
    if ((high & GITS_BASER_HIGH_Valid) === 0) return NO_ENTRY
    const shift = pageShift(low)
    words[its + ITS_ENTRY] = low & (-1 << shift)
    // With pages of 64 KiB, bits 51:48 of the address are where bits 15:12 would be.
    words[its + ITS_ENTRY + 1] = (high & 0xffff) | (shift === 16 ? (low << 4) & 0xf0000 : 0)
    const indirect = (high & GITS_BASER_HIGH_Indirect) !== 0
    return this.lookup.find(id, shift, this.entryShift(table), GITS_BASER_Size(low) + 1, indirect)
  }

  private entryShift(table: number): number {
    return table === VPE_TABLE ? this.limits.vpeEntryShift : ENTRY_SHIFT
  }

  /** Finds the entry of a vPE: its byte offset from the address in ITS_ENTRY, or {@link NO_ENTRY}. */
  findVpeEntry(vpe: number): number {
    return isWithin(vpe, this.limits.vpeBits) ? this.find(VPE_TABLE, vpe) : NO_ENTRY
  }

  /** Whether the vPE table is long enough for a vPE. That its page is there is what mapping it shows. */
  hasVpe(vpe: number): boolean {
    return vpe < this.capacityOf(VPE_TABLE)
  }

  /** Writes the two words of the entry that was found: the one that makes it valid last. */
  private writeEntry(offset: number, low: number, high: number): number {
    const { words, its, memory } = this
    memory.write(words[its + ITS_ENTRY], words[its + ITS_ENTRY + 1], offset, low)
    memory.write(words[its + ITS_ENTRY], words[its + ITS_ENTRY + 1], offset + 4, high)
    return memory.takeRefusal() ? MEMORY_REFUSED : TRANSLATED
  }

  /** Looks for a device's ITT. */
  findDevice(deviceId: number): number {
    const { words, its, memory } = this
    const offset = this.findDeviceEntry(deviceId)
    if (offset === NO_ENTRY) return memory.takeRefusal() ? MEMORY_REFUSED : DEVICE_OUT_OF_RANGE
    const high = memory.read(words[its + ITS_ENTRY], words[its + ITS_ENTRY + 1], offset + 4)
    words[its + ITS_ITT] = memory.read(words[its + ITS_ENTRY], words[its + ITS_ENTRY + 1], offset)
    words[its + ITS_ITT + 1] = high & ADDRESS_HIGH
    if (memory.takeRefusal()) return MEMORY_REFUSED
    return high & ENTRY_VALID ? TRANSLATED : DEVICE_UNMAPPED
  }

  private findDeviceEntry(deviceId: number): number {
    return isWithin(deviceId, this.limits.deviceBits) ? this.find(DEVICE_TABLE, deviceId) : NO_ENTRY
  }

  /** Gives a device an ITT with `size` + 1 bits of EventIDs. */
  mapDevice(deviceId: number, low: number, high: number, size: number): number {
    return this.writeDevice(deviceId, (low & ITT_LOW) | size, ENTRY_VALID | (high & ADDRESS_HIGH))
  }

  /** A device has no ITT any more. */
  unmapDevice(deviceId: number): number {
    return this.writeDevice(deviceId, 0, 0)
  }

  private writeDevice(deviceId: number, low: number, high: number): number {
    const offset = this.findDeviceEntry(deviceId)
    if (offset === NO_ENTRY) return this.memory.takeRefusal() ? MEMORY_REFUSED : DEVICE_OUT_OF_RANGE
    return this.writeEntry(offset, low, high)
  }

  /** Whether the device that was found has an event, mapped or not. */
  hasEvent(eventId: number): boolean {
    return isWithin(eventId, Math.min((this.words[this.its + ITS_ITT] & ITT_SIZE) + 1, this.limits.eventBits))
  }

  /** Looks for an event of the device that was found: its INTID, and its collection or its vPE. */
  findEvent(eventId: number): number {
    if (!this.hasEvent(eventId)) return EVENT_OUT_OF_RANGE
    const { words, its, memory } = this
    const low = words[its + ITS_ITT] & ITT_LOW
    const offset = (eventId >>> 0) * ITT_ENTRY_SIZE
    const interrupt = memory.read(low, words[its + ITS_ITT + 1], offset)
    const collection = memory.read(low, words[its + ITS_ITT + 1], offset + 4)
    words[its + ITS_FOUND_INTID] = interrupt & INTID
    words[its + ITS_FOUND_ICID] = collection & ICID
    words[its + ITS_FOUND_DOORBELL] = interrupt & ENTRY_VIRTUAL ? this.doorbellAt(offset) : PHYSICAL
    if (memory.takeRefusal()) return MEMORY_REFUSED
    return interrupt & ENTRY_VALID ? TRANSLATED : EVENT_UNMAPPED
  }

  private doorbellAt(offset: number): number {
    const { words, its, memory } = this
    return memory.read(words[its + ITS_ITT] & ITT_LOW, words[its + ITS_ITT + 1], offset + 8) & INTID
  }

  /** Whether the event that was found has a virtual interrupt. */
  get isVirtual(): boolean {
    return this.words[this.its + ITS_FOUND_DOORBELL] !== PHYSICAL
  }

  /** Maps an event of the device that was found to an LPI. */
  mapEvent(eventId: number, intid: number, icid: number): number {
    return this.writeEvent(eventId, ENTRY_VALID | intid, icid, 0)
  }

  /** Maps an event of the device that was found to a vLPI of a vPE. */
  mapVirtualEvent(eventId: number, vintid: number, vpe: number, doorbell: number): number {
    return this.writeEvent(eventId, ENTRY_VIRTUAL | ENTRY_VALID | vintid, vpe, doorbell)
  }

  /** An event of the device that was found has no interrupt any more. */
  unmapEvent(eventId: number): number {
    return this.writeEvent(eventId, 0, 0, 0)
  }

  private writeEvent(eventId: number, interrupt: number, target: number, doorbell: number): number {
    const { words, its, memory } = this
    const low = words[its + ITS_ITT] & ITT_LOW
    const high = words[its + ITS_ITT + 1]
    const offset = (eventId >>> 0) * ITT_ENTRY_SIZE
    memory.write(low, high, offset + 8, doorbell)
    memory.write(low, high, offset + 4, target)
    memory.write(low, high, offset, interrupt)
    return memory.takeRefusal() ? MEMORY_REFUSED : TRANSLATED
  }

  /** Whether the collection table has an entry for a collection is what mapping it shows: here that is unmapped, too. */
  findCollection(icid: number): number {
    const { words, its, memory } = this
    const offset = this.findCollectionEntry(icid)
    if (offset === NO_ENTRY) return memory.takeRefusal() ? MEMORY_REFUSED : COLLECTION_UNMAPPED
    const entry = memory.read(words[its + ITS_ENTRY], words[its + ITS_ENTRY + 1], offset + 4)
    words[its + ITS_FOUND_CPU] = entry & CPU
    if (memory.takeRefusal()) return MEMORY_REFUSED
    return entry & ENTRY_VALID && (entry & CPU) < this.limits.cpus ? TRANSLATED : COLLECTION_UNMAPPED
  }

  private findCollectionEntry(icid: number): number {
    return isWithin(icid, this.limits.collectionBits) ? this.find(COLLECTION_TABLE, icid) : NO_ENTRY
  }

  /** Whether there is room for a collection: {@link COLLECTION_UNMAPPED} if there is not. */
  hasCollection(icid: number): number {
    if (this.findCollectionEntry(icid) !== NO_ENTRY) return TRANSLATED
    return this.memory.takeRefusal() ? MEMORY_REFUSED : COLLECTION_UNMAPPED
  }

  /** The interrupts of a collection go to a CPU. */
  mapCollection(icid: number, cpu: number): number {
    return this.writeCollection(icid, ENTRY_VALID | cpu)
  }

  /** A collection has no CPU any more. */
  unmapCollection(icid: number): number {
    return this.writeCollection(icid, 0)
  }

  private writeCollection(icid: number, entry: number): number {
    const offset = this.findCollectionEntry(icid)
    if (offset === NO_ENTRY) return this.memory.takeRefusal() ? MEMORY_REFUSED : COLLECTION_UNMAPPED
    return this.writeEntry(offset, 0, entry)
  }

  /** How many entries a table may have: what its limit and its size leave. */
  capacityOf(table: number): number {
    const { words, its } = this
    const low = words[its + GITS_BASER + 2 * table]
    const high = words[its + GITS_BASER + 2 * table + 1]
    if ((high & GITS_BASER_HIGH_Valid) === 0) return 0
    const bytes = 2 ** pageShift(low)
    const pages = (GITS_BASER_Size(low) + 1) * (high & GITS_BASER_HIGH_Indirect ? bytes / LEVEL_1_ENTRY : 1)
    return Math.min((pages * bytes) / 2 ** this.entryShift(table), 2 ** this.bitsOf(table))
  }

  private bitsOf(table: number): number {
    const { deviceBits, collectionBits, vpeBits } = this.limits
    return [deviceBits, collectionBits, vpeBits][table]
  }

  /**
   * How many entries of a table there are not from `id` on, where a page of it begins that is not there. For people, who
   * take the refusal of memory.
   */
  emptyPageAt(table: number, id: number): number {
    const perPage = 2 ** (pageShift(this.words[this.its + GITS_BASER + 2 * table]) - this.entryShift(table))
    return id % perPage !== 0 || this.find(table, id) !== NO_ENTRY ? 0 : perPage
  }

  /** Looks for the interrupt of an event: its INTID, and its collection or its vPE. */
  findInterrupt(deviceId: number, eventId: number): number {
    const fault = this.findDevice(deviceId)
    return fault === TRANSLATED ? this.findEvent(eventId) : fault
  }
}
