/** The states of a vCPU's thread: what it does next. */
/** A step. */
export const THREAD_STEPS = 0
/** It is in the guest: the guest's step is next. */
export const THREAD_IN_GUEST = 1
/** It sleeps until it is woken. */
export const THREAD_SLEEPS = 2
/** It waits for a PE. */
export const THREAD_WAITS_FOR_CPU = 3
export const THREAD_ENDED = 4
/**
 * It polls in a halt, and its last check failed. Only RunLoop.run returns this: others may act before the next check.
 */
export const THREAD_POLLS = 5
/** It waits for other vCPUs: to leave the guest, or to let it enter. */
export const THREAD_WAITS_FOR_VCPUS = 6
