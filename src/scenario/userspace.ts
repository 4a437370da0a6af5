/**
 * The devices that stand for userspace: when one of them can save the VM, or restore it, and who waits for that. It needs all
 * vCPUs in userspace, or off; they stay there until it is done. From a save that is restored on no other device does
 * anything: a restore makes another VM, which knows nothing of an injection that is under way, and of no edge that comes
 * after the save.
 */
import type { Hypervisor } from '../hyp/hypervisor.ts'
import type { Vcpu } from '../hyp/records/vcpu.ts'
import { ENDED, type NextPc } from '../hyp/run/program.ts'
import type { DeviceProgram, DeviceStep } from './device-builder.ts'
import { DEVICE_IMAGE, DEVICE_PC } from './device-record.ts'
import type { Restores } from './restores.ts'
import type { Saves } from './saves.ts'

/** What this needs of DeviceSteps, which makes it. */
interface Devices {
  readonly hypervisor: Hypervisor
  readonly devices: readonly DeviceProgram[]
  /** Offset of a device's record. */
  recordOf(index: number): number
  /** The next step of a device's program, and where the design's steps for it are. */
  next(index: number): DeviceStep | undefined
  injectionOf(index: number): NextPc
  nextInjection(index: number): NextPc
  goOn(index: number, pc: NextPc, target: Vcpu | 0): void
}

export class Userspace {
  /** The devices that save the VM, by index, and those of them that restore it, too. */
  private readonly savers: readonly number[]
  private readonly restorers: readonly number[]

  constructor(
    private readonly deviceSteps: Devices,
    private readonly saves: Saves,
    /** undefined if no device restores the VM. */
    private readonly restores: Restores | undefined,
  ) {
    this.savers = thoseThat(deviceSteps.devices, ({ save }) => save === true)
    this.restorers = thoseThat(deviceSteps.devices, ({ restore }) => restore !== undefined)
  }

  /** Whether a device can save the VM, or restore it, or go on with that; `done` if its restore was refused. */
  stateOf(index: number, { restore }: DeviceStep): 'ready' | 'asleep' | 'done' {
    if (restore !== undefined && this.restores?.isRefused) return 'done'
    return this.saves.isStopped() && !this.isUnderWay(index) && this.isQuiet(index) ? 'ready' : 'asleep'
  }

  /** Whether no injection is under way that would go on in another VM. */
  private isQuiet(index: number): boolean {
    const { deviceSteps } = this
    if (!this.restorers.includes(index)) return true
    return deviceSteps.devices.every(
      (_, other) => other === index || deviceSteps.injectionOf(other) === ENDED,
    )
  }

  /** Whether a save or a restore is under way, by another device than one that asks, during which no vCPU leaves userspace. */
  isUnderWay(asks = -1): boolean {
    return this.savers.some((index) => index !== asks && this.holdsVcpus(index))
  }

  private holdsVcpus(index: number): boolean {
    const next = this.deviceSteps.next(index)
    return (
      next?.restore !== undefined || (next?.save === true && this.deviceSteps.injectionOf(index) !== ENDED)
    )
  }

  /** Whether other devices wait. */
  get stopsDevices(): boolean {
    return this.restorers.some(
      (index) =>
        this.deviceSteps.next(index)?.restore !== undefined ||
        (this.deviceSteps.injectionOf(index) !== ENDED && this.isRestored(index)),
    )
  }

  /** Whether what a device's next step saves is restored. */
  private isRestored(index: number): boolean {
    const { devices, hypervisor } = this.deviceSteps
    const pc = hypervisor.words[this.deviceSteps.recordOf(index) + DEVICE_PC]
    return devices[index].steps[pc + 1]?.restore !== undefined
  }

  /** A step of a save; at its end the image is forgotten, unless it is restored. */
  save(index: number): void {
    const { deviceSteps, saves, restores } = this
    const { words, injection } = deviceSteps.hypervisor
    const pc = deviceSteps.nextInjection(index)
    const device = deviceSteps.recordOf(index)
    const isRestored = this.isRestored(index)
    if (saves.savesInterrupts(pc)) {
      const saved = saves.take(pc)
      if (isRestored && saved) restores?.keep(saved)
    }
    const after = injection.after(pc, 0)
    words[device + DEVICE_IMAGE] = after === ENDED ? 0 : saves.imageAfter(pc, words[device + DEVICE_IMAGE])
    deviceSteps.goOn(index, after, 0)
    // What could not be saved is not restored.
    if (after === ENDED && isRestored && !restores?.isKept) words[device + DEVICE_PC]++
  }

  /** A step of a restore. One that is refused is the last. */
  restore(index: number, into: NonNullable<DeviceStep['restore']>): void {
    const { deviceSteps, restores } = this
    const pc = deviceSteps.nextInjection(index)
    restores?.step(pc, into)
    if (restores?.isRefused) return
    const after = deviceSteps.hypervisor.injection.after(pc, 0)
    if (after === ENDED) restores?.finish()
    deviceSteps.goOn(index, after, 0)
  }
}

/** The devices with such a step, by index. */
const thoseThat = (
  devices: readonly DeviceProgram[],
  isOne: (step: DeviceStep) => boolean,
): readonly number[] => [...devices.keys()].filter((index) => devices[index].steps.some(isOne))
