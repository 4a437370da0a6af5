/**
 * vgic: arm64 GICv3/GICv4 virtualization in memory. This entry has the silicon as a device and the facts of
 * the architecture; `vgic/scenario` has the hypervisor, its guests and devices.
 *
 * @module vgic
 */
export {
  CommandValue,
  type CommandValueSummary,
  type Doublewords,
  decodeCommand,
  encodeCommand,
} from './arch/command-value.ts'
export { describeRegister, extractField, type Field, type RegisterView } from './arch/field.ts'
export type { FrameRegister, RegisterFrame } from './arch/frame-registers.ts'
export {
  HCR_EL2,
  HCR_EL2_FMO,
  HCR_EL2_IMO,
  HCR_EL2_TGE,
  HCR_EL2_TWE,
  HCR_EL2_TWI,
  HCR_EL2_VF,
  HCR_EL2_VI,
} from './arch/hcr-el2.ts'
export {
  ICC_AP0R0_EL1,
  ICC_AP0R1_EL1,
  ICC_AP0R2_EL1,
  ICC_AP0R3_EL1,
  ICC_AP1R0_EL1,
  ICC_AP1R1_EL1,
  ICC_AP1R2_EL1,
  ICC_AP1R3_EL1,
  ICC_ASGI1R_EL1,
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_HPPIR0_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_RPR_EL1,
  ICC_SGI0R_EL1,
  ICC_SGI1R_EL1,
  ICC_SRE_EL1,
  ICC_SRE_EL2,
  ISR_EL1,
  iccRegisters,
} from './arch/icc-registers.ts'
export {
  ICH_AP0R0_EL2,
  ICH_AP1R0_EL2,
  ICH_EISR_EL2,
  ICH_ELRSR_EL2,
  ICH_HCR_EL2,
  ICH_LR0_EL2,
  ICH_MISR_EL2,
  ICH_VMCR_EL2,
  ICH_VTR_EL2,
  ichApr,
  ichLr,
  ichRegisters,
} from './arch/ich-registers.ts'
export { type InterruptGroup, icvRegisters, type VirtualRegister } from './arch/icv-registers.ts'
export { type Intid, type IntidRange, intidName, intidRanges, rangeOf } from './arch/intid.ts'
export {
  describeListRegister,
  type Register,
  RegisterValue,
  type RegisterValueSummary,
  sysregName,
} from './arch/register-value.ts'
export {
  decode,
  encode,
  type ListRegisterFields,
  listRegister,
  type RegisterOptions,
  type Registers,
  registers,
} from './arch/registers.ts'
export {
  dataAbortSyndrome,
  ESR_EC,
  ESR_UNDEFINED,
  ESR_WFE,
  ESR_WFI,
  sysregSyndrome,
} from './arch/syndrome.ts'
export { type Encoding, encodeSysreg, genericSysregName, type SystemRegister } from './arch/sysreg.ts'
export { VgicError, type VgicErrorCode } from './errors/vgic-error.ts'
export type {
  AccessEvent,
  AccessListener,
  GuestAccessError,
  GuestAccessErrorEvent,
  GuestErrorEvent,
  MmioAccessEvent,
  SysregAccessEvent,
} from './gic/config/access-events.ts'
export { choiceValues, type ProfileName, profiles, type SiliconChoices } from './gic/config/choices.ts'
export type { CheckedGicConfig, GicConfig, RedistributorRegion } from './gic/config/config.ts'
export type {
  CommandErrorEvent,
  ErrorListener,
  GicErrorEvent,
  MemoryErrorEvent,
  MsiErrorEvent,
} from './gic/config/host-events.ts'
export type { ItsConfig } from './gic/config/its-config.ts'
export type { GicMemory } from './gic/config/memory.ts'
export {
  type BarrierListener,
  type BarrierRule,
  barrierRules,
  type MissingBarrierEvent,
} from './gic/config/missing-barriers.ts'
export type { TranslationFault } from './gic/config/translation-faults.ts'
export {
  type UnpredictableEvent,
  type UnpredictableListener,
  type UnpredictableRule,
  unpredictableRules,
} from './gic/config/unpredictable.ts'
export type { InterruptMasks } from './gic/cpu-interface/interrupt-masks.ts'
export type { GicHost, OutputLine } from './gic/cpu-interface/output-lines.ts'
export type { CpuState } from './gic/cpu-state.ts'
export type { CpuDump, DumpedRegisters, GicDump, ItsDump } from './gic/dump.ts'
export { InterruptExplanation } from './gic/explain-interrupt.ts'
export { MsiExplanation } from './gic/explain-msi.ts'
export { Gic, type WfxResult } from './gic/gic.ts'
export type { GicSummary } from './gic/gic-summary.ts'
export { type InterruptCondition, type InterruptReason, interruptReasons } from './gic/interrupt-reasons.ts'
export type { InterruptState } from './gic/interrupt-state.ts'
export type {
  CollectionEntry,
  DeviceEntry,
  EventEntry,
  ItsContents,
} from './gic/its/inspect-tables.ts'
export type { VpeContents, VpeDoorbell } from './gic/its/inspect-vpes.ts'
export { type MsiCondition, type MsiReason, msiReasons } from './gic/msi-reasons.ts'
export type { VpeDoorbellState } from './gic/vpe/vpes.ts'
export type { ImageBytes } from './state/image.ts'
export type { Difference } from './state/machine-state.ts'
