/** A plain run of a scenario: one schedule, from the first step to the end. */

import type { CostRow, ExitStatistics } from '../hyp/cost.ts'
import type { Explanation } from '../hyp/explain.ts'
import { VCPU_LAST_CPU, VCPU_PE } from '../hyp/vcpu.ts'
import { argumentInteger, argumentOptions } from '../state/arguments.ts'
import type { Actor, ScenarioMachine, VcpuCounts } from './machine.ts'
import { timeline } from './timeline.ts'
import type { StepEvent } from './trace.ts'

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
    argumentInteger('vcpu', vcpu, 0, this.machine.setup.vcpus - 1)
    return this.events.flatMap(({ actor, acknowledged }) =>
      actor.kind === 'vcpu' && actor.index === vcpu && acknowledged !== undefined ? [acknowledged] : [],
    )
  }

  /** What the hypervisor's crossings of the seam were, a row for each kind of exit. */
  cost(): CostRow[] {
    return this.machine.cost()
  }

  /**
   * Why an interrupt is, or is not, delivered to a vCPU as the run left it: `run.explain(40).reason`. Without a vCPU
   * to the one that an SPI is routed to, and vCPU 0 for an SGI or a PPI. It prints as a table.
   */
  explain(intid: number, vcpu?: number): Explanation {
    return this.machine.explain(intid, vcpu)
  }

  /** KVM's exit statistics of the VM: `wfi_exit_stat`, `wfe_exit_stat`, halt polling, exits by kind. */
  statistics(): ExitStatistics {
    return this.machine.statistics()
  }

  /** What a vCPU's thread did: sleeps, halt polling, yields, preemptions. */
  counts(vcpu: number): VcpuCounts {
    return this.machine.counts(vcpu)
  }
}

/** Steps that a thread may take while others wait for its PE. */
const TIME_SLICE = 200

/** Runs a machine to its end. */
export function runMachine(machine: ScenarioMachine, options: RunOptions): Run {
  const { steps = 100_000 } = argumentOptions('run', options, { steps: true })
  argumentInteger('steps', steps, 1, 0x7fff_ffff)
  const events: StepEvent[] = []
  const policy = new Policy(machine)
  while (events.length < steps) {
    const actor = policy.next()
    if (!actor) return new Run(machine, events, policy.allDone() ? 'done' : 'asleep')
    events.push(machine.trace(actor))
  }
  return new Run(machine, events, 'bound')
}

/** The one schedule of a plain run. */
class Policy {
  private readonly vcpus: readonly Actor[]
  private readonly timed: readonly Actor[]
  /** By vCPU: its migrations; its preemption and its tick. */
  private readonly migrations: readonly (readonly Actor[])[]
  private readonly endings: readonly (readonly Actor[])[]
  private turn = 0
  /** Steps that each vCPU has taken in its time slice. */
  private readonly slice: number[]

  constructor(private readonly machine: ScenarioMachine) {
    this.vcpus = machine.actors.filter(({ kind }) => kind === 'vcpu')
    this.timed = [...machine.actors, ...machine.environment].filter(
      ({ kind }) => kind === 'device' || kind === 'timer',
    )
    const ofVcpu = (...kinds: Actor['kind'][]) => {
      const lists: Actor[][] = this.vcpus.map(() => [])
      for (const actor of machine.environment) if (kinds.includes(actor.kind)) lists[actor.index].push(actor)
      return lists
    }
    this.migrations = ofVcpu('migrate')
    this.endings = ofVcpu('preempt', 'tick')
    this.slice = this.vcpus.map(() => 0)
  }

  allDone(): boolean {
    return this.vcpus.every((vcpu) => this.machine.stateOf(vcpu) === 'done')
  }

  /** Who is next: what is due, a thread that can get a free PE, a vCPU, or else what is due first. */
  next(): Actor | undefined {
    return this.due() ?? this.placed() ?? this.sliceOver() ?? this.nextVcpu() ?? this.earliest()
  }

  /** A device or a timer whose time has come. */
  private due(): Actor | undefined {
    const { machine } = this
    return this.timed.find((actor) => {
      const at = machine.dueAt(actor)
      return at !== undefined && at <= machine.time && machine.stateOf(actor) === 'ready'
    })
  }

  /** A thread that waits for a PE while its own is taken gets another that is free. */
  private placed(): Actor | undefined {
    const { machine } = this
    const { words, scheduler } = machine.hypervisor
    for (const { index } of this.vcpus) {
      const v = machine.hypervisor.vcpu(index)
      if (!scheduler.wantsCpu(v) || scheduler.current(words[v + VCPU_LAST_CPU]) === 0) continue
      const migration = this.migrations[index].find((actor) => machine.stateOf(actor) === 'ready')
      if (migration) return migration
    }
    return undefined
  }

  /**
   * The tick or the preemption of a vCPU that has had its time slice while another waits for a PE, or whose PE one
   * waits for that a directed yield prefers.
   */
  private sliceOver(): Actor | undefined {
    const { machine } = this
    const { hypervisor } = machine
    const { words, scheduler } = hypervisor
    if (!this.vcpus.some(({ index }) => scheduler.wantsCpu(hypervisor.vcpu(index)))) return undefined
    const { preferred } = scheduler
    const inItsWay = preferred === 0 ? 0 : scheduler.current(words[preferred + VCPU_LAST_CPU])
    const over = this.vcpus.find(({ index }) => {
      const v = hypervisor.vcpu(index)
      return words[v + VCPU_PE] !== 0 && (this.slice[index] >= TIME_SLICE || v === inItsWay)
    })
    const ends = over && this.endings[over.index].find((actor) => machine.stateOf(actor) === 'ready')
    if (ends?.kind === 'preempt') this.slice[ends.index] = 0
    return ends
  }

  /** The vCPUs take turns of one step. */
  private nextVcpu(): Actor | undefined {
    const { vcpus, machine } = this
    for (let i = 0; i < vcpus.length; i++) {
      const actor = vcpus[(this.turn + i) % vcpus.length]
      if (machine.stateOf(actor) !== 'ready') continue
      this.turn = (this.turn + i + 1) % vcpus.length
      this.slice[actor.index]++
      return actor
    }
    return undefined
  }

  /** When no vCPU can go on: a device that waits for just this, or else whatever is due first. Time passes. */
  private earliest(): Actor | undefined {
    const { machine } = this
    const ready = this.timed.filter((actor) => machine.stateOf(actor) === 'ready')
    const first = ready.sort((a, b) => (machine.dueAt(a) ?? 0) - (machine.dueAt(b) ?? 0))[0]
    if (first) machine.passTime(machine.dueAt(first) ?? 0)
    return first
  }
}
