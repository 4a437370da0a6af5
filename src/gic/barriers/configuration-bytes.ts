/**
 * Configuration bytes of LPIs and vLPIs as redistributors may know them (IHI 0069, "LPI Configuration tables"): a byte is
 * noted when its interrupt is mapped or used, and again when it is invalidated. A use that finds another byte in memory
 * finds a change that was not invalidated: rule B3.
 */
import { RecordList } from '../../state/record-list.ts'
import type { Memory } from '../config/memory.ts'
import { BYTE_CAPACITY, BYTE_NOTE, BYTE_NOTE_WORDS, BYTE_NOTES } from './barrier-records.ts'

const HIGH = 0x1_0000_0000
/** Enable and priority: bit 1 is RES1. */
const CONFIGURATION = 0xfd

export class ConfigurationBytes {
  private readonly list: RecordList

  constructor(
    readonly words: Int32Array,
    /** The record BARRIERS. */
    at: number,
    readonly memory: Memory,
  ) {
    this.list = new RecordList(words, at + BYTE_NOTES, at + BYTE_NOTE_WORDS, BYTE_NOTE, BYTE_CAPACITY)
  }

  /** A byte is used. Returns whether memory has another one than was noted; what memory has is noted then. */
  use(address: number): boolean {
    const n = this.find(address)
    const byte = this.read(address)
    if (n < 0) {
      if (this.list.isFull) this.list.remove(0)
      this.words.set([(address % HIGH) | 0, Math.floor(address / HIGH), byte], this.list.add())
      return false
    }
    const at = this.list.entryAt(n) + 2
    const isOther = this.words[at] !== byte
    this.words[at] = byte
    return isOther
  }

  /** Its interrupt is mapped: unless it was noted already, redistributors may read it from now on. */
  know(address: number): void {
    if (this.find(address) < 0) this.use(address)
  }

  /** Bytes are invalidated: what memory has is noted. */
  invalidate(from: number, bytes: number): void {
    for (let n = 0; n < this.list.count; n++) {
      const address = this.addressAt(n)
      if (address >= from && address < from + bytes) this.use(address)
    }
  }

  private find(address: number): number {
    for (let n = 0; n < this.list.count; n++) if (this.addressAt(n) === address) return n
    return -1
  }

  private addressAt(n: number): number {
    const at = this.list.entryAt(n)
    return (this.words[at] >>> 0) + this.words[at + 1] * HIGH
  }

  private read(address: number): number {
    const word = this.memory.read((address % HIGH) & ~3, Math.floor(address / HIGH), 0)
    this.memory.takeRefusal()
    return (word >>> ((address & 3) << 3)) & CONFIGURATION
  }
}
