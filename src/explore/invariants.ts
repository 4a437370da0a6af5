/**
 * What must hold in every state, or at every step, of every schedule. The names are those of the catalogue of bugs: S
 * for safety, L for liveness, R for saving and restoring. Liveness is checked as safety: on states in which no actor can
 * step (L1, L5, L6), on guests that run without an interrupt that they should have (L3), and on cycles (L4, which the
 * explorer finds). S23 and S24 are not in the catalogue. step-context.ts checks S2, S19, S22, S23, S24, and parts of S10,
 * S11 and S20; deactivation-invariants.ts S12 and L5; acknowledge-invariants.ts S9 and S13; image-invariants.ts R1 to R5;
 * lpi-invariants.ts S14, S15, S16, S18; residency-invariants.ts those of GICv4: S1, S3 to S7, L2, and parts of S2, S8, S11,
 * S19 and L3.
 */
import {
  HCR_LRENPIE,
  LR_ACTIVE,
  LR_PENDING,
  LR_Priority,
  LR_State,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VPMR,
} from '../arch/ich-registers.ts'
import { type Intid, intidName } from '../arch/intid.ts'
import { argumentList, shown } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { PRIORITY_IDLE } from '../gic/cpu-interface/cpu-interface.ts'
import { ICH_HCR, ICH_LR } from '../gic/cpu-interface/virtual-interface.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import {
  MODE_EXITING,
  peOf,
  privateIntid,
  privateIrq,
  THREAD_MODE,
  THREAD_REQUESTS,
  timerIntids,
  VCPU_AP_COUNT,
  VCPU_AP_FIRST,
  VCPU_HCR,
  VCPU_INDEX,
  VCPU_LPIS_ENABLED,
  VCPU_LR_IRQ,
  VCPU_PC,
  VCPU_THREAD,
  VCPU_USED_LRS,
  VCPU_VMCR,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_EDGE,
  IRQ_GROUP1,
  IRQ_LATCH,
  IRQ_LINE,
  IRQ_LINK,
  type Irq,
  irqApListOf,
  irqIsDeliverable,
  irqListRegister,
  irqPriority,
  irqTarget,
} from '../hyp/records/vgic-irq.ts'
import { VM_ENABLED } from '../hyp/records/vm.ts'
import { TABLE_SHIFT } from '../hyp/run/program.ts'
import { STEP_REEVALUATE, STEP_RESUME_VCPUS } from '../hyp/run/step-numbers.ts'
import {
  THREAD_IN_GUEST,
  THREAD_SLEEPS,
  THREAD_WAITS_FOR_CPU,
  THREAD_WAITS_FOR_VCPUS,
} from '../hyp/run/thread-states.ts'
import type { IrqKind } from '../hyp/vgic/irq-directory.ts'
import { OVERFLOW_INTERRUPTS } from '../hyp/vgic/vgic-v3.ts'
import type { Machine } from '../scenario/machine.ts'
import { isPendingInHardware, vsgisInHardware } from './hardware-pending.ts'
import { invariantName } from './invariant-names.ts'

/** The name of an invariant. */
export type InvariantId =
  | 'S1'
  | 'S2'
  | 'S3'
  | 'S4'
  | 'S5'
  | 'S6'
  | 'S7'
  | 'S8'
  | 'S9'
  | 'S10'
  | 'S11'
  | 'S12'
  | 'S13'
  | 'S14'
  | 'S15'
  | 'S16'
  | 'S17'
  | 'S18'
  | 'S19'
  | 'S20'
  | 'S21'
  | 'S22'
  | 'S23'
  | 'S24'
  | 'L1'
  | 'L2'
  | 'L3'
  | 'L4'
  | 'L5'
  | 'L6'
  | 'R1'
  | 'R2'
  | 'R3'
  | 'R4'
  | 'R5'

