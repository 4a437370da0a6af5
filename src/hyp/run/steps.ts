/**
 * The library's steps, a row each. A row declares everything about a step except its code, which is the method of
 * ThreadSteps, or the function, that the row names. The number of a step is the position of its row; step-numbers.ts and
 * step-dispatch.ts are generated from the rows (`npm run generate`), and `npm test` fails while they are stale.
 *
 * To add a step:
 * 1. Write its row here: its outcomes, the lists that it may be in, what it may write, and its preconditions.
 * 2. Write the method of ThreadSteps that the row names: no result, a boolean for a question, or the outcome's index. A
 *    step that only the baselines of Linux have is a function of linux-steps.ts, one that only the museum has of
 *    museum-steps.ts, and its row says so.
 * 3. `npm run generate` gives it a number and a case; a method that does not fit is a type error in the case.
 * 4. Export it in public-steps.ts, for users' designs.
 * 5. Use it in a design. An exploration with `checkWrites` reports writes that its row does not allow.
 */

import { exitNames } from '../records/exits.ts'
import type { Step, StepRow } from './step.ts'

const rows: StepRow[] = []

/** The rows of all steps; the i-th row is that of step number i + 1. */
export const stepRows: readonly StepRow[] = rows

/** The row of the step with a number; undefined for a design's own step. */
export const rowOf = (op: number): StepRow | undefined => rows[op - 1]

interface Facts extends Omit<StepRow, 'step'> {
  readonly outcomes?: readonly string[]
  readonly ends?: true
}

function row(name: string, { outcomes = [], ends, ...more }: Facts): Step {
  const step: Step = {
    kind: 'step',
    name,
    op: rows.length + 1,
    outcomes,
    ...(ends && { ends }),
  }
  rows.push({ step, ...more })
  return step
}

/** A step that asks a question. */
const test = (name: string, facts: Facts): Step =>
  row(name, { outcomes: ['no', 'yes'], asks: 'question', ...facts })

/** vcpu_load of the vGIC: moves the CPU interface state to the hardware; does nothing if the vCPU is loaded. */
export const load = row('load', { does: 'load', writes: 'load', needs: ['preemptionOff'] })
/** Linux 7.2's vcpu_load of the vGIC: writes the registers of a vCPU that is loaded already, too. */
export const loadAgain = row('loadAgain', {
  does: 'loadAgain',
  of: 'linux',
  writes: 'load',
  needs: ['preemptionOff'],
})
/** vcpu_load of the vGIC, which does nothing while the vCPU waits in its WFI. */
export const loadUnlessWaiting = row('loadUnlessWaiting', {
  does: 'loadUnlessWaiting',
  writes: 'load',
  needs: ['preemptionOff'],
})
/** Makes the guest's writes to ICC_DIR_EL1 exit, so that a vCPU can deactivate what another has acknowledged. */
export const trapDir = row('trapDir', {
  does: 'trapDir',
  writes: 'pe',
  writesUninterrupted: 'load',
  needs: ['preemptionOff'],
})
/** kvm_timer_vcpu_load: samples the timers. */
export const timerLoad = row('timerLoad', {
  does: 'timerLoad',
  writesUninjected: 'thread',
  needs: ['preemptionOff'],
})
/** vcpu_put of the vGIC: moves the CPU interface state back to memory; does nothing if the vCPU is not loaded. */
export const put = row('put', { does: 'put', writes: 'put', needs: ['preemptionOff'] })
/**
 * Linux 7.2's vcpu_put of the vGIC: reads the active priorities only, since the last exit has saved ICH_VMCR_EL2, and
 * those of a vCPU that was put already, too.
 */
export const putAgain = row('putAgain', {
  does: 'putAgain',
  of: 'linux',
  writes: 'put',
  needs: ['preemptionOff'],
})
/** kvm_timer_vcpu_put: takes the timers off the PE. A thread that loses its PE needs no step for it. */
export const timerPut = row('timerPut', { does: 'timerPut', writes: 'pe', needs: ['preemptionOff'] })
/**
 * Leaves the timers to a host timer that does their work while the vCPU is in userspace: it makes the interrupt pending, and
 * masks the guest's timer (catalogue 50).
 */
export const timerInjecting = row('timerInjecting', {
  does: 'timerInjecting',
  of: 'museum',
  writes: 'vcpu',
  needs: ['preemptionOff'],
})
/**
 * Takes the requests that were posted to the vCPU, except a signal, which the loop checks for. Waits while another
 * vCPU has stopped the VM.
 */
