/**
 * The hypervisor's control of the virtual CPU interface: ICH_* (IHI 0069, "AArch64 virtualization control System
 * registers"), with the masks and shifts that hot code uses. Masks and accessors are named after their field, and
 * apply to the 32-bit word that holds it: the low word, except for names that begin with `LR_`. Those apply to the
 * upper word of a list register, whose bit n is bit n + 32 of `ICH_LR<n>_EL2`.
 */
import { argumentInteger } from '../errors/arguments.ts'
import { field, type RegisterView, res0, res1, view } from './field.ts'
import { encodeSysreg, type SystemRegister } from './sysreg.ts'

const ro = { readOnly: true } as const

/** ICH_HCR_EL2: what the virtual CPU interface does, traps and reports. */
export const ICH_HCR_EL2 = encodeSysreg(3, 4, 12, 11, 0)
export const ICH_HCR_VIEW = view('ICH_HCR_EL2', 64, [
  res0(63, 32),
  field('EOIcount', 31, 27),
  res0(26, 16),
  field('DVIM', 15),
  field('TDIR', 14),
  field('TSEI', 13),
  field('TALL1', 12),
  field('TALL0', 11),
  field('TC', 10),
  res0(9),
  field('vSGIEOICount', 8, 8, { feature: 'FEAT_GICv4p1' }),
  field('VGrp1DIE', 7),
  field('VGrp1EIE', 6),
  field('VGrp0DIE', 5),
  field('VGrp0EIE', 4),
  field('NPIE', 3),
  field('LRENPIE', 2),
  field('UIE', 1),
  field('En', 0),
])
export const HCR_En = 0x1
export const HCR_UIE = 0x2
export const HCR_LRENPIE = 0x4
export const HCR_NPIE = 0x8
export const HCR_VGrp0EIE = 0x10
export const HCR_VGrp0DIE = 0x20
export const HCR_VGrp1EIE = 0x40
export const HCR_VGrp1DIE = 0x80
export const HCR_vSGIEOICount = 0x100
export const HCR_TC = 0x400
export const HCR_TALL0 = 0x800
export const HCR_TALL1 = 0x1000
export const HCR_TSEI = 0x2000
export const HCR_TDIR = 0x4000
export const HCR_DVIM = 0x8000
export const HCR_EOIcount = (hcr: number): number => hcr >>> 27
/** 1 in EOIcount. It is the topmost field, so adding this increments it, and a carry out of it is lost. */
export const HCR_ONE_EOI = 0x8000000

/** ICH_VTR_EL2: what the virtual CPU interface implements. */
export const ICH_VTR_EL2 = encodeSysreg(3, 4, 12, 11, 1)
export const ICH_VTR_VIEW = view('ICH_VTR_EL2', 64, [
  res0(63, 32),
  field('PRIbits', 31, 29, ro),
  field('PREbits', 28, 26, ro),
  field('IDbits', 25, 23, ro),
  field('SEIS', 22, 22, ro),
  field('A3V', 21, 21, ro),
  field('nV4', 20, 20, ro),
  field('TDS', 19, 19, ro),
  field('DVIM', 18, 18, ro),
  res0(17, 5),
  field('ListRegs', 4, 0, ro),
])
export const VTR_PREbits = (vtr: number): number => (vtr >>> 26) & 0x7
export const VTR_PRIbits = (vtr: number): number => vtr >>> 29

/** ICH_MISR_EL2: why the maintenance interrupt is raised. */
export const ICH_MISR_EL2 = encodeSysreg(3, 4, 12, 11, 2)
export const ICH_MISR_VIEW = view('ICH_MISR_EL2', 64, [
  res0(63, 8),
  field('VGrp1D', 7),
  field('VGrp1E', 6),
  field('VGrp0D', 5),
  field('VGrp0E', 4),
  field('NP', 3),
  field('LRENP', 2),
  field('U', 1),
  field('EOI', 0),
])
export const MISR_EOI = 0x1
export const MISR_U = 0x2
export const MISR_LRENP = 0x4
export const MISR_NP = 0x8
export const MISR_VGrp0E = 0x10
export const MISR_VGrp0D = 0x20
export const MISR_VGrp1E = 0x40
export const MISR_VGrp1D = 0x80

