/** Takes a step and describes what happened, for timelines and for callers that look at events. */
import { describeRegister } from '../arch/field.ts'
import { GICR_VPENDBASER_V4_0_VIEW, GICR_VPENDBASER_V4_1_VIEW } from '../arch/gicr-registers.ts'
import { FIRST_SPI, intidName } from '../arch/intid.ts'
import { type CommandField, itsCommands } from '../arch/its-commands.ts'
import { registerByEncoding } from '../arch/register-value.ts'
import { ESR_WnR } from '../arch/syndrome.ts'
import { MAINTENANCE_PPI } from '../gic/cpu-interface/output-lines.ts'
import { type Pe, PHYSICAL_INTERFACE } from '../gic/records/pe.ts'
import { TICK_PPI } from '../hyp/host/host-gic.ts'
import { KICK_SGI } from '../hyp/host/kick.ts'
import type { AccessKind } from '../hyp/host/seam.ts'
import { COST_STRIDE } from '../hyp/records/cost-row.ts'
import { exitNames } from '../hyp/records/exits.ts'
import {
  type GuestProgram,
  OP_ACK,
  OP_MMIO_READ,
  OP_MMIO_WRITE,
  OP_READ,
  OP_WORDS,
} from '../hyp/records/guest-program.ts'
import { GUEST_PC, GUEST_VALUE } from '../hyp/records/guest-record.ts'
import {
  peOf,
  VCPU_COST,
  VCPU_ESR,
  VCPU_FAULT_IPA,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { THREAD_IN_GUEST, THREAD_WAITS_FOR_VCPUS } from '../hyp/run/thread-states.ts'
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

/** Collects the hypervisor's accesses, until the seam's observer is set to null. */
export function watchAccesses(machine: Machine, accesses: Access[]): void {
  machine.hypervisor.seam.observer = (kind, isRead, register, low, high) => {
    const direction = isRead ? 'read' : 'write'
    accesses.push({ direction, kind, register, low, high, ...named(machine, kind, register, low, high) })
  }
}

/** The name of a register, or of a command, with its fields. */
function named(
  { hypervisor }: Machine,
  kind: AccessKind,
  register: number,
  low: number,
  high: number,
): Pick<Access, 'name' | 'fields' | 'text'> {
  if (kind === 'sysreg') return { name: registerByEncoding(register).name }
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

type Told = Omit<StepEvent, 'time' | 'actor' | 'accesses'>

/** Takes one step of an actor, which must be ready, and returns what happened. */
export function traceStep(machine: Machine, actor: Actor): StepEvent {
  const { time } = machine
  const accesses: Access[] = []
  watchAccesses(machine, accesses)
  try {
    return { time, actor, accesses, ...tell(machine, actor) }
  } finally {
    machine.hypervisor.seam.observer = null
  }
}

function tell(machine: Machine, actor: Actor): Told {
  const told = actor.kind === 'vcpu' ? vcpuStep(machine, actor) : otherStep(machine, actor)
  if (!told) machine.step(actor)
  return told ?? { place: '', what: actor.name, listRegisters: [] }
}

function otherStep(machine: Machine, actor: Actor): Told | undefined {
  if (actor.kind !== 'device') return undefined
  const what = deviceStep(machine, actor.index)
  machine.step(actor)
  return { place: '', what, listRegisters: [] }
}

/**
 * Describes a device's next step: driving a line, which is the `queue` of an injection, or sending a message, which is the
 * `translate` of one, or a further step.
 */
function deviceStep(machine: Machine, index: number): string {
  const { injection, mapped, messages, runLoop, words } = machine.hypervisor
  const next = machine.nextDeviceStep(index)
  const pc = machine.nextInjection(index)
  const drives = next?.msi === undefined && injection.queues(pc)
  const moves =
    next?.signal || drives || messages.translates(pc) || mapped.isMappedSpi(machine.inputOf(index, words))
  return moves ? (next?.name ?? '') : lastPart(runLoop.program.paths[pc])
}

function vcpuStep(machine: Machine, actor: Actor): Told {
  const { hypervisor } = machine
  const { words, runLoop, silicon } = hypervisor
  const v = hypervisor.vcpu(actor.index)
  if (words[v + VCPU_PE] === 0) {
    machine.step(actor)
    return { place: '', what: `gets cpu${silicon.cpuOf(peOf(words, v))}`, listRegisters: [] }
  }
  switch (runLoop.threadState(v)) {
    case THREAD_IN_GUEST:
      return guestStep(machine, actor, v)
    case THREAD_WAITS_FOR_VCPUS:
      machine.step(actor)
      return { place: '', what: 'gives its cpu up, and waits for other vCPUs', listRegisters: [] }
    default:
      return threadStep(machine, actor, v)
  }
}

function threadStep(machine: Machine, actor: Actor, v: Vcpu): Told {
  const { words, runLoop } = machine.hypervisor
  const { paths, steps } = runLoop.program
  const pc = words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]
  const accesses = words[v + VCPU_FAULT_IPA] !== 0
  const reads = (words[v + VCPU_ESR] & ESR_WnR) === 0
  const result = machine.stepThread(actor)
  const hasRead = accesses && reads && words[v + VCPU_FAULT_IPA] === 0
  const path = paths[pc].split('/')
  const name = path.pop() ?? ''
  const outcome = steps[pc]?.outcomes[result]
  const done = name === 'guest' ? 'enters the guest' : outcome === undefined ? name : `${name} ${outcome}`
  const told = { place: path.join('/'), listRegisters: [] }
  if (!hasRead) return { ...told, what: done }
  const value = words[v + GUEST_VALUE] >>> 0
  return { ...told, what: `${done} = 0x${value.toString(16)}`, value }
}

function guestStep(machine: Machine, actor: Actor, v: Vcpu): Told {
  const { words, silicon, guest, setup } = machine.hypervisor
  const pe = peOf(words, v)
  const program = setup.guests[actor.index]
  const before = listRegistersOf(machine, pe)
  const at = words[v + GUEST_PC]
  const doing = guest.next(v, program)
  const cause = physicalInterrupt(machine, v)
  machine.step(actor)
  const left = !silicon.pcpu.isInGuest(pe)
  const exit = left
    ? exitNames[(words[v + VCPU_COST] - machine.hypervisor.layout.costTable) / COST_STRIDE]
    : undefined
  const listRegisters = left ? [] : changes(before, listRegistersOf(machine, pe))
  const suffix = exit === undefined ? '' : ` -> exit (${exit})`
  if (cause !== undefined) return { place: 'guest', what: `interrupted by ${cause}${suffix}`, listRegisters }
  if (doing !== 'operation') return { place: 'guest', what: `takes a virtual ${doing}`, listRegisters }
  const what = `${operationName(machine, program, at)}${suffix}`
  if (exit === 'wfi' || exit === 'wfe') {
    return {
      place: 'guest',
      what,
      wfx: { instruction: wfxNames[words[v + VCPU_ESR] & 3], pc: at },
      listRegisters,
    }
  }
  const op = program.ops[at * OP_WORDS]
  if (left || (op !== OP_ACK && op !== OP_READ)) return { place: 'guest', what, listRegisters }
  const value = words[v + GUEST_VALUE] >>> 0
  if (op === OP_READ) return { place: 'guest', what, value, listRegisters }
  return { place: 'guest', what: `${what} = ${intidName(value)}`, acknowledged: value, value, listRegisters }
}

/** The name of an operation; of an access to the emulated GIC, with the register's name. */
function operationName({ hypervisor }: Machine, { ops, names }: GuestProgram, at: number): string {
  const op = at * OP_WORDS
  if (ops[op] !== OP_MMIO_READ && ops[op] !== OP_MMIO_WRITE) return names[at]
  const address = ops[op + 3] * 0x1_0000_0000 + (ops[op + 2] >>> 0)
  const register = hypervisor.mmio.nameOf(address)
  return register === undefined ? names[at] : names[at].replace(/\d bytes? at 0x[0-9a-f]+/, register)
}

/** The name of the host's interrupt that interrupts the guest next, if any. */
function physicalInterrupt({ hypervisor }: Machine, v: Vcpu): string | undefined {
  const { words, guest, silicon } = hypervisor
  if (!guest.isInterrupted(v)) return undefined
  const intid = silicon.icc.readHppir1(peOf(words, v) + PHYSICAL_INTERFACE)
  if (intid >= FIRST_SPI) return 'its device'
  return hostInterruptNames[intid] ?? 'its timer'
}

/** By INTID; all others are the guest's timers. */
const hostInterruptNames: Readonly<Record<number, string>> = {
  [KICK_SGI]: 'a kick',
  [TICK_PPI]: "the host's tick",
  [MAINTENANCE_PPI]: 'the maintenance interrupt',
}

/** By the syndrome's TI field. */
const wfxNames = ['WFI', 'WFE', 'WFIT', 'WFET'] as const

const lastPart = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

type Halves = readonly [low: number, high: number]

function listRegistersOf({ hypervisor }: Machine, pe: Pe): Halves[] {
  const { ich, config } = hypervisor.silicon
  return Array.from(
    { length: config.listRegisters },
    (_, n): Halves => [ich.readLrLow(pe, n), ich.readLrHigh(pe, n)],
  )
}

function changes(before: readonly Halves[], after: readonly Halves[]): ListRegisterChange[] {
  return before.flatMap((was, number): ListRegisterChange[] => {
    const is = after[number]
    return was[0] === is[0] && was[1] === is[1] ? [] : [{ number, before: was, after: is }]
  })
}
