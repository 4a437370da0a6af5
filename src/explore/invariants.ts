/**
 * What must hold in every state or at every step of a machine, whatever the schedule. The names are those of the
 * catalogue of bugs: S for safety, L for liveness, which is checked as safety on states from which nothing can
 * happen any more (L1), on guests that run without what they should have (L3), and on cycles (L4, which the
 * explorer finds).
 */
import { LR_PENDING, LR_Priority, LR_State, VMCR_VENG0, VMCR_VENG1, VMCR_VPMR } from '../arch/ich.ts'
import { FIRST_SPI, intidName } from '../arch/intid.ts'
import { PRIORITY_IDLE } from '../gic/cpu-interface.ts'
import { ICH_HCR, ICH_LR } from '../gic/virtual-interface.ts'
import { TABLE_SHIFT } from '../hyp/design.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { THREAD_IN_GUEST, THREAD_SLEEPS } from '../hyp/run-loop.ts'
import { STEP_REEVALUATE } from '../hyp/steps.ts'
import {
  MODE_EXITING,
  THREAD_MODE,
  THREAD_REQUESTS,
  VCPU_AP_COUNT,
  VCPU_INDEX,
  VCPU_IRQ,
  VCPU_PC,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_USED_LRS,
  VCPU_VMCR,
} from '../hyp/vcpu.ts'
import {
  IRQ_EDGE,
  IRQ_GROUP1,
  IRQ_LATCH,
  irqApListOf,
  irqIsDeliverable,
  irqListRegister,
  irqPriority,
  irqTarget,
} from '../hyp/vgic-irq.ts'
import { OVERFLOW_INTERRUPTS } from '../hyp/vgic-v3.ts'
import { VM_ENABLED } from '../hyp/vm.ts'
import type { ScenarioMachine } from './machine.ts'

/** The name of an invariant. */
export type InvariantId = 'S8' | 'S11' | 'S17' | 'S20' | 'S21' | 'L1' | 'L3' | 'L4'

/** What each invariant says. */
export const invariants: Readonly<Record<InvariantId, string>> = {
  S8: 'At every entry the INTIDs in valid list registers are distinct.',
  S11: 'Whenever the owner asks runnable() in its halt, the shadow of ICH_VMCR_EL2 is what its guest would see.',
  S17: 'An interrupt names a vCPU exactly if it is once on that vCPU’s ap_list and on no other.',
  S20: 'A question changes nothing of another vCPU.',
  S21: 'A vCPU in the guest with a request pending has a kick on the way.',
  L1: 'When nothing can happen any more, no vCPU sleeps with an interrupt that its guest would take.',
  L3: 'An edge that the guest has not acknowledged is pending somewhere; a guest runs without an interrupt that it would take next only if something will make it leave, and is not entered without it.',
  L4: 'No cycle of steps enters the guest and gets it nowhere, with everybody who can step taking part.',
}

/** Checks the invariants of a machine. Each function returns what is wrong, or undefined. */
export class InvariantChecker {
  private readonly hypervisor: Hypervisor
  private readonly words: Int32Array

  constructor(private readonly machine: ScenarioMachine) {
    this.hypervisor = machine.hypervisor
    this.words = machine.hypervisor.words
  }

  /** S8, after the entry of a vCPU. */
  distinctIntids(v: number): string | undefined {
    const { words } = this
    const pe = words[v + VCPU_PE]
    const { listRegisters } = this.hypervisor.config
    for (let i = 0; i < listRegisters; i++) {
      if (LR_State(words[pe + ICH_LR + 2 * i + 1]) === 0) continue
      for (let j = i + 1; j < listRegisters; j++) {
        const same = words[pe + ICH_LR + 2 * i] === words[pe + ICH_LR + 2 * j]
        if (same && LR_State(words[pe + ICH_LR + 2 * j + 1]) !== 0) {
          return `${intidName(words[pe + ICH_LR + 2 * i])} is in list registers ${i} and ${j}`
        }
      }
    }
    return undefined
  }

  /** S11, after the owner's question. */
  freshShadow(v: number): string | undefined {
    const shadow = VMCR_VPMR(this.words[v + VCPU_VMCR])
    const seen = VMCR_VPMR(this.machine.ghosts.vmcrOf(v))
    if (shadow === seen) return undefined
    const name = `vcpu${this.words[v + VCPU_INDEX]}`
    return `${name} asks with priority mask 0x${shadow.toString(16)}, its guest has 0x${seen.toString(16)}`
  }

