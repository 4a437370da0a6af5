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
import { NONE, RepeatedLists } from './repeated-lists.ts'
import type { Access, ListRegisterChange, StepEvent, StepEventBase, WfxEvent } from './step-events.ts'
import { accessOf, isSameAccess } from './trace.ts'

/**
 * An event that is being made: what events of all kinds have. A new object for each kind, of what is known before and what
 * only that has, would take V8 most of the time of a step.
 */
type Told = { -readonly [K in keyof StepEventBase]: StepEventBase[K] } & {
  type: StepEvent['type']
} & Partial<Parts>

/** What only some kinds have. */
interface Parts {
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
  readonly entersGuest: boolean
  readonly outcomes: readonly string[]
  /** Of a test, what it did by its result: `runnable? yes`. */
  readonly tests: readonly string[]
}

/** What is told of a guest's operation, and was told of it the last time. */
interface Operation {
  readonly name: string
  readonly exit: LastText<ExitName>
  readonly ack: LastText<number>
  wfx: WfxEvent | undefined
}

/** A text about something that is mostly what it was the last time. */
class LastText<T> {
  private last: T | undefined
  private text = ''

  constructor(private readonly textOf: (about: T) => string) {}

  of(about: T): string {
    if (about !== this.last) this.text = this.textOf(about)
    this.last = about
    return this.text
  }
}

/** Among the program counters by which lists of accesses are told apart, that of all steps that are not the design's. */
const NO_PC = 0

export class Tracer {
  private readonly texts: readonly StepTexts[]
  /** By guest. */
  private readonly operations: readonly (Operation | undefined)[][]
  private readonly interrupted = new LastText((name: string) => `interrupted by ${name} -> exit (irq)`)
  private readonly read = new LastText((value: number) => ` = 0x${value.toString(16)}`)
  /** The list registers before a step of a guest, two words each. */
  private readonly before: Int32Array
  private readonly observer: SeamObserver
  /** By program counter. */
  private readonly accesses: RepeatedLists<Access>
  /** By guest, and there by operation. */
  private readonly changed: readonly RepeatedLists<ListRegisterChange>[]
  /** Virtual time before the step. */
  private time = 0

  constructor(private readonly machine: Machine) {
    const { runLoop, setup, silicon } = machine.hypervisor
    const { paths, steps } = runLoop.program
    this.texts = paths.map((path, pc) => textsOf(path, steps[pc]?.outcomes ?? []))
    this.operations = setup.guests.map(() => [])
    this.before = new Int32Array(2 * silicon.config.listRegisters)
    this.accesses = new RepeatedLists(paths.length)
    this.changed = setup.guests.map(({ names }) => new RepeatedLists(names.length))
    this.observer = (kind, isRead, register, low, high) => {
      const { last } = this.accesses
      const isLast = last !== undefined && isSameAccess(last, kind, isRead, register, low, high)
      this.accesses.add(isLast ? last : accessOf(machine, kind, isRead, register, low, high))
    }
  }

  /** Takes one step of an actor, which must be ready, and returns what happened. */
  take(actor: Actor): StepEvent {
    const { seam } = this.machine.hypervisor
    this.time = unboxed(this.machine.time)
    seam.observer = this.observer
    try {
      // Of the kind that its type says, as the methods below have made it.
      return this.taken(actor) as StepEvent
    } finally {
      seam.observer = null
    }
  }

  private taken(actor: Actor): Told {
    if (actor.kind === 'vcpu') return this.takeVcpus(actor)
    return actor.kind === 'device' ? this.takeDevices(actor) : this.takeEnvironments(actor)
  }

  /** Takes the step, which is at a program counter if it is the design's, and returns its accesses. */
  private perform(actor: Actor, pc = NO_PC): readonly Access[] {
    this.accesses.begin(pc)
    this.machine.perform(actor)
    return this.accesses.end()
  }

  private told(
    type: StepEvent['type'],
    actor: Actor,
    cpu: number | undefined,
    place: string,
    what: string,
    accesses: readonly Access[],
    listRegisters: readonly ListRegisterChange[] = NONE,
  ): Told {
    return { time: this.time, actor, cpu, place, what, accesses, listRegisters, type }
  }

