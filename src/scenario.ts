/**
 * vgic/scenario: builds and runs scenarios of a host with its hypervisor, a VM with guests, and devices.
 *
 * @module vgic/scenario
 */

export type { InterruptMasks } from './gic/cpu-interface/interrupt-masks.ts'
export {
  type DeliveryCondition,
  type DeliveryReason,
  deliveryReasons,
} from './hyp/explain/delivery-reasons.ts'
export { Explanation } from './hyp/explain/explain.ts'
export { type CostRow, type ExitStatistics, formatCost, type Latencies, latencyOf } from './hyp/host/cost.ts'
export type { AccessKind } from './hyp/host/seam.ts'
export type { ExitName } from './hyp/records/exits.ts'
export type { Vcpu } from './hyp/records/vcpu.ts'
export * as baselines from './hyp/run/baselines.ts'
export { kvm61, kvm72 } from './hyp/run/baselines.ts'
export {
  type Branch,
  branch,
  type Design,
  type DesignNode,
  forever,
  gicv4Part,
  type Jump,
  type Loop,
  leaveLoop,
  type OwnStepOptions,
  ownStep,
  type Part,
  part,
  restartLoop,
  unless,
  until,
  when,
} from './hyp/run/design.ts'
export {
  type Around,
  type DesignParts,
  defineDesign,
  designs,
  type HaltOptions,
  halt,
  plainRestore,
  plainSave,
} from './hyp/run/designs.ts'
export { Edit, edit } from './hyp/run/edit.ts'
export type { HaltPolling } from './hyp/run/halt.ts'
export * as steps from './hyp/run/public-steps.ts'
export type { OwnStep, Step, StepContext } from './hyp/run/step.ts'
export type { ListRegisters } from './hyp/userspace/guest-list-registers.ts'
export type {
  SavedCollection,
  SavedItsDevice,
  SavedItsEvent,
  SavedMappings,
} from './hyp/userspace/its-mappings.ts'
export type { SavedRegisters, SavedVgic } from './hyp/userspace/save-restore.ts'
export { VirtualMachine } from './hyp/userspace/virtual-machine.ts'
export type { VirtualMachineConfig } from './hyp/userspace/virtual-machine-config.ts'
export type { VcpuPlace, VirtualMachineSummary } from './hyp/userspace/virtual-machine-summary.ts'
export type { GuestFramesConfig } from './hyp/vgic/guest-frames.ts'
export { Scenario, scenario } from './scenario/builder.ts'
export { DeviceBuilder, type RestoreOptions } from './scenario/device-builder.ts'
export {
  type AccessSize,
  GuestBuilder,
  type MaskName,
  OpList,
  type SgiTarget,
  type TimerName,
} from './scenario/guest-builder.ts'
export { GuestIts, type GuestItsOptions, type GuestLpiOptions } from './scenario/guest-its.ts'
export {
  type CpuInspection,
  type DeviceInspection,
  type GuestItsCollection,
  type GuestItsEvent,
  type GuestItsInspection,
  MachineInspection,
  type VcpuInspection,
  type VgicIrqState,
  type VpeInspection,
} from './scenario/inspection.ts'
export type { Actor, ActorState } from './scenario/machine.ts'
export { toMermaid } from './scenario/pictures/mermaid.ts'
export { type PerfettoTrace, type TraceEvent, toPerfetto } from './scenario/pictures/perfetto.ts'
export type { PictureOptions, PictureViolation } from './scenario/pictures/samples.ts'
export { toSvg } from './scenario/pictures/svg.ts'
export { toVcd } from './scenario/pictures/vcd.ts'
export {
  Run,
  type RunEnd,
  type RunOptions,
  type RunPart,
  type RunSummary,
  type RunViolation,
} from './scenario/run.ts'
export type { CpuInterfaceConfig, InterruptConfig, VlpiConfig, VmConfig } from './scenario/scenario-config.ts'
export {
  type ActorSummary,
  type MachineSummary,
  ScenarioMachine,
  type VcpuCounts,
} from './scenario/scenario-machine.ts'
export type {
  Access,
  AckEvent,
  DesignStepEvent,
  EffectEvent,
  EnterEvent,
  EnvironmentEvent,
  EoiEvent,
  ExitEvent,
  GuestEvent,
  InjectEvent,
  ListRegisterChange,
  MigrateEvent,
  MsiEvent,
  ScheduleEvent,
  SignalEvent,
  StepEvent,
  StepEventBase,
  VectorEvent,
  WfxEvent,
} from './scenario/step-events.ts'
export type { SymmetricPart } from './scenario/symmetric.ts'
