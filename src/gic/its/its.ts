/**
 * An Interrupt Translation Service (IHI 0069, "The Interrupt Translation Service"): it translates what devices write to
 * GITS_TRANSLATER, an EventID beside their DeviceID, to an LPI of a redistributor, by tables in memory that software
 * sets up with commands.
 *
 * Where the architecture leaves the outcome open:
 * - Writes of GITS_CBASER and `GITS_BASER<n>` while GITS_CTLR.Enabled is set are ignored.
 * - Reserved fields of those registers keep what is written; a reserved Page_Size is taken as 64 KiB.
 * - Before GICv4.1, GITS_CTLR.Quiescent is set whenever nothing is under way, enabled or not.
 * - Commands may take their time: an access carries out a bounded part of a queue (command-queue.ts).
 * - GITS_CTLR.ITS_Number is read-only: the ITS's index in the configuration, if GICv4 has more than one.
 */
import {
  GITS_CREADR_Stalled,
  GITS_CTLR_Enabled,
  GITS_CTLR_ITS_Number_SHIFT,
  GITS_CTLR_Quiescent,
  GITS_CWRITER_Offset,
  GITS_CWRITER_Retry,
  GITS_TYPER_HIGH_CIL,
  GITS_TYPER_HIGH_nID,
  GITS_TYPER_HIGH_SVPET_SHIFT,
  GITS_TYPER_HIGH_VMAPP,
  GITS_TYPER_HIGH_VMOVP,
  GITS_TYPER_HIGH_VSGI,
  GITS_TYPER_Physical,
  GITS_TYPER_PTA,
  GITS_TYPER_Virtual,
} from '../../arch/gits-registers.ts'
import { COMMAND_ADDRESS, COMMAND_VPEID, ITS_SYNC, ITS_VMOVP, ITS_VSYNC } from '../../arch/its-commands.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import type { HostEvents } from '../config/host-events.ts'
import type { Memory } from '../config/memory.ts'
import { MEMORY_REFUSED, TRANSLATED, translationFaults } from '../config/translation-faults.ts'
import type { Lpis } from '../lpi/lpis.ts'
import { VPE_ENTRY_SHIFT } from '../vpe/vpe-entry.ts'
import type { Vpes } from '../vpe/vpes.ts'
import { AcceptedMessages } from './accepted-messages.ts'
import { CommandQueue, WORDS_OF_ACCESS } from './command-queue.ts'
import { Commands } from './commands.ts'
import type { DriverWatch } from './driver-watch.ts'
import { FoundInterrupt } from './found-interrupt.ts'
import {
  GITS_BASER,
  GITS_CBASER,
  GITS_CREADR,
  GITS_CTLR,
  GITS_CWRITER,
  ITS_FOUND_ICID,
  ITS_SGIR,
} from './its-records.ts'
import { ITT_ENTRY_SIZE, ItsTables } from './its-tables.ts'
import { Targets } from './targets.ts'
import { VirtualCommands } from './virtual-commands.ts'
import { VpeEntries } from './vpe-entries.ts'
import type { VpeMoves } from './vpe-moves.ts'

/** Type and Entry_Size of `GITS_BASER<n>`: devices, collections and vPEs, 8 bytes an entry, of GICv4.1's vPEs 32. */
const BASER_FIXED = 0x071f0000
const BASER_TYPES = {
  '3': [0x01070000, 0x04070000],
  '4.0': [0x01070000, 0x04070000, 0x02070000],
  '4.1': [0x01070000, 0x04070000, 0x021f0000],
} as const
/** Page_Size after reset: 64 KiB. */
const BASER_RESET = 0x200

