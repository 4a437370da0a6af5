/**
 * The part of a PE that a GIC needs: exception level, HCR_EL2, PSTATE masks, event register, and whether it waits. It
 * decides whether an ICC_* name means the physical or the virtual CPU interface, whether a virtual interrupt is
 * taken, and whether a WFI or WFE traps (DDI 0487, "Wait for Interrupt", "Wait for Event", "HCR_EL2").
 *
 * HCR_EL2 keeps all bits that are written, also those that are RES0 on a PE without some extension. IMO, FMO, TWI,
 * TWE, VI, VF and TGE have an effect. With TGE, EL0 runs the hypervisor's applications and has no virtual interrupts.
 * Not modelled: that IMO and FMO count as 1 for physical interrupts then, or as 0 with E2H, since software that sets
 * TGE clears them and does not mask interrupts at EL0; and AMO and VSE, since SErrors do not involve the GIC
 * (ISR_EL1.A is zero).
 */
import { HCR_EL2_FMO, HCR_EL2_IMO, HCR_EL2_TGE, HCR_EL2_TWE, HCR_EL2_TWI } from '../../arch/hcr-el2.ts'
import { ESR_WFE, ESR_WFI } from '../../arch/syndrome.ts'
import { PCPU_HCR_EL2, PCPU_PSTATE, PCPU_TRAP, type Pe } from '../records/pe.ts'
import {
  DAIF_F,
  DAIF_I,
  PSTATE_EL,
  PSTATE_EL_SHIFT,
  PSTATE_EL2,
  PSTATE_EL2_MASKED,
  PSTATE_EVENT,
  PSTATE_SAVED,
  PSTATE_WAITING,
  SPSR,
  SPSR_SHIFT,
  WAITING_NO,
  WAITING_WFE,
  WAITING_WFI,
} from '../records/pstate.ts'
import { LINE_VFIQ, LINE_VIRQ, PE_LINES, PHYSICAL_LINES_SHIFT } from './lines.ts'
import type { VirtualInterface } from './virtual-interface.ts'

export { PCPU_HCR_EL2, PCPU_PSTATE, PCPU_TRAP } from '../records/pe-offsets.ts'
export * from '../records/pstate.ts'

/** The EL field of PSTATE as a number. */
export const exceptionLevel = (pstate: number): number => (pstate & PSTATE_EL) >> PSTATE_EL_SHIFT

/**
 * Takes an exception to EL2: SPSR_EL2 := PSTATE, and interrupts are masked.
 * @inline
 */
export function takeExceptionToEl2(words: Int32Array, pe: Pe): void {
  const at = pe + PCPU_PSTATE
  const pstate = words[at]
  words[at] = ((pstate & PSTATE_SAVED) << SPSR_SHIFT) | PSTATE_EL2_MASKED | (pstate & PSTATE_EVENT)
}

/** HCR_EL2 := bits 31:0 and 63:32. */
export function writeHcrEl2(words: Int32Array, pe: Pe, low: number, high: number): void {
  words[pe + PCPU_HCR_EL2] = low
  words[pe + PCPU_HCR_EL2 + 1] = high
}

/**
 * ERET from EL2: PSTATE := SPSR_EL2. An exception return sets the event register.
 * @inline
 */
export function returnFromEl2(words: Int32Array, pe: Pe): void {
  const at = pe + PCPU_PSTATE
  words[at] = (words[at] >>> SPSR_SHIFT) | PSTATE_EVENT
}

/** The result of a WFI or WFE. */
export const WFX_COMPLETES = 0
const WFX_WAITS = 1
export const WFX_TRAPS = 2

/** HCR_EL2.VI and VF, bits 7 and 6, as LINE_ bits: without a branch, and so are the two below. */
const assertedBy = (hcr: number): number => ((hcr >> 7) & LINE_VIRQ) | ((hcr >> 5) & LINE_VFIQ)
/** HCR_EL2.IMO and FMO, bits 4 and 3: the virtual lines that reach the PE. */
const routedBy = (hcr: number): number => ((hcr >> 4) & LINE_VIRQ) | ((hcr >> 2) & LINE_VFIQ)
/** PSTATE.I and F, bits 7 and 6: the lines that they mask. */
const maskedBy = (pstate: number): number => ((pstate >> 7) & LINE_VIRQ) | ((pstate >> 5) & LINE_VFIQ)

/** ISR_EL1's bits. */
const ISR_F = 0x40
const ISR_I = 0x80

