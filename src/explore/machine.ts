/**
 * A scenario's machine: a hypervisor with its VM, and the devices. Its actors are the vCPUs and the devices;
 * whoever drives it decides which actor takes the next step.
 */
import { intidName } from '../arch/intid.ts'
import type { CheckedGicConfig } from '../gic/config.ts'
import type { Design } from '../hyp/design.ts'
import { GUEST_PC, GUEST_VALUE, OP_ACK, OP_WORDS } from '../hyp/guest.ts'
import { Hypervisor, type VmSetup } from '../hyp/hypervisor.ts'
import { THREAD_ENDED, THREAD_IN_GUEST, THREAD_SLEEPS } from '../hyp/run-loop.ts'
import {
  exitNames,
  VCPU_EXITS,
  VCPU_KICKED,
  VCPU_PC,
  VCPU_PE,
  VCPU_SLEEPS,
  VCPU_SYSREG_READS,
  VCPU_SYSREG_WRITES,
} from '../hyp/vcpu.ts'
import { recordType } from '../state/layout.ts'
import type { Difference } from '../state/machine-state.ts'
import { argumentInteger } from '../state/vgic-error.ts'
import type { DeviceProgram } from './device.ts'

/** Whoever can take steps. */
export interface Actor {
  /** What it is. */
  readonly kind: 'vcpu' | 'device'
  /** Which of its kind, from 0. */
  readonly index: number
  /** `vcpu0`, or the device's name. */
  readonly name: string
}

/** What an actor can do: take a step, nothing until somebody else does something, or nothing any more. */
export type ActorState = 'ready' | 'asleep' | 'done'

/** A crossing of the seam between the hypervisor and the silicon. */
export interface Access {
  /** Which way. */
  readonly kind: 'read' | 'write'
  /** The register's encoding. */
  readonly encoding: number
  /** Bits 31:0 of the value, signed. */
  readonly low: number
  /** Bits 63:32 of the value, signed. */
  readonly high: number
}

/** A step that was taken. */
export interface StepEvent {
  /** Virtual time: how many steps were taken before. */
  readonly time: number
  /** Who took it. */
  readonly actor: Actor
  /** Where the step belongs: `wfi/halt`, `guest`, or nothing for a device. */
  readonly place: string
  /** What was done. */
  readonly what: string
  /** The INTID that the guest acknowledged in this step, 1023 included. */
  readonly acknowledged?: number
  /** The seam's crossings, in order. */
  readonly accesses: readonly Access[]
  /** List registers of the vCPU's PE that the guest changed, by number. */
  readonly listRegisters: readonly ListRegisterChange[]
}

/** A list register before and after a step of the guest. */
export interface ListRegisterChange {
  /** n of ICH_LR<n>_EL2. */
  readonly number: number
  /** Its two halves before, signed. */
  readonly before: readonly [low: number, high: number]
  /** Its two halves after. */
  readonly after: readonly [low: number, high: number]
}

/** What a vCPU has done so far. */
export interface VcpuCounts {
  /** How often it left the guest. */
  readonly exits: number
  /** How often its thread went to sleep. */
  readonly sleeps: number
  /** System registers that the hypervisor read for it. */
  readonly sysregReads: number
  /** System registers that the hypervisor wrote for it. */
  readonly sysregWrites: number
}

const DEVICE = (count: number) =>
  recordType('devices', [{ name: 'pc', at: 0, count: Math.max(count, 1), class: 'authoritative' }])
const CLOCK = recordType('clock', [{ name: 'time', at: 0, class: 'observational' }])

/** The exit that takes a physical interrupt. */
const EXIT_FOR_INTERRUPT = 0

/** A machine that a scenario starts. One step of one actor at a time; its state can be saved and put back. */
export class ScenarioMachine {
  /** vCPUs first, then devices. */
  readonly actors: readonly Actor[]
  /** @internal */
  readonly hypervisor: Hypervisor
  private readonly devicePc: number
  private readonly clock: number

