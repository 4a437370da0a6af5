/**
 * Waking and interrupting a vCPU. Whoever has something for it stores the data, then posts the request, then
 * reads its mode; the vCPU publishes IN_GUEST, then reads its requests. One of the two sees the other
 * (Linux, "KVM vCPU Requests").
 */
import {
  HOST_IRQ_KICK,
  isAsleep,
  MODE_EXITING,
  MODE_IN_GUEST,
  REQ_IRQ_PENDING,
  TASK_RUNNING,
  THREAD_MODE,
  VCPU_THREAD,
  withMode,
  withTask,
} from './vcpu.ts'

/** Posts requests, REQ_ bits. */
export function postRequest(words: Int32Array, v: number, requests: number): void {
  words[v + VCPU_THREAD] |= requests
}

/** Wakes the vCPU's thread if it sleeps, and interrupts its PE if it is in the guest. */
export function kick(words: Int32Array, v: number): void {
  words[v + VCPU_THREAD] = kicked(words[v + VCPU_THREAD])
}

/** Interrupts a vCPU's PE if it is in the guest; a thread that sleeps goes on sleeping: KVM_REQUEST_NO_WAKEUP. */
export function kickOutside(words: Int32Array, v: number): void {
  const thread = words[v + VCPU_THREAD]
  if ((thread & THREAD_MODE) === MODE_IN_GUEST) words[v + VCPU_THREAD] = kicked(thread)
}

/** Tells a vCPU that an interrupt was queued: the request first, then the kick. */
export function notify(words: Int32Array, v: number): void {
  words[v + VCPU_THREAD] = kicked(words[v + VCPU_THREAD] | REQ_IRQ_PENDING)
}

function kicked(thread: number): number {
  if (isAsleep(thread)) return withTask(thread, TASK_RUNNING)
  if ((thread & THREAD_MODE) === MODE_IN_GUEST) return withMode(thread, MODE_EXITING) | HOST_IRQ_KICK
  return thread
}

/** Wakes the vCPU's thread if it is asleep, or on the way to it. */
export function wakeUp(words: Int32Array, v: number): void {
  const thread = words[v + VCPU_THREAD]
  if (isAsleep(thread)) words[v + VCPU_THREAD] = withTask(thread, TASK_RUNNING)
}
