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
  LR_ACTIVE,
  LR_EOI,
  LR_Group,
  LR_HW,
  LR_PENDING,
  LR_Priority,
  LR_STATE,
  LR_State,
  MISR_EOI,
  MISR_LRENP,
  MISR_NP,
  MISR_U,
  MISR_VGrp0D,
  MISR_VGrp0E,
  MISR_VGrp1D,
  MISR_VGrp1E,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VPMR,
} from '../../arch/ich-registers.ts'
import { lowestBit, onlyBit } from '../../state/bits.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import { ICH_HCR, ICH_LR, ICH_LR_STATUS, ICH_VMCR, type Pe } from '../records/pe.ts'
import { CpuInterface, PRIORITY_IDLE } from './cpu-interface.ts'
import { LINE_VFIQ, LINE_VIRQ } from './lines.ts'

export { ICH_AP0R, ICH_AP1R, ICH_HCR, ICH_LR, ICH_LR_STATUS, ICH_VMCR } from '../records/pe-offsets.ts'

export const LR_STATUS_PENDING = 0xffff
/** The bits of an active list register there, as if it were number 0; one that waits for its EOI to be seen has the same. */
const LR_STATUS_ACTIVE = 0x10000
/**
 * The bits of ICH_HCR_EL2 that enable causes of a maintenance interrupt. The other cause, EOI, is enabled in a list
 * register.
 */
const MAINTENANCE_ENABLES =
  HCR_UIE | HCR_LRENPIE | HCR_NPIE | HCR_VGrp0EIE | HCR_VGrp0DIE | HCR_VGrp1EIE | HCR_VGrp1DIE
/** Those of them whose causes are in the list registers and in EOIcount, and not in ICH_VMCR_EL2. */
const LIST_REGISTER_ENABLES = HCR_UIE | HCR_LRENPIE | HCR_NPIE

const STATE_INVALID = 0

export class VirtualInterface extends CpuInterface {
  /** The size of the list registers in words, two each. */
  readonly listRegisterWords: number
  /** A bit for each list register. */
  readonly listRegisterMask: number
  /** The writable bits of ICH_HCR_EL2. */
  readonly hcrMask: number
  /** Whether an acknowledged LPI becomes active: the choice `lpiActive`. */
  readonly lpiBecomesActive: boolean
  /** Whether an EOIR in EOImode 1 counts in EOIcount: the choice `eoicountInEoimode1`. */
  readonly countsDrops: boolean
  /** The group enable that MISR.VGrp0D follows: the choice `misrVgrp0d`. */
  private readonly vgrp0dEnable: number

  constructor(words: Int32Array, config: CheckedGicConfig) {
    super(words, config)
    this.listRegisterWords = 2 * config.listRegisters
    this.listRegisterMask = (1 << config.listRegisters) - 1
    this.hcrMask =
      0xf8000000 |
      0 | // EOIcount
      (HCR_TDIR | HCR_TSEI | HCR_TALL1 | HCR_TALL0 | HCR_TC | HCR_NPIE | HCR_LRENPIE | HCR_UIE | HCR_En) |
      (HCR_VGrp0EIE | HCR_VGrp0DIE | HCR_VGrp1EIE | HCR_VGrp1DIE) |
      (config.version === '4.1' ? HCR_vSGIEOICount : 0) |
      (config.dvim ? HCR_DVIM : 0)
    this.lpiBecomesActive = config.choices.lpiActive === 'active'
    this.countsDrops = config.choices.eoicountInEoimode1 === 'counted'
    this.vgrp0dEnable = config.choices.misrVgrp0d === 'group-0' ? VMCR_VENG0 : VMCR_VENG1
  }

  reset(pe: Pe): void {
    this.words[pe + ICH_VMCR] = this.resetControls
  }

  /** Recomputes the word derived from the list registers, after an image was loaded. */
  derive(pe: Pe): void {
    for (let at = pe + ICH_LR + 1; at < pe + ICH_LR + this.listRegisterWords; at += 2) {
      setListRegister(this.words, pe, at, this.words[at])
    }
  }

  /**
   * The list register with the highest priority pending interrupt of an enabled group, as the offset of its
   * upper word; 0 if there is none. Of equal priorities the lowest-numbered list register wins
   * (IMPLEMENTATION DEFINED). Neither ICH_HCR_EL2.En nor the priority mask matters here.
   */
  highestPending(pe: Pe): number {
    const { words } = this
    const pending = words[pe + ICH_LR_STATUS] & LR_STATUS_PENDING
    if (pending === 0) return 0
    const vmcr = words[pe + ICH_VMCR]
    const at = highestOf(words, pe, pending, vmcr)
    return at !== 0 && isGroupEnabled(vmcr, words[at]) ? at : 0
  }

