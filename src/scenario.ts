/**
 * vgic/scenario: a host with its hypervisor, a VM with guests, and devices, built by name and run.
 *
 * @packageDocumentation
 */
export { DeviceBuilder } from './explore/device.ts'
export { GuestBuilder, type MaskName, OpList, type SgiTarget } from './explore/guest-builder.ts'
export {
  type Access,
  type Actor,
  type ActorState,
  type ListRegisterChange,
  ScenarioMachine,
  type StepEvent,
  type VcpuCounts,
} from './explore/machine.ts'
export { Run, type RunEnd, type RunOptions } from './explore/run.ts'
export {
  type CpuInterfaceConfig,
  type InterruptConfig,
  Scenario,
  scenario,
  type VmConfig,
} from './explore/scenario.ts'
export type { Choice, Design, Loop, Node, Part, Restart, Step } from './hyp/design.ts'
export { designs } from './hyp/designs.ts'
