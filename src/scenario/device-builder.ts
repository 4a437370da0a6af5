/** Builds devices. A device is a short program of steps that drive interrupt lines. */
import { intidName } from '../arch/intid.ts'
import {
  argumentInteger,
  argumentNumber,
  argumentOneOf,
  argumentOptions,
  type Fields,
} from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { LATEST_TIME } from '../hyp/records/virtual-time.ts'
import type { Message } from '../hyp/run/message.ts'
import type { RestoredVm } from './restores.ts'

/** One step of a device. */
export interface DeviceStep {
  readonly name: string
  readonly intid: number
  /** The vCPU whose PPI it is; 0 for SPIs. */
  readonly vcpu: number
  /** The levels that the line takes in the step, in order. */
  readonly levels: readonly (0 | 1)[]
  /** The virtual time at which the step is due in a plain run; if undefined, when nothing else can go on. */
  readonly notBefore: number | undefined
  /** The step is a signal to the vCPU's thread, and drives no line. */
  readonly signal?: true
  /** The step sends a message to an ITS. */
  readonly msi?: Message
  /** The step saves the VM. */
  readonly save?: true
  /** The step restores what the one before has saved, into this VM. */
  readonly restore?: RestoredVm
}

/** How userspace restores a VM. */
export interface RestoreOptions {
  /**
   * Into which VM. A `fresh` one (the default) is as KVM makes it, as at the end of a migration: it has the guest's memory
   * and the vCPUs' own registers, and its vGIC is reset. The `same` one has all that it had; its ITSs are reset.
   */
  readonly into?: 'fresh' | 'same'
}

const restoreFields: Fields<RestoreOptions> = { into: true }

/** A device's program. */
export interface DeviceProgram {
  readonly name: string
  readonly steps: readonly DeviceStep[]
}

/** Writes a device's steps. Each call but `at` adds one; all return the builder. */
export class DeviceBuilder {
  private readonly steps: DeviceStep[] = []
  private time: number | undefined

  /** @internal */
  constructor(private readonly name: string) {}

  /**
   * In a plain run the steps from here on are taken at this virtual time, up to 2^52, or as soon as possible after
   * it; without a time, when nothing else can go on. An exploration tries every moment regardless.
   */
  at(time: number): this {
    this.time = argumentInteger('time', time, 0, LATEST_TIME)
    return this
  }

  /** Raises the line of an SPI, or of a vCPU's PPI that is not a timer's. */
  raise(intid: number, vcpu = 0): this {
    return this.add('raises', intid, vcpu, [1])
  }

  /** Lowers the line of an SPI, or of a vCPU's PPI that is not a timer's. */
  lower(intid: number, vcpu = 0): this {
    return this.add('lowers', intid, vcpu, [0])
  }

  /** Raises and lowers the line in one step. */
  pulse(intid: number, vcpu = 0): this {
    return this.add('pulses', intid, vcpu, [1, 0])
  }

  /**
   * Sends a message-signalled interrupt: writes `eventId` to GITS_TRANSLATER of an ITS, by its place in the VM's `frames.its`.
   * Both numbers have 32 bits. The hypervisor translates it and injects the LPI in the steps of its design's `msi` list.
   */
  msi(deviceId: number, eventId: number, its = 0): this {
    argumentInteger('deviceId', deviceId, 0, 0xffff_ffff)
    argumentInteger('eventId', eventId, 0, 0xffff_ffff)
    argumentInteger('its', its, 0, 7)
    this.steps.push({
      name: `sends MSI: device ${deviceId} event ${eventId}`,
      intid: 0,
      vcpu: 0,
      levels: [1],
      notBefore: this.time,
      msi: { deviceId, eventId, its },
    })
    return this
  }

  /** Sends a signal to a vCPU's thread: it returns to userspace, which calls KVM_RUN again. */
  signal(vcpu = 0): this {
    this.steps.push({
      name: `signals vcpu${argumentNumber('vcpu', vcpu)}`,
      intid: 0,
      vcpu,
      levels: [],
      notBefore: this.time,
      signal: true,
    })
    return this
  }

  /**
   * Stands for userspace: saves the VM's interrupts and timers in the steps of the design's `save` list, once all vCPUs are in
   * userspace or off; they stay there until that is done. A guest's `userspace()` takes its vCPU there.
   */
  save(): this {
    this.steps.push({ name: 'saves the VM', intid: 0, vcpu: 0, levels: [], notBefore: this.time, save: true })
    return this
  }

  /**
   * Stands for userspace: restores what `save()` has saved right before, in the steps of the design's `restore` list. From
   * the save on no vCPU leaves userspace and no device does anything. A restore that is refused, since a guest's tables have
   * what its commands could not have made, ends there: the VM is not entered any more. With a VM that cannot be saved there
   * is none. Throws a `scenario` error without a `save()` before it.
   */
  restore(options: RestoreOptions = {}): this {
    const { into = 'fresh' } = argumentOptions('restore', options, restoreFields)
    argumentOneOf('into', into, ['fresh', 'same'] as const)
    if (!this.steps.at(-1)?.save) {
      throw new VgicError(
        'scenario',
        'restore() restores what was saved right before it: call save().restore().',
      )
    }
    this.steps.push({
      name: into === 'fresh' ? 'restores it into a fresh VM' : 'restores it',
      intid: 0,
      vcpu: 0,
      levels: [],
      notBefore: this.time,
      restore: into,
    })
    return this
  }

  /** @internal */
  build(): DeviceProgram {
    return { name: this.name, steps: [...this.steps] }
  }

  private add(verb: string, intid: number, vcpu: number, levels: readonly (0 | 1)[]): this {
    argumentInteger('intid', intid, 16, 1019)
    argumentNumber('vcpu', vcpu)
    const name = `${verb} ${intidName(intid)}${intid < 32 ? ` of vcpu${vcpu}` : ''}`
    this.steps.push({ name, intid, vcpu, levels, notBefore: this.time })
    return this
  }
}
