/**
 * A plain run of a scenario: one schedule, from the first step to the end. A run keeps no record of its steps but the INTIDs
 * that were acknowledged: when the steps are asked for, it takes them again on a new machine. To describe a step takes far
 * longer than to take it, and most are never asked for; this way a run of millions of steps needs little memory.
 */

import { argumentInteger, argumentOptions } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { Explanation } from '../hyp/explain/explain.ts'
import type { CostRow, ExitStatistics } from '../hyp/host/cost.ts'
import { VCPU_LAST_CPU, VCPU_PE } from '../hyp/records/vcpu.ts'
import { NEVER } from '../hyp/records/virtual-time.ts'
import { TIMER_WFIT } from '../hyp/vgic/arch-timer.ts'
import { Acknowledgements } from './acknowledgements.ts'
import type { Actor, Machine } from './machine.ts'
import { type MachineSummary, ScenarioMachine, type VcpuCounts } from './scenario-machine.ts'
import type { StepEvent } from './step-events.ts'
import { Strides } from './strides.ts'
import { timeline } from './timeline.ts'

/** The bound of a run. */
export interface RunOptions {
  /** The most steps; default 100,000. */
  readonly steps?: number
}

/** A part of a run, in virtual time (the first column of the timeline). */
export interface RunPart {
  /** Its first step is at this time or later; default 0. */
  readonly from?: number
  /** Its last step is before this time; default the run's end. */
  readonly to?: number
}

/**
 * How a run ended: every guest has finished; some vCPU sleeps and nothing will wake it; the bound on steps was reached,
 * or the end of a replayed schedule; or its last step has violated an invariant, in a replay.
 */
export type RunEnd = 'done' | 'asleep' | 'bound' | 'violated'

/** What is broken after the last step of a replay. */
export interface RunViolation {
  /** The invariant: `L1`; `own` for one of your own. */
  readonly invariant: string
  /** Its plain name: `lost-wake-up`. */
  readonly name: string
  /** The invariant as a sentence. */
  readonly says: string
  /** What is wrong. */
  readonly what: string
}

/** A summary of a run, which {@link Run.toJSON} returns. */
export interface RunSummary {
  /** How it ended. */
  readonly end: RunEnd
  /** Of a replay: what its last step violates. */
  readonly violation?: RunViolation
  /** The machine as the run left it. */
  readonly machine: MachineSummary
}

/**
 * Decides who takes the steps of a run: made for a machine that has taken none, and called before each step. Returns an
 * actor that is ready; undefined at the end.
 */
export type Course = (machine: Machine) => () => Actor | undefined

/** Timers of a vCPU that can be armed: as many actors each vCPU has in {@link Machine.timers}, in this order. */
const ARMABLE = TIMER_WFIT + 1

/** The most steps of a run. */
const MOST_STEPS = 0x7fff_ffff

/** The most events that `events` returns. An event takes some 110 bytes, if its step does what one before has done. */
const TOLD = 100_000

/** The result of a run. */
export class Run {
  private readonly hash: number
  private told: readonly StepEvent[] | undefined

  /** @internal */
  constructor(
    /** The machine as the run left it. */
    readonly machine: ScenarioMachine,
    private readonly course: Course,
    /** Steps that it took. */
    readonly steps: number,
    /** How it ended. */
    readonly end: RunEnd,
    /** The INTIDs acknowledged, by vCPU. */
    private readonly acknowledgements: Acknowledgements,
    /** Of a replay: what is broken after its last step; undefined if nothing is. */
    readonly violation?: RunViolation,
  ) {
    this.hash = machine.hash()
  }

  /**
   * The same run, of which it is known what its last step violates.
   * @internal
   */
  violating(violation: RunViolation): Run {
    const { machine, course, steps, acknowledgements } = this
    return runOf(machine, course, steps, 'violated', acknowledgements, violation)
  }

  /**
   * Its steps in order; of a run of more than 100,000 steps, the last 100,000. They are taken again on first use.
   * Throws a `VgicError` with code `scenario` if they end otherwise than in the run, which can happen only if a
   * design's own step depends on more than the machine's state.
   */
  get events(): readonly StepEvent[] {
    this.told ??= this.tellLast(Math.min(this.steps, TOLD))
    return this.told
  }

  /** All steps of a part of the run. Throws as `events` does. */
  eventsIn(part: RunPart): StepEvent[] {
    const { from = 0, to = NEVER } = argumentOptions('part', part, { from: true, to: true })
    argumentInteger('from', from, 0, NEVER)
    argumentInteger('to', to, 0, NEVER)
    return this.tell((_, time) => time >= from && time < to)
  }

