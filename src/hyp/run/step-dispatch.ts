/** Generated from the rows of steps.ts by `npm run generate:steps`. */
import * as op from './step-numbers.ts'
import type { ThreadSteps } from './thread-steps.ts'

/** Does the step of a number for a vCPU and returns its result. */
export function performStep(steps: ThreadSteps, step: number, v: number): number {
  switch (step) {
    case op.STEP_LOAD:
      steps.load(v)
      return 0
    case op.STEP_LOAD_UNLESS_WAITING:
      steps.loadUnlessWaiting(v)
      return 0
    case op.STEP_TRAP_DIR:
      steps.trapDir(v)
      return 0
    case op.STEP_TIMER_LOAD:
      steps.timerLoad(v)
      return 0
    case op.STEP_PUT:
      steps.put(v)
      return 0
    case op.STEP_TIMER_PUT:
      steps.timerPut(v)
      return 0
    case op.STEP_HANDLE_REQUESTS:
      steps.handleRequests(v)
      return 0
    case op.STEP_PREEMPT_OFF:
      steps.preemptOff(v)
      return 0
    case op.STEP_PREEMPT_ON:
      steps.preemptOn(v)
      return 0
    case op.STEP_IRQ_OFF:
      steps.irqOff(v)
      return 0
    case op.STEP_IRQ_ON:
      steps.irqOn(v)
      return 0
    case op.STEP_FLUSH:
      steps.flush(v)
      return 0
    case op.STEP_FLUSH_ACTIVE_FIRST:
      steps.flushActiveFirst(v)
      return 0
    case op.STEP_FOLD:
      steps.fold(v)
      return 0
    case op.STEP_FOLD_IGNORING_EOI_COUNT:
      steps.foldIgnoringEoiCount(v)
      return 0
    case op.STEP_TIMER_SYNC:
      steps.timerSync(v)
      return 0
    case op.STEP_PUBLISH_IN_GUEST:
      steps.publishInGuest(v)
      return 0
    case op.STEP_PUBLISH_OUTSIDE:
      steps.publishOutside(v)
      return 0
    case op.STEP_REQUEST_PENDING:
      return steps.requestPending(v) ? 1 : 0
    case op.STEP_SIGNAL_PENDING:
      return steps.signalPending(v) ? 1 : 0
    case op.STEP_GUEST:
      steps.enterGuest(v)
      return 0
    case op.STEP_EXIT_REASON:
      return steps.takeExitReason(v)
    case op.STEP_SKIP_INSTRUCTION:
      steps.skipInstruction(v)
      return 0
    case op.STEP_EMULATE_SYSREG:
      steps.emulateSysreg(v)
      return 0
    case op.STEP_EMULATE_MMIO:
      return steps.emulateMmio(v)
    case op.STEP_EMULATE_MMIO_FROM_MEMORY:
      return steps.emulateMmioFromMemory(v)
    case op.STEP_REEVALUATE:
      steps.reevaluate(v)
      return 0
    case op.STEP_STOP_VCPUS:
      steps.stopVcpus(v)
      return 0
    case op.STEP_ACCESS_STOPPED:
      return steps.emulateMmio(v)
    case op.STEP_ACCESS_STOPPED_FROM_MEMORY:
      return steps.emulateMmioFromMemory(v)
    case op.STEP_RESUME_VCPUS:
      steps.resumeVcpus(v)
      return 0
    case op.STEP_USERSPACE:
      steps.userspace(v)
      return 0
    case op.STEP_SET_WAITING:
      steps.setWaiting(v)
      return 0
    case op.STEP_CLEAR_WAITING:
      steps.clearWaiting(v)
      return 0
    case op.STEP_SAVE_VMCR:
      steps.saveVmcr(v)
      return 0
    case op.STEP_RUNNABLE:
      return steps.checkBlock(v) ? 1 : 0
    case op.STEP_RUNNABLE_ON_DEMAND:
      return steps.checkBlockOnDemand(v) ? 1 : 0
    case op.STEP_NOT_LOADED:
      return steps.isUnloaded(v) ? 1 : 0
    case op.STEP_POLL_BEGIN:
      steps.pollBegin(v)
      return 0
    case op.STEP_POLL_AGAIN:
      return steps.pollAgain(v) ? 1 : 0
    case op.STEP_POLL_END:
      steps.pollEnd(v)
      return 0
    case op.STEP_CLEAR_UNHALT:
      steps.clearUnhalt(v)
      return 0
    case op.STEP_SET_SLEEPING:
      steps.setSleeping(v)
      return 0
    case op.STEP_SET_RUNNING:
      steps.setRunning(v)
      return 0
    case op.STEP_SLEEP:
      steps.goOn(v)
      return 0
    case op.STEP_NO_CANDIDATE:
      return steps.noCandidate(v) ? 1 : 0
    case op.STEP_CANDIDATE_BLOCKED:
      return steps.candidateBlocked(v) ? 1 : 0
    case op.STEP_DY_RUNNABLE:
      return steps.dyRunnable(v) ? 1 : 0
    case op.STEP_CANDIDATE_RUNNABLE:
      return steps.candidateRunnable(v) ? 1 : 0
    case op.STEP_YIELD_TO:
      steps.yieldTo(v)
      return 0
    case op.STEP_STOP:
      steps.stop(v)
      return 0
    case op.STEP_GIVE_UP_CPU:
      steps.giveUpCpu(v)
      return 0
    case op.STEP_RESUME:
      steps.goOn(v)
      return 0
    default:
      return steps.own(step, v)
  }
}
