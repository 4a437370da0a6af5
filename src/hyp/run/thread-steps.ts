/**
 * The code of the library's steps: a method for each row of steps.ts, which names it. A step is atomic. Those that only
 * the baselines of Linux have are in linux-steps.ts, those of the museum in museum-steps.ts.
 */

import { HCR_EL2_FMO, HCR_EL2_IMO, HCR_EL2_TWE, HCR_EL2_TWI } from '../../arch/hcr-el2.ts'
import { ICC_ASGI1R_EL1, ICC_DIR_EL1, ICC_SGI0R_EL1 } from '../../arch/icc-registers.ts'
import { ESR_SGI1R, sysregSyndrome } from '../../arch/syndrome.ts'
import { HOST_LINES, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import { type Pcpu, returnFromEl2, writeHcrEl2 } from '../../gic/cpu-interface/pcpu.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
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
  THREAD_RELOAD_VPE,
  THREAD_REQUESTS,
  THREAD_WAITING,
  taskOf,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_EXIT,
  VCPU_LOADED,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  VCPU_SLEEPS,
  VCPU_THREAD,
  VCPU_WFIT,
  type Vcpu,
  withMode,
  withPreemptOff,
  withPreemptOn,
  withTask,
} from '../records/vcpu.ts'
import { IRQ_GROUP1 } from '../records/vgic-irq.ts'
import type { ApLists } from '../vgic/ap-list.ts'
import type { ArchTimers } from '../vgic/arch-timer.ts'
import type { VgicItsCommands } from '../vgic/vgic-its-commands.ts'
import { MMIO_COMMANDS, MMIO_DONE, type VgicMmio } from '../vgic/vgic-mmio.ts'
import { sendSgi } from '../vgic/vgic-sgi.ts'
import type { VgicV3 } from '../vgic/vgic-v3.ts'
import type { VgicV4 } from '../vgic/vgic-v4.ts'
import type { Halt } from './halt.ts'
import type { HostInterrupts } from './host-interrupts.ts'
import type { OnSpin } from './on-spin.ts'
import type { OwnSteps } from './own-steps.ts'
import type { StopVm } from './stop-vm.ts'

/** Virtual interrupts to EL1, and WFI and WFE trapped. */
const GUEST_HCR_EL2 = HCR_EL2_IMO | HCR_EL2_FMO | HCR_EL2_TWI | HCR_EL2_TWE

/** With one runnable thread on the PE, the WFI of a guest that interrupts reach directly stays in the guest. */
const GUEST_HCR_EL2_ALONE = HCR_EL2_IMO | HCR_EL2_FMO

const ESR_SGI0R = sysregSyndrome(ICC_SGI0R_EL1, false) | 0
const ESR_ASGI1R = sysregSyndrome(ICC_ASGI1R_EL1, false) | 0
export const ESR_DIR = sysregSyndrome(ICC_DIR_EL1, false) | 0

/** The collaborators of the steps. */
export interface StepParts {
  readonly seam: Seam
  readonly apLists: ApLists
  readonly vgic: VgicV3
  /** Undefined without GICv4. */
  readonly v4: VgicV4 | undefined
  /** Whether a WFI exits only if it must: see VmSetup.wfiExits. */
  readonly wfiExits: 'always' | 'shared'
  /** Where nesting is strict: by program counter, whether the step is one of a halt. */
  readonly nesting: readonly boolean[] | undefined
  readonly timers: ArchTimers
  readonly scheduler: Scheduler
  readonly halt: Halt
  readonly onSpin: OnSpin
  readonly ownSteps: OwnSteps
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
  readonly v4: VgicV4 | undefined
  private readonly wfiStays: boolean
  private readonly nesting: readonly boolean[] | undefined
  readonly timers: ArchTimers
  readonly scheduler: Scheduler
  readonly halt: Halt
  readonly onSpin: OnSpin
  readonly ownSteps: OwnSteps
  readonly mmio: VgicMmio
  readonly commands: VgicItsCommands
  readonly stopVm: StopVm
  readonly hostInterrupts: HostInterrupts

  constructor(parts: StepParts) {
    this.words = parts.seam.words
    this.pcpu = parts.seam.silicon.pcpu
    this.seam = parts.seam
    this.apLists = parts.apLists
    this.vgic = parts.vgic
    this.v4 = parts.v4
    this.wfiStays = parts.wfiExits === 'shared'
    this.nesting = parts.nesting
    this.timers = parts.timers
    this.scheduler = parts.scheduler
    this.halt = parts.halt
    this.onSpin = parts.onSpin
    this.ownSteps = parts.ownSteps
    this.mmio = parts.mmio
    this.commands = parts.mmio.dist.commands
    this.stopVm = parts.stopVm
    this.hostInterrupts = parts.hostInterrupts
  }

