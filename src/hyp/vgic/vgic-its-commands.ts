/**
 * The commands of a guest's ITS as KVM carries them out (vgic-its.c). An error has no effect and is reported to nobody:
 * the queue goes on. What a command leaves to KVM:
 * - MAPTI and MAPI of an event that is mapped do nothing.
 * - A second event for an INTID shares its LPI, which stays where it is.
 * - MOVI moves the LPI, not its pending bit: an LPI that is on an ap_list goes along when that vCPU prunes it.
 * - DISCARD and MAPD with V = 0 leave a pending LPI pending: it is delivered still.
 * - They clear the entry in the guest's table, which holds what was saved there last.
 *
 * KVM carries out all that is in the queue while the access that starts it waits. Here an access does so until its commands
 * have gone through 2^20 LPIs, events and translations: some 50 ms. What is left then is for the next access to the control
 * frame, a read too, and so a driver that polls GITS_CREADR sees a slower ITS. So the queue of an ITS that is enabled and
 * not locked has commands only between two such accesses.
 */
import { FIRST_LPI } from '../../arch/intid.ts'
import {
  COMMAND_ADDRESS,
  COMMAND_ADDRESS_2,
  COMMAND_DEVICE_ID,
  COMMAND_EVENT_ID,
  COMMAND_HIGH_V,
  COMMAND_ICID,
  COMMAND_opcode,
  COMMAND_PINTID,
  COMMAND_SIZE,
  COMMAND_Size,
  ITS_CLEAR,
  ITS_DISCARD,
  ITS_INT,
  ITS_INV,
  ITS_INVALL,
  ITS_MAPC,
  ITS_MAPD,
  ITS_MAPI,
  ITS_MAPTI,
  ITS_MOVALL,
  ITS_MOVI,
} from '../../arch/its-commands.ts'
import {
  ITS_CBASER,
  ITS_COMMAND,
  ITS_CREADR,
  ITS_CWRITER,
  ITS_LOCK,
  ITS_QUEUE_LOCK,
  ITS_WALKED,
} from '../records/its-record.ts'
import { EVENT_DEVICE, LPI_FORWARD } from '../records/lpi-record.ts'
import { VCPU_INDEX, type Vcpu } from '../records/vcpu.ts'
import { IRQ_LATCH, TARGET_NONE } from '../records/vgic-irq.ts'
import { VM_PROPBASER } from '../records/vm.ts'
import { COLLECTION_TABLE, DEVICE_TABLE, ITS_ID_BITS, type VgicIts } from './vgic-its.ts'

const CBASER_LOW = ~0xfff
const ADDRESS_HIGH = 0xfffff
const ITT_LOW = ~0xff
const IDBITS = 0x1f
/** The lock of a queue within a write of a register: more than the index of a vCPU. */
const STARTED = 0x100
/** LPIs, events and translations that an access goes through before it leaves the rest of a queue to the next one. */
const MOST_WALKED = 2 ** 20
/** A command that goes through fewer is not counted: a full queue of them, 32,768, goes through no more than that. */
const FEWEST_COUNTED = 32

/** Carries out the command that ITS `n` has fetched, and goes on in its queue. */
export type CarryOut = (commands: VgicItsCommands, n: number) => void

/** What the kernel of a design does about LPIs that is the same whoever asks for it, a guest or userspace. */
export interface ItsWays {
  readonly carryOut: CarryOut
  /** Whether EnableLPIs, `GITS_BASER<n>`, a save and what stops the VM are those of Linux 6.1. */
  readonly isLinux61: boolean
}

export class VgicItsCommands {
  readonly words: Int32Array

  constructor(
    readonly its: VgicIts,
    private readonly carryOut: CarryOut,
  ) {
    this.words = its.words
  }

  /** Bytes of an ITS's queue. */
  queueSize(record: number): number {
    return ((this.words[record + ITS_CBASER] & 0xff) + 1) << 12
  }

  /** Whether an enabled ITS has commands to carry out. */
  hasCommands(n: number): boolean {
    const { words } = this
    const record = this.its.recordOf(n)
    return (
      this.its.isEnabled(n) &&
      words[record + ITS_CWRITER] < this.queueSize(record) &&
      words[record + ITS_CREADR] !== words[record + ITS_CWRITER]
    )
  }

