/**
 * A frame of memory-mapped registers as data: one row for a run of equal registers, that says where it is, what it
 * holds for each interrupt, which access sizes it takes, and what a read and a write do. The frame that a guest sees
 * and the frame of the silicon are two maps of the same machinery (IHI 0069, "The GIC Distributor register map",
 * "The GIC Redistributor register map").
 *
 * What no row takes, and an access of a size that a row does not have or that is not aligned to it, reads as zero and
 * is ignored.
 */
import { VgicError } from '../state/vgic-error.ts'

/** Access sizes that a row takes: the sizes in bytes, ORed. */
export const BYTE = 1
export const WORD = 4
export const DOUBLEWORD = 8

/** A run of equal registers. `M` is whose registers they are; `owner` is the handle of the PE or vCPU of a frame. */
export interface RegisterRow<M> {
  /** The register's name without its number: `GICD_ISENABLER`. */
  readonly name: string
  /** Of the first register, in the frame. */
  readonly offset: number
  /** Bytes that the run covers. */
  readonly length: number
  /** Bits that an interrupt has in it: 1, 2, 8 or 64; 0 for a register that is not per interrupt. */
  readonly bits: 0 | 1 | 2 | 8 | 64
  /** {@link BYTE}, {@link WORD} and {@link DOUBLEWORD}, ORed. */
  readonly sizes: number
  /**
   * A read of bits 31:0 or less. `first` is the INTID of the first interrupt covered and `count` how many are; in a
   * row without interrupts `first` is the number of the 32-bit word in the row and `count` is 1. In a 64-bit register
   * per interrupt `count` is 1 for the low half and 2 for the high half.
   */
  read(machine: M, owner: number, first: number, count: number): number
  /** A write, with the arguments of `read`. A doubleword is two writes, the low half first. */
  write(machine: M, owner: number, first: number, count: number, value: number): void
}

const ignoreWrite = (): void => {}

/** Registers that read as zero and ignore writes. They need a row only to have a name. */
export const razWi = <M>(name: string, offset: number, length: number): RegisterRow<M> => ({
  name,
  offset,
  length,
  bits: 0,
  sizes: WORD,
  read: () => 0,
  write: ignoreWrite,
})

/** A register that only reads. */
export const readOnly = <M>(
  name: string,
  offset: number,
  read: (machine: M, owner: number) => number,
): RegisterRow<M> => ({ name, offset, length: 4, bits: 0, sizes: WORD, read, write: ignoreWrite })

export class RegisterMap<M, R extends RegisterRow<M> = RegisterRow<M>> {
  /** For each word of the frame the number of its row plus 1, 0 where there is none. */
  private readonly rowOf: Uint8Array

  constructor(
    readonly rows: readonly R[],
    /** Bytes of the frame. */
    readonly size: number,
  ) {
    this.rowOf = new Uint8Array(size >> 2)
    for (const [i, { name, offset, length }] of rows.entries()) {
      for (let word = offset >> 2; word < (offset + length) >> 2; word++) {
        if (this.rowOf[word] !== 0) {
          throw new VgicError('argument', `${name} overlaps ${rows[this.rowOf[word] - 1].name} at ${offset}.`)
        }
        this.rowOf[word] = i + 1
      }
    }
  }

  /** The row that takes an access, or undefined. */
  find(offset: number, size: number): R | undefined {
    const number = this.rowOf[offset >> 2]
    if (number === 0 || offset & (size - 1)) return undefined
    const row = this.rows[number - 1]
    return row.sizes & size ? row : undefined
  }

  /** A read of 1 or 4 bytes, or of half of a doubleword: bits 31:0 of what it gives. */
  read(machine: M, owner: number, offset: number, size: number): number {
    const row = this.find(offset, size)
    if (!row) return 0
    return row.read(machine, owner, firstOf(row, offset), countOf(row, offset, size))
  }

  /** Bits 63:32 of a read of 8 bytes. */
  readHigh(machine: M, owner: number, offset: number): number {
    const row = this.find(offset, DOUBLEWORD)
    if (!row) return 0
    return row.read(machine, owner, firstOf(row, offset + 4), countOf(row, offset + 4, WORD))
  }

  /** A write; `high` is bits 63:32 of one of 8 bytes. */
  write(machine: M, owner: number, offset: number, size: number, value: number, high: number): void {
    const row = this.find(offset, size)
    if (!row) return
    row.write(machine, owner, firstOf(row, offset), countOf(row, offset, size), value)
    if (size === DOUBLEWORD)
      row.write(machine, owner, firstOf(row, offset + 4), countOf(row, offset + 4, WORD), high)
  }

  /** `GICD_ISENABLER1`: the register at an offset, or undefined. */
  nameOf(offset: number): string | undefined {
    const number = this.rowOf[offset >> 2]
    if (number === 0) return undefined
    const { name, length, bits, offset: begin } = this.rows[number - 1]
    const width = bits === 64 ? 8 : 4
    return length > width ? `${name}${Math.floor((offset - begin) / width)}` : name
  }
}

/** The first interrupt that an access at an offset covers, or the word: see {@link RegisterRow.read}. */
export function firstOf<M>(row: RegisterRow<M>, offset: number): number {
  const byte = offset - row.offset
  if (row.bits === 0) return byte >> 2
  return row.bits === 64 ? byte >> 3 : (byte << 3) / row.bits
}

function countOf<M>(row: RegisterRow<M>, offset: number, size: number): number {
  if (row.bits === 0) return 1
  if (row.bits === 64) return offset & 4 ? 2 : 1
  return (Math.min(size, WORD) << 3) / row.bits
}