  /**
   * The run, or a part of it, as text: virtual time, actor, step, register accesses, list registers decoded. Without
   * a part it shows what `events` returns, and says how many steps before those are left out.
   */
  timeline(part?: RunPart): string {
    if (part !== undefined) return timeline(this.eventsIn(part))
    return timeline(this.events, this.steps - this.events.length) + this.verdict()
  }

  /** The line that a timeline ends with if the run shows a violation: what is broken, and why. */
  private verdict(): string {
    if (!this.violation) return ''
    const { invariant, name, says, what } = this.violation
    return `\n\nviolated: ${name} (${invariant}). ${says} Here: ${what}.`
  }

  /**
   * The INTIDs that the guest of a vCPU read from ICC_IAR0_EL1 and ICC_IAR1_EL1 in the whole run, in order, including
   * 1023 (none pending).
   */
  acknowledged(vcpu: number): number[] {
    argumentInteger('vcpu', vcpu, 0, this.machine.hypervisor.setup.vcpus - 1)
    return this.acknowledgements.of(vcpu)
  }

  /** The hypervisor's accesses to the silicon, a row for each kind of exit. */
  cost(): CostRow[] {
    return this.machine.cost()
  }

  /**
   * Explains why an interrupt is, or is not, delivered to a vCPU at the end of the run: `run.explain(40).reason`.
   * `vcpu` defaults to the one that an SPI is routed to, and to vCPU 0 for an SGI or a PPI. The explanation prints as
   * a table.
   */
  explain(intid: number, vcpu?: number): Explanation {
    return this.machine.explain(intid, vcpu)
  }

  /** KVM's exit statistics of the VM: `wfi_exit_stat`, `wfe_exit_stat`, halt polling, exits by kind. */
  statistics(): ExitStatistics {
    return this.machine.statistics()
  }

  /** Counters of a vCPU's thread: sleeps, halt polling, yields, preemptions. */
  counts(vcpu: number): VcpuCounts {
    return this.machine.counts(vcpu)
  }

  /** A summary as plain data: how the run ended, and the machine's. {@link timeline} and `events` have the steps. */
  toJSON(): RunSummary {
    const { end, violation, machine } = this
    if (!violation) return { end, machine: machine.toJSON() }
    const { invariant, name, says, what } = violation
    return { end, violation: { invariant, name, says, what }, machine: machine.toJSON() }
  }

  /** `Run (done): ScenarioMachine (...)`. */
  toString(): string {
    return `Run (${this.end}): ${this.machine}`
  }

  /** Makes failed expectations of test runners print the line instead of the object's keys. */
  get [Symbol.toStringTag](): string {
    return 'Run'
  }

  /** The line, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  /**
   * Takes the steps again, and shows each between two times with the machine after it.
   * @internal
   */
  retake(from: number, to: number, show: (event: StepEvent, machine: Machine) => void): void {
    this.takeAgain((_, time) => time >= from && time < to, show)
  }

  /** Takes the steps again and returns the events of those wanted, by the number of steps before and virtual time. */
  private tell(isWanted: (taken: number, time: number) => boolean): StepEvent[] {
    const events: StepEvent[] = []
    this.takeAgain(isWanted, (event) => events.push(event))
    return events
  }

  /** The same of the last steps, as many as `count`: an array that grows would take as much memory again as it ends with. */
  private tellLast(count: number): StepEvent[] {
    const events = new Array<StepEvent>(count)
    let told = 0
    this.takeAgain(
      (taken) => taken >= this.steps - count,
      (event) => {
        events[told++] = event
      },
    )
    return events
  }

  private takeAgain(
    isWanted: (taken: number, time: number) => boolean,
    show: (event: StepEvent, machine: Machine) => void,
  ): void {
    const machine = new ScenarioMachine(this.machine.internals.again())
    const next = this.course(machine.internals)
    for (let taken = 0; taken < this.steps; taken++) {
      const actor = next()
      if (!actor) throw tookAnotherCourse()
      if (isWanted(taken, machine.time)) show(machine.tell(actor), machine.internals)
      else machine.internals.perform(actor)
    }
    if (machine.hash() !== this.hash) throw tookAnotherCourse()
  }
}

const tookAnotherCourse = (): VgicError =>
  new VgicError(
    'scenario',
    "The run's steps cannot be told: taken again they are others. A step of the design's own must depend on nothing but the machine.",
  )

/** A class that names itself in its body is bundled as `_Run`. */
const runOf = (...parts: ConstructorParameters<typeof Run>): Run => new Run(...parts)

