/**
 * The CPU interface's system registers: ICC_*, and ICV_* which share their encodings (IHI 0069, "AArch64 System
 * register descriptions"). At EL1, with HCR_EL2.IMO or FMO set, the ICC_* names access ICV_* registers.
 */
import { type Field, field, type RegisterView, res0, view } from './field.ts'
import { type Encoding, encodeSysreg, type SystemRegister } from './sysreg.ts'

/** Interrupt Priority Mask Register. */
export const ICC_PMR_EL1 = encodeSysreg(3, 0, 4, 6, 0)
/** Interrupt Acknowledge Register, group 0. */
export const ICC_IAR0_EL1 = encodeSysreg(3, 0, 12, 8, 0)
/** End Of Interrupt Register, group 0. */
export const ICC_EOIR0_EL1 = encodeSysreg(3, 0, 12, 8, 1)
/** Highest Priority Pending Interrupt Register, group 0. */
export const ICC_HPPIR0_EL1 = encodeSysreg(3, 0, 12, 8, 2)
/** Binary Point Register, group 0. */
export const ICC_BPR0_EL1 = encodeSysreg(3, 0, 12, 8, 3)
/** Active Priorities Group 0 Register 0: preemption levels 0 to 31. */
export const ICC_AP0R0_EL1 = encodeSysreg(3, 0, 12, 8, 4)
/** Preemption levels 32 to 63 of group 0; exists with 6 or 7 preemption bits. */
export const ICC_AP0R1_EL1 = encodeSysreg(3, 0, 12, 8, 5)
/** Preemption levels 64 to 95 of group 0; exists with 7 preemption bits. */
export const ICC_AP0R2_EL1 = encodeSysreg(3, 0, 12, 8, 6)
/** Preemption levels 96 to 127 of group 0; exists with 7 preemption bits. */
export const ICC_AP0R3_EL1 = encodeSysreg(3, 0, 12, 8, 7)
/** Active Priorities Group 1 Register 0: preemption levels 0 to 31. */
export const ICC_AP1R0_EL1 = encodeSysreg(3, 0, 12, 9, 0)
/** Preemption levels 32 to 63 of group 1; exists with 6 or 7 preemption bits. */
export const ICC_AP1R1_EL1 = encodeSysreg(3, 0, 12, 9, 1)
/** Preemption levels 64 to 95 of group 1; exists with 7 preemption bits. */
export const ICC_AP1R2_EL1 = encodeSysreg(3, 0, 12, 9, 2)
/** Preemption levels 96 to 127 of group 1; exists with 7 preemption bits. */
export const ICC_AP1R3_EL1 = encodeSysreg(3, 0, 12, 9, 3)
/** Non-maskable Interrupt Acknowledge Register; FEAT_GICv3_NMI. */
export const ICC_NMIAR1_EL1 = encodeSysreg(3, 0, 12, 9, 5)
/** Deactivate Interrupt Register. */
export const ICC_DIR_EL1 = encodeSysreg(3, 0, 12, 11, 1)
/** Running Priority Register. */
export const ICC_RPR_EL1 = encodeSysreg(3, 0, 12, 11, 3)
/** Software Generated Interrupt group 1 Register. */
export const ICC_SGI1R_EL1 = encodeSysreg(3, 0, 12, 11, 5)
/** Alias SGI group 1 Register: group 1 of the other Security state. */
export const ICC_ASGI1R_EL1 = encodeSysreg(3, 0, 12, 11, 6)
/** SGI group 0 Register. */
export const ICC_SGI0R_EL1 = encodeSysreg(3, 0, 12, 11, 7)
/** Interrupt Acknowledge Register, group 1. */
export const ICC_IAR1_EL1 = encodeSysreg(3, 0, 12, 12, 0)
/** End Of Interrupt Register, group 1. */
export const ICC_EOIR1_EL1 = encodeSysreg(3, 0, 12, 12, 1)
/** Highest Priority Pending Interrupt Register, group 1. */
export const ICC_HPPIR1_EL1 = encodeSysreg(3, 0, 12, 12, 2)
/** Binary Point Register, group 1. */
export const ICC_BPR1_EL1 = encodeSysreg(3, 0, 12, 12, 3)
/** CPU interface Control Register: EOImode, CBPR and what is implemented. */
export const ICC_CTLR_EL1 = encodeSysreg(3, 0, 12, 12, 4)
/** System Register Enable, EL1. */
export const ICC_SRE_EL1 = encodeSysreg(3, 0, 12, 12, 5)
/** Interrupt Group 0 Enable register. */
export const ICC_IGRPEN0_EL1 = encodeSysreg(3, 0, 12, 12, 6)
/** Interrupt Group 1 Enable register. */
export const ICC_IGRPEN1_EL1 = encodeSysreg(3, 0, 12, 12, 7)
/** System Register Enable, EL2. */
export const ICC_SRE_EL2 = encodeSysreg(3, 4, 12, 9, 5)
/** CPU interface Control Register, EL3. */
const ICC_CTLR_EL3 = encodeSysreg(3, 6, 12, 12, 4)
/** System Register Enable, EL3. */
const ICC_SRE_EL3 = encodeSysreg(3, 6, 12, 12, 5)
/** Interrupt Group 1 Enable register, EL3. */
const ICC_IGRPEN1_EL3 = encodeSysreg(3, 6, 12, 12, 7)
/** Interrupt Status Register, of the PE: whether an IRQ (bit 7) or an FIQ (bit 6) is pending for it. */
export const ISR_EL1 = encodeSysreg(3, 0, 12, 1, 0)