/** The PEs of a GIC. `pe` is always the word offset of a PE's record. */
export class Pcpu {
  constructor(
    readonly words: Int32Array,
    readonly virtualInterface: VirtualInterface,
  ) {}

  /** A PE comes out of reset at EL2 with interrupts masked. */
  reset(pe: Pe): void {
    this.words[pe + PCPU_PSTATE] = PSTATE_EL2_MASKED
  }

  /** Whether the PE is below EL2. */
  isInGuest(pe: Pe): boolean {
    return (this.words[pe + PCPU_PSTATE] & PSTATE_EL) < PSTATE_EL2
  }

  /** Changes the exception level. To a lower level it is an exception return. */
  setExceptionLevel(pe: Pe, el: number): void {
    const pstate = this.words[pe + PCPU_PSTATE]
    const event = el < exceptionLevel(pstate) ? PSTATE_EVENT : 0
    this.words[pe + PCPU_PSTATE] = (pstate & ~(PSTATE_EL | PSTATE_WAITING)) | (el << PSTATE_EL_SHIFT) | event
  }

  /** ERET from EL2 into the guest. */
  enterGuest(pe: Pe): void {
    returnFromEl2(this.words, pe)
  }

  /** Takes an exception from the guest to EL2. */
  leaveGuest(pe: Pe): void {
    takeExceptionToEl2(this.words, pe)
  }

  readSpsr(pe: Pe): number {
    return this.words[pe + PCPU_PSTATE] >>> SPSR_SHIFT
  }

  /** SPSR_EL2 := value; bits without meaning here are RES0. */
  writeSpsr(pe: Pe, value: number): void {
    const pstate = this.words[pe + PCPU_PSTATE] & ~SPSR
    this.words[pe + PCPU_PSTATE] = pstate | ((value & PSTATE_SAVED) << SPSR_SHIFT)
  }

  /** PSTATE.I and F, DAIF_ bits. */
  masks(pe: Pe): number {
    return this.words[pe + PCPU_PSTATE] & (DAIF_I | DAIF_F)
  }

  /** PSTATE.I and F := value. */
  setMasks(pe: Pe, value: number): void {
    const pstate = this.words[pe + PCPU_PSTATE] & ~(DAIF_I | DAIF_F)
    this.words[pe + PCPU_PSTATE] = pstate | (value & (DAIF_I | DAIF_F))
  }

  /** Whether the PE waits in a WFI or WFE. */
  isWaiting(pe: Pe): boolean {
    return (this.words[pe + PCPU_PSTATE] & PSTATE_WAITING) !== WAITING_NO
  }

  /**
   * The virtual interrupts that are pending, LINE_ bits: signalled by the virtual CPU interface, or by HCR_EL2.VI and
   * VF, which a hypervisor without list registers uses.
   */
  virtualPending(pe: Pe): number {
    return this.virtualInterface.lines(pe) | assertedBy(this.words[pe + PCPU_HCR_EL2])
  }

  /** Whether {@link virtualPending} may be more than 0: it is not, where this is false. */
  mayBePending(pe: Pe): boolean {
    return this.virtualInterface.mayBePending(pe) || assertedBy(this.words[pe + PCPU_HCR_EL2]) !== 0
  }

  /**
   * The virtual interrupt lines that the PE sees, LINE_ bits: only if HCR_EL2.IMO or FMO routes the physical ones to EL2,
   * only below EL2, and not with HCR_EL2.TGE.
   */
  virtualLines(pe: Pe): number {
    const { words } = this
    return (words[pe + PCPU_PSTATE] & PSTATE_EL) < PSTATE_EL2 ? this.routed(pe, words[pe + PCPU_HCR_EL2]) : 0
  }

  /** The virtual lines that HCR_EL2 has below EL2. */
  private routed(pe: Pe, hcr: number): number {
    const lines = this.virtualInterface.lines(pe) | assertedBy(hcr)
    return lines === 0 || hcr & HCR_EL2_TGE ? 0 : lines & routedBy(hcr)
  }

  /** The physical interrupt lines as the PE sees them, as LINE_VIRQ for IRQ and LINE_VFIQ for FIQ. */
  physicalLines(pe: Pe): number {
    return (this.words[pe + PE_LINES] >> PHYSICAL_LINES_SHIFT) & (LINE_VIRQ | LINE_VFIQ)
  }

