/** What happened in a step, for timelines and for callers that look at events: tracer.ts takes steps and tells of them. */
import { describeRegister } from '../arch/field.ts'
import { GICR_VPENDBASER_V4_0_VIEW, GICR_VPENDBASER_V4_1_VIEW } from '../arch/gicr-registers.ts'
import { type CommandField, itsCommands } from '../arch/its-commands.ts'
import { registerByEncoding } from '../arch/register-value.ts'
import type { AccessKind } from '../hyp/host/seam.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import type { Actor, Machine } from './machine.ts'

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
  /** Of a command to the host's ITS: its fields by the names that the architecture has; addresses without their low bits. */
  readonly fields?: Readonly<Record<string, number>>
  /** Of GICR_VPENDBASER, which has other fields with GICv4.0 than with GICv4.1: those that are not zero, as text. */
  readonly text?: string
}

/** KVM's wfx trace event. */
export interface WfxEvent {
  /** The instruction that the guest left for. */
  readonly instruction: 'WFI' | 'WFE' | 'WFIT' | 'WFET'
  /** The guest's program counter: the index of the operation. */
  readonly pc: number
}

/** A step that was taken. */
export interface StepEvent {
  /** Virtual time before it. */
  readonly time: number
  /** Who took it. */
  readonly actor: Actor
  /**
   * Where the step is in the design: `wfi/halt`; `guest` for a guest's step; empty for a step of a device or the
   * environment.
   */
  readonly place: string
  /** What the step did: `saveVmcr`, `ack = SPI 40`. */
  readonly what: string
  /** The INTID that the guest acknowledged in this step, 1023 included. */
  readonly acknowledged?: number
  /**
   * What the guest read in this step, bits 31:0. Of an MMIO read that is emulated, it is in the step that emulates
   * it.
   */
  readonly value?: number
  /** The wfx trace event, if the guest exited in this step for WFI, WFE, WFIT or WFET. */
  readonly wfx?: WfxEvent
  /** The hypervisor's accesses to the silicon in this step, in order. */
  readonly accesses: readonly Access[]
  /** The list registers of the vCPU's PE that the guest has changed in this step, in order of their numbers. */
  readonly listRegisters: readonly ListRegisterChange[]
}

/** A list register before and after a step of the guest. */
export interface ListRegisterChange {
  /** n of `ICH_LR<n>_EL2`. */
  readonly number: number
  /** Bits 31:0 and 63:32 before, as signed numbers. */
  readonly before: readonly [low: number, high: number]
  /** Bits 31:0 and 63:32 after, as signed numbers. */
  readonly after: readonly [low: number, high: number]
}

/** What a listener of the seam is told, as an access. */
export function accessOf(
  { hypervisor }: Machine,
  kind: AccessKind,
  isRead: boolean,
  register: number,
  low: number,
  high: number,
): Access {
  const direction = isRead ? 'read' : 'write'
  if (kind === 'sysreg')
    return { direction, kind, register, low, high, name: registerByEncoding(register).name }
  return { direction, kind, register, low, high, ...named(hypervisor, kind, register, low, high) }
}

/** The name of a register of a frame, or of a command, with its fields. */
function named(
  hypervisor: Hypervisor,
  kind: AccessKind,
  register: number,
  low: number,
  high: number,
): Pick<Access, 'name' | 'fields' | 'text'> {
  if (kind === 'mmio') {
    const name = hypervisor.silicon.mmio.nameOf(register) ?? ''
    if (name !== 'GICR_VPENDBASER') return { name }
    const isV41 = hypervisor.config.version === '4.1'
    const view = isV41 ? GICR_VPENDBASER_V4_1_VIEW : GICR_VPENDBASER_V4_0_VIEW
    return { name, text: describeRegister(view, low, high) }
  }
  if (kind === 'table') return { name: 'LPI configuration' }
  const command = itsCommands.find(({ opcode }) => opcode === register)
  const { words, config } = hypervisor
  const fields = (command?.fields ?? []).filter(
    ({ since }) => since === undefined || since === config.version,
  )
  return {
    name: command?.name ?? '',
    fields: Object.fromEntries(fields.map((field) => [field.name, commandField(words, low, field)])),
  }
}

function commandField(words: Int32Array, at: number, { dw, hi, lo }: CommandField): number {
  const low = words[at + 2 * dw] >>> 0
  const high = words[at + 2 * dw + 1] >>> 0
  const value = (BigInt(high) << 32n) | BigInt(low)
  return Number((value >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n))
}