export const handleRequests = row('handleRequests', {
  does: 'handleRequests',
  stands: 'thread',
  writes: 'thread',
  needs: ['maySleep'],
})
/** Linux 7.2's: prunes the ap_list, too, if another vCPU has asked for it by a trapped DIR. */
export const handleRequestsPruning = row('handleRequestsPruning', {
  does: 'handleRequestsPruning',
  of: 'linux',
  stands: 'thread',
  needs: ['maySleep'],
})
/** Turns preemption off: the thread keeps its PE. */
export const preemptOff = row('preemptOff', { does: 'preemptOff', writes: 'thread' })
/** Turns preemption on again: from now on the scheduler may take the PE away. */
export const preemptOn = row('preemptOn', {
  does: 'preemptOn',
  writes: 'thread',
  needs: ['preemptionCounted'],
})
/** Turns interrupts off on this PE: a kick and the tick wait. */
export const irqOff = row('irqOff', { does: 'irqOff', writes: 'thread' })
/** Turns interrupts on again; the host takes those that are pending on this PE. */
export const irqOn = row('irqOn', { does: 'irqOn', writesUninjected: 'pe', writesUninterrupted: 'thread' })
/** Fills the list registers from the ap_list. */
export const flush = row('flush', { does: 'flush', lists: 'flush', needs: ['interruptsOff', 'folded'] })
/** Linux 6.1's flush: active interrupts first, and underflow as the only maintenance interrupt. */
export const flushActiveFirst = row('flushActiveFirst', {
  does: 'flushActiveFirst',
  of: 'linux',
  lists: 'flush',
  needs: ['interruptsOff', 'folded'],
})
/**
 * As `flush`, but where there are more interrupts than list registers, active ones are in the order in which the guest
 * has taken them, not in that in which it ends them.
 */
export const flushActiveReversed = row('flushActiveReversed', {
  does: 'flushActiveReversed',
  of: 'museum',
  lists: 'flush',
  needs: ['interruptsOff', 'folded'],
})
/**
 * As `flush`, without references to the LPIs that it puts into list registers: the fold finds them by what this has
 * remembered.
 */
export const flushUnheld = row('flushUnheld', {
  does: 'flushUnheld',
  of: 'museum',
  lists: 'flush',
  needs: ['interruptsOff', 'folded'],
})
/**
 * As `flush`, but a level-sensitive interrupt that is active, and whose line is high, goes into its list register as active
 * and pending (catalogue 25).
 */
export const flushActiveAndPending = row('flushActiveAndPending', {
  does: 'flushActiveAndPending',
  of: 'museum',
  lists: 'flush',
  needs: ['interruptsOff', 'folded'],
})
/**
 * Linux 7.2's flush: ICH_HCR_EL2 is written at every entry, with maintenance interrupts for a switch of each group, and
 * ICC_DIR_EL1 is trapped only while the vCPU has active interrupts outside, or the VM counts SPIs in flight.
 */
export const flushWritingHcr = row('flushWritingHcr', {
  does: 'flushWritingHcr',
  of: 'linux',
  lists: 'flush',
  alwaysAccesses: true,
  needs: ['interruptsOff', 'folded'],
})
/** Folds the list registers into the interrupts' words and prunes the ap_list. */
export const fold = row('fold', { does: 'fold', lists: 'fold', needs: ['interruptsOff'] })
/** The fold after `flushUnheld`. */
export const foldUnheld = row('foldUnheld', {
  does: 'foldUnheld',
  of: 'museum',
  lists: 'fold',
  needs: ['interruptsOff'],
})
/** Linux 6.1's fold, which ignores EOIcount. */
export const foldIgnoringEoiCount = row('foldIgnoringEoiCount', {
  does: 'foldIgnoringEoiCount',
  of: 'linux',
  lists: 'fold',
  needs: ['interruptsOff'],
})
/** Linux 7.2's fold, which saves ICH_VMCR_EL2 and clears ICH_HCR_EL2 at every exit. */
export const foldSavingVmcr = row('foldSavingVmcr', {
  does: 'foldSavingVmcr',
  of: 'linux',
  lists: 'fold',
  alwaysAccesses: true,
  needs: ['interruptsOff'],
})
/** As `foldSavingVmcr`, but EOIcount deactivates from the head of the ap_list on, those in list registers too. */
export const foldCountingFromHead = row('foldCountingFromHead', {
  does: 'foldCountingFromHead',
  of: 'museum',
  lists: 'fold',
  alwaysAccesses: true,
  needs: ['interruptsOff'],
})
/**
 * As `foldSavingVmcr`, but a mapped level-sensitive interrupt that the guest has deactivated keeps the sample of its line
 * that it had before (catalogue 31).
 */
