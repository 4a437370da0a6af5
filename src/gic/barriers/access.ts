/** An access to a register, as those look at it that watch a driver. */
export interface Access {
  /** The register's name, with its number: `GICD_ICENABLER1`. */
  readonly name: string
  /** The CPU whose redistributor it is; undefined for the distributor and an ITS. */
  readonly cpu: number | undefined
  readonly its: number | undefined
  readonly address: number
  /** From the beginning of the frames. */
  readonly offset: number
  /** Bytes. */
  readonly size: number
  /** Bits 31:0 of what is written or was read. */
  readonly value: number
  /** Bits 63:32, of 8 bytes. */
  readonly high: number
}

/** The upper half of a 64-bit register in an access; undefined if that is of the lower half. */
export function upperHalf({ size, offset, value, high }: Access): number | undefined {
  if (size === 8) return high
  return offset & 4 ? value : undefined
}

/** Reads registers without being watched. */
export interface Registers {
  peek(address: number, size: number): number
}