  /**
   * The list register whose interrupt is signalled to the PE, if {@link isSignalled} says so of it: the highest priority
   * pending one, as the offset of its upper word; 0 if there is none, or if ICH_HCR_EL2.En is 0.
   */
  foremost(words: Int32Array, pe: Pe, vmcr: number): number {
    const pending = words[pe + ICH_LR_STATUS] & LR_STATUS_PENDING
    return pending === 0 || (words[pe + ICH_HCR] & HCR_En) === 0 ? 0 : highestOf(words, pe, pending, vmcr)
  }

  /**
   * Whether the {@link foremost} interrupt, by its upper word, is of an enabled group, passes the priority mask and preempts
   * what is active.
   */
  isSignalled(words: Int32Array, pe: Pe, vmcr: number, hi: number): boolean {
    if (!isGroupEnabled(vmcr, hi) || LR_Priority(hi) >= VMCR_VPMR(vmcr)) return false
    const running = this.runningPriority(words, pe)
    return running === PRIORITY_IDLE || this.preemptsRunning(vmcr, hi, running)
  }

  /** On GICv4: the interrupt that is presented as such a lower word is acknowledged. */
  acknowledgeDirect(_pe: Pe, presented: number): number {
    return presented
  }

  /** List register `n` was written by an access: direct interrupts, on GICv4, look at it. */
  noticeListRegister(_pe: Pe, _n: number): void {}

  /** Whether anything is pending that the interface might signal. */
  mayBePending(pe: Pe): boolean {
    return (this.words[pe + ICH_LR_STATUS] & LR_STATUS_PENDING) !== 0
  }

  /**
   * The virtual interrupt lines, LINE_ bits: at most one, for the highest priority pending interrupt. It asks by itself what
   * {@link mayBePending} does: one call less for V8 to inline into what is asked most.
   */
  lines(pe: Pe): number {
    return this.words[pe + ICH_LR_STATUS] & LR_STATUS_PENDING ? this.lineOfPending(pe) : 0
  }

  /** @noinline */
  protected lineOfPending(pe: Pe): number {
    const { words } = this
    const vmcr = words[pe + ICH_VMCR]
    const at = this.foremost(words, pe, vmcr)
    if (at === 0) return 0
    const hi = words[at]
    if (!this.isSignalled(words, pe, vmcr, hi)) return 0
    return hi & LR_Group ? LINE_VIRQ : LINE_VFIQ
  }

  /** ICH_EISR_EL2: list registers that became inactive and asked for an EOI maintenance interrupt. */
  eisr(pe: Pe): number {
    const { words } = this
    let status = 0
    for (let left = words[pe + ICH_LR_STATUS] >>> 16; left !== 0; left &= left - 1) {
      const n = lowestBit(left)
      if ((words[pe + ICH_LR + 1 + 2 * n] & LR_STATE) === 0) status |= 1 << n
    }
    return status
  }

  /** ICH_ELRSR_EL2: list registers that are invalid and do not wait for the hypervisor to see their EOI. */
  elrsr(pe: Pe): number {
    return ~(this.words[pe + ICH_LR_STATUS] >>> 16) & this.listRegisterMask
  }

  /** ICH_MISR_EL2. It is not gated by ICH_HCR_EL2.En; the interrupt line is. */
  misr(pe: Pe): number {
    const { words } = this
    const hcr = words[pe + ICH_HCR]
    const hasPending = (words[pe + ICH_LR_STATUS] & LR_STATUS_PENDING) !== 0
    return (
      (this.eisr(pe) === 0 ? 0 : MISR_EOI) |
      (hcr & HCR_UIE && this.isUnderflow(pe) ? MISR_U : 0) |
      (hcr & HCR_LRENPIE && HCR_EOIcount(hcr) !== 0 ? MISR_LRENP : 0) |
      (hcr & HCR_NPIE && !hasPending ? MISR_NP : 0) |
      (hcr & this.groupCauses(words[pe + ICH_VMCR]))
    )
  }

  /** Whether at most one list register is valid. */
  private isUnderflow(pe: Pe): boolean {
    let valid = 0
    const first = pe + ICH_LR + 1
    for (let n = 0; n < this.listRegisterWords; n += 2)
      if (LR_State(this.words[first + n]) !== STATE_INVALID) valid++
    return valid <= 1
  }

