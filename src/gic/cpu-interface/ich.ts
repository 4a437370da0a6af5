/**
 * ICH_*_EL2: the hypervisor's side of the virtual CPU interface (IHI 0069, "AArch64 virtualization control
 * System registers"). Values are 32-bit words; a list register is two, low and high.
 */
import { LR_PRIORITY_SHIFT, VMCR_VBPR0, VMCR_VBPR1 } from '../../arch/ich-registers.ts'
import type { Pe } from '../records/pe.ts'
import {
  ICH_AP0R,
  ICH_AP1R,
  ICH_HCR,
  ICH_LR,
  ICH_LR_STATUS,
  ICH_VMCR,
  lrStatus,
  setListRegister,
  type VirtualInterface,
} from './virtual-interface.ts'

/** VENG0, VENG1, VFIQEn (RES1), VCBPR, VEOIM and the two binary points. */
const VMCR_MASK = 0x00fc021b
const VMCR_RES1 = 0x8
/** State, HW, Group and pINTID with the EOI bit in it; Priority follows from the implemented bits. */
const LR_HIGH_MASK = 0xf0001fff | 0

/** Fields of ICH_VTR_EL2, shifted. */
const VTR_A3V = 1 << 21
const VTR_nV4 = 1 << 20
const VTR_TDS = 1 << 19
const VTR_DVIM = 1 << 18

/** The bits of list register 0 in ICH_LR_STATUS. The upper one is set unless it is empty. */
const LR_0_STATUS = 0x10001

export class Ich {
  /** The value of ICH_VTR_EL2, which is constant. */
  readonly vtr: number
  private readonly activePriorityRegisters: number
  private readonly hcrMask: number
  private readonly intidMask: number
  private readonly lrHighMask: number
  private readonly vmcrMask: number
  private readonly minimumBpr0: number
  private readonly minimumBpr1: number

  constructor(
    readonly words: Int32Array,
    readonly virtualInterface: VirtualInterface,
  ) {
    const { config, priorityMask } = virtualInterface
    this.vtr =
      ((config.priorityBits - 1) << 29) |
      ((config.preemptionBits - 1) << 26) |
      ((config.intidBits === 24 ? 1 : 0) << 23) |
      VTR_A3V |
      (config.version === '3' ? VTR_nV4 : 0) |
      VTR_TDS |
      (config.dvim ? VTR_DVIM : 0) |
      (config.listRegisters - 1)
    this.lrHighMask = LR_HIGH_MASK | (priorityMask << LR_PRIORITY_SHIFT)
    this.vmcrMask = VMCR_MASK | (priorityMask << 24)
    this.activePriorityRegisters = virtualInterface.activePriorityRegisters
    this.hcrMask = virtualInterface.hcrMask
    this.intidMask = virtualInterface.intidMask
    this.minimumBpr0 = virtualInterface.minimumBpr0
    this.minimumBpr1 = virtualInterface.minimumBpr1
  }

  readHcr(pe: Pe): number {
    return this.words[pe + ICH_HCR]
  }

  writeHcr(words: Int32Array, pe: Pe, value: number): void {
    words[pe + ICH_HCR] = value & this.hcrMask
  }

  readVmcr(pe: Pe): number {
    return vmcrOf(this.words, pe)
  }

  /** Writes ICH_VMCR_EL2. Binary points below the minimum become the minimum; unimplemented bits of VPMR are RES0. */
  writeVmcr(words: Int32Array, pe: Pe, value: number): void {
    const vmcr = (value & this.vmcrMask) | VMCR_RES1
    if (VMCR_VBPR0(vmcr) >= this.minimumBpr0 && VMCR_VBPR1(vmcr) >= this.minimumBpr1)
      words[pe + ICH_VMCR] = vmcr
    else words[pe + ICH_VMCR] = this.withMinimumBprs(vmcr)
  }

  private withMinimumBprs(value: number): number {
    const { minimumBpr0, minimumBpr1 } = this
    let vmcr = value
    if (VMCR_VBPR0(vmcr) < minimumBpr0) vmcr = (vmcr & ~(7 << 21)) | (minimumBpr0 << 21)
    if (VMCR_VBPR1(vmcr) < minimumBpr1) vmcr = (vmcr & ~(7 << 18)) | (minimumBpr1 << 18)
    return vmcr
  }

  readLrLow(pe: Pe, n: number): number {
    return this.words[pe + ICH_LR + 2 * n]
  }

  readLrHigh(pe: Pe, n: number): number {
    return this.words[pe + ICH_LR + 2 * n + 1]
  }

