/*
 * The museum's scenario of catalogue 04, wfi-preempt-loses-doorbell, in Promela for Spin: one vCPU of the design
 * wfi-flag with its vPE on GICv4.1, halt polling of one check, an assigned device whose one message is a vLPI, and a
 * bounded number of preemptions. A d_step is one step of the design, of the notifiers, of the guest or of the device, so
 * that the interleavings are those of vgic's explorer.
 *
 * With FLAG_IGNORED the notifiers load and put the vPE of a vCPU that waits as that of any, so that the doorbell that its
 * WFI has asked for is lost.
 *
 * What this scenario does not use is left out: list registers, the priority mask, timers, signals. Nothing is injected by
 * software, and a doorbell rings only while the vPE is off, which it is never on the way into the guest: so there are no
 * kicks by IPI, and no aborted entries. Silicon is at once: Dirty is never seen, and the host takes a doorbell when it
 * rings.
 */
#ifndef PREEMPTIONS
#define PREEMPTIONS 1
#endif

/* The notifier that runs instead of the thread; 0 for none. */
#define SCHED_OUT 1
#define SCHED_IN 2

/* What the thread is doing, as the scheduler sees it; its mode; why the guest exited. */
#define RUNNING 0
#define SLEEPING 1
#define BLOCKED 2
#define OUTSIDE 0
#define IN_GUEST 1
#define WFI 1
#define OFF 2

byte preemptions = PREEMPTIONS;
bool onPe = true, ended;
byte notifier;
bool preemptOff, irqOff, entered;
byte task, mode, reason;
bool request, unhalt, waiting, loaded;

/* The vPE: GICR_VPENDBASER.Valid, whether its doorbell was asked for, its vLPI, and pending_last of the host's driver. */
bool resident, doorbell, vlpi, pendingLast;

/* The guest: its places in the main list and in the handler, PSTATE.I, whether it has acknowledged the vLPI. */
byte guestPc, handler;
bool masked = true, handled;

#define runnable pendingLast

/* What the redistributor presents is signalled; what the guest takes of it; whether its next operation exits. */
#define signalled (vlpi && resident && !handled)
#define takes (signalled && !masked)
#define leaves (!takes && !handler && (guestPc == 2 || (guestPc == 1 && !signalled)))

inline load() { loaded = true }

inline put() { loaded = false }

inline vpeLoad() {
  if
  :: !resident -> resident = true; doorbell = false
  :: else
  fi
}

/* Without a doorbell the vPE is taken to be pending. */
inline vpePut(withDoorbell) {
  if
  :: resident ->
     resident = false;
     pendingLast = vlpi || !(withDoorbell);
     doorbell = (withDoorbell) && !vlpi
  :: else
  fi
}

#ifdef FLAG_IGNORED
#define schedOutVpe() vpePut(false)
#define schedInVpe() vpeLoad()
#else
#define schedOutVpe() vpePut(waiting)
#define schedInVpe() if :: !waiting -> vpeLoad() :: else fi
#endif

/* The message, and if it rings the doorbell that and its handler. */
inline msi() {
  vlpi = true;
  if
  :: doorbell ->
     doorbell = false;
     pendingLast = true;
     request = true;
     task = RUNNING
  :: else
  fi
}

inline guestStep() {
  if
  :: takes -> masked = true; handler = 1
  :: else ->
     if
     :: handler == 1 ->
        if
        :: signalled -> vlpi = false; handled = true
        :: else
        fi;
        handler = 2
     :: handler == 2 -> handled = false; handler = 3
     :: handler == 3 -> masked = false; handler = 0
     :: handler == 0 ->
        if
        :: guestPc == 0 -> masked = false
        :: else
        fi;
        guestPc++
     fi
  fi
}

inline guestExit() {
  entered = false;
  reason = (guestPc == 2 -> OFF : WFI)
}

#define runs (onPe && !notifier)
#define STEP(what) d_step { runs -> what }
#define NOTHING runs

active proctype vcpu() {
  STEP(preemptOff = true);
  STEP(load());
  NOTHING; /* trapDir */
  STEP(vpeLoad());
  NOTHING; /* timerLoad */
  STEP(preemptOff = false);

head:
  NOTHING; /* signalPending? */
  STEP(request = false);
  NOTHING; /* vpeReload */
  STEP(preemptOff = true);
  STEP(irqOff = true);
  NOTHING; /* flush */
  NOTHING; /* vpeCommit */
  STEP(mode = IN_GUEST);
  STEP(assert(!request)); /* requestPending? */
  STEP(entered = true);
  do
  :: d_step { runs && !leaves -> guestStep() }
  :: d_step { runs && leaves -> guestExit() };
     STEP(mode = OUTSIDE);
     NOTHING; /* fold */
     break
  od;
  NOTHING; /* timerSync */
  STEP(irqOff = false);
  STEP(preemptOff = false);
  if
  :: d_step { runs && reason == OFF -> reason = 0 };
     STEP(preemptOff = true);
     STEP(vpePut(false));
     STEP(put());
     d_step { runs -> ended = true; onPe = false };
     false
  :: d_step { runs && reason == WFI -> reason = 0 }
  fi;

  STEP(preemptOff = true);
  STEP(waiting = true);
  NOTHING; /* saveVmcr */
  STEP(vpePut(waiting));
  STEP(preemptOff = false);
  NOTHING; /* pollBegin */
  NOTHING; /* pollAgain? */
  if
  :: d_step { runs && runnable -> unhalt = true };
     goto halted
  :: d_step { runs && !runnable -> skip }
  fi;
  NOTHING; /* pollAgain? */
  STEP(task = SLEEPING);
  do
  :: d_step { runs && runnable -> unhalt = true };
     STEP(task = RUNNING);
     break
  :: d_step { runs && !runnable -> skip };
     if
     :: d_step { runs && task == SLEEPING -> task = BLOCKED; notifier = SCHED_OUT }; NOTHING
     :: d_step { runs && task == RUNNING -> skip }
     fi;
     STEP(task = SLEEPING)
  od;
halted:
  NOTHING; /* pollEnd */
  STEP(unhalt = false);
  STEP(preemptOff = true);
  STEP(waiting = false);
  STEP(vpeLoad());
  STEP(preemptOff = false);
  STEP(guestPc++);
  goto head
}

/* The notifiers, and the step in which the thread gets its PE. */
active proctype scheduler() {
end:
  do
  :: d_step { notifier == SCHED_OUT -> schedOutVpe() };
     d_step { true -> put() };
     d_step { onPe = false; notifier = 0 }
  :: d_step { !onPe && !ended && task != BLOCKED -> onPe = true; notifier = SCHED_IN };
     d_step { true -> load() };
     d_step { true -> skip }; /* trapDir */
     d_step { true -> schedInVpe() };
     d_step { true -> skip }; /* timerLoad */
     d_step { true -> notifier = 0 }
  od
}

active proctype preempt() {
end:
  do
  :: d_step { preemptions && runs && !ended && !preemptOff && !irqOff && !entered -> preemptions--; notifier = SCHED_OUT }
  od
}

active proctype nic() { d_step { true -> msi() } }

/* L1: in the end the vCPU does not sleep with a vLPI pending. */
active proctype lostWakeUp() {
end:
  d_step { timeout && task == BLOCKED && vlpi -> assert(false) }
}
