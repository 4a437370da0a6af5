/**
 * A scenario's machine as a person has it: step it, look at it, save its VM, print it.
 */

import { argumentInteger } from '../errors/arguments.ts'
import { listed } from '../errors/printed.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { Explanation } from '../hyp/explain/explain.ts'
import { explain } from '../hyp/explain/explain.ts'
import { type CostRow, type ExitStatistics, readCost } from '../hyp/host/cost.ts'
import { postRequest } from '../hyp/host/kick.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import {
  REQ_SIGNAL,
  VCPU_LOADED,
  VCPU_POLLS_ATTEMPTED,
  VCPU_POLLS_SUCCESSFUL,
  VCPU_PREEMPTIONS,
  VCPU_SLEEPS,
  VCPU_YIELDS,
} from '../hyp/records/vcpu.ts'
import type { SavedVgic } from '../hyp/userspace/save-restore.ts'
import { restoreVgic, saveVgic } from '../hyp/userspace/save-restore.ts'
import type { ImageBytes } from '../state/image.ts'
import type { Difference } from '../state/machine-state.ts'
import type { Actor, ActorState, Machine } from './machine.ts'
import { type StepEvent, traceStep } from './trace.ts'

/** A machine in a few words: what {@link ScenarioMachine.toJSON} gives. */
export interface MachineSummary {
  /** Its design's name. */
  readonly design: string
  /** Virtual time. */
  readonly time: number
  /** Its vCPUs and devices, in order. */
  readonly actors: readonly ActorSummary[]
}

/** A vCPU or a device of a {@link MachineSummary}. */
export interface ActorSummary {
  /** `vcpu0`, or the device's name. */
  readonly name: string
  /** What it can do. */
  readonly state: ActorState
}

/** What a vCPU has done so far. */
export interface VcpuCounts {
  /** How often its thread went to sleep. */
  readonly sleeps: number
  /** Halts that polled before they slept. */
  readonly pollsAttempted: number
  /** Of these, the ones that did not have to sleep. */
  readonly pollsSuccessful: number
  /** Directed yields to another vCPU. */
  readonly yields: number
  /** How often its thread was preempted. */
  readonly preemptions: number
}

/** Steps after which a VM that does not stop never will. */
const STOP_STEPS = 10_000

/** A machine that a scenario starts. One step of one actor at a time; its state can be saved and put back. */
export class ScenarioMachine {
  /** vCPUs first, then devices. */
  readonly actors: readonly Actor[]
  /** What happens to the vCPUs: timers, then preemptions, ticks and migrations of each. */
  readonly environment: readonly Actor[]

  /** @internal */
  constructor(
    /** @internal */
    readonly internals: Machine,
  ) {
    this.actors = internals.actors
    this.environment = internals.environment
  }

  /** @internal */
  get hypervisor(): Hypervisor {
    return this.internals.hypervisor
  }

  /** Virtual time: how many steps were taken, and what was let pass. */
  get time(): number {
    return this.internals.time
  }

  /** A copy of the whole state. */
  snapshot(): ArrayBuffer {
    return this.internals.snapshot()
  }

  /** Goes back to a snapshot of this scenario's machine. Throws a `VgicError` for any other image. */
  restore(image: ImageBytes): void {
    this.internals.restore(image)
  }

  /** A 53-bit hash of the state without counters and the clock: equal states have equal hashes. */
  hash(): number {
    return this.internals.hash()
  }

  /** What changed since a snapshot, a register field at a time; program counters as steps, handles by name. */
  diff(image: ImageBytes): Difference[] {
    return this.internals.diff(image)
  }

  /** What an actor can do. */
  stateOf(actor: Actor): ActorState {
    return this.internals.stateOf(actor)
  }

  /** When a device's next step, or a timer's expiry, is due in a plain run; undefined if it has no time. */
  dueAt(actor: Actor): number | undefined {
    return this.internals.dueAt(actor)
  }

  /** Takes one step of an actor; nothing if it is not ready. */
  step(actor: Actor): void {
    this.internals.step(actor)
  }

  /** Lets time pass until something is due; it does not go back. */
  passTime(until: number): void {
    this.internals.passTime(until)
  }