  /** S17, after any step. */
  oneList(): string | undefined {
    const { words } = this
    const { place, apLists } = this.hypervisor
    let listed = 0
    for (let i = 0; i < place.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      const count = words[v + VCPU_AP_COUNT]
      listed += count
      for (let k = 0; k < count; k++) {
        const irq = words[v + apLists.list + k]
        if (irqApListOf(words[irq]) === i + 1) continue
        return `${intidName(apLists.intidOf(v, irq))} is on the list of vcpu${i} and does not name it`
      }
    }
    return listed === this.named() ? undefined : 'an interrupt names a vCPU on whose list it is not once'
  }

  /** How many interrupts name a vCPU. */
  private named(): number {
    const { words } = this
    const { place } = this.hypervisor
    let named = 0
    for (let i = 0; i < place.vcpuCount; i++) {
      const first = this.hypervisor.vcpu(i) + VCPU_IRQ
      for (let irq = first; irq < first + FIRST_SPI; irq++) if (irqApListOf(words[irq]) !== 0) named++
    }
    for (let irq = place.spis; irq < place.spis + place.spiCount; irq++)
      if (irqApListOf(words[irq]) !== 0) named++
    return named
  }

  /** S21, after any step. */
  requestSeen(): string | undefined {
    const { words } = this
    for (let i = 0; i < this.hypervisor.place.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      if ((words[v + VCPU_THREAD] & THREAD_REQUESTS) === 0 || !this.runsUnnoticed(v)) continue
      return `vcpu${i} is in the guest with a request pending and nothing that makes it leave`
    }
    return undefined
  }

  /** L1, in a state from which nothing can happen. */
  lostWakeUp(): string | undefined {
    for (let i = 0; i < this.hypervisor.place.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      if (this.hypervisor.runLoop.threadState(v) !== THREAD_SLEEPS) continue
      const irq = this.deliverable(v)
      if (irq !== 0) {
        return `vcpu${i} sleeps, and ${intidName(this.hypervisor.apLists.intidOf(v, irq))} is pending for it`
      }
    }
    return undefined
  }

  /** L3, after any step; `entered` is the vCPU that the step has brought into its guest, 0 if none. */
  missing(entered: number): string | undefined {
    for (let i = 0; i < this.hypervisor.place.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      const lost = this.lostEdge(v)
      if (lost !== undefined) return lost
      if (this.words[v + VCPU_AP_COUNT] === 0 || !this.isLeftAlone(v) || this.isReevaluating()) continue
      // A maintenance interrupt that is there from the entry on leads to no other list registers.
      if (v !== entered && this.hypervisor.guest.isInterrupted(v)) continue
      const irq = this.absent(v)
      if (irq === 0) continue
      const without = `vcpu${i} is in the guest without ${intidName(this.hypervisor.apLists.intidOf(v, irq))}`
      return this.hypervisor.guest.isInterrupted(v)
        ? `${without}, and leaves it at once only to come back as it was`
        : `${without}, and nothing makes it leave`
    }
    return undefined
  }

  /** Whether a vCPU is in the guest and nothing makes it leave. */
  private runsUnnoticed(v: number): boolean {
    return this.isLeftAlone(v) && !this.hypervisor.guest.isInterrupted(v)
  }

  /** Whether a vCPU is in the guest and neither a kick nor another's unfinished injection is on the way. */
  private isLeftAlone(v: number): boolean {
    const { words } = this
    if (this.hypervisor.runLoop.threadState(v) !== THREAD_IN_GUEST) return false
    if ((words[v + VCPU_THREAD] & THREAD_MODE) === MODE_EXITING) return false
    return !this.machine.injectsFor(v)
  }

  /** Whether an access has changed what belongs where, and the re-evaluation is yet to tell whom it concerns. */
  private isReevaluating(): boolean {
    const { place, runLoop } = this.hypervisor
    for (let i = 0; i < place.vcpuCount; i++) {
      const pc = this.words[this.hypervisor.vcpu(i) + VCPU_PC]
      if (runLoop.table[pc << TABLE_SHIFT] === STEP_REEVALUATE) return true
    }
    return false
  }

  /**
   * An interrupt on a running vCPU's list that should be in a list register and is in none; 0 if there is none. If some
   * did not fit it is one that the guest would take next, were it there.
   */
  private absent(v: number): number {
    const { words } = this
    const { apLists } = this.hypervisor
    const overflowed = words[words[v + VCPU_PE] + ICH_HCR] & OVERFLOW_INTERRUPTS
    const list = v + apLists.list
    const index = apLists.targetOf(words, v)
    for (let k = 0; k < words[v + VCPU_AP_COUNT]; k++) {
      const irq = words[list + k]
      const isForIt = irqIsDeliverable(words[irq]) && irqTarget(words[irq]) === index
      if (!isForIt || this.isInHardware(v, irq)) continue
      if (overflowed === 0 || this.comesNext(v, words[irq])) return irq
    }
    return 0
  }

