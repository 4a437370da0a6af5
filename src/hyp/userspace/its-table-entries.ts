/**
 * The entries of an ITS's tables in the guest's memory, as a saved VM has them: KVM's ITS table ABI, revision 0 (Linux,
 * "ARM Virtual Interrupt Translation Service (ITS)", "ITS Table ABI REV0"). Each has 8 bytes, two little-endian words.
 * `next` is the distance to the next valid entry, 0 in the last one; a larger distance than the field has room for ends at
 * an entry that is not valid, from where the next is searched one by one.
 */

import { hex } from '../../errors/printed.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import type { Memory } from '../../gic/config/memory.ts'

export interface DeviceEntry {
  readonly next: number
  /** The address of the ITT, two words: bits 51:8. */
  readonly ittLow: number
  readonly ittHigh: number
  /** Bits of the device's EventIDs. */
  readonly bits: number
}

export interface EventEntry {
  readonly next: number
  readonly intid: number
  readonly icid: number
}

export interface CollectionEntry {
  /** The number of the vCPU; undefined if the collection is not mapped. */
  readonly target: number | undefined
  readonly icid: number
}

/** An entry: two words, the low one first. */
export type Words = readonly [low: number, high: number]

const VALID = 0x8000_0000 | 0
const HIGH = 0x1_0000_0000
/** The largest `next` of a device, bits 62:49, and of an event, bits 63:48. */
const DEVICE_NEXT = 0x3fff
const EVENT_NEXT = 0xffff
/** RDbase of a collection that is not mapped. */
const NOT_MAPPED = 0xffff_ffff

/** The device table's: V 63, next 62:49, ITT_addr 48:5, Size 4:0. */
export const deviceEntry = ({ next, ittLow, ittHigh, bits }: DeviceEntry): Words => [
  (ittLow >>> 3) | (ittHigh << 29) | (bits - 1),
  VALID | (Math.min(next, DEVICE_NEXT) << 17) | (ittHigh >>> 3),
]

/** undefined if it is not valid. */
export const asDeviceEntry = ([low, high]: Words): DeviceEntry | undefined =>
  (high & VALID) === 0
    ? undefined
    : {
        next: (high >>> 17) & DEVICE_NEXT,
        ittLow: (low & ~0x1f) << 3,
        ittHigh: ((high & 0x1_ffff) << 3) | (low >>> 29),
        bits: (low & 0x1f) + 1,
      }

/** The ITT's: next 63:48, pINTID 47:16, ICID 15:0. */
export const eventEntry = ({ next, intid, icid }: EventEntry): Words => [
  (intid << 16) | icid,
  (Math.min(next, EVENT_NEXT) << 16) | (intid >>> 16),
]

/** One whose pINTID is 0 is not valid. */
export const asEventEntry = ([low, high]: Words): EventEntry => ({
  next: high >>> 16,
  intid: (high & 0xffff) * 0x1_0000 + (low >>> 16),
  icid: low & 0xffff,
})

/** The collection table's: V 63, RDbase 51:16, ICID 15:0. The entries follow each other; one that is not valid ends them. */
export function collectionEntry({ target = NOT_MAPPED, icid }: CollectionEntry): Words {
  return [(target << 16) | icid, VALID | (target >>> 16)]
}

/** undefined if it is not valid. */
export function asCollectionEntry([low, high]: Words): CollectionEntry | undefined {
  if ((high & VALID) === 0) return undefined
  const target = (high & 0xf_ffff) * 0x1_0000 + (low >>> 16)
  return { target: target === NOT_MAPPED ? undefined : target, icid: low & 0xffff }
}

/** Reads the entry at an address. Throws EFAULT if there is no memory. */
export function readEntry(memory: Memory, address: number, what: string): Words {
  const [low, high] = [address | 0, Math.floor(address / HIGH)]
  const entry = [memory.read(low, high, 0), memory.read(low, high, 4)] as const
  if (memory.takeRefusal()) throw noMemory(address, what)
  return entry
}

/** Writes an entry. Throws EFAULT if there is no memory. */
export function writeEntry(memory: Memory, address: number, [low, high]: Words, what: string): void {
  const at = [address | 0, Math.floor(address / HIGH)] as const
  memory.write(...at, 0, low)
  memory.write(...at, 4, high)
  if (memory.takeRefusal()) throw noMemory(address, what)
}

const noMemory = (address: number, what: string): VgicError =>
  new VgicError('EFAULT', `The guest has ${what} at ${hex(address)}, where it has no memory.`)
