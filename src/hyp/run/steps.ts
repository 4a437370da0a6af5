/**
 * The steps that designs are made of, a row each: all that there is to say of a step but how it is done, which is the
 * method of ThreadSteps that the row names. The number of a step is the position of its row; step-numbers.ts and
 * step-dispatch.ts are generated from the rows (`npm run generate`), and `npm test` fails while they are stale.
 *
 * To add a step:
 * 1. Write its row here: what its outcomes are, where it may stand, what it may write and must find.
 * 2. Write the method of ThreadSteps that the row names: no result, a boolean for a question, or the outcome's index.
 * 3. `npm run generate` gives it a number and a case; a method that does not fit is a type error in the case.
 * 4. Let public-steps.ts export it, for designs of users.
 * 5. Put it into a design. An exploration with `checkWrites` says if it writes more than its row does.
 */

import { exitNames } from '../records/exits.ts'
import type { Step, StepRow } from './step.ts'

const rows: StepRow[] = []

/** What each step is; the i-th row is that of step i + 1. */
export const stepRows: readonly StepRow[] = rows

/** What the library's step of a number is; undefined for a number of a design's own step. */
export const rowOf = (op: number): StepRow | undefined => rows[op - 1]

interface Facts extends Omit<StepRow, 'step'> {
  readonly outcomes?: readonly string[]
  readonly writes?: Step['writes']
  readonly ends?: true
}

function row(name: string, { outcomes = [], writes, ends, ...more }: Facts): Step {
  const step: Step = {
    kind: 'step',
    name,
    op: rows.length + 1,
    outcomes,
    ...(ends && { ends }),
    ...(writes && { writes }),
  }
  rows.push({ step, ...more })
  return step
}

/** A step that asks a question. */
const test = (name: string, facts: Facts): Step =>
  row(name, { outcomes: ['no', 'yes'], asks: 'question', ...facts })

/** vcpu_load of the vGIC: its CPU interface state goes to the hardware; nothing if it is there. */
export const load = row('load', { does: 'load', writes: 'pe', needs: ['preemptionOff'] })
/** The same, but nothing while the vCPU waits in its WFI. */
export const loadUnlessWaiting = row('loadUnlessWaiting', {
  does: 'loadUnlessWaiting',
  writes: 'pe',
  needs: ['preemptionOff'],
})
/** Makes the guest's writes to ICC_DIR_EL1 exit, so that a vCPU can deactivate what another has acknowledged. */
export const trapDir = row('trapDir', { does: 'trapDir', writes: 'pe', needs: ['preemptionOff'] })
/** kvm_timer_vcpu_load: samples the timers. */
export const timerLoad = row('timerLoad', {
  does: 'timerLoad',
  writesUninjected: 'vcpu',
  needs: ['preemptionOff'],
})
/** vcpu_put of the vGIC: the CPU interface state comes back to memory; nothing if it is there. */
export const put = row('put', { does: 'put', writes: 'vcpu', needs: ['preemptionOff'] })
/** kvm_timer_vcpu_put: the timers are no longer the PE's. A thread that loses its PE needs no step for it. */
export const timerPut = row('timerPut', { does: 'timerPut', writes: 'pe', needs: ['preemptionOff'] })
/**
 * Takes the requests that were posted to the vCPU; a signal is the loop's to look for. Waits while another vCPU has
 * stopped the VM.
 */
