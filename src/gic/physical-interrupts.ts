/**
 * The state of physical interrupts: a redistributor keeps that of its PE's SGIs and PPIs, the distributor that
 * of the SPIs. In bitmaps bit x is interrupt x (IHI 0069, GICD_ISACTIVER<n> and GICR_ISACTIVER0). This release
 * has the active state, which the HW bit of a list register reaches.
 */
import { FIRST_SPECIAL, FIRST_SPI } from '../arch/intid.ts'
import { type RecordType, recordType, type WordDeclaration } from '../state/layout.ts'

/** Active SGIs and PPIs of a PE, in its record. */
export const GICR_ACTIVE = 14

export const redistributorWords: readonly WordDeclaration[] = [
  { name: 'GICR_ISACTIVER0', at: GICR_ACTIVE, class: 'authoritative' },
]

/** The distributor's record: word n is INTIDs 32 n to 32 n + 31; word 0 is banked in the redistributors. */
export const distributorRecord = (spis: number): RecordType =>
  recordType('distributor', [
    { name: 'GICD_ISACTIVER', at: 0, count: Math.ceil((FIRST_SPI + spis) / 32), class: 'authoritative' },
  ])

export class PhysicalInterrupts {
  /** One past the last SPI that exists. */
  readonly end: number

  constructor(
    readonly words: Int32Array,
    /** Word offset of the distributor's record. */
    readonly distributor: number,
    spis: number,
  ) {
    this.end = FIRST_SPI + spis
  }

  /** Deactivates interrupt `intid` of a PE; one that does not exist is ignored. */
  deactivate(pe: number, intid: number): void {
    if (intid < FIRST_SPI) this.words[pe + GICR_ACTIVE] &= ~(1 << intid)
    else if (intid < FIRST_SPECIAL) this.writeIcactiver(intid >> 5, 1 << (intid & 31))
  }

  /** Whether interrupt `intid` of a PE is active. */
  isActive(pe: number, intid: number): boolean {
    const bits = intid < FIRST_SPI ? this.words[pe + GICR_ACTIVE] : this.readActiver(intid >> 5)
    return ((bits >>> (intid & 31)) & 1) === 1
  }

  /** Sets or clears the active state of an SGI or PPI of a PE. */
  setPrivateActive(pe: number, intid: number, active: boolean): void {
    if (active) this.words[pe + GICR_ACTIVE] |= 1 << intid
    else this.words[pe + GICR_ACTIVE] &= ~(1 << intid)
  }

  /** GICD_ISACTIVER<n> and GICD_ICACTIVER<n>: the active SPIs 32 n to 32 n + 31; n = 0 is RAZ. */
  readActiver(n: number): number {
    return this.implemented(n) ? this.words[this.distributor + n] : 0
  }

  writeIsactiver(n: number, bits: number): void {
    const implemented = this.implemented(n)
    if (implemented) this.words[this.distributor + n] |= bits & implemented
  }

  writeIcactiver(n: number, bits: number): void {
    if (this.implemented(n)) this.words[this.distributor + n] &= ~bits
  }

  /** The bits of word n that stand for SPIs that exist. */
  private implemented(n: number): number {
    const count = this.end - 32 * n
    if (n === 0 || count <= 0) return 0
    return count >= 32 ? -1 : (1 << count) - 1
  }
}
