/** The kind of a step, known before it is taken: which words it may write, and what is checked after it. */
import { HCR_EL2_FMO, HCR_EL2_IMO } from '../arch/hcr-el2.ts'
import { ICC_DIR_EL1 } from '../arch/icc-registers.ts'
import { PCPU_HCR_EL2 } from '../gic/cpu-interface/pcpu.ts'
import { OP_DIR, OP_QUIESCE, OP_SEV, OP_STORE, OP_WORDS, OP_WRITE } from '../hyp/records/guest-program.ts'
import { GUEST_PC } from '../hyp/records/guest-record.ts'
import {
  peOf,
  THREAD_COMMIT_VPE,
  THREAD_IRQS_OFF,
  THREAD_RELOAD_VPE,
  THREAD_WAITING,
  VCPU_AP_COUNT,
  VCPU_AP_FIRST,
  VCPU_INDEX,
  VCPU_LR_IRQ,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_USED_LRS,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { asIrq, IRQ_LINK, irqTarget } from '../hyp/records/vgic-irq.ts'
import { VM_DEACTIVATED } from '../hyp/records/vm.ts'
import { isOwnStep, type Step, type ThreadWriter } from '../hyp/run/step.ts'
import {
  STEP_SET_WAITING,
  STEP_TIMER_SYNC,
  STEP_VPE_COMMIT,
  STEP_VPE_LOAD_UNLESS_WAITING,
  STEP_VPE_RELOAD,
} from '../hyp/run/step-numbers.ts'
import { rowOf } from '../hyp/run/steps.ts'
import { THREAD_IN_GUEST } from '../hyp/run/thread-states.ts'
import { DRIVES, RESTORES_VM, SAVES_VM, SIGNALS } from '../scenario/device-steps.ts'
import type { Actor, Machine } from '../scenario/machine.ts'

/** What a step may write, the low bits of a kind: any word. */
export const WRITES_ALL = 0
/** What a design's step declares: the thread's own words; its vCPU's too; its PE's and the run queue's too. */
export const WRITES_THREAD = 1
export const WRITES_VCPU = 2
export const WRITES_PE = 3
/** A load and a put of the CPU interface: between the vCPU's shadow and the PE. */
export const WRITES_LOAD = 4
export const WRITES_PUT = 5
/** The thread gets its PE, enters the guest, or leaves the PE: where it is, and PSTATE. */
export const WRITES_SCHED = 6
/** A step of a guest: its vCPU's words, its PE's, and the ghosts (src/scenario/ghosts.ts). */
export const WRITES_GUEST = 7
/** A device's step that queues an interrupt; one that posts a request, kicks, or sends a signal. */
export const WRITES_QUEUE = 8
export const WRITES_NOTIFY = 9
/** A flush or a fold: the vCPU's ap_list and the list registers, with the interrupts that they name. */
export const WRITES_LISTS = 10
export const WRITES = 15

/** The step is a question; it is the runnable() of a halt about its own vCPU. */
export const ASKS = 16
export const ASKS_OWN_RUNNABLE = 32
/** The thread enters the guest. */
export const ENTERS = 64
/** A flush or a fold. */
const ON_LISTS = 128
/** The step writes less while no interrupt is signalled to the PE. */
const TAKES = 256
/** The step has preconditions, which step-context.ts checks. */
export const HAS_NEEDS = 512

/** The guest writes to ICC_DIR_EL1. */
export const DEACTIVATES = 1024

/** A fold. */
export const FOLDS = 2048

/** The step is one of the design's own: a function of the user's. */
export const IS_OWN = 4096

/** Userspace saves the VM. */
export const SAVES = 8192

/** A flush. */
export const FLUSHES = 16384

/** Userspace restores the VM. */
export const RESTORES = 32768

/** Most often the step has nothing to do, which is known before. */
const MAY_BE_IDLE = 65536

/** With these HCR_EL2 bits set, a guest's ICC_* accesses are to its virtual CPU interface. */
const ROUTES = HCR_EL2_IMO | HCR_EL2_FMO

const writesNumbers: Readonly<Record<ThreadWriter, number>> = {
  thread: WRITES_THREAD,
  vcpu: WRITES_VCPU,
  pe: WRITES_PE,
  load: WRITES_LOAD,
  put: WRITES_PUT,
  sched: WRITES_SCHED,
}

/** The steps besides flushes and folds that most often have nothing to do. */
const idlers: ReadonlySet<number> = new Set([
  STEP_VPE_COMMIT,
  STEP_VPE_RELOAD,
  STEP_VPE_LOAD_UNLESS_WAITING,
  STEP_TIMER_SYNC,
])

/** Tells the kind of every actor's next step: its {@link WRITES} value and flags. */
export class StepKinds {
  private readonly words: Int32Array
  /** The kinds of the design's steps, by program counter. */
  private readonly rows: Int32Array
  /** The same while no interrupt is signalled to the PE. */
  private readonly uninterrupted: Int32Array
  private readonly hasMapped: boolean
  private readonly timer: number
  private readonly guest: number
  /** Whether flushes and folds may touch nothing but their vCPU's interrupts: no SPI in flight is counted. */
  private readonly ownLists: boolean
  /** Whether the host injects interrupts that it takes. */
  private readonly injects: boolean

  constructor(private readonly machine: Machine) {
    const { words, runLoop, layout } = machine.hypervisor
    this.words = words
    const { timers } = machine.setup
    const mapped = layout.mappedCount > 0
    this.hasMapped = mapped
    // With GICv4 a write to a PE may change what its redistributor presents, and the host takes doorbells.
    const direct = machine.hypervisor.v4 !== undefined
    const injects = timers || mapped || direct
    this.injects = injects
    const kinds = (isInterrupted: boolean): Int32Array =>
      Int32Array.from(runLoop.program.steps, (step) => {
        const row = kindOf(step, injects, isInterrupted)
        return direct && (row & WRITES) === WRITES_PE ? row & ~WRITES : row
      })
    this.rows = kinds(true)
    this.uninterrupted = kinds(false)
    // Of a vCPU that waits the invariants of residency ask more: they are checked as after a step with preconditions.
    for (const [pc, step] of runLoop.program.steps.entries())
      if (direct && step?.op === STEP_SET_WAITING) this.rows[pc] |= HAS_NEEDS
    this.timer = timers ? WRITES_ALL : WRITES_VCPU
    this.guest = mapped ? WRITES_ALL : WRITES_GUEST
    const { apLists } = machine.hypervisor
    this.ownLists = !mapped && !apLists.countsSpis
  }

  /** The kind of an actor's next step: a WRITES_ value and flags. */
  next({ kind, index }: Actor): number {
    switch (kind) {
      case 'vcpu':
        return this.ofVcpu(index, this.machine.hypervisor.vcpu(index))
      case 'device':
        return this.ofDevice(index)
      case 'timer':
        return this.timer
      case 'effect':
        return WRITES_ALL
      // Neither of these two changes what a redistributor presents, as other writes to a PE may with GICv4.
      case 'migrate':
        return WRITES_SCHED
      case 'tick':
        return WRITES_PE
      default:
        return WRITES_THREAD
    }
  }

  private ofVcpu(index: number, v: Vcpu): number {
    const { words } = this
    const { runLoop } = this.machine.hypervisor
    // The step is that the thread gets its PE.
    if (words[v + VCPU_PE] === 0) return WRITES_SCHED
    if (runLoop.threadState(v) === THREAD_IN_GUEST) return this.ofGuest(index, v)
    const pc = words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]
    const row = this.rows[pc]
    if (row & MAY_BE_IDLE && this.isIdle(pc, v)) return (row & HAS_NEEDS) | WRITES_THREAD
    if (row & ON_LISTS) return this.ownLists && this.keepsInterrupts(v) ? (row & ~WRITES) | WRITES_LISTS : row
    return row & TAKES && !this.machine.hypervisor.guest.isInterrupted(v) ? this.uninterrupted[pc] : row
  }

  /** Whether a step that may be idle has nothing to do. */
  private isIdle(pc: number, v: Vcpu): boolean {
    const { words } = this
    const { runLoop, timers } = this.machine.hypervisor
    switch (runLoop.program.steps[pc]?.op) {
      case STEP_VPE_COMMIT:
        return (words[v + VCPU_THREAD] & THREAD_COMMIT_VPE) === 0
      case STEP_VPE_RELOAD:
        return (words[v + VCPU_THREAD] & THREAD_RELOAD_VPE) === 0
      case STEP_VPE_LOAD_UNLESS_WAITING:
        return (words[v + VCPU_THREAD] & THREAD_WAITING) !== 0
      case STEP_TIMER_SYNC:
        return timers.isSynced(v)
      default:
        return words[v + VCPU_AP_COUNT] === 0 && words[v + VCPU_USED_LRS] === 0
    }
  }

  /**
   * Whether a flush or a fold touches nothing but its vCPU's interrupts and its PE: all on the ap_list are its vCPU's, so that
   * no prune moves one to another; none is marked by another; no LPI is held; and the host takes no interrupt meanwhile.
   */
  private keepsInterrupts(v: Vcpu): boolean {
    const { words, machine } = this
    const { layout, apLists } = machine.hypervisor
    if (words[layout.vm + VM_DEACTIVATED] !== 0) return false
    if (this.injects && (words[v + VCPU_THREAD] & THREAD_IRQS_OFF) === 0) return false
    const { first } = apLists.lpis
    for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK]))
      if (irq >= first || irqTarget(words[irq]) !== words[v + VCPU_INDEX]) return false
    for (let n = 0; n < words[v + VCPU_USED_LRS]; n++) if (words[v + VCPU_LR_IRQ + n] >= first) return false
    return true
  }

  private ofGuest(index: number, v: Vcpu): number {
    const { words } = this
    // If the vCPU was not loaded, the guest's accesses are to the physical CPU interface.
    if ((words[peOf(words, v) + PCPU_HCR_EL2] & ROUTES) !== ROUTES) return WRITES_ALL
    const { ops } = this.machine.setup.guests[index]
    const at = words[v + GUEST_PC] * OP_WORDS
    switch (ops[at]) {
      case OP_SEV:
      case OP_QUIESCE:
      case OP_STORE:
        return WRITES_ALL
      case OP_DIR:
        return this.guest | DEACTIVATES
      case OP_WRITE:
        return ops[at + 1] === ICC_DIR_EL1 ? this.guest | DEACTIVATES : this.guest
      default:
        return this.guest
    }
  }

  private ofDevice(index: number): number {
    const { deviceSteps, hypervisor } = this.machine
    const kind = deviceSteps.kindOf(index)
    if (kind !== DRIVES) return this.ofDeviceApart(index, kind)
    if (this.hasMapped && hypervisor.mapped.isMappedSpi(deviceSteps.inputOf(index, this.words)))
      return WRITES_ALL
    if (hypervisor.injection.queues(deviceSteps.nextInjection(index)) !== true) return WRITES_NOTIFY
    // The first SPI that is counted is a request to every vCPU.
    return hypervisor.apLists.countsSpis ? WRITES_ALL : WRITES_QUEUE
  }

  /** The same for a step that drives no line. */
  private ofDeviceApart(index: number, kind: number): number {
    const { deviceSteps, hypervisor } = this.machine
    if (kind === SIGNALS) return WRITES_NOTIFY
    if (kind === SAVES_VM) return WRITES_ALL | SAVES
    if (kind === RESTORES_VM) return WRITES_ALL | RESTORES
    // A message may be translated, cached and held; an LPI may go with the last reference.
    return hypervisor.injection.notifies(deviceSteps.nextInjection(index)) ? WRITES_NOTIFY : WRITES_ALL
  }
}

