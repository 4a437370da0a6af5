/**
 * The injection of a device's interrupt (kvm_vgic_inject_irq), a step at a time in the order of the design's `inject`
 * list. `queue` stores the line's new level and determines the vCPU to notify. A request or a kick before it goes to
 * the vCPU that the interrupt will be queued for, by its routing. The list `msi` has the same steps for the LPI of a
 * message: message.ts.
 */

import { postRequest } from '../host/kick.ts'
import { asPc, REQ_IRQ_PENDING, type Vcpu } from '../records/vcpu.ts'
import { type Irq, irqApListOf } from '../records/vgic-irq.ts'
import type { ApLists } from '../vgic/ap-list.ts'
import { ENDED, type NextPc, type Program, TABLE_SHIFT } from './program.ts'
import {
  STEP_KICK,
  STEP_POST_REQUEST,
  STEP_QUEUE,
  STEP_QUEUE_COUNTED_HERE,
  STEP_QUEUE_QUIETLY,
} from './step-numbers.ts'

/** The steps of an injection that ApLists does at once, and the end of the list. */
const PLAIN = [STEP_QUEUE, STEP_POST_REQUEST, STEP_KICK, ENDED]

/** A line that takes one level. */
const LEVELS: readonly (readonly number[])[] = [[0], [1]]

export class Injection {
  /** Whether it is `queue`, `postRequest` and `kick` in this order, as in most designs: ApLists does that at once. */
  private readonly isPlain: boolean

  constructor(
    private readonly program: Program,
    private readonly apLists: ApLists,
  ) {
    const { table, inject } = program
    const steps = [inject]
    for (let pc = inject; pc !== ENDED && steps.length < 4; steps.push(pc))
      pc = asPc(table[(pc << TABLE_SHIFT) + 1])
    this.isPlain = steps.map((pc) => table[pc << TABLE_SHIFT]).join() === PLAIN.join()
  }

  /** A whole injection, at once. */
  run(irq: Irq, level: number): void {
    if (this.isPlain === true) {
      this.apLists.inject(irq, level)
      return
    }
    const levels = LEVELS[level]
    let target: Vcpu | 0 = 0
    for (let pc: NextPc = this.program.inject; pc !== ENDED; pc = this.after(pc, target))
      target = this.step(pc, irq, levels, target)
  }

  /** Whether the step at a program counter is the one that stores the level. */
  queues(pc: NextPc): boolean {
    const op = this.program.table[pc << TABLE_SHIFT]
    return op === STEP_QUEUE || op === STEP_QUEUE_QUIETLY || op === STEP_QUEUE_COUNTED_HERE
  }

  /**
   * Takes the step at a program counter for an interrupt whose line takes `levels` in turn. `target` is the vCPU that
   * earlier steps determined, 0 for none; returns the one for later steps.
   */
  step(pc: NextPc, irq: Irq, levels: readonly number[], target: Vcpu | 0): Vcpu | 0 {
    const { apLists, program } = this
    if (this.queues(pc) === true) {
      const isQuiet =
        program.table[pc << TABLE_SHIFT] === STEP_QUEUE_QUIETLY && irqApListOf(apLists.words[irq]) !== 0
      const found = this.queue(pc, irq, levels)
      return isQuiet ? 0 : found
    }
    const v = target !== 0 ? target : this.targetOf(irq, levels)
    if (v === 0) return 0
    if (program.table[pc << TABLE_SHIFT] === STEP_POST_REQUEST) postRequest(apLists.words, v, REQ_IRQ_PENDING)
    else apLists.kicks.kick(v)
    return v
  }

  /** The program counter after a step. If `queue` has found no vCPU to notify, requests and kicks are left out. */
  after(pc: NextPc, target: Vcpu | 0): NextPc {
    const isUnwanted = target === 0 && this.queues(pc)
    let next = this.next(pc)
    while (isUnwanted && this.notifies(next)) next = this.next(next)
    return next
  }

  private next(pc: NextPc): NextPc {
    return asPc(this.program.table[(pc << TABLE_SHIFT) + 1])
  }

  /** Whether the step at a program counter is a request or a kick. */
  notifies(pc: NextPc): boolean {
    const op = this.program.table[pc << TABLE_SHIFT]
    return op === STEP_POST_REQUEST || op === STEP_KICK
  }

  private queue(pc: NextPc, irq: Irq, levels: readonly number[]): Vcpu | 0 {
    const { apLists, program } = this
    const isCountedHere = program.table[pc << TABLE_SHIFT] === STEP_QUEUE_COUNTED_HERE
    let target: Vcpu | 0 = 0
    for (let i = 0; i < levels.length; i++) {
      const v = isCountedHere ? apLists.setInputCountedHere(irq, levels[i]) : apLists.setInput(irq, levels[i])
      target = v || target
    }
    return target
  }

  private targetOf(irq: Irq, levels: readonly number[]): Vcpu | 0 {
    for (let i = 0; i < levels.length; i++) {
      const v = this.apLists.targetOfInput(irq, levels[i])
      if (v !== 0) return v
    }
    return 0
  }
}