  /** @internal */
  constructor(
    config: CheckedGicConfig,
    private readonly setup: VmSetup,
    design: Design,
    private readonly devices: readonly DeviceProgram[],
  ) {
    const device = DEVICE(devices.length)
    this.hypervisor = new Hypervisor(config, setup, design, [
      [device, 1],
      [CLOCK, 1],
    ])
    this.devicePc = this.hypervisor.state.layout.baseOf(device)
    this.clock = this.hypervisor.state.layout.baseOf(CLOCK)
    this.actors = [
      ...Array.from({ length: setup.vcpus }, (_, index) => ({
        kind: 'vcpu' as const,
        index,
        name: `vcpu${index}`,
      })),
      ...devices.map(({ name }, index) => ({ kind: 'device' as const, index, name })),
    ]
  }

  /** Virtual time: how many steps were taken. */
  get time(): number {
    return this.hypervisor.words[this.clock]
  }

  /** A copy of the whole state. */
  snapshot(): ArrayBuffer {
    return this.hypervisor.state.snapshot()
  }

  /** Goes back to a snapshot of this scenario's machine. Throws a `VgicError` for any other image. */
  restore(image: ArrayBuffer): void {
    this.hypervisor.state.restore(image)
  }

  /** A 53-bit hash of the state without counters and the clock: equal states have equal hashes. */
  hash(): number {
    return this.hypervisor.state.hash()
  }

  /** What changed since a snapshot, a register field at a time. */
  diff(image: ArrayBuffer): Difference[] {
    return this.hypervisor.state.diff(image)
  }

  /** What an actor can do. */
  stateOf({ kind, index }: Actor): ActorState {
    const { runLoop, guest } = this.hypervisor
    if (kind === 'device') return this.nextDeviceStep(index) ? 'ready' : 'done'
    const v = this.hypervisor.vcpu(index)
    const state = runLoop.threadState(v)
    if (state === THREAD_ENDED) return 'done'
    if (state === THREAD_SLEEPS || (state === THREAD_IN_GUEST && guest.isWaiting(v))) return 'asleep'
    return 'ready'
  }

  /** When a device's next step may happen in a plain run; undefined if it waits until nothing else can go on. */
  notBefore({ kind, index }: Actor): number | undefined {
    return kind === 'device' ? this.nextDeviceStep(index)?.notBefore : undefined
  }

  /** Takes one step of an actor, which must be ready. */
  step(actor: Actor): void {
    const { hypervisor } = this
    if (this.stateOf(actor) !== 'ready') return
    hypervisor.words[this.clock]++
    if (actor.kind === 'device') {
      this.stepDevice(actor.index)
      return
    }
    const v = hypervisor.vcpu(actor.index)
    if (hypervisor.runLoop.threadState(v) === THREAD_IN_GUEST) hypervisor.stepGuest(v)
    else hypervisor.runLoop.step(v)
  }

  /** Takes one step of an actor and tells what happened. */
  trace(actor: Actor): StepEvent {
    const { hypervisor } = this
    const accesses: Access[] = []
    const time = this.time
    hypervisor.seam.observer = (_vcpu, isRead, encoding, low, high) => {
      accesses.push({ kind: isRead ? 'read' : 'write', encoding, low, high })
    }
    try {
      const told = actor.kind === 'device' ? this.traceDevice(actor) : this.traceVcpu(actor)
      return { time, actor, accesses, ...told }
    } finally {
      hypervisor.seam.observer = null
    }
  }

  /** What a vCPU has done so far. */
  counts(vcpu: number): VcpuCounts {
    const { words } = this.hypervisor
    const v = this.hypervisor.vcpu(argumentInteger('vcpu', vcpu, 0, this.setup.vcpus - 1))
    return {
      exits: words[v + VCPU_EXITS],
      sleeps: words[v + VCPU_SLEEPS],
      sysregReads: words[v + VCPU_SYSREG_READS],
      sysregWrites: words[v + VCPU_SYSREG_WRITES],
    }
  }

