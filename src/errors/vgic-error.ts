/** What went wrong, for programs; the message says it for people. */
export type VgicErrorCode =
  /** A configuration field is out of its bounds or contradicts another. */
  | 'config'
  /** An argument of a call is out of range or of the wrong type. */
  | 'argument'
  /** A buffer is not an image of this library. */
  | 'image-foreign'
  /** An image was made by another version of this library. */
  | 'image-version'
  /** An image is shorter or longer than its configuration says. */
  | 'image-truncated'
  /** An image is one of ours, but of a machine with another configuration or of another kind. */
  | 'image-mismatch'
  /** The memory that a machine keeps itself is full. */
  | 'memory'
  /** A scenario contradicts itself or names what it does not have. */
  | 'scenario'
  /** Userspace gives a register a value that it does not take, or names one that this machine's silicon lacks. */
  | 'EINVAL'
  /** Userspace names a system register that has no state to read or write. */
  | 'ENOENT'
  /** Userspace names a memory-mapped register, or a vCPU, that does not exist. */
  | 'ENXIO'
  /** Userspace reads or writes registers of a VM whose vCPUs run. */
  | 'EBUSY'

/**
 * The one error this library throws, and only for wrong use of its API: nothing that a guest or a device does
 * throws. `message` is a sentence that says what to do; `code` is stable.
 */
export class VgicError extends Error {
  /** Always `VgicError`. */
  override readonly name = 'VgicError'

  constructor(
    /** What went wrong, for programs. */
    readonly code: VgicErrorCode,
    message: string,
  ) {
    super(message)
  }
}