/** ICH_EISR_EL2: list registers with an EOI maintenance interrupt. Bit n is list register n. */
export const ICH_EISR_EL2 = encodeSysreg(3, 4, 12, 11, 3)
const ICH_EISR_VIEW = view('ICH_EISR_EL2', 64, [res0(63, 16), field('Status', 15, 0)])

/**
 * ICH_ELRSR_EL2: list registers that are empty, with no EOI maintenance interrupt pending. Bit n is list register n.
 */
export const ICH_ELRSR_EL2 = encodeSysreg(3, 4, 12, 11, 5)
const ICH_ELRSR_VIEW = view('ICH_ELRSR_EL2', 64, [res0(63, 16), field('Status', 15, 0)])

/** ICH_VMCR_EL2: the guest's priority mask, binary points, group enables and EOImode. */
export const ICH_VMCR_EL2 = encodeSysreg(3, 4, 12, 11, 7)
/** The view with system registers (ICC_SRE_EL1.SRE = 1, always so in this model): VFIQEn is RES1, VAckCtl RES0. */
export const ICH_VMCR_VIEW = view('ICH_VMCR_EL2', 64, [
  res0(63, 32),
  field('VPMR', 31, 24),
  field('VBPR0', 23, 21),
  field('VBPR1', 20, 18),
  res0(17, 10),
  field('VEOIM', 9),
  res0(8, 5),
  field('VCBPR', 4),
  res1(3),
  res0(2),
  field('VENG1', 1),
  field('VENG0', 0),
])
/**
 * ICH_VMCR_EL2 for a guest with memory-mapped registers (ICC_SRE_EL1.SRE = 0), which the silicon does not implement.
 */
export const ICH_VMCR_LEGACY_VIEW = view(
  'ICH_VMCR_EL2',
  64,
  ICH_VMCR_VIEW.fields.map((f) => (f.hi === 3 ? field('VFIQEn', 3) : f.hi === 2 ? field('VAckCtl', 2) : f)),
)
export const VMCR_VENG0 = 0x1
export const VMCR_VENG1 = 0x2
/** VFIQEn, bit 3: RES1 with system registers. */
export const VMCR_VFIQEn = 0x8
export const VMCR_VCBPR = 0x10
export const VMCR_VEOIM = 0x200
export const VMCR_VBPR1 = (vmcr: number): number => (vmcr >>> 18) & 0x7
export const VMCR_VBPR0 = (vmcr: number): number => (vmcr >>> 21) & 0x7
export const VMCR_VPMR = (vmcr: number): number => vmcr >>> 24

/** ICH_AP0R0_EL2, the first of the four registers of group 0: bit n of register i is preemption level 32 i + n. */
export const ICH_AP0R0_EL2 = encodeSysreg(3, 4, 12, 8, 0)
/** ICH_AP1R0_EL2, the first of the four registers of group 1: bit n of register i is preemption level 32 i + n. */
export const ICH_AP1R0_EL2 = encodeSysreg(3, 4, 12, 9, 0)
const activePriorities = (group: 0 | 1, n: number): SystemRegister => {
  const name = `ICH_AP${group}R${n}_EL2`
  const upper =
    group === 1 && n === 0
      ? [field('NMI', 63, 63, { feature: 'FEAT_GICv3_NMI' }), res0(62, 32)]
      : [res0(63, 32)]
  const encoding = encodeSysreg(3, 4, 12, 8 + group, n)
  return { name, encoding, access: 'RW', views: [view(name, 64, [...upper, field('P', 31, 0)])], reset: 0 }
}

