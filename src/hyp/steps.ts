/** The steps that designs are made of, by name; run-loop.ts does them. */
import type { Step } from './design.ts'
import { exitNames } from './vcpu.ts'

export const STEP_LOAD = 1
export const STEP_PUT = 2
export const STEP_HANDLE_REQUESTS = 3
export const STEP_PREEMPT_OFF = 4
export const STEP_PREEMPT_ON = 5
export const STEP_IRQ_OFF = 6
export const STEP_IRQ_ON = 7
export const STEP_FLUSH = 8
export const STEP_FOLD = 9
export const STEP_PUBLISH_IN_GUEST = 10
export const STEP_PUBLISH_OUTSIDE = 11
export const STEP_REQUEST_PENDING = 12
export const STEP_GUEST = 13
export const STEP_EXIT_REASON = 14
export const STEP_SKIP_INSTRUCTION = 15
export const STEP_EMULATE_SYSREG = 16
export const STEP_SET_WAITING = 17
export const STEP_CLEAR_WAITING = 18
export const STEP_SAVE_VMCR = 19
export const STEP_RUNNABLE = 20
export const STEP_SET_SLEEPING = 21
export const STEP_SET_RUNNING = 22
export const STEP_SLEEP = 23
export const STEP_STOP = 24

const step = (name: string, op: number, outcomes: readonly string[] = []): Step => ({
  kind: 'step',
  name,
  op,
  outcomes,
})
/** A step that asks a question. */
const test = (name: string, op: number): Step => step(name, op, ['no', 'yes'])

/** vcpu_load: the vGIC's CPU interface state goes to the hardware. */
export const load = step('load', STEP_LOAD)
/** vcpu_put: it comes back to memory. */
export const put = step('put', STEP_PUT)
/** Takes the requests that were posted to the vCPU. */
export const handleRequests = step('handleRequests', STEP_HANDLE_REQUESTS)
export const preemptOff = step('preemptOff', STEP_PREEMPT_OFF)
export const preemptOn = step('preemptOn', STEP_PREEMPT_ON)
export const irqOff = step('irqOff', STEP_IRQ_OFF)
/** Interrupts on again: what is pending for the host, a kick's IPI, is taken here. */
export const irqOn = step('irqOn', STEP_IRQ_ON)
/** Fills the list registers from the ap_list. */
export const flush = step('flush', STEP_FLUSH)
/** Folds the list registers back into the interrupts and prunes the ap_list. */
export const fold = step('fold', STEP_FOLD)
/** mode := IN_GUEST, with a full barrier: from now on a kick interrupts. */
export const publishInGuest = step('publishInGuest', STEP_PUBLISH_IN_GUEST)
export const publishOutside = step('publishOutside', STEP_PUBLISH_OUTSIDE)
/** Was a request posted? Asked after the mode is published, so that either this or the kick sees the other. */
export const requestPending = test('requestPending?', STEP_REQUEST_PENDING)
/** The guest runs until something makes it leave. */
export const guest = step('guest', STEP_GUEST)
/** Why did it leave? */
export const exitReason = step('exitReason?', STEP_EXIT_REASON, exitNames)
/** Moves the guest's PC past the instruction that trapped. */
export const skipInstruction = step('skipInstruction', STEP_SKIP_INSTRUCTION)
/** Does what a trapped system register access asks for: the SGI registers. */
export const emulateSysreg = step('emulateSysreg', STEP_EMULATE_SYSREG)
/** Marks the vCPU as waiting for an interrupt. */
export const setWaiting = step('setWaiting', STEP_SET_WAITING)
export const clearWaiting = step('clearWaiting', STEP_CLEAR_WAITING)
/** Refreshes the shadow of ICH_VMCR_EL2. */
export const saveVmcr = step('saveVmcr', STEP_SAVE_VMCR)
/** Is an interrupt pending that the guest's priority mask admits? By the shadow registers. */
export const runnable = test('runnable?', STEP_RUNNABLE)
/** Announces the sleep, so that a wake-up from now on is not missed. */
export const setSleeping = step('setSleeping', STEP_SET_SLEEPING)
export const setRunning = step('setRunning', STEP_SET_RUNNING)
/** schedule(): the thread sleeps until it is woken; if it was woken since `setSleeping` it goes on at once. */
export const sleep = step('sleep', STEP_SLEEP)
/** The thread ends. */
export const stop: Step = { ...step('stop', STEP_STOP), ends: true }
