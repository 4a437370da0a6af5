/** The state of a PE and its redistributor, printed as a line. */
import { GICR_WAKER_ChildrenAsleep, GICR_WAKER_ProcessorSleep } from '../arch/gicr-registers.ts'
import { PE_LINES } from './cpu-interface/lines.ts'
import { type OutputLine, outputLines } from './cpu-interface/output-lines.ts'
import { DAIF_F, DAIF_I, exceptionLevel, PCPU_PSTATE } from './cpu-interface/pcpu.ts'
import { GICR_WAKER } from './records/pe-offsets.ts'
import type { Silicon } from './silicon.ts'

/** The state of a CPU as far as the GIC models it. It prints as one line. */
export class CpuState {
  /** Its exception level, 0 to 2. */
  readonly el: number
  /** Which of PSTATE.I and PSTATE.F are set: true masks IRQ or FIQ. */
  readonly masks: Readonly<Record<'irq' | 'fiq', boolean>>
  /** Whether it waits in a WFI or WFE. */
  readonly waits: boolean
  /** The CPU's outputs that are high. */
  readonly outputs: readonly OutputLine[]
  /** The bits of GICR_WAKER. */
  readonly waker: Readonly<Record<'ProcessorSleep' | 'ChildrenAsleep', boolean>>
  /**
   * Whether its redistributor sleeps, and forwards no interrupt to it: so it does from reset until GICR_WAKER is
   * written.
   */
  readonly asleep: boolean

  /** @internal */
  constructor(
    silicon: Silicon,
    /** The CPU's number. */
    readonly cpu: number,
  ) {
    const pe = silicon.peOf(cpu)
    const { words, pcpu } = silicon
    const daif = pcpu.masks(pe)
    const waker = words[pe + GICR_WAKER]
    this.el = exceptionLevel(words[pe + PCPU_PSTATE])
    this.masks = { irq: (daif & DAIF_I) !== 0, fiq: (daif & DAIF_F) !== 0 }
    this.waits = pcpu.isWaiting(pe)
    this.outputs = outputLines.filter((_, bit) => (words[pe + PE_LINES] >> bit) & 1)
    this.waker = {
      ProcessorSleep: (waker & GICR_WAKER_ProcessorSleep) !== 0,
      ChildrenAsleep: (waker & GICR_WAKER_ChildrenAsleep) !== 0,
    }
    this.asleep = silicon.redistributor.isAsleep(pe)
  }

  /** `cpu0 at EL1, FIQ masked; high: irq; its redistributor is awake`. */
  toString(): string {
    const { cpu, el, masks, waits, outputs } = this
    const masked = [masks.irq ? 'IRQ' : '', masks.fiq ? 'FIQ' : ''].filter(Boolean).join(' and ') || 'nothing'
    return [
      `cpu${cpu} at EL${el}${waits ? ', waiting' : ''}, ${masked} masked`,
      outputs.length === 0 ? 'no output is high' : `high: ${outputs.join(', ')}`,
      this.redistributorText,
    ].join('; ')
  }

  private get redistributorText(): string {
    const { waker, asleep } = this
    const bits = (['ProcessorSleep', 'ChildrenAsleep'] as const).filter((name) => waker[name])
    if (asleep) return `its redistributor sleeps (GICR_WAKER.${bits.join(', ')}) and forwards nothing to it`
    return `its redistributor is awake${waker.ChildrenAsleep ? ', GICR_WAKER is ignored' : ''}`
  }

  /** The line, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}