export const handleRequests = row('handleRequests', {
  does: 'handleRequests',
  stands: 'thread',
  writes: 'thread',
  needs: ['maySleep'],
})
export const preemptOff = row('preemptOff', { does: 'preemptOff', writes: 'thread' })
export const preemptOn = row('preemptOn', {
  does: 'preemptOn',
  writes: 'thread',
  needs: ['preemptionCounted'],
})
export const irqOff = row('irqOff', { does: 'irqOff', writes: 'thread' })
/** Interrupts on again: what is pending for the host on this PE is taken here. */
export const irqOn = row('irqOn', { does: 'irqOn', takesInterrupts: true, writesUninjected: 'pe' })
/** Fills the list registers from the ap_list. */
export const flush = row('flush', { does: 'flush', lists: 'flush', needs: ['interruptsOff', 'folded'] })
/** Linux 6.1's: active interrupts first, underflow the only maintenance interrupt. */
export const flushActiveFirst = row('flushActiveFirst', {
  does: 'flushActiveFirst',
  lists: 'flush',
  needs: ['interruptsOff', 'folded'],
})
/** Folds the list registers back into the interrupts and prunes the ap_list. */
export const fold = row('fold', { does: 'fold', lists: 'fold', needs: ['interruptsOff'] })
/** Linux 6.1's: without EOIcount. */
export const foldIgnoringEoiCount = row('foldIgnoringEoiCount', {
  does: 'foldIgnoringEoiCount',
  lists: 'fold',
  needs: ['interruptsOff'],
})
/** Samples the timers after an exit. */
export const timerSync = row('timerSync', { does: 'timerSync', writesUninjected: 'vcpu' })
/** mode := IN_GUEST, with a full barrier: from now on a kick interrupts. */
export const publishInGuest = row('publishInGuest', { does: 'publishInGuest', writes: 'thread' })
export const publishOutside = row('publishOutside', { does: 'publishOutside', writes: 'thread' })
/** Was a request posted? Asked after the mode is published, so that either this or the kick sees the other. */
export const requestPending = test('requestPending?', { does: 'requestPending', writes: 'thread' })
/** Is a signal for the thread pending? */
export const signalPending = test('signalPending?', { does: 'signalPending', writes: 'thread' })
/** The guest runs until something makes it leave. */
export const guest = row('guest', {
  does: 'enterGuest',
  enters: true,
  stands: 'thread',
  writes: 'pe',
  needs: ['preemptionOff', 'interruptsOff', 'loaded', 'ownInterface', 'exitDone'],
})
/** Why did it leave? */
export const exitReason = row('exitReason?', {
  does: 'takeExitReason',
  outcomes: exitNames,
  asks: 'question',
  stands: 'thread',
  writes: 'thread',
})
/** Moves the guest's PC past the instruction that trapped. */
export const skipInstruction = row('skipInstruction', {
  does: 'skipInstruction',
  stands: 'thread',
  writes: 'vcpu',
})
/** Does what a trapped system register access asks for: the SGI registers and DIR. */
export const emulateSysreg = row('emulateSysreg', {
  does: 'emulateSysreg',
  stands: 'thread',
  needs: ['sysregAccess'],
})
/** What an MMIO access came to, by MMIO_ value. */
const mmioOutcomes = ['done', 'reevaluate', 'stop', 'userspace'] as const
/**
 * Does what a trapped MMIO access asks of the emulated GIC. `reevaluate`: it is done, and interrupts may belong elsewhere
 * now. `stop`: nothing is done, because what it asks for may be in list registers of other vCPUs. `userspace`: it is
 * none of the GIC's.
 */
export const emulateMmio = row('emulateMmio', {
  does: 'emulateMmio',
  outcomes: mmioOutcomes,
  stands: 'thread',
  needs: ['mmioAccess'],
})
/**
 * Linux 6.1's: pending state and enables are answered from memory and changed there, list registers of running vCPUs or
 * not, the level of a timer is that of the vCPU that asks, and a deactivation asks for no level.
 */
