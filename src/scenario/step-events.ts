/**
 * What a step of a machine is told as. Each kind of step has a type of its own, by which TypeScript knows what else an
 * event has: `if (event.type === 'ack') event.intid`.
 */
import { joined } from '../arch/doubleword.ts'
import { type FrameRegister, frameRegisterByName } from '../arch/frame-registers.ts'
import { RegisterValue, registerByEncoding } from '../arch/register-value.ts'
import { hex } from '../errors/printed.ts'
import type { AccessKind } from '../hyp/host/seam.ts'
import type { ExitName } from '../hyp/records/exits.ts'
import type { Actor } from './machine.ts'

/** An access of the hypervisor to the silicon, through the seam. */
export interface Access {
  /** Whether the hypervisor reads or writes. */
  readonly direction: 'read' | 'write'
  /** A system register, a register in a frame, a word of a table of the host's, or a command to the host's ITS. */
  readonly kind: AccessKind
  /** The system register's encoding, the address, or a command's opcode. */
  readonly register: number
  /** The register's name: `ICH_VMCR_EL2`, `GICD_ISPENDR1`; of a command its name: `VMOVP`. */
  readonly name: string
  /** Bits 31:0 of the value, as a signed number. */
  readonly low: number
  /** Bits 63:32 of the value, as a signed number. */
  readonly high: number
  /** All 64 bits of the value; 0 of a command, which has fields. */
  readonly value: bigint
  /**
   * The fields of the register, or of the command, by the names that the architecture has; addresses in commands without
   * their low bits. Empty where there are none: a word of a table, a register whose bits are interrupts.
   */
  readonly fields: Readonly<Record<string, number>>
  /** Of GICR_VPENDBASER, which has other fields with GICv4.0 than with GICv4.1: those that are not zero, as text. */
  readonly text?: string
}

/** What an access is made of. */
interface AccessParts extends Omit<Access, 'value' | 'fields'> {
  /** Of a command. */
  readonly command?: Readonly<Record<string, number>> | undefined
  /** Of the architecture, by which fields differ. */
  readonly version: '3' | '4.0' | '4.1'
}

/** An access that decodes its value when it is asked for: most are never looked at. */
export class SeamAccess implements Access {
  readonly direction: 'read' | 'write'
  readonly kind: AccessKind
  readonly register: number
  readonly name: string
  readonly low: number
  readonly high: number
  declare readonly text?: string
  readonly #command: AccessParts['command']
  readonly #version: AccessParts['version']

  /** Keeps nothing of `parts`: a run tells of hundreds of thousands of accesses. */
  constructor(parts: AccessParts) {
    const { direction, kind, register, name, low, high, text, command, version } = parts
    this.direction = direction
    this.kind = kind
    this.register = register
    this.name = name
    this.low = low
    this.high = high
    if (text !== undefined) this.text = text
    this.#command = command
    this.#version = version
  }

  get value(): bigint {
    return this.kind === 'its' ? 0n : joined(this.low, this.high)
  }

  get fields(): Readonly<Record<string, number>> {
    const { kind, name, low, high } = this
    if (kind === 'its') return this.#command ?? {}
    if (kind === 'sysreg') return new RegisterValue(registerByEncoding(this.register), low, high).fields
    const register = kind === 'mmio' ? frameRegisterByName(name) : undefined
    return register ? new RegisterValue(inVersion(register, this.#version), low, high).fields : {}
  }

  /** The access as plain data: its value in hexadecimal, since JSON has no bigint. */
  toJSON(): object {
    const { direction, kind, register, name, value, fields, text } = this
    return { direction, kind, register, name, value: hex(value), fields, ...(text !== undefined && { text }) }
  }

  /** The same, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): object {
    return this.toJSON()
  }
}

/** With the fields that the register has in a version of the architecture. */
const inVersion = (register: FrameRegister, version: AccessParts['version']): FrameRegister =>
  version === '4.0' && register.views[1] ? { ...register, views: [register.views[1]] } : register

/** KVM's wfx trace event. */
export interface WfxEvent {
  /** The instruction that the guest left for. */
  readonly instruction: 'WFI' | 'WFE' | 'WFIT' | 'WFET'
  /** The guest's program counter: the index of the operation. */
  readonly pc: number
}

/** What every event has. */
export interface StepEventBase {
  /** Virtual time before the step. */
  readonly time: number
  /** Who took it. */
  readonly actor: Actor
  /** The CPU that took it, or on which it acts; undefined for a step that no CPU takes: of a device, of a timer. */
  readonly cpu: number | undefined
  /**
   * Where the step is in the design: `wfi/halt`; `guest` for a guest's step; empty for a step of a device or the
   * environment.
   */
  readonly place: string
  /** What the step did, as a timeline has it: `saveVmcr`, `ack: ICC_IAR1_EL1 = SPI 40`. */
  readonly what: string
  /** The hypervisor's accesses to the silicon in this step, in order. Events of steps that do the same share them. */
  readonly accesses: readonly Access[]
  /**
   * The list registers of the vCPU's PE that the guest has changed in this step, in order of their numbers. Events of steps
   * that do the same share them.
   */
  readonly listRegisters: readonly ListRegisterChange[]
  /** The INTID that the guest acknowledged in this step, 1023 included: of `ack`. */
  readonly acknowledged?: number
  /**
   * What the guest read in this step, bits 31:0: of `ack` and `guest`. Of an MMIO read that is emulated, it is in the
   * `step` that emulates it.
   */
  readonly value?: number
  /** The wfx trace event: of an `exit` for WFI, WFE, WFIT or WFET. */
  readonly wfx?: WfxEvent
}

/** A vCPU's thread enters the guest. */
export interface EnterEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'enter'
}

/** A guest leaves for the hypervisor. */
export interface ExitEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'exit'
  /** Why. */
  readonly exit: ExitName
  /** Of `irq`: the host's interrupt, such as `a kick` or `the maintenance interrupt`. */
  readonly interrupt?: string
  /** Of others: the guest's operation that trapped. */
  readonly operation?: string
}

/** A step of the design: of a vCPU's thread; or of a device's injection or message, on a CPU that is not modelled. */
export interface DesignStepEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'step'
  /** Its name: `runnable?`. */
  readonly step: string
  /** Of a test, its outcome: `yes`. */
  readonly outcome?: string
}

