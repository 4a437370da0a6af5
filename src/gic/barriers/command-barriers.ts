/**
 * What a driver relies on that a command has done, without a SYNC, VSYNC or GICR_SYNCR after it (IHI 0069, "SYNC",
 * "VSYNC": after a SYNC "the effects of all previous commands must apply to subsequent writes to GITS_TRANSLATER").
 * Rules B1 to B5, B12 and B13. Commands are noted when they are carried out; what ends a note is the barrier, or a
 * command that undoes it.
 */
import {
  COMMAND_ADDRESS,
  COMMAND_ADDRESS_2,
  COMMAND_VMAPP_Alloc,
  COMMAND_VMAPP_VPT,
  COMMAND_VPEID,
  COMMAND_VPT_size,
  COMMAND_VSGI_vINTID,
  commandName,
  ITS_DISCARD,
  ITS_INT,
  ITS_INV,
  ITS_INVALL,
  ITS_INVDB,
  ITS_MAPC,
  ITS_MAPD,
  ITS_MAPI,
  ITS_MAPTI,
  ITS_MOVALL,
  ITS_MOVI,
  ITS_SYNC,
  ITS_VINVALL,
  ITS_VMAPI,
  ITS_VMAPP,
  ITS_VMAPTI,
  ITS_VMOVI,
  ITS_VMOVP,
  ITS_VSGI,
  ITS_VSYNC,
} from '../../arch/its-commands.ts'
import type { BarrierRule } from '../config/missing-barriers.ts'
import { TRANSLATED } from '../config/translation-faults.ts'
import { DONE, STALL, WAIT } from '../its/commands.ts'
import type { Its } from '../its/its.ts'
import { ITS_ITT } from '../its/its-records.ts'
import { ITT_ENTRY_SIZE } from '../its/its-tables.ts'
import { NOTE_INVALLR, NOTE_INVLPIR } from './barrier-records.ts'
import { BLANK, type CommandNotes, type Note, noteName } from './command-notes.ts'
import type { ConfigurationTables } from './configuration-tables.ts'
import type { Reports } from './reports.ts'

const HIGH = 0x1_0000_0000
const ADDRESS_HIGH = 0xfffff

/** Commands that map an event, those that are about an event, and those that are about a vPE. */
const MAPS_EVENT = new Set([ITS_MAPTI, ITS_MAPI, ITS_VMAPTI, ITS_VMAPI])
const OF_EVENT = new Set([...MAPS_EVENT, ITS_MOVI, ITS_VMOVI, ITS_INV])
const OF_VPE = new Set([ITS_VMAPP, ITS_VMOVP, ITS_VSGI, ITS_INVDB, ITS_VINVALL])
const MAPS = new Set([ITS_MAPD, ITS_MAPC, ITS_VMAPP, ...MAPS_EVENT])
const MOVES = new Set([ITS_MOVI, ITS_VMOVI, ITS_MOVALL, ITS_VMOVP])

/** Memory that a command takes away from what it was given to. */
interface Freed {
  readonly address: number
  readonly bytes: number
}
const NOTHING: Freed = { address: 0, bytes: 0 }

const ruleOf = ({ kind }: Note): BarrierRule => {
  if (MAPS.has(kind)) return 'B1'
  if (MOVES.has(kind)) return 'B2'
  return kind >= NOTE_INVLPIR ? 'B5' : 'B4'
}

const joined = (low: number, high: number): number => (low >>> 0) + (high & ADDRESS_HIGH) * HIGH

export class CommandBarriers {
  constructor(
    readonly reports: Reports,
    readonly notes: CommandNotes,
    readonly tables: ConfigurationTables,
  ) {}

  /** Carries out the command of an ITS. */
  execute(its: Its): number {
    const { commands } = its
    if (commands.opcode === ITS_INT) this.use(its, commands.deviceId, commands.eventId, 'INT', true)
    const freed = this.freedBy(its)
    const end = commands.execute()
    if (end === DONE) this.note(its, freed)
    if (end !== STALL && end !== WAIT) this.synchronise(its)
    return end
  }

  /**
   * A message. While commands are still in the queue, a barrier may be among them, and what they change may be there or
   * not: only a mapping has to be there before its device sends.
   */
  message(its: Its, deviceId: number, eventId: number): void {
    const isIdle = !its.queue.isReady
    if (!isIdle) this.reportQueued(its, deviceId, eventId)
    this.use(its, deviceId, eventId, 'GITS_TRANSLATER', isIdle)
  }

