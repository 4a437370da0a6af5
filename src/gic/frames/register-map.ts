/**
 * A frame of memory-mapped registers as data. A row declares a run of equal registers: its offset, the bits that an
 * interrupt has in it, the access sizes that it allows, and what a read and a write do. The silicon's frames and
 * those that a guest sees are maps of this class (IHI 0069, "The GIC Distributor register map", "The GIC
 * Redistributor register map").
 *
 * An access to an offset without a row, of a size that the row does not allow, or that is not aligned, reads as zero
 * and is ignored.
 */
import { VgicError } from '../../errors/vgic-error.ts'

/** Access sizes that a row allows: the sizes in bytes, ORed. */
export const BYTE = 1
export const HALFWORD = 2
export const WORD = 4
export const DOUBLEWORD = 8
/** With DOUBLEWORD alone: a write of 32 bits at the register is one of 64 bits, the upper ones zero. */
export const ZERO_EXTENDED = 16

/**
 * A run of equal registers. `M` is the class whose registers they are; `owner`, an `O`, is the handle of the frame's
 * PE or vCPU.
 */
export interface RegisterRow<M, O extends number = number> {
  /** The register's name without its number: `GICD_ISENABLER`. */
  readonly name: string
  /** Byte offset of the first register in the frame. */
  readonly offset: number
  /** Size of the run in bytes. */
  readonly length: number
  /** Bits for each interrupt: 1, 2, 8 or 64; 0 for a register that is not per interrupt. */
  readonly bits: 0 | 1 | 2 | 8 | 64
  /**
   * The access sizes that it allows: {@link BYTE}, {@link HALFWORD}, {@link WORD} and {@link DOUBLEWORD}, ORed, and
   * {@link ZERO_EXTENDED}.
   */
  readonly sizes: number
  /** Set if software only reads it: a write is its error, and ignored. */
  readonly readOnly?: true
  /**
   * A read of bits 31:0 or less. `first` is the INTID of the first interrupt covered and `count` how many are; in a
   * row without interrupts `first` is the number of the 32-bit word in the row and `count` is 1. In a 64-bit register
   * per interrupt `count` is 1 for the low half and 2 for the high half.
   */
  read(machine: M, owner: O, first: number, count: number): number
  /** A write, with the arguments of `read`. A doubleword is two writes, the low half first. */
  write(machine: M, owner: O, first: number, count: number, value: number): void
}

const ignoreWrite = (): void => {}

/** A row of registers that are RAZ/WI. It only gives them a name. */
export const razWi = <M>(name: string, offset: number, length: number): RegisterRow<M> => ({
  name,
  offset,
  length,
  bits: 0,
  sizes: WORD,
  read: () => 0,
  write: ignoreWrite,
})

/** A row of a read-only register. */
export const readOnly = <M, O extends number = number>(
  name: string,
  offset: number,
  read: (machine: M, owner: O) => number,
): RegisterRow<M, O> => ({
  name,
  offset,
  length: 4,
  bits: 0,
  sizes: WORD,
  readOnly: true,
  read,
  write: ignoreWrite,
})

/**
 * A row of 64-bit registers, `length` bytes in all, whose halves can be accessed too: `word` is the number of the
 * half in the row.
 */
export const register64 = <M, O extends number = number>(
  name: string,
  offset: number,
  length: number,
  read: (machine: M, owner: O, word: number) => number,
  write: (machine: M, owner: O, word: number, value: number) => void = ignoreWrite,
): RegisterRow<M, O> => ({
  name,
  offset,
  length,
  bits: 0,
  sizes: WORD | DOUBLEWORD,
  ...(write === ignoreWrite ? { readOnly: true } : {}),
  read,
  write: (machine, owner, word, _count, value) => write(machine, owner, word, value),
})

type Read<M, O extends number> = RegisterRow<M, O>['read']
type Write<M, O extends number> = RegisterRow<M, O>['write']

/**
 * A frame. The properties of rows that an access needs are in arrays, by the row's number from 1 on: rows are objects
 * of many shapes, whose properties are slow to read.
 */
