/** Mutations that hold because they change nothing that matters, each with the reason why. */

import { designs } from 'vgic/scenario'

/** A reason for some mutations. */
export interface Equivalence {
  /** Their names. */
  readonly of: RegExp
  /** The designs for which it is one; all if left out. */
  readonly designs?: readonly string[]
  readonly because: string
}

const names = Object.values(designs).map(({ name }) => name)

export const equivalences: readonly Equivalence[] = [
  // Modes and sections.
  {
    of: /^swap .*\/publishOutside, .*\/fold$|^swap exit\/saveVmcr, exit\/publishOutside$/,
    because: 'A kick in between sends an IPI that nobody needs.',
  },
  {
    of: /^swap entry\/flush, entry\/publishInGuest$/,
    because: 'IN_GUEST may be published early: interrupts are off, so the IPI of a kick stays pending.',
  },
  {
    of: /^swap .*\/irqOn, .*\/preemptOn$/,
    because: 'With interrupts off no preemption strikes either: the section ends with the later of the two.',
  },
  {
    of: /^swap entry\/(preemptOff|markShadowStale), entry\/irqOff$|^move entry\/irqOff before entry\/notLoaded\?$/,
    because: 'Interrupts off is more than preemption off, and may come earlier.',
  },
  {
    of: /^swap .*\/preemptOn, .*\/setSleeping$/,
    designs: ['hooks-after-poll'],
    because: 'A thread that is preempted on the way to its sleep stays on the run queue.',
  },
  {
    of: /^swap msi\/kick, msi\/dropReference$/,
    because: 'The kick is about the vCPU, and needs no LPI.',
  },
  {
    of: /^swap mmio\/its\/invalidateCache, mmio\/its\/executeCommand$/,
    because:
      'Until a command is done a message may go by what was cached: the cache holds its LPIs, and its_lock keeps others out.',
  },
  // Requests, exits and userspace.
  {
    of: /^omit .*\/clearUnhalt$/,
    because: 'handleRequests takes KVM_REQ_UNHALT with the others before the next entry.',
  },
  {
    of: /^answer signalPending\? yes$/,
    because: 'Returning to userspace before every entry costs time and nothing else.',
  },
  {
    of: /^answer mmio\/emulateMmio stop$/,
    because: 'An access that stops the VM without need is done all the same.',
  },
  {
    of: /^omit userspace\/userspace$|^swap userspace\/userspace, userspace\/skipInstruction$/,
    because: 'What userspace does for an exit of its own is not modelled, so nobody can miss it.',
  },
  {
    of: /^swap .*\/skipInstruction(#\d)?, .*\/preemptOff#2$|^swap mmio\/(reevaluate|resumeVcpus), .*\/skipInstruction/,
    because: 'The guest’s PC is looked at only by its next entry.',
  },
  // Halts.
  {
    of: /^omit .*\/halt\/sleep\/setSleeping$|^move .*\/halt\/sleep\/setSleeping behind /,
    because: 'A sleep that was not announced goes straight on: the loop announces it, and looks once more.',
  },
  {
    of: /^answer .*\/halt\/pollAgain\? no$|^answer .*\/halt\/runnable(OnDemand)?\? no$|^omit .*\/halt\/poll(Begin|End)$/,
    because: 'Polling saves time: a halt that polls less, or in vain, goes to sleep, and looks before that.',
  },
  {
    of: /^answer .*\/halt\/(sleep\/)?runnable(OnDemand)?\? yes$/,
    because: 'A WFI may complete at any time: one that never sleeps costs exits, and loses nothing.',
  },
  {
    of: /^swap .*\/preemptOn, .*\/halt\/pollBegin$/,
    designs: names.filter((name) => !name.startsWith('vmcr-on-')),
    because: 'They change words of the thread that the other does not look at, with preemption on or off.',
  },
  {
    of: /^swap .*\/halt\/pollEnd, .*\/clearUnhalt$|^swap .*\/(clearUnhalt|preemptOn#2), .*\/(skipInstruction|preemptOff#2)$/,
    because: 'They change words of the thread that the other does not look at, with preemption on or off.',
  },
  {
    of: /^omit wfe\/yieldTo|^answer wfe\/(candidate|dyRunnable).*\? |^answer wfe\/noCandidate\? yes$/,
    because: 'A directed yield is a hint: whichever thread is preferred, all get a PE in the end.',
  },
  // Load and put.
  {
    of: /^omit (signal|userspace|mmio)\/trapDir$/,
    designs: names.filter((name) => name !== 'run-loop-load'),
    because:
      'The PE has TDIR set by the thread’s first load, or by the notifier that brought the thread there.',
  },
  {
    of: /^omit suspend\/trapDir$/,
    because:
      'A suspend ends for an interrupt, whose flush writes TDIR, or for a signal, and userspace and a load follow.',
  },
  {
    of: /^swap .*\/load, .*\/trapDir$|^swap .*\/trapDir, .*\/timerLoad$|^swap .*\/timerPut, .*\/(vpePut|put)$|^swap .*\/(trapDir, .*\/vpeLoad\w*|vpeLoad\w*, .*\/timerLoad|vpePut\w*, .*\/put|saveVmcr, .*\/vpePut\w*)$/,
    because: 'They are about registers of their own, with preemption off.',
  },
  {
    of: /^omit .*\/timerPut$/,
    because: 'While userspace runs the host takes the interrupt of a timer that is the PE’s, and injects it.',
  },
  {
    of: /^omit exit\/timerSync$/,
    because: 'As in Linux 6.1, the guest may take an interrupt that its timer asserts no more.',
  },
  {
    of: /^swap exit\/fold, exit\/timerSync$/,
    because: 'timerSync is about what is in no list register: for what is, the fold samples the line.',
  },
  {
    of: /^swap exit\/timerSync, exit\/irqOn$/,
    because: 'Whatever the host has taken by then, timerSync samples the timers.',
  },
  // GICv4.
  {
    of: /^swap entry\/vpeReload, entry\/preemptOff$/,
    because: 'A reload turns interrupts off, and waits for nothing: it can be done with preemption off, too.',
  },
  {
    of: /^swap entry\/flush, entry\/vpeCommit$|^swap entry\/vpeCommit, entry\/publishInGuest$/,
    because: 'The wait for Dirty may come at any time before the entry: the later, the shorter it is.',
  },
  // What only some designs have.
  {
    of: /^omit (load|signal|userspace|mmio)\/load$|^answer entry\/notLoaded\? yes$/,
    designs: ['run-loop-load'],
    because: 'The run loop loads before an entry what is not loaded; a second load does nothing.',
  },
  {
    of: /^swap .*\/preemptOff(#2)?, .*\/clearWaiting$/,
    because: 'The flag may be cleared before preemption is off: what a notifier then leaves, load finds.',
  },
  {
    of: /^swap .*\/setWaiting, .*\/(put|saveVmcr)$|^swap .*\/clearWaiting, .*\/(load|vpeLoad)$/,
    because: 'With preemption off no notifier looks at the flag in between.',
  },
  {
    of: /^swap .*\/clearWaiting, .*\/preemptOn#2$/,
    designs: ['wfi-flag'],
    because: 'Where there are no vPEs, no step of this design looks at the flag.',
  },
  {
    of: /^answer schedIn\/notLoaded\? no$|^move schedIn\/(timerLoad|vpeLoad\w*) before schedIn\/notLoaded\?$/,
    designs: ['wfi-full-put'],
    because:
      'The question is whether to write TDIR: a vCPU that is not loaded has no use for it, and no harm.',
  },
  {
    of: /^omit schedOut\/markShadowFresh$|^swap schedOut\/put, schedOut\/markShadowFresh$/,
    designs: ['vmcr-on-demand-flag'],
    because: 'The owner asks only while it is loaded, and then the register is as good as the shadow.',
  },
]
