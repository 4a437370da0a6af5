/**
 * A scenario's machine: a hypervisor with its VM, and the devices. Its actors are the vCPUs and the devices, and
 * its environment what happens to them: timers that expire, preemptions, ticks, migrations. Whoever drives it
 * decides which of them takes the next step.
 */
import type { CheckedGicConfig } from '../gic/config.ts'
import { type CostRow, type ExitStatistics, readCost } from '../hyp/cost.ts'
import { type Design, ENDED, stepNames } from '../hyp/design.ts'
import { type Explanation, explain } from '../hyp/explain.ts'
import { Hypervisor, type VmSetup } from '../hyp/hypervisor.ts'
import { postRequest } from '../hyp/kick.ts'
import { digestOf } from '../hyp/recipe.ts'
import {
  THREAD_ENDED,
  THREAD_IN_GUEST,
  THREAD_SLEEPS,
  THREAD_WAITS_FOR_CPU,
  THREAD_WAITS_FOR_VCPUS,
} from '../hyp/run-loop.ts'
import { restoreVgic, type SavedVgic, saveVgic } from '../hyp/save-restore.ts'
import {
  REQ_SIGNAL,
  VCPU_LAST_CPU,
  VCPU_LOADED,
  VCPU_PE,
  VCPU_POLLS_ATTEMPTED,
  VCPU_POLLS_SUCCESSFUL,
  VCPU_PREEMPTIONS,
  VCPU_SLEEPS,
  VCPU_YIELDS,
} from '../hyp/vcpu.ts'
import { setTime, tick, timeOf } from '../hyp/virtual-time.ts'
import { VM_TIME } from '../hyp/vm.ts'
import { argumentInteger, shown } from '../state/arguments.ts'
import type { ImageBytes } from '../state/image.ts'
import { type RecordType, recordType } from '../state/layout.ts'
import type { Difference } from '../state/machine-state.ts'
import { listed } from '../state/printed.ts'
import { VgicError } from '../state/vgic-error.ts'
import type { DeviceProgram, DeviceStep } from './device.ts'
import { Ghosts, ghostRecord } from './ghosts.ts'
import { type StepEvent, traceStep } from './trace.ts'

/** Whoever can take steps. */
export interface Actor {
  /** What it is. `timer`, `preempt`, `tick` and `migrate` are the environment's. */
  readonly kind: 'vcpu' | 'device' | 'timer' | 'preempt' | 'tick' | 'migrate'
  /** Which vCPU it is or concerns, or which device, from 0. */
  readonly index: number
  /** For a timer 0 virtual, 1 physical, 2 a WFIT's timeout; for a migration the CPU. */
  readonly detail: number
  /** `vcpu0`, the device's name, or what happens: `preempt vcpu0`. */
  readonly name: string
}

/** What an actor can do: take a step, nothing until somebody else does something, or nothing any more. */
export type ActorState = 'ready' | 'asleep' | 'done'

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

/** Words of a device: the next step of its program, where in the injection's steps it is, and for which vCPU. */
const DEVICE_PC = 0
const DEVICE_INJECT = 1
const DEVICE_TARGET = 2
export const DEVICE_WORDS = 3

/** The devices' record; `stepAt` names the design's step at a program counter. */
const deviceRecord = (devices: readonly DeviceProgram[], stepAt: (pc: number) => string): RecordType =>
  recordType({ name: 'device <n>', n: (index) => devices[index]?.name ?? index }, [
    {
      name: 'pc',
      at: DEVICE_PC,
      class: 'authoritative',
      means: (pc, index) => `${pc}: ${devices[index]?.steps[pc]?.name ?? 'done'}`,
    },
    {
      name: 'inject',
      at: DEVICE_INJECT,
      class: 'authoritative',
      means: (pc) => (pc === 0 ? 'none' : stepAt(pc)),
    },
    { name: 'target', at: DEVICE_TARGET, class: 'normalised', means: 'record' },
  ])

