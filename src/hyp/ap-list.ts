/**
 * The ap_list: for each vCPU the interrupts that are pending or active for it (KVM's vgic.c). An interrupt is
 * on at most one list, that of the vCPU its word names. Lists are short arrays of interrupt handles; each
 * function here is one critical section under the ap_list and interrupt locks.
 */
import { FIRST_SPI } from '../arch/intid.ts'
import {
  MODE_EXITING,
  MODE_IN_GUEST,
  REQ_IRQ_PENDING,
  TASK_RUNNING,
  TASK_SLEEPING,
  VCPU_AP_COUNT,
  VCPU_INDEX,
  VCPU_IRQ,
  VCPU_KICKED,
  VCPU_MODE,
  VCPU_REQUESTS,
  VCPU_TASK,
} from './vcpu.ts'
import {
  IRQ_ACTIVE,
  IRQ_AP_LIST_MASK,
  IRQ_AP_LIST_SHIFT,
  IRQ_EDGE,
  IRQ_ENABLED,
  IRQ_LATCH,
  IRQ_LINE,
  irqApListOf,
  irqIsPending,
  irqPriority,
  irqTarget,
} from './vgic-irq.ts'
import { VM_ENABLED, type VmPlace } from './vm.ts'

export class ApLists {
  constructor(
    readonly words: Int32Array,
    readonly place: VmPlace,
  ) {}

  /** The handle of an interrupt of a vCPU; SPIs are the same for all. */
  irqOf(v: number, intid: number): number {
    return intid < FIRST_SPI ? v + VCPU_IRQ + intid : this.place.spis + intid - FIRST_SPI
  }

  /** The INTID of a handle on a vCPU's ap_list. */
  intidOf(v: number, irq: number): number {
    return irq < this.place.spis ? irq - v - VCPU_IRQ : irq - this.place.spis + FIRST_SPI
  }

  /**
   * Where an interrupt belongs now: the vCPU's record, or 0 if it needs none. An active one stays where it is;
   * one that is pending and enabled goes to its target, unless the distributor is off.
   */
  targetOracle(irq: number): number {
    const word = this.words[irq]
    if (word & IRQ_ACTIVE)
      return this.vcpuOf(irqApListOf(word) === 0 ? irqTarget(word) : irqApListOf(word) - 1)
    if ((word & IRQ_ENABLED) === 0 || !irqIsPending(word)) return 0
    return this.words[this.place.vm + VM_ENABLED] !== 0 ? this.vcpuOf(irqTarget(word)) : 0
  }

  /**
   * A device moves an interrupt's input: an edge latches on the rise, a level is the line itself. Returns
   * whether anything changed.
   */
  inject(irq: number, level: number): boolean {
    const word = this.words[irq]
    if (word & IRQ_EDGE) {
      if (level === 0) return false
      this.words[irq] = word | IRQ_LATCH
    } else {
      const line = level === 0 ? 0 : IRQ_LINE
      if ((word & IRQ_LINE) === line) return false
      this.words[irq] = (word & ~IRQ_LINE) | line
    }
    this.queue(irq)
    return true
  }

  /** Makes an interrupt pending whatever its trigger, as an SGI or a write to ISPENDR does. */
  latch(irq: number): void {
    this.words[irq] |= IRQ_LATCH
    this.queue(irq)
  }

  /**
   * Puts an interrupt on the ap_list it belongs on. One that is on a list already may still be missing from
   * the list registers of a running guest: the request and the kick go out in both cases.
   */
  private queue(irq: number): void {
    const v = this.targetOracle(irq)
    if (v === 0) return
    if (irqApListOf(this.words[irq]) === 0) this.append(v, irq)
    this.kick(v)
  }

  private append(v: number, irq: number): void {
    const { words } = this
    const count = words[v + VCPU_AP_COUNT]
    words[v + this.place.apList + count] = irq
    words[v + VCPU_AP_COUNT] = count + 1
    words[irq] = (words[irq] & ~IRQ_AP_LIST_MASK) | ((words[v + VCPU_INDEX] + 1) << IRQ_AP_LIST_SHIFT)
  }

  /**
   * Tells a vCPU that something waits for it: first the request, which it looks at again after it has
   * published that it is in the guest; then it is woken if it sleeps, and interrupted if it is in the guest.
   */
  private kick(v: number): void {
    const { words } = this
    words[v + VCPU_REQUESTS] |= REQ_IRQ_PENDING
    if (words[v + VCPU_TASK] === TASK_SLEEPING) {
      words[v + VCPU_TASK] = TASK_RUNNING
    } else if (words[v + VCPU_MODE] === MODE_IN_GUEST) {
      words[v + VCPU_MODE] = MODE_EXITING
      words[v + VCPU_KICKED] = 1
    }
  }

  /** Takes interrupts off a vCPU's list that do not belong there, and puts on another's those that do there. */
  prune(v: number): void {
    const { words } = this
    const list = v + this.place.apList
    const count = words[v + VCPU_AP_COUNT]
    let kept = 0
    for (let i = 0; i < count; i++) {
      const irq = words[list + i]
      const target = this.targetOracle(irq)
      if (target === v) {
        words[list + kept++] = irq
        continue
      }
      words[irq] &= ~IRQ_AP_LIST_MASK
      if (target !== 0) {
        this.append(target, irq)
        this.kick(target)
      }
    }
    words[v + VCPU_AP_COUNT] = kept
    for (let i = kept; i < count; i++) words[list + i] = 0
  }

  /** Sorts a list for more interrupts than list registers: active first, then pending by priority. Stable. */
  sort(v: number): void {
    const { words } = this
    const list = v + this.place.apList
    const count = words[v + VCPU_AP_COUNT]
    for (let i = 1; i < count; i++) {
      const irq = words[list + i]
      let at = i
      while (at > 0 && this.precedes(irq, words[list + at - 1])) {
        words[list + at] = words[list + at - 1]
        at--
      }
      words[list + at] = irq
    }
  }

  private precedes(irq: number, other: number): boolean {
    const [a, b] = [this.words[irq], this.words[other]]
    if ((a | b) & IRQ_ACTIVE) return (a & IRQ_ACTIVE) > (b & IRQ_ACTIVE)
    const pendingA = (a & IRQ_ENABLED) !== 0 && irqIsPending(a)
    const pendingB = (b & IRQ_ENABLED) !== 0 && irqIsPending(b)
    if (!pendingA || !pendingB) return pendingA && !pendingB
    return irqPriority(a) < irqPriority(b)
  }

  /** The record of a vCPU. */
  private vcpuOf(index: number): number {
    return this.place.vcpus + index * this.place.vcpuSize
  }
}
