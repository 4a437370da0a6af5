/** PSTATE.I and F as a caller gives them. */
import { argumentBoolean, argumentOptions } from '../../errors/arguments.ts'
import { DAIF_F, DAIF_I } from './pcpu.ts'

/** PSTATE masks of a PE: true masks. What is left out stays as it is. */
export interface InterruptMasks {
  /** PSTATE.I. */
  readonly irq?: boolean
  /** PSTATE.F. */
  readonly fiq?: boolean
}

/** Throws an `argument` error for what are no masks. */
export function argumentMasks(masks: InterruptMasks): InterruptMasks {
  const { irq, fiq } = argumentOptions('masks', masks, { irq: true, fiq: true })
  if (irq !== undefined) argumentBoolean('irq', irq)
  if (fiq !== undefined) argumentBoolean('fiq', fiq)
  return masks
}

/** The DAIF_ bits of masks; `before` has those that are left out. */
export function daifOf({ irq, fiq }: InterruptMasks, before: number): number {
  const bit = (isMasked: boolean | undefined, mask: number): number =>
    isMasked === undefined ? before & mask : isMasked ? mask : 0
  return bit(irq, DAIF_I) | bit(fiq, DAIF_F)
}
