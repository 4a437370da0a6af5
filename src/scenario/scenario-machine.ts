/** A scenario's machine for its user: step it, inspect it, save its VM, print it. */

import { argumentInteger } from '../errors/arguments.ts'
import { listed } from '../errors/printed.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { Explanation } from '../hyp/explain/explain.ts'
import { explain } from '../hyp/explain/explain.ts'
import { type CostRow, type ExitStatistics, readCost } from '../hyp/host/cost.ts'
import { postRequest } from '../hyp/host/kick.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { HOST_ITS_NESTING } from '../hyp/records/its-vpe.ts'
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
import { MachineInspection } from './inspection.ts'
import type { Actor, ActorState, Machine } from './machine.ts'
import type { Access, StepEvent } from './step-events.ts'
import { accessOf } from './trace.ts'
import { Tracer } from './tracer.ts'

/** A summary of a machine, which {@link ScenarioMachine.toJSON} returns. */
export interface MachineSummary {
  /** Its design's name. */
  readonly design: string
  /** Virtual time, in steps. */
  readonly time: number
  /** Its vCPUs and devices, in order. */
  readonly actors: readonly ActorSummary[]
}

/** A vCPU or a device of a {@link MachineSummary}. */
export interface ActorSummary {
  /** `vcpu0`, or the device's name. */
  readonly name: string
  /** Whether it can take a step. */
  readonly state: ActorState
}

/** Counters of a vCPU's thread. */
export interface VcpuCounts {
  /** How often its thread went to sleep. */
  readonly sleeps: number
  /** Halts that polled before they would sleep: KVM's halt_attempted_poll. */
  readonly pollsAttempted: number
  /** Halts that ended while they polled: KVM's halt_successful_poll. */
  readonly pollsSuccessful: number
  /** Directed yields to another vCPU. */
  readonly yields: number
  /** How often its thread was preempted. */
  readonly preemptions: number
}

/** Steps after which a VM that has not stopped is taken never to stop. */
const STOP_STEPS = 10_000

/** A machine of a scenario. It takes one step of one actor at a time; its state can be saved and restored. */
export class ScenarioMachine {
  /** vCPUs first, then devices. */
  readonly actors: readonly Actor[]
  private tracer: Tracer | undefined

  /** @internal */
  constructor(
    /** @internal */
    readonly internals: Machine,
  ) {
    this.actors = internals.actors
  }

  /** Actors that act on the vCPUs: timers, then each vCPU's preemption, tick and migrations. */
  get environment(): readonly Actor[] {
    return this.internals.environment
  }

  /** @internal */
  get hypervisor(): Hypervisor {
    return this.internals.hypervisor
  }

  /** Virtual time: the steps taken, plus the time that was let pass. */
  get time(): number {
    return this.internals.time
  }

  /** A copy of the whole state; {@link restore} takes it. */
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

  /**
   * What has changed since a snapshot, an entry for each register field; program counters as steps, handles by name.
   */
  diff(image: ImageBytes): Difference[] {
    return this.internals.diff(image)
  }

  /** Whether an actor can take a step. Throws an `argument` error for an actor of no machine of this scenario. */
  stateOf(actor: Actor): ActorState {
    return this.internals.stateOf(actor)
  }

  /**
   * The virtual time at which a device's next step, or a timer's expiry, is due in a plain run; undefined if it has
   * none.
   */
  dueAt(actor: Actor): number | undefined {
    return this.internals.dueAt(actor)
  }

  /** Takes one step of an actor; does nothing if it is not ready. */
  step(actor: Actor): void {
    this.internals.step(actor)
  }

  /** Advances virtual time to `until`; does nothing if that is past. */
  passTime(until: number): void {
    this.internals.passTime(until)
  }

  /**
   * Stops the VM, as a VMM does by a signal to its vCPUs' threads: they take steps until none is loaded, that is
   * until each has returned to userspace, sleeps, waits for a PE, or has ended, and none is in the middle of an ITS's
   * commands. They go on when they are stepped again. Throws a `scenario` error if a vCPU does not get there.
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
    const isBusy = (): boolean => loaded().length > 0 || hypervisor.mmio.dist.commands.lockedQueue() >= 0
    for (let steps = 0; isBusy(); steps++) {
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
   * The VM's interrupts as plain JSON, as userspace reads them from KVM. What its enabled ITSs have mapped and which
   * LPIs are pending goes into the tables in the guest's memory, which is to be saved afterwards; what disabled ones have
   * mapped is in the JSON. Throws a `VgicError`: EBUSY while a vCPU is loaded, so call `stop()` first; EINVAL or EFAULT if
   * the guest has no place for them.
   */
  saveVgic(): SavedVgic {
    return saveVgic(this.hypervisor)
  }

  /**
   * Restores saved interrupts into this VM, in place of its own; the guest's memory must be there already. Throws a
   * `VgicError` and changes nothing: EBUSY while a vCPU is loaded, `argument` for data that is not a saved VM of this
   * size, EINVAL for a value that a register does not take or a table of an ITS cannot have, EFAULT for a table that is
   * in no memory.
   */
  restoreVgic(saved: SavedVgic): void {
    restoreVgic(this.hypervisor, saved)
  }

  /** Takes one step of an actor and returns what happened. Throws an `argument` error if the actor is not ready. */
  trace(actor: Actor): StepEvent {
    if (this.stateOf(actor) !== 'ready') {
      throw new VgicError('argument', `${actor.name} cannot take a step now: ask stateOf() first.`)
    }
    return this.tell(actor)
  }

  /**
   * The same of an actor that is ready.
   * @internal
   */
  tell(actor: Actor): StepEvent {
    this.tracer ??= new Tracer(this.internals)
    return this.tracer.take(actor)
  }

  /**
   * Collects the hypervisor's accesses to the silicon in `accesses`, until `seam.observer` is set to null.
   * @internal
   */
  watch(accesses: Access[]): void {
    this.hypervisor.seam.observer = (...access) => accesses.push(accessOf(this.internals, ...access))
  }

  /**
   * With `strictNesting`, the first vCPU whose vPE was loaded while it was resident, or put while it was not; undefined if
   * none was.
   */
  get misnested(): number | undefined {
    const { words, layout } = this.hypervisor
    const found = layout.direct.vpeCount > 0 ? words[layout.direct.its + HOST_ITS_NESTING] : 0
    return found === 0 ? undefined : found - 1
  }

  /** Counters of a vCPU's thread. */
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

  /** The hypervisor's accesses to the silicon, a row for each kind of exit. */
  cost(): CostRow[] {
    const { words, layout, design } = this.hypervisor
    return readCost(words, layout.costTable, design.name)
  }

  /**
   * Explains why an interrupt is, or is not, delivered to a vCPU in this state. `vcpu` defaults to the one that an
   * SPI is routed to, and to vCPU 0 for an SGI or a PPI. The state does not change. An INTID that the VM does not
   * have is explained too.
   */
  explain(intid: number, vcpu?: number): Explanation {
    return explain(this.hypervisor, intid, vcpu)
  }

  /**
   * The state as plain data, which prints as text: vCPUs with their step, requests, shadow and live ICH_VMCR_EL2, ap_list
   * and list registers; CPUs, devices, LPIs, vPEs and the tables of ITSs. The state does not change.
   */
  inspect(): MachineInspection {
    return new MachineInspection(this.internals)
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

  /** A summary as plain data: the design, the time, and the actors' states. {@link snapshot} has the whole state. */
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

  /** Makes failed expectations of test runners print the line instead of the object's keys. */
  get [Symbol.toStringTag](): string {
    return 'ScenarioMachine'
  }

  /** The line, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}