  /** An interrupt relies on how its event is mapped and, with `isIdle`, on moves and on its configuration. */
  private use(its: Its, deviceId: number, eventId: number, access: string, isIdle: boolean): void {
    const { found, number } = its
    const fault = found.find(deviceId, eventId)
    its.memory.takeRefusal()
    if (fault !== TRANSLATED) return
    const { cpu } = found
    const relied = this.notes.take(
      (note) => (isIdle || ruleOf(note) === 'B1') && this.concerns(note, its, deviceId, eventId),
    )
    for (const note of relied) {
      const what = `${noteName(note)}, after which there is no barrier: device ${deviceId >>> 0} event ${eventId >>> 0}`
      this.reports.report(ruleOf(note), access, { cpu, its: number }, what)
    }
    if (!isIdle || !this.tables.use(its)) return
    const what = `the configuration of INTID ${found.intid}, which has changed in memory`
    this.reports.report('B3', access, { cpu, its: number }, what)
  }

  /** Whether a note is about the interrupt that an ITS has found. */
  private concerns(note: Note, { found, tables, number }: Its, deviceId: number, eventId: number): boolean {
    const { kind, owner, device, event, target, flag } = note
    const { isVirtual } = tables
    if (kind === NOTE_INVALLR) return isVirtual ? target === found.vpe : target < 0 && owner === found.cpu
    if (kind === NOTE_INVLPIR) return device === found.intid && target === (isVirtual ? found.vpe : -1)
    if (owner !== number) return false
    if (OF_EVENT.has(kind)) return device === deviceId && event === eventId
    if (kind === ITS_MAPD) return !flag && device === deviceId
    if (kind === ITS_MAPC) return !isVirtual && event === found.vpe
    if (kind === ITS_MOVALL || kind === ITS_INVALL) return !isVirtual && target === found.cpu
    return kind !== ITS_VSGI && kind !== ITS_INVDB && !flag && isVirtual && target === found.vpe
  }

  /** Where effects lag: a mapping that is in the queue still. */
  private reportQueued(its: Its, deviceId: number, eventId: number): void {
    const { queue, commands, number } = its
    for (let at = queue.readOffset; at !== queue.writeOffset && queue.fetchAt(at); at = queue.after(at)) {
      const { opcode } = commands
      const isMapped =
        commands.deviceId === deviceId && MAPS_EVENT.has(opcode) && commands.eventId === eventId
      if (!isMapped) continue
      const what = `${commandName(opcode)}, which is still in the queue: device ${deviceId >>> 0} event ${eventId >>> 0}`
      this.reports.report('B1', 'GITS_TRANSLATER', { its: number }, what)
    }
  }

  /** The memory that the command takes away, before it does. */
  private freedBy(its: Its): Freed {
    const { commands, tables } = its
    if (commands.opcode === ITS_VMAPP && !commands.valid) return this.tables.pendingTableOf(its, vpeOf(its))
    if (commands.opcode !== ITS_MAPD || commands.valid) return NOTHING
    const fault = tables.findDevice(commands.deviceId)
    tables.memory.takeRefusal()
    if (fault !== TRANSLATED) return NOTHING
    const low = tables.words[tables.its + ITS_ITT]
    return {
      address: joined(low & ~0xff, tables.words[tables.its + ITS_ITT + 1]),
      bytes: ITT_ENTRY_SIZE * 2 ** ((low & 0x1f) + 1),
    }
  }

  /** A command was carried out. */
  private note(its: Its, freed: Freed): void {
    const { commands, found, number: owner } = its
    const { opcode: kind, deviceId: device, eventId: event } = commands
    if (OF_EVENT.has(kind)) this.noteEvent(its)
    else if (kind === ITS_DISCARD) this.dropEvent(owner, device, event)
    else if (kind === ITS_MAPD) this.noteDevice(its, freed)
    else if (kind === ITS_MAPC) this.noteCollection(its)
    else if (kind === ITS_MOVALL) {
      this.notes.add({ ...BLANK, kind, owner, target: commands.target(COMMAND_ADDRESS_2) })
    } else if (kind === ITS_INVALL) {
      this.notes.add({ ...BLANK, kind, owner, target: found.cpu })
      this.tables.invalidateAll(found.cpu)
    } else if (OF_VPE.has(kind)) this.noteVpe(its, freed)
  }

  private noteEvent(its: Its): void {
    const { commands, found, tables, number: owner } = its
    const { opcode: kind, deviceId: device, eventId: event } = commands
    if (MAPS_EVENT.has(kind)) this.dropEvent(owner, device, event)
    if (kind !== ITS_INV) this.notes.add({ ...BLANK, kind, owner, device, event })
    else {
      const [target, flag] = [tables.isVirtual ? found.vpe : found.cpu, tables.isVirtual]
      this.notes.add({ ...BLANK, kind, owner, device, event, target, flag })
      this.tables.invalidate(its)
    }
    if (MAPS_EVENT.has(kind)) this.tables.know(its, device, event)
  }

  private dropEvent(its: number, deviceId: number, eventId: number): void {
    this.notes.drop(
      ({ kind, owner, device, event }) =>
        OF_EVENT.has(kind) && owner === its && device === deviceId && event === eventId,
    )
  }