const ro = { readOnly: true } as const
const NMI = { feature: 'FEAT_GICv3_NMI' } as const

const intid = (name: string) => view(name, 64, [res0(63, 24), field('INTID', 23, 0)])
const binaryPoint = (name: string) => view(name, 64, [res0(63, 3), field('BinaryPoint', 2, 0)])
const activePriorities = (name: string) => view(name, 64, [res0(63, 32), field('P', 31, 0)])
const enable = (name: string) => view(name, 64, [res0(63, 1), field('Enable', 0)])
const sgi = (name: string) =>
  view(name, 64, [
    res0(63, 56),
    field('Aff3', 55, 48),
    field('RS', 47, 44),
    res0(43, 41),
    field('IRM', 40),
    field('Aff2', 39, 32),
    res0(31, 28),
    field('INTID', 27, 24),
    field('Aff1', 23, 16),
    field('TargetList', 15, 0),
  ])
const sre = (name: string, ...enableField: Field[]) =>
  view(name, 64, [...enableField, field('DIB', 2), field('DFB', 1), field('SRE', 0)])

/** ICC_CTLR_EL1 and, with PMHE fixed at 0 and ICH_VTR_EL2 behind the read-only fields, ICV_CTLR_EL1. */
const ctlr = (name: string, pmhe: Field): RegisterView =>
  view(name, 64, [
    res0(63, 20),
    field('ExtRange', 19, 19, ro),
    field('RSS', 18, 18, ro),
    res0(17, 16),
    field('A3V', 15, 15, ro),
    field('SEIS', 14, 14, ro),
    field('IDbits', 13, 11, ro),
    field('PRIbits', 10, 8, ro),
    res0(7),
    pmhe,
    res0(5, 2),
    field('EOImode', 1),
    field('CBPR', 0),
  ])

/** ICV_CTLR_EL1. It has no PMHE: the virtual interface has no priority mask hint. */
export const ICV_CTLR_VIEW = ctlr('ICV_CTLR_EL1', res0(6))

export const CTLR_CBPR = 0x1
export const CTLR_EOImode = 0x2

const pmr = view('ICC_PMR_EL1', 64, [res0(63, 8), field('Priority', 7, 0)])
const rpr = view('ICC_RPR_EL1', 64, [
  field('NMI', 63, 63, NMI),
  field('NMI_NS', 62, 62, NMI),
  res0(61, 8),
  field('Priority', 7, 0),
])
/** ICV_RPR_EL1. It has one NMI bit: virtual NMIs have no Security state. */
export const ICV_RPR_VIEW = view('ICV_RPR_EL1', 64, [
  field('NMI', 63, 63, NMI),
  res0(62, 8),
  field('Priority', 7, 0),
])

const ap1r0 = view('ICC_AP1R0_EL1', 64, [field('NMI', 63, 63, NMI), res0(62, 32), field('P', 31, 0)])
const ctlrEl3 = view('ICC_CTLR_EL3', 64, [
  res0(63, 20),
  field('ExtRange', 19, 19, ro),
  field('RSS', 18, 18, ro),
  field('nDS', 17, 17, ro),
  res0(16),
  field('A3V', 15, 15, ro),
  field('SEIS', 14, 14, ro),
  field('IDbits', 13, 11, ro),
  field('PRIbits', 10, 8, ro),
  res0(7),
  field('PMHE', 6),
  field('RM', 5),
  field('EOImode_EL1NS', 4),
  field('EOImode_EL1S', 3),
  field('EOImode_EL3', 2),
  field('CBPR_EL1NS', 1),
  field('CBPR_EL1S', 0),
])
const igrpen1El3 = view('ICC_IGRPEN1_EL3', 64, [
  res0(63, 2),
  field('EnableGrp1S', 1),
  field('EnableGrp1NS', 0),
])
const isr = view('ISR_EL1', 64, [
  res0(63, 11),
  field('IS', 10, 10, NMI),
  field('FS', 9, 9, NMI),
  field('A', 8),
  field('I', 7),
  field('F', 6),
  res0(5, 0),
])

