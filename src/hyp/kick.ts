/**
 * Waking and interrupting a vCPU. Whoever has something for it stores the data, then posts the request, then
 * reads its mode; the vCPU publishes IN_GUEST, then reads its requests. One of the two sees the other
 * (Linux, "KVM vCPU Requests").
 */
import {
  HOST_IRQ_KICK,
  MODE_EXITING,
  MODE_IN_GUEST,
  TASK_BLOCKED,
  TASK_RUNNING,
  TASK_SLEEPING,
  VCPU_HOST_IRQ,
  VCPU_MODE,
  VCPU_REQUESTS,
  VCPU_TASK,
} from './vcpu.ts'

/** Posts requests, REQ_ bits. */
export function postRequest(words: Int32Array, v: number, requests: number): void {
  words[v + VCPU_REQUESTS] |= requests
}

/** Wakes the vCPU's thread if it sleeps, and interrupts its PE if it is in the guest. */
export function kick(words: Int32Array, v: number): void {
  const task = words[v + VCPU_TASK]
  if (task === TASK_SLEEPING || task === TASK_BLOCKED) {
    words[v + VCPU_TASK] = TASK_RUNNING
  } else if (words[v + VCPU_MODE] === MODE_IN_GUEST) {
    words[v + VCPU_MODE] = MODE_EXITING
    words[v + VCPU_HOST_IRQ] |= HOST_IRQ_KICK
  }
}

/** Wakes the vCPU's thread if it is asleep, or on the way to it. */
export function wakeUp(words: Int32Array, v: number): void {
  const task = words[v + VCPU_TASK]
  if (task === TASK_SLEEPING || task === TASK_BLOCKED) words[v + VCPU_TASK] = TASK_RUNNING
}
