/**
 * What a step of a vCPU's thread must find when it is taken: the context that KVM's code asserts where it stands
 * (`preemptible()`, `irqs_disabled()`), and something to work on. A step that does not find it may leave a state that
 * looks right all the same.
 */
import { HCR_EL2_FMO, HCR_EL2_IMO } from '../arch/hcr-el2.ts'
import { VMCR_VENG0, VMCR_VENG1 } from '../arch/ich-registers.ts'
import { EC_DATA_ABORT, EC_SYSREG, ESR_EC } from '../arch/syndrome.ts'
import { PCPU_HCR_EL2 } from '../gic/cpu-interface/pcpu.ts'
import { ICH_AP0R, ICH_AP1R, ICH_VMCR } from '../gic/cpu-interface/virtual-interface.ts'
import { OP_END, OP_WORDS } from '../hyp/records/guest-program.ts'
import { GUEST_PC } from '../hyp/records/guest-record.ts'
import {
  peOf,
  TASK_SLEEPING,
  THREAD_IRQS_OFF,
  THREAD_PREEMPT_OFF,
  taskOf,
  VCPU_AP0R,
  VCPU_AP1R,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_EXIT,
  VCPU_FAULT_IPA,
  VCPU_INDEX,
  VCPU_LOADED,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_SPIN,
  VCPU_THREAD,
  VCPU_USED_LRS,
  VCPU_VMCR,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { VM_STOPPER } from '../hyp/records/vm.ts'
import type { StepNeed } from '../hyp/run/step.ts'
import { rowOf } from '../hyp/run/steps.ts'
import type { Machine } from '../scenario/machine.ts'
import type { InvariantId } from './invariants.ts'

/** `ICH_AP0R<n>_EL2` and `ICH_AP1R<n>_EL2` are so many at most. */
const ACTIVE_PRIORITIES = 4

/** Something that a step must find, and what is the matter if it does not. */
interface Need {
  readonly invariant: InvariantId
  readonly matter: string
  /** By the words of a state, for a vCPU whose step is next. */
  readonly holds: (words: Int32Array, v: Vcpu, machine: Machine) => boolean
}

const threadHas = (words: Int32Array, v: Vcpu, bits: number): boolean => (words[v + VCPU_THREAD] & bits) !== 0

/** The scheduler's notifiers run with preemption off. */
const isPreemptible = (words: Int32Array, v: Vcpu): boolean =>
  words[v + VCPU_NOTIFIER] === 0 && !threadHas(words, v, THREAD_PREEMPT_OFF)

/** Whether the active priorities of a vCPU that is loaded are in memory too. */
function hasActivePriorities(words: Int32Array, v: Vcpu): boolean {
  const pe = peOf(words, v)
  for (let n = 0; n < ACTIVE_PRIORITIES; n++) {
    if (words[v + VCPU_AP0R + n] !== words[pe + ICH_AP0R + n]) return false
    if (words[v + VCPU_AP1R + n] !== words[pe + ICH_AP1R + n]) return false
  }
  return true
}

const preemptionOff: Need = {
  invariant: 'S20',
  matter: 'with preemption on',
  holds: (words, v) => !isPreemptible(words, v),
}
const interruptsOff: Need = {
  invariant: 'S22',
  matter: 'with interrupts on',
  holds: (words, v) => threadHas(words, v, THREAD_IRQS_OFF),
}
/** Preemption and interrupts are on. */
const maySleep: Need = {
  invariant: 'S22',
  matter: 'with preemption or interrupts off',
  holds: (words, v) => isPreemptible(words, v) && !threadHas(words, v, THREAD_IRQS_OFF),
}
const maySleepIfItDoes: Need = {
  ...maySleep,
  holds: (words, v, machine) =>
    taskOf(words[v + VCPU_THREAD]) !== TASK_SLEEPING || maySleep.holds(words, v, machine),
}
const preemptionCounted: Need = {
  invariant: 'S22',
  matter: 'without a preemptOff before it',
  holds: (words, v) => threadHas(words, v, THREAD_PREEMPT_OFF),
}
const unloaded: Need = {
  invariant: 'S20',
  matter: 'while its CPU interface is in the hardware',
  holds: (words, v) => words[v + VCPU_LOADED] === 0,
}
/** In ICH_VMCR_EL2, what a guest's interrupts depend on. */
const ADMITS = 0xff000000 | VMCR_VENG0 | VMCR_VENG1
/** Whether a value of ICH_VMCR_EL2 is what the guest of a vCPU left, as far as the silicon has it. */
function isAsLeft(vmcr: number, v: Vcpu, { hypervisor, ghosts }: Machine): boolean {
  const implemented = ADMITS & (0x00ffffff | (hypervisor.silicon.virtualInterface.priorityMask << 24))
  return ((vmcr ^ ghosts.vmcrOf(v)) & implemented) === 0
}
/** Userspace reads a vCPU's registers in memory when its thread has returned from KVM_RUN. */
const freshShadow: Need = {
  invariant: 'S11',
  matter: 'with shadow registers that its guest has changed since',
  holds: (words, v, machine) =>
    isAsLeft(words[v + VCPU_VMCR], v, machine) &&
    (words[v + VCPU_LOADED] === 0 || hasActivePriorities(words, v)),
}
const folded: Need = {
  invariant: 'S19',
  matter: 'over list registers that were not folded back',
  holds: (words, v) => words[v + VCPU_USED_LRS] === 0,
}
/** HCR_EL2 makes its accesses to ICC_* registers those to its virtual CPU interface. */
const ROUTES = HCR_EL2_IMO | HCR_EL2_FMO
const loaded: Need = {
  invariant: 'S2',
  matter: 'without being loaded',
  holds: (words, v) =>
    words[v + VCPU_LOADED] !== 0 && (words[peOf(words, v) + PCPU_HCR_EL2] & ROUTES) === ROUTES,
}
const ownInterface: Need = {
  invariant: 'S2',
  matter: 'with an ICH_VMCR_EL2 that its guest has not left',
  holds: (words, v, machine) => isAsLeft(words[peOf(words, v) + ICH_VMCR], v, machine),
}
const exitDone: Need = {
  invariant: 'S23',
  matter: 'while what its guest left for is not done',
  holds: (words, v) =>
    (words[v + VCPU_EXIT] |
      words[v + VCPU_ESR] |
      words[v + VCPU_DATA] |
      words[v + VCPU_DATA + 1] |
      words[v + VCPU_FAULT_IPA] |
      words[v + VCPU_FAULT_IPA + 1]) ===
    0,
}
const syndrome = (what: string, exceptionClass: number): Need => ({
  invariant: 'S23',
  matter: `without ${what}`,
  holds: (words, v) => ESR_EC(words[v + VCPU_ESR]) === exceptionClass,
})
const sysregAccess = syndrome('a trapped system register access', EC_SYSREG)
const mmioAccess = syndrome('an MMIO access', EC_DATA_ABORT)
const vmStopped: Need = {
  invariant: 'S23',
  matter: 'without having stopped the VM',
  holds: (words, v, { hypervisor }) => words[hypervisor.layout.vm + VM_STOPPER] === words[v + VCPU_INDEX] + 1,
}
const guestOff: Need = {
  invariant: 'S23',
  matter: 'while its guest goes on',
  holds: (words, v, { setup }) =>
    setup.guests[words[v + VCPU_INDEX]].ops[words[v + GUEST_PC] * OP_WORDS] === OP_END,
}
const notTheGics: Need = {
  invariant: 'S23',
  matter: 'with an access to the emulated GIC',
  holds: (words, v, { hypervisor }) => {
    if (ESR_EC(words[v + VCPU_ESR]) !== EC_DATA_ABORT) return true
    const address = words[v + VCPU_FAULT_IPA + 1] * 0x1_0000_0000 + (words[v + VCPU_FAULT_IPA] >>> 0)
    return hypervisor.mmio.nameOf(address) === undefined
  },
}
const candidate: Need = {
  invariant: 'S23',
  matter: 'without a candidate',
  holds: (words, v) => words[v + VCPU_SPIN] !== 0,
}

/** How it is seen that a step finds what its row says it needs. */
const needs: Readonly<Record<StepNeed, Need>> = {
  candidate,
  exitDone,
  folded,
  freshShadow,
  guestOff,
  interruptsOff,
  loaded,
  maySleep,
  maySleepIfItDoes,
  mmioAccess,
  notTheGics,
  ownInterface,
  preemptionCounted,
  preemptionOff,
  sysregAccess,
  unloaded,
  vmStopped,
}

export class StepContexts {
  /** `before` is a copy of the machine's words at the state before the last step. */
  constructor(
    private readonly machine: Machine,
    private readonly before: Int32Array,
  ) {}

  /** What the last step of a vCPU's thread, or of its notifier, did not find. */
  missing(
    v: Vcpu,
    checked: Readonly<Record<InvariantId, boolean>>,
  ): readonly [InvariantId, string] | undefined {
    const { machine, before } = this
    const { steps, paths } = machine.hypervisor.runLoop.program
    const pc = before[v + VCPU_NOTIFIER] || before[v + VCPU_PC]
    for (const name of rowOf(steps[pc]?.op ?? 0)?.needs ?? []) {
      const { invariant, matter, holds } = needs[name]
      if (!checked[invariant] || holds(before, v, machine)) continue
      return [invariant, `vcpu${before[v + VCPU_INDEX]} does ${paths[pc]} ${matter}`]
    }
    return undefined
  }
}
