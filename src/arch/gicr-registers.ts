/**
 * A redistributor's registers (IHI 0069, "The GIC Redistributor register descriptions"), with the masks that code uses.
 * Those of 64 bits are given by their low word, where it holds the field.
 */
import { field, res0, view } from './field.ts'

const ro = { readOnly: true } as const

/** GICR_CTLR. RWP is bit 3 here; bit 31 is UWP. */
export const GICR_CTLR_VIEW = view('GICR_CTLR', 32, [
  field('UWP', 31, 31, ro),
  res0(30, 27),
  field('DPG1S', 26),
  field('DPG1NS', 25),
  field('DPG0', 24),
  res0(23, 4),
  field('RWP', 3, 3, ro),
  field('IR', 2, 2, ro),
  field('CES', 1, 1, ro),
  field('EnableLPIs', 0),
])
export const GICR_CTLR_EnableLPIs = 0x1
export const GICR_CTLR_CES = 0x2
export const GICR_CTLR_IR = 0x4
export const GICR_CTLR_RWP = 0x8

/** GICR_TYPER: whose redistributor it is, and what it implements. */
export const GICR_TYPER_VIEW = view('GICR_TYPER', 64, [
  field('Affinity_Value', 63, 32, ro),
  field('PPInum', 31, 27, ro),
  field('VSGI', 26, 26, ro),
  field('CommonLPIAff', 25, 24, ro),
  field('Processor_Number', 23, 8, ro),
  field('RVPEID', 7, 7, ro),
  field('MPAM', 6, 6, ro),
  field('DPGS', 5, 5, ro),
  field('Last', 4, 4, ro),
  field('DirectLPI', 3, 3, ro),
  field('Dirty', 2, 2, ro),
  field('VLPIS', 1, 1, ro),
  field('PLPIS', 0, 0, ro),
])
export const GICR_TYPER_PLPIS = 0x1
export const GICR_TYPER_VLPIS = 0x2
export const GICR_TYPER_DirectLPI = 0x8
export const GICR_TYPER_Last = 0x10

/** GICR_WAKER: the handshake by which a PE goes to sleep and is woken. */
export const GICR_WAKER_VIEW = view('GICR_WAKER', 32, [
  res0(31, 3),
  field('ChildrenAsleep', 2, 2, ro),
  field('ProcessorSleep', 1),
  res0(0),
])
export const GICR_WAKER_ProcessorSleep = 0x2
export const GICR_WAKER_ChildrenAsleep = 0x4

/** GICR_PROPBASER: where the configuration of LPIs is. */
export const GICR_PROPBASER_VIEW = view('GICR_PROPBASER', 64, [
  res0(63, 59),
  field('OuterCache', 58, 56),
  res0(55, 52),
  field('Physical_Address', 51, 12),
  field('Shareability', 11, 10),
  field('InnerCache', 9, 7),
  res0(6, 5),
  field('IDbits', 4, 0),
])

/** GICR_PENDBASER: where the pending bits of LPIs are. */
export const GICR_PENDBASER_VIEW = view('GICR_PENDBASER', 64, [
  res0(63),
  field('PTZ', 62),
  res0(61, 59),
  field('OuterCache', 58, 56),
  res0(55, 52),
  field('Physical_Address', 51, 16),
  res0(15, 12),
  field('Shareability', 11, 10),
  field('InnerCache', 9, 7),
  res0(6, 0),
])
