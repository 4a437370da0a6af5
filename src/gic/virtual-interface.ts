/**
 * The virtual CPU interface of a PE: the state behind ICH_* (ich.ts) and ICV_* (icv.ts), and what both sides
 * derive from it: the highest priority pending virtual interrupt, the running priority, the virtual interrupt
 * lines and the maintenance interrupt (IHI 0069, "Virtual interrupt handling and prioritization").
 */
import {
  HCR_DVIM,
  HCR_En,
  HCR_EOIcount,
  HCR_LRENPIE,
  HCR_NPIE,
  HCR_TALL0,
  HCR_TALL1,
  HCR_TC,
  HCR_TDIR,
  HCR_TSEI,
  HCR_UIE,
  HCR_VGrp0DIE,
  HCR_VGrp0EIE,
  HCR_VGrp1DIE,
  HCR_VGrp1EIE,
  HCR_vSGIEOICount,
  ICH_HCR_VIEW,
  ICH_VMCR_VIEW,
  LR_ACTIVE,
  LR_EOI,
  LR_Group,
  LR_HW,
  LR_PENDING,
  LR_Priority,
  LR_STATE,
  LR_State,
  listRegisterView,
  MISR_EOI,
  MISR_LRENP,
  MISR_NP,
  MISR_U,
  MISR_VGrp0D,
  MISR_VGrp0E,
  MISR_VGrp1D,
  MISR_VGrp1E,
  VMCR_VBPR0,
  VMCR_VBPR1,
  VMCR_VCBPR,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VFIQEn,
  VMCR_VPMR,
} from '../arch/ich.ts'
import type { WordDeclaration } from '../state/layout.ts'
import type { CheckedGicConfig } from './config.ts'

export const ICH_HCR = 4
export const ICH_VMCR = 5
/** Four words; how many exist follows from the preemption bits. */
export const ICH_AP0R = 6
export const ICH_AP1R = 10
/**
 * Derived from the list registers: bit n is set if list register n is pending, bit 16 + n if it is valid or
 * waits for its EOI to be seen, that is if ICH_ELRSR_EL2's bit n is clear. Whoever changes a list register's
 * upper word does it by {@link setListRegister}, which keeps this.
 */
export const ICH_LR_STATUS = 15
const LR_STATUS_PENDING = 0xffff
/** Pairs of words, the last of the PE's record. */
export const ICH_LR = 16

export const virtualInterfaceWords = (listRegisters: number): readonly WordDeclaration[] => [
  { name: 'ICH_HCR_EL2', at: ICH_HCR, class: 'authoritative', view: ICH_HCR_VIEW },
  { name: 'ICH_VMCR_EL2', at: ICH_VMCR, class: 'authoritative', view: ICH_VMCR_VIEW },
  { name: 'ICH_AP0R', at: ICH_AP0R, count: 4, class: 'authoritative' },
  { name: 'ICH_AP1R', at: ICH_AP1R, count: 4, class: 'authoritative' },
  { name: 'lrStatus', at: ICH_LR_STATUS, class: 'derived' },
  {
    name: 'ICH_LR',
    at: ICH_LR,
    count: listRegisters,
    wide: true,
    class: 'authoritative',
    view: listRegisterView,
  },
]

export const LINE_VIRQ = 1
export const LINE_VFIQ = 2

/** Priority of an idle interface: lower than every priority. */
export const PRIORITY_IDLE = 0xff

const STATE_INVALID = 0
const STATE_PENDING = 1

export class VirtualInterface {
  /** 2 words a list register: the distance from the first to one past the last. */
  readonly listRegisterWords: number
  /** A bit for each list register. */
  readonly listRegisterMask: number
  /** How many ICH_AP0R<n>, and as many ICH_AP1R<n>, exist: 1, 2 or 4. */
  readonly activePriorityRegisters: number
  /** The implemented bits of a priority. */
  readonly priorityMask: number
  /** A group priority shifted right by this is its preemption level. */
  readonly levelShift: number
  /** The implemented bits of a vINTID at the CPU interface. */
  readonly intidMask: number
  /** The smallest binary points: 7 less the preemption bits for group 0, one more for group 1. */
  readonly minimumBpr0: number
  readonly minimumBpr1: number
  /** The writable bits of ICH_HCR_EL2. */
  readonly hcrMask: number
  /** Whether preemption masks the running priority too: the choice `preemptMask`. */
  readonly masksRunning: boolean
  /** Whether an acknowledged LPI becomes active: the choice `lpiActive`. */
  readonly lpiBecomesActive: boolean