export class Its {
  readonly words: Int32Array
  /** What its tables and its command queue do. */
  readonly tables: ItsTables
  readonly commands: Commands
  readonly queue: CommandQueue
  readonly messages: AcceptedMessages
  /** What an event was translated to. */
  readonly found: FoundInterrupt
  /** On GICv4. */
  readonly vpeEntries: VpeEntries | undefined
  /** As the identification registers show it. */
  readonly isGicv4: boolean
  /** ITS_Number in GITS_CTLR, shifted. */
  private readonly numberBits: number
  /** Whether GITS_CTLR.Quiescent is 0 while it is enabled. */
  private readonly isBusyWhileEnabled: boolean
  /** GITS_MPIDR. */
  readonly mpidr: number
  private readonly baserTypes: readonly number[]
  private readonly takesSgis: boolean
  private readonly typerLow: number
  private readonly typerHigh: number
  private readonly lagging: boolean
  /** Whether a message is translated when it is received, and nobody watches. */
  private readonly isDirect: boolean
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
    /** On GICv4. */
    readonly vpes?: Vpes,
    private readonly moves?: VpeMoves,
    private readonly watch?: DriverWatch,
  ) {
    const { words } = lpis
    const { deviceBits, eventBits, collectionBits, pta, affinity, svpet } = config.its[number]
    const { cpus, vpeBits, version } = config
    const vpeEntryShift = version === '4.1' ? VPE_ENTRY_SHIFT : 3
    const limits = { deviceBits, eventBits, collectionBits, cpus, vpeBits, vpeEntryShift }
    this.words = words
    this.isGicv4 = version !== '3'
    this.numberBits = this.isGicv4 && config.its.length > 1 ? number << GITS_CTLR_ITS_Number_SHIFT : 0
    this.isBusyWhileEnabled = version === '4.1'
    this.mpidr = version === '4.1' && svpet !== 0 ? affinity & ~0xff : 0
    this.baserTypes = BASER_TYPES[version]
    this.takesSgis = config.choices.sgirWhileDisabled === 'taken'
    this.tables = new ItsTables(words, its, memory, limits)
    this.vpeEntries = vpes && new VpeEntries(this.tables, vpes, number, config)
    this.found = new FoundInterrupt(this.tables, lpis, vpes, this.vpeEntries)
    const virtual =
      vpes && this.vpeEntries && moves
        ? new VirtualCommands(vpes, this.vpeEntries, moves, number, config).byOpcode
        : undefined
    this.commands = new Commands(this.tables, lpis, new Targets(config, pta), this.found, virtual)
    const errorsStall = config.choices.commandErrors === 'stall' || config.unpredictable === 'pessimistic'
    this.queue = new CommandQueue(number, memory, this.commands, events, errorsStall, watch)
    this.messages = new AcceptedMessages(words, its)
    this.lagging = config.writeEffects === 'lagging'
    this.isDirect = !this.lagging && !watch
    this.queueAsWritten = config.choices.queueRegisters === 'as-written'
    this.typerLow =
      GITS_TYPER_Physical |
      ((ITT_ENTRY_SIZE - 1) << 4) |
      ((eventBits - 1) << 8) |
      ((deviceBits - 1) << 13) |
      (pta === 1 ? GITS_TYPER_PTA : 0) |
      (this.isGicv4 ? GITS_TYPER_Virtual : 0)
    this.typerHigh = GITS_TYPER_HIGH_CIL | (collectionBits - 1) | virtualTyperHigh(config, number)
  }

  reset(): void {
    for (const [table, type] of this.baserTypes.entries()) {
      this.words[this.its + GITS_BASER + 2 * table] = BASER_RESET
      this.words[this.its + GITS_BASER + 2 * table + 1] = type
    }
  }

  get isEnabled(): boolean {
    return (this.words[this.its + GITS_CTLR] & GITS_CTLR_Enabled) !== 0
  }

  readCtlr(): number {
    const isBusy = (this.isBusyWhileEnabled && this.isEnabled) || this.isBusy
    return this.words[this.its + GITS_CTLR] | this.numberBits | (isBusy ? 0 : GITS_CTLR_Quiescent)
  }

  /** What is in the queue already is carried out when the ITS is enabled. */
  writeCtlr(value: number): void {
    this.words[this.its + GITS_CTLR] = value & GITS_CTLR_Enabled
    this.startQueue()
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
    this.startQueue()
  }

  readCreadr(half: number): number {
    return this.words[this.its + GITS_CREADR + half]
  }

  /** Read only, but for QEMU's. */
  writeCreadr(half: number, value: number): void {
    if (!this.queueAsWritten) return
    this.words[this.its + GITS_CREADR + half] = half === 0 ? value & ~GITS_CREADR_Stalled : value
  }

  readBaser(word: number): number {
    return this.words[this.its + GITS_BASER + word]
  }

  writeBaser(word: number, value: number): void {
    const table = word >> 1
    if (this.isEnabled || table >= this.baserTypes.length) return
    const at = this.its + GITS_BASER + word
    this.words[at] = word & 1 ? (value & ~BASER_FIXED) | this.baserTypes[table] : value
  }

  /** Where commands lag they are carried out one by one, and no access does it. */
  private startQueue(): void {
    if (!this.lagging) this.queue.start()
  }

  /**
   * An access to the control frame is complete: it carries out commands, if it has started the ITS or an earlier one has left
   * any. Returns whether it has.
   */
  completeAccess(): boolean {
    if (!(this.moves?.isStarted(this.queue) ?? this.queue.isStarted)) return false
    this.memory.restartCount()
    this.carryOut(WORDS_OF_ACCESS)
    return true
  }

  /** A device writes `eventId` to GITS_TRANSLATER. A disabled ITS drops it. */
  receive(deviceId: number, eventId: number): void {
    if (!this.isEnabled) {
      this.events.msiDropped(this.number, deviceId, eventId, 'its-disabled')
    } else if (this.isDirect) this.translate(deviceId, eventId)
    else this.accept(deviceId, eventId)
  }

  private accept(deviceId: number, eventId: number): void {
    this.watch?.message(this.number, deviceId, eventId)
    if (!this.lagging) this.translate(deviceId, eventId)
    else {
      if (this.messages.isFull) this.translateMessage(0)
      this.messages.add(deviceId, eventId)
    }
  }

  /** Message `n` of those that are accepted is translated. */
  translateMessage(n: number): void {
    const deviceId = this.messages.deviceIdOf(n)
    const eventId = this.messages.eventIdOf(n)
    this.messages.remove(n)
    this.translate(deviceId, eventId)
  }

  private translate(deviceId: number, eventId: number): void {
    const { found, lpis, events, memory } = this
    const fault = found.find(deviceId, eventId)
    if (fault === TRANSLATED) {
      const isTaken = found.set()
      if (memory.takeRefusal()) events.memoryRefused(memory)
      if (isTaken) return
      const reason =
        this.tables.isVirtual || lpis.isEnabled(found.cpu) ? 'intid-out-of-range' : 'lpis-disabled'
      events.msiDropped(this.number, deviceId, eventId, reason)
      return
    }
    if (fault === MEMORY_REFUSED) events.memoryRefused(memory)
    events.msiDropped(this.number, deviceId, eventId, translationFaults[fault])
  }

  /** GITS_SGIR: an SGI of a vPE becomes pending. The lower half has the SGI, and the upper one, which comes next, the vPE. */
  writeSgir(half: number, value: number): void {
    if (half === 0) this.words[this.its + ITS_SGIR] = value & 0xf
    else this.sendSgi(this.words[this.its + ITS_SGIR], value & 0xffff)
  }

  private sendSgi(sgi: number, vpe: number): void {
    if (!this.vpes || !this.vpeEntries || !(this.isEnabled || this.takesSgis)) return
    const fault = this.vpeEntries.find(vpe)
    if (fault === TRANSLATED) this.vpes.setSgi(this.found.cpu, sgi)
    if (fault === MEMORY_REFUSED || this.memory.takeRefusal()) this.events.memoryRefused(this.memory)
  }

  /**
   * Whether the next command can be carried out, where commands lag. A SYNC waits until the messages that were accepted
   * for its redistributor are translated, a VSYNC until those for its vPE are; it does not wait for others. A VMOVP waits
   * for the other ITSs in its list.
   */
  get isCommandReady(): boolean {
    return this.queue.isReady && !this.commandWaits()
  }

  private commandWaits(): boolean {
    const isAlone = this.messages.count === 0 && this.config.its[this.number].vmovp === 1
    if (isAlone || !this.queue.fetch()) return false
    switch (this.commands.opcode) {
      case ITS_SYNC:
        return this.syncWaits(false, this.commands.target(COMMAND_ADDRESS))
      case ITS_VSYNC:
        return this.syncWaits(true, COMMAND_VPEID(this.commands.word(3)))
      case ITS_VMOVP:
        return this.moves?.waits(this.number, this.commands) ?? false
      default:
        return false
    }
  }

  /** Whether any message that was accepted goes to a CPU or, with `virtual`, to a vPE. */
  private syncWaits(virtual: boolean, target: number): boolean {
    const { messages, found, tables, words, its } = this
    for (let n = 0; target >= 0 && n < messages.count; n++) {
      if (found.find(messages.deviceIdOf(n), messages.eventIdOf(n)) !== TRANSLATED) continue
      if (tables.isVirtual !== virtual) continue
      if ((virtual ? words[its + ITS_FOUND_ICID] : found.cpu) === target) return true
    }
    return false
  }

  /** Whether messages or commands are still to be dealt with: GITS_CTLR.Quiescent is 0. */
  private get isBusy(): boolean {
    return this.messages.count > 0 || this.queue.isReady
  }

  /** Whether one of them can be dealt with next: not while a VMOVP waits for another ITS, to which it may never be sent. */
  get isPending(): boolean {
    return this.messages.count > 0 || this.isCommandReady
  }

  /** Translates all messages: where they lag, before all ITSs complete their commands. */
  completeMessages(): void {
    while (this.messages.count > 0) this.translateMessage(0)
  }

  /**
   * The queue is empty: GITS_CWRITER and GITS_CREADR go back to its beginning, as no software sees. An exploration calls
   * this, for which states are equal whatever the place of the next command.
   */
  rewindQueue(): void {
    if (this.queue.readOffset !== this.queue.writeOffset) return
    this.words[this.its + GITS_CWRITER] = 0
    this.words[this.its + GITS_CREADR] = 0
  }

  /** Carries out all commands, for whoever completes what lags. */
  completeCommands(): void {
    this.carryOut(Number.POSITIVE_INFINITY)
  }

  private carryOut(most: number): void {
    if (this.moves) this.moves.run(this.queue, most)
    else this.queue.run(most)
  }
}

/** Bits 63:32 of GITS_TYPER, as far as they are about vPEs. */
function virtualTyperHigh({ version, its }: CheckedGicConfig, number: number): number {
  const { vmovp, svpet } = its[number]
  const vmovpBit = version !== '3' && vmovp === 1 ? GITS_TYPER_HIGH_VMOVP : 0
  if (version !== '4.1') return vmovpBit
  return (
    vmovpBit |
    GITS_TYPER_HIGH_VSGI |
    GITS_TYPER_HIGH_VMAPP |
    GITS_TYPER_HIGH_nID |
    (svpet << GITS_TYPER_HIGH_SVPET_SHIFT)
  )
}