export const foldUnsampled = row('foldUnsampled', {
  does: 'foldUnsampled',
  of: 'museum',
  lists: 'fold',
  alwaysAccesses: true,
  needs: ['interruptsOff'],
})
/**
 * As `fold`, but the physical interrupt of a mapped one that the guest still handles is made inactive, too (catalogue 32).
 */
export const foldDroppingActive = row('foldDroppingActive', {
  does: 'foldDroppingActive',
  of: 'museum',
  lists: 'fold',
  needs: ['interruptsOff'],
})
/** As `fold`, but an LPI that comes back active from a list register stays so (catalogue 34). */
export const foldKeepingActiveLpis = row('foldKeepingActiveLpis', {
  does: 'foldKeepingActiveLpis',
  of: 'museum',
  lists: 'fold',
  needs: ['interruptsOff'],
})
/** The fold alone: the ap_list stays as it is, and is to be pruned by `pruned?` and `migrate`. */
export const foldListRegisters = row('foldListRegisters', {
  does: 'foldListRegisters',
  of: 'museum',
  lists: 'fold',
  needs: ['interruptsOff'],
})
/**
 * vgic_prune_ap_list up to an interrupt that is to go to another list, which takes the locks of both, in their order: the
 * lock of this one is dropped, with a reference held.
 */
export const pruned = row('pruned?', {
  does: 'pruned',
  of: 'museum',
  outcomes: ['no', 'yes'],
  needs: ['interruptsOff'],
})
/** As `pruned?`, without a reference. */
export const prunedUnheld = row('prunedUnheld?', {
  does: 'prunedUnheld',
  of: 'museum',
  outcomes: ['no', 'yes'],
  needs: ['interruptsOff'],
})
/** Moves that interrupt, under both locks, if it still is on this list and still belongs on the other. */
export const migrate = row('migrate', { does: 'migrate', of: 'museum', needs: ['interruptsOff'] })
/** As `migrate`, but does not notify the vCPU on whose list the interrupt is now (catalogue 23). */
export const migrateQuietly = row('migrateQuietly', {
  does: 'migrateQuietly',
  of: 'museum',
  needs: ['interruptsOff'],
})
/** CVE-2026-72289: as `migrate`, but looks only where the interrupt belongs, and not where it is. */
export const migrateUnowned = row('migrateUnowned', {
  does: 'migrateUnowned',
  of: 'museum',
  needs: ['interruptsOff'],
})
/** Samples the timers after an exit. */
export const timerSync = row('timerSync', { does: 'timerSync', writesUninjected: 'thread' })
/** mode := IN_GUEST, with a full barrier: from now on a kick interrupts. */
export const publishInGuest = row('publishInGuest', { does: 'publishInGuest', writes: 'thread' })
/** mode := OUTSIDE: from now on a kick need not interrupt. */
export const publishOutside = row('publishOutside', { does: 'publishOutside', writes: 'thread' })
/**
 * Is a request pending? Asked after the mode is published, so that either this step or the kick sees the other side.
 */
export const requestPending = test('requestPending?', { does: 'requestPending', writes: 'thread' })
/** Is a signal for the thread pending? */
export const signalPending = test('signalPending?', { does: 'signalPending', writes: 'thread' })
/** The guest runs until it exits. */
export const guest = row('guest', {
  does: 'enterGuest',
  enters: true,
  stands: 'thread',
  writes: 'sched',
  needs: ['preemptionOff', 'interruptsOff', 'loaded', 'ownInterface', 'exitDone'],
})
/** Why did the guest exit? */
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
  needs: ['trappedInstruction'],
})
/** Emulates a trapped system register access: the SGI registers and ICC_DIR_EL1. */
export const emulateSysreg = row('emulateSysreg', {
  does: 'emulateSysreg',
  stands: 'thread',
  needs: ['sysregAccess'],
})
/**
 * Linux 7.2's emulation of trapped system register accesses: EOImode is that of the shadow of ICH_VMCR_EL2, and a
 * write to ICC_DIR_EL1 of an interrupt in a list register of a running guest is left to `deactivateStopped`.
 */