  constructor(
    readonly words: Int32Array,
    readonly config: CheckedGicConfig,
  ) {
    this.listRegisterWords = 2 * config.listRegisters
    this.listRegisterMask = (1 << config.listRegisters) - 1
    this.activePriorityRegisters = 1 << (config.preemptionBits - 5)
    this.priorityMask = (0xff << (8 - config.priorityBits)) & 0xff
    this.levelShift = 8 - config.preemptionBits
    this.intidMask = (1 << config.intidBits) - 1
    this.minimumBpr0 = 7 - config.preemptionBits
    this.minimumBpr1 = this.minimumBpr0 + 1
    this.hcrMask =
      0xf8000000 |
      0 | // EOIcount
      (HCR_TDIR | HCR_TSEI | HCR_TALL1 | HCR_TALL0 | HCR_TC | HCR_NPIE | HCR_LRENPIE | HCR_UIE | HCR_En) |
      (HCR_VGrp0EIE | HCR_VGrp0DIE | HCR_VGrp1EIE | HCR_VGrp1DIE) |
      (config.version === '4.1' ? HCR_vSGIEOICount : 0) |
      (config.dvim ? HCR_DVIM : 0)
    this.masksRunning = config.choices.preemptMask === 'running-masked'
    this.lpiBecomesActive = config.choices.lpiActive === 'active'
  }

  reset(pe: number): void {
    this.words[pe + ICH_VMCR] = (this.minimumBpr0 << 21) | (this.minimumBpr1 << 18) | VMCR_VFIQEn
  }

  /** Recomputes what is derived from the list registers: after words were changed from outside. */
  derive(pe: number): void {
    for (let at = pe + ICH_LR + 1; at < pe + ICH_LR + this.listRegisterWords; at += 2) {
      setListRegister(this.words, pe, at, this.words[at])
    }
  }

  /**
   * The list register with the highest priority pending interrupt of an enabled group, as the offset of its
   * upper word; 0 if there is none. Of equal priorities the lowest-numbered list register wins
   * (IMPLEMENTATION DEFINED). Neither ICH_HCR_EL2.En nor the priority mask matters here.
   */
  highestPending(pe: number): number {
    const pending = this.words[pe + ICH_LR_STATUS] & LR_STATUS_PENDING
    return pending === 0 ? 0 : highestOf(this.words, pe, pending, this.words[pe + ICH_VMCR])
  }

  /** The list register whose interrupt is signalled to the PE, as the offset of its upper word; 0 if there is none. */
  signalled(words: Int32Array, pe: number): number {
    const pending = words[pe + ICH_LR_STATUS] & LR_STATUS_PENDING
    if (pending === 0 || (words[pe + ICH_HCR] & HCR_En) === 0) return 0
    const vmcr = words[pe + ICH_VMCR]
    const at = highestOf(words, pe, pending, vmcr)
    if (at === 0 || LR_Priority(words[at]) >= VMCR_VPMR(vmcr)) return 0
    const running = this.runningPriority(words, pe)
    return running === PRIORITY_IDLE || this.preemptsRunning(vmcr, words[at], running) ? at : 0
  }

  /** Whether an interrupt, given as its list register's upper word, preempts a running priority that is not idle. */
  preemptsRunning(vmcr: number, hi: number, running: number): boolean {
    const mask = this.groupMask(vmcr, hi & LR_Group)
    return (LR_Priority(hi) & mask) < (this.masksRunning ? running & mask : running)
  }

  /** The bits of a priority that are its group priority, by the binary point of its group. */
  groupMask(vmcr: number, group1: number): number {
    if (group1 !== 0 && (vmcr & VMCR_VCBPR) === 0) return 0xff << VMCR_VBPR1(vmcr)
    return 0xfe << VMCR_VBPR0(vmcr)
  }

  /** The running priority: that of the highest active preemption level of both groups, 0xff when idle. */
  runningPriority(words: Int32Array, pe: number): number {
    const active = words[pe + ICH_AP0R] | words[pe + ICH_AP1R]
    if (active !== 0) return lowestBit(active) << this.levelShift
    return this.activePriorityRegisters === 1 ? PRIORITY_IDLE : this.runningPriorityAbove31(words, pe)
  }

  private runningPriorityAbove31(words: Int32Array, pe: number): number {
    for (let i = 1; i < this.activePriorityRegisters; i++) {
      const active = words[pe + ICH_AP0R + i] | words[pe + ICH_AP1R + i]
      if (active !== 0) return (32 * i + lowestBit(active)) << this.levelShift
    }
    return PRIORITY_IDLE
  }

  /** The virtual interrupt lines, LINE_ bits: at most one, for the highest priority pending interrupt. */
  lines(pe: number): number {
    return this.words[pe + ICH_LR_STATUS] & LR_STATUS_PENDING ? this.lineOfPending(pe) : 0
  }

  private lineOfPending(pe: number): number {
    const { words } = this
    const at = this.signalled(words, pe)
    if (at === 0) return 0
    return words[at] & LR_Group ? LINE_VIRQ : LINE_VFIQ
  }

