/**
 * The vCPU run loop: does the steps of a compiled design for a vCPU's thread. Each step is atomic; between two
 * steps anything else may happen. `perform` is the list of all steps with what they do.
 */
import { ICC_ASGI1R_EL1, ICC_SGI0R_EL1, ICC_SGI1R_EL1 } from '../arch/icc.ts'
import { VMCR_VPMR } from '../arch/ich.ts'
import { sysregSyndrome } from '../arch/syndrome.ts'
import { HCR_EL2_FMO, HCR_EL2_IMO, HCR_EL2_TWE, HCR_EL2_TWI, PCPU_DAIF } from '../gic/pcpu.ts'
import type { ApLists } from './ap-list.ts'
import { ENDED, type Program, TABLE_STRIDE } from './design.ts'
import { GUEST_PC } from './guest.ts'
import type { Seam } from './seam.ts'
import { sendSgi } from './sgi.ts'
import * as op from './steps.ts'
import {
  MODE_IN_GUEST,
  MODE_OUTSIDE,
  TASK_OFF,
  TASK_RUNNING,
  TASK_SLEEPING,
  VCPU_AP_COUNT,
  VCPU_DAIF,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_EXIT,
  VCPU_EXITS,
  VCPU_IRQS_OFF,
  VCPU_KICKED,
  VCPU_MODE,
  VCPU_PC,
  VCPU_PE,
  VCPU_PREEMPT_OFF,
  VCPU_REQUESTS,
  VCPU_SLEEPS,
  VCPU_TASK,
  VCPU_VMCR,
  VCPU_WAITING,
} from './vcpu.ts'
import { IRQ_ACTIVE, IRQ_ENABLED, irqIsPending, irqPriority } from './vgic-irq.ts'
import type { VgicV3 } from './vgic-v3.ts'
import { VM_ENABLED } from './vm.ts'

/** Virtual interrupts to EL1, and WFI and WFE trapped. */
const GUEST_HCR_EL2 = HCR_EL2_IMO | HCR_EL2_FMO | HCR_EL2_TWI | HCR_EL2_TWE

const ESR_SGI1R = sysregSyndrome(ICC_SGI1R_EL1, false) | 0
const ESR_SGI0R = sysregSyndrome(ICC_SGI0R_EL1, false) | 0
const ESR_ASGI1R = sysregSyndrome(ICC_ASGI1R_EL1, false) | 0

/** What a vCPU's thread can do next. */
export const THREAD_STEPS = 0
/** It is in the guest: the guest's step is next. */
export const THREAD_IN_GUEST = 1
/** It sleeps until it is woken. */
export const THREAD_SLEEPS = 2
export const THREAD_ENDED = 3

export class RunLoop {
  readonly words: Int32Array

  constructor(
    readonly program: Program,
    readonly seam: Seam,
    readonly apLists: ApLists,
    readonly vgic: VgicV3,
    readonly vcpus: number,
  ) {
    this.words = seam.words
  }

  /** A THREAD_ value. */
  threadState(v: number): number {
    const { words, program } = this
    const pc = words[v + VCPU_PC]
    if (pc === ENDED) return THREAD_ENDED
    const next = program.table[pc * TABLE_STRIDE]
    if (next === op.STEP_GUEST && this.isInGuest(v)) return THREAD_IN_GUEST
    if (next === op.STEP_SLEEP && words[v + VCPU_TASK] === TASK_SLEEPING) return THREAD_SLEEPS
    return THREAD_STEPS
  }

  private isInGuest(v: number): boolean {
    return this.seam.silicon.pcpu.isInGuest(this.words[v + VCPU_PE])
  }

  /** Does the next step of a vCPU's thread and returns its result. The thread must be at one. */
  step(v: number): number {
    const { words, program } = this
    const at = words[v + VCPU_PC] * TABLE_STRIDE
    const next = program.table[at]
    const result = this.perform(next, v)
    if (next !== op.STEP_GUEST) words[v + VCPU_PC] = program.table[at + 1 + result]
    return result
  }

  /** The guest leaves: an exception to EL2 for an EXIT_ reason. The thread goes on after `guest`. */
  exit(v: number, reason: number): void {
    const { words, program, seam } = this
    const pe = words[v + VCPU_PE]
    words[v + VCPU_EXIT] = reason
    words[v + VCPU_EXITS]++
    words[v + VCPU_DAIF] = words[pe + PCPU_DAIF]
    seam.silicon.pcpu.leaveGuest(pe)
    words[v + VCPU_PC] = program.table[words[v + VCPU_PC] * TABLE_STRIDE + 1]
  }