export const emulateSysregByShadow = row('emulateSysregByShadow', {
  does: 'emulateSysregByShadow',
  of: 'linux',
  stands: 'thread',
  needs: ['sysregAccess'],
})
/** As `emulateSysreg`, but a write to ICC_DIR_EL1 does not sample the line of what it deactivates (catalogue 60). */
export const emulateSysregUnsampled = row('emulateSysregUnsampled', {
  does: 'emulateSysregUnsampled',
  of: 'museum',
  stands: 'thread',
  needs: ['sysregAccess'],
})
/** Is a deactivation left that needs the VM stopped? */
export const deactivationLeft = test('deactivationLeft?', {
  does: 'deactivationLeft',
  of: 'linux',
  stands: 'thread',
  writes: 'thread',
})
/** Does it once all other vCPUs are outside their guests; waits until then. */
export const deactivateStopped = row('deactivateStopped', {
  does: 'deactivateStopped',
  of: 'linux',
  stands: 'thread',
  needs: ['maySleep', 'sysregAccess', 'vmStopped'],
})
/** The results of an MMIO access, by MMIO_ value. */
const mmioOutcomes = ['done', 'reevaluate', 'stop', 'userspace', 'commands'] as const
/**
 * Emulates a trapped MMIO access to the emulated GIC. `reevaluate`: it is done, and interrupts may belong elsewhere
 * now. `stop`: it is not done, because the state may be in list registers of other vCPUs. `userspace`: it is not to
 * the GIC. `commands`: it is done, and has started an ITS, or goes on with commands that an earlier access has left: cmd_lock
 * is held until `noCommand?` says yes. A write to an ITS waits while another vCPU holds that.
 */
export const emulateMmio = row('emulateMmio', {
  does: 'emulateMmio',
  endsAccess: true,
  outcomes: mmioOutcomes,
  stands: 'thread',
  needs: ['mmioAccess'],
})
/**
 * Emulation as Linux 6.1 and 7.2 have it: pending state and enables are read and changed in memory, even if an
 * interrupt is in a list register of a running vCPU; the level of a timer is that of the accessing vCPU's; and a
 * deactivation samples no line.
 */
export const emulateMmioFromMemory = row('emulateMmioFromMemory', {
  does: 'emulateMmioFromMemory',
  of: 'linux',
  endsAccess: true,
  outcomes: mmioOutcomes,
  stands: 'thread',
  needs: ['mmioAccess'],
})
/**
 * As `emulateMmioFromMemory`, but LPIs that EnableLPIs = 0 takes off an ap_list stay pending, and EnableLPIs = 1 queues
 * pending ones in the order in which they were mapped, a `GITS_BASER<n>` that changes and stays valid keeps what was mapped,
 * and an access to active state in the vCPU's own redistributor stops the VM, too: Linux 6.1. A VM whose design has this step
 * does so with LPIs and tables whoever writes the register, userspace too: its-ways.ts.
 */
export const emulateMmioAsLinux61 = row('emulateMmioAsLinux61', {
  does: 'emulateMmioFromMemory',
  of: 'linux',
  endsAccess: true,
  outcomes: mmioOutcomes,
  stands: 'thread',
  needs: ['mmioAccess'],
})
/**
 * Queues every pending interrupt that is on no list, and notifies every vCPU that has an interrupt too many or too
 * few.
 */
export const reevaluate = row('reevaluate', { does: 'reevaluate' })
/** kvm_arm_halt_guest: asks the other vCPUs to leave the guest and stay outside. Waits while another does so. */
export const stopVcpus = row('stopVcpus', { does: 'stopVcpus', stands: 'thread', needs: ['maySleep'] })
/** Does the access once all other vCPUs are outside their guests; waits until then. */
export const accessStopped = row('accessStopped', {
  does: 'accessStopped',
  endsAccess: true,
  outcomes: ['done', 'reevaluate'],
  stands: 'thread',
  needs: ['maySleep', 'mmioAccess', 'vmStopped', 'othersFolded'],
})
/**
 * As `accessStopped`, but a vCPU counts as outside once it says so, although its list registers are folded later (catalogue
 * 29).
 */
export const accessOutside = row('accessOutside', {
  does: 'accessStopped',
  endsAccess: true,
  outcomes: ['done', 'reevaluate'],
  stands: 'thread',
  needs: ['maySleep', 'mmioAccess', 'vmStopped', 'othersFolded'],
})
/** Does the access from memory at once, while other vCPUs are in their guests (catalogue 28). */
export const accessRunning = row('accessRunning', {
  does: 'accessStopped',
  endsAccess: true,
  outcomes: ['done', 'reevaluate'],
  stands: 'thread',
  needs: ['maySleep', 'mmioAccess', 'othersFolded'],
})
/**
 * As `stopVcpus`, but stops do not count: it does not wait while another has stopped the VM, and the first to resume resumes
 * for all (catalogue 30).
 */
