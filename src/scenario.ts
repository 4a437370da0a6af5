/**
 * vgic/scenario: a host with its hypervisor, a VM with guests, and devices, built by name and run.
 *
 * @packageDocumentation
 */
export { DeviceBuilder } from './explore/device.ts'
export {
  type AccessSize,
  GuestBuilder,
  type MaskName,
  OpList,
  type SgiTarget,
  type TimerName,
} from './explore/guest-builder.ts'
export type { Actor, ActorState } from './explore/machine.ts'
export { Run, type RunEnd, type RunOptions, type RunPart, type RunSummary } from './explore/run.ts'
export {
  type CpuInterfaceConfig,
  type InterruptConfig,
  Scenario,
  scenario,
  type VmConfig,
} from './explore/scenario.ts'
export {
  type ActorSummary,
  type MachineSummary,
  ScenarioMachine,
  type VcpuCounts,
} from './explore/scenario-machine.ts'
export type { Access, ListRegisterChange, StepEvent, WfxEvent } from './explore/trace.ts'
export { fixed, kvm61 } from './hyp/baselines.ts'
export { type CostRow, type ExitStatistics, formatCost, type Latencies, latencyOf } from './hyp/cost.ts'
export { type DeliveryCondition, type DeliveryReason, deliveryReasons } from './hyp/delivery-reasons.ts'
export {
  type Choice,
  choose,
  type Design,
  forever,
  type Jump,
  type Loop,
  leave,
  type Node,
  ownStep,
  type Part,
  part,
  restart,
  unless,
  until,
  when,
} from './hyp/design.ts'
export {
  type Around,
  type DesignParts,
  defineDesign,
  designs,
  type HaltOptions,
  halt,
} from './hyp/designs.ts'
export { Edit, edit } from './hyp/edit.ts'
export type { ExitName } from './hyp/exits.ts'
export { Explanation } from './hyp/explain.ts'
export type { GuestFramesConfig } from './hyp/guest-frames.ts'
export type { HaltPolling } from './hyp/halt.ts'
export * as steps from './hyp/public-steps.ts'
export type { SavedRegisters, SavedVgic } from './hyp/save-restore.ts'
export type { CrossingKind } from './hyp/seam.ts'
export type { OwnStep, Step, StepContext } from './hyp/step.ts'
export {
  type InterruptMasks,
  type ListRegisters,
  type VcpuPlace,
  VirtualMachine,
  type VirtualMachineConfig,
  type VirtualMachineSummary,
} from './hyp/virtual-machine.ts'
