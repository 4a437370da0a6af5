/**
 * The guest's virtual and physical timers (KVM's arch_timer.c, on a host with VHE that hands both through). While the
 * vCPU is loaded, the timer is the PE's: its expiry is a physical interrupt, which the host takes, leaves active, and
 * injects. While the vCPU is blocked, a host timer, the background timer, wakes it. At any other time the next load
 * notices the expiry. An expiry is a step of its own; the caller decides when it happens, by virtual time in a plain
 * run.
 */

import type { Intid } from '../../arch/intid.ts'
import { asPe } from '../../gic/records/pe.ts'
import { lowestBit } from '../../state/bits.ts'
import { wakeUp } from '../host/kick.ts'
import type { Seam } from '../host/seam.ts'
import {
  privateIrq,
  THREAD_TIMERS_LOADED,
  timerIntids,
  VCPU_BACKGROUND_TIMER,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_TIMER_CTL,
  VCPU_TIMER_CVAL,
  VCPU_WFIT,
  VCPU_WFIT_DEADLINE,
  type Vcpu,
  WFIT_EXPIRED,
  WFIT_WAITS,
} from '../records/vcpu.ts'
import { IRQ_ACTIVE, IRQ_LINE } from '../records/vgic-irq.ts'
import { NEVER, setTime, timeOf } from '../records/virtual-time.ts'
import { VM_TIME } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'

/** Bits of CNTV_CTL_EL0 and CNTP_CTL_EL0. */
const TIMER_ENABLE = 0x1
const TIMER_ISTATUS = 0x4

/** The timers of a vCPU: index in its words. */
export const TIMER_VIRTUAL = 0
export const TIMER_PHYSICAL = 1
export const TIMERS = 2
/** WFIT's timeout, which is not a timer of the guest but expires like one. */
export const TIMER_WFIT = 2

/** What the host timer of a vCPU does when one of the guest's expires. */
const WAKES = 1
const INJECTS = 2
/** IMASK of CNTV_CTL_EL0 and CNTP_CTL_EL0. */
const TIMER_IMASK = 0x2

export class ArchTimers {
  readonly words: Int32Array

  constructor(
    readonly seam: Seam,
    readonly apLists: ApLists,
    /** Whether the VM has timers; without them nothing here touches the GIC. */
    readonly present: boolean,
  ) {
    this.words = seam.words
  }

  /** Whether a timer asserts its interrupt. */
  output(v: Vcpu, timer: number): boolean {
    return (this.words[v + VCPU_TIMER_CTL + timer] & 7) === (TIMER_ENABLE | TIMER_ISTATUS)
  }

  /** Whether the timer with this PPI asserts its interrupt; false for other INTIDs. */
  outputOf(v: Vcpu, intid: Intid): boolean {
    const timer = intid === timerIntids[0] ? TIMER_VIRTUAL : intid === timerIntids[1] ? TIMER_PHYSICAL : -1
    return timer >= 0 && this.output(v, timer)
  }

  /** Programs a timer, as the guest does by CNTx_TVAL and CNTx_CTL: to expire after `ticks`, or off. */
  program(v: Vcpu, timer: number, ticks: number): void {
    const { words } = this
    words[v + VCPU_TIMER_CTL + timer] = ticks < 0 ? 0 : TIMER_ENABLE
    this.setDeadline(v, timer, ticks)
    this.drive(v)
  }

  /** Sets the timeout of a WFIT that the hypervisor handles: after `ticks`. */
  programWfit(v: Vcpu, ticks: number): void {
    this.words[v + VCPU_WFIT] = WFIT_WAITS
    this.setDeadline(v, TIMER_WFIT, ticks)
  }

  /** Sets a deadline: now plus `ticks`; 0 for a timer that is off. */
  private setDeadline(v: Vcpu, timer: number, ticks: number): void {
    const { words } = this
    setTime(
      words,
      deadlineOf(v, timer),
      ticks < 0 ? 0 : timeOf(words, this.apLists.layout.vm + VM_TIME) + ticks,
    )
  }