  /**
   * Writes a list register. RES0 bits read as zero. Bits 44:32 are pINTID or EOI depending on HW; a list register
   * keeps all of them in both cases, which the architecture allows.
   */
  writeLr(pe: Pe, n: number, low: number, high: number): void {
    this.words[pe + ICH_LR + 2 * n] = low & this.intidMask
    setListRegister(this.words, pe, pe + ICH_LR + 2 * n + 1, high & this.lrHighMask)
  }

  /** Writes ICH_HCR_EL2 and list register 0. */
  fillOnly(words: Int32Array, pe: Pe, hcr: number, low: number, high: number): void {
    words[pe + ICH_HCR] = hcr & this.hcrMask
    words[pe + ICH_LR] = low & this.intidMask
    words[pe + ICH_LR + 1] = high & this.lrHighMask
    words[pe + ICH_LR_STATUS] = (words[pe + ICH_LR_STATUS] & ~LR_0_STATUS) | lrStatus(high)
  }

  /** Writes ICH_HCR_EL2 and clears list register 0. Returns 1 if that was in use, by ICH_ELRSR_EL2, and 0 if not. */
  clearOnly(words: Int32Array, pe: Pe, hcr: number): number {
    const status = words[pe + ICH_LR_STATUS]
    words[pe + ICH_HCR] = hcr & this.hcrMask
    words[pe + ICH_LR] = 0
    words[pe + ICH_LR + 1] = 0
    words[pe + ICH_LR_STATUS] = status & ~LR_0_STATUS
    return (status >>> 16) & 1
  }

  /** Writes one of several list registers in a row; returns its bits for {@link setLrStatus}. */
  fillLr(words: Int32Array, pe: Pe, n: number, low: number, high: number): number {
    const at = pe + 2 * n
    words[at + ICH_LR] = low & this.intidMask
    words[at + ICH_LR + 1] = high & this.lrHighMask
    return lrStatus(high) << n
  }

  /** Reads `ICH_AP0R<n>_EL2` and `ICH_AP1R<n>_EL2`, as many as exist, into the words at `ap0r` and `ap1r`. */
  readAprs(words: Int32Array, pe: Pe, ap0r: number, ap1r: number): void {
    words[ap0r] = words[pe + ICH_AP0R]
    words[ap1r] = words[pe + ICH_AP1R]
    if (this.activePriorityRegisters > 1) this.readMoreAprs(pe, ap0r, ap1r)
  }

  /** Writes `ICH_AP0R<n>_EL2` and `ICH_AP1R<n>_EL2`, as many as exist, from the words at `ap0r` and `ap1r`. */
  writeAprs(words: Int32Array, pe: Pe, ap0r: number, ap1r: number): void {
    words[pe + ICH_AP0R] = words[ap0r]
    words[pe + ICH_AP1R] = words[ap1r]
    if (this.activePriorityRegisters > 1) this.writeMoreAprs(pe, ap0r, ap1r)
  }

  // Apart, since mostly there is one register of each group, and V8 has room for little in those who call this.
  private readMoreAprs(pe: Pe, ap0r: number, ap1r: number): void {
    this.copyAprs(pe + ICH_AP0R, pe + ICH_AP1R, ap0r, ap1r)
  }

  private writeMoreAprs(pe: Pe, ap0r: number, ap1r: number): void {
    this.copyAprs(ap0r, ap1r, pe + ICH_AP0R, pe + ICH_AP1R)
  }

  /** Copies the active priorities of both groups where there are several registers of each. */
  private copyAprs(from0: number, from1: number, to0: number, to1: number): void {
    const { words, activePriorityRegisters: count } = this
    words.copyWithin(to0, from0, from0 + count)
    words.copyWithin(to1, from1, from1 + count)
  }
}

/** Updates the word derived from the list registers, after the first `count` were written. */
export function setLrStatus(words: Int32Array, pe: Pe, count: number, status: number): void {
  const first = (1 << count) - 1
  words[pe + ICH_LR_STATUS] = (words[pe + ICH_LR_STATUS] & ~((first << 16) | first)) | status
}

/** Writes zero to one of several list registers, given by its offset: {@link lrAt}. */
export function clearLr(words: Int32Array, at: number): void {
  words[at + ICH_LR] = 0
  words[at + ICH_LR + 1] = 0
}

/**
 * Writes 0 to ICH_HCR_EL2.
 * @inline
 */
export function clearHcr(words: Int32Array, pe: Pe): void {
  words[pe + ICH_HCR] = 0
}

/** ICH_VMCR_EL2. */
export const vmcrOf = (words: Int32Array, pe: Pe): number => words[pe + ICH_VMCR]

/** The handle of list register `n` of a PE, for the LR accessors. */
export const lrAt = (pe: Pe, n: number): number => pe + 2 * n
export const lrLow = (words: Int32Array, at: number): number => words[at + ICH_LR]
export const lrHigh = (words: Int32Array, at: number): number => words[at + ICH_LR + 1]
