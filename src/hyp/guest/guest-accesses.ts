/**
 * A guest's accesses to the registers of its PE, at EL1: to the virtual CPU interface, or a trap. After each, what it
 * changes on the PE's lines is settled.
 */
import { HCR_EL2_IMO } from '../../arch/hcr-el2.ts'
import { ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_SGI1R_EL1 } from '../../arch/icc-registers.ts'
import { HCR_NPIE, HCR_TALL1 } from '../../arch/ich-registers.ts'
import { FIRST_SPECIAL, type Intid } from '../../arch/intid.ts'
import { ESR_SGI1R } from '../../arch/syndrome.ts'
import type { Encoding } from '../../arch/sysreg.ts'
import { PCPU_HCR_EL2, PCPU_TRAP } from '../../gic/cpu-interface/pcpu.ts'
import { ICH_HCR } from '../../gic/cpu-interface/virtual-interface.ts'
import type { Pe } from '../../gic/records/pe.ts'
import type { Silicon } from '../../gic/silicon.ts'

export class GuestAccesses {
  constructor(
    readonly words: Int32Array,
    readonly silicon: Silicon,
  ) {}

  /** The guest's MRS, bits 31:0; whether it trapped is in the PE's record, and then it has changed nothing. */
  read(pe: Pe, encoding: Encoding): number {
    if (encoding === ICC_IAR1_EL1 && this.isVirtual(pe)) return this.acknowledgeVirtual(pe)
    const { systemRegisters, lines } = this.silicon
    const value = systemRegisters.read(pe, encoding, 1)
    if (this.words[pe + PCPU_TRAP] === 0) lines.settlePe(pe)
    return value
  }

  /** The guest's MSR. */
  write(pe: Pe, encoding: Encoding, low: number, high: number): void {
    if (encoding === ICC_EOIR1_EL1 && this.isVirtual(pe)) {
      this.endVirtual(pe, low)
      return
    }
    if (encoding === ICC_SGI1R_EL1 && this.isVirtual(pe)) {
      // It has no virtual counterpart: the access traps.
      this.words[pe + PCPU_TRAP] = ESR_SGI1R
      return
    }
    const { systemRegisters, lines } = this.silicon
    systemRegisters.write(pe, encoding, low, high, 1)
    if (this.words[pe + PCPU_TRAP] === 0) lines.settlePe(pe)
  }

  /** Whether the guest's accesses to group 1 registers reach its virtual CPU interface, as nearly always. */
  private isVirtual(pe: Pe): boolean {
    const { words } = this
    return (words[pe + ICH_HCR] & HCR_TALL1) === 0 && (words[pe + PCPU_HCR_EL2] & HCR_EL2_IMO) !== 0
  }

  /**
   * ICC_IAR1_EL1 without the search for a register by its encoding. An interrupt that becomes active in a list register may
   * assert the maintenance interrupt in one way only: no other is pending (NP).
   */
  private acknowledgeVirtual(pe: Pe): Intid {
    const { words, silicon } = this
    words[pe + PCPU_TRAP] = 0
    const intid = silicon.icv.readIar1(pe)
    const becameActive = intid < FIRST_SPECIAL && silicon.vpes === undefined
    if (!becameActive || words[pe + ICH_HCR] & HCR_NPIE) silicon.lines.settleVirtual(pe)
    return intid
  }

  /** ICC_EOIR1_EL1 in the same way. */
  private endVirtual(pe: Pe, value: number): void {
    const { words, silicon } = this
    words[pe + PCPU_TRAP] = 0
    silicon.icv.writeEoir1(pe, value)
    silicon.lines.settleVirtual(pe)
  }
}
