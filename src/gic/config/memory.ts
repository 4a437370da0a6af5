/**
 * The memory that the GIC reads and writes: tables, pending state and configuration of LPIs, command queues. It is
 * the host's, or a pool of lines in the GIC's own buffer. The silicon asks it for aligned 32-bit words at physical
 * addresses below 2^52 and for nothing else.
 *
 * Inside the silicon, an address is a base of two words, as in registers and table entries, and a byte offset. It
 * becomes a number only here, for the host: one call, which allocates nothing if V8 has inlined the callee or the
 * address is below 2^31.
 *
 * Accesses to the GIC's own frames are refused, so that no command can write the registers of the ITS that executes
 * it.
 *
 * An access that the memory refuses is a memory error of the architecture, never an exception. A refused read returns
 * zero and sets a mark, which the reader must take with {@link Memory.takeRefusal} before it uses the value.
 */
import { argumentObject, shown } from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { type RecordType, recordType } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'
import { MEMORY_WORDS, REFUSED, REFUSED_ACCESS, REFUSED_ADDRESS } from './memory-offsets.ts'

/**
 * Memory that the GIC accesses as a device does. Addresses are physical, below 2^52, and multiples of 4. Neither
 * function may call the GIC.
 */
export interface GicMemory {
  /** Reads a little-endian word, as a signed or unsigned number; undefined if there is no memory at the address. */
  read32(address: number): number | undefined
  /**
   * Writes a word, given as an unsigned number. Returns false if there is no memory at the address; anything else is
   * success.
   */
  write32(address: number, value: number): unknown
}

// These words have a meaning only during an access.
export const memoryRows = {
  REFUSED: {
    name: 'refused',
    class: 'observational',
    by: [],
    says: 'Whether an access was refused since this was last asked: which, of the first one.',
  },
  REFUSED_ACCESS: {
    name: 'refusedAccess',
    class: 'observational',
    by: [],
    says: 'The access that was refused last.',
  },
  REFUSED_ADDRESS: {
    name: 'refusedAddress',
    wide: true,
    class: 'observational',
    by: [],
    says: 'Its address.',
  },
  MEMORY_WORDS: {
    name: 'words',
    class: 'observational',
    by: [],
    says: 'Words that were read and written since an ITS began to carry out commands for an access.',
  },
} as const satisfies Rows

/** The record of a refused access. */
export const memoryRecord = (name: string): RecordType => recordType(name, wordsOf(memoryRows, undefined))
export const MEMORY = memoryRecord('memory')

const HIGH = 0x1_0000_0000
const ADDRESS_END = 2 ** 52
/** Values of {@link REFUSED}. */
const READ_REFUSED = 1
const WRITE_REFUSED = 2

/** An access that the memory refused. */
export interface MemoryRefusal {
  readonly access: 'read' | 'write'
  readonly address: number
}

/** A frame of registers. */
interface Frame {
  readonly base: number
  readonly size: number
}

export class Memory {
  /** The range of addresses from the first of the GIC's frames to the last. */
  private readonly framesBegin: number
  private readonly framesEnd: number

  constructor(
    readonly words: Int32Array,
    /** The record {@link MEMORY}. */
    readonly at: number,
    /** The host's memory; if undefined, every access is refused. */
    readonly backing: GicMemory | undefined,
    /** The GIC's own frames. */
    readonly frames: readonly Frame[],
  ) {
    this.framesBegin = Math.min(...frames.map(({ base }) => base))
    this.framesEnd = Math.max(...frames.map(({ base, size }) => base + size))
  }

  /** Reads the word at `offset` bytes from an address; 0 if the access is refused. */
  read(low: number, high: number, offset: number): number {
    this.words[this.at + MEMORY_WORDS]++
    const address = high * HIGH + (low >>> 0) + offset
    const value = this.isMemory(address) ? this.load(address) : undefined
    if (typeof value === 'number') return value | 0
    this.refuse(READ_REFUSED, address)
    return 0
  }

  /** Writes the word at `offset` bytes from an address. */
  write(low: number, high: number, offset: number, value: number): void {
    this.words[this.at + MEMORY_WORDS]++
    const address = high * HIGH + (low >>> 0) + offset
    if (!this.isMemory(address) || !this.store(address, value >>> 0)) this.refuse(WRITE_REFUSED, address)
  }

  /** Words that were read and written, and {@link count}ed, since {@link restartCount}. */
  get counted(): number {
    return this.words[this.at + MEMORY_WORDS]
  }

  restartCount(): void {
    this.words[this.at + MEMORY_WORDS] = 0
  }

  /** Words of a table are gone through that is not in memory, but in the GIC. */
  count(words: number): void {
    this.words[this.at + MEMORY_WORDS] += words
  }

  private isMemory(address: number): boolean {
    if (address >= ADDRESS_END) return false
    return address < this.framesBegin || address >= this.framesEnd || !this.isInFrame(address)
  }

  private isInFrame(address: number): boolean {
    return this.frames.some(({ base, size }) => address >= base && address < base + size)
  }

  /** Whether an access was refused since this was last asked. */
  takeRefusal(): boolean {
    const refused = this.words[this.at + REFUSED] !== 0
    this.words[this.at + REFUSED] = 0
    return refused
  }

  /** The access that was refused last. */
  get lastRefusal(): MemoryRefusal {
    const { words, at } = this
    return {
      access: words[at + REFUSED_ACCESS] === WRITE_REFUSED ? 'write' : 'read',
      address: (words[at + REFUSED_ADDRESS] >>> 0) + words[at + REFUSED_ADDRESS + 1] * HIGH,
    }
  }

  /**
   * A host that throws refuses the access: a guest that makes the GIC access some address is no misuse of the API.
   */
  private load(address: number): number | undefined {
    try {
      return this.backing?.read32(address)
    } catch {
      return undefined
    }
  }

  private store(address: number, value: number): boolean {
    const { backing } = this
    if (backing === undefined) return false
    try {
      return backing.write32(address, value) !== false
    } catch {
      return false
    }
  }

  private refuse(access: number, address: number): void {
    const { words, at } = this
    if (words[at + REFUSED] !== 0) return
    words[at + REFUSED] = access
    words[at + REFUSED_ACCESS] = access
    words[at + REFUSED_ADDRESS] = (address % HIGH) | 0
    words[at + REFUSED_ADDRESS + 1] = Math.floor(address / HIGH)
  }
}

const MEMORY_SHAPE = 'an object with the functions read32(address) and write32(address, value)'

/** Throws an `argument` error for what is no memory. */
export function argumentMemory(name: string, memory: GicMemory): GicMemory {
  argumentObject(name, memory, MEMORY_SHAPE)
  for (const method of ['read32', 'write32'] as const) {
    if (typeof memory[method] !== 'function')
      throw new VgicError(
        'argument',
        `${name} must be ${MEMORY_SHAPE}, but its ${method} is ${shown(memory[method])}.`,
      )
  }
  return memory
}