const row = (
  encoding: Encoding,
  access: SystemRegister['access'],
  bits: RegisterView,
  more: { reset?: number; feature?: string } = {},
): SystemRegister => ({ name: bits.name, encoding, access, views: [bits], ...more })

/** Every ICC_* register of AArch64, in order of encoding within each exception level, and ISR_EL1. */
export const iccRegisters: readonly SystemRegister[] = [
  row(ICC_PMR_EL1, 'RW', pmr, { reset: 0 }),
  row(ICC_IAR0_EL1, 'RO', intid('ICC_IAR0_EL1')),
  row(ICC_EOIR0_EL1, 'WO', intid('ICC_EOIR0_EL1')),
  row(ICC_HPPIR0_EL1, 'RO', intid('ICC_HPPIR0_EL1')),
  row(ICC_BPR0_EL1, 'RW', binaryPoint('ICC_BPR0_EL1')),
  row(ICC_AP0R0_EL1, 'RW', activePriorities('ICC_AP0R0_EL1'), { reset: 0 }),
  row(ICC_AP0R1_EL1, 'RW', activePriorities('ICC_AP0R1_EL1'), { reset: 0 }),
  row(ICC_AP0R2_EL1, 'RW', activePriorities('ICC_AP0R2_EL1'), { reset: 0 }),
  row(ICC_AP0R3_EL1, 'RW', activePriorities('ICC_AP0R3_EL1'), { reset: 0 }),
  row(ICC_AP1R0_EL1, 'RW', ap1r0, { reset: 0 }),
  row(ICC_AP1R1_EL1, 'RW', activePriorities('ICC_AP1R1_EL1'), { reset: 0 }),
  row(ICC_AP1R2_EL1, 'RW', activePriorities('ICC_AP1R2_EL1'), { reset: 0 }),
  row(ICC_AP1R3_EL1, 'RW', activePriorities('ICC_AP1R3_EL1'), { reset: 0 }),
  row(ICC_NMIAR1_EL1, 'RO', intid('ICC_NMIAR1_EL1'), NMI),
  row(ICC_DIR_EL1, 'WO', intid('ICC_DIR_EL1')),
  row(ICC_RPR_EL1, 'RO', rpr),
  row(ICC_SGI1R_EL1, 'WO', sgi('ICC_SGI1R_EL1')),
  row(ICC_ASGI1R_EL1, 'WO', sgi('ICC_ASGI1R_EL1')),
  row(ICC_SGI0R_EL1, 'WO', sgi('ICC_SGI0R_EL1')),
  row(ICC_IAR1_EL1, 'RO', intid('ICC_IAR1_EL1')),
  row(ICC_EOIR1_EL1, 'WO', intid('ICC_EOIR1_EL1')),
  row(ICC_HPPIR1_EL1, 'RO', intid('ICC_HPPIR1_EL1')),
  row(ICC_BPR1_EL1, 'RW', binaryPoint('ICC_BPR1_EL1')),
  row(ICC_CTLR_EL1, 'RW', ctlr('ICC_CTLR_EL1', field('PMHE', 6))),
  row(ICC_SRE_EL1, 'RW', sre('ICC_SRE_EL1', res0(63, 3)), { reset: 7 }),
  row(ICC_IGRPEN0_EL1, 'RW', enable('ICC_IGRPEN0_EL1'), { reset: 0 }),
  row(ICC_IGRPEN1_EL1, 'RW', enable('ICC_IGRPEN1_EL1'), { reset: 0 }),
  row(ICC_SRE_EL2, 'RW', sre('ICC_SRE_EL2', res0(63, 4), field('Enable', 3)), { reset: 0xf }),
  row(ICC_CTLR_EL3, 'RW', ctlrEl3),
  row(ICC_SRE_EL3, 'RW', sre('ICC_SRE_EL3', res0(63, 4), field('Enable', 3))),
  row(ICC_IGRPEN1_EL3, 'RW', igrpen1El3, { reset: 0 }),
  row(ISR_EL1, 'RO', isr),
]
