/**
 * Software generated interrupts: ICC_SGI1R_EL1, ICC_SGI0R_EL1 and ICC_ASGI1R_EL1 (IHI 0069, "Generating SGIs"). With
 * one Security state, SGI0R and ASGI1R generate group 0 SGIs and SGI1R group 1 ones. The group of an SGI is
 * configured at the target PE; a register for another group has no effect there.
 */

import type { Intid } from '../../arch/intid.ts'
import { lowestBit } from '../../state/bits.ts'
import { GICR_BLOCK, type PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import { GROUP, LATCH } from '../records/interrupts.ts'
import type { Pe } from '../records/pe.ts'

/** Fields of an SGI register, bits 31:0. */
const TARGET_LIST = 0xffff
const INTID_SHIFT = 24
const AFF1_SHIFT = 16
/** Fields of an SGI register, bits 63:32. */
const AFF2 = 0xff
const IRM = 0x100
const RS_SHIFT = 12
const AFF3_SHIFT = 16

export class Sgis {
  private readonly sgi1rReachesGroup0: boolean
  private readonly unsupportedSelectorTargetsNone: boolean

  constructor(readonly physical: PhysicalInterrupts) {
    const { choices } = physical.config
    this.sgi1rReachesGroup0 = choices.sgi1rGroup0 === 'forwarded'
    this.unsupportedSelectorTargetsNone = choices.sgiRangeSelector === 'no-target'
  }

  /** Writes ICC_SGI1R_EL1. */
  writeSgi1r(pe: Pe, low: number, high: number): void {
    this.generate(pe, low, high, true, this.sgi1rReachesGroup0)
  }

  /**
   * Writes ICC_SGI0R_EL1, or ICC_ASGI1R_EL1, with the same effect: the other Security state's group 1 is group 0
   * here.
   */
  writeSgi0r(pe: Pe, low: number, high: number): void {
    this.generate(pe, low, high, false, true)
  }

  private generate(pe: Pe, low: number, high: number, group1: boolean, group0: boolean): void {
    const { physical } = this
    const { affinities } = physical
    const bit = 1 << ((low >>> INTID_SHIFT) & 15)
    if (high & IRM) {
      for (let cpu = 0; cpu < affinities.values.length; cpu++) {
        const target = physical.peOf(cpu)
        if (target !== pe) this.send(target, bit, group1, group0)
      }
      return
    }
    const selector = (high >>> RS_SHIFT) & 15
    if (selector !== 0 && !affinities.rangeSelector && this.unsupportedSelectorTargetsNone) return
    const cluster =
      ((high >>> AFF3_SHIFT) << 24) |
      ((high & AFF2) << 16) |
      (((low >>> AFF1_SHIFT) & 0xff) << 8) |
      (affinities.rangeSelector ? selector << 4 : 0)
    for (let left = low & TARGET_LIST; left !== 0; left &= left - 1) {
      const cpu = affinities.cpuOf(cluster | lowestBit(left))
      if (cpu >= 0) this.send(physical.peOf(cpu), bit, group1, group0)
    }
  }

  private send(target: Pe, bit: number, group1: boolean, group0: boolean): void {
    const { physical } = this
    const isGroup1 = (physical.words[target + GICR_BLOCK + GROUP] & bit) !== 0
    if (isGroup1 ? group1 : group0) physical.setBits(target, 0, LATCH, bit)
  }
}

/** Bits 31:0 of an SGI register's value that targets one PE, by its affinity. */
export const sgiLow = (affinity: number, intid: Intid): number =>
  (intid << INTID_SHIFT) | (((affinity >> 8) & 0xff) << AFF1_SHIFT) | (1 << (affinity & 15))
/** Bits 63:32 of an SGI register's value that targets one PE, by its affinity. */
export const sgiHigh = (affinity: number): number =>
  ((affinity >>> 24) << AFF3_SHIFT) | (((affinity >> 4) & 15) << RS_SHIFT) | ((affinity >> 16) & AFF2)