/** Each invariant as a sentence. */
export const invariants: Readonly<Record<InvariantId, string>> = {
  S1: 'A vPE is resident on one redistributor at most: that of the PE where its vCPU’s thread is, and is loaded once it can be preempted.',
  S2: 'A vCPU enters its guest only when it is loaded, with the CPU interface state that its guest left; while it is there its vPE is resident, and Dirty is 0.',
  S3: 'A vCPU that waits, once it can be preempted, has no resident vPE.',
  S4: 'Nothing but Valid is written to GICR_VPENDBASER while it is 1, and it is not cleared while Dirty is 1.',
  S5: 'No ITS command and no redistributor operation names a vPE that is not mapped there, or is resident elsewhere.',
  S6: 'Of a vCPU that is about to wait, or waits, an interrupt is known to be pending, or a doorbell was asked for or is on its way; what is known while its vPE is away is not overwritten.',
  S7: 'No doorbell rings for a vCPU that is in its guest.',
  S8: 'At every entry the INTIDs in valid list registers are distinct, and none of them is pending as a direct interrupt, too.',
  S9: 'At every entry an interrupt that is mapped to a physical one, and is in a list register, has that active.',
  S10: 'While one vCPU has the others stopped for an access, none of them is in its guest or has list registers that are not folded.',
  S11: 'When a vCPU asks runnable() in its halt, its vPE is not resident, and the shadow of ICH_VMCR_EL2 is what its guest would read; so are that shadow and the active priorities when the thread returns to userspace.',
  S12: 'A guest’s write to ICC_DIR_EL1 deactivates the interrupt that it names, on whichever vCPU that is active; a fold deactivates none that the guest has acknowledged and not ended; an LPI is active in list registers only.',
  S13: 'An edge is acknowledged once: a flush moves it to its list register, and a fold brings back what was not acknowledged. A level-sensitive interrupt goes into its list register as pending only while its line is high, or software has made it pending, which no fold does.',
  S14: 'While no command is carried out, cached translations are those of the tables: no message is translated by what a completed command has changed.',
  S15: 'Nothing names an LPI that was freed: no list, list register, event, cached translation, message or prune.',
  S16: 'An LPI has as many references as its events, lists, list registers, messages and prunes hold, and the table has it by its INTID.',
  S17: 'An interrupt names a vCPU if and only if it is on that vCPU’s ap_list, once, and on no other; while EOIs are counted, those in list registers are its head, and active ones follow in the order in which a guest ends them.',
  S18: 'A step that changes where an LPI or its collection goes takes the one to where the other goes, except MOVALL.',
  S19: 'A pending or active interrupt has one owner: list registers are filled only after they were folded back, and one that is injected directly is not pending in software.',
  S20: 'A question changes nothing of another vCPU; the CPU interface and the timers are loaded and put with preemption off; the CPU interface is in memory when the thread gives its PE up or ends.',
  S21: 'A vCPU in the guest with a request pending has a kick on the way.',
  S22: 'A thread waits, sleeps and returns to userspace with preemption and interrupts on; list registers are filled and folded, and the guest is entered, with interrupts off.',
  S23: 'What a guest left for is handled before it is entered again, and a step that handles an access, or skips an instruction, finds one.',
  S24: 'A design without a flag that says that the vCPU waits puts its vPE with a doorbell while it is resident: otherwise none is asked for.',
  L1: 'When no actor can step any more, no vCPU sleeps with an interrupt that its guest would take.',
  L2: 'While a vCPU sleeps, an interrupt that is pending for its vPE has a doorbell on its way.',
  L3: 'An edge that the guest has not acknowledged is pending somewhere; a guest runs without an interrupt that it would take next, or one that its timer asserts, only if something will make it leave, and is not entered without it.',
  L4: 'No thread repeats a cycle of steps without progress of its guest while every actor that can step takes part.',
  L5: 'When no actor can step any more, no interrupt is active on a vCPU whose guest has ended all that it acknowledged.',
  L6: 'When no actor can step any more, no thread waits for a PE or for other vCPUs, and no message for a lock.',
  R1: 'A save has what the VM has: what software has made pending, which LPIs are pending, and what the ITSs have mapped; saved twice, it is the same.',
  R2: 'A save is taken back by a restore, after which every interrupt is as it was; at the end of one in steps every register reads as it was saved, and what the ITSs have mapped is mapped.',
  R3: 'A restore makes only what the guest’s commands could have made: what the ITSs have mapped fits into their tables, and into the widths of DeviceIDs, EventIDs, INTIDs and vCPUs.',
  R4: 'A step of a restore that is refused leaves everything as it was.',
  R5: 'An image whose parts were saved at different times is consistent: a timer that it has masked has its interrupt pending or active.',
}