  load(v: Vcpu): void {
    const { words } = this
    if (words[v + VCPU_LOADED] !== 0) return
    const pe = asPe(words[v + VCPU_PE])
    this.trapGuest(words, v, pe)
    this.vgic.load(words, v, pe)
  }

  /** HCR_EL2 of the guest. */
  trapGuest(words: Int32Array, v: Vcpu, pe: Pe): void {
    const stays = this.wfiStays === true && this.v4?.isDirect(v) === true
    writeHcrEl2(words, pe, stays ? GUEST_HCR_EL2_ALONE : GUEST_HCR_EL2, 0)
  }

  /** `load` and `trapDir`. */
  loadAndTrapDir(words: Int32Array, v: Vcpu, pe: Pe): void {
    if (words[v + VCPU_LOADED] !== 0) {
      this.trapDir(v)
      return
    }
    this.trapGuest(words, v, pe)
    this.vgic.loadWithHcr(words, v, pe)
    if (words[pe + PE_LINES] & HOST_LINES) this.seam.settleMaintenance(words, pe)
  }

  loadUnlessWaiting(v: Vcpu): void {
    if ((this.words[v + VCPU_THREAD] & THREAD_WAITING) === 0) this.load(v)
  }

  /**
   * `load`, `trapDir` and `timerLoad`.
   * @noinline
   */
  vcpuLoad(v: Vcpu): void {
    const { words } = this
    this.loadAndTrapDir(words, v, asPe(words[v + VCPU_PE]))
    this.timers.load(v)
  }

  trapDir(v: Vcpu): void {
    const { words, seam } = this
    const pe = asPe(words[v + VCPU_PE])
    seam.writeHcr(words, v, pe, this.vgic.idleHcr)
    if (words[pe + PE_LINES] & HOST_LINES) seam.settleMaintenance(words, pe)
  }

  put(v: Vcpu): void {
    const { words } = this
    if (words[v + VCPU_LOADED] !== 0) this.vgic.put(words, v, asPe(words[v + VCPU_PE]))
  }

  saveVmcr(v: Vcpu): void {
    const { words } = this
    if (words[v + VCPU_LOADED] !== 0) this.vgic.saveVmcr(words, v, asPe(words[v + VCPU_PE]))
  }

  /**
   * Strict nesting. A notifier may have loaded the vCPU in userspace already, before its thread does; and a put finds
   * nothing to do when the CPU interface is put, or the vCPU waits as its flag says.
   */
  private checkNesting(v: Vcpu, loads: boolean, waits = false): void {
    const { words, nesting } = this
    if (nesting === undefined) return
    const isChecked = loads
      ? words[v + VCPU_NOTIFIER] !== 0 || nesting[words[v + VCPU_PC]]
      : words[v + VCPU_LOADED] !== 0 && !waits
    if (isChecked) this.v4?.checkNesting(v, !loads)
  }

  vpeLoad(v: Vcpu): void {
    this.checkNesting(v, true)
    const was = this.maskInterrupts(v)
    this.v4?.load(v)
    this.takeMasked(v, was)
  }

  vpeLoadUnlessWaiting(v: Vcpu): void {
    if ((this.words[v + VCPU_THREAD] & THREAD_WAITING) === 0) this.vpeLoad(v)
  }

  vpePut(v: Vcpu): void {
    this.checkNesting(v, false)
    const was = this.maskInterrupts(v)
    this.v4?.put(v, false)
    this.takeMasked(v, was)
  }

  vpePutDoorbell(v: Vcpu): void {
    this.checkNesting(v, false)
    const was = this.maskInterrupts(v)
    this.v4?.put(v, true)
    this.takeMasked(v, was)
  }

  vpePutByFlag(v: Vcpu): void {
    this.checkNesting(v, false, this.isWaiting(v))
    const was = this.maskInterrupts(v)
    this.v4?.put(v, this.isWaiting(v))
    this.takeMasked(v, was)
  }

  vpeCommit(v: Vcpu): void {
    this.v4?.commit(v)
  }

  vpeReload(v: Vcpu): void {
    if ((this.words[v + VCPU_THREAD] & THREAD_RELOAD_VPE) === 0) return
    const was = this.maskInterrupts(v)
    this.v4?.reload(v)
    this.takeMasked(v, was)
  }

