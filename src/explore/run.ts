/** A plain run of a scenario: one schedule, from the first step to the end. */
import { argumentInteger } from '../state/vgic-error.ts'
import type { Actor, ScenarioMachine, StepEvent, VcpuCounts } from './machine.ts'
import { timeline } from './timeline.ts'

/** How far a run goes. */
export interface RunOptions {
  /** The most steps; default 100,000. */
  readonly steps?: number
}

/**
 * How a run ended: every guest was done; some vCPU sleeps and nobody is left to wake it; or the bound on steps
 * was reached.
 */
export type RunEnd = 'done' | 'asleep' | 'bound'

/** What happened in a run. */
export class Run {
  /** @internal */
  constructor(
    /** The machine as the run left it. */
    readonly machine: ScenarioMachine,
    /** Every step in order. */
    readonly events: readonly StepEvent[],
    /** How it ended. */
    readonly end: RunEnd,
  ) {}

  /** The run as text: virtual time, actor, step, the registers that crossed the seam, list registers decoded. */
  timeline(): string {
    return timeline(this.events)
  }

  /** What the guest of a vCPU acknowledged, in order, 1023 for nothing included. */
  acknowledged(vcpu: number): number[] {
    return this.events.flatMap(({ actor, acknowledged }) =>
      actor.kind === 'vcpu' && actor.index === vcpu && acknowledged !== undefined ? [acknowledged] : [],
    )
  }

  /** What a vCPU did: exits, sleeps, system register accesses. */
  counts(vcpu: number): VcpuCounts {
    return this.machine.counts(vcpu)
  }
}

/** Runs a machine to its end. */
export function runMachine(machine: ScenarioMachine, { steps = 100_000 }: RunOptions): Run {
  argumentInteger('steps', steps, 1, 0x7fff_ffff)
  const events: StepEvent[] = []
  const vcpus = machine.actors.filter(({ kind }) => kind === 'vcpu')
  const devices = machine.actors.filter(({ kind }) => kind === 'device')
  let turn = 0
  while (events.length < steps) {
    const actor = dueDevice(machine, devices) ?? nextVcpu() ?? nextDevice(machine, devices)
    if (!actor)
      return new Run(machine, events, vcpus.every((v) => machine.stateOf(v) === 'done') ? 'done' : 'asleep')
    events.push(machine.trace(actor))
  }
  return new Run(machine, events, 'bound')

  /** The vCPUs take turns of one step. */
  function nextVcpu(): Actor | undefined {
    for (let i = 0; i < vcpus.length; i++) {
      const actor = vcpus[(turn + i) % vcpus.length]
      if (machine.stateOf(actor) !== 'ready') continue
      turn = (turn + i + 1) % vcpus.length
      return actor
    }
    return undefined
  }
}

/** A device whose next step has a time that has come. */
function dueDevice(machine: ScenarioMachine, devices: readonly Actor[]): Actor | undefined {
  return devices.find((device) => (machine.notBefore(device) ?? Number.POSITIVE_INFINITY) <= machine.time)
}

/** When no vCPU can go on: the device that waits for just this, or else the one whose time is next. */
function nextDevice(machine: ScenarioMachine, devices: readonly Actor[]): Actor | undefined {
  const ready = devices.filter((device) => machine.stateOf(device) === 'ready')
  return ready.sort((a, b) => (machine.notBefore(a) ?? 0) - (machine.notBefore(b) ?? 0))[0]
}