/**
 * What a design's step may write, a WRITES_ value. `injects`: whether the host injects interrupts that it takes, for
 * timers or mapped SPIs; `isInterrupted`: whether one may be signalled to the PE.
 */
function writesOf(step: Step, injects: boolean, isInterrupted: boolean): number {
  const row = rowOf(step.op)
  const writes = row
    ? (!isInterrupted && row.writesUninterrupted) || (!injects && row.writesUninjected) || row.writes
    : step.writes
  return writes === undefined ? WRITES_ALL : writesNumbers[writes]
}

/**
 * The kind of a design's step; `step` is undefined for the end. A design's own step with outcomes is a question
 * unless it says otherwise.
 */
function kindOf(step: Step | undefined, injects: boolean, isInterrupted: boolean): number {
  if (!step) return WRITES_ALL
  const row = rowOf(step.op)
  const asks = step.asks ?? (row ? row.asks : step.outcomes.length > 1 && 'question')
  return (
    writesOf(step, injects, isInterrupted) |
    (asks ? ASKS : 0) |
    (asks === 'runnable' ? ASKS_OWN_RUNNABLE : 0) |
    (row?.enters ? ENTERS : 0) |
    (row?.lists && !row.alwaysAccesses ? ON_LISTS | MAY_BE_IDLE : 0) |
    (idlers.has(step.op) ? MAY_BE_IDLE : 0) |
    (row?.lists === 'fold' ? FOLDS : 0) |
    (row?.lists === 'flush' ? FLUSHES : 0) |
    (row?.writesUninterrupted ? TAKES : 0) |
    (row?.needs ? HAS_NEEDS : 0) |
    (isOwnStep(step) ? IS_OWN : 0)
  )
}
