/**
 * The designs, side by side: where a vCPU's thread saves ICH_VMCR_EL2, what it does around a WFI, and what the
 * scheduler's notifiers do. Everything that a design does not define is the same in all. With GICv4 a design also says when
 * a vCPU's vPE is made resident and not; without it those steps are left out.
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
  gicv4Part,
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
  prepareVm,
  publishInGuest,
  publishOutside,
  put,
  queueInterrupt,
  reevaluate,
  requestPending,
  restoreControl,
  restoreCpuInterfaces,
  restoreDistributor,
  restoreItsControl,
  restoreItsRegisters,
  restoreItsTables,
  restoreLines,
  restoreRedistributors,
  resumeVcpus,
  runnable,
  runnableOnDemand,
  saveInterrupts,
  saveTimers,
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
  vpeCommit,
  vpeLoad,
  vpeLoadUnlessWaiting,
  vpePut,
  vpePutByFlag,
  vpePutDoorbell,
  vpeReload,
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
  /**
   * The steps for the ERET of a guest hypervisor to its own guest; none if left out. `skipInstruction` in them is that
   * guest's execution.
   */
  readonly eret?: readonly DesignNode[]
  /** Steps before the list registers are filled, with preemption off. */
  readonly beforeEntry?: readonly DesignNode[]
  /** Steps after the exit, before the list registers are folded. */
  readonly afterExit?: readonly DesignNode[]
  /** The test by which a directed yield asks whether a blocked vCPU would run; `dyRunnable` if left out. */
  readonly candidateCanRun?: Step
  /** The notifier that runs when the thread loses its PE; `[vpePut, put]` if left out. */
  readonly schedOut?: readonly DesignNode[]
  /** The notifier that runs when the thread gets a PE; `[load, trapDir, vpeLoad, timerLoad]` if left out. */
  readonly schedIn?: readonly DesignNode[]
  /** The steps of a device's injection; `[queueInterrupt, postRequest, kickVcpu]` if left out. */
  readonly inject?: readonly DesignNode[]
  /**
   * The steps of a device's message; `[translate, queueInterrupt, postRequest, kickVcpu, dropReference]` if left out.
   */
  readonly msi?: readonly DesignNode[]
  /** The steps in which userspace saves the VM; {@link plainSave} if left out. */
  readonly save?: readonly DesignNode[]
  /** The steps in which it restores what it has saved; {@link plainRestore} if left out. */
  readonly restore?: readonly DesignNode[]
  /** Names of words that the design's own steps keep for each vCPU. */
  readonly words?: readonly string[]
}

/** The steps in which userspace saves a VM, if a design does not say otherwise. */
export const plainSave: readonly DesignNode[] = [saveInterrupts, saveTimers]

/**
 * The steps in which userspace restores a VM, in the order of KVM's documents and QEMU, if a design does not say otherwise:
 * `edit({ ...design, restore: plainRestore })` changes them.
 */
export const plainRestore: readonly DesignNode[] = [
  prepareVm,
  restoreControl,
  restoreRedistributors,
  restoreDistributor,
  restoreLines,
  restoreCpuInterfaces,
  restoreItsRegisters,
  restoreItsTables,
  restoreItsControl,
]

const vcpuLoad = [load, trapDir, vpeLoad, timerLoad]
const vcpuPut = [timerPut, vpePut, put]

/** Notifiers that leave the vPE of a vCPU that waits in its WFI as it is: not resident, with its doorbell requested. */
const obeyFlag = {
  schedOut: [vpePutByFlag, put],
  schedIn: [load, trapDir, vpeLoadUnlessWaiting, timerLoad],
} as const

/**
 * Makes a design from a name and the parts in which it differs. The steps are those of this library, or made with
 * `ownStep`. Throws an `argument` error for a step where it cannot work, such as a kick in the thread.
 */
export function defineDesign(name: string, parts: DesignParts): Design {
  checkParts(name, parts)
  const { wfi, eret = [], beforeEntry = [], afterExit = [], candidateCanRun = dyRunnable } = parts
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
        vpeReload,
        preemptOff,
        ...beforeEntry,
        irqOff,
        flush,
        vpeCommit,
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
        off: [part('off', preemptOff, vpePut, put, stop)],
        eret: [part('eret', ...eret)],
      }),
    ),
  ]
  return checkDesign({
    name,
    thread,
    schedOut: parts.schedOut ?? [vpePut, put],
    schedIn: parts.schedIn ?? vcpuLoad,
    inject: parts.inject ?? [queueInterrupt, postRequest, kickVcpu],
    msi: parts.msi ?? [translate, queueInterrupt, postRequest, kickVcpu, dropReference],
    ...(parts.save && { save: parts.save }),
    ...(parts.restore && { restore: parts.restore }),
    words: parts.words ?? [],
  })
}

const partFields: Fields<DesignParts> = {
  wfi: true,
  eret: true,
  beforeEntry: true,
  afterExit: true,
  candidateCanRun: true,
  schedOut: true,
  schedIn: true,
  inject: true,
  msi: true,
  save: true,
  restore: true,
  words: true,
}

function checkParts(name: string, parts: DesignParts): void {
  argumentString('name', name)
  argumentOptions('A design', parts, partFields)
  checkNodes('wfi', parts.wfi)
  for (const list of [
    'eret',
    'beforeEntry',
    'afterExit',
    'schedOut',
    'schedIn',
    'inject',
    'msi',
    'save',
    'restore',
  ] as const)
    checkNodes(list, parts[list] ?? [])
  if (parts.candidateCanRun !== undefined) checkStep('candidateCanRun', parts.candidateCanRun)
  checkWords(parts.words)
}