  /** Whether the guest of a vCPU in it would take an interrupt before what its list registers have. */
  private comesNext(v: number, irq: number): boolean {
    const { words } = this
    const { virtualInterface, ich } = this.hypervisor.silicon
    const pe = words[v + VCPU_PE]
    const vmcr = ich.readVmcr(pe)
    if (!admits(vmcr, irq)) return false
    const first = virtualInterface.highestPending(pe)
    if (first !== 0 && LR_Priority(words[first]) <= irqPriority(irq)) return false
    const running = virtualInterface.runningPriority(words, pe)
    return running === PRIORITY_IDLE || virtualInterface.preemptsRunning(vmcr, irqListRegister(irq), running)
  }

  private isInHardware(v: number, irq: number): boolean {
    const { words } = this
    const pe = words[v + VCPU_PE]
    const intid = this.hypervisor.apLists.intidOf(v, irq)
    for (let n = 0; n < words[v + VCPU_USED_LRS]; n++) {
      if (words[pe + ICH_LR + 2 * n] === intid && LR_State(words[pe + ICH_LR + 2 * n + 1]) !== 0) return true
    }
    return false
  }

  /** An edge that was not acknowledged and is pending neither in software nor in a list register. */
  private lostEdge(v: number): string | undefined {
    const { words, machine } = this
    const { apLists, place } = this.hypervisor
    const index = words[v + VCPU_INDEX]
    for (let bits = machine.ghosts.privateEdges(index); bits !== 0; bits &= bits - 1) {
      const irq = v + VCPU_IRQ + 31 - Math.clz32(bits & -bits)
      if (!this.isPendingSomewhere(irq))
        return `the edge of ${intidName(apLists.intidOf(v, irq))} of vcpu${index} is lost`
    }
    if (index !== 0) return undefined
    for (let n = 0; 32 * n < place.spiCount; n++) {
      for (let bits = machine.ghosts.spiEdges(n); bits !== 0; bits &= bits - 1) {
        const spi = 32 * n + 31 - Math.clz32(bits & -bits)
        if (!this.isPendingSomewhere(place.spis + spi))
          return `the edge of ${intidName(FIRST_SPI + spi)} is lost`
      }
    }
    return undefined
  }

  private isPendingSomewhere(irq: number): boolean {
    const { words } = this
    const word = words[irq]
    if ((word & IRQ_EDGE) === 0 || word & IRQ_LATCH) return true
    if (this.hypervisor.mapped.isPendingAtDistributor(irq)) return true
    const owner = irqApListOf(word)
    if (owner === 0) return false
    const v = this.hypervisor.vcpu(owner - 1)
    const intid = this.hypervisor.apLists.intidOf(v, irq)
    const pe = words[v + VCPU_PE]
    for (let n = 0; n < words[v + VCPU_USED_LRS]; n++) {
      const inHardware = pe + ICH_LR + 2 * n
      if (words[inHardware] === intid && words[inHardware + 1] & LR_PENDING) return true
    }
    return false
  }

  /** An interrupt that the guest of a vCPU would take, by what its guest sees; 0 if none. */
  private deliverable(v: number): number {
    const { words, machine } = this
    const { place } = this.hypervisor
    if (words[place.vm + VM_ENABLED] === 0) return 0
    const vmcr = machine.ghosts.vmcrOf(v)
    for (let irq = v + VCPU_IRQ; irq < v + VCPU_IRQ + FIRST_SPI; irq++)
      if (admits(vmcr, words[irq])) return irq
    for (let irq = place.spis; irq < place.spis + place.spiCount; irq++) {
      if (irqTarget(words[irq]) === words[v + VCPU_INDEX] && admits(vmcr, this.withPhysical(irq))) return irq
    }
    return 0
  }

  /** The word of an interrupt, pending too if it is mapped to a physical one that is. */
  private withPhysical(irq: number): number {
    const { words, hypervisor } = this
    return hypervisor.mapped.isPendingAtDistributor(irq) ? words[irq] | IRQ_LATCH : words[irq]
  }
}

/** Whether a guest with this ICH_VMCR_EL2 takes an interrupt. */
function admits(vmcr: number, irq: number): boolean {
  const enabled = vmcr & (irq & IRQ_GROUP1 ? VMCR_VENG1 : VMCR_VENG0)
  return enabled !== 0 && irqIsDeliverable(irq) && irqPriority(irq) < VMCR_VPMR(vmcr)
}
