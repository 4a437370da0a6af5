/**
 * ICV_*_EL1: the guest's side of the virtual CPU interface (IHI 0069, "AArch64 virtual System registers"). Masks,
 * binary points and enables are in ICH_VMCR_EL2, active priorities in the ICH_AP registers, interrupts in the list
 * registers. Where the architecture leaves the outcome open:
 * - EOIR with no active priority does nothing at all.
 * - EOIR that does not match the highest active priority, or names the other group's interrupt, drops the priority
 *   and deactivates nothing.
 * - DIR is ignored in EOImode 0, and for a reserved INTID.
 * - A special INTID in a list register is returned by IAR without becoming active or changing the priority.
 */
import {
  HCR_ONE_EOI,
  HCR_vSGIEOICount,
  LR_ACTIVE,
  LR_Group,
  LR_HW,
  LR_Priority,
  LR_pINTID,
  LR_STATE,
  VMCR_VEOIM,
} from '../../arch/ich-registers.ts'
import { FIRST_LPI, FIRST_PPI, FIRST_SPECIAL, INTID_NONE, type Intid } from '../../arch/intid.ts'
import { lowestBit, onlyBit } from '../../state/bits.ts'
import type { PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import type { Pe } from '../records/pe.ts'
import { DIRECT } from '../vpe/vpe-records.ts'
import { InterfaceRegisters } from './common-registers.ts'
import { PRIORITY_IDLE } from './cpu-interface.ts'
import {
  acknowledgeListRegister,
  deactivateListRegister,
  ICH_AP0R,
  ICH_AP1R,
  ICH_HCR,
  ICH_LR,
  ICH_LR_STATUS,
  ICH_VMCR,
  setListRegister,
  type VirtualInterface,
} from './virtual-interface.ts'

export class Icv extends InterfaceRegisters {
  constructor(
    words: Int32Array,
    readonly virtualInterface: VirtualInterface,
    readonly physical: PhysicalInterrupts,
  ) {
    super(words, virtualInterface, physical.affinities.rangeSelector)
  }

  readIar0(pe: Pe): Intid {
    return this.acknowledge(pe, 0)
  }

  readIar1(pe: Pe): Intid {
    return this.acknowledge(pe, LR_Group)
  }

  /**
   * Makes the highest priority pending interrupt active if it is of this group and signalled.
   * @noinline
   */
  private acknowledge(pe: Pe, group: number): number {
    const { words, virtualInterface } = this
    const vmcr = words[pe + ICH_VMCR]
    const at = virtualInterface.foremost(words, pe, vmcr)
    if (at === 0) return INTID_NONE
    const hi = words[at]
    if ((hi & LR_Group) !== group || !virtualInterface.isSignalled(words, pe, vmcr, hi)) return INTID_NONE
    const intid = words[at - 1]
    if (intid < FIRST_SPECIAL) acknowledgeListRegister(words, pe, at, hi)
    else if (intid & DIRECT) {
      virtualInterface.recordActive(words, pe, vmcr, hi)
      return virtualInterface.acknowledgeDirect(pe, intid)
    } else if (!this.acknowledgesFrom1020(pe, at, hi, intid)) return intid
    virtualInterface.recordActive(words, pe, vmcr, hi)
    return intid
  }

  /** Acknowledges a special INTID, which has no priority, a reserved one, or an LPI; false if the priority stays. */
  private acknowledgesFrom1020(pe: Pe, at: number, hi: number, intid: Intid): boolean {
    const { words, virtualInterface } = this
    const special = intid <= INTID_NONE
    const active = !special && (intid < FIRST_LPI || virtualInterface.lpiBecomesActive)
    setListRegister(words, pe, at, (hi & ~LR_STATE) | (active ? LR_ACTIVE : 0))
    return !special
  }

  readHppir0(pe: Pe): Intid {
    return this.highestPending(pe, 0)
  }

  readHppir1(pe: Pe): Intid {
    return this.highestPending(pe, LR_Group)
  }

  /** HPPIR depends neither on ICH_HCR_EL2.En nor on the priority mask; a disabled group has nothing pending. */
  private highestPending(pe: Pe, group: number): Intid {
    const at = this.virtualInterface.highestPending(pe)
    return at !== 0 && (this.words[at] & LR_Group) === group ? this.words[at - 1] & ~DIRECT : INTID_NONE
  }

  writeEoir0(pe: Pe, value: number): void {
    this.endOfInterrupt(pe, value, 0)
  }

  writeEoir1(pe: Pe, value: number): void {
    this.endOfInterrupt(pe, value, LR_Group)
  }

  /**
   * Drops the running priority, and deactivates the interrupt in EOImode 0.
   * @noinline
   */
  private endOfInterrupt(pe: Pe, value: number, group: number): void {
    const { words, virtualInterface } = this
    const intid = value & virtualInterface.intidMask
    if (intid >= FIRST_SPECIAL && intid <= INTID_NONE) return
    const dropped = this.dropPriority(words, pe)
    if (dropped === PRIORITY_IDLE) return
    const vmcr = words[pe + ICH_VMCR]
    const at = this.findActive(words, pe, intid)
    if (at === 0) {
      const deactivates = (vmcr & VMCR_VEOIM) === 0 || virtualInterface.countsDrops
      if (deactivates && intid < FIRST_LPI) this.countEoi(pe, intid)
      return
    }
    if (vmcr & VMCR_VEOIM && intid < FIRST_LPI) return
    const hi = words[at]
    if ((hi & LR_Group) !== group) return
    if ((LR_Priority(hi) & virtualInterface.groupMask(vmcr, group)) === dropped) this.deactivate(pe, at, hi)
  }

  /** Clears the highest active preemption level and returns its priority. */
  private dropPriority(words: Int32Array, pe: Pe): number {
    const level = dropLevel(words, pe)
    if (level >= 0) return level << this.virtualInterface.levelShift
    return this.virtualInterface.activePriorityRegisters === 1
      ? PRIORITY_IDLE
      : this.dropPriorityAbove31(words, pe)
  }

  private dropPriorityAbove31(words: Int32Array, pe: Pe): number {
    const { activePriorityRegisters, levelShift } = this.virtualInterface
    for (let i = 1; i < activePriorityRegisters; i++) {
      const level = dropLevel(words, pe + i)
      if (level >= 0) return (32 * i + level) << levelShift
    }
    return PRIORITY_IDLE
  }

  writeDir(pe: Pe, value: number): void {
    const intid = value & this.virtualInterface.intidMask
    if ((this.words[pe + ICH_VMCR] & VMCR_VEOIM) === 0 || intid >= FIRST_SPECIAL) return
    const at = this.findActive(this.words, pe, intid)
    if (at === 0) this.countEoi(pe, intid)
    else this.deactivate(pe, at, this.words[at])
  }

  /** The upper word of the list register in which an interrupt is active; 0 if there is none. */
  private findActive(words: Int32Array, pe: Pe, intid: Intid): number {
    const status = words[pe + ICH_LR_STATUS]
    const active = (status >>> 16) & ~status
    if (active === 0) return 0
    return active & (active - 1)
      ? findActiveOfSeveral(words, pe, active, intid)
      : activeAt(words, pe, onlyBit(active), intid)
  }

  /** Active becomes invalid, pending and active becomes pending; with HW the physical interrupt follows. */
  private deactivate(pe: Pe, at: number, hi: number): void {
    deactivateListRegister(this.words, pe, at, hi)
    if (hi & LR_HW) this.physical.deactivate(pe, LR_pINTID(hi))
  }

  /** Counts the deactivation of an interrupt that is in no list register in ICH_HCR_EL2.EOIcount. */
  private countEoi(pe: Pe, intid: Intid): void {
    const hcr = this.words[pe + ICH_HCR]
    if (intid < FIRST_PPI && hcr & HCR_vSGIEOICount) return
    this.words[pe + ICH_HCR] = hcr + HCR_ONE_EOI
  }
}

/**
 * Clears the highest active preemption level of a pair of active priorities registers, of group 1 if both groups have
 * it, and returns it; -1 if none is active. `at` is the PE for ICH_AP0R0_EL2 and ICH_AP1R0_EL2, one more for the next
 * pair.
 */
function dropLevel(words: Int32Array, at: number): number {
  const active1 = words[at + ICH_AP1R]
  const active = words[at + ICH_AP0R] | active1
  if (active === 0) return -1
  const highest = active & -active
  if (active1 & highest) words[at + ICH_AP1R] = active1 ^ highest
  else words[at + ICH_AP0R] ^= highest
  return onlyBit(highest)
}

function findActiveOfSeveral(words: Int32Array, pe: Pe, active: number, intid: Intid): number {
  for (let left = active; left !== 0; left &= left - 1) {
    const at = activeAt(words, pe, lowestBit(left), intid)
    if (at !== 0) return at
  }
  return 0
}

/** The upper word of list register `n` if an interrupt is active there; else 0. */
function activeAt(words: Int32Array, pe: Pe, n: number, intid: Intid): number {
  const at = pe + ICH_LR + 1 + 2 * n
  return words[at - 1] === intid && words[at] & LR_ACTIVE ? at : 0
}