/** Throws an `argument` error for what is not a list of invariants. */
export function argumentInvariants(ids: readonly InvariantId[]): readonly InvariantId[] {
  for (const id of argumentList('invariants', ids, 'names of invariants')) {
    if (typeof id === 'string' && Object.hasOwn(invariants, id)) continue
    const name = typeof id === 'string' ? id : shown(id)
    const known = Object.keys(invariants)
    const named = known.find((each) => invariantName(each) === name)
    const instead = named === undefined ? `there are ${known.join(', ')}` : `that is the name of ${named}`
    throw new VgicError('argument', `There is no invariant ${name}: ${instead}.`)
  }
  return ids
}

/** Checks the invariants of a machine. Each method returns a text that says what is wrong, or undefined. */
export class InvariantChecker {
  private readonly hypervisor: Hypervisor
  private readonly words: Int32Array

  constructor(private readonly machine: Machine) {
    this.hypervisor = machine.hypervisor
    this.words = machine.hypervisor.words
  }

  /** S8, when a vCPU has just entered its guest. */
  distinctIntids(v: Vcpu): string | undefined {
    const { words } = this
    const pe = peOf(words, v)
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

  /** S10, when a vCPU has just entered its guest. */
  enteredWhileStopped(v: Vcpu): string | undefined {
    const { words } = this
    const { layout, runLoop } = this.hypervisor
    for (let i = 0; i < layout.vcpuCount; i++) {
      const other = this.hypervisor.vcpu(i)
      if (other === v || runLoop.table[words[other + VCPU_PC] << TABLE_SHIFT] !== STEP_RESUME_VCPUS) continue
      return `vcpu${words[v + VCPU_INDEX]} enters its guest, and vcpu${i} has stopped it`
    }
    return undefined
  }

  /** S11, after a vCPU's own runnable() in its halt. */
  freshShadow(v: Vcpu): string | undefined {
    const shadow = VMCR_VPMR(this.words[v + VCPU_VMCR])
    const seen = VMCR_VPMR(this.machine.ghosts.vmcrOf(v))
    if (shadow === seen) return undefined
    const name = `vcpu${this.words[v + VCPU_INDEX]}`
    return `${name} asks with priority mask 0x${shadow.toString(16)}, its guest has 0x${seen.toString(16)}`
  }

  /** S17, of the interrupts on lists. */
  listed(): string | undefined {
    const { words } = this
    const { layout, apLists } = this.hypervisor
    for (let i = 0; i < layout.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      let left = words[v + VCPU_AP_COUNT]
      for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
        // A list with an interrupt twice has no end.
        if (--left < 0) break
        if (irqApListOf(words[irq]) === i + 1) continue
        return `${intidName(apLists.intidOf(v, irq))} is on the list of vcpu${i} and does not name it`
      }
      if (left !== 0) return `the list of vcpu${i} has not as many interrupts as are counted`
    }
    return undefined
  }

