/**
 * The host's scheduler as far as it concerns vCPUs' threads: which thread is on which PE, switching out and in, and
 * the notifiers that run instead of the thread then. The caller decides the policy: a plain run has a fixed one, an
 * explorer tries all.
 */
import { asPe } from '../../gic/records/pe.ts'
import type { Silicon } from '../../gic/silicon.ts'
import { HOST_CURRENT, HOST_PREFERRED } from '../records/host-record.ts'
import {
  asVcpu,
  type Pc,
  TASK_BLOCKED,
  THREAD_IRQS_OFF,
  THREAD_PREEMPT_OFF,
  taskOf,
  VCPU_LAST_CPU,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  VCPU_PREEMPTIONS,
  VCPU_SPSR,
  VCPU_THREAD,
  type Vcpu,
} from '../records/vcpu.ts'

/** The program counters at which a design's notifiers begin; 0 for one that has no step. */
export interface Notifiers {
  readonly schedOut: Pc | 0
  readonly schedIn: Pc | 0
}

export class Scheduler {
  readonly words: Int32Array

  constructor(
    readonly silicon: Silicon,
    readonly notifiers: Notifiers,
    /** Word offset of the host's record. */
    readonly host: number,
  ) {
    this.words = silicon.words
  }

  /** The vCPU on a CPU; 0 if it is free. */
  current(cpu: number): Vcpu | 0 {
    return asVcpu(this.words[this.host + HOST_CURRENT + cpu])
  }

  /** Puts a thread, with its guest's PSTATE, on a PE without a notifier, before its first KVM_RUN. */
  place(v: Vcpu, cpu: number): void {
    const { words, host, silicon } = this
    const pe = silicon.peOf(cpu)
    words[host + HOST_CURRENT + cpu] = v
    if (words[host + HOST_PREFERRED] === v) words[host + HOST_PREFERRED] = 0
    words[v + VCPU_PE] = pe
    words[v + VCPU_LAST_CPU] = cpu
    silicon.pcpu.writeSpsr(pe, words[v + VCPU_SPSR])
    words[v + VCPU_SPSR] = 0
  }

  /** The vCPU that a directed yield wants to run next; 0 if none. */
  get preferred(): Vcpu | 0 {
    return asVcpu(this.words[this.host + HOST_PREFERRED])
  }

  /** A directed yield to a vCPU whose thread waits for a PE. */
  prefer(v: Vcpu): void {
    this.words[this.host + HOST_PREFERRED] = v
  }

  /** Whether a thread waits for a PE: it was preempted or woken, and is on none. */
  wantsCpu(v: Vcpu): boolean {
    const { words } = this
    if (words[v + VCPU_PC] === 0 || words[v + VCPU_PE] !== 0) return false
    return taskOf(words[v + VCPU_THREAD]) !== TASK_BLOCKED
  }

  /** Whether the thread can be preempted: on a PE at EL2, outside of every section and notifier. */
  canPreempt(v: Vcpu): boolean {
    const { words } = this
    if (words[v + VCPU_PE] === 0 || words[v + VCPU_NOTIFIER] !== 0 || words[v + VCPU_PC] === 0) return false
    if (words[v + VCPU_THREAD] & (THREAD_PREEMPT_OFF | THREAD_IRQS_OFF)) return false
    return !this.silicon.pcpu.isInGuest(asPe(words[v + VCPU_PE]))
  }

  /** Takes a thread's PE away, by preemption or because it sleeps. Its sched_out notifier runs first. */
  switchOut(v: Vcpu): void {
    this.words[v + VCPU_NOTIFIER] = this.notifiers.schedOut
  }

  /** Preempts a thread. */
  preempt(v: Vcpu): void {
    this.words[v + VCPU_PREEMPTIONS]++
    this.switchOut(v)
  }

  /** Gives a thread a PE that is free. Its sched_in notifier runs first. */
  switchIn(v: Vcpu, cpu: number): void {
    this.place(v, cpu)
    this.words[v + VCPU_NOTIFIER] = this.notifiers.schedIn
  }

  /** The last step of switching out: the PE is free. */
  release(v: Vcpu): void {
    const { words, silicon } = this
    const pe = asPe(words[v + VCPU_PE])
    words[v + VCPU_SPSR] = silicon.pcpu.readSpsr(pe)
    silicon.pcpu.writeSpsr(pe, 0)
    const cpu = words[v + VCPU_LAST_CPU]
    words[this.host + HOST_CURRENT + cpu] = 0
    words[v + VCPU_PE] = 0
  }
}
