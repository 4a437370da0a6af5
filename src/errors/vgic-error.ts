/** What went wrong, for programs; an error's message says it for people. */
export type VgicErrorCode =
  /** A field of a configuration is out of range or contradicts another. */
  | 'config'
  /** An argument of a call is out of range or of the wrong type. */
  | 'argument'
  /** A buffer is not an image of this library. */
  | 'image-foreign'
  /** An image was made by another version of this library. */
  | 'image-version'
  /** An image is shorter or longer than its configuration says. */
  | 'image-truncated'
  /** An image of this library, but of a machine with another configuration or of another kind. */
  | 'image-mismatch'
  /** The memory pool of a machine is full. */
  | 'memory'
  /** A scenario contradicts itself or names something that it does not have. */
  | 'scenario'
  /** Userspace gives a register a value that it does not take, or names a register that this silicon lacks, or no vCPU. */
  | 'EINVAL'
  /** Userspace names a system register that has no state to read or write. */
  | 'ENOENT'
  /** Userspace names a register of an ITS, or an ITS, that does not exist. */
  | 'ENXIO'
  /** Userspace reads or writes registers of a VM whose vCPUs run. */
  | 'EBUSY'
  /** A VM is saved or restored whose guest has a table of its ITS where there is no memory. */
  | 'EFAULT'

/** The key of a property of every VgicError: the same symbol in each copy of the library. */
const BRAND = Symbol.for('vgic.VgicError')

/**
 * The only error that this library throws, and only for wrong use of its API: nothing that a guest or a device does
 * throws. `message` is a sentence that says what to do; `code` is stable. `instanceof VgicError` holds for the errors
 * of every copy of the library in the process: a program may have loaded it as an ES module and by require().
 */
export class VgicError extends Error {
  static {
    // biome-ignore lint/complexity/noThisInStatic: a class that names itself in its body is bundled under another name.
    Object.defineProperty(this, Symbol.hasInstance, { value: isInstance })
  }

  /** Always `VgicError`. */
  override readonly name = 'VgicError'

  constructor(
    /** What went wrong, for programs. */
    readonly code: VgicErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/** Whether an error is what KVM returns to userspace, with a code of errno's. */
export const isErrno = (error: unknown): error is VgicError =>
  error instanceof VgicError && /^E[A-Z]+$/.test(error.code)

/** Implements `instanceof`. For a class that extends VgicError, its prototype chain decides, as usual. */
function isInstance(this: unknown, value: unknown): boolean {
  if (this !== VgicError) return Function.prototype[Symbol.hasInstance].call(this, value)
  return typeof value === 'object' && value !== null && BRAND in value
}
