/**
 * What the physical and the virtual CPU interface have in common: a control word, active priorities, and the
 * comparison of a pending interrupt with both (IHI 0069, "Interrupt prioritization", "Preemption"). A PE has one of
 * each. Both have the same words at the same offsets from their handles, so that one rule of the architecture is one
 * function here: the handle of the virtual interface is the PE's record, and that of the physical one is {@link
 * PHYSICAL_INTERFACE} words after it.
 *
 * The control word has the fields of ICH_VMCR_EL2, for both: priority mask, binary points, EOImode, CBPR and the
 * group enables. A pending interrupt is given as the upper word of a list register, with LR_Priority and LR_Group.
 */

import {
  LR_Group,
  LR_Priority,
  VMCR_VBPR0,
  VMCR_VBPR1,
  VMCR_VCBPR,
  VMCR_VFIQEn,
} from '../../arch/ich-registers.ts'
import { lowestBit } from '../../state/bits.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import { ACTIVE_PRIORITIES_0, ACTIVE_PRIORITIES_1 } from '../records/pe.ts'

export { ACTIVE_PRIORITIES_0, ACTIVE_PRIORITIES_1, CONTROLS } from '../records/pe-offsets.ts'

/** Priority of an idle interface: lower than every priority. */
export const PRIORITY_IDLE = 0xff

export abstract class CpuInterface {
  /** Active priorities registers of a group: 1, 2 or 4. */
  readonly activePriorityRegisters: number
  /** The implemented bits of a priority. */
  readonly priorityMask: number
  /** A group priority shifted right by this is its preemption level. */
  readonly levelShift: number
  /** The implemented bits of an INTID. */
  readonly intidMask: number
  /** The smallest binary points: 7 less the preemption bits for group 0, one more for group 1. */
  readonly minimumBpr0: number
  readonly minimumBpr1: number
  /** Whether preemption masks the running priority too: the choice `preemptMask` is `running-masked`. */
  readonly masksRunning: boolean

  constructor(
    readonly words: Int32Array,
    readonly config: CheckedGicConfig,
  ) {
    this.activePriorityRegisters = 1 << (config.preemptionBits - 5)
    this.priorityMask = (0xff << (8 - config.priorityBits)) & 0xff
    this.levelShift = 8 - config.preemptionBits
    this.intidMask = (1 << config.intidBits) - 1
    this.minimumBpr0 = 7 - config.preemptionBits
    this.minimumBpr1 = this.minimumBpr0 + 1
    this.masksRunning = config.choices.preemptMask === 'running-masked'
  }

  /** The control word after reset: everything masked and disabled, binary points at their minimum. */
  protected get resetControls(): number {
    return (this.minimumBpr0 << 21) | (this.minimumBpr1 << 18) | VMCR_VFIQEn
  }

  /** Whether an interrupt, given as a list register's upper word, preempts a running priority that is not idle. */
  preemptsRunning(controls: number, hi: number, running: number): boolean {
    const mask = this.groupMask(controls, hi & LR_Group)
    return (LR_Priority(hi) & mask) < (this.masksRunning ? running & mask : running)
  }

  /** The mask of a priority's group priority, by the binary point of its group. */
  groupMask(controls: number, group1: number): number {
    if (group1 !== 0 && (controls & VMCR_VCBPR) === 0) return 0xff << VMCR_VBPR1(controls)
    return 0xfe << VMCR_VBPR0(controls)
  }

  /** The running priority: that of the highest active preemption level of both groups, 0xff when idle. */
  runningPriority(words: Int32Array, at: number): number {
    const active = words[at + ACTIVE_PRIORITIES_0] | words[at + ACTIVE_PRIORITIES_1]
    if (active !== 0) return lowestBit(active) << this.levelShift
    return this.activePriorityRegisters === 1 ? PRIORITY_IDLE : this.runningPriorityAbove31(words, at)
  }

  private runningPriorityAbove31(words: Int32Array, at: number): number {
    for (let i = 1; i < this.activePriorityRegisters; i++) {
      const active = words[at + ACTIVE_PRIORITIES_0 + i] | words[at + ACTIVE_PRIORITIES_1 + i]
      if (active !== 0) return (32 * i + lowestBit(active)) << this.levelShift
    }
    return PRIORITY_IDLE
  }

  /** Records that an interrupt, given as a list register's upper word, became active: at its preemption level. */
  recordActive(words: Int32Array, at: number, controls: number, hi: number): void {
    const group = hi & LR_Group
    const level = (LR_Priority(hi) & this.groupMask(controls, group)) >> this.levelShift
    const first = at + (group === 0 ? ACTIVE_PRIORITIES_0 : ACTIVE_PRIORITIES_1)
    words[first + (level >> 5)] |= 1 << (level & 31)
  }
}
