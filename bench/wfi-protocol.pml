/*
 * A scenario of bench/explore.ts, "about 1 KB", in Promela for Spin: one vCPU of the design wfi-full-put, two devices
 * with two edges each, and a bounded number of preemptions. A d_step is one step of the design, of the notifiers, of
 * the guest or of a device, so that the interleavings are those of vgic's explorer. What this scenario does not use
 * (timers, groups, other vCPUs, the registers of the emulated GIC) is left out.
 *
 * With STALE the design lacks its put before the wait, so that a halt goes by an old priority mask (catalogue 01).
 *
 * Edges are merged as in a vgic_irq: pending is one bit. There is a list register for each SPI, so that the order of
 * the list says which one an SPI is in.
 */
#ifndef PREEMPTIONS
#define PREEMPTIONS 2
#endif

/* States of an interrupt, and of one in a list register. */
#define PENDING 1
#define ACTIVE 2

/* SPIs 32, 33 and 34 by number, and their priorities. */
#define SPIS 3
#define PRIORITY_32 128
#define PRIORITY_33 192
#define PRIORITY_34 160

/* The notifier that runs instead of the thread; 0 for none. */
#define SCHED_OUT 1
#define SCHED_IN 2

/* What the thread is doing, as the scheduler sees it; its mode; why the guest exited. */
#define RUNNING 0
#define SLEEPING 1
#define BLOCKED 2
#define OUTSIDE 0
#define IN_GUEST 1
#define EXITING 2
#define INTERRUPT 0
#define WFI 1
#define OFF 2

byte preemptions = PREEMPTIONS;
bool onPe = true, ended;
byte notifier;
bool preemptOff, irqOff, entered;
byte task, mode, reason;
bool request, unhalt, waiting, loaded, ipi;

/* ICH_VMCR_EL2.VPMR and its shadow. */
byte pmr = 240, shadow = 240;
/* The binary points that are written as 0 are read back as the least that there are: the shadow's, after a put. */
bool readBack;

/* By SPI: its state in memory, and in a list register. The ap_list; the list registers have its first `used`. */
byte irq[SPIS], lr[SPIS], list[SPIS];
byte listed, used;

/* The guest: its places in the main list and in the handler, PSTATE.I, the last ICC_IAR1_EL1; SPIs count from 1. */
byte guestPc, handler;
bool masked = true;
byte handled, acknowledged;

/* Edges that the guest has not acknowledged, for L3. */
bool outstanding[SPIS];

/* Loops of a single step, which leave 0. */
hidden byte i, n;

#define signals(spi, priority) ((lr[spi] & PENDING) && priority < pmr)
/* The SPI that an acknowledge would give, counted from 1; 0 for none. */
#define highest \
  (handled -> 0 : (signals(0, PRIORITY_32) -> 1 : (signals(2, PRIORITY_34) -> 3 : (signals(1, PRIORITY_33) -> 2 : 0))))

#define wouldRun(spi, priority) (irq[spi] == PENDING && priority < shadow)
#define runnable (wouldRun(0, PRIORITY_32) || wouldRun(1, PRIORITY_33) || wouldRun(2, PRIORITY_34))

#define takes (highest && !masked)
#define waits (guestPc == 2 || guestPc == 4)
#define leaves (ipi || (!takes && !handler && (guestPc == 5 || (waits && !highest))))

inline flush() {
  do
  :: used < listed ->
     lr[list[used]] = irq[list[used]];
     irq[list[used]] = irq[list[used]] & ACTIVE;
     used++
  :: else -> break
  od;
  skip
}

/* Folds the list registers and prunes the ap_list. */
inline fold() {
  do
  :: i < used ->
     irq[list[i]] = (irq[list[i]] & PENDING) | lr[list[i]];
     lr[list[i]] = 0;
     i++
  :: else -> break
  od;
  used = 0;
  i = 0;
  do
  :: i < listed ->
     if
     :: irq[list[i]] -> list[n] = list[i]; n++
     :: else
     fi;
     i++
  :: else -> break
  od;
  do
  :: listed > n -> listed--; list[listed] = 0
  :: else -> break
  od;
  i = 0;
  n = 0
}

inline load() {
  if
  :: !loaded -> loaded = true; pmr = shadow
  :: else
  fi
}

inline put() {
  if
  :: loaded -> loaded = false; shadow = pmr; readBack = true
  :: else
  fi
}