  private takeEnvironments(actor: Actor): Told {
    const { kind, index, detail, name } = actor
    const at = kind === 'preempt' || kind === 'tick' ? this.cpuOf(index) : undefined
    const accesses = this.perform(actor)
    if (kind === 'migrate' || kind === 'timer' || kind === 'preempt' || kind === 'tick') {
      const told = this.told(kind, actor, kind === 'migrate' ? detail : at, '', name, accesses)
      told.vcpu = index
      return told
    }
    return this.told('effect', actor, detail === EFFECT_MESSAGE ? undefined : index, '', name, accesses)
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
  private takeDevices(actor: Actor): Told {
    const { machine } = this
    const { index } = actor
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
    const told = this.told('step', actor, undefined, '', next?.name ?? '', this.perform(actor, pc))
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
      told.step = this.texts[pc].step
      told.what = next?.restore && machine.restores?.isRefused ? `${told.step} is refused` : told.step
    }
    return told
  }

  private takeVcpus(actor: Actor): Told {
    const { hypervisor } = this.machine
    const { words, runLoop, silicon } = hypervisor
    const v = hypervisor.vcpu(actor.index)
    if (words[v + VCPU_PE] === 0) return this.takeSwitchIns(actor, v)
    const cpu = silicon.cpuOf(peOf(words, v))
    switch (runLoop.threadState(v)) {
      case THREAD_IN_GUEST:
        return this.takeGuests(actor, v, cpu)
      case THREAD_WAITS_FOR_VCPUS: {
        const what = 'gives its cpu up, and waits for other vCPUs'
        const told = this.told('schedule', actor, cpu, '', what, this.perform(actor))
        told.runs = false
        return told
      }
      default:
        return this.takeThreads(actor, v, cpu)
    }
  }

  private takeSwitchIns(actor: Actor, v: Vcpu): Told {
    const { words, silicon } = this.machine.hypervisor
    const accesses = this.perform(actor)
    const cpu = silicon.cpuOf(peOf(words, v))
    const told = this.told('schedule', actor, cpu, '', `gets cpu${cpu}`, accesses)
    told.runs = true
    return told
  }

