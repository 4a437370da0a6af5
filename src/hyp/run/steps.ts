/** The steps that designs are made of, by name; thread-steps.ts does them. */

import { exitNames } from '../records/exits.ts'
import type { Step } from './step.ts'

export const STEP_LOAD = 1
export const STEP_LOAD_UNLESS_WAITING = 2
export const STEP_TRAP_DIR = 3
export const STEP_TIMER_LOAD = 4
export const STEP_PUT = 5
export const STEP_HANDLE_REQUESTS = 6
export const STEP_PREEMPT_OFF = 7
export const STEP_PREEMPT_ON = 8
export const STEP_IRQ_OFF = 9
export const STEP_IRQ_ON = 10
export const STEP_FLUSH = 11
export const STEP_FLUSH_ACTIVE_FIRST = 12
export const STEP_FOLD = 13
export const STEP_FOLD_IGNORING_EOI_COUNT = 14
export const STEP_TIMER_SYNC = 15
export const STEP_PUBLISH_IN_GUEST = 16
export const STEP_PUBLISH_OUTSIDE = 17
export const STEP_REQUEST_PENDING = 18
export const STEP_SIGNAL_PENDING = 19
export const STEP_GUEST = 20
export const STEP_EXIT_REASON = 21
export const STEP_SKIP_INSTRUCTION = 22
export const STEP_EMULATE_SYSREG = 23
export const STEP_USERSPACE = 24
export const STEP_SET_WAITING = 25
export const STEP_CLEAR_WAITING = 26
export const STEP_SAVE_VMCR = 27
export const STEP_RUNNABLE = 28
export const STEP_RUNNABLE_ON_DEMAND = 29
export const STEP_NOT_LOADED = 30
export const STEP_POLL_BEGIN = 31
export const STEP_POLL_AGAIN = 32
export const STEP_POLL_END = 33
export const STEP_CLEAR_UNHALT = 34
export const STEP_SET_SLEEPING = 35
export const STEP_SET_RUNNING = 36
export const STEP_SLEEP = 37
export const STEP_NO_CANDIDATE = 38
export const STEP_CANDIDATE_BLOCKED = 39
export const STEP_DY_RUNNABLE = 40
export const STEP_CANDIDATE_RUNNABLE = 41
export const STEP_YIELD_TO = 42
export const STEP_STOP = 43
export const STEP_GIVE_UP_CPU = 44
export const STEP_RESUME = 45
export const STEP_QUEUE_INTERRUPT = 46
export const STEP_POST_REQUEST = 47
export const STEP_KICK = 48
export const STEP_EMULATE_MMIO = 49
export const STEP_EMULATE_MMIO_FROM_MEMORY = 50
export const STEP_REEVALUATE = 51
export const STEP_STOP_VCPUS = 52
export const STEP_ACCESS_STOPPED = 53
export const STEP_RESUME_VCPUS = 54
export const STEP_TIMER_PUT = 55
export const STEP_ACCESS_STOPPED_FROM_MEMORY = 56

const step = (name: string, op: number, outcomes: readonly string[] = []): Step => ({
  kind: 'step',
  name,
  op,
  outcomes,
})
/** A step that asks a question. */
const test = (name: string, op: number): Step => step(name, op, ['no', 'yes'])
/** A step that changes nothing but its thread's own words. */
const local = (other: Step): Step => ({ ...other, reach: 'thread' })
/** One that also changes the vCPU's shadow registers or its guest's program counter. */
const onVcpu = (other: Step): Step => ({ ...other, reach: 'vcpu' })
/** One that also changes its PE and which PEs are free. */
const onPe = (other: Step): Step => ({ ...other, reach: 'pe' })

/** vcpu_load of the vGIC: its CPU interface state goes to the hardware; nothing if it is there. */
export const load = onPe(step('load', STEP_LOAD))
/** The same, but nothing while the vCPU waits in its WFI. */
export const loadUnlessWaiting = onPe(step('loadUnlessWaiting', STEP_LOAD_UNLESS_WAITING))
/** Makes the guest's writes to ICC_DIR_EL1 exit, so that a vCPU can deactivate what another has acknowledged. */
export const trapDir = onPe(step('trapDir', STEP_TRAP_DIR))
/** kvm_timer_vcpu_load: samples the timers. */
export const timerLoad = step('timerLoad', STEP_TIMER_LOAD)
/** vcpu_put of the vGIC: the CPU interface state comes back to memory; nothing if it is there. */
export const put = onVcpu(step('put', STEP_PUT))
/** kvm_timer_vcpu_put: the timers are no longer the PE's. A thread that loses its PE needs no step for it. */
export const timerPut = onPe(step('timerPut', STEP_TIMER_PUT))
/**
 * Takes the requests that were posted to the vCPU; a signal is the loop's to look for. Waits while another vCPU has
 * stopped the VM.
 */
