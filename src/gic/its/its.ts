/**
 * An Interrupt Translation Service (IHI 0069, "The Interrupt Translation Service"): it translates what devices write to
 * GITS_TRANSLATER, an EventID beside their DeviceID, to an LPI of a redistributor, by tables in memory that software
 * sets up with commands.
 *
 * Where the architecture leaves the outcome open:
 * - Writes of GITS_CBASER and `GITS_BASER<n>` while GITS_CTLR.Enabled is set are ignored.
 * - Reserved fields of those registers keep what is written; a reserved Page_Size is taken as 64 KiB.
 * - GITS_CTLR.Quiescent is set whenever nothing is under way, enabled or not.
 */
import {
  GITS_CREADR_Stalled,
  GITS_CTLR_Enabled,
  GITS_CTLR_Quiescent,
  GITS_CWRITER_Offset,
  GITS_CWRITER_Retry,
  GITS_TYPER_HIGH_CIL,
  GITS_TYPER_Physical,
  GITS_TYPER_PTA,
} from '../../arch/gits-registers.ts'
import { FIRST_LPI } from '../../arch/intid.ts'
import { COMMAND_ADDRESS, ITS_SYNC } from '../../arch/its-commands.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import type { HostEvents } from '../config/host-events.ts'
import type { Memory } from '../config/memory.ts'
import { MEMORY_REFUSED, TRANSLATED, translationFaults } from '../config/translation-faults.ts'
import type { Lpis } from '../lpi/lpis.ts'
import { AcceptedMessages } from './accepted-messages.ts'
import { CommandQueue } from './command-queue.ts'
import { Commands } from './commands.ts'
import {
  GITS_BASER,
  GITS_CBASER,
  GITS_CREADR,
  GITS_CTLR,
  GITS_CWRITER,
  ITS_FOUND_CPU,
  ITS_FOUND_INTID,
  TABLES,
} from './its-records.ts'
import { ITT_ENTRY_SIZE, ItsTables } from './its-tables.ts'
import { Targets } from './targets.ts'

/** Type and Entry_Size of `GITS_BASER<n>`: devices and collections, 8 bytes an entry. */
const BASER_FIXED = 0x071f0000
const BASER_TYPES = [0x01070000, 0x04070000] as const
/** Page_Size after reset: 64 KiB. */
const BASER_RESET = 0x200

export class Its {
  readonly words: Int32Array
  /** What its tables and its command queue do. */
  readonly tables: ItsTables
  readonly commands: Commands
  readonly queue: CommandQueue
  readonly messages: AcceptedMessages
  /** As the identification registers show it. GICv4's vPEs are not there yet. */
  readonly isGicv4 = false
  private readonly typerLow: number
  private readonly typerHigh: number
  private readonly lagging: boolean
  /** Whether GITS_CWRITER and GITS_CREADR are as QEMU has them: the choice `queueRegisters`. */
  private readonly queueAsWritten: boolean

  constructor(
    /** Its index in the configuration. */
    readonly number: number,
    /** Its record. */
    readonly its: number,
    readonly config: CheckedGicConfig,
    readonly lpis: Lpis,
    readonly memory: Memory,
    readonly events: HostEvents,
  ) {
    const { words } = lpis
    const { deviceBits, eventBits, collectionBits, pta } = config.its[number]
    const limits = { deviceBits, eventBits, collectionBits, cpus: config.cpus }
    this.words = words
    this.tables = new ItsTables(words, its, memory, limits)
    this.commands = new Commands(this.tables, lpis, new Targets(config, pta))
    const errorsStall = config.choices.commandErrors === 'stall'
    this.queue = new CommandQueue(number, memory, this.commands, events, errorsStall)
    this.messages = new AcceptedMessages(words, its)
    this.lagging = config.writeEffects === 'lagging'
    this.queueAsWritten = config.choices.queueRegisters === 'as-written'
    this.typerLow =
      GITS_TYPER_Physical |
      ((ITT_ENTRY_SIZE - 1) << 4) |
      ((eventBits - 1) << 8) |
      ((deviceBits - 1) << 13) |
      (pta === 1 ? GITS_TYPER_PTA : 0)
    this.typerHigh = GITS_TYPER_HIGH_CIL | (collectionBits - 1)
  }

  reset(): void {
    for (const [table, type] of BASER_TYPES.entries()) {
      this.words[this.its + GITS_BASER + 2 * table] = BASER_RESET
      this.words[this.its + GITS_BASER + 2 * table + 1] = type
    }
  }

  get isEnabled(): boolean {
    return (this.words[this.its + GITS_CTLR] & GITS_CTLR_Enabled) !== 0
  }

  readCtlr(): number {
    const isQuiescent = this.messages.count === 0 && !this.queue.isReady
    return this.words[this.its + GITS_CTLR] | (isQuiescent ? GITS_CTLR_Quiescent : 0)
  }

