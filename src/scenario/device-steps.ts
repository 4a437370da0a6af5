/**
 * The devices of a scenario's machine, and their steps. An injection, a message, a save or a restore goes through the list of
 * steps that the design has for it; a signal is one step, and so is the line of a mapped SPI.
 */
import { postRequest } from '../hyp/host/kick.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { asPc, asVcpu, REQ_SIGNAL, type Vcpu } from '../hyp/records/vcpu.ts'
import { asIrq, type Irq } from '../hyp/records/vgic-irq.ts'
import type { Message } from '../hyp/run/message.ts'
import { ENDED, type NextPc } from '../hyp/run/program.ts'
import type { DeviceProgram, DeviceStep } from './device-builder.ts'
import { DEVICE_HOLDS, DEVICE_INJECT, DEVICE_LPI, DEVICE_PC, DEVICE_TARGET } from './device-record.ts'
import type { Ghosts } from './ghosts.ts'
import type { Restores } from './restores.ts'
import type { Saves } from './saves.ts'
import { Userspace } from './userspace.ts'

/** The state of a device as an actor. */
type DeviceState = 'ready' | 'asleep' | 'done'

/** What a device's next step is: none; it drives a line, sends a signal or a message, saves the VM or restores it. */
const IS_DONE = 0
export const DRIVES = 1
export const SIGNALS = 2
const SENDS_MESSAGE = 3
export const SAVES_VM = 4
export const RESTORES_VM = 5

export class DeviceSteps {
  readonly userspace: Userspace
  private readonly words: Int32Array
  /** Where each device's steps begin in the next two. */
  private readonly firsts: Int32Array
  /** What each step is; after a device's last one comes {@link IS_DONE}. */
  private readonly kinds: Uint8Array
  /** The interrupt whose line it drives. */
  private readonly inputs: Int32Array

  constructor(
    readonly hypervisor: Hypervisor,
    readonly devices: readonly DeviceProgram[],
    private readonly ghosts: Ghosts,
    saves: Saves,
    /** undefined if no device restores the VM. */
    private readonly restores: Restores | undefined,
    /** The offset of the first device's record, and the words of each. */
    private readonly base: number,
    private readonly size: number,
  ) {
    this.userspace = new Userspace(this, saves, restores)
    this.words = hypervisor.words
    const all = devices.map(({ steps }) => steps)
    this.firsts = Int32Array.from(all, (_, index) => all.slice(0, index).flat().length + index)
    this.kinds = Uint8Array.from(all.flatMap((steps) => [...steps.map(kindOf), IS_DONE]))
    this.inputs = Int32Array.from(
      all.flatMap((steps) => [
        ...steps.map(({ intid, vcpu }) => hypervisor.apLists.irqOf(hypervisor.vcpu(vcpu), intid)),
        0,
      ]),
    )
  }

  /** Offset of a device's record. */
  recordOf(index: number): number {
    return this.base + index * this.size
  }

  /** What a device's next step is. */
  kindOf(index: number): number {
    return this.kinds[this.firsts[index] + this.words[this.recordOf(index) + DEVICE_PC]]
  }

  /** The next step of a device; undefined when it is done. */
  next(index: number): DeviceStep | undefined {
    return this.devices[index].steps[this.pcOf(index)]
  }

  private pcOf(index: number): number {
    return this.words[this.recordOf(index) + DEVICE_PC]
  }

  /** The program counter, in the design, of a device's injection, message, save or restore; 0 if none is under way. */
  injectionOf(index: number): NextPc {
    return asPc(this.hypervisor.words[this.recordOf(index) + DEVICE_INJECT])
  }

  /** The program counter of the next step of a device's injection, message, save or restore. */
  nextInjection(index: number): NextPc {
    const underWay = this.injectionOf(index)
    return underWay !== 0 ? underWay : this.beginOf(this.kindOf(index))
  }

  private beginOf(kind: number): NextPc {
    const { inject, msi, save, restore } = this.hypervisor.runLoop.program
    if (kind === SENDS_MESSAGE) return msi
    if (kind === SAVES_VM) return save
    return kind === RESTORES_VM ? restore : inject
  }

  /** The interrupt whose line a device's next step drives, or its message's LPI, in a state. */
  inputOf(index: number, words: Int32Array): Irq {
    const step = this.firsts[index] + words[this.recordOf(index) + DEVICE_PC]
    if (this.kinds[step] === SENDS_MESSAGE) return asIrq(words[this.recordOf(index) + DEVICE_LPI])
    return asIrq(this.inputs[step])
  }

  /** The LPI that a device's message was translated to; 0 if there is none. `held`: if the message has a reference. */
  messageLpi(index: number, held: boolean): Irq | 0 {
    const { words } = this.hypervisor
    const at = this.recordOf(index)
    return held && words[at + DEVICE_HOLDS] === 0 ? 0 : asIrq(words[at + DEVICE_LPI])
  }

  /** Whether a device's message waits for its_lock. */
  waitsForIts(index: number): boolean {
    const message = this.next(index)?.msi
    if (message === undefined || this.isBound(message)) return false
    return this.hypervisor.messages.waits(this.nextInjection(index), message)
  }

  /** Whether an unfinished injection is still to notify a vCPU. */
  injectsFor(v: Vcpu): boolean {
    for (let i = 0; i < this.devices.length; i++) {
      if (this.hypervisor.words[this.recordOf(i) + DEVICE_TARGET] === v) return true
    }
    return false
  }