export const stopVcpusToo = row('stopVcpusToo', {
  does: 'stopVcpus',
  stands: 'thread',
  needs: ['maySleep'],
})
/** Linux 6.1's and 7.2's accessStopped, which answers from memory as `emulateMmioFromMemory` does. */
export const accessStoppedFromMemory = row('accessStoppedFromMemory', {
  does: 'accessStoppedFromMemory',
  of: 'linux',
  endsAccess: true,
  outcomes: ['done', 'reevaluate'],
  stands: 'thread',
  needs: ['maySleep', 'mmioAccess', 'vmStopped', 'othersFolded'],
})
/**
 * Fetches the next command of the ITS that the vCPU has started. With none left, or with as much done as one access does
 * (vgic-its-commands.ts), it drops cmd_lock, under which this and the steps up to `unlockIts` are.
 */
export const noCommand = row('noCommand?', {
  does: 'noCommand',
  outcomes: ['no', 'yes'],
  stands: 'thread',
  needs: ['itsStarted'],
})
/** Takes its_lock. It is free: other vCPUs take it with cmd_lock, and a message holds it only within `translate`. */
export const lockIts = row('lockIts', { does: 'lockIts', stands: 'thread', needs: ['itsStarted'] })
/** Empties the translation cache, if the command changes what a translation says. */
export const invalidateCache = row('invalidateCache', {
  does: 'invalidateCache',
  stands: 'thread',
  needs: ['itsStarted'],
})
/** An invalidation entry by entry: looks at the first translation that is left; yes if the command leaves the cache alone. */
export const cacheEmpty = row('cacheEmpty?', {
  does: 'cacheEmpty',
  of: 'museum',
  outcomes: ['no', 'yes'],
  stands: 'thread',
  needs: ['itsStarted'],
})
/** Erases that translation, and gives its reference back if it was there still. */
export const dropErased = row('dropErased', {
  does: 'dropErased',
  of: 'museum',
  stands: 'thread',
  needs: ['itsStarted'],
})
/** As `dropErased`, but gives the reference back even if another has erased the translation: CVE-2026-46316. */
export const dropSeen = row('dropSeen', {
  does: 'dropSeen',
  of: 'museum',
  stands: 'thread',
  needs: ['itsStarted'],
})
/** Carries the command out: changes the tables, and gives back the references of what is mapped no more. */
export const executeCommand = row('executeCommand', {
  does: 'executeCommand',
  carriesOut: true,
  stands: 'thread',
  needs: ['itsStarted'],
})
/**
 * As `executeCommand`, but MAPC with V = 0 has no effect if its RDbase names no vCPU, and INVALL queues pending LPIs in the
 * order in which they were mapped: Linux 6.1.
 */
export const executeCommandAsLinux61 = row('executeCommandAsLinux61', {
  does: 'executeCommandAsLinux61',
  of: 'linux',
  carriesOut: true,
  stands: 'thread',
  needs: ['itsStarted'],
})
/** A regression of 2024: MOVALL takes the LPIs of all vCPUs along. */
export const executeCommandForAll = row('executeCommandForAll', {
  does: 'executeCommandForAll',
  of: 'museum',
  carriesOut: true,
  stands: 'thread',
  needs: ['itsStarted'],
})
/** As `executeCommand`, but DISCARD and MAPD leave the guest's tables as the last save has written them (catalogue 46). */
export const executeCommandOnly = row('executeCommandOnly', {
  does: 'executeCommandOnly',
  of: 'museum',
  carriesOut: true,
  stands: 'thread',
  needs: ['itsStarted'],
})
/** Drops its_lock. */
export const unlockIts = row('unlockIts', { does: 'unlockIts', stands: 'thread', needs: ['itsStarted'] })
/** kvm_arm_resume_guest. */
export const resumeVcpus = row('resumeVcpus', { does: 'resumeVcpus', stands: 'thread', needs: ['vmStopped'] })
/** KVM_RUN returns, userspace does what the exit or the signal asks for, and calls it again. */
export const userspace = row('userspace', {
  does: 'userspace',
  endsAccess: true,
  stands: 'thread',
  writes: 'vcpu',
  needs: ['maySleep', 'freshShadow', 'notTheGics'],
})
/** Marks the vCPU as waiting for an interrupt. */
export const setWaiting = row('setWaiting', { does: 'setWaiting', writes: 'thread' })
/** Ends what `setWaiting` has marked. */
export const clearWaiting = row('clearWaiting', { does: 'clearWaiting', writes: 'thread' })
/** Refreshes the shadow of ICH_VMCR_EL2; does nothing if the vCPU is not loaded. */
export const saveVmcr = row('saveVmcr', { does: 'saveVmcr', writes: 'put', needs: ['preemptionOff'] })
/** kvm_vcpu_check_block: is an interrupt pending that the guest's priority mask admits, by the shadow registers? */
export const runnable = test('runnable?', { does: 'checkBlock', asks: 'runnable', writes: 'thread' })
/** kvm_vcpu_check_block, with the priority mask read from the hardware of the PE that asks. */
export const runnableOnDemand = test('runnableOnDemand?', {
  does: 'checkBlockOnDemand',
  asks: 'runnable',
  writes: 'put',
})
/** Is the CPU interface state in memory? */
export const notLoaded = test('notLoaded?', { does: 'isUnloaded', writes: 'thread' })
/**
 * Is an interrupt pending for a guest hypervisor that returns to its own guest? Then it gets that first: an exception to
 * its virtual EL2. An interrupt of its vPE is known by what the put has read, or a doorbell said.
 */
