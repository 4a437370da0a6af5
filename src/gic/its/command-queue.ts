/**
 * The command queue of an ITS (IHI 0069, "The ITS command interface"): a ring in memory that software writes up to
 * GITS_CWRITER and the ITS reads from GITS_CREADR. A command that memory refuses to give, or to carry out, stalls the
 * queue; what becomes of a command error is the choice `commandErrors`. A stalled queue goes on, with the same command,
 * when software writes GITS_CWRITER.Retry.
 *
 * An access to the ITS carries out commands until they have gone through 2^20 words of memory, which take some 50 ms: one
 * command may want all of a pending table. What is left then is for the next access to the control frame, a read too: an
 * ITS may take its time, with GITS_CREADR as it is and GITS_CTLR.Quiescent 0, and software polls.
 *
 * A GITS_CWRITER outside the queue is UNPREDICTABLE: here nothing is carried out until it is inside.
 */
import {
  GITS_CBASER_HIGH_Valid,
  GITS_CBASER_Size,
  GITS_CREADR_Offset,
  GITS_CREADR_Stalled,
  GITS_CTLR_Enabled,
  GITS_CWRITER_Offset,
} from '../../arch/gits-registers.ts'
import { COMMAND_SIZE } from '../../arch/its-commands.ts'
import type { HostEvents } from '../config/host-events.ts'
import type { Memory } from '../config/memory.ts'
import { type Commands, DONE, STALL, WAIT } from './commands.ts'
import type { DriverWatch } from './driver-watch.ts'
import { GITS_CBASER, GITS_CREADR, GITS_CTLR, GITS_CWRITER, ITS_COMMAND, ITS_STARTED } from './its-records.ts'

const QUEUE_LOW = ~0xfff
const ADDRESS_HIGH = 0xfffff
/** Words that commands go through before an access leaves the rest of a queue to the next one. */
export const WORDS_OF_ACCESS = 2 ** 20

export class CommandQueue {
  readonly words: Int32Array
  private readonly its: number

  constructor(
    readonly number: number,
    readonly memory: Memory,
    readonly commands: Commands,
    readonly events: HostEvents,
    /** Whether a command error stalls the queue: the choice `commandErrors`. */
    readonly errorsStall: boolean,
    private readonly watch?: DriverWatch,
  ) {
    this.words = commands.words
    this.its = commands.tables.its
  }

  /** Bytes of the queue. */
  private get size(): number {
    return (GITS_CBASER_Size(this.words[this.its + GITS_CBASER]) + 1) << 12
  }

  get readOffset(): number {
    return this.words[this.its + GITS_CREADR] & GITS_CREADR_Offset
  }

  get writeOffset(): number {
    return this.words[this.its + GITS_CWRITER] & GITS_CWRITER_Offset
  }

  get isStalled(): boolean {
    return (this.words[this.its + GITS_CREADR] & GITS_CREADR_Stalled) !== 0
  }

  /** Whether there is a command that the ITS can carry out. */
  get isReady(): boolean {
    const { words, its, size, readOffset, writeOffset } = this
    if ((words[its + GITS_CTLR] & GITS_CTLR_Enabled) === 0 || this.isStalled) return false
    if ((words[its + GITS_CBASER + 1] & GITS_CBASER_HIGH_Valid) === 0) return false
    return readOffset !== writeOffset && writeOffset < size && readOffset < size
  }

  /** A register was written that makes the ITS carry out what is in its queue. */
  start(): void {
    this.words[this.its + ITS_STARTED] = 1
  }

  /** Whether it was, or an earlier access has left commands. */
  get isStarted(): boolean {
    return this.words[this.its + ITS_STARTED] !== 0
  }

  /**
   * Carries out what is in the queue, as long as commands have gone through fewer than `most` words of memory: at most what
   * fits into it, since each command moves GITS_CREADR on towards a GITS_CWRITER that none of them moves. Returns whether
   * there was any.
   */
  run(most: number): boolean {
    const { memory, words, its } = this
    let ran = false
    while (memory.counted < most && this.isReady && this.step()) ran = true
    words[its + ITS_STARTED] = memory.counted >= most && this.isReady ? 1 : 0
    return ran
  }

  /**
   * Carries out one command; there is one that can be: {@link isReady} was asked. Returns false if it waits for another
   * ITS.
   */
  step(): boolean {
    const end = this.fetch() ? this.execute() : STALL
    if (end === WAIT) return false
    const stalls = end === STALL || (end !== DONE && this.errorsStall)
    if (end === STALL) this.events.memoryRefused(this.memory)
    else if (end !== DONE) this.reportError(end, stalls)
    if (stalls) this.words[this.its + GITS_CREADR] |= GITS_CREADR_Stalled
    else this.advance()
    return true
  }

  private execute(): number {
    return this.watch ? this.watch.execute(this.number) : this.commands.execute()
  }

  private reportError(error: number, stalled: boolean): void {
    this.events.commandError(this.number, this.commands.opcode, error, this.readOffset, stalled)
  }

  /** Reads the next command; false if memory refuses. */
  fetch(): boolean {
    return this.fetchAt(this.readOffset)
  }

  /** Reads the command at an offset. */
  fetchAt(offset: number): boolean {
    const { words, its, memory } = this
    const low = words[its + GITS_CBASER] & QUEUE_LOW
    const high = words[its + GITS_CBASER + 1] & ADDRESS_HIGH
    for (let n = 0; n < COMMAND_SIZE / 4; n++) {
      words[its + ITS_COMMAND + n] = memory.read(low, high, offset + 4 * n)
    }
    return !memory.takeRefusal()
  }

  /** The command at the head is done. */
  advance(): void {
    this.words[this.its + GITS_CREADR] = this.after(this.readOffset)
  }

  /** Where the command behind the one at an offset is. */
  after(offset: number): number {
    const next = offset + COMMAND_SIZE
    return next >= this.size ? 0 : next
  }
}
