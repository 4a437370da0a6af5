/**
 * What the commands of an ITS do (IHI 0069, "ITS commands"), each a function that ends in {@link DONE}, in a command
 * error, or in a stall because memory refused what it needs. A command that ends in an error has done nothing. The
 * command itself is in the words of the ITS.
 *
 * Where the architecture leaves the outcome open:
 * - An INTID for which a redistributor's GICR_PROPBASER has no room is mapped; the redistributor does not take it.
 * - CLEAR, INV, DISCARD and MOVI of an event whose collection is not mapped are errors, and the event keeps its mapping.
 * - A device table without a page for a DeviceID has no room for the device: MAPD is an error.
 */

import { FIRST_LPI } from '../../arch/intid.ts'
import {
  COLLECTION_OOR,
  COMMAND_ADDRESS,
  COMMAND_ADDRESS_2,
  COMMAND_DEVICE_ID,
  COMMAND_EVENT_ID,
  COMMAND_HIGH_V,
  COMMAND_ICID,
  COMMAND_opcode,
  COMMAND_PINTID,
  COMMAND_Size,
  DEVICE_OOR,
  ID_OOR,
  INVALID_COMMAND,
  ITE_INVALID,
  ITEVCPU_INVALID,
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
  ITS_SYNC,
  ITTSIZE_OOR,
  PHYSICALID_OOR,
  PROCNUM_OOR,
  UNMAPPED_COLLECTION,
  UNMAPPED_DEVICE,
  UNMAPPED_INTERRUPT,
} from '../../arch/its-commands.ts'
import {
  COLLECTION_UNMAPPED,
  DEVICE_OUT_OF_RANGE,
  DEVICE_UNMAPPED,
  EVENT_OUT_OF_RANGE,
  EVENT_UNMAPPED,
  MEMORY_REFUSED,
  TRANSLATED,
  VPE_UNMAPPED,
} from '../config/translation-faults.ts'
import type { Lpis } from '../lpi/lpis.ts'
import type { FoundInterrupt } from './found-interrupt.ts'
import { ITS_COMMAND } from './its-records.ts'
import type { ItsTables } from './its-tables.ts'
import type { Targets } from './targets.ts'

/** How a command ends, but for the bytes of command errors. */
export const DONE = 0
export const STALL = -1
/** It waits for other ITSs: VMOVP. */
export const WAIT = -2

/** What a command does, on GICv4; its end. */
export type VirtualCommand = (command: Commands) => number

export class Commands {
  readonly words: Int32Array
  private readonly its: number

  constructor(
    readonly tables: ItsTables,
    readonly lpis: Lpis,
    readonly targets: Targets,
    /** What an event was translated to. */
    readonly found: FoundInterrupt,
    /** The commands about vPEs, by opcode: on GICv4. */
    private readonly virtual: readonly (VirtualCommand | undefined)[] | undefined,
  ) {
    this.words = tables.words
    this.its = tables.its
  }

  /** Carries out the command. */
  execute(): number {
    const command = byOpcode[this.opcode] ?? this.virtual?.[this.opcode]
    return command === undefined ? INVALID_COMMAND : command(this)
  }

  get opcode(): number {
    return COMMAND_opcode(this.words[this.its + ITS_COMMAND])
  }

  /** A word of the command. */
  word(n: number): number {
    return this.words[this.its + ITS_COMMAND + n]
  }

  get deviceId(): number {
    return this.word(COMMAND_DEVICE_ID)
  }

  get eventId(): number {
    return this.word(COMMAND_EVENT_ID)
  }

  get pIntid(): number {
    return this.word(COMMAND_PINTID)
  }

  get icid(): number {
    return COMMAND_ICID(this.word(COMMAND_ADDRESS))
  }

  get size(): number {
    return COMMAND_Size(this.word(COMMAND_EVENT_ID))
  }

  get valid(): boolean {
    return (this.word(COMMAND_ADDRESS + 1) & COMMAND_HIGH_V) !== 0
  }

  get addressLow(): number {
    return this.word(COMMAND_ADDRESS)
  }

  get addressHigh(): number {
    return this.word(COMMAND_ADDRESS + 1)
  }

  /** The CPU that RDbase names, or RDbase2; -1 if it names none. */
  target(at: number): number {
    return this.targets.cpuOf(this.word(at), this.word(at + 1))
  }
}

/** What ends a command that cannot have what it looked for in the tables: `error`, or a stall if memory refused it. */
const failed = (fault: number, error: number): number => (fault === MEMORY_REFUSED ? STALL : error)
const ended = (fault: number, error: number): number => (fault === TRANSLATED ? DONE : failed(fault, error))
/** A command that has come to its end stalls if memory has refused anything of it: a virtual pending table is memory. */
export const finished = ({ tables }: Commands, end: number): number =>
  tables.memory.takeRefusal() && end === DONE ? STALL : end
/** What ends a command that has not found what it looked for: `error`, or a stall if memory has refused anything. */
export const missed = ({ tables }: Commands, error: number): number =>
  tables.memory.takeRefusal() ? STALL : error

