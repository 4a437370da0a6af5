/**
 * The PE as far as a GIC needs one: its exception level, the routing and trap bits of HCR_EL2, the PSTATE
 * masks, the event register, and whether it waits. It decides whether an ICC_* name means the physical or the
 * virtual CPU interface, whether a virtual interrupt is taken, and whether a WFI or WFE leaves the guest
 * (DDI 0487, "Wait for Interrupt", "Wait for Event", "HCR_EL2").
 */
import { field, res0, view } from '../arch/field.ts'
import { ESR_WFE, ESR_WFI } from '../arch/syndrome.ts'
import { encodeSysreg, type SystemRegister } from '../arch/sysreg.ts'
import type { WordDeclaration } from '../state/layout.ts'
import { LINE_VFIQ, LINE_VIRQ, type VirtualInterface } from './virtual-interface.ts'

/** Current exception level, 0 to 2. */
export const PCPU_EL = 0
/** HCR_EL2, the bits of {@link HCR_EL2_VIEW}. */
export const PCPU_HCR_EL2 = 1
/** PSTATE.I in bit 7 and PSTATE.F in bit 6, as DAIF has them. */
export const PCPU_DAIF = 2
/** The event register: 1 when set. */
export const PCPU_EVENT = 3
/** What the PE waits in, a WAITING_ value. */
export const PCPU_WAITING = 4
/** Syndrome of the last access or instruction that trapped or was UNDEFINED; 0 if it did not. */
export const PCPU_TRAP = 5
/** Bits 63:32 of the last system register read. */
export const PCPU_DATA_HIGH = 6

/** The fields of HCR_EL2 that matter here. */
export const HCR_EL2_VIEW = view('HCR_EL2', 64, [
  res0(63, 15),
  field('TWE', 14),
  field('TWI', 13),
  res0(12, 5),
  field('IMO', 4),
  field('FMO', 3),
  res0(2, 0),
])
export const HCR_EL2_FMO = 0x8
export const HCR_EL2_IMO = 0x10
export const HCR_EL2_TWI = 0x2000
export const HCR_EL2_TWE = 0x4000
const HCR_EL2_MASK = 0x6018

/** HCR_EL2's encoding. */
export const HCR_EL2 = encodeSysreg(3, 4, 1, 1, 0)
/** HCR_EL2 as a system register. */
export const HCR_EL2_REGISTER: SystemRegister = {
  name: 'HCR_EL2',
  encoding: HCR_EL2,
  access: 'RW',
  views: [HCR_EL2_VIEW],
  reset: 0,
}

export const DAIF_F = 0x40
export const DAIF_I = 0x80
export const DAIF_VIEW = view('DAIF', 32, [res0(31, 8), field('I', 7), field('F', 6), res0(5, 0)])

export const WAITING_NO = 0
export const WAITING_WFI = 1
export const WAITING_WFE = 2

/** What a WFI or WFE did. */
export const WFX_COMPLETES = 0
export const WFX_WAITS = 1
export const WFX_TRAPS = 2

