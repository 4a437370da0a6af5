/** PSTATE and SPSR_EL2 of a PE, in one word, with the fields that the model uses. */
import { type BitRows, bitConstants, bitView, type Constant, combined } from '../../state/rows.ts'

export * from './pstate-bits.ts'

/** Bits 7:0 are PSTATE in the format of SPSR_EL2, plus state that software cannot see; bits 15:8 are SPSR_EL2. */
export const pstateBits = {
  SPSR_I: { name: 'SPSR_EL2.I', bits: 15 },
  SPSR_F: { name: 'SPSR_EL2.F', bits: 14 },
  SPSR_EL: { name: 'SPSR_EL2.EL', bits: [11, 10] },
  DAIF_I: { name: 'I', bits: 7 },
  DAIF_F: { name: 'F', bits: 6 },
  PSTATE_EVENT: { name: 'eventRegister', bits: 5, says: 'The event register is set.' },
  PSTATE_EL: {
    name: 'EL',
    bits: [3, 2],
    values: { PSTATE_EL0: [], PSTATE_EL1: [], PSTATE_EL2: [] },
  },
  PSTATE_WAITING: {
    name: 'waiting',
    bits: [1, 0],
    says: 'What the PE waits in.',
    values: { WAITING_NO: [], WAITING_WFI: [], WAITING_WFE: [] },
  },
} as const satisfies BitRows

const masks = { DAIF_I: pstateBits.DAIF_I, DAIF_F: pstateBits.DAIF_F }
export const PSTATE_VIEW = bitView('PSTATE', pstateBits)
export const SPSR_VIEW = bitView('SPSR_EL2', { ...masks, PSTATE_EL: pstateBits.PSTATE_EL })
export const DAIF_VIEW = bitView('DAIF', masks)

/** The mask and the shift of SPSR_EL2 in the word. */
export const SPSR = 0xff00
export const SPSR_SHIFT = 8

/** The constants of pstate-bits.ts. */
export function pstateConstants(): Constant[] {
  const fields = bitConstants(pstateBits)
  const saved = ['DAIF_I', 'DAIF_F', 'PSTATE_EL']
  const masked = ['DAIF_I', 'DAIF_F', 'PSTATE_EL2']
  return [
    ...fields,
    combined('PSTATE_SAVED', fields, saved, 'The fields that an exception saves in SPSR_EL2.'),
    combined('PSTATE_EL2_MASKED', fields, masked, 'EL2 with interrupts masked.'),
  ]
}
