/**
 * A save of the VM by userspace, a step at a time in the order of the design's `save` list. What it saves is kept only for a
 * restore (restores.ts): an exploration looks at it when the step is taken. The exception is what the parts of an image must
 * agree on, since they are saved at different times: the timers and their interrupts.
 */
import { isErrno } from '../errors/vgic-error.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import {
  privateIrq,
  timerIntids,
  VCPU_LOADED,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_USED_LRS,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { IRQ_ACTIVE, IRQ_LATCH, IRQ_LINE } from '../hyp/records/vgic-irq.ts'
import { FIRST_PC, type NextPc, TABLE_SHIFT } from '../hyp/run/program.ts'
import {
  STEP_SAVE_INTERRUPTS_AS_GUEST,
  STEP_SAVE_INTERRUPTS_BY_OFFSET,
  STEP_SAVE_TIMERS,
  STEP_USERSPACE,
} from '../hyp/run/step-numbers.ts'
import { THREAD_ENDED } from '../hyp/run/thread-states.ts'
import { savePendingTablesByOffset } from '../hyp/userspace/its-tables-save.ts'
import { type SavedVgic, saveVgic } from '../hyp/userspace/save-restore.ts'
import { TIMERS } from '../hyp/vgic/arch-timer.ts'

/** Of a vCPU: bit t, the image has the interrupt of timer t pending or active; bit 2 + t, it has timer t masked. */
const SAVED_BITS = 4
const SAVED_MASKED = 2
/** How many vCPUs have room in a word. */
const SAVED_VCPUS = 8

export class Saves {
  private readonly words: Int32Array

  constructor(private readonly hypervisor: Hypervisor) {
    this.words = hypervisor.words
  }

  /** Whether all vCPUs are in userspace or off, with nothing in the hardware. */
  isStopped(): boolean {
    const { hypervisor } = this
    for (let i = 0; i < hypervisor.layout.vcpuCount; i++)
      if (!this.isOutside(hypervisor.vcpu(i))) return false
    return true
  }

  private isOutside(v: Vcpu): boolean {
    const { words } = this
    if (words[v + VCPU_LOADED] !== 0 || words[v + VCPU_USED_LRS] !== 0) return false
    return words[v + VCPU_NOTIFIER] === 0 && (this.isInUserspace(v) || this.isOff(v))
  }

  private isOff(v: Vcpu): boolean {
    return this.hypervisor.runLoop.threadState(v) === THREAD_ENDED
  }

  /** Whether a thread's next step is userspace's, or its first KVM_RUN. */
  isInUserspace(v: Vcpu): boolean {
    const pc = this.words[v + VCPU_PC]
    return pc === FIRST_PC || this.opAt(pc) === STEP_USERSPACE
  }

  private opAt(pc: number): number {
    return this.hypervisor.runLoop.program.table[pc << TABLE_SHIFT]
  }

  /** An image after the step at a program counter. */
  imageAfter(pc: NextPc, image: number): number {
    const { words, hypervisor } = this
    if (!this.savesInterrupts(pc))
      return image | this.bits((v, timer) => hypervisor.timers.isMasked(v, timer), SAVED_MASKED)
    const known = IRQ_LATCH | IRQ_LINE | IRQ_ACTIVE
    return image | this.bits((v, timer) => (words[privateIrq(v, timerIntids[timer])] & known) !== 0, 0)
  }

  /** Whether the step at a program counter saves the interrupts. */
  savesInterrupts(pc: NextPc): boolean {
    return this.opAt(pc) !== STEP_SAVE_TIMERS
  }

  /**
   * What the step at a program counter saves of the interrupts; undefined if it cannot be saved: the guest's ITS is not set
   * up.
   */
  take(pc: NextPc): SavedVgic | undefined {
    const { hypervisor } = this
    try {
      if (this.opAt(pc) === STEP_SAVE_INTERRUPTS_BY_OFFSET)
        return saveVgic(hypervisor, savePendingTablesByOffset)
      const saved = saveVgic(hypervisor)
      return this.opAt(pc) === STEP_SAVE_INTERRUPTS_AS_GUEST ? withLines(saved) : saved
    } catch (error) {
      if (isErrno(error)) return undefined
      throw error
    }
  }

  private bits(isSo: (v: Vcpu, timer: number) => boolean, shift: number): number {
    const { hypervisor } = this
    let bits = 0
    for (let i = 0; i < hypervisor.layout.vcpuCount && i < SAVED_VCPUS; i++) {
      for (let timer = 0; timer < TIMERS; timer++)
        if (isSo(hypervisor.vcpu(i), timer)) bits |= 1 << (SAVED_BITS * i + shift + timer)
    }
    return bits
  }

  /** A timer that an image has masked while it has its interrupt neither pending nor active: the INTID; 0 if there is none. */
  lostTimer(image: number, index: number): number {
    const bits = image >> (SAVED_BITS * index)
    for (let timer = 0; timer < TIMERS && index < SAVED_VCPUS; timer++)
      if ((bits >> (SAVED_MASKED + timer)) & 1 && ((bits >> timer) & 1) === 0) return timerIntids[timer]
    return 0
  }
}

/** Pending state as a guest reads it: an interrupt whose line is high is pending. */
function withLines(saved: SavedVgic): SavedVgic {
  const { dist, redist, level_info: levels } = saved
  const pended = (registers: Readonly<Record<string, string>>, frame: string, vcpu: number) =>
    Object.fromEntries(
      Object.entries(registers).map(([name, value]) => {
        const word = new RegExp(`^${frame}_ISPENDR(\\d+)$`).exec(name)
        const lines = word && levels[vcpu][`intid${32 * Number(word[1])}`]
        return [name, lines ? `0x${(BigInt(value) | BigInt(lines)).toString(16)}` : value]
      }),
    )
  return {
    ...saved,
    dist: pended(dist, 'GICD', 0),
    redist: redist.map((registers, vcpu) => pended(registers, 'GICR', vcpu)),
  }
}