export const nestedPending = test('nestedPending?', { does: 'nestedPending', of: 'museum', stands: 'thread' })
/** Begins the halt: sets the number of checks of halt polling. */
export const pollBegin = row('pollBegin', { does: 'pollBegin', stands: 'thread', writes: 'thread' })
/** Is another check left in the window? */
export const pollAgain = test('pollAgain?', { does: 'pollAgain', stands: 'thread', writes: 'thread' })
/** Ends the halt: the window for the next one grows or shrinks. */
export const pollEnd = row('pollEnd', { does: 'pollEnd', stands: 'thread', writes: 'thread' })
/** Clears KVM_REQ_UNHALT, which the check that ended the halt has set. */
export const clearUnhalt = row('clearUnhalt', { does: 'clearUnhalt', writes: 'thread' })
/** Announces the sleep, so that a wake-up from now on is not missed. */
export const setSleeping = row('setSleeping', { does: 'setSleeping', stands: 'thread', writes: 'thread' })
/** Takes back what `setSleeping` has announced. */
export const setRunning = row('setRunning', { does: 'setRunning', stands: 'thread', writes: 'thread' })
/** schedule(): the thread sleeps until it is woken; if it was woken since `setSleeping` it goes on at once. */
export const sleep = row('sleep', {
  does: 'goOn',
  stands: 'thread',
  writes: 'thread',
  needs: ['maySleepIfItDoes'],
})
/**
 * vgic_v4_load: moves the vPE to this CPU, if it is not here, and makes it resident; does nothing if it is. On GICv4.0 its
 * doorbell is disabled.
 */
export const vpeLoad = row('vpeLoad', { does: 'vpeLoad', gicv4: true, needs: ['preemptionOff'] })
/** vgic_v4_load, which does nothing while the vCPU waits in its WFI. */
export const vpeLoadUnlessWaiting = row('vpeLoadUnlessWaiting', {
  does: 'vpeLoadUnlessWaiting',
  gicv4: true,
  needs: ['preemptionOff'],
})
/**
 * vgic_v4_put without a doorbell: waits until Dirty is 0, makes the vPE leave, and reads whether an interrupt is pending,
 * which GICv4.1 is not asked for; does nothing if the vPE is not resident.
 */
export const vpePut = row('vpePut', { does: 'vpePut', gicv4: true, needs: ['preemptionOff'] })
/** vgic_v4_put with a doorbell: one rings for the first interrupt after PendingLast was read as 0. */
export const vpePutDoorbell = row('vpePutDoorbell', {
  does: 'vpePutDoorbell',
  gicv4: true,
  needs: ['preemptionOff', 'vpeResident'],
})
/** vgic_v4_put with a doorbell if the vCPU waits in its WFI. */
export const vpePutByFlag = row('vpePutByFlag', {
  does: 'vpePutByFlag',
  gicv4: true,
  needs: ['preemptionOff'],
})
/** The put by flag without the wait for Dirty before it (catalogue 06). */
export const vpePutAtOnce = row('vpePutAtOnce', {
  does: 'vpePutAtOnce',
  of: 'museum',
  gicv4: true,
  needs: ['preemptionOff'],
})
/**
 * The put with a doorbell without the lock of the vPE: PendingLast is read, and `storePendingLast` stores it, whatever the
 * doorbell's handler has stored meanwhile (catalogue 05).
 */