  /**
   * Carries out what is in the queue of ITS `n`, if it is enabled, as far as one access does. It is done at once, for
   * userspace or a VM that is stopped, and so by the design's way instead of its steps.
   */
  process(n: number): void {
    while (this.take(n)) {
      this.invalidateFor(n)
      this.carryOut(this, n)
    }
  }

  /**
   * ITS `n` is to carry out what is in its queue, which is locked for that: a register was written that makes it do so, or
   * an earlier access has left commands.
   */
  start(n: number): void {
    if (this.hasCommands(n)) this.words[this.its.recordOf(n) + ITS_QUEUE_LOCK] = STARTED
  }

  /** Whether the queue of ITS `n` is locked: a write of its registers waits until its commands are carried out. */
  isQueueLocked(n: number): boolean {
    return this.words[this.its.recordOf(n) + ITS_QUEUE_LOCK] !== 0
  }

  /** An ITS whose queue is locked; -1 if there is none. */
  lockedQueue(): number {
    const { itsCount } = this.its.apLists.layout
    for (let n = 0; n < itsCount; n++) if (this.isQueueLocked(n)) return n
    return -1
  }

  /** A vCPU is to carry out the commands of ITS `n`, whose queue is its own until {@link take} unlocks it. */
  lockQueue(n: number, v: Vcpu): void {
    this.words[this.its.recordOf(n) + ITS_QUEUE_LOCK] = this.words[v + VCPU_INDEX] + 1
  }

  /** The ITS whose queue a vCPU has locked; -1 if there is none. */
  lockedBy(v: Vcpu): number {
    const owner = this.words[v + VCPU_INDEX] + 1
    const { itsCount } = this.its.apLists.layout
    for (let n = 0; n < itsCount; n++)
      if (this.words[this.its.recordOf(n) + ITS_QUEUE_LOCK] === owner) return n
    return -1
  }

  /**
   * Fetches the next command of ITS `n`. Returns false, and unlocks the queue, if there is none, or it is left to the next
   * access.
   */
  take(n: number): boolean {
    const { words } = this
    const record = this.its.recordOf(n)
    if (words[record + ITS_WALKED] < MOST_WALKED && this.hasCommands(n)) {
      this.fetch(record)
      return true
    }
    words.fill(0, record + ITS_COMMAND, record + ITS_COMMAND + COMMAND_SIZE / 4)
    words[record + ITS_QUEUE_LOCK] = 0
    words[record + ITS_WALKED] = 0
    return false
  }

  /** A command of ITS `n` goes through so many LPIs, events or translations. */
  count(n: number, walked: number): void {
    if (walked >= FEWEST_COUNTED) this.words[this.its.recordOf(n) + ITS_WALKED] += walked
  }

  lock(n: number, v: Vcpu): void {
    this.words[this.its.recordOf(n) + ITS_LOCK] = this.words[v + VCPU_INDEX] + 1
  }

  unlock(n: number): void {
    this.words[this.its.recordOf(n) + ITS_LOCK] = 0
  }

  /**
   * Forgets the cached translations if the command that was fetched changes any. It may come before the change: while
   * its_lock is held nothing is translated anew. A command that turns out to change none costs a translation.
   */
  invalidateFor(n: number): void {
    if (this.invalidates(n)) this.its.cache.invalidate()
  }

  /**
   * Whether the command that was fetched changes what a cached translation says: the LPI of an event. MAPC that moves a
   * collection changes where its LPIs go, which they know themselves.
   */
  invalidates(n: number): boolean {
    const command = this.its.recordOf(n) + ITS_COMMAND
    const opcode = COMMAND_opcode(this.words[command])
    return opcode === ITS_MAPC ? !this.isValid(command) : changesTranslations[opcode] !== 0
  }

  /** Carries out the command that was fetched, and goes on in the queue. */
  execute(n: number): void {
    const { words } = this
    const record = this.its.recordOf(n)
    const command = record + ITS_COMMAND
    byOpcode[COMMAND_opcode(words[command])]?.(this, n, command)
    this.advance(record)
  }

  /** Goes on in the queue of an ITS, by its record. */
  advance(record: number): void {
    const next = this.words[record + ITS_CREADR] + COMMAND_SIZE
    this.words[record + ITS_CREADR] = next >= this.queueSize(record) ? 0 : next
  }