/** Steps after which a VM that does not stop never will. */
const STOP_STEPS = 10_000

const timerNames = ['virtual timer', 'physical timer', 'WFIT timeout'] as const

/** A machine that a scenario starts. One step of one actor at a time; its state can be saved and put back. */
export class ScenarioMachine {
  /** vCPUs first, then devices. */
  readonly actors: readonly Actor[]
  /** What happens to the vCPUs: timers, then preemptions, ticks and migrations of each. */
  readonly environment: readonly Actor[]
  /** @internal */
  readonly hypervisor: Hypervisor
  /** @internal */
  readonly ghosts: Ghosts
  /** @internal */
  readonly digest: number
  private readonly devicePlace: number
  private readonly deviceSize: number
  private readonly now: number

  /** @internal */
  constructor(
    config: CheckedGicConfig,
    /** @internal */
    readonly setup: VmSetup,
    design: Design,
    private readonly devices: readonly DeviceProgram[],
  ) {
    const ghosts = ghostRecord(setup)
    const device = deviceRecord(devices, (pc) => stepNames(this.hypervisor.runLoop.program)[pc])
    const surroundings = [[device, Math.max(devices.length, 1)] as const, [ghosts, 1] as const]
    this.digest = digestOf(setup, design, devices)
    this.hypervisor = new Hypervisor(config, setup, design, surroundings, this.digest)
    const { layout } = this.hypervisor.state
    this.devicePlace = layout.baseOf(device)
    this.deviceSize = device.size
    this.now = this.hypervisor.place.vm + VM_TIME
    this.ghosts = new Ghosts(this.hypervisor, layout.baseOf(ghosts))
    const vcpus = Array.from({ length: setup.vcpus }, (_, index) => index)
    this.actors = [
      ...vcpus.map((index) => ({ kind: 'vcpu' as const, index, detail: 0, name: `vcpu${index}` })),
      ...devices.map(({ name }, index) => ({ kind: 'device' as const, index, detail: 0, name })),
    ]
    this.environment = vcpus.flatMap((index): Actor[] => [
      ...timerNames.map((timer, detail) => ({
        kind: 'timer' as const,
        index,
        detail,
        name: `${timer} of vcpu${index}`,
      })),
      { kind: 'preempt', index, detail: 0, name: `preempt vcpu${index}` },
      { kind: 'tick', index, detail: 0, name: `tick of vcpu${index}` },
      ...Array.from({ length: config.cpus }, (_, cpu) => ({
        kind: 'migrate' as const,
        index,
        detail: cpu,
        name: `migrate vcpu${index} to cpu${cpu}`,
      })),
    ])
  }

  /**
   * A new machine of the same parts, as this one began.
   *
   * @internal
   */
  again(): ScenarioMachine {
    const { config, setup, design } = this.hypervisor
    return new ScenarioMachine(config, setup, design, this.devices)
  }

  /** Virtual time: how many steps were taken, and what was let pass. */
  get time(): number {
    return timeOf(this.hypervisor.words, this.now)
  }

  /** A copy of the whole state. */
  snapshot(): ArrayBuffer {
    return this.hypervisor.state.snapshot()
  }

  /** Goes back to a snapshot of this scenario's machine. Throws a `VgicError` for any other image. */
  restore(image: ImageBytes): void {
    this.hypervisor.state.restore(image)
  }

