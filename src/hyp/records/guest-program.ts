/** A guest's program: a list of operations in a typed array, with codes and operands. */

/** Codes of operations. An operation is eight words, the code and its operands. */
export const OP_END = 0
/** Group. */
export const OP_ACK = 1
export const OP_EOI = 2
export const OP_DIR = 3
/** DAIF bits. */
export const OP_MASK = 4
export const OP_UNMASK = 5
export const OP_WFI = 6
export const OP_WFE = 7
export const OP_SEV = 8
/** Encoding, bits 31:0, bits 63:32. */
export const OP_WRITE = 9
/** Encoding. */
export const OP_READ = 10
/** Encoding, mask, value: reads until the masked value is equal. */
export const OP_POLL = 11
export const OP_HVC = 12
/** Loop, rounds, operation to go back to. */
export const OP_LOOP = 13
export const OP_RETURN = 14
/** INTID: the device that drives it lowers its line. */
export const OP_QUIESCE = 15
/** Timer, ticks from now or -1 to turn it off. */
export const OP_TIMER = 16
/** Ticks from now. */
export const OP_WFIT = 17
export const OP_WFET = 18
/** PSCI CPU_SUSPEND. */
export const OP_SUSPEND = 19
/** An access that userspace emulates. */
export const OP_USERSPACE = 20
/** Size, then the address in two words. */
export const OP_MMIO_READ = 21
/** Size, the address in two words, then the value in two words. */
export const OP_MMIO_WRITE = 22
/** INTID, operation to go on with if the last acknowledge gave another. */
export const OP_UNLESS_ACK = 23
/** Loop: counts a round of it. */
export const OP_COUNT = 24
/** Loop, rounds: spins until so many were counted. */
export const OP_UNTIL_COUNT = 25
/** The address in two words, then a value: a store of 32 bits to the guest's memory. */
export const OP_STORE = 26
/** A guest hypervisor's ERET to its own guest. */
export const OP_ERET = 27
export const OP_SHIFT = 3
export const OP_WORDS = 1 << OP_SHIFT

/** A guest's operations, which never change. */
export interface GuestProgram {
  readonly ops: Int32Array
  /** The name of each operation, for timelines. */
  readonly names: readonly string[]
  /** The operation at which each handler begins; -1 if there is none. */
  readonly onIrq: number
  readonly onFiq: number
}

/** Whether a program has an operation. */
export function hasOperation({ ops }: GuestProgram, operation: number): boolean {
  for (let at = 0; at < ops.length; at += OP_WORDS) if (ops[at] === operation) return true
  return false
}
