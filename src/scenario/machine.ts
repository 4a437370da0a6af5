/**
 * A scenario's machine: a hypervisor with its VM, and devices. Its actors are the vCPUs and the devices; its
 * environment are actors that act on vCPUs: expiries of timers, preemptions, ticks, migrations. The caller decides
 * which of them takes the next step.
 */

import { argumentInteger, shown } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { CheckedGicConfig } from '../gic/config/config.ts'
import { Hypervisor, type VmSetup } from '../hyp/hypervisor.ts'
import { digestOf } from '../hyp/recipe.ts'
import { peOf, VCPU_LAST_CPU, VCPU_PE, type Vcpu } from '../hyp/records/vcpu.ts'
import { setTime, tick, timeOf } from '../hyp/records/virtual-time.ts'
import { VM_TIME } from '../hyp/records/vm.ts'
import type { Design } from '../hyp/run/design.ts'
import { plainRestore, plainSave } from '../hyp/run/designs.ts'
import { stepNames } from '../hyp/run/program.ts'
import {
  THREAD_ENDED,
  THREAD_IN_GUEST,
  THREAD_SLEEPS,
  THREAD_WAITS_FOR_CPU,
  THREAD_WAITS_FOR_VCPUS,
} from '../hyp/run/thread-states.ts'
import type { ImageBytes } from '../state/image.ts'
import type { Difference } from '../state/machine-state.ts'
import type { DeviceProgram } from './device-builder.ts'
import { deviceRecord } from './device-record.ts'
import { DeviceSteps } from './device-steps.ts'
import { Ghosts, ghostRecord } from './ghosts.ts'
import { imageRecord, imageSize, Restores } from './restores.ts'
import { Saves } from './saves.ts'
import type { SymmetricGroup } from './symmetric.ts'

/** One that takes steps: a vCPU, a device, or an event of the environment. */
export interface Actor {
  /** `timer`, `preempt`, `tick`, `migrate` and `effect` belong to the environment. */
  readonly kind: 'vcpu' | 'device' | 'timer' | 'preempt' | 'tick' | 'migrate' | 'effect'
  /** The index of the device, or of the vCPU that it is or acts on, from 0; of an effect, the CPU. */
  readonly index: number
  /**
   * Of a timer: 0 for the virtual one, 1 for the physical one, 2 for the timeout of a WFIT. Of a migration: the CPU
   * that it is to. Of an effect of the silicon that lags: 0 for GICR_VPENDBASER.Dirty, 1 for a doorbell on its way to the
   * CPU, 2 for a message that the ITS has accepted, 3 for the CPU's maintenance interrupt.
   */
  readonly detail: number
  /** `vcpu0`, the device's name, or the event: `preempt vcpu0`. */
  readonly name: string
}

/** Whether an actor can take a step: `ready` now, `asleep` until another actor does something, `done` never again. */
export type ActorState = 'ready' | 'asleep' | 'done'

/** Numbers of the kinds of actors. */
export const actorKinds = {
  vcpu: 0,
  device: 1,
  timer: 2,
  preempt: 3,
  tick: 4,
  migrate: 5,
  effect: 6,
} as const satisfies Record<Actor['kind'], number>

/** Effects of the silicon that lag: with `maintenanceInterrupt: 'lagging'`, and with GICv4 and `writeEffects: 'lagging'`. */
const EFFECT_DIRTY = 0
const EFFECT_DOORBELL = 1
export const EFFECT_MESSAGE = 2
const EFFECT_MAINTENANCE = 3

/** The actors that complete effects: each CPU's maintenance interrupt, Dirty and doorbells, and the ITS's messages. */
function effectsOf(config: CheckedGicConfig, { direct }: VmSetup): Actor[] {
  const { writeEffects, maintenanceInterrupt } = config
  const cpus = Array.from({ length: config.cpus }, (_, index) => index)
  const maintenance = cpus.map((index): Actor => {
    return { kind: 'effect', index, detail: EFFECT_MAINTENANCE, name: `maintenance interrupt of cpu${index}` }
  })
  return [
    ...(maintenanceInterrupt === 'lagging' ? maintenance : []),
    ...(direct && writeEffects === 'lagging' ? effectsOfWrites(cpus) : []),
  ]
}