  /**
   * The vCPU that a device's last step notified, if it queued no interrupt; 0 if none. `before` is the state before
   * that step; a target that the step itself determined is in the current state.
   */
  notifiedBy(index: number, before: Int32Array): Vcpu | 0 {
    const device = this.recordOf(index)
    const { signal, vcpu } = this.devices[index].steps[before[device + DEVICE_PC]]
    if (signal) return this.hypervisor.vcpu(vcpu)
    return asVcpu(before[device + DEVICE_TARGET] || this.hypervisor.words[device + DEVICE_TARGET])
  }

  /**
   * The program counter at which a device is done, if it can step until then, whatever others do; else -1. No step that may
   * wait, which {@link stateOf} says, is among such a device's.
   */
  endOf(index: number): number {
    const { steps } = this.devices[index]
    return this.restores === undefined && steps.every(({ msi, save }) => !msi && !save) ? steps.length : -1
  }

  /** Whether a device can take a step. */
  stateOf(index: number): DeviceState {
    const kind = this.kindOf(index)
    if (kind === IS_DONE) return 'done'
    if (kind >= SAVES_VM) return this.userspace.stateOf(index, this.devices[index].steps[this.pcOf(index)])
    if (this.restores !== undefined && this.userspace.stopsDevices) return 'asleep'
    return kind === SENDS_MESSAGE && this.waitsForIts(index) ? 'asleep' : 'ready'
  }

  /**
   * One step of a device: of its injection, in the design's order, or of its program. The line of a mapped SPI is
   * wired to the distributor, and needs no injection.
   */
  step(index: number): void {
    const kind = this.kindOf(index)
    if (kind === DRIVES) this.drive(index)
    else if (kind !== IS_DONE) this.stepOther(index, this.devices[index].steps[this.pcOf(index)])
  }

  private stepOther(index: number, { vcpu, signal, msi, save, restore }: DeviceStep): void {
    if (signal) this.signal(index, this.hypervisor.vcpu(vcpu))
    else if (save) this.userspace.save(index)
    else if (msi) this.stepMessage(index, msi)
    else if (restore) this.userspace.restore(index, restore)
  }

  private drive(index: number): void {
    const { words } = this
    const { injection, mapped } = this.hypervisor
    const { levels } = this.devices[index].steps[this.pcOf(index)]
    const irq = this.inputOf(index, words)
    if (mapped.isMappedSpi(irq) === true) {
      this.driveMapped(index, irq, levels)
      return
    }
    const pc = this.nextInjection(index)
    const target = injection.step(pc, irq, levels, this.targetOf(index))
    if (injection.queues(pc) === true && levels.includes(1)) this.ghosts.injected(irq)
    this.goOn(index, injection.after(pc, target), target)
  }

  /** A step of a message; that of an assigned device goes to the host's ITS in one. */
  private stepMessage(index: number, message: Message): void {
    const { messages, injection } = this.hypervisor
    const at = this.recordOf(index) + DEVICE_LPI
    const pc = this.nextInjection(index)
    if (pc === this.hypervisor.runLoop.program.msi && this.sendToHost(message.deviceId, message.eventId)) {
      this.goOn(index, ENDED, 0)
      return
    }
    const irq = this.messageLpi(index, false)
    const target = messages.step(pc, at, message, this.targetOf(index))
    if (injection.queues(pc) && irq !== 0) this.ghosts.injected(irq)
    const after = messages.after(pc, at, target)
    if (after === ENDED) messages.forget(at)
    this.goOn(index, after, target)
  }

  private driveMapped(index: number, irq: Irq, levels: DeviceStep['levels']): void {
    for (const level of levels) {
      this.hypervisor.mapped.setInput(irq, level)
      if (level === 1) this.ghosts.injected(irq)
    }
    this.hypervisor.words[this.recordOf(index) + DEVICE_PC]++
  }

  private signal(index: number, v: Vcpu): void {
    const { words, kicks } = this.hypervisor
    postRequest(words, v, REQ_SIGNAL)
    kicks.kick(v)
    words[this.recordOf(index) + DEVICE_PC]++
  }

  /** A device's injection or message goes on at a program counter; at its end the device does. */
  goOn(index: number, pc: NextPc, target: Vcpu | 0): void {
    const { words } = this.hypervisor
    const device = this.recordOf(index)
    words[device + DEVICE_INJECT] = pc
    words[device + DEVICE_TARGET] = pc === ENDED ? 0 : target
    if (pc === ENDED) words[device + DEVICE_PC]++
  }

  private targetOf(index: number): Vcpu | 0 {
    return asVcpu(this.hypervisor.words[this.recordOf(index) + DEVICE_TARGET])
  }

  /** Whether a message goes to the host's ITS: that of an assigned device whose interrupt is enabled. */
  private isBound({ deviceId, eventId }: Message): boolean {
    const { v4 } = this.hypervisor
    return v4?.forwarding.isBound(v4.forwarding.find(deviceId | 0, eventId | 0)) ?? false
  }

  /** An assigned device sends a message to the host's ITS; false if the device is not assigned. */
  sendToHost(deviceId: number, eventId: number): boolean {
    const { v4, silicon } = this.hypervisor
    const n = v4?.forwarding.find(deviceId | 0, eventId | 0) ?? -1
    if (!v4?.forwarding.isBound(n)) return false
    const irq = v4.forwarding.lpiOf(n)
    if (irq !== 0) this.ghosts.injected(irq)
    silicon.its[0].receive(deviceId | 0, eventId | 0)
    silicon.settle()
    return true
  }
}

function kindOf({ signal, msi, save, restore }: DeviceStep): number {
  if (signal) return SIGNALS
  if (msi) return SENDS_MESSAGE
  if (save) return SAVES_VM
  return restore ? RESTORES_VM : DRIVES
}
