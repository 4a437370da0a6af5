/** PSTATE.I and F in the form that callers give. */
import { argumentBoolean, argumentOptions } from '../../errors/arguments.ts'
import { DAIF_F, DAIF_I } from './pcpu.ts'

/** PSTATE masks of a PE: true masks the exception. A field that is left out keeps its value. */
export interface InterruptMasks {
  /** PSTATE.I. */
  readonly irq?: boolean
  /** PSTATE.F. */
  readonly fiq?: boolean
}

/** Throws an `argument` error for a value that is not {@link InterruptMasks}. */
export function argumentMasks(masks: InterruptMasks): InterruptMasks {
  const { irq, fiq } = argumentOptions('masks', masks, { irq: true, fiq: true })
  if (irq !== undefined) argumentBoolean('irq', irq)
  if (fiq !== undefined) argumentBoolean('fiq', fiq)
  return masks
}

/** The DAIF_ bits of masks, with those that are left out taken from `before`. */
export function daifOf({ irq, fiq }: InterruptMasks, before: number): number {
  const bit = (isMasked: boolean | undefined, mask: number): number =>
    isMasked === undefined ? before & mask : isMasked ? mask : 0
  return bit(irq, DAIF_I) | bit(fiq, DAIF_F)
}
