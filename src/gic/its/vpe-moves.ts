/**
 * VMOVP over several ITSs (IHI 0069, "VMOVP"). Where GITS_TYPER.VMOVP is 1, software sends it to one ITS, which tells the
 * others. Where it is 0 software sends it to all in its ITSList, with one sequence number: each waits with it at the head
 * of its queue, and when the last has it the vPE moves for all at once.
 */
import {
  COMMAND_DEVICE_ID,
  COMMAND_ITSList,
  COMMAND_Sequence_Number,
  ITS_VMOVP,
} from '../../arch/its-commands.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import type { CommandQueue } from './command-queue.ts'
import type { Commands } from './commands.ts'
import type { VpeEntries } from './vpe-entries.ts'

/** An ITS, as far as moves concern it. */
interface MovingIts {
  readonly queue: CommandQueue
  readonly vpeEntries: VpeEntries | undefined
}

export class VpeMoves {
  /** Filled when all ITSs are there. */
  readonly its: MovingIts[] = []
  /** Whether a VMOVP of one ITS may wait for another. */
  private readonly mayWait: boolean

  constructor(readonly config: CheckedGicConfig) {
    const { version, its } = config
    this.mayWait = version !== '3' && its.length > 1 && its.some(({ vmovp }) => vmovp === 0)
  }

  /**
   * Carries out what is in the queue of an ITS, and in those of others that go on when a VMOVP that they wait with is
   * done: each carries out at least one command, or it is over. All of them together go through `most` words. Those
   * with commands that an earlier access has left go on, too: the ITS may wait for them.
   */
  run(queue: CommandQueue, most: number): void {
    let goesOn = queue.run(most) || this.isAnyStarted
    while (goesOn && this.mayWait) {
      goesOn = false
      for (const its of this.its) if (its.queue.run(most)) goesOn = true
    }
  }

  /** Whether an access to the ITS of a queue carries out commands: where it may wait for others, theirs too. */
  isStarted(queue: CommandQueue): boolean {
    return queue.isStarted || (this.mayWait && this.isAnyStarted)
  }

  private get isAnyStarted(): boolean {
    return this.its.some((its) => its.queue.isStarted)
  }

  /** Whether an ITS need not wait for others of the list. */
  isReady(number: number, list: number, sequence: number): boolean {
    if (this.config.its[number].vmovp === 1) return true
    return this.its.every(
      (its, other) => other === number || ((list >>> other) & 1) === 0 || this.isAtHead(its, sequence),
    )
  }

  /** Whether an ITS has a VMOVP with a sequence number at the head of its queue. */
  private isAtHead({ queue }: MovingIts, sequence: number): boolean {
    if (!queue.isReady || !queue.fetch()) return false
    const { commands } = queue
    return (
      commands.opcode === ITS_VMOVP && COMMAND_Sequence_Number(commands.word(COMMAND_DEVICE_ID)) === sequence
    )
  }

  /** Whether the VMOVP at the head of an ITS's queue waits for others. */
  waits(number: number, commands: Commands): boolean {
    const list = COMMAND_ITSList(commands.word(2))
    return !this.isReady(number, list, COMMAND_Sequence_Number(commands.word(COMMAND_DEVICE_ID)))
  }

  /** The others of the list have carried out their command with this one. */
  release(number: number, list: number): void {
    if (this.config.its[number].vmovp === 1) return
    for (const [other, its] of this.its.entries()) {
      if (other !== number && (list >>> other) & 1) its.queue.advance()
    }
  }

  /** The vPE goes to another CPU, for every ITS that is told and has it mapped: those of the list, or all. */
  move(number: number, list: number, vpe: number, cpu: number): void {
    const all = this.config.its[number].vmovp === 1
    for (const [n, { vpeEntries }] of this.its.entries()) {
      if (all || n === number || (list >>> n) & 1) vpeEntries?.move(vpe, cpu)
    }
  }
}
