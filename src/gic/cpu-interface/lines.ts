/** The interrupt lines of a PE as bits. */

export { PE_LINES } from '../records/pe-offsets.ts'

export const LINE_VIRQ = 0x1
export const LINE_VFIQ = 0x2
/** The bits of IRQ and FIQ: those of VIRQ and VFIQ, shifted left by {@link PHYSICAL_LINES_SHIFT}. */
export const LINE_IRQ = 0x4
export const LINE_FIQ = 0x8
/** Both: an interrupt of the host is signalled to the PE, which makes a guest exit. */
export const HOST_LINES = 0xc
export const LINE_WAKE_REQUEST = 0x10
export const PHYSICAL_LINES_SHIFT = 2
