/**
 * The physical CPU interface of a PE, ICC_* (IHI 0069, "Physical interrupt handling and prioritization"): one
 * Security state, so that group 0 is signalled as FIQ and group 1 as IRQ. Where the architecture leaves the outcome
 * open:
 * - EOIR does nothing at all if no priority is active, or the highest active one is of the other group.
 * - EOIR in EOImode 0 deactivates the interrupt that it names, whether or not it is the last that was acknowledged.
 *   For an interrupt that does not exist, and for an LPI, which has no active state, it only drops the priority.
 * - DIR is ignored in EOImode 0, and for a reserved INTID.
 */
import {
  LR_Group,
  LR_Priority,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VEOIM,
  VMCR_VPMR,
} from '../../arch/ich-registers.ts'
import { FIRST_LPI, FIRST_SPECIAL, INTID_NONE, type Intid } from '../../arch/intid.ts'
import { lowestBit } from '../../state/bits.ts'
import { HPPI_INTID } from '../distributor/hppi.ts'
import type { PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import { rankLpi } from '../lpi/lpi-configuration.ts'
import type { Lpis } from '../lpi/lpis.ts'
import { asPe, HIGHEST_PENDING, type Pe, PHYSICAL_INTERFACE } from '../records/pe.ts'
import { InterfaceRegisters } from './common-registers.ts'
import {
  ACTIVE_PRIORITIES_0,
  ACTIVE_PRIORITIES_1,
  CONTROLS,
  CpuInterface,
  PRIORITY_IDLE,
} from './cpu-interface.ts'

/** The interface's state, and the interrupt that it signals. */
export class PhysicalInterface extends CpuInterface {
  reset(pe: Pe): void {
    this.words[pe + PHYSICAL_INTERFACE + CONTROLS] = this.resetControls
  }

  /** The groups that the interface enables: bit 0 group 0, bit 1 group 1. */
  enabledGroups(at: number): number {
    return this.words[at + CONTROLS] & (VMCR_VENG0 | VMCR_VENG1)
  }

  /** The highest priority pending interrupt of an enabled group; 0 if there is none. */
  highestPending(at: number): number {
    const hppi = this.words[at + HIGHEST_PENDING]
    return hppi > 0 && this.words[at + CONTROLS] & (hppi & LR_Group ? VMCR_VENG1 : VMCR_VENG0) ? hppi : 0
  }

  /** The interrupt that is signalled to the PE; 0 if there is none. */
  signalled(at: number): number {
    const hppi = this.highestPending(at)
    const controls = this.words[at + CONTROLS]
    if (hppi === 0 || LR_Priority(hppi) >= VMCR_VPMR(controls)) return 0
    const running = this.runningPriority(this.words, at)
    return running === PRIORITY_IDLE || this.preemptsRunning(controls, hppi, running) ? hppi : 0
  }
}

/** The ICC_* registers. */
export class Icc extends InterfaceRegisters {
  constructor(
    words: Int32Array,
    readonly physicalInterface: PhysicalInterface,
    readonly physical: PhysicalInterrupts,
    readonly lpis: Lpis | undefined,
  ) {
    super(words, physicalInterface, physical.affinities.rangeSelector)
  }

  readIar0(at: number): Intid {
    return this.acknowledge(at, 0)
  }

  readIar1(at: number): Intid {
    return this.acknowledge(at, LR_Group)
  }

  /** Makes the highest priority pending interrupt active if it is of this group and signalled. */
  private acknowledge(at: number, group: number): Intid {
    const hppi = this.physicalInterface.signalled(at)
    if (hppi === 0 || (hppi & LR_Group) !== group) return INTID_NONE
    this.physicalInterface.recordActive(this.words, at, this.words[at + CONTROLS], hppi)
    const intid = HPPI_INTID(hppi)
    if (intid === FIRST_LPI) return this.acknowledgeLpi(at)
    this.physical.activate(asPe(at - PHYSICAL_INTERFACE), intid)
    return intid
  }

  /** An LPI has no active state: it may become pending again while it is served. */
  private acknowledgeLpi(at: number): Intid {
    return this.lpis?.acknowledge(this.physical.cpuOf(asPe(at - PHYSICAL_INTERFACE))) ?? INTID_NONE
  }

  readHppir0(at: number): Intid {
    return this.highestPending(at, 0)
  }

  readHppir1(at: number): Intid {
    return this.highestPending(at, LR_Group)
  }

  /** HPPIR depends neither on the priority mask nor on the running priority. */
  private highestPending(at: number, group: number): Intid {
    const hppi = this.physicalInterface.highestPending(at)
    if (hppi === 0 || (hppi & LR_Group) !== group) return INTID_NONE
    const intid = HPPI_INTID(hppi)
    return intid === FIRST_LPI ? this.highestLpi(at) : intid
  }

  private highestLpi(at: number): Intid {
    const { lpis } = this
    if (lpis === undefined) return INTID_NONE
    return FIRST_LPI + rankLpi(lpis.highest(this.physical.cpuOf(asPe(at - PHYSICAL_INTERFACE))))
  }

  writeEoir0(at: number, value: number): void {
    this.endOfInterrupt(at, value & this.physicalInterface.intidMask, ACTIVE_PRIORITIES_0)
  }

  writeEoir1(at: number, value: number): void {
    this.endOfInterrupt(at, value & this.physicalInterface.intidMask, ACTIVE_PRIORITIES_1)
  }

  private endOfInterrupt(at: number, intid: Intid, activePriorities: number): void {
    if (intid >= FIRST_SPECIAL && intid <= INTID_NONE) return
    if (!this.dropPriority(at, activePriorities)) return
    if ((this.words[at + CONTROLS] & VMCR_VEOIM) === 0) this.deactivate(at, intid)
  }

  /** Clears the highest active preemption level if it is of this group. */
  private dropPriority(at: number, activePriorities: number): boolean {
    const { words } = this
    for (let i = 0; i < this.physicalInterface.activePriorityRegisters; i++) {
      const active = words[at + ACTIVE_PRIORITIES_0 + i] | words[at + ACTIVE_PRIORITIES_1 + i]
      if (active === 0) continue
      const level = 1 << lowestBit(active)
      if ((words[at + activePriorities + i] & level) === 0) return false
      words[at + activePriorities + i] &= ~level
      return true
    }
    return false
  }

  writeDir(at: number, value: number): void {
    if (this.words[at + CONTROLS] & VMCR_VEOIM) this.deactivate(at, value & this.physicalInterface.intidMask)
  }

  /** Which groups the interface enables decides which interrupts are forwarded to it. */
  override writeIgrpen0(at: number, value: number): void {
    super.writeIgrpen0(at, value)
    this.physical.noticePe(asPe(at - PHYSICAL_INTERFACE))
  }

  override writeIgrpen1(at: number, value: number): void {
    super.writeIgrpen1(at, value)
    this.physical.noticePe(asPe(at - PHYSICAL_INTERFACE))
  }

  private deactivate(at: number, intid: Intid): void {
    if (intid < FIRST_SPECIAL) this.physical.deactivate(asPe(at - PHYSICAL_INTERFACE), intid)
  }
}