export const pcpuWords: readonly WordDeclaration[] = [
  { name: 'EL', at: PCPU_EL, class: 'authoritative' },
  { name: 'HCR_EL2', at: PCPU_HCR_EL2, class: 'authoritative', view: HCR_EL2_VIEW },
  { name: 'DAIF', at: PCPU_DAIF, class: 'authoritative', view: DAIF_VIEW },
  { name: 'eventRegister', at: PCPU_EVENT, class: 'authoritative' },
  { name: 'waiting', at: PCPU_WAITING, class: 'authoritative' },
  { name: 'trap', at: PCPU_TRAP, class: 'observational' },
  { name: 'dataHigh', at: PCPU_DATA_HIGH, class: 'observational' },
]

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
  reset(pe: number): void {
    this.words[pe + PCPU_EL] = 2
    this.words[pe + PCPU_DAIF] = DAIF_I | DAIF_F
  }

  /** HCR_EL2 := value; bits without meaning here are RES0. */
  writeHcrEl2(pe: number, value: number): void {
    this.words[pe + PCPU_HCR_EL2] = value & HCR_EL2_MASK
  }

  /** Whether the PE is below EL2. */
  isInGuest(pe: number): boolean {
    return this.words[pe + PCPU_EL] < 2
  }

  /** The PE changes its exception level; downwards it is an exception return. */
  setExceptionLevel(pe: number, el: number): void {
    if (el < this.words[pe + PCPU_EL]) this.words[pe + PCPU_EVENT] = 1
    this.words[pe + PCPU_EL] = el
    this.words[pe + PCPU_WAITING] = WAITING_NO
  }

  /** ERET from EL2 into the guest. An exception return sets the event register. */
  enterGuest(pe: number): void {
    this.words[pe + PCPU_EL] = 1
    this.words[pe + PCPU_EVENT] = 1
  }

  /** An exception is taken to EL2. */
  leaveGuest(pe: number): void {
    this.words[pe + PCPU_EL] = 2
    this.words[pe + PCPU_DAIF] = DAIF_I | DAIF_F
    this.words[pe + PCPU_WAITING] = WAITING_NO
  }

  /**
   * The virtual interrupt lines as the PE samples them at an exception level, LINE_ bits: only where HCR_EL2
   * routes the physical ones to EL2, and only below EL2.
   */
  virtualLines(pe: number, el = this.words[pe + PCPU_EL]): number {
    if (el >= 2) return 0
    const hcr = this.words[pe + PCPU_HCR_EL2]
    const lines = this.virtualInterface.lines(pe)
    return (hcr & HCR_EL2_IMO ? lines & LINE_VIRQ : 0) | (hcr & HCR_EL2_FMO ? lines & LINE_VFIQ : 0)
  }

  /** The interrupts that the PE takes now, LINE_ bits: sampled and not masked by PSTATE. */
  taken(pe: number): number {
    const masks = this.words[pe + PCPU_DAIF]
    if ((masks & (DAIF_I | DAIF_F)) === (DAIF_I | DAIF_F)) return 0
    const lines = this.virtualLines(pe)
    return (masks & DAIF_I ? 0 : lines & LINE_VIRQ) | (masks & DAIF_F ? 0 : lines & LINE_VFIQ)
  }

  /** ISR_EL1 as software at an exception level reads it. */
  isr(pe: number, el: number): number {
    const lines = this.virtualLines(pe, el)
    return (lines & LINE_VIRQ ? ISR_I : 0) | (lines & LINE_VFIQ ? ISR_F : 0)
  }

  /**
   * WFI: completes if an interrupt is pending, masked by PSTATE or not. Otherwise it traps with HCR_EL2.TWI,
   * and else the PE waits. So a guest's WFI with a virtual interrupt pending never exits. `syndrome` is what a trap
   * reports: that of WFI or WFIT.
   */
  wfi(pe: number, syndrome = ESR_WFI): number {
    this.words[pe + PCPU_TRAP] = 0
    if (this.virtualLines(pe) !== 0) return WFX_COMPLETES
    return this.wait(pe, HCR_EL2_TWI, syndrome, WAITING_WFI)
  }

  /** WFE: completes and clears the event register if it is set; otherwise as WFI, with HCR_EL2.TWE. */
  wfe(pe: number, syndrome = ESR_WFE): number {
    const words = this.words
    words[pe + PCPU_TRAP] = 0
    if (words[pe + PCPU_EVENT] !== 0) {
      words[pe + PCPU_EVENT] = 0
      return WFX_COMPLETES
    }
    if (this.taken(pe) !== 0) return WFX_COMPLETES
    return this.wait(pe, HCR_EL2_TWE, syndrome, WAITING_WFE)
  }

  /** SEV, or another event, reaches this PE. */
  sendEvent(pe: number): void {
    this.words[pe + PCPU_EVENT] = 1
  }

  /** Whether a waiting PE has a reason to go on: an interrupt, for WFE one that PSTATE does not mask, or an event. */
  wouldWake(pe: number): boolean {
    if (this.words[pe + PCPU_WAITING] === WAITING_WFI) return this.virtualLines(pe) !== 0
    return this.words[pe + PCPU_EVENT] !== 0 || this.taken(pe) !== 0
  }

  /** Ends the wait of a PE that has a reason to go on; a WFE consumes the event. Returns whether the PE runs. */
  wake(pe: number): boolean {
    const words = this.words
    if (words[pe + PCPU_WAITING] === WAITING_NO) return true
    if (!this.wouldWake(pe)) return false
    if (words[pe + PCPU_WAITING] === WAITING_WFE) words[pe + PCPU_EVENT] = 0
    words[pe + PCPU_WAITING] = WAITING_NO
    return true
  }

  private wait(pe: number, trapBit: number, syndrome: number, waiting: number): number {
    const words = this.words
    if (words[pe + PCPU_EL] < 2 && words[pe + PCPU_HCR_EL2] & trapBit) {
      words[pe + PCPU_TRAP] = syndrome | 0
      return WFX_TRAPS
    }
    words[pe + PCPU_WAITING] = waiting
    return WFX_WAITS
  }
}
