/** What each step of a design does. A step is atomic. */

import { HCR_EL2_FMO, HCR_EL2_IMO, HCR_EL2_TWE, HCR_EL2_TWI } from '../../arch/hcr-el2.ts'
import { ICC_ASGI1R_EL1, ICC_DIR_EL1, ICC_SGI0R_EL1, ICC_SGI1R_EL1 } from '../../arch/icc-registers.ts'
import { HCR_TDIR } from '../../arch/ich-registers.ts'
import { sysregSyndrome } from '../../arch/syndrome.ts'
import { type Pcpu, returnFromEl2 } from '../../gic/cpu-interface/pcpu.ts'
import type { Scheduler } from '../host/scheduler.ts'
import type { Seam } from '../host/seam.ts'
import { GUEST_PC } from '../records/guest-record.ts'
import {
  MODE_IN_GUEST,
  MODE_OUTSIDE,
  REQ_SIGNAL,
  REQ_UNHALT,
  TASK_BLOCKED,
  TASK_OFF,
  TASK_RUNNING,
  TASK_SLEEPING,
  THREAD_IRQS_OFF,
  THREAD_REQUESTS,
  THREAD_WAITING,
  taskOf,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_EXIT,
  VCPU_LOADED,
  VCPU_PE,
  VCPU_SLEEPS,
  VCPU_THREAD,
  VCPU_WFIT,
  withMode,
  withPreemptOff,
  withPreemptOn,
  withTask,
} from '../records/vcpu.ts'
import type { ApLists } from '../vgic/ap-list.ts'
import type { ArchTimers } from '../vgic/arch-timer.ts'
import type { VgicMmio } from '../vgic/vgic-mmio.ts'
import { sendSgi } from '../vgic/vgic-sgi.ts'
import type { VgicV3 } from '../vgic/vgic-v3.ts'
import type { Halt } from './halt.ts'
import type { HostInterrupts } from './host-interrupts.ts'
import type { OnSpin } from './on-spin.ts'
import type { OwnSteps } from './own-steps.ts'
import * as op from './steps.ts'
import type { StopVm } from './stop-vm.ts'

/** Virtual interrupts to EL1, and WFI and WFE trapped. */
const GUEST_HCR_EL2 = HCR_EL2_IMO | HCR_EL2_FMO | HCR_EL2_TWI | HCR_EL2_TWE

const ESR_SGI1R = sysregSyndrome(ICC_SGI1R_EL1, false) | 0
const ESR_SGI0R = sysregSyndrome(ICC_SGI0R_EL1, false) | 0
const ESR_ASGI1R = sysregSyndrome(ICC_ASGI1R_EL1, false) | 0
const ESR_DIR = sysregSyndrome(ICC_DIR_EL1, false) | 0

/** What the steps are made of. */
export interface StepParts {
  readonly seam: Seam
  readonly apLists: ApLists
  readonly vgic: VgicV3
  readonly timers: ArchTimers
  readonly scheduler: Scheduler
  readonly halt: Halt
  readonly onSpin: OnSpin
  readonly own: OwnSteps
  readonly mmio: VgicMmio
  readonly stopVm: StopVm
  readonly hostInterrupts: HostInterrupts
}

export class ThreadSteps {
  readonly words: Int32Array
  readonly pcpu: Pcpu
  readonly seam: Seam
  readonly apLists: ApLists
  readonly vgic: VgicV3
  readonly timers: ArchTimers
  readonly scheduler: Scheduler
  readonly halt: Halt
  readonly onSpin: OnSpin
  readonly own: OwnSteps
  readonly mmio: VgicMmio
  readonly stopVm: StopVm
  readonly hostInterrupts: HostInterrupts

  constructor(parts: StepParts) {
    this.words = parts.seam.words
    this.pcpu = parts.seam.silicon.pcpu
    this.seam = parts.seam
    this.apLists = parts.apLists
    this.vgic = parts.vgic
    this.timers = parts.timers
    this.scheduler = parts.scheduler
    this.halt = parts.halt
    this.onSpin = parts.onSpin
    this.own = parts.own
    this.mmio = parts.mmio
    this.stopVm = parts.stopVm
    this.hostInterrupts = parts.hostInterrupts
  }