  /** Whether a timer, or the timeout of a WFIT, can expire. */
  isArmed(v: Vcpu, timer: number): boolean {
    const { words } = this
    if (timer === TIMER_WFIT) return words[v + VCPU_WFIT] === WFIT_WAITS
    return isArmed(words[v + VCPU_TIMER_CTL + timer])
  }

  /** A bit for each timer that can expire. */
  armed(v: Vcpu): number {
    const { words } = this
    return (
      (isArmed(words[v + VCPU_TIMER_CTL + TIMER_VIRTUAL]) ? 1 << TIMER_VIRTUAL : 0) |
      (isArmed(words[v + VCPU_TIMER_CTL + TIMER_PHYSICAL]) ? 1 << TIMER_PHYSICAL : 0) |
      (words[v + VCPU_WFIT] === WFIT_WAITS ? 1 << TIMER_WFIT : 0)
    )
  }

  /** The virtual time at which it expires. */
  deadline(v: Vcpu, timer: number): number {
    return timeOf(this.words, deadlineOf(v, timer))
  }

  /**
   * The timer of a vCPU that a plain run lets expire first; -1 if none can. Of those that are due by now it is the one with
   * the lowest number, whichever was due first.
   */
  first(v: Vcpu): number {
    const armed = this.armed(v)
    if (armed === 0) return -1
    if ((armed & (armed - 1)) === 0) return lowestBit(armed)
    const now = timeOf(this.words, this.apLists.layout.vm + VM_TIME)
    let first = -1
    let earliest = NEVER
    for (let timer = 0; armed >> timer !== 0; timer++) {
      const due = (armed >> timer) & 1 ? Math.max(this.deadline(v, timer), now) : NEVER
      if (due >= earliest) continue
      first = timer
      earliest = due
    }
    return first
  }

  /** Lets a timer expire. A background timer that runs for the vCPU wakes its thread. */
  expire(v: Vcpu, timer: number): void {
    const { words } = this
    if (timer === TIMER_WFIT) words[v + VCPU_WFIT] = WFIT_EXPIRED
    else words[v + VCPU_TIMER_CTL + timer] |= TIMER_ISTATUS
    const background = words[v + VCPU_BACKGROUND_TIMER]
    words[v + VCPU_BACKGROUND_TIMER] = 0
    if (background === WAKES) wakeUp(words, v)
    else if (background === INJECTS && timer !== TIMER_WFIT) this.injectMasked(v, timer)
    this.drive(v)
  }

  /**
   * A host timer takes over until the next load: it injects, and masks the guest's timer so that it does so once (catalogue
   * 50).
   */
  startInjecting(v: Vcpu): void {
    const { words } = this
    const armed = isArmed(words[v + VCPU_TIMER_CTL + TIMER_VIRTUAL])
    if (armed || isArmed(words[v + VCPU_TIMER_CTL + TIMER_PHYSICAL]))
      words[v + VCPU_BACKGROUND_TIMER] = INJECTS
  }

  /** It is latched, since the output of a timer that is masked is low. */
  private injectMasked(v: Vcpu, timer: number): void {
    const target = this.apLists.latch(privateIrq(v, timerIntids[timer]))
    if (target !== 0) this.apLists.notify(target)
    this.words[v + VCPU_TIMER_CTL + timer] |= TIMER_IMASK
  }

  /** Whether a timer is masked, which only {@link startInjecting} does. */
  isMasked(v: Vcpu, timer: number): boolean {
    return (this.words[v + VCPU_TIMER_CTL + timer] & TIMER_IMASK) !== 0
  }

  /** kvm_cpu_has_pending_timer: a timer of a halting vCPU asserts its interrupt, or its WFIT has timed out. */
  hasPending(words: Int32Array, v: Vcpu): boolean {
    return words[v + VCPU_WFIT] === WFIT_EXPIRED || (this.present === true && this.hasOutput(v))
  }

  private hasOutput(v: Vcpu): boolean {
    return this.output(v, TIMER_VIRTUAL) || this.output(v, TIMER_PHYSICAL)
  }

