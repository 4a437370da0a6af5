/** Takes a step and describes what happened, for timelines and for callers that look at events. */
import { describeRegister } from '../arch/field.ts'
import { GICR_VPENDBASER_V4_0_VIEW, GICR_VPENDBASER_V4_1_VIEW } from '../arch/gicr-registers.ts'
import { FIRST_SPI, intidName, isSpecial } from '../arch/intid.ts'
import { type CommandField, itsCommands } from '../arch/its-commands.ts'
import { registerByEncoding } from '../arch/register-value.ts'
import { ESR_WnR } from '../arch/syndrome.ts'
import { MAINTENANCE_PPI } from '../gic/cpu-interface/output-lines.ts'
import { type Pe, PHYSICAL_INTERFACE } from '../gic/records/pe.ts'
import { TICK_PPI } from '../hyp/host/host-gic.ts'
import { KICK_SGI } from '../hyp/host/kick.ts'
import type { AccessKind } from '../hyp/host/seam.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { COST_STRIDE } from '../hyp/records/cost-row.ts'
import { exitNames } from '../hyp/records/exits.ts'
import {
  type GuestProgram,
  OP_ACK,
  OP_EOI,
  OP_MMIO_READ,
  OP_MMIO_WRITE,
  OP_READ,
  OP_WORDS,
} from '../hyp/records/guest-program.ts'
import { GUEST_ACK, GUEST_DEPTH, GUEST_PC, GUEST_VALUE } from '../hyp/records/guest-record.ts'
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
import { type Actor, EFFECT_MESSAGE, type Machine } from './machine.ts'
import { type Access, type ListRegisterChange, SeamAccess, type StepEvent } from './step-events.ts'

/** Collects the hypervisor's accesses, until the seam's observer is set to null. */
export function watchAccesses(machine: Machine, accesses: Access[]): void {
  const { version } = machine.hypervisor.config
  machine.hypervisor.seam.observer = (kind, isRead, register, low, high) => {
    const direction = isRead ? 'read' : 'write'
    const name = named(machine, kind, register, low, high)
    accesses.push(new SeamAccess({ direction, kind, register, low, high, version, ...name }))
  }
}

/** The name of a register, or of a command, with its fields. */
function named(
  { hypervisor }: Machine,
  kind: AccessKind,
  register: number,
  low: number,
  high: number,
): { readonly name: string; readonly text?: string; readonly command?: Record<string, number> } {
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
    command: Object.fromEntries(fields.map((field) => [field.name, commandField(words, low, field)])),
  }
}

function commandField(words: Int32Array, at: number, { dw, hi, lo }: CommandField): number {
  const low = words[at + 2 * dw] >>> 0
  const high = words[at + 2 * dw + 1] >>> 0
  const value = (BigInt(high) << 32n) | BigInt(low)
  return Number((value >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n))
}

/** Of each kind of event what only that has, and what the step was. */
type Told<T extends StepEvent = StepEvent> = T extends StepEvent
  ? Omit<T, 'time' | 'actor' | 'accesses'>
  : never

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
  if (actor.kind === 'vcpu') return vcpuStep(machine, actor)
  const told = actor.kind === 'device' ? deviceStep(machine, actor) : environmentStep(machine, actor)
  machine.step(actor)
  return told
}

function environmentStep({ hypervisor }: Machine, { kind, index, detail, name }: Actor): Told {
  const told = { place: '', what: name, listRegisters: [] }
  switch (kind) {
    case 'timer':
      return { ...told, type: kind, vcpu: index, cpu: undefined }
    case 'migrate':
      return { ...told, type: kind, vcpu: index, cpu: detail }
    case 'preempt':
    case 'tick':
      return { ...told, type: kind, vcpu: index, cpu: cpuOf(hypervisor, index) }
    default:
      return { ...told, type: 'effect', cpu: detail === EFFECT_MESSAGE ? undefined : index }
  }
}

/** The CPU that a vCPU's thread is on; undefined if it is on none. */
function cpuOf(hypervisor: Hypervisor, index: number): number | undefined {
  const { words, silicon } = hypervisor
  const v = hypervisor.vcpu(index)
  return words[v + VCPU_PE] === 0 ? undefined : silicon.cpuOf(peOf(words, v))
}

/**
 * Describes a device's next step: driving a line, which is the `queue` of an injection, or sending a message, which is the
 * `translate` of one, or a further step.
 */
function deviceStep(machine: Machine, { index }: Actor): Told {
  const { injection, mapped, messages, runLoop, words } = machine.hypervisor
  const told = { place: '', listRegisters: [], cpu: undefined }
  const next = machine.nextDeviceStep(index)
  const pc = machine.nextInjection(index)
  const what = next?.name ?? ''
  if (next?.signal) return { ...told, type: 'signal', what, vcpu: next.vcpu }
  if (next?.msi && messages.translates(pc)) return { ...told, type: 'msi', what, ...next.msi }
  const drives =
    next && !next.msi && (injection.queues(pc) || mapped.isMappedSpi(machine.inputOf(index, words)))
  if (drives) {
    const { intid, vcpu, levels } = next
    return { ...told, type: 'inject', what, intid, vcpu: intid < FIRST_SPI ? vcpu : undefined, levels }
  }
  const step = lastPart(runLoop.program.paths[pc])
  return { ...told, type: 'step', what: step, step }
}