/** A guest takes a virtual interrupt: its handler begins. */
export interface VectorEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'vector'
  /** Which of its two. */
  readonly interrupt: 'IRQ' | 'FIQ'
}

/** A guest acknowledges an interrupt. */
export interface AckEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'ack'
  /** What it read of `ICC_IAR<n>_EL1`, 1023 included. */
  readonly intid: number
  /** n of that. */
  readonly group: 0 | 1
  /** The same as `intid`. */
  readonly acknowledged: number
}

/** A guest ends an interrupt. */
export interface EoiEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'eoi'
  /** What it wrote to `ICC_EOIR<n>_EL1`; undefined if the last acknowledge gave a special INTID: nothing is written. */
  readonly intid: number | undefined
  /** n of that. */
  readonly group: 0 | 1
}

/** Another operation of a guest, which does not exit. */
export interface GuestEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'guest'
  /** The operation: `unmask irq`. */
  readonly operation: string
}

/** A vCPU's thread gets a CPU, or gives it up because another thread waits for it. */
export interface ScheduleEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'schedule'
  /** Whether it has one now. */
  readonly runs: boolean
}

/** A device drives the line of an interrupt, which is the first step of its injection. */
export interface InjectEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'inject'
  /** The interrupt. */
  readonly intid: number
  /** The vCPU whose PPI it is; undefined of an SPI. */
  readonly vcpu: number | undefined
  /** The levels that the line takes in the step, in order. */
  readonly levels: readonly (0 | 1)[]
}

/** A device sends a message to an ITS, which is translated in this step. */
export interface MsiEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'msi'
  /** DeviceID of the message. */
  readonly deviceId: number
  /** EventID of the message. */
  readonly eventId: number
  /** The guest's ITS that it is sent to, by its number. */
  readonly its: number
}

/** A device sends a signal to a vCPU's thread. */
export interface SignalEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'signal'
  /** The vCPU. */
  readonly vcpu: number
}

/** The environment acts on a vCPU: its timer expires, its thread is preempted, the host's tick interrupts its guest. */
export interface EnvironmentEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'timer' | 'preempt' | 'tick'
  /** The vCPU. */
  readonly vcpu: number
}

/** A thread that waits for a CPU is moved to another one, `cpu`. */
export interface MigrateEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'migrate'
  /** The vCPU. */
  readonly vcpu: number
  /** The CPU that it is moved to. */
  readonly cpu: number
}

/** An effect of the silicon that lagged is complete: GICR_VPENDBASER.Dirty, a doorbell, a message at the ITS. */
export interface EffectEvent extends StepEventBase {
  /** The kind of step. */
  readonly type: 'effect'
}

/** A step that was taken; its `type` says what kind of step. */
export type StepEvent =
  | EnterEvent
  | ExitEvent
  | DesignStepEvent
  | VectorEvent
  | AckEvent
  | EoiEvent
  | GuestEvent
  | ScheduleEvent
  | InjectEvent
  | MsiEvent
  | SignalEvent
  | EnvironmentEvent
  | MigrateEvent
  | EffectEvent

/** A list register before and after a step of the guest. */
export interface ListRegisterChange {
  /** n of `ICH_LR<n>_EL2`. */
  readonly number: number
  /** Bits 31:0 and 63:32 before, as signed numbers. */
  readonly before: readonly [low: number, high: number]
  /** Bits 31:0 and 63:32 after, as signed numbers. */
  readonly after: readonly [low: number, high: number]
}