  /**
   * Starts the host timer that will wake the thread, before it sleeps; wakes it at once if a timer has expired by
   * now.
   */
  startBackground(v: Vcpu): void {
    const { words } = this
    if (this.hasPending(words, v)) {
      wakeUp(words, v)
      return
    }
    words[v + VCPU_BACKGROUND_TIMER] = this.armed(v) !== 0 ? WAKES : 0
  }

  /**
   * kvm_timer_vcpu_load: samples the timers, and keeps the physical interrupt active while the guest has the virtual
   * one, so that the host is not interrupted again.
   */
  load(v: Vcpu): void {
    this.words[v + VCPU_BACKGROUND_TIMER] = 0
    if (this.present === false) return
    for (let timer = 0; timer < TIMERS; timer++) {
      const intid = timerIntids[timer]
      const irq = privateIrq(v, intid)
      const output = this.output(v, timer)
      this.apLists.inject(irq, output ? 1 : 0)
      const active = output || (this.words[irq] & IRQ_ACTIVE) !== 0
      this.seam.writePhysicalActive(v, asPe(this.words[v + VCPU_PE]), intid, active)
    }
    this.words[v + VCPU_THREAD] |= THREAD_TIMERS_LOADED
    this.drive(v)
  }

  /** kvm_timer_vcpu_put: takes the timers off the PE. */
  put(v: Vcpu): void {
    if ((this.words[v + VCPU_THREAD] & THREAD_TIMERS_LOADED) === 0) return
    this.words[v + VCPU_THREAD] &= ~THREAD_TIMERS_LOADED
    const { silicon } = this.seam
    const pe = asPe(this.words[v + VCPU_PE])
    for (let timer = 0; timer < TIMERS; timer++) silicon.drivePpi(pe, timerIntids[timer], false)
  }

  /** Drives the lines of the PE's PPIs with the timers' outputs, while the timers are the PE's. */
  private drive(v: Vcpu): void {
    if ((this.words[v + VCPU_THREAD] & THREAD_TIMERS_LOADED) === 0) return
    const { silicon } = this.seam
    const pe = asPe(this.words[v + VCPU_PE])
    for (let timer = 0; timer < TIMERS; timer++)
      silicon.drivePpi(pe, timerIntids[timer], this.output(v, timer))
  }

  /**
   * After an exit, lowers the line of a timer that the guest turned off before its interrupt got into a list
   * register.
   */
  sync(v: Vcpu): void {
    if (this.present === false) return
    for (let timer = 0; timer < TIMERS; timer++) {
      if (!this.isTurnedOff(v, timer)) continue
      this.apLists.inject(privateIrq(v, timerIntids[timer]), 0)
      this.seam.writePhysicalActive(v, asPe(this.words[v + VCPU_PE]), timerIntids[timer], false)
    }
  }

  /** Whether {@link sync} has a line to lower. */
  isSynced(v: Vcpu): boolean {
    return !this.present || !(this.isTurnedOff(v, TIMER_VIRTUAL) || this.isTurnedOff(v, TIMER_PHYSICAL))
  }

  private isTurnedOff(v: Vcpu, timer: number): boolean {
    const irq = privateIrq(v, timerIntids[timer])
    return (this.words[irq] & (IRQ_LINE | IRQ_ACTIVE)) === IRQ_LINE && !this.output(v, timer)
  }

  /** Injects the interrupt of a timer, which the host has taken, into the vCPU that is on the PE. */
  interrupt(v: Vcpu, intid: Intid): void {
    if (this.outputOf(v, intid)) this.apLists.inject(privateIrq(v, intid), 1)
  }
}

/** The offset of a deadline in a vCPU's record. */
const deadlineOf = (v: Vcpu, timer: number): number =>
  timer === TIMER_WFIT ? v + VCPU_WFIT_DEADLINE : v + VCPU_TIMER_CVAL + 2 * timer

const isArmed = (ctl: number): boolean => (ctl & (TIMER_ENABLE | TIMER_ISTATUS)) === TIMER_ENABLE
