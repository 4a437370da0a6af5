/**
 * ICV_*_EL1: the guest's side of the virtual CPU interface (IHI 0069, "AArch64 virtual System registers").
 * The guest's masks, binary points and enables live in ICH_VMCR_EL2, its active priorities in the ICH_AP
 * registers, its interrupts in the list registers. Where the architecture leaves the outcome open:
 * - EOIR with no active priority does nothing at all.
 * - EOIR that does not match the highest active priority, or names the other group's interrupt, drops the
 *   priority and deactivates nothing.
 * - DIR in EOImode 0 is ignored, and so is one of a reserved INTID.
 * - A special INTID in a list register is returned by IAR without becoming active or changing the priority.
 */
import { CTLR_CBPR, CTLR_EOImode } from '../arch/icc.ts'
import {
  HCR_ONE_EOI,
  HCR_vSGIEOICount,
  LR_ACTIVE,
  LR_Group,
  LR_HW,
  LR_Priority,
  LR_pINTID,
  LR_STATE,
  VMCR_VBPR0,
  VMCR_VBPR1,
  VMCR_VCBPR,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VEOIM,
  VMCR_VPMR,
} from '../arch/ich.ts'
import { FIRST_LPI, FIRST_PPI, FIRST_SPECIAL, INTID_NONE } from '../arch/intid.ts'
import type { PhysicalInterrupts } from './physical-interrupts.ts'
import {
  acknowledgeListRegister,
  ICH_AP0R,
  ICH_AP1R,
  ICH_HCR,
  ICH_LR,
  ICH_LR_STATUS,
  ICH_VMCR,
  lowestBit,
  PRIORITY_IDLE,
  setListRegister,
  type VirtualInterface,
} from './virtual-interface.ts'

const CTLR_A3V = 0x8000

export class Icv {
  /** The read-only bits of ICV_CTLR_EL1, as ICH_VTR_EL2 has them. */
  private readonly ctlrFixed: number

  constructor(
    readonly words: Int32Array,
    readonly virtualInterface: VirtualInterface,
    readonly physical: PhysicalInterrupts,
  ) {
    const { priorityBits, intidBits } = virtualInterface.config
    this.ctlrFixed = CTLR_A3V | ((intidBits === 24 ? 1 : 0) << 11) | ((priorityBits - 1) << 8)
  }

  readIar0(pe: number): number {
    return this.acknowledge(pe, 0, ICH_AP0R)
  }

  readIar1(pe: number): number {
    return this.acknowledge(pe, LR_Group, ICH_AP1R)
  }

  /** Makes the highest priority pending interrupt active if it is of this group and signalled. */
  private acknowledge(pe: number, group: number, activePriorities: number): number {
    const { words, virtualInterface } = this
    const at = virtualInterface.signalled(words, pe)
    if (at === 0) return INTID_NONE
    const hi = words[at]
    if ((hi & LR_Group) !== group) return INTID_NONE
    const intid = words[at - 1]
    if (intid < FIRST_SPECIAL) acknowledgeListRegister(words, pe, at, hi)
    else if (!this.acknowledgesFrom1020(pe, at, hi, intid)) return intid
    const priority = LR_Priority(hi) & virtualInterface.groupMask(words[pe + ICH_VMCR], group)
    const level = priority >> virtualInterface.levelShift
    words[pe + activePriorities + (level >> 5)] |= 1 << (level & 31)
    return intid
  }

  /** Acknowledges a special INTID, which has no priority, a reserved one, or an LPI; false if the priority stays. */
  private acknowledgesFrom1020(pe: number, at: number, hi: number, intid: number): boolean {
    const { words, virtualInterface } = this
    const special = intid <= INTID_NONE
    const active = !special && (intid < FIRST_LPI || virtualInterface.lpiBecomesActive)
    setListRegister(words, pe, at, (hi & ~LR_STATE) | (active ? LR_ACTIVE : 0))
    return !special
  }

  readHppir0(pe: number): number {
    return this.highestPending(pe, 0)
  }

  readHppir1(pe: number): number {
    return this.highestPending(pe, LR_Group)
  }