/** Takes at most `steps` steps of a course on a new machine. */
export function follow(machine: ScenarioMachine, course: Course, steps: number): Run {
  const { internals } = machine
  const next = course(internals)
  return observed(machine, course, () => {
    for (let taken = 0; taken < steps; taken++) {
      const actor = next()
      if (!actor) return [taken, 'bound']
      internals.perform(actor)
    }
    return [steps, 'bound']
  })
}

/** The run that something makes of a new machine; it returns how many steps it took, and how it ended. */
function observed(machine: ScenarioMachine, course: Course, take: () => [steps: number, end: RunEnd]): Run {
  const { ghosts, setup } = machine.internals
  const acknowledgements = new Acknowledgements(setup.vcpus)
  ghosts.acknowledgements = acknowledgements
  try {
    return new Run(machine, course, ...take(), acknowledgements)
  } finally {
    ghosts.acknowledgements = null
  }
}

/** Steps that a thread may take while others wait for its PE. */
const TIME_SLICE = 200

/** Runs a machine that has taken no step to its end, from its virtual time on. */
export function runMachine(machine: ScenarioMachine, options: RunOptions): Run {
  const { steps = 100_000 } = argumentOptions('run', options, { steps: true })
  const begin = machine.time
  const course: Course = (each) => {
    each.passTime(begin)
    const policy = new Policy(each)
    return () => policy.next()
  }
  const most = argumentInteger('steps', steps, 1, MOST_STEPS)
  const vcpus = machine.actors.filter(({ kind }) => kind === 'vcpu')
  const isDone = (): boolean => vcpus.every((vcpu) => machine.stateOf(vcpu) === 'done')
  const { internals } = machine
  const policy = new Policy(internals)
  return observed(machine, course, () => {
    for (let taken = 0; taken < most; ) {
      const actor = policy.next()
      if (!actor) return [taken, isDone() ? 'done' : 'asleep']
      taken += policy.take(actor, most - taken)
    }
    return [most, 'bound']
  })
}

/**
 * The most steps of a stride. V8 compiles a function that is called often sooner and better than one that is called once
 * and never ends.
 */
const STRIDE = 10_000

/** The scheduling policy of a plain run. It is asked again and again, and allocates nothing. */
class Policy {
  private readonly vcpus: readonly Actor[]
  private readonly devices: readonly Actor[]
  private turn = 0
  /** Made when the first steps are taken: a course that is asked for one step after another takes none. */
  private strides: Strides | undefined
  /** Steps that each vCPU has taken in its time slice. */
  private readonly slice: number[]
  /** When the first device is due; and the timer that will expire first, and when: as of the last {@link next}. */
  private devicesDue = NEVER
  private firstTimer: Actor | undefined
  private timersDue = NEVER
  /**
   * The only vCPU, while its thread takes the steps: those program no timer, and no device acts meanwhile. So when something
   * is due is known until the thread enters the guest.
   */
  private thread: Actor | undefined

  constructor(private readonly machine: Machine) {
    this.vcpus = machine.actors.filter(({ kind }) => kind === 'vcpu')
    this.devices = machine.actors.filter(({ kind }) => kind === 'device')
    this.slice = this.vcpus.map(() => 0)
  }

  /**
   * Takes the step that {@link next} has chosen, and if it is a vCPU's, those after it that it would choose too; at most
   * `most`. Returns how many.
   */
  take(actor: Actor, most: number): number {
    const { machine } = this
    this.strides ??= new Strides(machine)
    const { strides } = this
    const v = machine.hypervisor.vcpu(actor.index)
    const isStride = actor.kind === 'vcpu' && machine.effects.length === 0 && strides.othersRest(v)
    const taken = isStride ? strides.take(v, Math.min(most, STRIDE), this.devicesDue, this.timersDue) : 0
    if (taken > 0) {
      this.thread = undefined
      this.slice[actor.index] += taken - 1
      return taken
    }
    machine.perform(actor)
    return 1
  }

  /**
   * The next actor: an effect of the silicon, one that is due, a migration to a free PE, the end of a time slice, a vCPU, or
   * else whatever is due first, to which time advances.
   */
  next(): Actor | undefined {
    const { thread } = this
    if (thread !== undefined && this.goesOn(thread)) return thread
    const actor = this.chosen()
    const isThread = actor?.kind === 'vcpu' && this.vcpus.length === 1 && !this.isInGuest(actor)
    this.thread = isThread && this.machine.effects.length === 0 ? actor : undefined
    return actor
  }

  /** Whether the only vCPU's thread takes the next step too. */
  private goesOn(thread: Actor): boolean {
    const { time } = this.machine
    if (time >= this.devicesDue || time >= this.timersDue) return false
    return !this.isInGuest(thread) && this.isReady(thread)
  }

