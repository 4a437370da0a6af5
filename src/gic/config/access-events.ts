/**
 * What a host may watch: every access, and the errors that guests make, which the architecture answers in silence: what
 * QEMU logs with `-d guest_errors`. Both are told after an access is complete and its outputs were set; the host may call
 * the GIC then.
 */
import type { CommandErrorEvent } from './host-events.ts'

/** An access to a frame of the GIC. */
export interface MmioAccessEvent {
  /** Discriminates the events. */
  readonly kind: 'mmio'
  /** What the guest did. */
  readonly access: 'read' | 'write'
  /** The physical address. */
  readonly address: number
  /** Bytes. */
  readonly size: number
  /** What was read or written, unsigned. */
  readonly value: bigint
  /** The register's name, such as `GICD_ISENABLER1`; undefined if there is none. */
  readonly name: string | undefined
}

/** An MRS or MSR. */
export interface SysregAccessEvent {
  /** Discriminates the events. */
  readonly kind: 'sysreg'
  /** What the guest did. */
  readonly access: 'read' | 'write'
  /** The CPU. */
  readonly cpu: number
  /** The register's encoding. */
  readonly encoding: number
  /** The register's name; generic, `S3_0_C12_C12_0`, for one that this library does not know. */
  readonly name: string
  /** What was read, 0 if it trapped; or what was to be written. Unsigned. */
  readonly value: bigint
  /** The syndrome if it trapped or is UNDEFINED, else 0: {@link Gic.lastTrap}. */
  readonly trap: number
}

/** An access that {@link AccessListener.onAccess} is called with. */
export type AccessEvent = MmioAccessEvent | SysregAccessEvent

/**
 * What is wrong with an access to a frame:
 * - `no-register`: the offset is reserved, or the GIC does not implement what would be there. The registers of all
 *   INTIDs are there; those of interrupts that this GIC does not have are RAZ/WI, which is no error.
 * - `size`: the register does not allow accesses of this size.
 * - `unaligned`: the address is no multiple of the size.
 * - `read-only`: a write to a register that is only read.
 * - `gicv2`: a register of GICv2, which affinity routing (GICD_CTLR.ARE) replaces.
 */
export type GuestAccessError = 'no-register' | 'size' | 'unaligned' | 'read-only' | 'gicv2'

/** An access to a frame of which nothing came. */
export interface GuestAccessErrorEvent extends Omit<MmioAccessEvent, 'kind'> {
  /** Discriminates the events. */
  readonly kind: 'access'
  /** What is wrong. */
  readonly error: GuestAccessError
  /** A sentence that says so. */
  readonly what: string
}

/** An error that {@link AccessListener.onGuestError} is called with. */
export type GuestErrorEvent = GuestAccessErrorEvent | CommandErrorEvent

/** A receiver of accesses and of guests' errors. Nothing is spent on what is not received. */
export interface AccessListener {
  /** Called with every access to a frame of the GIC and every system register access, after it is complete. */
  onAccess?(event: AccessEvent): void
  /**
   * Called with an error of a guest that the architecture answers in silence: an access that no register takes, or a
   * command that an ITS refused, of which {@link ErrorListener.onError} hears too.
   */
  onGuestError?(event: GuestErrorEvent): void
}
