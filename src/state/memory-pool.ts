/**
 * A sparse memory in the machine's buffer, so that snapshots have it: a fixed number of lines of 64 bytes. Memory
 * that was never written reads as zero. The pool is canonical: lines are sorted by address, and a line of only zeros
 * is freed, so that equal contents are equal words whatever the order of the writes.
 */
import { type RecordType, recordType } from './layout.ts'
import { LINE_ADDRESS, LINE_DATA, LINE_SIZE, LINES_USED } from './memory-pool-offsets.ts'
import { type Rows, wordsOf } from './rows.ts'

const LINE_BYTES = 64

export const memoryPoolRows = {
  LINES_USED: {
    name: 'used',
    class: 'normalised',
    by: [],
    says: 'The number of lines in use, which come first.',
  },
} as const satisfies Rows

export const memoryLineRows = {
  LINE_ADDRESS: { name: 'address', wide: true, class: 'normalised', by: [], says: 'Its address in 64 bits.' },
  LINE_DATA: { name: 'data', count: LINE_BYTES / 4, class: 'normalised', by: [], says: 'Its contents.' },
} as const satisfies Rows

/** The number of lines in use. */
export const MEMORY_POOL = recordType('memoryPool', wordsOf(memoryPoolRows, undefined))
/** One line of the pool. */
export const MEMORY_LINE: RecordType = recordType('memoryLine', wordsOf(memoryLineRows, undefined))

const HIGH = 0x1_0000_0000

/** The records of a pool with `lines` lines. */
export const memoryPoolRecords = (lines: number): readonly (readonly [RecordType, number])[] => [
  [MEMORY_POOL, lines === 0 ? 0 : 1],
  [MEMORY_LINE, lines],
]

export class MemoryPool {
  constructor(
    readonly words: Int32Array,
    /** The records {@link MEMORY_POOL} and {@link MEMORY_LINE}. */
    readonly pool: number,
    readonly lines: number,
    /** Lines of the pool. */
    readonly capacity: number,
  ) {}

  /** The word at an address, which must be a multiple of 4. */
  read32(address: number): number {
    const at = this.find(address)
    return this.isLine(at, address) ? this.words[wordOf(at, address)] : 0
  }

  /** Writes a word. Returns false and writes nothing if that needs another line and all are in use. */
  write32(address: number, value: number): boolean {
    const { words } = this
    const at = this.find(address)
    if (!this.isLine(at, address)) {
      if ((value | 0) === 0) return true
      if (words[this.pool + LINES_USED] === this.capacity) return false
      this.insert(at, address)
    }
    words[wordOf(at, address)] = value
    if ((value | 0) === 0) this.removeIfZero(at)
    return true
  }

  /** Where its lines end in the buffer. */
  get end(): number {
    return this.lines + this.capacity * LINE_SIZE
  }

  /** Where the lines end that are in use in a state of the machine. */
  usedEnd(words: Int32Array): number {
    return this.lines + words[this.pool + LINES_USED] * LINE_SIZE
  }

  /** Whether the line at `at` is in use and holds an address. */
  private isLine(at: number, address: number): boolean {
    return at < this.usedEnd(this.words) && this.addressAt(at) === address - (address % LINE_BYTES)
  }

  /** The first line that is at or above the line of an address. */
  private find(address: number): number {
    const line = address - (address % LINE_BYTES)
    let low = 0
    let high = this.words[this.pool + LINES_USED]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.addressAt(this.lines + middle * LINE_SIZE) < line) low = middle + 1
      else high = middle
    }
    return this.lines + low * LINE_SIZE
  }

  private addressAt(at: number): number {
    return (this.words[at + LINE_ADDRESS] >>> 0) + this.words[at + LINE_ADDRESS + 1] * HIGH
  }

  private insert(at: number, address: number): void {
    const { words } = this
    words.copyWithin(at + LINE_SIZE, at, this.usedEnd(words))
    words.fill(0, at, at + LINE_SIZE)
    const line = address - (address % LINE_BYTES)
    words[at + LINE_ADDRESS] = (line % HIGH) | 0
    words[at + LINE_ADDRESS + 1] = Math.floor(line / HIGH)
    words[this.pool + LINES_USED]++
  }

  private removeIfZero(at: number): void {
    const { words } = this
    const end = this.usedEnd(words)
    for (let i = at + LINE_DATA; i < at + LINE_SIZE; i++) if (words[i] !== 0) return
    words.copyWithin(at, at + LINE_SIZE, end)
    words.fill(0, end - LINE_SIZE, end)
    words[this.pool + LINES_USED]--
  }
}

const wordOf = (at: number, address: number): number => at + LINE_DATA + ((address % LINE_BYTES) >> 2)