export class RegisterMap<M, O extends number = number, R extends RegisterRow<M, O> = RegisterRow<M, O>> {
  /** For each word of the frame the number of its row, or 0. */
  private readonly rowOf: Uint8Array
  private readonly begins: Int32Array
  private readonly sizes: Uint8Array
  /**
   * By row: a bit offset shifted right by this is the number of the interrupt; WORDS for a row that is not per
   * interrupt.
   */
  private readonly shifts: Uint8Array
  private readonly reads: readonly Read<M, O>[]
  private readonly writes: readonly Write<M, O>[]

  constructor(
    readonly rows: readonly R[],
    /** Size of the frame in bytes. */
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
    this.begins = Int32Array.from([0, ...rows.map(({ offset }) => offset)])
    this.sizes = Uint8Array.from([0, ...rows.map(({ sizes }) => sizes)])
    this.shifts = Uint8Array.from([WORDS, ...rows.map(({ bits }) => (bits === 0 ? WORDS : Math.log2(bits)))])
    this.reads = [() => 0, ...rows.map(({ read }) => read)]
    this.writes = [ignoreWrite, ...rows.map(({ write }) => write)]
  }

  /** The number of the row for an access, 0 if there is none; the row is `rows[number - 1]`. */
  numberOf(offset: number, size: number): number {
    const number = this.rowOf[offset >> 2]
    if ((this.sizes[number] & size) === 0) return this.isExtended(number, offset, size) ? number : 0
    return (offset & (size - 1)) !== 0 ? 0 : number
  }

  private isExtended(number: number, offset: number, size: number): boolean {
    return size === WORD && (offset & 7) === 0 && (this.sizes[number] & ZERO_EXTENDED) !== 0
  }

  /** The row for an access, or undefined. */
  find(offset: number, size: number): R | undefined {
    const number = this.numberOf(offset, size)
    return number === 0 ? undefined : this.rows[number - 1]
  }

  /** Bits 31:0 of a read of 1, 2, 4 or 8 bytes. */
  read(machine: M, owner: O, offset: number, size: number): number {
    return this.readRow(machine, owner, this.numberOf(offset, size), offset, size)
  }

  /** Bits 31:0 of a read from the row with this number. */
  readRow(machine: M, owner: O, number: number, offset: number, size: number): number {
    return this.reads[number](
      machine,
      owner,
      this.firstOf(number, offset),
      this.countOf(number, offset, size),
    )
  }

  /** Bits 63:32 of a read of 8 bytes. */
  readHigh(machine: M, owner: O, offset: number): number {
    return this.readRow(machine, owner, this.numberOf(offset, DOUBLEWORD), offset + 4, WORD)
  }

  /** A write; `high` is bits 63:32 of a write of 8 bytes. */
  write(machine: M, owner: O, offset: number, size: number, value: number, high: number): void {
    const number = this.numberOf(offset, size)
    this.writeRow(machine, owner, number, offset, size, value)
    if (size === DOUBLEWORD) this.writeRow(machine, owner, number, offset + 4, WORD, high)
    else if (this.isExtended(number, offset, size)) this.writeRow(machine, owner, number, offset + 4, WORD, 0)
  }

  private writeRow(machine: M, owner: O, number: number, offset: number, size: number, value: number): void {
    const first = this.firstOf(number, offset)
    this.writes[number](machine, owner, first, this.countOf(number, offset, size), value)
  }

  /** `GICD_ISENABLER1`: the register at an offset, or undefined. */
  nameOf(offset: number): string | undefined {
    const number = this.rowOf[offset >> 2]
    if (number === 0) return undefined
    const { name, length, sizes, offset: begin } = this.rows[number - 1]
    const width = sizes & DOUBLEWORD ? 8 : 4
    return length > width ? `${name}${Math.floor((offset - begin) / width)}` : name
  }

  /** The first interrupt that an access covers, or the word: see {@link RegisterRow.read}. */
  firstOf(number: number, offset: number): number {
    const byte = offset - this.begins[number]
    const shift = this.shifts[number]
    return shift === WORDS ? byte >> 2 : (byte << 3) >> shift
  }

  private countOf(number: number, offset: number, size: number): number {
    const shift = this.shifts[number]
    if (shift === WORDS) return 1
    if (shift === DOUBLEWORDS) return offset & 4 ? 2 : 1
    return ((size < WORD ? size : WORD) << 3) >> shift
  }
}

/** Values of `shifts`: a row that is not per interrupt, and one with 64 bits for each. */
const WORDS = 31
const DOUBLEWORDS = 6
