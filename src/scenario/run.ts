/**
 * A plain run of a scenario: one schedule, from the first step to the end. A run keeps no record of its steps: it takes
 * them once more, on a machine of its own, when they are asked for. Telling of a step takes far longer than taking it,
 * and most of a run's steps nobody asks for; so millions of them take no memory, and a run no time for telling.
 */

import { argumentInteger, argumentOptions } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { Explanation } from '../hyp/explain/explain.ts'
import type { CostRow, ExitStatistics } from '../hyp/host/cost.ts'
import { VCPU_INDEX, VCPU_LAST_CPU, VCPU_PE } from '../hyp/records/vcpu.ts'
import type { Actor, Machine } from './machine.ts'
import { type MachineSummary, ScenarioMachine, type VcpuCounts } from './scenario-machine.ts'
import { timeline } from './timeline.ts'
import type { StepEvent } from './trace.ts'

/** How far a run goes. */
export interface RunOptions {
  /** The most steps; default 100,000. */
  readonly steps?: number
}

/** A part of a run, in virtual time: the first column of its timeline. */
export interface RunPart {
  /** Its first step is at this time or later; default 0. */
  readonly from?: number
  /** Its last step is before this time; default the run's end. */
  readonly to?: number
}

/**
 * How a run ended: every guest was done; some vCPU sleeps and nobody is left to wake it; or the bound on steps
 * was reached.
 */
export type RunEnd = 'done' | 'asleep' | 'bound'

/** A run in a few words: what {@link Run.toJSON} gives. */
export interface RunSummary {
  /** How it ended. */
  readonly end: RunEnd
  /** The machine as the run left it. */
  readonly machine: MachineSummary
}

/** Who takes the steps of a run: made for a machine that has taken none, and asked before each; undefined at the end. */
export type Course = (machine: Machine) => () => Actor | undefined

/** The most steps of a run. */
const MOST_STEPS = 0x7fff_ffff

/** Beyond every virtual time. */
const FOREVER = Number.MAX_SAFE_INTEGER

/** The most steps that are told of if no part of the run is asked for. An event takes some 330 bytes. */
const TOLD = 100_000

/** What happened in a run. */
export class Run {
  private readonly hash: number
  private told: readonly StepEvent[] | undefined

  /** @internal */
  constructor(
    /** The machine as the run left it. */
    readonly machine: ScenarioMachine,
    private readonly course: Course,
    /** How many steps it took. */
    readonly steps: number,
    /** How it ended. */
    readonly end: RunEnd,
    /** By vCPU. */
    private readonly acknowledgements: readonly (readonly number[])[],
  ) {
    this.hash = machine.hash()
  }

  /**
   * Its steps in order; of a run of more than 100,000 the last so many. They are taken again when they are first asked
   * for. Throws a `VgicError` with code `scenario` if that comes to another end, which it can only if a step of the
   * design's own depends on more than the machine.
   */
  get events(): readonly StepEvent[] {
    this.told ??= this.tell((taken) => taken >= this.steps - TOLD)
    return this.told
  }

  /** The steps of a part of the run, however many they are. Throws as `events` does. */
  eventsIn(part: RunPart): StepEvent[] {
    const { from = 0, to = FOREVER } = argumentOptions('part', part, { from: true, to: true })
    argumentInteger('from', from, 0, FOREVER)
    argumentInteger('to', to, 0, FOREVER)
    return this.tell((_, time) => time >= from && time < to)
  }

  /**
   * The run, or a part of it, as text: virtual time, actor, step, the registers accessed, list registers
   * decoded. Without a part it has what `events` has, and says how many steps before are left out.
   */
  timeline(part?: RunPart): string {
    if (part !== undefined) return timeline(this.eventsIn(part))
    return timeline(this.events, this.steps - this.events.length)
  }

  /** What the guest of a vCPU acknowledged in the whole run, in order, 1023 for nothing included. */
  acknowledged(vcpu: number): number[] {
    argumentInteger('vcpu', vcpu, 0, this.machine.hypervisor.setup.vcpus - 1)
    return [...this.acknowledgements[vcpu]]
  }

  /** What the hypervisor's accesses to the silicon were, a row for each kind of exit. */
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

  /** How it ended and where, as plain data; {@link timeline} and `events` have the rest. */
  toJSON(): RunSummary {
    return { end: this.end, machine: this.machine.toJSON() }
  }

  /** `Run (done): ScenarioMachine (...)`. */
  toString(): string {
    return `Run (${this.end}): ${this.machine}`
  }

  /** So that failed expectations print the line and no keys. */
  get [Symbol.toStringTag](): string {
    return 'Run'
  }

  /** What Node's util.inspect prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  /** Takes the steps again and tells of those that are wanted, by their number and their virtual time. */
  private tell(isWanted: (taken: number, time: number) => boolean): StepEvent[] {
    const machine = new ScenarioMachine(this.machine.internals.again())
    const next = this.course(machine.internals)
    const events: StepEvent[] = []
    for (let taken = 0; taken < this.steps; taken++) {
      const actor = next()
      if (!actor || machine.stateOf(actor) !== 'ready') throw tookAnotherCourse()
      if (isWanted(taken, machine.time)) events.push(machine.trace(actor))
      else machine.internals.perform(actor)
    }
    if (machine.hash() !== this.hash) throw tookAnotherCourse()
    return events
  }
}

const tookAnotherCourse = (): VgicError =>
  new VgicError(
    'scenario',
    "The run's steps cannot be told: taken again they are others. A step of the design's own must depend on nothing but the machine.",
  )

/** Takes the steps of a course on a new machine, at most so many. `endOf` says how a course ended that has ended. */
export function follow(
  machine: ScenarioMachine,
  course: Course,
  steps: number,
  endOf: () => RunEnd = () => 'bound',
): Run {
  const { internals } = machine
  const acknowledgements: number[][] = Array.from({ length: internals.setup.vcpus }, () => [])
  const { ghosts, hypervisor } = internals
  ghosts.observer = (v, intid) => acknowledgements[hypervisor.words[v + VCPU_INDEX]].push(intid)
  const next = course(internals)
  try {
    for (let taken = 0; taken < steps; taken++) {
      const actor = next()
      if (!actor) return new Run(machine, course, taken, endOf(), acknowledgements)
      internals.perform(actor)
    }
    return new Run(machine, course, steps, 'bound', acknowledgements)
  } finally {
    ghosts.observer = null
  }
}

/** Steps that a thread may take while others wait for its PE. */
const TIME_SLICE = 200

/** Runs a machine that has taken no step to its end, from its time on. */
export function runMachine(machine: ScenarioMachine, options: RunOptions): Run {
  const { steps = 100_000 } = argumentOptions('run', options, { steps: true })
  const begin = machine.time
  const course: Course = (each) => {
    each.passTime(begin)
    const policy = new Policy(each)
    return () => policy.next()
  }
  const vcpus = machine.actors.filter(({ kind }) => kind === 'vcpu')
  const isDone = (): boolean => vcpus.every((vcpu) => machine.stateOf(vcpu) === 'done')
  return follow(machine, course, argumentInteger('steps', steps, 1, MOST_STEPS), () =>
    isDone() ? 'done' : 'asleep',
  )
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

  constructor(private readonly machine: Machine) {
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
