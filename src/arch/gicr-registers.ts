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
export const GICR_TYPER_Dirty = 0x4
export const GICR_TYPER_DirectLPI = 0x8
export const GICR_TYPER_Last = 0x10
export const GICR_TYPER_RVPEID = 0x80
export const GICR_TYPER_VSGI = 0x4000000

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

/** GICR_VPROPBASER on GICv4.0: where the configuration of the resident vPE's LPIs is. */
export const GICR_VPROPBASER_V4_0_VIEW = view('GICR_VPROPBASER', 64, [
  res0(63, 59),
  field('OuterCache', 58, 56),
  res0(55, 52),
  field('Physical_Address', 51, 12),
  field('Shareability', 11, 10),
  field('InnerCache', 9, 7),
  res0(6, 5),
  field('IDbits', 4, 0),
])
/** GICR_VPROPBASER on GICv4.1: where the vPE configuration table is. Size is pages minus one, Entry_Size words minus one. */
export const GICR_VPROPBASER_V4_1_VIEW = view('GICR_VPROPBASER', 64, [
  field('Valid', 63),
  res0(62),
  field('Entry_Size', 61, 59, ro),
  field('OuterCache', 58, 56),
  field('Indirect', 55),
  field('Page_Size', 54, 53),
  field('Z', 52),
  field('Physical_Address', 51, 12),
  field('Shareability', 11, 10),
  field('InnerCache', 9, 7),
  field('Size', 6, 0),
])
export const GICR_VPROPBASER_Size = (low: number): number => low & 0x7f
export const GICR_VPROPBASER_HIGH_Z = 0x100000
export const GICR_VPROPBASER_HIGH_Page_Size = (high: number): number => (high >>> 21) & 3
export const GICR_VPROPBASER_HIGH_Indirect = 0x800000
export const GICR_VPROPBASER_HIGH_Valid = 0x80000000 | 0

/** GICR_VPENDBASER on GICv4.0: the pending table of the resident vPE, and so which one that is. */
export const GICR_VPENDBASER_V4_0_VIEW = view('GICR_VPENDBASER', 64, [
  field('Valid', 63),
  field('IDAI', 62),
  field('PendingLast', 61),
  field('Dirty', 60, 60, ro),
  res0(59),
  field('OuterCache', 58, 56),
  res0(55, 52),
  field('Physical_Address', 51, 16),
  res0(15, 12),
  field('Shareability', 11, 10),
  field('InnerCache', 9, 7),
  res0(6, 0),
])
/** GICR_VPENDBASER on GICv4.1: which vPE is resident. */
export const GICR_VPENDBASER_V4_1_VIEW = view('GICR_VPENDBASER', 64, [
  field('Valid', 63),
  field('Doorbell', 62),
  field('PendingLast', 61),
  field('Dirty', 60, 60, ro),
  field('VGrp0En', 59),
  field('VGrp1En', 58),
  res0(57, 16),
  field('vPEID', 15, 0),
])
export const GICR_VPENDBASER_vPEID = (low: number): number => low & 0xffff
export const GICR_VPENDBASER_HIGH_Valid = 0x80000000 | 0
export const GICR_VPENDBASER_HIGH_IDAI = 0x40000000
export const GICR_VPENDBASER_HIGH_Doorbell = 0x40000000
export const GICR_VPENDBASER_HIGH_PendingLast = 0x20000000
export const GICR_VPENDBASER_HIGH_Dirty = 0x10000000
export const GICR_VPENDBASER_HIGH_VGrp0En = 0x8000000
export const GICR_VPENDBASER_HIGH_VGrp1En = 0x4000000

/** GICR_VSGIPENDR: what a query of a vPE's pending SGIs has found. */
export const GICR_VSGIPENDR_VIEW = view('GICR_VSGIPENDR', 32, [
  field('Busy', 31, 31, ro),
  res0(30, 16),
  field('Pending', 15, 0, ro),
])
export const GICR_VSGIPENDR_Busy = 0x80000000 | 0