/** By fault, the error of a command that looks for a device, for an event of it and for where that goes. */
const errorOfFault: Readonly<Record<number, number>> = {
  [DEVICE_OUT_OF_RANGE]: DEVICE_OOR,
  [DEVICE_UNMAPPED]: UNMAPPED_DEVICE,
  [EVENT_OUT_OF_RANGE]: ID_OOR,
  [EVENT_UNMAPPED]: UNMAPPED_INTERRUPT,
  [COLLECTION_UNMAPPED]: ITE_INVALID,
  [VPE_UNMAPPED]: ITEVCPU_INVALID,
}

/** Looks for the interrupt of the command's event, and where it goes. */
export function translate({ found, deviceId, eventId }: Commands): number {
  const fault = found.find(deviceId, eventId)
  return ended(fault, errorOfFault[fault])
}

/** Looks for the device of the command, which is to map an event of it. */
export function findDevice({ tables, deviceId, eventId }: Commands): number {
  const fault = tables.findDevice(deviceId)
  if (fault !== TRANSLATED) return failed(fault, errorOfFault[fault])
  return tables.hasEvent(eventId) ? DONE : ID_OOR
}

/** Looks for the CPU of a collection that has to be mapped. */
function findCollection({ tables, icid }: Commands): number {
  const fault = tables.findCollection(icid)
  if (fault !== COLLECTION_UNMAPPED) return ended(fault, UNMAPPED_COLLECTION)
  const room = tables.hasCollection(icid)
  return room === TRANSLATED ? UNMAPPED_COLLECTION : failed(room, COLLECTION_OOR)
}

function mapd({ tables, deviceId, size, valid, addressLow, addressHigh }: Commands): number {
  if (!valid) return ended(tables.unmapDevice(deviceId), DEVICE_OOR)
  if (size >= tables.limits.eventBits) return ITTSIZE_OOR
  return ended(tables.mapDevice(deviceId, addressLow, addressHigh, size), DEVICE_OOR)
}

function mapc(command: Commands): number {
  const { tables, icid, valid } = command
  if (!valid) return ended(tables.unmapCollection(icid), COLLECTION_OOR)
  const cpu = command.target(COMMAND_ADDRESS)
  if (cpu < 0) return PROCNUM_OOR
  return ended(tables.mapCollection(icid, cpu), COLLECTION_OOR)
}

const mapti = (command: Commands): number => mapEvent(command, command.pIntid)
const mapi = (command: Commands): number => mapEvent(command, command.eventId)

function mapEvent(command: Commands, intid: number): number {
  const { tables, lpis, eventId, icid } = command
  const end = findDevice(command)
  if (end !== DONE) return end
  if (intid < FIRST_LPI || intid >= lpis.intidEnd) return PHYSICALID_OOR
  const room = tables.hasCollection(icid)
  if (room !== TRANSLATED) return failed(room, COLLECTION_OOR)
  return ended(tables.mapEvent(eventId, intid, icid), UNMAPPED_INTERRUPT)
}

function movi(command: Commands): number {
  const { tables, lpis, icid, eventId, found } = command
  const end = translate(command)
  if (end !== DONE) return end
  if (tables.isVirtual) return UNMAPPED_INTERRUPT
  const from = found.cpu
  const missing = findCollection(command)
  if (missing !== DONE) return missing
  const { intid, cpu } = found
  if (tables.mapEvent(eventId, intid, icid) !== TRANSLATED) return STALL
  lpis.move(from, cpu, intid - FIRST_LPI)
  return DONE
}

function movall(command: Commands): number {
  const from = command.target(COMMAND_ADDRESS)
  const to = command.target(COMMAND_ADDRESS_2)
  if (from < 0 || to < 0) return PROCNUM_OOR
  command.lpis.moveAll(from, to)
  return DONE
}

function int(command: Commands): number {
  const end = translate(command)
  if (end === DONE) command.found.set()
  return finished(command, end)
}

function clear(command: Commands): number {
  const end = translate(command)
  if (end === DONE) command.found.clear()
  return finished(command, end)
}

function discard(command: Commands): number {
  const end = translate(command)
  if (end !== DONE) return end
  if (!command.found.isInRange) return missed(command, UNMAPPED_INTERRUPT)
  command.found.clear()
  if (finished(command, end) !== DONE) return STALL
  return command.tables.unmapEvent(command.eventId) === TRANSLATED ? DONE : STALL
}

function inv(command: Commands): number {
  const end = translate(command)
  if (end === DONE) command.found.invalidate()
  return finished(command, end)
}

function invall(command: Commands): number {
  const missing = findCollection(command)
  if (missing !== DONE) return missing
  command.lpis.invalidateAll(command.found.cpu)
  return DONE
}

/** Commands are carried out one after the other, with all that they do: when it is SYNC's turn there is nothing to wait for. */
const sync = (command: Commands): number => (command.target(COMMAND_ADDRESS) < 0 ? PROCNUM_OOR : DONE)

const commands: Readonly<Record<number, VirtualCommand>> = {
  [ITS_MOVI]: movi,
  [ITS_INT]: int,
  [ITS_CLEAR]: clear,
  [ITS_SYNC]: sync,
  [ITS_MAPD]: mapd,
  [ITS_MAPC]: mapc,
  [ITS_MAPTI]: mapti,
  [ITS_MAPI]: mapi,
  [ITS_INV]: inv,
  [ITS_INVALL]: invall,
  [ITS_MOVALL]: movall,
  [ITS_DISCARD]: discard,
}
/** An opcode is looked up at every command: an array without holes. */
const byOpcode = Array.from({ length: 0x100 }, (_, opcode) => commands[opcode])
