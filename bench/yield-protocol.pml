/*
 * The museum's scenario of catalogue 12, on-spin-runnable-race, in Promela for Spin: two vCPUs of the design wfi-handler
 * on two PEs, one that sleeps and one that spins and so looks for another to yield to, and a device with one edge for
 * the first. A d_step is one step of the design, of the notifiers, of a guest or of the device, so that the interleavings
 * are those of vgic's explorer.
 *
 * With ON_DEMAND the question whether the other vCPU would run reads ICH_VMCR_EL2 of the PE that it is asked on into that
 * vCPU's shadow.
 *
 * What this scenario does not use is left out: timers, groups, preemptions, halt polling. No interrupt is for the vCPU that
 * spins, so that it has no requests, kicks and list registers here. The other masks the SPI's priority before it unmasks
 * interrupts: it has no handler here, and sleeps in the end.
 */

/* The vCPUs, each on a PE of its own. */
#define VCPUS 2
#define SLEEPER 0
#define SPINNER 1

#define PRIORITY 160

/* The notifier that runs instead of the thread; 0 for none. */
#define SCHED_OUT 1
#define SCHED_IN 2

/* What a thread is doing, as the scheduler sees it; its mode; why its guest exited. */
#define RUNNING 0
#define SLEEPING 1
#define BLOCKED 2
#define OUTSIDE 0
#define IN_GUEST 1
#define EXITING 2
#define INTERRUPT 0
#define WFI 1
#define WFE 2
#define OFF 3

/* By vCPU. */
bool preemptOff[VCPUS], irqOff[VCPUS], loaded[VCPUS];
byte mode[VCPUS], reason[VCPUS], guestPc[VCPUS];

/* ICH_VMCR_EL2.VPMR of the PEs, and its shadows. */
byte pmr[VCPUS] = 240, shadow[VCPUS] = 240;
/* The binary points that are written as 0 are read back as the least that there are: the shadow's, after a put. */
bool readBack[VCPUS];

/* Of the vCPU that sleeps: whether it has its PE, its notifier, what its thread is doing, its requests, its IPI. */
bool onPe = true;
byte notifier, task;
bool request, unhalt, ipi;

/* The SPI: whether it is pending in memory, and so on the ap_list, and in the list register. */
bool irq, lr;

/* Of the one that spins: its event register, whether its scan has the other as candidate; whether that is preferred. */
bool event, candidate, preferred;

#define wouldRun (irq && PRIORITY < shadow[SLEEPER])
#define asleep (task != RUNNING)

inline load(v) {
  if
  :: !loaded[v] -> loaded[v] = true; pmr[v] = shadow[v]
  :: else
  fi
}

inline saveVmcr(v) {
  if
  :: loaded[v] -> shadow[v] = pmr[v]; readBack[v] = true
  :: else
  fi
}

inline put(v) {
  saveVmcr(v);
  loaded[v] = false
}

inline flush() {
  if
  :: irq -> irq = false; lr = true
  :: else
  fi
}

inline fold() {
  if
  :: lr -> lr = false; irq = true
  :: else
  fi
}

inline kick() {
  if
  :: asleep -> task = RUNNING
  :: else ->
     if
     :: mode[SLEEPER] == IN_GUEST -> mode[SLEEPER] = EXITING; ipi = true
     :: else
     fi
  fi
}

/* Whether the candidate would run. S20: the question changes nothing of another vCPU. */
#ifdef ON_DEMAND
#define answer (irq && PRIORITY < pmr[SPINNER])
inline ask() {
  assert(shadow[SLEEPER] == pmr[SPINNER]);
  shadow[SLEEPER] = pmr[SPINNER]
}
#else
#define answer (asleep && wouldRun)
inline ask() { skip }
#endif

inline yieldTo() {
  if
  :: !onPe && task != BLOCKED -> preferred = true
  :: else
  fi;
  candidate = false
}

#define runs (onPe && !notifier)
#define STEP(what) d_step { runs -> what }
#define NOTHING runs

