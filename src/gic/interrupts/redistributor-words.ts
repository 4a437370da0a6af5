/** The words of a redistributor in the record of its PE. */
import {
  GICR_CTLR_VIEW,
  GICR_PENDBASER_VIEW,
  GICR_PROPBASER_VIEW,
  GICR_WAKER_VIEW,
} from '../../arch/gicr-registers.ts'
import type { WordDeclaration } from '../../state/layout.ts'

export const GICR_CTLR = 26
export const GICR_WAKER = 27
export const GICR_PROPBASER = 28
export const GICR_PENDBASER = 30

export const redistributorWords: readonly WordDeclaration[] = [
  { name: 'GICR_CTLR', at: GICR_CTLR, class: 'authoritative', view: GICR_CTLR_VIEW },
  { name: 'GICR_WAKER', at: GICR_WAKER, class: 'authoritative', view: GICR_WAKER_VIEW },
  {
    name: 'GICR_PROPBASER',
    at: GICR_PROPBASER,
    wide: true,
    class: 'authoritative',
    view: GICR_PROPBASER_VIEW,
  },
  {
    name: 'GICR_PENDBASER',
    at: GICR_PENDBASER,
    wide: true,
    class: 'authoritative',
    view: GICR_PENDBASER_VIEW,
  },
]