  /** HPPIR looks neither at ICH_HCR_EL2.En nor at the priority mask, but a disabled group has nothing pending. */
  private highestPending(pe: number, group: number): number {
    const at = this.virtualInterface.highestPending(pe)
    return at !== 0 && (this.words[at] & LR_Group) === group ? this.words[at - 1] : INTID_NONE
  }

  writeEoir0(pe: number, value: number): void {
    this.endOfInterrupt(pe, value & this.virtualInterface.intidMask, 0)
  }

  writeEoir1(pe: number, value: number): void {
    this.endOfInterrupt(pe, value & this.virtualInterface.intidMask, LR_Group)
  }

  private endOfInterrupt(pe: number, intid: number, group: number): void {
    if (intid >= FIRST_SPECIAL && intid <= INTID_NONE) return
    const { words, virtualInterface } = this
    const dropped = this.dropPriority(words, pe)
    if (dropped === PRIORITY_IDLE) return
    const vmcr = words[pe + ICH_VMCR]
    const at = this.findActive(words, pe, intid)
    if (at === 0) {
      if ((vmcr & VMCR_VEOIM) === 0 && intid < FIRST_LPI) this.countEoi(pe, intid)
      return
    }
    if (vmcr & VMCR_VEOIM && intid < FIRST_LPI) return
    const hi = words[at]
    if ((hi & LR_Group) !== group) return
    if ((LR_Priority(hi) & virtualInterface.groupMask(vmcr, group)) === dropped) this.deactivate(pe, at, hi)
  }

  /** Clears the highest active preemption level and returns its priority. */
  private dropPriority(words: Int32Array, pe: number): number {
    const level = dropLevel(words, pe)
    if (level >= 0) return level << this.virtualInterface.levelShift
    return this.virtualInterface.activePriorityRegisters === 1
      ? PRIORITY_IDLE
      : this.dropPriorityAbove31(words, pe)
  }

  private dropPriorityAbove31(words: Int32Array, pe: number): number {
    const { activePriorityRegisters, levelShift } = this.virtualInterface
    for (let i = 1; i < activePriorityRegisters; i++) {
      const level = dropLevel(words, pe + i)
      if (level >= 0) return (32 * i + level) << levelShift
    }
    return PRIORITY_IDLE
  }

  writeDir(pe: number, value: number): void {
    const intid = value & this.virtualInterface.intidMask
    if ((this.words[pe + ICH_VMCR] & VMCR_VEOIM) === 0 || intid >= FIRST_SPECIAL) return
    const at = this.findActive(this.words, pe, intid)
    if (at === 0) this.countEoi(pe, intid)
    else this.deactivate(pe, at, this.words[at])
  }

  /** The upper word of the list register in which an interrupt is active; 0 if there is none. */
  private findActive(words: Int32Array, pe: number, intid: number): number {
    const status = words[pe + ICH_LR_STATUS]
    const active = (status >>> 16) & ~status
    if (active === 0) return 0
    return active & (active - 1)
      ? findActiveOfSeveral(words, pe, active, intid)
      : activeAt(words, pe + ICH_LR + 2 * lowestBit(active), intid)
  }

  /** Active becomes invalid, pending and active becomes pending; with HW the physical interrupt follows. */
  private deactivate(pe: number, at: number, hi: number): void {
    setListRegister(this.words, pe, at, hi & ~LR_ACTIVE)
    if (hi & LR_HW) this.physical.deactivate(pe, LR_pINTID(hi))
  }

  /** An interrupt that is in no list register was deactivated: the hypervisor learns it from EOIcount. */
  private countEoi(pe: number, intid: number): void {
    const hcr = this.words[pe + ICH_HCR]
    if (intid < FIRST_PPI && hcr & HCR_vSGIEOICount) return
    this.words[pe + ICH_HCR] = hcr + HCR_ONE_EOI
  }

  readRpr(pe: number): number {
    return this.virtualInterface.runningPriority(this.words, pe)
  }

  readPmr(pe: number): number {
    return VMCR_VPMR(this.words[pe + ICH_VMCR])
  }

