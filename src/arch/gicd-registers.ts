/**
 * The distributor's registers (IHI 0069, "The GIC Distributor register descriptions") as one Security state has them,
 * with the masks that code uses.
 */
import { field, res0, view } from './field.ts'

const ro = { readOnly: true } as const

/** GICD_CTLR: which groups are forwarded. */
export const GICD_CTLR_VIEW = view('GICD_CTLR', 32, [
  field('RWP', 31, 31, ro),
  res0(30, 9),
  field('nASSGIreq', 8, 8, { feature: 'FEAT_GICv4p1' }),
  field('E1NWF', 7),
  field('DS', 6),
  res0(5),
  field('ARE', 4),
  res0(3, 2),
  field('EnableGrp1', 1),
  field('EnableGrp0', 0),
])
export const GICD_CTLR_EnableGrp1 = 0x2
export const GICD_CTLR_ARE = 0x10
export const GICD_CTLR_DS = 0x40
export const GICD_CTLR_RWP = 0x80000000 | 0

/** GICD_TYPER: what the distributor implements. */
export const GICD_TYPER_VIEW = view('GICD_TYPER', 32, [
  field('ESPI_range', 31, 27, ro),
  field('RSS', 26, 26, ro),
  field('No1N', 25, 25, ro),
  field('A3V', 24, 24, ro),
  field('IDbits', 23, 19, ro),
  field('DVIS', 18, 18, ro),
  field('LPIS', 17, 17, ro),
  field('MBIS', 16, 16, ro),
  field('num_LPIs', 15, 11, ro),
  field('SecurityExtn', 10, 10, ro),
  field('NMI', 9, 9, ro),
  field('ESPI', 8, 8, ro),
  field('CPUNumber', 7, 5, ro),
  field('ITLinesNumber', 4, 0, ro),
])
export const GICD_TYPER_LPIS = 0x20000
export const GICD_TYPER_DVIS = 0x40000
export const GICD_TYPER_A3V = 0x1000000
export const GICD_TYPER_No1N = 0x2000000
export const GICD_TYPER_RSS = 0x4000000

/**
 * Bits of an affinity as one word, Aff3.Aff2.Aff1.Aff0, which GICR_TYPER has in its upper word and `GICD_IROUTER<n>`
 * as Aff3 in bits 39:32 and the others in 23:0.
 */
export const AFFINITY_VIEW = view('affinity', 32, [
  field('Aff3', 31, 24),
  field('Aff2', 23, 16),
  field('Aff1', 15, 8),
  field('Aff0', 7, 0),
])