  /** Fetches a command. One that memory refuses to give is skipped: opcode 0 is none. */
  private fetch(record: number): void {
    const { words } = this
    const low = words[record + ITS_CBASER] & CBASER_LOW
    const high = words[record + ITS_CBASER + 1] & ADDRESS_HIGH
    const offset = words[record + ITS_CREADR]
    this.its.countAccess()
    for (let word = 0; word < COMMAND_SIZE / 4; word++) {
      words[record + ITS_COMMAND + word] = this.its.memory.read(low, high, offset + 4 * word)
    }
    if (this.its.takeRefusal()) words[record + ITS_COMMAND] = 0
  }

  /** The slot of the command's event; 0 if it is not mapped. */
  eventOf(n: number, command: number): number {
    return this.its.findEvent(
      n,
      this.words[command + COMMAND_DEVICE_ID],
      this.words[command + COMMAND_EVENT_ID],
    )
  }

  /** V of a command that maps or unmaps. */
  isValid(command: number): boolean {
    return (this.words[command + COMMAND_ADDRESS + 1] & COMMAND_HIGH_V) !== 0
  }

  /** The vCPU that RDbase names, by its index: bits 47:16 of a doubleword are its number; -1 if there is none. */
  targetOf(command: number, at: number): number {
    const target = (this.words[command + at] >>> 16) + (this.words[command + at + 1] & 0xffff) * 0x1_0000
    return target < this.its.apLists.layout.vcpuCount ? target : -1
  }

  /** The vCPU of the collection that the command names, by its index; TARGET_NONE if it is not mapped. */
  collectionTarget(n: number, command: number): number {
    return this.its.targetOf(this.its.findCollection(n, COMMAND_ICID(this.words[command + COMMAND_ADDRESS])))
  }

  /** A device that is mapped already loses its events first. Each was mapped by a command: they need not be counted. */
  mapd(n: number, command: number): void {
    const { its, words } = this
    const deviceId = words[command + COMMAND_DEVICE_ID]
    const bits = COMMAND_Size(words[command + COMMAND_EVENT_ID]) + 1
    const entry = its.entryInMemory(n, DEVICE_TABLE, deviceId)
    if (entry < 0) return
    if (this.isValid(command) && bits > ITS_ID_BITS) return
    const slot = its.findDevice(n, deviceId)
    if (slot !== 0) its.freeDevice(slot)
    if (!this.isValid(command)) {
      its.clearEntry(entry)
      return
    }
    const low = words[command + COMMAND_ADDRESS] & ITT_LOW
    its.addDevice(n, deviceId, bits, low, words[command + COMMAND_ADDRESS + 1] & ADDRESS_HIGH)
  }

  mapc(n: number, command: number): void {
    const { its, words } = this
    const icid = COMMAND_ICID(words[command + COMMAND_ADDRESS])
    const known = its.findCollection(n, icid)
    const isMapped = this.isValid(command)
    const target = this.targetOf(command, COMMAND_ADDRESS)
    if (isMapped && target < 0) return
    if (known !== 0) this.count(n, its.events.layout.count)
    if (!isMapped) {
      its.freeCollection(known)
      return
    }
    const collection = known === 0 ? this.newCollection(n, icid) : known
    if (collection === 0) return
    its.setTarget(collection, target)
    if (known !== 0) its.updateCollection(collection)
  }

  private newCollection(n: number, icid: number): number {
    return this.its.entryInMemory(n, COLLECTION_TABLE, icid) < 0 ? 0 : this.its.addCollection(n, icid)
  }

  mapti(n: number, command: number, intid: number): void {
    const { its, words } = this
    const device = its.findDevice(n, words[command + COMMAND_DEVICE_ID])
    const eventId = words[command + COMMAND_EVENT_ID]
    if (device === 0 || !its.hasMemoryForEvent(device, eventId) || !this.isLpi(intid)) return
    if (its.events.find(device, eventId) !== 0) return
    const icid = COMMAND_ICID(words[command + COMMAND_ADDRESS])
    const known = its.findCollection(n, icid)
    const collection = known === 0 ? this.newCollection(n, icid) : known
    if (collection === 0) return
    const irq = its.lpiFor(intid, its.targetOf(collection))
    const isMapped = irq !== 0 && its.addEvent(device, eventId, irq, collection)
    if (isMapped) return
    if (irq !== 0) its.lpis.put(irq)
    // A collection that is new has no events.
    if (known === 0) its.collections.remove(collection)
  }