function effectsOfWrites(cpus: readonly number[]): Actor[] {
  const ofCpus = cpus.map((index): Actor[] => [
    { kind: 'effect', index, detail: EFFECT_DIRTY, name: `Dirty of cpu${index}` },
    { kind: 'effect', index, detail: EFFECT_DOORBELL, name: `doorbell to cpu${index}` },
  ])
  return [...ofCpus.flat(), { kind: 'effect', index: 0, detail: EFFECT_MESSAGE, name: 'message at the ITS' }]
}

/** A design that says how userspace saves a VM and restores it. */
const withUserspace = (design: Design): Design => ({
  ...design,
  save: design.save ?? plainSave,
  restore: design.restore ?? plainRestore,
})

const timerNames = ['virtual timer', 'physical timer', 'WFIT timeout'] as const

/** The machine's parts, its actors and their steps. scenario-machine.ts has the public face. */
export class Machine {
  /** vCPUs first, then devices. */
  readonly actors: readonly Actor[]
  /** Of the environment, the timers, and each vCPU's preemption and tick. */
  readonly timers: readonly Actor[]
  readonly endings: readonly (readonly Actor[])[]
  private allEnvironment: readonly Actor[] | undefined
  /** Of the environment, those that complete effects of the silicon. */
  readonly effects: readonly Actor[]
  readonly hypervisor: Hypervisor
  readonly ghosts: Ghosts
  readonly saves: Saves
  /** undefined if no device restores the VM. */
  readonly restores: Restores | undefined
  /** Whether a device saves the VM. */
  readonly isSaved: boolean
  /** What the devices do. */
  readonly deviceSteps: DeviceSteps
  readonly digest: number
  private readonly now: number

  constructor(
    config: CheckedGicConfig,
    readonly setup: VmSetup,
    private readonly design: Design,
    readonly devices: readonly DeviceProgram[],
    /** What the scenario declares to be symmetric. */
    readonly symmetric: readonly SymmetricGroup[],
  ) {
    const ghosts = ghostRecord(setup)
    const device = deviceRecord({
      nameOf: (index) => devices[index]?.name,
      stepOf: (index, pc) => devices[index]?.steps[pc]?.name,
      stepAt: (pc) => stepNames(this.hypervisor.runLoop.program)[pc],
    })
    this.digest = digestOf(setup, design, devices)
    const steps = devices.flatMap((device) => device.steps)
    this.isSaved = steps.some(({ save }) => save === true)
    const complete = this.isSaved ? withUserspace(design) : design
    const isRestored = steps.some(({ restore }) => restore !== undefined)
    const size = isRestored ? imageSize(config, setup, complete) : undefined
    const image = size && imageRecord(size)
    this.hypervisor = new Hypervisor(
      config,
      setup,
      complete,
      [[device, Math.max(devices.length, 1)], [ghosts, 1], ...(image ? [[image, 1] as const] : [])],
      this.digest,
    )
    const { layout } = this.hypervisor.state
    this.now = this.hypervisor.layout.vm + VM_TIME
    this.ghosts = new Ghosts(this.hypervisor, layout.baseOf(ghosts))
    this.saves = new Saves(this.hypervisor)
    this.restores = image && size && new Restores(this.hypervisor, this.ghosts, layout.baseOf(image), size)
    this.deviceSteps = new DeviceSteps(
      this.hypervisor,
      devices,
      this.ghosts,
      this.saves,
      this.restores,
      layout.baseOf(device),
      device.size,
    )
    const vcpus = Array.from({ length: setup.vcpus }, (_, index) => index)
    this.actors = [
      ...vcpus.map((index) => ({ kind: 'vcpu' as const, index, detail: 0, name: `vcpu${index}` })),
      ...devices.map(({ name }, index) => ({ kind: 'device' as const, index, detail: 0, name })),
    ]
    this.effects = effectsOf(config, setup)
    this.timers = vcpus.flatMap((index) =>
      timerNames.map((timer, detail) => ({
        kind: 'timer' as const,
        index,
        detail,
        name: `${timer} of vcpu${index}`,
      })),
    )
    this.endings = vcpus.map((index) => [
      { kind: 'preempt', index, detail: 0, name: `preempt vcpu${index}` },
      { kind: 'tick', index, detail: 0, name: `tick of vcpu${index}` },
    ])
  }