  private noteDevice({ commands, number: owner }: Its, freed: Freed): void {
    const { deviceId: device, valid, size } = commands
    this.notes.drop(
      (note) =>
        note.owner === owner && note.device === device && (OF_EVENT.has(note.kind) || isMapping(note)),
    )
    if (!valid) {
      if (freed.bytes > 0) this.notes.add({ ...BLANK, kind: ITS_MAPD, owner, device, ...freed, flag: true })
      return
    }
    const address = joined(commands.addressLow & ~0xff, commands.addressHigh)
    this.reportReuse('MAPD', owner, address, ITT_ENTRY_SIZE * 2 ** (size + 1), ITS_MAPD, device)
    this.notes.add({ ...BLANK, kind: ITS_MAPD, owner, device })
  }

  private noteCollection({ commands, number: owner }: Its): void {
    const { icid } = commands
    this.notes.drop((note) => note.kind === ITS_MAPC && note.owner === owner && note.event === icid)
    if (commands.valid) this.notes.add({ ...BLANK, kind: ITS_MAPC, owner, event: icid })
  }

  /** VMAPP with V = 0 of GICv4.1 synchronises itself: nothing is left to wait for (rule 83 of docs/gicv4.md). */
  private noteVpe(its: Its, freed: Freed): void {
    const { commands, number: owner } = its
    const { opcode: kind } = commands
    const target = vpeOf(its)
    if (kind === ITS_VINVALL) this.tables.invalidateVpe(its, target)
    if (kind !== ITS_VMAPP) {
      const event = kind === ITS_VSGI ? COMMAND_VSGI_vINTID(commands.word(1)) : 0
      this.notes.add({ ...BLANK, kind, owner, event, target })
      return
    }
    this.notes.drop(
      (note) => OF_VPE.has(note.kind) && note.owner === owner && note.target === target && !note.flag,
    )
    if (!commands.valid) {
      if (freed.bytes > 0) this.notes.add({ ...BLANK, kind, owner, target, ...freed, flag: true })
      return
    }
    const address = joined(commands.word(COMMAND_VMAPP_VPT) & ~0xffff, commands.word(COMMAND_VMAPP_VPT + 1))
    const bytes = 2 ** (COMMAND_VPT_size(commands.word(COMMAND_VMAPP_VPT)) + 1) / 8
    if ((commands.word(0) & COMMAND_VMAPP_Alloc) !== 0) this.tables.invalidateVpe(its, target)
    this.reportReuse('VMAPP', owner, address, bytes, ITS_VMAPP, target)
    this.notes.add({ ...BLANK, kind, owner, target, address, bytes })
  }

  /** B12 and B13. The one that it is taken away from may get it back: commands are carried out in order. */
  private reportReuse(
    access: string,
    its: number,
    address: number,
    bytes: number,
    kind: number,
    id: number,
  ): void {
    const reused = this.notes.take(
      (note) =>
        note.flag &&
        (note.kind === ITS_MAPD || note.kind === ITS_VMAPP) &&
        note.address < address + bytes &&
        address < note.address + note.bytes &&
        !(note.kind === kind && idOf(note) === id),
    )
    for (const note of reused) {
      const whose =
        note.kind === ITS_MAPD ? `the ITT of device ${note.device >>> 0}` : `the table of vPE ${note.target}`
      this.reports.report(note.kind === ITS_MAPD ? 'B12' : 'B13', access, { its }, whose)
    }
  }

  /** SYNC and VSYNC. */
  private synchronise(its: Its): void {
    const { commands, number } = its
    const { opcode } = commands
    if (opcode === ITS_SYNC) {
      const cpu = commands.target(COMMAND_ADDRESS)
      this.notes.drop((note) => note.owner === number && isEndedBySync(note, cpu))
    } else if (opcode === ITS_VSYNC) {
      const vpe = vpeOf(its)
      this.notes.drop((note) => note.owner === number && isEndedByVsync(note, vpe))
    }
  }
}

const vpeOf = ({ commands }: Its): number => COMMAND_VPEID(commands.word(3))
const idOf = ({ kind, device, target }: Note): number => (kind === ITS_MAPD ? device : target)
const isMapping = ({ kind, flag }: Note): boolean => kind === ITS_MAPD && !flag

/** What any SYNC and any VSYNC of an ITS ends. */
const isEndedByEither = ({ kind }: Note): boolean =>
  kind < NOTE_INVLPIR && !OF_VPE.has(kind) && kind !== ITS_INV && kind !== ITS_INVALL

const isEndedBySync = (note: Note, cpu: number): boolean =>
  isEndedByEither(note) ||
  ((note.kind === ITS_INV || note.kind === ITS_INVALL) && !note.flag && note.target === cpu)

const isEndedByVsync = (note: Note, vpe: number): boolean =>
  isEndedByEither(note) ||
  (((note.kind === ITS_INV && note.flag) || OF_VPE.has(note.kind)) && note.target === vpe)