  private isInGuest({ index }: Actor): boolean {
    const { hypervisor } = this.machine
    return hypervisor.runLoop.isInGuest(hypervisor.vcpu(index))
  }

  /** The next actor, whoever took the last step. */
  private chosen(): Actor | undefined {
    const first = this.effect() ?? this.due() ?? (this.vcpus.length > 1 ? this.scheduled() : undefined)
    return first ?? this.nextVcpu() ?? this.earliest()
  }

  /** What the scheduler does with the threads of several vCPUs. */
  private scheduled(): Actor | undefined {
    return this.placed() ?? this.sliceOver()
  }

  private isReady(actor: Actor): boolean {
    return this.machine.stateOfOwn(actor) === 'ready'
  }

  /** An effect of the silicon that is under way. */
  private effect(): Actor | undefined {
    const { effects } = this.machine
    return effects.length === 0 ? undefined : effects.find((actor) => this.isReady(actor))
  }

  /** The first device or timer that is due. */
  private due(): Actor | undefined {
    const { machine, devices } = this
    const { time, hypervisor } = machine
    const { timers } = hypervisor
    this.devicesDue = NEVER
    for (const actor of devices) {
      const at = machine.dueAtOwn(actor) ?? NEVER
      if (at <= time && this.isReady(actor)) return actor
      if (at < this.devicesDue) this.devicesDue = at
    }
    this.firstTimer = undefined
    this.timersDue = NEVER
    for (const { index } of this.vcpus) {
      const v = hypervisor.vcpu(index)
      const timer = timers.first(v)
      const at = timer < 0 ? NEVER : timers.deadline(v, timer)
      if (at >= this.timersDue) continue
      this.firstTimer = machine.timers[ARMABLE * index + timer]
      if (at <= time) return this.firstTimer
      this.timersDue = at
    }
    return undefined
  }

  /** The migration of a thread whose PE is taken to one that is free. */
  private placed(): Actor | undefined {
    const { machine } = this
    const { words, scheduler } = machine.hypervisor
    for (const { index } of this.vcpus) {
      const v = machine.hypervisor.vcpu(index)
      if (!scheduler.wantsCpu(v) || scheduler.current(words[v + VCPU_LAST_CPU]) === 0) continue
      for (let cpu = 0; cpu < machine.hypervisor.config.cpus; cpu++) {
        const migration = machine.migration(index, cpu)
        if (this.isReady(migration)) return migration
      }
    }
    return undefined
  }

  /**
   * The tick or the preemption of a vCPU that has used up its time slice while another waits for a PE, or on whose PE
   * a vCPU waits that a directed yield prefers.
   */
  private sliceOver(): Actor | undefined {
    const { machine } = this
    const { hypervisor } = machine
    const { words, scheduler } = hypervisor
    if (!this.isCpuWanted()) return undefined
    const { preferred } = scheduler
    const inItsWay = preferred === 0 ? 0 : scheduler.current(words[preferred + VCPU_LAST_CPU])
    const over = this.vcpus.find(({ index }) => {
      const v = hypervisor.vcpu(index)
      return words[v + VCPU_PE] !== 0 && (this.slice[index] >= TIME_SLICE || v === inItsWay)
    })
    const ends = over && machine.endings[over.index].find((actor) => this.isReady(actor))
    if (ends?.kind === 'preempt') this.slice[ends.index] = 0
    return ends
  }

  private isCpuWanted(): boolean {
    const { hypervisor } = this.machine
    for (const { index } of this.vcpus) if (hypervisor.scheduler.wantsCpu(hypervisor.vcpu(index))) return true
    return false
  }

  /** The next vCPU in round-robin order, a step each. */
  private nextVcpu(): Actor | undefined {
    const { vcpus } = this
    for (let i = 0; i < vcpus.length; i++) {
      const actor = vcpus[(this.turn + i) % vcpus.length]
      if (!this.isReady(actor)) continue
      this.turn = (this.turn + i + 1) % vcpus.length
      this.slice[actor.index]++
      return actor
    }
    return undefined
  }

  /** If no vCPU can go on: a device without a set time, or else whatever is due first, to which time advances. */
  private earliest(): Actor | undefined {
    const { machine } = this
    let first: Actor | undefined
    let earliest = NEVER
    for (const actor of this.devices) {
      const at = this.isReady(actor) ? (machine.dueAtOwn(actor) ?? 0) : NEVER
      if (at >= earliest) continue
      first = actor
      earliest = at
    }
    if (this.firstTimer && this.timersDue < earliest) {
      first = this.firstTimer
      earliest = this.timersDue
    }
    if (first) machine.passTime(earliest)
    return first
  }
}