  /**
   * Actors that act on the vCPUs: each one's timers, preemption, tick and migrations. There is a migration for each vCPU
   * and CPU, so they are made when they are asked for.
   */
  get environment(): readonly Actor[] {
    this.allEnvironment ??= [
      ...this.endings.flatMap((ending, index) => [
        ...this.timers.filter((timer) => timer.index === index),
        ...ending,
        ...Array.from({ length: this.hypervisor.config.cpus }, (_, cpu) => this.migration(index, cpu)),
      ]),
      ...this.effects,
    ]
    return this.allEnvironment
  }

  /** The migration of a vCPU to a CPU. */
  migration(index: number, cpu: number): Actor {
    return { kind: 'migrate', index, detail: cpu, name: `migrate vcpu${index} to cpu${cpu}` }
  }

  /** A new machine of the same configuration, before its first step. */
  again(): Machine {
    return machineOf(this.hypervisor.config, this.setup, this.design, this.devices, this.symmetric)
  }

  /** Virtual time: the steps taken, plus the time that was let pass. */
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
   * What has changed since a snapshot, an entry for each register field; program counters as steps, handles by name.
   */
  diff(image: ImageBytes): Difference[] {
    return this.hypervisor.state.diff(image)
  }

  /** Whether an actor can take a step. */
  stateOf(actor: Actor): ActorState {
    return this.stateOfOwn(this.checked(actor))
  }

  /** Whether an actor can take a step, which is one of this machine's. */
  stateOfOwn({ kind, index, detail }: Actor): ActorState {
    if (kind === 'device') return this.deviceSteps.stateOf(index)
    if (kind === 'effect') return this.isUnderWay(index, detail) ? 'ready' : 'asleep'
    const thread = this.threadOf(index)
    if (kind === 'vcpu' && thread === THREAD_ENDED) return 'done'
    return this.canStep(actorKinds[kind], index, detail, thread) ? 'ready' : 'asleep'
  }

  /** The state of a vCPU's thread, a THREAD_ value. */
  threadOf(index: number): number {
    const { runLoop } = this.hypervisor
    return runLoop.threadState(this.hypervisor.vcpu(index))
  }

  /**
   * Whether an actor can take a step, by the number of its kind; `thread` is the state of its vCPU's thread, if it is, or acts
   * on, a vCPU.
   */
  canStep(kind: number, index: number, detail: number, thread: number): boolean {
    const { hypervisor } = this
    switch (kind) {
      case actorKinds.vcpu:
        return this.canVcpuStep(hypervisor.vcpu(index), thread)
      case actorKinds.device:
        return this.deviceSteps.stateOf(index) === 'ready'
      case actorKinds.timer:
        return hypervisor.timers.isArmed(hypervisor.vcpu(index), detail)
      case actorKinds.preempt:
        return hypervisor.scheduler.canPreempt(hypervisor.vcpu(index))
      case actorKinds.tick:
        return thread === THREAD_IN_GUEST && this.canTick(hypervisor.vcpu(index))
      case actorKinds.migrate:
        return thread === THREAD_WAITS_FOR_CPU && this.canMigrate(hypervisor.vcpu(index), detail)
      default:
        return this.isUnderWay(index, detail)
    }
  }

