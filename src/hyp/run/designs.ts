/**
 * The designs, side by side: where a vCPU's thread saves ICH_VMCR_EL2, what it does around a WFI, and what the
 * scheduler's notifiers do. Everything that a design does not define is the same in all. Once the silicon has GICv4's
 * vPEs, residency will change where a design's `wfi` and its notifiers put and load.
 */
import { argumentOptions, argumentString, type Fields } from '../../errors/arguments.ts'
import { checkDesign } from './check-design.ts'
import {
  branch,
  checkNodes,
  checkStep,
  checkWords,
  type Design,
  type DesignNode,
  forever,
  leaveLoop,
  ownStep,
  part,
  restartLoop,
  unless,
  until,
  when,
} from './design.ts'
import type { Step } from './step.ts'
import {
  accessStopped,
  candidateBlocked,
  clearUnhalt,
  clearWaiting,
  dropReference,
  dyRunnable,
  emulateMmio,
  emulateSysreg,
  executeCommand,
  exitReason,
  flush,
  fold,
  guest,
  handleRequests,
  invalidateCache,
  irqOff,
  irqOn,
  kickVcpu,
  load,
  loadUnlessWaiting,
  lockIts,
  noCandidate,
  noCommand,
  notLoaded,
  pollAgain,
  pollBegin,
  pollEnd,
  postRequest,
  preemptOff,
  preemptOn,
  publishInGuest,
  publishOutside,
  put,
  queueInterrupt,
  reevaluate,
  requestPending,
  resumeVcpus,
  runnable,
  runnableOnDemand,
  saveVmcr,
  setRunning,
  setSleeping,
  setWaiting,
  signalPending,
  skipInstruction,
  sleep,
  stop,
  stopVcpus,
  timerLoad,
  timerPut,
  timerSync,
  translate,
  trapDir,
  unlockIts,
  userspace,
  yieldTo,
} from './steps.ts'

/** Steps before and after something. */
export interface Around {
  /** The steps before. */
  readonly before: readonly DesignNode[]
  /** The steps after. */
  readonly after: readonly DesignNode[]
}

/** Options of a halt: steps around all of it, steps around the sleep only, and its test. */
export interface HaltOptions {
  /** Before halt polling begins, and after the halt. */
  readonly around?: Around
  /** After halt polling, around the sleep. */
  readonly aroundSleep?: Around
  /** The test that ends it; `runnable` if left out. */
  readonly canRun?: Step
}

const nothing: Around = { before: [], after: [] }

/** kvm_vcpu_halt: polls for a while, then sleeps unless, and until, the vCPU can run. */
export const halt = (options: HaltOptions = {}): DesignNode => {
  argumentOptions('halt', options, { around: true, aroundSleep: true, canRun: true })
  const { canRun = runnable } = options
  const around = checkAround('around', options.around)
  const aroundSleep = checkAround('aroundSleep', options.aroundSleep)
  return part(
    'halt',
    ...around.before,
    pollBegin,
    forever(
      branch(pollAgain, {
        yes: [when(canRun, leaveLoop)],
        no: [
          part(
            'sleep',
            ...aroundSleep.before,
            setSleeping,
            until(canRun, sleep, setSleeping),
            setRunning,
            ...aroundSleep.after,
          ),
          leaveLoop,
        ],
      }),
    ),
    pollEnd,
    ...around.after,
  )
}

function checkAround(name: string, around: Around = nothing): Around {
  const { before, after } = argumentOptions(name, around, { before: true, after: true })
  return { before: checkNodes(`${name}.before`, before), after: checkNodes(`${name}.after`, after) }
}

/** kvm_vcpu_on_spin: finds another vCPU that could run, and yields to it. */
const onSpin = (candidateCanRun: Step): DesignNode =>
  forever(
    when(noCandidate, leaveLoop),
    branch(candidateBlocked, { no: [yieldTo, leaveLoop], yes: [when(candidateCanRun, yieldTo, leaveLoop)] }),
  )

/** The commands of an ITS, one after another. */
const commands = part('its', until(noCommand, lockIts, invalidateCache, executeCommand, unlockIts))

/** An MMIO access: the emulated GIC's registers, or userspace's. */
const mmio = (toUserspace: readonly DesignNode[]): DesignNode =>
  branch(emulateMmio, {
    done: [skipInstruction],
    reevaluate: [reevaluate, skipInstruction],
    stop: [stopVcpus, branch(accessStopped, { reevaluate: [reevaluate] }), resumeVcpus, skipInstruction],
    userspace: toUserspace,
    commands: [commands, skipInstruction],
  })

