/**
 * A guest: a list of operations in a typed array, a main list and a handler for IRQ and one for FIQ, run one
 * operation at a time at EL1 on the vCPU's PE. It accesses the GIC only as a guest does, by ICC_* names through the
 * PE and by MMIO that traps. Its program counter, saved states and loop counters are in the vCPU's record.
 */

import {
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
} from '../../arch/icc-registers.ts'
import { INTID_NONE, type Intid, isSpecial } from '../../arch/intid.ts'
import { dataAbortWord, ESR_EC, ESR_WFE, ESR_WFET, ESR_WFI, ESR_WFIT } from '../../arch/syndrome.ts'
import type { Encoding } from '../../arch/sysreg.ts'
import { HOST_LINES, LINE_VFIQ, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import {
  DAIF_F,
  DAIF_I,
  PCPU_PSTATE,
  PCPU_TRAP,
  PSTATE_WAITING,
  WFX_COMPLETES,
  WFX_TRAPS,
} from '../../gic/cpu-interface/pcpu.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
import type { Silicon } from '../../gic/silicon.ts'
import {
  EXIT_ERET,
  EXIT_HVC,
  EXIT_IRQ,
  EXIT_MMIO,
  EXIT_OFF,
  EXIT_SUSPEND,
  EXIT_SYSREG,
  EXIT_USERSPACE,
  EXIT_WFE,
  EXIT_WFI,
} from '../records/exits.ts'
import {
  type GuestProgram,
  OP_ACK,
  OP_COUNT,
  OP_DIR,
  OP_EOI,
  OP_ERET,
  OP_HVC,
  OP_LOOP,
  OP_MASK,
  OP_MMIO_READ,
  OP_MMIO_WRITE,
  OP_POLL,
  OP_QUIESCE,
  OP_READ,
  OP_RETURN,
  OP_SEV,
  OP_SHIFT,
  OP_STORE,
  OP_SUSPEND,
  OP_TIMER,
  OP_UNLESS_ACK,
  OP_UNMASK,
  OP_UNTIL_COUNT,
  OP_USERSPACE,
  OP_WFE,
  OP_WFET,
  OP_WFI,
  OP_WFIT,
  OP_WRITE,
} from '../records/guest-program.ts'
import {
  GUEST_ACK,
  GUEST_DEPTH,
  GUEST_LOOP,
  GUEST_PC,
  GUEST_RETURN,
  GUEST_SAVED_DAIF,
  GUEST_VALUE,
  MAX_DEPTH,
} from '../records/guest-record.ts'
import { VCPU_DATA, VCPU_ESR, VCPU_FAULT_IPA, VCPU_PE, type Vcpu } from '../records/vcpu.ts'
import { pass } from '../records/virtual-time.ts'
import { GuestAccesses } from './guest-accesses.ts'

/** The result of a guest's step: it runs on, it waits in the PE, or it exited (1 + an EXIT_ value). */
export const GUEST_RUNS = 0
export const GUEST_WAITS = -1
/** Nothing comes before a guest's next operation. */
const GUEST_EXECUTES = -2

/** PSTATE of a guest that has masked all interrupts, and does not wait. */
const MASKED = DAIF_I | DAIF_F
const QUIET = PSTATE_WAITING | MASKED
/** A bit for each operation that reads the time. */
const TIMED = (1 << OP_TIMER) | (1 << OP_WFIT)

/** The timers that a guest programs. */
export interface GuestTimers {
  /** Arms a timer to expire after `ticks`, or turns it off. */
  program(v: Vcpu, timer: number, ticks: number): void
  /** Sets a WFIT's timeout. */
  programWfit(v: Vcpu, ticks: number): void
}

/** What a guest affects besides its PE and its hypervisor. */
export interface OutsideWorld {
  /** SEV: sets the event register of every PE. */
  sendEvents(): void
  /** The device that drives an interrupt of this vCPU lowers its line. */
  lower(v: Vcpu, intid: Intid): void
  /** A store of 32 bits to the guest's memory; ignored where there is none. */
  store(low: number, high: number, value: number): void
}

/** Listens to guests. */
export interface GuestObserver {
  /** A vCPU's guest has read an INTID, 1023 included, from ICC_IAR0_EL1 or ICC_IAR1_EL1 without a trap. */
  acknowledged(v: Vcpu, intid: Intid): void
}

/** Where the handler for the taken lines begins; -1 if there is none. */
const handlerFor = ({ onIrq, onFiq }: GuestProgram, taken: number): number =>
  taken & LINE_VFIQ ? onFiq : onIrq

export class Guest extends GuestAccesses {
  /** What the last step of {@link run} came to, for its caller alone. It means nothing after that, so that no image has it. */
  result = GUEST_RUNS
  /** Whether that step was one of an operation that reads the time, as one that programs a timer does; also for {@link run}'s caller alone. */
  wasTimed = false
  /** Listens to all guests; null for none. */
  observer: GuestObserver | null = null

  constructor(
    words: Int32Array,
    silicon: Silicon,
    readonly timers: GuestTimers,
    readonly outside: OutsideWorld,
    /** Where virtual time is. */
    private readonly now: number,
  ) {
    super(words, silicon)
  }

  /**
   * One step at EL1: takes a physical interrupt to EL2 if there is one, otherwise a virtual one, otherwise executes
   * the next operation.
   */
  step(v: Vcpu, program: GuestProgram): number {
    const { words } = this
    const pe = asPe(words[v + VCPU_PE])
    const first = this.mayComeFirst(words, pe) ? this.beforeOperation(v, pe, program) : GUEST_EXECUTES
    if (first !== GUEST_EXECUTES) return first
    const { ops } = program
    const at = words[v + GUEST_PC] << OP_SHIFT
    return this.operation(v, pe, ops, at, ops[at])
  }

  /**
   * Whether a guest's step may be another than its next operation. Before most of them nothing is pending, or all is masked,
   * and the guest does not wait.
   */
  private mayComeFirst(words: Int32Array, pe: Pe): boolean {
    const state = words[pe + PCPU_PSTATE] & QUIET
    if ((words[pe + PE_LINES] & HOST_LINES) !== 0) return true
    if (state === MASKED) return false
    return (state & PSTATE_WAITING) !== 0 || this.silicon.pcpu.mayBePending(pe)
  }

  /**
   * The step that comes before a guest's next operation, if any: it exits for an interrupt of the host, waits on, or takes a
   * virtual interrupt.
   * @noinline
   */
  private beforeOperation(v: Vcpu, pe: Pe, program: GuestProgram): number {
    const { words, silicon } = this
    if (words[pe + PE_LINES] & HOST_LINES) return 1 + EXIT_IRQ
    if (!silicon.pcpu.wake(pe)) return GUEST_WAITS
    const taken = silicon.pcpu.taken(pe)
    if (taken === 0 || words[v + GUEST_DEPTH] >= MAX_DEPTH) return GUEST_EXECUTES
    return this.interrupt(v, pe, program, taken) ? GUEST_RUNS : GUEST_EXECUTES
  }

  /**
   * Steps, at most `most`, up to one that does not run on, whose result {@link result} is then, or that reads the time. Returns
   * how many. Virtual time lags `behind` steps; it is brought up to date before an operation that reads it.
   * @noinline
   */
  run(v: Vcpu, program: GuestProgram, most: number, behind: number): number {
    const { words } = this
    const { ops } = program
    const pe = asPe(words[v + VCPU_PE])
    let pc = words[v + GUEST_PC]
    let taken = 0
    let end = most
    this.wasTimed = false
    this.result = GUEST_RUNS
    while (taken < end) {
      taken++
      const first = this.mayComeFirst(words, pe) ? this.beforeOperation(v, pe, program) : GUEST_EXECUTES
      if (first === GUEST_EXECUTES) {
        let at = pc << OP_SHIFT
        let op = ops[at]
        // A loop changes nothing that could let an interrupt in: what was asked before it holds for the operation after it.
        while (op === OP_LOOP) {
          pc = this.loop(words, v, pc, ops[at + 1], ops[at + 2], ops[at + 3])
          if (taken === end) return taken
          taken++
          at = pc << OP_SHIFT
          op = ops[at]
        }
        if (op === OP_HVC) {
          this.result = this.hypercall(words, v, pc)
          return taken
        }
        if ((TIMED >> op) & 1) end = this.endTimed(taken, behind)
        const result = this.operation(v, pe, ops, at, op)
        if (result !== GUEST_RUNS) {
          this.result = result
          return taken
        }
      } else if (first !== GUEST_RUNS) {
        this.result = first
        return taken
      }
      pc = words[v + GUEST_PC]
    }
    return taken
  }

  /** The step reads the time, and is the last. */
  private endTimed(taken: number, behind: number): number {
    pass(this.words, this.now, behind + taken)
    this.wasTimed = true
    return taken
  }

  /** What a step would do next, unless a physical interrupt comes first: take a virtual one, or an operation. */
  next(v: Vcpu, program: GuestProgram): 'IRQ' | 'FIQ' | 'operation' {
    const { words, silicon } = this
    const taken = silicon.pcpu.taken(asPe(words[v + VCPU_PE]))
    if (taken === 0 || words[v + GUEST_DEPTH] >= MAX_DEPTH || handlerFor(program, taken) < 0)
      return 'operation'
    return taken & LINE_VFIQ ? 'FIQ' : 'IRQ'
  }

  /** Whether a step would do nothing but wait. */
  isWaiting(v: Vcpu): boolean {
    const pe = asPe(this.words[v + VCPU_PE])
    if (!this.silicon.pcpu.isWaiting(pe) || this.isInterrupted(v)) return false
    return !this.silicon.pcpu.wouldWake(pe)
  }

  /**
   * Whether an interrupt of the host makes the guest exit: a kick's IPI, a tick, its timers or devices, maintenance.
   * It does so for a vCPU that was never loaded too, although HCR_EL2 does not route interrupts to EL2 then, since
   * guests have no handler for the host's.
   */
  isInterrupted(v: Vcpu): boolean {
    return this.silicon.pcpu.physicalLines(asPe(this.words[v + VCPU_PE])) !== 0
  }

  /** Enters a handler, with both masks set; false if there is none for what is signalled. */
  private interrupt(v: Vcpu, pe: Pe, program: GuestProgram, taken: number): boolean {
    const { words } = this
    const handler = handlerFor(program, taken)
    if (handler < 0) return false
    const depth = words[v + GUEST_DEPTH]
    words[v + GUEST_RETURN + depth] = words[v + GUEST_PC]
    words[v + GUEST_SAVED_DAIF + depth] = this.silicon.pcpu.masks(pe)
    words[v + GUEST_DEPTH] = depth + 1
    words[v + GUEST_PC] = handler
    this.silicon.pcpu.setMasks(pe, DAIF_I | DAIF_F)
    return true
  }

  /** Executes an operation. Those of nearly every handler come first; each is one call, into which V8 inlines what it does. */
  private operation(v: Vcpu, pe: Pe, ops: Int32Array, at: number, op: number): number {
    switch (op) {
      case OP_ACK:
        return this.acknowledge(v, pe, ops[at + 1])
      case OP_EOI:
        return this.complete(v, pe, ops[at + 1] === 0 ? ICC_EOIR0_EL1 : ICC_EOIR1_EL1)
      case OP_RETURN:
        return this.exceptionReturn(v, pe)
      default:
        return this.otherOperation(v, pe, ops, at)
    }
  }

  /** @noinline */
  private otherOperation(v: Vcpu, pe: Pe, ops: Int32Array, at: number): number {
    const { words, silicon } = this
    const operand = ops[at + 1]
    switch (ops[at]) {
      case OP_DIR:
        return this.complete(v, pe, ICC_DIR_EL1)
      case OP_MASK:
        silicon.pcpu.setMasks(pe, silicon.pcpu.masks(pe) | operand)
        return this.advance(v)
      case OP_UNMASK:
        silicon.pcpu.setMasks(pe, silicon.pcpu.masks(pe) & ~operand)
        return this.advance(v)
      case OP_WFI:
        return this.waited(v, pe, silicon.pcpu.wfi(pe, ESR_WFI), EXIT_WFI)
      case OP_WFE:
        return this.waited(v, pe, silicon.pcpu.wfe(pe, ESR_WFE), EXIT_WFE)
      case OP_WFIT:
        return this.waitedWithTimeout(v, pe, operand)
      case OP_WFET:
        return this.waited(v, pe, silicon.pcpu.wfe(pe, ESR_WFET), EXIT_WFE)
      case OP_SEV:
        this.outside.sendEvents()
        return this.advance(v)
      case OP_WRITE:
        this.write(pe, operand, ops[at + 2], ops[at + 3])
        return this.accessed(v, pe, ops[at + 2], ops[at + 3])
      case OP_READ: {
        const value = this.read(pe, operand)
        words[v + GUEST_VALUE] = value
        return this.accessed(v, pe)
      }
      case OP_POLL: {
        const value = this.read(pe, operand)
        if (words[pe + PCPU_TRAP] === 0 && (value & ops[at + 2]) !== ops[at + 3]) return GUEST_RUNS
        return this.accessed(v, pe)
      }
      case OP_HVC:
        return this.hypercall(words, v, words[v + GUEST_PC])
      case OP_SUSPEND:
        this.advance(v)
        return 1 + EXIT_SUSPEND
      case OP_USERSPACE:
        return 1 + EXIT_USERSPACE
      case OP_ERET:
        return 1 + EXIT_ERET
      case OP_MMIO_READ:
        return this.leaveForMemory(v, operand, false, ops[at + 2], ops[at + 3], 0, 0)
      case OP_MMIO_WRITE:
        return this.leaveForMemory(v, operand, true, ops[at + 2], ops[at + 3], ops[at + 4], ops[at + 5])
      case OP_TIMER:
        this.timers.program(v, operand, ops[at + 2])
        return this.advance(v)
      case OP_LOOP:
        this.loop(words, v, words[v + GUEST_PC], operand, ops[at + 2], ops[at + 3])
        return GUEST_RUNS
      case OP_UNLESS_ACK:
        if (words[v + GUEST_ACK + words[v + GUEST_DEPTH]] === operand) return this.advance(v)
        words[v + GUEST_PC] = ops[at + 2]
        return GUEST_RUNS
      case OP_COUNT:
        words[v + GUEST_LOOP + operand]++
        return this.advance(v)
      case OP_UNTIL_COUNT:
        return words[v + GUEST_LOOP + operand] < ops[at + 2] ? GUEST_RUNS : this.advance(v)
      case OP_QUIESCE:
        this.outside.lower(v, operand)
        return this.advance(v)
      case OP_STORE:
        this.outside.store(operand, ops[at + 2], ops[at + 3])
        return this.advance(v)
      default:
        return 1 + EXIT_OFF
    }
  }

  private advance(v: Vcpu): number {
    this.words[v + GUEST_PC]++
    return GUEST_RUNS
  }

  /**
   * Completes a register access; `low` and `high` are the value to be written. If it trapped, the guest exits;
   * otherwise the next operation follows. If it is UNDEFINED, the guest's exception handler, which is not modelled,
   * skips it.
   */
  private accessed(v: Vcpu, pe: Pe, low = 0, high = 0): number {
    const syndrome = this.words[pe + PCPU_TRAP]
    if (syndrome === 0 || ESR_EC(syndrome) === 0) return this.advance(v)
    this.words[v + VCPU_ESR] = syndrome
    this.words[v + VCPU_DATA] = low
    this.words[v + VCPU_DATA + 1] = high
    return 1 + EXIT_SYSREG
  }

  /** An access to an address without memory, which takes a data abort to EL2. */
  private leaveForMemory(
    v: Vcpu,
    size: number,
    isWrite: boolean,
    ipaLow: number,
    ipaHigh: number,
    low: number,
    high: number,
  ): number {
    const { words } = this
    words[v + VCPU_ESR] = dataAbortWord(size, isWrite)
    words[v + VCPU_FAULT_IPA] = ipaLow
    words[v + VCPU_FAULT_IPA + 1] = ipaHigh
    words[v + VCPU_DATA] = low
    words[v + VCPU_DATA + 1] = high
    return 1 + EXIT_MMIO
  }

  /** @noinline */
  private acknowledge(v: Vcpu, pe: Pe, group: number): number {
    const { words } = this
    const intid = this.read(pe, group === 0 ? ICC_IAR0_EL1 : ICC_IAR1_EL1)
    words[v + GUEST_VALUE] = intid
    words[v + GUEST_ACK + words[v + GUEST_DEPTH]] = intid
    const result = words[pe + PCPU_TRAP] === 0 ? this.advance(v) : this.accessed(v, pe)
    if (result === GUEST_RUNS) this.observer?.acknowledged(v, intid)
    return result
  }

  /**
   * Writes the INTID that was last acknowledged to EOIR or DIR; nothing if that was a special INTID.
   * @noinline
   */
  private complete(v: Vcpu, pe: Pe, encoding: Encoding): number {
    const intid = this.words[v + GUEST_ACK + this.words[v + GUEST_DEPTH]]
    if (isSpecial(intid)) return this.advance(v)
    this.write(pe, encoding, intid, 0)
    return this.words[pe + PCPU_TRAP] === 0 ? this.advance(v) : this.accessed(v, pe, intid)
  }

  private waited(v: Vcpu, pe: Pe, result: number, exit: number): number {
    if (result === WFX_TRAPS) {
      this.words[v + VCPU_ESR] = this.words[pe + PCPU_TRAP]
      return 1 + exit
    }
    this.advance(v)
    return result === WFX_COMPLETES ? GUEST_RUNS : GUEST_WAITS
  }

  /** WFIT: starts the timeout, which the hypervisor watches if the instruction traps. */
  private waitedWithTimeout(v: Vcpu, pe: Pe, ticks: number): number {
    const result = this.silicon.pcpu.wfi(pe, ESR_WFIT)
    if (result === WFX_TRAPS) this.timers.programWfit(v, ticks)
    return this.waited(v, pe, result, EXIT_WFI)
  }

  /** Returns the operation that the guest goes on with. */
  private loop(words: Int32Array, v: Vcpu, pc: number, loop: number, rounds: number, back: number): number {
    const goesBack = ++words[v + GUEST_LOOP + loop] < rounds
    if (!goesBack) words[v + GUEST_LOOP + loop] = 0
    const next = goesBack ? back : pc + 1
    words[v + GUEST_PC] = next
    return next
  }

  private hypercall(words: Int32Array, v: Vcpu, pc: number): number {
    words[v + GUEST_PC] = pc + 1
    return 1 + EXIT_HVC
  }

  /** ERET from a handler, which like every exception return sets the event register. */
  private exceptionReturn(v: Vcpu, pe: Pe): number {
    const { words } = this
    const depth = words[v + GUEST_DEPTH]
    words[v + GUEST_ACK + depth] = INTID_NONE
    words[v + GUEST_DEPTH] = depth - 1
    words[v + GUEST_PC] = words[v + GUEST_RETURN + depth - 1]
    this.silicon.pcpu.setMasks(pe, words[v + GUEST_SAVED_DAIF + depth - 1])
    this.silicon.pcpu.sendEvent(pe)
    words[v + GUEST_RETURN + depth - 1] = 0
    words[v + GUEST_SAVED_DAIF + depth - 1] = 0
    return GUEST_RUNS
  }
}
