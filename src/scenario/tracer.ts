/**
 * Takes steps and describes them. A run takes the same steps again and again, so their texts are made once: those of
 * threads by program counter and result, those of guests by operation.
 */
import { FIRST_SPI, intidName } from '../arch/intid.ts'
import { ESR_WnR } from '../arch/syndrome.ts'
import { MAINTENANCE_PPI } from '../gic/cpu-interface/output-lines.ts'
import { type Pe, PHYSICAL_INTERFACE } from '../gic/records/pe.ts'
import { TICK_PPI } from '../hyp/host/host-gic.ts'
import { KICK_SGI } from '../hyp/host/kick.ts'
import type { SeamObserver } from '../hyp/host/seam.ts'
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
import { type Access, accessOf, type ListRegisterChange, type StepEvent } from './trace.ts'

/** The texts of a thread's step. */
interface StepTexts {
  /** Where it is in the design. */
  readonly place: string
  readonly name: string
  /** By its result, if it has outcomes. */
  readonly results: readonly string[]
}

/** An event that is being made. */
type Told = { -readonly [K in keyof StepEvent]: StepEvent[K] }

const NONE: readonly never[] = Object.freeze([])

export class Tracer {
  private readonly texts: readonly StepTexts[]
  /** The names of operations, by guest. */
  private readonly operations: readonly (string | undefined)[][]
  /** The list registers before a step of a guest, two words each. */
  private readonly before: Int32Array
  private readonly observer: SeamObserver
  /** The hypervisor's accesses in the step. */
  private accesses: Access[] | undefined

  constructor(private readonly machine: Machine) {
    const { runLoop, setup, silicon } = machine.hypervisor
    const { paths, steps } = runLoop.program
    this.texts = paths.map((path, pc) => textsOf(path, steps[pc]?.outcomes ?? []))
    this.operations = setup.guests.map(() => [])
    this.before = new Int32Array(2 * silicon.config.listRegisters)
    this.observer = (...access) => {
      this.accesses ??= []
      this.accesses.push(accessOf(machine, ...access))
    }
  }

  /** Takes one step of an actor, which must be ready, and returns what happened. */
  take(actor: Actor): StepEvent {
    const { machine } = this
    const { seam } = machine.hypervisor
    const { time } = machine
    this.accesses = undefined
    seam.observer = this.observer
    try {
      const told: Told = { time, actor, accesses: NONE, place: '', what: actor.name, listRegisters: NONE }
      if (actor.kind === 'vcpu') this.takeVcpus(told, actor)
      else this.takeOther(told, actor)
      if (this.accesses !== undefined) told.accesses = this.accesses
      return told
    } finally {
      seam.observer = null
    }
  }

  private takeOther(told: Told, actor: Actor): void {
    if (actor.kind === 'device') told.what = this.deviceStep(actor.index)
    this.machine.perform(actor)
  }

  /**
   * Describes a device's next step: driving a line, which is the `queue` of an injection, or sending a message, which is
   * the `translate` of one, or a further step.
   */
  private deviceStep(index: number): string {
    const { machine } = this
    const { injection, mapped, messages, words } = machine.hypervisor
    const next = machine.nextDeviceStep(index)
    const pc = machine.nextInjection(index)
    const drives = next?.msi === undefined && injection.queues(pc)
    const moves =
      next?.signal || drives || messages.translates(pc) || mapped.isMappedSpi(machine.inputOf(index, words))
    return moves ? (next?.name ?? '') : this.texts[pc].name
  }

  private takeVcpus(told: Told, actor: Actor): void {
    const { machine } = this
    const { hypervisor } = machine
    const { words, runLoop, silicon } = hypervisor
    const v = hypervisor.vcpu(actor.index)
    if (words[v + VCPU_PE] === 0) {
      machine.perform(actor)
      told.what = `gets cpu${silicon.cpuOf(peOf(words, v))}`
      return
    }
    switch (runLoop.threadState(v)) {
      case THREAD_IN_GUEST:
        told.place = 'guest'
        this.takeGuests(told, actor, v)
        return
      case THREAD_WAITS_FOR_VCPUS:
        machine.perform(actor)
        told.what = 'gives its cpu up, and waits for other vCPUs'
        return
      default:
        this.takeThreads(told, actor, v)
    }
  }