active proctype sleeper() {
  STEP(preemptOff[SLEEPER] = true);
  STEP(load(SLEEPER));
  NOTHING; /* trapDir */
  NOTHING; /* timerLoad */
  STEP(preemptOff[SLEEPER] = false);

head:
  NOTHING; /* signalPending? */
  STEP(request = false);
  STEP(preemptOff[SLEEPER] = true);
  STEP(irqOff[SLEEPER] = true);
  STEP(flush());
  STEP(mode[SLEEPER] = IN_GUEST);
  if
  :: d_step { runs && request -> skip };
     STEP(mode[SLEEPER] = OUTSIDE);
     STEP(fold());
     d_step { runs -> irqOff[SLEEPER] = false; ipi = false };
     STEP(preemptOff[SLEEPER] = false);
     goto head
  :: d_step { runs && !request -> skip }
  fi;
  NOTHING; /* enters the guest */
  do
  :: d_step { runs && !ipi && guestPc[SLEEPER] == 0 -> pmr[SLEEPER] = 128; guestPc[SLEEPER]++ }
  :: d_step { runs && !ipi && guestPc[SLEEPER] == 1 -> guestPc[SLEEPER]++ } /* unmask */
  :: d_step { runs && (ipi || guestPc[SLEEPER] == 2) -> reason[SLEEPER] = (ipi -> INTERRUPT : WFI) };
     STEP(mode[SLEEPER] = OUTSIDE);
     STEP(fold());
     break
  od;
  NOTHING; /* timerSync */
  d_step { runs -> irqOff[SLEEPER] = false; ipi = false };
  STEP(preemptOff[SLEEPER] = false);
  if
  :: d_step { runs && reason[SLEEPER] == INTERRUPT -> skip }; goto head
  :: d_step { runs && reason[SLEEPER] == WFI -> reason[SLEEPER] = 0 }
  fi;

  STEP(preemptOff[SLEEPER] = true);
  STEP(saveVmcr(SLEEPER));
  STEP(preemptOff[SLEEPER] = false);
  NOTHING; /* pollBegin */
  NOTHING; /* pollAgain? */
  STEP(task = SLEEPING);
  do
  :: d_step { runs && wouldRun -> unhalt = true };
     STEP(task = RUNNING);
     break
  :: d_step { runs && !wouldRun -> skip };
     if
     :: d_step { runs && task == SLEEPING -> task = BLOCKED; notifier = SCHED_OUT }; NOTHING
     :: d_step { runs && task == RUNNING -> skip }
     fi;
     STEP(task = SLEEPING)
  od;
  NOTHING; /* pollEnd */
  STEP(unhalt = false);
  STEP(guestPc[SLEEPER]++);
  goto head
}

/* The notifiers, and the step in which the vCPU that sleeps gets its PE. */
active proctype scheduler() {
end:
  do
  :: d_step { notifier == SCHED_OUT -> put(SLEEPER) };
     d_step { onPe = false; notifier = 0 }
  :: d_step { !onPe && task != BLOCKED -> onPe = true; preferred = false; notifier = SCHED_IN };
     d_step { true -> load(SLEEPER) };
     d_step { true -> skip }; /* trapDir */
     d_step { true -> skip }; /* timerLoad */
     d_step { true -> notifier = 0 }
  od
}

#undef STEP
#undef NOTHING
#define STEP(what) d_step { true -> what }
#define NOTHING true
#define waitsForEvent (guestPc[SPINNER] == 1 || guestPc[SPINNER] == 2)

active proctype spinner() {
  STEP(preemptOff[SPINNER] = true);
  STEP(load(SPINNER));
  NOTHING; /* trapDir */
  NOTHING; /* timerLoad */
  STEP(preemptOff[SPINNER] = false);

head:
  NOTHING; /* signalPending? */
  NOTHING; /* handleRequests */
  STEP(preemptOff[SPINNER] = true);
  STEP(irqOff[SPINNER] = true);
  NOTHING; /* flush */
  STEP(mode[SPINNER] = IN_GUEST);
  NOTHING; /* requestPending? */
  STEP(event = true); /* enters the guest */
  do
  :: d_step { guestPc[SPINNER] == 0 -> pmr[SPINNER] = 192; guestPc[SPINNER]++ }
  :: d_step { waitsForEvent && event -> event = false; guestPc[SPINNER]++ }
  :: d_step { guestPc[SPINNER] == 3 || (waitsForEvent && !event) -> reason[SPINNER] = (guestPc[SPINNER] == 3 -> OFF : WFE) };
     STEP(mode[SPINNER] = OUTSIDE);
     NOTHING; /* fold */
     break
  od;
  NOTHING; /* timerSync */
  STEP(irqOff[SPINNER] = false);
  STEP(preemptOff[SPINNER] = false);
  if
  :: d_step { reason[SPINNER] == OFF -> reason[SPINNER] = 0 };
     STEP(preemptOff[SPINNER] = true);
     STEP(put(SPINNER));
     NOTHING; /* stop */
     false
  :: d_step { reason[SPINNER] == WFE -> reason[SPINNER] = 0 }
  fi;

  do
  :: d_step { !candidate -> candidate = true }; /* noCandidate? no */
     if
     :: d_step { !asleep -> skip };
        STEP(yieldTo());
        break
     :: d_step { asleep -> skip }
     fi;
     if
     :: d_step { answer -> ask() };
        STEP(yieldTo());
        break
     :: d_step { !answer -> ask() }
     fi
  :: d_step { candidate -> candidate = false }; /* noCandidate? yes */
     break
  od;
  guestPc[SPINNER]++;
  goto head
}

/* It never ends, which Spin would count as one more step. */
active proctype nic() {
  d_step { true -> irq = true };
  d_step { true -> request = true };
  d_step { true -> kick() };
end:
  false
}