  writePmr(pe: number, value: number): void {
    const words = this.words
    words[pe + ICH_VMCR] =
      (words[pe + ICH_VMCR] & 0xffffff) | ((value & this.virtualInterface.priorityMask) << 24)
  }

  readBpr0(pe: number): number {
    return VMCR_VBPR0(this.words[pe + ICH_VMCR])
  }

  writeBpr0(pe: number, value: number): void {
    const point = Math.max(value & 7, this.virtualInterface.minimumBpr0)
    this.words[pe + ICH_VMCR] = (this.words[pe + ICH_VMCR] & ~(7 << 21)) | (point << 21)
  }

  /** With CBPR group 1 follows BPR0, and BPR1 reads as BPR0 plus one, saturated. */
  readBpr1(pe: number): number {
    const vmcr = this.words[pe + ICH_VMCR]
    return vmcr & VMCR_VCBPR ? Math.min(VMCR_VBPR0(vmcr) + 1, 7) : VMCR_VBPR1(vmcr)
  }

  /** With CBPR a write is ignored. */
  writeBpr1(pe: number, value: number): void {
    const vmcr = this.words[pe + ICH_VMCR]
    if (vmcr & VMCR_VCBPR) return
    const point = Math.max(value & 7, this.virtualInterface.minimumBpr1)
    this.words[pe + ICH_VMCR] = (vmcr & ~(7 << 18)) | (point << 18)
  }

  readCtlr(pe: number): number {
    const vmcr = this.words[pe + ICH_VMCR]
    return this.ctlrFixed | (vmcr & VMCR_VEOIM ? CTLR_EOImode : 0) | (vmcr & VMCR_VCBPR ? CTLR_CBPR : 0)
  }

  writeCtlr(pe: number, value: number): void {
    const kept = this.words[pe + ICH_VMCR] & ~(VMCR_VEOIM | VMCR_VCBPR)
    this.words[pe + ICH_VMCR] =
      kept | (value & CTLR_EOImode ? VMCR_VEOIM : 0) | (value & CTLR_CBPR ? VMCR_VCBPR : 0)
  }

  readIgrpen0(pe: number): number {
    return this.words[pe + ICH_VMCR] & VMCR_VENG0 ? 1 : 0
  }

  writeIgrpen0(pe: number, value: number): void {
    this.words[pe + ICH_VMCR] = (this.words[pe + ICH_VMCR] & ~VMCR_VENG0) | (value & 1 ? VMCR_VENG0 : 0)
  }

  readIgrpen1(pe: number): number {
    return this.words[pe + ICH_VMCR] & VMCR_VENG1 ? 1 : 0
  }

  writeIgrpen1(pe: number, value: number): void {
    this.words[pe + ICH_VMCR] = (this.words[pe + ICH_VMCR] & ~VMCR_VENG1) | (value & 1 ? VMCR_VENG1 : 0)
  }
}

/**
 * Clears the highest active preemption level of a pair of active priorities registers, of group 1 if both groups have
 * it, and returns it; -1 if none is active. `pe` is for ICH_AP0R0_EL2 and ICH_AP1R0_EL2, the next word for the next.
 */
function dropLevel(words: Int32Array, pe: number): number {
  const active1 = words[pe + ICH_AP1R]
  const active = words[pe + ICH_AP0R] | active1
  if (active === 0) return -1
  const level = lowestBit(active)
  if ((active1 >> level) & 1) words[pe + ICH_AP1R] = active1 & ~(1 << level)
  else words[pe + ICH_AP0R] &= ~(1 << level)
  return level
}

function findActiveOfSeveral(words: Int32Array, pe: number, active: number, intid: number): number {
  for (let left = active; left !== 0; left &= left - 1) {
    const at = activeAt(words, pe + ICH_LR + 2 * lowestBit(left), intid)
    if (at !== 0) return at
  }
  return 0
}

/** The upper word of the list register whose lower word is at `at`, if an interrupt is active there; else 0. */
const activeAt = (words: Int32Array, at: number, intid: number): number =>
  words[at] === intid && words[at + 1] & LR_ACTIVE ? at + 1 : 0
