/**
 * The virtual CPU interface of a PE that takes interrupts from its redistributor directly, on GICv4: beside the list
 * registers, the highest priority vLPI or vSGI of the resident vPE in each group (IHI 0069, "Direct injection of virtual
 * interrupts"; rules 140 to 147 of docs/gicv4.md). They are weighed as a list register's interrupt, and no list register
 * changes. ICH_MISR_EL2, ICH_EISR_EL2 and ICH_ELRSR_EL2 do not know of them.
 *
 * Of equal priorities the list register wins, or with the choice `directPriority: direct` the other. With
 * ICH_HCR_EL2.DVIM there are no direct interrupts.
 */
import { HCR_DVIM, HCR_En, LR_Priority, LR_STATE, VMCR_VENG0, VMCR_VENG1 } from '../../arch/ich-registers.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import type { PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import type { Pe } from '../records/pe.ts'
import { ICH_HCR, ICH_LR, ICH_LR_STATUS, ICH_VMCR } from '../records/pe-offsets.ts'
import type { ResidentVpes } from '../vpe/resident-vpe.ts'
import { VPE_PRESENTED_0, VPE_PRESENTED_1 } from '../vpe/vpe-offsets.ts'
import { DIRECT } from '../vpe/vpe-records.ts'
import type { Vpes } from '../vpe/vpes.ts'
import { LR_STATUS_PENDING, VirtualInterface } from './virtual-interface.ts'

/** Below every priority. */
const NO_PRIORITY = 0x100
/** From the word of group 0 to that of group 1. */
const GROUP_1 = VPE_PRESENTED_1 - VPE_PRESENTED_0

export class DirectVirtualInterface extends VirtualInterface {
  /** Whether a direct interrupt wins against a list register's of the same priority: the choice `directPriority`. */
  private readonly directWins: boolean
  private readonly resident: ResidentVpes
  /** By the handle of a PE, the upper word of what its redistributor presents in group 0; group 1's is a little further. */
  private readonly presented: Int32Array

  constructor(
    words: Int32Array,
    config: CheckedGicConfig,
    readonly physical: PhysicalInterrupts,
    readonly vpes: Vpes,
  ) {
    super(words, config)
    this.resident = vpes.resident
    this.directWins = config.choices.directPriority === 'direct'
    this.presented = new Int32Array(physical.peOf(config.cpus))
    for (let cpu = 0; cpu < config.cpus; cpu++)
      this.presented[physical.peOf(cpu)] = vpes.resident.recordOf(cpu) + VPE_PRESENTED_0 + 1
  }

  override highestPending(pe: Pe): number {
    return this.withDirect(pe, super.highestPending(pe))
  }

  override foremost(words: Int32Array, pe: Pe): number {
    return words[pe + ICH_HCR] & HCR_En ? this.highestPending(pe) : 0
  }

  override mayBePending(pe: Pe): boolean {
    const { words } = this
    const at = this.presented[pe]
    return ((words[pe + ICH_LR_STATUS] & LR_STATUS_PENDING) | words[at] | words[at + GROUP_1]) !== 0
  }

  override lines(pe: Pe): number {
    return this.mayBePending(pe) ? this.lineOfPending(pe) : 0
  }

  /** The better one of the list register whose upper word is at `at`, 0 for none, and of the direct interrupts. */
  private withDirect(pe: Pe, at: number): number {
    const { words } = this
    if (words[pe + ICH_HCR] & HCR_DVIM) return at
    const presented = this.presented[pe]
    const vmcr = words[pe + ICH_VMCR]
    const group0 = vmcr & VMCR_VENG0 ? presented : 0
    const group1 = vmcr & VMCR_VENG1 ? presented + GROUP_1 : 0
    const direct = this.priorityAt(group1) < this.priorityAt(group0) ? group1 : group0
    const priority = this.priorityAt(direct)
    if (priority === NO_PRIORITY) return at
    const ofList = this.priorityAt(at)
    return priority < ofList || (priority === ofList && this.directWins) ? direct : at
  }

  /** The priority of what is pending at an upper word; {@link NO_PRIORITY} if nothing is. */
  private priorityAt(at: number): number {
    return at === 0 || this.words[at] === 0 ? NO_PRIORITY : LR_Priority(this.words[at])
  }

  /** An interrupt must not come by both ways. */
  override noticeListRegister(pe: Pe, n: number): void {
    const { words, vpes } = this
    const at = pe + ICH_LR + 2 * n
    if (!vpes.unpredictable.isWatched || (words[at + 1] & LR_STATE) === 0) return
    vpes.noticeListed(this.physical.cpuOf(pe), words[at], `ICH_LR${n}_EL2`)
  }

  /** A direct interrupt, by the lower word of what is presented, is acknowledged. Returns its INTID. */
  override acknowledgeDirect(pe: Pe, presented: number): number {
    const intid = presented & ~DIRECT
    this.resident.acknowledge(this.physical.cpuOf(pe), intid)
    return intid
  }
}