  /** The physical interrupts that the PE takes now: those that HCR_EL2 routes to EL2 whatever PSTATE masks below it. */
  physicalTaken(pe: Pe): number {
    const lines = this.physicalLines(pe)
    if (lines === 0) return 0
    const masks = this.masks(pe)
    const hcr = this.isInGuest(pe) ? this.words[pe + PCPU_HCR_EL2] : 0
    const irq = hcr & HCR_EL2_IMO || !(masks & DAIF_I) ? lines & LINE_VIRQ : 0
    const fiq = hcr & HCR_EL2_FMO || !(masks & DAIF_F) ? lines & LINE_VFIQ : 0
    return irq | fiq
  }

  /** The virtual interrupts that the PE takes now, LINE_ bits: sampled and not masked by PSTATE. */
  taken(pe: Pe): number {
    const masks = this.masks(pe)
    if (masks === (DAIF_I | DAIF_F)) return 0
    const lines = this.virtualLines(pe)
    return lines === 0 ? 0 : lines & ~maskedBy(masks)
  }

  /**
   * ISR_EL1 as read at an exception level: the virtual lines if HCR_EL2 routes the physical ones to EL2 and the level
   * is below that; otherwise the physical ones.
   */
  isr(pe: Pe, el: number): number {
    const hcr = el >= 2 ? 0 : this.words[pe + PCPU_HCR_EL2]
    const lines = this.routed(pe, hcr) | (this.physicalLines(pe) & ~routedBy(hcr))
    return (lines & LINE_VIRQ ? ISR_I : 0) | (lines & LINE_VFIQ ? ISR_F : 0)
  }

  /**
   * WFI: completes if an interrupt is pending, masked by PSTATE or not; otherwise traps with HCR_EL2.TWI; otherwise
   * the PE waits. A guest's WFI with a virtual interrupt pending therefore never exits. `syndrome` is the ESR of a
   * trap, of WFI or WFIT.
   */
  wfi(pe: Pe, syndrome = ESR_WFI): number {
    this.words[pe + PCPU_TRAP] = 0
    if (this.virtualLines(pe) !== 0 || this.physicalLines(pe) !== 0) return WFX_COMPLETES
    return this.wait(pe, HCR_EL2_TWI, syndrome, WAITING_WFI)
  }

  /** WFE: completes and clears the event register if it is set; otherwise as WFI, with HCR_EL2.TWE. */
  wfe(pe: Pe, syndrome = ESR_WFE): number {
    const words = this.words
    words[pe + PCPU_TRAP] = 0
    if (words[pe + PCPU_PSTATE] & PSTATE_EVENT) {
      words[pe + PCPU_PSTATE] &= ~PSTATE_EVENT
      return WFX_COMPLETES
    }
    if (this.taken(pe) !== 0 || this.physicalTaken(pe) !== 0) return WFX_COMPLETES
    return this.wait(pe, HCR_EL2_TWE, syndrome, WAITING_WFE)
  }

  /** Sets the event register: SEV, or another event. */
  sendEvent(pe: Pe): void {
    this.words[pe + PCPU_PSTATE] |= PSTATE_EVENT
  }

  /** Whether a waiting PE has a reason to go on: an interrupt, for WFE one that PSTATE does not mask, or an event. */
  wouldWake(pe: Pe): boolean {
    const pstate = this.words[pe + PCPU_PSTATE]
    if ((pstate & PSTATE_WAITING) === WAITING_WFI)
      return (this.virtualLines(pe) | this.physicalLines(pe)) !== 0
    return (pstate & PSTATE_EVENT) !== 0 || (this.taken(pe) | this.physicalTaken(pe)) !== 0
  }

  /** Ends the wait of a PE that has a reason to go on; a WFE consumes the event. Returns whether the PE runs. */
  wake(pe: Pe): boolean {
    const words = this.words
    const waiting = words[pe + PCPU_PSTATE] & PSTATE_WAITING
    if (waiting === WAITING_NO) return true
    if (!this.wouldWake(pe)) return false
    words[pe + PCPU_PSTATE] &= waiting === WAITING_WFE ? ~(PSTATE_WAITING | PSTATE_EVENT) : ~PSTATE_WAITING
    return true
  }

  private wait(pe: Pe, trapBit: number, syndrome: number, waiting: number): number {
    const words = this.words
    if (this.isInGuest(pe) && words[pe + PCPU_HCR_EL2] & trapBit) {
      words[pe + PCPU_TRAP] = syndrome | 0
      return WFX_TRAPS
    }
    words[pe + PCPU_PSTATE] |= waiting
    return WFX_WAITS
  }
}
