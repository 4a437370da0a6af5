/**
 * A frame of memory-mapped registers as data: one row for a run of equal registers, that says where it is, what it
 * holds for each interrupt, which access sizes it takes, and what a read and a write do. The frame that a guest sees
 * and the frame of the silicon are two maps of the same machinery (IHI 0069, "The GIC Distributor register map",
 * "The GIC Redistributor register map").
 *
 * What no row takes, and an access of a size that a row does not have or that is not aligned to it, reads as zero and
 * is ignored.
 */
import { VgicError } from '../../errors/vgic-error.ts'

/** Access sizes that a row takes: the sizes in bytes, ORed. */
export const BYTE = 1
export const HALFWORD = 2
export const WORD = 4
export const DOUBLEWORD = 8

/** A run of equal registers. `M` is whose registers they are; `owner`, an `O`, is the handle of the PE or vCPU of a frame. */
export interface RegisterRow<M, O extends number = number> {
  /** The register's name without its number: `GICD_ISENABLER`. */
  readonly name: string
  /** Of the first register, in the frame. */
  readonly offset: number
  /** Bytes that the run covers. */
  readonly length: number
  /** Bits that an interrupt has in it: 1, 2, 8 or 64; 0 for a register that is not per interrupt. */
  readonly bits: 0 | 1 | 2 | 8 | 64
  /** {@link BYTE}, {@link HALFWORD}, {@link WORD} and {@link DOUBLEWORD}, ORed. */
  readonly sizes: number
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
export const readOnly = <M, O extends number = number>(
  name: string,
  offset: number,
  read: (machine: M, owner: O) => number,
): RegisterRow<M, O> => ({ name, offset, length: 4, bits: 0, sizes: WORD, read, write: ignoreWrite })

/** 64-bit registers, `length` bytes of them, of which each half can be accessed: `word` counts the halves. */
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
  read,
  write: (machine, owner, word, _count, value) => write(machine, owner, word, value),
})

type Read<M, O extends number> = RegisterRow<M, O>['read']
type Write<M, O extends number> = RegisterRow<M, O>['write']

/**
 * A frame. What an access needs to know of a row is in arrays by the row's number, from 1 on: rows are objects of many
 * shapes, which are slow to look at.
 */
export class RegisterMap<M, O extends number = number, R extends RegisterRow<M, O> = RegisterRow<M, O>> {
  /** For each word of the frame the number of its row, 0 where there is none. */
  private readonly rowOf: Uint8Array
  private readonly begins: Int32Array
  private readonly sizes: Uint8Array
  /** What a bit offset is shifted right by to give an interrupt; WORDS for a row without interrupts. */
  private readonly shifts: Uint8Array
  private readonly reads: readonly Read<M, O>[]
  private readonly writes: readonly Write<M, O>[]

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
    this.begins = Int32Array.from([0, ...rows.map(({ offset }) => offset)])
    this.sizes = Uint8Array.from([0, ...rows.map(({ sizes }) => sizes)])
    this.shifts = Uint8Array.from([WORDS, ...rows.map(({ bits }) => (bits === 0 ? WORDS : Math.log2(bits)))])
    this.reads = [() => 0, ...rows.map(({ read }) => read)]
    this.writes = [ignoreWrite, ...rows.map(({ write }) => write)]
  }

  /** The number of the row that takes an access, 0 if none does: `rows[number - 1]`. */
  numberOf(offset: number, size: number): number {
    const number = this.rowOf[offset >> 2]
    return (this.sizes[number] & size) === 0 || (offset & (size - 1)) !== 0 ? 0 : number
  }

  /** The row that takes an access, or undefined. */
  find(offset: number, size: number): R | undefined {
    const number = this.numberOf(offset, size)
    return number === 0 ? undefined : this.rows[number - 1]
  }

  /** A read of 1 or 4 bytes, or of half of a doubleword: bits 31:0 of what it gives. */
  read(machine: M, owner: O, offset: number, size: number): number {
    return this.readRow(machine, owner, this.numberOf(offset, size), offset, size)
  }

  /** The same of a row whose number is known. */
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

  /** A write; `high` is bits 63:32 of one of 8 bytes. */
  write(machine: M, owner: O, offset: number, size: number, value: number, high: number): void {
    const number = this.numberOf(offset, size)
    this.writeRow(machine, owner, number, offset, size, value)
    if (size === DOUBLEWORD) this.writeRow(machine, owner, number, offset + 4, WORD, high)
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

/** Shifts: a row without interrupts, and one with 64 bits for each. */
const WORDS = 31
const DOUBLEWORDS = 6