  /** Whether the vCPU waits in its WFI, by its flag. */
  isWaiting(v: Vcpu): boolean {
    return (this.words[v + VCPU_THREAD] & THREAD_WAITING) !== 0
  }

  /** Interrupts are off while the driver works on a vPE, as with its lock. Returns the thread's bit as it was. */
  maskInterrupts(v: Vcpu): number {
    const was = this.words[v + VCPU_THREAD] & THREAD_IRQS_OFF
    this.words[v + VCPU_THREAD] |= THREAD_IRQS_OFF
    return was
  }

  /** The host takes what came meanwhile. */
  takeMasked(v: Vcpu, was: number): void {
    if (was === 0) this.irqOn(v)
  }

  giveUpCpu(v: Vcpu): void {
    this.timers.put(v)
    if (taskOf(this.words[v + VCPU_THREAD]) === TASK_BLOCKED) this.timers.startBackground(v)
    this.scheduler.release(v)
  }

  skipInstruction(v: Vcpu): void {
    const { words } = this
    words[v + GUEST_PC]++
    words[v + VCPU_ESR] = 0
    words[v + VCPU_WFIT] = 0
  }

  /** schedule() of a thread that has announced its sleep: takes it off the run queue and off its PE. */
  block(v: Vcpu): void {
    const { words } = this
    words[v + VCPU_SLEEPS]++
    words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_BLOCKED)
    this.scheduler.switchOut(v)
  }

  /**
   * The host takes the interrupts that are signalled to the PE: a kick's IPI, its tick, the guest's timers, the
   * guest's devices.
   */
  irqOn(v: Vcpu): void {
    const { words } = this
    words[v + VCPU_THREAD] &= ~THREAD_IRQS_OFF
    const pe = asPe(words[v + VCPU_PE])
    if (pe !== 0 && this.pcpu.physicalLines(pe) !== 0) this.hostInterrupts.take(v, pe)
  }

  takeExitReason(v: Vcpu): number {
    const reason = this.words[v + VCPU_EXIT]
    this.words[v + VCPU_EXIT] = 0
    return reason
  }

  emulateSysreg(v: Vcpu): void {
    const { words, apLists } = this
    const esr = words[v + VCPU_ESR]
    const low = words[v + VCPU_DATA]
    const high = words[v + VCPU_DATA + 1]
    words[v + VCPU_DATA] = 0
    words[v + VCPU_DATA + 1] = 0
    if (esr === ESR_SGI1R || esr === ESR_SGI0R || esr === ESR_ASGI1R) {
      const { vsgis } = this.mmio.dist.irqs
      const refusedGroups = esr === ESR_SGI1R ? 0 : IRQ_GROUP1
      sendSgi(apLists, v, low, high, refusedGroups, vsgis)
    } else if (esr === ESR_DIR) {
      this.vgic.deactivateByDir(v, low & this.seam.virtualInterface.intidMask)
    }
  }

  timerLoad(v: Vcpu): void {
    this.timers.load(v)
  }

  timerPut(v: Vcpu): void {
    this.timers.put(v)
  }

  timerSync(v: Vcpu): void {
    this.timers.sync(v)
  }

  handleRequests(v: Vcpu): void {
    this.words[v + VCPU_THREAD] &= ~THREAD_REQUESTS | REQ_SIGNAL
  }

  requestPending(v: Vcpu): boolean {
    return (this.words[v + VCPU_THREAD] & THREAD_REQUESTS) !== 0
  }

  signalPending(v: Vcpu): boolean {
    return (this.words[v + VCPU_THREAD] & REQ_SIGNAL) !== 0
  }

  preemptOff(v: Vcpu): void {
    this.words[v + VCPU_THREAD] = withPreemptOff(this.words[v + VCPU_THREAD])
  }

  preemptOn(v: Vcpu): void {
    this.words[v + VCPU_THREAD] = withPreemptOn(this.words[v + VCPU_THREAD])
  }

  irqOff(v: Vcpu): void {
    this.words[v + VCPU_THREAD] |= THREAD_IRQS_OFF
  }

  publishInGuest(v: Vcpu): void {
    this.words[v + VCPU_THREAD] = withMode(this.words[v + VCPU_THREAD], MODE_IN_GUEST)
  }

  publishOutside(v: Vcpu): void {
    this.words[v + VCPU_THREAD] = withMode(this.words[v + VCPU_THREAD], MODE_OUTSIDE)
  }

  flush(v: Vcpu): void {
    this.vgic.flush(v)
    this.settle(v)
  }

  fold(v: Vcpu): void {
    this.vgic.fold(v)
    this.settle(v)
  }

  /** Settles the maintenance interrupt after a step on list registers. */
  settle(v: Vcpu): void {
    const pe = asPe(this.words[v + VCPU_PE])
    if (pe !== 0) this.seam.settleMaintenance(this.words, pe)
  }

  enterGuest(v: Vcpu): void {
    returnFromEl2(this.words, asPe(this.words[v + VCPU_PE]))
  }

  emulateMmio(v: Vcpu): number {
    return this.mmio.access(v, true)
  }

  accessStopped(v: Vcpu): number {
    return this.withCommands(v, this.emulateMmio(v))
  }

  /** An ITS that the access starts carries out its commands at once: no step does it for a VM that is stopped. */
  withCommands(v: Vcpu, outcome: number): number {
    if (outcome !== MMIO_COMMANDS) return outcome
    this.commands.process(this.commands.lockedBy(v))
    return MMIO_DONE
  }

  noCommand(v: Vcpu): boolean {
    const n = this.commands.lockedBy(v)
    return n < 0 || !this.commands.take(n)
  }

  lockIts(v: Vcpu): void {
    const n = this.commands.lockedBy(v)
    if (n >= 0) this.commands.lock(n, v)
  }

  invalidateCache(v: Vcpu): void {
    const n = this.commands.lockedBy(v)
    if (n >= 0) this.commands.invalidateFor(n)
  }

  executeCommand(v: Vcpu): void {
    const n = this.commands.lockedBy(v)
    if (n >= 0) this.commands.execute(n)
  }

  unlockIts(v: Vcpu): void {
    const n = this.commands.lockedBy(v)
    if (n >= 0) this.commands.unlock(n)
  }

  reevaluate(_v: Vcpu): void {
    this.mmio.reevaluate()
  }

  stopVcpus(v: Vcpu): void {
    this.stopVm.stop(v)
  }

  resumeVcpus(_v: Vcpu): void {
    this.stopVm.resume()
  }

  userspace(v: Vcpu): void {
    const { words } = this
    words[v + VCPU_THREAD] &= ~REQ_SIGNAL
    if (words[v + VCPU_ESR] !== 0) this.mmio.finishInUserspace(v)
  }

  setWaiting(v: Vcpu): void {
    this.words[v + VCPU_THREAD] |= THREAD_WAITING
  }

  clearWaiting(v: Vcpu): void {
    this.words[v + VCPU_THREAD] &= ~THREAD_WAITING
  }

  checkBlock(v: Vcpu): boolean {
    return this.halt.checkBlock(this.words, v)
  }

  checkBlockOnDemand(v: Vcpu): boolean {
    this.halt.readMaskOnDemand(v, asPe(this.words[v + VCPU_PE]))
    return this.halt.checkBlock(this.words, v)
  }

  isUnloaded(v: Vcpu): boolean {
    return this.words[v + VCPU_LOADED] === 0
  }

  pollBegin(v: Vcpu): void {
    this.halt.begin(this.words, v)
  }

  pollAgain(v: Vcpu): boolean {
    return this.halt.pollAgain(this.words, v)
  }

  pollEnd(v: Vcpu): void {
    this.halt.end(this.words, v)
  }

  clearUnhalt(v: Vcpu): void {
    this.words[v + VCPU_THREAD] &= ~REQ_UNHALT
  }

  setSleeping(v: Vcpu): void {
    this.words[v + VCPU_THREAD] = withTask(this.words[v + VCPU_THREAD], TASK_SLEEPING)
  }

  setRunning(v: Vcpu): void {
    this.words[v + VCPU_THREAD] = withTask(this.words[v + VCPU_THREAD], TASK_RUNNING)
  }

  /** Does nothing: for a sleep whose thread was woken before it began, and for the end of a notifier. */
  goOn(_v: Vcpu): void {}

  noCandidate(v: Vcpu): boolean {
    return !this.onSpin.next(v)
  }

  candidateBlocked(v: Vcpu): boolean {
    return this.onSpin.isBlocked(v)
  }

  dyRunnable(v: Vcpu): boolean {
    const candidate = this.onSpin.candidate(v)
    return candidate !== 0 && this.onSpin.isBlocked(v) && this.halt.runnable(this.words, candidate)
  }

  yieldTo(v: Vcpu): void {
    this.onSpin.yieldTo(v)
  }

  stop(v: Vcpu): void {
    const { words } = this
    words[v + VCPU_THREAD] = withTask(words[v + VCPU_THREAD], TASK_OFF)
    this.timers.put(v)
    this.scheduler.release(v)
  }

  own(op: number, v: Vcpu): number {
    return this.ownSteps.perform(op, v)
  }
}
