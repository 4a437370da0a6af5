/**
 * Takes steps and describes them. A run takes the same steps again and again, so their texts are made once: those of
 * threads by program counter and result, those of guests by operation.
 */
import { FIRST_SPI, intidName, isSpecial } from '../arch/intid.ts'
import { ESR_WnR } from '../arch/syndrome.ts'
import { MAINTENANCE_PPI } from '../gic/cpu-interface/output-lines.ts'
import { type Pe, PHYSICAL_INTERFACE } from '../gic/records/pe.ts'
import { TICK_PPI } from '../hyp/host/host-gic.ts'
import { KICK_SGI } from '../hyp/host/kick.ts'
import type { SeamObserver } from '../hyp/host/seam.ts'
import { COST_STRIDE } from '../hyp/records/cost-row.ts'
import { type ExitName, exitNames } from '../hyp/records/exits.ts'
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
import type { Access, ListRegisterChange, StepEvent, StepEventBase } from './step-events.ts'
import { accessOf } from './trace.ts'

/**
 * An event that is being made: what events of all kinds have. A new object for each kind, of what is known before and what
 * only that has, would take V8 most of the time of a step.
 */
type Told = { -readonly [K in keyof StepEventBase]: StepEventBase[K] } & Partial<Parts>

/** What only some kinds have. */
interface Parts {
  type: StepEvent['type']
  exit: ExitName
  interrupt: string
  operation: string
  step: string
  outcome: string
  intid: number | undefined
  group: 0 | 1
  runs: boolean
  vcpu: number | undefined
  levels: readonly (0 | 1)[]
  deviceId: number
  eventId: number
  its: number
}

