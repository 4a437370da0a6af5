/** Devices: each a short program of steps that move interrupt lines. */
import { intidName } from '../arch/intid.ts'
import { argumentInteger, argumentNumber } from '../errors/arguments.ts'
import { LATEST_TIME } from '../hyp/records/virtual-time.ts'

/** One step of a device. */
export interface DeviceStep {
  readonly name: string
  readonly intid: number
  /** The vCPU whose PPI it is; 0 for SPIs. */
  readonly vcpu: number
  /** Levels that the line takes within the step, in order. */
  readonly levels: readonly (0 | 1)[]
  /** In a plain run, not before this virtual time; otherwise when nothing else can go on. */
  readonly notBefore: number | undefined
  /** It is a signal to the vCPU's thread instead of a line. */
  readonly signal?: true
}

/** A device's program. */
export interface DeviceProgram {
  readonly name: string
  readonly steps: readonly DeviceStep[]
}

/** Writing a device's steps. Each call adds one and returns the builder. */
export class DeviceBuilder {
  private readonly steps: DeviceStep[] = []
  private time: number | undefined

  /** @internal */
  constructor(private readonly name: string) {}

  /**
   * The steps from here on happen in a plain run at this virtual time, up to 2^52, or as soon after it as they can, not
   * only when nothing else can go on. An explored run tries every moment regardless.
   */
  at(time: number): this {
    this.time = argumentInteger('time', time, 0, LATEST_TIME)
    return this
  }

  /** Raises the line of an SPI, or of a vCPU's PPI, not a timer's: an edge, or the active level. */
  raise(intid: number, vcpu = 0): this {
    return this.add('raises', intid, vcpu, [1])
  }

  /** Lowers it. */
  lower(intid: number, vcpu = 0): this {
    return this.add('lowers', intid, vcpu, [0])
  }

  /** Raises and lowers it in one step. */
  pulse(intid: number, vcpu = 0): this {
    return this.add('pulses', intid, vcpu, [1, 0])
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