  /** ICH_EISR_EL2: list registers that became inactive and asked for an EOI maintenance interrupt. */
  eisr(pe: number): number {
    const words = this.words
    let status = 0
    for (let n = 0, at = pe + ICH_LR + 1; n < this.listRegisterWords; n += 2, at += 2) {
      const hi = words[at]
      if (LR_State(hi) === STATE_INVALID && (hi & (LR_HW | LR_EOI)) === LR_EOI) status |= 1 << (n >> 1)
    }
    return status
  }

  /** ICH_ELRSR_EL2: list registers that are invalid and do not wait for the hypervisor to see their EOI. */
  elrsr(pe: number): number {
    return ~(this.words[pe + ICH_LR_STATUS] >>> 16) & this.listRegisterMask
  }

  /** ICH_MISR_EL2. It is not gated by ICH_HCR_EL2.En; the interrupt line is. */
  misr(pe: number): number {
    const words = this.words
    const hcr = words[pe + ICH_HCR]
    const vmcr = words[pe + ICH_VMCR]
    let valid = 0
    let pending = 0
    let eoi = 0
    for (let n = 0, at = pe + ICH_LR + 1; n < this.listRegisterWords; n += 2, at += 2) {
      const hi = words[at]
      const state = LR_State(hi)
      if (state !== STATE_INVALID) valid++
      else if ((hi & (LR_HW | LR_EOI)) === LR_EOI) eoi = MISR_EOI
      if (state === STATE_PENDING) pending++
    }
    return (
      eoi |
      (hcr & HCR_UIE && valid <= 1 ? MISR_U : 0) |
      (hcr & HCR_LRENPIE && HCR_EOIcount(hcr) !== 0 ? MISR_LRENP : 0) |
      (hcr & HCR_NPIE && pending === 0 ? MISR_NP : 0) |
      (hcr & HCR_VGrp0EIE && vmcr & VMCR_VENG0 ? MISR_VGrp0E : 0) |
      (hcr & HCR_VGrp0DIE && !(vmcr & VMCR_VENG0) ? MISR_VGrp0D : 0) |
      (hcr & HCR_VGrp1EIE && vmcr & VMCR_VENG1 ? MISR_VGrp1E : 0) |
      (hcr & HCR_VGrp1DIE && !(vmcr & VMCR_VENG1) ? MISR_VGrp1D : 0)
    )
  }

  /** The maintenance interrupt: a level that falls when its cause goes. */
  maintenanceLine(pe: number): boolean {
    return (this.words[pe + ICH_HCR] & HCR_En) !== 0 && this.misr(pe) !== 0
  }
}

/** Sets the upper word of the list register whose upper word is at `at`. */
export function setListRegister(words: Int32Array, pe: number, at: number, hi: number): void {
  words[at] = hi
  const n = (at - pe - ICH_LR) >> 1
  words[pe + ICH_LR_STATUS] = (words[pe + ICH_LR_STATUS] & ~(0x10001 << n)) | (lrStatus(hi) << n)
}

/** Makes a pending list register, whose upper word `hi` is at `at`, active. */
export function acknowledgeListRegister(words: Int32Array, pe: number, at: number, hi: number): void {
  words[at] = hi ^ (LR_PENDING | LR_ACTIVE)
  words[pe + ICH_LR_STATUS] &= ~(1 << ((at - pe - ICH_LR) >> 1))
}

/** The bits of a list register in {@link ICH_LR_STATUS}, as if it were number 0. */
export function lrStatus(hi: number): number {
  if ((hi & LR_STATE) === 0) return (hi & (LR_HW | LR_EOI)) === LR_EOI ? 0x10000 : 0
  return hi & LR_ACTIVE ? 0x10000 : 0x10001
}

/** Mostly one list register is pending: a loop would cost as much again. */
function highestOf(words: Int32Array, pe: number, pending: number, vmcr: number): number {
  if (pending & (pending - 1)) return highestOfSeveral(words, pe, pending, vmcr)
  const at = pe + ICH_LR + 1 + 2 * lowestBit(pending)
  return isGroupEnabled(vmcr, words[at]) ? at : 0
}

function highestOfSeveral(words: Int32Array, pe: number, pending: number, vmcr: number): number {
  let best = 0
  let bestPriority = 0x100
  for (let left = pending; left !== 0; left &= left - 1) {
    const at = pe + ICH_LR + 1 + 2 * lowestBit(left)
    const hi = words[at]
    const priority = LR_Priority(hi)
    if (priority < bestPriority && isGroupEnabled(vmcr, hi)) {
      bestPriority = priority
      best = at
    }
  }
  return best
}

/** Whether the group of a list register's upper word is enabled. */
const isGroupEnabled = (vmcr: number, hi: number): boolean =>
  (vmcr & (hi & LR_Group ? VMCR_VENG1 : VMCR_VENG0)) !== 0

const { clz32 } = Math

/** The number of the lowest bit that is set; `word` must not be 0. */
export const lowestBit = (word: number): number => 31 - clz32(word & -word)