  /**
   * S17, after a flush that has EOIs counted, which are those of the first active interrupts after the last that has a list
   * register: those that have one come first, and active ones follow by priority. Groups are ended independently.
   */
  inOrder(v: Vcpu): string | undefined {
    const { words } = this
    const { apLists } = this.hypervisor
    const used = words[v + VCPU_USED_LRS]
    if (used === 0 || (words[v + VCPU_HCR] & HCR_LRENPIE) === 0) return undefined
    const held = new Set(words.subarray(v + VCPU_LR_IRQ, v + VCPU_LR_IRQ + used))
    const last = [-1, -1]
    let left = used
    for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
      const name = intidName(apLists.intidOf(v, irq))
      if (held.has(irq)) left--
      if (held.has(irq) || (words[irq] & IRQ_ACTIVE) === 0) continue
      if (left > 0)
        return `${name} is before one that has a list register on the list of vcpu${words[v + VCPU_INDEX]}`
      const group = words[irq] & IRQ_GROUP1 ? 1 : 0
      if (irqPriority(words[irq]) < last[group])
        return `${name} is behind one of lower priority on the list of vcpu${words[v + VCPU_INDEX]}, and is ended before it`
      last[group] = irqPriority(words[irq])
    }
    return undefined
  }

  /** S21, after any step. */
  requestSeen(): string | undefined {
    const { words } = this
    for (let i = 0; i < this.hypervisor.layout.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      if ((words[v + VCPU_THREAD] & THREAD_REQUESTS) === 0 || !this.runsUnnoticed(v)) continue
      return `vcpu${i} is in the guest with a request pending and nothing that makes it leave`
    }
    return undefined
  }

  /** L1, in a state in which no actor can step. */
  lostWakeUp(): string | undefined {
    for (let i = 0; i < this.hypervisor.layout.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      if (this.hypervisor.runLoop.threadState(v) !== THREAD_SLEEPS) continue
      const irq = this.deliverable(v)
      if (irq !== 0) {
        return `vcpu${i} sleeps, and ${intidName(this.hypervisor.apLists.intidOf(v, irq))} is pending for it`
      }
    }
    return undefined
  }

  /** L6, in a state in which no actor can step. */
  stuck(): string | undefined {
    const { runLoop } = this.hypervisor
    for (let i = 0; i < this.hypervisor.layout.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      const state = runLoop.threadState(v)
      if (state !== THREAD_WAITS_FOR_CPU && state !== THREAD_WAITS_FOR_VCPUS) continue
      return `vcpu${i} waits for ${runLoop.waitsForVcpus(v) ? 'other vCPUs' : 'a PE'} forever`
    }
    const device = this.machine.devices.find((_, index) => this.machine.deviceSteps.waitsForIts(index))
    return device && `the message of ${device.name} waits for its_lock forever`
  }

  /** L3, of guests; `entered` is the vCPU that has entered its guest in this step, or 0. */
  missing(entered: Vcpu | 0): string | undefined {
    for (let i = 0; i < this.hypervisor.layout.vcpuCount; i++) {
      const v = this.hypervisor.vcpu(i)
      const unseen = this.unseenTimer(v)
      if (unseen !== undefined) return unseen
      if (this.words[v + VCPU_AP_COUNT] === 0 || !this.isLeftAlone(v) || this.isReevaluating()) continue
      // At an entry even a vCPU that leaves at once is checked: a maintenance interrupt that is asserted from the
      // entry on would bring the same list registers again.
      if (v !== entered && this.isMadeToLeave(v)) continue
      const irq = this.absent(v)
      if (irq === 0) continue
      const without = `vcpu${i} is in the guest without ${intidName(this.hypervisor.apLists.intidOf(v, irq))}`
      return this.hypervisor.guest.isInterrupted(v)
        ? `${without}, exits at once, and is entered again in the same state`
        : `${without}, and nothing makes it leave`
    }
    return undefined
  }

  /** Whether a vCPU is in the guest and nothing makes it leave. */
  private runsUnnoticed(v: Vcpu): boolean {
    return this.isLeftAlone(v) && !this.isMadeToLeave(v)
  }

  /** Whether an interrupt makes a vCPU leave its guest, or its maintenance interrupt is going to. */
  private isMadeToLeave(v: Vcpu): boolean {
    const { guest, silicon } = this.hypervisor
    return guest.isInterrupted(v) || silicon.lines.isMaintenanceLagging(peOf(this.words, v))
  }

  /** Whether a vCPU is in the guest and neither a kick nor another's unfinished injection is on the way. */
  private isLeftAlone(v: Vcpu): boolean {
    const { words } = this
    if (this.hypervisor.runLoop.threadState(v) !== THREAD_IN_GUEST) return false
    if ((words[v + VCPU_THREAD] & THREAD_MODE) === MODE_EXITING) return false
    return !this.machine.deviceSteps.injectsFor(v)
  }

  /**
   * Whether a guest's access has changed where interrupts belong, and the vCPUs concerned are still to be notified.
   */
  private isReevaluating(): boolean {
    const { layout, runLoop } = this.hypervisor
    for (let i = 0; i < layout.vcpuCount; i++) {
      const pc = this.words[this.hypervisor.vcpu(i) + VCPU_PC]
      if (runLoop.table[pc << TABLE_SHIFT] === STEP_REEVALUATE) return true
    }
    return false
  }

  /**
   * An interrupt on a running vCPU's ap_list that should be in a list register and is not; 0 if there is none. If the
   * list has more interrupts than there are list registers, only one that the guest would take next counts.
   */
  private absent(v: Vcpu): Irq | 0 {
    const { words } = this
    const { apLists } = this.hypervisor
    const overflowed = words[peOf(words, v) + ICH_HCR] & OVERFLOW_INTERRUPTS
    const index = apLists.targetOf(words, v)
    for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
      const isForIt = irqIsDeliverable(words[irq]) && irqTarget(words[irq]) === index
      if (!isForIt || this.isInHardware(v, irq)) continue
      if (overflowed === 0 || this.comesNext(v, words[irq])) return irq
    }
    return 0
  }

  /** Whether the guest of a running vCPU would take an interrupt before all that its CPU interface holds. */
  private comesNext(v: Vcpu, word: number): boolean {
    const { words } = this
    const { virtualInterface, ich } = this.hypervisor.silicon
    const pe = peOf(words, v)
    const vmcr = ich.readVmcr(pe)
    if (!admits(vmcr, word)) return false
    const first = virtualInterface.highestPending(pe)
    if (first !== 0 && LR_Priority(words[first]) <= irqPriority(word)) return false
    const running = virtualInterface.runningPriority(words, pe)
    return running === PRIORITY_IDLE || virtualInterface.preemptsRunning(vmcr, irqListRegister(word), running)
  }

  /** A timer of a running vCPU that asserts its interrupt while neither the guest nor the host has seen it. */
  private unseenTimer(v: Vcpu): string | undefined {
    const { timers } = this.hypervisor
    if (!timers.present) return undefined
    for (const intid of timerIntids) {
      const irq = privateIrq(v, intid)
      if (!timers.outputOf(v, intid) || this.words[irq] & (IRQ_LINE | IRQ_LATCH | IRQ_ACTIVE)) continue
      if (this.runsUnnoticed(v) && !this.isInHardware(v, irq))
        return `vcpu${this.words[v + VCPU_INDEX]} is in the guest, and its timer asserts ${intidName(intid)} unnoticed`
    }
    return undefined
  }

  private isInHardware(v: Vcpu, irq: Irq): boolean {
    return isInListRegister(this.words, v, this.hypervisor.apLists.intidOf(v, irq), LR_PENDING | LR_ACTIVE)
  }

  /** L3: an edge that the guest has not acknowledged, pending neither in its vgic_irq nor in a list register. */
  lostEdge(): string | undefined {
    const { machine, hypervisor } = this
    const { interrupts } = hypervisor
    for (let n = 0; 32 * n < interrupts.count; n++) {
      for (let bits = machine.ghosts.outstanding(n); bits !== 0; bits &= bits - 1) {
        const irq = interrupts.atIndex(32 * n + 31 - Math.clz32(bits & -bits))
        if (!this.isPendingSomewhere(irq)) return `the edge of ${this.nameOf(irq)} is lost`
      }
    }
    return undefined
  }

  /** `SGI 1 of vcpu0`, `SPI 33`. */
  private nameOf(irq: Irq): string {
    const { apLists, interrupts, layout } = this.hypervisor
    switch (interrupts.kindOf(irq)) {
      case 'private': {
        const index = Math.floor((irq - layout.vcpus) / layout.vcpuSize)
        return `${intidName(apLists.intidOf(this.hypervisor.vcpu(index), irq))} of vcpu${index}`
      }
      case 'spi':
      case 'lpi':
        return intidName(apLists.intidOf(this.hypervisor.vcpu(0), irq))
    }
  }

  private isPendingSomewhere(irq: Irq): boolean {
    const { words } = this
    const word = words[irq]
    if (this.isForwarded(irq) && isPendingInHardware(this.hypervisor, irq)) return true
    if ((word & IRQ_EDGE) === 0 || word & IRQ_LATCH) return true
    if (this.hypervisor.mapped.isPendingAtDistributor(irq)) return true
    const owner = irqApListOf(word)
    if (owner === 0) return false
    const v = this.hypervisor.vcpu(owner - 1)
    return isInListRegister(words, v, this.hypervisor.apLists.intidOf(v, irq), LR_PENDING)
  }

  /** Whether hardware delivers an LPI (GICv4). */
  private isForwarded(irq: Irq): boolean {
    const { v4, interrupts } = this.hypervisor
    return v4 !== undefined && interrupts.kindOf(irq) === 'lpi' && v4.forwarding.isForwardedLpi(irq)
  }

  /** An interrupt that the guest of a vCPU would take, given the ICH_VMCR_EL2 that it left; 0 if none. */
  private deliverable(v: Vcpu): Irq | 0 {
    const { words, machine } = this
    const { layout, interrupts } = this.hypervisor
    if (words[layout.vm + VM_ENABLED] === 0) return 0
    const vmcr = machine.ghosts.vmcrOf(v)
    let first: Irq | 0 = 0
    interrupts.forEach((irq, kind) => {
      if (first === 0 && admits(vmcr, this.offered(v, irq, kind))) first = irq
    })
    return first
  }

  /**
   * The word of an interrupt, with the level of its line, if it is for this vCPU; otherwise 0, which no guest takes.
   */
  private offered(v: Vcpu, irq: Irq, kind: IrqKind): number {
    const { words, hypervisor } = this
    const { mapped, layout, timers } = hypervisor
    switch (kind) {
      case 'private':
        if (irq < v || irq >= v + layout.vcpuSize) return 0
        if ((vsgisInHardware(hypervisor, v) >>> privateIntid(v, irq)) & 1) return words[irq] | IRQ_LATCH
        return timers.outputOf(v, privateIntid(v, irq)) ? words[irq] | IRQ_LINE : words[irq]
      case 'spi':
        if (irqTarget(words[irq]) !== words[v + VCPU_INDEX]) return 0
        return mapped.isPendingAtDistributor(irq) ? words[irq] | IRQ_LATCH : words[irq]
      case 'lpi': {
        const isTaken = words[v + VCPU_LPIS_ENABLED] !== 0
        if (!isTaken || irqTarget(words[irq]) !== words[v + VCPU_INDEX]) return 0
        return this.isForwarded(irq) && isPendingInHardware(hypervisor, irq)
          ? words[irq] | IRQ_LATCH
          : words[irq]
      }
    }
  }
}

/** Whether one of the list registers that a vCPU's last flush filled holds an interrupt in one of the LR_ states. */
export function isInListRegister(words: Int32Array, v: Vcpu, intid: Intid, states: number): boolean {
  const first = peOf(words, v) + ICH_LR
  for (let lr = first; lr < first + 2 * words[v + VCPU_USED_LRS]; lr += 2)
    if (words[lr] === intid && words[lr + 1] & states) return true
  return false
}

/** Whether the group enables and the priority mask of this ICH_VMCR_EL2 let an interrupt through. */
function admits(vmcr: number, word: number): boolean {
  const enabled = vmcr & (word & IRQ_GROUP1 ? VMCR_VENG1 : VMCR_VENG0)
  return enabled !== 0 && irqIsDeliverable(word) && irqPriority(word) < VMCR_VPMR(vmcr)
}