/** The texts of a thread's step. */
interface StepTexts {
  /** Where it is in the design. */
  readonly place: string
  readonly step: string
  readonly outcomes: readonly string[]
  /** What it did, by its result: `runnable? yes`. */
  readonly what: readonly string[]
}

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
    this.accesses = undefined
    seam.observer = this.observer
    const told: Told = {
      time: machine.time,
      actor,
      cpu: undefined,
      place: '',
      what: actor.name,
      accesses: NONE,
      listRegisters: NONE,
    }
    try {
      if (actor.kind === 'vcpu') this.takeVcpus(told)
      else if (actor.kind === 'device') this.takeDevices(told)
      else this.takeEnvironments(told)
      // Of the kind that its type says, as the methods below have made it.
      return told as StepEvent
    } finally {
      seam.observer = null
    }
  }

  /** Takes the step, whose accesses are known then. */
  private perform(told: Told): void {
    this.machine.perform(told.actor)
    this.noteAccesses(told)
  }

  private noteAccesses(told: Told): void {
    if (this.accesses !== undefined) told.accesses = this.accesses
  }

  private takeEnvironments(told: Told): void {
    const { kind, index, detail } = told.actor
    if (kind === 'preempt' || kind === 'tick') told.cpu = this.cpuOf(index)
    this.perform(told)
    if (kind === 'migrate' || kind === 'timer' || kind === 'preempt' || kind === 'tick') {
      told.type = kind
      told.vcpu = index
      if (kind === 'migrate') told.cpu = detail
    } else {
      told.type = 'effect'
      if (detail !== EFFECT_MESSAGE) told.cpu = index
    }
  }

  /** The CPU that a vCPU's thread is on; undefined if it is on none. */
  private cpuOf(index: number): number | undefined {
    const { words, silicon } = this.machine.hypervisor
    const v = this.machine.hypervisor.vcpu(index)
    return words[v + VCPU_PE] === 0 ? undefined : silicon.cpuOf(peOf(words, v))
  }

  /**
   * A device's next step: driving a line, which is the `queue` of an injection, or sending a message, which is the
   * `translate` of one, or a further step.
   */
  private takeDevices(told: Told): void {
    const { machine } = this
    const { index } = told.actor
    const { injection, mapped, messages, words } = machine.hypervisor
    const next = machine.deviceSteps.next(index)
    const pc = machine.deviceSteps.nextInjection(index)
    const drives =
      next !== undefined &&
      !next.signal &&
      !next.save &&
      !next.restore &&
      !next.msi &&
      (injection.queues(pc) || mapped.isMappedSpi(machine.deviceSteps.inputOf(index, words)))
    const translates = next?.msi !== undefined && messages.translates(pc)
    this.perform(told)
    told.what = next?.name ?? ''
    if (next?.signal) {
      told.type = 'signal'
      told.vcpu = next.vcpu
    } else if (translates) {
      told.type = 'msi'
      told.deviceId = next.msi.deviceId
      told.eventId = next.msi.eventId
      told.its = next.msi.its
    } else if (drives) {
      told.type = 'inject'
      told.intid = next.intid
      told.vcpu = next.intid < FIRST_SPI ? next.vcpu : undefined
      told.levels = next.levels
    } else {
      told.type = 'step'
      told.step = this.texts[pc].step
      told.what = next?.restore && machine.restores?.isRefused ? `${told.step} is refused` : told.step
    }
  }

  private takeVcpus(told: Told): void {
    const { hypervisor } = this.machine
    const { words, runLoop, silicon } = hypervisor
    const v = hypervisor.vcpu(told.actor.index)
    if (words[v + VCPU_PE] === 0) {
      this.perform(told)
      told.cpu = silicon.cpuOf(peOf(words, v))
      told.type = 'schedule'
      told.what = `gets cpu${told.cpu}`
      told.runs = true
      return
    }
    told.cpu = silicon.cpuOf(peOf(words, v))
    switch (runLoop.threadState(v)) {
      case THREAD_IN_GUEST:
        told.place = 'guest'
        this.takeGuests(told, v)
        return
      case THREAD_WAITS_FOR_VCPUS:
        this.perform(told)
        told.what = 'gives its cpu up, and waits for other vCPUs'
        told.type = 'schedule'
        told.runs = false
        return
      default:
        this.takeThreads(told, v)
    }
  }

  private takeThreads(told: Told, v: Vcpu): void {
    const { words } = this.machine.hypervisor
    const { place, step, outcomes, what } = this.texts[words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]]
    const reads = words[v + VCPU_FAULT_IPA] !== 0 && (words[v + VCPU_ESR] & ESR_WnR) === 0
    const result = this.machine.stepThread(told.actor)
    this.noteAccesses(told)
    told.place = place
    if (step === 'guest') {
      told.type = 'enter'
      told.what = 'enters the guest'
      return
    }
    told.type = 'step'
    told.step = step
    told.what = what[result] ?? step
    if (outcomes.length > 0) told.outcome = outcomes[result]
    if (reads && words[v + VCPU_FAULT_IPA] === 0) {
      told.value = words[v + GUEST_VALUE] >>> 0
      told.what = `${told.what} = 0x${told.value.toString(16)}`
    }
  }

  private takeGuests(told: Told, v: Vcpu): void {
    const { words, silicon, guest, setup } = this.machine.hypervisor
    const pe = peOf(words, v)
    const program = setup.guests[told.actor.index]
    const at = words[v + GUEST_PC]
    const lastAck = words[v + GUEST_ACK + words[v + GUEST_DEPTH]]
    const doing = guest.next(v, program)
    const interrupt = guest.isInterrupted(v) ? this.physicalInterrupt(v) : undefined
    this.noteListRegisters(pe)
    this.perform(told)
    const operation = this.operationName(told.actor.index, program, at)
    if (!silicon.pcpu.isInGuest(pe)) {
      this.exited(told, v, at, operation, interrupt)
      return
    }
    told.listRegisters = this.changes(pe)
    if (doing === 'operation') {
      this.operated(told, v, program, at, lastAck, operation)
      return
    }
    told.type = 'vector'
    told.what = `takes a virtual ${doing}`
    told.interrupt = doing
  }

  /** The guest has left, by an operation or because of an interrupt of the host. */
  private exited(told: Told, v: Vcpu, at: number, operation: string, interrupt: string | undefined): void {
    const { words, layout } = this.machine.hypervisor
    const exit = exitNames[(words[v + VCPU_COST] - layout.costTable) / COST_STRIDE]
    told.type = 'exit'
    told.exit = exit
    if (interrupt !== undefined) {
      told.what = `interrupted by ${interrupt} -> exit (${exit})`
      told.interrupt = interrupt
      return
    }
    told.what = `${operation} -> exit (${exit})`
    told.operation = operation
    if (exit === 'wfi' || exit === 'wfe')
      told.wfx = { instruction: wfxNames[words[v + VCPU_ESR] & 3], pc: at }
  }

  /** What a guest has done by an operation without an exit. */
  private operated(
    told: Told,
    v: Vcpu,
    { ops }: GuestProgram,
    at: number,
    lastAck: number,
    operation: string,
  ): void {
    const value = this.machine.hypervisor.words[v + GUEST_VALUE] >>> 0
    const group = ops[at * OP_WORDS + 1] === 0 ? 0 : 1
    told.what = operation
    switch (ops[at * OP_WORDS]) {
      case OP_ACK:
        told.type = 'ack'
        told.what = `${operation} = ${intidName(value)}`
        told.intid = value
        told.group = group
        told.acknowledged = value
        told.value = value
        break
      case OP_EOI:
        told.type = 'eoi'
        told.intid = isSpecial(lastAck) ? undefined : lastAck
        told.group = group
        break
      default:
        told.type = 'guest'
        told.operation = operation
        if (ops[at * OP_WORDS] === OP_READ) told.value = value
    }
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
  const step = path.slice(slash + 1)
  const what = outcomes.map((outcome) => `${step} ${outcome}`)
  return { place: path.slice(0, Math.max(slash, 0)), step, outcomes, what }
}

/** By INTID; all others are the guest's timers. */
const hostInterruptNames: Readonly<Record<number, string>> = {
  [KICK_SGI]: 'a kick',
  [TICK_PPI]: "the host's tick",
  [MAINTENANCE_PPI]: 'the maintenance interrupt',
}

/** By the syndrome's TI field. */
const wfxNames = ['WFI', 'WFE', 'WFIT', 'WFET'] as const