/** The parts in which designs differ; a part that is left out is as in KVM. */
export interface DesignParts {
  /** The steps for a WFI and for PSCI CPU_SUSPEND, before the guest continues. */
  readonly wfi: readonly DesignNode[]
  /** Steps before the list registers are filled, with preemption off. */
  readonly beforeEntry?: readonly DesignNode[]
  /** Steps after the exit, before the list registers are folded. */
  readonly afterExit?: readonly DesignNode[]
  /** The test by which a directed yield asks whether a blocked vCPU would run; `dyRunnable` if left out. */
  readonly candidateCanRun?: Step
  /** The notifier that runs when the thread loses its PE; `[put]` if left out. */
  readonly schedOut?: readonly DesignNode[]
  /** The notifier that runs when the thread gets a PE; `[load, trapDir, timerLoad]` if left out. */
  readonly schedIn?: readonly DesignNode[]
  /** The steps of a device's injection; `[queueInterrupt, postRequest, kickVcpu]` if left out. */
  readonly inject?: readonly DesignNode[]
  /**
   * The steps of a device's message; `[translate, queueInterrupt, postRequest, kickVcpu, dropReference]` if left out.
   */
  readonly msi?: readonly DesignNode[]
  /** Names of words that the design's own steps keep for each vCPU. */
  readonly words?: readonly string[]
}

const vcpuLoad = [load, trapDir, timerLoad]
const vcpuPut = [timerPut, put]

/**
 * Makes a design from a name and the parts in which it differs. The steps are those of this library, or made with
 * `ownStep`. Throws an `argument` error for a step where it cannot work, such as a kick in the thread.
 */
export function defineDesign(name: string, parts: DesignParts): Design {
  checkParts(name, parts)
  const { wfi, beforeEntry = [], afterExit = [], candidateCanRun = dyRunnable } = parts
  const toUserspace = [
    preemptOff,
    ...vcpuPut,
    preemptOn,
    userspace,
    skipInstruction,
    preemptOff,
    ...vcpuLoad,
    preemptOn,
  ]
  const thread = [
    part('load', preemptOff, ...vcpuLoad, preemptOn),
    forever(
      when(
        signalPending,
        part('signal', preemptOff, ...vcpuPut, preemptOn, userspace, preemptOff, ...vcpuLoad, preemptOn),
      ),
      part(
        'entry',
        handleRequests,
        preemptOff,
        ...beforeEntry,
        irqOff,
        flush,
        publishInGuest,
        when(requestPending, part('abort', publishOutside, fold, irqOn, preemptOn, restartLoop)),
      ),
      guest,
      part('exit', ...afterExit, publishOutside, fold, timerSync, irqOn, preemptOn),
      branch(exitReason, {
        wfi: [part('wfi', ...wfi, skipInstruction)],
        wfe: [part('wfe', onSpin(candidateCanRun), skipInstruction)],
        sysreg: [part('sysreg', emulateSysreg, skipInstruction)],
        suspend: [part('suspend', ...wfi)],
        userspace: [part('userspace', ...toUserspace)],
        mmio: [part('mmio', mmio(toUserspace))],
        off: [part('off', preemptOff, put, stop)],
      }),
    ),
  ]
  return checkDesign({
    name,
    thread,
    schedOut: parts.schedOut ?? [put],
    schedIn: parts.schedIn ?? vcpuLoad,
    inject: parts.inject ?? [queueInterrupt, postRequest, kickVcpu],
    msi: parts.msi ?? [translate, queueInterrupt, postRequest, kickVcpu, dropReference],
    words: parts.words ?? [],
  })
}

const partFields: Fields<DesignParts> = {
  wfi: true,
  beforeEntry: true,
  afterExit: true,
  candidateCanRun: true,
  schedOut: true,
  schedIn: true,
  inject: true,
  msi: true,
  words: true,
}

function checkParts(name: string, parts: DesignParts): void {
  argumentString('name', name)
  argumentOptions('A design', parts, partFields)
  checkNodes('wfi', parts.wfi)
  for (const list of ['beforeEntry', 'afterExit', 'schedOut', 'schedIn', 'inject', 'msi'] as const)
    checkNodes(list, parts[list] ?? [])
  if (parts.candidateCanRun !== undefined) checkStep('candidateCanRun', parts.candidateCanRun)
  checkWords(parts.words)
}