  /** Most steps are a thread's: their events are made with all that they have. */
  private takeThreads(actor: Actor, v: Vcpu, cpu: number): Told {
    const { time } = this
    const { words } = this.machine.hypervisor
    const pc = words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]
    const { place, step, entersGuest, outcomes, tests } = this.texts[pc]
    const reads = words[v + VCPU_FAULT_IPA] !== 0 && (words[v + VCPU_ESR] & ESR_WnR) === 0
    this.accesses.begin(pc)
    const result = this.machine.stepThread(actor)
    const accesses = this.accesses.end()
    if (entersGuest) return this.told('enter', actor, cpu, place, 'enters the guest', accesses)
    const listRegisters = NONE
    const told: Told =
      outcomes.length === 0
        ? { time, actor, cpu, place, what: step, accesses, listRegisters, type: 'step', step }
        : {
            time,
            actor,
            cpu,
            place,
            what: tests[result] ?? step,
            accesses,
            listRegisters,
            type: 'step',
            step,
            outcome: outcomes[result],
          }
    if (reads && words[v + VCPU_FAULT_IPA] === 0) {
      told.value = words[v + GUEST_VALUE] >>> 0
      told.what += this.read.of(told.value)
    }
    return told
  }

  private takeGuests(actor: Actor, v: Vcpu, cpu: number): Told {
    const { words, silicon, guest, setup } = this.machine.hypervisor
    const { index } = actor
    const pe = peOf(words, v)
    const program = setup.guests[index]
    const at = words[v + GUEST_PC]
    const lastAck = words[v + GUEST_ACK + words[v + GUEST_DEPTH]]
    const doing = guest.next(v, program)
    const interrupt = guest.isInterrupted(v) ? this.physicalInterrupt(v) : undefined
    this.noteListRegisters(pe)
    const accesses = this.perform(actor)
    const operation = this.operationOf(index, program, at)
    const isInGuest = silicon.pcpu.isInGuest(pe)
    const changes = isInGuest ? this.changes(pe, this.changed[index], at) : NONE
    const told = this.told('guest', actor, cpu, 'guest', operation.name, accesses, changes)
    if (!isInGuest) this.tellExit(told, v, at, operation, interrupt)
    else if (doing === 'operation') this.tellOperation(told, v, program, at, lastAck, operation)
    else {
      told.type = 'vector'
      told.what = `takes a virtual ${doing}`
      told.interrupt = doing
    }
    return told
  }

  /** The guest has left, by an operation or because of an interrupt of the host. */
  private tellExit(
    told: Told,
    v: Vcpu,
    at: number,
    operation: Operation,
    interrupt: string | undefined,
  ): void {
    const { words, layout } = this.machine.hypervisor
    const exit = exitNames[(words[v + VCPU_COST] - layout.costTable) / COST_STRIDE]
    told.type = 'exit'
    told.exit = exit
    if (interrupt !== undefined) {
      told.what = this.interrupted.of(interrupt)
      told.interrupt = interrupt
      return
    }
    told.what = operation.exit.of(exit)
    told.operation = operation.name
    if (exit !== 'wfi' && exit !== 'wfe') return
    operation.wfx ??= { instruction: wfxNames[words[v + VCPU_ESR] & 3], pc: at }
    told.wfx = operation.wfx
  }

  /** What a guest has done by an operation without an exit. */
  private tellOperation(
    told: Told,
    v: Vcpu,
    { ops }: GuestProgram,
    at: number,
    lastAck: number,
    { name, ack }: Operation,
  ): void {
    const value = this.machine.hypervisor.words[v + GUEST_VALUE] >>> 0
    const group = ops[at * OP_WORDS + 1] === 0 ? 0 : 1
    switch (ops[at * OP_WORDS]) {
      case OP_ACK:
        told.type = 'ack'
        told.what = ack.of(value)
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
        told.operation = name
        if (ops[at * OP_WORDS] === OP_READ) told.value = value
    }
  }

  private operationOf(vcpu: number, program: GuestProgram, at: number): Operation {
    const known = this.operations[vcpu][at]
    if (known !== undefined) return known
    const name = this.operationName(program, at)
    const operation: Operation = {
      name,
      exit: new LastText((exit) => `${name} -> exit (${exit})`),
      ack: new LastText((intid) => `${name} = ${intidName(intid)}`),
      wfx: undefined,
    }
    this.operations[vcpu][at] = operation
    return operation
  }

  /** The name of an operation; of an access to the emulated GIC, with the register's name. */
  private operationName({ ops, names }: GuestProgram, at: number): string {
    const op = at * OP_WORDS
    const isAccess = ops[op] === OP_MMIO_READ || ops[op] === OP_MMIO_WRITE
    const address = ops[op + 3] * 0x1_0000_0000 + (ops[op + 2] >>> 0)
    const register = isAccess ? this.machine.hypervisor.mmio.nameOf(address) : undefined
    return register === undefined ? names[at] : names[at].replace(/\d bytes? at 0x[0-9a-f]+/, register)
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

  /** What a guest's operation has changed. */
  private changes(
    pe: Pe,
    lists: RepeatedLists<ListRegisterChange>,
    at: number,
  ): readonly ListRegisterChange[] {
    const { before } = this
    const { ich } = this.machine.hypervisor.silicon
    lists.begin(at)
    for (let n = 0; 2 * n < before.length; n++) {
      const low = ich.readLrLow(pe, n)
      const high = ich.readLrHigh(pe, n)
      const lowBefore = before[2 * n]
      const highBefore = before[2 * n + 1]
      if (low === lowBefore && high === highBefore) continue
      const { last } = lists
      lists.add(
        last !== undefined && isSameChange(last, n, lowBefore, highBefore, low, high)
          ? last
          : { number: n, before: [lowBefore, highBefore], after: [low, high] },
      )
    }
    return lists.end()
  }
}

/** Whether a change is that of a list register from one content to another. */
const isSameChange = (
  { number, before: was, after }: ListRegisterChange,
  n: number,
  lowBefore: number,
  highBefore: number,
  low: number,
  high: number,
): boolean =>
  number === n && was[0] === lowBefore && was[1] === highBefore && after[0] === low && after[1] === high

/**
 * A number as V8 keeps it without a box, if it is a small integer: virtual time is computed as a double. The boxes of the
 * events of a run would be an eighth of them.
 */
const unboxed = (value: number): number => ((value | 0) === value ? value | 0 : value)

function textsOf(path: string, outcomes: readonly string[]): StepTexts {
  const slash = path.lastIndexOf('/')
  const step = path.slice(slash + 1)
  const tests = outcomes.map((outcome) => `${step} ${outcome}`)
  return {
    place: path.slice(0, Math.max(slash, 0)),
    step,
    entersGuest: step === 'guest',
    outcomes,
    tests,
  }
}

/** By INTID; all others are the guest's timers. */
const hostInterruptNames: Readonly<Record<number, string>> = {
  [KICK_SGI]: 'a kick',
  [TICK_PPI]: "the host's tick",
  [MAINTENANCE_PPI]: 'the maintenance interrupt',
}

/** By the syndrome's TI field. */
const wfxNames = ['WFI', 'WFE', 'WFIT', 'WFET'] as const