  /**
   * The virtual time at which a device's next step, or a timer's expiry, is due in a plain run; undefined if it has
   * none.
   */
  dueAt(actor: Actor): number | undefined {
    return this.dueAtOwn(this.checked(actor))
  }

  /** The same for an actor that is one of this machine's. */
  dueAtOwn({ kind, index, detail }: Actor): number | undefined {
    const { hypervisor } = this
    if (kind === 'timer') return hypervisor.timers.deadline(hypervisor.vcpu(index), detail)
    return kind === 'device' ? this.deviceSteps.next(index)?.notBefore : undefined
  }

  /** Takes one step of an actor; does nothing if it is not ready. */
  step(actor: Actor): void {
    if (this.stateOf(actor) === 'ready') this.perform(actor)
  }

  /** Takes one step of an actor that is ready. */
  perform(actor: Actor): void {
    const { hypervisor } = this
    const { kind, index, detail } = actor
    tick(hypervisor.words, this.now)
    switch (kind) {
      case 'vcpu':
        this.stepVcpu(hypervisor.vcpu(index))
        return
      case 'device':
        this.deviceSteps.step(index)
        return
      case 'timer':
        hypervisor.timers.expire(hypervisor.vcpu(index), detail)
        return
      case 'preempt':
        hypervisor.scheduler.preempt(hypervisor.vcpu(index))
        return
      case 'tick':
        hypervisor.hostInterrupts.tick(peOf(hypervisor.words, hypervisor.vcpu(index)))
        return
      case 'migrate':
        hypervisor.scheduler.switchIn(hypervisor.vcpu(index), detail)
        return
      case 'effect':
        this.completeEffect(index, detail)
    }
  }

  /** Whether an effect of the silicon is under way. */
  private isUnderWay(cpu: number, effect: number): boolean {
    const { silicon } = this.hypervisor
    if (effect === EFFECT_DIRTY) return silicon.residency?.isLagging(cpu) ?? false
    if (effect === EFFECT_MESSAGE) return silicon.its[0].messages.count > 0
    if (effect === EFFECT_MAINTENANCE) return silicon.lines.isMaintenanceLagging(silicon.peOf(cpu))
    return this.doorbellTo(cpu) >= 0
  }

  /** The first doorbell that is on its way to a CPU; -1 if none is. */
  private doorbellTo(cpu: number): number {
    const { vpes } = this.hypervisor.silicon
    for (let n = 0; vpes && n < vpes.doorbells.count; n++) if (vpes.doorbells.cpuOf(n) === cpu) return n
    return -1
  }

  private completeEffect(cpu: number, effect: number): void {
    const { silicon } = this.hypervisor
    if (effect === EFFECT_DIRTY) silicon.residency?.complete(cpu)
    else if (effect === EFFECT_MESSAGE) silicon.its[0].translateMessage(0)
    else if (effect === EFFECT_MAINTENANCE) silicon.lines.completeMaintenance(silicon.peOf(cpu))
    else silicon.vpes?.doorbells.deliver(this.doorbellTo(cpu))
    silicon.settle()
  }

  /** Takes one step of a vCPU's thread, which must be ready for one, and returns its outcome. */
  stepThread({ index }: Actor): number {
    tick(this.hypervisor.words, this.now)
    return this.ghosts.stepThread(this.hypervisor.vcpu(index))
  }

  /**
   * Makes the machine independent of virtual time, which is not part of the hashed state: halt polling's windows,
   * which depend on how long halts take, stay open.
   */
  prepareExploration(): void {
    this.hypervisor.halt.adapts = false
    this.hypervisor.halt.openWindows()
    this.hypervisor.v4?.vpes.driver.beginRewinding()
  }

  /** Advances virtual time to `until`; does nothing if that is past. */
  passTime(until: number): void {
    argumentInteger('until', until, 0, Number.MAX_SAFE_INTEGER)
    setTime(this.hypervisor.words, this.now, Math.max(this.time, until))
  }