  /** Whether GICR_PROPBASER has room for an INTID. */
  private isLpi(intid: number): boolean {
    const { apLists } = this.its
    const bits = Math.min((this.words[apLists.layout.vm + VM_PROPBASER] & IDBITS) + 1, ITS_ID_BITS)
    return intid >= FIRST_LPI && intid < 2 ** bits
  }

  movi(n: number, command: number): void {
    const { its, words } = this
    const event = this.eventOf(n, command)
    if (event === 0 || its.targetOf(its.collectionOf(event)) === TARGET_NONE) return
    const collection = its.findCollection(n, COMMAND_ICID(words[command + COMMAND_ADDRESS]))
    const target = its.targetOf(collection)
    if (target === TARGET_NONE) return
    its.setCollection(event, collection)
    its.setAffinity(its.lpiOf(event), target)
  }

  movall(n: number, command: number): void {
    const from = this.targetOf(command, COMMAND_ADDRESS)
    const to = this.targetOf(command, COMMAND_ADDRESS_2)
    if (from < 0 || to < 0 || from === to) return
    this.count(n, this.its.moveAll(from, to))
  }

  int(n: number, command: number): void {
    const { its, words } = this
    const irq = its.resolve(n, words[command + COMMAND_DEVICE_ID], words[command + COMMAND_EVENT_ID])
    if (irq === 0) return
    this.count(n, its.cache.layout.translationCount)
    if (!its.raiseForwarded(irq)) its.apLists.store(irq, words[irq] | IRQ_LATCH)
  }

  clear(n: number, command: number): void {
    const event = this.eventOf(n, command)
    if (event === 0) return
    const irq = this.its.lpiOf(event)
    this.words[irq] &= ~IRQ_LATCH
    if (this.words[irq + LPI_FORWARD] !== 0) this.its.forwarded?.cleared(irq)
  }

  discard(n: number, command: number): void {
    const { its, words } = this
    const event = this.eventOf(n, command)
    if (event === 0 || its.targetOf(its.collectionOf(event)) === TARGET_NONE) return
    const device = words[its.events.recordOf(event) + EVENT_DEVICE]
    its.clearEntry(its.ittEntryAddress(device, its.eventIdOf(event)))
    its.freeEvent(event)
  }

  inv(n: number, command: number): void {
    const event = this.eventOf(n, command)
    if (event !== 0) this.its.readConfiguration(this.its.lpiOf(event))
  }

  invall(n: number, command: number): void {
    this.count(n, this.its.invalidateAll(this.collectionTarget(n, command)))
  }
}

/** What a command does, at word `at`, for ITS `n`. */
type Command = (commands: VgicItsCommands, n: number, at: number) => void

const commands: Readonly<Record<number, Command>> = {
  [ITS_MAPD]: (its, n, at) => its.mapd(n, at),
  [ITS_MAPC]: (its, n, at) => its.mapc(n, at),
  [ITS_MAPTI]: (its, n, at) => its.mapti(n, at, its.words[at + COMMAND_PINTID]),
  [ITS_MAPI]: (its, n, at) => its.mapti(n, at, its.words[at + COMMAND_EVENT_ID]),
  [ITS_MOVI]: (its, n, at) => its.movi(n, at),
  [ITS_MOVALL]: (its, n, at) => its.movall(n, at),
  [ITS_INT]: (its, n, at) => its.int(n, at),
  [ITS_CLEAR]: (its, n, at) => its.clear(n, at),
  [ITS_DISCARD]: (its, n, at) => its.discard(n, at),
  [ITS_INV]: (its, n, at) => its.inv(n, at),
  [ITS_INVALL]: (its, n, at) => its.invall(n, at),
}
/** An array without holes. SYNC has nothing to wait for, and other opcodes are ignored. */
const byOpcode = Array.from({ length: 0x100 }, (_, opcode) => commands[opcode])
/** By opcode, 1 for commands that change what a cached translation says, but for MAPC, which does with V = 0. */
const changesTranslations = Uint8Array.from({ length: 0x100 }, (_, opcode) =>
  [ITS_MAPD, ITS_MOVI, ITS_MOVALL, ITS_DISCARD].includes(opcode) ? 1 : 0,
)