inline queue(spi) {
  irq[spi] = irq[spi] | PENDING;
  outstanding[spi] = true;
  do
  :: i < listed && list[i] != spi -> i++
  :: else -> break
  od;
  if
  :: i == listed -> list[listed] = spi; listed++
  :: else
  fi;
  i = 0
}

inline kick() {
  if
  :: task != RUNNING -> task = RUNNING
  :: else ->
     if
     :: mode == IN_GUEST -> mode = EXITING; ipi = true
     :: else
     fi
  fi
}

inline guestStep() {
  if
  :: takes -> masked = true; handler = 1
  :: else ->
     if
     :: handler == 1 ->
        acknowledged = highest;
        handled = acknowledged;
        if
        :: handled ->
           lr[handled - 1] = (lr[handled - 1] & ~PENDING) | ACTIVE;
           outstanding[handled - 1] = false
        :: else
        fi;
        handler = 2
     :: handler == 2 ->
        if
        :: handled -> lr[handled - 1] = lr[handled - 1] & PENDING; handled = 0
        :: else
        fi;
        handler = 3
     :: handler == 3 -> masked = false; handler = 0
     :: handler == 0 ->
        if
        :: guestPc == 0 -> pmr = 160
        :: guestPc == 1 -> masked = false
        :: guestPc == 3 -> pmr = 240
        :: else
        fi;
        guestPc++
     fi
  fi
}

inline guestExit() {
  entered = false;
  if
  :: ipi -> reason = INTERRUPT
  :: else -> reason = (guestPc == 5 -> OFF : WFI)
  fi
}

#define runs (onPe && !notifier)
#define STEP(what) d_step { runs -> what }
#define NOTHING runs

active proctype vcpu() {
  STEP(preemptOff = true);
  STEP(load());
  NOTHING; /* trapDir */
  NOTHING; /* timerLoad */
  STEP(preemptOff = false);

head:
  NOTHING; /* signalPending? */
  STEP(request = false);
  STEP(preemptOff = true);
  STEP(irqOff = true);
  STEP(flush());
  STEP(mode = IN_GUEST);
  if
  :: d_step { runs && request -> skip };
     STEP(mode = OUTSIDE);
     STEP(fold());
     d_step { runs -> irqOff = false; ipi = false };
     STEP(preemptOff = false);
     goto head
  :: d_step { runs && !request -> skip }
  fi;
  STEP(entered = true);
  do
  :: d_step { runs && !leaves -> guestStep() }
  :: d_step { runs && leaves -> guestExit() };
     STEP(mode = OUTSIDE);
     STEP(fold());
     break
  od;
  NOTHING; /* timerSync */
  d_step { runs -> irqOff = false; ipi = false };
  STEP(preemptOff = false);
  if
  :: d_step { runs && reason == INTERRUPT -> skip }; goto head
  :: d_step { runs && reason == OFF -> reason = 0 };
     STEP(preemptOff = true);
     STEP(put());
     d_step { runs -> ended = true; onPe = false };
     false
  :: d_step { runs && reason == WFI -> reason = 0 }
  fi;

  STEP(preemptOff = true);
  STEP(waiting = true);
#ifndef STALE
  STEP(put());
#endif
  STEP(preemptOff = false);
  NOTHING; /* pollBegin */
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
  NOTHING; /* pollEnd */
  STEP(unhalt = false);
  STEP(preemptOff = true);
  STEP(waiting = false);
  STEP(load());
  NOTHING; /* trapDir */
  STEP(preemptOff = false);
  STEP(guestPc++);
  goto head
}

/* The notifiers, and the step in which the thread gets its PE. */
active proctype scheduler() {
end:
  do
  :: d_step { notifier == SCHED_OUT -> put() };
     d_step { onPe = false; notifier = 0 }
  :: d_step { !onPe && !ended && task != BLOCKED -> onPe = true; notifier = SCHED_IN };
     if
     :: d_step { !waiting -> load() };
        d_step { loaded -> skip }; /* notLoaded? */
        d_step { loaded -> skip } /* trapDir */
     :: d_step { waiting -> skip };
        d_step { !loaded -> skip } /* notLoaded? */
     fi;
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

#define EDGE(spi) d_step { true -> queue(spi) }; d_step { true -> request = true }; d_step { true -> kick() }

active proctype nic() { EDGE(1); EDGE(0) }

active proctype disk() { EDGE(2); EDGE(2) }

/* L1: in the end the vCPU does not sleep with an interrupt that its guest would take. */
active proctype lostWakeUp() {
end:
  d_step { timeout && task == BLOCKED && runnable -> assert(false) }
}
