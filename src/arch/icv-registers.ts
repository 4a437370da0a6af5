/**
 * The guest's view of the virtual CPU interface: ICV_* registers share the encodings of ICC_*, and most of their
 * state is in ICH_VMCR_EL2 and the ICH_AP registers (IHI 0069, "Virtual CPU interface"). ICC_SRE_EL1 and the three
 * SGI registers have no ICV_* counterpart.
 */
import type { RegisterView } from './field.ts'
import * as icc from './icc-registers.ts'
import type { Encoding, SystemRegister } from './sysreg.ts'

/** Which of HCR_EL2.{FMO,IMO} and ICH_HCR_EL2.{TALL0,TALL1,TC} apply to a register. */
export type InterruptGroup = 0 | 1 | 'common'

const groups = new Map<Encoding, InterruptGroup>([
  ...[icc.ICC_IAR0_EL1, icc.ICC_EOIR0_EL1, icc.ICC_HPPIR0_EL1, icc.ICC_BPR0_EL1, icc.ICC_IGRPEN0_EL1].map(
    inGroup(0),
  ),
  ...[icc.ICC_AP0R0_EL1, icc.ICC_AP0R1_EL1, icc.ICC_AP0R2_EL1, icc.ICC_AP0R3_EL1].map(inGroup(0)),
  ...[icc.ICC_IAR1_EL1, icc.ICC_EOIR1_EL1, icc.ICC_HPPIR1_EL1, icc.ICC_BPR1_EL1, icc.ICC_IGRPEN1_EL1].map(
    inGroup(1),
  ),
  ...[icc.ICC_AP1R0_EL1, icc.ICC_AP1R1_EL1, icc.ICC_AP1R2_EL1, icc.ICC_AP1R3_EL1].map(inGroup(1)),
  ...[icc.ICC_NMIAR1_EL1].map(inGroup(1)),
  ...[icc.ICC_PMR_EL1, icc.ICC_RPR_EL1, icc.ICC_CTLR_EL1, icc.ICC_DIR_EL1].map(inGroup('common')),
])

function inGroup(group: InterruptGroup) {
  return (encoding: Encoding): [Encoding, InterruptGroup] => [encoding, group]
}

/** An ICV_* register: the encoding that it shares with an ICC_* register, and the bits that select and trap it. */
export interface VirtualRegister extends SystemRegister {
  /** The group whose HCR_EL2 bit selects the virtual register, and whose ICH_HCR_EL2 bit traps it. */
  readonly group: InterruptGroup
  /** The register or field that holds its state, `REGISTER` or `REGISTER.Field`; absent if it has no single one. */
  readonly alias?: string
}

const aliases: Readonly<Record<string, string>> = {
  ICV_PMR_EL1: 'ICH_VMCR_EL2.VPMR',
  ICV_BPR0_EL1: 'ICH_VMCR_EL2.VBPR0',
  ICV_BPR1_EL1: 'ICH_VMCR_EL2.VBPR1',
  ICV_IGRPEN0_EL1: 'ICH_VMCR_EL2.VENG0',
  ICV_IGRPEN1_EL1: 'ICH_VMCR_EL2.VENG1',
}

/** The views of registers whose fields differ from those of the physical one. */
const ownViews = new Map<string, RegisterView>([
  ['ICV_CTLR_EL1', icc.ICV_CTLR_VIEW],
  ['ICV_RPR_EL1', icc.ICV_RPR_VIEW],
])

/** Every ICV_* register, in the order of the ICC_* registers whose encodings they share. */
export const icvRegisters: readonly VirtualRegister[] = icc.iccRegisters.flatMap((register) => {
  const group = groups.get(register.encoding)
  if (group === undefined) return []
  const name = register.name.replace('ICC_', 'ICV_')
  const bits = ownViews.get(name) ?? { ...register.views[0], name }
  const alias = /^ICV_AP/.test(name) ? name.replace('ICV_', 'ICH_').replace('EL1', 'EL2') : aliases[name]
  const { reset: _physicalOnly, ...shared } = register
  return [{ ...shared, name, group, views: [bits] as const, ...(alias === undefined ? {} : { alias }) }]
})