  /**
   * Stops the VM, as a VMM does by a signal to its vCPUs' threads: they take steps until none is loaded, that is until
   * each has returned to userspace, sleeps, waits for a PE, or has ended. They go on when they are stepped again.
   */
  stop(): void {
    const { hypervisor } = this
    const { words } = hypervisor
    const vcpus = this.actors.filter(({ kind }) => kind === 'vcpu')
    const loaded = (): Actor[] =>
      vcpus.filter(({ index }) => words[hypervisor.vcpu(index) + VCPU_LOADED] !== 0)
    for (const { index } of loaded()) {
      postRequest(words, hypervisor.vcpu(index), REQ_SIGNAL)
      hypervisor.kicks.kick(hypervisor.vcpu(index))
    }
    for (let steps = 0; loaded().length > 0; steps++) {
      const next = [...loaded(), ...vcpus].find((actor) => this.stateOf(actor) === 'ready')
      if (!next || steps === STOP_STEPS) {
        throw new VgicError(
          'scenario',
          'A vCPU does not return to userspace: its design must put it on a signal.',
        )
      }
      this.internals.perform(next)
    }
  }

  /**
   * The VM's interrupts as KVM's userspace reads them, in plain JSON. Throws a `VgicError` EBUSY while a vCPU is loaded:
   * call `stop()` first.
   */
  saveVgic(): SavedVgic {
    return saveVgic(this.hypervisor)
  }

  /**
   * Puts saved interrupts into this VM, whatever it had before. Throws a `VgicError`, and changes nothing: EBUSY while a
   * vCPU is loaded, `argument` for what is no saved VM of this size, EINVAL for a value that a register does not take.
   */
  restoreVgic(saved: SavedVgic): void {
    restoreVgic(this.hypervisor, saved)
  }

  /** Takes one step of an actor and tells what happened. Throws an `argument` error if the actor is not ready. */
  trace(actor: Actor): StepEvent {
    if (this.stateOf(actor) !== 'ready') {
      throw new VgicError('argument', `${actor.name} cannot take a step now: ask stateOf() first.`)
    }
    return traceStep(this.internals, actor)
  }

  /** What a vCPU has done so far. */
  counts(vcpu: number): VcpuCounts {
    const { words } = this.hypervisor
    const v = this.hypervisor.vcpu(argumentInteger('vcpu', vcpu, 0, this.hypervisor.setup.vcpus - 1))
    return {
      sleeps: words[v + VCPU_SLEEPS],
      pollsAttempted: words[v + VCPU_POLLS_ATTEMPTED],
      pollsSuccessful: words[v + VCPU_POLLS_SUCCESSFUL],
      yields: words[v + VCPU_YIELDS],
      preemptions: words[v + VCPU_PREEMPTIONS],
    }
  }

  /** What the hypervisor's accesses to the silicon were, a row for each kind of exit. */
  cost(): CostRow[] {
    const { words, layout, design } = this.hypervisor
    return readCost(words, layout.costTable, design.name)
  }

  /**
   * Why an interrupt is, or is not, delivered to a vCPU in this state; without a vCPU to the one that an SPI is routed
   * to, and vCPU 0 for an SGI or a PPI. Changes nothing. An INTID that the VM does not have is explained too.
   */
  explain(intid: number, vcpu?: number): Explanation {
    return explain(this.hypervisor, intid, vcpu)
  }

  /** KVM's exit statistics of the VM. */
  statistics(): ExitStatistics {
    const byKind = Object.fromEntries(
      this.cost().flatMap(({ exit, exits }) => (exits > 0 ? [[exit, exits]] : [])),
    )
    const vcpus = Array.from({ length: this.hypervisor.setup.vcpus }, (_, vcpu) => this.counts(vcpu))
    return {
      wfi_exit_stat: byKind['wfi'] ?? 0,
      wfe_exit_stat: byKind['wfe'] ?? 0,
      halt_attempted_poll: vcpus.reduce((sum, { pollsAttempted }) => sum + pollsAttempted, 0),
      halt_successful_poll: vcpus.reduce((sum, { pollsSuccessful }) => sum + pollsSuccessful, 0),
      exits: Object.values(byKind).reduce((sum, exits) => sum + exits, 0),
      byKind,
    }
  }

  /** What it is, when, and what its actors can do, as plain data; {@link snapshot} has the state. */
  toJSON(): MachineSummary {
    const actors = this.actors.map((actor) => ({ name: actor.name, state: this.stateOf(actor) }))
    return { design: this.hypervisor.design.name, time: this.time, actors }
  }

  /** `ScenarioMachine (design wfi-handler, time 120): vcpu0 asleep, nic done`. */
  toString(): string {
    const { design, time, actors } = this.toJSON()
    const states = listed(actors, ({ name, state }) => `${name} ${state}`)
    return `ScenarioMachine (design ${design}, time ${time}): ${states}`
  }

  /** So that failed expectations print the line and no keys. */
  get [Symbol.toStringTag](): string {
    return 'ScenarioMachine'
  }

  /** What Node's util.inspect prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}