/** Makes the vPE resident again after a halt. */
const vpeBack = gicv4Part('unblock', preemptOff, vpeLoad, preemptOn)

/** Generic blocking and unblocking hooks. */
const archHooks: Around = {
  before: [preemptOff, saveVmcr, vpePutDoorbell, preemptOn],
  after: [vpeBack],
}

/** The VMCR sync and the vPE's put in generic blocking and unblocking hooks, around halt polling and sleep. */
const hooks = defineDesign('hooks', { wfi: [halt({ around: archHooks }), clearUnhalt] })

/** The hooks only around the sleep, after halt polling: a poll sees a stale shadow, and a vPE that is resident. */
const hooksAfterPoll = defineDesign('hooks-after-poll', {
  wfi: [halt({ aroundSleep: archHooks }), clearUnhalt],
})

/** The VMCR sync and the vPE's put in the WFI exit handler, around the whole halt. Linux 5.15 to 6.1. */
const wfiHandler = defineDesign('wfi-handler', {
  wfi: [preemptOff, saveVmcr, vpePutDoorbell, preemptOn, halt(), clearUnhalt, vpeBack],
})

/** The parts of `wfi-flag`. */
export const wfiFlagParts: DesignParts = {
  wfi: [
    preemptOff,
    setWaiting,
    saveVmcr,
    vpePutByFlag,
    preemptOn,
    halt(),
    clearUnhalt,
    preemptOff,
    clearWaiting,
    vpeLoad,
    preemptOn,
  ],
  ...obeyFlag,
}

/**
 * The same in the WFI exit handler, with a flag that says that the vCPU waits, which load and put of a vPE obey. What
 * followed in Linux, also in later releases of 6.1.
 */
const wfiFlag = defineDesign('wfi-flag', wfiFlagParts)

/**
 * A full put and load of the vGIC around the halt, with the flag: the notifiers leave a waiting vCPU alone. The
 * put saves ICH_VMCR_EL2, so that runnable() sees the guest's priority mask.
 */
const wfiFullPut = defineDesign('wfi-full-put', {
  wfi: [
    preemptOff,
    setWaiting,
    vpePutByFlag,
    put,
    preemptOn,
    halt(),
    clearUnhalt,
    preemptOff,
    clearWaiting,
    load,
    trapDir,
    vpeLoad,
    preemptOn,
  ],
  schedOut: [vpePutByFlag, put],
  schedIn: [loadUnlessWaiting, unless(notLoaded, trapDir), vpeLoadUnlessWaiting, timerLoad],
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

/**
 * With GICv4, the designs that are about ICH_VMCR_EL2 only put and load the vPE around the halt, with the flag, as
 * `wfi-flag` does, so that what they break is not residency's fault.
 */
const vpeAway = gicv4Part('block', preemptOff, setWaiting, vpePutByFlag, preemptOn)
const vpeBackByFlag = gicv4Part('unblock', preemptOff, clearWaiting, vpeLoad, preemptOn)

/** ICH_VMCR_EL2 is read from the hardware of the PE that asks whether the vCPU is runnable. */
const vmcrOnDemand = defineDesign('vmcr-on-demand', {
  wfi: [vpeAway, halt({ canRun: runnableOnDemand }), clearUnhalt, vpeBackByFlag],
  candidateCanRun: candidateOnDemand,
  ...obeyFlag,
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
  wfi: [vpeAway, halt({ canRun: runnableIfStale }), clearUnhalt, vpeBackByFlag],
  beforeEntry: [markStale],
  ...obeyFlag,
  schedOut: [vpePutByFlag, put, markFresh],
  words: [SHADOW_STALE],
})

/** Put where runnable() is asked; the run loop loads again, but only if it was put. */
const runLoopLoad = defineDesign('run-loop-load', {
  wfi: [preemptOff, vpePutDoorbell, put, preemptOn, halt(), clearUnhalt],
  beforeEntry: [when(notLoaded, part('reload', ...vcpuLoad))],
  schedIn: [],
})

/** The VMCR is saved on every exit: one register read more per exit, and the shadow is never stale outside the guest. */
const vmcrOnExit = defineDesign('vmcr-on-exit', {
  wfi: [vpeAway, halt(), clearUnhalt, vpeBackByFlag],
  afterExit: [saveVmcr],
  ...obeyFlag,
})

/** The designs by name. */
export const designs = {
  /** `hooks`: VMCR sync and put of the vPE in generic hooks around halt polling and sleep. */
  hooks,
  /** `hooks-after-poll`: the same hooks around the sleep only. */
  hooksAfterPoll,
  /** `wfi-handler`: both in the WFI exit handler, around the whole halt, as in Linux 5.15 to 6.1. */
  wfiHandler,
  /** `wfi-flag`: as `wfi-handler`, with a flag that says that the vCPU waits, which load and put of a vPE obey. */
  wfiFlag,
  /** `wfi-full-put`: a full put and load of the vGIC around the halt, with that flag. */
  wfiFullPut,
  /** `vmcr-on-demand`: whoever asks `runnable?` reads ICH_VMCR_EL2 of its own PE. */
  vmcrOnDemand,
  /** `vmcr-on-demand-flag`: the same, only while a flag says that the shadow is stale. */
  vmcrOnDemandFlag,
  /** `run-loop-load`: a put before the halt; the run loop loads again before an entry. */
  runLoopLoad,
  /** `vmcr-on-exit`: ICH_VMCR_EL2 is saved at every exit. */
  vmcrOnExit,
}
