/**
 * What goes wrong without being anybody's wrong use of the API, for a host that wants to know: command errors of an
 * ITS, messages that are dropped, memory that refuses an access. The host hears of it when the access or the message
 * that made it happen is complete, in order; it may call the GIC in answer.
 */
import { commandError } from '../../arch/its-commands.ts'
import type { Memory } from './memory.ts'
import type { TranslationFault } from './translation-faults.ts'

/** A command that an ITS did not carry out. */
export interface CommandErrorEvent {
  /** Tells it from the others. */
  readonly kind: 'command'
  /** Which ITS, by its place in the configuration. */
  readonly its: number
  /** Command and error, as Arm names them: `MAPD_DEVICE_OOR`. */
  readonly name: string
  /** The same as a number, as an ITS with SEIs reports it. */
  readonly code: number
  /** Where the command is in the queue, in bytes. */
  readonly offset: number
  /** Whether the queue waits at the command, with GITS_CREADR.Stalled set; otherwise the command was ignored. */
  readonly stalled: boolean
}

/** A message that an ITS dropped, and why. */
export interface MsiErrorEvent {
  /** Tells it from the others. */
  readonly kind: 'msi'
  /** Which ITS, by its place in the configuration. */
  readonly its: number
  /** Who sent it. */
  readonly deviceId: number
  /** What it wrote. */
  readonly eventId: number
  /** The reason, as {@link Gic.explainMsi} gives it. */
  readonly reason: TranslationFault
}

/** An access of the GIC that memory refused. */
export interface MemoryErrorEvent {
  /** Tells it from the others. */
  readonly kind: 'memory'
  /** What the GIC wanted to do. */
  readonly access: 'read' | 'write'
  /** Where, as a physical address. */
  readonly address: number
}

/** What {@link GicHost.onError} hears of. */
export type GicErrorEvent = CommandErrorEvent | MsiErrorEvent | MemoryErrorEvent

/** Who hears of it. */
export interface ErrorListener {
  /**
   * Something went wrong that is nobody's wrong use of the API: see {@link GicErrorEvent}. It is called after the access
   * or the message that made it happen is complete.
   */
  onError?(event: GicErrorEvent): void
}

export class HostEvents {
  /** Of the access under way only; empty between accesses. */
  private readonly events: GicErrorEvent[] = []

  constructor(readonly host: ErrorListener) {}

  commandError(its: number, opcode: number, error: number, offset: number, stalled: boolean): void {
    if (!this.host.onError) return
    this.events.push({ kind: 'command', its, ...commandError(opcode, error), offset, stalled })
  }

  msiDropped(its: number, deviceId: number, eventId: number, reason: TranslationFault): void {
    if (!this.host.onError) return
    this.events.push({ kind: 'msi', its, deviceId: deviceId >>> 0, eventId: eventId >>> 0, reason })
  }

  memoryRefused(memory: Memory): void {
    if (!this.host.onError) return
    this.events.push({ kind: 'memory', ...memory.lastRefusal })
  }

  /** Tells the host of what has happened. */
  deliver(): void {
    while (this.events.length > 0) {
      const event = this.events.shift()
      if (event) this.host.onError?.(event)
    }
  }
}