  /** Returns the actor of this machine that equals the one given; throws an `argument` error if there is none. */
  private checked(actor: Actor): Actor {
    return typeof actor === 'object' && actor !== null && this.has(actor) ? actor : refuseActor(actor)
  }

  private has({ kind, index, detail }: Actor): boolean {
    const { config } = this.hypervisor
    const { cpus } = config
    const count = kind === 'device' ? this.devices.length : kind === 'effect' ? cpus : this.setup.vcpus
    if (!Number.isInteger(index) || index < 0 || index >= count) return false
    if (kind === 'timer') return Number.isInteger(detail) && detail >= 0 && detail < timerNames.length
    if (kind === 'effect')
      return this.effects.some((effect) => effect.index === index && effect.detail === detail)
    if (kind === 'migrate') return Number.isInteger(detail) && detail >= 0 && detail < config.cpus
    return kind === 'vcpu' || kind === 'device' || kind === 'preempt' || kind === 'tick'
  }

  /** Whether a vCPU can take a step. */
  isReady(v: Vcpu): boolean {
    return this.canVcpuStep(v, this.hypervisor.runLoop.threadState(v))
  }

  private canVcpuStep(v: Vcpu, thread: number): boolean {
    const { runLoop, guest, scheduler, words } = this.hypervisor
    if (this.isSaved && this.saves.isInUserspace(v) && this.deviceSteps.userspace.isUnderWay()) return false
    switch (thread) {
      case THREAD_ENDED:
      case THREAD_SLEEPS:
        return false
      case THREAD_WAITS_FOR_VCPUS:
        return this.isWanted(words[v + VCPU_LAST_CPU])
      case THREAD_IN_GUEST:
        return !guest.isWaiting(v)
      case THREAD_WAITS_FOR_CPU:
        return scheduler.current(words[v + VCPU_LAST_CPU]) === 0 && !runLoop.waitsForVcpus(v)
      default:
        return true
    }
  }

  /** Whether the host's tick can interrupt a guest that runs: no tick is pending. */
  private canTick(v: Vcpu): boolean {
    const { hostInterrupts, words } = this.hypervisor
    return !hostInterrupts.isTicking(peOf(words, v))
  }

  /** Whether a thread that waits for a PE can be moved to another than its last. */
  private canMigrate(v: Vcpu, cpu: number): boolean {
    const { scheduler, words } = this.hypervisor
    return scheduler.current(cpu) === 0 && cpu !== words[v + VCPU_LAST_CPU]
  }

  /** Whether a runnable thread waits for a CPU. */
  private isWanted(cpu: number): boolean {
    const { words, runLoop, scheduler, layout } = this.hypervisor
    for (let i = 0; i < layout.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      if (words[v + VCPU_LAST_CPU] === cpu && scheduler.wantsCpu(v) && !runLoop.waitsForVcpus(v)) return true
    }
    return false
  }

  /**
   * A thread that waits for its PE gets it, once it is free, in a step of its own. One that waits for other vCPUs
   * sleeps (KVM's vcpu_req_sleep); it gives its PE up only if another thread waits for that.
   */
  private stepVcpu(v: Vcpu): void {
    const { hypervisor } = this
    const { runLoop, scheduler, words } = hypervisor
    if (words[v + VCPU_PE] === 0) {
      scheduler.switchIn(v, words[v + VCPU_LAST_CPU])
      return
    }
    const state = runLoop.threadState(v)
    if (state === THREAD_IN_GUEST) this.ghosts.stepGuest(v)
    else if (state === THREAD_WAITS_FOR_VCPUS) scheduler.switchOut(v)
    else this.ghosts.stepThread(v)
  }
}

function refuseActor(actor: unknown): never {
  throw new VgicError(
    'argument',
    `actor must be one of this machine's actors or of its environment, but is ${shown(actor)}.`,
  )
}

/**
 * esbuild renames a class that refers to itself in its body, and the new name would be printed. Hence this function.
 */
const machineOf = (...parts: ConstructorParameters<typeof Machine>): Machine => new Machine(...parts)