  private nextDeviceStep(index: number) {
    return this.devices[index].steps[this.hypervisor.words[this.devicePc + index]]
  }

  private stepDevice(index: number): void {
    const { hypervisor } = this
    const next = this.nextDeviceStep(index)
    const irq = hypervisor.apLists.irqOf(hypervisor.vcpu(next.vcpu), next.intid)
    hypervisor.words[this.devicePc + index]++
    for (const level of next.levels) hypervisor.apLists.inject(irq, level)
  }

  private traceDevice(actor: Actor): Pick<StepEvent, 'place' | 'what' | 'listRegisters'> {
    const what = this.nextDeviceStep(actor.index)?.name ?? ''
    this.step(actor)
    return { place: '', what, listRegisters: [] }
  }

  private traceVcpu(actor: Actor): Pick<StepEvent, 'place' | 'what' | 'listRegisters' | 'acknowledged'> {
    const { hypervisor } = this
    const v = hypervisor.vcpu(actor.index)
    if (hypervisor.runLoop.threadState(v) === THREAD_IN_GUEST) return this.traceGuest(v)
    const { paths, steps } = hypervisor.runLoop.program
    const pc = hypervisor.words[v + VCPU_PC]
    const path = paths[pc].split('/')
    hypervisor.words[this.clock]++
    const result = hypervisor.runLoop.step(v)
    const outcome = steps[pc]?.outcomes[result]
    const name = path.pop() ?? ''
    return {
      place: path.join('/'),
      what: name === 'guest' ? 'enters the guest' : outcome === undefined ? name : `${name} ${outcome}`,
      listRegisters: [],
    }
  }

  private traceGuest(v: number): Pick<StepEvent, 'place' | 'what' | 'listRegisters' | 'acknowledged'> {
    const { hypervisor } = this
    const { words, silicon, guest } = hypervisor
    const pe = words[v + VCPU_PE]
    const program = this.setup.guests[Math.floor((v - hypervisor.place.vcpus) / hypervisor.place.vcpuSize)]
    const before = this.listRegisters(pe)
    const at = words[v + GUEST_PC]
    const doing = guest.next(v, program)
    const cause = words[v + VCPU_KICKED] !== 0 ? 'a kick' : 'the maintenance interrupt'
    words[this.clock]++
    const exit = hypervisor.stepGuest(v)
    const listRegisters = before.flatMap((was, number): ListRegisterChange[] => {
      const after = [silicon.ich.readLrLow(pe, number), silicon.ich.readLrHigh(pe, number)] as const
      return exit >= 0 || (after[0] === was[0] && after[1] === was[1]) ? [] : [{ number, before: was, after }]
    })
    const left = exit >= 0 ? ` -> exit (${exitNames[exit]})` : ''
    if (exit === EXIT_FOR_INTERRUPT)
      return { place: 'guest', what: `interrupted by ${cause}${left}`, listRegisters }
    if (doing !== 'operation') return { place: 'guest', what: `takes a virtual ${doing}`, listRegisters }
    const what = `${program.names[at]}${left}`
    if (program.ops[at * OP_WORDS] !== OP_ACK || exit >= 0) return { place: 'guest', what, listRegisters }
    const acknowledged = words[v + GUEST_VALUE]
    return { place: 'guest', what: `${what} = ${intidName(acknowledged)}`, acknowledged, listRegisters }
  }

  private listRegisters(pe: number): (readonly [number, number])[] {
    const { silicon } = this.hypervisor
    return Array.from({ length: silicon.config.listRegisters }, (_, n) => [
      silicon.ich.readLrLow(pe, n),
      silicon.ich.readLrHigh(pe, n),
    ])
  }
}