  private perform(step: number, v: number): number {
    const { words } = this
    switch (step) {
      case op.STEP_LOAD:
        this.seam.writeHcrEl2(words[v + VCPU_PE], GUEST_HCR_EL2)
        this.vgic.load(v)
        return 0
      case op.STEP_PUT:
        this.vgic.put(v)
        return 0
      case op.STEP_HANDLE_REQUESTS:
        words[v + VCPU_REQUESTS] = 0
        return 0
      case op.STEP_PREEMPT_OFF:
        words[v + VCPU_PREEMPT_OFF]++
        return 0
      case op.STEP_PREEMPT_ON:
        words[v + VCPU_PREEMPT_OFF]--
        return 0
      case op.STEP_IRQ_OFF:
        words[v + VCPU_IRQS_OFF] = 1
        return 0
      case op.STEP_IRQ_ON:
        words[v + VCPU_IRQS_OFF] = 0
        words[v + VCPU_KICKED] = 0
        return 0
      case op.STEP_FLUSH:
        this.vgic.flush(v)
        return 0
      case op.STEP_FOLD:
        this.vgic.fold(v)
        return 0
      case op.STEP_PUBLISH_IN_GUEST:
        words[v + VCPU_MODE] = MODE_IN_GUEST
        return 0
      case op.STEP_PUBLISH_OUTSIDE:
        words[v + VCPU_MODE] = MODE_OUTSIDE
        return 0
      case op.STEP_REQUEST_PENDING:
        return words[v + VCPU_REQUESTS] !== 0 ? 1 : 0
      case op.STEP_GUEST:
        this.enterGuest(v)
        return 0
      case op.STEP_EXIT_REASON: {
        const reason = words[v + VCPU_EXIT]
        words[v + VCPU_EXIT] = 0
        return reason
      }
      case op.STEP_SKIP_INSTRUCTION:
        words[v + GUEST_PC]++
        words[v + VCPU_ESR] = 0
        return 0
      case op.STEP_EMULATE_SYSREG:
        this.emulateSysreg(v)
        return 0
      case op.STEP_SET_WAITING:
        words[v + VCPU_WAITING] = 1
        return 0
      case op.STEP_CLEAR_WAITING:
        words[v + VCPU_WAITING] = 0
        return 0
      case op.STEP_SAVE_VMCR:
        this.vgic.saveVmcr(v)
        return 0
      case op.STEP_RUNNABLE:
        return this.runnable(v) ? 1 : 0
      case op.STEP_SET_SLEEPING:
        words[v + VCPU_TASK] = TASK_SLEEPING
        return 0
      case op.STEP_SET_RUNNING:
        words[v + VCPU_TASK] = TASK_RUNNING
        return 0
      case op.STEP_SLEEP:
        words[v + VCPU_SLEEPS]++
        return 0
      default:
        words[v + VCPU_TASK] = TASK_OFF
        words[v + VCPU_PE] = 0
        return 0
    }
  }

  private enterGuest(v: number): void {
    const { words } = this
    const pe = words[v + VCPU_PE]
    words[pe + PCPU_DAIF] = words[v + VCPU_DAIF]
    words[v + VCPU_DAIF] = 0
    this.seam.silicon.pcpu.enterGuest(pe)
  }

  /**
   * kvm_vgic_vcpu_pending_irq: an enabled interrupt on the ap_list is pending, not active, and of higher
   * priority than the guest's mask. It asks the shadow of ICH_VMCR_EL2, neither the group enables nor the
   * running priority nor PSTATE.
   */
  runnable(v: number): boolean {
    const { words, apLists } = this
    if (words[apLists.place.vm + VM_ENABLED] === 0) return false
    const mask = VMCR_VPMR(words[v + VCPU_VMCR])
    const list = v + apLists.place.apList
    for (let i = words[v + VCPU_AP_COUNT] - 1; i >= 0; i--) {
      const irq = words[words[list + i]]
      const deliverable = (irq & (IRQ_ENABLED | IRQ_ACTIVE)) === IRQ_ENABLED && irqIsPending(irq)
      if (deliverable && irqPriority(irq) < mask) return true
    }
    return false
  }

  private emulateSysreg(v: number): void {
    const { words, apLists, vcpus } = this
    const esr = words[v + VCPU_ESR]
    if (esr === ESR_SGI1R || esr === ESR_SGI0R || esr === ESR_ASGI1R) {
      sendSgi(apLists, v, vcpus, words[v + VCPU_DATA], words[v + VCPU_DATA + 1], esr === ESR_SGI1R)
    }
    words[v + VCPU_DATA] = 0
    words[v + VCPU_DATA + 1] = 0
  }
}