  /** Does a step for a vCPU and returns its result. */
  perform(step: number, v: number): number {
    const { words } = this
    switch (step) {
      case op.STEP_LOAD:
        this.load(v)
        return 0
      case op.STEP_LOAD_UNLESS_WAITING:
        this.loadUnlessWaiting(v)
        return 0
      case op.STEP_TRAP_DIR:
        this.trapDir(v)
        return 0
      case op.STEP_TIMER_LOAD:
        this.timers.load(v)
        return 0
      case op.STEP_TIMER_PUT:
        this.timers.put(v)
        return 0
      case op.STEP_PUT:
        this.put(v)
        return 0
      case op.STEP_HANDLE_REQUESTS:
        words[v + VCPU_THREAD] &= ~THREAD_REQUESTS | REQ_SIGNAL
        return 0
      case op.STEP_PREEMPT_OFF:
        words[v + VCPU_THREAD] = withPreemptOff(words[v + VCPU_THREAD])
        return 0
      case op.STEP_PREEMPT_ON:
        words[v + VCPU_THREAD] = withPreemptOn(words[v + VCPU_THREAD])
        return 0
      case op.STEP_IRQ_OFF:
        words[v + VCPU_THREAD] |= THREAD_IRQS_OFF
        return 0
      case op.STEP_IRQ_ON:
        this.irqOn(v)
        return 0
      case op.STEP_FLUSH:
        this.vgic.flush(v)
        return this.settled(v)
      case op.STEP_FLUSH_ACTIVE_FIRST:
        this.vgic.flushActiveFirst(v)
        return this.settled(v)
      case op.STEP_FOLD:
        this.vgic.fold(v)
        return this.settled(v)
      case op.STEP_FOLD_IGNORING_EOI_COUNT:
        this.vgic.foldIgnoringEoiCount(v)
        return this.settled(v)
      case op.STEP_TIMER_SYNC:
        this.timers.sync(v)
        return 0
      case op.STEP_PUBLISH_IN_GUEST:
        words[v + VCPU_THREAD] = withMode(words[v + VCPU_THREAD], MODE_IN_GUEST)
        return 0
      case op.STEP_PUBLISH_OUTSIDE:
        words[v + VCPU_THREAD] = withMode(words[v + VCPU_THREAD], MODE_OUTSIDE)
        return 0
      case op.STEP_REQUEST_PENDING:
        return words[v + VCPU_THREAD] & THREAD_REQUESTS ? 1 : 0
      case op.STEP_SIGNAL_PENDING:
        return words[v + VCPU_THREAD] & REQ_SIGNAL ? 1 : 0
      case op.STEP_GUEST:
        returnFromEl2(words, words[v + VCPU_PE])
        return 0
      case op.STEP_EXIT_REASON:
        return this.takeExitReason(v)
      case op.STEP_SKIP_INSTRUCTION:
        this.skipInstruction(v)
        return 0
      case op.STEP_EMULATE_SYSREG:
        this.emulateSysreg(v)
        return 0
      case op.STEP_EMULATE_MMIO:
        return this.mmio.access(v, true)
      case op.STEP_EMULATE_MMIO_FROM_MEMORY:
        return this.mmio.access(v, false)
      case op.STEP_ACCESS_STOPPED:
        return this.mmio.access(v, true)
      case op.STEP_ACCESS_STOPPED_FROM_MEMORY:
        return this.mmio.access(v, false)
      case op.STEP_REEVALUATE:
        this.mmio.reevaluate()
        return 0
      case op.STEP_STOP_VCPUS:
        this.stopVm.stop(v)
        return 0
      case op.STEP_RESUME_VCPUS:
        this.stopVm.resume()
        return 0
      case op.STEP_USERSPACE:
        words[v + VCPU_THREAD] &= ~REQ_SIGNAL
        if (words[v + VCPU_ESR] !== 0) this.mmio.finishInUserspace(v)
        return 0
      case op.STEP_SET_WAITING:
        words[v + VCPU_THREAD] |= THREAD_WAITING
        return 0
      case op.STEP_CLEAR_WAITING:
        words[v + VCPU_THREAD] &= ~THREAD_WAITING
        return 0
      case op.STEP_SAVE_VMCR:
        this.saveVmcr(v)
        return 0
      case op.STEP_RUNNABLE:
        return this.halt.checkBlock(v) ? 1 : 0
      case op.STEP_RUNNABLE_ON_DEMAND:
        this.halt.readMaskOnDemand(v, words[v + VCPU_PE])
        return this.halt.checkBlock(v) ? 1 : 0
      case op.STEP_NOT_LOADED:
        return words[v + VCPU_LOADED] === 0 ? 1 : 0
      case op.STEP_POLL_BEGIN:
        this.halt.begin(v)
        return 0
      case op.STEP_POLL_AGAIN:
        return this.halt.pollAgain(v) ? 1 : 0
      case op.STEP_POLL_END:
        this.halt.end(v)
        return 0
      case op.STEP_CLEAR_UNHALT:
        words[v + VCPU_THREAD] &= ~REQ_UNHALT
        return 0
      case op.STEP_SET_SLEEPING:
        words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_SLEEPING)
        return 0
      case op.STEP_SET_RUNNING:
        words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_RUNNING)
        return 0
      case op.STEP_SLEEP:
        return 0
      case op.STEP_NO_CANDIDATE:
        return this.onSpin.next(v) ? 0 : 1
      case op.STEP_CANDIDATE_BLOCKED:
        return this.onSpin.isBlocked(v) ? 1 : 0
      case op.STEP_DY_RUNNABLE:
        return this.onSpin.isBlocked(v) && this.halt.runnable(this.onSpin.candidate(v)) ? 1 : 0
      case op.STEP_CANDIDATE_RUNNABLE:
        return this.onSpin.candidate(v) !== 0 && this.halt.runnable(this.onSpin.candidate(v)) ? 1 : 0
      case op.STEP_YIELD_TO:
        this.onSpin.yieldTo(v)
        return 0
      case op.STEP_STOP:
        words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_OFF)
        this.timers.put(v)
        this.scheduler.release(v)
        return 0
      case op.STEP_GIVE_UP_CPU:
        this.giveUpCpu(v)
        return 0
      case op.STEP_RESUME:
        return 0
      default:
        return this.settled(v, this.own.perform(step, v))
    }
  }

  /** Settles the maintenance interrupt after a step on list registers, and returns the step's result. */
  private settled(v: number, result = 0): number {
    const pe = this.words[v + VCPU_PE]
    if (pe !== 0) this.seam.settleMaintenance(this.words, pe)
    return result
  }

  protected load(v: number): void {
    const { words } = this
    if (words[v + VCPU_LOADED] !== 0) return
    this.seam.writeHcrEl2(words[v + VCPU_PE], GUEST_HCR_EL2)
    this.vgic.load(v)
  }

  protected loadUnlessWaiting(v: number): void {
    if ((this.words[v + VCPU_THREAD] & THREAD_WAITING) === 0) this.load(v)
  }

  /** `load`, `trapDir` and `timerLoad`. */
  protected vcpuLoad(v: number): void {
    this.load(v)
    this.trapDir(v)
    this.timers.load(v)
  }

  protected trapDir(v: number): void {
    const pe = this.words[v + VCPU_PE]
    this.seam.writeHcr(v, pe, HCR_TDIR)
    if (this.pcpu.physicalLines(pe) !== 0) this.seam.settleMaintenance(this.words, pe)
  }

  protected put(v: number): void {
    if (this.words[v + VCPU_LOADED] !== 0) this.vgic.put(v)
  }

  protected saveVmcr(v: number): void {
    if (this.words[v + VCPU_LOADED] !== 0) this.vgic.saveVmcr(v)
  }

  protected giveUpCpu(v: number): void {
    this.timers.put(v)
    if (taskOf(this.words[v + VCPU_THREAD]) === TASK_BLOCKED) this.timers.startBackground(v)
    this.scheduler.release(v)
  }

  protected skipInstruction(v: number): void {
    const { words } = this
    words[v + GUEST_PC]++
    words[v + VCPU_ESR] = 0
    words[v + VCPU_WFIT] = 0
  }

  /** schedule() of a thread that has announced its sleep: it is off the run queue, and loses its PE. */
  protected block(v: number): void {
    const { words } = this
    words[v + VCPU_SLEEPS]++
    words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_BLOCKED)
    this.scheduler.switchOut(v)
  }

  /** The host takes what is signalled to its PE: a kick's IPI, its tick, the guest's timers, devices of the guest's. */
  protected irqOn(v: number): void {
    const { words } = this
    words[v + VCPU_THREAD] &= ~THREAD_IRQS_OFF
    const pe = words[v + VCPU_PE]
    if (pe !== 0 && this.pcpu.physicalLines(pe) !== 0) this.hostInterrupts.take(v, pe)
  }

  protected takeExitReason(v: number): number {
    const reason = this.words[v + VCPU_EXIT]
    this.words[v + VCPU_EXIT] = 0
    return reason
  }

  protected emulateSysreg(v: number): void {
    const { words, apLists } = this
    const esr = words[v + VCPU_ESR]
    const low = words[v + VCPU_DATA]
    if (esr === ESR_SGI1R || esr === ESR_SGI0R || esr === ESR_ASGI1R) {
      sendSgi(apLists, v, low, words[v + VCPU_DATA + 1], esr === ESR_SGI1R)
    } else if (esr === ESR_DIR) {
      this.vgic.deactivateByDir(v, low & this.seam.virtualInterface.intidMask)
    }
    words[v + VCPU_DATA] = 0
    words[v + VCPU_DATA + 1] = 0
  }
}
