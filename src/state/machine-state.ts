/**
 * The state of a machine: one buffer, with snapshot, restore, hash and diff. Handles to parts of a machine are word
 * offsets into `words`.
 */
import { extractField } from '../arch/field.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { hashWords } from './hash.ts'
import { type ImageBytes, type ImageKind, openImage } from './image.ts'
import { HEADER_LENGTH } from './image-offsets.ts'
import type { Layout } from './layout.ts'

/** One difference between two states. */
export interface Difference {
  /** `pe[0].ICH_VMCR_EL2`, `GICD_IROUTER72`, `vcpu[0].PPI 27`: registers as the architecture prints them. */
  readonly name: string
  /** The field that differs, if the word is a register with fields. */
  readonly field?: string
  /**
   * The value of the field, or of the 32-bit word, as an unsigned number. A word that refers to something has its
   * name instead: a step's path in the design (`wfi/put`), an interrupt, a vCPU, a PE.
   */
  readonly before: number | string
  /** The value in the later state, in the form of `before`. */
  readonly after: number | string
}

export class MachineState {
  readonly buffer: ArrayBuffer
  /** The whole buffer. Its length never changes. */
  readonly words: Int32Array

  constructor(
    readonly kind: ImageKind,
    readonly layout: Layout,
    buffer: ArrayBuffer,
    /** Number of leading words that are the header and the configuration, the same in every image of this machine. */
    readonly fixed: number,
  ) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
  }

  /** A copy of the state. */
  snapshot(): ArrayBuffer {
    return this.buffer.slice(0)
  }

  /**
   * Replaces the state by an image of this machine, or of one with the same configuration. Throws a `VgicError` with
   * an `image-` code for any other.
   */
  restore(image: ImageBytes): void {
    this.words.set(this.opened(image))
  }

  /** Zeroes the derived words, before they are recomputed: an image may have anything there. */
  clearDerived(): void {
    const ranges = this.layout.rangesOf(['derived'])
    for (let i = 0; i < ranges.length; i += 2) this.words.fill(0, ranges[i], ranges[i + 1])
  }

  /**
   * A hash of the authoritative and normalised words: equal states have equal hashes. 53 bits, as an unsigned
   * number; {@link hashWords} gives 64.
   */
  hash(): number {
    const lanes = new Int32Array(2)
    hashWords(this.words, this.layout.compared, lanes)
    return (lanes[1] & 0x1fffff) * 0x1_0000_0000 + (lanes[0] >>> 0)
  }

  /** Whether the authoritative and normalised words of an image are those of the state. */
  equals(image: ImageBytes): boolean {
    const other = this.opened(image)
    const { compared } = this.layout
    for (let i = 0; i < compared.length; i += 2) {
      for (let at = compared[i]; at < compared[i + 1]; at++) {
        if (this.words[at] !== other[at]) return false
      }
    }
    return true
  }

  /**
   * The differences between an image (`before`) and the state (`after`), in the order of the layout, an entry for
   * each field. Derived and observational words are left out.
   */
  diff(image: ImageBytes): Difference[] {
    const before = this.opened(image)
    const differences: Difference[] = []
    const { compared } = this.layout
    for (let i = 0; i < compared.length; i += 2) {
      for (let at = compared[i]; at < compared[i + 1]; at++) {
        if (this.words[at] === before[at]) continue
        differences.push(...this.differencesAt(at, before))
      }
    }
    return differences
  }

  private differencesAt(at: number, before: Int32Array): Difference[] {
    const { layout } = this
    const name = layout.nameOf(at)
    const location = layout.locate(at)
    const whole = { before: before[at] >>> 0, after: this.words[at] >>> 0 }
    if (!location?.word.view) {
      const meaning = (value: number): number | string => layout.meaningOf(at, value) ?? value
      const values = { before: meaning(whole.before), after: meaning(whole.after) }
      return [{ name: location?.upper ? `${name} (63:32)` : name, ...values }]
    }
    const differences: Difference[] = []
    const base = location.upper ? 32 : 0
    const { view } = location.word
    const upperAt = location.upper ? at : at + 1
    const upper = this.words[upperAt] | before[upperAt]
    for (const f of (typeof view === 'function' ? view(upper) : view).fields) {
      if (f.hi < base || f.lo > base + 31) continue
      const part = { ...f, lo: Math.max(f.lo, base) - base, hi: Math.min(f.hi, base + 31) - base }
      const [was, is] = [extractField(part, whole.before, 0), extractField(part, whole.after, 0)]
      if (was === is) continue
      const values = { before: f.values?.[was] ?? was, after: f.values?.[is] ?? is }
      if (location.word.packed && !f.reserved)
        differences.push({ name: layout.fieldNameOf(at, f.name), ...values })
      else differences.push({ name, field: f.name, ...values })
    }
    return differences
  }

  private opened(image: ImageBytes): Int32Array {
    const words = openImage(this.kind, image)
    for (let at = 0; at < this.fixed; at++) {
      // The length follows from the configuration: a word of that says what differs.
      if (words[at] !== this.words[at] && at !== HEADER_LENGTH) throw this.mismatch(at, words)
    }
    if (words.length !== this.words.length) throw this.mismatch(HEADER_LENGTH, words)
    return words
  }

  private mismatch(at: number, words: Int32Array): VgicError {
    return new VgicError(
      'image-mismatch',
      `The image is of a machine with another configuration (${this.layout.nameOf(at)} is ${words[at]}, here ${this.words[at]}): use it with a machine that has that one.`,
    )
  }
}
