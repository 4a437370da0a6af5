/**
 * The preconditions of a step of a vCPU's thread: the context that KVM's code asserts at that point (`preemptible()`,
 * `irqs_disabled()`), and something to work on. A step taken without them may still leave a state that looks right,
 * so they are checked at the step.
 */
import { HCR_EL2_FMO, HCR_EL2_IMO } from '../arch/hcr-el2.ts'
import { VMCR_VENG0, VMCR_VENG1 } from '../arch/ich-registers.ts'
import { EC_DATA_ABORT, EC_SYSREG, ESR_EC } from '../arch/syndrome.ts'
import { PCPU_HCR_EL2 } from '../gic/cpu-interface/pcpu.ts'
import { ICH_AP0R, ICH_AP1R, ICH_VMCR } from '../gic/cpu-interface/virtual-interface.ts'
import { OP_END, OP_ERET, OP_USERSPACE, OP_WORDS } from '../hyp/records/guest-program.ts'
import { GUEST_PC } from '../hyp/records/guest-record.ts'
import { ITS_QUEUE_LOCK } from '../hyp/records/its-record.ts'
import { VPE_RESIDENT } from '../hyp/records/its-vpe.ts'
import {
  MODE_OUTSIDE,
  peOf,
  TASK_SLEEPING,
  THREAD_IRQS_OFF,
  THREAD_MODE,
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
import type { Program } from '../hyp/run/program.ts'
import type { StepNeed } from '../hyp/run/step.ts'
import { rowOf } from '../hyp/run/steps.ts'
import type { Machine } from '../scenario/machine.ts'
import type { InvariantId } from './invariants.ts'

/** The most `ICH_AP0R<n>_EL2` registers that a PE can have, and as many `ICH_AP1R<n>_EL2`. */
const ACTIVE_PRIORITIES = 4

/** A precondition of a step, and how a report words that it does not hold. */
interface Need {
  readonly invariant: InvariantId
  readonly matter: string
  /** Whether it holds for a vCPU, in the state before its step. */
  readonly holds: (words: Int32Array, v: Vcpu, machine: Machine) => boolean
}

const threadHas = (words: Int32Array, v: Vcpu, bits: number): boolean => (words[v + VCPU_THREAD] & bits) !== 0

/** Whether a thread can be preempted. The scheduler's notifiers run with preemption off. */
const isPreemptible = (words: Int32Array, v: Vcpu): boolean =>
  words[v + VCPU_NOTIFIER] === 0 && !threadHas(words, v, THREAD_PREEMPT_OFF)

/** Whether a loaded vCPU's active priorities in memory equal those of its PE. */
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
/** The fields of ICH_VMCR_EL2 that decide which interrupts a guest takes: VPMR, VENG1, VENG0. */
const ADMITS = 0xff000000 | VMCR_VENG0 | VMCR_VENG1
/** Whether a value of ICH_VMCR_EL2 is the one that a vCPU's guest left, in the bits that the silicon implements. */
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
/** With these HCR_EL2 bits set, EL1 accesses to ICC_* registers are to the virtual CPU interface. */
const ROUTES = HCR_EL2_IMO | HCR_EL2_FMO
const loaded: Need = {
  invariant: 'S2',
  matter: 'without being loaded',
  holds: (words, v) =>
    words[v + VCPU_LOADED] !== 0 && (words[peOf(words, v) + PCPU_HCR_EL2] & ROUTES) === ROUTES,
}
const ownInterface: Need = {
  invariant: 'S2',
  matter: 'with another ICH_VMCR_EL2 than its guest left',
  holds: (words, v, machine) => isAsLeft(words[peOf(words, v) + ICH_VMCR], v, machine),
}
const exitDone: Need = {
  invariant: 'S23',
  matter: 'before what its guest left for is handled',
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
const operationOf = (words: Int32Array, v: Vcpu, { setup }: Machine): number =>
  setup.guests[words[v + VCPU_INDEX]].ops[words[v + GUEST_PC] * OP_WORDS]
const trappedInstruction: Need = {
  invariant: 'S23',
  matter: 'without an instruction that has trapped',
  holds(words, v, machine) {
    if (words[v + VCPU_ESR] !== 0) return true
    // These two exit without a syndrome. So a second skip is not noticed if it is one of them that the first came to.
    const operation = operationOf(words, v, machine)
    return operation === OP_USERSPACE || operation === OP_ERET
  },
}
const itsStarted: Need = {
  invariant: 'S23',
  matter: 'without having started an ITS',
  holds: (words, v, { hypervisor }) => {
    const { layout } = hypervisor
    return Array.from({ length: layout.itsCount }, (_, n) => hypervisor.mmio.dist.its.recordOf(n)).some(
      (record) => words[record + ITS_QUEUE_LOCK] === words[v + VCPU_INDEX] + 1,
    )
  },
}
const vmStopped: Need = {
  invariant: 'S23',
  matter: 'without having stopped the VM',
  holds: (words, v, { hypervisor }) => words[hypervisor.layout.vm + VM_STOPPER] === words[v + VCPU_INDEX] + 1,
}
const othersFolded: Need = {
  invariant: 'S10',
  matter: 'while another vCPU is in its guest, or has list registers that are not folded',
  holds: (words, v, { hypervisor }) =>
    Array.from({ length: hypervisor.layout.vcpuCount }, (_, i) => hypervisor.vcpu(i)).every(
      (other) =>
        other === v ||
        (words[other + VCPU_USED_LRS] === 0 && (words[other + VCPU_THREAD] & THREAD_MODE) === MODE_OUTSIDE),
    ),
}
const guestOff: Need = {
  invariant: 'S23',
  matter: 'while its guest goes on',
  holds: (words, v, machine) => operationOf(words, v, machine) === OP_END,
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

/** Otherwise the put does nothing, and no doorbell is asked for. */
const vpeResident: Need = {
  invariant: 'S24',
  matter: 'although its vPE is not resident',
  holds: (words, v, { hypervisor: { v4 } }) => v4 === undefined || words[v4.vpes.of(v) + VPE_RESIDENT] !== 0,
}

/** The check for each precondition that a step's row can name. */
const needs: Readonly<Record<StepNeed, Need>> = {
  candidate,
  exitDone,
  folded,
  freshShadow,
  guestOff,
  interruptsOff,
  itsStarted,
  loaded,
  maySleep,
  maySleepIfItDoes,
  mmioAccess,
  notTheGics,
  othersFolded,
  ownInterface,
  preemptionCounted,
  preemptionOff,
  sysregAccess,
  trappedInstruction,
  unloaded,
  vmStopped,
  vpeResident,
}

/** The preconditions that are checked of each of a design's steps, by program counter. */
const needsOf = (
  { steps }: Program,
  checked: Readonly<Record<InvariantId, boolean>>,
): readonly (readonly Need[])[] =>
  steps.map((step) =>
    (rowOf(step?.op ?? 0)?.needs ?? []).map((name) => needs[name]).filter((need) => checked[need.invariant]),
  )

export class StepContexts {
  private readonly needs: readonly (readonly Need[])[]

  /** `before` is the machine's words as they were before the last step. */
  constructor(
    private readonly machine: Machine,
    private readonly before: Int32Array,
    checked: Readonly<Record<InvariantId, boolean>>,
  ) {
    this.needs = needsOf(machine.hypervisor.runLoop.program, checked)
  }

  /** The precondition that did not hold for the last step of a vCPU's thread or notifier, if any. */
  missing(v: Vcpu): readonly [InvariantId, string] | undefined {
    const { machine, before } = this
    const pc = before[v + VCPU_NOTIFIER] || before[v + VCPU_PC]
    const all = this.needs[pc]
    for (let i = 0; i < all.length; i++) {
      if (all[i].holds(before, v, machine)) continue
      const { invariant, matter } = all[i]
      const { paths } = machine.hypervisor.runLoop.program
      return [invariant, `vcpu${before[v + VCPU_INDEX]} does ${paths[pc]} ${matter}`]
    }
    return undefined
  }
}
