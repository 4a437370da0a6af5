/**
 * The ITS's registers (IHI 0069, "The ITS register descriptions"), with the masks that code uses. Those of 64 bits are
 * given by their low word; a mask with HIGH in its name is one of the upper word.
 */
import { field, res0, view } from './field.ts'

const ro = { readOnly: true } as const

/** GITS_CTLR: whether the ITS translates MSIs and processes commands. */
export const GITS_CTLR_VIEW = view('GITS_CTLR', 32, [
  field('Quiescent', 31, 31, ro),
  res0(30, 9),
  field('UMSIirq', 8),
  field('ITS_Number', 7, 4),
  res0(3, 2),
  field('ImDe', 1),
  field('Enabled', 0),
])
export const GITS_CTLR_Enabled = 0x1
export const GITS_CTLR_Quiescent = 0x80000000 | 0
export const GITS_CTLR_ITS_Number_SHIFT = 4

/** GITS_TYPER: what the ITS implements. Sizes are minus one. */
export const GITS_TYPER_VIEW = view('GITS_TYPER', 64, [
  res0(63, 47),
  field('INV', 46, 46, ro),
  field('UMSIirq', 45, 45, ro),
  field('UMSI', 44, 44, ro),
  field('nID', 43, 43, ro),
  field('SVPET', 42, 41, ro),
  field('VMAPP', 40, 40, ro),
  field('VSGI', 39, 39, ro),
  field('MPAM', 38, 38, ro),
  field('VMOVP', 37, 37, ro),
  field('CIL', 36, 36, ro),
  field('CIDbits', 35, 32, ro),
  field('HCC', 31, 24, ro),
  res0(23, 20),
  field('PTA', 19, 19, ro),
  field('SEIS', 18, 18, ro),
  field('Devbits', 17, 13, ro),
  field('ID_bits', 12, 8, ro),
  field('ITT_entry_size', 7, 4, ro),
  res0(3),
  field('CCT', 2, 2, ro),
  field('Virtual', 1, 1, ro),
  field('Physical', 0, 0, ro),
])
export const GITS_TYPER_Physical = 0x1
export const GITS_TYPER_Virtual = 0x2
export const GITS_TYPER_PTA = 0x80000
export const GITS_TYPER_HIGH_CIL = 0x10
export const GITS_TYPER_HIGH_VMOVP = 0x20
export const GITS_TYPER_HIGH_VSGI = 0x80
export const GITS_TYPER_HIGH_VMAPP = 0x100
/** Of two bits: shifted into place. */
export const GITS_TYPER_HIGH_SVPET_SHIFT = 9
export const GITS_TYPER_HIGH_nID = 0x800

/** GITS_MPIDR: whose affinity the ITS has, as far as it shares its vPE table. */
export const GITS_MPIDR_VIEW = view('GITS_MPIDR', 32, [
  field('Aff3', 31, 24, ro),
  field('Aff2', 23, 16, ro),
  field('Aff1', 15, 8, ro),
  res0(7, 0),
])

/** GITS_CBASER: where the command queue is. */
export const GITS_CBASER_VIEW = view('GITS_CBASER', 64, [
  field('Valid', 63),
  res0(62),
  field('InnerCache', 61, 59),
  res0(58, 56),
  field('OuterCache', 55, 53),
  res0(52),
  field('Physical_Address', 51, 12),
  field('Shareability', 11, 10),
  res0(9, 8),
  field('Size', 7, 0),
])
export const GITS_CBASER_Size = (low: number): number => low & 0xff
export const GITS_CBASER_HIGH_Valid = 0x80000000 | 0

/** GITS_CWRITER: where software writes the next command. */
export const GITS_CWRITER_VIEW = view('GITS_CWRITER', 64, [
  res0(63, 20),
  field('Offset', 19, 5),
  res0(4, 1),
  field('Retry', 0),
])
export const GITS_CWRITER_Retry = 0x1
/** The mask of Offset, bits 19:5; the masked value is the byte offset from the beginning of the queue. */
export const GITS_CWRITER_Offset = 0xfffe0

/** GITS_CREADR: where the ITS reads the next command. */
export const GITS_CREADR_VIEW = view('GITS_CREADR', 64, [
  res0(63, 20),
  field('Offset', 19, 5, ro),
  res0(4, 1),
  field('Stalled', 0, 0, ro),
])
export const GITS_CREADR_Stalled = 0x1
/** The mask of Offset, bits 19:5; the masked value is the byte offset from the beginning of the queue. */
export const GITS_CREADR_Offset = 0xfffe0

/**
 * `GITS_BASER<n>`: where a table is. With pages of 64 KiB bits 15:12 of the register are bits 51:48 of the address.
 */
export const GITS_BASER_VIEW = view('GITS_BASER', 64, [
  field('Valid', 63),
  field('Indirect', 62),
  field('InnerCache', 61, 59),
  field('Type', 58, 56, ro),
  field('OuterCache', 55, 53),
  field('Entry_Size', 52, 48, ro),
  field('Physical_Address', 47, 12),
  field('Shareability', 11, 10),
  field('Page_Size', 9, 8),
  field('Size', 7, 0),
])
export const GITS_BASER_Size = (low: number): number => low & 0xff
export const GITS_BASER_Page_Size = (low: number): number => (low >>> 8) & 3
export const GITS_BASER_HIGH_Valid = 0x80000000 | 0
export const GITS_BASER_HIGH_Indirect = 0x40000000