export const handleRequests = local(step('handleRequests', STEP_HANDLE_REQUESTS))
export const preemptOff = local(step('preemptOff', STEP_PREEMPT_OFF))
export const preemptOn = local(step('preemptOn', STEP_PREEMPT_ON))
export const irqOff = local(step('irqOff', STEP_IRQ_OFF))
/** Interrupts on again: what is pending for the host on this PE is taken here. */
export const irqOn = step('irqOn', STEP_IRQ_ON)
/** Fills the list registers from the ap_list. */
export const flush = step('flush', STEP_FLUSH)
/** Linux 6.1's: active interrupts first, underflow the only maintenance interrupt. */
export const flushActiveFirst = step('flushActiveFirst', STEP_FLUSH_ACTIVE_FIRST)
/** Folds the list registers back into the interrupts and prunes the ap_list. */
export const fold = step('fold', STEP_FOLD)
/** Linux 6.1's: without EOIcount. */
export const foldIgnoringEoiCount = step('foldIgnoringEoiCount', STEP_FOLD_IGNORING_EOI_COUNT)
/** Samples the timers after an exit. */
export const timerSync = step('timerSync', STEP_TIMER_SYNC)
/** mode := IN_GUEST, with a full barrier: from now on a kick interrupts. */
export const publishInGuest = local(step('publishInGuest', STEP_PUBLISH_IN_GUEST))
export const publishOutside = local(step('publishOutside', STEP_PUBLISH_OUTSIDE))
/** Was a request posted? Asked after the mode is published, so that either this or the kick sees the other. */
export const requestPending = local(test('requestPending?', STEP_REQUEST_PENDING))
/** Is a signal for the thread pending? */
export const signalPending = local(test('signalPending?', STEP_SIGNAL_PENDING))
/** The guest runs until something makes it leave. */
export const guest = onPe(step('guest', STEP_GUEST))
/** Why did it leave? */
export const exitReason = local(step('exitReason?', STEP_EXIT_REASON, exitNames))
/** Moves the guest's PC past the instruction that trapped. */
export const skipInstruction = onVcpu(step('skipInstruction', STEP_SKIP_INSTRUCTION))
/** Does what a trapped system register access asks for: the SGI registers and DIR. */
export const emulateSysreg = step('emulateSysreg', STEP_EMULATE_SYSREG)
/** What an MMIO access came to, by MMIO_ value. */
const mmioOutcomes = ['done', 'reevaluate', 'stop', 'userspace'] as const
/**
 * Does what a trapped MMIO access asks of the emulated GIC. `reevaluate`: it is done, and interrupts may belong elsewhere
 * now. `stop`: nothing is done, because what it asks for may be in list registers of other vCPUs. `userspace`: it is
 * none of the GIC's.
 */
export const emulateMmio = step('emulateMmio', STEP_EMULATE_MMIO, mmioOutcomes)
/**
 * Linux 6.1's: pending state and enables are answered from memory and changed there, list registers of running vCPUs or
 * not, the level of a timer is that of the vCPU that asks, and a deactivation asks for no level.
 */
