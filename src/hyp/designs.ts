/**
 * The designs, side by side: where a vCPU's thread saves ICH_VMCR_EL2 and what it does around a WFI. They
 * differ only where they differ.
 */
import { choose, type Design, forever, type Node, part, restart, unless, until, when } from './design.ts'
import {
  clearWaiting,
  emulateSysreg,
  exitReason,
  flush,
  fold,
  guest,
  handleRequests,
  irqOff,
  irqOn,
  load,
  preemptOff,
  preemptOn,
  publishInGuest,
  publishOutside,
  put,
  requestPending,
  runnable,
  setRunning,
  setSleeping,
  setWaiting,
  skipInstruction,
  sleep,
  stop,
} from './steps.ts'

/** kvm_vcpu_halt: sleep unless, and until, the vCPU is runnable. */
const halt = part(
  'halt',
  unless(runnable, part('sleep', setSleeping, until(runnable, sleep, setSleeping), setRunning)),
)

/** From vcpu_load to vcpu_put: enter the guest, and deal with what made it leave. */
const thread = ({ wfi }: { wfi: readonly Node[] }): readonly Node[] => [
  part('load', preemptOff, load, preemptOn),
  forever(
    part(
      'entry',
      handleRequests,
      preemptOff,
      irqOff,
      flush,
      publishInGuest,
      when(requestPending, part('abort', publishOutside, fold, irqOn, preemptOn, restart)),
    ),
    guest,
    part('exit', publishOutside, fold, irqOn, preemptOn),
    choose(exitReason, {
      wfi: [part('wfi', ...wfi, skipInstruction)],
      wfe: [part('wfe', skipInstruction)],
      sysreg: [part('sysreg', emulateSysreg, skipInstruction)],
      off: [part('off', preemptOff, put, preemptOn, stop)],
    }),
  ),
]

/**
 * A full put and load of the vGIC around the halt, with a flag that says that the vCPU waits. The put saves
 * ICH_VMCR_EL2, so that runnable() sees the guest's priority mask.
 */
const wfiFullPut: Design = {
  name: 'wfi-full-put',
  thread: thread({
    wfi: [preemptOff, setWaiting, put, preemptOn, halt, preemptOff, clearWaiting, load, preemptOn],
  }),
}

/** The designs by name. */
export const designs = { wfiFullPut }