  private takeThreads(told: Told, actor: Actor, v: Vcpu): void {
    const { words } = this.machine.hypervisor
    const { place, name, results } = this.texts[words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]]
    const reads = words[v + VCPU_FAULT_IPA] !== 0 && (words[v + VCPU_ESR] & ESR_WnR) === 0
    const result = this.machine.stepThread(actor)
    told.place = place
    told.what = results[result] ?? name
    if (!reads || words[v + VCPU_FAULT_IPA] !== 0) return
    const value = words[v + GUEST_VALUE] >>> 0
    told.what = `${told.what} = 0x${value.toString(16)}`
    told.value = value
  }

  private takeGuests(told: Told, actor: Actor, v: Vcpu): void {
    const { machine } = this
    const { words, silicon, guest, setup, layout } = machine.hypervisor
    const pe = peOf(words, v)
    const program = setup.guests[actor.index]
    const at = words[v + GUEST_PC]
    const doing = guest.next(v, program)
    const cause = guest.isInterrupted(v) ? this.physicalInterrupt(v) : undefined
    this.noteListRegisters(pe)
    machine.perform(actor)
    const left = !silicon.pcpu.isInGuest(pe)
    const exit = left ? exitNames[(words[v + VCPU_COST] - layout.costTable) / COST_STRIDE] : undefined
    if (!left) told.listRegisters = this.changes(pe)
    const suffix = exit === undefined ? '' : ` -> exit (${exit})`
    if (cause !== undefined) told.what = `interrupted by ${cause}${suffix}`
    else if (doing !== 'operation') told.what = `takes a virtual ${doing}`
    else {
      told.what = `${this.operationName(actor.index, program, at)}${suffix}`
      if (exit === 'wfi' || exit === 'wfe')
        told.wfx = { instruction: wfxNames[words[v + VCPU_ESR] & 3], pc: at }
      else if (!left) this.tellValue(told, v, program.ops[at * OP_WORDS])
    }
  }

  /** What the guest has read, if it was a read. */
  private tellValue(told: Told, v: Vcpu, op: number): void {
    if (op !== OP_ACK && op !== OP_READ) return
    const value = this.machine.hypervisor.words[v + GUEST_VALUE] >>> 0
    if (op === OP_ACK) {
      told.what = `${told.what} = ${intidName(value)}`
      told.acknowledged = value
    }
    told.value = value
  }

  /** The name of an operation; of an access to the emulated GIC, with the register's name. */
  private operationName(vcpu: number, { ops, names }: GuestProgram, at: number): string {
    const known = this.operations[vcpu][at]
    if (known !== undefined) return known
    const op = at * OP_WORDS
    const isAccess = ops[op] === OP_MMIO_READ || ops[op] === OP_MMIO_WRITE
    const address = ops[op + 3] * 0x1_0000_0000 + (ops[op + 2] >>> 0)
    const register = isAccess ? this.machine.hypervisor.mmio.nameOf(address) : undefined
    const name = register === undefined ? names[at] : names[at].replace(/\d bytes? at 0x[0-9a-f]+/, register)
    this.operations[vcpu][at] = name
    return name
  }

  /** The name of the host's interrupt that interrupts the guest next. */
  private physicalInterrupt(v: Vcpu): string {
    const { words, silicon } = this.machine.hypervisor
    const intid = silicon.icc.readHppir1(peOf(words, v) + PHYSICAL_INTERFACE)
    if (intid >= FIRST_SPI) return 'its device'
    return hostInterruptNames[intid] ?? 'its timer'
  }

  private noteListRegisters(pe: Pe): void {
    const { before } = this
    const { ich } = this.machine.hypervisor.silicon
    for (let n = 0; 2 * n < before.length; n++) {
      before[2 * n] = ich.readLrLow(pe, n)
      before[2 * n + 1] = ich.readLrHigh(pe, n)
    }
  }

  private changes(pe: Pe): readonly ListRegisterChange[] {
    const { before } = this
    const { ich } = this.machine.hypervisor.silicon
    let changes: ListRegisterChange[] | undefined
    for (let n = 0; 2 * n < before.length; n++) {
      const [low, high] = [ich.readLrLow(pe, n), ich.readLrHigh(pe, n)]
      if (low === before[2 * n] && high === before[2 * n + 1]) continue
      changes ??= []
      changes.push({ number: n, before: [before[2 * n], before[2 * n + 1]], after: [low, high] })
    }
    return changes ?? NONE
  }
}

function textsOf(path: string, outcomes: readonly string[]): StepTexts {
  const slash = path.lastIndexOf('/')
  const place = slash < 0 ? '' : path.slice(0, slash)
  const name = path.slice(slash + 1)
  if (name === 'guest') return { place, name: 'enters the guest', results: [] }
  return { place, name, results: outcomes.map((outcome) => `${name} ${outcome}`) }
}

/** By INTID; all others are the guest's timers. */
const hostInterruptNames: Readonly<Record<number, string>> = {
  [KICK_SGI]: 'a kick',
  [TICK_PPI]: "the host's tick",
  [MAINTENANCE_PPI]: 'the maintenance interrupt',
}

/** By the syndrome's TI field. */
const wfxNames = ['WFI', 'WFE', 'WFIT', 'WFET'] as const