  /** A 53-bit hash of the state without counters and the clock: equal states have equal hashes. */
  hash(): number {
    return this.hypervisor.state.hash()
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
      this.perform(next)
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

  /** What changed since a snapshot, a register field at a time; program counters as steps, handles by name. */
  diff(image: ImageBytes): Difference[] {
    return this.hypervisor.state.diff(image)
  }

  /** What an actor can do. */
  stateOf(actor: Actor): ActorState {
    const { hypervisor } = this
    const { kind, index, detail } = this.checked(actor)
    switch (kind) {
      case 'vcpu':
        return this.vcpuState(hypervisor.vcpu(index))
      case 'device':
        return this.nextDeviceStep(index) ? 'ready' : 'done'
      case 'timer':
        return hypervisor.timers.isArmed(hypervisor.vcpu(index), detail) ? 'ready' : 'asleep'
      case 'preempt':
        return hypervisor.scheduler.canPreempt(hypervisor.vcpu(index)) ? 'ready' : 'asleep'
      case 'tick':
        return this.canTick(hypervisor.vcpu(index)) ? 'ready' : 'asleep'
      case 'migrate':
        return this.canMigrate(hypervisor.vcpu(index), detail) ? 'ready' : 'asleep'
    }
  }

  /** When a device's next step, or a timer's expiry, is due in a plain run; undefined if it has no time. */
  dueAt(actor: Actor): number | undefined {
    const { hypervisor } = this
    const { kind, index, detail } = this.checked(actor)
    if (kind === 'timer') return hypervisor.timers.deadline(hypervisor.vcpu(index), detail)
    return kind === 'device' ? this.nextDeviceStep(index)?.notBefore : undefined
  }

  /** Takes one step of an actor; nothing if it is not ready. */
  step(actor: Actor): void {
    if (this.stateOf(actor) === 'ready') this.perform(actor)
  }

  /**
   * Takes one step of an actor that is ready.
   *
   * @internal
   */
  perform(actor: Actor): void {
    const { hypervisor } = this
    const { kind, index, detail } = actor
    tick(hypervisor.words, this.now)
    switch (kind) {
      case 'vcpu':
        this.stepVcpu(hypervisor.vcpu(index))
        return
      case 'device':
        this.stepDevice(index)
        return
      case 'timer':
        hypervisor.timers.expire(hypervisor.vcpu(index), detail)
        return
      case 'preempt':
        hypervisor.scheduler.preempt(hypervisor.vcpu(index))
        return
      case 'tick':
        hypervisor.hostInterrupts.tick(hypervisor.words[hypervisor.vcpu(index) + VCPU_PE])
        return
      case 'migrate':
        hypervisor.scheduler.switchIn(hypervisor.vcpu(index), detail)
    }
  }

  /**
   * Takes one step of a vCPU's thread, which must be at one, and returns its result.
   *
   * @internal
   */
  stepThread({ index }: Actor): number {
    tick(this.hypervisor.words, this.now)
    return this.ghosts.stepThread(this.hypervisor.vcpu(index))
  }

  /** Takes one step of an actor and tells what happened. Throws an `argument` error if the actor is not ready. */
  trace(actor: Actor): StepEvent {
    if (this.stateOf(actor) !== 'ready') {
      throw new VgicError('argument', `${actor.name} cannot take a step now: ask stateOf() first.`)
    }
    return traceStep(this, actor)
  }

  /**
   * Makes the machine independent of time, which is no part of the state: halt polling's windows, which follow how
   * long halts take, stay open.
   *
   * @internal
   */
  prepareExploration(): void {
    this.hypervisor.halt.adapts = false
    this.hypervisor.halt.openWindows()
  }

  /** Lets time pass until something is due; it does not go back. */
  passTime(until: number): void {
    argumentInteger('until', until, 0, Number.MAX_SAFE_INTEGER)
    setTime(this.hypervisor.words, this.now, Math.max(this.time, until))
  }

  /** What a vCPU has done so far. */
  counts(vcpu: number): VcpuCounts {
    const { words } = this.hypervisor
    const v = this.hypervisor.vcpu(argumentInteger('vcpu', vcpu, 0, this.setup.vcpus - 1))
    return {
      sleeps: words[v + VCPU_SLEEPS],
      pollsAttempted: words[v + VCPU_POLLS_ATTEMPTED],
      pollsSuccessful: words[v + VCPU_POLLS_SUCCESSFUL],
      yields: words[v + VCPU_YIELDS],
      preemptions: words[v + VCPU_PREEMPTIONS],
    }
  }

  /** What the hypervisor's crossings of the seam were, a row for each kind of exit. */
  cost(): CostRow[] {
    const { words, place, design } = this.hypervisor
    return readCost(words, place.costTable, design.name)
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
    const vcpus = Array.from({ length: this.setup.vcpus }, (_, vcpu) => this.counts(vcpu))
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

  /**
   * The next step of a device; undefined when it is done.
   *
   * @internal
   */
  nextDeviceStep(index: number): DeviceStep | undefined {
    return this.devices[index].steps[this.hypervisor.words[this.deviceOf(index) + DEVICE_PC]]
  }

  /**
   * Where a device is in the steps of its injection, as a program counter of the design; 0 between two.
   *
   * @internal
   */
  injectionOf(index: number): number {
    return this.hypervisor.words[this.deviceOf(index) + DEVICE_INJECT]
  }

  /**
   * Whether an unfinished injection will yet notify a vCPU.
   *
   * @internal
   */
  injectsFor(v: number): boolean {
    for (let i = 0; i < this.devices.length; i++) {
      if (this.hypervisor.words[this.deviceOf(i) + DEVICE_TARGET] === v) return true
    }
    return false
  }

  /**
   * In a state, the interrupt whose line a device's next step moves.
   *
   * @internal
   */
  inputOf(index: number, words: Int32Array): number {
    const { intid, vcpu } = this.devices[index].steps[words[this.deviceOf(index) + DEVICE_PC]]
    return this.hypervisor.apLists.irqOf(this.hypervisor.vcpu(vcpu), intid)
  }

  /**
   * The vCPU that a device's last step has notified, if it queued nothing; 0 if none. `before` is the state before it: a
   * target that it has found itself is in the state now.
   *
   * @internal
   */
  notifiedBy(index: number, before: Int32Array): number {
    const device = this.deviceOf(index)
    const { signal, vcpu } = this.devices[index].steps[before[device + DEVICE_PC]]
    if (signal) return this.hypervisor.vcpu(vcpu)
    return before[device + DEVICE_TARGET] || this.hypervisor.words[device + DEVICE_TARGET]
  }

  /**
   * The record of a device.
   *
   * @internal
   */
  deviceOf(index: number): number {
    return this.devicePlace + index * this.deviceSize
  }

  /** An actor, after making sure that it is one of this machine's or equal to one. */
  private checked(actor: Actor): Actor {
    return typeof actor === 'object' && actor !== null && this.has(actor) ? actor : refuseActor(actor)
  }

  private has({ kind, index, detail }: Actor): boolean {
    const { config } = this.hypervisor
    const count = kind === 'device' ? this.devices.length : this.setup.vcpus
    if (!Number.isInteger(index) || index < 0 || index >= count) return false
    if (kind === 'timer') return Number.isInteger(detail) && detail >= 0 && detail < timerNames.length
    if (kind === 'migrate') return Number.isInteger(detail) && detail >= 0 && detail < config.cpus
    return kind === 'vcpu' || kind === 'device' || kind === 'preempt' || kind === 'tick'
  }

  private vcpuState(v: number): ActorState {
    const { runLoop, guest, scheduler, words } = this.hypervisor
    switch (runLoop.threadState(v)) {
      case THREAD_ENDED:
        return 'done'
      case THREAD_SLEEPS:
        return 'asleep'
      case THREAD_WAITS_FOR_VCPUS:
        return this.isWanted(words[v + VCPU_LAST_CPU]) ? 'ready' : 'asleep'
      case THREAD_IN_GUEST:
        return guest.isWaiting(v) ? 'asleep' : 'ready'
      case THREAD_WAITS_FOR_CPU:
        return scheduler.current(words[v + VCPU_LAST_CPU]) === 0 && !runLoop.waitsForVcpus(v)
          ? 'ready'
          : 'asleep'
      default:
        return 'ready'
    }
  }

  /** Whether the host's tick can interrupt a guest: it runs, and no tick is on the way. */
  private canTick(v: number): boolean {
    const { runLoop, hostInterrupts, words } = this.hypervisor
    return runLoop.threadState(v) === THREAD_IN_GUEST && !hostInterrupts.isTicking(words[v + VCPU_PE])
  }

  /** Whether a thread that waits for a PE can get another than its last one. */
  private canMigrate(v: number, cpu: number): boolean {
    const { runLoop, scheduler, words } = this.hypervisor
    if (runLoop.threadState(v) !== THREAD_WAITS_FOR_CPU) return false
    return scheduler.current(cpu) === 0 && cpu !== words[v + VCPU_LAST_CPU]
  }

  /** Whether a thread that could go on waits for a CPU. */
  private isWanted(cpu: number): boolean {
    const { words, runLoop, scheduler, place } = this.hypervisor
    for (let i = 0; i < place.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      if (words[v + VCPU_LAST_CPU] === cpu && scheduler.wantsCpu(v) && !runLoop.waitsForVcpus(v)) return true
    }
    return false
  }

  /**
   * A thread that waits for its PE, and finds it free, gets it in a step of its own. One that waits for other vCPUs
   * sleeps (KVM's vcpu_req_sleep), which is of interest only if another thread wants its PE: then it gives it up.
   */
  private stepVcpu(v: number): void {
    const { hypervisor } = this
    const { runLoop, scheduler, words } = hypervisor
    if (words[v + VCPU_PE] === 0) {
      scheduler.switchIn(v, words[v + VCPU_LAST_CPU])
    } else if (runLoop.threadState(v) === THREAD_IN_GUEST) {
      this.ghosts.stepGuest(v)
    } else if (runLoop.threadState(v) === THREAD_WAITS_FOR_VCPUS) {
      scheduler.switchOut(v)
    } else {
      this.ghosts.stepThread(v)
    }
  }

  /** One step of an injection, in the order that the design has. A mapped SPI's line is the distributor's, not ours. */
  private stepDevice(index: number): void {
    const { words, injection, mapped, runLoop } = this.hypervisor
    const next = this.nextDeviceStep(index)
    if (!next) return
    if (next.signal) {
      this.signal(index, this.hypervisor.vcpu(next.vcpu))
      return
    }
    const irq = this.inputOf(index, words)
    if (mapped.isMappedSpi(irq)) {
      this.driveMapped(index, irq, next)
      return
    }
    const device = this.deviceOf(index)
    const pc = words[device + DEVICE_INJECT] || runLoop.program.inject
    const target = injection.step(pc, irq, next.levels, words[device + DEVICE_TARGET])
    if (injection.queues(pc) && next.levels.includes(1)) this.ghosts.injected(irq)
    const after = injection.after(pc, target)
    words[device + DEVICE_INJECT] = after
    words[device + DEVICE_TARGET] = after === ENDED ? 0 : target
    if (after === ENDED) words[device + DEVICE_PC]++
  }

  private driveMapped(index: number, irq: number, { levels }: DeviceStep): void {
    for (const level of levels) {
      this.hypervisor.mapped.setInput(irq, level)
      if (level === 1) this.ghosts.injected(irq)
    }
    this.hypervisor.words[this.deviceOf(index) + DEVICE_PC]++
  }

  private signal(index: number, v: number): void {
    const { words, kicks } = this.hypervisor
    postRequest(words, v, REQ_SIGNAL)
    kicks.kick(v)
    words[this.deviceOf(index) + DEVICE_PC]++
  }
}

function refuseActor(actor: unknown): never {
  throw new VgicError(
    'argument',
    `actor must be one of this machine's actors or of its environment, but is ${shown(actor)}.`,
  )
}