export const vpePutUnlocked = row('vpePutUnlocked', {
  does: 'vpePutUnlocked',
  of: 'museum',
  gicv4: true,
  needs: ['preemptionOff'],
})
/** Stores what `vpePutUnlocked` has read (catalogue 05). */
export const storePendingLast = row('storePendingLast', {
  does: 'storePendingLast',
  of: 'museum',
  gicv4: true,
})
/** A put by flag without looking whether the vPE is resident (catalogue 13). */
export const vpePutAnyway = row('vpePutAnyway', {
  does: 'vpePutAnyway',
  of: 'museum',
  gicv4: true,
  needs: ['preemptionOff'],
})
/**
 * vgic_v4_commit: waits until what is pending for the vPE is presented. Only the first entry after a load accesses anything.
 */
export const vpeCommit = row('vpeCommit', { does: 'vpeCommit', gicv4: true, needs: ['interruptsOff'] })
/** KVM_REQ_RELOAD_GICv4: the guest's distributor was switched, which GICv4.1's vPE is told when it becomes resident. */
export const vpeReload = row('vpeReload', { does: 'vpeReload', gicv4: true })
/**
 * Linux 6.1: enables the virtual CPU interface for a vPE while no list register is in use. Otherwise it stays enabled from
 * the load on.
 */
export const vpeEnable = row('vpeEnable', {
  does: 'vpeEnable',
  of: 'linux',
  gicv4: true,
  needs: ['preemptionOff'],
})
/** Linux 6.1: clears ICH_HCR_EL2 at a put. */
export const vpeDisable = row('vpeDisable', {
  does: 'vpeDisable',
  of: 'linux',
  gicv4: true,
  needs: ['preemptionOff'],
})
/**
 * A load that does not tell the ITS where its vPE goes, as if redistributors with a common vPE table needed no VMOVP
 * (catalogue 14).
 */
export const vpeLoadUnmoved = row('vpeLoadUnmoved', {
  does: 'vpeLoadUnmoved',
  of: 'museum',
  gicv4: true,
  needs: ['preemptionOff'],
})
/**
 * vgic_v4_teardown, for the vCPU's own vPE: the ITS has it no more. GICv4.1's VMAPP waits by itself until its pending table is
 * in memory.
 */
export const vpeUnmap = row('vpeUnmap', { does: 'vpeUnmap', of: 'museum', gicv4: true })
/** As `vpeUnmap`, with a VSYNC that names the vPE after that (catalogue 16). */
export const vpeUnmapSynced = row('vpeUnmapSynced', { does: 'vpeUnmapSynced', of: 'museum', gicv4: true })
/** kvm_vcpu_on_spin: goes on to the next vCPU of the VM; yes when there are no more. */
export const noCandidate = test('noCandidate?', { does: 'noCandidate', stands: 'thread', writes: 'thread' })
/** Is the candidate blocked? */
export const candidateBlocked = test('candidateBlocked?', {
  does: 'candidateBlocked',
  stands: 'thread',
  writes: 'thread',
  needs: ['candidate'],
})
/** Would the candidate run? Checks its task state again first, and does not evaluate one that is not blocked. */
export const dyRunnable = test('dyRunnable?', {
  does: 'dyRunnable',
  stands: 'thread',
  writes: 'thread',
  needs: ['candidate'],
})
/** Would the candidate run? Evaluates runnable() of a vCPU that may be running by now, as Linux 6.1 does. */
export const candidateRunnable = test('candidateRunnable?', {
  does: 'candidateRunnable',
  of: 'linux',
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
  writesUninjected: 'sched',
  needs: ['unloaded', 'guestOff'],
})
/** Step of an injection: stores the interrupt's new state and puts it on the ap_list of its target. */
export const queueInterrupt = row('queue', { stands: 'inject' })
/** As `queue`, but an interrupt that is on a list already notifies nobody (catalogue 22). */
export const queueQuietly = row('queueQuietly', { stands: 'inject' })
/** As `queue`, but the first SPI that is counted as in flight is no request to the other vCPUs (catalogue 58). */
export const queueCountedHere = row('queueCountedHere', { stands: 'inject' })
/** Step of an injection: posts KVM_REQ_IRQ_PENDING to the vCPU of that list. */
export const postRequest = row('postRequest', { stands: 'inject' })
/** Step of an injection: reads that vCPU's mode, and wakes or interrupts it. */
export const kickVcpu = row('kick', { stands: 'inject' })
/**
 * Step of a message: finds its LPI, in the translation cache or, under its_lock, in the tables, and takes a reference in
 * the same section. Waits while another holds its_lock, unless the translation is cached.
 */
export const translate = row('translate', { stands: 'msi' })
/** CVE-2024-26598: the LPI is found without a reference, so that it can go while the message is injected. */
export const translateUnheld = row('translateUnheld', { stands: 'msi' })
/** Step of a message: gives its reference back; the last one takes the LPI out of the table and frees it. */
export const dropReference = row('dropReference', { stands: 'msi' })
/**
 * Linux 6.17 and later (CVE-2026-74568): only counts down. Whoever gives the last reference back is to take the LPI out of
 * the table.
 */