/** ICH_LR0_EL2; ICH_LR8_EL2 and up continue at CRm 13. */
export const ICH_LR0_EL2 = encodeSysreg(3, 4, 12, 12, 0)
const upperHalf = [
  field('State', 63, 62),
  field('HW', 61),
  field('Group', 60),
  field('NMI', 59, 59, { feature: 'FEAT_GICv3_NMI' }),
  res0(58, 56),
  field('Priority', 55, 48),
  res0(47, 45),
]
/** The view with HW = 1: deactivating the virtual interrupt deactivates the physical one, pINTID. */
export const ICH_LR_HW_VIEW = view('ICH_LR<n>_EL2', 64, [
  ...upperHalf,
  field('pINTID', 44, 32),
  field('vINTID', 31, 0),
])
/** The view with HW = 0: EOI = 1 asks for a maintenance interrupt when the interrupt is deactivated by EOI. */
export const ICH_LR_VIEW = view('ICH_LR<n>_EL2', 64, [
  ...upperHalf,
  res0(44, 42),
  field('EOI', 41),
  res0(40, 32),
  field('vINTID', 31, 0),
])
export const LR_EOI = 0x200
export const LR_pINTID = (hi: number): number => hi & 0x1fff
export const LR_Priority = (hi: number): number => (hi >>> 16) & 0xff
export const LR_Group = 0x10000000
export const LR_HW = 0x20000000
export const LR_State = (hi: number): number => hi >>> 30
/** State, and its values shifted into the field. */
export const LR_STATE = 0xc0000000 | 0
export const LR_PENDING = 0x40000000
export const LR_ACTIVE = 0x80000000 | 0
/** The shift of Priority. */
export const LR_PRIORITY_SHIFT = 16

/** The view of a list register, by its upper word: HW decides. */
export const listRegisterView = (hi: number): RegisterView => (hi & LR_HW ? ICH_LR_HW_VIEW : ICH_LR_VIEW)

/** The names of the values 0 to 3 of `ICH_LR<n>_EL2.State`. */
export const listRegisterStates = ['invalid', 'pending', 'active', 'pending+active'] as const

/** The encoding of `ICH_LR<n>_EL2`: CRm and op2 count on from those of the first. */
export const ichLr = (n: number): number => ICH_LR0_EL2 + argumentInteger('n', n, 0, 15)

const listRegister = (n: number): SystemRegister => {
  const name = `ICH_LR${n}_EL2`
  return {
    name,
    encoding: ichLr(n),
    access: 'RW',
    views: [
      { ...ICH_LR_VIEW, name },
      { ...ICH_LR_HW_VIEW, name },
    ],
    reset: 0,
  }
}

/** The encoding of `ICH_AP<group>R<n>_EL2`. */
export const ichApr = (group: 0 | 1, n: number): number =>
  encodeSysreg(3, 4, 12, 8 + argumentInteger('group', group, 0, 1), argumentInteger('n', n, 0, 3))

/** Every ICH_* register, in order of encoding. */
export const ichRegisters: readonly SystemRegister[] = [
  ...[0, 1, 2, 3].map((n) => activePriorities(0, n)),
  ...[0, 1, 2, 3].map((n) => activePriorities(1, n)),
  { name: 'ICH_HCR_EL2', encoding: ICH_HCR_EL2, access: 'RW', views: [ICH_HCR_VIEW], reset: 0 },
  { name: 'ICH_VTR_EL2', encoding: ICH_VTR_EL2, access: 'RO', views: [ICH_VTR_VIEW] },
  { name: 'ICH_MISR_EL2', encoding: ICH_MISR_EL2, access: 'RO', views: [ICH_MISR_VIEW], reset: 0 },
  { name: 'ICH_EISR_EL2', encoding: ICH_EISR_EL2, access: 'RO', views: [ICH_EISR_VIEW], reset: 0 },
  { name: 'ICH_ELRSR_EL2', encoding: ICH_ELRSR_EL2, access: 'RO', views: [ICH_ELRSR_VIEW] },
  {
    name: 'ICH_VMCR_EL2',
    encoding: ICH_VMCR_EL2,
    access: 'RW',
    views: [ICH_VMCR_VIEW, ICH_VMCR_LEGACY_VIEW],
  },
  ...Array.from({ length: 16 }, (_, n) => listRegister(n)),
]