export const emulateMmioFromMemory = step(
  'emulateMmioFromMemory',
  STEP_EMULATE_MMIO_FROM_MEMORY,
  mmioOutcomes,
)
/** Queues what is pending and on no list, and tells every vCPU that has one too many or too few. */
export const reevaluate = step('reevaluate', STEP_REEVALUATE)
/** kvm_arm_halt_guest: asks the other vCPUs to leave the guest and stay outside. Waits while another does so. */
export const stopVcpus = step('stopVcpus', STEP_STOP_VCPUS)
/** Does the access once all of them are outside; waits until then. */
export const accessStopped = step('accessStopped', STEP_ACCESS_STOPPED, ['done', 'reevaluate'])
/** The same as Linux 6.1 does it. */
export const accessStoppedFromMemory = step('accessStoppedFromMemory', STEP_ACCESS_STOPPED_FROM_MEMORY, [
  'done',
  'reevaluate',
])
/** kvm_arm_resume_guest. */
export const resumeVcpus = step('resumeVcpus', STEP_RESUME_VCPUS)
/** KVM_RUN returns, userspace does what the exit or the signal asks for, and calls it again. */
export const userspace = onVcpu(step('userspace', STEP_USERSPACE))
/** Marks the vCPU as waiting for an interrupt. */
export const setWaiting = local(step('setWaiting', STEP_SET_WAITING))
export const clearWaiting = local(step('clearWaiting', STEP_CLEAR_WAITING))
/** Refreshes the shadow of ICH_VMCR_EL2; nothing if the vCPU is not loaded. */
export const saveVmcr = onVcpu(step('saveVmcr', STEP_SAVE_VMCR))
/** kvm_vcpu_check_block: is an interrupt pending that the guest's priority mask admits, by the shadow registers? */
export const runnable = local(test('runnable?', STEP_RUNNABLE))
/** The same, but the priority mask is read from the hardware of the PE that asks. */
export const runnableOnDemand = onVcpu(test('runnableOnDemand?', STEP_RUNNABLE_ON_DEMAND))
/** Is the CPU interface state in memory? */
export const notLoaded = local(test('notLoaded?', STEP_NOT_LOADED))
/** The halt begins: how many looks halt polling has. */
export const pollBegin = local(step('pollBegin', STEP_POLL_BEGIN))
/** Is another look left? */
export const pollAgain = local(test('pollAgain?', STEP_POLL_AGAIN))
/** The halt ends: the window for the next one grows or shrinks. */
export const pollEnd = local(step('pollEnd', STEP_POLL_END))
/** Clears KVM_REQ_UNHALT, which the look that ended the halt has set. */
export const clearUnhalt = local(step('clearUnhalt', STEP_CLEAR_UNHALT))
/** Announces the sleep, so that a wake-up from now on is not missed. */
export const setSleeping = local(step('setSleeping', STEP_SET_SLEEPING))
export const setRunning = local(step('setRunning', STEP_SET_RUNNING))
/** schedule(): the thread sleeps until it is woken; if it was woken since `setSleeping` it goes on at once. */
export const sleep = local(step('sleep', STEP_SLEEP))
/** kvm_vcpu_on_spin: goes on to the next vCPU of the VM; yes when all were looked at. */
export const noCandidate = local(test('noCandidate?', STEP_NO_CANDIDATE))
/** Is the candidate blocked? */
export const candidateBlocked = local(test('candidateBlocked?', STEP_CANDIDATE_BLOCKED))
/** Would the candidate run? Asks its task state again first: one that is not blocked is not evaluated. */
export const dyRunnable = local(test('dyRunnable?', STEP_DY_RUNNABLE))
/** Would the candidate run? Evaluates runnable() of a vCPU that may be running by now, as Linux 6.1 does. */
export const candidateRunnable = local(test('candidateRunnable?', STEP_CANDIDATE_RUNNABLE))
/** Gives the PE to the candidate. */
export const yieldTo = step('yieldTo', STEP_YIELD_TO)
/** The thread ends. */
export const stop: Step = { ...onPe(step('stop', STEP_STOP)), ends: true }
/** Of an injection: stores the interrupt's new state and puts it on the ap_list where it belongs. */
export const queueInterrupt = step('queue', STEP_QUEUE_INTERRUPT)
/** Of an injection: posts KVM_REQ_IRQ_PENDING to that list's vCPU. */
export const postRequest = step('postRequest', STEP_POST_REQUEST)
/** Of an injection: reads that vCPU's mode, and wakes or interrupts it. */
export const kickVcpu = step('kick', STEP_KICK)
/** The last step of every sched_out notifier: the thread is off its PE. */
export const giveUpCpu: Step = { ...onPe(step('giveUpCpu', STEP_GIVE_UP_CPU)), ends: true }
/** The last step of every sched_in notifier: the thread goes on where it was. */
export const resume: Step = { ...local(step('resume', STEP_RESUME)), ends: true }