  /** What is in the queue already is carried out when the ITS is enabled. */
  writeCtlr(value: number): void {
    this.words[this.its + GITS_CTLR] = value & GITS_CTLR_Enabled
    this.runQueue()
  }

  readTyper(half: number): number {
    return half === 0 ? this.typerLow : this.typerHigh
  }

  readCbaser(half: number): number {
    return this.words[this.its + GITS_CBASER + half]
  }

  /** GITS_CREADR goes back to the beginning of the queue; GITS_CWRITER stays. */
  writeCbaser(half: number, value: number): void {
    if (this.isEnabled) return
    this.words[this.its + GITS_CBASER + half] = value
    this.words[this.its + GITS_CREADR] = 0
    this.words[this.its + GITS_CREADR + 1] = 0
  }

  readCwriter(half: number): number {
    return this.words[this.its + GITS_CWRITER + half]
  }

  writeCwriter(half: number, value: number): void {
    const { words, its } = this
    if (half === 1) {
      if (this.queueAsWritten) words[its + GITS_CWRITER + 1] = value
      return
    }
    words[its + GITS_CWRITER] = value & (this.queueAsWritten ? ~GITS_CWRITER_Retry : GITS_CWRITER_Offset)
    if (value & GITS_CWRITER_Retry) words[its + GITS_CREADR] &= ~GITS_CREADR_Stalled
    this.runQueue()
  }

  readCreadr(half: number): number {
    return this.words[this.its + GITS_CREADR + half]
  }

  /** Read only, but for QEMU's while the ITS is disabled. */
  writeCreadr(half: number, value: number): void {
    if (!this.queueAsWritten || this.isEnabled) return
    this.words[this.its + GITS_CREADR + half] = half === 0 ? value & ~GITS_CREADR_Stalled : value
  }

  readBaser(word: number): number {
    return this.words[this.its + GITS_BASER + word]
  }

  writeBaser(word: number, value: number): void {
    const table = word >> 1
    if (this.isEnabled || table >= TABLES) return
    const at = this.its + GITS_BASER + word
    this.words[at] = word & 1 ? (value & ~BASER_FIXED) | BASER_TYPES[table] : value
  }

  private runQueue(): void {
    if (!this.lagging) this.queue.run()
  }

  /** A device writes `eventId` to GITS_TRANSLATER. A disabled ITS drops it. */
  receive(deviceId: number, eventId: number): void {
    if (!this.isEnabled) {
      this.events.msiDropped(this.number, deviceId, eventId, 'its-disabled')
    } else if (this.lagging) {
      if (this.messages.isFull) this.translateMessage(0)
      this.messages.add(deviceId, eventId)
    } else this.translate(deviceId, eventId)
  }

  /** Message `n` of those that are accepted is translated. */
  translateMessage(n: number): void {
    const deviceId = this.messages.deviceIdOf(n)
    const eventId = this.messages.eventIdOf(n)
    this.messages.remove(n)
    this.translate(deviceId, eventId)
  }

  private translate(deviceId: number, eventId: number): void {
    const { words, its, tables, lpis, events } = this
    const fault = tables.translate(deviceId, eventId)
    if (fault === TRANSLATED) {
      const cpu = words[its + ITS_FOUND_CPU]
      if (lpis.set(cpu, words[its + ITS_FOUND_INTID] - FIRST_LPI)) return
      const reason = lpis.isEnabled(cpu) ? 'intid-out-of-range' : 'lpis-disabled'
      events.msiDropped(this.number, deviceId, eventId, reason)
      return
    }
    if (fault === MEMORY_REFUSED) events.memoryRefused(this.memory)
    events.msiDropped(this.number, deviceId, eventId, translationFaults[fault])
  }

  /**
   * Whether the next command can be carried out, where commands lag. A SYNC waits until the messages that were accepted
   * for its redistributor are translated; it does not wait for others.
   */
  get isCommandReady(): boolean {
    return this.queue.isReady && !this.syncWaits()
  }

  private syncWaits(): boolean {
    if (this.messages.count === 0 || !this.queue.fetch() || this.commands.opcode !== ITS_SYNC) return false
    const target = this.commands.target(COMMAND_ADDRESS)
    for (let n = 0; target >= 0 && n < this.messages.count; n++) {
      const fault = this.tables.translate(this.messages.deviceIdOf(n), this.messages.eventIdOf(n))
      if (fault === TRANSLATED && this.words[this.its + ITS_FOUND_CPU] === target) return true
    }
    return false
  }

  /** Whether messages or commands are still to be dealt with. */
  get isPending(): boolean {
    return this.messages.count > 0 || this.queue.isReady
  }

  /** Completes all that lags: messages, then commands. */
  complete(): void {
    while (this.messages.count > 0) this.translateMessage(0)
    this.queue.run()
  }
}