export const emulateMmioFromMemory = row('emulateMmioFromMemory', {
  does: 'emulateMmioFromMemory',
  outcomes: mmioOutcomes,
  stands: 'thread',
  needs: ['mmioAccess'],
})
/** Queues what is pending and on no list, and tells every vCPU that has one too many or too few. */
export const reevaluate = row('reevaluate', { does: 'reevaluate' })
/** kvm_arm_halt_guest: asks the other vCPUs to leave the guest and stay outside. Waits while another does so. */
export const stopVcpus = row('stopVcpus', { does: 'stopVcpus', stands: 'thread', needs: ['maySleep'] })
/** Does the access once all of them are outside; waits until then. */
export const accessStopped = row('accessStopped', {
  does: 'emulateMmio',
  outcomes: ['done', 'reevaluate'],
  stands: 'thread',
  needs: ['maySleep', 'mmioAccess', 'vmStopped'],
})
/** The same as Linux 6.1 does it. */
export const accessStoppedFromMemory = row('accessStoppedFromMemory', {
  does: 'emulateMmioFromMemory',
  outcomes: ['done', 'reevaluate'],
  stands: 'thread',
})
/** kvm_arm_resume_guest. */
export const resumeVcpus = row('resumeVcpus', { does: 'resumeVcpus', stands: 'thread', needs: ['vmStopped'] })
/** KVM_RUN returns, userspace does what the exit or the signal asks for, and calls it again. */
export const userspace = row('userspace', {
  does: 'userspace',
  stands: 'thread',
  writes: 'vcpu',
  needs: ['maySleep', 'freshShadow', 'notTheGics'],
})
/** Marks the vCPU as waiting for an interrupt. */
export const setWaiting = row('setWaiting', { does: 'setWaiting', writes: 'thread' })
export const clearWaiting = row('clearWaiting', { does: 'clearWaiting', writes: 'thread' })
/** Refreshes the shadow of ICH_VMCR_EL2; nothing if the vCPU is not loaded. */
export const saveVmcr = row('saveVmcr', { does: 'saveVmcr', writes: 'vcpu', needs: ['preemptionOff'] })
/** kvm_vcpu_check_block: is an interrupt pending that the guest's priority mask admits, by the shadow registers? */
export const runnable = test('runnable?', { does: 'checkBlock', asks: 'runnable', writes: 'thread' })
/** The same, but the priority mask is read from the hardware of the PE that asks. */
export const runnableOnDemand = test('runnableOnDemand?', {
  does: 'checkBlockOnDemand',
  asks: 'runnable',
  writes: 'vcpu',
})
/** Is the CPU interface state in memory? */
export const notLoaded = test('notLoaded?', { does: 'isUnloaded', writes: 'thread' })
/** The halt begins: how many looks halt polling has. */
export const pollBegin = row('pollBegin', { does: 'pollBegin', stands: 'thread', writes: 'thread' })
/** Is another look left? */
export const pollAgain = test('pollAgain?', { does: 'pollAgain', stands: 'thread', writes: 'thread' })
/** The halt ends: the window for the next one grows or shrinks. */
export const pollEnd = row('pollEnd', { does: 'pollEnd', stands: 'thread', writes: 'thread' })
/** Clears KVM_REQ_UNHALT, which the look that ended the halt has set. */
export const clearUnhalt = row('clearUnhalt', { does: 'clearUnhalt', writes: 'thread' })
/** Announces the sleep, so that a wake-up from now on is not missed. */
export const setSleeping = row('setSleeping', { does: 'setSleeping', stands: 'thread', writes: 'thread' })
export const setRunning = row('setRunning', { does: 'setRunning', stands: 'thread', writes: 'thread' })
/** schedule(): the thread sleeps until it is woken; if it was woken since `setSleeping` it goes on at once. */
export const sleep = row('sleep', {
  does: 'goOn',
  stands: 'thread',
  writes: 'thread',
  needs: ['maySleepIfItDoes'],
})
/** kvm_vcpu_on_spin: goes on to the next vCPU of the VM; yes when all were looked at. */
export const noCandidate = test('noCandidate?', { does: 'noCandidate', stands: 'thread', writes: 'thread' })
/** Is the candidate blocked? */
export const candidateBlocked = test('candidateBlocked?', {
  does: 'candidateBlocked',
  stands: 'thread',
  writes: 'thread',
  needs: ['candidate'],
})
/** Would the candidate run? Asks its task state again first: one that is not blocked is not evaluated. */
export const dyRunnable = test('dyRunnable?', {
  does: 'dyRunnable',
  stands: 'thread',
  writes: 'thread',
  needs: ['candidate'],
})
/** Would the candidate run? Evaluates runnable() of a vCPU that may be running by now, as Linux 6.1 does. */
export const candidateRunnable = test('candidateRunnable?', {
  does: 'candidateRunnable',
  stands: 'thread',
  writes: 'thread',
  needs: ['candidate'],
})
/** Gives the PE to the candidate. */
export const yieldTo = row('yieldTo', { does: 'yieldTo', stands: 'thread', needs: ['candidate'] })
/** The thread ends. */
export const stop = row('stop', {
  does: 'stop',
  ends: true,
  stands: 'thread',
  writes: 'pe',
  needs: ['unloaded', 'guestOff'],
})
/** Of an injection: stores the interrupt's new state and puts it on the ap_list where it belongs. */
export const queueInterrupt = row('queue', { stands: 'inject' })
/** Of an injection: posts KVM_REQ_IRQ_PENDING to that list's vCPU. */
export const postRequest = row('postRequest', { stands: 'inject' })
/** Of an injection: reads that vCPU's mode, and wakes or interrupts it. */
export const kickVcpu = row('kick', { stands: 'inject' })
/** The last step of every sched_out notifier: the thread is off its PE. */
export const giveUpCpu = row('giveUpCpu', {
  does: 'giveUpCpu',
  ends: true,
  stands: 'end',
  writes: 'pe',
  needs: ['unloaded'],
})
/** The last step of every sched_in notifier: the thread goes on where it was. */
export const resume = row('resume', { does: 'goOn', ends: true, stands: 'end', writes: 'thread' })
