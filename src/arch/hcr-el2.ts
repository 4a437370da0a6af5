/**
 * HCR_EL2, the hypervisor configuration register (DDI 0487), with the masks that code uses. It is a register of the
 * PE, not of the GIC; pcpu.ts says which fields have an effect in this model. Which fields are RES0 depends on the
 * PE's extensions.
 */
import { field, view } from './field.ts'
import { encodeSysreg, type SystemRegister } from './sysreg.ts'

/** HCR_EL2's encoding. */
export const HCR_EL2 = encodeSysreg(3, 4, 1, 1, 0)

/** HCR_EL2: what EL2 traps, which interrupts are routed to it, and the virtual interrupts that it makes pending. */
export const HCR_EL2_VIEW = view('HCR_EL2', 64, [
  field('TWEDEL', 63, 60),
  field('TWEDEn', 59),
  field('TID5', 58),
  field('DCT', 57),
  field('ATA', 56),
  field('TTLBOS', 55),
  field('TTLBIS', 54),
  field('EnSCXT', 53),
  field('TOCU', 52),
  field('AMVOFFEN', 51),
  field('TICAB', 50),
  field('TID4', 49),
  field('GPF', 48),
  field('FIEN', 47),
  field('FWB', 46),
  field('NV2', 45),
  field('AT', 44),
  field('NV1', 43),
  field('NV', 42),
  field('API', 41),
  field('APK', 40),
  field('TME', 39),
  field('MIOCNCE', 38),
  field('TEA', 37),
  field('TERR', 36),
  field('TLOR', 35),
  field('E2H', 34),
  field('ID', 33),
  field('CD', 32),
  field('RW', 31),
  field('TRVM', 30),
  field('HCD', 29),
  field('TDZ', 28),
  field('TGE', 27),
  field('TVM', 26),
  field('TTLB', 25),
  field('TPU', 24),
  field('TPCP', 23),
  field('TSW', 22),
  field('TACR', 21),
  field('TIDCP', 20),
  field('TSC', 19),
  field('TID3', 18),
  field('TID2', 17),
  field('TID1', 16),
  field('TID0', 15),
  field('TWE', 14),
  field('TWI', 13),
  field('DC', 12),
  field('BSU', 11, 10),
  field('FB', 9),
  field('VSE', 8),
  field('VI', 7),
  field('VF', 6),
  field('AMO', 5),
  field('IMO', 4),
  field('FMO', 3),
  field('PTW', 2),
  field('SWIO', 1),
  field('VM', 0),
])
/** Physical FIQs go to EL2, and virtual ones to EL1. */
export const HCR_EL2_FMO = 0x8
/** Physical IRQs go to EL2, and virtual ones to EL1. */
export const HCR_EL2_IMO = 0x10
/** A virtual FIQ is pending. */
export const HCR_EL2_VF = 0x40
/** A virtual IRQ is pending. */
export const HCR_EL2_VI = 0x80
/** A WFI below EL2 that would wait traps to EL2. */
export const HCR_EL2_TWI = 0x2000
/** A WFE below EL2 that would wait traps to EL2. */
export const HCR_EL2_TWE = 0x4000
/** EL0 runs applications of EL2. */
export const HCR_EL2_TGE = 0x8000000

/** HCR_EL2 as a system register. */
export const HCR_EL2_REGISTER: SystemRegister = {
  name: 'HCR_EL2',
  encoding: HCR_EL2,
  access: 'RW',
  views: [HCR_EL2_VIEW],
  reset: 0,
}
