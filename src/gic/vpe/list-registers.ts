/**
 * The list registers of a PE as its redistributor's direct interrupts meet them: an interrupt is to come by one way only
 * (IHI 0069, "Direct injection of virtual interrupts").
 */
import { LR_STATE } from '../../arch/ich-registers.ts'
import type { Pe } from '../records/pe.ts'
import { ICH_LR } from '../records/pe-offsets.ts'

/** Whether one of `count` list registers of a PE is in use for a vINTID. */
export function isListed(words: Int32Array, pe: Pe, count: number, intid: number): boolean {
  for (let at = pe + ICH_LR; at < pe + ICH_LR + 2 * count; at += 2) {
    if (words[at] === intid && (words[at + 1] & LR_STATE) !== 0) return true
  }
  return false
}