function vcpuStep(machine: Machine, actor: Actor): Told {
  const { hypervisor } = machine
  const { words, runLoop, silicon } = hypervisor
  const v = hypervisor.vcpu(actor.index)
  const told = { type: 'schedule', place: '', listRegisters: [] } as const
  if (words[v + VCPU_PE] === 0) {
    machine.step(actor)
    const cpu = silicon.cpuOf(peOf(words, v))
    return { ...told, what: `gets cpu${cpu}`, cpu, runs: true }
  }
  const cpu = silicon.cpuOf(peOf(words, v))
  switch (runLoop.threadState(v)) {
    case THREAD_IN_GUEST:
      return guestStep(machine, actor, v, cpu)
    case THREAD_WAITS_FOR_VCPUS:
      machine.step(actor)
      return { ...told, what: 'gives its cpu up, and waits for other vCPUs', cpu, runs: false }
    default:
      return threadStep(machine, actor, v, cpu)
  }
}

function threadStep(machine: Machine, actor: Actor, v: Vcpu, cpu: number): Told {
  const { words, runLoop } = machine.hypervisor
  const { paths, steps } = runLoop.program
  const pc = words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]
  const accesses = words[v + VCPU_FAULT_IPA] !== 0
  const reads = (words[v + VCPU_ESR] & ESR_WnR) === 0
  const result = machine.stepThread(actor)
  const hasRead = accesses && reads && words[v + VCPU_FAULT_IPA] === 0
  const path = paths[pc].split('/')
  const step = path.pop() ?? ''
  const told = { place: path.join('/'), listRegisters: [], cpu }
  if (step === 'guest') return { ...told, type: 'enter', what: 'enters the guest' }
  const outcome = steps[pc]?.outcomes[result]
  const what = outcome === undefined ? step : `${step} ${outcome}`
  const done = { ...told, type: 'step', step, ...(outcome !== undefined && { outcome }) } as const
  if (!hasRead) return { ...done, what }
  const value = words[v + GUEST_VALUE] >>> 0
  return { ...done, what: `${what} = 0x${value.toString(16)}`, value }
}

function guestStep(machine: Machine, actor: Actor, v: Vcpu, cpu: number): Told {
  const { words, silicon, guest, setup } = machine.hypervisor
  const pe = peOf(words, v)
  const program = setup.guests[actor.index]
  const before = listRegistersOf(machine, pe)
  const at = words[v + GUEST_PC]
  const lastAck = words[v + GUEST_ACK + words[v + GUEST_DEPTH]]
  const doing = guest.next(v, program)
  const interrupt = physicalInterrupt(machine, v)
  machine.step(actor)
  const told = { place: 'guest', cpu, listRegisters: [] as ListRegisterChange[] } as const
  if (!silicon.pcpu.isInGuest(pe)) {
    const exit = exitNames[(words[v + VCPU_COST] - machine.hypervisor.layout.costTable) / COST_STRIDE]
    const suffix = ` -> exit (${exit})`
    if (interrupt !== undefined)
      return { ...told, type: 'exit', what: `interrupted by ${interrupt}${suffix}`, exit, interrupt }
    const operation = operationName(machine, program, at)
    const left = { ...told, type: 'exit', what: `${operation}${suffix}`, exit, operation } as const
    if (exit !== 'wfi' && exit !== 'wfe') return left
    return { ...left, wfx: { instruction: wfxNames[words[v + VCPU_ESR] & 3], pc: at } }
  }
  const listRegisters = changes(before, listRegistersOf(machine, pe))
  const stays = { ...told, listRegisters }
  if (doing !== 'operation')
    return { ...stays, type: 'vector', what: `takes a virtual ${doing}`, interrupt: doing }
  return { ...stays, ...operationStep(machine, program, v, at, lastAck) }
}

/** What a guest has done by an operation without an exit. */
function operationStep(machine: Machine, program: GuestProgram, v: Vcpu, at: number, lastAck: number) {
  const { words } = machine.hypervisor
  const { ops } = program
  const operation = operationName(machine, program, at)
  const group = ops[at * OP_WORDS + 1] === 0 ? 0 : 1
  const value = words[v + GUEST_VALUE] >>> 0
  switch (ops[at * OP_WORDS]) {
    case OP_ACK: {
      const what = `${operation} = ${intidName(value)}`
      return { type: 'ack', what, intid: value, group, acknowledged: value, value } as const
    }
    case OP_EOI:
      return { type: 'eoi', what: operation, intid: isSpecial(lastAck) ? undefined : lastAck, group } as const
    case OP_READ:
      return { type: 'guest', what: operation, operation, value } as const
    default:
      return { type: 'guest', what: operation, operation } as const
  }
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
