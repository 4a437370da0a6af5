/**
 * Errors that are no misuse of the API, reported to a host that asks for them: command errors of an ITS, dropped
 * messages, accesses refused by memory. They are reported in order, after the access or message that caused them is
 * complete; the host may call the GIC then.
 */
import { commandError } from '../../arch/its-commands.ts'
import { EventQueue } from './event-queue.ts'
import type { Memory } from './memory.ts'
import type { TranslationFault } from './translation-faults.ts'

/** A command that an ITS refused. */
export interface CommandErrorEvent {
  /** Discriminates the events. */
  readonly kind: 'command'
  /** The ITS, by its index in the configuration. */
  readonly its: number
  /** Command and error by Arm's name: `MAPD_DEVICE_OOR`. */
  readonly name: string
  /** Arm's code of the error, 24 bits, with which an ITS with SEIs would report it. */
  readonly code: number
  /** Byte offset of the command in the queue. */
  readonly offset: number
  /** Whether the queue waits at the command, with GITS_CREADR.Stalled set; otherwise the command was ignored. */
  readonly stalled: boolean
}

/** A message that an ITS dropped. */
export interface MsiErrorEvent {
  /** Discriminates the events. */
  readonly kind: 'msi'
  /** The ITS, by its index in the configuration. */
  readonly its: number
  /** The DeviceID of its sender. */
  readonly deviceId: number
  /** The EventID that was written. */
  readonly eventId: number
  /** The reason, one of those of {@link Gic.explainMsi}. */
  readonly reason: TranslationFault
}

/** An access of the GIC that memory refused. */
export interface MemoryErrorEvent {
  /** Discriminates the events. */
  readonly kind: 'memory'
  /** Whether the GIC wanted to read or write. */
  readonly access: 'read' | 'write'
  /** The physical address. */
  readonly address: number
}

/** An error that {@link GicHost.onError} is called with. */
export type GicErrorEvent = CommandErrorEvent | MsiErrorEvent | MemoryErrorEvent

/** A receiver of errors. */
export interface ErrorListener {
  /**
   * Called with an error that is no misuse of the API, after the access or message that caused it is complete: see
   * {@link GicErrorEvent}.
   */
  onError?(event: GicErrorEvent): void
}

export class HostEvents {
  private readonly events = new EventQueue<GicErrorEvent>((event) => this.tell(event))

  constructor(readonly host: ErrorListener & { onGuestError?(event: CommandErrorEvent): void }) {}

  commandError(its: number, opcode: number, error: number, offset: number, stalled: boolean): void {
    if (!this.host.onError && !this.host.onGuestError) return
    this.events.add({ kind: 'command', its, ...commandError(opcode, error), offset, stalled })
  }

  msiDropped(its: number, deviceId: number, eventId: number, reason: TranslationFault): void {
    if (!this.host.onError) return
    this.events.add({ kind: 'msi', its, deviceId: deviceId >>> 0, eventId: eventId >>> 0, reason })
  }

  memoryRefused(memory: Memory): void {
    if (!this.host.onError) return
    this.events.add({ kind: 'memory', ...memory.lastRefusal })
  }

  /** Reports the errors to the host. */
  deliver(): void {
    this.events.deliver()
  }

  private tell(event: GicErrorEvent): void {
    this.host.onError?.(event)
    if (event.kind === 'command') this.host.onGuestError?.(event)
  }
}