export const decrementReference = row('decrementReference', { stands: 'msi' })
/** The other half: takes what the table has by that INTID out of it, if the last reference was this one, and frees the LPI. */
export const eraseByNumber = row('eraseByNumber', { stands: 'msi' })
/**
 * Step of a save: userspace reads the VM's interrupts (KVM's device attributes), those of its ITSs into the guest's memory.
 * All vCPUs are in userspace, or off, and stay there until the list is done.
 */
export const saveInterrupts = row('saveInterrupts', { stands: 'save' })
/**
 * As `saveInterrupts`, but the byte of a pending table is looked up by its offset, in whichever table that is (catalogue 45).
 */
export const saveInterruptsByOffset = row('saveInterruptsByOffset', { stands: 'save' })
/**
 * As `saveInterrupts`, but pending state is read as the guest reads it: with the lines of level-sensitive interrupts
 * (catalogue 52).
 */
export const saveInterruptsAsGuest = row('saveInterruptsAsGuest', { stands: 'save' })
/** Step of a save: userspace reads the vCPUs' timers. */
export const saveTimers = row('saveTimers', { stands: 'save' })
/**
 * Step of a restore: userspace has the VM that the image goes into. A fresh one is as KVM makes it, on the guest's memory; of
 * the one that was saved it resets the ITSs (KVM_DEV_ARM_ITS_CTRL_RESET).
 */
export const prepareVm = row('prepareVm', { stands: 'restore' })
/**
 * Step of a restore: GICD_CTLR, GICD_TYPER and GICD_IIDR, before all others: while the distributor is off, an interrupt that
 * becomes pending is not queued.
 */
export const restoreControl = row('restoreControl', { stands: 'restore' })
/** Step of a restore: the redistributors, by which it is known where pending tables are, and who takes LPIs. */
export const restoreRedistributors = row('restoreRedistributors', { stands: 'restore' })
/**
 * As `restoreRedistributors`, but the SGIs of GICR_ISPENDR0 become pending in memory, also those that are the hardware's
 * (catalogue 48).
 */
export const restoreRedistributorsInMemory = row('restoreRedistributorsInMemory', { stands: 'restore' })
/** Step of a restore: what the distributor has of the SPIs. */
export const restoreDistributor = row('restoreDistributor', { stands: 'restore' })
/** Step of a restore: the levels of the lines. */
export const restoreLines = row('restoreLines', { stands: 'restore' })
/** Step of a restore: the CPU interfaces, whose active priorities tell which vCPU has an active SPI. */
export const restoreCpuInterfaces = row('restoreCpuInterfaces', { stands: 'restore' })
/** Step of a restore: the registers of the ITSs but GITS_CTLR. */
export const restoreItsRegisters = row('restoreItsRegisters', { stands: 'restore' })
/**
 * Step of a restore: what the tables in the guest's memory say becomes mapped (KVM_DEV_ARM_ITS_RESTORE_TABLES), and which
 * LPIs are pending. All is read and checked before anything is.
 */
export const restoreItsTables = row('restoreItsTables', { stands: 'restore' })
/** As `restoreItsTables`, but entry by entry: what was mapped before one that is refused stays mapped (catalogue 47). */
export const restoreItsTablesInPlace = row('restoreItsTablesInPlace', { stands: 'restore' })
/** As `restoreItsTables`, but a device may have more bits of EventIDs than a MAPD gives it (catalogue 47). */
export const restoreItsTablesTrusting = row('restoreItsTablesTrusting', { stands: 'restore' })
/** As `restoreItsTables`, but a collection that goes to no vCPU is refused (catalogue 47). */
export const restoreItsTablesTargeted = row('restoreItsTablesTargeted', { stands: 'restore' })
/** Step of a restore: GITS_CTLR, after which messages are translated. */
export const restoreItsControl = row('restoreItsControl', { stands: 'restore' })
/** The last step of every sched_out notifier: the thread is off its PE. */
export const giveUpCpu = row('giveUpCpu', {
  does: 'giveUpCpu',
  ends: true,
  stands: 'end',
  writes: 'pe',
  writesUninjected: 'sched',
  needs: ['unloaded'],
})
/** The last step of every sched_in notifier: the thread goes on where it was. */
export const resume = row('resume', { does: 'goOn', ends: true, stands: 'end', writes: 'thread' })