/** The VMCR sync in generic blocking and unblocking hooks, around halt polling and sleep. */
const hooks = defineDesign('hooks', {
  wfi: [halt({ around: { before: [preemptOff, saveVmcr, preemptOn], after: [] } }), clearUnhalt],
})

/** The hooks only around the sleep, after halt polling: a poll sees a stale shadow. */
const hooksAfterPoll = defineDesign('hooks-after-poll', {
  wfi: [halt({ aroundSleep: { before: [preemptOff, saveVmcr, preemptOn], after: [] } }), clearUnhalt],
})

/** The VMCR sync in the WFI exit handler, around the whole halt. Linux 5.15 to 6.1. */
const wfiHandler = defineDesign('wfi-handler', {
  wfi: [preemptOff, saveVmcr, preemptOn, halt(), clearUnhalt],
})

/**
 * The VMCR sync in the WFI exit handler, with a flag that says that the vCPU waits, which load and put of a resident
 * vPE will obey.
 */
const wfiFlag = defineDesign('wfi-flag', {
  wfi: [
    preemptOff,
    setWaiting,
    saveVmcr,
    preemptOn,
    halt(),
    clearUnhalt,
    preemptOff,
    clearWaiting,
    preemptOn,
  ],
})

/**
 * A full put and load of the vGIC around the halt, with the flag: the notifiers leave a waiting vCPU alone. The
 * put saves ICH_VMCR_EL2, so that runnable() sees the guest's priority mask.
 */
const wfiFullPut = defineDesign('wfi-full-put', {
  wfi: [
    preemptOff,
    setWaiting,
    put,
    preemptOn,
    halt(),
    clearUnhalt,
    preemptOff,
    clearWaiting,
    load,
    trapDir,
    preemptOn,
  ],
  schedIn: [loadUnlessWaiting, unless(notLoaded, trapDir), timerLoad],
})

/** A directed yield reads ICH_VMCR_EL2 of the PE it runs on for the vCPU it asks about. */
export const candidateOnDemand = ownStep(
  'candidateRunnableOnDemand?',
  (context, vcpu) => {
    const candidate = context.candidate(vcpu)
    context.saveVmcr(candidate, vcpu)
    return context.runnable(candidate) ? 1 : 0
  },
  ['no', 'yes'],
)

/** ICH_VMCR_EL2 is read from the hardware of the PE that asks whether the vCPU is runnable. */
const vmcrOnDemand = defineDesign('vmcr-on-demand', {
  wfi: [halt({ canRun: runnableOnDemand }), clearUnhalt],
  candidateCanRun: candidateOnDemand,
})

const SHADOW_STALE = 'shadowStale'
const markStale = ownStep('markShadowStale', (context, vcpu) => {
  context.set(vcpu, SHADOW_STALE, 1)
  return 0
})
const markFresh = ownStep('markShadowFresh', (context, vcpu) => {
  context.set(vcpu, SHADOW_STALE, 0)
  return 0
})
const runnableIfStale = ownStep(
  'runnableOnDemand?',
  (context, vcpu) => {
    if (context.get(vcpu, SHADOW_STALE) !== 0) context.saveVmcr(vcpu)
    return context.checkBlock(vcpu) ? 1 : 0
  },
  ['no', 'yes'],
  { asks: 'runnable' },
)

/**
 * ICH_VMCR_EL2 is read from the hardware only while a flag says that the shadow is stale: from an entry to the next
 * put.
 */
const vmcrOnDemandFlag = defineDesign('vmcr-on-demand-flag', {
  wfi: [halt({ canRun: runnableIfStale }), clearUnhalt],
  beforeEntry: [markStale],
  schedOut: [put, markFresh],
  words: [SHADOW_STALE],
})

/** Put where runnable() is asked; the run loop loads again, but only if it was put. */
const runLoopLoad = defineDesign('run-loop-load', {
  wfi: [preemptOff, put, preemptOn, halt(), clearUnhalt],
  beforeEntry: [when(notLoaded, part('reload', ...vcpuLoad))],
  schedIn: [],
})

/** The VMCR is saved on every exit: one register read more per exit, and the shadow is never stale outside the guest. */
const vmcrOnExit = defineDesign('vmcr-on-exit', {
  wfi: [halt(), clearUnhalt],
  afterExit: [saveVmcr],
})

/** The designs by name. */
export const designs = {
  hooks,
  hooksAfterPoll,
  wfiHandler,
  wfiFlag,
  wfiFullPut,
  vmcrOnDemand,
  vmcrOnDemandFlag,
  runLoopLoad,
  vmcrOnExit,
}
