/**
 * A device's message on its way (KVM's vgic_its_inject_msi), a step at a time in the order of the design's `msi` list. It
 * is translated to an LPI, which is then injected as injection.ts does it. From the translation on no lock protects the
 * LPI, so the message holds a reference until it is done.
 *
 * The cache has a lock of its own that is never held over a yield point, so it needs no word. its_lock can be held by
 * a vCPU that carries out a command: the word ITS_LOCK. A message holds it only within `translate`.
 */
import type { Vcpu } from '../records/vcpu.ts'
import { asIrq, type Irq } from '../records/vgic-irq.ts'
import type { VgicIts } from '../vgic/vgic-its.ts'
import type { Injection } from './injection.ts'
import { ENDED, type NextPc, type Program, TABLE_SHIFT } from './program.ts'
import {
  STEP_DECREMENT_REFERENCE,
  STEP_DROP_REFERENCE,
  STEP_ERASE_BY_NUMBER,
  STEP_TRANSLATE,
  STEP_TRANSLATE_UNHELD,
} from './step-numbers.ts'

/** What a device writes to an ITS, by its place in `frames.its`. */
export interface Message {
  readonly deviceId: number
  readonly eventId: number
  readonly its: number
}

/** Words of a message on its way, which lie in the record of its device: the LPI, and whether it holds a reference. */
export const MESSAGE_LPI = 0
export const MESSAGE_HOLDS = 1

const ONE_EDGE = [1] as const

export class Messages {
  readonly words: Int32Array

  constructor(
    readonly program: Program,
    readonly injection: Injection,
    readonly its: VgicIts,
  ) {
    this.words = its.words
  }

  /** A whole message, at once: nobody comes in between for whom it would need a reference. Returns whether it means an LPI. */
  run(deviceId: number, eventId: number, its: number): boolean {
    const irq = this.its.translate(its, deviceId | 0, eventId | 0)
    if (irq === 0) return false
    if (this.its.raiseForwarded(irq)) return true
    const { injection } = this
    let target: Vcpu | 0 = 0
    for (let pc: NextPc = this.program.msi; pc !== ENDED; pc = injection.after(pc, target))
      if (injection.queues(pc) || injection.notifies(pc)) target = injection.step(pc, irq, ONE_EDGE, target)
    return true
  }

  /** Whether the step at a program counter can not be taken now, since another holds its_lock. */
  waits(pc: NextPc, { its, deviceId, eventId }: Message): boolean {
    return (
      this.translates(pc) &&
      this.its.isLocked(its) &&
      this.its.cache.find(its, deviceId | 0, eventId | 0) === 0
    )
  }

  /** Whether the step at a program counter finds the LPI. */
  translates(pc: NextPc): boolean {
    const op = this.program.table[pc << TABLE_SHIFT]
    return op === STEP_TRANSLATE || op === STEP_TRANSLATE_UNHELD
  }

  /**
   * Takes the step at a program counter for a message, whose words are `at`. `target` is the vCPU that earlier steps
   * determined, 0 for none; returns the one for later steps.
   */
  step(pc: NextPc, at: number, message: Message, target: Vcpu | 0): Vcpu | 0 {
    const { words } = this
    const irq = asIrq(words[at + MESSAGE_LPI])
    switch (this.program.table[pc << TABLE_SHIFT]) {
      case STEP_TRANSLATE:
        this.translate(at, message, true)
        return 0
      case STEP_TRANSLATE_UNHELD:
        this.translate(at, message, false)
        return 0
      case STEP_DROP_REFERENCE:
        if (words[at + MESSAGE_HOLDS] !== 0) this.its.lpis.put(irq)
        this.forget(at)
        return target
      case STEP_DECREMENT_REFERENCE:
        this.decrement(at, irq)
        return target
      case STEP_ERASE_BY_NUMBER:
        if (irq !== 0) this.its.lpis.eraseByNumber(irq)
        this.forget(at)
        return target
      default:
        return this.inject(pc, irq, target)
    }
  }

  /** The program counter after a step. A message that leaves no LPI to be injected is done when it is translated. */
  after(pc: NextPc, at: number, target: Vcpu | 0): NextPc {
    if (this.translates(pc) && this.words[at + MESSAGE_LPI] === 0) return ENDED
    return this.injection.after(pc, target)
  }

  /**
   * Finds the LPI. With GICv4 that may be one that hardware delivers, as the interrupt of another device: then it becomes
   * pending there, and there is nothing to inject (vgic_its_trigger_msi).
   */
  private translate(at: number, { its, deviceId, eventId }: Message, holds: boolean): void {
    const irq: Irq | 0 = this.its.translate(its, deviceId | 0, eventId | 0)
    if (irq === 0 || this.its.raiseForwarded(irq)) return
    this.words[at + MESSAGE_LPI] = irq
    if (!holds) return
    this.words[at + MESSAGE_HOLDS] = 1
    this.its.lpis.get(irq)
  }

  /** A step of the injection. Once the LPI is forgotten, only its vCPU can still be notified. */
  private inject(pc: NextPc, irq: Irq, target: Vcpu | 0): Vcpu | 0 {
    if (irq === 0 && (target === 0 || this.injection.queues(pc))) return target
    return this.injection.step(pc, irq, ONE_EDGE, target)
  }

  /** Forgets the LPI unless it is for this message to take it out of the table. */
  private decrement(at: number, irq: Irq): void {
    const isLast = this.words[at + MESSAGE_HOLDS] !== 0 && this.its.lpis.decrement(irq)
    this.words[at + MESSAGE_HOLDS] = 0
    if (!isLast) this.forget(at)
  }

  /** Forgets the LPI, whose reference was given back. */
  forget(at: number): void {
    this.words[at + MESSAGE_LPI] = 0
    this.words[at + MESSAGE_HOLDS] = 0
  }
}