  /**
   * The causes of the maintenance interrupt that ICH_MISR_EL2 has for groups being enabled or disabled, before ICH_HCR_EL2's
   * enables, which are the same bits.
   */
  private groupCauses(vmcr: number): number {
    return (
      (vmcr & VMCR_VENG0 ? MISR_VGrp0E : 0) |
      (vmcr & this.vgrp0dEnable ? 0 : MISR_VGrp0D) |
      (vmcr & VMCR_VENG1 ? MISR_VGrp1E : MISR_VGrp1D)
    )
  }

  /**
   * Whether the maintenance interrupt may be asserted. It is not if every list register is empty or pending, so that none
   * can have had its EOI, and no cause is enabled in ICH_HCR_EL2, or only switches of groups that have not been made, or
   * U and NP while several list registers are pending.
   */
  mayNeedMaintenance(words: Int32Array, pe: Pe): boolean {
    const status = words[pe + ICH_LR_STATUS]
    const hcr = words[pe + ICH_HCR]
    const ended = (status >>> 16) & ~status
    return (ended | (hcr & MAINTENANCE_ENABLES)) !== 0 && this.mayBeAsserted(words, pe, status, hcr)
  }

  private mayBeAsserted(words: Int32Array, pe: Pe, status: number, hcr: number): boolean {
    const ended = (status >>> 16) & ~status
    const pending = status & LR_STATUS_PENDING
    const causes = pending & (pending - 1) ? HCR_LRENPIE : LIST_REGISTER_ENABLES
    return (ended | (hcr & (causes | this.groupCauses(words[pe + ICH_VMCR])))) !== 0
  }

  /**
   * Not 0 if ICH_MISR_EL2 may have the switch of a group from how it is in `vmcr`. VGrp0D is there without a switch if it
   * follows the enable of group 1.
   */
  mayBeSwitched(words: Int32Array, pe: Pe, vmcr: number): number {
    return ((words[pe + ICH_VMCR] ^ vmcr) & (VMCR_VENG0 | VMCR_VENG1)) | (this.vgrp0dEnable & VMCR_VENG1)
  }

  /** The level of the maintenance interrupt. */
  maintenanceLine(pe: Pe): boolean {
    const hcr = this.words[pe + ICH_HCR]
    if ((hcr & HCR_En) === 0) return false
    return (hcr & MAINTENANCE_ENABLES ? this.misr(pe) : this.eisr(pe)) !== 0
  }
}

/** Sets the upper word of the list register whose upper word is at `at`. */
export function setListRegister(words: Int32Array, pe: Pe, at: number, hi: number): void {
  words[at] = hi
  const n = (at - pe - ICH_LR) >> 1
  words[pe + ICH_LR_STATUS] = (words[pe + ICH_LR_STATUS] & ~(0x10001 << n)) | (lrStatus(hi) << n)
}

/** Makes a pending list register, whose upper word `hi` is at `at`, active. */
export function acknowledgeListRegister(words: Int32Array, pe: Pe, at: number, hi: number): void {
  words[at] = hi ^ (LR_PENDING | LR_ACTIVE)
  words[pe + ICH_LR_STATUS] ^= 1 << ((at - pe - ICH_LR) >> 1)
}

/** Makes an active list register, whose upper word `hi` is at `at`, invalid, or pending if it is that too. */
export function deactivateListRegister(words: Int32Array, pe: Pe, at: number, hi: number): void {
  const after = hi ^ LR_ACTIVE
  words[at] = after
  words[pe + ICH_LR_STATUS] ^= (LR_STATUS_ACTIVE ^ lrStatus(after)) << ((at - pe - ICH_LR) >> 1)
}

/** The bits of a list register in {@link ICH_LR_STATUS}, as if it were number 0. */
export function lrStatus(hi: number): number {
  if ((hi & LR_STATE) === 0) return (hi & (LR_HW | LR_EOI)) === LR_EOI ? LR_STATUS_ACTIVE : 0
  return hi & LR_ACTIVE ? LR_STATUS_ACTIVE : 0x10001
}

/**
 * Finds the highest priority of the pending list registers; there is one at least, and mostly only one, for which a loop
 * would cost as much again, and whose group is left to the caller; of several those of disabled groups do not count.
 */
function highestOf(words: Int32Array, pe: Pe, pending: number, vmcr: number): number {
  if (pending & (pending - 1)) return highestOfSeveral(words, pe, pending, vmcr)
  return pe + ICH_LR + 1 + 2 * onlyBit(pending)
}

function highestOfSeveral(words: Int32Array, pe: Pe, pending: number, vmcr: number): number {
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
