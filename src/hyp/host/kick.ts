/**
 * Waking and interrupting a vCPU. A poster stores the data, then posts the request, then reads the vCPU's mode; the
 * vCPU publishes IN_GUEST, then reads its requests. One of the two sees the other (Linux, "KVM vCPU Requests").
 */

import {
  isAsleep,
  MODE_EXITING,
  MODE_IN_GUEST,
  REQ_IRQ_PENDING,
  TASK_RUNNING,
  THREAD_MODE,
  VCPU_LAST_CPU,
  VCPU_THREAD,
  type Vcpu,
  withMode,
  withTask,
} from '../records/vcpu.ts'
import type { Seam } from './seam.ts'

/** The IPI of a kick: Linux's reschedule. */
export const KICK_SGI = 0

/** Posts requests, REQ_ bits. */
export function postRequest(words: Int32Array, v: Vcpu, requests: number): void {
  words[v + VCPU_THREAD] |= requests
}

/** Wakes the vCPU's thread if it is asleep, or on the way to it. */
export function wakeUp(words: Int32Array, v: Vcpu): void {
  const thread = words[v + VCPU_THREAD]
  if (isAsleep(thread)) words[v + VCPU_THREAD] = withTask(thread, TASK_RUNNING)
}

/** Kicks: a vCPU that is in its guest is interrupted by an IPI, an SGI to the PE that its thread is on. */
export class Kicks {
  readonly words: Int32Array

  constructor(readonly seam: Seam) {
    this.words = seam.words
  }

  /** Wakes the vCPU's thread if it sleeps, and interrupts its PE if it is in the guest. */
  kick(v: Vcpu): void {
    this.kickThread(this.words, v, this.words[v + VCPU_THREAD])
  }

  /** Interrupts a vCPU's PE if it is in the guest; a thread that sleeps goes on sleeping: KVM_REQUEST_NO_WAKEUP. */
  kickOutside(v: Vcpu): void {
    const thread = this.words[v + VCPU_THREAD]
    if ((thread & THREAD_MODE) === MODE_IN_GUEST) this.kickThread(this.words, v, thread)
  }

  /** Notifies a vCPU that an interrupt was queued: the request first, then the kick. */
  notify(words: Int32Array, v: Vcpu): void {
    this.kickThread(words, v, words[v + VCPU_THREAD] | REQ_IRQ_PENDING)
  }

  /** Kicks a thread, and sets its word to `thread` with the new mode. */
  private kickThread(words: Int32Array, v: Vcpu, thread: number): void {
    if (isAsleep(thread)) words[v + VCPU_THREAD] = withTask(thread, TASK_RUNNING)
    else if ((thread & THREAD_MODE) === MODE_IN_GUEST) this.interruptGuest(v, thread)
    else words[v + VCPU_THREAD] = thread
  }

  private interruptGuest(v: Vcpu, thread: number): void {
    const { words } = this
    words[v + VCPU_THREAD] = withMode(thread, MODE_EXITING)
    this.seam.sendSgi(v, words[v + VCPU_LAST_CPU], KICK_SGI)
  }
}
